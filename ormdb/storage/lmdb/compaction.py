"""Compaction: a file rewritten in place, without its free pages, by its only user.

    1  become the writer                                 nobody commits from here on
    2  copy, compacted, to flights.ormdb-compact         on the disk before it is used
    3  let go of the file, and lock it for this process alone     anybody else: BusyError
    4  rename the copy over the file                     one step: the old file or the new one
    5  open the file again

A crash before step 4 leaves a copy, which the next compaction removes.

Invariants (held by tests/unit/storage/test_lmdb_compaction.py):
  1. The new file holds what the old one held, and the engine goes on with it.
  2. If anybody else has the file open, nothing changes.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from ormdb.errors import BusyError
from ormdb.storage.lmdb.copies import copy_environment
from ormdb.storage.lmdb.environment import Environment
from ormdb.storage.lmdb.faults import translate
from ormdb.storage.lmdb.pages import check_pages
from ormdb.storage.lmdb.replacing import alone_with, rename_over
from ormdb.storage.lmdb.sharing import held_alone


def compact_environment(environment: Environment) -> None:
    """Rewrite the file of an environment.

    Raises:
      BusyError: somebody else has the file open, or a snapshot is open.
      StorageFullError, StorageIOError: the copy could not be written; nothing changed.
    """
    copy = Path(f"{environment.path}-compact")
    with held_alone(environment):
        environment.meet_spaces()
        environment.writer.acquire(environment.settings.writer_wait_s)
        try:
            if not environment.knows_spaces():
                raise BusyError(f"another process is writing to {environment.path}; try again")
            copy.unlink(missing_ok=True)
            newest = environment.last_txn_id()
            copy_environment(environment, str(copy), compact=True)
            environment.replace_file(partial(_replace, environment.path, copy, newest))
        finally:
            copy.unlink(missing_ok=True)
            environment.writer.release()


def _replace(path: str, copy: Path, newest: int) -> None:
    with alone_with(path):
        # Whoever writes without ormdb does not wait for our writer lock.
        try:
            found = check_pages(path).transaction
        except OSError as error:
            raise translate(error, path, "looking at it") from error
        if found != newest:
            raise BusyError(f"{path} was written to while it was compacted; try again")
        rename_over(copy, path)
