"""A descriptor is a column on its class and a value on an object."""

from __future__ import annotations

import pytest

from ormdb import Column
from ormdb.errors import FrozenError, NotLoadedError
from ormdb.ir.expr import FieldRef
from ormdb.model.relation import OptionalToOne, ToMany
from tests.unit.model.sample import Airport, Engine, Flight, Place, Plane


def test_a_class_gives_columns_and_relations() -> None:
    assert isinstance(Flight.dep_delay, Column)
    assert Flight.dep_delay.reference == FieldRef(path=("dep_delay",))
    assert Flight.dep_delay is Flight.dep_delay
    assert isinstance(Flight.plane, OptionalToOne)
    assert isinstance(Airport.departures, ToMany)


def test_an_object_gives_values_as_the_annotation_says() -> None:
    plane = Plane(tailnum="N1", engine=Engine.PROP)
    assert plane.tailnum == "N1"
    assert plane.engine is Engine.PROP
    airport = Airport(faa="JFK", name="Kennedy", place=Place(lat=1.5))
    assert airport.place == Place(lat=1.5)


def test_a_field_that_has_no_value_is_not_loaded() -> None:
    plane = Plane(tailnum="N1")
    with pytest.raises(NotLoadedError) as caught:
        _ = plane.seats
    assert caught.value.field == "seats"
    assert "Plane.seats has no value before the row is stored" in caught.value.message


def test_neither_fields_nor_relations_can_be_assigned_or_deleted() -> None:
    flight = Flight(id=1, dep_delay=3, origin=Airport.key("JFK"))
    for name in ("dep_delay", "origin", "anything"):
        with pytest.raises(FrozenError, match=f"Flight.{name} cannot be assigned"):
            setattr(flight, name, 4)
    with pytest.raises(FrozenError):
        del flight.dep_delay
    assert flight.dep_delay == 3
