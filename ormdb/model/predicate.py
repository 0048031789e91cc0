"""Conditions on the rows of one entity, and the check that things said together are of one.

    Flight.dep_delay > 120                                Predicate[Flight]
    (Flight.dep_delay > 120) & ~Flight.tailnum.is_null()  Predicate[Flight]

Invariants (held by tests/unit/model/test_column.py and tests/typing):
  1. A condition has no truth value: `and`, `or`, `not` and chained comparisons raise.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, NoReturn, TypeVar

from ormdb.errors import QueryError, UsageError
from ormdb.ir.expr import And, Expr, Not, Or
from ormdb.ir.value import Value
from ormdb.model.cell import Named, as_it_is
from ormdb.model.spelling import spell_expression

E = TypeVar("E")


@dataclass(frozen=True, slots=True, repr=False)
class Predicate(Generic[E]):
    """Something true, false or NULL of every row of `entity`; combine with `&`, `|`, `~`."""

    entity: type[E]
    expression: Expr

    def __and__(self, other: Predicate[E]) -> Predicate[E]:
        return self._join(And, other)

    def __or__(self, other: Predicate[E]) -> Predicate[E]:
        return self._join(Or, other)

    def __invert__(self) -> Predicate[E]:
        return Predicate(self.entity, Not(operand=self.expression))

    def __bool__(self) -> NoReturn:
        raise UsageError(
            f"the predicate {self} has no truth value in Python; join predicates with & | ~ in "
            "brackets instead of `and`, `or`, `not`, and write between() for chained comparisons"
        )

    def named(self, name: str) -> Named[E, bool | None]:
        """This as a column of a table that has a name of its own."""
        return Named(self, name)

    def _reader(self) -> Callable[[Value], bool | None]:
        return as_it_is

    def __repr__(self) -> str:
        return spell_expression(self.expression)

    def _join(self, kind: type[And | Or], other: Predicate[E]) -> Predicate[E]:
        if not isinstance(other, Predicate):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise UsageError(f"{other!r} is no predicate; compare a column with something")
        require_entity(other.entity, self.entity, "predicate", other)
        items: list[Expr] = []
        for one in (self.expression, other.expression):
            items.extend(one.items if isinstance(one, kind) else (one,))
        entity = other.entity if self.entity is AnyEntity else self.entity
        return Predicate(entity, kind(items=tuple(items)))


class AnyEntity:
    """What a parameter or a count of rows is about: whichever entity it is used on."""


def require_entity(given: type, wanted: type, word: str, what: object) -> None:
    """Refuse `what`, of entity `given`, which is used on `wanted`."""
    if given is not wanted and AnyEntity not in (given, wanted):
        raise QueryError(
            f"the {word} {what} is about {given.__name__}, not {wanted.__name__}; "
            f"use a column of {wanted.__name__}, or a path as in relation[{given.__name__}.field]"
        )
