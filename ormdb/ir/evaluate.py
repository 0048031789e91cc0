"""The meaning of expressions: three-valued evaluation over one row.

    row          {"dep_delay": None, "origin": {"name": "Kennedy"}, "plane": None}

    dep_delay > 120 or origin.name == "Kennedy"     NULL or true   ->  true
    dep_delay > 120 and origin.name == "Kennedy"    NULL and true  ->  NULL
    plane.seats is None                             no plane       ->  true

This is the definition; generated code must agree with it.  None is NULL, and:

    comparison, arithmetic, function    NULL when an operand is NULL (but `coalesce` and `is None`)
    x in (...)                          true if an item equals x; else NULL if x or an item is
                                        NULL; else false.  Nothing is in an empty list: false
    int with float                      compared exactly; added and so on as Python does, in floats
    decimal with int or decimal         rounded half-even to 38 digits; with float: refused
    / and % by zero, results that are   NULL
    not a number (inf - inf)
    int result beyond 64 bits           ValueRangeError, like every result a type cannot hold
    % and -7 % 3 == 2                   the sign of the divisor, also for decimals
    any, all, none of related rows      true or false: what is NULL for a related row is not true
    text                                compared by code point
    enum                                ordered by the position of the variant, given `resolve`
    matches, rank                       of several texts together: NULL when all of them are
    what at() finds in JSON             NULL where nothing lies; compared as `ir.documents` says,
                                        and NULL in a function that takes a text, unless it is one

`and` and `or` stop at the first item that decides, so what comes after it is not evaluated.

Invariants (held by tests/unit/ir/test_evaluate.py and tests/property/test_expression_laws.py):
  1. De Morgan's laws and double negation hold for every row, NULLs included.
  2. An expression that `expression_type` accepts never fails here, but for ValueRangeError.
  3. Converting literals with `coerce_literals` never changes a result.
"""

from __future__ import annotations

import contextlib
import datetime
import decimal
import math
import operator
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, assert_never, cast

from ormdb import limits
from ormdb.clock import Clock
from ormdb.errors import QueryError, ValueRangeError
from ormdb.ir.aggregates import fold, refuse_aggregate
from ormdb.ir.buckets import bucket
from ormdb.ir.check import checker
from ormdb.ir.coerce import coerce_value, literal_type
from ormdb.ir.documents import (
    compare_json,
    contains_document,
    find_at,
    is_json_in,
    is_object_with,
)
from ormdb.ir.expr import (
    Aggregate,
    And,
    Arithmetic,
    Call,
    Compare,
    Expr,
    FieldRef,
    InList,
    IsNull,
    Literal,
    NamedParam,
    Not,
    Or,
    Param,
    Related,
)
from ormdb.ir.expression_type import (
    Resolve,
    Resolved,
    coerce_literals,
    expression_type,
    no_value,
)
from ormdb.ir.function_type import SEARCHES, is_extract
from ormdb.ir.patterns import read_pattern
from ormdb.ir.search import read_search
from ormdb.ir.show import show_value
from ormdb.ir.value import DecimalType, EnumType, IntType, Type, Value

__all__ = [
    "Resolve",
    "Resolved",
    "Row",
    "calculate",
    "call_function",
    "coerce_literals",
    "coerce_value",
    "evaluate",
    "expression_type",
    "fit_result",
]

# A row by field name, relations nested in it (to-many as lists); or what finds a path's value.
Row: TypeAlias = Mapping[str, Value] | Callable[[tuple[str, ...]], Value]

_MICROSECOND: Final = datetime.timedelta(microseconds=1)
_DURATION_MIN: Final = limits.INT_MIN * _MICROSECOND
_DURATION_MAX: Final = limits.INT_MAX * _MICROSECOND
_EPOCH: Final = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_TRAPS: Final = [decimal.InvalidOperation, decimal.Overflow, decimal.DivisionByZero]
_DECIMALS: Final = decimal.Context(
    prec=limits.DECIMAL_DIGITS_MAX, rounding=decimal.ROUND_HALF_EVEN, traps=_TRAPS
)
# Wide enough that a remainder of two stored decimals is exact before it is rounded.
_REMAINDERS: Final = decimal.Context(prec=4 * limits.DECIMAL_DIGITS_MAX, traps=_TRAPS)
_COMPARISONS: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def evaluate(
    expr: Expr,
    row: Row,
    *,
    parameters: Sequence[Value] = (),
    clock: Clock | None = None,
    resolve: Resolve | None = None,
) -> Value:
    """Return the value of `expr` for one row; None is NULL.

    Args:
      expr: the expression, its literals converted by `coerce_literals`.
      row: field values by name, to-one relations as nested mappings or None, to-many ones as
        lists of mappings; or a function from a path to its value.
      parameters: the values of `Param` nodes.
      clock: where now() and uuid7() come from.
      resolve: the types of paths; only the order of enum variants depends on it.

    Raises:
      QueryError: the row lacks a field, or values of different kinds meet.
      ValueRangeError: a result is outside what its type can hold.
    """
    find = row if callable(row) else _Nested(row)
    return _Evaluation(find, parameters, clock, resolve).value(expr)


def fit_result(kind: Type, value: Value, where: str) -> Value:
    """Return the result of an expression as the canonical value of a field of type `kind`.

    Decimals are rounded half-even to the field's scale: that of a division has no end.

    Raises:
      ValueTypeError, ValueRangeError: the field cannot hold it.
    """
    if value is None:
        return None
    if isinstance(kind, DecimalType) and isinstance(value, decimal.Decimal):
        unit = decimal.Decimal(1).scaleb(-kind.scale)
        with contextlib.suppress(decimal.InvalidOperation):  # too large: the checker's to refuse
            value = value.quantize(unit, context=_DECIMALS)
    return checker(kind)(value, where)


@dataclass(slots=True)
class _Evaluation:
    find: Callable[[tuple[str, ...]], Value]
    parameters: Sequence[Value]
    clock: Clock | None
    resolve: Resolve | None

    def value(self, expr: Expr) -> Value:
        match expr:
            case Literal(value=value):
                return value
            case FieldRef(path=path):
                return self.find(path)
            case Param(index=index):
                return self._parameter(index)
            case NamedParam(name=name):
                raise no_value(name)
            case Compare():
                return self._compare(expr)
            case InList(operand=operand, items=items):
                if is_extract(operand):
                    return is_json_in(self.value(items), self.value(operand))
                return _is_in(self.value(operand), self.value(items))
            case IsNull(operand=operand):
                return self.value(operand) is None
            case And(items=items):
                return self._junction(items, decided=False)
            case Or(items=items):
                return self._junction(items, decided=True)
            case Not(operand=operand):
                truth = _truth(self.value(operand))
                return None if truth is None else not truth
            case Arithmetic(op=op, left=left, right=right):
                return calculate(op, self.value(left), self.value(right))
            case Call():
                return self._call(expr)
            case Related():
                return self._related(expr)
            case Aggregate(path=()):
                refuse_aggregate(expr)
            case Aggregate():
                return self._folded(expr)
        assert_never(expr)

    def _folded(self, expr: Aggregate) -> Value:
        within = [
            one
            for one in self._about_related(expr.path)
            if expr.filter is None or one.value(expr.filter) is True
        ]
        if expr.operand is None:
            return len(within)
        values = [one.value(expr.operand) for one in within]
        kinds = (literal_type(value) for value in values if value is not None)
        # Of values alone the type is known as well as it has to be, but for the order of enums.
        kind = next(kinds, IntType())
        return fold(expr.function, values, kind, distinct=expr.distinct)

    def _about_related(self, path: tuple[str, ...]) -> list[_Evaluation]:
        found = self.find(path)
        rows: Sequence[Any] = () if found is None else (found,)
        if isinstance(found, list | tuple):
            rows = cast("Sequence[Any]", found)
        return [_Evaluation(_Nested(row), self.parameters, self.clock, None) for row in rows]

    def _related(self, expr: Related) -> bool:
        inner = expr.filter
        truths = [
            inner is None or one.value(inner) is True for one in self._about_related(expr.path)
        ]
        if expr.kind == "all":
            return all(truths)
        return any(truths) == (expr.kind == "any")

    def _parameter(self, index: int) -> Value:
        if not 0 <= index < len(self.parameters):
            raise QueryError(
                f"parameter {index} has no value; {len(self.parameters)} were given",
                parameter=index,
            )
        return self.parameters[index]

    def _junction(self, items: tuple[Expr, ...], *, decided: bool) -> bool | None:
        """And is decided by a false item, or by a true one; a NULL leaves it open."""
        result: bool | None = not decided
        for item in items:
            truth = _truth(self.value(item))
            if truth is decided:
                return decided
            if truth is None:
                result = None
        return result

    def _compare(self, expr: Compare) -> bool | None:
        left, right = self.value(expr.left), self.value(expr.right)
        if left is None or right is None:
            return None
        if is_extract(expr.left) or is_extract(expr.right):
            return compare_json(expr.op, left, right)
        if expr.op not in {"==", "!="} and type(left) is str and type(right) is str:
            variants = self._variants(expr.left) or self._variants(expr.right)
            if variants:
                left, right = variants.index(left), variants.index(right)
        return _compared(expr.op, left, right)

    def _variants(self, expr: Expr) -> tuple[str, ...]:
        if self.resolve is None or not isinstance(expr, FieldRef):
            return ()
        kind = self.resolve(expr.path).type
        return kind.variants if isinstance(kind, EnumType) else ()

    def _call(self, expr: Call) -> Value:
        if expr.name == "coalesce":
            found = (self.value(argument) for argument in expr.arguments)
            return next((value for value in found if value is not None), None)
        if expr.name in {"now", "uuid7"}:
            return self._moment(expr.name)
        return call_function(expr.name, *[self.value(argument) for argument in expr.arguments])

    def _moment(self, name: str) -> Value:
        if self.clock is None:
            raise QueryError(
                f"{name}() has no clock here; give the moment as a literal", function=name
            )
        micros = self.clock.wall_us()
        if name == "now":
            return _EPOCH + micros * _MICROSECOND
        # RFC 9562: 48 bits of milliseconds, then random bits around version and variant.
        number = (micros // 1_000) << 80 | int.from_bytes(self.clock.random_bytes(10), "big")
        number = number & ~(0xF << 76) | 0x7 << 76
        return uuid.UUID(int=number & ~(0x3 << 62) | 0x2 << 62)


class _Nested:
    """Finds a path in nested mappings; a relation that leads nowhere makes the path NULL."""

    def __init__(self, row: Mapping[str, Value]) -> None:
        self._row = row

    def __call__(self, path: tuple[str, ...]) -> Value:
        found: Value = self._row
        for name in path:
            if found is None:
                return None
            try:
                found = found[name]
            except (KeyError, TypeError) as error:
                raise QueryError(
                    f"the row has no value for {'.'.join(path)}; give every field that is used",
                    path=path,
                ) from error
        return found


# --- truth and comparison -----------------------------------------------------------------------


def _truth(value: Value) -> bool | None:
    if value is None or value is True or value is False:
        return value
    raise QueryError(f"{show_value(value)} is no condition; compare it with something")


def _compared(op: str, left: Value, right: Value) -> bool:
    if _family(left) != _family(right) or _mixes_decimal_and_float(left, right):
        raise QueryError(
            f"{show_value(left)} cannot be compared with {show_value(right)}; convert one of them"
        )
    return _COMPARISONS[op](left, right)


def _is_in(value: Value, items: Sequence[Value]) -> bool | None:
    if not items:
        return False
    if value is None:
        return None
    if any(item is not None and _compared("==", value, item) for item in items):
        return True
    return None if any(item is None for item in items) else False


def _family(value: Value) -> str:
    """Values of one family can be compared with each other."""
    for family, kinds in _FAMILIES:
        if isinstance(value, kinds):
            return family
    raise QueryError(f"{show_value(value)} cannot be compared; only `is None` can test it")


# bool before int, datetime before date: each is a subclass of the other.
_FAMILIES: Final[tuple[tuple[str, type | tuple[type, ...]], ...]] = (
    ("bool", bool),
    ("number", (int, float, decimal.Decimal)),
    ("text", str),
    ("bytes", bytes),
    ("uuid", uuid.UUID),
    ("timestamp", datetime.datetime),
    ("date", datetime.date),
    ("time", datetime.time),
    ("duration", datetime.timedelta),
)


def _mixes_decimal_and_float(left: Value, right: Value) -> bool:
    return (isinstance(left, float) and isinstance(right, decimal.Decimal)) or (
        isinstance(left, decimal.Decimal) and isinstance(right, float)
    )


# --- arithmetic ---------------------------------------------------------------------------------


def calculate(op: str, left: Value, right: Value) -> Value:
    """Return `left op right`; NULL when an operand is.

    Raises:
      ValueRangeError: the result is outside what its type can hold.
      QueryError: values of different kinds meet.
    """
    if left is None or right is None:
        return None
    families = _family(left), _family(right)
    if families == ("number", "number") and not _mixes_decimal_and_float(left, right):
        return _of_numbers(op, left, right)
    if "number" in families and "duration" in families and op == "*":
        number, length = (left, right) if families[0] == "number" else (right, left)
        if isinstance(number, int):
            return _of_moments(op, length, number)
    if (*families, op) in _MOMENTS:
        return _of_moments(op, left, right)
    raise QueryError(
        f"{show_value(left)} {op} {show_value(right)} has no meaning; convert one of them"
    )


_MOMENTS: Final = frozenset(
    {
        ("timestamp", "timestamp", "-"),
        ("timestamp", "duration", "+"),
        ("timestamp", "duration", "-"),
        ("duration", "timestamp", "+"),
        ("date", "date", "-"),
        ("duration", "duration", "+"),
        ("duration", "duration", "-"),
    }
)


def _of_moments(op: str, left: Value, right: Value) -> Value:
    try:
        result = _PLAIN_OPERATIONS[op](left, right)
    except OverflowError as error:
        raise _out_of_range(op, left, right) from error
    if isinstance(result, datetime.timedelta) and not _DURATION_MIN <= result <= _DURATION_MAX:
        raise _out_of_range(op, left, right)
    return result


def _of_numbers(op: str, left: Value, right: Value) -> Value:
    if op in {"/", "%"} and right == 0:
        return None
    if isinstance(left, decimal.Decimal) or isinstance(right, decimal.Decimal):
        return _of_decimals(op, decimal.Decimal(left), decimal.Decimal(right))
    result = _PLAIN_OPERATIONS[op](left, right)
    if isinstance(result, int):
        return _checked_int(op, result, left, right)
    return None if math.isnan(result) else result + 0.0  # -0.0 becomes 0.0


def _of_decimals(op: str, left: decimal.Decimal, right: decimal.Decimal) -> decimal.Decimal:
    try:
        match op:
            case "+":
                return _DECIMALS.add(left, right)
            case "-":
                return _DECIMALS.subtract(left, right)
            case "*":
                return _DECIMALS.multiply(left, right)
            case "/":
                return _DECIMALS.divide(left, right)
            case _:
                rest = _REMAINDERS.remainder(left, right)
                if rest and (rest < 0) != (right < 0):
                    rest = _REMAINDERS.add(rest, right)
                return _DECIMALS.plus(rest)
    except decimal.DecimalException as error:
        raise _out_of_range(op, left, right) from error


def _checked_int(op: str, result: int, *operands: Value) -> int:
    if not limits.INT_MIN <= result <= limits.INT_MAX:
        raise _out_of_range(op, *operands)
    return result


def _out_of_range(op: str, *operands: Value) -> ValueRangeError:
    given = " and ".join(map(show_value, operands))
    return ValueRangeError(
        f"the result of '{op}' on {given} is out of range; use decimals, or smaller values"
    )


_PLAIN_OPERATIONS: Final[dict[str, Callable[[Any, Any], Any]]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": lambda left, right: left / right,
    "%": operator.mod,
}


# --- functions ----------------------------------------------------------------------------------


def call_function(name: str, *arguments: Value) -> Value:
    """Return what a function other than coalesce, now and uuid7 makes; NULL when an argument is.

    Raises:
      ValueRangeError: the result is outside what its type can hold.
      QueryError: the function does not take these arguments.
    """
    if None in arguments and name not in SEARCHES:
        return None
    try:
        return _FUNCTIONS[name](*arguments)
    except (TypeError, AttributeError) as error:
        given = ", ".join(map(show_value, arguments))
        raise QueryError(f"{name}() cannot be called with {given}") from error


def _absolute(value: Value) -> Value:
    result = abs(value)
    return _checked_int("abs", result, value) if isinstance(result, int) else result


def _year(moment: datetime.date) -> int:
    return moment.year


def _of_text(ask: Callable[[str, str], bool]) -> Callable[[Value, str], bool | None]:
    """A question about a text; NULL of anything else, which at() may have found in JSON."""

    def asked(text: Value, given: str) -> bool | None:
        return ask(text, given) if isinstance(text, str) else None

    return asked


_FUNCTIONS: Final[dict[str, Callable[..., Value]]] = {
    "lower": str.lower,
    "upper": str.upper,
    "trim": str.strip,
    "length": len,
    "abs": _absolute,
    "concat": lambda *parts: "".join(parts),
    "year": _year,
    "like": _of_text(lambda text, pattern: read_pattern(pattern)(text)),
    "ilike": _of_text(lambda text, pattern: read_pattern(pattern, folded=True)(text)),
    "starts_with": _of_text(str.startswith),
    "ends_with": _of_text(str.endswith),
    "contains": _of_text(lambda text, part: part in text),
    "istarts_with": _of_text(lambda text, part: text.casefold().startswith(part.casefold())),
    "iends_with": _of_text(lambda text, part: text.casefold().endswith(part.casefold())),
    "icontains": _of_text(lambda text, part: part.casefold() in text.casefold()),
    "has": operator.contains,
    "has_key": is_object_with,
    "contains_json": contains_document,
    "at": find_at,
    "matches": lambda *texts: read_search(texts[-1]).matches(texts[:-1]),
    "rank": lambda *texts: read_search(texts[-1]).rank(texts[:-1]),
    "bucket": bucket,
}
