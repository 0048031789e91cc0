"""Relations are includes and paths; keys name rows."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

from ormdb import Entity, Field, One, field, one
from ormdb.errors import QueryError, UsageError, ValueTypeError
from ormdb.ir.expr import And, Compare, FieldRef, Literal
from ormdb.ir.graph import GraphQuery, Include, Page
from tests.unit.model.sample import AIRPORT, FLIGHT, Airport, Flight, Plane


class Weather(Entity):
    origin: One[Airport] = one(identity=True)
    hour: Field[datetime.date] = field(identity=True)


class Sticker(Entity):
    id: Field[int] = field(identity=True)
    text: Field[str] = field(unique=True)


class Case(Entity):
    id: Field[int] = field(identity=True)
    sticker: One[Sticker | None] = one(references="text", default=None)


CASE: Any = Case


def test_an_include_is_refined_without_changing() -> None:
    late = Airport.departures.where(Flight.dep_delay > 1).where("id < 9")
    graph = late.order_by(Flight.id.desc()).limit(5).offset(1).include(Flight.plane).named("late")
    spec = graph.spec
    assert (spec.relation, spec.alias, spec.limit, spec.offset) == ("departures", "late", 5, 1)
    assert isinstance(spec.filter, And)
    assert spec.includes == (Include(relation="plane"),)
    assert late.spec.limit is None
    assert repr(graph) == (
        "Airport.departures.where(dep_delay > 1 and id < 9).order_by(id desc).limit(5).offset(1)"
        ".include(plane).named('late')"
    )


def test_a_relation_is_asked_about_its_rows() -> None:
    late = Flight.dep_delay > 60
    asked = Airport.departures.where(late).any("id < 9")
    assert asked.entity is Airport
    assert asked == Airport.departures.any(late, "id < 9")
    assert repr(asked) == "any(departures, dep_delay > 60 and id < 9)"
    assert repr(~Flight.plane.none()) == "not none(plane)"
    assert Airport.where("all(departures, dep_delay > 60)") == Airport.where(
        Airport.departures.all(late)
    )
    with pytest.raises(QueryError, match="leave its order, limit"):
        Airport.departures.limit(3).any()


def test_equal_includes_are_equal() -> None:
    assert Airport.departures.limit(3) == Airport.departures.limit(3)
    assert len({Airport.departures.limit(3), Airport.departures.limit(3)}) == 1
    assert Airport.departures != Plane.flights


def test_paths_lead_over_to_one_relations() -> None:
    path = Flight.origin[Airport.name]
    assert path.reference == FieldRef(path=("origin", "name"))
    assert Weather.origin[Airport.name].entity is Weather
    both = Case.sticker[Sticker.text]
    assert (both == "x").expression == Compare(
        op="==", left=FieldRef(path=("sticker", "text")), right=Literal(value="x")
    )


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: AIRPORT.departures.where(Plane.seats > 3), "is about Plane, not Flight"),
        (lambda: AIRPORT.departures.order_by(Plane.seats), "is about Plane, not Flight"),
        (lambda: AIRPORT.departures.include(Airport.departures), "is about Airport, not Flight"),
        (lambda: AIRPORT.departures.select(Plane.seats), "is about Plane, not Flight"),
        (lambda: FLIGHT.origin[Plane.seats], "is about Plane, not Airport"),
        (lambda: FLIGHT.origin["name"], "is no path"),
        (lambda: AIRPORT.departures.include("plane"), "is no relation"),
        (lambda: AIRPORT.departures.limit(-1), "give 0 or more"),
        (lambda: AIRPORT.departures.limit(True), "give 0 or more"),
    ],
)
def test_what_belongs_elsewhere_is_refused(make: Any, words: str) -> None:
    with pytest.raises(QueryError) as caught:
        make()
    assert words in caught.value.message


def test_one_relation_is_included_twice_under_two_names_only() -> None:
    few = Airport.departures.limit(1)
    with pytest.raises(QueryError, match="'departures' is included twice"):
        Airport.include(few, Airport.departures)
    assert len(Airport.include(few, Airport.departures.named("all")).ir.includes) == 2


def test_a_key_is_a_query_for_one_row() -> None:
    assert Airport.key("JFK").ir == GraphQuery(
        entity="Airport",
        filter=Compare(op="==", left=FieldRef(path=("faa",)), right=Literal(value="JFK")),
        page=Page(limit=1),
    )
    day = datetime.date(2013, 1, 1)
    assert Weather.key("JFK", day) == Weather.key(hour=day, origin_faa="JFK")
    assert isinstance(Weather.key("JFK", day).ir.filter, And)
    assert repr(Weather.key("JFK", day)) == "Weather.key('JFK', date 2013-01-01)"


def test_a_key_says_what_to_load_with_the_row() -> None:
    key = Airport.key("JFK").include(Airport.departures).select(Airport.name)
    assert key.ir.includes == (Include(relation="departures"),)
    assert key.ir.select == ("name",)
    assert not key.is_plain
    assert key != Airport.key("JFK")
    assert repr(key) == "Airport.key('JFK').include(departures)"


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (AIRPORT.key, UsageError, "got 0 values; the identity is faa"),
        (lambda: AIRPORT.key("a", "b"), UsageError, "got 2 values"),
        (lambda: AIRPORT.key(name="a"), UsageError, "the identity is faa"),
        (lambda: AIRPORT.key(3), ValueTypeError, "Airport.faa: int 3 is not text"),
        (lambda: AIRPORT.key(None), ValueTypeError, "an identity is never None"),
        (lambda: FLIGHT.key("7"), ValueTypeError, "is no number"),
    ],
)
def test_a_key_that_is_no_identity_is_refused(
    make: Any, error: type[Exception], words: str
) -> None:
    with pytest.raises(error) as caught:
        make()
    assert words in str(caught.value)


def test_a_relation_is_assigned_by_its_foreign_key() -> None:
    assert Flight.origin.to(Airport.key("JFK")).changes == (("origin_faa", "JFK"),)
    assert Flight.dest.to(None).changes == (("dest_faa", None),)
    assert Flight.plane.to(Plane(tailnum="N1")).changes == (("tailnum", "N1"),)
    sticker = Sticker(id=1, text="top")
    assert Case.sticker.to(sticker).changes == (("sticker_text", "top"),)


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: FLIGHT.origin.to(None), ValueTypeError, "Flight.origin is required"),
        (lambda: FLIGHT.origin.to(Plane.key("N1")), ValueTypeError, "is no Airport"),
        (lambda: FLIGHT.origin.to("JFK"), ValueTypeError, "give Airport.key(...)"),
        (lambda: CASE.sticker.to(Sticker.key(1)), UsageError, "refers to text"),
        (lambda: FLIGHT.origin.of(3), UsageError, "is no row object"),
    ],
)
def test_a_relation_refuses_what_does_not_say_its_foreign_key(
    make: Any, error: type[Exception], words: str
) -> None:
    with pytest.raises(error) as caught:
        make()
    assert words in str(caught.value)
