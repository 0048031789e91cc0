"""The current rows of one entity, each verified by itself and against the rows it refers to.

    rows/3   41 -> begun 9, id 41, origin_faa "JFK", hidden origin 7

    seal and layout     the checksum fits key and row, every slot has its type
    identity            int identities: the number in the row is the row's key
    required            no required field is without a value
    found               the row is also found by its key, as a fetch would look for it
    targets             row 7 of Airport is there, and its faa is "JFK"

What the indexes have to hold follows from the rows.  So the walk also tallies what the checks of
entries, history and log compare with.

Invariants (held by tests/unit/storage/test_check.py and tests/crash/test_damage.py):
  1. A row that a read could take for another, or could not find, is reported.
  2. Memory is bounded by a batch, whatever the size of the entity.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ormdb.errors import CorruptionError
from ormdb.ir.schema import SequenceDefault
from ormdb.storage.engine import Item, ReadTransaction, Space
from ormdb.storage.findings import Findings, number_of, row_place
from ormdb.storage.head import Head
from ormdb.storage.keys import row_key
from ormdb.storage.layout import ROW_KEY_BYTES, EntityLayout, RelationLayout
from ormdb.storage.records import is_stored


@dataclass(slots=True)
class RowTally:
    """What the intact versions of one entity's rows ask of the rest of the file."""

    begun_since: int = 0  # versions that began after the horizon
    ended_since: int = 0  # versions that ended after the horizon
    entries: dict[str, int] = field(
        default_factory=dict[str, int]
    )  # by the name of the index space
    sequences: dict[int, int] = field(default_factory=dict[int, int])  # the greatest number by slot

    def note_numbers(self, rows: Sequence[Any]) -> None:
        """Remember the greatest number of every sequence."""
        for slot, greatest in self.sequences.items():
            numbers = (getattr(row, f"s{slot}") for row in rows)
            largest = max((n for n in numbers if n is not None), default=0)
            self.sequences[slot] = max(greatest, largest)


def check_rows(
    txn: ReadTransaction, entity: EntityLayout, head: Head, findings: Findings
) -> RowTally:
    """Verify every current row; what the rows ask of the other spaces."""
    checker = _RowChecker(txn, entity, head, findings)
    with findings.section("space", entity.name, entity.rows.name):
        checker.run()
    return checker.tally


def decode_each(entity: EntityLayout, keys: Sequence[bytes], rows: Sequence[bytes]) -> list[Any]:
    """Each row decoded, None where it is damaged."""
    try:
        return entity.codec.whole.decode_batch(keys, rows)
    except CorruptionError:
        return [_decode_one(entity, key, row) for key, row in zip(keys, rows, strict=True)]


def check_size(
    txn: ReadTransaction, entity: str | None, space: Space, walked: int, findings: Findings
) -> None:
    """See that as many items were met as the engine believes there are."""
    counted = txn.statistics(space).entries
    if counted != walked:
        name = space.name
        sentence = f"{name} is said to hold {counted} items, but {walked} are met in it"
        findings.add("space", entity, name, sentence)


class _RowChecker:
    """Walks the rows of one entity."""

    def __init__(
        self, txn: ReadTransaction, entity: EntityLayout, head: Head, findings: Findings
    ) -> None:
        self._txn = txn
        self._entity = entity
        self._head = head
        self._findings = findings
        self._kept = entity.maintained()
        fields = entity.entity.fields
        self._required = [f for f in fields if is_stored(f) and not f.optional]
        self._enforced = [r for r in entity.outgoing if r.mode != "value"]
        self._last = b""
        self.tally = RowTally(
            entries={index.space.name: 0 for index in self._kept},
            sequences={f.slot: 0 for f in fields if isinstance(f.default, SequenceDefault)},
        )

    def run(self) -> None:
        """Walk all of them."""
        entity = self._entity
        walked = 0
        for batch in self._txn.scan(entity.rows):
            walked += len(batch)
            self._check_batch(batch)
        self._findings.counts.rows += walked
        check_size(self._txn, entity.name, entity.rows, walked, self._findings)

    def _check_batch(self, batch: list[Item]) -> None:
        entity = self._entity
        good = [item for item in batch if self._is_in_order(item[0])]
        keys, data = [key for key, _ in good], [row for _, row in good]
        for key, row, found in zip(keys, data, self._txn.get_many(entity.rows, keys), strict=True):
            if found != row:
                self._add(key, "is met by walking the rows, but not found by its key")
        rows: list[Any] = []
        kept: list[bytes] = []
        for key, row in zip(keys, decode_each(entity, keys, data), strict=True):
            if row is None:
                self._add(key, "fails its checksum, or does not decode")
            elif self._is_sound(key, row):
                rows.append(row)
                kept.append(key)
        self.tally.note_numbers(rows)
        for relation in self._enforced:
            self._check_targets(relation, kept, rows)
        for index in self._kept:
            self.tally.entries[index.space.name] += sum(map(len, index.key_sets(rows)))

    def _is_in_order(self, key: bytes) -> bool:
        if len(key) != ROW_KEY_BYTES:
            self._add(key, f"lies under a key of {len(key)} bytes")
            return False
        if self._last and key <= self._last:
            self._add(key, "is out of order")
            return False
        self._last = key
        return True

    def _is_sound(self, key: bytes, row: Any) -> bool:
        """Verify one row by itself; whether its values can be trusted."""
        entity, head = self._entity, self._head
        for part in self._required:
            if getattr(row, f"s{part.slot}") is None:
                self._add(key, f"has no value in {part.name}, which is required")
                return False
        slot = entity.int_identity_slot
        if slot is not None and getattr(row, f"s{slot}") != number_of(key):
            self._add(key, f"says that its identity is {getattr(row, f's{slot}')}")
            return False
        if not 0 < row.b <= head.version:
            self._add(key, f"was begun by commit {row.b}, but the newest is {head.version}")
        self.tally.begun_since += row.b > head.horizon
        return True

    def _check_targets(
        self, relation: RelationLayout, keys: Sequence[bytes], rows: Sequence[Any]
    ) -> None:
        """See that every foreign key of an enforced relation has its target."""
        slot = relation.relation.slot if relation.mode == "slot" else relation.slots[0]
        names = [f"s{part}" for part in relation.slots]
        numbers: list[int | None] = []
        for key, row in zip(keys, rows, strict=True):
            number = getattr(row, f"s{slot}")
            refers = all(getattr(row, name) is not None for name in names)
            if refers != (number is not None):
                self._add_relation(relation, key, "and its hidden row number contradict each other")
                number = None
            numbers.append(number)
        wanted = sorted({number for number in numbers if number is not None})
        found = self._txn.get_many(relation.target.rows, list(map(row_key, wanted)))
        there = {n: data for n, data in zip(wanted, found, strict=True) if data is not None}
        target = relation.target.name
        for key, number in zip(keys, numbers, strict=True):
            if number is not None and number not in there:
                fact = f"refers to row {number} of {target}, which is not there"
                self._add_relation(relation, key, fact)
        if relation.mode == "slot":
            self._check_target_values(relation, list(zip(keys, rows, numbers, strict=True)), there)

    def _check_target_values(
        self,
        relation: RelationLayout,
        sources: Sequence[tuple[bytes, Any, int | None]],
        there: dict[int, bytes],
    ) -> None:
        """See that the row behind a hidden slot has the values of the foreign key."""
        keys = list(map(row_key, there))
        decoded = decode_each(relation.target, keys, list(there.values()))
        targets = dict(zip(there, decoded, strict=True))
        pairs = list(zip(relation.slots, relation.target_slots, strict=True))
        for key, row, number in sources:
            target = None if number is None else targets.get(number)
            if target is None:
                continue
            if any(getattr(row, f"s{ours}") != getattr(target, f"s{its}") for ours, its in pairs):
                name = relation.target.name
                fact = f"leads to row {number} of {name}, which has other values"
                self._add_relation(relation, key, fact)

    def _add_relation(self, relation: RelationLayout, key: bytes, fact: str) -> None:
        entity = self._entity
        self._findings.add(
            "relation",
            entity.name,
            row_place(entity.rows.name, key),
            f"{relation.name} of row {number_of(key)} of {entity.name} {fact}",
        )

    def _add(self, key: bytes, fact: str) -> None:
        entity = self._entity
        self._findings.add(
            "row",
            entity.name,
            row_place(entity.rows.name, key),
            f"row {number_of(key)} of {entity.name} {fact}",
        )


def _decode_one(entity: EntityLayout, key: bytes, row: bytes) -> Any:
    try:
        return entity.codec.whole.decode_batch([key], [row])[0]
    except CorruptionError:
        return None
