"""Rows that were deleted softly: kept aside, where no reader meets them.

    delete Customer 7 at commit 9      rows/3               7 -/->
                                       deleted/3            9 ∥ 7 -> time, row as it was, seal
                                       deleted_identity/3   7 -> 9 ∥ 7
    restore Customer 7 at commit 12    rows/3               7 -> begun 12
                                       deleted/3            9 ∥ 7 -/->

A row that lies here has no entry in any index or relation, and its identity and unique values are
free.  So whatever reads rows, by whichever way, need not know of it; as of a commit before 9 it is
found in the history, as every deleted row is.

One identity may have been deleted several times; the newest comes first.

Invariants (held by tests/unit/txn/test_soft_delete.py and `check --deep`):
  1. Every row here has its identity here, and every identity its row.
  2. A row that is taken out is as it was when it was laid down, or damage.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ormdb import limits
from ormdb.errors import CorruptionError
from ormdb.storage.engine import ReadTransaction, WriteTransaction
from ormdb.storage.history import is_intact, seal_ended
from ormdb.storage.layout import ROW_KEY_BYTES, DeletedSpaces, EntityLayout

_TIME_BYTES = 8
_SEAL_BYTES = 4
PLACE_BYTES = 2 * ROW_KEY_BYTES  # version ∥ row key


@dataclass(frozen=True, slots=True)
class Buried:
    """One row that was deleted softly."""

    place: bytes  # version ∥ row key
    wall_us: int
    data: bytes  # the row, as it was stored

    @property
    def version(self) -> int:
        """The commit that deleted it."""
        return int.from_bytes(self.place[:8], "big")

    @property
    def row_key(self) -> bytes:
        return self.place[8:]


def bury(
    txn: WriteTransaction,
    entity: EntityLayout,
    keys: Sequence[bytes],
    rows: Sequence[bytes],
    *,
    version: int,
    wall_us: int,
) -> None:
    """Lay down rows, given as they are stored, that are about to be removed."""
    spaces = spaces_of(entity)
    time, begun = wall_us.to_bytes(_TIME_BYTES, "big", signed=True), version.to_bytes(8, "big")
    places = [begun + key for key in keys]
    sealed = seal_ended([(place, time + row) for place, row in zip(places, rows, strict=True)])
    identities = identity_keys(entity, keys, entity.codec.whole.decode_batch(keys, rows))
    txn.put_many(spaces.rows, sorted(sealed))
    txn.put_many(spaces.identities, sorted(zip(identities, places, strict=True)))


def exhume(txn: WriteTransaction, entity: EntityLayout, buried: Sequence[Buried]) -> None:
    """Take rows out."""
    spaces, keys = spaces_of(entity), [one.row_key for one in buried]
    rows = entity.codec.whole.decode_batch(keys, [one.data for one in buried])
    identities = identity_keys(entity, keys, rows)
    txn.delete_many(spaces.rows, [one.place for one in buried])
    pairs = zip(identities, (one.place for one in buried), strict=True)
    txn.delete_items(spaces.identities, list(pairs))


def newest_of(
    txn: ReadTransaction, entity: EntityLayout, identities: Sequence[bytes]
) -> list[Buried | None]:
    """Of each identity, given by its key, the row that was deleted last; None where none was."""
    spaces = spaces_of(entity)
    joined = txn.many(spaces.identities, identities)
    places = [found[-PLACE_BYTES:] for found in joined]
    rows = iter(txn.get_many(spaces.rows, [place for place in places if place]))
    found: list[Buried | None] = []
    for place in places:
        if not place:
            found.append(None)
            continue
        data = next(rows)
        if data is None:
            raise _damaged(entity, place)
        found.append(_opened(entity, place, data))
    return found


def buried_by(txn: ReadTransaction, entity: EntityLayout, version: int) -> Iterator[list[Buried]]:
    """Everything that one commit has deleted, in batches."""
    low, high = version.to_bytes(8, "big"), (version + 1).to_bytes(8, "big")
    yield from _walk(txn, entity, low, high)


def all_buried(
    txn: ReadTransaction, entity: EntityLayout, *, newest_first: bool = False
) -> Iterator[list[Buried]]:
    """Every row that is kept, oldest first or newest first, in batches."""
    yield from _walk(txn, entity, b"", None, reverse=newest_first)


def spaces_of(entity: EntityLayout) -> DeletedSpaces:
    """Where the rows of an entity are kept that is deleted softly."""
    assert entity.deleted is not None, f"{entity.name} is not deleted softly"
    return entity.deleted


def identity_keys(entity: EntityLayout, keys: Sequence[bytes], rows: Sequence[Any]) -> list[bytes]:
    """The key of each row's identity: its row key, if that is an int."""
    if entity.identity is None:
        return list(keys)
    return [key for key in entity.identity.encode_rows(rows) if key is not None]


def _walk(
    txn: ReadTransaction,
    entity: EntityLayout,
    low: bytes,
    high: bytes | None,
    *,
    reverse: bool = False,
) -> Iterator[list[Buried]]:
    batches = txn.scan(
        spaces_of(entity).rows, low, high, reverse=reverse, batch=limits.SCAN_BATCH_ROWS
    )
    for items in batches:
        yield [_opened(entity, place, data) for place, data in items]


def _opened(entity: EntityLayout, place: bytes, data: bytes) -> Buried:
    if len(place) != PLACE_BYTES or not is_intact(place, data):
        raise _damaged(entity, place)
    time = int.from_bytes(data[:_TIME_BYTES], "big", signed=True)
    return Buried(place, time, data[_TIME_BYTES:-_SEAL_BYTES])


def _damaged(entity: EntityLayout, place: bytes) -> CorruptionError:
    return CorruptionError(
        f"a deleted row of {entity.name} is damaged or gone, under {place.hex()}; restore a "
        "backup, or run `ormdb check --deep` to see what is damaged",
        entity=entity.name,
        row_keys=(place[8:],),
    )
