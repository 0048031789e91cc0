"""What lies between two bundles, change by change, in words.

    + field Flight.gate: text?
    + entity Plane (tailnum: text, seats: int?)
    ~ doc of Airport
    these touch rows:
    - field Flight.tailnum
    ~ type of Flight.distance: int -> float

A change that *touches no row* can be applied by one catalog commit: every row stays as it is and
is right under the new bundle.  What counts as such:

    new entity, with its indexes, checks and relations        it has no rows
    new optional field, new field computed when read          old rows read NULL, or compute it
    new required field with a fill, or a literal default      old rows read the fill
    new relation over a field that is itself new here         old rows have NULL there
      and optional, without fill
    other default than before (but a sequence)                for later inserts only
    inverse of a relation named, renamed or dropped           while the relation keeps its index
    many-to-many relations, docs, the order of fields         nothing is stored for them

Everything else counts as touching rows, also where a closer look might prove it harmless.

Invariants (held by tests/property/test_catalog.py and tests/property/test_schema_growth.py):
  1. The diff is empty exactly when both bundles have the same hash, once the fills that the new
     one leaves out are those of the old one.
  2. Applying a diff that touches no row leaves every stored row valid.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal as Choice
from typing import TypeVar

from ormdb.catalog.assign import settle_fills
from ormdb.catalog.declared import relation_key, strip_numbers, through_key
from ormdb.catalog.text import (
    computed_text,
    default_text,
    field_text,
    index_text,
    relation_text,
    through_text,
)
from ormdb.ir.canonical import Node, encode_node
from ormdb.ir.schema import (
    CheckDef,
    EntityDef,
    FieldDef,
    IndexDef,
    LiteralDefault,
    RelationDef,
    SchemaBundle,
    SequenceDefault,
    ThroughDef,
)
from ormdb.ir.type_text import type_name
from ormdb.model.expression_text import format_expression, format_literal

Named = TypeVar("Named", FieldDef, IndexDef, CheckDef)

_SIGNS = {"added": "+", "dropped": "-", "changed": "~"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One difference.  `touches_rows` is False only where that is certain."""

    kind: Choice["added", "dropped", "changed"]
    words: str
    touches_rows: bool

    def __str__(self) -> str:
        return f"{_SIGNS[self.kind]} {self.words}"


def diff_bundles(old: SchemaBundle, new: SchemaBundle) -> tuple[Change, ...]:
    """Return every change from `old` to `new`, numbers aside.

    Both are normalized; a fill that `new` leaves out is the one that `old` has.
    """
    return tuple(_changes(strip_numbers(old), strip_numbers(settle_fills(new, old))))


def format_changes(changes: Sequence[Change]) -> str:
    """Return the changes as lines of text; those that touch rows come last, under a heading."""
    if not changes:
        return "no changes"
    light = [str(change) for change in changes if not change.touches_rows]
    heavy = [str(change) for change in changes if change.touches_rows]
    return "\n".join([*light, *(["these touch rows:", *heavy] if heavy else [])])


def _changes(old: SchemaBundle, new: SchemaBundle) -> Iterator[Change]:
    if old.doc != new.doc:
        yield _changed("doc of the schema", touches_rows=False)
    old_entities = {entity.name: entity for entity in old.entities}
    new_entities = {entity.name: entity for entity in new.entities}
    for name in old_entities:
        if name not in new_entities:
            yield Change(kind="dropped", words=f"entity {name}", touches_rows=True)
    for name, entity in new_entities.items():
        before = old_entities.get(name)
        if before is None:
            fields = ", ".join(map(field_text, entity.fields))
            words = f"entity {name} ({fields})"
            yield Change(kind="added", words=words, touches_rows=False)
        else:
            yield from _entity(before, entity)
    yield from _relations(old, new, old_entities, new_entities)
    yield from _throughs(old, new)


def _entity(old: EntityDef, new: EntityDef) -> Iterator[Change]:
    if old.doc != new.doc:
        yield _changed(f"doc of {new.name}", touches_rows=False)
    if old.identity != new.identity:
        change = f"({', '.join(old.identity)}) -> ({', '.join(new.identity)})"
        yield _changed(f"identity of {new.name}: {change}", touches_rows=True)
    if old.soft_delete != new.soft_delete:
        how = "softly" if new.soft_delete else "for good"
        # Nothing could reach rows any longer that were deleted softly before.
        yield _changed(f"{new.name} is deleted {how} now", touches_rows=not new.soft_delete)
    yield from _fields(old, new)
    for before, after in _pairs(old.indexes, new.indexes):
        yield from _index(new.name, before, after)
    for held, holds in _pairs(old.checks, new.checks):
        yield from _check(new.name, held, holds)


def _fields(old: EntityDef, new: EntityDef) -> Iterator[Change]:
    for before, after in _pairs(old.fields, new.fields):
        if after is None:
            assert before is not None
            words = f"field {new.name}.{before.name}"
            yield Change(kind="dropped", words=words, touches_rows=True)
        elif before is None:
            words = f"field {new.name}.{field_text(after)}"
            if after.fill is not None:
                words += f", filled with {format_literal(after.fill)}"
            yield Change(kind="added", words=words, touches_rows=_new_field_touches_rows(after))
        else:
            yield from _field(f"{new.name}.{after.name}", before, after)
    kept = {field.name for field in old.fields} & {field.name for field in new.fields}
    if [f.name for f in old.fields if f.name in kept] != [
        f.name for f in new.fields if f.name in kept
    ]:
        yield _changed(f"order of the fields of {new.name}", touches_rows=False)


def _new_field_touches_rows(field: FieldDef) -> bool:
    if field.computed is not None:
        return field.computed.stored
    if isinstance(field.default, SequenceDefault):
        return True  # whoever takes numbers expects old rows to have some
    return not field.optional and field.fill is None


def _field(where: str, old: FieldDef, new: FieldDef) -> Iterator[Change]:
    if old.type != new.type:
        words = f"type of {where}: {type_name(old.type)} -> {type_name(new.type)}"
        yield _changed(words, touches_rows=True)
    if old.optional != new.optional:
        words = f"{where} is {'optional' if new.optional else 'required'} now"
        yield _changed(words, touches_rows=True)
    if not _same(old.default, new.default):
        before = "none" if old.default is None else default_text(old.default)
        after = "none" if new.default is None else default_text(new.default)
        yield _changed(
            f"default of {where}: {before} -> {after}",
            touches_rows=isinstance(new.default, SequenceDefault),
        )
    if not _same(old.computed, new.computed):
        before = "plain" if old.computed is None else computed_text(old.computed)
        after = "plain" if new.computed is None else computed_text(new.computed)
        yield _changed(f"computation of {where}: {before} -> {after}", touches_rows=True)
    if not _same(LiteralDefault(value=old.fill), LiteralDefault(value=new.fill)):
        change = f"{format_literal(old.fill)} -> {format_literal(new.fill)}"
        yield _changed(f"fill of {where}: {change}", touches_rows=True)
    if old.doc != new.doc:
        yield _changed(f"doc of {where}", touches_rows=False)


def _index(entity: str, old: IndexDef | None, new: IndexDef | None) -> Iterator[Change]:
    if _same(old, new):
        return
    if new is None:
        assert old is not None
        yield Change(kind="dropped", words=f"index {entity}.{old.name}", touches_rows=True)
    elif old is None:
        yield Change(kind="added", words=f"{index_text(new)} of {entity}", touches_rows=True)
    else:
        words = f"index {entity}.{new.name}: {index_text(old)} -> {index_text(new)}"
        # Sooner or later, what is unique between two commits stays so.
        yield _changed(words, touches_rows=not _same(replace(old, deferred=new.deferred), new))


def _check(entity: str, old: CheckDef | None, new: CheckDef | None) -> Iterator[Change]:
    if _same(old, new):
        return
    if new is None:
        assert old is not None
        yield Change(kind="dropped", words=f"check {entity}.{old.name}", touches_rows=True)
        return
    after = format_expression(new.expression)
    if old is None:
        words = f"check {entity}.{new.name}: {after}"
        yield Change(kind="added", words=words, touches_rows=True)
    else:
        words = f"check {entity}.{new.name}: {format_expression(old.expression)} -> {after}"
        yield _changed(words, touches_rows=True)


# --- relations ----------------------------------------------------------------------------------


def _relations(
    old: SchemaBundle,
    new: SchemaBundle,
    old_entities: Mapping[str, EntityDef],
    new_entities: Mapping[str, EntityDef],
) -> Iterator[Change]:
    before = {relation_key(relation): relation for relation in old.relations}
    after = {relation_key(relation): relation for relation in new.relations}
    for key, relation in before.items():
        # Those of a dropped entity are dropped with it.
        if key not in after and relation.source in new_entities:
            words = f"relation {'.'.join(key)}"
            yield Change(kind="dropped", words=words, touches_rows=True)
    for key, relation in after.items():
        kept = before.get(key)
        if kept is not None:
            yield from _relation(kept, relation)
            continue
        source = new_entities[relation.source]
        yield Change(
            kind="added",
            words=relation_text(relation),
            touches_rows=not _is_null_in_old_rows(
                relation, old_entities.get(relation.source), source
            ),
        )


def _is_null_in_old_rows(relation: RelationDef, old: EntityDef | None, new: EntityDef) -> bool:
    """Whether no row that exists refers to anything over this relation."""
    if old is None:
        return True
    existing = {field.name for field in old.fields}
    return any(
        field.name in relation.fields
        and field.name not in existing
        and field.optional
        and field.fill is None
        and field.computed is None
        for field in new.fields
    )


def _relation(old: RelationDef, new: RelationDef) -> Iterator[Change]:
    where = f"relation {new.source}.{new.name}"
    if relation_text(old) != relation_text(new):
        words = f"{relation_text(old)} -> {relation_text(new)}"
        yield _changed(words, touches_rows=True)
    if old.inverse != new.inverse:
        change = f"{old.inverse or 'none'} -> {new.inverse or 'none'}"
        # An unenforced relation has an index exactly while it has an inverse.
        has_index = new.enforced or (old.inverse is not None and new.inverse is not None)
        yield _changed(f"inverse of {where}: {change}", touches_rows=not has_index)
    if old.inverse_one != new.inverse_one:
        words = f"inverse of {where} leads to {'one row' if new.inverse_one else 'many rows'} now"
        yield _changed(words, touches_rows=True)
    if old.on_delete != new.on_delete:
        change = f"{old.on_delete} -> {new.on_delete}".replace("_", " ")
        yield _changed(f"on delete of {where}: {change}", touches_rows=True)
    if old.deferred != new.deferred:
        when = "when the transaction ends" if new.deferred else "at once"
        # What is checked later or sooner holds all the same between two commits.
        yield _changed(f"{where} is checked {when} now", touches_rows=False)
    if old.enforced != new.enforced:
        words = f"{where} is {'enforced' if new.enforced else 'not enforced'} now"
        yield _changed(words, touches_rows=True)
    if old.doc != new.doc:
        yield _changed(f"doc of {where}", touches_rows=False)


def _throughs(old: SchemaBundle, new: SchemaBundle) -> Iterator[Change]:
    before = {through_key(through): through for through in old.throughs}
    after = {through_key(through): through for through in new.throughs}
    for key, through in before.items():
        if key not in after:
            words = through_text(through)
            yield Change(kind="dropped", words=words, touches_rows=False)
    for key, through in after.items():
        kept = before.get(key)
        if kept is None:
            yield Change(kind="added", words=through_text(through), touches_rows=False)
        elif kept != through:
            yield from _through(kept, through)


def _through(old: ThroughDef, new: ThroughDef) -> Iterator[Change]:
    if through_text(old) != through_text(new):
        yield _changed(f"{through_text(old)} -> {through_text(new)}", touches_rows=False)
    if old.order != new.order:
        yield _changed(f"order of {through_text(new)}", touches_rows=False)
    if old.doc != new.doc:
        yield _changed(f"doc of {through_text(new)}", touches_rows=False)


def _changed(words: str, *, touches_rows: bool) -> Change:
    return Change(kind="changed", words=words, touches_rows=touches_rows)


def _pairs(old: Sequence[Node], new: Sequence[Node]) -> Iterator[tuple[Node | None, Node | None]]:
    """What has the same name on both sides, together: first what is gone, then what is there."""
    before = {item.name: item for item in old}
    after = {item.name: item for item in new}
    for name, item in before.items():
        if name not in after:
            yield item, None
    for name, item in after.items():
        yield before.get(name), item


def _same(left: Node | None, right: Node | None) -> bool:
    """Whether both mean the same; `==` takes 1, 1.0 and True for one literal."""
    if left is None or right is None:
        return left is right
    return left == right and encode_node(left) == encode_node(right)
