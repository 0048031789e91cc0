"""The fanout budget of one fetch, spent as rows arrive.

    BudgetError: departures.plane reached 1,000,001 rows; the budget allows 1,000,000 ...

A breach stops the fetch; an answer is never silently shortened.

Invariants (held by tests/unit/query/test_budget.py):
  1. What an answer holds never exceeds its budget.
  2. A BudgetError names the budget, the include path, what is allowed and what was reached.
"""

from __future__ import annotations

import sys
from typing import Final

from ormdb.clock import Clock
from ormdb.errors import BudgetError, CancelledError, QueryError
from ormdb.ir.graph import FanoutBudget, GraphQuery, Include
from ormdb.session import Cancellation

_NAMES: Final = ("depth", "fanout", "rows", "edges", "bytes", "time_s")


class Spending:
    """What one fetch has spent of its budget."""

    def __init__(
        self,
        budget: FanoutBudget,
        clock: Clock,
        *,
        started_s: float | None = None,
        cancellation: Cancellation | None = None,
    ) -> None:
        self.budget = budget
        self.started_s = clock.monotonic_s() if started_s is None else started_s
        self.rows = 0
        self.edges = 0
        self.fanout = 0  # the most children that any parent had so far
        # As many children of one parent as it takes to see that there are too many.
        self.children_max = min(budget.fanout, sys.maxsize - 1) + 1
        self._clock = clock
        self._deadline_s = self.started_s + budget.time_s
        self._bytes_before = 0
        self._cancellation = cancellation

    def renew(self, bytes_read: int) -> None:
        """Count rows, edges, bytes and time from here on: a batch of a stream begins."""
        self.rows = self.edges = 0
        self.started_s = self._clock.monotonic_s()
        self._deadline_s = self.started_s + self.budget.time_s
        self._bytes_before = bytes_read

    def add_rows(self, path: tuple[str, ...], count: int) -> None:
        """Rows that became part of the answer."""
        self.rows += count
        if self.rows > self.budget.rows:
            raise _breach("rows", path, self.budget.rows, self.rows, "rows")

    def check_gathered(self, count: int) -> None:
        """Rows whose keys a stream has gathered to sort them."""
        if count > self.budget.rows:
            raise _breach("rows", (), self.budget.rows, count, "rows to sort")

    def add_edges(self, path: tuple[str, ...], count: int) -> None:
        """Parent-child pairs that became part of the answer."""
        self.edges += count
        if self.edges > self.budget.edges:
            raise _breach("edges", path, self.budget.edges, self.edges, "edges")

    def left(self, *, is_answer: bool) -> int:
        """As many pairs as it takes to see that a level has too many.

        Args:
          is_answer: whether every child that is read becomes a row of the answer.
        """
        left = self.budget.edges - self.edges
        if is_answer:
            left = min(left, self.budget.rows - self.rows)
        return min(left, sys.maxsize - 1) + 1

    def check_fanout(self, path: tuple[str, ...], largest: int) -> None:
        """The most children that any one parent has."""
        self.fanout = max(self.fanout, largest)
        if largest > self.budget.fanout:
            raise _breach("fanout", path, self.budget.fanout, largest, "children of one parent")

    def check_progress(self, path: tuple[str, ...], bytes_read: int) -> None:
        """Bytes read so far, and the time."""
        if bytes_read - self._bytes_before > self.budget.bytes:
            spent = bytes_read - self._bytes_before
            raise _breach("bytes", path, self.budget.bytes, spent, "bytes read")
        self.check_time(path)

    def check_time(self, path: tuple[str, ...] = ()) -> None:
        """The time, and whether anybody wants this to end."""
        if self._cancellation is not None and self._cancellation.is_cancelled:
            raise CancelledError("the call was cancelled, and has read nothing to the end")
        now_s = self._clock.monotonic_s()
        if now_s > self._deadline_s:
            spent_s = round(now_s - self.started_s, 3)
            raise _breach("time_s", path, self.budget.time_s, spent_s, "seconds")


def check_budget(budget: FanoutBudget) -> None:
    """Refuse a budget that is no amount.

    Raises:
      QueryError: a number of it is negative, or NaN.
    """
    for name in _NAMES:
        if not getattr(budget, name) >= 0:  # so that NaN is refused as well
            raise QueryError(
                f"the budget's {name} is {getattr(budget, name)!r}; give a number that is 0 or more"
            )


def check_depth(query: GraphQuery) -> None:
    """Refuse a query that is deeper than its budget allows, before anything is read.

    Raises:
      BudgetError: it is.
    """
    deepest = _deepest(query.includes, ())
    if len(deepest) > query.budget.depth:
        raise _breach("depth", deepest, query.budget.depth, len(deepest), "levels")


def _breach(
    name: str, path: tuple[str, ...], allowed: float, reached: float, unit: str
) -> BudgetError:
    where = ".".join(path) or "the root"
    return BudgetError(
        f"{where} reached {reached:,} {unit}; the budget allows {allowed:,}. "
        f"Filter or limit the include, or raise the budget's {name}",
        budget=name,
        path=path,
        allowed=allowed,
        reached=reached,
    )


def _deepest(includes: tuple[Include, ...], path: tuple[str, ...]) -> tuple[str, ...]:
    paths = [_deepest(node.includes, (*path, node.name)) for node in includes]
    return max(paths, key=len, default=path)
