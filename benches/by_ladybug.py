"""Ladybug, the continuation of Kùzu: rows are nodes, references are relationships, roles are edges.

    (customers) -[customers_orders]-> (orders) -[orders_lines]-> (lines)
    (movies) -[roles {id, billing, part, season}]-> (people)

    MATCH (p:customers)-[:customers_orders]->(o:orders) WHERE p.id IN $keys RETURN ...

It indexes primary keys only: filters on other columns read the column, and names and titles are not
held to be unique.  Tables are loaded from CSV files, which is its way; writing them is timed too.
The checkers of this project run without it, hence what comes from it is `Any`.
"""

from __future__ import annotations

import csv
import importlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from benches.by_hand import ByHand
from benches.contestant import TOP
from benches.data import Row
from benches.tables import TABLES, WORLDS

ladybug: Any = importlib.import_module("ladybug")

BUFFER_BYTES: Final = 2**30
TYPES: Final = {"int": "INT64", "real": "DOUBLE", "text": "STRING", "bool": "BOOLEAN"}
EDGES: Final = {"roles": ("movie_id", "person_id")}  # the table that is a relationship itself


def _columns(table: str, label: str) -> str:
    return ", ".join(f"{label}.{column}" for column in TABLES[table].columns)


ORDER: Final = f"RETURN {_columns('orders', 'o')}"
MOVIE: Final = f"RETURN {_columns('movies', 'm')}"
PERSON: Final = f"RETURN {_columns('people', 'p')}"
CUSTOMER: Final = f"RETURN {_columns('customers', 'c')}"
ROLE: Final = "RETURN r.id, m.id, p.id, r.billing, r.part, r.season"
PLAYS: Final = "MATCH (m:movies)-[r:roles]->(p:people)"
NEWEST: Final = f"{ORDER} ORDER BY o.placed DESC, o.id DESC LIMIT $p2"

STATEMENTS: Final[dict[str, str]] = {
    "order": f"MATCH (o:orders) WHERE o.id = $p0 {ORDER}",
    "sale": f"MATCH (s:sales) WHERE s.id = $p0 RETURN {_columns('sales', 's')}",
    "customer_named": f"MATCH (c:customers) WHERE c.name = $p0 {CUSTOMER}",
    "customers_after": (
        f"MATCH (c:customers) WHERE c.name > $p0 {CUSTOMER} ORDER BY c.name LIMIT $p1"
    ),
    "orders_of": (
        "MATCH (c:customers)-[:customers_orders]->(o:orders)"
        f" WHERE c.id IN $keys {ORDER} ORDER BY o.id"
    ),
    "lines_of": (
        "MATCH (o:orders)-[:orders_lines]->(l:lines)"
        f" WHERE o.id IN $keys RETURN {_columns('lines', 'l')} ORDER BY l.id"
    ),
    "movie": f"MATCH (m:movies) WHERE m.id = $p0 {MOVIE}",
    "movies": f"MATCH (m:movies) WHERE m.id IN $keys {MOVIE}",
    "movies_after": f"MATCH (m:movies) WHERE m.title > $p0 {MOVIE} ORDER BY m.title LIMIT $p1",
    "people": f"MATCH (p:people) WHERE p.id IN $keys {PERSON}",
    "people_after": f"MATCH (p:people) WHERE p.name > $p0 {PERSON} ORDER BY p.name LIMIT $p1",
    "people_between": (
        f"MATCH (p:people) WHERE p.name >= $p0 AND p.name < $p1 {PERSON} ORDER BY p.name"
    ),
    "roles_of_movies": f"{PLAYS} WHERE m.id IN $keys {ROLE} ORDER BY m.id, r.billing",
    "roles_of_people": f"{PLAYS} WHERE p.id IN $keys {ROLE} ORDER BY p.id, r.season, r.id",
    "reviews_of": (
        "MATCH (m:movies)-[:movies_reviews]->(v:reviews)"
        f" WHERE m.id IN $keys RETURN {_columns('reviews', 'v')} ORDER BY v.id"
    ),
    "top_reviews": (
        "MATCH (m:movies)-[:movies_reviews]->(v:reviews) WHERE m.id IN $keys"
        f" RETURN {_columns('reviews', 'v')} ORDER BY v.score DESC, v.id DESC"
    ),
    "order_folds": (
        "MATCH (c:customers)-[:customers_orders]->(o:orders) WHERE c.id IN $keys"
        " RETURN c.id, count(*), avg(o.placed), CAST(sum(o.placed) AS INT64)"
    ),
    "pages": (
        "MATCH (v:visits) RETURN v.page, count(*), CAST(sum(v.seconds) AS INT64), max(v.paid)"
        " ORDER BY v.page"
    ),
    "orders_in_state": f"MATCH (o:orders) WHERE o.state = $p0 AND o.placed < $p1 {NEWEST}",
    "orders_between": (
        f"MATCH (o:orders) WHERE o.placed >= $p0 AND o.placed < $p1 {ORDER} ORDER BY o.placed, o.id"
    ),
    "orders_of_city": (
        "MATCH (c:customers)-[:customers_orders]->(o:orders)"
        f" WHERE c.city = $p0 AND o.placed < $p1 {NEWEST}"
    ),
}
INSERT_REVIEW: Final = (
    "MATCH (m:movies) WHERE m.id = $movie_id CREATE (m)-[:movies_reviews]->(:reviews {id: $id,"
    " movie_id: $movie_id, score: $score, author: $author, body: $body})"
)
INSERT_MOVIE: Final = "CREATE (:movies {id: $id, title: $title, year: $year, rating: $rating})"
INSERT_ROLES: Final = (
    "UNWIND $roles AS r MATCH (m:movies), (p:people) WHERE m.id = $movie AND p.id = r.person_id"
    " CREATE (m)-[:roles {id: r.id, billing: r.billing, part: r.part, season: r.season}]->(p)"
)
UPDATE_ORDER: Final = "MATCH (o:orders) WHERE o.id = $id SET o.state = $state, o.note = $note"


class ByLadybug(ByHand):
    """Ladybug."""

    _db: Any
    _connection: Any

    def create(self, world: str) -> None:
        self.open(world)
        for name in WORLDS[world]:
            for statement in _create_statements(name):
                self._connection.execute(statement)

    def open(self, world: str) -> None:
        path = str(self.folder / f"{world}.lbug")
        self._db = ladybug.Database(path, buffer_pool_size=BUFFER_BYTES)
        self._connection = ladybug.Connection(self._db)

    def close(self) -> None:
        self._connection.close()
        self._db.close()

    def bulk_load(self, table: str, rows: Sequence[Row]) -> None:
        if table in EDGES:
            columns = [*EDGES[table], *_properties(table)]
            self._copy(table, ([row[name] for name in columns] for row in rows))
            return
        self._copy(table, (list(row.values()) for row in rows))
        for column, target in TABLES[table].references.items():
            self._copy(f"{target}_{table}", ([row[column], row["id"]] for row in rows))

    def _copy(self, target: str, rows: Iterator[list[Any]] | Iterable[list[Any]]) -> None:
        path = Path(self.folder / f"{target}.csv")
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerows(rows)
        self._connection.execute(f'COPY {target} FROM "{path}" (PARALLEL=FALSE)')
        path.unlink()

    def settle(self) -> None:
        self._connection.execute("CHECKPOINT")

    def compact(self) -> None:
        self._connection.execute("CHECKPOINT")

    def select(self, name: str, *parameters: object) -> Iterable[Sequence[Any]]:
        given = {f"p{at}": value for at, value in enumerate(parameters)}
        return self._all(STATEMENTS[name], given)

    def among(self, name: str, keys: Sequence[int]) -> Iterable[Sequence[Any]]:
        found = self._all(STATEMENTS[name], {"keys": list(keys)})
        if name != "top_reviews":
            return found
        # There is no window function; the first few of each are picked here.
        seen: Counter[int] = Counter()
        best: list[Sequence[Any]] = []
        for row in found:
            seen[row[1]] += 1
            if seen[row[1]] <= TOP:
                best.append(row)
        return best

    def _all(self, statement: str, given: dict[str, object]) -> list[Sequence[Any]]:
        found: list[Sequence[Any]] = self._connection.execute(statement, given).get_all()
        return found

    def begin_read(self) -> None:
        self._connection.execute("BEGIN TRANSACTION READ ONLY")

    def end_read(self) -> None:
        self._connection.execute("COMMIT")

    def insert_review(self, review: Row) -> None:
        self._connection.execute(INSERT_REVIEW, review)

    def insert_movie(self, movie: Row, roles: Sequence[Row]) -> None:
        self._connection.execute("BEGIN TRANSACTION")
        self._connection.execute(INSERT_MOVIE, movie)
        self._connection.execute(INSERT_ROLES, {"movie": movie["id"], "roles": roles})
        self._connection.execute("COMMIT")

    def update_order(self, identity: int, state: str, note: str) -> None:
        given = {"id": identity, "state": state, "note": note}
        self._connection.execute(UPDATE_ORDER, given)


def _properties(table: str) -> list[str]:
    return [column for column in TABLES[table].columns if column not in EDGES.get(table, ())]


def _create_statements(name: str) -> list[str]:
    table = TABLES[name]
    declared = ", ".join(
        f"{column} {TYPES[table.columns[column].rstrip('?')]}" for column in _properties(name)
    )
    if name in EDGES:
        begin, end = (table.references[column] for column in EDGES[name])
        return [f"CREATE REL TABLE {name}(FROM {begin} TO {end}, {declared})"]
    return [
        f"CREATE NODE TABLE {name}({declared}, PRIMARY KEY (id))",
        *(
            f"CREATE REL TABLE {target}_{name}(FROM {target} TO {name})"
            for target in table.references.values()
        ),
    ]
