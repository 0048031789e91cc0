"""Holds that gathered children are those of the entries, and when they are gathered."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace

import pytest

import ormdb
from ormdb import (
    Cancellation,
    Context,
    Database,
    Entity,
    Explanation,
    Field,
    Many,
    One,
    Query,
    errors,
    field,
    limits,
    many,
    one,
)
from ormdb.clock import SystemClock
from ormdb.database.database import Database as Opened
from ormdb.database.reading import Snapshot
from ormdb.ir.explanation import Joined
from ormdb.ir.expr import Aggregate, Expr, FieldRef, Related
from ormdb.ir.graph import Derived, FanoutBudget, GraphQuery, Include
from ormdb.ir.value import RowDict
from ormdb.query.cache import PlanCache
from ormdb.query.fetch import fetch
from ormdb.query.roots import Batch, root_batches
from ormdb.query.stream import stream
from ormdb.query.trace import Trace
from ormdb.storage.memory import MemoryEngine
from tests.oracle.forced import joined_by
from tests.unit.query.airline import asks, by, compare, open_airline

CUSTOMERS, EACH, OVERDUE = 400, 20, 40
WAYS = 3


class Customer(Entity):
    """Who orders, and who referred them."""

    id: Field[int] = field(identity=True)
    name: Field[str]
    orders: Many[Order] = many(inverse="customer")
    referrer: One[Customer | None] = one()
    referred: Many[Customer] = many(inverse="referrer")


class Member(Entity):
    """Some have a card, and visits name the card."""

    id: Field[int] = field(identity=True)
    card: Field[str | None] = field(unique=True)
    visits: Many[Visit] = many(inverse="member")


class Visit(Entity):
    """Some of nobody, some of a card that nobody has."""

    id: Field[int] = field(identity=True)
    day: Field[int] = field(index=True)
    member: One[Member | None] = one(references="card", enforced=False)


class Order(Entity):
    """What is ordered; few are overdue."""

    id: Field[int] = field(identity=True)
    status: Field[str] = field(index=True)
    total: Field[int] = field(index=True)
    customer: One[Customer] = one()


def order_rows() -> list[dict[str, object]]:
    count = CUSTOMERS * EACH
    step = count // OVERDUE + 1  # so that they are of different customers
    return [
        {
            "id": number,
            "status": "overdue" if number % step == 7 else ("paid", "sent")[number % 2],
            "total": number % 97,
            "customer_id": number * 7919 % CUSTOMERS,
        }
        for number in range(count)
    ]


def open_shop(cache_bytes: int = 0) -> Database:
    opened = ormdb.open(":memory:", schema=[Customer, Order], cache_bytes=cache_bytes)
    customers = [
        {"id": n, "name": f"c{n}", "referrer_id": n // 7 if n else None} for n in range(CUSTOMERS)
    ]
    opened.bulk_load(Customer, customers)
    opened.bulk_load(Order, order_rows())
    opened.analyze()
    return opened


@pytest.fixture(scope="module")
def shop() -> Generator[Database]:
    with open_shop() as opened:
        yield opened


@pytest.fixture(scope="module")
def airline() -> Generator[Opened]:
    with open_airline(MemoryEngine(), 400) as opened:
        yield opened


def overdue() -> Query[Customer]:
    return Customer.include(Customer.orders.where(Order.status == "overdue"))


def joined(
    snapshot: Snapshot, query: GraphQuery, way: int | None
) -> tuple[list[RowDict], set[str]]:
    """The answer with all children found in one way, and in which ways they were."""
    trace = Trace(SystemClock())
    with joined_by(way):
        reading = replace(snapshot.reading(query), plans=PlanCache(SystemClock()))
        found = fetch(reading, query, trace=trace).dicts()
    return found, {join.by for level in trace.levels.values() for join in level.joins}


def check(snapshot: Snapshot, query: GraphQuery) -> None:
    """See that gathering gives what looking up gives."""
    expected, how = joined(snapshot, query, None)
    assert how == {"lookup"}
    for way in range(WAYS):
        found, how = joined(snapshot, query, way)
        assert found == expected
        assert how == {"hash"}
    assert expected


def joins_of(database: Database, query: Query[Customer]) -> list[Joined]:
    return told(database.explain(query, analyze=True))


def told(explained: Explanation) -> list[Joined]:
    return [join for node in explained.nodes() if node.actual for join in node.actual.joins]


# --- when -----------------------------------------------------------------------------------------


def test_children_of_many_parents_that_a_filter_drops_are_not_read(shop: Database) -> None:
    found = shop.fetch(overdue())
    assert sum(len(customer.orders) for customer in found) == OVERDUE
    # Customers; the orders that are overdue, counted and read; the orders of some customers.
    keys = CUSTOMERS + 1 + 2 * OVERDUE
    assert keys < found.statistics.keys_read <= keys + limits.HASH_JOIN_SAMPLE_PARENTS


def test_the_children_of_a_page_are_looked_up_and_nothing_is_weighed(shop: Database) -> None:
    page = overdue().limit(20)
    assert shop.fetch(page).statistics.keys_read == 21 + 20 + 2 * 20 * EACH
    assert joins_of(shop, page) == []


def test_children_of_whom_most_are_wanted_are_looked_up(shop: Database) -> None:
    few = Customer.where(Customer.id < 60).include(Customer.orders.where(Order.total >= 0))
    (join,) = joins_of(shop, few)
    assert join.by == "lookup"
    assert join.lookup_cost < join.hash_cost


def test_all_children_of_most_parents_are_scanned(shop: Database) -> None:
    everything = Customer.include(Customer.orders)
    (join,) = joins_of(shop, everything)
    assert join.by == "hash"
    rows = CUSTOMERS * EACH
    taken = shop.fetch(everything).statistics.keys_read
    assert taken <= CUSTOMERS + rows + limits.HASH_JOIN_SAMPLE_PARENTS


def test_gathering_that_finds_far_more_than_was_expected_is_given_up() -> None:
    with open_shop() as shop:
        query = overdue().where(Customer.id < 100)
        assert [join.by for join in joins_of(shop, query)] == ["hash"]
        above = Customer.where(Customer.id < 100).include(Customer.orders.where(Order.total > 900))
        shop.bulk_load(
            Order,
            [
                {"id": n, "status": "sent", "total": n, "customer_id": 399}
                for n in range(10_000, 30_000)
            ],
        )
        (join,) = joins_of(shop, above)
        assert join.hash_cost < join.lookup_cost
        assert join.by == "lookup"
        assert not any(customer.orders for customer in shop.fetch(above))


def test_the_number_of_rows_under_one_key_is_counted_and_not_guessed() -> None:
    with open_shop() as shop:
        query = overdue().where(Customer.id < 100)
        rows = [
            {"id": n, "status": "overdue", "total": 1, "customer_id": 399}
            for n in range(10_000, 30_000)
        ]
        shop.bulk_load(Order, rows)
        (join,) = joins_of(shop, query)
        assert join.by == "lookup"
        assert join.hash_cost > 20_000 * 0.5


# --- what -----------------------------------------------------------------------------------------

CHILDREN = {
    "by row key of a text identity": ("Airport", "departures", compare("==", "price", "7.50")),
    "by value, of which some are NULL": ("Plane", "flights", compare(">", "price", "400")),
    "in the order of an index": ("Plane", "flights", compare("==", "origin_code", "JFK")),
    "by an int identity": ("Flight", "duties", compare("==", "member.name", "crew 3")),
    "one of each parent": ("Flight", "log", compare("<", "flight_id", 30)),
    "over edges in their order": ("Flight", "crew", compare("==", "name", "crew 3")),
    "without an index": ("Plane", "flights", asks("starts_with", "number", "OR1")),
    "all of them": ("Airport", "departures", None),
    "all edges": ("Flight", "crew", None),
}


@pytest.mark.parametrize("name", CHILDREN)
@pytest.mark.parametrize("page", [(None, 0), (2, 0), (1, 1)])
def test_gathered_children_are_those_that_are_looked_up(
    airline: Opened, name: str, page: tuple[int | None, int]
) -> None:
    entity, relation, condition = CHILDREN[name]
    if condition is None:
        page = None, page[1]  # the first few of all children are looked up
    orders = [(), by("-id")] if relation != "duties" else [(), by("-crew_id")]
    if relation == "log":
        page, orders = (None, 0), [()]
    for order in orders:
        include = Include(
            relation=relation, filter=condition, order=order, limit=page[0], offset=page[1]
        )
        with airline.snapshot() as snapshot:
            check(snapshot, GraphQuery(entity=entity, includes=(include,)))


def asked(kind: str, relation: str, condition: Expr) -> Expr:
    if kind == "count":
        return Aggregate(function="count", path=(relation,), filter=condition)
    if kind == "max":
        operand = FieldRef(path=("id",))
        return Aggregate(function="max", operand=operand, path=(relation,), filter=condition)
    assert kind in {"any", "none"}
    return Related(kind="any" if kind == "any" else "none", path=(relation,), filter=condition)


@pytest.mark.parametrize("kind", ["any", "none", "count", "max"])
@pytest.mark.parametrize("name", ["by row key of a text identity", "over edges in their order"])
def test_what_is_asked_of_gathered_rows_is_what_looked_up_ones_say(
    airline: Opened, kind: str, name: str
) -> None:
    entity, relation, condition = CHILDREN[name]
    assert condition is not None
    value = asked(kind, relation, condition)
    with airline.snapshot() as snapshot:
        check(snapshot, GraphQuery(entity=entity, derived=(Derived(name="asked", value=value),)))
        if isinstance(value, Related):
            below = Include(relation="flight", filter=replace(value, path=("crew",)))
            if entity == "Flight":
                check(snapshot, GraphQuery(entity="Log", includes=(below,)))


def test_whether_all_related_rows_meet_a_condition_is_asked_of_all(airline: Opened) -> None:
    value = Related(kind="all", path=("departures",), filter=compare("==", "price", "7.50"))
    query = GraphQuery(entity="Airport", derived=(Derived(name="asked", value=value),))
    with airline.snapshot() as snapshot:
        found, how = joined(snapshot, query, 0)
    assert (len(found), how) == (3, set())


def test_rows_that_refer_to_rows_of_their_own_entity_are_gathered(shop: Database) -> None:
    query = Customer.include(
        Customer.referred.where(Customer.name == "c77").include(Customer.referrer)
    )
    with shop.snapshot() as snapshot:
        check(snapshot, query.ir)


@pytest.mark.parametrize("cache_bytes", [0, 2**24])
def test_nobody_is_the_parent_of_children_that_refer_to_nobody(cache_bytes: int) -> None:
    with ormdb.open(":memory:", schema=[Member, Visit], cache_bytes=cache_bytes) as database:
        cards = [None if n % 3 == 0 else f"card {n}" for n in range(12)]
        database.bulk_load(Member, [{"id": n, "card": card} for n, card in enumerate(cards)])
        named = [*cards, "card 99"]
        visits = [{"id": n, "day": n % 2, "member_card": named[n % 13]} for n in range(60)]
        database.bulk_load(Visit, visits)
        query = Member.include(Member.visits.where(Visit.day == 1))
        with database.snapshot() as snapshot:
            gathered, how = joined(snapshot, query.ir, 0)
            assert how == {"hash"}
            assert not any(row["visits"] for row in gathered[::3])
            assert joined(snapshot, query.ir, None) == (gathered, {"lookup"})


def test_no_more_related_rows_are_held_than_a_round_has(
    shop: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "RELATED_ROUND_ROWS_MAX", OVERDUE - 1)
    query = Customer.derive(Customer.orders.where(Order.status == "overdue").count().named("late"))
    with shop.snapshot() as snapshot:
        assert joined(snapshot, query.ir, 0)[1] == {"lookup"}
    with open_shop(cache_bytes=2**24) as kept:
        assert [join.by for join in joins_of(kept, query)] == ["lookup"]
        assert kept.fetch(query).to_dicts() == shop.fetch(query).to_dicts()


def test_what_could_fail_is_asked_of_children_alone() -> None:
    with open_shop() as shop:
        shop.insert(Customer(id=9_999, name="rich", referrer=None))
        shop.insert(Order(id=90_000, status="overdue", total=2**62, customer=Customer.key(9_999)))
        asked = Customer.orders.where(Order.status == "overdue", Order.total * 4 > 100)
        query = Customer.where(Customer.id < 400).include(asked)
        with shop.snapshot() as snapshot:
            check(snapshot, query.ir)
        with pytest.raises(errors.ValueRangeError):
            shop.fetch(Customer.include(asked))


# --- snapshots, transactions, streams -------------------------------------------------------------


def test_the_past_is_gathered_as_it_was() -> None:
    with open_shop() as shop:
        before = shop.version
        with shop.transaction() as txn:
            txn.insert(Order(id=90_000, status="overdue", total=1, customer=Customer.key(3)))
            txn.update(Order.key(7), Order.status.to("paid"))
            txn.delete(Order.key(208))
        with shop.snapshot() as now, shop.snapshot(as_of=before) as then:
            check(now, overdue().ir)
            check(then, overdue().ir)
            assert joined(now, overdue().ir, 0)[0] != joined(then, overdue().ir, 0)[0]


def test_a_transaction_gathers_what_it_wrote() -> None:
    with open_shop() as shop, shop.transaction() as txn:
        txn.insert(Order(id=90_000, status="overdue", total=1, customer=Customer.key(3)))
        txn.update(Order.key(7), Order.status.to("paid"))
        txn.update(Order.key(208), Order.customer.to(Customer.key(3)))
        txn.delete(Order.key(409))
        found: list[list[RowDict]] = []
        for way in (None, 0, 1):
            with joined_by(way):
                found.append(txn.fetch(overdue()).to_dicts())
                explained = txn.explain(overdue(), analyze=True)
            how = [
                join.by for node in explained.nodes() if node.actual for join in node.actual.joins
            ]
            assert how == ["lookup" if way is None else "hash"]
        assert found[0] == found[1] == found[2]
        assert [order.id for order in txn.fetch(overdue())[3].orders] == [208, 90_000]


def test_a_stream_gathers_for_every_batch(shop: Database) -> None:
    query = overdue().ir
    with shop.snapshot() as snapshot:
        expected, _ = joined(snapshot, query, None)
        with joined_by(0):
            reading = replace(snapshot.reading(query), plans=PlanCache(SystemClock()))
            batches = stream(reading, query, batch=150, proceed=lambda: None)
            assert [row for batch in batches for row in batch.dicts()] == expected


# --- what is kept ---------------------------------------------------------------------------------


def test_what_was_gathered_is_not_read_again_until_a_row_changes() -> None:
    with open_shop(cache_bytes=2**24) as shop:
        first = shop.fetch(overdue())
        some = overdue().where(Customer.id > 100)
        again = shop.fetch(overdue())
        assert again.to_dicts() == first.to_dicts()
        assert again.statistics.keys_read == CUSTOMERS  # a scan of the roots is never kept
        assert [join.by for join in joins_of(shop, overdue())] == ["kept"]
        assert first.to_dicts()[101:] == shop.fetch(some).to_dicts()
        shop.insert(Order(id=90_000, status="overdue", total=1, customer=Customer.key(3)))
        assert [join.by for join in joins_of(shop, overdue())] == ["hash"]
        assert [order.id for order in shop.fetch(overdue())[3].orders][-1] == 90_000


def test_what_was_gathered_leads_to_the_children_of_its_rows(shop: Database) -> None:
    late = Customer.orders.where(Order.status == "overdue")
    query = Customer.include(Customer.referred.where(Customer.id > 5).include(late))
    expected = shop.fetch(query).to_dicts()
    assert any(each["orders"] for customer in expected for each in customer["referred"])
    with open_shop(cache_bytes=2**24) as kept, joined_by(0):
        for _ in range(3):
            assert kept.fetch(query).to_dicts() == expected


def test_what_was_gathered_with_one_value_is_not_found_with_another() -> None:
    with open_shop(cache_bytes=2**24) as shop:
        for status in ("none", "overdue", "none"):
            query = Customer.include(Customer.orders.where(Order.status == status))
            orders = [order for customer in shop.fetch(query) for order in customer.orders]
            assert len(orders) == (OVERDUE if status == "overdue" else 0)


def test_a_snapshot_of_before_does_not_find_what_was_gathered_after() -> None:
    with open_shop(cache_bytes=2**24) as shop, shop.snapshot() as before:
        shop.insert(Order(id=90_000, status="overdue", total=1, customer=Customer.key(3)))
        now = shop.fetch(overdue()).to_dicts()
        then = before.fetch(overdue()).to_dicts()
        assert now != then
        assert shop.fetch(overdue()).to_dicts() == now


def test_children_that_are_kept_with_their_parents_are_neither_read_nor_gathered() -> None:
    with open_shop(cache_bytes=2**26) as shop:
        few = Customer.where(Customer.id < 100)
        with joined_by(None):
            looked_up = shop.fetch(few.include(Customer.orders.where(Order.total > 50)))
        cheap = few.include(Customer.orders.where(Order.total > 50))
        again = shop.fetch(cheap)
        assert again.to_dicts() == looked_up.to_dicts()
        assert again.statistics.keys_read <= 100 + 1
        assert joins_of(shop, cheap) == []


# --- bounds ---------------------------------------------------------------------------------------

BUDGETS = {
    "fanout": FanoutBudget(fanout=EACH - 1),
    "edges": FanoutBudget(edges=CUSTOMERS * EACH - 1),
    "rows": FanoutBudget(rows=CUSTOMERS + OVERDUE - 1),
}


@pytest.mark.parametrize("name", BUDGETS)
@pytest.mark.parametrize("is_filtered", [False, True])
def test_a_budget_refuses_what_is_gathered_as_what_is_looked_up(
    shop: Database, name: str, *, is_filtered: bool
) -> None:
    query = overdue() if is_filtered else Customer.include(Customer.orders)
    said: list[str] = []
    for way in (None, 0):
        with shop.snapshot() as snapshot, pytest.raises(errors.BudgetError) as refused:
            joined(snapshot, replace(query.ir, budget=BUDGETS[name]), way)
        said.append(str(refused.value))
    assert said[0] == said[1]


def test_a_budget_refuses_what_was_gathered_before_under_another() -> None:
    with open_shop(cache_bytes=2**24) as shop:
        shop.fetch(overdue())
        assert [join.by for join in joins_of(shop, overdue())] == ["kept"]
        with pytest.raises(errors.BudgetError):
            shop.fetch(overdue().budget(fanout=EACH - 1))


def test_a_budget_that_all_children_fit_into_allows_gathering(shop: Database) -> None:
    exact = FanoutBudget(fanout=EACH, edges=CUSTOMERS * EACH, rows=CUSTOMERS + OVERDUE)
    with shop.snapshot() as snapshot:
        check(snapshot, replace(overdue().ir, budget=exact))


def test_gathering_ends_when_the_call_is_cancelled(
    shop: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop, read = Cancellation(), list[int]()

    def cancelled(*given: object, **named: object) -> Generator[Batch]:
        for batch in root_batches(*given, **named):  # type: ignore[arg-type]
            read.append(len(batch[0].rows))
            stop.cancel()
            yield batch

    monkeypatch.setattr("ormdb.query.hash_join.root_batches", cancelled)
    everything = Customer.include(Customer.orders.where(Order.total >= 0))
    with joined_by(0), pytest.raises(errors.CancelledError):
        shop.fetch(everything, context=Context.system(cancellation=stop))
    assert len(read) == 1


# --- what is told ---------------------------------------------------------------------------------

WAYS_TOLD = "index by_status (status = ?) or by scan and hashed"
TOLD = [
    f"or       orders gathered by {WAYS_TOLD}, for 25 parents or more",
    "joined   orders of 400 parents gathered and hashed: cost 120 instead of 8,282",
]


def test_an_explanation_tells_both_strategies_and_which_was_taken(shop: Database) -> None:
    lines = str(shop.explain(overdue(), analyze=True)).splitlines()
    said = [line.strip() for line in lines if line.strip().startswith(("or ", "joined "))]
    assert said == TOLD
