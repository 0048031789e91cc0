"""A transaction's statements tried on an overlay, so that it sees what it writes and locks nothing.

    snapshot, commit 7 ─▶ overlay ─▶ Applier          the same that will run them on the engine
        insert flight          outcome: Flight 8      kept, with what it drew, as a Statement
        update airport JFK     outcome: Airport JFK
        insert airport JFK     UniqueError            kept: whoever saw it relies on it

When the transaction commits, the statements are run again by the committer, and have to do the
same.  The overlay is forgotten.

Rows that a trial inserts have row numbers that no committed row has, so that reading one of them
is no reason to conflict with a row that somebody else inserts meanwhile.

Invariants (held by tests/conformance/test_sessions.py and tests/property/test_transactions.py):
  1. Reads see the transaction's own writes in every access path.
  2. A statement that is refused, or undone with its savepoint, leaves nothing in the overlay.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Final

from ormdb import limits
from ormdb.clock import Clock
from ormdb.ir.mutation import Mutation
from ormdb.storage.engine import ReadTransaction
from ormdb.storage.layout import Layout
from ormdb.storage.overlay import OverlayTransaction
from ormdb.storage.views import CurrentView
from ormdb.txn.apply import Applier
from ormdb.txn.draws import Counters, NumberSource, Tape
from ormdb.txn.ground import Select
from ormdb.txn.request import TELLING_ERRORS, Outcomes, Statement
from ormdb.txn.tools import Tools

_ROWS_AFTER: Final = 2**62  # row numbers of trials; a table does not live to see half of them used


class Trial:
    """Statements applied to an overlay over a snapshot."""

    def __init__(
        self,
        snapshot: ReadTransaction,
        layout: Layout,
        *,
        version: int,
        clock: Clock,
        numbers: NumberSource,
        tools: Tools,
        select: Select | None,
    ) -> None:
        self.statements: list[Statement] = []
        self._clock = clock
        self._version = version
        overlay = OverlayTransaction(snapshot, bytes_max=limits.OVERLAY_BYTES_MAX)
        self._counters = Counters(snapshot, numbers, rows_after=_ROWS_AFTER)
        self._applier = Applier(
            overlay,
            layout,
            version=version + 1,
            clock=clock,
            wall_us=clock.wall_us(),
            counters=self._counters,
            tools=tools,
            select=select,
        )

    def run(self, mutations: Sequence[Mutation]) -> Outcomes:
        """Try a statement, all or none of it.

        Raises:
          UsageError and its kind: it is refused; the trial may go on.
          OverlayFullError: the trial would hold more than it may; nothing of it is left.
        """
        applier, given, wall_us = self._applier, tuple(mutations), self._clock.wall_us()
        tapes = tuple(Tape(wall_us) for _ in given)
        try:
            with applier.attempt():
                outcomes = tuple(
                    applier.apply(each, tape=tape, record=True)
                    for each, tape in zip(given, tapes, strict=True)
                )
        except TELLING_ERRORS as error:
            self.statements.append(Statement(mutations=given, tapes=tapes, refusal=error.code))
            raise
        self.statements.append(Statement(mutations=given, tapes=tapes, outcomes=outcomes))
        return outcomes

    def view(self) -> CurrentView:
        """Rows and entries as the statements so far have left them."""
        return CurrentView(self._applier.txn, self._version)

    @contextmanager
    def savepoint(self) -> Generator[None]:
        """Try what follows together: an error undoes all of it."""
        count = len(self.statements)
        try:
            with self._applier.attempt():
                yield
        except BaseException:
            del self.statements[count:]
            raise

    def give_back(self) -> None:
        """The transaction is rolled back: numbers that nobody drew after it may be drawn again."""
        self._counters.reset({})
