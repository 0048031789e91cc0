"""A table query taken apart: what is asked of rows, what of groups, and its literals.

    Flight, columns origin_faa, late = count(where=dep_delay > 60), rate = late / count()
    having rate > 0.5

    keys        origin_faa
    aggregates  a0 = count(where=dep_delay > p0)      a1 = count()
    outputs     k0, a0, a0 / a1
    having      a0 / a1 > 0.5

A name in `having` and `order` means the column of that name; what stands there as an expression
means the column that is this expression.  What is left is neither: it has many values in a group.

The rows come as those of a graph query, the `base`: its filter, and its order and page where a row
of the table is one of them.

Invariants (held by tests/unit/query/test_tables.py):
  1. Each aggregate is there once, however often the query names it.
  2. Equal shapes differ in values only, as those of graph queries do.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, replace

from ormdb import limits
from ormdb.errors import LimitError, QueryError
from ormdb.ir.bind import bind_expression, bind_order
from ormdb.ir.expr import Aggregate, Expr, FieldRef
from ormdb.ir.expression_type import check_size, walk
from ormdb.ir.graph import GraphQuery, OrderSpec, Page
from ormdb.ir.rewrite import map_children
from ormdb.ir.table import TableQuery
from ormdb.ir.value import Value
from ormdb.model.spelling import spell_expression
from ormdb.query.shape import (
    LiteralClass,
    LiteralTaker,
    PageValues,
    Shape,
    ShapedQuery,
    page_numbers,
    take_shape,
)


@dataclass(frozen=True, slots=True)
class TableParts:
    """What a table query asks; grouped: outputs, having and order are about places k0, a0, …"""

    names: tuple[str, ...]
    is_grouped: bool
    drops_repeats: bool  # of rows, after the groups were folded
    keys: tuple[Expr, ...]
    aggregates: tuple[Aggregate, ...]
    outputs: tuple[Expr, ...]
    having: Expr | None
    order: tuple[OrderSpec, ...]


@dataclass(frozen=True, slots=True)
class TableShape:
    """The hashable form of a table query without its literals."""

    base: Shape
    parts: TableParts
    parameter_classes: tuple[LiteralClass, ...]
    literal_classes: tuple[LiteralClass, ...]


@dataclass(frozen=True, slots=True)
class ShapedTable:
    """A table query taken apart: what its plan depends on, and what it does not."""

    shape: TableShape
    base: GraphQuery
    shaped_base: ShapedQuery
    parts: TableParts  # with their literals
    values: tuple[Value, ...]  # the filter's are those of the base
    page: PageValues


def take_table_shape(
    query: TableQuery, *, open_patterns: Container[str] | None = None
) -> ShapedTable:
    """Take a table query apart; with `open_patterns` a prepared one, as `take_shape` does.

    Raises:
      ParameterError: it has a parameter that is no value of a shape.
      QueryError: its columns, having or order do not fit each other, or its page is none.
      LimitError: it is too large.
    """
    page = PageValues(*page_numbers(query.limit, query.offset, "the table"))
    parts = split_table(query)
    base = _base(query, parts)
    shaped_base = take_shape(base, open_patterns=open_patterns)
    taker = LiteralTaker(open_patterns=open_patterns)
    shape = TableShape(
        shaped_base.shape,
        bare_parts(taker, parts),
        tuple(taker.classes),
        tuple(taker.kept_classes),
    )
    return ShapedTable(shape, base, shaped_base, parts, tuple(taker.values), page)


def bind_parts(parts: TableParts, values: Mapping[str, Value]) -> TableParts:
    """The parts of a prepared query with values in place of its parameters.

    They stay as many as they are: parts that become equal were asked for apart.
    """

    def bound(exprs: Sequence[Expr]) -> tuple[Expr, ...]:
        return tuple(bind_expression(expr, values) for expr in exprs)

    aggregates = [one for one in bound(parts.aggregates) if isinstance(one, Aggregate)]
    return replace(
        parts,
        keys=bound(parts.keys),
        aggregates=tuple(aggregates),
        outputs=bound(parts.outputs),
        having=None if parts.having is None else bind_expression(parts.having, values),
        order=bind_order(parts.order, values),
    )


def _words(expr: Expr) -> str:
    """What is the same for equal expressions only: 1 is not True, nor 1.0."""
    try:
        return repr(expr)
    except ValueError as error:  # of an int with thousands of digits
        raise QueryError(
            "a number in a table has more digits than can be written; use one of 64 bits"
        ) from error


def bare_parts(taker: LiteralTaker, parts: TableParts) -> TableParts:
    """The parts without their literals, which are taken in one order, always."""
    aggregates: list[Aggregate] = []
    for aggregate in parts.aggregates:
        bare = taker.expression(aggregate)
        assert isinstance(bare, Aggregate)
        aggregates.append(bare)
    return TableParts(
        parts.names,
        parts.is_grouped,
        parts.drops_repeats,
        tuple(map(taker.value, parts.keys)),
        tuple(aggregates),
        tuple(map(taker.value, parts.outputs)),
        None if parts.having is None else taker.expression(parts.having),
        tuple(replace(spec, key=taker.value(spec.key)) for spec in parts.order),
    )


def split_table(query: TableQuery) -> TableParts:
    """What a table query asks of rows, and what of groups.

    Raises:
      QueryError: its columns, having or order do not fit each other.
      LimitError: it is too large.
    """
    names = _names(query)
    if len(query.order) > limits.ORDER_FIELDS_MAX:
        raise LimitError(
            f"an order may have {limits.ORDER_FIELDS_MAX} keys, not {len(query.order)}",
            limit="ORDER_FIELDS_MAX",
        )
    given = [*(column.expression for column in query.columns), *(one.key for one in query.order)]
    if query.having is not None:
        given.append(query.having)
    for expr in given:
        check_size(expr)
    folds = any(map(_folds, given))
    if not folds and not query.distinct:
        return _plain(query, names)
    split = _Split(query)
    outputs = tuple(split.of_column(column.expression) for column in query.columns)
    order = tuple(replace(one, key=split.of_group(one.key)) for one in query.order)
    if query.distinct and folds:
        shown = set(map(repr, outputs))
        hidden = next((i for i, one in enumerate(order) if _words(one.key) not in shown), None)
        if hidden is not None:
            raise QueryError(
                f"a distinct table is ordered by its columns; "
                f"{spell_expression(query.order[hidden].key)} is none of them"
            )
    return TableParts(
        names,
        is_grouped=True,
        drops_repeats=query.distinct and folds,
        keys=tuple(split.keys),
        having=None if query.having is None else split.of_group(query.having),
        aggregates=tuple(split.aggregates),
        outputs=outputs,
        order=order,
    )


def key_place(number: int) -> FieldRef:
    """How the parts name a key of the groups."""
    return FieldRef(path=(f"k{number}",))


def aggregate_place(number: int) -> FieldRef:
    """How the parts name an aggregate of the groups."""
    return FieldRef(path=(f"a{number}",))


def _names(query: TableQuery) -> tuple[str, ...]:
    names = tuple(column.name for column in query.columns)
    if not names:
        raise QueryError("a table has no columns; name at least one")
    if len(names) > limits.TABLE_COLUMNS_MAX:
        raise LimitError(
            f"a table of {len(names)} columns is over {limits.TABLE_COLUMNS_MAX}; split it",
            limit="TABLE_COLUMNS_MAX",
        )
    seen = set[str]()
    for name in names:
        if name in seen:
            raise QueryError(f"two columns are called {name!r}; name one of them otherwise")
        seen.add(name)
    return names


def _folds(expr: Expr) -> bool:
    return any(isinstance(node, Aggregate) and not node.path for node in walk(expr))


def _plain(query: TableQuery, names: tuple[str, ...]) -> TableParts:
    """A row of the table for each row."""
    if query.having is not None:
        raise QueryError("having() is about groups, and this table has none; use where()")
    return TableParts(
        names,
        is_grouped=False,
        drops_repeats=False,
        keys=(),
        aggregates=(),
        outputs=tuple(column.expression for column in query.columns),
        having=None,
        order=(),  # that of the rows
    )


def _named(expr: Expr, columns: dict[str, Expr]) -> Expr | None:
    """What the column is that an expression names, if it names one.

    Raises:
      QueryError: it may as well mean a field that is another column.
    """
    if not isinstance(expr, FieldRef) or len(expr.path) != 1:
        return None
    found = columns.get(expr.path[0])
    if found is not None and found != expr and expr in columns.values():
        raise QueryError(
            f"{expr.path[0]} is the name of one column and the field in another; "
            "name the first one otherwise"
        )
    return found


class _Split:
    """The keys and aggregates of one query, found as its parts are looked through."""

    def __init__(self, query: TableQuery) -> None:
        self.keys: list[Expr] = []
        self.aggregates: list[Aggregate] = []
        self._columns = {column.name: column.expression for column in query.columns}
        # Found by their words, as 1 and 1.0 are equal and not the same.
        self._places: dict[str, FieldRef] = {}
        for expr in self._columns.values():
            if not _folds(expr) and _words(expr) not in self._places:
                self._places[_words(expr)] = key_place(len(self.keys))
                self.keys.append(expr)

    def of_column(self, expr: Expr) -> Expr:
        """A column over the places of the groups."""
        return self._over_places(expr, 1, named=False)

    def of_group(self, expr: Expr) -> Expr:
        """What is asked of groups, in which a name may be that of a column."""
        return self._over_places(expr, 1, named=True)

    def _over_places(self, expr: Expr, depth: int, *, named: bool) -> Expr:
        if depth > limits.EXPRESSION_DEPTH_MAX:
            raise LimitError(
                f"an expression nests deeper than {limits.EXPRESSION_DEPTH_MAX} levels; "
                "write it flatter",
                limit="EXPRESSION_DEPTH_MAX",
            )
        column = _named(expr, self._columns) if named else None
        if column is not None:
            return self._over_places(column, depth + 1, named=False)
        place = self._places.get(_words(expr))
        if place is not None:
            return place
        if isinstance(expr, Aggregate) and not expr.path:
            place = self._places[_words(expr)] = aggregate_place(len(self.aggregates))
            self.aggregates.append(expr)
            return place
        if isinstance(expr, FieldRef | Aggregate):
            raise QueryError(
                f"{spell_expression(expr)} may differ within a group; make it a column, or fold it "
                "with min(), count() and the like"
            )
        return map_children(expr, lambda part: self._over_places(part, depth + 1, named=named))


def _base(query: TableQuery, parts: TableParts) -> GraphQuery:
    """The graph query whose roots are the rows."""
    order: tuple[OrderSpec, ...] = ()
    page = Page()
    if not parts.is_grouped:
        page = Page(limit=query.limit, offset=query.offset)
        columns = {column.name: column.expression for column in query.columns}
        order = tuple(replace(one, key=_named(one.key, columns) or one.key) for one in query.order)
    return GraphQuery(
        entity=query.entity,
        filter=query.filter,
        order=order,
        page=page,
        select=(),
        budget=query.budget,
    )
