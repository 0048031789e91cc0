"""What one run of a plan took, level by level: kept only when somebody asked for it.

    Flight order by time limit 5, include plane

    level        rows read  kept  edges  calls  keys
    ()                   6     5      0      1    12      between the start and the first note
    (plane)              4     4      5      2    12      between that note and the next

Levels are read one after the other, so what the counters of the view and the spending say between
two notes belongs to the level of the second.  A run without a trace pays one comparison with None
for a level.

Invariants (held by tests/unit/query/test_explain.py):
  1. The sums over the levels are what the fetch's own statistics say.
"""

from __future__ import annotations

from dataclasses import dataclass

from ormdb.clock import Clock
from ormdb.ir.explanation import Joined, LevelActuals, Limits
from ormdb.query.budget import Spending
from ormdb.query.plan import NodePlan
from ormdb.query.ready import ReadyQuery
from ormdb.query.table_plan import TablePlan
from ormdb.storage.views import View


@dataclass(frozen=True, slots=True)
class Run:
    """What a run began with."""

    ready: ReadyQuery
    view: View
    spending: Spending


@dataclass(frozen=True, slots=True)
class _Mark:
    """The counters at one moment."""

    calls: int
    keys: int
    bytes: int
    edges: int
    seconds: float


class Trace:
    """Notes of one run."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.started_s = clock.monotonic_s()
        self.ended_s = self.started_s
        self.plan_was_kept = False
        self.run: Run | None = None  # None until there is a plan
        # What is made of the rows, and the page of that, where it is a table.
        self.table: tuple[TablePlan, Limits] | None = None
        self.levels: dict[int, LevelActuals] = {}  # by the number of the node
        self._rows = 0
        self._joins: list[Joined] = []
        self._mark: _Mark | None = None

    def begin(self, ready: ReadyQuery, view: View, spending: Spending) -> None:
        """Note what is about to run."""
        self.run = Run(ready, view, spending)
        self._mark = self._now(self.run)

    def note_rows(self, count: int) -> None:
        """Note rows of the current level that were read, before any filter."""
        self._rows += count

    def note_join(self, joined: Joined) -> None:
        """Note how the rows behind a relation were found."""
        self._joins.append(joined)

    def note_level(self, node: NodePlan, kept: int) -> None:
        """Note that a level is complete."""
        run, before = self.run, self._mark
        assert run is not None
        assert before is not None
        now = self._now(run)
        self.levels[node.number] = LevelActuals(
            rows_read=self._rows,
            rows_kept=kept,
            edges=now.edges - before.edges,
            loops=1,
            engine_calls=now.calls - before.calls,
            keys_read=now.keys - before.keys,
            bytes_read=now.bytes - before.bytes,
            seconds=now.seconds - before.seconds,
            joins=tuple(self._joins),
        )
        self._mark, self._rows, self.ended_s = now, 0, now.seconds
        self._joins.clear()

    def _now(self, run: Run) -> _Mark:
        counters = run.view.counters
        return _Mark(
            counters.calls,
            counters.keys,
            counters.bytes,
            run.spending.edges,
            self._clock.monotonic_s(),
        )
