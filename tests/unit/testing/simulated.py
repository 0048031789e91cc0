"""A small engine of versions in memory whose faults can be chosen, to see whether they are found.

    T begins at commit 7     reads see the newest value up to 7, and what T wrote itself
    T commits                every key that T read is as it was at 7, or T is refused

Writes that depend on nothing (an append, an addition) are kept as what they do and applied to the
newest value at the commit, so they never conflict.

    snapshot isolation   only what was written is validated
    skips 1 %            one commit in a hundred is not validated
    no check             no commit is
    read latest          reads see the newest commit, not that of the snapshot
    stale snapshot       some transactions begin at an earlier commit
    abort leak           some of what is rolled back stays
    torn commit          some commits lose a part of what they wrote
"""

from __future__ import annotations

import random
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any, Final

from ormdb.errors import ConflictError
from ormdb.testing.history import Record
from ormdb.testing.scheduler import OpenStage, OpenTransaction, Plan, Script, Stage, Step

FAULTS: Final = (
    "snapshot isolation",
    "skips 1 %",
    "no check",
    "read latest",
    "stale snapshot",
    "abort leak",
    "torn commit",
)
EMPTY: Final[dict[str, Any]] = {"list": (), "register": None, "set": frozenset()}
KINDS: Final = (
    *("append", "read_list", "write", "blind_write", "read"),
    *("add", "members", "transfer", "total"),
)
ACCOUNTS: Final = 4
OPENING: Final = 100

Change = tuple[Any, Callable[[Any], Any]]  # a key, and what becomes of its value


class SimulatedEngine:
    """Values by key, each with the commit that wrote it."""

    def __init__(self, fault: str | None, seed: int) -> None:
        assert fault is None or fault in FAULTS
        self.fault = fault
        self.seed = seed
        self.version = 0
        self._values: dict[Any, list[tuple[int, Any]]] = {}
        for number in range(ACCOUNTS):
            self._values["account", number] = [(0, OPENING)]

    def begin(self, script: Script) -> OpenTransaction:
        # A fault strikes the same scripts in every run, so that a failure can be made smaller.
        chance = random.Random(f"{self.seed} {script.number}")
        read_at = self.version
        if self.fault == "stale snapshot" and chance.random() < 0.2:
            read_at = max(0, read_at - 2)
        return _SimulatedTransaction(self, read_at, chance)

    def value(self, key: Any, at: int) -> Any:
        for version, value in reversed(self._values.get(key, [])):
            if version <= at:
                return value
        return EMPTY.get(key[0])

    def changed(self, key: Any) -> int:
        versions = self._values.get(key)
        return versions[-1][0] if versions else 0

    def publish(self, changes: list[Change]) -> None:
        self.version += 1
        for key, change in changes:
            value = change(self.value(key, self.version))
            self._values.setdefault(key, []).append((self.version, value))


class _SimulatedTransaction:
    def __init__(self, engine: SimulatedEngine, read_at: int, chance: random.Random) -> None:
        self._engine = engine
        self._chance = chance
        self._read_at = read_at
        self._reads: set[Any] = set()
        self._changes: list[Change] = []

    def take(self, step: Step, record: Record) -> None:
        kind, name, value = step
        if kind == "append":
            self._change(("list", name), lambda old: (*old, value))
            record.append(name, value)
        elif kind == "read_list":
            record.read_list(name, self._read(("list", name)))
        elif kind == "write":
            record.read(name, self._read(("register", name)))
            self._change(("register", name), lambda old: value)
            record.write(name, value)
        elif kind == "blind_write":
            self._change(("register", name), lambda old: value)
            record.write(name, value)
        elif kind == "read":
            record.read(name, self._read(("register", name)))
        elif kind == "add":
            self._change(("set", name), lambda old: old | {value})
            record.add(name, value)
        elif kind == "members":
            record.members(name, self._read(("set", name)))
        elif kind == "transfer":
            giver, taker = name
            self._change_amount(giver, -value)
            self._change_amount(taker, value)
        else:
            assert kind == "total"
            record.total("bank", [self._read(("account", n)) for n in range(ACCOUNTS)])

    def commit(self) -> None:
        engine, fault = self._engine, self._engine.fault
        if not self._changes:
            return
        written = {key for key, _ in self._changes}
        checked = self._reads & written if fault == "snapshot isolation" else self._reads
        skipped = fault == "no check" or (fault == "skips 1 %" and self._chance.random() < 0.01)
        if not skipped and any(engine.changed(key) > self._read_at for key in checked):
            raise ConflictError("something that was read has changed")
        changes = self._changes
        if fault == "torn commit" and len(changes) > 1 and self._chance.random() < 0.1:
            changes = changes[:-1]
        engine.publish(changes)

    def rollback(self) -> None:
        if self._engine.fault == "abort leak" and self._chance.random() < 0.2:
            self._engine.publish(self._changes)

    def _change_amount(self, account: int, amount: int) -> None:
        self._change(("account", account), lambda old: old + amount)

    def _read(self, key: Any) -> Any:
        latest = self._engine.fault == "read latest"
        self._reads.add(key)
        value = self._engine.value(key, self._engine.version if latest else self._read_at)
        for changed, change in self._changes:
            if changed == key:
                value = change(value)
        return value

    def _change(self, key: Any, change: Callable[[Any], Any]) -> None:
        self._changes.append((key, change))


def simulated(fault: str | None, seed: int) -> OpenStage:
    """Opens engines with a fault."""

    @contextmanager
    def open_stage() -> Generator[Stage]:
        yield SimulatedEngine(fault, seed)

    return open_stage


def draw_plan(chance: random.Random, count: int = 200) -> Plan:
    """Transactions of every kind of workload over few keys."""
    numbers = iter(range(1, 1_000_000))
    scripts = tuple(
        Script(
            number=number,
            steps=tuple(
                draw_step(chance, number // 40, next(numbers)) for _ in range(chance.randint(1, 5))
            ),
            rolls_back=chance.random() < 0.1,
            process=number % 7,
        )
        for number in range(count)
    )
    return Plan(scripts=scripts, totals={"bank": ACCOUNTS * OPENING})


def draw_step(chance: random.Random, epoch: int, fresh: int) -> Step:
    """One step; keys are new in every epoch, so that lists stay short."""
    which = chance.randrange(3)
    kind = chance.choice(
        (
            "append",
            "read_list",
            "write",
            "read",
            "blind_write",
            "add",
            "members",
            "transfer",
            "total",
        )
    )
    if kind == "transfer":
        return Step(kind, tuple(chance.sample(range(ACCOUNTS), 2)), chance.randint(1, 9))
    if kind == "total":
        return Step(kind)
    group = {"append": "l", "read_list": "l", "add": "s", "members": "s"}.get(kind, "r")
    value = fresh if kind in {"append", "write", "blind_write", "add"} else None
    return Step(kind, f"{group}{epoch}.{which}", value)
