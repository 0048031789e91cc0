"""The fetches of the demo, on the first thousands of each table."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import pytest

import ormdb
from examples.flights.__main__ import ENTITIES, planes_of_new_york
from examples.flights.by_hand import fetch_by_hand, load_tables
from examples.flights.queries import TOUR, late_departures, where_planes_went_next
from examples.flights.schema import SCHEMA
from examples.flights.source import ROW_COUNTS, read_table
from ormdb import Database, Query
from ormdb.errors import BudgetError

ROWS_MAX = 20_000


@pytest.fixture(scope="module")
def db() -> Iterator[Database]:
    with ormdb.open(":memory:", schema=SCHEMA) as opened:
        for table in ROW_COUNTS:
            opened.bulk_load(ENTITIES[table], islice(read_table(table), ROWS_MAX))
        yield opened


@pytest.fixture(scope="module")
def tables() -> Iterator[sqlite3.Connection]:
    connection = load_tables(":memory:", rows_max=ROWS_MAX)
    yield connection
    connection.close()


@pytest.mark.parametrize("step", TOUR, ids=lambda step: step.__name__)
def test_every_fetch_of_the_tour_finds_something(
    db: Database, step: Callable[[], Query[Any]]
) -> None:
    answer = db.fetch(step())
    assert len(answer) > 0
    assert answer.statistics.rows >= len(answer)


def test_the_deepest_fetch_equals_the_one_by_hand(db: Database, tables: sqlite3.Connection) -> None:
    assert db.fetch(where_planes_went_next()).to_dicts() == fetch_by_hand(tables)


def test_the_most_delayed_departures_come_first(db: Database) -> None:
    for airport in db.fetch(late_departures()):
        delays = [flight.dep_delay or 0 for flight in airport.departures]
        assert len(delays) == 5
        assert delays == sorted(delays, reverse=True)


def test_a_flight_whose_plane_is_unknown_has_none(db: Database) -> None:
    found = db.fetch(late_departures()).to_dicts()
    planes = [flight["plane"] for airport in found for flight in airport["departures"]]
    assert None in planes
    assert len([plane for plane in planes if plane is not None]) > 0


def test_the_fetch_over_its_budget_is_refused(db: Database) -> None:
    with pytest.raises(BudgetError):
        db.fetch(planes_of_new_york().budget(rows=10_000))
