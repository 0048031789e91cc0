"""An engine that counts: how often each method of the protocol was called, over how many keys.

    engine = CountingEngine(MemoryEngine())
    … a fetch of 50 roots with 3 includes …
    engine.counts.calls                      4         one round trip per hop, whatever the rows
    engine.counts.by_method["read_related"]  Count(calls=3, keys=1_450)

A call is a round trip for an engine that lies across a network.  A scan is one call, however many
batches it gives; its items count as they come.  Keys are what a call asks for and what it finds:

    get_many     the keys                    count_many        the keys
    many         the keys, the duplicates    read_related      the keys, the duplicates, the rows
    scan         the items                   scan_rows         the items, and their rows
    scan_many    the ranges, the items       put, delete       the items

Invariants (held by tests/unit/testing/test_counting.py):
  1. Answers are those of the engine inside.
  2. A count never goes down but by `reset`.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeVar

from ormdb.storage.engine import (
    Engine,
    EngineStatistics,
    Item,
    ReadTransaction,
    Space,
    SpaceStatistics,
    WriteTransaction,
)

_Thing = TypeVar("_Thing")


@dataclass(frozen=True, slots=True)
class Count:
    """How often one method was called, and how many keys it touched."""

    calls: int = 0
    keys: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What was counted up to one moment."""

    calls: int
    keys: int
    by_method: Mapping[str, Count]


class _Tally:
    """Counts that go on; calls may come from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_method: dict[str, Count] = {}

    def add(self, method: str, *, calls: int = 1, keys: int = 0) -> None:
        with self._lock:
            before = self._by_method.get(method, Count())
            self._by_method[method] = Count(before.calls + calls, before.keys + keys)

    def reset(self) -> None:
        with self._lock:
            self._by_method = {}

    def frozen(self) -> Counts:
        with self._lock:
            by_method = dict(self._by_method)
        return Counts(
            calls=sum(count.calls for count in by_method.values()),
            keys=sum(count.keys for count in by_method.values()),
            by_method=MappingProxyType(by_method),
        )


class CountingReadTransaction:
    """A snapshot whose calls are counted."""

    def __init__(self, inner: ReadTransaction, tally: _Tally) -> None:
        self.notes = inner.notes
        self._inner = inner
        self._tally = tally

    def get_many(self, space: Space, keys: Sequence[bytes]) -> list[bytes | None]:
        self._tally.add("get_many", keys=len(keys))
        return self._inner.get_many(space, keys)

    def many(
        self, space: Space, keys: Sequence[bytes], *, limit_each: int | None = None
    ) -> list[bytes]:
        found = self._inner.many(space, keys, limit_each=limit_each)
        self._tally.add("many", keys=len(keys) + _duplicates(space, found))
        return found

    def count_many(self, space: Space, keys: Sequence[bytes]) -> list[int]:
        self._tally.add("count_many", keys=len(keys))
        return self._inner.count_many(space, keys)

    def scan(
        self,
        space: Space,
        low: bytes = b"",
        high: bytes | None = None,
        *,
        reverse: bool = False,
        limit: int | None = None,
        after: Item | None = None,
        batch: int | None = None,
    ) -> Iterator[list[Item]]:
        self._tally.add("scan")
        batches = self._inner.scan(
            space, low, high, reverse=reverse, limit=limit, after=after, batch=batch
        )
        return self._counted(batches)

    def scan_many(
        self,
        space: Space,
        ranges: Sequence[tuple[bytes, bytes | None]],
        *,
        reverse: bool = False,
        limit_each: int | None = None,
    ) -> list[list[Item]]:
        found = self._inner.scan_many(space, ranges, reverse=reverse, limit_each=limit_each)
        self._tally.add("scan_many", keys=len(ranges) + sum(map(len, found)))
        return found

    def read_related(
        self,
        index: Space,
        rows: Space,
        keys: Sequence[bytes],
        *,
        limit_each: int | None = None,
        limit_all: int | None = None,
    ) -> tuple[list[bytes], list[bytes | None]]:
        found, values = self._inner.read_related(
            index, rows, keys, limit_each=limit_each, limit_all=limit_all
        )
        self._tally.add("read_related", keys=len(keys) + 2 * len(values))
        return found, values

    def scan_rows(
        self,
        index: Space,
        rows: Space,
        low: bytes = b"",
        high: bytes | None = None,
        *,
        reverse: bool = False,
        limit: int | None = None,
        after: Item | None = None,
        batch: int | None = None,
    ) -> Iterator[tuple[list[Item], list[bytes | None]]]:
        self._tally.add("scan_rows")
        batches = self._inner.scan_rows(
            index, rows, low, high, reverse=reverse, limit=limit, after=after, batch=batch
        )
        return self._counted_rows(batches)

    def statistics(self, space: Space) -> SpaceStatistics:
        self._tally.add("statistics")
        return self._inner.statistics(space)

    def space_names(self) -> list[str]:
        self._tally.add("space_names")
        return self._inner.space_names()

    def close(self) -> None:
        self._inner.close()

    def _counted(self, batches: Iterator[list[Item]]) -> Iterator[list[Item]]:
        for items in batches:
            self._tally.add("scan", calls=0, keys=len(items))
            yield items

    def _counted_rows(
        self, batches: Iterator[tuple[list[Item], list[bytes | None]]]
    ) -> Iterator[tuple[list[Item], list[bytes | None]]]:
        for items, rows in batches:
            self._tally.add("scan_rows", calls=0, keys=len(items) + len(rows))
            yield items, rows


class CountingWriteTransaction(CountingReadTransaction):
    """A write transaction whose calls are counted."""

    def __init__(self, inner: WriteTransaction, tally: _Tally) -> None:
        super().__init__(inner, tally)
        self._writer = inner

    def put_many(
        self, space: Space, items: Iterable[Item], *, append: bool = False, fresh: bool = False
    ) -> None:
        self._tally.add("put_many")
        self._writer.put_many(space, self._each("put_many", items), append=append, fresh=fresh)

    def delete_many(self, space: Space, keys: Iterable[bytes]) -> int:
        self._tally.add("delete_many")
        return self._writer.delete_many(space, self._each("delete_many", keys))

    def delete_items(self, space: Space, items: Iterable[Item]) -> int:
        self._tally.add("delete_items")
        return self._writer.delete_items(space, self._each("delete_items", items))

    def drop_space(self, space: Space) -> None:
        self._tally.add("drop_space")
        self._writer.drop_space(space)

    def nested(self) -> CountingWriteTransaction:
        self._tally.add("nested")
        return CountingWriteTransaction(self._writer.nested(), self._tally)

    def commit(self) -> None:
        self._tally.add("commit")
        self._writer.commit()

    def abort(self) -> None:
        self._tally.add("abort")
        self._writer.abort()

    def _each(self, method: str, things: Iterable[_Thing]) -> Iterator[_Thing]:
        count = 0
        try:
            for count, thing in enumerate(things, 1):  # noqa: B007
                yield thing
        finally:
            self._tally.add(method, calls=0, keys=count)


class CountingEngine:
    """Any engine, counted."""

    def __init__(self, inner: Engine) -> None:
        self.inner = inner
        self._tally = _Tally()

    def __repr__(self) -> str:
        counts = self.counts
        return f"<CountingEngine calls={counts.calls} keys={counts.keys} of {self.inner!r}>"

    @property
    def counts(self) -> Counts:
        """What was counted since the start or the last reset; later calls do not change it."""
        return self._tally.frozen()

    def reset(self) -> None:
        """Count from zero."""
        self._tally.reset()

    @property
    def path(self) -> str | None:
        return self.inner.path

    @property
    def read_only(self) -> bool:
        return self.inner.read_only

    def begin_read(self) -> CountingReadTransaction:
        self._tally.add("begin_read")
        return CountingReadTransaction(self.inner.begin_read(), self._tally)

    def begin_write(self, *, wait_s: float | None = None) -> CountingWriteTransaction:
        self._tally.add("begin_write")
        return CountingWriteTransaction(self.inner.begin_write(wait_s=wait_s), self._tally)

    def copy_to(self, path: str, *, compact: bool) -> None:
        self._tally.add("copy_to")
        self.inner.copy_to(path, compact=compact)

    def sync(self) -> None:
        self._tally.add("sync")
        self.inner.sync()

    def statistics(self) -> EngineStatistics:
        return self.inner.statistics()

    def close(self) -> None:
        self.inner.close()


def _duplicates(space: Space, found: Sequence[bytes]) -> int:
    return sum(map(len, found)) // max(1, space.duplicate_bytes)
