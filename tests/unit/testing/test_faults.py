"""An engine that fails when told to leaves the database as before, and going on."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from ormdb import Database
from ormdb.errors import BusyError, StorageFullError, StorageIOError, UnavailableError, UsageError
from ormdb.testing.faults import CALLS, Faults, open_with_faults
from tests.crash.bank import ACCOUNTS, SCHEMA, TOTAL, Account, Transfer, move

KINDS = (":memory:", "file")


def open_bank(place: str, folder: Path, faults: Faults) -> Database:
    path = place if place == ":memory:" else str(folder / "bank.ormdb")
    db = open_with_faults(path, SCHEMA, faults)
    db.insert_many([Account(number=f"a{n}", balance=1_000) for n in range(ACCOUNTS)])
    return db


def moved(db: Database, number: int, seed: int) -> bool:
    """Whether a transfer was made; it was, or the storage said that it failed."""
    try:
        move(db, number, random.Random(seed))
    except UnavailableError:
        return False
    return True


def transfers(db: Database) -> int:
    """How many there are, in a database whose sums are right."""
    assert sum(account.balance for account in db.fetch(Account.all())) == TOTAL
    return db.count(Transfer.all())


@pytest.mark.parametrize("place", KINDS)
def test_whichever_call_fails_the_database_is_as_before_and_goes_on(
    place: str, tmp_path: Path
) -> None:
    faults = Faults()
    with open_bank(place, tmp_path, faults) as db:
        made = at = 0
        for at in range(1, 1_000):
            before = faults.met
            faults.fail(*CALLS, at=at)
            was_moved = moved(db, made + 1, at)
            has_met = faults.met > before
            faults.clear()
            assert was_moved is not has_met
            made += was_moved
            assert transfers(db) == made
            move(db, made + 1, random.Random(at))
            made += 1
            assert transfers(db) == made
            if was_moved:
                break  # a move makes fewer calls than that
        assert at > 10
        assert db.check(deep=True).problems == ()


@pytest.mark.parametrize("place", KINDS)
def test_a_commit_that_is_done_and_fails_is_there_afterwards(place: str, tmp_path: Path) -> None:
    faults = Faults()
    with open_bank(place, tmp_path, faults) as db:
        faults.fail("commit", is_done=True)
        assert not moved(db, 1, 7)
        assert transfers(db) == 1
        assert moved(db, 2, 8)
        assert transfers(db) == 2


def test_the_error_is_the_one_that_was_asked_for_as_often_as_asked() -> None:
    faults = Faults()
    with open_with_faults(":memory:", SCHEMA, faults) as db:
        faults.fail("begin_write", times=2, error=StorageFullError("no room", path="/disk"))
        faults.fail("begin_read", at=3, error=BusyError("too many"))
        for _ in range(2):
            with pytest.raises(StorageFullError, match="no room") as caught:
                db.insert(Account(number="a", balance=0))
            assert caught.value.details == {"path": "/disk"}
        assert db.insert(Account(number="a", balance=0)) is not None
        seen = 0
        with pytest.raises(BusyError):
            while True:
                seen += db.count(Account.all())
        assert faults.met == 3
        assert faults.counts["begin_write"] >= 3
        assert "3 met" in repr(faults)
        assert "FaultyEngine" in repr(db.engine)


def test_faults_that_cannot_be_are_refused() -> None:
    faults = Faults()
    with pytest.raises(UsageError, match="no call"):
        faults.fail("pwrite")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    with pytest.raises(UsageError, match="give 1 or more"):
        faults.fail("commit", at=0)
    with pytest.raises(UsageError, match="only a commit"):
        faults.fail("put_many", is_done=True)


def test_a_copy_and_a_flush_fail_when_told_to(tmp_path: Path) -> None:
    faults = Faults()
    with open_bank("file", tmp_path, faults) as db:
        faults.fail("copy_to", "sync", times=2)
        with pytest.raises(StorageIOError):
            db.backup(tmp_path / "backup.ormdb")
        assert not (tmp_path / "backup.ormdb").exists()
        with pytest.raises(StorageIOError):
            db.engine.sync()
        db.backup(tmp_path / "backup.ormdb")
