"""What is checked when the commit ends: references and unique values that may be wrong till then.

    delete Airport JFK       Flight.origin on delete no action      flights 1, 2 wait for JFK
    insert Airport JFK                                               and have it again
    update Seat 1 to 2A      unique deferred index over the number  2A is doubtful
    update Seat 2 to 1A
    the end                  every waiting reference is looked up, every doubtful value counted

A reference that waits leads nowhere: the hidden number of its target is NULL.  It leads somewhere
again as soon as a row arrives with the values it has.

What was noted is never taken back but by `reset`: in the end, what is there counts.

Invariants (held by tests/unit/txn/test_deferral.py and tests/property/test_writes_model.py):
  1. A commit that is published has no reference without a target and no unique value twice.
  2. What is raised at the end is what would have been raised at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from ormdb import limits
from ormdb.storage.layout import ROW_KEY_BYTES, EntityLayout, IndexLayout, RelationLayout
from ormdb.storage.versions import RowWriter
from ormdb.txn.constraints import Probes, unique_taken


class Deferred:
    """The late checks of one open commit."""

    def __init__(self, writer: RowWriter, probes: Probes) -> None:
        self._writer = writer
        self._probes = probes
        # By relation: encoded values of the target -> the rows that wait for them.
        self._waiting: dict[RelationLayout, dict[bytes, list[bytes]]] = {}
        self._order: list[tuple[RelationLayout, bytes]] = []  # in which they were noted
        self._doubtful: list[tuple[EntityLayout, IndexLayout, bytes]] = []

    def mark(self) -> tuple[int, int]:
        """A place to which `reset` goes back."""
        return len(self._order), len(self._doubtful)

    def reset(self, mark: tuple[int, int]) -> None:
        """Forget what was noted since: the writes that it was about are undone."""
        order, doubtful = mark
        while len(self._order) > order:
            relation, value = self._order.pop()
            self._waiting[relation][value].pop()
        del self._doubtful[doubtful:]

    def wait(
        self, relation: RelationLayout, keys: Iterable[bytes], values: Iterable[bytes]
    ) -> None:
        """Rows refer to values that no target has, or no longer."""
        waiting = self._waiting.setdefault(relation, {})
        for key, value in zip(keys, values, strict=True):
            waiting.setdefault(value, []).append(key)
            self._order.append((relation, value))

    def doubt(self, entity: EntityLayout, index: IndexLayout, keys: Iterable[bytes]) -> None:
        """Values of a deferred unique index are there already."""
        self._doubtful += [(entity, index, key) for key in keys]

    def doubt_all(
        self, entity: EntityLayout, found: Iterable[tuple[IndexLayout, Sequence[bytes]]]
    ) -> None:
        """`doubt` of several indexes."""
        for index, keys in found:
            self.doubt(entity, index, keys)

    def resolve(
        self,
        relation: RelationLayout,
        rows: Sequence[Any],
        keys: Sequence[bytes],
        *,
        together: Callable[[], dict[bytes, int | None]] | None = None,
        moved: Mapping[bytes, int | None] | None = None,
    ) -> None:
        """Find what rows refer to that are about to be written; if the relation is deferred, a row
        may wait for it.

        Raises:
          ForeignKeyError: it is not there, and may not be waited for.
        """
        gathered: list[int] | None = [] if relation.relation.deferred else None
        values = self._probes.resolve_targets(
            relation, rows, together=together, moved=moved, unresolved=gathered
        )
        if gathered:
            waited = [value for at in gathered if (value := values[at]) is not None]
            self.wait(relation, [keys[at] for at in gathered], waited)

    def arrived(self, entity: EntityLayout, rows: Sequence[Any]) -> None:
        """Rows were inserted, or have other values: some may be what references wait for."""
        if self._writer.holds_back:
            return  # a row whose entries are not put yet cannot be replaced; the end sees to it
        for relation in entity.incoming:
            waiting, lookup = self._waiting.get(relation), relation.target_lookup
            if not waiting or lookup is None:
                continue  # an int identity is the reference itself
            found = (waiting.get(key, ()) for key in lookup.encode_rows(rows) if key is not None)
            keys = list(dict.fromkeys(key for those in found for key in those))
            if keys:
                self._resolve(relation, keys, unresolved=[])

    def look_again(
        self, relation: RelationLayout, keys: Sequence[bytes], *, may_dangle: bool = False
    ) -> None:
        """Look up what rows refer to that were written without it; if the relation is deferred, a
        row may wait for it.

        Raises:
          ForeignKeyError: it is not there, and has to be.
        """
        for start in range(0, len(keys), limits.DELETE_CHUNK_ROWS):
            some = keys[start : start + limits.DELETE_CHUNK_ROWS]
            waits = relation.relation.deferred and not may_dangle
            unresolved: list[int] | None = [] if waits or may_dangle else None
            there, values = self._resolve(relation, some, unresolved=unresolved)
            if waits and unresolved:
                waited = [value for at in unresolved if (value := values[at]) is not None]
                self.wait(relation, [there[at] for at in unresolved], waited)

    def settle(self) -> None:
        """Check everything, as the commit is about to end.

        Raises:
          ForeignKeyError: a row still refers to a row that is not there.
          UniqueError: a value is still there twice.
        """
        for relation, waiting in self._waiting.items():
            keys = list(dict.fromkeys(key for those in waiting.values() for key in those))
            for start in range(0, len(keys), limits.DELETE_CHUNK_ROWS):
                self._resolve(relation, keys[start : start + limits.DELETE_CHUNK_ROWS])
        for entity, index, key in dict.fromkeys(self._doubtful):
            joined = self._writer.txn.many(index.space, [key])[0]
            if len(joined) > ROW_KEY_BYTES:
                last = joined[-ROW_KEY_BYTES:]
                found = self._writer.txn.get_many(entity.rows, [last])
                rows = entity.codec.whole.decode_batch([last], [row for row in found if row])
                raise unique_taken(entity, index, rows[0])

    def _resolve(
        self, relation: RelationLayout, keys: Sequence[bytes], unresolved: list[int] | None = None
    ) -> tuple[list[bytes], list[bytes | None]]:
        """Look up again what rows refer to, those of them that are still there; their keys, and
        the encoded values of the target of each."""
        entity, txn = relation.source, self._writer.txn
        found = txn.get_many(entity.rows, keys)
        there = [(key, row) for key, row in zip(keys, found, strict=True) if row is not None]
        kept, before = [key for key, _ in there], [row for _, row in there]
        rows = self._writer.begun(entity, entity.codec.whole.decode_batch(kept, before))
        hidden = f"s{relation.relation.slot}"
        led = [getattr(row, hidden) for row in rows] if relation.mode == "slot" else []
        self._probes.forget_target(relation)
        values = self._probes.resolve_targets(relation, rows, unresolved=unresolved)
        moved = [at for at, number in enumerate(led) if getattr(rows[at], hidden) != number]
        if moved:
            old = [before[at] for at in moved]
            new = [rows[at] for at in moved]
            self._writer.replace(entity, [kept[at] for at in moved], old, new)
        return kept, values
