"""A small airline, for the tests of the query floor: every kind of relation, once.

Airport  code (text)      <- origin -  Flight  id (int)   - plane (not enforced) ->  Plane  tail
Crew     id (int)         <- member -  Duty (flight, member, rank)  - flight ->  Flight
Log      id (int)         - flight (one to one) ->  Flight
"""

from __future__ import annotations

import datetime
import decimal
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from ormdb.clock import Clock, SystemClock
from ormdb.database.database import Database
from ormdb.database.opening import prepare_schema
from ormdb.ir.expr import (
    Call,
    Compare,
    CompareOp,
    Expr,
    FieldRef,
    FunctionName,
    InList,
    Literal,
)
from ormdb.ir.graph import GraphQuery, Include, OrderSpec, Page
from ormdb.ir.schema import (
    Computed,
    EntityDef,
    FieldDef,
    IndexDef,
    IndexField,
    RelationDef,
    SchemaBundle,
    ThroughDef,
)
from ormdb.ir.value import (
    BoolType,
    DecimalType,
    EnumType,
    FloatType,
    IntType,
    RowDict,
    TextType,
    Type,
    Value,
)
from ormdb.observe.observer import Observer
from ormdb.session import Context
from ormdb.storage.engine import Engine

PLANES: Final = 40
AIRPORTS: Final = ("EWR", "JFK", "LGA")
CREW: Final = 20


def field(name: str, kind: Type, *, optional: bool = False) -> FieldDef:
    return FieldDef(name=name, type=kind, optional=optional)


def index(name: str, *parts: str, unique: bool = False) -> IndexDef:
    """An index over fields; a minus before a name makes its column descending."""
    fields = tuple(
        IndexField(field=part.removeprefix("-"), descending=part.startswith("-")) for part in parts
    )
    return IndexDef(name=name, fields=fields, unique=unique)


def late() -> FieldDef:
    """delay > 60, computed when read."""
    expression = Compare(op=">", left=FieldRef(path=("delay",)), right=Literal(value=60))
    made = field("late", BoolType(), optional=True)
    return replace(made, computed=Computed(expression=expression))


AIRLINE: Final = SchemaBundle(
    entities=(
        EntityDef(
            name="Airport",
            fields=(field("code", TextType()), field("lat", FloatType(), optional=True)),
            identity=("code",),
            indexes=(index("by_lat", "lat"),),
        ),
        EntityDef(
            name="Plane",
            fields=(field("tail", TextType()), field("seats", IntType(), optional=True)),
            identity=("tail",),
        ),
        EntityDef(
            name="Flight",
            fields=(
                field("id", IntType()),
                field("origin_code", TextType()),
                field("tail", TextType(), optional=True),
                field("time", IntType()),
                field("delay", IntType(), optional=True),
                field("price", DecimalType(precision=8, scale=2), optional=True),
                field("kind", EnumType(variants=("mail", "cargo", "people")), optional=True),
                field("number", TextType(), optional=True),
                late(),
            ),
            identity=("id",),
            indexes=(
                index("by_time", "time"),
                index("by_origin", "origin_code", "-delay"),
                index("by_price", "price"),
                index("by_number", "number", unique=True),
            ),
        ),
        EntityDef(
            name="Crew",
            fields=(field("id", IntType()), field("name", TextType())),
            identity=("id",),
        ),
        EntityDef(
            name="Duty",
            fields=(
                field("flight_id", IntType()),
                field("crew_id", IntType()),
                field("rank", IntType(), optional=True),
            ),
            identity=("flight_id", "crew_id"),
        ),
        EntityDef(
            name="Log",
            fields=(
                field("id", IntType()),
                field("flight_id", IntType(), optional=True),
                field("text", TextType()),
            ),
            identity=("id",),
            indexes=(index("one_log", "flight_id", unique=True),),
        ),
    ),
    relations=(
        RelationDef(
            name="origin",
            source="Flight",
            fields=("origin_code",),
            target="Airport",
            target_fields=("code",),
            inverse="departures",
        ),
        RelationDef(
            name="plane",
            source="Flight",
            fields=("tail",),
            target="Plane",
            target_fields=("tail",),
            inverse="flights",
            enforced=False,
        ),
        RelationDef(
            name="flight",
            source="Duty",
            fields=("flight_id",),
            target="Flight",
            target_fields=("id",),
            inverse="duties",
        ),
        RelationDef(
            name="member",
            source="Duty",
            fields=("crew_id",),
            target="Crew",
            target_fields=("id",),
            inverse="duties",
        ),
        RelationDef(
            name="flight",
            source="Log",
            fields=("flight_id",),
            target="Flight",
            target_fields=("id",),
            inverse="log",
            inverse_one=True,
        ),
    ),
    throughs=(
        ThroughDef(
            name="crew",
            entity="Flight",
            edge="Duty",
            near="flight",
            far="member",
            target="Crew",
            order=(IndexField(field="rank"),),
        ),
    ),
)


def asks(name: FunctionName, path: str, value: Value) -> Expr:
    """A function that asks something of a field."""
    return Call(name=name, arguments=(FieldRef(path=tuple(path.split("."))), Literal(value=value)))


def open_airline(
    engine: Engine,
    flights: int = 0,
    *,
    clock: Clock | None = None,
    observer: Observer | None = None,
    cache_bytes: int = 0,  # so that every fetch makes the calls of its plan
) -> Database:
    """A database with this many flights, and what belongs to them."""
    clock = clock or SystemClock()
    prepare_schema(engine, AIRLINE, clock)
    database = Database(
        engine,
        clock=clock,
        context=Context.system(),
        retention=datetime.timedelta(days=1),
        observer=observer,
        cache_bytes=cache_bytes,
    )
    if flights:
        database.bulk_load(
            "Airport", [{"code": c, "lat": 40.0 + n} for n, c in enumerate(AIRPORTS)]
        )
        database.bulk_load("Plane", [{"tail": f"N{n}", "seats": n or None} for n in range(PLANES)])
        database.bulk_load("Crew", [{"id": n, "name": f"crew {n}"} for n in range(CREW)])
        database.bulk_load("Flight", flight_rows(flights))
        database.bulk_load("Duty", duty_rows(flights))
        database.bulk_load("Log", [{"id": n, "flight_id": n, "text": "ok"} for n in range(flights)])
    return database


def flight_rows(count: int) -> Iterator[RowDict]:
    """Flights whose times are all different, with one plane in ten that nobody knows."""
    for number in range(count):
        yield {
            "id": number,
            "origin_code": AIRPORTS[number % len(AIRPORTS)],
            "tail": None if number % 11 == 5 else f"N{number % (PLANES + 4)}",
            "time": number * 7 % 1_000_003,
            "delay": None if number % 7 == 3 else number * 13 % 181 - 20,
            "price": decimal.Decimal(number % 500) + decimal.Decimal("0.5"),
            "kind": ("mail", "cargo", "people")[number % 3],
            "number": f"OR{number}",
        }


def duty_rows(flights: int) -> Iterator[RowDict]:
    """Two of the crew for every flight."""
    for number in range(flights):
        for place in (1, 0):
            crew = (number + place) % CREW
            yield {"flight_id": number, "crew_id": crew, "rank": 1 - place}


def compare(op: CompareOp, path: str, value: Value) -> Expr:
    """`path op value`, the path with dots."""
    return Compare(op=op, left=FieldRef(path=tuple(path.split("."))), right=Literal(value=value))


def among(path: str, *values: Value) -> Expr:
    """`path in (values)`."""
    return InList(operand=FieldRef(path=tuple(path.split("."))), items=Literal(value=values))


def by(*keys: str) -> tuple[OrderSpec, ...]:
    """An order; a minus before a path makes it descending."""
    return tuple(
        OrderSpec(
            key=FieldRef(path=tuple(key.removeprefix("-").split("."))),
            descending=key.startswith("-"),
        )
        for key in keys
    )


def page_of_flights(limit: int, *includes: Include) -> GraphQuery:
    """The first flights by time."""
    return GraphQuery(entity="Flight", order=by("time"), page=Page(limit=limit), includes=includes)
