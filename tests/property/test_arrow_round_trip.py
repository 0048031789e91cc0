"""ormdb → Arrow → ormdb gives every value back, over every library, and as pyarrow reads it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ormdb
from ormdb.errors import ValueRangeError
from ormdb.ir.arrow_source import ArrowSource
from ormdb.ir.check_columns import column_checker
from ormdb.ir.columnar import Columns
from ormdb.ir.columns import table_buffers
from ormdb.ir.graph import GraphQuery
from ormdb.ir.schema import EntityDef, FieldDef, SchemaBundle
from ormdb.ir.table import TableBlock
from ormdb.ir.value import (
    IntType,
    JsonType,
    ListType,
    Type,
    Value,
)
from ormdb.testing.strategies import types_of_fields, values
from tests.arrow_libraries import polars, pyarrow
from tests.box import Box
from tests.oracle.stage import open_stage
from tests.oracle.tables import TableMaker
from tests.unit.ir.test_arrow_stream import Handed


@st.composite
def columns_of_one_type(draw: st.DrawFn) -> tuple[Type, list[Value]]:
    kind = draw(types_of_fields())
    return kind, draw(st.lists(st.none() | values(kind), max_size=12))


def columns_of(kind: Type, found: list[Value]) -> Columns:
    return Columns(names=("x",), types=(kind,), values=(found,))


def read(source: Any, kind: Type) -> list[Value]:
    """What a load of the source would write, before defaults."""
    found: list[Value] = []
    with ArrowSource(source) as opened:
        for chunk in opened.chunks({"x": kind}, "Thing"):
            found += column_checker(kind)(chunk.values["x"], "Thing.x")
    return found


def is_same(one: Value, other: Value) -> bool:
    """Equal, and of the same classes all the way down."""
    return one == other and repr(one) == repr(other)


@given(columns_of_one_type())
def test_every_value_comes_back_over_our_own_callbacks(given_: tuple[Type, list[Value]]) -> None:
    kind, found = given_
    batch = table_buffers(columns_of(kind, found).named_columns(), len(found))
    assert is_same(read(Handed(batch), kind), found)
    assert is_same(read(Handed(batch, batch), kind), found * 2)


@given(columns_of_one_type(), st.integers(0, 12), st.integers(0, 12))
def test_every_slice_of_a_table_comes_back(
    given_: tuple[Type, list[Value]], start: int, count: int
) -> None:
    kind, found = given_
    table = pyarrow.table(columns_of(kind, found))
    assert is_same(read(table.slice(start, count), kind), found[start : start + count])
    chunks = pyarrow.concat_tables([table.slice(start), table.slice(0, count)])
    assert is_same(read(chunks, kind), found[start:] + found[:count])


@given(columns_of_one_type())
def test_every_value_comes_back_over_polars(given_: tuple[Type, list[Value]]) -> None:
    kind, found = given_
    assert is_same(read(polars.DataFrame(columns_of(kind, found)), kind), found)


@given(columns_of_one_type())
def test_pyarrow_reads_what_was_written(given_: tuple[Type, list[Value]]) -> None:
    kind, found = given_
    table = pyarrow.table(columns_of(kind, found))
    table.validate(full=True)
    seen = table["x"].to_pylist()
    match kind:
        case JsonType():
            assert [one and json.loads(one) for one in seen] == found
        case ListType():
            assert seen == [one if one is None else list(one) for one in found]
        case _:
            assert seen == found


@settings(max_examples=25)
@given(st.data(), st.lists(types_of_fields(), min_size=1, max_size=4))
def test_a_database_loads_what_another_one_answers(data: st.DataObject, kinds: list[Type]) -> None:
    fields = [FieldDef(name="id", type=IntType())]
    fields += [FieldDef(name=f"f{n}", type=kind, optional=True) for n, kind in enumerate(kinds)]
    bundle = SchemaBundle(
        entities=(EntityDef(name="thing", fields=tuple(fields), identity=("id",)),)
    )
    rows = [
        {"id": number} | {f"f{n}": data.draw(st.none() | values(k)) for n, k in enumerate(kinds)}
        for number in range(data.draw(st.integers(0, 5)))
    ]
    with ormdb.open(":memory:", schema=bundle) as one, ormdb.open(":memory:", schema=bundle) as two:
        one.bulk_load("thing", rows)
        query = GraphQuery(entity="thing")
        found = one.fetch(query)
        assert two.bulk_load("thing", found.arrow()) == len(rows)
        assert is_same(two.fetch(query).to_dicts(), found.to_dicts())


def values_of(block: TableBlock) -> dict[str, list[Value]]:
    """What a load of the table would read."""
    found: dict[str, list[Value]] = {column.name: [] for column in block.columns}
    kinds = {column.name: column.type for column in block.columns}
    with ArrowSource(block) as source:
        for chunk in source.chunks(kinds, "table"):
            for name, values_ in chunk.values.items():
                found[name] += values_
    return found


@pytest.mark.soak(seconds=6, cases_min=100)
def test_every_table_that_a_query_answers_comes_back(box: Box) -> None:
    for seed in box.seeds():
        with open_stage(seed) as stage:
            maker, checked = TableMaker(stage.maker), 0
            for _ in range(30):
                query = maker.query()
                try:
                    block = stage.database.run_table(query)
                except ValueRangeError:
                    continue  # a sum may leave its range
                wanted = [list(column) for column in block.values]
                assert is_same(list(values_of(block).values()), wanted), repr(query)
                checked += 1
            box.count(checked)
