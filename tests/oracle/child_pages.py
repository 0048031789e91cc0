"""Pages of each parent's children by cursor, against all of them at once.

    all of two parents          1: a b c d e       2: c x
    1 paged by two              a b | c d | e      and back again
    beyond the cursor at b      1: c d e           2: c x      one place, for every parent
    up to it                    1: a               2:          what lies at it is in neither

The law needs no other answer than the engine's own: of every parent, what lies before a cursor, the
row at the cursor if it is the parent's, and what lies behind it are the parent's children.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final, TypeAlias

from ormdb.ir.graph import GraphQuery, Include
from ormdb.ir.value import RowDict
from ormdb.session import Answer
from tests.oracle.compare import check_same
from tests.oracle.stage import Stage, whole

PAGES_MAX: Final = 40
PARTED: Final = 0.3  # of the cursors
Lists: TypeAlias = list[list[RowDict]]  # the children of each parent


def law_of_child_pages(stage: Stage, query: GraphQuery) -> bool:
    """Pages by cursor of one parent are its children, and a cursor parts those of every parent."""
    held = False
    for include in query.includes:
        kind = stage.names.way(query.entity, include.relation)[0]
        if kind == "many" or (kind == "through" and include.order):
            paging = _Paging(stage, query, replace(include, limit=None, offset=0, select=None))
            held |= paging.check()
    return held


class _Paging:
    """One include, and its pages."""

    def __init__(self, stage: Stage, query: GraphQuery, include: Include) -> None:
        self._stage = stage
        self._query = replace(whole(query), includes=())
        self._include = include
        self._where = f"{stage.label}: pages of {include!r} of {query.entity}"

    def check(self) -> bool:
        """Walk the pages of the parent with the most children, both ways."""
        _, every = self._asked()
        parent = max(range(len(every)), key=lambda at: len(every[at]), default=None)
        if parent is None or not every[parent]:
            return False
        wanted = every[parent]
        limit = self._stage.rng.choice([1, 2, 3, len(wanted)])
        limit = max(limit, len(wanted) // (PAGES_MAX // 2))
        answer, pages = self._asked(limit=limit)
        check_same([each[:limit] for each in every], pages, f"{self._where}, the first")
        start = 0
        while True:
            cursor = answer.cursors_of((self._include.name,), parent)[1]
            if cursor is None:
                break
            start += limit
            at = wanted[start - 1]
            answer, pages = self._asked(limit=limit, after=cursor)
            check_same(wanted[start : start + limit], pages[parent], f"{self._where}, page on")
            if self._stage.rng.random() < PARTED:
                self._check_parts(every, cursor, at)
        assert start + limit > len(wanted), "the last page is not full, or empty"
        if not pages[parent]:
            return True
        self._check_back(answer, parent, wanted, (start, limit))
        return True

    def _check_back(
        self, answer: Answer, parent: int, wanted: Sequence[RowDict], place: tuple[int, int]
    ) -> None:
        start, limit = place
        while start > 0:
            cursor = answer.cursors_of((self._include.name,), parent)[0]
            assert cursor is not None, "something lies before a page that does not begin at 0"
            answer, pages = self._asked(limit=limit, before=cursor)
            stop, start = start, max(0, start - limit)
            check_same(wanted[start:stop], pages[parent], f"{self._where}, page back")

    def _check_parts(self, every: Lists, cursor: str, at: RowDict) -> None:
        _, behind = self._asked(after=cursor)
        _, before = self._asked(before=cursor)
        for whole_, first, last in zip(every, before, behind, strict=True):
            middle = whole_[len(first) : len(whole_) - len(last)]
            check_same(whole_, [*first, *middle, *last], f"{self._where}, parted")
            assert middle in ([], [at]), f"{self._where}: {middle!r} lies at the cursor of {at!r}"

    def _asked(
        self, *, limit: int | None = None, after: str | None = None, before: str | None = None
    ) -> tuple[Answer, Lists]:
        include = replace(self._include, limit=limit, after=after, before=before)
        answer = self._stage.database.run_fetch(replace(self._query, includes=(include,)))
        return answer, [row[include.name] for row in answer.dicts()]
