"""Plans by shape: a query that differs from an earlier one in its values only is not compiled.

    key   shape (no literals), schema version
    kept  at most PLAN_CACHE_ENTRIES_MAX plans, the one not used for longest dropped first

Invariants (held by tests/unit/query/test_cache.py):
  1. A plan found under a shape was compiled for that shape and that schema version.
  2. The cache never grows past its bound.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass

from ormdb import limits
from ormdb.clock import Clock
from ormdb.ir.graph import GraphQuery
from ormdb.query.compile import compile_query
from ormdb.query.plan import QueryPlan
from ormdb.query.shape import Shape
from ormdb.storage.layout import Layout


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanCacheStatistics:
    """How often a plan was found, and how many are kept."""

    hits: int
    misses: int
    entries: int


class PlanCache:
    """A bounded cache of plans; may be used by several threads."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._plans: OrderedDict[tuple[Shape, int], QueryPlan] = OrderedDict()
        self._hits = 0
        self._misses = 0

    def plan(self, layout: Layout, query: GraphQuery, shape: Shape) -> QueryPlan:
        """The plan of a shape, compiled on first use.

        Raises:
          QueryError: the query does not fit the schema.
        """
        key = (shape, layout.bundle.version)
        try:
            with self._lock:
                found = self._plans.get(key)
                if found is not None:
                    self._plans.move_to_end(key)
                    self._hits += 1
                    return found
                self._misses += 1
        except TypeError:  # a literal that stayed in the shape is a list or dict: not kept
            return compile_query(layout, query, shape, clock=self._clock)
        made = compile_query(layout, query, shape, clock=self._clock)
        with self._lock:
            self._plans[key] = made
            while len(self._plans) > limits.PLAN_CACHE_ENTRIES_MAX:
                self._plans.popitem(last=False)
        return made

    def statistics(self) -> PlanCacheStatistics:
        """Counts since the cache was made."""
        with self._lock:
            return PlanCacheStatistics(
                hits=self._hits, misses=self._misses, entries=len(self._plans)
            )
