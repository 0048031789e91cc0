"""Holds that what a query used goes with it, and does not wait for the garbage collector."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from ormdb.database.database import Database
from ormdb.storage.memory import MemoryEngine
from tests.unit.query.airline import open_airline
from tests.unit.query.test_reads import QUESTIONS, Ask

FLIGHTS = 90
TRIES = 4


@pytest.fixture(scope="module")
def airline() -> Iterator[Database]:
    with open_airline(MemoryEngine(), FLIGHTS) as opened:
        gc.collect()
        gc.freeze()  # what other tests left is neither looked at nor counted
        try:
            yield opened
        finally:
            gc.unfreeze()


@pytest.mark.parametrize("name", QUESTIONS)
def test_a_question_leaves_nothing_to_the_garbage_collector(airline: Database, name: str) -> None:
    ask = QUESTIONS[name]
    ask(airline)  # what is made once stays
    gc.collect()
    gc.disable()
    try:
        # A thread may leave something meanwhile; what this leaves is there each time.
        assert 0 in [_left_by(ask, airline) for _ in range(TRIES)]
    finally:
        gc.enable()


def _left_by(ask: Ask, airline: Database) -> int:
    ask(airline)
    return gc.collect()
