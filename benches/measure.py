"""Timing without self-deception: contestants take turns, results are compared before a clock runs.

round 1   sqlite3 page   ormdb page      each round begins with another contestant, so that
round 2   ormdb page     sqlite3 page    neither always runs on the warmer machine
...
bulk loads run in a process of their own each, so that none inherits another's memory
"""

from __future__ import annotations

import gc
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, TypeVar

from benches import data
from benches.contestant import Contestant
from benches.data import Row, Sizes

T = TypeVar("T")
CPU_CLOCK: Final = "BENCHES_CPU_CLOCK"  # set: count processor time, for a machine that is busy

GETS_PER_SAMPLE: Final = 200
CHECKED_PAGES: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """What one contestant took for one task: medians and 95th percentiles over the rounds."""

    task: str
    contestant: str
    unit: str
    p50: float
    p95: float
    more_is_better: bool = False


def clock_s() -> float:
    """Seconds on the wall, or of the processor."""
    return time.process_time() if CPU_CLOCK in os.environ else time.perf_counter()


def measure_shop(contestants: Sequence[Contestant], sizes: Sizes, *, rounds: int) -> list[Figure]:
    """Pages of three levels, and single orders by identity."""
    shop = (data.customers(sizes), data.orders(sizes), data.lines(sizes))
    with tempfile.TemporaryDirectory() as folder:
        for contestant in contestants:
            contestant.load_shop(Path(folder), *shop)
        try:
            last = sizes.customers - data.PAGE_ROOTS
            rng = random.Random(data.SEED)
            starts = [f"customer {rng.randrange(last):07}" for _ in range(rounds)]
            count = sizes.customers * sizes.orders_per_customer
            picks = [
                [rng.randrange(count) + 1 for _ in range(GETS_PER_SAMPLE)] for _ in range(rounds)
            ]
            _compare(contestants, starts[:CHECKED_PAGES], picks[0])
            pages = _take_turns(contestants, lambda each, i: each.fetch_page(starts[i]), rounds)
            gets = _take_turns(contestants, lambda each, i: _get_orders(each, picks[i]), rounds)
        finally:
            for contestant in contestants:
                contestant.close()
    return [
        *_figures("50-root page, 3 levels", "ms", pages, 1e3),
        *_figures("get by identity", "µs", gets, 1e6 / GETS_PER_SAMPLE),
    ]


def measure_bulk(names: Sequence[str], sizes: Sizes, *, rounds: int) -> list[Figure]:
    """Loading every sale with all indexes there first, and what it takes after compacting."""
    rates: dict[str, list[float]] = {name: [] for name in names}
    bytes_: dict[str, float] = {}
    samples: dict[str, list[Row]] = {}
    for number in range(rounds):
        for name in _turn(names, number):
            done = _load_in_child(name, sizes)
            rates[name].append(sizes.sales / done.seconds)
            bytes_[name] = done.bytes / 1e6
            samples[name] = done.sample
    first = samples[names[0]]
    for name in names[1:]:
        assert samples[name] == first, f"{name} loaded other sales than {names[0]}"
    loads = [
        Figure(
            task="bulk load, rows of 12 fields",
            contestant=name,
            unit="rows/s",
            p50=statistics.median(rates[name]),
            p95=min(rates[name]),
            more_is_better=True,
        )
        for name in names
    ]
    return loads + [
        Figure(task="size, compacted", contestant=name, unit="MB", p50=size, p95=size)
        for name, size in bytes_.items()
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """What a child process reports of one bulk load."""

    seconds: float
    bytes: int
    sample: list[Row]


def load_once(contestant: Contestant, sizes: Sizes) -> Loaded:
    """Run one bulk load; the rows are made before the clock starts."""
    rows = list(data.sales(sizes))
    with tempfile.TemporaryDirectory() as folder:
        contestant.begin_bulk(Path(folder), data.customers(sizes), data.products(sizes))
        gc.collect()
        gc.freeze()
        began = clock_s()
        contestant.load_bulk(rows)
        seconds = clock_s() - began
        gc.unfreeze()
        rng = random.Random(data.SEED)
        found = [contestant.get_sale(rng.randrange(sizes.sales) + 1) for _ in range(100)]
        size = contestant.compact()
        contestant.close()
    return Loaded(seconds=seconds, bytes=size, sample=[row for row in found if row is not None])


def _load_in_child(name: str, sizes: Sizes) -> Loaded:
    command = [sys.executable, "-m", "benches", "--child", name, json.dumps(asdict(sizes))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{name} did not load: {done.stderr}")
    return Loaded(**json.loads(done.stdout))


def _take_turns(
    contestants: Sequence[Contestant], work: Callable[[Contestant, int], object], rounds: int
) -> dict[str, list[float]]:
    seconds: dict[str, list[float]] = {each.name: [] for each in contestants}
    gc.collect()
    gc.freeze()
    for number in range(rounds):
        for contestant in _turn(contestants, number):
            began = clock_s()
            result = work(contestant, number)
            seconds[contestant.name].append(clock_s() - began)
            del result
    gc.unfreeze()
    return seconds


def _turn(items: Sequence[T], number: int) -> list[T]:
    start = number % len(items)
    return [*items[start:], *items[:start]]


def _get_orders(contestant: Contestant, identities: Sequence[int]) -> list[Row | None]:
    get = contestant.get_order
    return [get(identity) for identity in identities]


def _compare(
    contestants: Sequence[Contestant], starts: Sequence[str], picks: Sequence[int]
) -> None:
    first = contestants[0]
    for start in starts:
        wanted = first.fetch_page(start)
        assert len(wanted) == data.PAGE_ROOTS
        for other in contestants[1:]:
            assert other.fetch_page(start) == wanted, f"{other.name} answers another page"
    gets = _get_orders(first, picks)
    for other in contestants[1:]:
        assert _get_orders(other, picks) == gets, f"{other.name} answers other orders"


def _figures(task: str, unit: str, seconds: dict[str, list[float]], factor: float) -> list[Figure]:
    return [
        Figure(
            task=task,
            contestant=name,
            unit=unit,
            p50=statistics.median(taken) * factor,
            p95=statistics.quantiles(taken, n=20)[-1] * factor,
        )
        for name, taken in seconds.items()
    ]
