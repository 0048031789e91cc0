"""Database: an open embedded database.

    with ormdb.open("flights.ormdb", schema=[Airport, Flight, Plane]) as db:
        db.fetch(Airport.where(...).include(...))        one snapshot
        db.insert(Airport(...))                          one commit
        with db.transaction() as txn: ...                one commit
        with db.snapshot() as snapshot: ...              one snapshot

Threads: a Database serves any number of threads.  Reads run side by side and never wait for the
writer; writes take turns.  After a fork only the parent may use it.

Invariants (held by tests/conformance/test_sessions.py):
  1. Every statement sees one commit, as a whole.
  2. A database that was closed, or opened by the parent of a fork, refuses every statement.
"""

from __future__ import annotations

import datetime
import functools
import threading
import weakref
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Concatenate, Literal, ParamSpec, Self, TypeAlias, TypeVar

from ormdb import limits
from ormdb.catalog.registry import load_bundle
from ormdb.clock import Clock
from ormdb.database.analyzing import AnalysisStatistics, Analyst
from ormdb.database.deleted import SoftDeletes, uncovered
from ormdb.database.figures import DatabaseStatistics, count_rows
from ormdb.database.hooks import HookRegistry
from ormdb.database.loading import BulkLoad, Progress, Rows
from ormdb.database.observing import (
    observed_count,
    observed_exists,
    observed_fetch,
    observed_get,
    observed_table,
)
from ormdb.database.reading import ReadQueries, Snapshot
from ormdb.database.retrying import run_again, transactional
from ormdb.database.streaming import GraphStream
from ormdb.database.upkeep import Upkeep
from ormdb.database.writing import Transaction
from ormdb.errors import ClosedError, CorruptionError
from ormdb.ir.explanation import Explanation
from ormdb.ir.graph import AsOf, GraphQuery
from ormdb.ir.mutation import Mutation, MutationOutcome
from ormdb.ir.schema import SchemaBundle
from ormdb.ir.table import TableBlock, TableQuery
from ormdb.ir.value import RowDict, Value
from ormdb.model.declaration import entity_name
from ormdb.model.entity import Entity
from ormdb.model.face import TypedSession, TypedWriter
from ormdb.model.hooks import Hook
from ormdb.observe.observer import Observer
from ormdb.query.assemble import GraphAnswer
from ormdb.query.cache import PlanCache
from ormdb.query.explain import explain
from ormdb.query.fetch import Reading, fetch, fetch_ready
from ormdb.query.find import find_keys
from ormdb.query.get import Getters
from ormdb.query.prepared import Given, PreparedQuery
from ormdb.query.prepared_table import PreparedTableQuery
from ormdb.query.table import table_ready
from ormdb.session import Context
from ormdb.storage.engine import Engine, ReadTransaction
from ormdb.storage.head import Head, read_head
from ormdb.storage.layout import Layout
from ormdb.storage.row_cache import RowCache
from ormdb.storage.views import CurrentView, View
from ormdb.txn.commit import Committer
from ormdb.txn.request import request_of

E = TypeVar("E", bound=Entity)
T = TypeVar("T")
P = ParamSpec("P")
# Whether statistics are refreshed in the background, or by `analyze` alone.
StatisticsMode: TypeAlias = Literal["auto", "manual"]


class Database(Upkeep, SoftDeletes, ReadQueries, TypedSession):
    """An open database; made by `ormdb.open`."""

    def __init__(
        self,
        engine: Engine,
        *,
        clock: Clock,
        context: Context,
        retention: datetime.timedelta,
        cache_bytes: int = limits.ROW_CACHE_BYTES,
        classes: Iterable[type[Entity]] = (),
        observer: Observer | None = None,
        statistics: StatisticsMode = "manual",
    ) -> None:
        self.engine = engine
        self.observer = self._observer = observer or Observer(clock)
        self._classes = {entity_name(declared): declared for declared in classes}
        self.hooks = HookRegistry(self._classes.values())
        self._clock = clock
        self._context = context
        self._getters = Getters(clock)
        self._rows = RowCache(cache_bytes) if cache_bytes else None
        self._layouts: dict[int, Layout] = {}
        self._lock = threading.Lock()
        # Weak, so that a snapshot that nobody refers to can be noticed and ended by the engine.
        self._snapshots: dict[int, weakref.ref[Snapshot]] = {}
        self._closed = False
        self.analyst = Analyst(
            engine,
            clock,
            layout_at=self._layout_at,
            is_automatic=statistics == "auto",
            on_new=self._renew_plans,
        )
        self._plans = PlanCache(clock, known=lambda: self.analyst.kept.known)
        self.analyst.look()
        self.committer = Committer(
            engine,
            clock,
            layout_at=self._layout_at,
            pinned=self._oldest_pinned,
            retention_us=retention // datetime.timedelta(microseconds=1),
            on_commit=self.analyst.note,
            select=self._find_keys,
        )

    # --- reading ------------------------------------------------------------------------------

    @property
    def path(self) -> str | None:
        """The file; None for a database in memory."""
        return self.engine.path

    @property
    def entity_classes(self) -> Mapping[str, type[Entity]]:
        """The classes the database was opened with, by the name of their entity."""
        return self._classes

    @property
    def schema(self) -> SchemaBundle:
        """The newest bundle."""
        with self.snapshot() as snapshot:
            return snapshot.schema

    @property
    def version(self) -> int:
        """The newest commit."""
        with self.snapshot() as snapshot:
            return snapshot.version

    def snapshot(
        self,
        *,
        as_of: AsOf | None = None,
        include_deleted: bool = False,
        context: Context | None = None,
    ) -> Snapshot:
        """A reader that keeps seeing one commit, until it is closed.

        Args:
          as_of: another commit than the newest.
          include_deleted: show rows that were deleted softly as if they were not, if nobody has
            their identity or unique values by now.  Only this thread can use it.
          context: who asks.

        Raises:
          HistoryError: `as_of` is in the future or no longer kept.
          LimitError: there are too many deleted rows to show.
        """
        txn = self._begin_read()
        try:
            head = self._head(txn)
            layout = self._layout_at(txn, head.schema_version)
            if include_deleted:
                txn = uncovered(txn, layout, head.version, self._clock, as_of=as_of)
            snapshot = Snapshot(
                txn,
                head,
                layout,
                plans=self._plans,
                getters=self._getters,
                cache=None if include_deleted else self._rows,
                clock=self._clock,
                context=context or self._context,
                observer=self.observer,
                survey=self.analyst.estimator,
                as_of=as_of,
                on_close=self._forget,
            )
        except BaseException:
            txn.close()
            raise
        if len(self._snapshots) >= limits.READERS_MAX:  # most of them were dropped
            for number, reference in list(self._snapshots.items()):
                if reference() is None:
                    self._snapshots.pop(number, None)
        self._snapshots[id(snapshot)] = weakref.ref(snapshot)
        return snapshot

    def begin_snapshot(
        self, *, as_of: AsOf | None = None, context: Context | None = None
    ) -> Snapshot:
        """`snapshot`, as the session protocol names it."""
        return self.snapshot(as_of=as_of, context=context)

    def run_fetch(self, query: GraphQuery, *, context: Context | None = None) -> GraphAnswer:
        """Fetch a graph at the newest commit, or as of the query's."""
        if query.as_of is not None or self.observer.is_watching():
            with self.snapshot(context=context) as snapshot:
                return observed_fetch(self.observer, snapshot.reading(query), query)
        txn = self._begin_read()  # as in `run_get`: a snapshot that nobody else sees
        try:
            return fetch(self._newest_reading(txn, context), query)
        finally:
            txn.close()

    def run_get(
        self, entity: str, identity: tuple[Value, ...], *, context: Context | None = None
    ) -> RowDict | None:
        """One row by its identity at the newest commit; the shortest way in."""
        txn = self._begin_read()
        try:
            layout, view = self._newest(txn)
            if self.observer.is_watching():
                return observed_get(
                    self.observer,
                    self._getters,
                    (layout, view),
                    (entity, identity),
                    context=context or self._context,
                    clock=self._clock,
                )
            return self._getters.getter(layout, entity).get(view, identity)
        finally:
            txn.close()

    def run_version(
        self, entity: str, identity: tuple[Value, ...], *, context: Context | None = None
    ) -> int | None:
        """The newest commit that changed a row; None when there is none."""
        with self.snapshot(context=context) as snapshot:
            return snapshot.run_version(entity, identity)

    def run_count(self, query: GraphQuery, *, context: Context | None = None) -> int:
        """How many roots the query's filter keeps."""
        with self.snapshot(context=context) as snapshot:
            return observed_count(self.observer, snapshot.reading(query), query)

    def run_exists(self, query: GraphQuery, *, context: Context | None = None) -> bool:
        """Whether the query's filter keeps any root."""
        with self.snapshot(context=context) as snapshot:
            return observed_exists(self.observer, snapshot.reading(query), query)

    def run_stream(
        self, query: GraphQuery, *, batch: int, context: Context | None = None
    ) -> GraphStream:
        """Fetch a graph of any size from the newest commit, so many roots at a time."""
        with self._for_a_stream(context) as snapshot:
            return snapshot.run_stream(query, batch=batch)

    def stream_prepared(
        self, prepared: PreparedQuery, given: Given, batch: int, context: Context | None
    ) -> GraphStream:
        with self._for_a_stream(context) as snapshot:
            return snapshot.stream_prepared(prepared, given, batch, None)

    def _find_keys(self, view: View, layout: Layout, query: GraphQuery) -> list[bytes]:
        """What a statement that writes means by a query."""
        reading = Reading(
            view=view,
            layout=layout,
            context=self._context,
            plans=self._plans,
            clock=self._clock,
            survey=self.analyst.estimator,
        )
        return find_keys(reading, query)

    @contextmanager
    def _for_a_stream(self, context: Context | None) -> Generator[Snapshot]:
        """A snapshot that ends with the stream that begins here, or that fails to."""
        snapshot = self.snapshot(context=context)
        snapshot.ends_with_stream = True
        try:
            yield snapshot
        except BaseException:
            snapshot.close()
            raise

    def fetch_prepared(
        self, prepared: PreparedQuery, given: Given, context: Context | None
    ) -> GraphAnswer:
        if prepared.query.as_of is not None or self.observer.is_watching():
            with self.snapshot(context=context) as snapshot:
                return snapshot.fetch_prepared(prepared, given, context)
        txn = self._begin_read()  # as in `run_get`: a snapshot that nobody else sees
        try:
            layout, view = self._newest(txn)
            return fetch_ready(
                prepared.ready(self._plans, layout, given),
                view,
                self._clock,
                cancellation=(context or self._context).cancellation,
            )
        finally:
            txn.close()

    def count_prepared(self, prepared: PreparedQuery, given: Given, context: Context | None) -> int:
        with self.snapshot(context=context) as snapshot:
            return snapshot.count_prepared(prepared, given, context)

    def exists_prepared(
        self, prepared: PreparedQuery, given: Given, context: Context | None
    ) -> bool:
        with self.snapshot(context=context) as snapshot:
            return snapshot.exists_prepared(prepared, given, context)

    def table_prepared(
        self, prepared: PreparedTableQuery, given: Given, context: Context | None
    ) -> TableBlock:
        if prepared.query.as_of is not None or self.observer.is_watching():
            with self.snapshot(context=context) as snapshot:
                return snapshot.table_prepared(prepared, given, context)
        txn = self._begin_read()  # as in `run_get`: a snapshot that nobody else sees
        try:
            reading = self._newest_reading(txn, context)
            return table_ready(reading, prepared.ready(self._plans, reading.layout, given))
        finally:
            txn.close()

    def run_table(self, query: TableQuery, *, context: Context | None = None) -> TableBlock:
        """Rows of values, of rows or of groups of them."""
        with self.snapshot(context=context) as snapshot:
            return observed_table(self.observer, snapshot.reading(query), query)

    def run_explain(
        self,
        query: GraphQuery | TableQuery,
        *,
        analyze: bool = False,
        context: Context | None = None,
    ) -> Explanation:
        """How the query would be fetched at the newest commit, or as of its own."""
        with self.snapshot(context=context) as snapshot:
            return explain(snapshot.reading(query), query, analyze=analyze)

    # --- writing ------------------------------------------------------------------------------

    def transaction(
        self, *, context: Context | None = None, exclusive: bool = False
    ) -> Transaction:
        """Many statements, one commit.

        Args:
          context: who asks.
          exclusive: be the one writer from the beginning to the end: such a transaction never
            conflicts, and every other one waits for it.
        """
        self._require_open()
        return Transaction(
            self.committer,
            self.snapshot,
            plans=self._plans,
            getters=self._getters,
            clock=self._clock,
            context=context or self._context,
            observer=self.observer,
            survey=self.analyst.estimator,
            hooks=self.hooks,
            exclusive=exclusive,
        )

    def run(
        self,
        work: Callable[[Transaction], T],
        *,
        attempts: int = limits.RETRY_ATTEMPTS_MAX,
        context: Context | None = None,
    ) -> T:
        """Run `work` in a transaction, commit it, and return what `work` returned.

        A conflict runs it again, after a pause that grows; after a few conflicts it is run in an
        exclusive transaction, which has none.  So `work` should do nothing that may not be done
        twice.

        Raises:
          ConflictError: there were conflicts in all attempts.
        """
        begin = functools.partial(self.transaction, context=context)
        return run_again(begin, self._clock, work, attempts=attempts)

    def run_together(
        self, work: Callable[[TypedWriter], T], *, context: Context | None = None
    ) -> T:
        """Run `work` in one transaction, again after a conflict."""
        return self.run(work, context=context)

    def add_hooks(self, entity: type[E], *hooks: Hook[E]) -> None:
        """Call these hooks with the writes of an entity, after those that its class declares."""
        self.hooks.add(entity, *hooks)

    def transactional(self, work: Callable[Concatenate[Transaction, P], T]) -> Callable[P, T]:
        """A decorator: the function is called with a transaction before its own arguments, and run
        as `run` does.

            @db.transactional
            def rename(txn, faa, name): ...

            rename("JFK", "Kennedy")
        """
        return transactional(self.run, work)

    def begin(self, *, context: Context | None = None) -> Transaction:
        """`transaction`, as the session protocol names it."""
        return self.transaction(context=context)

    def run_mutations(
        self, mutations: Sequence[Mutation], *, context: Context | None = None
    ) -> list[MutationOutcome]:
        """Apply the mutations in one commit, all or none."""
        self._require_open()
        if self.hooks.concern(mutations, lambda: self.schema):
            return self.run(lambda txn: txn.run_mutations(mutations), context=context)
        principal = (context or self._context).principal
        result = self.committer.commit(request_of(tuple(mutations), principal))
        return [outcome for outcomes in result.outcomes for outcome in outcomes]

    def bulk_load(
        self,
        entity: str | type[Entity],
        rows: Rows,
        *,
        progress: Progress | None = None,
        total: int | None = None,
    ) -> int:
        """Insert many rows in one commit; the fast way in.

        Args:
          entity: which entity, by name or class.
          rows: dicts by field name, or entity objects; or what gives an Arrow stream, as a
            DataFrame or a Table does, with a column for each field. Consumed once, in chunks.
          progress: called with (rows done, rows in all or None) after each chunk.
          total: how many rows there will be, if known.

        Returns:
          How many rows were loaded.

        Raises:
          ConstraintError and its like: a row was refused; nothing was loaded.
          ColumnSourceError: the Arrow stream failed; nothing was loaded.
        """
        self._require_open()
        load = BulkLoad(self.committer, principal=self._context.principal)
        return load.run([(entity_name(entity), rows)], progress=progress, total=total)

    def bulk_load_all(
        self,
        loads: Iterable[tuple[str | type[Entity], Rows]],
        *,
        progress: Progress | None = None,
        total: int | None = None,
    ) -> int:
        """Insert many rows of several entities in one commit, in the order given.

        Rows may refer to any other row of the load, earlier or later.  See `bulk_load`.
        """
        self._require_open()
        load = BulkLoad(self.committer, principal=self._context.principal)
        named = [(entity_name(entity), rows) for entity, rows in loads]
        return load.run(named, progress=progress, total=total)

    # --- statistics ---------------------------------------------------------------------------

    def analyze(self, *entities: str | type[Entity]) -> AnalysisStatistics:
        """Look at the rows of some entities, or of all, so that queries are planned by what they
        are like.  Writers go on meanwhile; see docs/statistics.md.

        Raises:
          ReadOnlyError: the database is open for reading only.
          QueryError: there is no such entity.
        """
        self._require_open()
        self.analyst.analyze([entity_name(entity) for entity in entities] or None)
        return self.statistics().analysis

    def _renew_plans(self) -> None:
        self._plans.renew()

    @property
    def statistics_version(self) -> int:
        """A number that rises with every analysis that this open database knows of."""
        return self.analyst.kept.version

    # --- the rest -----------------------------------------------------------------------------

    def statistics(self) -> DatabaseStatistics:
        """Counters and sizes."""
        with self.snapshot() as snapshot:
            head, rows, layout = snapshot.head, count_rows(snapshot), snapshot.layout
        return DatabaseStatistics(
            version=head.version,
            schema_version=head.schema_version,
            horizon=head.horizon,
            rows=rows,
            engine=self.engine.statistics(),
            plans=self._plans.statistics(),
            rows_kept=None if self._rows is None else self._rows.statistics(),
            analysis=self.analyst.statistics(layout),
        )

    def close(self) -> None:
        """End every snapshot and close the file.  Closing twice is harmless."""
        if self._closed:
            return
        self._closed = True
        self.analyst.close()
        for snapshot in self._open_snapshots():
            snapshot.close()
        self.engine.close()

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
        state = " closed" if self._closed else ""
        return f"<Database {self.path or ':memory:'}{state}>"

    def _begin_read(self) -> ReadTransaction:
        self._require_open()
        return self.engine.begin_read()

    def _require_open(self) -> None:
        if self._closed:
            raise ClosedError("this database is closed; open it again with ormdb.open")

    def _newest(self, txn: ReadTransaction) -> tuple[Layout, CurrentView]:
        """The schema and the view of what a transaction sees."""
        head = self._head(txn)
        version, number = head.version, head.schema_version
        layout = self._layouts.get(number) or self._layout_at(txn, number)
        if self._rows is not None:
            self._rows.catch_up(txn, version)
        return layout, CurrentView(txn, version, self._rows)

    def _newest_reading(self, txn: ReadTransaction, context: Context | None) -> Reading:
        """How what a transaction sees is read, by whoever closes it right after."""
        layout, view = self._newest(txn)
        return Reading(
            view=view,
            layout=layout,
            context=context or self._context,
            plans=self._plans,
            clock=self._clock,
        )

    def _head(self, txn: ReadTransaction) -> Head:
        head = read_head(txn)
        if head is None:
            raise CorruptionError("the database lost its head record; restore a backup")
        return head

    def _layout_at(self, txn: ReadTransaction, schema_version: int) -> Layout:
        layout = self._layouts.get(schema_version)
        if layout is None:
            # Two threads may both build it; they build the same, and the first one stays.
            made = Layout(load_bundle(txn, schema_version))
            layout = self._layouts.setdefault(schema_version, made)
        return layout

    def _oldest_pinned(self) -> int | None:
        return min((snapshot.version for snapshot in self._open_snapshots()), default=None)

    def _open_snapshots(self) -> list[Snapshot]:
        known = [reference() for reference in list(self._snapshots.values())]
        return [snapshot for snapshot in known if snapshot is not None]

    def _forget(self, snapshot: Snapshot) -> None:
        self._snapshots.pop(id(snapshot), None)
