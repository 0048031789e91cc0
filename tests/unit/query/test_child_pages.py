"""Holds that children are paged by cursor, both ways, and that what has no pages is told."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import ormdb
from ormdb import Database, Entity, Field, Many, One, field, index, many, param
from ormdb.errors import CursorError, ParameterError, QueryError
from ormdb.ir.expr import FieldRef
from ormdb.ir.graph import GraphQuery, Include, OrderSpec


class Shop(Entity):
    id: Field[int] = field(identity=True)
    name: Field[str]
    orders: Many[Order] = many(inverse="shop")
    clerks: Many[Clerk] = many(through="Order.shop", to="clerk")


class Clerk(Entity):
    id: Field[int] = field(identity=True)
    name: Field[str]


class Order(Entity):
    id: Field[int] = field(identity=True)
    placed: Field[int]
    note: Field[str | None]
    shop: One[Shop]
    clerk: One[Clerk | None]

    __indexes__ = (index("shop_id", "placed"),)


BY_TIME = Shop.orders.order_by(Order.placed)
BY_CLERK = Shop.orders.order_by(Order.clerk[Clerk.name].desc())
ORDERS = {1: range(1, 12), 2: range(12, 15), 3: range(0)}  # placed in turn, two at a time


@pytest.fixture
def db() -> Iterator[Database]:
    with ormdb.open(":memory:", schema=[Shop, Order, Clerk]) as opened:
        opened.insert_rows(Shop, [{"id": n, "name": f"shop {n}"} for n in ORDERS])
        opened.insert_rows(Clerk, [{"id": n, "name": f"clerk {n % 3}"} for n in range(1, 6)])
        rows = [
            {
                "id": n,
                "placed": n // 2,
                "note": None,
                "shop_id": shop,
                "clerk_id": n % 6 or None,
            }
            for shop, numbers in ORDERS.items()
            for n in numbers
        ]
        opened.insert_rows(Order, rows)
        yield opened


def walked(db: Database, relation: Any, shop: int, limit: int) -> list[list[int]]:
    """The pages of one shop's orders, onwards to the last."""
    pages: list[list[int]] = []
    cursor: str | None = None
    while True:
        found = db.fetch(Shop.include(relation.limit(limit).after(cursor)))
        (row,) = (each for each in found if each.id == shop)
        pages.append([order.id for order in row.orders])
        cursor = found.next_cursor_of(row, Shop.orders)
        if cursor is None:
            return pages


@pytest.mark.parametrize("relation", [Shop.orders, BY_TIME, BY_TIME.where(Order.id != 5), BY_CLERK])
def test_pages_of_children_put_together_are_all_of_them(db: Database, relation: Any) -> None:
    whole = {row.id: [order.id for order in row.orders] for row in db.fetch(Shop.include(relation))}
    for shop, expected in whole.items():
        for limit in (1, 2, 4, 11):
            pages = walked(db, relation, shop, limit)
            assert [number for page in pages for number in page] == expected
            assert all(len(page) == limit for page in pages[:-1])


def test_a_page_goes_back_from_a_cursor(db: Database) -> None:
    third = db.fetch(Shop.include(BY_TIME.limit(4)))
    cursor = third.next_cursor_of(third[0], Shop.orders)
    second = db.fetch(Shop.include(BY_TIME.limit(4).after(cursor)))
    back = second.previous_cursor_of(second[0], "orders")
    first = db.fetch(Shop.include(BY_TIME.limit(3).before(back)))
    assert [order.id for order in first[0].orders] == [2, 3, 4]
    assert first.next_cursor_of(first[0], Shop.orders) is not None
    skipping = db.fetch(Shop.include(BY_TIME.limit(2).offset(1).before(back)))
    assert [order.id for order in skipping[0].orders] == [2, 3]


def test_a_cursor_is_the_same_place_for_every_parent(db: Database) -> None:
    page = db.fetch(Shop.include(BY_TIME.limit(11)))
    cursor = page.next_cursor_of(page[0], Shop.orders)
    assert cursor is not None
    beyond = db.fetch(Shop.include(BY_TIME.after(cursor)))
    assert [[order.id for order in shop.orders] for shop in beyond] == [[], [12, 13, 14], []]
    before = db.fetch(Shop.include(BY_TIME.before(cursor)))
    assert [len(shop.orders) for shop in before] == [10, 0, 0]


def test_a_cursor_of_children_goes_on_in_a_query_of_them(db: Database) -> None:
    page = db.fetch(Shop.include(BY_TIME.limit(4)))
    cursor = page.next_cursor_of(page[0], Shop.orders)
    alone = Order.where(Order.shop_id == 1).order_by(Order.placed).limit(4)  # type: ignore[attr-defined]
    assert [order.id for order in db.fetch(alone.after(cursor))] == [5, 6, 7, 8]


def test_a_page_that_is_not_full_has_no_cursor_on_that_side(db: Database) -> None:
    page = db.fetch(Shop.include(BY_TIME.limit(4)))
    assert [page.next_cursor_of(shop, Shop.orders) is None for shop in page] == [False, True, True]
    assert {page.previous_cursor_of(shop, Shop.orders) for shop in page} == {None}
    whole = db.fetch(Shop.include(BY_TIME))
    assert {whole.next_cursor_of(shop, Shop.orders) for shop in whole} == {None}
    nothing = db.fetch(Shop.include(BY_TIME.limit(0)))
    assert {nothing.next_cursor_of(shop, Shop.orders) for shop in nothing} == {None}
    later = db.fetch(Shop.include(BY_TIME.limit(2).offset(2)))
    assert later.previous_cursor_of(later[0], Shop.orders) is not None


def test_a_place_stays_good_when_its_row_is_gone(db: Database) -> None:
    page = db.fetch(Shop.include(BY_TIME.limit(4)))
    cursor, version = page.next_cursor_of(page[0], Shop.orders), db.version
    db.delete(Order.key(4))
    db.delete(Order.key(5))
    more = BY_TIME.limit(2).after(cursor)
    assert [order.id for order in db.fetch(Shop.include(more))[0].orders] == [6, 7]
    past = db.fetch(Shop.include(more).as_of(version))
    assert [order.id for order in past[0].orders] == [5, 6]
    with db.transaction() as txn:
        txn.insert_rows(Order, [{"id": 50, "placed": 3, "shop_id": 1}])
        assert [order.id for order in txn.fetch(Shop.include(more))[0].orders] == [6, 7]
        three = BY_TIME.limit(3).after(cursor)
        assert [order.id for order in txn.fetch(Shop.include(three))[0].orders] == [6, 7, 50]
        txn.rollback()


def test_pages_below_pages_have_cursors_too(db: Database) -> None:
    query = Order.where(Order.id == 1).include(Order.shop.include(BY_TIME.limit(3).named("some")))
    page = db.fetch(query)
    shop = page[0].shop
    cursor = page.next_cursor_of(shop, "some")
    more = Order.shop.include(BY_TIME.limit(3).after(cursor).named("some"))
    found = db.fetch(Order.where(Order.id == 1).include(more)).to_dicts()
    assert [order["id"] for order in found[0]["shop"]["some"]] == [4, 5, 6]


def test_a_prepared_query_takes_cursors_of_its_includes(db: Database) -> None:
    relation = BY_TIME.limit(param("count", int)).after(param("cursor", str))
    prepared = db.prepare(Shop.where(Shop.id == param("shop", int)).include(relation))
    pages: list[list[int]] = []
    cursor: str | None = None
    while True:
        found = prepared.fetch(shop=1, count=4, cursor=cursor)
        pages.append([order.id for order in found[0].orders])
        cursor = found.next_cursor_of(found[0], Shop.orders)
        if cursor is None:
            break
    assert pages == [[1, 2, 3, 4], [5, 6, 7, 8], [9, 10, 11]]
    with pytest.raises(ParameterError, match="'cursor'"):
        prepared.fetch(shop=1, count=4)


def test_edges_in_an_order_of_their_own_have_no_places(db: Database) -> None:
    by_name = Shop.clerks.order_by(Clerk.name, Clerk.id)
    page = db.fetch(Shop.include(by_name.limit(2)))
    cursor = page.next_cursor_of(page[0], Shop.clerks)
    more = db.fetch(Shop.include(by_name.limit(2).after(cursor)))
    whole = db.fetch(Shop.include(by_name))
    assert [clerk.id for clerk in more[0].clerks] == [clerk.id for clerk in whole[0].clerks][2:4]
    back = more.previous_cursor_of(more[0], Shop.clerks)
    first = db.fetch(Shop.include(by_name.limit(2).before(back)))
    assert first[0].clerks == page[0].clerks
    plain = db.fetch(Shop.include(Shop.clerks.limit(2)))
    with pytest.raises(QueryError, match="have no pages"):
        plain.next_cursor_of(plain[0], Shop.clerks)
    with pytest.raises(QueryError, match="in the order of its edges"):
        db.fetch(Shop.include(Shop.clerks.limit(2).after(cursor)))


def test_a_cursor_of_another_order_or_entity_is_refused(db: Database) -> None:
    page = db.fetch(Shop.include(BY_TIME.limit(4)))
    cursor = page.next_cursor_of(page[0], Shop.orders)
    for relation in (Shop.orders, BY_CLERK, Shop.orders.order_by(Order.placed.desc())):
        with pytest.raises(CursorError):
            db.fetch(Shop.include(relation.after(cursor)))
    with pytest.raises(CursorError):
        db.fetch(Shop.include(BY_TIME.after("no cursor")))


def test_what_leads_to_one_row_is_not_paged(db: Database) -> None:
    page = db.fetch(Order.include(Order.shop))
    with pytest.raises(QueryError, match="leads to one row at most"):
        page.next_cursor_of(page[0], Order.shop)
    include = Include(relation="shop", after="x")
    with pytest.raises(QueryError, match="leads to one row at most"):
        db.run_fetch(GraphQuery(entity="Order", includes=(include,)))


def test_two_cursors_are_refused_and_none_is_the_first_page(db: Database) -> None:
    with pytest.raises(QueryError, match="after one cursor or before one"):
        BY_TIME.after("a").before("b")
    with pytest.raises(QueryError, match="after one cursor or before one"):
        BY_TIME.before("a").after("b")
    assert BY_TIME.after(None).before(None) == BY_TIME
    order = (OrderSpec(key=FieldRef(path=("placed",))),)
    both = Include(relation="orders", order=order, after="a", before="b")
    with pytest.raises(QueryError, match="give after or before"):
        db.run_fetch(GraphQuery(entity="Shop", includes=(both,)))


def test_cursors_are_asked_of_objects_of_the_answer(db: Database) -> None:
    one, other = (db.fetch(Shop.include(BY_TIME.limit(2))) for _ in range(2))
    with pytest.raises(QueryError, match="is no object of this answer"):
        one.next_cursor_of(other[0], Shop.orders)
    with pytest.raises(QueryError, match="is no object of this answer"):
        one.next_cursor_of({"id": 1}, Shop.orders)
    with pytest.raises(QueryError, match="no include 'clerks'"):
        one.next_cursor_of(one[0], Shop.clerks)


def test_an_explanation_tells_that_an_include_goes_on_from_a_cursor(db: Database) -> None:
    page = db.fetch(Shop.include(BY_TIME.limit(2)))
    cursor = page.next_cursor_of(page[0], Shop.orders)
    told = db.explain(Shop.include(BY_TIME.limit(2).after(cursor)), analyze=True)
    assert "after a cursor" in str(told).split("orders: Order")[1]
    assert "shop_id" not in str(told).split("orders: Order")[1].split("order ")[0]
    assert repr(BY_TIME.limit(2).after("x")) == ("Shop.orders.order_by(placed).limit(2).after('x')")
