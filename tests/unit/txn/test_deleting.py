"""On delete: cascades to any depth, through circles, in batches; what refuses, changes or waits."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from ormdb import limits
from ormdb.catalog.assign import assign_numbers
from ormdb.catalog.declared import normalize
from ormdb.catalog.text import bundle_from_text
from ormdb.errors import BudgetError, CheckError, ForeignKeyError, NotFoundError, UniqueError
from ormdb.ir.mutation import Delete, Insert
from ormdb.ir.schema import SchemaBundle
from ormdb.ir.value import RowDict
from ormdb.storage.memory import MemoryEngine
from ormdb.storage.views import CurrentView
from ormdb.testing.counting import CountingEngine
from ormdb.txn.deletion_preview import preview_delete
from tests.oracle.store import Store

SHOP = """ormdb schema 1
entity Customer
  identity id
  id: int
  boss_id: int?
entity Order
  identity code
  code: text
  customer_id: int
entity Line
  identity order_code, number
  order_code: text
  number: int
  price: int = 1
entity Note
  identity id
  id: int
  order_code: text?
  line_number: int?
  urgent: bool = False
  unique index one_loose on urgent where order_code is None
  check urgent_is_about: not urgent or order_code is not None
entity Invoice
  identity id
  id: int
  order_code: text?
entity Tag
  identity id
  id: int
  order_code: text?
relation Customer.boss (boss_id) -> Customer (id)
  on delete cascade
relation Order.customer (customer_id) -> Customer (id)
  on delete cascade
relation Line.order (order_code) -> Order (code)
  on delete cascade
relation Note.order (order_code) -> Order (code)
  on delete set null
relation Note.line (order_code, line_number) -> Line (order_code, number)
relation Invoice.order (order_code) -> Order (code)
relation Tag.order (order_code) -> Order (code)
  not enforced
"""


def numbered(text: str) -> SchemaBundle:
    return assign_numbers(normalize(bundle_from_text(text)), None)


@pytest.fixture
def shop() -> Store:
    """A customer with two orders of two lines each, and another with one."""
    store = Store(numbered(SHOP))
    store.insert("Customer", {"id": 1}, {"id": 2})
    orders: list[RowDict] = [
        {"code": "a", "customer_id": 1},
        {"code": "b", "customer_id": 1},
        {"code": "c", "customer_id": 2},
    ]
    store.insert("Order", *orders)
    for order in orders:
        lines: Sequence[RowDict] = [{"order_code": order["code"], "number": n} for n in (1, 2)]
        store.insert("Line", *lines)
    return store


def count(store: Store, entity: str) -> int:
    return len(store.items(store.entity(entity).rows))


def column(store: Store, entity: str, field: str) -> list[object]:
    layout = store.entity(entity)
    items = store.items(layout.rows)
    decoded = layout.codec.whole.decode_batch([k for k, _ in items], [row for _, row in items])
    return [getattr(row, f"s{layout.fields[field].slot}") for row in decoded]


def test_a_cascade_takes_everything_below_and_nothing_else(shop: Store) -> None:
    shop.delete("Customer", (1,))
    assert column(shop, "Order", "code") == ["c"]
    assert column(shop, "Line", "order_code") == ["c", "c"]
    assert column(shop, "Customer", "id") == [2]
    assert shop.check().problems == ()


def test_a_cascade_ends_in_circles_and_in_rows_that_refer_to_themselves() -> None:
    store = Store(numbered(SHOP))
    store.insert("Customer", {"id": 0, "boss_id": 0}, {"id": 9})
    for number in range(1, 30):
        store.insert("Customer", {"id": 100 + number, "boss_id": 99 + number if number > 1 else 0})
    store.update("Customer", 0, boss_id=129)
    store.delete("Customer", (115,))
    assert column(store, "Customer", "id") == [9]
    assert store.check().problems == ()


def test_the_referrers_of_a_level_are_read_in_batches() -> None:
    def calls(width: int) -> int:
        engine = CountingEngine(MemoryEngine())
        store = Store(numbered(SHOP), engine)
        store.insert("Customer", {"id": 1})
        store.insert("Order", *({"code": f"{n}", "customer_id": 1} for n in range(width)))
        store.insert("Line", *({"order_code": f"{n}", "number": 1} for n in range(width)))
        engine.reset()
        store.delete("Customer", (1,))
        assert count(store, "Line") == 0
        return engine.counts.calls

    assert calls(300) == calls(3)


def test_restrict_refuses_and_names_the_row_that_is_referred_to(shop: Store) -> None:
    shop.insert("Invoice", {"id": 1, "order_code": "b"}, {"id": 2, "order_code": "b"})
    version = shop.head.version
    with pytest.raises(ForeignKeyError) as caught:
        shop.delete("Customer", (1,))
    assert "Order text 'b' is still referred to by 2 Invoice through order" in caught.value.message
    assert caught.value.details == {
        "kind": "foreign_key",
        "entity": "Order",
        "fields": ("code",),
        "constraint": "order",
        "identity": ("b",),
    }
    assert shop.head.version == version
    shop.update("Invoice", 1, order_code="c")
    shop.update("Invoice", 2, order_code=None)
    shop.delete("Customer", (1,))
    assert count(shop, "Order") == 1


TWO_WAYS = """ormdb schema 1
entity Root
  identity id
  id: int
entity Left
  identity id
  id: int
  root_id: int
entity Right
  identity id
  id: int
  root_id: int
  left_id: int
relation Left.root (root_id) -> Root (id)
  on delete cascade
relation Right.root (root_id) -> Root (id)
  on delete cascade
relation Right.left (left_id) -> Left (id)
"""


def test_restrict_lets_rows_go_that_the_statement_reaches_another_way() -> None:
    store = Store(numbered(TWO_WAYS))
    store.insert("Root", {"id": 1}, {"id": 2})
    store.insert("Left", {"id": 1, "root_id": 1})
    store.insert("Right", {"id": 1, "root_id": 1, "left_id": 1})
    with pytest.raises(ForeignKeyError):
        store.delete("Left", (1,))
    store.delete("Root", (1,))
    assert [count(store, name) for name in ("Root", "Left", "Right")] == [1, 0, 0]
    store.insert("Left", {"id": 1, "root_id": 2})
    store.insert("Root", {"id": 3})
    store.insert("Right", {"id": 1, "root_id": 3, "left_id": 1})
    with pytest.raises(ForeignKeyError, match="Left int 1 is still referred to by 1 Right"):
        store.delete("Root", (2,))


def test_set_null_lets_go_and_a_reference_it_shares_fields_with_lets_go_as_well(
    shop: Store,
) -> None:
    shop.insert("Note", {"id": 1, "order_code": "a", "line_number": 2})
    shop.delete("Order", ("a",))
    assert column(shop, "Note", "order_code") == [None]
    assert column(shop, "Note", "line_number") == [2]
    assert count(shop, "Line") == 4
    assert shop.check().problems == ()


def test_what_is_set_to_null_keeps_its_checks_and_the_whole_delete_is_undone(shop: Store) -> None:
    shop.insert("Note", {"id": 1, "order_code": "a"}, {"id": 2, "order_code": "b", "urgent": True})
    before = [shop.items(shop.entity(name).rows) for name in ("Order", "Line", "Note")]
    with pytest.raises(CheckError) as caught:
        shop.delete("Customer", (1,))
    assert caught.value.details["identity"] == (2,)
    assert [shop.items(shop.entity(name).rows) for name in ("Order", "Line", "Note")] == before
    assert shop.check().problems == ()


def test_what_is_set_to_null_keeps_partial_uniques(
    shop: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.insert("Note", {"id": 1, "order_code": "a"}, {"id": 2, "order_code": "b"})
    monkeypatch.setattr(limits, "DELETE_CHUNK_ROWS", 1)  # each is put before the next is checked
    with pytest.raises(UniqueError, match="'one_loose' keeps unique"):
        shop.delete("Order", ("a",), ("b",))
    shop.delete("Order", ("a",))
    assert column(shop, "Note", "order_code") == [None, "b"]


def test_a_refused_delete_leaves_the_rest_of_its_transaction(shop: Store) -> None:
    shop.insert("Note", {"id": 2, "order_code": "b", "urgent": True})
    commit = shop.committer.open(principal="t")
    commit.apply_together([Insert(entity="Customer", rows=({"id": 7},))])
    with pytest.raises(CheckError):
        commit.apply_together([Delete(entity="Order", identities=(("b",),))])
    commit.apply_together([Delete(entity="Order", identities=(("a",),))])
    commit.apply_together([Insert(entity="Line", rows=({"order_code": "b", "number": 3},))])
    with pytest.raises(ForeignKeyError):
        commit.apply_together([Insert(entity="Line", rows=({"order_code": "a", "number": 3},))])
    commit.publish()
    assert column(shop, "Order", "code") == ["b", "c"]
    assert column(shop, "Customer", "id") == [1, 2, 7]
    assert shop.check().problems == ()


def test_what_is_not_enforced_is_left_alone(shop: Store) -> None:
    shop.insert("Tag", {"id": 1, "order_code": "a"})
    shop.delete("Order", ("a",))
    assert column(shop, "Tag", "order_code") == ["a"]


def test_a_budget_refuses_before_anything_is_changed(shop: Store) -> None:
    version = shop.head.version
    for budget, reached in ((6, 7), (3, 5), (0, 1)):
        with pytest.raises(BudgetError) as caught:
            shop.commit(Delete(entity="Customer", identities=((1,),), budget=budget))
        assert caught.value.details["allowed"] == budget
        assert caught.value.details["reached"] >= reached - 2
        assert caught.value.details["budget"] == "rows"
    assert caught.value.details["path"] == ("Customer",)
    with pytest.raises(BudgetError, match=r"Customer > Order\.customer > Line\.order; give") as too:
        shop.commit(Delete(entity="Customer", identities=((1,),), budget=6))
    assert too.value.details["path"] == ("Customer", "Order.customer", "Line.order")
    assert shop.head.version == version
    shop.commit(Delete(entity="Customer", identities=((1,),), budget=7))
    assert count(shop, "Line") == 2


def test_the_budget_counts_rows_set_to_null(shop: Store) -> None:
    shop.insert("Note", {"id": 1, "order_code": "a"})
    with pytest.raises(BudgetError) as caught:
        shop.commit(Delete(entity="Order", identities=(("a",),), budget=3))
    assert caught.value.details["path"] == ("Order", "Note.order")
    shop.commit(Delete(entity="Order", identities=(("a",),), budget=4))


def test_the_statement_without_a_budget_has_the_default_one(
    shop: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "DELETE_ROWS_MAX", 6)
    with pytest.raises(BudgetError):
        shop.delete("Customer", (1,))
    shop.commit(Delete(entity="Customer", identities=((1,),), budget=7))


def test_a_preview_counts_what_the_delete_then_does(shop: Store) -> None:
    shop.insert("Note", {"id": 1, "order_code": "a"}, {"id": 2, "order_code": "b"})
    shop.insert("Invoice", {"id": 1, "order_code": "b"})
    delete = Delete(entity="Customer", identities=((1,), (1,)))
    with shop.reading() as txn:
        found = preview_delete(shop.layout, CurrentView(txn, shop.head.version), delete)
    assert found.deleted == {"Customer": 1, "Order": 2, "Line": 4}
    assert found.set_null == {"Note": 2}
    assert found.refused_by == {"Invoice.order": 1}
    assert found.is_refused
    assert found.touched == 9
    assert str(found).splitlines() == [
        "deletes           1  Customer",
        "deletes           2  Order by customer",
        "deletes           4  Line by order",
        "set_null          2  Note by order",
        "refused           1  Invoice by order",
    ]


def test_a_preview_of_a_row_that_is_not_there_says_so(shop: Store) -> None:
    with shop.reading() as txn:
        view = CurrentView(txn, shop.head.version)
        for entity, identity in (("Customer", (7,)), ("Order", ("x",))):
            with pytest.raises(NotFoundError):
                preview_delete(shop.layout, view, Delete(entity=entity, identities=(identity,)))


def test_a_long_chain_names_its_relation_once_in_the_path() -> None:
    store = Store(numbered(SHOP))
    store.insert("Customer", *({"id": n, "boss_id": n - 1 if n else None} for n in range(50)))
    with pytest.raises(BudgetError) as caught:
        store.commit(Delete(entity="Customer", identities=((0,),), budget=40))
    assert caught.value.details["path"] == ("Customer", "Customer.boss")
    store.delete("Customer", (0,))
    assert count(store, "Customer") == 0


BY_VALUE = """ormdb schema 1
entity Team
  identity id
  id: int
entity Player
  identity id
  id: int
  team_id: int?
  shirt: int
  unique index shirts on team_id, shirt
entity Photo
  identity id
  id: int
  team_id: int?
  shirt: int?
relation Player.team (team_id) -> Team (id)
  on delete set null
relation Photo.player (team_id, shirt) -> Player (team_id, shirt)
"""


def test_a_value_that_is_set_to_null_may_not_be_one_that_others_refer_to() -> None:
    store = Store(numbered(BY_VALUE))
    store.insert("Team", {"id": 1}, {"id": 2})
    store.insert("Player", {"id": 1, "team_id": 1, "shirt": 7}, {"id": 2, "team_id": 2, "shirt": 7})
    store.insert("Photo", {"id": 1, "team_id": 1, "shirt": 7})
    with pytest.raises(ForeignKeyError, match="Player int 1 is still referred to by 1 Photo"):
        store.delete("Team", (1,))
    store.delete("Team", (2,))
    assert column(store, "Player", "team_id") == [1, None]
    assert store.check().problems == ()


def test_a_large_tree_goes_in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "DELETE_CHUNK_ROWS", 7)
    store = Store(numbered(SHOP))
    bosses = [(n - 1) // 3 if n else None for n in range(400)]
    store.insert("Customer", *({"id": n, "boss_id": boss} for n, boss in enumerate(bosses)))
    store.insert("Order", *({"code": f"{n}", "customer_id": n} for n in range(400)))
    store.insert("Note", {"id": 1, "order_code": "1"})
    store.delete("Customer", (1,))
    left = [n for n in range(400) if not _below(n, 1)]
    assert column(store, "Customer", "id") == left
    assert sorted(map(int, map(str, column(store, "Order", "code")))) == left
    assert store.check().problems == ()


def _below(number: int, root: int) -> bool:
    while number > root:
        number = (number - 1) // 3
    return number == root


def test_rows_that_an_undone_statement_had_deleted_are_still_the_last(shop: Store) -> None:
    shop.insert("Customer", {"id": 1_000})
    commit = shop.committer.open(principal="t")
    many: list[RowDict] = [{"id": 100 + n} for n in range(100)]
    with pytest.raises(NotFoundError):
        commit.apply_together(
            [
                Delete(entity="Customer", identities=((1_000,),)),
                Insert(entity="Customer", rows=tuple(many)),
                Delete(entity="Customer", identities=((5,),)),
            ]
        )
    others: list[RowDict] = [{"id": 300 + n} for n in range(100)]
    commit.apply_together([Insert(entity="Customer", rows=tuple(others))])
    commit.publish()
    assert count(shop, "Customer") == 103
