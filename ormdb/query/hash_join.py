"""Children gathered by a way of their own and hashed by their parents, where that is cheaper.

    50,000 customers, their overdue orders      100 of a million

    by the relation    50,000 keys, a million entries, a million rows, of which the filter keeps 100
    by a hash join     index by_status: 100 entries, 100 rows; a dict of 50,000 customers

A level makes the choice when its parents are known.  How many children they have is told by the
statistics and by the entries of some of them, how many rows the ways lead to by the statistics with
the values of the run, or by counting the entries of a key.  Gathering ends, and children are looked
up after all, when it finds many more rows than it was chosen for.

What was gathered is kept as decoded rows are: a dict from what children say of their parent to the
children, for whoever asks the same condition next, of whatever parents.

What a look-up would refuse is looked up: where the budget might not allow all children of a parent
or of the level, these are counted first.

Invariants (held by tests/unit/query/test_hash_join.py and tests/property/test_oracles.py):
  1. The children are those that the relation's entries lead to and the filter keeps, in row order,
     and others that the filter drops.
  2. What is kept answers as what is gathered, until a row of the entity changes.
  3. A fetch is refused for its fanout, its edges or its rows however children are found.
"""

from __future__ import annotations

import sys
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, compress
from typing import Any, Final, TypeAlias
from typing import Literal as Choice

from ormdb import limits
from ormdb.ir.explanation import Joined
from ormdb.ir.value import Value
from ormdb.pulse import beat, in_steps, sort_in_steps
from ormdb.query.budget import Spending
from ormdb.query.cost import (
    CALL_COST,
    GROUPED_COST,
    HASHED_COST,
    KEPT_COST,
    LINKED_COST,
    PARENT_COST,
    PLACED_COST,
    ROW_COST,
)
from ormdb.query.decoded import Group, kept_groups
from ormdb.query.follow import Level, children_kind, parent_keys, picked, references, referred_by
from ormdb.query.gather import KeyGatherer
from ormdb.query.kept_pages import KEPT_CLASSES
from ormdb.query.plan import Access, Expand, HashJoin, JoinWay, RelatedHop, Weighed
from ormdb.query.ready import is_usable
from ormdb.query.roots import index_key, root_batches
from ormdb.query.sieve import Sieve
from ormdb.query.trace import Trace
from ormdb.query.walk import Walk
from ormdb.storage.layout import RelationLayout
from ormdb.storage.row_cache import RowCache, Shelf
from ormdb.storage.views import View

Children: TypeAlias = tuple[Level, list[int]]  # parent by parent, and how many each has


@dataclass(frozen=True, slots=True)
class Bounds:
    """How many children a look-up would be stopped at, and how many may be held."""

    each: int = sys.maxsize
    all: int = sys.maxsize
    held: int = sys.maxsize


NO_BOUNDS: Final = Bounds()
_ROW_BYTES: Final = 150  # of a row in a table: its places in lists, and part of a group


@dataclass(frozen=True, slots=True)
class _Choice:
    """The way to gather by, how many rows it is given up at, and what both strategies cost."""

    way: JoinWay | None  # None: children are looked up
    rows_max: float
    is_kept: bool  # what is gathered
    looked_up_cost: float
    hashed_cost: float


_KEPT: Final = _Choice(None, 0.0, False, 0.0, 0.0)  # there is none to make
How: TypeAlias = Choice["hash", "kept"]
Table: TypeAlias = dict[Any, Group]  # children by what they say of their parent


class Joiner:
    """Joins the levels of one run of a plan."""

    def __init__(
        self,
        view: View,
        values: Sequence[Value],
        sieve: Sieve,
        spending: Spending,
        *,
        trace: Trace | None = None,
    ) -> None:
        self.view = view
        self.spending = spending
        self._values = values
        self._sieve = sieve
        self._trace = trace

    def children(
        self,
        expand: Expand,
        path: tuple[str, ...],
        parents: Level,
        *,
        kept_as: Hashable = None,
        bounds: Bounds = NO_BOUNDS,
    ) -> Children | None:
        """The children of each parent in row order, or None where looking them up is cheaper.

        Args:
          expand: from the parents to them, with a join.
          path: of the level, for whoever wants to know.
          parents: their rows.
          kept_as: the groups of children that may be kept decoded; None for none.
          bounds: more than these are looked up.
        """
        join, relation = expand.join, expand.relation
        assert join is not None
        missing = len(parents.keys)
        if kept_as is not None and self.view.cache is not None:
            keys = parent_keys(relation, parents)
            missing -= kept_groups(self.view, relation.source, kept_as, keys)
            if missing < join.parents_min:
                return None
        level = _LevelJoin(self, join, relation, parents, values=self._values, sieve=self._sieve)
        found, choice = None, _KEPT
        table = level.kept_table()
        if table is not None and level.is_allowed(bounds):
            found = level.probed(table)
        elif table is None:
            choice = level.choose(missing)
            if choice.way is not None and level.is_allowed(bounds):
                found = level.gathered(choice, bounds.held)
        if found is not None and len(found[0].rows) > bounds.held:
            found = None
        if self._trace is not None:
            by: How = "hash" if choice.way is not None else "kept"
            self._trace.note_join(
                Joined(
                    path=path,
                    by="lookup" if found is None else by,
                    parents=len(parents.keys),
                    lookup_cost=round(choice.looked_up_cost, 1),
                    hash_cost=round(choice.hashed_cost, 1),
                )
            )
        return found


@dataclass(slots=True)  # not frozen: every run makes one
class RelatedJoins:
    """Joins the related rows that a sieve asks about; never changed."""

    view: View
    values: Sequence[Value]
    spending: Spending
    trace: Trace | None

    def __call__(self, sieve: Sieve, hop: RelatedHop, parents: Level) -> Children | None:
        joiner = Joiner(self.view, self.values, sieve, self.spending, trace=self.trace)
        decoder = hop.expand.edge_decoder or hop.decoder
        kept_as = children_kind(hop.expand.relation, decoder)
        bounds = Bounds(held=limits.RELATED_ROUND_ROWS_MAX)
        return joiner.children(hop.expand, hop.path, parents, kept_as=kept_as, bounds=bounds)


class _LevelJoin:
    """One level of parents, and the children of theirs that may be gathered."""

    def __init__(
        self,
        joiner: Joiner,
        join: HashJoin,
        relation: RelationLayout,
        parents: Level,
        *,
        values: Sequence[Value],
        sieve: Sieve,
    ) -> None:
        assert relation.index is not None
        self._view = joiner.view
        self._spending = joiner.spending
        self._join = join
        self._relation = relation
        self._index = relation.index
        self._parents = parents
        self._values = values
        self._sieve = sieve
        self._rows = joiner.view.row_count(relation.source)  # of all parents; None in the past

    def choose(self, missing: int) -> _Choice:
        """The cheapest way to gather, if it is cheaper than looking up the children of so many
        parents."""
        join, parents = self._join, len(self._parents.keys)
        fanout = self._fanout()
        looked_up = CALL_COST + missing * (PARENT_COST + LINKED_COST * fanout)
        best = pick([self._counted(each) for each in self._weighed()])
        if best is None:
            return _Choice(None, 0.0, False, looked_up, 0.0)
        rows = join.rows if self._rows is None else self._rows
        children = best.kept if join.filter is not None else best.rows
        is_kept = self._may_keep(best.way.access, children)
        if is_kept:
            hashed = KEPT_COST * children
        else:
            hashed = GROUPED_COST * children * (min(1.0, parents * fanout / rows) if rows else 0.0)
        hashed += best.cost + PLACED_COST * parents + HASHED_COST * best.rows
        if not is_cheaper(hashed, looked_up):
            return _Choice(None, 0.0, False, looked_up, hashed)
        rows_max = max(looked_up / (ROW_COST + HASHED_COST), 2.0 * best.rows)
        return _Choice(best.way, rows_max, is_kept, looked_up, hashed)

    def _weighed(self) -> list[Weighed]:
        """The ways that the values of this run allow, as there are so many rows now."""
        join, growth = self._join, 1.0
        if self._rows is not None and join.rows:
            growth = self._rows / join.rows
        return [
            Weighed(each.way, each.rows * growth, each.cost * growth, each.kept * growth)
            for each in join.weigh(self._values)
            if is_usable(each.way.access, each.way.keyed, self._values)
        ]

    def _fanout(self) -> float:
        """How many children one of the parents has: of a sample, its entries are counted."""
        parents = self._parents
        stride = 1 + (len(parents.keys) - 1) // limits.HASH_JOIN_SAMPLE_PARENTS
        sample = picked(parents, range(0, len(parents.keys), stride))
        keys = [key for key in parent_keys(self._relation, sample) if key is not None]
        return sum(self._view.count_related(self._index, keys)) / len(sample.keys)

    def _counted(self, weighed: Weighed) -> Weighed:
        """A way whose rows are under one key, with their number as counted instead of expected."""
        key, index = index_key(weighed.way.access, self._values), weighed.way.access.index
        if key is None or index is None:
            return weighed
        rows = float(self._view.count_related(index, [key])[0])
        each = (weighed.cost - CALL_COST) / weighed.rows if weighed.rows else ROW_COST
        return Weighed(weighed.way, rows, CALL_COST + rows * each, min(rows, weighed.kept))

    def is_allowed(self, bounds: Bounds) -> bool:
        """Whether a look-up would not be stopped by the budget: what is refused by one strategy
        has to be refused by the other."""
        least = min(bounds.each, bounds.all)
        if least == sys.maxsize or (self._rows is not None and self._rows <= least):
            return True
        keys = [key for key in parent_keys(self._relation, self._parents) if key is not None]
        counts = self._view.count_related(self._index, keys)
        return max(counts, default=0) <= bounds.each and sum(counts) <= bounds.all

    def gathered(self, choice: _Choice, held: int) -> Children | None:
        """The gathered rows that refer to a parent, parent by parent; None if there are too many,
        or if a parent cannot be told from another by what refers to it."""
        assert choice.way is not None
        before = self._view.counters.bytes
        place = None if choice.is_kept else self._places()
        if place is None and not choice.is_kept:
            return None
        children, owners, seen = Level([], []), list[Any](), 0
        for level, rows in self._batches(choice.way):
            seen += rows
            if seen > choice.rows_max:
                return None
            found = references(self._relation, level.rows)
            if place is None:
                children.rows.extend(level.rows)
                children.keys.extend(level.keys)
                owners.extend(found)
                continue
            found = list(map(place.get, found))
            is_child = [owner is not None for owner in found]
            children.rows.extend(compress(level.rows, is_child))
            children.keys.extend(compress(level.keys, is_child))
            owners.extend(owner for owner in found if owner is not None)
            if len(owners) > held:
                return None
        if not choice.way.access.ordered:
            children, owners = in_row_order(children, owners)
        if place is not None:
            return by_parent(children, owners, len(self._parents.keys))
        table = _table_of(children, owners)
        self._keep(table, self._view.counters.bytes - before + _ROW_BYTES * len(owners))
        return self.probed(table)

    def _batches(self, way: JoinWay) -> Iterator[tuple[Level, int]]:
        """The rows of a way that may be asked for, and how many were read for them."""
        gatherer = KeyGatherer(self._view, self._values, self._sieve, self._spending)
        batches = root_batches(
            self._join, way.access, self._view, self._values, Walk(), gather=gatherer.keys
        )
        for level, _ in batches:
            beat()
            yield self._sieve.kept(self._join.filter, level), len(level.rows)

    # --- what is kept ---------------------------------------------------------------------------

    def kept_table(self) -> Table | None:
        """The children that were gathered before with these values, if they are kept."""
        place = self._place_kept()
        if place is None:
            return None
        cache, shelf, key = place
        found = cache.look(self._relation.source.entity.id, shelf, (key,), self._view.version)
        return None if found is None else found[0]

    def probed(self, table: Table) -> Children:
        """The children of each parent, from a table of them."""
        referred = referred_by(self._relation, self._parents)
        groups = list(map(table.get, referred))
        rows = [group.rows for group in groups if group is not None]
        keys = [group.keys for group in groups if group is not None]
        every = chain.from_iterable
        counts = [0 if group is None else len(group.rows) for group in groups]
        return Level(list(every(rows)), list(every(keys))), counts

    def _may_keep(self, access: Access, children: float) -> bool:
        """Whether what is gathered may be kept: it depends on rows of one entity, and is little."""
        if self._join.is_whole or children > limits.HASH_JOIN_KEPT_ROWS_MAX:
            return False
        return _is_of_one_entity(access) and self._place_kept() is not None

    def _keep(self, table: Table, weight: int) -> None:
        place = self._place_kept()
        if place is not None:
            cache, shelf, key = place
            number = self._relation.source.entity.id
            cache.leave(number, shelf, {key: table}, weight, self._view.version)

    def _place_kept(self) -> tuple[RowCache, Shelf, Hashable] | None:
        """Where a table is kept, and under which key; None for one that is not kept at all."""
        cache, join = self._view.cache, self._join
        key = tuple([self._values[index] for index in join.parameters])
        if cache is None or join.is_whole or not KEPT_CLASSES.issuperset(map(type, key)):
            return None
        number = self._relation.source.entity.id
        shelf = cache.groups(number, ("gathered", join), self._view.version)
        return None if shelf is None else (cache, shelf, key)

    def _places(self) -> dict[Any, int] | None:
        """The place of each parent, by what its children say of it; None if two are alike."""
        referred = referred_by(self._relation, self._parents)
        places = dict(zip(referred, range(len(referred)), strict=True))
        if self._relation.mode != "value":
            return places
        # Nobody is referred to by NULL, and there may be many who could not be told apart.
        named = {values: at for values, at in places.items() if None not in values}
        return named if len(named) == sum(None not in values for values in referred) else None


def pick(ways: Sequence[Weighed]) -> Weighed | None:
    """The way to gather by: the cheapest."""
    return min(ways, key=lambda weighed: weighed.cost, default=None)


def is_cheaper(hashed_cost: float, looked_up_cost: float) -> bool:
    """Whether gathering and hashing is worth more than looking up."""
    return hashed_cost < looked_up_cost


def _is_of_one_entity(access: Access) -> bool:
    return access.source is None and all(map(_is_of_one_entity, access.parts))


def _table_of(children: Level, references: Sequence[Any]) -> Table:
    """Children by what they say of their parent, those of one parent as they come."""
    table: Table = {}
    for part in in_steps(range(len(references))):
        for at in part:
            group = table.get(references[at])
            if group is None:
                table[references[at]] = Group([children.rows[at]], [children.keys[at]])
            else:
                group.rows.append(children.rows[at])
                group.keys.append(children.keys[at])
    return {parent: group for parent, group in table.items() if not _is_nobody(parent)}


def _is_nobody(reference: Any) -> bool:
    return reference is None or (isinstance(reference, tuple) and None in reference)


def in_row_order(children: Level, owners: list[int]) -> tuple[Level, list[int]]:
    """Children and what is beside each, in the order of their rows."""
    positions = list(range(len(owners)))
    sort_in_steps(positions, children.keys)
    return picked(children, positions), [owners[at] for at in positions]


def by_parent(children: Level, owners: Sequence[int], parents: int) -> Children:
    """Children in the order of their parents, those of one parent as they come."""
    if len(owners) < parents:
        positions = list(range(len(owners)))
        sort_in_steps(positions, owners)
        counts = [0] * parents
        for owner in owners:
            counts[owner] += 1
        return picked(children, positions), counts
    places: list[list[int]] = [[] for _ in range(parents)]
    for part in in_steps(range(len(owners))):
        for at in part:
            places[owners[at]].append(at)
    return picked(children, list(chain.from_iterable(places))), list(map(len, places))
