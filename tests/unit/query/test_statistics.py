"""Holds that an answer says what it took itself, and nothing of what was read before it."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TypeAlias

import pytest

from ormdb.database.database import Database
from ormdb.ir.graph import GraphQuery, Include, Page
from ormdb.ir.result import FetchStatistics
from ormdb.query.trace import Trace
from ormdb.session import Reader
from ormdb.storage.memory import MemoryEngine
from ormdb.testing.counting import CountingEngine
from tests.oracle.clocks import StillClock
from tests.unit.query.airline import by, compare, open_airline
from tests.unit.query.test_tables import table

Ask: TypeAlias = Callable[[Reader], FetchStatistics]

FLIGHTS = 30
STEP_S = 0.25


class SlowClock(StillClock):
    """On which every look takes a quarter of a second."""

    def monotonic_s(self) -> float:
        self.advance(seconds=STEP_S)
        return super().monotonic_s()


@pytest.fixture(scope="module")
def opened() -> Generator[tuple[CountingEngine, Database]]:
    engine = CountingEngine(MemoryEngine())
    with open_airline(engine, FLIGHTS, clock=SlowClock()) as database:
        yield engine, database


DEPARTURES = GraphQuery(entity="Airport", includes=(Include(relation="departures"),))
PAGE = GraphQuery(entity="Flight", order=by("time"), page=Page(limit=4))
BY_NUMBER = GraphQuery(entity="Flight", filter=compare("==", "id", 3))
PLAIN = table("id", "delay", where="id < 7")
GROUPS = table("origin_code", "count()")


ASKS: dict[str, tuple[Ask, int, int]] = {
    "a graph": (lambda r: r.run_fetch(DEPARTURES).statistics, 3 + FLIGHTS, FLIGHTS),
    "a page": (lambda r: r.run_fetch(PAGE).statistics, 4, 0),
    "a row by its number": (lambda r: r.run_fetch(BY_NUMBER).statistics, 1, 0),
    "a table of rows": (lambda r: r.run_table(PLAIN).statistics, 7, 0),
    "a table of groups": (lambda r: r.run_table(GROUPS).statistics, 3, 0),
}


@pytest.mark.parametrize("name", ASKS)
def test_statistics_are_those_of_one_call_whatever_was_read_before(
    opened: tuple[CountingEngine, Database], name: str
) -> None:
    engine, database = opened
    ask, rows, edges = ASKS[name]
    with database.snapshot() as snapshot:
        ask(snapshot)
        engine.reset()
        found = ask(snapshot)
        counts = engine.counts
        assert (found.rows, found.edges) == (rows, edges)
        assert (found.engine_calls, found.keys_read) == (counts.calls, counts.keys)
        bytes_read = found.bytes_read
        assert 0 < bytes_read == ask(snapshot).bytes_read


@pytest.mark.parametrize("name", ASKS)
def test_statistics_in_a_transaction_are_those_of_one_call_too(
    opened: tuple[CountingEngine, Database], name: str
) -> None:
    ask, rows, _ = ASKS[name]
    with opened[1].snapshot() as snapshot:
        alone = ask(snapshot)
    with opened[1].transaction() as txn:
        found = [ask(txn) for _ in range(3)]
    for each in found:
        assert (each.rows, each.edges) == (rows, alone.edges)
        assert (each.engine_calls, each.keys_read) == (alone.engine_calls, alone.keys_read)
        assert each.bytes_read == alone.bytes_read


@pytest.mark.parametrize("name", ASKS)
def test_seconds_are_counted_from_the_beginning_of_a_call_to_its_end(
    opened: tuple[CountingEngine, Database], name: str
) -> None:
    with opened[1].snapshot() as snapshot:
        seconds = ASKS[name][0](snapshot).seconds
    # A clock that was looked at a few times; it began at 1.7 billion seconds.
    assert STEP_S <= seconds <= 40 * STEP_S


def test_every_batch_of_a_stream_says_what_it_took_itself(
    opened: tuple[CountingEngine, Database],
) -> None:
    engine, database = opened
    with database.snapshot() as snapshot:
        engine.reset()
        found = [one.statistics for one in snapshot.run_stream(DEPARTURES, batch=1)]
        counts = engine.counts
        whole = snapshot.run_fetch(DEPARTURES).statistics
    assert [(one.rows, one.edges) for one in found] == [(1 + FLIGHTS // 3, FLIGHTS // 3)] * 3
    # The scan of the roots begins in the first batch, and is one call for all of them.
    assert [one.engine_calls for one in found] == [2, 1, 1]
    assert sum(one.engine_calls for one in found) == counts.calls
    assert sum(one.keys_read for one in found) == counts.keys
    assert sum(one.bytes_read for one in found) == whole.bytes_read
    assert all(STEP_S <= one.seconds <= 40 * STEP_S for one in found)


def test_a_trace_that_notes_nothing_takes_no_time() -> None:
    trace = Trace(SlowClock())
    assert trace.ended_s == trace.started_s
