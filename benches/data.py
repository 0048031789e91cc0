"""The data that is measured: a shop, movies with their people, and sales to load in bulk.

    customers 1,000 ──< orders 20,000 ──< lines 100,000    trees of 50 or 500 customers
    movies 2,000 ──< roles 40,000 >── people 8,000         many to many; a role has its own fields
       └──< reviews 120,000                                each with a score, many of them equal
    visits 300,000 × 5 fields, of 2,000 pages                no index, nothing refers to them
    sales 300,000 × 12 fields                              two indexes, two foreign keys, one unique
       ├── buyers 1,000
       └── products 2,000

Everything follows from one seed, so every contestant loads the same rows.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

Row: TypeAlias = dict[str, Any]

SEED: Final = 20_130_101
CITIES: Final = ("Oslo", "Turin", "Porto", "Ghent", "Brno", "Malmö", "Graz", "Vigo")
STATES: Final = ("open", "paid", "sent", "back")
PLACED_FROM: Final = 1_356_998_400  # 2013 in seconds, UTC
PLACED_SECONDS: Final = 31_536_000
GIVEN: Final = ("Ada", "Bela", "Carl", "Dora", "Emil", "Fay", "Gino", "Hana", "Ivo", "Jana")
FAMILY: Final = ("Abel", "Boyd", "Cruz", "Dunn", "Egan", "Finn", "Gray", "Hume", "Iyer", "Jung")
PARTS: Final = ("lead", "friend", "rival", "parent", "stranger")
YEAR_FROM: Final = 1950


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How many rows of each kind."""

    customers: int = 1_000
    orders_per_customer: int = 20
    lines_per_order: int = 5
    movies: int = 2_000
    roles_per_movie: int = 20
    reviews_per_movie: int = 60
    people: int = 8_000
    products: int = 2_000
    sales: int = 300_000
    visits: int = 300_000
    pages: int = 2_000

    @property
    def orders(self) -> int:
        """All of them."""
        return self.customers * self.orders_per_customer


def customers(sizes: Sizes) -> list[Row]:
    """Names are unique and in no order of identity."""
    rng = random.Random(SEED)
    ranks = rng.sample(range(sizes.customers), sizes.customers)
    return [
        {
            "id": number,
            "name": f"customer {ranks[number - 1]:07}",
            "city": rng.choice(CITIES),
            "email": f"c{number}@example.com",
            "credit": rng.randrange(10_000) / 4,
            "active": rng.random() < 0.9,
        }
        for number in range(1, sizes.customers + 1)
    ]


def orders(sizes: Sizes) -> list[Row]:
    """Orders of customers in turn, so that one customer's orders lie apart."""
    rng = random.Random(SEED + 1)
    return [
        {
            "id": number,
            "customer_id": (number - 1) % sizes.customers + 1,
            "placed": PLACED_FROM + rng.randrange(PLACED_SECONDS),
            "state": rng.choice(STATES),
            "total": rng.randrange(100_000) / 100,
            "note": None if rng.random() < 0.7 else f"note {number}",
        }
        for number in range(1, sizes.orders + 1)
    ]


def lines(sizes: Sizes) -> list[Row]:
    """Lines of orders, each with the product's text."""
    rng = random.Random(SEED + 2)
    count = sizes.orders * sizes.lines_per_order
    return [
        {
            "id": number,
            "order_id": (number - 1) // sizes.lines_per_order + 1,
            "product": f"product {rng.randrange(5_000):05}",
            "quantity": rng.randrange(1, 10),
            "price": rng.randrange(10_000) / 100,
        }
        for number in range(1, count + 1)
    ]


def movies(sizes: Sizes) -> list[Row]:
    """Titles are unique and in no order of identity."""
    rng = random.Random(SEED + 4)
    ranks = rng.sample(range(sizes.movies), sizes.movies)
    return [
        {
            "id": number,
            "title": f"movie {ranks[number - 1]:07}",
            "year": YEAR_FROM + rng.randrange(70),
            "rating": rng.randrange(40) / 4,
        }
        for number in range(1, sizes.movies + 1)
    ]


def people(sizes: Sizes) -> list[Row]:
    """Names are unique; many begin alike."""
    rng = random.Random(SEED + 5)
    return [
        {
            "id": number,
            "name": f"{rng.choice(GIVEN)} {rng.choice(FAMILY)} {number:06}",
            "born": YEAR_FROM - 50 + rng.randrange(90),
        }
        for number in range(1, sizes.people + 1)
    ]


def roles(sizes: Sizes) -> list[Row]:
    """Who plays in which movie: `billing` orders the cast, `season` what a person did."""
    rng = random.Random(SEED + 6)
    rows: list[Row] = []
    for movie in range(1, sizes.movies + 1):
        cast = rng.sample(range(1, sizes.people + 1), sizes.roles_per_movie)
        places = rng.sample(range(1, sizes.roles_per_movie + 1), sizes.roles_per_movie)
        for person, billing in zip(cast, places, strict=True):
            number = len(rows) + 1
            rows.append(make_role(rng, number, movie, person, billing))
    return rows


def make_role(rng: random.Random, number: int, movie: int, person: int, billing: int) -> Row:
    """One edge between a movie and a person."""
    return {
        "id": number,
        "movie_id": movie,
        "person_id": person,
        "billing": billing,
        "part": f"{rng.choice(PARTS)} {number}",
        "season": YEAR_FROM + rng.randrange(70),
    }


def reviews(sizes: Sizes) -> list[Row]:
    """Reviews of movies in turn, so that one movie's reviews lie apart."""
    rng = random.Random(SEED + 7)
    return [
        make_review(rng, number, (number - 1) % sizes.movies + 1)
        for number in range(1, sizes.movies * sizes.reviews_per_movie + 1)
    ]


def make_review(rng: random.Random, number: int, movie: int) -> Row:
    """One review."""
    return {
        "id": number,
        "movie_id": movie,
        "score": rng.randrange(1, 101),
        "author": rng.choice(GIVEN),
        "body": f"review {number}: {rng.choice(PARTS)}, {rng.choice(CITIES)}",
    }


def products(sizes: Sizes) -> list[Row]:
    """What sales point at."""
    return [
        {"id": number, "name": f"product {number:05}"} for number in range(1, sizes.products + 1)
    ]


def visits(sizes: Sizes) -> list[Row]:
    """Visits of pages, which nothing refers to and no index knows."""
    rng = random.Random(SEED + 7)
    return [
        {
            "id": number,
            "page": f"/page/{rng.randrange(sizes.pages):05}",
            "seconds": rng.randrange(600),
            "paid": rng.randrange(10_000) / 100,
            "mobile": rng.random() < 0.5,
        }
        for number in range(1, sizes.visits + 1)
    ]


def sales(sizes: Sizes) -> Iterator[Row]:
    """Twelve fields; `code` is unique, `sold` and (`region`, `amount`) are indexed."""
    rng = random.Random(SEED + 3)
    for number in range(1, sizes.sales + 1):
        yield {
            "id": number,
            "code": f"S{rng.getrandbits(40):010x}{number:07}",
            "customer_id": rng.randrange(sizes.customers) + 1,
            "product_id": rng.randrange(sizes.products) + 1,
            "sold": PLACED_FROM + rng.randrange(PLACED_SECONDS),
            "region": rng.choice(CITIES),
            "amount": rng.randrange(1_000_000) / 100,
            "quantity": rng.randrange(1, 100),
            "discount": None if rng.random() < 0.5 else rng.random(),
            "paid": rng.random() < 0.8,
            "channel": rng.choice(STATES),
            "comment": f"sold {number} in {rng.choice(CITIES)}",
        }


MAKERS: Final[dict[str, Callable[[Sizes], Iterable[Row]]]] = {
    "customers": customers,
    "orders": orders,
    "lines": lines,
    "movies": movies,
    "people": people,
    "roles": roles,
    "reviews": reviews,
    "visits": visits,
    "buyers": customers,
    "products": products,
    "sales": sales,
}


def rows_of(table: str, sizes: Sizes) -> list[Row]:
    """The rows of one table."""
    return list(MAKERS[table](sizes))
