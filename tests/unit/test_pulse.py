"""Holds that long work asks its thread's pulse between two steps, and comes out the same."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from typing import Any

import pytest

from ormdb import limits
from ormdb.pulse import beat, heeding, in_steps, sort_in_steps


class StopError(Exception):
    """What a pulse of these tests raises."""


def raising() -> None:
    raise StopError


def test_steps_put_together_are_the_whole_and_ask_in_between() -> None:
    asked: list[int] = []
    with heeding(lambda: asked.append(1)):
        parts = list(in_steps(range(25), 10))
    assert [list(part) for part in parts] == [
        list(range(10)),
        list(range(10, 20)),
        list(range(20, 25)),
    ]
    assert len(asked) == 2
    nothing: list[int] = []
    assert [list(part) for part in in_steps(nothing)] == [[]]


def test_a_pulse_is_asked_in_its_block_and_the_one_around_it_after() -> None:
    asked: list[str] = []
    with heeding(lambda: asked.append("outer")):
        with heeding(lambda: asked.append("inner")):
            beat()
        beat()
    beat()
    assert asked == ["inner", "outer"]


def test_a_pulse_is_asked_in_its_thread_only() -> None:
    with heeding(raising):
        other = threading.Thread(target=beat)
        other.start()
        other.join()
        with pytest.raises(StopError):
            beat()
    beat()


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("kinds", ["few", "many", "texts", "nulls", "sorted", "nearly one"])
def test_a_long_sort_in_steps_is_stable_and_sorts_as_a_whole_one(kinds: str, reverse: bool) -> None:
    rng, count = random.Random(kinds), 2 * limits.PULSE_SORT_ITEMS
    makers: dict[str, Callable[[], list[Any]]] = {
        "few": lambda: [rng.randrange(5) for _ in range(count)],
        "many": lambda: [rng.randrange(10**9) for _ in range(count)],
        "texts": lambda: [str(rng.randrange(10**4)) for _ in range(count)],
        "nulls": lambda: [
            (value is None, value) for value in rng.choices([None, 1, 2, 3, 4, 5.5], k=count)
        ],
        "sorted": lambda: list(range(count)),
        "nearly one": lambda: [7 if rng.random() < 0.99 else rng.random() for _ in range(count)],
    }
    values = makers[kinds]()
    positions = rng.sample(range(count), count)
    if kinds == "sorted":
        positions.sort()
    expected = sorted(positions, key=values.__getitem__, reverse=reverse)
    sort_in_steps(positions, values, reverse=reverse)
    assert positions == expected


def test_a_long_sort_is_ended_between_two_steps() -> None:
    values = [value * 7919 % 100_003 for value in range(2 * limits.PULSE_SORT_ITEMS)]
    with heeding(raising), pytest.raises(StopError):
        sort_in_steps(list(range(len(values))), values)
