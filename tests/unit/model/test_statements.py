"""Updates and deletes become mutations, in one call each; what does not fit is refused before."""

from __future__ import annotations

from typing import Any

import pytest

from ormdb import expression, now, sequence, uuid7
from ormdb.errors import QueryError, UsageError
from ormdb.ir.expr import Arithmetic, Call, Compare, FieldRef, Literal
from ormdb.ir.graph import GraphQuery
from ormdb.ir.mutation import Delete, DeleteWhere, Update, UpdateWhere
from tests.unit.model.sample import Airport, FakeSession, Flight, Plane

SEATS = FieldRef(path=("seats",))
MANY = Compare(op=">", left=SEATS, right=Literal(value=100))


def test_an_update_says_which_row_what_and_on_which_condition() -> None:
    session = FakeSession()
    done = session.update(
        Plane.key("N1"), Plane.seats.to(Plane.seats * 2), where=Plane.seats > 100, if_version=41
    )
    assert done is True
    double = Arithmetic(op="*", left=SEATS, right=Literal(value=2))
    assert session.asked == [
        [
            Update(
                entity="Plane",
                identity=("N1",),
                changes={},
                expressions=(("seats", double),),
                where=MANY,
                if_version=41,
            )
        ]
    ]


def test_an_update_of_what_a_query_means_counts_rows() -> None:
    session = FakeSession()
    assert session.update_where(Plane.where(Plane.seats > 100), Plane.seats.add(1)) == 2
    assert session.update_where(Plane, Plane.seats.to(None)) == 2
    more = Arithmetic(op="+", left=SEATS, right=Literal(value=1))
    assert [mutation for (mutation,) in session.asked] == [
        UpdateWhere(
            query=GraphQuery(entity="Plane", filter=MANY),
            changes={},
            expressions=(("seats", more),),
        ),
        UpdateWhere(query=GraphQuery(entity="Plane"), changes={"seats": None}),
    ]


def test_a_delete_of_what_a_query_means_counts_rows() -> None:
    session = FakeSession()
    assert session.delete_where(Plane.where("seats > 100")) == 2
    session.delete(Plane.key("N1"), if_version=3)
    assert [mutation for (mutation,) in session.asked] == [
        DeleteWhere(query=GraphQuery(entity="Plane", filter=MANY)),
        Delete(entity="Plane", identities=(("N1",),), if_version=3),
    ]


def test_what_a_row_was_may_be_coalesced_and_drawn() -> None:
    coalesced = Plane.seats.to(Plane.seats.coalesce(Plane.seats + 1, 0))
    ((name, expr),) = coalesced.expressions
    assert name == "seats"
    assert isinstance(expr, Call)
    assert expr.name == "coalesce"
    assert expr.arguments[2] == Literal(value=0)
    drawn: Any = Plane.seats
    assert drawn.to(now()).expressions == (("seats", Call(name="now", arguments=())),)
    assert drawn.to(uuid7()).expressions == (("seats", Call(name="uuid7", arguments=())),)
    text = Plane.seats.to(expression("seats * 2"))
    assert text.expressions == Plane.seats.to(Plane.seats * 2).expressions
    with pytest.raises(UsageError, match="only an insert draws from a sequence"):
        Plane.seats.to(sequence())
    with pytest.raises(QueryError, match="needs something to take where"):
        Plane.seats.coalesce()


def test_statements_refuse_what_is_of_another_entity_or_nothing_at_all() -> None:
    session = FakeSession()
    wrong: Any = Flight.dep_delay
    with pytest.raises(QueryError, match="is about Flight, not Plane"):
        Plane.seats.to(wrong + 1)
    with pytest.raises(QueryError, match="is about Flight, not Plane"):
        session.update(Plane.key("N1"), Plane.seats.to(1), where=wrong > 1)
    with pytest.raises(UsageError, match="seats is assigned twice"):
        session.update_where(Plane, Plane.seats.to(1), Plane.seats.add(1))
    with pytest.raises(UsageError, match="assigns nothing"):
        session.update_where(Plane, wrong)
    with pytest.raises(QueryError, match="is about Flight, not Plane"):
        session.update_where(Plane, wrong.to(1))
    nothing: Any = 3
    with pytest.raises(QueryError, match="3 is no query"):
        session.delete_where(nothing)
    assert session.asked == []


def test_the_version_of_a_row_is_asked_by_its_identity() -> None:
    session = FakeSession()
    assert session.row_version(Airport.key("JFK")) == 7
    assert session.asked == [("Airport", ("JFK",))]
