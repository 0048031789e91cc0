"""Holds that chances are those of the binomial distribution, and bounded where they have to be."""

from __future__ import annotations

import math
import random
from itertools import pairwise

import pytest

import ormdb
from ormdb import Entity, Field, Many, One, field, many, one
from ormdb.query.chance import at_least, share_that_fits


class Shop(Entity):
    id: Field[int] = field(identity=True)
    orders: Many[Order] = many(inverse="shop")


class Order(Entity):
    id: Field[int] = field(identity=True)
    late: Field[bool]
    shop: One[Shop] = one()


COUNTS = (0, 1, 7, 64, 65, 300, 5_000)
SHARES = (0.0, 0.0001, 0.02, 0.5, 0.97, 1.0)


@pytest.mark.parametrize("count", [3, 20, 64, 65, 100, 400])
@pytest.mark.parametrize("share", [0.001, 0.05, 0.4, 0.9])
def test_a_chance_is_what_drawing_shows(count: int, share: float) -> None:
    exact = 0.0
    for number in range(min(count, 60) + 1):
        expected = 1.0 - exact
        assert at_least(count, share, number) == pytest.approx(expected, abs=0.06)
        exact += math.comb(count, number) * share**number * (1 - share) ** (count - number)


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("share", SHARES)
def test_a_chance_falls_with_the_number_and_stays_between_0_and_1(count: int, share: float) -> None:
    chances = [at_least(count, share, number) for number in range(min(count, 200) + 2)]
    assert chances[0] == 1.0
    assert all(0.0 <= chance <= 1.0 for chance in chances)
    assert all(a >= b - 1e-9 for a, b in pairwise(chances))
    assert at_least(count, share, count + 1) == 0.0


def test_a_chance_rises_with_the_share_and_with_the_things() -> None:
    rng = random.Random(7)
    for _ in range(500):
        count, number = rng.randrange(60), rng.randrange(1, 10)
        low, high = sorted((rng.random(), rng.random()))
        assert at_least(count, low, number) <= at_least(count, high, number) + 1e-9
        assert at_least(count, low, number) <= at_least(count + 1, low, number) + 1e-9


def test_comparisons_part_what_there_is() -> None:
    for count in (0.0, 2.4, 30.0, 900.0):
        for share in SHARES:
            for number in (-1, 0, 1, 2.5, 40, math.inf):
                low = share_that_fits("<", count, share, number)
                assert low + share_that_fits(">=", count, share, number) == pytest.approx(1.0)
                up_to = share_that_fits("<=", count, share, number)
                assert up_to + share_that_fits(">", count, share, number) == pytest.approx(1.0)
                assert low <= up_to + 1e-9


def test_how_many_there_are_is_known_of_all_of_them() -> None:
    assert share_that_fits(">", 2.4, 1.0, 2) == 1.0
    assert share_that_fits(">", 2.4, 1.0, 3) == 0.0
    assert share_that_fits(">=", 40, 0.01, 1) == pytest.approx(0.331, abs=0.001)
    assert share_that_fits(">=", 40, 0.01, math.nan) == 0.0


def test_counts_of_rare_related_rows_are_estimated_by_chance() -> None:
    with ormdb.open(":memory:", schema=[Shop, Order]) as db:
        rng = random.Random(3)
        db.insert_rows(Shop, [{"id": n} for n in range(1_000)])
        db.insert_rows(
            Order,
            [{"id": n, "late": rng.random() < 0.02, "shop_id": n % 1_000} for n in range(10_000)],
        )
        db.analyze()
        late = Shop.orders.where(Order.late == True).count()  # noqa: E712
        for asked in (late >= 1, late == 1, late < 1, late > 0):
            query = Shop.where(asked)
            estimated = db.explain(query).root.rows_estimated
            assert estimated is not None
            assert 0.5 <= estimated / db.count(query) <= 2
