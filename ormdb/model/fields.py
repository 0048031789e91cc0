"""The descriptors in the body of an entity class, and the functions that make them.

    class Flight(Entity):
        dep_delay: Field[int | None]

    Flight.dep_delay             OptionalColumn[Flight, int]     something to compare and order by
    flight.dep_delay             int | None                      the value, or NotLoadedError
    Flight(dep_delay=3, ...)     int | None                      what a type checker asks of it

One declaration thus says three things, and plain annotations could say only the last two.  The type
of `__set__`'s value is what checkers take for the constructor; the type of its instance, which
nothing has, is why they refuse an assignment.

Invariants (held by tests/unit/model/test_fields.py and tests/typing):
  1. On a class a descriptor gives something to say in a query, on an object a loaded value.
  2. A nullable column compares with values of its type and never with None.
"""

# pyright: reportInvalidTypeVarUse=false
# `field()` and its like return what the annotation beside them asks for.

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Generic, Literal, Never, Self, TypeVar, cast, overload

from ormdb.errors import FrozenError
from ormdb.ir.expr import Expr
from ormdb.ir.schema import (
    ExpressionDefault,
    NowDefault,
    OnDelete,
    SequenceDefault,
    Uuid7Default,
)
from ormdb.model.annotation import Scope
from ormdb.model.column import Column, OptionalColumn
from ormdb.model.declaration import (
    DeclaredCheck,
    DeclaredField,
    DeclaredIndex,
    DeclaredMany,
    DeclaredOne,
    DefaultOf,
    Descending,
)
from ormdb.model.objects import ALONE, ObjectState, field_not_loaded, read_relation
from ormdb.model.relation import Key, OptionalToOne, ToMany, ToOne

E = TypeVar("E")
C = TypeVar("C")
U = TypeVar("U")
V = TypeVar("V")


class Marker(ABC):
    """What the three descriptors share: options, and a class they are bound to."""

    def __init__(self, given: Mapping[str, object] | None = None) -> None:
        self.given = {} if given is None else dict(given)

    def bound(self, owner: type, attribute: str, annotation: object, scope: Scope) -> Self:
        """Return the descriptor for one class; a base's own one stays as it is."""
        made = type(self)(self.given)
        made.bind(owner, attribute, annotation, scope)
        return made

    @abstractmethod
    def bind(self, owner: type, attribute: str, annotation: object, scope: Scope) -> None:
        """Read the declaration."""


class Field(Marker, Generic[V]):
    """A field with values of type `V`; `Field[int | None]` may have none."""

    declared: DeclaredField
    _name = ""
    _column: Column[Any, Any]

    def bind(self, owner: type, attribute: str, annotation: object, scope: Scope) -> None:
        self.declared = DeclaredField(owner, attribute, annotation, scope, self.given)
        self._name = self.declared.name
        # `to(None)` is refused by the value check, so one class serves both static types.
        self._column = OptionalColumn(owner, (self._name,), self.declared)

    @overload
    def __get__(self: Field[U | None], instance: None, owner: type[E]) -> OptionalColumn[E, U]: ...
    @overload
    def __get__(self, instance: None, owner: type[E]) -> Column[E, V]: ...
    @overload
    def __get__(self, instance: ObjectState, owner: type[E]) -> V: ...
    def __get__(self, instance: ObjectState | None, owner: type[Any]) -> Any:
        if instance is None:
            return self._column
        at = instance.__ormdb_at__
        try:
            value = instance.__ormdb_node__.columns[self._name]
        except KeyError as error:
            raise field_not_loaded(instance, self._name) from error
        if at != ALONE:
            value = value[at]
        if value is None or self._plain:
            return value
        return self._decoded(value)

    def __set__(self, instance: Never, value: V) -> None:
        refuse_assignment(instance, self.declared.attribute)

    _plain = False

    def _decoded(self, value: Any) -> Any:
        kind = self.declared.known_kind
        if kind is None or kind.decode is None:
            self._plain = kind is not None  # asked once, unless the type is not known yet
            return value
        return kind.decode(value)


class One(Marker, Generic[V]):
    """A relation to one row; `One[Airport | None]` may lead to none."""

    declared: DeclaredOne

    def bind(self, owner: type, attribute: str, annotation: object, scope: Scope) -> None:
        self.declared = DeclaredOne(owner, attribute, annotation, scope, self.given)

    @overload
    def __get__(self: One[U | None], instance: None, owner: type[E]) -> OptionalToOne[E, U]: ...
    @overload
    def __get__(self, instance: None, owner: type[E]) -> ToOne[E, V]: ...
    @overload
    def __get__(self, instance: ObjectState, owner: type[E]) -> V: ...
    def __get__(self, instance: ObjectState | None, owner: type[Any]) -> Any:
        declared = self.declared
        if instance is None:
            # As with columns, one class serves both static types.
            kind: type[Any] = declared.owner
            made: OptionalToOne[Any, Any]
            made = OptionalToOne(kind, declared)
            return made
        return read_relation(instance, declared.name, declared.where)

    def __set__(self, instance: Never, value: V | Key[V]) -> None:
        refuse_assignment(instance, self.declared.attribute)


class Many(Marker, Generic[C]):
    """A relation to any number of rows, as a tuple of objects."""

    declared: DeclaredMany

    def bind(self, owner: type, attribute: str, annotation: object, scope: Scope) -> None:
        self.declared = DeclaredMany(owner, attribute, annotation, scope, self.given)

    @overload
    def __get__(self, instance: None, owner: type[E]) -> ToMany[E, C]: ...
    @overload
    def __get__(self, instance: ObjectState, owner: type[E]) -> tuple[C, ...]: ...
    def __get__(self, instance: ObjectState | None, owner: type[Any]) -> Any:
        declared = self.declared
        if instance is None:
            kind: type[Any] = declared.owner
            made: ToMany[Any, Any] = ToMany(kind, declared)
            return made
        return read_relation(instance, declared.name, declared.where)

    def __set__(self, instance: Never, value: Never) -> None:
        refuse_assignment(instance, self.declared.attribute)


def refuse_assignment(instance: object, attribute: str) -> Never:
    """Raise FrozenError for writing to an object."""
    entity = type(instance).__name__
    raise FrozenError(
        f"{entity}.{attribute} cannot be assigned, objects are frozen; "
        f"write with update({entity}.key(...), {entity}.{attribute}.to(...))",
        entity=entity,
        field=attribute,
    )


# --- what a class body calls ------------------------------------------------------------------
# mypy takes the last overload for a declaration that none matches at first sight, as `default=None`
# does not, so the last one has to be one that leaves the field in the constructor.


@overload
def field(
    *,
    name: str = ...,
    identity: bool = ...,
    fill: V = ...,
    unique: bool = ...,
    index: bool = ...,
    precision: int = ...,
    scale: int = ...,
    max_chars: int = ...,
    ge: Any = ...,
    gt: Any = ...,
    le: Any = ...,
    lt: Any = ...,
    doc: str = ...,
) -> Field[V]: ...
@overload
def field(
    *,
    computed: str | Expr,
    stored: bool = ...,
    name: str = ...,
    fill: V = ...,
    unique: bool = ...,
    index: bool = ...,
    precision: int = ...,
    scale: int = ...,
    max_chars: int = ...,
    ge: Any = ...,
    gt: Any = ...,
    le: Any = ...,
    lt: Any = ...,
    doc: str = ...,
    init: Literal[False] = ...,
) -> Field[V]: ...
@overload
def field(
    *,
    default: V | DefaultOf[V],
    name: str = ...,
    identity: bool = ...,
    fill: V = ...,
    unique: bool = ...,
    index: bool = ...,
    precision: int = ...,
    scale: int = ...,
    max_chars: int = ...,
    ge: Any = ...,
    gt: Any = ...,
    le: Any = ...,
    lt: Any = ...,
    doc: str = ...,
) -> Field[V]: ...
def field(**given: Any) -> Field[Any]:
    """Declare more about a field than its type.

    Args:
      name: its name in the schema, where that cannot be written in Python.
      identity: it is the identity of its entity, or a part of it.
      default: what an insert takes that gives no value: a value, `sequence()`, `now()`, `uuid7()`
        or `expression("...")`.
      computed: the expression that its value is; nobody writes it.
      stored: the computed value is kept in the row, so that it can be indexed.
      fill: what rows read as that were written before the field existed.
      unique, index: an index over this field alone.
      precision, scale: digits of a Decimal in all, and after the point.
      max_chars: the longest text allowed.
      ge, gt, le, lt: no value lies below, at or below, above, at or above this one; NULL may.
      doc: what it means.
    """
    return Field(given)


@overload
def one(
    *,
    name: str = ...,
    identity: bool = ...,
    references: str | tuple[str, ...] = ...,
    enforced: bool = ...,
    on_delete: OnDelete = ...,
    deferred: bool = ...,
    unique: bool = ...,
    doc: str = ...,
) -> One[V]: ...
@overload
def one(
    *,
    via: str | tuple[str, ...],
    name: str = ...,
    references: str | tuple[str, ...] = ...,
    enforced: bool = ...,
    on_delete: OnDelete = ...,
    deferred: bool = ...,
    unique: bool = ...,
    doc: str = ...,
    init: Literal[False] = ...,
) -> One[V]: ...
@overload
def one(*, inverse: str, name: str = ..., init: Literal[False] = ...) -> One[V]: ...
@overload
def one(
    *,
    default: None,
    name: str = ...,
    references: str | tuple[str, ...] = ...,
    enforced: bool = ...,
    on_delete: OnDelete = ...,
    deferred: bool = ...,
    unique: bool = ...,
    doc: str = ...,
) -> One[V]: ...
def one(**given: Any) -> One[Any]:
    """Declare a relation to one row.

    Args:
      name: its name in the schema, where that cannot be written in Python.
      identity: the row it leads to is (a part of) the identity of its entity.
      default: None, so that the constructor can go without it.
      via: own fields that hold the foreign key; without it they are made, named
        `<relation>_<field of the target>`.
      references: fields of the target that the foreign key holds, instead of its identity.
      enforced: a value that leads nowhere is refused; else it is kept, and read as None.
      on_delete: what becomes of this row when the one it leads to is deleted: "restrict" (it
        keeps that from being deleted), "cascade" (it is deleted, too), "set_null" (it leads
        nowhere), "no_action" (it has to lead somewhere when the transaction ends).
      deferred: what it leads to needs not be there before the transaction ends.
      unique: no two rows lead to the same one.
      inverse: this is the back of that relation of the other entity, and has no foreign key.
      doc: what it means.
    """
    return One(given)


@overload
def many(*, inverse: str, name: str = ..., init: Literal[False] = ...) -> Many[C]: ...
@overload
def many(
    *,
    through: str,
    to: str,
    order_by: str | Descending | tuple[str | Descending, ...] = ...,
    name: str = ...,
    doc: str = ...,
    init: Literal[False] = ...,
) -> Many[C]: ...
def many(**given: Any) -> Many[Any]:
    """Declare a relation to any number of rows.

    Args:
      inverse: the relation of the other entity that this is the back of.
      through: "Cast.movie", the edge entity and its relation to this entity.
      to: the relation of the edge entity to the other side.
      order_by: fields of the edge entity that order the other side.
      name: its name in the schema, where that cannot be written in Python.
      doc: what it means.
    """
    return Many(given)


def sequence() -> DefaultOf[int]:
    """The next number of the entity's own sequence; never given twice, gaps are possible."""
    return DefaultOf(SequenceDefault())


def now() -> DefaultOf[Any]:
    """The moment of the write, or its UTC day for a date."""
    return DefaultOf(NowDefault())


def uuid7() -> DefaultOf[Any]:
    """A new time-ordered UUID."""
    return DefaultOf(Uuid7Default())


def expression(source: str | Expr) -> DefaultOf[Any]:
    """The value of an expression over the other fields of the new row."""
    return DefaultOf(source if isinstance(source, str) else ExpressionDefault(expression=source))


def desc(column: str | Field[Any]) -> Descending:
    """A column of an index, or of the order of an edge, largest first."""
    return Descending(field=column)


def index(
    *columns: str | Field[Any] | Descending,
    unique: bool = False,
    deferred: bool = False,
    where: str | Expr | None = None,
    name: str | None = None,
    **unknown: Never,
) -> DeclaredIndex:
    """Declare an index over several columns, for `__indexes__`.

    Args:
      columns: names or fields of the class; `desc("...")` for one that descends.
      unique: no two rows have the same values, among those that the index holds.
      deferred: they may have them until the transaction ends.
      where: the index holds only rows for which this is true, as in `where="closed is None"`.
      name: what it is called, if not by its columns.
    """
    given = cast("Mapping[str, object]", unknown)
    return DeclaredIndex(
        columns=columns,
        kind="ordered",
        unique=unique,
        deferred=deferred,
        where=where,
        name=name,
        unknown=given,
    )


def inverted(
    column: str | Field[Any],
    *,
    where: str | Expr | None = None,
    name: str | None = None,
    **unknown: Never,
) -> DeclaredIndex:
    """Declare an index over the items of a list, or the keys and values of JSON, for
    `__indexes__`; it serves has(), or has_key() and contains_json()."""
    given = cast("Mapping[str, object]", unknown)
    return DeclaredIndex(
        columns=(column,), kind="inverted", unique=False, where=where, name=name, unknown=given
    )


def full_text(
    *columns: str | Field[Any],
    where: str | Expr | None = None,
    name: str | None = None,
    **unknown: Never,
) -> DeclaredIndex:
    """Declare an index over the words of one text or of several together, for `__indexes__`; it
    serves matches() of exactly these texts."""
    given = cast("Mapping[str, object]", unknown)
    return DeclaredIndex(
        columns=columns, kind="full_text", unique=False, where=where, name=name, unknown=given
    )


def check(condition: str | Expr, *, name: str | None = None, **unknown: Never) -> DeclaredCheck:
    """Declare an expression that is false for no row, for `__checks__`."""
    given = cast("Mapping[str, object]", unknown)
    return DeclaredCheck(expression=condition, name=name, unknown=given)
