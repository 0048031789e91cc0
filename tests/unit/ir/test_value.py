"""Holds when two types are the same type, and which types are scalars."""

from __future__ import annotations

from ormdb.ir.value import (
    BoolType,
    DecimalType,
    EnumType,
    IntType,
    JsonType,
    ListType,
    StructField,
    StructType,
    TextType,
    is_scalar,
)


def test_types_are_equal_exactly_when_they_hold_the_same_values() -> None:
    assert DecimalType(precision=5, scale=2) == DecimalType(precision=5, scale=2)
    assert DecimalType(precision=5, scale=2) != DecimalType(precision=5, scale=1)
    assert TextType() != TextType(max_chars=5)
    assert EnumType(variants=("a", "b")) != EnumType(variants=("b", "a"))
    assert len({IntType(), BoolType(), IntType(), ListType(item=IntType())}) == 3


def test_only_scalars_sort_and_identify() -> None:
    assert is_scalar(EnumType(variants=("a",)))
    part = StructField(name="x", type=IntType())
    for kind in (JsonType(), ListType(item=IntType()), StructType(fields=(part,))):
        assert not is_scalar(kind)
