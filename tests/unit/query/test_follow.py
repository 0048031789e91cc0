"""Holds that relations lead to every target once, and that an entry that lies raises."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from ormdb.database.database import Database
from ormdb.errors import CorruptionError
from ormdb.ir.graph import GraphQuery, Include, Page
from ormdb.query.follow import Level, follow_to_many, follow_to_one
from ormdb.storage.batches import split_ids
from ormdb.storage.engine import Item, Space
from ormdb.storage.keys import row_key
from ormdb.storage.layout import Layout, RelationLayout
from ormdb.storage.memory import MemoryEngine
from ormdb.storage.views import CurrentView
from tests.unit.query.airline import open_airline

FLIGHTS = 30


@pytest.fixture
def own_airline() -> Generator[Database]:
    """An airline that a test may damage."""
    with open_airline(MemoryEngine(), FLIGHTS) as database:
        yield database


def opened(database: Database) -> tuple[CurrentView, Layout]:
    with database.snapshot() as snapshot:
        layout = snapshot.layout
    return CurrentView(database.engine.begin_read(), database.version), layout


def rows_of(view: CurrentView, relation: RelationLayout, *numbers: int) -> Level:
    """Rows of the relation's source, wholly decoded."""
    keys = [row_key(number) for number in numbers]
    found = [row for row in view.rows(relation.source, keys) if row is not None]
    return Level(relation.source.codec.whole.decode_batch(keys, found), keys)


def put(database: Database, space: Space, *items: Item) -> None:
    txn = database.engine.begin_write()
    txn.put_many(space, items)
    txn.commit()


def test_targets_come_once_however_many_rows_lead_to_them(own_airline: Database) -> None:
    view, layout = opened(own_airline)
    for name in ("origin", "plane"):
        relation = layout.relations["Flight", name]
        flights = rows_of(view, relation, 0, 1, 2, 0, 1)
        level, positions = follow_to_one(view, relation, flights, relation.target.codec.whole)
        assert len(level.rows) == len(set(positions)) == 3
        assert positions[:2] == positions[3:]


def test_rows_without_a_target_have_no_position(own_airline: Database) -> None:
    view, layout = opened(own_airline)
    plane = layout.relations["Flight", "plane"]
    flights = rows_of(view, plane, 5, 0)  # the tail of flight 5 is NULL
    origin = Level([*flights.rows, None], [*flights.keys, b""])
    level, positions = follow_to_one(view, plane, origin, plane.target.codec.whole)
    assert (len(level.rows), positions) == (1, [-1, 0, -1])


def test_values_that_lead_nowhere_are_kept_and_link_when_their_target_arrives(
    own_airline: Database,
) -> None:
    own_airline.bulk_load("Flight", [{"id": 900, "origin_code": "JFK", "time": 1, "tail": "later"}])
    query = GraphQuery(entity="Flight", includes=(Include(relation="plane"),), page=Page(limit=99))

    def plane_of_900() -> object:
        return own_airline.run_fetch(query).dicts()[-1]["plane"]

    assert plane_of_900() is None
    own_airline.bulk_load("Plane", [{"tail": "later", "seats": 9}])
    assert plane_of_900() == {"tail": "later", "seats": 9}


def test_children_come_parent_by_parent_in_row_order(own_airline: Database) -> None:
    view, layout = opened(own_airline)
    origin = layout.relations["Flight", "origin"]
    keys = [row_key(number) for number in (3, 1)]
    found = [row for row in view.rows(origin.target, keys) if row is not None]
    parents = Level(origin.target.codec.whole.decode_batch(keys, found), keys)
    level, counts = follow_to_many(view, origin, parents, origin.source.codec.whole)
    assert counts == [10, 10]
    assert level.keys[:10] == sorted(level.keys[:10])
    assert level.keys[10:] == sorted(level.keys[10:])
    few, counts = follow_to_many(view, origin, parents, origin.source.codec.whole, limit_each=2)
    assert counts == [2, 2]
    assert few.keys == [*level.keys[:2], *level.keys[10:12]]


def test_a_child_under_a_parent_it_does_not_name_raises(own_airline: Database) -> None:
    for name, include in (("origin", "departures"), ("plane", "flights")):
        view, layout = opened(own_airline)
        relation = layout.relations["Flight", name]
        assert relation.index is not None
        key = row_key(1) if name == "origin" else relation.index.encode_values(["N3"])
        put(own_airline, relation.index.space, (key, row_key(1)))
        view.txn.close()
        query = GraphQuery(entity=relation.target.name, includes=(Include(relation=include),))
        with pytest.raises(CorruptionError, match=rf"Flight\.{name} .*refers elsewhere"):
            own_airline.run_fetch(query)


def test_an_enforced_reference_to_a_row_that_is_gone_raises(own_airline: Database) -> None:
    _, layout = opened(own_airline)
    txn = own_airline.engine.begin_write()
    txn.delete_many(layout.entities["Airport"].rows, [row_key(2)])
    txn.commit()
    query = GraphQuery(entity="Flight", includes=(Include(relation="origin"),))
    with pytest.raises(CorruptionError, match=r"refers by origin to row 2 .*not there"):
        own_airline.run_fetch(query)


def test_an_identity_entry_of_another_row_raises(own_airline: Database) -> None:
    _, layout = opened(own_airline)
    identity = layout.entities["Plane"].identity
    assert identity is not None
    own_airline.bulk_load("Flight", [{"id": 901, "origin_code": "JFK", "time": 1, "tail": "ghost"}])
    put(own_airline, identity.space, (identity.encode_values(["ghost"]), row_key(1)))
    query = GraphQuery(entity="Flight", includes=(Include(relation="plane"),))
    with pytest.raises(CorruptionError, match="refers elsewhere"):
        own_airline.run_fetch(query)


def test_an_identity_entry_of_a_row_that_is_not_there_raises(own_airline: Database) -> None:
    _, layout = opened(own_airline)
    identity = layout.entities["Plane"].identity
    assert identity is not None
    own_airline.bulk_load("Flight", [{"id": 901, "origin_code": "JFK", "time": 1, "tail": "ghost"}])
    put(own_airline, identity.space, (identity.encode_values(["ghost"]), row_key(9_999)))
    query = GraphQuery(entity="Flight", includes=(Include(relation="plane"),))
    with pytest.raises(CorruptionError, match=r"leads to a row of Plane that is not there"):
        own_airline.run_fetch(query)


def test_joined_row_keys_are_split_where_they_were_joined() -> None:
    keys = [row_key(number) for number in (5, 1, -7)]
    assert split_ids(b"".join(keys)) == keys
    assert split_ids(b"") == []
