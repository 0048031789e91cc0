"""Holds what expressions mean: NULLs, numbers, moments, text, functions, and what is refused."""

from __future__ import annotations

import datetime
import decimal
import math
import typing
import uuid
from typing import Any

import pytest

from ormdb.errors import QueryError, ValueRangeError, ValueTypeError
from ormdb.ir.evaluate import Resolved, evaluate, fit_result
from ormdb.ir.expr import And, Compare, FieldRef, Literal, Or, Param, Quantifier, Related
from ormdb.ir.value import DecimalType, EnumType, FloatType, IntType, TextType
from ormdb.model.expression_text import parse_expression

D = decimal.Decimal
UTC = datetime.UTC
ROW: dict[str, Any] = {
    "n": 7,
    "x": 2.5,
    "big": 2**63 - 1,
    "price": D("1.50"),
    "name": "Élan",
    "nothing": None,
    "inf": math.inf,
    "day": datetime.date(2013, 1, 31),
    "at": datetime.datetime(2013, 1, 1, 5, tzinfo=UTC),
    "length": datetime.timedelta(hours=1),
    "raw": b"ab",
    "tags": ("a", "b"),
    "ok": True,
    "data": {"a": 1},
    "origin": {"name": "Kennedy", "city": {"name": "New York"}, "alt": None},
    "plane": None,
}


class StillClock:
    def wall_us(self) -> int:
        return 1_700_000_000_123_456

    def monotonic_s(self) -> float:
        return 0.0

    def random_bytes(self, count: int) -> bytes:
        return b"\xff" * count


def value_of(text: str) -> Any:
    return evaluate(parse_expression(text), ROW)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("True and nothing", None),
        ("False and nothing", False),
        ("True or nothing", True),
        ("False or nothing", None),
        ("not nothing", None),
        ("and_()", True),
        ("or_()", False),
        ("nothing == nothing", None),
        ("nothing is None", True),
        ("n is not None", True),
        ("n + nothing", None),
        ("lower(nothing)", None),
        ("concat(name, nothing)", None),
        ("coalesce(nothing, 5)", 5),
        ("coalesce(nothing, nothing)", None),
    ],
)
def test_null_spreads_as_in_sql(text: str, expected: Any) -> None:
    assert value_of(text) is expected or value_of(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("n in (1, 7)", True),
        ("n in (1, None, 7)", True),
        ("n in (1, None)", None),
        ("n in (1, 2)", False),
        ("n not in (1, None)", None),
        ("nothing in (1,)", None),
        ("nothing in ()", False),
        ("n in ()", False),
        ("n not in ()", True),
        ("price in (decimal('1.5'), decimal('2'))", True),
    ],
)
def test_in_a_list_is_three_valued_and_nothing_is_in_an_empty_one(text: str, expected: Any) -> None:
    assert value_of(text) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("big < 9223372036854775808.0", True),  # exact: as floats they would be equal
        ("n == 7.0", True),
        ("x > 2", True),
        ("price == decimal('1.5')", True),
        ("price < 2", True),
        ("name > 'Z'", True),  # by code point
        ("name == 'élan'", False),
        ("raw < b'b'", True),
        ("day < date('2013-02-01')", True),
        ("at >= timestamp('2013-01-01T06:00:00+01:00')", True),
        ("length == duration('PT60M')", True),
        ("ok == True", True),
        ("ok > False", True),
        ("0 < n <= 7 < 8", True),
    ],
)
def test_comparisons_are_exact_and_by_value(text: str, expected: bool) -> None:
    assert value_of(text) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("n + 1", 8),
        ("n / 2", 3.5),
        ("n % 3", 1),
        ("-7 % 3", 2),
        ("7 % -3", -2),
        ("-7.5 % 2.0", 0.5),
        ("n / 0", None),
        ("n % 0", None),
        ("x / 0", None),
        ("x % 0.0", None),
        ("price / 0", None),
        ("inf - inf", None),
        ("inf * 0", None),
        ("0 - inf", -math.inf),
        ("x * 1e308 * 10", math.inf),
        ("n * x", 17.5),
        ("price + 1", D("2.50")),
        ("price * price", D("2.2500")),
        ("price % 1", D("0.50")),
        ("decimal('-1.5') % 1", D("0.5")),
        ("decimal('1') / 3", D("0." + "3" * 38)),
        ("at - timestamp('2013-01-01T00:00:00Z')", datetime.timedelta(hours=5)),
        ("at + length", datetime.datetime(2013, 1, 1, 6, tzinfo=UTC)),
        ("length + at", datetime.datetime(2013, 1, 1, 6, tzinfo=UTC)),
        ("at - length", datetime.datetime(2013, 1, 1, 4, tzinfo=UTC)),
        ("length * 2", datetime.timedelta(hours=2)),
        ("3 * length", datetime.timedelta(hours=3)),
        ("length - duration('PT90M')", datetime.timedelta(minutes=-30)),
        ("day - date('2013-01-01')", datetime.timedelta(days=30)),
    ],
)
def test_arithmetic_follows_its_rules(text: str, expected: Any) -> None:
    found = value_of(text)
    assert found == expected
    assert type(found) is type(expected)


def test_a_float_result_has_no_negative_zero() -> None:
    assert math.copysign(1.0, value_of("0.0 * -1.0")) == 1.0


@pytest.mark.parametrize(
    "text",
    [
        "big + 1",
        "0 - big - 2",
        "big * big",
        "abs(-9223372036854775808)",
        "at + duration('P3000000D')",
        "duration('P100000000D') + duration('P100000000D')",
        "length * 9000000000000",
        "decimal('1e999999') * decimal('1e999999')",
        "decimal('1e200') % decimal('1e-200')",
    ],
)
def test_a_result_out_of_range_is_an_error_of_its_own(text: str) -> None:
    with pytest.raises(ValueRangeError, match="out of range"):
        value_of(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("lower(name)", "élan"),
        ("upper(name)", "ÉLAN"),
        ("trim(' a\t')", "a"),
        ("length(name)", 4),
        ("length(raw)", 2),
        ("length(tags)", 2),
        ("abs(-3)", 3),
        ("abs(-2.5)", 2.5),
        ("abs(decimal('-1'))", D(1)),
        ("abs(duration('-PT1H'))", datetime.timedelta(hours=1)),
        ("concat(name, '-', name)", "Élan-Élan"),
        ("year(day)", 2013),
        ("year(at)", 2013),
        ("coalesce(nothing, n, 8)", 7),
    ],
)
def test_every_function_gives_its_value(text: str, expected: Any) -> None:
    assert value_of(text) == expected


def test_a_path_follows_to_one_relations_and_ends_in_null_where_one_leads_nowhere() -> None:
    assert value_of("origin.name") == "Kennedy"
    assert value_of("origin.city.name") == "New York"
    assert value_of("origin.alt") is None
    assert value_of("plane.seats") is None
    assert value_of("plane.seats is None") is True


def test_a_path_that_the_row_does_not_have_is_refused() -> None:
    for text in ("colour == 1", "origin.colour == 1", "n.colour == 1"):
        with pytest.raises(QueryError, match="has no value for"):
            value_of(text)


def test_a_row_may_be_a_function_from_paths_to_values() -> None:
    seen: list[tuple[str, ...]] = []

    def find(path: tuple[str, ...]) -> Any:
        seen.append(path)
        return 5

    assert evaluate(parse_expression("a.b + c"), find) == 10
    assert seen == [("a", "b"), ("c",)]


def test_and_stops_at_the_first_false_item() -> None:
    assert value_of("n > 8 and big + 1 > 0") is False
    assert value_of("n < 8 or big + 1 > 0") is True


@pytest.mark.parametrize(
    "text",
    [
        "name and True",
        "n == 'a'",
        "ok == 1",
        "price == 1.5",
        "price + x",
        "data == 1",
        "name + name",
        "ok + 1",
        "length * x",
        "lower(n)",
        "year(n)",
        "length(n)",
        "day < at",
    ],
)
def test_values_that_do_not_go_together_are_refused(text: str) -> None:
    with pytest.raises(QueryError):
        value_of(text)


def test_a_parameter_has_the_value_given_for_it() -> None:
    both = And(items=(Param(index=1), Or(items=(Param(index=0),))))
    assert evaluate(both, {}, parameters=(True, True)) is True
    with pytest.raises(QueryError, match="parameter 1 has no value"):
        evaluate(both, {}, parameters=(True,))
    with pytest.raises(QueryError, match="parameter -1"):
        evaluate(Param(index=-1), {}, parameters=(True,))


def test_now_and_uuid7_come_from_the_clock_that_is_passed() -> None:
    now = evaluate(parse_expression("now()"), {}, clock=StillClock())
    assert now == datetime.datetime(2023, 11, 14, 22, 13, 20, 123_456, tzinfo=UTC)
    made = evaluate(parse_expression("uuid7()"), {}, clock=StillClock())
    assert isinstance(made, uuid.UUID)
    assert (made.version, made.variant) == (7, uuid.RFC_4122)
    assert made.int >> 80 == 1_700_000_000_123
    with pytest.raises(QueryError, match="has no clock here"):
        evaluate(parse_expression("now()"), {})


def test_enums_are_ordered_by_their_variants_when_types_are_known() -> None:
    kind = EnumType(variants=("small", "large", "huge"))

    def resolve(path: tuple[str, ...]) -> Resolved:
        return Resolved(name=path[0], type=kind, optional=False)

    row = {"size": "small", "other": "huge"}
    for text in ("size < 'large'", "'large' > size", "size < other", "size <= 'small'"):
        assert evaluate(parse_expression(text), row, resolve=resolve) is True
    assert evaluate(parse_expression("size < 'large'"), row) is False  # as texts


def test_the_result_of_an_expression_is_fitted_to_its_field() -> None:
    money = DecimalType(precision=6, scale=2)
    assert str(fit_result(money, D("0.125"), "f")) == "0.12"  # half-even
    assert str(fit_result(money, D(1) / 3, "f")) == "0.33"
    assert str(fit_result(money, 5, "f")) == "5.00"
    assert fit_result(FloatType(), 5, "f") == 5.0
    assert fit_result(IntType(), None, "f") is None
    with pytest.raises(ValueRangeError):
        fit_result(money, D("12345.6"), "f")
    with pytest.raises(ValueRangeError):
        fit_result(money, D("1e900"), "f")
    with pytest.raises(ValueTypeError):
        fit_result(TextType(), 5, "f")


def test_a_nan_from_outside_compares_as_python_does_and_is_not_invented() -> None:
    nan = Literal(value=math.nan)
    found = evaluate(Compare(op="==", left=nan, right=FieldRef(path=("x",))), ROW)
    assert found is False


def test_related_rows_are_asked_one_by_one_and_null_is_not_true() -> None:
    late = Compare(op=">", left=FieldRef(path=("delay",)), right=Literal(value=60))
    rows: dict[str, list[int | None]] = {"some": [90, None], "none": [], "all": [90, 70]}
    answers = {
        kind: [
            evaluate(
                Related(kind=kind, path=("flights",), filter=late),
                {"flights": [{"delay": delay} for delay in delays]},
            )
            for delays in rows.values()
        ]
        for kind in typing.get_args(Quantifier)
    }
    assert answers == {
        "any": [True, False, True],
        "all": [False, True, True],
        "none": [False, True, False],
    }
    assert evaluate(Related(kind="any", path=("plane",)), {"plane": None}) is False
    assert evaluate(Related(kind="any", path=("plane",)), {"plane": {"seats": 1}}) is True
