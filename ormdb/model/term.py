"""Values to say things about: columns, and what is calculated from them.

    Flight.dep_delay + 10 < Flight.arr_delay     Term[Flight, int] compared: a Predicate[Flight]
    Flight.tailnum.starts_with("N")              texts only, for a checker as for a program
    Plane.tags.has("old")                        lists only
    Plane.notes.at("engine", 0) == "jet"         JSON only; a Term[Plane, Any]

A type checker knows which methods a term has by its value type, through the type of `self`; a
program without one is told by name.

Invariants (held by tests/unit/model/test_term.py and tests/typing):
  1. NULL is never compared: None is refused in favour of `is_null()`.
  2. A question that the type of a column has no answer to is refused when it is asked.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final, Generic, NoReturn, TypeGuard, TypeVar, overload
from uuid import UUID

from ormdb import limits
from ormdb.errors import LimitError, QueryError, UsageError
from ormdb.ir.expr import (
    Arithmetic,
    ArithmeticOp,
    Call,
    Compare,
    CompareOp,
    Expr,
    FunctionName,
    InList,
    IsNull,
    Literal,
    NamedParam,
)
from ormdb.ir.graph import OrderSpec
from ormdb.ir.type_text import type_name
from ormdb.ir.value import JsonType, ListType, TextType, Type, Value
from ormdb.model.cell import as_it_is
from ormdb.model.folding import Foldable
from ormdb.model.predicate import AnyEntity, Predicate, require_entity
from ormdb.model.spelling import spell_expression, spell_order

E = TypeVar("E")
U = TypeVar("U")
W = TypeVar("W")


class JsonValue:
    """Stands for the values of a JSON column, which are of any type: no other column fits it."""


@dataclass(frozen=True, slots=True, repr=False)
class Order(Generic[E]):
    """One key of an order."""

    entity: type[E]
    spec: OrderSpec

    def __repr__(self) -> str:
        return spell_order(self.spec)


class Term(Foldable[E, U]):
    """A value of type `U`, or NULL, for every row of `E`."""

    __slots__ = ("entity",)

    entity: type[E]

    @property
    @abstractmethod
    def expression(self) -> Expr:
        """The value as an expression."""

    def _reader(self) -> Callable[[Value], U | None]:
        """What makes the value in a table of the one in an answer."""
        return as_it_is

    def asc(self, *, nulls_last: bool | None = None) -> Order[E]:
        """Smallest first; NULL before all values unless `nulls_last` is True."""
        return Order(self.entity, OrderSpec(key=self.expression, nulls_last=nulls_last))

    def desc(self, *, nulls_last: bool | None = None) -> Order[E]:
        """Largest first; NULL after all values unless `nulls_last` is False."""
        spec = OrderSpec(key=self.expression, descending=True, nulls_last=nulls_last)
        return Order(self.entity, spec)

    # --- comparisons ---

    # mypy and pyright expect `==` to answer a bool for any object; here it makes a condition.
    def __eq__(self, other: U | Term[E, U]) -> Predicate[E]:  # type: ignore[override] # pyright: ignore[reportIncompatibleMethodOverride]
        return self._compare("==", other)

    def __ne__(self, other: U | Term[E, U]) -> Predicate[E]:  # type: ignore[override] # pyright: ignore[reportIncompatibleMethodOverride]
        return self._compare("!=", other)

    def __lt__(self, other: U | Term[E, U]) -> Predicate[E]:
        return self._compare("<", other)

    def __le__(self, other: U | Term[E, U]) -> Predicate[E]:
        return self._compare("<=", other)

    def __gt__(self, other: U | Term[E, U]) -> Predicate[E]:
        return self._compare(">", other)

    def __ge__(self, other: U | Term[E, U]) -> Predicate[E]:
        return self._compare(">=", other)

    def in_(self, values: Iterable[U] | Parameter[list[U]]) -> Predicate[E]:
        """True for rows whose value is among `values`; none of them may be None."""
        if not isinstance(values, Iterable):
            return self._in_parameter(values)
        if isinstance(values, str | bytes):
            raise QueryError(f"{self}.in_({values!r}) would look for letters; give a list")
        items = tuple(self._operand(value) for value in values)
        if len(items) > limits.IN_LIST_ITEMS_MAX:
            raise LimitError(
                f"{self}.in_() got {len(items)} values; "
                f"give {limits.IN_LIST_ITEMS_MAX} at most per query"
            )
        return Predicate(self.entity, InList(operand=self.expression, items=Literal(value=items)))

    def not_in(self, values: Iterable[U] | Parameter[list[U]]) -> Predicate[E]:
        """True for rows whose value is not NULL and not among `values`."""
        return ~self.in_(values)

    def between(self, low: U | Term[E, U], high: U | Term[E, U]) -> Predicate[E]:
        """True for rows whose value is at least `low` and at most `high`."""
        return self._compare(">=", low) & self._compare("<=", high)

    def is_null(self) -> Predicate[E]:
        """True for rows without a value."""
        return Predicate(self.entity, IsNull(operand=self.expression))

    def is_not_null(self) -> Predicate[E]:
        """True for rows with a value."""
        return ~self.is_null()

    # --- texts ---

    def like(self: Term[E, str], pattern: str | Parameter[str]) -> Predicate[E]:
        """True for texts that look like an SQL pattern: `%` stands for any characters, `_` for
        exactly one, a backslash before a character for the character itself."""
        return self._ask("like", pattern)

    def ilike(self: Term[E, str], pattern: str | Parameter[str]) -> Predicate[E]:
        """`like` without regard to case: both are compared as `str.casefold` makes them."""
        return self._ask("ilike", pattern)

    def starts_with(self: Term[E, str], start: str | Term[E, str]) -> Predicate[E]:
        """True for texts that begin with `start`."""
        return self._ask("starts_with", start)

    def ends_with(self: Term[E, str], end: str | Term[E, str]) -> Predicate[E]:
        """True for texts that end with `end`."""
        return self._ask("ends_with", end)

    def contains(self: Term[E, str], part: str | Term[E, str]) -> Predicate[E]:
        """True for texts in which `part` stands."""
        return self._ask("contains", part)

    def istarts_with(self: Term[E, str], start: str | Term[E, str]) -> Predicate[E]:
        """`starts_with` without regard to case."""
        return self._ask("istarts_with", start)

    def iends_with(self: Term[E, str], end: str | Term[E, str]) -> Predicate[E]:
        """`ends_with` without regard to case."""
        return self._ask("iends_with", end)

    def icontains(self: Term[E, str], part: str | Term[E, str]) -> Predicate[E]:
        """`contains` without regard to case."""
        return self._ask("icontains", part)

    def matches(
        self: Term[E, str],
        query: str | Parameter[str],
        *,
        also: Term[E, str] | Sequence[Term[E, str]] = (),
    ) -> Predicate[E]:
        """True for texts in which every word of `query` stands, stop words aside; `also` are
        further texts that are searched together with this one."""
        return Predicate(self.entity, self._search("matches", query, also))

    def rank(
        self: Term[E, str],
        query: str | Parameter[str],
        *,
        also: Term[E, str] | Sequence[Term[E, str]] = (),
    ) -> Calculated[E, float]:
        """How well a text meets `query`: 0.0 if none of its words stands there."""
        return Calculated(self.entity, self._search("rank", query, also))

    # --- lists and JSON ---

    def has(self: Term[E, tuple[W, ...]], item: W | Term[E, W]) -> Predicate[E]:
        """True for lists with this item."""
        return self._ask("has", item)

    def has_key(self: Term[E, JsonValue], key: str | Term[E, str]) -> Predicate[E]:
        """True for JSON objects with this key."""
        return self._ask("has_key", key)

    def contains_json(self: Term[E, JsonValue], part: object) -> Predicate[E]:
        """True for JSON that contains `part`: objects its keys, lists its items, deeply."""
        return self._ask("contains_json", part)

    def at(self: Term[E, JsonValue], *steps: str | int) -> Term[E, Any]:
        """What lies in JSON behind these keys and positions; NULL where nothing does."""
        self._require_answer("at")
        literals = tuple(Literal(value=step) for step in steps)
        found = Call(name="at", arguments=(self.expression, *literals))
        return Calculated(self.entity, found)

    # --- arithmetic ---

    @overload
    def __add__(self: Term[E, int], other: int | Term[E, int]) -> Term[E, int]: ...  # pyright: ignore[reportOverlappingOverload]
    @overload
    def __add__(self: Term[E, int], other: float | Term[E, float]) -> Term[E, float]: ...
    @overload
    def __add__(
        self: Term[E, float], other: float | Term[E, float] | Term[E, int]
    ) -> Term[E, float]: ...
    @overload
    def __add__(
        self: Term[E, Decimal], other: Decimal | int | Term[E, Decimal] | Term[E, int]
    ) -> Term[E, Decimal]: ...
    @overload
    def __add__(
        self: Term[E, datetime], other: timedelta | Term[E, timedelta]
    ) -> Term[E, datetime]: ...
    @overload
    def __add__(
        self: Term[E, timedelta], other: timedelta | Term[E, timedelta]
    ) -> Term[E, timedelta]: ...
    def __add__(self, other: Any) -> Term[E, Any]:
        return self._calculate("+", self, other)

    @overload
    def __sub__(self: Term[E, int], other: int | Term[E, int]) -> Term[E, int]: ...  # pyright: ignore[reportOverlappingOverload]
    @overload
    def __sub__(self: Term[E, int], other: float | Term[E, float]) -> Term[E, float]: ...
    @overload
    def __sub__(
        self: Term[E, float], other: float | Term[E, float] | Term[E, int]
    ) -> Term[E, float]: ...
    @overload
    def __sub__(
        self: Term[E, Decimal], other: Decimal | int | Term[E, Decimal] | Term[E, int]
    ) -> Term[E, Decimal]: ...
    @overload
    def __sub__(
        self: Term[E, datetime], other: datetime | Term[E, datetime]
    ) -> Term[E, timedelta]: ...
    @overload
    def __sub__(
        self: Term[E, datetime], other: timedelta | Term[E, timedelta]
    ) -> Term[E, datetime]: ...
    @overload
    def __sub__(self: Term[E, date], other: date | Term[E, date]) -> Term[E, timedelta]: ...
    @overload
    def __sub__(
        self: Term[E, timedelta], other: timedelta | Term[E, timedelta]
    ) -> Term[E, timedelta]: ...
    def __sub__(self, other: Any) -> Term[E, Any]:
        return self._calculate("-", self, other)

    @overload
    def __mul__(self: Term[E, int], other: int | Term[E, int]) -> Term[E, int]: ...  # pyright: ignore[reportOverlappingOverload]
    @overload
    def __mul__(self: Term[E, int], other: float | Term[E, float]) -> Term[E, float]: ...
    @overload
    def __mul__(
        self: Term[E, float], other: float | Term[E, float] | Term[E, int]
    ) -> Term[E, float]: ...
    @overload
    def __mul__(
        self: Term[E, Decimal], other: Decimal | int | Term[E, Decimal] | Term[E, int]
    ) -> Term[E, Decimal]: ...
    @overload
    def __mul__(self: Term[E, timedelta], other: int | Term[E, int]) -> Term[E, timedelta]: ...
    def __mul__(self, other: Any) -> Term[E, Any]:
        return self._calculate("*", self, other)

    @overload
    def __truediv__(
        self: Term[E, int] | Term[E, float], other: float | Term[E, int] | Term[E, float]
    ) -> Term[E, float]: ...
    @overload
    def __truediv__(
        self: Term[E, Decimal], other: Decimal | int | Term[E, Decimal] | Term[E, int]
    ) -> Term[E, Decimal]: ...
    def __truediv__(self, other: Any) -> Term[E, Any]:
        return self._calculate("/", self, other)

    @overload
    def __mod__(self: Term[E, int], other: int | Term[E, int]) -> Term[E, int]: ...  # pyright: ignore[reportOverlappingOverload]
    @overload
    def __mod__(self: Term[E, int], other: float | Term[E, float]) -> Term[E, float]: ...
    @overload
    def __mod__(
        self: Term[E, float], other: float | Term[E, float] | Term[E, int]
    ) -> Term[E, float]: ...
    @overload
    def __mod__(
        self: Term[E, Decimal], other: Decimal | int | Term[E, Decimal] | Term[E, int]
    ) -> Term[E, Decimal]: ...
    def __mod__(self, other: Any) -> Term[E, Any]:
        return self._calculate("%", self, other)

    @overload
    def __radd__(self: Term[E, int], other: int) -> Term[E, int]: ...  # pyright: ignore[reportOverlappingOverload]
    @overload
    def __radd__(self: Term[E, int] | Term[E, float], other: float) -> Term[E, float]: ...
    @overload
    def __radd__(self: Term[E, Decimal], other: Decimal | int) -> Term[E, Decimal]: ...
    @overload
    def __radd__(self: Term[E, timedelta], other: datetime) -> Term[E, datetime]: ...
    @overload
    def __radd__(self: Term[E, timedelta], other: timedelta) -> Term[E, timedelta]: ...
    def __radd__(self, other: Any) -> Term[E, Any]:
        return self._calculate("+", other, self)

    @overload
    def __rsub__(self: Term[E, int], other: int) -> Term[E, int]: ...  # pyright: ignore[reportOverlappingOverload]
    @overload
    def __rsub__(self: Term[E, int] | Term[E, float], other: float) -> Term[E, float]: ...
    @overload
    def __rsub__(self: Term[E, Decimal], other: Decimal | int) -> Term[E, Decimal]: ...
    @overload
    def __rsub__(self: Term[E, datetime] | Term[E, date], other: date) -> Term[E, timedelta]: ...
    @overload
    def __rsub__(self: Term[E, timedelta], other: datetime) -> Term[E, datetime]: ...
    @overload
    def __rsub__(self: Term[E, timedelta], other: timedelta) -> Term[E, timedelta]: ...
    def __rsub__(self, other: Any) -> Term[E, Any]:
        return self._calculate("-", other, self)

    @overload
    def __rmul__(self: Term[E, int], other: int) -> Term[E, int]: ...  # pyright: ignore[reportOverlappingOverload]
    @overload
    def __rmul__(self: Term[E, int] | Term[E, float], other: float) -> Term[E, float]: ...
    @overload
    def __rmul__(self: Term[E, Decimal], other: Decimal | int) -> Term[E, Decimal]: ...
    @overload
    def __rmul__(self: Term[E, timedelta], other: int) -> Term[E, timedelta]: ...
    def __rmul__(self, other: Any) -> Term[E, Any]:
        return self._calculate("*", other, self)

    @overload
    def __rtruediv__(self: Term[E, int] | Term[E, float], other: float) -> Term[E, float]: ...
    @overload
    def __rtruediv__(self: Term[E, Decimal], other: Decimal | int) -> Term[E, Decimal]: ...
    def __rtruediv__(self, other: Any) -> Term[E, Any]:
        return self._calculate("/", other, self)

    @overload
    def __rmod__(self: Term[E, int], other: int) -> Term[E, int]: ...  # pyright: ignore[reportOverlappingOverload]
    @overload
    def __rmod__(self: Term[E, int] | Term[E, float], other: float) -> Term[E, float]: ...
    @overload
    def __rmod__(self: Term[E, Decimal], other: Decimal | int) -> Term[E, Decimal]: ...
    def __rmod__(self, other: Any) -> Term[E, Any]:
        return self._calculate("%", other, self)

    @overload
    def __neg__(self: Term[E, int]) -> Term[E, int]: ...
    @overload
    def __neg__(self: Term[E, float]) -> Term[E, float]: ...
    @overload
    def __neg__(self: Term[E, Decimal]) -> Term[E, Decimal]: ...
    def __neg__(self) -> Term[E, Any]:
        return self._calculate("-", 0, self)

    # --- what they are made of ---

    def __hash__(self) -> int:
        return hash((self.entity, repr(self.expression)))

    def __bool__(self) -> NoReturn:
        raise UsageError(
            f"the {_word(self)} {self} has no truth value; compare it, "
            f"as in {self} == True, or read it from an object"
        )

    def _compare(self, op: CompareOp, other: object) -> Predicate[E]:
        if other is None:
            raise self._refuse_none("is_not_null" if op == "!=" else "is_null")
        compared = Compare(op=op, left=self.expression, right=self._beside(other))
        return Predicate(self.entity, compared)

    def _in_parameter(self, given: object) -> Predicate[E]:
        items = given.expression if is_term(given) else None
        if not isinstance(items, NamedParam) or not isinstance(items.type, ListType):
            raise QueryError(f"{self}.in_({given!r}) needs a list, or a parameter that is one")
        return Predicate(self.entity, InList(operand=self.expression, items=items))

    def _beside(self, other: object) -> Expr:
        """A term of the same entity, or a constant, as an expression."""
        if type(other) in _SCALARS:  # most are; asking whether it is a term takes longer than all
            return Literal(value=self._constant(other))
        if is_term(other):
            require_entity(other.entity, self.entity, _word(other), other)
            return other.expression
        return Literal(value=self._operand(other))

    def _ask(self, name: FunctionName, given: object) -> Predicate[E]:
        self._require_answer(name)
        if given is None:
            raise QueryError(f"{self}.{name}(None) is never true; give what to look for")
        if is_term(given):
            require_entity(given.entity, self.entity, _word(given), given)
            asked_with = given.expression
        else:
            asked_with = Literal(value=self._item(given) if name == "has" else given)
        return Predicate(self.entity, Call(name=name, arguments=(self.expression, asked_with)))

    def _search(
        self, name: FunctionName, query: object, also: Term[E, str] | Sequence[Term[E, str]]
    ) -> Expr:
        self._require_answer(name)
        if not isinstance(query, str | Parameter):
            raise QueryError(f"{self}.{name}({query!r}) looks for words; give them as a text")
        words = Literal(value=query) if isinstance(query, str) else query.expression
        others = (also,) if isinstance(also, Term) else tuple(also)
        for other in others:
            require_entity(other.entity, self.entity, _word(other), other)
            other._require_answer(name)
        texts = (self.expression, *(other.expression for other in others))
        return Call(name=name, arguments=(*texts, words))

    def _require_answer(self, name: str) -> None:
        """Refuse a question that the type has no answer to, if the type is known."""
        wanted, word = _ASKED.get(name, (TextType, "texts"))
        kind = self._kind()
        if kind is not None and not isinstance(kind, wanted):
            held = type_name(kind)
            raise QueryError(f"{self}.{name}() asks {word}, and {self} is {held}; {_instead(kind)}")

    def _calculate(self, op: ArithmeticOp, left: object, right: object) -> Calculated[E, Any]:
        sides = [self._number(side) for side in (left, right)]
        made = Arithmetic(op=op, left=sides[0], right=sides[1])
        return Calculated(self.entity, made)

    def _number(self, side: object) -> Expr:
        if is_term(side):
            require_entity(side.entity, self.entity, _word(side), side)
            return side.expression
        if side is None or isinstance(side, Predicate):
            raise QueryError(f"{self} cannot be calculated with {side!r}; give a value or a column")
        return Literal(value=side)

    def _operand(self, value: object) -> Value:
        if value is None:
            raise self._refuse_none("is_null")
        if isinstance(value, Predicate):
            raise QueryError(f"{self} cannot be compared with {value!r}; give a value or a column")
        return self._constant(value)

    def _constant(self, value: object) -> Value:
        """A constant as it is compared with this."""
        return value

    def _item(self, value: object) -> Value:
        """A constant as an item of this list."""
        return value

    def _kind(self) -> Type | None:
        """The type, where the declaration says it."""
        return None

    def _refuse_none(self, instead: str) -> QueryError:
        return QueryError(f"{self} compared with None is never true; write {self}.{instead}()")


class Calculated(Term[E, U]):
    """A value calculated from columns of one entity."""

    __slots__ = ("_expression",)

    def __init__(self, entity: type[E], expression: Expr) -> None:
        self.entity = entity
        self._expression = expression

    @property
    def expression(self) -> Expr:
        return self._expression

    def __repr__(self) -> str:
        return f"({spell_expression(self._expression)})"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.entity, self._expression)


class Aggregated(Calculated[E, U]):
    """One value of the rows of a group; NULL if there is none to fold."""

    __slots__ = ("_read",)

    def __init__(
        self, entity: type[E], expression: Expr, read: Callable[[Value], Any] | None = None
    ) -> None:
        super().__init__(entity, expression)
        self._read = as_it_is if read is None else read

    def _reader(self) -> Callable[[Value], U | None]:
        return self._read

    def __repr__(self) -> str:
        return spell_expression(self._expression)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.entity, self._expression)


class Counted(Aggregated[E, int]):
    """How many rows or values a group has."""

    __slots__ = ()

    def _reader(self) -> Callable[[Value], int]:
        return as_it_is


class Parameter(Term[Any, U]):
    """A value that each run of a prepared query is given by name; made by `ormdb.param`."""

    __slots__ = ("node",)

    def __init__(self, node: NamedParam) -> None:
        self.entity = AnyEntity
        self.node = node

    @property
    def expression(self) -> NamedParam:
        return self.node

    @property
    def name(self) -> str:
        """Under which name its value is given."""
        return self.node.name

    def __repr__(self) -> str:
        return f":{self.node.name}"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.node,)

    def _compare(self, op: CompareOp, other: object) -> Predicate[Any]:
        if not is_term(other):
            raise QueryError(f"{self} is compared with {other!r}; compare a column with it")
        compared = super()._compare(op, other)
        return Predicate(other.entity, compared.expression)

    def _calculate(self, op: ArithmeticOp, left: object, right: object) -> Calculated[Any, Any]:
        made = super()._calculate(op, left, right)
        sides = [side for side in (left, right) if is_term(side) and side is not self]
        return Calculated(sides[0].entity, made.expression) if sides else made


def is_term(given: object) -> TypeGuard[Term[Any, Any]]:
    """Whether it is a column or calculated from columns, of whichever entity and type."""
    return isinstance(given, Term)


def _word(term: Term[Any, Any]) -> str:
    return "expression" if isinstance(term, Calculated) else "column"


def _instead(kind: Type) -> str:
    match kind:
        case TextType():
            return "ask it with contains(), starts_with() or like()"
        case ListType():
            return "ask it with has()"
        case JsonType():
            return "ask it with has_key(), contains_json() or at()"
        case _:
            return "compare it with == or in_()"


_SCALARS: Final = frozenset({bool, int, float, str, bytes, Decimal, UUID, datetime, date})
_ASKED: dict[str, tuple[type, str]] = {
    "has": (ListType, "lists"),
    "has_key": (JsonType, "JSON"),
    "contains_json": (JsonType, "JSON"),
    "at": (JsonType, "JSON"),
}
