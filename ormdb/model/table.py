"""Typed tables: what to show of rows and groups, and the rows that come back.

    late = Flight.where(Flight.month <= 3).table(
        Flight.origin_faa,                                  no aggregate: the groups
        count(where=Flight.dep_delay > 60).named("late"),
        Flight.dep_delay.avg().named("mean"),
    ).having(count() > 100).order_by("mean desc")

    late.ir                  TableQuery(entity="Flight", columns=(...), ...)
    db.table(late)           Table[tuple[str, int, float | None]]

Invariants (held by tests/unit/model/test_tables.py and tests/typing):
  1. A tabular query never changes; refining makes a new one.
  2. A row of a table is a tuple of the types that its columns say.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, Final, Generic, TypeVar, overload

from ormdb.errors import QueryError
from ormdb.ir.expr import Aggregate, Call, Expr, FieldRef, Literal
from ormdb.ir.graph import OrderSpec
from ormdb.ir.result import FetchStatistics
from ormdb.ir.table import TableBlock, TableColumn, TableQuery
from ormdb.ir.value import RowDict, Value
from ormdb.model.cell import Cell, Named, as_it_is, reader_of
from ormdb.model.clauses import join_predicates, natural
from ormdb.model.column import Order
from ormdb.model.predicate import Predicate, require_entity
from ormdb.model.spelling import spell_table
from ormdb.model.term import Parameter, Term

E = TypeVar("E")
R_co = TypeVar("R_co", covariant=True)

_ROWS_SHOWN: Final = 3
Read = Callable[[Value], Any]


class Tabular(Generic[E, R_co]):
    """A table query over `entity`, whose rows are of type `R`; made by `Query.table`."""

    __slots__ = ("entity", "ir", "reads")

    def __init__(self, entity: type[E], ir: TableQuery, reads: Sequence[Read]) -> None:
        self.entity = entity
        self.ir = ir
        self.reads = tuple(reads)

    def distinct(self) -> Tabular[E, R_co]:
        """Show equal rows once."""
        return self._with(replace(self.ir, distinct=True))

    def having(self, *predicates: Predicate[E] | str) -> Tabular[E, R_co]:
        """Keep the groups for which all predicates are true; in a text, names are columns."""
        having = join_predicates(self.ir.having, predicates, self.entity)
        return self._with(replace(self.ir, having=having))

    def order_by(self, *keys: Term[E, Any] | Order[E] | str) -> Tabular[E, R_co]:
        """Order by these keys, after those given before; a text is an expression over columns,
        perhaps with "desc" behind it."""
        order = (*self.ir.order, *(self._order_of(key) for key in keys))
        return self._with(replace(self.ir, order=order))

    def limit(self, count: int | Parameter[int]) -> Tabular[E, R_co]:
        """Show the first `count` rows."""
        return self._with(replace(self.ir, limit=natural(count, "limit")))

    def offset(self, count: int | Parameter[int]) -> Tabular[E, R_co]:
        """Leave out the first `count` rows."""
        return self._with(replace(self.ir, offset=natural(count, "offset")))

    def _order_of(self, key: Term[E, Any] | Order[E] | str) -> OrderSpec:
        match key:
            case str():
                return read_order(key)
            case Order(spec=spec):
                found = spec
            case Term():
                found = OrderSpec(key=key.expression)
            case _:  # pyright: ignore[reportUnnecessaryComparison]
                raise QueryError(f"{key!r} is no order; give a column, or its .asc() or .desc()")
        require_entity(key.entity, self.entity, "order by", key)
        return found

    def _with(self, ir: TableQuery) -> Tabular[E, R_co]:
        return Tabular(self.entity, ir, self.reads)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Tabular):
            return NotImplemented
        return self._parts() == other._parts()

    def __hash__(self) -> int:
        return hash(self._parts())

    def _parts(self) -> tuple[object, ...]:
        return self.entity, self.ir

    def __repr__(self) -> str:
        return spell_table(self.ir, self.entity.__name__)


class Table(Sequence[R_co]):
    """The rows of an answer to a table query, as tuples."""

    __slots__ = ("_block", "_columns")

    def __init__(self, block: TableBlock, reads: Sequence[Read] = ()) -> None:
        self._block = block
        self._columns: list[Sequence[Any]] = list(block.values)
        for number, read in enumerate(reads):
            if read is not as_it_is:
                self._columns[number] = list(map(read, block.values[number]))

    @property
    def block(self) -> TableBlock:
        """The columns as `ir` has them; Arrow, polars, pandas and numpy read them too."""
        return self._block

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns."""
        return tuple(column.name for column in self._block.columns)

    @property
    def statistics(self) -> FetchStatistics:
        """What reading it cost."""
        return self._block.statistics

    def column(self, name: str) -> list[Any]:
        """The values of one column.

        Raises:
          QueryError: there is no such column.
        """
        if name not in self.columns:
            raise QueryError(f"there is no column {name!r}; there are {', '.join(self.columns)}")
        return list(self._columns[self.columns.index(name)])

    def to_dicts(self) -> list[RowDict]:
        """The rows as dicts by the names of the columns."""
        names = self.columns
        return [dict(zip(names, row, strict=True)) for row in zip(*self._columns, strict=True)]

    def arrow(self) -> TableBlock:
        """The table for whoever reads Arrow, as in `pyarrow.table(...)`."""
        return self._block

    def to_pandas(self) -> Any:
        """A pandas.DataFrame.

        Raises:
          UnsupportedError: pandas or pyarrow is not installed.
        """
        return self._block.to_pandas()

    def __len__(self) -> int:
        return len(self._block)

    def __iter__(self) -> Iterator[R_co]:
        rows: Any = zip(*self._columns, strict=True)
        found: Iterator[R_co] = rows
        return found

    @overload
    def __getitem__(self, at: int) -> R_co: ...
    @overload
    def __getitem__(self, at: slice) -> tuple[R_co, ...]: ...
    def __getitem__(self, at: int | slice) -> Any:
        if isinstance(at, slice):
            return tuple(zip(*(column[at] for column in self._columns), strict=True))
        return tuple([column[at] for column in self._columns])

    def __repr__(self) -> str:
        shown = [repr(row) for row in self[:_ROWS_SHOWN]]
        if len(self) > _ROWS_SHOWN:
            shown.append("…")
        return f"<{len(self)} rows of {', '.join(self.columns)}: {', '.join(shown)}>"


def make_columns(
    cells: Sequence[Cell[Any, Any]], entity: type
) -> tuple[tuple[TableColumn, ...], tuple[Read, ...]]:
    """The columns of a table, and what reads their values.

    Raises:
      QueryError: one is no column, or about another entity.
    """
    columns: list[TableColumn] = []
    for number, cell in enumerate(cells, 1):
        expression: object = getattr(cell, "expression", None)
        if expression is None or isinstance(cell, type):
            raise QueryError(f"{cell!r} is no column of a table; give one, as in Airport.name")
        require_entity(cell.entity, entity, "column", cell)
        name = cell.name if isinstance(cell, Named) else _usual_name(cell.expression, number)
        columns.append(TableColumn(name=name, expression=cell.expression))
    return tuple(columns), tuple(reader_of(cell) for cell in cells)


def _usual_name(expression: Expr, number: int) -> str:
    """origin.name, count, avg_dep_delay, departed_hour; else column3."""
    match expression:
        case FieldRef(path=path):
            return ".".join(path)
        case Aggregate(function=function, operand=None):
            return function
        case Aggregate(function=function, operand=FieldRef(path=path)):
            return "_".join((function, *path))
        case Call(name="bucket", arguments=(FieldRef(path=path), Literal(value=unit), *_)):
            return "_".join((*path, str(unit)))
        case _:
            return f"column{number}"


def read_order(text: str) -> OrderSpec:
    """Return the key of an order that a text spells: an expression, perhaps with "desc" behind.

    Raises:
      ExpressionError: it spells none.
    """
    from ormdb.model.expression_text import parse_expression

    begin, _, last = text.strip().rpartition(" ")
    descending = last == "desc"
    return OrderSpec(
        key=parse_expression(begin if descending or last == "asc" else text),
        descending=descending,
    )
