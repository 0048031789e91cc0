"""The history of one entity: old rows, and the index entries that ended with them.

    history/3         41 ∥ 9 -> begun 4     intact, begin 4 < end 9 <= begin of what follows
    rows/3            41 -> begun 9
    index_history/5   517 -> 9 ∥ 41         leads to the version of row 41 that ended at 9

An old version must have an ended entry in an index unless the version that follows it without a
gap has the same key there: then that one's entry leads to both.  So a few ended entries are more
than needed (a key that changed and changed back in one commit), and none may be less.

Invariants (held by tests/unit/storage/test_check.py and tests/property/test_storage_model.py):
  1. A version of the past that a read as of it could miss or mistake is reported.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ormdb.storage.check_entries import has_entry, keys_of
from ormdb.storage.check_rows import RowTally, check_size, decode_each
from ormdb.storage.engine import Item, ReadTransaction
from ormdb.storage.findings import Findings, number_of, row_place
from ormdb.storage.head import Head
from ormdb.storage.history import SEAL_BYTES, is_intact
from ormdb.storage.layout import ROW_KEY_BYTES, EntityLayout
from ormdb.storage.multimap import Multimap

_VERSION_BYTES = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class _Step:
    """A few versions in order; rows are None where a version is damaged or nothing follows."""

    keys: list[bytes]
    ends: list[int]
    rows: list[Any]
    next_rows: list[Any]


def check_history(
    txn: ReadTransaction, entity: EntityLayout, head: Head, tally: RowTally, findings: Findings
) -> None:
    """Verify every row of the past, and that the entries it needs are there."""
    kept = entity.maintained()
    walked, last = 0, b""
    with findings.section("space", entity.name, entity.history.name):
        for step in _steps(txn, entity, findings):
            walked += len(step.keys)
            last = _check_step(entity, head, step, last, findings)
            intact = [row for row in step.rows if row is not None]
            tally.ended_since += sum(end > head.horizon for end in step.ends)
            tally.begun_since += sum(row.b > head.horizon for row in intact)
            tally.note_numbers(intact)
            for index in kept:
                _check_needed(txn, entity, index, step, findings)
        findings.counts.history_rows += walked
        check_size(txn, entity.name, entity.history, walked, findings)


def decode_ended(entity: EntityLayout, items: Sequence[Item]) -> list[Any]:
    """Each old version decoded, None where it is damaged."""
    good = [
        key if len(key) == ROW_KEY_BYTES + _VERSION_BYTES and is_intact(key, data) else None
        for key, data in items
    ]
    rows = decode_each(
        entity,
        [key[:ROW_KEY_BYTES] for key in good if key is not None],
        [data[:-SEAL_BYTES] for key, (_, data) in zip(good, items, strict=True) if key],
    )
    left = iter(rows)
    return [None if key is None else next(left) for key in good]


def check_index_history(
    txn: ReadTransaction, entity: EntityLayout, index: Multimap, findings: Findings
) -> None:
    """Verify that every ended entry leads to a version with its key, which ended then."""
    space = index.history
    walked = 0
    last: Item = (b"", b"")
    with findings.section("space", entity.name, space.name):
        for batch in txn.scan(space):
            walked += len(batch)
            good: list[Item] = []
            for item in batch:
                if item <= last:
                    _add_entry(entity, index, item, "is out of order", findings)
                else:
                    good.append(item)
                    last = item
            _check_ended(txn, entity, index, good, findings)
        findings.counts.history_entries += walked
        check_size(txn, entity.name, space, walked, findings)


def _steps(txn: ReadTransaction, entity: EntityLayout, findings: Findings) -> Iterator[_Step]:
    """Every version in the history, a batch at a time, with what followed it."""
    held: list[Item] = []
    for batch in txn.scan(entity.history):
        items = [*held, *batch]
        held = [items.pop()]
        if items:
            yield _step(txn, entity, items, held[0], findings)
    if held:
        yield _step(txn, entity, held, None, findings)


def _step(
    txn: ReadTransaction,
    entity: EntityLayout,
    items: list[Item],
    following: Item | None,
    findings: Findings,
) -> _Step:
    keys = [key for key, _ in items]
    row_keys = [key[:ROW_KEY_BYTES].ljust(ROW_KEY_BYTES, b"\0") for key in keys]
    rows = decode_ended(entity, items)
    for key, row in zip(keys, rows, strict=True):
        if row is None:
            _add(entity, key, "fails its checksum, or does not decode", findings)
    later = [*row_keys[1:], following[0][:ROW_KEY_BYTES] if following else b""]
    next_rows = [*rows[1:], None]
    last = [i for i, key in enumerate(row_keys) if later[i] != key]
    if following is not None and later[-1] == row_keys[-1]:
        next_rows[-1] = decode_ended(entity, [following])[0]
    found = txn.get_many(entity.rows, [row_keys[i] for i in last])
    there = [i for i, data in zip(last, found, strict=True) if data is not None]
    present = [data for data in found if data is not None]
    current = dict(
        zip(there, decode_each(entity, [row_keys[i] for i in there], present), strict=True)
    )
    for i in last:
        next_rows[i] = current.get(i)
    ends = [int.from_bytes(key[ROW_KEY_BYTES:], "big") for key in keys]
    return _Step(keys=keys, ends=ends, rows=rows, next_rows=next_rows)


def _check_step(
    entity: EntityLayout, head: Head, step: _Step, last: bytes, findings: Findings
) -> bytes:
    """Verify versions by themselves and against what follows; the last key."""
    for key, end, row, after in zip(step.keys, step.ends, step.rows, step.next_rows, strict=True):
        if len(key) != ROW_KEY_BYTES + _VERSION_BYTES:
            _add(entity, key, f"lies under a key of {len(key)} bytes", findings)
        if key <= last:
            _add(entity, key, "is out of order", findings)
        last = key
        if not head.horizon < end <= head.version:
            kept = f"{head.horizon} to {head.version}"
            _add(entity, key, f"ended at commit {end}, but what is kept is {kept}", findings)
        if row is None:
            continue
        if not 0 < row.b < end:
            _add(entity, key, f"begins at commit {row.b} and ends at {end}", findings)
        if after is not None and after.b < end:
            fact = f"ends at commit {end}, but what follows began at {after.b}"
            _add(entity, key, fact, findings)
        slot = entity.int_identity_slot
        if slot is not None and getattr(row, f"s{slot}") != number_of(key[:ROW_KEY_BYTES]):
            _add(entity, key, f"says that its identity is {getattr(row, f's{slot}')}", findings)
    return last


def _check_needed(
    txn: ReadTransaction, entity: EntityLayout, index: Multimap, step: _Step, findings: Findings
) -> None:
    """See that each version can be found by its key, as of the time when it was current."""
    adjoining = [
        row if row is not None and row.b == end else None
        for row, end in zip(step.next_rows, step.ends, strict=True)
    ]
    next_keys = keys_of(index, adjoining)
    numbered = enumerate(keys_of(index, step.rows))
    for i, key in [(i, key) for i, keys in numbered for key in keys if key not in next_keys[i]]:
        row_key, end = step.keys[i][:ROW_KEY_BYTES], step.keys[i][ROW_KEY_BYTES:]
        if not has_entry(txn, index.history, key, end + row_key):
            findings.add(
                "missing",
                entity.name,
                row_place(index.history.name, row_key),
                f"the version of row {number_of(row_key)} of {entity.name} that ended at commit "
                f"{step.ends[i]} has no ended entry in {index.kind} {index.name}",
            )


def _check_ended(
    txn: ReadTransaction,
    entity: EntityLayout,
    index: Multimap,
    items: Sequence[Item],
    findings: Findings,
) -> None:
    history_keys = [pair[_VERSION_BYTES:] + pair[:_VERSION_BYTES] for _, pair in items]
    found = txn.get_many(entity.history, history_keys)
    there = [i for i, row in enumerate(found) if row is not None]
    for i in set(range(len(items))) - set(there):
        _add_entry(entity, index, items[i], "leads to no old version", findings)
    present = [(history_keys[i], row) for i, row in enumerate(found) if row is not None]
    decoded = decode_ended(entity, present)
    for i, row, asked in zip(there, decoded, keys_of(index, decoded), strict=True):
        if row is not None and items[i][0] not in asked:
            _add_entry(entity, index, items[i], "leads to a version of other values", findings)


def _add_entry(
    entity: EntityLayout, index: Multimap, item: Item, fact: str, findings: Findings
) -> None:
    row_key = item[1][_VERSION_BYTES:]
    end = int.from_bytes(item[1][:_VERSION_BYTES], "big")
    findings.add(
        "history",
        entity.name,
        row_place(index.history.name, row_key),
        f"an entry of {index.kind} {index.name} that ended at commit {end} for row "
        f"{number_of(row_key)} of {entity.name} {fact}",
    )


def _add(entity: EntityLayout, key: bytes, fact: str, findings: Findings) -> None:
    row_key = key[:ROW_KEY_BYTES]
    findings.add(
        "history",
        entity.name,
        row_place(entity.history.name, row_key),
        f"an old version of row {number_of(row_key)} of {entity.name} {fact}",
    )
