"""A random sample of the rows of an entity, with bounded memory.

    30,000 rows or fewer     every one of them
    up to 1,000,000          one pass over the space; the picked rows alone are decoded
    more                     the keys in 30,000 parts, of each the row after a random key

Seeking favours rows behind gaps of the keys.  Row numbers given out in sequence have no gaps but
of deleted rows; a span that is mostly empty is divided again where rows are.

Invariants (held by tests/unit/storage/test_analyze.py):
  1. No row is in a sample twice, and a small entity is in it as a whole.
  2. Once `go_on` says no, nothing more is read.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final, TypeAlias

from ormdb import limits
from ormdb.ir.value import BytesType, TextType, Type, Value, is_scalar
from ormdb.storage.engine import Item, ReadTransaction, Space
from ormdb.storage.histogram import make_key
from ormdb.storage.layout import EntityLayout
from ormdb.storage.records import slot_values

GoOn: TypeAlias = Callable[[], bool]
_PROBES: Final = 1_024  # parts of a span looked at, to see where rows are
_ROUNDS_MAX: Final = 7  # each divides by a thousand; row keys have 64 bits


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """Rows in no particular order: their keys and, by slot, their values.

    Texts and bytes stand as their keys in a histogram, lists and the like as True: so what a row
    takes is bounded.
    """

    rows: int  # of the entity
    keys: list[bytes] = field(default_factory=list[bytes])
    columns: dict[int, list[Value]] = field(default_factory=dict[int, list[Value]])

    @property
    def is_whole(self) -> bool:
        """Whether no row is missing."""
        return len(self.keys) >= self.rows


def take_sample(
    txn: ReadTransaction,
    entity: EntityLayout,
    kinds: dict[int, Type],
    *,
    wanted: int,
    rng: random.Random,
    go_on: GoOn,
) -> Sample | None:
    """A sample of about `wanted` rows with the slots in `kinds`; None if it was stopped.

    Raises:
      CorruptionError: a row is damaged.
    """
    rows = txn.statistics(entity.rows).entries
    sample = Sample(rows=rows, columns={slot: [] for slot in kinds})
    for keys, decoded in sample_batches(txn, entity, tuple(kinds), wanted=wanted, rng=rng):
        if not go_on():
            return None
        sample.keys.extend(keys)
        for slot, kind in kinds.items():
            sample.columns[slot].extend(_bounded(kind, slot_values(decoded, slot)))
    return sample


def sample_batches(
    txn: ReadTransaction,
    entity: EntityLayout,
    slots: Sequence[int],
    *,
    wanted: int,
    rng: random.Random,
) -> Iterator[tuple[list[bytes], Sequence[Any]]]:
    """The row keys of a sample and, if slots are wanted, the rows; a batch may be empty.

    Raises:
      CorruptionError: a row is damaged.
    """
    decoder = entity.codec.decoder(slots)
    count = txn.statistics(entity.rows).entries
    for items in pick_items(txn, entity.rows, count, wanted=wanted, rng=rng):
        keys = [key for key, _ in items]
        yield keys, decoder.decode_batch(keys, [row for _, row in items]) if slots else ()


def pick_items(
    txn: ReadTransaction, space: Space, count: int, *, wanted: int, rng: random.Random
) -> Iterator[Sequence[Item]]:
    """Batches of random items of a map that has `count`; a batch may be empty."""
    if count <= wanted:
        return txn.scan(space)
    if count <= limits.STATISTICS_PASS_ROWS:
        return _pass(txn, space, count, wanted, rng)
    return _seek(txn, space, wanted, rng)


def _pass(
    txn: ReadTransaction, space: Space, count: int, wanted: int, rng: random.Random
) -> Iterator[Sequence[Item]]:
    picked = sorted(rng.sample(range(count), wanted))
    begin = at = 0
    for items in txn.scan(space, batch=limits.SCAN_BATCH_ROWS):
        end = begin + len(items)
        first = at
        while at < wanted and picked[at] < end:
            at += 1
        yield [items[place - begin] for place in picked[first:at]]
        begin = end


def _seek(
    txn: ReadTransaction, space: Space, wanted: int, rng: random.Random
) -> Iterator[Sequence[Item]]:
    spans = _occupied(txn, space)
    width = sum(high - low for low, high in spans)
    parts = [
        part
        for low, high in spans
        for part in _divide((low, high), max(1, wanted * (high - low) // width))
    ]
    for start in range(0, len(parts), _PROBES):
        ranges = [
            (_key(rng.randrange(low, high)), _key(high))
            for low, high in parts[start : start + _PROBES]
        ]
        yield [item for items in txn.scan_many(space, ranges, limit_each=1) for item in items]


_Span: TypeAlias = tuple[int, int]  # row keys as numbers: low <= key < high


def _occupied(txn: ReadTransaction, space: Space) -> list[_Span]:
    """Spans that hold all items and begin and end with one, without the large gaps."""
    first = next(iter(txn.scan(space, limit=1)))[0][0]
    last = next(iter(txn.scan(space, limit=1, reverse=True)))[0][0]
    spans = [(int.from_bytes(first, "big"), int.from_bytes(last, "big") + 1)]
    for _ in range(_ROUNDS_MAX):
        parts = [part for span in spans for part in _divide(span, max(2, _PROBES // len(spans)))]
        ranges = [(_key(low), _key(high)) for low, high in parts]
        firsts = txn.scan_many(space, ranges, limit_each=1)
        lasts = txn.scan_many(space, ranges, limit_each=1, reverse=True)
        spans = [
            (int.from_bytes(first[0][0], "big"), int.from_bytes(last[0][0], "big") + 1)
            for first, last in zip(firsts, lasts, strict=True)
            if first
        ]
        if len(spans) >= len(parts) // 2:
            break
    return spans


def _divide(span: _Span, count: int) -> list[_Span]:
    low, high = span
    count = min(count, high - low)
    cuts = [low + (high - low) * at // count for at in range(count + 1)]
    return list(pairwise(cuts))


def _key(number: int) -> bytes:
    # One above the last row key has no eight bytes; every key is below nine of them.
    return number.to_bytes(8, "big") if number < 1 << 64 else b"\xff" * 9


def _bounded(kind: Type, values: Sequence[Value]) -> Sequence[Value]:
    """Values as a sample keeps them."""
    if not is_scalar(kind):
        return [None if value is None else True for value in values]
    if not isinstance(kind, TextType | BytesType):
        return values
    return [None if value is None else make_key(kind, value) for value in values]
