"""Objects that a program makes, to be inserted.

    Flight(dep_delay=3, origin=Airport.key("JFK"))

    values      dep_delay  3
    relations   origin     Key, which the insert turns into origin_faa="JFK"
    id          left to its default: reading it raises until a fetch brings it

Values are kept as they were given.  Their types are checked when the row is inserted, a column at
a time; only names are checked here, because nobody else would know which class was meant.

Invariants (held by tests/unit/model/test_drafts.py):
  1. An unknown name and a missing value are refused at once, all of them in one error.
  2. `row_of` of a fetched object can be inserted elsewhere, and is the same row there.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from typing import Any

from ormdb import limits
from ormdb.errors import RequiredError, SchemaError, UsageError
from ormdb.ir.value import RowDict, Value
from ormdb.model.annotation import Convert
from ormdb.model.declaration import (
    Declaration,
    DeclaredField,
    DeclaredOne,
    declaration_of,
)
from ormdb.model.objects import (
    ALONE,
    NO_RELATIONS,
    NOT_LOADED,
    ObjectNode,
    ObjectState,
    new_object,
    set_at,
    set_node,
)
from ormdb.model.relation import Key, foreign_values


class DraftNode(ObjectNode):
    """The node of one object that a program made."""

    __slots__ = ("entity", "is_stored", "relations")
    is_draft = True

    def __init__(
        self,
        entity: type,
        values: Mapping[str, Value],
        relations: Mapping[str, object],
        *,
        is_stored: bool = False,
    ) -> None:
        """`is_stored` tells what an insert gave back from what is to be inserted."""
        super().__init__(values)
        self.entity = entity
        self.relations = relations
        self.is_stored = is_stored

    def identity_at(self, at: int) -> tuple[Value, ...] | None:
        try:
            names = declaration_of(self.entity).identity_names()
            row = _row_of(self)
        except (SchemaError, UsageError):  # not known yet, or that of a row that has none yet
            return None
        values = tuple(row.get(name) for name in names)
        return None if None in values or not values else values

    def related(self, name: str, at: int) -> object:
        found = self.relations.get(name, NOT_LOADED)
        return NOT_LOADED if isinstance(found, Key) else found

    def related_names(self) -> Iterable[str]:
        return [name for name, found in self.relations.items() if not isinstance(found, Key)]

    def related_keys(self) -> Mapping[str, object]:
        shown = {name: self.related(name, ALONE) for name in self.relations}
        return {name: self.relations[name] for name, one in shown.items() if one is NOT_LOADED}

    def take_apart(self, of: ObjectState) -> tuple[Any, ...]:
        parts = (self.entity, dict(self.columns), dict(self.relations), self.is_stored)
        return _restore, parts


def fill_draft(made: ObjectState, values: Mapping[str, object]) -> None:
    """Make a new object hold `values`, given by their names in Python.

    Raises:
      UsageError: a name is unknown, or not for a program to set; every such name is listed.
      RequiredError: required values are missing; every one is listed.
    """
    kind = type(made)
    declaration = declaration_of(kind)
    names = tuple(values)
    plan = declaration.plans.get(names)
    if plan is None:
        plan = _plan(declaration, names)
        if len(declaration.plans) >= limits.GENERATED_CODE_ENTRIES_MAX:
            declaration.plans.clear()
        declaration.plans[names] = plan
    fields: dict[str, Any] = {}
    relations: dict[str, object] = {}
    for (name, is_relation), value in zip(plan, values.values(), strict=True):
        if is_relation:
            relations[name] = value
        else:
            fields[name] = value
    set_node(made, DraftNode(kind, fields, relations))
    set_at(made, ALONE)


def row_of(of: ObjectState, *, leaving: Container[str] = ()) -> RowDict:
    """Return the loaded fields of an object as a row to insert; computed ones are left out, as are
    the foreign keys of relations that are `leaving`."""
    node, at = of.__ormdb_node__, of.__ormdb_at__
    if isinstance(node, DraftNode):
        return _row_of(node, leaving)
    computed = declaration_of(type(of)).computed_names
    return {name: value for name, value in node.values_at(at).items() if name not in computed}


def with_identity(of: ObjectState, identity: tuple[Value, ...]) -> Any:
    """Return the object with the identity that its insert gave it, or that it has already where it
    was found by other fields."""
    kind = type(of)
    node = of.__ormdb_node__
    fields = node.values_at(of.__ormdb_at__)
    is_as_given = node.identity_at(of.__ormdb_at__) in (None, identity)
    for name, value in zip(declaration_of(kind).identity_names(), identity, strict=True):
        if not (is_as_given and name in fields):
            fields[name] = value
    relations = node.relations if isinstance(node, DraftNode) else NO_RELATIONS
    return new_object(kind, DraftNode(kind, fields, relations, is_stored=True))


def stored_draft(
    of: ObjectState, identity: tuple[Value, ...], relations: Mapping[str, object]
) -> Any:
    """Return the object with the identity that it was written under, leading to others."""
    kind = type(of)
    fields = of.__ormdb_node__.values_at(of.__ormdb_at__)
    for name, value in zip(declaration_of(kind).identity_names(), identity, strict=True):
        fields.setdefault(name, value)
    return new_object(kind, DraftNode(kind, fields, relations, is_stored=True))


def _row_of(node: DraftNode, leaving: Container[str] = ()) -> RowDict:
    declaration = declaration_of(node.entity)
    row: RowDict = dict(node.columns)
    for name, encode in _encoders(declaration).items():
        value = row.get(name)
        if value is not None:
            row[name] = encode(value)
    for name, target in node.relations.items():
        if name in leaving:
            continue
        declared_one = declaration.relations[name]
        assert isinstance(declared_one, DeclaredOne), f"{name} passed the plan"
        row.update(foreign_values(declared_one, target))
    return row


def _encoders(declaration: Declaration) -> Mapping[str, Convert]:
    """The fields whose values differ in Python from those of `ir`, with what encodes them."""
    if declaration.encoders is not None:
        return declaration.encoders
    kinds = {name: declared.known_kind for name, declared in declaration.fields.items()}
    found = {
        name: kind.encode
        for name, kind in kinds.items()
        if kind is not None and kind.encode is not None
    }
    if None not in kinds.values():
        declaration.encoders = found
    return found


def _plan(declaration: Declaration, names: tuple[str, ...]) -> Sequence[tuple[str, bool]]:
    """What the constructor does with these names: the schema's name, and whether a relation.

    A program makes objects in few places, each with its own names, so this is rarely computed.
    """
    shown = declaration.entity.__name__
    if declaration.abstract:
        raise UsageError(f"{shown} is abstract; make an object of a class that extends it")
    problems = [problem for name in names if (problem := _refusal(declaration, name)) is not None]
    problems += _given_twice(declaration, names)
    if problems:
        raise UsageError(f"{shown}(...): {'; '.join(problems)}", problems=tuple(problems))
    missing = [
        attribute
        for attribute, declared in declaration.attributes.items()
        if attribute not in names
        and isinstance(declared, DeclaredField | DeclaredOne)
        and declared.required
        and not _given_by_key(declared, names)
    ]
    if missing:
        raise RequiredError(
            f"{shown}(...) lacks {', '.join(missing)}; give every required field a value",
            kind="required",
            entity=declaration.name,
            fields=tuple(missing),
        )
    plan: list[tuple[str, bool]] = []
    for name in names:
        found = declaration.attributes.get(name)
        plan.append((name if found is None else found.name, isinstance(found, DeclaredOne)))
    return plan


def _given_twice(declaration: Declaration, names: tuple[str, ...]) -> list[str]:
    """Relations that are given both as an object and by their foreign key."""
    problems: list[str] = []
    for name in names:
        declared = declaration.attributes.get(name)
        if isinstance(declared, DeclaredOne):
            both = [one for one in _foreign_names(declared) if one in names]
            problems += [f"{name} and {one} are the same; give one of them" for one in both]
    return problems


def _refusal(declaration: Declaration, name: str) -> str | None:
    found = declaration.attributes.get(name)
    if found is None:
        if name in _implied_names(declaration):
            return None
        known = ", ".join(declaration.attributes)
        return f"it has no field {name!r} (it has {known})"
    if isinstance(found, DeclaredField):
        return f"{name} is computed" if found.options.computed is not None else None
    if not isinstance(found, DeclaredOne) or found.is_back:
        return f"{name} is set on the other side of the relation"
    if found.options.via is not None:
        return f"{name} follows {', '.join(found.foreign_names())}; give that instead"
    return None


def _implied_names(declaration: Declaration) -> set[str]:
    """The foreign key fields that relations without `via` add."""
    names: set[str] = set()
    for one in declaration.relations.values():
        if isinstance(one, DeclaredOne) and not one.is_back and one.options.via is None:
            names.update(_foreign_names(one))
    return names


def _foreign_names(declared: DeclaredOne) -> tuple[str, ...]:
    if declared.is_back:
        return ()
    try:
        return declared.foreign_names()
    except SchemaError:  # its target is not defined yet
        return ()


def _given_by_key(declared: DeclaredField | DeclaredOne, names: tuple[str, ...]) -> bool:
    if isinstance(declared, DeclaredField):
        return False
    foreign = _foreign_names(declared)
    return bool(foreign) and set(foreign) <= set(names)


def _restore(
    kind: type,
    values: dict[str, Value],
    relations: dict[str, object],
    is_stored: bool = False,  # pickle gives it by position
) -> object:
    return new_object(kind, DraftNode(kind, values, relations, is_stored=is_stored))
