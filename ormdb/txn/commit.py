"""A commit being made: validated, its statements run, sealed into the log.

    OpenCommit, version 10, on the one write transaction (or on one nested in it)
        validate   did anything that was read since 7 change?          ConflictError
        run        each statement; what was told before must come again
        seal       counters, log entry, head

`Committer.commit` runs whole requests, of any number of threads, a group at a time (`group`);
`Committer.open` holds a commit open for whoever wants to be the only writer meanwhile.

Invariants (held by tests/property/test_writes_model.py, tests/unit/txn/test_constraints.py and
tests/crash/):
  1. Versions follow each other without a gap; the wall clock of a commit never lies before the
     one before.
  2. A commit is either wholly visible or not at all; it is durable when `publish` returns.
  3. A commit that changed nothing leaves no version behind.
  4. A statement of which a part was refused has left nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from ormdb import limits
from ormdb.clock import Clock
from ormdb.errors import ClosedError, ConflictError, CorruptionError, OrmdbError, UsageError
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
from ormdb.txn.group import CommitQueue
from ormdb.txn.reads import ReadSet
from ormdb.txn.request import TELLING_ERRORS, CommitRequest, CommitResult, Outcomes, Statement
from ormdb.txn.tools import Toolbox
from ormdb.txn.validate import changes_since, validate_by_log


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
            tools=committer.toolbox.tools(layout),
            deferred=deferred,
            select=committer.select,
        )

    def validate(self, reads: ReadSet, *, read_at: int) -> None:
        """Refuse to go on when something read at `read_at` has changed since."""
        if reads.is_empty() or read_at == self.head.version:
            return
        newest = self.head.version
        changed = None
        if read_at >= self.head.horizon:
            changed = changes_since(self._txn, reads, read_at=read_at, newest=newest)
        if changed is None:
            raise ConflictError(
                f"the transaction has read at commit {read_at}, and what was changed up to commit "
                f"{newest} is no longer known, or too much; run the transaction again",
                read_at=read_at,
                version=newest,
            )
        validate_by_log(self._txn, self.layout, reads, changed, read_at=read_at)

    def run(self, request: CommitRequest) -> tuple[Outcomes, ...]:
        """Validate a request and run its statements."""
        number = self.layout.bundle.version
        if request.schema_version is not None and request.schema_version != number:
            raise ConflictError(
                f"the schema has become version {number}, and this transaction began with version "
                f"{request.schema_version}; run the transaction again",
                read_at=request.read_at,
            )
        if request.read_at is not None:
            self.validate(request.reads, read_at=request.read_at)
        return tuple(map(self.run_statement, request.statements))

    def run_statement(self, statement: Statement) -> Outcomes:
        """Run a statement that is not undone by itself; what was told before must come again."""
        self._require_open()
        if statement.refusal is not None:
            self._run_refused(statement, statement.refusal)
            return ()
        try:
            found = tuple(self.applier.apply(each, tape=tape) for each, tape in statement.taped())
        except TELLING_ERRORS as error:
            if statement.outcomes is None:
                raise
            raise _overtaken(statement, error) from error
        if statement.outcomes is not None and found != statement.outcomes:
            raise _overtaken(statement, None)
        return found

    def apply_together(self, mutations: Sequence[Mutation]) -> list[MutationOutcome]:
        """Apply mutations, all or none; when they are refused, the commit may go on."""
        self._require_open()
        with self.applier.attempt():
            return [self.applier.apply(mutation) for mutation in mutations]

    def view(self) -> CurrentView:
        """Rows and entries as this commit has them so far."""
        self._require_open()
        self.applier.writer.flush()
        return CurrentView(self.applier.txn, self.version)

    def seal(self) -> Head:
        """Write the log entry and the head into the transaction; the head it will leave."""
        self._require_open()
        self.applier.finish()
        changes = self.applier.writer.changes
        if changes.is_empty():
            return self.head
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
        return head

    def publish(self) -> int:
        """Make the commit durable and visible; the version readers now see."""
        try:
            head = self.seal()
            self._ended = True
            if head is self.head:
                self._txn.abort()
            else:
                self._txn.commit()
        finally:
            self.abort()  # harmless after the commit
        if head is not self.head:
            self.tell()
        return head.version

    def tell(self) -> None:
        """Tell whoever counts them how many rows were changed; after the commit."""
        self._ended = True
        self._committer.on_commit(self.applier.writer.changes.counted())

    def abort(self) -> None:
        """Undo everything; harmless after the end."""
        if not self._ended:
            self.applier.counters.reset({})
        self._ended = True
        self._txn.abort()
        self._committer.let_go(self)

    def _run_refused(self, statement: Statement, code: str) -> None:
        """See that a statement is refused again as it was."""
        try:
            with self.applier.attempt():
                for mutation, tape in statement.taped():
                    self.applier.apply(mutation, tape=tape)
                raise _overtaken(statement, None)
        except TELLING_ERRORS as error:
            if error.code != code:
                raise _overtaken(statement, error) from error

    def _require_open(self) -> None:
        if self._ended:
            raise ClosedError("this transaction has ended; begin a new one")


class Committer:
    """Makes commits.

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
        self.toolbox = Toolbox(clock)
        self.queue = CommitQueue(self.commit_group)
        self._layout_at = layout_at
        self._pinned = pinned
        self._retention_us = retention_us
        self.on_commit = on_commit
        self._held: tuple[OpenCommit, int] | None = None  # and the thread that holds it

    def commit(self, request: CommitRequest) -> CommitResult:
        """Run a whole request, together with those of other threads.

        Raises:
          ConflictError: what the request read has changed; run the transaction again.
          ConstraintError and other UsageErrors: a mutation was refused; nothing was committed.
        """
        held = self._held
        if held is not None and held[1] == threading.get_ident():
            raise UsageError(
                "this thread has an exclusive transaction open, for which this would wait for "
                "ever; write through that transaction, or end it first"
            )
        return self.queue.run(request)

    def open(self, *, principal: str, deferred: bool = False) -> OpenCommit:
        """Become the one writer and begin a commit."""
        txn = self.engine.begin_write()
        try:
            head, layout = self._look(txn)
            commit = OpenCommit(self, txn, head, layout, principal=principal, deferred=deferred)
        except BaseException:
            txn.abort()
            raise
        self._held = commit, threading.get_ident()
        return commit

    def let_go(self, commit: OpenCommit) -> None:
        """A commit that was held open has ended."""
        if self._held is not None and self._held[0] is commit:
            self._held = None

    def commit_group(
        self, requests: Sequence[CommitRequest]
    ) -> list[CommitResult | OrmdbError] | None:
        """Run requests in one engine commit, each undone alone when it is refused.

        Returns what became of each, or None when the engine failed under several of them: nothing
        was committed, and each may be run by itself.
        """
        is_alone = len(requests) == 1
        results: list[CommitResult | OrmdbError] = []
        made: list[OpenCommit] = []
        txn = self.engine.begin_write()
        try:
            head, layout = self._look(txn)
            for request in requests:
                part = txn if is_alone else txn.nested()
                commit = OpenCommit(self, part, head, layout, principal=request.principal)
                try:
                    outcomes = commit.run(request)
                    after = commit.seal()
                    if not is_alone:
                        part.commit()
                except (UsageError, ConflictError) as error:
                    commit.abort()
                    # Its frames refer to these results: without them, nothing keeps itself alive.
                    results.append(error.with_traceback(None))
                    continue
                except BaseException:
                    commit.abort()
                    if is_alone:
                        raise
                    return None
                changed, head = after is not head, after
                if changed:
                    made.append(commit)
                results.append(
                    CommitResult(version=head.version, changed=changed, outcomes=outcomes)
                )
            if made:
                txn.commit()
        finally:
            txn.abort()  # harmless after the commit
        for commit in made:
            commit.tell()
        return results

    def _look(self, txn: WriteTransaction) -> tuple[Head, Layout]:
        head = read_head(txn)
        if head is None:
            raise CorruptionError("the database lost its head record; restore a backup")
        return head, self._layout_at(txn, head.schema_version)

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


def _overtaken(statement: Statement, error: OrmdbError | None) -> ConflictError:
    """A statement does not do what it did when it was tried."""
    kind = type(statement.mutations[0]).__name__.lower() if statement.mutations else "statement"
    why = "finds other rows than before" if error is None else f"is refused now: {error}"
    details = {} if error is None else dict(error.details)
    return ConflictError(
        f"since this transaction ran its {kind}, other commits were made, and it {why}; "
        "run the transaction again",
        **details,
    )
