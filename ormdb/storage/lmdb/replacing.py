"""Another file in the place of one, at a moment when nobody has it open.

    flights.ormdb-lock   byte 0     every process that has the file open holds it shared
                                    whoever replaces the file holds it alone; who opens, waits

A rename leaves those who have the old file open with the old file, and what they commit is lost.
So LMDB's own lock is asked whether there are any.  It belongs to the process: closing the lock
file gives it up wherever else in the process it was taken, and so it may only be asked for while
this process does not have the file open itself.

Invariants (held by tests/unit/storage/test_lmdb_replacing.py):
  1. A file that any process has open is not replaced.
  2. The path leads to the old file or to the new one, also after a crash at any point.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from ormdb.errors import BusyError, UsageError
from ormdb.storage.lmdb.environment import FILE_MODE
from ormdb.storage.lmdb.faults import translate
from ormdb.storage.lmdb.sharing import is_open_here


def lock_path(path: str | os.PathLike[str]) -> Path:
    """The lock file of a data file."""
    return Path(f"{os.fspath(path)}-lock")


def replace_unused(path: str | os.PathLike[str], replacement: str | os.PathLike[str]) -> None:
    """Put a finished file in the place of one that nobody has open.

    Raises:
      BusyError: somebody has; nothing was replaced.
    """
    place = os.path.realpath(path)
    if is_open_here(place):
        raise BusyError(f"{path} is open in this process; close it before it is replaced")
    with alone_with(place):
        rename_over(replacement, place)


@contextmanager
def alone_with(path: str) -> Generator[None]:
    """Nobody else has the file open, or opens it, before this ends.

    Raises:
      BusyError: another process has it open.
    """
    try:
        descriptor = os.open(lock_path(path), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
    except OSError as error:
        raise translate(error, path, "locking it") from error
    try:
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, 0)
        except (BlockingIOError, PermissionError) as error:
            raise BusyError(
                f"{path} is open in another process; close it there, then try again"
            ) from error
        yield
    finally:
        os.close(descriptor)


def rename_over(source: str | os.PathLike[str], target: str) -> None:
    """Rename a file that is on the disk, and see that the new name is, too."""
    try:
        Path(source).replace(target)
        sync_folder(target)
    except OSError as error:
        raise translate(error, target, "replacing it") from error


def name_new(source: str | os.PathLike[str], target: str | os.PathLike[str]) -> None:
    """Give a file that is on the disk a second name, which nothing has yet.

    Raises:
      UsageError: there is something.
    """
    try:
        os.link(source, target)  # unlike a rename, it replaces nothing
        sync_folder(target)
    except FileExistsError as error:
        raise UsageError(f"{target} exists; give the path of a new file") from error
    except OSError as error:
        raise translate(error, os.fspath(target), "giving it its name") from error


def sync_folder(path: str | os.PathLike[str]) -> None:
    """See that the name of a file is on the disk."""
    folder = os.open(Path(path).resolve().parent, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
