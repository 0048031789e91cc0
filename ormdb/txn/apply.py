"""One mutation after the other, onto the transaction of an open commit.

    Insert   rows built and checked -> identities, uniques, foreign keys probed -> RowWriter
    Update   found by identity -> fields set, computed again -> probes of what moved -> RowWriter
    Delete   found by identity -> nobody may still refer to them -> RowWriter

Everything that can be refused is refused before the first byte of the mutation is written, so a
mutation that raises leaves the commit as it was and the commit can go on.

Invariants (held by tests/property/test_writes_model.py):
  1. A mutation applies as a whole or not at all.
  2. Row numbers and sequence numbers are never given out twice, also not after a rollback that
     another commit followed.
"""

from __future__ import annotations

import struct
from collections.abc import Container, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, assert_never

from ormdb.clock import Clock
from ormdb.errors import CorruptionError, NotFoundError, QueryError
from ormdb.ir.check import checker
from ormdb.ir.columnar import ColumnChunk
from ormdb.ir.mutation import Delete, Insert, Mutation, MutationOutcome, Update
from ormdb.ir.value import RowDict, Value
from ormdb.storage.engine import WriteTransaction
from ormdb.storage.keys import row_key
from ormdb.storage.layout import EntityLayout, IndexLayout, Layout, RelationLayout
from ormdb.storage.records import ROW_NUMBER_BIAS, slot_values, stored_value
from ormdb.storage.versions import RowWriter
from ormdb.txn.constraints import (
    Probes,
    foreign_slots,
    identity_of,
    show_identity,
)
from ormdb.txn.draws import Counters, Player, Recorder, Tape
from ormdb.txn.rows import RowBuilder, WriteMoment


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
        deferred: bool = False,
    ) -> None:
        self.layout = layout
        self.writer = RowWriter(txn, layout, version, deferred=deferred)
        self.counters = counters
        self._txn = txn
        self._clock = clock
        self._probes = Probes(txn, clock)
        if deferred:
            self._probes.unwritten = {
                index.space.name: set()
                for kept in layout.kept.values()
                for index in kept
                if isinstance(index, IndexLayout) and index.unique
            }
        self._moment = WriteMoment(
            version=version, wall_us=wall_us, numbers=counters, random_bytes=clock.random_bytes
        )
        self._builders: dict[str, RowBuilder] = {}
        # Row keys removed under a relation that is checked when the commit ends.
        self._late_checks: list[tuple[RelationLayout, bytes, tuple[Value, ...]]] = []

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
        numbers, live = self.counters.mark(), self._moment
        if tape is not None:
            drawing = (Recorder if record else Player)(self.counters, self._clock, tape)
            self._moment = replace(
                live, wall_us=tape.wall_us, numbers=drawing, random_bytes=drawing.random_bytes
            )
        try:
            match mutation:
                case Insert(entity=name, rows=rows):
                    identities = self.insert(self._entity(name), rows)
                case Update(entity=name, identity=identity, changes=changes):
                    identities = [self.update(self._entity(name), identity, changes)]
                case Delete(entity=name, identities=given):
                    identities = self.delete(self._entity(name), given)
                case _:
                    assert_never(mutation)
        except BaseException:
            self.counters.reset(numbers)
            raise
        finally:
            self._moment = live
        return MutationOutcome(entity=mutation.entity, identities=tuple(identities))

    def insert(self, entity: EntityLayout, dicts: Sequence[RowDict]) -> list[tuple[Value, ...]]:
        """Insert rows; their identities in order."""
        rows = self._builder(entity).build(dicts, self._moment)
        keys = self._insert_built(entity, rows, unresolved=None)
        del keys
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
        builder = self._builder(entity)
        if isinstance(given, ColumnChunk):
            rows = builder.build_columns(given.values, given.count, self._moment)
        else:
            rows = builder.build(given, self._moment)
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
        rows = self._decoded(entity, keys, before)
        self._probes.forget_target(relation)
        self._probes.resolve_targets(relation, rows)
        if relation.mode == "slot":
            self.writer.replace(entity, keys, before, rows)

    def update(
        self, entity: EntityLayout, identity: tuple[Value, ...], changes: RowDict
    ) -> tuple[Value, ...]:
        """Set fields of one row."""
        keys, before = self._find(entity, [identity])
        rows = self._decoded(entity, keys, before)
        old = self._decoded(entity, keys, before)
        self._builder(entity).change(rows, changes, self._moment)
        self._probes.check_rows(entity, rows)
        self._probes.uniques(entity, rows, own=keys)
        for relation in entity.incoming:
            if relation.mode != "value" and _differ(relation.target_slots, old[0], rows[0]):
                self._probes.no_referrers(relation, keys, old)
                self._probes.forget_target(relation)
        for relation in entity.outgoing:
            if relation.mode == "value":
                continue
            moved = _moved_targets(relation, keys[0], old[0], rows[0])
            if moved or _differ(relation.slots, old[0], rows[0]):
                self._probes.resolve_targets(relation, rows, moved=moved)
        self.writer.replace(entity, keys, before, rows)
        return identity_of(entity, rows[0])

    def delete(
        self, entity: EntityLayout, identities: Sequence[tuple[Value, ...]]
    ) -> list[tuple[Value, ...]]:
        """Remove rows by identity."""
        unique = list(dict.fromkeys(identities))
        keys, before = self._find(entity, unique)
        rows = self._decoded(entity, keys, before)
        for relation in entity.incoming:
            self._probes.no_referrers(relation, keys, rows)
        for relation in entity.incoming:
            self._probes.forget_target(relation)
        self.writer.remove(entity, keys, before)
        return [identity_of(entity, row) for row in rows]

    def finish(self) -> None:
        """Write what was held back: deferred entries and counters."""
        self.writer.flush()
        self.counters.write(self._txn)

    def _insert_built(
        self, entity: EntityLayout, rows: list[Any], *, unresolved: dict[str, list[int]] | None
    ) -> list[bytes]:
        probes = self._probes
        probes.check_rows(entity, rows)
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
        probes.uniques(entity, rows)
        for relation in entity.outgoing:
            if relation.mode == "value":
                continue
            late = None if unresolved is None else unresolved.get(relation.name)
            if relation.source is not relation.target:
                probes.resolve_targets(relation, rows, unresolved=late)
                continue
            together = partial(_batch_targets, relation, rows, keys)
            probes.resolve_targets(relation, rows, together=together, unresolved=late)
        self.writer.insert(entity, keys, rows)
        return keys

    def _find(
        self, entity: EntityLayout, identities: Sequence[tuple[Value, ...]]
    ) -> tuple[list[bytes], list[bytes]]:
        """Row keys and rows of identities, all of which must exist."""
        encoded = _encoded_identities(entity, identities)
        index = entity.identity
        keys: list[bytes] = encoded
        if index is not None:
            keys = [joined[:8] for joined in self._txn.many(index.space, encoded)]
        found = self._txn.get_many(entity.rows, keys)
        rows: list[bytes] = []
        for identity, key, row in zip(identities, keys, found, strict=True):
            if row is None and (index is None or not key):
                raise NotFoundError(
                    f"{entity.name} has no row with {', '.join(entity.entity.identity)} = "
                    f"{show_identity(identity)}; nothing was changed",
                    entity=entity.name,
                    identity=identity,
                )
            if row is None:
                raise _misleading(entity)
            rows.append(row)
        if index is not None:
            decoded = entity.codec.whole.decode_batch(keys, rows)
            if index.encode_rows(decoded) != encoded:
                raise _misleading(entity)
        return keys, rows

    def _decoded(
        self, entity: EntityLayout, keys: Sequence[bytes], rows: Sequence[bytes]
    ) -> list[Any]:
        """Rows as `codec.Row`, which is what RowWriter takes, begun by this commit."""
        new_row, version = entity.codec.Row, self.writer.version
        names = [f"s{slot}" for slot in range(entity.codec.slot_count)]
        decoded = entity.codec.whole.decode_batch(keys, rows)
        return [new_row(version, *(getattr(row, name) for name in names)) for row in decoded]

    def _builder(self, entity: EntityLayout) -> RowBuilder:
        builder = self._builders.get(entity.name)
        if builder is None:
            builder = self._builders[entity.name] = RowBuilder(entity, self._clock)
        return builder

    def _entity(self, name: str) -> EntityLayout:
        entity = self.layout.entities.get(name)
        if entity is None:
            raise QueryError(
                f"the schema has no entity {name!r}; it has {', '.join(self.layout.entities)}",
                entity=name,
            )
        return entity


def _encoded_identities(
    entity: EntityLayout, identities: Sequence[tuple[Value, ...]]
) -> list[bytes]:
    """The key of each identity in its index; its row key if it is an int."""
    fields = [entity.fields[name] for name in entity.entity.identity]
    encoded: list[bytes] = []
    for identity in identities:
        if len(identity) != len(fields):
            raise QueryError(
                f"the identity of {entity.name} is ({', '.join(entity.entity.identity)}), "
                f"not {len(identity)} value(s)",
                entity=entity.name,
            )
        values: list[Value] = []
        for field, value in zip(fields, identity, strict=True):
            where = f"{entity.name}.{field.name}"
            values.append(stored_value(field.type, checker(field.type)(value, where)))
        if entity.identity is None:
            encoded.append(row_key(values[0]))
        else:
            encoded.append(entity.identity.encode_values(values))
    return encoded


def _misleading(entity: EntityLayout) -> CorruptionError:
    return CorruptionError(
        f"the identity of a {entity.name} leads to no row, or to one of another identity; "
        "run `ormdb check --deep`, then restore a backup",
        entity=entity.name,
    )


def _differ(slots: Sequence[int], old: Any, new: Any) -> bool:
    return any(getattr(old, f"s{slot}") != getattr(new, f"s{slot}") for slot in slots)


def _moved_targets(
    relation: RelationLayout, key: bytes, old: Any, new: Any
) -> dict[bytes, int | None]:
    """Where the values of one row lead once it is updated, as far as it may refer to itself."""
    lookup = relation.target_lookup
    if relation.source is not relation.target or lookup is None:
        return {}
    if not _differ(relation.target_slots, old, new):
        return {}
    before, after = lookup.encode_rows([old, new])
    moved: dict[bytes, int | None] = {}
    if before is not None:
        moved[before] = None
    if after is not None:
        moved[after] = int.from_bytes(key, "big") - ROW_NUMBER_BIAS
    return moved


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
