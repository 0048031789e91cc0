"""Holds what any, none and all say about related rows, and how many calls and rows they take."""

from __future__ import annotations

import pytest

from ormdb import limits
from ormdb.database.database import Database
from ormdb.errors import QueryError
from ormdb.ir.expr import Expr, Literal, Not, Quantifier, Related
from ormdb.ir.graph import GraphQuery
from ormdb.storage.memory import MemoryEngine
from tests.unit.query.airline import AIRPORTS, compare, flight_rows, open_airline

FLIGHTS = 60  # of the airline fixture
LATE = compare(">", "delay", 100)


def related(kind: Quantifier, path: str, condition: Expr | None = None) -> Related:
    return Related(kind=kind, path=tuple(path.split(".")), filter=condition)


def found(database: Database, entity: str, condition: Expr) -> list[object]:
    query = GraphQuery(entity=entity, filter=condition)
    identity = {"Airport": "code", "Plane": "tail"}.get(entity, "id")
    return [row[identity] for row in database.run_fetch(query).dicts()]


def test_any_none_and_all_say_what_python_says(airline: Database) -> None:
    by_plane: dict[str, list[int | None]] = {}
    for row in flight_rows(FLIGHTS):
        by_plane.setdefault(row["tail"], []).append(row["delay"])
    tails = [row["tail"] for row in airline.run_fetch(GraphQuery(entity="Plane")).dicts()]
    late = {tail: [d is not None and d > 100 for d in by_plane.get(tail, [])] for tail in tails}
    assert any(any(each) for each in late.values())
    assert any(not each for each in late.values()), "some plane has no flight"
    some = [tail for tail in tails if any(late[tail])]
    assert found(airline, "Plane", related("any", "flights", LATE)) == some
    wanted = [tail for tail in tails if not any(late[tail])]
    assert found(airline, "Plane", related("none", "flights", LATE)) == wanted
    wanted = [tail for tail in tails if all(late[tail])]
    assert found(airline, "Plane", related("all", "flights", LATE)) == wanted
    flown = [tail for tail in tails if tail in by_plane]
    assert found(airline, "Plane", related("any", "flights")) == flown


def test_not_turns_any_into_none(airline: Database) -> None:
    negated = found(airline, "Plane", Not(operand=related("any", "flights", LATE)))
    assert negated == found(airline, "Plane", related("none", "flights", LATE))


def test_a_row_that_a_path_does_not_reach_has_no_related_rows(airline: Database) -> None:
    lost = [row["id"] for row in flight_rows(FLIGHTS) if row["tail"] is None]
    unknown = compare("==", "tail", "N1000")
    assert set(found(airline, "Flight", related("any", "plane.flights"))).isdisjoint(lost)
    assert set(lost) <= set(found(airline, "Flight", related("none", "plane.flights")))
    assert set(lost) <= set(found(airline, "Flight", related("all", "plane.flights", unknown)))
    assert set(lost) <= set(found(airline, "Flight", related("all", "plane", unknown)))


def test_questions_nest_and_go_through_edge_entities(airline: Database) -> None:
    with_crew_3 = related("any", "crew", compare("==", "id", 3))
    flights = found(airline, "Flight", with_crew_3)
    wanted = [n for n in range(FLIGHTS) if 3 in {n % 20, (n + 1) % 20}]
    assert flights == wanted
    airports = found(airline, "Airport", related("any", "departures", with_crew_3))
    assert airports == sorted({AIRPORTS[n % 3] for n in wanted})


@pytest.mark.parametrize("flights", [60, 600])
def test_the_calls_of_a_question_do_not_depend_on_the_rows(
    flights: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "HASH_JOIN_PARENTS_UNKNOWN", 10**9)  # weighing takes calls
    with open_airline(MemoryEngine(), flights) as database:
        inner = related("any", "crew", compare("==", "id", 3))
        query = GraphQuery(entity="Airport", filter=related("any", "departures", inner))
        taken = database.run_fetch(query).statistics.engine_calls
        explained = database.run_explain(query)
    # The member, her duties, their rows, whose flights; these, asked; then airports likewise.
    assert taken == explained.root.engine_calls == 10


def test_many_related_rows_are_held_in_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    with open_airline(MemoryEngine(), FLIGHTS) as database:
        kinds: tuple[Quantifier, ...] = ("any", "none", "all")
        conditions = [related(kind, "departures", LATE) for kind in kinds]
        before = [found(database, "Airport", each) for each in conditions]
        by_plane = found(database, "Plane", related("any", "flights", LATE))
        for most in (1, 2, 7, 20):
            monkeypatch.setattr(limits, "RELATED_ROUND_ROWS_MAX", most)
            assert [found(database, "Airport", each) for each in conditions] == before
            assert found(database, "Plane", related("any", "flights", LATE)) == by_plane


@pytest.mark.parametrize(
    ("most", "calls", "keys"),
    [
        (1, 1 + 3 * 2, 138),  # of each parent, to see that it has more, and then all
        (7, 1 + 3 * 2, 174),
        (20, 1 + 3 * 2, 252),
        (21, 1 + 3, 133),
        (45, 1 + 2, 137),
        (61, 1 + 1, 126),
    ],
)
def test_a_round_holds_whole_parents_and_no_more_rows_than_it_should(
    monkeypatch: pytest.MonkeyPatch, most: int, calls: int, keys: int
) -> None:
    monkeypatch.setattr(limits, "RELATED_ROUND_ROWS_MAX", most)
    with open_airline(MemoryEngine(), FLIGHTS) as database:
        query = GraphQuery(entity="Airport", filter=related("any", "departures", LATE))
        taken = database.run_fetch(query).statistics
    assert (taken.engine_calls, taken.keys_read) == (calls, keys)


@pytest.mark.parametrize(
    ("condition", "words"),
    [
        (related("any", "speed"), "no relation 'speed'"),
        (related("any", "crew.duties"), "leads to many rows"),
        (related("any", "crew", compare("==", "speed", 1)), "Crew has no field 'speed'"),
        (related("any", "crew", compare("==", "id", "x")), "id"),
        (related("any", "crew", Literal(value=1)), "not a condition"),
        (Related(kind="any", path=()), "empty"),
    ],
)
def test_a_wrong_question_is_refused(airline: Database, condition: Expr, words: str) -> None:
    with pytest.raises(QueryError, match=words):
        found(airline, "Flight", condition)


def test_a_plan_of_a_question_holds_no_value(airline: Database) -> None:
    def crewed(number: int) -> list[object]:
        return found(airline, "Flight", related("any", "crew", compare("==", "id", number)))

    first, misses = crewed(3), airline.statistics().plans.misses
    assert crewed(4) != first
    assert airline.statistics().plans.misses == misses
