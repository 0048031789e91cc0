"""Transactions: many statements, one commit.

    with db.transaction() as txn:
        jfk = txn.get(Airport, "JFK")                  reads a snapshot, and is noted
        txn.update(Airport.key("JFK"), ...)            tried on an overlay: nothing is locked
        txn.count(Airport.where(...))                  sees the update
                                                       end of block: validated, run again on the
                                                       engine, published; error: undone

Transactions run beside each other, as many in one thread as it likes.  The first to commit wins:
another one that has read what it changed gets a ConflictError at its own end, and is run again
(`Database.run` does that).  A transaction that only reads never waits and never fails to commit.

An *exclusive* transaction is the one writer from its beginning to its end, so it cannot conflict
and everybody else waits.  A transaction that writes more than memory should hold becomes exclusive
at that point.

Threads: a transaction belongs to the thread that began it.

Invariants (held by tests/conformance/test_sessions.py, tests/property/test_writes_model.py and
tests/property/test_transactions.py):
  1. Reads see the transaction's own writes, in every access path.
  2. Nothing of a transaction is visible to others before its block ends, and all of it after.
  3. What a transaction was told is true at its commit, or its end raises ConflictError.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from ormdb.clock import Clock
from ormdb.database.hooks import HookRegistry
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
from ormdb.storage.overlay import OverlayFullError
from ormdb.storage.views import View
from ormdb.txn.commit import Committer, OpenCommit
from ormdb.txn.reads import ReadSet, RecordingView
from ormdb.txn.request import CommitRequest
from ormdb.txn.trial import Trial
from ormdb.txn.validate import changes_since, validate_by_log, validate_by_walk


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
        hooks: HookRegistry | None = None,
        exclusive: bool = False,
    ) -> None:
        self._hooks = hooks
        self._committer = committer
        self._begin_snapshot = snapshot
        self._plans = plans
        self._getters = getters
        self._clock = clock
        self._context = context
        self._observer = observer
        self._survey = survey
        self._reads = ReadSet()
        self._snapshot: Snapshot | None = None
        self._trial: Trial | None = None
        self._commit: OpenCommit | None = None  # of an exclusive transaction
        self._savepoints = 0
        self._ended = False
        self._thread = threading.get_ident()
        # The version this transaction became; None before its end, or when it changed nothing.
        self.version: int | None = None
        if exclusive:
            with uninterrupted():
                self._commit = committer.open(principal=context.principal)
            self._read_at = self._commit.head.version
        else:
            self._snapshot = snapshot()
            self._read_at = self._snapshot.version

    @property
    def schema(self) -> SchemaBundle:
        """The bundle that queries are resolved against."""
        return self._layout().bundle

    @property
    def is_exclusive(self) -> bool:
        """Whether this transaction is the one writer."""
        return self._commit is not None

    def run_mutations(
        self, mutations: Sequence[Mutation], *, context: Context | None = None
    ) -> list[MutationOutcome]:
        """Apply mutations in order, all or none; when they are refused, the transaction goes on."""
        self._require_usable()
        if self._hooks is not None and self._hooks.concern(mutations, lambda: self.schema):
            with self.savepoint():
                return self._hooks.run(self, mutations, lambda one: self._applied([one])[0])
        return self._applied(mutations)

    def _applied(self, mutations: Sequence[Mutation]) -> list[MutationOutcome]:
        try:
            if self._commit is None:
                try:
                    return list(self._tried().run(mutations))
                except OverlayFullError:
                    self._become_exclusive()
            assert self._commit is not None
            return self._commit.apply_together(mutations)
        except OrmdbError:
            raise  # refused, which has changed nothing
        except BaseException:  # cut short somewhere inside, so nothing of it may stay
            self.rollback()
            raise

    @contextmanager
    def savepoint(self) -> Generator[None]:
        """A part of the transaction that an error undoes alone:

            with txn.savepoint():
                txn.insert(...)
                raise SomeError        undoes the insert, and goes on to whoever catches it

        Savepoints nest.  What was read inside stays read.
        """
        self._require_usable()
        if self._commit is None:
            self._tried()
        self._savepoints += 1
        try:
            with self._trial.savepoint() if self._trial else self._held().applier.attempt():
                yield
                self._require_usable()
        finally:
            self._savepoints -= 1

    def commit(self) -> int | None:
        """Publish what was written; the new version, None if nothing was.

        The end of the `with` block does the same.

        Raises:
          ConflictError: another commit has changed what this transaction has read, or what its
            statements found; nothing of it was done, and it may be run again.
          ConstraintError: a constraint that is checked at the end refuses what was written.
        """
        self._require_usable()
        if self._savepoints:
            raise UsageError("a savepoint of this transaction is open; end its block first")
        with uninterrupted():
            if self._commit is not None:
                commit, self._commit = self._commit, None
                self._end()
                before = commit.head.version
                version = commit.publish()
                self.version = version if version != before else None
            elif self._trial is None or not self._trial.statements:
                self._end()
            else:
                self._commit_tried(self._trial)
        return self.version

    def rollback(self) -> None:
        """Undo everything.  Harmless after the end."""
        with uninterrupted():
            commit, self._commit = self._commit, None
            trial = self._trial
            if not self._ended:
                self._end()
                if trial is not None:
                    trial.give_back()
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
        state = "exclusive" if self._commit else "writing" if self._trial else "reading"
        state = "ended" if self._ended else state
        return f"<Transaction {state}, began at commit {self._read_at}>"

    # --- reading --------------------------------------------------------------------------

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
        inner = self._snapshot.view() if self._trial is None else self._trial.view()
        return RecordingView(inner, self._reads)

    def _layout(self) -> Layout:
        if self._commit is not None:
            return self._commit.layout
        if self._snapshot is None:
            raise ClosedError("this transaction has ended; begin a new one")
        return self._snapshot.layout

    # --- writing --------------------------------------------------------------------------

    def _tried(self) -> Trial:
        """What statements are tried on."""
        if self._trial is None:
            assert self._snapshot is not None
            self._trial = Trial(
                self._snapshot.txn,
                self._snapshot.layout,
                version=self._read_at,
                clock=self._clock,
                numbers=self._committer.numbers,
                tools=self._committer.toolbox.tools(self._snapshot.layout),
                select=self._committer.select,
            )
        return self._trial

    def _held(self) -> OpenCommit:
        assert self._commit is not None
        return self._commit

    def _commit_tried(self, trial: Trial) -> None:
        try:
            request = self._request(trial)
            result = self._committer.commit(request)
        except BaseException:
            trial.give_back()
            raise
        finally:
            self._end()
        self.version = result.version if result.changed else None

    def _request(self, trial: Trial) -> CommitRequest:
        """The request of what was tried.

        Everything read is validated against the newest commit before the lock is taken, so that
        only what comes in between is left for the committer.  The snapshots are let go: the writer
        may have to grow the map, which waits for them.
        """
        snapshot = self._snapshot
        assert snapshot is not None
        read_at = self._read_at
        if not self._reads.is_empty():
            with self._begin_snapshot() as newest:
                if newest.layout is snapshot.layout and newest.version != read_at:
                    self._validate(snapshot, newest)
                    read_at = newest.version
        snapshot.close()
        return CommitRequest(
            statements=tuple(trial.statements),
            principal=self._context.principal,
            read_at=read_at,
            schema_version=snapshot.layout.bundle.version,
            reads=self._reads,
        )

    def _validate(self, old: Snapshot, new: Snapshot) -> None:
        read_at, changed = self._read_at, None
        if read_at >= new.head.horizon:
            changed = changes_since(new.txn, self._reads, read_at=read_at, newest=new.version)
        if changed is None:
            validate_by_walk(old.txn, new.txn, new.layout, self._reads, read_at=read_at)
        else:
            validate_by_log(new.txn, new.layout, self._reads, changed, read_at=read_at)

    def _become_exclusive(self) -> None:
        """Take the lock and run on the engine what was tried so far: there is too much of it to
        be held in memory."""
        trial = self._tried()
        if self._savepoints:
            raise UsageError(
                "the transaction has become too large to go on without the writer lock, and a "
                "savepoint is open; begin it with exclusive=True"
            )
        with uninterrupted():
            try:
                request = self._request(trial)
                commit = self._committer.open(principal=self._context.principal)
                try:
                    commit.run(request)
                except BaseException:
                    commit.abort()
                    raise
            except BaseException:
                self._end()
                raise
            self._commit, self._trial, self._snapshot = commit, None, None

    def _require_usable(self) -> None:
        if self._ended:
            raise ClosedError("this transaction has ended; begin a new one")
        if threading.get_ident() != self._thread:
            raise ThreadError(
                "a transaction belongs to the thread that began it; begin one in this thread"
            )

    def _end(self) -> None:
        self._ended = True
        self._trial = None
        if self._snapshot is not None:
            self._snapshot.close()
            self._snapshot = None
