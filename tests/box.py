"""The time box of a seeded suite: short in `make test`, as long as asked in `make soak`.

A suite draws seeds until its box is full, and says how many cases each of them ran:

    @pytest.mark.soak(seconds=40, cases_min=5_000)
    def test_fetches_answer_as_sqlite_does(box: Box) -> None:
        for seed in box.seeds():
            box.count(compare_one_world(seed))

In `make test` the seeds are 0, 1, 2, …, so that a failure there comes again.  In `make soak` they
go on where the suite's last soak ended, because every soak appends to a log:

    .soak/fetches_answer_as_sqlite_does.jsonl
      {"first_seed": 0, "next_seed": 812, "cases": 40600, "failed_seed": null, ...}
      {"first_seed": 812, "next_seed": 819, "cases": 350, "failed_seed": 819, ...}

The next soak begins at 819.  Setting ORMDB_SEED=819 runs that one seed alone, and ORMDB_SEED=0-3
those four.

Invariants (held by tests/unit/test_box.py):
  1. A box that ends with fewer cases than its floor fails its test.
  2. On a slow machine a box stays open until the floor is reached, four times its seconds at most.
  3. A soak never repeats a seed that passed, and begins with the one that failed.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

LOG_EVERY_S = 30.0
SLOW_FACTOR = 4.0


@dataclass(kw_only=True)
class Box:
    """How long one suite runs, from which seed, and what it has run so far."""

    suite: str
    seconds: float
    cases_min: int
    first_seed: int = 0
    only_seed: bool = False  # seeds were named, so there is no floor
    seed_count: int = 1  # of those that were named
    log: Path | None = None
    now_s: Callable[[], float] = time.monotonic
    cases: int = field(default=0, init=False)
    seed: int | None = field(default=None, init=False)
    next_seed: int = field(default=0, init=False)
    began_s: float = field(default=0.0, init=False)
    told: list[str] = field(default_factory=list[str], init=False)

    def seeds(self) -> Iterator[int]:
        """Seeds until the box is full; then the floor is checked."""
        self.began_s = logged_s = self.now_s()
        self.next_seed = self.first_seed
        while self._is_open():
            self.seed = self.next_seed
            yield self.seed
            self.next_seed += 1
            if self.now_s() - logged_s > LOG_EVERY_S:
                self.write_log(failed=False)
                logged_s = self.now_s()
        self.seed = None
        assert self.only_seed or self.cases >= self.cases_min, (
            f"{self.suite} ran {self.cases} cases in {self._elapsed_s():.0f} s;"
            f" at least {self.cases_min} are asked for"
        )

    def count(self, cases: int = 1) -> None:
        """Add cases to what the suite has run."""
        self.cases += cases

    def tell(self, text: str) -> None:
        """Add to the line at the end of the test run: what the cases were like."""
        self.told.append(text)

    def summary(self) -> str:
        """One line for the end of the test run."""
        seeds = f"seeds {self.first_seed} to {self.next_seed - 1}"
        line = f"{self.suite}: {self.cases:,} cases, {seeds}, {self._elapsed_s():.0f} s"
        line = "; ".join([line, *self.told])
        if self.seed is not None:
            line += f"; failed at seed {self.seed}, run it alone with ORMDB_SEED={self.seed}"
        return line

    def write_log(self, *, failed: bool) -> None:
        """Append what was run since the soak began; the last line of a suite is what counts."""
        if self.log is None:
            return
        self.log.parent.mkdir(exist_ok=True)
        line = {
            "suite": self.suite,
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "first_seed": self.first_seed,
            "next_seed": self.next_seed,
            "cases": self.cases,
            "seconds": round(self._elapsed_s(), 1),
            "failed_seed": self.seed if failed else None,
        }
        with self.log.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def _is_open(self) -> bool:
        if self.only_seed:
            return self.next_seed < self.first_seed + self.seed_count
        elapsed_s = self._elapsed_s()
        if elapsed_s < self.seconds:
            return True
        return self.cases < self.cases_min and elapsed_s < self.seconds * SLOW_FACTOR

    def _elapsed_s(self) -> float:
        return self.now_s() - self.began_s


def open_box(suite: str, *, seconds: float, cases_min: int, folder: Path) -> Box:
    """The box of a suite as the environment wants it; a soak logs below `folder`."""
    if (only := os.environ.get("ORMDB_SEED")) is not None:
        first, _, last = only.partition("-")
        return Box(
            suite=suite,
            seconds=0,
            cases_min=0,
            first_seed=int(first),
            only_seed=True,
            seed_count=int(last or first) - int(first) + 1,
        )
    if (minutes := os.environ.get("ORMDB_SOAK_MINUTES")) is None:
        return Box(suite=suite, seconds=seconds, cases_min=cases_min)
    log = folder / ".soak" / f"{suite}.jsonl"
    return Box(
        suite=suite,
        seconds=float(minutes) * 60,
        cases_min=0,
        first_seed=read_next_seed(log),
        log=log,
    )


def read_next_seed(log: Path) -> int:
    """Where a soak goes on: the seed that failed last, else the one after all that passed."""
    if not log.exists():
        return 0
    last = json.loads(log.read_text(encoding="utf-8").splitlines()[-1])
    failed = last["failed_seed"]
    return int(last["next_seed"] if failed is None else failed)
