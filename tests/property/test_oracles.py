"""Holds that answers keep the laws of partition and of plans, over generated worlds.

Every oracle is shown a planted fault as well, which it has to find.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from ormdb.ir.expr import Expr
from ormdb.ir.value import Value
from ormdb.query import child_pages
from ormdb.query.follow import Level
from ormdb.query.hash_join import Children, by_parent
from ormdb.query.node_page import NodePage
from ormdb.query.order import Place, sorted_positions
from ormdb.query.plan import Access, OrderPlan
from ormdb.query.postings import token_keys
from ormdb.query.root_page import RootReader
from ormdb.storage.expressions import Translator
from ormdb.storage.keys import below
from ormdb.storage.layout import EntityLayout
from ormdb.storage.views import View
from tests.box import Box
from tests.oracle.agreement import check_agreement
from tests.oracle.compare import DifferenceError
from tests.oracle.forced import check_forced, check_forced_table
from tests.oracle.laws import check_laws
from tests.oracle.norec import check_column, check_filter, check_values
from tests.oracle.partition import check_include_partition, check_partition
from tests.oracle.plan_kinds import PlanKinds
from tests.oracle.stage import Stage, open_stage
from tests.oracle.tables import TableMaker

QUERIES_PER_STAGE = 40
TABLES_PER_STAGE = 15
SEEDS_FOR_A_FAULT = 30
PLAN_WAYS_MIN = 20
PLAN_SHAPES_MIN = 100
JOINS_MIN = 40
GUARDED_TOGETHER_MIN = 15


def must_find(check: Callable[[Stage], object]) -> None:
    """See that a check, asked about a few worlds, finds what was planted."""
    with pytest.raises(DifferenceError):
        for seed in range(SEEDS_FOR_A_FAULT):
            with open_stage(seed) as stage:
                check(stage)


# --- partition ---------------------------------------------------------------------------------


def partition(stage: Stage) -> int:
    """Rows, counts and includes, each with a condition that parts it; how many."""
    maker, checked = stage.maker, 0
    for query in stage.queries(QUERIES_PER_STAGE):
        checked += check_partition(stage, query, maker.condition(query.entity))
        for include in query.includes[:1]:
            bare = maker.bare_include(include, query.entity)
            target = stage.names.way(query.entity, include.relation)[2]
            conditions = maker.condition(target), maker.condition(target)
            check_include_partition(stage.database, stage.names, query, bare, conditions)
            checked += 1
    return checked


@pytest.mark.soak(seconds=12, cases_min=1_000)
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
    """Every plan of some queries and tables; how many."""
    checked, kinds = 0, kinds or PlanKinds()
    for query in stage.queries(QUERIES_PER_STAGE):
        with stage.database.snapshot() as snapshot:
            checked += check_forced(snapshot, query, stage.label, kinds)
    tables = TableMaker(stage.maker)
    for _ in range(TABLES_PER_STAGE):
        with stage.database.snapshot() as snapshot:
            checked += check_forced_table(snapshot, tables.query(), stage.label)
    return checked


@pytest.mark.soak(seconds=20, cases_min=2_500)
def test_every_plan_of_a_query_gives_the_same_answer(box: Box, tmp_path: Path) -> None:
    kinds = PlanKinds()
    for seed in box.seeds():
        with open_stage(seed, tmp_path if seed % 2 else None) as stage:
            box.count(force(stage, kinds))
    box.tell(str(kinds))
    if not box.only_seed:
        assert len(kinds.ways) >= PLAN_WAYS_MIN
        assert len(kinds.shapes) >= PLAN_SHAPES_MIN
        assert min(kinds.joins["hash"], kinds.joins["lookup"]) >= JOINS_MIN
        assert kinds.guarded_together >= GUARDED_TOGETHER_MIN


def test_rows_that_tokens_lose_among_other_ways_are_found_by_forced_plans(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def half(
        access: Access, view: View, entity: EntityLayout, values: Sequence[Value]
    ) -> set[bytes]:
        return set(sorted(token_keys(access, view, entity, values))[::2])

    monkeypatch.setattr("ormdb.query.gather.token_keys", half)
    must_find(force)


def test_gathered_children_that_come_backwards_are_found_by_forced_plans(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def backwards(children: Level, owners: Sequence[int], parents: int) -> Children:
        turned = Level(children.rows[::-1], children.keys[::-1])
        return by_parent(turned, owners[::-1], parents)

    monkeypatch.setattr("ormdb.query.hash_join.by_parent", backwards)
    must_find(force)


def test_a_sort_that_knows_no_ties_is_found_by_forced_plans(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def without_ties(
        order: OrderPlan, columns: Sequence[Sequence[Value]], keys: Sequence[bytes]
    ) -> list[int]:
        return sorted_positions(order, columns, [b""] * len(keys))

    monkeypatch.setattr("ormdb.query.root_page.sorted_positions", without_ties)
    must_find(force)


# --- conditions as values ----------------------------------------------------------------------


def compare_with_values(stage: Stage) -> int:
    """Filters, and the conditions among the computed fields; how many."""
    checked = 0
    for query in stage.queries(QUERIES_PER_STAGE):
        check_filter(stage, query)
        check_column(stage, query)
        checked += 2 if query.filter is not None else 0
    for entity in stage.names.entities:
        checked += check_values(stage, entity, stage.maker.order(entity))
    return checked


@pytest.mark.soak(seconds=6, cases_min=1_000)
def test_a_filter_keeps_the_rows_of_which_its_condition_is_true(box: Box) -> None:
    for seed in box.seeds():
        with open_stage(seed, conditions=True) as stage:
            box.count(compare_with_values(stage))


def test_a_not_that_makes_null_true_is_found_by_values(monkeypatch: pytest.MonkeyPatch) -> None:
    def careless(self: Translator, expr: Expr) -> str:
        return f"(not {self.true(expr)})"

    monkeypatch.setattr(Translator, "false", careless)
    must_find(compare_with_values)


# --- statements that agree ---------------------------------------------------------------------


def agree(stage: Stage) -> int:
    """Every kind of statement about some queries; how many answers."""
    return sum(check_agreement(stage, query) for query in stage.queries(QUERIES_PER_STAGE))


@pytest.mark.soak(seconds=6, cases_min=1_000)
def test_every_statement_means_the_same_rows_by_a_condition(box: Box, tmp_path: Path) -> None:
    for seed in box.seeds():
        with open_stage(seed, tmp_path if seed % 2 else None) as stage:
            box.count(agree(stage))


def test_an_answer_that_nothing_exists_where_one_row_does_is_found_by_agreement(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def careless(self: RootReader) -> bool:
        return self.count() > 1

    monkeypatch.setattr(RootReader, "exists", careless)
    must_find(agree)


# --- laws of graphs ----------------------------------------------------------------------------


def keep_laws(stage: Stage) -> int:
    """The laws of some queries; how many held."""
    return sum(check_laws(stage, query) for query in stage.queries(QUERIES_PER_STAGE))


@pytest.mark.soak(seconds=10, cases_min=1_000)
def test_answers_keep_the_laws_of_graphs(box: Box, tmp_path: Path) -> None:
    for seed in box.seeds():
        with open_stage(seed, tmp_path if seed % 2 else None) as stage:
            box.count(keep_laws(stage))


def test_a_page_that_begins_with_the_row_at_its_cursor_is_found_by_laws(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def with_the_row_itself(self: Place, values: Sequence[Value], row_key: bytes) -> bool:
        return row_key == self.row_key or is_before(self, values, row_key)

    is_before = Place.is_before
    monkeypatch.setattr(Place, "is_before", with_the_row_itself)
    must_find(keep_laws)


def test_a_page_of_children_that_goes_back_from_the_wrong_end_is_found_by_laws(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def from_the_beginning(count: int, page: NodePage) -> range:
        return part_of(count, replace(page, backward=False))

    part_of = child_pages.part_of
    monkeypatch.setattr(child_pages, "part_of", from_the_beginning)
    must_find(keep_laws)
