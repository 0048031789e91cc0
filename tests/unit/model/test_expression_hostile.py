"""Holds that no text ends the process, wherever and however it is parsed."""

from __future__ import annotations

import subprocess
import sys
import warnings

import pytest

from ormdb.errors import ExpressionError
from ormdb.model.expression_text import parse_expression

CHARS = 99_000
TEXTS = {
    "brackets": "(" * (CHARS // 2) + "1" + ")" * (CHARS // 2),
    "open brackets": "[" * CHARS,
    "open braces": "{" * CHARS,
    "not": "not " * (CHARS // 4) + "x",
    "minus": "-" * CHARS + "1",
    "minus apart": "- " * (CHARS // 2) + "1",
    "tilde": "~" * CHARS + "1",
    "not in brackets": "not -(" * 190 + "1" + ")" * 190,
    "sum": "1" + "+1" * (CHARS // 2),
    "path": "x" + ".a" * (CHARS // 2),
    "calls": "f" + "()" * (CHARS // 2),
    "calls inside": "f(" * 190 + "1" + ")" * 190,
    "subscripts": "x" + "[0]" * (CHARS // 3),
    "lambda": "lambda:" * (CHARS // 7) + "1",
    "if": "1 if 1 else " * (CHARS // 12) + "1",
    "power": "1" + "**1" * (CHARS // 3),
    "await": "await " * (CHARS // 6) + "1",
    "chain": "1" + "<1" * (CHARS // 2),
    "digits": "9" * CHARS,
    "hexadecimal": "0x" + "f" * CHARS,
    "exponent": "1e" + "9" * CHARS,
    "f-string": "f'{" + "-" * CHARS + "1}'",
    "raw f-string": "Rf'''{" + "not " * (CHARS // 5) + "1}'''",
    "strings": "'a'" * (CHARS // 3),
    "backslashes": "\\" * CHARS,
    "quotes": "'" * CHARS,
    "nul": "x == '" + "\0" * 1_000 + "'",
    "newlines": "\n" * CHARS,
    "dicts": '{"a":' * 190 + "1" + "}" * 190,
    "walrus": "(a:=" * 190 + "1" + ")" * 190,
    "comprehension": "[x for x in " * 190 + "y" + "]" * 190,
}
# Parsed on a thread with a stack of 512 KiB, where Python's own parser would overflow.
PROGRAM = """
import sys, threading, warnings
from ormdb.errors import ExpressionError
from ormdb.model.expression_text import parse_expression

def run():
    try:
        parse_expression(text)
        print("read")
    except ExpressionError as error:
        print("refused")

warnings.simplefilter("ignore")
for text in sys.stdin.read().split("\\x1e"):
    threading.stack_size(512 * 1024)
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
"""


def test_no_text_overflows_the_stack_of_a_small_thread() -> None:
    found = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        input="\x1e".join(TEXTS.values()),
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert found.returncode == 0, found.stderr[-2_000:]
    assert len(found.stdout.split()) == len(TEXTS), found.stderr[-2_000:]


@pytest.mark.parametrize("name", sorted(TEXTS.keys() - {"strings", "exponent", "quotes"}))
def test_a_text_without_meaning_is_refused_however_it_is_made(name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(ExpressionError):
            parse_expression(TEXTS[name])


def test_nothing_of_a_text_is_ever_run() -> None:
    for text in ("__import__('os')", "open('x')", "().__class__", "x.__class__ == 1"):
        try:
            found = parse_expression(text)
        except ExpressionError:
            continue
        # A path of odd names stays a path: whoever resolves it finds no such field.
        assert "__class__" in repr(found)
