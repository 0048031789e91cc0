"""What is asked of related rows, or folded from them, for a whole level at once.

    Airport where any(departures, dep_delay > 60), and avg(departures.dep_delay)

    airports   JFK LGA EWR          origin level
    children   f1 f2 | f3 |         read once for all parents, in rounds of bounded size
    filter      1  0 |  0 |
    any         1       0   0       none  0 1 1       all  0 0 1
    values     90 10 | 70 |
    avg        50.0    70.0 NULL

A fold of all children of a row, without a filter and of their own fields alone, is kept beside
decoded rows, and goes as they do when a child changes.  Several such folds of one relation, as
count, sum and mean, are read and kept together.

Invariants (held by tests/unit/query/test_related.py and tests/property/test_fetch_differential.py):
  1. The answer for a row depends on its related rows alone, never on the other rows of the level.
  2. No more than RELATED_ROUND_ROWS_MAX related rows are held at a time, but for those of one row.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate, pairwise
from typing import Any, Protocol

from ormdb import limits
from ormdb.ir.aggregates import fold
from ormdb.ir.expr import Quantifier
from ormdb.ir.value import IntType, Value
from ormdb.query.decoded import Groups, decoded_groups
from ormdb.query.follow import (
    Level,
    follow_to_many,
    follow_to_one,
    parent_keys,
    picked,
    sliced,
)
from ormdb.query.plan import Decoded, FilterPlan, FoldPlan, Hop, RelatedHop
from ormdb.storage.layout import RelationLayout
from ormdb.storage.records import RowDecoder
from ormdb.storage.views import View


class Ask(Protocol):
    """Asks rows of a level: which of them a filter keeps, and what values they have."""

    def mask(self, plan: FilterPlan, level: Level) -> list[bool]: ...

    def column(
        self,
        column: Callable[..., list[Any]],
        hops: tuple[Hop | RelatedHop, ...],
        level: Level,
        parameters: Sequence[int] = (),
    ) -> list[Any]: ...

    def given(self, parameters: Sequence[int]) -> list[Value]: ...

    def expecting(self, view: View, plan: FilterPlan | None, read: Decoded) -> View: ...

    def gathered(self, hop: RelatedHop, parents: Level) -> tuple[Level, list[int]] | None: ...


def related_values(
    view: View, hops: Sequence[RelatedHop], origin: Level, ask: Ask
) -> list[list[Value]]:
    """The answers to one hop, or to several that are read together, for each row of `origin`; of
    its rows some may be None: these lead nowhere."""
    if hops[0].expand.kind == "to_one":
        return [_of_one(view, hop, origin, ask) for hop in hops]
    distinct = {
        key: row for key, row in zip(origin.keys, origin.rows, strict=True) if row is not None
    }
    parents = Level(list(distinct.values()), list(distinct))
    if hops[0].is_kept:
        columns = _kept_folds(view, hops, parents, ask)
    else:
        columns = _read_answers(view, hops, parents, ask)
    if parents.keys == origin.keys:
        return columns
    placed: list[list[Value]] = []
    for hop, values in zip(hops, columns, strict=True):
        nowhere, by_key = _empty(hop.asked), dict(zip(parents.keys, values, strict=True))
        placed.append([by_key.get(key, nowhere) for key in origin.keys])
    return placed


def _empty(asked: Quantifier | FoldPlan) -> Value:
    """The answer where there are no related rows."""
    if isinstance(asked, FoldPlan):
        return 0 if asked.function == "count" else None
    return asked != "any"


def _of_one(view: View, hop: RelatedHop, origin: Level, ask: Ask) -> list[Value]:
    """A relation to one row: each target is asked once, whatever leads to it."""
    level, targets = follow_to_one(view, hop.expand.relation, origin, hop.decoder)
    answers = _answers(view, hop, level, [1] * len(level.rows), ask)
    answers.append(_empty(hop.asked))  # position -1 is "no row"
    return [answers[target] for target in targets]


def _kept_folds(
    view: View, hops: Sequence[RelatedHop], parents: Level, ask: Ask
) -> list[list[Value]]:
    """Folds of all children; those of one parent are kept together, as a group of one."""
    relation = hops[0].expand.relation
    keys = parent_keys(relation, parents)

    def read(positions: Sequence[int]) -> Groups:
        asked = parents if len(positions) == len(keys) else picked(parents, positions)
        rows = list(zip(*_read_answers(view, hops, asked, ask), strict=True))
        return rows, [b""] * len(rows), [1] * len(rows)

    (rows, _, _), _ = decoded_groups(
        view,
        relation.source,
        ("folds", relation, *(hop.asked for hop in hops), *_words(hops, ask)),
        keys,
        read,
        limit_each=sys.maxsize,
        limit_all=sys.maxsize,
    )
    return [list(values) for values in zip(*rows, strict=True)] if rows else [[] for _ in hops]


def _words(hops: Sequence[RelatedHop], ask: Ask) -> Iterator[str]:
    """The values that folds are calculated with: written out, as 1 is no 1.0."""
    for hop in hops:
        if isinstance(hop.asked, FoldPlan):
            yield from map(repr, ask.given(hop.asked.parameters))


def _read_answers(
    view: View, hops: Sequence[RelatedHop], parents: Level, ask: Ask
) -> list[list[Value]]:
    """What each hop says, of children that are read once for all of them."""
    columns: list[list[Value]] = [[] for _ in hops]
    for edges, counts in _rounds(view, hops, parents, ask):
        for hop, values in zip(hops, columns, strict=True):
            values.extend(_answers(view, hop, edges, counts, ask))
    return columns


def _rounds(
    view: View, hops: Sequence[RelatedHop], parents: Level, ask: Ask
) -> Iterator[tuple[Level, Sequence[int]]]:
    """Children, or edges, of some parents after the others: as many as memory should hold."""
    hop = hops[0]
    gathered = ask.gathered(hop, parents) if len(hops) == 1 else None
    if gathered is not None:
        yield gathered
        return
    relation, decoder = hop.expand.relation, hop.expand.edge_decoder or hop.decoder
    if len(hops) > 1:  # only children are read together, never edges
        slots = frozenset[int]().union(*(each.decoder.slots for each in hops))
        decoder = hop.entity.codec.decoder(slots)
    is_fold = isinstance(hop.asked, FoldPlan)
    if hop.filter is None and hop.expand.kind == "to_many" and not is_fold:  # one is enough
        yield follow_to_many(view, relation, parents, decoder, limit_each=1)
        return
    if len(hops) == 1 and hop.expand.kind == "to_many":
        view = ask.expecting(view, hop.filter, hop)
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


def _answers(
    view: View, hop: RelatedHop, edges: Level, counts: Sequence[int], ask: Ask
) -> list[Value]:
    """One answer for each parent of these children or edges."""
    level, targets = edges, None
    if hop.expand.far is not None:
        level, targets = follow_to_one(view, hop.expand.far, edges, hop.decoder)
    kept = ask.mask(hop.filter, level) if hop.filter is not None and level.rows else None
    if isinstance(hop.asked, FoldPlan):
        plan, values = hop.asked, None
        if plan.column is not None and level.rows:
            values = ask.column(plan.column, plan.hops, level, plan.parameters)
        return _folds(plan, values, targets, kept, counts)
    truths: Sequence[bool] = kept if kept is not None else [True] * len(level.rows)
    if targets is not None:
        beyond = [*truths, hop.asked == "all"]  # an edge that leads nowhere is no related row
        truths = [beyond[target] for target in targets]
    stretches = pairwise(accumulate(counts, initial=0))
    if hop.asked == "all":
        return [False not in truths[start:stop] for start, stop in stretches]
    wanted = hop.asked == "any"
    return [(True in truths[start:stop]) is wanted for start, stop in stretches]


def _folds(
    plan: FoldPlan,
    values: list[Value] | None,
    targets: list[int] | None,
    kept: list[bool] | None,
    counts: Sequence[int],
) -> list[Value]:
    """One fold for each parent; a row that several edges of one parent lead to counts once."""
    stretches = pairwise(accumulate(counts, initial=0))
    if targets is None and kept is None:
        if values is None:
            return list(counts) if plan.kind is None else [_empty(plan)] * len(counts)
        return [_fold(plan, values[start:stop]) for start, stop in stretches]
    folded: list[Value] = []
    for start, stop in stretches:
        places: Iterable[int] = range(start, stop)
        if targets is not None:
            places = dict.fromkeys(at for at in targets[start:stop] if at >= 0)
        if kept is not None:
            places = [at for at in places if kept[at]]
        folded.append(_fold(plan, [at if values is None else values[at] for at in places]))
    return folded


def _fold(plan: FoldPlan, values: list[Value]) -> Value:
    """`ir.aggregates.fold`, without its generality where most values are."""
    if plan.kind is None:
        return len(values)
    if plan.distinct or None in values or not isinstance(plan.kind, IntType) or not values:
        return fold(plan.function, values, plan.kind, distinct=plan.distinct)
    match plan.function:
        case "count":
            return len(values)
        case "min":
            return min(values)
        case "max":
            return max(values)
        case "avg":
            return sum(values) / len(values)
        case "sum":
            return fold("sum", values, plan.kind)
