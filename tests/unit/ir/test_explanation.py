"""Holds that explanations read back from their JSON, and that their text keeps its lines."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from ormdb.errors import ProtocolError
from ormdb.ir.explanation import (
    AccessPath,
    BudgetUse,
    Expansion,
    Explanation,
    FilterPart,
    LevelActuals,
    Limits,
    NodeExplanation,
    Ordering,
    Step,
    Totals,
    bounded,
)

ACTUAL = LevelActuals(
    rows_read=9,
    rows_kept=1,
    edges=1_000,
    loops=1,
    engine_calls=2,
    keys_read=3,
    bytes_read=4,
    seconds=0.25,
)
PLANE = NodeExplanation(
    path=("departures", "plane"),
    entity="Plane",
    engine_calls=2,
    expansion=Expansion(kind="to_one", steps=(Step(relation="Flight.plane", by="value"),)),
    far_filter=FilterPart(condition="maker.name == ?", hops=("maker",)),
)
DEPARTURES = NodeExplanation(
    path=("departures",),
    entity="Flight",
    engine_calls=1,
    expansion=Expansion(
        kind="through",
        steps=(Step(relation="Duty.near", by="row key"), Step(relation="Duty.far", by="value")),
        edge_order=("rank",),
    ),
    order=Ordering(by="sort", keys=("delay desc",), hops=("plane",)),
    limits=Limits(limit=5, offset=2),
    children=(PLANE,),
)
WHOLE = Explanation(
    entity="Airport",
    version=3,
    schema_version=1,
    is_past=True,
    engine_calls=4,
    root=NodeExplanation(
        path=(),
        entity="Airport",
        engine_calls=1,
        access=AccessPath(
            kind="index",
            name="by_place",
            fixed=("country",),
            ranged="city",
            low=">",
            high="<=",
            ordered=True,
            reverse=True,
            instead_of="index by_zip",
        ),
        near_filter=FilterPart(condition="country == ?"),
        order=Ordering(by="index", keys=("city desc",), index="by_place", reverse=True),
        limits=Limits(limit=1, cursor="after"),
        rows_at_most=1,
        actual=ACTUAL,
        children=(DEPARTURES, replace(PLANE, path=("plane",))),
    ),
    totals=Totals(
        rows=1,
        edges=1_000,
        engine_calls=2,
        keys_read=3,
        bytes_read=4,
        seconds=0.25,
        plan_was_kept=True,
        budget=(
            BudgetUse(name="rows", used=1, allowed=10_000),
            BudgetUse(name="time_s", used=0.25, allowed=None),
        ),
    ),
)
TEXT = """\
Airport at commit 3, schema version 1, read through history: 4 engine calls planned
│  way      index by_place (country = ?, city > ?, city <= ?), in order, backwards, \
instead of index by_zip: a value has no key there
│  filter   country == ?
│  order    city desc, as by_place has it backwards
│  page     the first 1, after a cursor
│  at most  1 row
│  calls    1
│  actual   1 of 9 rows kept, 1,000 edges, 2 calls, 3 keys, 4 bytes, 250.0 ms
├─ departures: Flight
│  │  way      through, over Duty.near by row key, then over Duty.far by value, edges by rank
│  │  order    delay desc, by a sort, after following plane
│  │  page     the first 5, without 2 of each parent
│  │  calls    1
│  └─ plane: Plane
│        way      to one, over Flight.plane by value
│        filter   maker.name == ?, after following maker
│        calls    2
└─ plane: Plane
      way      to one, over Flight.plane by value
      filter   maker.name == ?, after following maker
      calls    2
took     1 row, 1,000 edges, 2 calls, 3 keys, 4 bytes, 250.0 ms
plan     kept from before
budget   rows 1 of 10,000, time_s 0.250 of any"""


def test_an_explanation_reads_back_from_its_json() -> None:
    assert Explanation.from_json(WHOLE.to_json()) == WHOLE
    assert Explanation.from_json(WHOLE.to_json().encode()) == WHOLE
    assert json.loads(WHOLE.to_json())["format"] == 1


@pytest.mark.parametrize(
    "change", [{"format": 2}, {"root": None}, {"version": "3"}, {"root": {"path": []}}]
)
def test_json_of_another_form_is_refused(change: dict[str, Any]) -> None:
    text = json.dumps(json.loads(WHOLE.to_json()) | change)
    with pytest.raises(ProtocolError, match="no explanation of format 1"):
        Explanation.from_json(text)


@pytest.mark.parametrize("text", ["", "{", "[]", "\ud800", '{"root":' * 100_000])
def test_text_that_is_no_explanation_is_refused(text: str) -> None:
    with pytest.raises(ProtocolError):
        Explanation.from_json(text)


def test_what_a_later_version_adds_is_passed_over() -> None:
    text = json.dumps(json.loads(WHOLE.to_json()) | {"colour": "red"})
    assert Explanation.from_json(text) == WHOLE


def test_a_tree_has_a_line_for_each_fact() -> None:
    assert str(WHOLE) == WHOLE.to_text() == TEXT


def test_a_name_never_tears_the_tree() -> None:
    hostile = replace(DEPARTURES, path=("a\nb\x1b[31m",), entity="E\u2028")
    torn = replace(WHOLE, entity="x\ny", root=replace(WHOLE.root, children=(hostile,)))
    lines = torn.to_text().split("\n")
    assert all(line.isprintable() for line in lines)
    assert lines[0].startswith("x?y at commit 3")
    assert "└─ a?b?[31m: E?" in lines


def test_levels_come_with_parents_first() -> None:
    paths = [node.path for node in WHOLE.nodes()]
    assert paths == [(), ("departures",), ("departures", "plane"), ("plane",)]


def test_a_budget_without_bound_has_none() -> None:
    assert (bounded(5), bounded(2.5), bounded(float("inf"))) == (5, 2.5, None)
