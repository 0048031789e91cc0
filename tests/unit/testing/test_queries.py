"""`assert_max_queries` counts what a block asks, and names shapes and lines when it is too much."""

from __future__ import annotations

import threading
from collections.abc import Generator

import pytest

from ormdb.database.database import Database
from ormdb.errors import UsageError
from ormdb.ir.graph import GraphQuery
from ormdb.storage.memory import MemoryEngine
from ormdb.testing import assert_max_queries
from tests.unit.query.airline import compare, open_airline, page_of_flights


@pytest.fixture
def airline() -> Generator[Database]:
    with open_airline(MemoryEngine(), 12) as opened:
        yield opened


def of_origin(code: str) -> GraphQuery:
    return GraphQuery(entity="Flight", filter=compare("==", "origin_code", code))


def test_a_block_within_its_bound_passes(airline: Database) -> None:
    with assert_max_queries(airline, 4) as counts:
        airline.run_fetch(page_of_flights(3))
        airline.run_get("Plane", ("N1",))
        airline.run_count(of_origin("JFK"))
        assert counts.total == 3
        airline.run_exists(of_origin("JFK"))
    assert counts.total == 4
    assert repr(counts) == "<QueryCounts 4>"


def test_a_block_beyond_its_bound_names_shapes_and_lines(airline: Database) -> None:
    with pytest.raises(AssertionError) as caught, assert_max_queries(airline, 2):
        airline.run_fetch(page_of_flights(3))
        for code in ("JFK", "LGA", "EWR"):
            airline.run_fetch(of_origin(code))
    first, second, third = str(caught.value).split("\n")
    assert first == "4 queries, at most 2 were expected"
    assert second.startswith(f"    3x fetch Flight.where(origin_code == ?) from {__file__}:")
    assert third.startswith(f"    1x fetch Flight.order_by(time).limit(3) from {__file__}:")
    assert second.endswith("in test_a_block_beyond_its_bound_names_shapes_and_lines")


def test_snapshots_transactions_and_threads_count_as_well(airline: Database) -> None:
    with assert_max_queries(airline, 3) as counts:
        with airline.snapshot() as snapshot, airline.transaction() as txn:
            snapshot.run_count(of_origin("JFK"))
            txn.run_get("Flight", (1,))
        thread = threading.Thread(target=airline.run_exists, args=(of_origin("JFK"),))
        thread.start()
        thread.join()
    assert counts.total == 3


def test_what_is_asked_before_after_and_of_others_does_not_count(airline: Database) -> None:
    airline.run_count(of_origin("JFK"))
    with (
        open_airline(MemoryEngine(), 3) as other,
        assert_max_queries(airline, 0),
        assert_max_queries(other, 1),
    ):
        other.run_count(of_origin("JFK"))
        airline.run_explain(of_origin("JFK"), analyze=True)
    airline.run_count(of_origin("JFK"))


def test_an_error_of_the_block_comes_first(airline: Database) -> None:
    with pytest.raises(ZeroDivisionError), assert_max_queries(airline, 0):
        airline.run_count(of_origin("JFK"))
        raise ZeroDivisionError
    assert not airline.observer.is_watching()


def test_a_bound_below_nothing_is_refused(airline: Database) -> None:
    with pytest.raises(UsageError, match="-1 queries"), assert_max_queries(airline, -1):
        raise AssertionError("never begun")
