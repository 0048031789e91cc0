"""Who takes part: where each contestant is written, and what has to be installed for it.

    ormdb     benches.by_ormdb:ByOrmdb       and ormdb cold, the same without a row cache
    sqlite3   benches.by_sqlite:BySqlite     the standard library: always there
    duckdb    benches.by_duckdb:ByDuckdb     if the package duckdb is installed, otherwise left out

Contestants are named as text, so that only the process that runs one imports its package.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

REFERENCE: Final = "sqlite3"  # whose answers the others' are compared with, and whose times
OURS: Final = "ormdb"
INSTALL: Final = "pip install 'ormdb[bench]', which `make bench` does"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One contestant."""

    name: str
    place: str  # module:class
    package: str | None = None  # what it needs besides Python and ormdb

    @property
    def is_there(self) -> bool:
        """Whether what it needs is installed."""
        return self.package is None or importlib.util.find_spec(self.package) is not None


ROSTER: Final = (
    Entry(name="ormdb", place="benches.by_ormdb:ByOrmdb"),
    Entry(name="ormdb cold", place="benches.by_ormdb:ByOrmdbCold"),
    Entry(name="sqlite3", place="benches.by_sqlite:BySqlite"),
    Entry(name="sqlalchemy", place="benches.by_sqlalchemy:BySqlalchemy", package="sqlalchemy"),
    Entry(name="django", place="benches.by_django:ByDjango", package="django"),
    Entry(name="peewee", place="benches.by_peewee:ByPeewee", package="peewee"),
    Entry(name="duckdb", place="benches.by_duckdb:ByDuckdb", package="duckdb"),
    Entry(name="ladybug", place="benches.by_ladybug:ByLadybug", package="ladybug"),
)


def split_by_presence(entries: Sequence[Entry]) -> tuple[list[Entry], list[Entry]]:
    """Those that can run, and those whose package is missing."""
    there = [entry for entry in entries if entry.is_there]
    return there, [entry for entry in entries if not entry.is_there]
