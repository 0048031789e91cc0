"""`ormdb schema`: the stored schema as tables, text, Python classes or a diagram.

ormdb schema flights.ormdb              what a person reads
ormdb schema flights.ormdb --text       the readable form that `ormdb.open(schema=...)` takes
ormdb schema flights.ormdb --python     typed classes that make the same schema
ormdb schema flights.ormdb --mermaid    a diagram for a README
"""

from __future__ import annotations

from collections.abc import Iterator

import click
from rich.text import Text

import ormdb
from ormdb.catalog.mermaid import bundle_to_mermaid
from ormdb.catalog.text import bundle_to_text, computed_text, default_text, index_text
from ormdb.cli.console import output, safe, write_line
from ormdb.cli.query_args import entity_named
from ormdb.cli.tables import plain_table
from ormdb.ir.schema import EntityDef, FieldDef, SchemaBundle
from ormdb.ir.type_text import type_name
from ormdb.model.source import python_source


@click.command()
@click.argument("database")
@click.argument("entity", nargs=-1)
@click.option("--text", "form", flag_value="text", help="Print the schema in its text form.")
@click.option("--python", "form", flag_value="python", help="Print typed classes.")
@click.option("--mermaid", "form", flag_value="mermaid", help="Print a Mermaid diagram.")
def schema(database: str, entity: tuple[str, ...], form: str | None) -> None:
    """Print the schema, or the tables of some ENTITY only."""
    with ormdb.open(database, read_only=True) as db:
        bundle = db.schema
    if form is not None:
        makers = {"text": bundle_to_text, "python": python_source, "mermaid": bundle_to_mermaid}
        # Line by line: what these forms quote, they escape, but for exotic line separators.
        for line in makers[form](bundle).rstrip("\n").split("\n"):
            write_line(safe(line))
        return
    shown = [entity_named(bundle, name) for name in entity] if entity else bundle.entities
    for one in shown:
        _print_entity(one, bundle)


def _print_entity(entity: EntityDef, bundle: SchemaBundle) -> None:
    console = output()
    table = plain_table(["field", "type", "", "default", "doc"], title=safe(entity.name))
    for field in entity.fields:
        table.add_row(*(Text(safe(part)) for part in _field(field, entity)))
    console.print(table)
    for line in _members(entity, bundle):
        console.print(Text(safe(f"  {line}")), soft_wrap=True)
    console.print()


def _field(field: FieldDef, entity: EntityDef) -> tuple[str, str, str, str, str]:
    kind = type_name(field.type) + ("?" if field.optional else "")
    key = "identity" if field.name in entity.identity else ""
    made = ""
    if field.computed is not None:
        made = computed_text(field.computed)
    elif field.default is not None:
        made = default_text(field.default)
    return field.name, kind, key, made, field.doc


def _members(entity: EntityDef, bundle: SchemaBundle) -> Iterator[str]:
    for index in entity.indexes:
        yield index_text(index)
    for check in entity.checks:
        yield f"check {check.name}"
    for relation in bundle.relations:
        fields, targets = ", ".join(relation.fields), ", ".join(relation.target_fields)
        loose = "" if relation.enforced else ", not enforced"
        if relation.source == entity.name:
            yield f"{relation.name}: one {relation.target} ({fields} -> {targets}{loose})"
        if relation.target == entity.name and relation.inverse is not None:
            many = "one" if relation.inverse_one else "many"
            yield f"{relation.inverse}: {many} {relation.source} ({targets} <- {fields}{loose})"
    for through in bundle.throughs:
        if through.entity == entity.name:
            yield f"{through.name}: many {through.target} (through {through.edge})"
