"""A class body declares fields, bases lend theirs, and a class begins queries."""

from __future__ import annotations

import copy
import pickle
from typing import Any, ClassVar

import pytest

from ormdb import Entity, Field, Query, check, field, index
from ormdb.errors import SchemaError, UsageError
from ormdb.model.build import build_bundle
from ormdb.model.declaration import declaration_of
from tests.unit.model.sample import AIRPORT, FIELD, FLIGHT, INDEX, MANY, Airport, Flight

THREE: Any = 3


class Named:
    """A mixin that is no entity."""

    name: Field[str] = field(doc="what it is called")
    greeting = "hello"

    def shout(self) -> str:
        """Behaviour of a mixin."""
        row: Any = self
        return f"{self.greeting} {row.name}".upper()


class Stamped(Entity, abstract=True):
    """An abstract base."""

    made: Field[int] = field(default=1)
    note: Field[str | None]

    __indexes__ = (index("made"),)


class Checked(Stamped, abstract=True):
    """A base of a base."""

    size: Field[int]

    __checks__ = (check("size > 0", name="size"),)


class Box(Checked, Named, name="boxes"):
    """A box.

    Of wood.
    """

    id: Field[int] = field(identity=True)
    note: Field[str] = FIELD(max_chars=9)  # pyright: ignore[reportIncompatibleVariableOverride]
    COLORS: ClassVar[tuple[str, ...]] = ("red",)

    @property
    def label(self) -> str:
        """Behaviour of the class."""
        return f"{self.id}!"


class Crate(Checked):
    """Another class with the same bases."""

    id: Field[int] = field(identity=True)


def test_fields_come_bases_first_and_a_redeclared_one_keeps_its_place() -> None:
    (box,) = build_bundle([Box]).entities
    assert [one.name for one in box.fields] == ["name", "made", "note", "size", "id"]
    assert [one.optional for one in box.fields if one.name == "note"] == [False]


def test_indexes_and_checks_are_inherited_once() -> None:
    (box,) = build_bundle([Box]).entities
    assert [one.name for one in box.indexes] == ["by_made"]
    assert [one.name for one in box.checks] == ["size"]


def test_every_class_has_its_own_columns_for_fields_it_inherits() -> None:
    assert Box.size.entity is Box
    assert Crate.size.entity is Crate
    assert Stamped.made.entity is Stamped
    made: Any = Box  # checkers know the fields of entities, not those of a mixin
    box = made(id=1, size=2, note="x", name="it")
    assert box.shout() == "HELLO IT"
    assert box.label == "1!"


def test_the_doc_and_the_name_of_an_entity_come_from_its_class() -> None:
    (box,) = build_bundle([Box]).entities
    assert box.doc == "A box.\n\nOf wood."
    assert box.name == "boxes"

    class Tin(Entity, doc="Said."):
        """Unsaid."""

        id: Field[int] = field(identity=True)

    assert build_bundle([Tin]).entities[0].doc == "Said."


def test_an_entity_that_extends_an_entity_is_refused() -> None:
    class Small(Crate):
        pass

    with pytest.raises(SchemaError, match="extends the entity Crate; put what they share"):
        build_bundle([Small])


def test_a_class_begins_every_kind_of_query() -> None:
    queries = [
        Flight.all(),
        Flight.where(Flight.id > 1),
        Flight.include(Flight.plane),
        Flight.order_by(Flight.id),
        Flight.select(Flight.id),
        Flight.limit(1),
        Flight.offset(1),
        Flight.after("x"),
        Flight.before("x"),
        Flight.as_of(3),
        Flight.budget(rows=3),
    ]
    assert all(isinstance(query, Query) for query in queries)
    assert len(set(queries)) == len(queries)


def test_a_field_may_have_the_name_of_a_query_method() -> None:
    class Rule(Entity):
        key: Field[str] = field(identity=True)
        limit: Field[int]

    rule: Any = Rule  # mypy takes the method of that name for it
    assert Query(Rule).where(rule.limit > 3).limit(2).ir.page.limit == 2
    assert Rule(key="a", limit=4).limit == 4


def test_objects_have_no_attributes_but_their_own() -> None:
    airport = Airport(faa="JFK", name="Kennedy")
    with pytest.raises(AttributeError, match="Airport has no field or relation 'nme'"):
        _ = getattr(airport, "nme")  # noqa: B009
    assert not hasattr(airport, "__dict__")
    assert not hasattr(Airport, "fax")
    assert not hasattr(airport, "where")


def test_an_implied_foreign_key_can_be_named() -> None:
    assert FLIGHT.origin_faa.path == ("origin_faa",)
    assert FLIGHT(dep_delay=1, origin_faa="JFK").origin_faa == "JFK"


def test_constructors_take_keywords_of_concrete_classes_only() -> None:
    with pytest.raises(UsageError, match="takes fields by keyword"):
        AIRPORT("JFK", "Kennedy")
    with pytest.raises(UsageError, match="Stamped is abstract"):
        Stamped(note=None)


def test_classes_are_pickled_by_name_and_copied_as_themselves() -> None:
    assert pickle.loads(pickle.dumps(Airport)) is Airport
    assert copy.deepcopy(Airport) is Airport
    assert repr(Airport) == "<entity tests.unit.model.sample.Airport>"


def test_mistakes_in_a_body_are_noted_with_their_remedies() -> None:
    class Wrong(Entity, soft_delete=True, color="red"):
        id: Field[int] = field(identity=True)
        plain: int
        value: Field[int] = THREE
        bare = FIELD(index=True)
        mixed: Field[int] = MANY(inverse="x")
        __policies__ = ()
        __indexes__ = INDEX("id")

    declaration = declaration_of(Wrong)
    assert sorted(declaration.problems) == [
        "Wrong.__indexes__ is no tuple; write __indexes__ = (index(...),)",
        "Wrong.bare has no type; write bare: Field[...] = ...",
        "Wrong.mixed is annotated Field but made by many(); use field()",
        "Wrong.plain is annotated 'int'; write Field[type], One[Entity] or Many[Entity]",
        "Wrong.value has a value beside its annotation; write = field(default=...)",
    ]
    assert set(declaration.unknown) == {"soft_delete", "color", "__policies__"}
