"""Time in pieces of equal name: the moment or the day at which the piece of a value begins.

    bucket(t, "hour")          2013-06-01T13:47:12Z   ->  2013-06-01T13:00:00Z
    bucket(t, "minute", 15)                               2013-06-01T13:45:00Z
    bucket(t, "week")                                     2013-05-27T00:00:00Z, its Monday
    bucket(day, "quarter")     2013-06-01             ->  2013-04-01

Moments are UTC.  Several minutes or hours make a piece if a whole number of pieces makes a day, so
that no piece crosses midnight.  Every piece has a number, which rises with time:

    number_of("hour", 1)   source of the number of a value, for code that is run per row
    begin_of               the beginning of the piece with a number

Invariants (held by tests/unit/ir/test_buckets.py):
  1. A value lies in its piece: begin <= value < begin of the next one.
  2. Numbers rise exactly as beginnings do.
"""

from __future__ import annotations

import datetime
from typing import Final

from ormdb.errors import QueryError
from ormdb.ir.show import show_value
from ormdb.ir.value import Value

# How many of a unit make a day: only of these several may be one piece.
_OF_A_DAY: Final = {"minute": 1_440, "hour": 24}
UNITS: Final = ("minute", "hour", "day", "week", "month", "quarter", "year")


def check_bucket(unit: Value, width: Value, *, is_date: bool) -> tuple[str, int]:
    """Return the unit and the width of a bucket.

    Raises:
      QueryError: there is no such bucket.
    """
    if not isinstance(unit, str) or unit not in UNITS:
        raise QueryError(
            f"the {show_value(unit)} is no unit of time; choose one of {', '.join(UNITS)}"
        )
    if is_date and unit in _OF_A_DAY:
        raise QueryError(f"a date has no {unit}; choose one of {', '.join(UNITS[2:])}")
    if isinstance(width, bool) or not isinstance(width, int) or width < 1:
        raise QueryError(f"the {show_value(width)} is no width of a bucket; give an int, 1 or more")
    if width > 1 and _OF_A_DAY.get(unit, 1) % width:
        parts = _OF_A_DAY.get(unit)
        remedy = (
            "several make one of minutes and hours only"
            if parts is None
            else (f"give a number that divides the {parts:,} {unit}s of a day")
        )
        raise QueryError(f"a bucket of {width} {unit}s has no place in the calendar; {remedy}")
    return unit, width


def number_source(unit: str, width: int, value: str) -> str:
    """Source of the number of the piece in which a value lies; `value` is source as well."""
    match unit:
        case "minute":
            minutes = f"{value}.toordinal() * 1440 + {value}.hour * 60 + {value}.minute"
            return f"({minutes}) // {width}" if width > 1 else minutes
        case "hour":
            hours = f"{value}.toordinal() * 24 + {value}.hour"
            return f"({hours}) // {width}" if width > 1 else hours
        case "day":
            return f"{value}.toordinal()"
        case "week":
            return f"({value}.toordinal() - 1) // 7"  # day 1 was a Monday
        case "month":
            return f"{value}.year * 12 + {value}.month - 1"
        case "quarter":
            return f"{value}.year * 4 + ({value}.month - 1) // 3"
        case _:
            return f"{value}.year"


def begin_of(unit: str, width: int, number: int, *, is_date: bool) -> datetime.date:
    """The beginning of the piece with a number."""
    minutes = 0
    match unit:
        case "minute":
            days, minutes = divmod(number * width, 1_440)
            day = datetime.date.fromordinal(days)
        case "hour":
            days, hours = divmod(number * width, 24)
            day, minutes = datetime.date.fromordinal(days), hours * 60
        case "day":
            day = datetime.date.fromordinal(number)
        case "week":
            day = datetime.date.fromordinal(number * 7 + 1)
        case "month":
            day = datetime.date(number // 12, number % 12 + 1, 1)
        case "quarter":
            day = datetime.date(number // 4, number % 4 * 3 + 1, 1)
        case _:
            day = datetime.date(number, 1, 1)
    if is_date:
        return day
    hour, minute = divmod(minutes, 60)
    return datetime.datetime(day.year, day.month, day.day, hour, minute, tzinfo=datetime.UTC)


def bucket(value: datetime.date, unit: str, width: int = 1) -> datetime.date:
    """The beginning of the piece in which a moment (in UTC) or a day lies."""
    is_date = not isinstance(value, datetime.datetime)
    return begin_of(unit, width, number_of(value, unit, width), is_date=is_date)


def number_of(value: datetime.date, unit: str, width: int = 1) -> int:
    """The number of the piece in which a moment (in UTC) or a day lies."""
    day = value.toordinal()
    minutes = value.hour * 60 + value.minute if isinstance(value, datetime.datetime) else 0
    match unit:
        case "minute":
            return (day * 1_440 + minutes) // width
        case "hour":
            return (day * 24 + minutes // 60) // width
        case "day":
            return day
        case "week":
            return (day - 1) // 7
        case "month":
            return value.year * 12 + value.month - 1
        case "quarter":
            return value.year * 4 + (value.month - 1) // 3
        case _:
            return value.year
