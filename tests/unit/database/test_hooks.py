"""Hooks and validators: when they are called, with what, and that an error undoes the statement."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

import ormdb
from ormdb import (
    Change,
    Database,
    Entity,
    Field,
    Many,
    One,
    after,
    before,
    field,
    many,
    one,
    sequence,
    validator,
)
from ormdb.errors import NotFoundError, UsageError

CALLED: list[str] = []


class TooLongError(Exception):
    """A validator's own."""


@before("insert", "update")
def lower(change: Change[Tag]) -> None:
    """Tags are kept in lower case."""
    CALLED.append(f"before {change.doing}")
    name = change.values.get("name")
    if isinstance(name, str) and name != name.lower():
        change.set(Tag.name.to(name.lower()))


@validator
def short(tag: Tag) -> None:
    """Tags are short."""
    CALLED.append(f"check {tag.name}")
    if len(tag.name) > 5:
        raise TooLongError(tag.name)


@after("insert", "update", "delete")
def note(change: Change[Tag]) -> None:
    """Every change is noted in a row of its own."""
    old = "-" if change.before is None else change.before.name
    new = "-" if change.after is None else change.after.name
    CALLED.append(f"after {change.doing} {old} {new}")
    change.writer.insert(Note(text=f"{change.doing} {change.key}"))


class Tag(Entity):
    id: Field[int] = field(identity=True, default=sequence())
    name: Field[str] = field(unique=True)
    uses: Field[int] = field(default=0)
    of: Many[Tagged] = many(inverse="tag")

    __hooks__ = (lower, short, note)


class Note(Entity):
    id: Field[int] = field(identity=True, default=sequence())
    text: Field[str]


class Post(Entity):
    id: Field[int] = field(identity=True)
    tags: Many[Tag] = many(through="Tagged.post", to="tag")


class Tagged(Entity):
    post: One[Post] = one(identity=True)
    tag: One[Tag] = one(identity=True)
    weight: Field[int] = field(default=0)


@pytest.fixture
def db() -> Iterator[Database]:
    CALLED.clear()
    with ormdb.open(":memory:", schema=[Tag, Note, Post, Tagged]) as opened:
        yield opened


def names(db: Database) -> list[str]:
    return [tag.name for tag in db.fetch(Tag.order_by(Tag.id))]


def test_hooks_come_in_the_order_before_check_after(db: Database) -> None:
    tag = db.insert(Tag(name="Red"))
    assert CALLED == ["before insert", "check red", "after insert - red"]
    CALLED.clear()
    assert db.update(Tag.key(tag.id), Tag.name.to("BLUE"))
    assert CALLED == ["before update", "check blue", "after update red blue"]
    CALLED.clear()
    db.delete(Tag.key(tag.id))
    assert CALLED == ["after delete blue -"]
    assert db.count(Note) == 3


def test_what_a_validator_raises_undoes_the_statement_and_what_hooks_wrote(db: Database) -> None:
    db.insert(Tag(name="red"))
    notes, version = db.count(Note), db.version
    with pytest.raises(TooLongError):
        db.insert_many([Tag(name="a"), Tag(name="much too long")])
    with pytest.raises(TooLongError):
        db.update_where(Tag, Tag.name.to("much too long"))
    assert (names(db), db.count(Note), db.version) == (["red"], notes, version)


def test_a_transaction_goes_on_after_a_hook_has_refused_a_statement(db: Database) -> None:
    with db.transaction() as txn:
        txn.insert(Tag(name="red"))
        with pytest.raises(TooLongError):
            txn.insert(Tag(name="much too long"))
        assert txn.count(Note) == 1
        txn.insert(Tag(name="blue"))
    assert names(db) == ["red", "blue"]
    assert db.count(Note) == 2


def test_hooks_run_once_however_often_statements_do(db: Database) -> None:
    with db.transaction() as txn:
        txn.insert(Tag(name="Red"))
        thread = threading.Thread(target=lambda: db.insert(Post(id=1)))
        thread.start()
        thread.join()
    assert CALLED.count("before insert") == 1


def test_an_update_by_filter_calls_hooks_for_each_row(db: Database) -> None:
    db.insert_many([Tag(name=name) for name in ("a", "b", "c")])
    CALLED.clear()
    assert db.update_where(Tag.where(Tag.name > "a"), Tag.uses.add(2)) == 2
    assert CALLED == [
        "before update",
        "before update",
        "check b",
        "check c",
        "after update b b",
        "after update c c",
    ]
    assert [tag.uses for tag in db.fetch(Tag.order_by(Tag.id))] == [0, 2, 2]


def test_hooks_may_give_each_row_of_an_update_another_value(db: Database) -> None:
    @before("update")
    def number(change: Change[Tag]) -> None:
        assert change.before is not None
        change.set(Tag.uses.to(change.before.id * 10))

    db.insert_many([Tag(name=name) for name in ("a", "b")])
    db.add_hooks(Tag, number)
    assert db.update_where(Tag, Tag.uses.add(1)) == 2
    assert [tag.uses for tag in db.fetch(Tag.order_by(Tag.id))] == [10, 20]


def test_an_upsert_calls_hooks_of_what_it_does(db: Database) -> None:
    db.upsert(Tag(name="Red"), by=[Tag.name])
    db.upsert(Tag(name="Red", uses=1), by=[Tag.name])
    db.upsert(Tag(name="Red", uses=1), by=[Tag.name])
    assert [called for called in CALLED if called.startswith("after")] == [
        "after insert - red",
        "after update - red",
    ]
    assert names(db) == ["red"]


def test_graphs_and_edges_call_the_hooks_of_their_rows(db: Database) -> None:
    weights: list[Any] = []

    @after()
    def seen(change: Change[Tagged]) -> None:
        weights.append((change.doing, None if change.after is None else change.after.weight))

    db.add_hooks(Tagged, seen)
    post = Post(id=1)
    db.insert_graph(Tagged(post=post, tag=Tag(name="Red"), weight=4))
    assert names(db) == ["red"]
    assert weights == [("insert", 4)]
    db.connect(Post.key(1), Post.tags, Tag.key(1), values=[Tagged.weight.to(5)])
    db.disconnect(Post.key(1), Post.tags, Tag.key(1))
    assert weights == [("insert", 4), ("update", 5), ("delete", None)]


def test_a_row_that_is_missing_calls_no_hook(db: Database) -> None:
    with pytest.raises(NotFoundError):
        db.update(Tag.key(9), Tag.name.to("x"))
    with pytest.raises(NotFoundError):
        db.delete(Tag.key(9))
    assert CALLED == []
    assert db.delete_where(Tag) == 0


def test_a_condition_that_is_not_true_calls_no_hook_after(db: Database) -> None:
    tag = db.insert(Tag(name="a"))
    CALLED.clear()
    assert not db.update(Tag.key(tag.id), Tag.name.to("b"), where=Tag.uses > 5)
    assert CALLED == ["before update"]


def test_deletes_by_filter_show_what_went(db: Database) -> None:
    db.insert_many([Tag(name=name) for name in ("a", "b")])
    CALLED.clear()
    assert db.delete_where(Tag.where(Tag.name == "b")) == 1
    assert CALLED == ["after delete b -"]


def test_what_is_no_hook_is_refused(db: Database) -> None:
    wrong: Any = len
    with pytest.raises(UsageError, match="is no hook"):
        db.add_hooks(Tag, wrong)
    unknown: Any = "read"
    with pytest.raises(UsageError, match="'read' is nothing to hook"):
        before(unknown)
    change: Change[Tag] = Change(doing="insert", entity=Tag, writer=db)
    with pytest.raises(UsageError, match="a hook assigns values"):
        change.set(Tag.uses.add(1))
