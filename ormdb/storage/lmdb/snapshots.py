"""Reading: the calls that a snapshot and a write transaction have in common, and the snapshot.

    with turn:                    whose turn it is, see `turns`
        raw = transaction         or the error that says why it has ended
        handle = handle of space  or nothing: a space that does not exist reads as empty
        reads.values(…)           the tight loop

A scan makes its cursor anew for each batch and seeks to the item it had last, so that nothing of
LMDB lives between two batches.

Invariants (held by tests/conformance/test_engine.py and tests/unit/storage/test_lmdb_snapshots.py):
  1. Nothing of LMDB is touched outside of a turn.
  2. A snapshot that ended says why at every later call; closing it stays harmless.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, Self

import lmdb

from ormdb import limits
from ormdb.errors import OrmdbError, UsageError
from ormdb.pulse import in_steps
from ormdb.storage.batches import (
    batch_sizes,
    check_limit,
    check_map,
    check_multimap,
    check_row_index,
)
from ormdb.storage.engine import Item, Space, SpaceStatistics
from ormdb.storage.lmdb import reads
from ormdb.storage.lmdb.environment import Environment
from ormdb.storage.lmdb.faults import FAULTS, translate
from ormdb.storage.lmdb.pages import read_record
from ormdb.storage.lmdb.readers import Handle, OpenRead, RawTransaction


class Reads(ABC):
    """What can be read through any open transaction."""

    notes: dict[str, Any] | None = None

    @property
    @abstractmethod
    def _turn(self) -> AbstractContextManager[object]:
        """What a call enters before it touches LMDB."""

    @abstractmethod
    def _open_raw(self) -> RawTransaction:
        """LMDB's transaction, or the error that says why there is none any more."""

    @abstractmethod
    def _find(self, space: Space) -> Handle | None:
        """The handle of a space, or None where it does not exist; may begin `raw` anew."""

    @abstractmethod
    def _failed(self, error: lmdb.Error | OverflowError, doing: str) -> OrmdbError:
        """The error to raise in place of one of LMDB's."""

    def get_many(self, space: Space, keys: Sequence[bytes]) -> list[bytes | None]:
        check_map(space)
        with self._turn:
            return self._values(space, keys)

    def many(
        self, space: Space, keys: Sequence[bytes], *, limit_each: int | None = None
    ) -> list[bytes]:
        check_multimap(space)
        check_limit(limit_each)
        with self._turn:
            found = self._duplicates(space, keys, limit_each, None)
        if max(map(len, found), default=0) > space.duplicate_bytes:
            reads.require_rising(found, space.duplicate_bytes)
        return found

    def count_many(self, space: Space, keys: Sequence[bytes]) -> list[int]:
        check_multimap(space)
        with self._turn:
            cursor = self._cursor(space)
            if cursor is None:
                return [0] * len(keys)
            try:
                return reads.counts(cursor, reads.present_keys(keys))
            except FAULTS as error:
                raise self._failed(error, f"counting in {space.name}") from error

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
        with self._turn:
            self._open_raw()
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
        with self._turn:
            cursor = self._cursor(space)
            if cursor is None:
                return [[] for _ in ranges]
            try:
                found = [
                    reads.range_items(cursor, low, high, reverse=reverse, count=limit_each)
                    for part in in_steps(ranges, limits.SCAN_BATCH_ROWS)
                    for low, high in part
                ]
            except FAULTS as error:
                raise self._failed(error, f"scanning {space.name}") from error
        for part in in_steps(list(zip(found, ranges, strict=True))):
            for items, bounds in part:
                reads.require_order(items, bounds, width=space.duplicate_bytes, reverse=reverse)
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
        check_row_index(index)
        check_map(rows)
        check_limit(limit_each)
        check_limit(limit_all)
        with self._turn:
            found = self._duplicates(index, keys, limit_each, limit_all)
            return found, self._values(rows, reads.require_rising(found, index.duplicate_bytes))

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
        with self._turn:
            handle, raw = self._find(space), self._open_raw()
            if handle is None:
                return SpaceStatistics(entries=0, bytes=0, depth=0)
            try:
                stat = raw.stat(handle[0])
            except FAULTS as error:
                raise self._failed(error, f"measuring {space.name}") from error
        pages = stat["branch_pages"] + stat["leaf_pages"] + stat["overflow_pages"]
        return SpaceStatistics(
            entries=stat["entries"], bytes=pages * stat["psize"], depth=stat["depth"]
        )

    def space_names(self) -> list[str]:
        with self._turn:
            raw = self._open_raw()
            try:
                # The records lag behind the writes of this transaction, its handles do not.
                entries = {
                    name.decode(): read_record(record).entries
                    for name, record in raw.cursor().iternext()
                }
                for name, (database, _) in self._known().items():
                    entries[name] = raw.stat(database)["entries"]
            except FAULTS as error:
                raise self._failed(error, "listing the spaces") from error
        return sorted(name for name, count in entries.items() if count)

    def _known(self) -> dict[str, Handle]:
        """Handles whose spaces this transaction may have changed."""
        return {}

    def _cursor(self, space: Space) -> lmdb.Cursor[bytes] | None:
        handle, raw = self._find(space), self._open_raw()
        if handle is None:
            return None
        try:
            return raw.cursor(handle[0])
        except FAULTS as error:
            raise self._failed(error, f"beginning to read {space.name}") from error

    def _values(self, space: Space, keys: Sequence[bytes]) -> list[bytes | None]:
        handle, raw = self._find(space), self._open_raw()
        if handle is None:
            return [None] * len(keys)
        try:
            if len(keys) == 1:
                return [raw.get(keys[0], db=handle[0])]
            return reads.values(raw.cursor(handle[0]), keys)
        except lmdb.BadValsizeError:
            return reads.values(raw.cursor(handle[0]), reads.present_keys(keys))
        except FAULTS as error:
            raise self._failed(error, f"reading {space.name}") from error

    def _duplicates(
        self, space: Space, keys: Sequence[bytes], limit_each: int | None, limit_all: int | None
    ) -> list[bytes]:
        cursor = self._cursor(space)
        if cursor is None or not keys:
            return [b""] * len(keys)
        bounds = reads.Bounds(space.duplicate_bytes, limit_each, limit_all)
        try:
            return reads.duplicates(cursor, keys, bounds)
        except lmdb.BadValsizeError:
            return reads.duplicates(cursor, reads.present_keys(keys), bounds)
        except FAULTS as error:
            raise self._failed(error, f"reading {space.name}") from error

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
            with self._turn:
                cursor = self._cursor(space)
                if cursor is None:
                    return
                width = space.duplicate_bytes
                try:
                    items = reads.next_items(
                        cursor, bounds, after, size, width=width, reverse=reverse
                    )
                except FAULTS as error:
                    raise self._failed(error, f"scanning {space.name}") from error
            if items:
                reads.require_order(items, bounds, width=width, reverse=reverse, after=after)
                after = items[-1]
                yield items
            if len(items) < size:
                return


class LmdbReadTransaction(Reads):
    """A snapshot."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._opened: OpenRead
        self.notes = environment.begin_read(self._claim).notes

    def _claim(self, opened: OpenRead) -> None:
        self._environment.readers.hold(opened, self)
        self._opened = opened

    def __repr__(self) -> str:
        state = self._opened.ending or "open"
        return f"<LmdbReadTransaction {state} commit={self._opened.txn_id}>"

    def close(self) -> None:
        opened = self._opened
        if opened.raw is not None:
            with opened.lock:
                self._environment.end_read(opened)
            opened.holder = None

    def owned_by(self, owner: object) -> Self:
        """This, which ends with `owner`."""
        self._opened.owner = owner
        return self

    @property
    def _turn(self) -> AbstractContextManager[object]:
        return self._opened.turn

    def _open_raw(self) -> RawTransaction:
        raw = self._opened.raw
        if raw is None:
            raise self._opened.refusal(self._environment.path)
        return raw

    def _find(self, space: Space) -> Handle | None:
        opened = self._opened
        handle = opened.handles.get(space.name)
        if handle is None:
            if opened.is_complete or not self._exists(space):
                return None
            self._environment.complete(opened)
            handle = opened.handles.get(space.name)
        if handle is not None and handle[1] != bool(space.duplicate_bytes):
            raise wrong_kind(space, is_multimap=handle[1])
        return handle

    def _exists(self, space: Space) -> bool:
        """Whether this snapshot has the space, whose handle may be unknown here."""
        try:
            return self._open_raw().get(space.name.encode()) is not None
        except FAULTS as error:
            raise self._failed(error, f"looking up {space.name}") from error

    def _failed(self, error: lmdb.Error | OverflowError, doing: str) -> OrmdbError:
        return translate(error, self._environment.path, doing)


def wrong_kind(space: Space, *, is_multimap: bool) -> UsageError:
    """The error of asking for a map as a multimap, or the other way round."""
    kind = "a multimap" if is_multimap else "a map"
    return UsageError(f"space {space.name!r} is {kind}; ask for it as it was first written to")
