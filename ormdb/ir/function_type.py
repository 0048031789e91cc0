"""What functions take and give.

    starts_with(name, "J")       a text and a text               a condition
    has(tags, 5)                 a list and one of its items     the literal takes the item's form
    matches(notes, "storm")      texts and a query               a condition
    at(data, "sizes", 0)         JSON, then keys and positions   JSON, NULL where nothing lies there
    contains_json(data, {...})   JSON and a literal              a condition

A pattern of `like`, the query of `matches` and `rank`, the steps of `at` and what `contains_json`
looks for are literals: they are read once, and they are bounded before a row is seen.

Invariants (held by tests/unit/ir/test_function_type.py and tests/property/test_expression_laws.py):
  1. A call that is accepted here can be evaluated for every row, but for ValueRangeError.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

from ormdb import limits
from ormdb.errors import LimitError, QueryError, ValueRangeError, ValueTypeError
from ormdb.ir.buckets import check_bucket
from ormdb.ir.check import checker
from ormdb.ir.coerce import a_class, a_type, coerce_value, literal_type
from ormdb.ir.documents import count_json
from ormdb.ir.expr import Call, Expr, Literal
from ormdb.ir.patterns import read_pattern
from ormdb.ir.search import read_search
from ormdb.ir.show import show_value
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
    TextType,
    TimestampType,
    Type,
    UuidType,
    Value,
    is_scalar,
)

# Functions that ask something of a text, and take a second one to ask it with.
TEXT_TESTS: Final = frozenset(
    {
        "like",
        "ilike",
        "starts_with",
        "ends_with",
        "contains",
        "istarts_with",
        "iends_with",
        "icontains",
        "matches",
    }
)
# All functions that are conditions: of what they ask, and of one thing to ask it with.
# Functions that look for words in one text or in several together.
SEARCHES: Final = frozenset({"matches", "rank"})
TESTS: Final = TEXT_TESTS | {"has", "has_key", "contains_json"}


@dataclass(frozen=True, slots=True)
class Typed:
    """A converted expression, its type (None: NULL alone), and how error texts call it."""

    expr: Expr
    kind: Type | None
    nullable: bool
    label: str


def condition(expr: Expr, *, nullable: bool) -> Typed:
    """An expression that is true, false or NULL."""
    return Typed(expr, BoolType(), nullable, "the condition")


def is_extract(expr: Expr) -> bool:
    """Whether it is what at() finds in a JSON value, whose kind the value decides."""
    return isinstance(expr, Call) and expr.name == "at"


def call_type(expr: Call, arguments: list[Typed]) -> Typed:
    if expr.name == "coalesce":
        return _coalesce(arguments)
    if expr.name == "at":
        return _extract(arguments)
    if expr.name in SEARCHES:
        return _search(expr, arguments)
    if expr.name == "bucket":
        return _bucket(arguments)
    if expr.name in TESTS:
        return _test(expr, arguments)
    count, accepted, result = _SIGNATURES[expr.name]
    if count is not None and len(arguments) != count:
        raise QueryError(
            f"{expr.name}() takes {count} argument{'' if count == 1 else 's'}, not {len(arguments)}"
        )
    if not arguments and count is None:
        raise QueryError(f"{expr.name}() needs at least one argument")
    for argument in arguments:
        if not isinstance(argument.kind, accepted):
            wanted = " or ".join(a_class(each) for each in accepted)
            raise QueryError(
                f"{expr.name}() takes {wanted}; {argument.label} is {a_type(argument.kind)}"
            )
    kind = result if result is not None else arguments[0].kind
    return Typed(
        Call(name=expr.name, arguments=tuple(argument.expr for argument in arguments)),
        kind,
        any(argument.nullable for argument in arguments),
        f"{expr.name}()",
    )


def argument_conversion(
    call: Call, found: Typed, arguments: list[Typed]
) -> Callable[[Value], Value] | None:
    """What the literals of an accepted call were converted by; None if they stay what they are.

    Args:
      call: the call, with its converted arguments.
      found: its type.
      arguments: what it was made of.
    """
    kind = found.kind if call.name == "coalesce" else arguments[0].kind if arguments else None
    match call.name:
        case "coalesce":
            assert kind is not None
            return partial(_exactly, kind, where="coalesce()")
        case "has":
            assert isinstance(kind, ListType)
            return partial(coerce_value, kind.item, where=f"an item of {arguments[0].label}")
        case "contains_json":
            return read_document
        case _:
            return None


# name: how many arguments (None: one or more), of which types, and the type of the result (None:
# that of the argument).
_SIGNATURES: Final[dict[str, tuple[int | None, tuple[type, ...], Type | None]]] = {
    "lower": (1, (TextType,), TextType()),
    "upper": (1, (TextType,), TextType()),
    "trim": (1, (TextType,), TextType()),
    "length": (1, (TextType, BytesType, ListType), IntType()),
    "abs": (1, (IntType, FloatType, DecimalType, DurationType), None),
    "concat": (None, (TextType,), TextType()),
    "now": (0, (), TimestampType()),
    "uuid7": (0, (), UuidType()),
    "year": (1, (DateType, TimestampType), IntType()),
}


def _coalesce(arguments: list[Typed]) -> Typed:
    lead = next(
        (a for a in arguments if a.kind is not None and not isinstance(a.expr, Literal)),
        next((a for a in arguments if a.kind is not None), None),
    )
    if lead is None or lead.kind is None:
        raise QueryError("coalesce() needs an argument that is not NULL")
    kind, converted = lead.kind, list[Expr]()
    for argument in arguments:
        expr = argument.expr
        if isinstance(expr, Literal):
            expr = Literal(value=_exactly(kind, expr.value, lead.label))
        elif argument.kind is None or not _is_same_kind(kind, argument.kind):
            raise QueryError(
                f"coalesce() needs values of one type; {lead.label} is {a_type(kind)}, "
                f"{argument.label} {a_type(argument.kind)}"
            )
        elif isinstance(kind, DecimalType) and isinstance(argument.kind, DecimalType):
            scale = max(kind.scale, argument.kind.scale)
            kind = DecimalType(precision=limits.DECIMAL_DIGITS_MAX, scale=scale)
        converted.append(expr)
    return Typed(
        Call(name="coalesce", arguments=tuple(converted)),
        kind,
        all(argument.nullable for argument in arguments),
        "coalesce()",
    )


def _exactly(kind: Type, value: Value, where: str) -> Value:
    """A literal that becomes the result, so it has to be of the type itself."""
    value = coerce_value(kind, value, where)
    if value is None or isinstance(kind, EnumType) or type(literal_type(value)) is type(kind):
        return value
    raise QueryError(
        f"coalesce() needs values of one type; {where} is {a_type(kind)}, "
        f"{show_value(value)} is not exactly one"
    )


def _is_same_kind(left: Type, right: Type) -> bool:
    if isinstance(left, TextType | DecimalType):
        return type(left) is type(right)
    return left == right


# --- tests ----------------------------------------------------------------------------------------


def _test(expr: Call, arguments: list[Typed]) -> Typed:
    """A function of two arguments that is a condition."""
    name = expr.name
    if len(arguments) != 2:
        raise QueryError(
            f"{name}() takes 2 arguments, not {len(arguments)}; write {_EXAMPLES[name]}"
        )
    subject, given = arguments
    _require_subject(name, subject)
    if given.kind is None:
        raise QueryError(f"{name}() with NULL is never true; write {_EXAMPLES[name]}")
    match name:
        case "has":
            second = _item(subject, given)
        case "contains_json":
            second = _document(given)
        case _:
            second = _text(name, given)
    return condition(
        Call(name=name, arguments=(subject.expr, second)),
        nullable=subject.nullable or given.nullable,
    )


def _require_subject(name: str, subject: Typed) -> None:
    """What is asked has to be of the type that the function asks."""
    if name in TEXT_TESTS:
        wanted: type = TextType
        fits = isinstance(subject.kind, TextType) or is_extract(subject.expr)
    else:
        wanted = ListType if name == "has" else JsonType
        fits = isinstance(subject.kind, wanted)
    if not fits:
        raise QueryError(
            f"{name}() asks {a_class(wanted)}; {subject.label} is {a_type(subject.kind)}; "
            f"{_instead(subject.kind)}"
        )


def _instead(kind: Type | None) -> str:
    match kind:
        case None:
            return "name a field"
        case TextType():
            return "ask a text with starts_with(), contains() or like()"
        case ListType():
            return "ask a list with has()"
        case JsonType():
            return "ask JSON with has_key() or contains_json(), or a text in it with at()"
        case _ if is_scalar(kind):
            return "compare it with == or `in`"
        case _:
            return "test it with `is None`"


def _text(name: str, given: Typed) -> Expr:
    if name in {"like", "ilike"}:
        if not isinstance(given.expr, Literal) or not isinstance(given.expr.value, str):
            raise QueryError(
                f"the pattern of {name}() is {given.label}; write it as a text, or ask with "
                "starts_with(), ends_with() or contains()"
            )
        read_pattern(given.expr.value, folded=name == "ilike")
    elif not isinstance(given.kind, TextType):
        raise QueryError(
            f"{name}() takes a text to look for; {given.label} is {a_type(given.kind)}; "
            f"write {_EXAMPLES[name]}"
        )
    return given.expr


def _search(expr: Call, arguments: list[Typed]) -> Typed:
    """Words that are looked for in texts: a condition, or how well they are met."""
    name = expr.name
    if len(arguments) < 2:
        raise QueryError(f"{name}() takes texts and a query; write {_EXAMPLES[name]}")
    *subjects, query = arguments
    for subject in subjects:
        _require_subject("matches", subject)
    if not isinstance(query.expr, Literal) or not isinstance(query.expr.value, str):
        raise QueryError(
            f"the query of {name}() is {query.label}; write it as a text, as in {_EXAMPLES[name]}"
        )
    read_search(query.expr.value)
    exprs = tuple(argument.expr for argument in arguments)
    nullable = all(subject.nullable for subject in subjects)
    call = Call(name=name, arguments=exprs)
    if name == "matches":
        return condition(call, nullable=nullable)
    return Typed(call, FloatType(), nullable, "rank()")


def _item(subject: Typed, given: Typed) -> Expr:
    assert isinstance(subject.kind, ListType)
    kind = subject.kind.item
    if isinstance(given.expr, Literal):
        return Literal(value=coerce_value(kind, given.expr.value, f"an item of {subject.label}"))
    if given.kind is None or not are_comparable(kind, given.kind):
        raise QueryError(
            f"an item of {subject.label} is {a_type(kind)} and cannot be compared with "
            f"{given.label}, {a_type(given.kind)}; look for {a_type(kind)}"
        )
    return given.expr


def _document(given: Typed) -> Expr:
    if not isinstance(given.expr, Literal):
        raise QueryError(
            f"contains_json() looks for a literal, not for {given.label}; "
            f"write {_EXAMPLES['contains_json']}"
        )
    return Literal(value=read_document(given.expr.value))


def read_document(value: Value) -> Value:
    """Return what contains_json() looks for in its canonical form.

    Raises:
      QueryError: it is no JSON value.
      LimitError: it is too large.
    """
    try:
        value = checker(JsonType())(value, "what contains_json() looks for")
    except (ValueTypeError, ValueRangeError) as error:
        raise QueryError(error.message) from error
    if count_json(value) > limits.CONTAINED_VALUES_MAX:
        raise LimitError(
            f"contains_json() looks for over {limits.CONTAINED_VALUES_MAX} values at once; "
            "join several with `and`",
            limit="CONTAINED_VALUES_MAX",
        )
    return value


def _extract(arguments: list[Typed]) -> Typed:
    """What at() finds."""
    if len(arguments) < 2:
        raise QueryError('at() takes JSON and at least one step; write at(data, "key", 0)')
    document, *steps = arguments
    if not isinstance(document.kind, JsonType):
        raise QueryError(
            f"at() asks JSON; {document.label} is {a_type(document.kind)}; "
            f"{_instead(document.kind)}"
        )
    for step in steps:
        value = step.expr.value if isinstance(step.expr, Literal) else None
        if isinstance(value, bool) or not isinstance(value, str | int):
            raise QueryError(
                f"a step of at() is {step.label}; write a key as a text, a position as an int"
            )
    exprs = tuple(argument.expr for argument in arguments)
    return Typed(Call(name="at", arguments=exprs), JsonType(), True, "at()")


def _bucket(arguments: list[Typed]) -> Typed:
    """The piece of time in which a value lies."""
    if not 2 <= len(arguments) <= 3:
        raise QueryError('bucket() takes a moment and a unit; write bucket(time, "hour")')
    subject, *given = arguments
    if not isinstance(subject.kind, TimestampType | DateType):
        raise QueryError(
            f"bucket() takes a timestamp or a date; {subject.label} is {a_type(subject.kind)}"
        )
    values: list[Value] = []
    for one in given:
        if not isinstance(one.expr, Literal):
            raise QueryError(f"bucket() takes its unit as a literal, not as {one.label}")
        values.append(one.expr.value)
    unit, *width = values
    check_bucket(unit, width[0] if width else 1, is_date=isinstance(subject.kind, DateType))
    exprs = tuple(argument.expr for argument in arguments)
    return Typed(Call(name="bucket", arguments=exprs), subject.kind, subject.nullable, "bucket()")


_EXAMPLES: Final[dict[str, str]] = {
    "like": 'like(name, "J%")',
    "ilike": 'ilike(name, "j%")',
    "starts_with": 'starts_with(name, "J")',
    "ends_with": 'ends_with(name, "J")',
    "contains": 'contains(name, "J")',
    "istarts_with": 'istarts_with(name, "j")',
    "iends_with": 'iends_with(name, "j")',
    "icontains": 'icontains(name, "j")',
    "matches": 'matches(notes, "storm delay")',
    "rank": 'rank(notes, "storm delay")',
    "has": 'has(tags, "new")',
    "has_key": 'has_key(data, "key")',
    "contains_json": 'contains_json(data, {"key": 1})',
}


# --- rules ----------------------------------------------------------------------------------------


def are_comparable(left: Type, right: Type) -> bool:
    numbers = {type(left), type(right)}
    if numbers in ({IntType, FloatType}, {IntType, DecimalType}):
        return True
    if isinstance(left, EnumType) or isinstance(right, EnumType):
        return left == right
    return type(left) is type(right) and is_scalar(left)
