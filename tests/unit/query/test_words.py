"""Holds that no value of a query is in its words or its digest, and that a shape has one digest."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ormdb.ir.expr import (
    And,
    Arithmetic,
    Call,
    Compare,
    Expr,
    FieldRef,
    InList,
    IsNull,
    Literal,
    Not,
    Or,
)
from ormdb.ir.graph import FanoutBudget, GraphQuery, Include, Page
from ormdb.query.shape import take_shape
from ormdb.query.words import (
    expression_words,
    get_digest,
    include_instead,
    query_words,
    shape_digest,
)
from ormdb.storage.layout import Layout
from tests.unit.query.airline import among, by, compare

DELAY, SECRET = FieldRef(path=("delay",)), Literal(value="s3cret")


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        (compare("==", "origin.code", "s3cret"), "origin.code == ?"),
        (among("tail", "s3cret", None), "tail in ?"),
        (InList(operand=SECRET, items=Literal(value=("s3cret",))), "? in ?"),
        (compare("==", "tail", None), "tail == None"),
        (Not(operand=IsNull(operand=DELAY)), "delay is not None"),
        (
            Or(
                items=(
                    Compare(op=">", left=Arithmetic(op="+", left=DELAY, right=SECRET), right=DELAY),
                    And(items=(compare(">", "delay", 7), compare("<", "delay", 9))),
                )
            ),
            "delay + ? > delay or delay > ? and delay < ?",
        ),
        (
            Compare(op="==", left=Call(name="concat", arguments=(DELAY, SECRET)), right=SECRET),
            "concat(delay, ?) == ?",
        ),
        (Literal(value=True), "?"),
    ],
)
def test_words_have_a_mark_in_place_of_every_value(expression: Expr, words: str) -> None:
    assert expression_words(expression) == words
    masked = take_shape(GraphQuery(entity="Flight", filter=expression)).shape.query.filter
    assert masked is not None
    assert "s3cret" not in expression_words(masked)


def query(value: object) -> GraphQuery:
    condition = Compare(op="==", left=FieldRef(path=("tail",)), right=Literal(value=value))
    kept = Compare(op="==", left=Call(name="lower", arguments=(SECRET,)), right=SECRET)
    return GraphQuery(
        entity="Flight",
        filter=And(items=(condition, kept)),
        order=by("-time"),
        includes=(Include(relation="log", filter=compare("==", "text", value), limit=3),),
    )


def test_a_query_in_words_keeps_its_values_to_itself() -> None:
    asked = replace(
        query("s3cret"),
        page=Page(limit=7, after="s3cret"),
        as_of=77,
        budget=FanoutBudget(rows=88),
    )
    assert query_words(asked) == (
        "Flight.where(tail == ? and lower(?) == ?).order_by(time desc).limit(7)"
        ".include(log.where(text == ?).limit(3))"
    )


def test_words_are_one_line_whatever_the_names_are() -> None:
    hostile = replace(query("a"), entity="Flight\n2026 ERROR all is lost\x1b[2J", select=("a\rb",))
    words = query_words(hostile)
    assert words.isprintable()
    assert words.startswith("Flight?2026 ERROR all is lost?[2J.where(")


def test_queries_of_one_shape_have_one_digest() -> None:
    def digest(asked: GraphQuery) -> str:
        return shape_digest(take_shape(asked).shape)

    one = digest(query("a"))
    assert len(one) == 16
    assert digest(query("b")) == one
    assert digest(replace(query("b"), as_of=3, budget=FanoutBudget(rows=1))) == one
    assert digest(replace(query("b"), order=())) != one
    assert digest(replace(query("b"), page=Page(limit=3))) != one
    assert digest(replace(query("b"), page=Page(limit=3))) == digest(
        replace(query("c"), page=Page(limit=4))
    )
    assert digest(replace(query("b"), page=Page(after="x"))) != one
    assert get_digest("Flight") != get_digest("Plane")


def test_a_query_that_has_no_bytes_has_a_digest_nevertheless() -> None:
    strange = GraphQuery(entity="Flight", order=by("time"), select=("id", 7))  # type: ignore[arg-type]
    assert len(shape_digest(take_shape(strange).shape)) == 16


@pytest.mark.parametrize(
    ("entity", "filter_", "include"),
    [
        ("Flight", compare("==", "origin_code", "JFK"), "Airport.departures"),
        ("Flight", compare("==", "origin.code", "JFK"), "Airport.departures"),
        (
            "Flight",
            And(items=(compare(">", "delay", 5), compare("==", "tail", "N1"))),
            "Plane.flights",
        ),
        ("Log", compare("==", "flight_id", 4), "Flight.log"),
        ("Airport", compare("==", "code", "JFK"), "Flight.origin"),
        ("Flight", compare("==", "id", 1), "Duty.flight or Log.flight"),
        ("Flight", compare(">", "delay", 5), None),
        ("Flight", among("origin_code", "JFK", "LGA"), None),
        ("Log", compare("==", "id", 4), None),
        ("Nothing", compare("==", "id", 4), None),
        ("Flight", None, None),
    ],
)
def test_the_include_that_would_replace_a_query_is_told(
    layout: Layout, entity: str, filter_: Expr | None, include: str | None
) -> None:
    assert include_instead(layout, entity, filter_) == include
    mirrored = filter_
    if isinstance(filter_, Compare) and filter_.op == "==":
        mirrored = Compare(op="==", left=filter_.right, right=filter_.left)
    assert include_instead(layout, entity, mirrored) == include
