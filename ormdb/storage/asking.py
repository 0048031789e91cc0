"""Functions that ask something of a text, a list or JSON, as generated code asks them.

    starts_with(name, "J")        r.s1 is not None and r.s1.startswith(p0)
    like(name, "J%n")             r.s1 is not None and p0(r.s1)
    matches(title, notes, "jet")  p0.matches((r.s1, r.s2)) is True
    has(tags, "new")              r.s4 is not None and p0 in r.s4

What a function asks with is prepared once for a query: a pattern is read, a text is folded, an item
takes the form that the slot holds.

Invariants (held by tests/property/test_expressions.py):
  1. Generated questions agree with `ir.evaluate` for every value.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from ormdb.errors import QueryError
from ormdb.ir.coerce import coerce_value
from ormdb.ir.documents import contains_document, is_object_with
from ormdb.ir.function_type import read_document
from ormdb.ir.patterns import read_pattern
from ormdb.ir.search import read_search
from ormdb.ir.show import show_value
from ormdb.ir.value import TextType, Type, Value
from ormdb.storage.records import stored_value

# What each function does with a value v that is not NULL and with what it was given, g.
SOURCES: Final[dict[str, str]] = {
    "like": "{g}({v})",
    "ilike": "{g}({v})",
    "starts_with": "{v}.startswith({g})",
    "ends_with": "{v}.endswith({g})",
    "contains": "({g} in {v})",
    "istarts_with": "{v}.casefold().startswith({g})",
    "iends_with": "{v}.casefold().endswith({g})",
    "icontains": "({g} in {v}.casefold())",
    "matches": "{g}({v})",
    "has": "({g} in {v})",
    "has_key": "is_object_with({v}, {g})",
    "contains_json": "contains_document({v}, {g})",
}
BINDINGS: Final[dict[str, Any]] = {
    "is_object_with": is_object_with,
    "contains_document": contains_document,
}


@dataclass(frozen=True, slots=True)
class Question:
    """The function that a parameter is given to; `item` is the type of the list it asks."""

    name: str
    item: Type | None = None

    def prepared(self, value: Value) -> Value:
        """What generated code is given for a literal.

        Raises:
          QueryError: the function cannot ask with it.
          LimitError: it is too large.
        """
        match self.name:
            case "contains_json":
                return read_document(value)
            case "has":
                assert self.item is not None
                return stored_value(self.item, coerce_value(self.item, value, "an item"))
            case _ if isinstance(value, str):
                # Half of a surrogate pair stands in no text, and in no key that a range begins at.
                text = coerce_value(TextType(), value, f"what {self.name}() looks for")
                return self._of_text(text)
            case _:
                raise QueryError(
                    f"{self.name}() looks for a text; give one, not {show_value(value)}"
                )

    def _of_text(self, text: str) -> Value:
        match self.name:
            case "matches" | "rank":
                return read_search(text)
            case "like" | "ilike":
                return read_pattern(text, folded=self.name == "ilike")
            case "istarts_with" | "iends_with" | "icontains":
                return text.casefold()
            case _:
                return text
