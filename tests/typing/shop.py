"""The classes that the typing tests use: every kind of field and relation once."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Literal
from uuid import UUID

from ormdb import (
    Entity,
    Field,
    Json,
    Many,
    One,
    check,
    desc,
    expression,
    field,
    index,
    many,
    now,
    one,
    sequence,
    uuid7,
)


class Engine(enum.Enum):
    """What drives a plane."""

    JET = "jet"
    PROP = "prop"


@dataclass(frozen=True)
class Place:
    """Where an airport lies."""

    lat: float
    lon: float
    street: str | None


class Stamped(Entity, abstract=True):
    """Rows that know when they were made."""

    created: Field[datetime] = field(default=now())


class Airport(Entity, doc="Where planes land."):
    """Where planes land."""

    faa: Field[str] = field(identity=True, max_chars=3)
    name: Field[str]
    place: Field[Place | None] = field(default=None)
    departures: Many[Flight] = many(inverse="origin")
    visitors: Many[Plane] = many(through="Visit.airport", to="plane", order_by=desc("day"))


class Plane(Entity, name="planes"):
    """What flies."""

    tailnum: Field[str] = field(identity=True)
    seats: Field[int | None] = field(default=None, fill=100, index=True)
    engine: Field[Engine] = field(default=Engine.JET)
    size: Field[Literal["small", "large"]] = field(default="small")
    price: Field[Decimal | None] = field(precision=12, scale=2, default=None)
    tags: Field[tuple[str, ...]] = field(default=())
    notes: Field[Json | None] = field(default=None)
    log: One[Log | None] = one(inverse="plane")
    flights: Many[Flight] = many(inverse="plane")


class Log(Entity):
    """The book of one plane."""

    key: Field[UUID] = field(identity=True, default=uuid7())
    plane: One[Plane] = one(unique=True)


class Visit(Entity):
    """Which plane was where."""

    airport: One[Airport] = one(identity=True)
    plane: One[Plane] = one(identity=True)
    day: Field[date] = field(identity=True)


class Flight(Stamped):
    """One departure."""

    id: Field[int] = field(identity=True, default=sequence())
    dep_delay: Field[int | None]
    arr_delay: Field[int | None] = field(default=expression("dep_delay"))
    tailnum: Field[str | None] = field(default=None)
    distance: Field[float] = field(unique=True)
    gain: Field[int | None] = field(computed="dep_delay - arr_delay", stored=True)
    origin: One[Airport] = one(on_delete="restrict")
    dest: One[Airport | None] = one(default=None)
    plane: One[Plane | None] = one(via="tailnum", enforced=False)

    __indexes__ = (index("tailnum", desc("dep_delay"), name="by_plane"),)
    __checks__ = (check("distance > 0", name="far"),)
