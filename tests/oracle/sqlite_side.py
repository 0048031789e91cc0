"""The same rows in SQLite, and the same graphs fetched from there, one statement per level.

    table Alpha   _row  k0  f0 f1        `_row`: the identity if it is one int, else a counter:
                                         the order in which rows without another one come
    roots         SELECT … FROM Alpha t WHERE … ORDER BY f0 DESC NULLS LAST, _row DESC LIMIT 3
    include       SELECT p._row, c.…, row_number() OVER (PARTITION BY p._row ORDER BY …)
                  FROM Alpha p JOIN Beta c ON … WHERE p._row IN (…) AND …

`Mirror.copy` keeps a version as it was, for reads of the past.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from ormdb.ir.expr import Expr, FieldRef, NamedParam
from ormdb.ir.graph import Derived, GraphQuery, Include, OrderSpec
from ormdb.ir.schema import RelationDef, SchemaBundle, ThroughDef
from ormdb.ir.value import RowDict
from tests.oracle.names import Names
from tests.oracle.sqlite_expressions import Sql, register_functions
from tests.oracle.values import from_sqlite, to_sqlite


class TooDeepForSqliteError(Exception):
    """SQLite's parser has a stack of a hundred, which nested subqueries soon fill."""


class Mirror:
    """The rows of one version in SQLite."""

    def __init__(self, names: Names, connection: sqlite3.Connection) -> None:
        self.names = names
        self._connection = connection
        register_functions(connection)

    @classmethod
    def create(cls, bundle: SchemaBundle) -> Mirror:
        """An empty mirror of a schema."""
        names = Names(bundle)
        connection = sqlite3.connect(":memory:", isolation_level=None)
        for entity in bundle.entities:
            columns = "".join(f', "{f.name}"' for f in entity.fields if f.computed is None)
            # No column has a type, so SQLite converts nothing.
            connection.execute(f'CREATE TABLE "{entity.name}" (_row INTEGER PRIMARY KEY{columns})')
        return cls(names, connection)

    def copy(self) -> Mirror:
        """This version, for good."""
        connection = sqlite3.connect(":memory:", isolation_level=None)
        self._connection.backup(connection)
        return Mirror(self.names, connection)

    def close(self) -> None:
        self._connection.close()

    def put(self, entity: str, number: int, row: RowDict) -> None:
        """Add a row, or replace it."""
        fields = [f for f in self.names.entities[entity].fields if f.computed is None]
        values = [to_sqlite(f.type, row[f.name]) for f in fields]
        marks = ", ".join("?" * (1 + len(fields)))
        self._connection.execute(f'REPLACE INTO "{entity}" VALUES ({marks})', [number, *values])

    def delete(self, entity: str, number: int) -> None:
        self._connection.execute(f'DELETE FROM "{entity}" WHERE _row = ?', [number])

    def execute(self, text: str, parameters: dict[str, Any]) -> list[Any]:
        """The rows of a statement."""
        return self._connection.execute(text, parameters).fetchall()

    def count(self, entity: str, condition: Expr | None) -> int:
        """How many rows a filter keeps."""
        sql = Sql(self.names)
        where = "1" if condition is None else sql.condition(condition, entity, "t")
        text = f'SELECT count(*) FROM "{entity}" t WHERE {where}'
        return int(_rows(self._connection, text, sql)[0][0])

    def fetch(self, query: GraphQuery) -> list[RowDict]:
        """The graph of a query, whose page has a limit and an offset only."""
        return _Fetch(self.names, self._connection).run(query)

    def sample(self, entity: str, names: Sequence[str]) -> list[RowDict]:
        """The named fields of up to a few dozen rows."""
        sql = Sql(self.names)
        columns = ", ".join(sql.column(entity, "t", name) for name in names)
        text = f'SELECT {columns} FROM "{entity}" t LIMIT 60'
        found = _rows(self._connection, text, sql)
        kinds = [(name, self.names.field(entity, name).type) for name in names]
        return [
            {name: from_sqlite(kind, value) for (name, kind), value in zip(kinds, row, strict=True)}
            for row in found
        ]

    def values(self, entity: str, path: tuple[str, ...]) -> list[Any]:
        """Up to a few dozen values that occur at the end of a path, NULLs left out."""
        sql = Sql(self.names)
        column = sql.path(entity, "t", path)
        text = f'SELECT v FROM (SELECT {column} AS v FROM "{entity}" t LIMIT 60) WHERE v NOT NULL'
        found = _rows(self._connection, text, sql)
        kind = self.names.path_end(entity, path).type
        return [from_sqlite(kind, value) for (value,) in found]


def _rows(connection: sqlite3.Connection, text: str, sql: Sql) -> list[Any]:
    try:
        return connection.execute(text, sql.parameters).fetchall()
    except sqlite3.OperationalError as error:
        if "parser stack" in str(error):
            raise TooDeepForSqliteError(text) from error
        raise


@dataclass(frozen=True, slots=True)
class _Node:
    entity: str
    select: tuple[str, ...] | None
    includes: tuple[Include, ...]
    derived: tuple[Derived, ...]


class _Fetch:
    def __init__(self, names: Names, connection: sqlite3.Connection) -> None:
        self._names = names
        self._connection = connection

    def run(self, query: GraphQuery) -> list[RowDict]:
        sql, entity = Sql(self._names), query.entity
        node = _Node(entity, query.select, query.includes, query.derived)
        where = "1" if query.filter is None else sql.condition(query.filter, entity, "t")
        columns = self._columns(sql, node, "t")
        order = self._order(sql, query.order, entity, "t")
        limit = -1 if query.page.limit is None else query.page.limit
        text = (
            f'SELECT t._row{columns} FROM "{entity}" t WHERE {where} ORDER BY {order} '
            f"LIMIT {limit} OFFSET {query.page.offset}"
        )
        found = _rows(self._connection, text, sql)
        return self._shown(node, found)

    def _shown(self, node: _Node, found: list[Any]) -> list[RowDict]:
        """Rows of a level as dicts, in order, with everything below them."""
        kinds = [(name, self._names.field(node.entity, name).type) for name in self._selected(node)]
        own, sql = len(kinds), Sql(self._names)
        made = [(each.name, sql.type_of(each.value, node.entity)) for each in node.derived]
        distinct: dict[int, RowDict] = {}
        for number, *values in found:
            if number not in distinct:
                pairs = zip(kinds, values[:own], strict=True)
                distinct[number] = {name: from_sqlite(kind, v) for (name, kind), v in pairs}
        for include in node.includes:
            self._attach(node, include, distinct)
        for number, *values in found:
            for (name, kind), value in zip(made, values[own:], strict=True):
                distinct[number][name] = from_sqlite(kind, value)
        return [distinct[row[0]] for row in found]

    def _attach(self, node: _Node, include: Include, parents: dict[int, RowDict]) -> None:
        kind, relation, target = self._names.way(node.entity, include.relation)
        child = _Node(target, include.select, include.includes, include.derived)
        sql = Sql(self._names)
        numbers = ", ".join(map(str, parents)) or "NULL"
        if isinstance(relation, ThroughDef):
            text = self._through(sql, relation, include, child, numbers)
        else:
            text = self._related(sql, (kind, node.entity, relation), include, child, numbers)
        found = _rows(self._connection, text, sql)
        shown = self._shown(child, [row[1:-1] for row in found])
        owned: dict[int, list[RowDict]] = {number: [] for number in parents}
        for row, dict_ in zip(found, shown, strict=True):
            owned[row[0]].append(dict_)
        for number, row in parents.items():
            children = owned[number]
            if kind in {"one", "back"}:
                assert len(children) <= 1, f"{include.relation} leads to several rows"
                row[include.name] = children[0] if children else None
            else:
                row[include.name] = children

    def _related(
        self,
        sql: Sql,
        way: tuple[str, str, RelationDef],
        include: Include,
        child: _Node,
        numbers: str,
    ) -> str:
        """Children over a relation, forwards or back: parent, child, columns."""
        kind, parent, relation = way
        columns = self._columns(sql, child, "c")
        joined = sql.joined(relation, *(("p", "c") if kind == "one" else ("c", "p")))
        where = "1"
        if include.filter is not None:
            where = sql.condition(include.filter, child.entity, "c")
        order = self._order(sql, include.order, child.entity, "c")
        return (
            f"SELECT * FROM (SELECT p._row AS p_, c._row AS c_{columns}, "
            f"row_number() OVER (PARTITION BY p._row ORDER BY {order}) AS n_ "
            f'FROM "{parent}" p JOIN "{child.entity}" c ON {joined} '
            f"WHERE p._row IN ({numbers}) AND {where}) {_page(include)}"
        )

    def _through(
        self, sql: Sql, through: ThroughDef, include: Include, child: _Node, numbers: str
    ) -> str:
        """Children over an edge entity, each once for a parent, where its first edge stands."""
        near = self._names.forward[through.edge, through.near]
        far = self._names.forward[through.edge, through.far]
        specs = tuple(
            OrderSpec(key=FieldRef(path=(part.field,)), descending=part.descending)
            for part in through.order
        )
        first = self._order(sql, specs, through.edge, "e")
        columns = self._columns(sql, child, "c")
        where = "1"
        if include.filter is not None:
            where = sql.condition(include.filter, child.entity, "c")
        order = "q.rank_"
        if include.order:
            order = self._order(sql, include.order, child.entity, "c")
        return (
            "WITH ranked AS (SELECT p._row AS p_, c._row AS c_, row_number() OVER "
            f"(PARTITION BY p._row ORDER BY {first}) AS rank_ "
            f'FROM "{through.entity}" p JOIN "{through.edge}" e ON {sql.joined(near, "e", "p")} '
            f'JOIN "{child.entity}" c ON {sql.joined(far, "e", "c")} WHERE p._row IN ({numbers})), '
            "pairs AS (SELECT p_, c_, min(rank_) AS rank_ FROM ranked GROUP BY p_, c_) "
            f"SELECT * FROM (SELECT q.p_, q.c_{columns}, row_number() OVER "
            f"(PARTITION BY q.p_ ORDER BY {order}) AS n_ "
            f'FROM pairs q JOIN "{child.entity}" c ON c._row = q.c_ WHERE {where}) '
            f"{_page(include)}"
        )

    def _selected(self, node: _Node) -> list[str]:
        if node.select is not None:
            return list(dict.fromkeys(node.select))
        return [each.name for each in self._names.entities[node.entity].fields]

    def _columns(self, sql: Sql, node: _Node, alias: str) -> str:
        codes = [sql.column(node.entity, alias, name) for name in self._selected(node)]
        codes += [sql.value(each.value, node.entity, alias) for each in node.derived]
        return "".join(f', {code} AS "v{number}"' for number, code in enumerate(codes))

    def _order(self, sql: Sql, order: tuple[OrderSpec, ...], entity: str, alias: str) -> str:
        keys: list[str] = []
        for spec in order:
            nulls_last = spec.descending if spec.nulls_last is None else spec.nulls_last
            # In a call, SQLite does not take a constant for the number of a column.
            keys.append(
                f"iif(1, {sql.value(spec.key, entity, alias)}, NULL) "
                f"{_DIRECTIONS[spec.descending]} NULLS {'LAST' if nulls_last else 'FIRST'}"
            )
        descending = bool(order) and order[-1].descending
        return ", ".join([*keys, f"{alias}._row {_DIRECTIONS[descending]}"])


_DIRECTIONS: Final = {False: "ASC", True: "DESC"}


def _page(include: Include) -> str:
    limit, offset = include.limit, include.offset
    assert not isinstance(limit, NamedParam)
    assert not isinstance(offset, NamedParam)
    high = "" if limit is None else f"AND n_ <= {offset + limit}"
    return f"WHERE n_ > {offset} {high} ORDER BY p_, n_"
