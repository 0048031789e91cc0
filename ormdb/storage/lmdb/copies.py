"""Hot copies: one snapshot, written to a new file while everybody goes on.

    compacted        every item put into a new file in order, which fills its pages; spaces that
                     hold nothing leave no name behind
    not compacted    every page up to the last one, at its own number, free pages as they are

Pages that a snapshot can reach stay as they are while it is open, so they can be copied as bytes.
Only the two meta pages change; the copy gets two that belong to the snapshot.

LMDB's own copies are not used.  The plain one holds up all writers first, without end if the writer
waits for this thread.  The compacting one (0.9.36) crashes the process on a key with so many
duplicates that they have a tree of their own, as every large relation has.

Invariants (held by tests/unit/storage/test_lmdb_copies.py):
  1. A copy made amid commits is one of the commits, whole.
  2. A copy that failed leaves no file; one that succeeded is on the disk.
"""

from __future__ import annotations

import os
from itertools import islice
from pathlib import Path
from typing import Final

import lmdb

from ormdb.errors import BusyError, UsageError
from ormdb.storage.lmdb.environment import Environment
from ormdb.storage.lmdb.faults import FAULTS, translate
from ormdb.storage.lmdb.opening import FILE_MODE, LIB_VERSION
from ormdb.storage.lmdb.pages import meta_pair, read_metas
from ormdb.storage.lmdb.readers import Handle, Handles, OpenRead, RawTransaction

_COPY_BYTES: Final = 2**20
_COPY_ITEMS: Final = 50_000  # items in memory at once
_ROOM_BYTES: Final = 2**24
_TRIES_MAX: Final = 100


def copy_environment(environment: Environment, path: str, *, compact: bool) -> None:
    """Write the newest commit to a new file.

    Raises:
      UsageError: the file exists, or its folder does not.
      StorageFullError, StorageIOError: the copy could not be written; nothing is left of it.
    """
    try:
        target = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE)
    except FileExistsError as error:
        raise UsageError(f"{path} exists; copy to a file that does not") from error
    except FileNotFoundError as error:
        raise UsageError(f"the folder of {path} does not exist; make it first") from error
    except OSError as error:
        raise translate(error, path, "creating the copy") from error
    try:
        try:
            _write(environment, target, path, compact=compact)
            os.fsync(target)
            _sync_folder(path)
        finally:
            os.close(target)
    except OSError as error:
        Path(path).unlink(missing_ok=True)
        raise translate(error, path, "copying to it") from error
    except BaseException:
        Path(path).unlink(missing_ok=True)
        raise


def _write(environment: Environment, target: int, path: str, *, compact: bool) -> None:
    try:
        if compact:
            _write_compacted(environment, path)
        else:
            _write_pages(environment, target)
    except FAULTS as error:
        raise translate(error, path, "copying to it") from error


def _write_compacted(environment: Environment, path: str) -> None:
    opened = environment.begin_read()
    with opened.lock:
        try:
            if not opened.is_complete:  # another process made spaces that have no handles here
                environment.complete(opened)
            _put_spaces(_raw(environment, opened), opened.handles, path)
        finally:
            environment.end_read(opened)


def _put_spaces(raw: RawTransaction, handles: Handles, path: str) -> None:
    """Put what a snapshot holds into an empty file, space by space."""
    used = sum(_bytes_used(raw, handle) for handle in handles.values())
    copy = lmdb.open(
        path,
        map_size=2 * used + _ROOM_BYTES,
        subdir=False,
        lock=False,
        sync=False,  # the file is synced once, when it is whole
        max_dbs=len(handles) + 1,
        lib_version=LIB_VERSION,
    )
    try:
        for name, (database, has_duplicates) in sorted(handles.items()):
            items = raw.cursor(database).iternext()
            space = None
            while chunk := list(islice(items, _COPY_ITEMS)):
                if space is None:
                    space = copy.open_db(
                        name.encode(), dupsort=has_duplicates, dupfixed=has_duplicates
                    )
                with copy.begin(db=space, write=True) as target:
                    target.cursor().putmulti(chunk, append=True)
    finally:
        copy.close()


def _bytes_used(raw: RawTransaction, handle: Handle) -> int:
    stat = raw.stat(handle[0])
    return stat["psize"] * (stat["branch_pages"] + stat["leaf_pages"] + stat["overflow_pages"])


def _write_pages(environment: Environment, target: int) -> None:
    opened, meta, last_page = _begin_with_meta(environment)
    with opened.lock:
        try:
            _raw(environment, opened)
            page_bytes = environment.page_bytes
            os.pwrite(target, b"".join(meta_pair(meta, opened.txn_id)), 0)
            at, end = 2 * page_bytes, (last_page + 1) * page_bytes
            while at < end:
                part = os.pread(environment.descriptor, min(_COPY_BYTES, end - at), at)
                if not part:
                    break  # free pages at the end were never written
                at += os.pwrite(target, part, at)
            os.truncate(target, end)
        finally:
            environment.end_read(opened)


def _begin_with_meta(environment: Environment) -> tuple[OpenRead, bytes, int]:
    """A snapshot and its meta page, which two commits later is overwritten."""
    for _ in range(_TRIES_MAX):
        opened = environment.begin_read()
        for meta, page in read_metas(environment.descriptor, environment.page_bytes):
            if meta.transaction == opened.txn_id:
                return opened, page, meta.last_page
        with opened.lock:
            environment.end_read(opened)
    raise BusyError(f"{environment.path} is written to faster than its head can be read; try again")


def _raw(environment: Environment, opened: OpenRead) -> RawTransaction:
    if opened.raw is None:
        raise opened.refusal(environment.path)
    return opened.raw


def _sync_folder(path: str) -> None:
    folder = os.open(Path(path).resolve().parent, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
