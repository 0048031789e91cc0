"""Ctrl-C that waits: a KeyboardInterrupt never falls between having something and knowing it.

    with uninterrupted():
        commit = committer.open(...)      the one writer now, and `commit` says so
                                          <- a Ctrl-C of meanwhile is raised here

Python runs the handler of SIGINT in the main thread between any two steps of it.  Where the step is
from "the lock is taken" to "whoever releases it knows", that would leave the lock behind.  So the
handler is another one for these few steps, which remembers; other threads are never interrupted.
What waits for long inside asks `raise_if_interrupted` as it waits.

Invariants (held by tests/unit/test_interrupts.py and tests/crash/test_interrupt.py):
  1. An interrupt inside a block is raised at its end, once, after what was to be done.
"""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any, Final

_MAIN: Final = threading.main_thread().ident


class uninterrupted:  # noqa: N801  # a context manager, named as those of the standard library
    """Let an interrupt wait until the block ends."""

    __slots__ = ("_before", "_caught", "_is_on")
    innermost: uninterrupted | None = None

    def __init__(self) -> None:
        self._is_on = False
        self._caught: tuple[int, FrameType | None] | None = None
        self._before: Any = None

    def __enter__(self) -> None:
        if threading.get_ident() != _MAIN or uninterrupted.innermost is not None:
            return  # nobody interrupts this thread, or the block around this one waits already
        before = signal.getsignal(signal.SIGINT)
        if not callable(before):
            return
        self._before = before
        signal.signal(signal.SIGINT, self._catch)
        # From here on nothing is raised until the handler of before is there again.
        self._is_on = True
        uninterrupted.innermost = self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if not self._is_on:
            return
        self._is_on = False
        uninterrupted.innermost = None
        signal.signal(signal.SIGINT, self._before)
        if self._caught is not None and not isinstance(error, KeyboardInterrupt):
            self._before(*self._caught)

    def _catch(self, number: int, frame: FrameType | None) -> None:
        self._caught = number, frame

    @property
    def is_interrupted(self) -> bool:
        """Whether an interrupt waits."""
        return self._caught is not None


def raise_if_interrupted() -> None:
    """End a wait inside a block: raises KeyboardInterrupt if one waits for this thread."""
    block = uninterrupted.innermost
    if block is not None and block.is_interrupted and threading.get_ident() == _MAIN:
        raise KeyboardInterrupt
