"""What an entity class declares, as data: read by queries, by objects and by the schema.

    class Flight(Entity):                       Declaration  name "Flight"
        id: Field[int] = field(identity=True)     DeclaredField  id      options identity
        origin: One[Airport]                      DeclaredOne    origin  -> origin_faa
        plane: One[Plane | None] = one(via=...)   DeclaredOne    plane   -> tailnum
        legs: Many[Leg] = many(inverse=...)       DeclaredMany   legs

Nothing is judged here.  Annotations are read when somebody asks, because they may name classes
that do not exist yet; who asks early gets None and asks less precisely.

Invariants (held by tests/unit/model/test_declaration.py):
  1. An option that is not known is kept in `unknown`, so that `build` can refuse it by name.
  2. A declaration can be read in any order of classes, and two classes may name one another.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from ormdb.errors import SchemaError, UsageError
from ormdb.ir.expr import Expr
from ormdb.ir.schema import Default, IndexKind
from ormdb.model.annotation import Convert, Refinement, Scope, ValueKind, argument_of, read_kind

Options = TypeVar("Options", bound="FieldOptions | OneOptions | ManyOptions")
Value_co = TypeVar("Value_co", covariant=True)


class _Missing:
    """Tells "not given" from None."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final = _Missing()

# What later versions may build, by the option or the class attribute that would ask for it.
NOT_BUILT: Final[Mapping[str, str]] = {
    "created_at": "created timestamps are",
    "default_order": "a default order is",
    "mask": "a field mask is",
    "masks": "field masks are",
    "order": "a default order is",
    "partition_by": "partitioning is",
    "policies": "row policies are",
    "policy": "a row policy is",
    "retention": "retention per entity is",
    "sensitivity": "field sensitivity is",
    "updated_at": "updated timestamps are",
    "was": "a declared rename is",
}


@dataclass(frozen=True, slots=True, eq=False)
class DefaultOf(Generic[Value_co]):
    """Where the value of a field comes from when an insert gives none.

    `source` is a default of `ir`, or the text of an expression.
    """

    source: Default | str

    def __repr__(self) -> str:
        return f"expression({self.source!r})" if isinstance(self.source, str) else str(self.source)


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldOptions:
    """What `field(...)` was given."""

    name: str | None = None
    identity: bool = False
    default: object = MISSING
    computed: str | Expr | None = None
    stored: bool = False
    fill: object = None
    unique: bool = False
    index: bool = False
    precision: int | None = None
    scale: int | None = None
    max_chars: int | None = None
    ge: object = None
    gt: object = None
    le: object = None
    lt: object = None
    doc: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OneOptions:
    """What `one(...)` was given."""

    name: str | None = None
    identity: bool = False
    default: object = MISSING
    via: str | tuple[str, ...] | None = None
    references: str | tuple[str, ...] | None = None
    enforced: bool = True
    on_delete: str = "restrict"
    deferred: bool = False
    unique: bool = False
    inverse: str | None = None
    doc: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Descending:
    """A field of an index or of an edge order, largest first."""

    field: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class ManyOptions:
    """What `many(...)` was given."""

    name: str | None = None
    inverse: str | None = None
    through: str | None = None
    to: str | None = None
    order_by: str | Descending | tuple[str | Descending, ...] = ()
    doc: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredIndex:
    """What `index(...)`, `inverted(...)` or `full_text(...)` was given; a column is a name or the
    field object of the class body."""

    columns: tuple[Any, ...]
    kind: IndexKind
    unique: bool
    where: str | Expr | None
    name: str | None
    unknown: Mapping[str, object]
    deferred: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredCheck:
    """What `check(...)` was given."""

    expression: str | Expr
    name: str | None
    unknown: Mapping[str, object]


class _Attribute:
    """What fields and relations have in common: a name in Python, a name in the schema."""

    def __init__(
        self, owner: type, attribute: str, annotation: object, scope: Scope, name: str | None
    ) -> None:
        self.owner = owner
        self.attribute = attribute
        self.annotation = annotation
        self.scope = scope
        self.name = name or attribute

    @property
    def where(self) -> str:
        """How errors name it."""
        return f"{self.owner.__name__}.{self.attribute}"

    def _argument(self) -> tuple[Any, bool]:
        return argument_of(self.scope.evaluate(self.annotation))


class DeclaredField(_Attribute):
    """One field as declared."""

    def __init__(
        self,
        owner: type,
        attribute: str,
        annotation: object,
        scope: Scope,
        given: Mapping[str, object],
    ) -> None:
        self.options, self.unknown = split_options(FieldOptions, given)
        super().__init__(owner, attribute, annotation, scope, _text(self.options.name))

    @functools.cached_property
    def kind(self) -> ValueKind:
        """The field's type; SchemaError when the annotation cannot be read."""
        options = self.options
        refinement = Refinement(
            precision=options.precision, scale=options.scale, max_chars=options.max_chars
        )
        return read_kind(self.scope.evaluate(self.annotation), refinement, self.scope)

    @property
    def known_kind(self) -> ValueKind | None:
        """The field's type, or None when it cannot be read yet; `build` then says why."""
        try:
            return self.kind
        except SchemaError:
            return None

    @property
    def required(self) -> bool:
        """Whether a new row must give a value, as far as is known."""
        default = self.options.default
        if not (default is MISSING or default is None) or self.options.computed is not None:
            return False
        kind = self.known_kind
        return kind is not None and not kind.optional


class _Relation(_Attribute):
    """A side of a relation: it knows whither."""

    @functools.cached_property
    def _read(self) -> tuple[type, bool]:
        found, optional = self._argument()
        if not (isinstance(found, type) and "__ormdb__" in vars(found)):
            raise SchemaError(f"{found!r} is no entity; a relation leads to a subclass of Entity")
        return found, optional

    @property
    def target(self) -> type:
        """The entity class at the other end; SchemaError when it is not defined (yet)."""
        return self._read[0]

    @property
    def optional(self) -> bool:
        """Whether None was allowed."""
        return self._read[1]

    @property
    def known_target(self) -> type | None:
        """The entity class at the other end, or None when it cannot be found yet."""
        try:
            return self.target
        except SchemaError:
            return None


class DeclaredOne(_Relation):
    """A to-one side as declared: a foreign key, or with `inverse` the back of one."""

    def __init__(
        self,
        owner: type,
        attribute: str,
        annotation: object,
        scope: Scope,
        given: Mapping[str, object],
    ) -> None:
        self.options, self.unknown = split_options(OneOptions, given)
        super().__init__(owner, attribute, annotation, scope, _text(self.options.name))

    @property
    def is_back(self) -> bool:
        """Whether the foreign key is on the other side."""
        return self.options.inverse is not None

    @property
    def required(self) -> bool:
        """Whether a new row must give it, as far as is known."""
        options = self.options
        if self.is_back or options.via is not None or options.default is not MISSING:
            return False
        return self.known_target is not None and not self.optional

    def target_names(self, seen: tuple[type, ...] = ()) -> tuple[str, ...]:
        """The target's fields that the foreign key holds; SchemaError when unknown yet."""
        target = declaration_of(self.target)
        references = as_names(self.options.references)
        if references:
            return tuple(target.field_name(name) for name in references)
        return target.identity_names(seen)

    def foreign_names(self, seen: tuple[type, ...] = ()) -> tuple[str, ...]:
        """The own fields that hold the foreign key; SchemaError when unknown yet."""
        via = as_names(self.options.via)
        if via:
            own = declaration_of(self.owner)
            return tuple(own.field_name(name) for name in via)
        return tuple(f"{self.name}_{name}" for name in self.target_names(seen))


class DeclaredMany(_Relation):
    """A to-many side as declared."""

    def __init__(
        self,
        owner: type,
        attribute: str,
        annotation: object,
        scope: Scope,
        given: Mapping[str, object],
    ) -> None:
        self.options, self.unknown = split_options(ManyOptions, given)
        super().__init__(owner, attribute, annotation, scope, _text(self.options.name))


class Declaration:
    """Everything one entity class declares, in order, bases first."""

    def __init__(self, entity: type, *, name: str | None, doc: str, abstract: bool) -> None:
        self.entity = entity
        self.name = name or entity.__name__
        self.doc = doc
        self.abstract = abstract
        self.attributes: dict[str, DeclaredField | DeclaredOne | DeclaredMany] = {}
        self.indexes: tuple[object, ...] = ()
        self.checks: tuple[object, ...] = ()
        self.soft_delete = False
        self.unknown: Mapping[str, object] = {}
        self.problems: list[str] = []
        # How pickle makes the class again when it cannot be imported by its name.
        self.remake: tuple[Callable[..., type], tuple[object, ...]] | None = None
        self._identity: tuple[str, ...] | None = None
        # What constructor calls and inserts work out once: see `drafts`.
        self.plans: dict[tuple[str, ...], Sequence[tuple[str, bool]]] = {}
        self.encoders: Mapping[str, Convert] | None = None
        self._exact_identity: tuple[type | None, ...] | None = None

    def forget(self) -> None:
        """Work everything out anew: the names of the schema are known now."""
        self._identity = None
        self._exact_identity = None
        self.plans.clear()
        self.encoders = None

    @functools.cached_property
    def fields(self) -> Mapping[str, DeclaredField]:
        """The declared fields by their names in the schema."""
        return {f.name: f for f in self.attributes.values() if isinstance(f, DeclaredField)}

    @functools.cached_property
    def computed_names(self) -> frozenset[str]:
        """The fields that nobody writes."""
        fields = self.fields.items()
        return frozenset(name for name, one in fields if one.options.computed is not None)

    @functools.cached_property
    def relations(self) -> Mapping[str, DeclaredOne | DeclaredMany]:
        """The declared relations by their names in the schema."""
        return {r.name: r for r in self.attributes.values() if not isinstance(r, DeclaredField)}

    def field_name(self, name: str) -> str:
        """The schema's name of a field, given by that or by its name in Python."""
        found = self.attributes.get(name)
        return found.name if isinstance(found, DeclaredField) else name

    def relation_named(self, name: str) -> DeclaredOne | DeclaredMany | None:
        """A relation by its name in the schema or in Python."""
        found = self.attributes.get(name)
        return self.relations.get(name) if isinstance(found, DeclaredField | None) else found

    def identity_names(self, seen: tuple[type, ...] = ()) -> tuple[str, ...]:
        """The identity in declared order; SchemaError when it rests on unknown classes.

        `seen` are the entities whose identity is being asked for: one may hold that of another.
        """
        if self._identity is not None:
            return self._identity
        if self.entity in seen:
            raise SchemaError(
                f"the identity of {self.name} rests on itself; give it a field of its own"
            )
        names: list[str] = []
        for one in self.attributes.values():
            if isinstance(one, DeclaredField) and one.options.identity is True:
                names.append(one.name)
            elif isinstance(one, DeclaredOne) and one.options.identity is True:
                names.extend(one.foreign_names((*seen, self.entity)))
        self._identity = tuple(names)
        return self._identity

    @property
    def exact_identity(self) -> tuple[type | None, ...] | None:
        """Per part of the identity the class whose values need no check, or None; None for all
        as long as the identity rests on a class that is not defined yet."""
        if self._exact_identity is None:
            try:
                parts = [self.fields.get(name) for name in self.identity_names()]
                kinds = [None if part is None else part.kind for part in parts]
            except SchemaError:
                return None
            self._exact_identity = tuple(None if kind is None else kind.exact for kind in kinds)
        return self._exact_identity


def declaration_of(entity: type) -> Declaration:
    """Return what an entity class declares.

    Raises:
      UsageError: it is not an entity class.
    """
    found = getattr(entity, "__dict__", {}).get("__ormdb__")  # of itself, not of a base
    if not isinstance(found, Declaration):
        raise UsageError(f"{entity!r} is no entity; give a class that extends ormdb.Entity")
    return found


def entity_name(entity: str | type) -> str:
    """Return the schema's name of an entity that is given as a class or by that name."""
    return entity if isinstance(entity, str) else declaration_of(entity).name


def as_names(given: str | tuple[str, ...] | None) -> tuple[str, ...]:
    """One name, several or none, as a tuple."""
    if given is None:
        return ()
    return (given,) if isinstance(given, str) else tuple(given)


def split_options(
    kind: type[Options], given: Mapping[str, object]
) -> tuple[Options, dict[str, object]]:
    """Return the options that `kind` knows, and those it does not."""
    names = {part.name for part in dataclasses.fields(kind)}
    known: dict[str, Any] = {name: value for name, value in given.items() if name in names}
    return kind(**known), {name: value for name, value in given.items() if name not in names}


def _text(name: object) -> str | None:
    """A name of another type is kept out here and refused by `build`."""
    return name if isinstance(name, str) else None
