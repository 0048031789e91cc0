"""Scalars as text and back, in the one ISO spelling that expressions and schemas use.

    date        2013-01-01                   time       05:30:00.25
    timestamp   2013-01-01T05:00:00Z         duration   P1DT2H0.5S, -PT5S, P2W
    uuid        6ba7b810-9dad-11d1-80b4-…    decimal    -12.50, 1E+3

Reading is strict where guessing would change the value: a timestamp without a zone, a seventh
digit of a second, a month without a length are refused, never rounded or assumed.

Invariants (held by tests/unit/ir/test_value_text.py and tests/property/test_value_text.py):
  1. `read_text(kind, write_text(v)) == v`, for every value of the types in READABLE_TYPES.
  2. Whatever the text is, reading ends in a value or in a ValueTypeError or ValueRangeError.
"""

from __future__ import annotations

import datetime
import decimal
import re
import uuid
from collections.abc import Callable
from typing import Final

from ormdb.errors import ValueRangeError, ValueTypeError
from ormdb.ir.show import show_value
from ormdb.ir.value import (
    DateType,
    DecimalType,
    DurationType,
    TimestampType,
    TimeType,
    Type,
    UuidType,
    Value,
)

# The types whose values a text stands for when it stands beside a field of theirs.
READABLE_TYPES: Final = (DateType, DecimalType, DurationType, TimestampType, TimeType, UuidType)

_DATE: Final = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
_TIME: Final = r"[0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,6})?)?"
_DATE_PATTERN: Final = re.compile(_DATE)
_TIME_PATTERN: Final = re.compile(_TIME)
_ZONE: Final = r"(?:[Zz]|([+-])([0-9]{2}):?([0-9]{2}))"
_TIMESTAMP_PATTERN: Final = re.compile(f"({_DATE})[Tt ]({_TIME}){_ZONE}")
_UUID_PATTERN: Final = re.compile(r"[0-9a-fA-F]{8}(-?)(?:[0-9a-fA-F]{4}\1){3}[0-9a-fA-F]{12}")
_DECIMAL_PATTERN: Final = re.compile(
    r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,6})?"
)
_DURATION_PATTERN: Final = re.compile(
    r"([+-]?)P(?=[0-9T])(?:([0-9]{1,15})W)?(?:([0-9]{1,15})D)?"
    r"(?:T(?=[0-9])(?:([0-9]{1,15})H)?(?:([0-9]{1,15})M)?(?:([0-9]{1,15})(?:\.([0-9]{1,6}))?S)?)?"
)
_MICROSECOND: Final = datetime.timedelta(microseconds=1)


def read_text(kind: Type, text: str) -> Value:
    """Return the value of type `kind` that `text` spells.

    Raises:
      ValueTypeError: it spells none; the sentence says how to write one.
      ValueRangeError: it spells one that the type cannot hold.
    """
    name, form, reader = _READERS[type(kind)]
    try:
        found = reader(text)
    except (ValueError, decimal.InvalidOperation):
        found = None  # the pattern holds, but there is no such day, hour or number
    except OverflowError as error:
        raise ValueRangeError(f"{show_value(text)} is too large for a {name}; use text") from error
    if found is None:
        raise ValueTypeError(f"{show_value(text)} is not a {name}; write it as {form}")
    return found


def write_text(value: Value) -> str:
    """Return the text that `read_text` makes this value of."""
    match value:
        case datetime.datetime():
            return value.astimezone(datetime.UTC).isoformat().removesuffix("+00:00") + "Z"
        case datetime.date() | datetime.time():
            return value.isoformat()
        case datetime.timedelta():
            return _write_duration(value)
        case _:
            return str(value)


def _read_date(text: str) -> Value:
    return datetime.date.fromisoformat(text) if _DATE_PATTERN.fullmatch(text) else None


def _read_time(text: str) -> Value:
    return datetime.time.fromisoformat(text) if _TIME_PATTERN.fullmatch(text) else None


def _read_timestamp(text: str) -> Value:
    found = _TIMESTAMP_PATTERN.fullmatch(text)
    if found is None:
        return None
    day, time, sign, hours, minutes = found.groups()
    local = datetime.datetime.combine(
        datetime.date.fromisoformat(day), datetime.time.fromisoformat(time), datetime.UTC
    )
    if sign is None:
        return local
    offset = datetime.timedelta(hours=int(hours), minutes=int(minutes))
    if int(minutes) > 59 or int(hours) > 23:
        return None
    return local - offset if sign == "+" else local + offset


def _read_uuid(text: str) -> Value:
    return uuid.UUID(text) if _UUID_PATTERN.fullmatch(text) else None


def _read_decimal(text: str) -> Value:
    return decimal.Decimal(text) if _DECIMAL_PATTERN.fullmatch(text) else None


def _read_duration(text: str) -> Value:
    found = _DURATION_PATTERN.fullmatch(text)
    if found is None:
        return None
    sign, weeks, days, hours, minutes, seconds, fraction = found.groups()
    whole = 7 * int(weeks or 0) + int(days or 0)
    rest = (int(hours or 0) * 60 + int(minutes or 0)) * 60 + int(seconds or 0)
    micros = int((fraction or "").ljust(6, "0"))
    total = (whole * 86_400 + rest) * 1_000_000 + micros
    return (-total if sign == "-" else total) * _MICROSECOND


def _write_duration(value: datetime.timedelta) -> str:
    length, sign = (-value, "-") if value.days < 0 else (value, "")
    hours, rest = divmod(length.seconds, 3_600)
    minutes, seconds = divmod(rest, 60)
    fraction = f".{length.microseconds:06}".rstrip("0") if length.microseconds else ""
    time = "".join(f"{n}{unit}" for n, unit in ((hours, "H"), (minutes, "M")) if n)
    if seconds or fraction or not (time or length.days):
        time += f"{seconds}{fraction}S"
    days = f"{length.days}D" if length.days else ""
    return f"{sign}P{days}{'T' if time else ''}{time}"


_READERS: Final[dict[type, tuple[str, str, Callable[[str], Value]]]] = {
    DateType: ("date", "YYYY-MM-DD", _read_date),
    DecimalType: ("decimal", "digits with a point, as in 12.50", _read_decimal),
    DurationType: ("duration", "P1DT2H30M or PT5.5S", _read_duration),
    TimestampType: (
        "timestamp",
        "YYYY-MM-DDTHH:MM:SSZ, or with an offset like +01:00 in place of Z",
        _read_timestamp,
    ),
    TimeType: ("time", "HH:MM:SS", _read_time),
    UuidType: ("uuid", "8-4-4-4-12 hexadecimal digits", _read_uuid),
}
