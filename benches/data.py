"""The data that is measured: a shop, and a table of sales to load in bulk.

    customer 1,000 ── order 20,000 ── line 100,000      the page: 50 customers, their orders, lines
    sale 300,000 × 12 fields                            two indexes, two foreign keys, one unique
       ├─ customer 1,000
       └─ product 2,000

Everything follows from one seed, so every contestant loads the same rows.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, TypeAlias

Row: TypeAlias = dict[str, Any]

SEED: Final = 20_130_101
PAGE_ROOTS: Final = 50
CITIES: Final = ("Oslo", "Turin", "Porto", "Ghent", "Brno", "Malmö", "Graz", "Vigo")
STATES: Final = ("open", "paid", "sent", "back")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How many rows of each kind."""

    customers: int = 1_000
    orders_per_customer: int = 20
    lines_per_order: int = 5
    products: int = 2_000
    sales: int = 300_000


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
            "placed": 1_356_998_400 + rng.randrange(31_536_000),
            "state": rng.choice(STATES),
            "total": rng.randrange(100_000) / 100,
            "note": None if rng.random() < 0.7 else f"note {number}",
        }
        for number in range(1, sizes.customers * sizes.orders_per_customer + 1)
    ]


def lines(sizes: Sizes) -> list[Row]:
    """Lines of orders, each with the product's text."""
    rng = random.Random(SEED + 2)
    count = sizes.customers * sizes.orders_per_customer * sizes.lines_per_order
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


def products(sizes: Sizes) -> list[Row]:
    """What sales point at."""
    return [
        {"id": number, "name": f"product {number:05}"} for number in range(1, sizes.products + 1)
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
            "sold": 1_356_998_400 + rng.randrange(31_536_000),
            "region": rng.choice(CITIES),
            "amount": rng.randrange(1_000_000) / 100,
            "quantity": rng.randrange(1, 100),
            "discount": None if rng.random() < 0.5 else rng.random(),
            "paid": rng.random() < 0.8,
            "channel": rng.choice(STATES),
            "comment": f"sold {number} in {rng.choice(CITIES)}",
        }


def batches(rows: Iterator[Row], size: int) -> Iterator[list[Row]]:
    """The rows in lists of `size`."""
    while batch := list(islice(rows, size)):
        yield batch
