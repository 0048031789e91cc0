"""Columns are asked and calculated with; what a column has no answer to is refused at once."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest

from ormdb import Entity, Field, Json, field
from ormdb.errors import QueryError, UsageError, ValueTypeError
from ormdb.model.column import Predicate
from ormdb.model.expression_text import parse_expression
from ormdb.model.term import Term
from tests.unit.model.sample import Airport, Engine, Flight, Plane


class Crate(Entity):
    """A field of every kind that can be asked."""

    id: Field[int] = field(identity=True)
    name: Field[str | None]
    code: Field[str]
    tags: Field[tuple[str, ...]]
    engines: Field[tuple[Engine, ...]]
    notes: Field[Json | None]


# As a program without a type checker has them.
crate: Any = Crate
flight: Any = Flight


@pytest.mark.parametrize(
    ("made", "text"),
    [
        (Crate.name.like("J%"), 'like(name, "J%")'),
        (Crate.name.ilike("j%"), 'ilike(name, "j%")'),
        (Crate.name.starts_with("J"), 'starts_with(name, "J")'),
        (Crate.name.ends_with(Crate.code), "ends_with(name, code)"),
        (Crate.name.contains("J"), 'contains(name, "J")'),
        (Crate.name.istarts_with("j"), 'istarts_with(name, "j")'),
        (Crate.name.iends_with("j"), 'iends_with(name, "j")'),
        (~Crate.name.icontains("j"), 'not icontains(name, "j")'),
        (Crate.name.matches("new box"), 'matches(name, "new box")'),
        (Crate.name.matches("new", also=Crate.code), 'matches(name, code, "new")'),
        (Crate.name.rank("new", also=[Crate.code]) > 0, 'rank(name, code, "new") > 0'),
        (Crate.tags.has("new"), 'has(tags, "new")'),
        (Crate.engines.has(Engine.JET), 'has(engines, "jet")'),
        (Crate.tags.has(Crate.name), "has(tags, name)"),
        (Crate.notes.has_key("a"), 'has_key(notes, "a")'),
        (Crate.notes.contains_json({"a": [1]}), 'contains_json(notes, {"a": [1]})'),
        (Crate.notes.at("a", 0) == "x", 'at(notes, "a", 0) == "x"'),
        (Crate.notes.at("a").in_([1, "x"]), 'at(notes, "a") in (1, "x")'),
        (Crate.notes.at("a").has_key("b"), 'has_key(at(notes, "a"), "b")'),
        (Crate.notes.at("a").starts_with("x"), 'starts_with(at(notes, "a"), "x")'),
        (Flight.dep_delay + 10 < Flight.id, "dep_delay + 10 < id"),
        (10 - Flight.dep_delay == 3, "10 - dep_delay == 3"),
        ((flight.dep_delay + 1) * 2 != Flight.id / 3, "(dep_delay + 1) * 2 != id / 3"),
        (Flight.id % 2 == 1, "id % 2 == 1"),
        (2 + Flight.id * 3 > 1, "2 + id * 3 > 1"),
        (2 * flight.id > 6 / Flight.id, "2 * id > 6 / id"),
        (5 % Flight.id >= 1, "5 % id >= 1"),
        (-Flight.id <= -3, "0 - id <= -3"),
        ((Flight.id + 1).between(1, Flight.dep_delay), "id + 1 >= 1 and id + 1 <= dep_delay"),
        ((Flight.id + 1).is_null(), "id + 1 is None"),
        ((Flight.id + 1).not_in([1]), "id + 1 not in (1,)"),
        (Flight.id > Flight.dep_delay, "id > dep_delay"),
    ],
)
def test_what_is_asked_in_python_is_the_text_of_the_language(
    made: Predicate[Any], text: str
) -> None:
    assert made.expression == parse_expression(text)
    assert pickle.loads(pickle.dumps(made)) == made


@pytest.mark.parametrize(
    ("ask", "sentence"),
    [
        (
            lambda: crate.id.starts_with("1"),
            "Crate.id.starts_with() asks texts, and Crate.id is int; compare it with == or in_()",
        ),
        (
            lambda: crate.tags.contains("a"),
            "Crate.tags.contains() asks texts, and Crate.tags is list(text); ask it with has()",
        ),
        (
            lambda: crate.notes.like("a"),
            (
                "Crate.notes.like() asks texts, and Crate.notes is json; ask it with has_key(), "
                "contains_json() or at()"
            ),
        ),
        (
            lambda: crate.name.has("a"),
            (
                "Crate.name.has() asks lists, and Crate.name is text; ask it with contains(), "
                "starts_with() or like()"
            ),
        ),
        (
            lambda: crate.name.at("a"),
            (
                "Crate.name.at() asks JSON, and Crate.name is text; ask it with contains(), "
                "starts_with() or like()"
            ),
        ),
        (
            lambda: crate.name.contains(None),
            "Crate.name.contains(None) is never true; give what to look for",
        ),
        (
            lambda: crate.name.contains(Airport.name),
            (
                "the column Airport.name is about Airport, not Crate; use a column of Crate, or a "
                "path as in relation[Airport.field]"
            ),
        ),
        (
            lambda: flight.id + None,
            "Flight.id cannot be calculated with None; give a value or a column",
        ),
        (
            lambda: flight.id + Plane.seats,
            (
                "the column Plane.seats is about Plane, not Flight; use a column of Flight, or a "
                "path as in relation[Plane.field]"
            ),
        ),
        (
            lambda: flight.id + 1 == None,  # noqa: E711
            "(id + 1) compared with None is never true; write (id + 1).is_null()",
        ),
        (
            lambda: flight.id < Plane.seats + 1,
            (
                "the expression (seats + 1) is about Plane, not Flight; use a column of Flight, or "
                "a path as in relation[Plane.field]"
            ),
        ),
    ],
)
def test_a_question_without_an_answer_is_refused_when_it_is_asked(ask: Any, sentence: str) -> None:
    with pytest.raises(QueryError) as caught:
        ask()
    assert caught.value.message == sentence


def test_an_item_of_another_type_is_refused() -> None:
    with pytest.raises(ValueTypeError, match=r"an item of Crate\.tags: int 3 is not text"):
        crate.tags.has(3)


def test_what_is_calculated_is_a_value_like_a_column() -> None:
    made = Flight.id + 1
    same: Term[Flight, int] = copy.copy(made)
    assert hash(made) == hash(same)
    assert repr(made) == "(id + 1)"
    with pytest.raises(UsageError, match="has no truth value"):
        assert flight.id + 1
