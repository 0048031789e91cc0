"""The same query by every way there is: forced plans.

    way       each candidate: identity, every index, every relation, the scan, what combines them
    expand    children from an ordered index or by a sort, in row order as they come or sorted
    join      children and related rows looked up, or gathered by a way of theirs and hashed
    stream    a few roots at a time
    cache     what is read decoded and kept, read from what was kept, or not kept at all
    batches   of 1, of 64, of 4,096 rows

A plan may only change what an answer costs.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Final
from unittest.mock import patch

from ormdb import limits
from ormdb.clock import SystemClock
from ormdb.database.reading import Snapshot
from ormdb.errors import OrmdbError
from ormdb.ir.graph import GraphQuery
from ormdb.ir.table import TableQuery
from ormdb.ir.value import RowDict, Value
from ormdb.query.cache import PlanCache
from ormdb.query.compile import compile_query
from ormdb.query.cost import Candidate
from ormdb.query.explain import explain
from ormdb.query.fetch import Reading, count, fetch
from ormdb.query.plan import QueryPlan, Weighed
from ormdb.query.shape import Shape
from ormdb.query.stream import stream
from ormdb.query.table import table
from ormdb.query.table_compile import compile_table
from ormdb.query.table_plan import TablePlan
from ormdb.query.table_shape import ShapedTable
from ormdb.query.trace import Trace
from ormdb.storage.layout import Layout
from ormdb.storage.statistics import NO_STATISTICS
from tests.oracle.compare import DifferenceError, check_same
from tests.oracle.plan_kinds import PlanKinds

BATCHES: Final = (1, 64, 4096)
JOIN_WAYS: Final = 2  # of those that a level may gather its children by
STREAM_ROWS: Final = 3


class ForcedPlans(PlanCache):
    """Compiles every query anew, by the way of some number, with the expansions that are asked for.

    After a compilation, `ways` says how many ways there were.
    """

    def __init__(self, way: int = 0, *, by_index: bool = True, as_they_come: bool = True) -> None:
        super().__init__(SystemClock())
        self.ways = 1
        self._way = way
        self._by_index = by_index
        self._as_they_come = as_they_come

    def plan(self, layout: Layout, query: GraphQuery, shape: Shape) -> QueryPlan:
        made = compile_query(layout, query, shape, clock=SystemClock(), choose=self._choose)
        for node in made.nodes:
            if node.expand is None:
                continue
            if not self._by_index:
                node.expand = replace(node.expand, ordered_index=None)
            if not self._as_they_come:
                node.expand = replace(node.expand, row_order=False)
        return made

    def table_plan(self, layout: Layout, shaped: ShapedTable) -> TablePlan:
        forced = partial(compile_query, choose=self._choose)
        with patch("ormdb.query.table_compile.compile_query", forced):
            return compile_table(layout, shaped, clock=SystemClock(), statistics=NO_STATISTICS)

    def _choose(self, found: Sequence[Candidate]) -> Candidate:
        self.ways = len(found)
        return found[self._way]


def check_forced(snapshot: Snapshot, query: GraphQuery, label: str, kinds: PlanKinds) -> int:
    """The answers of all plans against that of the one that is chosen; how many there were.

    Raises:
      DifferenceError: two plans answer differently.
    """
    expected = _answer(snapshot.reading(query), query)
    answers = 0
    for name, reading in _readings(snapshot, query, kinds):
        where = f"{label}, {name}, {query!r}"
        found = _answer(reading, query, kinds)
        check_same(expected[0], found[0], where)
        if found[1:] != expected[1:]:
            raise DifferenceError(f"{found[1:]}, not {expected[1:]}: {where}")
        if name.startswith("way"):
            batches = stream(reading, query, batch=STREAM_ROWS, proceed=_nothing)
            streamed = [row for batch in batches for row in batch.dicts()]
            check_same(expected[0], streamed, f"a stream, {where}")
        answers += 1
    return answers


def check_forced_table(snapshot: Snapshot, query: TableQuery, label: str) -> int:
    """A table by every way to its rows; how many there were.

    Raises:
      DifferenceError: two of them give different tables, or fail otherwise.
    """
    as_chosen = snapshot.reading(GraphQuery(entity=query.entity))
    expected = _table(as_chosen, query)
    way = 0
    while True:
        plans = ForcedPlans(way)
        found = _table(replace(as_chosen, plans=plans), query)
        check_same(expected, found, f"{label}, way {way}, {query!r}")
        way += 1
        if way >= plans.ways:
            break
    for rows in BATCHES:
        with batches_of(rows):
            found = _table(replace(as_chosen, plans=plans), query)
        check_same(expected, found, f"{label}, batches of {rows}, {query!r}")
    return way + len(BATCHES)


def _nothing() -> None:
    """What a stream asks before each batch: nothing."""


@contextmanager
def batches_of(rows: int) -> Generator[None]:
    """Read and gather this many rows at a time."""
    with patch.multiple(
        limits,
        SCAN_BATCH_ROWS=rows,
        SCAN_BATCH_ROWS_FIRST=rows,
        PATH_ROUND_ROWS_MIN=rows,
        PATH_ROUND_ROWS_MAX=rows,
        RELATED_ROUND_ROWS_MAX=rows,
        TABLE_ROUND_ROWS=rows,
    ):
        yield


def _readings(
    snapshot: Snapshot, query: GraphQuery, kinds: PlanKinds
) -> Iterator[tuple[str, Reading]]:
    """Every way to read a query, and what it is called."""
    as_chosen = snapshot.reading(query)
    way = 0
    while True:
        plans = ForcedPlans(way)
        reading = replace(as_chosen, plans=plans)
        yield f"way {way}", reading
        kinds.add(explain(reading, query, analyze=False))
        way += 1
        if way >= plans.ways:
            break
    if query.includes:
        yield "sorted children", replace(as_chosen, plans=ForcedPlans(by_index=False))
        yield "nothing as it comes", replace(as_chosen, plans=ForcedPlans(as_they_come=False))
    yield from _joined(snapshot, query)
    last = ForcedPlans(way - 1)
    yield "what is kept", replace(as_chosen, plans=last)
    uncached = snapshot.reading(query)
    uncached.view.cache = None
    yield "nothing kept", uncached
    for rows in BATCHES:
        with batches_of(rows):
            yield f"batches of {rows}", uncached
            yield f"batches of {rows}, way {way - 1}", replace(uncached, plans=last)


def _joined(snapshot: Snapshot, query: GraphQuery) -> Iterator[tuple[str, Reading]]:
    """Looked up wherever there is a choice, then gathered and hashed, by one way and another."""
    looked_up = snapshot.reading(query)
    looked_up.view.cache = None
    with joined_by(None):
        yield "looked up", replace(looked_up, plans=ForcedPlans())
    for way in range(JOIN_WAYS):
        reading = snapshot.reading(query)
        if way == 0:
            reading.view.cache = None
        with joined_by(way):
            yield f"gathered by way {way}", replace(reading, plans=ForcedPlans())


@contextmanager
def joined_by(way: int | None) -> Generator[None]:
    """Gather and hash whatever may be, by the way of some number; look it up for None."""

    def chosen(ways: Sequence[Weighed]) -> Weighed | None:
        if way is None or not ways:
            return None
        return replace(ways[way % len(ways)], rows=math.inf)  # which no number of rows gives up

    with patch("ormdb.query.hash_join.pick", chosen), gathered_by_cost():
        yield


@contextmanager
def gathered_by_cost() -> Generator[None]:
    """Gather and hash whatever may be, by the cheapest way."""
    with (
        patch.object(limits, "HASH_JOIN_LOOKED_UP_MIN", 0.0),
        patch.object(limits, "HASH_JOIN_PARENTS_UNKNOWN", 0),
        patch("ormdb.query.hash_join.is_cheaper", return_value=True),
    ):
        yield


def _table(reading: Reading, query: TableQuery) -> Value:
    """The columns of a table, or what it failed with: a sum may be out of range by any way."""
    try:
        return [list(column) for column in table(reading, query).values]
    except OrmdbError as error:
        return error.code


def _answer(
    reading: Reading, query: GraphQuery, kinds: PlanKinds | None = None
) -> tuple[list[RowDict], str | None, str | None, int]:
    trace = Trace(SystemClock())
    found = fetch(reading, query, trace=trace)
    if kinds is not None:
        for level in trace.levels.values():
            kinds.joins.update(join.by for join in level.joins)
    return found.dicts(), found.next_cursor, found.previous_cursor, count(reading, query)
