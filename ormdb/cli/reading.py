"""`ormdb get` and `ormdb fetch`: rows and graphs, as a table, a tree, JSON or JSON lines.

    ormdb get flights.ormdb Airport JFK
    ormdb fetch flights.ormdb Airport --where 'faa in ("JFK", "LGA")' --include departures:5
    ormdb fetch flights.ormdb late_flights.py --jsonl

Without --limit a table shows the first rows only, and says so; JSON has them all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final, TypeAlias, TypedDict, Unpack

import click

import ormdb
from ormdb.cli.console import json_line, messages, output, say, write_line
from ormdb.cli.query_args import (
    QueryArguments,
    build_query,
    read_as_of,
    read_identity,
    read_query_file,
)
from ormdb.cli.tables import cell, field_types, has_many, plain_table, rows_table, rows_tree
from ormdb.errors import NotFoundError, UsageError
from ormdb.ir.expr import And as AndAll
from ormdb.ir.expr import Compare, Expr, FieldRef, Literal
from ormdb.ir.graph import GraphQuery, Include, Page
from ormdb.ir.value import RowDict
from ormdb.session import Answer

_TABLE_ROWS: Final = 25
Command: TypeAlias = Callable[..., Any]

_json = click.option("--json", "form", flag_value="json", help="Print one JSON array.")
_jsonl = click.option("--jsonl", "form", flag_value="jsonl", help="Print one JSON object per line.")
_include = click.option(
    "--include", "includes", multiple=True, metavar="PATH",
    help="Follow relations, as in departures:5.plane; :5 is five rows of each parent.",
)  # fmt: skip
_as_of = click.option("--as-of", metavar="WHEN", help="A commit version or a timestamp.")
_OF_QUERY = (
    click.argument("what", metavar="ENTITY|FILE.py"),
    click.option(
        "--where", metavar="EXPRESSION", help="As in 'dep_delay > 120 and dest == \"LAX\"'."
    ),
    _include,
    click.option(
        "--order", multiple=True, metavar="FIELD", help="A field, with - before it if descending."
    ),
    click.option("--limit", type=click.IntRange(min=0), metavar="N", help="At most N rows."),
    click.option(
        "--offset", type=click.IntRange(min=0), default=0, metavar="N", help="Skip N rows."
    ),
    click.option("--after", metavar="CURSOR", help="The page behind a cursor."),
    click.option("--before", metavar="CURSOR", help="The page in front of a cursor."),
    click.option(
        "--select", multiple=True, metavar="FIELDS", help="Only these fields, as in id,name."
    ),
    _as_of,
)


# A key may be a negative number, which is no option.
@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("database")
@click.argument("entity")
@click.argument("key", nargs=-1, required=True)
@_include
@_as_of
@_json
@_jsonl
def get(
    *,
    database: str,
    entity: str,
    key: tuple[str, ...],
    includes: tuple[str, ...],
    as_of: str | None,
    form: str | None,
) -> None:
    """Print one row of ENTITY by its identity KEY (several values if it has several fields)."""
    with ormdb.open(database, read_only=True) as db:
        bundle = db.schema
        identity = read_identity(bundle, entity, key)
        query = build_query(QueryArguments(entity=entity, includes=includes))
        names = next(one.identity for one in bundle.entities if one.name == entity)
        parts: list[Expr] = [
            Compare(op="==", left=FieldRef(path=(name,)), right=Literal(value=value))
            for name, value in zip(names, identity, strict=True)
        ]
        rows = db.run_fetch(
            replace(
                query,
                filter=AndAll(items=tuple(parts)),
                as_of=None if as_of is None else read_as_of(as_of),
            )
        ).dicts()
        if not rows:
            shown = ", ".join(f"{name} = {text}" for name, text in zip(names, key, strict=True))
            raise NotFoundError(f"{entity} has no row with {shown}; see ormdb fetch for others")
        if form is not None:
            write_line(json_line(rows[0]))
        elif includes:
            types = field_types(bundle, entity)
            output().print(rows_tree(entity, rows, query.includes, types))
        else:
            types = field_types(bundle, entity)
            table = plain_table(["field", "value"])
            for name, value in rows[0].items():
                table.add_row(cell(name), cell(value, types.get(name)))
            output().print(table)


class Asked(TypedDict):
    """The options that make a query."""

    where: str | None
    includes: tuple[str, ...]
    order: tuple[str, ...]
    select: tuple[str, ...]
    limit: int | None
    offset: int
    after: str | None
    before: str | None
    as_of: str | None


def query_options(command: Command) -> Command:
    """Give a command the arguments and options that make a query."""
    for decorate in reversed(_OF_QUERY):
        command = decorate(command)
    return command


def asked_query(what: str, given: Asked) -> GraphQuery:
    """The query that a command line asks for.

    Raises:
      UsageError: a file says what to fetch, and options as well.
      QueryError, ExpressionError: an argument cannot be read.
    """
    asked = QueryArguments(entity=what, **given)
    if not what.endswith(".py"):
        return build_query(asked)
    if asked != QueryArguments(entity=what):
        raise UsageError(f"{what} says what to fetch; leave out the options that say so too")
    return read_query_file(what)


@click.command()
@click.argument("database")
@query_options
@click.option("--count", "only_count", is_flag=True, help="Print the number of rows only.")
@click.option("--stats", "with_stats", is_flag=True, help="Say what the fetch cost.")
@_json
@_jsonl
def fetch(
    *,
    database: str,
    what: str,
    only_count: bool,
    with_stats: bool,
    form: str | None,
    **given: Unpack[Asked],
) -> None:
    """Print a graph: the rows of ENTITY with what their relations lead to.

    In place of an entity there may be a Python file that defines a query as `query`.
    """
    query = asked_query(what, given)
    with ormdb.open(database, read_only=True) as db:
        if only_count:
            write_line(str(db.run_count(query)))
            return
        capped = form is None and query.page.limit is None
        if capped:
            query = replace(query, page=replace(query.page, limit=_TABLE_ROWS))
        answer = db.run_fetch(query)
        _print_answer(db, query, answer, form)
        if answer.next_cursor is not None:
            _say_more(query.page, answer, capped=capped)
        if with_stats:
            _say_cost(answer)


def _print_answer(db: ormdb.Database, query: GraphQuery, answer: Answer, form: str | None) -> None:
    rows = answer.dicts()
    if form == "jsonl":
        for row in rows:
            write_line(json_line(row))
    elif form == "json":
        write_line("[")
        for at, row in enumerate(rows, 1):
            write_line(json_line(row) + ("," if at < len(rows) else ""))
        write_line("]")
    elif not rows:
        say("no rows")
    else:
        _print_rows(db, query, rows, query.includes)


def _print_rows(
    db: ormdb.Database, query: GraphQuery, rows: Sequence[RowDict], includes: Sequence[Include]
) -> None:
    types = field_types(db.schema, query.entity)
    if has_many(rows, includes):
        output().print(rows_tree(query.entity, rows, includes, types))
    else:
        output().print(rows_table(rows, includes, types))


def _say_more(page: Page, answer: Answer, *, capped: bool) -> None:
    if page.before is not None:
        return
    what = f"the first {len(answer)} rows; --limit shows more" if capped else "there are more rows"
    say(f"{what}; the next page is --after {answer.next_cursor}")


def _say_cost(answer: Answer) -> None:
    cost = answer.statistics
    table = plain_table(["rows", "edges", "engine calls", "keys read", "bytes read", "ms"])
    numbers = (cost.rows, cost.edges, cost.engine_calls, cost.keys_read, cost.bytes_read)
    table.add_row(*(f"{number:,}" for number in numbers), f"{cost.seconds * 1000:.1f}")
    messages().print(table)
