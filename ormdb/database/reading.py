"""Snapshots: many queries on one commit.

    with db.snapshot() as snapshot:              the newest commit, held still
    with db.snapshot(as_of=41) as snapshot:      commit 41, read through history

A reader at the newest commit reads current spaces alone.  A query with an `as_of` of its own
reads that version through the same snapshot.

Threads: a snapshot may be handed from thread to thread; it serves one query at a time.

Invariants (held by tests/conformance/test_sessions.py):
  1. Every query of a snapshot sees the same commit, whatever is committed meanwhile.
  2. A version before the horizon or after the snapshot is refused with HistoryError.
"""

from __future__ import annotations

import datetime
import threading
from collections.abc import Callable, Generator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from types import TracebackType
from typing import Self

from ormdb.clock import Clock
from ormdb.database.observing import (
    observed_count,
    observed_exists,
    observed_fetch,
    observed_get,
    observed_prepared_count,
    observed_prepared_exists,
    observed_prepared_fetch,
    observed_prepared_table,
    observed_table,
)
from ormdb.database.streaming import (
    Begin,
    GraphStream,
    observed_prepared_stream,
    observed_stream,
)
from ormdb.errors import ClosedError, HistoryError, ValueTypeError
from ormdb.ir.deletion import DeletePreview
from ormdb.ir.explanation import Explanation
from ormdb.ir.graph import AsOf, GraphQuery
from ormdb.ir.mutation import Delete
from ormdb.ir.schema import SchemaBundle
from ormdb.ir.table import TableBlock, TableQuery
from ormdb.ir.value import RowDict, Type, Value
from ormdb.model.face import TypedReader
from ormdb.observe.observer import Observer
from ormdb.query.assemble import GraphAnswer
from ormdb.query.cache import PlanCache
from ormdb.query.estimate import Estimator
from ormdb.query.explain import explain
from ormdb.query.fetch import Reading
from ormdb.query.get import Getters
from ormdb.query.prepared import Given, PreparedQuery
from ormdb.query.prepared_table import PreparedTableQuery
from ormdb.session import Context
from ormdb.storage.changelog import version_at
from ormdb.storage.engine import ReadTransaction
from ormdb.storage.head import Head
from ormdb.storage.layout import Layout
from ormdb.storage.row_cache import RowCache
from ormdb.storage.views import CurrentView, PastView, View
from ormdb.txn.deletion_preview import preview_delete

_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


class ReadQueries(TypedReader):
    """Runs queries through whatever view `_view` gives."""

    _plans: PlanCache
    _getters: Getters
    _clock: Clock
    _context: Context
    _observer: Observer

    def _place(self) -> tuple[Layout, View]:
        raise AssertionError("each reader says where it reads")

    def _reading(self, query: GraphQuery | TableQuery, context: Context | None) -> Reading:
        raise AssertionError("each reader says how it reads")

    def run_fetch(self, query: GraphQuery, *, context: Context | None = None) -> GraphAnswer:
        """Fetch a graph."""
        return observed_fetch(self._observer, self._reading(query, context), query)

    def run_get(
        self, entity: str, identity: tuple[Value, ...], *, context: Context | None = None
    ) -> RowDict | None:
        """One row by its identity, with all its fields; None when there is none."""
        layout, view = self._place()
        if self._observer.is_watching():
            return observed_get(
                self._observer,
                self._getters,
                (layout, view),
                (entity, identity),
                context=context or self._context,
                clock=self._clock,
            )
        return self._getters.getter(layout, entity).get(view, identity)

    def run_version(
        self, entity: str, identity: tuple[Value, ...], *, context: Context | None = None
    ) -> int | None:
        """The commit that a row is of; None when there is none."""
        layout, view = self._place()
        return self._getters.getter(layout, entity).version(view, identity)

    def run_count(self, query: GraphQuery, *, context: Context | None = None) -> int:
        """How many roots the query's filter keeps."""
        return observed_count(self._observer, self._reading(query, context), query)

    def run_exists(self, query: GraphQuery, *, context: Context | None = None) -> bool:
        """Whether the query's filter keeps any root."""
        return observed_exists(self._observer, self._reading(query, context), query)

    def run_table(self, query: TableQuery, *, context: Context | None = None) -> TableBlock:
        """Rows of values, of rows or of groups of them."""
        return observed_table(self._observer, self._reading(query, context), query)

    def run_delete_preview(
        self, delete: Delete, *, context: Context | None = None
    ) -> DeletePreview:
        """What a delete would do: how many rows would go, change, or refuse it."""
        del context
        layout, view = self._place()
        with self._turn():
            return preview_delete(layout, view, delete)

    def run_explain(
        self,
        query: GraphQuery | TableQuery,
        *,
        analyze: bool = False,
        context: Context | None = None,
    ) -> Explanation:
        """How the query would be fetched; with `analyze`, also what fetching it took."""
        return explain(self._reading(query, context), query, analyze=analyze)

    def run_stream(
        self, query: GraphQuery, *, batch: int, context: Context | None = None
    ) -> GraphStream:
        """Fetch a graph of any size, so many roots at a time."""

        def begin(reading: Reading) -> Generator[GraphAnswer]:
            return observed_stream(
                self._observer, reading, query, batch=batch, proceed=self._require_usable
            )

        return self._stream(query, begin, context)

    def stream_prepared(
        self, prepared: PreparedQuery, given: Given, batch: int, context: Context | None
    ) -> GraphStream:
        """`run_stream` with values for the parameters."""

        def begin(reading: Reading) -> Generator[GraphAnswer]:
            return observed_prepared_stream(
                self._observer,
                reading,
                prepared,
                given,
                batch=batch,
                proceed=self._require_usable,
            )

        return self._stream(prepared.query, begin, context)

    def _stream(self, query: GraphQuery, begin: Begin, context: Context | None) -> GraphStream:
        reading = self._reading(query, context)
        # What a stream reads it reads once: kept, it would push out what is read again.
        answers = begin(replace(reading, view=reading.view.unkept()))
        return GraphStream(answers, self._turn(), self._end_stream)

    def _turn(self) -> AbstractContextManager[object]:
        """What each batch of a stream is read in."""
        return nullcontext()

    def _end_stream(self) -> None:
        """What a stream does at its end."""

    def _require_usable(self) -> None:
        """Refuse to go on reading through what has ended."""
        raise AssertionError("each reader says whether it may be read")

    def run_prepare(self, query: GraphQuery) -> PreparedRuns:
        """The query, ready to be run with values for its parameters."""
        return PreparedRuns(self, PreparedQuery(query))

    def run_prepare_table(self, query: TableQuery) -> PreparedTableRuns:
        """The table query, ready to be run with values for its parameters."""
        return PreparedTableRuns(self, PreparedTableQuery(query))

    def fetch_prepared(
        self, prepared: PreparedQuery, given: Given, context: Context | None
    ) -> GraphAnswer:
        """`run_fetch` with values for the parameters."""
        reading = self._reading(prepared.query, context)
        return observed_prepared_fetch(self._observer, reading, prepared, given)

    def count_prepared(self, prepared: PreparedQuery, given: Given, context: Context | None) -> int:
        """`run_count` with values for the parameters."""
        reading = self._reading(prepared.query, context)
        return observed_prepared_count(self._observer, reading, prepared, given)

    def exists_prepared(
        self, prepared: PreparedQuery, given: Given, context: Context | None
    ) -> bool:
        """`run_exists` with values for the parameters."""
        reading = self._reading(prepared.query, context)
        return observed_prepared_exists(self._observer, reading, prepared, given)

    def table_prepared(
        self, prepared: PreparedTableQuery, given: Given, context: Context | None
    ) -> TableBlock:
        """`run_table` with values for the parameters."""
        reading = self._reading(prepared.query, context)
        return observed_prepared_table(self._observer, reading, prepared, given)


class PreparedRuns:
    """A prepared query and the reader it runs through (the protocol is `session.PreparedReads`)."""

    __slots__ = ("_prepared", "_reader", "query")

    def __init__(self, reader: ReadQueries, prepared: PreparedQuery) -> None:
        self.query = prepared.query
        self._reader = reader
        self._prepared = prepared

    @property
    def parameters(self) -> Mapping[str, Type]:
        """The types of the parameters, by name."""
        return {name: one.type for name, one in self._prepared.parameters.items()}

    def run_fetch(self, values: Given, *, context: Context | None = None) -> GraphAnswer:
        """Fetch the graph."""
        return self._reader.fetch_prepared(self._prepared, values, context)

    def run_count(self, values: Given, *, context: Context | None = None) -> int:
        """How many roots the filter keeps."""
        return self._reader.count_prepared(self._prepared, values, context)

    def run_exists(self, values: Given, *, context: Context | None = None) -> bool:
        """Whether the filter keeps any root."""
        return self._reader.exists_prepared(self._prepared, values, context)

    def run_stream(
        self, values: Given, *, batch: int, context: Context | None = None
    ) -> GraphStream:
        """Fetch a graph of any size, so many roots at a time."""
        return self._reader.stream_prepared(self._prepared, values, batch, context)

    def run_explain(
        self, values: Given, *, analyze: bool = False, context: Context | None = None
    ) -> Explanation:
        """How it would be fetched with these values."""
        bound = self._prepared.bound(values)
        return self._reader.run_explain(bound, analyze=analyze, context=context)


class PreparedTableRuns:
    """A prepared table query and the reader it runs through (the protocol is
    `session.PreparedTableReads`)."""

    __slots__ = ("_prepared", "_reader", "query")

    def __init__(self, reader: ReadQueries, prepared: PreparedTableQuery) -> None:
        self.query = prepared.query
        self._reader = reader
        self._prepared = prepared

    @property
    def parameters(self) -> Mapping[str, Type]:
        """The types of the parameters, by name."""
        return {name: one.type for name, one in self._prepared.parameters.items()}

    def run_table(self, values: Given, *, context: Context | None = None) -> TableBlock:
        """Rows of values."""
        return self._reader.table_prepared(self._prepared, values, context)

    def run_explain(
        self, values: Given, *, analyze: bool = False, context: Context | None = None
    ) -> Explanation:
        """How it would be read with these values."""
        bound = self._prepared.bound(values)
        return self._reader.run_explain(bound, analyze=analyze, context=context)


class Snapshot(ReadQueries):
    """A reader that keeps seeing one commit."""

    def __init__(  # noqa: PLR0913  # what a database shares with its snapshots
        self,
        txn: ReadTransaction,
        head: Head,
        layout: Layout,
        *,
        plans: PlanCache,
        getters: Getters,
        cache: RowCache | None,
        clock: Clock,
        context: Context,
        observer: Observer,
        survey: Callable[[Layout], Estimator],
        as_of: AsOf | None = None,
        on_close: Callable[[Snapshot], None] | None = None,
    ) -> None:
        self._txn = txn
        self._head = head
        self._layout = layout
        self._plans = plans
        self._getters = getters
        self._cache = cache
        self._clock = clock
        self._context = context
        self._observer = observer
        self._survey = survey
        self._on_close = on_close
        self._open = True
        self.ends_with_stream = False  # true of one that a stream has to itself
        self._lock = threading.Lock()
        self.version = resolve_version(txn, head, as_of)
        if cache is not None and self.version == head.version:
            cache.catch_up(txn, head.version)

    @property
    def schema(self) -> SchemaBundle:
        """The bundle that queries are resolved against."""
        return self._layout.bundle

    @property
    def layout(self) -> Layout:
        """The layout of `schema`."""
        return self._layout

    @property
    def txn(self) -> ReadTransaction:
        """What is read through; it ends with the snapshot."""
        self._require_open()
        return self._txn

    @property
    def head(self) -> Head:
        """The head record as of the snapshot."""
        return self._head

    def reading(self, query: GraphQuery | TableQuery) -> Reading:
        """How this snapshot reads a query: for whoever uses the snapshot alone."""
        return self._reading(query, None)

    def view(self) -> View:
        """The view of this snapshot's commit."""
        self._require_open()
        return self._view(self.version)

    def run_fetch(self, query: GraphQuery, *, context: Context | None = None) -> GraphAnswer:
        with self._lock:
            return super().run_fetch(query, context=context)

    def run_get(
        self, entity: str, identity: tuple[Value, ...], *, context: Context | None = None
    ) -> RowDict | None:
        with self._lock:
            return super().run_get(entity, identity, context=context)

    def run_version(
        self, entity: str, identity: tuple[Value, ...], *, context: Context | None = None
    ) -> int | None:
        with self._lock:
            return super().run_version(entity, identity, context=context)

    def run_count(self, query: GraphQuery, *, context: Context | None = None) -> int:
        with self._lock:
            return super().run_count(query, context=context)

    def run_exists(self, query: GraphQuery, *, context: Context | None = None) -> bool:
        with self._lock:
            return super().run_exists(query, context=context)

    def run_table(self, query: TableQuery, *, context: Context | None = None) -> TableBlock:
        with self._lock:
            return super().run_table(query, context=context)

    def run_explain(
        self,
        query: GraphQuery | TableQuery,
        *,
        analyze: bool = False,
        context: Context | None = None,
    ) -> Explanation:
        with self._lock:
            return super().run_explain(query, analyze=analyze, context=context)

    def fetch_prepared(
        self, prepared: PreparedQuery, given: Given, context: Context | None
    ) -> GraphAnswer:
        with self._lock:
            return super().fetch_prepared(prepared, given, context)

    def count_prepared(self, prepared: PreparedQuery, given: Given, context: Context | None) -> int:
        with self._lock:
            return super().count_prepared(prepared, given, context)

    def exists_prepared(
        self, prepared: PreparedQuery, given: Given, context: Context | None
    ) -> bool:
        with self._lock:
            return super().exists_prepared(prepared, given, context)

    def table_prepared(
        self, prepared: PreparedTableQuery, given: Given, context: Context | None
    ) -> TableBlock:
        with self._lock:
            return super().table_prepared(prepared, given, context)

    def close(self) -> None:
        """Let the commit go.  Closing twice is harmless."""
        if self._open:
            self._open = False
            self._txn.close()
            if self._on_close is not None:
                self._on_close(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "" if self._open else " closed"
        return f"<Snapshot commit {self.version}{state}>"

    def _place(self) -> tuple[Layout, View]:
        self._require_open()
        return self._layout, self._view(self.version)

    def _reading(self, query: GraphQuery | TableQuery, context: Context | None) -> Reading:
        self._require_open()
        version = self.version
        if query.as_of is not None:
            version = resolve_version(self._txn, replace(self._head, version=version), query.as_of)
        return Reading(
            view=self._view(version),
            layout=self._layout,
            context=context or self._context,
            plans=self._plans,
            clock=self._clock,
            survey=self._survey,
        )

    def _turn(self) -> AbstractContextManager[object]:
        return self._lock

    def _end_stream(self) -> None:
        if self.ends_with_stream:
            self.close()

    def _require_usable(self) -> None:
        self._require_open()

    def _require_open(self) -> None:
        if not self._open:
            raise ClosedError("this snapshot is closed; take a new one with db.snapshot()")

    def _view(self, version: int) -> View:
        if version == self._head.version:
            return CurrentView(self._txn, version, self._cache)
        return PastView(self._txn, version)


def resolve_version(txn: ReadTransaction, head: Head, as_of: AsOf | None) -> int:
    """The version that `as_of` means at a snapshot.

    Raises:
      HistoryError: it is in the future, or no longer kept.
      ValueTypeError: it is neither a version nor an aware datetime.
    """
    require_as_of(as_of)
    if as_of is None:
        return head.version
    if isinstance(as_of, int):
        version: int | None = as_of
    else:
        version = version_at(txn, wall_us_of(as_of), first=head.horizon, last=head.version)
    if version is None or version < head.horizon:
        raise HistoryError(
            f"as of {as_of} is no longer kept: history reaches back to commit {head.horizon}; "
            "ask for a later one, or keep more with a longer retention",
            horizon=head.horizon,
            version=version,
        )
    if version > head.version:
        raise HistoryError(
            f"commit {version} has not been made yet; the newest is {head.version}",
            horizon=head.horizon,
            version=version,
        )
    return version


def require_as_of(as_of: AsOf | None) -> None:
    """See that a value is one that `as_of` may have.

    Raises:
      ValueTypeError: it is neither a version nor an aware datetime.
    """
    if as_of is None:
        return
    if not _is_as_of(as_of):
        raise ValueTypeError(
            f"as_of is a commit version or an aware datetime, not {type(as_of).__name__}"
        )
    if isinstance(as_of, datetime.datetime) and as_of.tzinfo is None:
        raise ValueTypeError(
            f"as_of {as_of} has no time zone; give it one, as in .replace(tzinfo=UTC)"
        )


def wall_us_of(moment: datetime.datetime) -> int:
    """A moment as commits are dated."""
    return (moment - _EPOCH) // datetime.timedelta(microseconds=1)


def _is_as_of(given: object) -> bool:
    """Whether a value, which a caller without a type checker passed, can be an `as_of`."""
    return isinstance(given, int | datetime.datetime) and not isinstance(given, bool)
