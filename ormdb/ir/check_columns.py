"""Whole columns of canonical values: the fast lane of `ormdb.ir.check`.

Most columns of a load are already canonical, and a few passes at C speed can tell:

    int    [5, 7, None, 1]     every class int or NoneType, smallest and largest within 64 bits
    text   ["a", "b"]          every class str, all ASCII, none too long

A column that fails the quick test is checked value by value, which finds the culprit or returns
the canonical forms.

Invariants (held by tests/property/test_check.py):
  1. A column checker accepts, refuses and returns what `checker` does value by value.
"""

from __future__ import annotations

import datetime
import functools
import math
import uuid
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

from ormdb import limits
from ormdb.errors import ValueRangeError, ValueTypeError
from ormdb.ir.check import checker
from ormdb.ir.value import (
    BoolType,
    BytesType,
    DateType,
    EnumType,
    FloatType,
    IntType,
    TextType,
    TimestampType,
    TimeType,
    Type,
    UuidType,
    Value,
)

Column: TypeAlias = Sequence[Value]  # None among them
ColumnChecker: TypeAlias = Callable[[Column, str], Column]
_Test: TypeAlias = Callable[[Column], bool]

_NONE: Final = type(None)
_UTC: Final = datetime.UTC


@functools.lru_cache(maxsize=limits.GENERATED_CODE_ENTRIES_MAX)
def column_checker(kind: Type) -> ColumnChecker:
    """Return a function that gives the canonical form of a column; None in it stays None.

    A refusal carries the position of the culprit in its detail `row`.
    """
    exact, test = _quick_test(kind)
    slow = _slow_checker(kind)
    if test is None:
        return slow
    found: _Test = test

    def check(values: Column, where: str) -> Column:
        kinds = set(map(type, values))
        if _NONE in kinds:
            kinds.discard(_NONE)
            present: Column = [value for value in values if value is not None]
        else:
            present = values
        if not kinds or (len(kinds) == 1 and exact in kinds and found(present)):
            return values
        return slow(values, where)

    return check


def _slow_checker(kind: Type) -> ColumnChecker:
    one = checker(kind)

    def check(values: Column, where: str) -> Column:
        result: list[Value] = []
        for row, value in enumerate(values):
            try:
                result.append(None if value is None else one(value, where))
            except (ValueTypeError, ValueRangeError) as error:
                error.details["row"] = row
                raise
        return result

    return check


def _quick_test(kind: Type) -> tuple[type, _Test | None]:
    """The one class of canonical values, and what a non-empty column of them must pass."""
    match kind:
        case BoolType():
            return bool, _always
        case IntType():
            return int, _fits_64_bits
        case FloatType():
            return float, _plain_floats
        case TextType():
            return str, functools.partial(_short_ascii, kind.max_chars)
        case BytesType():
            return bytes, _short_bytes
        case UuidType():
            return uuid.UUID, _always
        case TimestampType():
            return datetime.datetime, _in_utc
        case DateType():
            return datetime.date, _always
        case TimeType():
            return datetime.time, _plain_times
        case EnumType():
            return str, frozenset(kind.variants).issuperset
        case _:
            return _NONE, None


def _always(values: Column) -> bool:
    return True


def _fits_64_bits(values: Column) -> bool:
    return bool(min(values) >= limits.INT_MIN and max(values) <= limits.INT_MAX)


def _plain_floats(values: Column) -> bool:
    # -0.0 equals 0.0, so a column with zeros takes the sign of each into account.
    if any(map(math.isnan, values)):
        return False
    return 0.0 not in values or not any(v == 0.0 and math.copysign(1.0, v) < 0 for v in values)


def _short_ascii(max_chars: int | None, values: Column) -> bool:
    bound = limits.TEXT_BYTES_MAX if max_chars is None else min(max_chars, limits.TEXT_BYTES_MAX)
    return all(map(str.isascii, values)) and max(map(len, values)) <= bound


def _short_bytes(values: Column) -> bool:
    return max(map(len, values)) <= limits.TEXT_BYTES_MAX


def _in_utc(values: Column) -> bool:
    return all(v.tzinfo is _UTC and not v.fold for v in values)


def _plain_times(values: Column) -> bool:
    return all(v.tzinfo is None and not v.fold for v in values)
