"""Relations of a schema: foreign keys with both ends named, and ways over edge entities.

    Flight.origin: One[Airport]                           RelationDef  Flight.(origin_faa)
    Airport.departures: Many[Flight] = many(inverse=...)    -> Airport.(faa), inverse departures

    Movie.actors = many(through="Cast.movie", to="person")  ThroughDef  Movie -> Cast -> Person

A back side belongs to exactly one foreign key, which it names; whoever reads the bundle finds both
names in one place.

Invariants (held by tests/unit/model/test_build.py):
  1. Every back side that is declared is the inverse of one RelationDef, or a mistake.
  2. A back side to one row has a unique index over the foreign key.
"""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, cast

from ormdb.errors import SchemaError
from ormdb.ir.schema import (
    EntityDef,
    IndexDef,
    IndexField,
    IndexKind,
    OnDelete,
    RelationDef,
    ThroughDef,
)
from ormdb.model.declaration import (
    Declaration,
    DeclaredField,
    DeclaredMany,
    DeclaredOne,
    Descending,
    as_names,
    declaration_of,
)
from ormdb.model.fields import Marker
from ormdb.model.findings import Findings

_Back = DeclaredOne | DeclaredMany


def build_relations(
    declarations: Sequence[Declaration], findings: Findings
) -> tuple[RelationDef, ...]:
    """Return the foreign keys of all classes, with the names of their back sides."""
    known = {declaration.entity for declaration in declarations}
    backs = _back_sides(declarations, findings)
    found: list[RelationDef] = []
    for declaration in declarations:
        for one in declaration.relations.values():
            if isinstance(one, DeclaredOne) and not one.is_back:
                back = backs.pop((declaration.entity, one.attribute), None)
                made = findings.attempt(one.where, _relation_def, one, back, known)
                found += [] if made is None else [made]
    for back in backs.values():
        findings.add(back.where, _no_relation(back))
    return tuple(found)


def _back_sides(
    declarations: Sequence[Declaration], findings: Findings
) -> dict[tuple[type, str], _Back]:
    """The back sides by the class and the attribute of the foreign key that they name."""
    found: dict[tuple[type, str], _Back] = {}
    for declaration in declarations:
        for one in declaration.relations.values():
            if one.options.inverse is None:
                continue
            target = findings.attempt(one.where, _target_of, one)
            if target is None:
                continue
            front = declaration_of(target).relation_named(one.options.inverse)
            key = (target, one.options.inverse if front is None else front.attribute)
            if isinstance(one, DeclaredOne) and not one.optional:
                findings.add(
                    one.where, f"no row may lead back; write One[{target.__name__} | None]"
                )
            if key in found:
                findings.add(
                    one.where,
                    f"{found[key].where} is the back of {target.__name__}.{key[1]} already; "
                    "take one of them away",
                )
            found.setdefault(key, one)
    return found


def _target_of(side: _Back) -> type:
    return side.target


def _relation_def(one: DeclaredOne, back: _Back | None, known: set[type]) -> RelationDef:
    options, target = one.options, one.target
    if target not in known:
        raise SchemaError(f"{target.__name__} is not in the schema; add it to schema=[...]")
    if back is not None and back.owner is not target:
        raise SchemaError(
            f"{back.where} is no back of it, because it leads to {target.__name__}; "
            "name another relation there"
        )
    _check_optional(one)
    return RelationDef(
        name=one.name,
        source=declaration_of(one.owner).name,
        fields=one.foreign_names(),
        target=declaration_of(target).name,
        target_fields=one.target_names(),
        inverse=None if back is None else back.name,
        inverse_one=isinstance(back, DeclaredOne),
        on_delete=_on_delete(options.on_delete),
        enforced=options.enforced,
        deferred=options.deferred,
        doc=options.doc,
    )


def _check_optional(one: DeclaredOne) -> None:
    """What may lead nowhere must say so, because its readers are told by the type."""
    if one.optional:
        return
    target = one.target.__name__
    if not one.options.enforced:
        raise SchemaError(
            f"a relation that is not enforced may lead nowhere; write One[{target} | None]"
        )
    own = declaration_of(one.owner).fields
    for name in as_names(one.options.via):
        declared = own.get(declaration_of(one.owner).field_name(name))
        if declared is None:
            raise SchemaError(f"via names {name!r}, which is no field; it has {', '.join(own)}")
        if declared.kind.optional:
            raise SchemaError(f"{declared.where} may be NULL; write One[{target} | None]")


def _on_delete(given: str) -> OnDelete:
    if given not in (known := typing.get_args(OnDelete)):
        raise SchemaError(f"on_delete={given!r} is unknown; it is one of {', '.join(known)}")
    return cast("OnDelete", given)


def _no_relation(back: _Back) -> str:
    target = back.target
    ones = declaration_of(target).relations.values()
    fronts = [one.attribute for one in ones if isinstance(one, DeclaredOne) and not one.is_back]
    known = ", ".join(fronts) or "none"
    return (
        f"{target.__name__} has no relation {back.options.inverse!r} in this schema that it could "
        f"be the back of; it has {known}"
    )


def with_back_indexes(
    entities: Sequence[EntityDef], relations: Sequence[RelationDef]
) -> tuple[EntityDef, ...]:
    """Return the entities with the unique indexes that back sides to one row need."""
    found = {entity.name: entity for entity in entities}
    for relation in relations:
        entity = found[relation.source]
        if not relation.inverse_one or set(relation.fields) == set(entity.identity):
            continue
        if any(_is_key(index, relation.fields) for index in entity.indexes):
            continue
        parts = tuple(IndexField(field=name) for name in relation.fields)
        made = IndexDef(name=index_name(relation.fields, unique=True), fields=parts, unique=True)
        found[entity.name] = dataclasses.replace(entity, indexes=(*entity.indexes, made))
    return tuple(found[entity.name] for entity in entities)


def _is_key(index: IndexDef, names: Sequence[str]) -> bool:
    """Whether no two rows have the same values in these fields, because of an index."""
    return (
        index.unique
        and not index.deferred
        and index.condition is None
        and sorted(part.field for part in index.fields) == sorted(names)
    )


# --- many to many -----------------------------------------------------------------------------


def build_throughs(
    declarations: Sequence[Declaration], findings: Findings
) -> tuple[ThroughDef, ...]:
    """Return the ways over edge entities."""
    return tuple(_throughs(declarations, findings))


def _throughs(declarations: Sequence[Declaration], findings: Findings) -> Iterator[ThroughDef]:
    by_name = {one.name: one for one in declarations}
    by_name.update({one.entity.__name__: one for one in declarations})
    for declaration in declarations:
        for one in declaration.relations.values():
            if isinstance(one, DeclaredMany):
                made = findings.attempt(one.where, _through_def, one, by_name)
                if made is not None:
                    yield made


def _through_def(many: DeclaredMany, by_name: dict[str, Declaration]) -> ThroughDef | None:
    options = many.options
    if options.through is None:
        if options.inverse is None:
            raise SchemaError(
                'it says no way; write many(inverse="origin"), or many(through="Cast.movie", '
                'to="person")'
            )
        if options.to is not None or options.order_by != () or options.doc:
            raise SchemaError("to=, order_by= and doc= go with through=; take them away")
        return None
    if options.inverse is not None or options.to is None:
        raise SchemaError('write many(through="Cast.movie", to="person"), without inverse=')
    edge_name, _, near_name = options.through.rpartition(".")
    edge = by_name.get(edge_name)
    if edge is None:
        raise SchemaError(
            f"through={options.through!r} names no entity of the schema; "
            'write "Cast.movie": the edge entity and its relation to this one'
        )
    near, far = _front(edge, near_name), _front(edge, options.to)
    if near.target is not many.owner:
        raise SchemaError(f"{near.where} leads to {near.target.__name__}, not to this entity")
    if far.target is not many.target:
        raise SchemaError(f"{far.where} leads to {far.target.__name__}, not to {many.target!r}")
    given = options.order_by
    columns = given if isinstance(given, tuple) else (given,)
    return ThroughDef(
        name=many.name,
        entity=declaration_of(many.owner).name,
        edge=edge.name,
        near=near.name,
        far=far.name,
        target=declaration_of(many.target).name,
        order=tuple(index_field(edge, column) for column in columns),
        doc=options.doc,
    )


def _front(edge: Declaration, name: str) -> DeclaredOne:
    found = edge.relation_named(name)
    if isinstance(found, DeclaredOne) and not found.is_back:
        return found
    ones = edge.relations.values()
    fronts = [one.attribute for one in ones if isinstance(one, DeclaredOne) and not one.is_back]
    known = ", ".join(fronts) or "none"
    raise SchemaError(f"{edge.entity.__name__} has no foreign key {name!r}; it has {known}")


# --- names of indexes -------------------------------------------------------------------------


def index_name(names: Iterable[str], *, unique: bool = False, kind: IndexKind = "ordered") -> str:
    """Return what an index is called that was given no name."""
    usual = "by" if kind == "ordered" else kind
    return "_".join(["unique" if unique else usual, *names])


def index_field(declaration: Declaration, column: object) -> IndexField:
    """Return what a column of an index or of an order means."""
    descending = isinstance(column, Descending)
    named: Any = column.field if isinstance(column, Descending) else column
    if isinstance(named, Marker):
        declared: DeclaredField | None = getattr(named, "declared", None)
        named = column if declared is None else declared.attribute
    return IndexField(field=declaration.field_name(str(named)), descending=descending)
