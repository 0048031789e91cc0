"""A bank that a killed process or a full disk may leave anywhere but between two truths.

Every commit moves money between accounts, writes one Transfer about it, and sometimes opens an
account or closes an empty one.  So in any state of the file: the balances add up to TOTAL, there is
exactly one transfer per acknowledged commit, and at most one more.
"""

from __future__ import annotations

import random

import ormdb
from ormdb import Database, Entity, Field, Many, One, field, index, many, one

ACCOUNTS = 20
TOTAL = 1_000 * ACCOUNTS


class Account(Entity):
    number: Field[str] = field(identity=True)
    balance: Field[int] = field(index=True)
    sent: Many[Transfer] = many(inverse="source")


class Transfer(Entity):
    id: Field[int] = field(identity=True)
    amount: Field[int]
    memo: Field[str] = field(unique=True)
    source: One[Account | None] = one(enforced=False)

    __indexes__ = (index("amount", "memo"),)


SCHEMA = (Account, Transfer)


def found(path: str) -> None:
    """Make the bank."""
    with ormdb.open(path, schema=SCHEMA) as db:
        accounts = [Account(number=f"a{n}", balance=1_000) for n in range(ACCOUNTS)]
        db.insert_many(accounts)


def move(db: Database, number: int, random_: random.Random, *, padding_max: int = 700) -> None:
    """One commit: transfer number `number`."""
    with db.transaction() as txn:
        accounts = list(txn.fetch(Account.all()))
        giver = max(random_.sample(accounts, 3), key=lambda account: account.balance)
        taker = random_.choice([a for a in accounts if a.number != giver.number])
        amount = random_.randint(0, giver.balance)
        txn.update(Account.key(giver.number), Account.balance.to(giver.balance - amount))
        txn.update(Account.key(taker.number), Account.balance.to(taker.balance + amount))
        padding = "x" * random_.choice((0, 10, padding_max))
        memo = f"{number} {padding}"
        txn.insert(Transfer(id=number, amount=amount, memo=memo, source=Account.key(giver.number)))
        if random_.random() < 0.2:
            txn.insert(Account(number=f"n{number}", balance=0))
        empty = [
            a for a in accounts if a.balance == 0 and a.number not in (giver.number, taker.number)
        ]
        if empty and random_.random() < 0.5:
            txn.delete(Account.key(empty[0].number))
