"""Holds in which piece of time a value lies, and which pieces there are."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ormdb.errors import QueryError
from ormdb.ir.buckets import UNITS, begin_of, bucket, check_bucket, number_of, number_source
from ormdb.ir.evaluate import Resolved, evaluate, expression_type
from ormdb.ir.value import DateType, IntType, TimestampType, Type
from ormdb.model.expression_text import parse_expression
from ormdb.storage.codegen import compile_function

UTC = datetime.UTC
MOMENT = datetime.datetime(2013, 6, 1, 13, 47, 12, 5, tzinfo=UTC)
TYPES: dict[str, Type] = {"t": TimestampType(), "day": DateType(), "n": IntType()}
LAST = datetime.datetime.fromisoformat("9998-01-01")
moments = st.datetimes(timezones=st.just(UTC), max_value=LAST)
days = st.dates(max_value=datetime.date(9998, 1, 1))
pieces = st.one_of(
    st.tuples(st.sampled_from(UNITS), st.just(1)),
    st.sampled_from([("minute", 15), ("minute", 720), ("hour", 6), ("hour", 24)]),
)


def resolve(path: tuple[str, ...]) -> Resolved:
    return Resolved(name=path[0], type=TYPES[path[0]], optional=False)


def lies_in_its_piece(value: datetime.date, unit: str, width: int) -> None:
    is_date = not isinstance(value, datetime.datetime)
    number = number_of(value, unit, width)
    begin = begin_of(unit, width, number, is_date=is_date)
    assert type(begin) is type(value)
    assert bucket(value, unit, width) == begin <= value
    assert value < begin_of(unit, width, number + 1, is_date=is_date)
    assert number_of(begin, unit, width) == number
    source = f"def numbered(v):\n    return {number_source(unit, width, 'v')}\n"
    assert compile_function(source, "numbered", {})(value) == number


@given(moments, pieces)
def test_a_moment_lies_in_its_piece(value: datetime.datetime, piece: tuple[str, int]) -> None:
    lies_in_its_piece(value, *piece)


@given(days, st.sampled_from(UNITS[2:]))
def test_a_day_lies_in_its_piece(value: datetime.date, unit: str) -> None:
    lies_in_its_piece(value, unit, 1)


@pytest.mark.parametrize(
    ("text", "begin"),
    [
        ('bucket(t, "minute")', datetime.datetime(2013, 6, 1, 13, 47, tzinfo=UTC)),
        ('bucket(t, "minute", 15)', datetime.datetime(2013, 6, 1, 13, 45, tzinfo=UTC)),
        ('bucket(t, "hour")', datetime.datetime(2013, 6, 1, 13, tzinfo=UTC)),
        ('bucket(t, "hour", 6)', datetime.datetime(2013, 6, 1, 12, tzinfo=UTC)),
        ('bucket(t, "day")', datetime.datetime(2013, 6, 1, tzinfo=UTC)),
        ('bucket(t, "week")', datetime.datetime(2013, 5, 27, tzinfo=UTC)),
        ('bucket(t, "month")', datetime.datetime(2013, 6, 1, tzinfo=UTC)),
        ('bucket(day, "quarter")', datetime.date(2013, 4, 1)),
        ('bucket(day, "year")', datetime.date(2013, 1, 1)),
    ],
)
def test_a_piece_begins_where_the_calendar_says(text: str, begin: Any) -> None:
    expr = parse_expression(text)
    assert expression_type(expr, resolve) == (TYPES["t" if "(t" in text else "day"], False)
    assert evaluate(expr, {"t": MOMENT, "day": MOMENT.date()}) == begin
    assert evaluate(expr, {"t": None, "day": None}) is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('bucket(t, "fortnight")', "no unit of time; choose one of minute, hour"),
        ("bucket(t)", "takes a moment and a unit"),
        ('bucket(day, "hour")', "a date has no hour"),
        ('bucket(n, "hour")', "n is an int"),
        ("bucket(t, n)", "as a literal, not as n"),
        ('bucket(t, "minute", 7)', "divides the 1,440 minutes of a day"),
        ('bucket(t, "week", 2)', "of minutes and hours only"),
        ('bucket(t, "hour", 0)', "no width of a bucket"),
        ('bucket(t, "hour", True)', "no width of a bucket"),
    ],
)
def test_a_piece_that_does_not_exist_is_refused(text: str, words: str) -> None:
    with pytest.raises(QueryError, match=words):
        expression_type(parse_expression(text), resolve)


def test_a_piece_of_one_unit_needs_no_width() -> None:
    assert check_bucket("week", 1, is_date=True) == ("week", 1)
