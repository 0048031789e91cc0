"""A SQLite file as a careful program sets it up; four contestants work on one like it.

    reads.sqlite     WAL, synced at every commit, foreign keys enforced, a memory map over the
                     whole file, 64 MB of page cache, the indexes of `benches.tables`, analyzed

The contestant by hand reads it with statements of its own, the object-relational mappers through
their models.  All of them thus have the same tables, indexes and settings.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from functools import cache
from operator import itemgetter
from pathlib import Path
from typing import Final

from benches.data import Row
from benches.tables import TABLES, create_statements

PRAGMAS: Final[dict[str, str]] = {
    "journal_mode": "wal",
    "synchronous": "full",
    "foreign_keys": "on",
    "mmap_size": "1073741824",
    "cache_size": "-65536",
    "temp_store": "memory",
}
TYPES: Final = {"int": "INTEGER", "real": "REAL", "text": "TEXT", "bool": "INTEGER"}


def path_of(folder: Path, world: str) -> Path:
    """Where the file of a world lies."""
    return folder / f"{world}.sqlite"


def pragma_script() -> str:
    """The settings as statements."""
    return "".join(f"PRAGMA {name} = {value};" for name, value in PRAGMAS.items())


def connect(path: Path) -> sqlite3.Connection:
    """Open with the settings; statements begin and end transactions themselves."""
    db = sqlite3.connect(path, isolation_level=None, cached_statements=512)
    for name, value in PRAGMAS.items():
        db.execute(f"PRAGMA {name} = {value}")
    return db


def create(folder: Path, world: str) -> sqlite3.Connection:
    """Make the empty tables of a world with all their indexes."""
    db = connect(path_of(folder, world))
    for statement in create_statements(world, TYPES, "INTEGER PRIMARY KEY"):
        db.execute(statement)
    return db


def insert_all(db: sqlite3.Connection, table: str, rows: Iterable[Row]) -> None:
    """Insert rows in one transaction."""
    db.execute("BEGIN")
    db.executemany(insert_statement(table), map(itemgetter(*TABLES[table].columns), rows))
    db.execute("COMMIT")


@cache
def insert_statement(table: str) -> str:
    """One row, its values in the order of the columns."""
    columns = TABLES[table].columns
    marks = ", ".join("?" * len(columns))
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})"


def settle(db: sqlite3.Connection) -> None:
    """Let the planner know the rows, and empty the log into the file."""
    db.execute("ANALYZE")
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def compact(db: sqlite3.Connection) -> None:
    """Leave out free pages and the log."""
    db.execute("VACUUM")
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
