"""The types a field can have, and the Python value each of them means.

    type                     Python value                      NULL
    bool int float text      bool int float str                None, for optional fields only
    bytes uuid decimal       bytes uuid.UUID decimal.Decimal
    timestamp                datetime.datetime, aware, kept as UTC to the microsecond
    date time duration       datetime.date, naive datetime.time, datetime.timedelta
    enum                     str, one of the declared variants
    json                     None, bool, int, float, str, list, dict with str keys, nested
    list of scalar           tuple
    struct                   dict by field name

Invariants (held by tests/unit/ir/test_value.py and tests/unit/ir/test_type_text.py):
  1. A type node equals another exactly when both mean the same set of values.
  2. `type_name(t)` and `parse_type(text)` of `ir.type_text` are inverses.
"""

from __future__ import annotations

import datetime
import decimal
import uuid
from dataclasses import dataclass
from typing import Any, TypeAlias

Scalar: TypeAlias = (
    bool
    | int
    | float
    | str
    | bytes
    | uuid.UUID
    | decimal.Decimal
    | datetime.datetime
    | datetime.date
    | datetime.time
    | datetime.timedelta
)
# JSON and struct values nest without end, which a type alias cannot say.
Value: TypeAlias = Any
RowDict: TypeAlias = dict[str, Value]


@dataclass(frozen=True, slots=True, kw_only=True)
class BoolType:
    """True or False."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IntType:
    """A signed 64-bit integer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FloatType:
    """An IEEE double; NaN is refused, infinities are kept, -0.0 is stored as 0.0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DecimalType:
    """An exact number of at most `precision` digits, `scale` of them after the point."""

    precision: int
    scale: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TextType:
    """Unicode text without surrogates, ordered by code point; `max_chars` bounds it if given."""

    max_chars: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BytesType:
    """Bytes, ordered as unsigned numbers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UuidType:
    """A UUID, ordered by its 16 bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TimestampType:
    """A moment in UTC to the microsecond, years 1 to 9999."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DateType:
    """A calendar day, years 1 to 9999."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeType:
    """A time of day without a zone, to the microsecond."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DurationType:
    """A signed length of time, to the microsecond."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JsonType:
    """Any JSON value; NULL of the field and a top-level JSON null are the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EnumType:
    """One of `variants`, ordered by their position."""

    variants: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ListType:
    """A list of scalars without NULLs."""

    item: ScalarType


@dataclass(frozen=True, slots=True, kw_only=True)
class StructField:
    """One named part of a struct."""

    name: str
    type: ScalarType
    optional: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class StructType:
    """A fixed group of named scalars, embedded in the row."""

    fields: tuple[StructField, ...]


ScalarType: TypeAlias = (
    BoolType
    | IntType
    | FloatType
    | DecimalType
    | TextType
    | BytesType
    | UuidType
    | TimestampType
    | DateType
    | TimeType
    | DurationType
    | EnumType
)
Type: TypeAlias = ScalarType | JsonType | ListType | StructType

SCALAR_CLASSES: tuple[type, ...] = (
    BoolType,
    IntType,
    FloatType,
    DecimalType,
    TextType,
    BytesType,
    UuidType,
    TimestampType,
    DateType,
    TimeType,
    DurationType,
    EnumType,
)


def is_scalar(kind: Type) -> bool:
    """Whether `kind` can be compared, indexed and be an identity."""
    return isinstance(kind, SCALAR_CLASSES)
