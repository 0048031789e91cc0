"""Holds what searching for words says in plain cases, and the sentence of every refusal."""

from __future__ import annotations

import math

import pytest

from ormdb import limits
from ormdb.errors import LimitError, QueryError
from ormdb.ir.evaluate import Resolved, coerce_literals, evaluate, expression_type
from ormdb.ir.search import STOP_WORDS, read_search, tokens_of
from ormdb.ir.value import BoolType, FloatType, IntType, JsonType, TextType, Type, Value
from ormdb.model.expression_text import format_expression, parse_expression

TYPES: dict[str, Type] = {
    "n": IntType(),
    "title": TextType(),
    "notes": TextType(),
    "data": JsonType(),
}
ROW: dict[str, Value] = {
    "n": 5,
    "title": "Storms over New York",
    "notes": None,
    "data": {"text": "a delayed flight", "n": 1},
}


def resolve(path: tuple[str, ...]) -> Resolved:
    (name,) = path
    return Resolved(name=f"Row.{name}", type=TYPES[name], optional=name == "notes")


def said(text: str) -> Value:
    expr = coerce_literals(parse_expression(text), resolve)
    assert parse_expression(format_expression(expr)) == expr
    return evaluate(expr, ROW)


def test_tokens_are_lower_cased_runs_without_stop_words_and_one_suffix() -> None:
    assert tokens_of("The storms DELAYED 12 flights, landing_gear was missing!") == [
        *("storm", "delay", "12", "flight", "landing_gear", "miss")
    ]
    assert tokens_of("uses using used bus buses sing") == [
        "use",
        "using",
        "used",
        "bus",
        "bus",
        "sing",
    ]
    assert tokens_of(" ".join(STOP_WORDS)) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('matches(title, "storm")', True),
        ('matches(title, "york STORMED the")', True),
        ('matches(title, "storm delay")', False),
        ('matches(title, "the and of")', False),
        ('matches(title, "!!!")', False),
        ('matches(notes, "storm")', None),
        ('not matches(notes, "storm")', None),
        ('matches(title, notes, "storm")', True),
        ('matches(notes, notes, "storm")', None),
        ('matches(at(data, "text"), "flights")', True),
        ('matches(title, at(data, "text"), "storm flights")', True),
        ('matches(at(data, "n"), "1")', None),
        ('matches(lower(title), "storm")', True),
        ('rank(title, "storm")', 1 / math.log(5)),
        ('rank(title, "storm storms york")', 2 / math.log(5)),
        ('rank(title, "delay")', 0.0),
        ('rank(title, "the")', 0.0),
        ('rank(notes, "storm")', None),
        ('rank(title, notes, "storm") > 0.5', True),
    ],
)
def test_a_search_finds_and_ranks_by_the_tokens_of_its_query(text: str, expected: Value) -> None:
    assert said(text) == expected


def test_matches_is_a_condition_and_rank_a_number() -> None:
    def kind(text: str) -> tuple[Type, bool]:
        return expression_type(parse_expression(text), resolve)

    assert kind('matches(title, "x")') == (BoolType(), False)
    assert kind('matches(notes, "x")') == (BoolType(), True)
    assert kind('matches(notes, title, "x")') == (BoolType(), False)
    assert kind('rank(notes, "x")') == (FloatType(), True)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("matches(title)", "matches() takes texts and a query; write matches(notes, "),
        ('matches(n, "x")', "matches() asks a text; Row.n is an int"),
        ('rank(title, data, "x")', "asks a text; Row.data is JSON"),
        ("matches(title, notes)", "the query of matches() is Row.notes; write it as a text"),
        ("rank(title, 5)", "the query of rank() is the int 5; write it as a text"),
        ("matches(title, None)", "the query of matches() is NULL"),
        ('matches(title, "")', "the query of a search is blank; give at least one word"),
        ('rank(title, " \\t")', "the query of a search is blank"),
    ],
)
def test_a_search_that_makes_no_sense_is_refused(text: str, sentence: str) -> None:
    with pytest.raises(QueryError) as caught:
        said(text)
    assert sentence in caught.value.message


def test_a_query_that_is_too_long_is_refused() -> None:
    read_search("x" * limits.SEARCH_QUERY_CHARS_MAX)
    with pytest.raises(LimitError, match="1001 characters"):
        read_search("x" * (limits.SEARCH_QUERY_CHARS_MAX + 1))
