"""Holds that answers keep the laws of partition and of plans, over generated worlds.

Every oracle is shown a planted fault as well, which it has to find.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from ormdb.ir.value import Value
from ormdb.query.order import sorted_positions
from ormdb.query.plan import OrderPlan
from ormdb.storage.keys import below
from tests.box import Box
from tests.oracle.compare import DifferenceError
from tests.oracle.forced import PlanKinds, check_forced
from tests.oracle.partition import check_include_partition, check_partition
from tests.oracle.stage import Stage, open_stage

QUERIES_PER_STAGE = 40
SEEDS_FOR_A_FAULT = 30
PLAN_WAYS_MIN = 20
PLAN_SHAPES_MIN = 300


def must_find(check: Callable[[Stage], object]) -> None:
    """See that a check, asked about a few worlds, finds what was planted."""
    with pytest.raises(DifferenceError):
        for seed in range(SEEDS_FOR_A_FAULT):
            with open_stage(seed) as stage:
                check(stage)


# --- partition ---------------------------------------------------------------------------------


def partition(stage: Stage) -> int:
    """Queries and includes, each with a condition that parts it; how many."""
    maker, checked = stage.maker, 0
    for query in stage.queries(QUERIES_PER_STAGE):
        check_partition(stage, query, maker.condition(query.entity))
        checked += 1
        for include in query.includes[:1]:
            bare = maker.bare_include(include, query.entity)
            target = stage.names.way(query.entity, include.relation)[2]
            conditions = maker.condition(target), maker.condition(target)
            check_include_partition(stage.database, stage.names, query, bare, conditions)
            checked += 1
    return checked


@pytest.mark.soak(seconds=6, cases_min=1_000)
def test_what_a_condition_parts_is_the_whole(box: Box) -> None:
    for seed in box.seeds():
        with open_stage(seed) as stage:
            box.count(partition(stage))


def test_a_range_that_leaves_its_end_out_is_found_by_partition(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("ormdb.query.roots.at_or_below", below)
    must_find(partition)


# --- forced plans ------------------------------------------------------------------------------


def force(stage: Stage, kinds: PlanKinds | None = None) -> int:
    """Every plan of some queries; how many."""
    checked, kinds = 0, kinds or PlanKinds()
    for query in stage.queries(QUERIES_PER_STAGE):
        with stage.database.snapshot() as snapshot:
            checked += check_forced(snapshot, query, stage.label, kinds)
    return checked


@pytest.mark.soak(seconds=8, cases_min=1_000)
def test_every_plan_of_a_query_gives_the_same_answer(box: Box, tmp_path: Path) -> None:
    kinds = PlanKinds()
    for seed in box.seeds():
        with open_stage(seed, tmp_path if seed % 2 else None) as stage:
            box.count(force(stage, kinds))
    box.tell(str(kinds))
    if not box.only_seed:
        assert len(kinds.ways) >= PLAN_WAYS_MIN
        assert len(kinds.shapes) >= PLAN_SHAPES_MIN


def test_a_sort_that_knows_no_ties_is_found_by_forced_plans(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def without_ties(
        order: OrderPlan, columns: Sequence[Sequence[Value]], keys: Sequence[bytes]
    ) -> list[int]:
        return sorted_positions(order, columns, [b""] * len(keys))

    monkeypatch.setattr("ormdb.query.root_page.sorted_positions", without_ties)
    must_find(force)
