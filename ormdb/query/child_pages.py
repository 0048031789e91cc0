"""Children as they stand parent by parent, and the page of each parent.

    customer 1   orders 9 4 7 2       after (order 9), limit 2     4 7
    customer 2   orders 8 3                                        8 3       a place is the same
    customer 3   none                                              none      for every parent

What tells the order of children is kept beside them only where telling it took reading other rows;
else it is asked of the rows when a cursor is wanted.

Invariants (held by tests/unit/query/test_child_pages.py and tests/property/test_oracles.py):
  1. Pages that follow each other's cursors, put together, are all children of the parent.
  2. A page that is not full is the last one in its direction, and has no cursor there.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import compress
from typing import TypeAlias

from ormdb.ir.value import Value
from ormdb.query.follow import Level, masked, owners_of, picked
from ormdb.query.node_page import NodePage
from ormdb.query.order import encode_cursor
from ormdb.query.plan import NodePlan

Columns: TypeAlias = Sequence[Sequence[Value]]  # the values of an order's keys


@dataclass(slots=True)
class Siblings:
    """Rows of a level, parent by parent, how many each parent has, and what orders them."""

    level: Level
    counts: Sequence[int]
    columns: Columns | None = None

    def kept(self, mask: Sequence[bool]) -> Siblings:
        """Those for which the mask is true."""
        if all(mask):
            return self
        counts = counts_of(compress(owners_of(self.counts), mask), len(self.counts))
        columns = self.columns
        if columns is not None:
            columns = [list(compress(column, mask)) for column in columns]
        return Siblings(masked(self.level, mask), counts, columns)

    def paged(self, page: NodePage) -> Siblings:
        """Of each parent those that its page holds; all of them lie beyond the page's place."""
        places: list[int] = []
        counts: list[int] = []
        start = 0
        for count in self.counts:
            part = part_of(count, page)
            places.extend(range(start + part.start, start + part.stop))
            counts.append(len(part))
            start += count
        if len(places) == start:
            return self
        columns = self.columns
        if columns is not None:
            columns = [[column[at] for at in places] for column in columns]
        return Siblings(picked(self.level, places), counts, columns)


def part_of(count: int, page: NodePage) -> range:
    """Which of so many rows beyond its place a page holds; backwards, they are the last ones."""
    if page.backward:
        stop = max(0, count - page.offset)
        return range(0 if page.limit is None else max(0, stop - page.limit), stop)
    stop = count if page.limit is None else min(count, page.offset + page.limit)
    return range(min(page.offset, stop), stop)


def counts_of(owners: Iterable[int], parents: int) -> list[int]:
    """How many each parent has; the inverse of `owners_of`."""
    counts = [0] * parents
    for owner in owners:
        counts[owner] += 1
    return counts


@dataclass(frozen=True, slots=True)
class ChildCursors:
    """Makes the cursors of the pages of one include, when they are asked for."""

    plan: NodePlan
    page: NodePage
    columns: Columns | None
    given: Sequence[Value]  # what the keys of the order are calculated with

    def around(self, level: Level, targets: Sequence[int]) -> tuple[str | None, str | None]:
        """Where the page before one parent's rows ends, and where the following one begins.

        A full page has a cursor even if nothing lies beyond it: that page is empty then.
        """
        page = self.page
        if not targets:
            return None, None
        full = page.limit is not None and len(targets) == page.limit
        begun = page.place is not None or page.offset > 0
        has_before, has_after = (full, True) if page.backward else (begun, full)
        return (
            self._cursor(level, targets[0]) if has_before else None,
            self._cursor(level, targets[-1]) if has_after else None,
        )

    def _cursor(self, level: Level, at: int) -> str:
        plan, columns = self.plan, self.columns
        if columns is None:
            columns = [key.column(level.rows[at : at + 1], *self.given) for key in plan.order.keys]
            values = [column[0] for column in columns]
        else:
            values = [column[at] for column in columns]
        return encode_cursor(self.page.signature, values, level.keys[at])
