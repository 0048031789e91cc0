"""peewee: models, relations loaded with `prefetch`.

    prefetch(Customer.select().order_by(...), Order.select(), Line.select())

`prefetch` takes each model once, so the cast below the movies of a career is a join that is
stitched here.  The checkers of this project run without peewee, hence what comes from it is `Any`
and its models are made from `benches.tables`.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from itertools import islice
from typing import Any, Final, cast

from benches import sqlite_file
from benches.by_mapper import ByMapper
from benches.contestant import KNOWN_NAME, SHORT_PAGE, TOP
from benches.data import Row
from benches.tables import TABLES

pw: Any = importlib.import_module("peewee")

DATABASE: Final[Any] = pw.SqliteDatabase(None)
KINDS: Final[dict[str, Any]] = {
    "int": pw.BigIntegerField,
    "real": pw.DoubleField,
    "text": pw.TextField,
    "bool": pw.BooleanField,
}
BACK: Final = {"roles.movie_id": "cast"}  # where a table's own name would not do
VARIABLES_MAX: Final = 32_000  # of one SQLite statement


def _make_models() -> dict[str, Any]:
    made: dict[str, Any] = {}
    for name, table in TABLES.items():
        meta = type("Meta", (), {"database": DATABASE, "table_name": name})
        body: dict[str, Any] = {"Meta": meta}
        for column, kind in table.columns.items():
            target = table.references.get(column)
            if column == "id":
                body[column] = pw.BigIntegerField(primary_key=True)
            elif target:
                back = BACK.get(f"{name}.{column}", name)
                field = pw.ForeignKeyField(made[target], column_name=column, backref=back)
                body[column.removesuffix("_id")] = field
            else:
                body[column] = KINDS[kind.rstrip("?")](null=kind.endswith("?"))
        made[name] = type(name.title(), (pw.Model,), body)
    return made


MODELS: Final = _make_models()
Customer, Order, Line = MODELS["customers"], MODELS["orders"], MODELS["lines"]
Movie, Person, Role, Review = (MODELS[name] for name in ("movies", "people", "roles", "reviews"))


class ByPeewee(ByMapper):
    """peewee."""

    def open(self, world: str) -> None:
        path = sqlite_file.path_of(self.folder, world)
        DATABASE.init(str(path), pragmas=sqlite_file.PRAGMAS)
        DATABASE.connect()
        self._known: Any = Customer.select().where(Customer.name == KNOWN_NAME)

    def close(self) -> None:
        DATABASE.close()

    def bulk_load(self, table: str, rows: Sequence[Row]) -> None:
        left = iter(rows)
        size = VARIABLES_MAX // len(TABLES[table].columns)
        with DATABASE.atomic():
            while batch := list(islice(left, size)):
                MODELS[table].insert_many(batch).execute()

    def reading_graph(self) -> AbstractContextManager[object]:
        return cast("AbstractContextManager[object]", DATABASE.atomic())

    def load_order(self, identity: int) -> Any:
        return Order.get_by_id(identity)

    def load_sale(self, identity: int) -> Any:
        return MODELS["sales"].get_by_id(identity)

    def load_known(self) -> Iterable[Any]:
        return cast("Iterable[Any]", self._known.clone())

    def load_pages(self) -> Iterable[tuple[str, int, int, float]]:
        visit, fold = MODELS["visits"], pw.fn
        columns = visit.page, fold.COUNT(visit.id), fold.SUM(visit.seconds), fold.MAX(visit.paid)
        query = visit.select(*columns).group_by(visit.page).order_by(visit.page)
        return cast("Iterable[Any]", query.tuples())

    def load_movie(self, identity: int) -> Iterable[Any]:
        movie = Movie.select().where(Movie.id == identity)
        cast_ = Role.select().order_by(Role.billing)
        found: Iterable[Any] = pw.prefetch(
            movie, cast_, Person.select(), Review.select().order_by(Review.id)
        )
        return found

    def load_customers(self, after: str, count: int) -> Iterable[Any]:
        query = Customer.select().where(Customer.name > after).order_by(Customer.name).limit(count)
        orders, lines = Order.select().order_by(Order.id), Line.select().order_by(Line.id)
        return cast("Iterable[Any]", pw.prefetch(query, orders, lines))

    def load_careers(self, after: str, count: int) -> Iterable[Any]:
        query = Person.select().where(Person.name > after).order_by(Person.name).limit(count)
        roles = Role.select().order_by(Role.season, Role.id)
        people: list[Any] = list(pw.prefetch(query, roles, Movie.select()))
        movies: dict[int, list[Any]] = {}
        for person in people:
            for role in person.roles:
                role.movie.cast = movies.setdefault(role.movie_id, [])
        cast_ = Role.select(Role, Person).join(Person).where(Role.movie.in_(list(movies)))
        for role in cast_.order_by(Role.movie, Role.billing):
            movies[role.movie_id].append(role)
        return people

    def load_top_reviews(self, after: str, count: int) -> Iterable[tuple[Any, Iterable[Any]]]:
        query = Movie.select().where(Movie.title > after).order_by(Movie.title).limit(count)
        movies = list(query)
        found: dict[int, list[Any]] = {movie.id: [] for movie in movies}
        order = [Review.score.desc(), Review.id.desc()]
        place = pw.fn.ROW_NUMBER().over(partition_by=[Review.movie], order_by=order)
        ranked = Review.select(Review.id, place.alias("place")).where(Review.movie.in_(movies))
        best = Review.select().join(ranked, on=(ranked.c.id == Review.id))
        for review in best.where(ranked.c.place <= TOP).order_by(*order):
            found[review.movie_id].append(review)
        return [(movie, found[movie.id]) for movie in movies]

    def load_order_folds(self, after: str, count: int) -> Iterable[tuple[Any, int, float, int]]:
        query = Customer.select().where(Customer.name > after).order_by(Customer.name).limit(count)
        customers, fold, placed = list(query), pw.fn, Order.placed
        mean = fold.AVG(placed).coerce(False)  # it would be made an int, as what is folded
        folds = Order.select(Order.customer, fold.COUNT(Order.id), mean, fold.SUM(placed))
        mine = folds.where(Order.customer.in_(customers)).group_by(Order.customer)
        found = {row[0]: row for row in mine.tuples()}
        return [(customer, *found[customer.id][1:]) for customer in customers]

    def _newest(self, query: Any) -> Iterable[Any]:
        newest = query.order_by(Order.placed.desc(), Order.id.desc()).limit(SHORT_PAGE)
        return cast("Iterable[Any]", newest)

    def load_orders_in_state(self, state: str, before: int) -> Iterable[Any]:
        return self._newest(Order.select().where(Order.state == state, Order.placed < before))

    def load_people_between(self, low: str, high: str) -> Iterable[Any]:
        query = Person.select().where(Person.name >= low, Person.name < high)
        return cast("Iterable[Any]", query.order_by(Person.name))

    def load_orders_between(self, low: int, high: int) -> Iterable[Any]:
        query = Order.select().where(Order.placed >= low, Order.placed < high)
        return cast("Iterable[Any]", query.order_by(Order.placed, Order.id))

    def load_orders_of_city(self, city: str, before: int) -> Iterable[Any]:
        query = Order.select().join(Customer)
        return self._newest(query.where(Customer.city == city, Order.placed < before))

    def insert_review(self, review: Row) -> None:
        Review.insert(**_by_field("reviews", review)).execute()

    def insert_movie(self, movie: Row, roles: Sequence[Row]) -> None:
        with DATABASE.atomic():
            Movie.insert(**movie).execute()
            Role.insert_many(roles).execute()

    def update_order(self, identity: int, state: str, note: str) -> None:
        Order.update(state=state, note=note).where(Order.id == identity).execute()


def _by_field(table: str, row: Row) -> Row:
    references = TABLES[table].references
    return {
        name.removesuffix("_id") if name in references else name: value
        for name, value in row.items()
    }
