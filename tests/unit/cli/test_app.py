"""Holds the edge of the command line: exit codes, one sentence, no traceback."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import click
import pytest

import ormdb
from ormdb.cli import app
from ormdb.errors import QueryError, SchemaError
from tests.unit.cli.conftest import Run

ROOT = Path(__file__).parents[3]


def real(*arguments: object, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the command line as a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "ormdb", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={**os.environ, **variables},
        timeout=60,
    )


def raising(error: BaseException) -> click.Command:
    def callback() -> None:
        raise error

    return click.Command("boom", callback=callback)


def test_help_names_every_command(run: Run) -> None:
    for arguments in ((), ("--help",)):
        ran = run(*arguments)
        assert ran.code == 0
        for name in app.commands.commands:
            assert name in ran.out
    for name in app.commands.commands:
        ran = run(name, "--help")
        assert ran.code == 0
        assert ran.out.startswith(f"Usage: ormdb {name} ")


def test_the_version_is_told_on_request(run: Run) -> None:
    assert run("--version").out == f"ormdb, version {ormdb.__version__}\n"


@pytest.mark.parametrize(
    ("error", "code", "sentence"),
    [
        (QueryError("no\nsuch\x1b thing"), 1, "error: no\\nsuch\\x1b thing\n"),
        (SchemaError("2 mistakes:\n  - a\n  - b"), 1, "error: 2 mistakes:\n  - a\n  - b\n"),
        (KeyboardInterrupt(), 130, "error: interrupted\n"),
        (PermissionError(13, "Permission denied", "x.ormdb"), 1, "error: x.ormdb: Permission"),
        (
            RecursionError("too deep"),
            70,
            "error: a mistake of ormdb's own (RecursionError: too deep)",
        ),
    ],
)
def test_whatever_is_raised_becomes_one_sentence(
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
    error: BaseException,
    code: int,
    sentence: str,
) -> None:
    monkeypatch.setitem(app.commands.commands, "boom", raising(error))
    ran = run("boom")
    assert (ran.code, ran.out) == (code, "")
    assert ran.err.lstrip("\n").startswith(sentence)  # click ends the line of a ^C
    assert "Traceback" not in ran.err


def test_a_traceback_is_shown_when_asked(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORMDB_TRACEBACK", "1")
    monkeypatch.setitem(app.commands.commands, "boom", raising(QueryError("no")))
    assert "Traceback" in run("boom").err


def test_an_unknown_command_is_refused(run: Run) -> None:
    ran = run("frobnicate")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == "error: No such command 'frobnicate'; see ormdb --help\n"


def test_a_process_prints_and_exits_as_the_function_does(database: Path) -> None:
    ran = real("fetch", database, "airport", "--jsonl", "--select", "faa")
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.splitlines()[0] == '{"faa": "JFK"}'
    ran = real("fetch", database, "airports")
    assert (ran.returncode, ran.stdout) == (1, "")
    assert ran.stderr.startswith("error: ")


def test_a_process_prints_what_its_terminal_cannot_spell(database: Path) -> None:
    with ormdb.open(database) as db:
        db.bulk_load("airport", [{"faa": "表", "name": "Zoë"}])
    ran = real("fetch", database, "airport", PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert ran.returncode == 0
    assert "Zo\\xeb" in ran.stdout


def test_a_reader_that_goes_away_ends_the_command_silently(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("id\n" + "".join(f"{n}\n" for n in range(20_000)))
    assert real("import", tmp_path / "t.csv", tmp_path / "t.ormdb").returncode == 0
    command = [sys.executable, "-m", "ormdb", "fetch", str(tmp_path / "t.ormdb"), "t", "--jsonl"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
        process.wait(timeout=60)
