"""Holds which way to the roots is taken for cheaper, by what is known of the rows."""

from __future__ import annotations

from collections.abc import Sequence

from ormdb.clock import SystemClock
from ormdb.ir.expr import And, Expr
from ormdb.ir.graph import GraphQuery, OrderSpec, Page
from ormdb.query.compile import compile_query
from ormdb.query.cost import Candidate
from ormdb.query.shape import take_shape
from ormdb.storage.layout import Layout
from ormdb.storage.statistics import NO_STATISTICS, EntityStatistics, Statistics
from tests.unit.query.airline import by, compare

JFK = compare("==", "origin_code", "JFK")
LATER = compare(">", "time", 300)


def ranked(
    layout: Layout,
    condition: Expr,
    order: tuple[OrderSpec, ...] = (),
    *,
    page: Page | None = None,
    statistics: Statistics = NO_STATISTICS,
) -> dict[str, Candidate]:
    """Every way by its name, the cheapest first."""
    found: dict[str, Candidate] = {}

    def note(candidates: Sequence[Candidate]) -> Candidate:
        found.update({each.way.access.name: each for each in candidates})
        return candidates[0]

    query = GraphQuery(entity="Flight", filter=condition, order=order, page=page or Page())
    compile_query(
        layout,
        query,
        take_shape(query).shape,
        clock=SystemClock(),
        statistics=statistics,
        choose=note,
    )
    return found


def test_the_cheapest_way_comes_first(layout: Layout) -> None:
    found = ranked(layout, And(items=(JFK, LATER)), by("time"), page=Page(limit=3))
    costs = [each.cost for each in found.values()]
    assert costs == sorted(costs)


def test_a_way_in_the_order_wanted_costs_no_more_than_one_that_is_sorted(layout: Layout) -> None:
    in_order = ranked(layout, LATER, by("time"))["index by_time"]
    sorted_after = ranked(layout, LATER, by("delay"))["index by_time"]
    assert in_order.cost < sorted_after.cost


def test_a_page_is_cheaper_than_the_whole_where_the_way_is_in_order(layout: Layout) -> None:
    page = ranked(layout, LATER, by("time"), page=Page(limit=3))["index by_time"]
    assert page.cost < ranked(layout, LATER, by("time"))["index by_time"].cost
    other = by("delay")
    whole = ranked(layout, LATER, other)["index by_time"]
    assert ranked(layout, LATER, other, page=Page(limit=3))["index by_time"].cost == whole.cost


def test_without_statistics_a_way_that_restricts_goes_first(layout: Layout) -> None:
    assert next(iter(ranked(layout, LATER, page=Page(limit=3)))) == "index by_time"


def test_what_is_known_of_the_rows_takes_the_place_of_what_is_assumed(layout: Layout) -> None:
    flights = layout.entities["Flight"].entity.id
    analyzed = EntityStatistics(
        format=1, entity_id=flights, version=1, wall_us=0, rows=3, looked_at=3
    )
    few = ranked(layout, LATER, statistics=Statistics(entities={flights: analyzed}))
    assert few["scan"].rows == 3
    assert few["scan"].cost < ranked(layout, LATER)["index by_time"].cost


def test_a_pair_of_ways_leads_to_fewer_rows_than_each_alone(layout: Layout) -> None:
    found = ranked(layout, And(items=(JFK, LATER)))
    both = next(each for each in found.values() if each.way.access.kind == "intersection")
    assert both.rows < min(found["relation origin"].rows, found["index by_time"].rows)


def test_few_rows_are_gone_over_without_a_way_to_them_where_it_is_known_that_they_are_few(
    layout: Layout,
) -> None:
    def analyzed(entity: str, rows: int) -> tuple[int, EntityStatistics]:
        number = layout.entities[entity].entity.id
        return number, EntityStatistics(
            format=1, entity_id=number, version=1, wall_us=0, rows=rows, looked_at=rows
        )

    behind = compare("==", "plane.seats", 5)
    known = Statistics(entities=dict([analyzed("Plane", 40), analyzed("Flight", 100_000)]))
    assert next(iter(ranked(layout, behind, statistics=known))) == "via"
    many = Statistics(entities=dict([analyzed("Plane", 100_000), analyzed("Flight", 400)]))
    assert next(iter(ranked(layout, behind, statistics=many))) == "scan"
    assert next(iter(ranked(layout, behind))) == "scan"
