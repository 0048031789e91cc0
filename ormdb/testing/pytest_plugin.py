"""Fixtures for pytest: a database for each test, fresh or rolled back, and a factory of rows.

    # conftest.py
    pytest_plugins = ["ormdb.testing.pytest_plugin"]

    @pytest.fixture(scope="session")
    def ormdb_schema():
        return [Airport, Flight]

    # test_flights.py
    def test_late(ormdb_memory, ormdb_factory):
        ormdb_factory.make(Flight, dep_delay=180)
        assert ormdb_memory.count(LATE) == 1

    ormdb_memory        a database in memory, new for each test
    ormdb_file          a database on disk, new for each test
    ormdb_shared        a database in memory for the whole session, to be filled once
    ormdb_rolled_back   a transaction on it: a test sees what is shared, and leaves nothing
    ormdb_factory       makes rows in whichever of these the test uses

Invariants (held by tests/unit/testing/test_pytest_plugin.py):
  1. What a test writes is seen by no other test, however it ends.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import ormdb
from ormdb import Database, Transaction
from ormdb.database.opening import Schema
from ormdb.model.face import TypedWriter
from ormdb.testing.factories import Factory

_KINDS = ("ormdb_rolled_back", "ormdb_file", "ormdb_memory")


@pytest.fixture(scope="session")
def ormdb_schema() -> Schema:
    """The schema of the databases; override it in your conftest.py."""
    raise pytest.UsageError(
        "ormdb's fixtures need your schema: define a fixture `ormdb_schema` of scope session in "
        "conftest.py that returns your entity classes"
    )


@pytest.fixture
def ormdb_memory(ormdb_schema: Schema) -> Iterator[Database]:
    """A database in memory, new for each test."""
    with ormdb.open(":memory:", schema=ormdb_schema) as db:
        yield db


@pytest.fixture
def ormdb_file(ormdb_schema: Schema, tmp_path: Path) -> Iterator[Database]:
    """A database on disk, new for each test, which does not wait for the disk."""
    with ormdb.open(tmp_path / "test.ormdb", schema=ormdb_schema, durability="none") as db:
        yield db


@pytest.fixture(scope="session")
def ormdb_shared(ormdb_schema: Schema) -> Iterator[Database]:
    """A database in memory that all tests see; fill it in a fixture of scope session."""
    with ormdb.open(":memory:", schema=ormdb_schema) as db:
        yield db


@pytest.fixture
def ormdb_rolled_back(ormdb_shared: Database) -> Iterator[Transaction]:
    """A transaction on the shared database, undone when the test ends."""
    txn = ormdb_shared.transaction()
    try:
        yield txn
    finally:
        txn.rollback()


@pytest.fixture
def ormdb_factory(request: pytest.FixtureRequest) -> Factory:
    """A factory for the database that the test uses; one in memory, if it names none."""
    named = [kind for kind in _KINDS if kind in request.fixturenames]
    writer: TypedWriter = request.getfixturevalue(named[0] if named else "ormdb_memory")
    return Factory(writer)
