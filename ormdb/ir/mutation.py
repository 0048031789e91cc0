"""Mutations: what a transaction does to rows, as values that can be sent and replayed.

    UpdateWhere(query=Flight where dep_delay is None,          which rows
                changes={"checked": True},                     constants, by field
                expressions=(("seen", seen + 1),))             over what the row was

An assignment is a constant or an expression over the row's own fields, as they were before the
statement.  Which rows a statement means is decided once, before any of them is written.

Nothing here is a callable or belongs to an engine: a mutation that is run again draws the same
numbers and the same time from its tape (`ormdb.txn.draws`), and its outcome says whether it did the
same.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal as Choice
from typing import TypeAlias

from ormdb.ir.expr import Expr
from ormdb.ir.graph import GraphQuery
from ormdb.ir.value import RowDict, Value

Expressions: TypeAlias = tuple[tuple[str, Expr], ...]
# What became of one row.
Effect: TypeAlias = Choice["created", "updated", "unchanged", "deleted"]
# What becomes of edges.
Connecting: TypeAlias = Choice["add", "remove", "set"]
# How a row of a graph is written.
Writing: TypeAlias = Choice["insert", "save", "link"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Insert:
    """Add rows.  Fields that are absent take their default, else NULL."""

    entity: str
    rows: tuple[RowDict, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """Change fields of one row.  `identity` is in the entity's identity order.

    With `where`, only if that is true of the row; with `if_version`, only if nobody has changed it
    since that commit, which else is a conflict.
    """

    entity: str
    identity: tuple[Value, ...]
    changes: RowDict
    expressions: Expressions = ()
    where: Expr | None = None
    if_version: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateWhere:
    """Change fields of every row that a query means: its filter, order and page count."""

    query: GraphQuery
    changes: RowDict
    expressions: Expressions = ()

    @property
    def entity(self) -> str:
        """Of which entity the rows are."""
        return self.query.entity


@dataclass(frozen=True, slots=True, kw_only=True)
class Delete:
    """Remove rows by identity, and do with the rows that refer to them as relations say.

    `where` and `if_version` as for an update.  No more than `budget` rows may be touched by it:
    DELETE_ROWS_MAX when not given.
    """

    entity: str
    identities: tuple[tuple[Value, ...], ...]
    where: Expr | None = None
    if_version: int | None = None
    budget: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteWhere:
    """Remove every row that a query means: its filter, order and page count.

    `budget` as for a delete by identity.
    """

    query: GraphQuery
    budget: int | None = None

    @property
    def entity(self) -> str:
        """Of which entity the rows are."""
        return self.query.entity


@dataclass(frozen=True, slots=True, kw_only=True)
class Upsert:
    """Add rows, or change those that are there.

    `by` are the fields of the identity, or of a unique index, by which a row is known; () is the
    identity.  A row that is there takes its own fields named by `take`, or all that were given when
    that is None, then what is assigned; identity and `by` it keeps.
    """

    entity: str
    rows: tuple[RowDict, ...]
    by: tuple[str, ...] = ()
    take: tuple[str, ...] | None = None
    changes: RowDict = field(default_factory=dict[str, Value])
    expressions: Expressions = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphRow:
    """One row of a graph that is written as a whole.

    `links` lead over relations of the row to other rows of the graph, by position: whatever these
    get as identity becomes the foreign key.  A row to "save" is added or changed by its identity;
    one to "link" is there already, and `values` is its identity.
    """

    entity: str
    values: RowDict
    links: tuple[tuple[str, int], ...] = ()
    mode: Writing = "insert"


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteGraph:
    """Write rows that lead to each other, those that others lead to first."""

    rows: tuple[GraphRow, ...]

    @property
    def entity(self) -> str:
        """Of which entity the first row is; "" of a graph without rows."""
        return self.rows[0].entity if self.rows else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Connect:
    """Add or remove the edges of a many-to-many relation of one row.

    add       an edge to each target that has none; its fields become `values`
    remove    every edge to each target
    set       an edge to each target, and none to any other row
    """

    entity: str
    identity: tuple[Value, ...]
    through: str
    targets: tuple[tuple[Value, ...], ...]
    mode: Connecting = "add"
    values: RowDict = field(default_factory=dict[str, Value])


@dataclass(frozen=True, slots=True, kw_only=True)
class Restore:
    """Bring back rows that were deleted softly, and what was deleted with them."""

    entity: str
    identities: tuple[tuple[Value, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Purge:
    """Forget rows that were deleted softly before a moment: the `limit` oldest of them."""

    entity: str
    before_us: int
    limit: int


Mutation: TypeAlias = (
    Insert
    | Update
    | UpdateWhere
    | Delete
    | DeleteWhere
    | Upsert
    | WriteGraph
    | Connect
    | Restore
    | Purge
)


@dataclass(frozen=True, slots=True, kw_only=True)
class MutationOutcome:
    """What a mutation did: the identities it touched, in the order they were given or found.

    `effects` say what became of each, where the mutation alone does not.  Of a graph the identities
    are those of its rows by position, of whichever entity; of edges, those of the edges.
    """

    entity: str
    identities: tuple[tuple[Value, ...], ...]
    effects: tuple[Effect, ...] = field(default=())
