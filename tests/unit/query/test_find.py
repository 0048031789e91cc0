"""Row keys of a query are those of the rows that a fetch shows, in its order."""

from __future__ import annotations

import pytest

import ormdb
from ormdb import Database, Entity, Field, Query, field, limits
from ormdb.errors import BudgetError, CursorError, QueryError
from ormdb.ir.mutation import UpdateWhere


class Item(Entity):
    id: Field[int] = field(identity=True)
    rank: Field[int] = field(index=True)
    seen: Field[int] = field(default=0)


@pytest.fixture
def db(monkeypatch: pytest.MonkeyPatch) -> Database:
    monkeypatch.setattr(limits, "SCAN_BATCH_ROWS", 4)
    opened = ormdb.open(":memory:", schema=[Item])
    opened.insert_many([Item(id=n, rank=n * 7 % 20) for n in range(20)])
    return opened


def touched(db: Database, query: Query[Item]) -> list[int]:
    (outcome,) = db.run_mutations([UpdateWhere(query=query.ir, changes={"seen": 1})])
    return [number for (number,) in outcome.identities]


@pytest.mark.parametrize(
    "query",
    [
        Item.all(),
        Item.where(Item.rank > 9),
        Item.order_by(Item.rank.desc()),
        Item.order_by(Item.seen, Item.rank).limit(9).offset(3),
        Item.where(Item.id.in_([3, 9, 4])).order_by(Item.rank),
        Item.limit(0),
    ],
)
def test_a_statement_means_the_rows_of_its_query_in_their_order(
    db: Database, query: Query[Item]
) -> None:
    fetched = [item.id for item in db.fetch(query)]
    assert touched(db, query) == fetched


def test_a_statement_means_the_rows_beside_a_cursor(db: Database) -> None:
    query = Item.order_by(Item.rank).limit(5)
    first = db.fetch(query)
    after = query.after(first.next_cursor)
    before = query.before(db.fetch(after).previous_cursor)
    assert touched(db, after) == [item.id for item in db.fetch(after)]
    assert touched(db, before) == [item.id for item in first]
    with pytest.raises(CursorError):
        touched(db, query.after("nonsense"))


def test_rows_that_have_to_be_sorted_are_bounded_by_the_budget(db: Database) -> None:
    assert len(touched(db, Item.all().budget(rows=10))) == 20
    with pytest.raises(BudgetError):
        touched(db, Item.order_by(Item.seen).budget(rows=10))


def test_a_query_into_the_past_is_refused(db: Database) -> None:
    with pytest.raises(QueryError, match="no use for a selection, as_of of its query"):
        touched(db, Item.select(Item.id).as_of(1))
