"""Holds that an explanation tells the plan that runs, and that `analyze` tells what it took."""

from __future__ import annotations

import re
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

import ormdb
from ormdb import Explanation
from ormdb.database.database import Database
from ormdb.errors import BudgetError, CursorError, QueryError
from ormdb.ir.explanation import NodeExplanation
from ormdb.ir.expr import Aggregate, And, FieldRef, IsNull, Literal, Not
from ormdb.ir.graph import FanoutBudget, GraphQuery, Include, OrderSpec, Page
from ormdb.ir.mutation import Delete
from ormdb.ir.table import TableColumn, TableQuery
from ormdb.model.expression_text import parse_expression
from ormdb.query.explain import describe
from ormdb.query.fetch import fetch, plan_only
from ormdb.query.shape import take_shape
from ormdb.query.trace import Trace
from ormdb.storage.engine import Engine
from ormdb.storage.lmdb import LmdbEngine
from ormdb.storage.memory import MemoryEngine
from ormdb.testing.counting import CountingEngine
from tests.oracle.clocks import StillClock
from tests.unit.query.airline import AIRLINE, by, compare, open_airline, page_of_flights
from tests.unit.query.test_hops import SHAPES

FLIGHTS: Final = 60
GOLDEN: Final = Path(__file__).parent / "explanations.txt"

FIRST, SECOND = compare("==", "origin_code", "JFK"), compare(">", "delay", 20)
MORE: Final[dict[str, GraphQuery]] = {
    "a range behind a fixed column": GraphQuery(
        entity="Flight", filter=And(items=(FIRST, SECOND)), order=by("delay")
    ),
    "whatever is there, largest first": GraphQuery(
        entity="Flight",
        filter=Not(operand=IsNull(operand=FieldRef(path=("price",)))),
        order=by("-price"),
        page=Page(limit=4, offset=2),
    ),
    "between two numbers": GraphQuery(
        entity="Flight",
        filter=And(items=(compare(">=", "id", 10), compare("<", "id", 20))),
        order=by("-id"),
    ),
    "a value without a key": GraphQuery(entity="Flight", filter=compare("==", "price", "1e30")),
    "one by a unique index that a value leads to": GraphQuery(
        entity="Log", filter=compare("==", "flight_id", 3), includes=(Include(relation="flight"),)
    ),
    "many to many, filtered and sorted": page_of_flights(
        3,
        Include(
            relation="crew",
            filter=compare("!=", "name", "crew 1"),
            order=by("name"),
            limit=1,
            includes=(Include(relation="duties", includes=(Include(relation="flight"),)),),
        ),
    ),
    "two branches under one name and another": page_of_flights(
        2,
        Include(relation="origin", alias="from", includes=(Include(relation="departures"),)),
        Include(relation="log", alias="a name\nof two lines"),
    ),
}
QUERIES: Final = {**{name: query for name, (query, _) in SHAPES.items()}, **MORE}


@pytest.fixture(scope="module", params=["memory", "lmdb"])
def airline(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Generator[Database]:
    engine: Engine = MemoryEngine()
    if request.param == "lmdb":
        engine = LmdbEngine.open(tmp_path_factory.mktemp("explain") / "a.ormdb", map_bytes=2**26)
    with open_airline(engine, FLIGHTS, clock=StillClock()) as opened:
        yield opened


def golden() -> dict[str, str]:
    """The trees of the file, by the name above each."""
    parts = re.split(r"^# (.*)\n", GOLDEN.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {name: tree.rstrip("\n") for name, tree in zip(parts[1::2], parts[2::2], strict=True)}


@pytest.mark.parametrize("name", QUERIES)
def test_a_tree_is_the_one_that_is_written_down(airline: Database, name: str) -> None:
    airline.run_fetch(QUERIES[name])  # so that the plan is kept, whichever test ran before
    assert airline.run_explain(QUERIES[name], analyze=True).to_text() == golden()[name]


def test_no_tree_is_written_down_for_nothing() -> None:
    assert list(golden()) == list(QUERIES)


@pytest.mark.parametrize("name", SHAPES)
def test_the_calls_that_are_planned_are_those_that_are_made(airline: Database, name: str) -> None:
    query, hops = SHAPES[name]
    found = airline.run_explain(query, analyze=True)
    assert found.totals is not None
    assert found.engine_calls == hops == found.totals.engine_calls
    for node in found.nodes():
        assert node.actual is not None
        assert node.actual.engine_calls == node.engine_calls, node.path


@pytest.mark.parametrize("name", QUERIES)
def test_levels_add_up_to_what_the_fetch_says_itself(airline: Database, name: str) -> None:
    cost = airline.run_fetch(QUERIES[name]).statistics
    found = airline.run_explain(QUERIES[name], analyze=True)
    levels = [node.actual for node in found.nodes() if node.actual is not None]
    totals = found.totals
    assert totals is not None
    assert sum(level.rows_kept for level in levels) == totals.rows == cost.rows
    assert sum(level.edges for level in levels) == totals.edges == cost.edges
    assert sum(level.engine_calls for level in levels) == totals.engine_calls == cost.engine_calls
    assert sum(level.keys_read for level in levels) == totals.keys_read == cost.keys_read
    assert sum(level.bytes_read for level in levels) == totals.bytes_read == cost.bytes_read
    assert all(level.rows_kept <= level.rows_read for level in levels)
    assert all(level.loops == 1 for level in levels)


@pytest.mark.parametrize("name", QUERIES)
def test_a_bound_of_rows_is_never_passed(airline: Database, name: str) -> None:
    for node in airline.run_explain(QUERIES[name], analyze=True).nodes():
        assert node.actual is not None
        assert node.rows_at_most is None or node.actual.rows_kept <= node.rows_at_most


@pytest.mark.parametrize("name", QUERIES)
def test_running_the_plan_changes_nothing_of_what_is_told(airline: Database, name: str) -> None:
    planned = airline.run_explain(QUERIES[name])
    assert planned.totals is None
    assert not [node for node in planned.nodes() if node.actual is not None]
    assert _without_actuals(airline.run_explain(QUERIES[name], analyze=True)) == planned


def _without_actuals(found: Explanation) -> Explanation:
    def bare(node: NodeExplanation) -> NodeExplanation:
        return replace(node, actual=None, children=tuple(map(bare, node.children)))

    return replace(found, totals=None, root=bare(found.root))


def test_the_plan_that_is_told_is_the_one_that_runs(airline: Database) -> None:
    query = QUERIES["three includes deep"]
    trace = Trace(StillClock())
    with airline.snapshot() as snapshot:
        reading = snapshot.reading(query)
        plan_only(reading, query, trace)
        assert trace.run is not None
        kept = reading.plans.plan(reading.layout, query, take_shape(query).shape)
        assert trace.run.ready.plan is kept


def test_without_analyze_nothing_is_read() -> None:
    engine = CountingEngine(MemoryEngine())
    with open_airline(engine, FLIGHTS) as database, database.snapshot() as snapshot:
        engine.reset()
        for query in QUERIES.values():
            snapshot.run_explain(query)
        # How many rows there are, and whether somebody has analyzed them.
        assert set(engine.counts.by_method) <= {"begin_read", "statistics", "get_many", "scan"}
        assert engine.counts.keys <= len(QUERIES)


def test_every_level_of_an_analyzed_database_has_an_estimate_near_the_truth() -> None:
    errors: list[float] = []
    with open_airline(MemoryEngine(), FLIGHTS) as database:
        database.analyze()
        for query in QUERIES.values():
            for node in database.run_explain(query, analyze=True).nodes():
                assert node.actual is not None
                assert node.rows_estimated is not None
                assert node.rows_at_most is None or node.rows_estimated <= node.rows_at_most
                one, other = max(1.0, node.rows_estimated), max(1, node.actual.rows_kept)
                errors.append(max(one / other, other / one))
    assert sorted(errors)[len(errors) * 9 // 10] <= 2.0


def test_as_many_groups_are_expected_as_their_keys_have_values() -> None:
    with open_airline(MemoryEngine(), FLIGHTS) as database:
        database.analyze()
        for keys, groups in (((), 1), (("origin_code",), 3), (("plane", "seats"), 36)):
            columns = [TableColumn(name="n", expression=Aggregate(function="count"))]
            if keys:
                columns.append(TableColumn(name="key", expression=FieldRef(path=keys)))
            query = TableQuery(entity="Flight", columns=tuple(columns))
            found = database.run_explain(query, analyze=True)
            assert found.totals is not None
            assert found.root.rows_estimated is not None
            assert found.totals.rows == groups
            assert groups / 2 <= found.root.rows_estimated <= groups * 2


def test_a_plan_from_before_is_told_from_a_new_one() -> None:
    with open_airline(MemoryEngine(), FLIGHTS) as database:
        query = QUERIES["one row by int identity"]
        first, second = (database.run_explain(query, analyze=True) for _ in range(2))
        assert first.totals is not None
        assert second.totals is not None
        assert (first.totals.plan_was_kept, second.totals.plan_was_kept) == (False, True)
        other = replace(query, filter=compare("==", "id", 8))
        third = database.run_explain(other, analyze=True)
        assert third.totals is not None
        assert third.totals.plan_was_kept
        unkept = replace(query, filter=IsNull(operand=Literal(value={"a": [1]})))
        for _ in range(2):
            fourth = database.run_explain(unkept, analyze=True)
            assert fourth.totals is not None
            assert not fourth.totals.plan_was_kept


def test_what_was_used_of_each_budget_is_told(airline: Database) -> None:
    budget = FanoutBudget(rows=200, edges=300, fanout=25, time_s=float("inf"))
    query = replace(QUERIES["three includes deep"], budget=budget)
    found = airline.run_explain(query, analyze=True)
    assert found.totals is not None
    used = {use.name: (use.used, use.allowed) for use in found.totals.budget}
    assert used["depth"] == (3, budget.depth)
    assert used["rows"] == (found.totals.rows, 200)
    assert used["edges"] == (found.totals.edges, 300)
    assert used["fanout"] == (20, 25)
    assert used["bytes"] == (found.totals.bytes_read, budget.bytes)
    assert used["time_s"] == (0.0, None)
    assert Explanation.from_json(found.to_json()) == found


def test_a_run_that_breaks_its_budget_is_refused_and_can_be_told_so_far(
    airline: Database,
) -> None:
    query = replace(QUERIES["three includes deep"], budget=FanoutBudget(rows=40))
    with pytest.raises(BudgetError):
        airline.run_explain(query, analyze=True)
    trace = Trace(StillClock())
    assert describe(trace) is None
    with airline.snapshot() as snapshot, pytest.raises(BudgetError):
        fetch(snapshot.reading(query), query, trace=trace)
    found = describe(trace)
    assert found is not None
    assert [node.actual is not None for node in found.nodes()] == [True, True, False, False]


def test_what_a_fetch_refuses_an_explanation_refuses(airline: Database) -> None:
    with pytest.raises(QueryError, match="no entity 'Nothing'"):
        airline.run_explain(GraphQuery(entity="Nothing"))
    with pytest.raises(CursorError):
        airline.run_explain(GraphQuery(entity="Flight", page=Page(after="nonsense")))


@pytest.mark.parametrize("direction", ["after", "before"])
def test_a_page_from_a_cursor_says_so_and_keeps_it_to_itself(
    airline: Database, direction: str
) -> None:
    pages = airline.run_fetch(replace(page_of_flights(5), page=Page(limit=5, offset=5)))
    cursor = pages.next_cursor
    assert cursor is not None
    page = Page(limit=5, after=cursor) if direction == "after" else Page(limit=5, before=cursor)
    found = airline.run_explain(replace(page_of_flights(5), page=page), analyze=True)
    assert found.root.limits.cursor == direction
    assert f"the first 5, {direction} a cursor" in found.to_text()
    assert cursor not in found.to_text() + found.to_json()
    assert found.root.actual is not None
    assert found.root.actual.rows_kept == 5


def test_the_past_is_explained_as_the_past() -> None:
    with open_airline(MemoryEngine(), FLIGHTS) as database:
        version = database.version
        database.run_mutations([Delete(entity="Log", identities=((0,),))])
        query = replace(QUERIES["everything that a path keeps"], as_of=version)
        found = database.run_explain(query, analyze=True)
        assert (found.version, found.is_past) == (version, True)
        assert "read through history" in found.to_text()
        assert found.root.actual is not None
        assert found.root.actual.rows_kept == len(database.run_fetch(query))
        assert not database.run_explain(replace(query, as_of=None)).is_past


def test_snapshots_and_transactions_explain_what_they_see() -> None:
    with open_airline(MemoryEngine(), FLIGHTS) as database:
        query = GraphQuery(entity="Log")

        def rows(found: Explanation) -> int:
            assert found.root.actual is not None
            return found.root.actual.rows_kept

        with database.snapshot() as snapshot, database.transaction() as txn:
            assert rows(txn.run_explain(query, analyze=True)) == FLIGHTS
            txn.run_mutations([Delete(entity="Log", identities=((0,),))])
            assert rows(txn.run_explain(query, analyze=True)) == FLIGHTS - 1
            assert rows(snapshot.run_explain(query, analyze=True)) == FLIGHTS
            assert rows(database.run_explain(query, analyze=True)) == FLIGHTS
        assert rows(database.run_explain(query, analyze=True)) == FLIGHTS - 1


def test_rows_that_are_kept_take_fewer_calls_than_planned() -> None:
    query = GraphQuery(entity="Log", includes=(Include(relation="flight"),))
    with ormdb.open(":memory:", schema=AIRLINE) as database:
        database.bulk_load("Airport", [{"code": "JFK"}])
        row = {"id": 1, "origin_code": "JFK", "time": 1}
        database.bulk_load("Flight", [row])
        database.bulk_load("Log", [{"id": 1, "flight_id": 1, "text": "ok"}])
        first, second = (database.run_explain(query, analyze=True) for _ in range(2))
        assert first.totals is not None
        assert second.totals is not None
        assert first.engine_calls == second.engine_calls == first.totals.engine_calls == 2
        assert second.totals.engine_calls < 2
        assert first.totals.rows == second.totals.rows == 2


def test_an_explanation_shows_no_value_that_an_order_is_calculated_with(airline: Database) -> None:
    secret = 7_654_321
    order = (OrderSpec(key=parse_expression(f"delay + {secret}"), descending=True),)
    departures = Include(relation="departures", order=order)
    for query in (
        GraphQuery(entity="Flight", order=order),
        GraphQuery(entity="Airport", includes=(departures,)),
    ):
        text = airline.run_explain(query, analyze=True).to_text()
        assert "delay + ? desc" in text
        assert str(secret) not in text
