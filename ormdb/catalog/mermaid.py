"""A bundle drawn as a Mermaid entity-relationship diagram.

    erDiagram
      Airport {
        text faa PK
        text name
      }
      Flight }o--|| Airport : "origin / departures"

Mermaid allows little in names, so each entity gets an alias that shows its real name, and what
cannot stand in an attribute becomes an underscore, with the real name in a comment beside it.

Invariants (held by tests/unit/catalog/test_mermaid.py):
  1. Whatever the names are, every line has the form that Mermaid's grammar asks for.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from typing import Final

from ormdb.ir.schema import EntityDef, FieldDef, RelationDef, SchemaBundle
from ormdb.ir.type_text import type_name

_PLAIN: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_ODD: Final = re.compile(r"[^A-Za-z0-9_]")
# Words that Mermaid's grammar keeps for itself, compared without case.
_KEPT: Final = frozenset(
    {"erdiagram", "title", "direction", "style", "class", "classdef", "one", "only", "many", "to"}
    | {"zero", "optionally", "or", "more", "acctitle", "accdescr", "u", "o", "pk", "fk", "uk"}
    | {"end", "graph", "subgraph", "td", "tb", "bt", "lr", "rl"}
)

# What the grammar does not allow between double quotes, and what begins a code.
_CODES: Final = {'"': "#quot;", "#": "#35;", "%": "#37;", "\\": "#92;"}


def bundle_to_mermaid(bundle: SchemaBundle) -> str:
    """Return the text of the diagram."""
    names = [entity.name for entity in bundle.entities]
    aliases = {n: n for n in names if _PLAIN.fullmatch(n) and n.lower() not in _KEPT}
    free = (f"entity_{number}" for number in itertools.count(1))
    for name in names:
        if name not in aliases:
            aliases[name] = next(alias for alias in free if alias not in aliases)
    return "\n".join(["erDiagram", *_lines(bundle, aliases)]) + "\n"


def _lines(bundle: SchemaBundle, aliases: dict[str, str]) -> Iterator[str]:
    for entity in bundle.entities:
        yield from _entity(entity, bundle, aliases[entity.name])
    for relation in bundle.relations:
        yield _relation(relation, bundle, aliases)
    for through in bundle.throughs:
        ends = f"{aliases[through.entity]} }}o..o{{ {aliases[through.target]}"
        yield f'  {ends} : "{_quoted(f"{through.name} (through {through.edge})")}"'


def _entity(entity: EntityDef, bundle: SchemaBundle, alias: str) -> Iterator[str]:
    shown = alias if alias == entity.name else f'{alias}["{_quoted(entity.name)}"]'
    foreign = {name for r in bundle.relations if r.source == entity.name for name in r.fields}
    unique = {
        index.fields[0].field
        for index in entity.indexes
        if index.unique and index.condition is None and len(index.fields) == 1
    }
    yield f"  {shown} {{"
    for field in entity.fields:
        keys = [
            key
            for key, names in (("PK", entity.identity), ("FK", foreign), ("UK", unique))
            if field.name in names
        ]
        yield f"    {_attribute(field, keys)}"
    yield "  }"


def _attribute(field: FieldDef, keys: list[str]) -> str:
    name = _ODD.sub("_", field.name)
    if not name[0].isalpha() or name in {"PK", "FK", "UK"}:
        name = f"f_{name}"
    kind = type_name(field.type).partition("(")[0]
    notes = [field.name] if name != field.name else []
    if type_name(field.type) != kind:
        notes.append(type_name(field.type))
    notes += ["optional"] if field.optional else []
    notes += ["computed"] if field.computed else []
    comment = f' "{_quoted(", ".join(notes))}"' if notes else ""
    return f"{kind} {name}{' ' if keys else ''}{', '.join(keys)}{comment}"


def _relation(relation: RelationDef, bundle: SchemaBundle, aliases: dict[str, str]) -> str:
    fields = {
        field.name: field
        for entity in bundle.entities
        if entity.name == relation.source
        for field in entity.fields
    }
    optional = any(fields[name].optional for name in relation.fields) or not relation.enforced
    near = "|o" if relation.inverse_one else "}o"
    far = "o|" if optional else "||"
    line = "--" if relation.enforced else ".."
    label = relation.name if relation.inverse is None else f"{relation.name} / {relation.inverse}"
    ends = f"{aliases[relation.source]} {near}{line}{far} {aliases[relation.target]}"
    return f'  {ends} : "{_quoted(label)}"'


def _quoted(text: str) -> str:
    """A text for between double quotes; Mermaid has codes for characters, but no escapes."""
    return "".join(_CODES.get(char, char) if char.isprintable() else "?" for char in text)
