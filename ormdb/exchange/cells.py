"""Values as the text of one cell (CSV, a table on a terminal) and as JSON.

    type                cell                         JSON
    bool                true                         true
    int, float          5, 1.5, inf                  5, 1.5, "inf"
    decimal             12.50                        "12.50"
    bytes               00ff                         "00ff"
    timestamp           2013-01-01T05:00:00Z         the same text
    list(int)           [1,2]                        [1,2]
    struct(x: int)      {"x":1}                      {"x":1}
    json                {"a":[1,null]}               {"a":[1,null]}

A number in JSON is read by its digits (`Digits`), so that 12.50 becomes the decimal 12.50 and
never passes through a float.

Invariants (held by tests/property/test_cells.py):
  1. `parse_value(kind, format_value(kind, value)) == value`, for every value of every type.
  2. `from_json(kind, load_json(dump_json(value))) == value`, likewise.
  3. Whatever the text is, reading ends in a value or in a ValueTypeError or ValueRangeError.
"""

from __future__ import annotations

import decimal
import json
import math
import re
from collections.abc import Sequence
from typing import Any, Final, NoReturn, cast

from ormdb.errors import ValueRangeError, ValueTypeError
from ormdb.ir.check import canonical_value
from ormdb.ir.refusal import range_error, refuse_range, refuse_type
from ormdb.ir.value import (
    BoolType,
    BytesType,
    EnumType,
    FloatType,
    IntType,
    JsonType,
    ListType,
    StructType,
    TextType,
    Type,
    Value,
)
from ormdb.ir.value_text import READABLE_TYPES, read_text, write_text

_BOOLS: Final = {"true": True, "t": True, "yes": True, "1": True}
_BOOLS.update({"false": False, "f": False, "no": False, "0": False})
_INT: Final = re.compile(r"[+-]?[0-9]{1,25}")
_FLOAT: Final = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,6})?")
_INFINITE: Final = {"inf", "+inf", "-inf", "infinity", "+infinity", "-infinity"}
_NUMBER_CHARS_MAX: Final = 2_000  # a longer one is no measurement; parsing costs length squared


class Digits(str):
    """A JSON number, as it was written."""

    __slots__ = ()


def parse_value(kind: Type, text: str, where: str) -> Value:
    """Return the canonical value of type `kind` that a cell holds.

    Raises:
      ValueTypeError, ValueRangeError: it holds none; the sentence begins with `where`.
    """
    if isinstance(kind, READABLE_TYPES):
        try:
            return canonical_value(kind, read_text(kind, text), where)
        except (ValueTypeError, ValueRangeError) as error:
            if error.details.get("where") == where:
                raise
            raise type(error)(f"{where}: {error.message}", where=where) from error
    match kind:
        case TextType() | EnumType():
            return canonical_value(kind, text, where)
        case BoolType():
            found = _BOOLS.get(text.lower())
            if found is None:
                refuse_type(text, where, "a bool", "write true or false")
            return found
        case IntType():
            if not _INT.fullmatch(text):
                refuse_type(text, where, "an int", "write a whole number")
            return canonical_value(kind, int(text), where)
        case FloatType():
            return _parse_float(text, where)
        case BytesType():
            return canonical_value(kind, _parse_hex(text, where), where)
        case _:
            return from_json(kind, load_json(text, where), where)


def format_value(kind: Type, value: Value) -> str:
    """Return the cell of a canonical value that is not None."""
    return dump_json(value) if isinstance(kind, JsonType) else _formatted(value)


def to_json(value: Value) -> Value:
    """Return what stands for a canonical value in JSON: None, bool, number, str, list, dict."""
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else repr(value)
        case list() | tuple():
            return [to_json(item) for item in cast("Sequence[Value]", value)]
        case dict():
            return {key: to_json(item) for key, item in cast("dict[str, Value]", value).items()}
        case _:
            return _formatted(value)


def dump_json(value: Value) -> str:
    """Return a canonical value as JSON text on one line."""
    return json.dumps(to_json(value), ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def load_json(text: str, where: str) -> Value:
    """Return what a JSON text says; numbers are `Digits`.

    Raises:
      ValueTypeError: it is not JSON, or says NaN, or has one key twice in one object.
      ValueRangeError: it nests too deeply.
    """
    try:
        return _decoder.decode(text)
    except RecursionError as error:
        raise range_error(text, where, "nests too deeply", "flatten it") from error
    except ValueError as error:
        raise ValueTypeError(
            f"{where}: the text is not JSON ({error}); see RFC 8259", where=where
        ) from error


def from_json(kind: Type, item: Value, where: str) -> Value:
    """Return the canonical value of type `kind` that a part of a JSON text stands for.

    Raises:
      ValueTypeError, ValueRangeError: it stands for none.
    """
    match kind:
        case JsonType():
            return canonical_value(kind, _plain(item, where), where)
        case ListType() if isinstance(item, list):
            parts = cast("Sequence[Value]", item)
            read = [from_json(kind.item, one, f"{where}[{n}]") for n, one in enumerate(parts)]
            return canonical_value(kind, read, where)
        case StructType() if isinstance(item, dict):
            kinds = {part.name: part.type for part in kind.fields}
            members = cast("dict[str, Value]", item)
            return canonical_value(
                kind,
                {
                    name: one
                    if one is None or name not in kinds
                    else from_json(kinds[name], one, f"{where}.{name}")
                    for name, one in members.items()
                },
                where,
            )
        case TextType() | EnumType() | BoolType() | ListType() | StructType():
            # A number is not text, though its digits are a str.
            return canonical_value(kind, _plain(item, where), where)
        case _ if isinstance(item, str):
            return parse_value(kind, item, where)
        case _:
            return canonical_value(kind, item, where)


def is_exact_float(text: str) -> bool:
    """Whether a number reads as a float without losing digits: the float spells it again."""
    if len(text) > _NUMBER_CHARS_MAX or not _FLOAT.fullmatch(text):
        return False
    number = float(text)
    if len(text) <= 15 and "e" not in text and "E" not in text:
        return True  # any 15 digits survive
    return math.isfinite(number) and decimal.Decimal(repr(number)) == decimal.Decimal(text)


def _formatted(value: Value) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return value
        case int() | float():
            return repr(value)
        case bytes():
            return value.hex()
        case list() | tuple() | dict():
            return dump_json(cast("Value", value))
        case decimal.Decimal():
            return format(value, "f")
        case _:
            return write_text(value)


def _parse_float(text: str, where: str) -> float:
    if text.lower() in _INFINITE:
        return float(text)
    if len(text) > _NUMBER_CHARS_MAX or not _FLOAT.fullmatch(text):
        refuse_type(text, where, "a float", "write a number, with a point if need be")
    number = float(text)
    if not math.isfinite(number):
        refuse_range(text, where, "is too large for a float", "write inf, or use decimal")
    return number + 0.0


def _parse_hex(text: str, where: str) -> bytes:
    try:
        return bytes.fromhex(text.removeprefix("0x").removeprefix("\\x"))
    except ValueError as error:
        raise ValueTypeError(
            f"{where}: the text is not bytes; write pairs of hexadecimal digits", where=where
        ) from error


def _plain(item: Value, where: str) -> Value:
    """A part of a JSON text with numbers in place of their digits."""
    match item:
        case Digits():
            if _INT.fullmatch(item):
                return int(item)
            return _parse_float(item, where)
        case list():
            return [_plain(one, where) for one in cast("Sequence[Value]", item)]
        case dict():
            members = cast("dict[str, Value]", item)
            return {key: _plain(one, where) for key, one in members.items()}
        case _:
            return item


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("one key stands twice in one object")
    return result


def _constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number of JSON")


_decoder: Final = json.JSONDecoder(
    object_pairs_hook=_object, parse_constant=_constant, parse_float=Digits, parse_int=Digits
)
