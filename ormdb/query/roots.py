"""The access path of the roots, walked: batches of decoded rows, rechecked against their entries.

    identity   keys from values, one read              index   ranges from values, entries + rows
    relation   the parent's key, entries + rows        tokens  the rows under all of them
    scan       the row space

Invariants (held by tests/property/test_fetch_differential.py and tests/unit/query/test_roots.py):
  1. A row comes at most once.
  2. A row whose values do not give the key of the entry that led to it raises CorruptionError.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias

from ormdb import limits
from ormdb.errors import CorruptionError
from ormdb.ir.patterns import Pattern
from ormdb.ir.value import Value
from ormdb.pulse import in_steps
from ormdb.query.decoded import Groups, decoded_groups, decoded_rows
from ormdb.query.follow import Level
from ormdb.query.order import Place
from ormdb.query.plan import Access, Bound, Decoded, Operand
from ormdb.query.postings import token_rows
from ormdb.query.walk import Walk
from ormdb.storage.batches import split_ids
from ormdb.storage.engine import Item
from ormdb.storage.key_ranges import ABOVE_ALL_KEYS
from ormdb.storage.keys import (
    above,
    at_or_above,
    at_or_below,
    below,
    encode_text_start,
    row_key,
    sorts_exactly,
)
from ormdb.storage.layout import EntityLayout, IndexLayout
from ormdb.storage.views import Span, View

# Finds the keys of the rows of an access that is made of others, each once, in row order.
GatherKeys: TypeAlias = Callable[[Access, EntityLayout], list[bytes]]
Batch: TypeAlias = tuple[Level, Sequence[bytes]]  # rows, and the index key that led to each
Range: TypeAlias = tuple[bytes, bytes | None]


def root_batches(
    root: Decoded,
    access: Access,
    view: View,
    values: Sequence[Value],
    walk: Walk,
    *,
    gather: GatherKeys,
) -> Iterator[Batch]:
    """The rows of the access path; in the query's order, or against it, if the path is ordered.

    `gather` finds the keys of the rows of an access that is made of others.
    """
    match access.kind:
        case "nothing":
            return
        case "union" | "intersection" | "via":
            yield from _by_keys(root, access, view, gather(access, root.entity), walk)
        case "identity":
            yield from _identity(root, access, view, values)
        case "relation":
            yield from _relation(root, access, view, values, walk)
        case "scan":
            for keys, rows in view.scan_rows(root.entity, _scan_span(access, values, walk)):
                yield Level(root.decoder.decode_batch(keys, rows), keys), ()
        case "tokens":
            for level in token_rows(root, access, view, values, walk):
                yield level, ()
        case "index":
            yield from _index(root, access, view, values, walk)


def _identity(
    root: Decoded, access: Access, view: View, values: Sequence[Value]
) -> Iterator[Batch]:
    entity = root.entity
    keys = identity_keys(entity, access, view, values)
    rows = decoded_rows(view, entity, keys, root.decoder)
    if None in rows:
        if entity.identity is not None:
            raise dangling(entity, entity.identity)
        there = [(key, row) for key, row in zip(keys, rows, strict=True) if row is not None]
        keys, rows = [key for key, _ in there], [row for _, row in there]
    yield Level(rows, keys), ()


def identity_keys(
    entity: EntityLayout, access: Access, view: View, values: Sequence[Value]
) -> list[bytes]:
    """The row keys of identities, in row order; those that nobody has are left out, or not."""
    if access.many is not None:
        wanted: list[tuple[Value, ...]] = [(value,) for value in values[access.many]]
    else:
        wanted = [tuple(_operand(operand, values) for operand in access.equal)]
    if any(None in identity for identity in wanted):
        wanted = [identity for identity in wanted if None not in identity]
    if entity.identity is None:
        return sorted(row_key(identity[0]) for identity in wanted)
    encode = entity.identity.encode_values
    encoded = [encode(identity) for part in in_steps(wanted) for identity in part]
    keys = sorted(b[:8] for b in view.lookup(entity.identity, entity, encoded) if b)
    if len(set(keys)) < len(keys):  # of two identities; the filter rechecks all others
        raise _misleading(entity, entity.identity)
    return keys


def _by_keys(
    root: Decoded, access: Access, view: View, keys: list[bytes], walk: Walk
) -> Iterator[Batch]:
    """The rows of some keys, which come in row order: batch by batch, from a place on."""
    reverse = access.reverse != walk.backward
    if reverse:
        keys.reverse()
    start = 0
    if walk.place is not None and access.ordered:
        place = walk.place.row_key
        start = sum(key >= place if reverse else key <= place for key in keys)
    size = walk.batch or limits.KEYS_ROUND_ROWS
    while start < len(keys):
        part = keys[start : start + size]
        rows = decoded_rows(view, root.entity, part, root.decoder)
        if None in rows:
            there = [(key, row) for key, row in zip(part, rows, strict=True) if row is not None]
            part, rows = [key for key, _ in there], [row for _, row in there]
        yield Level(rows, part), ()
        start += size
        size = limits.KEYS_ROUND_ROWS


def relation_key(
    entity: EntityLayout, access: Access, view: View, values: Sequence[Value]
) -> bytes | None:
    """The key of one parent in a relation's space; None if there is no such parent."""
    relation = access.relation
    assert relation is not None
    assert relation.index is not None
    given = [_operand(operand, values) for operand in access.equal]
    lookup = relation.target_lookup
    if relation.mode == "value" or lookup is None:
        return relation.index.encode_values(given)
    by_slot = dict(zip(relation.slots, given, strict=True))
    source_of = dict(zip(relation.target_slots, relation.slots, strict=True))
    target = lookup.encode_values([by_slot[source_of[slot]] for slot in lookup.slots])
    return view.lookup(lookup, relation.target, [target])[0][:8] or None


def _relation(
    root: Decoded, access: Access, view: View, values: Sequence[Value], walk: Walk
) -> Iterator[Batch]:
    relation, entity = access.relation, root.entity
    assert relation is not None
    assert relation.index is not None
    key = relation_key(entity, access, view, values)
    if key is None:
        return
    span = Span(
        low=key,
        high=key + b"\0",
        reverse=access.reverse != walk.backward,
        after=None if walk.place is None or not access.ordered else (key, walk.place.row_key),
        batch=walk.batch,
    )
    for items, rows in view.scan_index(relation.index, entity, span):
        keys = [row_key_ for _, row_key_ in items]
        # The filter, which asks for the same values, rechecks the entries.
        yield Level(root.decoder.decode_batch(keys, rows), keys), ()


def _index(
    root: Decoded, access: Access, view: View, values: Sequence[Value], walk: Walk
) -> Iterator[Batch]:
    entity = root.entity
    index = access.index
    assert index is not None
    if index.unique and len(access.equal) == len(index.columns) and walk.place is None:
        whole = [_operand(operand, values) for operand in access.equal]
        if None not in whole:  # of which there may be many
            key = index.encode_values(whole)
            level = only_row(root, index, view, key)
            yield level, [key] * len(level.rows)
            return
    ranges = index_ranges(access, index, values)
    if access.many is not None and walk.is_stream:
        for low, high in ranges:
            yield from _walked(root, index, view, Span(low=low, high=high))
        return
    if access.many is not None:
        found, rows = view.scan_index_each(index, entity, ranges)
        items = [item for part in found for item in part]
        yield _checked(root, index, items, rows)
        return
    low, high = ranges[0]
    reverse = access.reverse != walk.backward
    after: Item | None = None
    if walk.place is not None and access.ordered:
        after, low, high = _resumed(access, index, values, walk.place, (low, high, reverse))
    span = Span(low=low, high=high, reverse=reverse, after=after, batch=walk.batch)
    yield from _walked(root, index, view, span)


def only_row(root: Decoded, index: IndexLayout, view: View, key: bytes) -> Level:
    """The row under one key of a unique index, if there is one."""
    entity = root.entity

    def read(_: Sequence[int]) -> Groups:
        found, data = view.related(index, entity, [key])
        row_keys = split_ids(found[0])
        rows = root.decoder.decode_batch(row_keys, data)
        recheck_entries(entity, index, rows, [key] * len(rows))
        return rows, row_keys, [len(rows)]

    (rows, row_keys, _), groups = decoded_groups(
        view, entity, ("only", index, root.decoder), [key], read, limit_each=2, limit_all=2
    )
    return Level(rows, row_keys, groups)


def _walked(root: Decoded, index: IndexLayout, view: View, span: Span) -> Iterator[Batch]:
    """The rows of a stretch of an index.  An entry whose row is kept was checked against it."""
    entity, number = root.entity, root.entity.entity.id
    cache, version, kind = view.cache, view.version, ("entries", index, root.decoder)
    shelf = None if cache is None else cache.groups(number, kind, version)
    if cache is None or shelf is None or shelf.is_empty:
        for items, data in view.scan_index(index, entity, span):
            level, keys = _checked(root, index, items, data)
            if cache is not None and shelf is not None:
                things = dict(zip(items, level.rows, strict=True))
                cache.leave(number, shelf, things, sum(map(len, data)), version)
            yield level, keys
        return
    for items in view.scan_entries(index, entity, span):
        rows = cache.look(number, shelf, items, version) or [None] * len(items)
        if None in rows:
            missing = [item for item, row in zip(items, rows, strict=True) if row is None]
            before = view.counters.bytes
            read = decoded_rows(view, entity, [row_key for _, row_key in missing], root.decoder)
            if None in read:
                raise dangling(entity, index)
            recheck_entries(entity, index, read, [key for key, _ in missing])
            things = dict(zip(missing, read, strict=True))
            cache.leave(number, shelf, things, view.counters.bytes - before, version)
            rows = [
                things[item] if row is None else row for item, row in zip(items, rows, strict=True)
            ]
        yield Level(rows, [row_key for _, row_key in items]), [key for key, _ in items]


def _resumed(
    access: Access,
    index: IndexLayout,
    values: Sequence[Value],
    place: Place,
    span: tuple[bytes, bytes | None, bool],
) -> tuple[Item | None, bytes, bytes | None]:
    """Where to go on from a place; a little before it when cut keys may lie beside it."""
    low, high, reverse = span
    fixed = [_operand(operand, values) for operand in access.equal]
    left = len(index.columns) - len(fixed)
    decided = [place.values[at] for at in access.order_keys[:left]]
    whole = index.encode_prefix([*fixed, *decided])
    if sorts_exactly(whole):
        return (whole, place.row_key), low, high
    if reverse:
        end = at_or_below(whole)
        return None, low, end if high is None or (end is not None and end < high) else high
    return None, max(low, at_or_above(whole)), high


def index_key(access: Access, values: Sequence[Value]) -> bytes | None:
    """The only key of an index that an access reads; None if it reads a range, or no index."""
    index = access.index
    if access.kind != "index" or index is None or len(access.equal) < len(index.columns):
        return None
    return index.encode_values([_operand(operand, values) for operand in access.equal])


def index_ranges(access: Access, index: IndexLayout, values: Sequence[Value]) -> list[Range]:
    """The stretches of an index that an access reads."""
    fixed = [_operand(operand, values) for operand in access.equal]
    prefix = index.encode_prefix(fixed)
    if access.many is not None:
        listed = list(values[access.many])
        wholes = sorted(
            index.encode_prefix([*fixed, value]) for part in in_steps(listed) for value in part
        )
        ranges = [
            (at_or_above(whole), at_or_below(whole)) for part in in_steps(wholes) for whole in part
        ]
        return list(dict.fromkeys(ranges))  # over-long values may share one
    if access.prefix is not None:
        column, begin = index.columns[len(fixed)], _operand(access.prefix, values)
        text = begin.prefix if isinstance(begin, Pattern) else begin
        begun = prefix + encode_text_start(column, text)
        return [(at_or_above(begun), at_or_below(begun))]
    if access.low is None and access.high is None and not access.not_null:
        return [(at_or_above(prefix), at_or_below(prefix))]
    column = index.columns[len(fixed)]

    def whole(bound: Bound) -> bytes:
        return index.encode_prefix([*fixed, _operand(bound.value, values)])

    first, last = (access.high, access.low) if column.descending else (access.low, access.high)
    low, high = at_or_above(prefix), at_or_below(prefix)
    if first is not None:
        low = at_or_above(whole(first)) if first.inclusive else above(whole(first))
    elif column.nullable and not column.descending:
        low = above(index.encode_prefix([*fixed, None]))  # NULLs lie first, and meet no bound
    if last is not None:
        high = at_or_below(whole(last)) if last.inclusive else below(whole(last))
    elif column.nullable and column.descending:
        high = below(index.encode_prefix([*fixed, None]))
    return [(low, high)]


def _checked(root: Decoded, index: IndexLayout, items: list[Item], rows: list[bytes]) -> Batch:
    """Decoded rows, each with the values its entry says."""
    row_keys = [row_key_ for _, row_key_ in items]
    decoded = root.decoder.decode_batch(row_keys, rows)
    keys = [key for key, _ in items]
    recheck_entries(root.entity, index, decoded, keys)
    return Level(decoded, row_keys), keys


def recheck_entries(
    entity: EntityLayout, index: IndexLayout, rows: Sequence[Any], keys: Sequence[bytes]
) -> None:
    """See that every row has the values of the entry that led to it."""
    for some_rows, some_keys in zip(in_steps(rows), in_steps(keys), strict=True):
        if index.encode_rows(some_rows) != list(some_keys):
            raise _misleading(entity, index)


def _misleading(entity: EntityLayout, index: IndexLayout) -> CorruptionError:
    """The error of an entry that leads to a row of other values."""
    return CorruptionError(
        f"{index.kind} {index.name} of {entity.name} leads to a row with other values; "
        "run `ormdb check --deep`, then restore a backup",
        entity=entity.name,
        index=index.name,
    )


def _scan_span(access: Access, values: Sequence[Value], walk: Walk) -> Span:
    """The rows to scan, from a place on if the rows come in order."""
    low, high, after = b"", None, None
    if access.low is not None:
        number = _operand(access.low.value, values)
        low = _key_at(number if access.low.inclusive else number + 1) or ABOVE_ALL_KEYS
    if access.high is not None:
        number = _operand(access.high.value, values)
        high = _key_at(number + 1 if access.high.inclusive else number)
    if walk.place is not None and access.ordered:
        after = (walk.place.row_key, b"")
    reverse = access.reverse != walk.backward
    return Span(low=low, high=high, reverse=reverse, after=after, batch=walk.batch)


def _key_at(number: int) -> bytes | None:
    """The row key of an int identity; None for the one number beyond them all."""
    return row_key(number) if number <= limits.INT_MAX else None


def _operand(operand: Operand, values: Sequence[Value]) -> Value:
    return operand.constant if operand.index is None else values[operand.index]


def dangling(entity: EntityLayout, index: IndexLayout) -> CorruptionError:
    """The error of an entry whose row is missing."""
    return CorruptionError(
        f"the {index.name} leads to a row that is not there; run `ormdb check --deep`",
        entity=entity.name,
    )
