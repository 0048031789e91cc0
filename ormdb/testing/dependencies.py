"""What a history says about who came before whom, one kind of things at a time.

    T0 append(x, 1)   T1 read_list(x, (1,))   T2 append(x, 2)   T3 read_list(x, (1, 2))

    the longest read of x is (1, 2), so that is its order:
        T0 -ww-> T2     T2's value comes next
        T0 -wr-> T1     T1 saw up to T0's value
        T1 -rw-> T2     and did not see the next one

Lists tell their whole order.  Of registers it is known that a transaction that read one value and
wrote another put it after, that None was first, and that what was written later by the clock came
later.  An element of a set is first absent, then a member, then gone: one that was seen was added
before and removed after; one that was not is told apart by whether it is ever removed, and by the
clock.  Where the history leaves a choice, no edge is drawn: a finding is never a guess.

What needs no order is found here as well: reads of what was undone (G1a), of what was written over
by its own transaction (G1b), of what nobody wrote, and a transaction that contradicts itself.

Invariants (held by tests/unit/testing/test_checker.py):
  1. In the history of a strictly serializable run every edge agrees with the order of its commits.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple, TypeAlias

from ormdb.testing.cycles import (
    REAL_TIME,
    RW,
    RW_PREDICATE,
    WR,
    WW,
    Graph,
    reason_of,
)
from ormdb.testing.history import NEVER, Key, Operation, Transaction

UNSEEN_MAX: Final = 10_000  # pairs of a last reader and a write that nobody ever saw

Place: TypeAlias = tuple[Key, Hashable]


class Fault(NamedTuple):
    """Something wrong that needs no cycle."""

    anomaly: str
    sentence: str
    transactions: tuple[int, ...]
    key: Key


@dataclass(slots=True)
class Evidence:
    """The transactions that count, the graph they make, and what is wrong already."""

    transactions: Sequence[Transaction]
    counts: Sequence[bool]  # which of them have committed, as far as anybody can tell
    reads: Sequence[bool]  # whose reads have to be explained
    graph: Graph
    faults: list[Fault] = field(default_factory=list[Fault])

    def name(self, number: int) -> str:
        """What a transaction is called in sentences."""
        return f"T{self.transactions[number].number}"

    def fault(self, anomaly: str, key: Key, sentence: str, *transactions: int) -> None:
        """Note what is wrong."""
        self.faults.append(Fault(anomaly, sentence, transactions, key))


class Lists:
    """Appends and reads of lists."""

    def __init__(self, evidence: Evidence) -> None:
        self._evidence = evidence
        self._writers: dict[Key, dict[Hashable, int]] = defaultdict(dict)
        self._undone: dict[Place, int] = {}
        self._passing: set[Place] = set()
        self._reads: dict[Key, list[tuple[int, tuple[Hashable, ...]]]] = defaultdict(list)

    def take(
        self, number: int, operations: Sequence[Operation], *, is_undone: bool = False
    ) -> None:
        """Take the operations of a transaction; of one that is undone only its reads count."""
        seen: dict[Key, tuple[Hashable, ...]] = {}  # as it has to see the list now
        own: dict[Key, list[Hashable]] = {}
        for kind, key, value in operations:
            if kind == "append":
                mine = own.get(key)
                if not is_undone:
                    written = self._writers[key]
                    if value in written:
                        self._twice(key, value, written[value], number)
                    written[value] = number
                    if mine is not None:
                        self._passing.add((key, mine[-1]))
                if mine is None:
                    own[key] = [value]
                else:
                    mine.append(value)
                if key in seen:
                    seen[key] += (value,)
            elif kind == "read_list":
                self._read(number, key, value, seen.get(key), own.get(key))
                seen[key] = value

    def take_undone(self, number: int, operations: Sequence[Operation]) -> None:
        """Take the operations of a transaction that left nothing behind."""
        for kind, key, value in operations:
            if kind == "append":
                self._undone[key, value] = number

    def connect(self) -> None:
        """Draw the edges."""
        for key, reads in self._reads.items():
            self._connect(key, reads)

    def _read(
        self,
        number: int,
        key: Key,
        values: tuple[Hashable, ...],
        expected: tuple[Hashable, ...] | None,
        own: list[Hashable] | None,
    ) -> None:
        if expected is not None:
            if expected != values:
                self._internal(number, key, values)
            return
        if own is not None:
            if values[-len(own) :] != tuple(own):
                self._internal(number, key, values)
                return
            values = values[: -len(own)]
        self._reads[key].append((number, values))

    def _connect(self, key: Key, reads: Sequence[tuple[int, tuple[Hashable, ...]]]) -> None:
        longest = max((values for _, values in reads), key=len)
        evidence, put = self._evidence, self._evidence.graph.put
        number = evidence.graph.number_of(key)
        ww, wr, rw = (reason_of(kind, number) for kind in (WW, WR, RW))
        written = self._writers[key]
        writers = [self._writer(key, value, written, reads) for value in longest]
        if len(written) < len(longest) or len(set(longest)) < len(longest):
            self._repeated(key, longest)
        last = None
        for writer in writers:
            if writer is not None:
                if last is not None and last != writer:
                    put(last, writer, ww)
                last = writer
        size = len(longest)
        for reader, values in reads:
            length = len(values)
            if longest[:length] != values:
                self._diverging(key, reader, values, longest)
                continue
            if length:
                before = writers[length - 1]
                if before is not None and before != reader:
                    put(before, reader, wr)
                    if (key, values[-1]) in self._passing:
                        self._halfway(key, reader, values[-1], before)
            if length < size:
                after = writers[length]
                if after is not None and after != reader:
                    put(reader, after, rw)
        if len(written) > size:
            self._connect_unseen(key, longest, reads, last)

    def _connect_unseen(
        self,
        key: Key,
        longest: tuple[Hashable, ...],
        reads: Sequence[tuple[int, tuple[Hashable, ...]]],
        last: int | None,
    ) -> None:
        """What nobody saw came after everything that somebody saw."""
        known = set(longest)
        unseen = {who for value, who in self._writers[key].items() if value not in known}
        readers = [reader for reader, values in reads if len(values) == len(longest)]
        if len(unseen) * len(readers) > UNSEEN_MAX:
            began = self._evidence.transactions
            readers = [max(readers, key=lambda reader: began[reader].began)]
        for writer in unseen:
            if last is not None:
                self._evidence.graph.add(last, writer, WW, key)
            for reader in readers:
                self._evidence.graph.add(reader, writer, RW, key)

    def _writer(
        self,
        key: Key,
        value: Hashable,
        written: dict[Hashable, int],
        reads: Sequence[tuple[int, tuple[Hashable, ...]]],
    ) -> int | None:
        writer = written.get(value)
        if writer is None:
            reader = next(reader for reader, values in reads if value in values)
            _never_committed(self._evidence, self._undone, (key, value), reader)
        return writer

    def _twice(self, key: Key, value: Hashable, first: int, second: int) -> None:
        names = f"{self._evidence.name(first)} and {self._evidence.name(second)}"
        self._evidence.fault(
            "duplicate", key, f"{names} both appended {value!r} to {key!r}", first, second
        )

    def _repeated(self, key: Key, values: tuple[Hashable, ...]) -> None:
        twice = [value for value in dict.fromkeys(values) if values.count(value) > 1]
        if twice:
            reader = next(reader for reader, seen in self._reads[key] if seen == values)
            self._evidence.fault(
                "duplicate",
                key,
                f"{self._evidence.name(reader)} saw {twice[0]!r} more than once in {key!r}",
                reader,
            )

    def _diverging(
        self,
        key: Key,
        reader: int,
        values: tuple[Hashable, ...],
        longest: tuple[Hashable, ...],
    ) -> None:
        other = next(number for number, seen in self._reads[key] if seen == longest)
        self._evidence.fault(
            "incompatible order",
            key,
            f"{self._evidence.name(reader)} saw {key!r} as {list(values)} and "
            f"{self._evidence.name(other)} as {list(longest)}; neither begins with the other",
            reader,
            other,
        )

    def _halfway(self, key: Key, reader: int, value: Hashable, writer: int) -> None:
        _halfway(self._evidence, (key, value), reader, writer)

    def _internal(self, number: int, key: Key, values: tuple[Hashable, ...]) -> None:
        _internal(self._evidence, number, key, list(values))


class Registers:
    """Writes and reads of registers."""

    def __init__(self, evidence: Evidence) -> None:
        self._evidence = evidence
        self._writers: dict[Key, dict[Hashable, int]] = defaultdict(dict)
        self._undone: dict[Place, int] = {}
        self._passing: dict[Place, int] = {}
        self._reads: dict[Key, dict[Hashable, list[int]]] = defaultdict(dict)
        self._follows: dict[Key, dict[Hashable, Hashable]] = defaultdict(dict)

    def take(
        self, number: int, operations: Sequence[Operation], *, is_undone: bool = False
    ) -> None:
        """Take the operations of a transaction; of one that is undone only its reads count."""
        now: dict[Key, Hashable] = {}
        read: dict[Key, Hashable] = {}
        wrote: dict[Key, Hashable] = {}
        for kind, key, value in operations:
            if kind == "write":
                if key in wrote and not is_undone:
                    self._passing[key, wrote[key]] = number
                wrote[key] = now[key] = value
            elif kind == "read":
                if key in now:
                    if now[key] != value:
                        _internal(self._evidence, number, key, value)
                    continue
                now[key] = read[key] = value
                self._reads[key].setdefault(value, []).append(number)
        for key, value in () if is_undone else wrote.items():
            written = self._writers[key]
            first = written.get(value)
            if first is not None:
                self._twice(number, first, key, read.get(key))
            written[value] = number
            if key in read:
                self._follows[key][value] = read[key]

    def take_undone(self, number: int, operations: Sequence[Operation]) -> None:
        """Take the operations of a transaction that left nothing behind."""
        for kind, key, value in operations:
            if kind == "write":
                self._undone[key, value] = number

    def connect(self) -> None:
        """Draw the edges."""
        for key in self._writers.keys() | self._reads.keys():
            self._connect(key)

    def _connect(self, key: Key) -> None:
        written, reads, follows = self._writers[key], self._reads[key], self._follows[key]
        graph = self._evidence.graph
        for value, readers in reads.items():
            if value is None:
                continue
            writer = written.get(value)
            for reader in readers:
                passing = self._passing.get((key, value))
                if writer is not None:
                    graph.add(writer, reader, WR, key)
                elif passing is not None:
                    _halfway(self._evidence, (key, value), reader, passing)
                else:
                    _never_committed(self._evidence, self._undone, (key, value), reader)
                    break
        earlier: dict[Hashable, set[Hashable]] = {value: set() for value in written}
        for value, before in follows.items():
            earlier[value].add(before)
        for value, before in self._by_clock(written):
            earlier[value].add(before)
        for value, before_values in earlier.items():
            writer = written[value]
            for before in before_values or {None}:
                for reader in reads.get(before, ()):
                    graph.add(reader, writer, RW, key)
                if before in written:
                    graph.add(written[before], writer, WW, key)

    def _by_clock(self, written: dict[Hashable, int]) -> list[tuple[Hashable, Hashable]]:
        """Pairs of a value, and one whose writer had ended when that of the first began."""
        transactions = self._evidence.transactions
        values = {number: value for value, number in written.items()}
        return [
            (values[second], values[first])
            for first, second in in_real_time(transactions, list(values))
        ]

    def _twice(self, number: int, first: int, key: Key, read: Hashable) -> None:
        names = f"{self._evidence.name(first)} and {self._evidence.name(number)}"
        anomaly, why = "duplicate", "wrote the same value"
        if number in self._reads[key].get(read, ()) and first in self._reads[key].get(read, ()):
            anomaly, why = "lost update", f"read {read!r} and made the same value of it"
        self._evidence.fault(anomaly, key, f"{names} both {why} in {key!r}", first, number)


class Sets:
    """What conditions select: additions, removals and reads."""

    def __init__(self, evidence: Evidence) -> None:
        self._evidence = evidence
        self._added: dict[Key, dict[Hashable, int]] = defaultdict(dict)
        self._removed: dict[Key, dict[Hashable, int]] = defaultdict(dict)
        self._undone: dict[Place, int] = {}
        self._reads: dict[Key, list[tuple[int, frozenset[Hashable], set[Hashable]]]]
        self._reads = defaultdict(list)

    def take(
        self, number: int, operations: Sequence[Operation], *, is_undone: bool = False
    ) -> None:
        """Take the operations of a transaction; of one that is undone only its reads count."""
        mine: dict[Key, dict[Hashable, bool]] = {}  # whether it has to be a member now
        for kind, key, value in operations:
            if kind == "add":
                if not is_undone:
                    self._once(self._added[key], "added", (key, value), number)
                mine.setdefault(key, {})[value] = True
            elif kind == "remove":
                if not is_undone:
                    self._once(self._removed[key], "removed", (key, value), number)
                mine.setdefault(key, {})[value] = False
            elif kind == "members":
                own = mine.setdefault(key, {})
                members: frozenset[Hashable] = value
                if any((element in members) != there for element, there in own.items()):
                    _internal(self._evidence, number, key, sorted(members, key=repr))
                    continue
                self._reads[key].append((number, members, set(own)))

    def take_undone(self, number: int, operations: Sequence[Operation]) -> None:
        """Take the operations of a transaction that left nothing behind."""
        for kind, key, value in operations:
            if kind == "add":
                self._undone[key, value] = number

    def connect(self) -> None:
        """Draw the edges."""
        for key, reads in self._reads.items():
            added, removed = self._added[key], self._removed[key]
            for reader, members, own in reads:
                for element in members - own:
                    self._connect_member(reader, (key, element), added, removed)
                for element in added.keys() - members - own:
                    self._connect_absent(reader, (key, element), added, removed)

    def _connect_member(
        self,
        reader: int,
        place: Place,
        added: dict[Hashable, int],
        removed: dict[Hashable, int],
    ) -> None:
        key, element = place
        adder, remover = added.get(element), removed.get(element)
        if adder is None:
            _never_committed(self._evidence, self._undone, place, reader)
            return
        if adder == remover:
            _halfway(self._evidence, place, reader, adder)
            return
        self._evidence.graph.add(adder, reader, WR, key)
        if remover is not None:
            self._evidence.graph.add(reader, remover, RW_PREDICATE, key)

    def _connect_absent(
        self,
        reader: int,
        place: Place,
        added: dict[Hashable, int],
        removed: dict[Hashable, int],
    ) -> None:
        key, element = place
        adder, remover = added[element], removed.get(element)
        if adder == remover:
            return
        if remover is None:
            self._evidence.graph.add(reader, adder, RW_PREDICATE, key)
            return
        transactions = self._evidence.transactions
        if transactions[reader].ended < transactions[remover].began:  # so it was not there yet
            self._evidence.graph.add(reader, adder, RW_PREDICATE, key)
        elif transactions[adder].ended < transactions[reader].began:  # so it was there no longer
            self._evidence.graph.add(remover, reader, WR, key)

    def _once(self, known: dict[Hashable, int], did: str, place: Place, number: int) -> None:
        key, element = place
        if element in known:
            names = f"{self._evidence.name(known[element])} and {self._evidence.name(number)}"
            self._evidence.fault(
                "duplicate",
                key,
                f"{names} both {did} {element!r} of {key!r}",
                known[element],
                number,
            )
        known[element] = number


def in_real_time(
    transactions: Sequence[Transaction], numbers: Sequence[int]
) -> list[tuple[int, int]]:
    """Pairs of which the first had ended before the second began, without what follows from others.

    Of the transactions that have ended only those are kept that nobody began after: these come
    before whoever begins next, and all the others before these.
    """
    events: list[tuple[int, int, int]] = []
    for number in numbers:
        each = transactions[number]
        events.append((each.began, 0, number))
        if each.ended < NEVER:
            events.append((each.ended, 1, number))
    events.sort()
    pairs: list[tuple[int, int]] = []
    newest: set[int] = set()
    before: dict[int, list[int]] = {}
    for _, is_end, number in events:
        if is_end:
            newest.difference_update(before.pop(number))
            newest.add(number)
        else:
            before[number] = list(newest)
            pairs += [(first, number) for first in newest]
    return pairs


def connect_real_time(evidence: Evidence) -> None:
    """Draw an edge to everybody from those who had ended before."""
    numbers = [number for number, does in enumerate(evidence.reads) if does]
    reason = reason_of(REAL_TIME, evidence.graph.number_of(None))
    put = evidence.graph.put
    for first, second in in_real_time(evidence.transactions, numbers):
        put(first, second, reason)


def _never_committed(
    evidence: Evidence, undone: dict[Place, int], place: Place, reader: int
) -> None:
    key, value = place
    writer = undone.get(place)
    if writer is None:
        sentence = f"{evidence.name(reader)} saw {value!r} in {key!r}, which nobody wrote"
        evidence.fault("garbage", key, sentence, reader)
    else:
        sentence = (
            f"{evidence.name(reader)} saw {value!r} in {key!r}, "
            f"which {evidence.name(writer)} wrote before it was aborted"
        )
        evidence.fault("G1a", key, sentence, reader, writer)


def _halfway(evidence: Evidence, place: Place, reader: int, writer: int) -> None:
    key, value = place
    sentence = (
        f"{evidence.name(reader)} saw {value!r} in {key!r}, "
        f"which {evidence.name(writer)} left there only for a while"
    )
    evidence.fault("G1b", key, sentence, reader, writer)


def _internal(evidence: Evidence, number: int, key: Key, value: object) -> None:
    sentence = (
        f"{evidence.name(number)} saw {key!r} as {value!r}, "
        f"which is not what it had seen and written itself"
    )
    evidence.fault("internal", key, sentence, number)
