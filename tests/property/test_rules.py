"""Holds that rewrite rules change no answer, over generated worlds: each alone, and all of them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ormdb.clock import SystemClock
from ormdb.database.reading import Snapshot
from ormdb.errors import ValueRangeError
from ormdb.ir.graph import GraphQuery
from ormdb.ir.value import RowDict
from ormdb.query import rules
from ormdb.query.cache import PlanCache
from ormdb.query.fetch import fetch
from ormdb.query.rules import RULES, Rule
from tests.box import Box
from tests.oracle.stage import open_stage

QUERIES_PER_STAGE = 40
FAILED = "a value is out of range"


def answer(
    monkeypatch: pytest.MonkeyPatch,
    snapshot: Snapshot,
    query: GraphQuery,
    chosen: tuple[Rule, ...],
) -> tuple[list[RowDict], str | None] | str:
    """What a query answers when these rules alone have rewritten it, and where it goes on."""
    with monkeypatch.context() as patch:
        patch.setattr(rules, "RULES", chosen)
        reading = replace(snapshot.reading(query), plans=PlanCache(SystemClock()))
        try:
            found = fetch(reading, query)
        except ValueRangeError:
            return FAILED
        return found.dicts(), found.next_cursor


@pytest.mark.soak(seconds=6, cases_min=1_000)
def test_no_rule_changes_an_answer(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    for seed in box.seeds():
        with open_stage(seed) as stage, stage.database.snapshot() as snapshot:
            for query in stage.queries(QUERIES_PER_STAGE):
                wanted = answer(monkeypatch, snapshot, query, ())
                for chosen in (RULES, *((rule,) for rule in RULES)):
                    found = answer(monkeypatch, snapshot, query, chosen)
                    names = [rule.name for rule in chosen]
                    # What fails without a rule need not fail with it; never the reverse.
                    assert wanted in (FAILED, found), f"{names}: {query!r}"
                    box.count()


def test_a_rule_that_turns_a_condition_round_wrongly_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wrong = {op: op for op in ("==", "!=", "<", "<=", ">", ">=")}
    monkeypatch.setattr("ormdb.query.rules._OPPOSITE", wrong)
    with pytest.raises(AssertionError, match="push not inward"):
        for seed in range(30):
            with open_stage(seed) as stage, stage.database.snapshot() as snapshot:
                for query in stage.queries(QUERIES_PER_STAGE):
                    found = answer(monkeypatch, snapshot, query, RULES[:1])
                    assert found == answer(monkeypatch, snapshot, query, ()), RULES[0].name
