"""Upserts, graphs and edges on a database: what is there, what was done, and at which cost."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import ormdb
from ormdb import Column, Database, Entity, Field, Key, Many, One, field, index, many, one, sequence
from ormdb.errors import (
    ForeignKeyError,
    ImmutableError,
    NotFoundError,
    QueryError,
    RequiredError,
    UniqueError,
    UsageError,
)
from ormdb.ir.mutation import GraphRow, WriteGraph
from ormdb.storage.memory import MemoryWriteTransaction


class Movie(Entity):
    id: Field[int] = field(identity=True, default=sequence())
    title: Field[str]
    year: Field[int | None] = field(default=None)
    cast: Many[Cast] = many(inverse="movie")
    actors: Many[Person] = many(through="Cast.movie", to="person")


class Person(Entity):
    id: Field[int] = field(identity=True, default=sequence())
    name: Field[str] = field(unique=True)
    seen: Field[int] = field(default=0)


class Cast(Entity):
    movie: One[Movie] = one(identity=True)
    person: One[Person] = one(identity=True)
    role: Field[str | None] = field(default=None)


class Step(Entity):
    path: Field[str] = field(identity=True)
    code: Field[int | None] = field(default=None, unique=True)
    up: One[Step | None] = one(default=None, references="code")
    steps: Many[Step] = many(inverse="up")


class Seat(Entity):
    id: Field[int] = field(identity=True)
    row: Field[str]
    place: Field[int | None]
    taken: Field[int] = field(default=0)

    __indexes__ = (index("row", "place", unique=True),)


SCHEMA: list[type[Entity]] = [Movie, Person, Cast, Step, Seat]


@pytest.fixture
def db() -> Iterator[Database]:
    with ormdb.open(":memory:", schema=SCHEMA) as opened:
        yield opened
        assert opened.check(deep=True).problems == ()


# --- upserts ------------------------------------------------------------------------------------


def test_an_upsert_creates_updates_or_leaves_a_row_as_it_is(db: Database) -> None:
    effects = [db.upsert(Movie(id=7, title=title)).effect for title in ("Heat", "Heat", "Hot")]
    assert effects == ["created", "unchanged", "updated"]
    movie = db.one(Movie)
    assert (movie.id, movie.title, movie.year) == (7, "Hot", None)


def test_a_row_that_is_as_it_should_be_is_not_written(db: Database) -> None:
    db.upsert(Movie(id=7, title="Heat"))
    version = db.version
    db.upsert(Movie(id=7, title="Heat"))
    assert db.version == version


def test_a_row_is_known_by_a_unique_index_and_keeps_its_identity(db: Database) -> None:
    first = db.upsert(Person(name="Al"), by=[Person.name])
    again = db.upsert(Person(id=99, name="Al", seen=3), by=[Person.name])
    assert (first.effect, again.effect) == ("created", "updated")
    assert again.row.id == first.row.id
    assert db.one(Person).seen == 3
    assert db.count(Person) == 1


def test_what_is_done_to_a_row_that_is_there_may_be_said(db: Database) -> None:
    rows = [Person(name="Al", seen=1), Person(name="Bo", seen=1)]
    db.upsert_many(rows, by=[Person.name], update=[Person.seen.add(1)])
    db.upsert_many(rows, by=[Person.name], update=[Person.seen.add(1)])
    assert sorted((each.name, each.seen) for each in db.fetch(Person)) == [("Al", 2), ("Bo", 2)]
    assert db.upsert(Person(name="Al", seen=9), by=[Person.name], update=[]).effect == "unchanged"
    assert db.upsert(Person(id=1, name="Cy"), update=[Person.name]).effect == "updated"
    assert {each.name for each in db.fetch(Person)} == {"Bo", "Cy"}


def test_a_row_without_the_value_it_would_be_known_by_is_new(db: Database) -> None:
    by: list[Column[Seat, Any]] = [Seat.row, Seat.place]
    seats = [Seat(id=number, row="a", place=None) for number in (1, 2)]
    assert [each.effect for each in db.upsert_many(seats, by=by)] == ["created"] * 2
    assert db.upsert(Seat(id=3, row="a", place=4), by=by).effect == "created"
    assert db.upsert(Seat(id=9, row="a", place=4, taken=1), by=by).row.id == 3


def test_an_upsert_that_names_a_row_twice_or_no_index_is_refused(db: Database) -> None:
    with pytest.raises(UsageError, match=r"rows 0 and 1 of the upsert are one Person"):
        db.upsert_many([Person(name="Al"), Person(name="Al")], by=[Person.name])
    with pytest.raises(QueryError, match="no unique index over exactly seen"):
        db.upsert(Person(name="Al"), by=[Person.seen])
    with pytest.raises(ImmutableError):
        db.upsert(db.insert(Movie(title="x")), update=[Movie.id])
    assert db.count(Person) == 0


def test_uniques_of_an_upsert_are_judged_by_what_all_rows_become(db: Database) -> None:
    db.insert_many([Person(id=1, name="Al"), Person(id=2, name="Bo")])
    done = db.upsert_many(
        [Person(id=1, name="Bo"), Person(id=2, name="Cy"), Person(id=3, name="Al")]
    )
    assert [each.effect for each in done] == ["updated", "updated", "created"]
    version = db.version
    with pytest.raises(UniqueError):
        db.upsert_many([Person(id=4, name="Di"), Person(id=1, name="Di")])
    assert db.version == version


# --- graphs -------------------------------------------------------------------------------------


def cast_of(db: Database, key: Key[Movie]) -> list[tuple[str, str | None]]:
    movie = db.fetch(
        Movie.where(Movie.id == key.values[0]).include(Movie.cast.include(Cast.person))
    )[0]
    return [(each.person.name, each.role) for each in movie.cast]


def test_a_graph_of_new_rows_is_written_in_one_call(db: Database) -> None:
    al = db.insert(Person(name="Al"))
    heat = Movie(title="Heat")
    bo = Person(name="Bo")
    cast = [
        Cast(movie=heat, person=bo, role="Neil"),
        Cast(movie=heat, person=al, role="Vincent"),
        Cast(movie=heat, person=Person.key(db.insert(Person(name="Cy")).id)),
    ]
    saved = db.insert_graph(*cast)
    assert saved[0].movie is saved[1].movie
    assert saved[0].person.id == 3
    assert cast_of(db, Movie.key(saved[0].movie.id)) == [
        ("Bo", "Neil"),
        ("Al", "Vincent"),
        ("Cy", None),
    ]
    assert db.count(Movie) == 1


def test_a_graph_is_written_as_a_whole_or_not_at_all(db: Database) -> None:
    heat = Movie(title="Heat")
    version = db.version
    with pytest.raises(ForeignKeyError):
        db.insert_graph(
            Cast(movie=heat, person=Person(name="Al")), Cast(movie=heat, person=Person.key(99))
        )
    assert db.version == version
    assert db.count(Movie) == db.count(Person) == 0


def test_the_number_of_batches_does_not_grow_with_the_rows(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    for name in ("get_many", "many", "put_many", "scan"):
        real = getattr(MemoryWriteTransaction, name)

        def noted(*given: Any, name: str = name, real: Any = real, **named: Any) -> Any:
            asked.append(name)
            return real(*given, **named)

        monkeypatch.setattr(MemoryWriteTransaction, name, noted)

    def calls(actors: int) -> int:
        heat = Movie(title="Heat")
        people = [Person(name=f"{actors}/{number}") for number in range(actors)]
        asked.clear()
        db.insert_graph(*[Cast(movie=heat, person=each) for each in people])
        return len(asked)

    calls(1)  # what is asked once for a database
    first = calls(2)
    assert first > 5
    assert calls(40) == first


def test_rows_that_lead_to_rows_of_their_own_entity_are_written_step_by_step(db: Database) -> None:
    top = Step(path="a", code=1)
    middle = Step(path="b", code=2, up=top)
    db.insert_graph(Step(path="c", up=middle), Step(path="d", up=top))
    found = db.fetch(Step.where(Step.path == "a").include(Step.steps.include(Step.steps)))[0]
    assert [(each.path, [one.path for one in each.steps]) for each in found.steps] == [
        ("b", ["c"]),
        ("d", []),
    ]


def test_rows_that_lead_in_a_circle_are_refused(db: Database) -> None:
    circle = WriteGraph(
        rows=(
            GraphRow(entity="Step", values={"path": "a", "code": 1}, links=(("up", 1),)),
            GraphRow(entity="Step", values={"path": "b", "code": 2}, links=(("up", 0),)),
        )
    )
    with pytest.raises(QueryError, match="row 0 of the graph, a Step, leads back to itself"):
        db.run_mutations([circle])
    assert db.run_mutations([WriteGraph(rows=())])[0].identities == ()
    wrong = WriteGraph(
        rows=(
            GraphRow(entity="Movie", values={"title": "x"}),
            GraphRow(entity="Cast", values={}, links=(("person", 0), ("movie", 0))),
        )
    )
    with pytest.raises(QueryError, match="leads to a Person; row 0 of the graph is none"):
        db.run_mutations([wrong])


def test_a_saved_graph_changes_what_is_there(db: Database) -> None:
    heat = db.insert(Movie(title="Heat"))
    al = db.insert(Person(name="Al"))
    movie = Movie(id=heat.id, title="Heat", year=1995)
    db.save(Cast(movie=movie, person=Person(id=al.id, name="Al P."), role="Vincent"))
    db.save(Cast(movie=movie, person=Person(name="Bo"), role="Neil"))
    assert cast_of(db, Movie.key(heat.id)) == [("Al P.", "Vincent"), ("Bo", "Neil")]
    assert db.one(Movie).year == 1995


def test_nested_dicts_are_a_graph(db: Database) -> None:
    al = db.insert(Person(name="Al"))
    tree = {
        "title": "Heat",
        "cast": [{"role": "Neil", "person": {"name": "Bo"}}, {"role": "V", "person": al.id}],
    }
    (identity,) = db.insert_trees(Movie, [tree])
    assert cast_of(db, Movie.key(identity[0])) == [("Bo", "Neil"), ("Al", "V")]
    steps = {"path": "a", "code": 1, "steps": [{"path": "b"}, {"path": "c", "code": 5}]}
    assert db.insert_trees("Step", [steps]) == [("a",)]
    assert db.count(Step.where(Step.up.any())) == 2
    with pytest.raises(NotFoundError):
        db.insert_trees(Movie, [{"title": "x", "cast": [{"person": 99}]}])
    with pytest.raises(UsageError, match="cast takes a list of dicts"):
        db.insert_trees(Movie, [{"title": "x", "cast": {"person": 1}}])
    with pytest.raises(RequiredError):
        db.insert_trees(Movie, [{"cast": []}])
    assert db.count(Movie) == 1


# --- edges --------------------------------------------------------------------------------------


@pytest.fixture
def heat(db: Database) -> Key[Movie]:
    """A movie without actors, and three people."""
    db.insert_many([Person(id=number, name=f"p{number}") for number in (1, 2, 3)])
    return Movie.key(db.insert(Movie(title="Heat")).id)


def test_connecting_twice_is_connecting_once(db: Database, heat: Key[Movie]) -> None:
    people = [Person.key(1), Person.key(2)]
    assert db.connect(heat, Movie.actors, *people) == 2
    assert db.connect(heat, Movie.actors, *people) == 0
    assert db.connect(heat, Movie.actors, Person.key(2), values=[Cast.role.to("Neil")]) == 1
    assert db.connect(heat, Movie.actors, Person.key(2), values=[Cast.role.to("Neil")]) == 0
    assert cast_of(db, heat) == [("p1", None), ("p2", "Neil")]


def test_disconnecting_twice_is_disconnecting_once(db: Database, heat: Key[Movie]) -> None:
    db.connect(heat, Movie.actors, Person.key(1), Person.key(2))
    assert db.disconnect(heat, Movie.actors, Person.key(1)) == 1
    assert db.disconnect(heat, Movie.actors, Person.key(1)) == 0
    assert cast_of(db, heat) == [("p2", None)]


def test_a_relation_is_set_to_lead_to_some_rows_and_no_others(
    db: Database, heat: Key[Movie]
) -> None:
    db.connect(heat, Movie.actors, Person.key(1), Person.key(2), values=[Cast.role.to("x")])
    assert db.set_connected(heat, Movie.actors, Person.key(2), Person.key(3)) == 2
    assert cast_of(db, heat) == [("p2", "x"), ("p3", None)]
    assert db.set_connected(heat, Movie.actors) == 2
    assert cast_of(db, heat) == []


def test_edges_to_rows_that_are_not_there_or_over_other_relations_are_refused(
    db: Database, heat: Key[Movie]
) -> None:
    with pytest.raises(NotFoundError):
        db.connect(heat, Movie.actors, Person.key(99))
    with pytest.raises(NotFoundError):
        db.connect(Movie.key(99), Movie.actors, Person.key(1))
    with pytest.raises(QueryError, match="has no edges to connect"):
        db.connect(heat, Movie.cast, Cast.key(1, 1))
    with pytest.raises(UsageError, match="takes values of its edges, Cast"):
        db.connect(heat, Movie.actors, Person.key(1), values=[Person.seen.to(1)])
