"""Django's models, configured without a project; to-many relations by `prefetch_related`.

    Customer.objects.order_by("name").prefetch_related(
        Prefetch("orders_all", Order.objects.prefetch_related(...), to_attr="orders"))

`to_attr` makes plain lists, which are cheaper to walk than managers.  To-one relations come by
`select_related`: prefetched, more than 1,000 at once are a condition too deep for SQLite.  The
checkers of this project run without Django, hence what comes from it is `Any` and its models are
made from `benches.tables`.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from types import SimpleNamespace
from typing import Any, cast

from benches import sqlite_file
from benches.by_mapper import ByMapper
from benches.contestant import KNOWN_NAME, SHORT_PAGE, TOP
from benches.data import Row
from benches.tables import TABLES

conf: Any = importlib.import_module("django.conf")
db: Any = importlib.import_module("django.db")

models_of: dict[str, Any] = {}


def _configure(path: str) -> None:
    """Settings and models; once per process, as Django has it."""
    options = {"init_command": sqlite_file.pragma_script(), "transaction_mode": "IMMEDIATE"}
    one = {"ENGINE": "django.db.backends.sqlite3", "NAME": path, "OPTIONS": options}
    conf.settings.configure(DATABASES={"default": one}, INSTALLED_APPS=[], USE_TZ=True)
    importlib.import_module("django").setup()
    for name in TABLES:
        models_of[name] = _make_model(name)


def _make_model(name: str) -> Any:
    models: Any = importlib.import_module("django.db.models")
    kinds = {
        "int": models.BigIntegerField,
        "real": models.FloatField,
        "text": models.TextField,
        "bool": models.BooleanField,
    }
    meta = type("Meta", (), {"app_label": "benches", "db_table": name, "managed": False})
    body: dict[str, Any] = {"__module__": __name__, "Meta": meta}
    for column, kind in TABLES[name].columns.items():
        target = TABLES[name].references.get(column)
        if column == "id":
            body[column] = models.BigIntegerField(primary_key=True)
        elif target:
            body[column.removesuffix("_id")] = models.ForeignKey(
                models_of[target], models.DO_NOTHING, related_name=f"{name}_all"
            )
        else:
            body[column] = kinds[kind.rstrip("?")](null=kind.endswith("?"))
    return type(f"{name.title()}", (models.Model,), body)


class ByDjango(ByMapper):
    """Django."""

    def open(self, world: str) -> None:
        if not models_of:
            _configure(str(sqlite_file.path_of(self.folder, world)))
        self._connection: Any = db.connections["default"]
        self._connection.ensure_connection()
        names = {name: model.objects for name, model in models_of.items()}
        self._objects = SimpleNamespace(**names)
        self._prefetch: Any = db.models.Prefetch
        # A queryset keeps its rows; all() of it is the same query without them.
        self._known: Any = self._objects.customers.filter(name=KNOWN_NAME)

    def close(self) -> None:
        self._connection.close()

    def bulk_load(self, table: str, rows: Sequence[Row]) -> None:
        model = models_of[table]
        with db.transaction.atomic():
            model.objects.bulk_create([model(**row) for row in rows])

    def reading_graph(self) -> AbstractContextManager[object]:
        return cast("AbstractContextManager[object]", db.transaction.atomic())

    def load_order(self, identity: int) -> Any:
        return self._objects.orders.get(id=identity)

    def load_sale(self, identity: int) -> Any:
        return self._objects.sales.get(id=identity)

    def load_known(self) -> Iterable[Any]:
        return cast("Iterable[Any]", self._known.all())

    def load_pages(self) -> Iterable[tuple[str, int, int, float]]:
        count, total, most = db.models.Count("id"), db.models.Sum("seconds"), db.models.Max("paid")
        found = self._objects.visits.values("page").order_by("page")
        folded = found.annotate(n=count, total=total, most=most)
        return cast("Iterable[Any]", folded.values_list("page", "n", "total", "most"))

    def load_movie(self, identity: int) -> Iterable[Any]:
        reviews = self._prefetch("reviews_all", self._objects.reviews.order_by("id"), "reviews")
        found: Iterable[Any] = self._objects.movies.filter(id=identity).prefetch_related(
            self._cast("roles_all"), reviews
        )
        return found

    def load_customers(self, after: str, count: int) -> Iterable[Any]:
        lines = self._prefetch("lines_all", self._objects.lines.order_by("id"), "lines")
        with_lines = self._objects.orders.order_by("id").prefetch_related(lines)
        orders = self._prefetch("orders_all", with_lines, "orders")
        query = self._objects.customers.filter(name__gt=after).order_by("name")[:count]
        return cast("Iterable[Any]", query.prefetch_related(orders))

    def load_careers(self, after: str, count: int) -> Iterable[Any]:
        with_movie = self._objects.roles.order_by("season", "id").select_related("movie")
        with_cast = with_movie.prefetch_related(self._cast("movie__roles_all"))
        roles = self._prefetch("roles_all", with_cast, "roles")
        query = self._objects.people.filter(name__gt=after).order_by("name")[:count]
        return cast("Iterable[Any]", query.prefetch_related(roles))

    def _cast(self, path: str) -> Any:
        roles = self._objects.roles.order_by("billing").select_related("person")
        return self._prefetch(path, roles, "cast")

    def load_top_reviews(self, after: str, count: int) -> Iterable[tuple[Any, Iterable[Any]]]:
        best = self._objects.reviews.order_by("-score", "-id")[:TOP]
        query = self._objects.movies.filter(title__gt=after).order_by("title")[:count]
        found = query.prefetch_related(self._prefetch("reviews_all", best, "reviews"))
        return [(movie, movie.reviews) for movie in found]

    def load_order_folds(self, after: str, count: int) -> Iterable[tuple[Any, int, float, int]]:
        fold = db.models
        page = list(self._objects.customers.filter(name__gt=after).order_by("name")[:count])
        orders = self._objects.orders.filter(customer__in=page).values("customer_id")
        folds = orders.annotate(n=fold.Count("id"), mean=fold.Avg("placed"), sum=fold.Sum("placed"))
        found = {row[0]: row for row in folds.values_list("customer_id", "n", "mean", "sum")}
        return [(customer, *found[customer.id][1:]) for customer in page]

    def _newest(self, **conditions: object) -> Iterable[Any]:
        query = self._objects.orders.filter(**conditions).order_by("-placed", "-id")
        return cast("Iterable[Any]", query[:SHORT_PAGE])

    def load_orders_in_state(self, state: str, before: int) -> Iterable[Any]:
        return self._newest(state=state, placed__lt=before)

    def load_people_between(self, low: str, high: str) -> Iterable[Any]:
        query = self._objects.people.filter(name__gte=low, name__lt=high)
        return cast("Iterable[Any]", query.order_by("name"))

    def load_orders_between(self, low: int, high: int) -> Iterable[Any]:
        query = self._objects.orders.filter(placed__gte=low, placed__lt=high)
        return cast("Iterable[Any]", query.order_by("placed", "id"))

    def load_orders_of_city(self, city: str, before: int) -> Iterable[Any]:
        return self._newest(customer__city=city, placed__lt=before)

    def insert_review(self, review: Row) -> None:
        self._objects.reviews.create(**review)

    def insert_movie(self, movie: Row, roles: Sequence[Row]) -> None:
        role = models_of["roles"]
        with db.transaction.atomic():
            self._objects.movies.create(**movie)
            self._objects.roles.bulk_create([role(**row) for row in roles])

    def update_order(self, identity: int, state: str, note: str) -> None:
        self._objects.orders.filter(id=identity).update(state=state, note=note)
