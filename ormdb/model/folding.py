"""What columns and what is calculated from them offer to a table: folds, pieces of time, names.

    Flight.dep_delay.avg()                          Aggregated[Flight, float]
    Flight.tailnum.count(distinct=True)             Counted[Flight]
    count(where=Flight.dep_delay > 60)              Counted[Flight]: rows
    Flight.departed.bucket("hour")                  Term[Flight, datetime]
    Flight.dep_delay.avg().named("mean")            Named[Flight, float | None]

Invariants (held by tests/unit/model/test_tables.py and tests/typing):
  1. Folds of what has no sum are refused by a type checker, and when the table is read.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

from ormdb.errors import QueryError
from ormdb.ir.expr import Aggregate, AggregateFunction, Call, Expr, Literal
from ormdb.ir.value import Value
from ormdb.model.cell import Cell, Named, reader_of
from ormdb.model.predicate import AnyEntity, Predicate, require_entity

if TYPE_CHECKING:
    from ormdb.model.term import Aggregated, Counted, Term

E = TypeVar("E")
U = TypeVar("U")
V = TypeVar("V")
E_co = TypeVar("E_co", covariant=True)


class Foldable(ABC, Generic[E, U]):
    """What may be folded, for every row of `E`."""

    __slots__ = ()

    entity: type[E]

    @property
    @abstractmethod
    def expression(self) -> Expr:
        """The value as an expression."""

    def count(self, *, distinct: bool = False, where: Predicate[E] | None = None) -> Counted[E]:
        """How many values a group has, NULL being none; with `distinct`, how many that differ."""
        from ormdb.model.term import Counted

        return Counted(self.entity, self._fold("count", where, distinct=distinct))

    @overload
    def sum(
        self: Foldable[E, int], *, distinct: bool = False, where: Predicate[E] | None = None
    ) -> Aggregated[E, int]: ...
    @overload
    def sum(
        self: Foldable[E, float], *, distinct: bool = False, where: Predicate[E] | None = None
    ) -> Aggregated[E, float]: ...
    @overload
    def sum(
        self: Foldable[E, Decimal], *, distinct: bool = False, where: Predicate[E] | None = None
    ) -> Aggregated[E, Decimal]: ...
    @overload
    def sum(
        self: Foldable[E, timedelta], *, distinct: bool = False, where: Predicate[E] | None = None
    ) -> Aggregated[E, timedelta]: ...
    def sum(
        self, *, distinct: bool = False, where: Predicate[E] | None = None
    ) -> Aggregated[E, Any]:
        """The sum of a group's values; NULL if it has none."""
        return self._folded("sum", where, distinct=distinct)

    @overload
    def avg(
        self: Foldable[E, int] | Foldable[E, float],
        *,
        distinct: bool = False,
        where: Predicate[E] | None = None,
    ) -> Aggregated[E, float]: ...
    @overload
    def avg(
        self: Foldable[E, Decimal], *, distinct: bool = False, where: Predicate[E] | None = None
    ) -> Aggregated[E, Decimal]: ...
    @overload
    def avg(
        self: Foldable[E, timedelta], *, distinct: bool = False, where: Predicate[E] | None = None
    ) -> Aggregated[E, timedelta]: ...
    def avg(
        self, *, distinct: bool = False, where: Predicate[E] | None = None
    ) -> Aggregated[E, Any]:
        """The mean of a group's values; NULL if it has none."""
        return self._folded("avg", where, distinct=distinct)

    def min(self, *, where: Predicate[E] | None = None) -> Aggregated[E, U]:
        """The least of a group's values; NULL if it has none."""
        return self._folded("min", where)

    def max(self, *, where: Predicate[E] | None = None) -> Aggregated[E, U]:
        """The largest of a group's values; NULL if it has none."""
        return self._folded("max", where)

    @overload
    def bucket(self: Foldable[E, datetime], unit: str, width: int = 1) -> Term[E, datetime]: ...
    @overload
    def bucket(self: Foldable[E, date], unit: str, width: int = 1) -> Term[E, date]: ...
    def bucket(self, unit: str, width: int = 1) -> Term[E, Any]:
        """The beginning of the piece of time in which a moment (in UTC) or a day lies.

        Args:
          unit: "minute", "hour", "day", "week", "month", "quarter" or "year".
          width: how many minutes or hours make a piece; they have to divide a day.
        """
        from ormdb.model.term import Calculated

        given: tuple[Value, ...] = (unit,) if width == 1 else (unit, width)
        steps = tuple(Literal(value=value) for value in given)
        return Calculated(self.entity, Call(name="bucket", arguments=(self.expression, *steps)))

    def named(self: Cell[E_co, V], name: str) -> Named[E_co, V]:
        """This as a column of a table that has a name of its own."""
        return Named(self, name)

    def _folded(
        self, function: AggregateFunction, where: Predicate[E] | None, *, distinct: bool = False
    ) -> Aggregated[E, Any]:
        from ormdb.model.term import Aggregated

        read = reader_of(self) if function in {"min", "max"} else None
        return Aggregated(self.entity, self._fold(function, where, distinct=distinct), read)

    def _fold(
        self, function: AggregateFunction, where: Predicate[E] | None, *, distinct: bool
    ) -> Aggregate:
        return Aggregate(
            function=function,
            operand=self.expression,
            distinct=distinct,
            filter=condition_of(where, self.entity),
        )


def condition_of(where: Predicate[Any] | None, entity: type) -> Expr | None:
    """The condition under which rows are folded."""
    if where is None:
        return None
    if not isinstance(where, Predicate):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise QueryError(f"{where!r} is no predicate; compare a column, as in Class.field == 1")
    require_entity(where.entity, entity, "predicate", where)
    return where.expression


@overload
def count() -> Counted[Any]: ...
@overload
def count(*, where: Predicate[E]) -> Counted[E]: ...
def count(*, where: Predicate[Any] | None = None) -> Counted[Any]:
    """How many rows a group has; with `where`, for how many of them it is true."""
    from ormdb.model.term import Counted

    entity = AnyEntity if where is None else where.entity
    folded = Aggregate(function="count", filter=condition_of(where, entity))
    return Counted(entity, folded)
