"""Aborting a write transaction at once, however busy the readers are.

    raw.abort()      waits until no thread of this process is inside a call on the environment
    last name gone   its finalizer aborts without waiting

Two threads that read without a pause are never both outside of a call: one of them holds the
interpreter's lock while the other one, still inside, waits for it.  `Transaction.abort` of py-lmdb
3.0 then waits for as long as they read, with the lock of all writers held.  So a write transaction
is aborted by letting go of it.

Invariants (held by tests/unit/storage/test_lmdb_aborting.py):
  1. After the call LMDB's transaction has ended, whoever else has a name for it.
"""

from __future__ import annotations

import traceback
import weakref

from ormdb.storage.lmdb.readers import RawTransaction


def abort_held(held: list[RawTransaction], failure: BaseException | None = None) -> None:
    """Abort the one transaction in `held`, which should be its last name.

    Args:
      held: a list of one transaction; empty afterwards.
      failure: an error of LMDB, whose frames below its handler may have names for it, too.
    """
    if failure is not None:
        traceback.clear_frames(failure.__traceback__)
    reference = weakref.ref(held.pop())
    named = reference()
    if named is not None:
        named.abort()
