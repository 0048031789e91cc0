"""Holds that nothing printed can steer a terminal."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ormdb.cli.console import json_line, safe

ANY_TEXT = st.text(st.characters()) | st.sampled_from(
    ["\x1b[2J\x1b]0;title\x07", "a\nb\rc\td", "\x9b31m", "\u202egpj.exe", "\u2028", "\ud800", "表é"]
)


@given(ANY_TEXT)
def test_safe_text_is_printable(text: str) -> None:
    assert safe(text).isprintable()


def test_printable_text_is_left_alone() -> None:
    assert safe("Zoë 表 \U0001f600 [bold] :smile:") == "Zoë 表 \U0001f600 [bold] :smile:"
    assert safe("a\nb\x1b\u202e\U000e0001") == "a\\nb\\x1b\\u202e\\U000e0001"


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_json_is_harmless_and_reads_back(text: str) -> None:
    line = json_line({text: [text, 1.5, None]})
    assert json.loads(line) == {text: [text, 1.5, None]}
    assert not any(ord(c) < 32 or 0x7F <= ord(c) < 0xA0 for c in line)


@pytest.mark.parametrize("char", ["\x7f", "\x9b", "\u2028", "\u202e", "\u2066", "\ufeff"])
def test_json_spells_out_what_steers_a_terminal(char: str) -> None:
    assert json_line(char) == f'"\\u{ord(char):04x}"'
