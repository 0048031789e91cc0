"""`ormdb explain`: how a fetch is answered, as a tree or as JSON.

    ormdb explain flights.ormdb Airport --where 'faa == "JFK"' --include departures:5
    ormdb explain flights.ormdb late_flights.py --analyze

The arguments are those of `ormdb fetch`.  Only with --analyze anything is read.
"""

from __future__ import annotations

import json
from typing import Unpack

import click

import ormdb
from ormdb.cli.console import json_line, safe, write_line
from ormdb.cli.reading import Asked, asked_query, query_options


@click.command()
@click.argument("database")
@query_options
@click.option("--analyze", is_flag=True, help="Run the fetch, and say what each level took.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def explain(
    *, database: str, what: str, analyze: bool, as_json: bool, **given: Unpack[Asked]
) -> None:
    """Tell how a fetch is answered: its levels, their ways, orders and engine calls.

    In place of an entity there may be a Python file that defines a query as `query`.
    """
    query = asked_query(what, given)
    with ormdb.open(database, read_only=True) as db:
        explanation = db.run_explain(query, analyze=analyze)
    if as_json:
        write_line(json_line(json.loads(explanation.to_json())))
        return
    for line in explanation.to_text().split("\n"):
        write_line(safe(line))
