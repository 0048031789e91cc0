"""Holds that ways made of others lead to the right rows, in order, by the calls planned."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import replace

import pytest

import ormdb
from ormdb.clock import SystemClock
from ormdb.database.database import Database
from ormdb.ir.expr import And, Expr, Or, Related
from ormdb.ir.graph import GraphQuery, OrderSpec, Page
from ormdb.ir.mutation import Insert
from ormdb.query.cache import PlanCache
from ormdb.query.compile import compile_query
from ormdb.query.cost import Candidate
from ormdb.query.fetch import Reading, fetch
from ormdb.query.hops import plan_hops
from ormdb.query.plan import QueryPlan
from ormdb.query.shape import Shape
from ormdb.storage.layout import Layout
from ormdb.storage.memory import MemoryEngine
from tests.unit.query.airline import (
    AIRLINE,
    AIRPORTS,
    among,
    asks,
    by,
    compare,
    flight_rows,
    open_airline,
)

FLIGHTS = 90
JFK = compare("==", "origin_code", "JFK")
EARLY = compare("<", "time", 300)


class ByWay(PlanCache):
    """Compiles queries by the way of some name."""

    def __init__(self, name: str) -> None:
        super().__init__(SystemClock())
        self.name = name
        self.made: QueryPlan | None = None

    def plan(self, layout: Layout, query: GraphQuery, shape: Shape) -> QueryPlan:
        self.made = compile_query(layout, query, shape, clock=SystemClock(), choose=self._choose)
        return self.made

    def _choose(self, found: Sequence[Candidate]) -> Candidate:
        names: list[str] = [candidate.way.access.kind for candidate in found]
        return found[names.index(self.name)]


@pytest.fixture(scope="module")
def database() -> Generator[Database]:
    with open_airline(MemoryEngine(), FLIGHTS) as opened:
        yield opened


def forced(
    database: Database, kind: str, query: GraphQuery
) -> tuple[list[object], int, QueryPlan, str | None]:
    """The identities that one kind of way finds, its calls, its plan and the next cursor."""
    plans = ByWay(kind)
    with database.snapshot() as snapshot:
        taken = snapshot.reading(query)
        reading = Reading(
            view=taken.view,
            layout=taken.layout,
            context=taken.context,
            plans=plans,
            clock=taken.clock,
        )
        answer = fetch(reading, query)
        names = {"Airport": "code", "Plane": "tail", "Crew": "id"}
        identity = names.get(query.entity, "id")
        found: list[object] = [row[identity] for row in answer.dicts()]
        assert plans.made is not None
        return found, answer.statistics.engine_calls, plans.made, answer.next_cursor


CASES: dict[str, tuple[str, str, Expr]] = {
    "a union of two indexes": (
        "union",
        "Flight",
        Or(items=(EARLY, compare("==", "number", "OR7"))),
    ),
    "a union of an identity and a relation": (
        "union",
        "Flight",
        Or(items=(among("id", 3, 4, 1000), JFK)),
    ),
    "an intersection": ("intersection", "Flight", And(items=(JFK, EARLY))),
    "over a relation to one": (
        "via",
        "Flight",
        And(items=(compare("==", "origin.code", "JFK"), EARLY)),
    ),
    "over a relation to one by value": ("via", "Flight", compare("==", "plane.tail", "N3")),
    "over a relation to many": (
        "via",
        "Airport",
        Related(kind="any", path=("departures",), filter=compare("==", "id", 5)),
    ),
    "over a relation to many by value": (
        "via",
        "Plane",
        Related(kind="any", path=("flights",), filter=among("id", 5, 6)),
    ),
    "over the other side of a relation to one": (
        "via",
        "Flight",
        Related(kind="any", path=("log",), filter=among("id", 5, 6)),
    ),
    "through an edge entity": (
        "via",
        "Flight",
        Related(kind="any", path=("crew",), filter=among("id", 5, 6)),
    ),
    "from rows that are themselves reached so": (
        "via",
        "Airport",
        Related(
            kind="any",
            path=("departures",),
            filter=Related(kind="any", path=("crew",), filter=compare("==", "id", 5)),
        ),
    ),
    "a union of ways over other rows": (
        "union",
        "Flight",
        Or(items=(compare("==", "plane.tail", "N3"), compare("==", "id", 1))),
    ),
}


@pytest.mark.parametrize("order", [(), by("-id"), by("-time")], ids=["rows", "back", "time"])
@pytest.mark.parametrize("name", CASES)
def test_a_combined_way_finds_what_a_scan_finds(
    database: Database, name: str, order: tuple[OrderSpec, ...]
) -> None:
    kind, entity, condition = CASES[name]
    if order and entity != "Flight":
        order = by("-code" if entity == "Airport" else "-tail")
    query = GraphQuery(entity=entity, filter=condition, order=order)
    wanted = forced(database, "scan", query)[0]
    found, calls, plan, _ = forced(database, kind, query)
    assert wanted
    assert found == wanted
    assert calls == plan_hops(plan)


@pytest.mark.parametrize("name", CASES)
def test_its_pages_are_those_of_a_scan(database: Database, name: str) -> None:
    kind, entity, condition = CASES[name]
    pages: dict[str, list[list[object]]] = {"scan": [], kind: []}
    for way, taken in pages.items():
        cursor = None
        for _ in range(200):
            page = Page(limit=2, after=cursor)
            query = GraphQuery(entity=entity, filter=condition, page=page)
            found, _, _, cursor = forced(database, way, query)
            taken.append(found)
            if cursor is None:
                break
    assert pages[kind] == pages["scan"]


def test_a_relation_that_leads_to_nobody_leads_to_no_rows(database: Database) -> None:
    nobody = compare("==", "origin.code", "XYZ")
    query = GraphQuery(entity="Flight", filter=nobody)
    assert forced(database, "via", query)[0] == []
    both = And(items=(compare("==", "origin_code", "XYZ"), EARLY))
    query = GraphQuery(entity="Flight", filter=both)
    assert forced(database, "intersection", query)[0] == []


def test_alternatives_without_a_way_of_their_own_make_no_union(database: Database) -> None:
    condition = Or(items=(EARLY, asks("ends_with", "number", "7")))
    query = GraphQuery(entity="Flight", filter=condition)
    with pytest.raises(ValueError, match="union"):
        forced(database, "union", query)


def test_what_can_never_be_true_reads_nothing(database: Database) -> None:
    for condition in (Or(items=()), And(items=(JFK, Or(items=())))):
        found = database.run_fetch(GraphQuery(entity="Flight", filter=condition))
        assert (len(found), found.statistics.engine_calls) == (0, 0)
        assert database.run_count(GraphQuery(entity="Flight", filter=condition)) == 0


def test_rows_that_are_there_in_the_past_are_found_there() -> None:
    with open_airline(MemoryEngine(), FLIGHTS) as database:
        before = database.version
        queries = [
            GraphQuery(entity=entity, filter=condition, as_of=before)
            for _, entity, condition in CASES.values()
        ]
        then = [database.run_fetch(query).dicts() for query in queries]
        for row in flight_rows(FLIGHTS):
            changes = {"origin_code": "EWR", "tail": "N1", "time": row["time"] + 500}
            database.update_row("Flight", (row["id"],), changes)
        assert [database.run_fetch(query).dicts() for query in queries] == then


def test_no_way_leads_back_over_a_relation_that_keeps_no_entries() -> None:
    relations = tuple(
        replace(each, inverse=None, enforced=False) if each.name == "member" else each
        for each in AIRLINE.relations
    )
    bundle = replace(AIRLINE, relations=relations)
    crew_3 = Related(kind="any", path=("crew",), filter=compare("==", "id", 3))
    crew = tuple({"id": number, "name": "x"} for number in (3, 4))
    duties = tuple(
        {"flight_id": flight, "crew_id": member, "rank": 1}
        for flight, member in [(1, 3), (2, 4), (3, 3)]
    )
    with ormdb.open(":memory:", schema=bundle) as database:
        flights = [{**row, "tail": None} for row in flight_rows(5)]
        airports = tuple({"code": code, "lat": None} for code in AIRPORTS)
        database.run_mutations([Insert(entity="Airport", rows=airports)])
        database.run_mutations([Insert(entity="Flight", rows=tuple(flights))])
        database.run_mutations([Insert(entity="Crew", rows=crew)])
        database.run_mutations([Insert(entity="Duty", rows=duties)])
        found = database.run_fetch(GraphQuery(entity="Flight", filter=crew_3)).dicts()
    assert [row["id"] for row in found] == [1, 3]
