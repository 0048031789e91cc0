"""pyarrow, polars, duckdb, pandas and nanoarrow read the same columns as Python does."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from ormdb.errors import QueryError, UnsupportedError
from ormdb.ir.columnar import Columns
from ormdb.ir.value import IntType
from tests.arrow_libraries import duckdb, nanoarrow, polars, pyarrow
from tests.unit.ir.arrow_samples import SAMPLES, sample_columns

# Arrow has JSON as its text, and lists as lists.
OTHERWISE: dict[str, list[Any]] = {
    "json": ['{"a":[1,null,2.0]}', None, '"x"'],
    "list": [["a", "b"], None, []],
}


@pytest.mark.parametrize("name", SAMPLES)
def test_pyarrow_reads_the_values_of_every_type(name: str) -> None:
    table = pyarrow.table(sample_columns(name))
    table.validate(full=True)
    assert table[name].to_pylist() == OTHERWISE.get(name, SAMPLES[name][1])


@pytest.mark.parametrize("name", [n for n in SAMPLES if n not in {"uuid", "time"}])
def test_polars_reads_the_values_of_every_type(name: str) -> None:
    found = polars.DataFrame(sample_columns(name))[name].to_list()
    assert found == OTHERWISE.get(name, SAMPLES[name][1])


def test_polars_reads_a_uuid_as_its_bytes() -> None:
    found = polars.DataFrame(sample_columns("uuid"))["uuid"].to_list()
    assert found == [one and one.bytes for one in SAMPLES["uuid"][1]]


def test_duckdb_asks_columns_with_sql() -> None:
    columns = sample_columns("int", "text", "uuid", "decimal", "enum", "list", "struct")
    assert columns is not None
    found = duckdb.sql("select * from columns where text is not null order by int").fetchall()
    wanted = [tuple(SAMPLES[name][1][at] for name in columns.names) for at in (2, 0)]
    assert [row[:5] for row in found] == [row[:5] for row in wanted]


def test_nanoarrow_reads_the_values_of_columns() -> None:
    found = nanoarrow.Array(sample_columns("int", "text"))
    assert [tuple(row.values()) for row in found.to_pylist()] == list(
        zip(SAMPLES["int"][1], SAMPLES["text"][1], strict=True)
    )


def test_pandas_keeps_every_value_exact() -> None:
    found = sample_columns().to_pandas()
    assert found["int"][0] == 2**63 - 1
    assert found["decimal"].dropna().tolist() == [
        one for one in SAMPLES["decimal"][1] if one is not None
    ]
    assert found["timestamp"].isna().tolist() == [False, True, False]


def test_where_pyarrow_is_not_loaded_columns_are_handed_over_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wanted = polars.DataFrame(sample_columns())
    monkeypatch.delitem(sys.modules, "pyarrow")
    assert polars.DataFrame(sample_columns()).equals(wanted)


def test_without_pandas_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(UnsupportedError, match="install"):
        sample_columns("int").to_pandas()


def test_a_schema_needs_no_values() -> None:
    names = list(SAMPLES)
    assert pyarrow.schema(sample_columns()).names == names
    assert pyarrow.schema(sample_columns()).equals(pyarrow.table(sample_columns()).schema)


def test_columns_without_rows_and_rows_without_columns_are_tables() -> None:
    empty = Columns(names=("n",), types=(IntType(),), values=([],))
    assert pyarrow.table(empty).num_rows == polars.DataFrame(empty).height == 0
    nothing = Columns(names=(), types=(), values=())
    assert pyarrow.table(nothing).num_columns == len(nothing) == 0


def test_a_column_is_found_by_its_name() -> None:
    assert sample_columns().buffers("int").data.tolist() == [2**63 - 1, 0, -(2**63)]
    with pytest.raises(QueryError, match="there are int, text"):
        sample_columns("int", "text").buffers("x")
