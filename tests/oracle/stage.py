"""One generated world, open and at rest after a few commits: where the oracles ask questions.

    with open_stage(seed, folder=None) as stage:
        for query in stage.queries(40):
            check_partition(stage, query)

Every oracle draws its own seeds, so that no two of them look at the same rows.  `DifferenceError`
carries the seed and the query.
"""

from __future__ import annotations

import random
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import ormdb
from ormdb import Database
from ormdb.ir.expr import And, Expr
from ormdb.ir.graph import GraphQuery, Page
from ormdb.ir.schema import Computed, FieldDef, SchemaBundle
from ormdb.ir.value import BoolType, RowDict, Value
from ormdb.session import Reader
from tests.oracle.expressions import ExpressionMaker
from tests.oracle.names import Names
from tests.oracle.queries import QueryMaker
from tests.oracle.rows import RowMaker, Tables
from tests.oracle.sqlite_side import Mirror
from tests.oracle.worlds import World, make_world

COMMITS = 3
ANALYZED_EVERY = 3  # every third world has statistics, by which other plans are made
Identity = tuple[Value, ...]


@dataclass(slots=True)
class Stage:
    """An open world, and the same rows as plain tables."""

    label: str
    rng: random.Random
    world: World
    database: Database
    tables: Tables
    rows: RowMaker

    @property
    def names(self) -> Names:
        return self.tables.names

    @property
    def maker(self) -> QueryMaker:
        """Makes queries about the state as it is."""
        return QueryMaker(self.rng, self.world, self.tables.mirror)

    def queries(self, count: int) -> Iterator[GraphQuery]:
        """Queries about the state as it is."""
        maker = self.maker
        for _ in range(count):
            yield maker.query()

    def commit(self) -> None:
        """One commit of random mutations."""
        mutations = self.rows.commit()
        if mutations:
            self.database.run_mutations(mutations)


@contextmanager
def open_stage(
    seed: int, folder: Path | None = None, *, conditions: bool = False, commits: int = COMMITS
) -> Generator[Stage]:
    """Fill a generated world, in memory or in a file of `folder`.

    Args:
      seed: what decides everything.
      folder: where its file is, for as long as it is open.
      conditions: whether every entity gets computed fields that are conditions.
      commits: how many follow the first rows.
    """
    rng = random.Random(seed)
    world = make_world(rng)
    if conditions:
        world = replace(world, bundle=_with_conditions(rng, world))
    place = ":memory:" if folder is None else folder / "stage.ormdb"
    tables = Tables(Names(world.bundle), Mirror.create(world.bundle))
    rows = RowMaker(rng, world, tables)
    with ormdb.open(place, schema=world.bundle, durability="none") as database:
        stage = Stage(f"seed {seed}", rng, world, database, tables, rows)
        for insert in rows.first_rows():
            database.run_mutations([insert])
        for _ in range(commits):
            stage.commit()
        if seed % ANALYZED_EVERY == 0:
            database.analyze()
        yield stage
    tables.mirror.close()
    if folder is not None:
        for file in folder.iterdir():
            file.unlink()


def _with_conditions(rng: random.Random, world: World) -> SchemaBundle:
    """The world's schema, each entity with two conditions among its computed fields."""
    entities = [
        replace(
            entity,
            fields=(
                *entity.fields,
                *(
                    FieldDef(
                        name=f"q{number}",
                        type=BoolType(),
                        optional=True,
                        computed=Computed(expression=condition, stored=rng.random() < 0.5),
                    )
                    for number, condition in enumerate(
                        _own_conditions(rng, world, entity.name, count=2)
                    )
                ),
            ),
        )
        for entity in world.bundle.entities
    ]
    return replace(world.bundle, entities=tuple(entities))


def _own_conditions(rng: random.Random, world: World, entity: str, *, count: int) -> Iterator[Expr]:
    """Conditions over the plain fields of an entity."""
    fields = next(each for each in world.bundle.entities if each.name == entity).fields
    plain = [((f.name,), f, (entity, f.name) in world.small) for f in fields if not f.computed]
    maker = ExpressionMaker(rng, plain)
    for _ in range(count):
        yield maker.condition(rng.choice([0, 1, 2]))


def whole(query: GraphQuery) -> GraphQuery:
    """A query without its page, with every field of its roots and nothing beside them."""
    return replace(query, page=Page(), select=None, derived=())


def narrowed(query: GraphQuery, condition: Expr) -> GraphQuery:
    """A query that keeps those of its rows for which a condition is true."""
    items = (condition,) if query.filter is None else (query.filter, condition)
    return replace(query, filter=And(items=items))


def identities(names: Names, entity: str, rows: list[RowDict]) -> list[Identity]:
    """Which rows these are; every identity field has to be among what they show."""
    keys = names.entities[entity].identity
    return [tuple(row[key] for key in keys) for row in rows]


def found_ids(reader: Reader, names: Names, query: GraphQuery) -> list[Identity]:
    """Which roots a query finds, in its order."""
    return identities(names, query.entity, reader.run_fetch(replace(query, select=None)).dicts())
