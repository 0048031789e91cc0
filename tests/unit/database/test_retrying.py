"""Transactions that are run again when they conflict."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import ormdb
from ormdb import Database, Entity, Field, Transaction, field
from ormdb.errors import ConflictError, UniqueError, UsageError


class Counter(Entity):
    id: Field[int] = field(identity=True)
    value: Field[int]


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    with ormdb.open(tmp_path / "a.ormdb", schema=[Counter], durability="none") as opened:
        opened.insert(Counter(id=1, value=0))
        yield opened


def increment(txn: Transaction) -> int:
    counter = txn.get(Counter, 1)
    assert counter is not None
    txn.update(Counter.key(1), Counter.value.to(counter.value + 1))
    return counter.value + 1


def test_what_conflicts_is_run_again_and_what_it_did_before_is_undone(db: Database) -> None:
    runs: list[bool] = []

    def work(txn: Transaction) -> int:
        found = increment(txn)
        txn.insert(Counter(id=10 + len(runs), value=0))
        if len(runs) < 2:
            db.run(increment)
        runs.append(txn.is_exclusive)
        return found

    assert db.run(work) == 3
    assert runs == [False, False, False]
    assert [(each.id, each.value) for each in db.fetch(Counter.all())] == [(1, 3), (12, 0)]


def test_after_a_few_conflicts_an_attempt_cannot_conflict(db: Database) -> None:
    runs: list[bool] = []

    def work(txn: Transaction) -> int:
        found = increment(txn)
        runs.append(txn.is_exclusive)
        if not txn.is_exclusive:
            db.run(increment)
        return found

    assert db.run(work) == 5
    assert runs == [False, False, False, False, True]


def test_the_last_conflict_is_raised(db: Database) -> None:
    def work(txn: Transaction) -> int:
        found = increment(txn)
        db.run(increment)
        return found

    with pytest.raises(ConflictError):
        db.run(work, attempts=3)
    with pytest.raises(UsageError, match="at least 1"):
        db.run(work, attempts=0)


def test_another_error_is_raised_at_once(db: Database) -> None:
    runs: list[int] = []

    def work(txn: Transaction) -> None:
        runs.append(1)
        txn.insert(Counter(id=1, value=5))

    with pytest.raises(UniqueError):
        db.run(work)
    assert runs == [1]


def test_a_decorated_function_gets_its_transaction(db: Database) -> None:
    @db.transactional
    def raise_by(txn: Transaction, number: int, *, times: int = 1) -> int:
        counter = txn.get(Counter, 1)
        assert counter is not None
        txn.update(Counter.key(1), Counter.value.to(counter.value + number * times))
        return counter.value + number * times

    assert raise_by(5) == 5
    assert raise_by(2, times=10) == 25
    assert raise_by.__name__ == "raise_by"


def test_no_increment_of_contending_threads_is_lost(db: Database) -> None:
    def work(_: int) -> None:
        for _ in range(15):
            db.run(increment)

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(work, range(16)))
    assert db.one(Counter.where(Counter.id == 1)).value == 240
