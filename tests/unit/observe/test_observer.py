"""Holds that the query log says what a call took and no value of it, and costs nothing when off."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Generator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import ormdb
from ormdb import Context
from ormdb.database import observing
from ormdb.database.database import Database
from ormdb.errors import BudgetError, QueryError, UsageError
from ormdb.ir.expr import Aggregate, FieldRef
from ormdb.ir.graph import FanoutBudget, GraphQuery, Include
from ormdb.ir.table import TableColumn, TableQuery
from ormdb.observe.calls import Call
from ormdb.observe.observer import Observer
from ormdb.observe.sites import CallSite, call_site
from ormdb.query.shape import take_shape
from ormdb.query.words import get_digest, shape_digest
from ormdb.storage.memory import MemoryEngine
from ormdb.testing.counting import CountingEngine
from tests.oracle.clocks import StillClock
from tests.unit.query.airline import AIRLINE, among, compare, open_airline, page_of_flights

FLIGHTS = 20
PACKAGE = Path(ormdb.__file__).parent
LATE = GraphQuery(
    entity="Flight",
    filter=compare(">", "delay", 31_337),
    includes=(Include(relation="origin"),),
)
PAGE = page_of_flights(3, Include(relation="plane"))
KINDS = TableQuery(
    entity="Flight",
    filter=compare("!=", "delay", 31_337),
    columns=(
        TableColumn(name="kind", expression=FieldRef(path=("kind",))),
        TableColumn(name="n", expression=Aggregate(function="count")),
    ),
)
Run = Callable[[Any], object]
RUNS: dict[str, Run] = {
    "fetch": lambda reader: reader.run_fetch(PAGE).dicts(),
    "get": lambda reader: reader.run_get("Flight", (3,)),
    "count": lambda reader: reader.run_count(LATE),
    "exists": lambda reader: reader.run_exists(LATE),
    "table": lambda reader: reader.run_table(KINDS),
}


class SteppingClock(StillClock):
    """A clock that goes on by a tenth of a second whenever it is asked."""

    def monotonic_s(self) -> float:
        self.advance(seconds=0.1)
        return super().monotonic_s()


@pytest.fixture
def airline() -> Generator[Database]:
    with open_airline(MemoryEngine(), FLIGHTS, clock=StillClock()) as opened:
        yield opened


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """The query log, switched on."""
    caplog.set_level(logging.DEBUG, logger="ormdb.query")
    return caplog


def facts(record: logging.LogRecord) -> dict[str, Any]:
    """What a record carries beside its text."""
    names = (
        *("operation", "entity", "shape", "principal", "rows", "edges"),
        *("engine_calls", "keys", "bytes", "seconds", "error"),
    )
    return {name: getattr(record, name) for name in names}


def test_a_fetch_leaves_one_record_of_what_it_took(
    airline: Database, log: pytest.LogCaptureFixture
) -> None:
    cost = airline.run_fetch(PAGE, context=Context(principal="ann")).statistics
    (record,) = log.records
    assert record.name == "ormdb.query"
    assert record.levelno == logging.DEBUG
    assert facts(record) == {
        "operation": "fetch",
        "entity": "Flight",
        "shape": shape_digest(take_shape(PAGE).shape),
        "principal": "ann",
        "rows": cost.rows,
        "edges": cost.edges,
        "engine_calls": cost.engine_calls,
        "keys": cost.keys_read,
        "bytes": cost.bytes_read,
        "seconds": 0.0,
        "error": None,
    }
    assert record.getMessage() == (
        "fetch Flight.order_by(time).limit(3).include(plane): "
        "6 rows, 3 edges, 3 engine calls, 0.0 ms"
    )


@pytest.mark.parametrize("operation", RUNS)
def test_every_way_to_read_leaves_a_record(
    airline: Database, log: pytest.LogCaptureFixture, operation: str
) -> None:
    RUNS[operation](airline)
    with airline.snapshot() as snapshot, airline.transaction() as txn:
        RUNS[operation](snapshot)
        RUNS[operation](txn)
    assert [record.operation for record in log.records] == [operation] * 3  # type: ignore[attr-defined]
    first, second, third = map(facts, log.records)
    assert first == second == third
    assert first["principal"] == "system"
    assert first["engine_calls"] > 0
    assert first["rows"] == {"fetch": 6, "get": 1, "table": 3}.get(operation, 0)


def test_a_table_is_told_by_its_columns_and_no_value_of_it(
    airline: Database, log: pytest.LogCaptureFixture
) -> None:
    airline.run_table(KINDS)
    (record,) = log.records
    assert record.getMessage().startswith(
        "table Flight.where(delay != ?).table(kind, n=count()): 3 rows"
    )
    with pytest.raises(QueryError):
        airline.run_table(replace(KINDS, columns=()))
    assert log.records[-1].getMessage().startswith("table Flight: ")


def test_a_get_is_told_by_the_identity_of_its_entity(
    airline: Database, log: pytest.LogCaptureFixture
) -> None:
    assert airline.run_get("Duty", (999, 999)) is None
    (record,) = log.records
    assert record.getMessage().startswith("get Duty(flight_id = ?, crew_id = ?): 0 rows")
    assert facts(record)["shape"] == get_digest("Duty")


def test_no_value_of_a_query_is_in_a_record(log: pytest.LogCaptureFixture) -> None:
    observer = Observer(StillClock(), slow_query_s=0)
    with open_airline(MemoryEngine(), FLIGHTS, observer=observer) as airline:
        airline.run_fetch(LATE)
        airline.run_count(LATE)
        airline.run_exists(LATE)
        airline.run_get("Airport", ("31337",))
        airline.run_fetch(GraphQuery(entity="Airport", filter=among("code", "31337", "x31337")))
        with pytest.raises(QueryError):
            airline.run_fetch(GraphQuery(entity="Flight", filter=compare("==", "no", "31337")))
    assert len(log.records) == 2 * 6
    for record in log.records:
        assert "31337" not in "".join(map(str, vars(record).values())) + record.getMessage()


def test_a_call_that_fails_is_recorded_with_its_error(
    airline: Database, log: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(BudgetError):
        airline.run_fetch(GraphQuery(entity="Flight", budget=FanoutBudget(rows=3)))
    with pytest.raises(QueryError):
        airline.run_get("Nothing", (1,))
    with pytest.raises(QueryError):
        airline.run_fetch(_refused())
    assert [facts(record)["error"] for record in log.records] == [
        "limit.budget",
        "query.invalid",
        "query.invalid",
    ]
    assert "ended by limit.budget" in log.records[0].getMessage()
    assert facts(log.records[2])["shape"] == ""
    assert "fetch Flight: 0 rows" in log.records[2].getMessage()


def test_a_name_never_begins_a_new_line_of_the_log(
    airline: Database, log: pytest.LogCaptureFixture
) -> None:
    for entity in ("no\nsuch", "x\x1b[31m"):
        with pytest.raises(QueryError):
            airline.run_get(entity, (1,))
        with pytest.raises(QueryError):
            airline.run_fetch(GraphQuery(entity=entity))
        with pytest.raises(QueryError):
            airline.run_fetch(replace(_refused(), entity=entity))
    assert len(log.records) == 6
    assert all(record.getMessage().isprintable() for record in log.records)


def _refused() -> GraphQuery:
    return GraphQuery(entity="Flight", includes=(Include(relation="log", limit=-1),))


def test_a_slow_query_leaves_a_warning_with_its_explanation(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = SteppingClock()
    observer = Observer(clock, slow_query_s=0.05)
    with open_airline(MemoryEngine(), FLIGHTS, clock=clock, observer=observer) as airline:
        airline.run_fetch(PAGE)
        airline.run_get("Flight", (3,))
        with pytest.raises(BudgetError):
            airline.run_fetch(
                GraphQuery(
                    entity="Airport",
                    includes=(Include(relation="departures"),),
                    budget=FanoutBudget(rows=3),
                )
            )
    slow, slow_get, broken = caplog.records
    assert slow.levelno == logging.WARNING
    head, *tree = slow.getMessage().split("\n")
    assert head.startswith("slow: fetch Flight.order_by(time).limit(3).include(plane) took ")
    assert head.endswith(", the bound is 0.05 s")
    assert tree[0] == "Flight at commit 7, schema version 1: 3 engine calls planned"
    assert sum("actual" in line for line in tree) == 2
    assert slow_get.getMessage().count("\n") == 0
    assert facts(broken)["error"] == "limit.budget"
    assert sum("actual" in line for line in broken.getMessage().split("\n")) == 1


def test_a_query_within_the_bound_leaves_no_warning(caplog: pytest.LogCaptureFixture) -> None:
    clock = SteppingClock()
    observer = Observer(clock, slow_query_s=60)
    with open_airline(MemoryEngine(), FLIGHTS, clock=clock, observer=observer) as airline:
        airline.run_fetch(PAGE)
    assert not caplog.records


@pytest.mark.parametrize("bound", [-1.0, float("nan")])
def test_a_bound_that_is_no_number_of_seconds_is_refused(bound: float) -> None:
    with pytest.raises(UsageError, match="slow_query_s is"):
        ormdb.open(":memory:", schema=AIRLINE, slow_query_s=bound)
    with ormdb.open(":memory:", schema=AIRLINE, slow_query_s=0.0) as opened:
        assert opened.observer.slow_query_s == 0.0


@pytest.mark.parametrize("operation", RUNS)
def test_a_log_that_is_off_costs_one_question_and_builds_nothing(
    airline: Database, monkeypatch: pytest.MonkeyPatch, operation: str
) -> None:
    def build(*_: object, **__: object) -> None:
        raise AssertionError("something was built for nobody")

    for name in ("QueryCall", "GetCall", "Watch", "Trace", "Cost"):
        monkeypatch.setattr(observing, name, build)
    RUNS[operation](airline)
    calls: list[str] = []

    def note(frame: Any, event: str, _: object) -> None:
        path = Path(frame.f_code.co_filename)
        is_ours = path.is_relative_to(PACKAGE / "observe") or path.name == "observing.py"
        if event == "call" and is_ours:
            calls.append(frame.f_code.co_name)

    sys.setprofile(note)
    try:
        RUNS[operation](airline)
    finally:
        sys.setprofile(None)
    way = [] if operation in {"get", "fetch"} else [f"observed_{operation}"]
    assert calls == [*way, "is_watching"]


@pytest.mark.parametrize("operation", RUNS)
def test_a_log_that_is_on_makes_no_engine_call_more(
    operation: str, caplog: pytest.LogCaptureFixture
) -> None:
    engine = CountingEngine(MemoryEngine())
    with open_airline(engine, FLIGHTS) as airline:
        RUNS[operation](airline)  # the first reader of a commit reads its head
        counted: list[object] = []
        for level in (logging.WARNING, logging.DEBUG):
            caplog.set_level(level, logger="ormdb.query")
            engine.reset()
            RUNS[operation](airline)
            counted.append(engine.counts)
    assert counted[0] == counted[1]
    assert len(caplog.records) == 1


def test_listeners_hear_of_calls_as_long_as_they_listen(airline: Database) -> None:
    heard: list[tuple[str, str, CallSite]] = []

    def listen(call: Call, site: CallSite) -> None:
        heard.append((call.operation, call.entity, site))

    airline.run_fetch(PAGE)
    with airline.observer.listening(listen):
        with airline.observer.listening(lambda call, site: None):
            airline.run_fetch(PAGE)
        airline.run_get("Plane", ("N1",))
    airline.run_fetch(PAGE)
    assert [(operation, entity) for operation, entity, _ in heard] == [
        ("fetch", "Flight"),
        ("get", "Plane"),
    ]
    assert heard[0][2].file == __file__
    assert not airline.observer.is_watching()


def test_a_site_is_the_line_outside_of_ormdb() -> None:
    site = call_site()
    assert (site.file, site.function) == (__file__, "test_a_site_is_the_line_outside_of_ormdb")
    assert str(site).startswith(f"{__file__}:{site.line} in test_a_site")


def test_an_observer_says_what_it_watches_for() -> None:
    observer = Observer(StillClock(), slow_query_s=0.5, repeats=ormdb.N1Settings())
    assert repr(observer) == "<Observer slower than 0.5 s, <RepeatDetector 10 in 1.0 s>>"
    assert repr(Observer(StillClock())) == "<Observer of the log alone>"
