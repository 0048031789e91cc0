"""Holds that an inferred type loses nothing of any cell, in whatever order cells are seen."""

from __future__ import annotations

import decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ormdb.exchange.cells import Digits, format_value, load_json, parse_value
from ormdb.exchange.infer import JsonColumn, TextColumn
from ormdb.ir.type_text import type_name
from ormdb.ir.value import BoolType, DecimalType, FloatType, TextType, TimestampType

CELLS = st.one_of(
    st.integers().map(str),
    st.integers(-5, 5).map(str),
    st.floats(allow_nan=False).map(repr),
    st.decimals(allow_nan=False, allow_infinity=False).map(str),
    st.decimals(-1000, 1000, places=3).map(str),
    st.dates().map(str),
    st.datetimes().map(str),
    st.datetimes().map(lambda moment: moment.isoformat() + "Z"),
    st.uuids().map(str),
    st.sampled_from(["true", "False", "007", "+1", "1_0", " 1", "1e5", "-0", ".5", "5.", "٣", "x"]),
    st.text(max_size=4),
)
COLUMNS = st.lists(CELLS, min_size=1, max_size=5) | st.lists(
    st.one_of(st.integers().map(str), st.decimals(-9, 9, places=2).map(str)), min_size=1, max_size=5
)


@given(COLUMNS)
def test_every_cell_reads_as_the_inferred_type_and_loses_nothing(cells: list[str]) -> None:
    column = TextColumn()
    column.see(cells)
    kind = column.type()
    for cell in cells:
        shown = format_value(kind, parse_value(kind, cell, "cell"))
        match kind:
            case FloatType() | DecimalType():
                assert decimal.Decimal(shown) == decimal.Decimal(cell)
            case TimestampType():
                assert cell.replace(" ", "T")[:16] == shown[:16]
            case BoolType():
                assert cell.lower() == shown
            case _:
                assert cell == shown


@given(COLUMNS, st.randoms(), st.integers(1, 3))
def test_order_and_batches_change_nothing(cells: list[str], rng: Any, size: int) -> None:
    once, mixed = TextColumn(), TextColumn()
    once.see(cells)
    shuffled = [*cells]
    rng.shuffle(shuffled)
    for start in range(0, len(shuffled), size):
        mixed.see(shuffled[start : start + size])
    assert (mixed.type(), mixed.is_naive) == (once.type(), once.is_naive)


@pytest.mark.parametrize(
    ("cells", "name"),
    [
        ([], "text"),
        (["5", "-12"], "int"),
        (["9223372036854775807"], "int"),
        (["9223372036854775808"], "decimal(19, 0)"),
        (["1", "2.50"], "float"),
        (["9007199254740993", "0.5"], "decimal(17, 1)"),
        (["0.12345678901234567890"], "decimal(20, 20)"),
        (["1" * 39], "text"),
        (["1e400"], "text"),
        (["007", "12"], "text"),
        (["true", "FALSE"], "bool"),
        (["0", "1"], "int"),
        (["2013-01-01"], "date"),
        (["2013-02-30"], "text"),
        (["2013-01-01T05:00:00Z", "2013-01-01 05:00:00.5+00:00"], "timestamp"),
        (["2013-01-01T05:00:00+01:00"], "text"),
        (["6ba7b810-9dad-11d1-80b4-00c04fd430c8"], "uuid"),
        (["6BA7B810-9dad-11d1-80b4-00c04fd430c8"], "text"),
        (["inf"], "text"),
        (["5", ""], "text"),
    ],
)
def test_the_first_type_that_loses_nothing_is_taken(cells: list[str], name: str) -> None:
    column = TextColumn()
    column.see(cells)
    assert type_name(column.type()) == name


def test_timestamps_without_a_zone_stay_text_unless_they_are_utc() -> None:
    plain, utc = TextColumn(), TextColumn(utc=True)
    for column in (plain, utc):
        column.see(["2013-01-01 05:00:00", "2013-01-01T06:00"])
    assert (plain.type(), plain.is_naive) == (TextType(), True)
    assert (utc.type(), utc.is_naive) == (TimestampType(), False)
    plain.see(["soon"])
    assert not plain.is_naive


@pytest.mark.parametrize(
    ("items", "name"),
    [
        ([], "text"),
        ("[true, false]", "bool"),
        ("[1, 2]", "int"),
        ("[1, 2.5]", "float"),
        ("[12345678901234567890]", "decimal(20, 0)"),
        ('["5", "6"]', "text"),
        ('["2013-01-01"]', "date"),
        ('["a", 1]', "json"),
        ("[[1], {}]", "json"),
        ("[true, 1]", "json"),
    ],
)
def test_members_of_json_keep_their_kind(items: str, name: str) -> None:
    column = JsonColumn()
    column.see(load_json(items, "here") if items else [])
    assert type_name(column.type()) == name
    assert not column.is_lossy


def test_numbers_that_no_type_holds_are_lossy() -> None:
    column = JsonColumn()
    column.see([Digits("1e400"), Digits("5")])
    assert column.is_lossy
