"""Holds which parameters a query has, what their values may be, and what the bound query is."""

from __future__ import annotations

import datetime
import decimal
import enum

import pytest

from ormdb import limits
from ormdb.errors import LimitError, ParameterError, ValueRangeError, ValueTypeError
from ormdb.ir.bind import Parameter, bind_query, check_values, parameters_of, value_checker
from ormdb.ir.canonical import decode_node, encode_node
from ormdb.ir.expr import And, Call, Compare, FieldRef, InList, Literal, NamedParam, Not
from ormdb.ir.graph import GraphQuery, Include, Page
from ormdb.ir.value import (
    BoolType,
    DateType,
    DecimalType,
    EnumType,
    FloatType,
    IntType,
    ListType,
    TextType,
    TimestampType,
    Type,
    Value,
)

DELAY = FieldRef(path=("delay",))
THRESHOLD = NamedParam(name="threshold", type=IntType())
COUNT = NamedParam(name="count", type=IntType())
CODES = NamedParam(name="codes", type=ListType(item=TextType()))
START = NamedParam(name="start", type=TextType())
CURSOR = NamedParam(name="cursor", type=TextType())
QUERY = GraphQuery(
    entity="Flight",
    filter=And(
        items=(
            Compare(op=">", left=DELAY, right=THRESHOLD),
            Not(operand=InList(operand=FieldRef(path=("code",)), items=CODES)),
        )
    ),
    page=Page(limit=COUNT, offset=COUNT, after=CURSOR),
    includes=(
        Include(
            relation="plane",
            filter=Call(name="starts_with", arguments=(FieldRef(path=("tail",)), START)),
            limit=COUNT,
        ),
    ),
)
VALUES: dict[str, Value] = {
    "threshold": 60,
    "codes": ("JFK",),
    "count": 5,
    "cursor": None,
    "start": "N1",
}


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


def checked(kind: Type, value: object, *, may_be_none: bool = False) -> Value:
    parameter = Parameter("p", kind, may_be_none, is_cursor=may_be_none)
    return value_checker(parameter)(value)


def test_a_query_tells_its_parameters_and_which_of_them_may_be_none() -> None:
    found = parameters_of(QUERY)
    assert list(found) == ["threshold", "codes", "count", "cursor", "start"]
    assert [name for name, one in found.items() if one.may_be_none] == ["cursor"]


def test_a_bound_query_is_the_query_with_its_values_in_place() -> None:
    bound = bind_query(QUERY, VALUES)
    assert parameters_of(bound) == {}
    assert bound.page == Page(limit=5, offset=5)
    assert bound.includes[0].limit == 5
    assert bound.filter == And(
        items=(
            Compare(op=">", left=DELAY, right=Literal(value=60)),
            Not(operand=InList(operand=FieldRef(path=("code",)), items=Literal(value=("JFK",)))),
        )
    )


def test_a_query_with_parameters_survives_its_bytes() -> None:
    assert decode_node(encode_node(QUERY)) == QUERY


def test_one_name_has_one_type() -> None:
    other = Compare(op="==", left=DELAY, right=NamedParam(name="count", type=TextType()))
    with pytest.raises(ParameterError, match="'count' of different types"):
        parameters_of(GraphQuery(entity="Flight", filter=other, page=Page(limit=COUNT)))


def test_a_cursor_that_is_compared_as_well_is_never_none() -> None:
    filtered = Compare(op="==", left=DELAY, right=CURSOR)
    found = parameters_of(GraphQuery(entity="F", filter=filtered, page=Page(after=CURSOR)))
    assert not found["cursor"].may_be_none


def test_missing_and_unknown_values_are_told_by_name() -> None:
    with pytest.raises(ParameterError, match="no value for 'start'"):
        check_values(parameters_of(QUERY), {k: v for k, v in VALUES.items() if k != "start"})
    with pytest.raises(ParameterError, match="no parameter 'extra'"):
        check_values(parameters_of(QUERY), {**VALUES, "extra": 1})


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (IntType(), "5"),
        (IntType(), True),
        (IntType(), 2.5),
        (FloatType(), "2.5"),
        (TextType(), 5),
        (BoolType(), 1),
        (DateType(), "2013-01-01"),
        (TimestampType(), datetime.datetime(2013, 1, 1)),  # noqa: DTZ001  # without a time zone
        (DecimalType(precision=38, scale=0), 2.5),
        (DecimalType(precision=38, scale=0), decimal.Decimal("NaN")),
        (ListType(item=IntType()), "123"),
        (ListType(item=IntType()), 5),
        (ListType(item=IntType()), ["1"]),
    ],
)
def test_a_value_of_another_type_is_refused(kind: Type, value: object) -> None:
    with pytest.raises(ValueTypeError, match="parameter 'p'"):
        checked(kind, value)


def test_none_is_refused_since_no_comparison_with_null_is_true() -> None:
    for kind in (IntType(), TextType(), DecimalType(precision=38, scale=0)):
        with pytest.raises(ValueTypeError, match=r"never true; ask is_null\(\)"):
            checked(kind, None)
    with pytest.raises(ValueTypeError, match="never true"):
        checked(ListType(item=IntType()), [1, None])
    assert checked(TextType(), None, may_be_none=True) is None


def test_values_take_their_canonical_form() -> None:
    assert checked(FloatType(), 2) == 2.0
    assert checked(EnumType(variants=("red", "blue")), Color.BLUE) == "blue"
    assert checked(ListType(item=IntType()), {3}) == (3,)
    assert checked(DecimalType(precision=38, scale=0), decimal.Decimal("2.55")) == decimal.Decimal(
        "2.55"
    )
    with pytest.raises(ValueRangeError):
        checked(IntType(), 2**63)
    with pytest.raises(ValueRangeError):
        checked(EnumType(variants=("red", "blue")), "green")


def test_a_list_is_as_long_as_one_in_a_query_may_be() -> None:
    with pytest.raises(LimitError, match="100001 values"):
        checked(ListType(item=IntType()), range(limits.IN_LIST_ITEMS_MAX + 1))
