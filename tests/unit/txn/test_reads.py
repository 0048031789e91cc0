"""What a transaction reads is remembered before it is answered, and holds when it commits."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest

from ormdb.errors import ConflictError
from ormdb.ir.mutation import Insert
from ormdb.storage.head import read_head, write_head
from ormdb.storage.layout import IndexLayout
from ormdb.storage.views import CurrentView, Span
from ormdb.txn.reads import EntityReads, ReadSet, RecordingView
from ormdb.txn.request import CommitRequest, Statement
from tests.oracle.store import Store


@pytest.fixture
def members(store: Store) -> Store:
    store.insert("Town", {"code": "A", "zone": "n", "lot": 1})
    store.insert("Member", {"points": 5, "town_code": "A"}, {"points": 6, "mentor_id": 1})
    return store


def by_points(store: Store) -> IndexLayout:
    return next(i for i in store.entity("Member").indexes if i.name == "by_points")


def reads_of(store: Store, read: Callable[[RecordingView], object]) -> ReadSet:
    """The read set after reading through a recording view."""
    reads = ReadSet()
    with store.reading() as txn:
        read(RecordingView(CurrentView(txn, store.head.version), reads))
    return reads


def row_keys(store: Store) -> list[bytes]:
    return [key for key, _ in store.items(store.entity("Member").rows)]


def test_rows_are_noted_whether_they_are_there_or_not(members: Store) -> None:
    member = members.entity("Member")
    keys = [*row_keys(members), bytes(8)]
    reads = reads_of(members, lambda view: view.rows(member, keys))
    assert reads.entities == {member.entity.id: EntityReads(rows={None: set(keys)})}


def test_keys_looked_up_are_noted_with_the_entity_they_lead_to(members: Store) -> None:
    member, index = members.entity("Member"), by_points(members)
    key = index.encode_values([77])
    looked_up = reads_of(members, lambda view: view.lookup(index, member, [key]))
    related = reads_of(members, lambda view: view.related(index, member, [key]))
    for reads in (looked_up, related):
        assert reads.entities == {member.entity.id: EntityReads(keys={(index, None): {key}})}


def test_a_walk_that_was_ended_covers_what_came(members: Store) -> None:
    member, index = members.entity("Member"), by_points(members)
    low, five, six = (index.encode_values([number]) for number in (1, 5, 6))
    first, second = row_keys(members)
    reads = ReadSet()
    with members.reading() as txn:
        view = RecordingView(CurrentView(txn, members.head.version), reads)
        next(view.scan_index(index, member, Span(low=low, batch=1)))
        next(view.scan_index(index, member, Span(low=low, batch=1, reverse=True)))
        list(view.scan_index(index, member, Span(low=low)))
        view.scan_index_each(index, member, [(low, None)], limit_each=1)
    forwards, backwards, whole, each = reads.entities[member.entity.id].stretches
    assert [s.covers(five, first) for s in (forwards, backwards, whole, each)] == [
        True,
        False,
        True,
        True,
    ]
    assert [s.covers(six, second) for s in (forwards, backwards, whole, each)] == [
        False,
        True,
        True,
        False,
    ]
    assert not any(s.covers(index.encode_values([0]), first) for s in (forwards, whole))


def test_a_walk_of_rows_covers_them_by_their_keys(members: Store) -> None:
    member = members.entity("Member")
    first, second = row_keys(members)
    reads = reads_of(members, lambda view: next(view.scan_rows(member, Span(batch=1))))
    (stretch,) = reads.entities[member.entity.id].stretches
    assert stretch.covers(first, first)
    assert not stretch.covers(second, second)


def test_a_count_of_all_rows_depends_on_their_number(members: Store) -> None:
    member = members.entity("Member")
    reads = reads_of(members, lambda view: view.row_count(member))
    assert reads.entities == {member.entity.id: EntityReads(count=2)}


def test_a_recording_view_answers_as_the_view_below(members: Store) -> None:
    member, index = members.entity("Member"), by_points(members)
    keys = row_keys(members)
    with members.reading() as txn:
        plain = CurrentView(txn, members.head.version)
        view = RecordingView(CurrentView(txn, members.head.version), ReadSet())
        assert view.rows(member, keys) == plain.rows(member, keys)
        assert view.row_count(member) == plain.row_count(member) == 2
        assert list(view.scan_rows(member, Span())) == list(plain.scan_rows(member, Span()))
        asked = [index.encode_values([5])]
        assert view.related(index, member, asked) == plain.related(index, member, asked)
        assert view.count_related(index, asked) == plain.count_related(index, asked) == [1]
        assert view.counters.calls == plain.counters.calls


def commit_after_reading(store: Store, reads: ReadSet, read_at: int) -> int:
    request = CommitRequest(
        statements=(Statement(mutations=(Insert(entity="Idol", rows=({"name": "x"},)),)),),
        principal="reader",
        read_at=read_at,
        reads=reads,
    )
    return store.committer.commit(request).version


def test_a_commit_after_an_entity_it_read_changed_conflicts(members: Store) -> None:
    member = members.entity("Member")
    read_at = members.head.version
    reads = reads_of(members, lambda view: view.rows(member, row_keys(members)))
    changed = members.update("Member", 1, points=9)
    with pytest.raises(ConflictError) as caught:
        commit_after_reading(members, reads, read_at)
    error = caught.value
    assert (error.entity, error.read_at, error.version) == ("Member", read_at, changed)
    assert error.retryable
    assert members.head.version == changed


def test_a_row_that_came_into_a_range_conflicts(members: Store) -> None:
    member = members.entity("Member")
    read_at = members.head.version
    reads = reads_of(members, lambda view: list(view.scan_rows(member, Span())))
    members.insert("Member", {"points": 1})
    with pytest.raises(ConflictError):
        commit_after_reading(members, reads, read_at)


def test_a_row_that_changed_elsewhere_does_not_conflict(members: Store) -> None:
    member, index = members.entity("Member"), by_points(members)
    read_at = members.head.version
    five, six = index.encode_values([5]), index.encode_values([6])
    span = Span(low=five, high=six)
    reads = reads_of(members, lambda view: list(view.scan_index(index, member, span)))
    members.update("Member", 2, points=7)  # was 6
    members.insert("Member", {"points": 4})
    commit_after_reading(members, reads, read_at)


def test_a_row_that_left_a_range_conflicts(members: Store) -> None:
    member, index = members.entity("Member"), by_points(members)
    read_at = members.head.version
    span = Span(low=index.encode_values([6]))
    reads = reads_of(members, lambda view: list(view.scan_index(index, member, span)))
    members.update("Member", 2, points=1)
    with pytest.raises(ConflictError) as caught:
        commit_after_reading(members, reads, read_at)
    assert (caught.value.identity, caught.value.through) == ((2,), "index by_points")


def test_a_number_of_rows_that_is_the_same_again_does_not_conflict(members: Store) -> None:
    member = members.entity("Member")
    read_at = members.head.version
    reads = reads_of(members, lambda view: view.row_count(member))
    members.insert("Member", {"points": 1})
    members.delete("Member", (2,))
    members.update("Member", 1, points=9)
    commit_after_reading(members, reads, read_at)
    members.insert("Member", {"points": 1})
    with pytest.raises(ConflictError, match="number of all rows"):
        commit_after_reading(members, reads, read_at)


def test_changes_of_entities_that_were_not_read_do_not_conflict(members: Store) -> None:
    member = members.entity("Member")
    read_at = members.head.version
    reads = reads_of(members, lambda view: view.rows(member, row_keys(members)))
    members.update("Town", "A", size=3)
    assert commit_after_reading(members, reads, read_at) == read_at + 2


def test_a_transaction_that_read_nothing_never_conflicts(members: Store) -> None:
    read_at = members.head.version
    members.update("Member", 1, points=9)
    commit_after_reading(members, ReadSet(), read_at)


def test_a_transaction_older_than_what_is_kept_conflicts(members: Store) -> None:
    member = members.entity("Member")
    read_at = members.head.version
    reads = reads_of(members, lambda view: view.rows(member, row_keys(members)))
    members.update("Town", "A", size=3)
    members.update("Town", "A", size=4)
    with members.writing() as txn:  # as reclaim leaves the head
        head = read_head(txn)
        assert head is not None
        write_head(txn, dataclasses.replace(head, horizon=head.version))
    with pytest.raises(ConflictError, match="no longer known"):
        commit_after_reading(members, reads, read_at)
