"""A clock that stands still until it is told to move, and makes the same bytes every time."""

from __future__ import annotations

import hashlib


class StillClock:
    """Time and randomness of a test."""

    def __init__(self, wall_us: int = 1_700_000_000_000_000) -> None:
        self.now_us = wall_us
        self._drawn = 0

    def wall_us(self) -> int:
        return self.now_us

    def monotonic_s(self) -> float:
        return self.now_us / 1_000_000

    def random_bytes(self, count: int) -> bytes:
        made = b""
        while len(made) < count:
            self._drawn += 1
            made += hashlib.blake2b(self._drawn.to_bytes(8, "big")).digest()
        return made[:count]

    def advance(self, *, seconds: float) -> None:
        """Let time pass; backwards too, as clocks of machines do."""
        self.now_us += round(seconds * 1_000_000)
