"""An engine that fails when it is told to: the k-th call of a kind, with an error of the storage.

    faults = Faults()
    with open_with_faults(":memory:", [Account], faults) as db:
        faults.fail("commit", at=2)                     the commit after the next one
        db.insert(Account(id=1))
        db.insert(Account(id=2))                        StorageIOError; nothing was inserted
        db.insert(Account(id=2))                        goes on as if nothing had been

A fault does what the engine on disk does when the system refuses a call: the write transaction
ends, nothing of it is there, and the next one begins afresh.  With `is_done` a commit is made and
only its answer lost, as when a disk fails after the last write: whoever tries again meets it.

Invariants (held by tests/unit/testing/test_faults.py):
  1. Without a fault in force, answers are those of the engine inside.
  2. After a fault the database is as before the statement or, with `is_done`, as after it.
"""

from __future__ import annotations

import datetime
import os
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

from ormdb.clock import Clock, SystemClock
from ormdb.database.database import Database
from ormdb.database.opening import Schema, declared_bundle, prepare_schema
from ormdb.errors import StorageIOError, UnavailableError, UsageError
from ormdb.ir.schema import SchemaBundle
from ormdb.session import Context
from ormdb.storage.engine import (
    Engine,
    EngineStatistics,
    Item,
    ReadTransaction,
    Space,
    SpaceStatistics,
    WriteTransaction,
)
from ormdb.storage.lmdb import LmdbEngine
from ormdb.storage.memory import MemoryEngine

Call: TypeAlias = Literal[
    "begin_read",
    "get_many",
    "many",
    "count_many",
    "scan",
    "scan_many",
    "read_related",
    "scan_rows",
    "statistics",
    "space_names",
    "begin_write",
    "put_many",
    "delete_many",
    "delete_items",
    "drop_space",
    "nested",
    "commit",
    "copy_to",
    "sync",
]
CALLS: tuple[Call, ...] = get_args(Call)


@dataclass(slots=True)
class _Fault:
    """What shall fail, and how many of such calls come first."""

    calls: frozenset[Call]
    before: int
    times: int
    error: UnavailableError
    is_done: bool


class Faults:
    """Which calls shall fail; from any thread, at any time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: list[_Fault] = []
        self._counts: Counter[Call] = Counter()
        self._met = 0

    def __repr__(self) -> str:
        with self._lock:
            return f"<Faults {len(self._faults)} in force, {self._met} met>"

    @property
    def counts(self) -> dict[Call, int]:
        """How often each call was made."""
        with self._lock:
            return dict(self._counts)

    @property
    def met(self) -> int:
        """How many calls have failed so far."""
        with self._lock:
            return self._met

    def fail(
        self,
        *calls: Call,
        at: int = 1,
        times: int = 1,
        error: UnavailableError | None = None,
        is_done: bool = False,
    ) -> None:
        """Let the `at`-th of these calls from now on fail, and those after it.

        Args:
          calls: which calls count; every call that writes when none is named.
          at: 1 for the next one.
          times: how many fail, one after the other.
          error: what is raised; a StorageIOError when not given.
          is_done: whether a commit is made all the same, and fails afterwards.
        """
        if is_done and calls != ("commit",):
            raise UsageError("only a commit can be done and fail; name that call alone")
        if at < 1 or times < 1:
            raise UsageError(f"the call number {at} cannot fail {times} times; give 1 or more")
        unknown = sorted(set(calls) - set(CALLS))
        if unknown:
            raise UsageError(f"{unknown[0]!r} is no call of an engine; give {', '.join(CALLS)}")
        fault = _Fault(
            calls=frozenset(calls or CALLS[CALLS.index("begin_write") :]),
            before=at - 1,
            times=times,
            error=error or StorageIOError("the disk failed, as a test asked it to; try again"),
            is_done=is_done,
        )
        with self._lock:
            self._faults.append(fault)

    def clear(self) -> None:
        """Let nothing fail any more."""
        with self._lock:
            self._faults.clear()

    def meet(self, call: Call) -> tuple[UnavailableError, bool] | None:
        """Count a call; the error it shall end with, and whether it is done all the same."""
        with self._lock:
            self._counts[call] += 1
            found: _Fault | None = None
            for fault in self._faults:
                if call not in fault.calls:
                    continue
                if fault.before:
                    fault.before -= 1
                elif found is None:
                    found = fault
            if found is None:
                return None
            found.times -= 1
            if not found.times:
                self._faults.remove(found)
            self._met += 1
            return type(found.error)(found.error.message, **found.error.details), found.is_done

    def raise_if_met(self, call: Call) -> None:
        """Count a call that changes nothing."""
        met = self.meet(call)
        if met is not None:
            raise met[0]


class FaultyReadTransaction:
    """A snapshot whose calls may fail."""

    def __init__(self, inner: ReadTransaction, faults: Faults) -> None:
        self.notes = inner.notes
        self._inner = inner
        self._faults = faults

    def get_many(self, space: Space, keys: Sequence[bytes]) -> list[bytes | None]:
        self._faults.raise_if_met("get_many")
        return self._inner.get_many(space, keys)

    def many(
        self, space: Space, keys: Sequence[bytes], *, limit_each: int | None = None
    ) -> list[bytes]:
        self._faults.raise_if_met("many")
        return self._inner.many(space, keys, limit_each=limit_each)

    def count_many(self, space: Space, keys: Sequence[bytes]) -> list[int]:
        self._faults.raise_if_met("count_many")
        return self._inner.count_many(space, keys)

    def scan(
        self, space: Space, low: bytes = b"", high: bytes | None = None, **how: Any
    ) -> Iterator[list[Item]]:
        self._faults.raise_if_met("scan")
        return self._inner.scan(space, low, high, **how)

    def scan_many(
        self, space: Space, ranges: Sequence[tuple[bytes, bytes | None]], **how: Any
    ) -> list[list[Item]]:
        self._faults.raise_if_met("scan_many")
        return self._inner.scan_many(space, ranges, **how)

    def read_related(
        self, index: Space, rows: Space, keys: Sequence[bytes], **how: Any
    ) -> tuple[list[bytes], list[bytes | None]]:
        self._faults.raise_if_met("read_related")
        return self._inner.read_related(index, rows, keys, **how)

    def scan_rows(
        self,
        index: Space,
        rows: Space,
        low: bytes = b"",
        high: bytes | None = None,
        **how: Any,
    ) -> Iterator[tuple[list[Item], list[bytes | None]]]:
        self._faults.raise_if_met("scan_rows")
        return self._inner.scan_rows(index, rows, low, high, **how)

    def statistics(self, space: Space) -> SpaceStatistics:
        self._faults.raise_if_met("statistics")
        return self._inner.statistics(space)

    def space_names(self) -> list[str]:
        self._faults.raise_if_met("space_names")
        return self._inner.space_names()

    def close(self) -> None:
        self._inner.close()


class FaultyWriteTransaction(FaultyReadTransaction):
    """A write transaction that a fault ends, whole, however deeply nested the call was."""

    def __init__(
        self, inner: WriteTransaction, faults: Faults, root: WriteTransaction | None = None
    ) -> None:
        super().__init__(inner, faults)
        self._writer = inner
        self._root = root or inner

    def put_many(
        self, space: Space, items: Iterable[Item], *, append: bool = False, fresh: bool = False
    ) -> None:
        self._meet("put_many")
        self._writer.put_many(space, items, append=append, fresh=fresh)

    def delete_many(self, space: Space, keys: Iterable[bytes]) -> int:
        self._meet("delete_many")
        return self._writer.delete_many(space, keys)

    def delete_items(self, space: Space, items: Iterable[Item]) -> int:
        self._meet("delete_items")
        return self._writer.delete_items(space, items)

    def drop_space(self, space: Space) -> None:
        self._meet("drop_space")
        self._writer.drop_space(space)

    def nested(self) -> FaultyWriteTransaction:
        self._meet("nested")
        return FaultyWriteTransaction(self._writer.nested(), self._faults, self._root)

    def commit(self) -> None:
        met = None if self._root is not self._writer else self._faults.meet("commit")
        if met is None or met[1]:
            self._writer.commit()
        if met is not None:
            self._root.abort()
            raise met[0]

    def abort(self) -> None:
        self._writer.abort()

    def _meet(self, call: Call) -> None:
        met = self._faults.meet(call)
        if met is not None:
            self._root.abort()
            raise met[0]


class FaultyEngine:
    """Any engine, failing when told to."""

    def __init__(self, inner: Engine, faults: Faults) -> None:
        self.inner = inner
        self.faults = faults

    def __repr__(self) -> str:
        return f"<FaultyEngine {self.faults!r} of {self.inner!r}>"

    @property
    def path(self) -> str | None:
        return self.inner.path

    @property
    def read_only(self) -> bool:
        return self.inner.read_only

    def begin_read(self) -> FaultyReadTransaction:
        self.faults.raise_if_met("begin_read")
        return FaultyReadTransaction(self.inner.begin_read(), self.faults)

    def begin_write(self, *, wait_s: float | None = None) -> FaultyWriteTransaction:
        self.faults.raise_if_met("begin_write")
        return FaultyWriteTransaction(self.inner.begin_write(wait_s=wait_s), self.faults)

    def copy_to(self, path: str, *, compact: bool) -> None:
        self.faults.raise_if_met("copy_to")
        self.inner.copy_to(path, compact=compact)

    def sync(self) -> None:
        self.faults.raise_if_met("sync")
        self.inner.sync()

    def statistics(self) -> EngineStatistics:
        return self.inner.statistics()

    def close(self) -> None:
        self.inner.close()


def open_with_faults(
    path: str | os.PathLike[str],
    schema: Schema,
    faults: Faults,
    *,
    clock: Clock | None = None,
) -> Database:
    """Open a database whose engine fails as `faults` say; ":memory:" for one without a file.

    The file is written without syncs, which would only make tests slow.
    """
    bundle = declared_bundle(schema)
    clock = clock or SystemClock()
    place = os.fspath(path)
    inner: Engine = (
        MemoryEngine() if place == ":memory:" else LmdbEngine.open(place, durability="none")
    )
    engine = FaultyEngine(inner, faults)
    try:
        prepare_schema(engine, bundle, clock)
        classes = () if isinstance(schema, SchemaBundle | str) else schema
        return Database(
            engine,
            clock=clock,
            context=Context.system(),
            retention=datetime.timedelta(days=7),
            classes=classes,
        )
    except BaseException:
        engine.close()
        raise
