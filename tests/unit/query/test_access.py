"""Holds that the roots of a query are reached by the best way there is, in order if it says so."""

from __future__ import annotations

import decimal
from collections.abc import Sequence
from dataclasses import replace

import pytest

from ormdb.clock import SystemClock
from ormdb.ir.expr import And, Expr, FieldRef, IsNull, Not, Or
from ormdb.ir.graph import GraphQuery, OrderSpec, Page
from ormdb.query.access import order_from_index
from ormdb.query.compile import compile_query
from ormdb.query.cost import Candidate
from ormdb.query.plan import Access
from ormdb.query.shape import take_shape
from ormdb.storage.layout import Layout
from tests.unit.query.airline import among, asks, by, compare

LIMITED = Page(limit=5)
UNIQUE = "index by_number, forwards"
BY_NUMBER = "index by_number, any order"
IS_NULL = IsNull(operand=FieldRef(path=("delay",)))


def chosen(layout: Layout, query: GraphQuery) -> Access:
    return compile_query(layout, query, take_shape(query).shape, clock=SystemClock()).access


def way(
    layout: Layout,
    condition: Expr | None = None,
    order: tuple[OrderSpec, ...] = (),
    *,
    entity: str = "Flight",
    page: Page = LIMITED,
) -> str:
    """The chosen way in words: "index by_time, backwards"."""
    query = GraphQuery(entity=entity, filter=condition, order=order, page=page)
    access = chosen(layout, query)
    if not access.ordered:
        return f"{access.name}, any order"
    return f"{access.name}, {'backwards' if access.reverse else 'forwards'}"


def both(*items: Expr) -> Expr:
    return And(items=items)


def either(*items: Expr) -> Expr:
    return Or(items=items)


@pytest.mark.parametrize(
    ("condition", "order", "expected"),
    [
        (compare("==", "id", 7), (), "identity, forwards"),
        (among("id", 7, 8), (), "identity, any order"),
        (both(compare("==", "id", 7), compare("==", "number", "x")), (), "identity, forwards"),
        (compare("==", "number", "x"), (), "index by_number, forwards"),
        (
            both(compare("==", "number", "x"), compare("==", "origin_code", "JFK")),
            (),
            "index by_number, forwards",
        ),
        (compare(">", "time", 5), (), "index by_time, any order"),
        (compare(">", "time", 5), by("time"), "index by_time, forwards"),
        (compare(">", "time", 5), by("-time"), "index by_time, backwards"),
        (None, by("time"), "index by_time, forwards"),
        (None, by("time", "id"), "index by_time, forwards"),
        (None, by("-time", "-id"), "index by_time, backwards"),
        (None, by("time", "-id"), "scan, any order"),
        (None, by("time", "delay"), "scan, any order"),
        (None, by("origin_code", "-delay"), "index by_origin, backwards"),
        (None, by("-origin_code", "delay"), "index by_origin, forwards"),
        (None, by("origin_code", "delay"), "scan, any order"),
        (compare("==", "origin_code", "JFK"), by("-delay"), "index by_origin, backwards"),
        (compare("==", "origin_code", "JFK"), by("delay"), "index by_origin, forwards"),
        (compare("==", "origin_code", "JFK"), by("time"), "index by_origin, any order"),
        (compare("==", "origin_code", "JFK"), (), "relation origin, forwards"),
        (compare("==", "origin_code", "JFK"), by("-id"), "relation origin, backwards"),
        (compare("==", "tail", "N1"), (), "relation plane, forwards"),
        (
            both(compare("==", "origin_code", "JFK"), compare(">", "delay", 5)),
            by("-delay"),
            "index by_origin, backwards",
        ),
        (both(compare("==", "origin_code", "JFK"), IS_NULL), (), "index by_origin, forwards"),
        (among("price", decimal.Decimal(5)), (), "index by_price, any order"),
        (among("price", decimal.Decimal(5), None), (), "index by_price, any order"),
        (compare("<", "price", 5), (), "index by_price, any order"),
        (compare("<", "price", 5.5), by("price"), "index by_price, forwards"),
        (compare("<", "time", 5.5), (), "scan, forwards"),
        (compare("!=", "time", 5), (), "scan, forwards"),
        (
            either(compare("==", "time", 5), compare("==", "id", 5)),
            (),
            "union of index by_time, identity, forwards",
        ),
        (either(compare("==", "time", 5), compare("==", "kind", "mail")), (), "scan, forwards"),
        (Not(operand=compare("==", "time", 5)), (), "scan, forwards"),
        (asks("starts_with", "number", "F"), (), "index by_number, any order"),
        (asks("starts_with", "number", "F"), by("-number"), "index by_number, backwards"),
        (asks("like", "number", "F%1_"), (), "index by_number, any order"),
        (asks("like", "number", "%F"), (), "scan, forwards"),
        (asks("like", "number", ""), (), "scan, forwards"),
        (asks("like", "number", "_F"), (), "scan, forwards"),
        (asks("ilike", "number", "F%"), (), "scan, forwards"),
        (asks("istarts_with", "number", "F"), (), "scan, forwards"),
        (asks("ends_with", "number", "F"), (), "scan, forwards"),
        (Not(operand=asks("starts_with", "number", "F")), (), "scan, forwards"),
        (asks("starts_with", "origin_code", "J"), (), "index by_origin, any order"),
        (
            asks("starts_with", "origin_code", "J"),
            by("-origin_code", "delay"),
            "index by_origin, forwards",
        ),
        (
            both(asks("starts_with", "number", "F"), compare("==", "origin_code", "JFK")),
            (),
            "relation origin, forwards",
        ),
        (both(asks("starts_with", "number", "F"), compare("==", "number", "F1")), (), UNIQUE),
        (both(asks("starts_with", "number", "F"), compare(">", "time", 5)), (), BY_NUMBER),
        (both(asks("starts_with", "number", "F"), compare(">", "number", "F")), (), BY_NUMBER),
        (compare("==", "late", True), (), "scan, forwards"),
        (compare("==", "origin.code", "JFK"), (), "via Airport by identity, forwards"),
        (None, (), "scan, forwards"),
        (None, by("id"), "scan, forwards"),
        (None, by("-id"), "scan, backwards"),
        (None, by("-id", "time"), "scan, backwards"),
        (None, by("id", "plane.seats"), "scan, forwards"),
        (None, by("plane.seats", "id"), "scan, any order"),
        (None, by("plane.seats"), "scan, any order"),
        (compare(">", "id", 5), by("-id"), "scan, backwards"),
    ],
)
def test_the_way_to_flights_is_the_one_that_fixes_most(
    layout: Layout, condition: Expr | None, order: tuple[OrderSpec, ...], expected: str
) -> None:
    assert way(layout, condition, order) == expected


@pytest.mark.parametrize(
    ("entity", "condition", "order", "expected"),
    [
        ("Airport", compare("==", "code", "JFK"), (), "identity, forwards"),
        (
            "Airport",
            compare(">", "code", "J"),
            by("code"),
            "identity identity of Airport, forwards",
        ),
        ("Airport", None, by("-code"), "identity identity of Airport, backwards"),
        ("Airport", compare(">", "lat", 40), (), "index by_lat, any order"),
        (
            "Duty",
            compare("==", "flight_id", 3),
            by("crew_id"),
            "identity identity of Duty, forwards",
        ),
        ("Duty", compare("==", "flight_id", 3), (), "relation flight, forwards"),
        ("Duty", IsNull(operand=FieldRef(path=("flight_id",))), (), "scan, forwards"),
        ("Log", compare("==", "flight_id", 3), (), "index one_log, forwards"),
    ],
)
def test_identities_of_every_kind_serve_as_indexes(
    layout: Layout,
    entity: str,
    condition: Expr | None,
    order: tuple[OrderSpec, ...],
    expected: str,
) -> None:
    assert way(layout, condition, order, entity=entity) == expected


def test_bounds_of_an_int_identity_bound_the_scan(layout: Layout) -> None:
    condition = both(compare(">", "id", 5), compare("<=", "id", 9))
    query = GraphQuery(entity="Flight", filter=condition)
    access = chosen(layout, query)
    assert access.kind == "scan"
    assert access.low is not None
    assert access.high is not None
    assert (access.low.inclusive, access.high.inclusive) == (False, True)


def test_an_order_with_nulls_elsewhere_is_served_only_where_there_are_none(layout: Layout) -> None:
    for path, expected in (("time", "index by_time, forwards"), ("price", "scan, any order")):
        order = (replace(by(path)[0], nulls_last=True),)
        assert way(layout, None, order) == expected
    natural = (replace(by("-price")[0], nulls_last=True),)
    assert way(layout, None, natural) == "index by_price, backwards"


def test_without_a_limit_an_order_alone_is_no_reason_to_walk_an_index(layout: Layout) -> None:
    assert way(layout, None, by("time"), page=Page()) == "scan, any order"


def test_children_of_one_parent_come_from_an_index_in_both_directions(layout: Layout) -> None:
    origin = layout.relations["Flight", "origin"]
    for order, reverse in ((by("-delay"), True), (by("delay"), False)):
        index, found = order_from_index(origin, order)
        assert index is not None
        assert (index.name, found) == ("by_origin", reverse)
    assert order_from_index(origin, by("time")) == (None, False)


def test_every_way_there_is_can_be_taken_instead_of_the_best(layout: Layout) -> None:
    condition = both(compare("==", "id", 7), compare("==", "origin_code", "JFK"))
    query = GraphQuery(entity="Flight", filter=condition)
    names: list[str] = []

    def last(found: Sequence[Candidate]) -> Candidate:
        names.extend(candidate.way.access.name for candidate in found)
        return found[-1]

    shape = take_shape(query).shape
    taken = compile_query(layout, query, shape, clock=SystemClock(), choose=last).access
    assert names[0] == "identity"
    assert taken.name == names[-1]
    assert {"scan", "relation origin", "index by_origin", "index by_time"} <= set(names)
    # What an index gives from end to end is what a scan gives, at a higher price.
    assert names.index("scan") < names.index("index by_time")
