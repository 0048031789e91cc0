"""Pages by cursor while commits are made between them.

    state 1   a b c d e f     page 1: a b
    commit    b goes, x comes before a, e moves to the front
    state 2   e x a c d f     page 2: c d     (after b, which is gone)
    commit    ...
    state 3   e x a c d f     page 3: f

What was there throughout, at one and the same place of the order, comes exactly once: a c d f.
What stayed in its place whenever it was there comes once at most.  What moves may come twice or
never, which no cursor can help.  The naive interpreter says which rows are which.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from ormdb.ir.graph import GraphQuery, Page
from ormdb.session import Answer
from tests.oracle.compare import DifferenceError
from tests.oracle.naive import Naive
from tests.oracle.stage import Identity, Stage, identities

PAGES_MAX: Final = 60
Place: TypeAlias = tuple[object, ...]  # the values of the order's keys, and the number of the row


@dataclass(slots=True)
class Walk:
    """The rows that pages gave, and where each of them lay whenever a page was read."""

    query: GraphQuery
    found: list[Identity]
    states: list[dict[Identity, Place]]


@dataclass(frozen=True, slots=True)
class Cursor:
    """The cursor behind a row, and where the row was then."""

    text: str
    identity: Identity
    place: Place


def check_pages_under_writes(stage: Stage, query: GraphQuery) -> int:
    """Walk a query's pages to the end, then from somewhere back to the beginning; how many pages.

    Raises:
      DifferenceError: a row that was there throughout came twice or never, or the includes of a
        page changed its roots.
    """
    limit = stage.rng.choice([1, 2, 3, 5])
    rows = stage.database.run_count(query)
    query = replace(query, page=Page(limit=max(limit, rows // (PAGES_MAX // 4))), select=None)
    onwards = Walk(query, [], [])
    pages, cursors = _walk(stage, onwards, cursor=None, backward=False)
    _see(stage, onwards, list(onwards.states[0]))
    now = _places(stage, query)
    there = [each for each in cursors if repr(now.get(each.identity)) == repr(each.place)]
    if there:
        # Back from a cursor of an earlier state, whose row is where it was.
        chosen = stage.rng.choice(there)
        back = Walk(query, [], [])
        more, _ = _walk(stage, back, cursor=chosen.text, backward=True)
        before = list(back.states[0])
        _see(stage, back, before[: before.index(chosen.identity)])
        pages += more
    return pages


def _walk(
    stage: Stage, walk: Walk, *, cursor: str | None, backward: bool
) -> tuple[int, list[Cursor]]:
    """Read pages, a commit between each two; how many, and the cursors on the way."""
    cursors: list[Cursor] = []
    for number in range(PAGES_MAX):
        limit = walk.query.page.limit
        page = Page(limit=limit, before=cursor) if backward else Page(limit=limit, after=cursor)
        asked = replace(walk.query, page=page)
        ids, answer = _page(stage, asked)
        walk.states.append(_places(stage, walk.query))
        walk.found = [*ids, *walk.found] if backward else [*walk.found, *ids]
        if strangers := [each for each in ids if each not in walk.states[-1]]:
            raise DifferenceError(f"{stage.label}: {strangers} is not kept by {asked!r}")
        cursor = answer.previous_cursor if backward else answer.next_cursor
        if cursor is None:
            return number + 1, cursors
        if len(ids) != limit:
            raise DifferenceError(f"{stage.label}: a page ends early: {asked!r}")
        cursors.append(Cursor(cursor, ids[-1], walk.states[-1][ids[-1]]))
        stage.commit()
    raise DifferenceError(f"{stage.label}: pages do not end: {walk.query!r}")


def _page(stage: Stage, asked: GraphQuery) -> tuple[list[Identity], Answer]:
    """One page; its includes change neither its roots nor its cursors."""
    answer = stage.database.run_fetch(asked)
    ids = identities(stage.names, asked.entity, answer.dicts())
    bare = stage.database.run_fetch(replace(asked, includes=()))
    cursors = (answer.next_cursor, answer.previous_cursor)
    if (ids, *cursors) != (
        identities(stage.names, asked.entity, bare.dicts()),
        bare.next_cursor,
        bare.previous_cursor,
    ):
        raise DifferenceError(f"{stage.label}: without its includes a page differs: {asked!r}")
    return ids, answer


def _places(stage: Stage, query: GraphQuery) -> dict[Identity, Place]:
    """The rows a query keeps now, in order, and the place of each."""
    naive = Naive(stage.names, stage.tables.rows)
    keys = stage.names.entities[query.entity].identity
    return {tuple(row.values[key] for key in keys): place for row, place in naive.places(query)}


def _see(stage: Stage, walk: Walk, expected: Sequence[Identity]) -> None:
    """See that what stayed came once, in order, and what was there now and then once at most.

    Args:
      stage: where it was asked.
      walk: what the pages gave.
      expected: what a walk without commits would have given.
    """
    where = f"{stage.label}: {walk.query!r}"
    stayed = [each for each in expected if _is_constant(walk, each, throughout=True)]
    came = Counter(walk.found)
    if wrong := {each: came[each] for each in stayed if came[each] != 1}:
        raise DifferenceError(f"there throughout, but came so often: {wrong}: {where}")
    if [each for each in walk.found if each in set(stayed)] != stayed:
        raise DifferenceError(f"rows that stayed came in another order: {where}")
    for each, times in came.items():
        if times > 1 and _is_constant(walk, each, throughout=False):
            raise DifferenceError(f"{each} never moved, and came {times} times: {where}")


def _is_constant(walk: Walk, identity: Identity, *, throughout: bool) -> bool:
    places = [state.get(identity) for state in walk.states]
    if throughout and None in places:
        return False
    return len({repr(place) for place in places if place is not None}) == 1
