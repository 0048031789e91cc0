"""Holds that a fetch makes the engine calls its plan says, and touches few keys for few rows."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from ormdb import limits
from ormdb.clock import SystemClock
from ormdb.database.database import Database
from ormdb.ir.expr import Aggregate, And, FieldRef
from ormdb.ir.graph import Derived, GraphQuery, Include, Page
from ormdb.query.compile import compile_query
from ormdb.query.hops import plan_hops
from ormdb.query.shape import take_shape
from ormdb.storage.engine import Engine
from ormdb.storage.lmdb import LmdbEngine
from ormdb.storage.memory import MemoryEngine
from ormdb.testing.counting import CountingEngine, Counts
from tests.box import Box
from tests.unit.query.airline import among, by, compare, open_airline, page_of_flights

SIZES = (10, 100_000)
TOUCHED_RATIO_MAX = 1.5

DELAY = FieldRef(path=("delay",))
PLANE, LOG, CREW = Include(relation="plane"), Include(relation="log"), Include(relation="crew")
SHAPES: dict[str, tuple[GraphQuery, int]] = {
    "one row by int identity": (
        GraphQuery(entity="Flight", filter=compare("==", "id", 7)),
        1,
    ),
    "rows by text identity": (
        GraphQuery(entity="Airport", filter=among("code", "JFK", "LGA", "nowhere")),
        2,
    ),
    "a row by unique index": (
        GraphQuery(entity="Flight", filter=compare("==", "number", "OR7")),
        1,
    ),
    "a page in the order of an index": (page_of_flights(5), 1),
    "a list of values in an index": (
        GraphQuery(entity="Flight", filter=among("price", "7.50", "8.50"), order=by("time")),
        2,
    ),
    "the children of an enforced relation": (
        GraphQuery(entity="Duty", filter=compare("==", "flight_id", 3)),
        1,
    ),
    "the children of a relation that is not enforced": (
        GraphQuery(entity="Flight", filter=compare("==", "tail", "N3")),
        1,
    ),
    "several folds of the same children": (
        GraphQuery(
            entity="Plane",
            derived=(
                Derived(name="flown", value=Aggregate(function="count", path=("flights",))),
                Derived(
                    name="worst",
                    value=Aggregate(function="max", operand=DELAY, path=("flights",)),
                ),
            ),
        ),
        2,
    ),
    "folds of some children and of others": (
        GraphQuery(
            entity="Plane",
            derived=(
                Derived(name="flown", value=Aggregate(function="count", path=("flights",))),
                Derived(
                    name="late",
                    value=Aggregate(
                        function="count", filter=compare(">", "delay", 60), path=("flights",)
                    ),
                ),
            ),
        ),
        3,
    ),
    "a scan, sorted": (
        GraphQuery(entity="Flight", order=by("-kind", "delay"), page=Page(limit=5)),
        1,
    ),
    "three includes deep": (
        page_of_flights(
            5,
            Include(relation="origin", includes=(Include(relation="departures", includes=(LOG,)),)),
        ),
        1 + 1 + 1 + 1,
    ),
    "to one by value, to many, one to one and many to many": (
        page_of_flights(5, PLANE, Include(relation="duties"), LOG, CREW),
        1 + 2 + 1 + 1 + (1 + 1),
    ),
    "many to many with a filter and an order through a relation": (
        page_of_flights(
            5,
            Include(
                relation="duties",
                filter=compare("!=", "member.name", "crew 1"),
                order=by("member.name"),
                limit=3,
            ),
        ),
        1 + (1 + 1 + 1),
    ),
    "the first children of each parent from an index": (
        GraphQuery(
            entity="Airport",
            includes=(Include(relation="departures", order=by("-delay"), limit=2),),
        ),
        1 + 2,
    ),
    "the last children of each parent": (
        GraphQuery(
            entity="Airport",
            includes=(Include(relation="departures", order=by("-id"), limit=2),),
        ),
        1 + 2,
    ),
    "a page filtered through three relations": (
        GraphQuery(
            entity="Flight",
            filter=And(
                items=(
                    compare("!=", "origin.code", "JFK"),
                    compare("!=", "plane.tail", "N1"),
                    compare("==", "log.text", "ok"),
                    compare(">=", "time", 0),
                )
            ),
            order=by("time"),
            page=Page(limit=2),
        ),
        1 + (1 + 2 + 1),
    ),
    "everything, sorted by a path": (
        GraphQuery(entity="Flight", order=by("plane.seats", "-origin.lat"), page=Page(limit=3)),
        1 + (2 + 1),
    ),
    "everything that a path keeps": (
        GraphQuery(entity="Log", filter=compare("==", "flight.kind", "mail"), select=()),
        1 + 1,
    ),
}


@pytest.fixture(autouse=True)
def without_choices(monkeypatch: pytest.MonkeyPatch) -> None:
    """Levels look children up and weigh nothing, which takes calls of its own."""
    monkeypatch.setattr(limits, "HASH_JOIN_PARENTS_UNKNOWN", 10**9)


@pytest.fixture(scope="module")
def airlines() -> Generator[list[tuple[CountingEngine, Database]]]:
    """The same airline with few and with many flights."""
    opened: list[tuple[CountingEngine, Database]] = []
    for flights in SIZES:
        engine = CountingEngine(MemoryEngine())
        opened.append((engine, open_airline(engine, flights)))
    yield opened
    for _, database in opened:
        database.close()


def counted(engine: CountingEngine, database: Database, query: GraphQuery) -> tuple[int, Counts]:
    """What one fetch counts itself, and what its engine counts."""
    with database.snapshot() as snapshot:
        engine.reset()
        answer = snapshot.run_fetch(query)
        counts = engine.counts
        assert len(answer) > 0
        return answer.statistics.engine_calls, counts


def test_weighing_how_to_find_children_takes_few_calls_whatever_the_rows(
    airlines: list[tuple[CountingEngine, Database]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "HASH_JOIN_PARENTS_UNKNOWN", 3)
    departures = Include(relation="departures", filter=compare("==", "price", "7.50"))
    query = GraphQuery(entity="Airport", includes=(departures,))
    for engine, database in airlines:
        # Airports; flights and those of the airports and of the price counted; then their rows.
        assert counted(engine, database, query)[0] == 1 + 3 + 1


@pytest.mark.parametrize("shape", SHAPES)
def test_engine_calls_are_the_hops_of_the_plan_whatever_the_rows(
    airlines: list[tuple[CountingEngine, Database]], shape: str
) -> None:
    query, hops = SHAPES[shape]
    for engine, database in airlines:
        own_count, counts = counted(engine, database, query)
        with database.snapshot() as snapshot:
            plan = compile_query(
                snapshot.layout, query, take_shape(query).shape, clock=SystemClock()
            )
        assert plan_hops(plan) == hops
        assert (own_count, counts.calls) == (hops, hops)


def test_a_page_that_a_path_keeps_from_filling_takes_few_more_rounds(
    airlines: list[tuple[CountingEngine, Database]],
) -> None:
    engine, database = airlines[1]
    query = GraphQuery(
        entity="Flight",
        filter=compare("==", "log.text", "never written"),
        order=by("time"),
        page=Page(limit=5),
    )
    with database.snapshot() as snapshot:
        engine.reset()
        assert len(snapshot.run_fetch(query)) == 0
    # 100,000 rows in rounds of 64, 256, 1,024, ...: each asks for the logs once.
    assert engine.counts.calls <= 1 + 7


def test_the_rounds_of_a_path_grow_from_one_to_the_next() -> None:
    query = GraphQuery(
        entity="Flight",
        filter=compare("==", "log.text", "never written"),
        page=Page(limit=5),
    )
    with airline_of(3_000, None) as (engine, database), database.snapshot() as snapshot:
        engine.reset()
        assert len(snapshot.run_fetch(query)) == 0
        assert engine.counts.calls == 1 + 4  # rounds of 64, 256, 1,024 and the rest
        engine.reset()
        assert len(snapshot.run_fetch(replace(query, page=Page(limit=300)))) == 0
        assert engine.counts.calls == 1 + 2  # of 602 and the rest
        engine.reset()
        assert len(snapshot.run_fetch(replace(query, page=Page()))) == 0
        assert engine.counts.calls == 1 + 1


def wide_page(time: int) -> GraphQuery:
    """50 roots in the order of an index, and three includes, one with 5 of each parent's rows."""
    departures = Include(relation="departures", order=by("-delay"), limit=5)
    includes = (PLANE, Include(relation="origin", includes=(departures,)), CREW)
    return replace(page_of_flights(50, *includes), filter=compare(">=", "time", time))


@contextmanager
def airline_of(flights: int, folder: Path | None) -> Generator[tuple[CountingEngine, Database]]:
    """An airline on disk, or in memory."""
    inner: Engine = MemoryEngine()
    if folder is not None:
        inner = LmdbEngine.open(folder / f"{flights}.ormdb", durability="none")
    engine = CountingEngine(inner)
    with open_airline(engine, flights) as database:
        yield engine, database


@pytest.mark.soak(seconds=1, cases_min=1)
def test_a_page_of_a_hundredfold_table_touches_about_the_same_keys(
    box: Box, tmp_path: Path
) -> None:
    in_soak = box.log is not None
    sizes = (10_000, 1_000_000) if in_soak else (1_000, 100_000)
    folder = tmp_path if in_soak else None
    with airline_of(sizes[0], folder) as small, airline_of(sizes[1], folder) as large:
        for seed in box.seeds():
            query = wide_page(seed * 13 % 500)
            few, many = (counted(*each, query)[1].keys for each in (small, large))
            assert max(few, many) <= TOUCHED_RATIO_MAX * min(few, many), (few, many)
            box.count()
