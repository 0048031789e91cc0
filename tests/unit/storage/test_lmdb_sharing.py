"""One environment per process and file, and none in a process that was forked."""

from __future__ import annotations

from pathlib import Path

import pytest

from ormdb.errors import ClosedError, ReadOnlyError, UsageError
from ormdb.storage.lmdb import LmdbEngine
from ormdb.storage.lmdb.sharing import is_open_here
from tests.unit.storage.children import ROWS, run

FORKS = """
import gc
engine = LmdbEngine.open(path)
txn = engine.begin_write()
txn.put_many(ROWS, [(b"k", b"v")])
txn.commit()
engine.begin_read().close()
snapshot = engine.begin_read()
scan = snapshot.scan(ROWS, batch=1)
open_write = engine.begin_write()
open_write.put_many(ROWS, [(b"l", b"w")])

def refused(use):
    try:
        use()
    except OrmdbError as error:
        return type(error).__name__
    return "nothing"

child = os.fork()
if not child:
    uses = [
        engine.begin_read, engine.begin_write, engine.sync, engine.statistics,
        lambda: engine.copy_to(path + ".copy", compact=True),
        lambda: snapshot.get_many(ROWS, [b"k"]), lambda: next(scan), snapshot.space_names,
        lambda: open_write.put_many(ROWS, []), open_write.commit, open_write.nested,
        lambda: LmdbEngine.open(path), lambda: LmdbEngine.open(path, read_only=True),
    ]
    answers = {refused(use) for use in uses}
    say("child " + " ".join(sorted(answers)))
    snapshot.close()
    open_write.abort()
    engine.close()
    other = LmdbEngine.open(path + ".other")
    other.begin_write().commit()
    other.close()
    del snapshot, scan, open_write, engine, uses
    gc.collect()
    sys.exit()
os.waitpid(child, 0)
say("parent " + str(snapshot.get_many(ROWS, [b"k", b"l"])))
open_write.commit()
for _ in range(10):
    engine.begin_read().close()
say("parent " + str(engine.begin_read().get_many(ROWS, [b"k", b"l"])))
second = os.fork()
if not second:
    os._exit(0)
os.waitpid(second, 0)
engine.begin_write().commit()
engine.close()
LmdbEngine.open(path).close()
say("parent done")
"""


def test_a_forked_process_is_refused_and_its_parent_unharmed(tmp_path: Path) -> None:
    assert run(FORKS, tmp_path / "data.ormdb") == [
        "child ForkError",
        "parent [b'v', None]",
        "parent [b'v', b'w']",
        "parent done",
    ]
    assert not (tmp_path / "data.ormdb.copy").exists()


def test_a_fork_amid_calls_of_other_threads_is_refused_without_waiting(tmp_path: Path) -> None:
    script = """
import threading
engine = LmdbEngine.open(path, durability="none")
txn = engine.begin_write()
txn.put_many(ROWS, [(key(n), b"v") for n in range(2_000)])
txn.commit()
stop = threading.Event()
shared = engine.begin_read()

def read():
    while not stop.is_set():
        own = engine.begin_read()
        list(own.scan(ROWS))
        list(shared.scan(ROWS))
        own.close()

def write():
    while not stop.is_set():
        txn = engine.begin_write()
        txn.put_many(ROWS, [(key(1), b"w")])
        txn.commit()

threads = [threading.Thread(target=read), threading.Thread(target=read),
           threading.Thread(target=write)]
for thread in threads:
    thread.start()
refusals = 0
for _ in range(20):
    child = os.fork()
    if not child:
        count = 0
        for use in (engine.begin_read, engine.begin_write, shared.space_names):
            try:
                use()
            except OrmdbError as error:
                count += type(error).__name__ == "ForkError"
        os._exit(count)
    refusals += os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
stop.set()
for thread in threads:
    thread.join()
engine.close()
say(str(refusals))
"""
    assert run(script, tmp_path / "data.ormdb") == ["60"]


def test_every_path_to_a_file_leads_to_one_environment(tmp_path: Path) -> None:
    path = tmp_path / "data.ormdb"
    first = LmdbEngine.open(path)
    (tmp_path / "soft.ormdb").symlink_to(path)
    (tmp_path / "hard.ormdb").hardlink_to(path)
    others = [
        LmdbEngine.open(tmp_path / name)
        for name in (
            "data.ormdb",
            "soft.ormdb",
            "hard.ormdb",
            "../" + tmp_path.name + "/data.ormdb",
        )
    ]
    txn = first.begin_write()
    txn.put_many(ROWS, [(b"k", b"v")])
    txn.commit()
    for other in others:
        assert other.begin_read().get_many(ROWS, [b"k"]) == [b"v"]
        assert other.statistics().details["commits"] == 1
        other.close()
    assert first.begin_read().get_many(ROWS, [b"k"]) == [b"v"]
    assert is_open_here(str(path))
    first.close()
    assert not is_open_here(str(path))
    assert not Path(f"{tmp_path}/soft.ormdb-lock").exists()


def test_closing_one_engine_ends_its_own_snapshots_only(tmp_path: Path) -> None:
    path = tmp_path / "data.ormdb"
    one, two = LmdbEngine.open(path), LmdbEngine.open(path)
    mine, yours = one.begin_read(), two.begin_read()
    one.close()
    with pytest.raises(ClosedError, match="was closed"):
        mine.get_many(ROWS, [b"k"])
    assert yours.get_many(ROWS, [b"k"]) == [None]
    with pytest.raises(ClosedError):
        one.begin_read()
    two.begin_write().commit()
    two.close()


def test_a_second_engine_may_ask_for_less_but_not_for_something_else(tmp_path: Path) -> None:
    path = tmp_path / "data.ormdb"
    first = LmdbEngine.open(path, durability="relaxed")
    with pytest.raises(UsageError, match="durability 'relaxed'"):
        LmdbEngine.open(path, durability="full")
    reader = LmdbEngine.open(path, read_only=True, durability="full")
    assert reader.read_only
    assert not first.read_only
    with pytest.raises(ReadOnlyError, match="for reading only"):
        reader.begin_write()
    reader.close()
    first.close()
    reader = LmdbEngine.open(path, read_only=True)
    with pytest.raises(UsageError, match="close that before"):
        LmdbEngine.open(path)
    reader.close()
    LmdbEngine.open(path).close()


def test_a_file_put_in_the_place_of_an_open_one_is_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "data.ormdb"
    old = LmdbEngine.open(path)
    path.rename(tmp_path / "moved.ormdb")
    with pytest.raises(UsageError, match="close"):
        LmdbEngine.open(path)
    assert not path.exists()
    old.begin_write().commit()
    old.close()


def test_an_open_that_fails_leaves_no_file_and_nothing_open(tmp_path: Path) -> None:
    path = tmp_path / "data.ormdb"
    with pytest.raises(UsageError, match="durability"):
        LmdbEngine.open(path, durability="maybe")  # type: ignore[arg-type]
    (tmp_path / "data.ormdb-lock").mkdir()
    with pytest.raises(Exception, match=r"data\.ormdb"):
        LmdbEngine.open(path)
    assert not path.exists()
    (tmp_path / "data.ormdb-lock").rmdir()
    LmdbEngine.open(path).close()
