"""What a reader, a writer and a session offer to type: typed in, typed out.

    db.fetch(Airport.where(...))                Result[Airport]
    db.get(Airport, "JFK")                      Airport | None
    db.table(Flight.all().table(count()))       Table[tuple[int]]
    db.insert(Airport(faa="JFK", name="..."))   Airport
    db.update(Airport.key("JFK"), Airport.name.to("Kennedy"))

    typed query ─> ir ─> run_fetch, run_get, run_mutations ... ─> answer ─> typed objects

Embedded and remote sessions extend these classes and give the `run_*` methods of the session
protocol; nothing here knows where rows are.

Invariants (held by tests/unit/model/test_face.py):
  1. Every method makes `ir` values and calls one `run_*` method.
  2. A typed reader is a `session.Reader`, a typed writer a `Writer`, a typed session a `Session`.
"""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from typing import Any, TypeVar, overload

from ormdb import limits
from ormdb.errors import NotOneError, QueryError, UsageError
from ormdb.ir.deletion import DeletePreview
from ormdb.ir.explanation import Explanation
from ormdb.ir.graph import AsOf, GraphQuery
from ormdb.ir.mutation import Delete, Insert, Mutation
from ormdb.ir.schema import SchemaBundle
from ormdb.ir.table import TableBlock, TableQuery
from ormdb.ir.value import RowDict, Scalar, Value
from ormdb.model.declaration import declaration_of, entity_name
from ormdb.model.drafts import row_of, with_identity
from ormdb.model.dynamic import classes_from_bundle
from ormdb.model.entity import Entity
from ormdb.model.objects import row_object
from ormdb.model.prepared import BoundReads, BoundTableReads, Prepared, PreparedTable
from ormdb.model.query import Query
from ormdb.model.relation import Key, make_key
from ormdb.model.result import Result
from ormdb.model.returning import Returning
from ormdb.model.saving import SaveStatements
from ormdb.model.statements import WriteStatements, key_of
from ormdb.model.stream import Stream
from ormdb.model.table import Table, Tabular
from ormdb.session import Answer, AnswerStream, Context, PreparedReads, PreparedTableReads

E = TypeVar("E", bound=Entity)
R = TypeVar("R")
T = TypeVar("T")


class TypedReader(ABC):
    """Reads objects."""

    @abstractmethod
    def run_fetch(self, query: GraphQuery, *, context: Context | None = None) -> Answer:
        """Fetch a graph."""

    @abstractmethod
    def run_get(
        self, entity: str, identity: tuple[Value, ...], *, context: Context | None = None
    ) -> RowDict | None:
        """One row by its identity, with all its fields; None when there is none."""

    @abstractmethod
    def run_version(
        self, entity: str, identity: tuple[Value, ...], *, context: Context | None = None
    ) -> int | None:
        """The commit that a row is of; None when there is none."""

    @abstractmethod
    def run_count(self, query: GraphQuery, *, context: Context | None = None) -> int:
        """How many roots the query's filter keeps."""

    @abstractmethod
    def run_exists(self, query: GraphQuery, *, context: Context | None = None) -> bool:
        """Whether the query's filter keeps any root."""

    @abstractmethod
    def run_table(self, query: TableQuery, *, context: Context | None = None) -> TableBlock:
        """Rows of values, of rows or of groups of them."""

    @abstractmethod
    def run_delete_preview(
        self, delete: Delete, *, context: Context | None = None
    ) -> DeletePreview:
        """What a delete would do."""

    @abstractmethod
    def run_explain(
        self,
        query: GraphQuery | TableQuery,
        *,
        analyze: bool = False,
        context: Context | None = None,
    ) -> Explanation:
        """How the query would be fetched; with `analyze`, also what fetching it took."""

    @abstractmethod
    def run_stream(
        self, query: GraphQuery, *, batch: int, context: Context | None = None
    ) -> AnswerStream:
        """Fetch a graph of any size, so many roots at a time."""

    def run_prepare(self, query: GraphQuery) -> PreparedReads:
        """A query whose parameters get their values each time it is run."""
        return BoundReads(self, query)

    def run_prepare_table(self, query: TableQuery) -> PreparedTableReads:
        """A table query whose parameters get their values each time it is run."""
        return BoundTableReads(self, query)

    @property
    @abstractmethod
    def schema(self) -> SchemaBundle:
        """The bundle that queries are resolved against."""

    @property
    def entity_classes(self) -> Mapping[str, type[Entity]]:
        """Classes by the name of their entity, for rows that no typed query leads to."""
        return classes_from_bundle(self.schema)

    @overload
    def fetch(self, query: Query[E] | type[E], *, context: Context | None = None) -> Result[E]: ...
    @overload
    def fetch(self, query: GraphQuery, *, context: Context | None = None) -> Result[Any]: ...
    def fetch(
        self, query: Query[Any] | type[Any] | GraphQuery, *, context: Context | None = None
    ) -> Result[Any]:
        """Fetch a graph: a query, or a class for all its rows.

        Raises:
          QueryError: it names what the schema does not have.
          BudgetError: it would touch more than its budget allows.
        """
        if isinstance(query, GraphQuery):
            return Result(self.run_fetch(query, context=context), query.entity, self._class_named)
        typed = _query_of(query)
        return Result(self.run_fetch(typed.ir, context=context), typed.entity, self._class_named)

    @overload
    def get(self, key: Key[E], /, *, context: Context | None = None) -> E | None: ...
    @overload
    def get(
        self, entity: type[E], /, *identity: Scalar, context: Context | None = None
    ) -> E | None: ...
    def get(
        self, key: Key[Any] | type[Any], /, *identity: Scalar, context: Context | None = None
    ) -> Any:
        """Return one row by its identity, or None; `get(Airport, "JFK")` or `get(key)`."""
        if not isinstance(key, Key):
            declaration = declaration_of(key)
            if tuple(map(type, identity)) == declaration.exact_identity:  # no key is needed
                row = self.run_get(declaration.name, identity, context=context)
                return None if row is None else row_object(key, row, identity)
        elif identity:
            raise UsageError(f"get({key!r}, ...) has an identity already; give the key alone")
        found = key if isinstance(key, Key) else make_key(key, identity)
        if found.is_plain:
            name = declaration_of(found.entity).name
            row = self.run_get(name, found.values, context=context)
            return None if row is None else row_object(found.entity, row, found.values)
        answer = self.run_fetch(found.ir, context=context)
        rows: Result[Any] = Result(answer, found.entity, self._class_named)
        return rows[0] if rows else None

    def row_version(self, row: Key[Any] | Entity, *, context: Context | None = None) -> int | None:
        """Return the commit that a row is of, for `if_version`; None when there is none."""
        key = key_of(row)
        return self.run_version(entity_name(key.entity), key.values, context=context)

    @overload
    def prepare(
        self, query: Query[E] | type[E], *, context: Context | None = None
    ) -> Prepared[E]: ...
    @overload
    def prepare(
        self, query: Tabular[Any, R], *, context: Context | None = None
    ) -> PreparedTable[R]: ...
    def prepare(
        self, query: Query[Any] | type[Any] | Tabular[Any, Any], *, context: Context | None = None
    ) -> Prepared[Any] | PreparedTable[Any]:
        """Make a query or a table ready to run again and again, with other values for its `param`s
        each time.

        Raises:
          ParameterError: two of its parameters have one name and different types.
        """
        if isinstance(query, Tabular):
            return PreparedTable(query, self.run_prepare_table(query.ir), context)
        return Prepared(_query_of(query), self.run_prepare, self._class_named, context)

    def stream(
        self,
        query: Query[E] | type[E],
        *,
        batch: int = limits.STREAM_BATCH_ROWS,
        context: Context | None = None,
    ) -> Stream[E]:
        """Fetch rows one after the other, however many, from one commit and in bounded memory.

        Args:
          query: what `fetch` takes; depth and fanout of its budget hold as they do there, rows,
            edges, bytes and time for each batch.
          batch: how many rows are read at a time, each with its includes.
          context: who asks.
        """
        typed = _query_of(query)
        answers = self.run_stream(typed.ir, batch=batch, context=context)
        return Stream(answers, typed.entity, self._class_named)

    def first(self, query: Query[E] | type[E], *, context: Context | None = None) -> E | None:
        """Return the first row of a query, or None."""
        rows = self.fetch(_at_most(_query_of(query), 1), context=context)
        return rows[0] if rows else None

    def one(self, query: Query[E] | type[E], *, context: Context | None = None) -> E:
        """Return the only row of a query.

        Raises:
          NotOneError: there is none, or more than one.
        """
        typed = _query_of(query)
        rows = self.fetch(_at_most(typed, 2), context=context)
        if len(rows) != 1:
            count = "no row" if not rows else "more than one row"
            raise NotOneError(
                f"{typed} found {count}; use first() if that is fine",
                entity=typed.ir.entity,
            )
        return rows[0]

    def exists(
        self, query: Query[Any] | Key[Any] | type[Entity], *, context: Context | None = None
    ) -> bool:
        """Whether a query finds any row, or a key its row."""
        return self.run_exists(_ir_of(query), context=context)

    def count(self, query: Query[Any] | type[Entity], *, context: Context | None = None) -> int:
        """How many rows a query's filter keeps; its order, page and includes do not matter."""
        return self.run_count(_query_of(query).ir, context=context)

    @overload
    def table(self, query: Tabular[Any, R], *, context: Context | None = None) -> Table[R]: ...
    @overload
    def table(
        self, query: TableQuery, *, context: Context | None = None
    ) -> Table[tuple[Any, ...]]: ...
    def table(
        self, query: Tabular[Any, Any] | TableQuery, *, context: Context | None = None
    ) -> Table[Any]:
        """Read a table: rows of values, of rows or of groups of them.

        Raises:
          QueryError: it names what the schema does not have, or folds what cannot be folded.
          ValueRangeError: a sum is beyond what its type can hold.
          BudgetError: it has more groups or rows than its budget allows.
        """
        if isinstance(query, TableQuery):
            return Table(self.run_table(query, context=context))
        if not isinstance(query, Tabular):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise QueryError(f"{query!r} is no table; make one with Airport.all().table(...)")
        return Table(self.run_table(query.ir, context=context), query.reads)

    def explain(
        self,
        query: Query[Any] | Key[Any] | type[Entity] | GraphQuery | Tabular[Any, Any] | TableQuery,
        *,
        analyze: bool = False,
        context: Context | None = None,
    ) -> Explanation:
        """Tell how a fetch or a table is answered: the way to each level, its order, its calls.

        Args:
          query: what `fetch` or `table` takes, or a key.
          analyze: also run it, and tell for each level what it took.
          context: who asks.

        Raises:
          QueryError: it names what the schema does not have.
          BudgetError: with `analyze`, it would touch more than its budget allows.
        """
        if isinstance(query, Tabular):
            return self.run_explain(query.ir, analyze=analyze, context=context)
        ir = query if isinstance(query, GraphQuery | TableQuery) else _ir_of(query)
        return self.run_explain(ir, analyze=analyze, context=context)

    def delete_preview(
        self, *rows: Key[Any] | Entity, budget: int | None = None, context: Context | None = None
    ) -> DeletePreview:
        """Tell what deleting rows would do: how many rows would go, change, or refuse it.

        Args:
          rows: keys or objects, all of one entity.
          budget: how many rows may be counted before it gives up.
          context: who asks.

        Raises:
          NotFoundError: there is no such row.
          BudgetError: it would touch more rows than that.
        """
        keys = list(map(key_of, rows))
        if len({key.entity for key in keys}) != 1:
            raise UsageError("delete_preview() takes rows of one entity; ask for each by itself")
        delete = Delete(
            entity=entity_name(keys[0].entity),
            identities=tuple(key.values for key in keys),
            budget=budget,
        )
        return self.run_delete_preview(delete, context=context)

    def _class_named(self, name: str) -> type[Entity]:
        known = self.entity_classes.get(name) or classes_from_bundle(self.schema).get(name)
        if known is None:
            raise QueryError(f"the schema has no entity {name!r}", entity=name)
        return known


class TypedWriter(TypedReader, WriteStatements, SaveStatements):
    """Also writes objects."""

    def run_together(
        self,
        work: Callable[[TypedWriter], T],
        *,
        context: Context | None = None,  # of whoever begins a transaction for it
    ) -> T:
        """Run `work` in one transaction: in this one."""
        return work(self)

    def returning(
        self, shape: Query[E] | type[E], *, context: Context | None = None
    ) -> Returning[E]:
        """Statements that give back a graph of the rows they touch, read in their transaction:
        `db.returning(Flight.include(Flight.origin)).update_where(...)`."""

        def together(work: Callable[[Any], T], /) -> T:
            return self.run_together(work, context=context)

        return Returning(_query_of(shape), together)

    def insert(self, row: E, *, context: Context | None = None) -> E:
        """Insert a row and return it with its identity.

        Fields that were left to another default than the identity's stay unloaded: `get` brings
        them.

        Raises:
          ConstraintError: a constraint refuses the row.
        """
        return self.insert_many([row], context=context)[0]

    def insert_many(self, rows: Iterable[E], *, context: Context | None = None) -> list[E]:
        """Insert rows, all or none, and return them with their identities."""
        given = list(rows)
        mutations: list[Mutation] = []
        for kind, run in itertools.groupby(given, type):
            if not issubclass(kind, Entity):
                raise UsageError(f"{kind.__name__} is no entity; insert_rows() takes dicts")
            mutations.append(Insert(entity=entity_name(kind), rows=tuple(map(row_of, run))))
        outcomes = self.run_mutations(mutations, context=context)
        identities = [one for outcome in outcomes for one in outcome.identities]
        return [with_identity(row, found) for row, found in zip(given, identities, strict=True)]

    def insert_rows(
        self,
        entity: str | type[Entity],
        rows: Iterable[RowDict],
        *,
        context: Context | None = None,
    ) -> list[tuple[Value, ...]]:
        """Insert rows given as dicts by field name; return their identities."""
        insert = Insert(entity=entity_name(entity), rows=tuple(rows))
        return list(self.run_mutations([insert], context=context)[0].identities)


class TypedSession(TypedWriter):
    """What a database offers, embedded or remote."""

    def run_together(
        self, work: Callable[[TypedWriter], T], *, context: Context | None = None
    ) -> T:
        with self.begin(context=context) as writer:
            return work(writer)

    @abstractmethod
    def begin(
        self, *, context: Context | None = None
    ) -> AbstractContextManager[TypedWriter, bool | None]:
        """A transaction: committed when its block ends, rolled back when it raises."""

    @abstractmethod
    def begin_snapshot(
        self, *, as_of: AsOf | None = None, context: Context | None = None
    ) -> AbstractContextManager[TypedReader, bool | None]:
        """A reader that keeps seeing one commit."""

    @abstractmethod
    def close(self) -> None:
        """Let go of everything; further use raises ClosedError."""

    def transaction(
        self, *, context: Context | None = None
    ) -> AbstractContextManager[TypedWriter, bool | None]:
        """Many statements, one commit: committed at the end of the block, undone by an error."""
        return self.begin(context=context)

    def snapshot(
        self, *, as_of: AsOf | None = None, context: Context | None = None
    ) -> AbstractContextManager[TypedReader, bool | None]:
        """Many reads, one commit."""
        return self.begin_snapshot(as_of=as_of, context=context)


def _query_of(query: Query[E] | type[E]) -> Query[E]:
    if isinstance(query, Query):
        return query
    if isinstance(query, type):  # pyright: ignore[reportUnnecessaryIsInstance]
        return Query(query)
    raise QueryError(f"{query!r} is no query; give one, as in Airport.where(...), or a class")


def _ir_of(query: Query[Any] | Key[Any] | type[Entity]) -> GraphQuery:
    return query.ir if isinstance(query, Key) else _query_of(query).ir


def _at_most(query: Query[E], count: int) -> Query[E]:
    limit = query.ir.page.limit
    return query if isinstance(limit, int) and limit <= count else query.limit(count)
