"""Holds that of looking children up and gathering them the one with fewer keys is taken, in worlds
whose children, shares and parents are skewed."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest

import ormdb
from ormdb import Entity, Field, Many, One, Query, field, index, many
from ormdb.clock import SystemClock
from ormdb.database.database import Database
from ormdb.ir.explanation import Joined
from ormdb.ir.graph import GraphQuery
from ormdb.query.cache import PlanCache
from ormdb.query.fetch import Reading, fetch
from ormdb.query.trace import Trace
from tests.box import Box
from tests.oracle.forced import gathered_by_cost, joined_by

DIFFER_MIN = 1.5
GOOD_MIN = 0.9
KEYS_MIN = 1_000  # fewer take as long to read as to choose between
ASKED = 24  # of each world
KINDS = 40


class Buyer(Entity):
    """What orders belong to, some of them to many."""

    id: Field[int] = field(identity=True)
    part: Field[int] = field(index=True)
    bought: Many[Bought] = many(inverse="buyer")


class Bought(Entity):
    """An order: few kinds are frequent."""

    id: Field[int] = field(identity=True)
    kind: Field[int]
    state: Field[str]
    size: Field[int]
    buyer: One[Buyer]

    __indexes__ = (index("kind", "size"), index("state"), index("size"))


def skewed_rows(rng: random.Random, buyers: int) -> Iterator[dict[str, object]]:
    """Orders of buyers: most have few, some have many, and those of a state have many or few."""
    shape, skew, number = rng.choice((0.6, 1.0, 2.0, 8.0)), rng.choice((1.2, 2.0, 4.0)), 0
    rare = rng.choice((1, 5, 50))
    for buyer in range(buyers):
        for _ in range(min(300, int(rng.paretovariate(shape)))):
            yield {
                "id": number,
                "kind": int(KINDS * rng.random() ** skew),
                "state": "overdue" if rng.randrange(1_000) < rare else rng.choice("ab"),
                "size": int(rng.paretovariate(1.0)) % 1_000,
                "buyer_id": buyer,
            }
            number += 1


def asked(rng: random.Random) -> Query[Buyer]:
    """Some buyers, each with some of their orders."""
    low = rng.randrange(100)
    high = min(100, low + rng.choice((1, 3, 10, 30, 100)))
    size = int(rng.paretovariate(0.5))
    condition = rng.choice(
        (
            Bought.kind == int(KINDS * rng.random() ** 2),
            Bought.kind.in_([rng.randrange(KINDS) for _ in range(rng.randint(1, 5))]),
            Bought.state == rng.choice(("overdue", "a", "none")),
            Bought.size > size,
            Bought.size.between(size, 2 * size),
            (Bought.kind == rng.randrange(KINDS)) & (Bought.size > size),
        )
    )
    return Buyer.where(Buyer.part >= low, Buyer.part < high).include(Buyer.bought.where(condition))


def keys_read(reading: Reading, query: GraphQuery) -> tuple[int, Sequence[Joined]]:
    """The keys that the last level takes, and how it was joined."""
    trace = Trace(SystemClock())
    fetch(reading, query, trace=trace)
    level = trace.levels[1]
    return level.keys_read, level.joins


def choice(database: Database, query: GraphQuery) -> tuple[int, int, bool]:
    """The keys of looking up, those of gathering, and whether the latter is chosen."""
    known = database.analyst.kept.known

    def planned() -> Reading:
        return replace(reading, plans=PlanCache(SystemClock(), known=lambda: known))

    with database.snapshot() as snapshot:
        reading = snapshot.reading(query)
        with joined_by(None):
            looked_up, _ = keys_read(planned(), query)
        with gathered_by_cost():
            gathered, _ = keys_read(planned(), query)
        _, joins = keys_read(planned(), query)
    return looked_up, gathered, any(join.by == "hash" for join in joins)


def good_choices(seed: int, cases: int) -> tuple[int, int]:
    """How many choices of a world were good, of how many that mattered."""
    rng, good, found = random.Random(seed), 0, 0
    buyers = rng.choice((200, 1_000, 3_000))
    with ormdb.open(":memory:", schema=[Buyer, Bought], cache_bytes=0) as database:
        database.bulk_load(Buyer, [{"id": n, "part": n * 7919 % 100} for n in range(buyers)])
        database.bulk_load(Bought, list(skewed_rows(rng, buyers)))
        database.analyze()
        for _ in range(cases):
            looked_up, gathered, is_gathered = choice(database, asked(rng).ir)
            fewer, more = sorted((looked_up, gathered))
            if more < max(KEYS_MIN, DIFFER_MIN * fewer):
                continue
            found += 1
            good += is_gathered == (gathered < looked_up)
    return good, found


@pytest.mark.soak(seconds=10, cases_min=200)
def test_of_two_strategies_the_one_with_fewer_keys_is_taken(box: Box) -> None:
    good = 0
    for seed in box.seeds():
        right, found = good_choices(seed, ASKED)
        good += right
        box.count(found)
    box.tell(f"{good:,} of {box.cases:,} choices take the one with fewer keys")
    assert box.only_seed or good >= GOOD_MIN * box.cases
