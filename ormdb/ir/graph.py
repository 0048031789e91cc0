"""The graph query: what to fetch, as an immutable value.

    GraphQuery airport
      filter faa in ("JFK", "LGA")
      order  name
      page   limit 50
      Include departures               every airport's own five latest
        order dep_delay desc
        limit 5
        Include plane                  to-one, followed from every flight

Ties come in row order (that of the identity where it is one int, of insertion elsewhere), turned
round when the last key descends.  So every order is total and a page is exact.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import TypeAlias

from ormdb import limits
from ormdb.ir.expr import Expr, FieldRef, NamedParam

AsOf: TypeAlias = int | datetime.datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderSpec:
    """One key of an order.  NULL sorts before every value, so last when descending, unless
    `nulls_last` says otherwise."""

    key: Expr
    descending: bool = False
    nulls_last: bool | None = None

    @property
    def path(self) -> tuple[str, ...] | None:
        """The path of a key that is a field; None of one that is calculated."""
        return self.key.path if isinstance(self.key, FieldRef) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Derived:
    """A value to show with each row under a name of its own: calculated from the row, from what
    its paths lead to, or folded from related rows."""

    name: str
    value: Expr


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Which rows of the ordered whole: the first `limit`, from a cursor on or back from one.

    `after` and `before` are cursors of an earlier answer.  With `before`, the page holds the
    `limit` rows just before the cursor, in the query's own order.
    """

    limit: int | NamedParam | None = None
    offset: int | NamedParam = 0
    after: str | NamedParam | None = None
    before: str | NamedParam | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Include:
    """Follow `relation` from every parent; filter, order and page count per parent.

    `after` and `before` are cursors as those of a `Page`, and mean the same place in the order for
    every parent.
    """

    relation: str
    alias: str | None = None
    filter: Expr | None = None
    order: tuple[OrderSpec, ...] = ()
    limit: int | NamedParam | None = None
    offset: int | NamedParam = 0
    after: str | NamedParam | None = None
    before: str | NamedParam | None = None
    select: tuple[str, ...] | None = None
    includes: tuple[Include, ...] = ()
    derived: tuple[Derived, ...] = ()

    @property
    def name(self) -> str:
        """Under which key the parent shows it."""
        return self.alias or self.relation


@dataclass(frozen=True, slots=True, kw_only=True)
class FanoutBudget:
    """How much one fetch may touch; a breach raises BudgetError, never shortens the answer."""

    depth: int = limits.BUDGET_DEPTH_MAX
    fanout: int = limits.BUDGET_FANOUT_MAX
    rows: int = limits.BUDGET_ROWS_MAX
    edges: int = limits.BUDGET_EDGES_MAX
    bytes: int = limits.BUDGET_BYTES_MAX
    time_s: float = limits.BUDGET_TIME_S_MAX


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphQuery:
    """One graph fetch, from its root entity down."""

    entity: str
    filter: Expr | None = None
    order: tuple[OrderSpec, ...] = ()
    page: Page = Page()
    select: tuple[str, ...] | None = None
    includes: tuple[Include, ...] = ()
    derived: tuple[Derived, ...] = ()
    as_of: AsOf | None = None
    budget: FanoutBudget = FanoutBudget()
