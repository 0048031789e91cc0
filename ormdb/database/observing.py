"""Queries on their way past the observer: run as they are when nobody watches.

    Database.run_fetch ─▶ observed_fetch ─┬─ nobody watches ─▶ fetch
                                          └─ QueryCall, Watch ─▶ fetch ─▶ Observer.end

Here a call gets its words, its shape and the include that would replace it, from the query and the
layout it is read with; `ormdb.observe` knows neither.

Invariants (held by tests/unit/observe/test_observer.py):
  1. An observed query answers as one that is not, and makes the same engine calls.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import cached_property
from types import TracebackType
from typing import Literal as Choice
from typing import Self

from ormdb.clock import Clock
from ormdb.errors import OrmdbError
from ormdb.ir.graph import GraphQuery
from ormdb.ir.show import one_line
from ormdb.ir.table import TableBlock, TableQuery
from ormdb.ir.value import RowDict, Value
from ormdb.observe.calls import Cost, Operation
from ormdb.observe.observer import Observer
from ormdb.query.assemble import GraphAnswer
from ormdb.query.explain import describe
from ormdb.query.fetch import (
    Reading,
    count,
    count_ready,
    exists,
    exists_ready,
    fetch,
    fetch_ready,
)
from ormdb.query.get import Getters
from ormdb.query.prepared import Given, PreparedQuery
from ormdb.query.prepared_table import PreparedTableQuery
from ormdb.query.shape import Shape, take_shape
from ormdb.query.table import table, table_ready
from ormdb.query.table_shape import TableShape, take_table_shape
from ormdb.query.trace import Trace
from ormdb.query.words import (
    get_digest,
    include_instead,
    include_leading_to,
    query_words,
    shape_digest,
    table_digest,
    table_words,
)
from ormdb.session import Context
from ormdb.storage.layout import Layout
from ormdb.storage.views import View


class QueryCall:
    """A fetch, count or exists (the protocol is `observe.calls.Call`)."""

    def __init__(self, operation: Operation, reading: Reading, query: GraphQuery) -> None:
        self.operation: Operation = operation
        self.entity = query.entity
        self.principal = reading.context.principal
        self._query = query
        self._layout = reading.layout

    @cached_property
    def shape(self) -> Hashable:
        """The shape itself, or its digest if it holds a literal that has no hash."""
        if self._shape is None:
            return self.entity
        try:
            hash(self._shape)
        except TypeError:
            return self.digest()
        return self._shape

    def digest(self) -> str:
        """A short name of the shape; empty for a query that has none."""
        return "" if self._shape is None else shape_digest(self._shape)

    def words(self) -> str:
        """The query with ? for every value."""
        if self._shape is not None:
            try:
                return query_words(self._query)
            except TypeError:  # a name that is no text, which the query is refused for
                pass
        return one_line(self.entity)

    def remedy(self) -> str | None:
        """The include that would replace many of these."""
        return include_instead(self._layout, self.entity, self._query.filter)

    @cached_property
    def _shape(self) -> Shape | None:
        try:
            return take_shape(self._query).shape
        except OrmdbError:  # the query is refused, and says why where it is run
            return None


class TableCall(QueryCall):
    """A table (the protocol is `observe.calls.Call`)."""

    def __init__(self, reading: Reading, query: TableQuery) -> None:
        rows = GraphQuery(entity=query.entity, filter=query.filter)
        super().__init__("table", reading, rows)
        self._table = query

    def digest(self) -> str:
        """A short name of the shape; empty for a query that has none."""
        return "" if self._table_shape is None else table_digest(self._table_shape)

    def words(self) -> str:
        """The query with ? for every value."""
        if self._table_shape is not None:
            try:
                return table_words(self._table)
            except TypeError:  # as of a fetch
                pass
        return one_line(self.entity)

    @cached_property
    def shape(self) -> Hashable:
        """The shape itself, or its digest if it holds a literal that has no hash."""
        if self._table_shape is None:
            return self.entity
        try:
            hash(self._table_shape)
        except TypeError:
            return self.digest()
        return self._table_shape

    @cached_property
    def _table_shape(self) -> TableShape | None:
        try:
            return take_table_shape(self._table).shape
        except OrmdbError:  # as of a fetch
            return None


class GetCall:
    """A get by identity (the protocol is `observe.calls.Call`)."""

    operation: Choice["get"] = "get"

    def __init__(self, entity: str, layout: Layout, context: Context) -> None:
        self.entity = entity
        self.principal = context.principal
        self.shape: Hashable = entity
        self._layout = layout

    def digest(self) -> str:
        """A short name of every get of the entity."""
        return get_digest(self.entity)

    def words(self) -> str:
        """The entity and its identity, with ? for every value."""
        known = self._layout.entities.get(self.entity)
        identity = () if known is None else known.entity.identity
        return one_line(f"{self.entity}({', '.join(f'{name} = ?' for name in identity)})")

    def remedy(self) -> str | None:
        """The relations that lead to such rows."""
        known = self._layout.entities.get(self.entity)
        return None if known is None else include_leading_to(known)


class Watch:
    """One observed run, from before it begins until it has ended, in whichever way."""

    def __init__(
        self, observer: Observer, call: QueryCall | GetCall, view: View, clock: Clock
    ) -> None:
        self.rows = 0
        self.edges = 0
        self.explained: Callable[[], str | None] = _nothing
        self._observer = observer
        self._call = call
        self._counters = view.counters
        self._clock = clock

    def __enter__(self) -> Self:
        self._observer.begin(self._call)
        counters = self._counters
        self._before = (counters.calls, counters.keys, counters.bytes)
        self._started_s = self._clock.monotonic_s()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        seconds = self._clock.monotonic_s() - self._started_s
        counters, before = self._counters, self._before
        code = None
        if error is not None:
            code = error.code if isinstance(error, OrmdbError) else type(error).__name__
        cost = Cost(
            rows=self.rows,
            edges=self.edges,
            engine_calls=counters.calls - before[0],
            keys=counters.keys - before[1],
            bytes=counters.bytes - before[2],
            seconds=seconds,
            error=code,
        )
        self._observer.end(self._call, cost, self.explained)


def observed_fetch(observer: Observer, reading: Reading, query: GraphQuery) -> GraphAnswer:
    """`fetch`, watched if anybody watches."""
    if not observer.is_watching():
        return fetch(reading, query)
    call = QueryCall("fetch", reading, query)
    with Watch(observer, call, reading.view, reading.clock) as watch:
        trace = None
        if observer.slow_query_s is not None:
            trace = Trace(reading.clock)
            watch.explained = _explaining(trace)
        answer = fetch(reading, query, trace=trace)
        watch.rows, watch.edges = answer.statistics.rows, answer.statistics.edges
        return answer


def observed_count(observer: Observer, reading: Reading, query: GraphQuery) -> int:
    """`count`, watched if anybody watches."""
    if not observer.is_watching():
        return count(reading, query)
    with Watch(observer, QueryCall("count", reading, query), reading.view, reading.clock):
        return count(reading, query)


def observed_exists(observer: Observer, reading: Reading, query: GraphQuery) -> bool:
    """`exists`, watched if anybody watches."""
    if not observer.is_watching():
        return exists(reading, query)
    with Watch(observer, QueryCall("exists", reading, query), reading.view, reading.clock):
        return exists(reading, query)


def observed_prepared_fetch(
    observer: Observer, reading: Reading, prepared: PreparedQuery, given: Given
) -> GraphAnswer:
    """`observed_fetch` of a prepared query; whoever watches sees the query it means."""
    if observer.is_watching():
        return observed_fetch(observer, reading, prepared.bound(given))
    return fetch_ready(
        prepared.ready(reading.plans, reading.layout, given),
        reading.view,
        reading.clock,
        cancellation=reading.context.cancellation,
    )


def observed_prepared_count(
    observer: Observer, reading: Reading, prepared: PreparedQuery, given: Given
) -> int:
    """`observed_count` of a prepared query."""
    if observer.is_watching():
        return observed_count(observer, reading, prepared.bound(given))
    return count_ready(reading, prepared.ready(reading.plans, reading.layout, given))


def observed_prepared_exists(
    observer: Observer, reading: Reading, prepared: PreparedQuery, given: Given
) -> bool:
    """`observed_exists` of a prepared query."""
    if observer.is_watching():
        return observed_exists(observer, reading, prepared.bound(given))
    return exists_ready(reading, prepared.ready(reading.plans, reading.layout, given))


def observed_table(observer: Observer, reading: Reading, query: TableQuery) -> TableBlock:
    """`table`, watched if anybody watches."""
    if not observer.is_watching():
        return table(reading, query)
    with Watch(observer, TableCall(reading, query), reading.view, reading.clock) as watch:
        trace = None
        if observer.slow_query_s is not None:
            trace = Trace(reading.clock)
            watch.explained = _explaining(trace)
        answer = table(reading, query, trace=trace)
        watch.rows = len(answer)
        return answer


def observed_prepared_table(
    observer: Observer, reading: Reading, prepared: PreparedTableQuery, given: Given
) -> TableBlock:
    """`observed_table` of a prepared query; whoever watches sees the query it means."""
    if observer.is_watching():
        return observed_table(observer, reading, prepared.bound(given))
    return table_ready(reading, prepared.ready(reading.plans, reading.layout, given))


def observed_get(
    observer: Observer,
    getters: Getters,
    place: tuple[Layout, View],
    row: tuple[str, tuple[Value, ...]],
    *,
    context: Context,
    clock: Clock,
) -> RowDict | None:
    """A get that is watched; whoever gets asks `is_watching` before, since a get is short."""
    (layout, view), (entity, identity) = place, row
    with Watch(observer, GetCall(entity, layout, context), view, clock) as watch:
        found = getters.getter(layout, entity).get(view, identity)
        watch.rows = 0 if found is None else 1
        return found


def _explaining(trace: Trace) -> Callable[[], str | None]:
    def explained() -> str | None:
        found = describe(trace)
        return None if found is None else found.to_text()

    return explained


def _nothing() -> None:
    return None
