"""Holds that names become layouts of one schema, and that a mistake is told with what exists."""

from __future__ import annotations

import pytest

from ormdb.catalog.assign import assign_numbers
from ormdb.errors import QueryError
from ormdb.ir.schema import EntityDef, SchemaBundle
from ormdb.ir.value import IntType, JsonType, ListType, TextType
from ormdb.query.resolve import (
    check_filter,
    check_sortable,
    find_entity,
    find_field,
    find_step,
    follow_path,
)
from ormdb.storage.layout import Layout
from tests.unit.query.airline import compare, field


def test_an_unknown_entity_is_refused_with_those_there_are(layout: Layout) -> None:
    with pytest.raises(QueryError, match=r"no entity 'Fligth'.*Airport, Plane, Flight") as caught:
        find_entity(layout, "Fligth")
    assert caught.value.entity == "Fligth"


def test_an_unknown_field_is_refused_with_those_there_are(layout: Layout) -> None:
    with pytest.raises(QueryError, match=r"no field 'seat'.*tail, seats"):
        find_field(layout.entities["Plane"], "seat")


def test_an_unknown_relation_is_refused_with_those_of_all_directions(layout: Layout) -> None:
    with pytest.raises(QueryError) as caught:
        find_step(layout, layout.entities["Flight"], "pilot")
    for name in ("origin", "plane", "duties", "log", "crew"):
        assert name in caught.value.message


@pytest.mark.parametrize(
    ("entity", "name", "kind", "target"),
    [
        ("Flight", "plane", "to_one one", "Plane"),
        ("Plane", "flights", "to_many many", "Flight"),
        ("Flight", "log", "to_many one", "Log"),
        ("Flight", "crew", "through many", "Crew"),
    ],
)
def test_a_name_leads_to_the_layout_of_its_target(
    layout: Layout, entity: str, name: str, kind: str, target: str
) -> None:
    step = find_step(layout, layout.entities[entity], name)
    assert f"{step.kind} {'one' if step.single else 'many'}" == kind
    assert step.target is layout.entities[target]
    assert step.relation in layout.relations.values()


def test_a_path_follows_to_one_relations_in_both_directions(layout: Layout) -> None:
    steps, definition = follow_path(layout, layout.entities["Log"], ("flight", "plane", "seats"))
    assert [step.name for step in steps] == ["flight", "plane"]
    assert definition.name == "seats"
    steps, definition = follow_path(layout, layout.entities["Flight"], ("log", "text"))
    assert (steps[0].kind, definition.name) == ("to_many", "text")


def test_a_path_through_many_rows_is_refused(layout: Layout) -> None:
    with pytest.raises(QueryError, match=r"duties\.rank.*leads to many rows"):
        follow_path(layout, layout.entities["Flight"], ("duties", "rank"))


def test_a_path_without_names_is_refused(layout: Layout) -> None:
    with pytest.raises(QueryError, match="empty"):
        follow_path(layout, layout.entities["Flight"], ())


def test_a_path_may_be_null_because_its_relation_may_lead_nowhere(layout: Layout) -> None:
    flight = layout.entities["Flight"]
    assert check_filter(layout, flight, compare("==", "plane.tail", "N1")) is not None
    with pytest.raises(QueryError, match=r"Flight\.plane\.tail is a text"):
        check_filter(layout, flight, compare("==", "plane.tail", 1))


def test_only_scalars_have_an_order() -> None:
    entity = EntityDef(
        name="Note",
        fields=(
            field("id", IntType()),
            field("tags", ListType(item=TextType())),
            field("more", JsonType()),
        ),
        identity=("id",),
    )
    layout = Layout(assign_numbers(SchemaBundle(entities=(entity,)), None)).entities["Note"]
    check_sortable(layout, ("id",), layout.fields["id"])
    for name in ("tags", "more"):
        with pytest.raises(QueryError, match="order by a scalar"):
            check_sortable(layout, (name,), layout.fields[name])
