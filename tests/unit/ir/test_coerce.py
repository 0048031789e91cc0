"""Holds which literals may stand beside which type, and the form they take there."""

from __future__ import annotations

import datetime
import decimal
import enum
import math
import uuid
from typing import Any

import pytest

from ormdb.errors import QueryError
from ormdb.ir.coerce import coerce_value, literal_type
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
    TextType,
    TimestampType,
    TimeType,
    Type,
    UuidType,
)

D = decimal.Decimal
UTC = datetime.UTC
MOMENT = datetime.datetime(2013, 1, 1, tzinfo=UTC)


class State(enum.StrEnum):
    NEW = "new"


@pytest.mark.parametrize(
    ("kind", "value", "form"),
    [
        (IntType(), None, None),
        (IntType(), 2.0, 2),
        (IntType(), 2.5, 2.5),
        (IntType(), math.inf, math.inf),
        (IntType(), D("2.00"), 2),
        (IntType(), 1e19, 1e19),
        (FloatType(), 2, 2.0),
        (FloatType(), 2**53 + 1, 2**53 + 1),
        (DecimalType(precision=4, scale=1), 0.1, D("0.1")),
        (DecimalType(precision=4, scale=1), "1.25", D("1.25")),
        (DecimalType(precision=4, scale=1), 7, D(7)),
        (TextType(max_chars=1), "long", "long"),
        (BytesType(), bytearray(b"a"), b"a"),
        (UuidType(), "00000000-0000-0000-0000-000000000001", uuid.UUID(int=1)),
        (TimestampType(), "2013-01-01 01:00:00+01:00", MOMENT),
        (DateType(), "2013-01-01", datetime.date(2013, 1, 1)),
        (TimeType(), "05:30", datetime.time(5, 30)),
        (DurationType(), "P1D", datetime.timedelta(days=1)),
        (EnumType(variants=("new",)), State.NEW, "new"),
        (BoolType(), True, True),
    ],
)
def test_a_literal_beside_a_type_takes_its_form(kind: Type, value: Any, form: Any) -> None:
    found = coerce_value(kind, value, "here")
    assert found == form
    assert type(found) is type(form)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (IntType(), "1"),
        (IntType(), True),
        (IntType(), 2**63),
        (IntType(), math.nan),
        (FloatType(), "1.5"),
        (FloatType(), D(1)),
        (DecimalType(precision=4, scale=1), math.inf),
        (DecimalType(precision=4, scale=1), "1,5"),
        (DecimalType(precision=4, scale=1), D("NaN")),
        (TextType(), 1),
        (TextType(), "\ud800"),
        (BytesType(), "a"),
        (UuidType(), "1"),
        (UuidType(), 1),
        (TimestampType(), datetime.date(2013, 1, 1)),
        (TimestampType(), datetime.datetime(2013, 1, 1)),  # noqa: DTZ001
        (TimestampType(), "2013-01-01"),
        (DateType(), MOMENT),
        (TimeType(), "25:00"),
        (DurationType(), "1 day"),
        (DurationType(), 5),
        (EnumType(variants=("new",)), "old"),
        (BoolType(), 1),
        (BoolType(), "true"),
        (JsonType(), 1),
        (ListType(item=IntType()), (1,)),
    ],
)
def test_a_literal_that_does_not_fit_is_refused(kind: Type, value: Any) -> None:
    with pytest.raises(QueryError, match=r"Row\.f"):
        coerce_value(kind, value, "Row.f")


def test_a_literal_alone_has_the_type_of_its_class() -> None:
    assert literal_type(True) == BoolType()
    assert literal_type(1) == IntType()
    assert literal_type(MOMENT) == TimestampType()
    assert literal_type(MOMENT.date()) == DateType()
    assert literal_type({"a": 1}) == JsonType()
    assert isinstance(literal_type(D(1)), DecimalType)
