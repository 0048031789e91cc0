"""The two functions that build the answer of a node from its decoded rows: dicts, and columns.

    Movie, with its cast                             dicts(rows, c0)       rows and casts
      display   [{n0_: r.s0, n1_: r.s1, n2_: x0} for r, x0 in zip(rows, c0)]
      stores    for r, x0 in zip(rows, c0):
                    o = new(); o.n0_ = r.s0; ...; o.n2_ = x0; add(o.__dict__)

    columns(rows)     ([r.s0 for r in rows], [r.s1 for r in rows])

Both ways to dicts give equal dicts in the same order.  The second makes them as attributes of an
object that is dropped at once: the keys are then those of its class, shared by all dicts of a node,
and only values are stored.  Measured for six keys and more: 0.15 instead of 0.19 us at seven, 0.3
instead of 0.67 at twenty, in less than half the memory.  With few keys a display is as quick, and
a class shares no more than thirty.

Invariants (held by tests/unit/query/test_answer_source.py):
  1. A dict is the caller's: whatever is done to it changes no other, nor any that comes later.
  2. No name is part of a source.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from ormdb.ir.value import RowDict
from ormdb.storage.codegen import compile_function
from ormdb.storage.expressions import Translator
from ormdb.storage.records import fresh_json, holds_json

_SHARED_KEYS: Final = range(6, 28)  # how many keys are worth sharing, and can be
_SETTLING: Final = 32  # objects after which a class leaves no more room than its keys take
_BEFORE: Final = "    made = []\n    add = made.append\n"
_AFTER: Final = "        add(o.__dict__)\n    return made\n"


class AnswerSource:
    """Makes the functions of one node; its fields are found as `translator` finds them."""

    def __init__(self, translator: Translator) -> None:
        self._translator = translator

    def dicts(self, fields: Sequence[str], beside: Sequence[str]) -> Callable[..., list[RowDict]]:
        """The function from rows to dicts; `beside` names what comes with each row besides: what
        includes reach, then what is derived, each a column of its own."""
        names = [*fields, *beside]
        values = [*map(self._code, fields), *[f"x{number}" for number in range(len(beside))]]
        sources = [f"c{number}" for number in range(len(beside))]
        loop = "r in rows"
        if beside:
            loop = f"r, {', '.join(values[len(fields) :])} in zip(rows, {', '.join(sources)})"
        begin = f"def dicts({', '.join(['rows', *sources])}):\n"
        keys = {f"n{number}_": name for number, name in enumerate(names)}
        if len(names) in _SHARED_KEYS and not any(name.startswith("__") for name in names):
            lines = [
                f"        o.{key} = {value}\n" for key, value in zip(keys, values, strict=True)
            ]
            source = f"{begin}{_BEFORE}    for {loop}:\n        o = new()\n{''.join(lines)}{_AFTER}"
            bindings = {**self._translator.bindings, "new": _class_of(names)}
            return compile_function(source, "dicts", bindings, attributes=keys)
        pairs = [f"{key}: {value}" for key, value in zip(keys, values, strict=True)]
        source = f"{begin}    return [{{{', '.join(pairs)}}} for {loop}]\n"
        return compile_function(source, "dicts", {**self._translator.bindings, **keys})

    def columns(self, fields: Sequence[str]) -> Callable[..., tuple[list[Any], ...]]:
        """The function from rows to a column for each field."""
        lists = "".join([f"[{self._code(name)} for r in rows], " for name in fields])
        source = f"def columns(rows):\n    return ({lists})\n"
        return compile_function(source, "columns", self._translator.bindings)

    def _code(self, name: str) -> str:
        """What shows one field of the row `r`."""
        translator = self._translator
        place = translator.places((name,))
        code = translator.shown(place)[0]
        if not holds_json(place.field.type):
            return code
        translator.bindings["fresh"] = fresh_json  # the row may be kept; the answer is theirs
        return f"fresh({code})"


def _class_of(names: Sequence[str]) -> type[Any]:
    """A class of which every object that is made from now on has these attributes, in order."""
    made: type[Any] = type("Row", (), {})
    for _ in range(_SETTLING):
        row = made()
        for name in names:
            setattr(row, name, None)
    return made
