"""What any library gives as an Arrow stream reads as the same values, or is refused by name."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import gc
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ormdb import limits
from ormdb.errors import ColumnSourceError, OrmdbError, ValueRangeError, ValueTypeError
from ormdb.ir import arrow_abi
from ormdb.ir.arrow_abi import ArrowArray, make_capsule
from ormdb.ir.arrow_source import ArrowSource
from ormdb.ir.arrow_stream import export_stream
from ormdb.ir.columnar import GivesArrow
from ormdb.ir.columns import Buffers, column_buffers, number_buffer, table_buffers
from ormdb.ir.value import (
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
)
from tests.arrow_libraries import duckdb, polars, pyarrow
from tests.unit.ir.arrow_samples import SAMPLES, sample_columns
from tests.unit.ir.test_arrow_stream import Handed

UTC = datetime.UTC
ARROW: Any = pyarrow


MAP = ARROW.map_(ARROW.string(), ARROW.int64())


def read(source: GivesArrow, **kinds: Type) -> dict[str, list[Any]]:
    """All rows of a source, column by column."""
    found: dict[str, list[Any]] = {name: [] for name in kinds}
    with ArrowSource(source) as opened:
        for chunk in opened.chunks(kinds, "Thing"):
            for name, values in chunk.values.items():
                assert len(values) == chunk.count
                found[name] += values
    return found


def read_one(array: Any, kind: Type) -> list[Any]:
    """The values of a pyarrow array in a column of a type."""
    return read(pyarrow.table({"x": array}), x=kind)["x"]


KINDS = {name: kind for name, (kind, _) in SAMPLES.items()}
SOURCES: dict[str, Callable[[], Any]] = {
    "ormdb": sample_columns,
    "callbacks": lambda: Handed(
        table_buffers(sample_columns().named_columns(), 3),
    ),
    "pyarrow": lambda: pyarrow.table(sample_columns()),
    "polars": lambda: polars.DataFrame(sample_columns()),
    "pandas": lambda: sample_columns().to_pandas(),
}


@pytest.mark.parametrize("name", SOURCES)
def test_every_type_reads_back_from_every_library(name: str) -> None:
    found = read(SOURCES[name](), **KINDS)
    assert found == {column: values for column, (_, values) in SAMPLES.items()}


@pytest.mark.parametrize("library", ["pyarrow", "polars"])
@pytest.mark.parametrize(("start", "count"), [(1, 1), (2, 3), (7, 40), (9, 0), (5, 80)])
def test_a_slice_reads_as_the_rows_it_shows(library: str, start: int, count: int) -> None:
    whole = pyarrow.concat_tables([pyarrow.table(sample_columns())] * 30).combine_chunks()
    source = whole if library == "pyarrow" else polars.DataFrame(whole)
    wanted = {name: (values * 30)[start : start + count] for name, (_, values) in SAMPLES.items()}
    assert read(source.slice(start, count), **KINDS) == wanted


def test_slices_of_lists_structs_and_dictionaries_nest() -> None:
    rows = [[{"n": n, "t": f"t{n % 3}"}] * (n % 4) for n in range(50)]
    array = ARROW.array(rows).slice(3, 40).slice(2, 20)
    assert read_one(array, JsonType()) == [tuple(row) for row in rows[5:25]]
    fixed = ARROW.array([[n, n + 1] for n in range(30)], ARROW.list_(ARROW.int16(), 2)).slice(4, 9)
    assert read_one(fixed, ListType(item=IntType())) == [(n, n + 1) for n in range(4, 13)]
    coded = ARROW.array([f"v{n % 5}" for n in range(40)]).dictionary_encode().slice(11, 20)
    assert read_one(coded, TextType()) == [f"v{n % 5}" for n in range(11, 31)]


def test_many_small_batches_come_in_few_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "BULK_CHUNK_ROWS", 10)
    batches = [ARROW.record_batch({"x": list(range(n))}) for n in (3, 0, 4, 25, 1, 0, 2)]
    reader = ARROW.RecordBatchReader.from_batches(batches[0].schema, batches)
    with ArrowSource(reader) as source:
        counts = [chunk.count for chunk in source.chunks({"x": IntType()}, "Thing")]
    assert sum(counts) == 35
    assert max(counts) <= 10
    assert len(counts) <= 5


def test_a_source_is_read_no_further_than_its_chunks_are_taken() -> None:
    taken: list[int] = []

    def batches() -> Iterator[Any]:
        for number in range(10):
            taken.append(number)
            yield ARROW.record_batch({"x": [number] * limits.BULK_CHUNK_ROWS})

    schema = ARROW.schema([("x", ARROW.int64())])
    with ArrowSource(ARROW.RecordBatchReader.from_batches(schema, batches())) as source:
        chunks = source.chunks({"x": IntType()}, "Thing")
        assert next(chunks).values["x"][0] == 0
        assert len(taken) <= 3


@pytest.mark.parametrize(
    ("array", "kind", "wanted"),
    [
        (ARROW.array([1, None, 255], ARROW.uint8()), IntType(), [1, None, 255]),
        (ARROW.array([-1, 2], ARROW.int16()), IntType(), [-1, 2]),
        (ARROW.array([1.0, None, -(2.0**53)]), IntType(), [1, None, -(2**53)]),
        (ARROW.array([1, 2], ARROW.int32()), FloatType(), [1, 2]),
        (ARROW.array([1.5, None], ARROW.float16()), FloatType(), [1.5, None]),
        (ARROW.array([0.25], ARROW.float32()), FloatType(), [0.25]),
        (ARROW.nulls(2), IntType(), [None, None]),
        (ARROW.array([None, None], ARROW.string()), TextType(), [None, None]),
        (ARROW.array(["a", "é" * 9, None], ARROW.large_string()), TextType(), ["a", "é" * 9, None]),
        (
            ARROW.array(["short", "é" * 20, None, ""], ARROW.string_view()),
            TextType(),
            ["short", "é" * 20, None, ""],
        ),
        (ARROW.array([b"x" * 13, b""], ARROW.binary_view()), BytesType(), [b"x" * 13, b""]),
        (ARROW.array([b"ab"], ARROW.binary(2)), BytesType(), [b"ab"]),
        (ARROW.array([b"", None], ARROW.binary(0)), BytesType(), [b"", None]),
        (ARROW.array([7], ARROW.int64()), DecimalType(precision=5, scale=1), [7]),
        (
            ARROW.array([decimal.Decimal("1.5"), None], ARROW.decimal256(40, 2)),
            DecimalType(precision=5, scale=1),
            [decimal.Decimal("1.5"), None],
        ),
        (
            ARROW.array([decimal.Decimal("-1.5")], ARROW.decimal32(5, 1)),
            DecimalType(precision=5, scale=1),
            [decimal.Decimal("-1.5")],
        ),
        (
            ARROW.array(["6ba7b810-9dad-11d1-80b4-00c04fd430c8"]),
            UuidType(),
            [uuid.UUID("6ba7b810-9dad-11d1-80b4-00c04fd430c8")],
        ),
        (
            ARROW.array([-1, None, 0], ARROW.timestamp("s", tz="Europe/Berlin")),
            TimestampType(),
            [
                datetime.datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC),
                None,
                datetime.datetime(1970, 1, 1, tzinfo=UTC),
            ],
        ),
        (
            ARROW.array([-1_000], ARROW.timestamp("ns", tz="UTC")),
            TimestampType(),
            [datetime.datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)],
        ),
        (
            ARROW.array(["1969-01-01T00:00:00Z"]),
            TimestampType(),
            [datetime.datetime(1969, 1, 1, tzinfo=UTC)],
        ),
        (ARROW.array([-1, None], ARROW.date32()), DateType(), [datetime.date(1969, 12, 31), None]),
        (ARROW.array([86_400_000], ARROW.date64()), DateType(), [datetime.date(1970, 1, 2)]),
        (ARROW.array([61], ARROW.time32("s")), TimeType(), [datetime.time(0, 1, 1)]),
        (ARROW.array([1], ARROW.time32("ms")), TimeType(), [datetime.time(0, 0, 0, 1_000)]),
        (ARROW.array([2_000], ARROW.time64("ns")), TimeType(), [datetime.time(0, 0, 0, 2)]),
        (ARROW.array([-1], ARROW.duration("s")), DurationType(), [datetime.timedelta(seconds=-1)]),
        (
            ARROW.array(["b", None]).dictionary_encode(),
            EnumType(variants=("a", "b")),
            ["b", None],
        ),
        (ARROW.array(['{"a": 1}', "[1.5]", None]), JsonType(), [{"a": 1}, [1.5], None]),
        (ARROW.array([True, None]), JsonType(), [True, None]),
        (
            ARROW.array([["1969-12-31"], None, []]),
            ListType(item=DateType()),
            [(datetime.date(1969, 12, 31),), None, ()],
        ),
        (
            ARROW.array(
                [{"u": b"\0" * 16}, {"u": None}, None], ARROW.struct({"u": ARROW.binary()})
            ),
            StructType(fields=(StructField(name="u", type=UuidType(), optional=True),)),
            [{"u": uuid.UUID(int=0)}, {"u": None}, None],
        ),
    ],
)
def test_a_field_takes_every_arrow_type_that_says_its_values(
    array: Any, kind: Type, wanted: list[Any]
) -> None:
    assert read_one(array, kind) == wanted


@pytest.mark.parametrize(
    ("array", "kind", "said"),
    [
        (ARROW.array(["1"]), IntType(), "is an int and takes no Arrow column of type 'u'"),
        (ARROW.array([1]), TextType(), "is a text and takes"),
        (ARROW.array([1.5]), DecimalType(precision=5, scale=1), "is a decimal and takes"),
        (ARROW.array([0], ARROW.timestamp("us")), TimestampType(), "has no time zone"),
        (ARROW.array([0], ARROW.timestamp("us", "UTC")), DateType(), "is a date and takes"),
        (ARROW.array([[1]]), ListType(item=TextType()), "is a text and takes"),
        (ARROW.array([{"y": 1}]), SAMPLES["struct"][0], "is an int and takes|is a text and takes"),
        (ARROW.array([{"z": 1}]), SAMPLES["struct"][0], "not a field of the struct"),
        (ARROW.array([1, 1]).dictionary_encode(), TextType(), "takes no"),
        (ARROW.array([{"m": [("a", 1)]}], ARROW.struct({"m": MAP})), JsonType(), "takes no"),
        (ARROW.array([[("a", 1)]], MAP), JsonType(), "takes no Arrow column of type '\\+m'"),
    ],
)
def test_an_arrow_type_that_does_not_fit_is_refused_before_a_row_is_read(
    array: Any, kind: Type, said: str
) -> None:
    with pytest.raises(ValueTypeError, match=said):
        read_one(array.slice(0, 0), kind)


@pytest.mark.parametrize(
    ("array", "kind", "error"),
    [
        (ARROW.array([1.0, None, 1.5]), IntType(), ValueTypeError),
        (ARROW.array([1.0, None, float("nan")]), IntType(), ValueTypeError),
        (ARROW.array([0, 0, 1], ARROW.timestamp("ns", "UTC")), TimestampType(), ValueRangeError),
        (ARROW.array([0, 0, 2**62], ARROW.timestamp("s", "UTC")), TimestampType(), ValueRangeError),
        (
            ARROW.array([0, 0, 2**62], ARROW.timestamp("us", "UTC")),
            TimestampType(),
            ValueRangeError,
        ),
        (ARROW.array([0, 0, 2**30], ARROW.date32()), DateType(), ValueRangeError),
        (ARROW.array([0, 0, 2**62], ARROW.duration("s")), DurationType(), ValueRangeError),
        (ARROW.array([0, None, 86_400], ARROW.time32("s")), TimeType(), ValueRangeError),
        (ARROW.array(["P1D", None, "x"]), DurationType(), ValueTypeError),
        (ARROW.array(["{}", None, "{"]), JsonType(), ValueTypeError),
        (ARROW.array(["{}", None, "[NaN]"]), JsonType(), ValueTypeError),
        (ARROW.array(["{}", None, "[" * 100_000]), JsonType(), ValueRangeError),
        (ARROW.array([b"0" * 16, None, b""]), UuidType(), ValueTypeError),
        (
            ARROW.array([[0, 0], [], [2**30]], ARROW.list_(ARROW.date32())),
            ListType(item=DateType()),
            ValueRangeError,
        ),
    ],
)
def test_a_value_that_does_not_fit_is_named_with_its_row(
    array: Any, kind: Type, error: type[OrmdbError]
) -> None:
    with pytest.raises(error, match=r"Thing\.x") as found:
        read_one(array, kind)
    assert found.value.row == 2
    assert "(row 2)" in found.value.message


def test_a_text_that_is_no_utf8_is_named_with_its_row() -> None:
    buffers = [None, ARROW.py_buffer(number_buffer("i", [0, 1, 2])), ARROW.py_buffer(b"a\xff")]
    texts = ARROW.Array.from_buffers(ARROW.string(), 2, buffers)
    lists = ARROW.ListArray.from_arrays([0, 0, 0, 2], texts)
    for array, kind, row in ((texts, TextType(), 1), (lists, ListType(item=TextType()), 2)):
        with pytest.raises(ValueTypeError, match="is not UTF-8") as found:
            read_one(array, kind)
        assert found.value.row == row


def test_below_a_null_anything_may_lie() -> None:
    garbage = number_buffer("q", [2**62, 0])
    moments = ARROW.Array.from_buffers(
        ARROW.timestamp("s", "UTC"), 2, [ARROW.py_buffer(b"\x02"), ARROW.py_buffer(garbage)]
    )
    wanted = [None, datetime.datetime(1970, 1, 1, tzinfo=UTC)]
    assert read_one(moments, TimestampType()) == wanted
    texts = ARROW.Array.from_buffers(
        ARROW.string(),
        2,
        [
            ARROW.py_buffer(b"\x02"),
            ARROW.py_buffer(number_buffer("i", [0, 1, 3])),
            ARROW.py_buffer(b"\xff\xc3\xa9"),
        ],
    )
    assert read_one(texts, TextType()) == [None, "é"]


def test_duckdb_gives_its_relations_as_streams() -> None:
    relation = duckdb.sql("select i::int as n, 'x' || i as t from range(5) as r(i)")
    found = read(relation, n=IntType(), t=TextType())
    assert found == {"n": [0, 1, 2, 3, 4], "t": ["x0", "x1", "x2", "x3", "x4"]}


def test_a_source_that_fails_in_the_middle_says_why() -> None:
    def batches() -> Iterator[Any]:
        yield ARROW.record_batch({"x": [1]})
        raise RuntimeError("the file is gone")

    schema = ARROW.schema([("x", ARROW.int64())])
    reader = ARROW.RecordBatchReader.from_batches(schema, batches())
    with pytest.raises(ColumnSourceError, match="the file is gone"):
        read(reader, x=IntType())


def test_what_gives_no_table_is_refused() -> None:
    class Odd:
        def __init__(self, given: object) -> None:
            self.given = given

        def __arrow_c_stream__(self, requested_schema: object = None) -> object:
            return self.given

    with pytest.raises(ColumnSourceError, match="Odd gives no Arrow stream"):
        ArrowSource(Odd(5))
    with pytest.raises(ColumnSourceError, match="gives no Arrow stream"):
        ArrowSource(Odd(make_capsule(ArrowArray(), b"arrow_array")))
    capsule = pyarrow.table({"x": [1]}).__arrow_c_stream__()
    assert read(Odd(capsule), x=IntType()) == {"x": [1]}
    with pytest.raises(ColumnSourceError, match="consumed already"):
        ArrowSource(Odd(capsule))
    with pytest.raises(ColumnSourceError, match="one column of Arrow type 'l'"):
        ArrowSource(pyarrow.chunked_array([[1]]))
    twice = pyarrow.Table.from_arrays([pyarrow.array([1])] * 2, names=["x", "x"])
    with pytest.raises(ColumnSourceError, match="two columns 'x'"):
        ArrowSource(twice)


def table_of(column: Buffers) -> Handed:
    """A batch of two rows and one column, whatever that column says of itself."""
    whole = table_buffers([], 0)
    return Handed(dataclasses.replace(whole, length=2, children=(("x", column),)))


def malformed(**changes: Any) -> Handed:
    return table_of(dataclasses.replace(column_buffers(TextType(), ["a", "b"]), **changes))


OFFSETS = number_buffer("i", [0, 1, 2])


@pytest.mark.parametrize(
    "source",
    [
        malformed(length=1),
        malformed(parts=()),
        malformed(parts=(OFFSETS,)),
        malformed(parts=(number_buffer("i", [0, 2, 1]), memoryview(b"ab"))),
        malformed(parts=(number_buffer("i", [-1, 0, 1]), memoryview(b"ab"))),
        malformed(format="vu", parts=(memoryview(b"\x0d\0\0\0" + bytes(12) + bytes(16)),)),
        malformed(
            format="vu",
            parts=(
                memoryview(b"\x0d\0\0\0" + bytes(12) + bytes(16)),
                memoryview(b"only twelve!"),
                number_buffer("q", [12]),
            ),
        ),
        malformed(
            format="c",
            parts=(number_buffer("b", [0, 2]),),
            dictionary=column_buffers(TextType(), ["a", "b"]),
        ),
        malformed(
            format="c",
            parts=(number_buffer("b", [-1, 0]),),
            dictionary=column_buffers(TextType(), ["a", "b"]),
        ),
    ],
)
def test_an_array_that_contradicts_itself_is_refused(source: Handed) -> None:
    with pytest.raises(ColumnSourceError, match="malformed"):
        read(source, x=TextType())


def test_a_list_longer_than_its_child_is_refused() -> None:
    made = Buffers(
        format="+l",
        length=2,
        null_count=0,
        validity=None,
        parts=(number_buffer("i", [0, 1, 9]),),
        children=(("item", column_buffers(IntType(), [1, 2])),),
    )
    source = table_of(made)
    with pytest.raises(ColumnSourceError, match="2 values where 9 are needed"):
        read(source, x=ListType(item=IntType()))


def test_a_count_of_nulls_without_bits_means_none() -> None:
    assert read(malformed(null_count=-1), x=TextType()) == {"x": ["a", "b"]}


def test_a_batch_of_other_columns_than_the_schemas_is_refused() -> None:
    class Odd:
        def __init__(self, schema: Buffers, batch: Buffers) -> None:
            self.schema, self.batch = schema, batch

        def __arrow_c_stream__(self, requested_schema: object = None) -> object:
            return export_stream(self.schema, (one for one in [self.batch]))

    one = table_buffers([("x", IntType(), [1])], 1)
    two = table_buffers([("x", IntType(), [1]), ("y", IntType(), [1])], 1)
    lists = ListType(item=IntType())
    with pytest.raises(ColumnSourceError, match="does not have its columns"):
        read(Odd(one, two), x=IntType())
    with pytest.raises(ColumnSourceError, match="malformed: it has 0 children"):
        read(Odd(table_buffers([("x", lists, [])], 0), one), x=lists)


def test_a_schema_that_nests_without_end_is_refused() -> None:
    found = column_buffers(IntType(), [])
    for _ in range(limits.JSON_DEPTH_MAX + 1):
        found = dataclasses.replace(
            column_buffers(ListType(item=IntType()), []), children=(("item", found),)
        )
    with pytest.raises(ColumnSourceError, match="deep"):
        ArrowSource(table_of(found))


def test_every_array_and_stream_is_released_also_after_an_error() -> None:
    class Failing:
        def batches(self) -> Iterator[Buffers]:
            yield table_buffers([("x", TextType(), ["1", "x"])], 2)
            raise RuntimeError

        def __arrow_c_stream__(self, requested_schema: object = None) -> object:
            return export_stream(table_buffers([("x", TextType(), [])], 0), self.batches())

    gc.collect()
    before = len(arrow_abi.held)
    for kind, error in ((UuidType(), ValueTypeError), (TextType(), ColumnSourceError)):
        with pytest.raises(error):
            read(Failing(), x=kind)
    with pytest.raises(ValueTypeError):
        read(Failing(), x=IntType())
    with ArrowSource(Failing()) as source:
        assert source.names == ["x"]  # and nothing is read
    gc.collect()
    assert len(arrow_abi.held) == before
