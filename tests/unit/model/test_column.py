"""Columns make predicates, orders and assignments, and refuse what can never be meant."""

from __future__ import annotations

import decimal
import math
from typing import Any

import pytest

from ormdb import limits
from ormdb.errors import LimitError, QueryError, UsageError, ValueRangeError, ValueTypeError
from ormdb.ir.expr import And, Compare, FieldRef, InList, IsNull, Literal, Not, Or
from ormdb.ir.graph import OrderSpec
from tests.unit.model.sample import FLIGHT, Airport, Engine, Flight, Place, Plane

DELAY = FieldRef(path=("dep_delay",))
LATE = Compare(op=">", left=DELAY, right=Literal(value=120))


def test_comparisons_are_expressions_over_the_field() -> None:
    assert (Flight.dep_delay > 120).expression == LATE
    assert (Flight.dep_delay != 1).expression == Compare(
        op="!=", left=DELAY, right=Literal(value=1)
    )
    assert (Flight.dep_delay == Flight.id).expression == Compare(
        op="==", left=DELAY, right=FieldRef(path=("id",))
    )
    assert (Flight.dep_delay <= 1).expression != (Flight.dep_delay < 1).expression


def test_lists_ranges_and_nulls_are_expressions_too() -> None:
    among = InList(operand=DELAY, items=Literal(value=(1, 2)))
    assert Flight.dep_delay.in_([1, 2]).expression == among
    assert Flight.dep_delay.in_(iter([1, 2])).expression == among
    assert Flight.dep_delay.not_in([1, 2]).expression == Not(operand=among)
    assert Flight.dep_delay.is_null().expression == IsNull(operand=DELAY)
    assert Flight.dep_delay.is_not_null().expression == Not(operand=IsNull(operand=DELAY))
    assert Flight.dep_delay.between(1, 2).expression == And(
        items=(
            Compare(op=">=", left=DELAY, right=Literal(value=1)),
            Compare(op="<=", left=DELAY, right=Literal(value=2)),
        )
    )


def test_joined_predicates_nest_no_deeper_than_they_must() -> None:
    late, early = Flight.dep_delay > 120, Flight.dep_delay < 0
    one = (late & early) & late
    assert one.expression == And(items=(LATE, early.expression, LATE))
    assert (late | early).expression == Or(items=(LATE, early.expression))
    assert (~late).expression == Not(operand=LATE)
    assert late == (Flight.dep_delay > 120)
    assert len({late, Flight.dep_delay > 120, early}) == 2


def test_a_predicate_has_no_truth_value() -> None:
    with pytest.raises(UsageError, match=r"join predicates with & \| ~"):
        _ = Flight.id > 1 and Flight.id < 5
    with pytest.raises(UsageError, match="between"):
        _ = 1 < Flight.id < 5
    with pytest.raises(UsageError, match="no truth value"):
        _ = Flight.id in [1, 2]
    with pytest.raises(UsageError, match=r"the column Flight\.id has no truth value"):
        bool(Flight.id)


@pytest.mark.parametrize(
    ("make", "instead"),
    [
        (lambda: FLIGHT.dep_delay == None, "is_null"),  # noqa: E711
        (lambda: FLIGHT.dep_delay != None, "is_not_null"),  # noqa: E711
        (lambda: FLIGHT.dep_delay > None, "is_null"),
        (lambda: FLIGHT.dep_delay.in_([1, None]), "is_null"),
    ],
)
def test_none_is_refused_in_favour_of_is_null(make: Any, instead: str) -> None:
    with pytest.raises(QueryError) as caught:
        make()
    assert f"write Flight.dep_delay.{instead}()" in caught.value.message


@pytest.mark.parametrize(
    ("column", "value", "error", "words"),
    [
        (Flight.id, "1", ValueTypeError, "text '1' is no number"),
        (Flight.id, True, ValueTypeError, "bool True is no number"),
        (Flight.id, math.nan, QueryError, "nothing compares with NaN"),
        (Airport.name, 1, ValueTypeError, "int 1 is not text"),
        (Plane.engine, "steam", ValueRangeError, "is not among the variants"),
        (Airport.place, Place(lat=1.0), QueryError, "ask a list with has()"),
        (Airport.name, Flight.id, QueryError, "is about Flight, not Airport"),
        (Flight.id, Flight.id > 1, QueryError, "cannot be compared with id > 1"),
    ],
)
def test_a_value_of_another_kind_is_refused(
    column: Any, value: object, error: type[Exception], words: str
) -> None:
    with pytest.raises(error) as caught:
        _ = column == value
    assert words in str(caught.value)


def test_numbers_of_every_kind_compare() -> None:
    column: Any = Flight.id
    for value in (1.5, decimal.Decimal("1.5"), 2**70, math.inf):
        assert (column < value).expression.right == Literal(value=value)


def test_an_enum_member_compares_as_its_text() -> None:
    assert (Plane.engine == Engine.JET).expression == Compare(
        op="==", left=FieldRef(path=("engine",)), right=Literal(value="jet")
    )


def test_in_refuses_letters_and_too_many_values() -> None:
    with pytest.raises(QueryError, match="would look for letters; give a list"):
        Airport.name.in_("JFK")
    with pytest.raises(LimitError, match="at most per query"):
        Flight.id.in_(range(limits.IN_LIST_ITEMS_MAX + 1))


def test_orders_say_direction_and_place_of_null() -> None:
    assert Flight.id.asc().spec == OrderSpec(key=FieldRef(path=("id",)))
    assert Flight.id.desc(nulls_last=False).spec == OrderSpec(
        key=FieldRef(path=("id",)), descending=True, nulls_last=False
    )
    assert repr(Flight.id.desc(nulls_last=True)) == "id desc nulls last"


def test_assignments_hold_values_as_the_schema_has_them() -> None:
    assert Plane.engine.to(Engine.PROP).changes == (("engine", "prop"),)
    assert Airport.place.to(Place(lat=1.5)).changes == (("place", {"lat": 1.5, "house no": None}),)
    assert Flight.dep_delay.to(None).changes == (("dep_delay", None),)


def test_assignments_refuse_wrong_values_at_once() -> None:
    wrong: Any = "x"
    with pytest.raises(ValueTypeError, match=r"Flight\.dep_delay: text 'x' is not an int"):
        Flight.dep_delay.to(wrong)
    nothing: Any = None
    with pytest.raises(ValueTypeError, match="is required; give it a value instead of None"):
        Airport.name.to(nothing)
    with pytest.raises(UsageError, match="is a field of another row"):
        Flight.origin[Airport.name].to("x")


def test_columns_and_predicates_read_as_they_were_written() -> None:
    assert repr(Flight.origin[Airport.name]) == "Flight.origin.name"
    assert repr((Flight.id > 1) | ~(Flight.id == 2)) == "id > 1 or not id == 2"
