"""Generated schemas: every kind of identity, relation, index and computed field.

    Alpha   identity (k: text)        by_u unique (u: int?)
    Beta    identity (id: int)        to_alpha (f0: text) -> Alpha.k, inverse betas
            two relations may share a field; one may lead to itself, or to a unique field
    Gamma   identity (p, q)           an edge entity: left and right, with `rank` to order by

A world is what a seed makes: `make_world(random.Random(seed))` is the same every time.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final

from ormdb.catalog.declared import own_fields
from ormdb.ir.evaluate import coerce_literals
from ormdb.ir.expr import And, Expr, FieldRef, IsNull, Not
from ormdb.ir.schema import (
    Computed,
    EntityDef,
    FieldDef,
    IndexDef,
    IndexField,
    IndexKind,
    RelationDef,
    SchemaBundle,
    ThroughDef,
)
from ormdb.ir.value import (
    BoolType,
    BytesType,
    DateType,
    DecimalType,
    DurationType,
    EnumType,
    FloatType,
    IntType,
    JsonType,
    ListType,
    StructField,
    StructType,
    TextType,
    TimestampType,
    TimeType,
    Type,
    UuidType,
    is_scalar,
)
from tests.oracle.expressions import ExpressionMaker

ENUM: Final = EnumType(variants=("red", "green", "blue", "Amber"))
PRICE: Final = DecimalType(precision=12, scale=2)
_NAMES: Final = ("Alpha", "Beta", "Gamma", "Delta", "Omega")
_IDENTITIES: Final[tuple[tuple[Type, ...], ...]] = (
    (TextType(),),
    (TextType(), IntType()),
    (IntType(), DateType()),
    (UuidType(),),
    (DateType(),),
    (ENUM,),
    (PRICE,),
    (TimestampType(),),
    (BytesType(),),
    (FloatType(),),
    (DecimalType(precision=38, scale=10), BoolType()),
)
_SCALARS: Final[tuple[Type, ...]] = (
    IntType(),
    IntType(),
    TextType(),
    TextType(),
    TextType(max_chars=700),
    FloatType(),
    BoolType(),
    PRICE,
    DecimalType(precision=38, scale=6),
    ENUM,
    TimestampType(),
    DateType(),
    TimeType(),
    DurationType(),
    UuidType(),
    BytesType(),
)
_UNIQUE: Final[tuple[Type, ...]] = (IntType(), TextType(), UuidType(), PRICE)
_COMPUTED: Final[tuple[Type, ...]] = (IntType(), TextType(), BoolType(), FloatType(), ENUM)
_NESTED: Final[tuple[Type, ...]] = (
    JsonType(),
    JsonType(),
    ListType(item=IntType()),
    ListType(item=TextType()),
    StructType(fields=(StructField(name="x", type=IntType()),)),
)


@dataclass(frozen=True, slots=True)
class World:
    """A schema, and which of its fields hold values small enough for arithmetic."""

    bundle: SchemaBundle
    small: frozenset[tuple[str, str]]


@dataclass(slots=True)
class _Draft:
    name: str
    fields: dict[str, FieldDef] = field(default_factory=dict[str, FieldDef])
    identity: tuple[str, ...] = ()
    indexes: list[IndexDef] = field(default_factory=list[IndexDef])

    def add(self, name: str, kind: Type, *, optional: bool = False) -> str:
        self.fields[name] = FieldDef(name=name, type=kind, optional=optional)
        return name

    def index(self, parts: list[IndexField], *, unique: bool = False) -> None:
        name = f"x{len(self.indexes)}"
        self.indexes.append(IndexDef(name=name, fields=tuple(parts), unique=unique))

    def token_index(self, names: list[str], kind: IndexKind) -> None:
        fields = tuple(IndexField(field=name) for name in names)
        self.indexes.append(IndexDef(name=f"x{len(self.indexes)}", fields=fields, kind=kind))


def make_world(rng: random.Random) -> World:
    """The world of one state of randomness."""
    return _Maker(rng).make()


class _Maker:
    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.small: set[tuple[str, str]] = set()
        self.relations: list[RelationDef] = []

    def make(self) -> World:
        drafts = [_Draft(name) for name in _NAMES[: self.rng.choice([2, 3, 3, 4, 5])]]
        edge = drafts[-1] if len(drafts) > 2 and self.rng.random() < 0.7 else None
        for draft in drafts:
            if draft is not edge:
                self._identity(draft)
            self._plain_fields(draft)
        for number, draft in enumerate(drafts):
            if draft is edge:
                self._edge(draft, drafts[:number])
            elif self.rng.random() < 0.9:
                for _ in range(self.rng.choice([1, 1, 2, 3])):
                    self._relation(draft, self.rng.choice(drafts), may_enforce=drafts[: number + 1])
        for draft in drafts:
            self._computed(draft)
            self._indexes(draft)
        entities = tuple(
            EntityDef(
                name=draft.name,
                fields=tuple(draft.fields.values()),
                identity=draft.identity,
                indexes=tuple(draft.indexes),
            )
            for draft in drafts
        )
        bundle = SchemaBundle(
            entities=entities, relations=tuple(self.relations), throughs=self._throughs()
        )
        return World(bundle, frozenset(self.small))

    def _identity(self, draft: _Draft) -> None:
        if self.rng.random() < 0.4:
            draft.identity = (draft.add("id", IntType()),)
            return
        kinds = self.rng.choice(_IDENTITIES)
        draft.identity = tuple(draft.add(f"k{n}", kind) for n, kind in enumerate(kinds))

    def _plain_fields(self, draft: _Draft) -> None:
        for number in range(self.rng.randint(2, 6)):
            kind = self.rng.choice(_SCALARS)
            name = draft.add(f"f{number}", kind, optional=self.rng.random() < 0.5)
            if not isinstance(kind, TextType) and self.rng.random() < 0.6:
                self.small.add((draft.name, name))
        if self.rng.random() < 0.4:
            draft.add("nested", self.rng.choice(_NESTED), optional=self.rng.random() < 0.5)
        if self.rng.random() < 0.5:
            kind = self.rng.choice(_UNIQUE)
            draft.add("u", kind, optional=self.rng.random() < 0.7)
            draft.index([IndexField(field="u", descending=self.rng.random() < 0.3)], unique=True)

    def _relation(
        self,
        draft: _Draft,
        target: _Draft,
        *,
        may_enforce: list[_Draft],
        name: str | None = None,
        optional: bool | None = None,
    ) -> RelationDef | None:
        """One more relation; None when the target has no identity yet."""
        rng = self.rng
        keys = target.identity
        if "u" in target.fields and rng.random() < 0.3:
            keys = ("u",)
        if not keys:
            return None
        kinds = [target.fields[key].type for key in keys]
        name = name or f"to{sum(r.source == draft.name for r in self.relations)}"
        fields = self._foreign_key(draft, kinds, name, optional=optional)
        enforced = target in may_enforce and rng.random() < 0.55
        # One that is not enforced and has no inverse can only be followed forwards.
        inverse = f"{draft.name.lower()}_{name}" if rng.random() < 0.85 else None
        single = inverse is not None and rng.random() < 0.2
        if single and not _is_unique(draft, fields):
            draft.index([IndexField(field=part) for part in fields], unique=True)
        relation = RelationDef(
            name=name,
            source=draft.name,
            fields=fields,
            target=target.name,
            target_fields=keys,
            inverse=inverse,
            inverse_one=single,
            enforced=enforced,
        )
        self.relations.append(relation)
        return relation

    def _foreign_key(
        self, draft: _Draft, kinds: list[Type], name: str, *, optional: bool | None
    ) -> tuple[str, ...]:
        """New fields of these types, or ones that another relation has already."""
        rng = self.rng
        alike = [
            relation.fields
            for relation in self.relations
            if relation.source == draft.name
            and [draft.fields[part].type for part in relation.fields] == kinds
        ]
        if alike and optional is None and rng.random() < 0.35:
            return rng.choice(alike)
        null = rng.random() < 0.6 if optional is None else optional
        return tuple(draft.add(f"{name}_{n}", kind, optional=null) for n, kind in enumerate(kinds))

    def _edge(self, draft: _Draft, others: list[_Draft]) -> None:
        """An entity between two others, or between one and itself."""
        rng = self.rng
        keyed = rng.random() < 0.4
        left, right = rng.choice(others), rng.choice(others)
        made = [
            self._relation(
                draft, end, may_enforce=others, name=name, optional=not keyed and rng.random() < 0.3
            )
            for name, end in (("left", left), ("right", right))
        ]
        parts = [part for relation in made if relation is not None for part in relation.fields]
        if keyed and not any(draft.fields[part].optional for part in parts):
            draft.identity = tuple(dict.fromkeys(parts))
        else:
            draft.identity = (draft.add("id", IntType()),)
        draft.add("rank", IntType(), optional=rng.random() < 0.5)
        self.small.add((draft.name, "rank"))

    def _throughs(self) -> tuple[ThroughDef, ...]:
        """Ways over every entity with two relations, in both directions now and then."""
        throughs: list[ThroughDef] = []
        for near in self.relations:
            for far in self.relations:
                if near is far or near.source != far.source or self.rng.random() < 0.3:
                    continue
                if not near.enforced and near.inverse is None:
                    continue
                order: tuple[IndexField, ...] = ()
                if near.name in {"left", "right"} and self.rng.random() < 0.6:
                    order = (IndexField(field="rank", descending=self.rng.random() < 0.5),)
                throughs.append(
                    ThroughDef(
                        name=f"via{len(throughs)}",
                        entity=near.target,
                        edge=near.source,
                        near=near.name,
                        far=far.name,
                        target=far.target,
                        order=order,
                    )
                )
        return tuple(throughs[:6])

    def _computed(self, draft: _Draft) -> None:
        """Up to two computed fields over the plain ones, stored or not."""
        # A computed field is made of the plain fields of its entity.
        plain = [
            ((name,), each, (draft.name, name) in self.small)
            for name, each in draft.fields.items()
            if each.computed is None
        ]
        maker = ExpressionMaker(self.rng, plain)
        for number in range(self.rng.choice([0, 0, 1, 2])):
            kind = self.rng.choice(_COMPUTED)
            expression = maker.value(kind, 2)
            name = f"c{number}"
            draft.fields[name] = FieldDef(
                name=name,
                type=kind,
                optional=True,
                computed=Computed(expression=expression, stored=self.rng.random() < 0.5),
            )

    def _indexes(self, draft: _Draft) -> None:
        rng = self.rng
        scalars = [
            name
            for name, each in draft.fields.items()
            if is_scalar(each.type) and (each.computed is None or each.computed.stored)
        ]
        foreign = [r.fields for r in self.relations if r.source == draft.name]
        for _ in range(rng.choice([0, 1, 2, 3])):
            first = list(rng.choice(foreign)) if foreign and rng.random() < 0.5 else []
            rest = [name for name in scalars if name not in first]
            names = first + rng.sample(rest, min(len(rest), rng.choice([0, 1, 1, 2])))
            if names:
                draft.index([IndexField(field=n, descending=rng.random() < 0.4) for n in names])
                if rng.random() < 0.4:
                    condition = self._index_condition(draft, scalars)
                    draft.indexes[-1] = replace(draft.indexes[-1], condition=condition)
        self._token_indexes(draft)

    def _index_condition(self, draft: _Draft, scalars: list[str]) -> Expr:
        """What the rows of a partial index have in common: a few plain comparisons."""
        rng = self.rng
        known = [((name,), draft.fields[name], False) for name in scalars]
        maker = ExpressionMaker(rng, known)
        parts: list[Expr] = []
        for name in rng.sample(scalars, min(len(scalars), rng.choice([1, 1, 2]))):
            kind, ref = draft.fields[name].type, FieldRef(path=(name,))
            here = ((name,), kind)
            leaves: list[Callable[[], Expr]] = [
                partial(maker.field_compared, *here),
                partial(maker.field_listed, *here),
                partial(Not, operand=IsNull(operand=ref)),
                partial(IsNull, operand=ref),
            ]
            parts.append(rng.choice(leaves)())
        whole = parts[0] if len(parts) == 1 else And(items=tuple(parts))
        entity = EntityDef(
            name=draft.name, fields=tuple(draft.fields.values()), identity=draft.identity
        )
        return coerce_literals(whole, own_fields(entity), expected=BoolType())

    def _token_indexes(self, draft: _Draft) -> None:
        """Indexes over lists, JSON and texts, if there are any."""
        rng = self.rng
        stored = {
            name: each.type
            for name, each in draft.fields.items()
            if each.computed is None or each.computed.stored
        }
        texts = [name for name, kind in stored.items() if isinstance(kind, TextType)]
        if texts and rng.random() < 0.6:
            parts = rng.sample(texts, min(len(texts), rng.choice([1, 1, 2])))
            draft.token_index(parts, "full_text")
        nested = [name for name, kind in stored.items() if isinstance(kind, JsonType | ListType)]
        for name in nested:
            if rng.random() < 0.7:
                draft.token_index([name], "inverted")


def _is_unique(draft: _Draft, names: tuple[str, ...]) -> bool:
    if sorted(draft.identity) == sorted(names):
        return True
    return any(
        index.unique and sorted(part.field for part in index.fields) == sorted(names)
        for index in draft.indexes
    )
