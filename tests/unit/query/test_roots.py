"""Holds that every row comes at most once, and that an entry that lies about its row raises."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from ormdb.database.database import Database
from ormdb.errors import CorruptionError
from ormdb.ir.expr import And, CompareOp, Expr
from ormdb.ir.graph import GraphQuery, Page
from ormdb.ir.value import Value
from ormdb.storage.engine import Item, Space
from ormdb.storage.keys import row_key
from ormdb.storage.layout import EntityLayout
from ormdb.storage.memory import MemoryEngine
from tests.unit.query.airline import among, by, compare, open_airline

FLIGHTS = 30


@pytest.fixture
def own_airline() -> Generator[Database]:
    """An airline that a test may damage."""
    with open_airline(MemoryEngine(), FLIGHTS) as database:
        yield database


def flight_layout(database: Database) -> EntityLayout:
    with database.snapshot() as snapshot:
        return snapshot.layout.entities["Flight"]


def put(database: Database, space: Space, *items: Item) -> None:
    """Write into a space behind the database's back."""
    txn = database.engine.begin_write()
    txn.put_many(space, items)
    txn.commit()


def ids(database: Database, condition: Expr | None = None, *order: str, **page: Value) -> list[int]:
    query = GraphQuery(
        entity="Flight", filter=condition, order=by(*order), select=("id",), page=Page(**page)
    )
    return [row["id"] for row in database.run_fetch(query).dicts()]


def test_a_list_with_repeats_gives_each_row_once(own_airline: Database) -> None:
    assert ids(own_airline, among("id", 3, 3, 5, 3.0)) == [3, 5]
    assert ids(own_airline, among("number", "OR3", "OR5", "OR3")) == [3, 5]


def test_null_among_identities_is_nobodys(own_airline: Database) -> None:
    for nothing in ((None,), (None, None)):
        assert ids(own_airline, among("id", *nothing)) == []
    assert ids(own_airline, among("id", None, 3, None)) == [3]
    for codes, found in (((None, "JFK"), ["JFK"]), ((None,), []), (("LGA", None, "JFK"), None)):
        query = GraphQuery(entity="Airport", filter=among("code", *codes), order=by("code"))
        shown = [row["code"] for row in own_airline.run_fetch(query).dicts()]
        assert shown == (["JFK", "LGA"] if found is None else found)


def test_over_long_values_of_one_beginning_give_each_row_once(own_airline: Database) -> None:
    long = ["x" * 600 + tail for tail in "abc"]
    own_airline.bulk_load(
        "Flight",
        [
            {"id": 100 + n, "origin_code": "JFK", "time": n, "number": text}
            for n, text in enumerate(long)
        ],
    )
    assert ids(own_airline, among("number", *long)) == [100, 101, 102]
    assert ids(own_airline, among("number", long[1], long[2])) == [101, 102]


@pytest.mark.parametrize("direction", ["", "-"])
def test_over_long_values_come_in_their_order_however_they_are_read(
    own_airline: Database, direction: str
) -> None:
    texts = [
        f"{begin * 700}{(at * 37) % 101:03}" if at % 5 else f"{begin}{at}"
        for begin in "pqr"
        for at in range(23)
    ]
    own_airline.bulk_load(
        "Flight",
        [
            {"id": 100 + at, "origin_code": "JFK", "time": at, "number": text}
            for at, text in enumerate(texts)
        ],
    )
    expected = sorted(range(len(texts)), key=texts.__getitem__, reverse=direction == "-")
    long = And(items=(compare(">", "number", "p"), compare("<", "number", "z")))
    order = f"{direction}number"
    found = ids(own_airline, long, order)
    assert found == [100 + at for at in expected]
    for limit in (1, 2, 4, 7, 30):
        assert ids(own_airline, long, order, limit=limit) == found[:limit]
        assert ids(own_airline, long, order, limit=limit, offset=9) == found[9 : 9 + limit]
        paged, keys_read = list[int](), 0
        page = Page(limit=limit)
        while True:
            query = GraphQuery(entity="Flight", filter=long, order=by(order), page=page)
            answer = own_airline.run_fetch(query)
            keys_read += answer.statistics.keys_read
            paged.extend(row["id"] for row in answer.dicts())
            if answer.next_cursor is None:
                break
            page = Page(limit=limit, after=answer.next_cursor)
        assert paged == found
        # A page goes on where the run of values begins that its cursor lies in, not at the top.
        assert limit > 4 or keys_read < 1.1 * {1: 4_236, 2: 2_712, 4: 832}[limit]
        back = Page(limit=limit, before=answer.previous_cursor)
        query = GraphQuery(entity="Flight", filter=long, order=by(order), page=back)
        first = len(found) - len(answer)
        shown = [row["id"] for row in own_airline.run_fetch(query).dicts()]
        assert shown == found[max(0, first - limit) : first]
        whole = GraphQuery(entity="Flight", filter=long, order=by(order))
        streamed = own_airline.run_stream(whole, batch=limit)
        assert [row["id"] for part in streamed for row in part.dicts()] == found


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (compare(">", "id", 27), [28, 29]),
        (compare(">=", "id", 28), [28, 29]),
        (compare("<", "id", 2), [0, 1]),
        (compare("<=", "id", 1), [0, 1]),
        (And(items=(compare(">", "id", 3), compare("<=", "id", 5))), [4, 5]),
        (And(items=(compare(">", "id", 5), compare("<", "id", 3))), []),
        (compare(">", "id", 2**63 - 1), []),
        (And(items=(compare("<=", "id", 2**63 - 1), compare(">", "id", 28))), [29]),
        (And(items=(compare(">=", "id", -(2**63)), compare("<", "id", 1))), [0]),
    ],
)
def test_bounds_of_an_int_identity_are_exact(
    own_airline: Database, condition: Expr, expected: list[int]
) -> None:
    assert ids(own_airline, condition) == expected
    assert ids(own_airline, condition, "-id") == expected[::-1]


def test_a_scan_reads_no_further_than_its_page(own_airline: Database) -> None:
    query = GraphQuery(entity="Flight", order=by("-id"), page=Page(limit=2), select=("id",))
    answer = own_airline.run_fetch(query)
    assert [row["id"] for row in answer.dicts()] == [FLIGHTS - 1, FLIGHTS - 2]
    assert answer.statistics.keys_read <= 3


def test_an_index_entry_of_other_values_raises(own_airline: Database) -> None:
    index = next(i for i in flight_layout(own_airline).indexes if i.name == "by_number")
    put(own_airline, index.space, (index.encode_values(["OR999"]), row_key(3)))
    with pytest.raises(CorruptionError, match=r"by_number .*other values.*check --deep"):
        ids(own_airline, compare("==", "number", "OR999"))


def test_an_index_entry_without_a_row_raises(own_airline: Database) -> None:
    index = next(i for i in flight_layout(own_airline).indexes if i.name == "by_time")
    put(own_airline, index.space, (index.encode_values([7]), row_key(12_345)))
    with pytest.raises(CorruptionError, match="not there"):
        ids(own_airline, None, "time", limit=5)


def test_an_index_entry_without_a_row_raises_among_kept_rows_too() -> None:
    with open_airline(MemoryEngine(), FLIGHTS, cache_bytes=1 << 20) as kept:
        assert len(ids(kept, None, "time", limit=9)) == 9  # whose entries are kept
        index = next(i for i in flight_layout(kept).indexes if i.name == "by_time")
        put(kept, index.space, (index.encode_values([8]), row_key(12_345)))
        with pytest.raises(CorruptionError, match="not there"):
            ids(kept, None, "time", limit=5)


def test_an_identity_entry_without_a_row_raises(own_airline: Database) -> None:
    with own_airline.snapshot() as snapshot:
        identity = snapshot.layout.entities["Airport"].identity
    assert identity is not None
    put(own_airline, identity.space, (identity.encode_values(["ZZZ"]), row_key(99)))
    with pytest.raises(CorruptionError, match="not there"):
        own_airline.run_fetch(GraphQuery(entity="Airport", filter=compare("==", "code", "ZZZ")))


def test_two_identities_that_lead_to_one_row_raise(own_airline: Database) -> None:
    with own_airline.snapshot() as snapshot:
        identity = snapshot.layout.entities["Airport"].identity
    assert identity is not None
    jfk, other = identity.encode_values(["JFK"]), identity.encode_values(["ZZZ"])
    txn = own_airline.engine.begin_read()
    found = txn.many(identity.space, [jfk])[0]
    txn.close()
    put(own_airline, identity.space, (other, found))
    condition = among("code", "JFK", "ZZZ")
    with pytest.raises(CorruptionError, match="other values"):
        own_airline.run_fetch(GraphQuery(entity="Airport", filter=condition))


def test_a_relation_entry_of_another_parent_gives_no_wrong_row(own_airline: Database) -> None:
    relation = next(r for r in flight_layout(own_airline).outgoing if r.name == "plane")
    assert relation.index is not None
    put(own_airline, relation.index.space, (relation.index.encode_values(["N77"]), row_key(3)))
    # The filter asks for the same values, so it rechecks the entries.
    assert ids(own_airline, compare("==", "tail", "N77")) == []


def test_rows_with_null_meet_no_bound_in_either_direction(own_airline: Database) -> None:
    own_airline.bulk_load("Flight", [{"id": 500, "origin_code": "JFK", "time": 1}])
    operators: tuple[CompareOp, ...] = (">=", "<=")
    for op in operators:
        found = ids(own_airline, compare(op, "price", 3), "price")
        assert found
        assert 500 not in found
        assert ids(own_airline, compare(op, "price", 3), "-price")[::-1] == found
