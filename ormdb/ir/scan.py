"""A scanner for one line of a readable text form: names, quoted texts, numbers, marks.

    total: decimal(10, 2)?          name 'total', mark ':', name 'decimal', mark '(', number 10, …
    "Group of people": text         a name that is no identifier is quoted, with JSON's escapes

Invariants (held by tests/unit/ir/test_type_text.py):
  1. `quote_name` and `take_name` are inverses for every name.
  2. Whatever the line is, scanning ends in what was asked for or in a SchemaError with a column.
"""

from __future__ import annotations

import json
import re
import unicodedata
from typing import Final

from ormdb.errors import SchemaError
from ormdb.ir.show import show_value

_BLANK: Final = re.compile(r"[ \t]*(?:#.*)?")
_NAME: Final = re.compile(r"[^\W\d]\w*")
_NUMBER: Final = re.compile(r"[0-9]{1,18}")
_STRING: Final = re.compile(r'"(?:[^"\\]|\\.)*"')
_SHOWN_CHARS_MAX: Final = 20


def is_plain_name(name: str) -> bool:
    """Whether a name reads back as itself without quotes, here and as a Python identifier."""
    return (
        _NAME.fullmatch(name) is not None
        and name.isidentifier()
        and unicodedata.normalize("NFKC", name) == name
    )


def quote_name(name: str) -> str:
    """Return the name as `Scanner.take_name` reads it, quoted when it has to be."""
    return name if is_plain_name(name) else quote_text(name)


def quote_text(text: str) -> str:
    """Return a text in double quotes; this is also how Python and JSON write it."""
    return json.dumps(text, ensure_ascii=False)


class Scanner:
    """Reads one line from left to right."""

    def __init__(self, line: str) -> None:
        self._line = line
        self._at = 0

    def is_at_end(self) -> bool:
        """Whether nothing but blanks and a comment is left."""
        self._skip()
        return self._at >= len(self._line)

    def take_mark(self, mark: str) -> bool:
        """Step over `mark` if it comes next; say whether it did."""
        self._skip()
        if not self._line.startswith(mark, self._at):
            return False
        self._at += len(mark)
        return True

    def take_word(self, *words: str) -> str | None:
        """Step over one of `words` if it comes next, unquoted; return it."""
        self._skip()
        found = _NAME.match(self._line, self._at)
        if found is None or found.group() not in words:
            return None
        self._at = found.end()
        return found.group()

    def expect_mark(self, mark: str) -> None:
        """Step over `mark`, which has to come next."""
        if not self.take_mark(mark):
            raise self.error(f"'{mark}'")

    def expect_word(self, *words: str) -> str:
        """Step over one of `words`, which has to come next."""
        word = self.take_word(*words)
        if word is None:
            raise self.error(" or ".join(f"'{each}'" for each in words))
        return word

    def take_name(self) -> str:
        """Return the name that has to come next, quoted or not."""
        self._skip()
        found = _NAME.match(self._line, self._at)
        if found is None:
            return self.take_text("a name")
        self._at = found.end()
        return found.group()

    def take_name_before(self, mark: str) -> str | None:
        """Step over a name and `mark` if both come next; return the name."""
        start = self._at
        try:
            name = self.take_name()
        except SchemaError:
            return None
        if self.take_mark(mark):
            return name
        self._at = start
        return None

    def take_text(self, what: str = 'a text in "quotes"') -> str:
        """Return the quoted text that has to come next."""
        self._skip()
        found = _STRING.match(self._line, self._at)
        if found is None:
            raise self.error(what)
        try:
            # Not strict: a control character in quotes is the validator's to refuse, by name.
            text = json.loads(found.group(), strict=False)
        except ValueError as error:
            raise self.error("a text with JSON's escapes") from error
        assert isinstance(text, str)
        self._at = found.end()
        return text

    def take_number(self) -> int:
        """Return the whole number that has to come next."""
        self._skip()
        found = _NUMBER.match(self._line, self._at)
        if found is None:
            raise self.error("a whole number")
        self._at = found.end()
        return int(found.group())

    def take_rest(self) -> str:
        """Return what is left of the line, and be at its end."""
        rest, self._at = self._line[self._at :].strip(), len(self._line)
        return rest

    def expect_end(self) -> None:
        """Refuse a line that goes on."""
        if not self.is_at_end():
            raise self.error("the end of the line")

    def error(self, wanted: str) -> SchemaError:
        """The error that something else was wanted here."""
        self._skip()
        rest = self._line[self._at : self._at + _SHOWN_CHARS_MAX]
        found = show_value(rest) if rest else "the end"
        return SchemaError(f"column {self._at + 1}: {found} stands where {wanted} belongs")

    def _skip(self) -> None:
        found = _BLANK.match(self._line, self._at)
        assert found is not None
        self._at = found.end()
