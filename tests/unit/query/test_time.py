"""Holds that every long way through a query asks for its time and its cancellation as it goes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import ormdb
from ormdb import Cancellation, Context, Database, Entity, Field, Many, One, field, many, one
from ormdb.errors import BudgetError, CancelledError
from tests.oracle.clocks import StillClock

EDGES = 60_000
PEOPLE = 2_000


class Person(Entity):
    id: Field[int] = field(identity=True)
    name: Field[str]
    rank: Field[int] = field(index=True)
    roles: Many[Role] = many(inverse="person")


class Role(Entity):
    id: Field[int] = field(identity=True)
    line: Field[int]
    person: One[Person] = one()


class AskedClock(StillClock):
    """Stands still, and counts how often it is asked; tells `told` each time."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0
        self.told: Callable[[int], None] = lambda _: None

    def monotonic_s(self) -> float:
        self.asked += 1
        self.told(self.asked)
        return super().monotonic_s()


@pytest.fixture(scope="module")
def clock() -> AskedClock:
    return AskedClock()


@pytest.fixture(scope="module")
def db(clock: AskedClock, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    path: Path = tmp_path_factory.mktemp("time") / "cast.ormdb"
    with ormdb.open(
        path,
        schema=[Person, Role],
        clock=clock,
        durability="none",
        statistics="manual",
        cache_bytes=0,
    ) as opened:
        opened.bulk_load(
            Person,
            [{"id": n, "name": f"p{n * 7 % 100}", "rank": -n} for n in range(PEOPLE)],
        )
        opened.bulk_load(
            Role,
            [{"id": n, "line": n * 7919 % EDGES, "person_id": n % PEOPLE} for n in range(EDGES)],
        )
        yield opened


LISTED = list(range(0, 2 * EDGES, 2))
Run = Callable[[Database, Context | None], object]
WAYS: dict[str, Run] = {
    "a wide level": lambda db, who: db.fetch(Person.include(Person.roles), context=who),
    "a filtered level": lambda db, who: db.fetch(
        Person.include(Person.roles.where(Role.line < 0)), context=who
    ),
    "two levels": lambda db, who: db.fetch(
        Person.include(Person.roles.include(Role.person)), context=who
    ),
    "an ordered level": lambda db, who: db.fetch(
        Person.include(Person.roles.order_by(Role.line)), context=who
    ),
    "a scan": lambda db, who: db.fetch(Role.where(Role.line < 0), context=who),
    "a sort": lambda db, who: db.fetch(Role.order_by(Role.line.desc()), context=who),
    "a path": lambda db, who: db.fetch(Role.where(Role.person[Person.name] == "x"), context=who),
    "a list of identities": lambda db, who: db.fetch(Role.where(Role.id.in_(LISTED)), context=who),
    "a list in an index": lambda db, who: db.fetch(
        Person.where(Person.rank.in_(LISTED)), context=who
    ),
    "a count": lambda db, who: db.count(Role.where(Role.line < 0), context=who),
    "an exists": lambda db, who: db.exists(Role.where(Role.line < 0), context=who),
    "a stream": lambda db, who: list(db.stream(Role.order_by(Role.line), context=who).batches()),
    "a prepared query": lambda db, who: db.prepare(
        Person.include(Person.roles), context=who
    ).fetch(),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_long_call_is_cancelled_wherever_it_asks_and_leaves_the_database_usable(
    db: Database, clock: AskedClock, way: str
) -> None:
    run = WAYS[way]
    run(db, None)  # makes the plan, which asks as well
    before = clock.asked
    run(db, None)
    asked = clock.asked - before
    assert asked > 5, "it goes on for long without asking"
    for at in sorted({2, 3, asked // 3, asked // 2, 2 * asked // 3}):
        stop, begun = Cancellation(), clock.asked

        def cancel(number: int, stop: Cancellation = stop, last: int = begun + at) -> None:
            if number >= last:
                stop.cancel()

        clock.told = cancel
        with pytest.raises(CancelledError):
            run(db, Context.system(cancellation=stop))
        clock.told = lambda _: None
        assert db.fetch(Role.where(Role.id == 7))[0].line == 7 * 7919 % EDGES
    db.get(Role, 1)
    assert db.statistics().engine.readers == 0


@pytest.mark.parametrize("way", ["a wide level", "a sort", "a list of identities", "a count"])
def test_time_that_runs_out_inside_ends_the_call(db: Database, clock: AskedClock, way: str) -> None:
    begun, moment = clock.asked, clock.now_us

    def pass_time(number: int) -> None:
        if number == begun + 5:
            clock.advance(seconds=100)

    clock.told = pass_time
    with pytest.raises(BudgetError, match="seconds") as caught:
        WAYS[way](db, None)
    clock.told = lambda _: None
    clock.now_us = moment
    assert caught.value.budget == "time_s"


def test_another_thread_cancels_a_call(db: Database) -> None:
    stop, raised = Cancellation(), list[Any]()
    begun = threading.Event()

    def fetch_for_long() -> None:
        query = Person.include(Person.roles.include(Role.person.include(Person.roles)))
        begun.set()
        try:
            while True:  # the call that is cancelled is this one or the next
                db.fetch(query, context=Context.system(cancellation=stop))
        except CancelledError as error:
            raised.append(error)

    worker = threading.Thread(target=fetch_for_long)
    worker.start()
    begun.wait()
    stop.cancel()
    worker.join()
    assert raised[0].code == "cancelled"
    assert db.count(Person) == PEOPLE
