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

from ormdb.ir.graph import GraphQuery
from ormdb.ir.value import Value
from ormdb.pulse import in_steps
from ormdb.query.budget import check_budget, check_depth
from ormdb.query.convert import has_key
from ormdb.query.node_page import NodePage, node_page
from ormdb.query.plan import Access, Keyed, QueryPlan
from ormdb.query.seek import Seek
from ormdb.query.shape import ShapedQuery


@dataclass(slots=True, eq=False)  # not frozen: a prepared query makes one for each run
class ReadyQuery:
    """A query, its plan, and its values as the plan wants them; never changed."""

    query: GraphQuery
    plan: QueryPlan
    access: Access
    values: Sequence[Value]
    pages: Sequence[NodePage]  # of all nodes, parents first
    seek: Seek | None = None

    @property
    def page(self) -> NodePage:
        """The page of the roots."""
        return self.pages[0]


def make_ready(query: GraphQuery, shaped: ShapedQuery, plan: QueryPlan) -> ReadyQuery:
    """What a query needs to run, besides a view.

    Raises:
      QueryError, CursorError: a value, the page or the budget does not fit.
      BudgetError: the query is deeper than its budget allows.
    """
    check_budget(query.budget)
    values = [convert(value) for convert, value in zip(plan.converters, shaped.values, strict=True)]
    access = usable_access(plan, values)
    numbered = zip(plan.nodes, shaped.pages, strict=True)
    pages = [node_page(node, numbers, values) for node, numbers in numbered]
    check_depth(query)
    return ReadyQuery(query, plan, access, values, pages)


def usable_access(plan: QueryPlan, values: Sequence[Value]) -> Access:
    """The plan's access path, unless one of the values has no key in it, or the values do not
    imply what it relies on."""
    for access, keyed in ((plan.access, plan.keyed), *plan.otherwise):
        if is_usable(access, keyed, values):
            return access
    return plan.scan


def is_usable(access: Access, keyed: Sequence[Keyed], values: Sequence[Value]) -> bool:
    """Whether all values have a key in an access path, and imply what it relies on."""
    # Guards compare values, and rely on their being of the fields' own types.
    return _have_keys(keyed, values) and all(holds(values) for holds in access.guards)


def _have_keys(keyed: Sequence[Keyed], values: Sequence[Value]) -> bool:
    for kind, index, listed in keyed:
        value = values[index]
        if not listed:
            if not has_key(kind, value):
                return False
        elif not all(has_key(kind, item) for part in in_steps(list(value)) for item in part):
            return False
    return True
