"""A table query with parameters, taken apart once as a graph query is.

    Flight where delay > :threshold
      columns  origin_faa, late = count(where=delay > :late)
      having   late > :least                                      limit :count

    once per schema     plan of the rows,   def bind(g):  return [g["threshold"]]
                        plan of the table,  def bind(g):  return [g["late"], g["least"]]
    each run            values of both, page (limit 5), then straight to the execution

Its parts are told apart with its parameters in them, so that two parameters stay two, whatever
their values.  A query that is one only for certain values (as one that is grouped by `delay + :n`
and shows `delay + 5`) is bound and taken apart for each run.

Invariants (held by tests/unit/database/test_prepared.py and tests/property/test_prepared.py):
  1. A run answers as the query does with the values in place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from ormdb.errors import QueryError
from ormdb.ir.bind import bind_query, bind_table
from ormdb.ir.expr import Expr, NamedParam
from ormdb.ir.graph import GraphQuery, Page
from ormdb.ir.table import TableQuery
from ormdb.ir.value import Value
from ormdb.query.budget import check_budget, check_depth
from ormdb.query.cache import PlanCache
from ormdb.query.prepared import (
    Checkers,
    Given,
    Preparation,
    QueryVariant,
    Values,
    binder,
)
from ormdb.query.shape import PageValues, page_numbers
from ormdb.query.table import ReadyTable, make_table_ready
from ormdb.query.table_plan import TablePlan
from ormdb.query.table_shape import ShapedTable, bind_parts, take_table_shape
from ormdb.storage.layout import Layout


class PreparedTableQuery(Preparation[TableQuery, ReadyTable]):
    """A table query with parameters."""

    def __init__(self, query: TableQuery) -> None:
        """Raises ParameterError if parameters of one name have different types."""
        super().__init__(query, (), _expressions)

    def _with(self, values: Values) -> TableQuery:
        return bind_table(self.query, values)

    def _variant(self, plans: PlanCache, layout: Layout, values: Values) -> _TableVariant | None:
        bound = self._with(values)
        template = replace(self.query, limit=bound.limit, offset=bound.offset)
        try:
            shaped = take_table_shape(template, open_patterns=self._open_patterns(values))
            base = bind_query(shaped.base, values)
            with_literals = replace(shaped, base=base, parts=bind_parts(shaped.parts, values))
            plan = plans.table_plan(layout, with_literals)
        except QueryError:
            # A parameter is part of the shape; or only its value makes a part of `having` a key of
            # the table; or the query is refused, with its values in place.
            return None
        check_budget(base.budget)
        check_depth(base)
        return _TableVariant(self.query, plan, shaped, self.checkers)

    def _once(self, plans: PlanCache, layout: Layout, bound: TableQuery) -> ReadyTable:
        return make_table_ready(plans, layout, bound, take_table_shape(bound))


class _TableVariant:
    """A prepared table query with its plan and its binders."""

    def __init__(
        self, query: TableQuery, plan: TablePlan, shaped: ShapedTable, checkers: Checkers
    ) -> None:
        self._query = query
        self._plan = plan
        self._bind: Callable[[Given], Sequence[Value]] = binder(
            plan.converters, shaped.values, checkers
        )
        self._checkers = checkers
        self._base = QueryVariant(_paged(query, shaped), plan.base, shaped.shaped_base, checkers)
        self._page: PageValues = shaped.page
        self._has_page = isinstance(query.limit, NamedParam) or isinstance(query.offset, NamedParam)

    def ready(self, given: Given) -> ReadyTable:
        page = self._page
        if self._has_page:
            limit = self._number(self._query.limit, given)
            offset = self._number(self._query.offset, given) or 0
            page = PageValues(*page_numbers(limit, offset, "the table"))
        return ReadyTable(self._query, self._plan, self._base.ready(given), self._bind(given), page)

    def _number(self, part: int | NamedParam | None, given: Given) -> int | None:
        return self._checkers[part.name](given[part.name]) if isinstance(part, NamedParam) else part


def _paged(query: TableQuery, shaped: ShapedTable) -> GraphQuery:
    """The query of the rows with the parameters of its page, if it has one."""
    if shaped.parts.is_grouped:
        return shaped.base
    return replace(shaped.base, page=Page(limit=query.limit, offset=query.offset))


def _expressions(query: TableQuery) -> Iterator[Expr]:
    """Every expression of a table query."""
    yield from (column.expression for column in query.columns)
    yield from (part for part in (query.filter, query.having) if part is not None)
    yield from (spec.key for spec in query.order)
