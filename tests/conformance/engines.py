"""The engines that the conformance suite runs on, each behind one way to read and write."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final, cast

from ormdb.storage.engine import Engine, Item, ReadTransaction, Space, WriteTransaction
from ormdb.storage.lmdb import LmdbEngine
from ormdb.storage.memory import MemoryEngine, MemoryWriteTransaction
from ormdb.storage.overlay import OverlayTransaction
from ormdb.testing.counting import CountingEngine

WAIT_S: Final = 0.05  # a writer that has to wait in these tests waits in vain

ROWS: Final = Space("rows/1")
INDEX: Final = Space("index/1", 8)
WIDE: Final = Space("index_history/1", 16)


class Place:
    """One engine, and what it takes to look at what was committed."""

    def __init__(self, folder: Path, make: Callable[[Path], Engine], *, reopens: bool) -> None:
        self.path = folder / "data.ormdb"
        self._make = make
        self._reopens = reopens
        self.engine = make(self.path)

    def use(self, path: Path) -> None:
        """Go on with another file."""
        self.engine.close()
        self.path = path
        self.engine = self._make(path)

    def reopen(self) -> None:
        """Close and open again, where there is anything to open again."""
        if self.engine.path is not None:
            self.engine.close()
            self.engine = self._make(self.path)

    def begin_read(self) -> ReadTransaction:
        """A snapshot, of a database that was just opened if this place reopens."""
        if self._reopens:
            self.reopen()
        return self.engine.begin_read()

    @contextmanager
    def reading(self) -> Generator[ReadTransaction]:
        txn = self.begin_read()
        try:
            yield txn
        finally:
            txn.close()

    @contextmanager
    def writing(self) -> Generator[WriteTransaction]:
        txn = self.engine.begin_write()
        try:
            yield txn
        except BaseException:
            txn.abort()
            raise
        txn.commit()

    def put(self, space: Space, items: Iterable[Item]) -> None:
        with self.writing() as txn:
            txn.put_many(space, items)

    def items(self, space: Space) -> list[Item]:
        with self.reading() as txn:
            return everything(txn, space)


def everything(txn: ReadTransaction, space: Space) -> list[Item]:
    """All items of a space."""
    return [item for batch in txn.scan(space) for item in batch]


def _lmdb(path: Path) -> Engine:
    return LmdbEngine.open(path, durability="none", map_bytes=2**26, writer_wait_s=WAIT_S)


def _memory(_: Path) -> Engine:
    return MemoryEngine(writer_wait_s=WAIT_S)


def _counting(_: Path) -> Engine:
    return CountingEngine(MemoryEngine(writer_wait_s=WAIT_S))


class OverlayEngine(MemoryEngine):
    """The engine in memory, written to through overlays, whose differences a commit hands on."""

    def begin_write(self, *, wait_s: float | None = None) -> MemoryWriteTransaction:
        target = super().begin_write(wait_s=wait_s)
        return cast(MemoryWriteTransaction, OverlayWrite(self, target))


class OverlayWrite(OverlayTransaction):
    """An overlay over a write transaction, which waits for it."""

    def __init__(self, engine: MemoryEngine, target: WriteTransaction) -> None:
        super().__init__(target, bytes_max=2**30)
        self._engine = engine
        self._target = target

    def _check_open(self) -> None:
        self._engine.check_open()
        super()._check_open()

    def commit(self) -> None:
        self.hand_down(self._target)
        super().abort()
        self._target.commit()

    def abort(self) -> None:
        super().abort()
        self._target.abort()


def _overlay(_: Path) -> Engine:
    return OverlayEngine(writer_wait_s=WAIT_S)


MAKERS: Final[Mapping[str, tuple[Callable[[Path], Engine], bool]]] = {
    "memory": (_memory, False),
    "lmdb": (_lmdb, False),
    "lmdb_reopened": (_lmdb, True),
    "counting": (_counting, False),
    "overlay": (_overlay, False),
}


def open_place(name: str, folder: Path) -> Place:
    """The place of one engine, in an empty folder."""
    make, reopens = MAKERS[name]
    folder.mkdir(exist_ok=True)
    return Place(folder, make, reopens=reopens)


def key(number: int) -> bytes:
    """A key, or an id, of 8 bytes that sorts as its number."""
    return number.to_bytes(8, "big")


NUMBERS: Final = [(key(n), b"row %d" % n) for n in range(300)]
RELATED: Final = [(key(n // 7), key(n)) for n in range(300)]


def every_read(txn: ReadTransaction) -> list[Callable[[], object]]:
    return [
        lambda: txn.get_many(ROWS, [b"k"]),
        lambda: txn.many(INDEX, [b"k"]),
        lambda: txn.count_many(INDEX, [b"k"]),
        lambda: list(txn.scan(ROWS)),
        lambda: txn.scan_many(ROWS, [(b"", None)]),
        lambda: txn.read_related(INDEX, ROWS, [b"k"]),
        lambda: list(txn.scan_rows(INDEX, ROWS)),
        lambda: txn.statistics(ROWS),
        txn.space_names,
    ]


def every_write(txn: WriteTransaction) -> list[Callable[[], object]]:
    return [
        lambda: txn.put_many(ROWS, [(b"k", b"v")]),
        lambda: txn.delete_many(ROWS, [b"k"]),
        lambda: txn.delete_items(INDEX, [(b"k", key(1))]),
        lambda: txn.drop_space(ROWS),
    ]
