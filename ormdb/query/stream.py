"""A fetch of any size in bounded memory: batch after batch of roots, each with its includes.

    Flight by time, batches of 1000      answer of 1000 roots, their planes ... ─▶ the next 1000 ...

An order that the way to the roots has anyway is walked, and no more than a batch is held.  For
any other, the sort keys and row keys of all roots are gathered and sorted first; their number is
bounded by the budget's rows.  Then the rows are read batch by batch.

Depth and fanout are bounded as in a fetch; rows, edges, bytes and time are counted anew for every
batch, so that a stream may go on for as long as its snapshot.

Invariants (held by tests/unit/database/test_stream.py and tests/property/test_stream.py):
  1. The batches of a stream, put together, are the answer of a fetch without a bound.
  2. No more than one batch of rows is held, besides the keys of a sort.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from ormdb.errors import QueryError
from ormdb.ir.graph import GraphQuery
from ormdb.pulse import heeding
from ormdb.query.assemble import GraphAnswer
from ormdb.query.budget import Spending
from ormdb.query.execute import Execution
from ormdb.query.fetch import Reading, no_cursors
from ormdb.query.node_page import NodePage
from ormdb.query.ready import ReadyQuery


def stream(
    reading: Reading, query: GraphQuery, *, batch: int, proceed: Callable[[], None]
) -> Iterator[GraphAnswer]:
    """The answers of a stream, none of which is empty; `proceed` is asked before each.

    Raises:
      QueryError: the query does not fit the schema, or goes backwards from a cursor.
      BudgetError: a batch is larger than the query's budget allows.
    """
    ready = reading.plans.ready(reading.layout, query)
    return stream_ready(reading, ready, batch=batch, proceed=proceed)


def stream_ready(
    reading: Reading, ready: ReadyQuery, *, batch: int, proceed: Callable[[], None]
) -> Iterator[GraphAnswer]:
    """`stream` of a query that is ready to run."""
    if ready.page.backward:
        raise QueryError("a stream goes forwards; give it a cursor with after instead of before")
    if type(batch) is not int or batch < 1:
        raise QueryError(f"a stream cannot go in batches of {batch!r} rows; give 1 or more")
    budget, cancellation = ready.query.budget, reading.context.cancellation
    spending = Spending(budget, reading.clock, cancellation=cancellation)
    return _answers(reading, Execution(ready, reading.view, spending), ready.page, batch, proceed)


def _answers(
    reading: Reading,
    execution: Execution,
    page: NodePage,
    batch: int,
    proceed: Callable[[], None],
) -> Iterator[GraphAnswer]:
    view, spending, clock = reading.view, execution.spending, reading.clock
    counters = view.counters
    levels = execution.roots.batches(page, batch)
    while True:
        proceed()
        before = counters.calls, counters.keys, counters.bytes
        spending.renew(counters.bytes)
        with heeding(spending.check_time):
            spending.check_time()
            roots = next(levels, None)
            if roots is None:
                return
            root = execution.fetch_from(roots)
        yield GraphAnswer(
            root,
            version=view.version,
            schema_version=execution.plan.schema_version,
            costs=(
                spending.rows,
                spending.edges,
                counters.calls - before[0],
                counters.keys - before[1],
                counters.bytes - before[2],
                clock.monotonic_s() - spending.started_s,
            ),
            cursors=no_cursors,
        )
