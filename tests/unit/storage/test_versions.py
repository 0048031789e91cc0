"""Commits that touch a row more than once leave the past as every reader saw it."""

from __future__ import annotations

from ormdb.ir.mutation import Delete, Insert, Update
from ormdb.storage.versions import RowWriter
from ormdb.storage.views import PastView, Span
from tests.oracle.store import Store


def found_by_points(store: Store, version: int) -> list[tuple[int, int]]:
    """(points, id) of every member as of a version, through the index over points."""
    member = store.entity("Member")
    index = next(i for i in member.indexes if i.name == "by_points")
    found: list[tuple[int, int]] = []
    with store.reading() as txn:
        for items, rows in PastView(txn, version).scan_index(index, member, Span()):
            decoded = member.codec.whole.decode_batch([key for _, key in items], rows)
            found += [(row.s2, row.s0) for row in decoded]
    return found


def test_an_index_key_that_changes_after_the_row_was_changed_is_kept_for_the_past(
    store: Store,
) -> None:
    seen = store.insert("Member", {"points": 5})
    store.commit(
        Update(entity="Member", identity=(1,), changes={"email": "a"}),
        Update(entity="Member", identity=(1,), changes={"points": 9}),
    )
    assert found_by_points(store, seen) == [(5, 1)]
    assert found_by_points(store, seen + 1) == [(9, 1)]
    assert store.check().problems == ()


def test_a_row_changed_and_deleted_by_one_commit_is_still_found_in_the_past(store: Store) -> None:
    seen = store.insert("Member", {"points": 5})
    store.commit(
        Update(entity="Member", identity=(1,), changes={"email": "a"}),
        Delete(entity="Member", identities=((1,),)),
    )
    assert found_by_points(store, seen) == [(5, 1)]
    assert found_by_points(store, seen + 1) == []
    assert store.check().problems == ()


def test_an_identity_deleted_and_inserted_again_by_one_commit_has_one_past(store: Store) -> None:
    seen = store.insert("Member", {"id": 1, "points": 5})
    store.commit(
        Delete(entity="Member", identities=((1,),)),
        Insert(entity="Member", rows=({"id": 1, "points": 6},)),
        Update(entity="Member", identity=(1,), changes={"points": 7}),
    )
    assert found_by_points(store, seen) == [(5, 1)]
    assert found_by_points(store, seen + 1) == [(7, 1)]
    assert store.check().problems == ()


def test_a_key_that_changes_there_and_back_in_one_commit_is_found_once(store: Store) -> None:
    seen = store.insert("Member", {"points": 5})
    store.commit(
        Update(entity="Member", identity=(1,), changes={"points": 6}),
        Update(entity="Member", identity=(1,), changes={"points": 5}),
    )
    assert found_by_points(store, seen) == [(5, 1)]
    assert found_by_points(store, seen + 1) == [(5, 1)]
    assert store.check().problems == ()


def test_a_row_that_lived_within_one_commit_leaves_no_trace(store: Store) -> None:
    before = store.head.version
    after = store.commit(
        Insert(entity="Member", rows=({"id": 7, "points": 5},)),
        Update(entity="Member", identity=(7,), changes={"points": 6}),
        Delete(entity="Member", identities=((7,),)),
    )
    assert after == before
    assert store.items(store.entity("Member").history) == []


def test_entries_of_a_deferred_load_are_there_after_the_flush(store: Store) -> None:
    member = store.entity("Member")
    row = member.codec.Row(2, 1, None, 5, *[None] * (member.codec.slot_count - 3))
    index = next(i for i in member.indexes if i.name == "by_points")
    with store.writing() as txn:
        writer = RowWriter(txn, store.layout, 2, deferred=True)
        writer.insert(member, [b"\x80" + b"\0" * 6 + b"\1"], [row])
        assert not list(txn.scan(index.space))
        writer.flush()
        assert len(next(txn.scan(index.space))) == 1
