"""Scripts for the playground, drawn from a seed; run in turns, in threads, in processes.

    draw_plan(chance)                                  100 transactions for the scheduler
    run_threads(database, seed=7, threads=4, ...)      a history
    run_processes(path, seed=7, processes=3, ...)      a history

Keys are used for a while and then left for new ones, so lists stay short, and everything is found
absent, present and gone.  Within a run each value is written once.

Invariants (held by tests/property/test_serializability.py):
  1. A seed gives the same scripts each time.
  2. Every step of the playground is drawn.
"""

from __future__ import annotations

import multiprocessing
import random
import sys
import threading
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from ormdb.database.database import Database
from ormdb.database.opening import open_database
from ormdb.testing.history import History, Recorder
from ormdb.testing.playground import SCHEMA, TOTALS, Playground, found
from ormdb.testing.playground_schema import ACCOUNTS, BADGES, DRAFTS
from ormdb.testing.scheduler import Plan, Script, Stage, Step, play

Durability: TypeAlias = Literal["full", "relaxed", "none"]

KEYS: Final = 2  # that are in use at the same time
EPOCH: Final = 30  # transactions, after which others take their place
STEPS_MAX: Final = 5
SWITCH_S: Final = 0.000_05
WAYS: Final = (None, "range", "scan", "include", "path", "any", "page")
# Steps that need no more than a key.
KEYED: Final = frozenset(
    {"read_log", "read", "read_last", "read_claim", "read_name"}
    | {"badges", "drafts", "leave", "pets", "shred", "pages", "disband", "players"}
)
# What reads goes with what writes it; a transaction does one or two of these, on few keys.
THEMES: Final[tuple[tuple[str, ...], ...]] = (
    ("read_log", "append_log"),
    ("read_notes", "append_note", "read_last"),
    ("read", "write", "replace", "write_first"),
    ("claim", "upsert", "read_claim"),
    ("name", "read_name"),
    ("tally", "count"),
    ("ticket", "tickets"),
    ("add", "members", "members", "remove", "move_out", "clear"),
    ("wear", "badges"),
    ("revive", "drafts"),
    ("adopt", "leave", "pets"),
    ("file", "file", "shred", "pages"),
    ("join", "join", "disband", "players"),
    ("transfer", "give", "total"),
)


def draw_plan(chance: random.Random, count: int = 100) -> Plan:
    """Scripts for one run of the scheduler, and reads of everything at its end."""
    scripts = tuple(draw_script(chance, number, number // EPOCH) for number in range(count))
    keys = range(_keys_of(count))
    kinds = [*sorted(KEYED - {"leave", "shred", "disband"}), "read_notes", "count", "members"]
    last = [Step(kind, key) for key in keys for kind in kinds]
    return Plan(
        scripts=scripts,
        last=(Script(number=count, steps=(*last, Step("tickets"), Step("total"))),),
        totals=TOTALS,
    )


def draw_script(
    chance: random.Random,
    number: int,
    epoch: int,
    *,
    process: int = 0,
    may_be_exclusive: bool = False,
) -> Script:
    """What one transaction is to do."""
    themes = chance.sample(THEMES, 2) if chance.random() < 0.7 else [chance.choice(THEMES)]
    steps: list[Step] = []
    for place in range(chance.randint(1, STEPS_MAX)):
        kind = chance.choice(chance.choice(themes))
        step = _draw_step(chance, kind, epoch, number * STEPS_MAX + place + 1)
        steps.append(Step("undone", step) if chance.random() < 0.04 else step)
    return Script(
        number=number,
        steps=tuple(steps),
        rolls_back=chance.random() < 0.05,
        exclusive=may_be_exclusive and chance.random() < 0.03,
        process=process,
    )


def _draw_step(chance: random.Random, kind: str, epoch: int, fresh: int) -> Step:
    key = epoch * KEYS + chance.randrange(KEYS)
    if kind in {"transfer", "give"}:
        return Step(kind, tuple(chance.sample(range(ACCOUNTS), 2)), chance.randint(1, 9))
    if kind in {"total", "tickets"}:
        return Step(kind)
    if kind == "members":
        return Step(kind, key, chance.choice(WAYS))
    if kind == "read_notes":
        return Step(kind, key, chance.choice((None, "include")))
    if kind == "count":
        return Step(kind, key, chance.choice((None, "table", "derive")))
    if kind == "wear":
        return Step(kind, key, chance.randrange(BADGES))
    if kind == "revive":
        return Step(kind, key, chance.randrange(DRAFTS))
    if kind in KEYED:
        return Step(kind, key)
    return Step(kind, key, fresh)


def _keys_of(count: int) -> int:
    return (-(-count // EPOCH)) * KEYS


@contextmanager
def open_playground(path: str = ":memory:", *, count: int = 100) -> Generator[Stage]:
    """A new playground for so many transactions of one process."""
    with open_database(path, schema=SCHEMA, durability="none", statistics="manual") as database:
        found(database, _keys_of(count))
        yield Playground(database)


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """One of those that run transactions at the same time."""

    seed: int
    number: int
    workers: int
    transactions: int

    def run(self, database: Database) -> History:
        """Run its transactions, one after the other."""
        chance = random.Random(f"{self.seed} {self.number}")
        stage, recorder = Playground(database), Recorder()
        for turn in range(self.transactions):
            number = turn * self.workers + self.number
            script = draw_script(
                chance, number, number // EPOCH, process=self.number, may_be_exclusive=True
            )
            play(stage, script, recorder)
        return recorder.history()


def found_for(database: Database, workers: int, transactions: int) -> None:
    """Make what is there from the beginning, for so many workers and transactions of each."""
    found(database, _keys_of(workers * transactions))


def run_threads(database: Database, *, seed: int, threads: int, transactions: int) -> History:
    """Run transactions in so many threads, so many in each; the playground is founded here."""
    found_for(database, threads, transactions)
    crew = [
        Worker(seed=seed, number=number, workers=threads, transactions=transactions)
        for number in range(threads)
    ]
    return _run_crew(database, crew)


def run_processes(
    path: str,
    *,
    seed: int,
    processes: int,
    threads: int = 1,
    transactions: int,
    durability: Durability = "none",
) -> History:
    """Run transactions in so many processes, with so many threads each, over a new file."""
    workers = processes * threads
    with open_database(path, schema=SCHEMA, durability=durability, statistics="manual") as database:
        found_for(database, workers, transactions)
    crews = [
        [
            Worker(seed=seed, number=number, workers=workers, transactions=transactions)
            for number in range(process * threads, (process + 1) * threads)
        ]
        for process in range(processes)
    ]
    context = multiprocessing.get_context("spawn")
    with context.Pool(processes) as pool:
        told = pool.starmap(_work, [(path, crew, durability) for crew in crews], chunksize=1)
        pool.close()
        pool.join()
    first, *others = [History.from_lines(lines) for lines in told]
    return first.joined(*others)


def _work(path: str, crew: Sequence[Worker], durability: Durability) -> list[str]:
    with open_database(path, schema=SCHEMA, durability=durability, statistics="manual") as database:
        return _run_crew(database, crew).lines()


@contextmanager
def _changing_threads_often() -> Generator[None]:
    """Else most transactions begin and end before another thread has its turn."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_S)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


def _run_crew(database: Database, crew: Sequence[Worker]) -> History:
    histories: list[History] = []
    errors: list[BaseException] = []

    def work(worker: Worker) -> None:
        try:
            histories.append(worker.run(database))
        except BaseException as error:
            errors.append(error)
            raise

    threads = [threading.Thread(target=work, args=(worker,)) for worker in crew]
    with _changing_threads_often():
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    if errors:
        raise errors[0]
    first, *others = histories
    return first.joined(*others)
