"""Transactions are strictly serializable: in turns, in threads, and in processes."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

import ormdb
from ormdb import limits
from ormdb.testing.checker import check_history
from ormdb.testing.history import History
from ormdb.testing.playground import SCHEMA, STEPS, TOTALS
from ormdb.testing.scheduler import explore, run_plan
from ormdb.testing.workloads import (
    Durability,
    draw_plan,
    open_playground,
    run_processes,
    run_threads,
)
from tests.box import Box


def test_what_runs_one_after_the_other_has_no_finding() -> None:
    kinds: set[str] = set()
    for seed in range(15):
        plan = draw_plan(random.Random(seed))
        assert plan == draw_plan(random.Random(seed))
        kinds.update(step.kind for script in plan.scripts for step in script.steps)
        with open_playground() as stage:
            run = run_plan(stage, plan)
        assert not run.findings, str(run.findings[0])
    assert kinds == {*STEPS, "undone"}


@pytest.mark.soak(seconds=35, cases_min=15_000)
def test_transactions_in_turns_are_strictly_serializable(box: Box) -> None:
    committed = 0
    for seed in box.seeds():
        run, failure = explore(open_playground, draw_plan, seed=seed)
        assert failure is None, str(failure)
        box.count(len(run.history))
        committed += run.history.committed()
    box.tell(f"{committed:,} committed")


def test_what_is_validated_by_walks_is_strictly_serializable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "VALIDATED_CHANGES_MAX", 0)
    for seed in range(10):
        _, failure = explore(open_playground, draw_plan, seed=seed)
        assert failure is None, str(failure)


@pytest.mark.soak(seconds=20, cases_min=8_000)
def test_transactions_of_threads_are_strictly_serializable(box: Box, tmp_path: Path) -> None:
    committed = 0
    for seed in box.seeds():
        path = ":memory:" if seed % 3 == 0 else str(tmp_path / f"{seed}.ormdb")
        durability: Durability = "full" if seed % 3 == 1 else "none"  # groups form at each sync
        with ormdb.open(path, schema=SCHEMA, durability=durability, statistics="manual") as db:
            history = run_threads(db, seed=seed, threads=6, transactions=100)
            assert_serializable(history)
            assert db.check(deep=True).is_clean
        box.count(len(history))
        committed += history.committed()
    box.tell(f"{committed:,} committed")


@pytest.mark.soak(seconds=30, cases_min=7_000)
def test_transactions_of_processes_are_strictly_serializable(box: Box, tmp_path: Path) -> None:
    committed = 0
    for seed in box.seeds():
        path = str(tmp_path / f"{seed}.ormdb")
        history = run_processes(path, seed=seed, processes=3, threads=2, transactions=400)
        assert_serializable(history)
        with ormdb.open(path, schema=SCHEMA) as db:
            assert db.check(deep=True).is_clean
        box.count(len(history))
        committed += history.committed()
    box.tell(f"{committed:,} committed")


def assert_serializable(history: History) -> None:
    findings = check_history(history, totals=TOTALS, aborted_reads=True)
    assert not findings, str(findings[0])
