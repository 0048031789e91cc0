"""The five tables as typed classes.

    Airline ──< Flight >── Plane        by tail number; one flight in seven names an unknown plane
                 │  │ │
     Weather >───┘  │ └──── Airport     where to; some destinations are not in the table
     of that hour   └────── Airport     where from; always known

Relations that dangle in the data are declared `enforced=False`: the value is kept, reads as None
when followed, and links by itself once its target is there.
"""

from __future__ import annotations

from datetime import datetime

from ormdb import Entity, Field, Many, One, field, index, many, one


class Airline(Entity):
    carrier: Field[str] = field(identity=True)
    name: Field[str]
    flights: Many[Flight] = many(inverse="airline")


class Airport(Entity):
    faa: Field[str] = field(identity=True)
    name: Field[str]
    lat: Field[float]
    lon: Field[float]
    alt: Field[int] = field(index=True, doc="feet above the sea")
    tz: Field[int]
    dst: Field[str]
    tzone: Field[str | None]
    departures: Many[Flight] = many(inverse="origin")
    arrivals: Many[Flight] = many(inverse="dest")


class Plane(Entity):
    tailnum: Field[str] = field(identity=True)
    year: Field[int | None]
    type: Field[str]
    manufacturer: Field[str] = field(index=True)
    model: Field[str]
    engines: Field[int]
    seats: Field[int]
    speed: Field[int | None]
    engine: Field[str]
    flights: Many[Flight] = many(inverse="plane")


class Weather(Entity):
    origin_faa: Field[str] = field(identity=True)
    time_hour: Field[datetime] = field(identity=True)
    year: Field[int]
    month: Field[int]
    day: Field[int]
    hour: Field[int]
    temp: Field[float | None]
    dewp: Field[float | None]
    humid: Field[float | None]
    wind_dir: Field[int | None]
    wind_speed: Field[float | None]
    wind_gust: Field[float | None] = field(index=True, doc="miles an hour")
    precip: Field[float]
    pressure: Field[float | None]
    visib: Field[float]
    origin: One[Airport] = one(via="origin_faa")
    flights: Many[Flight] = many(inverse="weather")


class Flight(Entity):
    id: Field[int] = field(identity=True, doc="the row's number in the file")
    year: Field[int]
    month: Field[int]
    day: Field[int]
    dep_time: Field[int | None] = field(doc="local, as HHMM")
    sched_dep_time: Field[int]
    dep_delay: Field[int | None] = field(doc="minutes")
    arr_time: Field[int | None]
    sched_arr_time: Field[int]
    arr_delay: Field[int | None]
    carrier: Field[str]
    flight: Field[int]
    tailnum: Field[str | None]
    origin_faa: Field[str]
    dest_faa: Field[str]
    air_time: Field[int | None]
    distance: Field[int]
    hour: Field[int]
    minute: Field[int]
    time_hour: Field[datetime] = field(doc="the scheduled hour of departure, UTC")
    airline: One[Airline] = one(via="carrier")
    plane: One[Plane | None] = one(via="tailnum", enforced=False)
    origin: One[Airport] = one(via="origin_faa")
    dest: One[Airport | None] = one(via="dest_faa", enforced=False)
    weather: One[Weather | None] = one(via=("origin_faa", "time_hour"), enforced=False)

    __indexes__ = (
        index("origin_faa", "dep_delay"),
        index("tailnum", "time_hour"),
    )


SCHEMA: tuple[type[Entity], ...] = (Airline, Airport, Plane, Weather, Flight)
