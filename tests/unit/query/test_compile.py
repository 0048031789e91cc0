"""Holds that plans carry no values, decode no more than is asked for, and refuse what is wrong."""

from __future__ import annotations

import pytest

from ormdb.clock import SystemClock
from ormdb.database.database import Database
from ormdb.errors import LimitError, QueryError
from ormdb.ir.expr import And, Arithmetic, Compare, Expr, FieldRef, IsNull, Literal
from ormdb.ir.graph import GraphQuery, Include, OrderSpec, Page
from ormdb.query.compile import compile_query
from ormdb.query.plan import QueryPlan
from ormdb.query.shape import take_shape
from ormdb.storage.layout import Layout
from ormdb.storage.memory import MemoryEngine
from ormdb.testing.counting import CountingEngine
from tests.unit.query.airline import among, by, compare, open_airline


def plan_of(layout: Layout, query: GraphQuery) -> QueryPlan:
    return compile_query(layout, query, take_shape(query).shape, clock=SystemClock())


def slots_of(layout: Layout, entity: str, *names: str) -> set[int]:
    return {layout.entities[entity].fields[name].slot for name in names}


def test_one_plan_serves_every_value_of_its_shape(airline: Database) -> None:
    def numbers(low: int, limit: int) -> list[int]:
        query = GraphQuery(
            entity="Flight", filter=compare(">=", "id", low), page=Page(limit=limit), select=("id",)
        )
        return [row["id"] for row in airline.run_fetch(query).dicts()]

    before = airline.statistics().plans.misses
    assert numbers(3, 2) == [3, 4]
    assert numbers(50, 3) == [50, 51, 52]
    assert numbers(1_000, 1) == []
    assert airline.statistics().plans.misses == before + 1


def test_only_slots_that_are_asked_for_are_decoded(layout: Layout) -> None:
    plan = plan_of(layout, GraphQuery(entity="Flight", select=("number",)))
    assert plan.root.decoder.slots == slots_of(layout, "Flight", "id", "number")
    query = GraphQuery(
        entity="Flight",
        filter=And(items=(compare(">", "delay", 1), compare("==", "plane.seats", 2))),
        order=by("time"),
        page=Page(limit=1),
        select=(),
    )
    plan = plan_of(layout, query)
    # tail leads to the plane; the identity is part of every block.
    assert plan.root.decoder.slots == slots_of(layout, "Flight", "id", "delay", "tail", "time")


def test_slots_that_recheck_an_index_entry_are_decoded(layout: Layout) -> None:
    query = GraphQuery(entity="Flight", filter=compare("==", "number", "OR1"), select=())
    plan = plan_of(layout, query)
    assert plan.access.kind == "index"
    assert plan.root.decoder.slots == slots_of(layout, "Flight", "id", "number")


def test_a_filter_is_split_into_own_fields_and_paths(layout: Layout) -> None:
    items = (compare("==", "plane.seats", 2), compare(">", "delay", 1))
    plan = plan_of(layout, GraphQuery(entity="Flight", filter=And(items=items)))
    assert plan.root.filter is not None
    assert plan.root.far_filter is not None
    assert plan.root.filter.hops == ()
    assert [hop.path for hop in plan.root.far_filter.hops] == [("plane",)]


def test_two_paths_with_a_common_beginning_share_its_hop(layout: Layout) -> None:
    paths = [("flight", "plane", "seats"), ("flight", "plane", "tail"), ("flight", "origin", "lat")]
    items = tuple(IsNull(operand=FieldRef(path=path)) for path in paths)
    plan = plan_of(layout, GraphQuery(entity="Log", filter=And(items=items)))
    assert plan.root.far_filter is not None
    hops = [hop.path for hop in plan.root.far_filter.hops]
    assert hops == [("flight",), ("flight", "plane"), ("flight", "origin")]


WRONG: dict[str, tuple[GraphQuery, str]] = {
    "an unknown entity": (GraphQuery(entity="Train"), "no entity"),
    "an unknown field": (GraphQuery(entity="Flight", select=("speed",)), "no field"),
    "a relation as a field": (GraphQuery(entity="Flight", select=("plane",)), "no field"),
    "an unknown order": (GraphQuery(entity="Flight", order=by("speed")), "no field"),
    "an order through many": (GraphQuery(entity="Flight", order=by("duties.rank")), "many rows"),
    "an unknown include": (
        GraphQuery(entity="Flight", includes=(Include(relation="wing"),)),
        "no relation",
    ),
    "the same include twice": (
        GraphQuery(
            entity="Flight", includes=(Include(relation="plane"), Include(relation="plane"))
        ),
        "alias",
    ),
    "an alias that is a field": (
        GraphQuery(
            entity="Flight", select=("id",), includes=(Include(relation="plane", alias="tail"),)
        ),
        "alias",
    ),
    "a limit to one": (
        GraphQuery(entity="Flight", includes=(Include(relation="plane", limit=1),)),
        "one row at most",
    ),
    "an order of one": (
        GraphQuery(entity="Flight", includes=(Include(relation="log", order=by("text")),)),
        "one row at most",
    ),
    "a comparison with NULL": (
        GraphQuery(entity="Flight", filter=compare("==", "delay", None)),
        "never true",
    ),
    "a number of 71 bits": (
        GraphQuery(entity="Flight", filter=compare("==", "delay", 2**70)),
        "64 bits",
    ),
    "a filter that is a number": (
        GraphQuery(entity="Flight", filter=Literal(value=5)),
        "not a condition",
    ),
    "an empty path": (
        GraphQuery(entity="Flight", order=(OrderSpec(key=FieldRef(path=())),)),
        "empty",
    ),
    "a list of other things": (
        GraphQuery(entity="Flight", filter=among("delay", 1, "x")),
        "is an int",
    ),
}


@pytest.mark.parametrize("mistake", WRONG)
def test_a_mistake_is_found_before_anything_is_read(mistake: str) -> None:
    query, words = WRONG[mistake]
    engine = CountingEngine(MemoryEngine())
    with open_airline(engine, 10) as database, database.snapshot() as snapshot:
        engine.reset()
        with pytest.raises(QueryError, match=words):
            snapshot.run_fetch(query)
        assert engine.counts.calls == 0


def test_an_order_of_too_many_keys_is_refused(layout: Layout) -> None:
    with pytest.raises(LimitError, match="32 keys, not 33"):
        plan_of(layout, GraphQuery(entity="Flight", order=by(*["id"] * 33)))


def test_a_filter_as_deep_as_allowed_compiles(airline: Database) -> None:
    condition: Expr = among("id", 7, 8)
    for _ in range(58):
        condition = And(items=(condition, compare(">=", "id", 0)))
    assert airline.run_count(GraphQuery(entity="Flight", filter=condition)) == 2


def test_an_own_condition_that_may_fail_is_not_asked_before_what_guards_it(
    airline: Database,
) -> None:
    huge = Arithmetic(op="*", left=FieldRef(path=("id",)), right=Literal(value=2**62))
    guarded = And(
        items=(
            compare("==", "plane.tail", "no such plane"),
            Compare(op=">", left=huge, right=Literal(value=0)),
        )
    )
    assert airline.run_count(GraphQuery(entity="Flight", filter=guarded)) == 0
