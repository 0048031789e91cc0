"""Running a plan: the roots, then each include once for all parents.

    Flight.where(...).limit(50).include(plane, origin.include(departures))

    roots        scan_index(by_time)              50 rows      1 engine call
    plane        rows of 50 distinct tail numbers 41 rows      2
    origin       rows of 3 distinct airports       3 rows      1
    departures   relation/2 of 3 airports        900 rows      1

What a level needs of the one above is its decoded rows and their row keys, nothing else.  Whatever
is read passes through one `View`, so that one snapshot, one set of counters and, in a transaction,
one read set see everything.

Invariants (held by tests/property/test_fetch_differential.py and tests/unit/query/test_hops.py):
  1. The number of engine calls depends on the plan alone.
  2. Includes never change which roots an answer holds.
  3. The budget is checked before a level is handed on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, chain, pairwise

from ormdb.ir.value import Value
from ormdb.pulse import beat, sort_in_steps
from ormdb.query.budget import Spending
from ormdb.query.child_pages import ChildCursors, Columns, Siblings, part_of
from ormdb.query.first_children import first_children
from ormdb.query.follow import (
    Arrange,
    Gather,
    Level,
    arranged,
    children_kind,
    follow_to_many,
    follow_to_one,
    masked,
    owners_of,
    picked,
)
from ormdb.query.hash_join import Bounds, Joiner, RelatedJoins
from ormdb.query.kept_pages import keep_page
from ormdb.query.node_page import NodePage
from ormdb.query.order import Place, beyond, sorted_positions
from ormdb.query.plan import Expand, NodePlan
from ormdb.query.ready import ReadyQuery
from ormdb.query.root_page import RootReader, RootResult
from ormdb.query.sieve import Sieve
from ormdb.query.trace import Trace
from ormdb.storage.records import RowDecoder
from ormdb.storage.views import View


@dataclass(slots=True)
class NodeResult:
    """One level of an answer: its entities, each once, and which parents they belong to.

    To-many: parent i has targets[offsets[i]:offsets[i + 1]].  To-one: `offsets` is None and
    parent i has targets[i], -1 for none.  The roots have neither.
    """

    plan: NodePlan
    level: Level
    offsets: list[int] | None
    targets: Sequence[int]
    children: list[NodeResult]
    derived: Sequence[list[Value]] = ()
    cursors: ChildCursors | None = None  # of what leads to any number of rows


class Execution:
    """One run of a plan under one view and one budget."""

    def __init__(
        self, ready: ReadyQuery, view: View, spending: Spending, trace: Trace | None = None
    ) -> None:
        self.plan = ready.plan
        self.view = view
        self.spending = spending
        self._pages = ready.pages
        self.note_rows = None if trace is None else trace.note_rows
        joins = RelatedJoins(view, ready.values, spending, trace)
        self._sieve = Sieve(view, ready.values, self.note_rows, joins)
        self._trace = trace
        self._made_joiner: Joiner | None = None  # made on demand
        self._ready = ready
        self._roots: RootReader | None = None  # made on demand: roots that are kept need none

    @property
    def roots(self) -> RootReader:
        """What reads the roots."""
        if self._roots is None:
            ready = self._ready
            self._roots = RootReader(
                ready.plan.root,
                ready.access,
                self.view,
                self.spending,
                values=ready.values,
                sieve=self._sieve,
            )
        return self._roots

    def fetch(self, page: NodePage) -> tuple[NodeResult, RootResult]:
        """The whole graph, and what there is to know about its roots."""
        roots = self.roots.page(page)
        beat()
        keep_page(self._ready, self.view, roots)
        beat()
        result = NodeResult(self.plan.root, roots.level, None, (), [])
        self.spending.add_rows((), len(roots.level.rows))
        self._expand_children(result)
        return result, roots

    def fetch_from(self, roots: Level) -> NodeResult:
        """The graph below roots that are known."""
        result = NodeResult(self.plan.root, roots, None, (), [])
        self.spending.add_rows((), len(roots.rows))
        self._expand_children(result)
        return result

    def _expand_children(self, parent: NodeResult) -> None:
        if parent.plan.derived is not None:
            parent.derived = self._sieve.derived(parent.plan.derived, parent.level)
        if self._trace is not None:  # what is derived is part of what the level took
            self._trace.note_level(parent.plan, len(parent.level.rows))
        for plan in parent.plan.children:
            result = self._expand(plan, parent.level)
            self.spending.add_rows(plan.path, len(result.level.rows))
            self.spending.check_progress(plan.path, self.view.counters.bytes)
            parent.children.append(result)
            self._expand_children(result)

    def _expand(self, plan: NodePlan, parents: Level) -> NodeResult:
        expand = plan.expand
        assert expand is not None
        if expand.kind == "to_one":
            return self._expand_to_one(plan, expand, parents)
        page = self._pages[plan.number]
        if expand.kind == "through":
            return self._expand_through(plan, expand, parents, page)
        return self._expand_to_many(plan, expand, parents, page)

    def _expand_to_one(self, plan: NodePlan, expand: Expand, parents: Level) -> NodeResult:
        level, targets = follow_to_one(self.view, expand.relation, parents, plan.decoder)
        mask = self._sieve.node_mask(plan, level)
        if mask is not None and not all(mask):
            moved = list(accumulate(mask, initial=-1))[1:]
            moved = [new if keep else -1 for new, keep in zip(moved, mask, strict=True)]
            moved.append(-1)  # so that position -1 stays -1
            targets = [moved[target] for target in targets]
            level = masked(level, mask)
        self.spending.add_edges(plan.path, len(targets) - targets.count(-1))
        return NodeResult(plan, level, None, targets, [])

    def _expand_to_many(
        self, plan: NodePlan, expand: Expand, parents: Level, page: NodePage
    ) -> NodeResult:
        level, counts, sorted_already = self._children(plan, expand, parents, page)
        beat()
        self.spending.check_fanout(plan.path, max(counts, default=0))
        self.spending.add_edges(plan.path, len(level.rows))
        children = Siblings(level, counts)
        mask = self._sieve.node_mask(plan, level)
        if mask is not None:
            children = children.kept(mask)
        if not sorted_already:
            children = self._sorted(plan, children)
        if page.place is not None:
            children = children.kept(self._beyond(plan, page.place, children, page.backward))
        # Those that an index gave first are as many as they should be already.
        if page.offset or (page.limit is not None and max(children.counts, default=0) > page.limit):
            children = children.paged(page)
        level = children.level
        if expand.single:
            return NodeResult(plan, level, None, _single_targets(children.counts), [])
        offsets = list(accumulate(children.counts, initial=0))
        cursors = self._cursors(plan, page, children.columns)
        return NodeResult(plan, level, offsets, range(len(level.rows)), [], cursors=cursors)

    def _sorted(self, plan: NodePlan, children: Siblings) -> Siblings:
        """The children of each parent in the order of the node."""
        level, owners = children.level, owners_of(children.counts)
        columns = self._sieve.columns(plan.order, level)
        positions = sorted_positions(plan.order, columns, level.keys)
        sort_in_steps(positions, owners)
        moved = None
        if not plan.order.is_stored:  # else their rows tell, when a cursor is wanted
            moved = [[column[at] for at in positions] for column in columns]
        return Siblings(picked(level, positions), children.counts, moved)

    def _beyond(
        self, plan: NodePlan, place: Place, children: Siblings, backward: bool
    ) -> list[bool]:
        """Which children lie beyond the place of a cursor."""
        columns = children.columns
        if columns is None:
            columns = self._sieve.columns(plan.order, children.level)
        return beyond(place, columns, children.level.keys, backward=backward)

    def _children(
        self, plan: NodePlan, expand: Expand, parents: Level, page: NodePage
    ) -> tuple[Level, list[int], bool]:
        """The children of every parent, how many each has, and whether they are in order."""
        if expand.ordered_index is not None and page.limit is not None:
            count = min(page.limit + page.offset, self.spending.children_max)
            found = first_children(self.view, plan, expand, parents, count)
            if found is not None:
                return *found, True
        filtered = plan.filter is not None or plan.far_filter is not None
        join = expand.join
        if filtered and join is not None and len(parents.rows) >= join.parents_min:
            found = self._gathered(plan, expand, parents, plan.decoder)
            if found is not None:
                return *found, expand.row_order
        most = self.spending.children_max
        if page.limit is not None and page.place is None and not filtered and expand.row_order:
            most = min(most, page.limit + page.offset)
        arrange = None if filtered else self._arrange(plan, expand)
        gather = None if filtered or page.limit is not None else self._gather(plan, expand)
        level, counts = follow_to_many(
            self._sieve.expecting(self.view, plan.filter, plan),
            expand.relation,
            parents,
            plan.decoder,
            limit_each=most,
            limit_all=self.spending.left(
                is_answer=not (filtered or page.offset or page.limit is not None)
            ),
            arrange=arrange,
            gather=gather,
        )
        return level, counts, expand.row_order or arrange is not None

    def _gather(self, plan: NodePlan, expand: Expand) -> Gather | None:
        """What may know a better way to all children of parents of whom none are kept."""
        if expand.join is None or not expand.join.is_whole:
            return None
        return lambda parents: self._gathered(plan, expand, parents)

    def _gathered(
        self,
        plan: NodePlan,
        expand: Expand,
        parents: Level,
        decoder: RowDecoder | None = None,
        arrange: Arrange | None = None,
    ) -> tuple[Level, list[int]] | None:
        """Children or edges by a join, if the plan has one and it is cheaper than looking up those
        that are not kept, as `decoder` and `arrange` have them."""
        join, spending = expand.join, self.spending
        if join is None or len(parents.rows) < join.parents_min:
            return None
        left = spending.budget.edges - spending.edges
        if join.is_whole and expand.far is None:
            left = min(left, spending.budget.rows - spending.rows)
        kept_as = None if decoder is None else children_kind(expand.relation, decoder, arrange)
        bounds = Bounds(each=spending.budget.fanout, all=left)
        found = self._joiner().children(expand, plan.path, parents, kept_as=kept_as, bounds=bounds)
        if found is not None and arrange is not None and not join.is_whole:
            return arranged(*found, arrange.positions), found[1]
        return found

    def _joiner(self) -> Joiner:
        if self._made_joiner is None:
            self._made_joiner = Joiner(
                self.view, self._ready.values, self._sieve, self.spending, trace=self._trace
            )
        return self._made_joiner

    def _arrange(self, plan: NodePlan, expand: Expand) -> Arrange | None:
        """The order of a node's children, if it is another than theirs and stays with them."""
        if expand.row_order or not plan.order.is_stored:
            return None
        return Arrange(plan.order, lambda level: self._sieve.positions(plan.order, level))

    def _cursors(self, plan: NodePlan, page: NodePage, columns: Columns | None) -> ChildCursors:
        return ChildCursors(plan, page, columns, self._sieve.given(plan.order.parameters))

    def _expand_through(
        self, plan: NodePlan, expand: Expand, parents: Level, page: NodePage
    ) -> NodeResult:
        far, edge_decoder, edge_order = expand.far, expand.edge_decoder, expand.edge_order
        assert far is not None
        assert edge_decoder is not None
        assert edge_order is not None
        arrange = None
        if edge_order.keys:  # stored fields of the edges, so that these can be kept in order
            arrange = Arrange(edge_order, lambda edges: self._sieve.positions(edge_order, edges))
        joined = None
        if plan.filter is not None or plan.far_filter is not None:
            joined = self._gathered(plan, expand, parents, edge_decoder, arrange)
        edges, counts = joined or follow_to_many(
            self.view,
            expand.relation,
            parents,
            edge_decoder,
            limit_each=self.spending.children_max,
            limit_all=self.spending.left(is_answer=False),
            arrange=arrange,
            gather=self._gather(plan, expand),
        )
        self.spending.check_fanout(plan.path, max(counts, default=0))
        self.spending.add_edges(plan.path, len(edges.rows))
        level, targets = follow_to_one(self.view, far, edges, plan.decoder)
        mask = self._sieve.node_mask(plan, level)
        if mask is not None:
            targets = [at if at >= 0 and mask[at] else -1 for at in targets]
        beat()
        # A target that several edges of one parent lead to counts once, where it stands first.
        each = [
            list(dict.fromkeys(targets[start:stop]))
            for start, stop in pairwise(accumulate(counts, initial=0))
        ]
        if -1 in targets:
            each = [[at for at in found if at >= 0] for found in each]
        columns = None
        if plan.order.keys:
            columns = self._sieve.columns(plan.order, level)
            rank = _ranks(sorted_positions(plan.order, columns, level.keys))
            for found in each:
                found.sort(key=rank.__getitem__)
            if page.place is not None:
                mask = beyond(page.place, columns, level.keys, backward=page.backward)
                each = [[at for at in found if mask[at]] for found in each]
        if page.limit is not None or page.offset:
            parts = [part_of(len(found), page) for found in each]
            each = [found[part.start : part.stop] for found, part in zip(each, parts, strict=True)]
        beat()
        flat = list(chain.from_iterable(each))
        used = sorted(set(flat))
        if len(used) < len(level.rows):
            place = dict(zip(used, range(len(used)), strict=True))
            level, flat = picked(level, used), list(map(place.__getitem__, flat))
            if columns is not None:
                columns = [[column[at] for at in used] for column in columns]
        offsets = list(accumulate(map(len, each), initial=0))
        cursors = self._cursors(plan, page, columns) if columns is not None else None
        return NodeResult(plan, level, offsets, flat, [], cursors=cursors)


def _ranks(positions: Sequence[int]) -> list[int]:
    """Where each position stands among them: [2, 0, 1] -> [1, 2, 0]."""
    ranks = [0] * len(positions)
    for rank, position in enumerate(positions):
        ranks[position] = rank
    return ranks


def _single_targets(counts: Sequence[int]) -> list[int]:
    """Positions of children of which every parent has at most one."""
    targets: list[int] = []
    at = 0
    for count in counts:
        targets.append(at if count else -1)
        at += count
    return targets
