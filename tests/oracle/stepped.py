"""A reader in a thread of its own that goes on only when it is told to, from one gate to the next.

    reader:  catch_up | rows  | look  | reads the engine ... | leave
    told:       step     step    step      <- commits and other readers come in between

Gates stand before whatever a read asks of the row cache, so that it stops between any two of these
steps: after it has looked and before it reads, after it has read and before it leaves anything.
The thread that tells waits until the reader stands still again, so nothing is left to chance.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Final

import pytest

from ormdb.storage.row_cache import RowCache

GATES: Final = ("catch_up", "rows", "groups", "changed", "is_true", "look", "leave", "_keep")
WAIT_S_MAX: Final = 30.0  # a reader that stands nowhere by then never will
_here: Final = threading.local()


class SteppedReader:
    """One read, which stands at its first gate when this is made; or it is done."""

    def __init__(self, read: Callable[[], Any]) -> None:
        self._go, self._stands = threading.Semaphore(0), threading.Semaphore(0)
        self._runs_on = False
        self.gate: str | None = None  # where it stands; None when it is done
        pool = ThreadPoolExecutor(1, initializer=self._enter)
        self._future = pool.submit(read)
        self._future.add_done_callback(self._end)
        pool.shutdown(wait=False)
        self._wait()

    def step(self, gates: int = 1) -> None:
        """Let it go on by so many gates."""
        for _ in range(gates):
            if self.gate is not None:
                self._go.release()
                self._wait()

    def answer(self) -> Any:
        """Let it run to its end; what it read, or raises what it raised."""
        if self.gate is not None:
            self._runs_on = True
            self._go.release()
        return self._future.result(WAIT_S_MAX)

    def stand(self, gate: str) -> None:
        """Stand at a gate until told to go on; called by the read itself."""
        if not self._runs_on:
            self.gate = gate
            self._stands.release()
            assert self._go.acquire(timeout=WAIT_S_MAX), f"nobody led a reader on from {gate}"

    def _enter(self) -> None:
        _here.reader = self

    def _end(self, _: Future[Any]) -> None:
        self.gate = None
        self._stands.release()

    def _wait(self) -> None:
        assert self._stands.acquire(timeout=WAIT_S_MAX), "the reader neither stands nor ends"


@contextmanager
def gates() -> Generator[None]:
    """Put gates before the methods of every row cache; other threads pass them."""
    with pytest.MonkeyPatch.context() as patch:
        for name in GATES:
            patch.setattr(RowCache, name, _gated(name, getattr(RowCache, name)))
        yield


def _gated(name: str, method: Callable[..., Any]) -> Callable[..., Any]:
    def run(*given: Any) -> Any:
        reader: SteppedReader | None = getattr(_here, "reader", None)
        if reader is not None:
            reader.stand(name)
        return method(*given)

    return run
