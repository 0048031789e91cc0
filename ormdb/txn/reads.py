"""What a transaction has read: every access to storage, and what rows had to meet to count.

    fetch(Flight.where(dep_delay > 120).limit(5))     began at commit 7
        stretch   index/5, from the end down to (121, flight 88), of rows with dep_delay > 120
    get(Airport, "JFK")
        keys      index/1 "JFK"            rows   airports 3

    a later commit changes flight 99 from 10 to 20    met the test neither before nor after
    a later commit changes flight 12 from 5 to 300    in the stretch after it: a conflict

The executor reads through a `RecordingView`, which passes everything on and notes it.  What is
noted is physical: row keys, keys of indexes and relations, and the stretch of a walk up to the last
item that came.  Where the reader drops rows by a test of their own fields, the test is noted too.
`validate` says whether all of it still holds.

Invariants (held by tests/unit/txn/test_reads.py and tests/property/test_conflicts.py):
  1. Whatever an answer depends on is in the read set before the answer is returned.
  2. A walk that was ended early is noted up to the last batch that came.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from ormdb.storage.engine import Item
from ormdb.storage.layout import EntityLayout
from ormdb.storage.multimap import Multimap
from ormdb.storage.row_cache import RowCache
from ormdb.storage.views import Entries, Rows, RowTest, Span, View, ViewCounters


@dataclass(slots=True, eq=False)
class Stretch:
    """A walk through the rows of an entity (`index` is None) or through an index of it.

    It covers low <= key < high, beyond `after` if that is given; not all of it, if the walk
    was ended before its end, but what lies up to `reached`.
    """

    index: Multimap | None
    test: RowTest | None
    low: bytes
    high: bytes | None
    reverse: bool
    after: Item | None
    reached: Item | None = None
    is_whole: bool = False

    def covers(self, key: bytes, row_key: bytes) -> bool:
        """Whether an item lies in what was walked; in a row space both are the row key."""
        if key < self.low or (self.high is not None and key >= self.high):
            return False
        item = (key, row_key) if self.index is not None else (key, b"")
        if self.after is not None and not self._is_beyond(item, self.after):
            return False
        if self.is_whole:
            return True
        if self.reached is None:
            return False
        return item == self.reached or self._is_beyond(self.reached, item)

    def _is_beyond(self, item: Item, other: Item) -> bool:
        return item < other if self.reverse else item > other


@dataclass(slots=True)
class EntityReads:
    """What was read of one entity."""

    rows: dict[RowTest | None, set[bytes]] = field(default_factory=dict[RowTest | None, set[bytes]])
    keys: dict[tuple[Multimap, RowTest | None], set[bytes]] = field(
        default_factory=dict[tuple[Multimap, RowTest | None], set[bytes]]
    )
    stretches: list[Stretch] = field(default_factory=list[Stretch])
    count: int | None = None  # of all rows, where a number was asked for


@dataclass(slots=True)
class ReadSet:
    """The reads of one transaction, by the id of the entity."""

    entities: dict[int, EntityReads] = field(default_factory=dict[int, EntityReads])

    def is_empty(self) -> bool:
        """Whether nothing was read."""
        return not self.entities

    def of(self, entity: EntityLayout) -> EntityReads:
        """What was read of an entity, for more to be noted."""
        number = entity.entity.id
        found = self.entities.get(number)
        if found is None:
            found = self.entities[number] = EntityReads()
        return found


class RecordingView:
    """A view that notes everything read through it; `test` is what its reader asks of rows."""

    is_recording = True

    def __init__(self, inner: View, reads: ReadSet, test: RowTest | None = None) -> None:
        self._inner = inner
        self._reads = reads
        self._test = test
        self.version = inner.version
        self.counters: ViewCounters = inner.counters
        self.cache: RowCache | None = None  # what is not read would not be noted

    def expecting(self, test: RowTest) -> RecordingView:
        return RecordingView(self._inner, self._reads, test)

    def unkept(self) -> RecordingView:
        return RecordingView(self._inner.unkept(), self._reads, self._test)

    def row_count(self, entity: EntityLayout) -> int | None:
        count = self._inner.row_count(entity)
        if count is not None:
            self._reads.of(entity).count = count
        return count

    def rows(self, entity: EntityLayout, keys: Sequence[bytes]) -> list[bytes | None]:
        self._reads.of(entity).rows.setdefault(self._test_of(entity), set()).update(keys)
        return self._inner.rows(entity, keys)

    def lookup(self, index: Multimap, entity: EntityLayout, keys: Sequence[bytes]) -> list[bytes]:
        # What is looked up may be a row that nothing is asked of, as a parent of the same entity.
        self._reads.of(entity).keys.setdefault((index, None), set()).update(keys)
        return self._inner.lookup(index, entity, keys)

    def count_related(self, index: Multimap, keys: Sequence[bytes]) -> list[int]:
        return self._inner.count_related(index, keys)  # tells the way, never the answer

    def related(
        self,
        index: Multimap,
        entity: EntityLayout,
        keys: Sequence[bytes],
        *,
        limit_each: int | None = None,
        limit_all: int | None = None,
    ) -> tuple[list[bytes], list[bytes]]:
        read = self._reads.of(entity)
        read.keys.setdefault((index, self._test_of(entity)), set()).update(keys)
        return self._inner.related(index, entity, keys, limit_each=limit_each, limit_all=limit_all)

    def scan_rows(self, entity: EntityLayout, span: Span) -> Iterator[Rows]:
        stretch = self._begin(entity, None, span, self._test_of(entity))
        count = 0
        for keys, rows in self._inner.scan_rows(entity, span):
            stretch.reached = (keys[-1], b"")
            count += len(keys)
            yield keys, rows
        stretch.is_whole = span.limit is None or count < span.limit

    def scan_index(self, index: Multimap, entity: EntityLayout, span: Span) -> Iterator[Entries]:
        stretch = self._begin(entity, index, span, self._test_of(entity))
        count = 0
        for items, rows in self._inner.scan_index(index, entity, span):
            stretch.reached = items[-1]
            count += len(items)
            yield items, rows
        stretch.is_whole = span.limit is None or count < span.limit

    def scan_entries(
        self, index: Multimap, entity: EntityLayout, span: Span
    ) -> Iterator[list[Item]]:
        stretch = self._begin(entity, index, span, None)
        count = 0
        for items in self._inner.scan_entries(index, entity, span):
            stretch.reached = items[-1]
            count += len(items)
            yield items
        stretch.is_whole = span.limit is None or count < span.limit

    def scan_index_each(
        self,
        index: Multimap,
        entity: EntityLayout,
        ranges: Sequence[tuple[bytes, bytes | None]],
        *,
        reverse: bool = False,
        limit_each: int | None = None,
    ) -> tuple[list[list[Item]], list[bytes]]:
        found, rows = self._inner.scan_index_each(
            index, entity, ranges, reverse=reverse, limit_each=limit_each
        )
        test, noted = self._test_of(entity), self._reads.of(entity).stretches
        for (low, high), items in zip(ranges, found, strict=True):
            stretch = Stretch(index, test, low, high, reverse, None)
            stretch.reached = items[-1] if items else None
            stretch.is_whole = limit_each is None or len(items) < limit_each
            noted.append(stretch)
        return found, rows

    def _test_of(self, entity: EntityLayout) -> RowTest | None:
        test = self._test
        return test if test is not None and test.entity is entity else None

    def _begin(
        self, entity: EntityLayout, index: Multimap | None, span: Span, test: RowTest | None
    ) -> Stretch:
        stretch = Stretch(index, test, span.low, span.high, span.reverse, span.after)
        self._reads.of(entity).stretches.append(stretch)
        return stretch
