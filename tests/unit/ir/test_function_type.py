"""Holds what functions that ask take, what they say of NULL, and the sentence of every refusal."""

from __future__ import annotations

from typing import Any

import pytest

from ormdb import limits
from ormdb.errors import LimitError, QueryError
from ormdb.ir.canonical import decode_node, encode_node
from ormdb.ir.evaluate import Resolved, coerce_literals, evaluate, expression_type
from ormdb.ir.value import (
    BoolType,
    DateType,
    EnumType,
    IntType,
    JsonType,
    ListType,
    TextType,
    Type,
)
from ormdb.model.expression_text import format_expression, parse_expression

TYPES: dict[str, Type] = {
    "n": IntType(),
    "name": TextType(),
    "code": TextType(max_chars=3),
    "state": EnumType(variants=("new", "old")),
    "tags": ListType(item=TextType()),
    "days": ListType(item=DateType()),
    "states": ListType(item=EnumType(variants=("new", "old"))),
    "data": JsonType(),
}
NULLABLE = {"name", "data"}
ROW: dict[str, Any] = {
    "n": 5,
    "name": "Straße 50%",
    "code": "St",
    "state": "new",
    "tags": ("a", "b"),
    "days": (),
    "states": ("old",),
    "data": {"a": [1, "x"], "b": None},
    "nothing": None,
}


def resolve(path: tuple[str, ...]) -> Resolved:
    (name,) = path
    return Resolved(name=f"Row.{name}", type=TYPES[name], optional=name in NULLABLE)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('like(name, "S%")', True),
        ('like(name, "s%")', False),
        (r'like(name, "%50\\%")', True),
        (r'like(name, "%50\\_")', False),
        ('like(name, "Stra_e%")', True),
        ('like(name, "Straße 50%")', True),
        ('like(name, "")', False),
        ('ilike(name, "STRASSE%")', True),
        ('ilike(name, "stra_e%")', False),
        ('ilike(name, "stra__e%")', True),
        ('starts_with(name, "Str")', True),
        ("starts_with(name, code)", True),
        ('starts_with(name, "")', True),
        ('istarts_with(name, "STRASS")', True),
        ('ends_with(name, "%")', True),
        ('iends_with(name, "E 50%")', True),
        ('contains(name, "aß")', True),
        ('contains(name, "ASS")', False),
        ('icontains(name, "ASS")', True),
        ('has(tags, "a")', True),
        ('has(tags, "c")', False),
        ("has(states, state)", False),
        ('has(states, "old")', True),
        ('has_key(data, "b")', True),
        ('has_key(at(data, "a"), "b")', False),
        ('contains_json(data, {"a": ["x"]})', True),
        ('at(data, "a", 0) == 1', True),
        ('at(data, "a", 0) == "1"', False),
        ('at(data, "a", 0) < "1"', None),
        ('at(data, "a", 1) in ["x", 2]', True),
        ('at(data, "b") == 1', None),
        ('at(data, "b") is None', True),
        ('starts_with(at(data, "a", 1), "x")', True),
        ('starts_with(at(data, "a", 0), "1")', None),
        ("0 < n <= 5", True),
        ("n not in [1, 5]", False),
    ],
)
def test_functions_that_ask_answer_true_false_or_null(text: str, expected: bool | None) -> None:
    asked = coerce_literals(parse_expression(text), resolve, expected=BoolType())
    assert evaluate(asked, ROW, resolve=resolve) is expected
    assert decode_node(encode_node(asked)) == asked
    assert parse_expression(format_expression(asked)) == asked


@pytest.mark.parametrize(
    "text",
    [
        'like(nothing, "%")',
        'ilike(nothing, "%")',
        'starts_with(nothing, "")',
        "ends_with(name, nothing)",
        'contains(nothing, "")',
        'has(nothing, "a")',
        "has(tags, nothing)",
        'has_key(nothing, "a")',
        "contains_json(nothing, {})",
        'at(nothing, "a")',
    ],
)
def test_null_in_gives_null_out(text: str) -> None:
    assert evaluate(parse_expression(text), ROW) is None


@pytest.mark.parametrize(
    ("text", "nullable"),
    [
        ('like(name, "a")', True),
        ('like(code, "a")', False),
        ("contains(code, name)", True),
        ('has(tags, "a")', False),
        ('at(data, "a") == 1', True),
        ("contains_json(data, 1)", True),
    ],
)
def test_a_question_may_be_null_where_what_it_asks_may_be(text: str, *, nullable: bool) -> None:
    assert expression_type(parse_expression(text), resolve) == (BoolType(), nullable)


def test_literals_take_the_form_of_the_items_they_are_sought_among() -> None:
    def converted(text: str) -> str:
        return format_expression(coerce_literals(parse_expression(text), resolve))

    assert converted('has(days, "2013-01-01")') == 'has(days, date("2013-01-01"))'
    assert converted("contains_json(data, (1, 2))") == "contains_json(data, [1, 2])"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('like(n, "5%")', "like() asks a text; Row.n is an int; compare it with == or `in`"),
        (
            'starts_with(state, "n")',
            "starts_with() asks a text; Row.state is an enum; compare it with == or `in`",
        ),
        (
            'contains(tags, "a")',
            "contains() asks a text; Row.tags is a list; ask a list with has()",
        ),
        (
            'contains(data, "a")',
            (
                "contains() asks a text; Row.data is JSON; ask JSON with has_key() or "
                "contains_json(), or a text in it with at()"
            ),
        ),
        (
            'has(name, "a")',
            (
                "has() asks a list; Row.name is a text; ask a text with starts_with(), contains() "
                "or like()"
            ),
        ),
        (
            "like(name, code)",
            (
                "the pattern of like() is Row.code; write it as a text, or ask with starts_with(), "
                "ends_with() or contains()"
            ),
        ),
        (
            r'like(name, "50\\")',
            (
                r"the pattern '50\\' ends in a backslash, which says that the next character is "
                "meant; write two of them for a backslash itself"
            ),
        ),
        (
            "starts_with(name, 3)",
            (
                "starts_with() takes a text to look for; the int 3 is an int; write "
                'starts_with(name, "J")'
            ),
        ),
        ("contains(name)", 'contains() takes 2 arguments, not 1; write contains(name, "J")'),
        ("has(tags, None)", 'has() with NULL is never true; write has(tags, "new")'),
        (
            "has(tags, 3)",
            (
                "an item of Row.tags is a text and cannot be compared with the int 3; compare it "
                "with a text"
            ),
        ),
        (
            "has(tags, n)",
            (
                "an item of Row.tags is a text and cannot be compared with Row.n, an int; look for "
                "a text"
            ),
        ),
        (
            "contains_json(data, name)",
            (
                "contains_json() looks for a literal, not for Row.name; write "
                'contains_json(data, {"key": 1})'
            ),
        ),
        (
            'contains_json(data, b"x")',
            (
                "what contains_json() looks for: bytes b'x' is not a JSON value; give None, bool, "
                "number, str, list, dict"
            ),
        ),
        ("at(data)", 'at() takes JSON and at least one step; write at(data, "key", 0)'),
        (
            'at(name, "a")',
            (
                "at() asks JSON; Row.name is a text; ask a text with starts_with(), "
                "contains() or like()"
            ),
        ),
        (
            "at(data, 1.5) == 1",
            "a step of at() is the float 1.5; write a key as a text, a position as an int",
        ),
        (
            'at(data, "a") == state',
            (
                "what at() finds in JSON cannot be compared with Row.state, an enum; compare it "
                "with a bool, a number or a text"
            ),
        ),
        ("data == 5", "Row.data is JSON and cannot be compared; test it with `is None`"),
    ],
)
def test_what_a_function_cannot_ask_is_refused_in_a_sentence(text: str, sentence: str) -> None:
    with pytest.raises(QueryError) as caught:
        coerce_literals(parse_expression(text), resolve)
    assert caught.value.message == sentence


def test_patterns_and_documents_are_bounded() -> None:
    most = limits.PATTERN_CHARS_MAX
    coerce_literals(parse_expression(f'like(name, "{"%" * most}")'), resolve)
    with pytest.raises(LimitError, match="a pattern of 1001 characters is over 1000"):
        coerce_literals(parse_expression(f'ilike(name, "{"%" * (most + 1)}")'), resolve)
    items = ", ".join("1" * limits.CONTAINED_VALUES_MAX)
    with pytest.raises(LimitError, match="over 1000 values at once"):
        coerce_literals(parse_expression(f"contains_json(data, [{items}])"), resolve)
