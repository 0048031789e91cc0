"""Backups, restores, reclaim: a name means a whole database, and the past ends where it is said."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest

import ormdb
from ormdb import Entity, Field, field, index
from ormdb.database.maintenance import restore
from ormdb.errors import CorruptionError, HistoryError, OrmdbError, UsageError

PAGE_BYTES = 4_096


class Item(Entity):
    id: Field[int] = field(identity=True)
    size: Field[int]

    __indexes__ = (index("size"),)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "items.ormdb"
    with ormdb.open(made, schema=[Item]) as db:
        db.insert_many([Item(id=n, size=n % 7) for n in range(500)])
        for n in range(20):
            db.update(Item.key(n), Item.size.to(99))
    return made


def contents(path: Path) -> list[tuple[int, int]]:
    with ormdb.open(path, schema=[Item]) as db:
        assert not db.check(deep=True).problems
        return [(item.id, item.size) for item in db.fetch(Item.all())]


@pytest.mark.parametrize("compact", [True, False])
def test_a_backup_opens_as_the_database_it_was_made_of(
    path: Path, tmp_path: Path, compact: bool
) -> None:
    copy = tmp_path / "copy.ormdb"
    with ormdb.open(path, schema=[Item]) as db:
        past = db.version - 3
        before = db.fetch(Item.all().as_of(past)).to_dicts()
        db.backup(copy, compact=compact)
        db.delete(Item.key(1))
    assert contents(copy) == [(n, 99 if n < 20 else n % 7) for n in range(500)]
    with ormdb.open(copy, schema=[Item]) as db:
        assert db.fetch(Item.all().as_of(past)).to_dicts() == before


def test_a_backup_over_a_file_is_refused_and_the_file_left_alone(path: Path) -> None:
    before = path.read_bytes()
    with ormdb.open(path, schema=[Item]) as db, pytest.raises(UsageError):
        db.backup(path)
    assert path.read_bytes() == before


def test_a_restore_puts_the_backup_in_place_of_what_was_there(path: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.ormdb"
    with ormdb.open(path, schema=[Item]) as db:
        db.backup(copy)
        db.delete(*[Item.key(n) for n in range(100)])
    with pytest.raises(UsageError):
        restore(copy, path)
    assert len(contents(path)) == 400
    restore(copy, path, overwrite=True)
    assert len(contents(path)) == 500
    restore(copy, tmp_path / "new.ormdb")
    assert len(contents(tmp_path / "new.ormdb")) == 500


def test_a_damaged_backup_replaces_nothing(path: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.ormdb"
    with ormdb.open(path, schema=[Item]) as db:
        db.backup(copy)
    data = bytearray(copy.read_bytes())
    for at in range(3 * PAGE_BYTES, len(data), 64):
        data[at] ^= 0xFF
    copy.write_bytes(data)
    with pytest.raises(OrmdbError) as caught:
        restore(copy, path, overwrite=True)
    assert isinstance(caught.value, CorruptionError)
    assert len(contents(path)) == 500
    assert sorted(tmp_path.iterdir()) == sorted([path, copy, Path(f"{path}-lock")])


def test_reclaim_ends_the_past_and_leaves_the_present(path: Path) -> None:
    with ormdb.open(path, schema=[Item]) as db:
        newest, present = db.version, db.fetch(Item.all()).to_dicts()
        outcome = db.reclaim(keep_versions=5)
        assert outcome.horizon == newest - 4
        assert len(db.fetch(Item.all().as_of(outcome.horizon))) == 500
        with pytest.raises(HistoryError):
            db.fetch(Item.all().as_of(outcome.horizon - 1))
        assert db.fetch(Item.all()).to_dicts() == present
        assert not db.check(deep=True).problems
        assert db.reclaim(keep=datetime.timedelta(days=1)).dropped == 0


def test_reclaim_never_passes_a_snapshot_in_use(path: Path) -> None:
    with ormdb.open(path, schema=[Item]) as db:
        past = db.version - 10
        with db.snapshot(as_of=past) as snapshot:
            before = snapshot.fetch(Item.all()).to_dicts()
            assert db.reclaim(keep_versions=1).horizon <= past
            assert snapshot.fetch(Item.all()).to_dicts() == before
        assert db.reclaim(keep_versions=1).horizon == db.version
