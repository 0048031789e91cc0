"""Parameters to stored values: what a literal beside a field becomes when a plan runs.

    dep_date == "2013-01-01"     text beside a date: parsed
    like(name, "A%")             a pattern: read
    level in ("error", "fatal")  texts beside an enum: positions, as a frozenset
    distance > 2.5               a float beside an int: left as it is, Python compares them exactly

Invariants (held by tests/unit/query/test_convert.py):
  1. A converted value compares with the field's stored values as the literal does with its
     canonical ones.
  2. `is_exact` holds for those conversions whose result can be encoded as a key of the field.
"""

from __future__ import annotations

import decimal
from collections.abc import Sequence
from typing import Final

from ormdb import limits
from ormdb.errors import ValueRangeError, ValueTypeError
from ormdb.ir.check import checker
from ormdb.ir.coerce import coerce_value
from ormdb.ir.expression_type import Convert, plain_literal
from ormdb.ir.schema import FieldDef
from ormdb.ir.value import DecimalType, FloatType, IntType, TextType, Type, Value
from ormdb.pulse import in_steps
from ormdb.query.shape import LiteralClass
from ormdb.storage.asking import Question
from ormdb.storage.records import stored_value

# The classes of literals that become numbers of the field's own type, but for rare values.
_NUMBER_CLASSES: Final[dict[type, frozenset[type]]] = {
    IntType: frozenset({int}),
    FloatType: frozenset({float, int}),
    DecimalType: frozenset({decimal.Decimal, int, float, str}),
}


def make_converter(
    use: FieldDef | Question | None, kind: LiteralClass, convert_literal: Convert = plain_literal
) -> Convert:
    """The conversion of one parameter.

    Args:
      use: the field or the function that it is given to; None where it is calculated with.
      kind: the Python class that it is given as; ("in", classes) of the items of a list.
      convert_literal: what makes the canonical form of it where it is calculated with.
    """
    if use is None:
        return convert_literal
    if isinstance(use, Question):
        return use.prepared
    field, definition = use, use.type

    def convert(value: Value) -> Value:
        return stored_value(definition, coerce_value(definition, value, field.name))

    def converted(items: Sequence[Value]) -> frozenset[Value]:
        return frozenset([convert(item) for part in in_steps(items) for item in part])

    if isinstance(kind, tuple):
        if isinstance(definition, IntType) and kind[1] == frozenset({int}):
            return lambda items: _whole_numbers(items) or converted(items)
        return converted

    # Most literals are ints beside ints and short texts beside texts, which stay what they are.
    def convert_int(value: Value) -> Value:
        return value if limits.INT_MIN < value <= limits.INT_MAX else convert(value)

    def convert_text(value: Value) -> Value:
        is_plain = value.isascii() and len(value) <= limits.TEXT_BYTES_MAX
        return value if is_plain else convert(value)

    if kind is int and isinstance(definition, IntType):
        return convert_int
    return convert_text if kind is str and isinstance(definition, TextType) else convert


def _whole_numbers(items: Sequence[Value]) -> frozenset[Value] | None:
    """Ints beside an int, which stay as they are if they fit; None if one does not."""
    if items and min(items) >= limits.INT_MIN and max(items) <= limits.INT_MAX:
        return frozenset(items)
    return None


def is_exact(field: FieldDef, kind: LiteralClass) -> bool:
    """Whether the conversion gives values of the field's own type, which its keys can hold.

    A float beside an int mostly stays what it is, and has no key.  An int beside a float or a
    decimal becomes one but for rare values, which `has_key` tells when the plan runs.
    """
    if isinstance(kind, tuple):
        return all(is_exact(field, item) for item in kind[1])
    classes = _NUMBER_CLASSES.get(type(field.type))
    return classes is None or kind in classes


def has_key(kind: Type, value: Value) -> bool:
    """Whether a converted value fits the field: an int beside a float that is no float, a decimal
    of more digits and the like compare well but have no key."""
    if type(value) is int and type(kind) is IntType:
        return limits.INT_MIN <= value <= limits.INT_MAX
    if isinstance(kind, FloatType) and value is not None:
        return isinstance(value, float)
    if not isinstance(kind, IntType | DecimalType) or value is None:
        return True
    try:
        checker(kind)(value, "key")
    except (ValueTypeError, ValueRangeError):
        return False
    return True
