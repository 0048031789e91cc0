"""The shop by hand: sqlite3, tuned, one statement per level, dicts built in one display each.

WAL, a memory map over the whole file, a large page cache, right indexes, prepared statements and a
read transaction around each page, which is what a careful program would write.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from operator import itemgetter
from pathlib import Path

from benches.data import PAGE_ROOTS, Row

SHOP = """
CREATE TABLE customer (id INTEGER PRIMARY KEY, name TEXT NOT NULL, city TEXT NOT NULL,
  email TEXT NOT NULL, credit REAL NOT NULL, active INTEGER NOT NULL);
CREATE UNIQUE INDEX customer_name ON customer (name);
CREATE TABLE "order" (id INTEGER PRIMARY KEY,
  customer_id INTEGER NOT NULL REFERENCES customer (id),
  placed INTEGER NOT NULL, state TEXT NOT NULL, total REAL NOT NULL, note TEXT);
CREATE INDEX order_customer ON "order" (customer_id);
CREATE TABLE line (id INTEGER PRIMARY KEY, order_id INTEGER NOT NULL REFERENCES "order" (id),
  product TEXT NOT NULL, quantity INTEGER NOT NULL, price REAL NOT NULL);
CREATE INDEX line_order ON line (order_id);
"""

BULK = """
CREATE TABLE customer (id INTEGER PRIMARY KEY, name TEXT NOT NULL, city TEXT NOT NULL,
  email TEXT NOT NULL, credit REAL NOT NULL, active INTEGER NOT NULL);
CREATE UNIQUE INDEX customer_name ON customer (name);
CREATE TABLE product (id INTEGER PRIMARY KEY, name TEXT NOT NULL);
CREATE TABLE sale (id INTEGER PRIMARY KEY, code TEXT NOT NULL,
  customer_id INTEGER NOT NULL REFERENCES customer (id),
  product_id INTEGER NOT NULL REFERENCES product (id),
  sold INTEGER NOT NULL, region TEXT NOT NULL, amount REAL NOT NULL, quantity INTEGER NOT NULL,
  discount REAL, paid INTEGER NOT NULL, channel TEXT NOT NULL, comment TEXT NOT NULL);
CREATE UNIQUE INDEX sale_code ON sale (code);
CREATE INDEX sale_sold ON sale (sold);
CREATE INDEX sale_region ON sale (region, amount);
CREATE INDEX sale_customer ON sale (customer_id);
CREATE INDEX sale_product ON sale (product_id);
"""

ROOTS = (
    "SELECT id, name, city, email, credit, active FROM customer"
    " WHERE name > ? ORDER BY name LIMIT ?"
)
ORDERS = (
    'SELECT id, customer_id, placed, state, total, note FROM "order"'
    " WHERE customer_id IN ({}) ORDER BY customer_id, id"
)
LINES = (
    "SELECT id, order_id, product, quantity, price FROM line"
    " WHERE order_id IN ({}) ORDER BY order_id, id"
)
ORDER = 'SELECT id, customer_id, placed, state, total, note FROM "order" WHERE id = ?'


class BySqlite:
    """Hand-written sqlite3."""

    name = "sqlite3"

    def __init__(self) -> None:
        self._path = Path()
        self._db: sqlite3.Connection | None = None

    def load_shop(
        self, folder: Path, customers: Sequence[Row], orders: Sequence[Row], lines: Sequence[Row]
    ) -> None:
        db = self._open(folder / "shop.sqlite")
        db.executescript(SHOP)
        db.execute("BEGIN")
        for table, rows in (("customer", customers), ('"order"', orders), ("line", lines)):
            _insert(db, table, rows)
        db.execute("COMMIT")
        db.execute("ANALYZE")

    def fetch_page(self, after: str) -> list[Row]:
        execute = self._open_db().execute
        execute("BEGIN")
        customers: dict[int, Row] = {
            i: {
                "id": i,
                "name": name,
                "city": city,
                "email": email,
                "credit": credit,
                "active": active == 1,
                "orders": [],
            }
            for i, name, city, email, credit, active in execute(ROOTS, (after, PAGE_ROOTS))
        }
        orders: dict[int, Row] = {}
        keys = list(customers)
        for i, customer, placed, state, total, note in execute(_with_keys(ORDERS, keys), keys):
            order: Row = {
                "id": i,
                "customer_id": customer,
                "placed": placed,
                "state": state,
                "total": total,
                "note": note,
                "lines": [],
            }
            orders[i] = order
            customers[customer]["orders"].append(order)
        keys = list(orders)
        for i, order_id, product, quantity, price in execute(_with_keys(LINES, keys), keys):
            orders[order_id]["lines"].append(
                {
                    "id": i,
                    "order_id": order_id,
                    "product": product,
                    "quantity": quantity,
                    "price": price,
                }
            )
        execute("COMMIT")
        return list(customers.values())

    def get_order(self, identity: int) -> Row | None:
        row = self._open_db().execute(ORDER, (identity,)).fetchone()
        if row is None:
            return None
        i, customer, placed, state, total, note = row
        return {
            "id": i,
            "customer_id": customer,
            "placed": placed,
            "state": state,
            "total": total,
            "note": note,
        }

    def begin_bulk(self, folder: Path, customers: Sequence[Row], products: Sequence[Row]) -> None:
        db = self._open(folder / "bulk.sqlite")
        db.executescript(BULK)
        db.execute("BEGIN")
        _insert(db, "customer", customers)
        _insert(db, "product", products)
        db.execute("COMMIT")

    def load_bulk(self, sales: Sequence[Row]) -> None:
        db = self._open_db()
        db.execute("BEGIN")
        _insert(db, "sale", sales)
        db.execute("COMMIT")

    def get_sale(self, identity: int) -> Row | None:
        found = self._open_db().execute("SELECT * FROM sale WHERE id = ?", (identity,))
        row = found.fetchone()
        if row is None:
            return None
        sale = dict(zip([each[0] for each in found.description], row, strict=True))
        sale["paid"] = sale["paid"] == 1
        return sale

    def compact(self) -> int:
        db = self._open_db()
        db.execute("VACUUM")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return self._path.stat().st_size

    def close(self) -> None:
        if self._db is not None:
            self._db.close()
            self._db = None

    def _open(self, path: Path) -> sqlite3.Connection:
        self.close()
        self._path = path
        self._db = sqlite3.connect(path, isolation_level=None, cached_statements=512)
        for pragma in (
            "journal_mode = WAL",
            "synchronous = FULL",
            "foreign_keys = ON",
            "mmap_size = 1073741824",
            "cache_size = -65536",
            "temp_store = MEMORY",
        ):
            self._db.execute(f"PRAGMA {pragma}")
        return self._db

    def _open_db(self) -> sqlite3.Connection:
        assert self._db is not None, "load something first"
        return self._db


def _with_keys(statement: str, keys: Sequence[int]) -> str:
    return statement.format(",".join("?" * len(keys)))


def _insert(db: sqlite3.Connection, table: str, rows: Sequence[Row]) -> None:
    names = list(rows[0])
    marks = ",".join("?" * len(names))
    statement = f"INSERT INTO {table} ({','.join(names)}) VALUES ({marks})"
    db.executemany(statement, map(itemgetter(*names), rows))
