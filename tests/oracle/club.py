"""One schema with every kind of constraint and relation, for the tests of writing and checking.

    Town     identity (code: text)         unique (zone, lot), where a lot may be NULL
    Member   identity (id: int, sequence)  town: slot mode over text       (Member.town_code)
                                           at most one of the board in a town; words of two texts
                                           plot: slot mode over (zone, lot), not the identity
                                           mentor: int mode, to itself     (Member.mentor_id)
                                           idol: not enforced, by text     (Member.idol_name)
    Idol     identity (name: text)
    Node     identity (path: text, part: int)   parent: slot mode, to itself, composite
    Note     identity (id: uuid)           by: int mode to Member; seq: a sequence that is no key

`CLUB` is as declared; `NUMBERED` as the catalog stores it first.  `loose_club` gives its relations
other ends than restrict, lets some checks wait for the end of a transaction, and some rows be
deleted softly.
"""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Final

from ormdb.catalog.assign import assign_numbers
from ormdb.catalog.declared import normalize
from ormdb.ir.expr import Arithmetic, Compare, CompareOp, FieldRef, Literal
from ormdb.ir.schema import (
    CheckDef,
    Computed,
    EntityDef,
    ExpressionDefault,
    FieldDef,
    IndexDef,
    IndexField,
    LiteralDefault,
    OnDelete,
    RelationDef,
    SchemaBundle,
    SequenceDefault,
    Uuid7Default,
)
from ormdb.ir.value import EnumType, IntType, TextType, UuidType, Value

RANKS: Final = ("new", "full", "board")
_INT, _TEXT = IntType(), TextType()


def _field(name: str) -> FieldRef:
    return FieldRef(path=(name,))


def _index(
    name: str, *fields: str, unique: bool = False, where: tuple[str, CompareOp, Value] | None = None
) -> IndexDef:
    """An index over fields; one that begins with "-" descends."""
    parts = tuple(
        IndexField(field=field.removeprefix("-"), descending=field.startswith("-"))
        for field in fields
    )
    condition = None
    if where is not None:
        field, op, value = where
        condition = Compare(op=op, left=_field(field), right=Literal(value=value))
    return IndexDef(name=name, fields=parts, unique=unique, condition=condition)


def _words(name: str, *fields: str) -> IndexDef:
    parts = tuple(IndexField(field=field) for field in fields)
    return IndexDef(name=name, fields=parts, kind="full_text")


_TOWN = EntityDef(
    name="Town",
    identity=("code",),
    fields=(
        FieldDef(name="code", type=_TEXT),
        FieldDef(name="zone", type=_TEXT, default=LiteralDefault(value="north")),
        FieldDef(name="lot", type=_INT, optional=True),
        FieldDef(name="size", type=_INT, optional=True),
    ),
    indexes=(_index("plots", "zone", "lot", unique=True), _index("by_size", "-size")),
)
_MEMBER = EntityDef(
    name="Member",
    identity=("id",),
    fields=(
        FieldDef(name="id", type=_INT, default=SequenceDefault()),
        FieldDef(name="email", type=_TEXT, optional=True),
        FieldDef(name="points", type=_INT, default=LiteralDefault(value=1)),
        FieldDef(name="rank", type=EnumType(variants=RANKS), optional=True),
        FieldDef(name="town_code", type=_TEXT, optional=True),
        FieldDef(name="zone", type=_TEXT, optional=True),
        FieldDef(name="lot", type=_INT, optional=True),
        FieldDef(name="mentor_id", type=_INT, optional=True),
        FieldDef(name="idol_name", type=_TEXT, optional=True),
        FieldDef(
            name="double",
            type=_INT,
            optional=True,
            computed=Computed(
                expression=Arithmetic(op="*", left=_field("points"), right=Literal(value=2)),
                stored=True,
            ),
        ),
        FieldDef(
            name="bonus",
            type=_INT,
            optional=True,
            default=ExpressionDefault(
                expression=Arithmetic(op="+", left=_field("points"), right=Literal(value=100))
            ),
        ),
    ),
    indexes=(
        _index("emails", "email", unique=True),
        _index("one_per_plot", "zone", "lot", "rank", unique=True),
        _index("by_points", "points"),
        _index("by_rank", "rank", "-points"),
        _index("by_double", "-double", "email"),
        _index("one_board", "town_code", unique=True, where=("rank", "==", "board")),
        _index("rich", "-points", where=("points", ">=", 3)),
        _words("words", "email", "idol_name"),
    ),
    checks=(
        CheckDef(
            name="few_points",
            expression=Compare(op="<", left=_field("points"), right=Literal(value=1_000)),
        ),
    ),
)
_IDOL = EntityDef(
    name="Idol",
    identity=("name",),
    fields=(FieldDef(name="name", type=_TEXT), FieldDef(name="fans", type=_INT, optional=True)),
)
_NODE = EntityDef(
    name="Node",
    identity=("path", "part"),
    fields=(
        FieldDef(name="path", type=_TEXT),
        FieldDef(name="part", type=_INT),
        FieldDef(name="up_path", type=_TEXT, optional=True),
        FieldDef(name="up_part", type=_INT, optional=True),
        FieldDef(name="label", type=_TEXT, optional=True),
    ),
    indexes=(_index("by_label", "label", "-part"), _words("label_words", "label")),
)
_NOTE = EntityDef(
    name="Note",
    identity=("id",),
    fields=(
        FieldDef(name="id", type=UuidType(), default=Uuid7Default()),
        FieldDef(name="seq", type=_INT, default=SequenceDefault()),
        FieldDef(name="member_id", type=_INT),
        FieldDef(name="text", type=_TEXT, optional=True),
    ),
    indexes=(_index("by_seq", "-seq"), _words("text_words", "text")),
)


def _relation(name: str, way: str, inverse: str, *, enforced: bool = True) -> RelationDef:
    """A relation written as "Source.(field, …) -> Target.(field, …)"."""
    source, target = (end.strip().split(".") for end in way.split("->"))
    return RelationDef(
        name=name,
        source=source[0],
        fields=tuple(source[1].strip("()").split(", ")),
        target=target[0],
        target_fields=tuple(target[1].strip("()").split(", ")),
        inverse=inverse,
        enforced=enforced,
    )


CLUB: Final = SchemaBundle(
    entities=(_TOWN, _MEMBER, _IDOL, _NODE, _NOTE),
    relations=(
        _relation("town", "Member.(town_code) -> Town.(code)", "members"),
        _relation("plot", "Member.(zone, lot) -> Town.(zone, lot)", "settlers"),
        _relation("mentor", "Member.(mentor_id) -> Member.(id)", "pupils"),
        _relation("idol", "Member.(idol_name) -> Idol.(name)", "admirers", enforced=False),
        _relation("parent", "Node.(up_path, up_part) -> Node.(path, part)", "children"),
        _relation("by", "Note.(member_id) -> Member.(id)", "notes"),
    ),
)
_ENDS: Final[tuple[OnDelete, ...]] = ("restrict", "cascade", "set_null", "no_action")


def loose_club(number: int) -> SchemaBundle:
    """The club with other ends of its relations, and some of its checks late, drawn by a number."""
    draw = random.Random(number)
    entities = {entity.name: entity for entity in CLUB.entities}

    def drawn(relation: RelationDef) -> RelationDef:
        if not relation.enforced:
            return relation
        fields = entities[relation.source].fields
        optional = all(field.optional for field in fields if field.name in relation.fields)
        end = draw.choice([end for end in _ENDS if optional or end != "set_null"])
        return replace(relation, on_delete=end, deferred=draw.random() < 0.4)

    relations = tuple(drawn(relation) for relation in CLUB.relations)
    soft = {name for name in entities if draw.random() < 0.4}
    relations = tuple(
        replace(one, on_delete="restrict")
        if one.on_delete == "cascade" and one.target in soft and one.source not in soft
        else one
        for one in relations
    )
    late = {name for name in ("emails", "one_per_plot", "one_board") if draw.random() < 0.5}
    return replace(
        CLUB,
        relations=relations,
        entities=tuple(
            replace(
                entity,
                soft_delete=entity.name in soft,
                indexes=tuple(replace(i, deferred=i.name in late) for i in entity.indexes),
            )
            for entity in CLUB.entities
        ),
    )


NUMBERED: Final = replace(assign_numbers(normalize(CLUB), None), version=1)
