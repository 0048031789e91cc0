"""Decoded rows kept between fetches, exactly as new as the snapshot that asks for them.

    applied 41            every commit up to 41 has been looked up in the change log
    Flight   changed 40   rows      row key -> decoded row       commit 40 took off what it changed
                          groups    parent key -> its children   commit 40 began them anew
    Airport  changed  3   rows ...

    a reader at 42        applies commit 42 first: what that changed is taken off
    a reader at 40        finds and leaves flights and airports
    a reader at 39        finds and leaves airports; flights have changed since, so it reads them

What is kept of an entity is true for every snapshot from its last change up to the newest commit
applied, so a snapshot may use it if it lies between the two.  It asks after it has looked, because
another thread may have applied a commit meanwhile, and before it leaves anything, under the lock.

Memory is bounded by two generations: what is found or left is in the young one; when that holds
half of what is allowed, it becomes the old one, and the old one before it is dropped.

Invariants (held by tests/property/test_row_cache.py and tests/property/test_row_cache_machine.py,
and by tests/unit/storage/test_row_cache.py and test_row_cache_threads.py beside it):
  1. What a snapshot finds is what it would read.
  2. A commit of any process is applied before a snapshot that sees it looks.
  3. What is kept weighs no more than is allowed.
"""

from __future__ import annotations

import threading
from collections.abc import Hashable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

from ormdb import limits
from ormdb.errors import CorruptionError
from ormdb.storage.changelog import Op, read_entries
from ormdb.storage.engine import ReadTransaction

_ENTRY_BYTES: Final = 200  # of a dict slot, a key and a small object, about


class Shelf:
    """Things by key, in two generations; `each` is about what one of them weighs."""

    __slots__ = ("each", "old", "young")

    def __init__(self) -> None:
        self.young: dict[Any, Any] = {}
        self.old: dict[Any, Any] = {}
        self.each = _ENTRY_BYTES

    @property
    def is_empty(self) -> bool:
        """Whether nothing is kept."""
        return not self.young and not self.old

    def drop(self, key: Any) -> None:
        """Forget one thing."""
        self.young.pop(key, None)
        self.old.pop(key, None)


@dataclass(slots=True, eq=False)
class _Entity:
    """What is kept of one entity: true from its last change on."""

    changed: int
    rows: dict[Hashable, Shelf] = field(default_factory=dict[Hashable, Shelf])
    groups: dict[Hashable, Shelf] = field(default_factory=dict[Hashable, Shelf])


@dataclass(frozen=True, slots=True, kw_only=True)
class RowCacheStatistics:
    """What is kept, and what was found and not found so far."""

    bytes: int
    hits: int
    misses: int
    commits_applied: int


class RowCache:
    """Decoded rows and groups of them; may be used by several threads."""

    def __init__(self, bytes_max: int = limits.ROW_CACHE_BYTES) -> None:
        self.bytes_max = bytes_max
        self.hits = 0
        self.misses = 0
        self._lock = threading.Lock()
        self._entities: dict[int, _Entity] = {}
        self._applied = -1  # nothing is known yet
        self._commits = 0
        self._young_bytes = 0
        self._old_bytes = 0

    def catch_up(self, txn: ReadTransaction, version: int) -> None:
        """Apply every commit up to that of a snapshot, read through the snapshot."""
        if version <= self._applied:
            return
        with self._lock:
            if version > self._applied:
                self._apply(txn, version)

    def rows(self, entity_id: int, decoder: Hashable, version: int) -> Shelf | None:
        """Decoded rows by row key; None when a snapshot of this version cannot use them."""
        kept = self._entity(entity_id)
        if kept.changed > version:
            return None
        return kept.rows.get(decoder) or kept.rows.setdefault(decoder, Shelf())

    def groups(self, entity_id: int, kind: Hashable, version: int) -> Shelf | None:
        """Whatever is made of rows of one entity alone, by any key; None as for `rows`."""
        kept = self._entity(entity_id)
        if kept.changed > version:
            return None
        return kept.groups.get(kind) or kept.groups.setdefault(kind, Shelf())

    def changed(self, entity_ids: Sequence[int], version: int) -> tuple[int, ...] | None:
        """When each of some entities changed last; None if a snapshot of this version is older."""
        found = tuple([self._entity(entity_id).changed for entity_id in entity_ids])
        return None if found and max(found) > version else found

    def is_true(self, entity_id: int, version: int) -> bool:
        """Whether what a shelf just gave is true at the version it was asked for."""
        return self._entities[entity_id].changed <= version

    def look(
        self, entity_id: int, shelf: Shelf, keys: Sequence[Any], version: int
    ) -> list[Any] | None:
        """What a shelf has under each key, or None; None for all when it is not true any more."""
        found = list(map(shelf.young.get, keys))
        whole = all(found)  # a quarter of the time of looking for None; what is kept may be empty
        if not whole and shelf.old:
            again: dict[Any, Any] = {}
            for at, one in enumerate(found):
                if one is None and (kept := shelf.old.get(keys[at])) is not None:
                    found[at] = again[keys[at]] = kept
            if again:
                self._keep(entity_id, shelf, again, shelf.each * len(again), version)
        missing = 0 if whole else found.count(None)
        if self._entities[entity_id].changed > version:
            return None
        self.hits += len(found) - missing
        self.misses += missing
        return found

    def leave(
        self, entity_id: int, shelf: Shelf, things: Mapping[Any, Any], row_bytes: int, version: int
    ) -> None:
        """Keep what a snapshot of this version read, from rows of so many bytes."""
        if things:
            weight = 2 * row_bytes + _ENTRY_BYTES * len(things)
            shelf.each = weight // len(things)
            self._keep(entity_id, shelf, things, weight, version)

    def add_weight(self, weight: int) -> None:
        """Count what was added to things that are kept."""
        with self._lock:
            if 2 * (self._young_bytes + weight) > self.bytes_max:
                self._age()
            self._young_bytes += weight

    def statistics(self) -> RowCacheStatistics:
        """Counts since the cache was made."""
        with self._lock:
            return RowCacheStatistics(
                bytes=self._young_bytes + self._old_bytes,
                hits=self.hits,
                misses=self.misses,
                commits_applied=self._commits,
            )

    def _keep(
        self, entity_id: int, shelf: Shelf, things: Mapping[Any, Any], weight: int, version: int
    ) -> None:
        if 4 * weight > self.bytes_max:
            return  # it would push out everything else
        with self._lock:
            if self._entities[entity_id].changed > version:
                return
            if 2 * (self._young_bytes + weight) > self.bytes_max:
                self._age()
            self._young_bytes += weight
            shelf.young.update(things)

    # --- under the lock -------------------------------------------------------------------

    def _entity(self, entity_id: int) -> _Entity:
        found = self._entities.get(entity_id)
        if found is None:
            with self._lock:  # when it changed last is not known, so the newest commit counts
                found = self._entities.setdefault(entity_id, _Entity(self._applied))
        return found

    def _apply(self, txn: ReadTransaction, version: int) -> None:
        first = self._applied + 1
        if self._applied < 0 or version - first >= limits.ROW_CACHE_COMMITS_MAX:
            self._forget(version)
            return
        expected = first
        # A damaged entry is no reason to refuse a reader, only to forget what it may have changed.
        with suppress(CorruptionError):
            for entry in read_entries(txn, first, version):
                if entry.version != expected:
                    break
                for change in entry.changes:
                    self._take_off(change.entity_id, change.op, change.row_keys, entry.version)
                expected += 1
        self._commits += expected - first
        if expected == version + 1:
            self._applied = version
        else:
            self._forget(version)  # retention has passed what we had not seen

    def _take_off(self, entity_id: int, op: Op, keys: Any, version: int) -> None:
        kept = self._entities.get(entity_id)
        if kept is None:
            return
        kept.changed = version  # first: who has looked since asks again and turns away
        kept.groups = {}
        if op is Op.INSERT:
            return  # nobody has found a row that was not there
        if len(keys) > limits.ROW_CACHE_EVICTED_MAX:
            kept.rows = {}
            return
        for shelf in kept.rows.values():
            for key in keys:
                shelf.drop(key)

    def _forget(self, version: int) -> None:
        for kept in self._entities.values():
            kept.changed = max(kept.changed, version)
            kept.rows, kept.groups = {}, {}
        self._applied = max(self._applied, version)
        self._young_bytes = self._old_bytes = 0

    def _age(self) -> None:
        """The young generation becomes the old one."""
        for kept in self._entities.values():
            for shelves in (kept.rows, kept.groups):
                for kind, shelf in list(shelves.items()):
                    shelf.old, shelf.young = shelf.young, {}
                    if not shelf.old:
                        del shelves[kind]
        self._old_bytes, self._young_bytes = self._young_bytes, 0
