"""A naive reading of the rules of searching: texts to words, whether they match, how they rank."""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Sequence
from typing import Final

_STOP_TEXT: Final = """
    a an and are as at be by for from has he in is it its of on that the to was were will with
"""
_STOP_WORDS: Final = frozenset(_STOP_TEXT.split())
_ENDS: Final = (("ing", 3), ("ed", 2), ("es", 2), ("s", 1))


def words_of(texts: Sequence[str | None]) -> Sequence[str]:
    return _cut(" ".join(text for text in texts if text is not None))


@functools.lru_cache(maxsize=4096)  # SQLite asks for the same texts again and again
def _cut(text: str) -> Sequence[str]:
    found: list[str] = []
    for run in re.findall(r"\w+", text.lower()):
        if run in _STOP_WORDS:
            continue
        kept = next((n for end, n in _ENDS if run.endswith(end) and len(run) - n >= 3), 0)
        found.append(run[: len(run) - kept])
    return found


def matches_words(*given: str | None) -> bool | None:
    *texts, query = given
    if all(text is None for text in texts):
        return None
    wanted = set(words_of([query]))
    return bool(wanted) and wanted <= set(words_of(texts))


def rank_words(*given: str | None) -> float | None:
    *texts, query = given
    if all(text is None for text in texts):
        return None
    wanted, found = set(words_of([query])), words_of(texts)
    met = [word for word in found if word in wanted]
    return len(met) / math.log(1 + len(found)) if met else 0.0
