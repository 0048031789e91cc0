"""What a transaction has read, and whether it still holds when the transaction commits.

    reads of a transaction that began at commit 7
        rows       flight 41, flight 42 (absent)
        ranges     index/5 from 517 to 560
        relations  relation/2 of airport JFK
    commit 8 changed airport LGA        no entity in common with the reads: still valid
    commit 9 changed flight 99          flights were read: conflict

The executor records every physical read through `RecordingView`.  Validation today asks one
question, and errs on the safe side: did a commit since the snapshot change any entity that was
read?  Everything finer (keys, ranges, relations) is already recorded for it.

Invariants (held by tests/unit/txn/test_reads.py):
  1. Whatever an answer depends on is in the read set before the answer is returned.
  2. A transaction whose reads changed under it never commits.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from ormdb.errors import ConflictError
from ormdb.storage.changelog import read_entries
from ormdb.storage.engine import Item, ReadTransaction
from ormdb.storage.layout import EntityLayout, Layout
from ormdb.storage.multimap import Multimap
from ormdb.storage.row_cache import RowCache
from ormdb.storage.views import Entries, Rows, Span, View, ViewCounters


@dataclass(frozen=True, slots=True)
class ReadRange:
    """A stretch of a space that was walked: low <= key, up to the last item consumed."""

    space: str
    low: bytes
    high: bytes | None


@dataclass(slots=True)
class ReadSet:
    """The physical reads of one transaction."""

    entities: set[int] = field(default_factory=set[int])
    rows: dict[int, set[bytes]] = field(default_factory=dict[int, set[bytes]])
    keys: dict[str, set[bytes]] = field(default_factory=dict[str, set[bytes]])
    ranges: set[ReadRange] = field(default_factory=set[ReadRange])

    def is_empty(self) -> bool:
        """Whether nothing was read."""
        return not self.entities


class RecordingView:
    """A view that notes everything read through it."""

    def __init__(self, inner: View, reads: ReadSet) -> None:
        self._inner = inner
        self._reads = reads
        self.version = inner.version
        self.counters: ViewCounters = inner.counters
        self.cache: RowCache | None = None  # what is not read would not be noted

    def unkept(self) -> RecordingView:
        return RecordingView(self._inner.unkept(), self._reads)

    def row_count(self, entity: EntityLayout) -> int | None:
        self._note_range(entity, entity.rows.name, b"", None)
        return self._inner.row_count(entity)

    def rows(self, entity: EntityLayout, keys: Sequence[bytes]) -> list[bytes | None]:
        self._note_rows(entity, keys)
        return self._inner.rows(entity, keys)

    def lookup(self, index: Multimap, entity: EntityLayout, keys: Sequence[bytes]) -> list[bytes]:
        self._note_keys(index, entity, keys)
        return self._inner.lookup(index, entity, keys)

    def count_related(self, index: Multimap, keys: Sequence[bytes]) -> list[int]:
        self._reads.keys.setdefault(index.space.name, set()).update(keys)
        return self._inner.count_related(index, keys)

    def related(
        self,
        index: Multimap,
        entity: EntityLayout,
        keys: Sequence[bytes],
        *,
        limit_each: int | None = None,
        limit_all: int | None = None,
    ) -> tuple[list[bytes], list[bytes]]:
        self._note_keys(index, entity, keys)
        return self._inner.related(index, entity, keys, limit_each=limit_each, limit_all=limit_all)

    def scan_rows(self, entity: EntityLayout, span: Span) -> Iterator[Rows]:
        self._note_range(entity, entity.rows.name, span.low, span.high)
        yield from self._inner.scan_rows(entity, span)

    def scan_index(self, index: Multimap, entity: EntityLayout, span: Span) -> Iterator[Entries]:
        self._note_range(entity, index.space.name, span.low, span.high)
        yield from self._inner.scan_index(index, entity, span)

    def scan_entries(
        self, index: Multimap, entity: EntityLayout, span: Span
    ) -> Iterator[list[Item]]:
        self._note_range(entity, index.space.name, span.low, span.high)
        yield from self._inner.scan_entries(index, entity, span)

    def scan_index_each(
        self,
        index: Multimap,
        entity: EntityLayout,
        ranges: Sequence[tuple[bytes, bytes | None]],
        *,
        reverse: bool = False,
        limit_each: int | None = None,
    ) -> tuple[list[list[Item]], list[bytes]]:
        for low, high in ranges:
            self._note_range(entity, index.space.name, low, high)
        return self._inner.scan_index_each(
            index, entity, ranges, reverse=reverse, limit_each=limit_each
        )

    def _note_rows(self, entity: EntityLayout, keys: Sequence[bytes]) -> None:
        number = entity.entity.id
        self._reads.entities.add(number)
        self._reads.rows.setdefault(number, set()).update(keys)

    def _note_keys(self, index: Multimap, entity: EntityLayout, keys: Sequence[bytes]) -> None:
        self._reads.entities.add(entity.entity.id)
        self._reads.keys.setdefault(index.space.name, set()).update(keys)

    def _note_range(self, entity: EntityLayout, space: str, low: bytes, high: bytes | None) -> None:
        self._reads.entities.add(entity.entity.id)
        self._reads.ranges.add(ReadRange(space, low, high))


def validate_reads(
    txn: ReadTransaction, layout: Layout, reads: ReadSet, *, read_at: int, newest: int
) -> None:
    """See that nothing read at commit `read_at` has changed up to commit `newest`.

    Raises:
      ConflictError: an entity that was read has changed; details `entity`, `version`.
    """
    if reads.is_empty() or read_at == newest:
        return
    for entry in read_entries(txn, read_at + 1, newest):
        for changes in entry.changes:
            if changes.entity_id in reads.entities:
                entity = layout.by_id.get(changes.entity_id)
                name = entity.name if entity is not None else f"entity {changes.entity_id}"
                raise ConflictError(
                    f"{name} was read at commit {read_at} and changed by commit {entry.version} "
                    f"of {entry.principal!r}; run the transaction again",
                    entity=name,
                    read_at=read_at,
                    version=entry.version,
                )
