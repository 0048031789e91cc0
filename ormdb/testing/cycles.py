"""Who has to come before whom, and whether that goes round in a circle.

    graph.add(1, 2, WW, "x")        T1 wrote x before T2 did
    graph.add(2, 1, RW, "y")        T2 did not see what T1 wrote to y
    knots(graph)                    [[1, 2]]: no order of these two would explain what was seen
    gravest_cycles(graph, [1, 2])   T2 -rw-> T1 -ww-> T2

Of a knot (a strongly connected part) a short cycle of the gravest kind is given, without the help
of the clock if that is possible.

    G0         only writes before writes                    writes are mixed
    G1c        also reads of writes                         information flows in a circle
    G-single   one read that did not see a write            a read from two states at once
    G2         several of them                              write skew

Invariants (held by tests/unit/testing/test_cycles.py):
  1. A cycle is found exactly when there is one.
  2. Every step of a cycle is an edge of the graph, and the cycle is closed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from ormdb.testing.history import Key

# The second wrote what the first had written before.
WW: Final = 0
# The second saw what the first wrote.
WR: Final = 1
# The first did not see what the second wrote.
RW: Final = 2
# As above, of what a condition selects.
RW_PREDICATE: Final = 3
# The first had ended before the second began.
REAL_TIME: Final = 4

KIND_WORDS: Final = ("ww", "wr", "rw", "rw", "rt")
_KINDS: Final = 8  # a reason is a key's number times this, plus the kind

# A cycle is looked for close to many beginnings first, then everywhere from a few: a knot of a
# hundred thousand transactions is told in seconds, and hardly any anomaly needs a long way.
NEAR_MAX: Final = 2_000  # beginnings
STEPS_MAX: Final = 300  # edges from each of them
FAR_MAX: Final = 8
PARTS_MAX: Final = 50  # of one knot


class Edge(NamedTuple):
    """One step of a cycle."""

    first: int
    second: int
    kind: int
    key: Key

    def sentence(self, names: Mapping[int, str]) -> str:
        """What happened."""
        first, second = names[self.first], names[self.second]
        if self.kind == WW:
            return f"{first} wrote {self.key!r} before {second} did"
        if self.kind == WR:
            return f"{second} saw what {first} wrote to {self.key!r}"
        if self.kind == REAL_TIME:
            return f"{first} had ended before {second} began"
        return f"{first} did not see what {second} wrote to {self.key!r}"


class Graph:
    """Transactions by number, and who comes before whom for which reason."""

    def __init__(self, count: int) -> None:
        self.targets: list[list[int]] = [[] for _ in range(count)]
        self.reasons: list[list[int]] = [[] for _ in range(count)]
        self.keys: list[Key] = []
        self._numbers: dict[Key, int] = {}

    def __len__(self) -> int:
        return len(self.targets)

    def edge_count(self) -> int:
        """How many edges there are."""
        return sum(map(len, self.targets))

    def number_of(self, key: Key) -> int:
        """A number for a key, to be given to `put`."""
        number = self._numbers.get(key)
        if number is None:
            number = self._numbers[key] = len(self.keys)
            self.keys.append(key)
        return number

    def add(self, first: int, second: int, kind: int, key: Key = None) -> None:
        """Say that one comes before the other."""
        if first != second:
            self.targets[first].append(second)
            self.reasons[first].append(self.number_of(key) * _KINDS + kind)

    def put(self, first: int, second: int, reason: int) -> None:
        """`add`, for loops: `reason` is `reason_of` of a kind and a key's number."""
        self.targets[first].append(second)
        self.reasons[first].append(reason)

    def edges_within(self, nodes: Iterable[int]) -> list[Edge]:
        """Every edge between some transactions."""
        inside = set(nodes)
        return [
            Edge(node, target, reason % _KINDS, self.keys[reason // _KINDS])
            for node in sorted(inside)
            for target, reason in zip(self.targets[node], self.reasons[node], strict=True)
            if target in inside
        ]


def reason_of(kind: int, key_number: int) -> int:
    """What `put` takes."""
    return key_number * _KINDS + kind


def knots(graph: Graph) -> list[list[int]]:
    """The parts of a graph in which everybody comes before everybody."""
    remaining = _without_order(graph.targets)
    return _components(sorted(remaining), graph.targets, remaining) if remaining else []


def gravest_cycles(graph: Graph, knot: Sequence[int]) -> list[list[Edge]]:
    """Of each part of a knot that is one without the help of the clock, the shortest cycle of the
    gravest kind; of the whole knot if there is no such part."""
    edges = graph.edges_within(knot)
    untimed = [edge for edge in edges if edge.kind != REAL_TIME]
    parts = _parts(untimed)
    if not parts:
        return [_gravest(edges)]
    place = {node: number for number, part in enumerate(parts) for node in part}
    inside: list[list[Edge]] = [[] for _ in parts]
    for edge in untimed:
        number = place.get(edge.first)
        if number is not None and place.get(edge.second) == number:
            inside[number].append(edge)
    return [_gravest(each) for each in inside[:PARTS_MAX]]


def _gravest(edges: Sequence[Edge]) -> list[Edge]:
    for kinds in ({WW, REAL_TIME}, {WW, WR, REAL_TIME}):
        if found := _shortest([edge for edge in edges if edge.kind in kinds]):
            return found
    found = _shortest_with_one_miss(edges) or _shortest(edges)
    assert found is not None, "a knot has a cycle"
    return found


def _without_order(targets: Sequence[Sequence[int]]) -> set[int]:
    """Take away whoever nobody comes before, again and again: what is left."""
    before = [0] * len(targets)
    for each in targets:
        for target in each:
            before[target] += 1
    free = [node for node, count in enumerate(before) if not count]
    for node in free:  # grows meanwhile
        for target in targets[node]:
            before[target] -= 1
            if not before[target]:
                free.append(target)
    return {node for node, count in enumerate(before) if count}


def _components(
    nodes: Sequence[int], targets: Sequence[Sequence[int]], inside: set[int]
) -> list[list[int]]:
    """Strongly connected components of more than one node (Tarjan, without recursion)."""
    found: list[list[int]] = []
    index: dict[int, int] = {}
    low: dict[int, int] = {}
    stack: list[int] = []
    on_stack: set[int] = set()
    for root in nodes:
        if root in index:
            continue
        work = [(root, iter(targets[root]))]
        index[root] = low[root] = len(index)
        stack.append(root)
        on_stack.add(root)
        while work:
            node, rest = work[-1]
            for target in rest:
                if target not in inside:
                    continue
                if target not in index:
                    index[target] = low[target] = len(index)
                    stack.append(target)
                    on_stack.add(target)
                    work.append((target, iter(targets[target])))
                    break
                if target in on_stack:
                    low[node] = min(low[node], index[target])
            else:
                work.pop()
                if work:
                    parent = work[-1][0]
                    low[parent] = min(low[parent], low[node])
                if low[node] == index[node]:
                    cut = _last_place(stack, node)
                    part = stack[cut:]
                    del stack[cut:]
                    on_stack.difference_update(part)
                    if len(part) > 1:
                        found.append(sorted(part))
    return found


def _last_place(stack: Sequence[int], node: int) -> int:
    place = len(stack) - 1
    while stack[place] != node:
        place -= 1
    return place


def _parts(edges: Sequence[Edge]) -> list[list[int]]:
    """The knots that these edges make."""
    places: dict[int, int] = {}
    for edge in edges:
        places.setdefault(edge.first, len(places))
        places.setdefault(edge.second, len(places))
    targets: list[list[int]] = [[] for _ in places]
    for edge in edges:
        targets[places[edge.first]].append(places[edge.second])
    remaining = _without_order(targets)
    nodes = list(places)
    parts = _components(sorted(remaining), targets, remaining)
    return [sorted(nodes[place] for place in part) for part in parts]


def _shortest(edges: Sequence[Edge]) -> list[Edge] | None:
    """A shortest cycle of these edges, as far as some beginnings tell; None if there is none."""
    starts = [node for part in _parts(edges) for node in part]
    if not starts:
        return None
    out = _outgoing(edges)
    near = _best(_path(out, node, node, STEPS_MAX) for node in starts[:NEAR_MAX])
    return near or _best(_path(out, node, node) for node in starts[:FAR_MAX])


def _shortest_with_one_miss(edges: Sequence[Edge]) -> list[Edge] | None:
    """A shortest cycle with one read that missed a write, and else what was written and seen."""
    misses = [edge for edge in edges if edge.kind in {RW, RW_PREDICATE}]
    out = _outgoing([edge for edge in edges if edge.kind not in {RW, RW_PREDICATE}])
    near = _best(_closed(out, miss, STEPS_MAX) for miss in misses[:NEAR_MAX])
    return near or _best(_closed(out, miss) for miss in misses[:FAR_MAX])


def _closed(out: dict[int, list[Edge]], miss: Edge, steps_max: int | None = None) -> list[Edge]:
    back = _path(out, miss.second, miss.first, steps_max)
    return [miss, *back] if back else []


def _best(cycles: Iterable[list[Edge]]) -> list[Edge] | None:
    """The shortest of some cycles, without looking further when it cannot be shorter."""
    best: list[Edge] | None = None
    for cycle in cycles:
        if cycle and (best is None or len(cycle) < len(best)):
            best = cycle
            if len(best) == 2:
                break
    return best


def _outgoing(edges: Iterable[Edge]) -> dict[int, list[Edge]]:
    out: dict[int, list[Edge]] = {}
    for edge in edges:
        out.setdefault(edge.first, []).append(edge)
    return out


def _path(
    out: dict[int, list[Edge]], start: int, goal: int, steps_max: int | None = None
) -> list[Edge]:
    """The shortest way from one to the other, of at least one step; empty if none was found."""
    came: dict[int, Edge] = {}
    queue = deque([start])
    steps = 0
    while queue and (steps_max is None or steps < steps_max):
        node = queue.popleft()
        for edge in out.get(node, ()):
            steps += 1
            if edge.second == goal:
                way = [edge]
                while way[-1].first != start:
                    way.append(came[way[-1].first])
                return way[::-1]
            if edge.second not in came and edge.second != start:
                came[edge.second] = edge
                queue.append(edge.second)
    return []
