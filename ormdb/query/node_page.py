"""The page of a node: which rows of the ordered whole, of the roots or of each parent's children.

    Order.order_by(placed).limit(20).after(cursor)             20 roots beyond a place
    Customer.orders.order_by(placed).limit(5).after(cursor)    of every customer, 5 beyond it

A cursor names a place in an order: the values of its keys and a row key.  It says nothing of whose
rows they are, so one that came of the children of a parent is good for those of any, and for the
roots of a query of the same entity and order.

Invariants (held by tests/unit/query/test_child_pages.py):
  1. A page goes on from a cursor or back from one, never both.
  2. A cursor of another entity or another order is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ormdb.errors import QueryError
from ormdb.ir.value import Value
from ormdb.query.order import Place, decode_cursor, run_signature
from ormdb.query.plan import NodePlan
from ormdb.query.shape import PageValues


@dataclass(slots=True, kw_only=True)  # not frozen: most runs of a query make one
class NodePage:
    """Where a page begins and how long it may be; never changed."""

    limit: int | None
    offset: int
    place: Place | None = None
    backward: bool = False
    signature: bytes = b""  # of the cursors of its rows


def node_page(plan: NodePlan, numbers: PageValues, values: Sequence[Value]) -> NodePage:
    """The page of a node with its cursor read; the values are those of the run.

    Raises:
      QueryError, CursorError: it has two cursors, or one of another query.
    """
    after, before = numbers.after, numbers.before
    if after is not None and before is not None:
        raise QueryError("a page goes on from a cursor or back from one; give after or before")
    cursor = before if before is not None else after
    place, signature = None, run_signature(plan, values)
    if cursor is not None:
        place = decode_cursor(signature, plan.order, cursor)
    return NodePage(
        limit=numbers.limit,
        offset=numbers.offset,
        place=place,
        backward=before is not None,
        signature=signature,
    )
