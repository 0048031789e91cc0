"""A query at a glance: what the ready query of an earlier one can be made into, without its shape.

    Order.where(Order.state == "paid", Order.placed < 1700).order_by(...).limit(20)

    key      "Order", And, == ("state",) str, < ("placed",) int, limited, ids of order and includes
    values   "paid", 1700

Taking the shape of a query and hashing it costs more than running a short one.  Programs mostly
build their short queries from the same parts: clauses that compare a field with a value, and an
order, a selection and includes that were made once, at the top of a module.  Of those the very
objects are compared, for they never change; all that is left are a few names, classes and values.
What is not of this form has no sketch, and goes the long way.

Invariants (held by tests/unit/query/test_cache.py and tests/property/test_fetch_differential.py):
  1. A query that is made ready by its sketch is as ready as it would be by its shape.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from operator import attrgetter, is_
from typing import Any, Final, NamedTuple

from ormdb import limits
from ormdb.ir.expr import And, Compare, FieldRef, Literal
from ormdb.ir.graph import GraphQuery
from ormdb.ir.value import DecimalType, FloatType, IntType, Value
from ormdb.query.budget import check_budget, check_depth
from ormdb.query.node_page import NodePage
from ormdb.query.plan import QueryPlan
from ormdb.query.ready import ReadyQuery, usable_access
from ormdb.query.seek import Seek
from ormdb.query.shape import page_numbers
from ormdb.storage.layout import Layout

# Whatever a query has besides: the plan depends on it, and of it the very object is compared.
_same_parts: Final = attrgetter(
    *(
        part.name
        for part in fields(GraphQuery)
        if part.name not in {"entity", "filter", "page", "as_of", "budget"}
    )
)
_NUMBERS: Final = frozenset({int, float, bool})
_TEXTS: Final = frozenset({str, bytes})


class Sketch(NamedTuple):
    """What tells queries of one plan from others, and the values that stand in the filter."""

    key: tuple[Any, ...]
    values: list[Value]


def sketch_of(query: GraphQuery) -> Sketch | None:
    """The sketch of a query; None for one of another form."""
    page, condition = query.page, query.filter
    if page.after is not None or page.before is not None:
        return None
    parts: list[Any] = []
    values: list[Value] = []
    if condition is not None:
        room = limits.READY_VALUES_MAX
        for clause in condition.items if type(condition) is And else (condition,):
            if type(clause) is not Compare:
                return None
            field, given = clause.left, clause.right
            if type(field) is not FieldRef or type(given) is not Literal:
                return None
            value: object = given.value
            kind = type(value)
            if kind in _TEXTS:
                room -= len(given.value)
            elif kind not in _NUMBERS:
                return None
            parts += (clause.op, field.path, kind)
            values.append(value)
        if room < 0:
            return None
    head = query.entity, type(condition), page.limit is None
    return Sketch((*head, *map(id, _same_parts(query)), *parts), values)


class Known:
    """A query that was made ready, for those of the same sketch."""

    __slots__ = (
        "_converters",
        "_layout",
        "_may_lack_key",
        "_others",
        "_parts",
        "_plan",
        "_query",
        "_ready",
        "_seek",
    )

    def __init__(self, layout: Layout, ready: ReadyQuery, seek: Seek | None, count: int) -> None:
        """`count` of its values stand in the filter, those of its includes behind them."""
        self._layout = layout
        self._query = ready.query
        self._parts = _same_parts(ready.query)  # held, so that no others can have their ids
        self._ready = ready
        self._plan: QueryPlan = ready.plan
        self._converters = ready.plan.converters[:count]
        self._others = ready.values[count:]
        self._seek = seek
        # Sketches tell ints from other numbers: an int beside an int has a key, if it is one.
        self._may_lack_key = bool(ready.plan.access.guards) or any(
            isinstance(kind, FloatType | DecimalType)
            or (isinstance(kind, IntType) and type(ready.values[index]) is not int)
            for kind, index, _ in ready.plan.keyed
        )

    def fits(self, layout: Layout, query: GraphQuery) -> bool:
        """Whether the parts of a query are the same objects, and so is the layout."""
        return layout is self._layout and all(map(is_, _same_parts(query), self._parts))

    def ready(self, query: GraphQuery, given: Sequence[Value]) -> ReadyQuery:
        """A query of this sketch with its own values and page; raises what `make_ready` raises."""
        first, plan, mine = self._ready, self._plan, self._query
        pages = first.pages
        if query.page is not mine.page:
            limit, offset = page_numbers(query.page.limit, query.page.offset, "the page")
            page = NodePage(limit=limit, offset=offset, signature=pages[0].signature)
            pages = [page, *pages[1:]]
        if query.budget is not mine.budget:
            check_budget(query.budget)
        values = [convert(value) for convert, value in zip(self._converters, given, strict=True)]
        values += self._others
        access = usable_access(plan, values) if self._may_lack_key else plan.access
        if query.budget is not mine.budget:
            check_depth(query)
        page = pages[0]
        seek = self._seek if access is plan.access and not page.offset and page.limit != 0 else None
        return ReadyQuery(query, plan, access, values, pages, seek)
