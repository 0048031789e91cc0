"""What lies in an Arrow array, as Python values; read by address, copied at once.

    ArrowArray  offset 1, length 2      values
      validity  0b110                   read_values(layout, array, 0, 2)  ──▶  [5, 7]
      data      0 5 7

An array may be a part of its buffers, so every position counts from `offset`.  C says how long a
buffer is by the array's length alone, so what can be compared is compared: the numbers of buffers
and children with the format, children's lengths, offsets, views and dictionary positions.  What is
below a NULL is never looked at, it may be anything.

Invariants (held by tests/unit/ir/test_arrow_source.py):
  1. A slice reads as the same rows of the whole.
  2. An array that contradicts itself or its format raises, before what it points at is read.
"""

from __future__ import annotations

import array
import ctypes
import datetime
import decimal
import operator
import struct
import sys
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

from ormdb.errors import ColumnSourceError, ValueRangeError, ValueTypeError
from ormdb.ir.arrow_abi import ArrowArray
from ormdb.ir.value import Value

_EPOCH: Final = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_EPOCH_DAY: Final = datetime.date(1970, 1, 1).toordinal()
_DAY_MS: Final = 86_400_000
_DAY: Final = datetime.timedelta(days=1)
_WIDE: Final = decimal.Context(prec=100)  # more digits than 256 bits have
_INLINE_BYTES: Final = 12  # of a text in its view
_UNITS: Final = {
    "s": datetime.timedelta(seconds=1),
    "m": datetime.timedelta(milliseconds=1),
    "u": datetime.timedelta(microseconds=1),
    "n": datetime.timedelta(microseconds=1),  # after division by 1,000
}
_NUMBERS: Final = {
    "c": "b",
    "C": "B",
    "s": "h",
    "S": "H",
    "i": "i",
    "I": "I",
    "l": "q",
    "L": "Q",
    "f": "f",
    "g": "d",
    "tdD": "i",
    "tdm": "q",
    "tts": "i",
    "ttm": "i",
    "ttu": "q",
    "ttn": "q",
    "tDs": "q",
    "tDm": "q",
    "tDu": "q",
    "tDn": "q",
}


@dataclass(frozen=True, slots=True)
class Layout:
    """What a column of a source is: the part of an ArrowSchema that is read."""

    name: str
    format: str
    children: tuple[Layout, ...]
    dictionary: Layout | None


def read_values(layout: Layout, found: Any, start: int, count: int) -> list[Value]:
    """Return `count` values of an ArrowArray from `start` on, None where it says NULL.

    Texts are str, timestamps aware, lists are tuples, structs dicts.

    Raises:
      ColumnSourceError: the array contradicts itself.
      ValueTypeError, ValueRangeError: Python has no such value; `row` counts from `start`.
    """
    if start + count > found.length or found.offset < 0:
        raise malformed(layout, f"{found.length} values where {start + count} are needed")
    if len(layout.children) != found.n_children:
        raise malformed(layout, f"{found.n_children} children")
    if not count:
        return []
    if layout.format == "n":
        return [None] * count
    begin = found.offset + start
    flags = None if found.null_count == 0 else _validity(layout, found, begin, count)
    if flags is not None and "1" not in flags:
        return [None] * count
    if layout.dictionary is not None:
        return _from_dictionary(layout, found, begin, count, flags)
    reader = _reader_of(layout)
    return reader(layout, found, begin, count, flags)


def malformed(layout: Layout, fact: str) -> ColumnSourceError:
    """The error about a source that does not keep to Arrow's rules."""
    return ColumnSourceError(
        f"column {layout.name!r} of Arrow type {layout.format!r} is malformed: it has {fact}; "
        "whoever made it broke the rules of Arrow",
        column=layout.name,
    )


def is_readable(layout: Layout) -> bool:
    """Whether values of a column can be read, and those of all its children."""
    if layout.dictionary is not None:
        return layout.format in _NUMBERS and is_readable(layout.dictionary)
    form = layout.format
    known = form == "n" or form in _NUMBERS or _special(form) is not None
    return known and all(map(is_readable, layout.children))


# --- buffers --------------------------------------------------------------------------------

_Reader = Callable[[Layout, Any, int, int, "str | None"], list[Value]]


def _buffer(layout: Layout, found: Any, number: int) -> int:
    if not number < found.n_buffers:
        raise malformed(layout, f"{found.n_buffers} buffers")
    address: int | None = (ctypes.c_void_p * found.n_buffers).from_address(found.buffers)[number]
    if not address:
        raise malformed(layout, f"no buffer {number}")
    return address


def _child(found: Any, number: int) -> Any:
    pointers = (ctypes.c_void_p * found.n_children).from_address(found.children)
    return ArrowArray.from_address(pointers[number] or 0)


def _bits(address: int, begin: int, count: int) -> str:
    """Bits as a text of 0 and 1, in the order of the values."""
    first = begin // 8
    data = ctypes.string_at(address + first, (begin + count + 7) // 8 - first)
    number = int.from_bytes(data, "little") >> (begin % 8) & ((1 << count) - 1)
    return format(number, f"0{count}b")[::-1]


def _validity(layout: Layout, found: Any, begin: int, count: int) -> str | None:
    if not found.n_buffers:
        raise malformed(layout, "no buffers")
    address = (ctypes.c_void_p * found.n_buffers).from_address(found.buffers)[0]
    if not address:
        return None
    flags = _bits(address, begin, count)
    return flags if "0" in flags else None


def _raw(address: int, code: str, begin: int, count: int) -> list[Any]:
    numbers: array.array[Any] = array.array(code)
    size = numbers.itemsize
    numbers.frombytes(ctypes.string_at(address + begin * size, count * size))
    return numbers.tolist()


def _masked(values: Sequence[Value], flags: str | None) -> list[Value]:
    if flags is None:
        return list(values)
    return [value if flag == "1" else None for value, flag in zip(values, flags, strict=True)]


def _from_dictionary(
    layout: Layout, found: Any, begin: int, count: int, flags: str | None
) -> list[Value]:
    assert layout.dictionary is not None
    if not found.dictionary:
        raise malformed(layout, "no dictionary")
    code = _NUMBERS[layout.format]
    places = _masked(_raw(_buffer(layout, found, 1), code, begin, count), flags)
    beside = ArrowArray.from_address(found.dictionary)
    used = {place for place in places if place is not None}
    low, high = min(used), max(used)  # some value is there, or we would not be here
    if not 0 <= low <= high < beside.length:
        raise malformed(layout, f"positions {low} to {high} in {beside.length} values")
    values = read_values(layout.dictionary, beside, low, high - low + 1)
    return [None if place is None else values[place - low] for place in places]


# --- one function per layout ----------------------------------------------------------------


def _read_numbers(
    layout: Layout, found: Any, begin: int, count: int, flags: str | None
) -> list[Value]:
    code = "q" if layout.format.startswith("ts") else _NUMBERS[layout.format]
    values = _masked(_raw(_buffer(layout, found, 1), code, begin, count), flags)
    form = layout.format
    if form[0] != "t":
        return values
    if form[:2] == "td":
        return _days(values) if form == "tdD" else _days(_divided(values, _DAY_MS, "day"))
    if form[2] == "n":
        values = _divided(values, 1_000, "microsecond")
    unit = _UNITS[form[2]]
    if form[:2] == "tD":
        return _each(values, lambda value: value * unit)
    if form[:2] == "ts":
        return _each(values, lambda value: _EPOCH + value * unit)
    return _each(values, lambda value: _time_of_day(value * unit))


def _days(values: list[Value]) -> list[Value]:
    return _each(values, lambda value: datetime.date.fromordinal(value + _EPOCH_DAY))


def _time_of_day(since: datetime.timedelta) -> datetime.time:
    if not datetime.timedelta(0) <= since < _DAY:
        raise OverflowError
    return (_EPOCH + since).time()


def _divided(values: list[Value], by: int, unit: str) -> list[Value]:
    for row, value in enumerate(values):
        if value is not None and value % by:
            raise ValueRangeError(f"a value is finer than a {unit}; round it first", row=row)
    return [None if value is None else value // by for value in values]


def _each(values: list[Value], make: Callable[[Any], Value]) -> list[Value]:
    made: list[Value] = []
    try:
        for value in values:
            made.append(None if value is None else make(value))  # noqa: PERF401  (see below)
    except (OverflowError, ValueError) as error:
        raise ValueRangeError(
            "a value lies outside what Python's datetime holds; use text", row=len(made)
        ) from error
    return made


def _read_halves(
    layout: Layout, found: Any, begin: int, count: int, flags: str | None
) -> list[Value]:
    data = ctypes.string_at(_buffer(layout, found, 1) + 2 * begin, 2 * count)
    return _masked(struct.unpack(f"={count}e", data), flags)


def _read_bools(
    layout: Layout, found: Any, begin: int, count: int, flags: str | None
) -> list[Value]:
    bits = _bits(_buffer(layout, found, 1), begin, count)
    return _masked([bit == "1" for bit in bits], flags)


def _read_decimals(
    layout: Layout, found: Any, begin: int, count: int, flags: str | None
) -> list[Value]:
    _, scale, *bits = map(int, layout.format[2:].split(","))
    width = bits[0] // 8 if bits else 16
    pieces = _pieces(_buffer(layout, found, 1), width, begin, count)
    move, make, order = _WIDE.scaleb, decimal.Decimal, sys.byteorder
    read = int.from_bytes
    return _masked([move(make(read(p, order, signed=True)), -scale) for p in pieces], flags)


def _read_fixed(
    layout: Layout, found: Any, begin: int, count: int, flags: str | None
) -> list[Value]:
    width = int(layout.format[2:])
    if not width:
        return _masked([b""] * count, flags)
    return _masked(_pieces(_buffer(layout, found, 1), width, begin, count), flags)


def _pieces(address: int, width: int, begin: int, count: int) -> list[bytes]:
    data = ctypes.string_at(address + begin * width, count * width)
    return [data[at : at + width] for at in range(0, len(data), width)]


def _offsets(layout: Layout, found: Any, begin: int, count: int) -> list[int]:
    code = "q" if layout.format[-1] in "UZL" else "i"
    offsets = _raw(_buffer(layout, found, 1), code, begin, count + 1)
    if offsets[0] < 0 or not all(map(operator.le, offsets, offsets[1:])):
        raise malformed(layout, "offsets that do not rise")
    return offsets


def _read_long(
    layout: Layout, found: Any, begin: int, count: int, flags: str | None
) -> list[Value]:
    offsets = _offsets(layout, found, begin, count)
    first, last = offsets[0], offsets[-1]
    data = (
        ctypes.string_at(_buffer(layout, found, 2) + first, last - first) if last > first else b""
    )
    pairs = pairwise([offset - first for offset in offsets])
    if layout.format in "zZ":
        return _masked([data[start:stop] for start, stop in pairs], flags)
    if data.isascii():
        text = data.decode("ascii")
        return _masked([text[start:stop] for start, stop in pairs], flags)
    return _decoded(_masked([data[start:stop] for start, stop in pairs], flags))


def _decoded(values: list[Value]) -> list[Value]:
    made: list[Value] = []
    try:
        for value in values:
            made.append(None if value is None else value.decode())  # noqa: PERF401  (see below)
    except UnicodeDecodeError as error:
        raise ValueTypeError("a text is not UTF-8; use a field of bytes", row=len(made)) from error
    return made


def _read_views(
    layout: Layout, found: Any, begin: int, count: int, flags: str | None
) -> list[Value]:
    views = ctypes.string_at(_buffer(layout, found, 1) + 16 * begin, 16 * count)
    further = found.n_buffers - 3
    sizes: list[int] = []
    if further > 0:
        sizes = _raw(_buffer(layout, found, found.n_buffers - 1), "q", 0, further)
    made: list[Value] = []
    for row in range(count):
        length, _, number, offset = struct.unpack_from("=iiii", views, 16 * row)
        if flags is not None and flags[row] == "0":
            made.append(None)
        elif 0 <= length <= _INLINE_BYTES:
            made.append(views[16 * row + 4 : 16 * row + 4 + length])
        elif 0 <= number < len(sizes) and 0 <= offset <= offset + length <= sizes[number]:
            made.append(ctypes.string_at(_buffer(layout, found, 2 + number) + offset, length))
        else:
            raise malformed(layout, f"a view of {length} bytes that lie in no buffer")
    return _decoded(made) if layout.format == "vu" else made


def _read_lists(
    layout: Layout, found: Any, begin: int, count: int, flags: str | None
) -> list[Value]:
    if layout.format.startswith("+w:"):
        width = int(layout.format[3:])
        offsets = [width * number for number in range(begin, begin + count + 1)]
    else:
        offsets = _offsets(layout, found, begin, count)
    first = offsets[0]
    try:
        items = read_values(layout.children[0], _child(found, 0), first, offsets[-1] - first)
    except (ValueTypeError, ValueRangeError) as error:
        # The child counts items.
        error.details["row"] = bisect_right(offsets, first + error.details["row"]) - 1
        raise
    return _masked([tuple(items[a - first : b - first]) for a, b in pairwise(offsets)], flags)


def _read_structs(
    layout: Layout, found: Any, begin: int, count: int, flags: str | None
) -> list[Value]:
    names = [child.name for child in layout.children]
    columns = [
        read_values(child, _child(found, number), begin, count)
        for number, child in enumerate(layout.children)
    ]
    rows = zip(*columns, strict=True) if columns else iter([()] * count)
    return _masked([dict(zip(names, row, strict=True)) for row in rows], flags)


def _reader_of(layout: Layout) -> _Reader:
    reader = _read_numbers if layout.format in _NUMBERS else _special(layout.format)
    assert reader is not None, layout.format  # is_readable was asked first
    return reader


def _special(form: str) -> _Reader | None:
    for start, reader in _SPECIAL:
        if form == start or (len(start) > 1 and form.startswith(start)):
            return reader
    return None


_SPECIAL: Final[tuple[tuple[str, _Reader], ...]] = (
    ("b", _read_bools),
    ("e", _read_halves),
    ("u", _read_long),
    ("U", _read_long),
    ("z", _read_long),
    ("Z", _read_long),
    ("vu", _read_views),
    ("vz", _read_views),
    ("d:", _read_decimals),
    ("w:", _read_fixed),
    ("ts", _read_numbers),
    ("+l", _read_lists),
    ("+L", _read_lists),
    ("+w:", _read_lists),
    ("+s", _read_structs),
)
