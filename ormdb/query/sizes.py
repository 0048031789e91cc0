"""How large things are: rows, different values, children of parents.

    Order       20,000 rows     now, as the space counts them
    state       4 distinct      as analyzed; what grows with the rows has grown with them
    (customer)  1,000 distinct  not analyzed: no more than there are customers
    orders      20 children of a customer, 0 % of customers without any

Without statistics the sizes of the spaces still say how many rows there are, and how many values
an identity, a unique or a foreign key may have.

Invariants (held by tests/property/test_estimate.py):
  1. Nothing has more different values than there are rows, and nothing fewer than one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Final, TypeAlias

import msgspec

from ormdb.ir.value import BoolType, EnumType
from ormdb.storage.histogram import Histogram, key_kind
from ormdb.storage.layout import EntityLayout, Layout, RelationLayout
from ormdb.storage.records import is_stored
from ormdb.storage.statistics import (
    QUANTILES,
    EntityStatistics,
    FieldStatistics,
    Statistics,
)

RowCount: TypeAlias = Callable[[EntityLayout], int | None]

NULL_SHARE: Final = 0.1  # of an optional field of which nothing is known
CHILDLESS_SHARE: Final = 0.25  # parents without a child, likewise
DISTINCT_VALUES: Final = 200  # of a field, likewise
_GROWING: Final = 0.1  # more different values than this share of rows grow with the rows


class Sizes:
    """Sizes over one layout.

    `row_count` says how many rows an entity has now; the analysis says how many it had.
    """

    def __init__(
        self, statistics: Statistics, layout: Layout, *, row_count: RowCount | None = None
    ) -> None:
        self.statistics = statistics
        self.layout = layout
        self._row_count = row_count
        self._counts: dict[str, float] = {}
        self._histograms: dict[tuple[str, str], Histogram] = {}

    def count(self, entity: EntityLayout | str) -> float:
        """How many rows there are."""
        found = self.entity(entity)
        count = self._counts.get(found.name)
        if count is None:
            now = None if self._row_count is None else self._row_count(found)
            analyzed = self.statistics.entities.get(found.entity.id)
            if now is None:
                now = 0 if analyzed is None else analyzed.rows
            count = self._counts[found.name] = float(now)
        return count

    def distinct(self, entity: EntityLayout | str, fields: Sequence[str]) -> float:
        """How many different values some fields have together; 1 or more."""
        found, rows = self.entity(entity), max(1.0, self.count(entity))
        if not fields:
            return 1.0
        slots = tuple(found.fields[name].slot for name in fields)
        if any(set(unique) <= set(slots) for unique in unique_slots(found)):
            return rows
        single = [max(1.0, self.histogram(found, name).distinct) for name in fields]
        together = min(rows, math.prod(single))
        if len(fields) > 1:
            analyzed = self.statistics.entities.get(found.entity.id)
            if analyzed is not None:
                for prefix in analyzed.prefixes:
                    if set(prefix.slots) == set(slots):
                        together = _grown(prefix.distinct, analyzed, rows)
        return max(1.0, *single, together) if len(fields) > 1 else together

    # --- relations ----------------------------------------------------------------------------

    def children_per_parent(self, relation: RelationLayout) -> float:
        """How many children a parent has, those without any counted."""
        parents = self.count(relation.target)
        return self._linked_children(relation) / parents if parents else 0.0

    def childless(self, relation: RelationLayout) -> float:
        """The share of parents without children."""
        known = self.statistics.relations.get(relation.relation.id)
        if known is not None and known.parents:
            return known.childless
        if not self.count(relation.source) or not self.count(relation.target):
            return 1.0
        return max(CHILDLESS_SHARE, 1.0 - self.children_per_parent(relation))

    def fanouts(self, relation: RelationLayout) -> list[tuple[float, float]]:
        """Shares of the parents that have children, and how many children those have."""
        having = 1.0 - self.childless(relation)
        if not having:
            return []
        mean = self.children_per_parent(relation) / having
        known = self.statistics.relations.get(relation.relation.id)
        if known is None or not known.quantiles:
            return [(1.0, mean)]
        parts = [
            (high - low, (few + many) / 2)
            for (low, few), (high, many) in pairwise(zip(QUANTILES, known.quantiles, strict=True))
        ]
        total = sum(share * count for share, count in parts)
        return [(share, max(1.0, count * mean / total)) for share, count in parts]

    def children(self, relation: RelationLayout, parents: float) -> float:
        """How many children some parents have."""
        return parents * self.children_per_parent(relation)

    def parents(self, relation: RelationLayout, children: float) -> float:
        """How many different parents some children have (Cardenas)."""
        having = self.count(relation.target) * (1.0 - self.childless(relation))
        return distinct_of(having, children * self.reach(relation))

    def reach(self, relation: RelationLayout) -> float:
        """The share of children that have a parent."""
        there = 1.0
        for name in relation.relation.fields:
            there *= self.histogram(relation.source, name).not_null
        known = self.statistics.relations.get(relation.relation.id)
        return there * (1.0 if known is None else known.linked)

    def histogram(self, entity: EntityLayout, name: str) -> Histogram:
        """The values of a field: as analyzed, or as its declaration lets expect."""
        key = (entity.name, name)
        found = self._histograms.get(key)
        if found is None:
            definition = entity.fields[name]
            found = Histogram(definition.type, self._field(entity, name))
            self._histograms[key] = found
        return found

    def independence(self, entity: EntityLayout) -> dict[tuple[int, int], float]:
        """How independent two slots are, of those that were compared."""
        analyzed = self.statistics.entities.get(entity.entity.id)
        if analyzed is None:
            return {}
        return {pair.slots: pair.independence for pair in analyzed.pairs}

    # --- inside -------------------------------------------------------------------------------

    def entity(self, entity: EntityLayout | str) -> EntityLayout:
        """An entity by its layout or its name."""
        return self.layout.entities[entity] if isinstance(entity, str) else entity

    def _linked_children(self, relation: RelationLayout) -> float:
        return self.count(relation.source) * self.reach(relation)

    def _field(self, entity: EntityLayout, name: str) -> FieldStatistics:
        definition = entity.fields[name]
        analyzed = self.statistics.entities.get(entity.entity.id)
        kind, rows = key_kind(definition.type), self.count(entity)
        is_unique = any(slots == (definition.slot,) for slots in unique_slots(entity))
        if analyzed is not None and is_stored(definition):
            for known in analyzed.fields:
                if known.slot == definition.slot and known.kind == kind:
                    distinct = _grown(known.distinct, analyzed, rows)
                    if is_unique:
                        distinct = max(1.0, rows * (1.0 - known.null_fraction))
                    return msgspec.structs.replace(known, distinct=distinct)
        null_fraction = NULL_SHARE if definition.optional else 0.0
        distinct = rows if is_unique else min(rows, self._guessed_distinct(entity, name))
        return FieldStatistics(
            slot=definition.slot,
            kind=kind,
            null_fraction=null_fraction,
            distinct=max(1.0, distinct),
        )

    def _guessed_distinct(self, entity: EntityLayout, name: str) -> float:
        kind = entity.fields[name].type
        if isinstance(kind, BoolType):
            return 2.0
        if isinstance(kind, EnumType):
            return float(len(kind.variants))
        for relation in entity.outgoing:
            if relation.relation.fields == (name,):
                return max(1.0, self.count(relation.target))
        return float(DISTINCT_VALUES)


def distinct_of(kinds: float, draws: float) -> float:
    """How many of `kinds` equally likely things turn up in so many draws (Cardenas)."""
    if kinds <= 0.0 or draws <= 0.0:
        return 0.0
    if kinds <= 1.0:
        return min(kinds, draws)
    return min(draws, kinds * -math.expm1(draws * math.log1p(-1.0 / kinds)))


def _grown(distinct: float, analyzed: EntityStatistics, rows: float) -> float:
    """How many different values there are now, if there were so many when it was analyzed."""
    if analyzed.rows and distinct > _GROWING * analyzed.rows:
        distinct *= rows / analyzed.rows
    return max(1.0, min(distinct, rows))


def unique_slots(entity: EntityLayout) -> list[tuple[int, ...]]:
    """The slots of the identity and of each unique index."""
    found = [tuple(entity.fields[name].slot for name in entity.entity.identity)]
    found.extend(index.slots for index in entity.indexes if index.unique)
    return found
