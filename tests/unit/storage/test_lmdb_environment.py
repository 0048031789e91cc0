"""The map and the room for spaces grow, broken environments come back, other processes are met."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from ormdb import limits
from ormdb.clock import SystemClock
from ormdb.errors import (
    BusyError,
    LimitError,
    SnapshotExpiredError,
    StorageFullError,
    StorageIOError,
)
from ormdb.storage.engine import Item, Space
from ormdb.storage.lmdb import LmdbEngine, environment
from ormdb.storage.lmdb.snapshots import LmdbReadTransaction
from tests.unit.storage.children import ROWS, child, key

FOLLOWER = """
engine = LmdbEngine.open(path, durability="none", map_bytes=2**20, writer_wait_s=5)
txn = None
while (command := hear()) != "end":
    what, _, name = command.partition(" ")
    try:
        if what == "snapshot":
            txn = engine.begin_read()
            say(" ".join(txn.space_names()))
        elif what == "read":
            txn = txn or engine.begin_read()
            say(str(sum(len(items) for items in txn.scan(Space(name)))))
        elif what == "release":
            txn.close()
            txn = None
            say("released")
        elif what == "write":
            write = engine.begin_write()
            write.put_many(Space(name), [(b"k", b"v")])
            write.commit()
            say("written")
    except OrmdbError as error:
        txn = None
        say(type(error).__name__)
engine.close()
"""


@dataclass
class Clock(SystemClock):
    """A clock that is set by hand."""

    now_s: float = 1_000.0

    def monotonic_s(self) -> float:
        return self.now_s


def put(engine: LmdbEngine, space: Space, *items: Item) -> None:
    txn = engine.begin_write()
    txn.put_many(space, items)
    txn.commit()


def put_in_many(engine: LmdbEngine, numbers: Iterable[int]) -> None:
    """One commit that makes many spaces."""
    txn = engine.begin_write()
    for number in numbers:
        txn.put_many(Space(f"rows/{number:02}"), [(b"k", key(number))])
    txn.commit()


def grow(engine: LmdbEngine, pages: int) -> None:
    """Make the file larger by so many pages."""
    number = engine.statistics().used_bytes
    put(engine, Space("rows/large"), (key(number), b"x" * (4_096 * pages)))


# --- the map --------------------------------------------------------------------------------


def test_the_map_grows_ahead_of_need_when_nobody_reads(tmp_path: Path) -> None:
    engine = LmdbEngine.open(tmp_path / "data.ormdb", durability="none", map_bytes=2**20)
    for _ in range(60):
        grow(engine, 40)  # never more than a quarter of the map, so no put is refused
    statistics = engine.statistics()
    assert statistics.map_bytes >= 2**23
    assert statistics.details["map_growths"] >= 3
    engine.close()


def test_a_map_that_is_full_waits_for_snapshots_and_names_their_age(tmp_path: Path) -> None:
    clock = Clock()
    engine = LmdbEngine.open(
        tmp_path / "data.ormdb",
        durability="none",
        map_bytes=2**20,
        quiesce_wait_s=0.05,
        clock=clock,
    )
    grow(engine, 50)
    snapshot = engine.begin_read()
    clock.now_s += 7.5
    with pytest.raises(StorageFullError):
        grow(engine, 500)
    with pytest.raises(BusyError, match=r"has to grow.*7\.5 s"):
        grow(engine, 500)
    assert snapshot.statistics(Space("rows/large")).entries == 1
    snapshot.close()
    for _ in range(3):
        try:
            grow(engine, 500)
        except StorageFullError:
            continue
        break
    assert engine.begin_read().statistics(Space("rows/large")).entries == 2
    engine.close()


def test_readers_that_begin_while_the_map_is_to_grow_wait_and_go_on(tmp_path: Path) -> None:
    engine = LmdbEngine.open(tmp_path / "data.ormdb", durability="none", map_bytes=2**20)
    grow(engine, 1)
    stop = threading.Event()

    def read() -> int:
        count = 0
        while not stop.is_set():
            txn = engine.begin_read()
            before = [item for items in txn.scan(Space("rows/large")) for item in items]
            assert before == [item for items in txn.scan(Space("rows/large")) for item in items]
            txn.close()
            count += 1
        return count

    with ThreadPoolExecutor(2) as pool:
        readers = [pool.submit(read) for _ in range(2)]
        written = 1
        try:
            while written < 12:
                try:
                    grow(engine, 150)
                    written += 1
                except StorageFullError:
                    continue
        finally:
            stop.set()
        assert all(reader.result() for reader in readers)
    assert engine.statistics().map_bytes > 2**22
    engine.close()


def test_a_process_follows_a_map_that_another_one_has_enlarged(tmp_path: Path) -> None:
    path = tmp_path / "data.ormdb"
    engine = LmdbEngine.open(path, durability="none", map_bytes=2**20)
    put(engine, ROWS, (b"a", b"1"))
    with child(FOLLOWER, path) as follower:
        follower.ask("read rows/1", "1")
        for count in range(1, 30):  # 12 MB: twelve times its map
            while True:
                try:
                    grow(engine, 100)
                    break
                except StorageFullError:
                    continue
            follower.ask("read rows/1", "1")  # in its old snapshot
            follower.ask("release", "released")
            follower.ask("read rows/large", str(count))
            if count % 7 == 0:
                follower.ask("write rows/2", "written")
        put(engine, ROWS, (b"b", b"2"))
        follower.ask("release", "released")
        follower.ask("read rows/1", "2")
        follower.say("end")
        follower.finish()
    engine.close()


# --- spaces ---------------------------------------------------------------------------------


def test_spaces_that_another_process_makes_are_seen_by_the_next_snapshot(tmp_path: Path) -> None:
    path = tmp_path / "data.ormdb"
    engine = LmdbEngine.open(path, durability="none")
    put(engine, Space("b"), (b"k", b"v"))
    with child(FOLLOWER, path) as follower:
        follower.ask("snapshot", "b")
        for name in ("a", "c", "ä"):
            put(engine, Space(name), (b"k", b"v"), (b"l", b"w"))
        follower.ask("read a", "0")
        follower.ask("snapshot", "a b c ä")
        follower.ask("read ä", "2")
        follower.ask("read b", "1")
        follower.ask("write d", "written")
        old = engine.begin_read()
        put(engine, Space("e"), (b"k", b"v"))
        assert old.get_many(Space("d"), [b"k"]) == [b"v"]
        assert old.get_many(Space("e"), [b"k"]) == [None]
        new = engine.begin_read()
        assert new.get_many(Space("e"), [b"k"]) == [b"v"]
        follower.ask("read d", "0")
        follower.ask("snapshot", "a b c d e ä")
        follower.ask("read e", "1")
    engine.close()


def test_a_snapshot_reads_spaces_it_had_no_handles_for_once_the_writer_is_done(
    tmp_path: Path,
) -> None:
    path = tmp_path / "data.ormdb"
    engine = LmdbEngine.open(path, durability="none")
    with child(FOLLOWER, path) as follower:
        follower.ask("snapshot", "")
        put(engine, Space("new"), (b"k", b"v"))
        txn = engine.begin_write()
        follower.ask("snapshot", "new")  # gives up waiting for handles, and goes on
        follower.ask("read other", "0")  # a space that does not exist needs none
        follower.say("read new")
        txn.abort()
        follower.expect("1")
    engine.close()


def test_a_snapshot_without_handles_expires_when_the_writer_commits_instead(
    tmp_path: Path,
) -> None:
    path = tmp_path / "data.ormdb"
    engine = LmdbEngine.open(path, durability="none")
    with child(FOLLOWER, path) as follower:
        follower.ask("snapshot", "")
        put(engine, Space("new"), (b"k", b"v"))
        txn = engine.begin_write()
        txn.put_many(Space("new"), [(b"l", b"w")])
        follower.ask("snapshot", "new")
        txn.commit()
        follower.ask("read new", "SnapshotExpiredError")
        follower.ask("snapshot", "new")
        follower.ask("read new", "2")
    engine.close()


@pytest.mark.parametrize("read_only", [False, True])
def test_room_for_spaces_doubles_when_it_runs_short(tmp_path: Path, *, read_only: bool) -> None:
    path = tmp_path / "data.ormdb"
    engine = LmdbEngine.open(path, durability="none", spaces_room=4)
    for number in range(20):
        put(engine, Space(f"rows/{number:02}"), (b"k", key(number)))
    assert engine.statistics().details["reopens"] >= 2
    with pytest.raises(StorageFullError, match="more room"):
        put_in_many(engine, range(20, 60))
    for _ in range(4):
        try:
            put_in_many(engine, range(20, 60))
            break
        except StorageFullError:
            continue
    assert len(engine.begin_read().space_names()) == 60
    engine.close()
    engine = LmdbEngine.open(path, durability="none", spaces_room=4, read_only=read_only)
    read = engine.begin_read()
    assert [read.get_many(Space(f"rows/{n:02}"), [b"k"]) for n in range(60)] == [
        [key(n)] for n in range(60)
    ]
    engine.close()


def test_spaces_beyond_the_limit_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "SPACES_MAX", 6)
    engine = LmdbEngine.open(tmp_path / "data.ormdb", durability="none", spaces_room=6)
    with pytest.raises(StorageFullError):
        put_in_many(engine, range(9))
    with pytest.raises(LimitError, match="has 6 spaces"):
        put_in_many(engine, range(9))
    engine.close()


# --- broken environments --------------------------------------------------------------------


def test_an_environment_that_lmdb_gave_up_is_reopened_and_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "data.ormdb"
    engine = LmdbEngine.open(path)
    put(engine, ROWS, (b"a", b"1"))
    idle = engine.begin_read()
    txn = engine.begin_write()
    txn.put_many(ROWS, [(b"b", b"2")])
    meta = _meta_descriptor(path)
    kept = os.dup(meta)
    full = os.open("/dev/full", os.O_RDWR)
    os.dup2(full, meta)
    with pytest.raises(StorageFullError):
        txn.commit()
    os.dup2(kept, meta)
    os.close(kept)
    os.close(full)
    put(engine, ROWS, (b"c", b"3"))
    assert engine.statistics().details["reopens"] == 1
    with pytest.raises(StorageIOError, match="reopened"):
        idle.get_many(ROWS, [b"a"])
    idle.close()
    read = engine.begin_read()
    assert read.get_many(ROWS, [b"a", b"b", b"c"]) == [b"1", None, b"3"]
    engine.close()


def test_a_reader_too_brings_a_given_up_environment_back(tmp_path: Path) -> None:
    path = tmp_path / "data.ormdb"
    engine = LmdbEngine.open(path)
    put(engine, ROWS, (b"a", b"1"))
    txn = engine.begin_write()
    txn.put_many(ROWS, [(b"b", b"2")])
    meta = _meta_descriptor(path)
    readable = os.open(path, os.O_RDONLY)
    os.dup2(readable, meta)
    os.close(readable)
    with pytest.raises(StorageIOError):
        txn.commit()
    read = engine.begin_read()
    assert read.get_many(ROWS, [b"a"]) == [b"1"]
    engine.close()


@pytest.mark.parametrize("who", ["reader", "writer", "statistics", "flush"])
def test_an_environment_that_cannot_be_reopened_at_once_is_by_whoever_comes_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, who: str
) -> None:
    engine = LmdbEngine.open(tmp_path / "data.ormdb", spaces_room=2)
    put(engine, ROWS, (b"a", b"1"))
    put(engine, Space("rows/2"), (b"a", b"1"))

    def fail(*_: object, **__: object) -> None:
        raise StorageIOError("the disk is away; try again")

    with monkeypatch.context() as patched:
        patched.setattr(environment, "open_lmdb", fail)
        for _ in range(2):
            with pytest.raises(StorageIOError, match="away"):
                put(engine, ROWS, (b"b", b"1"))
        with pytest.raises(StorageIOError, match="away"):
            engine.begin_read()
    if who == "writer":
        put(engine, ROWS, (b"b", b"2"))
    elif who == "statistics":
        assert engine.statistics().readers == 0
    elif who == "flush":
        engine.sync()
    read = engine.begin_read()
    assert read.get_many(ROWS, [b"a"]) == [b"1"]
    read.close()
    put(engine, ROWS, (b"c", b"3"))
    assert engine.statistics().details["reopens"] > 0
    engine.close()


def _meta_descriptor(path: Path) -> int:
    """The descriptor that LMDB writes meta pages through, which alone syncs by itself."""
    for entry in Path("/proc/self/fd").iterdir():
        if entry.is_symlink() and entry.resolve() == path:
            flags = Path(f"/proc/self/fdinfo/{entry.name}").read_text().split("flags:")[1]
            if int(flags.split()[0], 8) & os.O_DSYNC:
                return int(entry.name)
    raise AssertionError("no descriptor with O_DSYNC")


# --- readers of other processes -------------------------------------------------------------


def test_slots_of_killed_readers_are_freed_when_they_are_needed(tmp_path: Path) -> None:
    path = tmp_path / "data.ormdb"
    clock = Clock()
    engine = LmdbEngine.open(path, durability="none", clock=clock)
    put(engine, ROWS, (b"a", b"1"))
    hold = f"""
engine = LmdbEngine.open(path, durability="none")
held = []
try:
    while len(held) < {limits.READERS_MAX}:
        held.append(engine.begin_read())
except OrmdbError as error:
    say(type(error).__name__)
say(str(len(held) > {limits.READERS_MAX} - 10))
hear()
"""
    with child(hold, path) as reader:
        mine: list[LmdbReadTransaction] = []
        assert reader.hear() in {"BusyError", "True"}
        with pytest.raises(BusyError, match="open snapshots in all processes"):
            mine.extend(engine.begin_read() for _ in range(10))
        reader.kill()
        mine.extend(engine.begin_read() for _ in range(100))
    engine.close()


def test_pages_that_a_killed_reader_pinned_are_used_again(tmp_path: Path) -> None:
    path = tmp_path / "data.ormdb"
    clock = Clock()
    engine = LmdbEngine.open(path, durability="none", clock=clock)
    put(engine, ROWS, (b"a", b"x" * 100_000))
    with child("txn = LmdbEngine.open(path).begin_read(); say('reading'); hear()", path) as reader:
        reader.expect("reading")
        reader.kill()
    for _ in range(50):
        put(engine, ROWS, (b"a", b"x" * 100_000))
    pinned = engine.statistics().used_bytes
    assert pinned > 40 * 100_000
    clock.now_s += limits.READER_CHECK_EVERY_S + 1
    engine.begin_read().close()
    for _ in range(50):
        put(engine, ROWS, (b"a", b"x" * 100_000))
    assert engine.statistics().used_bytes == pinned
    engine.close()


def test_a_snapshot_expires_for_its_reader_alone(tmp_path: Path) -> None:
    clock = Clock()
    engine = LmdbEngine.open(
        tmp_path / "data.ormdb", durability="none", clock=clock, snapshot_age_s=10
    )
    old = engine.begin_read()
    clock.now_s += 6
    young = engine.begin_read()
    clock.now_s += 6
    put(engine, ROWS, (b"a", b"1"))
    with pytest.raises(SnapshotExpiredError, match="longer than allowed"):
        old.get_many(ROWS, [b"a"])
    assert young.get_many(ROWS, [b"a"]) == [None]
    engine.close()
