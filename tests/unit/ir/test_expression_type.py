"""Holds the types of expressions, the conversion of literals, and every refusal's sentence."""

from __future__ import annotations

import datetime
import decimal
from typing import Any

import pytest

from ormdb import limits
from ormdb.errors import LimitError, QueryError
from ormdb.ir.evaluate import Resolved, coerce_literals, expression_type
from ormdb.ir.expr import And, Compare, Expr, FieldRef, InList, Literal, Not, Param
from ormdb.ir.expression_type import paths_in, walk
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
)
from ormdb.model.expression_text import format_expression, parse_expression

D = decimal.Decimal
TYPES: dict[str, Type] = {
    "n": IntType(),
    "x": FloatType(),
    "price": DecimalType(precision=6, scale=2),
    "cost": DecimalType(precision=9, scale=4),
    "name": TextType(),
    "code": TextType(max_chars=3),
    "raw": BytesType(),
    "ok": BoolType(),
    "key": UuidType(),
    "day": DateType(),
    "at": TimestampType(),
    "length": DurationType(),
    "state": EnumType(variants=("new", "old")),
    "other": EnumType(variants=("a", "b")),
    "data": JsonType(),
    "tags": ListType(item=TextType()),
}


def resolve(path: tuple[str, ...]) -> Resolved:
    dotted = ".".join(path)
    name = dotted.rpartition(".")[2]
    if name not in TYPES:
        raise QueryError(f"Row has no field {name!r}")
    optional = name in {"n", "name"} or name != dotted
    return Resolved(name=f"Row.{dotted}", type=TYPES[name], optional=optional)


def typed(text: str) -> tuple[Type, bool]:
    return expression_type(parse_expression(text), resolve)


def converted(text: str, expected: Type | None = None) -> str:
    return format_expression(coerce_literals(parse_expression(text), resolve, expected=expected))


@pytest.mark.parametrize(
    ("text", "kind", "nullable"),
    [
        ("n", IntType(), True),
        ("x", FloatType(), False),
        ("origin.x", FloatType(), True),
        ("x > 1", BoolType(), False),
        ("n > 1", BoolType(), True),
        ("n is None", BoolType(), False),
        ("x in (1.0, 2.0)", BoolType(), False),
        ("x in (1.0, None)", BoolType(), True),
        ("n in ()", BoolType(), False),
        ("ok and n > 1", BoolType(), True),
        ("not ok", BoolType(), False),
        ("and_()", BoolType(), False),
        ("ok or None", BoolType(), True),
        ("n + 1", IntType(), True),
        ("5 / 2", FloatType(), True),
        ("x * 2", FloatType(), False),
        ("x % 2", FloatType(), True),
        ("price + 1", DecimalType(precision=38, scale=2), False),
        ("price * cost", DecimalType(precision=38, scale=4), False),
        ("price + 1.5", DecimalType(precision=38, scale=2), False),
        ("at - at", DurationType(), False),
        ("at + length", TimestampType(), False),
        ("length + at", TimestampType(), False),
        ("day - day", DurationType(), False),
        ("2 * length", DurationType(), False),
        ("lower(name)", TextType(), True),
        ("length(tags)", IntType(), False),
        ("abs(price)", DecimalType(precision=6, scale=2), False),
        ("coalesce(n, 0)", IntType(), False),
        ("coalesce(n, n)", IntType(), True),
        ("coalesce(None, x)", FloatType(), False),
        ("coalesce(price, cost)", DecimalType(precision=38, scale=4), False),
        ("coalesce(code, name)", TextType(max_chars=3), False),
        ("coalesce(state, 'new')", EnumType(variants=("new", "old")), False),
        ("year(at)", IntType(), False),
        ("now()", TimestampType(), False),
        ("uuid7()", UuidType(), False),
    ],
)
def test_an_expression_has_the_type_of_its_rules(text: str, kind: Type, nullable: bool) -> None:
    assert typed(text) == (kind, nullable)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('day > "2013-06-01"', 'day > date("2013-06-01")'),
        ('at > "2013-06-01T02:00:00+02:00"', 'at > timestamp("2013-06-01T00:00:00Z")'),
        ('length > "PT90M"', 'length > duration("PT1H30M")'),
        (f'key == "{"0" * 32}"', f'key == uuid("{"0" * 8}-0000-0000-0000-{"0" * 12}")'),
        ('price == "1.50"', 'price == decimal("1.50")'),
        ("price == 2", 'price == decimal("2")'),
        ("price == 1.10", 'price == decimal("1.1")'),
        ("1 < price", 'decimal("1") < price'),
        ("x > 1", "x > 1.0"),
        ("x > 9007199254740993", "x > 9007199254740993"),  # no float is this number
        ("n == 2.0", "n == 2"),
        ("n < 2.5", "n < 2.5"),
        ('n == decimal("3.0")', "n == 3"),
        ("n < 1e300", "n < 1e+300"),
        ("n < 1e999", "n < 1e999"),
        ("x == -0.0", "x == 0.0"),
        ('day in ("2013-01-01", None)', 'day in (date("2013-01-01"), None)'),
        ('code == "longer than three"', 'code == "longer than three"'),
        ("price * 1.5 > 3", 'price * decimal("1.5") > decimal("3")'),
        ("coalesce(x, 0) > 1", "coalesce(x, 0.0) > 1.0"),
        ('coalesce(day, "2013-01-01") == day', 'coalesce(day, date("2013-01-01")) == day'),
        ("not (x > 1 and x < 2)", "not (x > 1.0 and x < 2.0)"),
        ("1 < 2.0", "1 < 2.0"),
    ],
)
def test_a_literal_takes_the_form_of_what_it_stands_beside(text: str, expected: str) -> None:
    assert converted(text, BoolType()) == expected


@pytest.mark.parametrize(
    ("text", "expected", "result"),
    [
        ("5", FloatType(), "5.0"),
        ("'2013-01-01'", DateType(), 'date("2013-01-01")'),
        ("n", FloatType(), "n"),
        ("n", DecimalType(precision=5, scale=1), "n"),
        ("price", DecimalType(precision=38, scale=0), "price"),
        ("code", TextType(), "code"),
        ("'new'", EnumType(variants=("new",)), '"new"'),
    ],
)
def test_a_result_is_converted_to_the_type_that_is_expected(
    text: str, expected: Type, result: str
) -> None:
    assert converted(text, expected) == result


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("n == 'x'", "Row.n is an int and cannot be compared with the text 'x'; compare it with"),
        ("'x' == n", "Row.n is an int and cannot be compared with the text 'x'"),
        ("n == True", "Row.n is an int and cannot be compared with the bool True"),
        ("ok == 1", "Row.ok is a bool and cannot be compared with the int 1"),
        ("day > 'soon'", "Row.day is a date, and text 'soon' is not a date; write it as YYYY-"),
        ("at > '2013-01-01T00:00'", "is not a timestamp; write it as"),
        ("day == timestamp('2013-01-01T00:00:00Z')", "Row.day is a date and cannot be compared"),
        ("at == date('2013-01-01')", "Row.at is a timestamp and cannot be compared"),
        ("state == 'gone'", "Row.state: text 'gone' is not among the variants"),
        ("state == other", "Row.state is an enum and cannot be compared with Row.other"),
        ("coalesce(state, 'new') < 'old'", "has no order there; compare the field itself"),
        ("price == x", "Row.price is a decimal and cannot be compared with Row.x, a float"),
        ("x == decimal('1')", "Row.x is a float and cannot be compared with the decimal 1"),
        ("price < 1e999", "decimals are finite"),
        ("n == name", "compare values of one type"),
        ("data == 1", "Row.data is JSON and cannot be compared; test it with `is None`"),
        ("data in (1, 2)", "Row.data is JSON and cannot be compared"),
        ("tags == tags", "test it with `is None`"),
        ("n == None", "Row.n is compared with NULL, which is never true; write `Row.n is None`"),
        ("None in (1,)", "NULL is in no list"),
        ("n", "Row.n is an int, not a condition; compare it with something"),
        ("not name", "Row.name is a text, not a condition"),
        ("ok and 1", "the int 1 is an int, not a condition"),
        ("name + 'x' == 'y'", "do not go together under '+'; join texts with concat()"),
        ("price * x > 1", "do not go together under '*'; declare both as one of the two"),
        ("at + 'PT1H' > at", 'lengths as duration("…")'),
        ("at + at > at", "use values of one type"),
        ("n + None == 1", "Row.n, an int, and NULL, NULL, do not go together"),
        ("lower(n) == 'x'", "lower() takes a text; Row.n is an int"),
        ("lower(name, name) == 'x'", "lower() takes 1 argument, not 2"),
        ("now(1) == at", "now() takes 0 arguments, not 1"),
        ("concat() == ''", "concat() needs at least one argument"),
        ("coalesce() == 1", "coalesce() needs an argument that is not NULL"),
        ("coalesce(n, x) == 1", "coalesce() needs values of one type; Row.n is an int, Row.x a"),
        ("coalesce(n, 0.5) == 1", "coalesce() needs values of one type"),
        ("colour == 1", "Row has no field 'colour'"),
    ],
)
def test_what_does_not_go_together_is_refused_in_a_sentence(text: str, sentence: str) -> None:
    with pytest.raises(QueryError) as caught:
        converted(text, BoolType())
    assert sentence in caught.value.message


def refused(expression: Expr, expected: Type | None = None) -> str:
    with pytest.raises(QueryError) as caught:
        coerce_literals(expression, resolve, expected=expected)
    return caught.value.message


def test_values_that_no_type_holds_are_refused() -> None:
    n = FieldRef(path=("n",))
    assert "does not fit 64 bits" in refused(Compare(op="<", left=n, right=Literal(value=2**63)))
    assert "64 bits" in refused(InList(operand=n, items=Literal(value=(2**70,))))
    assert "nan is no value" in refused(Compare(op="<", left=n, right=Literal(value=float("nan"))))
    assert "nan" in refused(InList(operand=n, items=Literal(value=(float("nan"),))))


def test_parameters_and_lists_that_are_none_are_refused() -> None:
    n = FieldRef(path=("n",))
    assert "parameter 0 has no type" in refused(Compare(op="==", left=n, right=Param(index=0)))
    assert "needs a list" in refused(InList(operand=n, items=Param(index=0)))
    assert "needs a list" in refused(InList(operand=n, items=Literal(value=[1])))


def test_a_result_of_another_type_than_expected_is_refused() -> None:
    assert "where a date is needed" in refused(parse_expression("n + 1"), DateType())
    assert "where an enum is needed" in refused(parse_expression("name"), TYPES["state"])
    assert "where an int is needed" in refused(parse_expression("x"), IntType())
    with pytest.raises(QueryError, match="NULL alone has no type"):
        expression_type(Literal(value=None), resolve)


def test_expressions_are_bounded_in_depth_and_size() -> None:
    deep: Expr = FieldRef(path=("ok",))
    for _ in range(limits.EXPRESSION_DEPTH_MAX):
        deep = Not(operand=deep)
    wide = And(items=(FieldRef(path=("ok",)),) * limits.EXPRESSION_NODES_MAX)
    many = InList(
        operand=FieldRef(path=("n",)), items=Literal(value=(1,) * (limits.IN_LIST_ITEMS_MAX + 1))
    )
    for expression in (deep, wide, many):
        with pytest.raises(LimitError):
            expression_type(expression, resolve)
    with pytest.raises(LimitError):
        list(walk(wide))


def test_shared_parts_count_as_often_as_they_occur() -> None:
    # Sixty levels of a pair of the same node are one small graph and an endless tree.
    expression: Expr = FieldRef(path=("ok",))
    for _ in range(50):
        expression = And(items=(expression, expression))
    with pytest.raises(LimitError):
        expression_type(expression, resolve)
    with pytest.raises(LimitError):
        paths_in(expression)


def test_every_path_of_an_expression_is_found() -> None:
    found = paths_in(parse_expression("a.b in (1,) and not (c is None or lower(d) == e + f)"))
    assert found == {("a", "b"), ("c",), ("d",), ("e",), ("f",)}


def test_converting_makes_values_of_the_right_class() -> None:
    expression: Any = coerce_literals(parse_expression('day > "2013-06-01"'), resolve)
    assert expression.right.value == datetime.date(2013, 6, 1)
    expression = coerce_literals(parse_expression("price == 1.10"), resolve)
    assert expression.right.value == D("1.1")
