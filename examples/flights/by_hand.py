"""`where_planes_went_next`, written by hand with sqlite3: one statement per level, then stitching.

The tables are the same, with the indexes that the statements want.  Moments are kept as seconds.
What each plane flew last is asked plane by plane: with this index that is faster than a window
function over all flights of all planes.
"""

from __future__ import annotations

import datetime
import sqlite3
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from examples.flights.source import ROW_COUNTS, Row, read_table

INDEXES = """
CREATE UNIQUE INDEX airline_key ON airlines (carrier);
CREATE UNIQUE INDEX airport_key ON airports (faa);
CREATE UNIQUE INDEX plane_key ON planes (tailnum);
CREATE UNIQUE INDEX weather_key ON weather (origin_faa, time_hour);
CREATE INDEX weather_gust ON weather (wind_gust, origin_faa, time_hour);
CREATE INDEX flight_weather ON flights (origin_faa, time_hour);
CREATE INDEX flight_plane ON flights (tailnum, time_hour);
ANALYZE;
"""

HOURS = """
SELECT origin_faa, time_hour, wind_gust, temp FROM weather WHERE wind_gust IS NOT NULL
ORDER BY wind_gust DESC, origin_faa DESC, time_hour DESC LIMIT 50
"""
# A join, because SQLite answers `(a, b) IN (VALUES ...)` by a scan of all flights.
FLIGHTS = """
WITH wanted (wanted_faa, wanted_hour) AS (VALUES {})
SELECT origin_faa, time_hour, tailnum, dep_delay FROM wanted
CROSS JOIN flights ON origin_faa = wanted_faa AND time_hour = wanted_hour ORDER BY id
"""
PLANES = "SELECT tailnum, manufacturer, model FROM planes WHERE tailnum IN ({})"
LAST = """
SELECT carrier, dest_faa, dep_delay FROM flights WHERE tailnum = ?
ORDER BY time_hour DESC, id DESC LIMIT 4
"""
AIRPORTS = "SELECT faa, name FROM airports WHERE faa IN ({})"
AIRLINES = "SELECT carrier, name FROM airlines WHERE carrier IN ({})"


def load_tables(path: Path | str, *, rows_max: int | None = None) -> sqlite3.Connection:
    """Load the five tables, or the first rows of each, into a new file and index them."""
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA mmap_size = 1073741824")
    db.execute("BEGIN")
    for table in ROW_COUNTS:
        rows = islice(read_table(table), rows_max)
        first = next(rows)
        key = " PRIMARY KEY" if table == "flights" else ""
        names = list(first)
        declared = ", ".join(f"{name} {_affinity(first, name)}" for name in names)
        db.execute(f"CREATE TABLE {table} ({declared.replace('id INTEGER', f'id INTEGER{key}')})")
        marks = ", ".join("?" * len(names))
        statement = f"INSERT INTO {table} VALUES ({marks})"
        db.execute(statement, _plain(first))
        db.executemany(statement, map(_plain, rows))
    db.execute("COMMIT")
    db.executescript(INDEXES)
    return db


def fetch_by_hand(db: sqlite3.Connection) -> list[Row]:
    """The same graph as the query's, as the same nested dicts."""
    db.execute("BEGIN")
    try:
        hours, flights = _read_hours(db)
        planes = _read_planes(db, {flight["tailnum"] for flight in flights})
        for flight in flights:
            flight["plane"] = planes.get(flight["tailnum"])
        _link_last_flights(db, planes)
        return hours
    finally:
        db.execute("COMMIT")


def _read_hours(db: sqlite3.Connection) -> tuple[list[Row], list[Row]]:
    hours: dict[tuple[str, int], Row] = {}
    for faa, seconds, gust, temp in db.execute(HOURS):
        hours[faa, seconds] = {"wind_gust": gust, "temp": temp, "flights": []}
    flights: list[Row] = []
    pairs = ", ".join(["(?, ?)"] * len(hours))
    keys = [part for key in hours for part in key]
    for faa, seconds, tailnum, delay in db.execute(FLIGHTS.format(pairs), keys):
        flight: Row = {"tailnum": tailnum, "dep_delay": delay}
        hours[faa, seconds]["flights"].append(flight)
        flights.append(flight)
    return list(hours.values()), flights


def _read_planes(db: sqlite3.Connection, tailnums: set[str | None]) -> dict[str | None, Row]:
    known = [tailnum for tailnum in tailnums if tailnum is not None]
    return {
        tailnum: {"manufacturer": manufacturer, "model": model}
        for tailnum, manufacturer, model in _read_among(db, PLANES, known)
    }


def _link_last_flights(db: sqlite3.Connection, planes: dict[str | None, Row]) -> None:
    last: list[Row] = []
    for tailnum, plane in planes.items():
        plane["flights"] = [
            {"carrier": carrier, "dest_faa": faa, "dep_delay": delay}
            for carrier, faa, delay in db.execute(LAST, (tailnum,))
        ]
        last.extend(plane["flights"])
    faas = {flight["dest_faa"] for flight in last}
    carriers = {flight["carrier"] for flight in last}
    airports = {faa: {"name": name} for faa, name in _read_among(db, AIRPORTS, list(faas))}
    airlines = {
        carrier: {"name": name} for carrier, name in _read_among(db, AIRLINES, list(carriers))
    }
    for flight in last:
        flight["dest"] = airports.get(flight["dest_faa"])
        flight["airline"] = airlines[flight["carrier"]]


def _read_among(
    db: sqlite3.Connection, statement: str, keys: Sequence[str]
) -> Iterable[tuple[Any, ...]]:
    return db.execute(statement.format(", ".join("?" * len(keys))), keys)


def _affinity(row: Row, name: str) -> str:
    value = row[name]
    if isinstance(value, str):
        return "TEXT"
    return "REAL" if isinstance(value, float) or name.startswith("wind_") else "INTEGER"


def _plain(row: Row) -> tuple[object, ...]:
    return tuple(
        int(value.timestamp()) if isinstance(value, datetime.datetime) else value
        for value in row.values()
    )
