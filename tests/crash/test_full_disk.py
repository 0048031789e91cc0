"""A disk that fills up: a typed error, nothing acknowledged lost, and the same process goes on."""

from __future__ import annotations

import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

import ormdb
from tests.crash.bank import SCHEMA, TOTAL, Account, Transfer, found
from tests.unit.storage.children import child

DISK_BYTES: Final = 3 * 2**20
SPARE_BYTES: Final = 2**20

# Commits until the disk is full, waits for room, and commits again.
SPENDER: Final = """
import random, resource
import ormdb
from ormdb.errors import StorageFullError
from tests.crash.bank import SCHEMA, TOTAL, Account, Transfer, move

def limit_file(bytes_max):
    resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_max, resource.RLIM_INFINITY))

file_bytes_max = int(hear())
random_ = random.Random(5)
with ormdb.open(path, schema=SCHEMA) as db:
    number = db.count(Transfer.all())
    if file_bytes_max:
        limit_file(file_bytes_max)
    for round_ in range(3):
        fulls = 0
        while fulls < 3:
            try:
                move(db, number + 1, random_, padding_max=20_000)
                number += 1
                say(number)
            except StorageFullError as error:
                assert "free space" in error.message, error
                fulls += 1
                assert sum(account.balance for account in db.fetch(Account.all())) == TOTAL
                assert db.count(Transfer.all()) == number
        say("full")
        file_bytes_max = int(hear())
        if file_bytes_max:
            limit_file(file_bytes_max)
    say("done")
"""


@dataclass
class Disk:
    """A place of little room: a file system of its own, or a bound on how large a file may be."""

    folder: Path
    is_mounted: bool

    @property
    def file_bytes_max(self) -> int:
        """What the writer has to bound its file to; 0 when the disk does that."""
        return 0 if self.is_mounted else DISK_BYTES

    @property
    def ballast(self) -> Path:
        return self.folder / "ballast"


@contextmanager
def small_disk(folder: Path) -> Generator[Disk]:
    """A file system of DISK_BYTES, where one can be mounted."""
    options = ["-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs"]
    mounted = subprocess.run(["mount", *options, folder], capture_output=True, check=False)
    is_mounted = mounted.returncode == 0
    try:
        yield Disk(folder, is_mounted)
    finally:
        if is_mounted:
            subprocess.run(["umount", "--lazy", folder], check=True)


def spend(disk: Disk) -> int:
    """Run the writer against the end of the disk, three times; the last commit it acknowledged."""
    path = disk.folder / "bank.ormdb"
    found(str(path))
    if disk.is_mounted:
        disk.ballast.write_bytes(bytes(SPARE_BYTES))
    acknowledged = 0
    with child(SPENDER, path) as writer:
        writer.say(str(disk.file_bytes_max))
        for round_ in range(1, 4):
            before = acknowledged
            while (line := writer.hear()) != "full":
                if not line.isdigit():
                    writer.finish()  # says why it ended
                acknowledged = int(line)
            assert acknowledged > before, f"nothing fitted in round {round_}"
            if disk.is_mounted:  # half of what is left of the ballast
                disk.ballast.write_bytes(bytes(SPARE_BYTES >> round_))
            writer.say(str(disk.file_bytes_max and disk.file_bytes_max + round_ * SPARE_BYTES // 2))
        writer.expect("done")
        writer.finish()
    return acknowledged


@pytest.mark.parametrize("is_bounded_by_the_disk", [True, False])
def test_a_full_disk_loses_nothing_and_frees_up_again(
    tmp_path: Path, *, is_bounded_by_the_disk: bool
) -> None:
    if is_bounded_by_the_disk:
        with small_disk(tmp_path) as disk:
            judge(disk, spend(disk))
    else:
        disk = Disk(tmp_path, is_mounted=False)
        judge(disk, spend(disk))


def judge(disk: Disk, acknowledged: int) -> None:
    """Every acknowledged commit is there, no other one, and the file is sound."""
    with ormdb.open(disk.folder / "bank.ormdb", schema=SCHEMA) as db:
        assert db.count(Transfer.all()) == acknowledged
        assert sum(account.balance for account in db.fetch(Account.all())) == TOTAL
        assert db.check(deep=True).problems == ()
