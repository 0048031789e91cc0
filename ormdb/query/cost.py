"""What a way to rows costs, guessed: its keys, its rows, and what has to be done with them.

    Flight where origin == p0 and time > p1, order by time, first some       10^6 flights

    way                 rows     keys      cost
    index by_time       330,000  330,000   13,000   in order: a page's worth of them
    relation origin     5,000    5,000      6,300   all of them, then sorted
    intersection        1,650    335,000   85,000

One unit is a row read by its key.  Where statistics are missing, an entity is taken to have as many
rows as `ROWS_UNKNOWN`, so that what is chosen does not depend on the moment it was chosen in, and a
way that a condition restricts goes before a way that only has the right order: if few rows meet the
condition, the latter would walk through all others.

Invariants (held by tests/unit/query/test_cost.py):
  1. A way that reads the same rows with fewer keys, or in the order wanted, never costs more.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, replace
from typing import Final

from ormdb.ir.expr import And, Expr
from ormdb.ir.value import Value
from ormdb.query.access import Asked, Way
from ormdb.query.combine import AnyWay, CombinedWay, Through
from ormdb.query.estimate import Estimator
from ormdb.storage.layout import EntityLayout, Layout, RelationLayout
from ormdb.storage.statistics import Statistics

CALL_COST: Final = 2.0  # of asking the engine once
ENTRY_COST: Final = 0.25  # of an index entry, read with its neighbours
SCANNED_COST: Final = 0.5  # of a row read with its neighbours
ROW_COST: Final = 1.0  # of a row read by its key
SORTED_COST: Final = 0.15  # of a row put in order
PARENT_COST: Final = 0.7  # of a parent whose children are looked up
LINKED_COST: Final = 1.0  # of a child that is looked up: its entry and its row in one read
PLACED_COST: Final = 0.13  # of a parent whose children are gathered
HASHED_COST: Final = 0.1  # of a gathered row that is asked for its parent
GROUPED_COST: Final = 0.3  # of one whose parent is here
KEPT_COST: Final = 0.5  # of one that is kept with the children of its parent, whoever asks next
PAGE_ROWS: Final = 50.0  # of a page, whose length is not part of a plan
ROWS_UNKNOWN: Final = 10_000
UNRESTRICTED_UNKNOWN: Final = 100.0  # how much dearer a way is that no condition restricts
CHILDREN_UNKNOWN: Final = 100.0  # of a parent: a page that waits for too few costs more than a sort


@dataclass(frozen=True, slots=True)
class Candidate:
    """A way, how many rows it leads to, and its cost."""

    way: AnyWay
    rows: float
    cost: float


class CostModel:
    """Costs over one layout and its statistics."""

    def __init__(self, layout: Layout, statistics: Statistics) -> None:
        analyzed = statistics.entities

        def row_count(entity: EntityLayout) -> int:
            known = analyzed.get(entity.entity.id)
            return ROWS_UNKNOWN if known is None else known.rows

        self.estimator = Estimator(statistics, layout, row_count=row_count)
        self._values: Sequence[Value] | None = None

    def knowing(self, values: Sequence[Value]) -> CostModel:
        """The same model, which knows the values of the parameters."""
        known = copy(self)
        known._values = values
        return known

    def ranked(self, asked: Asked, ways: Sequence[Way]) -> list[Candidate]:
        """The ways with their costs, the cheapest first."""
        kept = self.rows(asked, asked.conjuncts)
        found = [self._candidate(asked, way, kept) for way in ways]
        found.sort(key=lambda candidate: candidate.cost)
        return found

    def cheapest(self, asked: Asked, ways: Sequence[Way]) -> Way:
        """The way that costs least."""
        return self.ranked(asked, ways)[0].way

    def _candidate(self, asked: Asked, way: Way, kept: float) -> Candidate:
        found = self._as_known(asked, way, kept)
        if asked.conjuncts and self._is_blind(asked, way):
            return replace(found, cost=found.cost * UNRESTRICTED_UNKNOWN)
        return found

    def _is_blind(self, asked: Asked, way: Way) -> bool:
        """Whether a way leads to all rows, and nobody knows how many."""
        known = asked.entity.entity.id in self.estimator.statistics.entities
        return not known and not way.restricts

    def _as_known(self, asked: Asked, way: Way, kept: float) -> Candidate:
        if way.access.kind == "nothing":
            return Candidate(way, 0.0, 0.0)
        rows, access = self._rows_of(asked, way), way.access
        keys = CALL_COST + self._keys_cost(asked, way, rows)
        reading = rows * (SCANNED_COST if access.kind == "scan" else ROW_COST)
        if not access.ordered:
            return Candidate(way, rows, keys + reading + kept * SORTED_COST)
        if asked.limited and kept > PAGE_ROWS:
            share = PAGE_ROWS / kept
            combined = isinstance(way, CombinedWay)  # whose keys are gathered before any row
            return Candidate(way, rows, keys * (1.0 if combined else share) + reading * share)
        return Candidate(way, rows, keys + reading)

    def _rows_of(self, asked: Asked, way: Way) -> float:
        if way.access.kind == "union":
            assert isinstance(way, CombinedWay)
            return min(
                sum(self._rows_of(asked, part) for part in way.parts),
                self.estimator.count(asked.entity),
            )
        if isinstance(way, CombinedWay) and way.through is not None:
            return self._rows_through(way.through)
        return self.rows(asked, way.covered)

    def _rows_through(self, through: Through) -> float:
        estimator, step = self.estimator, through.step
        found = self.rows(through.asked, through.asked.conjuncts)
        if step.kind == "to_one":
            return self._children(step.relation, found)
        if step.kind == "to_many":
            return estimator.parents(step.relation, found)
        assert step.far is not None
        return estimator.parents(step.relation, self._children(step.far, found))

    def _children(self, relation: RelationLayout, parents: float) -> float:
        statistics = self.estimator.statistics
        if relation.relation.id in statistics.relations:
            return self.estimator.children(relation, parents)
        most = self.estimator.count(relation.source)
        return min(most, parents * CHILDREN_UNKNOWN)

    def _keys_cost(self, asked: Asked, way: Way, rows: float) -> float:
        """What it takes to know the keys of the rows."""
        if isinstance(way, CombinedWay):
            if way.through is not None:
                there, kept = way.through, way.through.asked.conjuncts
                cost = self._candidate(there.asked, there.way, self.rows(there.asked, kept)).cost
                if self._is_blind(there.asked, there.way):
                    cost *= UNRESTRICTED_UNKNOWN  # or it would go before a plain scan
                return cost + CALL_COST + rows * ENTRY_COST
            return sum(
                CALL_COST + self._keys_cost(asked, part, self._rows_of(asked, part))
                for part in way.parts
            )
        match way.access.kind:
            case "index" | "relation" | "tokens":
                return rows * ENTRY_COST
            case "identity":
                return 0.0 if way.access.index is None else rows * ENTRY_COST
            case _:
                return 0.0

    def rows(self, asked: Asked, conjuncts: tuple[Expr, ...]) -> float:
        """How many rows some of the conjuncts keep."""
        if not conjuncts:
            return self.estimator.count(asked.entity)
        return self.estimator.rows(asked.entity, And(items=conjuncts), self._values)
