"""Holds what `get`, `fetch` and `schema` print."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

import pytest

import ormdb
from tests.unit.cli.conftest import Run


def test_get_prints_one_row(run: Run, database: Path) -> None:
    ran = run("get", database, "airport", "JFK")
    assert ran.code == 0
    assert "Kennedy" in ran.out
    ran = run("get", database, "airport", "JFK", "--json", "--include", "flight")
    row = json.loads(ran.out)
    assert row["name"] == "Kennedy"
    assert [flight["id"] for flight in row["flight"]] == [1, 2]
    ran = run("get", database, "airport", "JFK", "--include", "flight:1")
    assert "id=1" in ran.out
    assert "id=2" not in ran.out


def test_get_of_a_row_that_is_not_there_is_refused(run: Run, database: Path) -> None:
    ran = run("get", database, "airport", "QQQ")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith("error: airport has no row with faa = QQQ")


def test_a_key_may_be_negative(run: Run, database: Path) -> None:
    with ormdb.open(database) as db:
        db.bulk_load("flight", [{"id": -7, "origin": "JFK"}])
    ran = run("get", database, "flight", "-7", "--json")
    assert json.loads(ran.out)["id"] == -7


def test_fetch_prints_a_table(run: Run, database: Path) -> None:
    ran = run("fetch", database, "flight", "--order", "-dep_delay", "--include", "airport")
    lines = [line.split() for line in ran.out.splitlines() if line.strip()]
    assert lines[0][:3] == ["id", "dep_delay", "origin"]
    assert [line[0] for line in lines[2:]] == ["1", "3", "2"]
    assert "Kennedy" in ran.out


def test_fetch_prints_rows_as_json(run: Run, database: Path) -> None:
    where = "dep_delay > 0 or dep_delay is None"
    ran = run("fetch", database, "flight", "--where", where, "--json", "--select", "id")
    assert json.loads(ran.out) == [{"id": 1}, {"id": 2}]
    ran = run("fetch", database, "flight", "--jsonl", "--select", "id,dep_delay", "--limit", 2)
    assert [json.loads(line) for line in ran.out.splitlines()] == [
        {"id": 1, "dep_delay": 5},
        {"id": 2, "dep_delay": None},
    ]
    assert json.loads(run("fetch", database, "flight", "--where", "id > 9", "--json").out) == []


def test_fetch_prints_a_tree_where_relations_lead_to_many(run: Run, database: Path) -> None:
    ran = run("fetch", database, "airport", "--include", "flight.airport")
    assert "├── faa=JFK  name=Kennedy" in ran.out
    assert "├── id=1  dep_delay=5" in ran.out
    assert "flight (none)" in ran.out


def test_pages_follow_each_other(run: Run, database: Path) -> None:
    ran = run("fetch", database, "flight", "--limit", 2, "--jsonl")
    cursor = ran.err.split("--after ")[1].strip()
    ran = run("fetch", database, "flight", "--limit", 2, "--jsonl", "--after", cursor)
    assert [json.loads(line)["id"] for line in ran.out.splitlines()] == [3]
    assert ran.err == ""


def test_a_table_without_limit_shows_the_first_rows_and_says_so(run: Run, tmp_path: Path) -> None:
    source = tmp_path / "t.csv"
    source.write_text("id\n" + "".join(f"{n}\n" for n in range(100)))
    target = tmp_path / "t.ormdb"
    assert run("import", source, target).code == 0
    ran = run("fetch", target, "t")
    assert len(ran.out.split()) < 40
    assert "the first 25 rows" in ran.err
    assert len(run("fetch", target, "t", "--jsonl").out.splitlines()) == 100


def test_count_and_cost_are_told_when_asked(run: Run, database: Path) -> None:
    assert run("fetch", database, "flight", "--count", "--where", "id > 1").out == "2\n"
    ran = run("fetch", database, "flight", "--stats", "--jsonl")
    assert "engine calls" in ran.err
    assert run("fetch", database, "flight", "--where", "id > 9").err == "no rows\n"


def test_a_python_file_is_fetched(run: Run, database: Path, tmp_path: Path) -> None:
    file = tmp_path / "late.py"
    file.write_text(
        "from ormdb.ir.graph import GraphQuery, Include\n"
        "query = GraphQuery(entity='airport', includes=(Include(relation='flight'),))\n"
    )
    ran = run("fetch", database, file, "--jsonl")
    assert [len(json.loads(line)["flight"]) for line in ran.out.splitlines()] == [2, 1, 0]
    assert "leave out the options" in run("fetch", database, file, "--limit", 5).err


def test_the_past_is_read(run: Run, database: Path) -> None:
    with ormdb.open(database) as db:
        version = db.version
        db.bulk_load("airport", [{"faa": "EWR", "name": "Newark"}])
    assert run("fetch", database, "airport", "--count").out == "4\n"
    ran = run("fetch", database, "airport", "--as-of", version, "--jsonl")
    assert len(ran.out.splitlines()) == 3
    ran = run("get", database, "airport", "EWR", "--as-of", version)
    assert ran.code == 1


def test_rows_cannot_steer_the_terminal(run: Run, database: Path) -> None:
    with ormdb.open(database) as db:
        db.bulk_load("airport", [{"faa": "\x1b[2J", "name": "\x9b[red]\u202e"}])
    for form in ((), ("--json",), ("--jsonl",), ("--include", "flight")):
        ran = run("fetch", database, "airport", *form)
        assert ran.code == 0
        assert not {"\x1b", "\x9b", "\u202e"} & set(ran.out + ran.err)
    ran = run("get", database, "airport", "\x1b[31m")
    assert "\x1b" not in ran.err


@pytest.mark.parametrize(
    "arguments",
    [
        ("fetch", "airports"),
        ("fetch", "flight", "--where", "nosuch > 5"),
        ("fetch", "flight", "--where", "id >"),
        ("fetch", "flight", "--where", "id == 'a'"),
        ("fetch", "flight", "--include", "nosuch"),
        ("fetch", "flight", "--include", "a..b"),
        ("fetch", "flight", "--order", "nosuch"),
        ("fetch", "flight", "--select", "nosuch"),
        ("fetch", "flight", "--after", "garbage"),
        ("fetch", "flight", "--limit", "-1"),
        ("fetch", "flight", "--limit", "x"),
        ("fetch", "flight", "--as-of", "999999"),
        ("fetch", "flight", "--as-of", "2013-01-01"),
        ("fetch", "nosuch.py"),
        ("get", "airport"),
        ("get", "airport", "a", "b"),
        ("get", "flight", "x"),
        ("get", "nosuch", "x"),
        ("schema", "nosuch"),
    ],
)
def test_a_bad_question_gets_one_sentence(
    run: Run, database: Path, arguments: tuple[str, ...]
) -> None:
    ran = run(arguments[0], database, *arguments[1:])
    assert ran.code in {1, 2}
    assert ran.out == ""
    assert ran.err.startswith("error: ")
    assert ran.err.count("\n") == 1


# --- schema ---------------------------------------------------------------------------------


def test_schema_prints_entities_as_tables(run: Run, database: Path) -> None:
    ran = run("schema", database)
    for words in (
        "the note",
        "text?",
        "identity",
        "index by_delay on dep_delay desc",
        "airport: one",
    ):
        assert words in ran.out
    assert "the note" not in run("schema", database, "airport").out


def test_schema_prints_text_that_opens_as_the_same_schema(run: Run, database: Path) -> None:
    text = run("schema", database, "--text").out
    with ormdb.open(database, text) as db:
        assert db.schema.version == 1


def test_schema_prints_classes_that_open_the_database(
    run: Run, database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "printed_models.py").write_text(run("schema", database, "--python").out)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    models = importlib.import_module("printed_models")
    classes = [
        one
        for one in vars(models).values()
        if isinstance(one, type) and issubclass(one, ormdb.Entity) and one is not ormdb.Entity
    ]
    with ormdb.open(database, classes) as db:
        assert db.schema.version == 1


def test_schema_prints_a_diagram(run: Run, database: Path) -> None:
    assert run("schema", database, "--mermaid").out.startswith("erDiagram\n")
