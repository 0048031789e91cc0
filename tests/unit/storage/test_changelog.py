"""Every commit has its entry, a row is in it once, and long ones come in chunks."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ormdb.errors import CorruptionError
from ormdb.ir.mutation import Delete, Insert, Update
from ormdb.storage import changelog
from ormdb.storage.changelog import (
    ChangeSet,
    LogEntry,
    Op,
    append_entry,
    log_key,
    read_entries,
    version_at,
)
from ormdb.storage.engine import WriteTransaction
from ormdb.storage.keys import row_key, row_number
from ormdb.storage.layout import CHANGES
from ormdb.storage.memory import MemoryEngine
from tests.oracle.store import PRINCIPAL, Store

Steps = list[tuple[Op, int]]


def append(txn: WriteTransaction, version: int, *, wall_us: int = 0, **ops: Sequence[int]) -> None:
    """An entry that says what happened to rows of entity 3."""
    changes = ChangeSet()
    for name, numbers in ops.items():
        changes.record(3, Op[name.upper()], [row_key(number) for number in numbers])
    append_entry(txn, changes, version=version, wall_us=wall_us, principal="ann")


def begin() -> WriteTransaction:
    return MemoryEngine().begin_write()


def told(entry: LogEntry) -> list[tuple[int, str, list[int]]]:
    return [
        (change.entity_id, change.op.name.lower(), [row_number(key) for key in change.row_keys])
        for change in entry.changes
    ]


# --- what happens to one row within one commit --------------------------------------------------


@pytest.mark.parametrize(
    ("steps", "net"),
    [
        ([Op.INSERT], Op.INSERT),
        ([Op.INSERT, Op.UPDATE], Op.INSERT),
        ([Op.INSERT, Op.DELETE], None),
        ([Op.INSERT, Op.DELETE, Op.INSERT], Op.INSERT),
        ([Op.UPDATE, Op.UPDATE], Op.UPDATE),
        ([Op.UPDATE, Op.DELETE], Op.DELETE),
        ([Op.DELETE], Op.DELETE),
        ([Op.DELETE, Op.INSERT], Op.UPDATE),
        ([Op.DELETE, Op.INSERT, Op.UPDATE], Op.UPDATE),
        ([Op.DELETE, Op.INSERT, Op.DELETE], Op.DELETE),
    ],
)
def test_what_happens_to_a_row_is_netted(steps: list[Op], net: Op | None) -> None:
    changes = ChangeSet()
    changes.record(3, Op.UPDATE, [row_key(99)])  # so that the first insert is not the only entry
    for op in steps:
        changes.record(3, op, [row_key(1)])
    grouped = {op: keys for _, op, keys in changes.grouped()}
    ops = [op for op, keys in grouped.items() if row_key(1) in keys]
    assert ops == ([] if net is None else [net])


def test_changes_that_cancel_out_leave_an_empty_set() -> None:
    changes = ChangeSet()
    changes.record(3, Op.INSERT, [row_key(1), row_key(2)])
    changes.record(3, Op.DELETE, [row_key(2), row_key(1)])
    assert changes.is_empty()
    assert list(changes.grouped()) == []


# --- entries ------------------------------------------------------------------------------------


def test_an_entry_comes_back_with_its_time_its_principal_and_its_rows() -> None:
    txn = begin()
    append(txn, 5, wall_us=77, insert=[4, -2], update=[9], delete=[7, 6])
    (entry,) = read_entries(txn, 5, 5)
    assert (entry.version, entry.wall_us, entry.principal) == (5, 77, "ann")
    assert told(entry) == [(3, "insert", [-2, 4]), (3, "update", [9]), (3, "delete", [6, 7])]


def test_a_commit_that_touched_no_row_has_an_entry() -> None:
    txn = begin()
    append(txn, 1)
    assert [told(entry) for entry in read_entries(txn, 1, 9)] == [[]]


@given(st.sets(st.integers(-5, 40), min_size=1, max_size=40))
def test_a_run_of_inserts_reads_as_the_rows_it_stands_for(numbers: set[int]) -> None:
    txn = begin()
    append(txn, 1, insert=sorted(numbers))
    (entry,) = read_entries(txn, 1, 1)
    ((_, op, found),) = told(entry)
    assert (op, found) == ("insert", sorted(numbers))
    keys = entry.changes[0].row_keys
    assert len(keys) == len(numbers)
    assert keys[1:3] == [row_key(number) for number in sorted(numbers)[1:3]]


def test_a_run_of_inserts_is_kept_as_its_two_ends() -> None:
    txn = begin()
    append(txn, 1, insert=range(1_000_000))
    (item,) = next(txn.scan(CHANGES))
    assert len(item[1]) < 100


def test_a_long_entry_is_kept_in_chunks_and_read_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changelog, "KEYS_PER_CHUNK", 10)
    txn = begin()
    updated, deleted = list(range(0, 70, 2)), list(range(1, 70, 3))
    deleted = [number for number in deleted if number % 2]
    append(txn, 4, update=updated, delete=deleted)
    append(txn, 5, update=[1])
    chunks = [key for batch in txn.scan(CHANGES) for key, _ in batch]
    assert chunks[:2] == [log_key(4, 0), log_key(4, 1)]
    assert len(chunks) > 4
    first, second = read_entries(txn, 4, 5)
    by_op: dict[str, list[int]] = {}
    for _, op, numbers in told(first):
        by_op.setdefault(op, []).extend(numbers)
    assert by_op == {"update": updated, "delete": deleted}
    assert told(second) == [(3, "update", [1])]


def test_entries_come_in_order_and_no_more_than_asked_for() -> None:
    txn = begin()
    for version in range(1, 8):
        append(txn, version, update=[version])
    assert [entry.version for entry in read_entries(txn, 3, 6)] == [3, 4, 5, 6]
    assert [entry.version for entry in read_entries(txn, 1, 7, limit=2)] == [1, 2]


def test_every_commit_has_an_entry_and_rolled_back_ones_have_none(store: Store) -> None:
    store.insert("Member", {}, {})
    store.update("Member", 1, points=3)
    with pytest.raises(Exception, match="few_points"):
        store.insert("Member", {"points": 5_000})
    store.commit(
        Delete(entity="Member", identities=((2,),)),
        Insert(entity="Member", rows=({"id": 2},)),
        Update(entity="Member", identity=(1,), changes={"points": 4}),
        Insert(entity="Idol", rows=({"name": "x"},)),
    )
    with store.reading() as txn:
        entries = list(read_entries(txn, 1, 99))
    member, idol = store.entity("Member").entity.id, store.entity("Idol").entity.id
    assert [entry.version for entry in entries] == [1, 2, 3, 4]
    assert {entry.principal for entry in entries} == {PRINCIPAL}
    assert told(entries[1]) == [(member, "insert", [1, 2])]
    assert told(entries[2]) == [(member, "update", [1])]
    assert sorted(told(entries[3])) == sorted([(member, "update", [1, 2]), (idol, "insert", [1])])


# --- time ---------------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 5), min_size=1, max_size=9), st.integers(-2, 30))
def test_the_version_at_a_moment_is_the_newest_made_by_then(steps: list[int], at_us: int) -> None:
    txn = begin()
    times: list[int] = []
    for version, step in enumerate(steps, 1):
        times.append((times[-1] if times else 0) + step)
        append(txn, version, wall_us=times[-1])
    made = [version for version, wall_us in enumerate(times, 1) if wall_us <= at_us]
    assert version_at(txn, at_us, first=1, last=len(times)) == max(made, default=None)


def test_a_missing_entry_is_damage_to_whoever_asks_for_a_moment() -> None:
    txn = begin()
    append(txn, 1)
    append(txn, 3)
    with pytest.raises(CorruptionError, match="commit 2"):
        version_at(txn, 0, first=1, last=3)


# --- damage -------------------------------------------------------------------------------------


def test_every_flipped_bit_of_an_entry_is_found() -> None:
    txn = begin()
    append(txn, 1, update=[1, 2])
    ((key, data),) = next(txn.scan(CHANGES))
    for bit in range(8 * len(data)):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        txn.put_many(CHANGES, [(key, bytes(damaged))])
        with pytest.raises(CorruptionError):
            list(read_entries(txn, 1, 1))
