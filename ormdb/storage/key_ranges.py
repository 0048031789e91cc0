"""Keys as they lie in a space: over-long ones cut, ranges over them, and row keys.

    encoded, 600 bytes       stored: its first 464 bytes, then BLAKE2b-128 of all 600
    encoded, 479 bytes       stored as it is

A stored key of INDEX_KEY_BYTES_MAX bytes is a cut one, and no other is.  Cut keys of equal
prefix sort by hash, so a range over stored keys is a little too wide, never too narrow: its
bounds look at no more than CUT_PREFIX_BYTES.  Whoever walks a range compares each row again.

Invariants (held by tests/property/test_keys.py):
  1. The stored key of every value within the bounds lies in the range made from them.
  2. Where neither bound nor key is longer than CUT_PREFIX_BYTES, the range is exact.
"""

from __future__ import annotations

import hashlib
from typing import Final

from ormdb import limits

HASH_BYTES: Final = 16
CUT_PREFIX_BYTES: Final = limits.INDEX_KEY_BYTES_MAX - HASH_BYTES
# Beyond every stored key, and still a key that an engine takes.
ABOVE_ALL_KEYS: Final = b"\xff" * limits.KEY_BYTES_MAX
ROW_NUMBER_BIAS: Final = 1 << 63


def cut_key(encoded: bytes) -> bytes:
    """Return the stored form of a whole encoding."""
    if len(encoded) < limits.INDEX_KEY_BYTES_MAX:
        return encoded
    digest = hashlib.blake2b(encoded, digest_size=HASH_BYTES).digest()
    return encoded[:CUT_PREFIX_BYTES] + digest


def is_cut(stored: bytes) -> bool:
    """Whether a stored key has lost its end."""
    return len(stored) == limits.INDEX_KEY_BYTES_MAX


def sorts_exactly(stored: bytes) -> bool:
    """Whether a stored key lies where its values belong.  One that is longer than what a cut
    leaves may lie on the wrong side of a cut key with the same beginning."""
    return len(stored) <= CUT_PREFIX_BYTES


def prefix_end(prefix: bytes) -> bytes | None:
    """Return the smallest key above every key that begins with `prefix`; None if none is."""
    rest = prefix.rstrip(b"\xff")
    return rest[:-1] + bytes((rest[-1] + 1,)) if rest else None


def at_or_above(encoded: bytes) -> bytes:
    """The low bound of all stored keys that begin with or follow an encoding (or prefix of one)."""
    return encoded[:CUT_PREFIX_BYTES]


def above(encoded: bytes) -> bytes:
    """The low bound of all stored keys that follow, and do not begin with, an encoding."""
    if len(encoded) > CUT_PREFIX_BYTES:
        return encoded[:CUT_PREFIX_BYTES]
    end = prefix_end(encoded)
    return ABOVE_ALL_KEYS if end is None else end


def below(encoded: bytes) -> bytes | None:
    """The exclusive high bound of all stored keys that precede an encoding."""
    if len(encoded) > CUT_PREFIX_BYTES:
        return prefix_end(encoded[:CUT_PREFIX_BYTES])
    return encoded


def at_or_below(encoded: bytes) -> bytes | None:
    """The exclusive high bound of all stored keys that precede or begin with an encoding."""
    return prefix_end(encoded[:CUT_PREFIX_BYTES])


def range_for_prefix(encoded: bytes) -> tuple[bytes, bytes | None]:
    """Low and exclusive high bound of all stored keys that begin with an encoding."""
    return at_or_above(encoded), at_or_below(encoded)


def row_key(number: int) -> bytes:
    """Return the 8 bytes under which row `number` lies; they sort as the numbers do."""
    return (number + ROW_NUMBER_BIAS).to_bytes(8, "big")


def row_number(key: bytes) -> int:
    """The inverse of `row_key`."""
    return int.from_bytes(key, "big") - ROW_NUMBER_BIAS
