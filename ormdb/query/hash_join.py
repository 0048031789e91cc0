"""Children of many parents by one scan of all children, hashed by the parent they refer to.

    parents     2,000 of 2,100       their children     290,000 of 300,000

    by entries  2,000 + 290,000 entries + 290,000 rows             582,000 keys
    by a scan   300,000 rows, those of no asked parent let go      300,000 keys

Which is cheaper is told when the parents are known, by counting entries: of all parents, or of a
sample of them.  A scan is for the newest commit only: the past knows no number of rows, and in a
transaction it would make every other writer of the entity a conflict.

Invariants (held by tests/unit/query/test_hash_join.py and tests/property/test_oracles.py):
  1. The children are those that the relation's entries lead to, in the same order.
  2. A scan is chosen where the counted entries say that it reads fewer keys.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any, TypeAlias

from ormdb import limits
from ormdb.pulse import beat
from ormdb.storage.layout import RelationLayout
from ormdb.storage.records import RowDecoder, slot_values
from ormdb.storage.views import CurrentView, Span, View

# Decoded rows, their keys, and how many each parent has.
Children: TypeAlias = tuple[list[Any], list[bytes], list[int]]


def is_scan_cheaper(view: View, relation: RelationLayout, keys: Sequence[bytes]) -> bool:
    """Whether reading all children takes fewer keys than looking up those of these parents."""
    if len(keys) < limits.HASH_JOIN_PARENTS_MIN or not isinstance(view, CurrentView):
        return False
    assert relation.index is not None
    rows = view.row_count(relation.source)
    if rows > limits.HASH_JOIN_ROWS_MAX:
        return False
    # Among very many rows for each parent, their children are few: counting would tell nothing new.
    if rows >= len(keys) * limits.HASH_JOIN_ROWS_PER_PARENT_MAX:
        return False
    sample = keys[:: 1 + len(keys) // limits.HASH_JOIN_SAMPLE_PARENTS]
    counted = sum(view.count_related(relation.index, sample))
    children = counted * len(keys) / len(sample)
    return rows < len(keys) + 2 * children


def children_by_scan(
    view: View,
    relation: RelationLayout,
    parents: Sequence[Any],
    decoder: RowDecoder,
    *,
    limit_each: int,
    limit_all: int,
) -> Children:
    """The children of each parent, told by the values that a parent is referred to by; None is
    one that nothing refers to.  No more than the limits, those of the first parents."""
    groups: dict[Any, tuple[list[Any], list[bytes]]] = {
        parent: ([], []) for parent in parents if parent is not None
    }
    for keys, data in view.scan_rows(relation.source, Span()):
        beat()
        rows = decoder.decode_batch(keys, data)
        for row, key, parent in zip(rows, keys, references(relation, rows), strict=True):
            group = groups.get(parent)
            if group is not None and len(group[0]) < limit_each:
                group[0].append(row)
                group[1].append(key)
    found = [groups.get(parent, ([], [])) for parent in parents]
    counts: list[int] = []
    left = limit_all
    for children, _ in found:
        counts.append(min(len(children), left))
        left -= counts[-1]
    pairs = list(zip(found, counts, strict=True))
    return (
        list(chain.from_iterable(group[0][:count] for group, count in pairs)),
        list(chain.from_iterable(group[1][:count] for group, count in pairs)),
        counts,
    )


def references(relation: RelationLayout, rows: Sequence[Any]) -> Sequence[Any]:
    """What each child says of its parent: its row number, or the values of the foreign key."""
    if relation.mode == "value":
        return list(zip(*(slot_values(rows, slot) for slot in relation.slots), strict=True))
    slot = relation.relation.slot if relation.mode == "slot" else relation.slots[0]
    return slot_values(rows, slot)
