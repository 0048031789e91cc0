"""Who may write: one thread of one process, and everybody else waits a bounded time.

    thread ──> lock of this process ──> flock on the data file ──> LMDB's own writer mutex
               waits with a timeout      tried every millisecond     free by then

LMDB's mutex alone would do, but a thread that waits for it cannot be interrupted and cannot give
up.  The lock on the file is let go by the kernel when its process dies.  Programs that write
without ormdb do not take it; for those LMDB's mutex is still there, and waits without end.

Invariants (held by tests/unit/storage/test_lmdb_writers.py):
  1. A wait ends with BusyError after the time given, within one process and between two.
  2. A killed process leaves nothing locked.
"""

from __future__ import annotations

import fcntl
import threading
import time

from ormdb import limits
from ormdb.clock import Clock
from ormdb.errors import BusyError, UsageError


class WriterLock:
    """The right to write to one file.  `descriptor` is None when nobody here may write."""

    def __init__(self, descriptor: int | None, path: str, clock: Clock) -> None:
        self._descriptor = descriptor
        self._path = path
        self._clock = clock
        self._mine = threading.Lock()
        self._thread: int | None = None
        self._since_s = 0.0

    @property
    def is_held_here(self) -> bool:
        """Whether this thread holds it."""
        return self._thread == threading.get_ident()

    def acquire(self, wait_s: float) -> None:
        """Become the one writer.

        Raises:
          UsageError: this thread is it already.
          BusyError: another thread or process was it all the time.
        """
        if self.is_held_here:
            raise UsageError(
                "this thread has an open write transaction; end it first, or begin a nested one"
            )
        if not self._mine.acquire(timeout=wait_s):
            age_s = self._clock.monotonic_s() - self._since_s
            raise BusyError(
                f"a write transaction of another thread on {self._path} is open for {age_s:.1f} s;"
                " try again, and keep write transactions short"
            )
        try:
            self._lock_file(wait_s)
        except BaseException:
            self._mine.release()
            raise
        self._thread = threading.get_ident()
        self._since_s = self._clock.monotonic_s()

    def release(self) -> None:
        """Let the next writer begin."""
        assert self._thread is not None, "released by somebody who does not hold it"
        self._thread = None
        if self._descriptor is not None:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)
        self._mine.release()

    def move(self, descriptor: int) -> None:
        """While it is held: from now on it is the lock of another file, which nobody has yet."""
        assert self.is_held_here, "moved by somebody who does not hold it"
        if self._descriptor is not None:
            self._descriptor = descriptor

    def _lock_file(self, wait_s: float) -> None:
        if self._descriptor is None:
            return
        tries_left = int(wait_s / limits.WRITER_POLL_S)
        while True:
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                if tries_left <= 0:
                    raise BusyError(
                        f"another process did not end its write transaction on {self._path} within"
                        f" {wait_s:g} s; try again, and keep write transactions short"
                    ) from error
            else:
                return
            tries_left -= 1
            time.sleep(limits.WRITER_POLL_S)
