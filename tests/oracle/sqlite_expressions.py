"""Expressions in SQLite's words: paths as scalar subqueries, functions as registered ones.

    origin.name == "Kennedy"

    (SELECT j1."name" FROM "Airport" j1 WHERE j1."faa" = t."origin_0") = :p0

Comparison, `in`, `is null`, and/or/not are SQLite's own: its three-valued logic is what the
answers are held against.  Functions and the arithmetic that SQLite does otherwise (true division,
the sign of a remainder, decimals) are written here once more, from the language's description.
"""

from __future__ import annotations

import datetime
import decimal
import json
import math
import operator
import sqlite3
import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any, Final, assert_never, cast

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
from ormdb.ir.schema import RelationDef, ThroughDef
from ormdb.ir.value import (
    BoolType,
    BytesType,
    DateType,
    DecimalType,
    DurationType,
    FloatType,
    IntType,
    JsonType,
    TextType,
    TimestampType,
    TimeType,
    Type,
    UuidType,
    Value,
)
from tests.oracle.names import Names
from tests.oracle.values import EPOCH, MICROSECOND, decimal_of, decimal_text, to_sqlite
from tests.oracle.words import matches_words, rank_words

_DAY_US: Final = 86_400_000_000
_SQL_OPERATORS: Final = {"==": "=", "!=": "<>"}


class Sql:
    """One statement in the making: its parameters and aliases."""

    def __init__(self, names: Names) -> None:
        self.names = names
        self.parameters: dict[str, Any] = {}
        self._aliases = 0

    def bind(self, value: Any) -> str:
        name = f"p{len(self.parameters)}"
        self.parameters[name] = value
        return f":{name}"

    def alias(self) -> str:
        self._aliases += 1
        return f"j{self._aliases}"

    def path(self, entity: str, alias: str, path: tuple[str, ...]) -> str:
        """The value at the end of a path that begins at a row of `entity` called `alias`."""
        if len(path) == 1:
            return self.column(entity, alias, path[0])
        kind, relation, target = self.names.way(entity, path[0])
        assert isinstance(relation, RelationDef)
        assert kind in {"one", "back"}
        inner = self.alias()
        joined = self.joined(relation, *((alias, inner) if kind == "one" else (inner, alias)))
        end = self.path(target, inner, path[1:])
        return f'(SELECT {end} FROM "{target}" {inner} WHERE {joined})'

    def column(self, entity: str, alias: str, name: str) -> str:
        """A field's value; computed ones are computed here, stored or not."""
        definition = self.names.field(entity, name)
        if definition.computed is None:
            return f'{alias}."{name}"'
        return self.value(definition.computed.expression, entity, alias, definition.type)

    def joined(self, relation: RelationDef, source: str, target: str) -> str:
        """The condition that a row of the source refers to a row of the target."""
        pairs = zip(relation.fields, relation.target_fields, strict=True)
        sides = [
            (
                self.column(relation.source, source, own),
                self.column(relation.target, target, theirs),
            )
            for own, theirs in pairs
        ]
        return " AND ".join(f"{own} = {theirs}" for own, theirs in sides)

    def condition(self, expr: Expr, entity: str, alias: str) -> str:
        return self.value(expr, entity, alias, BoolType())

    def value(self, expr: Expr, entity: str, alias: str, beside: Type | None = None) -> str:
        """SQL for an expression; a literal takes the form of the type it stands beside."""
        match expr:
            case Literal(value=value):
                return self.bind(literal(value, beside or self._class_of(value)))
            case FieldRef(path=path):
                return self.path(entity, alias, path)
            case Compare(op=op, left=left, right=right) if _is_at(left) or _is_at(right):
                first, second = (self._json(side, entity, alias) for side in (left, right))
                return f"json_compares('{op}', {first}, {second})"
            case InList(operand=operand, items=Literal(value=items)) if _is_at(operand):
                listed = self.bind(json.dumps(items))
                return f"json_is_in({self.value(operand, entity, alias)}, {listed})"
            case Compare(op=op, left=left, right=right):
                first, second = self._pair(left, right, entity, alias)
                return f"({first} {_SQL_OPERATORS.get(op, op)} {second})"
            case InList(operand=operand, items=Literal(value=items)):
                kind = self.type_of(operand, entity)
                listed = ", ".join(self.bind(literal(item, kind)) for item in items)
                return f"({self.value(operand, entity, alias, kind)} IN ({listed}))"
            case IsNull(operand=operand):
                return f"({self.value(operand, entity, alias)} IS NULL)"
            case And(items=items):
                return self._junction(" AND ", items, entity, alias)
            case Or(items=items):
                return self._junction(" OR ", items, entity, alias)
            case Not(operand=operand):
                return f"(NOT {self.condition(operand, entity, alias)})"
            case Arithmetic():
                return self._arithmetic(expr, entity, alias)
            case Call():
                return self._call(expr, entity, alias)
            case Related():
                return self._related(expr, entity, alias)
            case Aggregate(path=(_, *_)):
                return self._folded(expr, entity, alias)
            case InList() | Param() | NamedParam() | Aggregate():
                raise AssertionError(f"{expr} is not generated")
        assert_never(expr)

    def _folded(self, expr: Aggregate, entity: str, alias: str) -> str:
        if len(expr.path) != 1:
            nowhere = "0" if expr.function == "count" else "NULL"
            return self._one_step_on(expr, entity, alias, nowhere)
        way, inner = self.names.way(entity, next(iter(expr.path))), self.alias()
        target = way[2]
        source, joined = self._reached(way, alias, inner)
        asked = "1" if expr.filter is None else self.condition(expr.filter, target, inner)
        value = "1" if expr.operand is None else self.value(expr.operand, target, inner)
        distinct = "DISTINCT " if expr.distinct else ""
        return (
            f"(SELECT {expr.function}({distinct}v_) FROM (SELECT DISTINCT {inner}._row, {value} AS "
            f"v_ FROM {source} WHERE {joined} AND ({asked})))"
        )

    def _one_step_on(self, expr: Related | Aggregate, entity: str, alias: str, nowhere: str) -> str:
        """What is asked behind a relation to one row; `nowhere`, where there is none."""
        kind, relation, target = self.names.way(entity, expr.path[0])
        assert isinstance(relation, RelationDef)
        inner = self.alias()
        joined = self.joined(relation, *((alias, inner) if kind == "one" else (inner, alias)))
        rest = self.value(replace(expr, path=expr.path[1:]), target, inner)
        return f'coalesce((SELECT {rest} FROM "{target}" {inner} WHERE {joined}), {nowhere})'

    def _reached(
        self, way: tuple[str, RelationDef | ThroughDef, str], alias: str, inner: str
    ) -> tuple[str, str]:
        """The tables that hold related rows, called `inner`, and what joins them."""
        kind, relation, target = way
        source = f'"{target}" {inner}'
        if isinstance(relation, ThroughDef):
            edge = self.alias()
            near = self.names.forward[relation.edge, relation.near]
            far = self.names.forward[relation.edge, relation.far]
            joined = f"{self.joined(near, edge, alias)} AND {self.joined(far, edge, inner)}"
            return f'{source}, "{relation.edge}" {edge}', joined
        return source, self.joined(relation, *((alias, inner) if kind == "one" else (inner, alias)))

    def _related(self, expr: Related, entity: str, alias: str) -> str:
        if len(expr.path) != 1:
            return self._one_step_on(expr, entity, alias, str(int(expr.kind != "any")))
        way, inner = self.names.way(entity, next(iter(expr.path))), self.alias()
        target = way[2]
        source, joined = self._reached(way, alias, inner)
        asked = "1" if expr.filter is None else self.condition(expr.filter, target, inner)
        if expr.kind == "all":
            return f"(NOT EXISTS (SELECT 1 FROM {source} WHERE {joined} AND ({asked}) IS NOT TRUE))"
        negation = "" if expr.kind == "any" else "NOT "
        return f"({negation}EXISTS (SELECT 1 FROM {source} WHERE {joined} AND ({asked})))"

    def type_of(self, expr: Expr, entity: str) -> Type:
        """The type of an expression that was generated well typed."""
        match expr:
            case Literal(value=value):
                return self._class_of(value)
            case FieldRef(path=path):
                return self.names.path_end(entity, path).type
            case Arithmetic(op=op, left=left, right=right):
                return _result(op, self.type_of(left, entity), self.type_of(right, entity))
            case Aggregate(function="count"):
                return IntType()
            case Aggregate(function="avg"):
                return FloatType()
            case Aggregate(operand=operand, path=path) if operand is not None:
                for name in path:
                    entity = self.names.way(entity, name)[2]
                return self.type_of(operand, entity)
            case Call(name=name) if name in _ASKED:
                return BoolType()
            case Call(name=name, arguments=arguments):
                result = _RESULTS.get(name)
                return result if result is not None else self.type_of(arguments[0], entity)
            case _:
                return BoolType()

    def _junction(self, word: str, items: tuple[Expr, ...], entity: str, alias: str) -> str:
        if not items:
            return "1" if word == " AND " else "0"
        return "(" + word.join(self.condition(item, entity, alias) for item in items) + ")"

    def _pair(self, left: Expr, right: Expr, entity: str, alias: str) -> tuple[str, str]:
        """Both sides of a comparison, in one form."""
        a, b = self.type_of(left, entity), self.type_of(right, entity)
        if isinstance(left, Literal) and not isinstance(right, Literal):
            a = b
        elif isinstance(right, Literal) and not isinstance(left, Literal):
            b = a
        first, second = (
            self.value(left, entity, alias, a),
            self.value(right, entity, alias, b),
        )
        if isinstance(a, DecimalType) and isinstance(b, IntType):
            second = f"decimal_of_int({second})"
        if isinstance(b, DecimalType) and isinstance(a, IntType):
            first = f"decimal_of_int({first})"
        return first, second

    def _arithmetic(self, expr: Arithmetic, entity: str, alias: str) -> str:
        a, b = self.type_of(expr.left, entity), self.type_of(expr.right, entity)
        left = self.value(expr.left, entity, alias, a)
        right = self.value(expr.right, entity, alias, b)
        if isinstance(a, DecimalType) or isinstance(b, DecimalType):
            left = f"decimal_of_int({left})" if isinstance(a, IntType) else left
            right = f"decimal_of_int({right})" if isinstance(b, IntType) else right
            return f"calculate_decimals('{expr.op}', {left}, {right})"
        if isinstance(a, DateType) and isinstance(b, DateType):
            return f"(({left} - {right}) * {_DAY_US})"
        if expr.op in {"/", "%"}:
            return f"calculate_numbers('{expr.op}', {left}, {right})"
        return f"({left} {expr.op} {right})"

    def _json(self, expr: Expr, entity: str, alias: str) -> str:
        """A side of a comparison of JSON, as its text."""
        if isinstance(expr, Literal):
            return self.bind(json.dumps(expr.value))
        return self.value(expr, entity, alias)

    def _test(self, expr: Call, entity: str, alias: str) -> str:
        """A function that asks something of its first argument."""
        subject, *given = expr.arguments
        asked = self.value(subject, entity, alias)
        if expr.name == "at":
            steps = [step.value for step in given if isinstance(step, Literal)]
            return f"json_at({asked}, {self.bind(json.dumps(steps))})"
        if expr.name in {"matches", "rank"}:
            texts = [
                f"json_text({code})" if _is_at(part) else code
                for part in expr.arguments
                for code in (self.value(part, entity, alias),)
            ]
            return f"{expr.name}_words({', '.join(texts)})"
        if expr.name == "contains_json":
            return f"json_contains({asked}, {self._json(given[0], entity, alias)})"
        if expr.name in {"has", "has_key"}:
            return f"json_{expr.name}({asked}, {self.value(given[0], entity, alias)})"
        if _is_at(subject):
            asked = f"json_text({asked})"
        return f"is_{expr.name}({asked}, {self.value(given[0], entity, alias)})"

    def _call(self, expr: Call, entity: str, alias: str) -> str:
        if expr.name in {"at", "rank"} or expr.name in _ASKED:
            return self._test(expr, entity, alias)
        kind = self.type_of(expr, entity)
        parts = [
            self.value(
                part, entity, alias, kind if expr.name == "coalesce" else self.type_of(part, entity)
            )
            for part in expr.arguments
        ]
        joined = ", ".join(parts)
        if expr.name == "coalesce":
            return f"coalesce({joined})"
        if expr.name == "year":
            unit = "date" if isinstance(self.type_of(expr.arguments[0], entity), DateType) else "ts"
            return f"year_of_{unit}({joined})"
        if expr.name == "abs" and isinstance(kind, DecimalType):
            return f"absolute_decimal({joined})"
        return f"the_{expr.name}({joined})"

    def _class_of(self, value: Value) -> Type:
        """The type of a literal that stands beside nothing."""
        for python, kind in _CLASSES:
            if isinstance(value, python):
                return kind
        return BoolType()  # NULL


def _is_at(expr: Expr) -> bool:
    return isinstance(expr, Call) and expr.name == "at"


def literal(value: Value, kind: Type) -> Any:
    """What a literal beside something of this type means, as SQLite takes it."""
    if value is None:
        return None
    if isinstance(value, str) and type(kind) in _READERS:
        return to_sqlite(kind, _READERS[type(kind)](value))
    match kind:
        case IntType() | FloatType():
            if isinstance(value, decimal.Decimal):
                return float(value)  # only halves and wholes are generated
            return value
        case DecimalType():
            spelled = repr(value) if isinstance(value, float) else value
            return decimal_text(decimal.Decimal(spelled))
        case BytesType():
            return bytes(cast("bytes", value))
        case _:
            return to_sqlite(kind, value)


def register_functions(connection: sqlite3.Connection) -> None:
    """Make the language's functions known to SQLite."""
    for name, arguments, function in _FUNCTIONS:
        connection.create_function(name, arguments, function, deterministic=True)


_READERS: Final[dict[type, Callable[[str], Value]]] = {
    DateType: datetime.date.fromisoformat,
    TimeType: datetime.time.fromisoformat,
    TimestampType: datetime.datetime.fromisoformat,
    UuidType: uuid.UUID,
    DecimalType: decimal.Decimal,
}
_CLASSES: Final[tuple[tuple[type, Type], ...]] = (
    (bool, BoolType()),
    (int, IntType()),
    (float, FloatType()),
    (str, TextType()),
    (bytes, BytesType()),
    (decimal.Decimal, DecimalType(precision=38, scale=0)),
    (datetime.datetime, TimestampType()),
    (datetime.date, DateType()),
    (datetime.time, TimeType()),
    (datetime.timedelta, DurationType()),
    (uuid.UUID, UuidType()),
)
_ORDERS: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_ASKED: Final = frozenset(
    {"like", "ilike", "starts_with", "ends_with", "contains", "istarts_with", "iends_with"}
    | {"icontains", "matches", "has", "has_key", "contains_json"}
)
_RESULTS: Final[dict[str, Type]] = {
    "lower": TextType(),
    "upper": TextType(),
    "trim": TextType(),
    "concat": TextType(),
    "length": IntType(),
    "year": IntType(),
    "at": JsonType(),
    "rank": FloatType(),
}


def _result(op: str, left: Type, right: Type) -> Type:
    kinds = {type(left), type(right)}
    if DecimalType in kinds:
        return left if isinstance(left, DecimalType) else right
    if FloatType in kinds or (kinds == {IntType} and op == "/"):
        return FloatType()
    if kinds == {TimestampType, DurationType}:
        return TimestampType()
    return IntType() if kinds == {IntType} else DurationType()


def _nullable(function: Callable[..., Any]) -> Callable[..., Any]:
    def wrapped(*values: Any) -> Any:
        return None if None in values else function(*values)

    return wrapped


def _numbers(op: str, left: float, right: float) -> float | None:
    if right == 0:
        return None
    result = left / right if op == "/" else left % right
    return None if math.isnan(result) else result


def _decimals(op: str, left: str, right: str) -> str | None:
    a, b = Fraction(decimal_of(left)), Fraction(decimal_of(right))
    if op == "%":
        if b == 0:
            return None
        result = a - b * math.floor(a / b)
    else:
        result = a + b if op == "+" else a - b if op == "-" else a * b
    exact = decimal.Context(prec=80).divide(
        decimal.Decimal(result.numerator), decimal.Decimal(result.denominator)
    )
    return decimal_text(exact)


def _year_of_date(day: int) -> int:
    return datetime.date.fromordinal(day).year


def _year_of_timestamp(micros: int) -> int:
    return (EPOCH + micros * MICROSECOND).year


def _decimal_of_int(number: int) -> str:
    return decimal_text(decimal.Decimal(number))


def _absolute_decimal(text: str) -> str:
    return decimal_text(abs(decimal_of(text)))


def _is_like(text: str, pattern: str) -> bool:
    """Sign by sign: the places of the text that the signs so far can have brought us to."""
    places = {0}
    signs = iter(pattern)
    for sign in signs:
        if sign == "%":
            places = set(range(min(places), len(text) + 1)) if places else places
            continue
        wanted = next(signs) if sign == "\\" else sign
        anything = sign == "_"
        places = {p + 1 for p in places if p < len(text) and (anything or text[p] == wanted)}
    return len(text) in places


def _is_ilike(text: str, pattern: str) -> bool:
    return _is_like(text.casefold(), pattern.casefold())


def _folded(ask: Callable[[str, str], bool]) -> Callable[[str, str], bool]:
    return lambda text, given: ask(text.casefold(), given.casefold())


def _json_at(text: str, steps: str) -> str | None:
    found: Any = json.loads(text)
    for step in json.loads(steps):
        if not isinstance(found, dict | list):
            return None
        try:
            found = cast("Any", found)[step]
        except (KeyError, IndexError, TypeError):
            return None
    return None if found is None else json.dumps(found)


def _json_text(text: str) -> str | None:
    found: Any = json.loads(text)
    return found if isinstance(found, str) else None


def _json_kind(value: object) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int | float):
        return "number"
    return "text" if isinstance(value, str) else "null" if value is None else "nested"


def _json_compares(op: str, left_text: str, right_text: str) -> bool | None:
    left, right = json.loads(left_text), json.loads(right_text)
    alike = _json_kind(left) == _json_kind(right)
    if op in {"==", "!="}:
        return (alike and left == right) == (op == "==")
    if not alike or _json_kind(left) == "nested":
        return None
    return _ORDERS[op](left, right)


def _json_is_in(text: str | None, listed: str) -> bool | None:
    items = json.loads(listed)
    if text is None or not items:
        return None if items else False
    if any(item is not None and _json_compares("==", text, json.dumps(item)) for item in items):
        return True
    return None if None in items else False


def _json_contains(text: str, part_text: str) -> bool:
    def holds(value: Any, part: Any) -> bool:
        if isinstance(part, dict):
            pairs = cast("dict[str, Any]", part).items()
            return isinstance(value, dict) and all(
                key in value and holds(value[key], item) for key, item in pairs
            )
        if isinstance(part, list):
            own = cast("Sequence[Any]", value) if isinstance(value, list) else None
            wanted = cast("Sequence[Any]", part)
            return own is not None and all(any(holds(o, item) for o in own) for item in wanted)
        return _json_kind(value) == _json_kind(part) and bool(value == part)

    value, part = json.loads(text), json.loads(part_text)
    if isinstance(value, list) and not isinstance(part, dict | list):
        return holds(value, [part])
    return holds(value, part)


def _json_has(text: str, item: Any) -> bool:
    return item in json.loads(text)


def _json_has_key(text: str, key: str) -> bool:
    found = json.loads(text)
    return isinstance(found, dict) and key in found


def _concat(*parts: str) -> str:
    return "".join(parts)


_FUNCTIONS: Final[tuple[tuple[str, int, Callable[..., Any]], ...]] = (
    ("the_lower", 1, _nullable(str.lower)),
    ("the_upper", 1, _nullable(str.upper)),
    ("the_trim", 1, _nullable(str.strip)),
    ("the_length", 1, _nullable(len)),
    ("the_abs", 1, _nullable(abs)),
    ("the_concat", -1, _nullable(_concat)),
    ("is_like", 2, _nullable(_is_like)),
    ("is_ilike", 2, _nullable(_is_ilike)),
    ("is_starts_with", 2, _nullable(str.startswith)),
    ("is_ends_with", 2, _nullable(str.endswith)),
    ("is_contains", 2, _nullable(str.__contains__)),
    ("is_istarts_with", 2, _nullable(_folded(str.startswith))),
    ("is_iends_with", 2, _nullable(_folded(str.endswith))),
    ("is_icontains", 2, _nullable(_folded(str.__contains__))),
    ("matches_words", -1, matches_words),
    ("rank_words", -1, rank_words),
    ("json_at", 2, _nullable(_json_at)),
    ("json_text", 1, _nullable(_json_text)),
    ("json_compares", 3, _nullable(_json_compares)),
    ("json_is_in", 2, _json_is_in),
    ("json_contains", 2, _nullable(_json_contains)),
    ("json_has", 2, _nullable(_json_has)),
    ("json_has_key", 2, _nullable(_json_has_key)),
    ("year_of_date", 1, _nullable(_year_of_date)),
    ("year_of_ts", 1, _nullable(_year_of_timestamp)),
    ("decimal_of_int", 1, _nullable(_decimal_of_int)),
    ("absolute_decimal", 1, _nullable(_absolute_decimal)),
    ("calculate_numbers", 3, _nullable(_numbers)),
    ("calculate_decimals", 3, _nullable(_decimals)),
)
