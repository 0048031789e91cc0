"""Rows come back as they were written, and under no other key and with no bit changed."""

from __future__ import annotations

import datetime
import decimal
import random
import uuid
from typing import Any
from zlib import crc32

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ormdb import limits
from ormdb.errors import CorruptionError, ValueRangeError, ValueTypeError
from ormdb.ir.schema import FieldDef
from ormdb.ir.value import (
    BoolType,
    BytesType,
    DateType,
    DecimalType,
    DurationType,
    EnumType,
    FloatType,
    IntType,
    JsonType,
    ListType,
    StructField,
    StructType,
    TextType,
    TimestampType,
    TimeType,
    Type,
    UuidType,
    Value,
)
from ormdb.storage.records import (
    RESIDUE,
    RowCodec,
    is_shown_as_stored,
    seeds,
    shown_value,
    stored_value,
)

ENUM = EnumType(variants=("red", "green", "blue"))
STRUCT = StructType(
    fields=(
        StructField(name="x", type=IntType()),
        StructField(name="kind", type=ENUM, optional=True),
        StructField(name="at", type=DateType(), optional=True),
    )
)
EDGES: dict[Type, list[Value]] = {
    BoolType(): [False, True],
    IntType(): [0, -1, 127, 128, 2**32, limits.INT_MIN, limits.INT_MAX],
    FloatType(): [0.0, 1.5, -1e308, 5e-324, float("inf"), float("-inf"), 2.0],
    TextType(): ["", "\0", "a\0b", "é" * 300, "\U0001f600", "�"],
    BytesType(): [b"", b"\0", b"\xff" * 700],
    UuidType(): [uuid.UUID(int=0), uuid.UUID(int=2**128 - 1)],
    DecimalType(precision=38, scale=2): [
        decimal.Decimal("0.00"),
        decimal.Decimal("-" + "9" * 36 + ".99"),
        decimal.Decimal("1.50"),
    ],
    TimestampType(): [
        datetime.datetime(1, 1, 1, tzinfo=datetime.UTC),
        datetime.datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=datetime.UTC),
        datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC),
        datetime.datetime(2514, 5, 30, 1, 53, 4, tzinfo=datetime.UTC),
        datetime.datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=datetime.UTC),
    ],
    DateType(): [datetime.date.min, datetime.date(1970, 1, 1), datetime.date.max],
    TimeType(): [datetime.time.min, datetime.time(5, 1), datetime.time.max],
    DurationType(): [
        datetime.timedelta(0),
        datetime.timedelta(microseconds=-1),
        datetime.timedelta(days=-106_751_991, microseconds=5),
        datetime.timedelta(days=106_751_990, microseconds=999_999),
    ],
    ENUM: ["red", "blue"],
    JsonType(): [[], {}, [None, 1, 1.5, "a", {"b": [True]}], "text", 7, {"": ""}],
    ListType(item=TextType()): [(), ("", "a")],
    ListType(item=ENUM): [("blue", "red")],
    STRUCT: [
        {"x": 1, "kind": "green", "at": datetime.date(2013, 1, 1)},
        {"x": -5, "kind": None, "at": None},
    ],
}
DRAWN: dict[Type, st.SearchStrategy[Value]] = {
    IntType(): st.integers(limits.INT_MIN, limits.INT_MAX),
    FloatType(): st.floats(allow_nan=False),
    TextType(): st.text(max_size=40),
    BytesType(): st.binary(max_size=40),
    UuidType(): st.uuids(),
    TimestampType(): st.datetimes(timezones=st.just(datetime.UTC)).map(
        lambda time: time.replace(fold=0)
    ),
    DateType(): st.dates(),
    TimeType(): st.times().map(lambda time: time.replace(fold=0)),
    DurationType(): st.timedeltas(datetime.timedelta(-90_000_000), datetime.timedelta(90_000_000)),
}
NUMBERS = st.one_of(
    st.integers(limits.INT_MIN, limits.INT_MAX), st.integers(0, 300), st.just(limits.INT_MIN)
)


def key_of(number: int) -> bytes:
    return (number + 2**63).to_bytes(8, "big")


def codec_of(*kinds: Type) -> RowCodec:
    fields = [
        FieldDef(name=f"f{slot}", type=kind, optional=True, slot=slot)
        for slot, kind in enumerate(kinds)
    ]
    return RowCodec("Thing", fields)


def sealed(codec: RowCodec, number: int, *slots: Value, begin: int = 7) -> bytes:
    return codec.seal([codec.Row(begin, *slots)], [key_of(number)])[0]


def spelled(value: Value) -> str:
    """A value and its class; the classes of what is in it can be told from its repr."""
    return f"{type(value).__name__} {value!r}"


@pytest.mark.parametrize("kind", EDGES, ids=lambda kind: type(kind).__name__)
def test_every_edge_value_of_a_type_comes_back_as_it_was(kind: Type) -> None:
    codec = codec_of(kind)
    for value in [None, *EDGES[kind]]:
        row = sealed(codec, 41, stored_value(kind, value))
        (found,) = codec.whole.decode_batch([key_of(41)], [row])
        assert spelled(shown_value(kind, found.s0)) == spelled(value)
        assert found.b == 7


@given(st.sampled_from(list(DRAWN)).flatmap(lambda kind: st.tuples(st.just(kind), DRAWN[kind])))
def test_every_value_comes_back_equal_and_of_its_class(drawn: tuple[Type, Value]) -> None:
    kind, value = drawn
    codec = codec_of(IntType(), kind)
    row = sealed(codec, -3, 1, value)
    (found,) = codec.whole.decode_batch([key_of(-3)], [row])
    assert spelled(found.s1) == spelled(value)


@pytest.mark.parametrize("kind", EDGES, ids=lambda kind: type(kind).__name__)
def test_types_shown_as_stored_need_no_conversion(kind: Type) -> None:
    for value in EDGES[kind]:
        same = spelled(stored_value(kind, value)) == spelled(value)
        assert same or not is_shown_as_stored(kind)


@given(NUMBERS, st.integers(0, 2**40), st.text(max_size=30))
def test_an_intact_row_has_the_residue_of_its_key(number: int, begin: int, text: str) -> None:
    codec = codec_of(TextType())
    row = sealed(codec, number, text, begin=begin)
    (seed,) = seeds([key_of(number)])
    assert crc32(row, seed) == RESIDUE
    folded = number & (2**64 - 1)
    assert seed == (folded ^ (folded >> 32)) & 0xFFFFFFFF


@settings(max_examples=25)
@given(NUMBERS, st.text(max_size=12), st.floats(allow_nan=False))
def test_every_flipped_bit_of_a_row_is_found(number: int, text: str, real: float) -> None:
    codec = codec_of(TextType(), FloatType())
    row, key = sealed(codec, number, text, real), key_of(number)
    for bit in range(8 * len(row)):
        damaged = bytearray(row)
        damaged[bit // 8] ^= 1 << bit % 8
        for decoder in (codec.whole, codec.begins):
            with pytest.raises(CorruptionError):
                decoder.decode_batch([key], [bytes(damaged)])


@given(NUMBERS, NUMBERS)
def test_a_row_under_the_key_of_another_is_refused(number: int, other: int) -> None:
    codec = codec_of(TextType())
    row = sealed(codec, number, "same")
    if seeds([key_of(number)]) == seeds([key_of(other)]):
        return  # keys that fold alike, one pair in four thousand million
    with pytest.raises(CorruptionError) as caught:
        codec.whole.decode_batch([key_of(number), key_of(other)], [row, row])
    assert caught.value.details["row_keys"] == (key_of(other),)


@given(st.lists(st.integers(-5, 2**33), min_size=1, max_size=8))
def test_a_batch_is_checked_row_by_row(numbers: list[int]) -> None:
    codec = codec_of(IntType())
    keys = [key_of(number) for number in numbers]
    rows = codec.seal([codec.Row(1, number) for number in numbers], keys)
    assert [row.s0 for row in codec.whole.decode_batch(keys, rows)] == numbers
    chosen = random.Random(len(numbers)).randrange(len(rows))
    rows[chosen] = rows[chosen][:-1] + bytes((rows[chosen][-1] ^ 1,))
    with pytest.raises(CorruptionError) as caught:
        codec.whole.decode_batch(keys, rows)
    assert keys[chosen] in caught.value.details["row_keys"]


@pytest.mark.parametrize("odd", [b"", b"short", b"longer than eight"])
def test_a_key_of_another_width_is_damage(odd: bytes) -> None:
    codec = codec_of(IntType())
    with pytest.raises(CorruptionError, match="no row keys") as caught:
        codec.whole.decode_batch([key_of(1), odd], [sealed(codec, 1, 5), sealed(codec, 2, 5)])
    assert caught.value.details["row_keys"] == (odd,)


# --- rows of older layouts ----------------------------------------------------------------------


def grown(*fills: Value) -> tuple[RowCodec, RowCodec]:
    """A codec of two fields, and one of the same entity with fields added later."""
    kinds: list[Type] = [IntType(), TextType()]
    older = [
        FieldDef(name=f"f{slot}", type=kind, optional=True, slot=slot)
        for slot, kind in enumerate(kinds)
    ]
    added: list[Type] = [ENUM, JsonType(), DateType()]
    newer = [
        FieldDef(name=f"g{slot}", type=added[slot - 2], optional=True, slot=slot, fill=fill)
        for slot, fill in enumerate(fills, 2)
    ]
    return RowCodec("Thing", older), RowCodec("Thing", [*older, *newer])


def test_a_short_row_reads_its_absent_slots_as_their_fills() -> None:
    born = datetime.date(2013, 1, 1)
    older, newer = grown("blue", {"a": [1]}, born)
    keys = [key_of(1), key_of(2)]
    rows = [
        sealed(older, 1, 10, "old"),
        sealed(newer, 2, 20, "new", 0, None, None),
    ]
    short, whole = newer.whole.decode_batch(keys, rows)
    assert (short.b, short.s0, short.s1) == (7, 10, "old")
    assert (short.s2, short.s3, short.s4) == (2, {"a": [1]}, born)
    assert (whole.s0, whole.s2, whole.s3, whole.s4) == (20, 0, None, None)


def test_a_short_row_is_read_by_decoders_of_some_slots() -> None:
    older, newer = grown("blue", None, None)
    row = sealed(older, 1, 10, "old")
    for slots in ([], [0], [1], [2], [0, 4], [1, 2, 3]):
        (found,) = newer.decoder(slots).decode_batch([key_of(1)], [row])
        wanted = {0: 10, 1: "old", 2: 2, 3: None, 4: None}
        assert {slot: getattr(found, f"s{slot}") for slot in slots} == {s: wanted[s] for s in slots}


def test_two_short_rows_do_not_share_one_fill() -> None:
    older, newer = grown(None, {"a": [1]})
    rows = [sealed(older, n, n, "old") for n in (1, 2)]
    first, second = newer.whole.decode_batch([key_of(1), key_of(2)], rows)
    first.s3["a"].append(2)
    assert second.s3 == {"a": [1]}
    (again,) = newer.whole.decode_batch([key_of(1)], rows[:1])
    assert again.s3 == {"a": [1]}


@settings(max_examples=50)
@given(st.integers(0, 4), st.sets(st.integers(0, 4)))
def test_rows_of_any_age_are_read_by_any_decoder(age: int, slots: set[int]) -> None:
    codecs = [codec_of(*[IntType()] * count) for count in range(6)]
    rows = [sealed(codecs[count], 5, *range(count)) for count in (age, 5)]
    short, whole = codecs[5].decoder(slots).decode_batch([key_of(5)] * 2, rows)
    for slot in slots:
        assert getattr(whole, f"s{slot}") == slot
        assert getattr(short, f"s{slot}") == (slot if slot < age else None)


def test_a_row_of_a_newer_layout_than_the_schema_is_damage() -> None:
    older, newer = grown("blue")
    row = sealed(newer, 1, 10, "new", 0)
    with pytest.raises(CorruptionError):
        older.whole.decode_batch([key_of(1)], [row])


# --- what cannot be stored ----------------------------------------------------------------------


def test_half_of_a_surrogate_pair_is_refused_with_the_entity() -> None:
    codec = codec_of(TextType())
    with pytest.raises(ValueTypeError, match="Thing"):
        sealed(codec, 1, "\ud800")


def test_a_row_over_the_limit_is_refused_with_its_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "ROW_BYTES_MAX", 1_000)
    codec = codec_of(BytesType())
    with pytest.raises(ValueRangeError, match=r"10\d\d bytes"):
        sealed(codec, 1, bytes(1_000))


def test_an_intact_row_that_is_not_of_its_types_is_damage() -> None:
    texts, numbers = codec_of(TextType()), codec_of(IntType())
    row = sealed(texts, 1, "ten")
    with pytest.raises(CorruptionError):
        numbers.whole.decode_batch([key_of(1)], [row])


def test_hidden_slots_and_gaps_between_slots_are_kept() -> None:
    fields: list[Any] = [
        FieldDef(name="a", type=TextType(), slot=0),
        FieldDef(name="d", type=TextType(), slot=3),
    ]
    codec = RowCodec("Thing", fields, hidden_slots=[5])
    assert codec.slot_count == 6
    row = sealed(codec, 1, "x", None, None, "y", None, -9)
    (found,) = codec.whole.decode_batch([key_of(1)], [row])
    assert (found.s0, found.s3, found.s5) == ("x", "y", -9)
