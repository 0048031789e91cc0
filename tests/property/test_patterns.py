"""Holds that a pattern matches the texts its definition says, in steps that stay in proportion."""

from __future__ import annotations

from functools import cache

from hypothesis import given
from hypothesis import strategies as st

from ormdb import limits
from ormdb.ir.patterns import literal_prefix, read_pattern

LETTERS = "aAbß\n%_\\"
TEXTS = st.text(LETTERS, max_size=8)
PIECES = st.sampled_from(("%", "_", "a", "A", "b", "ß", "\n", "\\%", "\\_", "\\\\", "\\a"))
PATTERNS = st.lists(PIECES, max_size=7).map("".join)


def is_like(text: str, pattern: str, *, folded: bool = False) -> bool:
    """The definition: what each sign stands for, tried in every way."""
    signs: list[tuple[str, bool]] = []  # a character, and whether it means itself
    escaped = False
    for char in pattern:
        if not escaped and char == "\\":
            escaped = True
            continue
        plain = escaped or char not in "%_"
        signs.extend((one, plain) for one in (char.casefold() if folded and plain else char))
        escaped = False
    text = text.casefold() if folded else text

    @cache
    def fits(sign: int, place: int) -> bool:
        if sign == len(signs):
            return place == len(text)
        char, plain = signs[sign]
        if char == "%" and not plain:
            return any(fits(sign + 1, later) for later in range(place, len(text) + 1))
        here = place < len(text) and (text[place] == char or not plain)
        return here and fits(sign + 1, place + 1)

    return fits(0, 0)


@given(TEXTS, PATTERNS, st.booleans())
def test_a_pattern_matches_what_its_definition_says(text: str, pattern: str, folded: bool) -> None:
    assert read_pattern(pattern, folded=folded)(text) is is_like(text, pattern, folded=folded)


@given(TEXTS, PATTERNS)
def test_every_match_begins_with_the_prefix_of_the_pattern(text: str, pattern: str) -> None:
    found = read_pattern(pattern)
    assert found.prefix == literal_prefix(pattern)
    if found(text):
        assert text.startswith(found.prefix)


@given(TEXTS, TEXTS, TEXTS)
def test_folded_a_text_contains_every_part_of_itself(before: str, part: str, after: str) -> None:
    escaped = "".join(f"\\{char}" for char in part)
    assert read_pattern(f"%{escaped}%", folded=True)(before + part.upper() + after)


def test_many_wildcards_over_a_long_text_end_soon() -> None:
    # Tried in every way, each of these would outlast the machine.
    text = "a" * 100_000
    most = limits.PATTERN_CHARS_MAX
    assert not read_pattern("%a" * (most // 2 - 1) + "%b")(text)
    assert not read_pattern("%" + "a%" * (most // 2 - 2) + "b%")(text)
    assert not read_pattern("%" + "_a%" * (most // 3 - 2) + "b_%")(text)
    assert read_pattern("%" + "a%" * (most // 2 - 1))(text)
