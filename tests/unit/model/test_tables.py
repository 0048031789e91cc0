"""Holds that tabular queries become the `ir` they mean, and what is read of their answers."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

import ormdb
from ormdb import Database, count
from ormdb.errors import QueryError, UnsupportedError
from ormdb.ir.expr import Aggregate, Call, Compare, FieldRef, Literal
from ormdb.ir.graph import OrderSpec
from ormdb.ir.table import TableColumn, TableQuery
from ormdb.model.expression_text import parse_expression
from tests.typing.shop import Airport, Engine, Flight, Log, Place, Plane, Visit

NAME, DELAY = FieldRef(path=("name",)), FieldRef(path=("dep_delay",))


@pytest.fixture
def shop() -> Any:
    with ormdb.open(":memory:", schema=[Airport, Flight, Log, Plane, Visit]) as database:
        database.insert(Airport(faa="JFK", name="Kennedy", place=Place(1.5, 2.5, "Road 1")))
        database.insert(Airport(faa="LGA", name="La Guardia"))
        database.insert(Plane(tailnum="N1", engine=Engine.JET, seats=100))
        database.insert(Plane(tailnum="N2", engine=Engine.PROP, seats=20))
        for number, (origin, delay, tail) in enumerate(
            [("JFK", 5, "N1"), ("JFK", 70, None), ("LGA", None, "N9"), ("JFK", 90, "N2")], 1
        ):
            database.insert(
                Flight(
                    id=number,
                    dep_delay=delay,
                    tailnum=tail,
                    distance=100.0 * number,
                    origin=Airport.key(origin),
                )
            )
        yield database


def test_a_table_is_its_columns_over_the_filter_of_its_query() -> None:
    query = (
        Flight.where(Flight.dep_delay > 0)
        .as_of(3)
        .table(Flight.origin[Airport.name], count(), Flight.dep_delay.avg().named("mean"))
    )
    assert query.ir == TableQuery(
        entity="Flight",
        columns=(
            TableColumn(name="origin.name", expression=FieldRef(path=("origin", "name"))),
            TableColumn(name="count", expression=Aggregate(function="count")),
            TableColumn(name="mean", expression=Aggregate(function="avg", operand=DELAY)),
        ),
        filter=Compare(op=">", left=DELAY, right=Literal(value=0)),
        as_of=3,
    )
    refined = query.distinct().having(count() > 1).order_by("mean desc").limit(2).offset(1)
    assert refined.ir.order == (OrderSpec(key=FieldRef(path=("mean",)), descending=True),)
    assert (refined.ir.distinct, refined.ir.limit, refined.ir.offset) == (True, 2, 1)
    assert not query.ir.distinct
    assert refined != query
    assert repr(refined) == (
        "Flight.where(dep_delay > 0).table(origin.name, count=count(), mean=avg(dep_delay))"
        ".distinct().having(count() > 1).order_by(mean desc).limit(2).offset(1).as_of(3)"
    )
    assert len({query, pickle.loads(pickle.dumps(query))}) == 1


def test_a_page_that_is_the_whole_is_nothing_that_a_table_has_no_use_for() -> None:
    query = Flight.where(Flight.dep_delay > 0).after(None).offset(0)
    assert query.table(count()) == Flight.where(Flight.dep_delay > 0).table(count())


def test_columns_have_the_names_of_what_they_are() -> None:
    query = Flight.all().table(
        Flight.dep_delay,
        Flight.dep_delay.max(),
        Flight.created.bucket("hour", 6),
        Flight.distance * 2,
        (Flight.dep_delay > 60).named("late"),
    )
    names = [column.name for column in query.ir.columns]
    assert names == ["dep_delay", "max_dep_delay", "created_hour", "column4", "late"]
    bucket = query.ir.columns[2].expression
    assert isinstance(bucket, Call)
    assert bucket.arguments[1:] == (Literal(value="hour"), Literal(value=6))


def test_orders_may_be_columns_folds_and_texts() -> None:
    query = Flight.all().table(Flight.tailnum, count())
    fold = Flight.dep_delay.sum(where=Flight.distance > 100)
    keys = query.order_by(
        Flight.tailnum,
        Flight.tailnum.desc(nulls_last=False),
        fold.desc(),
        count().asc(nulls_last=True),
        Flight.distance.max(),
        "count asc",
        "count / 2",
    ).ir.order
    assert [key.descending for key in keys] == [False, True, True, False, False, False, False]
    assert [key.nulls_last for key in keys] == [None, False, None, True, None, None, None]
    assert keys[2].key == fold.expression
    assert keys[5].key == FieldRef(path=("count",))
    assert keys[6].key == parse_expression("count / 2")


def test_rows_are_tuples_and_dicts_and_columns(shop: Database) -> None:
    query = Flight.all().table(Flight.origin[Airport.name], count().named("n"))
    table = shop.table(query)
    assert list(table) == [("Kennedy", 3), ("La Guardia", 1)]
    assert (table[0], table[-1], table[:1]) == (
        ("Kennedy", 3),
        ("La Guardia", 1),
        (("Kennedy", 3),),
    )
    assert table.columns == ("origin.name", "n")
    assert table.to_dicts()[1] == {"origin.name": "La Guardia", "n": 1}
    assert table.column("n") == [3, 1]
    assert len(table) == table.statistics.rows == 2
    assert repr(table) == "<2 rows of origin.name, n: ('Kennedy', 3), ('La Guardia', 1)>"
    with pytest.raises(QueryError, match=r"no column 'm'; there are origin\.name, n"):
        table.column("m")
    assert list(shop.table(query.ir)) == list(table)
    assert shop.explain(query).root.columns == table.columns


def test_values_are_read_as_those_of_objects(shop: Database) -> None:
    planes = Plane.all().table(Plane.engine, Plane.engine.max().named("last"), count())
    assert list(shop.table(planes)) == [
        (Engine.JET, Engine.JET, 1),
        (Engine.PROP, Engine.PROP, 1),
    ]
    places = Airport.all().table(Airport.faa, Airport.place).order_by(Airport.faa)
    assert list(shop.table(places)) == [("JFK", Place(1.5, 2.5, "Road 1")), ("LGA", None)]


def test_folds_take_a_condition_and_tell_values_apart(shop: Database) -> None:
    late = Flight.dep_delay > 60
    query = Flight.all().table(
        count(where=late),
        Flight.dep_delay.count(),
        Flight.origin[Airport.faa].count(distinct=True),
        Flight.distance.sum(where=late),
        Flight.dep_delay.min(),
        Flight.dep_delay.sum() / count(),
    )
    assert list(shop.table(query)) == [(2, 3, 2, 600.0, 5, 165 / 4)]
    busy = Flight.all().table(Flight.origin[Airport.faa]).having((count() > 1) & (count() < 9))
    assert list(shop.table(busy)) == [("JFK",)]
    same = Flight.all().table(Flight.origin[Airport.faa]).having("count() > 1", count() < 9)
    assert list(shop.table(same)) == [("JFK",)]


def test_snapshots_and_transactions_read_tables_too(shop: Database) -> None:
    query = Flight.all().table(count())
    with shop.snapshot() as snapshot, shop.transaction() as txn:
        txn.delete(Flight.key(1))
        assert list(txn.table(query)) == [(3,)]
        assert list(snapshot.table(query)) == [(4,)]


def test_a_table_hands_its_columns_to_arrow(shop: Database) -> None:
    table = shop.table(Flight.all().table(Flight.tailnum, Flight.distance.sum()))
    buffers = table.arrow().buffers("sum_distance")
    assert buffers.data.cast("B").tobytes()[:8]
    assert [name for name, _, _ in table.block.named_columns()] == list(table.columns)
    try:
        frame = table.to_pandas()
    except UnsupportedError:
        return
    assert list(frame.columns) == list(table.columns)


def test_what_is_no_part_of_a_table_is_refused() -> None:
    wrong: Any = "dep_delay"
    foreign: Any = Airport.name
    with pytest.raises(QueryError, match="no column of a table"):
        Flight.all().table(wrong)
    with pytest.raises(QueryError, match="is about Airport, not Flight"):
        Flight.all().table(foreign)
    with pytest.raises(QueryError, match="is about Airport, not Flight"):
        Flight.all().table(count()).order_by(foreign)
    with pytest.raises(QueryError, match="is about Airport, not Flight"):
        Flight.dep_delay.sum(where=foreign == "x")
    with pytest.raises(QueryError, match="is no predicate"):
        Flight.dep_delay.sum(where=wrong)
    with pytest.raises(QueryError, match="no use for limit, order of its query"):
        Flight.order_by(Flight.id).limit(3).table(count())
    number: Any = 5
    with pytest.raises(QueryError, match="5 is no order"):
        Flight.all().table(count()).order_by(number)
    with pytest.raises(QueryError, match="limit"):
        Flight.all().table(count()).limit(-1)
    parameter: Any = ormdb.param("n", str)
    with pytest.raises(QueryError, match="one: an int"):
        Flight.all().table(count()).offset(parameter)


def test_a_query_itself_is_no_table(shop: Database) -> None:
    query: Any = Flight.all()
    with pytest.raises(QueryError, match=r"is no table; make one with Airport\.all\(\)\.table"):
        shop.table(query)
