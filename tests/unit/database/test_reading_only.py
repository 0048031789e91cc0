"""A database that may only be read: everything but writing works, whoever owns the folder."""

from __future__ import annotations

import tempfile
from collections.abc import Generator
from pathlib import Path

import pytest

import ormdb
from ormdb.errors import ReadOnlyError
from ormdb.ir.graph import GraphQuery
from ormdb.ir.mutation import Insert, Update
from tests.oracle.club import CLUB
from tests.unit.storage.children import run
from tests.unit.storage.test_lmdb_readonly import NOBODY

READER = (
    NOBODY
    + """
import ormdb
from ormdb.ir.graph import GraphQuery
from ormdb.ir.mutation import Insert

with ormdb.open(path, read_only=True) as db:
    members = GraphQuery(entity="Member")
    say(db.run_count(members))
    say(len(db.run_fetch(GraphQuery(entity="Member", as_of=2)).dicts()))
    say(db.check(deep=True).problems)
    attempts = (
        lambda: db.run_mutations([Insert(entity="Idol", rows=({"name": "x"},))]),
        lambda: db.bulk_load("Idol", [{"name": "x"}]),
        lambda: db.reclaim(keep_versions=1),
        lambda: db.compact(),
    )
    for attempt in attempts:
        try:
            attempt()
        except OrmdbError as error:
            say(type(error).__name__)
    say(db.run_count(members))
"""
)
ANSWERS = ["5", "3", "()", *["ReadOnlyError"] * 4, "5"]


@pytest.fixture
def path() -> Generator[Path]:
    """A database in a folder that everybody may look into, unlike those of pytest."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        made = folder / "club.ormdb"
        with ormdb.open(made, schema=CLUB) as db:
            db.run_mutations([Insert(entity="Member", rows=({}, {}, {}))])
            db.run_mutations([Update(entity="Member", identity=(1,), changes={"points": 9})])
            db.run_mutations([Insert(entity="Member", rows=({}, {}))])
        made.chmod(0o644)
        folder.chmod(0o755)
        yield made
        folder.chmod(0o700)


def test_a_database_in_a_folder_of_somebody_else_is_read(path: Path) -> None:
    path.with_name("club.ormdb-lock").unlink()
    path.parent.chmod(0o555)
    assert run(READER, path) == ANSWERS
    assert [each.name for each in path.parent.iterdir()] == ["club.ormdb"]


def test_a_database_whose_lock_file_may_not_be_written_is_read(path: Path) -> None:
    path.parent.chmod(0o555)
    assert run(READER, path) == ANSWERS


def test_a_database_opened_for_reading_is_backed_up(path: Path) -> None:
    copy = path.with_name("copy.ormdb")
    with ormdb.open(path, read_only=True) as db:
        db.backup(copy)
        with pytest.raises(ReadOnlyError, match="reading only"):
            db.run_mutations([Insert(entity="Idol", rows=({"name": "x"},))])
    with ormdb.open(copy) as db:
        assert db.run_count(GraphQuery(entity="Member")) == 5
        assert db.check(deep=True).is_clean
