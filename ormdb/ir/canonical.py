"""Stable bytes for every node, and the signature made of them.

    FieldRef(path=("origin", "name"))

    92                       an array of two: the tag and the fields
      a8 46 69 65 6c 64 …    "FieldRef"
      81                     a map of the fields that differ from their default
        a4 70 61 74 68       "path"
        92 a6 … a4 …         ["origin", "name"]

The bytes are MessagePack.  A node is [class name, {field: value}] with the field names sorted and
fields at their default left out, so a field that a later version adds (with a default) changes
neither the bytes nor the signature of nodes that do not use it.  What a field may hold is read
from the dataclass itself, so nodes and bytes cannot drift apart.

A value (what a `Literal` holds, a default, a row) is tagged where MessagePack alone would forget:

    list (1, "a") of JSON    [0, 1, "a"]        uuid       extension 1, 16 bytes
    tuple                    [1, 1, "a"]        decimal    extension 2, its text
    dict                     a map, sorted      date       extension 3, day number, 4 bytes
    timestamp                extension -1       time       extension 4, microseconds, 8 bytes
    others                   as they are        duration   extension 5, microseconds, 16 bytes

Invariants (held by tests/unit/ir/test_canonical.py and tests/property/test_canonical.py):
  1. `decode_node(encode_node(n)) == n`, and every value in it keeps its class.
  2. `decode_node` accepts exactly the bytes that `encode_node` makes: one node, one spelling.
  3. Whatever the bytes are, decoding ends in a node or a ProtocolError.
"""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import functools
import hashlib
import math
import types
import typing
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass
from typing import Any, Final, Protocol, TypeAlias, TypeGuard

import msgspec

from ormdb import limits
from ormdb.errors import LimitError, OrmdbError, ProtocolError, ValueRangeError, ValueTypeError
from ormdb.ir import expr, graph, mutation, result, schema, table, value
from ormdb.ir.show import show_value

# A frozen dataclass of ir; there is no common class to name.
Node: TypeAlias = Any

_MODULES: Final = (value, expr, schema, graph, mutation, result, table)
_LIST: Final = 0
_TUPLE: Final = 1
_UUID: Final = 1
_DECIMAL: Final = 2
_DATE: Final = 3
_TIME: Final = 4
_DURATION: Final = 5
_MICROSECOND: Final = datetime.timedelta(microseconds=1)
_MIDNIGHT: Final = datetime.datetime(1, 1, 1, tzinfo=datetime.UTC)

_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder().decode


def encode_node(node: Node) -> bytes:
    """Return the bytes of a node.

    Raises:
      ValueTypeError: a field holds something it may not hold.
      ValueRangeError: a number is NaN or beyond 64 bits.
      LimitError: the node nests deeper than NODE_DEPTH_MAX, or takes over NODE_BYTES_MAX.
    """
    try:
        data = _pack(_codec_of(node).pack(node, 0))
    except RecursionError as error:
        raise _too_deep() from error
    except OverflowError as error:
        raise ValueRangeError(
            f"a {type(node).__name__} holds an integer beyond 64 bits; use decimal or text"
        ) from error
    except UnicodeEncodeError as error:
        raise ValueTypeError(
            f"a {type(node).__name__} holds half of a surrogate pair ({error.reason}); "
            "decode the text properly"
        ) from error
    if len(data) > limits.NODE_BYTES_MAX:
        raise LimitError(
            f"a {type(node).__name__} takes {len(data)} bytes, over {limits.NODE_BYTES_MAX}; "
            "split it",
            limit="NODE_BYTES_MAX",
        )
    return data


def decode_node(data: bytes) -> Node:
    """Return the node that `encode_node` made these bytes of.

    Raises:
      ProtocolError: they are not such bytes.
    """
    if len(data) > limits.NODE_BYTES_MAX:
        raise ProtocolError(
            f"a node of {len(data)} bytes is over {limits.NODE_BYTES_MAX}; send it in parts"
        )
    try:
        node = _ANY_NODE.unpack(_unpack(data), 0)
        again = encode_node(node)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise ProtocolError(f"the bytes of a node do not decode: {error}") from error
    except ProtocolError:
        raise
    except OrmdbError as error:
        raise ProtocolError(f"the bytes of a node do not decode: {error.message}") from error
    if again != data:
        raise ProtocolError(
            f"a {type(node).__name__} is not spelled in its canonical form; "
            "encode it with encode_node"
        )
    return node


def signature(node: Node) -> str:
    """Return 64 hex digits that are equal for equal nodes and for no others."""
    return hashlib.blake2b(encode_node(node), digest_size=32).hexdigest()


def node_classes() -> Mapping[str, type]:
    """Every class that has canonical bytes, by its tag."""
    return _CLASSES


class _Kind(Protocol):
    """What a field may hold, as both directions."""

    def pack(self, item: Any, depth: int) -> Any: ...

    def unpack(self, plain: Any, depth: int) -> Any: ...


# --- values -----------------------------------------------------------------------------------


class _ValueKind:
    """Any value of any type, its class kept."""

    def pack(self, item: Any, depth: int) -> Any:
        if item is None or item.__class__ in _PLAIN:
            return item
        if item.__class__ is float:
            return _checked_float(item)
        if depth > limits.NODE_DEPTH_MAX:
            raise _too_deep()
        packer = _PACKERS.get(item.__class__)
        if packer is None:
            packer = next((p for kind, p in _PACKERS.items() if isinstance(item, kind)), _refuse)
        return packer(item, depth)

    def unpack(self, plain: Any, depth: int) -> Any:
        if depth > limits.NODE_DEPTH_MAX:
            raise _too_deep()
        if _is_list(plain):
            return self._sequence(plain, depth)
        if _is_dict(plain):
            return self._dict(plain, depth)
        if isinstance(plain, msgspec.msgpack.Ext):
            return _read_extension(plain.code, bytes(plain.data))
        return plain

    def _sequence(self, plain: list[Any], depth: int) -> Any:
        if not plain or plain[0] not in {_LIST, _TUPLE}:
            raise ProtocolError("a list in a value does not say whether it is a list or a tuple")
        items = [self.unpack(item, depth + 1) for item in plain[1:]]
        return items if plain[0] == _LIST else tuple(items)

    def _dict(self, plain: dict[Any, Any], depth: int) -> dict[str, Any]:
        for key in plain:
            if not isinstance(key, str):
                raise ProtocolError(f"{show_value(key)} is the key of a dict; keys are texts")
        return {key: self.unpack(item, depth + 1) for key, item in plain.items()}


_VALUE: Final = _ValueKind()
_PLAIN: Final = frozenset({bool, int, str, bytes})


def _pack_dict(item: Mapping[Any, Any], depth: int) -> dict[str, Any]:
    for key in item:
        if not isinstance(key, str):
            raise ValueTypeError(f"{show_value(key)} is the key of a dict; keys are texts")
    return {str(key): _VALUE.pack(item[key], depth + 1) for key in sorted(item)}


def _pack_timestamp(item: datetime.datetime, depth: int) -> datetime.datetime:
    if item.utcoffset() is None:
        raise ValueTypeError(
            f"{show_value(item)} has no time zone; add tzinfo=datetime.timezone.utc"
        )
    try:
        return item.astimezone(datetime.UTC)
    except OverflowError as error:
        raise ValueRangeError(
            f"{show_value(item)} lies outside the years 1 to 9999 in UTC; use text"
        ) from error


def _pack_time(item: datetime.time, depth: int) -> msgspec.msgpack.Ext:
    if item.tzinfo is not None:
        raise ValueTypeError(f"{show_value(item)} has a time zone; give it without tzinfo")
    seconds = (item.hour * 60 + item.minute) * 60 + item.second
    number = seconds * 1_000_000 + item.microsecond
    return msgspec.msgpack.Ext(_TIME, number.to_bytes(8, "big"))


def _pack_duration(item: datetime.timedelta, depth: int) -> msgspec.msgpack.Ext:
    number = item // _MICROSECOND
    return msgspec.msgpack.Ext(_DURATION, number.to_bytes(16, "big", signed=True))


def _pack_decimal(item: decimal.Decimal, depth: int) -> msgspec.msgpack.Ext:
    if not item.is_finite():
        raise ValueRangeError(f"{show_value(item)} is not a finite number; use NULL")
    return msgspec.msgpack.Ext(_DECIMAL, str(item).encode())


def _checked_float(item: float) -> float:
    if math.isnan(item):
        raise ValueRangeError("float nan is not a number; use NULL for a missing measurement")
    return float(item)


def _refuse(item: Any, depth: int) -> Any:
    raise ValueTypeError(f"{show_value(item)} is not a value of any type; convert it first")


# In an order in which no class comes after one that it is a subclass of.
_PACKERS: Final[dict[type, Callable[[Any, int], Any]]] = {
    bool: lambda item, depth: bool(item),
    int: lambda item, depth: int(item),
    float: lambda item, depth: _checked_float(item),
    str: lambda item, depth: str.__str__(item),
    bytes: lambda item, depth: bytes(item),
    list: lambda item, depth: [_LIST, *(_VALUE.pack(part, depth + 1) for part in item)],
    tuple: lambda item, depth: [_TUPLE, *(_VALUE.pack(part, depth + 1) for part in item)],
    dict: _pack_dict,
    uuid.UUID: lambda item, depth: msgspec.msgpack.Ext(_UUID, item.bytes),
    decimal.Decimal: _pack_decimal,
    datetime.datetime: _pack_timestamp,
    datetime.date: lambda item, depth: msgspec.msgpack.Ext(
        _DATE, item.toordinal().to_bytes(4, "big")
    ),
    datetime.time: _pack_time,
    datetime.timedelta: _pack_duration,
}


def _read_extension(code: int, data: bytes) -> Any:
    try:
        match code:
            case 1:
                return uuid.UUID(bytes=data)
            case 2:
                return decimal.Decimal(data.decode())
            case 3:
                return datetime.date.fromordinal(int.from_bytes(data, "big"))
            case 4:
                moment = _MIDNIGHT + int.from_bytes(data, "big") * _MICROSECOND
                return moment.time()
            case 5:
                return int.from_bytes(data, "big", signed=True) * _MICROSECOND
            case _:
                raise ProtocolError(f"extension {code} is no kind of value; update ormdb")
    except (ValueError, OverflowError, decimal.InvalidOperation) as error:
        raise ProtocolError(f"extension {code} with bytes {data[:20]!r} is no value") from error


# --- fields -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _ScalarKind:
    """One of a few exact Python classes; a float also takes an int."""

    classes: tuple[type, ...]

    def pack(self, item: Any, depth: int) -> Any:
        if self.classes == (float,) and item.__class__ is int:
            item = float(item)
        if item.__class__ not in self.classes:
            raise ValueTypeError(f"{show_value(item)} is not {self._wanted()}; convert it first")
        return _VALUE.pack(item, depth)

    def unpack(self, plain: Any, depth: int) -> Any:
        if plain.__class__ not in self.classes:
            raise ProtocolError(f"{show_value(plain)} stands where {self._wanted()} belongs")
        return plain

    def _wanted(self) -> str:
        return " or ".join(kind.__name__ for kind in self.classes)


@dataclass(frozen=True, slots=True)
class _ChoiceKind:
    """One of a few texts."""

    choices: tuple[str, ...]

    def pack(self, item: Any, depth: int) -> Any:
        if item.__class__ is not str or item not in self.choices:
            raise ValueTypeError(f"{show_value(item)} is not one of {', '.join(self.choices)}")
        return item

    def unpack(self, plain: Any, depth: int) -> Any:
        if plain.__class__ is not str or plain not in self.choices:
            raise ProtocolError(f"{show_value(plain)} is not one of {', '.join(self.choices)}")
        return plain


@dataclass(frozen=True, slots=True)
class _OptionalKind:
    inner: _Kind

    def pack(self, item: Any, depth: int) -> Any:
        return None if item is None else self.inner.pack(item, depth)

    def unpack(self, plain: Any, depth: int) -> Any:
        return None if plain is None else self.inner.unpack(plain, depth)


@dataclass(frozen=True, slots=True)
class _TupleKind:
    """A tuple (or, in result blocks, any sequence) of one kind; it comes back as a tuple."""

    inner: _Kind

    def pack(self, item: Any, depth: int) -> Any:
        if not _is_sequence(item):
            raise ValueTypeError(f"{show_value(item)} is not a tuple; make it one")
        pack = self.inner.pack
        return [pack(part, depth) for part in item]

    def unpack(self, plain: Any, depth: int) -> Any:
        if not _is_list(plain):
            raise ProtocolError(f"{show_value(plain)} stands where a list belongs")
        unpack = self.inner.unpack
        return tuple([unpack(part, depth) for part in plain])


@dataclass(frozen=True, slots=True)
class _FixedKind:
    """A tuple with a place for each of its parts."""

    places: tuple[_Kind, ...]

    def pack(self, item: Any, depth: int) -> Any:
        if not isinstance(item, tuple) or len(parts := _parts(item)) != len(self.places):
            raise ValueTypeError(f"{show_value(item)} is not a tuple of {len(self.places)}")
        return [kind.pack(part, depth) for kind, part in zip(self.places, parts, strict=True)]

    def unpack(self, plain: Any, depth: int) -> Any:
        if not _is_list(plain) or len(plain) != len(self.places):
            raise ProtocolError(
                f"{show_value(plain)} stands where a list of {len(self.places)} belongs"
            )
        pairs = zip(self.places, plain, strict=True)
        return tuple([kind.unpack(part, depth) for kind, part in pairs])


class _RowKind:
    """A dict of values by field name."""

    def pack(self, item: Any, depth: int) -> Any:
        if not _is_dict(item):
            raise ValueTypeError(f"{show_value(item)} is not a dict; make it one")
        return _pack_dict(item, depth)

    def unpack(self, plain: Any, depth: int) -> Any:
        if not _is_dict(plain):
            raise ProtocolError(f"{show_value(plain)} stands where a dict belongs")
        return _VALUE.unpack(plain, depth)


@dataclass(frozen=True, slots=True)
class _NodeKind:
    """A node of one of a few classes."""

    classes: frozenset[type]

    def pack(self, item: Any, depth: int) -> Any:
        if item.__class__ not in self.classes:
            raise ValueTypeError(f"{show_value(item)} is not {self._wanted()}; build one")
        return _codec_of(item).pack(item, depth + 1)

    def unpack(self, plain: Any, depth: int) -> Any:
        if depth > limits.NODE_DEPTH_MAX:
            raise _too_deep()
        if not _is_list(plain) or len(plain) != 2 or not _is_dict(plain[1]):
            raise ProtocolError(f"{show_value(plain)} stands where {self._wanted()} belongs")
        tag, fields = plain
        kind = _CLASSES.get(tag) if isinstance(tag, str) else None
        if kind is None or kind not in self.classes:
            raise ProtocolError(f"a node {show_value(tag)} is not {self._wanted()}")
        return _codec(kind).unpack(fields, depth + 1)

    def _wanted(self) -> str:
        names = sorted(kind.__name__ for kind in self.classes)
        return f"one of {', '.join(names)}" if len(names) < 20 else "a known node"


@dataclass(frozen=True, slots=True)
class _MixedKind:
    """A scalar, or a node in its place: a node is packed as a list, which no scalar is."""

    scalar: _ScalarKind
    node: _NodeKind

    def pack(self, item: Any, depth: int) -> Any:
        kind = self.node if item.__class__ in self.node.classes else self.scalar
        return kind.pack(item, depth)

    def unpack(self, plain: Any, depth: int) -> Any:
        return (self.node if _is_list(plain) else self.scalar).unpack(plain, depth)


@dataclass(frozen=True, slots=True)
class _NodeCodec:
    """The fields of one class, names sorted: each with its kind and its default."""

    cls: type
    fields: tuple[tuple[str, _Kind, Any], ...]

    def pack(self, node: Any, depth: int) -> list[Any]:
        if depth > limits.NODE_DEPTH_MAX:
            raise _too_deep()
        packed: dict[str, Any] = {}
        for name, kind, default in self.fields:
            item = getattr(node, name)
            if item is default or (default is not MISSING and item == default):
                continue
            try:
                packed[name] = kind.pack(item, depth)
            except (ValueTypeError, ValueRangeError) as error:
                where = f"{self.cls.__name__}.{name}"
                raise type(error)(f"{where}: {error.message}", where=where) from error
        return [self.cls.__name__, packed]

    def unpack(self, packed: dict[Any, Any], depth: int) -> Any:
        given: dict[str, Any] = {}
        for name, kind, default in self.fields:
            if name in packed:
                given[name] = kind.unpack(packed[name], depth)
            elif default is MISSING:
                raise ProtocolError(f"a {self.cls.__name__} has no field {name!r}")
        if len(given) != len(packed):
            names = ", ".join(sorted(str(name) for name in packed.keys() - given.keys()))
            raise ProtocolError(f"a {self.cls.__name__} has unknown fields: {names}")
        return self.cls(**given)


def _codec_of(node: Node) -> _NodeCodec:
    cls = _CLASSES.get(node.__class__.__name__)
    if cls is not node.__class__ or cls is None:
        raise ValueTypeError(f"{show_value(node)} is not a node of ormdb.ir; build one")
    return _codec(cls)


@functools.cache
def _codec(cls: type) -> _NodeCodec:
    hints = typing.get_type_hints(cls)
    fields = sorted(dataclasses.fields(cls), key=lambda field: field.name)
    return _NodeCodec(
        cls, tuple((field.name, _kind_of(hints[field.name]), field.default) for field in fields)
    )


def _kind_of(hint: Any) -> _Kind:
    """How a field with this annotation is packed."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any:
        return _VALUE
    if origin is typing.Literal:
        return _ChoiceKind(arguments)
    if origin is dict:
        return _RowKind()
    if origin is tuple and Ellipsis not in arguments:
        return _FixedKind(tuple(map(_kind_of, arguments)))
    if origin in {tuple, Sequence}:
        return _TupleKind(_kind_of(arguments[0]))
    if origin in {typing.Union, types.UnionType}:
        return _union_kind(arguments)
    if hint in _CLASSES.values():
        return _NodeKind(frozenset({hint}))
    return _ScalarKind((hint,))


def _union_kind(members: tuple[Any, ...]) -> _Kind:
    present = tuple(member for member in members if member is not type(None))
    inner: _Kind
    if len(present) == 1:
        inner = _kind_of(present[0])
    elif all(member in _CLASSES.values() for member in present):
        inner = _NodeKind(frozenset(present))
    elif any(member in _CLASSES.values() for member in present):
        nodes = frozenset(member for member in present if member in _CLASSES.values())
        plain = tuple(member for member in present if member not in nodes)
        inner = _MixedKind(_ScalarKind(plain), _NodeKind(nodes))
    else:
        inner = _ScalarKind(present)
    return inner if len(present) == len(members) else _OptionalKind(inner)


def _is_list(item: Any) -> TypeGuard[list[Any]]:
    return isinstance(item, list)


def _parts(item: Any) -> tuple[Any, ...]:
    return tuple(item)


def _is_dict(item: Any) -> TypeGuard[dict[Any, Any]]:
    return isinstance(item, dict)


def _is_sequence(item: Any) -> TypeGuard[Sequence[Any]]:
    """Tuples and lists, and the buffers that columns may be."""
    return isinstance(item, Sequence | memoryview) and not isinstance(item, str | bytes)


def _too_deep() -> LimitError:
    return LimitError(
        f"a node nests deeper than {limits.NODE_DEPTH_MAX} levels; flatten it",
        limit="NODE_DEPTH_MAX",
    )


_CLASSES: Final[dict[str, type]] = {
    name: item
    for module in _MODULES
    for name, item in vars(module).items()
    if isinstance(item, type) and dataclasses.is_dataclass(item)
}
_ANY_NODE: Final = _NodeKind(frozenset(_CLASSES.values()))
