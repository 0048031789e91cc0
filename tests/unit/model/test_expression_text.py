"""Holds the text form of expressions: what each text means, and the sentence of each refusal."""

from __future__ import annotations

import datetime
import decimal
import math
import uuid
from typing import Any

import pytest

from ormdb import limits
from ormdb.errors import ExpressionError, ValueRangeError
from ormdb.ir.expr import (
    And,
    Arithmetic,
    Call,
    Compare,
    Expr,
    FieldRef,
    InList,
    IsNull,
    Literal,
    Not,
    Or,
    Param,
)
from ormdb.model.expression_text import (
    format_expression,
    format_literal,
    parse_expression,
    parse_literal,
)

A, B, C = (FieldRef(path=(name,)) for name in "abc")
ONE = Literal(value=1)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a", A),
        ("origin.city.name", FieldRef(path=("origin", "city", "name"))),
        ('field("class")', FieldRef(path=("class",))),
        ('field("a b", "c").d', FieldRef(path=("a b", "c", "d"))),
        ("field", FieldRef(path=("field",))),
        ("a == 1", Compare(op="==", left=A, right=ONE)),
        ("1 < a <= b", And(items=(Compare(op="<", left=ONE, right=A),
                                  Compare(op="<=", left=A, right=B)))),
        ("a in (1, 2)", InList(operand=A, items=Literal(value=(1, 2)))),
        ("a in [1]", InList(operand=A, items=Literal(value=(1,)))),
        ("a not in ()", Not(operand=InList(operand=A, items=Literal(value=())))),
        ("a is None", IsNull(operand=A)),
        ("a is not None", Not(operand=IsNull(operand=A))),
        ("a and b and c", And(items=(A, B, C))),
        ("a and (b and c)", And(items=(A, And(items=(B, C))))),
        ("a or b and not c", Or(items=(A, And(items=(B, Not(operand=C)))))),
        ("and_(a)", And(items=(A,))),
        ("or_()", Or(items=())),
        ("a - b - c", Arithmetic(op="-", left=Arithmetic(op="-", left=A, right=B), right=C)),
        ("a % 1", Arithmetic(op="%", left=A, right=ONE)),
        ("-a", Arithmetic(op="-", left=Literal(value=0), right=A)),
        ("- - 1", Arithmetic(op="-", left=Literal(value=0), right=Literal(value=-1))),
        ("lower(a)", Call(name="lower", arguments=(A,))),
        ("now()", Call(name="now", arguments=())),
        ("(a\n  == 1)", Compare(op="==", left=A, right=ONE)),
        ("  a  # all of it", A),
    ],
)  # fmt: skip
def test_a_text_means_its_expression(text: str, expected: Expr) -> None:
    assert parse_expression(text) == expected


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("None", None),
        ("True", True),
        ("-5", -5),
        ("+5", 5),
        ("0x10", 16),
        ("1_000", 1000),
        ("-9223372036854775808", limits.INT_MIN),
        ("1.5", 1.5),
        ("1e999", math.inf),
        ("-1e999", -math.inf),
        ("'a' \"b\"", "ab"),
        ("b'\\xff'", b"\xff"),
        ("[1, (2,), {'a': None}]", [1, (2,), {"a": None}]),
        ('date("2013-01-01")', datetime.date(2013, 1, 1)),
        ('time("05:30")', datetime.time(5, 30)),
        ('timestamp("2013-01-01T00:00:00Z")', datetime.datetime(2013, 1, 1, tzinfo=datetime.UTC)),
        ('duration("PT5S")', datetime.timedelta(seconds=5)),
        ("duration(-1.5)", datetime.timedelta(seconds=-1.5)),
        ('uuid("00000000-0000-0000-0000-000000000001")', uuid.UUID(int=1)),
        ('decimal("1.50")', decimal.Decimal("1.50")),
    ],
)
def test_a_text_means_its_literal(text: str, value: Any) -> None:
    for found in (parse_literal(text), getattr(parse_expression(text), "value", "none")):
        assert found == value
        assert type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "column", "sentence"),
    [
        ("", None, "the expression is empty; write a condition such as"),
        ("a = 1", 3, "`=` is not part of the expression language; use =="),
        ("class == 1", 1, '`class` is a word of Python; if it is a name, write field("class")'),
        ("a.class == 1", 3, '`class` is a word of Python; if it is a name, write field("class")'),
        ("a ==", 5, "the expression ends where more has to come; complete it"),
        ("é and", 6, "the expression ends where more has to come"),
        ("(a", 1, "'(' was never closed"),
        ("a b", 3, "invalid syntax"),
        ("x if a else b", 1, "`if … else` is not part of the expression language; use `and`"),
        ("lambda: a", 1, "`lambda` is not part of the expression language"),
        ("a['b']", 1, "a subscript is not part of the expression language; write a path as"),
        ("f'{a}'", 1, "an f-string is not part of the expression language; use concat()"),
        ("a & b", 1, "`&` is not part of the expression language; use `and`"),
        ("~a", 1, "`~` is not part of the expression language; use `not`"),
        ("a ** 2", 1, "`**` is not part of the expression language; multiply instead"),
        ("[x for x in a]", 1, "a comprehension is not part of the expression language"),
        ("+a", 1, "`+` before a field says nothing; leave it out"),
        ("a == 1j", 6, "complex 1j is no constant"),
        ("a == ...", 6, "is no constant"),
        ("a == 9223372036854775808", 6, 'a number does not fit 64 bits; write decimal("…")'),
        ("a is 5", 6, "`is` compares with None only; use == or !="),
        ("a in b", 6, "`in` needs a list of values at its right; write the values in brackets"),
        ("a in (b, 1)", 7, "a list holds constants only"),
        ("a < b in (1,)", 1, "`in` and `is` stand in no chain; join them with `and`"),
        ("lowr(a)", 1, "there is no function lowr(); did you mean lower()?"),
        ("exec('x')", 1, "there is no function exec(); use lower, upper"),
        ("param(0)", 1, "there is no function param()"),
        ("a.lower()", 1, "only functions can be called; use lower"),
        ("lower(a).b", 1, "a path begins with a field or relation"),
        ("lower(a=1)", 1, "lower() takes no named arguments"),
        ("lower(*a)", 7, "`*` is not part of the expression language"),
        ("date(a)", 1, 'date() takes one constant; as in date("2013-01-01")'),
        ("date(5)", 1, "date() does not take int 5; as in"),
        ("date('2013-02-30')", 1, "text '2013-02-30' is not a date; write it as YYYY-MM-DD"),
        ("duration(1e300)", 1, "seconds are too long for a duration"),
        ("duration(True)", 1, "duration() takes one constant"),
        ("field()", 1, 'field() takes names in quotes; as in field("class")'),
        ("field(a)", 1, "field() takes names in quotes"),
        ("a == '\\ud800'", 6, "a text holds half of a surrogate pair"),
        ("a == {1: 2}", 7, "a dict has texts as its keys"),
        ("a == {**b}", 9, "a dict has texts as its keys"),
        ("a == 1\0", 7, "a NUL character is not part of the expression language"),
        ("é == a[0]", 6, "a subscript"),  # columns are characters, not bytes
        ("   a[0]", 4, "a subscript"),  # of the text as it was given
        ("a == 1 == é[0]", 11, "a subscript"),
    ],
)
def test_a_text_that_is_none_is_refused_with_its_place_and_a_remedy(
    text: str, column: int | None, sentence: str
) -> None:
    with pytest.raises(ExpressionError) as caught:
        parse_expression(text)
    assert sentence in caught.value.message
    assert caught.value.details.get("column") == column


def test_a_mistake_on_a_later_line_is_told_with_its_line() -> None:
    with pytest.raises(ExpressionError) as caught:
        parse_expression("\n  (a\n   and b[0])")
    assert (caught.value.line, caught.value.column) == (3, 8)
    assert caught.value.message.startswith("in the expression, line 3, column 8: a subscript")


def test_a_literal_is_asked_for_and_a_field_is_given() -> None:
    with pytest.raises(ExpressionError, match="a literal belongs here; write a constant"):
        parse_literal("a + 1")


def nested(depth: int) -> str:
    return "not " * depth + "a"


def test_expressions_are_bounded_in_depth_and_size() -> None:
    depth = limits.EXPRESSION_DEPTH_MAX
    assert format_expression(parse_expression(nested(depth - 1))) == nested(depth - 1)
    assert parse_expression("(" * 100 + "a" + ")" * 100) == A  # brackets alone add no depth
    for text in (nested(depth), "a" + " + a" * depth, "a" + ".a" * depth, "(" * 150 + "a"):
        with pytest.raises(ExpressionError, match=r"deeper than|is over|never closed"):
            parse_expression(text)
    with pytest.raises(ExpressionError, match="more than 20000 parts"):
        parse_expression("a or b and c or " * 6_000 + "d")
    with pytest.raises(ExpressionError, match="split it"):
        parse_expression("a" * (limits.EXPRESSION_TEXT_CHARS_MAX + 1))


def test_a_chain_in_a_chain_does_not_grow_without_end() -> None:
    # The middle of a chain stands in two comparisons: every level doubles what is inside.
    text = "a"
    for _ in range(25):
        text = f"0 < ({text}) < 9"
    with pytest.raises(ExpressionError, match="more than 20000 parts"):
        parse_expression(text)


def test_a_list_is_bounded_by_its_items(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "IN_LIST_ITEMS_MAX", 3)
    assert format_expression(parse_expression("a in (1, 2, 3)")) == "a in (1, 2, 3)"
    with pytest.raises(ExpressionError, match="a list of 4 items is over 3"):
        parse_expression("a in (1, 2, 3, 4)")


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        (FieldRef(path=("a b",)), 'field("a b")'),
        (FieldRef(path=("origin", "class")), 'field("origin", "class")'),
        (FieldRef(path=("ﬁeld",)), 'field("ﬁeld")'),
        (Not(operand=Not(operand=IsNull(operand=A))), "not a is not None"),
        (Compare(op="==", left=Compare(op="<", left=A, right=B), right=C), "(a < b) == c"),
        (Arithmetic(op="-", left=A, right=Arithmetic(op="-", left=B, right=C)), "a - (b - c)"),
        (Arithmetic(op="*", left=Arithmetic(op="+", left=A, right=B), right=C), "(a + b) * c"),
        (Not(operand=And(items=(A, B))), "not (a and b)"),
        (Or(items=(And(items=(A, B)), C)), "a and b or c"),
        (And(items=(Or(items=(A, B)), C)), "(a or b) and c"),
        (IsNull(operand=Or(items=(A, B))), "(a or b) is None"),
        (Param(index=3), "param(3)"),
    ],
)
def test_an_expression_is_written_with_no_more_brackets_than_it_needs(
    expression: Expr, text: str
) -> None:
    assert format_expression(expression) == text


def test_what_has_no_spelling_is_refused() -> None:
    with pytest.raises(ValueRangeError, match="nan"):
        format_literal([math.nan])
