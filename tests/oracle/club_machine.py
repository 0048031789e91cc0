"""A club's database beside a database of plain dicts: whatever is done to one is done to both.

    write, write_together, load        refused by both, or accepted by both with the same rows
    begin, commit, roll_back           statements of one transaction, which sees its own writes
    look_back                          as of a version or a moment, rows, ranges and relations
    reclaim, reopen                    change nothing that is kept

Two suites run it: one with many odd statements, one with long histories.
"""

from __future__ import annotations

import datetime
import shutil
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

import ormdb
from ormdb import limits
from ormdb.database.database import Database
from ormdb.database.writing import Transaction
from ormdb.errors import HistoryError, OrmdbError
from ormdb.ir.graph import AsOf
from ormdb.ir.mutation import Insert, Mutation
from ormdb.ir.schema import SchemaBundle
from ormdb.session import Reader
from tests.oracle.clocks import StillClock
from tests.oracle.club import CLUB
from tests.oracle.club_moves import ENTITIES, Moves, whole_answer, whole_query
from tests.oracle.plain import PlainState, RefusedError
from tests.oracle.plain_database import PlainDatabase

EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
CHUNK_ROWS = 3  # so that loads have several chunks
QUESTIONS = 3  # asked at a time
STATEMENTS = 4  # written at a time
NUMBERS = st.integers(0, 2**32)  # each one a whole move: rows and values are not shrunk, steps are


def moment(wall_us: int) -> datetime.datetime:
    """A time of a clock as a value."""
    return EPOCH + datetime.timedelta(microseconds=wall_us)


class ClubMachine(RuleBasedStateMachine):
    """Both databases, and the rules by which they change."""

    on_disk: ClassVar[bool] = False
    club: ClassVar[SchemaBundle] = CLUB
    odd: ClassVar[float] = 0.02  # the chance that a value does not fit the state

    def __init__(self) -> None:
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(limits, "BULK_CHUNK_ROWS", CHUNK_ROWS)
        self.folder = Path(tempfile.mkdtemp(prefix="ormdb-club-")) if self.on_disk else None
        self.clock = StillClock()
        self.db = self.open()
        version = self.db.version
        self.plain = PlainDatabase(self.club, version=version, wall_us=self.clock.wall_us())
        self.horizon = version
        self.txn: Transaction | None = None
        self.state = self.plain.newest

    def open(self) -> Database:
        """Open the database, new or as it was left."""
        path = ":memory:" if self.folder is None else str(self.folder / "club.ormdb")
        return ormdb.open(
            path,
            schema=self.club,
            clock=self.clock,
            durability="none",
            retention=datetime.timedelta(1),
        )

    def teardown(self) -> None:
        try:
            if self.txn is not None:
                self.txn.rollback()
            for version in sorted(self.plain.states)[-3:]:
                self.compare_whole(self.db, self.plain.states[version], as_of=version)
            report = self.db.check(deep=True)
            assert report.problems == (), report.problems
        finally:
            self.db.close()
            self.patch.undo()
            if self.folder is not None:
                shutil.rmtree(self.folder)

    # --- writes ---------------------------------------------------------------------------------

    @rule(number=NUMBERS)
    def write(self, number: int) -> None:
        """Statements of the open transaction, or each a commit of its own."""
        run = self.db.run_mutations if self.txn is None else self.txn.run_mutations
        for place in range(STATEMENTS):
            mutation = self.moves(number + place).mutation()
            self.run_both([mutation], partial(run, [mutation]))

    @precondition(lambda self: self.txn is None)
    @rule(number=NUMBERS)
    def write_together(self, number: int) -> None:
        """Statements that are all applied, or none of them."""
        several = self.moves(number).mutations()
        self.run_both(several, lambda: self.db.run_mutations(several))

    @precondition(lambda self: self.txn is None)
    @rule(number=NUMBERS)
    def load(self, number: int) -> None:
        """A bulk load of several chunks, whose rows may refer to each other."""
        entity, rows = self.moves(number).load()
        self.run_both(
            [Insert(entity=entity, rows=tuple(rows))],
            lambda: self.db.bulk_load(entity, list(rows)),
        )

    @precondition(lambda self: self.txn is None)
    @rule()
    def begin(self) -> None:
        self.clock.advance(seconds=1)
        self.txn = self.db.transaction()

    @precondition(lambda self: self.txn is not None)
    @rule()
    def commit(self) -> None:
        assert self.txn is not None
        try:
            self.state.settle()
        except RefusedError as error:
            with pytest.raises(tuple(error.kinds)):
                self.txn.commit()
            self.state = self.plain.newest
        else:
            self.txn.commit()
        version, self.txn = self.txn.version, None
        self.settle(version)

    @precondition(lambda self: self.txn is not None)
    @rule()
    def roll_back(self) -> None:
        assert self.txn is not None
        self.txn.rollback()
        self.txn = None
        self.state = self.plain.newest

    @rule(seconds=st.sampled_from([-30.0, 0.0, 0.5, 100.0]))
    def let_time_pass(self, seconds: float) -> None:
        """The clock of the machine may also be set back."""
        self.clock.advance(seconds=seconds)

    # --- reads ----------------------------------------------------------------------------------

    @rule(number=NUMBERS)
    def ask(self, number: int) -> None:
        """Ranges of indexes now: in the open transaction, if there is one."""
        reader = self.db if self.txn is None else self.txn
        for place in range(QUESTIONS):
            question = self.moves(number + place).question()
            answer = question.answer(self.state)
            assert reader.run_fetch(question.query()).dicts() == answer, question
            assert reader.run_exists(question.query()) == bool(answer) or question.limit, question

    @precondition(lambda self: self.txn is None)
    @rule(number=NUMBERS)
    def look_back(self, number: int) -> None:
        """The same of any version that is kept, and all of it."""
        kept = sorted(self.plain.states)
        version = kept[number % len(kept)]
        state = self.plain.states[version]
        with self.db.snapshot(as_of=version) as snapshot:
            self.compare_whole(snapshot, state)
            for place in range(QUESTIONS):
                question = self.moves(number + place).question()
                found = self.db.run_fetch(question.query(as_of=version)).dicts()
                assert found == question.answer(state), question
                assert snapshot.run_fetch(question.query()).dicts() == found

    @precondition(lambda self: self.txn is None)
    @rule(seconds=st.integers(-40, 200), number=NUMBERS)
    def look_back_in_time(self, seconds: int, number: int) -> None:
        """As of a moment: the newest commit made by then."""
        question = self.moves(number).question()
        made_us = self.plain.times[self.plain.version] - seconds * 500_000
        version = self.plain.version_at(made_us)
        query = question.query(as_of=moment(made_us))
        if version is None:
            with pytest.raises(HistoryError):
                self.db.run_fetch(query)
        else:
            found = self.db.run_fetch(query).dicts()
            assert found == question.answer(self.plain.states[version])

    @precondition(lambda self: self.txn is None)
    @rule(distance=st.integers(-3, 3))
    def look_beyond_what_is_kept(self, distance: int) -> None:
        version = self.horizon - 1 if distance <= 0 else self.plain.version + distance
        with pytest.raises(HistoryError):
            self.db.run_fetch(whole_query("Town", as_of=version))

    # --- upkeep ---------------------------------------------------------------------------------

    @precondition(lambda self: self.txn is None)
    @rule(keep=st.integers(1, 12))
    def reclaim(self, keep: int) -> None:
        """Forget old versions; those that are kept read as before."""
        self.horizon = max(self.horizon, self.plain.version - keep + 1)
        assert self.db.reclaim(keep_versions=keep).horizon == self.horizon
        self.plain.forget_before(self.horizon)

    @precondition(lambda self: self.on_disk and self.txn is None)
    @rule()
    def reopen(self) -> None:
        self.db.close()
        self.db = self.open()
        assert self.db.version == self.plain.version

    @invariant()
    def versions_agree(self) -> None:
        if self.txn is None:
            assert self.db.version == self.plain.version

    # --- both -----------------------------------------------------------------------------------

    def run_both(self, steps: list[Mutation], run: Callable[[], object]) -> None:
        """Run statements on both; they are refused by both, or lead to the same rows."""
        self.clock.advance(seconds=1 if self.txn is None else 0)
        before = self.db.version if self.txn is None else 0
        after, refused = self.state, set[type[OrmdbError]]()
        try:
            for step in steps:
                after = after.apply(step)
            if self.txn is None:
                after.settle()
        except RefusedError as error:
            refused = error.kinds
        raised: OrmdbError | None = None
        try:
            run()
        except OrmdbError as error:
            raised, after = error, self.state
        if raised is None:
            assert not refused, f"accepted {steps}, expected {refused}"
        else:
            assert type(raised) in refused, f"{raised!r} for {steps}, expected {refused}"
        if self.txn is not None:
            self.state = after
            self.compare_whole(self.txn, after)
            return
        version = self.db.version
        self.state = after
        self.settle(version if version != before else None)
        self.compare_whole(self.db, after)

    def moves(self, number: int) -> Moves:
        """What to do next, drawn from a number."""
        return Moves(number, self.state, odd=self.odd)

    def settle(self, version: int | None) -> None:
        """Keep what a commit left; None when it changed nothing."""
        if version is None:
            assert self.state.tables == self.plain.newest.tables
            self.state = self.plain.newest
            return
        assert version == self.plain.version + 1
        with self.db.snapshot() as snapshot:
            wall_us = snapshot.head.wall_us
        self.state = self.state.next_transaction()
        self.plain.commit(self.state, version=version, wall_us=wall_us)

    def compare_whole(self, reader: Reader, state: PlainState, as_of: AsOf | None = None) -> None:
        """Every row with all its relations."""
        for entity in ENTITIES:
            found = reader.run_fetch(whole_query(entity, as_of)).dicts()
            assert found == whole_answer(state, entity), entity


def run_machine(
    machine: type[ClubMachine],
    number: int,
    *,
    examples: int,
    steps: int,
    bundle: SchemaBundle = CLUB,
) -> None:
    """Run `examples` sequences of at most `steps` steps, made from a seed."""
    seeded = seed(number)(type(machine.__name__, (machine,), {"club": bundle}))
    profile = settings(
        max_examples=examples,
        stateful_step_count=steps,
        database=None,
        deadline=None,
        report_multiple_bugs=False,
    )
    run_state_machine_as_test(seeded, settings=profile)
