"""How LMDB is asked to open a file, and what is looked at before.

    64 GiB of address space, virtual      less where the system gives less, never under the file
    mode 0600, one file, engine 0.9       named, because the library brings two engines
    sync and metasync                     by durability; never a writable map, which a stray
                                          pointer could damage and a full disk turns into SIGBUS

Readahead helps while the file fits into memory and hurts afterwards, so it depends on sizes.

Invariants (held by tests/unit/storage/test_lmdb_engine.py):
  1. LMDB maps no file whose pages were not looked at.
  2. A file is made and opened for its owner alone.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import lmdb

from ormdb import limits
from ormdb.clock import Clock
from ormdb.storage.engine import Durability
from ormdb.storage.lmdb.faults import FAULTS, translate
from ormdb.storage.lmdb.pages import check_pages, is_empty_file

FILE_MODE: Final = 0o600
LIB_VERSION: Final = 0  # LMDB 0.9: 1.0 commits 2.6 times slower, and its files differ

_MAP_BYTES_MIN: Final = 2**20
_SPARE_TRANSACTIONS: Final = 1  # saves 10 µs a snapshot when there is room for many spaces


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How an environment is opened."""

    read_only: bool
    durability: Durability
    map_bytes: int
    snapshot_age_s: float
    writer_wait_s: float
    quiesce_wait_s: float
    spaces_room: int
    clock: Clock


def open_lmdb(
    path: str, settings: Settings, *, map_bytes: int, spaces_room: int, is_lockless: bool
) -> lmdb.Environment:
    """Check the file, then let LMDB map it, smaller where address space is scarce."""
    try:
        if not is_empty_file(path):
            check_pages(path)
        file_bytes = Path(path).stat().st_size
    except OSError as error:
        raise translate(error, path, "opening it") from error
    map_bytes = max(map_bytes, _MAP_BYTES_MIN)
    while True:
        try:
            return lmdb.open(
                path,
                map_size=map_bytes,
                subdir=False,
                readonly=settings.read_only,
                create=False,
                mode=FILE_MODE,
                metasync=settings.durability == "full",
                sync=settings.durability != "none",
                readahead=file_bytes < _memory_bytes() // 2,
                max_readers=limits.READERS_MAX,
                max_dbs=spaces_room,
                max_spare_txns=_SPARE_TRANSACTIONS,
                lock=not is_lockless,
                lib_version=LIB_VERSION,
            )
        except lmdb.MemoryError as error:
            if map_bytes // 2 < max(2 * file_bytes, _MAP_BYTES_MIN):
                raise translate(error, path, "mapping it") from error
            map_bytes //= 2
        except FAULTS as error:
            raise translate(error, path, "opening it") from error


def cover_tail(environment: lmdb.Environment, descriptor: int, page_bytes: int) -> None:
    """Make the file as long as its last page says.

    Pages allocated and freed by one commit are not written, so the file may end before them.
    That is right, but looks as if it were truncated, and costs a long look when it is opened.
    """
    end = (environment.info()["last_pgno"] + 1) * page_bytes
    if os.fstat(descriptor).st_size < end:
        with suppress(OSError):  # only that look is lost when the disk is full
            os.posix_fallocate(descriptor, end - 1, 1)


def can_lock(path: str) -> bool:
    """Whether this process can announce its snapshots in the file beside the data file."""
    lock = f"{path}-lock"
    place = lock if Path(lock).exists() else str(Path(path).parent)
    effective = os.access in os.supports_effective_ids
    return os.access(place, os.R_OK | os.W_OK, effective_ids=effective)


def _memory_bytes() -> int:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
