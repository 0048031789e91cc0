"""Holds that a partial index is used only where it has every row that the filter keeps."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from typing import Final

import pytest

from ormdb.catalog.assign import assign_numbers
from ormdb.catalog.declared import normalize, own_fields
from ormdb.catalog.text import bundle_from_text
from ormdb.clock import SystemClock
from ormdb.ir.evaluate import Resolved, coerce_literals, evaluate
from ormdb.ir.expr import And, Expr, Not, Or
from ormdb.ir.graph import GraphQuery
from ormdb.ir.value import BoolType, RowDict, Value
from ormdb.model.expression_text import format_expression, parse_expression
from ormdb.query.access import Asked, known_fields
from ormdb.query.compile import compile_query
from ormdb.query.implication import guard_of
from ormdb.query.logical import build_logical, plain_logical
from ormdb.query.rules import rewrite
from ormdb.query.shape import LiteralTaker, take_shape
from ormdb.storage.layout import Layout
from tests.box import Box

BUNDLE = assign_numbers(
    normalize(
        bundle_from_text(
            """ormdb schema 1

entity Ticket
  identity id
  id: int
  state: enum("open", "held", "closed")
  title: text?
  rank: int?
  size: float
  tags: list(text)
"""
        )
    ),
    None,
)
LAYOUT = Layout(BUNDLE)
ENTITY = LAYOUT.entities["Ticket"]
DOMAINS: Final[dict[str, Sequence[Value]]] = {
    "state": ("open", "held", "closed"),
    "title": (None, "", "a", "ab", "b"),
    "rank": (None, 0, 1, 2, 3),
    "size": (0.0, 1.0, 1.5, 2.0),
    "tags": ((), ("a",), ("a", "b")),
}
ROWS: Final[list[RowDict]] = [
    {"id": number, **dict(zip(DOMAINS, values, strict=True))}
    for number, values in enumerate(itertools.product(*DOMAINS.values()))
]
OPERATORS: Final = ("==", "==", "!=", "<", "<=", ">", ">=")


def implied(condition: str | Expr, given: str | Expr) -> bool:
    """Whether a filter is proved to keep only rows that meet a condition."""
    meant = parse_expression(condition) if isinstance(condition, str) else condition
    meant = coerce_literals(meant, own_fields(ENTITY.entity), expected=BoolType())
    asked = parse_expression(given) if isinstance(given, str) else given
    query = GraphQuery(entity="Ticket", filter=asked)
    shaped = take_shape(query)
    plan = compile_query(LAYOUT, query, shaped.shape, clock=SystemClock())
    logical = rewrite(LAYOUT, build_logical(LAYOUT, query, LiteralTaker()))
    classes = shaped.shape.parameter_classes
    known = known_fields(Asked(ENTITY, logical.conjuncts, (), False, False, classes))
    rewritten = rewrite(LAYOUT, plain_logical(ENTITY, (meant,))).conjuncts
    guard = guard_of(And(items=rewritten), ENTITY, logical.conjuncts, known)
    values = [convert(value) for convert, value in zip(plan.converters, shaped.values, strict=True)]
    return guard is not None and guard(values)


@pytest.mark.parametrize(
    ("condition", "given"),
    [
        ('state == "open"', 'state == "open" and rank > 1'),
        ('state == "open"', 'state in ("open",)'),
        ('state != "closed"', 'state in ("open", "held")'),
        ('state != "closed"', 'state == "held"'),
        ('state < "closed"', 'state <= "held"'),
        ("rank > 2", "rank > 2"),
        ("rank > 2", "rank > 3"),
        ("rank > 2", "rank >= 3"),
        ("rank > 2", "rank == 3"),
        ("rank >= 2", "rank > 2"),
        ("2 <= rank", "rank in (2, 3)"),
        ("rank != 0", "rank > 0"),
        ("rank < 2", "rank <= 1"),
        ("rank is not None", "rank == 1"),
        ("rank is not None", "rank < 1"),
        ("rank is not None", "rank != 1"),
        ("rank is not None", "rank is not None"),
        ("title is not None", 'like(title, "%a")'),
        ("title is not None", 'matches(title, "a")'),
        ("rank is None", "rank is None"),
        ("rank is None or rank > 2", "rank is None"),
        ("rank is None or rank > 2", "rank > 2"),
        ("rank is None or rank > 2", "rank == 3"),
        ('has(tags, "a")', 'has(tags, "a") and rank > 1'),
        ('starts_with(title, "a")', 'title == "ab"'),
        ('starts_with(title, "a")', 'starts_with(title, "a")'),
        ('lower(title) == "a"', 'lower(title) == "a"'),
        ('not (title == "a" or rank > 1)', 'not (title == "a" or rank > 1) and size > 1'),
        ('state == "open" and rank > 1', 'rank == 2 and state == "open"'),
        ("size > 1", "size > 1.5"),
        ("size >= 1", "size == 1"),
    ],
)
def test_a_filter_implies_a_condition(condition: str, given: str) -> None:
    assert implied(condition, given)


@pytest.mark.parametrize(
    ("condition", "given"),
    [
        ('state == "open"', 'state == "closed"'),
        ('state == "open"', 'state in ("open", "closed")'),
        ('state == "open"', 'state == "open" or rank > 1'),
        ('state == "open"', "rank > 1"),
        ("rank > 2", "rank >= 2"),
        ("rank > 2", "rank < 2"),
        ("rank > 2", "not rank > 2"),
        ("rank is None", "rank == 1"),
        ("rank is not None", "rank is None"),
        ("rank is not None", "size > 1"),
        ('has(tags, "a")', 'has(tags, "b")'),
        ('starts_with(title, "a")', 'starts_with(title, "b")'),
        ('lower(title) == "a"', 'lower(title) == "b"'),
        ('state == "open" and rank > 1', 'state == "open"'),
    ],
)
def test_a_filter_does_not_imply_a_condition(condition: str, given: str) -> None:
    assert not implied(condition, given)


class Maker:
    """Makes conditions over few values, so that one often implies another."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)

    def leaf(self) -> str:
        rng = self.rng
        name = rng.choice(["state", "title", "rank", "rank", "size"])
        roll = rng.random()
        if roll < 0.15:
            return f"{name} is {rng.choice(['', 'not '])}None"
        if roll < 0.25:
            return f'has(tags, "{rng.choice("ab")}")'
        if roll < 0.35:
            return rng.choice(
                ['starts_with(title, "a")', 'like(title, "a%")', 'matches(title, "a")']
            )
        values = [value for value in DOMAINS[name] if value is not None]
        if roll < 0.5:
            return f"{name} in {tuple(rng.choices(values, k=rng.randint(1, 3)))!r}"
        return f"{name} {rng.choice(OPERATORS)} {rng.choice(values)!r}"

    def condition(self, leaves: Sequence[str]) -> Expr:
        parts = [parse_expression(leaf) for leaf in leaves]
        roll = self.rng.random()
        if len(parts) > 1 and roll < 0.3:
            return Or(items=tuple(parts))
        if roll > 0.9:
            return Not(operand=And(items=tuple(parts)))
        return And(items=tuple(parts))


@pytest.mark.soak(seconds=6, cases_min=300)
def test_whatever_a_filter_keeps_meets_the_conditions_that_it_implies(box: Box) -> None:
    proved = 0
    for seed in box.seeds():
        maker = Maker(seed)
        leaves = [maker.leaf() for _ in range(5)]
        condition = maker.condition(leaves[: maker.rng.randint(1, 2)])
        given = maker.condition(maker.rng.sample(leaves, maker.rng.randint(1, 4)))
        box.count()
        if implied(condition, given):
            proved += 1
            meant = coerce_literals(condition, own_fields(ENTITY.entity), expected=BoolType())
            asked = coerce_literals(given, own_fields(ENTITY.entity), expected=BoolType())
            for row in ROWS:
                if evaluate(asked, row, resolve=resolve) is True:
                    said = f"{format_expression(given)} keeps {row}, not {format_expression(meant)}"
                    assert evaluate(meant, row, resolve=resolve) is True, said
    assert box.only_seed or proved > 30


def resolve(path: tuple[str, ...]) -> Resolved:
    return own_fields(ENTITY.entity)(path)
