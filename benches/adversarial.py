"""How late a time budget ends what takes too long: `python -m benches.adversarial`.

    case                         limit    ended after    overshoot
    many to many, four times     200 ms   213 ms          13 ms

Each case would take much longer than its limit.  What is shown is the worst of a few runs, in wall
clock time, so a busy machine shows more than a quiet one; the garbage collector is frozen, because
it is not what is measured.  A case that ends within its limit says so.
"""

from __future__ import annotations

import argparse
import gc
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final

import ormdb
from ormdb import Database, Entity, Field, Many, One, Query, field, index, many, one
from ormdb.errors import BudgetError

PEOPLE: Final = 20_000
ROLES_EACH: Final = 15
WIDE: Final = 1_000_000  # budgets other than time's never end a case
TEXT: Final = "a" * 50


class Person(Entity):
    """One end of a many-to-many relation to itself, over roles in movies."""

    id: Field[int] = field(identity=True)
    name: Field[str]
    rank: Field[int] = field(index=True)
    note: Field[str]
    roles: Many[Role] = many(inverse="person")


class Movie(Entity):
    """The other end."""

    id: Field[int] = field(identity=True)
    year: Field[int]
    cast: Many[Role] = many(inverse="movie")


class Role(Entity):
    """The edge."""

    id: Field[int] = field(identity=True)
    line: Field[float]
    person: One[Person] = one()
    movie: One[Movie] = one()

    __indexes__ = (index("line"),)


def fill(db: Database, people: int) -> None:
    """Everybody plays with everybody, in a few steps."""
    movies = max(1, people // 20)
    db.bulk_load(Movie, [{"id": n, "year": 1900 + n % 120} for n in range(movies)])
    rows = [
        {"id": n, "name": f"p{n * 7919 % people}", "rank": n * 31 % people, "note": f"{TEXT}{n}"}
        for n in range(people)
    ]
    db.bulk_load(Person, rows)
    roles = [
        {
            "id": n,
            "line": (n * 7919 % 100_003) / 7,
            "person_id": n // ROLES_EACH,
            "movie_id": n * 7 % movies,
        }
        for n in range(people * ROLES_EACH)
    ]
    db.bulk_load(Role, roles)


def cases() -> dict[str, Query[Any]]:
    """What would take too long."""
    around = Role.movie.include(Movie.cast.include(Role.person.include(Person.roles)))
    deep = Person.roles.include(around)
    listed = [2 * n for n in range(100_000)]
    return {
        "many to many, four times": Person.include(deep),
        "one wide level": Person.include(Person.roles),
        "10^5 identities": Role.where(Role.id.in_(listed)).include(Role.person),
        "10^5 in an index": Person.where(Person.rank.in_(listed)),
        "10^5 in a scan": Role.where(Role.line.in_([float(n) for n in listed])),
        "pattern %a%b%": Person.where(Person.note.like("%a%a%a%a%b%")),
        "big sort": Role.order_by(Role.line.desc(), Role.id),
        "sort over a path": Role.order_by(Role.person[Person.name]),
        "scan without a match": Role.where(Role.line * 2 < -1),
        "filter over a path": Role.where(Role.person[Person.name] == "nobody"),
        "index walk": Role.order_by(Role.line).include(Role.person),
    }


def overshoot_s(run: Callable[[], object], limit_s: float) -> float | None:
    """By how much a run passed its limit; None if it ended within it."""
    gc.collect()
    started_s = time.monotonic()
    try:
        run()
    except BudgetError as error:
        if error.budget != "time_s":
            raise
        return time.monotonic() - started_s - limit_s
    return None


def main() -> None:
    """Measure every case and show it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=PEOPLE)
    parser.add_argument("--only", default="", help="cases whose name contains it")
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        ormdb.open(
            Path(folder) / "cast.ormdb", schema=[Person, Movie, Role], durability="none"
        ) as db,
    ):
        fill(db, options.people)
        gc.freeze()
        gc.disable()
        print(f"{'case':32} {'limit':>8} {'overshoot':>10}")
        for name, query in cases().items():
            if options.only in name:
                show(db, name, query, options.runs)


def show(db: Database, name: str, query: Query[Any], runs: int) -> None:
    """One line for each way to run a query, over a few limits."""
    ways: dict[str, Callable[[Query[Any]], object]] = {"fetch": db.fetch, "count": db.count}
    for way, run in ways.items():
        for limit_s in (0.02, 0.1, 0.3):
            bounded = query.budget(
                time_s=limit_s, rows=WIDE, edges=10 * WIDE, fanout=WIDE, bytes=2**40
            )
            found = [overshoot_s(partial(run, bounded), limit_s) for _ in range(runs)]
            late = [one for one in found if one is not None]
            shown = f"{max(late) * 1e3:7.0f} ms" if late else "in time"
            print(f"{name + ', ' + way:32} {limit_s * 1e3:5.0f} ms {shown:>10}", flush=True)


if __name__ == "__main__":
    main()
