"""Holds that schema changes which touch no row leave every row readable, writable and checked."""

from __future__ import annotations

import datetime
import decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ormdb.clock import SystemClock
from ormdb.database.database import Database
from ormdb.database.maintenance import check_engine
from ormdb.database.opening import declared_bundle, prepare_schema
from ormdb.errors import SchemaChangeError
from ormdb.ir.graph import GraphQuery, Include
from ormdb.ir.mutation import Insert, Update
from ormdb.session import Context
from ormdb.storage.memory import MemoryEngine

# A schema with places where lines can be added: {name} is one edit or nothing.
TEXT = """ormdb schema 1
{plane}
entity Airport
  identity faa
{first}  faa: text
  name: text
{tz}{alt}{code}
entity Flight
  identity id
{doc}  id: int
  origin_faa: text
  delay: int?
{via}{late}{price}{tags}
{stop}
relation Flight.origin (origin_faa) -> Airport (faa)
{inverse}
{over}
{stop_relations}
"""
EDITS = {
    "plane": "entity Plane\n  identity tail\n  tail: text\n  seats: int?\n  index s on seats\n",
    "first": "  short: text? computed lower(faa)\n",
    "tz": "  tz: text = 'UTC'\n",
    "alt": "  alt: decimal(6, 2)\n    fill 7\n",
    "code": '  code: enum("a", "b")? = "b"\n',
    "doc": '  doc "A departure."\n',
    "via": "  via: text?\n",
    "late": "  late: bool? computed delay > 15\n",
    "price": "  price: decimal(6, 2) = 1.5\n",
    "tags": "  tags: list(text)\n    fill ()\n",
    "inverse": "  inverse departures\n",
    "over": "relation Flight.over (via) -> Airport (faa)\n  inverse passed\n",
    "stop": "entity Stop\n  identity flight, airport\n  flight: int\n  airport: text\n",
    "stop_relations": (
        "relation Stop.of (flight) -> Flight (id)\n"
        "relation Stop.at (airport) -> Airport (faa)\n  inverse stopping\n"
        "through Flight.stops -> Airport over Stop from of to at\n"
    ),
}
# What the rows of the first version read as in fields that came later.
AIRPORT = {"tz": "UTC", "alt": decimal.Decimal("7.00"), "code": None}
FLIGHT = {"via": None, "price": decimal.Decimal("1.50"), "tags": ()}
# What later rows have to say, because a fill is for old rows only.
SAID = {"alt": 1, "tags": ("new",)}


def text_of(edits: set[str]) -> str:
    made = set(edits)
    if "over" in made:
        made.add("via")
    if "stop" not in made:
        made.discard("stop_relations")
    lines = TEXT.format_map({name: EDITS[name] if name in made else "" for name in EDITS})
    return "\n".join(line for line in lines.splitlines() if line.strip()) + "\n"


class Grown:
    """A database that is opened with one schema after the other."""

    def __init__(self) -> None:
        self.engine = MemoryEngine()
        self.database = self.open(set())
        self.flights = 2
        self.insert("Airport", {"faa": "JFK", "name": "Kennedy"}, {"faa": "LGA", "name": "Guardia"})
        self.insert("Flight", *({"id": n, "origin_faa": "JFK", "delay": 20 * n} for n in range(2)))

    def open(self, edits: set[str]) -> Database:
        prepare_schema(self.engine, declared_bundle(text_of(edits)), SystemClock())
        self.database = Database(
            self.engine,
            clock=SystemClock(),
            context=Context.system(),
            retention=datetime.timedelta(days=1),
        )
        return self.database

    def insert(self, entity: str, *rows: dict[str, Any]) -> None:
        self.database.run_mutations([Insert(entity=entity, rows=rows)])

    def rows(self, entity: str, *includes: str) -> list[dict[str, Any]]:
        wanted = tuple(Include(relation=name) for name in includes)
        return self.database.run_fetch(GraphQuery(entity=entity, includes=wanted)).dicts()

    def check_old_rows(self, edits: set[str]) -> None:
        airport, *_ = self.rows("Airport", *(["departures"] if "inverse" in edits else []))
        flight, *_ = self.rows("Flight", "origin")
        assert flight["origin"]["name"] == airport["name"] == "Kennedy"
        for row, fields in ((airport, AIRPORT), (flight, FLIGHT)):
            for name in edits & fields.keys():
                assert row[name] == fields[name]
        if "first" in edits:
            assert airport["short"] == "jfk"
        if "late" in edits:
            assert flight["late"] is False
        if "inverse" in edits:
            assert [one["id"] for one in airport["departures"]] == [*range(self.flights)]
        assert check_engine(self.engine, deep=True).problems == ()

    def write_rows(self, edits: set[str]) -> None:
        row = {"id": self.flights, "origin_faa": "JFK", "delay": 16}
        row |= {name: SAID[name] for name in edits & SAID.keys() & FLIGHT.keys()}
        self.insert("Flight", row)
        self.flights += 1
        update = Update(entity="Flight", identity=(1,), changes={"delay": 30})
        self.database.run_mutations([update])
        if "over" in edits:
            update = Update(entity="Flight", identity=(1,), changes={"via": "LGA"})
            self.database.run_mutations([update])
            _, guardia = self.rows("Airport", "passed")
            assert [one["id"] for one in guardia["passed"]] == [1]
        if "stop" in edits:
            self.insert("Stop", {"flight": self.flights - 1, "airport": "LGA"})
        if "stop_relations" in edits:
            assert self.rows("Flight", "stops")[-1]["stops"][0]["faa"] == "LGA"


@settings(max_examples=40)
@given(st.lists(st.sets(st.sampled_from(sorted(EDITS)), max_size=5), max_size=4))
def test_rows_survive_every_series_of_changes_that_touch_none(steps: list[set[str]]) -> None:
    grown, edits = Grown(), set[str]()
    for step in steps:
        wanted = edits | step
        if "stop" not in wanted:
            wanted.discard("stop_relations")
        # Rows may have values by then, which the relation knows nothing of.
        if "over" in wanted - edits and "via" in edits:
            with pytest.raises(SchemaChangeError):
                grown.open(wanted)
            wanted.discard("over")
        # So may rows of an entity that came without its relations.
        if "stop_relations" in wanted - edits and "stop" in edits:
            with pytest.raises(SchemaChangeError):
                grown.open(wanted)
            wanted.discard("stop_relations")
        if "over" in wanted:
            wanted.add("via")
        edits = wanted
        grown.open(edits)
        grown.check_old_rows(edits)
        grown.write_rows(edits)
        grown.check_old_rows(edits)
