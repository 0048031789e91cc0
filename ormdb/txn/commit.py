"""Commits: the request, the committer, and a commit held open.

    CommitRequest(read_at=7, reads, mutations, principal)
        │
    Committer.commit(request)
        open       become the one writer; the next version is 10
        validate   did anything that was read since 7 change?          ConflictError
        apply      each mutation in order                              ConstraintError, ...
        publish    counters, log entry, head; the engine's commit      durable from here on

An embedded transaction holds the same commit open between its statements, so that its reads see
its writes in every index; a request that arrives whole runs through the same four steps.

Invariants (held by tests/property/test_writes_model.py and tests/crash/):
  1. Versions follow each other without a gap; the wall clock of a commit never lies before the
     one before.
  2. A commit is either wholly visible or not at all; it is durable when `publish` returns.
  3. A commit that changed nothing leaves no version behind.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from ormdb import limits
from ormdb.clock import Clock
from ormdb.errors import ClosedError, ConflictError, CorruptionError
from ormdb.interrupts import uninterrupted
from ormdb.ir.mutation import Mutation, MutationOutcome
from ormdb.storage.changelog import append_entry, version_at
from ormdb.storage.engine import Engine, WriteTransaction
from ormdb.storage.head import Head, read_head, write_head
from ormdb.storage.layout import Layout
from ormdb.storage.reclaim import reclaim_step
from ormdb.storage.views import CurrentView
from ormdb.txn.apply import Applier
from ormdb.txn.draws import Counters, NumberSource
from ormdb.txn.ground import Select
from ormdb.txn.reads import ReadSet, validate_reads


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitRequest:
    """Everything a commit needs, as values: it can be sent, and run again."""

    mutations: tuple[Mutation, ...]
    principal: str
    read_at: int | None = None
    reads: ReadSet = field(default_factory=ReadSet)


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitResult:
    """A commit that was made.  `version` is the newest one when nothing had changed."""

    version: int
    outcomes: tuple[MutationOutcome, ...]


class OpenCommit:
    """The one commit being made; belongs to the thread that opened it."""

    def __init__(
        self,
        committer: Committer,
        txn: WriteTransaction,
        head: Head,
        layout: Layout,
        *,
        principal: str,
        deferred: bool = False,
    ) -> None:
        self.head = head
        self.layout = layout
        self.version = head.version + 1
        self._committer = committer
        self._txn = txn
        self._principal = principal
        # The clock of a machine may be set back; the clock of the log may not.
        self._wall_us = max(committer.clock.wall_us(), head.wall_us)
        self._ended = False
        self.applier = Applier(
            txn,
            layout,
            version=self.version,
            clock=committer.clock,
            wall_us=self._wall_us,
            counters=Counters(txn, committer.numbers),
            deferred=deferred,
            select=committer.select,
        )

    def validate(self, reads: ReadSet, *, read_at: int) -> None:
        """Refuse to go on when something read at `read_at` has changed since."""
        if read_at < self.head.horizon and not reads.is_empty():
            raise ConflictError(
                f"the transaction began at commit {read_at}, and what was changed until commit "
                f"{self.head.horizon} is no longer known; run the transaction again",
                read_at=read_at,
                version=self.head.horizon,
            )
        validate_reads(self._txn, self.layout, reads, read_at=read_at, newest=self.head.version)

    def apply(self, mutation: Mutation) -> MutationOutcome:
        """Apply one mutation; when it is refused, the commit is as before and may go on."""
        self._require_open()
        return self.applier.apply(mutation)

    def view(self) -> CurrentView:
        """Rows and entries as this commit has them so far."""
        self._require_open()
        self.applier.writer.flush()
        return CurrentView(self._txn, self.version)

    def publish(self) -> int:
        """Make the commit durable and visible; the version readers now see."""
        self._require_open()
        self._ended = True
        try:
            self.applier.finish()
            changes = self.applier.writer.changes
            if changes.is_empty():
                self._txn.abort()
                return self.head.version
            append_entry(
                self._txn,
                changes,
                version=self.version,
                wall_us=self._wall_us,
                principal=self._principal,
            )
            horizon = self._committer.reclaim_some(self._txn, self.layout, self.head, self._wall_us)
            head = replace(self.head, version=self.version, wall_us=self._wall_us, horizon=horizon)
            write_head(self._txn, head)
            self._txn.commit()
        finally:
            self._txn.abort()  # harmless after the commit
        self._committer.on_commit(changes.counted())
        return self.version

    def abort(self) -> None:
        """Undo everything; harmless after the end."""
        if not self._ended:
            self.applier.counters.reset({})
        self._ended = True
        self._txn.abort()

    def _require_open(self) -> None:
        if self._ended:
            raise ClosedError("this transaction has ended; begin a new one")


class Committer:
    """Makes commits, one at a time.

    `layout_at` gives the layout of a schema version as seen by a transaction; `pinned` the
    oldest version that an open snapshot still reads, which reclaim must not pass; `on_commit` is
    told of each commit how many rows of each entity it changed; `select` finds rows by a query.
    """

    def __init__(
        self,
        engine: Engine,
        clock: Clock,
        *,
        layout_at: Callable[[WriteTransaction, int], Layout],
        pinned: Callable[[], int | None],
        retention_us: int,
        on_commit: Callable[[Mapping[int, int]], None] = lambda changed: None,
        select: Select | None = None,
    ) -> None:
        self.engine = engine
        self.select = select
        self.clock = clock
        self.numbers = NumberSource()
        self._layout_at = layout_at
        self._pinned = pinned
        self._retention_us = retention_us
        self.on_commit = on_commit

    def commit(self, request: CommitRequest) -> CommitResult:
        """Run a whole request.

        Raises:
          ConflictError: what the request read has changed; run the transaction again.
          ConstraintError and other UsageErrors: a mutation was refused; nothing was committed.
        """
        commit: OpenCommit | None = None
        try:
            with uninterrupted():
                commit = self.open(principal=request.principal)
            if request.read_at is not None:
                commit.validate(request.reads, read_at=request.read_at)
            outcomes = tuple(commit.apply(mutation) for mutation in request.mutations)
            with uninterrupted():
                return CommitResult(version=commit.publish(), outcomes=outcomes)
        finally:
            with uninterrupted():
                if commit is not None:
                    commit.abort()

    def open(self, *, principal: str, deferred: bool = False) -> OpenCommit:
        """Become the one writer and begin a commit."""
        txn = self.engine.begin_write()
        try:
            head = read_head(txn)
            if head is None:
                raise CorruptionError("the database lost its head record; restore a backup")
            layout = self._layout_at(txn, head.schema_version)
            return OpenCommit(self, txn, head, layout, principal=principal, deferred=deferred)
        except BaseException:
            txn.abort()
            raise

    def reclaim_some(self, txn: WriteTransaction, layout: Layout, head: Head, wall_us: int) -> int:
        """Now and then, as part of a commit, drop a bounded part of what retention let go."""
        if head.version % limits.RECLAIM_EVERY_COMMITS:
            return head.horizon
        part = txn.nested()
        try:
            horizon = reclaim_step(
                part,
                layout,
                horizon=head.horizon,
                target=self.reclaimable(part, head, wall_us=wall_us),
                commits_max=limits.RECLAIM_COMMITS_PER_STEP,
            )
            part.commit()
        except CorruptionError:
            # Damage to what is old must not keep anybody from writing; a check reports it.
            return head.horizon
        finally:
            part.abort()  # harmless after its commit
        return horizon

    def reclaimable(
        self, txn: WriteTransaction, head: Head, *, wall_us: int, retention_us: int | None = None
    ) -> int:
        """The newest horizon that retention and open snapshots allow."""
        kept = self._retention_us if retention_us is None else retention_us
        found = version_at(txn, wall_us - kept, first=head.horizon + 1, last=head.version)
        target = head.horizon if found is None else found
        pinned = self._pinned()
        return target if pinned is None else min(target, pinned)
