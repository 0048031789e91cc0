"""Hand-written sqlite3, tuned: what the others are measured against.

    customers_after      SELECT ... WHERE name > ? ORDER BY name LIMIT ?
    orders_of            SELECT ... WHERE customer_id IN (?,?,...) ORDER BY customer_id, id

WAL, a memory map over the whole file, a large page cache, the right indexes, statements that the
connection keeps prepared, one per level of a graph, and a read transaction around each graph.  The
best rows of each parent come from a correlated subquery, which walks the index once per parent; a
window function over all rows of all parents took thirty times as long.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any, Final

from benches import sqlite_file
from benches.by_hand import ByHand
from benches.contestant import TOP
from benches.data import Row
from benches.tables import TABLES

ORDER: Final = "SELECT id, customer_id, placed, state, total, note FROM orders"
PERSON: Final = "SELECT id, name, born FROM people"
CUSTOMER: Final = "SELECT id, name, city, email, credit, active FROM customers"
MOVIE: Final = "SELECT id, title, year, rating FROM movies"
ROLE: Final = "SELECT id, movie_id, person_id, billing, part, season FROM roles"

STATEMENTS: Final[dict[str, str]] = {
    "order": f"{ORDER} WHERE id = ?",
    "sale": f"SELECT {', '.join(TABLES['sales'].columns)} FROM sales WHERE id = ?",
    "customer_named": f"{CUSTOMER} WHERE name = ?",
    "customers_after": f"{CUSTOMER} WHERE name > ? ORDER BY name LIMIT ?",
    "orders_of": f"{ORDER} WHERE customer_id IN ({{}}) ORDER BY customer_id, id",
    "lines_of": (
        "SELECT id, order_id, product, quantity, price FROM lines"
        " WHERE order_id IN ({}) ORDER BY order_id, id"
    ),
    "movie": f"{MOVIE} WHERE id = ?",
    "movies": f"{MOVIE} WHERE id IN ({{}})",
    "movies_after": f"{MOVIE} WHERE title > ? ORDER BY title LIMIT ?",
    "people": f"{PERSON} WHERE id IN ({{}})",
    "people_after": f"{PERSON} WHERE name > ? ORDER BY name LIMIT ?",
    "people_between": f"{PERSON} WHERE name >= ? AND name < ? ORDER BY name",
    "roles_of_movies": f"{ROLE} WHERE movie_id IN ({{}}) ORDER BY movie_id, billing",
    "roles_of_people": f"{ROLE} WHERE person_id IN ({{}}) ORDER BY person_id, season, id",
    "reviews_of": (
        "SELECT id, movie_id, score, author, body FROM reviews"
        " WHERE movie_id IN ({}) ORDER BY movie_id, id"
    ),
    "top_reviews": (
        "SELECT r.id, r.movie_id, r.score, r.author, r.body"
        " FROM movies m CROSS JOIN reviews r ON r.id IN (SELECT id FROM reviews"
        f" WHERE movie_id = m.id ORDER BY score DESC, id DESC LIMIT {TOP})"
        " WHERE m.id IN ({}) ORDER BY r.score DESC, r.id DESC"
    ),
    "order_folds": (
        "SELECT customer_id, count(*), avg(placed), sum(placed) FROM orders"
        " WHERE customer_id IN ({}) GROUP BY customer_id"
    ),
    "orders_in_state": (
        f"{ORDER} WHERE state = ? AND placed < ? ORDER BY placed DESC, id DESC LIMIT ?"
    ),
    "orders_between": f"{ORDER} WHERE placed >= ? AND placed < ? ORDER BY placed, id",
    "orders_of_city": (
        "SELECT o.id, o.customer_id, o.placed, o.state, o.total, o.note"
        " FROM orders o CROSS JOIN customers c ON c.id = o.customer_id"
        " WHERE c.city = ? AND o.placed < ? ORDER BY o.placed DESC, o.id DESC LIMIT ?"
    ),
    "pages": (
        "SELECT page, count(*), sum(seconds), max(paid) FROM visits GROUP BY page ORDER BY page"
    ),
}


class BySqlite(ByHand):
    """Hand-written sqlite3."""

    db: sqlite3.Connection
    _execute: Callable[..., sqlite3.Cursor]  # bound once, as a program in a hurry does

    def create(self, world: str) -> None:
        self._use(sqlite_file.create(self.folder, world))

    def open(self, world: str) -> None:
        self._use(sqlite_file.connect(sqlite_file.path_of(self.folder, world)))

    def _use(self, db: sqlite3.Connection) -> None:
        self.db = db
        self._execute = db.execute

    def close(self) -> None:
        self.db.close()

    def bulk_load(self, table: str, rows: Sequence[Row]) -> None:
        sqlite_file.insert_all(self.db, table, rows)

    def settle(self) -> None:
        sqlite_file.settle(self.db)

    def compact(self) -> None:
        sqlite_file.compact(self.db)

    def select(self, name: str, *parameters: object) -> Iterable[Sequence[Any]]:
        return self._execute(STATEMENTS[name], parameters)

    def among(self, name: str, keys: Sequence[int]) -> Iterable[Sequence[Any]]:
        return self._execute(_with_keys(name, len(keys)), keys)

    def begin_read(self) -> None:
        self._execute("BEGIN")

    def end_read(self) -> None:
        self._execute("COMMIT")

    def insert_review(self, review: Row) -> None:
        self._execute(sqlite_file.insert_statement("reviews"), tuple(review.values()))

    def insert_movie(self, movie: Row, roles: Sequence[Row]) -> None:
        db = self.db
        db.execute("BEGIN IMMEDIATE")
        db.execute(sqlite_file.insert_statement("movies"), tuple(movie.values()))
        rows = [tuple(role.values()) for role in roles]
        db.executemany(sqlite_file.insert_statement("roles"), rows)
        db.execute("COMMIT")

    def update_order(self, identity: int, state: str, note: str) -> None:
        statement = "UPDATE orders SET state = ?, note = ? WHERE id = ?"
        self._execute(statement, (state, note, identity))


@lru_cache(maxsize=1_000)
def _with_keys(name: str, count: int) -> str:
    return STATEMENTS[name].format(",".join("?" * count))
