"""Queries are immutable values that end as a GraphQuery."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from ormdb import Query
from ormdb.errors import ExpressionError, QueryError, UsageError
from ormdb.ir.expr import And, Compare, FieldRef, Literal
from ormdb.ir.graph import FanoutBudget, GraphQuery, Include, OrderSpec, Page
from tests.unit.model.sample import AIRPORT, FLIGHT, Airport, Flight, Plane

JFK = Compare(op="==", left=FieldRef(path=("faa",)), right=Literal(value="JFK"))


def test_a_query_ends_as_ir() -> None:
    query = (
        Airport.where(Airport.faa == "JFK")
        .order_by(Airport.name, Airport.faa.desc())
        .limit(5)
        .offset(2)
        .after("cursor")
        .select(Airport.name, Airport.name)
        .include(Airport.departures)
        .as_of(7)
        .budget(rows=3)
        .budget(depth=2)
    )
    assert query.ir == GraphQuery(
        entity="Airport",
        filter=JFK,
        order=(
            OrderSpec(key=FieldRef(path=("name",))),
            OrderSpec(key=FieldRef(path=("faa",)), descending=True),
        ),
        page=Page(limit=5, offset=2, after="cursor"),
        select=("name",),
        includes=(Include(relation="departures"),),
        as_of=7,
        budget=FanoutBudget(rows=3, depth=2),
    )
    assert query.ir is query.ir


def test_predicates_are_joined_flat_whether_typed_or_text() -> None:
    flat = Airport.where(Airport.faa == "JFK", "faa == 'JFK'").where(Airport.faa == "JFK")
    assert flat.ir.filter == And(items=(JFK, JFK, JFK))
    assert Airport.where().ir.filter is None
    with pytest.raises(ExpressionError):
        Airport.where("faa ==")


def test_refining_a_query_leaves_it_as_it_was() -> None:
    base = Airport.where(Airport.faa == "JFK")
    before = base.ir
    base.limit(1).include(Airport.departures).where("name == 'x'").order_by(Airport.name)
    assert base.ir == before


def test_queries_are_equal_when_they_ask_the_same() -> None:
    one, other = Airport.limit(1), Airport.all().limit(1)
    assert one == other
    assert hash(one) == hash(other)
    assert one != Airport.limit(2)
    assert one != Plane.limit(1)


def test_queries_and_their_parts_survive_pickling() -> None:
    late = Airport.departures.where(Flight.dep_delay > 120).limit(5).include(Flight.plane)
    query = Airport.where(Airport.faa == "JFK").include(late)
    assert pickle.loads(pickle.dumps(query)) == query
    assert pickle.loads(pickle.dumps(late)) == late
    assert pickle.loads(pickle.dumps(Airport.key("JFK"))) == Airport.key("JFK")
    predicate = Flight.origin[Airport.name] == "x"
    assert pickle.loads(pickle.dumps(predicate)) == predicate
    column = pickle.loads(pickle.dumps(Flight.origin[Airport.name]))
    assert (column == "x") == predicate


def test_a_query_reads_as_it_was_written() -> None:
    late = Airport.departures.where(Flight.dep_delay > 120).order_by(Flight.dep_delay.desc())
    query = Airport.where(Airport.faa.in_(["JFK"])).include(late.limit(5)).limit(3).budget(rows=9)
    assert repr(query) == (
        "Airport.where(faa in ('JFK')).limit(3)"
        ".include(departures.where(dep_delay > 120).order_by(dep_delay desc).limit(5))"
        ".budget(rows=9)"
    )
    assert repr(Airport.all()) == "Airport.all()"


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: AIRPORT.where(Flight.id > 1), "the predicate id > 1 is about Flight"),
        (lambda: AIRPORT.where(True), "True is no predicate"),
        (lambda: AIRPORT.order_by(Flight.id), "is about Flight"),
        (lambda: AIRPORT.order_by("name"), "is no order"),
        (lambda: AIRPORT.include(Flight.plane), "is about Flight"),
        (lambda: AIRPORT.select(Flight.id), "is about Flight"),
        (lambda: AIRPORT.select("name"), "is no column"),
        (lambda: FLIGHT.select(Flight.origin[Airport.name]), "include the relation"),
        (lambda: AIRPORT.limit(-1), "limit(-1) is no number of rows"),
        (lambda: AIRPORT.offset(1.5), "is no number of rows"),
        (lambda: AIRPORT.after("a").before("b"), "after one cursor or before one"),
        (lambda: AIRPORT.before("a").after("b"), "after one cursor or before one"),
        (lambda: AIRPORT.budget(rows=-1), "allows nothing"),
    ],
)
def test_what_can_never_be_meant_is_refused(make: Any, words: str) -> None:
    with pytest.raises(QueryError) as caught:
        make()
    assert words in caught.value.message


def test_a_query_needs_an_entity_class() -> None:
    wrong: Any = int
    with pytest.raises(UsageError, match="is no entity"):
        _ = Query(wrong).ir
