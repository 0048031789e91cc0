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


Mutation: TypeAlias = Insert | Update | UpdateWhere | Delete | DeleteWhere


@dataclass(frozen=True, slots=True, kw_only=True)
class MutationOutcome:
    """What a mutation did: the identities it touched, in the order they were given or found.

    `effects` say what became of each, where the mutation alone does not.
    """

    entity: str
    identities: tuple[tuple[Value, ...], ...]
    effects: tuple[Effect, ...] = field(default=())
