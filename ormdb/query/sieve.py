"""Which rows of a level stay, and in which order: filters and orders, with the hops they take.

    filter plane.seats > 100      rows 1 2 3 4    hop plane: N1 N1 N9 -     mask 1 1 0 0
    order  origin.name desc       rows 1 2        hop origin: JFK LGA       columns [["K", "L"]]

A path leads to rows of other entities.  They are read once for a whole level, hop by hop, and the
generated functions see them beside the level's own rows.

Invariants (held by tests/property/test_fetch_differential.py and tests/unit/query/test_hops.py):
  1. A filter or an order makes the engine calls of its hops once for a level.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from ormdb import limits
from ormdb.ir.value import Value
from ormdb.pulse import in_steps
from ormdb.query.follow import Level, follow_to_many, follow_to_one, masked
from ormdb.query.order import sorted_positions
from ormdb.query.plan import Decoded, DerivedPlan, FilterPlan, Hop, NodePlan, OrderPlan, RelatedHop
from ormdb.query.related import related_values
from ormdb.storage.views import RowTest, View

# Related rows by a join, if that is cheaper than looking them up.  It is handed the sieve: two that
# hold each other would be left to the garbage collector, with all that they read.
Joins: TypeAlias = Callable[["Sieve", RelatedHop, Level], "tuple[Level, list[int]] | None"]


class Sieve:
    """Filters and sorts levels in one run of a plan, whose converted parameters it holds.

    `note_rows` is told how many rows come to be filtered, where anybody wants to know; `joins`
    may know a better way to related rows than looking them up.
    """

    def __init__(
        self,
        view: View,
        values: Sequence[Value],
        note_rows: Callable[[int], None] | None = None,
        joins: Joins | None = None,
    ) -> None:
        self._view = view
        self._values = values
        self.note_rows = note_rows
        self._joins = joins

    def kept(self, plan: FilterPlan | None, level: Level) -> Level:
        """The rows that a filter keeps."""
        if plan is None or not level.rows:
            return level
        mask = self.mask(plan, level)
        return level if all(mask) else masked(level, mask)

    def expecting(self, view: View, plan: FilterPlan | None, read: Decoded) -> View:
        """The view for a reader that asks this filter of every row right after reading it."""
        if not view.is_recording or plan is None or plan.hops:
            return view
        values = [self._values[index] for index in plan.parameters]
        return view.expecting(
            RowTest(read.entity, read.decoder, lambda rows: plan.mask(rows, *values))
        )

    def node_mask(self, plan: NodePlan, level: Level) -> list[bool] | None:
        """Which rows both filters of a node keep; None when there is nothing to ask."""
        if self.note_rows is not None:
            self.note_rows(len(level.rows))
        if not level.rows or (plan.filter is None and plan.far_filter is None):
            return None
        if plan.filter is None or plan.far_filter is None:
            only = plan.filter or plan.far_filter
            assert only is not None
            return self.mask(only, level)
        mask = self.mask(plan.filter, level)
        far = iter(self.mask(plan.far_filter, masked(level, mask)))
        return [keep and next(far) for keep in mask]

    def mask(self, plan: FilterPlan, level: Level) -> list[bool]:
        """Which rows a filter keeps."""
        hops = self.hop_rows(plan.hops, level)
        values = [self._values[index] for index in plan.parameters]
        if len(level.rows) <= limits.PULSE_STEP_ITEMS:
            return plan.mask(level.rows, *hops, *values)
        mask: list[bool] = []
        for parts in zip(*map(in_steps, (level.rows, *hops)), strict=True):
            mask += plan.mask(*parts, *values)
        return mask

    def column(
        self,
        column: Callable[..., list[Any]],
        hops: tuple[Hop | RelatedHop, ...],
        level: Level,
        parameters: Sequence[int] = (),
    ) -> list[Any]:
        """The values that a generated function gives for the rows."""
        return column(level.rows, *self.hop_rows(hops, level), *self.given(parameters))

    def given(self, parameters: Sequence[int]) -> list[Value]:
        """The values of parameters."""
        return [self._values[index] for index in parameters]

    def derived(self, plan: DerivedPlan, level: Level) -> list[list[Value]]:
        """The values that the rows show under names of their own, column by column."""
        if not level.rows:
            return [[] for _ in plan.columns]
        beside = [*self.hop_rows(plan.hops, level), *self.given(plan.parameters)]
        return [column(level.rows, *beside) for column in plan.columns]

    def positions(self, order: OrderPlan, level: Level) -> list[int]:
        """The positions of the rows in an order."""
        return sorted_positions(order, self.columns(order, level), level.keys)

    def columns(self, order: OrderPlan, level: Level) -> list[list[Value]]:
        """The values of an order's keys, column by column."""
        beside = [*self.hop_rows(order.hops, level), *self.given(order.parameters)]
        return [key.column(level.rows, *beside) for key in order.keys]

    def gathered(self, hop: RelatedHop, parents: Level) -> tuple[Level, list[int]] | None:
        """The related rows of each parent that may answer what is asked of them; None where they
        are looked up."""
        join = hop.expand.join
        if self._joins is None or join is None or len(parents.rows) < join.parents_min:
            return None
        return self._joins(self, hop, parents)

    def hop_rows(self, hops: tuple[Hop | RelatedHop, ...], level: Level) -> list[list[Any]]:
        """For each hop, what stands beside each row: the row it leads to, or None; or what is
        asked about the rows it leads to."""
        reached: list[Level] = []
        answers: dict[int, list[Value]] = {}
        for number, hop in enumerate(hops):
            origin = level if hop.parent < 0 else reached[hop.parent]
            if isinstance(hop, RelatedHop):
                if number not in answers:
                    alike = {
                        at: each
                        for at, each in enumerate(hops)
                        if isinstance(each, RelatedHop) and each.is_read_with(hop)
                    }
                    found = related_values(self._view, tuple(alike.values()), origin, self)
                    answers.update(zip(alike, found, strict=True))
                reached.append(Level(answers[number], []))
            else:
                follow = _hop_backwards if hop.inverse else _hop_forwards
                reached.append(follow(self._view, hop, origin))
        return [landed.rows for landed in reached]


def _hop_forwards(view: View, hop: Hop, origin: Level) -> Level:
    level, targets = follow_to_one(view, hop.relation, origin, hop.decoder)
    rows, keys = [*level.rows, None], [*level.keys, b""]  # position -1 is "no row"
    return Level([rows[target] for target in targets], [keys[target] for target in targets])


def _hop_backwards(view: View, hop: Hop, origin: Level) -> Level:
    """Over a one-to-one relation from the side that does not hold the foreign key."""
    distinct = {
        key: row for key, row in zip(origin.keys, origin.rows, strict=True) if row is not None
    }
    parents = Level(list(distinct.values()), list(distinct))
    level, counts = follow_to_many(view, hop.relation, parents, hop.decoder)
    landed = zip(level.rows, level.keys, strict=True)
    found = {key: next(landed) for key, count in zip(parents.keys, counts, strict=True) if count}
    pairs = [found.get(key, (None, b"")) for key in origin.keys]
    return Level([row for row, _ in pairs], [key for _, key in pairs])
