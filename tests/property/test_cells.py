"""Holds that cells and JSON give every value back, and refuse what they cannot read."""

from __future__ import annotations

import contextlib
import datetime
import decimal
import json
import math
import uuid
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ormdb import limits
from ormdb.errors import ValueRangeError, ValueTypeError
from ormdb.exchange.cells import (
    dump_json,
    format_value,
    from_json,
    is_exact_float,
    load_json,
    parse_value,
)
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
    Value,
)

MONEY = DecimalType(precision=10, scale=2)
COLOUR = EnumType(variants=("red", "5", "true", ""))
_INTS = st.integers(limits.INT_MIN, limits.INT_MAX)
SCALARS: dict[Any, st.SearchStrategy[Any]] = {
    BoolType(): st.booleans(),
    IntType(): _INTS,
    FloatType(): st.floats(allow_nan=False).map(lambda value: value + 0.0),
    MONEY: st.integers(-(10**10) + 1, 10**10 - 1).map(lambda n: decimal.Decimal(n).scaleb(-2)),
    TextType(): st.text(st.characters(exclude_categories=["Cs"])) | st.sampled_from(["5", "null"]),
    BytesType(): st.binary(),
    UuidType(): st.uuids(),
    TimestampType(): st.datetimes(timezones=st.just(datetime.UTC)),
    DateType(): st.dates(),
    TimeType(): st.times(),
    DurationType(): _INTS.map(lambda n: datetime.timedelta(microseconds=n)),
    COLOUR: st.sampled_from(COLOUR.variants),
}
_JSON = st.recursive(
    st.none()
    | st.booleans()
    | _INTS
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text("ab\n", max_size=2), inner, max_size=3)
    ),
    max_leaves=8,
)


@st.composite
def typed_values(draw: st.DrawFn) -> tuple[Type, Value]:
    """A type and a canonical value of it."""
    shape = draw(st.sampled_from(["scalar", "list", "struct", "json"]))
    if shape == "json":
        return JsonType(), draw(_JSON.filter(lambda value: value is not None))
    kind = draw(st.sampled_from(list(SCALARS)))
    if shape == "scalar":
        return kind, draw(SCALARS[kind])
    if shape == "list":
        return ListType(item=kind), tuple(draw(st.lists(SCALARS[kind], max_size=3)))
    other = draw(st.sampled_from(list(SCALARS)))
    struct = StructType(
        fields=(
            StructField(name="a b", type=kind),
            StructField(name="c", type=other, optional=True),
        )
    )
    return struct, {"a b": draw(SCALARS[kind]), "c": draw(st.none() | SCALARS[other])}


@given(typed_values())
def test_a_cell_gives_its_value_back(drawn: tuple[Type, Value]) -> None:
    kind, value = drawn
    value = canonical_value(kind, value, "drawn")
    back = parse_value(kind, format_value(kind, value), "cell")
    assert (type(back), back) == (type(value), value)


@given(typed_values())
def test_json_gives_its_value_back(drawn: tuple[Type, Value]) -> None:
    kind, value = drawn
    value = canonical_value(kind, value, "drawn")
    text = dump_json(value)
    assert "\n" not in text
    json.loads(text)
    back = from_json(kind, load_json(text, "cell"), "cell")
    assert (type(back), back) == (type(value), value)


_ANY_TEXT = st.text() | st.sampled_from(
    ["", "-", "1e999", "1_0", "٣", "0x", "{", "[" * 100_000, "NaN", '{"a":1,"a":2}', "9" * 5000]
)


@given(st.sampled_from([*SCALARS, JsonType(), ListType(item=IntType())]), _ANY_TEXT)
def test_any_text_is_read_or_refused(kind: Type, text: str) -> None:
    with contextlib.suppress(ValueTypeError, ValueRangeError):
        value = parse_value(kind, text, "cell")
        if value is not None:
            assert canonical_value(kind, value, "again") == value


@pytest.mark.parametrize(
    ("text", "exact"),
    [
        ("0.1", True),
        ("1.10", True),
        ("-0.0", True),
        ("9007199254740992", True),
        ("9007199254740993", False),
        ("0.10000000000000000555", False),
        ("0.1000000000000000055511151231257827", False),
        ("123456789012345678", False),
        ("1e400", False),
        ("1e-400", False),
        ("1e300", True),
        ("inf", False),
        ("nan", False),
        (" 1", False),
        ("1" * 5000, False),
    ],
)
def test_a_float_is_exact_when_it_spells_its_text_again(text: str, exact: bool) -> None:
    assert is_exact_float(text) == exact


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_float_spelled_by_python_is_exact(value: float) -> None:
    assert is_exact_float(repr(value))


def test_a_number_in_json_reaches_a_decimal_by_its_digits() -> None:
    kind = DecimalType(precision=30, scale=20)
    item = load_json("0.12345678901234567890", "cell")
    assert from_json(kind, item, "cell") == decimal.Decimal("0.12345678901234567890")


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (BoolType(), "maybe"),
        (IntType(), "1.0"),
        (IntType(), " 1"),
        (IntType(), "9223372036854775808"),
        (FloatType(), "1e999"),
        (FloatType(), "nan"),
        (BytesType(), "0"),
        (UuidType(), "x"),
        (TimestampType(), "2013-01-01 05:00:00"),
        (MONEY, "1.005"),
        (COLOUR, "blue"),
        (ListType(item=TextType()), "[5]"),
        (JsonType(), "nope"),
        (JsonType(), "1e999"),
    ],
)
def test_a_refusal_begins_with_the_place(kind: Type, text: str) -> None:
    with pytest.raises((ValueTypeError, ValueRangeError), match=r"^flights\.x") as caught:
        parse_value(kind, text, "flights.x")
    assert caught.value.where.startswith("flights.x")
    assert math.isinf(parse_value(FloatType(), "-Infinity", "x"))
    assert isinstance(parse_value(UuidType(), str(uuid.UUID(int=5)), "x"), uuid.UUID)
