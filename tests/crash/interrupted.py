"""A program that is interrupted again and again: run by `test_interrupt.py` as its own process.

    python -m tests.crash.interrupted <file>

It reads and writes without a pause, and takes KeyboardInterrupt where it comes.  After each it
checks that reading and writing go on, that no snapshot is left open and that a transaction is
whole: the sum of all balances never changes.  SIGTERM ends it with `ok <interrupts> <commits>`.
"""

from __future__ import annotations

import random
import signal
import sys
from collections.abc import Callable

import ormdb
from ormdb import Database, Entity, Field, Many, One, field, many, one

ACCOUNTS = 300
BALANCE = 100


class Holder(Entity):
    """Who has accounts."""

    id: Field[int] = field(identity=True)
    accounts: Many[Account] = many(inverse="holder")


class Account(Entity):
    """What is moved between."""

    id: Field[int] = field(identity=True)
    balance: Field[int] = field(index=True)
    holder: One[Holder] = one()


def fill(db: Database) -> None:
    """Everybody has the same."""
    db.bulk_load(Holder, [{"id": n} for n in range(10)])
    rows = [{"id": n, "balance": BALANCE, "holder_id": n % 10} for n in range(ACCOUNTS)]
    db.bulk_load(Account, rows)


def move(db: Database, rng: random.Random) -> None:
    """A transaction that reads and writes two accounts."""
    with db.transaction() as txn:
        one_id, other_id = rng.sample(range(ACCOUNTS), 2)
        giver, taker = txn.get(Account, one_id), txn.get(Account, other_id)
        assert giver is not None
        assert taker is not None
        txn.update(giver, Account.balance.to(giver.balance - 1))
        txn.update(taker, Account.balance.to(taker.balance + 1))


def read(db: Database, rng: random.Random) -> None:
    """A fetch, a count, a stream or a get."""
    roll = rng.random()
    if roll < 0.25:
        db.fetch(Holder.include(Holder.accounts.order_by(Account.balance)))
    elif roll < 0.5:
        db.count(Account.where(Account.balance > BALANCE))
    elif roll < 0.75:
        for _ in db.stream(Account.include(Account.holder), batch=50):
            pass
    else:
        db.get(Account, rng.randrange(ACCOUNTS))


def check(db: Database) -> None:
    """Nothing is left behind, and everything works."""
    db.get(Account, 0)  # whoever begins to read ends what was dropped
    readers = db.statistics().engine.readers
    assert readers == 0, f"{readers} snapshots are left open"
    total = sum(account.balance for account in db.fetch(Account))
    assert total == ACCOUNTS * BALANCE, f"the sum is {total}"
    move(db, random.Random(1))


class Interrupts:
    """Raises KeyboardInterrupt at SIGINT, once each time it is armed."""

    def __init__(self) -> None:
        self.is_armed = False
        self.raised = 0
        signal.signal(signal.SIGINT, self._handle)

    def _handle(self, *_: object) -> None:
        if self.is_armed:
            self.is_armed = False
            self.raised += 1
            raise KeyboardInterrupt


def main() -> None:
    """Work until told to stop by a second signal."""
    commits = 0
    stopping = False

    def stop(*_: object) -> None:
        nonlocal stopping
        stopping = True

    signal.signal(signal.SIGTERM, stop)
    interrupts, rng = Interrupts(), random.Random(7)
    with ormdb.open(
        sys.argv[1], schema=[Holder, Account], durability="none", statistics="manual"
    ) as db:
        fill(db)
        works: list[Callable[[Database, random.Random], None]] = [move, read]
        say("ready")
        while not stopping:
            before = interrupts.raised
            try:
                interrupts.is_armed = True
                rng.choice(works)(db, rng)
                interrupts.is_armed = False
                commits += 1
            except KeyboardInterrupt:
                pass
            if interrupts.raised > before:  # here no traceback refers to anything any more
                check(db)
        check(db)
    say(f"ok {interrupts.raised} {commits}")


def say(words: str) -> None:
    """Tell the test."""
    sys.stdout.write(words + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
