"""How the roots are walked, whatever the way to them: Walk(place=after row 41, batch=50).

A way in the query's order begins at the place; any other gives all its rows, to be sorted.

Invariants (held by tests/unit/query/test_roots.py):
  1. A walk from a place on gives the rows beyond it, and none before it.
"""

from __future__ import annotations

from dataclasses import dataclass

from ormdb.query.order import Place


@dataclass(frozen=True, slots=True, kw_only=True)
class Walk:
    """How to walk: from a place on, backwards or not, with a first batch of some size; and whether
    no more than a batch may be held, whatever that costs in calls."""

    place: Place | None = None
    backward: bool = False
    batch: int | None = None
    is_stream: bool = False
