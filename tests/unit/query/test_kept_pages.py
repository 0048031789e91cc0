"""Holds that a page of roots is kept until anything changes that decides which roots it has."""

from __future__ import annotations

from collections.abc import Generator

import pytest

import ormdb
from ormdb import Database, Entity, Field, Many, One, Query, field, index, many, one
from ormdb.ir.graph import GraphQuery
from ormdb.ir.mutation import Delete
from ormdb.model.expression_text import parse_expression
from ormdb.storage.memory import MemoryEngine
from tests.unit.query.airline import open_airline


class City(Entity):
    name: Field[str] = field(identity=True)
    size: Field[int]
    shops: Many[Shop] = many(inverse="city")


class Shop(Entity):
    id: Field[int] = field(identity=True)
    stars: Field[int]
    city: One[City] = one()

    __indexes__ = (index("stars"),)


class Note(Entity):
    id: Field[int] = field(identity=True)


class Town(Entity):
    id: Field[int] = field(identity=True)
    houses: Many[House] = many(inverse="town")


class Street(Entity):
    id: Field[int] = field(identity=True)
    rank: Field[int]
    houses: Many[House] = many(inverse="street")


class House(Entity):
    id: Field[int] = field(identity=True)
    town: One[Town] = one()
    street: One[Street] = one()


BEST = Shop.where(Shop.stars > 2).order_by(Shop.stars.desc()).limit(3)
IN_LARGE = Shop.where(Shop.city[City.size] > 10, Shop.stars > 2).order_by(Shop.stars.desc())
LARGE_FIRST = Shop.order_by(Shop.city[City.size].desc()).limit(3)
WITH_SHOPS = City.where(City.shops.any(Shop.stars > 6)).order_by(City.name)


@pytest.fixture
def db() -> Generator[Database]:
    with ormdb.open(":memory:", schema=(City, Shop, Note)) as opened:
        opened.insert_many([City(name=name, size=size) for name, size in (("a", 5), ("b", 50))])
        opened.insert_many([Shop(id=n, stars=n, city=City.key("ab"[n % 2])) for n in range(8)])
        yield opened


def shown(db: Database, query: Query[Shop] | Query[City]) -> list[object]:
    return [row.get("id", row.get("name")) for row in db.fetch(query).to_dicts()]


def calls(db: Database, query: Query[Shop] | Query[City]) -> int:
    return db.fetch(query).statistics.engine_calls


@pytest.mark.parametrize("query", [BEST, IN_LARGE, LARGE_FIRST, WITH_SHOPS])
def test_a_page_that_is_asked_for_again_is_not_walked(
    db: Database, query: Query[Shop] | Query[City]
) -> None:
    first = shown(db, query)
    db.fetch(query)  # reads the rows of the page by their keys
    assert (calls(db, query), shown(db, query)) == (0, first)
    db.insert(Note(id=1))  # which is about something else
    assert (calls(db, query), shown(db, query)) == (0, first)


def test_a_change_of_the_rows_of_a_page_takes_it_off(db: Database) -> None:
    assert [shown(db, BEST), shown(db, BEST)] == [[7, 6, 5], [7, 6, 5]]
    db.update(Shop.key(0), Shop.stars.to(9))
    assert shown(db, BEST) == [0, 7, 6]
    db.delete(Shop.key(7))
    assert shown(db, BEST) == [0, 6, 5]
    db.insert(Shop(id=9, stars=8, city=City.key("a")))
    assert shown(db, BEST) == [0, 9, 6]


def test_a_change_of_rows_that_a_filter_or_an_order_reads_takes_a_page_off(db: Database) -> None:
    before = [[shown(db, query) for query in (IN_LARGE, LARGE_FIRST)] for _ in range(3)]
    assert before == [[[7, 5, 3], [7, 5, 3]]] * 3
    db.update(City.key("a"), City.size.to(500))
    assert [shown(db, IN_LARGE), shown(db, LARGE_FIRST)] == [[7, 6, 5, 4, 3], [6, 4, 2]]
    assert [shown(db, WITH_SHOPS), shown(db, WITH_SHOPS)] == [["b"], ["b"]]
    db.update(Shop.key(6), Shop.stars.to(10))
    assert shown(db, WITH_SHOPS) == ["a", "b"]


def test_children_in_the_order_of_a_path_come_anew_when_what_it_leads_to_changes() -> None:
    with ormdb.open(":memory:", schema=(Town, Street, House)) as db:
        db.insert(Town(id=1))
        db.insert_many([Street(id=n, rank=n) for n in range(3)])
        db.insert_many([House(id=n, town=Town.key(1), street=Street.key(n)) for n in range(3)])
        for order, expected, changed in (
            (House.street[Street.rank].asc(), [0, 1, 2], [1, 2, 0]),
            (House.street[Street.rank].desc(), [2, 1, 0], [0, 2, 1]),
        ):
            query = Town.include(Town.houses.order_by(order))
            for rank, ids in ((0, expected), (9, changed), (0, expected)):
                db.update(Street.key(0), Street.rank.to(rank))
                for _ in range(3):
                    (town,) = db.fetch(query).to_dicts()
                    assert [house["id"] for house in town["houses"]] == ids


@pytest.mark.parametrize(
    "query",
    [
        House.where(House.town[Town.id] == 1, House.street[Street.rank] < 5),
        House.where(House.street[Street.rank] < 5, House.town[Town.id] == 1),
        House.where(House.town[Town.id] == 1).order_by(House.street[Street.rank]).limit(2),
        House.where(House.street[Street.rank] < 5).order_by(House.town[Town.id]),
        House.where("any(street.houses, street.rank < 5)"),
        House.where("any(town.houses, id == 0) and any(street.houses)").order_by(
            House.street[Street.rank], House.town[Town.id]
        ),
    ],
)
def test_a_page_goes_with_a_change_of_any_of_the_rows_that_decided_it(query: Query[House]) -> None:
    with ormdb.open(":memory:", schema=(Town, Street, House)) as db:
        db.insert(Town(id=1))
        db.insert_many([Street(id=n, rank=n) for n in range(3)])
        db.insert_many([House(id=n, town=Town.key(1), street=Street.key(n)) for n in range(3)])
        for rank in (0, 9, 0, 1, 9):
            db.update(Street.key(0), Street.rank.to(rank))
            with db.snapshot() as snapshot:
                told = [row.id for row in snapshot.fetch(query.include(House.street))]
            for _ in range(3):
                assert [row.id for row in db.fetch(query)] == told
        assert told != [0, 1, 2]


def test_a_page_goes_with_a_change_of_the_edges_that_decided_it() -> None:
    with open_airline(MemoryEngine(), 30, cache_bytes=1 << 20) as airline:
        query = GraphQuery(entity="Flight", filter=parse_expression("any(crew, id == 3)"))

        def numbers() -> list[int]:
            return [row["id"] for row in airline.run_fetch(query).dicts()]

        for _ in range(3):
            assert numbers() == [2, 3, 22, 23]
        airline.run_mutations([Delete(entity="Duty", identities=((22, 3),))])
        for _ in range(3):
            assert numbers() == [2, 3, 23]


def test_an_older_snapshot_keeps_its_page_beside_newer_ones(db: Database) -> None:
    with db.snapshot() as old:
        assert [row.id for row in old.fetch(BEST)] == [7, 6, 5]
        db.update(Shop.key(0), Shop.stars.to(9))
        assert shown(db, BEST) == [0, 7, 6]
        assert [row.id for row in old.fetch(BEST)] == [7, 6, 5]
        assert shown(db, BEST) == [0, 7, 6]


def test_pages_of_other_values_limits_and_offsets_are_other_pages(db: Database) -> None:
    for _ in range(2):
        assert shown(db, BEST) == [7, 6, 5]
        assert shown(db, BEST.limit(2)) == [7, 6]
        assert shown(db, BEST.offset(1)) == [6, 5, 4]
        assert shown(db, Shop.where(Shop.stars > 5).order_by(Shop.stars.desc()).limit(3)) == [7, 6]


def test_a_kept_page_leads_to_the_next_one(db: Database) -> None:
    for _ in range(3):
        page = db.fetch(BEST)
        assert [row.id for row in db.fetch(BEST.after(page.next_cursor))] == [4, 3]


def test_a_list_that_is_kept_nowhere_may_be_changed_by_its_owner(db: Database) -> None:
    for _ in range(3):
        rows = db.fetch(BEST).to_dicts()
        rows[0]["stars"] = 0
        rows.clear()
    assert shown(db, BEST) == [7, 6, 5]


def test_a_condition_whose_answer_changes_by_itself_keeps_no_page(db: Database) -> None:
    query = Shop.where("stars > 2 and now() > timestamp('2001-01-01T00:00:00Z')")
    first = shown(db, query)
    db.fetch(query)
    assert calls(db, query) > 0
    assert shown(db, query) == first
