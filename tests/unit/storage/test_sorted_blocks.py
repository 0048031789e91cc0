"""Blocks that versions share: what one owner changes, no other version sees."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ormdb.storage.engine import Item
from ormdb.storage.sorted_blocks import BLOCK_ITEMS_MAX, SortedBlocks
from tests.unit.storage.children import key

numbers = st.integers(0, 3_000)


def all_items(blocks: SortedBlocks) -> list[Item]:
    return blocks.forward((0, 0), blocks.end(), None)


def filled(count: int, *, width: int = 0) -> SortedBlocks:
    blocks = SortedBlocks(width, owner=1)
    blocks.append([(key(n), key(n)) for n in range(count)])
    return blocks


def assert_well_formed(blocks: SortedBlocks) -> None:
    items = all_items(blocks)
    assert items == sorted(set(items))
    assert blocks.entries == len(items)
    assert blocks.bytes == sum(len(k) + len(v) for k, v in items)
    for at, block in enumerate(blocks.blocks):
        assert 0 < len(block) <= BLOCK_ITEMS_MAX
        assert blocks.firsts[at] == block[0]


@given(st.lists(st.tuples(st.sampled_from(["put", "delete", "append"]), numbers), max_size=60))
def test_any_sequence_of_changes_leaves_blocks_well_formed(changes: list[tuple[str, int]]) -> None:
    blocks = filled(1_500)
    expected = {key(n): key(n) for n in range(1_500)}
    for what, number in changes:
        if what == "put":
            blocks.put((key(number), b"new"))
            expected[key(number)] = b"new"
        elif what == "append":
            last = blocks.last()
            assert last is not None
            more = [(last[0] + key(n), b"") for n in range(number)]
            blocks.append(more)
            expected.update(more)
        else:
            stop = key(number + 40)
            blocks.delete(blocks.find_key(key(number)), blocks.find_key(stop))
            expected = {k: v for k, v in expected.items() if not key(number) <= k < stop}
            if not expected:
                break
    assert_well_formed(blocks)
    assert all_items(blocks) == sorted(expected.items())


def test_another_owner_changes_its_own_version_only() -> None:
    before = filled(2_000)
    kept = all_items(before)
    after = before.owned_by(2)
    after.put((key(5), b"changed"))
    after.delete(after.find_key(key(600)), after.find_key(key(1_200)))
    after.append([(key(9_000), b"")])
    assert all_items(before) == kept
    assert_well_formed(before)
    assert_well_formed(after)
    assert after.entries == 1_401


def test_a_change_copies_one_block_and_a_second_one_to_it_none() -> None:
    before = filled(20 * BLOCK_ITEMS_MAX)
    after = before.owned_by(2)
    after.put((key(700), b"changed"))
    shared = [a is b for a, b in zip(before.blocks, after.blocks, strict=True)]
    assert shared.count(False) == 1
    own = after.blocks[shared.index(False)]
    after.put((key(701), b"changed"))
    assert after.blocks[shared.index(False)] is own
    assert after.owned_by(2) is after


def test_rising_keys_fill_their_blocks_and_others_leave_room() -> None:
    rising = SortedBlocks(0, owner=1)
    falling = SortedBlocks(0, owner=1)
    for number in range(4 * BLOCK_ITEMS_MAX):
        rising.put((key(number), b""))
        falling.put((key(10_000 - number), b""))
    assert len(rising.blocks) == 4
    assert 4 < len(falling.blocks) <= 8
    assert_well_formed(falling)


def test_counts_span_blocks_without_reading_them() -> None:
    blocks = SortedBlocks(8, owner=1)
    blocks.append([(b"k", key(n)) for n in range(3 * BLOCK_ITEMS_MAX)])
    start, stop = blocks.find_key(b"k"), blocks.find_key(b"k\0")
    assert blocks.count(start, stop) == 3 * BLOCK_ITEMS_MAX
    assert blocks.count(stop, start) == 0
    assert blocks.count(blocks.find((b"k", key(10))), blocks.find((b"k", key(2_000)))) == 1_526
