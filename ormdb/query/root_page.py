"""The roots of a page: walked in order until the page is full, or gathered and sorted.

    order by time, limit 50      index by_time     51 entries, the last only says that more follow
    order by plane.seats         scan              every row the filter keeps, then sorted

A filter through relations is asked after the one on the rows' own fields, for many batches at
once, so that the engine calls do not grow with the table.

Invariants (held by tests/unit/query/test_fetch.py and tests/property/test_fetch_differential.py):
  1. A page is the same however its roots are reached.
  2. A page in the order of its access path reads as many rows as it takes to fill it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import compress

from ormdb import limits
from ormdb.ir.value import Value
from ormdb.query.budget import Spending
from ormdb.query.decoded import decoded_rows
from ormdb.query.follow import Level, masked, picked, sliced
from ormdb.query.gather import KeyGatherer
from ormdb.query.node_page import NodePage
from ormdb.query.order import beyond, sorted_positions
from ormdb.query.plan import Access, NodePlan
from ormdb.query.roots import Batch, root_batches
from ormdb.query.sieve import Sieve
from ormdb.query.walk import Walk
from ormdb.storage.key_ranges import CUT_PREFIX_BYTES, sorts_exactly
from ormdb.storage.views import View


@dataclass(slots=True)
class RootResult:
    """The roots, and whether more follow in the direction of the page.

    `ends` are the values of the order's keys for the first and the last root, where they were
    read on the way; an order that reads only its own rows is asked when a cursor is made.
    """

    level: Level
    more: bool
    ends: tuple[tuple[Value, ...], tuple[Value, ...]] | None = None


class RootReader:
    """Reads the roots of one run of a plan."""

    def __init__(
        self,
        root: NodePlan,
        access: Access,
        view: View,
        spending: Spending,
        *,
        values: Sequence[Value],
        sieve: Sieve,
    ) -> None:
        self._root = root
        self._access = access
        self._view = view
        self._spending = spending
        self._values = values
        self._sieve = sieve
        self._gatherer = KeyGatherer(view, values, sieve, spending)

    def page(self, page: NodePage) -> RootResult:
        """The roots of a page, in the query's order."""
        stop = None if page.limit is None else page.offset + page.limit
        wanted = None if stop is None else stop + 1
        if self._access.ordered:
            level = self._in_order(page, wanted)
            more = stop is not None and len(level.rows) > stop
            if page.offset or more:
                level = sliced(level, page.offset, stop)
            if page.backward:
                level.rows.reverse()
                level.keys.reverse()
            return RootResult(level, more, self._ends(level))
        return self._sorted(page, stop)

    def batches(self, page: NodePage, size: int) -> Iterator[Level]:
        """The roots of a page that goes forwards, so many at a time, none of them empty."""
        if not self._access.ordered:
            yield from self._sorted_batches(page, size)
            return
        held = Level([], [])
        for level in self._walked(page, size):
            held.rows.extend(level.rows)
            held.keys.extend(level.keys)
            while len(held.rows) >= size:
                yield sliced(held, 0, size)
                held = sliced(held, size, None)
        if held.rows:
            yield held

    def count(self) -> int:
        """How many roots the filter keeps."""
        root = self._root
        if root.filter is None and root.far_filter is None and self._access.kind == "scan":
            known = self._view.row_count(root.entity)
            if known is not None:
                return known
        return sum(len(level.rows) for level in self.kept_batches(Walk()))

    def exists(self) -> bool:
        """Whether the filter keeps any root."""
        return any(level.rows for level in self.kept_batches(Walk(batch=1)))

    def order_values(self, level: Level, position: int) -> tuple[Value, ...]:
        """The values of the order's keys for one root: what a cursor holds."""
        one = Level([level.rows[position]], [level.keys[position]])
        return tuple(column[0] for column in self._sieve.columns(self._root.order, one))

    def _ends(self, level: Level) -> tuple[tuple[Value, ...], tuple[Value, ...]] | None:
        """The order's values of the first and the last root, if telling them takes reading."""
        if not level.rows or not self._root.order.hops:
            return None
        return self.order_values(level, 0), self.order_values(level, -1)

    def _in_order(self, page: NodePage, wanted: int | None) -> Level:
        """Walk the access path until the page is full."""
        batch = None
        if wanted is not None:
            root = self._root
            filtered = root.filter is not None or root.far_filter is not None
            dropped = filtered and not self._access.is_whole
            batch = min(2 * wanted if dropped else wanted, limits.SCAN_BATCH_ROWS)
        gathered = Level([], [])
        for level in self.kept_batches(Walk(place=page.place, backward=page.backward, batch=batch)):
            if page.place is not None:
                columns = self._sieve.columns(self._root.order, level)
                mask = beyond(page.place, columns, level.keys, backward=page.backward)
                level = masked(level, mask)
            self._gather(gathered, level, page)
            if wanted is not None and len(gathered.rows) >= wanted:
                break
        return gathered

    def _sorted(self, page: NodePage, stop: int | None) -> RootResult:
        """Gather everything the filter keeps, then sort."""
        order, gathered = self._root.order, Level([], [])
        for level in self.kept_batches(Walk()):
            self._gather(gathered, level, page)
        columns = self._sieve.columns(order, gathered)
        if page.place is not None:
            mask = beyond(page.place, columns, gathered.keys, backward=page.backward)
            gathered = masked(gathered, mask)
            columns = [list(compress(column, mask)) for column in columns]
        positions = sorted_positions(order, columns, gathered.keys)
        if page.backward:
            positions.reverse()
        more = stop is not None and len(positions) > stop
        positions = positions[page.offset : stop]
        if page.backward:
            positions.reverse()
        ends = None
        if positions:
            first, last = (
                tuple(column[position] for column in columns)
                for position in (positions[0], positions[-1])
            )
            ends = first, last
        return RootResult(picked(gathered, positions), more, ends)

    def _walked(self, page: NodePage, size: int) -> Iterator[Level]:
        """The rows of a page in the order of the access path."""
        left, skip = page.limit, page.offset
        batch = size if left is None else min(size, left + skip)
        walk = Walk(place=page.place, batch=min(batch, limits.SCAN_BATCH_ROWS), is_stream=True)
        if left == 0:
            return
        for found in self.kept_batches(walk):
            level = found
            if page.place is not None:
                columns = self._sieve.columns(self._root.order, level)
                level = masked(level, beyond(page.place, columns, level.keys, backward=False))
            skipped = min(skip, len(level.rows))
            level = sliced(level, skipped, None if left is None else skipped + left)
            skip -= skipped
            yield level
            if left is not None:
                left -= len(level.rows)
                if not left:
                    return

    def _sorted_batches(self, page: NodePage, size: int) -> Iterator[Level]:
        """The keys of everything the filter keeps are sorted, then the rows are read."""
        root, order = self._root, self._root.order
        keys: list[bytes] = []
        columns: list[list[Value]] = [[] for _ in order.keys]
        for level in self.kept_batches(Walk(is_stream=True)):
            found: Sequence[Sequence[Value]] = self._sieve.columns(order, level)
            if page.place is not None:
                mask = beyond(page.place, found, level.keys, backward=False)
                level = masked(level, mask)
                found = [list(compress(column, mask)) for column in found]
            keys.extend(level.keys)
            for column, values in zip(columns, found, strict=True):
                column.extend(values)
            self._spending.check_gathered(len(keys))
        positions = sorted_positions(order, columns, keys)
        columns.clear()
        stop = None if page.limit is None else page.offset + page.limit
        positions = positions[page.offset : stop]
        for start in range(0, len(positions), size):
            asked = [keys[position] for position in positions[start : start + size]]
            rows = decoded_rows(self._view, root.entity, asked, root.decoder)
            # Only in a transaction that writes meanwhile can one of them be gone.
            there = [row is not None for row in rows]
            level = Level(rows, asked)
            if any(there):
                yield level if all(there) else masked(level, there)

    def _gather(self, gathered: Level, level: Level, page: NodePage) -> None:
        gathered.rows.extend(level.rows)
        gathered.keys.extend(level.keys)
        allowed, shown = self._spending.budget.rows, len(gathered.rows) - page.offset
        if shown > allowed and (page.limit is None or page.limit > allowed):
            self._spending.add_rows((), shown)  # raises: stop before reading it all

    def kept_batches(self, walk: Walk) -> Iterator[Level]:
        """Batches of the access path, filtered."""
        root = self._root
        near = self._near_batches(walk)
        if root.far_filter is None:
            yield from near
            return
        for level in _rounds(near, walk):
            kept = self._sieve.kept(root.far_filter, level)
            if kept.rows:
                yield kept

    def _near_batches(self, walk: Walk) -> Iterator[Level]:
        """Batches of the access path, filtered by the rows' own fields."""
        root = self._root
        view = self._sieve.expecting(self._view, root.filter, root)
        batches = root_batches(
            root, self._access, view, self._values, walk, gather=self._gatherer.keys
        )
        if self._access.ordered and self._access.kind == "index":
            batches = self._true_order(batches, backward=walk.backward)
        for level, _ in batches:
            self._check_progress()
            if self._sieve.note_rows is not None:
                self._sieve.note_rows(len(level.rows))
            kept = self._sieve.kept(root.filter, level)
            if kept.rows:
                yield kept

    def _check_progress(self) -> None:
        self._spending.check_progress((), self._view.counters.bytes)

    def _true_order(self, batches: Iterator[Batch], *, backward: bool) -> Iterator[Batch]:
        """Put runs of over-long keys of equal beginning, among them cut ones, which lie in the
        order of their hashes, in their real order."""
        held, held_keys = Level([], []), list[bytes]()
        for level, keys in batches:
            if not held.rows and all(map(sorts_exactly, keys)):
                yield level, keys
                continue
            held = Level(held.rows + level.rows, held.keys + level.keys)
            held_keys.extend(keys)
            # A run may go on in the next batch; keys of another prefix cannot.
            prefix = held_keys[-1][:CUT_PREFIX_BYTES]
            done = len(held_keys)
            while done and held_keys[done - 1][:CUT_PREFIX_BYTES] == prefix:
                done -= 1
            if done:
                yield self._resorted(sliced(held, 0, done), backward=backward), held_keys[:done]
            held, held_keys = sliced(held, done, len(held_keys)), held_keys[done:]
        if held.rows:
            yield self._resorted(held, backward=backward), held_keys

    def _resorted(self, level: Level, *, backward: bool) -> Level:
        positions = self._sieve.positions(self._root.order, level)
        if backward:
            positions.reverse()
        return picked(level, positions)


def gathered(batches: Iterator[Level], size: int) -> Iterator[Level]:
    """Batches put together until they have so many rows."""
    held = Level([], [])
    for level in batches:
        held.rows.extend(level.rows)
        held.keys.extend(level.keys)
        if len(held.rows) >= size:
            yield held
            held = Level([], [])
    if held.rows:
        yield held


def _rounds(batches: Iterator[Level], walk: Walk) -> Iterator[Level]:
    """Batches put together, so that following the paths of their rows takes few calls.

    While a page fills, rounds grow from a little more than the page; else they are as large as
    memory should allow.
    """
    most = limits.SCAN_BATCH_ROWS if walk.is_stream else limits.PATH_ROUND_ROWS_MAX
    size = most
    if walk.batch is not None:
        size = min(max(walk.batch, limits.PATH_ROUND_ROWS_MIN), most)
    held = Level([], [])
    for level in batches:
        held.rows.extend(level.rows)
        held.keys.extend(level.keys)
        if len(held.rows) >= size:
            yield held
            held = Level([], [])
            size = min(4 * size, most)
    if held.rows:
        yield held
