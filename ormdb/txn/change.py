"""Rows are changed as one statement: judged by what they all become, then written.

    lot = lot + 1 on plots 1, 2, 3, unique     1 -> 2 is taken now, but not when the statement ends

    rows       decoded, changed, checked           some thousands at a time
    judged     uniques that they gain and lose     among themselves and against all others
               foreign keys that moved             targets there once the statement is done
               values that others refer to         nobody but rows of the statement may
    written    in the order they were found

Everything is judged before the first row is written, so that a statement which is refused has
changed nothing.

Invariants (held by tests/unit/txn/test_update_where.py and tests/property/test_writes_model.py):
  1. A statement is refused exactly if a constraint is broken when it is done.
  2. A row is changed once, however often the statement's own writes would make it match again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ormdb import limits
from ormdb.ir.mutation import Expressions
from ormdb.ir.value import RowDict, Value
from ormdb.pulse import beat
from ormdb.storage.layout import EntityLayout, IndexLayout, RelationLayout, rows_without_null
from ormdb.storage.records import ROW_NUMBER_BIAS
from ormdb.txn.assign import Assigner
from ormdb.txn.constraints import identity_of
from ormdb.txn.ground import Ground


@dataclass(slots=True)
class ChangedRows:
    """Rows of one entity that a statement changes: what they were, and what they become."""

    entity: EntityLayout
    keys: list[bytes]
    old: list[Any]
    new: list[Any]

    @classmethod
    def of(cls, entity: EntityLayout) -> ChangedRows:
        """None yet."""
        return cls(entity, [], [], [])

    def part(self, places: Sequence[int]) -> ChangedRows:
        """Those at some positions."""
        chosen = [[column[at] for at in places] for column in (self.keys, self.old, self.new)]
        return ChangedRows(self.entity, *chosen)

    def moved(self, slots: Sequence[int]) -> list[int]:
        """The positions of rows of which one of these slots has changed."""
        return [at for at, row in enumerate(self.new) if differ(slots, self.old[at], row)]


def update_rows(
    ground: Ground,
    entity: EntityLayout,
    keys: Sequence[bytes],
    changes: RowDict,
    expressions: Expressions,
) -> list[tuple[Value, ...]]:
    """Assign the same to every row; their identities.

    Raises:
      ConstraintError: a constraint refuses what the rows would be; nothing was written.
    """
    assigner = Assigner(ground, entity, changes, expressions)
    changed = ChangedRows.of(entity)
    for start in range(0, len(keys), limits.WRITE_BATCH_ROWS):
        beat()
        some = keys[start : start + limits.WRITE_BATCH_ROWS]
        read_rows(ground, changed, some)
        assigner.set_on(changed.new[start:], changed.old[start:])
    judge(ground, changed)
    write(ground, changed)
    return [identity_of(entity, row) for row in changed.new]


def read_rows(ground: Ground, changed: ChangedRows, keys: Sequence[bytes]) -> None:
    """Add rows that are there, not changed yet."""
    entity = changed.entity
    rows = ground.rows(entity, keys)
    old = entity.codec.whole.decode_batch(keys, rows)
    changed.keys += keys
    changed.old += old
    changed.new += ground.begun(entity, old)


def judge(ground: Ground, changed: ChangedRows) -> None:
    """Refuse what would break a constraint once all rows are written; set the hidden targets.

    Raises:
      ConstraintError: it does.
    """
    entity, probes = changed.entity, ground.probes
    probes.check_rows(entity, changed.new)
    for index in entity.unique_indexes:
        _judge_unique(ground, changed, index)
    for relation in entity.incoming:
        if relation.mode == "value":
            continue
        moved = changed.moved(relation.target_slots)
        if moved:
            is_own = relation.source is relation.target
            probes.no_referrers(
                relation,
                [changed.keys[at] for at in moved],
                [changed.old[at] for at in moved],
                together=set(changed.keys) if is_own else set(),
            )
            probes.forget_target(relation)
    for relation in entity.outgoing:
        if relation.mode != "value":
            _judge_targets(ground, changed, relation)
    # What cannot be stored is seen before anything is.
    if len(changed.keys) > limits.WRITE_BATCH_ROWS:
        for part in _parts(len(changed.keys)):
            entity.codec.seal(changed.new[part], changed.keys[part])


def write(ground: Ground, changed: ChangedRows) -> None:
    """Put the new rows in place of the old ones."""
    entity = changed.entity
    for part in _parts(len(changed.keys)):
        beat()
        keys = changed.keys[part]
        ground.writer.replace(entity, keys, ground.rows(entity, keys), changed.new[part])
    for relation in entity.incoming:
        if relation.is_late and relation.mode != "value":
            moved = changed.moved(relation.target_slots)
            ground.deferred.arrived(entity, [changed.new[at] for at in moved])


def differ(slots: Sequence[int], old: Any, new: Any) -> bool:
    """Whether one of these slots is not what it was."""
    return any(getattr(old, f"s{slot}") != getattr(new, f"s{slot}") for slot in slots)


def _judge_unique(ground: Ground, changed: ChangedRows, index: IndexLayout) -> None:
    """Refuse values that two rows would have: rows of the statement, or one of them and another."""
    moved = changed.part(changed.moved((*index.slots, *index.condition_slots)))
    if not moved.keys:
        return
    present = rows_without_null(moved.new, index.slots)
    before, after = index.encode_rows(moved.old), index.encode_rows(moved.new)
    gained = [
        (new, moved.keys[at], moved.new[at])
        for at, (old, new) in enumerate(zip(before, after, strict=True))
        if new is not None and new != old and (present is None or present[at])
    ]
    doubtful = ground.probes.gained_uniques(
        changed.entity, index, gained, leaving=_leaving(moved, before, after)
    )
    ground.deferred.doubt(changed.entity, index, doubtful)


def leaving_uniques(changed: ChangedRows) -> dict[str, set[bytes]]:
    """By unique index the keys that rows give up, each followed by the row key."""
    return {
        index.name: _leaving(
            changed, index.encode_rows(changed.old), index.encode_rows(changed.new)
        )
        for index in changed.entity.unique_indexes
        if changed.keys
    }


def _leaving(
    changed: ChangedRows, before: Sequence[bytes | None], after: Sequence[bytes | None]
) -> set[bytes]:
    return {
        old + key
        for key, old, new in zip(changed.keys, before, after, strict=True)
        if old is not None and old != new
    }


def _judge_targets(ground: Ground, changed: ChangedRows, relation: RelationLayout) -> None:
    """Refuse foreign keys that lead nowhere once the statement is done."""
    moved = _moved_targets(changed, relation)
    places = range(len(changed.new)) if moved else changed.moved(relation.slots)
    if places:
        rows = [changed.new[at] for at in places]
        keys = [changed.keys[at] for at in places]
        ground.deferred.resolve(relation, rows, keys, moved=moved)


def _moved_targets(changed: ChangedRows, relation: RelationLayout) -> dict[bytes, int | None]:
    """Where values lead once the rows are written, as far as they may refer to each other."""
    lookup = relation.target_lookup
    if relation.source is not relation.target or lookup is None:
        return {}
    moved = changed.moved(relation.target_slots)
    before = lookup.encode_rows([changed.old[at] for at in moved])
    after = lookup.encode_rows([changed.new[at] for at in moved])
    leads: dict[bytes, int | None] = {key: None for key in before if key is not None}
    for at, key in zip(moved, after, strict=True):
        if key is not None:
            leads[key] = int.from_bytes(changed.keys[at], "big") - ROW_NUMBER_BIAS
    return leads


def _parts(count: int) -> list[slice]:
    step = limits.WRITE_BATCH_ROWS
    return [slice(start, start + step) for start in range(0, count, step)]
