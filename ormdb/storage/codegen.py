"""The one door to generated code: straight-line functions for work that is done per row.

    compile_function(
        "def keep(rows):\\n"
        "    return [r for r in rows if r.s5 is not None and r.s5 > c0]\\n",
        "keep",
        {"c0": 120},
    )

Everything that varies with the user's data or schema comes in as a binding, a global of the new
function.  The source itself is made of our own words and digits only, and that is checked: it
is ASCII, holds no string or bytes literal, and every name in it looks like ours.  So there is
no text of a user for the source to contain, however it was put together.

Compiled code is kept by source, oldest dropped first; bindings are set anew for every call, so
one shape of query costs one compilation whatever its constants are.  The source is registered
with `linecache`: tracebacks, profilers and debuggers show the generated lines.

Invariants (held by tests/unit/storage/test_codegen.py):
  1. A source with a literal of text or bytes, or a name that is not of our shape, is refused.
  2. Two functions of one source never see each other's bindings.
  3. At most GENERATED_CODE_ENTRIES_MAX sources are kept, here and in `linecache`.
"""

from __future__ import annotations

import ast
import itertools
import linecache
import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from types import CodeType, MappingProxyType
from typing import Any, Final

from ormdb import limits

_NUMBERS: Final = itertools.count(1)  # every compiled source has a file name of its own
_NAME: Final = re.compile(r"[A-Za-z_]{1,24}[0-9]{0,6}_?", re.ASCII)
# What generated code may call without being given it.
_BUILTINS: Final[dict[str, Any]] = {
    function.__name__: function
    for function in (
        abs,
        all,
        any,
        bool,
        bytes,
        dict,
        enumerate,
        filter,
        float,
        frozenset,
        int,
        isinstance,
        iter,
        len,
        list,
        map,
        max,
        min,
        next,
        range,
        reversed,
        set,
        sorted,
        str,
        sum,
        tuple,
        type,
        zip,
    )
}


def compile_function(
    source: str,
    name: str,
    bindings: Mapping[str, Any],
    *,
    attributes: Mapping[str, str] = MappingProxyType({}),
) -> Callable[..., Any]:
    """Return the function `name` that `source` defines, with `bindings` as its globals.

    Args:
      source: one function definition, made of our own names and digits only.
      name: the function's name.
      bindings: every constant and function the source refers to, by name.
      attributes: what attributes in the source are called once it is compiled: a name of the
        user is put into the code object, where it is a name and nothing else, whatever its text.
    """
    namespace: dict[str, Any] = {"__builtins__": _BUILTINS, "__name__": __name__, **bindings}
    exec(_CODE.get(source, name), namespace)
    function: Callable[..., Any] = namespace[name]
    if attributes:
        code: CodeType = function.__code__
        names = tuple([attributes.get(word, word) for word in code.co_names])
        function.__code__ = code.replace(co_names=names)
    return function


def source_count() -> int:
    """How many compiled sources are kept."""
    return _CODE.count()


class _CodeCache:
    """Code objects by source, least recently used dropped first."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: OrderedDict[str, CodeType] = OrderedDict()

    def get(self, source: str, name: str) -> CodeType:
        with self._lock:
            code = self._entries.get(source)
            if code is not None:
                self._entries.move_to_end(source)
                return code
            code = _compile(source, f"<ormdb generated {next(_NUMBERS)}: {name}>")
            self._entries[source] = code
            lines = source.splitlines(keepends=True)
            # A modification time of None keeps `linecache.checkcache` from dropping the entry.
            linecache.cache[code.co_filename] = (len(source), None, lines, code.co_filename)
            if len(self._entries) > limits.GENERATED_CODE_ENTRIES_MAX:
                _, dropped = self._entries.popitem(last=False)
                linecache.cache.pop(dropped.co_filename, None)
            return code

    def count(self) -> int:
        with self._lock:
            return len(self._entries)


def _compile(source: str, filename: str) -> CodeType:
    assert source.isascii(), "generated source holds text that is not ours"
    tree = ast.parse(source, filename)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant):
            assert not isinstance(node.value, str | bytes), "pass text and bytes as bindings"
        assert not isinstance(node, ast.JoinedStr), "generated code makes no text"
        for word in _words(node):
            assert _NAME.fullmatch(word), f"{word!r} is not a name of generated code"
    return compile(tree, filename, "exec")


def _words(node: ast.AST) -> list[str]:
    match node:
        case ast.Name(id=word) | ast.Attribute(attr=word) | ast.arg(arg=word):
            return [word]
        case ast.FunctionDef(name=word):
            return [word]
        case ast.keyword(arg=word):
            return [] if word is None else [word]
        case ast.Import() | ast.ImportFrom() | ast.Global() | ast.Nonlocal() | ast.ClassDef():
            raise AssertionError("generated code holds functions only")
        case _:
            return []


_CODE: Final = _CodeCache()
