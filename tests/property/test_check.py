"""Holds that values are judged alike one by one and by whole columns, whatever they are."""

from __future__ import annotations

import datetime
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ormdb.errors import ValueRangeError, ValueTypeError
from ormdb.ir.check import checker
from ormdb.ir.check_columns import column_checker
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
    StructField,
    StructType,
    TextType,
    TimestampType,
    TimeType,
    Type,
    UuidType,
    Value,
)

KINDS: list[Type] = [
    BoolType(),
    IntType(),
    FloatType(),
    DecimalType(precision=6, scale=2),
    TextType(),
    TextType(max_chars=3),
    BytesType(),
    UuidType(),
    TimestampType(),
    DateType(),
    TimeType(),
    DurationType(),
    EnumType(variants=("red", "green")),
    JsonType(),
    ListType(item=IntType()),
    StructType(fields=(StructField(name="x", type=FloatType(), optional=True),)),
]

# One class of values each, so that a column often is of one class and may pass the quick test.
CLASSES: list[st.SearchStrategy[Any]] = [
    st.booleans(),
    st.integers(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats() | st.sampled_from([0.0, -0.0]),
    st.decimals(allow_nan=True),
    st.text(max_size=5) | st.sampled_from(["\ud800", "red"]),
    st.text("abc", max_size=3),
    st.sampled_from(["red", "green"]),
    st.binary(max_size=5),
    st.uuids(),
    st.datetimes(timezones=st.none() | st.just(datetime.UTC) | st.timezones()),
    st.datetimes(timezones=st.just(datetime.UTC)),
    st.dates(),
    st.times(timezones=st.none() | st.just(datetime.UTC)),
    st.timedeltas(),
    st.lists(st.integers(0, 5) | st.text(max_size=1), max_size=3),
    st.dictionaries(st.sampled_from(["x", "y"]), st.floats(), max_size=2),
    st.just(object()),
]
COLUMNS = st.one_of(
    *(st.lists(values | st.none(), max_size=6) for values in CLASSES),
    st.lists(st.one_of(*CLASSES), max_size=4),
)


def outcome(kind: Type, values: list[Value]) -> tuple[int, str] | list[str]:
    """What checking one by one gives: the first culprit and its sentence, or all results."""
    check, kept = checker(kind), list[str]()
    for row, value in enumerate(values):
        try:
            kept.append("NULL" if value is None else spelled(check(value, "here")))
        except (ValueTypeError, ValueRangeError) as error:
            return row, error.message
    return kept


def column_outcome(kind: Type, values: list[Value]) -> tuple[int, str] | list[str]:
    """The same of checking the whole column."""
    try:
        kept = column_checker(kind)(values, "here")
    except (ValueTypeError, ValueRangeError) as error:
        return error.details["row"], error.message
    return ["NULL" if value is None else spelled(value) for value in kept]


def spelled(value: Value) -> str:
    return f"{type(value).__name__} {value!r}"


@given(st.sampled_from(KINDS), COLUMNS)
def test_a_column_is_judged_as_its_values_are(kind: Type, values: list[Value]) -> None:
    assert column_outcome(kind, values) == outcome(kind, values)


@given(st.sampled_from(KINDS), st.one_of(*CLASSES))
def test_a_canonical_value_is_its_own_canonical_form(kind: Type, value: Value) -> None:
    check = checker(kind)
    try:
        kept = check(value, "here")
    except (ValueTypeError, ValueRangeError):
        return
    assert spelled(check(kept, "here")) == spelled(kept)


@pytest.mark.parametrize("bad", [math.nan, -0.0])
def test_a_column_of_floats_is_looked_at_value_by_value_when_it_has_to_be(bad: float) -> None:
    check = column_checker(FloatType())
    if math.isnan(bad):
        with pytest.raises(ValueRangeError) as caught:
            check([1.0, None, bad], "here")
        assert caught.value.row == 2
    else:
        kept = check([1.0, bad, 0.0], "here")
        assert [math.copysign(1.0, value) for value in kept] == [1.0, 1.0, 1.0]
