"""Decoded rows of a view: those that are kept, and the others read, checked, decoded and kept.

    rows by key        41 42 43     kept 41 43, read 42            in the order asked for
    rows by group      JFK LGA      kept JFK -> [f1 f2], read LGA  parent by parent

With nothing kept, or for a view that must read (the past, a transaction), everything is read.  A
group is kept whole only: what a limit has cut off is not a group.

Invariants (held by tests/property/test_row_cache.py):
  1. The answer does not depend on what is kept.
  2. A row is checked against its key, and against whatever led to it, before it is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from itertools import chain
from operator import attrgetter
from typing import Any, TypeAlias

from ormdb.storage.layout import EntityLayout
from ormdb.storage.records import RowDecoder
from ormdb.storage.views import View

Groups: TypeAlias = tuple[list[Any], list[bytes], list[int]]  # all of them, and how many each has


class Group:
    """Decoded rows that belong to one key, and their row keys.

    `links` are what its rows refer to by a slot, as `follow` fills them in: made of these rows
    alone, they are true as long as the group is.
    """

    __slots__ = ("keys", "links", "rows")

    def __init__(self, rows: list[Any], keys: list[bytes]) -> None:
        self.rows = rows
        self.keys = keys
        self.links: dict[int, list[bytes | None]] = {}


_rows_of = attrgetter("rows")
_keys_of = attrgetter("keys")


def decoded_rows(
    view: View, entity: EntityLayout, keys: Sequence[bytes], decoder: RowDecoder
) -> list[Any]:
    """The row of each key, None where there is none."""
    cache, number, version = view.cache, entity.entity.id, view.version
    shelf = None if cache is None else cache.rows(number, decoder, version)
    if cache is None or shelf is None:
        return _read_rows(view, entity, keys, decoder)
    found = cache.look(number, shelf, keys, version)
    if found is None:
        return _read_rows(view, entity, keys, decoder)
    if all(found):  # a row is never false, and this is quicker than looking for None
        return found
    missing = [key for key, row in zip(keys, found, strict=True) if row is None]
    before = view.counters.bytes
    rows = dict(zip(missing, _read_rows(view, entity, missing, decoder), strict=True))
    things = {key: row for key, row in rows.items() if row is not None}
    cache.leave(number, shelf, things, view.counters.bytes - before, version)
    if len(missing) == len(keys):
        return list(rows.values()) if len(rows) == len(keys) else [rows[key] for key in keys]
    return [rows[key] if row is None else row for key, row in zip(keys, found, strict=True)]


def decoded_row(view: View, entity: EntityLayout, key: bytes, decoder: RowDecoder) -> Any | None:
    """`decoded_rows` of one key."""
    cache, number, version = view.cache, entity.entity.id, view.version
    shelf = None if cache is None else cache.rows(number, decoder, version)
    if cache is not None and shelf is not None:
        kept = shelf.young.get(key)
        if kept is not None and cache.is_true(number, version):
            cache.hits += 1
            return kept
        cache.misses += 1
    data = view.rows(entity, (key,))[0]
    if data is None:
        return None
    row = decoder.decode_one(key, data)
    if cache is not None and shelf is not None:
        cache.leave(number, shelf, {key: row}, len(data), version)
    return row


def decoded_groups(
    view: View,
    entity: EntityLayout,
    kind: Hashable,
    keys: Sequence[Any],
    read: Callable[[Sequence[int]], Groups],
    *,
    limit_each: int,
    limit_all: int,
) -> tuple[Groups, Sequence[Group]]:
    """The rows that belong to each key, key by key; None is a key that nothing belongs to.

    Beside them stand the kept groups of which they are all made, or nothing.

    Args:
      entity: whose rows they are; a group is made of its rows and nothing else.
      kind: what the groups are and how they are decoded and ordered; it begins with a word of
        its own, because keys of different things may be equal.
      read: reads those at some positions of `keys`, in that order, up to both limits.
      limit_each, limit_all: how many are wanted of each key, and of all of them.
    """
    cache, number, version = view.cache, entity.entity.id, view.version
    shelf = None if cache is None else cache.groups(number, kind, version)
    found = None
    if cache is not None and shelf is not None:
        found = cache.look(number, shelf, keys, version)
    if cache is None or shelf is None or found is None:
        return read(range(len(keys))), ()
    groups: list[Group] = found
    if not all(found):
        missing = [at for at, group in enumerate(found) if group is None]
        before = view.counters.bytes
        rows, row_keys, counts = read(missing)
        if len(rows) < limit_all:
            at, whole = 0, dict[Any, Group]()
            for position, count in zip(missing, counts, strict=True):
                groups[position] = group = Group(rows[at : at + count], row_keys[at : at + count])
                at += count
                if count < limit_each:  # with a limit reached, there may be more
                    whole[keys[position]] = group
            cache.leave(number, shelf, whole, view.counters.bytes - before, version)
        if len(missing) == len(keys):
            return (rows, row_keys, counts), ()
        if len(rows) >= limit_all:
            return read(range(len(keys))), ()
    counts = list(map(len, map(_rows_of, groups)))
    if max(counts, default=0) > limit_each:
        groups = [Group(group.rows[:limit_each], group.keys[:limit_each]) for group in groups]
        counts = list(map(len, map(_rows_of, groups)))
    if sum(counts) > limit_all:
        return read(range(len(keys))), ()
    every = chain.from_iterable
    rows, row_keys = list(every(map(_rows_of, groups))), list(every(map(_keys_of, groups)))
    return (rows, row_keys, counts), groups


def kept_groups(view: View, entity: EntityLayout, kind: Hashable, keys: Sequence[Any]) -> int:
    """How many of some keys have a group that is kept."""
    cache = view.cache
    shelf = None if cache is None else cache.groups(entity.entity.id, kind, view.version)
    if shelf is None or shelf.is_empty:
        return 0
    young, old = shelf.young, shelf.old
    return sum(key in young or key in old for key in keys)


def _read_rows(
    view: View, entity: EntityLayout, keys: Sequence[bytes], decoder: RowDecoder
) -> list[Any]:
    found = view.rows(entity, keys)
    if all(found):
        return decoder.decode_batch(keys, found)  # type: ignore[arg-type]  # None was ruled out
    there = [(key, row) for key, row in zip(keys, found, strict=True) if row is not None]
    decoded = iter(decoder.decode_batch([key for key, _ in there], [row for _, row in there]))
    return [None if row is None else next(decoded) for row in found]
