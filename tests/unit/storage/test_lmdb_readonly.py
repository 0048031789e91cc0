"""Reading only: where nothing may be written, and where somebody else writes meanwhile."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ormdb.errors import ReadOnlyError
from ormdb.storage.engine import Item
from ormdb.storage.lmdb import LmdbEngine
from tests.unit.storage.children import ROWS, child, key, run

NOBODY = """
import tempfile
import ormdb

class Rehearsal(ormdb.Entity):
    id: ormdb.Field[int] = ormdb.field(identity=True)

# The project may lie where only its owner may read: import now whatever is imported late.
with tempfile.TemporaryDirectory() as scratch:
    with ormdb.open(os.path.join(scratch, "rehearsal.ormdb"), schema=[Rehearsal]) as db:
        db.check(deep=True)
if os.getuid() == 0:  # permissions do not bind the superuser
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
"""

READER = (
    NOBODY
    + """
engine = LmdbEngine.open(path, read_only=True)
txn = None
while (command := hear()) != "end":
    try:
        if command == "snapshot":
            txn = engine.begin_read()
            say("begun")
        elif command == "write":
            engine.begin_write()
        elif command == "scan":
            say(str(sum(len(items) for items in txn.scan(ROWS))))
        else:
            say(str(txn.get_many(ROWS, [command.encode()])[0]))
    except OrmdbError as error:
        say(type(error).__name__)
engine.close()
"""
)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that everybody may enter, unlike those of pytest."""
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        place.chmod(0o755)
        yield place
        place.chmod(0o755)


def write(path: Path, *items: Item) -> None:
    engine = LmdbEngine.open(path, durability="none")
    txn = engine.begin_write()
    txn.put_many(ROWS, items)
    txn.commit()
    engine.close()


def close_up(folder: Path, *, lock: bool) -> None:
    """Let others read the file and nothing else."""
    path = folder / "data.ormdb"
    path.chmod(0o644)
    if not lock:
        Path(f"{path}-lock").unlink()
    folder.chmod(0o555)


@pytest.mark.parametrize("lock", [True, False])
def test_a_file_in_a_folder_that_may_not_be_written_to_is_read(folder: Path, *, lock: bool) -> None:
    path = folder / "data.ormdb"
    write(path, *[(key(n), b"v") for n in range(500)], (b"k", b"v"))
    close_up(folder, lock=lock)
    before = {each.name: each.stat().st_mtime_ns for each in folder.iterdir()}
    with child(READER, path) as reader:
        reader.ask("snapshot", "begun")
        reader.ask("k", "b'v'")
        reader.ask("scan", "501")
        reader.ask("write", "ReadOnlyError")
        reader.say("end")
        reader.finish()
    assert {each.name: each.stat().st_mtime_ns for each in folder.iterdir()} == before


def test_a_read_without_locks_is_thrown_away_when_somebody_has_written(folder: Path) -> None:
    path = folder / "data.ormdb"
    write(path, *[(key(n), b"v") for n in range(500)])
    close_up(folder, lock=True)
    with child(READER, path) as reader:
        reader.ask("snapshot", "begun")
        reader.ask("scan", "500")
        folder.chmod(0o755)
        write(path, (b"k", b"1"))
        folder.chmod(0o555)
        reader.ask("scan", "SnapshotExpiredError")
        reader.ask("k", "SnapshotExpiredError")
        reader.ask("snapshot", "begun")
        reader.ask("k", "b'1'")
        reader.ask("scan", "501")
        reader.say("end")
        reader.finish()


def test_a_file_that_may_not_be_read_is_refused(folder: Path) -> None:
    path = folder / "data.ormdb"
    write(path, (b"k", b"v"))
    script = (
        NOBODY
        + """
for read_only in (False, True):
    try:
        LmdbEngine.open(path, read_only=read_only)
    except OrmdbError as error:
        say(type(error).__name__)
try:
    LmdbEngine.open(path + "-new")
except OrmdbError as error:
    say(type(error).__name__)
"""
    )
    path.chmod(0)
    assert run(script, path) == ["ReadOnlyError"] * 3
    assert sorted(each.name for each in folder.iterdir()) == ["data.ormdb", "data.ormdb-lock"]


def test_a_file_that_may_only_be_read_is_refused_to_writers_with_a_remedy(folder: Path) -> None:
    path = folder / "data.ormdb"
    write(path, (b"k", b"v"))
    close_up(folder, lock=True)
    script = (
        NOBODY
        + """
try:
    LmdbEngine.open(path)
except OrmdbError as error:
    say(str("read_only=True" in str(error)))
LmdbEngine.open(path, read_only=True).close()
"""
    )
    assert run(script, path) == ["True"]


def test_a_reader_sees_what_a_writer_of_another_process_commits(tmp_path: Path) -> None:
    path = tmp_path / "data.ormdb"
    write(path, (b"k", b"1"))
    Path(f"{path}-lock").unlink()  # as if the file had been copied here alone
    with child(READER.replace(NOBODY, ""), path) as reader:
        reader.ask("snapshot", "begun")
        write(path, (b"k", b"2"), (b"l", b"3"))
        reader.ask("k", "b'1'")
        reader.ask("l", "None")
        reader.ask("snapshot", "begun")
        reader.ask("k", "b'2'")
        reader.say("end")
        reader.finish()
    assert Path(f"{path}-lock").stat().st_mode & 0o777 == 0o600


def test_a_reader_learns_of_spaces_made_after_it_opened_the_file(tmp_path: Path) -> None:
    path = tmp_path / "data.ormdb"
    LmdbEngine.open(path).close()
    with child(READER.replace(NOBODY, ""), path) as reader:
        reader.ask("snapshot", "begun")
        reader.ask("k", "None")
        write(path, (b"k", b"1"))
        reader.ask("k", "None")
        reader.ask("snapshot", "begun")
        reader.ask("k", "b'1'")


def test_writing_is_refused_and_flushing_is_harmless(tmp_path: Path) -> None:
    path = tmp_path / "data.ormdb"
    write(path, (b"k", b"v"))
    engine = LmdbEngine.open(path, read_only=True)
    assert engine.read_only
    with pytest.raises(ReadOnlyError, match="open it for writing"):
        engine.begin_write()
    engine.sync()
    engine.copy_to(str(tmp_path / "copy.ormdb"), compact=True)
    assert engine.begin_read().get_many(ROWS, [b"k"]) == [b"v"]
    engine.close()
