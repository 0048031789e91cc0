"""Levels to answers: nested dicts, or blocks.

    level ()            JFK LGA                 dicts  [{"faa": "JFK", "departures": [...]}, ...]
    level (departures)  f1 f2 | f3              blocks EntityBlock x 3, EdgeBlock x 2
    level (plane)       N1 N2, targets 0 1 0

Both forms are built from the bottom up, one generated call per level.  An entity that several
parents share is one dict, shared: treat the dicts as read-only, or copy them.

Invariants (held by tests/unit/query/test_assemble.py):
  1. `dicts` and `blocks` say the same.
  2. Nothing is built that is not asked for, and nothing twice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

from ormdb.errors import QueryError
from ormdb.ir.result import EdgeBlock, EntityBlock, FetchStatistics, GraphBlocks
from ormdb.ir.value import RowDict
from ormdb.query.execute import NodeResult


class GraphAnswer:
    """The answer to one fetch (the protocol is `session.Answer`).

    `costs` are what `FetchStatistics` shows, in its order; it is made when it is asked for.
    """

    __slots__ = ("_blocks", "_costs", "_cursors", "_make_cursors", "_root", "_schema", "_version")

    def __init__(
        self,
        root: NodeResult,
        *,
        version: int,
        schema_version: int,
        costs: tuple[int, int, int, int, int, float],
        cursors: Callable[[], tuple[str | None, str | None]],
    ) -> None:
        self._root = root
        self._version = version
        self._schema = schema_version
        self._costs = costs
        self._make_cursors = cursors
        self._cursors: tuple[str | None, str | None] | None = None
        self._blocks: GraphBlocks | None = None

    @property
    def statistics(self) -> FetchStatistics:
        """What the fetch cost."""
        rows, edges, calls, keys, size, seconds = self._costs
        return FetchStatistics(
            rows=rows,
            edges=edges,
            engine_calls=calls,
            keys_read=keys,
            bytes_read=size,
            seconds=seconds,
        )

    @property
    def next_cursor(self) -> str | None:
        """Where the following page begins; None when this page is the last."""
        return self._both_cursors()[1]

    @property
    def previous_cursor(self) -> str | None:
        """Where the page before ends; None when this page is the first."""
        return self._both_cursors()[0]

    @property
    def blocks(self) -> GraphBlocks:
        """Entity and edge blocks, parents before children."""
        if self._blocks is None:
            entities: list[EntityBlock] = []
            edges: list[EdgeBlock] = []
            _gather_blocks(self._root, entities, edges)
            previous, following = self._both_cursors()
            self._blocks = GraphBlocks(
                entities=tuple(entities),
                edges=tuple(edges),
                version=self._version,
                schema_version=self._schema,
                next_cursor=following,
                previous_cursor=previous,
            )
        return self._blocks

    def cursors_of(self, path: Sequence[str], parent: int) -> tuple[str | None, str | None]:
        """Where the page before a parent's rows of an include ends, and the next one begins.

        Raises:
          QueryError: no include of this path leads to many rows in an order that has places.
        """
        node = self._root
        for name in path:
            below = [child for child in node.children if child.plan.name == name]
            if not below:
                raise QueryError(f"the answer has no include {'.'.join(path)!r}")
            node = below[0]
        if node.cursors is None or node.offsets is None:
            raise QueryError(
                f"the rows of {'.'.join(path)!r} have no pages: it leads to one row at most, or "
                "goes by edges in their own order; give a many-to-many include an order"
            )
        start, stop = node.offsets[parent], node.offsets[parent + 1]
        return node.cursors.around(node.level, node.targets[start:stop])

    def dicts(self) -> list[RowDict]:
        """The graph as nested dicts, built anew for each call."""
        return _dicts(self._root)

    def __len__(self) -> int:
        return len(self._root.level.rows)

    def __repr__(self) -> str:
        plan = self._root.plan
        return f"<GraphAnswer {plan.entity.name}: {len(self)} roots at commit {self._version}>"

    def _both_cursors(self) -> tuple[str | None, str | None]:
        if self._cursors is None:
            self._cursors = self._make_cursors()
        return self._cursors


def _dicts(node: NodeResult) -> list[RowDict]:
    columns = [_linked(child) for child in node.children]
    return node.plan.dicts(node.level.rows, *columns, *node.derived)


def _linked(child: NodeResult) -> list[RowDict | None] | list[list[RowDict]]:
    """What each parent shows for one include."""
    dicts = _dicts(child)
    if child.offsets is None:
        landed: list[RowDict | None] = [*dicts, None]  # position -1 is "none"
        return list(map(landed.__getitem__, child.targets))
    if isinstance(child.targets, range):
        return [dicts[start:stop] for start, stop in pairwise(child.offsets)]
    picked = list(map(dicts.__getitem__, child.targets))
    return [picked[start:stop] for start, stop in pairwise(child.offsets)]


def _gather_blocks(node: NodeResult, entities: list[EntityBlock], edges: list[EdgeBlock]) -> None:
    plan = node.plan
    entities.append(
        EntityBlock(
            entity=plan.entity.name,
            path=plan.path,
            fields=plan.block_fields,
            identity=plan.entity.entity.identity,
            types=plan.block_types,
            columns=(*plan.columns(node.level.rows), *node.derived),
        )
    )
    if plan.path:
        edges.append(
            EdgeBlock(
                path=plan.path,
                relation=plan.relation_name,
                offsets=node.offsets,
                targets=node.targets,
            )
        )
    for child in node.children:
        _gather_blocks(child, entities, edges)
