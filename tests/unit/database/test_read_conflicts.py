"""What a transaction has read has to hold when it commits; what it has not read may change."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import pytest

import ormdb
from ormdb import Database, Entity, Field, Many, One, Transaction, count, field, index, many, one
from ormdb.errors import ConflictError, NotFoundError, UniqueError


class Shelf(Entity):
    name: Field[str] = field(identity=True)
    books: Many[Book] = many(inverse="shelf")


class Book(Entity):
    id: Field[int] = field(identity=True)
    pages: Field[int]
    rating: Field[int]  # without an index
    shelf: One[Shelf] = one()

    __indexes__ = (index("pages"),)


class Visitor(Entity):
    id: Field[int] = field(identity=True)
    nick: Field[str | None] = field(unique=True)


@pytest.fixture
def db() -> Iterator[Database]:
    with ormdb.open(":memory:", schema=[Shelf, Book, Visitor]) as opened:
        opened.insert_many([Shelf(name="a"), Shelf(name="b")])
        opened.insert_many(
            [
                Book(id=n, pages=10 * n, rating=n % 3, shelf=Shelf.key("a" if n < 5 else "b"))
                for n in range(1, 9)
            ]
        )
        yield opened


def book(number: int, pages: int = 15, rating: int = 1, shelf: str = "a") -> Book:
    return Book(id=number, pages=pages, rating=rating, shelf=Shelf.key(shelf))


Read: TypeAlias = Callable[[Transaction], object]
Change: TypeAlias = Callable[[Database], object]

# What is read, a change to it, and a change beside it.
CASES: dict[str, tuple[Read, Change, Change]] = {
    "a row by its identity": (
        lambda txn: txn.get(Book, 1),
        lambda db: db.update(Book.key(1), Book.rating.to(9)),
        lambda db: db.update(Book.key(2), Book.rating.to(9)),
    ),
    "an identity that nobody has": (
        lambda txn: txn.get(Book, 99),
        lambda db: db.insert(book(99)),
        lambda db: db.insert(book(98)),
    ),
    "an empty range": (
        lambda txn: txn.count(Book.where(Book.pages > 1_000)),
        lambda db: db.insert(book(99, pages=1_001)),
        lambda db: db.insert(book(99, pages=1_000)),
    ),
    "a range that a row leaves": (
        lambda txn: txn.fetch(Book.where(Book.pages.between(20, 30))),
        lambda db: db.update(Book.key(2), Book.pages.to(31)),
        lambda db: db.update(Book.key(4), Book.pages.to(41)),
    ),
    "the first of an order": (
        lambda txn: txn.fetch(Book.order_by(Book.pages).limit(2)),
        lambda db: db.insert(book(99, pages=15)),
        lambda db: db.insert(book(99, pages=75)),
    ),
    "the last of an order": (
        lambda txn: txn.fetch(Book.order_by(Book.pages.desc()).limit(2)),
        lambda db: db.update(Book.key(8), Book.rating.to(0)),
        lambda db: db.update(Book.key(1), Book.pages.to(11)),
    ),
    "rows that a filter without an index keeps": (
        lambda txn: txn.fetch(Book.where(Book.rating == 2)),
        lambda db: db.update(Book.key(1), Book.rating.to(2)),
        lambda db: db.update(Book.key(1), Book.rating.to(7)),
    ),
    "rows that a filter beside an index keeps": (
        lambda txn: txn.fetch(Book.where((Book.pages > 20) & (Book.rating == 2))),
        lambda db: db.update(Book.key(8), Book.rating.to(1)),
        lambda db: db.update(Book.key(3), Book.pages.to(33)),
    ),
    "the children of a row": (
        lambda txn: txn.fetch(Shelf.where(Shelf.name == "a").include(Shelf.books)),
        lambda db: db.insert(book(99, shelf="a")),
        lambda db: db.insert(book(99, shelf="b")),
    ),
    "some children of every row": (
        lambda txn: txn.fetch(Shelf.include(Shelf.books.where(Book.rating == 2))),
        lambda db: db.insert(book(99, rating=2)),
        lambda db: db.insert(book(99, rating=1)),
    ),
    "rows that have some child": (
        lambda txn: txn.fetch(Shelf.where(Shelf.books.any(Book.rating > 5))),
        lambda db: db.insert(book(99, rating=6)),
        lambda db: db.insert(book(99, rating=5)),
    ),
    "a filter over a path": (
        lambda txn: txn.count(Book.where(Book.shelf[Shelf.name] == "b")),
        lambda db: db.update(Book.key(1), Book.shelf.to(Shelf.key("b"))),
        lambda db: db.insert(Visitor(id=1, nick="x")),
    ),
    "how many rows there are": (
        lambda txn: txn.count(Book.all()),
        lambda db: db.insert(book(99)),
        lambda db: db.update(Book.key(1), Book.pages.to(3)),
    ),
    "whether there is any": (
        lambda txn: txn.exists(Book.where(Book.pages == 5)),
        lambda db: db.insert(book(99, pages=5)),
        lambda db: db.insert(book(99, pages=6)),
    ),
    "a sum of a group": (
        lambda txn: list(txn.table(Book.where(Book.rating == 2).table(Book.pages.sum(), count()))),
        lambda db: db.update(Book.key(2), Book.pages.to(21)),
        lambda db: db.update(Book.key(1), Book.pages.to(21)),
    ),
    "that a unique value is taken": (
        lambda txn: refused(UniqueError, lambda: txn.insert(Visitor(id=51, nick="taken"))),
        lambda db: db.delete(Visitor.key(50)),
        lambda db: db.insert(Visitor(id=52, nick="other")),
    ),
    "that a row is missing": (
        lambda txn: refused(NotFoundError, lambda: txn.delete(Visitor.key(77))),
        lambda db: db.insert(Visitor(id=77, nick=None)),
        lambda db: db.insert(Visitor(id=78, nick=None)),
    ),
}


def refused(kind: type[Exception], write: Callable[[], object]) -> None:
    with pytest.raises(kind):
        write()


@pytest.mark.parametrize("name", CASES)
def test_what_was_read_and_changed_meanwhile_is_a_conflict(db: Database, name: str) -> None:
    read, change, _ = CASES[name]
    db.insert(Visitor(id=50, nick="taken"))
    txn = db.transaction()
    read(txn)
    txn.insert(Visitor(id=1, nick=None))
    change(db)
    with pytest.raises(ConflictError) as caught:
        txn.commit()
    assert caught.value.retryable
    assert db.get(Visitor, 1) is None


@pytest.mark.parametrize("name", CASES)
def test_what_changed_beside_what_was_read_is_no_conflict(db: Database, name: str) -> None:
    read, _, change = CASES[name]
    db.insert(Visitor(id=50, nick="taken"))
    txn = db.transaction()
    read(txn)
    txn.insert(Visitor(id=2, nick=None))
    change(db)
    txn.commit()
    assert db.get(Visitor, 2) is not None


@pytest.mark.parametrize("name", CASES)
def test_what_only_reads_never_conflicts(db: Database, name: str) -> None:
    read, change, _ = CASES[name]
    if name.startswith("that "):
        return  # these write
    with db.transaction() as txn:
        read(txn)
        change(db)
        read(txn)
    assert txn.version is None


def test_a_transaction_that_has_read_nothing_never_conflicts(db: Database) -> None:
    with db.transaction() as txn:
        db.insert(book(99))
        txn.update(Book.key(1), Book.pages.to(5))
        db.update(Book.key(1), Book.pages.to(6))
    assert db.one(Book.where(Book.id == 1)).pages == 5


def test_two_writers_of_one_thread_run_beside_each_other(db: Database) -> None:
    first, second = db.transaction(), db.transaction()
    first.insert(Visitor(id=1, nick="x"))
    second.insert(Visitor(id=2, nick="y"))
    assert first.count(Visitor.all()) == second.count(Visitor.all()) == 1
    second.commit()
    with pytest.raises(ConflictError):
        first.commit()  # it has counted
    assert [visitor.id for visitor in db.fetch(Visitor.all())] == [2]


def test_a_unique_value_taken_meanwhile_is_a_conflict(db: Database) -> None:
    txn = db.transaction()
    txn.insert(Visitor(id=1, nick="x"))
    db.insert(Visitor(id=2, nick="x"))
    with pytest.raises(ConflictError, match="is refused now"):
        txn.commit()


def test_a_conflict_says_what_was_read_what_changed_it_and_when(db: Database) -> None:
    txn = db.transaction()
    read_at = db.version
    txn.fetch(Book.where(Book.pages > 70))
    txn.insert(Visitor(id=1, nick="x"))
    db.update(Book.key(8), Book.rating.to(9), context=ormdb.Context(principal="carol"))
    with pytest.raises(ConflictError) as caught:
        txn.commit()
    error: Any = caught.value
    assert (error.entity, error.identity, error.through) == ("Book", (8,), "index by_pages")
    assert (error.read_at, error.version, error.principal) == (read_at, db.version, "carol")
    assert "Book int 8 was changed by commit" in str(error)
