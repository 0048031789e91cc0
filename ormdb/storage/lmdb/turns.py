"""Whose turn it is: what a call on a transaction enters before it touches LMDB.

    snapshot             the lock of the snapshot: one call at a time, from any thread
    snapshot, lockless   the same, and at the end: was the snapshot still the newest commit?
    write transaction    the thread that began it, in the process that began it, no other

A file in a directory that this process cannot write to has no place for a reader to announce
itself, so writers do not know what it reads.  A writer reuses the pages of a snapshot at the
earliest in the second commit after it.  So what was read is right when no commit followed until
the end of the call, and is thrown away otherwise.

Invariants (held by tests/unit/storage/test_lmdb_readonly.py and test_lmdb_writers.py beside it):
  1. A lockless read answers from one commit, or raises SnapshotExpiredError.
  2. A write transaction raises ThreadError in any thread but its own.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType

from ormdb.errors import OrmdbError, SnapshotExpiredError, ThreadError


class LocklessTurn:
    """A turn whose reads count only when nobody has written meanwhile."""

    __slots__ = ("_is_overtaken", "_lock", "_path")

    def __init__(self, lock: threading.Lock, is_overtaken: Callable[[], bool], path: str) -> None:
        self._lock = lock
        self._is_overtaken = is_overtaken
        self._path = path

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if (error is None or isinstance(error, OrmdbError)) and self._is_overtaken():
                raise SnapshotExpiredError(
                    f"{self._path} was written to while it was read without locks; take a new"
                    " snapshot, or let this process write to the lock file"
                ) from error
        finally:
            self._lock.release()


class OwnTurn:
    """A turn of the thread that began a write transaction."""

    __slots__ = ("_check", "_thread")

    def __init__(self, check: Callable[[], None]) -> None:
        self._thread = threading.get_ident()
        self._check = check

    @property
    def is_mine(self) -> bool:
        """Whether this thread began it."""
        return threading.get_ident() == self._thread

    def check_thread(self) -> None:
        """Raises ThreadError in any thread but the one that began it."""
        if threading.get_ident() != self._thread:
            raise ThreadError(
                "a write transaction belongs to the thread that began it; begin one in this thread"
            )

    def __enter__(self) -> None:
        self.check_thread()
        self._check()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        return None
