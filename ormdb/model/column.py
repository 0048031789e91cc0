"""Columns of a class, and what is made of them: conditions, orders, assignments.

    Flight.dep_delay > 120                       Predicate[Flight]
    Flight.origin[Airport.name] == "Kennedy"     Predicate[Flight], over a to-one path
    Flight.dep_delay.desc(nulls_last=True)       Order[Flight]
    Flight.dep_delay.to(None)                    Assignment[Flight]

All are immutable values and know their entity twice: in their type, where a checker refuses a
condition of another entity, and in `entity`, where a program without a checker is told.

Invariants (held by tests/unit/model/test_column.py and tests/typing):
  1. A condition has no truth value: `and`, `or`, `not` and chained comparisons raise.
  2. NULL is never compared: None is refused in favour of `is_null()`.
"""

from __future__ import annotations

import decimal
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Generic, NoReturn, TypeGuard, TypeVar

from ormdb import limits
from ormdb.errors import LimitError, QueryError, UsageError, ValueTypeError
from ormdb.ir.check import canonical_value
from ormdb.ir.expr import (
    And,
    Compare,
    CompareOp,
    Expr,
    FieldRef,
    InList,
    IsNull,
    Literal,
    Not,
    Or,
)
from ormdb.ir.graph import OrderSpec
from ormdb.ir.show import show_value
from ormdb.ir.value import (
    DecimalType,
    FloatType,
    IntType,
    JsonType,
    ListType,
    StructType,
    TextType,
    Type,
    Value,
)
from ormdb.model.declaration import DeclaredField, declaration_of
from ormdb.model.spelling import spell_expression, spell_order

E = TypeVar("E")
U = TypeVar("U")


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

    def __repr__(self) -> str:
        return spell_expression(self.expression)

    def _join(self, kind: type[And | Or], other: Predicate[E]) -> Predicate[E]:
        if not isinstance(other, Predicate):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise UsageError(f"{other!r} is no predicate; compare a column with something")
        require_entity(other.entity, self.entity, "predicate", other)
        items: list[Expr] = []
        for one in (self.expression, other.expression):
            items.extend(one.items if isinstance(one, kind) else (one,))
        return Predicate(self.entity, kind(items=tuple(items)))


@dataclass(frozen=True, slots=True, repr=False)
class Order(Generic[E]):
    """One key of an order."""

    entity: type[E]
    spec: OrderSpec

    def __repr__(self) -> str:
        return spell_order(self.spec)


@dataclass(frozen=True, slots=True)
class Assignment(Generic[E]):
    """New values for fields of one row, by their names in the schema."""

    entity: type[E]
    changes: tuple[tuple[str, Value], ...]


class Column(Generic[E, U]):
    """A field of `E`, or one reached from it over to-one relations, with values of type `U`."""

    __slots__ = ("_declared", "entity", "path")

    def __init__(self, entity: type[E], path: tuple[str, ...], declared: DeclaredField | None):
        self.entity = entity
        self.path = path
        self._declared = declared

    @property
    def declared(self) -> DeclaredField | None:
        """The declaration of the last name of the path, if the class has one."""
        return self._declared

    @property
    def reference(self) -> FieldRef:
        """The column as an expression."""
        return FieldRef(path=self.path)

    # mypy and pyright expect `==` to answer a bool for any object; here it makes a condition.
    def __eq__(self, other: U | Column[E, U]) -> Predicate[E]:  # type: ignore[override] # pyright: ignore[reportIncompatibleMethodOverride]
        return self._compare("==", other)

    def __ne__(self, other: U | Column[E, U]) -> Predicate[E]:  # type: ignore[override] # pyright: ignore[reportIncompatibleMethodOverride]
        return self._compare("!=", other)

    def __lt__(self, other: U | Column[E, U]) -> Predicate[E]:
        return self._compare("<", other)

    def __le__(self, other: U | Column[E, U]) -> Predicate[E]:
        return self._compare("<=", other)

    def __gt__(self, other: U | Column[E, U]) -> Predicate[E]:
        return self._compare(">", other)

    def __ge__(self, other: U | Column[E, U]) -> Predicate[E]:
        return self._compare(">=", other)

    def in_(self, values: Iterable[U]) -> Predicate[E]:
        """True for rows whose value is among `values`; none of them may be None."""
        if isinstance(values, str | bytes):
            raise QueryError(f"{self}.in_({values!r}) would look for letters; give a list")
        items = tuple(self._operand(value) for value in values)
        if len(items) > limits.IN_LIST_ITEMS_MAX:
            raise LimitError(
                f"{self}.in_() got {len(items)} values; "
                f"give {limits.IN_LIST_ITEMS_MAX} at most per query"
            )
        return Predicate(self.entity, InList(operand=self.reference, items=Literal(value=items)))

    def not_in(self, values: Iterable[U]) -> Predicate[E]:
        """True for rows whose value is not NULL and not among `values`."""
        return ~self.in_(values)

    def between(self, low: U | Column[E, U], high: U | Column[E, U]) -> Predicate[E]:
        """True for rows whose value is at least `low` and at most `high`."""
        return self._compare(">=", low) & self._compare("<=", high)

    def is_null(self) -> Predicate[E]:
        """True for rows without a value."""
        return Predicate(self.entity, IsNull(operand=self.reference))

    def is_not_null(self) -> Predicate[E]:
        """True for rows with a value."""
        return ~self.is_null()

    def asc(self, *, nulls_last: bool | None = None) -> Order[E]:
        """Smallest first; NULL before all values unless `nulls_last` is True."""
        return Order(self.entity, OrderSpec(key=self.reference, nulls_last=nulls_last))

    def desc(self, *, nulls_last: bool | None = None) -> Order[E]:
        """Largest first; NULL after all values unless `nulls_last` is False."""
        spec = OrderSpec(key=self.reference, descending=True, nulls_last=nulls_last)
        return Order(self.entity, spec)

    def to(self, value: U) -> Assignment[E]:
        """The assignment of `value` to this column, for `update`."""
        return self._assign(value)

    def __hash__(self) -> int:
        return hash((self.entity, self.path))

    def __bool__(self) -> NoReturn:
        raise UsageError(
            f"the column {self} has no truth value; compare it, "
            f"as in {self} == True, or read it from an object"
        )

    def __repr__(self) -> str:
        return ".".join((self.entity.__name__, *self.path))

    def __reduce__(self) -> tuple[Any, ...]:
        declared = self._declared
        place = None if declared is None else (declared.owner, declared.attribute)
        return _restore_column, (type(self), self.entity, self.path, place)

    def _compare(self, op: CompareOp, other: object) -> Predicate[E]:
        right: Expr
        if is_column(other):
            require_entity(other.entity, self.entity, "column", other)
            right = other.reference
        elif other is None:
            raise self._refuse_none("is_not_null" if op == "!=" else "is_null")
        else:
            right = Literal(value=self._operand(other))
        return Predicate(self.entity, Compare(op=op, left=self.reference, right=right))

    def _refuse_none(self, instead: str) -> QueryError:
        return QueryError(f"{self} compared with None is never true; write {self}.{instead}()")

    def _operand(self, value: object) -> Value:
        if value is None:
            raise self._refuse_none("is_null")
        if isinstance(value, Predicate | Order | Assignment):
            raise QueryError(f"{self} cannot be compared with {value!r}; give a value or a column")
        kind = None if self._declared is None else self._declared.known_kind
        if kind is None or type(value) is kind.exact:
            return value
        encoded = value if kind.encode is None else kind.encode(value)
        return comparable_value(kind.type, encoded, repr(self))

    def _assign(self, value: object) -> Assignment[E]:
        if len(self.path) != 1:
            raise UsageError(f"{self} is a field of another row; update that row by its own key")
        kind = None if self._declared is None else self._declared.known_kind
        if value is not None and kind is not None:
            value = value if kind.encode is None else kind.encode(value)
            value = canonical_value(kind.type, value, repr(self))
        elif value is None and kind is not None and not kind.optional:
            raise ValueTypeError(f"{self} is required; give it a value instead of None")
        return Assignment(self.entity, ((self.path[0], value),))


class OptionalColumn(Column[E, U]):
    """A column whose rows may have no value: compared like any other, and also set to None."""

    __slots__ = ()

    def to(self, value: U | None) -> Assignment[E]:
        """The assignment of `value`, or of NULL, to this column, for `update`."""
        return self._assign(value)


def _restore_column(
    kind: type[Column[Any, Any]],
    entity: type[Any],
    path: tuple[str, ...],
    place: tuple[type, str] | None,
) -> Column[Any, Any]:
    found = None if place is None else declaration_of(place[0]).attributes[place[1]]
    return kind(entity, path, found if isinstance(found, DeclaredField) else None)


def is_column(given: object) -> TypeGuard[Column[Any, Any]]:
    """Whether it is a column, of whichever entity and type."""
    return isinstance(given, Column)


def comparable_value(kind: Type, value: Value, where: str) -> Value:
    """Return `value` as it is compared with a field of type `kind`.

    Numbers of any kind compare with numbers; everything else with its own kind only.

    Raises:
      ValueTypeError: values of this kind never compare with this value.
    """
    match kind:
        case IntType() | FloatType() | DecimalType():
            if isinstance(value, bool) or not isinstance(value, int | float | decimal.Decimal):
                raise ValueTypeError(f"{where}: {show_value(value)} is no number; give a number")
            if value != value:  # noqa: PLR0124  (NaN, of whichever class)
                raise QueryError(f"{where}: nothing compares with NaN; write is_null() if meant")
            return value
        case TextType():
            return canonical_value(TextType(), value, where)
        case ListType() | StructType() | JsonType():
            raise QueryError(f"{where}: lists, structs and JSON do not compare; filter on a scalar")
        case _:
            return canonical_value(kind, value, where)


def require_entity(given: type, wanted: type, word: str, what: object) -> None:
    """Refuse `what`, of entity `given`, which is used on `wanted`."""
    if given is not wanted:
        raise QueryError(
            f"the {word} {what} is about {given.__name__}, not {wanted.__name__}; "
            f"use a column of {wanted.__name__}, or a path as in relation[{given.__name__}.field]"
        )
