"""Rows that were deleted softly come back, or go for good.

    restore Customer 7     deleted by commit 9, and with it by its cascade Orders 1 2 3
                           all four are inserted again: identities, uniques, references, checks

    purge Customer         rows that were deleted before a moment, oldest first, so many at a time

What one delete took comes back together: rows that the same commit deleted, and that refer, by
relations that cascade, to a row that comes back.  Rows may refer to each other in circles, so they
are inserted first, and what they refer to is looked up when all are there.

Invariants (held by tests/unit/txn/test_soft_delete.py and tests/property/test_writes_model.py):
  1. A row that is restored is as it was, under the row key that it had.
  2. A restore that is refused has restored nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from ormdb import limits
from ormdb.errors import LimitError, NotFoundError, UsageError
from ormdb.ir.value import Value
from ormdb.pulse import beat
from ormdb.storage.graveyard import Buried, all_buried, buried_by, exhume, newest_of
from ormdb.storage.layout import EntityLayout, RelationLayout
from ormdb.storage.records import ROW_NUMBER_BIAS
from ormdb.txn.constraints import identity_of, show_identity
from ormdb.txn.ground import Ground, encoded_identities

# Inserts decoded rows under keys; positions without a target are gathered by relation.
InsertUnder: TypeAlias = Callable[
    [EntityLayout, list[Any], Sequence[bytes], dict[str, list[int]]], object
]


def restore_rows(
    ground: Ground,
    entity: EntityLayout,
    identities: Sequence[tuple[Value, ...]],
    insert: InsertUnder,
) -> list[tuple[Value, ...]]:
    """Bring rows back, and what was deleted with them; the identities of the rows themselves.

    Raises:
      NotFoundError: no such row was deleted, or it was purged.
      UniqueError: another row has its identity or a unique value by now.
      ForeignKeyError: a row that it refers to is not there.
      CheckError: it is no longer what the schema asks for.
    """
    require_soft(entity)
    unique = list(dict.fromkeys(identities))
    found = newest_of(ground.txn, entity, encoded_identities(entity, unique))
    buried: list[Buried] = []
    for identity, one in zip(unique, found, strict=True):
        if one is None:
            raise NotFoundError(
                f"no {entity.name} with {', '.join(entity.entity.identity)} = "
                f"{show_identity(identity)} was deleted, or it was purged; nothing was restored",
                entity=entity.name,
                identity=identity,
            )
        buried.append(one)
    waiting: dict[RelationLayout, list[bytes]] = {}
    for of, those in _together(ground, entity, buried):
        for start in range(0, len(those), limits.DELETE_CHUNK_ROWS):
            beat()
            _insert(ground, of, those[start : start + limits.DELETE_CHUNK_ROWS], insert, waiting)
    for relation, keys in waiting.items():
        ground.deferred.look_again(relation, keys)
    return unique


def purge_rows(
    ground: Ground, entity: EntityLayout, *, before_us: int, limit: int
) -> list[tuple[Value, ...]]:
    """Forget rows that were deleted before a moment, oldest first; the identities of those that
    went."""
    require_soft(entity)
    old: list[Buried] = []
    for batch in all_buried(ground.txn, entity):
        beat()
        old += [one for one in batch if one.wall_us < before_us][: limit - len(old)]
        if len(old) == limit or batch[-1].wall_us >= before_us:
            break
    rows = entity.codec.whole.decode_batch([o.row_key for o in old], [o.data for o in old])
    if old:
        exhume(ground.txn, entity, old)
        ground.writer.changes.is_upkeep = True
    return [identity_of(entity, row) for row in rows]


def require_soft(entity: EntityLayout) -> None:
    """Refuse what is for entities that are deleted softly only."""
    if entity.deleted is None:
        raise UsageError(
            f"{entity.name} is not deleted softly, so nothing of it is kept; declare "
            "__soft_delete__ = True",
            entity=entity.name,
        )


def _together(
    ground: Ground, entity: EntityLayout, buried: Sequence[Buried]
) -> list[tuple[EntityLayout, list[Buried]]]:
    """The rows, and level by level those that went with them."""
    levels: list[tuple[EntityLayout, list[Buried]]] = [(entity, list(buried))]
    met = {(entity.name, one.place) for one in buried}
    for of, those in levels:  # grows as it is walked
        numbers: dict[int, set[int]] = {}
        for one in those:
            number = int.from_bytes(one.row_key, "big") - ROW_NUMBER_BIAS
            numbers.setdefault(one.version, set()).add(number)
        for relation in of.incoming:
            if relation.mode == "value" or relation.relation.on_delete != "cascade":
                continue
            further: list[Buried] = []
            for version, parents in numbers.items():
                further += _referring(ground, relation, version, parents)
            fresh = [o for o in further if (relation.source.name, o.place) not in met]
            met.update((relation.source.name, one.place) for one in fresh)
            if len(met) > limits.DELETE_ROWS_MAX:
                raise LimitError(
                    f"more than {limits.DELETE_ROWS_MAX:,} rows were deleted together with this "
                    f"{entity.name}; a statement restores no more",
                    limit="DELETE_ROWS_MAX",
                )
            if fresh:
                levels.append((relation.source, fresh))
    return levels


def _referring(
    ground: Ground, relation: RelationLayout, version: int, parents: set[int]
) -> list[Buried]:
    """The rows that a commit deleted and that referred to one of these."""
    source = relation.source
    slot = relation.relation.slot if relation.mode == "slot" else relation.slots[0]
    decoder, found = source.codec.decoder(frozenset((slot,))), list[Buried]()
    for batch in buried_by(ground.txn, source, version):
        rows = decoder.decode_batch([o.row_key for o in batch], [o.data for o in batch])
        referred = (getattr(row, f"s{slot}") for row in rows)
        found += [one for one, number in zip(batch, referred, strict=True) if number in parents]
    return found


def _insert(
    ground: Ground,
    entity: EntityLayout,
    buried: list[Buried],
    insert: InsertUnder,
    waiting: dict[RelationLayout, list[bytes]],
) -> None:
    keys = [one.row_key for one in buried]
    rows = ground.decoded(entity, keys, [one.data for one in buried])
    enforced = [one for one in entity.outgoing if one.mode != "value"]
    unresolved: dict[str, list[int]] = {relation.name: [] for relation in enforced}
    exhume(ground.txn, entity, buried)
    insert(entity, rows, keys, unresolved)
    for relation in enforced:
        waiting.setdefault(relation, []).extend(keys[at] for at in unresolved[relation.name])
