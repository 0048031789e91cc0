"""Holds that a literal beside a field becomes what the field stores, or has no key there."""

from __future__ import annotations

import datetime
import decimal

import pytest

from ormdb import limits
from ormdb.errors import QueryError
from ormdb.ir.value import (
    BoolType,
    DateType,
    DecimalType,
    EnumType,
    FloatType,
    IntType,
    TextType,
    Type,
    Value,
)
from ormdb.query.convert import has_key, is_exact, make_converter
from ormdb.storage.keys import KeyColumn, encode_prefix
from ormdb.storage.records import stored_value
from tests.unit.query.airline import field

PRICE = DecimalType(precision=6, scale=2)
KIND = EnumType(variants=("mail", "cargo"))
NUMBERS: list[Value] = [
    0,
    7,
    -(2**63),
    2**63 - 1,
    2**53 + 1,
    0.5,
    2.0,
    1e300,
    decimal.Decimal("2.50"),
    decimal.Decimal("0.001"),
    decimal.Decimal("99999.99"),
]


def class_of(value: object) -> type:
    return type(value)


def converted(kind: Type, value: Value) -> Value:
    return make_converter(field("x", kind), class_of(value))(value)


def test_text_beside_a_date_is_read() -> None:
    assert converted(DateType(), "2013-01-31") == datetime.date(2013, 1, 31)


def test_text_beside_an_enum_becomes_its_position() -> None:
    assert converted(KIND, "cargo") == 1


def test_a_list_becomes_a_set_of_stored_values() -> None:
    convert = make_converter(field("x", KIND), ("in", frozenset({str})))
    assert convert(("mail", "cargo", "mail")) == frozenset({0, 1})


def test_a_value_of_another_kind_is_refused_with_the_name_of_the_field() -> None:
    with pytest.raises(QueryError, match="x is an int"):
        converted(IntType(), "seven")


def test_numbers_of_another_class_compare_as_they_are() -> None:
    assert converted(IntType(), 2.5) == 2.5
    assert converted(IntType(), 2.0) == 2
    assert type(converted(IntType(), 2.0)) is int
    assert converted(FloatType(), 2**53 + 1) == 2**53 + 1
    assert converted(PRICE, 1.1) == decimal.Decimal("1.1")


@pytest.mark.parametrize("kind", [IntType(), FloatType(), PRICE])
@pytest.mark.parametrize("number", NUMBERS)
def test_what_is_exact_and_has_a_key_can_be_encoded_as_one(kind: Type, number: Value) -> None:
    if not is_exact(field("x", kind), class_of(number)):
        return
    value = converted(kind, number)
    spelled = isinstance(kind, DecimalType) and isinstance(number, float)
    assert value == (decimal.Decimal(repr(number)) if spelled else number)
    if has_key(kind, value):
        assert encode_prefix([KeyColumn(type=kind)], [value])


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (FloatType(), 2**53 + 1),
        (PRICE, decimal.Decimal("0.001")),
        (PRICE, decimal.Decimal(10_000)),
    ],
)
def test_a_number_that_the_field_cannot_hold_has_no_key(kind: Type, value: Value) -> None:
    assert not has_key(kind, converted(kind, value))


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (IntType(), 5),
        (FloatType(), 5),
        (PRICE, 5),
        (PRICE, 5.5),
        (PRICE, "5.50"),
        (TextType(), "x"),
        (DateType(), "2013-01-01"),
        (BoolType(), True),
    ],
)
def test_the_common_spellings_of_a_value_have_its_key(kind: Type, value: Value) -> None:
    assert is_exact(field("x", kind), class_of(value))
    assert has_key(kind, converted(kind, value))


def test_what_is_of_the_type_of_its_field_is_not_looked_at_piece_by_piece(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole, text = field("x", IntType()), field("x", TextType())
    listed = make_converter(whole, ("in", frozenset({int})))
    number, word = make_converter(whole, int), make_converter(text, str)

    def refuse(*_: object) -> Value:
        raise AssertionError("it is what it should be")

    monkeypatch.setattr("ormdb.query.convert.coerce_value", refuse)
    assert listed((3, 1, 3)) == frozenset({1, 3})
    assert listed((limits.INT_MIN, limits.INT_MAX)) == {limits.INT_MIN, limits.INT_MAX}
    assert [number(0), number(limits.INT_MAX)] == [0, limits.INT_MAX]
    assert [word("mail"), word("x" * limits.TEXT_BYTES_MAX)] == [
        "mail",
        "x" * limits.TEXT_BYTES_MAX,
    ]
    for convert, value in (
        (number, limits.INT_MAX + 1),
        (word, "é"),
        (listed, (limits.INT_MAX + 1,)),
    ):
        with pytest.raises(AssertionError):
            convert(value)


def test_a_list_is_exact_when_each_of_its_classes_is() -> None:
    whole = field("x", IntType())
    assert is_exact(whole, ("in", frozenset({int})))
    assert not is_exact(whole, ("in", frozenset({int, float})))


def test_a_converted_value_compares_as_the_literal_does_with_canonical_values() -> None:
    variants = ("mail", "cargo")
    for literal in variants:
        for value in variants:
            expected = variants.index(value) < variants.index(literal)
            assert (stored_value(KIND, value) < converted(KIND, literal)) is expected
