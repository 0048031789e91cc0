"""Rows that are deleted softly are met by no reader, and can be restored until they are purged."""

from __future__ import annotations

import datetime

import pytest

import ormdb
from ormdb import Entity, Field, Many, One, field, full_text, index, limits, many, one, sequence
from ormdb.database.database import Database
from ormdb.errors import (
    ForeignKeyError,
    NotFoundError,
    SchemaError,
    UniqueError,
    UsageError,
)
from ormdb.model.build import build_bundle
from tests.oracle.clocks import StillClock

DAY = datetime.timedelta(days=1)


class Shop(Entity):
    name: Field[str] = field(identity=True)
    items: Many[Item] = many(inverse="shop")
    __soft_delete__ = True


class Item(Entity):
    id: Field[int] = field(identity=True, default=sequence())
    label: Field[str] = field(unique=True)
    price: Field[int] = field(default=1, index=True)
    shop: One[Shop] = one(on_delete="cascade")
    twin: One[Item | None] = one(default=None, on_delete="set_null")
    notes: Many[Note] = many(inverse="item")
    __soft_delete__ = True
    __indexes__ = (full_text("label"), index("price", where="price > 5", name="dear"))


class Note(Entity):
    id: Field[int] = field(identity=True)
    item: One[Item | None] = one(default=None, on_delete="set_null")
    shop: One[Shop | None] = one(default=None)
    about: Field[str | None] = field(default=None)
    named: One[Item | None] = one(via="about", references="label", enforced=False)


@pytest.fixture
def db() -> Database:
    db = ormdb.open(":memory:", schema=[Shop, Item, Note])
    db.insert_many([Shop(name="a"), Shop(name="b")])
    db.insert_many(
        [
            Item(id=1, label="one", shop=Shop.key("a")),
            Item(id=2, label="two", price=9, shop=Shop.key("a"), twin=Item.key(1)),
            Item(id=3, label="three", price=9, shop=Shop.key("b")),
        ]
    )
    db.insert(Note(id=1, item=Item.key(2), about="two"))
    return db


def ids(rows: ormdb.Result[Item]) -> list[int]:
    return [row.id for row in rows]


def test_a_deleted_row_is_met_on_no_path(db: Database) -> None:
    before = db.version
    count = db.prepare(Item.where(Item.price == 9))
    assert ids(count.fetch()) == [2, 3]
    db.delete(Item.key(2))
    assert ids(db.fetch(Item)) == [1, 3]
    assert ids(count.fetch()) == [3]
    assert ids(db.fetch(Item.where(Item.label == "two"))) == []
    assert ids(db.fetch(Item.where("matches(label, 'two')"))) == []
    assert ids(db.fetch(Item.where(Item.price > 5))) == [3]
    assert db.get(Item, 2) is None
    assert not db.exists(Item.key(2))
    assert db.count(Item) == 2
    assert list(db.table(Item.all().table(Item.price.sum()))) == [(10,)]
    shop = db.fetch(Shop.where(Shop.name == "a").include(Shop.items))[0]
    assert [item.id for item in shop.items] == [1]
    assert db.count(Shop.where("any(items, price > 5)")) == 1
    assert db.count(Shop.where("none(items, price > 5)")) == 1
    assert db.count(Shop.where("all(items, price < 5)")) == 1
    assert [row.id for row in db.stream(Item)] == [1, 3]
    note = db.fetch(Note.all().include(Note.item, Note.named))[0]
    assert (note.item, note.named) == (None, None)
    with db.transaction() as txn:
        assert txn.get(Item, 2) is None
        with pytest.raises(ForeignKeyError):
            txn.insert(Note(id=9, item=Item.key(2)))
    with db.snapshot(as_of=before) as past:
        assert ids(past.fetch(Item)) == [1, 2, 3]
    assert db.check(deep=True).problems == ()


def test_values_of_a_deleted_row_are_free_and_keep_it_from_coming_back(db: Database) -> None:
    db.delete(Item.key(2))
    db.insert(Item(id=7, label="two", shop=Shop.key("b")))
    with pytest.raises(UniqueError) as caught:
        db.restore(Item.key(2))
    assert caught.value.details["constraint"] == "unique_label"
    assert caught.value.details["identity"] == (2,)
    db.update(Item.key(7), Item.label.to("seven"))
    db.restore(Item.key(2))
    db.delete(Item.key(2))
    db.insert(Item(id=2, label="new", shop=Shop.key("b")))
    with pytest.raises(UniqueError) as caught:
        db.restore(Item.key(2))
    assert caught.value.details["constraint"] == "identity"
    assert db.check(deep=True).problems == ()


def test_what_a_cascade_deleted_comes_back_with_it(db: Database) -> None:
    db.delete(Item.key(1))
    db.delete(Shop.key("a"))
    assert ids(db.fetch(Item)) == [3]
    with pytest.raises(ForeignKeyError):
        db.restore(Item.key(2))
    db.restore(Shop.key("a"))
    assert ids(db.fetch(Item)) == [2, 3]
    two = db.run_get("Item", (2,))
    assert two == {"id": 2, "label": "two", "price": 9, "shop_name": "a", "twin_id": None}
    db.restore(Item.key(1))
    assert ids(db.fetch(Item)) == [1, 2, 3]
    assert db.check(deep=True).problems == ()


def test_rows_in_a_circle_come_back_together() -> None:
    class Person(Entity):
        name: Field[str] = field(identity=True)
        friend: One[Person] = one(on_delete="cascade", deferred=True)
        __soft_delete__ = True

    db = ormdb.open(":memory:", schema=[Person])
    with db.transaction() as txn:
        txn.insert(Person(name="a", friend=Person.key("b")))
        txn.insert(Person(name="b", friend=Person.key("a")))
    db.delete(Person.key("a"))
    assert db.count(Person) == 0
    db.restore(Person.key("b"))
    assert db.count(Person.where("friend.name == 'b'")) == 1
    assert db.check(deep=True).problems == ()


def test_restrict_keeps_a_row_from_being_deleted_softly(db: Database) -> None:
    db.insert(Note(id=2, shop=Shop.key("b")))
    with pytest.raises(ForeignKeyError, match="still referred to by 1 Note through shop"):
        db.delete(Shop.key("b"))
    assert db.deleted(Shop) == []


def test_a_restore_within_a_transaction_is_seen_and_undone_with_it(db: Database) -> None:
    db.delete(Item.key(2))
    with pytest.raises(NotFoundError), db.transaction() as txn:
        txn.restore(Item.key(2))
        assert ids(txn.fetch(Item.where(Item.label == "two"))) == [2]
        txn.delete(Item.key(2))
        txn.restore(Item.key(2))
        txn.restore(Item.key(99))
    assert ids(db.fetch(Item)) == [1, 3]
    with db.transaction() as txn:
        txn.restore(Item.key(2))
        txn.update(Item.key(2), Item.price.to(4))
    assert ids(db.fetch(Item.where(Item.price == 4))) == [2]
    with pytest.raises(NotFoundError, match="was deleted, or it was purged"):
        db.restore(Item.key(2))
    assert db.check(deep=True).problems == ()


def test_deleted_rows_are_listed_newest_first(db: Database) -> None:
    db.delete(Item.key(1))
    db.delete(Item.key(2))
    db.insert(Item(id=2, label="again", shop=Shop.key("a")))
    db.delete(Item.key(2))
    found = db.deleted(Item)
    assert [(one.row.id, one.row.label) for one in found] == [(2, "again"), (2, "two"), (1, "one")]
    assert found[0].version > found[1].version > found[2].version
    assert found[0].deleted_at.tzinfo is datetime.UTC
    assert [one.row.label for one in db.deleted(Item, limit=1)] == ["again"]
    db.restore(Item.key(2))
    assert [one.row.label for one in db.deleted(Item)] == ["two", "one"]


def test_a_snapshot_can_show_deleted_rows_on_every_path(db: Database) -> None:
    db.delete(Shop.key("a"))
    db.insert(Item(id=8, label="one", shop=Shop.key("b")))
    with db.snapshot(include_deleted=True) as snapshot:
        assert ids(snapshot.fetch(Item)) == [2, 3, 8]  # another one is "one" by now
        assert ids(snapshot.fetch(Item.where(Item.label == "two"))) == [2]
        assert ids(snapshot.fetch(Item.where(Item.shop[Shop.name] == "a"))) == [2]
        shop = snapshot.fetch(Shop.where(Shop.name == "a").include(Shop.items))[0]
        assert [item.label for item in shop.items] == ["two"]
        assert snapshot.fetch(Item.where(Item.id == 2).include(Item.twin))[0].twin is None
    assert ids(db.fetch(Item)) == [3, 8]
    with pytest.raises(UsageError, match="leave include_deleted out"):
        db.snapshot(as_of=1, include_deleted=True)


def test_what_was_deleted_long_ago_is_purged_some_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = StillClock()
    db = ormdb.open(":memory:", schema=[Shop, Item, Note], clock=clock)
    db.insert(Shop(name="a"))
    db.insert_many([Item(id=n, label=f"{n}", shop=Shop.key("a")) for n in range(20)])
    for number in range(10):
        db.delete(Item.key(number))
    clock.advance(seconds=10 * 86_400)
    for number in range(10, 15):
        db.delete(Item.key(number))
    monkeypatch.setattr(limits, "PURGE_ROWS", 4)
    version = db.version
    assert db.purge(Item, older_than=3 * DAY) == 10
    assert db.version == version + 3
    assert [one.row.id for one in db.deleted(Item)] == [14, 13, 12, 11, 10]
    with pytest.raises(NotFoundError):
        db.restore(Item.key(3))
    assert db.purge(older_than=3 * DAY) == 0
    assert db.purge(older_than=datetime.datetime(2999, 1, 1, tzinfo=datetime.UTC)) == 5
    assert db.check(deep=True).problems == ()


def test_what_is_not_deleted_softly_is_neither_restored_nor_purged(db: Database) -> None:
    for ask in (
        lambda: db.restore(Note.key(1)),
        lambda: db.purge(Note, older_than=DAY),
        lambda: db.deleted(Note),
    ):
        with pytest.raises(UsageError, match="Note is not deleted softly"):
            ask()


def test_what_goes_with_a_soft_delete_has_to_be_soft_itself() -> None:
    class Hard(Entity):
        id: Field[int] = field(identity=True)
        shop: One[Shop] = one(on_delete="cascade")

    with pytest.raises(SchemaError, match="the Hard that goes with it could not be restored"):
        ormdb.open(":memory:", schema=[Shop, Item, Note, Hard])
    assert [one.soft_delete for one in build_bundle([Shop, Item, Note]).entities] == [
        True,
        True,
        False,
    ]
