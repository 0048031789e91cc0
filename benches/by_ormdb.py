"""The worlds in ormdb, through the face that a user types, with its defaults.

    db.fetch(Customer.where(...).include(Customer.orders.include(Order.lines))).to_dicts()

What a program knows beforehand (which relations, which order) is built once, as it would be at the
top of a module; what depends on the call is added in the call, and that takes its time there.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Final

import ormdb
from benches.contestant import KNOWN_NAME, SHORT_PAGE, TOP, Contestant, Cost
from benches.data import Row
from ormdb import (
    Database,
    Entity,
    Field,
    Many,
    One,
    Prepared,
    Query,
    count,
    field,
    index,
    limits,
    many,
    one,
    param,
)


class Customer(Entity):
    """Somebody who orders."""

    id: Field[int] = field(identity=True)
    name: Field[str] = field(unique=True)
    city: Field[str]
    email: Field[str]
    credit: Field[float]
    active: Field[bool]
    orders: Many[Order] = many(inverse="customer")


class Order(Entity):
    """What one customer ordered at once."""

    id: Field[int] = field(identity=True)
    customer_id: Field[int]
    placed: Field[int] = field(index=True)
    state: Field[str]
    total: Field[float]
    note: Field[str | None]
    customer: One[Customer] = one(via="customer_id")
    lines: Many[Line] = many(inverse="order")

    __indexes__ = (index("state", "placed"),)


class Line(Entity):
    """One product of an order."""

    id: Field[int] = field(identity=True)
    order_id: Field[int]
    product: Field[str]
    quantity: Field[int]
    price: Field[float]
    order: One[Order] = one(via="order_id")


class Movie(Entity):
    """What people play in."""

    id: Field[int] = field(identity=True)
    title: Field[str] = field(unique=True)
    year: Field[int]
    rating: Field[float]
    cast: Many[Role] = many(inverse="movie")
    reviews: Many[Review] = many(inverse="movie")


class Person(Entity):
    """Who plays."""

    id: Field[int] = field(identity=True)
    name: Field[str] = field(unique=True)
    born: Field[int]
    roles: Many[Role] = many(inverse="person")


class Role(Entity):
    """The edge between the two, with fields of its own."""

    id: Field[int] = field(identity=True)
    movie_id: Field[int]
    person_id: Field[int]
    billing: Field[int]
    part: Field[str]
    season: Field[int]
    movie: One[Movie] = one(via="movie_id")
    person: One[Person] = one(via="person_id")

    __indexes__ = (index("movie_id", "billing"), index("person_id", "season"))


class Review(Entity):
    """What somebody thought of a movie."""

    id: Field[int] = field(identity=True)
    movie_id: Field[int]
    score: Field[int]
    author: Field[str]
    body: Field[str]
    movie: One[Movie] = one(via="movie_id")

    __indexes__ = (index("movie_id", "score"),)


class Visit(Entity):
    """What is counted by page."""

    id: Field[int] = field(identity=True)
    page: Field[str]
    seconds: Field[int]
    paid: Field[float]
    mobile: Field[bool]


class Product(Entity):
    """What sales point at."""

    id: Field[int] = field(identity=True)
    name: Field[str]
    sales: Many[Sale] = many(inverse="product")


class Buyer(Entity):
    """Who sales point at."""

    id: Field[int] = field(identity=True)
    name: Field[str] = field(unique=True)
    city: Field[str]
    email: Field[str]
    credit: Field[float]
    active: Field[bool]
    sales: Many[Sale] = many(inverse="customer")


class Sale(Entity):
    """Twelve fields, two indexes, two foreign keys, one unique."""

    id: Field[int] = field(identity=True)
    code: Field[str] = field(unique=True)
    customer_id: Field[int]
    product_id: Field[int]
    sold: Field[int] = field(index=True)
    region: Field[str]
    amount: Field[float]
    quantity: Field[int]
    discount: Field[float | None]
    paid: Field[bool]
    channel: Field[str]
    comment: Field[str]
    customer: One[Buyer] = one(via="customer_id")
    product: One[Product] = one(via="product_id")

    __indexes__ = (index("region", "amount"),)


SCHEMAS: Final[dict[str, tuple[type[Entity], ...]]] = {
    "reads": (Customer, Order, Line, Movie, Person, Role, Review, Visit),
    "sales": (Buyer, Product, Sale),
}
ENTITIES: Final[dict[str, type[Entity]]] = {
    "customers": Customer,
    "orders": Order,
    "lines": Line,
    "movies": Movie,
    "people": Person,
    "roles": Role,
    "reviews": Review,
    "visits": Visit,
    "buyers": Buyer,
    "products": Product,
    "sales": Sale,
}

CAST = Movie.cast.order_by(Role.billing).include(Role.person)
CUSTOMERS = Customer.order_by(Customer.name).include(Customer.orders.include(Order.lines))
MOVIE = Movie.include(CAST, Movie.reviews)
CAREER = Person.roles.order_by(Role.season).include(Role.movie.include(CAST))
CAREERS = Person.order_by(Person.name).include(CAREER)
BEST = Movie.reviews.order_by(Review.score.desc()).limit(TOP)
RATED = Movie.order_by(Movie.title).include(BEST)
FOLDED = Customer.order_by(Customer.name).derive(
    Customer.orders.count().named("count"),
    Customer.orders.avg(Order.placed).named("mean"),
    Customer.orders.sum(Order.placed).named("sum"),
)
NEWEST = Order.order_by(Order.placed.desc()).limit(SHORT_PAGE)
PAGES = Visit.all().table(
    Visit.page,
    count().named("visits"),
    Visit.seconds.sum().named("seconds"),
    Visit.paid.max().named("paid"),
)
KNOWN = Customer.where(Customer.name == KNOWN_NAME)
NAMED = Customer.where(Customer.name == param("name", str))


class ByOrmdb(Contestant):
    """ormdb, with its defaults."""

    cache_bytes: ClassVar[int] = limits.ROW_CACHE_BYTES

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._db: Database | None = None
        self._prepared: tuple[Database, Prepared[Customer]] | None = None
        self._costs: list[Cost] | None = None

    def create(self, world: str) -> None:
        self.open(world)

    def open(self, world: str) -> None:
        path = self.folder / f"{world}.ormdb"
        self._db = ormdb.open(path, schema=SCHEMAS[world], cache_bytes=self.cache_bytes)

    def close(self) -> None:
        self.db.close()

    def bulk_load(self, table: str, rows: Sequence[Row]) -> None:
        self.db.bulk_load(ENTITIES[table], rows)

    def compact(self) -> None:
        self.db.compact()

    def costs(self) -> list[Cost]:
        if self._costs is None:
            self._costs = []
            return []
        found, self._costs = self._costs, None
        return found

    # --- one row ------------------------------------------------------------------------------

    def get_order(self, identity: int) -> Row | None:
        return self.db.run_get("Order", (identity,))

    def get_order_object(self, identity: int) -> object:
        return self.db.get(Order, identity)

    def get_sale(self, identity: int) -> Row | None:
        return self.db.run_get("Sale", (identity,))

    def one_row(self) -> list[Row]:
        return self._fetch(KNOWN)

    def one_row_prepared(self) -> list[Row]:
        if self._prepared is None or self._prepared[0] is not self.db:
            self._prepared = self.db, self.db.prepare(NAMED)
        return self._prepared[1].fetch(name=KNOWN_NAME).to_dicts()

    # --- graphs -------------------------------------------------------------------------------

    def movie(self, identity: int) -> list[Row]:
        return self._fetch(MOVIE.where(Movie.id == identity))

    def customers(self, after: str, count: int) -> list[Row]:
        return self._fetch(CUSTOMERS.where(Customer.name > after).limit(count))

    def careers(self, after: str, count: int) -> list[Row]:
        return self._fetch(CAREERS.where(Person.name > after).limit(count))

    def top_reviews(self, after: str, count: int) -> list[Row]:
        return self._fetch(RATED.where(Movie.title > after).limit(count))

    def order_folds(self, after: str, count: int) -> list[Row]:
        return self._fetch(FOLDED.where(Customer.name > after).limit(count))

    # --- rows by filter -----------------------------------------------------------------------

    def orders_in_state(self, state: str, before: int) -> list[Row]:
        return self._fetch(NEWEST.where(Order.state == state, Order.placed < before))

    def people_between(self, low: str, high: str) -> list[Row]:
        return self._fetch(
            Person.where(Person.name >= low, Person.name < high).order_by(Person.name)
        )

    def orders_between(self, low: int, high: int) -> list[Row]:
        found = Order.where(Order.placed >= low, Order.placed < high)
        return self._fetch(found.order_by(Order.placed))

    def orders_of_city(self, city: str, before: int) -> list[Row]:
        return self._fetch(
            NEWEST.where(Order.customer[Customer.city] == city, Order.placed < before)
        )

    # --- groups -------------------------------------------------------------------------------

    def pages(self) -> list[Row]:
        found = self.db.table(PAGES)
        if self._costs is not None:
            self._costs.append(Cost(found.statistics.engine_calls, found.statistics.keys_read))
        return found.to_dicts()

    # --- writes -------------------------------------------------------------------------------

    def insert_review(self, review: Row) -> None:
        self.db.insert_rows(Review, [review])

    def insert_movie(self, movie: Row, roles: Sequence[Row]) -> None:
        with self.db.transaction() as txn:
            txn.insert_rows(Movie, [movie])
            txn.insert_rows(Role, roles)

    def update_order(self, identity: int, state: str, note: str) -> None:
        self.db.update(Order.key(identity), Order.state.to(state), Order.note.to(note))

    @property
    def db(self) -> Database:
        """The open database."""
        assert self._db is not None, "create or open something first"
        return self._db

    def _fetch(self, query: Query[Any]) -> list[Row]:
        result = self.db.fetch(query)
        if self._costs is not None:
            found = result.statistics
            self._costs.append(Cost(found.engine_calls, found.keys_read))
        return result.to_dicts()


class ByOrmdbCold(ByOrmdb):
    """ormdb as it reads what it has not read before: no decoded row is kept."""

    cache_bytes = 0
