"""A program whose system calls fail: run by `test_failing_calls.py` with a library preloaded.

    python -m tests.crash.failing <folder>

Each line of its input is a case, `at times code is_short`: in a process of its own it makes a bank,
moves money, copies and compacts the file and opens it again, while calls on files of the folder
fail from the `at`-th on.  Whatever ends with an UnavailableError is looked at, and done once more.
The answer is a line of JSON: how many calls there were and how many failed, the errors, the commits
acknowledged, and what was wrong.
"""

from __future__ import annotations

import ctypes
import datetime
import json
import os
import random
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

import ormdb
from ormdb import Database
from ormdb.errors import OrmdbError, UnavailableError
from tests.crash.bank import ACCOUNTS, SCHEMA, TOTAL, Account, Transfer, move

TRIES_MAX: Final = 10  # of one step: more than fail in a row
MOVES: Final = (18, 6)  # before the file is compacted, and after
T = TypeVar("T")


class Case:
    """One run of the program, with one fault."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.path = folder / "bank.ormdb"
        self.random = random.Random(seed)
        self.made = 0
        self.errors: list[str] = []
        self.db: Database | None = None

    def run(self) -> None:
        self.open()
        self.attempt(self.begin)
        self.moves(MOVES[0])
        copy = self.path.with_name("copy.ormdb")
        self.attempt(lambda: self.bank.backup(copy))
        with self.attempt(lambda: ormdb.open(copy, read_only=True)) as copied:
            assert self.attempt(lambda: copied.count(Transfer.all())) == self.made
        self.attempt(self.bank.compact)
        self.moves(MOVES[1])
        self.bank.close()
        self.open()
        self.moves(1)
        self.look()
        report = self.attempt(lambda: self.bank.check(deep=True))
        assert not report.problems, report.problems
        self.bank.close()

    @property
    def bank(self) -> Database:
        assert self.db is not None
        return self.db

    def open(self) -> None:
        self.db = self.attempt(
            lambda: ormdb.open(
                self.path,
                schema=SCHEMA,
                map_bytes=2**20,
                statistics="manual",
                retention=datetime.timedelta(0),
            )
        )

    def begin(self) -> None:
        """Open the accounts, unless that was done, and its end not heard of."""
        if not self.bank.count(Account.all()):
            accounts = [Account(number=f"a{n}", balance=1_000) for n in range(ACCOUNTS)]
            self.bank.insert_many(accounts)

    def moves(self, count: int) -> None:
        for _ in range(count):
            self.attempt(self.move)

    def move(self) -> None:
        """One transfer more than there were; one whose end was not heard of counts."""
        transfers = self.look()
        if transfers == self.made:
            move(self.bank, self.made + 1, self.random, padding_max=120_000)
        self.made += 1

    def look(self) -> int:
        """The truths of the bank; how many transfers there are."""
        transfers = self.attempt(lambda: self.bank.count(Transfer.all()))
        accounts = self.attempt(lambda: list(self.bank.fetch(Account.all())))
        assert self.made <= transfers <= self.made + 1, f"{transfers} of {self.made}"
        assert sum(account.balance for account in accounts) == TOTAL
        return transfers

    def attempt(self, step: Callable[[], T]) -> T:
        """Do something, again when the storage was not able to."""
        for _ in range(TRIES_MAX):
            try:
                return step()
            except UnavailableError as error:
                self.errors.append(f"{error.code}: {error.message}")
        raise AssertionError(f"does not go on: {self.errors[-1]}")


def run_case(folder: Path, line: str) -> dict[str, object]:
    """Run one case in this process; what there is to tell."""
    at, times, code, is_short = map(int, line.split())
    calls = ctypes.CDLL(os.environ["LD_PRELOAD"])
    for each in (calls.failing_met, calls.failing_seen):
        each.restype = ctypes.c_long
    case = Case(folder, at)
    wrong = ""
    calls.failing_arm(
        os.fsencode(f"{folder.resolve()}/"),
        ctypes.c_long(at),
        ctypes.c_long(times),
        ctypes.c_int(code),
        ctypes.c_int(is_short),
    )
    try:
        case.run()
    except (AssertionError, OrmdbError, OSError):
        wrong = traceback.format_exc()[-3_000:]
    return {
        "wrong": wrong,
        "seen": calls.failing_seen(),
        "met": calls.failing_met(),
        "errors": case.errors[:5],
        "made": case.made,
    }


def main() -> None:
    """One case for each line, each in a child."""
    folder = Path(sys.argv[1])
    for line in sys.stdin:
        for left in folder.iterdir():
            left.unlink()
        read, write = os.pipe()
        child = os.fork()
        if not child:
            try:
                os.write(write, json.dumps(run_case(folder, line)).encode())
            finally:
                os._exit(0)
        os.close(write)
        with os.fdopen(read, "rb") as pipe:
            answer = pipe.read().decode()
        _, ending = os.waitpid(child, 0)
        sys.stdout.write((answer or json.dumps({"wrong": f"died with {ending}"})) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
