"""Holds how the arguments of a fetch become a query."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest

from ormdb.cli.query_args import (
    QueryArguments,
    build_query,
    read_as_of,
    read_identity,
    read_query_file,
)
from ormdb.errors import ExpressionError, QueryError, ValueTypeError
from ormdb.ir.expr import FieldRef
from ormdb.ir.graph import GraphQuery, Include, OrderSpec, Page
from ormdb.ir.schema import EntityDef, FieldDef, SchemaBundle
from ormdb.ir.value import IntType, TextType


def test_every_argument_has_its_place_in_the_query() -> None:
    query = build_query(
        QueryArguments(
            entity="Airport",
            where='faa == "JFK"',
            includes=("departures:5.plane", "departures.origin", 'x."a.b"'),
            order=("-name", "city.name desc", "faa asc"),
            select=("faa, name", '"a,b"'),
            limit=3,
            offset=1,
            after="c",
            as_of="17",
        )
    )
    assert query.includes == (
        Include(
            relation="departures",
            limit=5,
            includes=(Include(relation="plane"), Include(relation="origin")),
        ),
        Include(relation="x", includes=(Include(relation="a.b"),)),
    )
    assert query.order == (
        OrderSpec(key=FieldRef(path=("name",)), descending=True),
        OrderSpec(key=FieldRef(path=("city", "name")), descending=True),
        OrderSpec(key=FieldRef(path=("faa",))),
    )
    assert query.select == ("faa", "name", "a,b")
    assert query.page == Page(limit=3, offset=1, after="c")
    assert query.as_of == 17
    assert query.filter is not None


def test_without_arguments_a_query_has_its_defaults() -> None:
    assert build_query(QueryArguments(entity="A")) == GraphQuery(entity="A")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (QueryArguments(entity="A", includes=("",)), "is no include"),
        (QueryArguments(entity="A", includes=("a..b",)), "is no include"),
        (QueryArguments(entity="A", includes=("a:x",)), "a whole number belongs"),
        (QueryArguments(entity="A", includes=("a b",)), "is no include"),
        (QueryArguments(entity="A", order=("",)), "is no order"),
        (QueryArguments(entity="A", order=("name up",)), "is no order"),
        (QueryArguments(entity="A", select=("a,",)), "is no list of fields"),
    ],
)
def test_an_argument_that_cannot_be_read_is_refused(arguments: QueryArguments, words: str) -> None:
    with pytest.raises(QueryError, match=words):
        build_query(arguments)


def test_a_filter_that_cannot_be_read_is_refused() -> None:
    with pytest.raises(ExpressionError):
        build_query(QueryArguments(entity="A", where="__import__('os')"))


def test_the_past_is_a_version_or_a_moment() -> None:
    assert read_as_of("17") == 17
    assert read_as_of("2013-01-01T05:00:00Z") == datetime.datetime(
        2013, 1, 1, 5, tzinfo=datetime.UTC
    )
    for text in ("2013-01-01", "yesterday", "-1", "9" * 5000):
        with pytest.raises(ValueTypeError, match="--as-of"):
            read_as_of(text)


BUNDLE = SchemaBundle(
    entities=(
        EntityDef(
            name="leg",
            fields=(
                FieldDef(name="flight", type=TextType()),
                FieldDef(name="number", type=IntType()),
            ),
            identity=("flight", "number"),
        ),
    )
)


def test_an_identity_is_read_by_its_fields() -> None:
    assert read_identity(BUNDLE, "leg", ["UA1", "2"]) == ("UA1", 2)
    with pytest.raises(QueryError, match="flight, number; give 2 value"):
        read_identity(BUNDLE, "leg", ["UA1"])
    with pytest.raises(QueryError, match="no entity 'legs'; it has leg"):
        read_identity(BUNDLE, "legs", ["UA1", "2"])
    with pytest.raises(ValueTypeError, match=r"leg\.number: text 'two'"):
        read_identity(BUNDLE, "leg", ["UA1", "two"])


def test_a_python_file_defines_a_query(tmp_path: Path) -> None:
    path = tmp_path / "q.py"
    path.write_text("from ormdb.ir.graph import GraphQuery\nquery = GraphQuery(entity='A')\n")
    assert read_query_file(str(path)) == GraphQuery(entity="A")
    path.write_text(
        "from ormdb import Entity, Field, field\n"
        "class A(Entity):\n    id: Field[int] = field(identity=True)\n"
        "query = A.where(A.id > 5)\n"
    )
    assert read_query_file(str(path)).entity == "A"


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("x = 1", "defines nothing as `query`"),
        ("query = 5", "defines int 5 as `query`"),
        ("1 / 0", "ZeroDivisionError"),
        ("def", "SyntaxError"),
        ("raise SystemExit(3)", "ended the program"),
    ],
)
def test_a_python_file_without_a_query_is_refused(tmp_path: Path, source: str, words: str) -> None:
    path = tmp_path / "q.py"
    path.write_text(source)
    with pytest.raises(QueryError, match=words):
        read_query_file(str(path))
    with pytest.raises(QueryError, match="FileNotFoundError"):
        read_query_file(str(tmp_path / "missing.py"))
