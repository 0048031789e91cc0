"""Which types operators take together, and what they give.

    int * float             a float
    decimal / int           a decimal of as many digits as fit
    timestamp - timestamp   a duration
    text + text             nothing: join texts with concat()

Int goes with float and with decimal; float and decimal never meet, because no result of theirs is
exact in either.

Invariants (held by tests/unit/ir/test_expression_type.py and
tests/property/test_expression_laws.py):
  1. What `ir.evaluate` calculates of values of two types is of the type that is said here.
"""

from __future__ import annotations

from ormdb import limits
from ormdb.ir.value import (
    DateType,
    DecimalType,
    DurationType,
    FloatType,
    IntType,
    TextType,
    TimestampType,
    Type,
    is_scalar,
)


def result_type(op: str, left: Type | None, right: Type | None) -> Type | None:
    """Return the type of `left op right`, or None where that has no meaning."""
    match left, right:
        case IntType(), IntType():
            return FloatType() if op == "/" else IntType()
        case ((IntType() | FloatType()), (IntType() | FloatType())):
            return FloatType()
        case ((DecimalType() | IntType()), (DecimalType() | IntType())):
            scales = [kind.scale for kind in (left, right) if isinstance(kind, DecimalType)]
            return DecimalType(precision=limits.DECIMAL_DIGITS_MAX, scale=max(scales))
        case (TimestampType(), TimestampType()) | (DateType(), DateType()):
            return DurationType() if op == "-" else None
        case TimestampType(), DurationType():
            return TimestampType() if op in {"+", "-"} else None
        case DurationType(), TimestampType():
            return TimestampType() if op == "+" else None
        case DurationType(), DurationType():
            return DurationType() if op in {"+", "-"} else None
        case (DurationType(), IntType()) | (IntType(), DurationType()):
            return DurationType() if op == "*" else None
        case _:
            return None


def remedy(left: Type, right: Type) -> str:
    """What to do about types that cannot be compared."""
    if {type(left), type(right)} == {FloatType, DecimalType}:
        return "declare both as one of the two"
    if not is_scalar(left) or not is_scalar(right):
        return "test it with `is None`"
    return "compare values of one type"


def remedy_for_arithmetic(left: Type | None, right: Type | None) -> str:
    """What to do about types that an operator does not take together."""
    if isinstance(left, TextType) and isinstance(right, TextType):
        return "join texts with concat()"
    if {type(left), type(right)} == {FloatType, DecimalType}:
        return "declare both as one of the two"
    if TextType in {type(left), type(right)}:
        return 'write moments as timestamp("…"), lengths as duration("…")'
    return "use values of one type"
