"""The answer to a graph fetch, as blocks: entities once, edges as positions.

    query   airport(JFK, LGA) include departures(limit 2) include plane

    EntityBlock ()                    faa   name            2 airports
    EntityBlock (departures)          id    dep_delay       4 flights
    EntityBlock (departures, plane)   tail  seats           3 planes: two flights share one
    EdgeBlock   (departures)          offsets 0 2 4         flights 0,1 of JFK; 2,3 of LGA
                                      targets 0 1 2 3
    EdgeBlock   (departures, plane)   targets 0 1 1 2       one per flight, -1 where NULL

Every block is `Columnar`: Arrow, polars, pandas and numpy read it as columns.

Invariants (held by tests/unit/ir/test_result.py):
  1. Within a block every entity appears once, however many parents reach it.
  2. `targets` are positions in the block of the same path; `offsets` count one more than parents.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, pairwise, repeat

from ormdb.ir.columnar import Columnar, NamedColumn
from ormdb.ir.value import IntType, Type, Value


@dataclass(frozen=True, slots=True, kw_only=True)
class EntityBlock(Columnar):
    """The entities one include node reached, column by column."""

    entity: str
    path: tuple[str, ...]
    fields: tuple[str, ...]
    identity: tuple[str, ...]  # always among `fields`
    types: tuple[Type, ...]
    columns: tuple[Sequence[Value], ...]

    def named_columns(self) -> Sequence[NamedColumn]:
        """Name, type and values of each field."""
        return list(zip(self.fields, self.types, self.columns, strict=True))

    def __len__(self) -> int:
        return len(self.columns[0]) if self.columns else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgeBlock(Columnar):
    """Which entities of the block at `path` belong to which parents of the block above.

    To-many: the targets of parent i are targets[offsets[i]:offsets[i + 1]].
    To-one: `offsets` is None and targets[i] is parent i's target, or -1.
    As columns it is its pairs of positions, `parent` and `target`, those to nowhere left out.
    """

    path: tuple[str, ...]
    relation: str
    offsets: Sequence[int] | None
    targets: Sequence[int]

    def offset_buffer(self) -> memoryview | None:
        """The offsets as one buffer of little-endian int64; None for to-one."""
        from ormdb.ir.columns import number_buffer

        return None if self.offsets is None else number_buffer("q", self.offsets)

    def target_buffer(self) -> memoryview:
        """The targets as one buffer of little-endian int64."""
        from ormdb.ir.columns import number_buffer

        return number_buffer("q", self.targets)

    def named_columns(self) -> Sequence[NamedColumn]:
        """The positions of parents and of their targets, one pair per edge."""
        parents: list[int]
        targets: Sequence[int]
        if self.offsets is None:
            targets = [target for target in self.targets if target >= 0]
            parents = [parent for parent, target in enumerate(self.targets) if target >= 0]
        else:
            targets = self.targets
            counts = [stop - start for start, stop in pairwise(self.offsets)]
            parents = list(chain.from_iterable(map(repeat, range(len(counts)), counts)))
        return [("parent", IntType(), parents), ("target", IntType(), targets)]


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
