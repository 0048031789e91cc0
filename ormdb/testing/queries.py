"""How many queries a piece of a program makes: for the tests of programs that use ormdb.

    with assert_max_queries(db, 2):
        render_airports(db)

    AssertionError: 12 queries, at most 2 were expected
      1x fetch Airport.all()                    from app.py:11 in render_airports
     11x fetch Flight.where(origin_faa == ?)    from app.py:12 in render_airports

A query is one fetch, get, count or exists of the database, its snapshots and its transactions, in
whichever thread.  `first` and `one` are fetches.

Invariants (held by tests/unit/testing/test_queries.py):
  1. The block fails exactly when it made more queries than allowed, and raised nothing itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager

from ormdb.database.database import Database
from ormdb.errors import UsageError
from ormdb.observe.calls import Call
from ormdb.observe.sites import CallSite


class QueryCounts:
    """The queries made so far."""

    def __init__(self) -> None:
        self._asked: list[str] = []  # appending is atomic, counting is not

    @property
    def total(self) -> int:
        """How many there were."""
        return len(self._asked)

    @property
    def shapes(self) -> dict[str, int]:
        """How many there were of each shape from each line, the most frequent first."""
        return dict(Counter(self._asked).most_common())

    def note(self, call: Call, site: CallSite) -> None:
        """Count a call."""
        self._asked.append(f"{call.operation} {call.words()} from {site}")

    def __repr__(self) -> str:
        return f"<QueryCounts {self.total}>"


@contextmanager
def assert_max_queries(database: Database, count: int) -> Generator[QueryCounts]:
    """Fail if the block makes more than `count` queries.

    Raises:
      AssertionError: it did; the message lists them by shape and line.
    """
    if count < 0:
        raise UsageError(f"{count} queries cannot be made; give 0 or more")
    counts = QueryCounts()
    note = counts.note  # one object, so that it is found again at the end
    with database.observer.listening(note):
        yield counts
    if counts.total > count:
        lines = [f"{times:>5}x {asked}" for asked, times in counts.shapes.items()]
        raise AssertionError(
            "\n".join([f"{counts.total} queries, at most {count} were expected", *lines])
        )
