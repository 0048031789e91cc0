"""The head: one small record that says what the database is and where it stands.

    meta["head"]  ->  [format, version, wall_us, schema_version, horizon, database_id] + CRC-32

Every commit rewrites it, every reader starts from it: one read tells a reader which commit it
sees and which schema that commit is described by.

Invariants (held by tests/unit/storage/test_head.py):
  1. `version` grows by one with each commit, `wall_us` never falls.
  2. `horizon` <= `version`: the oldest commit that can still be read as of.
  3. A head of a newer format is refused before anything else is read.
  4. A counter with a flipped bit is refused; no number is given out twice for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from zlib import crc32

import msgspec

from ormdb.errors import CorruptionError, FormatError
from ormdb.storage.engine import Item, ReadTransaction, WriteTransaction
from ormdb.storage.layout import META

FORMAT: Final = 1
_HEAD_KEY: Final = b"head"
_NOTED: Final = "head"  # of a commit: every call begins by asking for it
COUNTER_PREFIX: Final = b"counter/"
_SEAL_BYTES: Final = 4
COUNTER_BYTES: Final = 8 + _SEAL_BYTES


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """Where the database stands at one commit."""

    version: int
    wall_us: int
    schema_version: int
    horizon: int
    database_id: bytes
    format: int = FORMAT


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(tuple[int, int, int, int, int, bytes]).decode


def read_head(txn: ReadTransaction) -> Head | None:
    """The head at the transaction's snapshot; None for a database without any commit.

    Raises:
      FormatError: the file was written by a newer ormdb.
      CorruptionError: the head is damaged.
    """
    notes = txn.notes
    if notes is not None:
        noted: Head | None = notes.get(_NOTED)
        if noted is not None:
            return noted
    data = txn.get_many(META, (_HEAD_KEY,))[0]
    if data is None:
        return None
    head = _decode_head(data)
    if notes is not None:
        notes[_NOTED] = head
    return head


def _decode_head(data: bytes) -> Head:
    body, seal = data[:-4], data[-4:]
    if crc32(body).to_bytes(4, "little") != seal:
        raise CorruptionError(
            "the database head fails its checksum; restore a backup of this database"
        )
    try:
        number, version, wall_us, schema_version, horizon, database_id = _decode(body)
    except msgspec.DecodeError as error:
        written = _format_of(body)
        if written is None or written <= FORMAT:
            raise CorruptionError(
                f"the database head does not decode ({error}); restore a backup"
            ) from error
        raise _newer(written) from error
    if number > FORMAT:
        raise _newer(number)
    return Head(
        format=number,
        version=version,
        wall_us=wall_us,
        schema_version=schema_version,
        horizon=horizon,
        database_id=database_id,
    )


def write_head(txn: WriteTransaction, head: Head) -> None:
    """Put the head of the commit that `txn` is about to make."""
    body = _encode(
        (
            head.format,
            head.version,
            head.wall_us,
            head.schema_version,
            head.horizon,
            head.database_id,
        )
    )
    txn.put_many(META, [(_HEAD_KEY, body + crc32(body).to_bytes(4, "little"))])


def read_counters(txn: ReadTransaction, names: list[str]) -> list[int]:
    """The last number each counter gave out; 0 for one that never did.

    Raises:
      CorruptionError: a counter is damaged; a number would be given out twice.
    """
    keys = [COUNTER_PREFIX + name.encode() for name in names]
    return [
        0 if value is None else _open_counter(key, value)
        for key, value in zip(keys, txn.get_many(META, keys), strict=True)
    ]


def write_counters(txn: WriteTransaction, counters: dict[str, int]) -> None:
    """Remember the last number of each counter."""
    items: list[Item] = []
    for name, number in sorted(counters.items()):
        key, body = COUNTER_PREFIX + name.encode(), number.to_bytes(8, "big", signed=True)
        items.append((key, body + _seal(key, body)))
    txn.put_many(META, items)


def _seal(key: bytes, body: bytes) -> bytes:
    return crc32(body, crc32(key)).to_bytes(_SEAL_BYTES, "little")


def _open_counter(key: bytes, value: bytes) -> int:
    body = value[:-_SEAL_BYTES]
    if _seal(key, body) != value[-_SEAL_BYTES:]:
        raise CorruptionError(
            f"the counter {key[len(COUNTER_PREFIX) :].decode()} fails its checksum; "
            "restore a backup of this database"
        )
    return int.from_bytes(body, "big", signed=True)


def _format_of(body: bytes) -> int | None:
    """The format number of a head whose other fields we may not know."""
    try:
        items = msgspec.msgpack.Decoder(list).decode(body)
    except msgspec.DecodeError:
        return None
    return items[0] if items and type(items[0]) is int else None


def _newer(number: int) -> FormatError:
    return FormatError(
        f"the database has format {number}, this ormdb reads up to {FORMAT}; "
        "open it with a newer ormdb",
        format=number,
    )
