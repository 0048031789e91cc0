"""Which plans generated queries take, so that a suite can say whether it has seen enough of them.

    Beta    index, 1 fixed, a range, in order; filtered
    .       to_many, order by index; the first few
    ..      to_one; filtered afar

A plan's shape is what is left of its explanation without names.  A generator that takes few shapes
tests the same few lines again and again, however many queries it makes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from ormdb.ir.explanation import AccessPath, Explanation, NodeExplanation


@dataclass(slots=True)
class PlanKinds:
    """The shapes of the plans that were taken, the kinds of their ways to the roots, and how
    children and related rows were found where there was a choice."""

    shapes: Counter[str] = field(default_factory=Counter[str])
    ways: Counter[str] = field(default_factory=Counter[str])
    joins: Counter[str] = field(default_factory=Counter[str])

    def add(self, explanation: Explanation) -> None:
        """Count one more plan."""
        self.shapes["\n".join(_lines(explanation.root))] += 1
        if explanation.root.access is not None:
            self.ways[_way(explanation.root.access)] += 1

    @property
    def guarded_together(self) -> int:
        """How many ways were made of others, of which one holds some rows only, or tokens."""
        return sum(
            count
            for way, count in self.ways.items()
            if way.startswith(("union", "intersection")) and ("partial" in way or "tokens" in way)
        )

    def join(self, other: PlanKinds) -> None:
        """Count what another one has counted."""
        self.shapes.update(other.shapes)
        self.ways.update(other.ways)
        self.joins.update(other.joins)

    def __str__(self) -> str:
        plans = (
            f"{len(self.shapes):,} plan shapes, {len(self.ways)} kinds of ways to the roots,"
            f" {self.guarded_together:,} unions and intersections with a part that only some values"
            " allow"
        )
        if not self.joins:
            return plans
        counts = " and ".join(f"{count:,} by {how}" for how, count in sorted(self.joins.items()))
        return f"{plans}, joins {counts}"


def _lines(node: NodeExplanation) -> Iterator[str]:
    words: list[str] = []
    if node.access is not None:
        words.append(_way(node.access))
    if node.expansion is not None:
        words.append(f"{node.expansion.kind} by {', '.join(s.by for s in node.expansion.steps)}")
    if node.near_filter is not None:
        words.append("filtered")
    if node.far_filter is not None:
        words.append(f"filtered afar over {len(node.far_filter.hops)}")
    if node.order is not None:
        words.append(f"order by {node.order.by}{' backwards' if node.order.reverse else ''}")
    if node.limits.limit is not None:
        words.append("the first few")
    if node.limits.cursor is not None:
        words.append(node.limits.cursor)
    yield f"{'.' * len(node.path)}{'; '.join(words)}"
    for child in node.children:
        yield from _lines(child)


def _way(access: AccessPath) -> str:
    words: list[str] = [access.kind]
    if access.parts:
        words.append(f"[{'; '.join(map(_way, access.parts))}]")
    if access.where is not None:
        words.append("partial")
    if access.condition:
        words.append("where")
    if access.fixed:
        words.append(f"{len(access.fixed)} fixed")
    if access.listed is not None:
        words.append("a list")
    if access.low is not None or access.high is not None:
        words.append("a range" if access.low and access.high else "one end")
    elif access.ranged is not None:
        words.append("a beginning")
    if access.ordered:
        words.append("backwards" if access.reverse else "in order")
    return ", ".join(words)
