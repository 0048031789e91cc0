"""What is watched: one call of a reader, told without any value of the query, and its cost.

Call  fetch Flight   shape 5be1…   "Flight.where(origin_code == ?)"
Cost  rows 11, edges 0, engine_calls 1, keys 24, bytes 712, seconds 0.0004
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Literal as Choice
from typing import Protocol, TypeAlias

Operation: TypeAlias = Choice["fetch", "get", "count", "exists", "table"]


class Call(Protocol):
    """One fetch, get, count, exists or table.  What takes work is done when it is asked for."""

    @property
    def operation(self) -> Operation:
        """What was called."""
        ...

    @property
    def entity(self) -> str:
        """The root's entity."""
        ...

    @property
    def principal(self) -> str:
        """Who asks."""
        ...

    @property
    def shape(self) -> Hashable:
        """Equal for calls that differ in their values only."""
        ...

    def digest(self) -> str:
        """A short name of the shape, the same in every process."""
        ...

    def words(self) -> str:
        """The shape as a person would write it, with ? for every value."""
        ...

    def remedy(self) -> str | None:
        """The include that would read with their parents what many such calls read; None if
        that cannot be told."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What a call took; `error` is the code of the error that ended it."""

    rows: int
    edges: int
    engine_calls: int
    keys: int
    bytes: int
    seconds: float
    error: str | None = None
