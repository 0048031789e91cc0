"""Holds that a SQLite import reproduces every row, type and relation of any file."""

from __future__ import annotations

import sqlite3
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import ormdb
from ormdb.exchange.plan import ImportOptions, ImportPlan
from ormdb.exchange.run import run_import
from ormdb.exchange.sqlite import plan_sqlite
from ormdb.ir.graph import FanoutBudget, GraphQuery, Include
from ormdb.ir.schema import EntityDef, RelationDef, SchemaBundle
from ormdb.ir.value import StructType, Value
from tests.box import Box
from tests.property.sqlite_worlds import build_world, quote

ROWS_MIN = 1_000
BUDGET = FanoutBudget(rows=10**7, edges=10**7, fanout=10**7, time_s=600)


@pytest.mark.soak(seconds=25, cases_min=25)
def test_a_sqlite_file_is_reproduced(box: Box, tmp_path: Path) -> None:
    for seed in box.seeds():
        folder = tmp_path / str(seed)
        folder.mkdir()
        source, target = folder / "world.db", folder / "world.ormdb"
        build_world(str(source), seed, rows_min=ROWS_MIN)
        before = source.read_bytes()
        with plan_sqlite(str(source), ImportOptions(dangling="unenforce")) as plan:
            rows = run_import(plan, target)
            connection = sqlite3.connect(source)
            try:
                with ormdb.open(target, read_only=True) as db:
                    assert rows == plan.rows >= ROWS_MIN
                    compare(connection, plan, db)
                    assert db.check(deep=True).problems == ()
            finally:
                connection.close()
        assert source.read_bytes() == before
        box.count()


def compare(connection: sqlite3.Connection, plan: ImportPlan, db: ormdb.Database) -> None:
    bundle = db.schema
    names = connection.execute(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
    ).fetchall()
    entities = {entity.name: entity for entity in bundle.entities}
    assert set(entities) == {name for (name,) in names}
    for (name,) in names:
        compare_rows(connection, entities[name], db)
        compare_keys(connection, entities[name], plan)
        compare_relations(connection, name, plan, bundle)
    for relation in bundle.relations:
        compare_ways(connection, relation, entities, db)
    for through in bundle.throughs:
        compare_through(through.entity, through.name, bundle, db)
    assert any("a view" in note for note in plan.notes)


# --- rows -----------------------------------------------------------------------------------


def compare_rows(connection: sqlite3.Connection, entity: EntityDef, db: ormdb.Database) -> None:
    columns = [row[1] for row in connection.execute(f"PRAGMA table_xinfo({quote(entity.name)})")]
    selects = [quote(column) for column in columns]
    extra = [field.name for field in entity.fields if field.name not in columns]
    numbered = bool(extra)
    if numbered:
        assert entity.identity == tuple(extra)
        taken = {column.lower() for column in columns}
        free = next((one for one in ("rowid", "_rowid_", "oid") if one not in taken), None)
        selects += [free] if free is not None and _has_rowid(connection, entity.name) else []
    expected = connection.execute(
        f"SELECT {', '.join(selects)} FROM {quote(entity.name)}"
    ).fetchall()
    shown = [*columns, *extra][: len(selects)]
    found = db.run_fetch(GraphQuery(entity=entity.name, budget=BUDGET)).dicts()
    structs = {field.name for field in entity.fields if isinstance(field.type, StructType)}
    assert len(found) == len(expected)
    actual = [tuple(_plain(row[name], name in structs) for name in shown) for row in found]
    assert _counted(actual) == _counted(expected)
    for field in entity.fields:
        if not field.optional:
            assert all(row[field.name] is not None for row in found)


def _has_rowid(connection: sqlite3.Connection, table: str) -> bool:
    rows = connection.execute("PRAGMA table_list").fetchall()
    return not any(row[1] == table and row[4] for row in rows)


def _plain(value: Value, is_struct: bool) -> Value:
    """The SQLite value of a field that may hold values of all classes."""
    if not is_struct or value is None:
        return value
    parts = [part for part in value.values() if part is not None]
    assert len(parts) == 1
    return parts[0]


def _counted(rows: list[tuple[Any, ...]]) -> Counter[tuple[tuple[str, Any], ...]]:
    return Counter(tuple(map(_spelled, row)) for row in rows)


def _spelled(value: Value) -> tuple[str, Any]:
    """Numbers are compared as numbers: an int in a float column becomes an equal float."""
    return ("number" if isinstance(value, int | float) else type(value).__name__, value)


# --- keys and relations ---------------------------------------------------------------------


def compare_keys(connection: sqlite3.Connection, entity: EntityDef, plan: ImportPlan) -> None:
    info = connection.execute(f"PRAGMA table_xinfo({quote(entity.name)})").fetchall()
    primary = [row[1] for row in sorted(info, key=lambda row: row[5]) if row[5]]
    if entity.identity != tuple(primary):
        said = [note for note in plan.notes if note.startswith(f"the rows of {entity.name} are")]
        assert said
        assert said[0].endswith("it has no key") == (not primary)
    for field in entity.fields:
        required = [row[3] for row in info if row[1] == field.name]
        assert not (required and required[0] and field.optional)
    uniques = [set(entity.identity)]
    uniques += [{part.field for part in index.fields} for index in entity.indexes if index.unique]
    for _, name, unique, _, partial in connection.execute(
        f"PRAGMA index_list({quote(entity.name)})"
    ).fetchall():
        columns = {row[2] for row in connection.execute(f"PRAGMA index_info({quote(name)})")}
        if unique and not partial and columns not in uniques:
            assert any(f"the index {name} of" in note for note in plan.notes)


def compare_relations(
    connection: sqlite3.Connection, table: str, plan: ImportPlan, bundle: SchemaBundle
) -> None:
    """Every foreign key is a relation with the right columns, or is named in a note."""
    keys: dict[int, list[Any]] = {}
    for row in connection.execute(f"PRAGMA foreign_key_list({quote(table)})"):
        keys.setdefault(row[0], []).append(row)
    violations = Counter(
        row[3] for row in connection.execute(f"PRAGMA foreign_key_check({quote(table)})")
    )
    dangling = {(one.source, one.relation): one.rows for one in plan.dangling}
    for number, rows in keys.items():
        target = rows[0][2]
        theirs = [row[4] for row in sorted(rows, key=lambda row: row[1])]
        if theirs[0] is None:
            info = connection.execute(f"PRAGMA table_info({quote(target)})").fetchall()
            theirs = [row[1] for row in sorted(info, key=lambda row: row[5]) if row[5]]
        pairs = set(zip((row[3] for row in sorted(rows, key=lambda r: r[1])), theirs, strict=True))
        found = [
            relation
            for relation in bundle.relations
            if (relation.source, relation.target) == (table, target)
            and set(zip(relation.fields, relation.target_fields, strict=True)) == pairs
        ]
        columns = ", ".join(row[3] for row in sorted(rows, key=lambda r: r[1]))
        if not found:
            assert any(f"the foreign key {table}({columns})" in note for note in plan.notes)
            continue
        (relation,) = found
        assert dangling.get((table, relation.name), 0) == violations[number]
        assert relation.enforced == (violations[number] == 0)


def compare_ways(
    connection: sqlite3.Connection,
    relation: RelationDef,
    entities: dict[str, EntityDef],
    db: ormdb.Database,
) -> None:
    """Following a relation gives what joining the tables gives, both ways."""
    target = entities[relation.target]
    answer = db.run_fetch(
        GraphQuery(
            entity=relation.source, includes=(Include(relation=relation.name),), budget=BUDGET
        )
    )
    pairs = zip(relation.fields, relation.target_fields, strict=True)
    joined = " AND ".join(f"s.{quote(a)} = t.{quote(b)}" for a, b in pairs)
    there = f"FROM {quote(relation.source)} s JOIN {quote(relation.target)} t ON {joined}"
    count = connection.execute(f"SELECT count(*) {there}").fetchone()[0]
    found = [row for row in answer.dicts() if row[relation.name] is not None]
    assert len(found) == count
    for row in found:
        values = [row[name] for name in relation.fields]
        assert values == [row[relation.name][name] for name in relation.target_fields]
    assert relation.inverse is not None
    back = db.run_fetch(
        GraphQuery(
            entity=target.name, includes=(Include(relation=relation.inverse),), budget=BUDGET
        )
    ).dicts()
    children = [row[relation.inverse] for row in back]
    if relation.inverse_one:
        assert sum(child is not None for child in children) == count
    else:
        assert sum(map(len, children)) == count


def compare_through(entity: str, name: str, bundle: SchemaBundle, db: ormdb.Database) -> None:
    """A many-to-many relation leads where its two relations lead one after the other."""
    through = next(one for one in bundle.throughs if (one.entity, one.name) == (entity, name))
    near = next(
        one for one in bundle.relations if (one.source, one.name) == (through.edge, through.near)
    )
    assert near.inverse is not None
    hops = Include(relation=near.inverse, includes=(Include(relation=through.far),))
    rows = db.run_fetch(
        GraphQuery(entity=entity, includes=(hops, Include(relation=name)), budget=BUDGET)
    ).dicts()
    for row in rows:
        edges = row[near.inverse]
        if near.inverse_one:
            edges = [] if edges is None else [edges]
        step = [edge[through.far] for edge in edges if edge[through.far] is not None]
        assert sorted(map(repr, row[name])) == sorted(map(repr, step))
