"""Factories fill in what a test does not say."""

from __future__ import annotations

import datetime
import decimal
import enum
import uuid
from collections.abc import Iterator

import pytest

import ormdb
from ormdb import Database, Entity, Field, Json, One, check, field, one, sequence
from ormdb.errors import CheckError, UsageError
from ormdb.testing.factories import Factory


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Country(Entity):
    code: Field[str] = field(identity=True)
    name: Field[str] = field(unique=True)


class Town(Entity):
    id: Field[int] = field(identity=True, default=sequence())
    name: Field[str]
    country: One[Country] = one()
    twin: One[Town | None] = one()


class Everything(Entity):
    id: Field[uuid.UUID] = field(identity=True)
    flag: Field[bool]
    share: Field[float]
    price: Field[decimal.Decimal] = field(precision=10, scale=2)
    raw: Field[bytes]
    at: Field[datetime.datetime]
    day: Field[datetime.date]
    time: Field[datetime.time]
    length: Field[datetime.timedelta]
    facts: Field[Json]
    tags: Field[tuple[str, ...]]
    colour: Field[Colour]
    note: Field[str | None]
    count: Field[int] = field(default=7)
    town: One[Town] = one()


class Small(Entity):
    id: Field[int] = field(identity=True)
    size: Field[int]

    __checks__ = (check("size > 100", name="large"),)


class Egg(Entity):
    id: Field[int] = field(identity=True)
    hen: One[Hen] = one(deferred=True)


class Hen(Entity):
    id: Field[int] = field(identity=True)
    egg: One[Egg] = one(deferred=True)


SCHEMA: list[type[Entity]] = [Country, Town, Everything, Small, Egg, Hen]


@pytest.fixture
def db() -> Iterator[Database]:
    with ormdb.open(":memory:", schema=SCHEMA) as opened:
        yield opened


def test_required_values_and_rows_are_filled_in_and_others_left_alone(db: Database) -> None:
    made = Factory(db).make(Everything)
    assert (made.count, made.note) == (7, None)
    town = db.one(Town.include(Town.country))
    assert town.country.name == "name 1"
    row = db.run_get("Everything", (made.id,))
    assert row is not None
    assert row["town_id"] == town.id


def test_two_rows_never_share_a_unique_value(db: Database) -> None:
    factory = Factory(db)
    factory.make_many(Everything, 5)
    assert db.count(Everything.all()) == db.count(Country.all()) == 5
    assert db.check(deep=True).is_clean


def test_what_is_given_stays(db: Database) -> None:
    factory = Factory(db)
    home = factory.make(Town, name="Home", country=factory.make(Country, code="xx"))
    away = factory.make(Town, country=Country.key("xx"), twin=home)
    row = db.run_get("Town", (away.id,))
    assert row is not None
    assert (row["country_code"], row["twin_id"], row["name"]) == ("xx", home.id, "name 2")
    assert db.count(Country.all()) == 1


def test_rows_are_made_in_a_transaction_as_well(db: Database) -> None:
    with db.transaction() as txn:
        Factory(txn).make_many(Town, 3)
        assert txn.count(Town.all()) == 3
    assert db.count(Town.all()) == 3


def test_the_same_rows_are_made_in_every_run(db: Database) -> None:
    first = Factory(db).make(Everything)
    with ormdb.open(":memory:", schema=SCHEMA) as other:
        assert Factory(other).make(Everything) == first


def test_what_cannot_be_filled_in_is_told(db: Database) -> None:
    factory = Factory(db)
    with pytest.raises(CheckError, match="large"):
        factory.make(Small)
    assert factory.make(Small, size=101).size == 101
    with pytest.raises(UsageError, match="give one of them"):
        factory.make(Egg)
    with pytest.raises(UsageError, match="no field or relation 'colour'"):
        factory.make(Town, colour="red")
    with pytest.raises(UsageError, match="leads nowhere"):
        factory.make(Town, country="xx")
    with pytest.raises(UsageError, match="is not there"):
        factory.make(Town, country=Country.key("yy"))
