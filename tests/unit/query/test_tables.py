"""Holds what tables of the airline show, how their rows are read, and what is refused."""

from __future__ import annotations

import decimal
import math
from collections.abc import Sequence
from typing import Any

import pytest

from ormdb import limits
from ormdb.database.database import Database
from ormdb.errors import BudgetError, CorruptionError, LimitError, QueryError
from ormdb.ir.aggregates import squeeze_floats
from ormdb.ir.canonical import decode_node, encode_node
from ormdb.ir.explanation import Explanation
from ormdb.ir.graph import FanoutBudget, OrderSpec
from ormdb.ir.mutation import Insert
from ormdb.ir.table import TableColumn, TableQuery
from ormdb.ir.value import FloatType, IntType, TextType
from ormdb.model.expression_text import parse_expression
from ormdb.query.table_shape import take_table_shape
from ormdb.query.words import table_digest, table_words
from ormdb.storage.keys import row_key
from ormdb.storage.memory import MemoryEngine
from tests.unit.query.airline import open_airline
from tests.unit.query.conftest import FLIGHTS

SECRET = 7_654_321


def table(
    *columns: str,
    entity: str = "Flight",
    where: str | None = None,
    having: str | None = None,
    order: Sequence[str] = (),
    **others: Any,
) -> TableQuery:
    """A table query; a column is an expression, perhaps after a name and a colon."""
    named = [text.partition(": ") for text in columns]
    return TableQuery(
        entity=entity,
        columns=tuple(
            TableColumn(name=name, expression=parse_expression(text or name))
            for name, _, text in named
        ),
        filter=None if where is None else parse_expression(where),
        having=None if having is None else parse_expression(having),
        order=tuple(
            OrderSpec(
                key=parse_expression(text.removesuffix(" desc")), descending=text.endswith(" desc")
            )
            for text in order
        ),
        **others,
    )


def rows(database: Database, query: TableQuery) -> list[tuple[Any, ...]]:
    return list(zip(*database.run_table(query).values, strict=True))


def explained(database: Database, query: TableQuery) -> Explanation:
    found = database.run_explain(query, analyze=True)
    assert Explanation.from_json(found.to_json()) == found
    assert found.totals is not None
    assert found.totals.engine_calls == found.engine_calls
    return found


def test_rows_are_folded_by_the_values_of_their_keys(airline: Database) -> None:
    query = table("origin_code", "n: count()", "mean: avg(delay)", "most: max(kind)")
    answer = airline.run_table(query)
    assert [column.name for column in answer.columns] == ["origin_code", "n", "mean", "most"]
    assert [type(column.type) for column in answer.columns[:3]] == [TextType, IntType, FloatType]
    assert [column.optional for column in answer.columns] == [False, False, True, True]
    assert rows(airline, query)[0] == ("EWR", 20, 1066 / 17, "mail")
    assert len(answer) == 3
    assert decode_node(encode_node(query)) == query
    assert decode_node(encode_node(answer)).columns == answer.columns


def test_a_table_without_keys_has_one_row_whatever_there_is_to_fold(airline: Database) -> None:
    query = table("count()", "sum(delay)", "d: count(kind, distinct=True)")
    assert rows(airline, query)[0][::2] == (FLIGHTS, 3)
    none = table("count()", "sum(delay)", "avg(price)", "min(kind)", where="id < 0")
    assert rows(airline, none) == [(0, None, None, None)]
    assert rows(airline, table("origin_code", "count()", where="id < 0")) == []


def test_null_is_a_key_like_any_other_and_comes_first(airline: Database) -> None:
    found = rows(airline, table("plane.seats", "n: count()"))
    assert found[0][0] is None
    assert sum(count for _, count in found) == FLIGHTS
    assert [seats for seats, _ in found[1:]] == sorted(seats for seats, _ in found[1:])
    assert rows(airline, table("late", "count()"))[0] == (None, 9)


def test_having_and_order_know_names_expressions_and_aggregates(airline: Database) -> None:
    by_name = table("kind", "n: count()", having="n > 3", order=["n desc", "kind desc"])
    by_expr = table("kind", "n: count()", having="count() > 3", order=["count() desc", "kind desc"])
    assert rows(airline, by_name) == rows(airline, by_expr)
    hidden = table("kind", having="max(delay) > 100", order=["sum(price) desc"])
    assert [kind for (kind,) in rows(airline, hidden)] == ["people", "cargo", "mail"]
    later = table("kind", "count()", having='kind != "mail"', order=["kind"])
    assert [kind for kind, _ in rows(airline, later)] == ["cargo", "people"]


def test_a_column_may_be_computed_of_keys_and_aggregates(airline: Database) -> None:
    query = table("kind", "r: sum(delay) / count(delay)", "m: avg(delay)", 'k: concat(kind, "!")')
    with pytest.raises(QueryError, match="concat"):
        airline.run_table(query)
    query = table("origin_code", "r: sum(delay) / count(delay)", "m: avg(delay)")
    assert all(ratio == mean for _, ratio, mean in rows(airline, query))


def test_a_table_without_aggregates_has_a_row_for_each_row(airline: Database) -> None:
    query = table("id", "twice: delay * 2", order=["twice desc"], limit=2, offset=1)
    assert rows(airline, query) == [(41, 302), (27, 300)]
    plain = table("id", "origin.lat", where="id < 2")
    assert rows(airline, plain) == [(0, 40.0), (1, 41.0)]
    assert rows(airline, table("kind", distinct=True)) == [("mail",), ("cargo",), ("people",)]


def test_what_is_calculated_of_an_enum_is_sorted_by_the_position_of_its_variants(
    airline: Database,
) -> None:
    order = ['coalesce(kind, "cargo")']
    groups = rows(airline, table("kind", "count()", order=order))
    assert [kind for kind, _ in groups] == ["mail", "cargo", "people"]
    kinds = [kind for (kind,) in rows(airline, table("kind", order=order))]
    assert kinds == sorted(kinds, key=["mail", "cargo", "people"].index)


def test_equal_rows_of_groups_are_shown_once_when_that_is_asked(airline: Database) -> None:
    assert rows(airline, table("n: count()", "kind: 1", distinct=True)) == [(60, 1)]
    query = table("n: count()", distinct=True, order=["n"])
    assert rows(airline, query) == [(60,)]


def test_a_page_in_the_order_of_an_index_reads_what_it_shows(airline: Database) -> None:
    found = explained(airline, table("id", "delay", order=["time desc"], limit=3))
    assert found.root.order is not None
    assert found.root.order.by == "index"
    assert found.root.actual is not None
    assert found.root.actual.rows_read <= 4


def test_groups_of_an_index_are_counted_without_reading_their_rows(airline: Database) -> None:
    query = table("origin_code", "delay", "n: count()")
    found = explained(airline, query)
    assert found.root.grouping is not None
    assert found.root.grouping.counted_by == "by_origin"
    without = table("origin_code", "delay", "n: count()", where="id >= 0")
    assert rows(airline, query) == rows(airline, without)
    assert explained(airline, without).root.grouping != found.root.grouping


def test_an_explanation_names_groups_folds_and_hops_and_no_value(airline: Database) -> None:
    query = table(
        "origin.lat",
        f"n: count(where=delay > {SECRET})",
        having=f"n != {SECRET}",
        order=["n desc"],
        where=f"id != {SECRET}",
        limit=2,
    )
    text = explained(airline, query).to_text()
    assert "groups   by origin.lat, after following origin" in text
    assert "fold     count(where=delay > ?)" in text
    assert "having   count(where=delay > ?) != ?" in text
    assert "order    count(where=delay > ?) desc, origin.lat, by a sort" in text
    assert str(SECRET) not in text
    assert str(SECRET) not in table_words(query)


def test_queries_of_one_shape_share_a_plan_and_a_digest() -> None:
    with open_airline(MemoryEngine(), 5) as database:
        before = database.statistics().plans
        digests = set[str]()
        for number in (1, 2, 3):
            query = table(
                "kind", f"n: count(where=delay > {number})", having=f"n > {number}", limit=number
            )
            database.run_table(query)
            digests.add(table_digest(take_table_shape(query).shape))
        after = database.statistics().plans
        assert (after.misses - before.misses, after.hits - before.hits) == (1, 2)
        assert len(digests) == 1
        other = take_table_shape(table("kind", "n: count(delay)")).shape
        assert table_digest(other) not in digests


def test_only_what_is_asked_for_is_decoded(airline: Database) -> None:
    layout = airline.snapshot().layout
    flight = layout.entities["Flight"]
    shaped = take_table_shape(table("kind", "sum(delay)", where="time > 5"))
    from ormdb.clock import SystemClock
    from ormdb.query.table_compile import compile_table

    plan = compile_table(layout, shaped, clock=SystemClock())
    names = {"id", "kind", "delay", "time"}
    assert plan.base.root.decoder.slots == {flight.fields[name].slot for name in names}


def test_groups_and_values_told_apart_are_bounded_by_the_budget(airline: Database) -> None:
    budget = FanoutBudget(rows=10)
    assert len(airline.run_table(table("kind", "count()", budget=budget))) == 3
    for query in (
        table("id", "sum(delay)", budget=budget),
        table("id", "count()", budget=budget, where="id >= 0"),
        table("count(time, distinct=True)", budget=budget),
        table("id", budget=budget),
    ):
        with pytest.raises(BudgetError, match="the budget allows 10"):
            airline.run_table(query)
    with pytest.raises(BudgetError, match="seconds"):
        airline.run_table(table("kind", "count()", budget=FanoutBudget(time_s=0.0)))


def test_a_transaction_folds_its_own_writes() -> None:
    with open_airline(MemoryEngine(), 6) as database:
        query = table("n: count()", entity="Crew")
        with database.transaction() as txn:
            (before,) = txn.run_table(query).values[0]
            txn.run_mutations([Insert(entity="Crew", rows=({"id": 99, "name": "new"},))])
            assert list(txn.run_table(query).values[0]) == [before + 1]
        version = database.version
        assert rows(database, query) == [(before + 1,)]
        past = table("n: count()", entity="Crew", as_of=version - 1)
        assert rows(database, past) == [(before,)]


@pytest.mark.parametrize(
    ("query", "words"),
    [
        (table("delay", having="delay > 1"), "this table has none; use where"),
        (table("kind", "count()", order=["delay"]), "delay may differ within a group"),
        (table("kind", "count()", having="any(duties)"), "other rows"),
        (table("n: count()", "n: kind"), "two columns are called 'n'"),
        (table("delay: kind", "k: delay", "count()", order=["delay"]), "name the first one"),
        (table("nothing"), "no field 'nothing'"),
        (table("n: count()", having="n"), "not a condition"),
        (table("duties.rank"), "leads to many rows"),
        (table("n: count()", distinct=True, order=["max(delay)"]), "ordered by its columns"),
        (table("n: count()", limit=-1), "limit of the table is -1"),
        (TableQuery(entity="Flight", columns=()), "no columns"),
        (table("n: sum(kind)"), "kind is an enum"),
    ],
)
def test_what_has_no_meaning_is_refused_with_a_remedy(
    airline: Database, query: TableQuery, words: str
) -> None:
    with pytest.raises(QueryError, match=words):
        airline.run_table(query)


def test_a_table_is_bounded_in_columns_and_keys_of_its_order(airline: Database) -> None:
    with pytest.raises(LimitError, match="columns"):
        airline.run_table(table(*(f"c{n}: id" for n in range(limits.TABLE_COLUMNS_MAX + 1))))
    with pytest.raises(LimitError, match="keys"):
        airline.run_table(table("id", order=["id"] * (limits.ORDER_FIELDS_MAX + 1)))


def test_a_sum_of_floats_holds_few_of_them_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    squeezed: list[int] = []

    def noted(values: list[float]) -> list[float]:
        squeezed.append(len(values))
        return squeeze_floats(values)

    monkeypatch.setattr("ormdb.query.table_run.squeeze_floats", noted)
    monkeypatch.setattr(limits, "TABLE_ROUND_ROWS", 1_000)
    monkeypatch.setattr(limits, "FLOAT_SUM_VALUES_MAX", 50)
    count = 10_000
    with open_airline(MemoryEngine(), 0) as database:
        database.bulk_load("Airport", [{"code": f"A{n}", "lat": n / 7} for n in range(count)])
        query = table("n: count()", "s: sum(lat)", entity="Airport")
        assert rows(database, query) == [(count, math.fsum(n / 7 for n in range(count)))]
    assert 2 <= len(squeezed) <= count // 1_000 + 1
    assert max(squeezed) <= 1_000 + 2 * limits.SCAN_BATCH_ROWS


def test_values_that_an_index_cannot_tell_apart_are_counted_by_their_rows() -> None:
    long = [f"{'x' * 700}{tail}" for tail in "aab"]
    with open_airline(MemoryEngine(), 6) as database:
        database.bulk_load("Crew", [{"id": 100 + n, "name": name} for n, name in enumerate(long)])
        database.bulk_load(
            "Flight",
            [
                {"id": 100 + n, "origin_code": "JFK", "time": n, "number": f"{name}{n}"}
                for n, name in enumerate(long)
            ],
        )
        counted = rows(database, table("number", "n: count()", order=["number"]))
        assert [number for number, _ in counted[-3:]] == [
            f"{name}{n}" for n, name in enumerate(long)
        ]
        assert {count for _, count in counted} == {1}
        by_name = rows(database, table("name", "n: count()", entity="Crew", order=["name"]))
        assert by_name[-2:] == [(long[0], 2), (long[2], 1)]


def test_an_index_that_leads_to_a_row_that_is_not_there_counts_nothing() -> None:
    with open_airline(MemoryEngine(), 30) as database:
        with database.snapshot() as snapshot:
            flight = snapshot.layout.entities["Flight"]
        index = next(each for each in flight.indexes if each.name == "by_price")
        query = table("price", "n: count()")
        assert len(rows(database, query)) == 30
        txn = database.engine.begin_write()
        txn.put_many(index.space, [(index.encode_values([decimal.Decimal(7_777)]), row_key(999))])
        txn.commit()
        with pytest.raises(CorruptionError, match="not there"):
            database.run_table(query)
