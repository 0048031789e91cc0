"""A command line to run, and small databases to run it on."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from ormdb.cli import main

SQL = """
    CREATE TABLE airport (faa TEXT PRIMARY KEY, name TEXT NOT NULL);
    CREATE TABLE flight (
      id INTEGER PRIMARY KEY, dep_delay INT, origin TEXT NOT NULL REFERENCES airport,
      "the note" TEXT);
    CREATE INDEX by_delay ON flight (dep_delay DESC);
    INSERT INTO airport VALUES ('JFK', 'Kennedy'), ('LGA', 'La Guardia'), ('XNA', 'Nowhere');
    INSERT INTO flight VALUES (1, 5, 'JFK', 'x'), (2, NULL, 'JFK', NULL), (3, -2, 'LGA', '');
"""


@dataclass(frozen=True)
class Ran:
    """What a command did."""

    code: int
    out: str
    err: str


Run = Callable[..., Ran]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command line in this process."""

    def run_command(*arguments: object) -> Ran:
        code = main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return Ran(code, out, err)

    return run_command


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A SQLite file with two tables."""
    path = tmp_path / "source.sqlite"
    connection = sqlite3.connect(path)
    connection.executescript(SQL)
    connection.close()
    return path


@pytest.fixture
def database(tmp_path: Path, source: Path, run: Run) -> Path:
    """The same as a database."""
    path = tmp_path / "flights.ormdb"
    assert run("import", source, path, "--quiet").code == 0
    return path
