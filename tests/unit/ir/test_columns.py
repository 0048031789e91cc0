"""Column buffers say every value exactly, in Arrow's layout and the byte order asked for."""

from __future__ import annotations

import decimal
import sys
import uuid
from collections.abc import Callable
from typing import Any

import pytest

from ormdb.errors import ValueRangeError
from ormdb.ir import columns
from ormdb.ir.columns import Buffers, column_buffers
from ormdb.ir.value import (
    BoolType,
    DateType,
    DecimalType,
    EnumType,
    FloatType,
    IntType,
    ListType,
    TextType,
    UuidType,
)
from tests.arrow_libraries import pyarrow
from tests.unit.ir.arrow_samples import SAMPLES


def test_an_int_column_is_its_numbers_and_a_bit_for_each() -> None:
    found = column_buffers(IntType(), [5, None, -7])
    assert (found.format, found.length, found.null_count) == ("l", 3, 1)
    assert bytes(found.validity or b"") == b"\x05"
    assert bytes(found.data) == b"".join(n.to_bytes(8, "little", signed=True) for n in (5, 0, -7))
    assert found.data.tolist() == [5, 0, -7] or sys.byteorder == "big"


def test_a_column_without_nulls_has_no_bits() -> None:
    assert column_buffers(IntType(), [1, 2]).validity is None


def test_bits_of_more_than_one_byte_go_from_low_to_high() -> None:
    flags = [n in {0, 8, 9} for n in range(11)]
    assert bytes(column_buffers(BoolType(), flags).data) == b"\x01\x03"


def test_texts_are_their_bytes_and_where_each_begins() -> None:
    found = column_buffers(TextType(), ["aé", None, "", "b"])
    assert (found.offsets.tolist(), bytes(found.data)) == ([0, 3, 3, 3, 4], "aéb".encode())


def test_texts_beyond_two_gigabytes_have_offsets_of_eight_bytes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(columns, "_SMALL_OFFSET_MAX", 3)
    small, large = column_buffers(TextType(), ["abc"]), column_buffers(TextType(), ["abc", "d"])
    assert (small.format, small.offsets.itemsize) == ("u", 4)
    assert (large.format, large.offsets.itemsize, large.offsets.tolist()) == ("U", 8, [0, 3, 4])
    items = column_buffers(ListType(item=IntType()), [(1, 2), (3, 4)])
    assert (items.format, items.offsets.itemsize) == ("+L", 8)


def test_enums_are_positions_in_a_dictionary_of_the_variants() -> None:
    found = column_buffers(EnumType(variants=("a", "b")), ["b", None, "a"])
    assert found.dictionary is not None
    assert (found.format, found.data.tolist()) == ("c", [1, 0, 0])
    assert bytes(found.dictionary.data) == b"ab"
    many = EnumType(variants=tuple(f"v{n}" for n in range(129)))
    assert column_buffers(many, ["v128"]).data.tolist() == [128]


@pytest.mark.parametrize(
    ("kind", "value", "big"),
    [
        (IntType(), 1, bytes(7) + b"\x01"),
        (FloatType(), 1.0, b"\x3f\xf0" + bytes(6)),
        (DecimalType(precision=3, scale=1), decimal.Decimal("-0.1"), b"\xff" * 16),
        (DecimalType(precision=3, scale=1), decimal.Decimal("25.6"), bytes(14) + b"\x01\x00"),
    ],
)
def test_numbers_have_the_byte_order_asked_for(kind: Any, value: Any, big: bytes) -> None:
    assert bytes(column_buffers(kind, [value]).data) == big[::-1]
    assert bytes(column_buffers(kind, [value], "big").data) == big


def test_a_uuid_has_the_same_bytes_in_every_order() -> None:
    one = uuid.UUID("6ba7b810-9dad-11d1-80b4-00c04fd430c8")
    little, big = column_buffers(UuidType(), [one]), column_buffers(UuidType(), [one], "big")
    assert bytes(little.data) == bytes(big.data) == one.bytes


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (IntType(), 2**63),
        (DecimalType(precision=38, scale=0), decimal.Decimal("0.5")),
        (DecimalType(precision=38, scale=0), decimal.Decimal("1" + "0" * 37 + "1")),
        (DecimalType(precision=38, scale=0), decimal.Decimal("1E+40")),
    ],
)
def test_a_number_that_its_format_cannot_say_is_refused(kind: Any, value: Any) -> None:
    with pytest.raises(ValueRangeError):
        column_buffers(kind, [value])


@pytest.mark.parametrize("name", SAMPLES)
def test_an_empty_column_has_the_layout_of_a_full_one(name: str) -> None:
    kind, values = SAMPLES[name]

    def layout(found: Buffers) -> Any:
        inner = [(child, layout(made)) for child, made in found.children]
        beside = found.dictionary and layout(found.dictionary)
        return found.format, found.extension, len(found.parts), inner, beside

    assert layout(column_buffers(kind, [])) == layout(column_buffers(kind, values))


def test_a_column_of_nulls_only_is_its_length_of_nulls() -> None:
    for kind, _ in SAMPLES.values():
        found = column_buffers(kind, [None] * 9)
        assert (found.length, found.null_count) == (9, 9)
        assert bytes(found.validity or b"") == b"\0\0"


def test_buffers_are_read_without_a_copy() -> None:
    found = column_buffers(DateType(), [SAMPLES["date"][1][0]])
    assert isinstance(found.data.obj, object)
    read: Callable[..., Any] = pyarrow.py_buffer
    assert read(found.data).address == read(found.data).address
    assert found.data.readonly
