"""A writer killed at any moment: every acknowledged commit is there, and nothing half done."""

from __future__ import annotations

import datetime
import os
import random
import signal
import warnings
from pathlib import Path

import pytest

import ormdb
from tests.box import Box
from tests.crash.bank import SCHEMA, TOTAL, Account, Transfer, found, move

WEEK = datetime.timedelta(days=7)
NOTHING = datetime.timedelta(0)


@pytest.mark.soak(seconds=40, cases_min=50)
def test_a_killed_writer_leaves_every_acknowledged_commit_and_nothing_half_done(
    box: Box, tmp_path: Path
) -> None:
    path = tmp_path / "bank.ormdb"
    found(str(path))
    committed = 0
    for seed in box.seeds():
        acknowledged = kill_once(path, seed)
        committed = verify(path, max(acknowledged, committed))
        box.count(1)
        if committed > 2_000:  # so that a deep check stays short
            path.unlink()
            found(str(path))
            committed = 0


def kill_once(path: Path, seed: int) -> int:
    """Let a writer make some commits and kill it; the last commit it acknowledged, or 0."""
    random_ = random.Random(seed)
    read, write = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the child uses no thread of ours
        writer = os.fork()
    if not writer:
        os.close(read)
        write_until_killed(path, seed, write)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        lines = [pipe.readline() for _ in range(random_.randint(0, 30))]
        for _ in range(random_.randint(0, 200_000)):
            pass  # anywhere in what follows: between two commits, or in the middle of one
        os.kill(writer, signal.SIGKILL)
        lines += pipe.readlines()
    _, ending = os.waitpid(writer, 0)
    assert os.WIFSIGNALED(ending), f"the writer ended by itself after {lines[-1:]}"
    whole = [line for line in lines if line.endswith(b"\n")]
    return int(whole[-1]) if whole else 0


def write_until_killed(path: Path, seed: int, acknowledge: int) -> None:
    """Commit, and say so after each commit; half of the writers also drop what is old."""
    try:
        random_ = random.Random(seed)
        retention = random_.choice((WEEK, NOTHING))
        with ormdb.open(path, schema=SCHEMA, retention=retention) as db:
            number = db.count(Transfer.all())
            while True:
                number += 1
                move(db, number, random_)
                os.write(acknowledge, b"%d\n" % number)
    finally:
        os._exit(1)


def verify(path: Path, acknowledged: int) -> int:
    """The truths of the bank, and of the file; how many commits there are."""
    with ormdb.open(path, schema=SCHEMA) as db:
        transfers = db.count(Transfer.all())
        assert acknowledged <= transfers <= acknowledged + 1
        numbers = [transfer.id for transfer in db.fetch(Transfer.select(Transfer.id))]
        assert numbers == list(range(1, transfers + 1))
        assert sum(account.balance for account in db.fetch(Account.all())) == TOTAL
        report = db.check(deep=True)
        assert not report.problems, report.problems
    return transfers
