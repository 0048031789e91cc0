"""Running a transaction again when it conflicts, until it gets through.

    attempt 1   conflict    pause 1 ms, more or less
    attempt 2   conflict    pause 2 ms
    ...
    attempt 5   exclusive: the one writer from its beginning, so nothing can come in between

Optimistic transactions that contend for the same rows keep overtaking each other, the long ones
most of all.  An attempt that takes the lock cannot be overtaken, and whoever waits for the lock
gets it in turn.  So a transaction conflicts a few times at most, and the oldest always gets
through.

Invariants (held by tests/unit/database/test_retrying.py):
  1. What the last attempt returned is returned, and what the others did is undone.
  2. Only errors that say `retryable` and mean the transaction are retried: conflicts.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from typing import Concatenate, ParamSpec, Protocol, TypeVar

from ormdb import limits
from ormdb.clock import Clock
from ormdb.database.writing import Transaction
from ormdb.errors import ConflictError, UsageError

T = TypeVar("T")
P = ParamSpec("P")


class Begin(Protocol):
    """Begins a transaction."""

    def __call__(self, *, exclusive: bool) -> Transaction: ...


def run_again(begin: Begin, clock: Clock, work: Callable[[Transaction], T], *, attempts: int) -> T:
    """Run `work` in a transaction and commit it, again after every conflict.

    Raises:
      ConflictError: the last attempt conflicted as well.
      UsageError: no attempt is allowed.
    """
    if attempts < 1:
        raise UsageError(f"attempts={attempts} runs nothing; allow at least 1")
    pause_s = limits.RETRY_PAUSE_S
    for attempt in range(1, attempts + 1):
        try:
            with begin(exclusive=attempt > limits.RETRY_OPTIMISTIC_MAX) as txn:
                return work(txn)
        except ConflictError:
            if attempt == attempts:
                raise
        # Two that conflicted must not meet again at the same moment.
        time.sleep(pause_s * (0.5 + clock.random_bytes(1)[0] / 256))
        pause_s = min(2 * pause_s, limits.RETRY_PAUSE_S_MAX)
    raise AssertionError("the last attempt returns or raises")


def transactional(
    run: Callable[[Callable[[Transaction], T]], T],
    function: Callable[Concatenate[Transaction, P], T],
) -> Callable[P, T]:
    """The function with its first argument, a transaction, filled in by `run`."""

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        return run(lambda txn: function(txn, *args, **kwargs))

    return call
