"""One condition, asked in every kind of statement: they all have to mean the same rows.

    fetch    7 3 9     count 3     exists yes     explain(analyze) 3 kept     count() 3     get 7
    pages    7 | 3 | 9    limit 1  7    a snapshot, the newest commit by its number: 7 3 9
    update   of what the query means, in a transaction: 3 7 9 changed, and nothing else
    delete   the same: 3 7 9 are gone, nothing else is, and nothing is left to find

What a transaction did is rolled back, after which everything is as it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from ormdb.errors import ConstraintError
from ormdb.ir.expr import Aggregate, FieldRef, Related
from ormdb.ir.expression_type import walk
from ormdb.ir.graph import GraphQuery, Page
from ormdb.ir.mutation import DeleteWhere, UpdateWhere
from ormdb.ir.schema import FieldDef
from ormdb.ir.table import TableColumn, TableQuery
from ormdb.ir.value import RowDict, Value
from ormdb.session import Reader, Writer
from tests.oracle.compare import DifferenceError
from tests.oracle.stage import Identity, Stage, found_ids, identities, whole
from tests.oracle.values import any_value

PAGE_ROWS = 3
PAGES_MAX = 40
GETS = 3
_COUNT: Final = TableColumn(name="n", expression=Aggregate(function="count"))


class _UndoneError(Exception):
    """Ends a transaction that is to be rolled back."""


def check_agreement(stage: Stage, query: GraphQuery) -> int:
    """What every kind of statement says of a query's rows; how many were asked.

    Raises:
      DifferenceError: two of them mean different rows.
    """
    query = replace(whole(query), includes=())
    ids = found_ids(stage.database, stage.names, query)
    told = [
        _told_by_reader(stage, stage.database, query, ids),
        _told_by_pages(stage, query, ids),
        _told_by_update(stage, query, ids),
        _told_by_delete(stage, query, ids),
    ]
    _see(ids, found_ids(stage.database, stage.names, query), "after it was undone", stage, query)
    return sum(told) + 1


def _told_by_reader(
    stage: Stage, reader: Reader, query: GraphQuery, ids: Sequence[Identity]
) -> int:
    count, first = len(ids), found_ids(reader, stage.names, replace(query, page=Page(limit=1)))
    _see(count, reader.run_count(query), "count", stage, query)
    _see(count > 0, reader.run_exists(query), "exists", stage, query)
    _see(list(ids[:1]), first, "the first", stage, query)
    counted = TableQuery(entity=query.entity, filter=query.filter, columns=(_COUNT,))
    _see([count], list(reader.run_table(counted).values[0]), "count()", stage, query)
    for row in reader.run_fetch(replace(query, page=Page(limit=GETS))).dicts():
        identity = identities(stage.names, query.entity, [row])[0]
        _see(repr(row), repr(reader.run_get(query.entity, identity)), "get", stage, query)
    explained = reader.run_explain(query, analyze=True).root.actual
    assert explained is not None
    _see(count, explained.rows_kept, "explain", stage, query)
    if reader is stage.database:
        with stage.database.snapshot() as snapshot:
            _told_by_reader(stage, snapshot, query, ids)
        past = replace(query, as_of=stage.database.version)
        _see(list(ids), found_ids(reader, stage.names, past), "as of now", stage, query)
    return 6


def _told_by_pages(stage: Stage, query: GraphQuery, ids: Sequence[Identity]) -> int:
    found: list[Identity] = []
    cursor: str | None = None
    for _ in range(PAGES_MAX):
        page = replace(query, page=Page(limit=PAGE_ROWS, after=cursor))
        found.extend(found_ids(stage.database, stage.names, page))
        cursor = stage.database.run_fetch(page).next_cursor
        if cursor is None:
            break
    _see(list(ids), found, "its pages", stage, query)
    return 1


def _told_by_update(stage: Stage, query: GraphQuery, ids: Sequence[Identity]) -> int:
    """Change a field of the rows that a transaction finds; no other row may change."""
    field = _free_field(stage, query.entity)
    if field is None:
        return 0
    value = any_value(stage.rng, field.type, small=True)
    before = _table(stage, stage.database, query.entity)
    try:
        with stage.database.begin() as writer:
            chosen = found_ids(writer, stage.names, query)
            _see(list(ids), chosen, "a fetch to update", stage, query)
            update = UpdateWhere(query=_rows_alone(query), changes={field.name: value})
            (outcome,) = writer.run_mutations([update])
            touched = list(outcome.identities)
            _see(list(ids), touched, "update", stage, query)
            after = _table(stage, writer, query.entity)
            _see(set(before), set(after), "which rows there are after an update", stage, query)
            for identity, row in after.items():
                expected = dict(before[identity])
                if identity in set(ids):
                    expected[field.name] = value
                _see(repr(expected), repr(row), f"{identity} after an update", stage, query)
            raise _UndoneError
    except _UndoneError:
        return 1


def _told_by_delete(stage: Stage, query: GraphQuery, ids: Sequence[Identity]) -> int:
    """Delete the rows that a transaction finds; they go, and no others."""
    before = _table(stage, stage.database, query.entity)
    try:
        with stage.database.begin() as writer:
            chosen = found_ids(writer, stage.names, query)
            _see(list(ids), chosen, "a fetch to delete", stage, query)
            gone = _delete(writer, query)
            if gone is None:
                raise _UndoneError
            _see(list(ids), gone, "delete", stage, query)
            after = _table(stage, writer, query.entity)
            _see(set(before) - set(ids), set(after), "delete", stage, query)
            _see_what_is_left(stage, writer, query)
            raise _UndoneError
    except _UndoneError:
        return 1


def _delete(writer: Writer, query: GraphQuery) -> list[Identity] | None:
    try:
        (outcome,) = writer.run_mutations([DeleteWhere(query=_rows_alone(query))])
    except ConstraintError:
        return None  # somebody refers to one of them
    return list(outcome.identities)


def _rows_alone(query: GraphQuery) -> GraphQuery:
    """The query for the rows, and nothing to show of them."""
    return replace(query, select=None, derived=(), as_of=None)


def _see_what_is_left(stage: Stage, writer: Writer, query: GraphQuery) -> None:
    """After its rows are gone a condition finds nothing, unless it asks about other rows too."""
    left = found_ids(writer, stage.names, query)
    _see(len(left), writer.run_count(query), "count in a transaction", stage, query)
    _see(bool(left), writer.run_exists(query), "exists in a transaction", stage, query)
    nodes = list(walk(query.filter)) if query.filter is not None else []
    asks_afar = any(
        isinstance(node, Related | Aggregate) or (isinstance(node, FieldRef) and len(node.path) > 1)
        for node in nodes
    )
    if not asks_afar:
        _see([], left, "what is left", stage, query)


def _table(stage: Stage, reader: Reader, entity: str) -> dict[Identity, RowDict]:
    """Every row without its computed fields, by identity."""
    definition = stage.names.entities[entity]
    plain = tuple(each.name for each in definition.fields if each.computed is None)
    rows = reader.run_fetch(GraphQuery(entity=entity, select=plain)).dicts()
    return {tuple(row[name] for name in definition.identity): row for row in rows}


def _free_field(stage: Stage, entity: str) -> FieldDef | None:
    """A field that nothing else depends on."""
    definition, names = stage.names.entities[entity], stage.names
    bound = set(definition.identity)
    for index in definition.indexes:
        if index.unique:
            bound.update(part.field for part in index.fields)
    for relation in names.bundle.relations:
        if relation.source == entity:
            bound.update(relation.fields)
        if relation.target == entity:
            bound.update(relation.target_fields)
    free = [f for f in definition.fields if f.name not in bound and f.computed is None]
    return stage.rng.choice(free) if free else None


def _see(expected: Value, found: Value, what: str, stage: Stage, query: GraphQuery) -> None:
    if expected != found:
        raise DifferenceError(f"{stage.label}: {what} says {found}, not {expected}: {query!r}")
