"""Classes become one bundle, or one error that lists every mistake."""

from __future__ import annotations

import datetime
import decimal
import uuid
from typing import Any, NewType

import pytest

from ormdb import (
    Entity,
    Field,
    Json,
    Many,
    One,
    check,
    desc,
    expression,
    field,
    index,
    many,
    now,
    one,
    sequence,
    uuid7,
)
from ormdb.errors import SchemaError, UnsupportedError
from ormdb.ir.expr import Compare, FieldRef, Literal
from ormdb.ir.schema import (
    CheckDef,
    Computed,
    EntityDef,
    ExpressionDefault,
    FieldDef,
    IndexDef,
    IndexField,
    LiteralDefault,
    NowDefault,
    RelationDef,
    SchemaBundle,
    SequenceDefault,
    ThroughDef,
    Uuid7Default,
)
from ormdb.ir.value import (
    DecimalType,
    IntType,
    JsonType,
    ListType,
    TextType,
    TimestampType,
    UuidType,
)
from ormdb.model.build import build_bundle
from ormdb.model.declaration import NOT_BUILT
from ormdb.model.expression_text import format_expression
from tests.unit.model.sample import (
    FIELD,
    INDEX,
    MANY,
    ONE,
    SCHEMA,
    Airport,
    Engine,
    Flight,
    Place,
    Plane,
)

ANNOTATED = (Json, datetime, decimal, uuid)


def problems_of(*entities: type[Any]) -> list[str]:
    with pytest.raises(SchemaError) as caught:
        build_bundle(entities)
    assert all(problem in caught.value.message for problem in caught.value.problems)
    return list(caught.value.problems)


def fields_of(entity: type[Any], *others: type[Any]) -> dict[str, FieldDef]:
    return {one.name: one for one in build_bundle([entity, *others]).entities[0].fields}


def test_classes_become_entities_with_the_fields_of_their_foreign_keys() -> None:
    bundle = build_bundle(SCHEMA, doc="Flights.")
    assert bundle.doc == "Flights."
    assert [entity.name for entity in bundle.entities] == ["Airport", "Flight", "Plane"]
    flight = bundle.entities[1]
    assert [(one.name, one.optional) for one in flight.fields] == [
        ("id", False),
        ("dep_delay", True),
        ("tailnum", True),
        ("origin_faa", False),
        ("dest_faa", True),
    ]
    assert flight.identity == ("id",)
    assert flight.doc == "One departure."
    assert bundle == build_bundle(SCHEMA, doc="Flights.")


def test_both_directions_of_a_relation_are_named() -> None:
    origin, dest, plane = build_bundle(SCHEMA).relations
    assert origin == RelationDef(
        name="origin",
        source="Flight",
        fields=("origin_faa",),
        target="Airport",
        target_fields=("faa",),
        inverse="departures",
    )
    assert (dest.inverse, dest.fields) == (None, ("dest_faa",))
    assert (plane.enforced, plane.fields, plane.inverse) == (False, ("tailnum",), "flights")


def test_options_of_a_field_reach_its_definition() -> None:
    class Everything(Entity):
        id: Field[int] = field(identity=True, default=sequence())
        at: Field[datetime.datetime] = field(default=now())
        key: Field[uuid.UUID] = field(default=uuid7())
        engine: Field[Engine] = field(default=Engine.JET, fill=Engine.PROP)
        place: Field[Place | None] = field(default=Place(lat=1.0))
        price: Field[decimal.Decimal] = field(precision=8, scale=2, default=decimal.Decimal(3))
        name: Field[str | None] = field(max_chars=9, doc="What it is called.", default=None)
        lower: Field[str | None] = field(default=expression("lower(name)"))
        twice: Field[int] = field(computed="id + id", stored=True)
        tags: Field[tuple[str, ...]] = field(default=("a",), name="the tags")
        notes: Field[Json | None] = field(default={"a": [1]})

    fields = fields_of(Everything)
    assert fields["id"].default == SequenceDefault()
    assert (fields["at"].type, fields["at"].default) == (TimestampType(), NowDefault())
    assert (fields["key"].type, fields["key"].default) == (UuidType(), Uuid7Default())
    assert fields["engine"].default == LiteralDefault(value="jet")
    assert fields["engine"].fill == "prop"
    assert fields["place"].default == LiteralDefault(value={"lat": 1.0, "house no": None})
    assert fields["price"].type == DecimalType(precision=8, scale=2)
    assert str(fields["price"].default) == "LiteralDefault(value=Decimal('3.00'))"
    assert fields["name"] == FieldDef(
        name="name", type=TextType(max_chars=9), optional=True, doc="What it is called."
    )
    assert isinstance(fields["lower"].default, ExpressionDefault)
    assert isinstance(fields["twice"].computed, Computed)
    assert fields["twice"].computed.stored
    assert fields["the tags"].type == ListType(item=TextType())
    assert fields["notes"].type == JsonType()


def test_indexes_and_checks_are_named_or_get_usual_names() -> None:
    class Box(Entity):
        id: Field[int] = field(identity=True)
        size: Field[int] = field(index=True, unique=True)
        color: Field[str] = field(name="colour")

        __indexes__ = (
            index("color", desc(size)),
            index(size, unique=True, name="by_the_size"),
        )
        __checks__ = (
            check("size > 0"),
            check(Compare(op=">", left=FieldRef(path=("id",)), right=Literal(value=0)), name="ids"),
        )

    (box,) = build_bundle([Box]).entities
    size = IndexField(field="size")
    assert box.indexes == (
        IndexDef(name="unique_size", fields=(size,), unique=True),
        IndexDef(name="by_size", fields=(size,)),
        IndexDef(
            name="by_colour_size",
            fields=(IndexField(field="colour"), IndexField(field="size", descending=True)),
        ),
        IndexDef(name="by_the_size", fields=(size,), unique=True),
    )
    assert box.checks[0] == CheckDef(
        name="check_1",
        expression=Compare(op=">", left=FieldRef(path=("size",)), right=Literal(value=0)),
    )
    assert box.checks[1].name == "ids"


def test_relations_of_every_cardinality_are_found() -> None:
    class User(Entity):
        id: Field[int] = field(identity=True)
        profile: One[Profile | None] = one(inverse="user")
        boss: One[User | None] = one(default=None)
        staff: Many[User] = many(inverse="boss")
        groups: Many[Group] = many(through="Member.user", to="group", order_by=desc("since"))

    class Profile(Entity):
        user: One[User] = one(identity=True)

    class Group(Entity):
        id: Field[int] = field(identity=True)
        name: Field[str] = field(unique=True)
        users: Many[User] = many(through="Member.group", to="user", doc="Who is in it.")

    class Member(Entity):
        user: One[User] = one(identity=True)
        group: One[Group] = one(identity=True, references="name")
        since: Field[int]

    bundle = build_bundle([User, Profile, Group, Member])
    boss, profile, user, group = bundle.relations
    assert (boss.source, boss.target, boss.inverse) == ("User", "User", "staff")
    assert (profile.inverse, profile.inverse_one) == ("profile", True)
    assert user.fields == ("user_id",)
    assert (group.fields, group.target_fields) == (("group_name",), ("name",))
    assert bundle.entities[3].identity == ("user_id", "group_name")
    assert bundle.throughs == (
        ThroughDef(
            name="groups",
            entity="User",
            edge="Member",
            near="user",
            far="group",
            target="Group",
            order=(IndexField(field="since", descending=True),),
        ),
        ThroughDef(
            name="users",
            entity="Group",
            edge="Member",
            near="group",
            far="user",
            target="User",
            doc="Who is in it.",
        ),
    )


def test_a_back_side_to_one_row_makes_its_foreign_key_unique() -> None:
    class Head(Entity):
        id: Field[int] = field(identity=True)
        hat: One[Hat | None] = one(inverse="head")

    class Hat(Entity):
        id: Field[int] = field(identity=True)
        head: One[Head] = one()

    hat = build_bundle([Head, Hat]).entities[1]
    assert hat.indexes == (
        IndexDef(name="unique_head_id", fields=(IndexField(field="head_id"),), unique=True),
    )

    class Cap(Entity):
        id: Field[int] = field(identity=True)
        wearer: One[Neck] = one(unique=True)

    class Neck(Entity):
        id: Field[int] = field(identity=True)
        cap: One[Cap | None] = one(inverse="wearer")

    assert len(build_bundle([Cap, Neck]).entities[0].indexes) == 1


def test_one_field_may_belong_to_several_relations() -> None:
    class Hour(Entity):
        origin: Field[str] = field(identity=True)
        at: Field[int] = field(identity=True)

    class Trip(Entity):
        id: Field[int] = field(identity=True)
        faa: Field[str]
        at: Field[int]
        airport: One[Airport] = one(via="faa")
        hour: One[Hour | None] = one(via=("faa", "at"), enforced=False)

    bundle = build_bundle([Hour, Trip, Airport, Flight, Plane])
    assert [r.fields for r in bundle.relations if r.source == "Trip"] == [("faa",), ("faa", "at")]


def test_the_names_of_the_schema_may_differ_from_those_of_python() -> None:
    class Class(Entity, name="class"):
        def_: Field[int] = field(identity=True, name="def")
        from_: Many[Pupil] = many(inverse="class_", name="from")

    class Pupil(Entity, name="pupil no 1"):
        id: Field[int] = field(identity=True)
        class_: One[Class] = one(name="class")

    bundle = build_bundle([Class, Pupil])
    (relation,) = bundle.relations
    assert relation.source == "pupil no 1"
    assert (relation.name, relation.inverse) == ("class", "from")
    assert (relation.fields, relation.target_fields) == (("class_def",), ("def",))


def test_the_mistakes_of_all_classes_come_at_once() -> None:
    class First(Entity):
        id: Field[int | None] = field(identity=True)
        tags: Field[list[str]]
        sub: One[Missing]  # type: ignore[name-defined]  # noqa: F821  # pyright: ignore[reportUndefinedVariable, reportUnknownVariableType]
        strange: Field[int] = FIELD(colour="red")
        doc: Field[int] = FIELD(doc=5)

    class Two(Entity):
        id: Field[int] = FIELD(identity=True, default="x")
        one: One[First] = one(enforced=False)
        lost: Many[First] = many(inverse="nothing")
        price: Field[int | None] = field(computed="price +")
        late: Field[int | None] = FIELD(stored=True)

    assert problems_of(First, Two) == [
        (
            "First.strange: field() has no option 'colour'; it has name, identity, default, "
            "computed, stored, fill, unique, index, precision, scale, max_chars, "
            "ge, gt, le, lt, doc"
        ),
        "First.doc: doc=5 is of no use; give a str",
        "First.id: an identity is never NULL; take `| None` from its annotation",
        "First.tags: list[str] is no field type; use tuple[T, ...]",
        "First.sub: 'Missing' is not defined; import it, or add its class to schema=[...]",
        "Two.id: Two.id: text 'x' is not an int; give a whole number",
        problems_of(First, Two)[6],
        "Two.late: stored= is for computed fields; give computed= as well",
        "Two.one: a relation that is not enforced may lead nowhere; write One[First | None]",
        (
            "Two.lost: First has no relation 'nothing' in this schema that it could be the back "
            "of; it has sub"
        ),
    ]


# --- relations that lead nowhere --------------------------------------------------------------


class Tree(Entity):
    id: Field[int] = field(identity=True)
    leaves: Many[Leaf] = many(inverse="tree")


class Leaf(Entity):
    id: Field[int] = field(identity=True)
    number: Field[int | None]
    tree: One[Tree]


class NotInSchema(Entity):
    id: Field[int] = field(identity=True)
    tree: One[Tree]


class Twice(Entity):
    id: Field[int] = field(identity=True)
    leaves: Many[Leaf] = many(inverse="tree")


class ByNullable(Entity):
    id: Field[int] = field(identity=True)
    number: Field[int | None]
    tree: One[Tree] = one(via="number")


class ByNothing(Entity):
    id: Field[int] = field(identity=True)
    tree: One[Tree] = one(via="nmber")


class Exploding(Entity):
    id: Field[int] = field(identity=True)
    tree: One[Tree] = ONE(on_delete="explode")


class Bare(Entity):
    id: Field[int] = field(identity=True)
    trees: Many[Tree] = MANY()


class NoEdge(Entity):
    id: Field[int] = field(identity=True)
    trees: Many[Tree] = many(through="Edge.tree", to="leaf")


class NoFront(Entity):
    id: Field[int] = field(identity=True)
    trees: Many[Tree] = many(through="Leaf.number", to="tree")


class Required(Entity):
    id: Field[int] = field(identity=True)
    tree: One[Leaf] = one(inverse="tree")


class Value(Entity):
    id: Field[int] = field(identity=True)
    number: One[int]


REST: list[type[Any]] = [Tree, Leaf]


@pytest.mark.parametrize(
    ("entity", "others", "words"),
    [
        (NotInSchema, [], "Tree is not in the schema; add it to schema=[...]"),
        (Twice, REST, "is no back of it, because it leads to Tree"),
        (ByNullable, REST, "ByNullable.number may be NULL; write One[Tree | None]"),
        (ByNothing, REST, "via names 'nmber', which is no field"),
        (Exploding, REST, "on_delete='explode' is unknown; it is one of restrict, cascade,"),
        (Bare, REST, 'it says no way; write many(inverse="origin")'),
        (NoEdge, REST, "through='Edge.tree' names no entity of the schema"),
        (NoFront, REST, "Leaf has no foreign key 'number'; it has tree"),
        (Required, REST, "no row may lead back; write One[Leaf | None]"),
        (Value, REST, "<class 'int'> is no entity"),
    ],
)
def test_a_relation_that_leads_nowhere_is_refused(
    entity: type[Any], others: list[type[Any]], words: str
) -> None:
    with pytest.raises((SchemaError, UnsupportedError)) as caught:
        build_bundle([entity, *others])
    assert any(words in problem for problem in caught.value.problems)


@pytest.mark.parametrize("feature", sorted(NOT_BUILT))
def test_a_feature_of_a_later_version_is_refused_by_name(feature: str) -> None:
    options: dict[str, Any] = {feature: True}

    class Box(Entity):
        id: Field[int] = FIELD(identity=True, **options)

        __indexes__ = (INDEX("id", **options),)

    with pytest.raises(UnsupportedError, match="not built yet") as caught:
        build_bundle([Box])
    assert len(caught.value.problems) == 2
    assert f"take {feature} away" in caught.value.message


def test_features_of_an_entity_are_refused_by_name() -> None:
    class Box(Entity, partition_by="id"):
        id: Field[int] = field(identity=True)

        __policies__ = ()

    with pytest.raises(UnsupportedError) as caught:
        build_bundle([Box])
    assert list(caught.value.problems) == [
        "Box: partitioning is not built yet; take partition_by away",
        "Box: row policies are not built yet; take __policies__ away",
    ]


def test_what_a_base_asks_for_is_not_forgotten() -> None:
    class Ancestor(Entity, abstract=True, partition_by="id"):
        id: Field[int] = field(identity=True)

    class Box(Ancestor):
        pass

    with pytest.raises(UnsupportedError, match="Box: partitioning is not built yet"):
        build_bundle([Box])


def test_a_mistake_beside_a_later_feature_is_a_mistake() -> None:
    class Box(Entity, partition_by="id", colour="red"):
        id: Field[int] = field(identity=True)

    assert problems_of(Box) == [
        "Box: partitioning is not built yet; take partition_by away",
        (
            "Box: an entity has no option 'colour'; it has name, doc, abstract, __indexes__, "
            "__checks__, __hooks__, __soft_delete__"
        ),
    ]


def test_what_is_no_entity_is_refused_with_the_rest() -> None:
    class Root(Entity, abstract=True):
        id: Field[int] = field(identity=True)

    wrong: Any = int
    found = problems_of(wrong, Root, Plane, Plane, Flight, Airport)
    assert found == [
        "the schema: <class 'int'> is no entity; give a class that extends ormdb.Entity",
        "Root: it is abstract and has no rows; take it from the list",
        "Plane: it is listed twice; list it once",
    ]


def test_classes_of_a_function_find_what_the_function_knows() -> None:
    class Far(Entity):
        id: Field[LocalInt] = field(identity=True)
        near: One[Near]

    LocalInt = NewType("LocalInt", int)

    class Near(Entity):
        id: Field[LocalInt] = field(identity=True)

    with pytest.raises(SchemaError, match="'LocalInt' is not defined"):
        build_bundle([Far, Near])
    bundle = build_bundle([Near])
    assert bundle == SchemaBundle(
        entities=(
            EntityDef(name="Near", fields=(FieldDef(name="id", type=IntType()),), identity=("id",)),
        )
    )


def test_a_range_of_a_field_becomes_a_check() -> None:
    class Dice(Entity):
        id: Field[int] = field(identity=True, ge=1)
        eyes: Field[int | None] = field(default=None, ge=1, le=6)
        weight: Field[float] = field(gt=0.0, lt=10.0)
        __checks__ = (check("eyes != 3", name="no_three"),)

    (entity,) = build_bundle([Dice]).entities
    assert [(one.name, format_expression(one.expression)) for one in entity.checks] == [
        ("range_id", "id >= 1"),
        ("range_eyes", "eyes >= 1 and eyes <= 6"),
        ("range_weight", "weight > 0.0 and weight < 10.0"),
        ("no_three", "eyes != 3"),
    ]


def test_a_bound_of_another_type_is_refused() -> None:
    class Dice(Entity):
        id: Field[int] = field(identity=True, ge="one")

    assert problems_of(Dice) == ["Dice.id: Dice.id: text 'one' is not an int; give a whole number"]
