"""A naive interpreter of graph queries: rows as dicts in lists, every question asked of every row.

    Beta where f0 < 3  order by f1 desc  limit 2      include gammas where rank in (1, NULL)

    all Betas -> those of which f0 < 3 is true -> sorted -> the first two
    for each: all Gammas -> those whose foreign key names it -> those that the filter keeps -> ...

It follows docs/filters.md and the docstrings of `ormdb.ir`, and calls nothing of the engine.  There
is no index, no batch, no plan and no cache, so that whoever reads it can see that it is right; what
it answers is what the engine has to answer.

    naive = Naive(names, {"Beta": {1: {"id": 1, ...}, ...}, ...})
    naive.fetch(query)      nested dicts
    naive.page(query)       the same, with cursors of its own: `after` and `before` are understood
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias, cast

from ormdb.ir.expr import Expr, FieldRef, NamedParam
from ormdb.ir.graph import GraphQuery, Include, OrderSpec
from ormdb.ir.schema import RelationDef, ThroughDef
from ormdb.ir.value import EnumType, RowDict, Value
from tests.oracle.naive_expressions import Meaning
from tests.oracle.names import Names

Rows: TypeAlias = Mapping[str, Mapping[int, RowDict]]
Key: TypeAlias = tuple[Value, ...] | None
_FIRST: Final = 0


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """A row, its entity, and the number by which ties are ordered."""

    entity: str
    number: int
    values: RowDict


@dataclass(frozen=True, slots=True)
class NaivePage:
    """One page; a cursor is the number of the row at its end, as text."""

    rows: list[RowDict]
    next_cursor: str | None
    previous_cursor: str | None


class Naive:
    """The rows of one version, and what queries find there."""

    def __init__(self, names: Names, rows: Rows) -> None:
        self.names = names
        self._meaning = Meaning(
            lambda entity, path: names.path_end(entity, path).type, self.end_of, self.at_end
        )
        self._tables: dict[str, list[Row]] = {
            entity: [Row(entity, number, self._whole(entity, row)) for number, row in own.items()]
            for entity, own in rows.items()
        }
        self._keys: dict[tuple[str, tuple[str, ...]], list[Key]] = {}

    # --- what is asked -------------------------------------------------------------------------

    def fetch(self, query: GraphQuery) -> list[RowDict]:
        """The nested dicts of a page."""
        return self.page(query).rows

    def count(self, entity: str, condition: Expr | None) -> int:
        """How many rows a filter keeps."""
        return len(self._kept(self.table(entity), condition))

    def kept(self, entity: str, condition: Expr | None) -> list[Row]:
        """The rows that a filter keeps, in their order."""
        return self._ordered(self._kept(self.table(entity), condition), ())

    def value(self, expr: Expr, row: Row) -> Value:
        """What an expression is for a row."""
        return self._meaning.value(expr, row)

    def is_true(self, condition: Expr | None, row: Row) -> bool:
        """Whether a condition keeps a row."""
        return self._meaning.is_true(condition, row)

    def page(self, query: GraphQuery) -> NaivePage:
        """A page, and where those beside it begin."""
        whole = self._ordered(self._kept(self.table(query.entity), query.filter), query.order)
        page, numbers = query.page, [row.number for row in whole]
        assert not isinstance(page.limit, NamedParam), "a query is bound before it comes here"
        assert not isinstance(page.offset, NamedParam)
        assert not isinstance(page.before, NamedParam)
        assert not isinstance(page.after, NamedParam)
        if page.before is not None:
            stop = max(0, numbers.index(int(page.before)) - page.offset)
            start = 0 if page.limit is None else max(0, stop - page.limit)
        else:
            start = 0 if page.after is None else numbers.index(int(page.after)) + 1
            start += page.offset
            stop = len(whole) if page.limit is None else min(len(whole), start + page.limit)
        shown = self._shown(whole[start:stop], query)
        return NaivePage(
            shown,
            str(numbers[stop - 1]) if shown and stop < len(whole) else None,
            str(numbers[start]) if shown and start > 0 else None,
        )

    def places(self, query: GraphQuery) -> list[tuple[Row, tuple[Value, ...]]]:
        """The rows that a query keeps, in order, each with what decides where it stands."""
        kept = self._kept(self.table(query.entity), query.filter)
        return [
            (row, (*(self._meaning.value(spec.key, row) for spec in query.order), row.number))
            for row in self._ordered(kept, query.order)
        ]

    def table(self, entity: str) -> list[Row]:
        """All rows of an entity."""
        return self._tables.get(entity, [])

    # --- rows ----------------------------------------------------------------------------------

    def _whole(self, entity: str, row: RowDict) -> RowDict:
        """A row with its computed fields, in the order of the schema."""
        whole: RowDict = {}
        for field in self.names.entities[entity].fields:
            if field.computed is None:
                whole[field.name] = row[field.name]
            else:
                # A computed field is made of the plain ones.
                whole[field.name] = self._meaning.value(
                    field.computed.expression, Row(entity, 0, row), field.type
                )
        return whole

    def _kept(self, rows: Iterable[Row], condition: Expr | None) -> list[Row]:
        """The rows for which a condition is true: neither false nor NULL."""
        return [row for row in rows if self._meaning.is_true(condition, row)]

    def _ordered(self, rows: Sequence[Row], order: Sequence[OrderSpec]) -> list[Row]:
        """Rows in a total order: ties by number, turned round when the last key descends."""
        down = bool(order) and order[-1].descending
        placed = sorted(rows, key=lambda row: row.number, reverse=down)
        for spec in reversed(order):
            found = [(self._sortable(spec.key, row), row) for row in placed]
            nulls = [row for value, row in found if value is None]
            others = [pair for pair in found if pair[_FIRST] is not None]
            # Sorting keeps the order of equal ones, also when it is reversed.
            others.sort(key=lambda pair: pair[_FIRST], reverse=spec.descending)
            last = spec.descending if spec.nulls_last is None else spec.nulls_last
            values = [row for _, row in others]
            placed = [*values, *nulls] if last else [*nulls, *values]
        return placed

    def _sortable(self, key: Expr, row: Row) -> Value:
        """A value whose Python order is that of its type."""
        value = self._meaning.value(key, row)
        if not isinstance(key, FieldRef):
            return value
        kind = self.names.path_end(row.entity, key.path).type
        return kind.variants.index(value) if isinstance(kind, EnumType) and value else value

    # --- relations -----------------------------------------------------------------------------

    def end_of(self, row: Row, path: tuple[str, ...]) -> Value:
        """The value at the end of a path; NULL where a relation leads nowhere."""
        rows = self.at_end(row, path[:-1])
        return rows[0].values[path[-1]] if rows else None

    def at_end(self, row: Row, path: tuple[str, ...]) -> list[Row]:
        """The rows at the end of a path of relations, all but the last of which lead to one."""
        rows = [row]
        for name in path:
            rows = [found for each in rows for found in self.related(each, name)]
        return rows

    def related(self, row: Row, name: str) -> list[Row]:
        """The rows a relation leads to, in the order they come without another one."""
        kind, relation, target = self.names.way(row.entity, name)
        if isinstance(relation, ThroughDef):
            return self._through(row, relation)
        ours, theirs = relation.fields, relation.target_fields
        if kind != "one":
            ours, theirs = theirs, ours
        found = self._named(target, theirs, self._key(row, ours))
        assert kind == "many" or len(found) <= 1, f"{name} leads to several rows"
        return found

    def _through(self, row: Row, through: ThroughDef) -> list[Row]:
        """Each target once, where the first of the edges that lead to it stands."""
        near = self.names.forward[through.edge, through.near]
        far = self.names.forward[through.edge, through.far]
        edges = self._named(through.edge, near.fields, self._key(row, near.target_fields))
        specs = [
            OrderSpec(key=FieldRef(path=(part.field,)), descending=part.descending)
            for part in through.order
        ]
        found: dict[int, Row] = {}
        for edge in self._ordered(edges, specs):
            for target in self._named(far.target, far.target_fields, self._key(edge, far.fields)):
                found.setdefault(target.number, target)
        return list(found.values())

    def _named(self, entity: str, fields: tuple[str, ...], key: Key) -> list[Row]:
        """The rows with these values; none for a NULL, which equals nothing."""
        if key is None:
            return []
        table = self.table(entity)
        keys = self._keys.get((entity, fields))
        if keys is None:
            keys = self._keys[entity, fields] = [self._key(row, fields) for row in table]
        return [row for row, own in zip(table, keys, strict=True) if own == key]

    def _key(self, row: Row, fields: tuple[str, ...]) -> Key:
        values = tuple(row.values[name] for name in fields)
        return None if None in values else values

    # --- what is shown -------------------------------------------------------------------------

    def _shown(self, rows: Iterable[Row], wanted: GraphQuery | Include) -> list[RowDict]:
        # Below an include a row looks the same whoever leads to it.
        seen: dict[tuple[int, int], RowDict] = {}
        return [self._graph(row, wanted, seen) for row in rows]

    def _graph(
        self, row: Row, wanted: GraphQuery | Include, seen: dict[tuple[int, int], RowDict]
    ) -> RowDict:
        names = row.values if wanted.select is None else wanted.select
        shown = {name: row.values[name] for name in names}
        for include in wanted.includes:
            assert not isinstance(include.limit, NamedParam)
            assert not isinstance(include.offset, NamedParam)
            kind, relation, _ = self.names.way(row.entity, include.relation)
            found = self._kept(self.related(row, include.relation), include.filter)
            if include.order or isinstance(relation, RelationDef):
                found = self._ordered(found, include.order)
            stop = None if include.limit is None else include.offset + include.limit
            below: list[RowDict] = []
            for child in found[include.offset : stop]:
                key = id(include), child.number
                if key not in seen:
                    seen[key] = self._graph(child, include, seen)
                below.append(seen[key])
            if kind in {"one", "back"}:
                shown[include.name] = below[0] if below else None
            else:
                shown[include.name] = cast("Value", below)
        for each in wanted.derived:
            shown[each.name] = self._meaning.value(each.value, row)
        return shown
