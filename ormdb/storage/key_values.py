"""One value as bytes that sort like the value.  `docs/formats/keys.md` lists every byte.

    NULL                  00
    5            int      01 80 00 00 00 00 00 00 05
    "a\\0b"       text     01 61 00 ff 62 00 00
    5, descending         fe 7f ff ff ff ff ff ff fa        every byte complemented

The first byte says whether there is a value, so that NULL sorts before every value and, in a
descending column, after every value.  It is there for required fields too: making an optional
field required, or the reverse, rewrites no key.  Only the columns of an identity, which never
holds NULL, go without it.

Every encoding ends itself: none is a prefix of another of its type, so columns simply follow
one another in a composite key.

Invariants (held by tests/property/test_keys.py):
  1. encode(a) < encode(b) exactly when a sorts before b, for canonical values of one column.
  2. `decode_column` gives back the value and the bytes after it.
"""

from __future__ import annotations

import datetime
import decimal
import math
import struct
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

from ormdb import limits
from ormdb.errors import CorruptionError
from ormdb.ir.value import (
    BoolType,
    BytesType,
    DateType,
    DecimalType,
    DurationType,
    EnumType,
    FloatType,
    IntType,
    TextType,
    TimestampType,
    TimeType,
    Type,
    UuidType,
    Value,
    is_scalar,
)

SIGN_BIT: Final = 1 << 63
NULL_MARK: Final = b"\x00"
VALUE_MARK: Final = b"\x01"
TEXT_END: Final = b"\x00\x00"
TEXT_ZERO: Final = b"\x00\xff"
EPOCH: Final = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
MICROSECOND: Final = datetime.timedelta(microseconds=1)
# Up to this precision a scaled decimal fits 8 bytes; above it takes 16.
SHORT_DECIMAL_DIGITS_MAX: Final = 18

_COMPLEMENT: Final = bytes(255 - byte for byte in range(256))
_ALL_ONES: Final = (1 << 64) - 1
_MIDNIGHT: Final = EPOCH.replace(tzinfo=None)
_wide_scaleb: Final = decimal.Context(prec=2 * limits.DECIMAL_DIGITS_MAX).scaleb


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyColumn:
    """One column of a key.  `nullable` is false for the columns of an identity only."""

    type: Type
    descending: bool = False
    nullable: bool = True

    def __post_init__(self) -> None:
        assert is_scalar(self.type), f"{self.type} has no order"


def encode_value(
    kind: Type, value: Value, *, descending: bool = False, nullable: bool = True
) -> bytes:
    """Return the bytes of one canonical value in one column of a key; None is NULL."""
    if value is None:
        assert nullable, "an identity holds no NULL"
        encoded = NULL_MARK
    else:
        encoded = _CODECS[type(kind)][0](kind, value)
        if nullable:
            encoded = VALUE_MARK + encoded
    return encoded.translate(_COMPLEMENT) if descending else encoded


def encode_text_start(column: KeyColumn, start: str) -> bytes:
    """Return what the bytes of exactly those texts begin with that begin with `start`."""
    assert isinstance(column.type, TextType), f"{column.type} has no beginning"
    encoded = start.encode().replace(b"\x00", TEXT_ZERO)
    if column.nullable:
        encoded = VALUE_MARK + encoded
    return encoded.translate(_COMPLEMENT) if column.descending else encoded


def decode_column(column: KeyColumn, data: bytes, start: int) -> tuple[Value, int]:
    """Return the value that begins at `start`, and where the next one begins.

    Raises:
      CorruptionError: the bytes are not what `encode_value` writes for this column.
    """
    # Only text and bytes have no length of their own; complementing the rest once is enough.
    rest = data[start:]
    if column.descending:
        rest = rest.translate(_COMPLEMENT)
    marks = 0
    if column.nullable:
        marks = 1
        if rest[:1] == NULL_MARK:
            return None, start + 1
        if rest[:1] != VALUE_MARK:
            raise damaged(data)
    try:
        value, size = _CODECS[type(column.type)][1](column.type, rest[marks:])
    except (ValueError, OverflowError, IndexError, struct.error, decimal.DecimalException) as error:
        raise damaged(data) from error
    return value, start + marks + size


def damaged(data: bytes) -> CorruptionError:
    """The error for a key that `encode_value` cannot have written."""
    return CorruptionError(
        f"the key {data[:40].hex()} cannot be read; restore a backup, or run `ormdb check --deep`"
    )


def decimal_bytes(kind: DecimalType) -> int:
    """How many bytes a decimal takes in a key.  It depends on the precision's class alone, so
    that widening a decimal within its class rewrites no key."""
    return 8 if kind.precision <= SHORT_DECIMAL_DIGITS_MAX else 16


def microseconds(span: datetime.timedelta) -> int:
    """The whole length of `span`; exact, unlike total_seconds()."""
    return (span.days * 86_400 + span.seconds) * 1_000_000 + span.microseconds


def scaled(value: decimal.Decimal, scale: int) -> int:
    """A decimal without its point: 1.50 with scale 2 is 150."""
    return int(_wide_scaleb(value, scale))


# --- one encoder and one decoder per type ---------------------------------------------------

_Encode: TypeAlias = Callable[..., bytes]  # (type, value) -> bytes
_Decode: TypeAlias = Callable[..., tuple[Value, int]]  # (type, bytes) -> value, size

_unpack_word = struct.Struct(">Q").unpack_from
_unpack_double = struct.Struct(">d").unpack
_pack_double = struct.Struct(">d").pack


def _word(number: int) -> bytes:
    return (number + SIGN_BIT).to_bytes(8, "big")


def _number(data: bytes) -> int:
    return int(_unpack_word(data)[0]) - SIGN_BIT


def _encode_bool(kind: BoolType, value: bool) -> bytes:
    return b"\x01" if value else b"\x00"


def _decode_bool(kind: BoolType, data: bytes) -> tuple[Value, int]:
    return (False, True)[data[0]], 1


def _encode_int(kind: IntType, value: int) -> bytes:
    return _word(value)


def _decode_int(kind: IntType, data: bytes) -> tuple[Value, int]:
    return _number(data), 8


def _encode_float(kind: FloatType, value: float) -> bytes:
    packed = _pack_double(value + 0.0)
    bits = int.from_bytes(packed, "big")
    return (bits ^ _ALL_ONES if bits & SIGN_BIT else bits | SIGN_BIT).to_bytes(8, "big")


def _decode_float(kind: FloatType, data: bytes) -> tuple[Value, int]:
    bits = int(_unpack_word(data)[0])
    plain = bits ^ SIGN_BIT if bits & SIGN_BIT else bits ^ _ALL_ONES
    value = _unpack_double(plain.to_bytes(8, "big"))[0]
    if math.isnan(value) or _encode_float(kind, value) != data[:8]:
        raise ValueError("NaN and -0.0 are never stored")
    return value, 8


def _encode_decimal(kind: DecimalType, value: decimal.Decimal) -> bytes:
    size = decimal_bytes(kind)
    return (scaled(value, kind.scale) + (1 << (8 * size - 1))).to_bytes(size, "big")


def _decode_decimal(kind: DecimalType, data: bytes) -> tuple[Value, int]:
    size = decimal_bytes(kind)
    if len(data) < size:
        raise ValueError("too short")
    number = int.from_bytes(data[:size], "big") - (1 << (8 * size - 1))
    if abs(number) >= 10**kind.precision:
        raise ValueError("too many digits")
    digits = tuple(map(int, str(abs(number))))
    return decimal.Decimal((int(number < 0), digits, -kind.scale)), size


def _encode_bytes(kind: BytesType, value: bytes) -> bytes:
    return value.replace(b"\x00", TEXT_ZERO) + TEXT_END


def _decode_bytes(kind: BytesType, data: bytes) -> tuple[Value, int]:
    end = data.index(b"\x00")
    while data[end + 1] == 0xFF:
        end = data.index(b"\x00", end + 2)
    if data[end + 1] != 0:
        raise ValueError("a zero byte is followed by neither its end nor its escape")
    return data[:end].replace(TEXT_ZERO, b"\x00"), end + 2


def _encode_text(kind: TextType, value: str) -> bytes:
    return value.encode().replace(b"\x00", TEXT_ZERO) + TEXT_END


def _decode_text(kind: TextType, data: bytes) -> tuple[Value, int]:
    value, size = _decode_bytes(BytesType(), data)
    return value.decode(), size


def _encode_uuid(kind: UuidType, value: uuid.UUID) -> bytes:
    return value.bytes


def _decode_uuid(kind: UuidType, data: bytes) -> tuple[Value, int]:
    return uuid.UUID(bytes=data[:16]), 16


def _encode_timestamp(kind: TimestampType, value: datetime.datetime) -> bytes:
    return _word(microseconds(value - EPOCH))


def _decode_timestamp(kind: TimestampType, data: bytes) -> tuple[Value, int]:
    return EPOCH + _number(data) * MICROSECOND, 8


def _encode_date(kind: DateType, value: datetime.date) -> bytes:
    return value.toordinal().to_bytes(4, "big")


def _decode_date(kind: DateType, data: bytes) -> tuple[Value, int]:
    if len(data) < 4:
        raise ValueError("too short")
    return datetime.date.fromordinal(int.from_bytes(data[:4], "big")), 4


def _encode_time(kind: TimeType, value: datetime.time) -> bytes:
    seconds = (value.hour * 60 + value.minute) * 60 + value.second
    return _word(seconds * 1_000_000 + value.microsecond)


def _decode_time(kind: TimeType, data: bytes) -> tuple[Value, int]:
    moment = _MIDNIGHT + _number(data) * MICROSECOND
    if moment.date() != _MIDNIGHT.date():
        raise ValueError("a day has 24 hours")
    return moment.time(), 8


def _encode_duration(kind: DurationType, value: datetime.timedelta) -> bytes:
    return _word(microseconds(value))


def _decode_duration(kind: DurationType, data: bytes) -> tuple[Value, int]:
    return _number(data) * MICROSECOND, 8


def _encode_enum(kind: EnumType, value: str) -> bytes:
    return _word(kind.variants.index(value))


def _decode_enum(kind: EnumType, data: bytes) -> tuple[Value, int]:
    position = _number(data)
    if position < 0:
        raise ValueError("a position is not negative")
    return kind.variants[position], 8


_CODECS: Final[dict[type, tuple[_Encode, _Decode]]] = {
    BoolType: (_encode_bool, _decode_bool),
    IntType: (_encode_int, _decode_int),
    FloatType: (_encode_float, _decode_float),
    DecimalType: (_encode_decimal, _decode_decimal),
    TextType: (_encode_text, _decode_text),
    BytesType: (_encode_bytes, _decode_bytes),
    UuidType: (_encode_uuid, _decode_uuid),
    TimestampType: (_encode_timestamp, _decode_timestamp),
    DateType: (_encode_date, _decode_date),
    TimeType: (_encode_time, _decode_time),
    DurationType: (_encode_duration, _decode_duration),
    EnumType: (_encode_enum, _decode_enum),
}
