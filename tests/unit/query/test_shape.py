"""Holds that a shape is a query without its values, and says of which classes they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from ormdb.errors import LimitError, QueryError
from ormdb.ir.evaluate import evaluate
from ormdb.ir.expr import (
    And,
    Arithmetic,
    Call,
    Compare,
    Expr,
    FieldRef,
    InList,
    Literal,
    Not,
    Or,
    Param,
)
from ormdb.ir.graph import FanoutBudget, GraphQuery, Include, Page
from ormdb.ir.value import Value
from ormdb.query.shape import Shape, take_shape
from tests.unit.query.airline import among, asks, compare


def shape_of(condition: Expr) -> Shape:
    return take_shape(GraphQuery(entity="Flight", filter=condition)).shape


def restored(expr: Expr, values: Sequence[Value]) -> Expr:
    """An expression of a shape with its values put back."""
    match expr:
        case Param(index=index):
            return Literal(value=values[index])
        case Compare(op=op, left=left, right=right):
            return Compare(op=op, left=restored(left, values), right=restored(right, values))
        case InList(operand=operand, items=Param(index=index)):
            return InList(operand=operand, items=Literal(value=values[index]))
        case And(items=items):
            return And(items=tuple(restored(item, values) for item in items))
        case Or(items=items):
            return Or(items=tuple(restored(item, values) for item in items))
        case Not(operand=operand):
            return Not(operand=restored(operand, values))
        case _:
            return expr


def test_queries_that_differ_in_values_only_have_one_shape() -> None:
    def condition(delay: int, *codes: str) -> Expr:
        return And(items=(compare(">", "delay", delay), among("origin_code", *codes)))

    assert shape_of(condition(5, "JFK")) == shape_of(condition(7, "LGA", "EWR"))


@pytest.mark.parametrize("other", [1.0, True, "1"])
def test_the_class_of_a_value_is_part_of_the_shape(other: Value) -> None:
    assert shape_of(compare("==", "delay", 1)) != shape_of(compare("==", "delay", other))
    assert shape_of(among("delay", 1)) != shape_of(among("delay", other))


def test_literals_that_stay_in_the_shape_are_told_apart_by_class() -> None:
    def condition(number: float) -> Expr:
        sum_ = Arithmetic(op="+", left=FieldRef(path=("delay",)), right=Literal(value=number))
        return Compare(op=">", left=sum_, right=Literal(value=3))

    shapes = {shape_of(condition(number)) for number in (1, 1.0, True)}
    assert len(shapes) == 3


def test_numbers_of_pages_are_not_part_of_the_shape_but_their_presence_is() -> None:
    def shape(page: Page, include: Include) -> Shape:
        return take_shape(GraphQuery(entity="Flight", page=page, includes=(include,))).shape

    few = shape(Page(limit=5, offset=2, after="x"), Include(relation="duties", limit=1))
    more = shape(Page(limit=50, after="y"), Include(relation="duties", limit=9))
    assert few == more
    assert few != shape(Page(after="x"), Include(relation="duties", limit=1))
    assert few != shape(Page(limit=5, before="x"), Include(relation="duties", limit=1))
    assert few != shape(Page(limit=5, after="x"), Include(relation="duties"))


def test_neither_budget_nor_moment_is_part_of_the_shape() -> None:
    plain = GraphQuery(entity="Flight")
    other = replace(plain, as_of=7, budget=FanoutBudget(rows=1))
    assert take_shape(plain).shape == take_shape(other).shape


def test_values_put_back_give_the_query_again() -> None:
    conditions: list[Expr] = [
        compare("==", "origin.code", "JFK"),
        Compare(op="<", left=Literal(value=3), right=FieldRef(path=("delay",))),
        Not(operand=Or(items=(compare("!=", "kind", "mail"), among("delay", 1, 2)))),
        And(items=(compare(">", "delay", 1), compare(">", "delay", 1))),
    ]
    for condition in conditions:
        shaped = take_shape(GraphQuery(entity="Flight", filter=condition))
        assert shaped.shape.query.filter is not None
        assert restored(shaped.shape.query.filter, shaped.values) == condition


@pytest.mark.parametrize("delay", [1, 2, 3, None])
@pytest.mark.parametrize("items", [(None,), (1, None), (None, 2, 1), (1, 2), ()])
def test_a_list_with_nulls_keeps_its_truth(
    delay: int | None, items: tuple[int | None, ...]
) -> None:
    condition = among("delay", *items)
    shaped = take_shape(GraphQuery(entity="Flight", filter=condition))
    assert shaped.shape.query.filter is not None
    again = restored(shaped.shape.query.filter, shaped.values)
    row = {"delay": delay}
    assert evaluate(again, row) is evaluate(condition, row)


@pytest.mark.parametrize("depth", [1_000, 10_000])
def test_a_filter_that_nests_too_deeply_is_refused_before_anything_recurses(depth: int) -> None:
    condition = compare("==", "delay", 1)
    for _ in range(depth):
        condition = Not(operand=condition)
    with pytest.raises(LimitError, match="flatter"):
        shape_of(condition)
    calculated: Expr = Literal(value=1)
    for _ in range(depth):
        calculated = Arithmetic(op="+", left=calculated, right=Literal(value=1))
    with pytest.raises(LimitError, match="flatter"):
        shape_of(Compare(op=">", left=calculated, right=Literal(value=0)))


def test_two_hundred_includes_are_taken_and_one_more_is_refused() -> None:
    def query(count: int) -> GraphQuery:
        includes = tuple(Include(relation="plane", alias=f"plane{n}") for n in range(count))
        return GraphQuery(entity="Flight", includes=includes)

    assert len(take_shape(query(200)).pages) == 201
    with pytest.raises(LimitError, match="more than 200 includes"):
        take_shape(query(201))


@pytest.mark.parametrize("number", [-1, True, 2.5, "3"])
def test_a_limit_that_is_no_number_of_rows_is_refused(number: Value) -> None:
    for page in (Page(limit=number), Page(offset=number)):
        with pytest.raises(QueryError, match="0 or more"):
            take_shape(GraphQuery(entity="Flight", page=page))
    for include in (
        Include(relation="duties", limit=number),
        Include(relation="duties", offset=number),
    ):
        with pytest.raises(QueryError, match="duties"):
            take_shape(GraphQuery(entity="Flight", includes=(include,)))


def test_what_a_function_looks_for_is_no_part_of_the_shape() -> None:
    assert shape_of(asks("starts_with", "tail", "N1")) == shape_of(asks("starts_with", "tail", "X"))
    assert shape_of(asks("contains", "tail", "1")) != shape_of(asks("ends_with", "tail", "1"))
    documents: list[Value] = [{"a": 1}, {"a": True, "b": []}]
    shapes = [shape_of(asks("contains_json", "data", value)) for value in documents]
    assert shapes[0] == shapes[1]
    assert len({*shapes}) == 1
    asked = Not(operand=And(items=(asks("has", "tags", "new"), asks("like", "tail", "N%"))))
    shaped = take_shape(GraphQuery(entity="Flight", filter=asked))
    assert shaped.values == ("new", "N%")


def test_a_pattern_that_begins_with_a_text_is_of_another_shape_than_one_that_does_not() -> None:
    begun, open_ = shape_of(asks("like", "tail", "N%")), shape_of(asks("like", "tail", "%N"))
    assert begun != open_
    assert begun == shape_of(asks("like", "tail", r"\%%"))
    assert open_ == shape_of(asks("like", "tail", "_N"))
    assert shape_of(asks("ilike", "tail", "N%")) == shape_of(asks("ilike", "tail", "%N"))


def test_an_item_sought_in_what_is_no_field_stays_in_the_shape() -> None:
    made = Call(name="coalesce", arguments=(FieldRef(path=("tags",)), FieldRef(path=("more",))))
    asked = Call(name="has", arguments=(made, Literal(value=1)))
    shaped = take_shape(GraphQuery(entity="Flight", filter=asked))
    assert shaped.values == ()
    assert shaped.shape.query.filter == asked
