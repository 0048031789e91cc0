"""Physical plans of table queries: the plan of the rows, and what is made of them.

    Flight, columns origin_faa, mean = avg(dep_delay), order by mean desc

    base      the plan of a graph query without includes: access, filters
    fold      fold   rows -> {"JFK": [2, 27], "LGA": [1, 4]}        cells: count, sum
              keys   origin_faa             results   a0 = avg of the cells 0 and 1
    outputs   k0, a0
    order     a0, descending; then k0

A plan holds no value of any query but the constants of its expressions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ormdb.ir.expr import Aggregate
from ormdb.ir.table import TableColumnType
from ormdb.ir.value import Type, Value
from ormdb.query.plan import Hop, QueryPlan, RelatedHop, SortKey
from ormdb.query.table_shape import TableParts
from ormdb.storage.layout import IndexLayout


@dataclass(frozen=True, slots=True, eq=False)
class KeyPlan:
    """One key of the groups.  `restore` makes its stored value of what the fold groups by."""

    type: Type
    optional: bool
    restore: Callable[[Any], Value] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class ResultPlan:
    """One aggregate, from the cells of a group: how many values there are, and what is kept of
    them: a sum, the least, or, if only different values count, all that differ."""

    aggregate: Aggregate
    operand: Type | None  # None: rows are counted
    type: Type
    optional: bool
    count: int
    cell: int


@dataclass(frozen=True, slots=True, eq=False)
class FoldPlan:
    """How rows become groups.

    `fold(rows, *hops, groups, *parameters)` folds rows into the cells of their groups.  Where rows
    are only counted there is `tally` instead, from rows to keys.  `counted_by` is an index that
    knows the number of rows of every group.
    """

    keys: tuple[KeyPlan, ...]
    results: tuple[ResultPlan, ...]
    hops: tuple[Hop | RelatedHop, ...]
    parameters: tuple[int, ...]
    fold: Callable[..., None]
    tally: Callable[..., list[Any]] | None
    told_apart: tuple[int, ...]  # the cells that are sets
    float_sums: tuple[int, ...]  # and those that are lists of floats
    counted_by: IndexLayout | None


@dataclass(frozen=True, slots=True, eq=False)
class ColumnPlan:
    """A column over the places of groups (`places`: which of them), or over rows and hops.

    `column(rows, *places or hops, *parameters)` gives its values.
    """

    column: Callable[..., list[Value]]
    places: tuple[int, ...] = ()
    parameters: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class GroupOrder:
    """One key of the order of groups."""

    column: ColumnPlan
    key: SortKey


@dataclass(frozen=True, slots=True, eq=False)
class TablePlan:
    """A whole plan."""

    base: QueryPlan
    columns: tuple[TableColumnType, ...]
    outputs: tuple[ColumnPlan, ...]
    hops: tuple[Hop | RelatedHop, ...]  # of the outputs, where they are over rows
    fold: FoldPlan | None  # None: a row of the table for each row
    having: ColumnPlan | None
    order: tuple[GroupOrder, ...]  # of groups; that of rows is in the base
    drops_repeats: bool
    converters: tuple[Callable[[Value], Value], ...]
    parts: TableParts  # what all this was made of
