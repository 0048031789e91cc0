"""Texts that look like a pattern: SQL's `like`.

    like(name, "J%_ F\\%")        %  any characters, or none      _  exactly one character
                                 \\  the next character itself

    "J%_ F\\%"    begins with "J";  then "? F%" has to end it, where ? is any character
    prefix       "J", what an index is asked for before anything is matched

A pattern is cut at every `%`.  The first piece stands at the beginning, the last one at the end,
and each of the others is sought from where the one before it was found: the first place is always
the best one, so no choice is ever taken back.  A match takes at most as many steps as the text has
characters times the pattern, however many `%` there are, and a pattern is bounded.

`ilike` and its kin compare what `str.casefold` makes of both: "STRASSE" is like "straße", and Σ
like σ and ς.  A `_` then stands for one character of the folded text; "ß" has two.

Invariants (held by tests/property/test_patterns.py):
  1. A pattern matches exactly the texts that the definition by recursion says.
  2. Every text that a pattern matches begins with its prefix.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import Final, TypeAlias

from ormdb import limits
from ormdb.errors import LimitError, QueryError

_Chars: TypeAlias = list[str | None]  # None stands for `_`
_Find: TypeAlias = Callable[[str, int, int], int]  # text, from, to -> where it begins, or -1

ESCAPE: Final = "\\"


class Pattern:
    """A pattern that was read; call it with a text."""

    __slots__ = ("_first", "_folded", "_last", "_middle", "_size_min", "prefix")

    def __init__(self, pieces: list[_Chars], *, folded: bool) -> None:
        self._folded = folded
        self._first = _Piece(pieces[0])
        self._middle = [_Piece(piece) for piece in pieces[1:-1] if piece]
        self._last = _Piece(pieces[-1]) if len(pieces) > 1 else None
        self._size_min = self._first.size + (self._last.size if self._last is not None else 0)
        self.prefix = _literal_start(pieces[0])

    def __call__(self, text: str) -> bool:
        if self._folded:
            text = text.casefold()
        if len(text) < self._size_min or not self._first.is_at(text, 0):
            return False
        if self._last is None:
            return len(text) == self._size_min
        place, end = self._first.size, len(text) - self._last.size
        if not self._last.is_at(text, end):
            return False
        for piece in self._middle:
            found = piece.find(text, place, end)
            if found < 0:
                return False
            place = found + piece.size
        return True


class _Piece:
    """Characters that follow one another, `_` among them."""

    __slots__ = ("find", "is_at", "size")

    def __init__(self, chars: _Chars) -> None:
        self.size = len(chars)
        self.find: _Find
        self.is_at: Callable[[str, int], bool]
        if None in chars:
            source = "".join("." if char is None else re.escape(char) for char in chars)
            compiled = re.compile(source, re.DOTALL)

            def find(text: str, start: int, end: int) -> int:
                found = compiled.search(text, start, end)
                return -1 if found is None else found.start()

            self.find = find
            self.is_at = lambda text, start: compiled.match(text, start) is not None
        else:
            plain = "".join(char for char in chars if char is not None)
            self.find = lambda text, start, end: text.find(plain, start, end)
            self.is_at = lambda text, start: text.startswith(plain, start)


@functools.lru_cache(maxsize=limits.PATTERN_CACHE_ENTRIES_MAX)
def read_pattern(text: str, *, folded: bool = False) -> Pattern:
    """Return the pattern that a text spells; `folded` to match without regard to case.

    Raises:
      QueryError: it ends in a backslash.
      LimitError: it is too long.
    """
    if len(text) > limits.PATTERN_CHARS_MAX:
        raise LimitError(
            f"a pattern of {len(text)} characters is over {limits.PATTERN_CHARS_MAX}; "
            "use contains() or starts_with() for long texts",
            limit="PATTERN_CHARS_MAX",
        )
    pieces: list[_Chars] = [[]]
    chars = iter(text)
    for char in chars:
        if char == "%":
            pieces.append([])
        elif char == "_":
            pieces[-1].append(None)
        else:
            plain = next(chars, None) if char == ESCAPE else char
            if plain is None:
                raise QueryError(
                    f"the pattern {text[:60]!r} ends in a backslash, which says that the next "
                    "character is meant; write two of them for a backslash itself"
                )
            pieces[-1].extend(plain.casefold() if folded else plain)
    return Pattern(pieces, folded=folded)


def literal_prefix(pattern: str) -> str:
    """What every text that is like a pattern begins with; "" where that is open."""
    found: list[str] = []
    chars = iter(pattern)
    for char in chars:
        if char in {"%", "_"}:
            break
        found.append(next(chars, "") if char == ESCAPE else char)
    return "".join(found)


def _literal_start(chars: _Chars) -> str:
    end = chars.index(None) if None in chars else len(chars)
    return "".join(char for char in chars[:end] if char is not None)
