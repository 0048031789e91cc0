"""Whether a Python value is of a field's type, and the one form in which it is kept.

    canonical_value(DecimalType(precision=6, scale=2), 5, "item.price")      Decimal("5.00")
    canonical_value(TimestampType(), 02:00 at +02:00, "item.at")             00:00 UTC
    canonical_value(IntType(), True, "item.count")                           ValueTypeError

Everything above this module sees canonical values only: two values of one type are the same
value exactly when they are equal, and whatever is kept reads back equal and of the same class.

Three speeds, one meaning: `canonical_value` for one value, `checker` for many values of one
type, `column_checker` for a whole column at once, NULLs among it.

Invariants (held by tests/unit/ir/test_check.py and tests/property/test_check.py):
  1. A canonical value is its own canonical form.
  2. `column_checker` accepts, refuses and returns the same as `checker` value by value.
  3. A refusal is a ValueTypeError or a ValueRangeError, whatever object is passed.
"""

from __future__ import annotations

import datetime
import decimal
import enum
import functools
import math
import uuid
from collections.abc import Callable
from typing import Final, TypeAlias, cast

from ormdb import limits
from ormdb.ir.check_nested import json_checker, list_checker, struct_checker
from ormdb.ir.refusal import range_error, refuse_range, refuse_type
from ormdb.ir.value import (
    BoolType,
    BytesType,
    DateType,
    DecimalType,
    DurationType,
    EnumType,
    FloatType,
    IntType,
    JsonType,
    ListType,
    StructType,
    TextType,
    TimestampType,
    TimeType,
    Type,
    UuidType,
    Value,
)

Checker: TypeAlias = Callable[[Value, str], Value]

_UTC: Final = datetime.UTC
_MICROSECOND: Final = datetime.timedelta(microseconds=1)
_DURATION_MIN: Final = limits.INT_MIN * _MICROSECOND
_DURATION_MAX: Final = limits.INT_MAX * _MICROSECOND


def canonical_value(kind: Type, value: Value, where: str) -> Value:
    """Return the canonical form of `value`, which is not None, in a field of type `kind`.

    Args:
      kind: the type of the field.
      value: anything but None: whether NULL is allowed is the field's affair, not the type's.
      where: what the value is for, as the error shall name it ("flight.dep_delay").

    Raises:
      ValueTypeError: the value is of another type.
      ValueRangeError: the type cannot hold this value exactly.
    """
    return checker(kind)(value, where)


@functools.lru_cache(maxsize=limits.GENERATED_CODE_ENTRIES_MAX)
def checker(kind: Type) -> Checker:
    """Return `canonical_value` for one type, with everything about the type looked up."""
    match kind:
        case DecimalType():
            return _decimal_checker(kind)
        case TextType():
            return _text_checker(kind)
        case EnumType():
            return _enum_checker(kind)
        case JsonType():
            return json_checker()
        case ListType():
            return list_checker(checker(kind.item))
        case StructType():
            return struct_checker(
                {part.name: (checker(part.type), part.optional) for part in kind.fields}
            )
        case _:
            return _SIMPLE[type(kind)]


# --- scalars that need nothing but the value ------------------------------------------------


def _check_bool(value: Value, where: str) -> Value:
    if value is True or value is False:
        return value
    refuse_type(value, where, "a bool", "give True or False")


def _check_int(value: Value, where: str) -> Value:
    if type(value) is not int:
        if not isinstance(value, int) or isinstance(value, bool):
            refuse_type(value, where, "an int", "give a whole number")
        value = int(value)
    if limits.INT_MIN <= value <= limits.INT_MAX:
        return value
    refuse_range(value, where, "does not fit 64 bits", "use decimal or text for larger numbers")


def _check_float(value: Value, where: str) -> Value:
    if type(value) is not float:
        value = _float_of(value, where)
    if math.isnan(value):
        refuse_range(value, where, "is not a number", "use NULL for a missing measurement")
    return value + 0.0  # turns -0.0 into 0.0


def _float_of(value: Value, where: str) -> float:
    if isinstance(value, float):
        return float(value)
    if not isinstance(value, int) or isinstance(value, bool):
        refuse_type(value, where, "a float", "give a number")
    try:
        result = float(value)
    except OverflowError as error:
        raise range_error(value, where, "is too large for a float", "use text") from error
    if result != value:
        refuse_range(value, where, "is not exactly a float", "give float(value) if that will do")
    return result


def _check_bytes(value: Value, where: str) -> Value:
    if type(value) is not bytes:
        if not isinstance(value, bytes | bytearray | memoryview):
            refuse_type(value, where, "bytes", "encode text first")
        value = bytes(cast("bytes | bytearray", value))
    if len(value) <= limits.TEXT_BYTES_MAX:
        return value
    refuse_range(value, where, *_too_long(len(value)))


def _check_uuid(value: Value, where: str) -> Value:
    if type(value) is uuid.UUID:
        return value
    if isinstance(value, uuid.UUID):
        return uuid.UUID(int=value.int)
    refuse_type(value, where, "a uuid", "give a uuid.UUID")


def _check_timestamp(value: Value, where: str) -> Value:
    if not isinstance(value, datetime.datetime):
        refuse_type(value, where, "a timestamp", "give a datetime with a time zone")
    if type(value) is datetime.datetime and value.tzinfo is _UTC and not value.fold:
        return value
    if value.tzinfo is None or value.utcoffset() is None:
        refuse_type(
            value,
            where,
            "a timestamp: it has no time zone",
            "add tzinfo=datetime.timezone.utc",
        )
    if getattr(value, "nanosecond", 0):
        refuse_range(value, where, "is finer than a microsecond", "round it first")
    try:
        moved = value.astimezone(_UTC)
    except OverflowError as error:
        raise range_error(
            value, where, "lies outside the years 1 to 9999 in UTC", "use text"
        ) from error
    return datetime.datetime.combine(moved.date(), moved.time().replace(fold=0), tzinfo=_UTC)


def _check_date(value: Value, where: str) -> Value:
    if type(value) is datetime.date:
        return value
    if isinstance(value, datetime.date) and not isinstance(value, datetime.datetime):
        return datetime.date(value.year, value.month, value.day)
    refuse_type(value, where, "a date", "give a datetime.date")


def _check_time(value: Value, where: str) -> Value:
    if not isinstance(value, datetime.time):
        refuse_type(value, where, "a time", "give a datetime.time")
    if value.tzinfo is not None:
        refuse_type(value, where, "a time: it has a time zone", "give it without tzinfo")
    if type(value) is datetime.time and not value.fold:
        return value
    return datetime.time(value.hour, value.minute, value.second, value.microsecond)


def _check_duration(value: Value, where: str) -> Value:
    if not isinstance(value, datetime.timedelta):
        refuse_type(value, where, "a duration", "give a datetime.timedelta")
    if getattr(value, "nanoseconds", 0):
        refuse_range(value, where, "is finer than a microsecond", "round it first")
    if not _DURATION_MIN <= value <= _DURATION_MAX:
        refuse_range(value, where, "is over 292,271 years", "use decimal or text")
    if type(value) is datetime.timedelta:
        return value
    return datetime.timedelta(value.days, value.seconds, value.microseconds)


_SIMPLE: Final[dict[type, Checker]] = {
    BoolType: _check_bool,
    IntType: _check_int,
    FloatType: _check_float,
    BytesType: _check_bytes,
    UuidType: _check_uuid,
    TimestampType: _check_timestamp,
    DateType: _check_date,
    TimeType: _check_time,
    DurationType: _check_duration,
}


# --- scalars with parameters ----------------------------------------------------------------


def _decimal_checker(kind: DecimalType) -> Checker:
    scale, whole_digits = kind.scale, kind.precision - kind.scale
    unit = decimal.Decimal(1).scaleb(-scale)
    # One context per type; `quantize` reads it only, so threads may share it.
    exact = decimal.Context(
        prec=kind.precision + 1, traps=[decimal.Inexact, decimal.InvalidOperation]
    )

    def check(value: Value, where: str) -> Value:
        if not isinstance(value, decimal.Decimal):
            if not isinstance(value, int) or isinstance(value, bool):
                refuse_type(value, where, "a decimal", "give a decimal.Decimal or an int")
            if value.bit_length() > 4 * limits.DECIMAL_DIGITS_MAX:
                refuse_range(value, where, *_too_many_digits(kind))
            value = decimal.Decimal(int(value))
        if not value.is_finite():
            refuse_range(value, where, "is not a finite number", "use NULL")
        if value and value.adjusted() >= whole_digits:
            refuse_range(value, where, *_too_many_digits(kind))
        try:
            result = decimal.Decimal(value).quantize(unit, context=exact)
        except (decimal.Inexact, decimal.InvalidOperation) as error:
            raise range_error(
                value,
                where,
                f"has more than {scale} digits after the point",
                "round it first",
            ) from error
        return result or abs(result)  # -0 becomes 0

    return check


def _text_checker(kind: TextType) -> Checker:
    bytes_max = limits.TEXT_BYTES_MAX
    chars_max = bytes_max if kind.max_chars is None else min(kind.max_chars, bytes_max)

    def check(value: Value, where: str) -> Value:
        if type(value) is not str:
            if not isinstance(value, str):
                refuse_type(value, where, "text", "give a str")
            value = str.__str__(value)
        if len(value) > chars_max:
            refuse_range(
                value,
                where,
                f"has {len(value)} characters",
                f"keep {chars_max} at most",
            )
        if value.isascii():
            return value
        try:
            size = len(value.encode())
        except UnicodeEncodeError as error:
            raise range_error(
                value, where, "holds half of a surrogate pair", "decode it properly"
            ) from error
        if size > bytes_max:
            refuse_range(value, where, *_too_long(size))
        return value

    return check


def _enum_checker(kind: EnumType) -> Checker:
    variants = frozenset(kind.variants)

    def check(value: Value, where: str) -> Value:
        if type(value) is str and value in variants:
            return value
        if isinstance(value, enum.Enum):
            value = value.value
        if not isinstance(value, str):
            refuse_type(value, where, "an enum variant", "give its text")
        value = str.__str__(value)
        if value in variants:
            return value
        known = ", ".join(repr(variant) for variant in kind.variants[:8])
        more = ", …" if len(kind.variants) > 8 else ""
        refuse_range(value, where, "is not among the variants", f"choose one of {known}{more}")

    return check


def _too_long(size: int) -> tuple[str, str]:
    return f"has {size} bytes", f"keep {limits.TEXT_BYTES_MAX} at most"


def _too_many_digits(kind: DecimalType) -> tuple[str, str]:
    return (
        f"has more than {kind.precision - kind.scale} digits before the point",
        f"use a larger precision than decimal({kind.precision},{kind.scale})",
    )
