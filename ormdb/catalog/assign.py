"""Numbers for what a bundle declares, never used again for anything else.

    stored   airport id 1   faa slot 0, name slot 1, alt slot 2      marks: slots 3
    declared airport        faa, name, tz           (alt is gone, tz is new)
    numbered airport id 1   faa slot 0, name slot 1, tz slot 3       marks: slots 4

A number is kept by name.  The marks say how far each kind of number has been given out; they are
stored beside every version, because what was dropped last is in no bundle any more.

A row stores a hidden slot for each enforced relation whose target is not addressed by one int
identity: the target's row number.  Fields and hidden slots of one entity share its numbers.

Old rows read a slot they do not have as its field's *fill*.  A new required field with a literal
default and no fill of its own gets that default as its fill, once: the fill never changes
afterwards, whatever becomes of the default.

Invariants (held by tests/unit/catalog/test_assign.py and tests/property/test_catalog.py):
  1. Over any series of versions, a number never means two things.
  2. Numbering a bundle again that is stored already changes nothing.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from ormdb.catalog.declared import relation_key
from ormdb.ir.canonical import encode_node
from ormdb.ir.expression_type import paths_in
from ormdb.ir.schema import (
    UNASSIGNED,
    EntityDef,
    FieldDef,
    IndexDef,
    LiteralDefault,
    RelationDef,
    SchemaBundle,
)
from ormdb.ir.value import IntType, Value


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberMarks:
    """The next number of each kind; `slots` by the id of a living entity."""

    entity: int = 1
    relation: int = 1
    index: int = 1
    slots: Mapping[int, int] = field(default_factory=dict[int, int])


def assign_numbers(
    declared: SchemaBundle, stored: SchemaBundle | None, marks: NumberMarks | None = None
) -> SchemaBundle:
    """Return the declared bundle with the numbers it has, or gets, in the catalog.

    Args:
      declared: a valid, normalized bundle; numbers in it are ignored.
      stored: the newest stored version, whose numbers are kept by name.
      marks: how far numbers were given out; None to infer it from `stored` alone, which is right
        only if nothing was ever dropped.
    """
    if marks is None:
        marks = marks_after(NumberMarks(), stored)
    return _Assignment(settle_fills(declared, stored), stored, marks).run()


def marks_after(marks: NumberMarks, bundle: SchemaBundle | None) -> NumberMarks:
    """Return the marks when `bundle` has been numbered as well."""
    if bundle is None:
        return marks
    slots: dict[int, int] = {}
    for entity in bundle.entities:
        used = [each.slot for each in entity.fields]
        used += [r.slot for r in bundle.relations if r.source == entity.name]
        slots[entity.id] = max(marks.slots.get(entity.id, 0), max(used, default=-1) + 1)
    return NumberMarks(
        entity=max([marks.entity, *(entity.id + 1 for entity in bundle.entities)]),
        relation=max([marks.relation, *(relation.id + 1 for relation in bundle.relations)]),
        index=max([marks.index, *(i.id + 1 for e in bundle.entities for i in e.indexes)]),
        slots=slots,
    )


def settle_fills(declared: SchemaBundle, stored: SchemaBundle | None) -> SchemaBundle:
    """Return the bundle with the fill that each field has once it is stored."""
    old_entities = {entity.name: entity for entity in stored.entities} if stored else {}
    return replace(
        declared,
        entities=tuple(
            replace(
                entity,
                fields=tuple(
                    replace(each, fill=_settled_fill(each, old_entities.get(entity.name)))
                    for each in entity.fields
                ),
            )
            for entity in declared.entities
        ),
    )


def needs_slot(relation: RelationDef, target: EntityDef) -> bool:
    """Whether rows store the target's row number in a hidden slot of the relation."""
    if not relation.enforced:
        return False
    kinds = {each.name: each.type for each in target.fields}
    is_row_number = len(target.identity) == 1 and isinstance(kinds[target.identity[0]], IntType)
    return not (is_row_number and relation.target_fields == target.identity)


def _settled_fill(declared: FieldDef, entity: EntityDef | None) -> Value:
    """What rows of the stored entity that are older than the field read as."""
    if declared.fill is not None or entity is None:
        return declared.fill
    old = next((each for each in entity.fields if each.name == declared.name), None)
    if old is not None and old.type == declared.type:
        return old.fill
    if isinstance(declared.default, LiteralDefault) and not declared.optional:
        return declared.default.value
    return None


class _Assignment:
    """One numbering."""

    def __init__(
        self, declared: SchemaBundle, stored: SchemaBundle | None, marks: NumberMarks
    ) -> None:
        self._declared = declared
        self._old_entities = {e.name: e for e in stored.entities} if stored else {}
        self._old_relations = {relation_key(r): r for r in stored.relations} if stored else {}
        self._next_entity = itertools.count(marks.entity)
        self._next_relation = itertools.count(marks.relation)
        self._next_index = itertools.count(marks.index)
        self._marks = marks
        self._next_slot: dict[str, itertools.count[int]] = {}

    def run(self) -> SchemaBundle:
        entities = tuple(map(self._entity, self._declared.entities))
        by_name = {entity.name: entity for entity in entities}
        return replace(
            self._declared,
            entities=entities,
            relations=tuple(self._relation(r, by_name) for r in self._declared.relations),
        )

    def _entity(self, entity: EntityDef) -> EntityDef:
        old = self._old_entities.get(entity.name)
        number = next(self._next_entity) if old is None else old.id
        self._next_slot[entity.name] = itertools.count(self._marks.slots.get(number, 0))
        old_fields = {each.name: each for each in old.fields} if old else {}
        numbered = replace(
            entity,
            id=number,
            fields=tuple(
                replace(each, slot=self._slot(entity.name, each, old_fields.get(each.name)))
                for each in entity.fields
            ),
        )
        indexes = tuple(self._index(index, numbered, old) for index in entity.indexes)
        return replace(numbered, indexes=indexes)

    def _slot(self, entity: str, declared: FieldDef, old: FieldDef | None) -> int:
        if declared.computed is not None and not declared.computed.stored:
            return UNASSIGNED
        # The bytes in a slot are of one type for ever: another type is another slot.
        if old is not None and old.slot != UNASSIGNED and old.type == declared.type:
            return old.slot
        return next(self._next_slot[entity])

    def _index(self, declared: IndexDef, new: EntityDef, old: EntityDef | None) -> IndexDef:
        before = next((i for i in old.indexes if i.name == declared.name), None) if old else None
        if (
            old is not None
            and before is not None
            and encode_node(replace(before, id=UNASSIGNED))
            == encode_node(replace(declared, id=UNASSIGNED))
            and _slots(old, _index_fields(before)) == _slots(new, _index_fields(declared))
        ):
            return replace(declared, id=before.id)
        return replace(declared, id=next(self._next_index))

    def _relation(self, declared: RelationDef, entities: Mapping[str, EntityDef]) -> RelationDef:
        old = self._old_relations.get(relation_key(declared))
        source, target = entities[declared.source], entities[declared.target]
        hidden = needs_slot(declared, target)
        if (
            old is not None
            and (old.enforced, old.slot != UNASSIGNED) == (declared.enforced, hidden)
            and self._ends(old, self._old_entities) == self._ends(declared, entities)
        ):
            return replace(declared, id=old.id, slot=old.slot)
        slot = next(self._next_slot[source.name]) if hidden else UNASSIGNED
        return replace(declared, id=next(self._next_relation), slot=slot)

    @staticmethod
    def _ends(relation: RelationDef, entities: Mapping[str, EntityDef]) -> tuple[object, ...]:
        """Which stored numbers a relation connects."""
        source, target = entities[relation.source], entities[relation.target]
        return (
            source.id,
            _slots(source, relation.fields),
            target.id,
            _slots(target, relation.target_fields),
        )


def _index_fields(index: IndexDef) -> list[str]:
    """The fields that an index is made of, those of its condition included."""
    asked = () if index.condition is None else paths_in(index.condition)
    return [*(part.field for part in index.fields), *sorted(path[0] for path in asked)]


def _slots(entity: EntityDef, names: Iterable[str]) -> list[int]:
    slots = {each.name: each.slot for each in entity.fields}
    return [slots[name] for name in names]
