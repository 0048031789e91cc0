"""SQLAlchemy: mapped classes, relations loaded with `selectinload`.

    select(Customer).order_by(...).options(selectinload(Customer.orders).selectinload(Order.lines))

A session lives for one call, so that no answer comes out of the objects of an earlier one.  The
checkers of this project run without SQLAlchemy, hence what comes from it is `Any` and its classes
are made from `benches.tables`.
"""

from __future__ import annotations

import importlib
import sqlite3
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from typing import Any, Final

from benches import sqlite_file
from benches.by_mapper import ByMapper
from benches.contestant import KNOWN_NAME, SHORT_PAGE, TOP
from benches.data import Row
from benches.tables import TABLES

sa: Any = importlib.import_module("sqlalchemy")
orm: Any = importlib.import_module("sqlalchemy.orm")
pool: Any = importlib.import_module("sqlalchemy.pool")

TYPES: Final[dict[str, Any]] = {
    "int": sa.Integer,
    "real": sa.Float,
    "text": sa.Text,
    "bool": sa.Boolean,
}
RELATIONS: Final[dict[str, dict[str, tuple[str, tuple[str, ...]]]]] = {
    "customers": {"orders": ("orders", ("id",))},
    "orders": {"customer": ("customers", ()), "lines": ("lines", ("id",))},
    "movies": {"cast": ("roles", ("billing",)), "reviews": ("reviews", ("id",))},
    "people": {"roles": ("roles", ("season", "id"))},
    "roles": {"movie": ("movies", ()), "person": ("people", ())},
}


def _map_classes() -> dict[str, Any]:
    """A mapped class for every table."""
    registry = orm.registry()
    tables: dict[str, Any] = {}
    for name, table in TABLES.items():
        columns: list[Any] = []
        for column, kind in table.columns.items():
            target = table.references.get(column)
            refers = [sa.ForeignKey(f"{target}.id")] if target else []
            columns.append(
                sa.Column(column, TYPES[kind.rstrip("?")], *refers, primary_key=column == "id")
            )
        tables[name] = sa.Table(name, registry.metadata, *columns)
    classes: dict[str, Any] = {name: type(name.title(), (), {}) for name in TABLES}
    for name, made in classes.items():
        relations: dict[str, Any] = {}
        for relation, (target, order) in RELATIONS.get(name, {}).items():
            keys = [tables[target].c[column] for column in order]
            relations[relation] = orm.relationship(
                classes[target], order_by=keys or None, viewonly=True
            )
        registry.map_imperatively(made, tables[name], properties=relations)
    return classes


CLASSES: Final = _map_classes()
Customer, Order, Movie = CLASSES["customers"], CLASSES["orders"], CLASSES["movies"]
Person, Role, Review = CLASSES["people"], CLASSES["roles"], CLASSES["reviews"]
NEWEST: Final[Any] = (
    sa.select(Order).order_by(Order.placed.desc(), Order.id.desc()).limit(SHORT_PAGE)
)
Visit: Final[Any] = CLASSES["visits"]
PAGES: Final[Any] = (
    sa.select(Visit.page, sa.func.count(), sa.func.sum(Visit.seconds), sa.func.max(Visit.paid))
    .group_by(Visit.page)
    .order_by(Visit.page)
)
KNOWN: Final[Any] = sa.select(Customer).where(Customer.name == KNOWN_NAME)


class BySqlalchemy(ByMapper):
    """SQLAlchemy."""

    _engine: Any
    _session: Any

    def open(self, world: str) -> None:
        path = sqlite_file.path_of(self.folder, world)

        def connect() -> sqlite3.Connection:
            db = sqlite3.connect(path, cached_statements=512)
            db.executescript(sqlite_file.pragma_script())
            return db

        self._engine = sa.create_engine("sqlite://", creator=connect, poolclass=pool.StaticPool)
        self._engine.connect().close()

    def close(self) -> None:
        self._engine.dispose()

    def bulk_load(self, table: str, rows: Sequence[Row]) -> None:
        with orm.Session(self._engine) as session, session.begin():
            session.execute(sa.insert(CLASSES[table]), rows)

    @contextmanager
    def reading(self) -> Generator[None]:
        with orm.Session(self._engine) as self._session:
            yield

    def _all(self, query: Any) -> Iterable[Any]:
        found: Iterable[Any] = self._session.scalars(query)
        return found

    def load_order(self, identity: int) -> Any:
        return self._session.get(Order, identity)

    def load_sale(self, identity: int) -> Any:
        return self._session.get(CLASSES["sales"], identity)

    def load_known(self) -> Iterable[Any]:
        return self._all(KNOWN)

    def load_pages(self) -> Iterable[tuple[str, int, int, float]]:
        found: Iterable[tuple[str, int, int, float]] = self._session.execute(PAGES)
        return found

    def load_movie(self, identity: int) -> Iterable[Any]:
        graph = (
            orm.selectinload(Movie.cast).selectinload(Role.person),
            orm.selectinload(Movie.reviews),
        )
        return self._all(sa.select(Movie).where(Movie.id == identity).options(*graph))

    def load_customers(self, after: str, count: int) -> Iterable[Any]:
        query = sa.select(Customer).where(Customer.name > after).order_by(Customer.name)
        graph = orm.selectinload(Customer.orders).selectinload(Order.lines)
        return self._all(query.limit(count).options(graph))

    def load_careers(self, after: str, count: int) -> Iterable[Any]:
        query = sa.select(Person).where(Person.name > after).order_by(Person.name)
        movies = orm.selectinload(Person.roles).selectinload(Role.movie)
        graph = movies.selectinload(Movie.cast).selectinload(Role.person)
        return self._all(query.limit(count).options(graph))

    def load_top_reviews(self, after: str, count: int) -> Iterable[tuple[Any, Iterable[Any]]]:
        query = sa.select(Movie).where(Movie.title > after).order_by(Movie.title).limit(count)
        movies = list(self._all(query))
        order = (Review.score.desc(), Review.id.desc())
        place = sa.func.row_number().over(partition_by=Review.movie_id, order_by=order)
        ranked = (
            sa.select(Review, place.label("place"))
            .where(Review.movie_id.in_([movie.id for movie in movies]))
            .subquery()
        )
        best = orm.aliased(Review, ranked)
        query = sa.select(best).where(ranked.c.place <= TOP)
        found: dict[int, list[Any]] = {movie.id: [] for movie in movies}
        for review in self._all(query.order_by(best.score.desc(), best.id.desc())):
            found[review.movie_id].append(review)
        return [(movie, found[movie.id]) for movie in movies]

    def load_order_folds(self, after: str, count: int) -> Iterable[tuple[Any, int, float, int]]:
        query = sa.select(Customer).where(Customer.name > after).order_by(Customer.name)
        customers = list(self._all(query.limit(count)))
        folds = sa.select(
            Order.customer_id, sa.func.count(), sa.func.avg(Order.placed), sa.func.sum(Order.placed)
        )
        mine = folds.where(Order.customer_id.in_([customer.id for customer in customers]))
        found = {row[0]: row for row in self._session.execute(mine.group_by(Order.customer_id))}
        return [(customer, *found[customer.id][1:]) for customer in customers]

    def load_orders_in_state(self, state: str, before: int) -> Iterable[Any]:
        return self._all(NEWEST.where(Order.state == state, Order.placed < before))

    def load_people_between(self, low: str, high: str) -> Iterable[Any]:
        query = sa.select(Person).where(Person.name >= low, Person.name < high)
        return self._all(query.order_by(Person.name))

    def load_orders_between(self, low: int, high: int) -> Iterable[Any]:
        query = sa.select(Order).where(Order.placed >= low, Order.placed < high)
        return self._all(query.order_by(Order.placed, Order.id))

    def load_orders_of_city(self, city: str, before: int) -> Iterable[Any]:
        query = NEWEST.join(Order.customer).where(Customer.city == city, Order.placed < before)
        return self._all(query)

    def insert_review(self, review: Row) -> None:
        with orm.Session(self._engine) as session, session.begin():
            session.add(Review(**review))

    def insert_movie(self, movie: Row, roles: Sequence[Row]) -> None:
        with orm.Session(self._engine) as session, session.begin():
            session.add(Movie(**movie))
            session.add_all([Role(**role) for role in roles])

    def update_order(self, identity: int, state: str, note: str) -> None:
        with orm.Session(self._engine) as session, session.begin():
            order = session.get(Order, identity)
            order.state = state
            order.note = note
