"""Tables in SQLite's words: groups, folds and orders are its own.

    Beta where f0 < 3, table(to_alpha.u, n=count(where=f1 > 2)) having n > 1 order by n desc

    SELECT (SELECT j1."u" FROM ...) v0, count(*) FILTER (WHERE t."f1" > 2) v1, v1 > 1 having_
    FROM "Beta" t WHERE t."f0" < 3 GROUP BY 1 ORDER BY count(*) FILTER (...) DESC, 1 NULLS FIRST

Not everything can be said so: sums of floats and decimals are exact in a table and not in SQLite,
and buckets of time are not known there.  `SqliteTables.answer` returns None for such a query.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from ormdb.ir.expr import Aggregate, Call, Expr, FieldRef, NamedParam
from ormdb.ir.rewrite import map_children
from ormdb.ir.table import TableQuery
from ormdb.ir.value import DurationType, FloatType, IntType, RowDict, Type
from tests.oracle.sqlite_expressions import Sql
from tests.oracle.sqlite_side import Mirror
from tests.oracle.values import from_sqlite

_DIRECTIONS: Final = {False: "ASC", True: "DESC"}


class TableSql(Sql):
    """Expressions among which aggregates may stand."""

    def value(self, expr: Expr, entity: str, alias: str, beside: Type | None = None) -> str:
        if isinstance(expr, Aggregate) and not expr.path:
            return self._aggregate(expr, entity, alias)
        return super().value(expr, entity, alias, beside)

    def type_of(self, expr: Expr, entity: str) -> Type:
        if not isinstance(expr, Aggregate) or expr.path:
            return super().type_of(expr, entity)
        if expr.function == "count" or expr.operand is None:
            return IntType()
        kind = self.type_of(expr.operand, entity)
        return FloatType() if expr.function == "avg" else kind

    def _aggregate(self, expr: Aggregate, entity: str, alias: str) -> str:
        kept = ""
        if expr.filter is not None:
            kept = f" FILTER (WHERE {self.condition(expr.filter, entity, alias)})"
        if expr.operand is None:
            return f"count(*){kept}"
        distinct = "DISTINCT " if expr.distinct else ""
        operand = f"{distinct}{self.value(expr.operand, entity, alias)}"
        if expr.function == "avg":
            return f"calculate_numbers('/', sum({operand}){kept}, count({operand}){kept})"
        return f"{expr.function}({operand}){kept}"


@dataclass(frozen=True, slots=True)
class SqliteTables:
    """What table queries answer, as SQLite says it."""

    mirror: Mirror

    def answer(self, query: TableQuery) -> list[RowDict] | None:
        """The rows of a table as dicts; None where SQLite cannot say."""
        sql = TableSql(self.mirror.names)
        if not self._can_say(sql, query):
            return None
        text, kinds = self._statement(sql, query)
        try:
            found = self.mirror.execute(text, sql.parameters)
        except sqlite3.OperationalError as error:
            if "integer overflow" in str(error):
                return None  # on the way to a sum, which need not overflow itself
            if "parser stack" in str(error):
                return None  # it nests too deeply for SQLite
            raise
        assert not isinstance(query.limit, NamedParam)
        assert not isinstance(query.offset, NamedParam)
        stop = None if query.limit is None else query.offset + query.limit
        kept = [row for row in found if row[-1] == 1][query.offset : stop]
        return [
            {
                name: from_sqlite(kind, value)
                for (name, kind), value in zip(kinds.items(), row, strict=False)
            }
            for row in kept
        ]

    def _statement(self, sql: TableSql, query: TableQuery) -> tuple[str, dict[str, Type]]:
        entity = query.entity
        kinds = {one.name: sql.type_of(one.expression, entity) for one in query.columns}
        keys = [one.expression for one in query.columns if not _folds(one.expression)]
        groups = query.distinct or len(keys) < len(query.columns) or _orders_by_folds(query)
        shown = [
            f"{sql.value(one.expression, entity, 't', kinds[one.name])} AS v{number}"
            for number, one in enumerate(query.columns)
        ]
        having = "1"
        if query.having is not None:
            having = sql.condition(_unnamed(query, query.having), entity, "t")
        where = "1" if query.filter is None else sql.condition(query.filter, entity, "t")
        # SQLite takes a constant for the number of a column, but in a call it does not.
        by = [f"iif(1, {sql.value(key, entity, 't')}, NULL)" for key in keys] if groups else []
        order = [*self._order(sql, query), *(f"{key} ASC NULLS FIRST" for key in by)]
        if not groups:
            backwards = bool(query.order) and query.order[-1].descending
            order.append(f"t._row {_DIRECTIONS[backwards]}")
        text = f'SELECT {", ".join(shown)}, {having} AS having_ FROM "{entity}" t WHERE {where}'
        if by:
            text += f" GROUP BY {', '.join(by)}"
        return text + (f" ORDER BY {', '.join(order)}" if order else ""), kinds

    def _order(self, sql: TableSql, query: TableQuery) -> Iterator[str]:
        for spec in query.order:
            last = spec.descending if spec.nulls_last is None else spec.nulls_last
            key = sql.value(_unnamed(query, spec.key), query.entity, "t")
            yield (
                f"iif(1, {key}, NULL) {_DIRECTIONS[spec.descending]} "
                f"NULLS {'LAST' if last else 'FIRST'}"
            )

    def _can_say(self, sql: TableSql, query: TableQuery) -> bool:
        asked = [one.expression for one in query.columns]
        if query.distinct and any(map(_folds, asked)):
            return False  # which of several equal rows comes first is told by what is not shown
        asked.extend(one.key for one in query.order)
        if query.having is not None:
            asked.append(query.having)
        return all(
            self._can_say_one(sql, query.entity, part) for expr in asked for part in _parts(expr)
        )

    def _can_say_one(self, sql: TableSql, entity: str, expr: Expr) -> bool:
        if isinstance(expr, Call):
            return expr.name != "bucket"
        if not isinstance(expr, Aggregate) or expr.path or expr.function not in {"sum", "avg"}:
            return True
        assert expr.operand is not None
        kind = sql.type_of(expr.operand, entity)
        exact = IntType if expr.function == "avg" else IntType | DurationType
        return isinstance(kind, exact)


def _folds(expr: Expr) -> bool:
    return any(isinstance(part, Aggregate) and not part.path for part in _parts(expr))


def _orders_by_folds(query: TableQuery) -> bool:
    return any(_folds(one.key) for one in query.order)


def _parts(expr: Expr) -> list[Expr]:
    """An expression and everything in it."""
    found = [expr]

    def look(part: Expr) -> Expr:
        found.extend(_parts(part))
        return part

    map_children(expr, look)
    return found


def _unnamed(query: TableQuery, expr: Expr) -> Expr:
    """An expression with the columns that it names put in place of their names."""
    columns = {one.name: one.expression for one in query.columns}

    def put(part: Expr) -> Expr:
        if isinstance(part, FieldRef) and len(part.path) == 1 and part.path[0] in columns:
            return columns[part.path[0]]
        return part if isinstance(part, Aggregate) else map_children(part, put)

    return put(expr)
