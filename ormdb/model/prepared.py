"""Prepared queries: typed in once, run many times, each time with values for the parameters.

    code = ormdb.param("code", str)
    departures = db.prepare(Airport.where(Airport.faa == code).include(Airport.departures))
    departures.fetch(code="JFK")          Result[Airport]
    departures.first(code="LGA")          Airport | None
    departures.stream(500, code="JFK")    Stream[Airport], so many rows at a time

    late = db.prepare(Flight.where(Flight.origin_faa == code).table(Flight.dep_delay.avg()))
    late.table(code="JFK")                Table[tuple[float | None]]

A prepared query belongs to the reader that prepared it: to a database, and then every run sees the
newest commit; to a snapshot or a transaction, and then it ends with that.

Invariants (held by tests/property/test_prepared.py):
  1. A run answers as the query does with the values in place of its parameters.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Generic, Protocol, TypeVar

from ormdb import limits
from ormdb.errors import NotOneError
from ormdb.ir.bind import bind_query, bind_table, check_values, parameters_of
from ormdb.ir.explanation import Explanation
from ormdb.ir.graph import GraphQuery
from ormdb.ir.table import TableBlock, TableQuery
from ormdb.ir.value import Type
from ormdb.model.query import Query
from ormdb.model.result import Result
from ormdb.model.stream import Stream
from ormdb.model.table import Table, Tabular
from ormdb.session import Answer, AnswerStream, Context, PreparedReads, PreparedTableReads

E = TypeVar("E")
R_co = TypeVar("R_co", covariant=True)


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

    def stream(self, batch: int = limits.STREAM_BATCH_ROWS, /, **values: object) -> Stream[E]:
        """Fetch rows one after the other, as `stream` of a database does.

        Args:
          batch: how many rows are read at a time; given without a name, as names are parameters'.
          values: those of the parameters.
        """
        answers = self._reads.run_stream(values, batch=batch, context=self._context)
        return Stream(answers, self.query.entity, self._classes)

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


class PreparedTable(Generic[R_co]):
    """A table query whose rows are of type `R`, ready to run; made by `prepare` as well."""

    __slots__ = ("_context", "_reads", "query")

    def __init__(
        self,
        query: Tabular[Any, R_co],
        reads: PreparedTableReads,
        context: Context | None = None,
    ) -> None:
        self.query = query
        self._reads = reads
        self._context = context

    @property
    def parameters(self) -> Mapping[str, Type]:
        """The types of the parameters, by name."""
        return self._reads.parameters

    def asked_by(self, context: Context) -> PreparedTable[R_co]:
        """The same, asked by somebody else."""
        return PreparedTable(self.query, self._reads, context)

    def table(self, /, **values: object) -> Table[R_co]:
        """Read the table with these values.

        Raises:
          ParameterError: a value is missing, or there is no such parameter.
          ValueTypeError, ValueRangeError: a value is of another type, or None.
          BudgetError: it has more groups or rows than the query's budget allows.
        """
        return Table(self._reads.run_table(values, context=self._context), self.query.reads)

    def explain(self, /, **values: object) -> Explanation:
        """Tell how the table is read with these values."""
        return self._reads.run_explain(values, context=self._context)

    def __repr__(self) -> str:
        return f"<PreparedTable {self.query}>"


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

    def run_stream(
        self, values: Mapping[str, object], *, batch: int, context: Context | None = None
    ) -> AnswerStream:
        """Fetch a graph of any size, so many roots at a time."""
        return self._reader.run_stream(self._bound(values), batch=batch, context=context)

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


class BoundTableReads:
    """`BoundReads` of a table query (the protocol is `session.PreparedTableReads`)."""

    def __init__(self, reader: QueryReader, query: TableQuery) -> None:
        self.query = query
        self._reader = reader
        self._parameters = parameters_of(query)

    @property
    def parameters(self) -> Mapping[str, Type]:
        """The types of the parameters, by name."""
        return {name: one.type for name, one in self._parameters.items()}

    def run_table(
        self, values: Mapping[str, object], *, context: Context | None = None
    ) -> TableBlock:
        """Rows of values."""
        return self._reader.run_table(self._bound(values), context=context)

    def run_explain(
        self,
        values: Mapping[str, object],
        *,
        analyze: bool = False,
        context: Context | None = None,
    ) -> Explanation:
        """How it would be read with these values."""
        return self._reader.run_explain(self._bound(values), analyze=analyze, context=context)

    def _bound(self, values: Mapping[str, object]) -> TableQuery:
        return bind_table(self.query, check_values(self._parameters, values))


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

    def run_stream(
        self, query: GraphQuery, *, batch: int, context: Context | None = None
    ) -> AnswerStream:
        """Fetch a graph of any size."""
        ...

    def run_table(self, query: TableQuery, *, context: Context | None = None) -> TableBlock:
        """Rows of values."""
        ...

    def run_explain(
        self,
        query: GraphQuery | TableQuery,
        *,
        analyze: bool = False,
        context: Context | None = None,
    ) -> Explanation:
        """How the query would be fetched."""
        ...
