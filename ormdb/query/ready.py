"""A query made ready to run: everything that depends on it and on the schema alone.

    GraphQuery  ─ take_shape ─▶ shape, values, pages ─ PlanCache ─▶ plan
                                                     ─ convert ───▶ stored values, usable access
                                                     ─ decode ────▶ where its page begins

Invariants (held by tests/unit/query/test_cache.py):
  1. What is ready depends on the query and the schema version, never on data or on who asks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ormdb.errors import QueryError
from ormdb.ir.graph import GraphQuery, Page
from ormdb.ir.value import Value
from ormdb.query.budget import check_budget, check_depth
from ormdb.query.convert import has_key
from ormdb.query.order import decode_cursor
from ormdb.query.plan import Access, QueryPlan
from ormdb.query.root_page import RootPage
from ormdb.query.shape import PageValues, ShapedQuery


@dataclass(frozen=True, slots=True, eq=False)
class ReadyQuery:
    """A query, its plan, and its values as the plan wants them."""

    query: GraphQuery
    plan: QueryPlan
    access: Access
    values: Sequence[Value]
    pages: Sequence[PageValues]
    page: RootPage


def make_ready(query: GraphQuery, shaped: ShapedQuery, plan: QueryPlan) -> ReadyQuery:
    """What a query needs to run, besides a view.

    Raises:
      QueryError, CursorError: a value, the page or the budget does not fit.
      BudgetError: the query is deeper than its budget allows.
    """
    check_budget(query.budget)
    values = [convert(value) for convert, value in zip(plan.converters, shaped.values, strict=True)]
    ready = ReadyQuery(
        query,
        plan,
        _usable_access(plan, values),
        values,
        shaped.pages,
        _root_page(plan, shaped.page),
    )
    check_depth(query)
    return ready


def _usable_access(plan: QueryPlan, values: Sequence[Value]) -> Access:
    """The plan's access path, unless one of the values has no key in it."""
    for kind, index in plan.keyed:
        value = values[index]
        listed = index == plan.access.many
        if not all(has_key(kind, item) for item in (value if listed else (value,))):
            return plan.scan
    return plan.access


def _root_page(plan: QueryPlan, page: Page) -> RootPage:
    if page.after is not None and page.before is not None:
        raise QueryError("a page goes on from a cursor or back from one; give after or before")
    cursor = page.before if page.before is not None else page.after
    place = None
    if cursor is not None:
        place = decode_cursor(plan.order_signature, plan.root.order, cursor)
    return RootPage(
        limit=page.limit, offset=page.offset, place=place, backward=page.before is not None
    )
