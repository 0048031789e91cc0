"""`ormdb import`: SQLite, CSV and JSON Lines files as a new database.

    ormdb import northwind.sqlite northwind.ormdb
    ormdb import airports.csv flights.csv.zip flights.ormdb --null NA --identity airports=faa \\
        --link 'flights.origin -> airports.faa' --dangling unenforce

      airports   ━━━━━━━━━━━━━━━━━━━━   1,458/338,234   82,000 rows/s   0:00:04

The source is looked at as a whole first; what is left out, changed or dangling is told before the
first row is loaded.  The database appears when everything is in it.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Generator
from pathlib import Path
from typing import Final, TypedDict, Unpack

import click
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from ormdb.catalog.text import bundle_to_text
from ormdb.catalog.validate import validate
from ormdb.cli.console import messages, output, safe, say, write_line
from ormdb.cli.tables import plain_table
from ormdb.errors import ImportFileError, UsageError
from ormdb.exchange.files import plan_files
from ormdb.exchange.plan import (
    Dangles,
    ImportOptions,
    ImportPlan,
    Link,
    TablePlan,
    parse_declared_type,
    parse_identity,
)
from ormdb.exchange.run import Progress as Report
from ormdb.exchange.run import run_import
from ormdb.exchange.sqlite import plan_sqlite

_SQLITE_MAGIC: Final = b"SQLite format 3\x00"
_SQLITE_SUFFIXES: Final = {".db", ".sqlite", ".sqlite3", ".db3"}


class _Asked(TypedDict):
    """The options of `import` that say how the source is read."""

    dangling: Dangles
    types: tuple[str, ...]
    links: tuple[str, ...]
    identities: tuple[str, ...]
    nulls: tuple[str, ...]
    utc: bool
    delimiter: str | None
    encoding: str


@click.command(name="import")
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE...")
@click.argument("database")
@click.option(
    "--dangling", type=click.Choice(["refuse", "unenforce"]), default="refuse", show_default=True,
    help="What to do with a relation some of whose rows point at nothing.",
)  # fmt: skip
@click.option(
    "--type", "types", multiple=True, metavar="TABLE.COLUMN=TYPE",
    help="Read a column as this type, as in t.day=date? or t.price='decimal(10, 2)'.",
)  # fmt: skip
@click.option(
    "--link", "links", multiple=True, metavar="LINK",
    help="A relation, as in 'flights.origin -> airports.faa as departed_from'.",
)  # fmt: skip
@click.option(
    "--identity", "identities", multiple=True, metavar="FILE=COLUMNS",
    help="The columns that tell the rows of a text file apart, as in weather=origin,time_hour.",
)  # fmt: skip
@click.option(
    "--null", "nulls", multiple=True, metavar="TEXT",
    help="A cell of a CSV file that is NULL, in place of the empty one; as often as needed.",
)  # fmt: skip
@click.option("--utc", is_flag=True, help="Read timestamps without a zone in text files as UTC.")
@click.option("--delimiter", metavar="CHAR", help="What parts the cells of CSV files.")
@click.option("--encoding", default="utf-8-sig", show_default=True, help="Of text files.")
@click.option("--dry-run", is_flag=True, help="Only print the schema the database would have.")
@click.option("--quiet", is_flag=True, help="Print errors only.")
def import_(
    *,
    sources: tuple[str, ...],
    database: str,
    dry_run: bool,
    quiet: bool,
    **given: Unpack[_Asked],
) -> None:
    """Make the new database file DATABASE out of one SQLite file, or of CSV (.csv, .tsv) and JSON
    Lines (.jsonl) files, which may be packed (.zip, .gz)."""
    options = _options(given)
    if not dry_run and Path(database).exists():
        raise ImportFileError(f"{database} exists already; name a new file, or remove it first")
    with _looking(quiet=quiet), _plan(sources, options) as plan:
        validate(plan.bundle)
        if not quiet:
            _say_notes(plan)
        if dry_run:
            for line in bundle_to_text(plan.bundle).rstrip("\n").split("\n"):
                write_line(safe(line))
            return
        began = time.monotonic()
        with _progress(plan, quiet=quiet) as report:
            rows = run_import(plan, database, progress=report)
        if not quiet:
            _say_done(plan, database, rows, time.monotonic() - began)


def _options(given: _Asked) -> ImportOptions:
    return ImportOptions(
        dangling=given["dangling"],
        types=dict(map(parse_declared_type, given["types"])),
        identities=dict(map(parse_identity, given["identities"])),
        links=tuple(map(Link.parse, given["links"])),
        nulls=given["nulls"] or ("",),
        utc=given["utc"],
        delimiter=given["delimiter"],
        encoding=given["encoding"],
    )


def _plan(sources: tuple[str, ...], options: ImportOptions) -> ImportPlan:
    databases = [path for path in sources if _is_sqlite(path)]
    if not databases:
        return plan_files(sources, options)
    if len(sources) > 1:
        raise ImportFileError(
            f"{databases[0]} is a SQLite file and is imported alone; name no other source"
        )
    if options.identities:
        raise UsageError("the identities of a SQLite file are its own; leave out --identity")
    return plan_sqlite(databases[0], options)


def _is_sqlite(path: str) -> bool:
    if Path(path).suffix.lower() in _SQLITE_SUFFIXES:
        return True
    try:
        with Path(path).open("rb") as file:
            return file.read(len(_SQLITE_MAGIC)) == _SQLITE_MAGIC
    except OSError:
        return False


# --- what is said meanwhile -----------------------------------------------------------------


@contextlib.contextmanager
def _looking(*, quiet: bool) -> Generator[None]:
    console = messages()
    if console.is_terminal and not quiet:
        console.print("looking at the source…", style="dim")
    yield


def _say_notes(plan: ImportPlan) -> None:
    for note in plan.notes:
        say(f"note: {note}")
    for one in plan.dangling:
        say(f"note: {one.sentence}; the relation {one.relation} is not enforced")


class _RateColumn(ProgressColumn):
    """Rows per second."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:,.0f} rows/s", style="progress.data.speed")


@contextlib.contextmanager
def _progress(plan: ImportPlan, *, quiet: bool) -> Generator[Report | None]:
    """A bar with rate and time to go, where somebody watches."""
    console = messages()
    if quiet or not console.is_terminal:
        yield None
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        _RateColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=plan.rows)

        def report(table: TablePlan, done: int, of: int) -> None:
            bar.update(task, completed=done, description=safe(table.entity.name))

        yield report


def _say_done(plan: ImportPlan, database: str, rows: int, seconds: float) -> None:
    table = plain_table(["entity", "rows"])
    for one in plan.tables:
        table.add_row(Text(safe(one.entity.name)), Text(f"{one.rows:,}", justify="right"))
    output().print(table)
    size = Path(database).stat().st_size
    rate = rows / max(seconds, 1e-9)
    say(f"{database}: {rows:,} rows in {seconds:.1f} s ({rate:,.0f} rows/s), {size:,} bytes")
