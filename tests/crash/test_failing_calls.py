"""Each of the first 300 calls on the files fails: right rows or a typed error, and all goes on.

A small library is preloaded into a process, and makes the k-th call on a file of one folder fail:
writes, syncs, reads by position, maps, allocations and cuts, with EIO or ENOSPC, once or three
times in a row, or with half of the bytes written.  The process is the same before, during, after.
"""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest

import ormdb
from tests.box import Box
from tests.crash.bank import SCHEMA, TOTAL, Account, Transfer
from tests.crash.tools import memory_folder, require

HERE: Final = Path(__file__).parent
CALLS: Final = 300
KINDS: Final = (  # how many fail in a row, with what, and whether writes are done by half
    (1, errno.EIO, 0),
    (1, errno.ENOSPC, 0),
    (3, errno.EIO, 0),
    (3, errno.ENOSPC, 0),
    (1, 0, 1),
    (3, 0, 1),
)


class Failing:
    """The process into which the library is preloaded."""

    def __init__(self, library: Path, folder: Path) -> None:
        self.folder = folder
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.crash.failing", str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=HERE.parents[1],
            env={**os.environ, "LD_PRELOAD": str(library)},
        )

    def run(self, at: int, kind: tuple[int, int, int]) -> dict[str, Any]:
        """Run one case, and see in this process that what it left is sound."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{at} {' '.join(map(str, kind))}\n")
        self._process.stdin.flush()
        told: dict[str, Any] = json.loads(self._process.stdout.readline())
        assert not told["wrong"], f"call {at} fails as {kind}: {told['wrong']}"
        with ormdb.open(self.folder / "bank.ormdb", schema=SCHEMA, statistics="manual") as db:
            assert db.count(Transfer.all()) == told["made"]
            assert sum(account.balance for account in db.fetch(Account.all())) == TOTAL
            assert db.check(deep=True).problems == ()
        return told

    def close(self) -> None:
        self._process.communicate()


@contextmanager
def failing(tmp_path: Path) -> Generator[Failing]:
    """The process, for a while."""
    library = tmp_path / "failing_calls.so"
    gcc = require("gcc", "apt-get install gcc libc6-dev")
    source = HERE / "failing_calls.c"
    subprocess.run([gcc, "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"], check=True)
    with memory_folder(tmp_path) as folder:
        process = Failing(library, folder)
        try:
            yield process
        finally:
            process.close()


@pytest.mark.soak(seconds=35, cases_min=80)
def test_whichever_call_fails_rows_are_right_and_the_process_goes_on(
    box: Box, tmp_path: Path
) -> None:
    errors: Counter[str] = Counter()
    with failing(tmp_path) as process:
        for seed in box.seeds():
            # In 1,800 seeds every call meets every kind.
            told = process.run(seed * 101 % CALLS + 1, KINDS[(seed + seed // CALLS) % len(KINDS)])
            errors.update(error.partition(":")[0] for error in told["errors"])
            box.count(told["met"] > 0)
    box.tell(", ".join(f"{count} {code}" for code, count in errors.items()))


def test_a_call_that_does_not_fail_is_seen_and_changes_nothing(tmp_path: Path) -> None:
    with failing(tmp_path) as process:
        told = process.run(10**6, KINDS[0])
    assert told["met"] == 0
    assert told["seen"] > CALLS
    assert all(error.startswith("storage.full") for error in told["errors"])  # the map, by itself
