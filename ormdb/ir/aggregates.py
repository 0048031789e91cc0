"""What aggregates mean: one value of many rows.

    dep_delay     12, NULL, 3, 12

    count()                     4      rows
    count(dep_delay)            3      values: NULL is none
    count(distinct dep_delay)   2
    sum, avg, min, max          27, 9.0, 3, 12;  of no values NULL

Every function leaves NULLs out, as SQL has it; a count is never NULL.

    function   of                          gives
    count      anything                    int
    sum        int                         int; beyond 64 bits a ValueRangeError
               float                       float: the exact sum, rounded once; NULL for inf - inf
               decimal                     decimal, rounded half-even to 38 digits
               duration                    duration; beyond what it can hold a ValueRangeError
    avg        int, float                  float: the exact sum, of any size, divided by the count
               decimal                     decimal, rounded half-even to 6 more digits
               duration                    duration, rounded half-even to the microsecond
    min, max   any scalar                  the same; enums by the position of their variant

So no result depends on the order in which rows are read.  `fold` is the definition; generated code
agrees with it.

Invariants (held by tests/unit/ir/test_aggregates.py):
  1. A fold does not depend on the order of its values.
  2. A fold that `aggregate_type` accepts never fails, but for ValueRangeError.
"""

from __future__ import annotations

import datetime
import decimal
import fractions
import itertools
import math
import operator
import sys
from collections.abc import Callable, Collection, Iterable
from typing import Any, Final, NoReturn

from ormdb import limits
from ormdb.errors import QueryError, ValueRangeError
from ormdb.ir.coerce import a_class, a_type
from ormdb.ir.expr import Aggregate, AggregateFunction, Expr, Literal
from ormdb.ir.function_type import Typed
from ormdb.ir.show import show_value
from ormdb.ir.value import (
    DecimalType,
    DurationType,
    EnumType,
    FloatType,
    IntType,
    Type,
    Value,
    is_scalar,
)

_MEAN_DIGITS: Final = 6  # of a mean of decimals, beyond those of its values
_SUMMED: Final = (IntType, FloatType, DecimalType, DurationType)
_FLOAT_MAX: Final = fractions.Fraction(sys.float_info.max)
_MICROSECOND: Final = datetime.timedelta(microseconds=1)
_TRAPS: Final = [decimal.InvalidOperation, decimal.Overflow, decimal.DivisionByZero]
# Wide enough that a sum of stored decimals is exact before it is rounded.
SUMS: Final = decimal.Context(prec=4 * limits.DECIMAL_DIGITS_MAX, traps=_TRAPS)
_ROUNDED: Final = decimal.Context(
    prec=limits.DECIMAL_DIGITS_MAX, rounding=decimal.ROUND_HALF_EVEN, traps=_TRAPS
)


# --- where they may stand -------------------------------------------------------------------------


def is_of_related(expr: Aggregate) -> bool:
    """Whether it is about related rows, rather than the rows of a group."""
    return bool(expr.path)


def refuse_aggregate(expr: Aggregate) -> NoReturn:
    """Raise QueryError: there is one row, and no group of rows."""
    raise QueryError(
        f"{expr.function}() stands where there is one row; use it in the columns, the having or "
        "the order of a table"
    )


# --- types ----------------------------------------------------------------------------------------


def aggregate_type(expr: Aggregate, operand: Typed | None, kept: Expr | None) -> Typed:
    """Return the aggregate over its converted parts, with the type of its result.

    Args:
      expr: the aggregate.
      operand: its operand, converted; None if it has none.
      kept: its filter, converted; None if it has none.

    Raises:
      QueryError: it cannot be made of such values.
    """
    name = expr.function
    if operand is None and name != "count":
        raise QueryError(f"{name}() needs something to fold; write {name}(field)")
    if operand is None and expr.distinct:
        raise QueryError("a distinct count() needs a value; write count(field, distinct=True)")
    result, nullable = (IntType(), False) if operand is None else _result(expr, operand)
    whole = Aggregate(
        function=name,
        operand=None if operand is None else operand.expr,
        distinct=expr.distinct,
        filter=kept,
        path=expr.path,
    )
    return Typed(whole, result, nullable, f"{name}()")


def _result(expr: Aggregate, operand: Typed) -> tuple[Type, bool]:
    name, kind = expr.function, operand.kind
    if kind is None or isinstance(operand.expr, Literal):
        raise QueryError(f"{name}() folds values of rows, not {operand.label}; name a field")
    if name in {"sum", "avg"} and not isinstance(kind, _SUMMED):
        wanted = ", ".join(map(a_class, _SUMMED[:-1]))
        raise QueryError(
            f"{name}() takes {wanted} or {a_class(_SUMMED[-1])}; {operand.label} is {a_type(kind)}"
        )
    if (name in {"min", "max"} or expr.distinct) and not is_scalar(kind):
        raise QueryError(
            f"{name}() compares values; {operand.label} is {a_type(kind)} and cannot be compared"
        )
    match name:
        case "count":
            return IntType(), False
        case "min" | "max":
            return kind, True
        case "avg" if isinstance(kind, IntType):
            return FloatType(), True
        case "sum" | "avg":
            if not isinstance(kind, DecimalType):
                return kind, True
            scale = kind.scale if name == "sum" else _mean_scale(kind)
            return DecimalType(precision=limits.DECIMAL_DIGITS_MAX, scale=scale), True


def _mean_scale(kind: DecimalType) -> int:
    return min(kind.scale + _MEAN_DIGITS, limits.DECIMAL_DIGITS_MAX)


# --- the definition -------------------------------------------------------------------------------


def fold(
    function: AggregateFunction,
    values: Iterable[Value],
    kind: Type | None,
    *,
    distinct: bool = False,
) -> Value:
    """Return the aggregate of canonical values.

    Args:
      function: which one.
      values: one for each row, NULL as None; anything where rows are counted.
      kind: the type of the values; None where rows are counted.
      distinct: whether equal values count once.

    Raises:
      ValueRangeError: the result is outside what its type can hold.
    """
    if kind is None:
        return sum(1 for _ in values)
    present: Collection[Value] = [value for value in values if value is not None]
    if distinct:
        present = set(present)
    if function == "count":
        return len(present)
    if not present:
        return None
    match function:
        case "min" | "max":
            rank = kind.variants.index if isinstance(kind, EnumType) else None
            return (min if function == "min" else max)(present, key=rank)
        case "sum":
            return total(kind, present)
        case "avg":
            return average(kind, present)


def total(kind: Type, values: Collection[Value]) -> Value:
    """The sum of values, of which there is at least one.

    Raises:
      ValueRangeError: it is outside what its type can hold.
    """
    match kind:
        case FloatType():
            return sum_floats(values)
        case DecimalType():
            return checked_sum(kind, _sum_decimals(values))
        case DurationType():
            return checked_sum(kind, sum(value // _MICROSECOND for value in values))
        case _:
            return checked_sum(kind, sum(values))


def average(kind: Type, values: Collection[Value]) -> Value:
    """The mean of values, of which there is at least one."""
    match kind:
        case FloatType():
            return divided(kind, sum_floats(values), len(values))
        case DecimalType():
            return divided(kind, _sum_decimals(values), len(values))
        case DurationType():
            return divided(kind, sum(value // _MICROSECOND for value in values), len(values))
        case _:
            return divided(kind, sum(values), len(values))


def checked_sum(kind: Type, result: Any) -> Value:
    """An exact sum, durations as microseconds, in the form of its type.

    Raises:
      ValueRangeError: it is outside what its type can hold.
    """
    if isinstance(kind, DecimalType):
        return _ROUNDED.plus(result)
    if not limits.INT_MIN <= result <= limits.INT_MAX:
        raise ValueRangeError(
            f"a sum of {a_class(type(kind)).split()[-1]}s, the {show_value(result)}, is beyond 64 "
            "bits; sum fewer rows, or take the average"
        )
    return result * _MICROSECOND if isinstance(kind, DurationType) else result


def divided(kind: Type, result: Any, count: int) -> Value:
    """An exact sum, durations as microseconds, as the mean of so many values."""
    match kind:
        case DecimalType():
            mean = SUMS.divide(result, decimal.Decimal(count))
            room = limits.DECIMAL_DIGITS_MAX - 1 - (mean.adjusted() if mean else -1)
            scale = min(_mean_scale(kind), max(room, 0))
            mean = mean.quantize(decimal.Decimal(1).scaleb(-scale), context=_ROUNDED)
            return mean or abs(mean)  # -0 becomes 0
        case DurationType():
            # Python rounds a quotient of ints to the nearest float, so it is rounded exactly here.
            return round(fractions.Fraction(result, count)) * _MICROSECOND
        case _:
            return None if result is None else result / count


def sum_floats(values: Iterable[float]) -> float | None:
    """The exact sum, rounded once; infinite where it is beyond a float, NULL for inf - inf."""
    values = list(values)
    try:
        return math.fsum(values) + 0.0  # -0.0 becomes 0.0
    except ValueError:
        return None
    except OverflowError:
        return _sum_beyond(values)


def squeeze_floats(values: list[float]) -> list[float]:
    """Fewer floats of the same exact sum; of infinite ones, those that decide it."""
    infinite = [value for value in values if math.isinf(value)]
    if infinite:
        return list(set(infinite))
    parts: list[float] = []
    try:
        while part := math.fsum(itertools.chain(values, map(operator.neg, parts))):
            parts.append(part)
    except OverflowError:
        return _large_parts(sum(map(fractions.Fraction, values)))
    return parts


def _large_parts(exact: fractions.Fraction | int) -> list[float]:
    """Floats that make up a sum, which none of them could hold."""
    parts: list[float] = []
    while exact:
        parts.append(float(max(-_FLOAT_MAX, min(exact, _FLOAT_MAX))))
        exact -= fractions.Fraction(parts[-1])
    return parts


def _sum_beyond(values: list[float]) -> float:
    """A sum that passes what a float can hold, perhaps only on its way."""
    exact = sum(map(fractions.Fraction, values))
    try:
        return float(exact)
    except OverflowError:
        return math.inf if exact > 0 else -math.inf


def _sum_decimals(values: Iterable[decimal.Decimal]) -> decimal.Decimal:
    result = decimal.Decimal(0)
    add: Callable[[Any, Any], decimal.Decimal] = SUMS.add
    for value in values:
        result = add(result, value)
    return result
