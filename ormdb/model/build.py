"""Classes to a schema bundle, every mistake at once.

    build_bundle([Airport, Flight, Plane])

    1. every annotation is read, with the names of all classes at hand
    2. every class becomes an EntityDef: fields, those of its foreign keys, indexes, checks
    3. every foreign key becomes a RelationDef, named on both sides
    4. every way over an edge entity becomes a ThroughDef

What is known but not built yet is refused by name, and so is every option that is not known:
nothing that a class says is ignored.  Rules for schemas of any origin, such as which names an
expression may use, are the catalog's.

Invariants (held by tests/unit/model/test_build.py):
  1. The problems of all classes come in one SchemaError, in `problems`.
  2. One list of classes always gives an equal bundle; numbers in it are UNASSIGNED.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from ormdb.errors import SchemaError
from ormdb.ir.check import canonical_value
from ormdb.ir.expr import And, Compare, CompareOp, Expr, FieldRef, Literal
from ormdb.ir.schema import (
    CheckDef,
    Computed,
    Default,
    EntityDef,
    ExpressionDefault,
    FieldDef,
    IndexDef,
    IndexField,
    LiteralDefault,
    NowDefault,
    SchemaBundle,
    SequenceDefault,
    Uuid7Default,
)
from ormdb.ir.value import Type, Value
from ormdb.model.annotation import ValueKind
from ormdb.model.build_relations import (
    build_relations,
    build_throughs,
    index_field,
    index_name,
    with_back_indexes,
)
from ormdb.model.declaration import (
    MISSING,
    Declaration,
    DeclaredCheck,
    DeclaredField,
    DeclaredIndex,
    DeclaredMany,
    DeclaredOne,
    DefaultOf,
    FieldOptions,
    ManyOptions,
    OneOptions,
    declaration_of,
)
from ormdb.model.findings import Findings

_OPTION_CLASSES: Final[Mapping[str, tuple[type, ...]]] = {
    "deferred": (bool,),
    "doc": (str,),
    "enforced": (bool,),
    "identity": (bool,),
    "index": (bool,),
    "inverse": (str,),
    "max_chars": (int,),
    "name": (str,),
    "on_delete": (str,),
    "precision": (int,),
    "references": (str, tuple),
    "scale": (int,),
    "stored": (bool,),
    "through": (str,),
    "to": (str,),
    "unique": (bool,),
    "via": (str, tuple),
}
_KNOWN: Final[Mapping[type, tuple[str, str]]] = {
    DeclaredField: ("field()", ", ".join(p.name for p in dataclasses.fields(FieldOptions))),
    DeclaredOne: ("one()", ", ".join(p.name for p in dataclasses.fields(OneOptions))),
    DeclaredMany: ("many()", ", ".join(p.name for p in dataclasses.fields(ManyOptions))),
}


def build_bundle(entities: Sequence[type[Any]], *, doc: str = "") -> SchemaBundle:
    """Return the schema that these classes declare.

    Raises:
      SchemaError: they contradict themselves or one another; `problems` lists every mistake.
      UnsupportedError: they ask for nothing but features that are not built yet.
    """
    findings = Findings()
    declarations = _declarations(entities, findings)
    for declaration in declarations:
        _check_options(declaration, findings)
    drafts = [_entity_def(declaration, findings) for declaration in declarations]
    relations = build_relations(declarations, findings)
    throughs = build_throughs(declarations, findings)
    findings.raise_if_any()
    return SchemaBundle(
        entities=with_back_indexes(drafts, relations),
        relations=relations,
        throughs=throughs,
        doc=doc,
    )


def _declarations(entities: Sequence[type[Any]], findings: Findings) -> list[Declaration]:
    found: dict[type[Any], Declaration] = {}
    for entity in entities:
        declaration = findings.attempt("the schema", declaration_of, entity)
        if declaration is None:
            continue
        if declaration.abstract:
            findings.add(entity.__name__, "it is abstract and has no rows; take it from the list")
        elif entity in found:
            findings.add(entity.__name__, "it is listed twice; list it once")
        else:
            found[entity] = declaration
    classes = {entity.__name__: entity for entity in found}
    for declaration in found.values():
        for attribute in declaration.attributes.values():
            attribute.scope.know(classes)
        declaration.forget()
        findings.repeat(declaration.problems)
    return list(found.values())


def _check_options(declaration: Declaration, findings: Findings) -> None:
    where = declaration.entity.__name__
    known = "name, doc, abstract, __indexes__, __checks__, __hooks__, __soft_delete__"
    findings.unknown(where, declaration.unknown, "an entity", known)
    for one in declaration.attributes.values():
        maker, names = _KNOWN[type(one)]
        findings.unknown(one.where, one.unknown, maker, names)
        for option, kinds in _OPTION_CLASSES.items():
            value = getattr(one.options, option, None)
            if value is not None and not isinstance(value, kinds):
                wanted = " or ".join(kind.__name__ for kind in kinds)
                findings.add(one.where, f"{option}={value!r} is of no use; give a {wanted}")


def _entity_def(declaration: Declaration, findings: Findings) -> EntityDef:
    fields: list[FieldDef] = []
    for one in declaration.attributes.values():
        if isinstance(one, DeclaredField):
            found = findings.attempt(one.where, _field_def, one, findings)
            fields += [] if found is None else [found]
        elif isinstance(one, DeclaredOne) and not one.is_back and one.options.via is None:
            fields += findings.attempt(one.where, implied_fields, one) or []
    where = declaration.entity.__name__
    identity = findings.attempt(where, declaration.identity_names)
    return EntityDef(
        name=declaration.name,
        fields=tuple(fields),
        identity=identity or (),
        indexes=tuple(_index_defs(declaration, findings)),
        checks=tuple(_check_defs(declaration, findings)),
        soft_delete=declaration.soft_delete,
        doc=declaration.doc,
    )


# --- fields -----------------------------------------------------------------------------------


def _field_def(declared: DeclaredField, findings: Findings) -> FieldDef:
    options, kind = declared.options, declared.kind
    if options.identity and kind.optional:
        raise SchemaError("an identity is never NULL; take `| None` from its annotation")
    computed: Computed | None = None
    if options.computed is not None:
        expression = _expression(options.computed)
        computed = Computed(expression=expression, stored=options.stored)
    elif options.stored:
        findings.add(declared.where, "stored= is for computed fields; give computed= as well")
    fill = None if options.fill is None else _literal(declared, kind, options.fill)
    return FieldDef(
        name=declared.name,
        type=kind.type,
        optional=kind.optional,
        default=_default(declared, kind),
        computed=computed,
        fill=fill,
        doc=options.doc,
    )


def _default(declared: DeclaredField, kind: ValueKind) -> Default | None:
    given = declared.options.default
    if given is MISSING:
        return None
    if given is None:
        if kind.optional:
            return None
        raise SchemaError("default=None is for optional fields; annotate it with `| None`")
    if isinstance(given, DefaultOf):
        source: object = given.source
        if isinstance(source, str):
            return ExpressionDefault(expression=_expression(source))
        assert isinstance(
            source,
            NowDefault | Uuid7Default | SequenceDefault | ExpressionDefault | LiteralDefault,
        ), f"{source!r} comes from the functions of `fields`"
        return source
    return LiteralDefault(value=_literal(declared, kind, given))


def _literal(declared: DeclaredField, kind: ValueKind, value: Value) -> Value:
    encoded = value if kind.encode is None else kind.encode(value)
    return canonical_value(kind.type, encoded, declared.where)


def _expression(source: str | Expr) -> Expr:
    if isinstance(source, str):
        from ormdb.model.expression_text import parse_expression

        return parse_expression(source)
    return source


def implied_fields(declared: DeclaredOne) -> list[FieldDef]:
    """Return the foreign key fields that a relation without `via` adds."""
    if declared.optional and declared.options.identity:
        raise SchemaError("an identity is never NULL; take `| None` from its annotation")
    target = declaration_of(declared.target)
    names = zip(declared.foreign_names(), declared.target_names(), strict=True)
    return [
        FieldDef(name=name, type=field_type(target, there), optional=declared.optional)
        for name, there in names
    ]


def field_type(declaration: Declaration, name: str) -> Type:
    """Return the type of a field by its name in the schema, be it declared or implied.

    Raises:
      SchemaError: there is none, or its type cannot be read.
    """
    declared = declaration.fields.get(name)
    if declared is not None:
        return declared.kind.type
    for one in declaration.relations.values():
        if isinstance(one, DeclaredOne) and not one.is_back and one.options.via is None:
            for own, there in zip(one.foreign_names(), one.target_names(), strict=True):
                if own == name:
                    return field_type(declaration_of(one.target), there)
    known = ", ".join(declaration.fields)
    raise SchemaError(f"{declaration.entity.__name__} has no field {name!r}; it has {known}")


# --- indexes and checks -----------------------------------------------------------------------


def _index_defs(declaration: Declaration, findings: Findings) -> Iterator[IndexDef]:
    for one in declaration.attributes.values():
        if isinstance(one, DeclaredField):
            if one.options.unique:
                yield _plain_index((IndexField(field=one.name),), unique=True)
            if one.options.index:
                yield _plain_index((IndexField(field=one.name),), unique=False)
        elif isinstance(one, DeclaredOne) and one.options.unique:
            names = findings.attempt(one.where, one.foreign_names) or ()
            parts = tuple(IndexField(field=name) for name in names)
            yield _plain_index(parts, unique=True)
    where = declaration.entity.__name__
    for given in declaration.indexes:
        if not isinstance(given, DeclaredIndex):
            findings.add(where, f"{given!r} in __indexes__ is no index; write index(...)")
            continue
        is_ordered = given.kind == "ordered"
        function = "index()" if is_ordered else f"{given.kind}()"
        known = "unique, deferred, where, name" if is_ordered else "where, name"
        findings.unknown(where, given.unknown, function, known)
        parts = tuple(index_field(declaration, column) for column in given.columns)
        usual = index_name((p.field for p in parts), unique=given.unique, kind=given.kind)
        condition = given.where
        yield IndexDef(
            name=given.name or usual,
            fields=parts,
            unique=given.unique,
            deferred=given.deferred,
            kind=given.kind,
            condition=None
            if condition is None
            else findings.attempt(where, _expression, condition),
        )


def _plain_index(parts: tuple[IndexField, ...], *, unique: bool) -> IndexDef:
    name = index_name((part.field for part in parts), unique=unique)
    return IndexDef(name=name, fields=parts, unique=unique)


def _check_defs(declaration: Declaration, findings: Findings) -> Iterator[CheckDef]:
    for one in declaration.fields.values():
        range_ = findings.attempt(one.where, _range_check, one)
        if range_ is not None:
            yield range_
    where = declaration.entity.__name__
    for number, given in enumerate(declaration.checks, start=1):
        if not isinstance(given, DeclaredCheck):
            findings.add(where, f"{given!r} in __checks__ is no check; write check(...)")
            continue
        findings.unknown(where, given.unknown, "check()", "name")
        expression = findings.attempt(where, _expression, given.expression)
        if expression is not None:
            yield CheckDef(name=given.name or f"check_{number}", expression=expression)


_BOUNDS: Final[tuple[tuple[str, CompareOp], ...]] = (
    ("ge", ">="),
    ("gt", ">"),
    ("le", "<="),
    ("lt", "<"),
)


def _range_check(declared: DeclaredField) -> CheckDef | None:
    """What `ge=`, `gt=`, `le=` and `lt=` of a field ask of its values."""
    left = FieldRef(path=(declared.name,))
    asked: list[Expr] = []
    for name, op in _BOUNDS:
        value: Any = getattr(declared.options, name)
        if value is not None:
            right = Literal(value=_literal(declared, declared.kind, value))
            asked.append(Compare(op=op, left=left, right=right))
    if not asked:
        return None
    expression = asked[0] if len(asked) == 1 else And(items=tuple(asked))
    return CheckDef(name=f"range_{declared.name}", expression=expression)
