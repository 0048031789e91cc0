"""Holds the texts of scalars: what is read, how it is written, and what is refused."""

from __future__ import annotations

import datetime
import decimal
import uuid
from typing import Any

import pytest

from ormdb.errors import ValueRangeError, ValueTypeError
from ormdb.ir.value import (
    DateType,
    DecimalType,
    DurationType,
    TimestampType,
    TimeType,
    Type,
    UuidType,
)
from ormdb.ir.value_text import read_text, write_text

UTC = datetime.UTC
DAY, TIME, AT, LENGTH, KEY = DateType(), TimeType(), TimestampType(), DurationType(), UuidType()
NUMBER = DecimalType(precision=38, scale=0)


def moment(text: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(text).replace(tzinfo=UTC)


def length(**parts: float) -> datetime.timedelta:
    return datetime.timedelta(**parts)


@pytest.mark.parametrize(
    ("kind", "text", "value", "written"),
    [
        (DAY, "2013-01-31", datetime.date(2013, 1, 31), None),
        (DAY, "0001-01-01", datetime.date.min, None),
        (TIME, "05:30", datetime.time(5, 30), "05:30:00"),
        (TIME, "05:30:00.25", datetime.time(5, 30, 0, 250_000), "05:30:00.250000"),
        (AT, "2013-01-01T05:00:00Z", moment("2013-01-01T05:00"), None),
        (AT, "2013-01-01 05:00z", moment("2013-01-01T05:00"), "2013-01-01T05:00:00Z"),
        (AT, "2013-01-01T05:00:00-0530", moment("2013-01-01T10:30"), "2013-01-01T10:30:00Z"),
        (AT, "1969-12-31T23:59:59.999999Z", moment("1969-12-31T23:59:59.999999"), None),
        (LENGTH, "PT0S", length(), None),
        (LENGTH, "P2W", length(weeks=2), "P14D"),
        (LENGTH, "P1DT2H30M", length(days=1, hours=2, minutes=30), None),
        (LENGTH, "-PT5.5S", length(seconds=-5.5), None),
        (LENGTH, "PT90M", length(minutes=90), "PT1H30M"),
        (LENGTH, "-PT0.000001S", length(microseconds=-1), None),
        (KEY, "00000000-0000-0000-0000-00000000000A", uuid.UUID(int=10), None),
        (KEY, "0" * 31 + "a", uuid.UUID(int=10), None),
        (NUMBER, "-12.50", decimal.Decimal("-12.50"), None),
        (NUMBER, ".5", decimal.Decimal("0.5"), "0.5"),
        (NUMBER, "1e3", decimal.Decimal("1E+3"), "1E+3"),
    ],
)
def test_a_text_is_read_as_its_value(kind: Type, text: str, value: Any, written: str) -> None:
    assert read_text(kind, text) == value
    wanted = "00000000-0000-0000-0000-00000000000a" if kind == KEY else written or text
    assert write_text(value) == wanted


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (DAY, "2013-02-30"),
        (DAY, "2013-1-1"),
        (DAY, "20130101"),
        (DAY, "2013-W01-1"),
        (DAY, "0000-01-01"),
        (DAY, "２０13-01-01"),
        (DAY, "2013-01-01\n"),
        (TIME, "24:00"),
        (TIME, "5:30"),
        (TIME, "05:30Z"),
        (TIME, "05:30:00.1234567"),
        (AT, "2013-01-01T05:00:00"),
        (AT, "2013-01-01"),
        (AT, "2013-01-01T05:00:00+24:00"),
        (AT, "2013-01-01T05:00:00+01:60"),
        (LENGTH, "P"),
        (LENGTH, "PT"),
        (LENGTH, "P1DT"),
        (LENGTH, "P1Y"),
        (LENGTH, "P1M"),
        (LENGTH, "P0.5D"),
        (LENGTH, "PT0.1234567S"),
        (LENGTH, "5"),
        (LENGTH, "1 day"),
        (KEY, "{00000000-0000-0000-0000-000000000001}"),
        (KEY, "00000000-000000000000-0000-000000000001"),
        (NUMBER, "1_000"),
        (NUMBER, "NaN"),
        (NUMBER, "Infinity"),
        (NUMBER, " 1"),
        (NUMBER, "1,5"),
        (NUMBER, "."),
        (NUMBER, "1e9999999"),
        (NUMBER, ""),
    ],
)
def test_a_text_that_is_not_in_the_one_spelling_is_refused(kind: Type, text: str) -> None:
    with pytest.raises(ValueTypeError, match="; write it as "):
        read_text(kind, text)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (AT, "0001-01-01T00:00:00+00:01"),
        (AT, "9999-12-31T23:59:59-00:01"),
        (LENGTH, "P999999999999999W"),
    ],
)
def test_a_value_that_no_type_holds_is_refused(kind: Type, text: str) -> None:
    with pytest.raises(ValueRangeError):
        read_text(kind, text)
