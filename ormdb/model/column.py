"""Columns of a class, and what is made of them: conditions, orders, assignments.

    Flight.dep_delay > 120                       Predicate[Flight]: what a column can be asked is in
                                                 `term`, which it shares with what is calculated
    Flight.origin[Airport.name] == "Kennedy"     Predicate[Flight], over a to-one path
    Flight.dep_delay.desc(nulls_last=True)       Order[Flight]
    Flight.dep_delay.to(None)                    Assignment[Flight]
    Flight.seen.to(Flight.seen + 1)              the same, over what the row was

All are immutable values and know their entity twice: in their type, where a checker refuses a
condition of another entity, and in `entity`, where a program without a checker is told.

Invariants (held by tests/unit/model/test_column.py and tests/typing):
  1. A column compares with values of its type, in the form in which the schema has them.
  2. An assignment holds a value that the field can hold.
"""

from __future__ import annotations

import decimal
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final, Generic, TypeGuard, TypeVar, overload

from ormdb import limits
from ormdb.errors import QueryError, UsageError, ValueTypeError
from ormdb.ir.check import canonical_value
from ormdb.ir.expr import Call, Expr, FieldRef
from ormdb.ir.schema import ExpressionDefault, NowDefault, Uuid7Default
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
from ormdb.model.annotation import ValueKind
from ormdb.model.cell import as_it_is
from ormdb.model.declaration import DeclaredField, DefaultOf, declaration_of
from ormdb.model.expression_text import parse_expression
from ormdb.model.predicate import Predicate, require_entity
from ormdb.model.term import Calculated, Order, Term, is_term

__all__ = [
    "Assignment",
    "Column",
    "OptionalColumn",
    "Order",
    "Predicate",
    "comparable_value",
    "is_column",
    "require_entity",
]

E = TypeVar("E")
U = TypeVar("U")


@dataclass(frozen=True, slots=True)
class Assignment(Generic[E]):
    """New values for fields of a row, by their names in the schema: constants, and expressions
    over what the row was."""

    entity: type[E]
    changes: tuple[tuple[str, Value], ...]
    expressions: tuple[tuple[str, Expr], ...] = ()


class Column(Term[E, U]):
    """A field of `E`, or one reached from it over to-one relations, with values of type `U`."""

    __slots__ = ("_declared", "_reference", "path")

    def __init__(self, entity: type[E], path: tuple[str, ...], declared: DeclaredField | None):
        self.entity = entity
        self.path = path
        self._declared = declared
        self._reference = FieldRef(path=path)

    @property
    def declared(self) -> DeclaredField | None:
        """The declaration of the last name of the path, if the class has one."""
        return self._declared

    @property
    def reference(self) -> FieldRef:
        """The column as a reference to its field."""
        return self._reference

    @property
    def expression(self) -> Expr:
        return self._reference

    def to(self, value: U | Term[E, U] | DefaultOf[U]) -> Assignment[E]:
        """The assignment of a value to this column: a constant, what is calculated from the row as
        it was, or `now()`, `uuid7()`, `expression("...")`."""
        return self._assign(value)

    @overload
    def add(self: Column[E, int], amount: int | Term[E, int]) -> Assignment[E]: ...  # pyright: ignore[reportOverlappingOverload]
    @overload
    def add(
        self: Column[E, float], amount: float | Term[E, float] | Term[E, int]
    ) -> Assignment[E]: ...
    @overload
    def add(
        self: Column[E, Decimal], amount: Decimal | int | Term[E, Decimal] | Term[E, int]
    ) -> Assignment[E]: ...
    @overload
    def add(self: Column[E, datetime], amount: timedelta | Term[E, timedelta]) -> Assignment[E]: ...
    @overload
    def add(
        self: Column[E, timedelta], amount: timedelta | Term[E, timedelta]
    ) -> Assignment[E]: ...
    def add(self, amount: Any) -> Assignment[E]:
        """The assignment of what the column was and `amount` together; NULL stays NULL."""
        return self._assign(self._calculate("+", self, amount))

    def coalesce(self, *others: U | Term[E, U]) -> Calculated[E, U]:
        """The first of this and the others that is not NULL."""
        if not others:
            raise QueryError(f"{self}.coalesce() needs something to take where {self} is NULL")
        arguments = (self.expression, *(self._beside(other) for other in others))
        return Calculated(self.entity, Call(name="coalesce", arguments=arguments))

    def _reader(self) -> Callable[[Value], U]:
        return self._value_reader()

    def _value_reader(self) -> Callable[[Value], Any]:
        kind = None if self._declared is None else self._declared.known_kind
        if kind is None or kind.decode is None:
            return as_it_is
        decode = kind.decode
        return lambda value: None if value is None else decode(value)

    def __hash__(self) -> int:
        return hash((self.entity, self.path))

    def __repr__(self) -> str:
        return ".".join((self.entity.__name__, *self.path))

    def __reduce__(self) -> tuple[Any, ...]:
        declared = self._declared
        place = None if declared is None else (declared.owner, declared.attribute)
        return _restore_column, (type(self), self.entity, self.path, place)

    def _constant(self, value: object) -> Value:
        kind = None if self._declared is None else self._declared.known_kind
        if kind is not None:
            if type(value) is kind.exact:
                return value
            if type(value) is str and _is_plain_text(kind, value):
                return value
        if isinstance(value, Order | Assignment):
            raise QueryError(f"{self} cannot be compared with {value!r}; give a value or a column")
        if kind is None:
            return value
        encoded = value if kind.encode is None else kind.encode(value)
        return comparable_value(kind.type, encoded, repr(self))

    def _item(self, value: object) -> Value:
        kind = None if self._declared is None else self._declared.known_kind
        if kind is None or not isinstance(kind.type, ListType):
            return value
        encoded = value if kind.encode is None else kind.encode((value,))[0]
        return comparable_value(kind.type.item, encoded, f"an item of {self}")

    def _kind(self) -> Type | None:
        kind = None if self._declared is None else self._declared.known_kind
        return None if kind is None else kind.type

    def _assign(self, value: object) -> Assignment[E]:
        if len(self.path) != 1:
            raise UsageError(f"{self} is a field of another row; update that row by its own key")
        if is_term(value):
            require_entity(value.entity, self.entity, "value", value)
            return Assignment(self.entity, (), ((self.path[0], value.expression),))
        if _is_drawn(value):
            return Assignment(self.entity, (), ((self.path[0], self._drawn(value)),))
        kind = None if self._declared is None else self._declared.known_kind
        if value is not None and kind is not None:
            value = value if kind.encode is None else kind.encode(value)
            value = canonical_value(kind.type, value, repr(self))
        elif value is None and kind is not None and not kind.optional:
            raise ValueTypeError(f"{self} is required; give it a value instead of None")
        return Assignment(self.entity, ((self.path[0], value),))

    def _drawn(self, default: DefaultOf[Any]) -> Expr:
        """What `now()` and its like say, as an expression."""
        match default.source:
            case str() as text:
                return parse_expression(text)
            case NowDefault():
                return Call(name="now", arguments=())
            case Uuid7Default():
                return Call(name="uuid7", arguments=())
            case ExpressionDefault(expression=expression):
                return expression
            case _:
                raise UsageError(
                    f"{self} cannot be set to {default!r}; only an insert draws from a sequence"
                )


class OptionalColumn(Column[E, U]):
    """A column whose rows may have no value: compared like any other, and also set to None."""

    __slots__ = ()

    def to(self, value: U | Term[E, U] | DefaultOf[U] | None) -> Assignment[E]:
        """The assignment of a value, as of any column, or of NULL."""
        return self._assign(value)

    # A column that may be NULL is compared as one that may not, and read as what it is.
    def _reader(self) -> Callable[[Value], U | None]:  # type: ignore[override] # pyright: ignore[reportIncompatibleMethodOverride]
        return self._value_reader()


def _is_plain_text(kind: ValueKind, value: str) -> bool:
    """Whether it is compared with a text as it is, as is seen without looking at every letter."""
    is_text = type(kind.type) is TextType and kind.encode is None
    return is_text and value.isascii() and len(value) <= limits.TEXT_BYTES_MAX


def _is_drawn(given: object) -> TypeGuard[DefaultOf[Any]]:
    return isinstance(given, DefaultOf)


def _restore_column(
    kind: type[Column[Any, Any]],
    entity: type[Any],
    path: tuple[str, ...],
    place: tuple[type, str] | None,
) -> Column[Any, Any]:
    found = None if place is None else declaration_of(place[0]).attributes[place[1]]
    return kind(entity, path, found if isinstance(found, DeclaredField) else None)


_REMEDY: Final = "ask a list with has(), JSON with has_key(), contains_json() or at()"


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
            raise QueryError(f"{where}: lists, structs and JSON do not compare; {_REMEDY}")
        case _:
            return canonical_value(kind, value, where)
