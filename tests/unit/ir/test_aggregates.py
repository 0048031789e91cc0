"""Holds what aggregates give for values of every type, and the sentence of every refusal."""

from __future__ import annotations

import datetime
import decimal
import itertools
import math
import random
from typing import Any

import pytest

from ormdb import limits
from ormdb.errors import QueryError, ValueRangeError
from ormdb.ir.aggregates import fold
from ormdb.ir.canonical import decode_node, encode_node
from ormdb.ir.evaluate import Resolved, coerce_literals, evaluate, expression_type
from ormdb.ir.expr import Aggregate, AggregateFunction, Compare, FieldRef, Literal
from ormdb.ir.value import (
    BoolType,
    DateType,
    DecimalType,
    DurationType,
    EnumType,
    FloatType,
    IntType,
    JsonType,
    ListType,
    TextType,
    Type,
)
from ormdb.model.expression_text import format_expression, parse_expression
from ormdb.model.spelling import spell_expression

TYPES: dict[str, Type] = {
    "n": IntType(),
    "weight": FloatType(),
    "price": DecimalType(precision=6, scale=2),
    "took": DurationType(),
    "name": TextType(),
    "late": BoolType(),
    "day": DateType(),
    "state": EnumType(variants=("new", "old", "lost")),
    "tags": ListType(item=TextType()),
    "data": JsonType(),
}
D = decimal.Decimal
SECOND = datetime.timedelta(seconds=1)


def resolve(path: tuple[str, ...]) -> Resolved:
    (name,) = path
    return Resolved(name=name, type=TYPES[name], optional=False)


def kind_of(text: str) -> tuple[Type, bool]:
    return expression_type(parse_expression(text), resolve, of_group=True)


def test_null_is_no_value_and_nothing_has_no_aggregate_but_a_count() -> None:
    values = [12, None, 3, 12]
    assert fold("count", values, None) == 4
    assert fold("count", values, IntType()) == 3
    assert fold("count", values, IntType(), distinct=True) == 2
    assert [fold(name, values, IntType()) for name in ("sum", "avg", "min", "max")] == [
        27,
        9.0,
        3,
        12,
    ]
    assert fold("sum", values, IntType(), distinct=True) == 15
    for nothing in ([], [None, None]):
        assert fold("count", nothing, IntType()) == 0
        for name in ("sum", "avg", "min", "max"):
            assert fold(name, nothing, IntType()) is None


@pytest.mark.parametrize(
    ("kind", "values", "total", "mean"),
    [
        (IntType(), [1, 2], 3, 1.5),
        (FloatType(), [0.1] * 10, 1.0, 0.1),
        (FloatType(), [1e308, 1e308, -1e308], 1e308, 1e308 / 3),
        (FloatType(), [1e308, 1e308], math.inf, math.inf),
        (FloatType(), [-1e308, -1e308], -math.inf, -math.inf),
        (FloatType(), [math.inf, 5.0], math.inf, math.inf),
        (FloatType(), [math.inf, -math.inf], None, None),
        (DecimalType(precision=6, scale=2), [D("0.10"), D("0.20"), D("0.20")], D("0.50"), None),
        (DurationType(), [SECOND, 2 * SECOND], 3 * SECOND, 1.5 * SECOND),
    ],
)
def test_sums_and_means_are_of_the_type_of_the_values(
    kind: Type, values: list[Any], total: Any, mean: Any
) -> None:
    assert fold("sum", values, kind) == total
    if not isinstance(kind, DecimalType):
        assert fold("avg", values, kind) == mean


def test_a_mean_of_decimals_has_six_more_digits_where_there_is_room() -> None:
    kind = DecimalType(precision=6, scale=2)
    assert repr(fold("avg", [D("1.00"), D("1.00"), D("0.00")], kind)) == repr(D("0.66666667"))
    assert repr(fold("avg", [D("-0.01"), D("0.01")], kind)) == repr(D("0E-8"))
    large = [D(10**37), D(10**37), D(10**37 + 1)]
    assert fold("avg", large, DecimalType(precision=38, scale=0)) == D(10**37)


def test_a_sum_of_ints_beyond_64_bits_is_refused_and_their_mean_is_not() -> None:
    with pytest.raises(ValueRangeError, match="beyond 64 bits"):
        fold("sum", [limits.INT_MAX, 1], IntType())
    assert fold("sum", [limits.INT_MAX, 1, -1], IntType()) == limits.INT_MAX
    assert fold("avg", [limits.INT_MAX, limits.INT_MAX], IntType()) == float(limits.INT_MAX)
    with pytest.raises(ValueRangeError, match="durations"):
        fold("sum", [datetime.timedelta(days=100_000_000)] * 2, DurationType())


def test_the_least_of_an_enum_is_that_declared_first() -> None:
    kind = TYPES["state"]
    assert fold("min", ["old", "new", "lost"], kind) == "new"
    assert fold("max", ["old", "new", "lost"], kind) == "lost"


def test_a_fold_does_not_depend_on_the_order_of_its_values() -> None:
    chance = random.Random(7)
    floats = [chance.uniform(-1, 1) * 10 ** chance.randint(-20, 20) for _ in range(200)]
    decimals = [
        D(chance.randint(-(10**38), 10**38)).scaleb(-chance.randint(0, 38)) for _ in "abcde"
    ]
    for kind, values in ((FloatType(), floats), (DecimalType(precision=38, scale=38), decimals)):
        for name in ("sum", "avg", "min", "max"):
            function: AggregateFunction = name
            answers = set[Any]()
            for _ in range(10):
                chance.shuffle(values)
                answers.add(fold(function, values, kind))
            assert len(answers) == 1, (name, kind)


@pytest.mark.parametrize(
    ("text", "kind", "nullable"),
    [
        ("count()", IntType(), False),
        ("count(data)", IntType(), False),
        ("count(name, distinct=True)", IntType(), False),
        ("sum(n)", IntType(), True),
        ("avg(n)", FloatType(), True),
        ("sum(weight * 2)", FloatType(), True),
        ("sum(price)", DecimalType(precision=38, scale=2), True),
        ("avg(price)", DecimalType(precision=38, scale=8), True),
        ("avg(took)", DurationType(), True),
        ("min(state)", TYPES["state"], True),
        ("max(late)", BoolType(), True),
        ("avg(n, where=name == 'x') > 3", BoolType(), True),
        ("sum(n) / count()", FloatType(), True),
    ],
)
def test_the_type_of_a_result_follows_from_that_of_the_values(
    text: str, kind: Type, nullable: bool
) -> None:
    assert kind_of(text) == (kind, nullable)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("sum()", r"sum\(\) needs something to fold"),
        ("count(distinct=True)", "needs a value"),
        ("sum(name)", "takes an int, a float, a decimal or a duration; name is a text"),
        ("min(tags)", "tags is a list and cannot be compared"),
        ("count(data, distinct=True)", "data is JSON and cannot be compared"),
        ("count(5)", "not the int 5; name a field"),
        ("sum(sum(n))", "stands where there is one row"),
        ("count(where=count() > 1)", "stands where there is one row"),
        ("count(where=n)", "n is an int, not a condition"),
        ("departures.count()", "departures leads to other rows"),
    ],
)
def test_what_cannot_be_folded_is_refused_with_a_remedy(text: str, words: str) -> None:
    with pytest.raises(QueryError, match=words):
        kind_of(text)


def test_an_aggregate_has_no_place_where_there_is_one_row() -> None:
    expr = parse_expression("count() > 3")
    with pytest.raises(QueryError, match="columns, the having or the order of a table"):
        coerce_literals(expr, resolve, expected=BoolType())
    with pytest.raises(QueryError, match="stands where there is one row"):
        evaluate(expr, {})


def test_literals_inside_an_aggregate_take_the_form_of_what_they_stand_beside() -> None:
    found = coerce_literals(
        parse_expression('count(where=day > "2013-06-01")'), resolve, of_group=True
    )
    assert isinstance(found, Aggregate)
    assert isinstance(found.filter, Compare)
    assert found.filter.right == Literal(value=datetime.date(2013, 6, 1))


@pytest.mark.parametrize(
    "text",
    [
        "count()",
        "sum(n + 1, distinct=True, where=n > 0) > 3",
        "departures.count(where=delay > 60)",
        'field("class", "a b").avg(n)',
        "origin.departures.min(distance)",
    ],
)
def test_an_aggregate_comes_back_from_its_text_and_its_bytes(text: str) -> None:
    expr = parse_expression(text)
    assert format_expression(expr) == text
    assert decode_node(encode_node(expr)) == expr


@pytest.mark.parametrize(
    "text", ["sum(n, n)", "count(over=n)", "sum(n, distinct=1)", "sum(n, **n)", "(n + 1).count()"]
)
def test_a_text_that_is_no_aggregate_is_refused(text: str) -> None:
    with pytest.raises(QueryError, match="column"):
        parse_expression(text)


def test_an_aggregate_is_spelled_on_one_line() -> None:
    for distinct, operand in itertools.product((False, True), (None, FieldRef(path=("n",)))):
        spelled = spell_expression(
            Aggregate(function="count", operand=operand, distinct=distinct, path=("departures",))
        )
        assert spelled.startswith("departures.count(")
        assert ("distinct n" in spelled) == (distinct and operand is not None)
