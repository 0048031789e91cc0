"""The engine protocol: named ordered spaces, snapshots for readers, one writer.

The unit of work is a batch.  A caller never fetches key by key in a loop: each method is one
round trip for an engine that lies across a network, and one tight loop for one that does not.

    space "rows/3"        MAP        one value per key
    space "relation/7"    MULTIMAP   sorted duplicates of one fixed width per key

      00..01 -> [00..05, 00..09]     parent 1 has children 5 and 9
      00..02 -> [00..07]

Contract (held by tests/conformance/test_engine.py, for every engine):
  1. A reader sees exactly the commits that ended before it began, for as long as it lives.
  2. Keys come in byte order; duplicates of one key in byte order; both reversed on request.
  3. A write is seen by its own transaction at once, by readers that begin after its commit, by
     nobody after an abort.  Nested transactions abort alone.
  4. A scan holds no cursor between batches: writes of the same transaction between two batches
     neither break it nor make it repeat a key.
  5. Spaces come into being when first written to; a space that does not exist reads as empty, and
     one that has become empty is not listed.
  6. Errors are ormdb's own (UnavailableError, CorruptionError, UsageError families).
  7. Keys have 1 to KEY_BYTES_MAX bytes, and duplicates their space's width: anything else is
     refused by a write with UsageError, before any item of its chunk is put, and found by no read.

Threads: an engine may be used from any thread.  A read transaction may move between threads but
serves one call at a time.  A write transaction belongs to the thread that began it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias

Item: TypeAlias = tuple[bytes, bytes]
Durability: TypeAlias = Literal["full", "relaxed", "none"]


@dataclass(frozen=True, slots=True)
class Space:
    """A named ordered space.  `duplicate_bytes` is 0 for a map, else the width of duplicates."""

    name: str
    duplicate_bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SpaceStatistics:
    """How large a space is.  Bytes are of whole pages where the engine has pages."""

    entries: int
    bytes: int
    depth: int


class ReadTransaction(Protocol):
    """A snapshot.

    Attributes:
      notes: what was found out about the commit that this sees, shared by all snapshots of it, for
        whoever would find out the same each time; None where there is no such place.
    """

    notes: dict[str, Any] | None

    def get_many(self, space: Space, keys: Sequence[bytes]) -> list[bytes | None]:
        """The value of each key of a map, or None."""
        ...

    def many(
        self, space: Space, keys: Sequence[bytes], *, limit_each: int | None = None
    ) -> list[bytes]:
        """The duplicates of each key of a multimap, joined: b"" where the key is absent.

        Each item's length is a multiple of `space.duplicate_bytes`; at most `limit_each`
        duplicates per key, the first in order.
        """
        ...

    def count_many(self, space: Space, keys: Sequence[bytes]) -> list[int]:
        """How many duplicates each key of a multimap has, without reading them."""
        ...

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
        """Batches of (key, value) or (key, duplicate), low <= key < high, in order.

        `high=None` means to the end.  `after` skips everything up to and including that item,
        in the direction of the scan (for a map only its key matters).  At most `limit` items in
        all.  The first batch holds `batch` items, later ones grow up to SCAN_BATCH_ROWS; no
        batch is empty.
        """
        ...

    def scan_many(
        self,
        space: Space,
        ranges: Sequence[tuple[bytes, bytes | None]],
        *,
        reverse: bool = False,
        limit_each: int | None = None,
    ) -> list[list[Item]]:
        """The items of every range, low <= key < high, at most `limit_each` of each."""
        ...

    def read_related(
        self,
        index: Space,
        rows: Space,
        keys: Sequence[bytes],
        *,
        limit_each: int | None = None,
        limit_all: int | None = None,
    ) -> tuple[list[bytes], list[bytes | None]]:
        """`many(index, keys)` and then `get_many(rows, every duplicate)`, in one round trip.

        `index` has duplicates of 8 bytes.  Returns the joined duplicates of each key, and the
        rows of all of them in that order; a duplicate that occurs twice is read twice.  At most
        `limit_each` duplicates per key and `limit_all` altogether, those of the first keys.
        """
        ...

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
        """`scan(index)` with the row of each entry's duplicate beside it, in one round trip."""
        ...

    def statistics(self, space: Space) -> SpaceStatistics:
        """The size of one space."""
        ...

    def space_names(self) -> list[str]:
        """Every space that holds an item, sorted."""
        ...

    def close(self) -> None:
        """End the snapshot.  Closing twice is harmless."""
        ...


class WriteTransaction(ReadTransaction, Protocol):
    """The one writer."""

    def put_many(
        self, space: Space, items: Iterable[Item], *, append: bool = False, fresh: bool = False
    ) -> None:
        """Put every item; in a map a key that exists is overwritten, in a multimap a duplicate
        that exists stays one.  `append` promises that items are sorted and beyond the last key
        of the space (for a multimap: beyond the last item), which lets an engine fill its pages;
        a broken promise raises UsageError and leaves the transaction to be aborted.  `fresh`
        promises that none of them is there yet, which spares whoever counts them a look.
        """
        ...

    def delete_many(self, space: Space, keys: Iterable[bytes]) -> int:
        """Delete keys of a map, or whole keys of a multimap; how many keys were there."""
        ...

    def delete_items(self, space: Space, items: Iterable[Item]) -> int:
        """Delete single duplicates of a multimap; how many were there."""
        ...

    def drop_space(self, space: Space) -> None:
        """Empty the space and let it cease to exist, in time independent of its size class."""
        ...

    def nested(self) -> WriteTransaction:
        """A transaction inside this one, which rests until the nested one ends."""
        ...

    def commit(self) -> None:
        """Make everything durable and visible (or, nested, part of the parent)."""
        ...

    def abort(self) -> None:
        """Undo everything.  Aborting after the end is harmless."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineStatistics:
    """Counters of one open engine; `details` are the engine's own."""

    map_bytes: int
    used_bytes: int
    readers: int
    details: Mapping[str, int]


class Engine(Protocol):
    """An open set of spaces."""

    @property
    def path(self) -> str | None:
        """The file, or None for an engine without one."""
        ...

    @property
    def read_only(self) -> bool:
        """Whether begin_write is refused."""
        ...

    def begin_read(self) -> ReadTransaction:
        """A snapshot of the newest commit."""
        ...

    def begin_write(self, *, wait_s: float | None = None) -> WriteTransaction:
        """Become the one writer, after waiting for the writer before.

        Args:
          wait_s: how long to wait; as long as the engine does by itself when not given.

        Raises:
          ReadOnlyError: the engine is open for reading only.
          BusyError: the other writer did not end in that time.
        """
        ...

    def copy_to(self, path: str, *, compact: bool) -> None:
        """Write a consistent copy to a new file while readers and the writer go on."""
        ...

    def sync(self) -> None:
        """Flush everything to the disk, whatever the durability."""
        ...

    def statistics(self) -> EngineStatistics:
        """Counters of the engine."""
        ...

    def close(self) -> None:
        """End every snapshot and close.  Closing twice is harmless."""
        ...
