"""A schema seen as class declarations: which names, annotations and options they would have.

    FieldDef "class": text, 40 characters     class_: Field[str] = field(name="class", max_chars=40)
    RelationDef flight.(tail) -> plane        plane: One[plane | None] = one(via="tail", ...)
    its inverse "flights"                     flights: Many[flight] = many(inverse="plane")

`dynamic` makes classes from this, `source` writes it as Python.  Foreign keys are always declared
fields here, with `via=`: that keeps their order, types and docs exactly.

Invariants (held by tests/property/test_python_source.py):
  1. Names are identifiers that Python does not change, unique among what they stand beside.
  2. What a declaration says by a name, `build` finds under that name.
"""

from __future__ import annotations

import keyword
import unicodedata
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final
from typing import Literal as Choice

from ormdb.ir.schema import (
    EntityDef,
    FieldDef,
    IndexField,
    LiteralDefault,
    RelationDef,
    SchemaBundle,
    ThroughDef,
)
from ormdb.ir.value import DecimalType, ListType, StructField, StructType, TextType, Type
from ormdb.model.build_relations import index_name
from ormdb.model.declaration import DefaultOf, Descending
from ormdb.model.entity import EntityMeta

# What a class body and its annotations use, in generated source as well.
USED_NAMES: Final = frozenset(
    {
        "Decimal", "Entity", "Field", "Json", "Literal", "Many", "One", "SCHEMA", "SCHEMA_DOC",
        "UTC", "UUID", "annotations", "bool", "bytes", "check", "dataclasses", "date", "datetime",
        "desc", "expression", "field", "float", "index", "int", "many", "now", "one", "sequence",
        "str", "time", "timedelta", "tuple", "uuid7",
    }
)  # fmt: skip
# Names under which a class offers queries; a field of that name would hide them.
_STARTERS: Final = frozenset(name for name in dir(EntityMeta) if not name.startswith("_"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One declaration in a class body; `type` of a field, `target` of a relation."""

    attribute: str
    marker: Choice["Field", "One", "Many"]
    type: Type | None
    target: str | None
    optional: bool
    options: Mapping[str, Any]


class Names:
    """The names of a schema in Python: of its classes, and of the members of each."""

    def __init__(self, bundle: SchemaBundle) -> None:
        self._bundle = bundle
        self.classes: dict[str, str] = {}
        for entity in bundle.entities:
            taken = USED_NAMES | set(self.classes.values())
            self.classes[entity.name] = identifier(entity.name, taken, _entity_names(bundle))
        self._members: dict[str, dict[str, str]] = {}
        for entity in bundle.entities:
            self._members[entity.name] = self._of_entity(entity)

    def member(self, entity: str, name: str) -> str:
        """The attribute that stands for a field or relation of an entity."""
        return self._members[entity][name]

    def _of_entity(self, entity: EntityDef) -> dict[str, str]:
        names = [field.name for field in entity.fields]
        names += [r.name for r in self._bundle.relations if r.source == entity.name]
        names += [
            r.inverse
            for r in self._bundle.relations
            if r.target == entity.name and r.inverse is not None
        ]
        names += [t.name for t in self._bundle.throughs if t.entity == entity.name]
        shadows = USED_NAMES | _STARTERS | set(self.classes.values())
        found: dict[str, str] = {}
        for name in names:
            found[name] = identifier(name, shadows | set(found.values()), names)
        return found


def identifier(name: str, taken: Container[str], others: Iterable[str]) -> str:
    """Return an identifier for `name`: itself if possible, else one that is neither taken nor
    what another name among `others` is called."""
    plain = unicodedata.normalize("NFKC", name)
    plain = "".join(char if f"_{char}".isidentifier() else "_" for char in plain)
    # Python rewrites and reserves names that begin with two underscores in a class.
    if plain.startswith("__") or not plain.strip("_") or not plain[0].isidentifier():
        plain = f"n_{plain.lstrip('_')}"
    avoided = set(others) - {name}
    while keyword.iskeyword(plain) or plain in taken or plain in avoided:
        plain += "_"
    return plain


def _entity_names(bundle: SchemaBundle) -> list[str]:
    return [entity.name for entity in bundle.entities]


def members(bundle: SchemaBundle, entity: EntityDef, names: Names) -> Iterator[Member]:
    """The declarations of one class: fields, foreign keys, back sides, ways over edges."""
    for field in entity.fields:
        yield _field(entity, field, names)
    for relation in bundle.relations:
        if relation.source == entity.name:
            yield _front(bundle, relation, names)
    for relation in bundle.relations:
        if relation.target == entity.name and relation.inverse is not None:
            yield _back(relation, relation.inverse, names)
    for through in bundle.throughs:
        if through.entity == entity.name:
            yield _through(through, names)


def shorthand_count(entity: EntityDef) -> int:
    """How many of the entity's indexes, from the first, are `unique=` or `index=` of a field.

    `build` lists those first, in the order of the fields; any other order has to be spelled out.
    """
    position = {field.name: number for number, field in enumerate(entity.fields)}
    before = (-1, False)
    for count, one in enumerate(entity.indexes):
        named = index_name((part.field for part in one.fields), unique=one.unique)
        plain = len(one.fields) == 1 and not one.fields[0].descending and one.name == named
        plain = plain and one.kind == "ordered" and one.condition is None and not one.deferred
        here = (position[one.fields[0].field], not one.unique)
        if not plain or here <= before:
            return count
        before = here
    return len(entity.indexes)


def index_columns(
    entity: str, parts: Iterable[IndexField], names: Names
) -> tuple[str | Descending, ...]:
    """The columns of an index, or of the order of an edge."""
    named = [(names.member(entity, part.field), part.descending) for part in parts]
    return tuple(Descending(field=name) if down else name for name, down in named)


def _field(entity: EntityDef, field: FieldDef, names: Names) -> Member:
    attribute = names.member(entity.name, field.name)
    options: dict[str, Any] = {}
    if attribute != field.name:
        options["name"] = field.name
    if field.name in entity.identity:
        options["identity"] = True
    if isinstance(field.default, LiteralDefault):
        options["default"] = field.default.value
    elif field.default is not None:
        made: DefaultOf[Any] = DefaultOf(field.default)
        options["default"] = made
    elif field.optional and field.computed is None:
        options["default"] = None  # so that a constructor call can go without it
    if field.computed is not None:
        options["computed"] = field.computed.expression
        if field.computed.stored:
            options["stored"] = True
    if field.fill is not None:
        options["fill"] = field.fill
    for one in entity.indexes[: shorthand_count(entity)]:
        if one.fields[0].field == field.name:
            options["unique" if one.unique else "index"] = True
    options.update(refinements(field.type))
    if field.doc:
        options["doc"] = field.doc
    return Member(
        attribute=attribute,
        marker="Field",
        type=field.type,
        target=None,
        optional=field.optional,
        options=options,
    )


def struct_name(class_name: str, attribute: str) -> str:
    """What the dataclass of a struct field is called, if nothing else is."""
    return class_name + "".join(word.capitalize() for word in attribute.split("_"))


def struct_attributes(kind: StructType) -> list[tuple[str, StructField]]:
    """The parts of a struct with the attributes that stand for them in a dataclass."""
    others = [part.name for part in kind.fields]
    found: dict[str, StructField] = {}
    for part in kind.fields:
        found[identifier(part.name, USED_NAMES | found.keys(), others)] = part
    return list(found.items())


def refinements(kind: Type) -> dict[str, int]:
    """What a type says that its annotation does not."""
    match kind:
        case ListType(item=item):
            return refinements(item)
        case DecimalType(precision=precision, scale=scale):
            return {"precision": precision, "scale": scale}
        case TextType(max_chars=int(chars)):
            return {"max_chars": chars}
        case _:
            return {}


def _front(bundle: SchemaBundle, relation: RelationDef, names: Names) -> Member:
    source, target = (
        next(entity for entity in bundle.entities if entity.name == name)
        for name in (relation.source, relation.target)
    )
    attribute = names.member(relation.source, relation.name)
    via = tuple(names.member(relation.source, name) for name in relation.fields)
    options: dict[str, Any] = {"name": relation.name} if attribute != relation.name else {}
    options["via"] = via[0] if len(via) == 1 else via
    if relation.target_fields != target.identity:
        there = tuple(names.member(relation.target, name) for name in relation.target_fields)
        options["references"] = there[0] if len(there) == 1 else there
    if not relation.enforced:
        options["enforced"] = False
    if relation.on_delete != "restrict":
        options["on_delete"] = relation.on_delete
    if relation.deferred:
        options["deferred"] = True
    if relation.doc:
        options["doc"] = relation.doc
    nullable = any(field.optional for field in source.fields if field.name in relation.fields)
    return Member(
        attribute=attribute,
        marker="One",
        type=None,
        target=names.classes[relation.target],
        optional=nullable or not relation.enforced,
        options=options,
    )


def _back(relation: RelationDef, inverse: str, names: Names) -> Member:
    attribute = names.member(relation.target, inverse)
    options: dict[str, Any] = {"name": inverse} if attribute != inverse else {}
    options["inverse"] = names.member(relation.source, relation.name)
    return Member(
        attribute=attribute,
        marker="One" if relation.inverse_one else "Many",
        type=None,
        target=names.classes[relation.source],
        optional=relation.inverse_one,
        options=options,
    )


def _through(through: ThroughDef, names: Names) -> Member:
    attribute = names.member(through.entity, through.name)
    options: dict[str, Any] = {"name": through.name} if attribute != through.name else {}
    near = names.member(through.edge, through.near)
    options["through"] = f"{names.classes[through.edge]}.{near}"
    options["to"] = names.member(through.edge, through.far)
    order = index_columns(through.edge, through.order, names)
    if order:
        options["order_by"] = order[0] if len(order) == 1 else order
    if through.doc:
        options["doc"] = through.doc
    return Member(
        attribute=attribute,
        marker="Many",
        type=None,
        target=names.classes[through.target],
        optional=False,
        options=options,
    )
