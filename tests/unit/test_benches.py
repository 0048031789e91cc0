"""The contestants of the benchmarks answer alike, before anybody believes their times."""

from __future__ import annotations

import pytest

from benches.by_ormdb import ByOrmdb
from benches.by_sqlite import BySqlite
from benches.contestant import Contestant
from benches.data import Row, Sizes
from benches.measure import load_once, measure_shop

SMALL = Sizes(customers=120, orders_per_customer=3, lines_per_order=2, products=20, sales=2_000)


def test_pages_and_orders_of_the_contestants_are_compared_and_equal() -> None:
    figures = measure_shop([BySqlite(), ByOrmdb()], SMALL, rounds=4)
    assert {figure.contestant for figure in figures} == {"sqlite3", "ormdb"}


def test_sales_of_the_contestants_are_equal_after_a_bulk_load() -> None:
    theirs, ours = load_once(BySqlite(), SMALL), load_once(ByOrmdb(), SMALL)
    assert ours.sample == theirs.sample
    assert len(ours.sample) == 100
    assert ours.bytes > 0


def test_a_contestant_that_answers_otherwise_is_found() -> None:
    class Forgetful(ByOrmdb):
        def fetch_page(self, after: str) -> list[Row]:
            return super().fetch_page(after)[1:]

    contestants: list[Contestant] = [BySqlite(), Forgetful()]
    with pytest.raises(AssertionError, match="ormdb answers another page"):
        measure_shop(contestants, SMALL, rounds=4)
