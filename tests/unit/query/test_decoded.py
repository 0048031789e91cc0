"""Holds that kept rows and groups are what a reading gives, whatever its limits, and no more."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from ormdb.database.database import Database
from ormdb.query.decoded import decoded_row, decoded_rows
from ormdb.query.follow import Level, follow_to_many, follow_to_one
from ormdb.storage.keys import row_key
from ormdb.storage.layout import RelationLayout
from ormdb.storage.memory import MemoryEngine
from ormdb.storage.row_cache import RowCache
from ormdb.storage.views import CurrentView
from tests.unit.query.airline import open_airline

FLIGHTS = 30
EACH = 10  # flights of each of the three airports


@pytest.fixture(scope="module")
def database() -> Iterator[Database]:
    with open_airline(MemoryEngine(), FLIGHTS) as opened:
        yield opened


@pytest.fixture
def view(database: Database) -> Iterator[CurrentView]:
    """A view with a row cache of its own, which is empty."""
    cache, txn = RowCache(), database.engine.begin_read()
    cache.catch_up(txn, database.version)
    yield CurrentView(txn, database.version, cache)
    txn.close()


@pytest.fixture
def origin(database: Database) -> RelationLayout:
    with database.snapshot() as snapshot:
        return snapshot.layout.relations["Flight", "origin"]


def airports(view: CurrentView, relation: RelationLayout, *numbers: int) -> Level:
    keys = [row_key(number) for number in numbers]
    rows = [row for row in view.unkept().rows(relation.target, keys) if row is not None]
    return Level(relation.target.codec.whole.decode_batch(keys, rows), keys)


def read(
    view: CurrentView,
    relation: RelationLayout,
    parents: Level,
    *,
    limit_each: int = sys.maxsize,
    limit_all: int = sys.maxsize,
) -> tuple[list[bytes], list[int], int]:
    """The keys of the children, how many each parent has, and how many keys were read for it."""
    before = view.counters.keys
    decoder = relation.source.codec.whole
    level, counts = follow_to_many(
        view, relation, parents, decoder, limit_each=limit_each, limit_all=limit_all
    )
    return level.keys, counts, view.counters.keys - before


def children(*numbers: int, most: int = EACH) -> list[bytes]:
    """The keys of the first flights of each airport, which has every third."""
    return [row_key(number - 1 + 3 * at) for number in numbers for at in range(most)]


def test_groups_that_are_kept_are_read_no_more_and_cut_to_what_is_asked_for(
    view: CurrentView, origin: RelationLayout
) -> None:
    all_three = airports(view, origin, 1, 2, 3)
    assert read(view, origin, all_three) == (children(1, 2, 3), [EACH] * 3, 3 + 2 * FLIGHTS)
    assert read(view, origin, all_three) == (children(1, 2, 3), [EACH] * 3, 0)
    assert read(view, origin, airports(view, origin, 3, 1)) == (children(3, 1), [EACH] * 2, 0)
    assert read(view, origin, all_three, limit_each=EACH) == (children(1, 2, 3), [EACH] * 3, 0)
    assert read(view, origin, all_three, limit_each=4) == (children(1, 2, 3, most=4), [4] * 3, 0)
    # What is cut for one is whole for the next.
    assert read(view, origin, all_three) == (children(1, 2, 3), [EACH] * 3, 0)


def test_only_missing_groups_are_read_and_put_where_they_belong(
    view: CurrentView, origin: RelationLayout
) -> None:
    read(view, origin, airports(view, origin, 2))
    asked = airports(view, origin, 1, 2, 3)
    assert read(view, origin, asked) == (children(1, 2, 3), [EACH] * 3, 2 + 4 * EACH)
    assert read(view, origin, asked) == (children(1, 2, 3), [EACH] * 3, 0)


def test_a_group_that_a_limit_cut_is_not_kept_as_the_whole(
    view: CurrentView, origin: RelationLayout
) -> None:
    asked = airports(view, origin, 1, 2)
    assert read(view, origin, asked, limit_each=4) == (children(1, 2, most=4), [4, 4], 18)
    assert read(view, origin, asked, limit_each=4) == (children(1, 2, most=4), [4, 4], 18)
    assert read(view, origin, asked, limit_each=EACH + 1) == (children(1, 2), [EACH] * 2, 42)
    assert read(view, origin, asked) == (children(1, 2), [EACH] * 2, 0)


@pytest.mark.parametrize("kept", [(), (1,), (2,), (1, 2)])
@pytest.mark.parametrize("limit_all", [1, 9, 10, 11, 19, 20, 21])
def test_a_limit_of_all_gives_the_first_of_them_whatever_is_kept(
    view: CurrentView, origin: RelationLayout, kept: tuple[int, ...], limit_all: int
) -> None:
    if kept:
        read(view, origin, airports(view, origin, *kept))
    asked = airports(view, origin, 1, 2)
    keys, counts, _ = read(view, origin, asked, limit_all=limit_all)
    assert keys == children(1, 2)[:limit_all]
    assert sum(counts) == len(keys)
    assert counts == [min(EACH, limit_all), max(0, min(EACH, limit_all - EACH))]
    assert read(view, origin, asked)[:2] == (children(1, 2), [EACH] * 2)


def test_rows_that_are_kept_are_not_read_again_and_absent_ones_are(
    view: CurrentView, origin: RelationLayout
) -> None:
    flight, whole = origin.source, origin.source.codec.whole
    cache = view.cache
    assert cache is not None
    keys = [row_key(number) for number in (3, 500, 4, 3)]
    first = decoded_rows(view, flight, keys, whole)
    assert [row is None for row in first] == [False, True, False, False]
    before = view.counters.keys
    again = decoded_rows(view, flight, keys, whole)
    assert [one is other for one, other in zip(first, again, strict=True)] == [True] * 4
    assert view.counters.keys == before + 1  # the row that is not there
    assert decoded_rows(view, flight, [keys[2], row_key(5)], whole)[0] is first[2]
    assert view.counters.keys == before + 2
    hits, misses = cache.hits, cache.misses
    assert decoded_row(view, flight, keys[0], whole) is first[0]
    assert (cache.hits, cache.misses, view.counters.keys) == (hits + 1, misses, before + 2)
    assert decoded_row(view, flight, keys[1], whole) is None
    row = decoded_row(view, flight, row_key(6), whole)
    assert (cache.hits, cache.misses, view.counters.keys) == (hits + 1, misses + 2, before + 4)
    assert decoded_row(view, flight, row_key(6), whole) is row


def test_what_rows_of_kept_groups_refer_to_is_found_without_looking_at_them(
    view: CurrentView, origin: RelationLayout
) -> None:
    asked = airports(view, origin, 1, 2, 3)
    whole, target = origin.source.codec.whole, origin.target.codec.whole
    linked, weights, cache = list[list[int]](), list[int](), view.cache
    assert cache is not None
    for _ in range(3):
        level, _ = follow_to_many(view, origin, asked, whole)
        airports_again, positions = follow_to_one(view, origin, level, target)
        assert airports_again.keys == asked.keys
        assert positions == [0] * EACH + [1] * EACH + [2] * EACH
        linked.append([len(group.links) for group in level.groups])
        weights.append(cache.statistics().bytes)
    assert linked == [[], [1, 1, 1], [1, 1, 1]]
    assert weights[1] - weights[0] >= 8 * FLIGHTS  # a row key for each
    assert weights[2] == weights[1]
