"""The engine on disk: what a database holds of a file.

    engine = LmdbEngine.open("flights.ormdb")
    txn = engine.begin_write()        snapshots of before keep seeing what was
    txn.put_many(rows, items)
    txn.commit()                      on the disk when it returns, with durability "full"

A database is one file and, beside it, one lock file that never has to be kept or copied.  Any
number of processes may have the file open; each opens it once, however many engines it makes.

    full       a commit survives a power loss
    relaxed    a power loss may undo the last commit, never half of one
    none       a power loss may destroy the file; for loads that can be repeated

A file in a folder that this process cannot write to is read without locks: reads stay right, but
end with SnapshotExpiredError when somebody commits meanwhile.  A wait for the writer of another
program than ormdb cannot be interrupted.

Invariants (held by tests/conformance/test_engine.py and tests/unit/storage/test_lmdb_engine.py):
  1. After `close`, every use of the engine, its snapshots and its transaction raises ClosedError.
  2. The file and its lock file are for their owner's eyes only.
"""

from __future__ import annotations

import os
import threading
import weakref
from functools import partial
from typing import Final

from ormdb import limits
from ormdb.clock import Clock, SystemClock
from ormdb.errors import ClosedError, ReadOnlyError, UsageError
from ormdb.storage.engine import Durability, EngineStatistics
from ormdb.storage.lmdb import sharing
from ormdb.storage.lmdb.compaction import compact_environment
from ormdb.storage.lmdb.copies import copy_environment
from ormdb.storage.lmdb.environment import Environment
from ormdb.storage.lmdb.faults import translate
from ormdb.storage.lmdb.opening import Settings
from ormdb.storage.lmdb.readers import forked_error
from ormdb.storage.lmdb.snapshots import LmdbReadTransaction
from ormdb.storage.lmdb.verify import verify_file
from ormdb.storage.lmdb.writes import LmdbWriteTransaction

_DURABILITIES: Final = ("full", "relaxed", "none")
_CLOCK: Final = SystemClock()
_LOOKS_MAX: Final = 3  # at a file that looks damaged while others commit to it


class LmdbEngine:
    """One opened file.  Several engines of a process on one file share what they can."""

    def __init__(self, environment: Environment, *, read_only: bool) -> None:
        """Engines are made by `open`."""
        self._environment = environment
        self._read_only = read_only
        self._is_open = True
        self._closing = threading.Lock()
        self._writer: weakref.ref[LmdbWriteTransaction] | None = None

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str],
        *,
        read_only: bool = False,
        create: bool = True,
        durability: Durability = "full",
        map_bytes: int = limits.MAP_BYTES_INITIAL,
        snapshot_age_s: float = limits.SNAPSHOT_AGE_S_MAX,
        writer_wait_s: float = limits.WRITER_WAIT_S_MAX,
        quiesce_wait_s: float = limits.QUIESCE_WAIT_S_MAX,
        spaces_room: int = limits.SPACES_OPEN_INITIAL,
        clock: Clock = _CLOCK,
    ) -> LmdbEngine:
        """Open a file, making it when it is missing, `create` is true and `read_only` is not.

        Waits, `writer_wait_s` at most, when another process is writing to a file with spaces.

        Args:
          path: the data file; its lock file lies beside it.
          read_only: refuse writes; works in folders that this process cannot write to.
          create: whether a missing file is made.
          durability: what a power loss may undo.
          map_bytes: address space reserved at first; it doubles when it runs short.
          snapshot_age_s: snapshots held longer are let go.
          writer_wait_s: how long `begin_write` waits for the writer before.
          quiesce_wait_s: how long growing the map waits for snapshots to end.
          spaces_room: how many spaces there is room for at first; it doubles, too.
          clock: where ages are read from.

        Raises:
          UsageError: there is no such file, or it is open in this process in another way.
          FormatError, CorruptionError: it is not a database of this format, or damaged.
          BusyError: another process was writing all the time.
        """
        if durability not in _DURABILITIES:
            raise UsageError(f"durability {durability!r} is none of {', '.join(_DURABILITIES)}")
        settings = Settings(
            read_only=read_only,
            durability=durability,
            map_bytes=min(map_bytes, limits.MAP_BYTES_MAX),
            snapshot_age_s=snapshot_age_s,
            writer_wait_s=writer_wait_s,
            quiesce_wait_s=quiesce_wait_s,
            spaces_room=spaces_room,
            clock=clock,
        )
        environment = sharing.hold(os.fspath(path), settings, create=create)
        engine = cls(environment, read_only=read_only)
        try:
            environment.meet_spaces()
        except BaseException:
            engine.close()
            raise
        return engine

    def __repr__(self) -> str:
        state = "open" if self._is_open else "closed"
        return f"<LmdbEngine {state} {self._environment.path}>"

    @property
    def path(self) -> str | None:
        return self._environment.path

    @property
    def read_only(self) -> bool:
        return self._read_only

    def begin_read(self) -> LmdbReadTransaction:
        environment = self._environment
        if not self._is_open or environment.is_forked:
            self._check_open()
        return LmdbReadTransaction(environment).owned_by(self)

    def begin_write(self, *, wait_s: float | None = None) -> LmdbWriteTransaction:
        self._check_open()
        if self._read_only:
            raise ReadOnlyError(f"{self.path} is open for reading only; open it for writing")
        raw, handles = self._environment.begin_write(wait_s)
        writer = LmdbWriteTransaction(self._environment, raw, handles)
        # Weak: one that is dropped without an end is ended by whoever writes next.
        self._writer = weakref.ref(writer)
        if not self._is_open:  # closed by another thread while we waited
            writer.abort()
            self._check_open()
        return writer

    def copy_to(self, path: str, *, compact: bool) -> None:
        self._check_open()
        copy_environment(self._environment, path, compact=compact)

    def compact(self) -> None:
        """Rewrite the file without its free pages; its path leads to the old or to the new one.

        Raises:
          BusyError: another process or engine has the file open, or a snapshot is open here.
          ReadOnlyError: this engine may not write.
        """
        self._check_open()
        if self._read_only:
            raise ReadOnlyError(f"{self.path} is open for reading only; open it for writing")
        compact_environment(self._environment)

    def verify_pages(self) -> list[str]:
        """Every problem in the structure of the file, in words, while others go on.

        The file is read as bytes, so that no damage can end the process.  It takes 30 s for a GiB.
        """
        self._check_open()
        environment = self._environment
        opened = environment.begin_read()  # pages of what it sees stay as they are
        try:
            newest, looks = -1, 0
            problems: list[str] = []
            while newest != environment.last_txn_id() and looks < _LOOKS_MAX:
                newest, looks = environment.last_txn_id(), looks + 1
                try:
                    problems = verify_file(environment.path)
                except OSError as error:
                    raise translate(error, environment.path, "looking at its pages") from error
                if not problems:
                    break
            return problems
        finally:
            with opened.lock:
                environment.end_read(opened)

    def sync(self) -> None:
        self._check_open()
        if not self._environment.settings.read_only:
            self._environment.sync()

    def statistics(self) -> EngineStatistics:
        self._check_open()
        details = self._environment.info()
        return EngineStatistics(
            map_bytes=details.pop("map_bytes"),
            used_bytes=details.pop("used_bytes"),
            readers=details.pop("snapshots"),
            details=details,
        )

    def close(self) -> None:
        """End every snapshot and the transaction of this engine, and let go of the file.

        A write transaction of another thread ends at its next call, and the file stays open
        until then.  In a forked process nothing happens: the file is the parent's.
        """
        environment = self._environment
        if environment.is_forked:
            return
        with self._closing:
            if not self._is_open:
                return
            self._is_open = False
        environment.end_reads_of(self)
        known, self._writer = self._writer, None
        writer = None if known is None else known()
        if writer is None or writer.is_ended:
            sharing.let_go(environment)
        else:
            writer.end_with_engine(partial(sharing.let_go, environment))

    def _check_open(self) -> None:
        if self._environment.is_forked:
            raise forked_error(self._environment.path)
        if not self._is_open:
            raise ClosedError(f"{self._environment.path} was closed; open it again")
