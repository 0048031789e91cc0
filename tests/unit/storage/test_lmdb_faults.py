"""Every error of LMDB becomes one of ormdb's, with a fact and a remedy."""

from __future__ import annotations

import errno

import lmdb
import pytest

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
from ormdb.storage.lmdb.faults import translate

EXPECTED: dict[type[lmdb.Error], type[OrmdbError]] = {
    lmdb.CorruptedError: CorruptionError,
    lmdb.PageNotFoundError: CorruptionError,
    lmdb.IncompatibleError: CorruptionError,
    lmdb.InvalidError: FormatError,
    lmdb.VersionMismatchError: FormatError,
    lmdb.MapFullError: StorageFullError,
    lmdb.DbsFullError: StorageFullError,
    lmdb.TxnFullError: LimitError,
    lmdb.ReadersFullError: BusyError,
    lmdb.BadValsizeError: UsageError,
    lmdb.DiskError: StorageFullError,
    lmdb.ReadonlyError: ReadOnlyError,
}


def every_class() -> list[type[lmdb.Error]]:
    return lmdb.Error.__subclasses__()


@pytest.mark.parametrize("kind", every_class(), ids=lambda kind: kind.__name__)
def test_every_class_of_error_is_translated(kind: type[lmdb.Error]) -> None:
    error = translate(kind("mdb_put", 0), "data.ormdb", "writing")
    assert type(error) is EXPECTED.get(kind, StorageIOError)
    assert "data.ormdb" in str(error) or isinstance(error, UsageError)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (errno.ENOSPC, StorageFullError),
        (errno.EFBIG, StorageFullError),
        (errno.EDQUOT, StorageFullError),
        (errno.EACCES, ReadOnlyError),
        (errno.EROFS, ReadOnlyError),
        (errno.EIO, StorageIOError),
        (errno.ENOMEM, StorageIOError),
        (errno.EBADF, StorageIOError),
    ],
)
def test_errors_of_the_system_are_told_by_their_number(code: int, kind: type[OrmdbError]) -> None:
    of_lmdb = lmdb.Error("mdb_put")
    setattr(of_lmdb, "code", code)  # noqa: B010  # only LMDB itself may give it
    for error in (of_lmdb, OSError(code, "no")):
        translated = translate(error, "data.ormdb", "writing")
        assert type(translated) is kind
        assert ";" in str(translated) or "(" in str(translated)


def test_sizes_that_overflow_are_damage() -> None:
    assert isinstance(translate(OverflowError("size"), "data.ormdb", "reading"), CorruptionError)
