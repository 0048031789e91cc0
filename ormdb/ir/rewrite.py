"""Expressions with other parts in them.

    map_children(a > 1 and not b, f)      f(a > 1) and f(not b)

Invariants (held by tests/unit/ir/test_rewrite.py):
  1. Mapping with what changes nothing gives an equal expression.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, cast

from ormdb.ir.expr import (
    Aggregate,
    And,
    Arithmetic,
    Call,
    Compare,
    Expr,
    FieldRef,
    InList,
    IsNull,
    Literal,
    NamedParam,
    Not,
    Or,
    Param,
    Related,
)


def map_children(expr: Expr, change: Callable[[Expr], Expr]) -> Expr:
    """The same node over changed operands; the list of an `in` stays as it is, as do a `Related`
    and an `Aggregate`, which are about other rows."""
    match expr:
        case Literal() | Param() | NamedParam() | FieldRef() | Related() | Aggregate():
            return expr
        case Compare(left=left, right=right) | Arithmetic(left=left, right=right):
            return replace(expr, left=change(left), right=change(right))
        case InList(operand=operand) | IsNull(operand=operand) | Not(operand=operand):
            return replace(expr, operand=change(operand))
        case And(items=items) | Or(items=items):
            return replace(expr, items=tuple(map(change, items)))
        case Call(arguments=arguments):
            return replace(expr, arguments=tuple(map(change, arguments)))


def with_moment(expr: Expr, moment: Literal) -> Expr:
    """The expression with a moment in place of now(), also where it is about related rows."""

    def change(node: Expr) -> Expr:
        match node:
            case Call(name="now"):
                return moment
            case Related(filter=inner) if inner is not None:
                return replace(node, filter=change(inner))
            case Aggregate(operand=operand, filter=inner):
                return replace(
                    node,
                    operand=None if operand is None else change(operand),
                    filter=None if inner is None else change(inner),
                )
            case _:
                return map_children(node, change)

    return change(expr)


def numbered(expr: Expr) -> tuple[Expr, list[int]]:
    """An expression whose parameters are counted as they come, and which ones they were."""
    order: list[int] = []

    def walk(node: Any) -> Any:
        if isinstance(node, Param):
            order.append(node.index)
            return Param(index=len(order) - 1)
        if isinstance(node, tuple):
            return tuple(map(walk, cast("Sequence[Any]", node)))
        if isinstance(node, Literal) or not dataclasses.is_dataclass(node):
            return node
        parts = {part.name: walk(getattr(node, part.name)) for part in dataclasses.fields(node)}
        made: Callable[..., Any] = type(node)
        return made(**parts)

    return walk(expr), order
