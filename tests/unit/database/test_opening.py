"""Opening a database: created once, refused without a trace, grown where no row is touched."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import ormdb
from ormdb import Entity, Field, field
from ormdb.errors import (
    FormatError,
    ReadOnlyError,
    SchemaChangeError,
    SchemaError,
    UsageError,
)

ITEM = "entity Item\n  id: int identity\n"


class Item(Entity):
    id: Field[int] = field(identity=True)


class Wider(Entity, name="Item"):
    id: Field[int] = field(identity=True)
    note: Field[str | None]
    size: Field[int] = field(fill=7)


class Retyped(Entity, name="Item"):
    id: Field[str] = field(identity=True)


def test_a_missing_file_without_a_schema_is_refused_and_not_made(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        ormdb.open(tmp_path / "none.ormdb")
    with pytest.raises(UsageError):
        ormdb.open(tmp_path / "none.ormdb", schema=[Item], create=False)
    assert list(tmp_path.iterdir()) == []


def test_a_schema_that_contradicts_itself_makes_no_file(tmp_path: Path) -> None:
    class Bad(Entity):
        name: Field[str]

    with pytest.raises(SchemaError):
        ormdb.open(tmp_path / "bad.ormdb", schema=[Bad])
    assert list(tmp_path.iterdir()) == []


def test_a_schema_that_touches_no_row_is_stored_as_the_next_version(tmp_path: Path) -> None:
    path = tmp_path / "items.ormdb"
    with ormdb.open(path, schema=[Item]) as db:
        db.insert(Item(id=1))
        assert db.schema.version == 1
    with ormdb.open(path, schema=[Wider]) as db:
        assert db.schema.version == 2
        old = db.one(Wider.all())
        assert (old.note, old.size) == (None, 7)
    with ormdb.open(path) as db:
        assert db.schema.version == 2
        assert db.run_get("Item", (1,)) == {"id": 1, "note": None, "size": 7}


def test_opening_again_with_the_same_classes_stores_nothing(tmp_path: Path) -> None:
    path = tmp_path / "items.ormdb"
    for _ in range(3):
        with ormdb.open(path, schema=[Item]) as db:
            assert (db.version, db.schema.version) == (1, 1)


def test_a_schema_that_touches_rows_is_refused_with_the_difference(tmp_path: Path) -> None:
    path = tmp_path / "items.ormdb"
    with ormdb.open(path, schema=[Item]) as db:
        db.insert(Item(id=1))
    before = path.read_bytes()
    with pytest.raises(SchemaChangeError, match=r"Item\.id"):
        ormdb.open(path, schema=[Retyped])
    assert path.read_bytes() == before


def test_a_read_only_database_takes_no_new_schema(tmp_path: Path) -> None:
    path = tmp_path / "items.ormdb"
    ormdb.open(path, schema=[Item]).close()
    with pytest.raises(ReadOnlyError):
        ormdb.open(path, schema=[Wider], read_only=True)
    with ormdb.open(path, schema=[Item], read_only=True) as db, pytest.raises(ReadOnlyError):
        db.insert(Item(id=1))


def test_a_foreign_file_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_bytes(b"dear diary, " * 2_000)
    with pytest.raises(FormatError):
        ormdb.open(path, schema=[Item])
    assert path.read_bytes() == b"dear diary, " * 2_000


def test_two_processes_that_open_one_new_schema_store_it_once(tmp_path: Path) -> None:
    path = tmp_path / "items.ormdb"
    program = (
        "import sys, ormdb\n"
        "from ormdb import Entity, Field, field\n"
        "class Item(Entity):\n"
        "    id: Field[int] = field(identity=True)\n"
        "ormdb.open(sys.argv[1], schema=[Item]).close()\n"
    )
    children = [subprocess.Popen([sys.executable, "-c", program, str(path)]) for _ in range(3)]
    assert [child.wait() for child in children] == [0, 0, 0]
    with ormdb.open(path) as db:
        assert (db.version, db.schema.version) == (1, 1)
