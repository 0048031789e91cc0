"""The time box of seeded suites: floors, slow machines, resumed soaks."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.box import Box, open_box, read_next_seed


class Ticks:
    """A clock that moves when told."""

    def __init__(self) -> None:
        self.time_s = 0.0

    def __call__(self) -> float:
        return self.time_s


def box_of(
    ticks: Ticks, *, seconds: float = 10, cases_min: int = 0, log: Path | None = None
) -> Box:
    return Box(suite="x", seconds=seconds, cases_min=cases_min, log=log, now_s=ticks)


def run(box: Box, ticks: Ticks, *, seed_s: float, cases: int = 1) -> list[int]:
    seeds: list[int] = []
    for seed in box.seeds():
        seeds.append(seed)
        box.count(cases)
        ticks.time_s += seed_s
    return seeds


def test_a_box_draws_consecutive_seeds_until_its_seconds_are_over() -> None:
    ticks = Ticks()
    assert run(box_of(ticks), ticks, seed_s=4) == [0, 1, 2]


def test_a_box_below_its_floor_fails_after_four_times_its_seconds() -> None:
    ticks = Ticks()
    with pytest.raises(AssertionError, match="at least 100 are asked for"):
        run(box_of(ticks, cases_min=100), ticks, seed_s=5)
    assert ticks.time_s == 40


def test_a_slow_machine_gets_more_time_to_reach_the_floor() -> None:
    ticks = Ticks()
    assert len(run(box_of(ticks, cases_min=5), ticks, seed_s=6)) == 5


def test_a_soak_goes_on_after_the_last_seed_that_passed(tmp_path: Path) -> None:
    ticks, log = Ticks(), tmp_path / "soak" / "x.jsonl"
    box = box_of(ticks, log=log)
    run(box, ticks, seed_s=4)
    box.write_log(failed=False)
    assert read_next_seed(log) == 3


def test_a_soak_begins_with_the_seed_that_failed(tmp_path: Path) -> None:
    ticks, log = Ticks(), tmp_path / "x.jsonl"
    box = box_of(ticks, log=log)
    drawn = box.seeds()
    next(drawn)
    next(drawn)
    box.write_log(failed=True)
    assert read_next_seed(log) == 1


def test_a_long_soak_logs_before_it_ends(tmp_path: Path) -> None:
    ticks, log = Ticks(), tmp_path / "x.jsonl"
    drawn = box_of(ticks, seconds=100, log=log).seeds()
    next(drawn)
    ticks.time_s += 40
    next(drawn)
    assert read_next_seed(log) == 1


def test_the_environment_can_ask_for_one_seed_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ORMDB_SEED", "819")
    box = open_box("x", seconds=10, cases_min=5, folder=tmp_path)
    assert list(box.seeds()) == [819]


def test_the_environment_can_name_the_first_and_the_last_of_several_seeds(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ORMDB_SEED", "3-5")
    box = open_box("x", seconds=10, cases_min=5, folder=tmp_path)
    assert list(box.seeds()) == [3, 4, 5]


def test_the_environment_can_ask_for_minutes_of_soak(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("ORMDB_SEED", raising=False)
    monkeypatch.setenv("ORMDB_SOAK_MINUTES", "2")
    box = open_box("x", seconds=10, cases_min=5, folder=tmp_path)
    assert (box.seconds, box.cases_min, box.log) == (120, 0, tmp_path / ".soak" / "x.jsonl")


def test_what_a_suite_tells_stands_in_its_summary() -> None:
    box = box_of(Ticks())
    box.tell("12 plan shapes")
    assert box.summary().endswith("; 12 plan shapes")
