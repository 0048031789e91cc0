"""Holds what `ormdb import` makes, what it says, and that refused imports leave nothing."""

from __future__ import annotations

import io
import sqlite3
import sys
from pathlib import Path

import pytest

import ormdb
from ormdb.ir.graph import GraphQuery
from tests.unit.cli.conftest import Run


def rows(path: Path, entity: str) -> list[dict[str, object]]:
    with ormdb.open(path, read_only=True) as db:
        return db.run_fetch(GraphQuery(entity=entity)).dicts()


def test_a_sqlite_file_is_imported(run: Run, source: Path, tmp_path: Path) -> None:
    target = tmp_path / "t.ormdb"
    ran = run("import", source, target)
    assert ran.code == 0
    assert "airport" in ran.out
    assert "6 rows in" in ran.err
    assert len(rows(target, "flight")) == 3


def test_notes_name_what_is_left_out(run: Run, source: Path, tmp_path: Path) -> None:
    connection = sqlite3.connect(source)
    connection.executescript("CREATE VIEW v AS SELECT 1; CREATE TABLE loose (x);")
    connection.close()
    ran = run("import", source, tmp_path / "t.ormdb")
    assert "note: the view 'v' is left out\n" in ran.err
    assert "note: the rows of loose are told apart by the field rowid" in ran.err


def test_text_files_are_imported_with_what_is_said_of_them(run: Run, tmp_path: Path) -> None:
    (tmp_path / "airports.csv").write_text("faa,name\nJFK,Kennedy\nLGA,La Guardia\n")
    (tmp_path / "flights.jsonl").write_text('{"origin": "JFK", "at": "2013-01-01 05:00:00"}\n')
    target = tmp_path / "t.ormdb"
    ran = run(
        "import", tmp_path / "airports.csv", tmp_path / "flights.jsonl", target,
        "--identity", "airports=faa", "--link", "flights.origin -> airports.faa as origin_airport",
        "--type", "airports.name=text(20)?", "--utc",
    )  # fmt: skip
    assert ran.code == 0, ran.err
    (flight,) = rows(target, "flights")
    assert str(flight["at"]) == "2013-01-01 05:00:00+00:00"
    ran = run("fetch", target, "flights", "--include", "origin_airport")
    assert "Kennedy" in ran.out


def test_a_dry_run_prints_the_schema_and_makes_nothing(
    run: Run, source: Path, tmp_path: Path
) -> None:
    ran = run("import", source, tmp_path / "t.ormdb", "--dry-run")
    assert ran.out.startswith("ormdb schema 1\n")
    assert sorted(tmp_path.iterdir()) == [source]


def test_dangling_rows_are_refused_or_unenforced_as_asked(
    run: Run, source: Path, tmp_path: Path
) -> None:
    connection = sqlite3.connect(source)
    connection.execute("DELETE FROM airport WHERE faa = 'LGA'")
    connection.commit()
    connection.close()
    target = tmp_path / "t.ormdb"
    ran = run("import", source, target)
    assert ran.code == 1
    assert "flight.(origin) -> airport.(faa): 1 row points at nothing" in ran.err
    assert not target.exists()
    ran = run("import", source, target, "--dangling", "unenforce")
    assert ran.code == 0
    assert "1 row points at nothing, for example text 'LGA'; the relation" in ran.err


@pytest.fixture
def folder(source: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the SQLite file, with other files, good and bad; the current folder."""
    monkeypatch.chdir(source.parent)
    for name, text in (
        ("bad.db", "not a database at all"),
        ("bad.csv", "a,b\n1,2\n3\n"),
        ("bad.jsonl", "[]\n"),
        ("bad.xlsx", "x"),
        ("good.csv", "a,b\n1,x\n2,x\n"),
        ("exists.ormdb", "mine"),
    ):
        Path(name).write_text(text)
    return source.parent


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("missing.sqlite", "t.ormdb"), "missing.sqlite cannot be read"),
        (("missing.csv", "t.ormdb"), "missing.csv cannot be read"),
        (("bad.db", "t.ormdb"), "bad.db is not a SQLite database"),
        (("bad.csv", "t.ormdb"), "bad.csv, line 3"),
        (("bad.jsonl", "t.ormdb"), "bad.jsonl, line 1"),
        (("bad.xlsx", "t.ormdb"), "of no kind that can be imported"),
        (("good.csv", "source.sqlite", "t.ormdb"), "is imported alone"),
        (("source.sqlite", "t.ormdb", "--identity", "airport=faa"), "leave out --identity"),
        (("source.sqlite", "t.ormdb", "--type", "airport.name"), "declares no type"),
        (("source.sqlite", "t.ormdb", "--type", "airport.name=nosuch"), "a type"),
        (
            ("source.sqlite", "t.ormdb", "--type", "airport.name=int"),
            "text 'Kennedy' is not an int",
        ),
        (("source.sqlite", "t.ormdb", "--type", "airport.nosuch=int"), "no column airport.nosuch"),
        (("source.sqlite", "t.ormdb", "--link", "nonsense"), "is not a relation"),
        (("good.csv", "t.ormdb", "--identity", "good"), "is no identity"),
        (("good.csv", "t.ormdb", "--identity", "good=b"), "cannot be the identity"),
        (("good.csv", "t.ormdb", "--type", "good.b=date"), "is not a date"),
        (("good.csv", "t.ormdb", "--encoding", "klingon"), "encoding"),
        (("good.csv", "exists.ormdb"), "exists already"),
        (("good.csv", "no/such/folder/t.ormdb"), ""),
        (("good.csv",), "Missing argument"),
        (("good.csv", "t.ormdb", "--dangling", "maybe"), "'maybe' is not one of"),
    ],
)
def test_a_refused_import_is_one_sentence_and_leaves_nothing(
    run: Run, folder: Path, arguments: tuple[str, ...], words: str
) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    ran = run("import", *arguments)
    assert ran.code in {1, 2}
    last = ran.err.splitlines()[-1]
    assert last.startswith("error: ")
    assert words in last
    assert sum(not line.startswith("note: ") for line in ran.err.splitlines()) == 1
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


class Terminal(io.StringIO):
    """A standard error that somebody watches."""

    def isatty(self) -> bool:
        return True


def test_a_terminal_shows_a_bar_with_rate(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "t.csv").write_text("id\n" + "".join(f"{n}\n" for n in range(5_000)))
    watched = Terminal()
    monkeypatch.setattr(sys, "stderr", watched)
    assert run("import", tmp_path / "t.csv", tmp_path / "t.ormdb").code == 0
    seen = watched.getvalue()
    assert "rows/s" in seen
    assert "5000/5000" in seen


def test_a_quiet_import_says_nothing(run: Run, source: Path, tmp_path: Path) -> None:
    ran = run("import", source, tmp_path / "t.ormdb", "--quiet")
    assert (ran.code, ran.out, ran.err) == (0, "", "")
