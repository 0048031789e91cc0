"""Holds that a plan is compiled once for a shape and a schema, and that few are kept."""

from __future__ import annotations

import threading
from dataclasses import replace

from ormdb import limits
from ormdb.catalog.assign import assign_numbers
from ormdb.clock import SystemClock
from ormdb.ir.expr import Expr, IsNull, Literal
from ormdb.ir.graph import GraphQuery
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
