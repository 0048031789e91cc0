"""The shop in ormdb, through the face that a user types."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import ormdb
from benches.data import PAGE_ROOTS, Row
from ormdb import Database, Entity, Field, Many, One, field, index, many, one


class Customer(Entity):
    """Somebody who orders."""

    id: Field[int] = field(identity=True)
    name: Field[str] = field(unique=True)
    city: Field[str]
    email: Field[str]
    credit: Field[float]
    active: Field[bool]
    orders: Many[Order] = many(inverse="customer")


class Order(Entity):
    """What one customer ordered at once."""

    id: Field[int] = field(identity=True)
    customer_id: Field[int]
    placed: Field[int]
    state: Field[str]
    total: Field[float]
    note: Field[str | None]
    customer: One[Customer] = one(via="customer_id")
    lines: Many[Line] = many(inverse="order")


class Line(Entity):
    """One product of an order."""

    id: Field[int] = field(identity=True)
    order_id: Field[int]
    product: Field[str]
    quantity: Field[int]
    price: Field[float]
    order: One[Order] = one(via="order_id")


class Product(Entity):
    """What sales point at."""

    id: Field[int] = field(identity=True)
    name: Field[str]
    sales: Many[Sale] = many(inverse="product")


class Buyer(Entity):
    """Who sales point at."""

    id: Field[int] = field(identity=True)
    name: Field[str] = field(unique=True)
    city: Field[str]
    email: Field[str]
    credit: Field[float]
    active: Field[bool]
    sales: Many[Sale] = many(inverse="customer")


class Sale(Entity):
    """Twelve fields, two indexes, two foreign keys, one unique."""

    id: Field[int] = field(identity=True)
    code: Field[str] = field(unique=True)
    customer_id: Field[int]
    product_id: Field[int]
    sold: Field[int] = field(index=True)
    region: Field[str]
    amount: Field[float]
    quantity: Field[int]
    discount: Field[float | None]
    paid: Field[bool]
    channel: Field[str]
    comment: Field[str]
    customer: One[Buyer] = one(via="customer_id")
    product: One[Product] = one(via="product_id")

    __indexes__ = (index("region", "amount"),)


SHOP = (Customer, Order, Line)
BULK = (Product, Buyer, Sale)
PAGE = (
    Customer.order_by(Customer.name).limit(PAGE_ROOTS).include(Customer.orders.include(Order.lines))
)


class ByOrmdb:
    """ormdb, with its defaults."""

    name = "ormdb"

    def __init__(self) -> None:
        self._path = Path()
        self._db: Database | None = None

    def load_shop(
        self, folder: Path, customers: Sequence[Row], orders: Sequence[Row], lines: Sequence[Row]
    ) -> None:
        self._path = folder / "shop.ormdb"
        self._db = db = ormdb.open(self._path, schema=SHOP)
        db.bulk_load(Customer, customers)
        db.bulk_load(Order, orders)
        db.bulk_load(Line, lines)

    def fetch_page(self, after: str) -> list[Row]:
        return self._open_db().fetch(PAGE.where(Customer.name > after)).to_dicts()

    def get_order(self, identity: int) -> Row | None:
        found = self._open_db().get(Order, identity)
        return None if found is None else found.to_dict()

    def begin_bulk(self, folder: Path, customers: Sequence[Row], products: Sequence[Row]) -> None:
        self._path = folder / "bulk.ormdb"
        self._db = db = ormdb.open(self._path, schema=BULK)
        db.bulk_load(Buyer, customers)
        db.bulk_load(Product, products)

    def load_bulk(self, sales: Sequence[Row]) -> None:
        self._open_db().bulk_load(Sale, sales)

    def get_sale(self, identity: int) -> Row | None:
        found = self._open_db().get(Sale, identity)
        return None if found is None else found.to_dict()

    def compact(self) -> int:
        self._open_db().compact()
        return self._path.stat().st_size

    def close(self) -> None:
        if self._db is not None:
            self._db.close()
            self._db = None

    def _open_db(self) -> Database:
        assert self._db is not None, "load something first"
        return self._db
