"""Holds that an analysis tells what the rows are like, from all of them or from a sample."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

import ormdb
from ormdb import Entity, Field, Many, One, field, index, limits, many, one
from ormdb.database.database import Database
from ormdb.ir.value import IntType
from ormdb.storage.analyze import describe_column
from ormdb.storage.engine import Space
from ormdb.storage.memory import MemoryEngine
from ormdb.storage.sampling import pick_items
from ormdb.storage.statistics import EntityStatistics, RelationStatistics

ROWS = 2_000


class Shop(Entity):
    """Sells."""

    id: Field[int] = field(identity=True)
    code: Field[str] = field(unique=True)
    sales: Many[Sale] = many(inverse="shop")
    visits: Many[Visit] = many(inverse="shop")


class Sale(Entity):
    """Of a shop."""

    id: Field[int] = field(identity=True)
    city: Field[str]
    zip: Field[int]
    size: Field[int | None]
    tags: Field[tuple[str, ...]]
    shop: One[Shop | None]

    __indexes__ = (index("city", "size"),)


class Visit(Entity):
    """To a shop, by a code that may be wrong."""

    id: Field[int] = field(identity=True)
    code: Field[str | None]
    shop: One[Shop | None] = one(via="code", references="code", enforced=False)


def fill(database: Database) -> None:
    rng = random.Random(1)
    shops = [{"id": n, "code": f"s{n}"} for n in range(100)]
    database.bulk_load(Shop, shops)
    database.bulk_load(
        Sale,
        [
            {
                "id": n,
                "city": f"city {n % 50 // 10}",
                "zip": n % 50,
                "size": None if n % 4 == 0 else rng.randrange(10_000),
                "tags": ("new",),
                "shop_id": None if n % 10 == 0 else n % 20,
            }
            for n in range(ROWS)
        ],
    )
    database.bulk_load(
        Visit,
        [{"id": n, "code": None if n % 5 == 0 else f"s{n % 5 * 40}"} for n in range(100)],
    )


@pytest.fixture(scope="module")
def database() -> Iterator[Database]:
    with ormdb.open(":memory:", schema=[Shop, Sale, Visit]) as opened:
        fill(opened)
        opened.analyze()
        yield opened


def entity_of(database: Database, name: str) -> EntityStatistics:
    with database.snapshot() as snapshot:
        layout = snapshot.layout
    known = database.analyst.estimator(layout).statistics
    return known.entities[layout.entities[name].entity.id]


def relation_of(database: Database, name: str) -> RelationStatistics:
    with database.snapshot() as snapshot:
        layout = snapshot.layout
    known = database.analyst.estimator(layout).statistics
    return known.relations[layout.relations[name, "shop"].relation.id]


def test_an_entity_read_as_a_whole_is_told_exactly(database: Database) -> None:
    sale = entity_of(database, "Sale")
    assert (sale.rows, sale.looked_at) == (ROWS, ROWS)
    by_kind = {f.slot: f for f in sale.fields}
    with database.snapshot() as snapshot:
        slots = {n: f.slot for n, f in snapshot.layout.entities["Sale"].fields.items()}
    assert by_kind[slots["id"]].distinct == ROWS
    assert by_kind[slots["city"]].distinct == 5
    assert sorted(by_kind[slots["city"]].fractions) == [0.2] * 5
    assert by_kind[slots["size"]].null_fraction == 0.25
    assert len(by_kind[slots["size"]].bounds) == limits.STATISTICS_PARTS + 1
    assert by_kind[slots["tags"]].distinct == 0.0
    assert sale.prefixes[0].slots == (slots["city"], slots["size"])


def test_two_columns_of_which_one_decides_the_other_are_told_from_independent_ones(
    database: Database,
) -> None:
    sale = entity_of(database, "Sale")
    with database.snapshot() as snapshot:
        slots = {n: f.slot for n, f in snapshot.layout.entities["Sale"].fields.items()}
    pairs = {pair.slots: pair.independence for pair in sale.pairs}
    assert pairs[slots["city"], slots["zip"]] < 0.1
    assert pairs[slots["city"], slots["size"]] > 0.9


def test_children_are_counted_by_parent(database: Database) -> None:
    sales = relation_of(database, "Sale")
    assert (sales.parents, sales.children, sales.linked) == (100, ROWS * 9 // 10, 1.0)
    assert sales.childless == pytest.approx(0.82)  # numbers 0 and 10 have no shop
    assert sales.most == 100
    assert sales.mean == pytest.approx(100.0)


def test_children_without_a_parent_are_told(database: Database) -> None:
    visits = relation_of(database, "Visit")
    assert (visits.children, visits.most) == (80, 20)
    assert visits.linked == pytest.approx(0.5)  # s40 and s80 are there, s120 and s160 are not
    assert visits.childless == pytest.approx(0.98)


@pytest.mark.parametrize("pass_rows", [100, 1_000_000])
def test_a_sample_of_many_rows_tells_what_all_of_them_are_like(
    monkeypatch: pytest.MonkeyPatch, pass_rows: int
) -> None:
    monkeypatch.setattr(limits, "STATISTICS_SAMPLE_ROWS", 1_000)
    monkeypatch.setattr(limits, "STATISTICS_PARENTS", 50)
    monkeypatch.setattr(limits, "STATISTICS_PASS_ROWS", pass_rows)
    with ormdb.open(":memory:", schema=[Shop, Sale, Visit]) as opened:
        fill(opened)
        opened.analyze()
        sale = entity_of(opened, "Sale")
        with opened.snapshot() as snapshot:
            slots = {n: f.slot for n, f in snapshot.layout.entities["Sale"].fields.items()}
        fields = {f.slot: f for f in sale.fields}
        assert sale.rows == ROWS
        assert 900 <= sale.looked_at <= 1_100
        assert fields[slots["id"]].distinct == pytest.approx(ROWS, rel=0.01)
        assert fields[slots["zip"]].distinct == 50
        assert fields[slots["size"]].null_fraction == pytest.approx(0.25, abs=0.05)
        assert fields[slots["size"]].distinct == pytest.approx(1_500 * 0.93, rel=0.1)


def test_no_row_is_picked_twice_wherever_the_keys_are() -> None:
    rng = random.Random(3)
    space, engine = Space("rows/1"), MemoryEngine()
    numbers = sorted({*range(5_000), *(rng.getrandbits(64) for _ in range(20)), 2**64 - 1})
    txn = engine.begin_write()
    txn.put_many(space, [(number.to_bytes(8, "big"), b"") for number in numbers])
    txn.commit()
    reader = engine.begin_read()
    for pass_rows in (100, 1_000_000):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(limits, "STATISTICS_PASS_ROWS", pass_rows)
            batches = pick_items(reader, space, len(numbers), wanted=500, rng=rng)
            picked = [key for batch in batches for key, _ in batch]
        assert len(set(picked)) == len(picked)
        assert 250 <= len(picked) <= 1_000


def test_an_analysis_that_is_stopped_reads_nothing_more(database: Database) -> None:
    from ormdb.storage.analyze import Analysis, analyze_entity

    txn = database.engine.begin_read()
    answers = iter([True, False])
    with database.snapshot() as snapshot:
        entity = snapshot.layout.entities["Sale"]
    analysis = Analysis(
        txn=txn, version=1, wall_us=0, rng=random.Random(0), go_on=lambda: next(answers)
    )
    assert analyze_entity(analysis, entity) is None
    with pytest.raises(StopIteration):
        next(answers)


def test_a_column_of_different_values_is_taken_to_be_one() -> None:
    described = describe_column(range(1_000), IntType(), slot=0, rows=50_000)
    assert described.distinct == pytest.approx(50_000)
    twice = describe_column([n // 2 for n in range(1_000)], IntType(), slot=0, rows=50_000)
    assert twice.distinct == 500
