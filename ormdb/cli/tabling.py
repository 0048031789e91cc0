"""`ormdb table`: counts, sums and averages of groups of rows, or a few columns of each row.

    ormdb table flights.ormdb Flight origin_faa 'count()' 'mean: avg(dep_delay)'
    ormdb table flights.ormdb Flight 'bucket(time_hour, "day")' 'count()' --having 'count > 900'

A column is an expression, perhaps with a name and a colon before it.
"""

from __future__ import annotations

import json
from typing import Final, TypedDict, Unpack

import click

import ormdb
from ormdb.cli.console import json_line, output, safe, say, write_line
from ormdb.cli.query_args import read_as_of
from ormdb.cli.tables import cell, plain_table
from ormdb.ir.expr import Aggregate, FieldRef
from ormdb.ir.scan import Scanner
from ormdb.ir.table import TableColumn, TableQuery
from ormdb.model.expression_text import parse_expression
from ormdb.model.table import Table, read_order

_TABLE_ROWS: Final = 100


class Asked(TypedDict):
    """The options that make a table."""

    where: str | None
    distinct: bool
    having: str | None
    order: tuple[str, ...]
    limit: int | None
    offset: int
    as_of: str | None


@click.command()
@click.argument("database")
@click.argument("entity")
@click.argument("columns", nargs=-1, required=True, metavar="COLUMN...")
@click.option("--where", metavar="EXPRESSION", help="Which rows.")
@click.option("--distinct", is_flag=True, help="Print equal rows once.")
@click.option("--having", metavar="EXPRESSION", help="Which groups, as in 'count > 100'.")
@click.option("--order", multiple=True, metavar="KEY", help="As in 'mean desc'.")
@click.option("--limit", type=click.IntRange(min=0), metavar="N", help="At most N rows.")
@click.option("--offset", type=click.IntRange(min=0), default=0, metavar="N", help="Skip N rows.")
@click.option("--as-of", metavar="WHEN", help="A commit version or a timestamp.")
@click.option("--explain", "explained", is_flag=True, help="Tell how it is read instead.")
@click.option("--json", "form", flag_value="json", help="Print one JSON array.")
@click.option("--jsonl", "form", flag_value="jsonl", help="Print one JSON object per line.")
def table(
    *,
    database: str,
    entity: str,
    columns: tuple[str, ...],
    explained: bool,
    form: str | None,
    **given: Unpack[Asked],
) -> None:
    """Print a table of values: COLUMNs of the rows of ENTITY, or of groups of them.

    With an aggregate among the columns, as count() or avg(dep_delay), the others are the groups.
    """
    query = TableQuery(
        entity=entity,
        columns=tuple(map(read_column, columns)),
        filter=None if given["where"] is None else parse_expression(given["where"]),
        distinct=given["distinct"],
        having=None if given["having"] is None else parse_expression(given["having"]),
        order=tuple(map(read_order, given["order"])),
        limit=given["limit"],
        offset=given["offset"],
        as_of=None if given["as_of"] is None else read_as_of(given["as_of"]),
    )
    with ormdb.open(database, read_only=True) as db:
        if explained:
            _print_explanation(db.run_explain(query), form)
        else:
            _print_table(db.table(query), form)


def read_column(text: str) -> TableColumn:
    """Return the column that a text spells.

    Raises:
      ExpressionError: it spells none.
    """
    scanner = Scanner(text)
    name = scanner.take_name_before(":")
    if name is not None:
        return TableColumn(name=name, expression=parse_expression(scanner.take_rest()))
    expression = parse_expression(text)
    match expression:
        case FieldRef(path=path):
            return TableColumn(name=".".join(path), expression=expression)
        case Aggregate(function="count", operand=None, filter=None):
            return TableColumn(name="count", expression=expression)
        case _:
            return TableColumn(name=text.strip(), expression=expression)


def _print_explanation(explanation: ormdb.Explanation, form: str | None) -> None:
    if form is not None:
        write_line(json_line(json.loads(explanation.to_json())))
        return
    for line in explanation.to_text().split("\n"):
        write_line(safe(line))


def _print_table(found: Table[tuple[object, ...]], form: str | None) -> None:
    if form == "jsonl":
        for row in found.to_dicts():
            write_line(json_line(row))
    elif form == "json":
        rows = found.to_dicts()
        write_line("[")
        for at, row in enumerate(rows, 1):
            write_line(json_line(row) + ("," if at < len(rows) else ""))
        write_line("]")
    elif not found:
        say("no rows")
    else:
        shown = plain_table(found.columns)
        kinds = [column.type for column in found.block.columns]
        for values in found[:_TABLE_ROWS]:
            shown.add_row(*map(cell, values, kinds))
        output().print(shown)
        if len(found) > _TABLE_ROWS:
            say(f"the first {_TABLE_ROWS} of {len(found):,} rows; --limit and --json show more")
