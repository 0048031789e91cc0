"""Which rows a query means, as row keys: for statements that write what they find.

    find_keys(reading, Flight where dep_delay > 120 order id limit 2)     row keys of 7 and 9

Rows are read as by a fetch, by the same plans; of each only what the filter and the order take.
There may be any number of them: as in a stream, the budget's rows bound what has to be sorted, and
bytes and time are counted anew for every batch.

Invariants (held by tests/unit/query/test_find.py and tests/property/test_oracles.py):
  1. The keys are those of the rows that a fetch of the query shows, in its order.
"""

from __future__ import annotations

from dataclasses import replace

from ormdb import limits
from ormdb.errors import QueryError
from ormdb.ir.graph import GraphQuery
from ormdb.pulse import heeding
from ormdb.query.budget import Spending
from ormdb.query.execute import Execution
from ormdb.query.fetch import Reading


def find_keys(reading: Reading, query: GraphQuery) -> list[bytes]:
    """The row keys of a query's roots, in its order.

    Raises:
      QueryError: the query does not fit the schema, or asks for more than rows.
      BudgetError: it would touch more than its budget allows.
    """
    unfit = [
        word
        for word, given in (
            ("includes", query.includes),
            ("derived values", query.derived),
            ("a selection", query.select is not None),
            ("as_of", query.as_of is not None),
        )
        if given
    ]
    if unfit:
        raise QueryError(
            f"a statement that writes has no use for {', '.join(unfit)} of its query; "
            "give its filter, its order and its page alone",
            entity=query.entity,
        )
    entity = reading.layout.entities.get(query.entity)
    if entity is not None:  # else the plan says what is wrong
        query = replace(query, select=entity.entity.identity)
    ready = reading.plans.ready(reading.layout, query, keep=False)
    spending = Spending(query.budget, reading.clock, cancellation=reading.context.cancellation)
    roots = Execution(ready, reading.view, spending).roots
    if ready.page.backward:
        with heeding(spending.check_time):
            return roots.page(ready.page).level.keys
    keys: list[bytes] = []
    levels = roots.batches(ready.page, limits.SCAN_BATCH_ROWS)
    while True:
        spending.renew(reading.view.counters.bytes)
        with heeding(spending.check_time):
            spending.check_time()
            level = next(levels, None)
        if level is None:
            return keys
        keys += level.keys
