"""Histories: what transactions did and saw, written down so that it can be judged afterwards.

    recorder = Recorder()
    record = recorder.begin(process=1)          T0 begins, now
    record.read_list("x", [1])                  it saw the list x as [1]
    record.append("x", 2)                       and put 2 at its end
    record.committed()                          T0 ends, now
    check_history(recorder.history())           see ormdb/testing/checker.py

Five kinds of things can be written down, in any mixture; a key belongs to one of them:

    lists      append, read_list     what was appended is unique in its list; the best witnesses,
                                     since each read tells the whole order of writes before it
    registers  write, read           what is written is unique in its register; None comes first
    sets       add, remove, members  each element enters its set once and leaves it once at most; a
                                     set is what a condition selects, so its reads are predicates
    sums       total                 amounts that have to add up to the same number in every read

Times are any rising numbers that all who take part share; the default is the clock of the machine,
which its processes share as well.  A transaction whose end nobody knows (its process was killed
inside `commit`) is `unknown`: it counts as committed once somebody has seen what it wrote.

Invariants (held by tests/unit/testing/test_history.py):
  1. A history that is saved and loaded is the same history.
  2. A transaction that was begun and never ended is unknown.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final, Literal, NamedTuple, TypeAlias

import msgspec

from ormdb.errors import UsageError

Key: TypeAlias = Hashable
Outcome: TypeAlias = Literal["committed", "aborted", "unknown"]
Kind: TypeAlias = Literal[
    "append", "read_list", "write", "read", "add", "remove", "members", "total"
]

NEVER: Final = (1 << 63) - 1  # the end of a transaction that may still be going on


class Operation(NamedTuple):
    """One thing a transaction did, and what it saw."""

    kind: Kind
    key: Any  # a Key
    value: Any  # what was written or seen: a tuple of a list, a frozenset of a set

    def __str__(self) -> str:
        return f"{self.kind}({self.key!r}, {self.value!r})"


@dataclass(slots=True, kw_only=True)
class Transaction:
    """What one transaction did, and when it began and ended."""

    number: int
    process: int
    began: int
    ended: int = NEVER
    outcome: Outcome = "unknown"
    operations: list[Operation] = field(default_factory=list[Operation])

    def __str__(self) -> str:
        done = " ".join(map(str, self.operations))
        return f"T{self.number} of process {self.process}: {done} {self.outcome}"


class Record:
    """The transaction that is being written down."""

    def __init__(self, transaction: Transaction, now: Callable[[], int]) -> None:
        self.transaction = transaction
        self._operations = transaction.operations
        self._now = now

    def append(self, key: Key, value: Hashable) -> None:
        """It put a value at the end of a list."""
        self._operations.append(Operation("append", key, value))

    def read_list(self, key: Key, values: Iterable[Hashable]) -> None:
        """It saw a list."""
        self._operations.append(Operation("read_list", key, tuple(values)))

    def write(self, key: Key, value: Hashable) -> None:
        """It wrote a value to a register."""
        if value is None:
            raise UsageError("None is what a register holds in the beginning; write another value")
        self._operations.append(Operation("write", key, value))

    def read(self, key: Key, value: Hashable) -> None:
        """It saw a value in a register; None if nothing had been written yet."""
        self._operations.append(Operation("read", key, value))

    def add(self, key: Key, element: Hashable) -> None:
        """It made an element one of those that a condition selects."""
        self._operations.append(Operation("add", key, element))

    def remove(self, key: Key, element: Hashable) -> None:
        """It made a condition select an element no longer."""
        self._operations.append(Operation("remove", key, element))

    def members(self, key: Key, elements: Iterable[Hashable]) -> None:
        """It saw what a condition selects."""
        self._operations.append(Operation("members", key, frozenset(elements)))

    def total(self, key: Key, amounts: Iterable[int]) -> None:
        """It saw all the amounts that add up to the same number at any time."""
        self._operations.append(Operation("total", key, tuple(amounts)))

    def committed(self) -> None:
        """It ended, and what it wrote stays."""
        self._end("committed")

    def aborted(self) -> None:
        """It ended, and left nothing behind."""
        self._end("aborted")

    def _end(self, outcome: Outcome) -> None:
        if self.transaction.outcome != "unknown":
            raise UsageError(f"T{self.transaction.number} has ended already")
        self.transaction.ended = self._now()
        self.transaction.outcome = outcome


@dataclass(slots=True)
class History:
    """Transactions, in no particular order."""

    transactions: list[Transaction]

    def __len__(self) -> int:
        return len(self.transactions)

    def committed(self) -> int:
        """How many are known to have committed."""
        return sum(each.outcome == "committed" for each in self.transactions)

    def joined(self, *others: History) -> History:
        """This history and what others wrote down of the same time; transactions are renumbered."""
        every = itertools.chain(self.transactions, *(other.transactions for other in others))
        ordered = sorted(every, key=lambda each: each.began)
        for number, each in enumerate(ordered):
            each.number = number
        return History(ordered)

    def lines(self) -> list[str]:
        """One line of JSON for each transaction; for keys and values that are JSON."""
        return [msgspec.json.encode(each).decode() for each in self.transactions]

    @classmethod
    def from_lines(cls, lines: Iterable[str]) -> History:
        """What `lines` gave."""
        said = [msgspec.json.decode(line, type=Transaction) for line in lines if line.strip()]
        return cls([_rebuilt(each) for each in said])

    def __str__(self) -> str:
        return "\n".join(map(str, self.transactions))


class Recorder:
    """Writes down transactions of any number of threads."""

    def __init__(self, now: Callable[[], int] = time.monotonic_ns) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._transactions: list[Transaction] = []

    def begin(self, *, process: int = 0) -> Record:
        """A transaction that begins now; call this before it takes its snapshot."""
        with self._lock:
            made = Transaction(number=len(self._transactions), process=process, began=self._now())
            self._transactions.append(made)
        return Record(made, self._now)

    def history(self) -> History:
        """What was written down so far."""
        return History(list(self._transactions))

    def __repr__(self) -> str:
        return f"<Recorder {len(self._transactions)} transactions>"


class Ticks:
    """A clock for one thread that goes on by one whenever it is looked at."""

    def __init__(self) -> None:
        self._count = 0

    def __call__(self) -> int:
        self._count += 1
        return self._count


def _rebuilt(said: Transaction) -> Transaction:
    """A transaction as it was before JSON made lists of its tuples and sets."""
    said.operations = [
        Operation(
            kind,
            _hashable(key),
            frozenset(map(_hashable, value)) if kind == "members" else _hashable(value),
        )
        for kind, key, value in said.operations
    ]
    return said


def _hashable(value: Any) -> Any:
    # Asked of the class by its name, since type checkers know too little of a list of anything.
    return tuple(map(_hashable, value)) if value.__class__ is list else value
