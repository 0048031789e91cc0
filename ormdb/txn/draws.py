"""What a statement draws from outside itself: numbers of sequences, random bytes, the time.

    first run    sequence 8, 9    7 random bytes    12:00:03.5      drawn, and noted on a tape
    run again    sequence 8, 9    the same bytes    12:00:03.5      read from the tape

A transaction runs its statements at once, so that it sees what it wrote, and again when it commits.
Whoever was told that a row got number 8 finds it under 8, because the second run reads the tape.

Numbers of sequences are drawn from a source that all transactions of an open database share, since
they run beside each other.  Another process draws from its own: two may draw the same number, and
the later commit finds it taken and is run again.  Row numbers are told to nobody, so they are
drawn anew.

Invariants (held by tests/unit/txn/test_draws.py and tests/property/test_writes_model.py):
  1. A number is never given out twice, also not after a rollback that another commit followed.
  2. A statement that is run again draws what it drew before.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Final, Protocol

from ormdb.clock import Clock
from ormdb.storage.engine import ReadTransaction, WriteTransaction
from ormdb.storage.head import read_counters, write_counters

SEQUENCE: Final = "sequence/"  # the counters whose numbers are seen by users


class Numbers(Protocol):
    """Gives out numbers that are never given twice."""

    def take(self, counter: str, count: int) -> int:
        """The first of `count` new numbers in a row."""
        ...

    def raise_to(self, counter: str, number: int) -> None:
        """See to it that numbers given out later are greater than `number`."""
        ...


class NumberSource:
    """The numbers of sequences that an open database has given out, committed or not."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last: dict[str, int] = {}

    def take(self, counter: str, count: int, *, known: int) -> int:
        """The first of `count` numbers that are greater than `known` and new."""
        with self._lock:
            last = max(self._last.get(counter, 0), known)
            self._last[counter] = last + count
            return last + 1

    def raise_to(self, counter: str, number: int) -> None:
        """Give out greater ones only."""
        with self._lock:
            if number > self._last.get(counter, 0):
                self._last[counter] = number

    def give_back(self, counter: str, last: int, *, to: int) -> None:
        """Numbers up to `last` were not used after all; if nobody has drawn since, draw again."""
        with self._lock:
            if self._last.get(counter) == last:
                self._last[counter] = to


class Counters:
    """The numbers that one commit gives out, written when it ends.

    `rows_after` is what row numbers begin after, for a run of which no row stays.
    """

    def __init__(
        self, txn: ReadTransaction, source: NumberSource, *, rows_after: int | None = None
    ) -> None:
        self.txn = txn  # where they are read
        self._source = source
        self._rows_after = rows_after
        self._numbers: dict[str, int] = {}
        self._found: dict[str, int] = {}  # where they stood when the commit began

    def take(self, counter: str, count: int) -> int:
        """The first of `count` new numbers in a row, counting from 1."""
        last = self._current(counter)
        if counter.startswith(SEQUENCE):
            last = self._source.take(counter, count, known=last) - 1
        self._numbers[counter] = last + count
        return last + 1

    def raise_to(self, counter: str, number: int) -> None:
        """See to it that numbers given out later are greater than `number`."""
        if number > self._current(counter):
            self._numbers[counter] = number
            if counter.startswith(SEQUENCE):
                self._source.raise_to(counter, number)

    def mark(self) -> dict[str, int]:
        """Where the counters stand, for `reset` to go back to."""
        return dict(self._numbers)

    def reset(self, mark: dict[str, int]) -> None:
        """Forget what was given out since `mark`: the statement that took it was refused."""
        for counter, last in self._numbers.items():
            before = mark.get(counter, self._found[counter])
            if last != before and counter.startswith(SEQUENCE):
                self._source.give_back(counter, last, to=before)
        self._numbers = mark

    def write(self, txn: WriteTransaction) -> None:
        """Put every counter that moved."""
        if self._numbers:
            write_counters(txn, self._numbers)

    def _current(self, counter: str) -> int:
        if counter not in self._numbers:
            if counter not in self._found:
                if self._rows_after is None or counter.startswith(SEQUENCE):
                    self._found[counter] = read_counters(self.txn, [counter])[0]
                else:
                    self._found[counter] = self._rows_after
            self._numbers[counter] = self._found[counter]
        return self._numbers[counter]


@dataclass(slots=True)
class Tape:
    """What a statement drew, in the order in which it did."""

    wall_us: int
    drawn: list[int | bytes] = field(default_factory=list[int | bytes])


class Recorder:
    """Draws, and notes on a tape what was drawn."""

    def __init__(self, numbers: Numbers, clock: Clock, tape: Tape) -> None:
        self._numbers = numbers
        self._clock = clock
        self._tape = tape

    def take(self, counter: str, count: int) -> int:
        first = self._numbers.take(counter, count)
        self._tape.drawn.append(first)
        return first

    def raise_to(self, counter: str, number: int) -> None:
        self._numbers.raise_to(counter, number)

    def random_bytes(self, count: int) -> bytes:
        """So many random bytes."""
        drawn = self._clock.random_bytes(count)
        self._tape.drawn.append(drawn)
        return drawn


class Player:
    """Gives what a tape says was drawn, as long as it is asked the same."""

    def __init__(self, numbers: Numbers, clock: Clock, tape: Tape) -> None:
        self._numbers = numbers
        self._clock = clock
        self._drawn = iter(tape.drawn)

    def take(self, counter: str, count: int) -> int:
        first = next(self._drawn, None)
        if type(first) is not int:  # the statement finds other rows than before, and will be told
            return self._numbers.take(counter, count)
        self._numbers.raise_to(counter, first + count - 1)
        return first

    def raise_to(self, counter: str, number: int) -> None:
        self._numbers.raise_to(counter, number)

    def random_bytes(self, count: int) -> bytes:
        """So many bytes, as random as before."""
        drawn = next(self._drawn, None)
        return drawn if type(drawn) is bytes else self._clock.random_bytes(count)
