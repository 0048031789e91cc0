"""Keys of indexes and identities: bytes that sort as the values do, column by column.

    index (dep_delay desc, tailnum)            values (120, "N1")

    fe 7f ff ff ff ff ff ff 87                 120, descending
    01 4e 31 00 00                             "N1"

    encode_key       all columns, as the key is stored (over-long keys are cut)
    encode_prefix    the first columns, whole, for `at_or_above` and its like to make a range of
    decode_key       the values of a stored key that was not cut
    compile_*        the same encoding as generated code, for whole batches of rows

The bytes of each type are `key_values`, cutting and ranges are `key_ranges`, generated encoders
are `key_encoders`; this module is their face.

Invariants (held by tests/property/test_keys.py):
  1. Stored keys sort as their values do, up to the order among keys cut at equal prefixes.
  2. Equal values give equal keys, different values different keys (cut ones: by their hash).
"""

from __future__ import annotations

from collections.abc import Sequence

from ormdb.ir.value import Value
from ormdb.storage.key_encoders import (
    BatchKeyEncoder,
    KeyEncoder,
    compile_batch_key_encoder,
    compile_key_encoder,
)
from ormdb.storage.key_ranges import (
    above,
    at_or_above,
    at_or_below,
    below,
    cut_key,
    is_cut,
    prefix_end,
    range_for_prefix,
    row_key,
    row_number,
    sorts_exactly,
)
from ormdb.storage.key_values import (
    KeyColumn,
    damaged,
    decode_column,
    encode_text_start,
    encode_value,
)

__all__ = [
    "BatchKeyEncoder",
    "KeyColumn",
    "KeyEncoder",
    "above",
    "at_or_above",
    "at_or_below",
    "below",
    "compile_batch_key_encoder",
    "compile_key_encoder",
    "cut_key",
    "decode_key",
    "encode_key",
    "encode_prefix",
    "encode_text_start",
    "encode_value",
    "is_cut",
    "prefix_end",
    "range_for_prefix",
    "row_key",
    "row_number",
    "sorts_exactly",
]


def encode_key(columns: Sequence[KeyColumn], values: Sequence[Value]) -> bytes:
    """Return the stored key of one value per column."""
    assert len(values) == len(columns), f"{len(values)} values for {len(columns)} columns"
    return cut_key(encode_prefix(columns, values))


def encode_prefix(columns: Sequence[KeyColumn], values: Sequence[Value]) -> bytes:
    """Return the whole encoding of values for the first columns, however long."""
    return b"".join(
        encode_value(c.type, value, descending=c.descending, nullable=c.nullable)
        for c, value in zip(columns, values, strict=False)
    )


def decode_key(columns: Sequence[KeyColumn], data: bytes) -> tuple[Value, ...]:
    """Return the values of a stored key that `is_cut` says no to.

    Raises:
      CorruptionError: the bytes are not a key of these columns.
    """
    assert not is_cut(data), "a cut key has lost its end"
    values: list[Value] = []
    position = 0
    for column in columns:
        value, position = decode_column(column, data, position)
        values.append(value)
    if position != len(data):
        raise damaged(data)
    return tuple(values)
