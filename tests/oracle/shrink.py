"""Smaller queries that still show a difference: what a failing test prints.

Beta where (a and b) order by x, y include c (include d)   differs
Beta where b                       include c               differs as well: this is printed
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from ormdb.ir.expr import And, Expr, Not, Or
from ormdb.ir.graph import GraphQuery, Include, OrderSpec, Page

_STEPS_MAX = 400


def shrink_query(query: GraphQuery, differs: Callable[[GraphQuery], bool]) -> GraphQuery:
    """Return a query that still differs, with nothing left that could simply be dropped."""
    steps = 0
    smaller = True
    while smaller and steps < _STEPS_MAX:
        smaller = False
        for candidate in _smaller_queries(query):
            steps += 1
            if differs(candidate):
                query, smaller = candidate, True
                break
    return query


def _smaller_queries(query: GraphQuery) -> Iterator[GraphQuery]:
    for includes in _smaller_includes(query.includes):
        yield replace(query, includes=includes)
    for condition in _smaller_filters(query.filter):
        yield replace(query, filter=condition)
    for order in _smaller_orders(query.order):
        yield replace(query, order=order)
    if query.page != Page():
        yield replace(query, page=Page())
    if query.page.offset:
        yield replace(query, page=replace(query.page, offset=0))
    if query.select is not None:
        yield replace(query, select=None)
    elif query.includes or query.filter or query.order:
        yield replace(query, select=())


def _smaller_includes(includes: tuple[Include, ...]) -> Iterator[tuple[Include, ...]]:
    for position, include in enumerate(includes):
        before, after = includes[:position], includes[position + 1 :]
        yield (*before, *after)
        for smaller in _smaller_include(include):
            yield (*before, smaller, *after)


def _smaller_include(include: Include) -> Iterator[Include]:
    for includes in _smaller_includes(include.includes):
        yield replace(include, includes=includes)
    for condition in _smaller_filters(include.filter):
        yield replace(include, filter=condition)
    for order in _smaller_orders(include.order):
        yield replace(include, order=order)
    if include.limit is not None:
        yield replace(include, limit=None)
    if include.offset:
        yield replace(include, offset=0)
    if include.select is not None:
        yield replace(include, select=None)


def _smaller_filters(expr: Expr | None) -> Iterator[Expr | None]:
    if expr is None:
        return
    yield None
    match expr:
        case And(items=items) | Or(items=items):
            yield from items
            for position, item in enumerate(items):
                before, after = items[:position], items[position + 1 :]
                yield replace(expr, items=(*before, *after))
                for smaller in _smaller_filters(item):
                    if smaller is not None:
                        yield replace(expr, items=(*before, smaller, *after))
        case Not(operand=operand):
            yield operand
            for smaller in _smaller_filters(operand):
                if smaller is not None:
                    yield Not(operand=smaller)
        case _:
            pass


def _smaller_orders(order: tuple[OrderSpec, ...]) -> Iterator[tuple[OrderSpec, ...]]:
    for position in range(len(order)):
        yield (*order[:position], *order[position + 1 :])
