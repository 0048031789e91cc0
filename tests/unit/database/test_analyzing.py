"""Holds when a database is analyzed, and that nobody waits for it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

import ormdb
from ormdb import Entity, Field, field, limits
from ormdb.database import analyzing
from ormdb.database.database import Database, StatisticsMode
from ormdb.errors import CorruptionError, QueryError, ReadOnlyError
from ormdb.storage.analyze import Analysis, analyze_entity
from ormdb.storage.layout import EntityLayout
from ormdb.storage.memory import MemoryEngine
from ormdb.storage.statistics import Record
from ormdb.testing.counting import CountingEngine
from tests.oracle.clocks import StillClock

MANY = limits.STATISTICS_CHANGED_ROWS


class Thing(Entity):
    """Nothing much."""

    id: Field[int] = field(identity=True)
    size: Field[int]


class Other(Entity):
    """Nothing either."""

    id: Field[int] = field(identity=True)


def open_file(path: Path, statistics: StatisticsMode | None = None) -> Database:
    return ormdb.open(
        path / "a.ormdb", schema=[Thing, Other], durability="none", statistics=statistics
    )


def add(database: Database, count: int, first: int = 0) -> None:
    rows = [{"id": first + n, "size": n % 7} for n in range(count)]
    database.insert_rows(Thing, rows)


def workers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "ormdb-statistics"]


def held_until(go: threading.Event) -> Callable[[Analysis, EntityLayout], list[Record] | None]:
    """An analysis that begins when it is told to, or ends when it is stopped."""

    def analyze(analysis: Analysis, entity: EntityLayout) -> list[Record] | None:
        while not go.is_set() and analysis.go_on():
            pass
        return analyze_entity(analysis, entity)

    return analyze


def test_what_an_analysis_found_is_there_for_whoever_opens_the_file(tmp_path: Path) -> None:
    with open_file(tmp_path, "manual") as database:
        add(database, 10)
        found = database.analyze()
        assert (found.version, found.unreadable) == (1, 0)
        assert {n: (a.rows, a.looked_at) for n, a in found.entities.items()} == {
            "Thing": (10, 10),
            "Other": (0, 0),
        }
        assert database.statistics().analysis == found
        assert database.check(deep=True).is_clean
    with ormdb.open(tmp_path / "a.ormdb", read_only=True) as database:
        assert database.statistics().analysis.entities == found.entities
        assert database.statistics_version == 1


def test_one_open_database_sees_what_another_one_found(tmp_path: Path) -> None:
    with open_file(tmp_path, "manual") as one, open_file(tmp_path, "manual") as other:
        assert one.statistics().analysis.version == 0
        other.analyze(Thing)
        assert one.statistics().analysis.version == one.statistics_version == 1
        assert set(one.statistics().analysis.entities) == {"Thing"}


def test_rows_that_were_changed_since_are_counted() -> None:
    with ormdb.open(":memory:", schema=[Thing, Other]) as database:
        database.analyze()
        add(database, 3)
        database.update(Thing.key(1), Thing.size.to(9))
        assert database.statistics().analysis.entities["Thing"].changed == 4
        assert database.analyze("Thing").entities["Thing"].changed == 0


def test_enough_changes_are_analyzed_in_the_background(tmp_path: Path) -> None:
    with open_file(tmp_path) as database:
        assert database.statistics().analysis.is_automatic
        add(database, MANY)
        database.analyst.settle()
        found = database.statistics().analysis
        assert {n: a.rows for n, a in found.entities.items()} == {"Thing": MANY}
        add(database, MANY - 1, first=MANY)
        database.analyst.settle()
        assert database.statistics().analysis.version == found.version
        add(database, 1, first=3 * MANY)
        database.analyst.settle()
        assert database.statistics().analysis.entities["Thing"].rows == 2 * MANY
    assert not workers()


def test_a_program_that_writes_little_has_no_thread(tmp_path: Path) -> None:
    before = len(workers())
    with open_file(tmp_path) as database:
        add(database, MANY - 1)
        assert len(workers()) == before
        assert database.statistics().analysis.version == 0


@pytest.mark.parametrize("statistics", ["manual", None])
def test_nothing_is_analyzed_by_itself_unless_asked(statistics: StatisticsMode | None) -> None:
    with ormdb.open(":memory:", schema=[Thing], statistics=statistics) as database:
        add(database, 2 * MANY)
        database.analyst.settle()
        assert database.statistics().analysis.version == 0


def test_closing_stops_an_analysis(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(analyzing, "analyze_entity", held_until(threading.Event()))
    with open_file(tmp_path) as database:
        add(database, MANY)
    assert not workers()
    with open_file(tmp_path, "manual") as database:
        assert database.statistics().analysis.version == 0


def test_a_compaction_stops_an_analysis_and_lets_it_begin_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go = threading.Event()
    monkeypatch.setattr(analyzing, "analyze_entity", held_until(go))
    with open_file(tmp_path) as database:
        add(database, MANY)
        database.compact()
        go.set()
        database.analyst.settle()
        assert database.statistics().analysis.entities["Thing"].rows == MANY


def test_an_analysis_waits_for_no_writer_and_is_kept_after_its_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go = threading.Event()
    monkeypatch.setattr(analyzing, "analyze_entity", held_until(go))
    with open_file(tmp_path) as database:
        add(database, MANY)
        with database.transaction(exclusive=True) as txn:
            txn.insert_rows(Other, [{"id": 1}])
            go.set()
            database.analyst.settle()
            assert database.statistics_version == 0
        database.analyst.settle()
        assert database.statistics().analysis.entities["Thing"].rows == MANY


def test_an_analysis_that_no_commit_follows_is_kept_by_closing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go = threading.Event()
    monkeypatch.setattr(analyzing, "analyze_entity", held_until(go))
    with open_file(tmp_path) as database:
        add(database, MANY)
        txn = database.transaction(exclusive=True)
        txn.insert_rows(Other, [{"id": 1}])
        go.set()
        database.analyst.settle()
        txn.rollback()
    with open_file(tmp_path, "manual") as database:
        assert database.statistics().analysis.entities["Thing"].rows == MANY


def test_a_damaged_row_is_logged_and_leaves_the_statistics_as_they_were(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(analysis: Analysis, entity: EntityLayout) -> list[Record] | None:
        raise CorruptionError(f"a row of {entity.name} is damaged")

    monkeypatch.setattr(analyzing, "analyze_entity", fail)
    with open_file(tmp_path) as database:
        add(database, MANY)
        database.analyst.settle()
        assert database.statistics().analysis.version == 0
    assert [record.name for record in caplog.records] == ["ormdb.statistics"]
    assert "a row of Thing is damaged" in caplog.text


def test_no_query_reads_a_row_for_statistics() -> None:
    engine = CountingEngine(MemoryEngine())
    with open_counting(engine) as database:
        add(database, 100)
        database.analyze()
        query = Thing.where(Thing.size == 3)
        engine.reset()
        database.fetch(query)
        first = engine.counts.keys
        engine.reset()
        database.explain(query)
        assert engine.counts.keys <= 2  # the head, and whether another process has analyzed
        assert first >= 100


def open_counting(engine: CountingEngine) -> Database:
    from datetime import timedelta

    from ormdb.database.opening import declared_bundle, prepare_schema

    clock = StillClock()
    prepare_schema(engine, declared_bundle([Thing, Other]), clock)
    return Database(
        engine,
        clock=clock,
        context=ormdb.Context.system(),
        retention=timedelta(days=1),
        cache_bytes=0,
        classes=[Thing, Other],
    )


def test_what_cannot_be_analyzed_is_refused(tmp_path: Path) -> None:
    with open_file(tmp_path, "manual") as database, pytest.raises(QueryError, match="'Thin'"):
        database.analyze("Thin")
    with ormdb.open(tmp_path / "a.ormdb", read_only=True) as database:
        with pytest.raises(ReadOnlyError, match="open it for writing to analyze it"):
            database.analyze()
        assert database.statistics().analysis.version == 0
