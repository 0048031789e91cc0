"""A bulk load is one commit, whatever the order of its rows, and equals row by row inserts."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import ormdb
from ormdb import Entity, Field, Many, One, field, many, one, sequence
from ormdb.errors import ForeignKeyError, QueryError, UniqueError, ValueTypeError
from ormdb.ir.value import RowDict


class Node(Entity):
    name: Field[str] = field(identity=True)
    rank: Field[int] = field(unique=True)
    parent: One[Node | None] = one()
    children: Many[Node] = many(inverse="parent")


class Mark(Entity):
    id: Field[int] = field(identity=True, default=sequence())
    node: One[Node] = one()


@pytest.fixture
def db() -> ormdb.Database:
    return ormdb.open(":memory:", schema=[Node, Mark])


def chain(length: int) -> list[RowDict]:
    """Every node refers to the one that comes after it."""
    following = [f"n{number + 1}" if number + 1 < length else None for number in range(length)]
    return [
        {"name": f"n{number}", "rank": number, "parent_name": after}
        for number, after in enumerate(following)
    ]


def test_rows_may_refer_to_rows_that_come_later(db: ormdb.Database) -> None:
    assert db.bulk_load(Node, chain(50)) == 50
    found = db.one(Node.where(Node.name == "n10").include(Node.parent, Node.children))
    assert found.parent is not None
    assert (found.parent.name, [child.name for child in found.children]) == ("n11", ["n9"])
    assert not db.check(deep=True).problems


def test_a_load_equals_inserts_row_by_row(db: ormdb.Database) -> None:
    other = ormdb.open(":memory:", schema=[Node, Mark])
    db.bulk_load(Node, chain(20))
    for row in reversed(chain(20)):
        other.insert_rows("Node", [row])
    query = Node.order_by(Node.rank).include(Node.parent, Node.children)
    assert db.fetch(query).to_dicts() == other.fetch(query).to_dicts()


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        ({"name": "x", "rank": 3}, UniqueError),
        ({"name": "n3", "rank": 99}, UniqueError),
        ({"name": "x", "rank": "three"}, ValueTypeError),
        ({"name": "x", "rank": 99, "parent_name": "nobody"}, ForeignKeyError),
        ({"name": "x", "rank": 99, "colour": "red"}, QueryError),
    ],
)
def test_one_bad_row_and_nothing_is_loaded(
    db: ormdb.Database, bad: RowDict, error: type[Exception]
) -> None:
    version = db.version
    with pytest.raises(error):
        db.bulk_load(Node, [*chain(10), bad])
    assert (db.count(Node.all()), db.version) == (0, version)
    db.bulk_load(Node, chain(10))
    assert db.count(Node.all()) == 10


def test_an_error_of_the_callers_iterator_loads_nothing(db: ormdb.Database) -> None:
    def rows() -> Iterator[RowDict]:
        yield from chain(5)
        raise RuntimeError

    with pytest.raises(RuntimeError):
        db.bulk_load(Node, rows())
    assert db.count(Node.all()) == 0


def test_several_entities_load_in_one_commit(db: ormdb.Database) -> None:
    version = db.version
    marks: list[RowDict] = [{"node_name": "n1"}, {"node_name": "n1"}]
    assert db.bulk_load_all([(Mark, marks), (Node, chain(3))]) == 5
    assert db.version == version + 1
    assert [mark.id for mark in db.fetch(Mark.all())] == [1, 2]


def test_an_empty_load_makes_no_commit(db: ormdb.Database) -> None:
    version = db.version
    assert db.bulk_load(Node, []) == 0
    assert db.version == version


def test_an_unknown_entity_is_refused(db: ormdb.Database) -> None:
    with pytest.raises(QueryError, match="Node, Mark"):
        db.bulk_load("Nod", [])
