"""Reads the text form of a bundle, line by line.

    line                                     what it opens or adds to
    entity Flight                            an entity
      dep_delay: int? = 0                    a field of it
        doc "Minutes."                       the doc of that field
    relation Flight.plane (…) -> Plane (…)   a relation
      not enforced                           a property of it

A line that cannot be read is noted and left out, and reading goes on, so that all mistakes are
told at once.  Whether the whole makes sense is `validate`'s affair.

Invariants (held by tests/unit/catalog/test_text.py and tests/property/test_catalog.py):
  1. Every line of a text is either used or reported with its number.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final, TypeVar

from ormdb.errors import ExpressionError, SchemaError
from ormdb.ir.scan import Scanner
from ormdb.ir.schema import (
    CheckDef,
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
    OnDelete,
    RelationDef,
    SchemaBundle,
    SequenceDefault,
    ThroughDef,
    Uuid7Default,
)
from ormdb.ir.type_text import scan_type
from ormdb.ir.value import Value
from ormdb.model.expression_text import parse_expression, parse_literal

T = TypeVar("T")

HEADER: Final = "ormdb schema 1"
_LINES_SHOWN_MAX: Final = 100
_KINDS: Final[dict[str, IndexKind]] = {"inverted": "inverted", "full": "full_text"}
_DEFAULTS: Final[dict[str, Default]] = {
    "now": NowDefault(),
    "uuid7": Uuid7Default(),
    "sequence": SequenceDefault(),
}


def bundle_from_text(text: str) -> SchemaBundle:
    """Return the bundle that `text` declares.  It may still contradict itself: see `validate`.

    Raises:
      SchemaError: lines cannot be read; `problems` has a sentence for each, with its number.
    """
    reader = _Reader()
    for number, line in enumerate(text.split("\n"), 1):
        reader.read(number, line.removesuffix("\r"))
    return reader.finish()


@dataclass(slots=True)
class _Field:
    """A field under construction."""

    made: FieldDef
    computed: Computed | None = None
    fill: Value = None
    doc: list[str] = field(default_factory=list[str])

    def finish(self) -> FieldDef:
        made = self.made
        return FieldDef(
            name=made.name,
            type=made.type,
            optional=made.optional,
            default=made.default,
            computed=self.computed,
            fill=self.fill,
            doc="\n".join(self.doc),
        )


@dataclass(slots=True)
class _Entity:
    """An entity under construction."""

    name: str
    identity: tuple[str, ...] = ()
    fields: list[_Field] = field(default_factory=list[_Field])
    indexes: list[IndexDef] = field(default_factory=list[IndexDef])
    checks: list[CheckDef] = field(default_factory=list[CheckDef])
    soft_delete: bool = False
    doc: list[str] = field(default_factory=list[str])

    def finish(self) -> EntityDef:
        return EntityDef(
            name=self.name,
            fields=tuple(each.finish() for each in self.fields),
            identity=self.identity,
            indexes=tuple(self.indexes),
            checks=tuple(self.checks),
            soft_delete=self.soft_delete,
            doc="\n".join(self.doc),
        )


@dataclass(slots=True)
class _Relation:
    """A relation under construction."""

    source: str
    name: str
    fields: tuple[str, ...]
    target: str
    target_fields: tuple[str, ...]
    inverse: str | None = None
    inverse_one: bool = False
    on_delete: OnDelete = "restrict"
    enforced: bool = True
    deferred: bool = False
    doc: list[str] = field(default_factory=list[str])

    def finish(self) -> RelationDef:
        return RelationDef(
            name=self.name,
            source=self.source,
            fields=self.fields,
            target=self.target,
            target_fields=self.target_fields,
            inverse=self.inverse,
            inverse_one=self.inverse_one,
            on_delete=self.on_delete,
            enforced=self.enforced,
            deferred=self.deferred,
            doc="\n".join(self.doc),
        )


@dataclass(slots=True)
class _Through:
    """A many-to-many relation under construction."""

    entity: str
    name: str
    target: str
    edge: str
    near: str
    far: str
    order: tuple[IndexField, ...] = ()
    doc: list[str] = field(default_factory=list[str])

    def finish(self) -> ThroughDef:
        return ThroughDef(
            name=self.name,
            entity=self.entity,
            edge=self.edge,
            near=self.near,
            far=self.far,
            target=self.target,
            order=self.order,
            doc="\n".join(self.doc),
        )


class _Reader:
    """Reads lines one after the other; knows what the line before left open."""

    def __init__(self) -> None:
        self._problems: list[str] = []
        self._entities: list[_Entity] = []
        self._relations: list[_Relation] = []
        self._throughs: list[_Through] = []
        self._doc: list[str] = []
        self._has_header = False
        # What an indented line belongs to; None where the opening line could not be read.
        self._block: _Entity | _Relation | _Through | None = None
        self._field: _Field | None = None

    def read(self, number: int, line: str) -> None:
        content = line.lstrip(" ")
        scanner = Scanner(line)
        if scanner.is_at_end():
            return
        try:
            self._read_level(len(line) - len(content), scanner)
        except (SchemaError, ExpressionError) as error:
            self._problems.append(f"line {number}: {error.message}")

    def finish(self) -> SchemaBundle:
        if not self._has_header and not self._problems:
            self._problems.append(f"the text is empty; begin it with '{HEADER}'")
        if self._problems:
            shown = self._problems[:_LINES_SHOWN_MAX]
            listed = "".join(f"\n  - {problem}" for problem in shown)
            raise SchemaError(
                f"the schema text cannot be read:{listed}", problems=tuple(self._problems)
            )
        return SchemaBundle(
            entities=tuple(each.finish() for each in self._entities),
            relations=tuple(each.finish() for each in self._relations),
            throughs=tuple(each.finish() for each in self._throughs),
            doc="\n".join(self._doc),
        )

    def _read_level(self, indent: int, scanner: Scanner) -> None:
        if not self._has_header:
            self._has_header = True
            for word in HEADER.split(" ")[:2]:
                scanner.expect_word(word)
            if scanner.take_number() != int(HEADER.rpartition(" ")[2]):
                raise SchemaError(f"this is a schema text of another format; use '{HEADER}'")
            scanner.expect_end()
        elif indent == 0:
            self._block = self._field = None
            self._read_opening(scanner)
        elif indent == 2:
            self._field = None
            self._read_member(scanner)
        elif indent == 4:
            self._read_field_property(scanner)
        else:
            raise SchemaError(f"{indent} spaces stand before the line; indent by 0, 2 or 4")

    def _read_opening(self, scanner: Scanner) -> None:
        word = scanner.expect_word("entity", "relation", "through", "doc")
        match word:
            case "doc":
                self._doc.append(scanner.take_text())
            case "entity":
                self._block = _Entity(scanner.take_name())
                self._entities.append(self._block)
            case "relation":
                self._block = _scan_relation(scanner)
                self._relations.append(self._block)
            case _:
                self._block = _scan_through(scanner)
                self._throughs.append(self._block)
        scanner.expect_end()

    def _read_member(self, scanner: Scanner) -> None:
        match self._block:
            case _Entity() as entity:
                self._read_entity_member(entity, scanner)
            case _Relation() as relation:
                _read_relation_property(relation, scanner)
            case _Through() as through:
                _read_through_property(through, scanner)
            case None:
                raise SchemaError("the line belongs to nothing; indent under what was declared")
        scanner.expect_end()

    def _read_entity_member(self, entity: _Entity, scanner: Scanner) -> None:
        name = scanner.take_name_before(":")
        if name is not None:
            self._field = _scan_field(name, scanner)
            entity.fields.append(self._field)
            return
        match scanner.expect_word(
            "doc", "identity", "soft", "index", "unique", "inverted", "full", "check"
        ):
            case "soft":
                scanner.expect_word("delete")
                entity.soft_delete = True
            case "doc":
                entity.doc.append(scanner.take_text())
            case "identity":
                entity.identity = _scan_list(scanner, scanner.take_name)
            case "check":
                check = scanner.take_name()
                scanner.expect_mark(":")
                expression = parse_expression(scanner.take_rest())
                entity.checks.append(CheckDef(name=check, expression=expression))
            case word:
                if word == "full":
                    scanner.expect_word("text")
                unique = word == "unique"
                deferred = unique and scanner.take_word("deferred") is not None
                if word != "index":
                    scanner.expect_word("index")
                made = _scan_index(scanner, _KINDS.get(word, "ordered"))
                entity.indexes.append(replace(made, unique=unique, deferred=deferred))

    def _read_field_property(self, scanner: Scanner) -> None:
        if self._field is None:
            raise SchemaError("the line belongs to no field; indent it by two spaces only")
        match scanner.expect_word("doc", "fill", "computed", "stored"):
            case "doc":
                self._field.doc.append(scanner.take_text())
                scanner.expect_end()
            case "fill":
                self._field.fill = parse_literal(scanner.take_rest())
            case word:
                self._field.computed = _scan_computed(word, scanner)


def _scan_field(name: str, scanner: Scanner) -> _Field:
    kind, optional = scan_type(scanner), scanner.take_mark("?")
    default: Default | None = None
    computed: Computed | None = None
    if scanner.take_mark("="):
        default = _scan_default(scanner)
    elif (word := scanner.take_word("computed", "stored")) is not None:
        computed = _scan_computed(word, scanner)
    made = FieldDef(name=name, type=kind, optional=optional, default=default)
    return _Field(made, computed)


def _scan_default(scanner: Scanner) -> Default:
    word = scanner.take_word(*_DEFAULTS, "expression")
    if word is None:
        return LiteralDefault(value=parse_literal(scanner.take_rest()))
    if word == "expression":
        return ExpressionDefault(expression=parse_expression(scanner.take_rest()))
    return _DEFAULTS[word]


def _scan_computed(word: str, scanner: Scanner) -> Computed:
    expression = parse_expression(scanner.take_rest())
    return Computed(expression=expression, stored=word == "stored")


def _scan_index(scanner: Scanner, kind: IndexKind) -> IndexDef:
    name = scanner.take_name()
    scanner.expect_word("on")
    columns = _scan_list(scanner, lambda: _scan_column(scanner))
    condition = None
    if scanner.take_word("where") is not None:
        condition = parse_expression(scanner.take_rest())
    return IndexDef(name=name, fields=columns, kind=kind, condition=condition)


def _scan_column(scanner: Scanner) -> IndexField:
    name = scanner.take_name()
    return IndexField(field=name, descending=scanner.take_word("desc") is not None)


def _scan_relation(scanner: Scanner) -> _Relation:
    source = scanner.take_name()
    scanner.expect_mark(".")
    name = scanner.take_name()
    fields = _scan_bracketed(scanner)
    scanner.expect_mark("->")
    return _Relation(source, name, fields, scanner.take_name(), _scan_bracketed(scanner))


def _scan_through(scanner: Scanner) -> _Through:
    entity = scanner.take_name()
    scanner.expect_mark(".")
    name = scanner.take_name()
    scanner.expect_mark("->")
    target = scanner.take_name()
    edge, near, far = (_scan_after(scanner, word) for word in ("over", "from", "to"))
    return _Through(entity, name, target, edge, near, far)


def _scan_after(scanner: Scanner, word: str) -> str:
    scanner.expect_word(word)
    return scanner.take_name()


def _read_relation_property(relation: _Relation, scanner: Scanner) -> None:
    match scanner.expect_word("inverse", "on", "not", "deferred", "doc"):
        case "doc":
            relation.doc.append(scanner.take_text())
        case "deferred":
            relation.deferred = True
        case "not":
            scanner.expect_word("enforced")
            relation.enforced = False
        case "on":
            scanner.expect_word("delete")
            relation.on_delete = _scan_on_delete(scanner)
        case _:
            # "inverse one" alone names the inverse "one".
            name = scanner.take_name()
            relation.inverse_one = name == "one" and not scanner.is_at_end()
            relation.inverse = scanner.take_name() if relation.inverse_one else name


def _scan_on_delete(scanner: Scanner) -> OnDelete:
    match scanner.expect_word("restrict", "cascade", "set", "no"):
        case "restrict":
            return "restrict"
        case "cascade":
            return "cascade"
        case "set":
            scanner.expect_word("null")
            return "set_null"
        case _:
            scanner.expect_word("action")
            return "no_action"


def _read_through_property(through: _Through, scanner: Scanner) -> None:
    if scanner.expect_word("order", "doc") == "doc":
        through.doc.append(scanner.take_text())
    else:
        through.order = _scan_list(scanner, lambda: _scan_column(scanner))


def _scan_bracketed(scanner: Scanner) -> tuple[str, ...]:
    scanner.expect_mark("(")
    names = _scan_list(scanner, scanner.take_name)
    scanner.expect_mark(")")
    return names


def _scan_list(scanner: Scanner, take: Callable[[], T]) -> tuple[T, ...]:
    items = [take()]
    while scanner.take_mark(","):
        items.append(take())
    return tuple(items)
