"""A loss of power at any moment: acknowledged commits are there, whole, and writing goes on."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ormdb.storage.engine import Durability
from ormdb.testing.crash_explorer import CrashExplorer, CrashReport
from tests.box import Box
from tests.crash.tools import memory_folder, require

SHOP = "tests.crash.shop:ShopWorkload"
STATES_EACH = 1_300  # of one run of the workload; the next seed is another run


def explore(folder: Path, states: int, *, durability: Durability, seed: int = 0) -> CrashReport:
    require("strace", "apt-get install strace")
    processes = min(2, os.cpu_count() or 1)
    with memory_folder(folder) as fast:
        explorer = CrashExplorer(SHOP, fast, durability=durability, seed=seed, processes=processes)
        return explorer.explore(states=states)


@pytest.mark.soak(seconds=85, cases_min=5_000)
def test_a_loss_of_power_leaves_every_acknowledged_commit_and_nothing_half_done(
    box: Box, tmp_path: Path
) -> None:
    kinds: set[str] = set()
    for seed in box.seeds():
        report = explore(tmp_path, STATES_EACH, durability="full", seed=seed)
        assert not report.problems, "\n".join(map(str, report.problems[:20]))
        kinds |= report.by_kind.keys()
        box.count(report.states)
    assert {"a torn page", "some", "all but one", "only one"} <= kinds
    box.tell(", ".join(sorted(kinds)))


def test_without_syncs_a_loss_of_power_loses_commits_and_is_caught(tmp_path: Path) -> None:
    report = explore(tmp_path, 400, durability="none")
    assert report.found["lost"] > 0, "no acknowledged commit was lost: the explorer sees nothing"
    assert report.found.keys() & {"torn", "damage", "refused", "died"}


def test_relaxed_durability_loses_the_last_commit_at_most_and_never_half_of_one(
    tmp_path: Path,
) -> None:
    report = explore(tmp_path, 500, durability="relaxed")
    assert report.found.keys() == {"lost"}, "\n".join(map(str, report.problems[:20]))
    for problem in report.problems:
        acknowledged, newest = [int(word) for word in problem.words.split() if word.isdigit()]
        assert acknowledged - newest == 1, problem
