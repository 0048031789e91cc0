"""Whatever is wrong with a row that was deleted softly is found by a deep check."""

from __future__ import annotations

import dataclasses

import pytest

from ormdb.errors import CorruptionError
from ormdb.ir.mutation import Restore
from ormdb.storage.engine import Item, Space
from ormdb.storage.graveyard import spaces_of
from tests.oracle.club import NUMBERED
from tests.oracle.store import Store

SOFT = dataclasses.replace(
    NUMBERED,
    entities=tuple(dataclasses.replace(one, soft_delete=True) for one in NUMBERED.entities),
)


@pytest.fixture
def buried() -> Store:
    """A town and two members that were deleted, one of them twice."""
    store = Store(SOFT)
    store.insert("Town", {"code": "A"}, {"code": "B"})
    store.insert("Member", {"id": 1}, {"id": 2, "email": "x"})
    store.delete("Town", ("A",))
    store.delete("Member", (1,), (2,))
    store.insert("Member", {"id": 2})
    store.delete("Member", (2,))
    return store


def items(store: Store) -> list[tuple[Space, Item]]:
    found: list[tuple[Space, Item]] = []
    for name in ("Town", "Member"):
        spaces = spaces_of(store.entity(name))
        for space in (spaces.rows, spaces.identities):
            found += [(space, item) for item in store.items(space)]
    return found


def put(store: Store, space: Space, old: Item, new: Item | None) -> None:
    with store.writing() as txn:
        if space.duplicate_bytes:
            txn.delete_items(space, [old])
        else:
            txn.delete_many(space, [old[0]])
        if new is not None:
            txn.put_many(space, [new])


def test_what_was_deleted_softly_has_no_problem(buried: Store) -> None:
    assert buried.check().problems == ()
    assert len(items(buried)) == 2 * 4


def test_a_deleted_row_or_an_identity_that_is_gone_is_a_problem(buried: Store) -> None:
    for space, item in items(buried):
        put(buried, space, item, None)
        assert not buried.check().is_clean, (space, item)
        with buried.writing() as txn:
            txn.put_many(space, [item])
    assert buried.check().is_clean


def test_a_deleted_row_of_which_a_bit_has_changed_is_a_problem(buried: Store) -> None:
    for space, item in items(buried):
        for part in range(2):
            for at in range(len(item[part])):
                data = bytearray(item[part])
                data[at] ^= 1 << at % 8
                new = (bytes(data), item[1]) if part == 0 else (item[0], bytes(data))
                put(buried, space, item, new)
                assert not buried.check().is_clean, (space, item, part, at)
                put(buried, space, new, item)


def test_a_damaged_row_is_not_restored(buried: Store) -> None:
    space = spaces_of(buried.entity("Town")).rows
    ((key, data),) = buried.items(space)
    put(buried, space, (key, data), (key, data[:-5] + b"\0" + data[-4:]))
    with pytest.raises(CorruptionError, match="a deleted row of Town is damaged or gone"):
        buried.commit(Restore(entity="Town", identities=(("A",),)))
