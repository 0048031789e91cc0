"""Which type holds every value of a SQLite column exactly, whatever the column was declared as.

SQLite types values, not columns, so what counts is what is there:

    values of the column           field type
    integer                        int
    real                           float
    integer and real               float, if no integer is beyond 2^53; else json
    text                           text
    blob                           bytes
    any mixture without blob       json: each value stays the number or text it is
    any mixture with blob, or      struct(int: int?, real: float?, text: text?, blob: bytes?),
      with an infinite real        of which one part has the value
    none (empty or all NULL)       by the declared type: int, float, text, bytes; NUMERIC is int

Nothing is rounded, parsed or guessed.  A caller who knows better declares the type, and then each
value has to fit: text is read as `parse_value` reads it.

Invariants (held by tests/property/test_sqlite_import.py):
  1. What is read through the chosen type equals what sqlite3 returns, and is of the same class,
     but for integers in a float column, which equal it.
"""

from __future__ import annotations

import decimal
import re
import sqlite3
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from ormdb.exchange.cells import from_json, load_json, parse_value
from ormdb.exchange.plan import DeclaredType
from ormdb.exchange.sqlite_schema import SqliteColumn, SqliteTable, quote
from ormdb.ir.check import canonical_value
from ormdb.ir.refusal import refuse_type
from ormdb.ir.value import (
    BoolType,
    BytesType,
    DecimalType,
    EnumType,
    FloatType,
    IntType,
    JsonType,
    StructField,
    StructType,
    TextType,
    Type,
    UuidType,
    Value,
)

Convert: TypeAlias = Callable[[Value], Value]

# One part has the value; for columns that no simpler type holds.
MIXED: Final = StructType(
    fields=(
        StructField(name="int", type=IntType(), optional=True),
        StructField(name="real", type=FloatType(), optional=True),
        StructField(name="text", type=TextType(), optional=True),
        StructField(name="blob", type=BytesType(), optional=True),
    )
)
_EXACT_MAX: Final = 2**53  # integers up to this are floats exactly
_COLUMNS_PER_QUERY: Final = 200  # SQLite returns 2,000 columns at most
_OF_CLASS: Final[dict[str, Type]] = {
    "integer": IntType(),
    "real": FloatType(),
    "text": TextType(),
    "blob": BytesType(),
}
_OF_AFFINITY: Final[dict[str, Type]] = {
    "INTEGER": IntType(),
    "NUMERIC": IntType(),
    "REAL": FloatType(),
    "TEXT": TextType(),
    "BLOB": BytesType(),
}
_LITERAL: Final = re.compile(r"[+-]?[0-9]+(\.[0-9]*)?|'(?:[^']|'')*'|[xX]'(?:[0-9a-fA-F]{2})*'")


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnSurvey:
    """What the values of a column are.  `classes` are those of its values that are not NULL."""

    classes: frozenset[str]
    has_null: bool
    has_wide_integer: bool = False
    has_infinity: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TableSurvey:
    """How many rows a table has, and what each column holds, in order."""

    rows: int
    columns: tuple[ColumnSurvey, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnChoice:
    """The type of a column's field, the SQL that reads it, and what makes its value of the row's.

    `is_open` says that no value bound the choice.
    """

    type: Type
    optional: bool
    select: str
    convert: Convert | None = None
    is_open: bool = False
    note: str | None = None


def survey_table(connection: sqlite3.Connection, table: SqliteTable) -> TableSurvey:
    """Look at every value of a table, in one scan; in two where a column mixes classes."""
    rows = 0
    found: list[ColumnSurvey] = []
    for start in range(0, len(table.columns), _COLUMNS_PER_QUERY):
        part = table.columns[start : start + _COLUMNS_PER_QUERY]
        names = [quote(column.name) for column in part]
        classes = [f"nullif(typeof({name}), 'null')" for name in names]
        asked = ", ".join(
            f"count({name}), min({one}), max({one})"
            for name, one in zip(names, classes, strict=True)
        )
        sql = f"SELECT count(*), {asked} FROM {quote(table.name)}"  # noqa: S608 names are quoted
        rows, *answers = connection.execute(sql).fetchone()
        for position, name in enumerate(names):
            present, first, last = answers[3 * position : 3 * position + 3]
            if first == last:
                there = frozenset[str]() if first is None else frozenset[str]({first})
                found.append(ColumnSurvey(classes=there, has_null=present < rows))
            else:
                found.append(_survey_mixture(connection, table, name, has_null=present < rows))
    return TableSurvey(rows=rows, columns=tuple(found))


def _survey_mixture(
    connection: sqlite3.Connection, table: SqliteTable, name: str, *, has_null: bool
) -> ColumnSurvey:
    # The unary + keeps the column's affinity from touching the constants it is compared with.
    sql = (
        f"SELECT typeof({name}), max(typeof({name}) = 'integer' AND "  # noqa: S608 quoted
        f"(+{name} > {_EXACT_MAX} OR +{name} < -{_EXACT_MAX})), "
        f"max(typeof({name}) = 'real' AND +{name} IN (9e999, -9e999)) "
        f"FROM {quote(table.name)} WHERE {name} IS NOT NULL GROUP BY 1"
    )
    answers = connection.execute(sql).fetchall()
    return ColumnSurvey(
        classes=frozenset(answer[0] for answer in answers),
        has_null=has_null,
        has_wide_integer=any(answer[1] for answer in answers),
        has_infinity=any(answer[2] for answer in answers),
    )


def choose_column(
    table: SqliteTable, column: SqliteColumn, survey: ColumnSurvey, declared: DeclaredType | None
) -> ColumnChoice:
    """The type that holds every value of a column, or the one the caller declared."""
    where = f"{table.name}.{column.name}"
    select = quote(column.name)
    optional = survey.has_null or not (column.required or column.primary)
    if declared is not None:
        if declared.optional is not None:
            optional = declared.optional
        if isinstance(declared.type, BytesType) and "text" in survey.classes:
            select = f"CAST({select} AS BLOB)"  # also reads text that is not valid Unicode
        return ColumnChoice(
            type=declared.type,
            optional=optional,
            select=select,
            convert=_reader(declared.type, where),
        )
    classes = survey.classes
    if len(classes) <= 1:
        kind = _OF_CLASS[next(iter(classes))] if classes else _OF_AFFINITY[column.affinity]
        return ColumnChoice(type=kind, optional=optional, select=select, is_open=not classes)
    if classes == frozenset({"integer", "real"}) and not survey.has_wide_integer:
        return ColumnChoice(type=FloatType(), optional=optional, select=select)
    mixture = " and ".join(sorted(classes))
    if "blob" in classes or survey.has_infinity:
        note = f"{where} holds {mixture}, so it becomes a struct with a part for each"
        return ColumnChoice(
            type=MIXED, optional=optional, select=select, convert=_as_mixed, note=note
        )
    note = f"{where} holds {mixture}, so it becomes json, which keeps each as it is"
    return ColumnChoice(type=JsonType(), optional=optional, select=select, note=note)


def read_default(column: SqliteColumn) -> Value:
    """The value of a DEFAULT that is a literal, as the column would store it; else None."""
    text = (column.default or "").strip()
    if not _LITERAL.fullmatch(text):
        return None
    # SQLite applies the column's affinity to a default when it is stored, so let it.
    scratch = sqlite3.connect(":memory:")
    try:
        scratch.execute(f"CREATE TABLE t (c {column.affinity} DEFAULT {text})")
        scratch.execute("INSERT INTO t DEFAULT VALUES")
        return scratch.execute("SELECT c FROM t").fetchone()[0]
    finally:
        scratch.close()


def fits(kind: Type, value: Value) -> bool:
    """Whether a SQLite value is one of the four classes that a chosen type holds as it is."""
    match kind:
        case IntType():
            return type(value) is int
        case FloatType():
            return type(value) is float
        case TextType():
            return type(value) is str
        case BytesType():
            return type(value) is bytes
        case _:
            return False


def _as_mixed(value: Value) -> Value:
    match value:
        case int():
            return {"int": value}
        case float():
            return {"real": value}
        case str():
            return {"text": value}
        case _:
            return {"blob": value}


def _reader(kind: Type, where: str) -> Convert:
    """What makes a value of a declared type of what SQLite returns."""

    def read(value: Value) -> Value:
        match kind, value:
            case (TextType(), int() | float()):
                return repr(value)
            case (TextType() | EnumType(), _):
                return canonical_value(kind, value, where)
            case (JsonType(), str()):
                return from_json(kind, load_json(value, where), where)
            case (_, str()):
                return parse_value(kind, value, where)
            case (BoolType(), 0 | 1):
                return bool(value)
            case (DecimalType(), float()):
                return canonical_value(kind, decimal.Decimal(repr(value)), where)
            case (UuidType(), bytes()):
                if len(value) != 16:
                    refuse_type(value, where, "a uuid", "it has to have 16 bytes")
                return uuid.UUID(bytes=value)
            case _:
                return canonical_value(kind, value, where)

    return read


def converters(choices: Sequence[ColumnChoice]) -> list[tuple[int, Convert]]:
    """The columns, by position, whose values are not taken as they come."""
    return [
        (position, choice.convert)
        for position, choice in enumerate(choices)
        if choice.convert is not None
    ]
