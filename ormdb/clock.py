"""Time and randomness, passed in so that tests can hold both still.

`SystemClock` is the only place in the package that asks the operating system for either.
"""

from __future__ import annotations

import os
import time
from typing import Protocol


class Clock(Protocol):
    """Where time and randomness come from."""

    def wall_us(self) -> int:
        """Microseconds since 1970-01-01 UTC."""
        ...

    def monotonic_s(self) -> float:
        """Seconds that never run backwards."""
        ...

    def random_bytes(self, count: int) -> bytes:
        """`count` unpredictable bytes."""
        ...


class SystemClock:
    """The operating system's clock and randomness."""

    monotonic_s = staticmethod(time.monotonic)  # itself: a short call asks for the time often

    def wall_us(self) -> int:
        return time.time_ns() // 1_000

    def random_bytes(self, count: int) -> bytes:
        return os.urandom(count)
