"""The answer to a graph fetch, as blocks: entities once, edges as positions.

    query   airport(JFK, LGA) include departures(limit 2) include plane

    EntityBlock ()                    faa   name            2 airports
    EntityBlock (departures)          id    dep_delay       4 flights
    EntityBlock (departures, plane)   tail  seats           3 planes: two flights share one
    EdgeBlock   (departures)          offsets 0 2 4         flights 0,1 of JFK; 2,3 of LGA
                                      targets 0 1 2 3
    EdgeBlock   (departures, plane)   targets 0 1 1 2       one per flight, -1 where NULL

Invariants (held by tests/unit/ir/test_result.py):
  1. Within a block every entity appears once, however many parents reach it.
  2. `targets` are positions in the block of the same path; `offsets` count one more than parents.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ormdb.ir.value import Value


@dataclass(frozen=True, slots=True, kw_only=True)
class EntityBlock:
    """The entities one include node reached, column by column."""

    entity: str
    path: tuple[str, ...]
    fields: tuple[str, ...]
    identity: tuple[str, ...]  # always among `fields`
    columns: tuple[Sequence[Value], ...]

    def __len__(self) -> int:
        return len(self.columns[0]) if self.columns else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgeBlock:
    """Which entities of the block at `path` belong to which parents of the block above.

    To-many: the targets of parent i are targets[offsets[i]:offsets[i + 1]].
    To-one: `offsets` is None and targets[i] is parent i's target, or -1.
    """

    path: tuple[str, ...]
    relation: str
    offsets: Sequence[int] | None
    targets: Sequence[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchStatistics:
    """What one fetch cost.  `engine_calls` equals the hops of its plan, whatever the rows."""

    rows: int
    edges: int
    engine_calls: int
    keys_read: int
    bytes_read: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphBlocks:
    """A whole answer: its blocks (parents before children), page cursors and version token."""

    entities: tuple[EntityBlock, ...]
    edges: tuple[EdgeBlock, ...]
    version: int
    schema_version: int
    next_cursor: str | None = None
    previous_cursor: str | None = None
