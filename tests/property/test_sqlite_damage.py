"""Holds that a damaged SQLite file is imported or refused by a typed error, and nothing else."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ormdb.errors import OrmdbError
from ormdb.exchange.plan import ImportOptions
from ormdb.exchange.run import run_import
from ormdb.exchange.sqlite import plan_sqlite
from tests.property.sqlite_worlds import build_world


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("world") / "world.db"
    build_world(str(path), 3, rows_min=50)
    return path.read_bytes()


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_damaged_file_is_imported_or_refused(
    world: bytes, tmp_path: Path, data: st.DataObject
) -> None:
    damaged = bytearray(world)
    # The first pages hold the schema, where damage does most.
    places = st.integers(16, len(world) - 1) | st.integers(16, 6_000)
    for at, byte in data.draw(st.lists(st.tuples(places, st.integers(0, 255)), max_size=6)):
        damaged[at] = byte
    cut = data.draw(st.none() | st.integers(0, len(world)))
    source, target = tmp_path / "damaged.db", tmp_path / "target.ormdb"
    source.write_bytes(bytes(damaged[:cut]))
    with contextlib.suppress(OrmdbError):
        with plan_sqlite(str(source), ImportOptions(dangling="unenforce")) as plan:
            run_import(plan, target)
        target.unlink()
    assert not list(tmp_path.glob("target*"))
