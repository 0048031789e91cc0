"""Copies made while everybody goes on are whole, and failed ones leave nothing."""

from __future__ import annotations

import errno
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ormdb.errors import StorageFullError, StorageIOError, UsageError
from ormdb.storage.engine import Item, ReadTransaction, Space
from ormdb.storage.lmdb import LmdbEngine, verify_file
from tests.unit.storage.children import INDEX, ROWS, child, key, run


def items_of(txn: ReadTransaction, space: Space) -> list[Item]:
    return [item for items in txn.scan(space) for item in items]


def write_pair(engine: LmdbEngine, number: int) -> None:
    """One commit that a torn copy would show half of."""
    txn = engine.begin_write()
    txn.put_many(ROWS, [(key(n), key(number) * 30) for n in range(60)])
    txn.put_many(INDEX, [(b"many", key(number)), (key(number), key(number))])
    txn.delete_many(INDEX, [key(number - 5)] if number >= 5 else [])
    txn.commit()


@pytest.mark.parametrize("compact", [False, True])
def test_a_copy_made_amid_commits_is_one_of_them(tmp_path: Path, *, compact: bool) -> None:
    engine = LmdbEngine.open(tmp_path / "data.ormdb", durability="none")
    write_pair(engine, 0)
    stop = threading.Event()

    def write() -> int:
        number = 0
        while not stop.is_set():
            number += 1
            write_pair(engine, number)
        return number

    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(write)
        try:
            for number in range(12):
                engine.copy_to(str(tmp_path / f"copy{number}"), compact=compact)
        finally:
            stop.set()
        written = writing.result()
    engine.close()
    commits: list[int] = []
    for number in range(12):
        path = tmp_path / f"copy{number}"
        assert verify_file(str(path)) == []
        assert path.stat().st_mode & 0o777 == 0o600
        copy = LmdbEngine.open(path)
        txn = copy.begin_read()
        values = {value for _, value in items_of(txn, ROWS)}
        assert len(values) == 1
        commits.append(int.from_bytes(values.pop()[:8], "big"))
        many = txn.many(INDEX, [b"many"])[0]
        assert many == b"".join(map(key, range(commits[-1] + 1)))
        assert txn.many(INDEX, [key(commits[-1])]) == [key(commits[-1])]
        write_pair(copy, commits[-1] + 1)
        copy.close()
        assert verify_file(str(path)) == []
    assert commits == sorted(commits)
    assert commits[-1] <= written


@pytest.mark.parametrize("commits", [0, 1, 2, 3])
def test_a_plain_copy_is_sound_whichever_meta_page_was_newest(tmp_path: Path, commits: int) -> None:
    engine = LmdbEngine.open(tmp_path / "data.ormdb", durability="none")
    for number in range(commits):
        write_pair(engine, number)
    engine.copy_to(str(tmp_path / "copy"), compact=False)
    engine.close()
    assert verify_file(str(tmp_path / "copy")) == []
    copy = LmdbEngine.open(tmp_path / "copy")
    assert copy.statistics().details["last_transaction"] == commits
    write_pair(copy, 9)
    copy.close()
    assert verify_file(str(tmp_path / "copy")) == []


@pytest.mark.parametrize("compact", [False, True])
def test_a_key_with_a_tree_of_duplicates_is_copied(tmp_path: Path, *, compact: bool) -> None:
    """In a child, because LMDB's own compacting copy ends the process here."""
    script = f"""
engine = LmdbEngine.open(path, durability="none")
txn = engine.begin_write()
txn.put_many(INDEX, [(key(n % 3), key(n)) for n in range(30_000)])
txn.commit()
engine.copy_to(path + ".copy", compact={compact})
engine.close()
engine = LmdbEngine.open(path + ".copy")
say(str([len(each) // 8 for each in engine.begin_read().many(INDEX, [key(n) for n in range(3)])]))
engine.close()
"""
    assert run(script, tmp_path / "data.ormdb") == ["[10000, 10000, 10000]"]


def test_a_compacted_copy_is_small_and_knows_no_dropped_space(tmp_path: Path) -> None:
    engine = LmdbEngine.open(tmp_path / "data.ormdb", durability="none", spaces_room=50)
    for number in range(40):
        txn = engine.begin_write()
        txn.put_many(Space(f"rows/{number}"), [(key(n), b"v" * 100) for n in range(500)])
        txn.commit()
    txn = engine.begin_write()
    for number in range(39):
        txn.drop_space(Space(f"rows/{number}"))
    txn.commit()
    engine.copy_to(str(tmp_path / "compact"), compact=True)
    engine.copy_to(str(tmp_path / "plain"), compact=False)
    engine.close()
    sizes = {name: (tmp_path / name).stat().st_size for name in ("compact", "plain")}
    assert sizes["compact"] < sizes["plain"] // 10
    for name, spaces in (("compact", 1), ("plain", 40)):
        copy = LmdbEngine.open(tmp_path / name)
        assert copy.statistics().details["spaces"] == spaces
        assert copy.begin_read().space_names() == ["rows/39"]
        copy.close()


def test_a_copy_has_spaces_that_another_process_has_just_made(tmp_path: Path) -> None:
    path = tmp_path / "data.ormdb"
    engine = LmdbEngine.open(path, durability="none")
    script = """
engine = LmdbEngine.open(path, durability="none")
txn = engine.begin_write()
txn.put_many(ROWS, [(b"k", b"v")])
txn.commit()
txn = engine.begin_write()
say("writing")
hear()
txn.abort()
engine.close()
"""
    with child(script, path) as other, ThreadPoolExecutor(1) as pool:
        other.expect("writing")  # and has the lock that new handles need
        copying = pool.submit(engine.copy_to, str(tmp_path / "copy"), compact=True)
        other.say("go on")
        other.finish()
        copying.result()
    engine.close()
    copy = LmdbEngine.open(tmp_path / "copy")
    assert copy.begin_read().get_many(ROWS, [b"k"]) == [b"v"]
    copy.close()


@pytest.mark.parametrize("compact", [False, True])
def test_a_thread_may_copy_while_it_writes_itself(tmp_path: Path, *, compact: bool) -> None:
    engine = LmdbEngine.open(tmp_path / "data.ormdb", durability="none")
    write_pair(engine, 1)
    txn = engine.begin_write()
    txn.put_many(ROWS, [(b"uncommitted", b"")])
    engine.copy_to(str(tmp_path / "copy"), compact=compact)
    txn.commit()
    engine.close()
    copy = LmdbEngine.open(tmp_path / "copy")
    assert len(items_of(copy.begin_read(), ROWS)) == 60
    copy.close()


def test_a_copy_never_overwrites_and_needs_a_folder(tmp_path: Path) -> None:
    engine = LmdbEngine.open(tmp_path / "data.ormdb", durability="none")
    taken = tmp_path / "taken"
    taken.write_bytes(b"precious")
    for compact in (False, True):
        with pytest.raises(UsageError, match="exists"):
            engine.copy_to(str(taken), compact=compact)
        with pytest.raises(UsageError, match="exists"):
            engine.copy_to(str(tmp_path / "data.ormdb"), compact=compact)
        with pytest.raises(UsageError, match="folder"):
            engine.copy_to(str(tmp_path / "no" / "copy"), compact=compact)
    assert taken.read_bytes() == b"precious"
    engine.close()


@pytest.mark.parametrize("compact", [False, True])
def test_a_copy_that_cannot_be_flushed_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, compact: bool
) -> None:
    engine = LmdbEngine.open(tmp_path / "data.ormdb")

    def fail(_: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", fail)
        with pytest.raises(StorageIOError):
            engine.copy_to(str(tmp_path / "copy.ormdb"), compact=compact)
    assert not (tmp_path / "copy.ormdb").exists()
    engine.copy_to(str(tmp_path / "copy.ormdb"), compact=compact)
    engine.close()


@pytest.mark.parametrize("compact", [False, True])
def test_a_copy_that_does_not_fit_leaves_no_file(tmp_path: Path, *, compact: bool) -> None:
    """In a child, whose files may not grow beyond a limit."""
    script = f"""
import resource
engine = LmdbEngine.open(path, durability="none")
txn = engine.begin_write()
txn.put_many(ROWS, [(key(n), b"v" * 1_000) for n in range(2_000)])
txn.commit()
resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, resource.RLIM_INFINITY))
try:
    engine.copy_to(path + ".copy", compact={compact})
except OrmdbError as error:
    say(type(error).__name__)
say(str(os.path.exists(path + ".copy")))
say(str(len(engine.begin_read().get_many(ROWS, [key(1)])[0])))
engine.close()
"""
    lines = run(script, tmp_path / "data.ormdb")
    assert lines == [StorageFullError.__name__, "False", "1000"]
    assert sorted(os.listdir(tmp_path)) == ["data.ormdb", "data.ormdb-lock"]  # noqa: PTH208
