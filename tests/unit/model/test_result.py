"""An answer reads as a sequence of objects that share what they share."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from ormdb import Result
from ormdb.errors import NotLoadedError, QueryError
from tests.arrow_libraries import pyarrow
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


def test_a_node_is_a_table_of_its_rows_each_once() -> None:
    result = result_of(FakeAnswer(blocks()))
    assert pyarrow.table(result.arrow())["faa"].to_pylist() == ["JFK", "LGA"]
    by_path, by_class = result.arrow("departures.plane"), result.arrow(Plane)
    assert by_path == by_class
    assert pyarrow.table(by_path).to_pylist() == [
        {"tailnum": "N1", "engine": "jet"},
        {"tailnum": "N2", "engine": "prop"},
    ]
    assert result.to_pandas(Flight)["dep_delay"].sum() == 20


def test_the_edges_of_a_node_are_pairs_of_row_numbers() -> None:
    result = result_of(FakeAnswer(blocks()))
    many = pyarrow.table(result.arrow_edges(Flight)).to_pydict()
    assert many == {"parent": [0, 0, 1, 1], "target": [0, 1, 2, 3]}
    one = pyarrow.table(result.arrow_edges("departures.plane")).to_pydict()
    assert one == {"parent": [0, 1, 2], "target": [0, 1, 1]}


def test_a_node_that_is_not_there_or_there_twice_is_refused() -> None:
    result = result_of(FakeAnswer(blocks()))
    with pytest.raises(QueryError, match=r"'departures\.plane'"):
        result.arrow("plane")
    with pytest.raises(QueryError, match="leads to the roots"):
        result.arrow_edges(Airport)
    first = blocks().entities[1]
    again = dataclasses.replace(first, path=("arrivals",))
    twice = dataclasses.replace(blocks(), entities=(*blocks().entities, again))
    with pytest.raises(QueryError, match=r"Flight is several nodes .* 'departures', 'arrivals'"):
        result_of(FakeAnswer(twice)).arrow(Flight)
