"""What the object-relational mappers share: the file below them, and the dicts that they end as.

    load_customers("customer 0000412", 50)    50 objects, with .orders, with .lines
    customers(...)                            the same as nested dicts

The tables, indexes and settings are those of `benches.sqlite_file`, so that what differs from
hand-written sqlite3 is the mapper.  The world that is read is filled by hand as well, since nobody
looks at the clock; sales are loaded in bulk by the mapper's own means.
"""

from __future__ import annotations

import sqlite3
from abc import abstractmethod
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from typing import Any

from benches import sqlite_file
from benches.contestant import Contestant
from benches.data import Row
from benches.tables import TABLES


class ByMapper(Contestant):
    """Objects of a mapper, made into dicts."""

    def create(self, world: str) -> None:
        sqlite_file.create(self.folder, world).close()
        self.open(world)

    def fill(self, table: str, rows: Sequence[Row]) -> None:
        with self._by_hand() as db:
            sqlite_file.insert_all(db, table, rows)

    def settle(self) -> None:
        with self._by_hand() as db:
            sqlite_file.settle(db)

    def compact(self) -> None:
        self.close()
        with self._by_hand() as db:
            sqlite_file.compact(db)

    def reading(self) -> AbstractContextManager[object]:
        """Around every read; objects are used up inside."""
        return nullcontext()

    def reading_graph(self) -> AbstractContextManager[object]:
        """Around reads of several statements, which see one state."""
        return self.reading()

    # --- what a mapper loads ------------------------------------------------------------------

    @abstractmethod
    def load_order(self, identity: int) -> Any:
        """An order."""

    @abstractmethod
    def load_sale(self, identity: int) -> Any:
        """A sale."""

    @abstractmethod
    def load_known(self) -> Iterable[Any]:
        """What the query built beforehand finds."""

    @abstractmethod
    def load_movie(self, identity: int) -> Iterable[Any]:
        """A movie with `cast`, `person`, `reviews`."""

    @abstractmethod
    def load_customers(self, after: str, count: int) -> Iterable[Any]:
        """Customers with `orders` and `lines`."""

    @abstractmethod
    def load_careers(self, after: str, count: int) -> Iterable[Any]:
        """People with `roles`, `movie`, `cast`, `person`."""

    @abstractmethod
    def load_top_reviews(self, after: str, count: int) -> Iterable[tuple[Any, Iterable[Any]]]:
        """Movies, and the best reviews of each."""

    @abstractmethod
    def load_order_folds(self, after: str, count: int) -> Iterable[tuple[Any, int, float, int]]:
        """Customers, and count, mean and sum of when their orders were placed."""

    @abstractmethod
    def load_orders_in_state(self, state: str, before: int) -> Iterable[Any]:
        """Orders."""

    @abstractmethod
    def load_people_between(self, low: str, high: str) -> Iterable[Any]:
        """People."""

    @abstractmethod
    def load_orders_between(self, low: int, high: int) -> Iterable[Any]:
        """Orders."""

    @abstractmethod
    def load_orders_of_city(self, city: str, before: int) -> Iterable[Any]:
        """Orders."""

    @abstractmethod
    def load_pages(self) -> Iterable[tuple[str, int, int, float]]:
        """Of each page its visits, the sum of their seconds and the most that was paid."""

    # --- as dicts -----------------------------------------------------------------------------

    def get_order(self, identity: int) -> Row | None:
        with self.reading():
            return order_row(self.load_order(identity))

    def get_order_object(self, identity: int) -> object:
        with self.reading():
            return self.load_order(identity)

    def get_sale(self, identity: int) -> Row | None:
        with self.reading():
            sale = self.load_sale(identity)
            return {name: getattr(sale, name) for name in TABLES["sales"].columns}

    def one_row(self) -> list[Row]:
        with self.reading():
            return [customer_row(each) for each in self.load_known()]

    def movie(self, identity: int) -> list[Row]:
        with self.reading_graph():
            return [
                {
                    **movie_row(each),
                    "cast": cast_rows(each.cast),
                    "reviews": [review_row(review) for review in each.reviews],
                }
                for each in self.load_movie(identity)
            ]

    def customers(self, after: str, count: int) -> list[Row]:
        with self.reading_graph():
            return [
                {
                    **customer_row(customer),
                    "orders": [
                        {**order_row(order), "lines": [line_row(line) for line in order.lines]}
                        for order in customer.orders
                    ],
                }
                for customer in self.load_customers(after, count)
            ]

    def careers(self, after: str, count: int) -> list[Row]:
        with self.reading_graph():
            return [
                {
                    **person_row(person),
                    "roles": [
                        {
                            **role_row(role),
                            "movie": {
                                **movie_row(role.movie),
                                "cast": cast_rows(role.movie.cast),
                            },
                        }
                        for role in person.roles
                    ],
                }
                for person in self.load_careers(after, count)
            ]

    def top_reviews(self, after: str, count: int) -> list[Row]:
        with self.reading_graph():
            return [
                {**movie_row(movie), "reviews": [review_row(review) for review in best]}
                for movie, best in self.load_top_reviews(after, count)
            ]

    def order_folds(self, after: str, count: int) -> list[Row]:
        with self.reading_graph():
            return [
                {**customer_row(customer), "count": orders, "mean": mean, "sum": total}
                for customer, orders, mean, total in self.load_order_folds(after, count)
            ]

    def orders_in_state(self, state: str, before: int) -> list[Row]:
        with self.reading():
            return [order_row(each) for each in self.load_orders_in_state(state, before)]

    def pages(self) -> list[Row]:
        with self.reading():
            return [
                {"page": page, "visits": visits, "seconds": seconds, "paid": paid}
                for page, visits, seconds, paid in self.load_pages()
            ]

    def people_between(self, low: str, high: str) -> list[Row]:
        with self.reading():
            return [person_row(each) for each in self.load_people_between(low, high)]

    def orders_between(self, low: int, high: int) -> list[Row]:
        with self.reading():
            return [order_row(each) for each in self.load_orders_between(low, high)]

    def orders_of_city(self, city: str, before: int) -> list[Row]:
        with self.reading():
            return [order_row(each) for each in self.load_orders_of_city(city, before)]

    def _by_hand(self) -> closing[sqlite3.Connection]:
        (path,) = self.folder.glob("*.sqlite")
        return closing(sqlite_file.connect(path))


def customer_row(of: Any) -> Row:
    return {
        "id": of.id,
        "name": of.name,
        "city": of.city,
        "email": of.email,
        "credit": of.credit,
        "active": of.active,
    }


def order_row(of: Any) -> Row:
    return {
        "id": of.id,
        "customer_id": of.customer_id,
        "placed": of.placed,
        "state": of.state,
        "total": of.total,
        "note": of.note,
    }


def line_row(of: Any) -> Row:
    return {
        "id": of.id,
        "order_id": of.order_id,
        "product": of.product,
        "quantity": of.quantity,
        "price": of.price,
    }


def movie_row(of: Any) -> Row:
    return {"id": of.id, "title": of.title, "year": of.year, "rating": of.rating}


def person_row(of: Any) -> Row:
    return {"id": of.id, "name": of.name, "born": of.born}


def role_row(of: Any) -> Row:
    return {
        "id": of.id,
        "movie_id": of.movie_id,
        "person_id": of.person_id,
        "billing": of.billing,
        "part": of.part,
        "season": of.season,
    }


def cast_rows(of: Iterable[Any]) -> list[Row]:
    return [{**role_row(role), "person": person_row(role.person)} for role in of]


def review_row(of: Any) -> Row:
    return {
        "id": of.id,
        "movie_id": of.movie_id,
        "score": of.score,
        "author": of.author,
        "body": of.body,
    }
