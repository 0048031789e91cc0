"""Changes come from the log in order, whole, typed, and never with a silent gap."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest

import ormdb
from ormdb import Context, Database, Entity, Field, field
from ormdb.database import changes
from ormdb.errors import ClosedError, HistoryError, QueryError


class Shelf(Entity):
    name: Field[str] = field(identity=True)
    place: Field[int] = field(identity=True)
    color: Field[str]


class Book(Entity):
    id: Field[int] = field(identity=True)
    title: Field[str]
    bought: Field[datetime.date | None]


def library() -> Database:
    return ormdb.open(":memory:", schema=[Shelf, Book])


def test_a_change_says_who_did_what_to_which_row_and_when() -> None:
    with library() as db:
        with db.transaction(context=Context(principal="alice")) as txn:
            txn.insert(Book(id=7, title="one", bought=None))
            txn.insert(Shelf(name="west", place=3, color="red"))
        db.update(Book.key(7), Book.title.to("two"))
        db.delete(Shelf.key("west", 3))
        found = list(db.changes(since=1, images=True))
    assert sorted((c.entity, c.kind, c.identity) for c in found if c.version == 2) == [
        ("Book", "insert", (7,)),
        ("Shelf", "insert", ("west", 3)),
    ]
    assert [(c.version, c.entity, c.kind, c.identity) for c in found[2:]] == [
        (3, "Book", "update", (7,)),
        (4, "Shelf", "delete", ("west", 3)),
    ]
    assert {change.principal for change in found if change.version == 2} == {"alice"}
    assert all(change.at.tzinfo is datetime.UTC for change in found)
    assert [change.at for change in found] == sorted(change.at for change in found)
    update, delete = found[2], found[3]
    assert update.before == {"id": 7, "title": "one", "bought": None}
    assert update.after == {"id": 7, "title": "two", "bought": None}
    assert delete.before == {"name": "west", "place": 3, "color": "red"}
    assert delete.after is None
    assert found[0].before is None


def test_without_images_there_are_none_and_identities_are_there() -> None:
    with library() as db:
        db.insert(Shelf(name="west", place=3, color="red"))
        db.update(Shelf.key("west", 3), Shelf.color.to("blue"))
        db.insert(Book(id=-4, title="", bought=datetime.date(2024, 5, 1)))
        db.delete(Shelf.key("west", 3))
        found = list(db.changes(since=0))
    assert [(change.kind, change.identity) for change in found] == [
        ("insert", ("west", 3)),
        ("update", ("west", 3)),
        ("insert", (-4,)),
        ("delete", ("west", 3)),
    ]
    assert {(change.before, change.after) for change in found} == {(None, None)}


def test_one_entity_can_be_asked_for() -> None:
    with library() as db:
        db.insert(Shelf(name="west", place=3, color="red"))
        db.insert(Book(id=1, title="", bought=None))
        assert [change.entity for change in db.changes(since=1, entity=Book)] == ["Book"]
        assert [change.entity for change in db.changes(since=1, entity="Shelf")] == ["Shelf"]
        with pytest.raises(QueryError):
            db.changes(since=1, entity="Nothing")


def test_a_consumer_goes_on_where_it_was_and_sees_each_commit_once() -> None:
    with library() as db:
        seen, since = list[int](), db.version
        for number in range(40):
            db.insert(Book(id=number, title="", bought=None))
            if number % 7 == 0:
                for change in db.changes(since=since):
                    seen.append(int(change.identity[0]))
                    since = change.version
        assert seen == list(range(36))
        assert list(db.changes(since=db.version)) == []


def test_a_log_that_no_longer_reaches_back_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes, "_COMMITS_PER_SNAPSHOT", 2)
    with library() as db:
        for number in range(9):
            db.insert(Book(id=number, title="", bought=None))
        with pytest.raises(HistoryError, match="not been made"):
            db.changes(since=11)
        going = db.changes(since=1)
        assert next(going).version == 2
        db.reclaim(keep_versions=2)
        with pytest.raises(HistoryError) as caught:
            list(going)
        assert caught.value.details["horizon"] == 9
        with pytest.raises(HistoryError):
            db.changes(since=8)
        assert [change.version for change in db.changes(since=9)] == [10]


def test_a_bulk_load_is_read_in_steps_and_in_order(tmp_path: Path) -> None:
    with ormdb.open(tmp_path / "a.ormdb", schema=[Book], durability="none") as db:
        db.bulk_load(Book, [{"id": n, "title": f"{n}", "bought": None} for n in range(5_000)])
        going = db.changes(since=1, images=True)
        first = next(going)
        assert first.after is not None
        assert first.after["title"] == "0"
        assert [change.identity[0] for change in going] == list(range(1, 5_000))


def test_a_closed_database_tells_nothing() -> None:
    db = library()
    db.close()
    with pytest.raises(ClosedError):
        db.changes(since=0)
