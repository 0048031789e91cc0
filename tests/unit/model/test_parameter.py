"""Holds where a parameter may stand, and what a query with one looks like."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

import ormdb
from ormdb import param
from ormdb.errors import QueryError
from ormdb.ir.expr import Compare, FieldRef, InList, NamedParam
from ormdb.ir.value import EnumType, IntType, ListType, TextType
from tests.unit.model.sample import Airport, Engine, Flight, Plane

SEATS = param("seats", int)
NAME = param("name", str)


def test_a_parameter_fits_columns_of_every_entity() -> None:
    assert (Plane.seats > SEATS).expression == Compare(
        op=">", left=FieldRef(path=("seats",)), right=NamedParam(name="seats", type=IntType())
    )
    assert (Flight.id == SEATS).entity is Flight
    assert Airport.where(Airport.name == NAME).ir.filter is not None


def test_a_comparison_may_begin_with_the_parameter() -> None:
    turned: Any = Plane.seats < SEATS  # Python turns `SEATS > Plane.seats` by itself or not at all
    assert (Plane.seats < SEATS).entity is Plane
    assert Plane.where(Plane.seats < SEATS, turned).ir.filter is not None
    assert (SEATS + Plane.seats).entity is Plane


def test_a_parameter_is_compared_with_columns_only() -> None:
    with pytest.raises(QueryError, match="compare a column with it"):
        SEATS == 5  # noqa: B015  # pyright: ignore[reportUnusedExpression]


def test_a_list_needs_a_parameter_that_is_one() -> None:
    codes = param("codes", list[str])
    assert Airport.faa.in_(codes).expression == InList(
        operand=FieldRef(path=("faa",)),
        items=NamedParam(name="codes", type=ListType(item=TextType())),
    )
    given: Any = NAME
    with pytest.raises(QueryError, match="needs a list"):
        Airport.faa.in_(given)


def test_a_page_takes_counts_and_cursors() -> None:
    count, cursor = param("count", int), param("cursor", str)
    page = Airport.limit(count).offset(count).after(cursor).ir.page
    assert (page.limit, page.offset, page.after) == (count.node, count.node, cursor.node)
    assert Airport.departures.limit(count).spec.limit == count.node
    wrong: Any = NAME
    with pytest.raises(QueryError, match=r"limit\(:name\)"):
        Airport.limit(wrong)


def test_a_query_shows_its_parameters_by_name() -> None:
    query = Airport.where(Airport.faa.in_(param("codes", list[str])), Airport.name.like(NAME))
    shown = repr(query.limit(param("count", int)))
    assert shown == "Airport.where(faa in :codes and like(name, :name)).limit(:count)"


def test_a_parameter_of_an_enum_has_its_variants() -> None:
    assert param("engine", Engine).node.type == EnumType(variants=("jet", "prop"))


@pytest.mark.parametrize("kind", [object, tuple, list[list[int]], 5, Airport])
def test_a_parameter_of_no_known_class_is_refused(kind: Any) -> None:
    with pytest.raises(QueryError, match="cannot be"):
        param("x", kind)


@pytest.mark.parametrize("name", ["", "two words", "1st", "x" * 121])
def test_a_parameter_has_a_name_that_a_call_can_use(name: str) -> None:
    with pytest.raises(QueryError, match="name"):
        param(name, int)


def test_a_parameter_survives_pickling() -> None:
    again = pickle.loads(pickle.dumps(SEATS))
    assert isinstance(again, ormdb.Parameter)
    assert again.node == SEATS.node
