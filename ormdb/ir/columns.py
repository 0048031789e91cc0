"""Columns as buffers: what Arrow, numpy and a memoryview read without making an object per value.

    column_buffers(IntType(), [5, None, 7])        column_buffers(TextType(), ["JFK", "", None])
      format    l       (int64)                      format    u       (UTF-8)
      validity  101                                  validity  110     bit i is set: value i is
      parts     5 0 7                                parts     0 3 3 3 | JFK

    type                         format           one value
    bool, int, float             b, l, g          1 bit, 8 bytes, 8 bytes
    decimal(p, s)                d:p,s            16 bytes, two's complement
    text, bytes                  u, z             offsets of 4 bytes; U, Z: of 8, beyond 2 GB
    uuid                         w:16             16 bytes, as in RFC 9562; arrow.uuid
    timestamp, date              tsu:UTC, tdD     microseconds, days since 1970
    time, duration               ttu, tDu         microseconds
    enum                         c, s or i        position in a dictionary of the variants
    json                         u                JSON text; arrow.json
    list, struct                 +l, +s           offsets and one child; a child per field

The layout is Arrow's.  Numbers are little endian, whatever the machine is; Arrow's interface within
a process wants them in the machine's own order, so the order is a parameter.  Buffers are made when
they are asked for and kept by nobody but who asked.  No Python function runs per value.

Invariants (held by tests/unit/ir/test_columns.py and tests/property/test_arrow_round_trip.py):
  1. A column of canonical values of a type has buffers that say each of them exactly.
  2. The buffer of a value that is not there has a value all the same, and its bit is not set.
  3. The buffers of an empty column show the layout of the type.
"""

from __future__ import annotations

import array
import datetime
import decimal
import json
import sys
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate, chain
from operator import itemgetter
from typing import Any, Final, TypeAlias, cast
from typing import Literal as Choice

from ormdb import limits
from ormdb.errors import ValueRangeError
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

ByteOrder: TypeAlias = Choice["little", "big"]

_SMALL_OFFSET_MAX: Final = 2**31 - 1  # Arrow's offsets of 4 bytes are signed
_EPOCH: Final = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_EPOCH_DAY: Final = datetime.date(1970, 1, 1).toordinal()
_MICROSECOND: Final = datetime.timedelta(microseconds=1)
_EXACT: Final = decimal.Context(
    prec=limits.DECIMAL_DIGITS_MAX, traps=[decimal.Inexact, decimal.InvalidOperation]
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Buffers:
    """One column in Arrow's layout."""

    format: str  # as Arrow's C data interface spells types
    length: int
    null_count: int
    validity: memoryview | None  # None where every value is there
    parts: tuple[memoryview, ...]
    children: tuple[tuple[str, Buffers], ...] = ()
    dictionary: Buffers | None = None
    extension: str = ""  # what the values mean beyond their format

    @property
    def offsets(self) -> memoryview:
        """Where each text, bytes or list begins, and where the last one ends."""
        return self.parts[0]

    @property
    def data(self) -> memoryview:
        """The values, or of texts and bytes their bytes, one after the other."""
        return self.parts[-1]


def column_buffers(kind: Type, values: Sequence[Value], order: ByteOrder = "little") -> Buffers:
    """Return the buffers of a column of canonical values of one type, None among them.

    Raises:
      ValueRangeError: a number is larger than its format holds, which no field's value is.
    """
    try:
        return _WRITERS[type(kind)](kind, values, order)
    except (OverflowError, decimal.Inexact, decimal.InvalidOperation) as error:
        raise ValueRangeError(
            f"a number among {len(values)} values of type {type(kind).__name__} does not fit its "
            "column buffer; convert it to text first"
        ) from error


def table_buffers(
    columns: Iterable[tuple[str, Type, Sequence[Value]]], length: int, order: ByteOrder = "little"
) -> Buffers:
    """Return a batch of named columns as what Arrow takes it for: a struct without NULLs."""
    children = tuple((name, column_buffers(kind, values, order)) for name, kind, values in columns)
    assert all(child.length == length for _, child in children)
    return Buffers(
        format="+s", length=length, null_count=0, validity=None, parts=(), children=children
    )


def number_buffer(code: str, values: Iterable[Value], order: ByteOrder = "little") -> memoryview:
    """Return numbers as one buffer; its items are numbers if the order is the machine's."""
    made = array.array(code, values)
    if order == sys.byteorder:
        return memoryview(made).toreadonly()
    made.byteswap()
    return memoryview(made.tobytes())


# --- one function per layout ----------------------------------------------------------------

_Writer: TypeAlias = Callable[[Any, Sequence[Value], ByteOrder], Buffers]


def _bits(reversed_flags: str) -> memoryview:
    """Bits from their text, the last one first: one conversion for all of them."""
    if not reversed_flags:
        return memoryview(b"")
    size = (len(reversed_flags) + 7) // 8
    return memoryview(int(reversed_flags, 2).to_bytes(size, "little"))


def _validity(values: Sequence[Value]) -> tuple[int, memoryview | None]:
    nulls = sum(value is None for value in values) if None in values else 0
    if not nulls:
        return 0, None
    return nulls, _bits("".join(["0" if value is None else "1" for value in reversed(values)]))


def _filled(values: Sequence[Value], nulls: int, filler: Value) -> Sequence[Value]:
    return [filler if value is None else value for value in values] if nulls else values


def _fixed(
    form: str, code: str, filler: Value, numbers: Callable[[Sequence[Value]], Iterable[Value]]
) -> _Writer:
    """The writer of a type whose values are numbers of one width."""

    def write(kind: Type, values: Sequence[Value], order: ByteOrder) -> Buffers:
        nulls, validity = _validity(values)
        return Buffers(
            format=form,
            length=len(values),
            null_count=nulls,
            validity=validity,
            parts=(number_buffer(code, numbers(_filled(values, nulls, filler)), order),),
        )

    return write


def _joined(form: str, values: Sequence[Value], pieces: Iterable[bytes]) -> Buffers:
    nulls, validity = _validity(values)
    return Buffers(
        format=form,
        length=len(values),
        null_count=nulls,
        validity=validity,
        parts=(memoryview(b"".join(pieces)),),
    )


def _write_bools(kind: BoolType, values: Sequence[Value], order: ByteOrder) -> Buffers:
    nulls, validity = _validity(values)
    return Buffers(
        format="b",
        length=len(values),
        null_count=nulls,
        validity=validity,
        parts=(_bits("".join(["1" if value else "0" for value in reversed(values)])),),
    )


def _write_decimals(kind: DecimalType, values: Sequence[Value], order: ByteOrder) -> Buffers:
    present = _filled(values, values.count(None), decimal.Decimal(0))
    whole, moved, scale = _EXACT.to_integral_exact, _EXACT.scaleb, kind.scale
    pieces = [int(whole(moved(value, scale))).to_bytes(16, order, signed=True) for value in present]
    return _joined(f"d:{kind.precision},{scale}", values, pieces)


def _write_uuids(kind: UuidType, values: Sequence[Value], order: ByteOrder) -> Buffers:
    present = _filled(values, values.count(None), uuid.UUID(int=0))
    made = _joined("w:16", values, [value.int.to_bytes(16, "big") for value in present])
    return _extended(made, "arrow.uuid")


def _write_texts(kind: Type, values: Sequence[Value], order: ByteOrder) -> Buffers:
    nulls, validity = _validity(values)
    present: Sequence[str] = _filled(values, nulls, "")
    joined = "".join(present)
    data = joined.encode()
    if len(data) != len(joined):  # some character takes several bytes: measure each text
        present = cast("Sequence[str]", list(map(str.encode, present)))
    return _long("uU", nulls, validity, (present, data), order)


def _write_bytes(kind: BytesType, values: Sequence[Value], order: ByteOrder) -> Buffers:
    nulls, validity = _validity(values)
    present: Sequence[bytes] = _filled(values, nulls, b"")
    return _long("zZ", nulls, validity, (present, b"".join(present)), order)


def _long(
    forms: str,
    nulls: int,
    validity: memoryview | None,
    data: tuple[Sequence[str | bytes], bytes],
    order: ByteOrder,
) -> Buffers:
    """Texts or bytes; `data` are the values, and all of them joined."""
    values, joined = data
    large = len(joined) > _SMALL_OFFSET_MAX
    ends = accumulate(map(len, values), initial=0)
    return Buffers(
        format=forms[large],
        length=len(values),
        null_count=nulls,
        validity=validity,
        parts=(number_buffer("q" if large else "i", ends, order), memoryview(joined)),
    )


def _write_enums(kind: EnumType, values: Sequence[Value], order: ByteOrder) -> Buffers:
    form, code = "ci"[len(kind.variants) > 128], "bi"[len(kind.variants) > 128]
    nulls, validity = _validity(values)
    place = dict(zip(kind.variants, range(len(kind.variants)), strict=True))
    positions = map(place.__getitem__, _filled(values, nulls, kind.variants[0]))
    return Buffers(
        format=form,
        length=len(values),
        null_count=nulls,
        validity=validity,
        parts=(number_buffer(code, positions, order),),
        dictionary=_write_texts(TextType(), kind.variants, order),
    )


def _write_json(kind: JsonType, values: Sequence[Value], order: ByteOrder) -> Buffers:
    encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode
    texts = [None if value is None else encode(value) for value in values]
    return _extended(_write_texts(TextType(), texts, order), "arrow.json")


def _write_lists(kind: ListType, values: Sequence[Value], order: ByteOrder) -> Buffers:
    nulls, validity = _validity(values)
    present: Sequence[Sequence[Value]] = _filled(values, nulls, ())
    items = list(chain.from_iterable(present))
    large = len(items) > _SMALL_OFFSET_MAX
    ends = accumulate(map(len, present), initial=0)
    return Buffers(
        format="+L" if large else "+l",
        length=len(values),
        null_count=nulls,
        validity=validity,
        parts=(number_buffer("q" if large else "i", ends, order),),
        children=(("item", column_buffers(kind.item, items, order)),),
    )


def _write_structs(kind: StructType, values: Sequence[Value], order: ByteOrder) -> Buffers:
    nulls, validity = _validity(values)
    nothing = dict.fromkeys([part.name for part in kind.fields])
    present = _filled(values, nulls, nothing)
    columns = [(part, list(map(itemgetter(part.name), present))) for part in kind.fields]
    return Buffers(
        format="+s",
        length=len(values),
        null_count=nulls,
        validity=validity,
        parts=(),
        children=tuple(
            (part.name, column_buffers(part.type, column, order)) for part, column in columns
        ),
    )


def _extended(made: Buffers, extension: str) -> Buffers:
    return Buffers(
        format=made.format,
        length=made.length,
        null_count=made.null_count,
        validity=made.validity,
        parts=made.parts,
        extension=extension,
    )


def _moments(values: Sequence[Value]) -> Iterable[int]:
    return [(value - _EPOCH) // _MICROSECOND for value in values]


def _days(values: Sequence[Value]) -> Iterable[int]:
    return [value.toordinal() - _EPOCH_DAY for value in values]


def _times(values: Sequence[Value]) -> Iterable[int]:
    return [((v.hour * 60 + v.minute) * 60 + v.second) * 1_000_000 + v.microsecond for v in values]


def _durations(values: Sequence[Value]) -> Iterable[int]:
    return [value // _MICROSECOND for value in values]


_WRITERS: Final[dict[type, _Writer]] = {
    BoolType: _write_bools,
    IntType: _fixed("l", "q", 0, iter),
    FloatType: _fixed("g", "d", 0.0, iter),
    DecimalType: _write_decimals,
    TextType: _write_texts,
    BytesType: _write_bytes,
    UuidType: _write_uuids,
    TimestampType: _fixed("tsu:UTC", "q", _EPOCH, _moments),
    DateType: _fixed("tdD", "i", datetime.date(1970, 1, 1), _days),
    TimeType: _fixed("ttu", "q", datetime.time(), _times),
    DurationType: _fixed("tDu", "q", datetime.timedelta(), _durations),
    EnumType: _write_enums,
    JsonType: _write_json,
    ListType: _write_lists,
    StructType: _write_structs,
}
