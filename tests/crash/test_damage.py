"""A damaged file: right rows or a typed error, never a wrong row, and no dead process at open."""

from __future__ import annotations

import contextlib
import faulthandler
import os
import pickle
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeAlias

import pytest

import ormdb
from ormdb import Database
from ormdb.errors import OrmdbError
from tests.box import Box
from tests.crash.bank import SCHEMA, Account, Transfer, found, move

COMMITS: Final = 120
PAGE_BYTES: Final = 4_096

Rows: TypeAlias = Sequence[tuple[object, ...]]
Truth: TypeAlias = dict[str, frozenset[tuple[object, ...]]]


def accounts(db: Database) -> Rows:
    return [(a.number, a.balance) for a in db.fetch(Account.all())]


def transfers(db: Database) -> Rows:
    return [(t.id, t.amount, t.memo) for t in db.fetch(Transfer.all())]


def by_index(db: Database) -> Rows:
    rich = db.fetch(Account.where(Account.balance > 500).order_by(Account.balance.desc()))
    some = db.fetch(Transfer.where(Transfer.amount >= 100).order_by(Transfer.amount).limit(40))
    return [(a.number, a.balance) for a in rich] + [(t.id, t.amount) for t in some]


def by_identity(db: Database) -> Rows:
    return [(t.id, t.memo) for n in range(1, 30) if (t := db.get(Transfer, n))]


def edges_to_many(db: Database) -> Rows:
    senders = db.fetch(Account.all().include(Account.sent))
    return [(a.number, t.id, t.amount) for a in senders for t in a.sent]


def edges_to_one(db: Database) -> Rows:
    found = db.fetch(Transfer.all().include(Transfer.source))
    return [(t.id, t.source.number) for t in found if t.source is not None]


def the_past(db: Database) -> Rows:
    return [(a.number, a.balance) for a in db.fetch(Account.all().as_of(COMMITS // 2))]


QUESTIONS: Final[tuple[Callable[[Database], Rows], ...]] = (
    accounts,
    transfers,
    by_index,
    by_identity,
    edges_to_many,
    edges_to_one,
    the_past,
)


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a child saw; without answers when it died after it had opened the file."""

    answers: Truth = field(default_factory=dict[str, frozenset[tuple[object, ...]]])
    problems: int | None = None
    refused: str | None = None


def make_bank(path: Path) -> Truth:
    """A bank with some history, and the truth about it."""
    found(str(path))
    random_ = random.Random(7)
    with ormdb.open(path, schema=SCHEMA) as db:
        for number in range(1, COMMITS + 1):
            move(db, number, random_)
        return {ask.__name__: frozenset(ask(db)) for ask in QUESTIONS}


def flip_a_bit(data: bytearray, random_: random.Random) -> None:
    data[random_.randrange(len(data))] ^= 1 << random_.randrange(8)


def zero_a_page(data: bytearray, random_: random.Random) -> None:
    at = random_.randrange(len(data) // PAGE_BYTES) * PAGE_BYTES
    data[at : at + PAGE_BYTES] = bytes(PAGE_BYTES)


def cut_the_end(data: bytearray, random_: random.Random) -> None:
    del data[random_.randrange(len(data)) :]


def swap_two_pages(data: bytearray, random_: random.Random) -> None:
    one, two = (random_.randrange(len(data) // PAGE_BYTES) * PAGE_BYTES for _ in range(2))
    page = data[one : one + PAGE_BYTES]
    data[one : one + PAGE_BYTES] = data[two : two + PAGE_BYTES]
    data[two : two + PAGE_BYTES] = page


def write_noise(data: bytearray, random_: random.Random) -> None:
    at = random_.randrange(len(data))
    data[at : at + 64] = random_.randbytes(min(64, len(data) - at))


DAMAGES: Final[tuple[Callable[[bytearray, random.Random], None], ...]] = (
    flip_a_bit,
    flip_a_bit,
    flip_a_bit,
    zero_a_page,
    cut_the_end,
    swap_two_pages,
    write_noise,
)


def ask_in_a_child(path: Path, report: Path) -> int:
    """Open and ask in a process that may die; how it ended, what it found in `report`."""
    child = os.fork()
    if child:
        return os.waitpid(child, 0)[1]
    faulthandler.disable()  # a death after the opening is allowed, and needs no page of traces
    code = 1
    try:
        try:
            with ormdb.open(path, schema=SCHEMA) as db:
                report.write_bytes(pickle.dumps(Found()))
                report.write_bytes(pickle.dumps(ask_everything(db)))
        except OrmdbError as error:
            report.write_bytes(pickle.dumps(Found(refused=error.code)))
        code = 0
    finally:
        os._exit(code)


def ask_everything(db: Database) -> Found:
    """Every answer that can be given, and what a deep check says."""
    answers: Truth = {}
    for ask in QUESTIONS:
        with contextlib.suppress(OrmdbError):
            answers[ask.__name__] = frozenset(ask(db))
    return Found(answers=answers, problems=len(db.check(deep=True).problems))


@pytest.mark.soak(seconds=60, cases_min=300)
def test_a_damaged_file_gives_right_rows_or_a_typed_error(box: Box, tmp_path: Path) -> None:
    sound, report = tmp_path / "sound.ormdb", tmp_path / "report"
    truth = make_bank(sound)
    whole = sound.read_bytes()
    for seed in box.seeds():
        random_ = random.Random(seed)
        damaged = tmp_path / "damaged.ormdb"
        data = bytearray(whole)
        damage = random_.choice(DAMAGES)
        damage(data, random_)
        damaged.write_bytes(data)
        report.unlink(missing_ok=True)
        ending = ask_in_a_child(damaged, report)
        judge(truth, ending, report, damage.__name__)
        for left in (damaged, Path(f"{damaged}-lock")):
            left.unlink(missing_ok=True)
        box.count(1)


def judge(truth: Truth, ending: int, report: Path, damage: str) -> None:
    """No death at open; no wrong row; what is missing was found by the deep check."""
    assert report.exists(), f"{damage}: the process died at open ({ending})"
    found: Found = pickle.loads(report.read_bytes())
    missing = False
    for name, rows in found.answers.items():
        wrong = rows - truth[name]
        assert not wrong, f"{damage}: {name} gave rows that were never written: {wrong}"
        missing = missing or rows != truth[name]
    if missing and found.problems is not None:
        assert found.problems, f"{damage}: rows are missing, and the deep check found nothing"
