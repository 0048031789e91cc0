"""Writing: the one write transaction of a file, and those nested in it.

    begin_write ──> root ── put, delete ──> commit        durable, visible to new snapshots
                      └─ nested ── put ──> abort          the root goes on as before

A space that is written to for the first time is made inside the transaction.  Its handle lives in
this transaction's own copy of the handles; a commit passes the copy up, an abort forgets it, so
that no handle of a space that was never committed can be used.

LMDB's error in a write leaves its transaction unusable.  So the first error ends the whole write
transaction, nested ones with it, and frees the writer lock: whoever was told that the map or the
disk is full runs the transaction again, and finds more room.

Invariants (held by tests/conformance/test_engine.py and tests/unit/storage/test_lmdb_writers.py):
  1. After any end, also a failed one, the next writer can begin.
  2. A handle is published only after the commit that made its space.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, suppress

import lmdb

from ormdb.errors import ClosedError, OrmdbError, UsageError
from ormdb.storage.batches import check_appended, check_multimap, chunks
from ormdb.storage.engine import Item, Space
from ormdb.storage.lmdb.aborting import abort_held
from ormdb.storage.lmdb.environment import Environment
from ormdb.storage.lmdb.faults import FAULTS, translate
from ormdb.storage.lmdb.readers import Handle, Handles, RawTransaction, forked_error
from ormdb.storage.lmdb.snapshots import Reads, wrong_kind
from ormdb.storage.lmdb.turns import OwnTurn


class LmdbWriteTransaction(Reads):
    """The one writer, or a transaction nested in it."""

    def __init__(
        self,
        environment: Environment,
        raw: RawTransaction,
        handles: Handles,
        parent: LmdbWriteTransaction | None = None,
    ) -> None:
        self._environment = environment
        self._raw: RawTransaction | None = raw
        self._handles = handles
        self._parent = parent
        self._child: LmdbWriteTransaction | None = None
        self._txn_id = raw.id()
        self._why_ended = "this transaction has ended; begin a new one"
        self._own_turn = OwnTurn(self._check)
        self._is_engine_closed = False
        self._at_end: deque[Callable[[], None]] = deque()
        if parent is None:
            environment.writer.hold(self)

    def __repr__(self) -> str:
        state = "ended" if self._raw is None else "open" if self._child is None else "resting"
        return f"<LmdbWriteTransaction {state} commit={self._txn_id}>"

    # --- writing --------------------------------------------------------------------------

    def put_many(
        self, space: Space, items: Iterable[Item], *, append: bool = False, fresh: bool = False
    ) -> None:
        with self._own_turn:
            self._find(space)
            for chunk in chunks(space, items):
                self._check()  # the items may have been made by calls that ended us
                try:
                    self._put(space, chunk, append=append)
                except FAULTS as error:
                    raise self._failed(error, f"writing to {space.name}") from error

    def delete_many(self, space: Space, keys: Iterable[bytes]) -> int:
        deleted = 0
        with self._own_turn:
            for key in keys:
                handle = self._find(space)
                if handle is None or not key:
                    continue
                try:
                    deleted += self._open_raw().delete(key, db=handle[0])
                except FAULTS as error:
                    raise self._failed(error, f"deleting in {space.name}") from error
        return deleted

    def delete_items(self, space: Space, items: Iterable[Item]) -> int:
        check_multimap(space)
        deleted = 0
        with self._own_turn:
            for chunk in chunks(space, items):
                handle = self._find(space)
                if handle is None:
                    continue
                try:
                    for key, value in chunk:
                        deleted += self._open_raw().delete(key, value, handle[0])
                except FAULTS as error:
                    raise self._failed(error, f"deleting in {space.name}") from error
        return deleted

    def drop_space(self, space: Space) -> None:
        with self._own_turn:
            handle = self._find(space)
            if handle is None:
                return
            try:
                # Its name stays: to delete it would break the handles of open snapshots.
                self._open_raw().drop(handle[0], delete=False)
            except FAULTS as error:
                raise self._failed(error, f"dropping {space.name}") from error

    # --- its end --------------------------------------------------------------------------

    def nested(self) -> LmdbWriteTransaction:
        with self._own_turn:
            try:
                raw = self._environment.begin_nested(self._open_raw())
            except FAULTS as error:
                raise self._failed(error, "beginning a nested transaction") from error
            self._child = LmdbWriteTransaction(self._environment, raw, self._handles, self)
            return self._child

    def commit(self) -> None:
        with self._own_turn:
            try:
                self._open_raw().commit()
            except FAULTS as error:
                raise self._failed(error, "committing") from error
            self._raw = None
            if self._parent is not None:
                self._parent._resume(self._handles)
                return
            try:
                self._environment.committed(self._handles, self._txn_id)
            finally:
                self._ended_writing()

    def abort(self) -> None:
        if self._raw is None or self._environment.is_forked:
            return
        self._own_turn.check_thread()
        if self._child is not None:
            self._child.abort()
        self._end("this transaction was aborted; begin a new one")
        if self._parent is not None:
            self._parent._resume(None)

    def close(self) -> None:
        self.abort()

    @property
    def is_ended(self) -> bool:
        """Whether it was committed or aborted."""
        return self._raw is None

    def end_with_engine(self, let_go: Callable[[], None]) -> None:
        """The engine was closed: end now in our own thread, else at our next call."""
        self._is_engine_closed = True
        self._at_end.append(let_go)
        if self._own_turn.is_mine:
            self.abort()
        if self._raw is None:
            self._ended()

    # --- what reading needs ---------------------------------------------------------------

    @property
    def _turn(self) -> AbstractContextManager[object]:
        return self._own_turn

    def _open_raw(self) -> RawTransaction:
        if self._raw is None:
            raise ClosedError(self._why_ended)
        return self._raw

    def _find(self, space: Space) -> Handle | None:
        handle = self._handles.get(space.name)
        if handle is not None and handle[1] != bool(space.duplicate_bytes):
            raise wrong_kind(space, is_multimap=handle[1])
        return handle

    def _known(self) -> Handles:
        return self._handles

    def _failed(self, error: lmdb.Error | OverflowError, doing: str) -> OrmdbError:
        """LMDB has given the transaction up, so end all of it and let the next writer begin."""
        self._environment.note_failure(error)
        translated = translate(error, self._environment.path, doing)
        root = self
        while root._parent is not None:
            root = root._parent
        root._end_tree(
            f"this transaction was aborted ({translated.message}); begin a new one", error
        )
        return translated

    # --- below ----------------------------------------------------------------------------

    def _check(self) -> None:
        if self._environment.is_forked:
            raise forked_error(self._environment.path)
        if self._is_engine_closed and self._raw is not None:
            self.abort()
            self._why_ended = f"{self._environment.path} was closed; open it again"
        self._open_raw()
        if self._child is not None:
            raise UsageError(
                "this transaction rests while one nested in it is open; commit or abort that first"
            )

    def _put(self, space: Space, chunk: Sequence[Item], *, append: bool) -> None:
        cursor = self._open_raw().cursor(self._make(space))
        if append:
            last = cursor.item() if cursor.last() else None
            check_appended(space, chunk, last)
        cursor.putmulti(chunk, append=append)

    def _make(self, space: Space) -> lmdb._Database:
        handle = self._find(space)
        if handle is not None:
            return handle[0]
        is_multimap = bool(space.duplicate_bytes)
        database = self._environment.open_space(
            space.name, self._open_raw(), is_multimap=is_multimap
        )
        self._handles = {**self._handles, space.name: (database, is_multimap)}
        return database

    def _resume(self, handles: Handles | None) -> None:
        """The nested transaction has ended; take over what it made."""
        self._child = None
        if handles is not None:
            self._handles = handles

    def _end_tree(self, why: str, failure: BaseException) -> None:
        child, self._child = self._child, None
        if child is not None:
            child._end_tree(why, failure)
        self._end(why, failure)

    def _end(self, why: str, failure: BaseException | None = None) -> None:
        if self._raw is None:
            return
        self._why_ended = why
        held, self._raw = [self._raw], None
        try:
            with suppress(*FAULTS):  # a commit that failed has ended it already
                abort_held(held, failure)
        finally:
            if self._parent is None:
                self._ended_writing()

    def _ended_writing(self) -> None:
        self._environment.end_write()
        self._ended()

    def _ended(self) -> None:
        """What waited for the end; two threads may come here, each step is done by one."""
        while self._at_end:
            with suppress(IndexError):
                self._at_end.pop()()
