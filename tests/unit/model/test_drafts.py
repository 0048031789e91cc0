"""Objects that a program makes hold what it gave, and become rows."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from ormdb import Entity, Field, One, field, one
from ormdb.errors import NotLoadedError, RequiredError, UsageError, ValueTypeError
from ormdb.model.declaration import declaration_of
from ormdb.model.drafts import row_of, with_identity
from ormdb.model.objects import row_object
from tests.unit.model.sample import AIRPORT, FLIGHT, Airport, Engine, Flight, Place, Plane


def test_a_draft_becomes_the_row_that_the_schema_knows() -> None:
    jfk = Airport(faa="JFK", name="Kennedy", place=Place(lat=1.5))
    assert row_of(jfk) == {
        "faa": "JFK",
        "name": "Kennedy",
        "place": {"lat": 1.5, "house no": None},
    }
    assert row_of(Plane(tailnum="N1", engine=Engine.PROP)) == {"tailnum": "N1", "engine": "prop"}


@pytest.mark.parametrize("origin", [Airport(faa="JFK", name="Kennedy"), Airport.key("JFK")])
def test_a_relation_becomes_its_foreign_key(origin: Any) -> None:
    flight = Flight(dep_delay=None, origin=origin, dest=None)
    assert row_of(flight) == {"dep_delay": None, "origin_faa": "JFK", "dest_faa": None}


def test_a_relation_given_as_an_object_can_be_read() -> None:
    jfk = Airport(faa="JFK", name="Kennedy")
    assert Flight(dep_delay=1, origin=jfk).origin is jfk
    assert Flight(dep_delay=1, origin=jfk, dest=None).dest is None
    with pytest.raises(NotLoadedError, match=r"Flight\.origin was not loaded"):
        _ = Flight(dep_delay=1, origin=Airport.key("JFK")).origin


def test_every_unknown_name_is_listed_at_once() -> None:
    with pytest.raises(UsageError) as caught:
        AIRPORT(nme="x", fa="y", departures=(), faa="JFK")
    assert len(caught.value.problems) == 3
    assert "it has no field 'nme' (it has faa, name, place, departures)" in caught.value.message
    assert "departures is set on the other side" in caught.value.message


def test_every_missing_value_is_listed_at_once() -> None:
    with pytest.raises(RequiredError) as caught:
        AIRPORT()
    assert caught.value.fields == ("faa", "name")
    assert "lacks faa, name" in caught.value.message
    with pytest.raises(RequiredError, match="lacks origin"):
        FLIGHT(dep_delay=3)


def test_what_a_program_does_not_set_is_refused() -> None:
    class Sum(Entity):
        id: Field[int] = field(identity=True)
        double: Field[int] = field(computed="id * 2")
        other: One[Sum | None] = one(via="id", enforced=False)

    for declared in declaration_of(Sum).attributes.values():
        declared.scope.know({"Sum": Sum})
    made: Any = Sum
    with pytest.raises(UsageError, match="double is computed"):
        made(id=1, double=2)
    with pytest.raises(UsageError, match="other follows id; give that instead"):
        made(id=1, other=None)


def test_a_relation_and_its_foreign_key_are_not_both_given() -> None:
    with pytest.raises(UsageError, match="origin and origin_faa are the same"):
        FLIGHT(dep_delay=1, origin=Airport.key("JFK"), origin_faa="LGA")


def test_a_relation_to_a_row_of_another_entity_is_refused() -> None:
    wrong: Any = Plane.key("N1")
    with pytest.raises(ValueTypeError, match=r"Plane\.key\('N1'\) is no Airport"):
        row_of(Flight(dep_delay=1, origin=wrong))


def test_a_stored_draft_has_the_identity_it_was_given() -> None:
    draft = Flight(dep_delay=3, origin=Airport.key("JFK"))
    stored = with_identity(draft, (7,))
    assert stored.id == 7
    assert stored.dep_delay == 3
    assert stored == with_identity(draft, (7,))
    assert draft != stored


def test_a_pickled_draft_is_the_same_row_again() -> None:
    draft = Flight(dep_delay=3, origin=Airport.key("JFK"))
    again = pickle.loads(pickle.dumps(draft))
    assert row_of(again) == row_of(draft)
    assert repr(again) == "Flight(dep_delay=3, origin=Airport.key('JFK'))"


def test_a_fetched_object_is_the_row_to_insert_elsewhere() -> None:
    class Sum(Entity):
        id: Field[int] = field(identity=True)
        engine: Field[Engine]
        double: Field[int] = field(computed="id * 2")

    fetched = row_object(Sum, {"id": 1, "engine": "jet", "double": 2}, (1,))
    assert fetched.double == 2
    assert fetched.engine is Engine.JET
    assert row_of(fetched) == {"id": 1, "engine": "jet"}


def test_the_names_of_a_call_are_worked_out_once() -> None:
    class Point(Entity):
        x: Field[int] = field(identity=True)
        y: Field[int]

    for value in range(3):
        Point(x=value, y=value)
        Point(y=value, x=value)
    assert sorted(declaration_of(Point).plans) == [("x", "y"), ("y", "x")]
