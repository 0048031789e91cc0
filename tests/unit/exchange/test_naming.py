"""Holds that imported things get names that the schema can hold and that nothing else has."""

from __future__ import annotations

import pytest

from ormdb import limits
from ormdb.catalog.validate import name_problems
from ormdb.exchange.naming import Names, inverse_names, relation_names


@pytest.mark.parametrize(
    ("fields", "target", "is_lone", "names"),
    [
        (["order_id"], "orders", True, ["order", "orders", "order_orders"]),
        (["orderId"], "orders", False, ["order", "order_orders"]),
        (["OrderID"], "Orders", True, ["Order", "Orders", "Order_Orders"]),
        (["parent_fk"], "node", True, ["parent", "node", "parent_node"]),
        (["paid"], "invoice", True, ["paid", "invoice", "paid_invoice"]),
        (["tag"], "tag", True, ["tag", "tag", "tag_row"]),
        (["a_id", "b_id"], "pair", True, ["pair", "a_b_pair"]),
        (["a_id", "b_id"], "pair", False, ["a_b_pair"]),
        (["_id"], "x", False, ["x_row"]),
    ],
)
def test_a_relation_is_named_after_its_column_or_its_target(
    fields: list[str], target: str, is_lone: bool, names: list[str]
) -> None:
    assert relation_names(fields, target, is_lone=is_lone) == names


def test_a_way_back_is_named_after_its_source() -> None:
    assert inverse_names("flights", "origin", is_lone=True) == ["flights", "flights_origin"]
    assert inverse_names("flights", "origin", is_lone=False) == ["flights_origin"]


def test_the_first_free_name_is_taken_once() -> None:
    names = Names([])
    assert names.free("a", "b") == "a"
    assert names.free("a", "b") == "b"
    assert names.free("a", "b") == "b_2"
    assert names.free("a", "b") == "b_3"


@pytest.mark.parametrize(
    "name", ["", "a\nb", "\x1b[31m", "x" * 500, "half \ud800", "two\u2028lines"]
)
def test_a_name_that_the_schema_cannot_hold_is_changed_and_noted(name: str) -> None:
    notes: list[str] = []
    names = Names(notes)
    first, second = names.fit(name, "the table"), names.fit(name, "the table")
    assert first != second
    for found in (first, second):
        assert list(name_problems("here", found)) == []
    assert len(notes) == 2
    assert all(note.startswith("the table ") and note.isprintable() for note in notes)


def test_any_name_that_fits_is_kept() -> None:
    notes: list[str] = []
    names = Names(notes)
    for name in ("order details", 'say "hi"', "class", "1st", "表", "x" * limits.NAME_CHARS_MAX):
        assert names.fit(name, "the column") == name
    assert notes == []
