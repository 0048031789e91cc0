"""Generated table queries, and what they have to answer: rows in lists, folded one group at a time.

    Beta where f0 < 3, table(to_alpha.u, n=count(), late=count(where=f1 > 2)) having n > 1

    all Betas -> those of which f0 < 3 is true -> lists by the value of to_alpha.u, NULL one of them
    -> for each list its length, and the length of what is left of it -> those longer than 1

As in `naive`, nothing of the engine is called, and numbers are added as fractions.
"""

from __future__ import annotations

import datetime
import decimal
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, Final

from ormdb import limits
from ormdb.ir.buckets import UNITS
from ormdb.ir.expr import (
    Aggregate,
    AggregateFunction,
    Arithmetic,
    Call,
    Compare,
    CompareOp,
    Expr,
    FieldRef,
    IsNull,
    Literal,
    NamedParam,
)
from ormdb.ir.graph import OrderSpec
from ormdb.ir.rewrite import map_children
from ormdb.ir.table import TableColumn, TableQuery
from ormdb.ir.value import (
    DateType,
    DecimalType,
    DurationType,
    EnumType,
    FloatType,
    IntType,
    RowDict,
    TimestampType,
    Type,
    Value,
    is_scalar,
)
from tests.oracle.naive import Naive, Row
from tests.oracle.queries import QueryMaker

_MICROSECOND: Final = datetime.timedelta(microseconds=1)
_WIDE: Final = decimal.Context(prec=300)
_NUMBERS: Final[tuple[Type, ...]] = (IntType(), FloatType())
_SUMMED: Final = (IntType, FloatType, DecimalType, DurationType)


class OutOfRangeError(Exception):
    """A sum is beyond what its type can hold."""


class TableMaker:
    """Makes table queries about the state of a stage."""

    def __init__(self, maker: QueryMaker) -> None:
        self._maker = maker
        self._rng = maker.rng

    def query(self) -> TableQuery:
        """One query."""
        rng, base = self._rng, self._maker.query()
        entity = base.entity
        columns = [
            TableColumn(name=f"key_{number}", expression=self._key(entity))
            for number in range(rng.choice([0, 1, 1, 1, 2, 3]))
        ]
        distinct = rng.random() < 0.15
        folds = 0 if columns and rng.random() < 0.25 else rng.choice([1, 1, 2, 4])
        columns.extend(
            TableColumn(name=f"fold_{number}", expression=self._aggregate(entity))
            for number in range(folds)
        )
        if folds and rng.random() < 0.3:
            ratio = Arithmetic(op="/", left=Aggregate(function="count"), right=self._count(entity))
            columns.append(TableColumn(name="ratio", expression=ratio))
        rng.shuffle(columns)
        groups = folds > 0 or distinct
        limit = rng.choice([None, None, 0, 1, 3, 10])
        return TableQuery(
            entity=entity,
            filter=base.filter,
            columns=tuple(columns),
            distinct=distinct,
            having=self._having(columns) if groups and rng.random() < 0.4 else None,
            order=self._order(entity, columns, groups=folds > 0 and not distinct),
            limit=limit,
            offset=rng.choice([0, 0, 0, 1, 4]),
        )

    def _key(self, entity: str) -> Expr:
        rng, roll = self._rng, self._rng.random()
        if roll < 0.12:
            made = self._maker.condition(entity)
            if not isinstance(made, Literal):
                return made
        if roll < 0.2:
            made = self._maker.value(entity, rng.choice(_NUMBERS))
            if not isinstance(made, Literal):
                return made
        found = [(path, kind) for path, kind in self._fields(entity) if is_scalar(kind)]
        path, kind = rng.choice(found)
        if not isinstance(kind, DateType | TimestampType) or roll < 0.4:
            return FieldRef(path=path)
        units = UNITS[2:] if isinstance(kind, DateType) else UNITS
        unit = rng.choice(units)
        width = {"minute": [15], "hour": [6]}.get(unit, []) if rng.random() < 0.5 else []
        given = tuple(Literal(value=value) for value in (unit, *width))
        return Call(name="bucket", arguments=(FieldRef(path=path), *given))

    def _fields(self, entity: str) -> list[tuple[tuple[str, ...], Type]]:
        fields = self._maker.fields(entity)
        near = [item for item in fields if len(item[0]) == 1]
        chosen = near if self._rng.random() < 0.7 else fields
        return [(path, field.type) for path, field, _ in chosen]

    def _aggregate(self, entity: str) -> Aggregate:
        rng = self._rng
        function: AggregateFunction = rng.choice(["count", "count", "sum", "avg", "min", "max"])
        distinct = rng.random() < 0.25
        operand: Expr | None = None
        if function in {"sum", "avg"}:
            numbers = [one for one in self._fields(entity) if isinstance(one[1], _SUMMED)]
            if numbers and rng.random() < 0.8:
                operand = FieldRef(path=rng.choice(numbers)[0])
            else:
                operand = self._maker.value(entity, rng.choice(_NUMBERS))
        elif function != "count" or rng.random() < 0.6:
            scalars = [one for one in self._fields(entity) if is_scalar(one[1])]
            operand = FieldRef(path=rng.choice(scalars)[0])
        if isinstance(operand, Literal) or operand is None:
            operand, function, distinct = None, "count", False
        kept = self._maker.condition(entity) if rng.random() < 0.3 else None
        return Aggregate(function=function, operand=operand, distinct=distinct, filter=kept)

    def _count(self, entity: str) -> Aggregate:
        return Aggregate(function="count", filter=self._maker.condition(entity))

    def _having(self, columns: Sequence[TableColumn]) -> Expr:
        rng = self._rng
        column = rng.choice(columns)
        ref = FieldRef(path=(column.name,)) if rng.random() < 0.5 else column.expression
        counts = [one for one in columns if _counts(one.expression)]
        op: CompareOp = rng.choice(["<", ">=", "==", "!="])
        if not counts or rng.random() < 0.3:
            return IsNull(operand=ref)
        column = rng.choice(counts)
        ref = FieldRef(path=(column.name,)) if rng.random() < 0.5 else column.expression
        return Compare(op=op, left=ref, right=Literal(value=rng.choice([0, 1, 2, 3, 1.5])))

    def _order(
        self, entity: str, columns: Sequence[TableColumn], *, groups: bool
    ) -> tuple[OrderSpec, ...]:
        rng = self._rng
        keys: list[Expr] = []
        for _ in range(rng.choice([0, 0, 1, 1, 2, 3])):
            column = rng.choice(columns)
            named = rng.random() < 0.6
            keys.append(FieldRef(path=(column.name,)) if named else column.expression)
        if groups and rng.random() < 0.2:
            keys.append(self._aggregate(entity))
        return tuple(
            OrderSpec(
                key=key,
                descending=rng.random() < 0.5,
                nulls_last=rng.choice([None, None, True, False]),
            )
            for key in keys
        )


def _counts(expr: Expr) -> bool:
    return isinstance(expr, Aggregate) and expr.function == "count"


@dataclass(frozen=True, slots=True)
class _Group:
    """Rows of equal keys, and these by the words of their expressions."""

    keys: dict[str, Value]
    rows: list[Row]
    is_row: bool = False  # where a table has a row for each row


class NaiveTables:
    """What table queries answer."""

    def __init__(self, naive: Naive) -> None:
        self._naive = naive

    def answer(self, query: TableQuery) -> list[RowDict]:
        """The rows of a table, as dicts.

        Raises:
          OutOfRangeError: a sum is beyond what its type can hold.
        """
        rows = self._naive.kept(query.entity, query.filter)
        asked = [*(one.expression for one in query.columns), *(one.key for one in query.order)]
        if query.having is not None:
            asked.append(query.having)
        folds = any(map(_folds, asked))
        if folds or query.distinct:
            found = self._of_groups(query, rows, folds=folds)
        else:
            backwards = bool(query.order) and query.order[-1].descending
            singles = [
                _Group({}, [row], is_row=True) for row in (reversed(rows) if backwards else rows)
            ]
            found = [self._shown(query, one) for one in self._ordered(query, singles)]
        assert not isinstance(query.limit, NamedParam)
        assert not isinstance(query.offset, NamedParam)
        stop = None if query.limit is None else query.offset + query.limit
        return found[query.offset : stop]

    def _of_groups(self, query: TableQuery, rows: Iterable[Row], *, folds: bool) -> list[RowDict]:
        keys = [one.expression for one in query.columns if not _folds(one.expression)]
        groups: dict[tuple[Value, ...], _Group] = {}
        if not keys:
            groups[()] = _Group({}, [])
        for row in rows:
            values = tuple(self._naive.value(key, row) for key in keys)
            group = groups.get(values)
            if group is None:
                named = dict(zip(map(repr, keys), values, strict=True))
                group = groups[values] = _Group(named, [])
            group.rows.append(row)
        for one in groups.values():  # what is out of range is so, whether it is shown or not
            self._shown(query, one)
            for spec in query.order:
                self._of_group(query, spec.key, one)
        kept = [
            one
            for one in groups.values()
            if query.having is None or self._of_group(query, query.having, one) is True
        ]
        ranks = [self._ranks(query.entity, key) for key in keys]
        for number in reversed(range(len(keys))):
            words, rank = repr(keys[number]), ranks[number]
            kept.sort(key=lambda one: (one.keys[words] is not None, rank(one.keys[words])))
        found = [self._shown(query, one) for one in self._ordered(query, kept)]
        if not (query.distinct and folds):
            return found
        seen = dict[tuple[Value, ...], RowDict]()
        for shown in found:
            seen.setdefault(tuple(shown.values()), shown)
        return list(seen.values())

    def _shown(self, query: TableQuery, group: _Group) -> RowDict:
        return {
            one.name: self._of_group(query, one.expression, group, named=False)
            for one in query.columns
        }

    def _ordered(self, query: TableQuery, groups: list[_Group]) -> list[_Group]:
        for spec in reversed(query.order):
            rank = self._ranks(query.entity, self._named(query, spec.key))
            values = {id(one): self._of_group(query, spec.key, one) for one in groups}
            last = spec.descending if spec.nulls_last is None else spec.nulls_last

            nulls = [one for one in groups if values[id(one)] is None]
            others = [one for one in groups if values[id(one)] is not None]
            # Sorting keeps the order of equal ones, also when it is reversed.
            others.sort(key=lambda one: rank(values[id(one)]), reverse=spec.descending)
            groups = [*others, *nulls] if last else [*nulls, *others]
        return groups

    def _named(self, query: TableQuery, expr: Expr) -> Expr:
        """The column that an expression names, or the expression."""
        if isinstance(expr, FieldRef) and len(expr.path) == 1:
            for one in query.columns:
                if one.name == expr.path[0]:
                    return one.expression
        return expr

    def _ranks(self, entity: str, expr: Expr) -> Callable[[Any], Any]:
        """What gives values their order: the place of a variant, else the value itself."""
        while isinstance(expr, Aggregate) and expr.operand is not None and not expr.path:
            if expr.function not in {"min", "max"}:
                return _itself
            expr = expr.operand
        if isinstance(expr, FieldRef):
            kind = self._naive.names.path_end(entity, expr.path).type
            if isinstance(kind, EnumType):
                places = {name: place for place, name in enumerate(kind.variants)}
                return lambda name: places.get(name, -1)
        return _itself

    def _of_group(
        self, query: TableQuery, expr: Expr, group: _Group, *, named: bool = True
    ) -> Value:
        """What an expression is for a group, or for its only row."""
        if named:
            expr = self._named(query, expr)
        if group.is_row:
            return self._naive.value(expr, group.rows[0])

        def settled(part: Expr) -> Expr:
            part = self._named(query, part) if named else part
            if repr(part) in group.keys:
                return Literal(value=group.keys[repr(part)])
            if isinstance(part, Aggregate) and not part.path:
                return Literal(value=self._fold(query.entity, part, group.rows))
            return map_children(part, settled)

        return self._naive.value(settled(expr), Row(query.entity, 0, {}))

    def _fold(self, entity: str, expr: Aggregate, rows: Sequence[Row]) -> Value:
        kept = [row for row in rows if self._naive.is_true(expr.filter, row)]
        if expr.operand is None:
            return len(kept)
        values = [self._naive.value(expr.operand, row) for row in kept]
        present = [value for value in values if value is not None]
        if expr.distinct:
            present = list(dict.fromkeys(present))
        if expr.function == "count":
            return len(present)
        if not present:
            return None
        if expr.function in {"min", "max"}:
            rank = self._ranks(entity, expr.operand)
            return (min if expr.function == "min" else max)(present, key=rank)
        return _summed(expr.function, present, self._scale(entity, expr.operand))

    def _scale(self, entity: str, expr: Expr) -> int:
        kind = None
        if isinstance(expr, FieldRef):
            kind = self._naive.names.path_end(entity, expr.path).type
        return kind.scale if isinstance(kind, DecimalType) else 0


def _itself(value: Value) -> Value:
    return 0 if value is None else value


def _folds(expr: Expr) -> bool:
    found = isinstance(expr, Aggregate) and not expr.path

    def look(part: Expr) -> Expr:
        nonlocal found
        found = found or _folds(part)
        return part

    map_children(expr, look)
    return found


def _summed(function: str, values: Sequence[Value], scale: int) -> Value:
    first, count = values[0], len(values)
    if isinstance(first, datetime.timedelta):
        micros = sum(value // _MICROSECOND for value in values)
        if function == "avg":
            return round(Fraction(micros, count)) * _MICROSECOND
        return _in_range(micros) * _MICROSECOND
    if isinstance(first, decimal.Decimal):
        total = decimal.Decimal(0)
        for value in values:
            total = _WIDE.add(total, value)
        if function == "sum":
            return decimal.Context(prec=38).plus(total)
        mean = _WIDE.divide(total, decimal.Decimal(count))
        whole_digits = len(str(abs(int(mean)))) if abs(mean) >= 1 else 0
        places = min(scale + 6, 38 - whole_digits)  # a decimal has 38 digits in all
        return mean.quantize(decimal.Decimal(1).scaleb(-places), context=_WIDE)
    if isinstance(first, float):
        return _sum_of_floats(values, count if function == "avg" else 1)
    whole = sum(values)
    return whole / count if function == "avg" else _in_range(whole)


def _sum_of_floats(values: Sequence[float], count: int) -> float | None:
    infinite = {value for value in values if math.isinf(value)}
    if infinite:
        return None if len(infinite) == 2 else infinite.pop()
    exact = sum(map(Fraction, values))
    try:
        return (float(exact) + 0.0) / count
    except OverflowError:
        return math.inf if exact > 0 else -math.inf


def _in_range(total: int) -> int:
    if not limits.INT_MIN <= total <= limits.INT_MAX:
        raise OutOfRangeError(total)
    return total


def smaller(query: TableQuery) -> Iterable[TableQuery]:
    """Queries like this one that ask for less, to show a difference in few words."""
    if query.having is not None:
        yield replace(query, having=None)
    if query.filter is not None:
        yield replace(query, filter=None)
    if query.limit is not None:
        yield replace(query, limit=None)
    if query.order:
        yield replace(query, order=query.order[:-1])
    if query.distinct:
        yield replace(query, distinct=False)
    for number in range(len(query.columns)):
        columns = query.columns[:number] + query.columns[number + 1 :]
        if columns:
            yield replace(query, columns=columns)
