"""Expressions read as a person writes them, with brackets where they are needed."""

from __future__ import annotations

import datetime

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
    Param,
)
from ormdb.ir.graph import GraphQuery, Page
from ormdb.model.spelling import spell_expression, spell_query, spell_value

A, B = FieldRef(path=("a",)), FieldRef(path=("b", "c"))
ONE = Literal(value=1)
SMALL = Compare(op="<", left=A, right=ONE)
BIG = Compare(op=">", left=B, right=ONE)


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        (SMALL, "a < 1"),
        (And(items=(SMALL, Or(items=(SMALL, BIG)))), "a < 1 and (a < 1 or b.c > 1)"),
        (Or(items=(SMALL, And(items=(SMALL, BIG)))), "a < 1 or a < 1 and b.c > 1"),
        (Not(operand=And(items=(SMALL, BIG))), "not (a < 1 and b.c > 1)"),
        (Not(operand=SMALL), "not a < 1"),
        (IsNull(operand=A), "a is None"),
        (Not(operand=IsNull(operand=A)), "a is not None"),
        (InList(operand=A, items=Literal(value=(1, "x"))), "a in (1, 'x')"),
        (Not(operand=InList(operand=A, items=Param(index=2))), "a not in ?2"),
        (And(items=()), "True"),
        (Or(items=()), "False"),
        (And(items=(SMALL,)), "a < 1"),
        (Call(name="lower", arguments=(A,)), "lower(a)"),
        (Call(name="like", arguments=(A, Literal(value="J%"))), "like(a, 'J%')"),
        (
            Call(name="contains_json", arguments=(A, Literal(value={"k": [1]}))),
            "contains_json(a, {'k': [1]})",
        ),
        (
            Arithmetic(op="-", left=A, right=Arithmetic(op="-", left=A, right=ONE)),
            "a - (a - 1)",
        ),
        (
            Arithmetic(op="*", left=Arithmetic(op="+", left=A, right=ONE), right=ONE),
            "(a + 1) * 1",
        ),
        (Compare(op="==", left=SMALL, right=Literal(value=True)), "(a < 1) == True"),
        (Compare(op="==", left=A, right=Literal(value=None)), "a == None"),
    ],
)
def test_an_expression_is_spelled_with_the_brackets_it_needs(expression: Expr, text: str) -> None:
    assert spell_expression(expression) == text


def test_a_long_list_is_cut() -> None:
    many = InList(operand=A, items=Literal(value=tuple(range(50_000))))
    assert spell_expression(many) == "a in (0, 1, 2, 3, 4, 5, 6, 7, … 50000 in all)"
    assert spell_expression(Or(items=(SMALL,) * 20)).endswith("or a < 1 or …")


def test_a_page_and_a_moment_are_spelled() -> None:
    query = GraphQuery(entity="a", page=Page(limit=3, offset=4, before="x"), as_of=7)
    assert spell_query(query, "A") == "A.limit(3).offset(4).before('x').as_of(7)"


def test_values_say_their_kind_where_it_is_not_plain() -> None:
    assert spell_value(None) == "None"
    assert spell_value("it's") == '"it\'s"'
    assert spell_value(datetime.date(2013, 1, 1)) == "date 2013-01-01"
