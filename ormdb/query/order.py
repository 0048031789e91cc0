"""Sorting a level, and the cursors that name a place in an order.

    order by dep_delay desc            ties by row key, descending as the last key is
    rows     (120, #7) (120, #4) (90, #9) (NULL, #2)
    cursor   after (120, #4): the next page begins at (90, #9)

An order is applied as stable sorts from its last key to its first, each at C speed over one
column.  A cursor carries the values of the keys and the row key, sealed and bound to the query's
entity and order; it names a place between rows, so it stays good when rows come and go.

Invariants (held by tests/property/test_order.py):
  1. The order is total: no two rows compare equal.
  2. Pages that follow each other's cursors, put together, are the whole.
  3. A cursor of another order, or a damaged one, raises CursorError.
"""

from __future__ import annotations

import base64
import hashlib
import types
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import msgspec

from ormdb import limits
from ormdb.errors import CursorError
from ormdb.ir.canonical import encode_node
from ormdb.ir.graph import GraphQuery, OrderSpec
from ormdb.ir.rewrite import numbered
from ormdb.ir.search import Search
from ormdb.ir.value import Value
from ormdb.pulse import sort_in_steps
from ormdb.query.plan import NodePlan, OrderPlan, SortKey

_SEAL_BYTES = 8
_ROW_KEY_BYTES = 8
_encode = msgspec.msgpack.Encoder(uuid_format="bytes", decimal_format="string").encode


def sorted_positions(
    order: OrderPlan, columns: Sequence[Sequence[Value]], row_keys: Sequence[bytes]
) -> list[int]:
    """The positions of rows in the order; `columns` are the values of its keys."""
    positions = list(range(len(row_keys)))
    sort_in_steps(positions, row_keys, reverse=order.tie_descending)
    sort_positions(positions, order.keys, columns)
    return positions


def sort_positions(
    positions: list[int], keys: Sequence[SortKey], columns: Sequence[Sequence[Value]]
) -> None:
    """Sort positions by the values there, those of equal values as they are."""
    for key, column in zip(reversed(keys), reversed(columns), strict=True):
        if key.nullable and None in column:
            if key.nulls_low:
                ranked: Sequence[Any] = [(value is not None, value) for value in column]
            else:
                ranked = [(value is None, value) for value in column]
            sort_in_steps(positions, ranked, reverse=key.descending)
        else:
            sort_in_steps(positions, column, reverse=key.descending)


class Place:
    """A place in an order: the values of its keys, then the row key."""

    def __init__(self, order: OrderPlan, values: tuple[Value, ...], row_key: bytes) -> None:
        self._order = order
        self.values = values
        self.row_key = row_key

    def is_before(self, values: Sequence[Value], row_key: bytes) -> bool:
        """Whether a row with these key values comes after this place."""
        for key, mine, theirs in zip(self._order.keys, self.values, values, strict=True):
            if mine == theirs:
                continue
            if mine is None or theirs is None:
                lower = (mine is None) == key.nulls_low
            else:
                lower = mine < theirs
            return lower != key.descending
        if self._order.tie_descending:
            return row_key < self.row_key
        return row_key > self.row_key

    def is_after(self, values: Sequence[Value], row_key: bytes) -> bool:
        """Whether a row with these key values comes before this place."""
        same = row_key == self.row_key and tuple(values) == self.values
        return not same and not self.is_before(values, row_key)


def beyond(
    place: Place, columns: Sequence[Sequence[Value]], keys: Sequence[bytes], *, backward: bool
) -> list[bool]:
    """Which rows lie on the far side of a place; `columns` are the values of the order's keys."""
    is_beyond = place.is_after if backward else place.is_before
    values = zip(*columns, strict=True) if columns else iter([()] * len(keys))
    return [is_beyond(row, key) for row, key in zip(values, keys, strict=True)]


def order_signature(entity: str, order: tuple[OrderSpec, ...]) -> bytes:
    """What tells the cursors of an order from those of others, whatever the filter."""
    renumbered = tuple(replace(spec, key=numbered(spec.key)[0]) for spec in order)
    data = encode_node(GraphQuery(entity=entity, order=renumbered))
    return hashlib.blake2b(data).digest()


def run_signature(plan: NodePlan, values: Sequence[Value]) -> bytes:
    """The signature of a run, of which the values that its order is calculated with are part."""
    order = plan.order
    if not order.parameters:
        return plan.order_signature
    given = [values[index] for index in order.parameters]
    words = [sorted(one.tokens) if isinstance(one, Search) else one for one in given]
    return hashlib.blake2b(repr(words).encode(), key=plan.order_signature).digest()


def encode_cursor(signature: bytes, values: Sequence[Value], row_key: bytes) -> str:
    """The cursor of a row."""
    body = _encode((*values, row_key))
    data = _seal(signature, body) + body
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def decode_cursor(signature: bytes, order: OrderPlan, cursor: str) -> Place:
    """The place a cursor names.

    Raises:
      CursorError: the text is not a cursor, or not one of this entity and order.
    """
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        data = base64.b64decode(padded.encode("ascii"), altchars=b"-_", validate=True)
    except (AttributeError, TypeError, ValueError) as error:  # binascii's and Unicode's are these
        raise _refused("is not a cursor") from error
    seal, body = data[:_SEAL_BYTES], data[_SEAL_BYTES:]
    if seal != _seal(signature, body):
        raise _refused("is damaged, or belongs to a query of another entity or order")
    kinds = types.GenericAlias(tuple, (*order.cursor_types, bytes))
    decoder: msgspec.msgpack.Decoder[tuple[Any, ...]] = msgspec.msgpack.Decoder(kinds)
    try:
        *values, row_key = decoder.decode(body)
    except msgspec.DecodeError as error:
        raise _refused("does not fit the fields it was made of") from error
    if len(row_key) != _ROW_KEY_BYTES or any(map(_is_too_large, values)):
        raise _refused("does not fit the fields it was made of")
    return Place(order, tuple(values), row_key)


def _seal(signature: bytes, body: bytes) -> bytes:
    return hashlib.blake2b(body, digest_size=_SEAL_BYTES, key=signature[:64]).digest()


def _is_too_large(value: Value) -> bool:
    return isinstance(value, int) and not limits.INT_MIN <= value <= limits.INT_MAX


def _refused(fact: str) -> CursorError:
    return CursorError(
        f"the page cursor {fact}; take it from `next_cursor` or `previous_cursor` of an answer "
        "to the same query"
    )
