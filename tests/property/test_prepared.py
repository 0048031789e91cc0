"""Holds that a prepared query answers as SQLite does, over generated schemas, rows and queries."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

import pytest

import ormdb
from ormdb.ir.schema import SchemaBundle
from tests.box import Box
from tests.oracle.compare import compare_world
from tests.oracle.prepared import PreparedSession


@pytest.mark.soak(seconds=15, cases_min=1_000)
def test_prepared_queries_answer_as_sqlite_does(box: Box) -> None:
    reused = 0

    @contextmanager
    def open_prepared(bundle: SchemaBundle) -> Generator[PreparedSession]:
        nonlocal reused
        with ormdb.open(":memory:", schema=bundle) as database:
            session = PreparedSession(database)
            yield session
            reused += session.reused

    for seed in box.seeds():
        box.count(compare_world(seed, open_prepared).compared)
    assert box.only_seed or reused > 10
