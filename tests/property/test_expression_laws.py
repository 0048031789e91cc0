"""Holds the laws of expressions: three-valued logic, conversion of literals, text and back."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ormdb.errors import ExpressionError, QueryError, ValueRangeError
from ormdb.ir.canonical import encode_node
from ormdb.ir.coerce import coerce_value
from ormdb.ir.evaluate import Resolve, Resolved, coerce_literals, evaluate, expression_type
from ormdb.ir.expr import And, Expr, InList, Literal, Not, Or
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
    TextType,
    TimestampType,
    TimeType,
    UuidType,
)
from ormdb.model.expression_text import (
    format_expression,
    format_literal,
    parse_expression,
    parse_literal,
)
from ormdb.testing.strategies import (
    Fields,
    any_expressions,
    conditions,
    constants,
    operands,
    rows,
    scalar_types,
    values,
)

FIELDS: Fields = {
    "n": (IntType(), True),
    "m": (IntType(), False),
    "x": (FloatType(), True),
    "price": (DecimalType(precision=9, scale=2), True),
    "name": (TextType(), True),
    "raw": (BytesType(), True),
    "ok": (BoolType(), True),
    "key": (UuidType(), True),
    "day": (DateType(), True),
    "at": (TimestampType(), True),
    "hour": (TimeType(), True),
    "length": (DurationType(), True),
    "state": (EnumType(variants=("new", "old", "gone")), True),
    "data": (JsonType(), True),
    "tags": (ListType(item=TextType()), True),
}


def resolve(path: tuple[str, ...]) -> Resolved:
    kind, optional = FIELDS[path[0]]
    return Resolved(name=f"Row.{path[0]}", type=kind, optional=optional)


def value_of(expression: Expr, row: RowDict) -> Any:
    """The value, or the one error that a well-typed expression may end in."""
    types: Resolve = resolve
    try:
        return evaluate(expression, row, resolve=types)
    except ValueRangeError:
        return ValueRangeError


CONDITIONS = conditions(FIELDS)
ROWS = rows(FIELDS)


@given(CONDITIONS, ROWS)
def test_a_condition_is_true_or_false_or_null(condition: Expr, row: RowDict) -> None:
    assert value_of(condition, row) in (True, False, None, ValueRangeError)


@given(CONDITIONS, ROWS)
def test_a_condition_that_is_not_nullable_is_never_null(condition: Expr, row: RowDict) -> None:
    found = value_of(condition, row)
    kind, nullable = expression_type(And(items=(condition,)), resolve)
    assert isinstance(kind, BoolType)
    if not nullable:
        assert found is not None


@given(st.lists(CONDITIONS, max_size=3), ROWS)
def test_de_morgans_laws_hold_for_every_row(items: list[Expr], row: RowDict) -> None:
    if any(value_of(item, row) is ValueRangeError for item in items):
        return  # `and` and `or` stop at the first item that decides, so one side may not see it
    denied = tuple(Not(operand=item) for item in items)
    both, either = And(items=tuple(items)), Or(items=tuple(items))
    assert value_of(Not(operand=both), row) == value_of(Or(items=denied), row)
    assert value_of(Not(operand=either), row) == value_of(And(items=denied), row)


@given(CONDITIONS, ROWS)
def test_a_condition_denied_twice_is_the_condition(condition: Expr, row: RowDict) -> None:
    assert value_of(Not(operand=Not(operand=condition)), row) == value_of(condition, row)


@given(CONDITIONS, ROWS)
def test_converting_literals_never_changes_a_result(condition: Expr, row: RowDict) -> None:
    converted = coerce_literals(condition, resolve, expected=BoolType())
    assert value_of(converted, row) == value_of(condition, row)
    again = coerce_literals(converted, resolve, expected=BoolType())
    assert encode_node(again) == encode_node(converted)


@given(st.data())
def test_an_expression_has_a_value_of_its_type(data: st.DataObject) -> None:
    kind, _ = data.draw(st.sampled_from(list(FIELDS.values())))
    if isinstance(kind, JsonType | ListType):
        return
    expression = data.draw(operands(kind, FIELDS, depth=2))
    found = value_of(expression, data.draw(ROWS))
    typed, nullable = expression_type(expression, resolve)
    assert type(typed) is type(kind) or isinstance(expression, Literal)
    if found is None:
        assert nullable or isinstance(kind, FloatType)  # inf - inf is NULL
    elif found is not ValueRangeError:
        assert type(found) is type(data.draw(values(kind)))


@given(st.data())
def test_in_a_list_means_equal_to_one_of_its_items(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from([n for n in FIELDS if n not in {"data", "tags"}]))
    kind, _ = FIELDS[name]
    items = tuple(data.draw(st.lists(values(kind) | st.none(), max_size=3)))
    row = data.draw(ROWS)
    among = parse_expression(f"{name} in {format_literal(items)}")
    assert isinstance(among, InList)
    equals = parse_expression(
        " or ".join(f"{name} == {format_literal(i)}" for i in items) or "or_()"
    )
    assert value_of(among, row) == value_of(equals, row)


@given(st.data())
def test_a_converted_literal_is_its_own_converted_form(data: st.DataObject) -> None:
    kind = data.draw(scalar_types())
    value = data.draw(constants())
    try:
        once = coerce_value(kind, value, "here")
    except QueryError:
        return
    assert format_literal(coerce_value(kind, once, "here")) == format_literal(once)
    if isinstance(value, int | float) and not isinstance(kind, DecimalType):
        assert once == value


@given(any_expressions())
def test_an_expression_reads_back_from_its_text(expression: Expr) -> None:
    text = format_expression(expression)
    again = parse_expression(text)
    assert again == expression
    assert encode_node(again) == encode_node(expression)  # 1, 1.0 and True are not one literal
    assert format_expression(again) == text


@given(constants())
def test_a_literal_reads_back_from_its_text(value: Any) -> None:
    again = parse_literal(format_literal(value))
    assert encode_node(Literal(value=again)) == encode_node(Literal(value=value))


WORDS = (
    "and or not in is None x origin.name ( ) [ ] , 'a' 1 - + * % / < == != lower( date( field( . "
    "if else lambda f'{x}' { } : = ** ~ \n \0 é 99999999999999999999 class # \\"
)
PIECES = st.sampled_from(WORDS.split(" "))


@given(st.lists(PIECES, max_size=20).map(" ".join) | st.text(max_size=40))
@example("\ud800")
@example("x\u2028== 1")
@example("\ufeffx")
@example("x\x0c")
@example("'\\N{DIGIT ONE}'")
@example("b'é'")
@example("# nothing")
@example("x \\\n == 1")
def test_any_text_ends_in_an_expression_or_an_expression_error(text: str) -> None:
    try:
        found = parse_expression(text)
    except ExpressionError:
        return
    assert parse_expression(format_expression(found)) == found


def test_texts_with_python_warnings_are_read_like_others() -> None:
    with pytest.raises(ExpressionError):
        parse_expression(r"'\d' == 1or")
