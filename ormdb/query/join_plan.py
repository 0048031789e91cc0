"""What a level may do in place of looking its children up: the ways to gather them, planned.

    Customer include orders where status == p0

    looked up    relation customer, for each customer                         a million orders
    gathered     index by_status (status == p0), or a scan of the orders      100 orders
                 each hashed by its customer_id; from 50 customers on

Which is cheaper depends on the values and on how many parents there are, so `hash_join` asks for it
when a level begins.  A plan says how: the ways that the level's condition opens to all children,
and what tells their costs.  Many to many, what is gathered are edges, via the rows that the
condition is about.

Invariants (held by tests/unit/query/test_hash_join.py and tests/property/test_oracles.py):
  1. Every child, or edge to a row, that the level's condition keeps is among those of each way.
  2. Gathering evaluates nothing that could fail for a row which a look-up would not ask.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Final, TypeAlias

from ormdb import limits
from ormdb.clock import Clock
from ormdb.ir.bind import walk_related
from ormdb.ir.expr import And, Expr, Param, Related
from ormdb.ir.value import Value
from ormdb.query.access import Asked, Way
from ormdb.query.combine import CombinedWay, combined_ways, simple_ways
from ormdb.query.cost import HASHED_COST, LINKED_COST, PARENT_COST, SCANNED_COST, CostModel
from ormdb.query.logical import cannot_fail, reads_other_rows
from ormdb.query.node_scope import NodeScope
from ormdb.query.plan import Access, Expand, FilterPlan, HashJoin, JoinWay, Keyed, Weighed
from ormdb.query.shape import LiteralClass
from ormdb.storage.layout import EntityLayout, Layout, RelationLayout
from ormdb.storage.statistics import Statistics

# The finished access of a way, the parameters that it makes keys of, and the slots it is rechecked
# by.
Finished: TypeAlias = tuple[Access, tuple[Keyed, ...], frozenset[int]]
_SKEW: Final = 2.0  # some parents may have this many times the children of an average one
_WHOLE_UNKNOWN: Final = 10  # times the parents, where no condition promises fewer children


@dataclass(frozen=True, slots=True)
class JoinPlanner:
    """Plans the joins of one query."""

    layout: Layout
    statistics: Statistics
    clock: Clock
    classes: Sequence[LiteralClass]  # of the query's parameters
    finish: Callable[[EntityLayout, Way], Finished]

    def join(
        self, expand: Expand, conjuncts: tuple[Expr, ...], slots: frozenset[int]
    ) -> HashJoin | None:
        """How the children of `expand` may be gathered; None if there is no way but to look them
        up.

        Args:
          expand: from the parents to their children, or over edges.
          conjuncts: what is asked of the rows at its end.
          slots: what has to be decoded of the children, or of the edges.
        """
        relation = expand.relation
        if expand.kind == "to_one" or relation.index is None:
            return None
        if expand.far is not None and conjuncts:
            # Asked of all rows that it may be true for, not only of those that parents lead to.
            if not all(cannot_fail(self.layout, expand.far.target, one) for one in conjuncts):
                return None
            asking = Related(kind="any", path=(expand.far.name,), filter=And(items=conjuncts))
            conjuncts = (asking,)
        asked = Asked(relation.source, conjuncts, (), False, False, self.classes)
        model = CostModel(self.layout, self.statistics)
        ways = self._ways(asked, model)
        finished = [self.finish(relation.source, way) for way in ways]
        joined = tuple(JoinWay(access, keyed) for access, keyed, _ in finished)
        return HashJoin(
            entity=relation.source,
            decoder=relation.source.codec.decoder(slots.union(*(more for _, _, more in finished))),
            ways=joined,
            weigh=_weigher(model, asked, ways, joined),
            rows=model.estimator.count(relation.source),
            filter=self._filter(asked),
            parameters=tuple(sorted(set(chain.from_iterable(map(_parameters, conjuncts))))),
            parents_min=self._parents_min(relation, model, is_whole=not conjuncts),
            is_whole=not conjuncts,
        )

    def _ways(self, asked: Asked, model: CostModel) -> list[Way]:
        """The cheapest ways to all children, and a scan, which no value makes too dear."""
        simple = simple_ways(self.layout, asked)
        found = [*simple, *combined_ways(self.layout, asked, simple, model.cheapest)]
        ranked = [each.way for each in model.ranked(asked, found) if self._is_safe(asked, each.way)]
        restricting = [way for way in ranked if way.restricts]
        plain = [way for way in ranked if not way.restricts and way.access.kind == "scan"]
        return [*restricting[: limits.HASH_JOIN_WAYS_MAX], *plain]

    def _is_safe(self, asked: Asked, way: Way) -> bool:
        """Whether a way asks nothing, or what cannot fail."""
        if not isinstance(way, CombinedWay):
            return True
        return all(cannot_fail(self.layout, asked.entity, one) for one in way.covered)

    def _filter(self, asked: Asked) -> FilterPlan | None:
        """What may be asked of rows before it is known whose children they are: of each by itself,
        and what cannot fail."""
        safe = [
            one
            for one in asked.conjuncts
            if not reads_other_rows(one) and cannot_fail(self.layout, asked.entity, one)
        ]
        if not safe:
            return None
        return NodeScope(self.layout, asked.entity, self.clock, {}).filter(And(items=tuple(safe)))

    def _parents_min(self, relation: RelationLayout, model: CostModel, *, is_whole: bool) -> int:
        """From how many parents on a choice is worth making.

        Where all children are wanted, reading them all pays for a good part of the parents only.
        """
        estimator = model.estimator
        if relation.relation.id not in self.statistics.relations:
            unknown = limits.HASH_JOIN_PARENTS_UNKNOWN
            return max(1, unknown * _WHOLE_UNKNOWN if is_whole else unknown)
        each = PARENT_COST + estimator.children_per_parent(relation) * LINKED_COST
        least = limits.HASH_JOIN_LOOKED_UP_MIN
        if is_whole and least:
            whole = (SCANNED_COST + HASHED_COST) * estimator.count(relation.source)
            least = max(least, whole / _SKEW)
        return max(1, math.ceil(least / each))


def _parameters(expr: Expr) -> Iterable[int]:
    return (node.index for node in walk_related(expr) if isinstance(node, Param))


def _weigher(
    model: CostModel, asked: Asked, ways: Sequence[Way], joined: Sequence[JoinWay]
) -> Callable[[Sequence[Value]], list[Weighed]]:
    planned = {id(way): join for way, join in zip(ways, joined, strict=True)}

    def weigh(values: Sequence[Value]) -> list[Weighed]:
        known = model.knowing(values)
        kept = known.rows(asked, asked.conjuncts)
        ranked = known.ranked(asked, ways)
        return [Weighed(planned[id(each.way)], each.rows, each.cost, kept) for each in ranked]

    return weigh
