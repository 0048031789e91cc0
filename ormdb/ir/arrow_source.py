"""Columns taken from whatever gives an Arrow stream: a DataFrame, a Table, a DuckDB relation.

    with ArrowSource(frame) as source:           get_schema: what the columns are
        for chunk in source.chunks(kinds, 50_000):   get_next, batch by batch, released when read
            chunk.values["dep_delay"]            canonical values of the field's type, or refused

The stream's struct is moved out of its capsule and released at the end, also of an error.  Nothing
of the source is kept: a chunk holds Python values.  Which Arrow types a field takes is decided by
the schema, before a row is read.

    field                    takes
    bool                     bool
    int, float               every integer and float, as far as the value is exact
    decimal                  decimals of any width, integers, text
    text, enum               utf8, large_utf8, utf8_view
    bytes                    binary of any kind
    uuid                     16 bytes, text
    timestamp                timestamps with a time zone, in any unit; text
    date, time, duration     their own, in any unit; text
    json                     text, as JSON; or anything below
    list, struct             lists, structs of the above
    any                      null; a dictionary of what it takes

Invariants (held by tests/unit/ir/test_arrow_source.py and tests/property/test_arrow_round_trip.py):
  1. What is read equals what pyarrow reads.
  2. Every array and every stream is released, whatever happens.
  3. A value that is refused is named with its column and its row in the whole source.
"""

from __future__ import annotations

import ctypes
import json
import uuid
from collections.abc import Callable, Iterator, Mapping
from types import TracebackType
from typing import Any, Final, Self, TypeAlias

from ormdb import limits
from ormdb.errors import ColumnSourceError, ValueRangeError, ValueTypeError
from ormdb.ir.arrow_abi import (
    STREAM_NAME,
    ArrowArray,
    ArrowArrayStream,
    ArrowSchema,
    Get,
    LastError,
    capsule_pointer,
    release_struct,
)
from ormdb.ir.arrow_values import Layout, is_readable, read_values
from ormdb.ir.coerce import a_type
from ormdb.ir.columnar import ColumnChunk, GivesArrow
from ormdb.ir.refusal import range_error, refuse_type
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
from ormdb.ir.value_text import read_text

_NULLS: Final = "n"
_TEXTS: Final = ("u", "U", "vu")
_BYTES: Final = ("z", "Z", "vz", "w:")
_INTS: Final = tuple("cCsSiIlL")
_FLOATS: Final = tuple("efg")
_LISTS: Final = ("+l", "+L", "+w:")
# What each type takes beside null: a format, or what it begins with.
_TAKES: Final[dict[type, tuple[str, ...]]] = {
    BoolType: ("b",),
    IntType: (*_INTS, *_FLOATS),
    FloatType: (*_INTS, *_FLOATS),
    DecimalType: ("d:", *_INTS, *_TEXTS),
    TextType: _TEXTS,
    BytesType: _BYTES,
    UuidType: (*_BYTES, *_TEXTS),
    TimestampType: ("ts", *_TEXTS),
    DateType: ("td", *_TEXTS),
    TimeType: ("tt", *_TEXTS),
    DurationType: ("tD", *_TEXTS),
    EnumType: _TEXTS,
    JsonType: ("b", *_INTS, *_FLOATS, *_TEXTS, *_LISTS, "+s"),
    ListType: _LISTS,
    StructType: ("+s",),
}

Convert: TypeAlias = Callable[[Value, str], Value]


class ArrowSource:
    """An open Arrow stream; `names` are its columns."""

    def __init__(self, source: GivesArrow) -> None:
        capsule = source.__arrow_c_stream__()
        try:
            inside = ArrowArrayStream.from_address(capsule_pointer(capsule, STREAM_NAME))
        except ValueError as error:
            raise ColumnSourceError(
                f"{type(source).__name__} gives no Arrow stream: {error}"
            ) from error
        if not inside.release:
            raise ColumnSourceError(
                f"the Arrow stream of {type(source).__name__} was consumed already; make a new one"
            )
        self._stream = ArrowArrayStream.from_buffer_copy(inside)
        inside.release = None
        try:
            self._columns = self._read_schema()
        except BaseException:
            self.close()
            raise

    @property
    def names(self) -> list[str]:
        """The columns, in their order."""
        return [column.name for column in self._columns]

    def chunks(self, kinds: Mapping[str, Type], where: str) -> Iterator[ColumnChunk]:
        """Return the rows, column by column, at most BULK_CHUNK_ROWS at once.

        Args:
          kinds: the type of each column, by its name.
          where: whose columns they are, for errors ("Flight").

        Raises:
          ValueTypeError: a column's Arrow type does not fit, before anything is read.
          ValueTypeError, ValueRangeError: a value does not fit; `row` says where.
          ColumnSourceError: the source failed, or breaks Arrow's rules.
        """
        columns = [
            _Column(layout, number, kinds[layout.name], f"{where}.{layout.name}")
            for number, layout in enumerate(self._columns)
        ]
        rows = 0
        waiting = ColumnChunk({column.name: [] for column in columns}, 0)
        for batch in self._batches():
            for start in range(0, batch.length, limits.BULK_CHUNK_ROWS):
                count = min(limits.BULK_CHUNK_ROWS, batch.length - start)
                if waiting.count + count > limits.BULK_CHUNK_ROWS:
                    yield waiting
                    waiting = ColumnChunk({column.name: [] for column in columns}, 0)
                for column in columns:
                    waiting.values[column.name].extend(column.read(batch, start, count, rows))
                waiting = ColumnChunk(waiting.values, waiting.count + count)
                rows += count
        if waiting.count:
            yield waiting

    def close(self) -> None:
        """Release the stream."""
        release_struct(self._stream)
        self._stream.release = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _read_schema(self) -> tuple[Layout, ...]:
        schema = ArrowSchema()
        self._call("get_schema", schema)
        try:
            whole = _layout(schema, 0)
        finally:
            release_struct(schema)
        if whole.format != "+s":
            raise ColumnSourceError(
                f"the source is one column of Arrow type {whole.format!r}, not a table; "
                "give a table with named columns"
            )
        names = [column.name for column in whole.children]
        for name in names:
            if names.count(name) > 1:
                raise ColumnSourceError(f"the source has two columns {name!r}; rename one")
        return whole.children

    def _batches(self) -> Iterator[Any]:
        while True:
            batch = ArrowArray()
            self._call("get_next", batch)
            if not batch.release:
                return
            try:
                if batch.n_children != len(self._columns) or batch.offset < 0 or batch.length < 0:
                    raise ColumnSourceError("a batch of the source does not have its columns")
                if batch.length:
                    yield batch
            finally:
                release_struct(batch)

    def _call(self, name: str, out: ctypes.Structure) -> None:
        stream = self._stream
        code = Get(getattr(stream, name))(ctypes.addressof(stream), ctypes.addressof(out))
        if code:
            said = LastError(stream.get_last_error)(ctypes.addressof(stream))
            reason = ctypes.string_at(said).decode(errors="replace") if said else f"error {code}"
            raise ColumnSourceError(f"the source failed: {reason}; nothing was loaded", errno=code)


def _layout(schema: Any, depth: int) -> Layout:
    if depth > limits.JSON_DEPTH_MAX or not 0 <= schema.n_children <= limits.FIELDS_PER_ENTITY_MAX:
        raise ColumnSourceError(
            f"the schema of the source nests over {limits.JSON_DEPTH_MAX} deep, or has over "
            f"{limits.FIELDS_PER_ENTITY_MAX} columns; select some of them"
        )
    children: list[Layout] = []
    if schema.n_children:
        pointers = (ctypes.c_void_p * schema.n_children).from_address(schema.children)
        children = [_layout(ArrowSchema.from_address(at or 0), depth + 1) for at in pointers]
    dictionary = None
    if schema.dictionary:
        dictionary = _layout(ArrowSchema.from_address(schema.dictionary), depth + 1)
    name = ctypes.string_at(schema.name).decode(errors="replace") if schema.name else ""
    form = ctypes.string_at(schema.format).decode(errors="replace")
    return Layout(name, form, tuple(children), dictionary)


class _Column:
    """One column of a source, on its way to one field."""

    def __init__(self, layout: Layout, number: int, kind: Type, where: str) -> None:
        self.name = layout.name
        self._layout = layout
        self._number = number
        self._where = where
        self._convert = converter(kind, layout, where)

    def read(self, batch: Any, start: int, count: int, first_row: int) -> list[Value]:
        """Some values of a batch, converted; the first one is in row `first_row` of the source."""
        where, convert = self._where, self._convert
        pointers = (ctypes.c_void_p * batch.n_children).from_address(batch.children)
        array = ArrowArray.from_address(pointers[self._number] or 0)
        try:
            values = read_values(self._layout, array, batch.offset + start, count)
        except (ValueTypeError, ValueRangeError) as error:
            row = first_row + error.details["row"]
            message = f"{where}: {error.message} (row {row})"
            raise type(error)(message, where=where, row=row) from error
        if convert is None:
            return values
        made: list[Value] = []
        try:
            for value in values:
                made.append(None if value is None else convert(value, where))  # noqa: PERF401  (see below)
        except (ValueTypeError, ValueRangeError) as error:
            row = first_row + len(made)
            raise type(error)(f"{error.message} (row {row})", where=where, row=row) from error
        return made


# --- from what Arrow has to what a field takes ----------------------------------------------


def converter(kind: Type, layout: Layout, where: str) -> Convert | None:
    """Return what makes a field's value of a value that is there; None if it is one already.

    Whether the value is within the field's bounds is not asked here: whoever writes it checks.

    Raises:
      ValueTypeError: values of this Arrow type never fit the field.
    """
    if layout.dictionary is not None and is_readable(layout):
        return converter(kind, layout.dictionary, where)
    form = layout.format
    if form == _NULLS:
        return None
    taken = any(
        form == one or (len(one) > 1 and form.startswith(one)) for one in _TAKES[type(kind)]
    )
    if not taken or not is_readable(layout):
        raise ValueTypeError(
            f"{where} is {a_type(kind)} and takes no Arrow column of type {form!r}; cast it first",
            where=where,
            format=form,
        )
    if isinstance(kind, TimestampType) and form.startswith("ts") and form.endswith(":"):
        raise ValueTypeError(
            f"{where} is a timestamp and the column has no time zone; give it one first, UTC say",
            where=where,
            format=form,
        )
    match kind:
        case IntType() if form in _FLOATS:
            return _whole
        case FloatType() | BoolType() | BytesType() | TextType() | EnumType() | IntType():
            return None
        case UuidType() if form not in _TEXTS:
            return _uuid_of
        case JsonType():
            return _json_of if form in _TEXTS else None
        case ListType():
            return _items(converter(kind.item, layout.children[0], where))
        case StructType():
            return _parts(kind, layout, where)
        case _:
            return _reader(kind) if form in _TEXTS else None


def _whole(value: float, where: str) -> Value:
    if not value.is_integer():  # NaN and infinities are none
        refuse_type(value, where, "an int", "give whole numbers, and NULL for a missing one")
    return int(value)


def _uuid_of(value: bytes, where: str) -> Value:
    if len(value) != 16:
        refuse_type(value, where, "a uuid", "give 16 bytes")
    return uuid.UUID(bytes=value)


def _json_of(text: str, where: str) -> Value:
    try:
        return json.loads(text, parse_constant=_no_constant)
    except RecursionError as error:
        raise range_error(text, where, "nests too deeply", "flatten it") from error
    except ValueError as error:
        raise ValueTypeError(f"{where}: the text is not JSON ({error})", where=where) from error


def _no_constant(name: str) -> Value:
    raise ValueError(f"{name} is not a number of JSON")


def _reader(kind: Type) -> Convert:
    def read(text: str, where: str) -> Value:
        try:
            return read_text(kind, text)
        except (ValueTypeError, ValueRangeError) as error:
            raise type(error)(f"{where}: {error.message}", where=where) from error

    return read


def _items(convert: Convert | None) -> Convert | None:
    if convert is None:
        return None

    def read(items: tuple[Value, ...], where: str) -> Value:
        return tuple([None if item is None else convert(item, where) for item in items])

    return read


def _parts(kind: StructType, layout: Layout, where: str) -> Convert | None:
    types = {part.name: part.type for part in kind.fields}
    converts: dict[str, Convert] = {}
    for child in layout.children:
        if child.name not in types:
            known = ", ".join(types)
            refuse_type(child.name, where, "a field of the struct", f"use {known}")
        convert = converter(types[child.name], child, f"{where}.{child.name}")
        if convert is not None:
            converts[child.name] = convert

    def read(parts: dict[str, Value], where: str) -> Value:
        return {
            name: one if one is None or name not in converts else converts[name](one, where)
            for name, one in parts.items()
        }

    return read if converts else None
