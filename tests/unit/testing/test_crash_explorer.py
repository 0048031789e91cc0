"""The explorer finds what is wrong with a state, and survives the states that kill."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import ormdb
from ormdb import Database, Entity, Field, field
from ormdb.database.changes import RowChange
from ormdb.storage.engine import Durability
from ormdb.testing.crash_child import digests, look_at
from ormdb.testing.crash_explorer import CrashExplorer, Journal
from tests.crash.tools import require


class Note(Entity):
    id: Field[int] = field(identity=True)
    text: Field[str] = field(index=True)


class Notes:
    """Four commits of one note each, and another change of the first."""

    def open(self, path: str, *, durability: Durability) -> Database:
        return ormdb.open(path, schema=[Note], durability=durability, statistics="manual")

    def run(self, db: Database, journal: Journal, pick: random.Random) -> None:
        for number in range(4):
            with journal.commit(), db.transaction() as txn:
                txn.insert(Note(id=number, text=f"{pick.random()}"))
                if number:
                    txn.update(Note.key(0), Note.text.to(f"{number}"))

    def look(self, db: Database) -> None:
        assert db.count(Note.all()) <= 4

    def go_on(self, db: Database) -> None:
        db.insert(Note(id=db.version + 100, text="after"))


class Deadly(Notes):
    """Ends the process that looks at three notes, and does not like two."""

    def look(self, db: Database) -> None:
        count = db.count(Note.all())
        if count == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        assert count != 2, "there are two"


HERE = "tests.unit.testing.test_crash_explorer"


def test_a_sound_workload_has_no_problem_and_the_same_states_each_time(tmp_path: Path) -> None:
    require("strace", "apt-get install strace")
    first, second = (CrashExplorer(f"{HERE}:Notes", tmp_path).explore(states=60) for _ in range(2))
    assert first.problems == ()
    assert first.states == 60
    assert first.by_kind == second.by_kind
    assert "no problem" in str(first)


def test_a_state_that_kills_is_reported_and_the_others_are_looked_at(tmp_path: Path) -> None:
    require("strace", "apt-get install strace")
    report = CrashExplorer(f"{HERE}:Deadly", tmp_path).explore(states=40)
    assert report.states == 40
    assert report.found.keys() == {"died", "wrong"}
    died = next(problem for problem in report.problems if problem.kind == "died")
    assert "SIGKILL" in died.words
    assert "seed 0" in str(died)


def test_a_log_that_does_not_lead_to_the_rows_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = str(tmp_path / "notes.ormdb")
    with Notes().open(path, durability="full") as db:
        db.insert(Note(id=1, text="one"))
        db.update(Note.key(1), Note.text.to("two"))
        truth = {version: digests(db, version) for version in (1, 2, 3)}
    given = {"path": path, "acknowledged": 3, "begun": 0, "goes_on": True}
    assert list(look_at(Notes(), truth, given)) == []
    with Notes().open(path, durability="full") as db:
        truth[4] = digests(db, 4)  # it went on
    told = Database.changes

    def all_but_one(db: Database, **how: Any) -> Iterator[RowChange]:
        return (change for change in told(db, **how) if change.version != 2)

    monkeypatch.setattr(Database, "changes", all_but_one)
    assert {kind for kind, _ in look_at(Notes(), truth, {**given, "begun": 1})} == {"damage"}


def test_what_is_noted_of_a_version_is_what_it_gives_later(tmp_path: Path) -> None:
    noted: dict[int, dict[str, str]] = {}
    with Notes().open(str(tmp_path / "notes.ormdb"), durability="none") as db:
        for number in range(5):
            db.insert(Note(id=number, text="x" * number))
            noted[db.version] = digests(db, db.version)
            db.update(Note.key(0), Note.text.to(f"{number}"))
        assert len({of["Note"] for of in noted.values()}) == 5
        assert {version: digests(db, version) for version in noted} == noted
