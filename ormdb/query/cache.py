"""Plans by shape: a query that differs from an earlier one in its values only is not compiled.

    plans   key   shape (no literals), schema version
            kept  at most PLAN_CACHE_ENTRIES_MAX plans, the one not used for longest dropped first
    similar key   what a short query is at a glance (`ormdb/query/sketch.py`)
            kept  at most READY_QUERIES_MAX, each with the plan of its queries
    ready   key   the very query object
            kept  at most READY_QUERIES_MAX queries that were run; a program that builds a query
                  once and runs it often has it taken apart once

Invariants (held by tests/unit/query/test_cache.py):
  1. A plan found under a shape was compiled for that shape and that schema version.
  2. The cache never grows past its bounds.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sized
from dataclasses import dataclass
from typing import Any, Final, TypeVar, cast

from ormdb import limits
from ormdb.clock import Clock
from ormdb.ir.graph import GraphQuery
from ormdb.query.compile import compile_query
from ormdb.query.plan import QueryPlan
from ormdb.query.ready import ReadyQuery, make_ready
from ormdb.query.seek import seek_of
from ormdb.query.shape import Shape, ShapedQuery, take_shape
from ormdb.query.sketch import Known, sketch_of
from ormdb.query.table_compile import compile_table
from ormdb.query.table_plan import TablePlan
from ormdb.query.table_shape import ShapedTable, TableShape
from ormdb.storage.layout import Layout
from ormdb.storage.statistics import NO_STATISTICS, Statistics

Plan = TypeVar("Plan", QueryPlan, TablePlan)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanCacheStatistics:
    """How often a plan was found, and how many are kept."""

    hits: int
    misses: int
    entries: int


class PlanCache:
    """A bounded cache of plans; may be used by several threads."""

    def __init__(
        self, clock: Clock, *, known: Callable[[], Statistics] = lambda: NO_STATISTICS
    ) -> None:
        """`known` gives what is known of the rows, without looking."""
        self._clock = clock
        self._known = known
        self.generation = 0  # rises whenever plans of before are worth nothing
        self._lock = threading.Lock()
        self._plans: OrderedDict[_PlanKey, Any] = OrderedDict()
        self._ready: dict[int, tuple[ReadyQuery, Layout]] = {}
        self._similar: dict[tuple[Any, ...], Known] = {}
        self._hits = 0
        self._misses = 0

    def ready(self, layout: Layout, query: GraphQuery, *, keep: bool = True) -> ReadyQuery:
        """A query with its plan and its values; the same object again is found ready, if `keep`.

        Raises:
          QueryError: the query does not fit the schema.
          BudgetError: it is deeper than its budget allows.
        """
        known = self._ready.get(id(query))
        if known is not None and known[0].query is query and known[1] is layout:
            self._hits += 1
            return known[0]
        generation = self.generation
        sketch = sketch_of(query)
        similar = None if sketch is None else self._similar.get(sketch.key)
        if sketch is not None and similar is not None and similar.fits(layout, query):
            ready = similar.ready(query, sketch.values)
            self._hits += 1
            if keep and self.generation == generation:
                self._keep_ready(ready, layout)
            return ready
        shaped = take_shape(query)
        ready = make_ready(query, shaped, self.plan(layout, query, shaped.shape))
        if keep and self.generation == generation and _is_small_and_constant(shaped):
            self._keep_ready(ready, layout)
            if sketch is not None:
                if len(self._similar) >= limits.READY_QUERIES_MAX:
                    self._similar = {}
                count = len(sketch.values)
                self._similar[sketch.key] = Known(layout, ready, seek_of(ready.plan), count)
        return ready

    def _keep_ready(self, ready: ReadyQuery, layout: Layout) -> None:
        if len(self._ready) >= limits.READY_QUERIES_MAX:
            self._ready = {}
        # It holds the query, so no other query can have the same id.
        self._ready[id(ready.query)] = ready, layout

    def plan(self, layout: Layout, query: GraphQuery, shape: Shape) -> QueryPlan:
        """The plan of a shape, compiled on first use.

        Raises:
          QueryError: the query does not fit the schema.
        """
        return self._found(shape, layout, lambda: self._compiled(layout, query, shape))

    def table_plan(self, layout: Layout, shaped: ShapedTable) -> TablePlan:
        """The plan of a table query's shape, compiled on first use.

        Raises:
          QueryError: the query does not fit the schema.
        """
        return self._found(
            shaped.shape,
            layout,
            lambda: compile_table(layout, shaped, clock=self._clock, statistics=self._known()),
        )

    def holds_table(self, layout: Layout, shape: TableShape) -> bool:
        """Whether the plan of a table query is kept, without counting or using it."""
        return self._holds(shape, layout)

    def _compiled(self, layout: Layout, query: GraphQuery, shape: Shape) -> QueryPlan:
        return compile_query(layout, query, shape, clock=self._clock, statistics=self._known())

    def holds(self, layout: Layout, query: GraphQuery) -> bool:
        """Whether the plan of a query is kept, without counting or using it."""
        return self._holds(take_shape(query).shape, layout)

    def renew(self) -> None:
        """Forget every plan: more is known about the rows than when they were made."""
        with self._lock:
            self.generation += 1
            self._plans.clear()
            self._ready = {}
            self._similar = {}

    def statistics(self) -> PlanCacheStatistics:
        """Counts since the cache was made."""
        with self._lock:
            return PlanCacheStatistics(
                hits=self._hits, misses=self._misses, entries=len(self._plans)
            )

    def _found(
        self, shape: Shape | TableShape, layout: Layout, compiled: Callable[[], Plan]
    ) -> Plan:
        try:
            key = _PlanKey(shape, layout.bundle.version)
        except TypeError:  # a literal that stayed in the shape is a list or dict: not kept
            self._misses += 1
            return compiled()
        with self._lock:
            found: Plan | None = self._plans.get(key)
            if found is not None:
                self._plans.move_to_end(key)
                self._hits += 1
                return found
            self._misses += 1
            generation = self.generation
        made = compiled()
        with self._lock:
            if self.generation == generation:
                self._plans[key] = made
            while len(self._plans) > limits.PLAN_CACHE_ENTRIES_MAX:
                self._plans.popitem(last=False)
        return made

    def _holds(self, shape: Shape | TableShape, layout: Layout) -> bool:
        try:
            key = _PlanKey(shape, layout.bundle.version)
        except TypeError:  # as in `_found`
            return False
        with self._lock:
            return key in self._plans


class _PlanKey:
    """A shape and a schema version, hashed once: a shape is a tree, and a cache asks thrice."""

    __slots__ = ("_hash", "_shape", "_version")

    def __init__(self, shape: Shape | TableShape, version: int) -> None:
        self._shape = shape
        self._version = version
        self._hash = hash(shape)

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, _PlanKey):
            return NotImplemented
        return self._version == other._version and self._shape == other._shape


_LONG: Final = (tuple, str, bytes)  # what may hold much and never changes


def _is_small_and_constant(shaped: ShapedQuery) -> bool:
    """Whether no literal is a list or a dict, which its owner may change, and none is very long."""
    long = [cast("Sized", value) for value in shaped.values if type(value) in _LONG]
    if sum(map(len, long)) > limits.READY_VALUES_MAX:
        return False
    if list in shaped.shape.literal_classes or dict in shaped.shape.literal_classes:
        return False
    try:
        hash(shaped.values)
    except TypeError:
        return False
    return True
