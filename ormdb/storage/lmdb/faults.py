"""What LMDB complains about, said as ormdb says it.

    lmdb.DiskError (ENOSPC)   ->  StorageFullError   free space on the disk, then try again
    lmdb.Error (EIO)          ->  StorageIOError     look at the system's log
    lmdb.CorruptedError       ->  CorruptionError    restore a backup

An error that names no operating system fault and is not in the table is our own bug in the use of
LMDB, or a damaged lock file; it becomes a StorageIOError that quotes LMDB.

Invariants (held by tests/unit/storage/test_lmdb_faults.py):
  1. Every error class of LMDB becomes an error of ormdb with a remedy.
"""

from __future__ import annotations

import errno
import os
import resource
from pathlib import Path
from typing import Final

import lmdb

from ormdb import limits
from ormdb.errors import (
    BusyError,
    CorruptionError,
    FormatError,
    LimitError,
    OrmdbError,
    ReadOnlyError,
    StorageFullError,
    StorageIOError,
    UsageError,
)

# What LMDB's functions raise; OverflowError is py-lmdb's word for sizes that only damage explains.
FAULTS: Final = (lmdb.Error, OverflowError)

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_NO_ROOM_BYTES: Final = 64 * 2**10  # less than this is what a write that does not fit leaves
_DAMAGE: Final = (lmdb.CorruptedError, lmdb.PageNotFoundError, lmdb.IncompatibleError)
_FOREIGN: Final = (lmdb.InvalidError, lmdb.VersionMismatchError)
# Where py-lmdb gives no number; where it does, these classes have it.
_CODES: Final[dict[type[lmdb.Error], int]] = {
    lmdb.DiskError: errno.ENOSPC,
    lmdb.ReadonlyError: errno.EACCES,
    lmdb.MemoryError: errno.ENOMEM,
}


def translate(error: lmdb.Error | OverflowError | OSError, path: str, doing: str) -> OrmdbError:
    """The error to raise in place of one that LMDB or the system raised while `doing`."""
    if isinstance(error, OSError):
        return _from_system(error.errno or 0, error.strerror or str(error), path, doing)
    if isinstance(error, (OverflowError, *_DAMAGE)):
        return CorruptionError(f"{path} is damaged, seen while {doing} ({error}); restore a backup")
    if isinstance(error, _FOREIGN):
        return FormatError(f"{path} is not a database of this format ({error}); open another file")
    if isinstance(error, lmdb.MapFullError):
        return StorageFullError(
            f"{path} has outgrown its memory map while {doing}; try again, the next transaction"
            " begins with a larger one"
        )
    if isinstance(error, lmdb.DbsFullError):
        return StorageFullError(
            f"{path} has more spaces than were made room for; try again, the next transaction"
            " begins with more room"
        )
    if isinstance(error, lmdb.TxnFullError):
        return LimitError(f"the transaction touches too many pages of {path}; write less at once")
    if isinstance(error, lmdb.ReadersFullError):
        return BusyError(
            f"{path} has {limits.READERS_MAX} open snapshots in all processes; end some of them"
        )
    if isinstance(error, lmdb.BadValsizeError):
        return UsageError(f"a key or duplicate has a width that cannot be stored ({error})")
    code: int = getattr(error, "code", 0) or next(
        (code for kind, code in _CODES.items() if isinstance(error, kind)), 0
    )
    return _from_system(code, str(error), path, doing)


def _from_system(code: int, text: str, path: str, doing: str) -> OrmdbError:
    if code in _FULL or (code == errno.EIO and _has_no_room(path)):
        return StorageFullError(
            f"no room for {path} while {doing} ({text}); free space, then try again"
        )
    if code in {errno.EACCES, errno.EPERM, errno.EROFS}:
        return ReadOnlyError(
            f"{path} may not be opened so by this process ({text}); open it with read_only=True,"
            " or change its mode"
        )
    if code == errno.ENOMEM:
        return StorageIOError(f"no memory or address space for {path} while {doing} ({text})")
    return StorageIOError(
        f"{path} could not be read or written while {doing} ({text});"
        " try again, and look at the system's log"
    )


def _has_no_room(path: str) -> bool:
    """Whether nothing more fits: LMDB calls a write that fitted in part an EIO."""
    try:
        free = os.statvfs(Path(path).parent)
        size = Path(path).stat().st_size
    except OSError:
        return False
    limit, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
    is_at_limit = limit != resource.RLIM_INFINITY and size + _NO_ROOM_BYTES > limit
    return is_at_limit or free.f_bavail * free.f_frsize < _NO_ROOM_BYTES
