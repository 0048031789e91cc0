"""Holds that scalars come back from their ISO text as they were, and that any text is survived."""

from __future__ import annotations

import contextlib

from hypothesis import given
from hypothesis import strategies as st

from ormdb.errors import ValueRangeError, ValueTypeError
from ormdb.ir.type_text import parse_type, type_name
from ormdb.ir.value import (
    DateType,
    DecimalType,
    DurationType,
    TimestampType,
    TimeType,
    Type,
    UuidType,
)
from ormdb.ir.value_text import read_text, write_text
from ormdb.testing.strategies import types_of_fields, values

KINDS: st.SearchStrategy[Type] = st.sampled_from(
    [
        DateType(),
        DecimalType(precision=38, scale=9),
        DurationType(),
        TimestampType(),
        TimeType(),
        UuidType(),
    ]
)


@given(st.data())
def test_every_value_reads_back_from_its_text(data: st.DataObject) -> None:
    kind = data.draw(KINDS)
    value = data.draw(values(kind))
    assert repr(read_text(kind, write_text(value))) == repr(value)


@given(KINDS, st.text("0123456789-+:.TZPDHMSWeE ", max_size=30) | st.text(max_size=10))
def test_any_text_is_read_exactly_or_refused(kind: Type, text: str) -> None:
    with contextlib.suppress(ValueTypeError, ValueRangeError):
        value = read_text(kind, text)
        assert read_text(kind, write_text(value)) == value


@given(types_of_fields())
def test_every_type_reads_back_from_its_text(kind: Type) -> None:
    assert parse_type(type_name(kind)) == kind
