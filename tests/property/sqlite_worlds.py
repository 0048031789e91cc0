"""Generated SQLite files: schemas with every trait an import has to reproduce, and their rows."""

from __future__ import annotations

import math
import random
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

NAMES = [
    "person",
    "Order",
    "group",
    "select",
    "order details",
    'say "hi"',
    "naïve",
    "表",
    "a.b",
    "class",
    "x-y",
    "Where",
    "table",
    "1st",
    "it's",
    "[odd]",
    "`tick`",
    "rowid",
    "None",
]
DECLARED = [
    "INTEGER",
    "INT",
    "BIGINT",
    "TEXT",
    "VARCHAR(20)",
    "BLOB",
    "REAL",
    "DOUBLE PRECISION",
    "NUMERIC",
    "DECIMAL(10,2)",
    "DATE",
    "DATETIME",
    "BOOLEAN",
    "CHARINT",
    "FLOATING POINT",
    "",
]

Make = Callable[[random.Random], Any]
_INTS = [0, 1, -1, 2**53, -(2**53), 255, 256]
_WIDE = [2**63 - 1, -(2**63), 2**53 + 1]
_REALS = [0.5, -1.5, 1e308, 5e-324, 1e-9, 3.141592653589793, 1e15, 2.0]
_TEXTS = ["", "a", "A", "é", "\U0001f600", "x\x00y", "007", "1e5", "NULL", "line\nbreak", "y" * 600]
_BLOBS = [b"", b"\x00", b"\xff\xfe", b"a" * 600]


def _text(rng: random.Random) -> str:
    return rng.choice(_TEXTS) if rng.random() < 0.4 else f"text {rng.randrange(10_000)}"


PROFILES: dict[str, Make] = {
    "ints": lambda rng: rng.choice(_INTS) if rng.random() < 0.2 else rng.randrange(-1000, 1000),
    "wide ints": lambda rng: rng.choice(_INTS + _WIDE),
    "reals": lambda rng: rng.choice(_REALS) if rng.random() < 0.3 else rng.random() * 1000,
    "infinite": lambda rng: rng.choice([math.inf, -math.inf, 1.5]),
    "ints and reals": lambda rng: rng.choice([rng.randrange(100), rng.random()]),
    "wide ints and reals": lambda rng: rng.choice([rng.choice(_WIDE), rng.random()]),
    "texts": _text,
    "dates": lambda rng: f"20{rng.randrange(10, 30)}-0{rng.randrange(1, 10)}-15",
    "moments": lambda rng: f"2013-01-0{rng.randrange(1, 10)} 05:00:00",
    "blobs": lambda rng: rng.choice(_BLOBS),
    "bools": lambda rng: rng.randrange(2),
    "numbers and texts": lambda rng: rng.choice([rng.randrange(9), rng.random(), _text(rng)]),
    "anything": lambda rng: rng.choice(
        [rng.choice(_INTS + _WIDE), rng.random(), math.inf, _text(rng), rng.choice(_BLOBS)]
    ),
    "nothing": lambda rng: None,
}


@dataclass
class Column:
    """A column, and how its values are made."""

    name: str
    declared: str
    make: Make
    null_share: float = 0.0
    required: bool = False
    generated: str | None = None


@dataclass
class Key:
    """A foreign key of the world."""

    columns: list[str]
    target: str
    target_columns: list[str]
    named: bool  # whether the target's columns are written out
    dangling_share: float
    action: str


@dataclass
class Table:
    """A table of the world."""

    name: str
    columns: list[Column]
    primary: list[str] = field(default_factory=list[str])
    rowid_alias: bool = False
    without_rowid: bool = False
    uniques: list[list[str]] = field(default_factory=list[list[str]])
    keys: list[Key] = field(default_factory=list[Key])
    extra: list[str] = field(default_factory=list[str])

    @property
    def stored(self) -> list[Column]:
        return [column for column in self.columns if column.generated is None]


def quote(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def build_world(path: str, seed: int, *, rows_min: int) -> None:
    """Make the SQLite file of a seed."""
    rng = random.Random(seed)
    names = rng.sample(NAMES, len(NAMES))
    tables = [_table(rng, names.pop()) for _ in range(rng.randrange(2, 7))]
    for table in tables:
        _add_keys(rng, table, tables)
    if rng.random() < 0.6:
        tables.append(_link_table(rng, names.pop(), tables))
    connection = sqlite3.connect(path)
    try:
        if rng.random() < 0.2:
            connection.execute("PRAGMA encoding = 'UTF-16le'")
        if rng.random() < 0.2:
            connection.execute("PRAGMA journal_mode = WAL")
        for table in tables:
            connection.execute(_create(rng, table))
            for statement in table.extra:
                connection.execute(statement)
        each = 2 * rows_min // len(tables)
        for table in tables:
            count = 0 if rng.random() < 0.06 and len(tables) > 3 else each
            _fill(rng, connection, table, count)
        for table in tables:
            _link_late(rng, connection, table)
        _pad(connection, tables, rows_min)
        connection.execute('CREATE VIEW "a view" AS SELECT 1')
        connection.commit()
    finally:
        connection.close()


def _table(rng: random.Random, name: str) -> Table:
    taken: set[str] = set()
    columns: list[Column] = []
    for _ in range(rng.randrange(1, 7)):
        title = rng.choice([*NAMES, "id", "name", "value", "note"])
        if title.lower() in taken:
            continue
        taken.add(title.lower())
        columns.append(
            Column(
                title,
                rng.choice(DECLARED),
                PROFILES[rng.choice(list(PROFILES))],
                null_share=rng.choice([0, 0, 0.1, 0.5]),
            )
        )
    table = Table(name, columns)
    _add_primary(rng, table)
    for column in columns:
        if column.null_share == 0 and column.make is not PROFILES["nothing"]:
            column.required = rng.random() < 0.5
    if rng.random() < 0.3:
        columns.append(Column("twice", "INT", PROFILES["nothing"], generated="abs(7) * 2"))
    if rng.random() < 0.3:
        source = quote(columns[0].name)
        columns.append(Column("derived", "", PROFILES["nothing"], generated=f"typeof({source})"))
    if rng.random() < 0.4:
        unique = Column("code", "TEXT", _counter("code "), null_share=rng.choice([0, 0.2]))
        columns.append(unique)
        table.uniques.append(["code"])
    if len(columns) > 1 and rng.random() < 0.5:
        listed = f"{quote(columns[0].name)} DESC, {quote(columns[1].name)}"
        table.extra.append(f"CREATE INDEX {quote(name + ' index')} ON {quote(name)} ({listed})")
    if rng.random() < 0.2:
        partial = f"ON {quote(name)} ({quote(columns[0].name)}) WHERE 1 > 2"
        table.extra.append(f"CREATE UNIQUE INDEX {quote(name + ' partial')} {partial}")
    return table


def _add_primary(rng: random.Random, table: Table) -> None:
    kind = rng.choice(["rowid", "rowid", "text", "composite", "without", "none", "loose"])
    if kind == "rowid":
        table.columns.insert(0, Column("key", "INTEGER", _counter_int()))
        table.primary, table.rowid_alias = ["key"], True
    elif kind == "text":
        table.columns.insert(0, Column("key", "TEXT", _counter("k")))
        table.primary = ["key"]
    elif kind in {"composite", "without"}:
        table.columns.insert(0, Column("key", "INT", lambda rng: rng.randrange(40), required=True))
        table.columns.append(
            Column("key2", "TEXT", lambda rng: f"k{rng.randrange(80)}", required=True)
        )
        table.primary = ["key2", "key"]
        table.without_rowid = kind == "without"
    elif kind == "loose":  # SQLite lets NULL and any class of value into such a key
        make = _counter_mixed() if rng.random() < 0.5 else _counter("k")
        table.columns.insert(0, Column("key", "", make, null_share=rng.choice([0, 0.1])))
        table.primary = ["key"]


def _counter(prefix: str) -> Make:
    numbers = iter(range(10**9))
    return lambda rng: f"{prefix}{next(numbers)}"


def _counter_int() -> Make:
    numbers = iter(range(-5, 10**9))
    return lambda rng: next(numbers)


def _counter_mixed() -> Make:
    numbers = iter(range(10**9))

    def make(rng: random.Random) -> Any:
        number = next(numbers)
        return number if rng.random() < 0.5 else f"m{number}"

    return make


def _add_keys(rng: random.Random, table: Table, tables: list[Table]) -> None:
    """Foreign keys to any table: earlier, later (so that circles arise), or the table itself."""
    for number in range(rng.choice([0, 1, 1, 2, 3])):
        target = rng.choice(tables)
        if target.uniques and rng.random() < 0.3:
            wanted, named = target.uniques[0], True
        elif target.primary:
            wanted, named = target.primary, rng.random() < 0.5
        else:
            continue
        columns: list[str] = []
        for part, name in enumerate(wanted):
            column = f"{target.name}{number}{part}_id"
            declared = next(one.declared for one in target.columns if one.name == name)
            table.columns.append(Column(column, declared, PROFILES["nothing"]))
            columns.append(column)
        table.keys.append(
            Key(
                columns,
                target.name,
                wanted,
                named,
                dangling_share=rng.choice([0, 0, 0, 0.05]),
                action=rng.choice(["", "", " ON DELETE CASCADE", " ON DELETE SET NULL"]),
            )
        )


def _link_table(rng: random.Random, name: str, tables: list[Table]) -> Table:
    """A table whose primary key is made of two foreign keys, with a column of its own."""
    targets = [table for table in tables if len(table.primary) == 1] or tables[:1]
    near, far = rng.choice(targets), rng.choice(targets)
    table = Table(name, [Column("weight", "REAL", PROFILES["reals"])])
    for side, target in (("near", near), ("far", far)):
        if len(target.primary) != 1:
            continue
        declared = next(c.declared for c in target.columns if c.name == target.primary[0])
        table.columns.append(Column(f"{side}_id", declared, PROFILES["nothing"], required=True))
        key = Key([f"{side}_id"], target.name, target.primary, False, 0.0, "")
        table.keys.append(key)
        table.primary.append(f"{side}_id")
    return table


def _create(rng: random.Random, table: Table) -> str:
    parts: list[str] = []
    for column in table.columns:
        text = f"{quote(column.name)} {column.declared}"
        if column.generated is not None:
            text += f" AS ({column.generated}) {rng.choice(['STORED', 'VIRTUAL'])}"
        elif column.required:
            text += " NOT NULL"
        elif rng.random() < 0.1:
            text += rng.choice([" DEFAULT 5", " DEFAULT 'it''s'", " DEFAULT CURRENT_TIMESTAMP"])
        if table.rowid_alias and [column.name] == table.primary:
            text += " PRIMARY KEY"
        parts.append(text)
    if table.primary and not table.rowid_alias:
        parts.append(f"PRIMARY KEY ({', '.join(map(quote, table.primary))})")
    parts += [f"UNIQUE ({', '.join(map(quote, unique))})" for unique in table.uniques]
    for key in table.keys:
        named = f" ({', '.join(map(quote, key.target_columns))})" if key.named else ""
        columns = ", ".join(map(quote, key.columns))
        parts.append(f"FOREIGN KEY ({columns}) REFERENCES {quote(key.target)}{named}{key.action}")
    suffix = " WITHOUT ROWID" if table.without_rowid else ""
    return f"CREATE TABLE {quote(table.name)} ({', '.join(parts)}){suffix}"


def _fill(rng: random.Random, connection: sqlite3.Connection, table: Table, count: int) -> None:
    stored = table.stored
    marks = ", ".join("?" * len(stored))
    names = ", ".join(quote(column.name) for column in stored)
    sql = f"INSERT OR IGNORE INTO {quote(table.name)} ({names}) VALUES ({marks})"
    known = [(key, _target_values(connection, key)) for key in table.keys]
    for _ in range(count):
        row = {column.name: _value(rng, column) for column in stored}
        for key, values in known:
            required = any(c.required for c in stored if c.name in key.columns)
            if values and rng.random() < 0.85:
                row.update(zip(key.columns, rng.choice(values), strict=True))
            elif required or rng.random() < key.dangling_share:
                row.update((column, rng.choice([987_654, "nobody"])) for column in key.columns)
        connection.execute(sql, [row[column.name] for column in stored])


def _value(rng: random.Random, column: Column) -> Any:
    return None if rng.random() < column.null_share else column.make(rng)


def _target_values(connection: sqlite3.Connection, key: Key) -> list[tuple[Any, ...]]:
    names = ", ".join(map(quote, key.target_columns))
    rows = connection.execute(f"SELECT {names} FROM {quote(key.target)}").fetchall()
    return [row for row in rows if None not in row]


def _link_late(rng: random.Random, connection: sqlite3.Connection, table: Table) -> None:
    """Now that all rows are there, let some refer to tables that were filled later, or to rows of
    their own table: so circles arise."""
    for key in table.keys:
        if not table.primary or set(key.columns) & set(table.primary):
            continue
        names = ", ".join(map(quote, table.primary))
        own = connection.execute(f"SELECT {names} FROM {quote(table.name)}").fetchall()
        values = _target_values(connection, key)
        for row in rng.sample(own, min(len(own), 30)) if values else ():
            sets = ", ".join(f"{quote(column)} = ?" for column in key.columns)
            where = " AND ".join(f"{quote(column)} IS ?" for column in table.primary)
            sql = f"UPDATE OR IGNORE {quote(table.name)} SET {sets} WHERE {where}"
            connection.execute(sql, [*rng.choice(values), *row])


def _pad(connection: sqlite3.Connection, tables: list[Table], rows_min: int) -> None:
    """Make up for rows that uniques and keys have refused."""
    counts = [
        connection.execute(f"SELECT count(*) FROM {quote(table.name)}").fetchone()[0]
        for table in tables
    ]
    connection.execute("CREATE TABLE padding (line)")
    lines = ((n,) for n in range(rows_min - sum(counts)))
    connection.executemany("INSERT INTO padding VALUES (?)", lines)
