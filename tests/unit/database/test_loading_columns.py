"""A load of Arrow columns equals a load of rows, and leaves nothing behind when it is refused."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import ormdb
from ormdb import Entity, Field, Many, One, field, limits, many, one, sequence
from ormdb.errors import (
    ColumnSourceError,
    ForeignKeyError,
    ImmutableError,
    QueryError,
    RequiredError,
    UniqueError,
    ValueRangeError,
    ValueTypeError,
)
from tests.arrow_libraries import duckdb, polars, pyarrow


class Airport(Entity):
    faa: Field[str] = field(identity=True)
    name: Field[str | None] = field(default=None)
    departures: Many[Flight] = many(inverse="origin")


class Flight(Entity):
    id: Field[int] = field(identity=True, default=sequence())
    delay: Field[int | None] = field(default=0)
    late: Field[bool | None] = field(computed="delay > 10")
    origin: One[Airport] = one()


@pytest.fixture
def db() -> ormdb.Database:
    found = ormdb.open(":memory:", schema=[Airport, Flight])
    found.bulk_load(Airport, [{"faa": "JFK"}, {"faa": "LGA"}])
    return found


def frame(**columns: Any) -> Any:
    return pyarrow.table(columns)


def test_columns_load_as_rows_do(db: ormdb.Database) -> None:
    other = ormdb.open(":memory:", schema=[Airport, Flight])
    other.bulk_load(Airport, [{"faa": "JFK"}, {"faa": "LGA"}])
    columns = {"id": [3, 1, 2], "delay": [5, None, 20], "origin_faa": ["JFK", "LGA", "JFK"]}
    assert db.bulk_load(Flight, polars.DataFrame(columns)) == 3
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    other.bulk_load(Flight, rows)
    query = Airport.order_by(Airport.faa).include(Airport.departures)
    assert db.fetch(query).to_dicts() == other.fetch(query).to_dicts()
    assert not db.check(deep=True).problems


TABLE: Any = frame(id=[1, 2], delay=[None, 7], origin_faa=["JFK", "LGA"])
SOURCES: dict[str, Callable[[], Any]] = {
    "pyarrow": lambda: TABLE,
    "polars": lambda: polars.DataFrame(TABLE),
    # NULL makes these integers floats.
    "pandas": TABLE.to_pandas,
    "duckdb": lambda: duckdb.sql(
        "from (values (1, null, 'JFK'), (2, 7, 'LGA')) as v(id, delay, origin_faa)"
    ),
    "reader": lambda: TABLE.to_reader(max_chunksize=1),
}


@pytest.mark.parametrize("library", SOURCES)
def test_every_library_is_a_source(db: ormdb.Database, library: str) -> None:
    assert db.bulk_load(Flight, SOURCES[library]()) == 2
    found = db.fetch(Flight.order_by(Flight.id)).to_dicts()
    assert [row["delay"] for row in found] == [None, 7]


def test_a_column_that_is_not_there_gets_the_fields_default(db: ormdb.Database) -> None:
    db.bulk_load(Flight, frame(origin_faa=["JFK", "LGA"]))
    assert [(row.id, row.delay) for row in db.fetch(Flight)] == [(1, 0), (2, 0)]


def test_an_answer_loads_into_another_database(db: ormdb.Database) -> None:
    db.bulk_load(Flight, frame(id=[4, 5], delay=[1, None], origin_faa=["JFK", "LGA"]))
    found = db.fetch(Airport.include(Airport.departures))
    flights = pyarrow.table(found.arrow(Flight)).drop_columns("late")  # computed anew
    copy = ormdb.open(":memory:", schema=[Airport, Flight])
    # The flights come first: they may refer to airports that come later in the load.
    assert copy.bulk_load_all([(Flight, flights), (Airport, found.arrow())]) == 4
    query = Airport.order_by(Airport.faa).include(Airport.departures)
    assert copy.fetch(query).to_dicts() == db.fetch(query).to_dicts()


@pytest.mark.parametrize(
    ("columns", "error", "said"),
    [
        ({"id": [1], "colour": ["red"]}, QueryError, "no field 'colour'; its fields are id"),
        ({"id": [1], "late": [True]}, ImmutableError, "computed"),
        ({"id": [1]}, RequiredError, "origin_faa is required"),
        ({"id": [1, 2], "origin_faa": ["JFK", None]}, RequiredError, r"\(row 1\)"),
        ({"id": [1, 2], "origin_faa": ["JFK", "ZZZ"]}, ForeignKeyError, "ZZZ"),
        ({"id": [1, 1], "origin_faa": ["JFK", "LGA"]}, UniqueError, "1"),
        ({"id": ["1"], "origin_faa": ["JFK"]}, ValueTypeError, "takes no Arrow column"),
        ({"id": [1, 2.5], "origin_faa": ["JFK"] * 2}, ValueTypeError, r"Flight.id: .* \(row 1\)"),
    ],
)
def test_a_refused_load_of_columns_leaves_nothing(
    db: ormdb.Database, columns: dict[str, list[Any]], error: type[Exception], said: str
) -> None:
    version = db.version
    with pytest.raises(error, match=said):
        db.bulk_load(Flight, frame(**columns))
    assert (db.count(Flight), db.version) == (0, version)
    assert db.bulk_load(Flight, frame(id=[1], origin_faa=["JFK"])) == 1


def test_the_row_of_a_mistake_counts_from_the_first_row_of_the_source(
    db: ormdb.Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "BULK_CHUNK_ROWS", 10)
    ids: list[Any] = list(range(100))
    ids[73] = 2**63
    table = frame(id=pyarrow.array(ids, pyarrow.uint64()), origin_faa=["JFK"] * 100)
    with pytest.raises(ValueRangeError, match=r"\(row 73\)") as found:
        db.bulk_load(Flight, table.to_reader(max_chunksize=7))
    assert found.value.row == 73
    rows = [{"id": one, "origin_faa": "JFK"} for one in ids]
    with pytest.raises(ValueRangeError, match=r"\(row 73\)") as found:
        db.bulk_load(Flight, rows)
    assert found.value.row == 73
    origins: list[Any] = ["JFK"] * 100
    origins[42] = None
    with pytest.raises(RequiredError, match=r"\(row 42\)") as missing:
        db.bulk_load(Flight, frame(id=list(range(100)), origin_faa=origins))
    assert missing.value.row == 42


def test_a_source_that_fails_in_the_middle_loads_nothing(
    db: ormdb.Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "BULK_CHUNK_ROWS", 2)

    def batches() -> Iterator[Any]:
        for number in range(5):
            yield pyarrow.record_batch({"id": [number], "origin_faa": ["JFK"]})
        raise RuntimeError("the file is gone")

    schema = pyarrow.schema([("id", pyarrow.int64()), ("origin_faa", pyarrow.string())])
    version = db.version
    with pytest.raises(ColumnSourceError, match="the file is gone"):
        db.bulk_load(Flight, pyarrow.RecordBatchReader.from_batches(schema, batches()))
    assert (db.count(Flight), db.version) == (0, version)


def test_threads_load_and_read_columns_side_by_side(db: ormdb.Database) -> None:
    failed: list[BaseException] = []

    def work(first: int) -> None:
        try:
            ids = list(range(first, first + 50))
            db.bulk_load(Flight, polars.DataFrame({"id": ids, "origin_faa": ["JFK"] * 50}))
            found = polars.DataFrame(db.fetch(Flight).arrow())
            assert set(ids) <= set(found["id"].to_list())
        except BaseException as error:
            failed.append(error)
            raise

    threads = [threading.Thread(target=work, args=(first,)) for first in range(0, 400, 100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert db.count(Flight) == 200


def test_progress_counts_the_rows_of_columns(
    db: ormdb.Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "BULK_CHUNK_ROWS", 2)
    seen: list[tuple[int, int | None]] = []
    table = frame(origin_faa=["JFK"] * 5)
    db.bulk_load(Flight, table, progress=lambda done, total: seen.append((done, total)), total=5)
    assert seen == [(2, 5), (4, 5), (5, 5)]


def test_an_empty_table_loads_no_rows_and_makes_no_commit(db: ormdb.Database) -> None:
    version = db.version
    assert (
        db.bulk_load(
            Flight,
            frame(id=[], origin_faa=[]).cast(
                pyarrow.schema([("id", pyarrow.int64()), ("origin_faa", pyarrow.string())])
            ),
        )
        == 0
    )
    assert db.version == version
