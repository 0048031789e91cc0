"""Transactions: many statements, one commit.

    with db.transaction() as txn:
        jfk = txn.get(Airport, "JFK")                  reads a snapshot, and is remembered
        txn.update(Airport.key("JFK"), ...)            first write: becomes the one writer,
                                                       sees that nothing read has changed
        txn.count(Airport.where(...))                  sees the update
                                                       end of block: published; error: undone

A statement that is refused leaves the transaction as it was.  A transaction that only reads
never waits and never fails to commit.

Threads: a transaction belongs to the thread that began it.

Invariants (held by tests/conformance/test_sessions.py and tests/property/test_writes_model.py):
  1. Reads see the transaction's own writes, in every access path.
  2. Nothing of a transaction is visible to others before its block ends, and all of it after.
  3. If something the transaction read was changed by another commit before its first write, the
     write raises ConflictError.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

from ormdb.clock import Clock
from ormdb.database.reading import ReadQueries, Snapshot
from ormdb.errors import ClosedError, OrmdbError, ThreadError, UsageError
from ormdb.interrupts import uninterrupted
from ormdb.ir.graph import GraphQuery
from ormdb.ir.mutation import Mutation, MutationOutcome
from ormdb.ir.schema import SchemaBundle
from ormdb.ir.table import TableQuery
from ormdb.model.face import TypedWriter
from ormdb.observe.observer import Observer
from ormdb.query.cache import PlanCache
from ormdb.query.estimate import Estimator
from ormdb.query.fetch import Reading
from ormdb.query.get import Getters
from ormdb.session import Context
from ormdb.storage.layout import Layout
from ormdb.storage.views import View
from ormdb.txn.commit import Committer, OpenCommit
from ormdb.txn.reads import ReadSet, RecordingView


class Transaction(ReadQueries, TypedWriter):
    """A unit of reads and writes; use it as a context manager."""

    def __init__(
        self,
        committer: Committer,
        snapshot: Callable[[], Snapshot],
        *,
        plans: PlanCache,
        getters: Getters,
        clock: Clock,
        context: Context,
        observer: Observer,
        survey: Callable[[Layout], Estimator],
    ) -> None:
        self._committer = committer
        self._plans = plans
        self._getters = getters
        self._clock = clock
        self._context = context
        self._observer = observer
        self._survey = survey
        self._reads = ReadSet()
        self._snapshot: Snapshot | None = snapshot()
        self._read_at = self._snapshot.version
        self._commit: OpenCommit | None = None
        self._ended = False
        self._thread = threading.get_ident()
        # The version this transaction became; None before its end, or when it changed nothing.
        self.version: int | None = None

    @property
    def schema(self) -> SchemaBundle:
        """The bundle that queries are resolved against."""
        return self._layout().bundle

    def run_mutations(
        self, mutations: Sequence[Mutation], *, context: Context | None = None
    ) -> list[MutationOutcome]:
        """Apply mutations in order.  One that is refused leaves those before it applied."""
        commit = self._writing()
        try:
            return [commit.apply(mutation) for mutation in mutations]
        except OrmdbError:
            raise  # refused, which has changed nothing
        except BaseException:  # cut short somewhere inside, so nothing of it may stay
            self.rollback()
            raise

    def commit(self) -> int | None:
        """Publish what was written; the new version, None if nothing was.

        The end of the `with` block does the same.
        """
        self._require_usable()
        with uninterrupted():
            commit, self._commit = self._commit, None
            self._end()
            if commit is not None:
                before = commit.head.version
                version = commit.publish()
                self.version = version if version != before else None
        return self.version

    def rollback(self) -> None:
        """Undo everything.  Harmless after the end."""
        with uninterrupted():
            commit, self._commit = self._commit, None
            if not self._ended:
                self._end()
            if commit is not None:
                commit.abort()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None or self._ended:
            self.rollback()
        else:
            self.commit()

    def __repr__(self) -> str:
        state = "ended" if self._ended else "writing" if self._commit else "reading"
        return f"<Transaction {state}, began at commit {self._read_at}>"

    def _reading(self, query: GraphQuery | TableQuery, context: Context | None) -> Reading:
        self._require_usable()
        if query.as_of is not None:
            raise UsageError(
                "a transaction reads its own state, which has no past; "
                "ask db.fetch or a snapshot for as_of"
            )
        return Reading(
            view=self._view(),
            layout=self._layout(),
            context=context or self._context,
            plans=self._plans,
            clock=self._clock,
            survey=self._survey,
        )

    def _place(self) -> tuple[Layout, View]:
        self._require_usable()
        return self._layout(), self._view()

    def _view(self) -> View:
        if self._commit is not None:
            return self._commit.view()
        assert self._snapshot is not None
        return RecordingView(self._snapshot.view(), self._reads)

    def _layout(self) -> Layout:
        if self._commit is not None:
            return self._commit.layout
        if self._snapshot is None:
            raise ClosedError("this transaction has ended; begin a new one")
        return self._snapshot.layout

    def _writing(self) -> OpenCommit:
        self._require_usable()
        if self._commit is None:
            assert self._snapshot is not None
            # Let go of the snapshot first: the writer may have to grow the map, which waits for
            # readers, and this one would wait for itself.
            layout_version = self._snapshot.layout.bundle.version
            with uninterrupted():
                self._snapshot.close()
                commit = self._committer.open(principal=self._context.principal)
                try:
                    commit.validate(self._reads, read_at=self._read_at)
                except BaseException:
                    commit.abort()
                    self._end()
                    raise
                assert commit.layout.bundle.version >= layout_version
                self._commit = commit
        return self._commit

    def _require_usable(self) -> None:
        if self._ended:
            raise ClosedError("this transaction has ended; begin a new one")
        if threading.get_ident() != self._thread:
            raise ThreadError(
                "a transaction belongs to the thread that began it; begin one in this thread"
            )

    def _end(self) -> None:
        self._ended = True
        if self._snapshot is not None:
            self._snapshot.close()
            self._snapshot = None
