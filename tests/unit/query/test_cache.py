"""Holds that a plan is compiled once for a shape and a schema, and that few are kept."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

import pytest

from ormdb import limits
from ormdb.catalog.assign import assign_numbers
from ormdb.clock import SystemClock
from ormdb.errors import OrmdbError, QueryError
from ormdb.ir.expr import And, Expr, FieldRef, IsNull, Literal
from ormdb.ir.graph import Derived, FanoutBudget, GraphQuery, Include, OrderSpec, Page
from ormdb.query.cache import PlanCache
from ormdb.query.plan import QueryPlan
from ormdb.query.shape import take_shape
from ormdb.storage.layout import Layout
from ormdb.storage.memory import MemoryEngine
from tests.unit.query.airline import AIRLINE, among, compare, open_airline


def plan_of(cache: PlanCache, layout: Layout, condition: Expr) -> QueryPlan:
    query = GraphQuery(entity="Flight", filter=condition)
    return cache.plan(layout, query, take_shape(query).shape)


def test_queries_of_one_shape_share_a_plan(layout: Layout) -> None:
    cache = PlanCache(SystemClock())
    first = plan_of(cache, layout, compare(">", "delay", 5))
    assert plan_of(cache, layout, compare(">", "delay", 6)) is first
    assert plan_of(cache, layout, compare(">", "delay", 6.5)) is not first
    found = cache.statistics()
    assert (found.hits, found.misses, found.entries) == (1, 2, 2)


def test_a_new_schema_version_compiles_anew(layout: Layout) -> None:
    cache = PlanCache(SystemClock())
    newer = Layout(replace(assign_numbers(AIRLINE, None), version=layout.bundle.version + 1))
    old = plan_of(cache, layout, compare(">", "delay", 5))
    new = plan_of(cache, newer, compare(">", "delay", 5))
    assert (old.root.entity, new.root.entity) == (
        layout.entities["Flight"],
        newer.entities["Flight"],
    )
    assert (old.schema_version, new.schema_version) == (0, 1)


def test_the_plan_unused_for_longest_is_dropped_first(layout: Layout) -> None:
    cache = PlanCache(SystemClock())
    query = GraphQuery(entity="Crew")

    def plan(number: int) -> QueryPlan:
        # The select is part of the shape; names repeat, so that the plans stay small.
        asked = replace(query, select=("name",) * number)
        return cache.plan(layout, asked, take_shape(asked).shape)

    first, second = plan(1), plan(2)
    for number in range(3, limits.PLAN_CACHE_ENTRIES_MAX + 1):
        plan(number)
    assert plan(1) is first  # now the second is the oldest
    plan(limits.PLAN_CACHE_ENTRIES_MAX + 1)
    assert cache.statistics().entries == limits.PLAN_CACHE_ENTRIES_MAX
    assert plan(1) is first
    assert plan(2) is not second


def test_a_literal_that_cannot_be_hashed_keeps_its_plan_out_of_the_cache(layout: Layout) -> None:
    cache = PlanCache(SystemClock())
    condition = IsNull(operand=Literal(value={"a": [1]}))
    assert plan_of(cache, layout, condition) is not plan_of(cache, layout, condition)
    assert cache.statistics().entries == 0


def test_threads_share_a_cache(layout: Layout) -> None:
    cache = PlanCache(SystemClock())
    made: list[QueryPlan] = []

    def work() -> None:
        made.extend(plan_of(cache, layout, compare(">", "delay", n)) for n in range(50))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 200
    assert cache.statistics().entries == 1


def test_the_same_query_object_is_taken_apart_once_for_a_layout(layout: Layout) -> None:
    cache = PlanCache(SystemClock())
    query = GraphQuery(entity="Flight", filter=compare(">", "delay", 5))
    first = cache.ready(layout, query)
    assert cache.ready(layout, query) is first
    other = Layout(replace(assign_numbers(AIRLINE, None), version=layout.bundle.version + 1))
    assert cache.ready(other, query).plan.root.entity is other.entities["Flight"]
    equal = replace(query)
    assert cache.ready(layout, equal) is not first
    assert cache.ready(layout, equal).plan is first.plan


def test_values_that_their_owner_may_change_are_taken_apart_each_time(layout: Layout) -> None:
    cache = PlanCache(SystemClock())
    query = GraphQuery(entity="Flight", filter=IsNull(operand=Literal(value={"a": [1]})))
    assert cache.ready(layout, query) is not cache.ready(layout, query)


def test_a_query_with_a_long_list_is_not_kept_ready(layout: Layout) -> None:
    cache = PlanCache(SystemClock())
    for count, is_kept in ((limits.READY_VALUES_MAX, True), (limits.READY_VALUES_MAX + 1, False)):
        query = GraphQuery(entity="Flight", filter=among("delay", *range(count)))
        assert (cache.ready(layout, query) is cache.ready(layout, query)) == is_kept


def test_few_queries_are_kept_ready(layout: Layout) -> None:
    cache = PlanCache(SystemClock())
    queries = [
        GraphQuery(entity="Flight", filter=compare(">", "delay", n))
        for n in range(limits.READY_QUERIES_MAX + 5)
    ]
    made = [cache.ready(layout, query) for query in queries]
    assert cache.ready(layout, queries[-1]) is made[-1]
    assert cache.ready(layout, queries[0]) is not made[0]
    assert cache.statistics().entries == 1


def test_sketches_make_room_for_others_when_there_are_too_many(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "READY_QUERIES_MAX", 2)
    cache = PlanCache(SystemClock())
    taken: list[GraphQuery] = []

    def noted(query: GraphQuery) -> object:
        taken.append(query)
        return take_shape(query)

    monkeypatch.setattr("ormdb.query.cache.take_shape", noted)
    queries = [
        GraphQuery(entity="Flight", filter=compare(op, "delay", 5)) for op in ("<", ">", "==")
    ]
    for query in (queries[0], queries[1], queries[0], queries[2], queries[1], queries[2]):
        cache.ready(layout, replace(query))
    # The third of them left the first two no room; the second then came as a new one.
    assert taken == [queries[0], queries[1], queries[2], queries[1]]


def test_a_plan_that_cannot_be_kept_is_never_held(layout: Layout) -> None:
    cache = PlanCache(SystemClock())
    query = GraphQuery(entity="Flight", filter=IsNull(operand=Literal(value={"a": [1]})))
    cache.ready(layout, query)
    assert not cache.holds(layout, query)


def test_plans_are_made_again_when_more_is_known_of_the_rows() -> None:
    with open_airline(MemoryEngine(), 30) as database:
        query = GraphQuery(entity="Flight", filter=compare(">", "time", 5))
        for _ in range(2):
            database.run_fetch(query)
        misses = database.statistics().plans.misses
        database.analyze()
        database.run_fetch(query)
        assert database.statistics().plans.misses == misses + 1
        database.run_fetch(query)
        assert database.statistics().plans.misses == misses + 1


def test_a_query_of_another_value_is_made_ready_by_its_sketch(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = PlanCache(SystemClock())
    order = (OrderSpec(key=FieldRef(path=("time",))),)
    first = GraphQuery(entity="Flight", filter=compare(">", "delay", 5), order=order)
    other = replace(first, filter=compare(">", "delay", 6), page=Page(limit=3))
    long_way = [cache.ready(layout, replace(one)) for one in (first, other)]

    def refuse(_: GraphQuery) -> None:
        raise AssertionError("its sketch is known")

    monkeypatch.setattr("ormdb.query.cache.take_shape", refuse)
    for query, expected in zip((first, other), long_way, strict=True):
        found = cache.ready(layout, replace(query))
        assert (found.plan, found.values) == (expected.plan, expected.values)
        assert (found.page, list(found.pages)) == (expected.page, list(expected.pages))
        assert found.access is expected.access
    assert cache.ready(layout, replace(other, page=Page(limit=7))).page.limit == 7


@pytest.mark.parametrize(
    "change",
    [
        {"filter": compare(">", "delay", 5.5)},
        {"filter": compare(">=", "delay", 5)},
        {"filter": compare(">", "time", 5)},
        {"filter": And(items=(compare(">", "delay", 5),))},
        {"filter": None},
        {"page": Page()},
        {"order": (OrderSpec(key=FieldRef(path=("delay",)), descending=True),)},
        {"select": ("delay",)},
        {"includes": (Include(relation="origin"),)},
        {"derived": (Derived(name="is_tardy", value=compare(">", "delay", 9)),)},
    ],
)
def test_a_query_of_another_form_has_another_plan(layout: Layout, change: dict[str, Any]) -> None:
    cache = PlanCache(SystemClock())
    query = GraphQuery(entity="Flight", filter=compare(">", "delay", 5), page=Page(limit=2))
    other = replace(query, **change)
    plans = [cache.ready(layout, replace(one)).plan for one in (query, other, query, other)]
    assert plans[0] is plans[2] is not plans[1] is plans[3]


def test_a_sketch_refuses_what_the_shape_refuses(layout: Layout) -> None:
    cache = PlanCache(SystemClock())
    query = GraphQuery(entity="Flight", filter=compare(">", "delay", 5), page=Page(limit=2))
    cache.ready(layout, query)
    refused: list[tuple[dict[str, Any], type[OrmdbError]]] = [
        ({"page": Page(limit=-1)}, QueryError),
        ({"page": Page(limit=2, offset=-1)}, QueryError),
        ({"budget": FanoutBudget(rows=-1)}, QueryError),
        ({"filter": compare(">", "delay", 2**70)}, QueryError),
    ]
    for change, error in refused:
        with pytest.raises(error):
            cache.ready(layout, replace(query, **change))


def test_an_object_that_took_the_place_of_another_has_its_own_plan(layout: Layout) -> None:
    cache = PlanCache(SystemClock())
    for name in ("delay", "time") * 50:
        order = (OrderSpec(key=FieldRef(path=(name,))),)  # its id is that of one that has gone
        query = GraphQuery(entity="Flight", filter=compare(">", "delay", 5), order=order)
        assert cache.ready(layout, query).plan.root.order.specs == order
