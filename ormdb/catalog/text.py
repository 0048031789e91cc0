"""A bundle as text that people read and write, and back.

    ormdb schema 1

    entity Flight
      doc "One departure from New York."
      identity id
      id: int = sequence
      dep_delay: int?
      arr_delay: int?
      gain: int? computed dep_delay - arr_delay
      origin_faa: text
      index by_origin on origin_faa, dep_delay desc
      index late on dep_delay where dep_delay > 60
      check plausible: dep_delay > -1440

    relation Flight.origin (origin_faa) -> Airport (faa)
      inverse departures

One declaration a line, two spaces a level.  `docs/formats/schema_text.md` says the rest.

Numbers (ids, slots, version) are not part of the text: they belong to one database.

Invariants (held by tests/unit/catalog/test_text.py and tests/property/test_catalog.py):
  1. `bundle_from_text(bundle_to_text(b)) == strip_numbers(b)`, for every valid bundle.
  2. Whatever the text is, reading ends in a bundle or in one SchemaError that lists every line
     that cannot be read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from ormdb.catalog.text_reader import HEADER, bundle_from_text
from ormdb.ir.scan import quote_name, quote_text
from ormdb.ir.schema import (
    Computed,
    Default,
    EntityDef,
    ExpressionDefault,
    FieldDef,
    IndexDef,
    IndexField,
    IndexKind,
    LiteralDefault,
    NowDefault,
    RelationDef,
    SchemaBundle,
    SequenceDefault,
    ThroughDef,
    Uuid7Default,
)
from ormdb.ir.type_text import type_name
from ormdb.model.expression_text import format_expression, format_literal

__all__ = [
    "bundle_from_text",
    "bundle_to_text",
    "computed_text",
    "default_text",
    "field_text",
    "index_text",
    "relation_text",
    "through_text",
]


_KINDS: Final[Mapping[IndexKind, str]] = {
    "ordered": "",
    "inverted": "inverted ",
    "full_text": "full text ",
}


def bundle_to_text(bundle: SchemaBundle) -> str:
    """Return a valid bundle as text."""
    return "\n".join(_lines(bundle)) + "\n"


def field_text(field: FieldDef) -> str:
    """A field's name, type, default and computation, on one line."""
    text = f"{quote_name(field.name)}: {type_name(field.type)}{'?' if field.optional else ''}"
    if field.default is not None:
        text += f" = {default_text(field.default)}"
    elif field.computed is not None:
        text += f" {computed_text(field.computed)}"
    return text


def default_text(default: Default) -> str:
    """What stands behind the `=` of a field."""
    match default:
        case LiteralDefault(value=value):
            return format_literal(value)
        case NowDefault():
            return "now"
        case Uuid7Default():
            return "uuid7"
        case SequenceDefault():
            return "sequence"
        case ExpressionDefault(expression=expression):
            return f"expression {format_expression(expression)}"


def computed_text(computed: Computed) -> str:
    """What stands behind the type of a computed field."""
    word = "stored" if computed.stored else "computed"
    return f"{word} {format_expression(computed.expression)}"


def index_text(index: IndexDef) -> str:
    """An index, on one line."""
    kind = "unique " if index.unique else _KINDS[index.kind]
    kind += "deferred " if index.deferred else ""
    text = f"{kind}index {quote_name(index.name)} on {_columns(index.fields)}"
    if index.condition is not None:
        text += f" where {format_expression(index.condition)}"
    return text


def relation_text(relation: RelationDef) -> str:
    """A relation's ends, on one line."""
    return (
        f"relation {quote_name(relation.source)}.{quote_name(relation.name)} "
        f"({_names(relation.fields)}) -> {quote_name(relation.target)} "
        f"({_names(relation.target_fields)})"
    )


def through_text(through: ThroughDef) -> str:
    """A many-to-many relation's ends, on one line."""
    return (
        f"through {quote_name(through.entity)}.{quote_name(through.name)} -> "
        f"{quote_name(through.target)} over {quote_name(through.edge)} "
        f"from {quote_name(through.near)} to {quote_name(through.far)}"
    )


def _lines(bundle: SchemaBundle) -> Iterator[str]:
    yield HEADER
    yield from _doc(bundle.doc, "")
    for entity in bundle.entities:
        yield ""
        yield from _entity(entity)
    for number, relation in enumerate(bundle.relations):
        if number == 0:
            yield ""
        yield from _relation(relation)
    for number, through in enumerate(bundle.throughs):
        if number == 0:
            yield ""
        yield through_text(through)
        if through.order:
            yield f"  order {_columns(through.order)}"
        yield from _doc(through.doc, "  ")


def _entity(entity: EntityDef) -> Iterator[str]:
    yield f"entity {quote_name(entity.name)}"
    yield from _doc(entity.doc, "  ")
    yield f"  identity {_names(entity.identity)}"
    if entity.soft_delete:
        yield "  soft delete"
    for field in entity.fields:
        yield f"  {field_text(field)}"
        if field.default is not None and field.computed is not None:
            yield f"    {computed_text(field.computed)}"
        if field.fill is not None:
            yield f"    fill {format_literal(field.fill)}"
        yield from _doc(field.doc, "    ")
    for index in entity.indexes:
        yield f"  {index_text(index)}"
    for check in entity.checks:
        yield f"  check {quote_name(check.name)}: {format_expression(check.expression)}"


def _relation(relation: RelationDef) -> Iterator[str]:
    yield relation_text(relation)
    if relation.inverse is not None:
        one = "one " if relation.inverse_one else ""
        yield f"  inverse {one}{quote_name(relation.inverse)}"
    if relation.on_delete != "restrict":
        yield f"  on delete {relation.on_delete.replace('_', ' ')}"
    if relation.deferred:
        yield "  deferred"
    if not relation.enforced:
        yield "  not enforced"
    yield from _doc(relation.doc, "  ")


def _doc(doc: str, indent: str) -> Iterator[str]:
    """One line of the doc a line, so that a long one stays readable."""
    if doc:
        for line in doc.split("\n"):
            yield f"{indent}doc {quote_text(line)}"


def _names(names: Sequence[str]) -> str:
    return ", ".join(map(quote_name, names))


def _columns(columns: Sequence[IndexField]) -> str:
    return ", ".join(
        f"{quote_name(column.field)}{' desc' if column.descending else ''}" for column in columns
    )
