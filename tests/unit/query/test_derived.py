"""Holds what is folded from related rows: in filters, in orders, and beside the rows of a graph."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ormdb import limits
from ormdb.database.database import Database
from ormdb.errors import QueryError
from ormdb.ir.expr import (
    Aggregate,
    AggregateFunction,
    Arithmetic,
    Call,
    Compare,
    Expr,
    FieldRef,
    Literal,
    NamedParam,
    Related,
)
from ormdb.ir.graph import Derived, GraphQuery, Include, OrderSpec, Page
from ormdb.ir.value import IntType, RowDict
from ormdb.storage.memory import MemoryEngine
from tests.unit.query.airline import AIRPORTS, CREW, by, compare, flight_rows, open_airline

FLIGHTS = 60  # of the airline fixture
LATE = compare(">", "delay", 100)
DELAY = FieldRef(path=("delay",))


def folded(
    function: AggregateFunction,
    path: str,
    operand: Expr | None = None,
    *,
    condition: Expr | None = None,
    distinct: bool = False,
) -> Aggregate:
    return Aggregate(
        function=function,
        operand=operand,
        filter=condition,
        distinct=distinct,
        path=tuple(path.split(".")),
    )


def named(**values: Expr) -> tuple[Derived, ...]:
    return tuple(Derived(name=name, value=value) for name, value in values.items())


def delays(code: str) -> list[int | None]:
    return [row["delay"] for row in flight_rows(FLIGHTS) if row["origin_code"] == code]


def fetched(database: Database, query: GraphQuery) -> list[RowDict]:
    return database.run_fetch(query).dicts()


def test_each_fold_is_what_python_makes_of_the_same_rows(airline: Database) -> None:
    query = GraphQuery(
        entity="Airport",
        select=("code",),
        derived=named(
            rows=folded("count", "departures"),
            known=folded("count", "departures", DELAY),
            kinds=folded("count", "departures", FieldRef(path=("kind",)), distinct=True),
            late=folded("count", "departures", condition=LATE),
            total=folded("sum", "departures", DELAY),
            mean=folded("avg", "departures", DELAY),
            least=folded("min", "departures", DELAY),
            most=folded("max", "departures", DELAY, condition=LATE),
        ),
    )
    for row in fetched(airline, query):
        all_delays = delays(row["code"])
        known = [delay for delay in all_delays if delay is not None]
        late = [delay for delay in known if delay > 100]
        assert row == {
            "code": row["code"],
            "rows": len(all_delays),
            "known": len(known),
            "kinds": 1,
            "late": len(late),
            "total": sum(known),
            "mean": sum(known) / len(known),
            "least": min(known),
            "most": max(late),
        }


def test_of_no_rows_there_is_a_count_and_nothing_else() -> None:
    with open_airline(MemoryEngine()) as database:
        database.insert_rows("Airport", [{"code": "JFK"}])
        query = GraphQuery(
            entity="Airport",
            select=(),
            derived=named(
                rows=folded("count", "departures"),
                total=folded("sum", "departures", DELAY),
                most=folded("max", "departures", DELAY),
            ),
        )
        assert fetched(database, query) == [{"rows": 0, "total": None, "most": None}]


def test_folds_go_through_edge_entities_and_count_a_row_once(airline: Database) -> None:
    member = FieldRef(path=("id",))
    query = GraphQuery(
        entity="Flight",
        select=("id",),
        derived=named(crew=folded("count", "crew"), first=folded("min", "crew", member)),
        page=Page(limit=3),
    )
    assert [(row["crew"], row["first"]) for row in fetched(airline, query)] == [
        (2, min(n % CREW, (n + 1) % CREW)) for n in range(3)
    ]


def test_operands_and_values_follow_paths(airline: Database) -> None:
    seats = FieldRef(path=("plane", "seats"))
    query = GraphQuery(
        entity="Airport",
        select=("code",),
        derived=named(seats=folded("max", "departures", seats)),
    )
    seats_of = {f"N{n}": n or None for n in range(40)}
    for row in fetched(airline, query):
        flown = [f["tail"] for f in flight_rows(FLIGHTS) if f["origin_code"] == row["code"]]
        known = [n for tail in flown if (n := seats_of.get(tail)) is not None]
        assert row["seats"] == max(known)
    query = GraphQuery(
        entity="Flight",
        select=("id",),
        derived=named(others=folded("count", "origin.departures")),
        page=Page(limit=1),
    )
    assert fetched(airline, query) == [{"id": 0, "others": 20}]


def test_includes_derive_for_each_of_their_rows(airline: Database) -> None:
    crew = Derived(name="crew_count", value=folded("count", "duties"))
    twice = Arithmetic(op="*", left=DELAY, right=Literal(value=2))
    query = GraphQuery(
        entity="Airport",
        select=("code",),
        includes=(
            Include(
                relation="departures",
                select=("id", "delay"),
                order=by("id"),
                limit=2,
                derived=(crew, Derived(name="twice", value=twice)),
            ),
        ),
    )
    answer = airline.run_fetch(query)
    for airport in answer.dicts():
        for flight in airport["departures"]:
            assert flight["crew_count"] == 2
            assert flight["twice"] == (None if flight["delay"] is None else 2 * flight["delay"])
    block = answer.blocks.entities[1]
    assert block.fields[-2:] == ("crew_count", "twice")
    assert list(block.columns[-2]) == [2] * len(block)


@pytest.mark.parametrize("descending", [False, True])
def test_rows_are_ordered_by_what_is_folded_or_calculated(
    airline: Database, *, descending: bool
) -> None:
    def ordered(key: Expr, of: Callable[[str], Any]) -> None:
        order = (OrderSpec(key=key, descending=descending),)
        query = GraphQuery(entity="Airport", order=order, select=("code",))
        found = [row["code"] for row in fetched(airline, query)]
        assert found == sorted(sorted(AIRPORTS, reverse=descending), key=of, reverse=descending)
        paged: list[str] = []
        cursor = None
        for _ in AIRPORTS:
            page = Page(limit=1, after=cursor)
            answer = airline.run_fetch(
                GraphQuery(entity="Airport", order=order, select=("code",), page=page)
            )
            paged.extend(row["code"] for row in answer.dicts())
            cursor = answer.next_cursor
        assert paged == found
        assert cursor is None

    ordered(
        folded("count", "departures", condition=LATE),
        lambda code: sum(delay is not None and delay > 100 for delay in delays(code)),
    )
    ordered(
        folded("avg", "departures", DELAY),
        lambda code: sum(filter(None, delays(code))) / sum(d is not None for d in delays(code)),
    )
    ordered(Call(name="length", arguments=(FieldRef(path=("code",)),)), lambda code: 3)


def test_a_filter_compares_what_is_folded(airline: Database) -> None:
    count = folded("count", "departures", condition=LATE)
    numbers = {
        code: sum(delay is not None and delay > 100 for delay in delays(code)) for code in AIRPORTS
    }
    for bound in set(numbers.values()):
        query = GraphQuery(
            entity="Airport",
            filter=Compare(op=">=", left=count, right=Literal(value=bound)),
            select=("code",),
        )
        wanted = [code for code in AIRPORTS if numbers[code] >= bound]
        assert [row["code"] for row in fetched(airline, query)] == wanted
    none = Compare(op=">", left=folded("max", "duties", FieldRef(path=("rank",))), right=DELAY)
    inner = Related(kind="any", path=("departures",), filter=none)
    assert len(fetched(airline, GraphQuery(entity="Airport", filter=inner))) == len(AIRPORTS)


def test_folds_are_kept_and_go_when_a_child_changes() -> None:
    with open_airline(MemoryEngine(), FLIGHTS) as plain:
        rows = [row for row in flight_rows(FLIGHTS) if row["origin_code"] == "JFK"]
        query = GraphQuery(
            entity="Airport",
            filter=compare("==", "code", "JFK"),
            select=("code",),
            derived=named(total=folded("sum", "departures", DELAY)),
        )
        before = fetched(plain, query)[0]["total"]
        changed = next(row for row in rows if row["delay"] is not None)
        plain.update_row("Flight", (changed["id"],), {"delay": changed["delay"] + 5})
        assert fetched(plain, query)[0]["total"] == before + 5


def test_a_fold_reads_in_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    with open_airline(MemoryEngine(), FLIGHTS) as database:
        query = GraphQuery(
            entity="Airport",
            derived=named(
                total=folded("sum", "departures", DELAY),
                crew=folded("count", "departures", condition=LATE),
            ),
        )
        wanted = fetched(database, query)
        for most in (1, 7, 20):
            monkeypatch.setattr(limits, "RELATED_ROUND_ROWS_MAX", most)
            assert fetched(database, query) == wanted


def test_calls_are_those_that_are_planned(airline: Database) -> None:
    query = GraphQuery(
        entity="Airport",
        order=(OrderSpec(key=folded("count", "departures")),),
        derived=named(seats=folded("max", "departures", FieldRef(path=("plane", "seats")))),
    )
    answer = airline.run_fetch(query)
    assert answer.statistics.engine_calls == airline.run_explain(query).engine_calls


@pytest.mark.parametrize(
    ("query", "words"),
    [
        (
            GraphQuery(entity="Airport", derived=named(code=folded("count", "departures"))),
            "another name",
        ),
        (GraphQuery(entity="Airport", derived=named(n=folded("sum", "departures"))), "sum"),
        (
            GraphQuery(
                entity="Airport",
                derived=named(n=folded("sum", "departures", FieldRef(path=("number",)))),
            ),
            "sum",
        ),
        (GraphQuery(entity="Airport", derived=named(n=folded("count", "speed"))), "no relation"),
        (
            GraphQuery(entity="Airport", order=(OrderSpec(key=Aggregate(function="count")),)),
            "one row",
        ),
        (GraphQuery(entity="Airport", derived=named(n=Literal(value=None))), "NULL"),
    ],
)
def test_what_cannot_be_derived_is_refused(
    airline: Database, query: GraphQuery, words: str
) -> None:
    with pytest.raises(QueryError, match=words):
        fetched(airline, query)


def test_what_is_derived_is_part_of_what_its_level_took(airline: Database) -> None:
    crews = Derived(name="crews", value=Aggregate(function="count", path=("crew",)))
    query = GraphQuery(entity="Flight", derived=(crews,))
    cost = airline.run_fetch(query).statistics
    totals = airline.run_explain(query, analyze=True).totals
    assert totals is not None
    assert (totals.engine_calls, totals.keys_read) == (cost.engine_calls, cost.keys_read)


def test_a_prepared_row_by_its_identity_has_what_is_derived(airline: Database) -> None:
    crews = Derived(name="crews", value=Aggregate(function="count", path=("crew",)))
    wanted = GraphQuery(entity="Flight", filter=compare("==", "id", 3), derived=(crews,))
    asked = Compare(
        op="==",
        left=FieldRef(path=("id",)),
        right=NamedParam(name="number", type=IntType()),
    )
    prepared = airline.run_prepare(GraphQuery(entity="Flight", filter=asked, derived=(crews,)))
    assert prepared.run_fetch({"number": 3}).dicts() == airline.run_fetch(wanted).dicts()
