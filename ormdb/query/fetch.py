"""A fetch from beginning to end: shape, plan, budget, execution, answer.

    fetch(reading, query)
        PlanCache.ready ─▶ Spending ─▶ Execution.fetch ─▶ GraphAnswer

Every entry takes a `Reading`, which says through which view, for which schema and for whom: no
row is reached without it.

Invariants (held by tests/property/test_fetch_differential.py):
  1. The answer is exactly what the query asks for, as of the view's version.
  2. Cursors of an answer lead to the neighbouring pages, without a gap or an overlap.
"""

from __future__ import annotations

from dataclasses import dataclass

from ormdb.clock import Clock
from ormdb.ir.graph import GraphQuery
from ormdb.ir.result import FetchStatistics
from ormdb.query.assemble import GraphAnswer
from ormdb.query.budget import Spending
from ormdb.query.cache import PlanCache
from ormdb.query.execute import Execution
from ormdb.query.order import encode_cursor
from ormdb.query.ready import ReadyQuery
from ormdb.query.root_page import RootPage, RootResult
from ormdb.query.trace import Trace
from ormdb.session import Context
from ormdb.storage.layout import Layout
from ormdb.storage.views import View


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """Through what, for which schema, and for whom a query reads."""

    view: View
    layout: Layout
    context: Context
    plans: PlanCache
    clock: Clock


def fetch(reading: Reading, query: GraphQuery, *, trace: Trace | None = None) -> GraphAnswer:
    """Fetch a graph; `trace` notes what each level takes.

    Raises:
      QueryError, CursorError: the query does not fit the schema.
      BudgetError: the answer would be larger than the query's budget allows.
      CorruptionError: what is stored contradicts itself.
    """
    started_s = reading.clock.monotonic_s()
    before = (reading.view.counters.calls, reading.view.counters.keys, reading.view.counters.bytes)
    if trace is not None:
        trace.plan_was_kept = reading.plans.holds(reading.layout, query)
    ready = reading.plans.ready(reading.layout, query)
    execution = _execution(reading, ready, trace)
    root, roots = execution.fetch(ready.page)
    cursors = _Cursors(execution, roots, ready.page)
    counters = reading.view.counters
    return GraphAnswer(
        root,
        version=reading.view.version,
        schema_version=reading.layout.bundle.version,
        statistics=FetchStatistics(
            rows=execution.spending.rows,
            edges=execution.spending.edges,
            engine_calls=counters.calls - before[0],
            keys_read=counters.keys - before[1],
            bytes_read=counters.bytes - before[2],
            seconds=reading.clock.monotonic_s() - started_s,
        ),
        cursors=cursors,
    )


def count(reading: Reading, query: GraphQuery) -> int:
    """How many roots the query's filter keeps."""
    return _execution(reading, reading.plans.ready(reading.layout, query)).roots.count()


def exists(reading: Reading, query: GraphQuery) -> bool:
    """Whether the query's filter keeps any root."""
    return _execution(reading, reading.plans.ready(reading.layout, query)).roots.exists()


def plan_only(reading: Reading, query: GraphQuery, trace: Trace) -> None:
    """Let `trace` see what a fetch would begin with, and read nothing."""
    _execution(reading, reading.plans.ready(reading.layout, query), trace)


def _execution(reading: Reading, ready: ReadyQuery, trace: Trace | None = None) -> Execution:
    spending = Spending(ready.query.budget, reading.clock)
    if trace is not None:
        trace.begin(ready, reading.view, spending)
    return Execution(ready, reading.view, spending, trace)


class _Cursors:
    """The cursors before the first root and after the last one, made when asked for."""

    def __init__(self, execution: Execution, roots: RootResult, page: RootPage) -> None:
        self._execution = execution
        self._roots = roots
        more = roots.more
        beyond = page.place is not None
        self._has_before = more if page.backward else beyond or page.offset > 0
        self._has_after = beyond if page.backward else more
        self._made: tuple[str | None, str | None] | None = None

    def __call__(self) -> tuple[str | None, str | None]:
        if self._made is None:
            rows = self._roots.level.rows
            self._made = (
                self._cursor(0) if rows and self._has_before else None,
                self._cursor(-1) if rows and self._has_after else None,
            )
        return self._made

    def _cursor(self, position: int) -> str:
        """The cursor of the first (0) or the last (-1) root."""
        execution, level, ends = self._execution, self._roots.level, self._roots.ends
        values = execution.roots.order_values(level, position) if ends is None else ends[position]
        return encode_cursor(execution.plan.order_signature, values, level.keys[position])
