"""Classes for a schema that nobody has written as classes.

    classes = classes_from_bundle(db.schema)
    Airport = classes["Airport"]
    db.fetch(Airport.where("faa == 'JFK'"))[0].name

They are entity classes like any other, only without static types.  One bundle gives the same
classes every time, so that objects of two fetches are of one class, and objects can be pickled.

Invariants (held by tests/unit/model/test_dynamic.py):
  1. `build_bundle` of the classes gives the bundle back, without its numbers.
  2. A pickled object comes back as an object of the same class.
"""

from __future__ import annotations

import collections
import dataclasses
import datetime
import decimal
import threading
import types
import uuid
from collections.abc import Mapping
from typing import Any, Final, Literal

from ormdb.errors import ProtocolError
from ormdb.ir.canonical import decode_node, encode_node
from ormdb.ir.expr import Expr
from ormdb.ir.schema import CheckDef, EntityDef, IndexDef, SchemaBundle
from ormdb.ir.value import (
    BoolType,
    BytesType,
    DateType,
    DecimalType,
    DurationType,
    EnumType,
    FloatType,
    IntType,
    JsonType,
    ListType,
    StructType,
    TextType,
    TimestampType,
    TimeType,
    Type,
    UuidType,
)
from ormdb.model.annotation import Json, Scope
from ormdb.model.body import declare_member
from ormdb.model.declaration import DeclaredIndex, declaration_of
from ormdb.model.entity import Entity, EntityMeta
from ormdb.model.fields import Field, Many, Marker, One, check
from ormdb.model.members import (
    Names,
    index_columns,
    members,
    refinements,
    shorthand_count,
    struct_attributes,
    struct_name,
)

_BUNDLES_KEPT: Final = 32
_PLAIN: Final[Mapping[type, Any]] = {
    BoolType: bool,
    IntType: int,
    FloatType: float,
    TextType: str,
    BytesType: bytes,
    UuidType: uuid.UUID,
    DecimalType: decimal.Decimal,
    TimestampType: datetime.datetime,
    DateType: datetime.date,
    TimeType: datetime.time,
    DurationType: datetime.timedelta,
    JsonType: Json,
}

_made: collections.OrderedDict[bytes, dict[str, type[Entity]]] = collections.OrderedDict()
_making = threading.Lock()


def classes_from_bundle(bundle: SchemaBundle) -> dict[str, type[Entity]]:
    """Return a class for every entity of the bundle, by its name in the schema."""
    key = encode_node(bundle)
    with _making:
        found = _made.pop(key, None) or _make_classes(bundle, key)
        _made[key] = found
        if len(_made) > _BUNDLES_KEPT:
            _made.popitem(last=False)
        return dict(found)


def _find_class(key: bytes, name: str) -> type[Entity]:
    """The class of an object that is being unpickled."""
    bundle = decode_node(key)
    if not isinstance(bundle, SchemaBundle):
        raise ProtocolError("the pickle holds no schema; pickle the objects again")
    return classes_from_bundle(bundle)[name]


def _make_classes(bundle: SchemaBundle, key: bytes) -> dict[str, type[Entity]]:
    names = Names(bundle)
    made: dict[str, type[Entity]] = {}
    for entity in bundle.entities:
        body: dict[str, Any] = {
            "__module__": __name__,
            "__qualname__": names.classes[entity.name],
            "__indexes__": tuple(
                _index(entity.name, one, names) for one in entity.indexes[shorthand_count(entity) :]
            ),
            "__soft_delete__": entity.soft_delete,
            "__checks__": tuple(_check(one) for one in entity.checks),
        }
        name = names.classes[entity.name]
        kind: Any = EntityMeta(name, (Entity,), body, name=entity.name, doc=entity.doc)
        declaration_of(kind).remake = (_find_class, (key, entity.name))
        made[entity.name] = kind
    # Relations name classes, so all classes come first.
    by_class_name = {one.__name__: one for one in made.values()}
    for entity in bundle.entities:
        _fill_class(bundle, entity, made[entity.name], names, by_class_name)
    return made


def _fill_class(
    bundle: SchemaBundle,
    entity: EntityDef,
    kind: type[Entity],
    names: Names,
    by_class_name: Mapping[str, type[Entity]],
) -> None:
    declaration = declaration_of(kind)
    scope = Scope(__name__, {})
    for member in members(bundle, entity, names):
        if member.type is not None:
            held = annotation_for(member.type, struct_name(kind.__name__, member.attribute))
        else:
            held = by_class_name[str(member.target)]
        wanted: Any = held | None if member.optional else held
        marker: Marker
        annotation: Any
        match member.marker:
            case "Field":
                marker, annotation = Field[Any](member.options), Field[wanted]
            case "One":
                marker, annotation = One[Any](member.options), One[wanted]
            case "Many":
                marker, annotation = Many[Any](member.options), Many[wanted]
        declare_member(declaration, member.attribute, annotation, marker, scope)


def _index(entity: str, declared: IndexDef, names: Names) -> object:
    columns = index_columns(entity, declared.fields, names)
    return DeclaredIndex(
        columns=columns,
        kind=declared.kind,
        unique=declared.unique,
        deferred=declared.deferred,
        where=declared.condition,
        name=declared.name,
        unknown={},
    )


def _check(declared: CheckDef) -> object:
    expression: Expr = declared.expression
    return check(expression, name=declared.name)


def annotation_for(kind: Type, wanted: str) -> Any:
    """Return the Python type that a field type is annotated with."""
    match kind:
        case EnumType(variants=variants):
            return Literal[variants]
        case ListType(item=item):
            return types.GenericAlias(tuple, (annotation_for(item, wanted), ...))
        case StructType():
            return _struct(kind, wanted)
        case _:
            return _PLAIN[type(kind)]


def _struct(kind: StructType, name: str) -> type:
    parts: list[tuple[str, Any, Any]] = []
    for attribute, part in struct_attributes(kind):
        held = annotation_for(part.type, name)
        metadata = {"name": part.name, **refinements(part.type)}
        described: Any = dataclasses.field(metadata=metadata)
        parts.append((attribute, held | None if part.optional else held, described))
    return dataclasses.make_dataclass(name, parts, frozen=True)
