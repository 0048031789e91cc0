"""A SQLite file as an import: every table an entity, every row a row, foreign keys relations.

    CREATE TABLE album (title TEXT PRIMARY KEY, year INT)       entity album, identity (title)
    CREATE TABLE log (line TEXT)                                entity log, identity (rowid)
    CREATE VIEW recent AS ...                                   noted as left out

The identity is the primary key.  Where there is none, or it holds NULL (which SQLite allows) or
values of several kinds, rows are told apart by their rowid, which becomes a field; in a table
WITHOUT ROWID by a running number.  A primary key that is left is a unique index all the same.

Values are taken as they are; `sqlite_types` says what type a column gets.  Generated columns
become plain values.  Unique constraints and indexes become indexes, sorted by code point whatever
their collation; partial ones and those over expressions are noted as left out, like checks,
triggers, views and virtual tables.

Invariants (held by tests/property/test_sqlite_import.py and tests/unit/exchange/test_sqlite.py):
  1. Every row of every table is imported, each value equal to what sqlite3 returns.
  2. Whatever is not imported as it is has a note that names it.
"""

from __future__ import annotations

import itertools
import re
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Final

from ormdb.errors import ImportFileError
from ormdb.exchange.naming import Names, make_throughs
from ormdb.exchange.plan import (
    Dangling,
    ImportOptions,
    ImportPlan,
    TablePlan,
    in_load_order,
    refuse_dangling,
)
from ormdb.exchange.sqlite_links import (
    Draft,
    align_types,
    delete_note,
    find_dangling,
    fold,
    make_relations,
    pair_columns,
)
from ormdb.exchange.sqlite_schema import (
    SqliteForeignKey,
    SqliteIndex,
    SqliteTable,
    open_sqlite,
    quote,
    read_schema,
    reading,
    reading_rows,
)
from ormdb.exchange.sqlite_types import (
    ColumnChoice,
    TableSurvey,
    choose_column,
    converters,
    fits,
    read_default,
    survey_table,
)
from ormdb.ir.schema import (
    FieldDef,
    IndexDef,
    IndexField,
    LiteralDefault,
    RelationDef,
    SchemaBundle,
    SequenceDefault,
)
from ormdb.ir.value import FloatType, IntType, RowDict, is_scalar

_NUMBER: Final = b"\xff"  # the folded name of no column: where a draft has the number of a row
_ROWS_PER_FETCH: Final = 5_000
# Quoted text, quoted names and comments, in which a keyword is none.
_QUOTED: Final = re.compile(
    r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|`(?:[^`]|``)*`|\[[^\]]*\]|--[^\n]*|/\*.*?\*/", re.DOTALL
)


def plan_sqlite(path: str, options: ImportOptions | None = None) -> ImportPlan:
    """Look at a whole SQLite file and say what importing it would do.

    Raises:
      ImportFileError: the file cannot be read, has no tables, or has dangling rows that the
        options do not allow.
    """
    options = options or ImportOptions()
    connection = open_sqlite(path)
    try:
        with reading(path):
            return _Planner(path, connection, options).plan()
    except BaseException:
        connection.close()
        raise


class _Planner:
    """One look at a file."""

    def __init__(self, path: str, connection: sqlite3.Connection, options: ImportOptions) -> None:
        self._path = path
        self._connection = connection
        self._options = options
        self._notes: list[str] = []
        self._choices: dict[str, list[ColumnChoice]] = {}
        self._surveys: dict[str, TableSurvey] = {}

    def plan(self) -> ImportPlan:
        schema = read_schema(self._connection)
        if not schema.tables:
            raise ImportFileError(f"{self._path} has no tables; name a file that has some")
        self._refuse_strangers(schema.tables)
        tables_and_links = [self._with_links(table) for table in schema.tables]
        self._notes += [f"the {kind} {name!r} is left out" for kind, name in schema.left_out]
        names = Names(self._notes)
        drafts = [self._draft(table, names) for table in tables_and_links]
        pairings = pair_columns(drafts, self._notes)
        align_types(pairings)
        for draft in drafts:
            self._add_keys(draft)
        relations = make_relations(pairings, self._notes)
        self._notes += [note for pairing in pairings if (note := delete_note(pairing))]
        entities = tuple(draft.entity() for draft in drafts)
        members = {draft.name: draft.names for draft in drafts}
        throughs = make_throughs(entities, relations, members)
        relations, dangling = self._settle(relations, drafts)
        bundle = SchemaBundle(
            entities=entities,
            relations=tuple(relations),
            throughs=tuple(throughs),
        )
        tables = [
            TablePlan(
                source=draft.table.name,
                entity=entity,
                rows=self._surveys[draft.name].rows,
                read=self._row_reader(draft),
            )
            for draft, entity in zip(drafts, entities, strict=True)
        ]
        return ImportPlan(
            source=self._path,
            bundle=bundle,
            tables=in_load_order(tables, relations),
            dangling=tuple(dangling),
            notes=tuple(self._notes),
            on_close=self._connection.close,
        )

    def _refuse_strangers(self, tables: Sequence[SqliteTable]) -> None:
        """What is asked for a column that does not exist is a typing mistake."""
        known = {(table.name, column.name) for table in tables for column in table.columns}
        asked = [*self._options.types]
        for link in self._options.links:
            asked += [(link.source, column) for column in link.fields]
            asked += [(link.target, column) for column in link.target_fields]
        for table, column in asked:
            if (table, column) not in known:
                raise ImportFileError(
                    f"{self._path} has no column {table}.{column}; name the column as it does"
                )

    def _with_links(self, table: SqliteTable) -> SqliteTable:
        """The table with the relations asked for, as if they were declared."""
        links = tuple(
            SqliteForeignKey(
                columns=link.fields,
                target=link.target,
                target_columns=link.target_fields,
                on_delete="RESTRICT",
                name=link.name,
                inverse=link.inverse,
            )
            for link in self._options.links
            if link.source == table.name
        )
        # First, because of two foreign keys over the same columns the first one is kept.
        return replace(table, foreign_keys=links + table.foreign_keys)

    def _draft(self, table: SqliteTable, names: Names) -> Draft:
        """The entity's name and fields."""
        name = names.fit(table.name, "the table")
        survey = survey_table(self._connection, table)
        own = Names(self._notes)
        draft = Draft(table=table, name=name, names=own, fields={})
        choices: list[ColumnChoice] = []
        for column, found in zip(table.columns, survey.columns, strict=True):
            declared = self._options.types.get((table.name, column.name))
            choice = choose_column(table, column, found, declared)
            choices.append(choice)
            if choice.note is not None:
                self._notes.append(choice.note)
            if column.generated:
                self._notes.append(f"{table.name}.{column.name} is generated: its values are kept")
            folded = fold(column.name)
            if choice.is_open:
                draft.open_columns.add(folded)
            if not found.has_wide_integer and declared is None:
                draft.narrow_columns.add(folded)
            default = None if declared is not None else read_default(column)
            draft.fields[folded] = FieldDef(
                name=own.fit(column.name, f"the column of {table.name}"),
                type=choice.type,
                optional=choice.optional,
                default=LiteralDefault(value=default) if fits(choice.type, default) else None,
            )
        without_text = _QUOTED.sub(" ", table.sql)
        if re.search(r"\bCHECK\b", without_text, re.IGNORECASE):
            self._notes.append(f"the check constraints of {table.name} are left out")
        self._choices[name], self._surveys[name] = choices, survey
        return draft

    def _add_keys(self, draft: Draft) -> None:
        """The identity and the indexes, now that the types are settled."""
        table = draft.table
        key = [draft.fields[fold(name)] for name in table.primary_key]
        usable = bool(key) and all(is_scalar(part.type) and not part.optional for part in key)
        if usable:
            draft.identity = tuple(part.name for part in key)
            if table.rowid_column is not None:
                folded = fold(table.rowid_column)
                if draft.fields[folded].type == IntType():
                    draft.fields[folded] = replace(key[0], default=SequenceDefault())
        else:
            self._number_rows(draft)
        index_names = Names([])
        seen: set[tuple[IndexField, ...]] = set()
        for index in table.indexes:
            made = self._index(draft, index, index_names)
            if made is None or made.fields in seen:
                continue
            if made.unique and {part.field for part in made.fields} == set(draft.identity):
                continue  # the identity says so already
            seen.add(made.fields)
            draft.indexes.append(made)

    def _number_rows(self, draft: Draft) -> None:
        name = draft.names.free("rowid", "row_number")
        why = "its primary key is not usable" if draft.table.primary_key else "it has no key"
        self._notes.append(f"the rows of {draft.name} are told apart by the field {name}: {why}")
        number = FieldDef(name=name, type=IntType(), default=SequenceDefault())
        draft.fields = {_NUMBER: number, **draft.fields}
        draft.identity = (name,)

    def _index(self, draft: Draft, index: SqliteIndex, names: Names) -> IndexDef | None:
        what = f"the index {index.name} of {draft.table.name}"
        if index.partial:
            self._notes.append(f"{what} is left out: it is partial")
            return None
        parts: list[IndexField] = []
        for column in index.columns:
            if column.name is None:
                self._notes.append(f"{what} is left out: it is over an expression")
                return None
            found = draft.fields[fold(column.name)]
            if not is_scalar(found.type):
                self._notes.append(f"{what} is left out: {found.name} holds values of all kinds")
                return None
            parts.append(IndexField(field=found.name, descending=column.descending))
            if column.collation != "BINARY":
                verb = "is unique" if index.unique else "sorts"
                self._notes.append(f"{what} {verb} by code point, not by {column.collation}")
        if len({part.field for part in parts}) < len(parts):
            self._notes.append(f"{what} is left out: it names a column twice")
            return None
        joined = "_".join(part.field for part in parts)
        given = () if index.name.startswith("sqlite_autoindex_") else (index.name,)
        name = names.fit((given or (f"{joined}_unique",))[0], "the index")
        return IndexDef(name=name, fields=tuple(parts), unique=index.unique)

    def _settle(
        self, relations: Sequence[RelationDef], drafts: Sequence[Draft]
    ) -> tuple[list[RelationDef], list[Dangling]]:
        """Relations whose rows all point at something stay enforced; the rest as asked."""
        settled: list[RelationDef] = []
        dangling: list[Dangling] = []
        for relation in relations:
            found = find_dangling(self._connection, relation, drafts)
            if found is None:
                settled.append(relation)
            else:
                dangling.append(found)
                settled.append(replace(relation, enforced=False, on_delete="no_action"))
        if self._options.dangling == "refuse":
            refuse_dangling(dangling)
        return settled, dangling

    def _row_reader(self, draft: Draft) -> Callable[[], Iterator[RowDict]]:
        table, choices = draft.table, self._choices[draft.name]
        fields = [draft.fields[fold(column.name)] for column in table.columns]
        selects = [choice.select for choice in choices]
        numbered = _NUMBER in draft.fields
        rowid = table.rowid_name
        if numbered and rowid is not None:
            selects.append(rowid)
        # Rows come in the order of their keys, which is the order in which they are appended.
        order = f" ORDER BY {rowid}" if rowid is not None else ""
        sql = f"SELECT {', '.join(selects)} FROM {quote(table.name)}{order}"  # noqa: S608 quoted
        names = [one.name for one in fields] + ([draft.fields[_NUMBER].name] if numbered else [])
        floats = [
            (position, float)
            for position, (one, choice) in enumerate(zip(fields, choices, strict=True))
            if one.type == FloatType() and choice.type == IntType()
        ]
        changes = [*converters(choices), *floats]

        def read() -> Iterator[RowDict]:
            with reading_rows(table.name):
                cursor = self._connection.execute(sql)
                numbers = itertools.count(1)
                while rows := cursor.fetchmany(_ROWS_PER_FETCH):
                    if numbered and rowid is None:
                        rows = [(*row, next(numbers)) for row in rows]
                    if not changes:
                        yield from (dict(zip(names, row, strict=True)) for row in rows)
                        continue
                    for row in rows:
                        values = list(row)
                        for position, convert in changes:
                            if values[position] is not None:
                                values[position] = convert(values[position])
                        yield dict(zip(names, values, strict=True))

        return read
