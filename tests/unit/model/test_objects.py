"""Objects are equal by identity, frozen, picklable, bounded to print, and never query."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest

from ormdb import Entity, Field, field
from ormdb.errors import NotLoadedError, UsageError
from ormdb.ir.result import GraphBlocks
from ormdb.model.entity import EntityMeta
from ormdb.model.objects import identity_of, require_identity, row_object
from ormdb.model.result import root_node
from tests.unit.model.sample import Airport, Engine, Flight, Plane, blocks


def airports(found: GraphBlocks | None = None) -> list[Any]:
    def unexpected(name: str) -> type[Any]:
        raise AssertionError(name)

    return root_node(found or blocks(), Airport, unexpected).objects


def test_objects_are_equal_by_class_and_identity() -> None:
    jfk, lga = airports()
    assert jfk == airports()[0]
    assert jfk == Airport(faa="JFK", name="another name")
    assert jfk != lga
    assert jfk != "JFK"
    assert Plane(tailnum="JFK") != jfk
    assert len({jfk, lga, airports()[0], Airport(faa="JFK", name="")}) == 2


def test_an_object_without_identity_equals_itself_only() -> None:
    one, other = (Flight(dep_delay=1, origin=Airport.key("JFK")) for _ in range(2))
    assert one == one  # noqa: PLR0124
    assert one != other
    assert len({one, other, one}) == 2
    assert identity_of(one) is None
    with pytest.raises(UsageError, match="has no identity yet"):
        require_identity(one)


def test_what_was_not_loaded_raises_and_names_the_remedy() -> None:
    jfk = airports()[0]
    flight = jfk.departures[0]
    with pytest.raises(NotLoadedError) as caught:
        _ = flight.tailnum
    assert caught.value.message == (
        "Flight.tailnum was not selected; fetch with .select(..., Flight.tailnum)"
    )
    with pytest.raises(NotLoadedError) as caught:
        _ = flight.origin
    assert caught.value.message == (
        "Flight.origin was not loaded, and objects never query; fetch with .include(Flight.origin)"
    )


def test_values_are_converted_when_they_are_read() -> None:
    jfk = airports()[0]
    assert jfk.place.house == "1a"
    assert jfk.departures[0].plane.engine is Engine.JET
    assert jfk.departures[1].dep_delay is None


def test_an_object_prints_what_is_loaded_and_counts_what_is_related() -> None:
    jfk, lga = airports()
    assert repr(lga) == "Airport(faa='LGA', name='La Guardia', place=None, departures=<2 Flight>)"
    assert repr(jfk.departures[1]) == "Flight(id=2, dep_delay=None, plane=<Plane 'N2'>)"
    assert repr(lga.departures[1]) == "Flight(id=4, dep_delay=8, plane=None)"


def test_a_list_prints_as_python_writes_it() -> None:
    class Tagged(Entity):
        id: Field[int] = field(identity=True)
        tags: Field[tuple[str, ...]]

    assert repr(Tagged(id=1, tags=("a", "b"))) == "Tagged(id=1, tags=('a', 'b'))"


def test_an_unknown_name_is_told_so_that_python_can_suggest_another() -> None:
    owners: list[Any] = [Airport, airports()[0]]
    for owner in owners:
        with pytest.raises(AttributeError) as caught:
            _ = owner.nme
        assert (caught.value.name, caught.value.obj) == ("nme", owner)


def test_the_repr_of_a_wide_or_large_row_is_bounded() -> None:
    names = {f"f{n}": Field[str] for n in range(60)}
    body = {"__annotations__": names, "__module__": __name__}
    wide: Any = EntityMeta("Wide", (Entity,), body)
    shown = repr(wide(**dict.fromkeys(names, "x" * 10_000)))
    assert len(shown) < 4_000
    assert shown.endswith("…)")


def test_a_pickled_object_keeps_its_fields_and_relations_and_nothing_else() -> None:
    jfk = airports()[0]
    again = pickle.loads(pickle.dumps(jfk))
    assert again == jfk
    assert hash(again) == hash(jfk)
    assert repr(again) == repr(jfk)
    assert [flight.plane.tailnum for flight in again.departures] == ["N1", "N2"]
    lone = pickle.dumps(jfk.departures[0].plane)
    assert b"Kennedy" not in lone
    assert pickle.loads(lone).engine is Engine.JET
    with pytest.raises(NotLoadedError):
        _ = pickle.loads(lone).flights


def test_a_copy_equals_what_was_copied() -> None:
    jfk = airports()[0]
    assert copy.copy(jfk) == copy.deepcopy(jfk) == jfk


def test_an_object_is_a_nested_dict_by_the_names_of_the_schema() -> None:
    _, lga = airports()
    assert lga.to_dict() == {
        "faa": "LGA",
        "name": "La Guardia",
        "place": None,
        "departures": [
            {"id": 3, "dep_delay": 7, "plane": {"tailnum": "N2", "engine": "prop"}},
            {"id": 4, "dep_delay": 8, "plane": None},
        ],
    }


def test_a_whole_row_is_an_object() -> None:
    jfk = row_object(Airport, {"faa": "JFK", "name": "Kennedy", "place": None}, ("JFK",))
    assert jfk == airports()[0]
    assert jfk.name == "Kennedy"
    with pytest.raises(NotLoadedError):
        _ = jfk.departures


def test_fields_are_also_found_by_their_names_in_the_schema() -> None:
    class Odd(Entity):
        class_: Field[str] = field(name="class", identity=True)

    odd = Odd(class_="x")
    assert odd.class_ == "x"
    assert getattr(odd, "class") == "x"
    assert Odd.class_.path == ("class",)
    assert getattr(Odd, "class") is Odd.class_
