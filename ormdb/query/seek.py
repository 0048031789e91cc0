"""Roots that are one row at most, found by one key: no walk, no batches, no sort.

    Airport.faa == :faa          identity index -> row key -> row
    Flight.id == :id             row key -> row
    Airport.iata == :iata        unique index -> row key -> row

What a plan needs for that is gathered once, by whoever keeps it; a page from a cursor, with an
offset or of no rows takes the long way.

Invariants (held by tests/unit/database/test_prepared.py and
tests/property/test_prepared.py):
  1. A seek finds what the long way finds, and makes the same engine calls.
"""

from __future__ import annotations

from collections.abc import Sequence

from ormdb.ir.value import Value
from ormdb.query.decoded import decoded_row
from ormdb.query.follow import Level
from ormdb.query.plan import QueryPlan
from ormdb.query.roots import dangling, only_row, recheck_entries
from ormdb.storage.keys import row_key
from ormdb.storage.layout import ROW_KEY_BYTES, IndexLayout
from ormdb.storage.views import View


class Seek:
    """How to find the one root of a plan."""

    def __init__(self, plan: QueryPlan, operands: Sequence[int]) -> None:
        root, access = plan.root, plan.access
        self._root = root
        self._entity = root.entity
        self._decoder = root.decoder
        self._operands = operands
        self._first = operands[0]
        self._identity: IndexLayout | None = root.entity.identity
        self._unique = access.index if access.kind == "index" else None
        # A row is found under its own number: that it has this identity need not be asked again.
        self.is_by_number = self._identity is None and self._unique is None
        self._is_certain = self._identity is None and self._unique is None and access.is_whole
        self._filter = None if self._is_certain else root.filter

    def find(self, view: View, values: Sequence[Value]) -> Level:
        """The root, if there is one that the filter keeps."""
        if self._unique is not None:
            key = self._unique.encode_values([values[index] for index in self._operands])
            level = only_row(self._root, self._unique, view, key)
        elif self._identity is not None:
            level = self._by_identity(view, self._identity, values)
        else:
            number = row_key(values[self._first])
            row = decoded_row(view, self._entity, number, self._decoder)
            level = Level([], []) if row is None else Level([row], [number])
        condition = self._filter
        if condition is None or not level.rows:
            return level
        mask = condition.mask(level.rows, *[values[index] for index in condition.parameters])
        return level if all(mask) else Level([], [])

    def _by_identity(self, view: View, index: IndexLayout, values: Sequence[Value]) -> Level:
        encoded = index.encode_values([values[operand] for operand in self._operands])
        number = view.lookup(index, self._entity, (encoded,))[0][:ROW_KEY_BYTES]
        if not number:
            return Level([], [])
        row = decoded_row(view, self._entity, number, self._decoder)
        if row is None:
            raise dangling(self._entity, index)
        recheck_entries(self._entity, index, [row], (encoded,))
        return Level([row], [number])


def seek_of(plan: QueryPlan) -> Seek | None:
    """The seek of a plan that leads to one root at most by one key; None for any other."""
    access, root = plan.access, plan.root
    operands = [operand.index for operand in access.equal if operand.index is not None]
    if (
        access.guards
        or access.many is not None
        or not operands
        or len(operands) < len(access.equal)
    ):
        return None
    if root.derived is not None:
        return None
    if root.far_filter is not None or (root.filter is not None and root.filter.hops):
        return None
    if access.kind == "identity":
        return Seek(plan, operands)
    index = access.index if access.kind == "index" else None
    if index is None or not index.unique or len(operands) != len(index.columns):
        return None
    return Seek(plan, operands)
