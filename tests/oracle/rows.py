"""Generated rows and mutations that no constraint refuses: skewed, tied, NULL, dangling.

    rows of Beta      f0 from a handful of values, some far more often than others
                      to0_0 an Alpha that is there, NULL, or (not enforced) one that is not
    a commit          update Beta 3, update it again, delete Alpha 7, insert it with other values

`Tables` is the state as plain dicts.  It decides what may be written, numbers rows as the
database says it orders them, and writes the same to the mirror in SQLite.
"""

from __future__ import annotations

import decimal
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from ormdb.ir.mutation import Delete, Insert, Mutation, Update
from ormdb.ir.schema import EntityDef, FieldDef, RelationDef
from ormdb.ir.value import FloatType, IntType, RowDict, TextType, Value
from tests.oracle.names import Names
from tests.oracle.sqlite_side import Mirror
from tests.oracle.values import WIDE, any_value, long_text, to_sqlite
from tests.oracle.worlds import World

_TRIES = 6


@dataclass(slots=True)
class Tables:
    """The rows of one state, by entity and row number."""

    names: Names
    mirror: Mirror
    rows: dict[str, dict[int, RowDict]] = field(default_factory=dict[str, dict[int, RowDict]])
    last_numbers: dict[str, int] = field(default_factory=dict[str, int])

    def copy(self) -> Tables:
        """This state, for good."""
        rows = {name: dict(own) for name, own in self.rows.items()}
        return Tables(self.names, self.mirror.copy(), rows, dict(self.last_numbers))

    def add(self, entity: EntityDef, row: RowDict) -> None:
        number = self._number(entity, row)
        self.rows.setdefault(entity.name, {})[number] = row
        self.mirror.put(entity.name, number, row)

    def change(self, entity: EntityDef, number: int, row: RowDict) -> None:
        self.rows[entity.name][number] = row
        self.mirror.put(entity.name, number, row)

    def remove(self, entity: EntityDef, number: int) -> None:
        del self.rows[entity.name][number]
        self.mirror.delete(entity.name, number)

    def of(self, entity: str) -> dict[int, RowDict]:
        return self.rows.setdefault(entity, {})

    def may_be(self, entity: EntityDef, row: RowDict, own: int | None = None) -> bool:
        """Whether the row breaks no identity, unique index or foreign key."""
        others = [each for number, each in self.of(entity.name).items() if number != own]
        for names in self._unique_sets(entity):
            mine = self._key(entity, row, names)
            if mine is not None and any(self._key(entity, each, names) == mine for each in others):
                return False
        return all(
            self._refers_well(entity, relation, row, [*others, row])
            for relation in self.names.bundle.relations
            if relation.source == entity.name and relation.enforced
        )

    def may_go(self, entity: EntityDef, number: int, after: RowDict | None) -> bool:
        """Whether no enforced relation refers to values that a row has now and not afterwards."""
        row = self.of(entity.name)[number]
        for relation in self.names.bundle.relations:
            if relation.target != entity.name or not relation.enforced:
                continue
            mine = self._key(entity, row, relation.target_fields)
            if after is not None and self._key(entity, after, relation.target_fields) == mine:
                continue
            source = self.names.entities[relation.source]
            for other, each in self.of(source.name).items():
                if after is None and source is entity and other == number:
                    continue  # a row that goes may refer to itself
                if mine is not None and self._key(source, each, relation.fields) == mine:
                    return False
        return True

    def _refers_well(
        self, entity: EntityDef, relation: RelationDef, row: RowDict, own: list[RowDict]
    ) -> bool:
        """Whether the row that a foreign key names is there; `own` are its entity's rows then."""
        mine = self._key(entity, row, relation.fields)
        if mine is None:
            return True
        target = self.names.entities[relation.target]
        rows = own if target is entity else list(self.of(target.name).values())
        return any(self._key(target, each, relation.target_fields) == mine for each in rows)

    def _unique_sets(self, entity: EntityDef) -> Iterator[tuple[str, ...]]:
        yield entity.identity
        for index in entity.indexes:
            if index.unique:
                yield tuple(part.field for part in index.fields)

    def _key(
        self, entity: EntityDef, row: RowDict, names: Sequence[str]
    ) -> tuple[object, ...] | None:
        values = [to_sqlite(self.names.field(entity.name, name).type, row[name]) for name in names]
        return None if None in values else tuple(values)

    def _number(self, entity: EntityDef, row: RowDict) -> int:
        first = self.names.field(entity.name, entity.identity[0])
        if len(entity.identity) == 1 and isinstance(first.type, IntType):
            return int(row[first.name])
        self.last_numbers[entity.name] = self.last_numbers.get(entity.name, 0) + 1
        return self.last_numbers[entity.name]


class RowMaker:
    """Makes rows and mutations for a world."""

    def __init__(self, rng: random.Random, world: World, tables: Tables) -> None:
        self.rng = rng
        self._world = world
        self._relations = world.bundle.relations
        self._tables = tables
        self._pools: dict[tuple[str, str], list[Value]] = {}

    def first_rows(self) -> Iterator[Insert]:
        """The inserts that fill an empty database, entity by entity."""
        for entity in self._world.bundle.entities:
            count = self.rng.choice([0, 2, 8, 15, 15, 40, 40, 90])
            if any(r.source == entity.name and r.name == "left" for r in self._relations):
                count = max(count, 40)  # an edge without rows leads nowhere
            rows = [row for _ in range(count) if (row := self.insertable(entity)) is not None]
            if rows:
                yield Insert(
                    entity=entity.name, rows=tuple(self._spelled(entity, row) for row in rows)
                )

    def commit(self) -> list[Mutation]:
        """The mutations of one commit, applied to the tables already."""
        made: list[Mutation] = []
        for _ in range(self.rng.randint(1, 7)):
            entity = self.rng.choice(self._world.bundle.entities)
            roll = self.rng.random()
            numbers = list(self._tables.of(entity.name))
            if roll < 0.25 or not numbers:
                row = self.insertable(entity)
                if row is not None:
                    made.append(Insert(entity=entity.name, rows=(self._spelled(entity, row),)))
                continue
            number = self.rng.choice(numbers)
            if roll < 0.75:
                for _ in range(self.rng.choice([1, 1, 2])):
                    made.extend(self._update(entity, number))
            else:
                made.extend(self._delete(entity, number))
        return made

    def _update(self, entity: EntityDef, number: int) -> Iterator[Mutation]:
        tables = self._tables
        before = tables.of(entity.name)[number]
        free = [
            each
            for each in entity.fields
            if each.computed is None and each.name not in entity.identity
        ]
        if not free:
            return
        names = {each.name for each in self.rng.sample(free, min(len(free), 2))}
        made = self._row(entity)
        after = {**before, **{name: made[name] for name in names}}
        if tables.may_be(entity, after, number) and tables.may_go(entity, number, after):
            tables.change(entity, number, after)
            yield Update(
                entity=entity.name,
                identity=tuple(before[name] for name in entity.identity),
                changes={name: after[name] for name in sorted(names)},
            )

    def _delete(self, entity: EntityDef, number: int) -> Iterator[Mutation]:
        tables = self._tables
        if not tables.may_go(entity, number, None):
            return
        row = tables.of(entity.name)[number]
        identity = tuple(row[name] for name in entity.identity)
        tables.remove(entity, number)
        yield Delete(entity=entity.name, identities=(identity,))
        if self.rng.random() < 0.4:
            again = {**self._row(entity), **{name: row[name] for name in entity.identity}}
            if tables.may_be(entity, again):
                tables.add(entity, again)
                yield Insert(entity=entity.name, rows=(again,))

    def insertable(self, entity: EntityDef) -> RowDict | None:
        """A new row, added to the tables; None if none was found that may be there."""
        for _ in range(_TRIES):
            row = self._row(entity)
            if self._tables.may_be(entity, row):
                self._tables.add(entity, row)
                return row
        return None

    def _row(self, entity: EntityDef) -> RowDict:
        row = {f.name: self._value(entity, f) for f in entity.fields if f.computed is None}
        for relation in self._relations:
            if relation.source == entity.name:
                self._refer(entity, relation, row)
        return row

    def _refer(self, entity: EntityDef, relation: RelationDef, row: RowDict) -> None:
        """Set the foreign key: to a row that is there, now and then to one that is not."""
        optional = [
            name for name in relation.fields if self._tables.names.field(entity.name, name).optional
        ]
        if optional and self.rng.random() < 0.2:
            row[self.rng.choice(optional)] = None
            return
        if not relation.enforced and self.rng.random() < 0.2:
            return
        targets = list(self._tables.of(relation.target).values())
        if targets:
            # The smaller of two draws: some rows are referred to far more often than others.
            position = min(self.rng.randrange(len(targets)) for _ in range(2))
            for own, theirs in zip(relation.fields, relation.target_fields, strict=True):
                value = targets[position][theirs]
                if value is not None or own in optional:
                    row[own] = value
        elif optional:
            row[optional[0]] = None

    def _value(self, entity: EntityDef, definition: FieldDef) -> Value:
        """A value from the field's pool, whose first values are drawn most often."""
        rng = self.rng
        if definition.optional and rng.random() < 0.25:
            return None
        if definition.name in {"id", *entity.identity} and rng.random() < 0.9:
            return self._identifying(definition)
        pool = self._pools.get((entity.name, definition.name))
        if pool is None:
            pool = self._pools[entity.name, definition.name] = self._pool(entity, definition)
        return pool[min(rng.randrange(len(pool)) for _ in range(2))]

    def _pool(self, entity: EntityDef, definition: FieldDef) -> list[Value]:
        rng = self.rng
        small = (entity.name, definition.name) in self._world.small
        if isinstance(definition.type, TextType) and rng.random() < 0.3:
            return [long_text(rng) for _ in range(rng.randint(2, 12))]
        size = rng.choice([1, 3, 6, 30])
        return [any_value(rng, definition.type, small=small) for _ in range(size)]

    def _identifying(self, definition: FieldDef) -> Value:
        """Mostly small numbers and the like, so that values of several entities meet."""
        if isinstance(definition.type, IntType):
            wide = self.rng.random() < 0.1
            return any_value(self.rng, definition.type) if wide else self.rng.randint(-20, 100)
        if isinstance(definition.type, TextType) and self.rng.random() < 0.4:
            return long_text(self.rng)
        return any_value(self.rng, definition.type)

    def _spelled(self, entity: EntityDef, row: RowDict) -> RowDict:
        """The row as a user may also write it."""
        spelled: RowDict = {}
        for name, value in row.items():
            kind = self._tables.names.field(entity.name, name).type
            if isinstance(kind, FloatType) and value == 0.0 and self.rng.random() < 0.5:
                value = -0.0
            elif isinstance(value, decimal.Decimal) and self.rng.random() < 0.5:
                value = value.normalize(WIDE)
            spelled[name] = value
        return spelled
