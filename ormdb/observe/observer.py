"""The observer of one open database: every call passes by, and who wants to know is told.

    logging.getLogger("ormdb.query").setLevel(logging.DEBUG)     one record for each call
    open(..., slow_query_s=0.1)                                  one WARNING for each slow one
    open(..., detect_n_plus_one=True)                            one WARNING for each repeated shape
    observer.listening(listener)                                 what tests count with

As long as nobody watches, a call costs one question to the logger, and nothing is built.

Invariants (held by tests/unit/observe/test_observer.py):
  1. No value of a query is in a record, only its shape.
  2. A call that nobody watches builds nothing and reads nothing more.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Final, Protocol

from ormdb.clock import Clock
from ormdb.errors import UsageError
from ormdb.observe.calls import Call, Cost
from ormdb.observe.repeats import N1Settings, RepeatDetector
from ormdb.observe.sites import CallSite, call_site

LOGGER_NAME: Final = "ormdb.query"
_logger: Final = logging.getLogger(LOGGER_NAME)


class Listener(Protocol):
    """Is told of every call before it runs, from the thread that makes it."""

    def __call__(self, call: Call, site: CallSite) -> None:
        """Take note of a call."""
        ...


class Observer:
    """Watches the calls of one database; may be used by several threads."""

    def __init__(
        self,
        clock: Clock,
        *,
        slow_query_s: float | None = None,
        repeats: N1Settings | None = None,
    ) -> None:
        if slow_query_s is not None and not slow_query_s >= 0:
            raise UsageError(
                f"slow_query_s is {slow_query_s!r}; give seconds, 0 or more, or None for no bound"
            )
        self.slow_query_s = slow_query_s
        self._repeats = None if repeats is None else RepeatDetector(repeats, clock)
        self._lock = threading.Lock()
        self._listeners: tuple[Listener, ...] = ()
        self._is_always_on = slow_query_s is not None or repeats is not None

    def is_watching(self) -> bool:
        """Whether anybody wants to know of the next call."""
        return self._is_always_on or _logger.isEnabledFor(logging.DEBUG)

    def begin(self, call: Call) -> None:
        """Tell of a call that is about to run."""
        if self._repeats is not None or self._listeners:
            site = call_site()
            for listener in self._listeners:
                listener(call, site)
            if self._repeats is not None:
                self._repeats.note(call, site)

    def end(self, call: Call, cost: Cost, explained: Callable[[], str | None]) -> None:
        """Tell of a call that has run; `explained` gives the text beside a slow one."""
        if _logger.isEnabledFor(logging.DEBUG):
            _logger.debug(
                "%s %s: %d rows, %d edges, %d engine calls, %.1f ms%s",
                call.operation,
                call.words(),
                cost.rows,
                cost.edges,
                cost.engine_calls,
                cost.seconds * 1000,
                "" if cost.error is None else f", ended by {cost.error}",
                extra=_facts(call, cost),
            )
        if self.slow_query_s is not None and cost.seconds >= self.slow_query_s:
            text = explained()
            _logger.warning(
                "slow: %s %s took %.3f s, the bound is %g s%s",
                call.operation,
                call.words(),
                cost.seconds,
                self.slow_query_s,
                "" if text is None else f"\n{text}",
                extra=_facts(call, cost),
            )

    @contextmanager
    def listening(self, listener: Listener) -> Generator[None]:
        """Tell `listener` of every call as long as the block lasts."""
        with self._lock:
            self._set_listeners((*self._listeners, listener))
        try:
            yield
        finally:
            with self._lock:
                others = [one for one in self._listeners if one is not listener]
                self._set_listeners(tuple(others))

    def __repr__(self) -> str:
        watchers = [
            *([f"slower than {self.slow_query_s} s"] if self.slow_query_s is not None else []),
            *([repr(self._repeats)] if self._repeats is not None else []),
            *([f"{len(self._listeners)} listeners"] if self._listeners else []),
        ]
        return f"<Observer {', '.join(watchers) or 'of the log alone'}>"

    def _set_listeners(self, listeners: tuple[Listener, ...]) -> None:
        self._listeners = listeners
        settings = self.slow_query_s is not None or self._repeats is not None
        self._is_always_on = settings or bool(listeners)


def _facts(call: Call, cost: Cost) -> dict[str, object]:
    """What a record carries beside its text, for whoever gathers records."""
    return {
        "operation": call.operation,
        "entity": call.entity,
        "shape": call.digest(),
        "principal": call.principal,
        "rows": cost.rows,
        "edges": cost.edges,
        "engine_calls": cost.engine_calls,
        "keys": cost.keys,
        "bytes": cost.bytes,
        "seconds": cost.seconds,
        "error": cost.error,
    }
