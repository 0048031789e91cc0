"""Generated key encoders: the fast lane of `ormdb.storage.key_values`.

An index over (dep_delay, tailnum), read from the attributes s5 and s7 of decoded rows:

    def encode(rows):
        keys = []
        add = keys.append
        for r in rows:
            v = r.s5
            if v is None:
                k = null0
            else:
                k = pack0(1, v + 9223372036854775808)
            v = r.s7
            if v is None:
                k += null1
            else:
                v = v.encode()
                if zero in v:
                    v = v.replace(zero, escaped)
                k += mark1 + v + end1
            if len(k) >= 480:
                k = cut(k)
            add(k)
        return keys

Accessors are source text of ours ("r.s5", "r[2]"), never of a user; `codegen` refuses others.
An enum may be given as its text or as its position, as rows hold it.

Invariants (held by tests/property/test_keys.py):
  1. A generated encoder gives the same bytes as `encode_key`, for every column and value.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, TypeAlias

from ormdb import limits
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
    UuidType,
)
from ormdb.storage.codegen import compile_function
from ormdb.storage.key_ranges import cut_key
from ormdb.storage.key_values import (
    EPOCH,
    NULL_MARK,
    SIGN_BIT,
    TEXT_END,
    TEXT_ZERO,
    VALUE_MARK,
    KeyColumn,
    decimal_bytes,
    encode_value,
    microseconds,
    scaled,
)

KeyEncoder: TypeAlias = Callable[[Any], bytes]
BatchKeyEncoder: TypeAlias = Callable[[Iterable[Any]], list[bytes]]

# How the number of a column is packed, and the first number that does not fit.
_NUMBER_CODES: Final[dict[type, tuple[str, int]]] = {
    BoolType: ("B", 1 << 8),
    DateType: ("I", 1 << 32),
}
_pack_double: Final = struct.Struct(">d").pack
_FIXED_BYTES_MAX: Final = 17  # a uuid or a long decimal, and its mark
_COMPLEMENT: Final = bytes(255 - byte for byte in range(256))


def compile_key_encoder(columns: Sequence[KeyColumn], accessors: Sequence[str]) -> KeyEncoder:
    """Return a function from one row `r` to its stored key.

    Args:
      columns: the columns of the key, in order.
      accessors: for each, where its value stands, as source over `r` ("r.s5", "r[2]").
    """
    body, bindings = _body(columns, accessors)
    lines = ["def encode(r):", *_indented(body, 1), "    return k"]
    return compile_function("\n".join(lines) + "\n", "encode", bindings)


def compile_batch_key_encoder(
    columns: Sequence[KeyColumn], accessors: Sequence[str]
) -> BatchKeyEncoder:
    """Return a function from rows to their stored keys, in order.  See `compile_key_encoder`."""
    body, bindings = _body(columns, accessors)
    lines = [
        "def encode(rows):",
        "    keys = []",
        "    add = keys.append",
        "    for r in rows:",
        *_indented(body, 2),
        "        add(k)",
        "    return keys",
    ]
    return compile_function("\n".join(lines) + "\n", "encode", bindings)


def _indented(lines: Iterable[str], levels: int) -> list[str]:
    return ["    " * levels + line for line in lines]


def _body(
    columns: Sequence[KeyColumn], accessors: Sequence[str]
) -> tuple[list[str], dict[str, Any]]:
    """Statements that leave the stored key of `r` in `k`."""
    bindings: dict[str, Any] = {}
    lines: list[str] = []
    for position, (column, accessor) in enumerate(zip(columns, accessors, strict=True)):
        assign = "k +=" if position else "k ="
        made = _column(column, str(position), bindings)
        lines.append(f"v = {accessor}")
        if column.nullable:
            null = f"null{position}"
            bindings[null] = encode_value(column.type, None, descending=column.descending)
            lines += ["if v is None:", f"    {assign} {null}", "else:"]
            lines += _indented([*made[:-1], f"{assign} {made[-1]}"], 1)
        else:
            lines += [*made[:-1], f"{assign} {made[-1]}"]
    if _may_be_long(columns):
        bindings["cut"] = cut_key
        lines += [f"if len(k) >= {limits.INDEX_KEY_BYTES_MAX}:", "    k = cut(k)"]
    return lines, bindings


def _may_be_long(columns: Sequence[KeyColumn]) -> bool:
    """Whether a key of these columns may have to be cut."""
    fixed = all(not isinstance(column.type, TextType | BytesType) for column in columns)
    return not fixed or len(columns) * _FIXED_BYTES_MAX >= limits.INDEX_KEY_BYTES_MAX


def _column(column: KeyColumn, n: str, bindings: dict[str, Any]) -> list[str]:
    """Statements that prepare the non-NULL value `v`, then the expression of its bytes."""
    if isinstance(column.type, TextType | BytesType):
        return _text_column(column, n, bindings)
    if isinstance(column.type, UuidType):
        return _uuid_column(column, n, bindings)
    if isinstance(column.type, DecimalType) and decimal_bytes(column.type) > 8:
        bindings[f"encode{n}"] = _plain_encoder(column)
        return [f"encode{n}(v)"]
    prepare, number = _number_of(column, n, bindings)
    code, top = _NUMBER_CODES.get(type(column.type), ("Q", 1 << 64))
    if column.descending:
        number = f"{top - 1} - ({number})"
    bindings[f"pack{n}"] = struct.Struct(f">{'B' * column.nullable}{code}").pack
    if not column.nullable:
        return [*prepare, f"pack{n}({number})"]
    mark = 0xFE if column.descending else 0x01
    return [*prepare, f"pack{n}({mark}, {number})"]


def _number_of(column: KeyColumn, n: str, bindings: dict[str, Any]) -> tuple[list[str], str]:
    """Statements, and the expression of the unsigned number whose bytes are the encoding."""
    match column.type:
        case BoolType():
            return [], "v"
        case IntType():
            return [], f"v + {SIGN_BIT}"
        case FloatType():
            bindings["bits"], bindings["double"] = struct.Struct(">Q").unpack, _pack_double
            # A negative float has the sign bit set and sorts backwards by its other bits.
            prepare = ["v = bits(double(v + 0.0))[0]"]
            return prepare, f"{(1 << 64) - 1} - v if v >= {SIGN_BIT} else v + {SIGN_BIT}"
        case DecimalType(scale=scale):
            bindings["scaled"] = scaled
            return [], f"scaled(v, {scale}) + {SIGN_BIT}"
        case TimestampType():
            bindings["epoch"] = EPOCH
            prepare = ["v = v - epoch"]
            return prepare, f"(v.days * 86400 + v.seconds) * 1000000 + v.microseconds + {SIGN_BIT}"
        case DateType():
            return [], "v.toordinal()"
        case TimeType():
            seconds = "((v.hour * 60 + v.minute) * 60 + v.second)"
            return [], f"{seconds} * 1000000 + v.microsecond + {SIGN_BIT}"
        case DurationType():
            bindings["microseconds"] = microseconds
            return [], f"microseconds(v) + {SIGN_BIT}"
        case EnumType(variants=variants):
            places: dict[str | int, int] = {name: place for place, name in enumerate(variants)}
            places.update((place, place) for place in range(len(variants)))
            bindings[f"places{n}"] = places
            return [], f"places{n}[v] + {SIGN_BIT}"
        case _:
            raise AssertionError(f"{column.type} is not a number in a key")


def _text_column(column: KeyColumn, n: str, bindings: dict[str, Any]) -> list[str]:
    mark = VALUE_MARK if column.nullable else b""
    bindings.update(
        {"zero": NULL_MARK, "escaped": TEXT_ZERO, f"mark{n}": mark, f"end{n}": TEXT_END}
    )
    prepare = ["if zero in v:", "    v = v.replace(zero, escaped)"]
    if isinstance(column.type, TextType):
        prepare.insert(0, "v = v.encode()")
    whole = f"mark{n} + v + end{n}" if column.nullable else f"v + end{n}"
    if not column.descending:
        return [*prepare, whole]
    bindings["complement"] = _COMPLEMENT
    return [*prepare, f"({whole}).translate(complement)"]


def _uuid_column(column: KeyColumn, n: str, bindings: dict[str, Any]) -> list[str]:
    if not column.nullable and not column.descending:
        return ["v.bytes"]
    bindings[f"mark{n}"] = VALUE_MARK if column.nullable else b""
    if not column.descending:
        return [f"mark{n} + v.bytes"]
    bindings["complement"] = _COMPLEMENT
    return [f"(mark{n} + v.bytes).translate(complement)"]


def _plain_encoder(column: KeyColumn) -> Callable[[Any], bytes]:
    def encode(value: Any) -> bytes:
        return encode_value(
            column.type, value, descending=column.descending, nullable=column.nullable
        )

    return encode
