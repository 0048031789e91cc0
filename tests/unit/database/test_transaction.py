"""Transactions: savepoints, exclusive ones, large ones, and what is told when one ends."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest

import ormdb
from ormdb import Database, Entity, Field, field, limits, sequence
from ormdb.errors import ClosedError, ConflictError, UniqueError, UsageError


class Thing(Entity):
    id: Field[int] = field(identity=True, default=sequence())
    name: Field[str] = field(unique=True)
    size: Field[int] = field(index=True)


class Other(Entity):
    id: Field[int] = field(identity=True, default=sequence())


@pytest.fixture(params=["memory", "disk"])
def db(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    path = ":memory:" if request.param == "memory" else tmp_path / "a.ormdb"
    with ormdb.open(path, schema=[Thing, Other]) as opened:
        opened.insert(Thing(name="first", size=1))
        yield opened


def names(db: Database) -> list[str]:
    return [thing.name for thing in db.fetch(Thing.all())]


class UndoneError(Exception):
    """Ends a savepoint."""


@pytest.mark.parametrize("exclusive", [False, True])
def test_a_savepoint_that_raises_is_undone_alone(db: Database, exclusive: bool) -> None:
    with db.transaction(exclusive=exclusive) as txn:
        txn.insert(Thing(name="kept", size=2))
        with pytest.raises(UndoneError), txn.savepoint():
            txn.insert(Thing(name="undone", size=3))
            with txn.savepoint():
                txn.update(Thing.key(1), Thing.size.to(9))
            assert txn.count(Thing.where(Thing.size > 2)) == 2
            raise UndoneError
        assert txn.count(Thing.where(Thing.size > 2)) == 0
        with txn.savepoint():
            txn.insert(Thing(name="also kept", size=4))
            with pytest.raises(UndoneError), txn.savepoint():
                txn.delete(Thing.key(1))
                raise UndoneError
    assert names(db) == ["first", "kept", "also kept"]
    assert db.check(deep=True).is_clean


def test_a_transaction_does_not_commit_inside_a_savepoint(db: Database) -> None:
    with db.transaction() as txn:
        with txn.savepoint(), pytest.raises(UsageError, match="savepoint"):
            txn.commit()
        txn.insert(Thing(name="x", size=1))
    assert "x" in names(db)


def test_numbers_are_told_at_once_and_kept(db: Database) -> None:
    first, second = db.transaction(), db.transaction()
    one = first.insert(Thing(name="a", size=1))
    two = second.insert(Thing(name="b", size=1))
    three = db.insert(Thing(name="c", size=1))
    second.commit()
    first.commit()
    assert len({one.id, two.id, three.id}) == 3
    for thing, name in ((one, "a"), (two, "b"), (three, "c")):
        assert db.one(Thing.where(Thing.id == thing.id)).name == name
    assert db.insert(Thing(name="d", size=1)).id > max(one.id, two.id, three.id)


def test_rows_of_several_entities_keep_the_numbers_they_were_told(db: Database) -> None:
    with db.transaction() as txn:
        rows = [Thing(name="a", size=1), Other(), Thing(name="b", size=2), Other(), Other()]
        made = txn.insert_many(rows)
        assert [row.id for row in made if isinstance(row, Other)] == [1, 2, 3]
    things = {row.id: row.name for row in made if isinstance(row, Thing)}
    assert {thing.id: thing.name for thing in db.fetch(Thing.where(Thing.id > 1))} == things
    assert db.count(Other.all()) == 3


def test_a_number_that_was_rolled_back_is_drawn_again_if_nobody_drew_since(db: Database) -> None:
    txn = db.transaction()
    drawn = txn.insert(Thing(name="a", size=1)).id
    txn.rollback()
    assert db.insert(Thing(name="b", size=1)).id == drawn


def test_a_large_transaction_becomes_exclusive_and_keeps_what_it_did(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "OVERLAY_BYTES_MAX", 50_000)
    with db.transaction() as txn:
        small = txn.insert(Thing(name="small", size=7))
        assert not txn.is_exclusive
        txn.insert_many([Thing(name=f"n{n}", size=n) for n in range(200)])
        assert txn.is_exclusive
        assert txn.get(Thing, small.id) is not None
        assert txn.count(Thing.where(Thing.size == 7)) == 2
        with pytest.raises(UniqueError):
            txn.insert(Thing(name="n5", size=0))
    assert db.count(Thing.all()) == 202
    assert db.check(deep=True).is_clean


def test_a_large_transaction_whose_reads_changed_conflicts_when_it_becomes_exclusive(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "OVERLAY_BYTES_MAX", 50_000)
    txn = db.transaction()
    txn.count(Thing.where(Thing.size > 0))
    txn.insert(Thing(name="mine", size=0))
    db.insert(Thing(name="theirs", size=5))
    with pytest.raises(ConflictError):
        txn.insert_many([Thing(name=f"n{n}", size=n) for n in range(200)])
    with pytest.raises(ClosedError):
        txn.count(Thing.all())
    assert names(db) == ["first", "theirs"]


def test_an_exclusive_transaction_never_conflicts(db: Database) -> None:
    with db.transaction(exclusive=True) as txn:
        assert txn.count(Thing.all()) == 1
        txn.insert(Thing(name="x", size=1))
        assert db.count(Thing.all()) == 1
    assert txn.version == db.version


def test_a_change_of_the_schema_ends_a_transaction_that_wrote(tmp_path: Path) -> None:
    class Wider(Entity, name="Thing"):
        id: Field[int] = field(identity=True, default=sequence())
        name: Field[str] = field(unique=True)
        size: Field[int] = field(index=True)
        colour: Field[str | None]

    path = tmp_path / "a.ormdb"
    with ormdb.open(path, schema=[Thing]) as db:
        txn = db.transaction()
        txn.insert(Thing(name="x", size=1))
        with ormdb.open(path, schema=[Wider]) as other:
            other.insert(Wider(name="y", size=1, colour="red"))
        with pytest.raises(ConflictError, match="schema"):
            txn.commit()


def test_a_transaction_that_nobody_ends_lets_its_commit_go_when_it_is_dropped(
    tmp_path: Path,
) -> None:
    with ormdb.open(tmp_path / "a.ormdb", schema=[Thing, Other], statistics="manual") as db:
        db.insert(Thing(name="first", size=1))
        gc.collect()
        gc.disable()  # reference counts alone have to do it
        try:
            txn = db.transaction()
            assert txn.get(Thing, 1) is not None
            txn.update(Thing.key(1), Thing.size.to(5))
            txn.insert(Thing(name="x", size=1))
            assert db.statistics().engine.readers == 1
            del txn
            db.get(Thing, 1)  # whoever begins to read ends what was dropped
            assert db.statistics().engine.readers == 0
        finally:
            gc.enable()
