"""Awkward values of every type, and the form in which SQLite keeps them.

    decimal  12.50           text '50…0125000000000'   one offset and scale for all: text order
    timestamp 1969-12-31     -1 µs                     signed microseconds
    enum     "green"         1                         the position of the variant
    uuid     …               its 16 bytes              blobs compare as unsigned bytes

`to_sqlite` keeps equality and order of every scalar type, which is all that the comparison needs.
Nothing here calls the code that it is compared with.
"""

from __future__ import annotations

import datetime
import decimal
import json
import random
import uuid
from typing import Any, Final, cast

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

EPOCH: Final = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
MICROSECOND: Final = datetime.timedelta(microseconds=1)
DECIMAL_SCALE: Final = 10  # every decimal is kept in units of 10**-10
DECIMAL_DIGITS: Final = 52
DECIMAL_OFFSET: Final = 5 * 10 ** (DECIMAL_DIGITS - 1)
WIDE: Final = decimal.Context(prec=100)

_SHARED = "prefix of texts whose index keys are cut " * 15
_WORDS: Final = ("", "a", "A", "ab", "b", "a\0", "a\0b", "\0", "é", "ß", "Z", "z", "￿", "𐀀", "👩‍🚀")
_INTS: Final = (0, 1, -1, 2**31, -(2**31) - 1, 2**53, 2**53 + 1, 2**63 - 1, -(2**63), 10**15)
_FLOATS: Final = (0.0, 0.5, -0.5, 1.0, 2.0, 1e300, -1e300, 5e-324, float(2**53), 0.1, -2.5)
_INFINITE: Final = (float("inf"), float("-inf"))
_DAYS: Final = ("0001-01-01", "1899-12-31", "1969-12-31", "1970-01-01", "2024-02-29", "9999-12-31")


def small_int(rng: random.Random) -> int:
    """An int whose sums and products stay far inside 64 bits."""
    return rng.randint(-9, 9) if rng.random() < 0.8 else rng.randint(-9999, 9999)


def any_value(rng: random.Random, kind: Type, *, small: bool = False) -> Value:
    """Any value of a type, in its canonical form; `small` where it takes part in arithmetic."""
    match kind:
        case BoolType():
            return rng.random() < 0.5
        case IntType():
            if small:
                return small_int(rng)
            return rng.choice(_INTS) if rng.random() < 0.4 else rng.randint(-(2**63), 2**63 - 1)
        case FloatType():
            if rng.random() < 0.1:
                return rng.choice(_INFINITE)
            return rng.choice(_FLOATS) if rng.random() < 0.6 else rng.uniform(-100, 100)
        case DecimalType():
            return _any_decimal(rng, kind, small=small)
        case TextType():
            return any_text(rng)
        case BytesType():
            return rng.choice([b"", b"\0", b"\xff", b"\xff\xff", rng.randbytes(rng.randint(0, 4))])
        case UuidType():
            return uuid.UUID(int=rng.getrandbits(128) >> rng.choice([0, 0, 64, 120]))
        case EnumType(variants=variants):
            return rng.choice(variants)
        case JsonType() | ListType() | StructType():
            return _any_nested(rng, kind)
        case _:
            return _any_moment(rng, kind, small=small)


def any_text(rng: random.Random) -> str:
    """A short text, or a long one that shares its beginning with the others."""
    roll = rng.random()
    if roll < 0.6:
        return rng.choice(_WORDS)
    if roll < 0.8:
        return "".join(rng.choice("abAB é\0𐀀") for _ in range(rng.randint(0, 5)))
    return long_text(rng)


def long_text(rng: random.Random) -> str:
    """A text of about the length at which an index key is cut, or well beyond it."""
    length = rng.choice([rng.randint(448, 484), rng.randint(448, 484), 600])
    return _SHARED[: length - 1] + rng.choice(("", "a", "b", "c", "ba", "𐀀"))


def other_spelling(rng: random.Random, kind: Type, value: Value) -> Value:
    """The same value as a user may also write it, where the type has such a form."""
    match kind:
        case DecimalType() if isinstance(value, decimal.Decimal):
            tails = [value, decimal.Decimal(f"{value:f}" + ("0" if "." in f"{value:f}" else ".0"))]
            return rng.choice([*tails, f"{value:f}"])
        case DateType() | TimeType():
            return value.isoformat()
        case TimestampType():
            if value.year in {1, 9999}:
                return value  # another offset would leave the calendar
            shifted = value.astimezone(datetime.timezone(datetime.timedelta(hours=1)))
            return rng.choice([value.isoformat().replace("+00:00", "Z"), shifted])
        case UuidType():
            return str(value)
        case _:
            return value


def to_sqlite(kind: Type, value: Value) -> Any:
    """What SQLite stores for a value."""
    if value is None:
        return None
    match kind:
        case BoolType():
            return int(value)
        case FloatType():
            return float(value) + 0.0
        case DecimalType():
            return decimal_text(decimal.Decimal(value))
        case UuidType():
            return value.bytes
        case EnumType(variants=variants):
            return variants.index(value)
        case TimestampType():
            return (value - EPOCH) // MICROSECOND
        case DateType():
            return int(value.toordinal())
        case TimeType():
            seconds = (value.hour * 60 + value.minute) * 60 + value.second
            return int(seconds * 1_000_000 + value.microsecond)
        case DurationType():
            return value // MICROSECOND
        case JsonType() | ListType() | StructType():
            return json.dumps(value)
        case _:
            return value


def from_sqlite(kind: Type, value: Any) -> Value:
    """The canonical value that was stored."""
    if value is None:
        return None
    match kind:
        case BoolType():
            return bool(value)
        case FloatType():
            return float(value) + 0.0
        case DecimalType():
            return decimal_of(value).quantize(decimal.Decimal(1).scaleb(-kind.scale), context=WIDE)
        case UuidType():
            return uuid.UUID(bytes=value)
        case EnumType(variants=variants):
            return variants[int(value)]
        case TimestampType():
            return EPOCH + value * MICROSECOND
        case DateType():
            return datetime.date.fromordinal(value)
        case TimeType():
            return (EPOCH + value * MICROSECOND).time()
        case DurationType():
            return value * MICROSECOND
        case ListType():
            return tuple(cast("list[Value]", json.loads(value)))
        case JsonType() | StructType():
            return json.loads(value)
        case _:
            return value


def decimal_text(value: decimal.Decimal) -> str:
    """A decimal as text that sorts as the decimals do."""
    units = value.scaleb(DECIMAL_SCALE, context=WIDE)
    whole = int(units)
    assert units == whole, f"{value} has more than {DECIMAL_SCALE} digits after the point"
    return f"{whole + DECIMAL_OFFSET:0{DECIMAL_DIGITS}d}"


def decimal_of(text: str) -> decimal.Decimal:
    """The inverse of `decimal_text`."""
    return decimal.Decimal(int(text) - DECIMAL_OFFSET).scaleb(-DECIMAL_SCALE, context=WIDE)


def _any_decimal(rng: random.Random, kind: DecimalType, *, small: bool) -> decimal.Decimal:
    digits = min(kind.precision, kind.scale + 2) if small else kind.precision
    high = 10 ** rng.randint(0, digits) - 1
    units = rng.choice([0, high, -high, rng.randint(-high, high)])
    return decimal.Decimal(units).scaleb(-kind.scale, context=WIDE)


def _any_moment(rng: random.Random, kind: Type, *, small: bool) -> Value:
    if isinstance(kind, DurationType):
        width = 40 if small else 62
        micros = rng.choice([0, 1, -1, rng.getrandbits(width), -rng.getrandbits(width)])
        return datetime.timedelta(microseconds=micros)
    time = datetime.time(
        rng.choice([0, 12, 23]), rng.choice([0, 59]), 59, rng.choice([0, 1, 999_999])
    )
    if isinstance(kind, TimeType):
        return time
    day = datetime.date.fromisoformat(rng.choice(_DAYS[1:-1] if small else _DAYS))
    if isinstance(kind, DateType):
        return day
    return datetime.datetime.combine(day, time, datetime.UTC)


def _any_nested(rng: random.Random, kind: Type) -> Value:
    match kind:
        case JsonType():
            keyed = [
                {"k": rng.choice([True, 1, 0, False, "a", 1.5, None, [1], {"n": [1.5, True]}])}
            ]
            return rng.choice([[], {}, [1, "a", None], *(keyed * 4), [True, 0], "text", 7])
        case ListType(item=item):
            return tuple(any_value(rng, item, small=True) for _ in range(rng.randint(0, 3)))
        case StructType(fields=parts):
            return {part.name: any_value(rng, part.type, small=True) for part in parts}
        case _:
            raise AssertionError(f"{kind} is not nested")
