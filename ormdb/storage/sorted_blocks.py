"""Sorted items in blocks that many versions share: what the memory engine keeps a space in.

    firsts   (01, 05)           (09, 02)           (22, 04)      the first item of each block
    blocks   [(01,05) … 400]    [(09,02) … 256]    [(22,04) … 7]
    owners   writer 3           writer 1           writer 3      who may change the block in place

A writer calls `owned_by(itself)` and gets a copy of the three short lists, not of the blocks.  The
first change to a block copies that block, later ones change the copy in place.  A map holds one
item per key, a multimap any number; both are sorted as pairs of bytes.

Invariants (held by tests/unit/storage/test_sorted_blocks.py):
  1. A block is changed by its owner only; everybody else keeps seeing what it was.
  2. No block is empty, and none holds more than BLOCK_ITEMS_MAX items.
  3. `firsts` are the first items of the blocks, in ascending order.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import Final, TypeAlias

from ormdb.storage.engine import Item

BLOCK_ITEMS_MAX: Final = 512
Position: TypeAlias = tuple[int, int]  # a block, and an item in it; one past its end is allowed


class SortedBlocks:
    """The items of one space at one moment.  `duplicate_bytes` is 0 for a map."""

    __slots__ = (
        "__weakref__",
        "_owner",
        "_owners",
        "blocks",
        "bytes",
        "duplicate_bytes",
        "entries",
        "firsts",
    )

    def __init__(self, duplicate_bytes: int, owner: object) -> None:
        self.duplicate_bytes = duplicate_bytes
        self.entries = 0
        self.bytes = 0
        self._owner = owner
        self.firsts: list[Item] = []
        self.blocks: list[list[Item]] = []
        self._owners: list[object] = []

    def __repr__(self) -> str:
        return f"<SortedBlocks entries={self.entries} blocks={len(self.blocks)}>"

    def owned_by(self, owner: object) -> SortedBlocks:
        """These items for a writer to change: itself, or a version that shares every block."""
        if self._owner is owner:
            return self
        version = SortedBlocks(self.duplicate_bytes, owner)
        version.entries, version.bytes = self.entries, self.bytes
        version.firsts = self.firsts.copy()
        version.blocks = self.blocks.copy()
        version._owners = self._owners.copy()
        return version

    # --- positions ------------------------------------------------------------------------

    def find(self, item: Item) -> Position:
        """Where the first item lies that is not smaller."""
        at = bisect_right(self.firsts, item) - 1
        return (0, 0) if at < 0 else (at, bisect_left(self.blocks[at], item))

    def find_key(self, key: bytes) -> Position:
        """Where the first item lies whose key is not smaller."""
        return self.find((key, b""))

    def find_beyond(self, item: Item) -> Position:
        """Where the first item lies that comes after this one; in a map, after its key."""
        key, value = item
        if self.duplicate_bytes:
            return self.find((key, value + b"\0"))
        return self.find_key(key + b"\0")

    def range(
        self, bounds: tuple[bytes, bytes | None], after: Item | None, *, reverse: bool
    ) -> tuple[Position, Position]:
        """From where to where low <= key < high reaches, without everything up to `after`."""
        low, high = bounds
        start = self.find_key(low)
        stop = self.end() if high is None else self.find_key(high)
        if after is None:
            return start, stop
        if not reverse:
            return max(start, self.find_beyond(after)), stop
        before = self.find(after) if self.duplicate_bytes else self.find_key(after[0])
        return start, min(stop, before)

    def end(self) -> Position:
        """One past the last item."""
        return (len(self.blocks), 0)

    def last(self) -> Item | None:
        """The last item of all."""
        return self.blocks[-1][-1] if self.blocks else None

    def at(self, position: Position) -> Item | None:
        """The item at a position, or None at the end."""
        block, index = position
        if block < len(self.blocks) and index == len(self.blocks[block]):
            block, index = block + 1, 0
        return self.blocks[block][index] if block < len(self.blocks) else None

    # --- reading --------------------------------------------------------------------------

    def get(self, key: bytes) -> bytes | None:
        """The value of a key of a map."""
        found = self.at(self.find_key(key))
        return found[1] if found is not None and found[0] == key else None

    def duplicates(self, key: bytes, limit: int | None) -> bytes:
        """The duplicates of a key, joined."""
        start, stop = self.find_key(key), self.find_key(key + b"\0")
        return b"".join([value for _, value in self.forward(start, stop, limit)])

    def count(self, start: Position, stop: Position) -> int:
        """How many items lie from one position to another."""
        (first, low), (last, high) = start, stop
        if (first, low) >= (last, high):
            return 0
        if first == last:
            return high - low
        between = sum(map(len, self.blocks[first + 1 : last]))
        return len(self.blocks[first]) - low + between + high

    def forward(self, start: Position, stop: Position, count: int | None) -> list[Item]:
        """At most `count` items from `start` on, before `stop`."""
        (block, low), (last, high) = start, stop
        items: list[Item] = []
        while (block, low) < (last, high):
            part = self.blocks[block][low : high if block == last else None]
            items += part if count is None else part[: count - len(items)]
            if len(items) == count:
                break
            block, low = block + 1, 0
        return items

    def backward(self, start: Position, stop: Position, count: int | None) -> list[Item]:
        """At most `count` items before `stop`, the last one first, not before `start`."""
        (first, low), (block, high) = start, stop
        items: list[Item] = []
        while (first, low) < (block, high):
            part = self.blocks[block][low if block == first else 0 : high] if high else []
            part.reverse()
            items += part if count is None else part[: count - len(items)]
            if len(items) == count or block == first:
                break
            block, high = block - 1, len(self.blocks[block - 1])
        return items

    # --- writing --------------------------------------------------------------------------

    def put(self, item: Item) -> None:
        """Put an item; in a map it replaces the one of the same key."""
        key, value = item
        position = self.find(item) if self.duplicate_bytes else self.find_key(key)
        present = self.at(position)
        if present is not None and present[0] == key:
            if present == item:
                return
            if not self.duplicate_bytes:
                block, index = self._owned_at(position)
                self.blocks[block][index] = item
                self.firsts[block] = self.blocks[block][0]
                self.bytes += len(value) - len(present[1])
                return
        self._insert(position, item)

    def append(self, items: Sequence[Item]) -> None:
        """Put items that are sorted and beyond the last, filling every block."""
        rest = 0
        if self.blocks and (room := BLOCK_ITEMS_MAX - len(self.blocks[-1])):
            block = self._own(len(self.blocks) - 1)
            block += items[:room]
            rest = min(room, len(items))
        for start in range(rest, len(items), BLOCK_ITEMS_MAX):
            self._add(len(self.blocks), list(items[start : start + BLOCK_ITEMS_MAX]))
        self.entries += len(items)
        self.bytes += sum(len(key) + len(value) for key, value in items)

    def delete(self, start: Position, stop: Position) -> int:
        """Delete the items from one position to another; how many there were."""
        removed = 0
        (first, low), (last, high) = start, stop
        for block in range(min(last, len(self.blocks) - 1), first - 1, -1):
            begin = low if block == first else 0
            finish = high if block == last else len(self.blocks[block])
            if begin >= finish:
                continue
            gone = self.blocks[block][begin:finish]
            removed += len(gone)
            self.bytes -= sum(len(key) + len(value) for key, value in gone)
            if len(gone) == len(self.blocks[block]):
                del self.blocks[block], self.firsts[block], self._owners[block]
            else:
                del self._own(block)[begin:finish]
                self.firsts[block] = self.blocks[block][0]
        self.entries -= removed
        return removed

    def _insert(self, position: Position, item: Item) -> None:
        self.entries += 1
        self.bytes += len(item[0]) + len(item[1])
        if not self.blocks:
            self._add(0, [item])
            return
        at, index = position
        if at == len(self.blocks):
            at, index = at - 1, len(self.blocks[-1])
        block = self._own(at)
        if len(block) == BLOCK_ITEMS_MAX:
            if at == len(self.blocks) - 1 and index == BLOCK_ITEMS_MAX:
                self._add(at + 1, [item])  # rising keys fill their blocks
                return
            half = BLOCK_ITEMS_MAX // 2
            right = block[half:]
            del block[half:]
            self._add(at + 1, right)
            if index > half:
                at, index, block = at + 1, index - half, right
        block.insert(index, item)
        self.firsts[at] = block[0]

    def _add(self, at: int, items: list[Item]) -> None:
        self.blocks.insert(at, items)
        self.firsts.insert(at, items[0])
        self._owners.insert(at, self._owner)

    def _own(self, at: int) -> list[Item]:
        if self._owners[at] is not self._owner:
            self.blocks[at] = self.blocks[at].copy()
            self._owners[at] = self._owner
        return self.blocks[at]

    def _owned_at(self, position: Position) -> Position:
        block, index = position
        if index == len(self.blocks[block]):
            block, index = block + 1, 0
        self._own(block)
        return block, index
