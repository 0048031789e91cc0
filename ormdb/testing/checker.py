"""Was this history strictly serializable?  If not: why not, in sentences.

    findings = check_history(recorder.history())
    assert not findings, findings[0]

    lost update of T4, T7 in 'x': T4 did not see what T7 wrote to 'x', T7 wrote 'x' before T4 did;
    so T4 would have to come before itself

A history is strictly serializable when there is an order of its committed transactions that
explains everything they saw, and in which whoever had ended before another began comes first.  The
dependencies (`dependencies.py`) that any such order has to respect make a graph; a circle in it is
an anomaly, and nothing else is, so a finding is never a guess.  Which anomaly it is follows from
the edges of the shortest circle:

    G0, G1c                   only writes; writes and reads of them
    lost update               two read the same and both wrote it
    G-single                  one missed write, as a read from two states at once makes it
    long fork                 two readers saw two writes in different orders
    G2-item                   several missed writes, as write skew makes them
    G2                        one of them is of what a condition selects: a phantom
    ... -realtime             only the clock contradicts it: a stale read, a lost write

and without a circle: G1a (read of what was undone), G1b (read of what was there only for a while),
garbage, duplicate, incompatible order, internal (a transaction contradicts itself), constant sum.

Invariants (held by tests/unit/testing/test_checker.py):
  1. A history of a correct engine has no finding.
  2. Each anomaly has a history by hand in which it is found under its name.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from ormdb.testing.cycles import (
    REAL_TIME,
    RW,
    RW_PREDICATE,
    WR,
    WW,
    Edge,
    Graph,
    gravest_cycles,
    knots,
)
from ormdb.testing.dependencies import (
    Evidence,
    Fault,
    Lists,
    Registers,
    Sets,
    connect_real_time,
)
from ormdb.testing.history import History, Key, Transaction

Group: TypeAlias = Literal["list", "register", "set", "total"]

FINDINGS_MAX: Final = 50  # of one history; the first ones tell it all
_GROUPS: Final[Mapping[str, Group]] = {
    "append": "list",
    "read_list": "list",
    "write": "register",
    "read": "register",
    "add": "set",
    "remove": "set",
    "members": "set",
    "total": "total",
}
_LONG_FORK: Final = (WR, RW, WR, RW)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that no order of the transactions explains."""

    anomaly: str
    sentence: str
    transactions: tuple[int, ...]
    keys: tuple[Key, ...]
    cycle: tuple[Edge, ...] = ()

    def __str__(self) -> str:
        return self.sentence


def check_history(
    history: History,
    *,
    totals: Mapping[Hashable, int] | None = None,
    real_time: bool = True,
    aborted_reads: bool = False,
) -> list[Finding]:
    """Everything wrong with a history; nothing if it is strictly serializable.

    Args:
      history: what was written down.
      totals: what the amounts of `total` operations have to add up to, by key; without it all
        reads of a key have to agree with the first.
      real_time: whether an order has to agree with the clock; without it the question is whether
        the history is serializable.
      aborted_reads: whether what aborted transactions saw has to be explained as well, as ormdb
        promises: each sees one snapshot, however it ends.
    """
    transactions = history.transactions
    counts = _who_counts(transactions)
    reads = [
        counted or (aborted_reads and each.outcome == "aborted")
        for counted, each in zip(counts, transactions, strict=True)
    ]
    evidence = Evidence(transactions, counts, reads, Graph(len(transactions)))
    _take_all(evidence, totals or {})
    if real_time:
        connect_real_time(evidence)
    findings = [_of_fault(evidence, fault) for fault in evidence.faults[:FINDINGS_MAX]]
    graph = evidence.graph
    for knot in knots(graph)[:FINDINGS_MAX]:
        findings += [_of_cycle(evidence, cycle) for cycle in gravest_cycles(graph, knot)]
    return findings[:FINDINGS_MAX]


def _who_counts(transactions: Sequence[Transaction]) -> list[bool]:
    """Who has committed: an unknown one has when somebody who has saw what it wrote."""
    counts = [each.outcome == "committed" for each in transactions]
    unknown = {
        (operation.key, operation.value): number
        for number, each in enumerate(transactions)
        if each.outcome == "unknown"
        for operation in each.operations
        if operation.kind in {"append", "write", "add"}
    }
    if not unknown:
        return counts
    asked = [number for number, counted in enumerate(counts) if counted]
    for number in asked:  # grows meanwhile
        for kind, key, value in transactions[number].operations:
            if kind == "read":
                values: frozenset[Hashable] = frozenset({value})
            elif kind in {"read_list", "members"}:
                values = frozenset(value)
            else:
                continue
            for each in values:
                writer = unknown.get((key, each))
                if writer is not None and not counts[writer]:
                    counts[writer] = True
                    asked.append(writer)
    return counts


def _take_all(evidence: Evidence, totals: Mapping[Hashable, int]) -> None:
    kinds: tuple[tuple[Group, Lists | Registers | Sets], ...] = (
        ("list", Lists(evidence)),
        ("register", Registers(evidence)),
        ("set", Sets(evidence)),
    )
    expected = dict(totals)
    for number, each in enumerate(evidence.transactions):
        operations = each.operations
        present = {_GROUPS[operation[0]] for operation in operations}
        is_undone = not evidence.counts[number]
        for group, kind in kinds:
            if group not in present:
                continue
            if is_undone and each.outcome == "aborted":
                kind.take_undone(number, operations)
            if evidence.reads[number]:
                kind.take(number, operations, is_undone=is_undone)
        if evidence.reads[number] and "total" in present:
            _add_up(evidence, number, expected)
    for _, kind in kinds:
        kind.connect()


def _add_up(evidence: Evidence, number: int, expected: dict[Hashable, int]) -> None:
    for kind, key, value in evidence.transactions[number].operations:
        if kind != "total":
            continue
        found, right = sum(value), expected.setdefault(key, sum(value))
        if found != right:
            evidence.fault(
                "constant sum",
                key,
                f"{evidence.name(number)} saw amounts of {key!r} that add up to {found}, not to "
                f"{right}: {list(value)}",
                number,
            )


def _of_fault(evidence: Evidence, fault: Fault) -> Finding:
    return Finding(
        anomaly=fault.anomaly,
        sentence=f"{fault.anomaly}: {fault.sentence}",
        transactions=_numbers(evidence, fault.transactions),
        keys=(fault.key,),
    )


def _of_cycle(evidence: Evidence, cycle: Sequence[Edge]) -> Finding:
    names = {number: evidence.name(number) for edge in cycle for number in edge[:2]}
    anomaly = _anomaly_of(evidence, cycle)
    keys = tuple(dict.fromkeys(edge.key for edge in cycle if edge.kind != REAL_TIME))
    steps = ", ".join(edge.sentence(names) for edge in cycle)
    who = ", ".join(names.values())
    among = ", ".join(map(repr, keys))
    return Finding(
        anomaly=anomaly,
        sentence=(
            f"{anomaly} of {who} in {among}: {steps}; so {names[cycle[0].first]} would have to "
            "come before itself"
        ),
        transactions=_numbers(evidence, list(names)),
        keys=keys,
        cycle=tuple(cycle),
    )


def _anomaly_of(evidence: Evidence, cycle: Sequence[Edge]) -> str:
    kinds = [edge.kind for edge in cycle]
    suffix = "-realtime" if REAL_TIME in kinds else ""
    misses = kinds.count(RW) + kinds.count(RW_PREDICATE)
    if not misses:
        return ("G1c" if WR in kinds else "G0") + suffix
    if not suffix and _is_lost_update(evidence, cycle):
        return "lost update"
    if _is_long_fork(evidence, cycle):
        return "long fork"
    if RW_PREDICATE in kinds:
        return ("G-single" if misses == 1 else "G2") + suffix
    return ("G-single" if misses == 1 else "G2-item") + suffix


def _is_lost_update(evidence: Evidence, cycle: Sequence[Edge]) -> bool:
    """Two that read the same thing and both wrote it, one unaware of the other."""
    kinds = {edge.kind for edge in cycle}
    keys = {edge.key for edge in cycle}
    if len(cycle) != 2 or len(keys) != 1 or not kinds <= {RW, WW}:
        return False
    for edge in cycle:
        done = {o.kind for o in evidence.transactions[edge.first].operations if o.key == edge.key}
        if not (done & {"read", "read_list"} and done & {"write", "append"}):
            return False
    return True


def _is_long_fork(evidence: Evidence, cycle: Sequence[Edge]) -> bool:
    kinds = [RW if edge.kind == RW_PREDICATE else edge.kind for edge in cycle]
    if tuple(kinds) not in {_LONG_FORK, (*_LONG_FORK[1:], WR)}:
        return False
    readers = [edge.second for edge in cycle if edge.kind == WR]
    return all(
        operation.kind in {"read", "read_list", "members", "total"}
        for reader in readers
        for operation in evidence.transactions[reader].operations
    )


def _numbers(evidence: Evidence, places: Sequence[int]) -> tuple[int, ...]:
    return tuple(evidence.transactions[place].number for place in places)
