"""Holds that prepared queries and tables answer as SQLite and a naive interpreter do, over
generated schemas, rows and queries."""

from __future__ import annotations

import random
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

import pytest

import ormdb
from ormdb.errors import OrmdbError, ValueRangeError
from ormdb.ir.bind import bind_query, bind_table
from ormdb.ir.graph import GraphQuery
from ormdb.ir.schema import SchemaBundle
from ormdb.ir.table import TableBlock, TableQuery
from ormdb.ir.value import RowDict, Value
from ormdb.query.prepared import Given, binder
from ormdb.session import Answer, Context, PreparedTableReads
from tests.box import Box
from tests.oracle.compare import DifferenceError, check_same, compare_world
from tests.oracle.naive import Naive
from tests.oracle.prepared import Parametrizer, PreparedSession, PreparedWriter, varied
from tests.oracle.sqlite_side import TooDeepForSqliteError
from tests.oracle.stage import Stage, open_stage
from tests.oracle.tables import NaiveTables, OutOfRangeError, TableMaker

TABLES_PER_STAGE = 40
QUERIES_PER_STAGE = 40
RUNS_PER_TABLE = 3
SEEDS_FOR_A_FAULT = 30


@pytest.mark.soak(seconds=15, cases_min=1_000)
def test_prepared_queries_answer_as_sqlite_does(box: Box) -> None:
    reused = 0

    @contextmanager
    def open_prepared(bundle: SchemaBundle) -> Generator[PreparedSession]:
        nonlocal reused
        with ormdb.open(":memory:", schema=bundle) as database:
            session = PreparedSession(database)
            yield session
            reused += session.reused

    for seed in box.seeds():
        box.count(compare_world(seed, open_prepared).compared)
    assert box.only_seed or reused > 10


# --- other literals ----------------------------------------------------------------------------


@pytest.mark.soak(seconds=20, cases_min=1_000)
def test_queries_that_differ_in_their_literals_answer_right_by_one_plan(box: Box) -> None:
    shared = 0
    for seed in box.seeds():
        with open_stage(seed) as stage:
            ran, found = compare_variations(stage)
            box.count(ran)
            shared += found
    assert box.only_seed or shared > 100


def compare_variations(stage: Stage) -> tuple[int, int]:
    """Queries with several values for their literals, plain and prepared, against SQLite and the
    naive interpreter; how many answers, and how many of these took the plan of another query."""
    naive, sqlite = Naive(stage.names, stage.tables.rows), stage.tables.mirror
    ran = shared = 0
    for query in stage.queries(QUERIES_PER_STAGE):
        maker = Parametrizer()
        template = maker.query(replace(query, page=replace(query.page, after=None, before=None)))
        prepared = stage.database.run_prepare(template)
        values = maker.values
        for number in range(RUNS_PER_TABLE):
            bound = bind_query(template, values)
            misses = stage.database.statistics().plans.misses
            try:
                found = stage.database.run_fetch(bound).dicts()
            except OrmdbError as error:
                with pytest.raises(type(error)):
                    prepared.run_fetch(values)
            else:
                shared += number > 0 and stage.database.statistics().plans.misses == misses
                where = f"{stage.label}: {bound!r}"
                check_same(found, prepared.run_fetch(values).dicts(), f"prepared, {where}")
                for oracle in (naive, sqlite):
                    with suppress(TooDeepForSqliteError):
                        check_same(oracle.fetch(bound), found, where)
                ran += 2
            values = varied(stage.rng, values)
    return ran, shared


# --- streams -----------------------------------------------------------------------------------


class StreamingWriter(PreparedWriter):
    """A writer whose prepared queries are fetched and streamed."""

    def run_fetch(self, query: GraphQuery, *, context: Context | None = None) -> Answer:
        answer = super().run_fetch(query, context=context)
        if query.page.before is None:
            batch = random.Random(len(repr(query))).choice([1, 2, 7, 1000])
            batches = list(self.run_stream(query, batch=batch, context=context))
            streamed = [row for each in batches for row in each.dicts()]
            if streamed != answer.dicts() or any(len(each) > batch for each in batches):
                raise DifferenceError(f"a prepared stream gives something else: {query!r}")
        return answer


class StreamingSession(PreparedSession, StreamingWriter):
    """A session whose prepared queries are fetched and streamed."""

    @contextmanager
    def begin(self, *, context: Context | None = None) -> Generator[StreamingWriter]:
        with self.session.begin(context=context) as writer:
            yield StreamingWriter(writer)


@pytest.mark.soak(seconds=12, cases_min=1_000)
def test_streams_of_prepared_queries_give_what_sqlite_says(box: Box) -> None:
    @contextmanager
    def open_streaming(bundle: SchemaBundle) -> Generator[StreamingSession]:
        with ormdb.open(":memory:", schema=bundle) as database:
            yield StreamingSession(database)

    for seed in box.seeds():
        box.count(compare_world(seed, open_streaming).compared)


# --- tables ------------------------------------------------------------------------------------


@pytest.mark.soak(seconds=15, cases_min=1_000)
def test_prepared_tables_answer_as_the_naive_interpreter_does(box: Box) -> None:
    for seed in box.seeds():
        with open_stage(seed) as stage:
            box.count(compare_tables(stage))


def test_a_parameter_that_gets_the_value_of_another_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def confused(*given: Any) -> Callable[[Given], Sequence[Value]]:
        bind = binder(*given)
        return lambda values: bind(dict(zip(values, reversed(list(values.values())), strict=True)))

    monkeypatch.setattr("ormdb.query.prepared_table.binder", confused)
    with pytest.raises((DifferenceError, OrmdbError)):
        for seed in range(SEEDS_FOR_A_FAULT):
            with open_stage(seed) as stage:
                compare_tables(stage)


def compare_tables(stage: Stage) -> int:
    """Prepared tables, each with several values for its parameters; how many runs."""
    naive, maker = NaiveTables(Naive(stage.names, stage.tables.rows)), TableMaker(stage.maker)
    runs = 0
    for number in range(TABLES_PER_STAGE):
        query = maker.query()
        parametrizer = Parametrizer(shared=number % 2 == 0)
        template = parametrizer.table(query)
        prepared = stage.database.run_prepare_table(template)
        values = parametrizer.values
        for _ in range(RUNS_PER_TABLE):
            compare_run(stage, naive, prepared, bind_table(template, values), values)
            values = varied(stage.rng, values)
            runs += 1
    return runs


def compare_run(
    stage: Stage,
    naive: NaiveTables,
    prepared: PreparedTableReads,
    bound: TableQuery,
    values: dict[str, Value],
) -> None:
    """One run of a prepared table against the table it means, and against the interpreter."""
    where = f"{stage.label}: {bound!r}"
    try:
        expected = dicts_of(stage.database.run_table(bound))
    except OrmdbError as error:
        with pytest.raises(type(error)):
            prepared.run_table(values)
        if isinstance(error, ValueRangeError):
            with pytest.raises(OutOfRangeError):
                naive.answer(bound)
        return
    check_same(expected, dicts_of(prepared.run_table(values)), where)
    check_same(naive.answer(bound), expected, where)


def dicts_of(block: TableBlock) -> list[RowDict]:
    names = [column.name for column in block.columns]
    return [dict(zip(names, row, strict=True)) for row in zip(*block.values, strict=True)]
