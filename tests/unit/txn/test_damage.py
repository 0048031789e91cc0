"""Writes over damage: refused where they would do harm, and only there."""

from __future__ import annotations

import pytest

from ormdb import limits
from ormdb.errors import CorruptionError, NotFoundError
from ormdb.storage.head import COUNTER_PREFIX, write_counters
from ormdb.storage.layout import META
from tests.oracle.store import Store


@pytest.fixture
def idols(store: Store) -> Store:
    store.insert("Idol", {"name": "x", "fans": 1}, {"name": "y", "fans": 2})
    return store


def test_an_identity_that_leads_to_another_row_changes_nothing(idols: Store) -> None:
    idol = idols.entity("Idol")
    assert idol.identity is not None
    (first, to_x), (second, to_y) = idols.items(idol.identity.space)
    with idols.writing() as txn:
        txn.delete_items(idol.identity.space, [(first, to_x), (second, to_y)])
        txn.put_many(idol.identity.space, [(first, to_y)])
    rows = idols.items(idol.rows)
    with pytest.raises(CorruptionError, match="identity of a Idol"):
        idols.update("Idol", "x", fans=9)
    with pytest.raises(CorruptionError):
        idols.delete("Idol", ("x",))
    with pytest.raises(NotFoundError):
        idols.delete("Idol", ("y",))
    assert idols.items(idol.rows) == rows


def test_an_identity_that_leads_to_no_row_is_not_called_missing(idols: Store) -> None:
    idol = idols.entity("Idol")
    with idols.writing() as txn:
        txn.delete_many(idol.rows, [idols.items(idol.rows)[0][0]])
    with pytest.raises(CorruptionError):
        idols.update("Idol", "x", fans=9)


@pytest.mark.parametrize("damage", ["lost", "behind", "flipped"])
def test_a_damaged_counter_overwrites_no_row(idols: Store, damage: str) -> None:
    idol = idols.entity("Idol")
    counter = f"row/{idol.entity.id}"
    key = COUNTER_PREFIX + counter.encode()
    with idols.writing() as txn:
        if damage == "lost":
            txn.delete_many(META, [key])
        elif damage == "behind":
            write_counters(txn, {counter: 1})
        else:
            (data,) = txn.get_many(META, [key])
            assert data is not None
            txn.put_many(META, [(key, bytes((data[0] ^ 1,)) + data[1:])])
    rows = idols.items(idol.rows)
    with pytest.raises(CorruptionError, match="counter"):
        idols.insert("Idol", {"name": "z"})
    assert idols.items(idol.rows) == rows
    assert not idols.check().is_clean


def test_damaged_history_does_not_keep_anybody_from_writing() -> None:
    store = Store(retention_us=0)
    store.insert("Member", {"points": 1})
    store.update("Member", 1, points=2)
    member = store.entity("Member")
    with store.writing() as txn:
        ((key, data),) = store.items(member.history)
        txn.put_many(member.history, [(key, data[:-1] + bytes((data[-1] ^ 1,)))])
    for _ in range(2 * limits.RECLAIM_EVERY_COMMITS):
        store.update("Member", 1, points=3)
    assert store.head.horizon == 1
    assert not store.check().is_clean


def test_commits_reclaim_what_retention_lets_go() -> None:
    store = Store(retention_us=0)
    store.insert("Member", {"points": 1})
    for _ in range(2 * limits.RECLAIM_EVERY_COMMITS):
        store.update("Member", 1, points=3)
    assert store.head.horizon > limits.RECLAIM_EVERY_COMMITS
    assert len(store.items(store.entity("Member").history)) <= limits.RECLAIM_EVERY_COMMITS
    assert store.check().is_clean
