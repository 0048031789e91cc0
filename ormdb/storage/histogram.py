"""Values of a field on one line: keys, and how much of the field lies below a key.

    common   "open" 40 %   "paid" 30 %            frequent values, each with its fraction
    rest     28 % of the rows, in parts of equally many:   a ─── f ── h ───── z
    NULL     2 %

    below(key)     fractions of the common values before it, and the parts of the rest before it,
                   of the part it falls into as much as its place there says

A value stands for its key, whose bytes sort as the values do (`key_values`), so one histogram
serves every type.  Long keys are cut and end in a hash: they sort almost as the values do, and
equal ones stay equal.  Between the bounds of a part, numbers are placed as numbers; of other keys
each byte counts by its rank among the bytes that bounds have at that place, so that digits in a
text are as even as numbers.

Invariants (held by tests/property/test_histogram.py):
  1. `below` never falls from one key to a greater one, and stays between 0 and 1.
  2. A range of keys within another is never given more of the field.
  3. Common values and the rest add up to what is not NULL.
"""

from __future__ import annotations

import hashlib
import math
import struct
from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate
from typing import Final

from ormdb import limits
from ormdb.ir.value import (
    BytesType,
    DecimalType,
    EnumType,
    FloatType,
    IntType,
    TextType,
    Type,
    Value,
)
from ormdb.storage.key_values import SIGN_BIT, decimal_bytes, encode_value
from ormdb.storage.statistics import FieldStatistics

_HASH_BYTES: Final = 8
_CLASSES: Final = (b"09", b"AZ", b"az")  # bytes that stand for each other, from and to
_DIGITS: Final = 6  # bytes that place a key between two others; more change nothing to be seen
_ALL_ONES: Final = (1 << 64) - 1
LOWEST_KEY: Final = b""
HIGHEST_KEY: Final = b"\xff" * (limits.STATISTICS_KEY_BYTES_MAX + 1)


def key_type(kind: Type) -> Type:
    """The type whose keys a slot of this type gives: an enum is kept by its position."""
    return IntType() if isinstance(kind, EnumType) else kind


def key_kind(kind: Type) -> str:
    """How keys of this type are made, in a word; keys of different kinds do not compare."""
    if isinstance(kind, DecimalType):
        return f"Decimal{decimal_bytes(kind)}.{kind.scale}"
    return type(kind).__name__.removesuffix("Type")


def make_key(kind: Type, value: Value) -> bytes:
    """The key of a stored value that is not NULL."""
    return cut_key(encode_value(key_type(kind), value, nullable=False))


def cut_key(key: bytes) -> bytes:
    """A key of bounded length."""
    if len(key) <= limits.STATISTICS_KEY_BYTES_MAX:
        return key
    digest = hashlib.blake2b(key, digest_size=_HASH_BYTES).digest()
    return key[: limits.STATISTICS_KEY_BYTES_MAX - _HASH_BYTES] + digest


def key_after(kind: Type, key: bytes) -> bytes:
    """The smallest key above another one: of types of fixed width, that of the next value."""
    if isinstance(kind, TextType | BytesType):
        return key + b"\x00"
    number = int.from_bytes(key, "big") + 1
    return HIGHEST_KEY if number >> (8 * len(key)) else number.to_bytes(len(key), "big")


class Histogram:
    """The values of one field, to be asked how much of it lies where."""

    def __init__(self, kind: Type, statistics: FieldStatistics) -> None:
        self._kind = key_type(kind)
        self.null_fraction = statistics.null_fraction
        self.not_null = 1.0 - statistics.null_fraction
        self.distinct = statistics.distinct
        self._common = dict(zip(statistics.common, statistics.fractions, strict=True))
        self._common_keys = sorted(self._common)
        self._common_below = [0.0, *accumulate(self._common[key] for key in self._common_keys)]
        self._rest = max(0.0, self.not_null - self._common_below[-1])
        self._bounds = statistics.bounds
        self.has_shape = bool(statistics.common or statistics.bounds)
        self._line = _Line(self._kind, statistics.bounds)
        others = statistics.distinct - len(self._common)
        self.is_complete = others < 0.5
        least = min(self._common.values(), default=self.not_null)
        # A value that is not common is none of those, so it is no more frequent than they are.
        self._other = least if self.is_complete else min(self._rest / others, least)

    def equal(self, key: bytes, *, rows: float) -> float:
        """The fraction of one value; one of none seen so far is that of half a row."""
        found = self._common.get(key)
        if found is not None:
            return found
        if self.is_complete:
            return min(self._other, 0.5 / rows) if rows else 0.0
        return max(self._other, min(self.not_null, 0.5 / rows)) if rows else 0.0

    def equal_to_any(self) -> float:
        """The fraction of a value that nobody has named yet."""
        return self.not_null / max(1.0, self.distinct)

    def between(self, low: bytes, high: bytes) -> float:
        """The fraction of low <= key < high; of a range that holds any key, never less than a
        value that is not common."""
        if low >= high:
            return 0.0
        found = max(0.0, self.below(high) - self.below(low))
        least = 0.0 if self.is_complete else self._other
        return min(self.not_null, max(found, least))

    def below(self, key: bytes) -> float:
        """The fraction of rows whose value sorts before a key."""
        common = self._common_below[bisect_left(self._common_keys, key)]
        return min(self.not_null, common + self._rest * self._rest_below(key))

    def below_other(self, other: Histogram) -> float:
        """How likely a value of this field sorts before one of the other, if both are there and
        go their own ways."""
        points = list(self._common.items())
        if self._bounds:
            points.extend((key, self._rest / len(self._bounds)) for key in self._bounds)
        total = sum(weight for _, weight in points) * other.not_null
        if total <= 0.0:
            return 0.0
        found = sum(weight * (other.not_null - other.below(key)) for key, weight in points)
        return min(1.0, max(0.0, found / total))

    def _rest_below(self, key: bytes) -> float:
        bounds = self._bounds
        if len(bounds) < 2:
            return 1.0 if bounds and key > bounds[0] else 0.0
        at = bisect_left(bounds, key)
        if at == 0:
            return 0.0
        if at == len(bounds):
            return 1.0
        place = self._line.place(key, bounds[at - 1], bounds[at])
        return (at - 1 + place) / (len(bounds) - 1)


class _Line:
    """Places keys between two bounds."""

    def __init__(self, kind: Type, bounds: Sequence[bytes]) -> None:
        self._kind = kind
        self._bounds = bounds
        self._ranks: dict[int, list[int]] = {}  # by place in the key, made when asked for

    def place(self, key: bytes, low: bytes, high: bytes) -> float:
        """How far from low (0.0) to high (1.0) a key lies that is between them."""
        if isinstance(self._kind, FloatType):
            start, end = _float(low), _float(high)
            if math.isfinite(end - start) and start < end:
                return min(1.0, max(0.0, (_float(key) - start) / (end - start)))
        shared = _shared(low, high)
        first, last = self._number(low, shared), self._number(high, shared)
        if last <= first:
            return 0.0
        return min(1.0, max(0.0, (self._number(key, shared) - first) / (last - first)))

    def _number(self, key: bytes, start: int) -> int:
        if not isinstance(self._kind, TextType | BytesType):
            return int.from_bytes(key[start : start + 8].ljust(8, b"\x00"), "big")
        number, goes_on = 0, True
        for at in range(start, start + _DIGITS):
            ranks = self._ranks_at(at)
            number *= max(1, len(ranks))
            if goes_on and at < len(key):
                rank = bisect_left(ranks, key[at])
                number += rank
                # Bytes between two ranks are placed alike: what follows must not part them.
                goes_on = rank < len(ranks) and ranks[rank] == key[at]
        return number

    def _ranks_at(self, at: int) -> list[int]:
        ranks = self._ranks.get(at)
        if ranks is None:
            seen = {key[at] for key in self._bounds if at < len(key)}
            for first, last in _CLASSES:
                # A hundred bounds do not meet every digit or letter that is there.
                among = [byte for byte in seen if first <= byte <= last]
                seen.update(range(min(among, default=0), max(among, default=-1) + 1))
            ranks = self._ranks[at] = sorted(seen)
        return ranks


def _float(key: bytes) -> float:
    """The number of a key; of one that no number has, whatever its bits say."""
    bits = int.from_bytes(key[:8].ljust(8, b"\x00"), "big")
    plain = bits ^ SIGN_BIT if bits & SIGN_BIT else bits ^ _ALL_ONES
    number: float = struct.unpack(">d", plain.to_bytes(8, "big"))[0]
    return number


def _shared(low: bytes, high: bytes) -> int:
    """How many bytes two keys begin with alike."""
    for at, (one, other) in enumerate(zip(low, high, strict=False)):
        if one != other:
            return at
    return min(len(low), len(high))
