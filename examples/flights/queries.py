"""The fetches of the demo, from one entity to a graph five levels deep."""

from __future__ import annotations

from examples.flights.schema import Airline, Airport, Flight, Plane, Weather
from ormdb import Query


def highest_airports() -> Query[Airport]:
    """Airports above 7,000 feet."""
    return Airport.where(Airport.alt > 7_000).order_by(Airport.alt.desc()).limit(5)


def old_cessnas() -> Query[Plane]:
    """Cessnas, the oldest first, each with its three latest flights."""
    flights = Plane.flights.select(Flight.time_hour, Flight.origin_faa, Flight.dest_faa)
    latest = flights.order_by(Flight.time_hour.desc()).limit(3)
    cessnas = Plane.where(Plane.manufacturer == "CESSNA", Plane.year.is_not_null())
    return cessnas.order_by(Plane.year).limit(4).include(latest)


def late_departures() -> Query[Airport]:
    """Two airports, the five most delayed departures of each, their planes and destinations."""
    late = Airport.departures.order_by(Flight.dep_delay.desc()).limit(5)
    graph = late.select(Flight.dep_delay, Flight.time_hour).include(
        Flight.plane.select(Plane.manufacturer, Plane.model, Plane.seats),
        Flight.dest.select(Airport.name),
    )
    return Airport.where(Airport.faa.in_(["JFK", "LGA"])).include(graph)


def storms() -> Query[Weather]:
    """Three windy hours with everything that was to take off then, and the flights' airlines."""
    windy = Weather.where(Weather.wind_gust > 45.0, Weather.hour >= 8)
    flights = Weather.flights.order_by(Flight.sched_dep_time)
    graph = flights.select(Flight.sched_dep_time, Flight.dep_delay, Flight.flight).include(
        Flight.airline,
        Flight.plane.select(Plane.model, Plane.seats),
        Flight.dest.select(Airport.name, Airport.tzone),
    )
    hours = windy.select(Weather.time_hour, Weather.wind_gust, Weather.temp)
    names = Weather.origin.select(Airport.name)
    return hours.order_by(Weather.wind_gust.desc()).limit(3).include(names, graph)


def where_planes_went_next() -> Query[Weather]:
    """Fifty windy hours, their flights, the planes, what each plane flew last, and where to."""
    last = Plane.flights.order_by(Flight.time_hour.desc()).limit(4)
    last = last.select(Flight.carrier, Flight.dest_faa, Flight.dep_delay)
    last = last.include(Flight.dest.select(Airport.name), Flight.airline.select(Airline.name))
    plane = Flight.plane.select(Plane.manufacturer, Plane.model).include(last)
    flights = Weather.flights.select(Flight.tailnum, Flight.dep_delay).include(plane)
    hours = Weather.where(Weather.wind_gust.is_not_null()).order_by(Weather.wind_gust.desc())
    return hours.select(Weather.wind_gust, Weather.temp).limit(50).include(flights)


TOUR = (highest_airports, old_cessnas, late_departures, storms, where_planes_went_next)
