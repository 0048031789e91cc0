"""Hypothesis strategies for whole schemas that pass validation.

    bundles()           entities of every kind of field, default, index, check and relation
    bundles(odd=False)  the same with few plain names, so that two bundles share some

    first the entities with their identities, then foreign keys and relations between them, then
    the rest of the fields, so that everything refers to something that exists

Invariants (held by tests/property/test_strategies.py):
  1. Every bundle passes `ormdb.catalog.validate`.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final, TypeVar

from hypothesis import strategies as st

from ormdb import limits
from ormdb.ir.expr import Call, Compare, Expr, FieldRef, InList, IsNull, Literal, Not, Or
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
from ormdb.ir.value import (
    DateType,
    EnumType,
    IntType,
    JsonType,
    ListType,
    ScalarType,
    TextType,
    TimestampType,
    UuidType,
    is_scalar,
)
from ormdb.testing.strategies import (
    names,
    scalar_types,
    texts,
    types_of_fields,
    values,
)

T = TypeVar("T")

_FLAGS: Final = st.booleans()
_FEW_NAMES: Final = tuple("abcdefghijklmnopqrstuvwxyz")
_IDENTITY_TYPES: Final[tuple[ScalarType, ...]] = (IntType(), TextType(), UuidType())


@functools.cache
def docs() -> st.SearchStrategy[str]:
    """Docs, mostly none."""
    return st.just("") | st.just("One line.") | st.just('Two\n"lines" \\ #') | texts(20)


@functools.cache
def _few_names() -> st.SearchStrategy[str]:
    return st.sampled_from(_FEW_NAMES)


@functools.cache
def _numbers(count: int) -> st.SearchStrategy[int]:
    return st.integers(0, count - 1)


@functools.cache
def _identity_types() -> st.SearchStrategy[ScalarType]:
    return st.sampled_from(_IDENTITY_TYPES) | scalar_types()


@st.composite
def bundles(draw: st.DrawFn, *, odd: bool = True) -> SchemaBundle:
    """A valid bundle: declared, not numbered."""
    return _Drawing(draw, odd=odd).bundle()


@dataclass(slots=True)
class _Draft:
    """An entity under construction; `taken` are the names of all its members."""

    name: str
    fields: list[FieldDef]
    identity: tuple[str, ...]
    taken: set[str] = field(default_factory=set[str])
    indexes: list[IndexDef] = field(default_factory=list[IndexDef])


class _Drawing:
    """One bundle being drawn."""

    def __init__(self, draw: st.DrawFn, *, odd: bool) -> None:
        self._draw = draw
        self._names = names() if odd else _few_names()
        self._drafts: list[_Draft] = []
        self._relations: list[RelationDef] = []
        self._throughs: list[ThroughDef] = []

    def bundle(self) -> SchemaBundle:
        taken: set[str] = set()
        for _ in range(1 + self._below(3)):
            self._drafts.append(self._draft(self._name(taken)))
        for _ in range(self._below(4)):
            self._relation(self._one_of(self._drafts), self._one_of(self._drafts))
        if self._flag():
            self._through(taken)
        soft = self._soft()
        return SchemaBundle(
            entities=tuple(
                replace(self._entity(draft), soft_delete=draft.name in soft)
                for draft in self._drafts
            ),
            relations=tuple(self._relations),
            throughs=tuple(self._throughs),
            doc=self._draw(docs()),
        )

    def _soft(self) -> set[str]:
        """The entities that are deleted softly: what goes with one of them is one of them."""
        soft = {draft.name for draft in self._drafts if self._flag()}
        ends = [(one.source, one.target) for one in self._relations if one.on_delete == "cascade"]
        while hard := {target for source, target in ends if source not in soft} & soft:
            soft -= hard
        return soft

    # To build a strategy costs more than to draw from it, so all that are drawn from are kept.

    def _flag(self) -> bool:
        return self._draw(_FLAGS)

    def _below(self, count: int) -> int:
        return self._draw(_numbers(count))

    def _one_of(self, items: Sequence[T]) -> T:
        return items[self._below(len(items))]

    def _name(self, taken: set[str]) -> str:
        name = self._draw(self._names)
        while name in taken:
            name = name[: limits.NAME_CHARS_MAX - 1] + self._one_of(_FEW_NAMES)
        taken.add(name)
        return name

    def _draft(self, name: str) -> _Draft:
        taken: set[str] = set()
        kinds = [self._draw(_identity_types()) for _ in range(self._one_of((1, 1, 1, 2)))]
        fields = [
            FieldDef(
                name=self._name(taken),
                type=kind,
                default=self._identity_default(kind, first=number == 0),
                doc=self._draw(docs()),
            )
            for number, kind in enumerate(kinds)
        ]
        return _Draft(name, fields, tuple(each.name for each in fields), taken)

    def _identity_default(self, kind: object, *, first: bool) -> Default | None:
        if isinstance(kind, IntType) and first and self._flag():
            return SequenceDefault()
        return Uuid7Default() if isinstance(kind, UuidType) else None

    # --- relations ---

    def _relation(self, source: _Draft, target: _Draft, *, plain: bool = False) -> RelationDef:
        optional = not plain and self._flag()
        kinds = {each.name: each.type for each in target.fields}
        own = [
            FieldDef(name=self._name(source.taken), type=kinds[name], optional=optional)
            for name in target.identity
        ]
        source.fields += own
        name = self._name(source.taken)
        inverse, one = None, False
        if self._flag():
            inverse = self._name(target.taken)
            one = not plain and self._flag()
        fields = tuple(each.name for each in own)
        if one:
            self._index(source, fields, unique=True)
        # An edge is followed backwards, which takes an index: enforced, or with an inverse.
        enforced = self._flag() or (plain and inverse is None)
        ends: list[OnDelete] = ["restrict", "no_action"]
        if enforced:
            ends.append("cascade")
        if enforced and optional:
            ends.append("set_null")
        relation = RelationDef(
            name=name,
            source=source.name,
            fields=fields,
            target=target.name,
            target_fields=target.identity,
            inverse=inverse,
            inverse_one=one,
            on_delete=self._one_of(ends),
            enforced=enforced,
            deferred=enforced and self._flag(),
            doc=self._draw(docs()),
        )
        self._relations.append(relation)
        return relation

    def _through(self, taken: set[str]) -> None:
        left, right = self._one_of(self._drafts), self._one_of(self._drafts)
        edge = self._draft(self._name(taken))
        self._drafts.append(edge)
        near = self._relation(edge, left, plain=True)
        far = self._relation(edge, right, plain=True)
        order = tuple(IndexField(field=name, descending=self._flag()) for name in edge.identity)
        self._throughs.append(
            ThroughDef(
                name=self._name(left.taken),
                entity=left.name,
                edge=edge.name,
                near=near.name,
                far=far.name,
                target=right.name,
                order=order if self._flag() else (),
                doc=self._draw(docs()),
            )
        )

    def _index(
        self, draft: _Draft, fields: tuple[str, ...], *, unique: bool, deferred: bool = False
    ) -> None:
        taken = {index.name for index in draft.indexes}
        columns = tuple(IndexField(field=name, descending=self._flag()) for name in fields)
        name = self._name(taken)
        made = IndexDef(name=name, fields=columns, unique=unique, deferred=deferred)
        draft.indexes.append(made)

    # --- the rest of an entity ---

    def _entity(self, draft: _Draft) -> EntityDef:
        for _ in range(self._below(4)):
            draft.fields.append(self._field(draft.taken))
        plain = list(draft.fields)
        self._default_from_another(draft)
        self._computed(draft)
        scalars = [each.name for each in draft.fields if self._is_indexable(each)]
        for _ in range(self._below(3)):
            some = dict.fromkeys(self._one_of(scalars) for _ in range(1 + self._below(3)))
            unique = self._flag()
            self._index(draft, tuple(some), unique=unique, deferred=unique and self._flag())
            if self._flag():
                condition = self._condition(plain)
                draft.indexes[-1] = replace(draft.indexes[-1], condition=condition)
        self._token_index(draft)
        checks: list[CheckDef] = []
        if self._flag():
            checks.append(CheckDef(name=self._name(set()), expression=self._condition(plain)))
        return EntityDef(
            name=draft.name,
            fields=tuple(draft.fields),
            identity=draft.identity,
            indexes=tuple(draft.indexes),
            checks=tuple(checks),
            doc=self._draw(docs()),
        )

    def _token_index(self, draft: _Draft) -> None:
        """Now and then an index over a text, a list or JSON."""
        fitting: list[tuple[str, IndexKind]] = []
        for each in draft.fields:
            if each.computed is not None and not each.computed.stored:
                continue
            if isinstance(each.type, TextType):
                fitting.append((each.name, "full_text"))
            elif isinstance(each.type, JsonType) or (
                isinstance(each.type, ListType) and is_scalar(each.type.item)
            ):
                fitting.append((each.name, "inverted"))
        if fitting and self._flag():
            name, kind = self._one_of(fitting)
            taken = {index.name for index in draft.indexes}
            fields = (IndexField(field=name),)
            draft.indexes.append(IndexDef(name=self._name(taken), fields=fields, kind=kind))

    def _condition(self, fields: Sequence[FieldDef]) -> Expr:
        """A condition over one field; `strategies.conditions` has them in all shapes."""
        field = self._one_of(fields)
        ref = FieldRef(path=(field.name,))
        if not is_scalar(field.type) or self._flag():
            return IsNull(operand=ref)
        found = self._draw(values(field.type))
        if self._flag():
            return InList(operand=ref, items=Literal(value=(found, None)))
        test = Compare(op=self._one_of(("==", "<", ">=")), left=ref, right=Literal(value=found))
        return Not(operand=test) if self._flag() else Or(items=(test, IsNull(operand=ref)))

    @staticmethod
    def _is_indexable(each: FieldDef) -> bool:
        return is_scalar(each.type) and (each.computed is None or each.computed.stored)

    def _field(self, taken: set[str]) -> FieldDef:
        kind = self._draw(types_of_fields())
        defaults: list[Default | None] = [None, LiteralDefault(value=self._draw(values(kind)))]
        if isinstance(kind, TimestampType | DateType):
            defaults.append(NowDefault())
        if isinstance(kind, UuidType):
            defaults.append(Uuid7Default())
        return FieldDef(
            name=self._name(taken),
            type=kind,
            optional=self._flag(),
            default=self._one_of(defaults),
            fill=self._draw(values(kind)) if self._flag() else None,
            doc=self._draw(docs()),
        )

    def _default_from_another(self, draft: _Draft) -> None:
        """Give the last field the value of an earlier one as its default, where types allow."""
        last = draft.fields[-1]
        if last.name in draft.identity or last.default is not None:
            return
        same = [each for each in draft.fields[:-1] if each.type == last.type]
        wanted = self._flag()
        if same and wanted:
            ref = FieldRef(path=(same[0].name,))
            draft.fields[-1] = replace(last, default=ExpressionDefault(expression=ref))

    def _computed(self, draft: _Draft) -> None:
        if not self._flag():
            return
        source = self._one_of(draft.fields)
        ref: Expr = FieldRef(path=(source.name,))
        if isinstance(source.type, TextType):
            ref = Call(name="lower", arguments=(ref,))
        elif not isinstance(source.type, EnumType) and is_scalar(source.type):
            value = self._draw(values(source.type))
            ref = Call(name="coalesce", arguments=(ref, Literal(value=value)))
        kind = TextType() if isinstance(source.type, TextType) else source.type
        draft.fields.append(
            FieldDef(
                name=self._name(draft.taken),
                type=kind,
                optional=True,
                computed=Computed(expression=ref, stored=self._flag()),
            )
        )
