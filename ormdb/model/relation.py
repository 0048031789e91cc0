"""Relations of a class as things to say: what to include, which path to follow, which row.

    Airport.departures.where(...).limit(5)     ToMany[Airport, Flight]   an include
    Flight.plane.include(Plane.model)          OptionalToOne[Flight, Plane]
    Flight.plane[Plane.seats] > 100            a path over to-one relations, as a column of Flight
    Airport.key("JFK").include(...)            Key[Airport], one row by its identity

All are immutable values: every refinement returns a new one.

Invariants (held by tests/unit/model/test_relation.py and tests/typing):
  1. An include, a condition or an order of another entity is refused.
  2. Paths lead over to-one relations only; a to-many relation has no columns.
"""

from __future__ import annotations

import dataclasses
import datetime
import decimal
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Generic, Self, TypeGuard, TypeVar, overload

from ormdb.errors import QueryError, SchemaError, UsageError, ValueTypeError
from ormdb.ir.expr import (
    Aggregate,
    AggregateFunction,
    And,
    Compare,
    Expr,
    FieldRef,
    Literal,
    Quantifier,
    Related,
)
from ormdb.ir.graph import GraphQuery, Include, Page
from ormdb.ir.value import Scalar, Value
from ormdb.model.cell import Named, reader_of
from ormdb.model.clauses import (
    cursor_of,
    derived_specs,
    join_predicates,
    natural,
    order_specs,
    select_names,
)
from ormdb.model.column import (
    Assignment,
    Column,
    OptionalColumn,
    Order,
    Predicate,
    comparable_value,
    is_column,
    require_entity,
)
from ormdb.model.declaration import DeclaredMany, DeclaredOne, declaration_of
from ormdb.model.objects import ObjectState, read_field, read_relation, require_identity
from ormdb.model.spelling import spell_include, spell_value
from ormdb.model.term import Aggregated, Counted, Parameter, Term

E = TypeVar("E")
E_co = TypeVar("E_co", covariant=True)
P = TypeVar("P")
C = TypeVar("C")
U = TypeVar("U")


_NOTHING: Final[Mapping[str, Any]] = {}


class Inclusion(Generic[P, C]):
    """A relation of `P` to follow to `C`, as an include of a query."""

    __slots__ = ("_clauses", "_spec", "declared", "entity")

    def __init__(
        self,
        entity: type[P],
        declared: DeclaredOne | DeclaredMany,
        clauses: Mapping[str, Any] = _NOTHING,
    ) -> None:
        self.entity = entity
        self.declared = declared
        self._clauses = clauses
        self._spec: Include | None = None

    @property
    def spec(self) -> Include:
        """The include as `ir` has it; made when it is first asked for."""
        if self._spec is None:
            self._spec = Include(relation=self.declared.name, **self._clauses)
        return self._spec

    def include(self, *inclusions: Inclusion[C, Any]) -> Self:
        """Also follow these relations from every row reached."""
        before = self._clauses.get("includes", ())
        added = include_specs(before, inclusions, self.declared.known_target)
        return self._with(includes=added)

    def select(self, *columns: Column[C, Any]) -> Self:
        """Load these fields (and the identity) only."""
        return self._with(select=select_names(columns, self.declared.known_target))

    def any(self, *predicates: Predicate[C] | str) -> Predicate[P]:
        """True for rows of `P` with a related row for which all predicates are true."""
        return self._asked("any", predicates)

    def none(self, *predicates: Predicate[C] | str) -> Predicate[P]:
        """True for rows of `P` without a related row for which all predicates are true."""
        return self._asked("none", predicates)

    def all(self, *predicates: Predicate[C] | str) -> Predicate[P]:
        """True for rows of `P` whose related rows, if any, have all predicates true of them."""
        return self._asked("all", predicates)

    def derive(self, *values: Named[C, Any]) -> Self:
        """Show these values with each row reached; `of` reads them."""
        before = self._clauses.get("derived", ())
        return self._with(derived=derived_specs(before, values, self.declared.known_target))

    def named(self, alias: str) -> Self:
        """Show it under another name, so that one relation can be included several times."""
        return self._with(alias=alias)

    def _with(self, **changes: Any) -> Self:
        return type(self)(self.entity, self.declared, {**self._clauses, **changes})

    def _filtered(self, predicates: Sequence[Predicate[C] | str]) -> Self:
        target = self.declared.known_target
        before = self._clauses.get("filter")
        return self._with(filter=join_predicates(before, predicates, target))

    def _fold(
        self, function: AggregateFunction, operand: Term[C, Any] | None, *, distinct: bool = False
    ) -> Aggregate:
        spec, target = self._whole(function), self.declared.known_target
        if operand is not None and target is not None:
            require_entity(operand.entity, target, "value", operand)
        return Aggregate(
            function=function,
            operand=None if operand is None else operand.expression,
            distinct=distinct,
            filter=spec.filter,
            path=(spec.relation,),
        )

    def _whole(self, what: str) -> Include:
        """The include, which is about all rows of the relation that its filter keeps."""
        spec = self.spec
        if spec != Include(relation=spec.relation, filter=spec.filter):
            raise QueryError(
                f"{self}.{what}() is about all rows of the relation; "
                "leave its order, limit, selection, includes and name out"
            )
        return spec

    def _asked(self, kind: Quantifier, predicates: Sequence[Predicate[C] | str]) -> Predicate[P]:
        spec = (self._filtered(predicates) if predicates else self)._whole(kind)
        return Predicate(self.entity, Related(kind=kind, path=(spec.relation,), filter=spec.filter))

    def _found(self, parent: object) -> Any:
        row = _as_object(parent)
        require_entity(type(row), self.entity, "include", self)
        return read_relation(row, self.spec.name, repr(self))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Inclusion):
            return NotImplemented
        return self._parts() == other._parts()

    def __hash__(self) -> int:
        return hash(self._parts())

    def _parts(self) -> tuple[object, ...]:
        return self.entity, self.spec

    def __repr__(self) -> str:
        return f"{self.entity.__name__}.{spell_include(self.spec)}"

    def __reduce__(self) -> tuple[Any, ...]:
        place = (self.declared.owner, self.declared.attribute)
        return _restore_inclusion, (type(self), place, dict(self._clauses))


def _restore_inclusion(
    kind: type[Inclusion[Any, Any]], place: tuple[type, str], clauses: dict[str, Any]
) -> Inclusion[Any, Any]:
    declared = declaration_of(place[0]).attributes[place[1]]
    assert isinstance(declared, DeclaredOne | DeclaredMany), f"{declared.where} was a relation"
    return kind(place[0], declared, clauses)


class ToMany(Inclusion[P, C]):
    """A relation to any number of rows; filter, order and page count per parent."""

    __slots__ = ()

    def where(self, *predicates: Predicate[C] | str) -> Self:
        """Keep the rows for which all predicates are true."""
        return self._filtered(predicates)

    def order_by(self, *keys: Order[C] | Term[C, Any]) -> Self:
        """Order by these keys, after those given before."""
        target = self.declared.known_target
        return self._with(order=(*self._clauses.get("order", ()), *order_specs(keys, target)))

    def limit(self, count: int | Parameter[int]) -> Self:
        """Keep the first `count` rows of every parent."""
        return self._with(limit=natural(count, "limit"))

    def offset(self, count: int | Parameter[int]) -> Self:
        """Leave out the first `count` rows of every parent."""
        return self._with(offset=natural(count, "offset"))

    def after(self, cursor: str | Parameter[str] | None) -> Self:
        """Of every parent, begin behind a cursor that `next_cursor_of` gave; None means at the
        start."""
        self._refuse_two_cursors(cursor, "before")
        return self._with(after=cursor_of(cursor, "after"))

    def before(self, cursor: str | Parameter[str] | None) -> Self:
        """Of every parent, end in front of a cursor that `previous_cursor_of` gave; None means at
        the end."""
        self._refuse_two_cursors(cursor, "after")
        return self._with(before=cursor_of(cursor, "before"))

    def _refuse_two_cursors(self, cursor: object, other: str) -> None:
        if cursor is not None and self._clauses.get(other) is not None:
            raise QueryError("a page lies after one cursor or before one; give one of them")

    def count(self, value: Term[C, Any] | None = None, *, distinct: bool = False) -> Counted[P]:
        """How many related rows there are, of those that `where` keeps; of a value, how many have
        it; `distinct`, how many different values they have."""
        return Counted(self.entity, self._fold("count", value, distinct=distinct))

    def sum(self, value: Term[C, U]) -> Aggregated[P, U]:
        """The sum of a value of the related rows; NULL where none has one."""
        return Aggregated(self.entity, self._fold("sum", value))

    @overload
    def avg(self, value: Term[C, int] | Term[C, float]) -> Aggregated[P, float]: ...
    @overload
    def avg(self, value: Term[C, decimal.Decimal]) -> Aggregated[P, decimal.Decimal]: ...
    @overload
    def avg(self, value: Term[C, datetime.timedelta]) -> Aggregated[P, datetime.timedelta]: ...
    def avg(self, value: Term[C, Any]) -> Aggregated[P, Any]:
        """The mean of a value of the related rows; NULL where none has one."""
        return Aggregated(self.entity, self._fold("avg", value))

    def min(self, value: Term[C, U]) -> Aggregated[P, U]:
        """The least value of the related rows; NULL where none has one."""
        return Aggregated(self.entity, self._fold("min", value), reader_of(value))

    def max(self, value: Term[C, U]) -> Aggregated[P, U]:
        """The largest value of the related rows; NULL where none has one."""
        return Aggregated(self.entity, self._fold("max", value), reader_of(value))

    def of(self, parent: P) -> tuple[C, ...]:
        """Return what this include loaded for `parent`; for those that are `named`."""
        found: tuple[C, ...] = self._found(parent)
        return found


class Path(Generic[P, C]):
    """To-one relations to follow from `P`, one after another, to `C`."""

    __slots__ = ("entity", "steps", "target")

    def __init__(self, entity: type[P], steps: tuple[str, ...], target: type | None) -> None:
        self.entity = entity
        self.steps = steps
        self.target = target

    @overload
    def __getitem__(self, further: OptionalColumn[C, U]) -> OptionalColumn[P, U]: ...
    @overload
    def __getitem__(self, further: Column[C, U]) -> OptionalColumn[P, U]: ...
    @overload
    def __getitem__(
        self, further: ToOne[C, U] | OptionalToOne[C, U] | Path[C, U]
    ) -> Path[P, U]: ...
    def __getitem__(self, further: object) -> Any:
        return self.follow(further)

    def follow(self, further: object) -> Any:
        """Return what lies at the end of this path and a further one."""
        if is_column(further):
            self._require(further.entity, "column", further)
            column: OptionalColumn[P, Any]  # one class serves both static types, as of fields
            column = OptionalColumn(self.entity, (*self.steps, *further.path), further.declared)
            return column
        path = further.path if _is_to_one(further) else further
        if _is_path(path):
            self._require(path.entity, "path", path)
            made: Path[P, Any] = Path(self.entity, (*self.steps, *path.steps), path.target)
            return made
        raise QueryError(f"{self}[{further!r}] is no path; give a column or a to-one relation")

    def _require(self, given: type, word: str, what: object) -> None:
        if self.target is not None:
            require_entity(given, self.target, word, what)

    def __repr__(self) -> str:
        return ".".join((self.entity.__name__, *self.steps))


class _ToOne(Inclusion[P, C]):
    __slots__ = ()

    @property
    def path(self) -> Path[P, C]:
        """The relation as the beginning of a path."""
        return Path(self.entity, (self.declared.name,), self.declared.known_target)

    def _assign(self, target: object) -> Assignment[P]:
        if not isinstance(self.declared, DeclaredOne) or self.declared.is_back:
            raise UsageError(f"the foreign key of {self} is on the other side; update it there")
        return Assignment(self.entity, foreign_values(self.declared, target))


class ToOne(_ToOne[P, C]):
    """A relation to exactly one row."""

    __slots__ = ()

    @overload
    def __getitem__(self, further: OptionalColumn[C, U]) -> OptionalColumn[P, U]: ...
    @overload
    def __getitem__(self, further: Column[C, U]) -> Column[P, U]: ...
    @overload
    def __getitem__(
        self, further: ToOne[C, U] | OptionalToOne[C, U] | Path[C, U]
    ) -> Path[P, U]: ...
    def __getitem__(self, further: Any) -> Any:
        return self.path.follow(further)

    def to(self, target: C | Key[C]) -> Assignment[P]:
        """The assignment of another row to this relation, for `update`."""
        return self._assign(target)

    def of(self, parent: P) -> C:
        """Return what this include loaded for `parent`; for those that are `named`."""
        found: C = self._found(parent)
        return found


class OptionalToOne(_ToOne[P, C]):
    """A relation to at most one row."""

    __slots__ = ()

    @overload
    def __getitem__(self, further: OptionalColumn[C, U]) -> OptionalColumn[P, U]: ...
    @overload
    def __getitem__(self, further: Column[C, U]) -> OptionalColumn[P, U]: ...
    @overload
    def __getitem__(
        self, further: ToOne[C, U] | OptionalToOne[C, U] | Path[C, U]
    ) -> Path[P, U]: ...
    def __getitem__(self, further: Any) -> Any:
        return self.path.follow(further)

    def where(self, *predicates: Predicate[C] | str) -> Self:
        """Read as None unless all predicates are true of the row."""
        return self._filtered(predicates)

    def to(self, target: C | Key[C] | None) -> Assignment[P]:
        """The assignment of another row, or of none, to this relation, for `update`."""
        return self._assign(target)

    def of(self, parent: P) -> C | None:
        """Return what this include loaded for `parent`; for those that are `named`."""
        found: C | None = self._found(parent)
        return found


class Key(Generic[E_co]):
    """One row of an entity by its identity, and what to load with it."""

    __slots__ = ("_query", "entity", "values")

    def __init__(
        self, entity: type[E_co], values: tuple[Value, ...], query: GraphQuery | None = None
    ) -> None:
        self.entity = entity
        self.values = values
        self._query = query

    @property
    def ir(self) -> GraphQuery:
        """The query for this row."""
        return self._query or key_query(self.entity, self.values)

    @property
    def is_plain(self) -> bool:
        """Whether the row is asked for as it is: all its fields, and no relation."""
        return self._query is None

    def include(self: Key[E], *inclusions: Inclusion[E, Any]) -> Key[E]:
        """Also follow these relations from the row."""
        added = include_specs(self.ir.includes, inclusions, self.entity)
        return Key(self.entity, self.values, dataclasses.replace(self.ir, includes=added))

    def select(self: Key[E], *columns: Column[E, Any]) -> Key[E]:
        """Load these fields (and the identity) only."""
        names = select_names(columns, self.entity)
        return Key(self.entity, self.values, dataclasses.replace(self.ir, select=names))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Key):
            return NotImplemented
        return self._parts() == other._parts()

    def __hash__(self) -> int:
        return hash(self._parts())

    def _parts(self) -> tuple[object, ...]:
        return self.entity, self.values, self._query

    def __repr__(self) -> str:
        shown = f"{self.entity.__name__}.key({', '.join(map(spell_value, self.values))})"
        includes = () if self._query is None else self._query.includes
        return f"{shown}.include({', '.join(map(spell_include, includes))})" if includes else shown


def make_key(
    entity: type[E], values: tuple[Scalar, ...], named: dict[str, Scalar] | None = None
) -> Key[E]:
    """Return a key from identity values in declared order, or by field name.

    Raises:
      UsageError: their number or their names are not those of the identity.
    """
    declaration = declaration_of(entity)
    if not named and tuple(map(type, values)) == declaration.exact_identity:
        return Key(entity, values)
    try:
        names: tuple[str, ...] | None = declaration.identity_names()
    except SchemaError:
        names = None  # it rests on a class that is not defined yet
    if named:
        given = {declaration.field_name(name): value for name, value in named.items()}
        if values or names is None or set(given) != set(names):
            raise UsageError(f"{entity.__name__}.key({_listed(given)}): {_key_remedy(names)}")
        values = tuple(given[name] for name in names)
    if names is not None and len(names) != len(values):
        raise UsageError(f"{entity.__name__}.key() got {len(values)} values; {_key_remedy(names)}")
    return Key(entity, tuple(_key_values(entity, names, values)))


def key_query(entity: type, values: tuple[Value, ...]) -> GraphQuery:
    """Return the query for the one row with this identity."""
    declaration = declaration_of(entity)
    tests: list[Expr] = [
        Compare(op="==", left=FieldRef(path=(name,)), right=Literal(value=value))
        for name, value in zip(declaration.identity_names(), values, strict=True)
    ]
    only = tests[0] if len(tests) == 1 else And(items=tuple(tests))
    return GraphQuery(entity=declaration.name, filter=only, page=Page(limit=1))


def foreign_values(declared: DeclaredOne, target: object) -> tuple[tuple[str, Value], ...]:
    """Return the foreign key fields that lead to a row: given as object, as key, or None.

    Raises:
      ValueTypeError: it is none of these, or a row of another entity.
      UsageError: the row does not say the values that the foreign key holds.
    """
    names = declared.foreign_names()
    if target is None:
        if not declared.optional:
            raise ValueTypeError(f"{declared.where} is required; give a row instead of None")
        return tuple((name, None) for name in names)
    kind = declared.target
    given: type = target.entity if _is_key(target) else type(target)
    if given is not kind:
        raise ValueTypeError(
            f"{declared.where}: {target!r} is no {kind.__name__}; "
            f"give {kind.__name__}.key(...) or an object of it"
        )
    wanted = declared.target_names()
    if _is_key(target):
        if wanted != declaration_of(kind).identity_names():
            raise UsageError(
                f"{declared.where} refers to {_listed(wanted)}, which {target!r} does not say; "
                f"give an object of {kind.__name__}"
            )
        return tuple(zip(names, target.values, strict=True))
    row = _as_object(target)
    if wanted == declaration_of(kind).identity_names():
        return tuple(zip(names, require_identity(row), strict=True))
    return tuple(zip(names, [read_field(row, name) for name in wanted], strict=True))


def include_specs(
    before: tuple[Include, ...], inclusions: Iterable[Inclusion[Any, Any]], entity: type | None
) -> tuple[Include, ...]:
    """Return the includes of `entity` with further ones."""
    specs = list(before)
    for one in inclusions:
        if not isinstance(one, Inclusion):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise QueryError(f"{one!r} is no relation; give one, as in Airport.departures")
        if entity is not None:
            require_entity(one.entity, entity, "include", one)
        if any(one.spec.name == spec.name for spec in specs):
            raise QueryError(
                f"{one.spec.name!r} is included twice; tell them apart with .named('...')"
            )
        specs.append(one.spec)
    return tuple(specs)


def _key_values(
    entity: type, names: tuple[str, ...] | None, values: tuple[Scalar, ...]
) -> Iterable[Value]:
    fields = declaration_of(entity).fields
    for at, value in enumerate(values):
        declared = fields.get(names[at]) if names is not None else None
        kind = None if declared is None else declared.known_kind
        if value is None:  # pyright: ignore[reportUnnecessaryComparison]
            raise ValueTypeError(f"{entity.__name__}.key({values!r}): an identity is never None")
        if declared is None or kind is None or type(value) is kind.exact:
            yield value
        else:
            encoded = value if kind.encode is None else kind.encode(value)
            yield comparable_value(kind.type, encoded, declared.where)


def _key_remedy(names: tuple[str, ...] | None) -> str:
    if names is None:
        return "give the values in the order of the identity"
    return f"the identity is {_listed(names)}"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)


def _is_key(given: object) -> TypeGuard[Key[Any]]:
    return isinstance(given, Key)


def _is_path(given: object) -> TypeGuard[Path[Any, Any]]:
    return isinstance(given, Path)


def _is_to_one(given: object) -> TypeGuard[_ToOne[Any, Any]]:
    return isinstance(given, _ToOne)


def _as_object(given: object) -> ObjectState:
    if not isinstance(given, ObjectState):
        raise UsageError(f"{given!r} is no row object; give an object of an entity class")
    return given
