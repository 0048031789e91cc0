"""Holds that orders are total, that cursors name places in them, and that others are refused."""

from __future__ import annotations

import base64
import functools
from collections.abc import Sequence
from typing import Any, TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ormdb.errors import CursorError
from ormdb.ir.value import (
    BoolType,
    BytesType,
    DateType,
    DecimalType,
    DurationType,
    FloatType,
    IntType,
    TextType,
    TimestampType,
    TimeType,
    Type,
    UuidType,
    Value,
)
from ormdb.query.order import Place, decode_cursor, encode_cursor, sorted_positions
from ormdb.query.plan import OrderPlan, SortKey
from ormdb.storage.keys import row_key
from ormdb.storage.records import slot_type
from ormdb.testing.strategies import values

SIGNATURE = b"Flight by delay, time"
KINDS: list[Type] = [
    BoolType(),
    IntType(),
    FloatType(),
    DecimalType(precision=9, scale=2),
    TextType(),
    BytesType(),
    UuidType(),
    TimestampType(),
    DateType(),
    TimeType(),
    DurationType(),
]
Row: TypeAlias = tuple[tuple[Value, ...], bytes]


def no_column(*_: Any) -> list[Value]:
    raise AssertionError("the tests give the columns themselves")


def order_plan(kinds: Sequence[Type], directions: Sequence[tuple[bool, bool]]) -> OrderPlan:
    """An order; for each key whether it descends and whether NULL is below every value."""
    keys = tuple(
        SortKey(no_column, descending, nulls_low, nullable=True)
        for descending, nulls_low in directions
    )
    types = tuple(slot_type(kind) | None for kind in kinds)
    return OrderPlan(keys, (), bool(keys) and keys[-1].descending, types)


@st.composite
def ordered_rows(draw: st.DrawFn) -> tuple[OrderPlan, list[Row]]:
    """An order of up to three keys, and rows with many ties and NULLs."""
    kinds = draw(st.lists(st.sampled_from(KINDS), max_size=3))
    directions = [(draw(st.booleans()), draw(st.booleans())) for _ in kinds]
    pools = [draw(st.lists(values(kind) | st.none(), min_size=1, max_size=4)) for kind in kinds]
    count = draw(st.integers(0, 8))
    numbers = draw(st.lists(st.integers(1, 99), min_size=count, max_size=count, unique=True))
    rows = [(tuple(draw(st.sampled_from(p)) for p in pools), row_key(n)) for n in numbers]
    return order_plan(kinds, directions), rows


def compared(order: OrderPlan, left: Row, right: Row) -> int:
    """The definition: key by key, NULL at its end, then the row key as the last key goes."""
    for key, mine, theirs in zip(order.keys, left[0], right[0], strict=True):
        if mine == theirs:
            continue
        if mine is None:
            first = key.nulls_low
        elif theirs is None:
            first = not key.nulls_low
        else:
            first = bool(mine < theirs)
        return -1 if first != key.descending else 1
    if left[1] == right[1]:
        return 0
    return -1 if (left[1] < right[1]) != order.tie_descending else 1


def in_order(order: OrderPlan, rows: Sequence[Row]) -> list[Row]:
    columns = [[row[0][n] for row in rows] for n in range(len(order.keys))]
    return [rows[i] for i in sorted_positions(order, columns, [key for _, key in rows])]


@given(ordered_rows())
def test_rows_are_sorted_as_the_order_is_defined(given_rows: tuple[OrderPlan, list[Row]]) -> None:
    order, rows = given_rows
    expected = sorted(rows, key=functools.cmp_to_key(functools.partial(compared, order)))
    assert in_order(order, rows) == expected


@given(ordered_rows())
def test_no_two_rows_are_equal_in_an_order(given_rows: tuple[OrderPlan, list[Row]]) -> None:
    order, rows = given_rows
    for values_, key in rows:
        place = Place(order, values_, key)
        for other, other_key in rows:
            before, after = place.is_after(other, other_key), place.is_before(other, other_key)
            assert before + after == (other_key != key)


@given(ordered_rows(), st.integers(1, 4))
def test_pages_that_follow_each_others_cursors_are_the_whole(
    given_rows: tuple[OrderPlan, list[Row]], limit: int
) -> None:
    order, rows = given_rows
    whole = in_order(order, rows)
    forwards: list[Row] = []
    while page := _page(order, whole, forwards[-1] if forwards else None, limit):
        forwards += page
    assert forwards == whole
    backwards: list[Row] = []
    while page := _page_back(order, whole, backwards[0] if backwards else None, limit):
        backwards = page + backwards
    assert backwards == whole


def _page(order: OrderPlan, whole: list[Row], last: Row | None, limit: int) -> list[Row]:
    if last is not None:
        place = decode_cursor(SIGNATURE, order, encode_cursor(SIGNATURE, *last))
        whole = [row for row in whole if place.is_before(*row)]
    return whole[:limit]


def _page_back(order: OrderPlan, whole: list[Row], first: Row | None, limit: int) -> list[Row]:
    if first is not None:
        place = decode_cursor(SIGNATURE, order, encode_cursor(SIGNATURE, *first))
        whole = [row for row in whole if place.is_after(*row)]
    return whole[-limit:]


@given(ordered_rows())
def test_a_cursor_comes_back_with_every_value_as_it_was(
    given_rows: tuple[OrderPlan, list[Row]],
) -> None:
    order, rows = given_rows
    for values_, key in rows:
        place = decode_cursor(SIGNATURE, order, encode_cursor(SIGNATURE, values_, key))
        assert (list(map(repr, place.values)), place.row_key) == (list(map(repr, values_)), key)


@given(st.data())
def test_a_cursor_with_one_character_changed_is_refused(data: st.DataObject) -> None:
    order = order_plan([IntType(), TextType()], [(True, True), (False, True)])
    cursor = encode_cursor(SIGNATURE, (7, "x"), row_key(3))
    position = data.draw(st.integers(0, len(cursor) - 1))
    other = data.draw(st.characters().filter(lambda char: char != cursor[position]))
    changed = cursor[:position] + other + cursor[position + 1 :]
    if _bytes_of(changed) == _bytes_of(cursor):
        return  # the last character has bits that mean nothing
    with pytest.raises(CursorError, match="take it from"):
        decode_cursor(SIGNATURE, order, changed)


def _bytes_of(cursor: str) -> bytes | None:
    try:
        return base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
    except ValueError:
        return None


@pytest.mark.parametrize("cursor", ["", "=", "abc", "\0", "\ud800", "x" * 10_000, b"bytes", 7])
def test_what_is_no_cursor_is_refused(cursor: Any) -> None:
    order = order_plan([IntType()], [(False, True)])
    with pytest.raises(CursorError, match="take it from"):
        decode_cursor(SIGNATURE, order, cursor)


def test_a_cursor_of_another_order_is_refused() -> None:
    order = order_plan([IntType()], [(False, True)])
    cursor = encode_cursor(SIGNATURE, (7,), row_key(3))
    assert decode_cursor(SIGNATURE, order, cursor).values == (7,)
    with pytest.raises(CursorError, match="another entity or order"):
        decode_cursor(b"Flight by time", order, cursor)


@pytest.mark.parametrize(
    ("values_", "key"),
    [(("text",), row_key(1)), ((2**63,), row_key(1)), ((1, 2), row_key(1)), ((1,), b"short")],
)
def test_a_sealed_cursor_that_does_not_fit_is_refused(
    values_: tuple[Value, ...], key: bytes
) -> None:
    order = order_plan([IntType()], [(False, True)])
    with pytest.raises(CursorError, match="does not fit"):
        decode_cursor(SIGNATURE, order, encode_cursor(SIGNATURE, values_, key))
