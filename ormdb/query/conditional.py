"""Ways that only some values allow: over indexes that hold some rows, or the tokens of rows.

    index    late (origin) where delay > 9     origin == p0 and delay > p1: if p1 is 9 or more
    tokens   words (notes)                     matches(notes, p0): rows under each of its tokens
    tokens   by_data (data)                    contains_json(data, p0): if p0 has a token

Each carries what has to hold of the values of a run, its guards; and a plan that goes by such a way
carries the ways to take where they do not.

Invariants (held by tests/property/test_index_kinds.py and tests/property/test_oracles.py):
  1. Where its guards hold, every row that the filter keeps is among the rows of a way.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from ormdb.ir.expr import And, Call, Expr, FieldRef, Literal, Param
from ormdb.ir.expression_type import paths_in
from ormdb.ir.schema import IndexDef
from ormdb.ir.value import Value
from ormdb.query.access import Asked, Known, Way, index_way, known_fields, marked, row_order
from ormdb.query.implication import guard_of
from ormdb.query.logical import plain_logical
from ormdb.query.plan import Access, Guard, Sought
from ormdb.query.rules import rewrite
from ormdb.storage.layout import Layout
from ormdb.storage.multimap import Multimap, TokenIndex


def conditional_ways(layout: Layout, asked: Asked) -> list[Way]:
    """Every way by an index that does not lead to all rows by itself."""
    if any(isinstance(one, Literal) for one in asked.conjuncts):
        return []  # no row is kept, or the rules have left nothing to go by
    known = known_fields(asked)
    ways = [*_partial_ways(layout, asked, known), *_token_ways(layout, asked, known)]
    return [replace(way, access=marked(asked, way)) for way in ways]


def fallbacks(ranked: Sequence[Way], chosen: Way) -> list[Way]:
    """The ways to try in turn where the values of a run do not allow the chosen one; the last
    of them allows all values that have a key."""
    found: list[Way] = []
    if chosen.access.guards:
        for way in ranked:
            if way is not chosen:
                found.append(way)
                if not way.access.guards:
                    break
    return found


def _partial_ways(layout: Layout, asked: Asked, known: Mapping[str, Known]) -> Iterable[Way]:
    for index in asked.entity.partial_indexes:
        guards = _guards(layout, asked, index, known)
        if guards is None:
            continue
        way = index_way(asked, index, known)
        yield Way(replace(way.access, guards=guards), _covered(asked, index, way.covered))


def _token_ways(layout: Layout, asked: Asked, known: Mapping[str, Known]) -> Iterable[Way]:
    reverse = row_order(asked.entity, asked.order, tie_descending=asked.tie_descending)
    for index in asked.entity.token_indexes:
        pairs = [(one, found) for one in asked.conjuncts if (found := _sought(index, one))]
        guards = _guards(layout, asked, index, known)
        if not pairs or guards is None:
            continue
        sought = tuple(each for _, each in pairs)
        access = Access(
            "tokens",
            tokens=index,
            sought=sought,
            guards=(*guards, _tells_something(index, sought)),
            ordered=reverse is not None,
            reverse=bool(reverse),
        )
        yield Way(access, _covered(asked, index, [one for one, _ in pairs]))


def _sought(index: TokenIndex, expr: Expr) -> Sought | None:
    """What a conjunct looks for in what an index is over."""
    match expr:
        case Call(
            name="has" | "has_key" | "contains_json" | "matches",
            arguments=(*subjects, Param(index=place)),
        ):
            asked = [each.path for each in subjects if isinstance(each, FieldRef)]
            wanted = [(part.field,) for part in _definition(index).fields]
            if len(asked) == len(subjects) and sorted(asked) == sorted(wanted):
                return Sought(expr.name, place)
        case _:
            pass
    return None


def _tells_something(index: TokenIndex, sought: Sequence[Sought]) -> Guard:
    """Whether there is a token at all that the rows of a filter must have."""

    def tells(values: Sequence[Value]) -> bool:
        found = (index.sought(each.function, values[each.parameter]) for each in sought)
        return any(tokens is not None for tokens in found)

    return tells


def _guards(
    layout: Layout, asked: Asked, index: Multimap, known: Mapping[str, Known]
) -> tuple[Guard, ...] | None:
    """What has to hold of the values so that an index has all rows of the filter; None if it
    never has."""
    condition = _definition(index).condition
    if condition is None:
        return ()
    # In the form that the rules gave to what the filter says.
    rewritten = rewrite(layout, plain_logical(asked.entity, (condition,))).conjuncts
    guard = guard_of(And(items=rewritten), asked.entity, asked.conjuncts, known)
    return None if guard is None else (guard,)


def _covered(asked: Asked, index: Multimap, covered: Sequence[Expr]) -> tuple[Expr, ...]:
    """The conjuncts that an index takes care of: these, and those about what its condition is
    about."""
    condition = _definition(index).condition
    paths = frozenset[tuple[str, ...]]() if condition is None else paths_in(condition)
    taken = set(map(id, covered))
    return tuple(
        one
        for one in asked.conjuncts
        if id(one) in taken or (paths_in(one) and paths_in(one) <= paths)
    )


def _definition(index: Multimap) -> IndexDef:
    assert isinstance(index.definition, IndexDef)
    return index.definition
