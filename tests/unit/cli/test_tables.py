"""Holds how rows and graphs look on a terminal."""

from __future__ import annotations

import datetime
import io
from typing import Any

from rich.console import Console, RenderableType

from ormdb.cli.tables import cell, has_many, rows_table, rows_tree
from ormdb.ir.graph import Include
from ormdb.ir.value import JsonType, RowDict


def printed(thing: RenderableType) -> str:
    file = io.StringIO()
    Console(file=file, width=200).print(thing)
    return file.getvalue()


ONE = (Include(relation="origin", includes=(Include(relation="city"),)),)
ROWS: list[RowDict] = [
    {"id": 1, "origin": {"faa": "JFK", "city": {"name": "New York"}}},
    {"id": 2, "origin": None},
]


def test_rows_with_to_one_relations_are_a_table() -> None:
    text = printed(rows_table(ROWS, ONE, {}))
    head, _, first, second = text.split("\n")[1:5]
    assert head.split() == ["id", "origin.faa", "origin.city.name"]
    assert first.split() == ["1", "JFK", "New", "York"]
    assert second.split() == ["2", "NULL", "NULL"]


def test_to_many_relations_are_seen_at_any_depth() -> None:
    inner = (Include(relation="origin", includes=(Include(relation="flights"),)),)
    assert not has_many(ROWS, ONE)
    assert has_many([{"origin": None}, {"origin": {"flights": []}}], inner)


def test_a_graph_is_a_tree() -> None:
    include = (Include(relation="flights"), Include(relation="city"))
    rows: list[RowDict] = [
        {"faa": "JFK", "flights": [{"id": 1}, {"id": 2}], "city": None},
        {"faa": "LGA", "flights": [], "city": {"name": "x"}},
    ]
    text = printed(rows_tree("Airport", rows, include, {}))
    for line in ("Airport", "faa=JFK", "id=1", "flights (none)", "city (none)", "name=x"):
        assert line in text


def test_a_cell_is_short_and_harmless() -> None:
    hostile: list[Any] = ["\x1b[2J", "[red]x[/red]", {"k": "\x1b"}, b"\x1b", ["\x9b"]]
    for value in hostile:
        assert "\x1b" not in printed(cell(value))
        assert "\x9b" not in printed(cell(value))
    assert printed(cell("[red]x[/red]")) == "[red]x[/red]\n"
    assert len(cell("x" * 1000).plain) == 60
    assert cell(None).plain == "NULL"
    assert cell("a", JsonType()).plain == '"a"'
    assert cell(datetime.timedelta(seconds=5)).plain == "PT5S"
    assert cell(True).plain == "true"
