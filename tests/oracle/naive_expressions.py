"""What expressions mean, one row at a time: docs/filters.md and `ormdb.ir.evaluate`, read again.

    Meaning.value(f0 + 1 > 3 or to_alpha.u is None, row)      True, False, or None for NULL

Python's own operators do the work wherever they mean the same: exact comparison of numbers of
different classes, texts by code point, the sign of a remainder.  What is written out here is where
they do not: NULL, enums, decimals, patterns, JSON.
"""

from __future__ import annotations

import datetime
import decimal
import math
import operator
import uuid
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any, Final, Protocol, assert_never, cast

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
from ormdb.ir.value import (
    BytesType,
    DateType,
    DecimalType,
    EnumType,
    RowDict,
    TimestampType,
    TimeType,
    Type,
    UuidType,
    Value,
)
from tests.oracle.words import matches_words, rank_words


class HasValues(Protocol):
    """A row, as far as expressions know it."""

    @property
    def entity(self) -> str: ...

    @property
    def values(self) -> RowDict: ...


_COMPARES: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_CALCULATES: Final[dict[str, Callable[[Any, Any], Any]]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": lambda left, right: left / right,
    "%": operator.mod,
}


class Meaning:
    """Evaluates expressions over rows.

    `end_of(row, path)` is the value at the end of a path, `kind_of(entity, path)` its type,
    `related(row, path)` the rows at the end of a path of relations.
    """

    def __init__(
        self,
        kind_of: Callable[[str, tuple[str, ...]], Type],
        end_of: Callable[[Any, tuple[str, ...]], Value],
        related: Callable[[Any, tuple[str, ...]], Sequence[HasValues]],
    ) -> None:
        self._kind_of = kind_of
        self._end_of = end_of
        self._related = related

    def is_true(self, condition: Expr | None, row: HasValues) -> bool:
        """Whether a filter keeps a row: what is false or NULL does not."""
        return condition is None or self.value(condition, row) is True

    def value(self, expr: Expr, row: HasValues, beside: Type | None = None) -> Value:
        """The value of an expression; a literal is read as what it stands beside."""
        match expr:
            case Literal(value=value):
                return read_literal(value, beside)
            case FieldRef(path=(name,)):
                return row.values[name]
            case FieldRef(path=path):
                return self._end_of(row, path)
            case Compare():
                return self._compare(expr, row)
            case InList(operand=operand, items=Literal(value=items)):
                return self._in(operand, items, row)
            case IsNull(operand=operand):
                return self.value(operand, row) is None
            case And(items=items) if Or(items=()) in items:
                return False  # whatever the others are, also if they could not be asked
            case And(items=items):
                found = [self.value(item, row) for item in items]
                return False if False in found else None if None in found else True
            case Or(items=items):
                found = [self.value(item, row) for item in items]
                return True if True in found else None if None in found else False
            case Not(operand=operand):
                truth = self.value(operand, row)
                return None if truth is None else not truth
            case Arithmetic(op=op, left=left, right=right):
                return calculate(op, self.value(left, row), self.value(right, row))
            case Call():
                return self._call(expr, row, beside)
            case Related():
                return self._ask_related(expr, row)
            case Aggregate(path=(_, *_)):
                return self._fold_related(expr, row)
            case InList() | Param() | NamedParam() | Aggregate():
                raise AssertionError(f"{expr} is not generated")
        assert_never(expr)

    def _kind(self, expr: Expr, row: HasValues) -> Type | None:
        """The type of a field, which says what a literal beside it means."""
        match expr:
            case FieldRef(path=path):
                return self._kind_of(row.entity, path)
            case Call(name="coalesce", arguments=(first, *_)):
                return self._kind(first, row)
            case _:
                return None

    def _compare(self, expr: Compare, row: HasValues) -> bool | None:
        kind = self._kind(expr.left, row) or self._kind(expr.right, row)
        left, right = self.value(expr.left, row, kind), self.value(expr.right, row, kind)
        if left is None or right is None:
            return None
        if _is_json(expr.left) or _is_json(expr.right):
            return compare_json(expr.op, left, right)
        if isinstance(kind, EnumType):
            left, right = kind.variants.index(left), kind.variants.index(right)
        return _COMPARES[expr.op](left, right)

    def _in(self, operand: Expr, items: Sequence[Value], row: HasValues) -> bool | None:
        kind = self._kind(operand, row)
        value = self.value(operand, row)
        if not items:
            return False
        if value is None:
            return None
        listed = [read_literal(item, kind) for item in items]
        same = same_json if _is_json(operand) else operator.eq
        if any(item is not None and same(value, item) for item in listed):
            return True
        return None if None in listed else False

    def _ask_related(self, expr: Related, row: HasValues) -> bool:
        kept = [self.is_true(expr.filter, each) for each in self._related(row, expr.path)]
        if expr.kind == "all":
            return all(kept)
        return any(kept) if expr.kind == "any" else not any(kept)

    def _fold_related(self, expr: Aggregate, row: HasValues) -> Value:
        related = {id(each): each for each in self._related(row, expr.path)}
        rows = [each for each in related.values() if self.is_true(expr.filter, each)]
        if expr.operand is None:
            return len(rows)
        values = [self.value(expr.operand, each) for each in rows]
        present = [value for value in values if value is not None]
        if expr.function == "count":
            return len(set(present) if expr.distinct else present)
        if not present:
            return None
        if expr.function == "avg":
            return sum(present) / len(present)
        folds: dict[str, Callable[[list[Any]], Value]] = {"sum": sum, "min": min, "max": max}
        return folds[expr.function](present)

    def _call(self, expr: Call, row: HasValues, beside: Type | None) -> Value:
        if expr.name == "coalesce":
            kind = self._kind(expr, row) or beside
            values = [self.value(part, row, kind) for part in expr.arguments]
            return next((value for value in values if value is not None), None)
        values = [self.value(part, row) for part in expr.arguments]
        if expr.name in _OF_WORDS:
            texts = [value if isinstance(value, str) else None for value in values]
            return _OF_WORDS[expr.name](*texts)
        if None in values:
            return None
        if expr.name in _OF_TEXTS and not isinstance(values[0], str):
            return None  # at() found something else
        return _FUNCTIONS[expr.name](*values)


def read_literal(value: Value, kind: Type | None) -> Value:
    """What a literal means beside a field of some type."""
    if isinstance(value, str):
        match kind:
            case DateType():
                return datetime.date.fromisoformat(value)
            case TimeType():
                return datetime.time.fromisoformat(value)
            case TimestampType():
                return datetime.datetime.fromisoformat(value)
            case UuidType():
                return uuid.UUID(value)
            case DecimalType():
                return decimal.Decimal(value)
            case _:
                return value
    if isinstance(kind, DecimalType) and isinstance(value, float):
        return decimal.Decimal(repr(value))
    return bytes(cast("bytes", value)) if isinstance(kind, BytesType) and value else value


def calculate(op: str, left: Value, right: Value) -> Value:
    """`left op right`; NULL of a NULL, of a division by zero, and of what is no number."""
    if left is None or right is None or (op in {"/", "%"} and not right):
        return None
    if isinstance(left, decimal.Decimal) or isinstance(right, decimal.Decimal):
        exact = _CALCULATES[op](Fraction(left), Fraction(right))
        wide = decimal.Context(prec=38, rounding=decimal.ROUND_HALF_EVEN)
        return wide.divide(decimal.Decimal(exact.numerator), decimal.Decimal(exact.denominator))
    result = _CALCULATES[op](left, right)
    if isinstance(result, float):
        return None if math.isnan(result) else result + 0.0  # there is no negative zero
    return result


def is_like(text: str, pattern: str) -> bool:
    """Whether the whole text is of a pattern: `%` anything, `_` one character, a backslash before
    a character that stands for itself."""
    signs: list[tuple[str, str]] = []
    at = 0
    while at < len(pattern):
        if pattern[at] == "\\":
            at += 1
            signs.append(("itself", pattern[at]))
        else:
            signs.append(("wild" if pattern[at] in "%_" else "itself", pattern[at]))
        at += 1
    # Where the signs so far can have brought us to.
    places = [0]
    for kind, sign in signs:
        if (kind, sign) == ("wild", "%"):
            places = list(range(places[0], len(text) + 1)) if places else []
        else:
            fits = (p for p in places if p < len(text) and (kind == "wild" or text[p] == sign))
            places = [place + 1 for place in fits]
    return len(text) in places


# --- JSON -----------------------------------------------------------------------------------------


def _is_json(expr: Expr) -> bool:
    return isinstance(expr, Call) and expr.name == "at"


def find_in_json(document: Value, *steps: str | int) -> Value:
    """What lies at the end of a path of keys and positions; NULL where nothing does."""
    for step in steps:
        if isinstance(document, dict) and isinstance(step, str):
            document = cast("RowDict", document).get(step)
        elif isinstance(document, list | tuple) and isinstance(step, int):
            items = cast("Sequence[Value]", document)
            document = items[step] if -len(items) <= step < len(items) else None
        else:
            return None
    return document


def json_kind(value: Value) -> str:
    """true is no number, whatever Python says."""
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, dict):
        return "object"
    if isinstance(value, list | tuple):
        return "list"
    return "null" if value is None else "text"


def same_json(left: Value, right: Value) -> bool:
    """Whether two documents are equal: 1 and 1.0 are, 1 and true are not."""
    kind = json_kind(left)
    if kind != json_kind(right):
        return False
    if kind == "list":
        return len(left) == len(right) and all(map(same_json, left, right))
    if kind == "object":
        return set(left) == set(right) and all(same_json(left[key], right[key]) for key in left)
    return bool(left == right)


def compare_json(op: str, left: Value, right: Value) -> bool | None:
    """Values of different kinds are unequal, and have no order."""
    if op in {"==", "!="}:
        return same_json(left, right) == (op == "==")
    kind = json_kind(left)
    if kind != json_kind(right) or kind in {"list", "object"}:
        return None
    return _COMPARES[op](left, right)


def contains_json(whole: Value, part: Value) -> bool:
    """PostgreSQL's @>; the outermost list also contains a bare scalar among its items."""
    if json_kind(whole) == "list" and json_kind(part) not in {"list", "object"}:
        return any(same_json(item, part) for item in whole)
    return _contained(whole, part)


def _contained(whole: Value, part: Value) -> bool:
    kind = json_kind(whole)
    if kind != json_kind(part):
        return False
    if kind == "object":
        return all(key in whole and _contained(whole[key], part[key]) for key in part)
    if kind == "list":
        return all(any(_contained(own, wanted) for own in whole) for wanted in part)
    return same_json(whole, part)


def _year(moment: datetime.date) -> int:
    return moment.year


def _bucket(moment: datetime.date, unit: str, width: int = 1) -> datetime.date:
    """The beginning of a piece of time: what is smaller than the unit is zero."""
    if isinstance(moment, datetime.datetime):
        if unit == "minute":
            minutes = (moment.hour * 60 + moment.minute) // width * width
            return moment.replace(hour=minutes // 60, minute=minutes % 60, second=0, microsecond=0)
        if unit == "hour":
            return moment.replace(
                hour=moment.hour // width * width, minute=0, second=0, microsecond=0
            )
        moment = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    match unit:
        case "week":
            return moment - datetime.timedelta(days=moment.weekday())
        case "month":
            return moment.replace(day=1)
        case "quarter":
            return moment.replace(month=(moment.month + 2) // 3 * 3 - 2, day=1)
        case "year":
            return moment.replace(month=1, day=1)
        case _:
            return moment


def _has_key(document: Value, key: str) -> bool:
    return isinstance(document, dict) and key in document


def _folded(ask: Callable[[str, str], bool]) -> Callable[[str, str], bool]:
    return lambda text, given: ask(text.casefold(), given.casefold())


_OF_WORDS: Final[dict[str, Callable[..., Value]]] = {
    "matches": matches_words,
    "rank": rank_words,
}
_OF_TEXTS: Final = frozenset(
    {"like", "ilike", "starts_with", "ends_with", "contains"}
    | {"istarts_with", "iends_with", "icontains"}
)
_FUNCTIONS: Final[dict[str, Callable[..., Value]]] = {
    "lower": str.lower,
    "upper": str.upper,
    "trim": str.strip,
    "length": len,
    "abs": abs,
    "concat": lambda *parts: "".join(parts),
    "year": _year,
    "bucket": _bucket,
    "like": is_like,
    "ilike": _folded(is_like),
    "starts_with": str.startswith,
    "ends_with": str.endswith,
    "contains": str.__contains__,
    "istarts_with": _folded(str.startswith),
    "iends_with": _folded(str.endswith),
    "icontains": _folded(str.__contains__),
    "has": operator.contains,
    "has_key": _has_key,
    "contains_json": contains_json,
    "at": find_in_json,
}
