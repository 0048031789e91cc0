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
import gc
import threading
import time
import weakref
from collections.abc import Callable

from ormdb import limits
from ormdb.clock import Clock
from ormdb.errors import BusyError, UsageError
from ormdb.interrupts import raise_if_interrupted


def _nothing() -> None:
    return None


class WriterLock:
    """The right to write to one file.  `descriptor` is None when nobody here may write."""

    def __init__(self, descriptor: int | None, path: str, clock: Clock) -> None:
        self._descriptor = descriptor
        self._path = path
        self._clock = clock
        self._mine = threading.Lock()
        self._thread: int | None = None
        self._since_s = 0.0
        self._holder: weakref.ref[object] | None = None
        self._looking = threading.Lock()

    @property
    def is_held_here(self) -> bool:
        """Whether this thread holds it."""
        return self._thread == threading.get_ident()

    def acquire(self, wait_s: float, *, end_left_over: Callable[[], None] = _nothing) -> None:
        """Become the one writer; what was dropped without an end is ended by `end_left_over`.

        Raises:
          UsageError: this thread is it already.
          BusyError: another thread or process was it all the time.
        """
        self._end_if_left_over(end_left_over)
        if self.is_held_here:  # perhaps by what nobody refers to but itself
            gc.collect()
            self._end_if_left_over(end_left_over)
        if self.is_held_here:
            raise UsageError(
                "this thread has an open write transaction; end it first, or begin a nested one"
            )
        if not self._acquire_mine(wait_s, end_left_over):
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

    def hold(self, holder: object) -> None:
        """While `holder` lives, the right to write is its."""
        self._holder = weakref.ref(holder)

    def _end_if_left_over(self, end: Callable[[], None]) -> None:
        with self._looking:
            holder = self._holder
            if holder is None or holder() is not None:
                return
            self._holder = None
        end()

    def _acquire_mine(self, wait_s: float, end_left_over: Callable[[], None]) -> bool:
        """Wait for the other threads, but not on after an interrupt."""
        ends_s = self._clock.monotonic_s() + wait_s
        while not self._mine.acquire(timeout=min(wait_s, limits.WRITER_LOOK_S)):
            raise_if_interrupted()
            self._end_if_left_over(end_left_over)
            wait_s = ends_s - self._clock.monotonic_s()
            if wait_s <= 0:
                return False
        return True

    def release(self) -> None:
        """Let the next writer begin."""
        assert self._thread is not None, "released by somebody who does not hold it"
        self._thread = self._holder = None
        if self._descriptor is not None:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)
        self._mine.release()

    def move(self, descriptor: int) -> None:
        """From now on it is the lock of another file, which nobody has yet."""
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
            raise_if_interrupted()
            time.sleep(limits.WRITER_POLL_S)
