"""An import run: a plan becomes a database file, whole or not at all.

    run_import(plan, "flights.ormdb", progress=show)

    flights.ormdb.importing      built here, all tables in one commit, without syncing
    flights.ormdb                moved here when everything is on disk

An import makes a new database.  The file it is built in is removed when anything goes wrong.

Invariants (held by tests/unit/exchange/test_run.py):
  1. After an error there is neither the database nor the file it was built in.
  2. A file that exists is never touched.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

from ormdb.database.database import Database
from ormdb.database.opening import MEMORY_PATH, open_database
from ormdb.errors import ImportFileError
from ormdb.exchange.plan import ImportPlan, TablePlan
from ormdb.ir.value import RowDict

# Called with the table being read, the rows done of all tables, and the rows there are.
Progress: TypeAlias = Callable[[TablePlan, int, int], None]

_ROWS_PER_REPORT = 1_000


def run_import(
    plan: ImportPlan, path: str | os.PathLike[str], *, progress: Progress | None = None
) -> int:
    """Make the database that a plan describes; how many rows it has.

    Raises:
      ImportFileError: the target exists, or the source cannot be read any more.
      UsageError: a row breaks a constraint or a limit.
    """
    target = Path(path)
    if os.fspath(path) == MEMORY_PATH:
        raise ImportFileError("an import makes a file; name one")
    _refuse_existing(target)
    # Beside the target, so that moving it there is one step.
    building = target.with_name(target.name + ".importing")
    if building.exists():
        raise ImportFileError(
            f"{building} exists: another import is running, or one was interrupted; remove it "
            "if none is running"
        )
    try:
        with open_database(
            building, plan.bundle, durability="none", statistics="manual"
        ) as database:
            rows = load(plan, database, progress=progress)
            database.analyze()  # the first queries shall know what there is
            database.engine.sync()
        _refuse_existing(target)
        building.rename(target)
        _sync_folder(target.parent)
    finally:
        _remove(building)
    return rows


def load(plan: ImportPlan, database: Database, *, progress: Progress | None = None) -> int:
    """Load the rows of a plan into a database that has its schema, in one commit."""
    done = 0

    def counted(table: TablePlan) -> Iterator[RowDict]:
        nonlocal done
        for row in table.read():
            yield row
            done += 1
            if progress is not None and done % _ROWS_PER_REPORT == 0:
                progress(table, done, plan.rows)
        if progress is not None:
            progress(table, done, plan.rows)

    return database.bulk_load_all((table.entity.name, counted(table)) for table in plan.tables)


def _refuse_existing(path: Path) -> None:
    if path.exists() or path.is_symlink():
        raise ImportFileError(f"{path} exists already; name a new file, or remove it first")


def _sync_folder(path: Path) -> None:
    """Make the new name as durable as the file."""
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _remove(path: Path) -> None:
    """Remove a database file and what LMDB keeps beside it."""
    for one in (path, path.with_name(path.name + "-lock")):
        with contextlib.suppress(FileNotFoundError):
            one.unlink()
