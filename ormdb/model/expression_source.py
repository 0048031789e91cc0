"""The text of an expression, from its characters to Python's own syntax tree.

    "a if b else c"     parsed by `ast`, then refused by the reader: `if` is not of the language
    "not not not …"     never reaches `ast`: its parser recurses in C for every `not`, and 50,000
                        of them overflow the stack of a small thread, which ends the process

So long texts are first read token by token, without recursion.  What nests to the right without
brackets is either refused (`if`, `lambda`, `**`) or bounded (`not`, `-`); brackets are bounded by
Python's tokenizer; what nests to the left is bounded by `ast` itself, with a RecursionError.

Invariants (held by tests/unit/model/test_expression_hostile.py):
  1. No text ends the process, on a thread with a stack of 512 KiB.
  2. Every refusal says where in the text as given, lines and columns counted from 1.
"""

from __future__ import annotations

import ast
import io
import keyword
import re
import tokenize
from typing import Final, NoReturn

from ormdb import limits
from ormdb.errors import ExpressionError

# What else Python can say, and what to write instead.
_FOREIGN: Final[dict[type[ast.AST], tuple[str, str]]] = {
    ast.IfExp: ("`if … else`", "use `and`, `or` or coalesce()"),
    ast.Lambda: ("`lambda`", "write the condition itself"),
    ast.Subscript: ("a subscript", 'write a path as origin.name or field("origin", "name")'),
    ast.JoinedStr: ("an f-string", "use concat()"),
    ast.NamedExpr: ("`:=`", "write the value where it is used"),
    ast.Set: ("a set", "write a list in [brackets]"),
    ast.Starred: ("`*`", "write the items one by one"),
    ast.ListComp: ("a comprehension", "write the items one by one"),
    ast.SetComp: ("a comprehension", "write the items one by one"),
    ast.DictComp: ("a comprehension", "write the items one by one"),
    ast.GeneratorExp: ("a comprehension", "write the items one by one"),
    ast.Await: ("`await`", "leave it out"),
    ast.Pow: ("`**`", "multiply instead"),
    ast.FloorDiv: ("`//`", "use `/`"),
    ast.BitAnd: ("`&`", "use `and`"),
    ast.BitOr: ("`|`", "use `or`"),
    ast.BitXor: ("`^`", "use `!=`"),
    ast.MatMult: ("`@`", "use `*`"),
    ast.LShift: ("`<<`", "multiply instead"),
    ast.RShift: ("`>>`", "divide instead"),
    ast.Invert: ("`~`", "use `not`"),
}
# Below this length no text nests deeper than a small stack bears.
_HARMLESS_CHARS: Final = 200
_PREFIXES: Final = frozenset({"not", "-", "+", "~", "(", "[", "{"})
_PREFIXES_MAX: Final = 2 * limits.EXPRESSION_DEPTH_MAX  # in a row; brackets add no depth of ours
_RIGHT_NESTING: Final[dict[str, type[ast.AST]]] = {
    "if": ast.IfExp,
    "lambda": ast.Lambda,
    "await": ast.Await,
    "**": ast.Pow,
}
_LINE_BREAK: Final = re.compile(r"\r\n|\r|\n")
_WORD: Final = re.compile(r"\w+")


def foreign_sentence(construct: type[ast.AST]) -> str:
    """Why a construct of Python is refused, and what to write instead."""
    name, remedy = _FOREIGN.get(construct, (construct.__name__, "leave it out"))
    return f"{name} is not part of the expression language; {remedy}"


class Source:
    """One text.  Its margins do not count for Python, but they do for where things are."""

    def __init__(self, text: str) -> None:
        self._body = text.strip()
        self._lines = _LINE_BREAK.split(self._body)
        margin = _LINE_BREAK.split(text[: len(text) - len(text.lstrip())])
        self._lines_before = len(margin) - 1
        self._chars_before = len(margin[-1])
        self._chars = len(text)

    def parse(self) -> ast.expr:
        """Return the syntax tree.

        Raises:
          ExpressionError: there is none, or it would nest without end.
        """
        self._refuse_at_sight()
        if self._chars > _HARMLESS_CHARS:
            self._refuse_deep_nesting()
        try:
            return ast.parse(self._body, mode="eval").body
        except SyntaxError as error:
            self._refuse_syntax(error)
        except (ValueError, MemoryError, RecursionError) as error:
            reason = str(error) or "it is too complex"
            self._refuse(1, 0, f"it cannot be read: {reason}; write it shorter", error)

    def refuse_node(
        self, node: ast.expr, sentence: str, *, cause: Exception | None = None
    ) -> NoReturn:
        """Raise the error for a node of the tree."""
        # The tree counts columns in bytes of UTF-8.
        line = self._lines[node.lineno - 1].encode(errors="replace")
        chars = len(line[: node.col_offset].decode(errors="ignore"))
        self._refuse(node.lineno, chars, sentence, cause)

    def _refuse(
        self, line: int, chars: int, sentence: str, cause: Exception | None = None
    ) -> NoReturn:
        column = chars + 1 + (self._chars_before if line == 1 else 0)
        line += self._lines_before
        where = f"column {column}" if line == 1 else f"line {line}, column {column}"
        raise ExpressionError(
            f"in the expression, {where}: {sentence}", line=line, column=column
        ) from cause

    def _refuse_at_sight(self) -> None:
        if self._chars > limits.EXPRESSION_TEXT_CHARS_MAX:
            raise ExpressionError(
                f"an expression of {self._chars} characters is over "
                f"{limits.EXPRESSION_TEXT_CHARS_MAX}; split it"
            )
        if not self._body:
            raise ExpressionError(
                "the expression is empty; write a condition such as `dep_delay > 15`"
            )
        for number, line in enumerate(self._lines, 1):
            if "\0" in line:
                fact = "a NUL character is not part of the expression language; leave it out"
                self._refuse(number, line.index("\0"), fact)

    def _refuse_syntax(self, error: SyntaxError) -> NoReturn:
        if not error.offset:  # Python says so of the end of the text
            fact = "the expression ends where more has to come; complete it"
            self._refuse(len(self._lines), len(self._lines[-1]), fact, error)
        number, chars = error.lineno or 1, error.offset - 1
        line = self._lines[number - 1] if number <= len(self._lines) else ""
        word = _WORD.match(line, chars)
        if word is not None and keyword.iskeyword(word.group()):
            name = word.group()
            fact = f'`{name}` is a word of Python; if it is a name, write field("{name}")'
            self._refuse(number, chars, fact, error)
        if line[chars : chars + 1] == "=":
            self._refuse(number, chars, "`=` is not part of the expression language; use ==", error)
        self._refuse(number, chars, f"{error.msg}; write it in Python's syntax", error)

    def _refuse_deep_nesting(self) -> None:
        prefixes = 0
        try:
            for token in tokenize.generate_tokens(io.StringIO(self._body).readline):
                text, (line, chars) = token.string, token.start
                if token.type == tokenize.STRING and "f" in re.split("['\"]", text)[0].lower():
                    self._refuse(line, chars, foreign_sentence(ast.JoinedStr))
                if text in _RIGHT_NESTING:
                    self._refuse(line, chars, foreign_sentence(_RIGHT_NESTING[text]))
                prefixes = prefixes + 1 if text in _PREFIXES else 0
                if prefixes > _PREFIXES_MAX:
                    fact = f"the expression nests deeper than {limits.EXPRESSION_DEPTH_MAX} levels"
                    self._refuse(line, chars, f"{fact}; write it flatter")
        except (tokenize.TokenError, SyntaxError, UnicodeEncodeError) as error:
            fact = f"it cannot be read: {error.args[0]}; check its quotes and brackets"
            self._refuse(1, 0, fact, error)
