"""Rows are added where none has their identity or unique values, and changed where one has.

    Upsert Word by text, seen = seen + 1      "a" is there: its seen rises       updated
                                              "b" is not: added as it was given  created
    Upsert Word by text                       "a" as it was                      unchanged

What is there is looked up for all rows at once.  New rows are added before old ones are changed,
so that what is changed may refer to what is added; uniques and foreign keys are judged by what all
rows become together.

Invariants (held by tests/unit/database/test_saving.py and tests/property/test_writes_model.py):
  1. A row that would become what it is already is not written.
  2. A statement that names one row twice is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, TypeAlias

from ormdb.errors import QueryError, UsageError
from ormdb.ir.mutation import Effect, Upsert
from ormdb.ir.schema import IndexDef
from ormdb.ir.value import RowDict, Value
from ormdb.storage.layout import EntityLayout, IndexLayout
from ormdb.txn.assign import Assigner
from ormdb.txn.change import ChangedRows, judge, leaving_uniques, read_rows, write
from ormdb.txn.constraints import identity_of, show_identity
from ormdb.txn.ground import Ground, misleading

Leaving: TypeAlias = Mapping[str, Collection[bytes]]
# Adds rows, and gives their identities in order.
Create: TypeAlias = Callable[[EntityLayout, Sequence[RowDict], Leaving], list[tuple[Value, ...]]]


def upsert_rows(
    ground: Ground, entity: EntityLayout, upsert: Upsert, create: Create
) -> tuple[list[tuple[Value, ...]], list[Effect]]:
    """Add or change rows; the identity of each, and what became of it.

    Raises:
      QueryError: `by` is neither the identity nor a unique index.
      UsageError: two of the rows are one.
      ConstraintError: a constraint refuses what the rows would be.
    """
    by = upsert.by or entity.entity.identity
    found = _found(ground, entity, by, upsert.rows)
    there = [at for at, key in enumerate(found) if key]
    changed = ChangedRows.of(entity)
    read_rows(ground, changed, [key for key in found if key])
    assigner = Assigner(ground, entity, upsert.changes, upsert.expressions)
    kept = {*by, *entity.entity.identity, *assigner.names}
    for place, at in enumerate(there):
        given = upsert.rows[at]
        ground.builder(entity).check_given(given)
        taken = [name for name in given if name not in kept]
        if upsert.take is not None:
            taken = [name for name in upsert.take if name in given]
        assigner.take([changed.new[place]], {name: given[name] for name in taken})
    assigner.set_on(changed.new, changed.old)
    slots = range(entity.codec.slot_count)
    moved = changed.moved(slots)
    effects = all_of("created", len(upsert.rows))
    for place, at in enumerate(there):
        effects[at] = "updated" if place in set(moved) else "unchanged"
    touched = [identity_of(entity, row) for row in changed.new]
    changed = changed.part(moved)
    new = [row for row, key in zip(upsert.rows, found, strict=True) if not key]
    created = iter(create(entity, new, leaving_uniques(changed)) if new else ())
    judge(ground, changed)
    write(ground, changed)
    known = iter(touched)
    return [next(known) if key else next(created) for key in found], effects


def _found(
    ground: Ground, entity: EntityLayout, by: tuple[str, ...], rows: Sequence[RowDict]
) -> list[bytes]:
    """The row key of each row that is there; an empty one for others."""
    builder = ground.builder(entity)
    given: dict[int, tuple[Value, ...]] = {}
    for at, row in enumerate(rows):
        values = tuple(row.get(name) for name in by)
        if None not in values:  # NULL is unlike everything, and what is drawn is new
            given[at] = values
    first: dict[tuple[Value, ...], int] = {}
    stored = {
        at: builder.stored(dict(zip(by, values, strict=True))) for at, values in given.items()
    }
    for at, values in given.items():
        key = tuple(map(_hashed, stored[at].values()))
        if first.setdefault(key, at) != at:
            raise UsageError(
                f"rows {first[key]} and {at} of the upsert are one {entity.name}, with "
                f"{', '.join(by)} = {show_identity(values)}; give it once",
                entity=entity.name,
                row=at,
            )
    keys = [b""] * len(rows)
    if set(by) == set(entity.entity.identity):
        identities = [
            tuple(values[by.index(name)] for name in entity.entity.identity)
            for values in given.values()
        ]
        there = ground.look(entity, identities)
        found = [key if row is not None else b"" for key, row in zip(*there, strict=True)]
    else:
        found = _by_index(ground, entity, _index(entity, by), list(stored.values()))
    for at, row_key in zip(given, found, strict=True):
        keys[at] = row_key
    return keys


def _by_index(
    ground: Ground, entity: EntityLayout, index: IndexLayout, stored: Sequence[RowDict]
) -> list[bytes]:
    names = {entity.fields[name].slot: name for name in entity.fields}
    encoded = [index.encode_values([row[names[slot]] for slot in index.slots]) for row in stored]
    found = ground.txn.many(index.space, encoded)
    led = [(key, joined[:8]) for key, joined in zip(encoded, found, strict=True) if joined]
    row_keys = [row_key for _, row_key in led]
    decoder = entity.codec.decoder(index.read_slots)
    rows = decoder.decode_batch(row_keys, ground.rows(entity, row_keys))
    if index.encode_rows(rows) != [key for key, _ in led]:
        raise misleading(entity)
    return [joined[:8] for joined in found]


def _index(entity: EntityLayout, by: tuple[str, ...]) -> IndexLayout:
    for index in entity.indexes:
        definition = index.definition
        assert isinstance(definition, IndexDef)
        if not index.unique or index.deferred:
            continue
        if sorted(part.field for part in definition.fields) == sorted(by):
            return index
    raise QueryError(
        f"{entity.name} has no unique index over exactly {', '.join(by)}, which holds every row; "
        "name the fields of one, or of the identity",
        entity=entity.name,
    )


def all_of(effect: Effect, count: int) -> list[Effect]:
    """The same effect on so many rows."""
    return [effect] * count


def _hashed(value: Any) -> Any:
    """A stored value that may be compared as a key."""
    return repr(value) if type(value) in {list, dict} else value
