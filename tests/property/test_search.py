"""Holds that words are found in texts as a naive reading of the rules finds them."""

from __future__ import annotations

from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ormdb.ir.search import read_search, tokens_of
from tests.oracle.words import matches_words, rank_words, words_of

WORDS: Final = (
    *(
        "storm",
        "storms",
        "Stormed",
        "storming",
        "delay",
        "DELAYS",
        "the",
        "And",
        "is",
        "bus",
        "buses",
    ),
    *(
        "ed",
        "ing",
        "using",
        "used",
        "uses",
        "caes",
        "größe",
        "Σίσυφος",
        "İ",
        "x_1",
        "12",
        "as",
        "ass",
    ),
)
TEXTS: Final = st.lists(
    st.sampled_from(WORDS) | st.sampled_from((" ", "-", ", ", "!", "\n")), max_size=8
).map(" ".join) | st.text(max_size=20)
QUERIES: Final = TEXTS.filter(lambda text: bool(text.strip()))


@given(TEXTS)
def test_tokens_are_those_of_the_rules(text: str) -> None:
    assert tokens_of(text) == words_of([text])


@given(st.lists(TEXTS | st.none(), min_size=1, max_size=3), QUERIES)
def test_a_search_matches_and_ranks_as_the_rules_say(texts: list[str | None], query: str) -> None:
    search = read_search(query)
    assert search.matches(texts) is matches_words(*texts, query)
    found, expected = search.rank(texts), rank_words(*texts, query)
    assert (found is None) == (expected is None)
    assert found is None or found == pytest.approx(expected)
    if search.matches(texts):
        assert found is not None
        assert found > 0


@given(TEXTS, QUERIES)
def test_one_text_alone_answers_as_several_of_which_it_is_the_only_one(
    text: str, query: str
) -> None:
    search = read_search(query)
    assert search(text) is search.matches((text,)) is search.matches((None, text))
