"""Parameters of a query: which it has, which values they take, and the query with values in place.

    GraphQuery  Flight where delay > :threshold limit :count
    values      threshold=120, count=50
    bound       Flight where delay > 120 limit 50

A table query has parameters in the same places, and in its columns and its `having`.

That a prepared query means what the query means with its values in place is its definition; what
`ormdb.query.prepared` does is faster, and answers the same.

A parameter is never NULL: a comparison with NULL is never true, so whoever passes None has another
question in mind.  Only a cursor may be None, as it may be in `Query.after`: the first page.

Invariants (held by tests/unit/ir/test_bind.py):
  1. A bound query has no parameter, and nothing else of it has changed.
  2. Values are refused by name: missing, unknown, of another type.
"""

from __future__ import annotations

import decimal
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeGuard, TypeVar

from ormdb import limits
from ormdb.errors import LimitError, ParameterError, ValueTypeError
from ormdb.ir.check import checker
from ormdb.ir.expr import Aggregate, Expr, InList, Literal, NamedParam, Related
from ormdb.ir.expression_type import check_size, walk
from ormdb.ir.graph import Derived, GraphQuery, Include, OrderSpec
from ormdb.ir.rewrite import map_children
from ormdb.ir.show import show_value
from ormdb.ir.table import TableQuery
from ormdb.ir.value import DecimalType, ListType, Type, Value

N = TypeVar("N", int, str)


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of a query, and whether it is used as a cursor; one that is used as nothing else
    may be None."""

    name: str
    type: Type
    may_be_none: bool
    is_cursor: bool


def parameters_of(query: GraphQuery | TableQuery) -> dict[str, Parameter]:
    """The parameters of a query by name, in the order in which they stand there.

    Raises:
      ParameterError: two of one name have different types.
    """
    found: dict[str, Parameter] = {}
    where = _in_table(query) if isinstance(query, TableQuery) else _in_graph(query)
    for given, is_cursor in where:
        known = found.get(given.name)
        if known is not None and known.type != given.type:
            raise ParameterError(
                f"the query has two parameters {given.name!r} of different types; rename one",
                parameter=given.name,
            )
        may_be_none = is_cursor and (known is None or known.may_be_none)
        was_cursor = known is not None and known.is_cursor
        found[given.name] = Parameter(
            given.name, given.type, may_be_none, is_cursor=is_cursor or was_cursor
        )
    return found


def check_names(parameters: Mapping[str, Parameter], given: Mapping[str, object]) -> None:
    """Refuse values that are missing or that no parameter takes.

    Raises:
      ParameterError: there are some.
    """
    missing = [name for name in parameters if name not in given]
    if missing:
        raise ParameterError(
            f"the prepared query has no value for {_listed(missing)}; pass each by its name",
            parameter=missing[0],
        )
    unknown = [name for name in given if name not in parameters]
    if unknown:
        raise ParameterError(
            f"the prepared query has no parameter {_listed(unknown)}; "
            f"it has {_listed(parameters) or 'none'}",
            parameter=unknown[0],
        )


def check_values(
    parameters: Mapping[str, Parameter], given: Mapping[str, object]
) -> dict[str, Value]:
    """Canonical values of what a caller passes, by name.

    Raises:
      ParameterError: a value is missing, or there is no such parameter.
      ValueTypeError, ValueRangeError: one is of another type.
    """
    check_names(parameters, given)
    return {name: value_checker(parameters[name])(value) for name, value in given.items()}


def value_checker(parameter: Parameter) -> Callable[[object], Value]:
    """What makes a canonical value of what a caller passes for a parameter.

    Raises (the function):
      ValueTypeError, ValueRangeError: it is of another type, or None.
      LimitError: a list is too long.
    """
    where, kind = f"parameter {parameter.name!r}", parameter.type
    if isinstance(kind, ListType):
        check_item = _scalar_checker(kind.item, where)

        def check_list(given: object) -> Value:
            if given is None or isinstance(given, str | bytes) or not _is_iterable(given):
                raise ValueTypeError(f"{where}: {show_value(given)} is no list; give a list")
            items = tuple([check_item(item) for item in given])
            if len(items) > limits.IN_LIST_ITEMS_MAX:
                raise LimitError(
                    f"{where} got {len(items)} values; give {limits.IN_LIST_ITEMS_MAX} at most",
                    limit="IN_LIST_ITEMS_MAX",
                )
            return items

        return check_list
    check = _scalar_checker(kind, where)
    if parameter.may_be_none:
        return lambda given: None if given is None else check(given)
    return check


def bind_query(query: GraphQuery, values: Mapping[str, Value]) -> GraphQuery:
    """The query with canonical values in place of its parameters."""
    page = query.page
    return replace(
        query,
        filter=_bound_filter(query.filter, values),
        page=replace(
            page,
            limit=_bound(page.limit, values),
            offset=_bound(page.offset, values) or 0,
            after=_bound(page.after, values),
            before=_bound(page.before, values),
        ),
        includes=tuple([_bound_include(node, values) for node in query.includes]),
        order=bind_order(query.order, values),
        derived=_bound_derived(query.derived, values),
    )


def bind_table(query: TableQuery, values: Mapping[str, Value]) -> TableQuery:
    """The table query with canonical values in place of its parameters."""
    return replace(
        query,
        columns=tuple(
            replace(one, expression=bind_expression(one.expression, values))
            for one in query.columns
        ),
        filter=_bound_filter(query.filter, values),
        having=_bound_filter(query.having, values),
        order=bind_order(query.order, values),
        limit=_bound(query.limit, values),
        offset=_bound(query.offset, values) or 0,
    )


def _bound_include(node: Include, values: Mapping[str, Value]) -> Include:
    return replace(
        node,
        filter=_bound_filter(node.filter, values),
        limit=_bound(node.limit, values),
        offset=_bound(node.offset, values) or 0,
        after=_bound(node.after, values),
        before=_bound(node.before, values),
        includes=tuple([_bound_include(each, values) for each in node.includes]),
        order=bind_order(node.order, values),
        derived=_bound_derived(node.derived, values),
    )


def bind_order(order: tuple[OrderSpec, ...], values: Mapping[str, Value]) -> tuple[OrderSpec, ...]:
    """An order with canonical values in place of its parameters."""
    return tuple(
        spec if spec.path is not None else replace(spec, key=bind_expression(spec.key, values))
        for spec in order
    )


def _bound_derived(
    derived: tuple[Derived, ...], values: Mapping[str, Value]
) -> tuple[Derived, ...]:
    return tuple(replace(one, value=bind_expression(one.value, values)) for one in derived)


def _bound_filter(expr: Expr | None, values: Mapping[str, Value]) -> Expr | None:
    return None if expr is None else bind_expression(expr, values)


def _bound(given: N | NamedParam | None, values: Mapping[str, Value]) -> N | None:
    return values[given.name] if isinstance(given, NamedParam) else given


def bind_expression(expr: Expr, values: Mapping[str, Value]) -> Expr:
    """An expression with canonical values in place of its parameters."""

    def bound(part: Expr) -> Expr:
        return bind_expression(part, values)

    match expr:
        case NamedParam(name=name):
            return Literal(value=values[name])
        case InList(operand=operand, items=NamedParam(name=name)):
            return InList(operand=bound(operand), items=Literal(value=values[name]))
        case Related(filter=inner):
            return replace(expr, filter=_bound_filter(inner, values))
        case Aggregate(operand=operand, filter=inner):
            below = _bound_filter(operand, values)
            return replace(expr, operand=below, filter=_bound_filter(inner, values))
        case _:
            return map_children(expr, bound)


def _in_table(query: TableQuery) -> Iterator[tuple[NamedParam, bool]]:
    """Every parameter where it stands; none of them stands for a cursor."""
    for column in query.columns:
        yield from _in_expression(column.expression)
    for condition in (query.filter, query.having):
        if condition is not None:
            yield from _in_expression(condition)
    for spec in query.order:
        yield from _in_expression(spec.key)
    for number in (query.limit, query.offset):
        if isinstance(number, NamedParam):
            yield number, False


def _in_graph(query: GraphQuery) -> Iterator[tuple[NamedParam, bool]]:
    """Every parameter where it stands, and whether it stands for a cursor."""
    page = query.page
    if query.filter is not None:
        yield from _in_expression(query.filter)
    for number in (page.limit, page.offset):
        if isinstance(number, NamedParam):
            yield number, False
    for cursor in (page.after, page.before):
        if isinstance(cursor, NamedParam):
            yield cursor, True
    for expr in _calculated(query):
        yield from _in_expression(expr)
    for node in _include_nodes(query.includes):
        if node.filter is not None:
            yield from _in_expression(node.filter)
        for number in (node.limit, node.offset):
            if isinstance(number, NamedParam):
                yield number, False
        for cursor in (node.after, node.before):
            if isinstance(cursor, NamedParam):
                yield cursor, True
        for expr in _calculated(node):
            yield from _in_expression(expr)


def _calculated(part: GraphQuery | Include) -> Iterator[Expr]:
    """What stands in orders and derived values."""
    yield from (spec.key for spec in part.order if spec.path is None)
    yield from (one.value for one in part.derived)


def _include_nodes(includes: Sequence[Include]) -> Iterator[Include]:
    """Every include, parents first, without recursion: nobody has counted their levels yet."""
    open_nodes = [*reversed(includes)]
    for _ in range(limits.INCLUDE_NODES_MAX):
        if not open_nodes:
            return
        node = open_nodes.pop()
        yield node
        open_nodes.extend(reversed(node.includes))
    if open_nodes:
        raise LimitError(
            f"the query has more than {limits.INCLUDE_NODES_MAX} includes; split it",
            limit="INCLUDE_NODES_MAX",
        )


def _in_expression(expr: Expr) -> Iterator[tuple[NamedParam, bool]]:
    check_size(expr)
    for node in walk_related(expr):
        if isinstance(node, NamedParam):
            yield node, False


def walk_related(expr: Expr) -> Iterator[Expr]:
    """Every node of an expression, those about related rows among them."""
    for node in walk(expr):
        yield node
        if isinstance(node, Related | Aggregate) and node.filter is not None:
            yield from walk_related(node.filter)
        if isinstance(node, Aggregate) and node.operand is not None:
            yield from walk_related(node.operand)


def _scalar_checker(kind: Type, where: str) -> Callable[[object], Value]:
    if isinstance(kind, DecimalType):
        return lambda given: _decimal(given, where)
    check = checker(kind)

    def check_scalar(given: object) -> Value:
        if given is None:
            raise _refuse_none(where)
        return check(given, where)

    return check_scalar


def _decimal(given: object, where: str) -> Value:
    """A decimal of any number of digits: what it is compared with decides how many count."""
    if given is None:
        raise _refuse_none(where)
    if isinstance(given, int) and not isinstance(given, bool):
        return decimal.Decimal(given)
    if not isinstance(given, decimal.Decimal) or not given.is_finite():
        raise ValueTypeError(
            f"{where}: {show_value(given)} is not a finite decimal; give a Decimal or an int"
        )
    return given


def _refuse_none(where: str) -> ValueTypeError:
    return ValueTypeError(
        f"{where} is None, and a comparison with NULL is never true; "
        "ask is_null() in a query of its own"
    )


def _is_iterable(given: object) -> TypeGuard[Iterable[Any]]:
    return isinstance(given, Iterable)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(map(repr, names))
