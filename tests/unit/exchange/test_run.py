"""Holds that an import leaves a whole database or nothing at all."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import ormdb
from ormdb.errors import ImportFileError, UniqueError
from ormdb.exchange.plan import ImportOptions, ImportPlan, TablePlan
from ormdb.exchange.run import run_import
from ormdb.exchange.sqlite import plan_sqlite
from ormdb.ir.graph import GraphQuery, Include
from ormdb.ir.value import RowDict


def make(path: Path, sql: str) -> str:
    connection = sqlite3.connect(path)
    connection.executescript(sql)
    connection.close()
    return str(path)


CIRCLE = """
    CREATE TABLE team (name TEXT PRIMARY KEY, captain_id INT REFERENCES player);
    CREATE TABLE player (id INTEGER PRIMARY KEY, team TEXT REFERENCES team, boss_id INT REFERENCES
        player);
    INSERT INTO team VALUES ('red', 2), ('blue', NULL);
    INSERT INTO player VALUES (1, 'red', 3), (2, 'red', 1), (3, 'blue', NULL);
"""


@pytest.fixture
def source(tmp_path: Path) -> str:
    return make(tmp_path / "source.db", CIRCLE)


def broken(plan: ImportPlan) -> ImportPlan:
    """The plan with the last table's rows coming twice."""
    last = plan.tables[-1]

    def twice() -> Iterator[RowDict]:
        yield from last.read()
        yield from last.read()

    return replace(plan, tables=(*plan.tables[:-1], replace(last, read=twice)))


def test_tables_that_refer_to_each_other_are_imported(source: str, tmp_path: Path) -> None:
    target = tmp_path / "target.ormdb"
    with plan_sqlite(source) as plan:
        assert run_import(plan, target) == 5
    captain = Include(relation="captain", includes=(Include(relation="boss"),))
    with ormdb.open(target) as db:
        rows = db.run_fetch(GraphQuery(entity="team", includes=(captain,))).dicts()
        relations = db.schema.relations
    assert all(relation.enforced for relation in relations)
    by_name = {row["name"]: row["captain"] for row in rows}
    assert by_name["blue"] is None
    assert (by_name["red"]["id"], by_name["red"]["boss"]["id"]) == (2, 1)


def test_progress_counts_every_row_of_every_table(source: str, tmp_path: Path) -> None:
    seen: list[tuple[str, int, int]] = []

    def show(table: TablePlan, done: int, of: int) -> None:
        seen.append((table.source, done, of))

    with plan_sqlite(source) as plan:
        run_import(plan, tmp_path / "target.ormdb", progress=show)
        assert {name for name, _, _ in seen} == {"team", "player"}
        assert seen[-1] == (plan.tables[-1].source, 5, 5)
        assert [done for _, done, _ in seen] == sorted(done for _, done, _ in seen)


def test_an_import_that_is_refused_leaves_no_file(source: str, tmp_path: Path) -> None:
    before = sorted(tmp_path.iterdir())
    with plan_sqlite(source) as plan, pytest.raises(UniqueError):
        run_import(broken(plan), tmp_path / "target.ormdb")
    assert sorted(tmp_path.iterdir()) == before


def test_an_import_that_is_interrupted_leaves_no_file(source: str, tmp_path: Path) -> None:
    before = sorted(tmp_path.iterdir())

    def interrupt(table: TablePlan, done: int, of: int) -> None:
        raise KeyboardInterrupt

    with plan_sqlite(source) as plan, pytest.raises(KeyboardInterrupt):
        run_import(plan, tmp_path / "target.ormdb", progress=interrupt)
    assert sorted(tmp_path.iterdir()) == before


def test_a_file_that_exists_is_not_touched(source: str, tmp_path: Path) -> None:
    target = tmp_path / "target.ormdb"
    target.write_text("mine")
    with plan_sqlite(source) as plan:
        with pytest.raises(ImportFileError, match="exists already"):
            run_import(plan, target)
        target.unlink()
        (tmp_path / "target.ormdb.importing").write_text("another's")
        with pytest.raises(ImportFileError, match="another import is running"):
            run_import(plan, target)
        with pytest.raises(ImportFileError, match="name one"):
            run_import(plan, ":memory:")
    assert (tmp_path / "target.ormdb.importing").read_text() == "another's"


def test_dangling_rows_link_when_their_target_arrives(tmp_path: Path) -> None:
    source = make(
        tmp_path / "source.db",
        """CREATE TABLE plane (tail TEXT PRIMARY KEY);
        CREATE TABLE flight (id INTEGER PRIMARY KEY, plane_tail TEXT REFERENCES plane);
        INSERT INTO flight VALUES (1, 'N1');""",
    )
    target = tmp_path / "target.ormdb"
    with plan_sqlite(source, ImportOptions(dangling="unenforce")) as plan:
        run_import(plan, target)
    query = GraphQuery(entity="flight", includes=(Include(relation="plane"),))
    with ormdb.open(target) as db:
        assert db.run_fetch(query).dicts()[0]["plane"] is None
        db.bulk_load("plane", [{"tail": "N1"}])
        assert db.run_fetch(query).dicts()[0]["plane"] == {"tail": "N1"}


def test_the_counter_of_an_imported_key_goes_on_behind_its_rows(tmp_path: Path) -> None:
    source = make(
        tmp_path / "source.db",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, x TEXT); INSERT INTO t VALUES (41, 'a')",
    )
    target = tmp_path / "target.ormdb"
    with plan_sqlite(source) as plan:
        run_import(plan, target)
    with ormdb.open(target) as db:
        db.bulk_load("t", [{"x": "b"}])
        assert [row["id"] for row in db.run_fetch(GraphQuery(entity="t")).dicts()] == [41, 42]
