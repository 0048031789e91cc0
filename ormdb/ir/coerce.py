"""A literal in the form of the type it stands beside.

    Flight.day > "2013-06-01"      day is a date      datetime.date(2013, 6, 1)
    Flight.distance > 100          a float            100.0
    Movie.price == 9.90            a decimal          Decimal("9.9"), as it is spelled

    beside       a literal may be
    int          int; a whole float or decimal becomes an int, others stay and compare exactly
    float        float; an int becomes a float where that is exact, else stays and compares exactly
    decimal      decimal, int, text; a float as it is spelled: 1.10 becomes decimal("1.1")
    timestamp, date, time, duration, uuid       their own, or their ISO text
    enum         the text of a variant
    the others   their own

Invariants (held by tests/unit/ir/test_coerce.py and tests/property/test_expression_laws.py):
  1. A coerced literal is its own coerced form.
  2. A number equals its coerced form exactly (a float beside a decimal: as it is spelled).
"""

from __future__ import annotations

import datetime
import decimal
import math
import uuid
from typing import Final

from ormdb import limits
from ormdb.errors import QueryError, ValueRangeError, ValueTypeError
from ormdb.ir.check import checker
from ormdb.ir.show import show_value
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
    TextType,
    TimestampType,
    TimeType,
    Type,
    UuidType,
    Value,
)
from ormdb.ir.value_text import READABLE_TYPES, read_text

ANY_DECIMAL: Final = DecimalType(precision=limits.DECIMAL_DIGITS_MAX, scale=0)
_CLASSES: Final[dict[type, tuple[type, ...]]] = {
    BoolType: (bool,),
    IntType: (int, float, decimal.Decimal),
    FloatType: (int, float),
    DecimalType: (int, float, decimal.Decimal),
    TextType: (str,),
    BytesType: (bytes, bytearray),
    UuidType: (uuid.UUID,),
    TimestampType: (datetime.datetime,),
    DateType: (datetime.date,),
    TimeType: (datetime.time,),
    DurationType: (datetime.timedelta,),
    EnumType: (str,),
}


def coerce_value(kind: Type, value: Value, where: str) -> Value:
    """Return a literal in the form of the type it stands beside; NULL stays NULL.

    Args:
      kind: the type of what it stands beside.
      value: the literal.
      where: the name of what it stands beside, for the error text.

    Raises:
      QueryError: it cannot stand there.
    """
    if value is None:
        return None
    if isinstance(value, str) and isinstance(kind, READABLE_TYPES):
        try:
            return read_text(kind, value)
        except (ValueTypeError, ValueRangeError) as error:
            raise QueryError(
                f"{where} is {a_type(kind)}, and {error.message}", where=where
            ) from error
    if not _may_stand_beside(kind, value):
        raise QueryError(
            f"{where} is {a_type(kind)} and cannot be compared with the {show_value(value)}; "
            f"compare it with {a_type(kind)}",
            where=where,
        )
    if isinstance(kind, IntType | FloatType | DecimalType):
        return _coerce_number(kind, value, where)
    if isinstance(kind, TextType):
        kind = TextType()  # a text longer than the field holds is unequal, not wrong
    try:
        return checker(kind)(value, where)
    except (ValueTypeError, ValueRangeError) as error:
        raise QueryError(error.message, where=where) from error


def literal_type(value: Value) -> Type:
    """The type of a literal that stands beside nothing; `value` is not None."""
    for candidate, classes in _LITERAL_TYPES:
        if isinstance(value, classes):
            return candidate
    return JsonType()


# bool before int, datetime before date: each is a subclass of the other.
_LITERAL_TYPES: Final[tuple[tuple[Type, type], ...]] = (
    (BoolType(), bool),
    (IntType(), int),
    (FloatType(), float),
    (TextType(), str),
    (BytesType(), bytes),
    (ANY_DECIMAL, decimal.Decimal),
    (UuidType(), uuid.UUID),
    (TimestampType(), datetime.datetime),
    (DateType(), datetime.date),
    (TimeType(), datetime.time),
    (DurationType(), datetime.timedelta),
)


def is_nan(value: Value) -> bool:
    """Whether a number is none."""
    # A signaling NaN can be neither compared nor made a float.
    return value.is_nan() if isinstance(value, decimal.Decimal) else math.isnan(value)


def a_type(kind: Type | None) -> str:
    return "NULL" if kind is None else a_class(type(kind))


def a_class(kind: type) -> str:
    name = kind.__name__.removesuffix("Type").lower()
    if kind in {BytesType, JsonType}:
        return name.replace("json", "JSON")
    return f"{'an' if name[0] in 'aeio' else 'a'} {name}"


def _may_stand_beside(kind: Type, value: Value) -> bool:
    if isinstance(value, bool):
        return isinstance(kind, BoolType)
    if isinstance(value, datetime.datetime):
        return isinstance(kind, TimestampType)
    return isinstance(value, _CLASSES.get(type(kind), ()))


def _coerce_number(kind: Type, value: Value, where: str) -> Value:
    """Numbers keep their exact value; what has no exact form in `kind` stays as it is."""
    if isinstance(value, int) and not limits.INT_MIN <= value <= limits.INT_MAX:
        raise QueryError(
            f"{where} is compared with {show_value(value)}, which does not fit 64 bits; "
            "use a smaller number",
            where=where,
        )
    if is_nan(value):
        raise QueryError(f"{where} is compared with nan; write `is None` for a missing value")
    match kind:
        case IntType():
            whole = math.isfinite(value) and value == int(value)
            return int(value) if whole and abs(value) <= limits.INT_MAX else value
        case FloatType():
            return float(value) + 0.0 if float(value) == value else value
        case _:
            if not math.isfinite(value):
                raise QueryError(
                    f"{where} is {a_type(kind)} and is compared with {show_value(value)}; "
                    "decimals are finite, so leave the comparison out"
                )
            return decimal.Decimal(repr(value) if isinstance(value, float) else value)
