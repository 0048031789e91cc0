"""Mistakes that are planted in the engine of transactions are found, each by the playground."""

from __future__ import annotations

import random

import pytest

from ormdb.errors import UsageError
from ormdb.testing.mutants import MUTANTS, planted
from ormdb.testing.scheduler import explore, run_plan
from ormdb.testing.workloads import draw_plan, open_playground
from ormdb.txn import commit, validate

TRANSACTIONS_MAX = 10_000


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_is_found_within_10000_transactions(name: str) -> None:
    seen = 0
    for seed in range(1_000):
        chance = random.Random(seed)
        with open_playground() as stage, planted(name, seed=seed):
            run = run_plan(stage, draw_plan(chance), chance=chance)
        seen += len(run.history)
        if run.findings:
            return
        if seen > TRANSACTIONS_MAX:
            break
    pytest.fail(f"{name}: not found in {seen} transactions")


def test_what_a_mutant_breaks_is_told_by_few_transactions() -> None:
    with planted("rows are not validated"):
        _, failure = explore(open_playground, draw_plan, seed=0)
    assert failure is not None
    assert len(failure.plan.scripts) <= 4, str(failure)


def test_after_a_mutant_the_engine_is_as_before() -> None:
    before = (validate.changes_since, commit.OpenCommit.run, commit.OpenCommit.run_statement)
    for name in MUTANTS:
        with planted(name):
            pass
    assert before == (
        validate.changes_since,
        commit.OpenCommit.run,
        commit.OpenCommit.run_statement,
    )


def test_a_mutant_that_does_not_exist_is_refused() -> None:
    with pytest.raises(UsageError, match="there is no mutant 'nothing'"), planted("nothing"):
        pass
