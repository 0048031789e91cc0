"""Holds that pages neither repeat nor skip, and that no input of a fetch ends in a crash."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ormdb.database.database import Database
from ormdb.errors import CursorError, QueryError
from ormdb.ir.expr import And, Compare, FieldRef, Not
from ormdb.ir.graph import FanoutBudget, GraphQuery, Include, OrderSpec, Page
from ormdb.ir.mutation import Delete, Insert
from ormdb.ir.value import RowDict
from ormdb.storage.memory import MemoryEngine
from tests.unit.query.airline import (
    among,
    by,
    compare,
    duty_rows,
    open_airline,
    page_of_flights,
)
from tests.unit.query.conftest import FLIGHTS

ORDERS = [(), by("id"), by("-id"), by("time"), by("-time"), by("kind"), by("-plane.seats", "delay")]


def pages(database: Database, query: GraphQuery, *, back: bool = False) -> list[list[int]]:
    """The ids of page after page; with `back`, from the last page to the first."""
    found: list[list[int]] = []
    answer = database.run_fetch(query)
    while back and answer.next_cursor is not None:
        page = replace(query.page, after=answer.next_cursor)
        answer = database.run_fetch(replace(query, page=page))
    while True:
        found.append([row["id"] for row in answer.dicts()])
        cursor = answer.previous_cursor if back else answer.next_cursor
        if cursor is None:
            return found
        page = replace(query.page, after=None if back else cursor, before=cursor if back else None)
        answer = database.run_fetch(replace(query, page=page))


@pytest.mark.parametrize("order", ORDERS, ids=repr)
@pytest.mark.parametrize("limit", [1, 7, FLIGHTS - 1, FLIGHTS, FLIGHTS + 1])
def test_pages_forwards_and_backwards_are_the_whole(
    airline: Database, order: tuple[OrderSpec, ...], limit: int
) -> None:
    query = GraphQuery(entity="Flight", order=order, select=("id",))
    whole = [row["id"] for row in airline.run_fetch(query).dicts()]
    limited = replace(query, page=Page(limit=limit))
    assert [number for page in pages(airline, limited) for number in page] == whole
    backwards = pages(airline, limited, back=True)
    assert [number for page in reversed(backwards) for number in page] == whole


def test_a_cursor_stays_good_when_its_row_and_others_come_and_go() -> None:
    with open_airline(MemoryEngine()) as database:
        database.bulk_load("Crew", [{"id": n, "name": f"{n % 3}"} for n in range(20)])
        query = GraphQuery(entity="Crew", order=by("name"), page=Page(limit=5), select=("id",))
        first = database.run_fetch(query)
        seen = [row["id"] for row in first.dicts()]
        assert seen == [0, 3, 6, 9, 12]
        new = ({"id": 99, "name": "0"}, {"id": -1, "name": "0"})
        database.run_mutations(
            [Delete(entity="Crew", identities=((12,), (15,))), Insert(entity="Crew", rows=new)]
        )
        following = replace(query, page=Page(limit=5, after=first.next_cursor))
        found = [row["id"] for row in database.run_fetch(following).dicts()]
        assert found == [18, 99, 1, 4, 7]


def test_a_page_with_a_cursor_may_skip_rows_too(airline: Database) -> None:
    first = airline.run_fetch(page_of_flights(3))
    skipped = page_of_flights(2)
    skipped = replace(skipped, page=Page(limit=2, after=first.next_cursor, offset=4))
    whole = airline.run_fetch(page_of_flights(99)).dicts()
    assert airline.run_fetch(skipped).dicts() == whole[7:9]


def test_a_cursor_serves_another_filter_of_the_same_order(airline: Database) -> None:
    cursor = airline.run_fetch(page_of_flights(3)).next_cursor
    query = replace(page_of_flights(2), filter=compare(">", "delay", 100))
    found = airline.run_fetch(replace(query, page=Page(limit=99, after=cursor))).dicts()
    times = [row["time"] for row in airline.run_fetch(page_of_flights(3)).dicts()]
    assert found
    assert all(row["time"] > times[-1] and row["delay"] > 100 for row in found)


def test_a_cursor_of_another_entity_or_order_is_refused(airline: Database) -> None:
    cursor = airline.run_fetch(page_of_flights(3)).next_cursor
    for query in (
        GraphQuery(entity="Flight", order=by("-time")),
        GraphQuery(entity="Flight"),
        GraphQuery(entity="Log", order=by("id")),
    ):
        with pytest.raises(CursorError, match="another entity or order"):
            airline.run_fetch(replace(query, page=Page(limit=3, after=cursor)))


def test_a_page_cannot_go_on_and_back_at_once(airline: Database) -> None:
    cursor = airline.run_fetch(page_of_flights(3)).next_cursor
    query = replace(page_of_flights(3), page=Page(limit=3, after=cursor, before=cursor))
    with pytest.raises(QueryError, match="after or before"):
        airline.run_fetch(query)


@pytest.mark.parametrize(
    ("page", "count"),
    [
        (Page(limit=0), 0),
        (Page(limit=10**30), FLIGHTS),
        (Page(offset=FLIGHTS), 0),
        (Page(offset=10**30), 0),
        (Page(limit=10**30, offset=10**30), 0),
        (Page(limit=1, offset=FLIGHTS - 1), 1),
    ],
)
@pytest.mark.parametrize("order", [(), by("time"), by("kind")], ids=repr)
def test_extreme_pages_hold_what_there_is(
    airline: Database, page: Page, count: int, order: tuple[OrderSpec, ...]
) -> None:
    query = GraphQuery(entity="Flight", order=order, page=page)
    assert len(airline.run_fetch(query)) == count


@pytest.mark.parametrize("relation", ["duties", "crew"])
@pytest.mark.parametrize(
    ("limit", "offset", "each"), [(0, 0, 0), (10**30, 0, 2), (1, 1, 1), (5, 10**30, 0)]
)
def test_extreme_pages_of_includes_hold_what_there_is(
    airline: Database, relation: str, limit: int, offset: int, each: int
) -> None:
    include = Include(relation=relation, limit=limit, offset=offset)
    rows = airline.run_fetch(page_of_flights(5, include)).dicts()
    assert [len(row[relation]) for row in rows] == [each] * 5


def test_the_same_relation_twice_under_an_alias_is_two_includes(airline: Database) -> None:
    early = Include(relation="departures", alias="early", order=by("time"), limit=1)
    late = Include(relation="departures", order=by("-time"), limit=1)
    for row in airline.run_fetch(GraphQuery(entity="Airport", includes=(early, late))).dicts():
        assert row["early"][0]["time"] < row["departures"][0]["time"]


def test_includes_never_change_the_roots(airline: Database) -> None:
    plain = airline.run_fetch(page_of_flights(7)).dicts()
    includes = (
        Include(relation="plane", filter=compare("==", "seats", 10**6)),
        Include(relation="crew", limit=0),
        Include(relation="log", includes=(Include(relation="flight"),)),
    )
    rows: list[RowDict] = airline.run_fetch(page_of_flights(7, *includes)).dicts()
    names = [include.name for include in includes]
    stripped = [{k: v for k, v in row.items() if k not in names} for row in rows]
    assert stripped == plain


def deep(levels: int) -> Include:
    """origin, departures (one each), origin, departures, ... this many levels deep."""
    include = Include(relation="origin" if levels % 2 else "departures", limit=None)
    for level in range(levels - 1, 0, -1):
        name = "origin" if level % 2 else "departures"
        limit = None if level % 2 else 1
        include = Include(relation=name, limit=limit, includes=(include,))
    return include


def test_a_graph_as_deep_as_includes_may_be_is_answered(airline: Database) -> None:
    query = replace(page_of_flights(1, deep(199)), budget=FanoutBudget(depth=200))
    answer = airline.run_fetch(query)
    assert [len(block) for block in answer.blocks.entities] == [1] * 200
    assert str(answer.dicts()).count("'origin': {") == 100


def test_two_hundred_includes_beside_each_other_are_answered(airline: Database) -> None:
    includes = tuple(Include(relation="plane", alias=f"plane {n}") for n in range(200))
    row = airline.run_fetch(page_of_flights(1, *includes)).dicts()[0]
    assert all(row[include.name] == row["plane 0"] for include in includes)


def test_a_list_of_a_hundred_thousand_items_is_answered(airline: Database) -> None:
    for path in ("id", "delay", "plane.seats"):
        query = GraphQuery(entity="Flight", filter=among(path, *range(100_000)))
        assert 0 < airline.run_count(query) <= FLIGHTS


def test_count_and_exists_agree_with_fetch(airline: Database) -> None:
    conditions = [
        None,
        compare("==", "id", 7),
        compare("==", "id", -7),
        among("number", "OR1", "OR2", "no"),
        And(items=(compare("==", "origin.code", "JFK"), Not(operand=compare(">", "delay", 3)))),
        Compare(op="<", left=FieldRef(path=("delay",)), right=FieldRef(path=("time",))),
    ]
    for condition in conditions:
        query = GraphQuery(entity="Flight", filter=condition, order=by("plane.seats"))
        count = len(airline.run_fetch(query))
        assert (airline.run_count(query), airline.run_exists(query)) == (count, count > 0)


@pytest.mark.parametrize("order", ORDERS)
def test_a_page_that_skips_one_row_has_that_row_before_it(
    airline: Database, order: tuple[OrderSpec, ...]
) -> None:
    query = GraphQuery(entity="Flight", order=order, page=Page(limit=3))
    first = airline.run_fetch(query)
    assert first.previous_cursor is None
    skipping = airline.run_fetch(replace(query, page=Page(limit=3, offset=1)))
    assert skipping.dicts()[:2] == first.dicts()[1:]
    before = Page(limit=3, before=skipping.previous_cursor)
    assert airline.run_fetch(replace(query, page=before)).dicts() == first.dicts()[:1]


@pytest.mark.parametrize("least", [0, 1, 5, 19, 99])
def test_a_filter_through_an_edge_keeps_what_python_keeps(airline: Database, least: int) -> None:
    crews: dict[int, list[int]] = {}
    for duty in sorted(duty_rows(FLIGHTS), key=lambda duty: duty["rank"]):
        crews.setdefault(duty["flight_id"], []).append(duty["crew_id"])
    for limit in (None, 1):
        crew = Include(relation="crew", filter=compare(">=", "id", least), limit=limit)
        found = airline.run_fetch(GraphQuery(entity="Flight", includes=(crew,))).dicts()
        shown = [[each["id"] for each in row["crew"]] for row in found]
        assert shown == [
            [each for each in crews[row["id"]] if each >= least][:limit] for row in found
        ]
