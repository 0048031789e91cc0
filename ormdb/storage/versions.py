"""What a commit writes: rows and, in step with them, indexes, relations, history and the log.

    update flight 41 at commit 9          rows/3              41 -> begun 9
      (was begun 4, dep_time 517)         history/3           41 ∥ 9 -> begun 4
                                          index/5             517 -/-> 41, 520 -> 41
                                          index_history/5     517 -> 9 ∥ 41
                                          changes             9 -> flight: update 41

A row that the same commit already wrote has no history to keep: nobody ever saw it.  An entry
that the commit takes away is kept when the version that others saw had it, whether the commit
wrote that row for the first time or again.

Invariants (held by tests/property/test_storage_model.py and `check --deep`):
  1. Every current row has exactly the entries its values ask for, in every kept multimap.
  2. What ends at commit E is in the history with end E, so any V with begin <= V < E sees it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ormdb import limits
from ormdb.storage.changelog import ChangeSet, Op
from ormdb.storage.engine import Item, Space, WriteTransaction
from ormdb.storage.history import open_ended, seal_ended
from ormdb.storage.layout import EntityLayout, Layout
from ormdb.storage.multimap import Multimap, NumberedKey

# From how many items on it pays to ask whether they can be appended to the end of their space.
_APPEND_ITEMS_MIN = 64


class RowWriter:
    """Writes the rows of one commit through one engine transaction.

    Rows come as `codec.Row` structs whose begin is `version`.  With `deferred`, index entries of
    inserts are gathered and put at the end in one sorted run, which fills their pages; a reader
    of the same transaction does not see them before `flush`.
    """

    def __init__(
        self, txn: WriteTransaction, layout: Layout, version: int, *, deferred: bool = False
    ) -> None:
        self.txn: WriteTransaction = txn
        self.layout = layout
        self.version = version
        self.changes = ChangeSet()
        self._end = version.to_bytes(8, "big")
        self._deferred = deferred
        self._gathered: dict[Space, list[Item]] = {}
        self._gathered_count = 0
        self._last: dict[Space, Item | None] = {}

    def insert(self, entity: EntityLayout, keys: Sequence[bytes], rows: Sequence[Any]) -> None:
        """Add rows under keys that have no row."""
        sealed = entity.codec.seal(rows, keys)
        self._put(entity.rows, sorted(zip(keys, sealed, strict=True)))
        for index in self.layout.kept[entity.name]:
            items = index.items(rows, keys)
            if self._deferred:
                self._gathered.setdefault(index.space, []).extend(items)
                self._gathered_count += len(items)
            else:
                items.sort()
                self._put(index.space, items)
        self.changes.record(entity.entity.id, Op.INSERT, keys)
        if self._gathered_count > 20 * limits.BULK_CHUNK_ROWS:
            self.flush()

    def replace(
        self,
        entity: EntityLayout,
        keys: Sequence[bytes],
        before: Sequence[bytes],
        rows: Sequence[Any],
    ) -> None:
        """Put new rows in place of the rows `before`, which are bytes as stored."""
        sealed = entity.codec.seal(rows, keys)  # may refuse, so before anything is written
        old = self._old_rows(entity, keys, before)
        self.txn.put_many(entity.rows, zip(keys, sealed, strict=True))
        for index in self.layout.kept[entity.name]:
            lost, gained = index.moved(old.rows, rows)
            self._end_entries(index, old, lost)
            if gained:
                self.txn.put_many(index.space, sorted((key, keys[i]) for i, key in gained))
        self.changes.record(entity.entity.id, Op.UPDATE, keys)

    def remove(self, entity: EntityLayout, keys: Sequence[bytes], before: Sequence[bytes]) -> None:
        """Take away the rows `before`."""
        old = self._old_rows(entity, keys, before)
        self.txn.delete_many(entity.rows, keys)
        for index in self.layout.kept[entity.name]:
            self._end_entries(index, old, index.numbered(old.rows))
        self.changes.record(entity.entity.id, Op.DELETE, keys)

    @property
    def holds_back(self) -> bool:
        """Whether entries of rows may be gathered and not put yet."""
        return self._deferred

    def begun(self, entity: EntityLayout, rows: Sequence[Any]) -> list[Any]:
        """Copies of decoded rows that may be changed and written, begun by this commit."""
        new_row, version = entity.codec.Row, self.version
        names = [f"s{slot}" for slot in range(entity.codec.slot_count)]
        return [new_row(version, *(getattr(row, name) for name in names)) for row in rows]

    def forget_tails(self) -> None:
        """What was written is undone: what is last in a space may be another item again."""
        self._last.clear()

    def flush(self) -> None:
        """Put the entries that were gathered."""
        for space, items in self._gathered.items():
            items.sort()
            self._put(space, items)
        self._gathered.clear()
        self._gathered_count = 0

    def _old_rows(
        self, entity: EntityLayout, keys: Sequence[bytes], before: Sequence[bytes]
    ) -> _OldRows:
        """Decode rows that are about to go, and keep those that others saw in the history."""
        rows = entity.codec.whole.decode_batch(keys, before)
        end, version = self._end, self.version
        seen = [
            (key + end, data)
            for key, data, row in zip(keys, before, rows, strict=True)
            if row.b != version
        ]
        self.txn.put_many(entity.history, seal_ended(seen))
        if len(seen) == len(rows):
            return _OldRows(keys, rows, rows)
        # What this commit wrote before, nobody saw; they saw what that had replaced, if anything.
        last_seen: list[Any] = [row if row.b != version else None for row in rows]
        again = [i for i, row in enumerate(rows) if row.b == version]
        found = self.txn.get_many(entity.history, [keys[i] + end for i in again])
        there = [(i, data) for i, data in zip(again, found, strict=True) if data is not None]
        were = open_ended(entity.name, [(keys[i] + end, data) for i, data in there])
        decoded = entity.codec.whole.decode_batch([keys[i] for i, _ in there], were)
        for (i, _), row in zip(there, decoded, strict=True):
            last_seen[i] = row
        return _OldRows(keys, rows, last_seen)

    def _end_entries(self, index: Multimap, old: _OldRows, gone: Sequence[NumberedKey]) -> None:
        """Take away entries of rows, and keep those that others saw in the history."""
        if not gone:
            return
        self.txn.delete_items(index.space, [(key, old.keys[i]) for i, key in gone])
        ended = [(key, self._end + old.keys[i]) for i, key in gone if old.was_seen(index, i, key)]
        self.txn.put_many(index.history, ended)

    def _put(self, space: Space, items: list[Item]) -> None:
        """Put sorted items of new rows, appending when they lie beyond the last of the space."""
        if len(items) < _APPEND_ITEMS_MIN:
            self.txn.put_many(space, items, fresh=True)
            # What was last may not be any longer: ask again next time.
            self._last.pop(space, None)
            return
        if space not in self._last:
            tail = next(iter(self.txn.scan(space, reverse=True, limit=1)), None)
            self._last[space] = tail[0] if tail else None
        last = self._last[space]
        beyond = last is None or (
            items[0] > last if space.duplicate_bytes else items[0][0] > last[0]
        )
        self.txn.put_many(space, items, append=beyond, fresh=True)
        if last is None or items[-1] > last:
            self._last[space] = items[-1]


@dataclass(frozen=True, slots=True)
class _OldRows:
    """Rows that are about to go; `last_seen` is what readers have of each, None if nothing."""

    keys: Sequence[bytes]
    rows: Sequence[Any]
    last_seen: Sequence[Any]

    def was_seen(self, index: Multimap, position: int, key: bytes) -> bool:
        """Whether readers find the row under this key."""
        seen = self.last_seen[position]
        if seen is self.rows[position]:
            return True
        return seen is not None and index.leads([seen], [key])[0]
