"""Parameters: what stands in a query for a value that each run of it is given.

    threshold = ormdb.param("threshold", int)
    codes = ormdb.param("codes", list[str])
    late = db.prepare(Flight.where(Flight.dep_delay > threshold, Flight.origin_faa.in_(codes)))
    late.fetch(threshold=60, codes=["JFK", "LGA"])

A parameter belongs to no entity: it may stand beside a column of its type of any of them, and in
`limit`, `offset`, `after` and `before`.

Invariants (held by tests/unit/model/test_parameter.py and tests/typing):
  1. A checker refuses a parameter beside a column of another type.
"""

from __future__ import annotations

import datetime
import decimal
import enum
import typing
import uuid
from typing import Any, Final, TypeVar

from ormdb import limits
from ormdb.errors import QueryError
from ormdb.ir.expr import NamedParam
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
    ScalarType,
    TextType,
    TimestampType,
    TimeType,
    Type,
    UuidType,
)
from ormdb.model.term import Parameter

V = TypeVar("V")

_SCALARS: Final[dict[type, ScalarType]] = {
    bool: BoolType(),
    int: IntType(),
    float: FloatType(),
    decimal.Decimal: DecimalType(precision=limits.DECIMAL_DIGITS_MAX, scale=0),  # of any digits
    str: TextType(),
    bytes: BytesType(),
    uuid.UUID: UuidType(),
    datetime.datetime: TimestampType(),
    datetime.date: DateType(),
    datetime.time: TimeType(),
    datetime.timedelta: DurationType(),
}


def param(name: str, kind: type[V]) -> Parameter[V]:
    """Make a parameter: a name, and the class of its values.

    Args:
      name: under which each run is given the value; a Python name.
      kind: int, str, float, bool, bytes, Decimal, datetime, date, time, timedelta, UUID, an Enum
        of texts, dict for JSON, or a list of a scalar, as list[int], for `in_`.

    Raises:
      QueryError: the name is no name, or no value is of that class.
    """
    if not name.isidentifier():
        raise QueryError(f"{name!r} is no name of a parameter; give one as in param('count', int)")
    if len(name) > limits.NAME_CHARS_MAX:
        raise QueryError(f"the name of a parameter is over {limits.NAME_CHARS_MAX} characters")
    return Parameter(NamedParam(name=name, type=_type_of(name, kind)))


def _type_of(name: str, kind: Any) -> Type:
    if typing.get_origin(kind) is list:
        return ListType(item=_scalar_of(name, typing.get_args(kind)[0]))
    return JsonType() if kind is dict else _scalar_of(name, kind)


def _scalar_of(name: str, kind: Any) -> ScalarType:
    if isinstance(kind, type):
        known = _SCALARS.get(kind)
        if known is not None:
            return known
        if issubclass(kind, enum.Enum):
            values = [member.value for member in kind]
            if values and all(isinstance(value, str) for value in values):
                return EnumType(variants=tuple(map(str.__str__, values)))
    raise QueryError(
        f"parameter {name!r} cannot be {kind!r}; give int, str, float, bool, bytes, Decimal, "
        "datetime, date, time, timedelta, UUID, an Enum of texts, dict for JSON, or a list of these"
    )
