"""Rows as a table and graphs as a tree, on a terminal.

    faa   name       origin.name             Airport faa=JFK name=Kennedy
    JFK   Kennedy    …                       ├── departures
                                             │   ├── id=1 dep_delay=5
    to-one relations are columns             │   └── id=2 dep_delay=NULL
                                             └── …

A graph without to-many relations is a table; to-one relations become columns with dotted names.
With to-many relations it is a tree.

Invariants (held by tests/unit/cli/test_tables.py):
  1. Nothing in a row is printed but through `safe`, and a long cell is cut.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, cast

from rich import box
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from ormdb.cli.console import safe
from ormdb.exchange.cells import format_value
from ormdb.ir.graph import Include
from ormdb.ir.schema import SchemaBundle
from ormdb.ir.value import RowDict, TextType, Type, Value

_CELL_CHARS_MAX: Final = 60
_NULL: Final = Text("NULL", style="dim")
_NOTHING_KNOWN: Final[Mapping[str, Type]] = {}


def plain_table(heads: Sequence[str], *, title: str | None = None) -> Table:
    """An empty table."""
    table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", title_style="bold")
    for head in heads:
        table.add_column(Text(safe(head)), overflow="fold")
    return table


def cell(value: Value, kind: Type | None = None) -> Text:
    """A value as it stands in a table."""
    if value is None:
        return _NULL
    # A json value says so by its type; without it, text cannot be told from a JSON string.
    shown = safe(format_value(kind or TextType(), value))
    if len(shown) > _CELL_CHARS_MAX:
        shown = shown[: _CELL_CHARS_MAX - 1] + "…"
    return Text(shown)


def has_many(rows: Iterable[RowDict], includes: Sequence[Include]) -> bool:
    """Whether some relation of the answer leads to several rows."""
    for row in rows:
        for include in includes:
            child = row[include.name]
            if isinstance(child, list):
                return True
            if child is not None and has_many([child], include.includes):
                return True
    return False


def rows_table(
    rows: Sequence[RowDict], includes: Sequence[Include], types: Mapping[str, Type]
) -> Table:
    """Rows as a table, with the rows that to-one relations lead to beside them."""
    heads = list(dict.fromkeys(head for row in rows for head, _, _ in _flat(row, includes, types)))
    table = plain_table(heads)
    for row in rows:
        found = {head: cell(value, kind) for head, value, kind in _flat(row, includes, types)}
        table.add_row(*(found.get(head, _NULL) for head in heads))
    return table


def rows_tree(
    entity: str, rows: Sequence[RowDict], includes: Sequence[Include], types: Mapping[str, Type]
) -> Tree:
    """Rows as a tree: under each row its relations, under each relation its rows."""
    tree = Tree(Text(safe(entity), style="bold"))
    for row in rows:
        _add_row(tree, row, includes, types)
    return tree


def field_types(bundle: SchemaBundle, entity: str) -> dict[str, Type]:
    """The types of an entity's fields, by name."""
    found = next((one for one in bundle.entities if one.name == entity), None)
    return {} if found is None else {field.name: field.type for field in found.fields}


def _flat(
    row: RowDict, includes: Sequence[Include], types: Mapping[str, Type], prefix: str = ""
) -> Iterator[tuple[str, Value, Type | None]]:
    by_name = {include.name: include for include in includes}
    for name, value in row.items():
        include = by_name.get(name)
        if include is None:
            yield f"{prefix}{name}", value, types.get(name)
        elif value is not None:
            yield from _flat(value, include.includes, _NOTHING_KNOWN, f"{prefix}{name}.")


def _add_row(
    tree: Tree, row: RowDict, includes: Sequence[Include], types: Mapping[str, Type]
) -> None:
    names = {include.name for include in includes}
    line = Text()
    for name, value in row.items():
        if name not in names:
            line.append(f"{safe(name)}=", style="dim").append_text(cell(value, types.get(name)))
            line.append("  ")
    branch = tree.add(line)
    for include in includes:
        found = row[include.name]
        children = cast("list[RowDict]", found if isinstance(found, list) else [found])
        label = Text(safe(include.name), style="bold")
        if found is None or not children:
            branch.add(label.append(" (none)", style="dim"))
            continue
        below = branch.add(label)
        for child in children:
            _add_row(below, child, include.includes, _NOTHING_KNOWN)
