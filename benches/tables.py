"""The tables of both worlds as plain descriptions, from which contestants make theirs.

    WORLDS["reads"]    customers ──< orders ──< lines
                       people ──< roles >── movies ──< reviews
    WORLDS["sales"]    buyers ──< sales >── products

    TABLES["orders"].columns["note"]    "text?"        the sign says that there may be no value
    TABLES["orders"].references         {"customer_id": "customers"}
    TABLES["orders"].indexes            (("customer_id",), ("state", "placed"), ("placed",))

Every table has a primary key `id`.  What is listed in `indexes` is what a careful program would
declare for the cases: one index per question, none that another one serves already.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Columns by name, of kind int, real, text or bool; foreign keys; indexes."""

    columns: Mapping[str, str]
    references: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    unique: tuple[str, ...] = ()
    indexes: tuple[tuple[str, ...], ...] = ()


_PERSONAL: Final = {
    "id": "int",
    "name": "text",
    "city": "text",
    "email": "text",
    "credit": "real",
    "active": "bool",
}

TABLES: Final[Mapping[str, Table]] = {
    "customers": Table(columns=_PERSONAL, unique=("name",)),
    "orders": Table(
        columns={
            "id": "int",
            "customer_id": "int",
            "placed": "int",
            "state": "text",
            "total": "real",
            "note": "text?",
        },
        references={"customer_id": "customers"},
        indexes=(("customer_id",), ("state", "placed"), ("placed",)),
    ),
    "lines": Table(
        columns={
            "id": "int",
            "order_id": "int",
            "product": "text",
            "quantity": "int",
            "price": "real",
        },
        references={"order_id": "orders"},
        indexes=(("order_id",),),
    ),
    "movies": Table(
        columns={"id": "int", "title": "text", "year": "int", "rating": "real"}, unique=("title",)
    ),
    "people": Table(columns={"id": "int", "name": "text", "born": "int"}, unique=("name",)),
    "roles": Table(
        columns={
            "id": "int",
            "movie_id": "int",
            "person_id": "int",
            "billing": "int",
            "part": "text",
            "season": "int",
        },
        references={"movie_id": "movies", "person_id": "people"},
        indexes=(("movie_id", "billing"), ("person_id", "season")),
    ),
    "reviews": Table(
        columns={"id": "int", "movie_id": "int", "score": "int", "author": "text", "body": "text"},
        references={"movie_id": "movies"},
        indexes=(("movie_id",), ("movie_id", "score")),
    ),
    "visits": Table(
        columns={"id": "int", "page": "text", "seconds": "int", "paid": "real", "mobile": "bool"}
    ),
    "buyers": Table(columns=_PERSONAL, unique=("name",)),
    "products": Table(columns={"id": "int", "name": "text"}),
    "sales": Table(
        columns={
            "id": "int",
            "code": "text",
            "customer_id": "int",
            "product_id": "int",
            "sold": "int",
            "region": "text",
            "amount": "real",
            "quantity": "int",
            "discount": "real?",
            "paid": "bool",
            "channel": "text",
            "comment": "text",
        },
        references={"customer_id": "buyers", "product_id": "products"},
        unique=("code",),
        indexes=(("sold",), ("region", "amount"), ("customer_id",), ("product_id",)),
    ),
}

# Parents first, which is the order of loading.
WORLDS: Final[Mapping[str, tuple[str, ...]]] = {
    "reads": ("customers", "orders", "lines", "movies", "people", "roles", "reviews", "visits"),
    "sales": ("buyers", "products", "sales"),
}


def create_statements(world: str, types: Mapping[str, str], primary: str) -> list[str]:
    """The tables and indexes of a world in SQL.

    Args:
      world: which tables.
      types: what the database calls int, real, text and bool.
      primary: how it declares `id`.
    """
    made: list[str] = []
    for name in WORLDS[world]:
        table = TABLES[name]
        parts = [f"id {primary}"]
        for column, kind in table.columns.items():
            if column != "id":
                needed = "" if kind.endswith("?") else " NOT NULL"
                target = table.references.get(column)
                refers = f" REFERENCES {target} (id)" if target else ""
                parts.append(f"{column} {types[kind.rstrip('?')]}{needed}{refers}")
        made.append(f"CREATE TABLE {name} ({', '.join(parts)})")
        made.extend(
            f"CREATE UNIQUE INDEX {name}_{column} ON {name} ({column})" for column in table.unique
        )
        for columns in table.indexes:
            label = "_".join((name, *columns))
            made.append(f"CREATE INDEX {label} ON {name} ({', '.join(columns)})")
    return made
