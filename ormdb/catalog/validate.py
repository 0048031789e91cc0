"""Whether a declared schema can be: every mistake found, all told at once.

    SchemaError: the schema has 2 mistakes:
      - relation Flight.origin: Airport.(iata) is neither the identity of Airport nor the fields of
        one of its unique indexes; declare one, or refer to (faa)
      - Flight.gain: the computed fields gain -> loss -> gain depend on each other in a circle;
        compute one of them from plain fields

Nothing here stops at the first mistake, and no rule runs on ground that another rule has found
missing: a relation to an entity that does not exist is one mistake, not five.

Invariants (held by tests/unit/catalog/test_validate.py and tests/property/test_catalog.py):
  1. A bundle that passes can be normalized, numbered, stored and laid out.
  2. What is declared but not built yet is refused by name.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

from ormdb import limits
from ormdb.catalog.validate_fields import check_fields
from ormdb.catalog.validate_indexes import check_index, check_stored_scalars
from ormdb.errors import SchemaError
from ormdb.ir.schema import EntityDef, RelationDef, SchemaBundle, ThroughDef
from ormdb.ir.show import show_value
from ormdb.ir.value import DecimalType, TextType, Type, is_scalar

_SPACES_OF_STORE: Final = 3  # meta, catalog, changes
_SPACES_PER_ENTITY: Final = 4  # rows, history, identity, identity_history
_SPACES_PER_INDEX: Final = 2


def validate(bundle: SchemaBundle) -> None:
    """Refuse a bundle that contradicts itself or asks for what is not built.

    Raises:
      SchemaError: `problems` lists every mistake.
    """
    # A name in a sentence may be the very one whose characters are the mistake.
    problems = [
        "".join(char if char.isprintable() else "?" for char in problem)
        for problem in _problems(bundle)
    ]
    if problems:
        count = "a mistake" if len(problems) == 1 else f"{len(problems)} mistakes"
        listed = "".join(f"\n  - {problem}" for problem in problems)
        raise SchemaError(f"the schema has {count}:{listed}", problems=tuple(problems))


def _problems(bundle: SchemaBundle) -> Iterable[str]:
    yield from _limits(bundle)
    yield from _repeated("the schema", "entity", [entity.name for entity in bundle.entities])
    for entity in bundle.entities:
        yield from _entity(entity)
    yield from _docs(bundle)
    entities = {entity.name: entity for entity in bundle.entities}
    for relation in bundle.relations:
        yield from _relation(relation, entities)
    for through in bundle.throughs:
        yield from _through(through, entities, bundle.relations)
    for entity in bundle.entities:
        yield from _members(entity, bundle)


def _limits(bundle: SchemaBundle) -> Iterable[str]:
    count = len(bundle.entities)
    if count > limits.ENTITIES_MAX:
        yield f"the schema has {count} entities; {limits.ENTITIES_MAX} at most"
    indexes = sum(len(entity.indexes) for entity in bundle.entities) + len(bundle.relations)
    soft = sum(entity.soft_delete for entity in bundle.entities)
    spaces = _SPACES_OF_STORE + _SPACES_PER_ENTITY * count + _SPACES_PER_INDEX * (indexes + soft)
    if spaces > limits.SPACES_MAX:
        yield (
            f"the schema needs {spaces} spaces for its entities, indexes and relations; "
            f"{limits.SPACES_MAX} at most, so declare fewer indexes"
        )


def _docs(bundle: SchemaBundle) -> Iterable[str]:
    docs = [("the schema", bundle.doc)]
    for entity in bundle.entities:
        docs.append((entity.name, entity.doc))
        docs += [(f"{entity.name}.{field.name}", field.doc) for field in entity.fields]
    docs += [(f"relation {r.source}.{r.name}", r.doc) for r in bundle.relations]
    docs += [(f"relation {t.entity}.{t.name}", t.doc) for t in bundle.throughs]
    for where, doc in docs:
        if any("\ud800" <= char <= "\udfff" for char in doc):
            yield f"the doc of {where} holds half of a surrogate pair; decode it properly"


def _entity(entity: EntityDef) -> Iterable[str]:
    yield from name_problems(f"entity {entity.name!r}", entity.name)
    count = len(entity.fields)
    if count > limits.FIELDS_PER_ENTITY_MAX:
        yield f"{entity.name} has {count} fields; {limits.FIELDS_PER_ENTITY_MAX} at most"
    for field in entity.fields:
        yield from name_problems(f"{entity.name}.{field.name!s}", field.name)
    yield from _repeated(entity.name, "field", [field.name for field in entity.fields])
    yield from check_fields(entity)
    yield from _identity(entity)
    yield from _repeated(entity.name, "index", [index.name for index in entity.indexes])
    yield from _repeated(entity.name, "check", [check.name for check in entity.checks])
    for index in entity.indexes:
        yield from name_problems(f"index {index.name!r} of {entity.name}", index.name)
        yield from check_index(entity, index)
    for check in entity.checks:
        yield from name_problems(f"check {check.name!r} of {entity.name}", check.name)


def _identity(entity: EntityDef) -> Iterable[str]:
    if not entity.identity:
        yield f"{entity.name} has no identity; name the field or fields that tell its rows apart"
    yield from _repeated(f"the identity of {entity.name}", "field", entity.identity)
    fields = {field.name: field for field in entity.fields}
    for name in dict.fromkeys(entity.identity):
        field = fields.get(name)
        if field is None:
            yield f"the identity of {entity.name} names {name!r}, which is not one of its fields"
            continue
        if not is_scalar(field.type):
            yield f"{entity.name}.{name} is no scalar and cannot be part of the identity"
        if field.optional:
            yield f"{entity.name}.{name} is part of the identity and cannot be optional"
        if field.computed is not None:
            yield f"{entity.name}.{name} is computed and cannot be part of the identity"


# --- relations ----------------------------------------------------------------------------------


def _relation(relation: RelationDef, entities: dict[str, EntityDef]) -> Iterable[str]:
    where = f"relation {relation.source}.{relation.name}"
    yield from name_problems(where, relation.name)
    if relation.inverse is not None:
        yield from name_problems(f"the inverse of {where}", relation.inverse)
    elif relation.inverse_one:
        yield f"{where} says its inverse is to one row, but names no inverse"
    missing = [name for name in (relation.source, relation.target) if name not in entities]
    for name in dict.fromkeys(missing):
        yield f"{where} names the entity {name!r}, which is not declared"
    if missing:
        return
    source, target = entities[relation.source], entities[relation.target]
    yield from _relation_fields(where, relation, source, target)
    if relation.inverse_one and not _is_unique(source, relation.fields):
        yield (
            f"{where} says that {relation.target}.{relation.inverse} is one row, but several rows "
            f"can have the same ({', '.join(relation.fields)}); declare a unique index over "
            "exactly these fields, which is not deferred"
        )
    yield from _on_delete(where, relation, source)
    if relation.on_delete == "cascade" and target.soft_delete and not source.soft_delete:
        yield (
            f"{where}: {target.name} is deleted softly, and the {source.name} that goes with it "
            f"could not be restored; let {source.name} be deleted softly as well, or use restrict"
        )


def _relation_fields(
    where: str, relation: RelationDef, source: EntityDef, target: EntityDef
) -> Iterable[str]:
    if not relation.fields or len(relation.fields) != len(relation.target_fields):
        yield (
            f"{where} has {len(relation.fields)} fields for {len(relation.target_fields)} fields "
            f"of {target.name}; name as many on both sides, at least one"
        )
        return
    yield from _repeated(where, "field", relation.fields)
    broken = [
        *check_stored_scalars(where, source, relation.fields),
        *check_stored_scalars(where, target, relation.target_fields),
    ]
    yield from broken
    if broken:
        return
    own = {field.name: field.type for field in source.fields}
    theirs = {field.name: field.type for field in target.fields}
    for name, target_name in zip(relation.fields, relation.target_fields, strict=True):
        if not _have_same_keys(own[name], theirs[target_name]):
            yield (
                f"{where}: {source.name}.{name} and {target.name}.{target_name} are of different "
                "types; declare both alike"
            )
    if any(name not in theirs for name in target.identity):
        return
    if relation.target_fields != target.identity and not _has_unique_index(
        target, relation.target_fields
    ):
        yield (
            f"{where}: {target.name}.({', '.join(relation.target_fields)}) is neither the "
            f"identity of {target.name} nor the fields of one of its unique indexes that is not "
            f"deferred; declare one, or refer to ({', '.join(target.identity)})"
        )


def _on_delete(where: str, relation: RelationDef, source: EntityDef) -> Iterable[str]:
    if relation.on_delete in {"cascade", "set_null"} and not relation.enforced:
        yield (
            f"{where}: on delete {relation.on_delete.replace('_', ' ')} is for enforced relations, "
            "and this one is not; enforce it, or take the word away"
        )
    if relation.deferred and not relation.enforced:
        yield (
            f"{where} is deferred, but nothing is checked that is not enforced; "
            "enforce it, or take the word away"
        )
    if relation.on_delete == "set_null":
        fields = {field.name: field for field in source.fields}
        own = [fields[name] for name in dict.fromkeys(relation.fields) if name in fields]
        for field in own:
            if field.computed is not None:
                yield f"{where}: on delete set null cannot set {field.name}, which is computed"
            elif not field.optional:
                yield f"{where}: on delete set null needs {source.name}.{field.name} to be optional"


def _through(
    through: ThroughDef, entities: dict[str, EntityDef], relations: Sequence[RelationDef]
) -> Iterable[str]:
    where = f"relation {through.entity}.{through.name} through {through.edge}"
    yield from name_problems(where, through.name)
    named = (through.entity, through.edge, through.target)
    missing = [name for name in dict.fromkeys(named) if name not in entities]
    for name in missing:
        yield f"{where} names the entity {name!r}, which is not declared"
    if missing:
        return
    by_name = {r.name: r for r in relations if r.source == through.edge}
    ways = (("near", through.near, through.entity), ("far", through.far, through.target))
    for side, name, end in ways:
        relation = by_name.get(name)
        if relation is None:
            yield f"{where}: {through.edge} has no relation {name!r} for the {side} side"
        elif relation.target != end and relation.target in entities:
            yield f"{where}: {through.edge}.{name} leads to {relation.target}, not to {end}"
    near = by_name.get(through.near)
    if near is not None and not near.enforced and near.inverse is None:
        yield (
            f"{where} follows {through.edge}.{through.near} backwards, which keeps no index as it "
            "is neither enforced nor has an inverse; name its inverse"
        )
    if through.near == through.far:
        yield f"{where} goes in and out by the same relation {through.near!r}; name two"
    names = [part.field for part in through.order]
    yield from _repeated(f"the order of {where}", "field", names)
    yield from check_stored_scalars(f"the order of {where}", entities[through.edge], names)


def _members(entity: EntityDef, bundle: SchemaBundle) -> Iterable[str]:
    """Fields, relations, inverses and throughs of one entity share one set of names."""
    members = [(field.name, "a field") for field in entity.fields]
    members += [(r.name, "a relation") for r in bundle.relations if r.source == entity.name]
    members += [
        (r.inverse, f"the inverse of {r.source}.{r.name}")
        for r in bundle.relations
        if r.target == entity.name and r.inverse is not None
    ]
    members += [
        (t.name, f"a relation through {t.edge}") for t in bundle.throughs if t.entity == entity.name
    ]
    owners: dict[str, list[str]] = {}
    for name, what in members:
        owners.setdefault(name, []).append(what)
    for name, whats in owners.items():
        if len(whats) > 1 and set(whats) != {"a field"}:
            yield (
                f"{entity.name}.{name} is declared more than once, as {' and as '.join(whats)}; "
                "rename all but one"
            )


def _has_unique_index(entity: EntityDef, names: Sequence[str]) -> bool:
    wanted = sorted(names)
    return any(
        index.unique
        and not index.deferred
        and index.condition is None
        and sorted(part.field for part in index.fields) == wanted
        for index in entity.indexes
    )


def _is_unique(entity: EntityDef, names: Sequence[str]) -> bool:
    return sorted(entity.identity) == sorted(names) or _has_unique_index(entity, names)


def _have_same_keys(left: Type, right: Type) -> bool:
    """Whether equal values of both types have equal bytes as keys."""
    if isinstance(left, DecimalType) and isinstance(right, DecimalType):
        return left.scale == right.scale
    if isinstance(left, TextType):
        return isinstance(right, TextType)
    return left == right


# --- names --------------------------------------------------------------------------------------


def name_problems(where: str, name: str) -> Iterable[str]:
    """What is wrong with a name.  Spaces, quotes and reserved words are fine."""
    if not name:
        yield f"{where} has an empty name; give it one"
    if len(name) > limits.NAME_CHARS_MAX:
        yield (
            f"{show_value(name[:20])}… is a name of {len(name)} characters; "
            f"{limits.NAME_CHARS_MAX} at most"
        )
    # Controls, halves of surrogate pairs, line and paragraph separators: none fits on a line.
    if any(unicodedata.category(char) in {"Cc", "Cs", "Zl", "Zp"} for char in name):
        yield f"the name {show_value(name)} holds a control character; leave it out"


def _repeated(where: str, what: str, names: Iterable[str]) -> Iterable[str]:
    for name, count in Counter(names).items():
        if count > 1:
            yield f"{where} names the {what} {name!r} {count} times; once is enough"
