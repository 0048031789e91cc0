"""Holds how an import is asked for, and in which order its tables come."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from ormdb.errors import ImportFileError, SchemaError
from ormdb.exchange.plan import (
    Dangling,
    DeclaredType,
    ImportPlan,
    Link,
    TablePlan,
    in_load_order,
    parse_declared_type,
    parse_identity,
    refuse_dangling,
)
from ormdb.ir.schema import EntityDef, FieldDef, RelationDef, SchemaBundle
from ormdb.ir.value import DecimalType, IntType, RowDict


def nothing() -> Iterator[RowDict]:
    return iter(())


def table(name: str, rows: int = 0) -> TablePlan:
    entity = EntityDef(name=name, fields=(FieldDef(name="id", type=IntType()),), identity=("id",))
    return TablePlan(source=name, entity=entity, rows=rows, read=nothing)


def relation(source: str, target: str, *, enforced: bool = True) -> RelationDef:
    return RelationDef(
        name="to",
        source=source,
        fields=("id",),
        target=target,
        target_fields=("id",),
        enforced=enforced,
    )


def test_tables_come_after_those_they_refer_to() -> None:
    tables = [table(name) for name in "abcd"]
    relations = [relation("a", "b"), relation("b", "d"), relation("c", "a"), relation("d", "d")]
    assert [one.source for one in in_load_order(tables, relations)] == ["d", "b", "a", "c"]


def test_a_circle_of_tables_is_broken_somewhere() -> None:
    tables = [table(name) for name in "abc"]
    relations = [relation("a", "b"), relation("b", "c"), relation("c", "a")]
    assert {one.source for one in in_load_order(tables, relations)} == {"a", "b", "c"}


def test_relations_that_are_not_enforced_order_nothing() -> None:
    tables = [table("a"), table("b")]
    loose = [relation("a", "b", enforced=False)]
    assert [one.source for one in in_load_order(tables, loose)] == ["a", "b"]


def test_a_long_chain_of_tables_is_ordered_without_recursion() -> None:
    names = [f"t{n}" for n in range(3_000)]
    relations = [relation(a, b) for a, b in itertools.pairwise(names)]
    ordered = in_load_order([table(name) for name in names], relations)
    assert [one.source for one in ordered] == names[::-1]


def test_a_type_may_say_that_it_is_optional() -> None:
    assert DeclaredType.parse("decimal(10, 2)?") == DeclaredType(
        type=DecimalType(precision=10, scale=2), optional=True
    )
    assert DeclaredType.parse("int") == DeclaredType(type=IntType())
    with pytest.raises(SchemaError):
        DeclaredType.parse("integer")


def test_a_relation_is_read_from_its_text() -> None:
    assert Link.parse("flights.origin -> airports.faa") == Link(
        source="flights", fields=("origin",), target="airports", target_fields=("faa",)
    )
    assert Link.parse('"a.b".x, "the y"->b.u,v as z') == Link(
        source="a.b", fields=("x", "the y"), target="b", target_fields=("u", "v"), name="z"
    )


def test_a_declared_type_is_read_from_its_text() -> None:
    place, declared = parse_declared_type('"order details"."a=b"=decimal(5, 2)?')
    assert place == ("order details", "a=b")
    assert declared == DeclaredType.parse("decimal(5, 2)?")
    for text in ("", "t.x", "t=int", "t.x=", "t.x=integer", "t.x=int int"):
        with pytest.raises(ImportFileError, match="declares no type"):
            parse_declared_type(text)


def test_an_identity_is_read_from_its_text() -> None:
    assert parse_identity('weather=origin, "time hour"') == ("weather", ("origin", "time hour"))
    for text in ("", "t", "t=", "t=a,", "t=a b"):
        with pytest.raises(ImportFileError, match="is no identity"):
            parse_identity(text)


@pytest.mark.parametrize(
    "text", ["", "a.b", "a -> b", "a.x -> b.", "a.x,y -> b.u", "a.,x -> b.u,v", "a.x -> b.y as"]
)
def test_a_text_that_is_no_relation_is_refused(text: str) -> None:
    with pytest.raises(ImportFileError, match="is not a relation"):
        Link.parse(text)


def test_all_dangling_relations_are_told_at_once() -> None:
    found = [
        Dangling(
            source="f", relation=f"r{n}", description=f"f.(c{n}) -> t.(k)", rows=n, example="5"
        )
        for n in range(1, 9)
    ]
    with pytest.raises(ImportFileError) as caught:
        refuse_dangling(found)
    assert "f.(c1) -> t.(k): 1 row points at nothing" in caught.value.message
    assert "f.(c5) -> t.(k): 5 rows point at nothing" in caught.value.message
    assert "and 3 more relations" in caught.value.message
    assert caught.value.dangling == tuple(found)
    refuse_dangling([])


def test_a_plan_closes_its_source_once_it_is_left() -> None:
    closed: list[bool] = []
    plan = ImportPlan(
        source="x",
        bundle=SchemaBundle(entities=()),
        tables=(table("a", 2), table("b", 3)),
        on_close=lambda: closed.append(True),
    )
    with plan as same:
        assert same.rows == 5
        assert closed == []
    assert closed == [True]
