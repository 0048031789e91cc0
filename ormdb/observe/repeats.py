"""Repeats: the same shape, from the same line, many times in a short while.

    for airport in db.fetch(Airport):                          app.py:11
        db.fetch(Flight.where(Flight.origin_faa == airport.faa))   app.py:12   12 times in 3 ms

    WARNING N+1: Flight.where(origin_faa == ?) was fetched 11 times within 1 s from app.py:12
            in main; include Airport.departures with the parents, and it is one fetch

Counted per thread: twenty requests that run side by side ask once each.  For each thread, line
and shape the last few times are kept, so memory is bounded by two names of `limits`.

Invariants (held by tests/unit/observe/test_repeats.py):
  1. `threshold` calls within the window raise no warning, one more raises exactly one.
  2. No more than REPEAT_SITES_MAX lines and shapes are remembered.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict, deque
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Final, TypeAlias

from ormdb import limits
from ormdb.clock import Clock
from ormdb.errors import UsageError
from ormdb.observe.calls import Call
from ormdb.observe.sites import CallSite

_logger: Final = logging.getLogger("ormdb.query")
_PAST: Final = {"fetch": "fetched", "get": "got", "table": "read"}
_Shape: TypeAlias = tuple[CallSite, str, Hashable]


@dataclass(frozen=True, slots=True, kw_only=True)
class N1Settings:
    """When repeats count as N+1: more than `threshold` calls of one shape from one line and one
    thread within `window_s` seconds."""

    threshold: int = 10
    window_s: float = 1.0

    def __post_init__(self) -> None:
        if not 1 <= self.threshold <= limits.REPEAT_TIMES_MAX:
            raise UsageError(
                f"a threshold of {self.threshold} repeats cannot be watched for; give 1 to "
                f"{limits.REPEAT_TIMES_MAX}"
            )
        if not self.window_s > 0:  # so that NaN is refused as well
            raise UsageError(f"a window of {self.window_s} s is empty; give more than 0")


class RepeatDetector:
    """Warns of repeats; may be used by several threads."""

    def __init__(self, settings: N1Settings, clock: Clock) -> None:
        self.settings = settings
        self._clock = clock
        self._lock = threading.Lock()
        self._times: OrderedDict[tuple[int, _Shape], deque[float]] = OrderedDict()
        self._warned: OrderedDict[_Shape, None] = OrderedDict()

    @property
    def remembered(self) -> int:
        """How many lines and shapes are kept in memory."""
        with self._lock:
            return len(self._times) + len(self._warned)

    def note(self, call: Call, site: CallSite) -> None:
        """Count a fetch, a get or a table; warn once for a line and shape that are too many."""
        if call.operation in _PAST and self._is_one_too_many((site, call.operation, call.shape)):
            self._warn(call, site)

    def _is_one_too_many(self, shape: _Shape) -> bool:
        threshold, now_s = self.settings.threshold, self._clock.monotonic_s()
        key = (threading.get_ident(), shape)
        with self._lock:
            if shape in self._warned:
                self._warned.move_to_end(shape)
                return False
            times = self._times.setdefault(key, deque(maxlen=threshold + 1))
            self._times.move_to_end(key)
            times.append(now_s)
            while len(self._times) > limits.REPEAT_SITES_MAX:
                self._times.popitem(last=False)
            if len(times) <= threshold or now_s - times[0] > self.settings.window_s:
                return False
            del self._times[key]
            self._warned[shape] = None
            while len(self._warned) > limits.REPEAT_SITES_MAX:
                self._warned.popitem(last=False)
            return True

    def _warn(self, call: Call, site: CallSite) -> None:
        count = self.settings.threshold + 1
        _logger.warning(
            "N+1: %s was %s %d times within %g s from %s; %s",
            call.words(),
            _PAST[call.operation],
            count,
            self.settings.window_s,
            site,
            _advice(call),
            extra={
                "operation": call.operation,
                "entity": call.entity,
                "shape": call.digest(),
                "repeats": count,
                "site_file": site.file,
                "site_line": site.line,
                "principal": call.principal,
            },
        )

    def __repr__(self) -> str:
        return f"<RepeatDetector {self.settings.threshold} in {self.settings.window_s} s>"


def _advice(call: Call) -> str:
    if call.operation == "table":
        return "read one table with what differs among its columns"
    remedy = call.remedy()
    if remedy is None:
        return "fetch the rows in one query, by an include or with in_"
    return f"include {remedy} with the parents, and it is one fetch"
