"""Holds that the first children of each parent are the right ones, however long their keys are."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import ormdb
from ormdb import Database, Entity, Field, Many, One, field, index, many, one


class Shelf(Entity):
    name: Field[str] = field(identity=True)
    books: Many[Book] = many(inverse="shelf")


class Book(Entity):
    id: Field[int] = field(identity=True)
    title: Field[str]
    pages: Field[int | None]
    shelf: One[Shelf | None] = one()

    __indexes__ = (index("shelf_name", "title"), index("shelf_name", "pages"))


LONG = "x" * 700
# Of the first shelf all are short, of the second all long, of the third some; the last is empty.
TITLES = {
    "short": ["m", "c", "a", "k", "b"],
    "long": [f"{LONG}{tail}" for tail in "mcakb"],
    "some": ["a", f"{LONG}b", "b", f"{LONG}a", "c", f"{LONG}c"],
    "none": [],
}


@pytest.fixture(params=[0, 1 << 20])
def db(request: pytest.FixtureRequest) -> Iterator[Database]:
    with ormdb.open(":memory:", schema=(Shelf, Book), cache_bytes=request.param) as opened:
        opened.insert_many([Shelf(name=name) for name in TITLES])
        number = 0
        for name, titles in TITLES.items():
            for title in titles:
                number += 1
                pages = number % 3 or None
                book = Book(id=number, title=title, pages=pages, shelf=Shelf.key(name))
                opened.insert(book)
        opened.insert(Book(id=99, title="lost", pages=1, shelf=None))
        yield opened


@pytest.mark.parametrize("shelves", [("short",), ("long",), ("some",), tuple(TITLES)])
@pytest.mark.parametrize("descending", [False, True])
def test_the_first_of_each_parent_are_those_of_all_in_order(
    db: Database, shelves: tuple[str, ...], *, descending: bool
) -> None:
    order = Book.title.desc() if descending else Book.title.asc()
    for limit in (1, 2, 3, 9):
        for offset in (0, 1, 4):
            children = Shelf.books.order_by(order).limit(limit).offset(offset)
            query = Shelf.where(Shelf.name.in_(list(shelves))).include(children)
            for _ in range(2):
                for shelf in db.fetch(query):
                    titles = sorted(TITLES[shelf.name], reverse=descending)
                    found = [book.title for book in shelf.books]
                    assert found == titles[offset : offset + limit]


def test_what_short_keys_tell_is_read_of_each_parent_and_no_more(db: Database) -> None:
    children = Shelf.books.order_by(Book.title).limit(2)
    taken = db.fetch(Shelf.where(Shelf.name == "short").include(children)).statistics
    assert taken.rows == 1 + 2
    # The identity, the row of the shelf, and two entries with their rows.
    assert taken.keys_read <= 2 + 1 + 1 + 2 * 2


def test_ties_and_null_come_in_the_order_of_rows(db: Database) -> None:
    for order, nulls_first in ((Book.pages.asc(), True), (Book.pages.desc(), False)):
        children = Shelf.books.order_by(order).limit(3)
        for shelf in db.fetch(Shelf.include(children)):
            every = db.fetch(Book.where(Book.shelf[Shelf.name] == shelf.name).order_by(order))
            assert [book.id for book in shelf.books] == [book.id for book in every][:3]
            known = [book.pages is None for book in every]
            assert known == sorted(known, reverse=nulls_first)
