"""Holds which queries are answered by one key, and what is found under it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ormdb.clock import SystemClock
from ormdb.database.database import Database
from ormdb.errors import CorruptionError
from ormdb.ir.expr import And, Expr
from ormdb.ir.graph import Derived, GraphQuery
from ormdb.ir.value import Value
from ormdb.query.compile import compile_query
from ormdb.query.seek import Seek, seek_of
from ormdb.query.shape import take_shape
from ormdb.storage.keys import row_key
from ormdb.storage.layout import Layout
from ormdb.storage.memory import MemoryEngine
from ormdb.storage.views import CurrentView
from tests.unit.query.airline import among, compare, open_airline


def seek_for(layout: Layout, query: GraphQuery) -> Seek | None:
    return seek_of(compile_query(layout, query, take_shape(query).shape, clock=SystemClock()))


def both(*items: Expr) -> Expr:
    return And(items=items)


BY_NUMBER = compare("==", "id", 3)
BY_UNIQUE = compare("==", "number", "OR3")


@pytest.mark.parametrize(
    ("entity", "condition", "is_by_number"),
    [
        ("Flight", BY_NUMBER, True),
        ("Flight", both(BY_NUMBER, compare(">", "delay", 1)), True),
        ("Flight", BY_UNIQUE, False),
        ("Airport", compare("==", "code", "JFK"), False),
        ("Duty", both(compare("==", "flight_id", 1), compare("==", "crew_id", 2)), False),
    ],
)
def test_one_row_at_most_by_one_key_is_sought(
    layout: Layout, entity: str, condition: Expr, *, is_by_number: bool
) -> None:
    seek = seek_for(layout, GraphQuery(entity=entity, filter=condition))
    assert seek is not None
    assert seek.is_by_number is is_by_number


@pytest.mark.parametrize(
    "condition",
    [
        None,
        among("id", 3, 4),
        among("number", "OR3", "OR4"),
        compare(">", "id", 3),
        compare("==", "time", 21),
        compare("==", "origin_code", "JFK"),
        both(BY_NUMBER, compare(">", "plane.seats", 1)),
        both(BY_UNIQUE, compare(">", "plane.seats", 1)),
    ],
)
def test_what_may_be_several_rows_or_reads_others_takes_the_long_way(
    layout: Layout, condition: Expr | None
) -> None:
    assert seek_for(layout, GraphQuery(entity="Flight", filter=condition)) is None


def test_a_row_under_its_own_number_is_not_asked_for_it_again(airline: Database) -> None:
    with airline.snapshot() as snapshot:
        layout = snapshot.layout
    view = CurrentView(airline.engine.begin_read(), airline.version)
    for condition, values, count in (
        (BY_NUMBER, [3], 0),
        (both(BY_NUMBER, compare(">", "time", 1)), [3, 1], 1),
    ):
        asked: list[int] = []

        def noted(rows: list[object], *_: object, asked: list[int] = asked) -> list[bool]:
            asked.append(len(rows))
            return [True] * len(rows)

        query = GraphQuery(entity="Flight", filter=condition)
        plan = compile_query(layout, query, take_shape(query).shape, clock=SystemClock())
        assert plan.root.filter is not None
        watched = replace(plan.root, filter=replace(plan.root.filter, mask=noted))
        seek = seek_of(replace(plan, root=watched))
        assert seek is not None
        assert len(seek.find(view, values).rows) == 1
        assert asked == [1] * count
    view.txn.close()


def test_a_part_of_an_identity_is_not_sought(layout: Layout) -> None:
    query = GraphQuery(entity="Duty", filter=compare("==", "flight_id", 1))
    assert seek_for(layout, query) is None


def test_what_is_derived_takes_the_long_way(layout: Layout) -> None:
    query = GraphQuery(entity="Flight", filter=BY_NUMBER)
    derived = (Derived(name="late_much", value=compare(">", "delay", 100)),)
    assert seek_for(layout, query) is not None
    assert seek_for(layout, replace(query, derived=derived)) is None


@pytest.mark.parametrize(
    ("entity", "condition", "values", "expected"),
    [
        ("Flight", BY_NUMBER, [3], [3]),
        ("Flight", BY_NUMBER, [999], []),
        ("Flight", both(BY_NUMBER, compare(">", "delay", 18)), [3, 18], []),
        ("Flight", both(BY_NUMBER, compare(">", "time", 20)), [3, 20], [3]),
        ("Flight", both(BY_NUMBER, compare(">", "time", 21)), [3, 21], []),
        ("Flight", BY_UNIQUE, ["OR3"], [3]),
        ("Flight", BY_UNIQUE, ["OR999"], []),
        ("Flight", both(BY_UNIQUE, compare(">", "time", 21)), ["OR3", 21], []),
        ("Airport", compare("==", "code", "LGA"), ["LGA"], [3]),
        ("Airport", compare("==", "code", "ABC"), ["ABC"], []),
    ],
)
def test_a_seek_finds_the_row_that_its_filter_keeps(
    airline: Database, entity: str, condition: Expr, values: list[Value], expected: list[int]
) -> None:
    with airline.snapshot() as snapshot:
        layout = snapshot.layout
    seek = seek_for(layout, GraphQuery(entity=entity, filter=condition))
    assert seek is not None
    view = CurrentView(airline.engine.begin_read(), airline.version)
    found = seek.find(view, values)
    view.txn.close()
    assert found.keys == [row_key(number) for number in expected]
    assert len(found.rows) == len(expected)


def test_an_identity_entry_of_a_row_that_is_gone_or_another_raises() -> None:
    with open_airline(MemoryEngine(), 3) as own:
        with own.snapshot() as snapshot:
            layout = snapshot.layout
        identity = layout.entities["Airport"].identity
        assert identity is not None
        for code, number in (("GONE", 99), ("ELSE", 1)):
            txn = own.engine.begin_write()
            txn.put_many(identity.space, [(identity.encode_values([code]), row_key(number))])
            txn.commit()
        seek = seek_for(layout, GraphQuery(entity="Airport", filter=compare("==", "code", "x")))
        assert seek is not None
        view = CurrentView(own.engine.begin_read(), own.version)
        with pytest.raises(CorruptionError, match="not there"):
            seek.find(view, ["GONE"])
        with pytest.raises(CorruptionError, match="other values"):
            seek.find(view, ["ELSE"])
        view.txn.close()
