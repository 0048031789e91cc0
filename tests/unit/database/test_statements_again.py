"""Statements of a transaction are run again when it commits: the same is told, or it conflicts."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import pytest

import ormdb
from ormdb import Database, Entity, Field, Many, One, field, many, now, sequence
from ormdb.errors import ConflictError


class Counter(Entity):
    name: Field[str] = field(identity=True)
    group: Field[str] = field(index=True)
    count: Field[int] = field(default=0)
    seen: Field[datetime | None] = field(default=None)
    mark: Field[str | None] = field(default=None)


class Order(Entity):
    id: Field[int] = field(identity=True, default=sequence())
    lines: Many[Line] = many(inverse="order")


class Line(Entity):
    id: Field[int] = field(identity=True, default=sequence())
    order: One[Order]
    made: Field[datetime] = field(default=now())


@pytest.fixture
def db() -> Iterator[Database]:
    with ormdb.open(":memory:", schema=[Counter, Order, Line]) as opened:
        opened.insert_many([Counter(name=name, group=name[0]) for name in ("a1", "a2", "b1")])
        yield opened


def counts(db: Database) -> list[int]:
    return [counter.count for counter in db.fetch(Counter.order_by(Counter.name))]


def test_increments_of_transactions_side_by_side_all_count(db: Database) -> None:
    with db.transaction() as one_, db.transaction() as other:
        for txn in (one_, other):
            txn.update(Counter.key("a1"), Counter.count.add(1))
            assert txn.update_where(Counter.where(Counter.group == "a"), Counter.count.add(10)) == 2
    assert counts(db) == [22, 20, 0]


def test_a_statement_that_would_find_other_rows_now_conflicts(db: Database) -> None:
    with pytest.raises(ConflictError), db.transaction() as txn:
        assert txn.update_where(Counter.where(Counter.group == "a"), Counter.count.add(1)) == 2
        db.update(Counter.key("b1"), Counter.group.to("a"))
    assert counts(db) == [0, 0, 0]


def test_a_condition_that_is_no_longer_true_conflicts(db: Database) -> None:
    with pytest.raises(ConflictError), db.transaction() as txn:
        assert txn.update(Counter.key("a1"), Counter.count.to(5), where=Counter.count == 0)
        db.update(Counter.key("a1"), Counter.count.to(1))
    assert counts(db) == [1, 0, 0]


def test_a_row_that_somebody_else_adds_meanwhile_makes_an_upsert_conflict(db: Database) -> None:
    with pytest.raises(ConflictError), db.transaction() as txn:
        assert txn.upsert(Counter(name="c1", group="c")).effect == "created"
        db.insert(Counter(name="c1", group="d"))
    assert db.count(Counter.where(Counter.group == "d")) == 1


def test_a_version_that_is_overtaken_before_the_commit_conflicts(db: Database) -> None:
    key = Counter.key("a1")
    seen = db.row_version(key)
    with pytest.raises(ConflictError), db.transaction() as txn:
        assert txn.update(key, Counter.count.to(5), if_version=seen)
        db.update(key, Counter.count.to(1))
    assert counts(db) == [1, 0, 0]


def test_what_was_told_within_the_transaction_is_what_is_there_after_it(db: Database) -> None:
    order = Order()
    with db.transaction() as txn:
        txn.update_where(Counter.where(Counter.seen.is_null()), Counter.seen.to(now()))
        told = {counter.seen for counter in txn.fetch(Counter)}
        lines = txn.insert_graph(Line(order=order), Line(order=order))
        made = {line.made for line in txn.fetch(Line)}
        db.insert(Order())  # draws a number in between
    assert len(told) == 1
    assert {counter.seen for counter in db.fetch(Counter)} == told
    assert {line.made for line in db.fetch(Line)} == made
    assert [line.id for line in db.fetch(Line.order_by(Line.id))] == [line.id for line in lines]


def test_edges_of_a_graph_keep_the_numbers_that_were_told(db: Database) -> None:
    with db.transaction() as txn:
        (line,) = txn.insert_graph(Line(order=Order()))
        db.insert_many([Order(), Order()])
    found = db.fetch(Line.include(Line.order))[0]
    assert (found.id, found.order.id) == (line.id, line.order.id)
    assert db.count(Order) == 3
