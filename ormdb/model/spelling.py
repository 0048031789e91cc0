"""Queries and expressions as a person would write them: for reprs and error texts.

    Airport.where(faa in ('JFK', 'LGA')).include(departures.where(dep_delay > 120).limit(5))

This is for reading.  The text that is parsed back is that of `expression_text`.

Invariants (held by tests/unit/model/test_spelling.py):
  1. Brackets stand where the reading would change without them, and nowhere else.
  2. A long list is cut: the cost of a repr does not grow with the query's data.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any, Final, assert_never

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
from ormdb.ir.graph import FanoutBudget, GraphQuery, Include, OrderSpec, Page
from ormdb.ir.show import show_value
from ormdb.ir.table import TableQuery

_ITEMS_SHOWN: Final = 8
_OR, _AND, _NOT, _COMPARE, _SUM, _PRODUCT, _ATOM = range(7)


def spell_expression(expression: Expr) -> str:
    """Return an expression on one line."""
    return _spell(expression, _OR)


def spell_value(value: Any) -> str:
    """Return a value on one line, cut where it is long."""
    if value is None:
        return "None"
    shown = show_value(value)
    # The kind of these is plain from their spelling.
    plain = isinstance(value, bool | int | float | str | bytes | tuple | list | dict)
    return shown.partition(" ")[2] if plain else shown


def spell_order(order: OrderSpec) -> str:
    """Return one key of an order."""
    text = spell_expression(order.key)
    if order.descending:
        text += " desc"
    if order.nulls_last is not None:
        text += " nulls last" if order.nulls_last else " nulls first"
    return text


def spell_query(query: GraphQuery, name: str) -> str:
    """Return a query on one line; `name` is what its entity is called."""
    page = query.page
    steps = [
        *_filter_steps(query),
        *_number_steps(page),
        *_cursor_steps(page),
        *_shape_steps(query),
        *([f"as_of({query.as_of!r})"] if query.as_of is not None else []),
        *([f"budget({_spell_budget(query.budget)})"] if query.budget != FanoutBudget() else []),
    ]
    return ".".join([name, *(steps or ["all()"])])


def spell_table(query: TableQuery, name: str) -> str:
    """Return a table query on one line; `name` is what its entity is called."""
    columns = [
        text if (text := spell_expression(one.expression)) == one.name else f"{one.name}={text}"
        for one in query.columns
    ]
    steps = [
        name,
        *([f"where({spell_expression(query.filter)})"] if query.filter is not None else []),
        f"table({', '.join(columns)})",
        *(["distinct()"] if query.distinct else []),
        *([f"having({spell_expression(query.having)})"] if query.having is not None else []),
        *([f"order_by({', '.join(map(spell_order, query.order))})"] if query.order else []),
        *_number_steps(query),
        *([f"as_of({query.as_of!r})"] if query.as_of is not None else []),
        *([f"budget({_spell_budget(query.budget)})"] if query.budget != FanoutBudget() else []),
    ]
    return ".".join(steps)


def spell_include(include: Include) -> str:
    """Return an include on one line."""
    steps = [
        include.relation,
        *_filter_steps(include),
        *_number_steps(include),
        *_cursor_steps(include),
        *_shape_steps(include),
        *([f"named({include.alias!r})"] if include.alias is not None else []),
    ]
    return ".".join(steps)


def _filter_steps(query: GraphQuery | Include) -> Iterator[str]:
    if query.filter is not None:
        yield f"where({spell_expression(query.filter)})"
    if query.order:
        yield f"order_by({', '.join(map(spell_order, query.order))})"


def _number_steps(page: Page | Include | TableQuery) -> Iterator[str]:
    if page.limit is not None:
        yield f"limit({_spell_place(page.limit)})"
    if page.offset:
        yield f"offset({_spell_place(page.offset)})"


def _cursor_steps(page: Page | Include) -> Iterator[str]:
    if page.after is not None:
        yield f"after({_spell_place(page.after)})"
    if page.before is not None:
        yield f"before({_spell_place(page.before)})"


def _spell_place(place: int | str | NamedParam) -> str:
    return f":{place.name}" if isinstance(place, NamedParam) else repr(place)


def _shape_steps(query: GraphQuery | Include) -> Iterator[str]:
    if query.select is not None:
        yield f"select({', '.join(query.select)})"
    if query.includes:
        yield f"include({', '.join(map(spell_include, query.includes))})"
    if query.derived:
        values = [f"{one.name}={spell_expression(one.value)}" for one in query.derived]
        yield f"derive({', '.join(values)})"


def _spell_budget(budget: FanoutBudget) -> str:
    usual = FanoutBudget()
    return ", ".join(
        f"{name}={getattr(budget, name)}"
        for name in FanoutBudget.__slots__
        if getattr(budget, name) != getattr(usual, name)
    )


def _spell(expression: Expr, around: int) -> str:
    """`around` is how tightly the place binds: what binds less gets brackets."""
    text, binds = _parts(expression)
    return f"({text})" if binds < around else text


def _parts(expression: Expr) -> tuple[str, int]:
    match expression:
        case Literal(value=value):
            return spell_value(value), _ATOM
        case Param():
            return _spell_param(expression), _ATOM
        case NamedParam(name=name):
            return f":{name}", _ATOM
        case FieldRef(path=path):
            return ".".join(path), _ATOM
        case Compare(op=op, left=left, right=right):
            return f"{_spell(left, _SUM)} {op} {_spell(right, _SUM)}", _COMPARE
        case InList(operand=operand, items=items):
            return f"{_spell(operand, _SUM)} in {_spell_items(items)}", _COMPARE
        case IsNull(operand=operand):
            return f"{_spell(operand, _SUM)} is None", _COMPARE
        case And(items=items):
            return _joined(items, " and ", _AND, "True")
        case Or(items=items):
            return _joined(items, " or ", _OR, "False")
        case Not(operand=IsNull(operand=operand)):
            return f"{_spell(operand, _SUM)} is not None", _COMPARE
        case Not(operand=InList(operand=operand, items=items)):
            return f"{_spell(operand, _SUM)} not in {_spell_items(items)}", _COMPARE
        case Not(operand=operand):
            return f"not {_spell(operand, _NOT)}", _NOT
        case Arithmetic(op=op, left=left, right=right):
            binds = _SUM if op in {"+", "-"} else _PRODUCT
            return f"{_spell(left, binds)} {op} {_spell(right, binds + 1)}", binds
        case Call(name=name, arguments=arguments):
            return f"{name}({', '.join(_spell(one, _OR) for one in arguments)})", _ATOM
        case Related(kind=kind, path=path, filter=inner):
            asked = "" if inner is None else f", {_spell(inner, _OR)}"
            return f"{kind}({'.'.join(path)}{asked})", _ATOM
        case Aggregate():
            return _spell_aggregate(expression), _ATOM
        case _:
            assert_never(expression)


def _spell_aggregate(aggregate: Aggregate) -> str:
    parts: list[str] = []
    if aggregate.operand is not None:
        parts.append(("distinct " if aggregate.distinct else "") + _spell(aggregate.operand, _OR))
    if aggregate.filter is not None:
        parts.append(f"where={_spell(aggregate.filter, _OR)}")
    return f"{'.'.join((*aggregate.path, aggregate.function))}({', '.join(parts)})"


def _spell_param(param: Param) -> str:
    return "?" if param.index < 0 else f"?{param.index}"  # below 0: any value


def _joined(items: Sequence[Expr], word: str, binds: int, empty: str) -> tuple[str, int]:
    if len(items) < 2:
        return _parts(items[0]) if items else (empty, _ATOM)
    shown = [_spell(one, binds + 1) for one in itertools.islice(items, _ITEMS_SHOWN)]
    if len(items) > _ITEMS_SHOWN:
        shown.append("…")
    return word.join(shown), binds


def _spell_items(items: Literal | Param | NamedParam) -> str:
    if isinstance(items, NamedParam):
        return f":{items.name}"
    if isinstance(items, Param):
        return _spell_param(items)
    values: Sequence[Any] = items.value
    shown = [spell_value(value) for value in itertools.islice(values, _ITEMS_SHOWN)]
    if len(values) > _ITEMS_SHOWN:
        shown.append(f"… {len(values)} in all")
    return f"({', '.join(shown)})"
