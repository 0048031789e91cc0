"""The table query: rows of values, each of one row or of a group of rows, as an immutable value.

    TableQuery Flight
      filter   month <= 3
      columns  origin_faa            no aggregate: the groups
               flights = count()
               mean = avg(dep_delay)
      having   flights > 100         what is left of the groups
      order    mean desc
      limit    5

A query groups when it has an aggregate, or is distinct.  Then the columns without an aggregate are
the keys of its groups, NULL being a key like any other, and a row is a group; without such columns
there is one row, whatever there is to fold.  A query that does not group has a row for each row.

In `having` and `order` a name means the column of that name, then the column that is this
expression; aggregates may stand there too.  Groups come in the order of their keys, NULL first,
after what `order` says; other rows in row order, as those of a graph query do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ormdb.ir.columnar import Columnar, NamedColumn
from ormdb.ir.expr import Expr, NamedParam
from ormdb.ir.graph import AsOf, FanoutBudget, OrderSpec
from ormdb.ir.result import FetchStatistics
from ormdb.ir.value import Type, Value

_USUAL_BUDGET: Final = FanoutBudget()


@dataclass(frozen=True, slots=True, kw_only=True)
class TableColumn:
    """One column: its name and what its values are."""

    name: str
    expression: Expr


@dataclass(frozen=True, slots=True, kw_only=True)
class TableQuery:
    """Which values, of which rows of `entity`.

    Of the budget, `rows` bounds the rows of the answer, the groups and the values that are told
    apart; `bytes` and `time_s` what is read and how long it takes.
    """

    entity: str
    columns: tuple[TableColumn, ...]
    filter: Expr | None = None
    distinct: bool = False
    having: Expr | None = None
    order: tuple[OrderSpec, ...] = ()
    limit: int | NamedParam | None = None
    offset: int | NamedParam = 0
    as_of: AsOf | None = None
    budget: FanoutBudget = _USUAL_BUDGET


@dataclass(frozen=True, slots=True, kw_only=True)
class TableColumnType:
    """What a column of an answer holds."""

    name: str
    type: Type
    optional: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class TableBlock(Columnar):
    """The answer to a table query, column by column."""

    columns: tuple[TableColumnType, ...]
    values: tuple[Sequence[Value], ...]
    version: int
    schema_version: int
    statistics: FetchStatistics

    def named_columns(self) -> Sequence[NamedColumn]:
        """Name, type and values of each column."""
        kinds = zip(self.columns, self.values, strict=True)
        return [(column.name, column.type, values) for column, values in kinds]

    def __len__(self) -> int:
        return len(self.values[0])
