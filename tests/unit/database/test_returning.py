"""What a statement gives back: any graph of the rows it touched, as its transaction has them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import ormdb
from ormdb import Database, Entity, Field, Many, One, field, many, one, sequence
from ormdb.errors import UniqueError, UsageError


class Shelf(Entity):
    name: Field[str] = field(identity=True)
    books: Many[Book] = many(inverse="shelf")


class Book(Entity):
    id: Field[int] = field(identity=True, default=sequence())
    title: Field[str] = field(unique=True)
    lent: Field[int] = field(default=0)
    shelf: One[Shelf]


class Loan(Entity):
    book: One[Book] = one(identity=True)
    day: Field[int] = field(identity=True)
    back: Field[bool] = field(default=False)


@pytest.fixture
def db() -> Iterator[Database]:
    with ormdb.open(":memory:", schema=[Shelf, Book, Loan]) as opened:
        opened.insert(Shelf(name="s"))
        opened.insert_many([Book(title=title, shelf=Shelf.key("s")) for title in ("a", "b", "c")])
        yield opened


def test_an_update_gives_back_its_rows_with_what_is_around_them(db: Database) -> None:
    shape = Book.include(Book.shelf).order_by(Book.title.desc())
    books = db.returning(shape).update_where(Book.where(Book.title > "a"), Book.lent.add(1))
    assert [(book.title, book.lent, book.shelf.name) for book in books] == [
        ("c", 1, "s"),
        ("b", 1, "s"),
    ]


def test_an_insert_gives_back_what_was_drawn_and_filled_in(db: Database) -> None:
    book = db.returning(Book.include(Book.shelf)).insert(Book(title="d", shelf=Shelf.key("s")))
    assert (book.lent, book.shelf.name) == (0, "s")
    graph = db.returning(Book).insert_graph(Book(title="e", shelf=Shelf(name="t")))
    assert graph.to_dicts()[0]["shelf_name"] == "t"


def test_a_delete_gives_back_what_went(db: Database) -> None:
    gone = db.returning(Book.include(Book.shelf)).delete_where(Book.where(Book.title == "b"))
    assert [(book.title, book.shelf.name) for book in gone] == [("b", "s")]
    assert db.count(Book) == 2


def test_an_update_that_is_not_done_gives_back_nothing(db: Database) -> None:
    returning = db.returning(Book)
    assert returning.update(Book.key(1), Book.lent.add(1), where=Book.lent > 0) is None
    book = returning.update(Book.key(1), Book.lent.add(1))
    assert book is not None
    assert book.lent == 1


def test_upserts_and_saves_give_back_rows_of_composite_identity(db: Database) -> None:
    loans = [Loan(book=Book.key(1), day=1), Loan(book=Book.key(2), day=1)]
    assert len(db.returning(Loan).upsert_many(loans)) == 2
    saved = db.returning(Loan.include(Loan.book)).save(Loan(book=Book.key(1), day=1, back=True))
    assert [(loan.back, loan.book.title) for loan in saved] == [(True, "a")]


def test_a_transaction_gives_back_what_only_it_sees(db: Database) -> None:
    with db.transaction() as txn:
        books = txn.returning(Book).update_where(Book, Book.lent.to(7))
        assert {book.lent for book in books} == {7}
        assert {book.lent for book in db.fetch(Book)} == {0}


def test_what_is_refused_gives_back_its_error_and_changes_nothing(db: Database) -> None:
    version = db.version
    with pytest.raises(UniqueError):
        db.returning(Book).update_where(Book, Book.title.to("x"))
    with pytest.raises(UsageError, match="leave as_of out"):
        db.returning(Book.as_of(1)).update_where(Book, Book.lent.to(1))
    assert db.version == version
