"""What a transaction has read is noted, and refused at its first write when it changed."""

from __future__ import annotations

import pytest

import ormdb
from ormdb import Entity, Field, Many, One, field, index, many, one
from ormdb.errors import ConflictError


class Shelf(Entity):
    name: Field[str] = field(identity=True)
    books: Many[Book] = many(inverse="shelf")


class Book(Entity):
    id: Field[int] = field(identity=True)
    pages: Field[int]
    shelf: One[Shelf] = one()

    __indexes__ = (index("pages"),)


class Visitor(Entity):
    id: Field[int] = field(identity=True)


@pytest.fixture
def db() -> ormdb.Database:
    opened = ormdb.open(":memory:", schema=[Shelf, Book, Visitor])
    opened.insert(Shelf(name="a"))
    opened.insert(Book(id=1, pages=10, shelf=Shelf.key("a")))
    return opened


def read_by_identity(txn: ormdb.Transaction) -> object:
    return txn.get(Book, 1)


def read_an_absence(txn: ormdb.Transaction) -> object:
    return txn.get(Book, 99)


def read_an_empty_range(txn: ormdb.Transaction) -> object:
    return txn.count(Book.where(Book.pages > 1_000))


def read_a_relation(txn: ormdb.Transaction) -> object:
    return list(txn.fetch(Shelf.include(Shelf.books)))


def read_how_many(txn: ormdb.Transaction) -> object:
    return txn.count(Book.all())


def read_whether_any(txn: ormdb.Transaction) -> object:
    return txn.exists(Book.where(Book.pages == 5))


READS = (
    read_by_identity,
    read_an_absence,
    read_an_empty_range,
    read_a_relation,
    read_how_many,
    read_whether_any,
)


@pytest.mark.parametrize("read", READS, ids=lambda read: read.__name__)
def test_a_write_after_what_was_read_changed_is_refused(db: ormdb.Database, read: object) -> None:
    assert callable(read)
    with db.transaction() as txn:
        read(txn)
        db.insert(Book(id=2, pages=2_000, shelf=Shelf.key("a")))
        with pytest.raises(ConflictError) as caught:
            txn.insert(Visitor(id=1))
    assert caught.value.details["entity"] == "Book"
    assert db.count(Visitor.all()) == 0


@pytest.mark.parametrize("read", READS, ids=lambda read: read.__name__)
def test_a_change_to_what_was_not_read_is_no_conflict(db: ormdb.Database, read: object) -> None:
    assert callable(read)
    with db.transaction() as txn:
        read(txn)
        db.insert(Visitor(id=7))
        txn.insert(Visitor(id=1))
    assert db.count(Visitor.all()) == 2


def test_a_transaction_that_has_read_nothing_never_conflicts(db: ormdb.Database) -> None:
    with db.transaction() as txn:
        db.insert(Book(id=2, pages=5, shelf=Shelf.key("a")))
        txn.insert(Visitor(id=1))
    assert db.count(Visitor.all()) == 1
