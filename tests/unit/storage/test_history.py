"""An old row is read under the key and the end it was sealed for, and with no bit changed."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ormdb.errors import CorruptionError
from ormdb.storage.history import is_intact, open_ended, seal_ended
from ormdb.storage.views import PastView
from tests.oracle.store import Store

KEYS = st.binary(min_size=16, max_size=16)


@given(st.lists(st.tuples(KEYS, st.binary(max_size=50)), max_size=4))
def test_what_was_sealed_is_opened(entries: list[tuple[bytes, bytes]]) -> None:
    items = seal_ended(entries)
    assert all(is_intact(key, data) for key, data in items)
    assert open_ended("Thing", items) == [row for _, row in entries]


@settings(max_examples=30)
@given(KEYS, st.binary(max_size=30))
def test_every_flipped_bit_of_key_or_row_is_found(key: bytes, row: bytes) -> None:
    ((_, data),) = seal_ended([(key, row)])
    whole = key + data
    for bit in range(8 * len(whole)):
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        item = bytes(damaged[:16]), bytes(damaged[16:])
        assert not is_intact(*item)
        with pytest.raises(CorruptionError, match="Thing"):
            open_ended("Thing", [item])


def test_a_version_moved_to_another_end_is_never_shown(store: Store) -> None:
    """A row of commit 2, changed by 3 and 4, seems to have ended at 9 instead of 3."""
    store.insert("Member", {"points": 1})
    store.update("Member", 1, points=2)
    store.update("Member", 1, points=3)
    member = store.entity("Member")
    key, data = store.items(member.history)[0]
    with store.writing() as txn:
        txn.delete_many(member.history, [key])
        txn.put_many(member.history, [(key[:15] + b"\x09", data)])
    assert not store.check().is_clean
    with store.reading() as txn:
        # As of 2 the version of 3 comes first, which began later; as of 4 nothing is asked of it.
        assert PastView(txn, 2).rows(member, [key[:8]]) == [None]
        assert PastView(txn, 4).rows(member, [key[:8]]) != [None]
    store.delete("Member", (1,))
    with store.reading() as txn, pytest.raises(CorruptionError):
        PastView(txn, 6).rows(member, [key[:8]])  # deleted since 5, but said to end at 9
