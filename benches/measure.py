"""Timing without self-deception: processes take turns, answers are compared before a clock runs.

    fill      each contestant makes its files, in a process of its own
    compare   each answers every case twice; what differs from sqlite3's answer ends the run
    first     new processes: open, one call, close, per case; caches are empty, the file's are warm
    warm      one process each, side by side:
                  turn 1    ormdb duckdb sqlite3 ...      the same calls for everybody,
                  turn 2    sqlite3 ormdb duckdb ...      the order drawn anew each turn
              until the case's time is up; what is read comes round again after a dozen
              calls, all of which were made once before the clock runs
    bulk      sales loaded into empty tables, in new processes

The order is drawn from a fixed seed.  Writes come last, since they change what is read.
"""

from __future__ import annotations

import dataclasses
import random
import shutil
import time
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

from benches.cases import BULK, CASES, SIZE, Case
from benches.compare import require_equal
from benches.data import SEED, Sizes
from benches.figures import Figure, figure_of_amounts, figure_of_rates, figure_of_times, with_ratios
from benches.roster import REFERENCE, Entry
from benches.seat import Seat

T = TypeVar("T")

COMPARED: Final = 2  # calls whose answers are compared, per case
WARMING_FROM: Final = 50  # the number of the call that is made before the clock runs
TIMED_FROM: Final = 100  # the number of the first call that is timed
ROUND_CALLS: Final = 12  # different calls of a case that reads, after which they come again
FIRST_FROM: Final = 10  # the number of the first calls after opening


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How long to measure what."""

    sizes: Sizes
    case_seconds: float  # after which a case gets no further turn
    turns_min: int
    turns_max: int
    turn_seconds: float  # after which a contestant begins no further call in its turn
    first_rounds: int
    bulk_rounds: int
    only: str | None = None  # cases whose name contains it

    def wants(self, name: str) -> bool:
        """Whether a case is to be measured."""
        return self.only is None or self.only in name

    @property
    def cases(self) -> list[Case]:
        """The cases that are to be measured."""
        return [case for case in CASES if self.wants(case.name)]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was measured."""

    figures: list[Figure] = field(default_factory=list[Figure])
    memory_bytes: dict[str, int] = field(default_factory=dict[str, int])
    disk_bytes: dict[str, int] = field(default_factory=dict[str, int])
    lacks: dict[str, dict[str, str]] = field(default_factory=dict[str, dict[str, str]])


class Watcher:
    """Is told what happens; this one does not care."""

    def begin(self, stage: str, steps: int) -> None:
        """A stage begins."""

    def step(self, what: str) -> None:
        """One of its steps begins."""


def measure(entries: Sequence[Entry], plan: Plan, folder: Path, watcher: Watcher) -> Outcome:
    """Run everything that the plan asks for.

    Raises:
      DifferentAnswerError: a contestant answers otherwise than sqlite3.
      WorkerError: one failed.
    """
    run = _Run(entries, plan, folder, watcher)
    if plan.cases:
        run.fill_and_compare()
        first = run.time_first_calls()
        run.time_warm(first)
    if plan.wants(BULK) or plan.wants(SIZE):
        run.load_bulk()
    return run.outcome


class _Run:
    def __init__(
        self, entries: Sequence[Entry], plan: Plan, folder: Path, watcher: Watcher
    ) -> None:
        # The reference goes first, so that the others are compared as they come.
        self._entries = sorted(entries, key=lambda entry: entry.name != REFERENCE)
        self._plan = plan
        self._folder = folder
        self._watcher = watcher
        self._rng = random.Random(SEED)
        self.outcome = Outcome()

    def fill_and_compare(self) -> None:
        """Make the files, and have every answer compared with the first contestant's."""
        self._watcher.begin("fill and compare", len(self._entries))
        wanted: dict[tuple[str, int], Any] = {}
        for entry in self._entries:
            self._watcher.step(entry.name)
            with self._seat(entry) as seat:
                self.outcome.lacks[entry.name] = seat.ask("lacks")
                seat.ask("fill")
                self.outcome.disk_bytes[entry.name] = seat.ask("bytes")
                for case in self._able(entry.name, self._plan.cases):
                    for number in range(COMPARED):
                        found = seat.ask("answer", case=case.name, number=number)
                        expected = wanted.setdefault((case.name, number), found)
                        require_equal(entry.name, case.name, wanted=expected, found=found)
                seat.ask("close")

    def time_first_calls(self) -> dict[tuple[str, str], list[float]]:
        """Seconds of first calls after opening, by case and contestant."""
        reads = [case for case in self._plan.cases if case.read_back is None]
        rounds = self._plan.first_rounds
        self._watcher.begin("first calls", rounds * len(self._entries) if reads else 0)
        taken: dict[tuple[str, str], list[float]] = {}
        for number in range(rounds if reads else 0):
            for entry in self._drawn(self._entries):
                self._watcher.step(entry.name)
                with self._seat(entry) as seat:
                    for case in self._drawn(self._able(entry.name, reads)):
                        seconds = seat.ask("first", case=case.name, number=FIRST_FROM + number)
                        taken.setdefault((case.name, entry.name), []).append(seconds)
        return taken

    def time_warm(self, first: dict[tuple[str, str], list[float]]) -> None:
        """Every case, contestants in turns."""
        cases = self._plan.cases
        self._watcher.begin("warm", len(cases))
        with ExitStack() as stack:
            seats = [stack.enter_context(self._seat(entry)) for entry in self._entries]
            for seat in seats:
                seat.ask("open")
            for case in cases:
                self._watcher.step(case.name)
                self.outcome.figures.extend(self._time_case(case, seats, first))
            for seat in seats:
                self.outcome.memory_bytes[seat.name] = seat.ask("memory")
                seat.ask("close")

    def _time_case(
        self, case: Case, seats: Sequence[Seat], first: dict[tuple[str, str], list[float]]
    ) -> list[Figure]:
        able = [seat for seat in seats if case.name not in self.outcome.lacks[seat.name]]
        costs: dict[str, dict[str, int]] = {}
        for seat in able:
            costs[seat.name] = seat.ask("cost", case=case.name, number=WARMING_FROM) or {}
            if case.read_back is None:
                self._time_calls(seat, case, TIMED_FROM, calls=_round_of(case))
            else:
                self._time_calls(seat, case, WARMING_FROM + 1, calls=2)
        taken: dict[str, list[float]] = {seat.name: [] for seat in able}
        ends = time.perf_counter() + self._plan.case_seconds
        for turn in range(self._plan.turns_max):
            if turn >= self._plan.turns_min and time.perf_counter() > ends:
                break
            number = TIMED_FROM + turn * case.calls
            if case.read_back is None:
                number = TIMED_FROM + turn * case.calls % _round_of(case)
            for seat in self._drawn(able):
                taken[seat.name] += self._time_calls(seat, case, number, calls=case.calls)
        figures = [
            dataclasses.replace(
                figure_of_times(case.name, name, case.unit, seconds),
                first_p50=_first(case, name, first),
                engine_calls=costs[name].get("engine_calls"),
                keys_read=costs[name].get("keys_read"),
            )
            for name, seconds in taken.items()
        ]
        return with_ratios(figures, REFERENCE)

    def _time_calls(self, seat: Seat, case: Case, number: int, *, calls: int) -> list[float]:
        limit = self._plan.turn_seconds
        taken: list[float] = seat.ask(
            "time", case=case.name, number=number, calls=calls, seconds_max=limit
        )
        return taken

    def load_bulk(self) -> None:
        """Load the sales, and see what they take after compacting."""
        rounds = self._plan.bulk_rounds
        self._watcher.begin(BULK, rounds * len(self._entries))
        rates: dict[str, list[float]] = {entry.name: [] for entry in self._entries}
        sizes: dict[str, list[float]] = {entry.name: [] for entry in self._entries}
        wanted: Any = None
        for number in range(rounds):
            for entry in self._entries if number == 0 else self._drawn(self._entries):
                self._watcher.step(entry.name)
                with self._seat(entry, "bulk") as seat:
                    done = seat.ask("bulk")
                shutil.rmtree(self._folder / entry.name / "bulk")
                wanted = wanted or done["sample"]
                require_equal(entry.name, BULK, wanted=wanted, found=done["sample"])
                rates[entry.name].append(self._plan.sizes.sales / done["seconds"])
                sizes[entry.name].append(done["bytes"] / 1e6)
        loads = [figure_of_rates(BULK, name, "rows/s", rate) for name, rate in rates.items()]
        self.outcome.figures.extend(with_ratios(loads, REFERENCE))
        taken = [
            figure_of_amounts(SIZE, name, "MB", megabytes) for name, megabytes in sizes.items()
        ]
        self.outcome.figures.extend(with_ratios(taken, REFERENCE))

    def _seat(self, entry: Entry, folder: str = "") -> Seat:
        return Seat(entry.name, entry.place, self._folder / entry.name / folder, self._plan.sizes)

    def _able(self, name: str, cases: Iterable[Case]) -> list[Case]:
        return [case for case in cases if case.name not in self.outcome.lacks[name]]

    def _drawn(self, items: Sequence[T]) -> list[T]:
        return self._rng.sample(items, len(items))


def _round_of(case: Case) -> int:
    """How many different calls a case has; whole turns of them."""
    return -(-ROUND_CALLS // case.calls) * case.calls


def _first(case: Case, name: str, first: dict[tuple[str, str], list[float]]) -> float | None:
    seconds = first.get((case.name, name))
    if seconds is None:
        return None
    return figure_of_times(case.name, name, case.unit, seconds).p50
