"""The tight loops: keys in, items out, over one LMDB transaction and one database handle.

    values(cursor, keys)       the value of each key, or None
    duplicates(cursor, keys)   the joined duplicates of each key
    items_forward(cursor, …)   items from where the cursor stands, up to a key

Every function gets a cursor made for this call: a cursor that outlives its call can be moved by
later writes.  Which of LMDB's ways is taken depends on numbers that were measured: one buffer for
all keys costs 12 ns a duplicate and 1 µs a key, a walk costs 110 ns and 0.4 µs.

LMDB trusts its pages: one that was put over another one gives its items a second time, and in the
wrong place.  So whatever was read is compared with the order that it must have.

Invariants (held by tests/conformance/test_engine.py and tests/unit/storage/test_lmdb_order.py):
  1. Answers come in the order of the keys asked for, which may repeat.
  2. No function leaves a cursor, a buffer of the map or an iterator behind.
  3. Items that are out of order, given twice or outside of the range raise CorruptionError.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import accumulate, compress, islice
from operator import ge, gt, itemgetter, lt
from typing import Final, NamedTuple, TypeAlias

import lmdb

from ormdb import limits
from ormdb.errors import CorruptionError
from ormdb.pulse import beat, in_steps
from ormdb.storage.batches import ROW_ID_BYTES, first_counts, split_ids
from ormdb.storage.engine import Item

Cursor: TypeAlias = "lmdb.Cursor[bytes]"  # generic for checkers only

_SAMPLE_KEYS: Final = 8  # looked at to guess how many duplicates keys have
_BUFFER_FROM: Final = 3  # duplicates per key from which one buffer for all keys is faster
_STEP: Final = 4  # items read at first when a range has an end
_STEP_GROWTH: Final = 4
_STEP_KEYS: Final = 1_024  # each may have many duplicates
_STEP_MAX: Final = 16_384
_ABSENT_KEY: Final = b"\0" * 512  # longer than any key, so that nothing is found under it
_key_of = itemgetter(0)


def values(cursor: Cursor, keys: Sequence[bytes]) -> list[bytes | None]:
    """The value of each key, or None."""
    if len(keys) <= limits.PULSE_STEP_ITEMS:
        return list(map(cursor.get, keys))
    found: list[bytes | None] = []
    for part in in_steps(keys):
        found += map(cursor.get, part)
    return found


def present_keys(keys: Sequence[bytes]) -> list[bytes]:
    """The keys with those that LMDB refuses to look for replaced by one that is never there."""
    return [key or _ABSENT_KEY for key in keys]


class Bounds(NamedTuple):
    """How wide duplicates are, and how many are wanted: of each key, and of all keys together."""

    width: int
    limit_each: int | None
    limit_all: int | None


def duplicates(cursor: Cursor, keys: Sequence[bytes], bounds: Bounds) -> list[bytes]:
    """The duplicates of each key, joined; once there are too many, those of the first keys."""
    if len(keys) <= _STEP_KEYS:
        return _duplicates(cursor, keys, bounds)
    found: list[bytes] = []
    left = bounds.limit_all
    for part in in_steps(keys, _STEP_KEYS):
        if left == 0:
            found += [b""] * len(part)
            continue
        more = _duplicates(cursor, part, bounds._replace(limit_all=left))
        if left is not None:
            left -= sum(map(len, more)) // bounds.width
        found += more
    return found


def _duplicates(cursor: Cursor, keys: Sequence[bytes], bounds: Bounds) -> list[bytes]:
    join, to_key, walk = b"".join, cursor.set_key, cursor.iternext_dup
    each, most = bounds.limit_each, bounds.limit_all
    if each is not None and (most is None or each * len(keys) <= most):
        return [join(islice(walk(), each)) if to_key(key) else b"" for key in keys]
    counted = None
    if most is not None:
        counted = counts(cursor, keys)
        are_cut = each is not None and max(counted, default=0) > each
        if are_cut or sum(counted) > most:
            wanted = [min(count, each) for count in counted] if each is not None else counted
            return [
                join(islice(walk(), count)) if count and to_key(key) else b""
                for key, count in zip(keys, first_counts(wanted, most), strict=True)
            ]
    if bounds.width == ROW_ID_BYTES and set(map(len, keys)) == {ROW_ID_BYTES}:
        sample = counts(cursor, keys[:: _step(keys)]) if counted is None else counted
        if sum(sample) >= _BUFFER_FROM * len(sample):
            return _buffered(cursor, keys, counted)
    return [join(walk()) if to_key(key) else b"" for key in keys]


def counts(cursor: Cursor, keys: Sequence[bytes]) -> list[int]:
    """How many duplicates each key has."""
    to_key, count = cursor.set_key, cursor.count
    return [count() if to_key(key) else 0 for part in in_steps(keys) for key in part]


def require_rising(found: Sequence[bytes], width: int) -> list[bytes]:
    """All duplicates of all keys, which have to rise under each key.

    Raises:
      CorruptionError: they do not, so that one may be there twice.
    """
    joined = b"".join(found)
    if len(joined) > width * limits.PULSE_STEP_ITEMS:
        beat()
    if width == ROW_ID_BYTES:
        each = split_ids(joined)
    else:
        each = [joined[at : at + width] for at in range(0, len(joined), width)]
    falls = list(compress(range(width, len(joined), width), map(ge, each, islice(each, 1, None))))
    if falls and not set(accumulate(map(len, found))).issuperset(falls):
        raise _disorder("duplicates")
    return each


def require_order(
    items: Sequence[Item],
    bounds: tuple[bytes, bytes | None],
    *,
    width: int,
    reverse: bool,
    after: Item | None = None,
) -> None:
    """See that items lie in their range, in order, each once, and beyond `after`.

    Raises:
      CorruptionError: they do not.
    """
    if not items:
        return
    low, high = bounds
    places: Sequence[Item | bytes] = items if width else list(map(_key_of, items))
    rises = gt if reverse else lt
    least, greatest = (items[-1][0], items[0][0]) if reverse else (items[0][0], items[-1][0])
    is_inside = low <= least and (high is None or greatest < high)
    if not is_inside or not all(map(rises, places, islice(places, 1, None))):
        raise _disorder("items")
    if after is not None and not rises(after if width else after[0], places[0]):
        raise _disorder("items")


def range_items(
    cursor: Cursor, low: bytes, high: bytes | None, *, reverse: bool, count: int | None
) -> list[Item]:
    """At most `count` items with low <= key < high."""
    if reverse:
        return items_backward(cursor, low, count) if seek_last(cursor, high) else []
    return items_forward(cursor, high, count) if cursor.set_range(low) else []


def next_items(
    cursor: Cursor,
    bounds: tuple[bytes, bytes | None],
    after: Item | None,
    count: int,
    *,
    width: int,
    reverse: bool,
) -> list[Item]:
    """The next `count` items of a scan that last gave `after`; `width` is 0 in a map."""
    low, high = bounds
    if after is None or (after[0] < low if not reverse else high is not None and after[0] >= high):
        return range_items(cursor, low, high, reverse=reverse, count=count)
    if reverse:
        if not seek_before(cursor, after, width=width):
            return []
        return items_backward(cursor, low, count)
    if not seek_beyond(cursor, after, width=width):
        return []
    return items_forward(cursor, high, count)


def items_forward(cursor: Cursor, high: bytes | None, count: int | None) -> list[Item]:
    """At most `count` items from the cursor on, with keys below `high`."""
    walk = cursor.iternext()
    if high is None:
        return list(islice(walk, count))
    items: list[Item] = []
    for part in _parts(walk, count):
        if part[-1][0] >= high:
            items += part[: bisect_left(part, high, key=_key_of)]
            break
        items += part
    return items


def items_backward(cursor: Cursor, low: bytes, count: int | None) -> list[Item]:
    """At most `count` items from the cursor back, with keys not below `low`."""
    walk = cursor.iterprev()
    if not low:
        return list(islice(walk, count))
    items: list[Item] = []
    for part in _parts(walk, count):
        if part[-1][0] < low:
            kept = [item for item in part if item[0] >= low]
            items += kept
            break
        items += part
    return items


def seek_last(cursor: Cursor, high: bytes | None) -> bool:
    """Stand on the last item with a key below `high`; False when there is none."""
    if high is None:
        return cursor.last()
    return cursor.prev() if cursor.set_range(high) else cursor.last()


def seek_beyond(cursor: Cursor, after: Item, *, width: int) -> bool:
    """Stand on the first item that comes after `after`; `width` is 0 in a map."""
    key, value = after
    if width and key:
        bound = _bound(value, width)
        if cursor.set_range_dup(key, bound):
            is_past = cursor.value() != bound or len(value) < width
            return is_past or cursor.next()
    if not cursor.set_range(key):
        return False
    if cursor.key() != key:
        return True
    return cursor.next_nodup() if width else cursor.next()


def seek_before(cursor: Cursor, after: Item, *, width: int) -> bool:
    """Stand on the last item that comes before `after`; `width` is 0 in a map."""
    key, value = after
    if width and key:
        bound = _bound(value, width)
        if cursor.set_range_dup(key, bound):
            is_before = cursor.value() == bound and len(value) > width
            return is_before or cursor.prev()
    if not cursor.set_range(key):
        return cursor.last()
    if width and cursor.key() == key:
        return cursor.last_dup()  # all duplicates of the key come before
    return cursor.prev()


def _disorder(what: str) -> CorruptionError:
    return CorruptionError(
        f"{what} lie out of order in a damaged page; run `ormdb check --deep`, restore a backup"
    )


def _bound(value: bytes, width: int) -> bytes:
    """LMDB seeks to values of the right width only."""
    return value[:width].ljust(width, b"\0")


def _parts(walk: Iterator[Item], count: int | None) -> Iterator[list[Item]]:
    """Growing parts, so that a short range reads little beyond its end."""
    left, step = count, _STEP
    while left is None or left > 0:
        part = list(islice(walk, step if left is None else min(step, left)))
        if not part:
            return
        yield part
        if step >= _STEP_MAX:
            beat()
        left = None if left is None else left - len(part)
        step = min(step * _STEP_GROWTH, _STEP_MAX)


def _step(keys: Sequence[bytes]) -> int:
    """The distance of the keys that are looked at to guess how many duplicates keys have."""
    return max(1, len(keys) // _SAMPLE_KEYS)


def _buffered(cursor: Cursor, keys: Sequence[bytes], counted: Sequence[int] | None) -> list[bytes]:
    """All duplicates of all keys in one buffer of (key, duplicate) pairs, then cut by counts."""
    pairs = array("Q")
    pairs.frombytes(cursor.getmulti(keys, dupdata=True, dupfixed_bytes=ROW_ID_BYTES, keyfixed=True))
    joined = pairs[1::2].tobytes()
    found: list[bytes] = []
    start = 0
    for count in counts(cursor, keys) if counted is None else counted:
        stop = start + count * ROW_ID_BYTES
        found.append(joined[start:stop])
        start = stop
    if start != len(joined):
        raise CorruptionError(
            f"{len(joined)} bytes of duplicates where {start} were counted;"
            " run ormdb check, restore a backup"
        )
    return found
