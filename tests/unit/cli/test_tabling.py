"""Holds what `table` prints."""

from __future__ import annotations

import json
from pathlib import Path

from ormdb.cli.tabling import read_column
from ormdb.model.expression_text import parse_expression
from tests.unit.cli.conftest import Run


def test_a_column_has_the_name_before_its_colon_or_that_of_what_it_is() -> None:
    given = ["origin.name", "count()", "mean: avg(x)", '"a b": x', "max(x)", 'd == {"a": 1}']
    columns = list(map(read_column, given))
    assert [column.name for column in columns] == [
        "origin.name",
        "count",
        "mean",
        "a b",
        "max(x)",
        'd == {"a": 1}',
    ]
    assert columns[2].expression == parse_expression("avg(x)")


def test_a_table_is_printed_with_the_names_of_its_columns(run: Run, database: Path) -> None:
    ran = run("table", database, "flight", "origin", "n: count()", "--order", "n desc")
    assert ran.code == 0, ran.err
    head, _, *rows = [line.split() for line in ran.out.splitlines() if line.strip()]
    assert head == ["origin", "n"]
    assert all(len(row) == 2 for row in rows)


def test_a_table_is_printed_as_json(run: Run, database: Path) -> None:
    arguments = ("flight", "late: count(where=dep_delay > 0)", "n: count()")
    (row,) = json.loads(run("table", database, *arguments, "--json").out)
    assert list(row) == ["late", "n"]
    lines = run("table", database, *arguments, "--jsonl").out.splitlines()
    assert list(map(json.loads, lines)) == [row]
    assert row["late"] <= row["n"]


def test_a_table_without_rows_says_so(run: Run, database: Path) -> None:
    ran = run("table", database, "flight", "id", "--where", "id < 0", "--limit", 3)
    assert (ran.code, ran.out) == (0, "")
    assert "no rows" in ran.err


def test_a_table_is_explained_when_that_is_asked(run: Run, database: Path) -> None:
    ran = run("table", database, "flight", "count()", "--having", "count > 5", "--explain")
    assert "fold     count()" in ran.out
    assert "having   count() > ?" in ran.out
    as_json = run("table", database, "flight", "count()", "--explain", "--json")
    assert json.loads(as_json.out)["root"]["grouping"]["aggregates"] == ["count()"]


def test_a_column_that_cannot_be_read_is_one_sentence(run: Run, database: Path) -> None:
    ran = run("table", database, "flight", "sum(")
    assert ran.code == 1
    assert ran.err.startswith("error: in the expression")
