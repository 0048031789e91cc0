"""The one interface of embedded and remote use, and who is asking.

A session takes queries and mutations as `ir` values and gives answers back.  The typed face of
`ormdb.model` stands on this protocol alone, so that the same program runs on an embedded database
and on a remote one.

Every entry point takes a `Context`; there is no way to reach a row without saying who asks.
Embedded use that says nothing asks as `Context.system()`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Protocol

from ormdb.ir.deletion import DeletePreview
from ormdb.ir.explanation import Explanation
from ormdb.ir.graph import AsOf, GraphQuery
from ormdb.ir.mutation import Delete, Mutation, MutationOutcome
from ormdb.ir.result import FetchStatistics, GraphBlocks
from ormdb.ir.schema import SchemaBundle
from ormdb.ir.table import TableBlock, TableQuery
from ormdb.ir.value import RowDict, Type, Value


class Cancellation:
    """Ends calls from another thread: those whose context has it, at their next check.

        stop = Cancellation()
        db.fetch(query, context=Context.system(cancellation=stop))     CancelledError, soon after
        stop.cancel()                                                  this, in another thread

    Reads heed it many times a second; a write that has begun runs to its end.
    """

    __slots__ = ("is_cancelled",)

    def __init__(self) -> None:
        self.is_cancelled = False

    def cancel(self) -> None:
        """End what has this, now and later."""
        self.is_cancelled = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """Who asks.  `system` may do everything; others what `capabilities` say."""

    principal: str
    attributes: Mapping[str, Value] = field(default_factory=lambda: MappingProxyType({}))
    capabilities: frozenset[str] = frozenset()
    is_system: bool = False
    cancellation: Cancellation | None = field(default=None, compare=False)

    @classmethod
    def system(cls, *, cancellation: Cancellation | None = None) -> Context:
        """The context of the program that owns the database."""
        return _SYSTEM if cancellation is None else replace(_SYSTEM, cancellation=cancellation)


_SYSTEM = Context(principal="system", is_system=True)


class Answer(Protocol):
    """The answer to one graph fetch, in whichever form the caller reads it."""

    @property
    def blocks(self) -> GraphBlocks:
        """Entity and edge blocks, built on first use."""
        ...

    @property
    def statistics(self) -> FetchStatistics:
        """What the fetch cost."""
        ...

    @property
    def next_cursor(self) -> str | None:
        """Where the following page begins; None when this page is the last."""
        ...

    @property
    def previous_cursor(self) -> str | None:
        """Where the page before ends; None when this page is the first."""
        ...

    def cursors_of(self, path: Sequence[str], parent: int) -> tuple[str | None, str | None]:
        """Where the page before a parent's rows of an include ends, and the next one begins.

        `parent` is a position in the block above.  A full page has a cursor on its far side even
        if no more rows follow.
        """
        ...

    def dicts(self) -> list[RowDict]:
        """The graph as nested dicts: to-many as lists, to-one as a dict or None."""
        ...

    def __len__(self) -> int:
        """How many roots there are."""
        ...


class AnswerStream(Protocol):
    """The answers to a fetch of any size, batch after batch; none of them is empty.

    It ends by itself when it is exhausted or a batch fails, and a session whose peer is far away
    asks it for one batch at a time.
    """

    def __iter__(self) -> Iterator[Answer]:
        """Itself."""
        ...

    def __next__(self) -> Answer:
        """The next batch."""
        ...

    def close(self) -> None:
        """Let go of what it reads from.  Closing twice is harmless."""
        ...


class PreparedReads(Protocol):
    """A query that is ready to run again and again, each time with values for its parameters."""

    @property
    def query(self) -> GraphQuery:
        """The query, with its parameters."""
        ...

    @property
    def parameters(self) -> Mapping[str, Type]:
        """The types of the parameters, by name."""
        ...

    def run_fetch(self, values: Mapping[str, object], *, context: Context | None = None) -> Answer:
        """Fetch the graph."""
        ...

    def run_count(self, values: Mapping[str, object], *, context: Context | None = None) -> int:
        """How many roots the filter keeps."""
        ...

    def run_exists(self, values: Mapping[str, object], *, context: Context | None = None) -> bool:
        """Whether the filter keeps any root."""
        ...

    def run_stream(
        self, values: Mapping[str, object], *, batch: int, context: Context | None = None
    ) -> AnswerStream:
        """Fetch a graph of any size from one commit, so many roots at a time."""
        ...

    def run_explain(
        self,
        values: Mapping[str, object],
        *,
        analyze: bool = False,
        context: Context | None = None,
    ) -> Explanation:
        """How it would be fetched with these values."""
        ...


class PreparedTableReads(Protocol):
    """A table query that is ready to run again and again, as `PreparedReads` are."""

    @property
    def query(self) -> TableQuery:
        """The query, with its parameters."""
        ...

    @property
    def parameters(self) -> Mapping[str, Type]:
        """The types of the parameters, by name."""
        ...

    def run_table(
        self, values: Mapping[str, object], *, context: Context | None = None
    ) -> TableBlock:
        """Rows of values."""
        ...

    def run_explain(
        self,
        values: Mapping[str, object],
        *,
        analyze: bool = False,
        context: Context | None = None,
    ) -> Explanation:
        """How it would be read with these values."""
        ...


class Reader(Protocol):
    """Reads from one place: the newest commit, a snapshot, or a transaction's own view."""

    def run_fetch(self, query: GraphQuery, *, context: Context | None = None) -> Answer:
        """Fetch a graph."""
        ...

    def run_get(
        self, entity: str, identity: tuple[Value, ...], *, context: Context | None = None
    ) -> RowDict | None:
        """One row by its identity, with all its fields; None when there is none."""

    def run_version(
        self, entity: str, identity: tuple[Value, ...], *, context: Context | None = None
    ) -> int | None:
        """The commit that a row is of, which `if_version` takes; None when there is none."""
        ...

    def run_count(self, query: GraphQuery, *, context: Context | None = None) -> int:
        """How many roots the query's filter keeps; order, page and includes do not matter."""
        ...

    def run_exists(self, query: GraphQuery, *, context: Context | None = None) -> bool:
        """Whether the query's filter keeps any root."""
        ...

    def run_table(self, query: TableQuery, *, context: Context | None = None) -> TableBlock:
        """Rows of values, of rows or of groups of them."""
        ...

    def run_stream(
        self, query: GraphQuery, *, batch: int, context: Context | None = None
    ) -> AnswerStream:
        """Fetch a graph of any size from one commit, so many roots at a time."""
        ...

    def run_explain(
        self,
        query: GraphQuery | TableQuery,
        *,
        analyze: bool = False,
        context: Context | None = None,
    ) -> Explanation:
        """How the query would be fetched; with `analyze`, also what fetching it took."""
        ...

    def run_delete_preview(
        self, delete: Delete, *, context: Context | None = None
    ) -> DeletePreview:
        """What a delete would do: how many rows would go, change, or refuse it."""
        ...

    def run_prepare(self, query: GraphQuery) -> PreparedReads:
        """A query whose parameters get their values each time it is run through this reader.

        It goes on when the schema changes, and ends with its reader.
        """
        ...

    def run_prepare_table(self, query: TableQuery) -> PreparedTableReads:
        """`run_prepare` of a table query."""
        ...

    @property
    def schema(self) -> SchemaBundle:
        """The bundle that queries are resolved against."""
        ...


class Writer(Reader, Protocol):
    """A reader that also writes."""

    def run_mutations(
        self, mutations: Sequence[Mutation], *, context: Context | None = None
    ) -> list[MutationOutcome]:
        """Apply the mutations in order, all or none."""
        ...


class Session(Writer, Protocol):
    """What a database offers, embedded or remote."""

    def begin(self, *, context: Context | None = None) -> AbstractContextManager[Writer]:
        """A transaction: committed when its block ends, rolled back when it raises."""
        ...

    def begin_snapshot(
        self, *, as_of: AsOf | None = None, context: Context | None = None
    ) -> AbstractContextManager[Reader]:
        """A reader that keeps seeing one commit."""
        ...

    def close(self) -> None:
        """Let go of everything; further use raises ClosedError."""
        ...
