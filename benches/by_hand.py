"""Graphs by hand: one statement per level, then every row becomes a dict in one display.

    customers_after   50 rows     {1: {"id": 1, "name": ..., "orders": []}, ...}
    orders_of       1,000 rows    each appended to its customer's "orders", and kept by id
    lines_of        5,000 rows    each appended to its order's "lines"

What is written here is what a careful program would write for any store that answers tuples; a
contestant that extends this class gives its statements by name, and runs them.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from benches.contestant import KNOWN_NAME, SHORT_PAGE, Contestant
from benches.data import Row


@dataclass(slots=True)
class OrderObject:
    """An order as an object, made by hand as well."""

    id: int
    customer_id: int
    placed: int
    state: str
    total: float
    note: str | None


class ByHand(Contestant):
    """Dicts out of tuples."""

    @abstractmethod
    def select(self, name: str, *parameters: object) -> Iterable[Sequence[Any]]:
        """Run a statement."""

    @abstractmethod
    def among(self, name: str, keys: Sequence[int]) -> Iterable[Sequence[Any]]:
        """Run a statement that asks for the rows of many keys."""

    def begin_read(self) -> None:
        """From here on every statement sees one state."""
        return

    def end_read(self) -> None:
        """Until here."""
        return

    # --- one row ------------------------------------------------------------------------------

    def get_order(self, identity: int) -> Row | None:
        for i, customer, placed, state, total, note in self.select("order", identity):
            return {
                "id": i,
                "customer_id": customer,
                "placed": placed,
                "state": state,
                "total": total,
                "note": note,
            }
        return None

    def get_order_object(self, identity: int) -> object:
        for row in self.select("order", identity):
            return OrderObject(*row)
        return None

    def get_sale(self, identity: int) -> Row | None:
        for row in self.select("sale", identity):
            i, code, customer, product, sold, region = row[:6]
            amount, quantity, discount, paid, channel, comment = row[6:]
            return {
                "id": i,
                "code": code,
                "customer_id": customer,
                "product_id": product,
                "sold": sold,
                "region": region,
                "amount": amount,
                "quantity": quantity,
                "discount": discount,
                "paid": paid == 1,
                "channel": channel,
                "comment": comment,
            }
        return None

    def one_row(self) -> list[Row]:
        return [
            {
                "id": i,
                "name": name,
                "city": city,
                "email": email,
                "credit": credit,
                "active": active == 1,
            }
            for i, name, city, email, credit, active in self.select("customer_named", KNOWN_NAME)
        ]

    # --- graphs -------------------------------------------------------------------------------

    def customers(self, after: str, count: int) -> list[Row]:
        self.begin_read()
        customers: dict[int, Row] = {
            i: {
                "id": i,
                "name": name,
                "city": city,
                "email": email,
                "credit": credit,
                "active": active == 1,
                "orders": [],
            }
            for i, name, city, email, credit, active in self.select("customers_after", after, count)
        }
        orders: dict[int, Row] = {}
        rows = self.among("orders_of", list(customers))
        for i, customer, placed, state, total, note in rows:
            order: Row = {
                "id": i,
                "customer_id": customer,
                "placed": placed,
                "state": state,
                "total": total,
                "note": note,
                "lines": [],
            }
            orders[i] = order
            customers[customer]["orders"].append(order)
        rows = self.among("lines_of", list(orders))
        for i, order_id, product, quantity, price in rows:
            orders[order_id]["lines"].append(
                {
                    "id": i,
                    "order_id": order_id,
                    "product": product,
                    "quantity": quantity,
                    "price": price,
                }
            )
        self.end_read()
        return list(customers.values())

    def movie(self, identity: int) -> list[Row]:
        self.begin_read()
        movies = self._movies(self.select("movie", identity))
        for movie in movies.values():
            movie["cast"] = []
            movie["reviews"] = []
        keys = list(movies)
        self._add_cast(movies, keys)
        for review in self._reviews(self.among("reviews_of", keys)):
            movies[review["movie_id"]]["reviews"].append(review)
        self.end_read()
        return list(movies.values())

    def careers(self, after: str, count: int) -> list[Row]:
        self.begin_read()
        people = self._people(self.select("people_after", after, count))
        for person in people.values():
            person["roles"] = []
        roles = self._roles(self.among("roles_of_people", list(people)))
        keys = list({role["movie_id"] for role in roles})
        movies = self._movies(self.among("movies", keys))
        for movie in movies.values():
            movie["cast"] = []
        for role in roles:
            role["movie"] = movies[role["movie_id"]]
            people[role["person_id"]]["roles"].append(role)
        self._add_cast(movies, keys)
        self.end_read()
        return list(people.values())

    def top_reviews(self, after: str, count: int) -> list[Row]:
        self.begin_read()
        movies = self._movies(self.select("movies_after", after, count))
        for movie in movies.values():
            movie["reviews"] = []
        for review in self._reviews(self.among("top_reviews", list(movies))):
            movies[review["movie_id"]]["reviews"].append(review)
        self.end_read()
        return list(movies.values())

    def order_folds(self, after: str, count: int) -> list[Row]:
        self.begin_read()
        customers: dict[int, Row] = {
            i: {
                "id": i,
                "name": name,
                "city": city,
                "email": email,
                "credit": credit,
                "active": active == 1,
                "count": 0,
                "mean": None,
                "sum": None,
            }
            for i, name, city, email, credit, active in self.select("customers_after", after, count)
        }
        for i, orders, mean, total in self.among("order_folds", list(customers)):
            customer = customers[i]
            customer["count"] = orders
            customer["mean"] = mean
            customer["sum"] = total
        self.end_read()
        return list(customers.values())

    # --- rows by filter -----------------------------------------------------------------------

    def orders_in_state(self, state: str, before: int) -> list[Row]:
        return self._orders(self.select("orders_in_state", state, before, SHORT_PAGE))

    def people_between(self, low: str, high: str) -> list[Row]:
        return list(self._people(self.select("people_between", low, high)).values())

    def orders_between(self, low: int, high: int) -> list[Row]:
        return self._orders(self.select("orders_between", low, high))

    def orders_of_city(self, city: str, before: int) -> list[Row]:
        return self._orders(self.select("orders_of_city", city, before, SHORT_PAGE))

    # --- groups -------------------------------------------------------------------------------

    def pages(self) -> list[Row]:
        return [
            {"page": page, "visits": visits, "seconds": seconds, "paid": paid}
            for page, visits, seconds, paid in self.select("pages")
        ]

    # --- displays -----------------------------------------------------------------------------

    def _add_cast(self, movies: dict[int, Row], keys: list[int]) -> None:
        cast = self._roles(self.among("roles_of_movies", keys))
        people = self._people(self.among("people", list({role["person_id"] for role in cast})))
        for role in cast:
            role["person"] = people[role["person_id"]]
            movies[role["movie_id"]]["cast"].append(role)

    def _orders(self, rows: Iterable[Sequence[Any]]) -> list[Row]:
        return [
            {
                "id": i,
                "customer_id": customer,
                "placed": placed,
                "state": state,
                "total": total,
                "note": note,
            }
            for i, customer, placed, state, total, note in rows
        ]

    def _movies(self, rows: Iterable[Sequence[Any]]) -> dict[int, Row]:
        return {
            i: {"id": i, "title": title, "year": year, "rating": rating}
            for i, title, year, rating in rows
        }

    def _people(self, rows: Iterable[Sequence[Any]]) -> dict[int, Row]:
        return {i: {"id": i, "name": name, "born": born} for i, name, born in rows}

    def _roles(self, rows: Iterable[Sequence[Any]]) -> list[Row]:
        return [
            {
                "id": i,
                "movie_id": movie,
                "person_id": person,
                "billing": billing,
                "part": part,
                "season": season,
            }
            for i, movie, person, billing, part, season in rows
        ]

    def _reviews(self, rows: Iterable[Sequence[Any]]) -> list[Row]:
        return [
            {"id": i, "movie_id": movie, "score": score, "author": author, "body": body}
            for i, movie, score, author, body in rows
        ]
