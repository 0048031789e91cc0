"""Predicates, orders and selections as the clauses of a query.

    where(a, b).where(c)      And(a, b, c), flat
    order_by(A.x, A.y.desc()) two keys; a bare column is ascending
    select(A.x, A.y, A.x)     x and y, each once

Every clause is checked against the entity it is used on; `entity` is None where that class is not
defined yet, and then only the engine can tell.

Invariants (held by tests/unit/model/test_query.py):
  1. What belongs to another entity is refused with a QueryError.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from ormdb.errors import QueryError
from ormdb.ir.expr import And, Expr, NamedParam
from ormdb.ir.graph import Derived, OrderSpec
from ormdb.ir.value import IntType, TextType, Type
from ormdb.model.cell import Named
from ormdb.model.column import Column, Order, Predicate, require_entity
from ormdb.model.term import Parameter, Term


def join_predicates(
    before: Expr | None, predicates: Sequence[Predicate[Any] | str], entity: type | None
) -> Expr | None:
    """Return the conjunction of a filter with further predicates of `entity`."""
    given = [_expression_of(one, entity) for one in predicates]
    items: list[Expr] = []
    for one in (*(() if before is None else (before,)), *given):
        items.extend(one.items if isinstance(one, And) else (one,))
    if not items:
        return None
    return items[0] if len(items) == 1 else And(items=tuple(items))


def order_specs(
    keys: Iterable[Order[Any] | Term[Any, Any]], entity: type | None
) -> tuple[OrderSpec, ...]:
    """Return the keys of an order of `entity`; a bare term is ascending."""
    specs: list[OrderSpec] = []
    for key in keys:
        order = key.asc() if isinstance(key, Term) else key
        if not isinstance(order, Order):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise QueryError(f"{order!r} is no order; give a column, or its .asc() or .desc()")
        if entity is not None:
            require_entity(order.entity, entity, "order by", order)
        specs.append(order.spec)
    return tuple(specs)


def derived_specs(
    before: tuple[Derived, ...], values: Iterable[Named[Any, Any]], entity: type | None
) -> tuple[Derived, ...]:
    """Return derived values of `entity` with further ones, each under a name of its own."""
    specs = list(before)
    for value in values:
        if not isinstance(value, Named):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise QueryError(f"{value!r} has no name; give it one, as in (A.x + A.y).named('sum')")
        if entity is not None:
            require_entity(value.entity, entity, "value", value)
        if any(value.name == spec.name for spec in specs):
            raise QueryError(f"two values are named {value.name!r}; name one of them anew")
        specs.append(Derived(name=value.name, value=value.expression))
    return tuple(specs)


def select_names(columns: Iterable[Column[Any, Any]], entity: type | None) -> tuple[str, ...]:
    """Return the names of the fields of `entity` to load, each once."""
    names: dict[str, None] = {}
    for column in columns:
        if not isinstance(column, Column):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise QueryError(f"{column!r} is no column; give one, as in Airport.name")
        if entity is not None:
            require_entity(column.entity, entity, "column", column)
        if len(column.path) != 1:
            raise QueryError(f"{column} is a field of another row; include the relation to load it")
        names[column.path[0]] = None
    return tuple(names)


def natural(count: int | Parameter[int], what: str) -> int | NamedParam:
    """Return a count of rows, or the parameter that is one.

    Raises:
      QueryError: it is no whole number, or negative.
    """
    if isinstance(count, Parameter):
        return _node_of(count, IntType, what)
    if type(count) is not int or count < 0:
        raise QueryError(f"{what}({count!r}) is no number of rows; give 0 or more")
    return count


def cursor_of(cursor: str | Parameter[str] | None, what: str) -> str | NamedParam | None:
    """Return a cursor, or the parameter that is one."""
    return _node_of(cursor, TextType, what) if isinstance(cursor, Parameter) else cursor


def _node_of(given: Parameter[Any], kind: type[Type], what: str) -> NamedParam:
    if not isinstance(given.node.type, kind):
        raise QueryError(f"{what}({given!r}) needs a parameter that is one: an int, a str")
    return given.node


def _expression_of(predicate: Predicate[Any] | str, entity: type | None) -> Expr:
    if isinstance(predicate, str):
        from ormdb.model.expression_text import parse_expression

        return parse_expression(predicate)
    if not isinstance(predicate, Predicate):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise QueryError(f"{predicate!r} is no predicate; compare a column, as in Class.field == 1")
    if entity is not None:
        require_entity(predicate.entity, entity, "predicate", predicate)
    return predicate.expression
