"""A long call asks now and then whether it may go on: for its time budget, and its cancellation.

    with heeding(spending.check_time):          what runs in this thread until the block ends
        view.related(...)                       ... asks between two parts of a long loop
            for part in in_steps(keys): ...     8,192 keys, ask, 8,192 keys, ask ...

Whoever loops need not know who asks: the pulse belongs to the thread, as the call does.  It
raises to end the call, between two parts, where nothing is left half done.  Without one nothing is
asked.

Invariants (held by tests/unit/test_pulse.py and tests/unit/query/test_time.py):
  1. A pulse is asked in its own thread and block only, and the one around it is asked again after.
  2. Parts, put together, are the whole.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, islice
from operator import le
from types import TracebackType
from typing import Any, Final, TypeAlias, TypeVar

from ormdb import limits

T = TypeVar("T")
Pulse: TypeAlias = Callable[[], None]

_PIVOTS: Final = 64  # stretches that a long sort falls into
_SAMPLES_EACH: Final = 16  # of which each is chosen by


class _Here(threading.local):
    pulse: Pulse | None = None


_here: Final = _Here()


class heeding:  # noqa: N801  # a context manager, named as a verb as those of the standard library
    """Let what runs in this thread ask `pulse`, until the block ends."""

    __slots__ = ("_before", "_pulse")

    def __init__(self, pulse: Pulse) -> None:
        self._pulse = pulse

    def __enter__(self) -> None:
        self._before = _here.pulse
        _here.pulse = self._pulse

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        _here.pulse = self._before


def beat() -> None:
    """Ask whether to go on; raises to end the call."""
    pulse = _here.pulse
    if pulse is not None:
        pulse()


def in_steps(items: Sequence[T], size: int = limits.PULSE_STEP_ITEMS) -> Iterator[Sequence[T]]:
    """The parts of a long sequence, with a question before each but the first."""
    if len(items) <= size:
        yield items
        return
    for start in range(0, len(items), size):
        if start:
            beat()
        yield items[start : start + size]


def sort_in_steps(positions: list[int], values: Sequence[Any], *, reverse: bool = False) -> None:
    """Sort positions by the values there, those of equal values as they are, in short steps.

    One call of `list.sort` cannot be ended.  So the values of a long list are first parted by a
    sample of them: what lies between two of the sample is sorted by itself.
    """
    value_at = values.__getitem__
    if len(positions) <= limits.PULSE_SORT_ITEMS:
        positions.sort(key=value_at, reverse=reverse)
        return
    if not reverse and _is_sorted(positions, value_at):
        return
    stride = max(1, len(positions) // (_PIVOTS * _SAMPLES_EACH))
    sample = sorted(map(value_at, positions[::stride]))
    pivots = _distinct(sample[_SAMPLES_EACH::_SAMPLES_EACH])
    # Between two pivots an even number; what equals a pivot, an odd one, which is sorted already.
    parts: list[list[int]] = [[] for _ in range(2 * len(pivots) + 1)]
    for step in in_steps(positions):
        for position in step:
            value = values[position]
            at = bisect_left(pivots, value)
            is_pivot = at < len(pivots) and pivots[at] == value
            parts[2 * at + is_pivot].append(position)
    for part in parts[::2]:
        beat()
        part.sort(key=value_at, reverse=reverse)
    positions[:] = chain.from_iterable(reversed(parts) if reverse else parts)


def _is_sorted(positions: Sequence[int], value_at: Callable[[int], Any]) -> bool:
    last: list[Any] = []
    for step in in_steps(positions):
        values = [*last, *map(value_at, step)]
        if not all(map(le, values, islice(values, 1, None))):
            return False
        last = values[-1:]
    return True


def _distinct(values: Sequence[Any]) -> list[Any]:
    """Sorted values, each once; they may have no hash."""
    return [value for at, value in enumerate(values) if not at or value != values[at - 1]]
