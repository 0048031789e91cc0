"""Words in texts: what `matches` and `rank` mean, and what a full text index keeps.

    "The storms delayed 12 flights"

    runs       the, storms, delayed, 12, flights     runs of \\w in the lower-cased text
    tokens     storm, delay, 12, flight              no stop words; one suffix is taken off

    matches(notes, "delays and a storm")    true: each token of the query is there
    rank(notes, "delays and a storm")       2 / ln(1 + 4): two of the four tokens are those of it

A stop word is told before its suffix is taken.  Of the suffixes ing, ed, es and s the first one
goes that leaves at least three characters, and no second one.  Texts that are searched together
count as one text, and a NULL among them as an empty one.

Invariants (held by tests/property/test_search.py):
  1. A text matches exactly when the tokens of the query are among its tokens, and there are any.
  2. What matches ranks above 0.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Iterable, Sequence
from typing import Final

from ormdb import limits
from ormdb.errors import LimitError, QueryError
from ormdb.ir.value import Value

_STOP_TEXT: Final = """
    a an and are as at be by for from has he in is it its of on that the to was were will with
"""
STOP_WORDS: Final = frozenset(_STOP_TEXT.split())
SUFFIXES: Final = ("ing", "ed", "es", "s")
_STEM_CHARS_MIN: Final = 3
_RUN: Final = re.compile(r"\w+")


def tokens_of(text: str) -> list[str]:
    """The tokens of a text in their order, as often as they occur."""
    return [_stem(run) for run in _RUN.findall(text.lower()) if run not in STOP_WORDS]


class Search:
    """A query that was read; call it with a text to hear whether it matches."""

    __slots__ = ("tokens",)

    def __init__(self, tokens: Iterable[str]) -> None:
        self.tokens = frozenset(tokens)

    def __call__(self, text: str) -> bool:
        tokens, lowered = self.tokens, text.lower()
        # A token begins a run of the text, so most texts are told without cutting them up.
        if not tokens or not all(token in lowered for token in tokens):
            return False
        return tokens.issubset(tokens_of(text))

    def matches(self, texts: Sequence[Value]) -> bool | None:
        """Whether texts match together; NULL where none of them is a text."""
        present = [text for text in texts if isinstance(text, str)]
        return self(" ".join(present)) if present else None

    def rank(self, texts: Sequence[Value]) -> float | None:
        """How much of some texts is what the query asks for; NULL where none is a text."""
        present = [text for text in texts if isinstance(text, str)]
        if not present:
            return None
        found = tokens_of(" ".join(present))
        asked = sum(token in self.tokens for token in found)
        return asked / math.log(1 + len(found)) if asked else 0.0


@functools.lru_cache(maxsize=limits.SEARCH_CACHE_ENTRIES_MAX)
def read_search(query: str) -> Search:
    """Return the search that a query spells.

    Raises:
      QueryError: it is blank.
      LimitError: it is too long.
    """
    if not query.strip():
        raise QueryError("the query of a search is blank; give at least one word to look for")
    if len(query) > limits.SEARCH_QUERY_CHARS_MAX:
        raise LimitError(
            f"the query of a search has {len(query)} characters, over "
            f"{limits.SEARCH_QUERY_CHARS_MAX}; look for fewer words",
            limit="SEARCH_QUERY_CHARS_MAX",
        )
    return Search(tokens_of(query))


def _stem(run: str) -> str:
    for suffix in SUFFIXES:
        if run.endswith(suffix) and len(run) - len(suffix) >= _STEM_CHARS_MIN:
            return run[: -len(suffix)]
    return run
