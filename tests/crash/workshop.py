"""A workshop: a small database in which every kind of space that storage has is in use.

    Part     identity (code: text), some cut     unique label, index (kind, price desc), worth
             whole -> Part, to itself            worth: stored, made: timestamp, extra: JSON
    Maker    identity (id: int)                  parts: many-to-many, with the amounts of Supply
    Supply   identity (maker, part)              maker: int mode, part: slot mode over text
    Box      identity (hall: text, place: int)   reader: the one that hangs there, to-one back
    Reader   identity (serial: text)             box: slot mode over two columns, unique
    Scan     identity (id: uuid)                 part and box enforced, reader not: some dangle

It begins with a bulk load.  Then commits update, move, delete and insert rows, so that rows,
indexes and relations have a history, and pages of earlier commits lie about in the file.  One
reader has scanned so much that its entries have a tree of their own.

Invariants (held by tests/crash/test_damage.py):
  1. The file is made of the same commits every time.
"""

from __future__ import annotations

import datetime
import random
import uuid
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, Literal

import ormdb
from ormdb import (
    Database,
    Entity,
    Field,
    Json,
    Many,
    One,
    Transaction,
    desc,
    field,
    index,
    many,
    one,
)
from tests.oracle.clocks import StillClock

COMMITS: Final = 24
LAST_VERSION: Final = COMMITS + 2  # before them, the schema and the bulk load
KINDS: Final = ("bolt", "gear", "plate")
_EPOCH: Final = datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC)
_BUSY_READER: Final = "r0"


class Part(Entity):
    code: Field[str] = field(identity=True)
    label: Field[str] = field(unique=True)
    kind: Field[Literal["bolt", "gear", "plate"]]
    price: Field[Decimal] = field(precision=10, scale=2)
    stock: Field[int]
    worth: Field[int] = field(computed="stock * 3", stored=True, index=True)
    made: Field[datetime.datetime] = field(index=True)
    extra: Field[Json | None] = field(default=None)
    whole: One[Part | None] = one(default=None)
    pieces: Many[Part] = many(inverse="whole")
    supplies: Many[Supply] = many(inverse="part")
    scans: Many[Scan] = many(inverse="part")

    __indexes__ = (index("kind", desc("price")),)


class Maker(Entity):
    id: Field[int] = field(identity=True)
    name: Field[str] = field(unique=True)
    rate: Field[Decimal | None] = field(precision=24, scale=4)
    supplies: Many[Supply] = many(inverse="maker")
    parts: Many[Part] = many(through="Supply.maker", to="part", order_by=desc("amount"))


class Supply(Entity):
    maker: One[Maker] = one(identity=True)
    part: One[Part] = one(identity=True)
    amount: Field[int]
    since: Field[datetime.date]

    __indexes__ = (index("since", desc("amount")),)


class Box(Entity):
    hall: Field[str] = field(identity=True)
    place: Field[int] = field(identity=True)
    load: Field[float] = field(index=True)
    reader: One[Reader | None] = one(inverse="box")
    scans: Many[Scan] = many(inverse="box")


class Reader(Entity):
    serial: Field[str] = field(identity=True)
    note: Field[bytes]
    box: One[Box | None] = one(unique=True)
    scans: Many[Scan] = many(inverse="reader")


class Scan(Entity):
    id: Field[uuid.UUID] = field(identity=True)
    at: Field[datetime.datetime] = field(index=True)
    part: One[Part] = one()
    box: One[Box | None] = one()
    reader: One[Reader | None] = one(enforced=False)


SCHEMA: Final = (Part, Maker, Supply, Box, Reader, Scan)


def code_of(number: int) -> str:
    """The code of a part; every eighth is too long for a key, and begins as the others do."""
    return f"{'p' * 520}{number}" if number % 8 == 0 else f"p{number}"


def scan_id(number: int) -> uuid.UUID:
    """The identity of a scan: no order of numbers."""
    return uuid.UUID(int=random.Random(number).getrandbits(128))


def build_workshop(path: Path, after_commit: Callable[[Database], None]) -> None:
    """Make the file, and show it to `after_commit` as it is after every commit."""
    clock = StillClock()
    with ormdb.open(path, schema=SCHEMA, clock=clock) as db:
        changes = _Changes(random.Random(7))
        for number in range(COMMITS + 1):
            clock.advance(seconds=60)
            with db.transaction() as txn:
                (changes.change if number else changes.load)(txn)
            after_commit(db)


class _Changes:
    """What each commit does; numbers of what is there are kept beside the database."""

    def __init__(self, random_: random.Random) -> None:
        self._random = random_
        self._parts = list(range(1, 121))
        self._makers = list(range(-2, 28))
        self._supplies: list[tuple[int, int]] = []
        self._boxes = [(hall, place) for hall in ("east", "w" * 500) for place in range(1, 13)]
        self._scans = list(range(360))
        self._next_part = 121
        self._next_scan = 360

    def load(self, txn: Transaction) -> None:
        """The first rows of every entity."""
        pick = self._random
        parts = [self._part(number) for number in self._parts]
        txn.insert_many(parts)
        txn.insert_many([self._maker(number) for number in self._makers])
        pairs = [(maker, part) for maker in self._makers for part in self._parts]
        self._supplies = sorted({(1, part) for part in self._parts} | set(pick.sample(pairs, 160)))
        txn.insert_many([self._supply(*pair) for pair in self._supplies])
        txn.insert_many([Box(hall=h, place=p, load=pick.random()) for h, p in self._boxes])
        txn.insert_many([self._reader(number) for number in range(8)])
        txn.insert_many([self._scan(number) for number in self._scans])

    def change(self, txn: Transaction) -> None:
        """One commit of some updates, some moves, a few deletions and insertions."""
        pick = self._random
        for number in pick.sample(self._parts, 3):
            price, stock = Decimal(pick.randrange(100_000)) / 100, pick.randrange(60)
            txn.update(
                Part.key(code_of(number)),
                Part.price.to(price),
                Part.stock.to(stock),
                Part.label.to(self._label(number)),
            )
        piece, whole = pick.sample(self._parts, 2)
        txn.update(Part.key(code_of(piece)), Part.whole.to(Part.key(code_of(whole))))
        for maker, part in pick.sample(self._supplies, 4):
            key = Supply.key(maker, code_of(part))
            txn.update(key, Supply.amount.to(pick.randrange(100)))
        maker = pick.choice(self._makers)
        txn.update(Maker.key(maker), Maker.rate.to(Decimal(pick.randrange(10**9)) / 10**4))
        txn.update(Box.key(*pick.choice(self._boxes)), Box.load.to(pick.random()))
        for scan in pick.sample(self._scans, 4):
            box, part = pick.choice(self._boxes), pick.choice(self._parts)
            txn.update(
                Scan.key(scan_id(scan)),
                Scan.box.to(Box.key(*box)),
                Scan.part.to(Part.key(code_of(part))),
            )
        self._replace(txn)

    def _replace(self, txn: Transaction) -> None:
        """Delete some rows and insert as many."""
        pick = self._random
        for _ in range(3):
            gone = self._scans.pop(pick.randrange(len(self._scans)))
            txn.delete(Scan.key(scan_id(gone)))
            self._scans.append(self._next_scan)
            txn.insert(self._scan(self._next_scan))
            self._next_scan += 1
        for _ in range(2):
            maker, part = self._supplies.pop(pick.randrange(len(self._supplies)))
            txn.delete(Supply.key(maker, code_of(part)))
        self._parts.append(self._next_part)
        txn.insert(self._part(self._next_part))
        pair = (pick.choice(self._makers), self._next_part)
        self._supplies.append(pair)
        txn.insert(self._supply(*pair))
        self._next_part += 1

    def _part(self, number: int) -> Part:
        pick = self._random
        before = [other for other in self._parts if other < number]
        extra: Any = {"n": number, "tags": ["x", None, 1.5]} if number % 3 else None
        return Part(
            code=code_of(number),
            label=self._label(number),
            kind=KINDS[number % 3],
            price=Decimal(pick.randrange(100_000)) / 100,
            stock=pick.randrange(60),
            made=_EPOCH + datetime.timedelta(hours=pick.randrange(1_000), microseconds=number),
            extra=extra,
            whole=Part.key(code_of(pick.choice(before))) if before and number % 2 else None,
        )

    def _label(self, number: int) -> str:
        """Unique; some are too long for a key and equal in all that a key keeps of them."""
        padding = "é" * self._random.choice((0, 5, 20, 280))
        return f"{padding}{number}"

    def _maker(self, number: int) -> Maker:
        rate = Decimal(number * 10_001) / 10**4 if number % 4 else None
        return Maker(id=number, name=f"maker {number}", rate=rate)

    def _supply(self, maker: int, part: int) -> Supply:
        return Supply(
            maker=Maker.key(maker),
            part=Part.key(code_of(part)),
            amount=self._random.randrange(100),
            since=datetime.date(2024, 1, 1 + part % 9),
        )

    def _reader(self, number: int) -> Reader:
        box = Box.key(*self._boxes[number]) if number % 3 else None
        return Reader(serial=f"r{number}", note=bytes([number]) * 40, box=box)

    def _scan(self, number: int) -> Scan:
        pick = self._random
        busy = number % 4 != 3
        box = Box.key(*pick.choice(self._boxes)) if number % 5 else None
        return Scan(
            id=scan_id(number),
            at=_EPOCH + datetime.timedelta(minutes=pick.randrange(500)),
            part=Part.key(code_of(pick.choice(self._parts))),
            box=box,
            # Numbers 8 and 9 are those of no reader.
            reader=Reader.key(_BUSY_READER if busy else f"r{pick.randrange(10)}"),
        )
