"""The snapshots that are open in this process, and who may end them.

    number 17   begun 40.2 s   idle        its user ends it, or a sweep once it is too old
    number 18   begun 97.0 s   in a call   nobody ends it before the call returns

Each snapshot has a lock that a call holds while it reads.  A sweep only ends snapshots whose lock
it gets without waiting, so a read never loses its pages under its hands.  A snapshot that its user
dropped without closing is put on a queue by its finalizer, which may take no lock, and ended by
the next sweep.

Invariants (held by tests/unit/storage/test_lmdb_snapshots.py):
  1. A snapshot is ended exactly once, by whoever holds its lock.
  2. The oldest snapshot comes first, so a sweep that finds nothing looks at one.
"""

from __future__ import annotations

import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from typing import Any, Literal, TypeAlias

import lmdb

from ormdb.errors import (
    ClosedError,
    ForkError,
    OrmdbError,
    SnapshotExpiredError,
    StorageIOError,
)

RawTransaction: TypeAlias = "lmdb.Transaction[bytes]"  # generic for checkers only
Handle: TypeAlias = "tuple[lmdb._Database, bool]"  # and whether it is a multimap
Handles: TypeAlias = dict[str, Handle]  # by space name; never changed once published

Ending: TypeAlias = Literal["closed", "engine", "expired", "overtaken", "failed", "forked"]


def with_handles(
    environment: lmdb.Environment,
    known: Handles,
    names: Iterable[bytes],
    raw: RawTransaction | None = None,
) -> Handles:
    """Handles of spaces that exist, those that are known already and new ones."""
    handles = dict(known)
    for name in names:
        if name.decode() not in handles:
            database = (
                environment.open_db(name, create=False)
                if raw is None
                else environment.open_db(name, txn=raw, create=False)
            )
            handles[name.decode()] = database, database.flags()["dupsort"]
    return handles


class OpenRead:
    """One snapshot.  `raw` is None once it has ended; change it only while holding `lock`."""

    __slots__ = (
        "begun_s",
        "ending",
        "handles",
        "holder",
        "is_complete",
        "lock",
        "notes",
        "number",
        "owner",
        "raw",
        "turn",
        "txn_id",
    )

    def __init__(self, number: int, raw: RawTransaction, txn_id: int, begun_s: float) -> None:
        self.number = number
        self.raw: RawTransaction | None = raw
        self.txn_id = txn_id
        self.begun_s = begun_s
        self.lock = threading.Lock()
        self.turn: AbstractContextManager[object] = self.lock  # what a call enters
        self.owner: object = None  # the engine that began it
        self.holder: Holder | None = None  # the transaction that reads through it
        self.handles: Handles = {}
        self.notes: dict[str, Any] | None = None
        self.is_complete = True
        self.ending: Ending | None = None

    def end(self, ending: Ending) -> None:
        """End it; the caller holds `lock`."""
        raw, self.raw = self.raw, None
        if raw is not None:
            self.ending = ending
            raw.abort()

    def forget(self) -> None:
        """In a forked process: it was the parent's, and its lock may be held by nobody."""
        self.raw = None
        self.ending = "forked"
        self.turn = self.lock = threading.Lock()

    def refusal(self, path: str) -> OrmdbError:
        """Why it cannot be used any more."""
        if self.ending == "expired":
            return SnapshotExpiredError(
                f"this snapshot of {path} was held longer than allowed and was let go;"
                " take a new one, and read in shorter pieces"
            )
        if self.ending == "overtaken":
            return SnapshotExpiredError(
                f"{path} was written to by another process before this snapshot could be read;"
                " take a new one"
            )
        if self.ending == "failed":
            return StorageIOError(
                f"{path} had to be reopened after a failed write; take a new snapshot"
            )
        if self.ending == "forked":
            return forked_error(path)
        if self.ending == "engine":
            return ClosedError(f"{path} was closed; open it again")
        return ClosedError("this snapshot was closed; begin a new one")


class Holder(weakref.ref[object]):
    """The transaction that reads through a snapshot: when it is dropped, `opened` is left over.

    What it calls then is no function of Python's, in the midst of which an interrupt could fall.
    """

    __slots__ = ("opened",)
    opened: OpenRead


def forked_error(path: str) -> ForkError:
    """The error of every use in a forked process."""
    return ForkError(
        f"{path} was opened before this process was forked; open it after the fork, or start"
        " processes by spawning"
    )


class Readers:
    """All snapshots of one environment; used under the environment's lock."""

    def __init__(self, age_s_max: float) -> None:
        self.age_s_max = age_s_max
        self.abandoned: deque[Holder] = deque()
        self.expired = 0
        self._open: dict[int, OpenRead] = {}
        self._number = 0

    def __len__(self) -> int:
        return len(self._open)

    def __iter__(self) -> Iterator[OpenRead]:
        return iter(list(self._open.values()))

    def add(
        self, raw: RawTransaction, txn_id: int, now_s: float, claim: Callable[[OpenRead], None]
    ) -> OpenRead:
        """Keep account of a snapshot that has just begun, which somebody has claimed."""
        self._number += 1
        opened = OpenRead(self._number, raw, txn_id, now_s)
        claim(opened)
        self._open[opened.number] = opened
        return opened

    def hold(self, opened: OpenRead, transaction: object) -> None:
        """Notice when a transaction is dropped without having ended its snapshot."""
        holder = Holder(transaction, self.abandoned.append)
        holder.opened = opened
        opened.holder = holder

    def remove(self, opened: OpenRead) -> None:
        """It has ended."""
        self._open.pop(opened.number, None)

    def oldest_s(self, now_s: float) -> float:
        """The age of the oldest snapshot; 0 when there is none."""
        return now_s - next(iter(self._open.values())).begun_s if self._open else 0.0

    def sweep(self, now_s: float) -> None:
        """End what was dropped without closing, and what is too old."""
        while self.abandoned:
            self._end_idle(self.abandoned.popleft().opened, "closed")
        if not self._open or now_s - next(iter(self._open.values())).begun_s <= self.age_s_max:
            return
        for opened in list(self._open.values()):
            if now_s - opened.begun_s <= self.age_s_max:
                return
            self.expired += self._end_idle(opened, "expired")

    def end_idle(self, ending: Ending) -> None:
        """End every snapshot that is not inside a call."""
        for opened in list(self._open.values()):
            self._end_idle(opened, ending)

    def _end_idle(self, opened: OpenRead, ending: Ending) -> bool:
        if not opened.lock.acquire(blocking=False):
            return False
        try:
            opened.end(ending)
        finally:
            opened.lock.release()
        self.remove(opened)
        return True
