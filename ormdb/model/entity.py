"""Entity classes: declared by a body, asked by their methods, made into objects by a call.

    class Stamped(Entity, abstract=True):              fields for others to inherit
        created: Field[datetime] = field(default=now())

    class Flight(Stamped, name="flight"):
        "One departure."                               the doc of the entity
        id: Field[int] = field(identity=True)
        origin: One[Airport]                           Airport may come later
        __indexes__ = (index("origin_faa", desc("id")),)

    Flight.where(...)        Query[Flight]             methods of the metaclass,
    Flight.key(7)            Key[Flight]               so that objects complete fields only
    Flight(id=7, ...)        a row to insert

A class body only notes what it says; `build_bundle` judges it, all mistakes at once.

Invariants (held by tests/unit/model/test_entity.py):
  1. Every entity class has its own descriptors, also for fields that it inherits.
  2. Objects have no attribute but their fields and relations, and none can be assigned.
"""

from __future__ import annotations

import copyreg
import inspect
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, dataclass_transform

from ormdb.errors import UsageError
from ormdb.ir.graph import AsOf
from ormdb.ir.value import RowDict, Scalar
from ormdb.model.annotation import Scope
from ormdb.model.body import local_names, read_body
from ormdb.model.cell import Named
from ormdb.model.column import Column, Order, Predicate
from ormdb.model.declaration import (
    Declaration,
    DeclaredCheck,
    DeclaredIndex,
    DeclaredOne,
    declaration_of,
)
from ormdb.model.drafts import fill_draft
from ormdb.model.fields import Marker, field, many, one, refuse_assignment
from ormdb.model.objects import (
    NOT_LOADED,
    ObjectState,
    hash_object,
    object_dict,
    read_field,
    same_object,
    show_object,
)
from ormdb.model.query import Query
from ormdb.model.relation import Inclusion, Key, make_key
from ormdb.model.term import Parameter, Term

E = TypeVar("E")


# Not `frozen_default`: mypy then reads inherited fields as plain values on the class as well, so
# that `Flight.created > moment` loses its type.  `Field.__set__` refuses assignments instead.
# `eq_default` is off because pyright takes what has a made `==`, and is not frozen, for unhashable.
@dataclass_transform(kw_only_default=True, eq_default=False, field_specifiers=(field, one, many))
class EntityMeta(type):
    """The class of entity classes: a query begins at a class.

    A field named like one of these methods hides it, and mypy takes the method for the field:
    such a field is better declared as `limit_: Field[int] = field(name="limit")`.
    """

    def __new__(
        cls,
        class_name: str,
        bases: tuple[type, ...],
        namespace: dict[str, Any],
        /,
        *,
        name: str | None = None,
        doc: str | None = None,
        abstract: bool = False,
        **unknown: object,
    ) -> EntityMeta:
        """Make the class and note what it declares."""
        if "__slots__" not in namespace:
            namespace["__slots__"] = ()
        own = {key: value for key, value in namespace.items() if isinstance(value, Marker)}
        made = super().__new__(
            cls, class_name, bases, {k: v for k, v in namespace.items() if k not in own}
        )
        said = doc if doc is not None else inspect.cleandoc(namespace.get("__doc__") or "")
        declaration = Declaration(made, name=name, doc=said, abstract=abstract)
        declaration.unknown = unknown
        # Noted on the class itself, where a subclass does not find it.
        type.__setattr__(made, "__ormdb__", declaration)
        frame = inspect.currentframe()
        scope = Scope(made.__module__, local_names(made, frame and frame.f_back))
        read_body(made, declaration, own, scope)
        return made

    def where(cls: type[E], *predicates: Predicate[E] | str) -> Query[E]:
        """Begin a query for the rows for which all predicates are true."""
        return Query(cls).where(*predicates)

    def all(cls: type[E]) -> Query[E]:
        """Begin a query for all rows."""
        return Query(cls)

    def include(cls: type[E], *inclusions: Inclusion[E, Any]) -> Query[E]:
        """Begin a query that also follows these relations."""
        return Query(cls).include(*inclusions)

    def derive(cls: type[E], *values: Named[E, Any]) -> Query[E]:
        """Begin a query that shows these values with each row."""
        return Query(cls).derive(*values)

    def order_by(cls: type[E], *keys: Order[E] | Term[E, Any]) -> Query[E]:
        """Begin a query in this order."""
        return Query(cls).order_by(*keys)

    def select(cls: type[E], *columns: Column[E, Any]) -> Query[E]:
        """Begin a query that loads these fields (and the identity) only."""
        return Query(cls).select(*columns)

    def limit(cls: type[E], count: int | Parameter[int]) -> Query[E]:
        """Begin a query for the first `count` rows."""
        return Query(cls).limit(count)

    def offset(cls: type[E], count: int | Parameter[int]) -> Query[E]:
        """Begin a query that leaves out the first `count` rows."""
        return Query(cls).offset(count)

    def after(cls: type[E], cursor: str | Parameter[str] | None) -> Query[E]:
        """Begin a query behind a cursor."""
        return Query(cls).after(cursor)

    def before(cls: type[E], cursor: str | Parameter[str] | None) -> Query[E]:
        """Begin a query that ends in front of a cursor."""
        return Query(cls).before(cursor)

    def as_of(cls: type[E], moment: AsOf | None) -> Query[E]:
        """Begin a query into the past."""
        return Query(cls).as_of(moment)

    def budget(
        cls: type[E],
        *,
        depth: int | None = None,
        fanout: int | None = None,
        rows: int | None = None,
        edges: int | None = None,
        bytes: int | None = None,  # noqa: A002  (the budget's own name for it)
        time_s: float | None = None,
    ) -> Query[E]:
        """Begin a query that may touch so much and no more."""
        return Query(cls).budget(
            depth=depth, fanout=fanout, rows=rows, edges=edges, bytes=bytes, time_s=time_s
        )

    def key(cls: type[E], *identity: Scalar, **named: Scalar) -> Key[E]:
        """Name one row by its identity, in declared order or by field name."""
        return make_key(cls, identity, named)

    def __repr__(cls) -> str:
        return f"<entity {cls.__module__}.{cls.__qualname__}>"

    if not TYPE_CHECKING:
        # Hidden from type checkers, to which any attribute would exist then.

        def __getattr__(cls, name: str) -> Column[Any, Any]:
            """The foreign key field that a relation without `via` makes: `Flight.origin_faa`."""
            declaration = vars(cls).get("__ormdb__")
            if declaration is not None and not name.startswith("__"):
                for relation in declaration.relations.values():
                    implied = isinstance(relation, DeclaredOne) and relation.options.via is None
                    if implied and name.startswith(f"{relation.name}_") and not relation.is_back:
                        return Column(cls, (name,), None)
                if name in declaration.fields:
                    return getattr(cls, declaration.fields[name].attribute)
            raise AttributeError(
                f"{cls.__name__} has no field or relation {name!r}", name=name, obj=cls
            )


class Entity(ObjectState, metaclass=EntityMeta, abstract=True):
    """The base of every entity class.

    An object is one row: frozen, equal to others by class and identity, picklable.  Made by a call
    it is a row to insert; out of an answer it holds what was asked for and nothing else.
    """

    __indexes__: ClassVar[tuple[DeclaredIndex, ...]] = ()
    __checks__: ClassVar[tuple[DeclaredCheck, ...]] = ()
    __hooks__: ClassVar[tuple[object, ...]] = ()  # made by `before`, `after` and `validator`
    __soft_delete__: ClassVar[bool] = False

    def __init_subclass__(
        cls,
        *,
        name: str | None = None,
        doc: str | None = None,
        abstract: bool = False,
        **unknown: object,
    ) -> None:
        super().__init_subclass__()

    def __init__(self, *positional: object, **values: object) -> None:
        if positional:
            raise UsageError(
                f"{type(self).__name__}(...) takes fields by keyword; write field=value"
            )
        fill_draft(self, values)

    def to_dict(self) -> RowDict:
        """What is loaded of this row and around it, as nested dicts by the names of the schema."""
        return object_dict(self)

    def __eq__(self, other: object) -> bool:
        return same_object(self, other)

    def __hash__(self) -> int:
        return hash_object(self)

    def __repr__(self) -> str:
        return show_object(self)

    def __reduce__(self) -> tuple[Any, ...]:
        return self.__ormdb_node__.take_apart(self)

    if not TYPE_CHECKING:
        # Hidden from type checkers, to which any attribute would exist and be assignable then.

        def __getattr__(self, name: str) -> object:
            """Fields by their name in the schema, and includes by the name they were given."""
            if not name.startswith("__"):
                node, at = self.__ormdb_node__, self.__ormdb_at__
                declared = declaration_of(type(self)).fields.get(name)
                if declared is not None and declared.attribute != name:
                    return getattr(self, declared.attribute)
                if name in node.columns:
                    return read_field(self, name)
                found = node.related(name, at)
                if found is not NOT_LOADED:
                    return found
            raise AttributeError(
                f"{type(self).__name__} has no field or relation {name!r}", name=name, obj=self
            )

        def __setattr__(self, name: str, value: object) -> None:
            refuse_assignment(self, name)

        def __delattr__(self, name: str) -> None:
            refuse_assignment(self, name)


def _reduce_class(made: EntityMeta) -> str | tuple[Any, ...]:
    """Pickle a class by its name, or by how it was made where no module has it."""
    remake = declaration_of(made).remake
    return made.__qualname__ if remake is None else remake


copyreg.pickle(EntityMeta, _reduce_class)
