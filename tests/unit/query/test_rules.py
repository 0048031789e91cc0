"""Holds what each rewrite rule makes of a query, written down step by step in rules.txt."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from ormdb.ir.expr import And
from ormdb.ir.graph import GraphQuery, OrderSpec
from ormdb.model.expression_text import parse_expression
from ormdb.model.spelling import spell_expression, spell_order
from ormdb.query.logical import LogicalNode, build_logical
from ormdb.query.rules import RULES, rewrite
from ormdb.query.shape import LiteralTaker
from ormdb.storage.layout import Layout
from tests.unit.query.airline import by

GOLDEN: Final = Path(__file__).parent / "rules.txt"
QUERIES: Final[dict[str, tuple[str, str, tuple[OrderSpec, ...]]]] = {
    "a negated junction": ("Flight", "not (delay > 5 or not (time < 3 and kind == 'mail'))", ()),
    "what cannot be turned round stays negated": (
        "Flight",
        "not (delay in (1, 2)) and not starts_with(number, 'O') and not late",
        (),
    ),
    "a negated question about related rows": (
        "Airport",
        "not any(departures, not none(duties)) and not all(departures, not delay > 5)",
        (),
    ),
    "junctions within junctions": (
        "Flight",
        "and_(and_(delay > 1, or_(time < 2, or_(time > 9))), and_(delay > 1), and_())",
        (),
    ),
    "the same condition twice, and one that only looks the same": (
        "Flight",
        "delay > time and delay > time and length(number) == 1 and length(number) == 1.0",
        (),
    ),
    "constants": ("Flight", "(delay > 1 or True) and (delay < 9 or False) and or_(delay == 3)", ()),
    "nothing can be kept": ("Flight", "delay > 1 and False and time < 9", ()),
    "what may fail is still asked before a constant": ("Flight", "delay * 2 > 1 and False", ()),
    "one question for all that is asked of a row": (
        "Log",
        "flight.origin.code == 'JFK' and flight.delay > 5 and text != '' and flight.origin.lat > 1",
        (),
    ),
    "a path that may lead nowhere": (
        "Log",
        "flight.delay is None and not flight.late and (flight.delay > 5 or text == 'x')",
        (),
    ),
    "alternatives behind different paths": (
        "Flight",
        "origin.code == 'JFK' or plane.seats > 5 and plane.tail != 'N1' or delay > 5",
        (),
    ),
    "alternatives behind one path": (
        "Log",
        "flight.delay > 5 or flight.time < 3",
        (),
    ),
    "what may fail stays where it is": (
        "Log",
        "flight.delay + 1 > 5 and flight.time < 3 and lower(flight.number) == 'or1'",
        (),
    ),
    "a question about rows further on": ("Log", "any(flight.duties, rank == 1)", ()),
    "keys after the identity": ("Flight", "delay > 5", by("kind", "-id", "time")),
    "keys that a condition fixes": (
        "Flight",
        "origin_code == 'JFK' and 'mail' == kind",
        by("origin_code", "-delay", "kind", "delay"),
    ),
    "an identity in parts": ("Duty", "flight_id == 3", by("crew_id", "rank")),
}


def steps(layout: Layout, name: str) -> Iterator[str]:
    """The query, and what it is after each rule that changed it."""
    entity, text, order = QUERIES[name]
    query = GraphQuery(entity=entity, filter=parse_expression(text), order=order)
    shown: list[tuple[str, str]] = []
    root = build_logical(layout, query, LiteralTaker())
    before = words(root)
    yield f"given: {before}"
    rewrite(layout, root, lambda rule, node: shown.append((rule, words(node))))
    for rule, now in shown:
        if now != before:
            yield f"{rule}: {now}"
        before = now


def words(node: LogicalNode) -> str:
    """A node on one line."""
    parts = [spell_expression(And(items=node.conjuncts))]
    if node.deciding:
        parts.append(f"order by {', '.join(map(spell_order, node.deciding))}")
    return ", ".join(parts)


def golden() -> dict[str, str]:
    """The steps of the file, by the name above each."""
    parts = re.split(r"^# (.*)\n", GOLDEN.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {name: text.rstrip("\n") for name, text in zip(parts[1::2], parts[2::2], strict=True)}


@pytest.mark.parametrize("name", QUERIES)
def test_the_steps_are_those_that_are_written_down(layout: Layout, name: str) -> None:
    assert "\n".join(steps(layout, name)) == golden()[name]


def test_no_steps_are_written_down_for_nothing() -> None:
    assert list(golden()) == list(QUERIES)


def test_every_rule_changes_some_query() -> None:
    text = GOLDEN.read_text(encoding="utf-8")
    assert [rule.name for rule in RULES if f"\n{rule.name}: " not in text] == []


@pytest.mark.parametrize("name", QUERIES)
def test_rewriting_again_changes_nothing(layout: Layout, name: str) -> None:
    entity, text, order = QUERIES[name]
    query = GraphQuery(entity=entity, filter=parse_expression(text), order=order)
    once = rewrite(layout, build_logical(layout, query, LiteralTaker()))
    assert words(rewrite(layout, once)) == words(once)
