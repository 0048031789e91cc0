"""Holds that every fetch answers as SQLite and a naive interpreter do, over generated worlds."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

import pytest

import ormdb
from ormdb.catalog.assign import assign_numbers
from ormdb.clock import SystemClock
from ormdb.ir.schema import SchemaBundle
from ormdb.ir.value import Value
from ormdb.query.compile import compile_query
from ormdb.query.order import sorted_positions
from ormdb.query.plan import OrderPlan
from ormdb.query.shape import take_shape
from ormdb.session import Session
from ormdb.storage.layout import Layout
from tests.box import Box
from tests.oracle.compare import (
    DifferenceError,
    Open,
    OracleOf,
    compare_world,
    naive_of,
    sqlite_of,
)
from tests.oracle.plan_kinds import PlanKinds
from tests.oracle.queries import QueryMaker
from tests.oracle.rows import RowMaker, Tables
from tests.oracle.sqlite_side import Mirror
from tests.oracle.worlds import make_world

Columns: TypeAlias = Sequence[Sequence[Value]]
WORLDS_WITH_EVERY_PATH = 80
WORLDS_WITH_A_FAULT = 20
PLAN_WAYS_MIN = 20
PLAN_SHAPES_MIN = 2_000


@contextmanager
def open_in_memory(bundle: SchemaBundle) -> Generator[Session]:
    with ormdb.open(":memory:", schema=bundle) as database:
        yield database


def opens_on_disk(folder: Path) -> Open:
    """Opens one database file after the other."""

    @contextmanager
    def open_on_disk(bundle: SchemaBundle) -> Generator[Session]:
        path = folder / "world.ormdb"
        with ormdb.open(path, schema=bundle, durability="none") as database:
            yield database
        for file in folder.iterdir():
            file.unlink()

    return open_on_disk


@pytest.mark.soak(seconds=50, cases_min=10_000)
def test_fetches_answer_as_sqlite_does(box: Box, tmp_path: Path) -> None:
    engines = (open_in_memory, opens_on_disk(tmp_path))
    covered: Counter[str] = Counter()
    plans = PlanKinds()
    for seed in box.seeds():
        compared = compare_world(seed, engines[seed % 2])
        box.count(compared.compared)
        covered += compared.covered
        plans.join(compared.plans)
    box.tell(str(plans))
    if not box.only_seed:
        # An answer without rows says little; most of them have some.
        assert covered["rows"] > covered["nothing"]
        assert covered["too deep for SQLite"] <= covered["rows"] / 1_000
        assert min(covered["page on"], covered["page back"]) > 100
        assert len(plans.ways) >= PLAN_WAYS_MIN
        assert len(plans.shapes) >= PLAN_SHAPES_MIN


@pytest.mark.soak(seconds=6, cases_min=1_000)
def test_fetches_answer_as_the_naive_interpreter_does(box: Box) -> None:
    for seed in box.seeds():
        box.count(compare_world(seed, open_in_memory, naive_of).compared)


def test_generated_queries_take_every_way_to_the_roots() -> None:
    taken: Counter[str] = Counter()
    for seed in range(WORLDS_WITH_EVERY_PATH):
        rng = random.Random(seed)
        world = make_world(rng)
        mirror = Mirror.create(world.bundle)
        tables = Tables(mirror.names, mirror)
        list(RowMaker(rng, world, tables).first_rows())
        layout = Layout(assign_numbers(world.bundle, None))
        queries = QueryMaker(rng, world, mirror)
        for _ in range(30):
            query = queries.query()
            plan = compile_query(layout, query, take_shape(query).shape, clock=SystemClock())
            taken["texts that begin alike"] += plan.access.prefix is not None
            taken["some rows"] += plan.access.kind == "index" and bool(plan.access.guards)
            taken[f"{plan.access.kind} {'in order' if plan.access.ordered else 'any order'}"] += 1
            for node in plan.nodes:
                if node.expand is not None:
                    taken[node.expand.kind] += 1
                    taken["children from an index"] += node.expand.ordered_index is not None
    ways = ("identity", "index", "relation", "tokens", "scan")
    orders = ("in order", "any order")
    wanted = [f"{way} {order}" for way in ways for order in orders]
    wanted += ["to_one", "to_many", "through", "children from an index", "texts that begin alike"]
    wanted.append("some rows")
    assert [way for way in wanted if taken[way] < 3] == []


@pytest.mark.parametrize("oracle_of", [sqlite_of, naive_of])
def test_a_wrong_order_of_ties_is_found(
    monkeypatch: pytest.MonkeyPatch, oracle_of: OracleOf
) -> None:
    def without_ties(order: OrderPlan, columns: Columns, keys: Sequence[bytes]) -> list[int]:
        return sorted_positions(order, columns, [b""] * len(keys))

    monkeypatch.setattr("ormdb.query.root_page.sorted_positions", without_ties)
    with pytest.raises(DifferenceError):
        for seed in range(WORLDS_WITH_A_FAULT):
            compare_world(seed, open_in_memory, oracle_of)
