"""A write transaction in memory over a snapshot: what a transaction wrote and nobody else sees.

    base, a snapshot      rows/3    41 -> a    42 -> b    43 -> c
    removed from it       rows/3               42         43
    written               rows/3               42 -> B               44 -> d
    what a read finds               41 -> a    42 -> B               44 -> d

It holds no lock and touches no file, so any number of them may be open beside each other.  Every
read asks the base and the difference, also between the batches of a scan.  A space that was not
written to is read from the base directly.

A transaction nested in it is an overlay over this one: to abort it is to forget it, and its commit
hands its difference down.  The outermost one has nothing to commit to: whoever wrote through it
does the same again on the engine.

Invariants (held by tests/conformance/test_engine.py, which runs on overlays as well, and by
tests/unit/storage/test_overlay.py):
  1. A read finds what it would find if everything had been written to an engine.
  2. The base is never written to.  What is removed from it was in it, so counts are exact.
  3. An overlay holds about `bytes_max` at most; the write that would pass it is refused.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any, Final

from ormdb.errors import ClosedError, ThreadError, UsageError
from ormdb.storage.batches import (
    batch_sizes,
    check_appended,
    check_limit,
    check_map,
    check_multimap,
    check_row_index,
    chunks,
    cut_ids,
    split_ids,
)
from ormdb.storage.engine import (
    Item,
    ReadTransaction,
    Space,
    SpaceStatistics,
    WriteTransaction,
)
from ormdb.storage.sorted_blocks import SortedBlocks

_ITEM_BYTES: Final = 200  # of an item beside its own bytes: a tuple, two bytes objects, a place


class OverlayFullError(Exception):
    """An overlay would hold more than it may; nothing of the write that asked for it counts."""


class _Difference:
    """What was written to one space, and which items of the base it hides."""

    __slots__ = ("bytes_held", "hides_base", "removed", "removed_count", "written")

    def __init__(self, space: Space) -> None:
        self.written = SortedBlocks(space.duplicate_bytes, object())
        self.removed: dict[bytes, set[bytes]] = {}  # in a map the keys alone matter
        self.removed_count = 0
        self.hides_base = False
        self.bytes_held = 0

    def hide(self, item: Item) -> None:
        """Hide an item that the base has."""
        key, value = item
        self.removed.setdefault(key, set()).add(value)
        self.removed_count += 1

    def hides(self, space: Space, item: Item) -> bool:
        """Whether an item of the base is hidden."""
        if self.hides_base:
            return True
        hidden = self.removed.get(item[0])
        return hidden is not None and (not space.duplicate_bytes or item[1] in hidden)


class OverlayTransaction:
    """Writes in memory over `base`; the protocol is `engine.WriteTransaction`."""

    def __init__(
        self,
        base: ReadTransaction,
        *,
        bytes_max: int,
        parent: OverlayTransaction | None = None,
    ) -> None:
        self.notes: dict[str, Any] | None = None
        self.bytes_held = 0
        self._base = base
        self._bytes_max = bytes_max
        self._parent = parent
        self._child: OverlayTransaction | None = None
        self._differences: dict[str, _Difference] = {}
        self._is_open = True
        self._thread = threading.get_ident()

    def __repr__(self) -> str:
        state = "open" if self._is_open else "ended"
        return f"<OverlayTransaction {state} spaces={len(self._differences)}>"

    # --- reading --------------------------------------------------------------------------

    def get_many(self, space: Space, keys: Sequence[bytes]) -> list[bytes | None]:
        check_map(space)
        difference = self._difference(space)
        if difference is None:
            return self._base.get_many(space, keys)
        written, removed = difference.written.get, difference.removed
        asked = [] if difference.hides_base else [key for key in keys if key not in removed]
        found = dict(zip(asked, self._base.get_many(space, asked), strict=True))
        own = {key: written(key) for key in keys if key not in found or found[key] is None}
        return [own[key] if key in own else found[key] for key in keys]

    def many(
        self, space: Space, keys: Sequence[bytes], *, limit_each: int | None = None
    ) -> list[bytes]:
        check_multimap(space)
        check_limit(limit_each)
        difference = self._difference(space)
        if difference is None:
            return self._base.many(space, keys, limit_each=limit_each)
        if difference.hides_base:
            return [difference.written.duplicates(key, limit_each) for key in keys]
        limit = None if difference.removed else limit_each
        found = self._base.many(space, keys, limit_each=limit)
        return [
            self._merged_duplicates(space, difference, key, joined, limit_each)
            for key, joined in zip(keys, found, strict=True)
        ]

    def count_many(self, space: Space, keys: Sequence[bytes]) -> list[int]:
        check_multimap(space)
        difference = self._difference(space)
        if difference is None:
            return self._base.count_many(space, keys)
        written, removed = difference.written, difference.removed
        in_base = [0] * len(keys)
        if not difference.hides_base:
            in_base = self._base.count_many(space, keys)
        return [
            count
            - len(removed.get(key, ()))
            + written.count(written.find_key(key), written.find_key(key + b"\0"))
            for key, count in zip(keys, in_base, strict=True)
        ]

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
        sizes = batch_sizes(batch, limit)
        self._difference(space)
        return self._batches(space, (low, high), sizes, after, reverse=reverse)

    def scan_many(
        self,
        space: Space,
        ranges: Sequence[tuple[bytes, bytes | None]],
        *,
        reverse: bool = False,
        limit_each: int | None = None,
    ) -> list[list[Item]]:
        check_limit(limit_each)
        if self._difference(space) is None:
            return self._base.scan_many(space, ranges, reverse=reverse, limit_each=limit_each)
        return [self._read(space, each, None, limit_each, reverse=reverse) for each in ranges]

    def read_related(
        self,
        index: Space,
        rows: Space,
        keys: Sequence[bytes],
        *,
        limit_each: int | None = None,
        limit_all: int | None = None,
    ) -> tuple[list[bytes], list[bytes | None]]:
        check_row_index(index)
        check_limit(limit_all)
        if self._difference(index) is None and self._difference(rows) is None:
            return self._base.read_related(
                index, rows, keys, limit_each=limit_each, limit_all=limit_all
            )
        found = cut_ids(self.many(index, keys, limit_each=limit_each), limit_all)
        return found, self.get_many(rows, split_ids(b"".join(found)))

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
        check_row_index(index)
        check_map(rows)
        batches = self.scan(
            index, low, high, reverse=reverse, limit=limit, after=after, batch=batch
        )
        return ((items, self.get_many(rows, [row for _, row in items])) for items in batches)

    def statistics(self, space: Space) -> SpaceStatistics:
        base, difference = self._base.statistics(space), self._difference(space)
        if difference is None:
            return base
        written = difference.written
        below = 0 if difference.hides_base else base.entries - difference.removed_count
        return SpaceStatistics(
            entries=below + written.entries, bytes=base.bytes + written.bytes, depth=base.depth
        )

    def space_names(self) -> list[str]:
        self._check_open()
        names = {name for name in self._base.space_names() if name not in self._differences}
        for name, difference in self._differences.items():
            space = Space(name, difference.written.duplicate_bytes)
            if self.statistics(space).entries:
                names.add(name)
        return sorted(names)

    # --- writing --------------------------------------------------------------------------

    def put_many(
        self, space: Space, items: Iterable[Item], *, append: bool = False, fresh: bool = False
    ) -> None:
        self._difference(space)
        for chunk in chunks(space, items):
            if append:
                check_appended(space, chunk, self._last(space))
            difference = self._own(space)
            self._hold(difference, chunk)
            if space.duplicate_bytes:
                put = chunk if append or fresh else self._absent(space, difference, chunk)
            else:
                put = chunk
                for item in [] if append or fresh else self._present(space, difference, chunk):
                    difference.hide(item)
            for item in put:
                difference.written.put(item)

    def delete_many(self, space: Space, keys: Iterable[bytes]) -> int:
        self._difference(space)
        deleted = 0
        for key in keys:
            if not key:
                continue
            there = self._read(space, (key, key + b"\0"), None, None, reverse=False)
            deleted += bool(there)
            if there:
                self._remove(space, there)
        return deleted

    def delete_items(self, space: Space, items: Iterable[Item]) -> int:
        check_multimap(space)
        self._difference(space)
        deleted = 0
        for chunk in chunks(space, items):
            there = [item for item in dict.fromkeys(chunk) if self._has(space, item)]
            deleted += len(there)
            if there:
                self._remove(space, there)
        return deleted

    def drop_space(self, space: Space) -> None:
        self._difference(space)
        difference = self._differences[space.name] = _Difference(space)
        difference.hides_base = True

    # --- its end --------------------------------------------------------------------------

    def nested(self) -> OverlayTransaction:
        self._check_open()
        below = OverlayTransaction(self._base, bytes_max=0)  # what this one is, but never resting
        below._differences = self._differences
        left = self._bytes_max - self.bytes_held
        self._child = OverlayTransaction(below, bytes_max=left, parent=self)
        return self._child

    def commit(self) -> None:
        self._check_open()
        parent = self._parent
        if parent is None:
            raise UsageError("an overlay has nothing to commit to; run its statements again")
        parent._child = None
        self.hand_down(parent)
        self._is_open = False

    def hand_down(self, target: WriteTransaction) -> None:
        """Write the difference to a transaction that has what the base has."""
        self._check_open()
        for name, difference in self._differences.items():
            space = Space(name, difference.written.duplicate_bytes)
            if isinstance(target, OverlayTransaction) and target.adopts(name, difference):
                continue
            if difference.hides_base:
                target.drop_space(space)
            if space.duplicate_bytes:
                gone = [(key, each) for key, those in difference.removed.items() for each in those]
                target.delete_items(space, gone)
            else:
                target.delete_many(space, difference.removed)
            target.put_many(space, chain.from_iterable(difference.written.blocks))

    def adopts(self, name: str, difference: _Difference) -> bool:
        """Take over what a nested overlay wrote to a space that was not written to before."""
        if name in self._differences:
            return False
        self._differences[name] = difference
        self.bytes_held += difference.bytes_held
        return True

    def abort(self) -> None:
        if not self._is_open:
            return
        self._check_thread()
        if self._child is not None:
            self._child.abort()
        self._is_open = False
        self._differences.clear()
        if self._parent is not None:
            self._parent._child = None

    def close(self) -> None:
        self.abort()

    # --- what is there --------------------------------------------------------------------

    def _check_open(self) -> None:
        self._check_thread()
        if not self._is_open:
            raise ClosedError("this transaction has ended; begin a new one")
        if self._child is not None:
            raise UsageError(
                "this transaction rests while one nested in it is open; commit or abort that first"
            )

    def _check_thread(self) -> None:
        if threading.get_ident() != self._thread:
            raise ThreadError(
                "a write transaction belongs to the thread that began it; begin one in this thread"
            )

    def _difference(self, space: Space) -> _Difference | None:
        self._check_open()
        difference = self._differences.get(space.name)
        if difference is not None and difference.written.duplicate_bytes != space.duplicate_bytes:
            raise UsageError(
                f"space {space.name!r} has duplicates of {difference.written.duplicate_bytes} "
                f"bytes, not of {space.duplicate_bytes} (0 is a map); ask for it as it was first "
                "written to"
            )
        return difference

    def _own(self, space: Space) -> _Difference:
        difference = self._difference(space)
        if difference is None:
            self._base.statistics(space)  # refuses a space of another kind
            difference = self._differences[space.name] = _Difference(space)
        return difference

    def _hold(self, difference: _Difference, items: Sequence[Item]) -> None:
        count = sum(len(key) + len(value) + _ITEM_BYTES for key, value in items)
        difference.bytes_held += count
        self.bytes_held += count
        if self.bytes_held > self._bytes_max:
            raise OverlayFullError

    def _batches(
        self,
        space: Space,
        bounds: tuple[bytes, bytes | None],
        sizes: Iterator[int],
        after: Item | None,
        *,
        reverse: bool,
    ) -> Iterator[list[Item]]:
        for size in sizes:
            items = self._read(space, bounds, after, size, reverse=reverse)
            if items:
                after = items[-1]
                yield items
            if len(items) < size:
                return

    def _read(
        self,
        space: Space,
        bounds: tuple[bytes, bytes | None],
        after: Item | None,
        count: int | None,
        *,
        reverse: bool,
    ) -> list[Item]:
        """The first `count` items of a range beyond `after`."""
        difference = self._difference(space)
        if difference is None:
            return self._from_base(space, bounds, after, count, reverse=reverse)
        start, stop = difference.written.range(bounds, after, reverse=reverse)
        read = difference.written.backward if reverse else difference.written.forward
        own = read(start, stop, count)
        if difference.hides_base:
            return own
        found: list[Item] = []
        while True:
            part = self._from_base(space, bounds, after, count, reverse=reverse)
            found += [item for item in part if not difference.hides(space, item)]
            if count is None or len(part) < count or len(found) >= count:
                break
            after = part[-1]
        return sorted(found + own, reverse=reverse)[:count]

    def _from_base(
        self,
        space: Space,
        bounds: tuple[bytes, bytes | None],
        after: Item | None,
        count: int | None,
        *,
        reverse: bool,
    ) -> list[Item]:
        low, high = bounds
        batches = self._base.scan(
            space, low, high, reverse=reverse, limit=count, after=after, batch=count or None
        )
        return list(chain.from_iterable(batches))

    def _merged_duplicates(
        self, space: Space, difference: _Difference, key: bytes, joined: bytes, limit: int | None
    ) -> bytes:
        own = difference.written.duplicates(key, None)
        removed = difference.removed.get(key)
        width = space.duplicate_bytes
        if own or removed:
            ids = {joined[at : at + width] for at in range(0, len(joined), width)}
            ids -= removed or set()
            ids |= {own[at : at + width] for at in range(0, len(own), width)}
            joined = b"".join(sorted(ids))
        return joined if limit is None else joined[: limit * width]

    def _last(self, space: Space) -> Item | None:
        found = self._read(space, (b"", None), None, 1, reverse=True)
        return found[0] if found else None

    def _has(self, space: Space, item: Item) -> bool:
        """Whether a multimap has an item."""
        key, value = item
        after = None
        if any(value):
            before = int.from_bytes(value, "big") - 1
            after = (key, before.to_bytes(len(value), "big"))
        return self._read(space, (key, key + b"\0"), after, 1, reverse=False) == [item]

    def _absent(self, space: Space, difference: _Difference, items: Sequence[Item]) -> list[Item]:
        """The items that are not there yet: most keys of new rows have no entry at all."""
        if difference.hides_base:
            return list(items)
        counts = self._base.count_many(space, [key for key, _ in items])
        return [
            item
            for item, count in zip(items, counts, strict=True)
            if not count or not self._has(space, item)
        ]

    def _present(self, space: Space, difference: _Difference, items: Sequence[Item]) -> list[Item]:
        """The items of the base, not hidden so far, that are about to be replaced in a map."""
        if difference.hides_base:
            return []
        keys = list(dict.fromkeys(key for key, _ in items))
        asked = [key for key in keys if key not in difference.removed]
        found = self._base.get_many(space, asked)
        return [(key, value) for key, value in zip(asked, found, strict=True) if value is not None]

    def _remove(self, space: Space, items: Sequence[Item]) -> None:
        """Remove items that are there."""
        difference = self._own(space)
        self._hold(difference, items)
        written = difference.written
        for item in items:
            at = written.find(item) if space.duplicate_bytes else written.find_key(item[0])
            if written.at(at) == item:
                written.delete(at, written.find_beyond(item))
            else:
                difference.hide(item)
