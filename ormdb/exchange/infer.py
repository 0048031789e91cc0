"""Which type every cell of a column has, found by looking at all of them.

    "5", "", "12"                    int?          the empty cell is NULL
    "007", "12"                      text          an int would lose the zeros
    "1.5", "2"                       float
    "0.12345678901234567890"         decimal       a float would lose digits
    "2013-01-01"                     date
    "2013-01-01T05:00:00Z"           timestamp
    "2013-01-01 05:00"               text          no zone: which moment it is would be a guess
    anything else                    text

A type is taken when every cell that is not NULL reads as it and nothing of the cell is lost by
that; of several such types, the first of: bool, int, float, decimal, date, timestamp, uuid, text.

Invariants (held by tests/property/test_infer.py):
  1. Every cell reads as the inferred type, and the value spells a cell of the same meaning.
  2. The order in which cells are seen, and how they are batched, changes nothing.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Iterable
from typing import Final

from ormdb import limits
from ormdb.errors import ValueRangeError, ValueTypeError
from ormdb.exchange.cells import Digits, is_exact_float
from ormdb.ir.value import (
    BoolType,
    DateType,
    DecimalType,
    FloatType,
    IntType,
    JsonType,
    TextType,
    TimestampType,
    Type,
    UuidType,
    Value,
)
from ormdb.ir.value_text import read_text

_INT: Final = re.compile(r"0|-?[1-9][0-9]{0,18}")
# No leading zeros, which a number would not give back.
_NUMBER: Final = re.compile(r"-?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_DECIMAL: Final = re.compile(r"-?(0|[1-9][0-9]*)(?:\.([0-9]+))?")
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_UUID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_MOMENT: Final = r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,6})?)?"
_TIMESTAMP: Final = re.compile(_MOMENT + r"(?:Z|\+00:?00)")
_NAIVE: Final = re.compile(_MOMENT)


class TextColumn:
    """What the cells of a column seen so far have in common."""

    def __init__(self, *, utc: bool = False, numbers: bool = True) -> None:
        """`utc` takes timestamps without a zone as UTC; `numbers` is false where a cell that is a
        number would not be text."""
        self._utc = utc
        self._left = [
            (kind, fits)
            for kind, fits in _CANDIDATES
            if numbers or kind not in {"bool", "int", "float", "decimal"}
        ]
        self._may_be_naive = True
        self._whole_digits = self._scale = 0
        self.is_empty = True

    def see(self, cells: Iterable[str]) -> None:
        """Look at more cells, none of which is NULL."""
        distinct = set(cells)
        if not distinct:
            return
        self.is_empty = False
        if any(kind == "decimal" for kind, _ in self._left):
            self._measure(distinct)
        self._left = [(kind, fits) for kind, fits in self._left if all(map(fits, distinct))]
        self._may_be_naive = self._may_be_naive and all(map(is_moment, distinct))

    @property
    def is_naive(self) -> bool:
        """Whether the cells are timestamps but for a zone, and stay text for that reason."""
        return not self.is_empty and self._may_be_naive and not self._left and not self._utc

    def type(self) -> Type:
        """The type of the column."""
        if self.is_empty:
            return TextType()
        for kind, _ in self._left:
            if kind != "decimal":
                return _TYPES[kind]
            if self._whole_digits + self._scale <= limits.DECIMAL_DIGITS_MAX:
                return DecimalType(
                    precision=max(1, self._whole_digits + self._scale), scale=self._scale
                )
        return TimestampType() if self._may_be_naive and self._utc else TextType()

    def _measure(self, cells: Iterable[str]) -> None:
        for cell in cells:
            found = _DECIMAL.fullmatch(cell)
            if found is not None:
                whole = 0 if found[1] == "0" else len(found[1])
                self._whole_digits = max(self._whole_digits, whole)
                self._scale = max(self._scale, len(found[2] or ""))


class JsonColumn:
    """What the members of one name, in many JSON objects, have in common."""

    def __init__(self, *, utc: bool = False) -> None:
        self._texts = TextColumn(utc=utc, numbers=False)
        self._numbers = TextColumn()
        self._classes: set[str] = set()

    def see(self, items: Iterable[Value]) -> None:
        """Look at more members, none of which is null."""
        texts: list[str] = []
        numbers: list[str] = []
        for item in items:
            match item:
                case Digits():
                    numbers.append(item)
                case str():
                    texts.append(item)
                case bool():
                    self._classes.add("bool")
                case _:
                    self._classes.add("nested")
        self._classes.update(name for name, of in (("text", texts), ("number", numbers)) if of)
        self._texts.see(texts)
        self._numbers.see(numbers)

    @property
    def is_naive(self) -> bool:
        """As of TextColumn."""
        return self._classes == {"text"} and self._texts.is_naive

    @property
    def is_lossy(self) -> bool:
        """Whether no type holds its numbers exactly."""
        return "number" in self._classes and isinstance(self._numbers.type(), TextType)

    def type(self) -> Type:
        """The type of the column: json when its members are of several kinds or nested."""
        if not self._classes:
            return TextType()
        if self._classes == {"bool"}:
            return BoolType()
        if self._classes == {"text"}:
            return self._texts.type()
        if self._classes == {"number"}:
            return self._numbers.type()
        return JsonType()


def is_moment(cell: str) -> bool:
    """Whether a cell is a timestamp but for a zone."""
    return bool(_NAIVE.fullmatch(cell)) and _reads(TimestampType(), cell + "Z")


def read_moment(cell: str) -> datetime.datetime:
    """A timestamp without a zone, as UTC.

    Raises:
      ValueTypeError: the cell is none.
    """
    moment: datetime.datetime = read_text(TimestampType(), cell + "Z")
    return moment


def _is_bool(cell: str) -> bool:
    return cell.lower() in {"true", "false"}


def _is_int(cell: str) -> bool:
    return bool(_INT.fullmatch(cell)) and limits.INT_MIN <= int(cell) <= limits.INT_MAX


def _is_float(cell: str) -> bool:
    return bool(_NUMBER.fullmatch(cell)) and is_exact_float(cell)


def _is_decimal(cell: str) -> bool:
    return bool(_DECIMAL.fullmatch(cell))


def _is_date(cell: str) -> bool:
    return bool(_DATE.fullmatch(cell)) and _reads(DateType(), cell)


def _is_timestamp(cell: str) -> bool:
    # With another offset, the moment would be kept and the offset lost.
    return bool(_TIMESTAMP.fullmatch(cell)) and _reads(TimestampType(), cell)


def _is_uuid(cell: str) -> bool:
    return bool(_UUID.fullmatch(cell))


def _reads(kind: Type, cell: str) -> bool:
    try:
        read_text(kind, cell)
    except (ValueTypeError, ValueRangeError):
        return False
    return True


_CANDIDATES: Final[tuple[tuple[str, Callable[[str], bool]], ...]] = (
    ("bool", _is_bool),
    ("int", _is_int),
    ("float", _is_float),
    ("decimal", _is_decimal),
    ("date", _is_date),
    ("timestamp", _is_timestamp),
    ("uuid", _is_uuid),
)
_TYPES: Final[dict[str, Type]] = {
    "bool": BoolType(),
    "int": IntType(),
    "float": FloatType(),
    "date": DateType(),
    "timestamp": TimestampType(),
    "uuid": UuidType(),
}
