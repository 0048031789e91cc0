"""Prepared queries: typed in once, run many times, each time with values for the parameters.

    code = ormdb.param("code", str)
    departures = db.prepare(Airport.where(Airport.faa == code).include(Airport.departures))
    departures.fetch(code="JFK")          Result[Airport]
    departures.first(code="LGA")          Airport | None

A prepared query belongs to the reader that prepared it: to a database, and then every run sees the
newest commit; to a snapshot or a transaction, and then it ends with that.

Invariants (held by tests/property/test_prepared.py):
  1. A run answers as the query does with the values in place of its parameters.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Generic, Protocol, TypeVar

from ormdb.errors import NotOneError
from ormdb.ir.bind import bind_query, check_values, parameters_of
from ormdb.ir.explanation import Explanation
from ormdb.ir.graph import GraphQuery
from ormdb.ir.value import Type
from ormdb.model.query import Query
from ormdb.model.result import Result
from ormdb.session import Answer, Context, PreparedReads

E = TypeVar("E")


class Prepared(Generic[E]):
    """A query of `E` that is ready to run; made by `prepare` of a database and its like."""

    __slots__ = ("_classes", "_context", "_limited", "_prepare", "_reads", "query")

    def __init__(
        self,
        query: Query[E],
        prepare: Callable[[GraphQuery], PreparedReads],
        classes: Callable[[str], type[Any]],
        context: Context | None = None,
    ) -> None:
        self.query = query
        self._prepare = prepare
        self._reads = prepare(query.ir)
        self._classes = classes
        self._context = context
        self._limited: dict[int, PreparedReads] = {}

    @property
    def parameters(self) -> Mapping[str, Type]:
        """The types of the parameters, by name."""
        return self._reads.parameters

    def asked_by(self, context: Context) -> Prepared[E]:
        """The same, asked by somebody else."""
        return Prepared(self.query, self._prepare, self._classes, context)

    def fetch(self, /, **values: object) -> Result[E]:
        """Fetch the graph with these values.

        Raises:
          ParameterError: a value is missing, or there is no such parameter.
          ValueTypeError, ValueRangeError: a value is of another type, or None.
          BudgetError: it would touch more than the query's budget allows.
        """
        answer = self._reads.run_fetch(values, context=self._context)
        return Result(answer, self.query.entity, self._classes)

    def first(self, /, **values: object) -> E | None:
        """Return the first row, or None."""
        answer = self._at_most(1).run_fetch(values, context=self._context)
        rows = Result(answer, self.query.entity, self._classes)
        return rows[0] if rows else None

    def one(self, /, **values: object) -> E:
        """Return the only row.

        Raises:
          NotOneError: there is none, or more than one.
        """
        answer = self._at_most(2).run_fetch(values, context=self._context)
        rows = Result(answer, self.query.entity, self._classes)
        if len(rows) != 1:
            count = "no row" if not rows else "more than one row"
            raise NotOneError(
                f"{self.query} found {count}; use first() if that is fine",
                entity=self._reads.query.entity,
            )
        return rows[0]

    def count(self, /, **values: object) -> int:
        """How many rows the filter keeps; order, page and includes do not matter."""
        return self._reads.run_count(values, context=self._context)

    def exists(self, /, **values: object) -> bool:
        """Whether the filter keeps any row."""
        return self._reads.run_exists(values, context=self._context)

    def explain(self, /, **values: object) -> Explanation:
        """Tell how a fetch with these values is answered."""
        return self._reads.run_explain(values, context=self._context)

    def _at_most(self, count: int) -> PreparedReads:
        """The query with a limit of no more; a limit that is a parameter is left as it is."""
        found = self._limited.get(count)
        if found is None:
            query, limit = self._reads.query, self._reads.query.page.limit
            found = self._reads
            if limit is None or (isinstance(limit, int) and limit > count):
                page = dataclasses.replace(query.page, limit=count)
                found = self._prepare(dataclasses.replace(query, page=page))
            self._limited[count] = found
        return found

    def __repr__(self) -> str:
        return f"<Prepared {self.query}>"


class BoundReads:
    """A prepared query that puts the values in place and runs the query that comes out: what it
    means, for readers that know nothing faster (the protocol is `session.PreparedReads`)."""

    def __init__(self, reader: QueryReader, query: GraphQuery) -> None:
        self.query = query
        self._reader = reader
        self._parameters = parameters_of(query)

    @property
    def parameters(self) -> Mapping[str, Type]:
        """The types of the parameters, by name."""
        return {name: one.type for name, one in self._parameters.items()}

    def run_fetch(self, values: Mapping[str, object], *, context: Context | None = None) -> Answer:
        """Fetch the graph."""
        return self._reader.run_fetch(self._bound(values), context=context)

    def run_count(self, values: Mapping[str, object], *, context: Context | None = None) -> int:
        """How many roots the filter keeps."""
        return self._reader.run_count(self._bound(values), context=context)

    def run_exists(self, values: Mapping[str, object], *, context: Context | None = None) -> bool:
        """Whether the filter keeps any root."""
        return self._reader.run_exists(self._bound(values), context=context)

    def run_explain(
        self,
        values: Mapping[str, object],
        *,
        analyze: bool = False,
        context: Context | None = None,
    ) -> Explanation:
        """How it would be fetched with these values."""
        return self._reader.run_explain(self._bound(values), analyze=analyze, context=context)

    def _bound(self, values: Mapping[str, object]) -> GraphQuery:
        return bind_query(self.query, check_values(self._parameters, values))


class QueryReader(Protocol):
    """What is asked of a reader here."""

    def run_fetch(self, query: GraphQuery, *, context: Context | None = None) -> Answer:
        """Fetch a graph."""
        ...

    def run_count(self, query: GraphQuery, *, context: Context | None = None) -> int:
        """How many roots the query's filter keeps."""
        ...

    def run_exists(self, query: GraphQuery, *, context: Context | None = None) -> bool:
        """Whether the query's filter keeps any root."""
        ...

    def run_explain(
        self, query: GraphQuery, *, analyze: bool = False, context: Context | None = None
    ) -> Explanation:
        """How the query would be fetched."""
        ...
