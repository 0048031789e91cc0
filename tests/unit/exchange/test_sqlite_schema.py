"""Holds how a SQLite file is opened and described, and that it is never written to."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from ormdb.errors import ImportFileError
from ormdb.exchange.sqlite_schema import open_sqlite, quote, read_schema


def make(path: Path, sql: str, *, wal: bool = False) -> str:
    connection = sqlite3.connect(path)
    if wal:
        connection.execute("PRAGMA journal_mode = WAL")
    connection.executescript(sql)
    connection.close()
    return str(path)


def test_a_table_is_described_as_it_was_declared(tmp_path: Path) -> None:
    path = make(
        tmp_path / "a.db",
        """
        CREATE TABLE album (title TEXT PRIMARY KEY, "the year" INT NOT NULL DEFAULT 5);
        CREATE TABLE track (
          n INT, Album TEXT, length REAL AS (n * 2) STORED, half AS (n / 2) VIRTUAL,
          PRIMARY KEY (Album, n),
          FOREIGN KEY (album) REFERENCES ALBUM ON DELETE CASCADE
        ) WITHOUT ROWID;
        CREATE UNIQUE INDEX by_n ON track (n DESC, album COLLATE NOCASE) WHERE n > 1;
        """,
    )
    connection = open_sqlite(path)
    album, track = read_schema(connection).tables
    connection.close()
    assert (album.primary_key, album.without_rowid, album.rowid_column) == (("title",), False, None)
    assert [(c.name, c.required, c.default) for c in album.columns] == [
        ("title", False, None),
        ("the year", True, "5"),
    ]
    assert (track.primary_key, track.without_rowid, track.rowid_name) == (
        ("Album", "n"),
        True,
        None,
    )
    assert [column.generated for column in track.columns] == [False, False, True, True]
    (key,) = track.foreign_keys
    assert (key.columns, key.target, key.target_columns) == (("Album",), "ALBUM", ())
    assert key.on_delete == "CASCADE"
    created = next(index for index in track.indexes if index.origin == "c")
    assert (created.unique, created.partial) == (True, True)
    assert [(c.name, c.descending, c.collation) for c in created.columns] == [
        ("n", True, "BINARY"),
        ("Album", False, "NOCASE"),
    ]


@pytest.mark.parametrize(
    ("declared", "affinity"),
    [
        ("INTEGER", "INTEGER"),
        ("bigint", "INTEGER"),
        ("CHARINT", "INTEGER"),
        ("VARCHAR(20)", "TEXT"),
        ("CLOB", "TEXT"),
        ("BLOB", "BLOB"),
        ("", "BLOB"),
        ("DOUBLE PRECISION", "REAL"),
        ("FLOATING POINT", "INTEGER"),
        ("STRING", "NUMERIC"),
        ("DECIMAL(10,5)", "NUMERIC"),
        ("BOOLEAN", "NUMERIC"),
    ],
)
def test_affinity_is_what_sqlite_says(tmp_path: Path, declared: str, affinity: str) -> None:
    path = make(tmp_path / "a.db", f"CREATE TABLE t (c {declared})")
    connection = open_sqlite(path)
    (table,) = read_schema(connection).tables
    connection.close()
    assert table.columns[0].affinity == affinity


def test_the_rowid_goes_by_a_name_that_is_free(tmp_path: Path) -> None:
    path = make(
        tmp_path / "a.db",
        """
        CREATE TABLE a (x);
        CREATE TABLE b (RowId, x);
        CREATE TABLE c (rowid, _rowid_, oid);
        CREATE TABLE d (id INTEGER PRIMARY KEY);
        CREATE TABLE e (id INT PRIMARY KEY);
        """,
    )
    connection = open_sqlite(path)
    tables = read_schema(connection).tables
    connection.close()
    assert [table.rowid_name for table in tables] == ["rowid", "_rowid_", None, "rowid", "rowid"]
    assert [table.rowid_column for table in tables] == [None, None, None, "id", None]


def test_what_is_no_table_of_rows_is_left_out_by_name(tmp_path: Path) -> None:
    path = make(
        tmp_path / "a.db",
        """
        CREATE TABLE t (x INTEGER PRIMARY KEY AUTOINCREMENT);
        CREATE VIEW v AS SELECT 1;
        CREATE TRIGGER g AFTER INSERT ON t BEGIN SELECT 1; END;
        CREATE VIRTUAL TABLE f USING fts5(x);
        """,
    )
    connection = open_sqlite(path)
    schema = read_schema(connection)
    connection.close()
    assert [table.name for table in schema.tables] == ["t"]
    assert ("view", "v") in schema.left_out
    assert ("trigger", "g") in schema.left_out
    assert ("virtual table", "f") in schema.left_out
    assert ("table of a virtual table", "f_data") in schema.left_out


@pytest.mark.parametrize("wal", [False, True])
def test_reading_leaves_the_file_as_it_was(tmp_path: Path, wal: bool) -> None:
    path = make(tmp_path / "a.db", "CREATE TABLE t (x); INSERT INTO t VALUES (1)", wal=wal)
    before = Path(path).read_bytes()
    connection = open_sqlite(path)
    read_schema(connection)
    assert connection.execute("SELECT x FROM t").fetchall() == [(1,)]
    with pytest.raises(sqlite3.OperationalError):
        connection.execute("INSERT INTO t VALUES (2)")
    connection.close()
    assert Path(path).read_bytes() == before
    if not wal:
        assert [file.name for file in tmp_path.iterdir()] == ["a.db"]


def test_a_file_in_a_folder_that_cannot_be_written_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make(tmp_path / "a.db", "CREATE TABLE t (x); INSERT INTO t VALUES (1)", wal=True)
    plain = sqlite3.connect

    def refuse(url: str, **options: Any) -> sqlite3.Connection:
        if "immutable" not in url:
            raise sqlite3.OperationalError("unable to open database file")
        connection: sqlite3.Connection = plain(url, **options)
        return connection

    monkeypatch.setattr(sqlite3, "connect", refuse)
    connection = open_sqlite(path)
    assert connection.execute("SELECT x FROM t").fetchall() == [(1,)]
    connection.close()
    Path(path + "-wal").write_bytes(b"commits that the file lacks")
    with pytest.raises(ImportFileError):
        open_sqlite(path)


def test_what_waits_in_the_log_of_another_program_is_seen(tmp_path: Path) -> None:
    path = make(tmp_path / "a.db", "CREATE TABLE t (x)", wal=True)
    writer = sqlite3.connect(path)
    writer.execute("INSERT INTO t VALUES (1)")
    writer.commit()
    connection = open_sqlite(path)
    assert connection.execute("SELECT x FROM t").fetchall() == [(1,)]
    connection.close()
    writer.close()


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    other = tmp_path / "other.db"
    other.write_bytes(b"PK\x03\x04 something else entirely")
    for path, words in (
        (tmp_path / "missing.db", "cannot be read"),
        (tmp_path, "cannot be read"),
        (other, "not a SQLite database"),
    ):
        with pytest.raises(ImportFileError, match=words):
            open_sqlite(str(path))


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    whole = make(tmp_path / "a.db", "CREATE TABLE t (x); CREATE TABLE u (x); CREATE TABLE v (y)")
    cut = tmp_path / "cut.db"
    cut.write_bytes(Path(whole).read_bytes()[:60])
    with pytest.raises(ImportFileError, match="integrity_check"):
        read_schema(open_sqlite(str(cut)))


def test_names_are_quoted_for_sql() -> None:
    assert quote('say "hi"') == '"say ""hi"""'
