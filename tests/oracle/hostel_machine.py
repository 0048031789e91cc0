"""A hostel that two processes write and many readers read, beside plain dicts of every version.

    commit, load, begin, write, end    this process or the other one
    open_snapshot, read, read_within   now, in old snapshots, in a transaction
    look_back                          as of a version: by a query, by a snapshot, by an old one
    start_reader, step_reader          a read that stops between two steps, commits in between
    overtake_here, overtake_there      the same at once, with several readers of the same rows
    fall_behind                        commits that this process has not heard of, or never will
    ask_there                          the other process reads through a cache of its own
    tidy_up, reopen                    change no answer

Every answer is compared with what the plain dicts of its version say, in order, and then spoiled:
what is kept must not be what was given away.

A step is a rule and a number from which everything else is drawn.  A walk draws its steps from a
seed, evenly: a fault may need several things to meet, and a hundred examples of Hypothesis, which
prefers few rules and small values, left some of those unfound that tests plant.  A walk that shows
a difference is told with as few of its steps as still show one.
"""

from __future__ import annotations

import random
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeAlias

import pytest

import ormdb
from ormdb import Database, limits
from ormdb.database.reading import Snapshot
from ormdb.database.writing import Transaction
from ormdb.errors import ConflictError, OrmdbError
from ormdb.ir.mutation import Insert, Mutation
from ormdb.session import Reader
from ormdb.storage.head import read_head
from tests.oracle.compare import DifferenceError
from tests.oracle.hostel import IDS, LINKED, QUESTIONS, SCHEMA
from tests.oracle.hostel_plain import (
    Ask,
    Change,
    Moves,
    PlainHostel,
    answer,
    expected,
    first_commits,
    spoil,
    told,
)
from tests.oracle.partner import Partner
from tests.oracle.stepped import SteppedReader

CACHE_BYTES: Final = (limits.ROW_CACHE_BYTES, 40_000, 12_000)  # all fits, half of it, a few rows
SNAPSHOTS_MAX: Final = 3
READERS_MAX: Final = 3
GATES_PASSED: Final = (5, 18)  # by a get, and by a read of three levels
COMMITS_FEW: Final = 3  # in some runs: commits looked through at most, and rows taken off singly
EVICTED_FEW: Final = 1

Step: TypeAlias = tuple[str, int]  # a rule, and what it draws from


@dataclass(frozen=True, slots=True)
class Held:
    """An open snapshot."""

    snapshot: Snapshot
    version: int
    horizon: int


@dataclass(frozen=True, slots=True)
class Led:
    """A read that stands somewhere, and the snapshot that it has to itself."""

    reader: SteppedReader
    ask: Ask
    version: int
    held: Held | None


class HostelMachine:
    """Both processes, the plain dicts, and the rules by which they change."""

    def __init__(self, partner: Partner, number: int, counts: Counter[str]) -> None:
        moves = Moves(number)
        self.partner, self.counts = partner, counts
        self.patch = pytest.MonkeyPatch()
        if moves.chance(5):
            self.patch.setattr(limits, "ROW_CACHE_COMMITS_MAX", COMMITS_FEW)
            self.patch.setattr(limits, "ROW_CACHE_EVICTED_MAX", EVICTED_FEW)
        self.folder = Path(tempfile.mkdtemp(prefix="ormdb-hostel-"))
        self.db = self.open(moves.one_of(CACHE_BYTES))
        self.version = self.horizon = self.db.version
        self.states = {self.version: PlainHostel.empty(self.db.schema)}
        self.told: dict[tuple[int, Ask], str] = {}
        self.held: list[Held] = []
        self.led: list[Led] = []
        self.held_there: int | None = None
        self.txn: Transaction | None = None
        self.txn_version = 0
        self.written: PlainHostel | None = None  # what the open transaction has made of the rows
        self.statements: list[Mutation] = []  # by which it has
        # From the first commits on every space exists: nobody waits for a writer to learn of one.
        for mutations in first_commits():
            self.db.run_mutations(mutations)
            state = self.newest
            for mutation in mutations:
                state = state.apply(mutation)
            self.settle(state)
        partner.open(self.folder / "hostel.ormdb", moves.one_of(CACHE_BYTES))

    def take(self, step: Step) -> bool:
        """Take a step, unless it cannot be taken here; whether it was."""
        name, number = step
        run, may_be = RULES[name]
        if may_be(self):
            run(self, Moves(number))
            self.counts["steps"] += 1
            return True
        return False

    def see_the_end(self) -> None:
        """Ask every question once more, and whoever still stands somewhere for its answer."""
        if self.txn is not None:
            self.txn.rollback()
            self.txn, self.written, self.statements = None, None, []
        while self.led:
            self.finish(self.led.pop())
        for number in range(len(QUESTIONS)):
            self.see(self.db, self.version, Ask(number))
        self.count_up()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.txn is not None:
            self.txn.rollback()
        for led in self.led:
            with suppress(OrmdbError):  # there is another error already, or nobody is led
                led.reader.answer()
        self.db.close()
        self.partner.close()
        self.patch.undo()
        shutil.rmtree(self.folder)

    def open(self, cache_bytes: int) -> Database:
        """Open the file, new or as it was left."""
        return ormdb.open(
            self.folder / "hostel.ormdb",
            schema=SCHEMA,
            durability="none",
            statistics="manual",
            cache_bytes=cache_bytes,
        )

    # --- writes ---------------------------------------------------------------------------------

    @property
    def newest(self) -> PlainHostel:
        return self.states[self.version]

    def commit(self, moves: Moves) -> None:
        """One commit, of this process or of the other one."""
        self.commit_changes(moves.changes(), there=moves.chance(5))

    def load(self, moves: Moves) -> None:
        """Every member that is not there, in one load."""
        score, there = moves.below(10), set(self.newest.identities("Member"))
        rows = tuple(
            {"id": n, "score": score, "club_code": None, "mentor_id": None}
            for n in range(IDS)
            if n not in there
        )
        if rows:
            self.db.bulk_load("Member", [dict(row) for row in rows])
            self.settle(self.newest.apply(Insert(entity="Member", rows=rows)))

    def begin(self, _: Moves) -> None:
        self.txn, self.txn_version = self.db.transaction(), self.version

    def write(self, moves: Moves) -> None:
        """Statements of the open transaction, which sees them; others do not."""
        assert self.txn is not None
        base = self.written or self.states[self.txn_version]
        mutations, state = made_of(base, moves.changes())
        if not mutations:
            return
        self.txn.run_mutations(mutations)
        self.statements += mutations
        self.written = state
        for ask in moves.asks():
            self.see_within(ask)
            self.see(self.db, self.version, ask)

    def read_within(self, moves: Moves) -> None:
        """The transaction's own state, or that of its snapshot while it has written nothing."""
        for ask in moves.asks():
            self.see_within(ask)

    def end(self, moves: Moves) -> None:
        """Commit the open transaction, or roll it back."""
        assert self.txn is not None
        if moves.chance(5):
            try:
                self.txn.commit()
            except ConflictError:
                assert self.version > self.txn_version
                self.settle(self.newest)
            else:
                state = self.newest
                for mutation in self.statements:
                    state = state.apply(mutation)
                self.settle(state)
        else:
            self.txn.rollback()
        self.txn, self.written, self.statements = None, None, []
        for ask in moves.asks():
            self.see(self.db, self.version, ask)

    # --- reads ----------------------------------------------------------------------------------

    def open_snapshot(self, _: Moves) -> None:
        self.held.append(Held(self.db.snapshot(), self.version, self.horizon))

    def close_snapshot(self, moves: Moves) -> None:
        self.held.pop(moves.below(len(self.held))).snapshot.close()

    def read(self, moves: Moves) -> None:
        """Ask readers of all ages the same, or one of them."""
        readers = sorted(self.readers(), key=lambda each: each[1], reverse=moves.chance(5))
        if moves.chance(5):
            readers = [moves.one_of(readers)]
        for ask in moves.asks():
            for reader, version in readers:
                self.see(reader, version, ask)

    def look_back(self, moves: Moves) -> None:
        """Ask as of a version that is kept, before and after the same about now."""
        reader: Database | Snapshot = self.db
        first, last = self.horizon, self.version
        if self.held and moves.chance(3):
            held = moves.one_of(self.held)
            reader, first, last = held.snapshot, held.horizon, held.version
        for ask in moves.asks():
            version = max(first, last - moves.below(6))
            if moves.chance(5):
                self.see(self.db, self.version, ask)
            if reader is self.db and (ask.is_get or moves.chance(4)):
                with self.db.snapshot(as_of=version) as past:
                    self.see(past, version, ask)
            elif not ask.is_get:
                self.see(reader, version, ask, as_of=version)
            self.see(self.db, self.version, ask)
            self.counts["answers of the past"] += version < self.version

    def start_reader(self, moves: Moves) -> None:
        """Begin to read, now or in an old snapshot, and stop on the way."""
        self.led.append(self.start(moves.ask(), old=moves.chance(5)))
        self.led[-1].reader.step(moves.below(6))

    def step_reader(self, moves: Moves) -> None:
        """Let a reader go on; when it is done, see what it read."""
        led = moves.one_of(self.led)
        led.reader.step(1 + moves.below(8))
        if led.reader.gate is None:
            self.led.remove(led)
            self.finish(led)

    def overtake_here(self, moves: Moves) -> None:
        """This process changes rows while readers of them stand somewhere."""
        self.overtake(moves, there=False)

    def overtake_there(self, moves: Moves) -> None:
        """The other process does."""
        self.overtake(moves, there=True)

    def fall_behind(self, moves: Moves) -> None:
        """The other process makes several commits, and perhaps drops what the log says of them."""
        asked = moves.asks()
        for ask in asked:
            self.see(self.db, self.version, ask)
        for change in moves.changes(least=2, most=5):
            self.commit_changes([change], there=True)
        if moves.chance(5):
            self.horizon = self.partner.reclaim(1 + moves.below(3))
        for ask in asked:
            self.see(self.db, self.version, ask)

    def ask_there(self, moves: Moves) -> None:
        """The other process answers as well, now, in its snapshot and about the past."""
        if moves.chance(2):
            self.held_there = self.partner.hold()
            assert self.held_there == self.version
        for ask in moves.asks():
            if moves.chance(3) and self.held_there is not None:
                found, version = self.partner.ask(ask, held=True), self.held_there
            elif ask.is_get or moves.chance(6):
                found, version = self.partner.ask(ask), self.version
            else:
                version = max(self.horizon, self.version - moves.below(6))
                found = self.partner.ask(ask, as_of=version)
            self.compare(found, version, ask, "the other process")
            self.counts["answers there"] += 1

    # --- upkeep ---------------------------------------------------------------------------------

    def tidy_up(self, moves: Moves) -> None:
        """Forget old versions, and what the log says of them; or make other plans from now on."""
        keep = 1 + moves.below(6)
        if moves.chance(4):
            self.db.analyze()
            return
        if moves.chance(5):
            horizon = self.partner.reclaim(keep)
        else:
            horizon = self.db.reclaim(keep_versions=keep).horizon
        assert self.horizon <= horizon <= max(self.horizon, self.version - keep + 1)
        self.horizon = horizon

    def reopen(self, moves: Moves) -> None:
        """Begin with nothing kept, and perhaps with less room."""
        for led in self.led:
            self.finish(led)
        self.led, self.held = [], []
        self.count_up()
        self.db.close()
        self.db = self.open(moves.one_of(CACHE_BYTES))

    # --- both -----------------------------------------------------------------------------------

    def readers(self) -> list[tuple[Reader, int]]:
        """Who reads at which version."""
        return [(self.db, self.version), *((held.snapshot, held.version) for held in self.held)]

    def commit_changes(self, wanted: Sequence[Change], *, there: bool) -> None:
        """Make one commit of what fits the newest rows, if anything does."""
        mutations, state = made_of(self.newest, wanted)
        if not mutations:
            return
        if there:
            self.partner.write(mutations)
            self.counts["commits there"] += 1
        else:
            self.db.run_mutations(mutations)
        self.settle(state)

    def settle(self, state: PlainHostel) -> None:
        """Keep what a commit left; one that changed nothing made no version."""
        txn = self.db.engine.begin_read()  # beside the cache, which has heard of nothing yet
        try:
            head = read_head(txn)
        finally:
            txn.close()
        assert head is not None
        if head.version == self.version:
            assert state.tables == self.newest.tables
            return
        assert head.version == self.version + 1
        self.version = head.version
        self.states[self.version] = state
        self.counts["commits"] += 1

    def see(self, reader: Reader, version: int, ask: Ask, *, as_of: int | None = None) -> None:
        """Ask a reader, and compare."""
        try:
            found = answer(reader, ask, as_of)
        except OrmdbError as error:
            raise DifferenceError(f"at {version}: {ask} raises {error!r}") from error
        self.compare(told(found), version, ask, repr(reader))
        spoil(found)

    def see_within(self, ask: Ask) -> None:
        """Ask the open transaction, and compare."""
        assert self.txn is not None
        try:
            found = answer(self.txn, ask)
        except OrmdbError as error:
            raise DifferenceError(f"within {self.txn}: {ask} raises {error!r}") from error
        state = self.written or self.states[self.txn_version]
        if told(found) != (wanted := told(expected(state, ask))):
            raise DifferenceError(f"within {self.txn}: {ask}\n  says {told(found)}\n  not {wanted}")
        spoil(found)
        self.counts["answers"] += 1

    def overtake(self, moves: Moves, *, there: bool) -> None:
        """Rows change, readers of them stop, they change again, others read, and they go on."""
        first = moves.changes()
        self.commit_changes(first, there=not there)
        asked = [Ask(moves.one_of(LINKED)) if moves.chance(5) else ask for ask in moves.asks()]
        led = [self.start(ask, old=moves.chance(2)) for ask in asked * 2]
        for each in led:
            each.reader.step(moves.below(moves.one_of(GATES_PASSED)))
        again = [replace(each, a=each.a + 1, b=each.b + 1) for each in first]
        self.commit_changes(again, there=there)
        for each in led:
            if each.version < self.version:
                self.counts[f"overtaken before {each.reader.gate or 'nothing'}"] += 1
            self.see(self.db, self.version, each.ask)
            self.finish(each)
            self.see(self.db, self.version, each.ask)

    def start(self, ask: Ask, *, old: bool) -> Led:
        """A reader at its first gate: now, or in the oldest snapshot, which becomes its own."""
        held = self.held.pop(0) if old and self.held else None
        version = self.version if held is None else held.version

        def read() -> Any:
            if held is not None:
                return answer(held.snapshot, ask)
            if ask.way != "prepared":
                return answer(self.db, ask)
            with self.db.snapshot() as snapshot:  # it is run twice
                return answer(snapshot, ask)

        return Led(SteppedReader(read), ask, version, held)

    def finish(self, led: Led) -> None:
        """See what a reader that stopped on its way has read."""
        try:
            found = led.reader.answer()
        except OrmdbError as error:
            raise DifferenceError(f"at {led.version}: {led.ask} raises {error!r}") from error
        finally:
            if led.held is not None:
                led.held.snapshot.close()
        self.compare(told(found), led.version, led.ask, "a reader that stopped")
        spoil(found)
        self.counts["answers of readers that stopped"] += 1

    def compare(self, found: str, version: int, ask: Ask, who: str) -> None:
        """See that an answer is that of the plain dicts of a version."""
        key = version, ask
        if key not in self.told:
            self.told[key] = told(expected(self.states[version], ask))
        if found != self.told[key]:
            raise DifferenceError(
                f"{who}, at {version} of {self.version}: {ask}\n"
                f"  says {found}\n  not  {self.told[key]}"
            )
        self.counts["answers"] += 1

    def count_up(self) -> None:
        """Add what the cache of this process did to what is told of the suite."""
        kept = self.db.statistics().rows_kept
        assert kept is not None
        self.counts["found kept"] += kept.hits
        self.counts["commits applied"] += kept.commits_applied


def made_of(state: PlainHostel, wanted: Sequence[Change]) -> tuple[list[Mutation], PlainHostel]:
    """What changes are, each at the state that the one before leaves; and the last state."""
    mutations: list[Mutation] = []
    for change in wanted:
        for mutation in state.mutations(change):
            mutations.append(mutation)
            state = state.apply(mutation)
    return mutations, state


Condition: TypeAlias = Callable[[HostelMachine], bool]


def _always(_: HostelMachine) -> bool:
    return True


def _nobody_writes(machine: HostelMachine) -> bool:
    return machine.written is None


def _within(machine: HostelMachine) -> bool:
    return machine.txn is not None


def _without(machine: HostelMachine) -> bool:
    return machine.txn is None


RULES: Final[dict[str, tuple[Callable[[HostelMachine, Moves], None], Condition]]] = {
    "commit": (HostelMachine.commit, _always),
    "load": (HostelMachine.load, _always),
    "begin": (HostelMachine.begin, _without),
    "write": (HostelMachine.write, _within),
    "read_within": (HostelMachine.read_within, _within),
    "end": (HostelMachine.end, _within),
    "open_snapshot": (
        HostelMachine.open_snapshot,
        lambda machine: len(machine.held) < SNAPSHOTS_MAX,
    ),
    "close_snapshot": (
        HostelMachine.close_snapshot,
        lambda machine: len(machine.held) == SNAPSHOTS_MAX,
    ),
    "read": (HostelMachine.read, _always),
    "look_back": (HostelMachine.look_back, _always),
    "start_reader": (HostelMachine.start_reader, lambda machine: len(machine.led) < READERS_MAX),
    "step_reader": (HostelMachine.step_reader, lambda machine: bool(machine.led)),
    "overtake_here": (HostelMachine.overtake_here, _always),
    "overtake_there": (HostelMachine.overtake_there, _always),
    "fall_behind": (HostelMachine.fall_behind, _always),
    "ask_there": (HostelMachine.ask_there, _always),
    "tidy_up": (HostelMachine.tidy_up, _nobody_writes),
    "reopen": (HostelMachine.reopen, _without),
}


def walk(
    partner: Partner, seed: int, *, steps: int, counts: Counter[str], shrink: bool = True
) -> None:
    """Take steps drawn from a seed; with `shrink`, a difference is told with few of them.

    Raises:
      DifferenceError: an answer is not that of the plain dicts.
    """
    rng = random.Random(seed)
    drawn: list[Step] = []
    try:
        with HostelMachine(partner, seed, counts) as machine:
            while len(drawn) < steps:
                step = rng.choice(list(RULES)), rng.randrange(2**32)
                drawn.append(step)
                machine.take(step)
            machine.see_the_end()
    except DifferenceError as error:
        if not shrink:
            raise
        few, last = _shrunk(partner, seed, drawn, error)
        told_steps = "\n".join(f"    {step}" for step in few)
        raise DifferenceError(f"seed {seed}, after\n{told_steps}\n{last}") from error


def _shrunk(
    partner: Partner, seed: int, steps: list[Step], error: DifferenceError
) -> tuple[list[Step], DifferenceError]:
    """As few of the steps as still show a difference, and the one that they show."""
    part = len(steps) // 2
    while part:
        start = 0
        while start < len(steps):
            fewer = [*steps[:start], *steps[start + part :]]
            found = _difference(partner, seed, fewer)
            if found is None:
                start += part
            else:
                steps, error = fewer, found
        part //= 2
    return steps, error


def _difference(partner: Partner, seed: int, steps: Sequence[Step]) -> DifferenceError | None:
    """What these steps show."""
    try:
        with HostelMachine(partner, seed, Counter()) as machine:
            for step in steps:
                machine.take(step)
            machine.see_the_end()
    except DifferenceError as error:
        return error
    return None
