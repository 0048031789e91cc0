"""Holds what the comparison with SQLite once found wrong, each in its smallest form."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace

import pytest

import ormdb
from ormdb.database.database import Database
from ormdb.errors import SchemaError
from ormdb.ir.expr import Arithmetic, Call, Compare, Expr, FieldRef, InList, Literal, Not
from ormdb.ir.graph import GraphQuery, Include, Page
from ormdb.ir.schema import (
    CheckDef,
    Computed,
    EntityDef,
    FieldDef,
    IndexDef,
    RelationDef,
    SchemaBundle,
    ThroughDef,
)
from ormdb.ir.value import EnumType, IntType, RowDict, TextType, Type, Value
from tests.unit.query.airline import among, by, compare, field, index

LEVEL = EnumType(variants=("low", "mid", "high"))
# 461 characters and two bytes of mark and end: what a cut leaves of a longer key.
BEGINNING = "x" * 461


def entity(name: str, *fields: FieldDef, indexes: tuple[IndexDef, ...] = ()) -> EntityDef:
    return EntityDef(name=name, fields=fields, identity=(fields[0].name,), indexes=indexes)


def relation(source: str, name: str, target: str, key: str, *, enforced: bool) -> RelationDef:
    return RelationDef(
        name=name,
        source=source,
        fields=(name + "_key",),
        target=target,
        target_fields=(key,),
        inverse=f"{name}_of",
        enforced=enforced,
    )


@contextmanager
def filled(bundle: SchemaBundle, rows: dict[str, list[RowDict]]) -> Generator[Database]:
    with ormdb.open(":memory:", schema=bundle) as database:
        for name, each in rows.items():
            database.bulk_load(name, each)
        yield database


def ids(database: Database, query: GraphQuery) -> list[Value]:
    return [row["id"] for row in database.run_fetch(replace(query, select=("id",))).dicts()]


def texts(*values: str | None) -> tuple[SchemaBundle, dict[str, list[RowDict]]]:
    """One entity with an indexed text."""
    bundle = SchemaBundle(
        entities=(
            entity(
                "Note",
                field("id", IntType()),
                field("text", TextType(), optional=True),
                indexes=(index("by_text", "text"),),
            ),
        )
    )
    return bundle, {"Note": [{"id": n, "text": text} for n, text in enumerate(values)]}


def test_a_selection_without_the_indexed_field_comes_through_its_index() -> None:
    with filled(*texts("a", "b", "b")) as database:
        query = GraphQuery(entity="Note", filter=compare("==", "text", "b"), select=("id",))
        assert database.run_fetch(query).dicts() == [{"id": 1}, {"id": 2}]


@pytest.mark.parametrize("order", ["text", "-text"])
@pytest.mark.parametrize("limit", [1, 2, 5])
def test_texts_about_as_long_as_a_cut_key_come_in_their_order(order: str, limit: int) -> None:
    values = [BEGINNING + tail for tail in ("b", "a", "ab", "", "c" * 200, "bb" * 9, "a" * 17)]
    with filled(*texts(*values)) as database:
        query = GraphQuery(entity="Note", order=by(order), page=Page(limit=limit))
        found: list[Value] = []
        answer = database.run_fetch(query)
        while True:
            found += [row["text"] for row in answer.dicts()]
            if answer.next_cursor is None:
                break
            page = Page(limit=limit, after=answer.next_cursor)
            answer = database.run_fetch(replace(query, page=page))
    assert found == sorted(values, reverse=order == "-text")


def test_over_long_texts_of_one_beginning_in_a_list_give_their_rows_once() -> None:
    values = [BEGINNING + "y" * 100 + tail for tail in "abc"]
    with filled(*texts(*values)) as database:
        query = GraphQuery(entity="Note", filter=among("text", *values[:2]))
        assert ids(database, query) == [0, 1]


@pytest.mark.parametrize("items", [(7, None), (None,), (1, None)])
def test_a_calculated_value_is_never_definitely_outside_a_list_with_null(
    items: tuple[int | None, ...],
) -> None:
    lengths = Call(name="length", arguments=(FieldRef(path=("text",)),))
    listed = InList(operand=lengths, items=Literal(value=items))
    with filled(*texts("a", "bb", None)) as database:
        assert ids(database, GraphQuery(entity="Note", filter=Not(operand=listed))) == []


def test_a_check_on_a_list_with_null_refuses_nothing() -> None:
    bundle, _ = texts()
    note = replace(
        bundle.entities[0], checks=(CheckDef(name="known", expression=among("id", 1, None)),)
    )
    with filled(SchemaBundle(entities=(note,)), {"Note": [{"id": 5}]}) as database:
        assert ids(database, GraphQuery(entity="Note")) == [5]


def computed(name: str, kind: Type, expression: Expr) -> FieldDef:
    made = field(name, kind, optional=True)
    return replace(made, computed=Computed(expression=expression))


def levels() -> tuple[SchemaBundle, dict[str, list[RowDict]]]:
    """An enum, and one computed from it when it is read."""
    shown = Call(name="coalesce", arguments=(FieldRef(path=("level",)), Literal(value="mid")))
    note = entity(
        "Note",
        field("id", IntType()),
        field("level", LEVEL, optional=True),
        computed("shown", LEVEL, shown),
    )
    rows = [{"id": n, "level": level} for n, level in enumerate(["high", None, "low", "mid"])]
    return SchemaBundle(entities=(note,)), {"Note": rows}


def test_a_computed_enum_sorts_and_compares_by_its_variants() -> None:
    with filled(*levels()) as database:
        assert ids(database, GraphQuery(entity="Note", order=by("shown"))) == [2, 1, 3, 0]
        below = GraphQuery(entity="Note", filter=compare("<", "shown", "high"))
        assert ids(database, below) == [1, 2, 3]
        listed = GraphQuery(entity="Note", filter=among("shown", "mid", "high"))
        assert ids(database, listed) == [0, 1, 3]
        same = Compare(op="==", left=FieldRef(path=("level",)), right=FieldRef(path=("shown",)))
        assert ids(database, GraphQuery(entity="Note", filter=same)) == [0, 2, 3]


def test_pages_in_the_order_of_a_computed_enum_go_on() -> None:
    with filled(*levels()) as database:
        query = GraphQuery(entity="Note", order=by("shown"), page=Page(limit=3))
        cursor = database.run_fetch(query).next_cursor
        assert ids(database, replace(query, page=Page(limit=3, after=cursor))) == [0]


def parents_and_children(*, enforced: bool) -> SchemaBundle:
    """Children refer to a unique text; an index has those of one parent in order."""
    return SchemaBundle(
        entities=(
            entity(
                "Parent",
                field("id", IntType()),
                field("code", TextType(), optional=True),
                indexes=(index("by_code", "code", unique=True),),
            ),
            entity(
                "Child",
                field("id", IntType()),
                field("parent_key", TextType(), optional=True),
                field("rank", IntType()),
                indexes=(index("ranked", "parent_key", "-rank"),),
            ),
        ),
        relations=(relation("Child", "parent", "Parent", "code", enforced=enforced),),
    )


FAMILY: dict[str, list[RowDict]] = {
    "Parent": [{"id": 1, "code": "a"}, {"id": 2, "code": None}, {"id": 3, "code": BEGINNING + "y"}],
    "Child": [
        {"id": 1, "parent_key": "a", "rank": 1},
        {"id": 2, "parent_key": None, "rank": 2},
        {"id": 3, "parent_key": "a", "rank": 3},
        {"id": 4, "parent_key": BEGINNING + "y", "rank": 4},
        {"id": 5, "parent_key": None, "rank": 5},
    ],
}


@pytest.mark.parametrize("enforced", [True, False])
@pytest.mark.parametrize("select", [None, ("id",)])
def test_a_parent_with_null_has_no_children_whatever_refers_by_null(
    enforced: bool, select: tuple[str, ...] | None
) -> None:
    with filled(parents_and_children(enforced=enforced), FAMILY) as database:
        children = Include(relation="parent_of", order=by("-rank"), limit=2, select=("id",))
        query = GraphQuery(entity="Parent", select=select, includes=(children,))
        found = [[c["id"] for c in row["parent_of"]] for row in database.run_fetch(query).dicts()]
    assert found == [[3, 1], [], [4]]


def test_a_limited_include_filtered_through_a_relation_is_filtered_first() -> None:
    with filled(parents_and_children(enforced=True), FAMILY) as database:
        kept = Include(
            relation="parent_of", filter=compare("==", "parent.id", 1), limit=1, select=("id",)
        )
        query = GraphQuery(entity="Parent", page=Page(limit=1), includes=(kept,))
        assert database.run_fetch(query).dicts()[0]["parent_of"] == [{"id": 1}]


def test_an_order_that_ends_with_a_path_after_the_identity_has_cursors() -> None:
    with filled(parents_and_children(enforced=True), FAMILY) as database:
        order = by("-id", "parent.code")
        query = GraphQuery(entity="Child", order=order, page=Page(limit=2))
        cursor = database.run_fetch(query).next_cursor
        assert ids(database, replace(query, page=Page(limit=2, after=cursor))) == [3, 2]


def test_many_to_many_needs_a_way_back_over_its_near_side() -> None:
    bundle = SchemaBundle(
        entities=(
            entity("User", field("id", IntType())),
            entity(
                "Edge",
                field("id", IntType()),
                field("left_key", IntType()),
                field("right_key", IntType()),
            ),
        ),
        relations=(
            replace(relation("Edge", "left", "User", "id", enforced=False), inverse=None),
            replace(relation("Edge", "right", "User", "id", enforced=False), inverse=None),
        ),
        throughs=(
            ThroughDef(
                name="friends", entity="User", edge="Edge", near="left", far="right", target="User"
            ),
        ),
    )
    with pytest.raises(SchemaError, match="friends"):
        ormdb.open(":memory:", schema=bundle)
    named = replace(bundle.relations[0], inverse="edges")
    with filled(
        replace(bundle, relations=(named, bundle.relations[1])),
        {"User": [{"id": 1}, {"id": 2}], "Edge": [{"id": 1, "left_key": 1, "right_key": 2}]},
    ) as database:
        query = GraphQuery(entity="User", includes=(Include(relation="friends"),))
        assert database.run_fetch(query).dicts() == [
            {"id": 1, "friends": [{"id": 2}]},
            {"id": 2, "friends": []},
        ]


def test_an_order_by_a_constant_is_an_order_by_row() -> None:
    constant = Arithmetic(op="+", left=Literal(value=1), right=Literal(value=2))
    note = entity("Note", field("id", IntType()), computed("three", IntType(), constant))
    rows: dict[str, list[RowDict]] = {"Note": [{"id": n} for n in (3, 1, 2)]}
    with filled(SchemaBundle(entities=(note,)), rows) as database:
        assert ids(database, GraphQuery(entity="Note", order=by("three"))) == [1, 2, 3]
        assert ids(database, GraphQuery(entity="Note", order=by("-three"))) == [3, 2, 1]
