"""The entries of one index, identity or relation, compared with the rows they are made of.

    index/5      517 -> 41        row 41 is there, and its values give the key 517
    rows/3       41, 42, 43       of which 3 must have an entry, and 3 sound ones were met

Each sound entry leads to the one row whose key it is, and entries are in strict order; so when as
many were met as there are rows that ask for one, none is missing.  Only when the numbers differ
is every row looked up in the index, to name those without an entry.

Invariants (held by tests/unit/storage/test_check.py and tests/crash/test_damage.py):
  1. An entry that leads astray, a row without its entry, and a value that is not unique although
     it has to be, are reported.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import groupby
from typing import Any, Final, Literal, TypeAlias

from ormdb.storage.check_rows import check_size, decode_each
from ormdb.storage.engine import Item, ReadTransaction, Space
from ormdb.storage.findings import Findings, number_of, row_place
from ormdb.storage.layout import ROW_KEY_BYTES, EntityLayout, IndexLayout
from ormdb.storage.multimap import Multimap

# A key with more duplicates has a tree of its own in an engine of pages, whose inner pages only
# a search for each single duplicate puts to the test.
_SEARCHED_FROM: Final = 128

Run: TypeAlias = tuple[bytes, int]  # a key, and how many entries with it follow each other


def check_entries(
    txn: ReadTransaction, entity: EntityLayout, index: Multimap, asked: int, findings: Findings
) -> None:
    """Verify every entry of the index, and that the `asked` entries of rows are among them."""
    checker = _EntryChecker(txn, entity, index, findings)
    with findings.section("space", entity.name, index.space.name):
        checker.run()
        if checker.sound != asked:
            _name_missing(txn, entity, index, findings)


def has_entry(txn: ReadTransaction, space: Space, key: bytes, duplicate: bytes) -> bool:
    """Whether a multimap has this very item, as a search for it finds out."""
    number = int.from_bytes(duplicate, "big")
    after = None if number == 0 else (key, (number - 1).to_bytes(len(duplicate), "big"))
    found = next(txn.scan(space, key, key + b"\0", after=after, limit=1), None)
    return found is not None and found[0] == (key, duplicate)


def keys_of(index: Multimap, rows: Sequence[Any]) -> list[Collection[bytes]]:
    """The keys that each row asks for; none where there is no row."""
    names = [f"s{slot}" for slot in index.required_slots]  # encoders would stumble over a NULL
    there = [
        row is not None and not any(getattr(row, name) is None for name in names) for row in rows
    ]
    keys = iter(index.key_sets([row for row, ok in zip(rows, there, strict=True) if ok]))
    return [next(keys) if ok else () for ok in there]


class _EntryChecker:
    """Walks the entries of one multimap, with their rows beside them."""

    def __init__(
        self, txn: ReadTransaction, entity: EntityLayout, index: Multimap, findings: Findings
    ) -> None:
        self._txn = txn
        self._entity = entity
        self._index = index
        self._findings = findings
        self._last: Item = (b"", b"")
        self._run: Run | None = None  # the last key that was met, which may go on
        self.sound = 0

    def run(self) -> None:
        """Walk all of them."""
        walked = 0
        space = self._index.space
        for items, rows in self._txn.scan_rows(space, self._entity.rows):
            walked += len(items)
            self._check_batch(items, rows)
            self._note_runs([key for key, _ in items])
        if self._run is not None:
            self._search([self._run])
        self._findings.counts.entries += walked
        check_size(self._txn, self._entity.name, space, walked, self._findings)

    def _check_batch(self, items: list[Item], rows: list[bytes | None]) -> None:
        kept: list[Item] = []
        data: list[bytes] = []
        for item, row in zip(items, rows, strict=True):
            if item <= self._last:
                self._add("entry", item, "is out of order")
                continue
            repeats = item[0] == self._last[0]
            self._last = item
            if row is None:
                self._add("entry", item, "leads to a row that is not there")
                continue
            index = self._index
            if repeats and isinstance(index, IndexLayout) and (index.unique or index.deferred):
                self._check_unique(index, item, row)
            kept.append(item)
            data.append(row)
        decoded = decode_each(self._entity, [row_key for _, row_key in kept], data)
        keys = keys_of(self._index, decoded)
        for item, row, asked in zip(kept, decoded, keys, strict=True):
            if item[0] in asked:
                self.sound += 1
            elif row is not None:  # a damaged row has been reported by itself
                self._add("entry", item, "leads to a row of other values")

    def _check_unique(self, index: IndexLayout, item: Item, data: bytes) -> None:
        row = decode_each(self._entity, [item[1]], [data])[0]
        if row is None or any(getattr(row, f"s{slot}") is None for slot in index.slots):
            return
        self._add("unique", item, "repeats values that another row has, and must not")

    def _note_runs(self, keys: Sequence[bytes]) -> None:
        """Gather runs of equal keys; those that have ended are searched for."""
        ended: list[Run] = []
        for key, group in groupby(keys):
            count = sum(1 for _ in group)
            if self._run is not None and self._run[0] == key:
                self._run = (key, self._run[1] + count)
                continue
            if self._run is not None:
                ended.append(self._run)
            self._run = (key, count)
        self._search(ended)

    def _search(self, runs: Sequence[Run]) -> None:
        """See that a search for a key finds as many entries as the walk met."""
        counts = self._txn.count_many(self._index.space, [key for key, _ in runs])
        for (key, met), counted in zip(runs, counts, strict=True):
            if counted != met:
                self._add_key(key, f"{met} entries are met by walking, {counted} by their key")
            elif met >= _SEARCHED_FROM:
                lost = self._count_lost(key)
                if lost:
                    self._add_key(key, f"{lost} of {met} entries are not found by a search")

    def _count_lost(self, key: bytes) -> int:
        space = self._index.space
        return sum(
            not has_entry(self._txn, space, key, row_key)
            for batch in self._txn.scan(space, key, key + b"\0")
            for _, row_key in batch
        )

    def _add_key(self, key: bytes, fact: str) -> None:
        index = self._index
        self._findings.add(
            "entry",
            self._entity.name,
            f"{index.space.name} {key.hex()}",
            f"in {index.kind} {index.name} of {self._entity.name}, under key {key.hex()}, {fact}",
        )

    def _add(self, kind: Literal["entry", "unique"], item: Item, fact: str) -> None:
        index, row_key = self._index, item[1]
        self._findings.add(
            kind,
            self._entity.name,
            row_place(index.space.name, row_key),
            f"the entry of {index.kind} {index.name} for row {number_of(row_key)} of "
            f"{self._entity.name} {fact}",
        )


def _name_missing(
    txn: ReadTransaction, entity: EntityLayout, index: Multimap, findings: Findings
) -> None:
    """Look up every row that asks for an entry."""
    for batch in txn.scan(entity.rows):
        row_keys = [row_key for row_key, _ in batch if len(row_key) == ROW_KEY_BYTES]
        data = [row for row_key, row in batch if len(row_key) == ROW_KEY_BYTES]
        keys = keys_of(index, decode_each(entity, row_keys, data))
        asked = [
            (row_key, key) for row_key, each in zip(row_keys, keys, strict=True) for key in each
        ]
        for row_key, key in asked:
            if not has_entry(txn, index.space, key, row_key):
                findings.add(
                    "missing",
                    entity.name,
                    row_place(index.space.name, row_key),
                    f"row {number_of(row_key)} of {entity.name} has no entry in "
                    f"{index.kind} {index.name}",
                )
