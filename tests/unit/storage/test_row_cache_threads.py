"""Threads read through one row cache while another writes: every sum is that of a commit."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import pytest

import ormdb
from ormdb import Database, Entity, Field, Many, One, field, many
from ormdb.storage.row_cache import RowCache

BANKS: Final = 4
ACCOUNTS: Final = 40
TOTAL: Final = 100 * ACCOUNTS
COMMITS: Final = 400


class Bank(Entity):
    name: Field[str] = field(identity=True)
    accounts: Many[Account] = many(inverse="bank")


class Account(Entity):
    id: Field[int] = field(identity=True)
    number: Field[str] = field(unique=True)
    balance: Field[int]
    bank: One[Bank]


def read(db: Database, stop: threading.Event, seed: int) -> int:
    """Sums over groups, over rows by identity and over rows by a unique index."""
    random_, rounds = random.Random(seed), 0
    while not rounds or not stop.is_set():
        with db.snapshot() as snapshot:
            for _ in range(random_.randint(1, 3)):
                banks = snapshot.fetch(Bank.all().include(Bank.accounts))
                assert sum(a.balance for bank in banks for a in bank.accounts) == TOTAL
                ids = random_.sample(range(ACCOUNTS), ACCOUNTS)
                found = snapshot.fetch(Account.where(Account.id.in_(ids)).include(Account.bank))
                assert sum(account.balance for account in found) == TOTAL
                got = [snapshot.get(Account, each) for each in ids]
                assert sum(account.balance for account in got if account is not None) == TOTAL
        rounds += 1
    return rounds


def write(db: Database, seed: int) -> None:
    """Move money, and accounts between banks."""
    random_ = random.Random(seed)
    for _ in range(COMMITS):
        giver, taker = random_.sample(range(ACCOUNTS), 2)
        with db.transaction() as txn:
            a, b = txn.get(Account, giver), txn.get(Account, taker)
            assert a is not None
            assert b is not None
            amount = random_.randint(0, 20)
            bank = Bank.key(f"bank {random_.randrange(BANKS)}")
            txn.update(Account.key(giver), Account.balance.to(a.balance - amount))
            txn.update(
                Account.key(taker), Account.balance.to(b.balance + amount), Account.bank.to(bank)
            )


def hesitant(method: Callable[..., Any]) -> Callable[..., Any]:
    """The method, before which another thread now and then gets a turn."""
    random_, never = random.Random(3), threading.Event()

    def run(*arguments: Any) -> Any:
        if random_.random() < 0.5:
            never.wait(0.001)
        return method(*arguments)

    return run


def test_threads_that_share_a_cache_see_commits_as_a_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "banks.ormdb"
    with ormdb.open(path, schema=[Bank, Account], durability="none", cache_bytes=40_000) as db:
        db.insert_many([Bank(name=f"bank {n}") for n in range(BANKS)])
        db.insert_many(
            [
                Account(id=n, number=f"n{n}", balance=100, bank=Bank.key(f"bank {n % BANKS}"))
                for n in range(ACCOUNTS)
            ]
        )
        stop = threading.Event()
        monkeypatch.setattr(RowCache, "look", hesitant(RowCache.look))
        monkeypatch.setattr(RowCache, "leave", hesitant(RowCache.leave))
        with ThreadPoolExecutor(3) as pool:
            readers = [pool.submit(read, db, stop, seed) for seed in range(3)]
            try:
                write(db, 7)
            finally:
                stop.set()
            assert all(reader.result() for reader in readers)
        kept = db.statistics().rows_kept
        assert kept is not None
        assert kept.hits
        assert kept.commits_applied
