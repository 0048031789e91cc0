"""What a reader sees: rows, index entries and relations at one version.

    CurrentView   the newest commit of a snapshot: reads current spaces, never history
    PastView      an older version V: current spaces and history together

        rows/3      41 -> begun 9        history/3   41 ∥ end 9 -> begun 4
        as of 9 and later: the current row.  As of 4 to 8: the history entry with end > V and
        begin <= V.  As of 3 and before: no row.

An index entry of the past is found in current ∪ history with end > V, and counts when the row as
of V has that key.  Both views answer with the same shapes, so the executor knows only `View`.

Invariants (held by tests/property/test_storage_model.py):
  1. A PastView at V answers exactly as a CurrentView answered when V was the newest commit.
  2. An entry whose row is absent from a CurrentView raises CorruptionError, it is never skipped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from heapq import merge
from itertools import compress
from typing import Any, Protocol, TypeAlias, TypeVar

from ormdb import limits
from ormdb.errors import CorruptionError
from ormdb.pulse import beat
from ormdb.storage.batches import cut_ids
from ormdb.storage.engine import Item, ReadTransaction
from ormdb.storage.history import open_ended
from ormdb.storage.layout import ROW_KEY_BYTES, EntityLayout
from ormdb.storage.multimap import Multimap
from ormdb.storage.records import RowDecoder
from ormdb.storage.row_cache import RowCache

T = TypeVar("T")
Rows: TypeAlias = tuple[list[bytes], list[bytes]]  # row keys, and the row of each
Entries: TypeAlias = tuple[list[Item], list[bytes]]  # (index key, row key), and the row of each


@dataclass(slots=True)
class ViewCounters:
    """What reading through a view has cost so far."""

    calls: int = 0
    keys: int = 0
    bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A stretch of a space: low <= key < high, walked in either direction.

    `after` is the last item already consumed, `limit` bounds the items, `batch` the first batch.
    """

    low: bytes = b""
    high: bytes | None = None
    reverse: bool = False
    after: Item | None = None
    limit: int | None = None
    batch: int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class RowTest:
    """What rows of an entity have to meet to count, decided by their own fields alone."""

    entity: EntityLayout
    decoder: RowDecoder
    mask: Callable[[list[Any]], list[bool]]

    def met_by(self, keys: Sequence[bytes], rows: Sequence[bytes]) -> list[bool]:
        """Which of the rows, under these row keys, meet it."""
        return self.mask(self.decoder.decode_batch(keys, rows)) if rows else []


class View(Protocol):
    """Rows and entries of one version."""

    version: int
    counters: ViewCounters
    cache: RowCache | None  # decoded rows that are true at this version
    is_recording: bool  # whether it matters what is expected of rows

    def expecting(self, test: RowTest) -> View:
        """The same rows, for a reader that drops those of the test's entity that do not meet it."""
        ...

    def unkept(self) -> View:
        """The same rows, of which none is kept and none is taken from what is kept."""
        ...

    def row_count(self, entity: EntityLayout) -> int | None:
        """How many rows there are; None when only a scan could tell."""
        ...

    def rows(self, entity: EntityLayout, keys: Sequence[bytes]) -> list[bytes | None]:
        """The row of each key, None where there is none."""
        ...

    def lookup(self, index: Multimap, entity: EntityLayout, keys: Sequence[bytes]) -> list[bytes]:
        """The joined row keys under each index key."""
        ...

    def count_related(self, index: Multimap, keys: Sequence[bytes]) -> list[int]:
        """How many entries each key has: exact now, an upper bound in the past."""
        ...

    def related(
        self,
        index: Multimap,
        entity: EntityLayout,
        keys: Sequence[bytes],
        *,
        limit_each: int | None = None,
        limit_all: int | None = None,
    ) -> tuple[list[bytes], list[bytes]]:
        """`lookup`, and the rows of everything found, in that order.

        No more than `limit_all` of them: those of the first keys.
        """
        ...

    def scan_rows(self, entity: EntityLayout, span: Span) -> Iterator[Rows]:
        """Rows by row key, in batches that are never empty."""
        ...

    def scan_index(self, index: Multimap, entity: EntityLayout, span: Span) -> Iterator[Entries]:
        """Entries by key and their rows, in batches that are never empty."""
        ...

    def scan_entries(
        self, index: Multimap, entity: EntityLayout, span: Span
    ) -> Iterator[list[Item]]:
        """`scan_index` for those who know the rows."""
        ...

    def scan_index_each(
        self,
        index: Multimap,
        entity: EntityLayout,
        ranges: Sequence[tuple[bytes, bytes | None]],
        *,
        reverse: bool = False,
        limit_each: int | None = None,
    ) -> tuple[list[list[Item]], list[bytes]]:
        """The entries of every range, and the rows of all of them in that order."""
        ...


class CurrentView:
    """The newest commit of a snapshot."""

    is_recording = False

    def __init__(self, txn: ReadTransaction, version: int, cache: RowCache | None = None) -> None:
        self.txn = txn
        self.version = version
        self.counters = ViewCounters()
        self.cache = cache

    def expecting(self, test: RowTest) -> CurrentView:
        return self

    def unkept(self) -> CurrentView:
        return CurrentView(self.txn, self.version)

    def row_count(self, entity: EntityLayout) -> int:
        self._count(0, 0)
        return self.txn.statistics(entity.rows).entries

    def rows(self, entity: EntityLayout, keys: Sequence[bytes]) -> list[bytes | None]:
        found = self.txn.get_many(entity.rows, keys)
        self._count(len(keys), sum(map(len, filter(None, found))))
        return found

    def lookup(self, index: Multimap, entity: EntityLayout, keys: Sequence[bytes]) -> list[bytes]:
        found = self.txn.many(index.space, keys)
        joined = sum(map(len, found))
        self._count(len(keys) + joined // ROW_KEY_BYTES, joined)
        return found

    def count_related(self, index: Multimap, keys: Sequence[bytes]) -> list[int]:
        self._count(len(keys), 0)
        return self.txn.count_many(index.space, keys)

    def related(
        self,
        index: Multimap,
        entity: EntityLayout,
        keys: Sequence[bytes],
        *,
        limit_each: int | None = None,
        limit_all: int | None = None,
    ) -> tuple[list[bytes], list[bytes]]:
        found, rows = self.txn.read_related(
            index.space, entity.rows, keys, limit_each=limit_each, limit_all=limit_all
        )
        present = _all_present(rows, index, entity)
        self._count(len(keys) + 2 * len(present), sum(map(len, present)))
        return found, present

    def scan_rows(self, entity: EntityLayout, span: Span) -> Iterator[Rows]:
        self.counters.calls += 1
        batches = self.txn.scan(
            entity.rows,
            span.low,
            span.high,
            reverse=span.reverse,
            limit=span.limit,
            after=span.after,
            batch=span.batch,
        )
        for items in batches:
            keys, rows = [key for key, _ in items], [row for _, row in items]
            self.counters.keys += len(keys)
            self.counters.bytes += sum(map(len, rows))
            yield keys, rows

    def scan_index(self, index: Multimap, entity: EntityLayout, span: Span) -> Iterator[Entries]:
        self.counters.calls += 1
        batches = self.txn.scan_rows(
            index.space,
            entity.rows,
            span.low,
            span.high,
            reverse=span.reverse,
            limit=span.limit,
            after=span.after,
            batch=span.batch,
        )
        for items, rows in batches:
            present = _all_present(rows, index, entity)
            self.counters.keys += 2 * len(items)
            self.counters.bytes += sum(map(len, present))
            yield items, present

    def scan_entries(
        self, index: Multimap, entity: EntityLayout, span: Span
    ) -> Iterator[list[Item]]:
        self.counters.calls += 1
        for items in self.txn.scan(
            index.space,
            span.low,
            span.high,
            reverse=span.reverse,
            limit=span.limit,
            after=span.after,
            batch=span.batch,
        ):
            self.counters.keys += len(items)
            yield items

    def scan_index_each(
        self,
        index: Multimap,
        entity: EntityLayout,
        ranges: Sequence[tuple[bytes, bytes | None]],
        *,
        reverse: bool = False,
        limit_each: int | None = None,
    ) -> tuple[list[list[Item]], list[bytes]]:
        found = self.txn.scan_many(index.space, ranges, reverse=reverse, limit_each=limit_each)
        keys = [row_key for items in found for _, row_key in items]
        self._count(len(ranges) + len(keys), 0)
        return found, _all_present(self.rows(entity, keys), index, entity)

    def _count(self, keys: int, size: int) -> None:
        counters = self.counters
        counters.calls += 1
        counters.keys += keys
        counters.bytes += size


class PastView:
    """Version `version`, seen from a later snapshot.  Slower: it reads history as well."""

    is_recording = False

    def __init__(self, txn: ReadTransaction, version: int) -> None:
        self.txn = txn
        self.version = version
        self.counters = ViewCounters()
        self.cache: RowCache | None = None  # it keeps what is true now
        self._after_version = (version + 1).to_bytes(8, "big")

    def expecting(self, test: RowTest) -> PastView:
        return self

    def unkept(self) -> PastView:
        return PastView(self.txn, self.version)

    def row_count(self, entity: EntityLayout) -> int | None:
        return None

    def rows(self, entity: EntityLayout, keys: Sequence[bytes]) -> list[bytes | None]:
        found = self.txn.get_many(entity.rows, keys)
        self._count(len(keys))
        begins = _begins(entity, keys, found)
        late = [i for i, begin in enumerate(begins) if begin is None or begin > self.version]
        if late:
            ranges = [(keys[i] + self._after_version, keys[i] + _END) for i in late]
            older = self.txn.scan_many(entity.history, ranges, limit_each=1)
            self._count(len(ranges))
            ended = iter(open_ended(entity.name, [items[0] for items in older if items]))
            rows = [next(ended) if items else None for items in older]
            late_keys = [keys[i] for i in late]
            for i, row, begin in zip(late, rows, _begins(entity, late_keys, rows), strict=True):
                found[i] = row if begin is not None and begin <= self.version else None
        self.counters.bytes += sum(map(len, filter(None, found)))
        return found

    def lookup(self, index: Multimap, entity: EntityLayout, keys: Sequence[bytes]) -> list[bytes]:
        return self.related(index, entity, keys)[0]

    def count_related(self, index: Multimap, keys: Sequence[bytes]) -> list[int]:
        current = self.txn.count_many(index.space, keys)
        ended = self.txn.count_many(index.history, keys)
        self._count(2 * len(keys))
        return [now + then for now, then in zip(current, ended, strict=True)]

    def related(
        self,
        index: Multimap,
        entity: EntityLayout,
        keys: Sequence[bytes],
        *,
        limit_each: int | None = None,
        limit_all: int | None = None,
    ) -> tuple[list[bytes], list[bytes]]:
        if limit_all is None:
            return self._related(index, entity, keys, limit_each)
        found: list[bytes] = []
        rows: list[bytes] = []
        for part in _batches(iter(keys), None):
            left = limit_all - len(rows)
            if left <= 0:
                break
            more_found, more_rows = self._related(index, entity, part, limit_each)
            found += cut_ids(more_found, left)
            rows += more_rows[:left]
        return found + [b""] * (len(keys) - len(found)), rows

    def _related(
        self,
        index: Multimap,
        entity: EntityLayout,
        keys: Sequence[bytes],
        limit_each: int | None,
    ) -> tuple[list[bytes], list[bytes]]:
        current = self.txn.many(index.space, keys)
        ended = self.txn.many(index.history, keys)
        self._count(2 * len(keys))
        entries: list[Item] = []
        for key, now, then in zip(keys, current, ended, strict=True):
            candidates = set(_split(now, ROW_KEY_BYTES))
            for pair in _split(then, 2 * ROW_KEY_BYTES):
                if pair[:8] >= self._after_version:
                    candidates.add(pair[8:])
            entries.extend((key, row_key) for row_key in sorted(candidates))
        kept, rows = self._recheck(index, entity, entries)
        return _grouped(keys, kept, rows, limit_each)

    def scan_rows(self, entity: EntityLayout, span: Span) -> Iterator[Rows]:
        now = self._flat(
            self.txn.scan(entity.rows, span.low, span.high, reverse=span.reverse, after=span.after)
        )
        then_after = None
        if span.after is not None:  # past every version of the row that was consumed
            then_after = (span.after[0] + (b"" if span.reverse else _END), b"")
        then = self._flat(
            self.txn.scan(
                entity.history, span.low, span.high, reverse=span.reverse, after=then_after
            )
        )
        merged = merge((key for key, _ in now), (key[:8] for key, _ in then), reverse=span.reverse)
        left = span.limit
        for keys in _batches(_distinct(merged), span.batch):
            pairs = [(k, r) for k, r in zip(keys, self.rows(entity, keys), strict=True) if r]
            pairs = pairs if left is None else pairs[:left]
            if pairs:
                yield [key for key, _ in pairs], [row for _, row in pairs]
            if left is not None:
                left -= len(pairs)
                if left <= 0:
                    return

    def scan_index(self, index: Multimap, entity: EntityLayout, span: Span) -> Iterator[Entries]:
        left = span.limit
        for entries in _batches(self._merged_entries(index, span), span.batch):
            kept, rows = self._recheck(index, entity, entries)
            if left is not None:
                kept, rows = kept[:left], rows[:left]
                left -= len(kept)
            if kept:
                yield kept, rows
            if left is not None and left <= 0:
                return

    def scan_entries(
        self, index: Multimap, entity: EntityLayout, span: Span
    ) -> Iterator[list[Item]]:
        return (entries for entries, _ in self.scan_index(index, entity, span))

    def scan_index_each(
        self,
        index: Multimap,
        entity: EntityLayout,
        ranges: Sequence[tuple[bytes, bytes | None]],
        *,
        reverse: bool = False,
        limit_each: int | None = None,
    ) -> tuple[list[list[Item]], list[bytes]]:
        found: list[list[Item]] = []
        all_rows: list[bytes] = []
        for low, high in ranges:
            span = Span(low=low, high=high, reverse=reverse, limit=limit_each)
            items: list[Item] = []
            for entries, rows in self.scan_index(index, entity, span):
                items.extend(entries)
                all_rows.extend(rows)
            found.append(items)
        return found, all_rows

    def _merged_entries(self, index: Multimap, span: Span) -> Iterator[Item]:
        """Candidate entries of current and history, in order, each once."""
        now = self._flat(
            self.txn.scan(index.space, span.low, span.high, reverse=span.reverse, after=span.after)
        )
        low, high = span.low, span.high
        if span.after is not None:  # history of one key is ordered by end: restart at the key
            low, high = (low, span.after[0] + b"\0") if span.reverse else (span.after[0], high)
        then = self._flat(self.txn.scan(index.history, low, high, reverse=span.reverse))
        alive = self._alive_by_key(then, reverse=span.reverse)
        for item in _distinct(merge(now, alive, reverse=span.reverse)):
            if span.after is None or (item < span.after if span.reverse else item > span.after):
                yield item

    def _alive_by_key(self, items: Iterator[Item], *, reverse: bool) -> Iterator[Item]:
        """History entries that end after the version, ordered by key and row key."""
        key, row_keys = b"", list[bytes]()
        for next_key, pair in items:
            if next_key != key:
                yield from ((key, row_key) for row_key in sorted(row_keys, reverse=reverse))
                key, row_keys = next_key, []
            if pair[:8] >= self._after_version:
                row_keys.append(pair[8:])
        yield from ((key, row_key) for row_key in sorted(row_keys, reverse=reverse))

    def _recheck(self, index: Multimap, entity: EntityLayout, entries: Sequence[Item]) -> Entries:
        """The entries whose row as of the version has that key, and those rows."""
        rows = self.rows(entity, [row_key for _, row_key in entries])
        pairs = [(e, row) for e, row in zip(entries, rows, strict=True) if row is not None]
        decoded = entity.codec.whole.decode_batch(
            [row_key for (_, row_key), _ in pairs], [row for _, row in pairs]
        )
        leads = index.leads(decoded, [key for (key, _), _ in pairs])
        kept = list(compress(pairs, leads))
        return [entry for entry, _ in kept], [row for _, row in kept]

    def _flat(self, batches: Iterator[list[Item]]) -> Iterator[Item]:
        self.counters.calls += 1
        for items in batches:
            self.counters.keys += len(items)
            beat()
            yield from items

    def _count(self, keys: int) -> None:
        self.counters.calls += 1
        self.counters.keys += keys


_END = b"\xff" * 8 + b"\0"  # above every end version


def _all_present(rows: list[bytes | None], index: Multimap, entity: EntityLayout) -> list[bytes]:
    if None in rows:
        raise CorruptionError(
            f"{index.kind} {index.name} leads to a row of {entity.name} that is not there; "
            "run `ormdb check --deep`, then restore a backup",
            entity=entity.name,
            index=index.name,
        )
    return rows  # type: ignore[return-value]  # None was just ruled out


def _begins(
    entity: EntityLayout, keys: Sequence[bytes], rows: Sequence[bytes | None]
) -> list[int | None]:
    present = [(key, row) for key, row in zip(keys, rows, strict=True) if row is not None]
    decoded = iter(
        entity.codec.begins.decode_batch([k for k, _ in present], [r for _, r in present])
    )
    return [None if row is None else next(decoded).b for row in rows]


def _split(joined: bytes, width: int) -> list[bytes]:
    return [joined[i : i + width] for i in range(0, len(joined), width)]


def _grouped(
    keys: Sequence[bytes], entries: list[Item], rows: list[bytes], limit_each: int | None
) -> tuple[list[bytes], list[bytes]]:
    """Entries that come sorted by the position of their key in `keys`, joined per key."""
    found: list[bytes] = []
    kept: list[bytes] = []
    at = 0
    for key in keys:
        start = at
        while at < len(entries) and entries[at][0] == key:
            at += 1
        stop = at if limit_each is None else min(at, start + limit_each)
        found.append(b"".join(row_key for _, row_key in entries[start:stop]))
        kept.extend(rows[start:stop])
    return found, kept


def _distinct(items: Iterator[T]) -> Iterator[T]:
    """Sorted items without repeats."""
    last: T | None = None
    for item in items:
        if item != last:
            yield item
            last = item


def _batches(items: Iterator[T], first: int | None) -> Iterator[list[T]]:
    """The items in batches: `first` of them, then four times as many each, up to a bound."""
    size = limits.SCAN_BATCH_ROWS if first is None else max(1, first)
    batch: list[T] = []
    for item in items:
        batch.append(item)
        if len(batch) >= size:
            yield batch
            batch = []
            size = min(4 * size, limits.SCAN_BATCH_ROWS)
    if batch:
        yield batch
