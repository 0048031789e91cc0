"""The tables of a SQLite file, as SQLite itself describes them.

    CREATE TABLE track (
      album TEXT, n INT, length REAL AS (b - a) STORED,
      PRIMARY KEY (album, n), FOREIGN KEY (album) REFERENCES album
    ) WITHOUT ROWID

    SqliteTable track  columns album TEXT, n INT, length REAL   primary_key ("album", "n")
                       foreign_keys (album) -> album ()         without_rowid

The file is opened for reading only and never written to.  (Beside a file in write-ahead mode,
SQLite keeps files of its own, as for any reader.)  Names come back as they were declared; in SQL
they are always quoted.

Invariants (held by tests/unit/exchange/test_sqlite_schema.py):
  1. The file is the same, byte for byte, after an import.
  2. A file that is not a SQLite database raises ImportFileError before anything is read of it.
"""

from __future__ import annotations

import contextlib
import re
import sqlite3
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote as quote_url

from ormdb.errors import ImportFileError
from ormdb.ir.scan import quote_name

_MAGIC: Final = b"SQLite format 3\x00"
# sqlite3 also fails to decode what SQLite says about a damaged file.
_FAILURES: Final = (sqlite3.Error, UnicodeDecodeError)
_UNDECODED: Final = re.compile(r"Could not decode to UTF-8 column '(.*?)' with text", re.DOTALL)
_ROWID_NAMES: Final = ("rowid", "_rowid_", "oid")


@dataclass(frozen=True, slots=True, kw_only=True)
class SqliteColumn:
    """One column.  `primary` is its place in the primary key, from 1; 0 if it has none."""

    name: str
    declared: str
    required: bool
    default: str | None
    primary: int
    generated: bool

    @property
    def affinity(self) -> str:
        """How SQLite stores values of this column: its rules on declared types, in order."""
        declared = self.declared.upper()
        if "INT" in declared:
            return "INTEGER"
        if any(word in declared for word in ("CHAR", "CLOB", "TEXT")):
            return "TEXT"
        if "BLOB" in declared or not declared:
            return "BLOB"
        if any(word in declared for word in ("REAL", "FLOA", "DOUB")):
            return "REAL"
        return "NUMERIC"


@dataclass(frozen=True, slots=True, kw_only=True)
class SqliteIndexColumn:
    """One column of an index; an expression has no name."""

    name: str | None
    descending: bool
    collation: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SqliteIndex:
    """An index or unique constraint.  `origin` is "c" created, "u" unique, "pk" primary key."""

    name: str
    unique: bool
    origin: str
    partial: bool
    columns: tuple[SqliteIndexColumn, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SqliteForeignKey:
    """A foreign key.  Without `target_columns` it refers to the primary key.  Only one that the
    caller asked for has names."""

    columns: tuple[str, ...]
    target: str
    target_columns: tuple[str, ...]
    on_delete: str
    name: str | None = None
    inverse: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SqliteTable:
    """One table."""

    name: str
    columns: tuple[SqliteColumn, ...]
    indexes: tuple[SqliteIndex, ...]
    foreign_keys: tuple[SqliteForeignKey, ...]
    without_rowid: bool
    sql: str

    @property
    def primary_key(self) -> tuple[str, ...]:
        """The columns of the primary key, in its order."""
        keyed = sorted((c for c in self.columns if c.primary), key=lambda c: c.primary)
        return tuple(column.name for column in keyed)

    @property
    def rowid_column(self) -> str | None:
        """The INTEGER PRIMARY KEY, which is another name of the rowid."""
        has_index = any(index.origin == "pk" for index in self.indexes)
        if self.without_rowid or has_index or len(self.primary_key) != 1:
            return None
        return self.primary_key[0]

    @property
    def rowid_name(self) -> str | None:
        """A name under which SQL reads the rowid; None when there is none or all are taken."""
        taken = {column.name.lower() for column in self.columns}
        free = (name for name in _ROWID_NAMES if name not in taken)
        return None if self.without_rowid else next(free, None)


@dataclass(frozen=True, slots=True, kw_only=True)
class SqliteSchema:
    """Everything in a file.  `left_out` names what is no table of rows, by kind."""

    tables: tuple[SqliteTable, ...]
    left_out: tuple[tuple[str, str], ...]


def quote(name: str) -> str:
    """Return a name as SQL reads it."""
    return '"' + name.replace('"', '""') + '"'


def open_sqlite(path: str) -> sqlite3.Connection:
    """Open a SQLite file for reading only, in one read transaction.

    Raises:
      ImportFileError: it is missing, unreadable or no SQLite file.
    """
    file = Path(path)
    with reading(path):
        try:
            with file.open("rb") as opened:
                head = opened.read(len(_MAGIC))
        except OSError as error:
            raise ImportFileError(
                f"{path} cannot be read ({error.strerror}); check the name and its permissions"
            ) from error
        if head != _MAGIC:
            raise ImportFileError(f"{path} is not a SQLite database; name a file that is one")
        try:
            return _connect(file, "mode=ro")
        except sqlite3.OperationalError:
            # In write-ahead mode SQLite wants to write beside the file.  Where it may not, and
            # nothing is waiting in the log, the file alone is the whole database.
            log = file.with_name(file.name + "-wal")
            if log.exists() and log.stat().st_size:
                raise
            return _connect(file, "mode=ro&immutable=1")


def _connect(file: Path, parameters: str) -> sqlite3.Connection:
    url = f"file:{quote_url(str(file.absolute()))}?{parameters}"
    connection = sqlite3.connect(url, uri=True, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.execute("PRAGMA query_only = ON")
        connection.execute("BEGIN")
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except BaseException:
        connection.close()
        raise
    return connection


@contextlib.contextmanager
def reading(what: str) -> Generator[None]:
    """Turn what sqlite3 raises while reading into ImportFileError."""
    try:
        yield
    except _FAILURES as error:
        raise ImportFileError(
            f"{what} cannot be read by SQLite ({error}); check the file with "
            "`PRAGMA integrity_check`"
        ) from error


@contextlib.contextmanager
def reading_rows(table: str) -> Generator[None]:
    """Turn what sqlite3 raises while reading rows into ImportFileError."""
    try:
        yield
    except _FAILURES as error:
        undecoded = _UNDECODED.match(str(error))
        if undecoded is None:
            raise ImportFileError(
                f"the table {table!r} cannot be read by SQLite ({error}); check the file with "
                "`PRAGMA integrity_check`"
            ) from error
        column = f"{table}.{undecoded[1]}"
        raise ImportFileError(
            f"{column} holds text that is not valid Unicode; "
            f"import it as bytes with --type {quote_name(table)}.{quote_name(undecoded[1])}=bytes",
            column=column,
        ) from error


def read_schema(connection: sqlite3.Connection) -> SqliteSchema:
    """Return the tables in the order of their creation, and what is left out."""
    rows = connection.execute("SELECT type, name, sql FROM sqlite_master ORDER BY rowid").fetchall()
    listed = connection.execute("PRAGMA table_list").fetchall()  # empty before SQLite 3.37
    kinds = {row[1]: (row[2], bool(row[4])) for row in listed if row[0] == "main"}
    tables: list[SqliteTable] = []
    left_out: list[tuple[str, str]] = []
    for kind, name, sql in rows:
        table_kind, without_rowid = kinds.get(name, ("table", None))
        if kind == "index" or (kind == "table" and name.startswith("sqlite_")):
            continue
        if kind != "table":
            left_out.append((kind, name))
        elif table_kind == "virtual" or (sql or "").lstrip().upper().startswith("CREATE VIRTUAL"):
            left_out.append(("virtual table", name))
        elif table_kind == "shadow":
            left_out.append(("table of a virtual table", name))
        else:
            if without_rowid is None:
                without_rowid = _is_without_rowid(connection, name)
            tables.append(_read_table(connection, name, sql, without_rowid=without_rowid))
    return SqliteSchema(tables=tuple(tables), left_out=tuple(left_out))


def _pragma(connection: sqlite3.Connection, name: str, of: str) -> Sequence[tuple[Any, ...]]:
    sql = f"SELECT * FROM pragma_{name}(?)"  # noqa: S608 the name is ours
    return connection.execute(sql, (of,)).fetchall()


def _read_table(
    connection: sqlite3.Connection, name: str, sql: str, *, without_rowid: bool
) -> SqliteTable:
    columns = tuple(
        SqliteColumn(
            name=column,
            declared=declared,
            required=bool(required),
            default=default,
            primary=primary,
            generated=hidden in {2, 3},
        )
        for _, column, declared, required, default, primary, hidden in _pragma(
            connection, "table_xinfo", name
        )
    )
    listed = _pragma(connection, "index_list", name)
    # The newest comes first; the order of creation reads better.
    indexes = tuple(
        SqliteIndex(
            name=index,
            unique=bool(unique),
            origin=origin,
            partial=bool(partial),
            columns=tuple(
                SqliteIndexColumn(
                    name=column if cid >= 0 else None,
                    descending=bool(descending),
                    collation=collation.upper(),
                )
                for _, cid, column, descending, collation, is_key in _pragma(
                    connection, "index_xinfo", index
                )
                if is_key
            ),
        )
        for _, index, unique, origin, partial in reversed(listed)
    )
    return SqliteTable(
        name=name,
        columns=columns,
        indexes=indexes,
        foreign_keys=_read_foreign_keys(connection, name),
        without_rowid=without_rowid,
        sql=sql,
    )


def _read_foreign_keys(connection: sqlite3.Connection, name: str) -> tuple[SqliteForeignKey, ...]:
    grouped: dict[int, list[tuple[Any, ...]]] = {}
    for row in _pragma(connection, "foreign_key_list", name):
        grouped.setdefault(row[0], []).append(row)
    found: list[SqliteForeignKey] = []
    for number in sorted(grouped, reverse=True):  # the newest has number 0
        rows = sorted(grouped[number], key=lambda row: row[1])
        target_columns = tuple(row[4] for row in rows)
        found.append(
            SqliteForeignKey(
                columns=tuple(row[3] for row in rows),
                target=rows[0][2],
                target_columns=() if None in target_columns else target_columns,
                on_delete=rows[0][6],
            )
        )
    return tuple(found)


def _is_without_rowid(connection: sqlite3.Connection, name: str) -> bool:
    """Ask the table itself: SQLite before 3.37 does not list this."""
    taken = {row[1].lower() for row in _pragma(connection, "table_xinfo", name)}
    free = next((word for word in _ROWID_NAMES if word not in taken), None)
    if free is None:
        return False
    try:
        connection.execute(f"SELECT {free} FROM {quote(name)} LIMIT 0")  # noqa: S608 quoted
    except sqlite3.OperationalError:
        return True
    return False
