"""Commits of several threads, made together: one leader commits for all who wait.

    thread a   commit ─▶ leads: runs a     ── sync ──▶ done
    thread b   commit ─▶ waits                        ─▶ leads: runs b, c, d  ── sync ──▶ done
    thread c        commit ─▶ waits                                                      done
    thread d             commit ─▶ waits                                                 done

A sync takes as long for four commits as for one, so whoever comes while one is being made waits,
and is part of the next.  Requests are run in the order in which they came.

Invariants (held by tests/unit/txn/test_group.py):
  1. Each request is run once, by one leader; whoever asked for it gets its own result or error.
  2. A request that waits is withdrawn by an interrupt; one that is being run is waited for.
  3. When a leader fails, another one takes over: nobody waits for ever.
"""

from __future__ import annotations

import copy
import os
import threading
from collections import deque
from collections.abc import Callable, Sequence

from ormdb import limits
from ormdb.errors import OrmdbError
from ormdb.interrupts import raise_if_interrupted, uninterrupted
from ormdb.txn.request import CommitRequest, CommitResult

RunGroup = Callable[[Sequence[CommitRequest]], "list[CommitResult | OrmdbError] | None"]


class _Waiting:
    """A request, and whoever waits for what becomes of it."""

    __slots__ = ("error", "is_alone", "is_leader", "request", "result", "woken")

    def __init__(self, request: CommitRequest) -> None:
        self.request = request
        self.result: CommitResult | None = None
        self.error: OrmdbError | None = None
        self.is_leader = False
        self.is_alone = False  # whether it is run by itself
        self.woken = threading.Lock()
        self.woken.acquire()  # released when there is a result, or to lead

    @property
    def is_done(self) -> bool:
        """Whether it is known what became of it."""
        return self.result is not None or self.error is not None

    def tell(self, result: CommitResult | OrmdbError) -> None:
        """What became of it."""
        if isinstance(result, CommitResult):
            self.result = result
        else:
            self.error = result


class CommitQueue:
    """The requests that wait, and the one thread that runs them.

    `run_group` runs requests and says what became of each; None when they failed together, and each
    is to be run by itself.
    """

    def __init__(self, run_group: RunGroup) -> None:
        self._run_group = run_group
        self._begin()

    def _begin(self) -> None:
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._waiting: deque[_Waiting] = deque()
        self._is_led = False

    def __len__(self) -> int:
        """How many requests wait that are not being run."""
        return len(self._waiting)

    def run(self, request: CommitRequest) -> CommitResult:
        """Run a request, and those of others who wait."""
        if os.getpid() != self._process:
            self._begin()  # whoever led or waited here stayed in the process that was forked
        own = _Waiting(request)
        with uninterrupted():
            with self._lock:
                self._waiting.append(own)
                leads = not self._is_led
                self._is_led = True
            if not leads:
                self._wait(own)
            if leads or own.is_leader:
                self._lead(own)
        error, own.error = own.error, None
        if error is not None:
            try:
                raise error
            finally:
                del error  # it refers to this frame, which would keep those above it alive
        assert own.result is not None
        return own.result

    def _wait(self, own: _Waiting) -> None:
        while not own.woken.acquire(timeout=limits.WRITER_LOOK_S):
            try:
                raise_if_interrupted()
            except KeyboardInterrupt:
                with self._lock:
                    is_withdrawn = own in self._waiting and not own.is_leader
                    if is_withdrawn:
                        self._waiting.remove(own)
                if is_withdrawn:
                    raise

    def _lead(self, own: _Waiting) -> None:
        """Run the requests that wait, then let the next of those who came meanwhile lead."""
        with self._lock:
            group = self._first_group()
        try:
            results = self._run_group([each.request for each in group])
            if results is None:
                # Whose fault it was is seen when each is run by itself, by whoever asked for it.
                for each in group:
                    each.is_alone = True
                results = self._run_group([own.request])
                assert results is not None, "what is alone fails with an error of its own"
                own.tell(results[0])
            else:
                for each, result in zip(group, results, strict=True):
                    each.tell(result)
        except OrmdbError as error:  # nothing could be run at all
            for each in group:
                if not each.is_alone or each is own:
                    each.error = copy.copy(error)
        finally:
            # Any other error is raised here, in the thread of the leader: others are run again.
            with self._lock:
                left = [each for each in group if not each.is_done and each is not own]
                self._waiting.extendleft(reversed(left))
                self._is_led = bool(self._waiting)
                following = self._waiting[0] if self._waiting else None
                if following is not None:
                    following.is_leader = True
            for each in group:
                if each.is_done:
                    each.woken.release()
            if following is not None:
                following.woken.release()

    def _first_group(self) -> list[_Waiting]:
        """Take the requests that are run together next, the leader's own among them."""
        group = [self._waiting.popleft()]
        while (
            self._waiting
            and not group[0].is_alone
            and not self._waiting[0].is_alone
            and len(group) < limits.COMMIT_GROUP_REQUESTS_MAX
        ):
            group.append(self._waiting.popleft())
        return group
