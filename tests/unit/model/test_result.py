"""An answer reads as a sequence of objects that share what they share."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from ormdb import Result
from ormdb.errors import NotLoadedError
from tests.unit.model.sample import Airport, FakeAnswer, Flight, Plane, blocks


def classes(name: str) -> type[Any]:
    return {"Airport": Airport, "Flight": Flight, "Plane": Plane}[name]


def result_of(answer: FakeAnswer) -> Result[Airport]:
    return Result(answer, Airport, classes)


def test_a_result_is_a_sequence_of_its_roots() -> None:
    result = result_of(FakeAnswer(blocks()))
    assert len(result) == 2
    assert [airport.name for airport in result] == ["Kennedy", "La Guardia"]
    assert result[-1].faa == "LGA"
    assert [airport.faa for airport in result[:1]] == ["JFK"]
    assert result[0] in result
    assert bool(result)


def test_relations_lead_to_the_rows_of_each_parent() -> None:
    jfk, lga = result_of(FakeAnswer(blocks()))
    assert [flight.id for flight in jfk.departures] == [1, 2]
    assert [flight.plane and flight.plane.tailnum for flight in lga.departures] == ["N2", None]
    assert jfk.departures is jfk.departures


def test_a_row_that_several_parents_reach_is_one_object() -> None:
    jfk, lga = result_of(FakeAnswer(blocks()))
    assert jfk.departures[1].plane is lga.departures[0].plane


def test_blocks_are_asked_for_when_an_object_is_read() -> None:
    answer = FakeAnswer(blocks())
    result = result_of(answer)
    assert len(result) == 2
    assert result.to_dicts() == [{"faa": "JFK"}, {"faa": "LGA"}]
    assert answer.asked == 0
    assert result[0].name == "Kennedy"
    assert result[1].name == "La Guardia"
    assert answer.asked == 1


def test_a_result_gives_its_other_forms() -> None:
    result = result_of(FakeAnswer(blocks()))
    assert result.blocks == blocks()
    assert result.statistics.rows == 8
    assert result.next_cursor == "next"
    assert result.previous_cursor is None


def test_a_result_prints_its_first_rows() -> None:
    shown = repr(result_of(FakeAnswer(blocks())))
    assert shown.startswith("<2 Airport: Airport(faa='JFK', name='Kennedy'")
    first = blocks().entities[0]
    long = dataclasses.replace(first, columns=(["a"] * 9, ["b"] * 9, [None] * 9))
    lone = dataclasses.replace(blocks(), entities=(long,), edges=())
    assert repr(result_of(FakeAnswer(lone))).endswith(", …>")


def test_an_include_under_another_name_is_read_by_it() -> None:
    found = blocks()
    few = Airport.departures.limit(1).named("few")
    renamed = dataclasses.replace(
        found,
        entities=(
            found.entities[0],
            dataclasses.replace(found.entities[1], path=("few",)),
            dataclasses.replace(found.entities[2], path=("few", "plane")),
        ),
        edges=(
            dataclasses.replace(found.edges[0], path=("few",)),
            dataclasses.replace(found.edges[1], path=("few", "plane")),
        ),
    )
    jfk = result_of(FakeAnswer(renamed))[0]
    assert [flight.id for flight in few.of(jfk)] == [1, 2]
    assert getattr(jfk, "few") == few.of(jfk)  # noqa: B009
    assert few.of(jfk)[0].plane is not None
    with pytest.raises(NotLoadedError):
        _ = jfk.departures


def test_a_root_named_by_text_finds_its_class() -> None:
    result: Result[Any] = Result(FakeAnswer(blocks()), "Airport", classes)
    assert type(result[0]) is Airport
    assert type(result[0].departures[0]) is Flight


def test_an_empty_answer_is_an_empty_sequence() -> None:
    found = blocks()
    empty = dataclasses.replace(
        found, entities=(dataclasses.replace(found.entities[0], columns=([], [], [])),), edges=()
    )
    result = result_of(FakeAnswer(empty))
    assert list(result) == []
    assert not result
    assert repr(result) == "<0 Airport: >"
