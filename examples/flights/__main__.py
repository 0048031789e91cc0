"""`make demo`: 367,687 rows of real data, fetched as graphs, beside hand-written sqlite3.

The database is made anew in .demo/ and stays there, so that you can go on with it:

    .venv/bin/ormdb fetch .demo/flights.ormdb Airport --where "alt > 5000" --include arrivals:2
"""

from __future__ import annotations

import shutil
import statistics
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console

import ormdb
from examples.flights.by_hand import fetch_by_hand, load_tables
from examples.flights.queries import TOUR, where_planes_went_next
from examples.flights.schema import SCHEMA, Airport, Flight, Plane
from examples.flights.show import (
    make_console,
    make_progress,
    show_comparison,
    show_cost,
    show_error,
    show_program,
    show_rate,
    show_rows,
)
from examples.flights.source import ROW_COUNTS, Row, read_table
from ormdb import Database
from ormdb.errors import BudgetError

FOLDER = Path(".demo")
ENTITIES = dict(zip(ROW_COUNTS, SCHEMA, strict=True))
TRIES = 9


def main() -> None:
    """Load, fetch, reopen, look back, go too far, compare."""
    console = make_console()
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir()
    with ormdb.open(FOLDER / "flights.ormdb", schema=SCHEMA) as db:
        load(console, db)
        for step in TOUR:
            show_program(console, _title(step.__doc__), step)
            answer = db.fetch(step())
            show_rows(console, answer.to_dicts())
            show_cost(console, answer.statistics)
    with ormdb.open(FOLDER / "flights.ormdb", schema=SCHEMA) as db:
        reopen(console, db)
        look_back(console, db)
        go_too_far(console, db)
        compare(console, db)


def load(console: Console, db: Database) -> None:
    """Bulk load the five tables, parents first."""
    console.rule("[bold]Five tables, 367,687 rows", align="left")
    with make_progress(console) as progress:
        for table, count in ROW_COUNTS.items():
            advance = show_rate(progress, table, count)
            db.bulk_load(ENTITIES[table], read_table(table), progress=advance, total=count)
    console.print()


def reopen(console: Console, db: Database) -> None:
    """Say what is there after closing and opening again."""
    console.rule("[bold]Closed and opened again", align="left")
    rows = db.statistics().rows
    console.print("   ".join(f"{name} [bold]{count:,}[/]" for name, count in rows.items()), "\n")


def look_back(console: Console, db: Database) -> None:
    """Update a row, then read it now and as of before."""
    console.rule("[bold]An update, and the row as of the commit before", align="left")
    before = db.version
    with db.transaction() as txn:
        txn.update(Airport.key("JFK"), Airport.name.to("Idlewild"))
    for label, query in (
        (f"now, at commit {db.version}", Airport.where(Airport.faa == "JFK")),
        (f"as of commit {before}", Airport.where(Airport.faa == "JFK").as_of(before)),
    ):
        (airport,) = db.fetch(query)
        console.print(f"{label:24} [bold]{airport.name}")
    console.print()


def planes_of_new_york() -> ormdb.Query[Airport]:
    """A fetch over its budget: every flight of every plane that ever left New York"""
    planes = Flight.plane.include(Plane.flights)
    return Airport.include(Airport.departures.include(planes)).budget(rows=20_000)


def go_too_far(console: Console, db: Database) -> None:
    """Ask for more than the budget allows; nothing is shortened, the fetch is refused."""
    show_program(console, _title(planes_of_new_york.__doc__), planes_of_new_york)
    try:
        db.fetch(planes_of_new_york())
    except BudgetError as error:
        show_error(console, error)


def compare(console: Console, db: Database) -> None:
    """The deepest fetch of the tour beside the same graph by hand."""
    console.rule("[bold]The deepest of these fetches, by hand with sqlite3", align="left")
    tables = load_tables(FOLDER / "flights.sqlite")
    query = where_planes_went_next()
    ours, theirs = db.fetch(query).to_dicts(), fetch_by_hand(tables)
    if ours != theirs:
        raise SystemExit("the two answers differ")
    contestants: dict[str, Callable[[], list[Row]]] = {
        "ormdb": lambda: db.fetch(query).to_dicts(),
        "sqlite3 by hand": lambda: fetch_by_hand(tables),
    }
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(TRIES):
        for name, work in contestants.items():
            began = time.perf_counter()
            work()
            seconds[name].append(time.perf_counter() - began)
    tables.close()
    lines = [(name, statistics.median(taken)) for name, taken in seconds.items()]
    show_comparison(console, lines, "The same nested dicts, compared value by value.")


def _title(doc: str | None) -> str:
    return (doc or "").strip().removesuffix(".")


if __name__ == "__main__":
    main()
