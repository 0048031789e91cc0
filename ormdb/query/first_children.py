"""The first few children of every parent, from an index that has them in the order asked for.

    Movie.reviews.order_by(score.desc()).limit(3)     index (movie_id, score), backwards

    movie 1   range of its prefix, 3 entries from the end  ->  reviews 9 4 7
    movie 2   ...

What an index gives of one parent is a group: the few rows it begins with, kept like any other.

Invariants (held by tests/property/test_fetch_differential.py and tests/property/test_row_cache.py):
  1. The children are those that sorting all of them would put first, in that order.
  2. An entry that leads to a row of other values raises CorruptionError.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from ormdb.query.decoded import Groups, decoded_groups
from ormdb.query.follow import Level, parent_keys, picked, recheck_children
from ormdb.query.plan import Expand, NodePlan
from ormdb.query.roots import recheck_entries
from ormdb.storage.key_ranges import range_for_prefix, sorts_exactly
from ormdb.storage.layout import IndexLayout
from ormdb.storage.records import slot_values
from ormdb.storage.views import View


class _NoOrderError(Exception):
    """The index cannot tell the order of over-long keys."""


def first_children(
    view: View, plan: NodePlan, expand: Expand, parents: Level, count: int
) -> tuple[Level, list[int]] | None:
    """The first `count` children of each parent, and how many each has; None if the index of the
    plan cannot tell, or there is none."""
    index = expand.ordered_index
    if index is None:
        return None
    if index is expand.relation.index:
        keys = parent_keys(expand.relation, parents)
    else:
        keys = _prefixes(index, expand, parents)

    def read(positions: Sequence[int]) -> Groups:
        asked = parents if len(positions) == len(keys) else picked(parents, positions)
        return _read(view, plan, expand, asked, [keys[at] for at in positions], count=count)

    try:
        (rows, row_keys, counts), groups = decoded_groups(
            view,
            expand.relation.source,
            ("first", index, plan.decoder, expand.ordered_reverse, count),
            keys,
            read,
            limit_each=sys.maxsize,
            limit_all=sys.maxsize,
        )
    except _NoOrderError:
        return None
    return Level(rows, row_keys, groups), counts


def _prefixes(index: IndexLayout, expand: Expand, parents: Level) -> list[bytes | None]:
    """How the entries of each parent's children begin; None where it can have none."""
    columns = [slot_values(parents.rows, slot) for slot in expand.relation.target_slots]
    given = list(zip(*columns, strict=True))
    # No child refers to a parent by NULL, though the index has entries for children with one.
    encoded = iter(index.encode_many([values for values in given if None not in values]))
    return [None if None in values else next(encoded) for values in given]


def _read(
    view: View,
    plan: NodePlan,
    expand: Expand,
    parents: Level,
    keys: Sequence[bytes | None],
    *,
    count: int,
) -> Groups:
    relation, index = expand.relation, expand.ordered_index
    assert index is not None
    is_relation = index is relation.index
    asked = [key for key in keys if key is not None]
    if is_relation:
        ranges: list[tuple[bytes, bytes | None]] = [(key, key + b"\0") for key in asked]
    elif all(map(sorts_exactly, asked)):
        ranges = list(map(range_for_prefix, asked))
    else:
        raise _NoOrderError
    found, values = view.scan_index_each(
        index,
        relation.source,
        ranges,
        reverse=is_relation or expand.ordered_reverse,
        limit_each=count,
    )
    entries = [item for items in found for item in items]
    row_keys = [row_key for _, row_key in entries]
    if not is_relation and not all(sorts_exactly(key) for key, _ in entries):
        raise _NoOrderError
    rows = plan.decoder.decode_batch(row_keys, values)
    each = map(len, found)
    counts = [0 if key is None else next(each) for key in keys]
    recheck_children(relation, parents, rows, counts)
    if not is_relation:
        recheck_entries(plan.entity, index, rows, [key for key, _ in entries])
    return rows, row_keys, counts
