"""Classes and an answer that the tests of the model share.

Airport JFK, LGA ── departures ──> Flight 1, 2 | 3, 4 ── plane ──> Plane N1, N2, N2, none
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import field as part
from typing import Any, Self

from ormdb import Entity, Field, Many, One, field, index, many, one, sequence
from ormdb.ir.deletion import DeletePreview
from ormdb.ir.explanation import Explanation, NodeExplanation
from ormdb.ir.graph import AsOf, GraphQuery
from ormdb.ir.mutation import Delete, Insert, Mutation, MutationOutcome, Update
from ormdb.ir.result import EdgeBlock, EntityBlock, FetchStatistics, GraphBlocks
from ormdb.ir.schema import SchemaBundle
from ormdb.ir.table import TableBlock, TableColumnType, TableQuery
from ormdb.ir.value import (
    EnumType,
    FloatType,
    IntType,
    RowDict,
    StructField,
    StructType,
    TextType,
    Value,
)
from ormdb.model.build import build_bundle
from ormdb.model.face import TypedSession
from ormdb.session import Context


class Engine(enum.Enum):
    """What drives a plane."""

    JET = "jet"
    PROP = "prop"


@dataclass(frozen=True)
class Place:
    """Where an airport lies."""

    lat: float
    house: str | None = part(default=None, metadata={"name": "house no"})


class Airport(Entity):
    """Where planes land."""

    faa: Field[str] = field(identity=True)
    name: Field[str]
    place: Field[Place | None] = field(default=None)
    departures: Many[Flight] = many(inverse="origin")


class Plane(Entity):
    """What flies."""

    tailnum: Field[str] = field(identity=True)
    seats: Field[int | None] = field(default=None)
    engine: Field[Engine] = field(default=Engine.JET)
    flights: Many[Flight] = many(inverse="plane")


class Flight(Entity):
    """One departure."""

    id: Field[int] = field(identity=True, default=sequence())
    dep_delay: Field[int | None]
    tailnum: Field[str | None] = field(default=None)
    origin: One[Airport] = one()
    dest: One[Airport | None] = one(default=None)
    plane: One[Plane | None] = one(via="tailnum", enforced=False)


SCHEMA = (Airport, Flight, Plane)
PLACE = StructType(
    fields=(
        StructField(name="lat", type=FloatType()),
        StructField(name="house no", type=TextType(), optional=True),
    )
)

# The same as a program without a type checker sees them.
AIRPORT: Any = Airport
FLIGHT: Any = Flight
PLANE: Any = Plane
FIELD: Any = field
INDEX: Any = index
MANY: Any = many
ONE: Any = one


def blocks() -> GraphBlocks:
    """Two airports, their four flights, the two planes that these share."""
    return GraphBlocks(
        entities=(
            EntityBlock(
                entity="Airport",
                path=(),
                fields=("faa", "name", "place"),
                identity=("faa",),
                types=(TextType(), TextType(), PLACE),
                columns=(
                    ["JFK", "LGA"],
                    ["Kennedy", "La Guardia"],
                    [{"lat": 40.5, "house no": "1a"}, None],
                ),
            ),
            EntityBlock(
                entity="Flight",
                path=("departures",),
                fields=("id", "dep_delay"),
                identity=("id",),
                types=(IntType(), IntType()),
                columns=([1, 2, 3, 4], [5, None, 7, 8]),
            ),
            EntityBlock(
                entity="Plane",
                path=("departures", "plane"),
                fields=("tailnum", "engine"),
                identity=("tailnum",),
                types=(TextType(), EnumType(variants=("jet", "prop"))),
                columns=(["N1", "N2"], ["jet", "prop"]),
            ),
        ),
        edges=(
            EdgeBlock(
                path=("departures",),
                relation="departures",
                offsets=[0, 2, 4],
                targets=[0, 1, 2, 3],
            ),
            EdgeBlock(
                path=("departures", "plane"),
                relation="plane",
                offsets=None,
                targets=[0, 1, 1, -1],
            ),
        ),
        version=7,
        schema_version=1,
    )


class FakeAnswer:
    """An answer that counts how often its blocks are asked for."""

    def __init__(self, found: GraphBlocks) -> None:
        self._found = found
        self.asked = 0
        self.next_cursor: str | None = "next"
        self.previous_cursor: str | None = None
        self.statistics = FetchStatistics(
            rows=8, edges=8, engine_calls=3, keys_read=8, bytes_read=80, seconds=0.001
        )

    @property
    def blocks(self) -> GraphBlocks:
        self.asked += 1
        return self._found

    def cursors_of(self, path: Sequence[str], parent: int) -> tuple[str | None, str | None]:
        return None, f"{'.'.join(path)} of {parent}"

    def dicts(self) -> list[RowDict]:
        return [{"faa": "JFK"}, {"faa": "LGA"}]

    def __len__(self) -> int:
        return len(self._found.entities[0])


class FakeStream:
    """A stream of these answers."""

    def __init__(self, answers: list[FakeAnswer]) -> None:
        self.answers = answers

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> FakeAnswer:
        if not self.answers:
            raise StopIteration
        return self.answers.pop(0)

    def close(self) -> None:
        self.answers = []


class FakeSession(TypedSession):
    """A session that answers every fetch alike and notes what it was asked."""

    def __init__(self, answer: FakeAnswer | None = None) -> None:
        self.answer = FakeAnswer(blocks()) if answer is None else answer
        self.asked: list[Any] = []
        self.row: RowDict | None = {"faa": "JFK", "name": "Kennedy", "place": None}

    @property
    def schema(self) -> SchemaBundle:
        return build_bundle(SCHEMA)

    def run_fetch(self, query: GraphQuery, *, context: Context | None = None) -> FakeAnswer:
        self.asked.append(query)
        return self.answer

    def run_get(
        self, entity: str, identity: tuple[Value, ...], *, context: Context | None = None
    ) -> RowDict | None:
        self.asked.append((entity, identity))
        return self.row

    def run_version(
        self, entity: str, identity: tuple[Value, ...], *, context: Context | None = None
    ) -> int | None:
        self.asked.append((entity, identity))
        return 7

    def run_count(self, query: GraphQuery, *, context: Context | None = None) -> int:
        self.asked.append(query)
        return 2

    def run_exists(self, query: GraphQuery, *, context: Context | None = None) -> bool:
        self.asked.append(query)
        return True

    def run_table(self, query: TableQuery, *, context: Context | None = None) -> TableBlock:
        self.asked.append(query)
        kinds = [
            TableColumnType(name=one.name, type=IntType(), optional=False) for one in query.columns
        ]
        return TableBlock(
            columns=tuple(kinds),
            values=tuple([number, number + 1] for number in range(len(kinds))),
            version=7,
            schema_version=1,
            statistics=self.answer.statistics,
        )

    def run_stream(
        self, query: GraphQuery, *, batch: int, context: Context | None = None
    ) -> FakeStream:
        self.asked.append((query, batch))
        return FakeStream([self.answer, self.answer])

    def run_delete_preview(
        self, delete: Delete, *, context: Context | None = None
    ) -> DeletePreview:
        self.asked.append(delete)
        return DeletePreview(effects=())

    def run_explain(
        self,
        query: GraphQuery | TableQuery,
        *,
        analyze: bool = False,
        context: Context | None = None,
    ) -> Explanation:
        self.asked.append((query, analyze))
        root = NodeExplanation(path=(), entity=query.entity, engine_calls=1)
        return Explanation(
            entity=query.entity, version=7, schema_version=1, engine_calls=1, root=root
        )

    def run_mutations(
        self, mutations: Sequence[Mutation], *, context: Context | None = None
    ) -> list[MutationOutcome]:
        self.asked.append(list(mutations))
        return [_outcome(mutation) for mutation in mutations]

    def begin(self, *, context: Context | None = None) -> FakeSession:
        return self

    def begin_snapshot(
        self, *, as_of: AsOf | None = None, context: Context | None = None
    ) -> FakeSession:
        self.asked.append(as_of)
        return self

    def close(self) -> None:
        self.asked.append("close")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.asked.append("end")


def _outcome(mutation: Mutation) -> MutationOutcome:
    match mutation:
        case Insert(rows=rows):
            identities: tuple[tuple[Value, ...], ...] = tuple(
                (row.get("faa") or row.get("tailnum") or 100 + n,) for n, row in enumerate(rows)
            )
        case Update(identity=identity):
            identities = (identity,)
        case Delete(identities=identities):
            pass
        case _:
            identities = ((1,), (2,))
    return MutationOutcome(entity=mutation.entity, identities=identities)
