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

from collections.abc import Callable
from dataclasses import dataclass

from ormdb.clock import Clock
from ormdb.ir.graph import GraphQuery
from ormdb.pulse import heeding
from ormdb.query.assemble import GraphAnswer
from ormdb.query.budget import Spending
from ormdb.query.cache import PlanCache
from ormdb.query.estimate import Estimator
from ormdb.query.execute import Execution, NodeResult
from ormdb.query.follow import Level
from ormdb.query.kept_pages import keep_page, kept_page
from ormdb.query.order import encode_cursor
from ormdb.query.ready import ReadyQuery
from ormdb.query.root_page import RootResult
from ormdb.query.trace import Trace
from ormdb.session import Cancellation, Context
from ormdb.storage.layout import Layout
from ormdb.storage.statistics import NO_STATISTICS
from ormdb.storage.views import View


def _without_statistics(layout: Layout) -> Estimator:
    return Estimator(NO_STATISTICS, layout)


@dataclass(slots=True, kw_only=True)  # not frozen: every fetch makes one
class Reading:
    """Through what, for which schema, and for whom a query reads; never changed."""

    view: View
    layout: Layout
    context: Context
    plans: PlanCache
    clock: Clock
    survey: Callable[[Layout], Estimator] = _without_statistics  # asked on demand, never by a run

    def estimator(self) -> Estimator:
        """Estimates from the newest statistics; costs an engine call or two."""
        return self.survey(self.layout)


def fetch(reading: Reading, query: GraphQuery, *, trace: Trace | None = None) -> GraphAnswer:
    """Fetch a graph; `trace` notes what each level takes.

    Raises:
      QueryError, CursorError: the query does not fit the schema.
      BudgetError: the answer would be larger than the query's budget allows.
      CorruptionError: what is stored contradicts itself.
    """
    spending = _spending(reading, query)
    with heeding(spending.check_time):
        if trace is not None:
            trace.plan_was_kept = reading.plans.holds(reading.layout, query)
        ready = reading.plans.ready(reading.layout, query)
    return fetch_ready(
        ready,
        reading.view,
        reading.clock,
        spending=spending,
        trace=trace,
    )


def fetch_ready(  # what a run needs, and nothing around it: this is the short way
    ready: ReadyQuery,
    view: View,
    clock: Clock,
    *,
    cancellation: Cancellation | None = None,
    spending: Spending | None = None,
    trace: Trace | None = None,
) -> GraphAnswer:
    """`fetch` of a query that is ready to run; `spending` says what was spent before."""
    counters, plan = view.counters, ready.plan
    before = (counters.calls, counters.keys, counters.bytes)
    if spending is None:
        spending = Spending(ready.query.budget, clock, cancellation=cancellation)
    cursors: Callable[[], tuple[str | None, str | None]] = no_cursors
    if trace is None and (roots := _found(ready, view)) is not None:
        root = _below(roots.level, ready, view, spending)
        if roots.more or ready.page.offset:
            cursors = _Cursors(ready, view, spending, roots)
    else:
        if trace is not None:
            trace.begin(ready, view, spending)
        execution = Execution(ready, view, spending, trace)
        with heeding(spending.check_time):
            spending.check_time()
            root, roots = execution.fetch(ready.page)
        cursors = _Cursors(ready, view, spending, roots)
    return GraphAnswer(
        root,
        version=view.version,
        schema_version=plan.schema_version,
        costs=(
            spending.rows,
            spending.edges,
            counters.calls - before[0],
            counters.keys - before[1],
            counters.bytes - before[2],
            clock.monotonic_s() - spending.started_s,
        ),
        cursors=cursors,
    )


def _found(ready: ReadyQuery, view: View) -> RootResult | None:
    """The roots, if no walk is needed: one row by its number, a page that is kept, or one row
    by another key."""
    seek = ready.seek
    if seek is not None and seek.is_by_number:
        return RootResult(seek.find(view, ready.values), more=False)
    roots = kept_page(ready, view)
    if roots is None and seek is not None:
        roots = RootResult(seek.find(view, ready.values), more=False)
        keep_page(ready, view, roots)
    return roots


def _below(roots: Level, ready: ReadyQuery, view: View, spending: Spending) -> NodeResult:
    """The graph below roots that were found without walking."""
    spending.check_progress((), view.counters.bytes)
    plan = ready.plan.root
    if plan.children or plan.derived is not None:
        with heeding(spending.check_time):
            return Execution(ready, view, spending).fetch_from(roots)
    spending.add_rows((), len(roots.rows))
    return NodeResult(plan, roots, None, (), [])


def count(reading: Reading, query: GraphQuery) -> int:
    """How many roots the query's filter keeps."""
    spending = _spending(reading, query)
    with heeding(spending.check_time):
        return count_ready(reading, reading.plans.ready(reading.layout, query), spending)


def count_ready(reading: Reading, ready: ReadyQuery, spending: Spending | None = None) -> int:
    """`count` of a query that is ready to run."""
    spending = spending or _spending(reading, ready.query)
    with heeding(spending.check_time):
        spending.check_time()
        return Execution(ready, reading.view, spending).roots.count()


def exists(reading: Reading, query: GraphQuery) -> bool:
    """Whether the query's filter keeps any root."""
    spending = _spending(reading, query)
    with heeding(spending.check_time):
        return exists_ready(reading, reading.plans.ready(reading.layout, query), spending)


def exists_ready(reading: Reading, ready: ReadyQuery, spending: Spending | None = None) -> bool:
    """`exists` of a query that is ready to run."""
    spending = spending or _spending(reading, ready.query)
    with heeding(spending.check_time):
        spending.check_time()
        return Execution(ready, reading.view, spending).roots.exists()


def plan_only(reading: Reading, query: GraphQuery, trace: Trace) -> None:
    """Let `trace` see what a fetch would begin with, and read nothing."""
    _execution(reading, reading.plans.ready(reading.layout, query), trace)


def _execution(reading: Reading, ready: ReadyQuery, trace: Trace | None = None) -> Execution:
    cancellation = reading.context.cancellation
    spending = Spending(ready.query.budget, reading.clock, cancellation=cancellation)
    if trace is not None:
        trace.begin(ready, reading.view, spending)
    return Execution(ready, reading.view, spending, trace)


def _spending(reading: Reading, query: GraphQuery) -> Spending:
    return Spending(query.budget, reading.clock, cancellation=reading.context.cancellation)


def no_cursors() -> tuple[str | None, str | None]:
    """Of an answer that no page lies beside."""
    return None, None


class _Cursors:
    """The cursors before the first root and after the last one, made when asked for."""

    def __init__(
        self, ready: ReadyQuery, view: View, spending: Spending, roots: RootResult
    ) -> None:
        self._run = ready, view, spending
        self._roots = roots
        page, more = ready.page, roots.more
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
        level, ends = self._roots.level, self._roots.ends
        if ends is None:
            values = Execution(*self._run).roots.order_values(level, position)
        else:
            values = ends[position]
        ready = self._run[0]
        return encode_cursor(ready.page.signature, values, level.keys[position])
