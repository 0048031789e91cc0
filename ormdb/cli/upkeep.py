"""`ormdb check`, `stats`, `analyze`, `backup`, `archive`, `restore`, `compact`: upkeep of a file.

ormdb check flights.ormdb --deep        exit code 1 when something is wrong
ormdb backup flights.ormdb monday.ormdb
ormdb archive flights.ormdb tuesday.archive --since 240
ormdb restore monday.ormdb flights.ormdb --overwrite --archive tuesday.archive --as-of 251
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click
from rich.text import Text

import ormdb
from ormdb.cli.console import json_line, output, safe, say, write_line
from ormdb.cli.query_args import read_as_of
from ormdb.cli.tables import plain_table
from ormdb.database.maintenance import restore as restore_database


@click.command()
@click.argument("database")
@click.option("--deep", is_flag=True, help="Compare every row, entry and commit with the others.")
@click.pass_context
def check(context: click.Context, database: str, deep: bool) -> None:
    """Look for damage.  The exit code is 1 when there is some."""
    with ormdb.open(database, read_only=True) as db:
        report = db.check(deep=deep)
    counts = ", ".join(
        f"{count:,} {name.replace('_', ' ')}" for name, count in asdict(report.counts).items()
    )
    for problem in report.problems:
        write_line(safe(f"{problem.kind}: {problem.sentence}"))
    if report.more:
        write_line(f"and {report.more:,} problems more")
    if report.is_clean:
        write_line(f"sound at commit {report.version}: looked at {counts}")
        return
    say(f"{len(report.problems) + report.more:,} problems; restore a backup")
    context.exit(1)


@click.command()
@click.argument("database")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def stats(database: str, as_json: bool) -> None:
    """Print how many rows there are, how large the file is, how far history goes back."""
    with ormdb.open(database, read_only=True) as db:
        found = db.statistics()
    engine = {
        "map_bytes": found.engine.map_bytes,
        "used_bytes": found.engine.used_bytes,
        "readers": found.engine.readers,
        **found.engine.details,
    }
    if as_json:
        whole = {
            "version": found.version,
            "schema_version": found.schema_version,
            "horizon": found.horizon,
            "rows": found.rows,
            "analyzed": {
                name: {
                    "at": known.at.isoformat(),
                    "version": known.version,
                    "rows": known.rows,
                    "looked_at": known.looked_at,
                }
                for name, known in found.analysis.entities.items()
            },
            "engine": engine,
        }
        write_line(json_line(whole))
        return
    table = plain_table(["entity", "rows", "analyzed"])
    for name, count in found.rows.items():
        known = found.analysis.entities.get(name)
        when = "never" if known is None else f"{known.at:%Y-%m-%d %H:%M}, {known.rows:,} rows"
        table.add_row(Text(safe(name)), Text(f"{count:,}", justify="right"), when)
    output().print(table)
    facts = plain_table(["", ""])
    facts.add_row("commit", f"{found.version:,}")
    facts.add_row("schema version", f"{found.schema_version:,}")
    facts.add_row("history from commit", f"{found.horizon:,}")
    for name, count in engine.items():
        facts.add_row(Text(safe(name.replace("_", " "))), f"{count:,}")
    output().print(facts)


@click.command()
@click.argument("database")
@click.argument("entities", nargs=-1)
def analyze(database: str, entities: tuple[str, ...]) -> None:
    """Look at a sample of the rows, so that queries are planned by what they are like.

    ENTITIES are those to look at; all of them when none is named.
    """
    with ormdb.open(database, statistics="manual") as db:
        found = db.analyze(*entities)
    table = plain_table(["entity", "rows", "looked at"])
    for name, known in found.entities.items():
        if not entities or name in entities:
            counts = [Text(f"{n:,}", justify="right") for n in (known.rows, known.looked_at)]
            table.add_row(Text(safe(name)), *counts)
    output().print(table)


@click.command()
@click.argument("database")
@click.argument("target")
def backup(database: str, target: str) -> None:
    """Copy the newest commit to the new file TARGET, while others go on writing."""
    with ormdb.open(database, read_only=True) as db:
        db.backup(target)
    say(f"{target}: {Path(target).stat().st_size:,} bytes")


@click.command()
@click.argument("database")
@click.argument("target")
@click.option(
    "--since",
    type=int,
    required=True,
    metavar="COMMIT",
    help="The newest commit of the backup, or of the archive before.",
)
def archive(database: str, target: str, since: int) -> None:
    """Write what was committed after a version to the new file TARGET."""
    with ormdb.open(database, read_only=True) as db:
        outcome = db.archive(target, since=since)
    say(
        f"{target}: commits {outcome.since + 1:,} to {outcome.version:,}, {outcome.bytes:,} bytes"
        if outcome.commits
        else f"{target}: nothing was committed since {outcome.since:,}"
    )


@click.command()
@click.argument("backup_file", metavar="BACKUP")
@click.argument("database")
@click.option("--overwrite", is_flag=True, help="Replace the database if it is there.")
@click.option(
    "--archive",
    "archives",
    multiple=True,
    metavar="FILE",
    help="What was committed since the backup; as often as needed.",
)
@click.option("--as-of", metavar="WHEN", help="A commit version or a timestamp.")
def restore(
    backup_file: str, database: str, overwrite: bool, archives: tuple[str, ...], as_of: str | None
) -> None:
    """Make DATABASE out of BACKUP, which is verified first and stays as it is.

    With --as-of it is the database as it was then, as far as the backup's history and the archives
    reach.
    """
    outcome = restore_database(
        backup_file,
        database,
        overwrite=overwrite,
        archives=archives,
        as_of=None if as_of is None else read_as_of(as_of),
    )
    say(
        f"{database}: restored from {backup_file}; its newest commit is {outcome.version:,},"
        f" of {outcome.at:%Y-%m-%d %H:%M:%S} UTC"
    )


@click.command()
@click.argument("database")
def compact(database: str) -> None:
    """Rewrite the file without its free pages.  Nobody else may have it open."""
    with ormdb.open(database) as db:
        outcome = db.compact()
    say(f"{database}: {outcome.bytes_before:,} bytes before, {outcome.bytes_after:,} now")
