"""Holds that a fetch within its budget is whole, and one beyond it tells which bound it passed."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from ormdb import limits
from ormdb.database.database import Database
from ormdb.errors import BudgetError, QueryError
from ormdb.ir.graph import FanoutBudget, GraphQuery, Include, Page
from ormdb.query.budget import Spending
from ormdb.storage.lmdb import LmdbEngine
from ormdb.storage.memory import MemoryEngine
from ormdb.testing.counting import CountingEngine
from tests.unit.query.airline import by, compare, open_airline
from tests.unit.query.conftest import FLIGHTS
from tests.unit.query.test_tables import table

CREW = Include(relation="crew")
DEPARTURES = Include(relation="departures", includes=(CREW,))


def fetch(airline: Database, budget: FanoutBudget, *includes: Include) -> int:
    query = GraphQuery(entity="Airport", includes=includes or (DEPARTURES,), budget=budget)
    return len(airline.run_fetch(query))


def refused(airline: Database, budget: FanoutBudget, *includes: Include) -> BudgetError:
    with pytest.raises(BudgetError) as caught:
        fetch(airline, budget, *includes)
    return caught.value


@pytest.mark.parametrize(
    ("name", "whole", "path"),
    [
        ("depth", 2, ("departures", "crew")),
        ("fanout", FLIGHTS // 3, ("departures",)),
        ("rows", 3 + FLIGHTS + 20, ("departures", "crew")),
        ("edges", FLIGHTS + 2 * FLIGHTS, ("departures", "crew")),
    ],
)
def test_a_budget_that_is_just_enough_is_kept_and_one_less_is_breached(
    airline: Database, name: str, whole: int, path: tuple[str, ...]
) -> None:
    assert fetch(airline, FanoutBudget(**{name: whole})) == 3
    error = refused(airline, FanoutBudget(**{name: whole - 1}))
    assert (error.budget, error.path, error.allowed) == (name, path, whole - 1)
    assert error.reached > whole - 1
    assert ".".join(path) in error.message
    assert f"raise the budget's {name}" in error.message


def test_bytes_are_counted_as_they_are_read(airline: Database) -> None:
    query = GraphQuery(entity="Airport", includes=(DEPARTURES,))
    read = airline.run_fetch(query).statistics.bytes_read
    assert fetch(airline, FanoutBudget(bytes=read)) == 3
    error = refused(airline, FanoutBudget(bytes=read - 1))
    assert (error.budget, error.path, error.reached) == ("bytes", ("departures", "crew"), read)


@dataclass(slots=True)
class SteppingClock:
    """A clock on which every look takes a second."""

    seconds: float = 0.0
    step_s: float = 1.0

    def monotonic_s(self) -> float:
        self.seconds += self.step_s
        return self.seconds

    def wall_us(self) -> int:
        return 0

    def random_bytes(self, count: int) -> bytes:
        return bytes(count)


def test_time_is_part_of_the_budget() -> None:
    spending = Spending(FanoutBudget(time_s=2.0), SteppingClock())
    spending.check_progress(("departures",), 0)
    spending.check_progress(("departures",), 0)
    with pytest.raises(BudgetError, match=r"departures reached .* seconds") as caught:
        spending.check_progress(("departures",), 0)
    assert caught.value.reached > caught.value.allowed == 2.0


def test_the_seconds_of_a_breach_are_told_to_the_millisecond() -> None:
    spending = Spending(FanoutBudget(time_s=0.2), SteppingClock(step_s=0.123456))
    spending.check_time()
    with pytest.raises(
        BudgetError, match=r"reached 0\.247 seconds; the budget allows 0\.2\."
    ) as told:
        spending.check_time()
    assert told.value.reached == 0.247


def test_a_batch_of_a_stream_has_a_budget_of_its_own() -> None:
    spending = Spending(FanoutBudget(rows=2, edges=2, bytes=10, time_s=2.5), SteppingClock())
    for bytes_read in (10, 20, 25):
        spending.add_rows((), 2)
        spending.add_edges((), 2)
        spending.check_progress((), bytes_read)
        spending.check_time()
        spending.renew(bytes_read)
    assert (spending.rows, spending.edges) == (0, 0)
    with pytest.raises(BudgetError) as told:
        spending.check_progress((), 36)
    assert (told.value.budget, told.value.reached) == ("bytes", 11)
    spending.add_rows((), 2)
    with pytest.raises(BudgetError):
        spending.add_rows((), 1)


@pytest.mark.parametrize(
    "include",
    [
        Include(relation="departures", filter=compare(">", "delay", 150)),
        Include(relation="departures", filter=compare(">", "plane.seats", 38)),
        Include(relation="departures", filter=compare(">", "delay", 100), limit=1),
        Include(relation="departures", limit=1),
        Include(relation="departures", order=by("kind"), limit=1),
        Include(relation="departures", limit=2, offset=18),
        Include(relation="departures", order=by("-delay"), limit=1, offset=1),
        Include(relation="departures", filter=compare(">", "delay", 150), order=by("-time")),
    ],
)
def test_rows_that_a_filter_or_a_page_leaves_out_shorten_no_answer(
    airline: Database, include: Include
) -> None:
    query = GraphQuery(entity="Airport", includes=(include,))
    whole = airline.run_fetch(query)
    rows = whole.statistics.rows
    assert 3 < rows < 13
    bounded = airline.run_fetch(replace(query, budget=FanoutBudget(rows=rows)))
    assert bounded.dicts() == whole.dicts()
    with pytest.raises(BudgetError):
        airline.run_fetch(replace(query, budget=FanoutBudget(rows=rows - 1)))


def test_as_much_is_asked_for_as_it_takes_to_see_a_breach() -> None:
    spending = Spending(FanoutBudget(rows=10, edges=20, fanout=5), SteppingClock())
    assert (spending.children_max, spending.fanout) == (6, 0)
    spending.add_rows((), 3)
    spending.add_edges((), 15)
    assert spending.left(is_answer=False) == 6
    assert spending.left(is_answer=True) == 6
    spending.add_rows((), 4)
    assert spending.left(is_answer=True) == 4
    endless = Spending(FanoutBudget(rows=10**40, edges=10**40, fanout=10**40), SteppingClock())
    assert endless.children_max == endless.left(is_answer=True) == sys.maxsize
    for largest in (3, 5, 2):
        spending.check_fanout((), largest)
    assert spending.fanout == 5


def test_the_roots_alone_can_breach_a_budget(airline: Database) -> None:
    with pytest.raises(BudgetError, match="the root reached") as caught:
        airline.run_fetch(GraphQuery(entity="Flight", budget=FanoutBudget(rows=FLIGHTS - 1)))
    assert caught.value.path == ()


def test_rows_that_a_page_leaves_out_are_not_counted(airline: Database) -> None:
    for order in (by("time"), by("kind")):
        query = GraphQuery(
            entity="Flight", order=order, page=Page(limit=5), budget=FanoutBudget(rows=5)
        )
        assert len(airline.run_fetch(query)) == 5


def test_children_that_an_index_gives_in_order_are_counted_up_to_their_limit(
    airline: Database,
) -> None:
    few = Include(relation="departures", order=by("-delay"), limit=3)
    assert fetch(airline, FanoutBudget(fanout=3), few) == 3
    sorted_ = Include(relation="departures", order=by("-time"), limit=3)
    assert refused(airline, FanoutBudget(fanout=3), sorted_).budget == "fanout"


@pytest.mark.parametrize("name", ["depth", "fanout", "rows", "edges", "bytes", "time_s"])
@pytest.mark.parametrize("number", [-1, float("nan")])
def test_a_budget_that_is_no_amount_is_refused(airline: Database, name: str, number: float) -> None:
    changed: dict[str, Any] = {name: number}
    with pytest.raises(QueryError, match=f"budget's {name}"):
        fetch(airline, replace(FanoutBudget(), **changed))


def test_a_level_is_read_no_further_than_it_takes_to_see_the_breach() -> None:
    engine = CountingEngine(MemoryEngine())
    with open_airline(engine, 3_000) as large:
        with large.snapshot() as snapshot:
            before = snapshot.version
        large.bulk_load("Airport", [{"code": "NEW", "lat": 0.0}])
        for as_of in (None, before):
            for budget, named in (
                (FanoutBudget(rows=20), "rows"),
                (FanoutBudget(edges=17), "edges"),
                (FanoutBudget(fanout=17), "fanout"),
            ):
                engine.reset()
                with pytest.raises(BudgetError) as caught:
                    large.run_fetch(
                        GraphQuery(
                            entity="Airport", includes=(DEPARTURES,), as_of=as_of, budget=budget
                        )
                    )
                assert (caught.value.budget, caught.value.path) == (named, ("departures",))
                assert caught.value.reached == caught.value.allowed + 1
                # Of 3,000 flights and their index entries; the past reads those of few parents.
                assert as_of is not None or engine.counts.keys < 200


def test_roots_and_groups_are_read_no_further_than_a_breach(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "TABLE_ROUND_ROWS", 2_000)  # between two looks at what is held
    engine = CountingEngine(MemoryEngine())
    flights = 20_000
    few_bytes, few_rows = FanoutBudget(bytes=20_000), FanoutBudget(rows=50)
    late = compare(">", "delay", 1_000)  # nobody is
    asks: list[tuple[str, Callable[[Database], object]]] = [
        ("bytes", lambda db: db.run_fetch(GraphQuery(entity="Flight", budget=few_bytes))),
        (
            "bytes",
            lambda db: db.run_fetch(
                GraphQuery(entity="Flight", filter=late, order=by("time"), budget=few_bytes)
            ),
        ),
        ("rows", lambda db: db.run_fetch(GraphQuery(entity="Flight", budget=few_rows))),
        (
            "rows",
            lambda db: list(
                db.run_stream(
                    GraphQuery(entity="Flight", order=by("kind"), budget=few_rows), batch=10
                )
            ),
        ),
        ("rows", lambda db: db.run_table(table("id", "count()", budget=few_rows))),
        ("rows", lambda db: db.run_table(table("id", "delay", budget=few_rows))),
        ("rows", lambda db: db.run_table(table("number", "count()", budget=few_rows))),
        ("rows", lambda db: db.run_table(table("count(time, distinct=True)", budget=few_rows))),
        ("bytes", lambda db: db.run_table(table("kind", "count()", budget=few_bytes))),
        ("bytes", lambda db: db.run_table(table("id", "plane.seats", budget=few_bytes))),
    ]
    with open_airline(engine, flights) as large:
        for number, (named, ask) in enumerate(asks):
            engine.reset()
            with pytest.raises(BudgetError) as caught:
                ask(large)
            assert (caught.value.budget, caught.value.path) == (named, ())
            assert caught.value.reached > caught.value.allowed
            assert engine.counts.keys < flights // 2, number


@pytest.mark.parametrize("rows", [4, 10, 62, 63])
def test_an_answer_within_its_rows_is_whole_on_every_engine(rows: int, tmp_path: Path) -> None:
    for engine in (MemoryEngine(), LmdbEngine.open(tmp_path / "a.ormdb", durability="none")):
        with open_airline(engine, FLIGHTS) as airline:
            whole = GraphQuery(
                entity="Airport",
                includes=(Include(relation="departures"),),
                budget=FanoutBudget(rows=rows),
            )
            if rows < 3 + FLIGHTS:
                with pytest.raises(BudgetError) as caught:
                    airline.run_fetch(whole)
                assert caught.value.reached == rows + 1
            else:
                assert airline.run_fetch(whole).statistics.rows == rows


def test_a_budget_without_end_is_as_good_as_none(airline: Database) -> None:
    most = 10**40
    budget = FanoutBudget(depth=most, fanout=most, rows=most, edges=most, bytes=most, time_s=1e300)
    assert fetch(airline, budget) == 3


def test_nothing_fits_into_a_budget_of_nothing(airline: Database) -> None:
    nothing = FanoutBudget(fanout=0, rows=0, edges=0)
    nobody = compare("==", "code", "ABC")
    for include in (DEPARTURES, Include(relation="departures", limit=1)):
        query = GraphQuery(entity="Airport", filter=nobody, includes=(include,), budget=nothing)
        assert airline.run_fetch(query).dicts() == []


def test_what_the_paths_of_a_table_read_counts_as_well(airline: Database) -> None:
    query = table("id", "plane.seats", "origin.lat")
    taken = airline.run_table(query).statistics.bytes_read
    assert airline.run_table(replace(query, budget=FanoutBudget(bytes=taken))).statistics.rows
    with pytest.raises(BudgetError) as caught:
        airline.run_table(replace(query, budget=FanoutBudget(bytes=taken - 1)))
    assert (caught.value.budget, caught.value.reached) == ("bytes", taken)
