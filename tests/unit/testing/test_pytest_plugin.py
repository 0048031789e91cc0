"""The fixtures, as a program that uses ormdb would use them: in a pytest of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PLUGIN = 'pytest_plugins = ["ormdb.testing.pytest_plugin"]\n'
CONFTEST = (
    PLUGIN
    + """
import pytest
from ormdb import Entity, Field, field

class Thing(Entity):
    id: Field[int] = field(identity=True)
    name: Field[str] = field(unique=True)

@pytest.fixture(scope="session")
def ormdb_schema():
    return [Thing]

@pytest.fixture(scope="session", autouse=True)
def filled(ormdb_shared):
    ormdb_shared.insert(Thing(id=100, name="shared"))
"""
)

TESTS = """
import pytest
from conftest import Thing

@pytest.mark.parametrize("turn", [1, 2])
def test_a_new_database_each_time(ormdb_memory, ormdb_file, turn):
    for db in (ormdb_memory, ormdb_file):
        assert db.count(Thing.all()) == 0
        db.insert(Thing(id=turn, name="x"))

@pytest.mark.parametrize("turn", [1, 2])
def test_what_is_shared_is_seen_and_left_as_it_was(ormdb_rolled_back, ormdb_factory, turn):
    assert [thing.name for thing in ormdb_rolled_back.fetch(Thing.all())] == ["shared"]
    ormdb_factory.make(Thing)
    ormdb_rolled_back.delete(Thing.key(100))
    assert ormdb_rolled_back.count(Thing.all()) == 1
    if turn == 1:
        raise AssertionError("leaves in the middle")

def test_nothing_is_left_of_it(ormdb_shared):
    assert [thing.id for thing in ormdb_shared.fetch(Thing.all())] == [100]

def test_a_factory_brings_a_database(ormdb_factory, ormdb_memory):
    ormdb_factory.make(Thing)
    assert ormdb_memory.count(Thing.all()) == 1
"""


def run_pytest(folder: Path, tests: str, conftest: str) -> subprocess.CompletedProcess[str]:
    (folder / "conftest.py").write_text(conftest, encoding="utf-8")
    (folder / "test_it.py").write_text(tests, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--no-header"]
    return subprocess.run(
        [*command, "--rootdir", str(folder), "-c", "/dev/null", str(folder)],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def test_what_a_test_writes_is_seen_by_no_other_test(tmp_path: Path) -> None:
    done = run_pytest(tmp_path, TESTS, CONFTEST)
    assert "1 failed, 5 passed" in done.stdout, done.stdout + done.stderr
    assert "leaves in the middle" in done.stdout


def test_a_missing_schema_is_told_with_the_remedy(tmp_path: Path) -> None:
    tests = "def test_it(ormdb_memory):\n    pass\n"
    done = run_pytest(tmp_path, tests, PLUGIN)
    assert "define a fixture `ormdb_schema`" in done.stdout, done.stdout + done.stderr
