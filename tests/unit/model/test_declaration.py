"""A declaration keeps what a class says and reads annotations only when it is asked."""

from __future__ import annotations

import pytest

from ormdb import Entity, Field, Many, One, field, many, one
from ormdb.errors import SchemaError, UsageError
from ormdb.model.declaration import DeclaredOne, declaration_of, entity_name
from tests.unit.model.sample import FIELD, Airport, Flight, Plane


def front(entity: type[Entity], name: str) -> DeclaredOne:
    found = declaration_of(entity).relations[name]
    assert isinstance(found, DeclaredOne)
    return found


def test_classes_may_name_one_another_in_any_order() -> None:
    assert declaration_of(Airport).relations["departures"].target is Flight
    assert front(Flight, "plane").target is Plane
    assert front(Flight, "plane").optional
    assert not front(Flight, "origin").optional


def test_a_foreign_key_is_named_after_its_relation_and_the_identity_it_holds() -> None:
    assert front(Flight, "origin").foreign_names() == ("origin_faa",)
    assert front(Flight, "plane").foreign_names() == ("tailnum",)


def test_an_identity_may_rest_on_that_of_another_entity() -> None:
    class Book(Entity):
        isbn: Field[str] = field(identity=True)

    class Copy(Entity):
        book: One[Book] = one(identity=True)
        number: Field[int] = field(identity=True)

    class Loan(Entity):
        copy: One[Copy] = one(identity=True)

    assert declaration_of(Loan).identity_names() == ("copy_book_isbn", "copy_number")


def test_an_identity_that_rests_on_itself_is_refused() -> None:
    class Egg(Entity):
        hen: One[Hen] = one(identity=True)

    class Hen(Entity):
        egg: One[Egg] = one(identity=True)

    for declared in declaration_of(Egg).attributes.values():
        declared.scope.know({"Egg": Egg, "Hen": Hen})
    for declared in declaration_of(Hen).attributes.values():
        declared.scope.know({"Egg": Egg, "Hen": Hen})
    with pytest.raises(SchemaError, match="rests on itself; give it a field of its own"):
        declaration_of(Egg).identity_names()


def test_an_unknown_option_is_kept_to_be_refused() -> None:
    class Box(Entity):
        size: Field[int] = FIELD(soft=True, max_chars=4)

    declared = declaration_of(Box).fields["size"]
    assert declared.unknown == {"soft": True}
    assert declared.options.max_chars == 4


def test_a_relation_to_a_class_that_is_not_defined_yet_is_unknown_for_now() -> None:
    class Leaf(Entity):
        tree: One[Tree]
        rings: Many[Ring] = many(inverse="leaf")  # type: ignore[name-defined]  # noqa: F821  # pyright: ignore[reportUndefinedVariable, reportUnknownVariableType]

    assert front(Leaf, "tree").known_target is None

    class Tree(Entity):
        id: Field[int] = field(identity=True)

    front(Leaf, "tree").scope.know({"Tree": Tree})
    assert front(Leaf, "tree").target is Tree
    with pytest.raises(SchemaError, match="'Ring' is not defined; import it, or add its class"):
        _ = declaration_of(Leaf).relations["rings"].target


def test_what_is_no_entity_has_no_declaration() -> None:
    with pytest.raises(UsageError, match="<class 'int'> is no entity"):
        declaration_of(int)
    assert entity_name("anything") == "anything"
    assert entity_name(Flight) == "Flight"
