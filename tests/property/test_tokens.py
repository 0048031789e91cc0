"""Holds that what a function is true of lies under every token that is sought for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st

from ormdb import limits
from ormdb.ir.documents import contains_document, is_same_json
from ormdb.ir.search import read_search
from ormdb.ir.value import FloatType, IntType, TextType, Value
from ormdb.storage.tokens import (
    contained_tokens,
    item_token,
    json_tokens,
    key_token,
    list_encoder,
    sought_tokens,
    text_tokens,
)
from ormdb.testing.strategies import texts

KEYS = st.sampled_from(("a", "b", "", "\0", "a\0b", "é"))
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.sampled_from((0, 1, 1.0, -0.0, 0.5, 2.0**53, 2**53 + 1, 1e300, 10**300, float("inf"))),
    texts(3),
    st.just("x" * 600),
)
DOCUMENTS: st.SearchStrategy[Any] = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)


@st.composite
def documents_with_a_part(draw: st.DrawFn) -> tuple[Value, Value]:
    document = draw(DOCUMENTS)
    return document, _part(draw, document)


def _part(draw: st.DrawFn, document: Any) -> Any:
    if isinstance(document, dict):
        pairs = cast("dict[str, Any]", document).items()
        return {key: _part(draw, held) for key, held in pairs if draw(st.booleans())}
    if isinstance(document, list):
        items = cast("Sequence[Any]", document)
        kept = [_part(draw, item) for item in items if draw(st.booleans())]
        return [*kept, *kept] if draw(st.booleans()) else kept[::-1]
    return float(document) if type(document) is int and abs(document) < 2**50 else document


@given(documents_with_a_part())
def test_a_document_has_the_tokens_of_all_its_parts(pair: tuple[Value, Value]) -> None:
    document, part = pair
    assert contains_document(document, part)
    assert contained_tokens(part) <= json_tokens(document)


@given(DOCUMENTS, DOCUMENTS)
def test_whatever_contains_a_part_has_its_tokens(document: Value, part: Value) -> None:
    if contains_document(document, part):
        assert contained_tokens(part) <= json_tokens(document)
    if contained_tokens(part) == json_tokens(document) and not isinstance(part, dict | list):
        assert isinstance(document, list) or is_same_json(document, part)


def test_the_outermost_list_has_the_token_of_a_bare_scalar() -> None:
    assert contained_tokens("a") <= json_tokens(["b", "a"])
    assert not contained_tokens("a") <= json_tokens({"k": "a"})
    assert not contained_tokens("a") <= json_tokens([["a"]])


def test_tokens_of_json_are_those_of_the_format() -> None:
    assert sorted(json_tokens({"a": [1.0]})) == [
        bytes.fromhex("01 02 61 00 00"),
        bytes.fromhex("02 02 61 00 00 01 00 69 31"),
    ]
    assert sorted(json_tokens(["x"])) == [
        bytes.fromhex("02 00 73 78"),
        bytes.fromhex("02 01 00 73 78"),
    ]


def test_nothing_is_known_of_what_contains_an_empty_document() -> None:
    assert sought_tokens(None, "contains_json", {}) is None
    assert sought_tokens(None, "contains_json", [[], {}]) is None
    assert sought_tokens(None, "contains_json", {"k": [{}]}) == frozenset((key_token("k"),))


@given(DOCUMENTS, KEYS)
def test_an_object_has_the_token_of_each_outermost_key(document: Any, key: str) -> None:
    has = isinstance(document, dict) and key in document
    assert (key_token(key) in json_tokens(document)) is has


@given(st.lists(texts(), max_size=5).map(tuple), texts())
def test_a_list_has_the_token_of_each_item_and_no_other(items: tuple[str, ...], item: str) -> None:
    tokens = list_encoder(TextType())(items)
    assert (item_token(TextType(), item) in tokens) is (item in items)
    assert len(tokens) == len(set(items))


@given(st.lists(st.integers(-3, 3)).map(tuple), st.integers(-3, 3))
def test_items_of_every_type_have_tokens(items: tuple[int, ...], item: int) -> None:
    for kind in (IntType(), FloatType()):
        assert (item_token(kind, item) in list_encoder(kind)(items)) is (item in items)


@given(st.lists(texts() | st.none(), min_size=1, max_size=3), st.text(min_size=1, max_size=9))
def test_texts_that_match_have_the_tokens_of_the_query(given_: list[str | None], word: str) -> None:
    if not word.strip():
        return
    search = read_search(word)
    sought = sought_tokens(None, "matches", search)
    assert sought is not None
    found = text_tokens(given_)
    assert bool(search.matches(given_)) is (bool(sought) and sought <= found)
    assert all(0 < len(token) <= limits.INDEX_KEY_BYTES_MAX for token in found)
