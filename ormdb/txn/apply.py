"""One mutation after the other, onto the transaction of an open commit.

    Insert   rows built and checked -> identities, uniques, foreign keys probed -> RowWriter
    Update   rows found -> fields set, computed again -> what moved is judged -> RowWriter
    Delete   rows found -> what refers to them is found level by level -> RowWriter
    Restore  deleted rows found, and those that went with them -> inserted under their row keys

Rows are found by identity, or by a query that is asked once, before anything is
written (`choose`, `change`).

Everything that can be refused is refused before the first byte of the mutation is written, so a
mutation that raises leaves the commit as it was and the commit can go on.

Invariants (held by tests/property/test_writes_model.py):
  1. A mutation applies as a whole or not at all.
  2. Row numbers and sequence numbers are never given out twice, also not after a rollback that
     another commit followed.
"""

from __future__ import annotations

import struct
from collections.abc import Container, Generator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any, assert_never

from ormdb.clock import Clock
from ormdb.ir.columnar import ColumnChunk
from ormdb.ir.mutation import (
    Connect,
    Delete,
    DeleteWhere,
    Effect,
    Insert,
    Mutation,
    MutationOutcome,
    Purge,
    Restore,
    Update,
    UpdateWhere,
    Upsert,
    WriteGraph,
)
from ormdb.ir.value import RowDict, Value
from ormdb.storage.changelog import ChangeSet
from ormdb.storage.engine import WriteTransaction
from ormdb.storage.keys import row_key
from ormdb.storage.layout import EntityLayout, IndexLayout, Layout, RelationLayout
from ormdb.storage.records import ROW_NUMBER_BIAS, slot_values
from ormdb.storage.versions import RowWriter
from ormdb.txn.change import update_rows
from ormdb.txn.choose import rows_to_delete, rows_to_update
from ormdb.txn.constraints import (
    Probes,
    foreign_slots,
    identity_of,
)
from ormdb.txn.deleting import delete_rows
from ormdb.txn.draws import Counters, Player, Recorder, Tape
from ormdb.txn.edges import connect
from ormdb.txn.ground import Ground, Select
from ormdb.txn.nest import write_graph
from ormdb.txn.restoring import purge_rows, restore_rows
from ormdb.txn.rows import RowBuilder, WriteMoment
from ormdb.txn.tools import Tools
from ormdb.txn.upsert import Leaving, upsert_rows


class Applier:
    """Applies mutations to one open commit."""

    def __init__(
        self,
        txn: WriteTransaction,
        layout: Layout,
        *,
        version: int,
        clock: Clock,
        wall_us: int,
        counters: Counters,
        tools: Tools,
        deferred: bool = False,
        select: Select | None = None,
    ) -> None:
        """`select` finds rows by a query, for the statements that mean rows by one."""
        self.layout = layout
        self.writer = RowWriter(txn, layout, version, deferred=deferred)
        self.counters = counters
        self._txn = txn
        self._clock = clock
        self._probes = Probes(txn, tools)
        if deferred:
            self._probes.unwritten = {
                index.space.name: set()
                for kept in layout.kept.values()
                for index in kept
                if isinstance(index, IndexLayout) and (index.unique or index.deferred)
            }
        moment = WriteMoment(
            version=version, wall_us=wall_us, numbers=counters, random_bytes=clock.random_bytes
        )
        self._ground = Ground(self.writer, self._probes, tools, moment, select)
        self._deferred = self._ground.deferred

    def apply(
        self, mutation: Mutation, *, tape: Tape | None = None, record: bool = False
    ) -> MutationOutcome:
        """Apply one mutation.

        Args:
          mutation: what to do.
          tape: what it draws from, as it did when it ran before; or, with `record`, where it is
            noted what it draws.

        Raises:
          QueryError, ConstraintError, ValueTypeError, ValueRangeError, NotFoundError: refused;
            nothing of this mutation was written.
        """
        ground = self._ground
        numbers, live, late = self.counters.mark(), ground.moment, self._deferred.mark()
        if tape is not None:
            drawing = (Recorder if record else Player)(self.counters, self._clock, tape)
            ground.moment = replace(
                live, wall_us=tape.wall_us, numbers=drawing, random_bytes=drawing.random_bytes
            )
        ground.clock.enter(ground.moment)
        try:
            return self._applied(mutation)
        except BaseException:
            self.counters.reset(numbers)
            self._deferred.reset(late)
            raise
        finally:
            ground.moment = live
            ground.clock.leave()

    def _applied(self, mutation: Mutation) -> MutationOutcome:
        if isinstance(mutation, WriteGraph) and not mutation.rows:
            return MutationOutcome(entity="", identities=())
        ground, entity = self._ground, self._entity(mutation.entity)
        effects: Sequence[Effect] = ()
        match mutation:
            case Insert(rows=rows):
                identities = self.insert(entity, rows)
            case Update(changes=changes, expressions=expressions):
                keys = rows_to_update(ground, entity, mutation)
                identities = update_rows(ground, entity, keys, changes, expressions)
            case UpdateWhere(query=query, changes=changes, expressions=expressions):
                keys = ground.select(query)
                identities = update_rows(ground, entity, keys, changes, expressions)
            case Delete(budget=budget):
                keys = rows_to_delete(ground, entity, mutation)
                identities = delete_rows(ground, entity, keys, budget=budget)
            case DeleteWhere(query=query, budget=budget):
                keys = ground.select(query)
                identities = delete_rows(ground, entity, keys, budget=budget)
            case Upsert():
                identities, effects = upsert_rows(ground, entity, mutation, self._create)
            case WriteGraph():
                identities, effects = write_graph(ground, mutation, self._create)
            case Connect():
                return connect(ground, entity, mutation, self._create)
            case Restore(identities=given):
                identities = restore_rows(ground, entity, given, self._insert_under)
            case Purge(before_us=before_us, limit=limit):
                identities = purge_rows(ground, entity, before_us=before_us, limit=limit)
            case _:
                assert_never(mutation)
        return MutationOutcome(
            entity=entity.name, identities=tuple(identities), effects=tuple(effects)
        )

    @property
    def txn(self) -> WriteTransaction:
        """What is read from and written to."""
        return self._txn

    @contextmanager
    def attempt(self) -> Generator[None]:
        """Apply what follows together: an error undoes all of it, and more may be applied after.

        Nests: what is attempted inside an attempt is undone with it.
        """
        outer, changes, numbers = self._txn, self.writer.changes, self.counters.mark()
        late = self._deferred.mark()
        part = outer.nested()
        self._use(part, ChangeSet())
        try:
            yield
            part.commit()
        except BaseException:
            part.abort()
            self.counters.reset(numbers)
            self._deferred.reset(late)
            self._probes.forget()
            self.writer.forget_tails()
            self._use(outer, changes)
            raise
        changes.add(self.writer.changes)
        self._use(outer, changes)

    def _use(self, txn: WriteTransaction, changes: ChangeSet) -> None:
        if self.counters.txn is self._txn:
            self.counters.txn = txn
        self._txn = self.writer.txn = self._probes.txn = txn
        self.writer.changes = changes

    def insert(self, entity: EntityLayout, dicts: Sequence[RowDict]) -> list[tuple[Value, ...]]:
        """Insert rows; their identities in order."""
        return self._create(entity, dicts, None)

    def _create(
        self, entity: EntityLayout, dicts: Sequence[RowDict], leaving: Leaving | None
    ) -> list[tuple[Value, ...]]:
        rows = self._builder(entity).build(dicts, self._ground.moment)
        self._insert_built(entity, rows, unresolved=None, leaving=leaving)
        return [identity_of(entity, row) for row in rows]

    def load(
        self,
        entity: EntityLayout,
        given: Sequence[RowDict] | ColumnChunk,
        *,
        incomplete: Container[str],
    ) -> list[tuple[RelationLayout, bytes]]:
        """Insert rows of a bulk load; the references into `incomplete` entities, of which more
        rows will come, that have no target yet."""
        self._ground.clock.enter(self._ground.moment)
        try:
            return self._load(entity, given, incomplete)
        finally:
            self._ground.clock.leave()

    def _load(
        self,
        entity: EntityLayout,
        given: Sequence[RowDict] | ColumnChunk,
        incomplete: Container[str],
    ) -> list[tuple[RelationLayout, bytes]]:
        builder = self._builder(entity)
        if isinstance(given, ColumnChunk):
            rows = builder.build_columns(given.values, given.count, self._ground.moment)
        else:
            rows = builder.build(given, self._ground.moment)
        unresolved: dict[str, list[int]] = {
            relation.name: [] for relation in entity.outgoing if relation.target.name in incomplete
        }
        keys = self._insert_built(entity, rows, unresolved=unresolved)
        return [
            (self.layout.relations[entity.name, name], keys[position])
            for name, positions in unresolved.items()
            for position in positions
        ]

    def resolve_late(
        self, entity: EntityLayout, relation: RelationLayout, keys: list[bytes]
    ) -> None:
        """Resolve references gathered by `load`, now that every row is there."""
        before = [row for row in self._txn.get_many(entity.rows, keys) if row is not None]
        rows = self._ground.decoded(entity, keys, before)
        self._probes.forget_target(relation)
        self._probes.resolve_targets(relation, rows)
        if relation.mode == "slot":
            self.writer.replace(entity, keys, before, rows)

    def finish(self) -> None:
        """Write what was held back, deferred entries and counters, and check what is late.

        Raises:
          ConstraintError: a reference or a unique value that is checked at the end is wrong.
        """
        self.writer.flush()
        self._deferred.settle()
        self.counters.write(self._txn)

    def _insert_built(
        self,
        entity: EntityLayout,
        rows: list[Any],
        *,
        unresolved: dict[str, list[int]] | None,
        leaving: Leaving | None = None,
    ) -> list[bytes]:
        probes = self._probes
        slot = entity.int_identity_slot
        if slot is not None:
            numbers = [number + ROW_NUMBER_BIAS for number in slot_values(rows, slot)]
            joined = struct.pack(f">{len(numbers)}Q", *numbers)
            keys = [joined[i : i + 8] for i in range(0, len(joined), 8)]
            probes.new_row_keys(entity, rows, keys)
        else:
            probes.new_identities(entity, rows)
            first = self.counters.take(f"row/{entity.entity.id}", len(rows))
            keys = [row_key(first + i) for i in range(len(rows))]
            probes.unused_row_keys(entity, keys)
        self._put_built(entity, rows, keys, unresolved, leaving)
        return keys

    def _insert_under(
        self,
        entity: EntityLayout,
        rows: list[Any],
        keys: Sequence[bytes],
        unresolved: dict[str, list[int]],
    ) -> None:
        """Insert rows under the row keys that they had."""
        if entity.int_identity_slot is not None:
            self._probes.new_row_keys(entity, rows, list(keys))
        else:
            self._probes.new_identities(entity, rows)
        self._put_built(entity, rows, keys, unresolved)

    def _put_built(
        self,
        entity: EntityLayout,
        rows: list[Any],
        keys: Sequence[bytes],
        unresolved: dict[str, list[int]] | None,
        leaving: Leaving | None = None,
    ) -> None:
        probes = self._probes
        probes.check_rows(entity, rows)
        self._deferred.doubt_all(entity, probes.uniques(entity, rows, leaving=leaving))
        for relation in entity.outgoing:
            if relation.mode == "value":
                continue
            together = None
            if relation.source is relation.target:
                together = partial(_batch_targets, relation, rows, keys)
            late = None if unresolved is None else unresolved.get(relation.name)
            if late is None:
                self._deferred.resolve(relation, rows, keys, together=together)
            else:
                probes.resolve_targets(relation, rows, together=together, unresolved=late)
        self.writer.insert(entity, keys, rows)
        self._deferred.arrived(entity, rows)

    def _builder(self, entity: EntityLayout) -> RowBuilder:
        return self._ground.builder(entity)

    def _entity(self, name: str) -> EntityLayout:
        return self._ground.entity(name)


def _batch_targets(
    relation: RelationLayout, rows: Sequence[Any], keys: Sequence[bytes]
) -> dict[bytes, int | None]:
    """The rows of a batch by the key their relation's target lookup gives them."""
    lookup = relation.target_lookup
    numbers = [int.from_bytes(key, "big") - ROW_NUMBER_BIAS for key in keys]
    if lookup is None:
        return dict(zip(keys, numbers, strict=True))
    assert len(foreign_slots(relation)) == len(lookup.slots)
    encoded = lookup.encode_rows(rows)
    return {key: number for key, number in zip(encoded, numbers, strict=True) if key is not None}
