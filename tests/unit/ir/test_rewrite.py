"""Holds that expressions are rebuilt with other parts, and otherwise as they were."""

from __future__ import annotations

from hypothesis import given

from ormdb.ir.expr import And, Compare, Expr, FieldRef, InList, Literal, Not, Related
from ormdb.ir.rewrite import map_children
from ormdb.testing.strategies import any_expressions

A, B = FieldRef(path=("a",)), FieldRef(path=("b",))
ONE = Literal(value=1)


@given(any_expressions())
def test_mapping_with_what_changes_nothing_gives_an_equal_expression(expr: Expr) -> None:
    assert map_children(expr, lambda part: part) == expr


def test_operands_are_replaced_and_what_is_about_other_rows_is_not() -> None:
    def renamed(expr: Expr) -> Expr:
        return B if expr == A else map_children(expr, renamed)

    among = Literal(value=(1, 2))
    other = Related(kind="any", path=("r",), filter=A)
    given_ = And(items=(Not(operand=A), InList(operand=A, items=among), other))
    wanted = And(items=(Not(operand=B), InList(operand=B, items=among), other))
    assert renamed(given_) == wanted
    assert renamed(Compare(op="<", left=A, right=ONE)) == Compare(op="<", left=B, right=ONE)
