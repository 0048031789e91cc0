"""Running the plan of a table query: rows batch by batch into groups, groups into columns.

    groups   {"JFK": [842, 9108], "LGA": [790, 8711]}
    places   k0 ["JFK", "LGA"]    a0 [842, 790]    a1 [10.8, 11.0]
    having, order, repeats, page     positions among these
    columns  ["JFK", "LGA"], [10.8, 11.0]

Memory is bounded by a batch and by the groups, of which there are no more than the budget has rows;
values that are told apart count as groups do.

Invariants (held by tests/property/test_tables.py and tests/unit/query/test_tables.py):
  1. The answer does not depend on the way to the rows, nor on how they come in batches.
  2. The budget bounds the groups while they are made.
"""

from __future__ import annotations

import decimal
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import compress
from operator import itemgetter
from typing import Any

from ormdb import limits
from ormdb.errors import ValueRangeError
from ormdb.ir.aggregates import (
    SUMS,
    average,
    checked_sum,
    divided,
    squeeze_floats,
    sum_floats,
    total,
)
from ormdb.ir.value import FloatType, Type, Value
from ormdb.query.decoded import decoded_rows
from ormdb.query.execute import Execution
from ormdb.query.follow import Level
from ormdb.query.node_page import NodePage
from ormdb.query.order import sort_positions
from ormdb.query.root_page import gathered
from ormdb.query.roots import dangling, recheck_entries
from ormdb.query.sieve import Sieve
from ormdb.query.table_plan import ColumnPlan, FoldPlan, ResultPlan, TablePlan
from ormdb.query.walk import Walk
from ormdb.storage.keys import sorts_exactly
from ormdb.storage.layout import IndexLayout
from ormdb.storage.views import Span

Columns = Sequence[Sequence[Value]]


class TableExecution:
    """One run of a plan under one view and one budget."""

    def __init__(
        self,
        plan: TablePlan,
        rows: Execution,
        values: Sequence[Value],
        *,
        limit: int | None,
        offset: int,
    ) -> None:
        self._plan = plan
        self._rows = rows
        self._view = rows.view
        self._spending = rows.spending
        self._sieve = Sieve(rows.view, values)
        self._limit = limit
        self._offset = offset
        self.rows_kept = 0  # by the filter

    def columns(self) -> list[list[Value]]:
        """The values of the answer, column by column.

        Raises:
          ValueRangeError: a sum is outside what its type can hold.
        """
        fold = self._plan.fold
        if fold is None:
            return self._plain()
        try:
            return self._grouped(fold)
        except decimal.DecimalException as error:
            raise ValueRangeError(
                "a sum of decimals has no finite result; sum smaller values"
            ) from error

    def _plain(self) -> list[list[Value]]:
        page = NodePage(limit=self._limit, offset=self._offset, place=None, backward=False)
        level = self._rows.roots.page(page).level
        self.rows_kept = len(level.rows)
        self._spending.add_rows((), len(level.rows))
        hops = self._sieve.hop_rows(self._plan.hops, level)
        self._spending.check_progress((), self._view.counters.bytes)
        return [
            output.column(level.rows, *hops, *self._sieve.given(output.parameters))
            for output in self._plan.outputs
        ]

    def _grouped(self, fold: FoldPlan) -> list[list[Value]]:
        groups = self._counted(fold) or self._folded(fold)
        keys, results = _key_columns(fold, groups), _result_columns(fold, groups)
        places, count = [*keys, *results], len(groups)
        having = self._plan.having
        if having is not None:
            mask = self._column(having, places, count)
            places = [list(compress(column, mask)) for column in places]
            count = sum(mask)
        positions = list(range(count))
        for column in reversed(places[: len(keys)]):  # the order of ties
            _sort_with_null_first(positions, column)
        order = self._plan.order
        sort_positions(
            positions,
            [one.key for one in order],
            [self._column(one.column, places, count) for one in order],
        )
        outputs = [self._column(output, places, count) for output in self._plan.outputs]
        if self._plan.drops_repeats:
            whole = list(zip(*outputs, strict=True))
            seen: dict[Any, int] = {}
            for at in positions:
                seen.setdefault(whole[at], at)
            positions = list(seen.values())
        stop = None if self._limit is None else self._offset + self._limit
        positions = positions[self._offset : stop]
        self._spending.add_rows((), len(positions))
        return [[column[at] for at in positions] for column in outputs]

    def _column(self, plan: ColumnPlan, places: Columns, count: int) -> list[Any]:
        lists = [places[place] for place in plan.places]
        return plan.column(range(count), *lists, *self._sieve.given(plan.parameters))

    # --- rows to groups ---

    def _folded(self, fold: FoldPlan) -> dict[Any, Any]:
        """The cells of each group by its key; of a tally, the number of its rows."""
        counts, groups = Counter[Any](), dict[Any, list[Any]]()
        parameters = self._sieve.given(fold.parameters)
        if not fold.keys:
            fold.fold([], *([] for _ in fold.hops), groups, *parameters)  # a group of no rows
        looked_at = 0
        with decimal.localcontext(SUMS):
            for level in self._batches(fold):
                self.rows_kept += len(level.rows)
                hops = self._sieve.hop_rows(fold.hops, level)
                if fold.tally is not None:
                    counts.update(fold.tally(level.rows, *hops, *parameters))
                else:
                    fold.fold(level.rows, *hops, groups, *parameters)
                self._check(len(groups) + len(counts))
                if self.rows_kept - looked_at > limits.TABLE_ROUND_ROWS:
                    looked_at = self.rows_kept
                    self._look_into(fold, groups)
        self._look_into(fold, groups)
        return counts if fold.tally is not None else groups

    def _batches(self, fold: FoldPlan) -> Iterator[Level]:
        batches = self._rows.roots.kept_batches(Walk())
        return gathered(batches, limits.PATH_ROUND_ROWS_MAX) if fold.hops else batches

    def _look_into(self, fold: FoldPlan, groups: dict[Any, list[Any]]) -> None:
        """Make what groups hold smaller, and see that it is not too much."""
        for number in fold.float_sums:
            for cells in groups.values():
                if len(cells[number]) > limits.FLOAT_SUM_VALUES_MAX:
                    cells[number] = squeeze_floats(cells[number])
        held = sum(len(cells[number]) for number in fold.told_apart for cells in groups.values())
        self._check(len(groups) + held)

    def _check(self, held: int) -> None:
        """See that there are no more groups and values told apart than the budget has rows."""
        if held > self._spending.budget.rows:
            self._spending.add_rows((), held)  # raises
        self._spending.check_progress((), self._view.counters.bytes)

    def _counted(self, fold: FoldPlan) -> dict[Any, Any] | None:
        """The number of rows of each group as an index says it; None if there is none that can."""
        index, view = fold.counted_by, self._view
        if index is None:
            return None
        counts, first = Counter[bytes](), dict[bytes, bytes]()
        for items in view.scan_entries(index, self._plan.base.root.entity, Span()):
            counts.update(map(itemgetter(0), items))
            first.update(items)
            self._check(len(counts))
        if not all(map(sorts_exactly, counts)):
            return None  # values cut short are not told apart for certain
        assert fold.tally is not None
        rows = self._rows_of(index, first)
        self.rows_kept = counts.total()
        if self._rows.note_rows is not None:
            self._rows.note_rows(self.rows_kept)
        return dict(zip(fold.tally(rows), map(counts.__getitem__, first), strict=True))

    def _rows_of(self, index: IndexLayout, entries: dict[bytes, bytes]) -> list[Any]:
        """A row of each key, which has the values of the key."""
        root = self._plan.base.root
        rows = decoded_rows(self._view, root.entity, list(entries.values()), root.decoder)
        if None in rows:
            raise dangling(root.entity, index)
        recheck_entries(root.entity, index, rows, list(entries))
        return rows


# --- groups to columns --------------------------------------------------------------------------


def _key_columns(fold: FoldPlan, groups: dict[Any, Any]) -> list[list[Value]]:
    if len(fold.keys) == 1:
        columns: list[list[Value]] = [list(groups)]
    else:
        columns = [list(column) for column in zip(*groups, strict=True)] or [[] for _ in fold.keys]
    for number, key in enumerate(fold.keys):
        if key.restore is not None:
            columns[number] = list(map(key.restore, columns[number]))
    return columns


def _result_columns(fold: FoldPlan, groups: dict[Any, Any]) -> list[list[Value]]:
    if fold.tally is not None:
        return [list(groups.values()) for _ in fold.results]
    states = list(groups.values())
    return [_result_column(result, states) for result in fold.results]


def _result_column(result: ResultPlan, states: Sequence[list[Any]]) -> list[Value]:
    cells = list(map(itemgetter(result.cell), states))
    counts = list(map(itemgetter(result.count), states))
    kind = result.operand
    if result.aggregate.distinct and kind is not None:
        return [_of_set(result, kind, values) for values in cells]
    match result.aggregate.function:
        case "count" | "min" | "max":
            return cells
        case "sum":
            return [
                _summed(kind, cell) if count else None
                for cell, count in zip(cells, counts, strict=True)
            ]
        case "avg":
            assert kind is not None
            return [
                divided(kind, sum_floats(cell) if isinstance(kind, FloatType) else cell, count)
                if count
                else None
                for cell, count in zip(cells, counts, strict=True)
            ]


def _summed(kind: Type | None, cell: Any) -> Value:
    assert kind is not None
    return sum_floats(cell) if isinstance(kind, FloatType) else checked_sum(kind, cell)


def _of_set(result: ResultPlan, kind: Type, values: set[Any]) -> Value:
    """The aggregate of values of which each is different."""
    match result.aggregate.function:
        case "count":
            return len(values)
        case "min" | "max":
            least = min if result.aggregate.function == "min" else max
            return least(values, default=None)
        case "sum":
            return total(kind, values) if values else None
        case "avg":
            return average(kind, values) if values else None


def _sort_with_null_first(positions: list[int], column: Sequence[Any]) -> None:
    if None in column:
        ranked = [(value is not None, value) for value in column]
        positions.sort(key=ranked.__getitem__)
    else:
        positions.sort(key=column.__getitem__)
