"""Holds that N+1 is told once, for as many calls as the settings say, in bounded memory."""

from __future__ import annotations

import logging
import threading
from collections.abc import Generator
from dataclasses import dataclass

import pytest

import ormdb
from ormdb import Entity, Field, Many, N1Settings, One, field, limits, many, one
from ormdb.errors import UsageError
from ormdb.observe.calls import Operation
from ormdb.observe.repeats import RepeatDetector
from ormdb.observe.sites import CallSite
from tests.oracle.clocks import StillClock


class Airport(Entity):
    faa: Field[str] = field(identity=True)
    departures: Many[Flight] = many(inverse="origin")


class Flight(Entity):
    id: Field[int] = field(identity=True)
    note: Field[str | None]
    origin: One[Airport] = one()


AIRPORTS = [f"A{n:02}" for n in range(12)]


@dataclass
class FakeCall:
    """A call of one shape."""

    shape: object = "shape"
    operation: Operation = "fetch"
    entity: str = "Flight"
    principal: str = "system"

    def digest(self) -> str:
        return "digest"

    def words(self) -> str:
        return f"Flight.{self.shape}()"

    def remedy(self) -> str | None:
        return None


HERE = CallSite("app.py", 12, "list_airports")


@pytest.fixture
def clock() -> StillClock:
    return StillClock()


def open_flights(clock: StillClock, settings: bool | N1Settings) -> ormdb.Database:
    db = ormdb.open(":memory:", schema=[Airport, Flight], clock=clock, detect_n_plus_one=settings)
    db.bulk_load("Airport", [{"faa": name} for name in AIRPORTS])
    db.bulk_load("Flight", [{"id": n, "origin_faa": name} for n, name in enumerate(AIRPORTS)])
    return db


@pytest.fixture
def watched(clock: StillClock) -> Generator[ormdb.Database]:
    with open_flights(clock, settings=True) as db:
        yield db


def test_a_loop_of_fetches_is_told_once_with_its_line_and_the_include(
    watched: ormdb.Database, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):
        for airport in watched.fetch(Airport):
            watched.fetch(Flight.where(Flight.origin[Airport.faa] == airport.faa))
    (record,) = caplog.records
    assert record.name == "ormdb.query"
    assert record.levelno == logging.WARNING
    assert record.site_file == __file__  # type: ignore[attr-defined]
    line = record.site_line  # type: ignore[attr-defined]
    assert record.getMessage() == (
        "N+1: Flight.where(origin.faa == ?) was fetched 11 times within 1 s from "
        f"{__file__}:{line} in test_a_loop_of_fetches_is_told_once_with_its_line_and_the_include; "
        "include Airport.departures with the parents, and it is one fetch"
    )
    assert record.repeats == 11  # type: ignore[attr-defined]


def test_a_loop_of_gets_is_told_with_the_relation_that_leads_there(
    watched: ormdb.Database, caplog: pytest.LogCaptureFixture
) -> None:
    for flight in watched.fetch(Flight):
        watched.get(Airport, AIRPORTS[flight.id])
    (record,) = caplog.records
    assert "N+1: Airport(faa = ?) was got 11 times within 1 s from" in record.getMessage()
    assert "include Flight.origin with the parents" in record.getMessage()


def test_a_loop_of_tables_is_told_to_be_one(
    watched: ormdb.Database, caplog: pytest.LogCaptureFixture
) -> None:
    for name in AIRPORTS:
        watched.table(Flight.where(Flight.origin[Airport.faa] == name).table(ormdb.count()))
    (record,) = caplog.records
    assert "was read 11 times within 1 s" in record.getMessage()
    assert "read one table with what differs among its columns" in record.getMessage()


def test_snapshots_and_transactions_are_watched_as_well(
    watched: ormdb.Database, caplog: pytest.LogCaptureFixture
) -> None:
    with watched.snapshot() as snapshot:
        for name in AIRPORTS:
            snapshot.get(Airport, name)
    with watched.transaction() as txn:
        for name in AIRPORTS:
            txn.get(Airport, name)
    assert len(caplog.records) == 2


def test_counts_and_different_lines_and_shapes_are_no_repeats(
    watched: ormdb.Database, caplog: pytest.LogCaptureFixture
) -> None:
    for name in AIRPORTS:
        watched.count(Flight.where(Flight.origin[Airport.faa] == name))
        watched.exists(Flight.where(Flight.origin[Airport.faa] == name))
    for number in range(6):
        watched.fetch(Flight.limit(number))
        watched.fetch(Flight.limit(number))
    for number in range(1, 12):
        watched.fetch(Flight.where(*[Flight.id > 0] * number))
    assert not caplog.records


def test_nothing_is_watched_unless_it_is_asked_for(
    clock: StillClock, caplog: pytest.LogCaptureFixture
) -> None:
    with open_flights(clock, settings=False) as db:
        for name in AIRPORTS:
            db.get(Airport, name)
    assert not caplog.records


def test_calls_that_lie_apart_are_no_repeats(
    clock: StillClock, caplog: pytest.LogCaptureFixture
) -> None:
    detector = RepeatDetector(N1Settings(threshold=3, window_s=1.0), clock)
    for _ in range(20):
        detector.note(FakeCall(), HERE)
        clock.advance(seconds=0.4)
    assert not caplog.records
    for _ in range(2):
        detector.note(FakeCall(), HERE)
    assert len(caplog.records) == 1


@pytest.mark.parametrize("threshold", [1, 4])
def test_the_threshold_itself_is_no_repeat(
    clock: StillClock, caplog: pytest.LogCaptureFixture, threshold: int
) -> None:
    detector = RepeatDetector(N1Settings(threshold=threshold), clock)
    for _ in range(threshold):
        detector.note(FakeCall(), HERE)
    assert not caplog.records
    for _ in range(50):
        detector.note(FakeCall(), HERE)
    (record,) = caplog.records
    assert "fetch the rows in one query" in record.getMessage()
    detector.note(FakeCall(), CallSite("app.py", 13, "list_airports"))
    detector.note(FakeCall("other"), HERE)
    detector.note(FakeCall(operation="get"), HERE)
    assert len(caplog.records) == 1


def test_threads_that_ask_once_each_are_no_repeat(
    clock: StillClock, caplog: pytest.LogCaptureFixture
) -> None:
    detector = RepeatDetector(N1Settings(threshold=2), clock)
    together = threading.Barrier(8)

    def ask(times: int) -> None:
        together.wait()  # so that no thread ends before another one begins, and gives it its number
        for _ in range(times):
            detector.note(FakeCall(), HERE)
        together.wait()

    def run(times: int) -> None:
        threads = [threading.Thread(target=ask, args=(times,)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    run(1)
    assert not caplog.records
    run(200)
    assert len(caplog.records) == 1


def test_no_more_lines_and_shapes_are_remembered_than_the_bound(
    clock: StillClock, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "REPEAT_SITES_MAX", 5)
    detector = RepeatDetector(N1Settings(threshold=1), clock)
    for number in range(30):
        detector.note(FakeCall(number), HERE)
        assert detector.remembered <= 5
    for number in range(30):
        for _ in range(2):
            detector.note(FakeCall(number), HERE)
        assert detector.remembered <= 2 * 5
    assert len(caplog.records) == 30


@pytest.mark.parametrize(
    "settings",
    [{"threshold": 0}, {"threshold": 10**9}, {"window_s": 0}, {"window_s": float("nan")}],
)
def test_settings_that_can_never_warn_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(UsageError):
        N1Settings(**settings)  # type: ignore[arg-type]
