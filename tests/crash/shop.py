"""A shop whose commits keep a few truths, for the crash explorer to look at.

Every commit leaves: what a customer has spent is the sum of that customer's orders, found from
either side; no two customers share an address; there are as many orders as the shop says, and as
many lines as the orders say.  Between them the commits insert, update, delete, delete what hangs on
the deleted through two relations and a chain, set vouchers free, let unique values change hands,
load in bulk, drop old versions, and make the file outgrow its memory map.
"""

from __future__ import annotations

import datetime
import random

import pytest

import ormdb
from ormdb import Database, Entity, Field, Many, One, Transaction, field, index, many, one
from ormdb.errors import StorageFullError
from ormdb.storage.engine import Durability
from ormdb.testing.crash_explorer import Journal

CUSTOMERS = 12
COMMITS = 22
PICTURES = 9
PICTURES_AT = 20  # of the commits; states before it are small, and looked at faster
PICTURE_BYTES = 90_000  # nine of them are more than the map has room for
MAP_BYTES = 2**20


class Shop(Entity):
    """The one row that every commit writes."""

    id: Field[int] = field(identity=True)
    orders: Field[int]


class Customer(Entity):
    name: Field[str] = field(identity=True)
    email: Field[str] = field(unique=True)
    spent: Field[int] = field(index=True)
    orders: Many[Order] = many(inverse="customer")
    pictures: Many[Picture] = many(inverse="owner")


class Order(Entity):
    id: Field[int] = field(identity=True)
    total: Field[int] = field(index=True)
    code: Field[str | None] = field(unique=True)
    paid: Field[bool]
    note: Field[str]
    line_count: Field[int]
    customer: One[Customer] = one()
    lines: Many[Line] = many(inverse="order")
    vouchers: Many[Voucher] = many(inverse="order")

    __indexes__ = (index("paid", "total", where="not paid"),)


class Line(Entity):
    """What an order is of; deleted with it."""

    code: Field[str] = field(identity=True)
    order: One[Order] = one(on_delete="cascade")
    part_of: One[Line | None] = one(on_delete="cascade")
    parts: Many[Line] = many(inverse="part_of")


class Voucher(Entity):
    """What an order was paid with; free again when that is deleted."""

    code: Field[str] = field(identity=True)
    order: One[Order | None] = one(on_delete="set_null", unique=True)


class Picture(Entity):
    id: Field[int] = field(identity=True)
    data: Field[bytes]
    owner: One[Customer | None] = one(enforced=False)


SCHEMA = (Shop, Customer, Order, Line, Voucher, Picture)


class ShopWorkload:
    """What is done to the shop, one commit after the other."""

    def open(self, path: str, *, durability: Durability) -> Database:
        return ormdb.open(
            path,
            schema=SCHEMA,
            durability=durability,
            map_bytes=MAP_BYTES,
            statistics="manual",
            retention=datetime.timedelta(0) if durability == "none" else datetime.timedelta(days=7),
        )

    def run(self, db: Database, journal: Journal, pick: random.Random) -> None:
        with journal.commit(), db.transaction() as txn:
            txn.insert(Shop(id=1, orders=0))
            txn.insert_many(
                [Customer(name=f"c{n}", email=f"{n}@x", spent=0) for n in range(CUSTOMERS)]
            )
        for number in range(1, COMMITS + 1):
            with journal.commit():
                self.change(db, number, pick)
            if number == PICTURES_AT:
                with journal.commit():
                    _load(db, [_picture(n, pick) for n in range(PICTURES)])
            if number % 7 == 0:
                with journal.commit():
                    db.reclaim(keep_versions=4)

    def change(self, db: Database, number: int, pick: random.Random) -> None:
        """One commit of some orders, a payment, a swap of addresses and perhaps a cancellation."""
        with db.transaction() as txn:
            orders = list(txn.fetch(Order.all().include(Order.customer)))
            count = len(orders)
            for each in range(pick.randint(1, 4)):
                _place(txn, number * 10 + each, pick)
                count += 1
            if orders and pick.random() < 0.6:
                order = pick.choice(orders)
                txn.update(order, Order.paid.to(value=True), Order.code.to(None))
            if orders and pick.random() < 0.5:
                _cancel(txn, pick.choice(orders))
                count -= 1
            if pick.random() < 0.5:
                _swap(txn, pick.sample(range(CUSTOMERS), 2), number)
            if txn.exists(Picture.all()) and pick.random() < 0.3:
                key = Picture.key(pick.randrange(PICTURES))
                txn.update(key, Picture.owner.to(Customer.key(f"c{pick.randrange(CUSTOMERS)}")))
            txn.update(Shop.key(1), Shop.orders.to(count))

    def look(self, db: Database) -> None:
        shop = db.get(Shop, 1)
        if shop is None:
            assert not db.exists(Customer.all()), "there are customers and no shop"
            return
        customers = list(db.fetch(Customer.all().include(Customer.orders)))
        orders = list(db.fetch(Order.all().include(Order.customer, Order.lines)))
        for order in orders:
            assert len(order.lines) == order.line_count, f"{order.id} has {len(order.lines)} lines"
        count = sum(order.line_count for order in orders)
        assert db.count(Line.all()) == count, f"there are other lines than {count}"
        assert len(customers) == CUSTOMERS, f"{len(customers)} customers"
        assert len({c.email for c in customers}) == CUSTOMERS, "two customers share an address"
        assert shop.orders == len(orders), f"{len(orders)} orders, and the shop says {shop.orders}"
        for customer in customers:
            from_here = sorted((order.id, order.total) for order in customer.orders)
            from_there = sorted((o.id, o.total) for o in orders if o.customer.name == customer.name)
            assert from_here == from_there, f"{customer.name}: {from_here} and {from_there}"
            spent = sum(total for _, total in from_here)
            assert spent == customer.spent, f"{customer.name} spent {spent}, not {customer.spent}"

    def go_on(self, db: Database) -> None:
        if db.get(Shop, 1) is not None:
            self.change(db, 1_000 + db.version, random.Random(db.version))


def _place(txn: Transaction, number: int, pick: random.Random) -> None:
    name, total = f"c{pick.randrange(CUSTOMERS)}", pick.randrange(1_000)
    customer = txn.get(Customer, name)
    assert customer is not None
    note = "n" * pick.choice((0, 20, 300, 3_000))
    txn.insert(
        Order(
            id=number,
            total=total,
            code=f"code {number % 20}" if number < 20 else None,
            paid=False,
            note=note,
            line_count=(lines := pick.randrange(4)),
            customer=Customer.key(name),
        )
    )
    for line in range(lines):
        whole = Line.key(f"{number}/{line - 1}") if line else None
        txn.insert(Line(code=f"{number}/{line}", order=Order.key(number), part_of=whole))
    if pick.random() < 0.4:
        txn.insert(Voucher(code=f"v{number}", order=Order.key(number)))
    txn.update(customer, Customer.spent.to(customer.spent + total))


def _cancel(txn: Transaction, order: Order) -> None:
    customer = txn.get(Customer, order.customer.name)
    assert customer is not None
    txn.update(customer, Customer.spent.to(customer.spent - order.total))
    txn.delete(Order.key(order.id))


def _swap(txn: Transaction, numbers: list[int], commit: int) -> None:
    """Two customers exchange their addresses, so that unique values change hands."""
    one_name, other_name = (f"c{number}" for number in numbers)
    first, second = txn.get(Customer, one_name), txn.get(Customer, other_name)
    assert first is not None
    assert second is not None
    txn.update(first, Customer.email.to(f"moving {commit}"))
    txn.update(second, Customer.email.to(first.email))
    txn.update(Customer.key(one_name), Customer.email.to(second.email))


def _load(db: Database, pictures: list[dict[str, object]]) -> None:
    """Once with too small a map, which the error says, and once with a larger one."""
    with pytest.raises(StorageFullError):
        db.bulk_load(Picture, pictures)
    db.bulk_load(Picture, pictures)


def _picture(number: int, pick: random.Random) -> dict[str, object]:
    return {
        "id": number,
        "data": pick.randbytes(1_000) * (PICTURE_BYTES // 1_000),
        "owner_name": None,
    }
