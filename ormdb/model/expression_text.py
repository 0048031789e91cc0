"""Expressions as text and back: Python's syntax, read by `ast`, never run as code.

    0 < dep_delay <= 60 and origin.name in ("Kennedy", "La Guardia")

    And(items=(Compare(0 < dep_delay), Compare(dep_delay <= 60),
               InList(origin.name, ("Kennedy", "La Guardia"))))

The language, whole:

    conditions    and  or  not  ==  !=  <  <=  >  >=  in (…)  not in (…)  is None  is not None,
                  1 <= a <= 3; of texts like ilike starts_with ends_with contains istarts_with
                  iends_with icontains, of lists has, of JSON has_key contains_json
    values        + - * / %  and calls of abs coalesce concat length lower now trim upper uuid7 year
                  bucket(time, "hour"), bucket(time, "minute", 15)
                  at(data, "key", 0): what lies in JSON behind keys and positions
    other rows    any(departures, dep_delay > 60)  all(…)  none(…): whether the condition is true
                  for any, all or none of the rows a relation leads to; any(departures) alone
    fields        dep_delay, origin.name; a name that Python cannot spell: field("class"),
                  field("origin", "full name")
    aggregates    count() count(dep_delay) sum avg min max, count(dep_delay, distinct=True),
                  count(where=dep_delay > 60); of related rows: departures.count()
    literals      True False None 5 -1.5 1e999 (infinity) "text" b"bytes" [1, 2] {"a": 1}
                  date("2013-01-01") time("05:30") timestamp("2013-01-01T05:00:00Z")
                  duration("PT5S") or duration(5), in seconds; uuid("…") decimal("1.50")
    and_(…) or_(…)    what `and` and `or` mean, also for one item or none

Texts come from strangers: `expression_source` hands nothing to Python's parser that could exhaust
a small stack, and what the parser returns is bounded by `limits` before it becomes an expression.

Invariants (held by tests/property/test_expression_laws.py, tests/unit/model/test_expression_text.py
and tests/unit/model/test_expression_hostile.py):
  1. `parse_expression(format_expression(e)) == e` for every expression without parameters.
  2. Whatever the text is, parsing ends in an expression or in an ExpressionError.
"""

from __future__ import annotations

import ast
import datetime
import decimal
import difflib
import keyword
import math
import typing
import uuid
from collections.abc import Sequence
from typing import Final, NoReturn, TypeGuard, assert_never

from ormdb import limits
from ormdb.errors import ValueRangeError, ValueTypeError
from ormdb.ir.expr import (
    Aggregate,
    AggregateFunction,
    And,
    Arithmetic,
    ArithmeticOp,
    Call,
    Compare,
    CompareOp,
    Expr,
    FieldRef,
    FunctionName,
    InList,
    IsNull,
    Literal,
    NamedParam,
    Not,
    Or,
    Param,
    Quantifier,
    Related,
)
from ormdb.ir.scan import is_plain_name, quote_text
from ormdb.ir.show import show_value
from ormdb.ir.value import (
    DateType,
    DecimalType,
    DurationType,
    TimestampType,
    TimeType,
    Type,
    UuidType,
    Value,
)
from ormdb.ir.value_text import read_text, write_text
from ormdb.model.expression_source import Source, foreign_sentence

FUNCTIONS: Final[tuple[FunctionName, ...]] = typing.get_args(FunctionName)

AGGREGATES: Final[tuple[AggregateFunction, ...]] = typing.get_args(AggregateFunction)

_COMPARES: Final[dict[type[ast.cmpop], CompareOp]] = {
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
}
_ARITHMETIC: Final[dict[type[ast.operator], ArithmeticOp]] = {
    ast.Add: "+",
    ast.Sub: "-",
    ast.Mult: "*",
    ast.Div: "/",
    ast.Mod: "%",
}
_TYPED_LITERALS: Final[dict[str, tuple[Type, str]]] = {
    "date": (DateType(), 'date("2013-01-01")'),
    "time": (TimeType(), 'time("05:30:00")'),
    "timestamp": (TimestampType(), 'timestamp("2013-01-01T05:00:00Z")'),
    "duration": (DurationType(), 'duration("PT5S") or duration(5)'),
    "uuid": (UuidType(), 'uuid("6ba7b810-9dad-11d1-80b4-00c04fd430c8")'),
    "decimal": (DecimalType(precision=38, scale=0), 'decimal("1.50")'),
}
QUANTIFIERS: Final[tuple[Quantifier, ...]] = typing.get_args(Quantifier)
_QUANTIFIER_NAMES: Final[dict[str, Quantifier]] = {kind: kind for kind in QUANTIFIERS}
_CALLABLE: Final = (*FUNCTIONS, *AGGREGATES, *QUANTIFIERS, *_TYPED_LITERALS, "field", "and_", "or_")


def parse_expression(text: str) -> Expr:
    """Return the expression that `text` spells.

    Raises:
      ExpressionError: it spells none; details `line` and `column` say where, counted from 1.
    """
    return _Reader(text).expression()


def parse_literal(text: str) -> Value:
    """Return the constant that `text` spells.

    Raises:
      ExpressionError: it spells none.
    """
    return _Reader(text).literal()


def format_expression(expr: Expr) -> str:
    """Return the expression as text.

    A parameter is shown as param(0); that is for people only and does not read back, because a
    text must not reach for the parameters of the query it becomes part of.
    """
    return _written(expr)[0]


def format_literal(value: Value) -> str:
    """Return a constant as text.

    Raises:
      ValueRangeError: it is NaN, which has no spelling.
    """
    match value:
        case None | bool() | int() | bytes():
            return repr(value)
        case float():
            return _written_float(value)
        case str():
            return quote_text(value)
        case list() | tuple() | dict():
            return _written_container(value)
        case _:
            return f"{_LITERAL_NAMES[type(value)]}({quote_text(write_text(value))})"


class _Reader:
    """Reads one text."""

    def __init__(self, text: str) -> None:
        self._source = Source(text)
        self._tree = self._source.parse()
        self._nodes_left = limits.EXPRESSION_NODES_MAX

    def expression(self) -> Expr:
        return self._read(self._tree, 1)

    def literal(self) -> Value:
        value = self._constant(self._tree, 1)
        if isinstance(value, _NoConstant):
            self._refuse(self._tree, "a literal belongs here", "write a constant, not a field")
        return value

    def _read(self, node: ast.expr, depth: int) -> Expr:
        self._count(node, depth)
        match node:
            case ast.BoolOp(op=op, values=values):
                items = tuple([self._read(value, depth + 1) for value in values])
                return And(items=items) if isinstance(op, ast.And) else Or(items=items)
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return Not(operand=self._read(operand, depth + 1))
            case ast.Compare():
                return self._compare(node, depth)
            case ast.BinOp():
                return self._arithmetic(node, depth)
            case ast.Name() | ast.Attribute():
                return FieldRef(path=self._path(node))
            case ast.Call(func=ast.Name(id=name)) if name in AGGREGATES:
                return self._aggregate(node, name, (), depth)
            case ast.Call(func=ast.Attribute(value=owner, attr=name)) if name in AGGREGATES:
                return self._aggregate(node, name, self._path(owner), depth)
            case ast.Call(func=ast.Name(id=name)) if name not in _TYPED_LITERALS:
                return self._call(node, name, depth)
            case _:
                value = self._constant(node, depth)
                if not isinstance(value, _NoConstant):
                    return Literal(value=value)
                if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
                    zero = Literal(value=0)
                    return Arithmetic(op="-", left=zero, right=self._read(node.operand, depth + 1))
                self._foreign(node, node.op if isinstance(node, ast.UnaryOp) else node)

    def _count(self, node: ast.expr, depth: int, size: int = 1) -> None:
        self._nodes_left -= size
        if depth > limits.EXPRESSION_DEPTH_MAX:
            fact = f"the expression nests deeper than {limits.EXPRESSION_DEPTH_MAX} levels"
            self._refuse(node, fact, "write it flatter")
        if self._nodes_left < 0:
            fact = f"the expression has more than {limits.EXPRESSION_NODES_MAX} parts"
            self._refuse(node, fact, "use `in` with a list, or split it")

    # --- conditions and arithmetic ---

    def _compare(self, node: ast.Compare, depth: int) -> Expr:
        if len(node.ops) == 1:
            return self._one_compare(node, depth)
        operands, parts = [node.left, *node.comparators], list[Expr]()
        values: list[Expr] = []
        for position, operand in enumerate(operands):
            nodes_before = self._nodes_left
            values.append(self._read(operand, depth + 2))
            if 0 < position < len(operands) - 1:
                # It stands in two comparisons, and what is counted once could double at each level.
                self._count(operand, depth, nodes_before - self._nodes_left)
        for op, left, right in zip(node.ops, values, values[1:], strict=False):
            if type(op) not in _COMPARES:
                self._refuse(node, "`in` and `is` stand in no chain", "join them with `and`")
            parts.append(Compare(op=_COMPARES[type(op)], left=left, right=right))
        return And(items=tuple(parts))

    def _one_compare(self, node: ast.Compare, depth: int) -> Expr:
        left, op, right = self._read(node.left, depth + 1), node.ops[0], node.comparators[0]
        match op:
            case ast.Is() | ast.IsNot():
                if not isinstance(right, ast.Constant) or right.value is not None:
                    self._refuse(right, "`is` compares with None only", "use == or !=")
                null = IsNull(operand=left)
                return null if isinstance(op, ast.Is) else Not(operand=null)
            case ast.In() | ast.NotIn():
                among = InList(operand=left, items=Literal(value=self._items(right, depth)))
                return among if isinstance(op, ast.In) else Not(operand=among)
            case _:
                value = self._read(right, depth + 1)
                return Compare(op=_COMPARES[type(op)], left=left, right=value)

    def _items(self, node: ast.expr, depth: int) -> tuple[Value, ...]:
        if not isinstance(node, ast.Tuple | ast.List):
            remedy = 'write the values in brackets, as in ("a", "b")'
            self._refuse(node, "`in` needs a list of values at its right", remedy)
        if len(node.elts) > limits.IN_LIST_ITEMS_MAX:
            fact = f"a list of {len(node.elts)} items is over {limits.IN_LIST_ITEMS_MAX}"
            self._refuse(node, fact, "split it")
        return tuple([self._part(item, depth + 1) for item in node.elts])

    def _arithmetic(self, node: ast.BinOp, depth: int) -> Expr:
        op = _ARITHMETIC.get(type(node.op))
        if op is None:
            self._foreign(node, node.op)
        left, right = self._read(node.left, depth + 1), self._read(node.right, depth + 1)
        return Arithmetic(op=op, left=left, right=right)

    # --- fields and calls ---

    def _path(self, node: ast.expr) -> tuple[str, ...]:
        names: list[str] = []
        while isinstance(node, ast.Attribute):
            names.append(node.attr)
            node = node.value
        match node:
            case ast.Name(id=name):
                names.append(name)
            case ast.Call(func=ast.Name(id="field")):
                names.extend(reversed(self._field_names(node)))
            case _:
                self._refuse(node, "a path begins with a field or relation", "write origin.name")
        if len(names) > limits.EXPRESSION_DEPTH_MAX:
            fact = f"a path of {len(names)} names is over {limits.EXPRESSION_DEPTH_MAX}"
            self._refuse(node, fact, "follow fewer relations")
        return tuple(reversed(names))

    def _field_names(self, node: ast.Call) -> list[str]:
        self._refuse_named_arguments(node, "field")
        names = [arg.value for arg in node.args if isinstance(arg, ast.Constant)]
        texts = [name for name in names if isinstance(name, str)]
        if not texts or len(texts) != len(node.args):
            self._refuse(node, "field() takes names in quotes", 'as in field("class")')
        for text in texts:
            self._refuse_surrogates(node, text)
        return texts

    def _call(self, node: ast.Call, name: str, depth: int) -> Expr:
        if name == "field":
            return FieldRef(path=self._path(node))
        if name not in _CALLABLE:
            close = difflib.get_close_matches(name, _CALLABLE, 1)
            hint = f"did you mean {close[0]}()?" if close else f"use {', '.join(FUNCTIONS)}"
            self._refuse(node, f"there is no function {name[:40]}()", hint)
        self._refuse_named_arguments(node, name)
        quantifier = _QUANTIFIER_NAMES.get(name)
        if quantifier is not None:
            return self._related(node, quantifier, depth)
        arguments = tuple([self._read(argument, depth + 1) for argument in node.args])
        if name == "and_":
            return And(items=arguments)
        if name == "or_":
            return Or(items=arguments)
        return Call(name=next(each for each in FUNCTIONS if each == name), arguments=arguments)

    def _related(self, node: ast.Call, kind: Quantifier, depth: int) -> Related:
        if not 1 <= len(node.args) <= 2:
            remedy = f"as in {kind}(departures, dep_delay > 60)"
            self._refuse(node, f"{kind}() takes a relation and a condition", remedy)
        path = self._path(node.args[0])
        inner = None if len(node.args) == 1 else self._read(node.args[1], depth + 1)
        return Related(kind=kind, path=path, filter=inner)

    def _aggregate(self, node: ast.Call, name: str, path: tuple[str, ...], depth: int) -> Expr:
        given = {keyword.arg: keyword.value for keyword in node.keywords}
        if len(node.args) > 1 or not given.keys() <= {"distinct", "where"}:
            remedy = f"as in {name}(dep_delay, distinct=True, where=dep_delay > 0)"
            self._refuse(node, f"{name}() takes one value, `distinct` and `where`", remedy)
        flag = self._constant(given["distinct"], depth) if "distinct" in given else False
        if not isinstance(flag, bool):
            self._refuse(node, "`distinct` is True or False", "write the word itself")
        where = given.get("where")
        return Aggregate(
            function=next(each for each in AGGREGATES if each == name),
            operand=self._read(node.args[0], depth + 1) if node.args else None,
            distinct=flag,
            filter=None if where is None else self._read(where, depth + 1),
            path=path,
        )

    def _refuse_named_arguments(self, node: ast.Call, name: str) -> None:
        if node.keywords:
            self._refuse(node, f"{name}() takes no named arguments", "give the values alone")

    # --- constants ---

    def _part(self, node: ast.expr, depth: int) -> Value:
        """A constant where nothing else may stand: in a list or a dict."""
        value = self._constant(node, depth)
        if isinstance(value, _NoConstant):
            self._refuse(node, "a list holds constants only", "compare fields with `==` and `or`")
        return value

    def _constant(self, node: ast.expr | None, depth: int) -> Value:
        match node:
            case ast.Constant(value=value):
                return self._plain(node, value)
            case ast.UnaryOp(op=ast.USub() | ast.UAdd() as op, operand=ast.Constant(value=value)):
                if isinstance(value, bool) or not isinstance(value, int | float):
                    return _NO_CONSTANT
                return self._plain(node, -value if isinstance(op, ast.USub) else value)
            case ast.Tuple(elts=items) | ast.List(elts=items):
                self._bound(node, depth)
                parts = [self._part(item, depth + 1) for item in items]
                return tuple(parts) if isinstance(node, ast.Tuple) else parts
            case ast.Dict():
                self._bound(node, depth)
                return self._dict(node, depth)
            case ast.Call(func=ast.Name(id=name)) if name in _TYPED_LITERALS:
                return self._typed(node, name)
            case _:
                return _NO_CONSTANT

    def _bound(self, node: ast.expr, depth: int) -> None:
        if depth > limits.JSON_DEPTH_MAX:
            fact = f"a constant nests deeper than {limits.JSON_DEPTH_MAX} levels"
            self._refuse(node, fact, "flatten it")

    def _plain(self, node: ast.expr, value: object) -> Value:
        match value:
            case None | bool() | float() | bytes():
                return value
            case int():
                if limits.INT_MIN <= value <= limits.INT_MAX:
                    return value
                self._refuse(node, "a number does not fit 64 bits", 'write decimal("…")')
            case str():
                self._refuse_surrogates(node, value)
                return value
            case _:
                self._refuse(node, f"{show_value(value)} is no constant", "use a real number")

    def _dict(self, node: ast.Dict, depth: int) -> dict[str, Value]:
        found: dict[str, Value] = {}
        for key, value in zip(node.keys, node.values, strict=True):
            name = self._constant(key, depth)
            if not isinstance(name, str):
                self._refuse(key or value, "a dict has texts as its keys", "put the key in quotes")
            found[name] = self._part(value, depth + 1)
        return found

    def _typed(self, node: ast.Call, name: str) -> Value:
        kind, example = _TYPED_LITERALS[name]
        argument = self._constant(node.args[0], 1) if len(node.args) == 1 else None
        if node.keywords or argument is None or isinstance(argument, _NoConstant | bool):
            self._refuse(node, f"{name}() takes one constant", f"as in {example}")
        try:
            if isinstance(argument, str):
                return read_text(kind, argument)
            if name == "duration" and isinstance(argument, int | float):
                return datetime.timedelta(seconds=argument)
        except (ValueTypeError, ValueRangeError) as error:
            self._source.refuse_node(node, error.message, cause=error)
        except (OverflowError, ValueError) as error:
            fact = f"{show_value(argument)} seconds are too long for a duration; use less"
            self._source.refuse_node(node, fact, cause=error)
        self._refuse(node, f"{name}() does not take {show_value(argument)}", f"as in {example}")

    def _refuse_surrogates(self, node: ast.expr, text: str) -> None:
        if not text.isascii() and any("\ud800" <= c <= "\udfff" for c in text):
            self._refuse(node, "a text holds half of a surrogate pair", "write the character")

    # --- refusals ---

    def _foreign(self, node: ast.expr, construct: ast.AST) -> NoReturn:
        if isinstance(construct, ast.Call):
            self._refuse(node, "only functions can be called", f"use {', '.join(FUNCTIONS)}")
        if isinstance(construct, ast.UAdd):
            self._refuse(node, "`+` before a field says nothing", "leave it out")
        self._source.refuse_node(node, foreign_sentence(type(construct)))

    def _refuse(self, node: ast.expr, fact: str, remedy: str) -> NoReturn:
        self._source.refuse_node(node, f"{fact}; {remedy}")


class _NoConstant:
    """Marks a node that is no constant; None would be NULL."""


_NO_CONSTANT: Final = _NoConstant()


# --- writing ------------------------------------------------------------------------------------

# How tightly each construct binds, loosest first.
_OR, _AND, _NOT, _COMPARE, _SUM, _PRODUCT, _ATOM = range(7)
_LITERAL_NAMES: Final[dict[type, str]] = {
    datetime.date: "date",
    datetime.time: "time",
    datetime.datetime: "timestamp",
    datetime.timedelta: "duration",
    uuid.UUID: "uuid",
    decimal.Decimal: "decimal",
}


def _written(expr: Expr) -> tuple[str, int]:
    """The text of an expression and how tightly it binds."""
    match expr:
        case Literal(value=value):
            return format_literal(value), _ATOM
        case Param(index=index):
            return f"param({index})", _ATOM
        case NamedParam(name=name):
            return f"param({name})", _ATOM
        case FieldRef(path=path):
            return _written_path(path), _ATOM
        case Compare(op=op, left=left, right=right):
            return f"{_within(left, _SUM)} {op} {_within(right, _SUM)}", _COMPARE
        case InList():
            return _written_in(expr, "in"), _COMPARE
        case IsNull(operand=operand):
            return f"{_within(operand, _SUM)} is None", _COMPARE
        case Not(operand=InList() as among):
            return _written_in(among, "not in"), _COMPARE
        case Not(operand=IsNull(operand=operand)):
            return f"{_within(operand, _SUM)} is not None", _COMPARE
        case Not(operand=operand):
            return f"not {_within(operand, _NOT)}", _NOT
        case And(items=items):
            return _written_junction("and", items, _AND)
        case Or(items=items):
            return _written_junction("or", items, _OR)
        case Arithmetic(op=op, left=left, right=right):
            level = _SUM if op in {"+", "-"} else _PRODUCT
            return f"{_within(left, level)} {op} {_within(right, level + 1)}", level
        case Call(name=name, arguments=arguments):
            return _written_call(name, arguments), _ATOM
        case Related(kind=kind, path=path, filter=inner):
            asked = "" if inner is None else f", {_written(inner)[0]}"
            return f"{kind}({_written_path(path)}{asked})", _ATOM
        case Aggregate():
            return _written_aggregate(expr), _ATOM
    assert_never(expr)


def _within(expr: Expr, level: int) -> str:
    """The text of an operand, in brackets if it binds more loosely than its surroundings."""
    text, own = _written(expr)
    return text if own >= level else f"({text})"


def _written_junction(word: str, items: tuple[Expr, ...], level: int) -> tuple[str, int]:
    if len(items) < 2:
        return _written_call(f"{word}_", items), _ATOM
    return f" {word} ".join(_within(item, level + 1) for item in items), level


def _written_in(expr: InList, word: str) -> str:
    items = _written(expr.items)[0]
    return f"{_within(expr.operand, _SUM)} {word} {items}"


def _written_call(name: str, arguments: Sequence[Expr]) -> str:
    return f"{name}({', '.join(_written(argument)[0] for argument in arguments)})"


def _written_aggregate(expr: Aggregate) -> str:
    parts = [] if expr.operand is None else [_written(expr.operand)[0]]
    if expr.distinct:
        parts.append("distinct=True")
    if expr.filter is not None:
        parts.append(f"where={_written(expr.filter)[0]}")
    call = f"{expr.function}({', '.join(parts)})"
    return f"{_written_path(expr.path)}.{call}" if expr.path else call


def _written_path(path: tuple[str, ...]) -> str:
    if all(is_plain_name(name) and not keyword.iskeyword(name) for name in path):
        return ".".join(path)
    return f"field({', '.join(map(quote_text, path))})"


def _written_float(value: float) -> str:
    if math.isnan(value):
        raise ValueRangeError("nan is no value and has no spelling; use None")
    return repr(value).replace("inf", "1e999")


def _is_dict(value: Value) -> TypeGuard[dict[str, Value]]:
    return isinstance(value, dict)


def _written_container(value: Value) -> str:
    if _is_dict(value):
        parts = [f"{quote_text(key)}: {format_literal(item)}" for key, item in value.items()]
        return "{" + ", ".join(parts) + "}"
    inner = ", ".join(map(format_literal, value))
    if isinstance(value, list):
        return f"[{inner}]"
    return f"({inner},)" if len(value) == 1 else f"({inner})"
