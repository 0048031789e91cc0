"""Row objects: frozen, equal by identity, reading a column at a position.

    answer block      id  1    2    3            object   node ──> columns, links to other nodes
                 dep_delay 20  NULL  7                    at = 1

    flight.id         node.columns["id"][at]                     2
    flight.plane      node.related("plane", at)                  an object, None, or not loaded

An object is two slots, whatever its number of fields; nothing is converted before it is read.
It keeps the whole answer alive in return.  Objects made by a program, those of a single row, and
those that come out of a pickle have a node of their own, whose columns are values: `at` is ALONE.

Invariants (held by tests/unit/model/test_objects.py):
  1. Objects are equal exactly when they are of one class and have one identity.
  2. Reading what was not loaded raises NotLoadedError and never asks a database.
  3. A repr is bounded and follows no relation, so cycles do not matter.
"""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final, cast

from ormdb.errors import NotLoadedError, UsageError
from ormdb.ir.value import RowDict, Value
from ormdb.model.declaration import declaration_of
from ormdb.model.spelling import spell_value

_FIELDS_SHOWN: Final = 24


class _NotLoaded:
    __slots__ = ()


NOT_LOADED: Final = _NotLoaded()
ALONE: Final = -1  # the position of an object whose node holds its values, not columns
NO_RELATIONS: Final[Mapping[str, object]] = MappingProxyType({})


class ObjectNode(ABC):
    """What objects of one place in one answer share: their columns and their relations."""

    __slots__ = ("columns",)
    is_draft = False

    def __init__(self, columns: Mapping[str, Any]) -> None:
        self.columns = columns

    def values_at(self, at: int) -> RowDict:
        """The loaded fields of the object at a position."""
        if at == ALONE:
            return dict(self.columns)
        return {name: column[at] for name, column in self.columns.items()}

    @abstractmethod
    def identity_at(self, at: int) -> tuple[Value, ...] | None:
        """The identity of the object at a position, or None while it has none."""

    @abstractmethod
    def related(self, name: str, at: int) -> object:
        """The object, None or the tuple of objects over a relation, or NOT_LOADED."""

    @abstractmethod
    def related_names(self) -> Iterable[str]:
        """The names of the relations that are loaded."""

    def related_keys(self) -> Mapping[str, object]:
        """Relations of which the key is known, and nothing more."""
        return {}

    def take_apart(self, of: ObjectState) -> tuple[Any, ...]:
        """How pickle makes the object again: from its own values and those related to it."""
        at = of.__ormdb_at__
        fields = self.values_at(at)
        relations = {name: self.related(name, at) for name in self.related_names()}
        return _restore, (type(of), fields, relations, self.identity_at(at))


class DetachedNode(ObjectNode):
    """The node of one object that stands alone: a single row, or out of a pickle."""

    __slots__ = ("_identity", "_relations")

    def __init__(
        self,
        values: Mapping[str, Value],
        identity: tuple[Value, ...] | None,
        relations: Mapping[str, object],
    ) -> None:
        self.columns = values
        self._identity = identity
        self._relations = relations

    def identity_at(self, at: int) -> tuple[Value, ...] | None:
        return self._identity

    def related(self, name: str, at: int) -> object:
        return self._relations.get(name, NOT_LOADED)

    def related_names(self) -> Iterable[str]:
        return self._relations


class ObjectState:
    """The two slots of every row object.  Their names cannot be those of a field."""

    __slots__ = ("__ormdb_at__", "__ormdb_node__")

    __ormdb_at__: int  # ALONE where the node is of this object alone
    __ormdb_node__: ObjectNode


set_at: Final[Callable[[object, int], None]] = ObjectState.__dict__["__ormdb_at__"].__set__
set_node: Final[Callable[[object, ObjectNode], None]] = ObjectState.__dict__[
    "__ormdb_node__"
].__set__


def new_object(kind: type[Any], node: ObjectNode) -> Any:
    """Return a new object of an entity class, the only one of its node."""
    made: Any = object.__new__(kind)
    set_node(made, node)
    set_at(made, ALONE)
    return made


def read_field(of: ObjectState, name: str) -> Value:
    """Return a field as `ir` has it, by its name in the schema.

    Raises:
      NotLoadedError: it was not loaded, or the row has no value for it yet.
    """
    at = of.__ormdb_at__
    try:
        column = of.__ormdb_node__.columns[name]
    except KeyError as error:
        raise field_not_loaded(of, name) from error
    return column if at == ALONE else column[at]


def read_relation(of: ObjectState, name: str, spelling: str) -> Any:
    """Return what a relation leads to: an object, None, or a tuple of objects.

    Raises:
      NotLoadedError: it was not included.
    """
    found = of.__ormdb_node__.related(name, of.__ormdb_at__)
    if found is NOT_LOADED:
        raise NotLoadedError(
            f"{type(of).__name__}.{name} was not loaded, and objects never query; "
            f"fetch with .include({spelling})",
            entity=type(of).__name__,
            relation=name,
        )
    return found


def field_not_loaded(of: ObjectState, name: str) -> NotLoadedError:
    """The error for reading a field that is not there."""
    entity = type(of).__name__
    if of.__ormdb_node__.is_draft:
        fact, remedy = "has no value before the row is stored", "read it from a fetched object"
    else:
        fact, remedy = "was not selected", f"fetch with .select(..., {entity}.{name})"
    return NotLoadedError(f"{entity}.{name} {fact}; {remedy}", entity=entity, field=name)


def identity_of(of: ObjectState) -> tuple[Value, ...] | None:
    """Return the identity of the row, or None while it has none."""
    return of.__ormdb_node__.identity_at(of.__ormdb_at__)


def require_identity(of: ObjectState) -> tuple[Value, ...]:
    """Return the identity of the row.

    Raises:
      UsageError: it has none yet.
    """
    found = identity_of(of)
    if found is None:
        raise UsageError(f"{of!r} has no identity yet; insert it, and use what insert returns")
    return found


def same_object(one: ObjectState, other: object) -> bool:
    """Whether both are of one class and one identity."""
    if one is other:
        return True
    if not isinstance(other, ObjectState) or type(one) is not type(other):
        return False
    identity = identity_of(one)
    return identity is not None and identity == identity_of(other)


def hash_object(of: ObjectState) -> int:
    """A hash that agrees with `same_object`."""
    identity = identity_of(of)
    return object.__hash__(of) if identity is None else hash((type(of), identity))


def show_object(of: ObjectState) -> str:
    """Return the repr of an object: loaded fields, and how many are related."""
    node, at = of.__ormdb_node__, of.__ormdb_at__
    named = {declared.name: attribute for attribute, declared in _attributes(type(of))}
    parts = [
        f"{named.get(name, name)}={spell_value(column if at == ALONE else column[at])}"
        for name, column in itertools.islice(node.columns.items(), _FIELDS_SHOWN)
    ]
    if len(node.columns) > _FIELDS_SHOWN:
        parts.append("…")
    parts += [
        f"{named.get(name, name)}={_show_related(node.related(name, at))}"
        for name in itertools.islice(node.related_names(), _FIELDS_SHOWN)
    ]
    parts += [f"{named.get(name, name)}={key!r}" for name, key in node.related_keys().items()]
    return f"{type(of).__name__}({', '.join(parts)})"


def object_dict(of: ObjectState) -> RowDict:
    """Return the loaded fields and relations of an object as nested dicts."""
    node, at = of.__ormdb_node__, of.__ormdb_at__
    found = node.values_at(at)
    for name in node.related_names():
        related = node.related(name, at)
        if isinstance(related, tuple):
            found[name] = [object_dict(one) for one in cast("tuple[ObjectState, ...]", related)]
        else:
            found[name] = object_dict(related) if isinstance(related, ObjectState) else None
    return found


def row_object(kind: type[Any], row: RowDict, identity: tuple[Value, ...]) -> Any:
    """Return an object of a whole row, whose dict becomes its own."""
    return new_object(kind, DetachedNode(row, identity, NO_RELATIONS))


def _attributes(kind: type) -> Iterable[tuple[str, Any]]:
    return declaration_of(kind).attributes.items()


def _show_related(found: object) -> str:
    if isinstance(found, tuple):
        some = cast("tuple[object, ...]", found)
        kinds = {type(one).__name__ for one in some[:1]}
        return f"<{len(some)} {kinds.pop()}>" if kinds else "()"
    if isinstance(found, ObjectState):
        identity = identity_of(found)
        shown = "…" if identity is None else ", ".join(map(spell_value, identity))
        return f"<{type(found).__name__} {shown}>"
    return repr(found)


def _restore(
    kind: type,
    fields: dict[str, Value],
    relations: dict[str, object],
    identity: tuple[Value, ...] | None,
) -> object:
    return new_object(kind, DetachedNode(fields, identity, relations))
