"""A seed decides a run, and a failure is made smaller without losing its anomaly."""

from __future__ import annotations

import random

import pytest

from ormdb.errors import UsageError
from ormdb.testing.history import Record
from ormdb.testing.scheduler import Plan, Script, Step, explore, run_plan
from tests.unit.testing.simulated import FAULTS, SimulatedEngine, draw_plan, simulated


def test_a_seed_gives_the_same_schedule_and_history_each_time() -> None:
    first, _ = explore(simulated(None, 1), draw_plan, seed=5)
    again, _ = explore(simulated(None, 1), draw_plan, seed=5)
    other, _ = explore(simulated(None, 1), draw_plan, seed=6)
    assert first == again
    assert first.schedule != other.schedule


def test_a_schedule_that_was_taken_gives_the_same_run_when_it_is_given() -> None:
    plan = draw_plan(random.Random(3), 40)
    with simulated("no check", 3)() as stage:
        run = run_plan(stage, plan, chance=random.Random(3))
    with simulated("no check", 3)() as stage:
        assert run_plan(stage, plan, schedule=run.schedule) == run


def test_what_a_schedule_does_not_say_runs_one_after_the_other() -> None:
    with simulated("no check", 3)() as stage:
        run = run_plan(stage, draw_plan(random.Random(3), 40))
    assert not run.findings
    assert list(run.schedule) == sorted(run.schedule)


def test_several_transactions_are_open_at_the_same_time() -> None:
    with simulated(None, 3)() as stage:
        run = run_plan(stage, draw_plan(random.Random(3), 40), chance=random.Random(3), together=6)
    events = [(each.began, 1) for each in run.history.transactions]
    events += [(each.ended, -1) for each in run.history.transactions]
    open_now, most = 0, 0
    for _, change in sorted(events):
        open_now += change
        most = max(most, open_now)
    assert 3 <= most <= 6


@pytest.mark.parametrize("fault", FAULTS)
def test_a_failure_becomes_a_schedule_of_few_transactions(fault: str) -> None:
    for seed in range(40):
        run, failure = explore(simulated(fault, seed), draw_plan, seed=seed)
        if failure is not None:
            break
    else:
        pytest.fail(f"{fault} was not found")
    assert failure.finding.anomaly == run.findings[0].anomaly
    assert len(failure.plan.scripts) <= 6
    assert f"seed {seed}: {failure.finding.anomaly}" in str(failure)
    with simulated(fault, seed)() as stage:
        again = run_plan(stage, failure.plan, schedule=failure.run.schedule)
    assert again == failure.run


def test_a_failure_is_told_turn_by_turn() -> None:
    scripts = tuple(
        Script(number=number, steps=(Step("read_list", "x"), Step("append", "x", number)))
        for number in (1, 2)
    )
    with simulated("no check", 0)() as stage:
        run = run_plan(stage, Plan(scripts=scripts), schedule=(1, 2, 1, 2, 1, 2, 1, 2))
    assert run.told == (
        "T0 begins",
        "T1 begins",
        "T0 read_list('x'): read_list('x', ())",
        "T1 read_list('x'): read_list('x', ())",
        "T0 append('x', 1)",
        "T1 append('x', 2)",
        "T0 commits",
        "T1 commits",
    )


def test_an_error_that_is_no_conflict_ends_the_run() -> None:
    class Broken(SimulatedEngine):
        def begin(self, script: Script) -> Broken:
            return self

        def take(self, step: Step, record: Record) -> None:
            raise UsageError("this step is unknown")

        def commit(self) -> None: ...
        def rollback(self) -> None: ...

    plan = Plan(scripts=(Script(number=0, steps=(Step("read", "x"),)),))
    with pytest.raises(UsageError, match="this step is unknown"):
        run_plan(Broken(None, 0), plan)
