"""Snapshots end when they are closed, dropped or too old, and never inside a call."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from ormdb.clock import SystemClock
from ormdb.errors import ClosedError, SnapshotExpiredError
from ormdb.storage.engine import ReadTransaction
from ormdb.storage.lmdb import LmdbEngine
from tests.unit.storage.children import INDEX, ROWS, key


@dataclass
class Clock(SystemClock):
    """A clock that is set by hand."""

    now_s: float = 1_000.0

    def monotonic_s(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def engine(tmp_path: Path, clock: Clock) -> Iterator[LmdbEngine]:
    opened = LmdbEngine.open(
        tmp_path / "data.ormdb", durability="none", clock=clock, snapshot_age_s=10
    )
    txn = opened.begin_write()
    txn.put_many(ROWS, [(key(n), b"row %d" % n) for n in range(2_000)])
    txn.put_many(INDEX, [(key(n // 9), key(n)) for n in range(2_000)])
    txn.commit()
    yield opened
    opened.close()


def test_an_old_snapshot_is_let_go_by_whoever_begins_next(engine: LmdbEngine, clock: Clock) -> None:
    for begin in (engine.begin_read, engine.begin_write):
        old = engine.begin_read()
        scan = old.scan(ROWS, batch=10)
        next(scan)
        clock.now_s += 10.5
        assert old.get_many(ROWS, [key(1)]) == [b"row 1"]  # until somebody needs its place
        begin().close()
        with pytest.raises(SnapshotExpiredError, match="take a new one"):
            old.get_many(ROWS, [key(1)])
        with pytest.raises(SnapshotExpiredError):
            next(scan)
        old.close()
        with pytest.raises(SnapshotExpiredError):
            old.get_many(ROWS, [key(1)])
    assert engine.statistics().details["snapshots_expired"] == 2


def test_young_snapshots_are_kept_while_older_ones_go(engine: LmdbEngine, clock: Clock) -> None:
    snapshots = [engine.begin_read()]
    for _ in range(5):
        clock.now_s += 3
        snapshots.append(engine.begin_read())
    alive: list[bool] = []
    for snapshot in snapshots:
        try:
            snapshot.get_many(ROWS, [key(1)])
            alive.append(True)
        except SnapshotExpiredError:
            alive.append(False)
    assert alive == [False, False, True, True, True, True]
    assert engine.statistics().readers == 4


def test_a_snapshot_in_a_call_is_not_let_go_however_old(engine: LmdbEngine, clock: Clock) -> None:
    old = engine.begin_read()
    inside, done = threading.Event(), threading.Event()

    class Keys(list[bytes]):
        """Keys that take their time."""

        def __iter__(self) -> Iterator[bytes]:
            inside.set()
            done.wait()
            return super().__iter__()

    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(old.get_many, ROWS, Keys([key(1), key(2)]))
        inside.wait()
        clock.now_s += 1_000
        engine.begin_read().close()
        engine.begin_write().abort()
        done.set()
        assert reading.result() == [b"row 1", b"row 2"]
    engine.begin_read().close()
    with pytest.raises(SnapshotExpiredError):
        old.get_many(ROWS, [key(1)])


def test_snapshots_dropped_without_closing_are_ended_by_the_next_begin(
    engine: LmdbEngine,
) -> None:
    snapshots = [engine.begin_read() for _ in range(20)]
    assert engine.statistics().readers == 20
    snapshots.clear()
    gc.collect()
    last = engine.begin_read()
    assert engine.statistics().readers == 1
    assert last.get_many(ROWS, [key(1)]) == [b"row 1"]


def test_a_scan_keeps_its_snapshot_alive(engine: LmdbEngine) -> None:
    scan = engine.begin_read().scan(ROWS, batch=5)
    gc.collect()
    engine.begin_read().close()
    assert sum(map(len, scan)) == 2_000


def test_a_snapshot_moves_between_threads_and_serves_one_call_at_a_time(
    engine: LmdbEngine,
) -> None:
    snapshot = engine.begin_read()
    with ThreadPoolExecutor(4) as pool:
        calls = [
            pool.submit(snapshot.read_related, INDEX, ROWS, [key(n % 200), key(n % 7)])
            for n in range(500)
        ]
        for number, call in enumerate(calls):
            found, rows = call.result()
            assert found == snapshot.many(INDEX, [key(number % 200), key(number % 7)])
            assert len(rows) == sum(map(len, found)) // 8


def test_closing_while_another_thread_reads_waits_for_the_call(engine: LmdbEngine) -> None:
    for _ in range(30):
        snapshot = engine.begin_read()
        started = threading.Event()
        with ThreadPoolExecutor(1) as pool:
            reading = pool.submit(_count_until_closed, snapshot, started)
            started.wait()
            snapshot.close()
            assert reading.result() in {-1, 2_000}


def test_statistics_tell_the_age_of_the_oldest_snapshot(engine: LmdbEngine, clock: Clock) -> None:
    assert engine.statistics().details["oldest_snapshot_ms"] == 0
    snapshot = engine.begin_read()
    clock.now_s += 2.5
    engine.begin_read().close()
    assert engine.statistics().details["oldest_snapshot_ms"] == 2_500
    assert "commit=1" in repr(snapshot)
    snapshot.close()
    assert "closed" in repr(snapshot)


def _count_until_closed(snapshot: ReadTransaction, started: threading.Event) -> int:
    """How many items a scan brings; -1 when it was closed before it ended."""
    scan = snapshot.scan(ROWS, batch=50)
    started.set()
    try:
        return sum(map(len, scan))
    except ClosedError:
        return -1
