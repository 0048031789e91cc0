"""Holds that children read by a scan are those of the entries, and when a scan is taken."""

from __future__ import annotations

import random
from collections.abc import Generator

import pytest

from ormdb import limits
from ormdb.database.database import Database
from ormdb.ir.graph import GraphQuery, Include, Page
from ormdb.ir.value import RowDict
from ormdb.query.follow import Level
from ormdb.query.hash_join import children_by_scan, is_scan_cheaper
from ormdb.storage.keys import row_key
from ormdb.storage.layout import Layout
from ormdb.storage.memory import MemoryEngine
from ormdb.storage.views import CurrentView
from tests.unit.query.airline import by, compare, duty_rows, open_airline

FLIGHTS = 400
CASES = 200
GOOD_MIN = 180


@pytest.fixture(scope="module")
def database() -> Generator[Database]:
    with open_airline(MemoryEngine(), FLIGHTS) as opened:
        yield opened


def fetched(database: Database, query: GraphQuery) -> tuple[list[RowDict], int]:
    answer = database.run_fetch(query)
    return answer.dicts(), answer.statistics.keys_read


@pytest.mark.parametrize("limit", [None, 1, 3])
@pytest.mark.parametrize("relation", ["duties", "log", "crew"])
def test_a_scan_gives_what_the_entries_give(
    database: Database, monkeypatch: pytest.MonkeyPatch, relation: str, limit: int | None
) -> None:
    include = Include(relation=relation, limit=None if relation == "log" else limit)
    query = GraphQuery(entity="Flight", includes=(include,))
    scanned = fetched(database, query)
    monkeypatch.setattr(limits, "HASH_JOIN_PARENTS_MIN", 10**9)
    looked_up = fetched(database, query)
    assert scanned[0] == looked_up[0]
    if limit is None:
        assert scanned[1] < looked_up[1]


def test_children_by_value_are_found_and_nobody_is_found_for_null(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    query = GraphQuery(entity="Plane", includes=(Include(relation="flights", order=by("id")),))
    looked_up = fetched(database, query)
    monkeypatch.setattr(limits, "HASH_JOIN_PARENTS_MIN", 1)
    assert fetched(database, query)[0] == looked_up[0]


def test_few_parents_are_looked_up(database: Database) -> None:
    query = GraphQuery(entity="Flight", page=Page(limit=5), includes=(Include(relation="duties"),))
    assert fetched(database, query)[1] < 60


def test_the_past_and_a_transaction_scan_nothing(database: Database) -> None:
    include = Include(relation="duties")
    past = GraphQuery(entity="Flight", includes=(include,), as_of=database.version)
    assert len(fetched(database, past)[0]) == FLIGHTS
    one = GraphQuery(entity="Flight", filter=compare("==", "id", 3), includes=(include,))
    with database.begin() as txn:
        everything = txn.run_fetch(GraphQuery(entity="Flight", includes=(include,))).dicts()
        assert len(everything) == FLIGHTS
        assert txn.run_fetch(one).dicts() == everything[3:4]


def skewed(rng: random.Random) -> Generator[tuple[CurrentView, Layout, list[int], Database]]:
    """Flights of which some have many duties and most have few, and some of the flights."""
    flights = rng.choice([300, 600])
    with open_airline(MemoryEngine(), flights) as database:
        database.delete_rows(
            "Duty", [(row["flight_id"], row["crew_id"]) for row in duty_rows(flights)]
        )
        rows: list[RowDict] = []
        for number in range(flights):
            count = min(20, int(rng.paretovariate(rng.choice([0.7, 1.0, 2.0]))) - 1)
            rows.extend({"flight_id": number, "crew_id": n, "rank": n} for n in range(count))
        database.bulk_load("Duty", rows)
        with database.snapshot() as snapshot:
            layout = snapshot.layout
        view = CurrentView(database.engine.begin_read(), database.version)
        for _ in range(10):
            chosen = rng.sample(range(flights), rng.randint(10, flights))
            yield view, layout, sorted(chosen), database


def test_the_cheaper_way_is_taken_of_skewed_children(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "HASH_JOIN_PARENTS_MIN", 1)
    monkeypatch.setattr(limits, "HASH_JOIN_SAMPLE_PARENTS", 64)
    rng, good, cases = random.Random(7), 0, 0
    while cases < CASES:
        for view, layout, chosen, _ in skewed(rng):
            relation = layout.relations["Duty", "flight"]
            assert relation.index is not None
            keys = [row_key(number) for number in chosen]
            children = sum(view.count_related(relation.index, keys))
            by_entries = len(keys) + 2 * children
            by_scan = view.row_count(relation.source)
            if max(by_entries, by_scan) < 1.5 * min(by_entries, by_scan):
                continue
            cases += 1
            good += is_scan_cheaper(view, relation, keys) == (by_scan < by_entries)
    assert good * CASES >= GOOD_MIN * cases


def test_limits_cut_where_entries_are_cut(database: Database) -> None:
    with database.snapshot() as snapshot:
        layout = snapshot.layout
    view = CurrentView(database.engine.begin_read(), database.version)
    relation = layout.relations["Duty", "flight"]
    parents = [0, 1, 2]
    decoder = relation.source.codec.whole
    rows, keys, counts = children_by_scan(
        view, relation, parents, decoder, limit_each=1, limit_all=2
    )
    assert (len(rows), len(keys), counts) == (2, 2, [1, 1, 0])
    level = Level(rows, keys)
    assert [row.s0 for row in level.rows] == [0, 1]
