"""The engine on disk: modes, durability, full disks, kills, and what is said about itself."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import lmdb
import pytest

from ormdb.errors import ClosedError, StorageFullError
from ormdb.storage.engine import Durability, Space
from ormdb.storage.lmdb import LmdbEngine, verify_file
from tests.unit.storage.children import ROWS, child, key, run


def put(engine: LmdbEngine, space: Space, key_: bytes, value: bytes) -> None:
    txn = engine.begin_write()
    txn.put_many(space, [(key_, value)])
    txn.commit()


def test_the_file_and_its_lock_file_are_for_their_owner_only(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        engine = LmdbEngine.open(tmp_path / "data.ormdb")
        put(engine, ROWS, b"k", b"v")
        engine.copy_to(str(tmp_path / "copy.ormdb"), compact=True)
        engine.close()
    finally:
        os.umask(before)
    modes = {each.name: each.stat().st_mode & 0o777 for each in tmp_path.iterdir()}
    assert modes == dict.fromkeys(("data.ormdb", "data.ormdb-lock", "copy.ormdb"), 0o600)


def test_what_was_committed_is_there_after_a_reopen(tmp_path: Path) -> None:
    path = tmp_path / "data.ormdb"
    for number in range(5):
        engine = LmdbEngine.open(path)
        read = engine.begin_read()
        assert read.get_many(ROWS, [key(n) for n in range(5)]) == [
            b"v" if n < number else None for n in range(5)
        ]
        put(engine, ROWS, key(number), b"v")
        put(engine, Space(f"rows/{number + 2}"), b"k", b"v")
        engine.close()
    assert verify_file(str(path)) == []


@pytest.mark.parametrize(
    ("durability", "syncs"),
    [("full", (True, True)), ("relaxed", (True, False)), ("none", (False, False))],
)
def test_lmdb_is_asked_for_the_durability_and_never_for_a_writable_map(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    durability: Durability,
    syncs: tuple[bool, bool],
) -> None:
    asked: list[dict[str, object]] = []
    really_open = lmdb.open

    def recording_open(path: str, **options: Any) -> lmdb.Environment:
        asked.append(options)
        return really_open(path, **options)

    monkeypatch.setattr(lmdb, "open", recording_open)
    LmdbEngine.open(tmp_path / "data.ormdb", durability=durability).close()
    (options,) = asked
    assert (options["sync"], options["metasync"]) == syncs
    assert options["lib_version"] == 0
    assert options["mode"] == 0o600
    assert not {"writemap", "map_async"} & set(options)


def test_kills_amid_commits_lose_nothing_acknowledged(tmp_path: Path) -> None:
    path = tmp_path / "data.ormdb"
    script = """
engine = LmdbEngine.open(path)
read = engine.begin_read()
number = read.statistics(ROWS).entries
read.close()
while True:
    txn = engine.begin_write()
    txn.put_many(ROWS, [(key(number), b"x" * 5_000)])
    txn.put_many(Space(f"rows/{2 + number % 7}"), [(key(number), b"")])
    txn.commit()
    number += 1
    say(str(number))
"""
    for _ in range(5):
        with child(script, path) as writer:
            acknowledged = 0
            for _ in range(12):
                acknowledged = int(writer.hear())
            writer.kill()
        engine = LmdbEngine.open(path)
        read = engine.begin_read()
        present = read.statistics(ROWS).entries
        others = sum(read.statistics(Space(f"rows/{2 + n}")).entries for n in range(7))
        assert present >= acknowledged
        assert others == present
        engine.close()
    assert verify_file(str(path)) == []


# --- a full disk ----------------------------------------------------------------------------

FULL = """
import resource
engine = LmdbEngine.open(path)

def put(number, size):
    txn = engine.begin_write()
    txn.put_many(ROWS, [(key(number), b"x" * size)])
    txn.commit()

put(0, 10)
if hear() == "limit":
    resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, resource.RLIM_INFINITY))
number = 0
try:
    while number < 1_000:
        number += 1
        put(number, 50_000)
except OrmdbError as error:
    say(type(error).__name__)
say(str(5 < number < 500))
txn = engine.begin_read()
say(str(len(txn.get_many(ROWS, [key(number - 1)])[0])))
say(str(txn.get_many(ROWS, [key(number)])[0]))
txn.close()
txn = engine.begin_write()
txn.delete_many(ROWS, [key(n) for n in range(1, number)])
txn.commit()
for _ in range(2):
    put(0, 10)  # what one commit frees is used by the second one after it
put(number, 50_000)
say("after deleting")
try:
    for more in range(10_000, 10_200):
        put(more, 50_000)
except OrmdbError as error:
    say(type(error).__name__)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
say("room")
hear()
for more in range(20_000, 20_020):
    put(more, 50_000)
say("after making room")
engine.close()
"""


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 3 MiB with 1 MiB of something else on it, where one can be made."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=3m,mode=700", "tmpfs", str(place)]
    mounted = False
    with suppress(FileNotFoundError):
        mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
    if mounted:
        (place / "ballast").write_bytes(b"x" * 2**20)
    yield place
    if mounted:
        subprocess.run(["umount", str(place)], check=True)


def test_a_full_disk_refuses_writes_and_serves_reads_and_deletes(small_disk: Path) -> None:
    ballast = small_disk / "ballast"
    with child(FULL, small_disk / "data.ormdb") as writer:
        writer.say("disk" if ballast.exists() else "limit")
        writer.expect(StorageFullError.__name__)
        writer.expect("True")
        writer.expect("50000")
        writer.expect("None")
        writer.expect("after deleting")
        writer.expect(StorageFullError.__name__)
        writer.expect("room")
        ballast.unlink(missing_ok=True)
        if ballast.parent.is_mount():
            command = ["mount", "-o", "remount,size=8m", str(small_disk)]
            subprocess.run(command, check=True)
        writer.ask("go on", "after making room")
        writer.finish()
    assert verify_file(str(small_disk / "data.ormdb")) == []


# --- about itself ---------------------------------------------------------------------------


def test_statistics_count_what_happened(tmp_path: Path) -> None:
    engine = LmdbEngine.open(tmp_path / "data.ormdb", map_bytes=2**26)
    put(engine, ROWS, b"k", b"v" * 100_000)
    read = engine.begin_read()
    statistics = engine.statistics()
    assert statistics.map_bytes == 2**26
    assert 100_000 < statistics.used_bytes <= (tmp_path / "data.ormdb").stat().st_size
    assert statistics.readers == 1
    assert statistics.details["commits"] == 1
    assert statistics.details["spaces"] == 1
    assert str(tmp_path) in repr(engine)
    assert engine.path == str((tmp_path / "data.ormdb").resolve())
    txn = engine.begin_write()
    assert "open" in repr(txn)
    inner = txn.nested()
    assert "resting" in repr(txn)
    inner.abort()
    txn.abort()
    assert "ended" in repr(txn)
    read.close()
    engine.close()
    assert "closed" in repr(engine)
    with pytest.raises(ClosedError):
        engine.statistics()


def test_little_address_space_gives_a_smaller_map(tmp_path: Path) -> None:
    script = """
import resource
resource.setrlimit(resource.RLIMIT_AS, (2 * 2**30, 2 * 2**30))
engine = LmdbEngine.open(path)
txn = engine.begin_write()
txn.put_many(ROWS, [(b"k", b"v")])
txn.commit()
say(str(2**20 < engine.statistics().map_bytes < 2 * 2**30))
engine.close()
"""
    assert run(script, tmp_path / "data.ormdb") == ["True"]
