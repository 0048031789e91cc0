"""The engine in memory: snapshots share blocks, writers copy the blocks they touch.

The database is a mapping from names to `SortedBlocks`, and a commit replaces the mapping:

    snapshot A ──> {"rows/3": v1, "relation/7": v1}
                          └──────────────┐ shared
    snapshot B ──> {"rows/3": v2, "relation/7": v1}      after a commit that wrote to rows/3

So a snapshot is one reference, and a commit costs what the transaction touched, not what the
database holds.  A nested transaction is a new owner over the same blocks: to abort it is to
forget its mapping.

Invariants (held by tests/conformance/test_engine.py and tests/unit/storage/test_memory.py):
  1. A published mapping, and every block it reaches, is never changed.
  2. One writer at a time; it belongs to the thread that began it.
  3. A transaction that has ended, or whose engine has, refuses every call but its own end.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from ormdb import limits
from ormdb.errors import BusyError, ClosedError, ThreadError, UsageError
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
from ormdb.storage.engine import EngineStatistics, Item, Space, SpaceStatistics
from ormdb.storage.sorted_blocks import SortedBlocks

_NOBODY: Final = object()


class MemoryReadTransaction:
    """A snapshot: the mapping as it was."""

    def __init__(
        self,
        engine: MemoryEngine,
        spaces: Mapping[str, SortedBlocks],
        notes: dict[str, Any] | None = None,
    ) -> None:
        self.notes = notes
        self._engine = engine
        self._spaces = spaces
        self._is_open = True

    def __repr__(self) -> str:
        state = "open" if self._is_open else "ended"
        return f"<{type(self).__name__} {state} spaces={len(self._spaces)}>"

    def get_many(self, space: Space, keys: Sequence[bytes]) -> list[bytes | None]:
        check_map(space)
        return list(map(self._blocks(space).get, keys))

    def many(
        self, space: Space, keys: Sequence[bytes], *, limit_each: int | None = None
    ) -> list[bytes]:
        check_multimap(space)
        check_limit(limit_each)
        blocks = self._blocks(space)
        return [blocks.duplicates(key, limit_each) for key in keys]

    def count_many(self, space: Space, keys: Sequence[bytes]) -> list[int]:
        check_multimap(space)
        blocks = self._blocks(space)
        return [blocks.count(blocks.find_key(k), blocks.find_key(k + b"\0")) for k in keys]

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
        self._blocks(space)
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
        blocks = self._blocks(space)
        read = blocks.backward if reverse else blocks.forward
        return [read(*blocks.range(bounds, None, reverse=reverse), limit_each) for bounds in ranges]

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
        blocks = self._blocks(space)
        depth = 0 if not blocks.entries else 2
        return SpaceStatistics(entries=blocks.entries, bytes=blocks.bytes, depth=depth)

    def space_names(self) -> list[str]:
        self._check_open()
        return sorted(name for name, blocks in self._spaces.items() if blocks.entries)

    def close(self) -> None:
        if self._is_open:
            self._is_open = False
            self._engine.reader_ended()

    def _check_open(self) -> None:
        if not self._is_open:
            raise ClosedError("this snapshot was closed; begin a new one")
        self._engine.check_open()

    def _blocks(self, space: Space) -> SortedBlocks:
        self._check_open()
        blocks = self._spaces.get(space.name)
        if blocks is None:
            return SortedBlocks(space.duplicate_bytes, _NOBODY)
        if blocks.duplicate_bytes != space.duplicate_bytes:
            raise UsageError(
                f"space {space.name!r} has duplicates of {blocks.duplicate_bytes} bytes, not of"
                f" {space.duplicate_bytes} (0 is a map); ask for it as it was first written to"
            )
        return blocks

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
            blocks = self._blocks(space)
            start, stop = blocks.range(bounds, after, reverse=reverse)
            read = blocks.backward if reverse else blocks.forward
            items = read(start, stop, size)
            if items:
                after = items[-1]
                yield items
            if len(items) < size:
                return


class MemoryWriteTransaction(MemoryReadTransaction):
    """The one writer, or a transaction nested in it."""

    def __init__(self, engine: MemoryEngine, parent: MemoryWriteTransaction | None) -> None:
        below = engine.published() if parent is None else parent._own
        self._own: dict[str, SortedBlocks] = dict(below)
        super().__init__(engine, self._own)
        self._parent = parent
        self._child: MemoryWriteTransaction | None = None
        self._owner: object = object()
        self._thread = threading.get_ident()

    def put_many(
        self, space: Space, items: Iterable[Item], *, append: bool = False, fresh: bool = False
    ) -> None:
        self._blocks(space)
        for chunk in chunks(space, items):
            blocks = self._owned(space)
            if append:
                check_appended(space, chunk, blocks.last())
                blocks.append(chunk)
            else:
                for key, value in chunk:
                    blocks.put((key, value))

    def delete_many(self, space: Space, keys: Iterable[bytes]) -> int:
        self._blocks(space)
        deleted = 0
        for key in keys:
            blocks = self._blocks(space)
            if blocks.count(blocks.find_key(key), blocks.find_key(key + b"\0")):
                blocks = self._owned(space)
                blocks.delete(blocks.find_key(key), blocks.find_key(key + b"\0"))
                deleted += 1
        return deleted

    def delete_items(self, space: Space, items: Iterable[Item]) -> int:
        check_multimap(space)
        self._blocks(space)
        deleted = 0
        for chunk in chunks(space, items):
            for item in chunk:
                if (blocks := self._blocks(space)).at(blocks.find(item)) == item:
                    blocks = self._owned(space)
                    deleted += blocks.delete(blocks.find(item), blocks.find_beyond(item))
        return deleted

    def drop_space(self, space: Space) -> None:
        self._blocks(space)
        self._own.pop(space.name, None)

    def nested(self) -> MemoryWriteTransaction:
        self._check_open()
        self._child = MemoryWriteTransaction(self._engine, self)
        return self._child

    def commit(self) -> None:
        self._check_open()
        self._is_open = False
        if self._parent is None:
            self._engine.publish(self._own)
            self._engine.writer_ended()
        else:
            self._parent.adopt(self._own, self._owner)

    def abort(self) -> None:
        if not self._is_open:
            return
        self._check_thread()
        if self._child is not None:
            self._child.abort()
        self._is_open = False
        if self._parent is None:
            self._engine.writer_ended()
        else:
            self._parent.adopt(None, self._owner)

    def close(self) -> None:
        self.abort()

    def adopt(self, spaces: dict[str, SortedBlocks] | None, owner: object) -> None:
        """Go on after the nested transaction has ended, with what it wrote if it committed."""
        self._child = None
        if spaces is not None:
            self._spaces = self._own = spaces
            self._owner = owner  # what the nested one owned is this one's to change now

    def _check_thread(self) -> None:
        if threading.get_ident() != self._thread:
            raise ThreadError(
                "a write transaction belongs to the thread that began it; begin one in this thread"
            )

    def _check_open(self) -> None:
        self._check_thread()
        if not self._is_open:
            raise ClosedError("this transaction has ended; begin a new one")
        if self._child is not None:
            raise UsageError(
                "this transaction rests while one nested in it is open; commit or abort that first"
            )
        self._engine.check_open()

    def _owned(self, space: Space) -> SortedBlocks:
        blocks = self._blocks(space).owned_by(self._owner)
        self._own[space.name] = blocks
        return blocks


class MemoryEngine:
    """Spaces that live as long as the engine is open."""

    def __init__(self, *, writer_wait_s: float = limits.WRITER_WAIT_S_MAX) -> None:
        # What the newest commit left, and what was noted of it: one tuple, replaced as a whole.
        self._newest: tuple[Mapping[str, SortedBlocks], dict[str, Any]] = _nothing()
        self._writer_wait_s = writer_wait_s
        self._writer = threading.Lock()
        self._writer_thread: int | None = None
        self._counting = threading.Lock()
        self._readers = 0
        self._commits = 0
        self._is_open = True

    def __repr__(self) -> str:
        state = "open" if self._is_open else "closed"
        return f"<MemoryEngine {state} spaces={len(self.published())} readers={self._readers}>"

    @property
    def path(self) -> str | None:
        return None

    @property
    def read_only(self) -> bool:
        return False

    def begin_read(self) -> MemoryReadTransaction:
        self.check_open()
        with self._counting:
            self._readers += 1
        return MemoryReadTransaction(self, *self._newest)

    def begin_write(self, *, wait_s: float | None = None) -> MemoryWriteTransaction:
        self.check_open()
        if self._writer_thread == threading.get_ident():
            raise UsageError(
                "this thread has an open write transaction; end it first, or begin a nested one"
            )
        wait_s = self._writer_wait_s if wait_s is None else wait_s
        if not self._writer.acquire(timeout=wait_s):
            raise BusyError(
                f"another thread's write transaction did not end within {wait_s:g} s;"
                " try again, and keep write transactions short"
            )
        if not self._is_open:
            self._writer.release()
            self.check_open()
        self._writer_thread = threading.get_ident()
        return MemoryWriteTransaction(self, None)

    def copy_to(self, path: str, *, compact: bool) -> None:
        """Write every space to a new file of the engine on disk."""
        self.check_open()
        # Only whoever asks for a file needs the engine that has files.
        from ormdb.storage.lmdb import LmdbEngine

        if Path(path).exists():
            raise UsageError(f"{path} exists; copy to a file that does not")
        source = self.begin_read()
        try:
            target = LmdbEngine.open(path, durability="full")
            try:
                txn = target.begin_write()
                for name, blocks in sorted(self.published().items()):
                    space = Space(name, blocks.duplicate_bytes)
                    for items in source.scan(space):
                        txn.put_many(space, items, append=True)
                txn.commit()
            finally:
                target.close()
        except BaseException:
            Path(path).unlink(missing_ok=True)
            raise
        finally:
            Path(f"{path}-lock").unlink(missing_ok=True)
            source.close()

    def sync(self) -> None:
        self.check_open()

    def statistics(self) -> EngineStatistics:
        self.check_open()
        used = sum(blocks.bytes for blocks in self.published().values())
        details = {"commits": self._commits, "spaces": len(self.published())}
        return EngineStatistics(
            map_bytes=used, used_bytes=used, readers=self._readers, details=details
        )

    def close(self) -> None:
        self._is_open = False
        self._newest = _nothing()

    # --- for its transactions -------------------------------------------------------------

    def check_open(self) -> None:
        """Raises ClosedError once the engine was closed."""
        if not self._is_open:
            raise ClosedError("this database was closed; open it again")

    def published(self) -> Mapping[str, SortedBlocks]:
        """What the newest commit left."""
        return self._newest[0]

    def publish(self, spaces: Mapping[str, SortedBlocks]) -> None:
        """Let readers that begin from now on see these spaces."""
        self._newest = MappingProxyType(spaces), {}
        self._commits += 1

    def writer_ended(self) -> None:
        """Let the next writer begin."""
        self._writer_thread = None
        self._writer.release()

    def reader_ended(self) -> None:
        """Count one snapshot less."""
        with self._counting:
            self._readers -= 1


def _nothing() -> tuple[Mapping[str, SortedBlocks], dict[str, Any]]:
    return MappingProxyType({}), {}
