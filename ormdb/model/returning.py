"""The graph that a statement gives back: a query's shape, of the rows that it touched.

    db.returning(Flight.include(Flight.origin)).update_where(late, Flight.seen.add(1))
        identities of the statement     7, 9
        the shape, of these alone       Flight where id in (7, 9) include origin

Invariants (held by tests/unit/database/test_returning.py):
  1. The rows are those that the statement touched, as its transaction has them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any, Generic, Protocol, TypeAlias, TypeVar

from ormdb.errors import UsageError
from ormdb.ir.expr import And, Compare, Expr, FieldRef, InList, Literal, Or
from ormdb.ir.mutation import UpdateWhere
from ormdb.ir.value import Value
from ormdb.model.column import Assignment, Column, Predicate
from ormdb.model.declaration import declaration_of
from ormdb.model.entity import Entity
from ormdb.model.objects import require_identity
from ormdb.model.query import Query
from ormdb.model.relation import Inclusion, Key
from ormdb.model.result import Result
from ormdb.model.statements import assigned, key_of, rows_of

E = TypeVar("E", bound=Entity)
T = TypeVar("T")
Identities: TypeAlias = Sequence[tuple[Value, ...]]


class Together(Protocol):
    """Runs several calls in one transaction."""

    def __call__(self, work: Callable[[Any], T], /) -> T: ...


class Returning(Generic[E]):
    """Statements that give back a graph of the rows they touch, in the order of its query."""

    def __init__(self, shape: Query[E], together: Together) -> None:
        self._shape = shape
        self._together = together

    def insert(self, row: E) -> E:
        """`insert`, and the row as it is then."""
        return self.insert_many([row])[0]

    def insert_many(self, rows: Iterable[E]) -> Result[E]:
        """`insert_many`, and the rows as they are then."""
        given = list(rows)

        def work(writer: Any) -> Result[E]:
            return self._of(writer, [require_identity(one) for one in writer.insert_many(given)])

        return self._together(work)

    def insert_graph(self, *rows: E) -> Result[E]:
        """`insert_graph`, and the rows that were given as they are then."""
        return self._together(
            lambda writer: self._of(
                writer, [require_identity(one) for one in writer.insert_graph(*rows)]
            )
        )

    def save(self, *rows: E) -> Result[E]:
        """`save`, and the rows that were given as they are then."""
        return self._together(
            lambda writer: self._of(writer, [require_identity(one) for one in writer.save(*rows)])
        )

    def upsert_many(
        self,
        rows: Iterable[E],
        *,
        by: Sequence[Column[E, Any] | Inclusion[E, Any]] = (),
        update: Sequence[Assignment[E] | Column[E, Any]] | None = None,
    ) -> Result[E]:
        """`upsert_many`, and the rows as they are then."""
        given = list(rows)

        def work(writer: Any) -> Result[E]:
            done = writer.upsert_many(given, by=by, update=update)
            return self._of(writer, [require_identity(one.row) for one in done])

        return self._together(work)

    def update(
        self,
        row: Key[E] | E,
        *assignments: Assignment[E],
        where: Predicate[E] | str | None = None,
        if_version: int | None = None,
    ) -> E | None:
        """`update`, and the row as it is then; None if it was not changed."""

        def work(writer: Any) -> E | None:
            if not writer.update(row, *assignments, where=where, if_version=if_version):
                return None
            return self._of(writer, [key_of(row).values])[0]

        return self._together(work)

    def update_where(self, query: Query[E] | type[E], *assignments: Assignment[E]) -> Result[E]:
        """`update_where`, and the rows as they are then."""
        ir, entity = rows_of(query)
        changes, expressions = assigned(entity, assignments)
        update = UpdateWhere(query=ir, changes=changes, expressions=expressions)

        def work(writer: Any) -> Result[E]:
            (outcome,) = writer.run_mutations([update])
            return self._of(writer, outcome.identities)

        return self._together(work)

    def delete_where(self, query: Query[E] | type[E], *, budget: int | None = None) -> Result[E]:
        """`delete_where`, and the rows as they were before."""
        ir, entity = rows_of(query)
        names = declaration_of(entity).identity_names()

        def work(writer: Any) -> Result[E]:
            found = writer.run_fetch(replace(ir, select=names)).dicts()
            identities = [tuple(row[name] for name in names) for row in found]
            gone = self._of(writer, identities)
            len(gone)  # what is read later would not be there
            writer.delete_rows(entity, identities, budget=budget)
            return gone

        return self._together(work)

    def _of(self, writer: Any, identities: Identities) -> Result[E]:
        found: Result[E] = writer.fetch(of_rows(self._shape, identities))
        return found


def of_rows(shape: Query[E], identities: Identities) -> Query[E]:
    """The query, for the rows of these identities alone.

    Raises:
      UsageError: it reads the past, which has not seen the statement.
    """
    if shape.ir.as_of is not None:
        raise UsageError("what a statement gives back is what it wrote; leave as_of out")
    names = declaration_of(shape.entity).identity_names()
    return shape.where(Predicate(shape.entity, _named(names, identities)))


def _named(names: tuple[str, ...], identities: Identities) -> Expr:
    if len(names) == 1:
        items = Literal(value=tuple(identity[0] for identity in identities))
        return InList(operand=FieldRef(path=names), items=items)
    return Or(
        items=tuple(
            And(
                items=tuple(
                    Compare(op="==", left=FieldRef(path=(name,)), right=Literal(value=value))
                    for name, value in zip(names, identity, strict=True)
                )
            )
            for identity in identities
        )
    )
