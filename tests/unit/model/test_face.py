"""Every method of the face makes ir values and calls one run_* method."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from ormdb import Result, limits
from ormdb.errors import NotOneError, QueryError, UsageError
from ormdb.ir.graph import GraphQuery, Page
from ormdb.ir.mutation import Delete, Insert, Update
from ormdb.model.result import Result as ModelResult
from ormdb.session import Reader, Session, Writer
from tests.unit.model.sample import Airport, FakeAnswer, FakeSession, Flight, Plane, blocks


def answering(count: int) -> FakeSession:
    root = blocks().entities[0]
    columns = tuple(column[:count] for column in root.columns)
    found = dataclasses.replace(
        blocks(), entities=(dataclasses.replace(root, columns=columns),), edges=()
    )
    return FakeSession(FakeAnswer(found))


def test_a_typed_session_is_a_session() -> None:
    session = FakeSession()
    as_session: Session = session
    as_writer: Writer = session
    as_reader: Reader = session
    assert as_session is as_writer is as_reader
    assert Result is ModelResult


@pytest.mark.parametrize("query", [Airport, Airport.all(), GraphQuery(entity="Airport")])
def test_fetch_takes_a_query_a_class_or_ir(query: Any) -> None:
    session = FakeSession()
    result = session.fetch(query)
    assert session.asked == [GraphQuery(entity="Airport")]
    assert [type(one).__name__ for one in result] == ["Airport", "Airport"]
    assert type(result[0].departures[0].plane).__name__ == "Plane"


def test_fetch_refuses_what_is_no_query() -> None:
    wrong: Any = "Airport"
    with pytest.raises(QueryError, match="'Airport' is no query; give one"):
        FakeSession().fetch(wrong)
    with pytest.raises(QueryError, match="the schema has no entity 'Nothing'"):
        list(FakeSession().fetch(GraphQuery(entity="Nothing")))


def test_rows_that_no_class_leads_to_come_in_classes_of_the_schema() -> None:
    found = FakeSession().fetch(GraphQuery(entity="Airport"))[0]
    assert type(found) is not Airport
    assert found.name == "Kennedy"
    assert found.departures[0].dep_delay == 5


def test_get_of_a_bare_row_takes_the_short_way() -> None:
    session = FakeSession()
    jfk = session.get(Airport, "JFK")
    assert jfk is not None
    assert (jfk.name, jfk.faa) == ("Kennedy", "JFK")
    assert session.get(Airport.key("JFK")) == jfk
    assert session.asked == [("Airport", ("JFK",))] * 2
    session.row = None
    assert session.get(Airport, "SFO") is None


def test_get_with_includes_is_a_fetch() -> None:
    session = FakeSession()
    key = Airport.key("JFK").include(Airport.departures)
    jfk = session.get(key)
    assert session.asked == [key.ir]
    assert jfk is not None
    assert len(jfk.departures) == 2
    assert answering(0).get(key) is None
    wrong: Any = key
    with pytest.raises(UsageError, match="has an identity already"):
        session.get(wrong, "LGA")


def test_first_and_one_ask_for_no_more_than_they_need() -> None:
    session = answering(1)
    assert session.first(Airport) == session.one(Airport.order_by(Airport.name))
    assert [query.page for query in session.asked] == [Page(limit=1), Page(limit=2)]
    assert session.first(Airport.limit(0)) is not None
    assert session.asked[-1].page == Page(limit=0)
    assert answering(0).first(Airport) is None


@pytest.mark.parametrize(("count", "words"), [(0, "no row"), (2, "more than one row")])
def test_one_refuses_none_and_several(count: int, words: str) -> None:
    with pytest.raises(NotOneError, match=f"found {words}"):
        answering(count).one(Airport)


def test_exists_and_count_ask_for_the_query_as_it_is() -> None:
    session = FakeSession()
    query = Flight.where(Flight.id > 1)
    assert session.exists(query)
    assert session.exists(Airport.key("JFK"))
    assert session.count(query) == 2
    assert session.count(Flight) == 2
    assert session.asked == [
        query.ir,
        Airport.key("JFK").ir,
        query.ir,
        GraphQuery(entity="Flight"),
    ]


def test_a_stream_gives_each_row_once_as_objects_batches_or_dicts() -> None:
    session = FakeSession()
    query = Airport.order_by(Airport.faa)
    with session.stream(query, batch=2) as airports:
        assert [airport.faa for airport in airports] == ["JFK", "LGA", "JFK", "LGA"]
    mixed = session.stream(query)
    first = next(mixed)
    assert (first.faa, [len(rows) for rows in mixed.batches()]) == ("JFK", [2])
    closed = session.stream(Airport)
    closed.close()
    assert list(closed.dicts()) == []
    assert session.asked == [
        (query.ir, 2),
        (query.ir, limits.STREAM_BATCH_ROWS),
        (GraphQuery(entity="Airport"), limits.STREAM_BATCH_ROWS),
    ]


def test_explain_asks_for_what_fetch_would() -> None:
    session = FakeSession()
    query, key = Flight.where(Flight.id > 1), Airport.key("JFK")
    assert session.explain(query).entity == "Flight"
    session.explain(Flight, analyze=True)
    session.explain(key)
    session.explain(GraphQuery(entity="Plane"))
    assert session.asked == [
        (query.ir, False),
        (GraphQuery(entity="Flight"), True),
        (key.ir, False),
        (GraphQuery(entity="Plane"), False),
    ]
    wrong: Any = "Airport"
    with pytest.raises(QueryError, match="'Airport' is no query; give one"):
        session.explain(wrong)


def test_insert_gives_the_row_back_with_its_identity() -> None:
    session = FakeSession()
    flight = session.insert(Flight(dep_delay=3, origin=Airport.key("JFK")))
    assert flight.id == 100
    assert flight.dep_delay == 3
    assert session.asked == [
        [Insert(entity="Flight", rows=({"dep_delay": 3, "origin_faa": "JFK"},))]
    ]


def test_rows_of_several_classes_are_inserted_in_order_by_one_call() -> None:
    session = FakeSession()
    rows: list[Any] = [
        Airport(faa="JFK", name="Kennedy"),
        Airport(faa="LGA", name="La Guardia"),
        Plane(tailnum="N1"),
    ]
    assert session.insert_many(rows) == rows
    (mutations,) = session.asked
    assert [(one.entity, len(one.rows)) for one in mutations] == [("Airport", 2), ("Plane", 1)]
    wrong: Any = {"faa": "JFK"}
    with pytest.raises(UsageError, match=r"insert_rows\(\) takes dicts"):
        session.insert(wrong)


def test_update_names_a_row_by_key_or_object() -> None:
    session = FakeSession()
    session.update(Airport.key("JFK"), Airport.name.to("Idlewild"))
    session.update(Airport(faa="JFK", name="Kennedy"), Airport.name.to("Idlewild"))
    update = Update(entity="Airport", identity=("JFK",), changes={"name": "Idlewild"})
    assert session.asked == [[update], [update]]


def test_update_refuses_assignments_that_do_not_fit() -> None:
    session = FakeSession()
    wrong: Any = Flight.dep_delay.to(3)
    with pytest.raises(QueryError, match="is about Flight, not Airport"):
        session.update(Airport.key("JFK"), wrong)
    with pytest.raises(UsageError, match="name is assigned twice"):
        session.update(Airport.key("JFK"), Airport.name.to("a"), Airport.name.to("b"))
    nothing: Any = "JFK"
    with pytest.raises(UsageError, match="'JFK' names no row"):
        session.update(nothing)
    assert session.asked == []


def test_delete_takes_keys_and_objects_of_several_entities() -> None:
    session = FakeSession()
    session.delete(Airport.key("JFK"), Airport(faa="LGA", name=""), Plane.key("N1"))
    assert session.asked == [
        [
            Delete(entity="Airport", identities=(("JFK",), ("LGA",))),
            Delete(entity="Plane", identities=(("N1",),)),
        ]
    ]


def test_tools_write_by_names() -> None:
    session = FakeSession()
    assert session.insert_rows("Airport", [{"faa": "JFK"}]) == [("JFK",)]
    session.update_row(Airport, ("JFK",), {"name": "x"})
    session.delete_rows("Airport", [("JFK",)])
    assert [mutation for (mutation,) in session.asked] == [
        Insert(entity="Airport", rows=({"faa": "JFK"},)),
        Update(entity="Airport", identity=("JFK",), changes={"name": "x"}),
        Delete(entity="Airport", identities=(("JFK",),)),
    ]


def test_transactions_and_snapshots_are_those_of_the_session() -> None:
    session = FakeSession()
    with session.transaction() as txn:
        assert txn.count(Airport) == 2
    with session.snapshot(as_of=7) as snapshot:
        assert snapshot.exists(Airport)
    assert [asked for asked in session.asked if not isinstance(asked, GraphQuery)] == [
        "end",
        7,
        "end",
    ]
