"""A table query from beginning to end: shape, plan, budget, execution, columns.

    table(reading, query)
        take_table_shape ─▶ PlanCache.table_plan ─▶ TableExecution ─▶ TableBlock

Invariants (held by tests/property/test_tables.py):
  1. The answer is exactly what the query asks for, as of the view's version.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ormdb.ir.explanation import Limits
from ormdb.ir.result import FetchStatistics
from ormdb.ir.table import TableBlock, TableQuery
from ormdb.ir.value import Value
from ormdb.pulse import heeding
from ormdb.query.budget import Spending
from ormdb.query.cache import PlanCache
from ormdb.query.execute import Execution
from ormdb.query.fetch import Reading
from ormdb.query.ready import ReadyQuery, make_ready
from ormdb.query.shape import PageValues
from ormdb.query.table_plan import TablePlan
from ormdb.query.table_run import TableExecution
from ormdb.query.table_shape import ShapedTable, take_table_shape
from ormdb.query.trace import Trace
from ormdb.storage.layout import Layout


@dataclass(slots=True, eq=False)  # not frozen: a prepared query makes one for each run
class ReadyTable:
    """A table query with its plan, its values as the plan wants them, and its page; never
    changed."""

    query: TableQuery
    plan: TablePlan
    base: ReadyQuery
    values: Sequence[Value]
    page: PageValues


def table(reading: Reading, query: TableQuery, *, trace: Trace | None = None) -> TableBlock:
    """Read a table; `trace` notes what its rows take.

    Raises:
      QueryError: the query does not fit the schema.
      ValueRangeError: a sum, or what is calculated, is outside what its type can hold.
      BudgetError: there are more groups, rows or bytes than the query's budget allows.
      CorruptionError: what is stored contradicts itself.
    """
    started_s = reading.clock.monotonic_s()
    shaped = take_table_shape(query)
    if trace is not None:
        trace.plan_was_kept = reading.plans.holds_table(reading.layout, shaped.shape)
    ready = make_table_ready(reading.plans, reading.layout, query, shaped)
    return table_ready(reading, ready, started_s=started_s, trace=trace)


def table_ready(
    reading: Reading,
    ready: ReadyTable,
    *,
    started_s: float | None = None,
    trace: Trace | None = None,
) -> TableBlock:
    """`table` of a query that is ready to run; `started_s` says when it began to be made so."""
    if started_s is None:
        started_s = reading.clock.monotonic_s()
    counters = reading.view.counters
    before = (counters.calls, counters.keys, counters.bytes)
    spending = Spending(
        ready.query.budget,
        reading.clock,
        started_s=started_s,
        cancellation=reading.context.cancellation,
    )
    if trace is not None:
        trace.table = ready.plan, _limits(ready)
        trace.begin(ready.base, reading.view, spending)
    execution = TableExecution(
        ready.plan,
        Execution(ready.base, reading.view, spending, trace),
        ready.values,
        limit=ready.page.limit,
        offset=ready.page.offset,
    )
    with heeding(spending.check_time):
        values = execution.columns()
    if trace is not None:
        trace.note_level(ready.plan.base.root, execution.rows_kept)
    return TableBlock(
        columns=ready.plan.columns,
        values=tuple(values),
        version=reading.view.version,
        schema_version=reading.layout.bundle.version,
        statistics=FetchStatistics(
            rows=spending.rows,
            edges=0,
            engine_calls=counters.calls - before[0],
            keys_read=counters.keys - before[1],
            bytes_read=counters.bytes - before[2],
            seconds=reading.clock.monotonic_s() - started_s,
        ),
    )


def plan_table_only(reading: Reading, query: TableQuery, trace: Trace) -> None:
    """Let `trace` see what reading a table would begin with, and read nothing."""
    ready = make_table_ready(reading.plans, reading.layout, query, take_table_shape(query))
    trace.table = ready.plan, _limits(ready)
    trace.begin(ready.base, reading.view, Spending(query.budget, reading.clock))


def make_table_ready(
    plans: PlanCache, layout: Layout, query: TableQuery, shaped: ShapedTable
) -> ReadyTable:
    """What a table query needs to run, besides a view.

    Raises:
      QueryError: the query does not fit the schema, or its budget is none.
    """
    plan = plans.table_plan(layout, shaped)
    values = [convert(value) for convert, value in zip(plan.converters, shaped.values, strict=True)]
    base = make_ready(shaped.base, shaped.shaped_base, plan.base)
    return ReadyTable(query, plan, base, values, shaped.page)


def _limits(ready: ReadyTable) -> Limits:
    return Limits(limit=ready.page.limit, offset=ready.page.offset)
