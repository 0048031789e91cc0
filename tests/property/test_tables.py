"""Holds that tables are what a naive interpreter makes of the same rows, over generated worlds."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ormdb.errors import OrmdbError, ValueRangeError
from ormdb.ir.expr import Aggregate, AggregateFunction, FieldRef
from ormdb.ir.table import TableBlock, TableColumn, TableQuery
from ormdb.ir.value import IntType, RowDict, Value
from ormdb.session import Reader
from tests.box import Box
from tests.oracle.compare import DifferenceError, check_same
from tests.oracle.naive import Naive
from tests.oracle.partition import parts_of
from tests.oracle.sqlite_tables import SqliteTables
from tests.oracle.stage import Stage, narrowed, open_stage
from tests.oracle.tables import NaiveTables, OutOfRangeError, TableMaker, smaller

TABLES_PER_STAGE = 60
SEEDS_FOR_A_FAULT = 30


def dicts_of(block: TableBlock) -> list[RowDict]:
    names = [column.name for column in block.columns]
    return [dict(zip(names, row, strict=True)) for row in zip(*block.values, strict=True)]


def compare(reader: Reader, naive: NaiveTables, query: TableQuery, label: str) -> None:
    """See that a table is as it has to be.

    Raises:
      DifferenceError: it is not, or was refused.
    """
    where = f"{label}: {query!r}"
    try:
        expected = naive.answer(query)
    except OutOfRangeError:
        with pytest.raises(ValueRangeError):
            reader.run_table(query)
        return
    try:
        found = dicts_of(reader.run_table(query))
    except OrmdbError as error:
        raise DifferenceError(f"{error!r}\n  in {where}") from error
    check_same(expected, found, where)


def compare_shrunk(reader: Reader, naive: NaiveTables, query: TableQuery, label: str) -> None:
    """`compare`, which names the smallest query that still differs."""
    try:
        compare(reader, naive, query, label)
    except DifferenceError:
        for less in smaller(query):
            compare_shrunk(reader, naive, less, label)
        raise


def compare_some(stage: Stage) -> int:
    naive, maker = NaiveTables(Naive(stage.names, stage.tables.rows)), TableMaker(stage.maker)
    for _ in range(TABLES_PER_STAGE):
        compare_shrunk(stage.database, naive, maker.query(), stage.label)
    return TABLES_PER_STAGE


@pytest.mark.soak(seconds=10, cases_min=300)
def test_a_table_is_what_a_naive_interpreter_makes_of_the_rows(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ormdb.limits.FLOAT_SUM_VALUES_MAX", 2)
    for seed in box.seeds():
        with open_stage(seed) as stage:
            box.count(compare_some(stage))


@pytest.mark.soak(seconds=7, cases_min=600)
def test_a_table_is_what_sqlite_says(box: Box) -> None:
    for seed in box.seeds():
        with open_stage(seed) as stage:
            box.count(compare_with_sqlite(stage))


def compare_with_sqlite(stage: Stage) -> int:
    """Tables that SQLite can say as well; how many."""
    sqlite, maker, checked = SqliteTables(stage.tables.mirror), TableMaker(stage.maker), 0
    for _ in range(TABLES_PER_STAGE):
        query = maker.query()
        expected = sqlite.answer(query)
        if expected is not None:
            found = dicts_of(stage.database.run_table(query))
            check_same(expected, found, f"{stage.label}: {query!r}")
            checked += 1
    return checked


def test_rows_that_nobody_sorts_are_found_by_sqlite(monkeypatch: pytest.MonkeyPatch) -> None:
    def as_they_come(positions: list[int], *_: object) -> None:
        positions.sort()

    monkeypatch.setattr("ormdb.query.table_run.sort_positions", as_they_come)
    with pytest.raises(DifferenceError):
        for seed in range(SEEDS_FOR_A_FAULT):
            with open_stage(seed) as stage:
                compare_with_sqlite(stage)


def test_a_sum_that_forgets_a_value_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def forgetful(values: list[float]) -> float:
        return sum(values[1:])

    monkeypatch.setattr("ormdb.query.table_run.sum_floats", forgetful)
    with pytest.raises(DifferenceError):
        for seed in range(SEEDS_FOR_A_FAULT):
            with open_stage(seed) as stage:
                compare_some(stage)


# --- partition ---------------------------------------------------------------------------------


def folded(reader: Reader, query: TableQuery) -> list[Value]:
    """The only row of a table without keys."""
    return [column[0] for column in reader.run_table(query).values]


def check_partition(stage: Stage) -> int:
    """Counts and sums of a whole against those of its three parts."""
    maker, checked = stage.maker, 0
    for query in stage.queries(TABLES_PER_STAGE):
        numbers = [
            path for path, field, _ in maker.fields(query.entity) if isinstance(field.type, IntType)
        ]
        operand = FieldRef(path=stage.rng.choice(numbers)) if numbers else None
        columns = [TableColumn(name="rows", expression=Aggregate(function="count"))]
        for name in ("count", "sum", "min") if operand is not None else ():
            function: AggregateFunction = name
            aggregate = Aggregate(function=function, operand=operand)
            columns.append(TableColumn(name=f"of {name}", expression=aggregate))
        whole = TableQuery(entity=query.entity, filter=query.filter, columns=tuple(columns))
        parts = [
            replace(whole, filter=narrowed(query, part).filter)
            for part in parts_of(maker.condition(query.entity))
        ]
        try:
            found = folded(stage.database, whole)
            split = [folded(stage.database, part) for part in parts]
        except ValueRangeError:
            continue
        for number, column in enumerate(columns):
            values = [one[number] for one in split if one[number] is not None]
            least = column.name == "of min"
            joined = (min(values) if least else sum(values)) if values else None
            if joined != found[number]:
                raise DifferenceError(f"{column.name} {values} of {found[number]}: {whole!r}")
        checked += 1
    return checked


@pytest.mark.soak(seconds=5, cases_min=150)
def test_what_is_folded_of_three_parts_is_what_is_folded_of_the_whole(box: Box) -> None:
    for seed in box.seeds():
        with open_stage(seed) as stage:
            box.count(check_partition(stage))


# --- plans -------------------------------------------------------------------------------------


@pytest.mark.soak(seconds=5, cases_min=150)
def test_a_table_does_not_depend_on_how_its_rows_come(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    for seed in box.seeds():
        with open_stage(seed) as stage:
            maker = TableMaker(stage.maker)
            for _ in range(TABLES_PER_STAGE // 2):
                query = maker.query()
                expected = outcome(stage.database, query)
                with monkeypatch.context() as patched:
                    patched.setattr("ormdb.limits.TABLE_ROUND_ROWS", 3)
                    patched.setattr("ormdb.limits.PATH_ROUND_ROWS_MAX", 3)
                    with stage.database.snapshot() as fresh:
                        found = outcome(fresh, replace(query, as_of=stage.database.version))
                check_same(expected, found, f"{stage.label}: {query!r}")
                box.count()


def outcome(reader: Reader, query: TableQuery) -> Value:
    """The rows of a table, or the class of the error."""
    try:
        return dicts_of(reader.run_table(query))
    except OrmdbError as error:
        return error.code
