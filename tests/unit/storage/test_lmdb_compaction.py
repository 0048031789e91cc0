"""A compacted file holds what it held; only its only user compacts it, and no crash harms it."""

from __future__ import annotations

import errno
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ormdb.errors import BusyError, ReadOnlyError, StorageFullError, StorageIOError
from ormdb.storage.engine import Item, Space
from ormdb.storage.lmdb import LmdbEngine, compaction, verify_file
from ormdb.storage.lmdb import engine as engine_module
from ormdb.storage.lmdb.replacing import rename_over
from tests.unit.storage.children import INDEX, ROWS, child, key, run

COUNT = 2_000
LEFT = 50


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data.ormdb"


@pytest.fixture
def engine(path: Path) -> Iterator[LmdbEngine]:
    """An engine whose file is mostly free pages."""
    engine = LmdbEngine.open(path, durability="none", quiesce_wait_s=0.05, writer_wait_s=0.05)
    put(engine, range(COUNT))
    txn = engine.begin_write()
    txn.delete_many(ROWS, [key(number) for number in range(LEFT, COUNT)])
    txn.commit()
    yield engine
    engine.close()


def put(engine: LmdbEngine, numbers: range) -> None:
    txn = engine.begin_write()
    txn.put_many(ROWS, [(key(number), key(number) * 40) for number in numbers])
    txn.put_many(INDEX, [(b"many", key(number)) for number in numbers])
    txn.commit()


def items(engine: LmdbEngine, space: Space) -> list[Item]:
    txn = engine.begin_read()
    try:
        return [item for batch in txn.scan(space) for item in batch]
    finally:
        txn.close()


def test_a_compacted_file_is_small_and_holds_what_it_held(engine: LmdbEngine, path: Path) -> None:
    rows, entries, before = items(engine, ROWS), items(engine, INDEX), path.stat().st_size
    engine.compact()
    assert items(engine, ROWS) == rows
    assert items(engine, INDEX) == entries
    assert len(entries) == COUNT
    assert path.stat().st_size < before / 4
    assert path.stat().st_mode & 0o777 == 0o600
    assert verify_file(str(path)) == []


def test_an_engine_goes_on_with_the_file_it_compacted(engine: LmdbEngine, path: Path) -> None:
    for round_ in range(1, 4):
        engine.compact()
        put(engine, range(round_ * COUNT, round_ * COUNT + 3))
        assert len(items(engine, ROWS)) == LEFT + 3 * round_
    engine.close()
    script = "print(LmdbEngine.open(path).begin_read().statistics(ROWS).entries)"
    assert run(script, path) == [str(LEFT + 9)]


def test_an_open_snapshot_keeps_the_file_from_being_compacted(
    engine: LmdbEngine, path: Path
) -> None:
    snapshot, inode = engine.begin_read(), path.stat().st_ino
    with pytest.raises(BusyError, match="snapshots"):
        engine.compact()
    assert path.stat().st_ino == inode
    assert snapshot.get_many(ROWS, [key(1)]) == [key(1) * 40]
    assert not Path(f"{path}-compact").exists()
    snapshot.close()
    engine.compact()
    assert path.stat().st_ino != inode


def test_a_write_transaction_of_another_thread_keeps_it_from_being_compacted(
    engine: LmdbEngine,
) -> None:
    has_begun, may_end = threading.Event(), threading.Event()

    def write() -> None:
        txn = engine.begin_write()
        has_begun.set()
        may_end.wait()
        txn.abort()

    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(write)
        has_begun.wait()
        with pytest.raises(BusyError):
            engine.compact()
        may_end.set()
        writing.result()
    engine.compact()


def test_a_second_engine_keeps_it_from_being_compacted(engine: LmdbEngine, path: Path) -> None:
    with pytest.raises(BusyError, match="2 times"):
        second = LmdbEngine.open(path, durability="none")
        try:
            engine.compact()
        finally:
            second.close()
    engine.compact()


@pytest.mark.parametrize("read_only", [False, True])
def test_another_process_keeps_it_from_being_compacted(
    engine: LmdbEngine, path: Path, *, read_only: bool
) -> None:
    inode = path.stat().st_ino
    with child(f"e = LmdbEngine.open(path, read_only={read_only}); say('open'); hear()", path) as c:
        c.expect("open")
        with pytest.raises(BusyError, match="another process"):
            engine.compact()
    assert path.stat().st_ino == inode
    put(engine, range(COUNT, COUNT + 1))
    engine.compact()
    assert len(items(engine, ROWS)) == LEFT + 1


def test_a_read_only_engine_does_not_compact(engine: LmdbEngine, path: Path) -> None:
    engine.close()
    reader = LmdbEngine.open(path, read_only=True)
    with pytest.raises(ReadOnlyError):
        reader.compact()
    reader.close()


def test_a_full_disk_leaves_the_file_as_it_was(
    engine: LmdbEngine, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, compact: bool) -> None:
        raise StorageFullError("no room")

    with monkeypatch.context() as patched:
        patched.setattr(compaction, "copy_environment", fail)
        with pytest.raises(StorageFullError):
            engine.compact()
    put(engine, range(COUNT, COUNT + 1))
    assert len(items(engine, ROWS)) == LEFT + 1
    assert not Path(f"{path}-compact").exists()


def test_a_disk_that_fails_while_it_is_looked_at_leaves_the_file_as_it_was(
    engine: LmdbEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(path: str) -> None:
        raise OSError(errno.EIO, "Input/output error", path)

    with monkeypatch.context() as patched:
        patched.setattr(compaction, "check_pages", fail)
        with pytest.raises(StorageIOError):
            engine.compact()
    with monkeypatch.context() as patched:
        patched.setattr(engine_module, "verify_file", fail)
        with pytest.raises(StorageIOError):
            engine.verify_pages()
    engine.compact()
    assert engine.verify_pages() == []
    assert len(items(engine, ROWS)) == LEFT


def test_readers_and_writers_of_other_threads_wait_and_go_on(path: Path) -> None:
    engine = LmdbEngine.open(path, durability="none")
    put(engine, range(COUNT))
    stop = threading.Event()

    def read() -> int:
        rounds = 0
        while not stop.is_set():
            assert len(items(engine, ROWS)) >= COUNT
            rounds += 1
        return rounds

    def write() -> int:
        number = COUNT
        while not stop.is_set():
            put(engine, range(number, number + 1))
            number += 1
        return number

    with ThreadPoolExecutor(2) as pool:
        reading, writing = pool.submit(read), pool.submit(write)
        try:
            for _ in range(5):
                engine.compact()
        finally:
            stop.set()
        assert reading.result()
        written = writing.result()  # the last put may end after the last compaction
        assert len(items(engine, ROWS)) == written
    engine.close()


def test_whoever_opens_the_file_meanwhile_gets_the_new_one(
    path: Path, engine: LmdbEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = """
say('opening')
while True:
    try:
        engine = LmdbEngine.open(path)
        break
    except OrmdbError as error:
        assert error.code == 'storage.busy', error
say('open')
hear()
say(engine.begin_read().statistics(ROWS).entries)
"""
    with child(script, path) as other:

        def rename_later(source: Path, target: str) -> None:
            other.expect("opening")
            rename_over(source, target)

        monkeypatch.setattr(compaction, "rename_over", rename_later)
        engine.compact()
        other.expect("open")
        put(engine, range(COUNT, COUNT + 7))
        other.ask("go on", str(LEFT + 7))


CRASH = """
from ormdb.storage.lmdb import compaction
step = hear()

def dying(function, *, after):
    def act(*arguments, **named):
        if after:
            function(*arguments, **named)
        os._exit(9)
    return act

name, _, when = step.partition(" ")
setattr(compaction, name, dying(getattr(compaction, name), after=when == "after"))
engine = LmdbEngine.open(path)
say("ready")
engine.compact()
"""


@pytest.mark.parametrize("name", ["copy_environment", "alone_with", "check_pages", "rename_over"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_crash_at_any_step_leaves_a_whole_file(
    engine: LmdbEngine, path: Path, name: str, when: str
) -> None:
    rows = items(engine, ROWS)
    engine.close()
    with child(CRASH, path) as dying:
        dying.say(f"{name} {when}")
        dying.expect("ready")
        assert dying.process.wait() == 9
    again = LmdbEngine.open(path, durability="none")
    assert items(again, ROWS) == rows
    put(again, range(COUNT, COUNT + 1))
    again.compact()
    assert len(items(again, ROWS)) == LEFT + 1
    again.close()
    assert verify_file(str(path)) == []
    assert not Path(f"{path}-compact").exists()
