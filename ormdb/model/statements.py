"""What a writer offers to type besides inserts: updates and deletes, by key or by query.

    db.update(Airport.key("JFK"), Airport.name.to("Kennedy"))                          True
    db.update(key, Airport.gates.add(-1), where=Airport.gates > 0)                     False
    db.update_where(Flight.where(Flight.tailnum == "N1"), Flight.seen.add(1))          12
    db.delete_where(Flight.where(Flight.dep_delay > 120).order_by(Flight.id).limit(9)) 9

Invariants (held by tests/unit/model/test_statements.py and tests/typing):
  1. Every method makes `ir` values and calls `run_mutations` once.
  2. An assignment or a condition of another entity is refused, by a type checker as well.
"""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

from ormdb.errors import QueryError, UsageError
from ormdb.ir.expr import Expr
from ormdb.ir.graph import GraphQuery
from ormdb.ir.mutation import (
    Delete,
    DeleteWhere,
    Expressions,
    Mutation,
    MutationOutcome,
    Restore,
    Update,
    UpdateWhere,
)
from ormdb.ir.value import RowDict, Value
from ormdb.model.clauses import join_predicates
from ormdb.model.column import Assignment, Predicate, require_entity
from ormdb.model.declaration import entity_name
from ormdb.model.entity import Entity
from ormdb.model.objects import require_identity
from ormdb.model.query import Query
from ormdb.model.relation import Key
from ormdb.session import Context

E = TypeVar("E", bound=Entity)


class WriteStatements(ABC):
    """Changes and removes rows."""

    @abstractmethod
    def run_mutations(
        self, mutations: Sequence[Mutation], *, context: Context | None = None
    ) -> list[MutationOutcome]:
        """Apply the mutations in order, all or none."""

    def update(
        self,
        row: Key[E] | E,
        *assignments: Assignment[E],
        where: Predicate[E] | str | None = None,
        if_version: int | None = None,
        context: Context | None = None,
    ) -> bool:
        """Change fields of one row: `update(Airport.key("JFK"), Airport.name.to("Kennedy"))`.

        Args:
          row: which row.
          assignments: what to set; all of them see the row as it was.
          where: change it only if this is true of it.
          if_version: change it only if nobody has since that commit; `row_version` tells it.
          context: who asks.

        Returns:
          Whether it was changed: False only if `where` was not true of the row.

        Raises:
          NotFoundError: there is no such row.
          ConflictError: it was changed after `if_version`.
          ConstraintError: a constraint refuses the change.
        """
        key = key_of(row)
        changes, expressions = assigned(key.entity, assignments)
        update = Update(
            entity=entity_name(key.entity),
            identity=key.values,
            changes=changes,
            expressions=expressions,
            where=condition_of(where, key.entity),
            if_version=if_version,
        )
        return bool(self.run_mutations([update], context=context)[0].identities)

    def update_where(
        self,
        query: Query[E] | type[E],
        *assignments: Assignment[E],
        context: Context | None = None,
    ) -> int:
        """Change fields of every row that a query means, or a class for all its rows.

        The filter, the order and the page of the query say which rows; they are found once, before
        any of them is changed, and all are changed or none.

        Returns:
          How many rows were changed.

        Raises:
          QueryError: the query asks for more than rows, as for includes.
          ConstraintError: a constraint refuses what the rows would be, all of them together.
        """
        ir, entity = rows_of(query)
        changes, expressions = assigned(entity, assignments)
        update = UpdateWhere(query=ir, changes=changes, expressions=expressions)
        return len(self.run_mutations([update], context=context)[0].identities)

    def update_row(
        self,
        entity: str | type[Entity],
        identity: tuple[Value, ...],
        changes: RowDict,
        *,
        context: Context | None = None,
    ) -> None:
        """Change fields of one row, given by name."""
        update = Update(entity=entity_name(entity), identity=identity, changes=changes)
        self.run_mutations([update], context=context)

    def delete(
        self,
        *rows: Key[Any] | Entity,
        if_version: int | None = None,
        budget: int | None = None,
        context: Context | None = None,
    ) -> None:
        """Delete rows, all or none, and what has to go with them (see `one(on_delete=...)`); with
        `if_version`, only if nobody has changed them since.

        Args:
          rows: keys or objects.
          if_version: a commit that the caller has seen.
          budget: how many rows may be deleted or changed by it, for each kind of rows that is
            given; DELETE_ROWS_MAX when not given.
          context: who asks.

        Raises:
          NotFoundError: there is no such row.
          ConflictError: one was changed after `if_version`.
          ForeignKeyError: rows that stay lead to one that goes.
          BudgetError: it would touch more rows than its budget allows; nothing was changed.
        """
        mutations: list[Mutation] = []
        for kind, run in itertools.groupby(map(key_of, rows), lambda key: key.entity):
            identities = tuple(key.values for key in run)
            name = entity_name(kind)
            mutations.append(
                Delete(entity=name, identities=identities, if_version=if_version, budget=budget)
            )
        self.run_mutations(mutations, context=context)

    def restore(self, *rows: Key[Any] | Entity, context: Context | None = None) -> None:
        """Bring back rows that were deleted softly, and what was deleted with them, all or none.

        Raises:
          NotFoundError: no such row was deleted, or it was purged.
          UniqueError: another row has its identity or a unique value by now.
          ForeignKeyError: a row that it refers to is not there.
        """
        mutations: list[Mutation] = []
        for kind, run in itertools.groupby(map(key_of, rows), lambda key: key.entity):
            identities = tuple(key.values for key in run)
            mutations.append(Restore(entity=entity_name(kind), identities=identities))
        self.run_mutations(mutations, context=context)

    def delete_where(
        self,
        query: Query[Any] | type[Entity],
        *,
        budget: int | None = None,
        context: Context | None = None,
    ) -> int:
        """Delete every row that a query means, or a class for all its rows, all or none.

        Returns:
          How many rows the query meant.

        Raises:
          QueryError: the query asks for more than rows, as for includes.
          ForeignKeyError: rows that stay lead to one that goes.
          BudgetError: it would touch more rows than its budget allows; nothing was changed.
        """
        delete = DeleteWhere(query=rows_of(query)[0], budget=budget)
        return len(self.run_mutations([delete], context=context)[0].identities)

    def delete_rows(
        self,
        entity: str | type[Entity],
        identities: Iterable[tuple[Value, ...]],
        *,
        budget: int | None = None,
        context: Context | None = None,
    ) -> None:
        """Delete rows by identity, of an entity given by name."""
        given = tuple(identities)
        delete = Delete(entity=entity_name(entity), identities=given, budget=budget)
        self.run_mutations([delete], context=context)


def assigned(entity: type, assignments: Sequence[Assignment[Any]]) -> tuple[RowDict, Expressions]:
    """What assignments of an entity set: constants, and expressions.

    Raises:
      UsageError: a field is assigned twice.
      QueryError: one is of another entity.
    """
    changes: RowDict = {}
    expressions: dict[str, Expr] = {}
    for assignment in assignments:
        if not isinstance(assignment, Assignment):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise UsageError(f"{assignment!r} assigns nothing; write Airport.name.to(...)")
        require_entity(assignment.entity, entity, "assignment", assignment)
        for name, _ in (*assignment.changes, *assignment.expressions):
            if name in changes or name in expressions:
                raise UsageError(f"{name} is assigned twice; assign it once")
        changes.update(assignment.changes)
        expressions.update(assignment.expressions)
    return changes, tuple(expressions.items())


def key_of(row: Key[Any] | Entity) -> Key[Any]:
    """The key of a row that is given as an object or as that.

    Raises:
      UsageError: it is neither, or has no identity yet.
    """
    if isinstance(row, Key):
        return row
    if isinstance(row, Entity):  # pyright: ignore[reportUnnecessaryIsInstance]
        return Key(type(row), require_identity(row))
    raise UsageError(f"{row!r} names no row; give Airport.key(...) or an object")


def condition_of(where: Predicate[Any] | str | None, entity: type) -> Expr | None:
    return None if where is None else join_predicates(None, [where], entity)


def rows_of(query: Query[Any] | type[Any]) -> tuple[GraphQuery, type]:
    if isinstance(query, Query):
        return query.ir, query.entity
    if isinstance(query, type):  # pyright: ignore[reportUnnecessaryIsInstance]
        return Query(query).ir, query
    raise QueryError(f"{query!r} is no query; give one, as in Airport.where(...), or a class")
