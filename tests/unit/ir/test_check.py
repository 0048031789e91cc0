"""Holds which Python values each type accepts, and the one form in which it keeps them."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import math
import uuid
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import pytest

from ormdb import limits
from ormdb.errors import ValueRangeError, ValueTypeError
from ormdb.ir.check import canonical_value
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
)

UTC = datetime.UTC
D = decimal.Decimal
MONEY = DecimalType(precision=5, scale=2)
WIDE = DecimalType(precision=38, scale=0)
COLOUR = EnumType(variants=("red", "green"))
POINT = StructType(
    fields=(
        StructField(name="x", type=FloatType()),
        StructField(name="label", type=TextType(), optional=True),
    )
)


class Colour(enum.Enum):
    RED = "red"


class Word(str):
    __slots__ = ()


class Count(enum.IntEnum):
    ONE = 1


@dataclasses.dataclass
class PointObject:
    label: str | None
    x: float


class Accepted(NamedTuple):
    kind: Type
    value: Any
    kept: Any


ACCEPTED = [
    Accepted(BoolType(), True, True),
    Accepted(IntType(), limits.INT_MIN, limits.INT_MIN),
    Accepted(IntType(), limits.INT_MAX, limits.INT_MAX),
    Accepted(IntType(), Count.ONE, 1),
    Accepted(FloatType(), 3, 3.0),
    Accepted(FloatType(), 2**53, float(2**53)),
    Accepted(FloatType(), math.inf, math.inf),
    Accepted(MONEY, 5, D("5.00")),
    Accepted(MONEY, D("-1.5"), D("-1.50")),
    Accepted(MONEY, D("1.500"), D("1.50")),
    Accepted(MONEY, D("999.99"), D("999.99")),
    Accepted(MONEY, D("5E+2"), D("500.00")),
    Accepted(MONEY, D("0E+50"), D("0.00")),
    Accepted(WIDE, 10**38 - 1, D(10**38 - 1)),
    Accepted(WIDE, D("-99999999999999999999999999999999999999"), D(-(10**38) + 1)),
    Accepted(TextType(), "", ""),
    Accepted(TextType(), "a\x00é\U0001f600", "a\x00é\U0001f600"),
    Accepted(TextType(max_chars=2), "é\U0001f600", "é\U0001f600"),
    Accepted(TextType(), Word("w"), "w"),
    Accepted(BytesType(), bytearray(b"\x00a"), b"\x00a"),
    Accepted(BytesType(), memoryview(b"abc")[1:], b"bc"),
    Accepted(UuidType(), uuid.UUID(int=7), uuid.UUID(int=7)),
    Accepted(
        TimestampType(),
        datetime.datetime(2013, 7, 1, 5, tzinfo=ZoneInfo("America/New_York")),
        datetime.datetime(2013, 7, 1, 9, tzinfo=UTC),
    ),
    Accepted(
        TimestampType(),
        datetime.datetime(1, 1, 1, tzinfo=UTC),
        datetime.datetime(1, 1, 1, tzinfo=UTC),
    ),
    Accepted(DateType(), datetime.date(9999, 12, 31), datetime.date(9999, 12, 31)),
    Accepted(TimeType(), datetime.time(1, 2, fold=1), datetime.time(1, 2)),
    Accepted(DurationType(), datetime.timedelta(-1), datetime.timedelta(-1)),
    Accepted(COLOUR, "red", "red"),
    Accepted(COLOUR, Colour.RED, "red"),
    Accepted(COLOUR, Word("green"), "green"),
    Accepted(JsonType(), {"a": (1, None, [True, 2.5])}, {"a": [1, None, [True, 2.5]]}),
    Accepted(JsonType(), [], []),
    Accepted(ListType(item=IntType()), [3, 1], (3, 1)),
    Accepted(ListType(item=COLOUR), (Colour.RED,), ("red",)),
    Accepted(POINT, {"label": "p", "x": 1}, {"x": 1.0, "label": "p"}),
    Accepted(POINT, {"x": 2.5}, {"x": 2.5, "label": None}),
    Accepted(POINT, PointObject("p", 2.0), {"x": 2.0, "label": "p"}),
]


@pytest.mark.parametrize("case", ACCEPTED, ids=lambda case: f"{type(case.kind).__name__}")
def test_a_value_is_kept_in_its_canonical_form(case: Accepted) -> None:
    kept = canonical_value(case.kind, case.value, "here")
    assert kept == case.kept
    assert type(kept) is type(case.kept)
    assert repr(kept) == repr(case.kept)
    again = canonical_value(case.kind, kept, "here")
    assert repr(again) == repr(kept)


def _endless() -> list[Any]:
    endless: list[Any] = []
    endless.append(endless)
    return endless


def _bomb() -> list[Any]:
    value: list[Any] = ["x"]
    for _ in range(90):
        value = [value, value]
    return value


WRONG_TYPE: list[tuple[Type, Any]] = [
    (BoolType(), 1),
    (BoolType(), "true"),
    (IntType(), True),
    (IntType(), 1.0),
    (IntType(), "1"),
    (FloatType(), True),
    (FloatType(), "1"),
    (FloatType(), D("1")),
    (MONEY, 1.5),
    (MONEY, True),
    (MONEY, "1.5"),
    (TextType(), b"a"),
    (TextType(), 5),
    (BytesType(), "a"),
    (BytesType(), [1]),
    (UuidType(), str(uuid.UUID(int=0))),
    (TimestampType(), datetime.datetime(2013, 1, 1)),  # noqa: DTZ001 the point of the case
    (TimestampType(), datetime.date(2013, 1, 1)),
    (TimestampType(), 0),
    (DateType(), datetime.datetime(2013, 1, 1, tzinfo=UTC)),
    (DateType(), "2013-01-01"),
    (TimeType(), datetime.time(1, tzinfo=UTC)),
    (DurationType(), 5),
    (COLOUR, 0),
    (JsonType(), {1: "a"}),
    (JsonType(), {"a": {1, 2}}),
    (JsonType(), b"a"),
    (JsonType(), D("1")),
    (ListType(item=IntType()), "12"),
    (ListType(item=IntType()), {1: 2}),
    (ListType(item=IntType()), [1, None]),
    (ListType(item=IntType()), [1, "2"]),
    (POINT, {"label": "p"}),
    (POINT, {"x": None}),
    (POINT, {"x": 1.0, "z": 1}),
    (POINT, [1.0, "p"]),
    (POINT, PointObject),
]
OUT_OF_RANGE: list[tuple[Type, Any]] = [
    (IntType(), limits.INT_MAX + 1),
    (IntType(), limits.INT_MIN - 1),
    (IntType(), 10**5000),
    (FloatType(), math.nan),
    (FloatType(), 2**53 + 1),
    (FloatType(), 10**400),
    (MONEY, D("1.005")),
    (MONEY, D("1000")),
    (MONEY, -1000),
    (MONEY, 10**5000),
    (MONEY, D("1E-999999")),
    (MONEY, D("1E+999999")),
    (MONEY, D("NaN")),
    (MONEY, D("-Infinity")),
    (WIDE, 10**38),
    (TextType(), "\ud800"),
    (TextType(max_chars=2), "abc"),
    (
        TimestampType(),
        datetime.datetime(1, 1, 1, tzinfo=datetime.timezone(datetime.timedelta(hours=1))),
    ),
    (DurationType(), datetime.timedelta.max),
    (COLOUR, "blue"),
    (JsonType(), 2**63),
    (JsonType(), [math.nan]),
    (JsonType(), {"a": math.inf}),
    (JsonType(), {"\udfff": 1}),
    (JsonType(), ["\udfff"]),
    (JsonType(), _endless()),
    (JsonType(), _bomb()),
]


@pytest.mark.parametrize(("kind", "value"), WRONG_TYPE, ids=lambda part: type(part).__name__)
def test_a_value_of_another_type_is_refused(kind: Type, value: Any) -> None:
    with pytest.raises(ValueTypeError, match=r"^flight\.dep_delay.*; ") as caught:
        canonical_value(kind, value, "flight.dep_delay")
    assert caught.value.where.startswith("flight.dep_delay")


@pytest.mark.parametrize(("kind", "value"), OUT_OF_RANGE, ids=lambda part: type(part).__name__)
def test_a_value_that_the_type_cannot_hold_is_refused(kind: Type, value: Any) -> None:
    with pytest.raises(ValueRangeError, match=r"^flight\.dep_delay.*; "):
        canonical_value(kind, value, "flight.dep_delay")


def test_zero_has_one_sign() -> None:
    assert math.copysign(1.0, canonical_value(FloatType(), -0.0, "x")) == 1.0
    assert str(canonical_value(MONEY, D("-0"), "x")) == "0.00"


def test_text_longer_than_the_limit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "TEXT_BYTES_MAX", 7)
    # A max_chars that no other test uses, so that no checker made earlier is found again.
    kind = TextType(max_chars=123_457)
    assert canonical_value(kind, "abc€", "x") == "abc€"
    with pytest.raises(ValueRangeError):
        canonical_value(kind, "abcdef€", "x")
    with pytest.raises(ValueRangeError):
        canonical_value(kind, "abcdefgh", "x")
    with pytest.raises(ValueRangeError):
        canonical_value(BytesType(), bytes(8), "x")
    with pytest.raises(ValueRangeError):
        canonical_value(JsonType(), "abcdefgh", "x")


def test_a_kept_json_value_shares_nothing_with_the_callers() -> None:
    inner = [1]
    kept = canonical_value(JsonType(), {"a": inner}, "x")
    inner.append(2)
    assert kept == {"a": [1]}
