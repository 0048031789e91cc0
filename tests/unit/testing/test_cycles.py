"""Cycles are found exactly where they are, and the gravest is told."""

from __future__ import annotations

import random

import pytest

from ormdb.testing.cycles import REAL_TIME, RW, WR, WW, Graph, gravest_cycles, knots


def made(*edges: tuple[int, int, int], count: int = 10) -> Graph:
    graph = Graph(count)
    for first, second, kind in edges:
        graph.add(first, second, kind, "x")
    return graph


def reachable(graph: Graph, start: int) -> set[int]:
    seen: set[int] = set()
    todo = [start]
    while todo:
        for target in graph.targets[todo.pop()]:
            if target not in seen:
                seen.add(target)
                todo.append(target)
    return seen


def test_a_graph_without_a_circle_has_no_knot() -> None:
    assert knots(made((1, 2, WW), (2, 3, RW), (1, 3, WR))) == []


def test_nobody_comes_before_itself_by_its_own_edge() -> None:
    assert knots(made((1, 1, WW))) == []


@pytest.mark.parametrize("seed", range(100))
def test_a_knot_is_whoever_comes_before_each_other(seed: int) -> None:
    chance = random.Random(seed)
    graph = Graph(12)
    for _ in range(chance.randint(5, 25)):
        kind = chance.choice((WW, WR, RW, REAL_TIME))
        graph.add(chance.randrange(12), chance.randrange(12), kind, "x")
    ways = {node: reachable(graph, node) for node in range(12)}
    expected = {
        tuple(other for other in range(12) if other in ways[node] and node in ways[other])
        for node in range(12)
        if node in ways[node]
    }
    found = knots(graph)
    assert {tuple(knot) for knot in found} == expected
    for knot in found:
        for cycle in gravest_cycles(graph, knot):
            assert all(edge in graph.edges_within(knot) for edge in cycle)
            assert all(
                edge.second == after.first
                for edge, after in zip(cycle, [*cycle[1:], cycle[0]], strict=True)
            )


def test_the_gravest_cycle_is_told_before_a_shorter_one() -> None:
    graph = made((1, 2, WW), (2, 3, WW), (3, 1, WW), (1, 3, RW))
    (cycle,) = gravest_cycles(graph, knots(graph)[0])
    assert [edge.kind for edge in cycle] == [WW, WW, WW]


def test_a_cycle_without_the_clock_is_told_before_one_with_it() -> None:
    graph = made((1, 2, REAL_TIME), (2, 1, WW), (2, 3, RW), (3, 2, RW))
    (cycle,) = gravest_cycles(graph, knots(graph)[0])
    assert [edge.kind for edge in cycle] == [RW, RW]
