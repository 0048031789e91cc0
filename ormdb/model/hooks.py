"""What a program wants to happen with every write of an entity: hooks and validators.

    @before("insert", "update")
    def tidy(change: Change[Flight]) -> None:              may change what is written
        change.set(Flight.tailnum.to("?"))

    @validator
    def fly_somewhere(flight: Flight) -> None:             sees every row as it was written
        if flight.origin_faa == flight.dest_faa: raise ValueError("...")

    class Flight(Entity): __hooks__ = (tidy, fly_somewhere)       or db.add_hooks(Flight, tidy)

They run in the thread of whoever writes, inside the transaction, and once: what is run again when
the transaction commits are the statements that they made.  An exception undoes the statement.

Invariants (held by tests/unit/database/test_hooks.py):
  1. Of one statement all before-hooks run, then it is applied, then validators, then after-hooks;
     each in the order in which they were declared, those of the class before those added.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeAlias, TypeVar

from ormdb.errors import UsageError
from ormdb.ir.value import RowDict
from ormdb.model.column import Assignment
from ormdb.model.entity import Entity
from ormdb.model.relation import Key
from ormdb.model.statements import assigned

E = TypeVar("E", bound=Entity)
# What is done to a row; "save" adds or changes it, which is not known before.
Doing: TypeAlias = Literal["insert", "update", "save", "delete"]
HookKind: TypeAlias = Literal["insert", "update", "delete"]


@dataclass(slots=True, kw_only=True)
class Change(Generic[E]):
    """What is about to be done to one row, or was done to it.

    `values` are what is assigned, by the names of the schema: before-hooks may change them.  What a
    statement calculates from the row is not among them.  `before` is the row as it was, `after` as
    it is now; None where that is not known, or nothing.  `writer` is the transaction.
    """

    doing: Doing
    entity: type[E]
    writer: Any
    key: Key[E] | None = None
    values: RowDict = field(default_factory=dict[str, Any])
    before: E | None = None
    after: E | None = None

    def set(self, *assignments: Assignment[E]) -> None:
        """Assign further values, or other ones."""
        changes, expressions = assigned(self.entity, assignments)
        if expressions:
            raise UsageError("a hook assigns values; what is calculated belongs into the statement")
        self.values.update(changes)


@dataclass(frozen=True, slots=True)
class Hook(Generic[E]):
    """A function, and when it is called with rows of `E`."""

    when: Literal["before", "after", "check"]
    doings: frozenset[str]
    run: Callable[[Any], None]
    # The rows that it takes, for type checkers.
    _takes: Callable[[E], None] | None = None


def before(*doings: HookKind) -> Callable[[Callable[[Change[E]], None]], Hook[E]]:
    """Make a function a hook that is called with each `Change` before a statement is applied.

    Args:
      doings: "insert", "update", "delete"; all of them if none is given. What adds or changes a row
        calls those of inserts and those of updates.
    """
    return _maker("before", doings)


def after(*doings: HookKind) -> Callable[[Callable[[Change[E]], None]], Hook[E]]:
    """Make a function a hook that is called with each `Change` after a statement was applied."""
    return _maker("after", doings)


def validator(check: Callable[[E], None]) -> Hook[E]:
    """Make a function a hook that is called with each row that was inserted or changed; what it
    raises undoes the statement."""
    return Hook("check", frozenset({"insert", "update"}), check)


def _maker(
    when: Literal["before", "after"], doings: tuple[HookKind, ...]
) -> Callable[[Callable[[Change[E]], None]], Hook[E]]:
    unknown = set(doings) - {"insert", "update", "delete"}
    if unknown:
        raise UsageError(f"{min(unknown)!r} is nothing to hook; give insert, update or delete")
    named = frozenset(doings or ("insert", "update", "delete"))
    return lambda run: Hook(when, named, run)
