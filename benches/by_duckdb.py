"""DuckDB: the statements by hand, with its own dialect where that is faster.

    lines_of    SELECT ... WHERE order_id IN (SELECT unnest(?)) ORDER BY order_id, id

A column store: made to read whole columns, not to follow one row to the next.  It has the same
tables, keys and indexes, and two answers of this page are why it is here: what a graph costs when
every level is a join over columns, and how small the data gets.  The checkers of this project run
without DuckDB, hence what comes from it is `Any`.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any, ClassVar, Final

from benches.by_hand import ByHand
from benches.by_sqlite import STATEMENTS as SQLITE_STATEMENTS
from benches.contestant import TOP
from benches.data import Row
from benches.sqlite_file import insert_statement
from benches.tables import TABLES, create_statements

duckdb: Any = importlib.import_module("duckdb")

TYPES: Final = {"int": "BIGINT", "real": "DOUBLE", "text": "VARCHAR", "bool": "BOOLEAN"}
CHUNK_ROWS: Final = 50_000
STATEMENTS: Final[dict[str, str]] = {
    **{name: text.format("SELECT unnest(?)") for name, text in SQLITE_STATEMENTS.items()},
    "top_reviews": (
        "SELECT id, movie_id, score, author, body FROM reviews"
        " WHERE movie_id IN (SELECT unnest(?))"
        " QUALIFY row_number() OVER (PARTITION BY movie_id ORDER BY score DESC, id DESC)"
        f" <= {TOP} ORDER BY score DESC, id DESC"
    ),
    # DuckDB's sum of integers is of 128 bits, which takes longer to hand over.
    "order_folds": SQLITE_STATEMENTS["order_folds"]
    .replace("sum(placed)", "sum(placed)::BIGINT")
    .format("SELECT unnest(?)"),
    "pages": SQLITE_STATEMENTS["pages"].replace("sum(seconds)", "sum(seconds)::BIGINT"),
    "orders_of_city": SQLITE_STATEMENTS["orders_of_city"].replace(
        "CROSS JOIN customers c ON", "JOIN customers c ON"
    ),
}


class ByDuckdb(ByHand):
    """DuckDB."""

    lacks: ClassVar[Mapping[str, str]] = {
        "update by identity, durable": (
            "it updates an indexed row by deleting and inserting it, which it refuses while other"
            " rows refer to it"
        )
    }
    _db: Any

    def create(self, world: str) -> None:
        self.open(world)
        for statement in create_statements(world, TYPES, "BIGINT PRIMARY KEY"):
            self._db.execute(statement)

    def open(self, world: str) -> None:
        self._db = duckdb.connect(str(self.folder / f"{world}.duckdb"))

    def close(self) -> None:
        self._db.close()

    def bulk_load(self, table: str, rows: Sequence[Row]) -> None:
        """Columns in chunks: rows one by one would take minutes."""
        columns = TABLES[table].columns
        marks = ", ".join(f"unnest(?::{TYPES[kind.rstrip('?')]}[])" for kind in columns.values())
        statement = f"INSERT INTO {table} ({', '.join(columns)}) SELECT {marks}"
        left = iter(rows)
        self._db.execute("BEGIN")
        while batch := list(islice(left, CHUNK_ROWS)):
            self._db.execute(statement, [[row[name] for row in batch] for name in columns])
        self._db.execute("COMMIT")

    def settle(self) -> None:
        self._db.execute("ANALYZE")
        self._db.execute("CHECKPOINT")

    def compact(self) -> None:
        self._db.execute("CHECKPOINT")

    def select(self, name: str, *parameters: object) -> Iterable[Sequence[Any]]:
        return self._all(STATEMENTS[name], parameters)

    def among(self, name: str, keys: Sequence[int]) -> Iterable[Sequence[Any]]:
        return self._all(STATEMENTS[name], (keys,))

    def _all(self, statement: str, parameters: Sequence[object]) -> list[Sequence[Any]]:
        found: list[Sequence[Any]] = self._db.execute(statement, parameters).fetchall()
        return found

    def begin_read(self) -> None:
        self._db.execute("BEGIN")

    def end_read(self) -> None:
        self._db.execute("COMMIT")

    def insert_review(self, review: Row) -> None:
        self._db.execute(insert_statement("reviews"), list(review.values()))

    def insert_movie(self, movie: Row, roles: Sequence[Row]) -> None:
        self._db.execute("BEGIN")
        self._db.execute(insert_statement("movies"), list(movie.values()))
        marks = "(?, ?, ?, ?, ?, ?)"
        statement = f"INSERT INTO roles VALUES {', '.join([marks] * len(roles))}"
        self._db.execute(statement, [value for role in roles for value in role.values()])
        self._db.execute("COMMIT")

    def update_order(self, identity: int, state: str, note: str) -> None:
        raise AssertionError("it lacks this case")
