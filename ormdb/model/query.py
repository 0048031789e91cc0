"""Typed queries: immutable values that end as a `GraphQuery` of `ir`.

    late = Airport.where(Airport.faa == "JFK").include(Airport.departures.limit(5))
    late.ir                       GraphQuery(entity="Airport", filter=..., includes=(...,))
    late.limit(1)                 another query; `late` stays as it is

Invariants (held by tests/unit/model/test_query.py):
  1. A query never changes; refining makes a new one.
  2. Queries are equal exactly when their entity and their `ir` are.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Final, Generic, TypeVar, overload

from ormdb.errors import QueryError
from ormdb.ir.graph import AsOf, FanoutBudget, GraphQuery, Page
from ormdb.ir.table import TableQuery
from ormdb.model.cell import Cell, Named
from ormdb.model.clauses import (
    cursor_of,
    derived_specs,
    join_predicates,
    natural,
    order_specs,
    select_names,
)
from ormdb.model.column import Column, Order, Predicate
from ormdb.model.declaration import declaration_of
from ormdb.model.relation import Inclusion, include_specs
from ormdb.model.spelling import spell_query
from ormdb.model.table import Tabular, make_columns
from ormdb.model.term import Parameter, Term

E = TypeVar("E")
T1 = TypeVar("T1")
T2 = TypeVar("T2")
T3 = TypeVar("T3")
T4 = TypeVar("T4")
T5 = TypeVar("T5")
T6 = TypeVar("T6")
T7 = TypeVar("T7")
T8 = TypeVar("T8")

_NOTHING: Final[Mapping[str, Any]] = {}
_WHOLE: Final = Page()
_OF_PAGE: Final = ("limit", "offset", "after", "before")


class Query(Generic[E]):
    """What to fetch of `entity`: which rows, in which order, with what around them."""

    __slots__ = ("_clauses", "_ir", "entity")

    def __init__(self, entity: type[E], clauses: Mapping[str, Any] = _NOTHING) -> None:
        self.entity = entity
        self._clauses = clauses
        self._ir: GraphQuery | None = None

    @property
    def ir(self) -> GraphQuery:
        """The query as `ir` has it; made when it is first asked for."""
        if self._ir is None:
            self._ir = GraphQuery(entity=declaration_of(self.entity).name, **self._clauses)
        return self._ir

    def where(self, *predicates: Predicate[E] | str) -> Query[E]:
        """Keep the rows for which all predicates are true; text is read as an expression."""
        return self._with(
            filter=join_predicates(self._clauses.get("filter"), predicates, self.entity)
        )

    def include(self, *inclusions: Inclusion[E, Any]) -> Query[E]:
        """Also follow these relations from every row."""
        before = self._clauses.get("includes", ())
        return self._with(includes=include_specs(before, inclusions, self.entity))

    def order_by(self, *keys: Order[E] | Term[E, Any]) -> Query[E]:
        """Order by these keys, after those given before."""
        before = self._clauses.get("order", ())
        return self._with(order=(*before, *order_specs(keys, self.entity)))

    def select(self, *columns: Column[E, Any]) -> Query[E]:
        """Load these fields (and the identity) only."""
        return self._with(select=select_names(columns, self.entity))

    def derive(self, *values: Named[E, Any]) -> Query[E]:
        """Show these values with each row, as `Movie.reviews.avg(Review.score).named("rating")`;
        `of` reads them."""
        return self._with(
            derived=derived_specs(self._clauses.get("derived", ()), values, self.entity)
        )

    def limit(self, count: int | Parameter[int]) -> Query[E]:
        """Keep the first `count` rows."""
        return self._paged(limit=natural(count, "limit"))

    def offset(self, count: int | Parameter[int]) -> Query[E]:
        """Leave out the first `count` rows; their keys are still read, so prefer `after`."""
        return self._paged(offset=natural(count, "offset"))

    def after(self, cursor: str | Parameter[str] | None) -> Query[E]:
        """Begin behind a cursor of an earlier page of this query; None means at the start."""
        if cursor is not None and self._page.before is not None:
            raise QueryError("a page lies after one cursor or before one; give one of them")
        return self._paged(after=cursor_of(cursor, "after"))

    def before(self, cursor: str | Parameter[str] | None) -> Query[E]:
        """End in front of a cursor of an earlier page of this query; None means at the end."""
        if cursor is not None and self._page.after is not None:
            raise QueryError("a page lies after one cursor or before one; give one of them")
        return self._paged(before=cursor_of(cursor, "before"))

    def as_of(self, moment: AsOf | None) -> Query[E]:
        """Read the past: a commit version, or a moment with a time zone."""
        return self._with(as_of=moment)

    def budget(
        self,
        *,
        depth: int | None = None,
        fanout: int | None = None,
        rows: int | None = None,
        edges: int | None = None,
        bytes: int | None = None,  # noqa: A002  (the budget's own name for it)
        time_s: float | None = None,
    ) -> Query[E]:
        """Bound what this fetch may touch; what is not given stays as it was."""
        given = {
            "depth": depth,
            "fanout": fanout,
            "rows": rows,
            "edges": edges,
            "bytes": bytes,
            "time_s": time_s,
        }
        changes: dict[str, Any] = {name: n for name, n in given.items() if n is not None}
        for name, bound in changes.items():
            if bound < 0:
                raise QueryError(f"budget({name}={bound}) allows nothing; give 0 or more")
        before: FanoutBudget = self._clauses.get("budget", FanoutBudget())
        return self._with(budget=dataclasses.replace(before, **changes))

    @overload
    def table(self, *columns: *tuple[Cell[E, T1]]) -> Tabular[E, tuple[T1]]: ...
    @overload
    def table(self, *columns: *tuple[Cell[E, T1], Cell[E, T2]]) -> Tabular[E, tuple[T1, T2]]: ...
    @overload
    def table(
        self, *columns: *tuple[Cell[E, T1], Cell[E, T2], Cell[E, T3]]
    ) -> Tabular[E, tuple[T1, T2, T3]]: ...
    @overload
    def table(
        self, *columns: *tuple[Cell[E, T1], Cell[E, T2], Cell[E, T3], Cell[E, T4]]
    ) -> Tabular[E, tuple[T1, T2, T3, T4]]: ...
    @overload
    def table(
        self, *columns: *tuple[Cell[E, T1], Cell[E, T2], Cell[E, T3], Cell[E, T4], Cell[E, T5]]
    ) -> Tabular[E, tuple[T1, T2, T3, T4, T5]]: ...
    @overload
    def table(
        self,
        *columns: *tuple[
            Cell[E, T1], Cell[E, T2], Cell[E, T3], Cell[E, T4], Cell[E, T5], Cell[E, T6]
        ],
    ) -> Tabular[E, tuple[T1, T2, T3, T4, T5, T6]]: ...
    @overload
    def table(
        self,
        *columns: *tuple[
            Cell[E, T1],
            Cell[E, T2],
            Cell[E, T3],
            Cell[E, T4],
            Cell[E, T5],
            Cell[E, T6],
            Cell[E, T7],
        ],
    ) -> Tabular[E, tuple[T1, T2, T3, T4, T5, T6, T7]]: ...
    @overload
    def table(
        self,
        *columns: *tuple[
            Cell[E, T1],
            Cell[E, T2],
            Cell[E, T3],
            Cell[E, T4],
            Cell[E, T5],
            Cell[E, T6],
            Cell[E, T7],
            Cell[E, T8],
        ],
    ) -> Tabular[E, tuple[T1, T2, T3, T4, T5, T6, T7, T8]]: ...
    @overload
    def table(
        self,
        *columns: *tuple[
            Cell[E, Any],
            Cell[E, Any],
            Cell[E, Any],
            Cell[E, Any],
            Cell[E, Any],
            Cell[E, Any],
            Cell[E, Any],
            Cell[E, Any],
            Cell[E, Any],
            *tuple[Cell[E, Any], ...],
        ],
    ) -> Tabular[E, tuple[Any, ...]]: ...
    def table(self, *columns: Cell[E, Any]) -> Tabular[E, Any]:
        """Show values instead of objects: a column for each of these, of rows or of groups.

        With an aggregate among them, those without one are the groups.  Of the query, its filter,
        its version and its budget count; the table has an order and a page of its own.
        """
        paged = [name for name in _OF_PAGE if getattr(self._page, name) != getattr(_WHOLE, name)]
        unfit = sorted({*self._clauses, *paged} - {"filter", "as_of", "budget", "page"})
        if unfit:
            raise QueryError(
                f"a table has no use for {', '.join(unfit)} of its query; "
                "order and limit the table itself"
            )
        made, reads = make_columns(columns, self.entity)
        clauses = {name: part for name, part in self._clauses.items() if name != "page"}
        name = declaration_of(self.entity).name
        return Tabular(self.entity, TableQuery(entity=name, columns=made, **clauses), reads)

    def _with(self, **changes: Any) -> Query[E]:
        return Query(self.entity, {**self._clauses, **changes})

    @property
    def _page(self) -> Page:
        page: Page = self._clauses.get("page", _WHOLE)
        return page

    def _paged(self, **changes: Any) -> Query[E]:
        return self._with(page=dataclasses.replace(self._page, **changes))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Query):
            return NotImplemented
        return self._parts() == other._parts()

    def __hash__(self) -> int:
        return hash(self._parts())

    def _parts(self) -> tuple[object, ...]:
        return self.entity, self.ir

    def __repr__(self) -> str:
        return spell_query(self.ir, self.entity.__name__)
