"""What is printed, and where: answers on standard output, everything else on standard error.

    safe("a\\x1b[31mb\\nc")        a\\x1b[31mb\\nc       what would steer a terminal is spelled out
    json_line({"a": "\\x9b"})     {"a": "\\u009b"}    still JSON, and reads back the same

Data is never trusted to be harmless on a terminal: a row may hold escape sequences that clear
the screen, change its title or turn the direction of writing around.

Invariants (held by tests/unit/cli/test_console.py):
  1. `safe` and `json_line` return printable characters only, whatever they are given.
  2. A JSON line reads back as the value it was made of.
"""

from __future__ import annotations

import json
import re
import sys
from typing import Final, TextIO

from rich.console import Console

from ormdb.exchange.cells import to_json
from ormdb.ir.value import Value

_NAMED: Final = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
# Beside what JSON escapes itself: controls of the second kind, line and paragraph separators,
# marks that turn the direction of writing, and other invisible ones.
_UNPRINTABLE: Final = re.compile(
    "[\x7f-\xa0\xad\u061c\u200b-\u200f\u2028-\u202f\u2060-\u206f\ufeff\ufff0-\ufffb]"
)
_WIDE: Final = 100_000  # where no one looks at it, a table is as wide as its rows


def safe(text: str) -> str:
    """Return `text` with every character spelled out that is not printable."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else _spelled(c) for c in text)


def json_line(value: Value) -> str:
    """Return a canonical value as JSON text on one line."""
    text = json.dumps(to_json(value), ensure_ascii=False, allow_nan=False)
    return _UNPRINTABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def output() -> Console:
    """The console for answers."""
    return _console(sys.stdout)


def messages() -> Console:
    """The console for what is no answer: progress, notes, errors."""
    return _console(sys.stderr)


def say(text: str) -> None:
    """Print a sentence on standard error."""
    messages().print(safe(text), soft_wrap=True)


def write_line(text: str) -> None:
    """Print a line of an answer, as it is."""
    sys.stdout.write(text + "\n")


def _console(file: TextIO) -> Console:
    # Nothing in data is to be taken for markup, a style or the name of an emoji.
    width = None if file.isatty() else _WIDE
    return Console(file=file, markup=False, highlight=False, emoji=False, width=width)


def _spelled(char: str) -> str:
    code = ord(char)
    if char in _NAMED:
        return _NAMED[char]
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
