"""How a value is named in a sentence: its kind and a short, safe spelling of it.

    show_value("abc")        text 'abc'
    show_value(10**400)      int 1000000000…
    show_value(object())     object <object object at 0x…>

Invariants (held by tests/unit/ir/test_show.py):
  1. The answer is one line, free of control characters, whatever the value is.
  2. The cost does not grow with the size of the value.
"""

from __future__ import annotations

import datetime
import decimal
import itertools
import reprlib
import uuid
from typing import Final

from ormdb.ir.value import Value

_SHOWN_CHARS_MAX: Final = 60
_NAMES: Final[dict[type, str]] = {
    bool: "bool",
    int: "int",
    float: "float",
    str: "text",
    bytes: "bytes",
    uuid.UUID: "uuid",
    decimal.Decimal: "decimal",
    datetime.datetime: "timestamp",
    datetime.date: "date",
    datetime.time: "time",
    datetime.timedelta: "duration",
    list: "list",
    tuple: "list",
    dict: "dict",
}


class _Short(reprlib.Repr):
    """A `reprlib.Repr` that does not sort what it then cuts off."""

    def repr_dict(self, x: dict[Value, Value], level: int) -> str:
        shown = [
            f"{self.repr1(key, level - 1)}: {self.repr1(x[key], level - 1)}"
            for key in itertools.islice(x, self.maxdict)
        ]
        return "{" + ", ".join(shown + ["…"] * (len(x) > self.maxdict)) + "}"

    def repr_set(self, x: set[Value], level: int) -> str:
        return f"of {len(x)} items"

    def repr_frozenset(self, x: frozenset[Value], level: int) -> str:
        return f"of {len(x)} items"


_short = _Short()
_short.maxstring = _short.maxother = _SHOWN_CHARS_MAX
_short.maxlist = _short.maxtuple = _short.maxdict = _short.maxset = 4
_short.maxlevel = 3


def show_value(value: Value) -> str:
    """Return the kind of `value` and a short spelling of it, on one line."""
    if value is None:
        return "NULL"
    name = _NAMES.get(value.__class__, value.__class__.__name__)
    return f"{name} {_spelling(value)}"


def one_line(text: str) -> str:
    """Return `text` with ? for whatever would tear a line or steer a terminal."""
    return text if text.isprintable() else "".join(c if c.isprintable() else "?" for c in text)


def _spelling(value: Value) -> str:
    if isinstance(value, datetime.timedelta | datetime.datetime | datetime.date | datetime.time):
        return str(value)
    if isinstance(value, decimal.Decimal | uuid.UUID):
        return _cut(str(value))
    if type(value) is int and abs(value) >= 10**_SHOWN_CHARS_MAX:
        # Spelling a huge number costs its length squared, and CPython refuses beyond 4,300 digits.
        return f"of {value.bit_length()} bits"
    if isinstance(value, bytes | bytearray) and len(value) > _SHOWN_CHARS_MAX // 2:
        return f"{bytes(value[: _SHOWN_CHARS_MAX // 2])!r}… ({len(value)} bytes)"
    return _cut(one_line(_short.repr(value)))


def _cut(text: str) -> str:
    return text if len(text) <= 2 * _SHOWN_CHARS_MAX else text[: 2 * _SHOWN_CHARS_MAX] + "…"
