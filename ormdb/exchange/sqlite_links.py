"""Foreign keys as relations.

    order_line(order_id -> orders, product_id -> product, quantity), key (order_id, product_id)

    relation  order_line.order     -> orders     inverse  orders.order_line
    relation  order_line.product   -> product    inverse  product.order_line

A foreign key whose values and target's values are not of one type, or whose target is neither an
identity nor unique, cannot be followed and is left out with a note.

Invariants (held by tests/unit/exchange/test_sqlite.py):
  1. Every foreign key is a relation or is named in a note.
  2. A relation with dangling rows is reported with their number.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from ormdb.exchange.naming import Names, inverse_names, relation_names, unique_fields
from ormdb.exchange.plan import Dangling
from ormdb.exchange.sqlite_schema import SqliteForeignKey, SqliteTable, quote
from ormdb.ir.schema import EntityDef, FieldDef, IndexDef, OnDelete, RelationDef
from ormdb.ir.show import show_value
from ormdb.ir.value import FloatType, IntType, is_scalar


@dataclass(slots=True)
class Draft:
    """An entity in the making.  `fields` are by the folded name of their column."""

    table: SqliteTable
    name: str
    names: Names
    fields: dict[bytes, FieldDef]
    identity: tuple[str, ...] = ()
    indexes: list[IndexDef] = field(default_factory=list[IndexDef])
    open_columns: set[bytes] = field(default_factory=set[bytes])  # no value bounds their type
    narrow_columns: set[bytes] = field(default_factory=set[bytes])  # ints that are exact floats

    def entity(self, *, doc: str = "") -> EntityDef:
        """The entity as it stands."""
        return EntityDef(
            name=self.name,
            fields=tuple(self.fields.values()),
            identity=self.identity,
            indexes=tuple(self.indexes),
            doc=doc,
        )

    def field_named(self, name: str) -> FieldDef:
        """The field of this name."""
        return next(one for one in self.fields.values() if one.name == name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairing:
    """A foreign key whose columns are all there: folded names on both sides, in order."""

    key: SqliteForeignKey
    source: Draft
    target: Draft
    columns: tuple[bytes, ...]
    target_columns: tuple[bytes, ...]

    @property
    def description(self) -> str:
        """How notes and errors call it."""
        return _described(self.source.table, self.key)


def fold(name: str) -> bytes:
    """A name as SQLite compares names: ASCII letters without their case."""
    return name.encode("utf-8", "surrogatepass").lower()


def pair_columns(drafts: Sequence[Draft], notes: list[str]) -> list[Pairing]:
    """Every foreign key that names tables and columns that exist, once."""
    tables = {fold(draft.table.name): draft for draft in drafts}
    found: list[Pairing] = []
    seen: set[tuple[str, tuple[bytes, ...], str, tuple[bytes, ...]]] = set()
    for draft in drafts:
        for key in draft.table.foreign_keys:
            target = tables.get(fold(key.target))
            if target is None:
                notes.append(
                    f"{_described(draft.table, key)} is left out: there is no table "
                    f"{show_value(key.target)[5:]}"
                )
                continue
            columns = tuple(map(fold, key.columns))
            target_columns = tuple(map(fold, key.target_columns or target.table.primary_key))
            has_all = all(one in draft.fields for one in columns) and all(
                one in target.fields for one in target_columns
            )
            if not has_all or len(columns) != len(target_columns):
                notes.append(
                    f"{_described(draft.table, key)} is left out: its columns do not match those "
                    f"of {target.name}"
                )
                continue
            same = (draft.name, columns, target.name, target_columns)
            if same not in seen:
                seen.add(same)
                found.append(
                    Pairing(
                        key=key,
                        source=draft,
                        target=target,
                        columns=columns,
                        target_columns=target_columns,
                    )
                )
    return found


def align_types(pairings: Sequence[Pairing]) -> None:
    """Give columns without values the type of the columns they are paired with, and make ints
    that refer to floats floats.  Repeated, because a column may be in several pairs."""
    for _ in range(len(pairings) + 1):
        changed = False
        for pairing in pairings:
            for ours, theirs in zip(pairing.columns, pairing.target_columns, strict=True):
                changed |= _align(pairing.source, ours, pairing.target, theirs)
        if not changed:
            return


def _align(source: Draft, ours: bytes, target: Draft, theirs: bytes) -> bool:
    own, other = source.fields[ours], target.fields[theirs]
    if own.type == other.type:
        return False
    if ours in source.open_columns and is_scalar(other.type):
        source.fields[ours] = replace(own, type=other.type, default=None)
    elif theirs in target.open_columns and is_scalar(own.type):
        target.fields[theirs] = replace(other, type=own.type, default=None)
    elif (own.type, other.type) == (IntType(), FloatType()) and ours in source.narrow_columns:
        source.fields[ours] = replace(own, type=FloatType(), default=None)
    else:
        return False
    return True


def make_relations(pairings: Iterable[Pairing], notes: list[str]) -> list[RelationDef]:
    """Every pairing that can be followed, as an enforced relation with both directions named."""
    kept: list[tuple[Pairing, tuple[str, ...], tuple[str, ...]]] = []
    for pairing in pairings:
        fields = _ordered_fields(pairing)
        if isinstance(fields, str):
            notes.append(f"{pairing.description} is left out: {fields}")
        else:
            kept.append((pairing, *fields))
    ways = Counter((pairing.source.name, pairing.target.name) for pairing, *_ in kept)
    return [
        _relation(pairing, fields, target_fields, ways[pairing.source.name, pairing.target.name])
        for pairing, fields, target_fields in kept
    ]


def _ordered_fields(pairing: Pairing) -> tuple[tuple[str, ...], tuple[str, ...]] | str:
    """The fields on both sides, in the order of the identity or index they lead to; or why not."""
    source, target = pairing.source, pairing.target
    ours = [source.fields[column] for column in pairing.columns]
    theirs = [target.fields[column] for column in pairing.target_columns]
    for own, other in zip(ours, theirs, strict=True):
        if not (is_scalar(own.type) and is_scalar(other.type)):
            return "its values are of several kinds"
        if own.type != other.type:
            return f"{source.name}.{own.name} and {target.name}.{other.name} are of different types"
    pairs = dict(zip((one.name for one in theirs), (one.name for one in ours), strict=True))
    if len(set(pairs)) < len(theirs) or len({one.name for one in ours}) < len(ours):
        return "it names a column twice"
    for names in unique_fields(target.entity()):
        if set(names) == set(pairs):
            return tuple(pairs[name] for name in names), tuple(names)
    return f"the columns of {target.name} are not unique"


def _relation(
    pairing: Pairing, fields: tuple[str, ...], target_fields: tuple[str, ...], ways: int
) -> RelationDef:
    source, target, key = pairing.source, pairing.target, pairing.key
    asked = [key.name] if key.name else []
    name = source.names.free(*asked, *relation_names(fields, target.name, is_lone=ways == 1))
    is_lone = ways == 1 and source is not target
    asked = [key.inverse] if key.inverse else []
    inverse = target.names.free(*asked, *inverse_names(source.name, name, is_lone=is_lone))
    return RelationDef(
        name=name,
        source=source.name,
        fields=fields,
        target=target.name,
        target_fields=target_fields,
        inverse=inverse,
        inverse_one=any(set(one) == set(fields) for one in unique_fields(source.entity())),
        on_delete=_on_delete(pairing),
    )


def find_dangling(
    connection: sqlite3.Connection, relation: RelationDef, drafts: Sequence[Draft]
) -> Dangling | None:
    """How many rows of a relation point at nothing."""
    by_name = {draft.name: draft for draft in drafts}
    source, target = by_name[relation.source], by_name[relation.target]
    ours = [_column(source, name) for name in relation.fields]
    theirs = [_column(target, name) for name in relation.target_fields]
    # Keys match when their bytes do, whatever collation the columns were declared with.
    matched = " AND ".join(
        f"t.{b} = s.{a} COLLATE BINARY" for a, b in zip(ours, theirs, strict=True)
    )
    present = " AND ".join(f"s.{name} IS NOT NULL" for name in ours)
    sql = (
        f"FROM {quote(source.table.name)} AS s LEFT JOIN {quote(target.table.name)} AS t "
        f"ON {matched} WHERE {present} AND t.{theirs[0]} IS NULL"
    )
    count = connection.execute(f"SELECT count(*) {sql}").fetchone()[0]
    if not count:
        return None
    shown = ", ".join(f"s.{name}" for name in ours)
    example = connection.execute(f"SELECT {shown} {sql} LIMIT 1").fetchone()
    return Dangling(
        source=relation.source,
        relation=relation.name,
        description=(
            f"{relation.source}.({', '.join(relation.fields)}) -> "
            f"{relation.target}.({', '.join(relation.target_fields)})"
        ),
        rows=count,
        example=", ".join(map(show_value, example)),
    )


def delete_note(pairing: Pairing) -> str | None:
    """What is said where SQLite would do otherwise on a delete."""
    word = pairing.key.on_delete
    if word == "RESTRICT" or _on_delete(pairing) != "restrict":
        return None
    return f"{pairing.description}: on delete {word.lower()} becomes restrict"


def _on_delete(pairing: Pairing) -> OnDelete:
    own = [pairing.source.fields[column] for column in pairing.columns]
    match pairing.key.on_delete:
        case "NO ACTION":
            return "no_action"
        case "CASCADE":
            return "cascade"
        case "SET NULL" if all(field.optional and field.computed is None for field in own):
            return "set_null"
        case _:
            return "restrict"


def _column(draft: Draft, name: str) -> str:
    columns = draft.table.columns
    return next(quote(one.name) for one in columns if draft.fields[fold(one.name)].name == name)


def _described(table: SqliteTable, key: SqliteForeignKey) -> str:
    return f"the foreign key {table.name}({', '.join(key.columns)}) -> {key.target}"
