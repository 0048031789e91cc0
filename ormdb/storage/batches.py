"""What every engine does alike with batches: their sizes, and what may be put at all.

    scan(limit=150, batch=None)   ->  batches of 64, 86 items
    scan(limit=None, batch=2)     ->  batches of 2, 8, 32, 128, 512, 1024, 1024, … items

A scan begins with a small batch, because many readers need no more, and grows, because those who
need more need much more.

Invariants (held by tests/conformance/test_engine.py):
  1. Sizes never shrink but for the last, and their sum never passes the limit.
  2. An item that may not be put is refused before any item of its chunk is put.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice, pairwise
from operator import itemgetter, lt
from typing import Final

from ormdb import limits
from ormdb.errors import CorruptionError, UsageError
from ormdb.storage.engine import Item, Space

_GROWTH: Final = 4
ROW_ID_BYTES: Final = 8
_SPLIT_IDS: Final = 64  # ids that one call of `unpack` cuts: a fifth of the time of slicing
_SPLITTERS: Final = tuple(struct.Struct("8s" * count) for count in range(_SPLIT_IDS + 1))
_key_of = itemgetter(0)
_value_of = itemgetter(1)


def batch_sizes(batch: int | None, limit: int | None) -> Iterator[int]:
    """How many items to read next; ends when `limit` items have been asked for.

    Raises:
      UsageError: a size is out of range.
    """
    size = limits.SCAN_BATCH_ROWS_FIRST if batch is None else batch
    if size < 1:
        raise UsageError(f"a scan cannot have batches of {size} items; ask for 1 or more")
    check_limit(limit)
    return _growing(size, limit)


def _growing(size: int, limit: int | None) -> Iterator[int]:
    left = limit
    while left is None or left > 0:
        if left is None:
            yield size
        else:
            yield min(size, left)
            left -= size
        size = max(size, min(size * _GROWTH, limits.SCAN_BATCH_ROWS))


def split_ids(joined: bytes) -> list[bytes]:
    """The ids in a run of ids of 8 bytes each."""
    count, rest = divmod(len(joined), ROW_ID_BYTES)
    if rest:
        raise CorruptionError(
            f"duplicates of {len(joined)} bytes are no row keys; run ormdb check, restore a backup"
        )
    if count <= _SPLIT_IDS:
        return list(_SPLITTERS[count].unpack(joined))
    whole = count - count % _SPLIT_IDS
    ids: list[bytes] = []
    for part in _SPLITTERS[_SPLIT_IDS].iter_unpack(joined[: whole * ROW_ID_BYTES]):
        ids += part
    ids += _SPLITTERS[count - whole].unpack(joined[whole * ROW_ID_BYTES :])
    return ids


def cut_ids(found: Sequence[bytes], limit_all: int | None) -> list[bytes]:
    """Joined ids of 8 bytes, without those beyond the first `limit_all` in all."""
    if limit_all is None or 8 * limit_all >= sum(map(len, found)):
        return list(found)
    kept = first_counts([len(ids) // 8 for ids in found], limit_all)
    return [ids[: 8 * count] for ids, count in zip(found, kept, strict=True)]


def first_counts(wanted: Sequence[int], limit_all: int) -> list[int]:
    """As many of each as there is room for in all: [3, 4, 2] of 5 are [3, 2, 0]."""
    kept: list[int] = []
    for count in wanted:
        kept.append(min(count, limit_all))
        limit_all -= kept[-1]
    return kept


def check_limit(limit: int | None) -> None:
    """Raises UsageError for a negative limit."""
    if limit is not None and limit < 0:
        raise UsageError(f"a limit of {limit} items makes no sense; use 0 or more, or None")


def check_multimap(space: Space) -> None:
    """Raises UsageError when the space has no duplicates to read."""
    if not space.duplicate_bytes:
        raise UsageError(f"space {space.name!r} is a map and has no duplicates; use get_many")


def check_map(space: Space) -> None:
    """Raises UsageError when the space has no single value per key."""
    if space.duplicate_bytes:
        raise UsageError(f"space {space.name!r} is a multimap; use many instead of get_many")


def check_row_index(space: Space) -> None:
    """Raises UsageError when the duplicates of a space cannot be row keys."""
    if space.duplicate_bytes != 8:
        raise UsageError(
            f"space {space.name!r} has duplicates of {space.duplicate_bytes} bytes;"
            " rows are read through duplicates of 8 bytes"
        )


def chunks(space: Space, items: Iterable[Item]) -> Iterator[Sequence[Item]]:
    """The items in chunks that may be put.

    The next chunk is drawn from `items` when the one before has been put, so that the items may
    come from reads of the same transaction.

    Raises:
      UsageError: a key or a duplicate has a width that cannot be stored.
    """
    drawn = iter(items)
    while chunk := list(islice(drawn, limits.PUT_CHUNK_ITEMS)):
        check_items(space, chunk)
        yield chunk


def check_items(space: Space, items: Sequence[Item]) -> None:
    """Raises UsageError when an item cannot be put into the space."""
    key_widths = set(map(len, map(_key_of, items)))
    if min(key_widths) < 1 or max(key_widths) > limits.KEY_BYTES_MAX:
        wrong = min(key_widths) if min(key_widths) < 1 else max(key_widths)
        raise UsageError(
            f"a key of space {space.name!r} has {wrong} bytes; give it 1 to {limits.KEY_BYTES_MAX}"
        )
    if width := space.duplicate_bytes:
        widths = set(map(len, map(_value_of, items)))
        if widths != {width}:
            wrong = next(each for each in widths if each != width)
            raise UsageError(
                f"a duplicate of space {space.name!r} has {wrong} bytes; all of them have {width}"
            )


def check_appended(space: Space, items: Sequence[Item], last: Item | None) -> None:
    """Raises UsageError when the items are not sorted, or not beyond the last of the space."""
    if space.duplicate_bytes:
        is_sorted = all(map(lt, items, islice(items, 1, None)))
        is_beyond = last is None or last < items[0]
    else:
        is_sorted = all(before[0] < after[0] for before, after in pairwise(items))
        is_beyond = last is None or last[0] < items[0][0]
    if not (is_sorted and is_beyond):
        why = "not beyond its last" if is_sorted else "not sorted"
        raise UsageError(
            f"items appended to space {space.name!r} are {why};"
            " abort, and put them without append or in order"
        )
