"""One LMDB environment: opened once per process and file, shared by every engine on that file.

    engine ─┐                       ┌─ snapshots      any number, each with its own age
    engine ─┴─> Environment ────────┼─ one writer     behind the writer lock
                                    └─ handles        one per space, kept while it is open

LMDB may change three things only while no transaction of this process is open: the size of its
map, the number of spaces it has room for, and a broken environment for a new one.  So they wait
for a quiet moment.  While somebody waits for one, new transactions wait as well, and when the
moment does not come in time, whoever asked for it gets BusyError with the age of the oldest
snapshot.  The map is virtual and large, and it doubles when a quarter of it is left, so that this
is rare.

A handle can be registered by a write transaction only (LMDB keeps the handles of no other), and
is seen only by transactions that begin after that.  So whoever begins a transaction compares the
number of spaces with the number of handles, and registers what another process has made meanwhile
before going on.  Spaces are never deleted from the file, only emptied, so equal numbers mean
equal sets, and no handle ever goes stale.

Invariants (held by tests/unit/storage/test_lmdb_environment.py):
  1. Nothing is remapped or reopened while a transaction of this process is open.
  2. A transaction has a handle for every space in its snapshot, or knows that it has not.
  3. No lock is held while this process waits for another one.
"""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import lmdb

from ormdb import limits
from ormdb.errors import BusyError, LimitError, ReadOnlyError
from ormdb.storage.lmdb.aborting import abort_held
from ormdb.storage.lmdb.faults import FAULTS, translate
from ormdb.storage.lmdb.opening import FILE_MODE as FILE_MODE  # noqa: PLC0414
from ormdb.storage.lmdb.opening import Settings, can_lock, cover_tail, open_lmdb
from ormdb.storage.lmdb.readers import Handles, OpenRead, RawTransaction, Readers, with_handles
from ormdb.storage.lmdb.turns import LocklessTurn
from ormdb.storage.lmdb.writer_lock import WriterLock

BEGIN_TRIES_MAX: Final = 5  # a resize, full slots, new spaces and a reopen, once each


def _unclaimed(_: OpenRead) -> None:
    return None


class Environment:
    """A file that this process has open."""

    def __init__(self, path: str, settings: Settings) -> None:
        self.path = path
        self.settings = settings
        self.is_forked = False
        self.is_lockless = settings.read_only and not can_lock(path)
        self.counters = dict.fromkeys(("commits", "map_growths", "reopens"), 0)
        self.readers = Readers(settings.snapshot_age_s)
        self._mutex = threading.Lock()
        self._lock = threading.Condition(self._mutex)
        self._is_gated = False
        self._is_writing = False
        self._handles: Handles = {}
        self._seen = -1  # the newest transaction whose spaces all have handles
        self._noted: tuple[int, dict[str, Any]] = (-1, {})  # a transaction, and its notes
        self._unlearned = -1  # so many spaces could not be given handles in time
        self._map_bytes = settings.map_bytes
        self._spaces_room = settings.spaces_room
        self._map_was_full = False
        self._is_gone = False  # LMDB's environment was closed, and no other could be opened
        self._is_moved = False  # the path may lead to another file than the descriptor
        self._spaces_wanted = 0  # room that the next write transaction cannot do without
        self._reader_check_s = settings.clock.monotonic_s() + limits.READER_CHECK_EVERY_S
        access = os.O_RDONLY if settings.read_only else os.O_RDWR
        self._env = self._open()
        try:
            self._descriptor = os.open(path, access | os.O_CLOEXEC)
        except OSError as error:
            self._env.close()
            raise translate(error, path, "opening it") from error
        flocked = None if settings.read_only else self._descriptor
        self.writer = WriterLock(flocked, path, settings.clock)
        try:
            self.page_bytes = self._env.stat()["psize"]
            self._env.reader_check()
        except FAULTS as error:
            self.close()
            raise translate(error, path, "opening it") from error
        except BaseException:
            self.close()
            raise

    def __repr__(self) -> str:
        return f"<Environment {self.path} readers={len(self.readers)} spaces={len(self._handles)}>"

    @property
    def handles(self) -> Handles:
        """A handle for every space known here."""
        return self._handles

    def meet_spaces(self) -> None:
        """Register handles for what exists, waiting for the writer of another process."""
        opened = self.begin_read()
        with opened.lock:
            is_complete = opened.is_complete
            self.end_read(opened)
        if not is_complete:
            self.learn_spaces(self.settings.writer_wait_s)

    def knows_spaces(self) -> bool:
        """Whether there is a handle for every space of the newest commit."""
        try:
            raw = self._env.begin()
            try:
                return self._count(raw) == len(self._handles)
            finally:
                raw.abort()
        except FAULTS as error:
            raise translate(error, self.path, "looking up its spaces") from error

    # --- reading --------------------------------------------------------------------------

    def begin_read(self, claim: Callable[[OpenRead], None] = _unclaimed) -> OpenRead:
        """A snapshot of the newest commit, with handles for all its spaces.

        `claim` is told of it before it is listed, so that it is never listed and held by nobody.
        """
        remedy: Callable[[], object]
        for _ in range(BEGIN_TRIES_MAX):
            with self._mutex:
                if self._is_gated:
                    self._pass_gate()
                try:
                    opened = self._begin_read(claim)
                except lmdb.MapResizedError:
                    remedy = self._adopt_map
                except lmdb.ReadersFullError:
                    remedy = self._clear_readers
                except lmdb.PanicError:
                    remedy = self._reopen
                except FAULTS as error:
                    if not self._is_gone:
                        raise translate(error, self.path, "beginning to read") from error
                    remedy = self._reopen
                else:
                    if opened.is_complete:
                        return opened
                    count = self._count(opened.raw)
                    if count == self._unlearned:
                        return opened
                    self._end(opened)
                    remedy = partial(self._learn_or_give_up, count)
            remedy()
        raise BusyError(f"no snapshot of {self.path} could be taken; try again")

    def end_read(self, opened: OpenRead) -> None:
        """End a snapshot; the caller holds its lock.  Ending it twice is harmless."""
        with self._mutex:
            self._end(opened)

    def end_reads_of(self, owner: object) -> None:
        """End every snapshot that one engine began, each after the call it is in."""
        for opened in self.readers:
            if opened.owner is owner:
                with opened.lock:
                    opened.end("engine")
                    self.end_read(opened)

    def complete(self, opened: OpenRead) -> None:
        """Give a snapshot handles for spaces that were unknown here when it began.

        Its LMDB transaction cannot see new handles, so it is begun again, which is the same
        snapshot unless somebody has committed meanwhile.

        Raises:
          SnapshotExpiredError: somebody has; handles are there for the next snapshot.
        """
        with self._lock:
            known = len(self._handles)
        if opened.raw is not None and self._count(opened.raw) > known:
            self.learn_spaces(self.settings.writer_wait_s)
        with self._lock:
            assert opened.raw is not None, "completed after its end"
            opened.raw.abort()
            opened.raw = None
            opened.ending = "overtaken"
            try:
                raw = self._env.begin()
                if raw.id() == opened.txn_id:
                    opened.raw, opened.ending = raw, None
                else:
                    raw.abort()
            except lmdb.MapResizedError:
                pass  # so somebody has committed
            except FAULTS as error:
                opened.ending = "failed"
                raise translate(error, self.path, "beginning to read") from error
            finally:
                if opened.raw is None:
                    self.readers.remove(opened)
                    self._lock.notify_all()
            if opened.raw is None:
                raise opened.refusal(self.path)
            opened.handles, opened.is_complete = self._handles, True

    def last_txn_id(self) -> int:
        """The number of the newest commit of any process."""
        return self._env.info()["last_txnid"]

    # --- writing --------------------------------------------------------------------------

    def begin_write(self, wait_s: float | None = None) -> tuple[RawTransaction, Handles]:
        """Become the one writer; `end_write` must follow."""
        if self.settings.read_only:
            raise ReadOnlyError(f"{self.path} is open for reading only; open it for writing")
        wait_s = self.settings.writer_wait_s if wait_s is None else wait_s
        self.writer.acquire(wait_s, end_left_over=self.end_write)
        try:
            if self._is_gone:
                self._reopen()
            self._make_room()
            return self._begin_write()
        except BaseException:
            self.writer.release()
            raise

    def begin_nested(self, parent: RawTransaction) -> RawTransaction:
        """A transaction inside another one."""
        return self._env.begin(parent=parent, write=True)

    def open_space(self, name: str, raw: RawTransaction, *, is_multimap: bool) -> lmdb._Database:
        """Make a space; the handle lasts when the transaction commits."""
        return self._env.open_db(
            name.encode(), txn=raw, create=True, dupsort=is_multimap, dupfixed=is_multimap
        )

    def committed(self, handles: Handles, txn_id: int) -> None:
        """A commit has succeeded; its new spaces have handles now."""
        self.counters["commits"] += 1
        with self._lock:
            if len(handles) > len(self._handles):
                self._handles = handles
            self._seen = txn_id
        cover_tail(self._env, self._descriptor, self.page_bytes)

    def end_write(self) -> None:
        """The write transaction has ended, one way or the other."""
        self._stop_writing()
        self.writer.release()

    def note_failure(self, error: lmdb.Error | OverflowError) -> None:
        """Remember what the next write transaction should have more of."""
        self._map_was_full |= isinstance(error, lmdb.MapFullError)
        if isinstance(error, lmdb.DbsFullError):
            self._spaces_wanted = 2 * self._spaces_room

    # --- the whole file -------------------------------------------------------------------

    def info(self) -> dict[str, int]:
        """Sizes and numbers of the file and of its map."""
        if self._is_gone:
            self._reopen()
        info = self._env.info()
        with self._lock:
            oldest_s = self.readers.oldest_s(self.settings.clock.monotonic_s())
            return {
                "map_bytes": info["map_size"],
                "used_bytes": (info["last_pgno"] + 1) * self.page_bytes,
                "last_transaction": info["last_txnid"],
                "reader_slots": info["num_readers"],
                "spaces": len(self._handles),
                "snapshots": len(self.readers),
                "snapshots_expired": self.readers.expired,
                "oldest_snapshot_ms": int(oldest_s * 1000),
                **self.counters,
            }

    @property
    def descriptor(self) -> int:
        """The data file, for copies of it."""
        return self._descriptor

    def sync(self) -> None:
        """Flush everything to the disk."""
        if self._is_gone:
            self._reopen()
        try:
            self._env.sync(True)
        except FAULTS as error:
            raise translate(error, self.path, "flushing") from error

    def replace_file(self, replace: Callable[[], None]) -> None:
        """Let go of the file while `replace` puts another one in its place, then go on with that.

        The caller holds the writer lock.

        Raises:
          BusyError: a snapshot of this process stays open; nothing was replaced.
        """
        self._when_quiet_or_busy(partial(self._replace_file, replace), "is to be replaced")

    def close(self) -> None:
        """End every snapshot and let go of the file."""
        for opened in self.readers:
            with opened.lock:
                opened.end("engine")
        self._env.close()
        os.close(self._descriptor)

    def poison(self) -> None:
        """In a forked process: never touch LMDB again, not even to let go of it.

        Its finalizer would mark the reader slots of the parent as free in the shared lock file.
        """
        self.is_forked = True
        self._mutex = threading.Lock()
        self._lock = threading.Condition(self._mutex)
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._env))
        for opened in self.readers:
            opened.forget()
        os.close(self._descriptor)  # our copy would keep the parent's write lock alive

    def learn_spaces(self, wait_s: float) -> None:
        """Register a handle for every space that exists."""
        if self.settings.read_only:
            try:
                with self._lock:
                    self._learn_reading()
            except lmdb.MapResizedError:
                self._adopt_map()  # whoever needs the handles tries again
            except lmdb.DbsFullError:
                self._make_room_for_spaces()
            except FAULTS as error:
                raise translate(error, self.path, "looking up its spaces") from error
            return
        self.writer.acquire(wait_s)
        try:
            abort_held([self._begin_write()[0]])
            self._stop_writing()
        finally:
            self.writer.release()

    # --- under the lock -------------------------------------------------------------------

    def _begin_read(self, claim: Callable[[OpenRead], None]) -> OpenRead:
        now_s = self.settings.clock.monotonic_s()
        self.readers.sweep(now_s)
        if now_s >= self._reader_check_s:
            self._reader_check_s = now_s + limits.READER_CHECK_EVERY_S
            self._env.reader_check()
        raw = self._env.begin()
        txn_id = raw.id()
        opened = self.readers.add(raw, txn_id, now_s, claim)
        opened.handles = self._handles
        if txn_id != self._noted[0]:
            self._noted = (txn_id, {})
        opened.notes = self._noted[1]
        if txn_id != self._seen:
            opened.is_complete = self._count(raw) == len(self._handles)
            if opened.is_complete:
                self._seen = txn_id
        if self.is_lockless:
            is_overtaken = partial(self._is_overtaken, txn_id)
            opened.turn = LocklessTurn(opened.lock, is_overtaken, self.path)
        return opened

    def _end(self, opened: OpenRead) -> None:
        opened.end("closed")
        self.readers.remove(opened)
        if self._is_gated:
            self._lock.notify_all()

    def _pass_gate(self) -> None:
        """Wait while somebody waits for a quiet moment, or has it."""
        if self._is_gated and not self._lock.wait_for(
            lambda: not self._is_gated, timeout=2 * self.settings.quiesce_wait_s
        ):
            raise BusyError(f"{self.path} is waiting for old snapshots to end; try again")

    def _is_quiet(self) -> bool:
        self.readers.sweep(self.settings.clock.monotonic_s())
        return not self.readers and not self._is_writing

    def _learn_reading(self) -> None:
        """Handles in an environment that only reads: LMDB makes them without a writer."""
        raw = self._env.begin()
        try:
            names = list(raw.cursor().iternext(values=False))
        finally:
            raw.abort()
        self._spaces_wanted = 2 * len(names) if len(names) > self._spaces_room else 0
        self._handles = with_handles(self._env, self._handles, names)

    # --- at a quiet moment ----------------------------------------------------------------

    def _when_quiet(
        self, act: Callable[[], None], *, wait_s: float, is_quiet: Callable[[], bool] | None = None
    ) -> bool:
        """Act while no transaction of this process is open; False when that did not come."""
        with self._lock:
            self._pass_gate()
            self._is_gated = True
            try:
                is_time = self._lock.wait_for(is_quiet or self._is_quiet, timeout=wait_s)
                if is_time:
                    act()
                return is_time
            finally:
                self._is_gated = False
                self._lock.notify_all()

    def _when_quiet_or_busy(self, act: Callable[[], None], why: str) -> None:
        wait_s = self.settings.quiesce_wait_s
        if not self._when_quiet(act, wait_s=wait_s):
            age_s = self.readers.oldest_s(self.settings.clock.monotonic_s())
            raise BusyError(
                f"{self.path} {why}, which has to wait for snapshots to end; the oldest of"
                f" {len(self.readers)} is open for {age_s:.1f} s; end it, then try again"
            )

    def _adopt_map(self) -> None:
        """Another process has made the file larger than our map."""
        self._when_quiet_or_busy(partial(self._set_map, 0), "was enlarged by another process")

    def _make_room(self) -> None:
        """Before a write: more map and more spaces when they run short, if it can be had."""
        self._make_room_for_spaces()
        info = self._env.info()
        size, used = info["map_size"], (info["last_pgno"] + 1) * self.page_bytes
        if self._map_was_full or 4 * (size - used) < size:
            larger = min(2 * size, limits.MAP_BYTES_MAX)
            if larger > size:
                self._grow(partial(self._set_map, larger), must=self._map_was_full)
            self._map_was_full = False

    def _make_room_for_spaces(self) -> None:
        wanted = self._spaces_wanted
        if wanted > limits.SPACES_MAX and self._spaces_room == limits.SPACES_MAX:
            raise LimitError(f"{self.path} has {limits.SPACES_MAX} spaces; drop entities")
        if wanted or 4 * len(self._handles) > 3 * self._spaces_room:
            room = min(max(wanted, 2 * self._spaces_room), limits.SPACES_MAX)
            if room > self._spaces_room:
                self._grow(partial(self._reopen_with, room), must=bool(wanted))
            self._spaces_wanted = 0

    def _grow(self, act: Callable[[], None], *, must: bool) -> None:
        if must:
            self._when_quiet_or_busy(act, "has to grow")
        else:
            self._when_quiet(act, wait_s=0)

    def _set_map(self, size: int) -> None:
        try:
            self._env.set_mapsize(size)
        except FAULTS as error:
            self._reopen_with(self._spaces_room)  # a map that could not be replaced is gone
            raise translate(error, self.path, "enlarging its memory map") from error
        self._map_bytes = self._env.info()["map_size"]
        self.counters["map_growths"] += 1

    def _reopen(self) -> None:
        """LMDB gave the environment up after a failed write: begin anew with what is on disk."""
        if not self._when_quiet(
            partial(self._reopen_with, self._spaces_room),
            wait_s=self.settings.quiesce_wait_s,
            is_quiet=self._is_quiet_by_force,
        ):
            raise BusyError(f"{self.path} has to be reopened after a failed write; try again")

    def _is_quiet_by_force(self) -> bool:
        self.readers.end_idle("failed")
        return self._is_quiet()

    def _replace_file(self, replace: Callable[[], None]) -> None:
        self._let_env_go()
        try:
            replace()
        finally:  # whatever happened, the path leads to a whole file
            self._is_moved = True
            self._reopen_with(self._spaces_room)

    def _reopen_with(self, room: int) -> None:
        """Begin anew.  If that fails, whoever comes next tries again."""
        self._let_env_go()
        self._spaces_room = room
        self._handles, self._seen, self._noted = {}, -1, (-1, {})
        if self._is_moved:
            self._follow_path()
        self._env = self._open()
        self._is_gone = False
        self.counters["reopens"] += 1

    def _let_env_go(self) -> None:
        self._is_gone = True
        self._env.close()

    def _follow_path(self) -> None:
        """From now on the descriptor is of the file that the path leads to."""
        left = self._descriptor
        try:
            self._descriptor = os.open(self.path, os.O_RDWR | os.O_CLOEXEC)
        except OSError as error:
            raise translate(error, self.path, "opening it") from error
        self.writer.move(self._descriptor)
        os.close(left)
        self._is_moved = False

    # --- one step each --------------------------------------------------------------------

    def _open(self) -> lmdb.Environment:
        return open_lmdb(
            self.path,
            self.settings,
            map_bytes=self._map_bytes,
            spaces_room=self._spaces_room,
            is_lockless=self.is_lockless,
        )

    def _begin_write(self) -> tuple[RawTransaction, Handles]:
        """LMDB's write transaction, with a handle for every space; needs the writer lock."""
        remedy: Callable[[], None]
        count = 0
        for _ in range(BEGIN_TRIES_MAX):
            with self._lock:
                self._pass_gate()
                self.readers.sweep(self.settings.clock.monotonic_s())
                self._is_writing = True
            try:
                while True:
                    raw = self._env.begin(write=True)
                    count = self._count(raw)
                    if count == len(self._handles):
                        return raw, self._handles
                    self._register(raw)
            except lmdb.MapResizedError:
                remedy = self._adopt_map
            except lmdb.DbsFullError:
                self._spaces_wanted = 2 * count
                remedy = self._make_room
            except lmdb.PanicError:
                remedy = self._reopen
            except FAULTS as error:
                if not self._is_gone:
                    self._stop_writing()
                    raise translate(error, self.path, "beginning to write") from error
                remedy = self._reopen
            except BaseException:
                self._stop_writing()
                raise
            self._stop_writing()
            remedy()
        raise BusyError(f"no write transaction on {self.path} could begin; try again")

    def _register(self, raw: RawTransaction) -> None:
        """Give every unknown space a handle; committing nothing else costs nothing."""
        try:
            names = raw.cursor().iternext(values=False)
            handles = with_handles(self._env, self._handles, names, raw)
        except BaseException:
            raw.abort()
            raise
        raw.commit()
        with self._lock:
            self._handles = handles

    def _learn_or_give_up(self, count: int) -> None:
        """Before a read: another process may be writing for long, so wait a little only."""
        try:
            self.learn_spaces(min(limits.SPACES_WAIT_S_MAX, self.settings.writer_wait_s))
        except BusyError:
            self._unlearned = count

    def _clear_readers(self) -> None:
        """Free slots that killed processes left, and those of snapshots that are too old."""
        with self._lock:
            before = len(self.readers)
            self.readers.sweep(self.settings.clock.monotonic_s())
            is_freed = bool(self._env.reader_check()) or len(self.readers) < before
        if not is_freed:
            raise BusyError(
                f"{self.path} has {limits.READERS_MAX} open snapshots in all processes,"
                f" {before} of them in this one; end some of them"
            )

    def _stop_writing(self) -> None:
        with self._lock:
            self._is_writing = False
            self._lock.notify_all()

    def _count(self, raw: RawTransaction | None) -> int:
        assert raw is not None, "counted after its end"
        return raw.stat()["entries"]

    def _is_overtaken(self, txn_id: int) -> bool:
        return self.last_txn_id() != txn_id
