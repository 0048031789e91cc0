"""Holds the laws of estimates, for generated schemas, rows and filters."""

from __future__ import annotations

import random
from collections import Counter

import pytest

import ormdb
from ormdb import Entity, Field, Many, One, field, many
from ormdb.database.database import Database
from ormdb.ir.expr import Aggregate, And, Compare, CompareOp, Expr, FieldRef, InList, Literal, Param
from ormdb.ir.graph import GraphQuery
from ormdb.ir.value import Value, is_scalar
from ormdb.query.estimate import Estimator
from ormdb.query.shape import take_shape
from ormdb.storage.layout import EntityLayout, Layout
from ormdb.storage.statistics import NO_STATISTICS
from tests.box import Box
from tests.oracle.queries import QueryMaker
from tests.oracle.rows import RowMaker, Tables
from tests.oracle.sqlite_side import Mirror
from tests.oracle.worlds import make_world

QUERIES_PER_WORLD = 30
SLACK = 1 + 1e-9


@pytest.mark.soak(seconds=12, cases_min=600)
def test_a_conjunct_more_never_raises_an_estimate(box: Box) -> None:
    covered: Counter[str] = Counter()
    for seed in box.seeds():
        rng = random.Random(seed)
        world = make_world(rng)
        mirror = Mirror.create(world.bundle)
        with ormdb.open(":memory:", schema=world.bundle, cache_bytes=0) as database:
            for insert in RowMaker(rng, world, Tables(mirror.names, mirror)).first_rows():
                database.run_mutations([insert])
            for estimator in estimators(database):
                covered += estimate_queries(estimator, QueryMaker(rng, world, mirror))
                covered += estimate_ranges(estimator, rng, database)
        mirror.close()
        box.count(2 * QUERIES_PER_WORLD)
    if not box.only_seed:
        assert min(covered["lower"], covered["ranges"], covered["lists"]) > 0


def estimators(database: Database) -> list[Estimator]:
    """Without statistics and with."""
    with database.snapshot() as snapshot:
        layout: Layout = snapshot.layout
    sizes = database.analyst.estimator(layout)
    plain = Estimator(NO_STATISTICS, layout, row_count=lambda entity: int(sizes.count(entity)))
    database.analyze()
    return [plain, database.analyst.estimator(layout)]


def estimate_queries(estimator: Estimator, queries: QueryMaker) -> Counter[str]:
    """Whole filters: bounds, and each with another one."""
    covered: Counter[str] = Counter()
    filters: dict[str, list[Expr]] = {}
    for _ in range(QUERIES_PER_WORLD):
        query = queries.query()
        if query.filter is None:
            continue
        filters.setdefault(query.entity, []).append(query.filter)
        shaped = take_shape(query)
        bare = shaped.shape.query.filter
        rows = estimator.count(query.entity)
        for condition, values in (
            (query.filter, None),
            (bare, shaped.values),
            (bare, None),
        ):
            found = estimator.rows(query.entity, condition, values)
            assert 0.0 <= found <= rows * SLACK, condition
    for entity, found_here in filters.items():
        for one in found_here:
            alone = estimator.rows(entity, one)
            for other in found_here:
                both = estimator.rows(entity, And(items=(one, other)))
                assert both <= alone * SLACK, (one, other)
                covered["lower"] += both < alone
    return covered


def estimate_ranges(estimator: Estimator, rng: random.Random, database: Database) -> Counter[str]:
    """Wider ranges, longer lists."""
    covered: Counter[str] = Counter()
    for entity in estimator.layout.entities.values():
        for definition in entity.entity.fields:
            pool = [
                value
                for row in database.run_fetch(GraphQuery(entity=entity.name)).dicts()
                if (value := row[definition.name]) is not None
            ]
            if not pool or not is_scalar(definition.type):
                continue
            name = definition.name
            ends = [rng.choice(pool) for _ in range(4)]
            for op in ("<", "<=", ">", ">="):
                check_range(estimator, entity, name, op, ends)
                covered["ranges"] += 1
            shorter, longer = ends[:2], ends
            short, long = (
                estimator.rows(entity, listed(name, items)) for items in (shorter, longer)
            )
            single = estimator.rows(entity, compared(name, "==", ends[0]))
            unknown = estimator.rows(entity, compared(name, "==", None), None)
            assert single <= short * SLACK
            assert short <= long * SLACK
            assert unknown == 0.0
            covered["lists"] += 1
    return covered


def check_range(
    estimator: Estimator, entity: EntityLayout, name: str, op: CompareOp, ends: list[Value]
) -> None:
    """Of two ranges with one open end, the one that holds the other's values is no smaller."""
    for one in ends:
        for other in ends:
            found, beside = (
                estimator.rows(entity, compared(name, op, end)) for end in (one, other)
            )
            try:
                wider = one <= other if op.startswith(">") else one >= other
            except TypeError:
                return
            if wider and not isinstance(one, str | bytes):
                assert beside <= found * SLACK, (name, op, one, other)
            both = And(items=(compared(name, op, one), compared(name, "!=", other)))
            assert estimator.rows(entity, both) <= found * SLACK


def compared(name: str, op: CompareOp, value: Value) -> Expr:
    """`name op value`."""
    return Compare(op=op, left=FieldRef(path=(name,)), right=Literal(value=value))


def listed(name: str, items: list[Value]) -> Expr:
    """`name in items`."""
    return InList(operand=FieldRef(path=(name,)), items=Literal(value=tuple(items)))


class Thing(Entity):
    """Nothing much."""

    id: Field[int] = field(identity=True)
    size: Field[int]


def test_an_empty_entity_has_no_rows_whatever_is_asked() -> None:
    with ormdb.open(":memory:", schema=[Thing]) as database:
        for analyzed in (False, True):
            if analyzed:
                database.analyze()
            with database.snapshot() as snapshot:
                estimator = database.analyst.estimator(snapshot.layout)
            for condition in (None, compared("size", "==", 1), compared("size", ">", 1)):
                assert estimator.rows("Thing", condition) == 0.0
            unknown = Compare(op=">", left=FieldRef(path=("size",)), right=Param(index=0))
            assert estimator.rows("Thing", unknown) == 0.0


class Owner(Entity):
    """Has some things."""

    id: Field[int] = field(identity=True)
    owned: Many[Owned] = many(inverse="owner")


class Owned(Entity):
    """Belongs to somebody."""

    id: Field[int] = field(identity=True)
    size: Field[int]
    owner: One[Owner]


def test_how_many_have_so_many_related_rows_is_known() -> None:
    with ormdb.open(":memory:", schema=[Owner, Owned]) as database:
        database.bulk_load(Owner, [{"id": n} for n in range(100)])
        # Half of the owners have nothing, the others 1 to 50 things.
        owned = [(n, at) for n in range(50) for at in range(n + 1)]
        database.bulk_load(
            Owned, [{"id": i, "size": at, "owner_id": n} for i, (n, at) in enumerate(owned)]
        )
        database.analyze()
        with database.snapshot() as snapshot:
            estimator = database.analyst.estimator(snapshot.layout)
        counted = Aggregate(function="count", path=("owned",))

        def owners(op: CompareOp, number: int) -> float:
            right = Literal(value=number)
            return estimator.rows("Owner", Compare(op=op, left=counted, right=right))

        assert owners(">=", 1) == pytest.approx(50)
        assert owners("==", 0) == pytest.approx(50)
        assert owners(">", 25) == pytest.approx(25, abs=7)
        assert owners(">", 50) < 1.0
        wider = [owners(">", number) for number in range(60)]
        assert wider == sorted(wider, reverse=True)
        other = Aggregate(function="sum", operand=FieldRef(path=("size",)), path=("owned",))
        unknown = Compare(op=">", left=other, right=Literal(value=3))
        assert 0.0 < estimator.rows("Owner", unknown) < 100.0
