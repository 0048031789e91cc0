"""Questions about the rows that a relation leads to, answered for a whole level at once.

    Airport where any(departures, dep_delay > 60)

    airports   JFK LGA EWR          origin level
    children   f1 f2 | f3 |         read once for all parents, in rounds of bounded size
    filter      1  0 |  0 |
    any         1       0   0       none  0 1 1       all  0 0 1

Invariants (held by tests/unit/query/test_related.py and tests/property/test_fetch_differential.py):
  1. The answer for a row depends on its related rows alone, never on the other rows of the level.
  2. No more than RELATED_ROUND_ROWS_MAX related rows are held at a time, but for those of one row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate, pairwise
from typing import Any, TypeAlias

from ormdb import limits
from ormdb.query.follow import Level, follow_to_many, follow_to_one, sliced
from ormdb.query.plan import FilterPlan, RelatedHop
from ormdb.storage.layout import RelationLayout
from ormdb.storage.records import RowDecoder
from ormdb.storage.views import View

# Tells which rows of a level a filter keeps.
AskFilter: TypeAlias = Callable[[FilterPlan, Level], list[bool]]


def related_truths(view: View, hop: RelatedHop, origin: Level, ask: AskFilter) -> list[bool]:
    """The answer for each row of `origin`, of which some may be None: these lead nowhere."""
    if hop.expand.kind == "to_one":
        return _of_one(view, hop, origin, ask)
    distinct = {
        key: row for key, row in zip(origin.keys, origin.rows, strict=True) if row is not None
    }
    parents = Level(list(distinct.values()), list(distinct))
    truths: list[bool] = []
    for edges, counts in _rounds(view, hop, parents):
        kept = _kept(view, hop, edges, ask)
        truths.extend(_folded(hop, kept, counts))
    nowhere = hop.quantifier != "any"
    if parents.keys == origin.keys:
        return truths
    by_key = dict(zip(parents.keys, truths, strict=True))
    return [by_key.get(key, nowhere) for key in origin.keys]


def _of_one(view: View, hop: RelatedHop, origin: Level, ask: AskFilter) -> list[bool]:
    level, targets = follow_to_one(view, hop.expand.relation, origin.rows, hop.decoder)
    kept = [*_asked(hop, level, ask), hop.quantifier == "all"]  # position -1 is "no row"
    if hop.quantifier == "none":
        return [not kept[target] for target in targets]
    return [kept[target] for target in targets]


def _rounds(view: View, hop: RelatedHop, parents: Level) -> Iterator[tuple[Level, Sequence[int]]]:
    """Children, or edges, of some parents after the others: as many as memory should hold."""
    relation, decoder = hop.expand.relation, hop.expand.edge_decoder or hop.decoder
    one_is_enough = hop.filter is None and hop.expand.kind == "to_many"
    if one_is_enough:
        yield follow_to_many(view, relation, parents, decoder, limit_each=1)
        return
    while parents.rows:
        level, counts = _one_round(view, relation, parents, decoder)
        yield level, counts
        parents = sliced(parents, len(counts), None)


def _one_round(
    view: View, relation: RelationLayout, parents: Level, decoder: RowDecoder
) -> tuple[Level, Sequence[int]]:
    """All children of the first parents: of as many as a round holds, and of one at least."""
    most = limits.RELATED_ROUND_ROWS_MAX
    level, counts = follow_to_many(view, relation, parents, decoder, limit_all=most)
    if len(level.rows) < most:
        return level, counts
    # Of the last parent that has any, there may be more.
    whole = max(at for at, count in enumerate(counts) if count)
    if whole == 0:
        return follow_to_many(view, relation, sliced(parents, 0, 1), decoder)
    return sliced(level, 0, sum(counts[:whole])), counts[:whole]


def _kept(view: View, hop: RelatedHop, edges: Level, ask: AskFilter) -> Sequence[Any]:
    """Which children count; of edges, those whose far row does."""
    if hop.expand.far is None:
        return _asked(hop, edges, ask)
    level, targets = follow_to_one(view, hop.expand.far, edges.rows, hop.decoder)
    kept = [*_asked(hop, level, ask), hop.quantifier == "all"]
    return [kept[target] for target in targets]


def _asked(hop: RelatedHop, level: Level, ask: AskFilter) -> Sequence[bool]:
    if hop.filter is None or not level.rows:
        return [True] * len(level.rows)
    return ask(hop.filter, level)


def _folded(hop: RelatedHop, kept: Sequence[bool], counts: Sequence[int]) -> list[bool]:
    """One answer per parent."""
    stretches = pairwise(accumulate(counts, initial=0))
    if hop.quantifier == "all":
        return [False not in kept[start:stop] for start, stop in stretches]
    wanted = hop.quantifier == "any"
    return [(True in kept[start:stop]) is wanted for start, stop in stretches]
