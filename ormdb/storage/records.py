"""Rows as bytes: one MessagePack array per row, sealed by a checksum over key and row.

    [n, begin, slot 0, slot 1, ... slot n-1, checksum]

    95 02 07 2a a3 4a 46 4b ce 51 0c 9e 33
    |  |  |  |  |           |  CRC-32, little endian
    |  |  |  |  "JFK"       a MessagePack uint32 follows
    |  |  |  42
    |  |  begun by commit 7
    |  two slots
    an array of five

`n` is how many slots the writer's schema had, so a row written before a field existed is short
and that slot reads as the field's fill: adding a field rewrites nothing.  Rows decode straight
into a msgspec Struct with attributes b (begin) and s0, s1, ...; n is the Struct's tag, by which
msgspec picks the class of a short row, whose absent slots are defaults.

The checksum covers every byte before it, seeded with the row's number, and stands last in its
natural byte order.  So the CRC-32 of a whole intact row is a constant, and checking a batch is
one `map` without slicing.

Invariants (held by tests/property/test_records.py):
  1. Every value of every type comes back equal and of the same type.
  2. A row read under another row's key, or with any single bit flipped, fails its check.
  3. A short row reads its absent slots as their fills.
"""

from __future__ import annotations

import copy
import datetime
import decimal
import struct
import types
import uuid
from collections.abc import Iterable, Sequence
from functools import partial
from operator import attrgetter
from typing import Any, Final, cast
from zlib import crc32

import msgspec

from ormdb import limits
from ormdb.errors import CorruptionError, ValueRangeError, ValueTypeError
from ormdb.ir.schema import FieldDef
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
    Value,
)
from ormdb.pulse import in_steps

RESIDUE: Final = 0x2144DF1C  # CRC-32 of any bytes followed by their own CRC-32, little endian
PLACEHOLDER: Final = 0xFFFFFFFF  # encodes as ce ff ff ff ff; the seal replaces the last four
ROW_NUMBER_BIAS: Final = 1 << 63  # a row key is its number plus this, so that keys sort as numbers
_KEY_BYTES: Final = 8
_SMALL_LOW: Final = ROW_NUMBER_BIAS
_SMALL_HIGH: Final = ROW_NUMBER_BIAS + (1 << 32)

_PYTHON_TYPES: Final[dict[type, Any]] = {
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
    EnumType: int,
    JsonType: Any,
}
# Types whose skipping is cheaper than their decoding: a plan that does not ask for such a slot
# reads it as raw bytes.
_COSTLY: Final = (
    UuidType,
    DecimalType,
    TimestampType,
    DateType,
    TimeType,
    DurationType,
    JsonType,
    ListType,
    StructType,
    TextType,
    BytesType,
)

_encode = msgspec.msgpack.Encoder(uuid_format="bytes", decimal_format="string").encode


def is_stored(field: FieldDef) -> bool:
    """Whether the field has a slot; a virtual computed field has none."""
    return field.computed is None or field.computed.stored


def stored_value(kind: Type, value: Value) -> Value:
    """A canonical value as its slot holds it: enums by position, structs as tuples."""
    if value is None:
        return None
    if isinstance(kind, EnumType):
        return kind.variants.index(value)
    if isinstance(kind, StructType):
        return tuple(stored_value(part.type, value.get(part.name)) for part in kind.fields)
    if isinstance(kind, ListType) and isinstance(kind.item, EnumType):
        return tuple(kind.item.variants.index(item) for item in value)
    return value


def shown_value(kind: Type, value: Value) -> Value:
    """What a slot holds, as the canonical value; the inverse of `stored_value`."""
    if value is None:
        return None
    if isinstance(kind, EnumType):
        return kind.variants[int(value)]
    if isinstance(kind, StructType):
        parts: Sequence[Value] = value
        return {
            part.name: shown_value(part.type, item)
            for part, item in zip(kind.fields, parts, strict=True)
        }
    if isinstance(kind, ListType) and isinstance(kind.item, EnumType):
        positions: Sequence[int] = value
        return tuple([kind.item.variants[position] for position in positions])
    return value


def holds_json(kind: Type) -> bool:
    """Whether values of this type have lists and dicts in them, which whoever gets them may
    change."""
    match kind:
        case JsonType():
            return True
        case ListType(item=item):
            return holds_json(item)
        case _:
            return False


def fresh_json(value: Any) -> Any:
    """The same value in lists and dicts of its own."""
    if isinstance(value, dict):
        pairs = cast("dict[str, Any]", value)
        return {key: fresh_json(one) for key, one in pairs.items()}
    if isinstance(value, list | tuple):
        items = [fresh_json(one) for one in cast("Sequence[Any]", value)]
        return items if isinstance(value, list) else tuple(items)
    return value


def is_shown_as_stored(kind: Type) -> bool:
    """Whether a slot of this type holds its canonical value as it is."""
    if isinstance(kind, ListType):
        return not isinstance(kind.item, EnumType)
    return not isinstance(kind, EnumType | StructType)


def slot_type(kind: Type) -> Any:
    """The Python type that msgspec decodes a slot of this type into."""
    if isinstance(kind, ListType):
        return types.GenericAlias(tuple, (slot_type(kind.item), ...))
    if isinstance(kind, StructType):
        parts = tuple(slot_type(part.type) | None for part in kind.fields)
        return types.GenericAlias(tuple, parts)  # a fixed tuple: one place per struct field
    return _PYTHON_TYPES[type(kind)]


class RowCodec:
    """Encodes and decodes the rows of one entity.

    `Row` is the Struct class of a row as it is written: Row(begin, slot 0, ... slot n-1).
    """

    def __init__(
        self, entity: str, fields: Sequence[FieldDef], *, hidden_slots: Iterable[int] = ()
    ) -> None:
        self.entity = entity
        self._types: dict[int, Type] = {field.slot: field.type for field in fields}
        self._types.update(dict.fromkeys(hidden_slots, IntType()))
        self._fills = {
            field.slot: stored_value(field.type, field.fill)
            for field in fields
            if field.fill is not None
        }
        self.slot_count = max(self._types, default=-1) + 1
        names = [(f"s{slot}", self._slot_type(slot), None) for slot in range(self.slot_count)]
        self.Row: Any = msgspec.defstruct(
            "Row",
            [("b", int), *names, ("c", int, PLACEHOLDER)],
            array_like=True,
            gc=False,
            tag=self.slot_count,
            tag_field="n",
        )
        # Making one takes longer than compiling the rest of a plan's node.
        self._decoders: dict[frozenset[int], RowDecoder] = {}
        self.whole = self.decoder(range(self.slot_count))
        self.begins = self.decoder(())

    def decoder(self, slots: Iterable[int]) -> RowDecoder:
        """A decoder of the given slots; the others are skipped, their attributes undefined."""
        wanted = frozenset(slots)
        found = self._decoders.get(wanted)
        if found is None:
            if len(self._decoders) >= limits.GENERATED_CODE_ENTRIES_MAX:
                self._decoders.clear()
            found = self._decoders[wanted] = RowDecoder(self, wanted)
        return found

    def seal(self, rows: Sequence[Any], keys: Sequence[bytes]) -> list[bytes]:
        """The bytes of each row, checksummed for its key.

        Raises:
          ValueTypeError: a text holds a lone surrogate.
          ValueRangeError: a row is larger than ROW_BYTES_MAX.
        """
        try:
            encoded = list(map(_encode, rows))
        except (UnicodeEncodeError, OverflowError) as error:
            raise ValueTypeError(
                f"a row of {self.entity} cannot be stored: {error}", entity=self.entity
            ) from error
        sealed: list[bytes] = []
        append = sealed.append
        for whole, seed in zip(encoded, seeds(keys), strict=True):
            body = whole[:-4]
            append(body + crc32(body, seed).to_bytes(4, "little"))
        largest = max(map(len, sealed), default=0)
        if largest > limits.ROW_BYTES_MAX:
            raise ValueRangeError(
                f"a row of {self.entity} takes {largest} bytes, more than "
                f"{limits.ROW_BYTES_MAX}; store large values outside the database",
                entity=self.entity,
            )
        return sealed

    def _slot_type(self, slot: int) -> Any:
        kind = self._types.get(slot)
        return Any if kind is None else slot_type(kind) | None

    def read_class(self, slots: frozenset[int], row_slots: int) -> Any:
        """The Struct that reads rows of `row_slots` slots: present ones in place, then the seal,
        then absent ones by their fill.  Slots nobody asked for are read as cheaply as may be."""
        last = max(slots, default=-1)
        members: list[tuple[str, Any] | tuple[str, Any, Any]] = [("b", int)]
        for slot in range(min(row_slots, last + 1)):
            kind = self._types.get(slot)
            if slot in slots:
                members.append((f"s{slot}", self._slot_type(slot)))
            else:
                costly = kind is None or isinstance(kind, _COSTLY)
                members.append((f"s{slot}", msgspec.Raw if costly else Any))
        if row_slots <= last:
            members.append(("c", int))
            for slot in range(row_slots, last + 1):
                # The seal ends the array, so these are never read and always their default.
                fill = self._fills.get(slot)
                members.append((f"s{slot}", Any, _default(fill)))
        return msgspec.defstruct(
            f"Row{row_slots}", members, array_like=True, gc=False, tag=row_slots, tag_field="n"
        )


class RowDecoder:
    """Decodes batches of rows into objects with attributes b and s<slot>."""

    def __init__(self, codec: RowCodec, slots: frozenset[int]) -> None:
        self._codec = codec
        self.slots = slots
        newest = codec.read_class(slots, codec.slot_count)
        self._decode = msgspec.msgpack.Decoder(newest).decode
        self._knows_short_rows = False

    def decode_one(self, key: bytes, row: bytes) -> Any:
        """Check and decode one row that was read under `key`."""
        number = int.from_bytes(key, "big") ^ ROW_NUMBER_BIAS
        if crc32(row, number ^ (number >> 32)) == RESIDUE:
            try:
                return self._decode(row)
            except msgspec.DecodeError:
                pass  # an older layout, or damage: the other way knows which
        return self.decode_batch((key,), (row,))[0]

    def decode_batch(self, keys: Sequence[bytes], rows: Sequence[bytes]) -> list[Any]:
        """Check and decode rows that were read under `keys`.

        Raises:
          CorruptionError: a row is not what was written under its key.
        """
        if len(keys) > limits.PULSE_STEP_ITEMS:
            decoded: list[Any] = []
            for some_keys, some_rows in zip(in_steps(keys), in_steps(rows), strict=True):
                decoded += self.decode_batch(some_keys, some_rows)
            return decoded
        verify(self._codec.entity, keys, rows)
        try:
            return list(map(self._decode, rows))
        except msgspec.ValidationError as error:
            if self._knows_short_rows:
                raise self._damaged(error) from error
        except msgspec.DecodeError as error:
            raise self._damaged(error) from error
        # The first short row of this decoder: from here on it reads every older layout too.
        codec = self._codec
        kinds = codec.read_class(self.slots, 0)
        for row_slots in range(1, codec.slot_count + 1):
            kinds = kinds | codec.read_class(self.slots, row_slots)
        self._decode = msgspec.msgpack.Decoder(kinds).decode
        self._knows_short_rows = True
        return self.decode_batch(keys, rows)

    def _damaged(self, error: Exception) -> CorruptionError:
        return CorruptionError(
            f"a row of {self._codec.entity} has an intact checksum but does not decode ({error}); "
            "it was written by other software, or memory is failing: run `ormdb check --deep`",
            entity=self._codec.entity,
        )


def slot_values(rows: Sequence[Any], slot: int) -> list[Any]:
    """One slot of every decoded row, as a column."""
    return list(map(attrgetter(f"s{slot}"), rows))


def seeds(keys: Sequence[bytes]) -> list[int]:
    """The checksum seed of each row key: its number, folded to 32 bits."""
    numbers = struct.unpack(f">{len(keys)}Q", b"".join(keys))
    if not numbers:
        return []
    if min(numbers) >= _SMALL_LOW and max(numbers) < _SMALL_HIGH:
        return [number & 0xFFFFFFFF for number in numbers]
    return [((k ^ (k >> 32)) ^ (ROW_NUMBER_BIAS >> 32)) & 0xFFFFFFFF for k in numbers]


def verify(entity: str, keys: Sequence[bytes], rows: Sequence[bytes]) -> None:
    """Check the seal of every row.

    Raises:
      CorruptionError: a row is not what was written under its key.
    """
    if not rows:
        return
    try:
        numbers = struct.unpack(f">{len(keys)}Q", b"".join(keys))
    except struct.error as error:
        odd = tuple(key for key in keys if len(key) != _KEY_BYTES)
        raise CorruptionError(
            f"{len(odd)} row(s) of {entity} lie under keys that are no row keys, the first under "
            f"{odd[0].hex()}; restore a backup, or run `ormdb check --deep` to see what is damaged",
            entity=entity,
            row_keys=odd,
        ) from error
    # crc32 takes the low 32 bits of its seed, which for small numbers are the seed itself.
    if not (min(numbers) >= _SMALL_LOW and max(numbers) < _SMALL_HIGH):
        numbers = tuple(seeds(keys))
    if set(map(crc32, rows, numbers)) == _ONLY_RESIDUE:
        return
    bad = [key for key, row, n in zip(keys, rows, numbers, strict=True) if crc32(row, n) != RESIDUE]
    raise CorruptionError(
        f"{len(bad)} row(s) of {entity} fail their checksum, the first with row key "
        f"{bad[0].hex()}; restore a backup, or run `ormdb check --deep` to see what is damaged",
        entity=entity,
        row_keys=tuple(bad),
    )


_ONLY_RESIDUE: Final = {RESIDUE}


def _default(fill: Value) -> Any:
    """A Struct default; a mutable fill is made anew for each row."""
    if type(fill) in (list, dict):
        return msgspec.field(default_factory=partial(copy.deepcopy, fill))
    return fill
