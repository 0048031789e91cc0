"""Ways made of other ways: unions, intersections, and ways through related rows.

    tail == p0 or origin == p1            union of relation plane, relation origin
    origin == p0 and time > p1            intersection of relation origin, index by_time
    has(tags, p0) or state == p1          union of by_tags, index by_state
    any(origin, name == p0)               via Airport by index by_name: their departures

Each gives a set of row keys, in row order; the rows are read once, and the filter asked of them.
A way that only some values allow may be a part: the whole has its guards, and stands beside one
that more values allow, so that others do not end in a scan.

Invariants (held by tests/unit/query/test_combine.py and tests/property/test_fetch_differential.py):
  1. A combined way leads to every row that its conjuncts keep.
  2. It is made of ways that restrict; only rows that it goes over may be scanned.
  3. What the values of a run have to allow is what all of its parts have to be allowed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Final, TypeAlias

from ormdb import limits
from ormdb.ir.expr import Or, Related
from ormdb.ir.schema import IndexDef
from ormdb.query.access import Asked, Way, row_order, single_ways
from ormdb.query.conditional import conditional_ways
from ormdb.query.logical import conjuncts_of
from ormdb.query.plan import Access, Guard
from ormdb.query.resolve import Step, find_step
from ormdb.storage.layout import Layout

# Tells which of some ways to rows costs least, as if all of them were wanted.
Cheapest: TypeAlias = Callable[[Asked, Sequence[Way]], Way]
_RANKED: Final = ("identity", "index", "relation", "tokens")
_PAIRED: Final = ("index", "relation", "tokens")


@dataclass(frozen=True, slots=True)
class Through:
    """What a way through related rows needs: the step to them, and how to find them."""

    step: Step
    asked: Asked
    way: AnyWay


@dataclass(frozen=True, slots=True)
class CombinedWay(Way):
    """A way whose access is finished once it is chosen, with plans for related rows."""

    parts: tuple[AnyWay, ...] = ()
    through: Through | None = None


AnyWay: TypeAlias = Way | CombinedWay


def simple_ways(layout: Layout, asked: Asked) -> list[Way]:
    """Every way that reads one thing.  Of those that cost the same, the first is taken: one that
    holds fewer rows is better."""
    return [*conditional_ways(layout, asked), *single_ways(asked)]


def combined_ways(
    layout: Layout, asked: Asked, simple: Sequence[Way], cheapest: Cheapest
) -> list[Way]:
    """The ways that several conjuncts, or one about related rows, open."""
    ways: list[CombinedWay] = [*_intersections(asked, simple)]
    for conjunct in asked.conjuncts:
        match conjunct:
            case Or():
                ways.extend(_unions(layout, asked, conjunct, cheapest))
            case Related(kind="any", path=(_,)) if conjunct.filter is not None:
                ways.extend(_through(layout, asked, conjunct, cheapest))
            case _:
                pass
    reverse = row_order(asked.entity, asked.order, tie_descending=asked.tie_descending)
    return [
        replace(
            way,
            access=replace(
                way.access,
                ordered=reverse is not None,
                reverse=bool(reverse),
                guards=_guards(way),
            ),
        )
        for way in ways
    ]


def _guards(way: CombinedWay) -> tuple[Guard, ...]:
    parts = way.parts if way.through is None else (way.through.way,)
    return tuple(dict.fromkeys(guard for part in parts for guard in part.access.guards))


def _intersections(asked: Asked, simple: Sequence[Way]) -> Iterable[CombinedWay]:
    """Pairs of ways about different conjuncts; more than two rarely pay for their reading."""
    restricting = [way for way in simple if way.restricts and way.access.kind in _PAIRED]
    guarded = [way for way in restricting if way.access.guards][: limits.INTERSECTED_WAYS_MAX]
    others = [way for way in restricting if not way.access.guards][: limits.INTERSECTED_WAYS_MAX]
    for pair in combinations([*guarded, *others], 2):
        first, second = (set(map(id, way.covered)) for way in pair)
        if first <= second or second <= first:
            continue
        covered = tuple(one for one in asked.conjuncts if id(one) in first | second)
        yield CombinedWay(Access("intersection"), covered, parts=tuple(pair))


def _unions(
    layout: Layout, asked: Asked, conjunct: Or, cheapest: Cheapest
) -> Iterable[CombinedWay]:
    """One way for every alternative, if all have one; and one that more values allow."""
    items = conjunct.items
    if not 0 < len(items) <= limits.UNITED_WAYS_MAX:
        return
    best, surer = list[AnyWay](), list[AnyWay]()
    for item in items:
        alone = replace(
            asked,
            conjuncts=tuple(conjuncts_of(item)),
            order=(),
            all_keys=(),
            tie_descending=False,
            limited=False,
        )
        simple = simple_ways(layout, alone)
        ways = [way for way in simple if way.restricts and way.access.kind in _RANKED]
        ways += combined_ways(layout, alone, simple, cheapest)
        if not ways:
            return
        best.append(cheapest(alone, ways))
        if sure := _surer(ways):
            surer.append(cheapest(alone, sure))
    yield CombinedWay(Access("union"), (conjunct,), parts=tuple(best))
    if len(surer) == len(items) and any(
        one is not other for one, other in zip(best, surer, strict=True)
    ):
        yield CombinedWay(Access("union"), (conjunct,), parts=tuple(surer))


def _surer(ways: Sequence[AnyWay]) -> list[AnyWay]:
    """Those that all values allow; where there is none, those that do not go by a partial index,
    as most values have tokens."""
    return [way for way in ways if not way.access.guards] or [
        way for way in ways if not _is_partial(way)
    ]


def _is_partial(way: AnyWay) -> bool:
    if isinstance(way, CombinedWay):
        parts = way.parts if way.through is None else (way.through.way,)
        return any(map(_is_partial, parts))
    index = way.access.index or way.access.tokens
    definition = None if index is None else index.definition
    return isinstance(definition, IndexDef) and definition.condition is not None


def _through(
    layout: Layout, asked: Asked, conjunct: Related, cheapest: Cheapest
) -> Iterable[CombinedWay]:
    """Over the rows that the question is about, where there is a way to them."""
    step = find_step(layout, asked.entity, conjunct.path[0])
    # From the rows asked about back to those that refer to them; to many, they say it themselves.
    referring = step.relation if step.kind == "to_one" else step.far
    if referring is not None and referring.index is None:
        return
    there = Asked(
        step.target, tuple(conjuncts_of(conjunct.filter)), (), False, False, asked.classes
    )
    simple = simple_ways(layout, there)
    ways = [*simple, *combined_ways(layout, there, simple, cheapest)]
    # All of them may be few, which is the cheapest model's to know.
    best = cheapest(there, ways)
    yield CombinedWay(Access("via"), (conjunct,), through=Through(step, there, best))
    if best.access.guards:
        certain = cheapest(there, [way for way in ways if not way.access.guards])
        yield CombinedWay(Access("via"), (conjunct,), through=Through(step, there, certain))
