"""Hypothesis strategies for values, types, expressions and every other node of `ir`.

    values(IntType())                     canonical values, the edges of the type among them
    constants()                           a value of any type at all
    conditions({"n": (IntType(), True)})  well-typed conditions over these fields
    rows({"n": (IntType(), True)})        rows they can be evaluated on
    any_expressions()                     expressions of any shape, whether they make sense or not
    nodes()                               any node, derived from its dataclass

Hypothesis is an extra: nothing but tests imports this module.

Invariants (held by tests/property/test_strategies.py):
  1. Every value of `values(t)` is its own canonical form.
  2. Every expression of `conditions` is accepted by `coerce_literals` as a condition.
"""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import functools
import types
import typing
import uuid
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final, TypeAlias

from hypothesis import strategies as st

from ormdb import limits
from ormdb.ir.canonical import node_classes
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
    Not,
    Or,
    Related,
)
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
    RowDict,
    ScalarType,
    StructField,
    StructType,
    TextType,
    TimestampType,
    TimeType,
    Type,
    UuidType,
)

Strategy: TypeAlias = st.SearchStrategy[Any]
# A field by name: its type, and whether it may be NULL.
Fields: TypeAlias = Mapping[str, tuple[Type, bool]]

_PREFIX: Final = "p" * 600  # longer than any key, so that keys of these texts are cut alike
_TEXTS: Final = (
    "",
    "\0",
    "a",
    "a\0",
    "A",
    "é",
    "\uffff",
    "\U0001f600",
    " ",
    _PREFIX,
    _PREFIX + "a",
)
_COMPARES: Final[tuple[CompareOp, ...]] = typing.get_args(CompareOp)
_AGGREGATES: Final[tuple[AggregateFunction, ...]] = typing.get_args(AggregateFunction)
_ARITHMETIC: Final[tuple[ArithmeticOp, ...]] = typing.get_args(ArithmeticOp)
_TEXT_TESTS: Final[tuple[FunctionName, ...]] = (
    "starts_with",
    "ends_with",
    "contains",
    "istarts_with",
    "iends_with",
    "icontains",
)
_STEPS: Final[tuple[str | int, ...]] = ("", "a", 0, -1)
_MICROSECOND: Final = datetime.timedelta(microseconds=1)


@functools.cache
def characters() -> st.SearchStrategy[str]:
    """Any character that can be stored: no halves of surrogate pairs."""
    return st.characters(exclude_categories=["Cs"])


@functools.lru_cache(maxsize=1024)
def texts(max_size: int | None = None) -> st.SearchStrategy[str]:
    """Texts, edges among them."""
    edges = [text for text in _TEXTS if max_size is None or len(text) <= max_size]
    return st.one_of(st.sampled_from(edges), st.text(characters(), max_size=max_size))


@functools.cache
def names() -> st.SearchStrategy[str]:
    """Names as a schema allows them: keywords, spaces, quotes and other scripts included."""
    plain = st.text("abcdefghijklmnopqrstuvwxyz_", min_size=1, max_size=8)
    odd = st.text(
        st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), min_size=1, max_size=12
    )
    kept = ("class", "entity", "index", "doc", "one", "desc", "a b", 'say "x"', "ﬁeld", "1st", "#")
    return st.one_of(plain, plain, st.sampled_from(kept), odd)


# --- values and types -----------------------------------------------------------------------------


@functools.lru_cache(maxsize=1024)
def values(kind: Type) -> Strategy:
    """Canonical values of a type; None is not one of them."""
    match kind:
        case DecimalType():
            return _decimals(kind)
        case TextType(max_chars=chars):
            return texts(chars)
        case EnumType(variants=variants):
            return st.sampled_from(variants)
        case JsonType():
            return json_values().filter(lambda value: value is not None)
        case ListType(item=item):
            return st.lists(values(item), max_size=4).map(tuple)
        case StructType(fields=parts):
            return _dicts({part.name: (part.type, part.optional) for part in parts})
        case _:
            return _SCALARS[type(kind)]


@functools.cache
def json_values() -> Strategy:
    """Canonical JSON values."""
    leaves = st.none() | st.booleans() | _ints() | _finite_floats() | texts(20)
    return st.recursive(
        leaves,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts(10), inner, max_size=3),
        max_leaves=8,
    )


@functools.cache
def scalar_types() -> st.SearchStrategy[ScalarType]:
    """Every scalar type."""
    variants = st.lists(
        st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), min_size=1, max_size=8),
        min_size=1,
        max_size=4,
        unique=True,
    )
    return st.one_of(
        st.sampled_from(_PLAIN_TYPES),
        st.integers(1, limits.DECIMAL_DIGITS_MAX).flatmap(_decimal_types),
        st.integers(1, 700).map(lambda chars: TextType(max_chars=chars)),
        variants.map(lambda found: EnumType(variants=tuple(found))),
    )


@functools.cache
def types_of_fields() -> st.SearchStrategy[Type]:
    """Every type a field can have."""
    parts = st.lists(
        st.builds(StructField, name=names(), type=scalar_types(), optional=st.booleans()),
        min_size=1,
        max_size=3,
        unique_by=lambda part: part.name,
    )
    return st.one_of(
        scalar_types(),
        scalar_types(),
        st.just(JsonType()),
        scalar_types().map(lambda item: ListType(item=item)),
        parts.map(lambda found: StructType(fields=tuple(found))),
    )


@functools.cache
def constants() -> Strategy:
    """A value of any class that has a type, NULL and containers included."""
    scalars = st.one_of([st.none(), *_SCALARS.values(), texts(20), _decimals(_WIDE)])
    return st.recursive(
        scalars,
        lambda inner: st.one_of(
            st.lists(inner, max_size=3),
            st.lists(inner, max_size=3).map(tuple),
            st.dictionaries(texts(10), inner, max_size=3),
        ),
        max_leaves=6,
    )


def _dicts(fields: Fields) -> st.SearchStrategy[RowDict]:
    """Dicts in the order of the fields, which `fixed_dictionaries` does not keep."""
    drawn = [
        values(kind) | st.none() if optional else values(kind) for kind, optional in fields.values()
    ]
    return st.tuples(*drawn).map(lambda found: dict(zip(fields, found, strict=True)))


def _ints() -> st.SearchStrategy[int]:
    edges = (0, 1, -1, limits.INT_MIN, limits.INT_MAX, 2**53, 2**53 + 1, -(2**53) - 1)
    return st.one_of(
        st.sampled_from(edges), st.integers(-9, 9), st.integers(limits.INT_MIN, limits.INT_MAX)
    )


def _finite_floats() -> st.SearchStrategy[float]:
    return st.floats(allow_nan=False, allow_infinity=False).map(lambda value: value + 0.0)


def _floats() -> st.SearchStrategy[float]:
    edges = (0.0, 1.5, float("inf"), float("-inf"), 5e-324, 1.7976931348623157e308, 2.0**53)
    return st.sampled_from(edges) | st.integers(-9, 9).map(float) | _finite_floats()


def _decimals(kind: DecimalType) -> st.SearchStrategy[decimal.Decimal]:
    largest = 10**kind.precision - 1
    numbers = st.sampled_from((0, 1, -1, largest, -largest)) | st.integers(-largest, largest)

    def decimal_of(number: int) -> decimal.Decimal:
        digits = tuple(map(int, str(abs(number))))
        return decimal.Decimal((int(number < 0), digits, -kind.scale))

    return numbers.map(decimal_of)


def _decimal_types(precision: int) -> st.SearchStrategy[DecimalType]:
    scales = st.integers(0, precision)
    return scales.map(lambda scale: DecimalType(precision=precision, scale=scale))


def _unfolded(moment: datetime.datetime) -> datetime.datetime:
    return moment.replace(fold=0)


def _timestamps() -> st.SearchStrategy[datetime.datetime]:
    utc = datetime.UTC
    edges = (
        datetime.datetime(1, 1, 1, tzinfo=utc),
        datetime.datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=utc),
        datetime.datetime(1970, 1, 1, tzinfo=utc),
        datetime.datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=utc),
    )
    return st.sampled_from(edges) | st.datetimes(timezones=st.just(utc)).map(_unfolded)


def _times() -> st.SearchStrategy[datetime.time]:
    edges = (datetime.time.min, datetime.time.max)
    return st.sampled_from(edges) | st.times().map(lambda found: found.replace(fold=0))


def _durations() -> st.SearchStrategy[datetime.timedelta]:
    return _ints().map(lambda micros: micros * _MICROSECOND)


_WIDE: Final = DecimalType(precision=limits.DECIMAL_DIGITS_MAX, scale=9)
_SCALARS: Final[dict[type, Strategy]] = {
    BoolType: st.booleans(),
    IntType: _ints(),
    FloatType: _floats(),
    BytesType: st.sampled_from((b"", b"\0", b"\xff", b"\xff" * 600)) | st.binary(max_size=20),
    UuidType: st.sampled_from((uuid.UUID(int=0), uuid.UUID(int=2**128 - 1))) | st.uuids(),
    TimestampType: _timestamps(),
    DateType: st.sampled_from((datetime.date.min, datetime.date.max)) | st.dates(),
    TimeType: _times(),
    DurationType: _durations(),
}
_PLAIN_TYPES: Final[tuple[ScalarType, ...]] = (
    IntType(),
    TextType(),
    BoolType(),
    FloatType(),
    BytesType(),
    UuidType(),
    TimestampType(),
    DateType(),
    TimeType(),
    DurationType(),
)


# --- well-typed expressions -----------------------------------------------------------------------


def rows(fields: Fields) -> st.SearchStrategy[RowDict]:
    """Rows with a value for each field, NULL where it may be."""
    return _dicts(fields)


def conditions(fields: Fields, *, depth: int = 3) -> st.SearchStrategy[Expr]:
    """Well-typed conditions over the fields, at most `depth` deep in and, or, not."""
    leaves = _leaf_conditions(fields)
    if depth <= 1:
        return leaves
    inner = conditions(fields, depth=depth - 1)
    several = st.lists(inner, max_size=3).map(tuple)
    return st.one_of(
        leaves,
        leaves,
        inner.map(lambda operand: Not(operand=operand)),
        several.map(lambda items: And(items=items)),
        several.map(lambda items: Or(items=items)),
    )


def operands(kind: Type, fields: Fields, *, depth: int = 1) -> st.SearchStrategy[Expr]:
    """Expressions of a type: fields of it, literals, and what gives one of it."""
    refs = [FieldRef(path=(name,)) for name, (each, _) in fields.items() if each == kind]
    literals = values(kind).map(lambda value: Literal(value=value))
    plain = st.sampled_from(refs) | literals if refs else literals
    if depth < 1:
        return plain
    return st.one_of([plain, plain, *_results(kind, fields, depth - 1)])


def _leaf_conditions(fields: Fields) -> st.SearchStrategy[Expr]:
    found: list[st.SearchStrategy[Expr]] = [
        st.booleans().map(lambda value: Literal(value=value)),
        st.just(Literal(value=None)),
    ]
    for name, (kind, _) in fields.items():
        ref = FieldRef(path=(name,))
        found.append(st.just(IsNull(operand=ref)))
        if isinstance(kind, BoolType):
            found.append(st.just(ref))
        found += _tests(ref, kind, fields)
        if isinstance(kind, JsonType | ListType | StructType):
            continue
        found += [_compares(ref, kind, fields), _in_lists(ref, kind)]
    return st.one_of(found)


def _compares(ref: FieldRef, kind: Type, fields: Fields) -> st.SearchStrategy[Expr]:
    others = operands(kind, fields)
    if isinstance(kind, IntType | FloatType):
        others |= operands(FloatType() if isinstance(kind, IntType) else IntType(), fields)
    if isinstance(kind, EnumType):
        others = operands(kind, fields, depth=0)
    op, here = st.sampled_from(_COMPARES), st.just(ref)
    return st.one_of(
        st.builds(Compare, op=op, left=here, right=others),
        st.builds(Compare, op=op, left=others, right=here),
    )


def _in_lists(ref: FieldRef, kind: Type) -> st.SearchStrategy[Expr]:
    items = st.lists(values(kind) | st.none(), max_size=4).map(tuple)
    return items.map(lambda found: InList(operand=ref, items=Literal(value=found)))


def _tests(ref: FieldRef, kind: Type, fields: Fields) -> list[st.SearchStrategy[Expr]]:
    """What functions ask of a text, a list and JSON."""
    match kind:
        case TextType():
            subjects = operands(kind, fields)
            others = operands(kind, fields, depth=0) | _literals(texts(2))
            patterns = _literals(_patterns())
            return [
                _calls(("like", "ilike"), st.tuples(st.just(ref) | subjects, patterns)),
                _calls(_TEXT_TESTS, st.tuples(st.just(ref) | subjects, others)),
                _calls(("matches",), st.tuples(st.just(ref) | subjects, _searches())),
                _calls(("matches",), st.tuples(st.just(ref), subjects, _searches())),
            ]
        case ListType(item=item):
            wanted = operands(item, fields, depth=0)
            return [_calls(("has",), st.tuples(st.just(ref), wanted))]
        case JsonType():
            found = st.lists(st.sampled_from(_STEPS), min_size=1, max_size=3).map(partial(_at, ref))
            parts = _literals(json_values().filter(lambda value: value is not None))
            scalars = _literals(st.booleans() | st.integers(-2, 2) | _finite_floats() | texts(3))
            some = st.lists(st.none() | st.booleans() | st.integers(-2, 2), max_size=3).map(tuple)
            listed = some.map(lambda items: Literal(value=items))
            return [
                _calls(("has_key",), st.tuples(st.just(ref) | found, _literals(texts(2)))),
                _calls(("contains_json",), st.tuples(st.just(ref) | found, parts)),
                st.builds(Compare, op=st.sampled_from(_COMPARES), left=found, right=scalars),
                st.builds(Compare, op=st.sampled_from(_COMPARES), left=scalars, right=found),
                st.builds(Compare, op=st.sampled_from(_COMPARES), left=found, right=found),
                st.builds(InList, operand=found, items=listed),
                _calls(("starts_with", "ilike"), st.tuples(found, _literals(st.just("a%")))),
                st.builds(IsNull, operand=found),
            ]
        case _:
            return []


def _searches() -> st.SearchStrategy[Expr]:
    words = st.sampled_from(("a", "A", "é", "p" * 300, "the", "!"))
    return _literals(st.lists(words, min_size=1, max_size=3).map(" ".join))


def _patterns() -> st.SearchStrategy[str]:
    pieces = st.sampled_from(("%", "_", "a", "A", "p" * 300, "é", "ß", "\\%", "\\\\", "\0"))
    return st.lists(pieces, max_size=6).map("".join).filter(lambda text: len(text) <= 1_000)


def _literals(found: Strategy) -> st.SearchStrategy[Expr]:
    return found.map(lambda value: Literal(value=value))


def _at(ref: FieldRef, steps: Sequence[str | int]) -> Expr:
    return Call(name="at", arguments=(ref, *(Literal(value=step) for step in steps)))


def _results(kind: Type, fields: Fields, depth: int) -> list[st.SearchStrategy[Expr]]:
    same = operands(kind, fields, depth=depth)
    found: list[st.SearchStrategy[Expr]] = []
    match kind:
        case IntType():
            found.append(_arithmetic(("+", "-", "*", "%"), same, same))
            text = operands(TextType(), fields, depth=depth)
            found.append(text.map(lambda argument: Call(name="length", arguments=(argument,))))
        case FloatType():
            found.append(_arithmetic(_ARITHMETIC, same, same))
        case DecimalType():
            found.append(_arithmetic(_ARITHMETIC, same, same))
        case DurationType():
            found.append(_arithmetic(("+", "-"), same, same))
        case TimestampType():
            lengths = operands(DurationType(), fields, depth=depth)
            found.append(_arithmetic(("+", "-"), same, lengths))
        case TextType():
            found.append(_calls(("lower", "upper", "trim"), st.tuples(same)))
            found.append(_calls(("concat",), st.lists(same, min_size=1, max_size=2)))
        case _:
            pass
    if not isinstance(kind, EnumType):
        found.append(_calls(("coalesce",), st.lists(same, min_size=1, max_size=2)))
    return found


def _arithmetic(
    ops: Sequence[ArithmeticOp], left: st.SearchStrategy[Expr], right: st.SearchStrategy[Expr]
) -> st.SearchStrategy[Expr]:
    return st.builds(Arithmetic, op=st.sampled_from(ops), left=left, right=right)


def _calls(names_: Sequence[Any], arguments: Strategy) -> st.SearchStrategy[Expr]:
    return st.builds(Call, name=st.sampled_from(names_), arguments=arguments.map(tuple))


# --- nodes of any shape ---------------------------------------------------------------------------


@functools.lru_cache(maxsize=1024)
def any_expressions(*, depth: int = 4) -> st.SearchStrategy[Expr]:
    """Expressions of any shape over any names and constants, parameters excepted."""
    leaves: list[st.SearchStrategy[Expr]] = [
        constants().map(lambda value: Literal(value=value)),
        st.lists(names(), min_size=1, max_size=3).map(lambda path: FieldRef(path=tuple(path))),
    ]
    if depth <= 1:
        return st.one_of(leaves)
    inner = any_expressions(depth=depth - 1)
    several = st.lists(inner, max_size=3).map(tuple)
    lists = st.lists(constants(), max_size=3).map(lambda items: Literal(value=tuple(items)))
    functions = st.sampled_from(("lower", "abs", "coalesce", "now", "like", "at"))
    return st.one_of(
        *leaves,
        st.builds(Compare, op=st.sampled_from(_COMPARES), left=inner, right=inner),
        st.builds(InList, operand=inner, items=lists),
        st.builds(IsNull, operand=inner),
        st.builds(Not, operand=inner),
        st.builds(And, items=several),
        st.builds(Or, items=several),
        st.builds(Arithmetic, op=st.sampled_from(_ARITHMETIC), left=inner, right=inner),
        st.builds(Call, name=functions, arguments=several),
        st.builds(
            Related,
            kind=st.sampled_from(("any", "none", "all")),
            path=st.lists(names(), min_size=1, max_size=3).map(tuple),
            filter=st.none() | inner,
        ),
        st.builds(
            Aggregate,
            function=st.sampled_from(_AGGREGATES),
            operand=st.none() | inner,
            distinct=st.booleans(),
            filter=st.none() | inner,
            path=st.lists(names(), max_size=2).map(tuple),
        ),
    )


def nodes(*, depth: int = 3) -> Strategy:
    """Any node that has canonical bytes."""
    return st.sampled_from(sorted(node_classes())).flatmap(
        lambda name: nodes_of(node_classes()[name], depth=depth)
    )


@functools.lru_cache(maxsize=1024)
def nodes_of(kind: type, *, depth: int = 3) -> Strategy:
    """Nodes of one class, every field drawn from what its annotation allows."""
    hints = typing.get_type_hints(kind)
    drawn = {field.name: _of_hint(hints[field.name], depth) for field in dataclasses.fields(kind)}
    return st.builds(kind, **drawn)


@functools.lru_cache(maxsize=1024)
def _of_hint(hint: Any, depth: int) -> Strategy:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any:
        return constants()
    if origin is typing.Literal:
        return st.sampled_from(arguments)
    if origin is dict:
        return st.dictionaries(texts(10), constants(), max_size=3)
    if origin is tuple and Ellipsis not in arguments:
        return st.tuples(*(_of_hint(each, depth - 1) for each in arguments))
    if origin in {tuple, Sequence}:
        if depth <= 0 and _nests(arguments[0]):
            return st.just(())
        return st.lists(_of_hint(arguments[0], depth - 1), max_size=2).map(tuple)
    if origin in {typing.Union, types.UnionType}:
        shallow = [each for each in arguments if not _nests(each)]
        chosen = shallow if depth <= 0 and shallow else arguments
        return st.one_of([_of_hint(each, depth) for each in chosen])
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return nodes_of(hint, depth=depth - 1)
    return _OF_CLASS[hint]


def _nests(hint: Any) -> bool:
    """Whether a node of this class may hold others without end."""
    members = typing.get_args(hint) or (hint,)
    return any(dataclasses.is_dataclass(each) and each not in _FLAT for each in members)


_FLAT: Final[tuple[Any, ...]] = (Literal, FieldRef)


_OF_CLASS: Final[dict[Any, Strategy]] = {
    str: texts(20),
    int: _ints(),
    bool: st.booleans(),
    float: _floats(),
    bytes: st.binary(max_size=10),
    type(None): st.none(),
    datetime.datetime: _timestamps(),
}
