"""The cases: what is asked, with which arguments, how often, and how its answer is compared.

    Case(name="page graph", method="customers", arguments=..., calls=1)
        number 0     customers("customer 0000412", 50)     the same for every contestant
        number 1     customers("customer 0000077", 50)

To add one, write its method in `benches.contestant`, in each contestant that can do it, and a line
here; nothing else knows the cases by name.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from benches import data
from benches.data import CITIES, FAMILY, GIVEN, PLACED_FROM, PLACED_SECONDS, STATES, Sizes

Arguments: TypeAlias = tuple[Any, ...]
Maker: TypeAlias = Callable[[random.Random, Sizes, int], Arguments]
Reader: TypeAlias = Callable[[Arguments], tuple[str, Arguments]]

NEW_FROM: Final = 10_000_000  # identities of inserted rows begin here


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One thing that is timed.

    Attributes:
      name: what it is called everywhere.
      method: which method of a contestant does it.
      arguments: makes the arguments of its n-th call.
      calls: how many calls a contestant makes in one turn; each is timed by itself.
      unit: how its times are shown.
      columns: of a row that comes as an object, which attributes are compared.
      read_back: of a write, the read that shows what it wrote.
      detail: what it is, in a few words, for sizes as they are by default.
    """

    name: str
    method: str
    arguments: Maker
    detail: str
    calls: int = 1
    unit: str = "ms"
    columns: tuple[str, ...] = ()
    read_back: Reader | None = None

    def arguments_of(self, sizes: Sizes, number: int) -> Arguments:
        """The arguments of its n-th call."""
        return self.arguments(random.Random(f"{self.name} {number}"), sizes, number)


# --- arguments --------------------------------------------------------------------------------


def _any_order(rng: random.Random, sizes: Sizes, _number: int) -> Arguments:
    return (rng.randrange(sizes.orders) + 1,)


def _any_movie(rng: random.Random, sizes: Sizes, _number: int) -> Arguments:
    return (rng.randrange(sizes.movies) + 1,)


def _customers(count: int) -> Maker:
    def make(rng: random.Random, sizes: Sizes, _number: int) -> Arguments:
        roots = min(count, sizes.customers // 2)
        return (f"customer {rng.randrange(sizes.customers - roots):07}", roots)

    return make


def _people(rng: random.Random, _sizes: Sizes, _number: int) -> Arguments:
    return (f"{rng.choice(GIVEN[:-1])} {rng.choice(FAMILY)}", 10)


def _movies(rng: random.Random, sizes: Sizes, _number: int) -> Arguments:
    roots = min(50, sizes.movies // 2)
    return (f"movie {rng.randrange(sizes.movies - roots):07}", roots)


def _state(rng: random.Random, _sizes: Sizes, _number: int) -> Arguments:
    return (rng.choice(STATES), _late(rng))


def _city(rng: random.Random, _sizes: Sizes, _number: int) -> Arguments:
    return (rng.choice(CITIES), _late(rng))


def _late(rng: random.Random) -> int:
    return PLACED_FROM + rng.randrange(PLACED_SECONDS // 2, PLACED_SECONDS)


def _prefix(rng: random.Random, _sizes: Sizes, _number: int) -> Arguments:
    begin = f"{rng.choice(GIVEN)} {rng.choice(FAMILY)[0]}"
    return (begin, begin[:-1] + chr(ord(begin[-1]) + 1))


def _two_days(rng: random.Random, _sizes: Sizes, _number: int) -> Arguments:
    low = PLACED_FROM + rng.randrange(PLACED_SECONDS * 9 // 10)
    return (low, low + 2 * 86_400)


def _new_review(rng: random.Random, sizes: Sizes, number: int) -> Arguments:
    return (data.make_review(rng, NEW_FROM + number, rng.randrange(sizes.movies) + 1),)


def _new_movie(rng: random.Random, sizes: Sizes, number: int) -> Arguments:
    identity = NEW_FROM + number
    movie = {"id": identity, "title": f"new movie {number:07}", "year": 2_013, "rating": 7.5}
    cast = rng.sample(range(1, sizes.people + 1), sizes.roles_per_movie)
    first = NEW_FROM + number * sizes.roles_per_movie
    roles = [
        data.make_role(rng, first + place, identity, person, place + 1)
        for place, person in enumerate(cast)
    ]
    return (movie, roles)


def _changed_order(rng: random.Random, sizes: Sizes, number: int) -> Arguments:
    return (rng.randrange(sizes.orders) + 1, rng.choice(STATES), f"change {number}")


def _nothing(_rng: random.Random, _sizes: Sizes, _number: int) -> Arguments:
    return ()


# --- the cases --------------------------------------------------------------------------------

READS: Final[tuple[Case, ...]] = (
    Case(
        name="identity lookup, dict",
        method="get_order",
        arguments=_any_order,
        detail="one order by its identity, six fields",
        calls=200,
        unit="µs",
    ),
    Case(
        name="identity lookup, typed",
        method="get_order_object",
        arguments=_any_order,
        detail="the same as an object with attributes",
        calls=200,
        unit="µs",
        columns=("id", "customer_id", "placed", "state", "total", "note"),
    ),
    Case(
        name="fixed cost of a fetch",
        method="one_row",
        arguments=_nothing,
        detail="one row by a unique name, the query built beforehand",
        calls=100,
        unit="µs",
    ),
    Case(
        name="fixed cost of a prepared fetch",
        method="one_row_prepared",
        arguments=_nothing,
        detail="the same, prepared, with the name as its parameter",
        calls=100,
        unit="µs",
    ),
    Case(
        name="point graph",
        method="movie",
        arguments=_any_movie,
        detail="1 movie, its cast, their people, its reviews: 101 entities",
        calls=10,
    ),
    Case(
        name="page graph",
        method="customers",
        arguments=_customers(50),
        detail="50 customers, orders, lines: 6,050 entities",
    ),
    Case(
        name="big graph",
        method="customers",
        arguments=_customers(500),
        detail="500 customers, orders, lines: 60,500 entities",
    ),
    Case(
        name="depth 4, many to many",
        method="careers",
        arguments=_people,
        detail="10 people, roles by season, movies, cast by billing, people: about 2,000 entities",
    ),
    Case(
        name="top 3 per parent",
        method="top_reviews",
        arguments=_movies,
        detail="50 movies, the 3 best of the 60 reviews of each",
        calls=5,
    ),
    Case(
        name="filtered, ordered page",
        method="orders_in_state",
        arguments=_state,
        detail="the 20 newest orders of a state before a moment, from an index",
        calls=20,
        unit="µs",
    ),
    Case(
        name="prefix filter",
        method="people_between",
        arguments=_prefix,
        detail="about 80 people whose name begins with 5 letters",
        calls=20,
        unit="µs",
    ),
    Case(
        name="range filter",
        method="orders_between",
        arguments=_two_days,
        detail="about 110 orders of two days",
        calls=20,
        unit="µs",
    ),
    Case(
        name="filter through a to-one",
        method="orders_of_city",
        arguments=_city,
        detail="the 20 newest orders of customers of a city before a moment",
        calls=20,
        unit="µs",
    ),
    Case(
        name="group-by over 300,000 rows",
        method="pages",
        arguments=_nothing,
        detail="2,000 pages: visits counted, seconds added, the most that was paid",
    ),
    Case(
        name="aggregate per parent",
        method="order_folds",
        arguments=_customers(50),
        detail="50 customers, each with count, mean and sum of its 20 orders",
        calls=5,
    ),
)

WRITES: Final[tuple[Case, ...]] = (
    Case(
        name="insert one, durable",
        method="insert_review",
        arguments=_new_review,
        detail="one review, one commit",
        calls=5,
        read_back=lambda given: ("movie", (given[0]["movie_id"],)),
    ),
    Case(
        name="insert a graph, durable",
        method="insert_movie",
        arguments=_new_movie,
        detail="a movie and 20 roles, one commit",
        calls=3,
        read_back=lambda given: ("movie", (given[0]["id"],)),
    ),
    Case(
        name="update by identity, durable",
        method="update_order",
        arguments=_changed_order,
        detail="two fields of one order, one of them in an index, one commit",
        calls=5,
        read_back=lambda given: ("get_order", (given[0],)),
    ),
)

CASES: Final = READS + WRITES
BY_NAME: Final = {case.name: case for case in CASES}
# What loading is called, which runs in processes of its own.
BULK: Final = "bulk load"
SIZE: Final = "size, compacted"
