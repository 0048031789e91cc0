"""The rows under all tokens of a search: posting lists, the shortest one walked.

    storm    41, 57, 60, 99, …     2,000 rows     held in memory
    jet      57, 98                    2 rows     walked with its rows: 57 is in both
    flight   1, 2, 3, …          300,000 rows     left out: asking two rows costs less

What is walked is asked by the query's filter again, so a list that is left out, and a token that
says less than the filter, cost rows that are read and dropped, never an answer.

Invariants (held by tests/property/test_index_kinds.py and tests/unit/query/test_index_ways.py):
  1. Every row that is under all tokens comes once, in the order of the rows.
  2. No more than POSTINGS_HELD_MAX entries are held.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from itertools import compress

from ormdb import limits
from ormdb.ir.value import Value
from ormdb.query.follow import Level
from ormdb.query.plan import Access, Decoded
from ormdb.query.walk import Walk
from ormdb.storage.batches import split_ids
from ormdb.storage.layout import EntityLayout
from ormdb.storage.multimap import TokenIndex
from ormdb.storage.views import Span, View


def token_rows(
    root: Decoded, access: Access, view: View, values: Sequence[Value], walk: Walk
) -> Iterator[Level]:
    """The rows of an access by tokens, in the order of the rows."""
    index = access.tokens
    assert index is not None
    tokens = _tokens(index, access, values)
    if not tokens:
        return  # nothing can match
    shortest, held = tokens[0], list[Collection[bytes]]()
    if len(tokens) > 1:
        room = 0 if walk.is_stream else limits.POSTINGS_HELD_MAX
        shortest, *others = _worth_reading(view, index, tokens, room)
        held = [frozenset(split_ids(ids)) for ids in view.lookup(index, root.entity, others)]
    walked = Span(
        low=shortest,
        high=shortest + b"\0",
        reverse=access.reverse != walk.backward,
        after=(shortest, walk.place.row_key) if walk.place and access.ordered else None,
        batch=walk.batch,
    )
    for items, rows in view.scan_index(index, root.entity, walked):
        keys = [row_key for _, row_key in items]
        for together in held:
            kept = [key in together for key in keys]
            keys, rows = list(compress(keys, kept)), list(compress(rows, kept))
        if keys:
            # The filter, which looks for the same, rechecks the entries.
            yield Level(root.decoder.decode_batch(keys, rows), keys)


def token_keys(
    access: Access, view: View, entity: EntityLayout, values: Sequence[Value]
) -> set[bytes]:
    """The keys of the rows of an access by tokens; also of some that lack one of many rows."""
    index = access.tokens
    assert index is not None
    tokens = _tokens(index, access, values)
    if not tokens:
        return set()
    if len(tokens) > 1:
        tokens = _worth_reading(view, index, tokens, limits.POSTINGS_HELD_MAX)
    first, *others = map(split_ids, view.lookup(index, entity, tokens))
    return set(first).intersection(*others)


def _tokens(index: TokenIndex, access: Access, values: Sequence[Value]) -> list[bytes]:
    """Every token that a row must have; none where no row can have all."""
    found = set[bytes]()
    for each in access.sought:
        tokens = index.sought(each.function, values[each.parameter])
        if tokens is None:
            continue  # nothing is known of what it asks for; the guard saw that of another one is
        if not tokens:
            return []
        found |= tokens
    return sorted(found)


def _worth_reading(
    view: View, index: TokenIndex, tokens: Sequence[bytes], room: int
) -> list[bytes]:
    """The token with the fewest rows, then those whose lists are not far longer than its, as many
    as there is room for."""
    counts = view.count_related(index, tokens)
    (fewest, shortest), *others = sorted(zip(counts, tokens, strict=True))
    worth = limits.POSTINGS_RATIO_MAX * fewest
    chosen = [shortest]
    for count, token in others:
        if count > min(room, worth):
            break
        room -= count
        chosen.append(token)
    return chosen
