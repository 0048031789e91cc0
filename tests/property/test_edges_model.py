"""Edges of a many-to-many relation against a dict of pairs: connected, disconnected and set."""

from __future__ import annotations

import random

import pytest

import ormdb
from ormdb import Database, Entity, Field, Key, Many, One, field, many, one
from ormdb.errors import NotFoundError
from tests.box import Box

PEOPLE = 6
CLUBS = 3
STEPS = 12


class Club(Entity):
    code: Field[str] = field(identity=True)
    number: Field[int] = field(unique=True)
    members: Many[Person] = many(through="Membership.club", to="person")


class Person(Entity):
    id: Field[int] = field(identity=True)
    clubs: Many[Club] = many(through="Membership.person", to="club")


class Membership(Entity):
    """Leads to a club by a unique field that is not its identity."""

    club: One[Club] = one(identity=True, references="number")
    person: One[Person] = one(identity=True)
    rank: Field[int] = field(default=0)


Edges = dict[tuple[int, int], int]


def step(rng: random.Random, db: Database, model: Edges) -> None:
    """One statement on both, from either side of the relation."""
    number, persons = rng.randrange(CLUBS), rng.choices(range(PEOPLE + 1), k=rng.randrange(4))
    club, people = Club.key(f"c{number}"), [Person.key(person) for person in persons]
    known = set(persons) - {PEOPLE}
    values = [Membership.rank.to(rng.randrange(3))] if rng.random() < 0.5 else []
    rank = values[0].changes[0][1] if values else None
    doing, before = rng.choice(("connect", "disconnect", "set", "back")), dict(model)
    after = dict(model)
    if doing in {"connect", "set"}:
        for person in known:
            after[number, person] = before.get((number, person), 0) if rank is None else rank
    if doing == "set":
        after = {
            pair: kept for pair, kept in after.items() if pair[0] != number or pair[1] in known
        }
    if doing == "disconnect":
        after = {
            pair: kept for pair, kept in after.items() if pair not in {(number, p) for p in known}
        }
    person = rng.randrange(PEOPLE)
    if doing == "back":
        after[number, person] = before.get((number, person), 0)
    changed = sum(before.get(pair) != after.get(pair) for pair in {**before, **after})
    try:
        found = run(db, doing, (club, Person.key(person)), people, values)
    except NotFoundError:
        assert PEOPLE in persons
        assert doing != "back"
        return
    assert doing == "back" or PEOPLE not in persons
    assert found == changed, (doing, number, persons, rank)
    model.clear()
    model.update(after)


def run(
    db: Database,
    doing: str,
    ends: tuple[Key[Club], Key[Person]],
    people: list[Key[Person]],
    values: list[ormdb.Assignment[Membership]],
) -> int:
    club, person = ends
    match doing:
        case "connect":
            return db.connect(club, Club.members, *people, values=values)
        case "disconnect":
            return db.disconnect(club, Club.members, *people)
        case "set":
            return db.set_connected(club, Club.members, *people, values=values)
        case _:
            return db.connect(person, Person.clubs, club)


@pytest.mark.soak(seconds=15, cases_min=200)
def test_edges_are_those_that_a_dict_of_pairs_has(box: Box) -> None:
    for seed in box.seeds():
        rng, model = random.Random(seed), Edges()
        with ormdb.open(":memory:", schema=[Club, Person, Membership]) as db:
            db.insert_many([Club(code=f"c{number}", number=number) for number in range(CLUBS)])
            db.insert_many([Person(id=number) for number in range(PEOPLE)])
            for _ in range(STEPS):
                step(rng, db, model)
                rows = db.fetch(Membership).to_dicts()
                found = {(row["club_number"], row["person_id"]): row["rank"] for row in rows}
                assert found == model, seed
            assert db.check(deep=True).problems == ()
        box.count(STEPS)
