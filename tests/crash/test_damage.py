"""A damaged file: right rows or a typed error, never a wrong row, and no dead process at open.

Each case damages a copy of one workshop, and a child opens it, checks it and asks it.  What the
child finds it writes down at once, so that a later death does not hide it:

    refused CODE        opening ended with a typed error
    open 26             it was opened, and its newest commit is 26
    checked 3           the deep check reports three problems
    missing Part.all()  rows or edges that ought to be there are not
    past Part.all()     rows or edges are there as an earlier commit left them
    wrong Part.all()    rows, edges or an order that no commit ever had
    untyped …           something ended with an error that is not of ormdb, or the check with any

LMDB may end the process when it is asked what lies on damaged pages, but not before it was opened
and not in the check, which looks at the pages first.

A page of an earlier commit, whole, holds rows that are sound in themselves.  It may have been put
in the place of a newer one, or a flipped bit of an inner page leads to it.  So rows of the past may
be given, if the deep check then finds the damage; never anything else.
"""

from __future__ import annotations

import faulthandler
import os
import random
import signal
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TextIO

import pytest

import ormdb
from ormdb import Database
from ormdb.errors import OrmdbError
from tests.box import Box
from tests.crash.damage import DAMAGES, Victim
from tests.crash.questions import Truths, questions
from tests.crash.workshop import COMMITS, LAST_VERSION, SCHEMA, build_workshop

ASKED: Final = 10  # questions of each case: more cases find more than more questions
CHILD_S_MAX: Final = 120
COPIES: Final = 10  # of earlier commits, to take old pages from


@dataclass(frozen=True, slots=True)
class Sound:
    """The file before any damage, what it and its copies hold, and the truth about it."""

    data: bytes
    earlier: tuple[bytes, ...]
    truths: Truths


@dataclass(slots=True)
class Told:
    """What a child wrote down."""

    version: int | None = None
    problems: int | None = None
    lines: dict[str, list[str]] = field(default_factory=dict[str, list[str]])

    def of(self, word: str) -> list[str]:
        return self.lines.get(word, [])


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Sound:
    path = tmp_path_factory.mktemp("workshop") / "sound.ormdb"
    truths = Truths()
    copies: list[bytes] = []

    def after_commit(db: Database) -> None:
        truths.note_commit(db)
        copies.append(path.read_bytes())

    build_workshop(path, after_commit)
    assert len(copies) == COMMITS + 1
    return Sound(path.read_bytes(), tuple(copies[-COPIES - 1 : -1]), truths)


def test_a_sound_file_gives_the_judge_nothing_to_complain_of(sound: Sound, tmp_path: Path) -> None:
    names = [question.name for question in questions(LAST_VERSION)]
    assert len(set(names)) == len(names)
    (tmp_path / "sound.ormdb").write_bytes(sound.data)
    with (
        ormdb.open(tmp_path / "sound.ormdb", schema=SCHEMA) as db,
        (tmp_path / "report").open("w") as out,
    ):
        ask_everything(db, sound.truths, random.Random(0), out, asked=len(names))
    told = read_report(tmp_path / "report")
    assert (told.version, told.problems) == (LAST_VERSION, 0)
    assert told.lines.keys() == {"open", "checked"}


@pytest.mark.soak(seconds=75, cases_min=1_000)
def test_a_damaged_file_gives_right_rows_or_a_typed_error(
    box: Box, sound: Sound, tmp_path: Path
) -> None:
    damaged, report = tmp_path / "damaged.ormdb", tmp_path / "report"
    for seed in box.seeds():
        random_ = random.Random(seed)
        data = bytearray(sound.data)
        damage = random_.choice(DAMAGES)
        damage(Victim(data, sound.earlier, random_))
        damaged.write_bytes(data)
        report.unlink(missing_ok=True)
        ending = ask_in_a_child(damaged, sound.truths, random_, report)
        judge(ending, report, damage.__name__)
        for left in (damaged, Path(f"{damaged}-lock")):
            left.unlink(missing_ok=True)
        box.count(1)


def ask_in_a_child(path: Path, truths: Truths, random_: random.Random, report: Path) -> int:
    """Open, check and ask in a process that may die; how it ended."""
    child = os.fork()
    if child:
        return os.waitpid(child, 0)[1]
    faulthandler.disable()  # a death after the opening is allowed, and needs no page of traces
    signal.alarm(CHILD_S_MAX)
    code = 1
    try:
        with report.open("w", buffering=1, encoding="utf-8") as out:
            try:
                with ormdb.open(path, schema=SCHEMA) as db:
                    ask_everything(db, truths, random_, out, asked=ASKED)
            except OrmdbError as error:
                write(out, "refused", error.code)
            except BaseException:
                write(out, "untyped", traceback.format_exc()[-1_500:])
                raise
        code = 0
    finally:
        os._exit(code)


def ask_everything(
    db: Database, truths: Truths, random_: random.Random, out: TextIO, *, asked: int
) -> None:
    """What a deep check says, and the answers to some questions."""
    with db.snapshot() as snapshot:
        version = snapshot.version
    write(out, "open", str(version))
    try:
        write(out, "checked", str(len(db.check(deep=True).problems)))
    except OrmdbError as error:
        write(out, "untyped", f"the check raised {error!r}")
    known = truths.by_version.get(version, truths.by_version[LAST_VERSION])
    there = [question for question in questions(LAST_VERSION) if question.name in known]
    for question in random_.sample(there, min(asked, len(there))):
        try:
            answer = question.ask(db)
        except OrmdbError:
            continue
        truth = known[question.name]
        strange = truth.wrong_in(answer.facts)
        never = strange - truths.ever_of(question)
        for fact in (*answer.disorder, *sorted(never)[:3]):
            write(out, "wrong", f"{question.name}: {fact[:600]}")
        if strange - never:
            write(out, "past", f"{question.name}: {min(strange - never)[:600]}")
        if answer.facts != truth.expected:
            write(out, "missing", question.name)


def write(out: TextIO, word: str, what: str) -> None:
    """One line of a report, which is on its way before anything else happens."""
    out.write(f"{word} {what.encode('unicode_escape').decode()[:2_000]}\n")
    out.flush()


def read_report(report: Path) -> Told:
    told = Told()
    for line in report.read_text(encoding="utf-8").splitlines():
        word, _, what = line.partition(" ")
        told.lines.setdefault(word, []).append(what)
    told.version = next(map(int, told.of("open")), None)
    told.problems = next(map(int, told.of("checked")), None)
    return told


def judge(ending: int, report: Path, damage: str) -> None:
    """No death at open or in the check; no wrong row; what is missing was found by the check."""
    told = read_report(report)
    death = os.WTERMSIG(ending) if os.WIFSIGNALED(ending) else 0
    assert death != signal.SIGALRM, f"{damage}: nothing came to an end in {CHILD_S_MAX} s"
    assert not told.of("untyped"), f"{damage}: {told.of('untyped')}"
    if told.version is None:
        assert told.of("refused"), f"{damage}: the process died at open ({ending})"
        return
    assert told.problems is not None, f"{damage}: the process died in the deep check ({ending})"
    assert not told.of("wrong"), f"{damage}: what never was: {told.of('wrong')}"
    for word in ("past", "missing"):
        assert told.problems or not told.of(word), f"{damage}: not found: {told.of(word)}"
