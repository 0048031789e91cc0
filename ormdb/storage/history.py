"""Old rows as bytes: a row as it was, sealed with its row key and the commit that ended it.

    history/3   row key ∥ end 9   ->   95 02 04 … 9e 33   a1 b2 c3 d4
                                       the row as it was   CRC-32 of key and row, little endian

A row carries its own checksum, which covers its key and when it began, but not when it ended: that
stands in the key of the history alone.  A flipped bit there would show a version at a time at
which another one was current, so the whole key is sealed as well.

Invariants (held by tests/unit/storage/test_history.py):
  1. What is opened is what was sealed, under the key it was sealed for, or damage.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final
from zlib import crc32

from ormdb.errors import CorruptionError
from ormdb.storage.engine import Item
from ormdb.storage.records import RESIDUE

SEAL_BYTES: Final = 4


def seal_ended(items: Iterable[Item]) -> list[Item]:
    """Rows that end, each under its row key and end version, as the history keeps them."""
    return [
        (key, row + crc32(row, crc32(key)).to_bytes(SEAL_BYTES, "little")) for key, row in items
    ]


def is_intact(key: bytes, data: bytes) -> bool:
    """Whether what lies in the history under a key was sealed for it."""
    return crc32(data, crc32(key)) == RESIDUE


def open_ended(entity: str, items: Sequence[Item]) -> list[bytes]:
    """The rows as they were.

    Raises:
      CorruptionError: one is not what was sealed under its key.
    """
    for key, data in items:
        if crc32(data, crc32(key)) != RESIDUE:
            raise CorruptionError(
                f"an old version of a row of {entity} fails its checksum, under {key.hex()}; "
                "restore a backup, or run `ormdb check --deep` to see what is damaged",
                entity=entity,
                row_keys=(key[:8],),
            )
    return [data[:-SEAL_BYTES] for _, data in items]
