"""CSV and JSON Lines files as an import: every file an entity, relations as the caller asks.

    plan_files(["airports.csv", "flights.csv.zip"], ImportOptions(
        nulls=("NA",),
        identities={"airports": ("faa",)},
        links=(Link.parse("flights.origin -> airports.faa as origin_airport"),),
    ))

    airports    faa: text, name: text, ...           identity faa
    flights     row: int, origin: text, ...          identity row, counted from 1
    relation    flights.origin_airport (origin) -> airports (faa), inverse flights

Types come from all of the data (`infer`) or from the caller.  A field is optional when some cell
is NULL.  The identity is what the caller names, else a column "id" whose values are all there and
all different, else a running number.

Invariants (held by tests/unit/exchange/test_files.py):
  1. What is asked for a file or column that is not there is refused by name.
  2. Rows come in the order of the file, each value equal to what its cell spells.
"""

from __future__ import annotations

import datetime
import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from ormdb.errors import ImportFileError, ValueRangeError, ValueTypeError
from ormdb.exchange.cells import from_json, parse_value
from ormdb.exchange.infer import JsonColumn, TextColumn, is_moment, read_moment
from ormdb.exchange.naming import Names, inverse_names, make_throughs, relation_names
from ormdb.exchange.plan import (
    Dangling,
    ImportOptions,
    ImportPlan,
    Link,
    TablePlan,
    in_load_order,
    refuse_dangling,
)
from ormdb.exchange.text_sources import TextSource, open_source
from ormdb.ir.scan import quote_name
from ormdb.ir.schema import (
    EntityDef,
    FieldDef,
    IndexDef,
    IndexField,
    RelationDef,
    SchemaBundle,
    SequenceDefault,
)
from ormdb.ir.show import show_value
from ormdb.ir.type_text import type_name
from ormdb.ir.value import (
    BoolType,
    DateType,
    FloatType,
    IntType,
    RowDict,
    TextType,
    TimestampType,
    Type,
    Value,
    is_scalar,
)

_Read: TypeAlias = Callable[[Value], Value]
_Key: TypeAlias = tuple[Value, ...]

# Cells of inferred types are known to read; these are the fastest ways.
_QUICK: Final[dict[Type, _Read]] = {
    BoolType(): lambda cell: cell.lower() == "true",
    IntType(): int,
    FloatType(): lambda cell: float(cell) + 0.0,
    TextType(): str,
    DateType(): datetime.date.fromisoformat,
}


@dataclass(slots=True)
class _Draft:
    """A file on its way to an entity; `keys` are sets of columns that have to tell rows apart."""

    source: TextSource
    name: str
    names: Names
    fields: dict[str, FieldDef]  # by column
    read: list[_Read]
    rows: int
    number: str | None = None
    identity: tuple[str, ...] = ()
    indexes: tuple[IndexDef, ...] = ()

    def columns_as_fields(self, columns: Iterable[str]) -> tuple[str, ...]:
        return tuple(self.fields[column].name for column in columns)


def plan_files(paths: Sequence[str], options: ImportOptions | None = None) -> ImportPlan:
    """Look at all of some CSV and JSON Lines files and say what importing them would do.

    Raises:
      ImportFileError: a file is malformed, or the options ask for what is not there, or there
        are dangling rows that the options do not allow.
    """
    return _Planner(options or ImportOptions()).plan(paths)


class _Planner:
    """One look at some files."""

    def __init__(self, options: ImportOptions) -> None:
        self._options = options
        self._notes: list[str] = []

    def plan(self, paths: Sequence[str]) -> ImportPlan:
        options = self._options
        sources = [
            open_source(path, delimiter=options.delimiter, encoding=options.encoding)
            for path in paths
        ]
        self._refuse_strangers(sources)
        names = Names(self._notes)
        drafts = {source.name: self._draft(source, names) for source in sources}
        for draft in drafts.values():
            self._choose_identity(draft)
        for link in options.links:
            self._make_unique(drafts[link.target], link.target_fields)
        entities = [_entity(draft) for draft in drafts.values()]
        relations, dangling = self._relations(drafts)
        if options.dangling == "refuse":
            refuse_dangling(dangling)
        members = {draft.name: draft.names for draft in drafts.values()}
        bundle = SchemaBundle(
            entities=tuple(entities),
            relations=tuple(relations),
            throughs=tuple(make_throughs(entities, relations, members)),
        )
        tables = [
            TablePlan(
                source=draft.source.name, entity=entity, rows=draft.rows, read=_row_reader(draft)
            )
            for draft, entity in zip(drafts.values(), entities, strict=True)
        ]
        return ImportPlan(
            source=", ".join(paths),
            bundle=bundle,
            tables=in_load_order(tables, relations),
            dangling=tuple(dangling),
            notes=tuple(self._notes),
        )

    def _refuse_strangers(self, sources: Sequence[TextSource]) -> None:
        known = {source.name: source.names for source in sources}
        if len(known) < len(sources):
            raise ImportFileError("two files have one name; rename one, as it names the entity")
        asked = [*self._options.types]
        asked += [
            (name, column) for name, key in self._options.identities.items() for column in key
        ]
        for link in self._options.links:
            asked += [(link.source, column) for column in link.fields]
            asked += [(link.target, column) for column in link.target_fields]
        for name, column in asked:
            if name not in known:
                raise ImportFileError(
                    f"no file is named {name!r}; the files are {', '.join(known)}"
                )
            if column not in known[name]:
                raise ImportFileError(
                    f"{name} has no column {column!r}; it has {', '.join(known[name])}"
                )

    def _draft(self, source: TextSource, names: Names) -> _Draft:
        """Look at every cell of a file."""
        utc, nulls = self._options.utc, frozenset(self._options.nulls)
        columns: list[TextColumn | JsonColumn] = [
            JsonColumn(utc=utc) if source.is_json else TextColumn(utc=utc) for _ in source.names
        ]
        has_null = [False] * len(columns)
        rows = 0
        for batch in source.batches():
            rows = batch.first - 1 + len(batch.columns[0])
            for position, (column, items) in enumerate(zip(columns, batch.columns, strict=True)):
                present = _present(items, nulls, is_json=source.is_json)
                has_null[position] |= len(present) < len(items)
                column.see(present)
        own = Names(self._notes)
        draft = _Draft(source, names.fit(source.name, "the file"), own, {}, [], rows)
        for name, column, optional in zip(source.names, columns, has_null, strict=True):
            field, read = self._field(source, name, column, optional=optional)
            draft.fields[name] = replace(field, name=own.fit(name, f"the column of {source.name}"))
            draft.read.append(read)
        return draft

    def _field(
        self, source: TextSource, name: str, column: TextColumn | JsonColumn, *, optional: bool
    ) -> tuple[FieldDef, _Read]:
        where = f"{source.name}.{name}"
        declared = self._options.types.get((source.name, name))
        nulls = frozenset(self._options.nulls)
        if declared is not None:
            if declared.optional is not None:
                optional = declared.optional
            read = _reader(declared.type, where, is_json=source.is_json, utc=self._options.utc)
            field = FieldDef(name=name, type=declared.type, optional=optional)
            return field, _with_nulls(read, nulls, is_json=source.is_json)
        if isinstance(column, JsonColumn) and column.is_lossy:
            raise ImportFileError(
                f"{where} holds numbers that neither 64 bits nor 38 digits can hold; write them as "
                f"text, or accept rounding with --type {quote_name(source.name)}."
                f"{quote_name(name)}=float"
            )
        if column.is_naive:
            self._notes.append(
                f"{where} holds timestamps without a zone and stays text; --utc reads them as UTC"
            )
        kind = column.type()
        if source.is_json or kind not in _QUICK:
            read = _reader(kind, where, is_json=source.is_json, utc=self._options.utc)
        else:
            read = _QUICK[kind]
        field = FieldDef(name=name, type=kind, optional=optional)
        return field, _with_nulls(read, nulls, is_json=source.is_json)

    # --- keys and relations ---------------------------------------------------------------------

    def _choose_identity(self, draft: _Draft) -> None:
        asked = self._options.identities.get(draft.source.name)
        if asked is not None:
            self._require_key(draft, asked, "identity")
            draft.identity = draft.columns_as_fields(asked)
            return
        field = draft.fields.get("id")
        may_be = field is not None and is_scalar(field.type) and not field.optional
        if field is not None and may_be and _first_repeat(draft, ("id",)) is None:
            draft.identity = (field.name,)
            return
        draft.number = draft.names.free("row", "row_number")
        draft.identity = (draft.number,)
        self._notes.append(
            f"the rows of {draft.name} are told apart by the field {draft.number}: no identity was "
            f"given (--identity {quote_name(draft.source.name)}=column)"
        )

    def _require_key(self, draft: _Draft, columns: Sequence[str], what: str) -> None:
        """Refuse columns that cannot tell rows apart."""
        name = f"{draft.source.name}.({', '.join(columns)})"
        for column in columns:
            field = draft.fields[column]
            if field.optional or not is_scalar(field.type):
                why = "is NULL in some row" if field.optional else f"is {type_name(field.type)}"
                raise ImportFileError(
                    f"{name} cannot be the {what}: {column} {why}; name other columns"
                )
        repeated = _first_repeat(draft, columns)
        if repeated is not None:
            raise ImportFileError(
                f"{name} cannot be the {what}: {', '.join(map(show_value, repeated))} occurs "
                "twice; name more columns"
            )

    def _make_unique(self, draft: _Draft, columns: tuple[str, ...]) -> None:
        """See to it that a relation can lead to these columns."""
        fields = draft.columns_as_fields(columns)
        keys = [set(draft.identity), *({p.field for p in i.fields} for i in draft.indexes)]
        if set(fields) in keys:
            return
        self._require_key(draft, columns, "target of a relation")
        index = IndexDef(
            name="_".join([*fields, "unique"]),
            fields=tuple(IndexField(field=field) for field in fields),
            unique=True,
        )
        draft.indexes = (*draft.indexes, index)

    def _relations(self, drafts: Mapping[str, _Draft]) -> tuple[list[RelationDef], list[Dangling]]:
        ways = Counter((link.source, link.target) for link in self._options.links)
        relations: list[RelationDef] = []
        dangling: list[Dangling] = []
        for link in self._options.links:
            source, target = drafts[link.source], drafts[link.target]
            relation = _relation(link, source, target, is_lone=ways[link.source, link.target] == 1)
            found = _find_dangling(link, relation, source, target)
            if found is not None:
                dangling.append(found)
                relation = replace(relation, enforced=False, on_delete="no_action")
            relations.append(relation)
        return relations, dangling


def _entity(draft: _Draft) -> EntityDef:
    numbered: tuple[FieldDef, ...] = ()
    if draft.number is not None:
        numbered = (FieldDef(name=draft.number, type=IntType(), default=SequenceDefault()),)
    return EntityDef(
        name=draft.name,
        fields=(*numbered, *draft.fields.values()),
        identity=draft.identity,
        indexes=draft.indexes,
    )


def _relation(link: Link, source: _Draft, target: _Draft, *, is_lone: bool) -> RelationDef:
    pairs = dict(zip(link.target_fields, link.fields, strict=True))
    for theirs, ours in pairs.items():
        own, other = source.fields[ours].type, target.fields[theirs].type
        if own != other:
            raise ImportFileError(
                f"{link.source}.{ours} is {type_name(own)} and {link.target}.{theirs} is "
                f"{type_name(other)}; declare both alike with --type"
            )
    by_field = {
        target.fields[theirs].name: source.fields[ours].name for theirs, ours in pairs.items()
    }
    # In the order of the key that the relation leads to.
    keys = [target.identity, *(tuple(p.field for p in i.fields) for i in target.indexes)]
    target_fields = next(key for key in keys if set(key) == set(by_field))
    fields = tuple(by_field[name] for name in target_fields)
    asked = [link.name] if link.name else []
    name = source.names.free(*asked, *relation_names(fields, target.name, is_lone=is_lone))
    back = inverse_names(source.name, name, is_lone=is_lone and source is not target)
    return RelationDef(
        name=name,
        source=source.name,
        fields=fields,
        target=target.name,
        target_fields=target_fields,
        inverse=target.names.free(*([link.inverse] if link.inverse else []), *back),
        inverse_one=set(fields) == set(source.identity),
        on_delete="restrict",
    )


def _find_dangling(
    link: Link, relation: RelationDef, source: _Draft, target: _Draft
) -> Dangling | None:
    there = set(_keys(target, link.target_fields))
    rows, example = 0, None
    for key in _keys(source, link.fields):
        if None not in key and key not in there:
            rows, example = rows + 1, example or key
    if example is None:
        return None
    return Dangling(
        source=relation.source,
        relation=relation.name,
        description=(
            f"{relation.source}.({', '.join(relation.fields)}) -> "
            f"{relation.target}.({', '.join(relation.target_fields)})"
        ),
        rows=rows,
        example=", ".join(map(show_value, example)),
    )


# --- reading --------------------------------------------------------------------------------


def _present(items: Sequence[Value], nulls: frozenset[str], *, is_json: bool) -> list[Value]:
    if is_json:
        return [item for item in items if item is not None]
    return [item for item in items if item not in nulls]


def _reader(kind: Type, where: str, *, is_json: bool, utc: bool) -> _Read:
    naive = utc and isinstance(kind, TimestampType)

    def read(item: Value) -> Value:
        if naive and isinstance(item, str) and is_moment(item):
            return read_moment(item)
        return from_json(kind, item, where) if is_json else parse_value(kind, item, where)

    return read


def _with_nulls(read: _Read, nulls: frozenset[str], *, is_json: bool) -> _Read:
    if is_json:
        return lambda item: None if item is None else read(item)
    return lambda item: None if item in nulls else read(item)


def _typed_columns(draft: _Draft, positions: Sequence[int]) -> Iterator[list[list[Value]]]:
    """Some columns of a file, batch by batch, as values."""
    for batch in draft.source.batches():
        yield [
            _converted(draft, position, batch.columns[position], batch.first)
            for position in positions
        ]


def _converted(draft: _Draft, position: int, items: Sequence[Value], first: int) -> list[Value]:
    read = draft.read[position]
    try:
        return [read(item) for item in items]
    except (ValueTypeError, ValueRangeError):
        for row, item in enumerate(items, first):
            try:
                read(item)
            except (ValueTypeError, ValueRangeError) as error:
                raise ImportFileError(f"row {row}: {error.message}") from error
        raise


def _keys(draft: _Draft, columns: Sequence[str]) -> Iterator[_Key]:
    positions = [draft.source.names.index(column) for column in columns]
    for values in _typed_columns(draft, positions):
        yield from zip(*values, strict=True)


def _first_repeat(draft: _Draft, columns: Sequence[str]) -> _Key | None:
    seen: set[_Key] = set()
    for key in _keys(draft, columns):
        if key in seen:
            return key
        seen.add(key)
    return None


def _row_reader(draft: _Draft) -> Callable[[], Iterator[RowDict]]:
    positions = range(len(draft.source.names))
    names = [field.name for field in draft.fields.values()]

    def read() -> Iterator[RowDict]:
        numbers = itertools.count(1)
        for columns in _typed_columns(draft, positions):
            for values in zip(*columns, strict=True):
                row = dict(zip(names, values, strict=True))
                if draft.number is not None:
                    row[draft.number] = next(numbers)
                yield row

    return read
