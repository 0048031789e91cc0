"""Holds that explanations of generated queries tell the truth about what their fetches do."""

from __future__ import annotations

import random
from collections import Counter

import pytest

import ormdb
from ormdb import Explanation
from ormdb.ir.graph import GraphQuery
from ormdb.session import Reader
from tests.box import Box
from tests.oracle.queries import QueryMaker
from tests.oracle.rows import RowMaker, Tables
from tests.oracle.sqlite_side import Mirror
from tests.oracle.worlds import make_world

QUERIES_PER_WORLD = 30


@pytest.mark.soak(seconds=8, cases_min=300)
def test_explanations_agree_with_the_fetches_they_explain(box: Box) -> None:
    covered: Counter[str] = Counter()
    for seed in box.seeds():
        rng = random.Random(seed)
        world = make_world(rng)
        mirror = Mirror.create(world.bundle)
        with ormdb.open(":memory:", schema=world.bundle, cache_bytes=0) as database:
            for insert in RowMaker(rng, world, Tables(mirror.names, mirror)).first_rows():
                database.run_mutations([insert])
            queries = QueryMaker(rng, world, mirror)
            for _ in range(QUERIES_PER_WORLD):
                covered += explain_one(database, queries.query())
        mirror.close()
        box.count(QUERIES_PER_WORLD)
    if not box.only_seed:
        # Levels without rows ask nothing; more calls are the exceptions of `ormdb/query/hops.py`.
        total = sum(covered.values())
        assert covered["as planned"] > total / 3
        assert covered["fewer"] > 0
        assert covered["more"] < total / 20


def explain_one(reader: Reader, query: GraphQuery) -> Counter[str]:
    """Compare the plan, the run and the fetch of one query."""
    planned = reader.run_explain(query)
    found = reader.run_explain(query, analyze=True)
    cost = reader.run_fetch(query).statistics
    totals = found.totals
    assert totals is not None
    assert (totals.rows, totals.edges) == (cost.rows, cost.edges)
    assert (totals.engine_calls, totals.keys_read) == (cost.engine_calls, cost.keys_read)
    assert totals.bytes_read == cost.bytes_read
    assert Explanation.from_json(found.to_json()) == found
    assert planned.engine_calls == found.engine_calls
    for before, node in zip(planned.nodes(), found.nodes(), strict=True):
        assert (before.path, before.rows_at_most) == (node.path, node.rows_at_most)
        assert node.actual is not None
        assert node.actual.rows_kept <= node.actual.rows_read
        if node.rows_at_most is not None:
            assert node.actual.rows_kept <= node.rows_at_most, (node, query)
    if totals.engine_calls == found.engine_calls:
        return Counter({"as planned": 1})
    return Counter({"fewer" if totals.engine_calls < found.engine_calls else "more": 1})
