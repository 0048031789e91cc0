"""Transactions that take turns in one thread, in an order drawn from a seed.

A script says what one transaction does; a stage lets it happen, and writes down what was seen; the
schedule says whose turn it is.  Scripts and schedules are values, so a seed gives the same run each
time, and a run that failed can be made smaller:

    failure = explore(open_stage, draw, seed=819)
    print(failure)

    seed 819: lost update of T0, T1 in 'x': T0 did not see what T1 wrote to 'x', ...
    smallest schedule found (2 of 40 transactions, 8 of 215 turns):
      T0 begins
      T1 begins
      T0 read_list('x', ())
      T0 append('x', 1)
      T1 read_list('x', ())
      T1 append('x', 2)
      T0 commits
      T1 commits

A turn is `begin`, one step, or the end.  Since no threads are involved nothing else can come in
between, and no run depends on the machine.

Invariants (held by tests/unit/testing/test_scheduler.py):
  1. A seed gives the same schedule and the same history each time.
  2. A failure that was made smaller still shows the anomaly that it had.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple, Protocol, TypeAlias

from ormdb.errors import ConflictError, ConstraintError, NotFoundError
from ormdb.testing.checker import Finding, check_history
from ormdb.testing.history import History, Record, Recorder, Ticks

TOGETHER: Final = 4  # transactions that are open at the same time
TRIALS_MAX: Final = 400  # runs that making a failure smaller may take


class Step(NamedTuple):
    """What a transaction is to do next; a stage knows how."""

    kind: str
    key: Any = None
    value: Any = None

    def __str__(self) -> str:
        given = [repr(each) for each in (self.key, self.value) if each is not None]
        return f"{self.kind}({', '.join(given)})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """What one transaction is to do."""

    number: int
    steps: tuple[Step, ...]
    rolls_back: bool = False
    exclusive: bool = False  # nobody else may write meanwhile, so not for those that take turns
    process: int = 0

    def __str__(self) -> str:
        end = "rollback" if self.rolls_back else "commit"
        return f"T{self.number}: {' '.join(map(str, self.steps))} {end}"


class OpenTransaction(Protocol):
    """One transaction of a stage."""

    def take(self, step: Step, record: Record) -> None:
        """Do it, and write down what was done and seen."""
        ...

    def commit(self) -> None:
        """End; ConflictError if others came first."""
        ...

    def rollback(self) -> None:
        """End, and leave nothing behind.  Harmless after the end."""
        ...


class Stage(Protocol):
    """A database, and what the steps of scripts mean there."""

    def begin(self, script: Script) -> OpenTransaction:
        """Begin a transaction."""
        ...


OpenStage: TypeAlias = Callable[[], AbstractContextManager[Stage]]
Draw: TypeAlias = Callable[[random.Random], "Plan"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Scripts that run together, and what is read at the very end, one after the other."""

    scripts: tuple[Script, ...]
    last: tuple[Script, ...] = ()
    totals: Mapping[Any, int] | None = None

    def step_count(self) -> int:
        """How much there is to do."""
        return sum(len(script.steps) for script in self.scripts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What came of a plan."""

    history: History
    schedule: tuple[int, ...]  # whose turn it was, by the numbers of scripts
    findings: tuple[Finding, ...]
    told: tuple[str, ...]  # a line for each turn


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A run with an anomaly, as small as it was found to be."""

    seed: int
    plan: Plan
    run: Run
    script_count: int  # before it was made smaller
    turn_count: int

    @property
    def finding(self) -> Finding:
        """What is wrong."""
        return self.run.findings[0]

    def __str__(self) -> str:
        smaller = (
            f"smallest schedule found ({len(self.plan.scripts)} of {self.script_count} "
            f"transactions, {len(self.run.schedule)} of {self.turn_count} turns):"
        )
        turns = [f"  {line}" for line in self.run.told]
        return "\n".join([f"seed {self.seed}: {self.finding}", smaller, *turns])


def explore(
    open_stage: OpenStage, draw: Draw, *, seed: int, together: int = TOGETHER
) -> tuple[Run, Failure | None]:
    """Run the plan of a seed, and make it smaller if something is wrong with it.

    Args:
      open_stage: opens an empty database for one run.
      draw: makes a plan.
      seed: decides plan and schedule.
      together: how many transactions are open at the same time.
    """
    chance = random.Random(f"{seed}")
    plan = draw(chance)
    with open_stage() as stage:
        run = run_plan(stage, plan, chance=chance, together=together)
    if not run.findings:
        return run, None
    small, small_run = shrink(open_stage, plan, run)
    return run, Failure(
        seed=seed,
        plan=small,
        run=small_run,
        script_count=len(plan.scripts),
        turn_count=len(run.schedule),
    )


def run_plan(
    stage: Stage,
    plan: Plan,
    *,
    chance: random.Random | None = None,
    schedule: Sequence[int] = (),
    together: int = TOGETHER,
) -> Run:
    """Run scripts in turns: as a schedule says, then as chance does, else one after the other.

    What aborted transactions saw has to be explained as well as what the others did.
    """
    recorder = Recorder(Ticks())
    waiting = {script.number: script for script in plan.scripts}
    players: dict[int, Player] = {}
    taken: list[int] = []
    told: list[str] = []

    def take(number: int) -> None:
        if number in waiting:
            players[number] = Player(stage, waiting.pop(number), recorder)
        taken.append(number)
        told.append(players[number].turn())
        if players[number].is_done:
            del players[number]

    for number in schedule:
        if number in waiting or number in players:
            take(number)
    while waiting or players:
        open_now = list(players)
        if chance is None:
            take(next(iter(players or waiting)))
        elif waiting and (not open_now or (len(open_now) < together and chance.random() < 0.5)):
            take(next(iter(waiting)))
        else:
            take(chance.choice(open_now))
    for script in plan.last:
        player = Player(stage, script, recorder)
        while not player.is_done:
            told.append(player.turn())
    history = recorder.history()
    findings = check_history(history, totals=plan.totals, aborted_reads=True)
    return Run(history=history, schedule=tuple(taken), findings=tuple(findings), told=tuple(told))


class Player:
    """Runs one script, a turn at a time, and writes down what it did.

    A conflict, or a constraint that refuses a step, aborts the transaction and is no failure.
    """

    def __init__(self, stage: Stage, script: Script, recorder: Recorder) -> None:
        self._stage = stage
        self._script = script
        self._recorder = recorder
        self._record: Record | None = None
        self._txn: OpenTransaction | None = None
        self._turns = 0
        self.is_done = False

    def turn(self) -> str:
        """Begin, take the next step, or end; what was done, in words."""
        self._turns += 1
        if self._txn is None or self._record is None:
            self._record = self._recorder.begin(process=self._script.process)
            self._txn = self._stage.begin(self._script)
            return f"{self._name()} begins"
        steps, place = self._script.steps, self._turns - 2
        try:
            if place < len(steps):
                return f"{self._name()} {self._take(steps[place], self._txn, self._record)}"
            self.is_done = True
            if self._script.rolls_back:
                self._txn.rollback()
                self._record.aborted()
                return f"{self._name()} rolls back"
            self._txn.commit()
            self._record.committed()
            return f"{self._name()} commits"
        except (ConflictError, ConstraintError, NotFoundError) as error:
            self.is_done = True
            self._txn.rollback()
            self._record.aborted()
            return f"{self._name()} is refused: {error}"
        except BaseException:
            self._txn.rollback()
            raise

    def _name(self) -> str:
        return f"T{self._record.transaction.number}" if self._record is not None else "T?"

    def _take(self, step: Step, txn: OpenTransaction, record: Record) -> str:
        done = record.transaction.operations
        before = len(done)
        txn.take(step, record)
        seen = " ".join(map(str, done[before:]))
        return f"{step}" if seen == str(step) else f"{step}: {seen}"


def play(stage: Stage, script: Script, recorder: Recorder) -> None:
    """Run a script from its begin to its end."""
    player = Player(stage, script, recorder)
    while not player.is_done:
        player.turn()


def shrink(open_stage: OpenStage, plan: Plan, run: Run) -> tuple[Plan, Run]:
    """Take away scripts, steps and changes of turn as long as an anomaly of the same name stays."""
    return _Shrinking(open_stage, plan, run).smallest()


class _Shrinking:
    """Tries smaller plans, and keeps those that still fail."""

    def __init__(self, open_stage: OpenStage, plan: Plan, run: Run) -> None:
        self._open_stage = open_stage
        self._plan = plan
        self._run = run
        self._anomaly = run.findings[0].anomaly
        self._trials = 0

    def smallest(self) -> tuple[Plan, Run]:
        again = True
        while again and self._trials < TRIALS_MAX:
            again = self._fewer_scripts()
            again |= self._fewer_steps()
        self._fewer_changes()
        return self._plan, self._run

    def _fails(self, plan: Plan, schedule: Sequence[int]) -> bool:
        """Whether this still fails; then it is what is made smaller from here on."""
        if self._trials >= TRIALS_MAX:
            return False
        self._trials += 1
        with self._open_stage() as stage:
            run = run_plan(stage, plan, schedule=schedule)
        if all(finding.anomaly != self._anomaly for finding in run.findings):
            return False
        self._plan, self._run = plan, run
        return True

    def _fewer_scripts(self) -> bool:
        """Without half of the scripts, a quarter, ..., one."""
        shorter = False
        size = len(self._plan.scripts) // 2
        while size:
            start = 0
            while start < len(self._plan.scripts):
                scripts = self._plan.scripts
                kept = scripts[:start] + scripts[start + size :]
                if self._fails(replace(self._plan, scripts=kept), self._run.schedule):
                    shorter = True
                else:
                    start += size
            size //= 2
        return shorter

    def _fewer_steps(self) -> bool:
        shorter = False
        for place in range(len(self._plan.scripts)):
            step = 0
            while step < len(self._plan.scripts[place].steps):
                script = self._plan.scripts[place]
                steps = script.steps[:step] + script.steps[step + 1 :]
                scripts = list(self._plan.scripts)
                scripts[place] = replace(script, steps=steps)
                if self._fails(
                    replace(self._plan, scripts=tuple(scripts)),
                    _without_turn(self._run.schedule, script.number, step + 1),
                ):
                    shorter = True
                else:
                    step += 1
        return shorter

    def _fewer_changes(self) -> None:
        """Turns of one transaction side by side, wherever the anomaly allows it."""
        place = 1
        while place < len(self._run.schedule):
            schedule = self._run.schedule
            number = schedule[place - 1]
            later = schedule[place:]
            if schedule[place] != number and number in later:
                moved = place + later.index(number)
                changed = (
                    *schedule[:place],
                    number,
                    *schedule[place:moved],
                    *schedule[moved + 1 :],
                )
                self._fails(self._plan, changed)
            place += 1


def _without_turn(schedule: Sequence[int], number: int, turn: int) -> list[int]:
    """A schedule without the n-th turn of one script, counted from 0."""
    places = [place for place, each in enumerate(schedule) if each == number]
    cut = places[turn] if turn < len(places) else None
    return [each for place, each in enumerate(schedule) if place != cut]
