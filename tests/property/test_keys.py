"""Holds that keys sort as their values do, round-trip, and that all ways to make them agree."""

from __future__ import annotations

import contextlib
import datetime
import decimal
import functools
import math
import operator
import uuid
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ormdb import limits
from ormdb.errors import CorruptionError
from ormdb.ir.value import (
    BoolType,
    BytesType,
    DateType,
    DecimalType,
    DurationType,
    EnumType,
    FloatType,
    IntType,
    TextType,
    TimestampType,
    TimeType,
    Type,
    UuidType,
    Value,
)
from ormdb.storage.keys import (
    KeyColumn,
    above,
    at_or_above,
    at_or_below,
    below,
    compile_batch_key_encoder,
    compile_key_encoder,
    cut_key,
    decode_key,
    encode_key,
    encode_prefix,
    encode_text_start,
    is_cut,
    prefix_end,
    range_for_prefix,
    row_key,
    row_number,
    sorts_exactly,
)

UTC = datetime.UTC
LONG = DecimalType(precision=38, scale=10)
SHORT = DecimalType(precision=18, scale=2)
COLOURS = EnumType(variants=("red", "green", "a\x00b", "blue"))

SAMPLES: dict[Type, list[Value]] = {
    BoolType(): [False, True],
    IntType(): [limits.INT_MIN, limits.INT_MIN + 1, -256, -1, 0, 1, 255, 256, limits.INT_MAX],
    FloatType(): [
        -math.inf,
        -1.7976931348623157e308,
        -1.0,
        -2.2250738585072014e-308,
        -5e-324,
        0.0,
        5e-324,
        1.0,
        1.0000000000000002,
        1.7976931348623157e308,
        math.inf,
    ],
    SHORT: [
        decimal.Decimal(text)
        for text in ("-9999999999999999.99", "-0.01", "0.00", "0.01", "1.50", "9999999999999999.99")
    ],
    LONG: [
        decimal.Decimal(text)
        for text in (
            "-9999999999999999999999999999.9999999999",
            "-1.0000000001",
            "-1.0000000000",
            "0E-10",
            "1E-10",
            "1234567890123456789012345678.0123456789",
            "9999999999999999999999999999.9999999999",
        )
    ],
    TextType(): [
        "",
        "\x00",
        "\x00\x00",
        "\x00\x01",
        "\x00a",
        "\x01",
        "a",
        "a\x00",
        "a\x00b",
        "a\x01",
        "ab",
        "x" * 600,
        "x" * 600 + "\x00",
        "x" * 600 + "y",
        "é",
        "\uffff",
        "\U00010000",
        "\U0010ffff",
    ],
    BytesType(): [
        b"",
        b"\x00",
        b"\x00\x00",
        b"\x00" * 600,
        b"\x00\xff",
        b"\x00\xff\x00",
        b"\x01",
        b"a",
        b"a\x00",
        b"\xff",
        b"\xff\x00",
        b"\xff" * 600,
    ],
    UuidType(): [
        uuid.UUID(int=0),
        uuid.UUID(int=1),
        uuid.UUID(int=2**127),
        uuid.UUID(int=2**128 - 1),
    ],
    TimestampType(): [
        datetime.datetime(1, 1, 1, tzinfo=UTC),
        datetime.datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
        datetime.datetime(1970, 1, 1, tzinfo=UTC),
        datetime.datetime(1970, 1, 1, 0, 0, 0, 1, tzinfo=UTC),
        datetime.datetime(2038, 1, 19, 3, 14, 8, tzinfo=UTC),
        datetime.datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
    ],
    DateType(): [datetime.date.min, datetime.date(1969, 12, 31), datetime.date.max],
    TimeType(): [datetime.time.min, datetime.time(0, 0, 0, 1), datetime.time.max],
    DurationType(): [
        datetime.timedelta(microseconds=limits.INT_MIN),
        datetime.timedelta(microseconds=-1),
        datetime.timedelta(0),
        datetime.timedelta(days=1, microseconds=-1),
        datetime.timedelta(days=1),
        datetime.timedelta(microseconds=limits.INT_MAX),
    ],
    COLOURS: list(COLOURS.variants),
}

_INTS = st.integers(limits.INT_MIN, limits.INT_MAX)
# Few letters, so that equal prefixes and escapes are common.
_TEXTS = st.text(st.sampled_from("\x00\x01ab\xff\uffff\U00010000"), max_size=6) | st.text()
STRATEGIES: dict[Type, st.SearchStrategy[Any]] = {
    BoolType(): st.booleans(),
    IntType(): _INTS,
    FloatType(): st.floats(allow_nan=False).map(lambda value: value + 0.0),
    SHORT: st.integers(-(10**18) + 1, 10**18 - 1).map(
        lambda n: decimal.Decimal((int(n < 0), tuple(map(int, str(abs(n)))), -2))
    ),
    LONG: st.integers(-(10**38) + 1, 10**38 - 1).map(
        lambda n: decimal.Decimal((int(n < 0), tuple(map(int, str(abs(n)))), -10))
    ),
    TextType(): _TEXTS | st.builds(operator.mul, st.just("long "), st.integers(90, 100)),
    BytesType(): st.binary(max_size=8) | st.integers(470, 490).map(lambda n: b"\x00" * (n // 2)),
    UuidType(): st.uuids(),
    TimestampType(): st.datetimes(timezones=st.just(UTC)),
    DateType(): st.dates(),
    TimeType(): st.times(),
    DurationType(): _INTS.map(lambda n: datetime.timedelta(microseconds=n)),
    COLOURS: st.sampled_from(COLOURS.variants),
}

TYPES = st.sampled_from(list(STRATEGIES))


@st.composite
def columns_and_values(draw: st.DrawFn, *, rows: int) -> tuple[list[KeyColumn], list[list[Value]]]:
    """A composite key of 1 to 4 columns, and `rows` lists of canonical values for it."""
    kinds = draw(st.lists(TYPES, min_size=1, max_size=4))
    columns = [
        KeyColumn(type=kind, descending=draw(st.booleans()), nullable=draw(st.booleans()))
        for kind in kinds
    ]
    cells = [
        (st.none() | value_of(column.type)) if column.nullable else value_of(column.type)
        for column in columns
    ]
    return columns, [[draw(cell) for cell in cells] for _ in range(rows)]


def value_of(kind: Type) -> st.SearchStrategy[Any]:
    return STRATEGIES[kind] | st.sampled_from(SAMPLES[kind])


def order_of(kind: Type, a: Value, b: Value) -> int:
    """-1, 0 or 1, by the values alone."""
    if a is None or b is None:
        return (a is not None) - (b is not None)
    if isinstance(kind, EnumType):
        a, b = kind.variants.index(a), kind.variants.index(b)
    elif isinstance(kind, TextType):
        a, b = a.encode(), b.encode()
    elif isinstance(kind, UuidType):
        a, b = a.int, b.int
    return int(a > b) - int(a < b)


def order(columns: Sequence[KeyColumn], left: Sequence[Value], right: Sequence[Value]) -> int:
    for column, a, b in zip(columns, left, right, strict=False):
        found = order_of(column.type, a, b)
        if found:
            return -found if column.descending else found
    return 0


def byte_order(a: bytes, b: bytes) -> int:
    return (a > b) - (a < b)


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("nullable", [False, True])
@pytest.mark.parametrize("kind", SAMPLES, ids=lambda kind: type(kind).__name__)
def test_edge_values_sort_and_round_trip(kind: Type, descending: bool, nullable: bool) -> None:
    column = KeyColumn(type=kind, descending=descending, nullable=nullable)
    values = [*([None] if nullable else []), *SAMPLES[kind]]
    encoded = [encode_prefix([column], [value]) for value in values]
    expected = encoded[::-1] if descending else encoded
    assert sorted(encoded) == expected
    assert len(set(encoded)) == len(values)
    for value, key in zip(values, encoded, strict=True):
        if not is_cut(cut_key(key)):
            (back,) = decode_key([column], key)
            assert back == value
            assert type(back) is type(value)


@given(columns_and_values(rows=2))
def test_keys_sort_as_their_values_do(drawn: tuple[list[KeyColumn], list[list[Value]]]) -> None:
    columns, (left, right) = drawn
    a, b = encode_prefix(columns, left), encode_prefix(columns, right)
    assert byte_order(a, b) == order(columns, left, right)
    stored = byte_order(cut_key(a), cut_key(b))
    if a[:464] != b[:464] or max(len(a), len(b)) <= 464:
        assert stored == order(columns, left, right)
    assert (stored == 0) == (a == b)


@given(columns_and_values(rows=1))
def test_a_key_that_is_not_cut_reads_back(
    drawn: tuple[list[KeyColumn], list[list[Value]]],
) -> None:
    columns, (values,) = drawn
    key = encode_key(columns, values)
    assert 0 < len(key) <= limits.INDEX_KEY_BYTES_MAX
    if not is_cut(key):
        assert decode_key(columns, key) == tuple(values)


@given(columns_and_values(rows=3))
def test_generated_encoders_equal_the_plain_one(
    drawn: tuple[list[KeyColumn], list[list[Value]]],
) -> None:
    columns, rows = drawn
    accessors = [f"r[{position}]" for position in range(len(columns))]
    expected = [encode_key(columns, row) for row in rows]
    assert compile_batch_key_encoder(columns, accessors)(rows) == expected
    assert list(map(compile_key_encoder(columns, accessors), rows)) == expected


@pytest.mark.parametrize("kind", SAMPLES, ids=lambda kind: type(kind).__name__)
def test_generated_encoders_take_every_edge_value(kind: Type) -> None:
    for descending in (False, True):
        for nullable in (False, True):
            column = KeyColumn(type=kind, descending=descending, nullable=nullable)
            values = [*([None] if nullable else []), *SAMPLES[kind]]
            made = compile_batch_key_encoder([column], ["r[0]"])([(value,) for value in values])
            assert made == [encode_key([column], [value]) for value in values]


def test_an_enum_gives_the_same_key_by_name_and_by_position() -> None:
    column = KeyColumn(type=COLOURS)
    encode = compile_batch_key_encoder([column], ["r[0]"])
    assert encode([("a\x00b",), (2,)]) == [encode_key([column], ["a\x00b"])] * 2


def test_many_fixed_columns_are_cut_like_text() -> None:
    columns = [KeyColumn(type=UuidType())] * 32
    row = [uuid.UUID(int=n) for n in range(32)]
    accessors = [f"r[{position}]" for position in range(32)]
    assert compile_key_encoder(columns, accessors)(row) == encode_key(columns, row)
    assert is_cut(encode_key(columns, row))


@given(columns_and_values(rows=2), st.integers(1, 4))
def test_a_range_misses_no_key_and_is_exact_for_short_ones(
    drawn: tuple[list[KeyColumn], list[list[Value]]], width: int
) -> None:
    columns, (values, bound_values) = drawn
    bound = encode_prefix(columns[:width], bound_values[:width])
    whole = encode_prefix(columns, values)
    key = cut_key(whole)
    found = order(columns[:width], values, bound_values)
    exact = len(bound) <= 464 and len(whole) < 480
    low, high = range_for_prefix(bound)
    checks = [
        (found >= 0, key >= at_or_above(bound)),
        (found > 0, key >= above(bound)),
        (found < 0, _is_below(key, below(bound))),
        (found <= 0, _is_below(key, at_or_below(bound))),
        (found == 0, key >= low and _is_below(key, high)),
    ]
    for wanted, inside in checks:
        assert inside or not wanted
        assert not (exact and inside and not wanted)


def _is_below(key: bytes, high: bytes | None) -> bool:
    return high is None or key < high


@given(st.binary(max_size=6), st.binary(max_size=6))
def test_the_end_of_a_prefix_separates_it_from_all_that_follows(prefix: bytes, key: bytes) -> None:
    end = prefix_end(prefix)
    if key.startswith(prefix):
        assert end is None or key < end
    elif key > prefix:
        assert end is not None
        assert key >= end


@given(columns_and_values(rows=1), st.data())
def test_damaged_keys_are_corruption_or_other_values(
    drawn: tuple[list[KeyColumn], list[list[Value]]], data: st.DataObject
) -> None:
    columns, (values,) = drawn
    key = bytearray(encode_key(columns, values))
    if is_cut(bytes(key)):
        return
    position = data.draw(st.integers(0, len(key) - 1))
    if data.draw(st.booleans()):
        del key[position:]
    else:
        key[position] ^= 1 << data.draw(st.integers(0, 7))
    with contextlib.suppress(CorruptionError):
        assert decode_key(columns, bytes(key)) != tuple(values)


@given(_INTS, _INTS)
def test_row_keys_sort_as_their_numbers(a: int, b: int) -> None:
    assert byte_order(row_key(a), row_key(b)) == (a > b) - (a < b)
    assert row_number(row_key(a)) == a


def test_keys_cut_at_equal_prefixes_stay_apart() -> None:
    column = KeyColumn(type=TextType())
    keys = [encode_key([column], ["x" * 600 + str(n)]) for n in range(1000)]
    assert len(set(keys)) == 1000
    assert {key[:464] for key in keys} == {keys[0][:464]}


def test_sorting_rows_by_key_sorts_them_by_value() -> None:
    for kind, values in SAMPLES.items():
        column = KeyColumn(type=kind)
        shuffled = [*values[1::2], None, *values[::2]]
        keys = {encode_prefix([column], [value]): value for value in shuffled}
        by_key = [keys[key] for key in sorted(keys)]
        by_value = sorted(shuffled, key=functools.cmp_to_key(functools.partial(order_of, kind)))
        assert by_key == by_value


STARTS = st.sampled_from(["", "\x00", "a", "a\x00", "x" * 459, "x" * 470, "x" * 600, "é", "\uffff"])


@given(
    st.sampled_from(SAMPLES[TextType()]) | STARTS,
    STARTS,
    st.tuples(st.booleans(), st.booleans(), st.booleans()),
    st.sampled_from([0, 1]),
)
def test_a_range_of_texts_that_begin_alike_holds_them_all_and_no_others(
    text: str, start: str, options: tuple[bool, bool, bool], before: int
) -> None:
    descending, nullable, longer = options
    text = start + text if longer else text
    number = KeyColumn(type=IntType())
    column = KeyColumn(type=TextType(), descending=descending, nullable=nullable)
    columns, fixed = [*[number][:before], column, number], [7][:before]
    begun = encode_prefix(columns[:before], fixed) + encode_text_start(column, start)
    low, high = range_for_prefix(begun)
    key = encode_key(columns, [*fixed, text, 3])
    found = low <= key and (high is None or key < high)
    if text.startswith(start):
        assert found
    elif sorts_exactly(begun):
        assert not found
    if nullable:
        null = encode_key(columns, [*fixed, None, 3])
        assert not (low <= null and (high is None or null < high))
