"""Writers wait for each other a bounded time, in one process and between several."""

from __future__ import annotations

import errno
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest

from ormdb.errors import BusyError, ClosedError, StorageFullError, ThreadError, UsageError
from ormdb.storage.engine import Item, Space
from ormdb.storage.lmdb import LmdbEngine
from tests.unit.storage.children import INDEX, ROWS, child, key

WRITER = """
engine = LmdbEngine.open(path)
while (command := hear()) != "end":
    if command == "begin":
        txn = engine.begin_write()
    elif command == "commit":
        txn.commit()
    else:
        txn.put_many(Space(command), [(b"k", b"v")])
    say(command)
engine.close()
"""


def open_engine(path: Path, **options: float) -> LmdbEngine:
    return LmdbEngine.open(path, durability="none", writer_wait_s=options.get("wait_s", 0.05))


def put(engine: LmdbEngine, space: Space, *items: Item) -> None:
    txn = engine.begin_write()
    txn.put_many(space, items)
    txn.commit()


def test_a_writer_of_another_process_is_waited_for_and_given_up(tmp_path: Path) -> None:
    path = tmp_path / "data.ormdb"
    with child(WRITER, path) as other:
        other.ask("begin", "begin")
        engine = open_engine(path)
        with pytest.raises(BusyError, match="another process"):
            engine.begin_write()
        other.ask("rows/1", "rows/1")
        other.ask("commit", "commit")
        put(engine, ROWS, (b"l", b"w"))
        read = engine.begin_read()
        assert [item for items in read.scan(ROWS) for item in items] == [(b"k", b"v"), (b"l", b"w")]
        other.say("end")
        other.finish()
        engine.close()


def test_a_writer_gets_its_turn_when_the_other_process_commits(tmp_path: Path) -> None:
    path = tmp_path / "data.ormdb"
    with child(WRITER, path) as other, ThreadPoolExecutor(1) as pool:
        engine = open_engine(path, wait_s=60)
        other.ask("begin", "begin")
        waiting = pool.submit(put, engine, ROWS, (b"l", b"w"))
        assert not waiting.done()
        other.ask("commit", "commit")
        waiting.result()
        engine.close()


def test_a_killed_writer_leaves_nothing_locked_and_nothing_half_done(tmp_path: Path) -> None:
    path = tmp_path / "data.ormdb"
    engine = open_engine(path)
    put(engine, ROWS, (b"a", b"1"))
    for _ in range(3):
        with child(WRITER, path) as other:
            other.ask("begin", "begin")
            other.ask("rows/1", "rows/1")
            other.ask("rows/2", "rows/2")
            other.kill()
        put(engine, ROWS, (b"b", b"2"))
        read = engine.begin_read()
        assert read.space_names() == ["rows/1"]
        assert read.get_many(ROWS, [b"a", b"b", b"k"]) == [b"1", b"2", None]
        read.close()
    engine.close()


def test_spaces_of_an_aborted_transaction_can_be_made_again_in_any_kind(tmp_path: Path) -> None:
    engine = open_engine(tmp_path / "data.ormdb")
    for number in range(20):
        txn = engine.begin_write()
        txn.put_many(Space(f"a{number}"), [(b"k", b"v")])
        inner = txn.nested()
        inner.put_many(Space("b"), [(b"k", b"v")])
        inner.abort()
        txn.put_many(Space("c"), [(b"k", b"of c")])
        txn.abort()
    put(engine, Space("b", 8), (b"k", key(1)))
    put(engine, Space("c", 8), (b"k", key(2)))
    read = engine.begin_read()
    assert read.space_names() == ["b", "c"]
    assert read.many(Space("b", 8), [b"k"]) == [key(1)]
    assert read.many(Space("c", 8), [b"k"]) == [key(2)]
    engine.close()


def test_a_full_map_ends_the_whole_transaction_and_the_next_one_has_more(tmp_path: Path) -> None:
    engine = LmdbEngine.open(tmp_path / "data.ormdb", durability="none", map_bytes=2**20)
    put(engine, ROWS, (b"kept", b"v"))
    large = [(key(n), b"x" * 3_000) for n in range(600)]
    tries = 0
    while True:
        txn = engine.begin_write()
        inner = txn.nested()
        try:
            inner.put_many(Space("rows/2"), large)
        except StorageFullError:
            tries += 1
            for use in (inner.commit, txn.commit, inner.space_names):
                with pytest.raises(ClosedError, match="outgrown"):
                    use()
            inner.abort()
            txn.abort()
            assert engine.begin_read().get_many(ROWS, [b"kept"]) == [b"v"]
            continue
        inner.commit()
        txn.commit()
        break
    assert 0 < tries <= 3
    assert engine.begin_read().statistics(Space("rows/2")).entries == 600
    assert engine.statistics().map_bytes >= 2**22
    engine.close()


def test_a_transaction_is_refused_to_other_threads_but_stays_usable(tmp_path: Path) -> None:
    engine = open_engine(tmp_path / "data.ormdb")
    txn = engine.begin_write()
    with ThreadPoolExecutor(1) as pool:
        for use in (txn.commit, txn.abort, txn.nested, txn.space_names, txn.close):
            with pytest.raises(ThreadError):
                pool.submit(use).result()
    txn.put_many(ROWS, [(b"k", b"v")])
    txn.commit()
    engine.close()


def test_closing_the_engine_lets_a_transaction_of_another_thread_end_itself(
    tmp_path: Path,
) -> None:
    path = tmp_path / "data.ormdb"
    engine = open_engine(path)
    begun, closed = Event(), Event()

    def write() -> None:
        txn = engine.begin_write()
        txn.put_many(ROWS, [(b"k", b"v")])
        begun.set()
        closed.wait()
        with pytest.raises(ClosedError, match="was closed"):
            txn.commit()

    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(write)
        begun.wait()
        engine.close()
        closed.set()
        writing.result()
    engine = open_engine(path)
    assert engine.begin_read().space_names() == []
    put(engine, ROWS, (b"k", b"v"))
    engine.close()


def test_a_put_whose_items_cannot_be_made_leaves_the_transaction_open(tmp_path: Path) -> None:
    engine = open_engine(tmp_path / "data.ormdb")
    txn = engine.begin_write()

    def items(*, fails: bool) -> list[Item]:
        if fails:
            raise UsageError("no items today")
        return [(b"k", b"v")]

    with pytest.raises(UsageError, match="today"):
        txn.put_many(ROWS, (item for fails in (False, True) for item in items(fails=fails)))
    txn.put_many(INDEX, [(b"k", key(1))])
    txn.commit()
    assert engine.begin_read().space_names() == ["index/1"]
    engine.close()


def test_a_transaction_ended_while_it_makes_its_items_says_so(tmp_path: Path) -> None:
    engine = open_engine(tmp_path / "data.ormdb")
    txn = engine.begin_write()

    def items() -> list[Item]:
        txn.abort()
        return [(b"k", b"v")]

    with pytest.raises(ClosedError):
        txn.put_many(ROWS, (item for make in (items,) for item in make()))
    put(engine, ROWS, (b"k", b"v"))
    engine.close()


def test_a_failed_commit_frees_the_lock_and_says_why(tmp_path: Path) -> None:
    """The file's descriptor is replaced by one that has no room for anything."""
    path = tmp_path / "data.ormdb"
    engine = open_engine(path)
    put(engine, ROWS, (b"a", b"1"))
    txn = engine.begin_write()
    txn.put_many(ROWS, [(key(n), b"x" * 100) for n in range(1_000)])
    kept = {number: os.dup(number) for number in _descriptors_of(path)}
    full = os.open("/dev/full", os.O_RDWR)
    for number in kept:
        os.dup2(full, number)
    with pytest.raises(StorageFullError) as caught:
        txn.commit()
    for number, copy in kept.items():
        os.dup2(copy, number)
        os.close(copy)
    os.close(full)
    assert os.strerror(errno.ENOSPC) in str(caught.value)
    with pytest.raises(ClosedError, match="free space"):
        txn.commit()
    put(engine, ROWS, (b"b", b"2"))
    assert engine.begin_read().get_many(ROWS, [b"a", b"b", key(1)]) == [b"1", b"2", None]
    engine.close()


def _descriptors_of(path: Path) -> list[int]:
    entries = [entry for entry in Path("/proc/self/fd").iterdir() if entry.is_symlink()]
    return [int(entry.name) for entry in entries if entry.resolve() == path]
