"""Wrong uses of the face: both type checkers refuse exactly the lines that say so."""

# ruff: noqa: B018, E711, FURB171

from __future__ import annotations

from ormdb import Database, Entity, Field, One, Predicate, Query, field, many, one, param, validator
from ormdb.model.face import TypedSession
from tests.typing.shop import Airport, Engine, Flight, Plane

flight = Flight(dep_delay=3, distance=1.0, origin=Airport.key("JFK"))
airport = Airport(faa="JFK", name="Kennedy")

# --- predicates ---
Airport.where(Flight.dep_delay > 3)  # wrong: a predicate of another entity
Airport.where(Airport.name == 3)  # wrong: text compared with a number
Airport.where(Airport.name != 3)  # wrong: text compared with a number
Flight.where(Flight.dep_delay > None)  # wrong: a comparison with None
Flight.where(Flight.dep_delay == None)  # wrong: a comparison with None
Flight.where(Flight.dep_delay > "3")  # wrong: a number compared with text
Flight.where(Flight.dep_dely > 3)  # wrong: a misspelled field
Flight.where(Flight.dep_delay in [3])  # wrong: Python's `in` instead of in_()
Flight.where(Flight.id.in_(["3"]))  # wrong: numbers among texts
Flight.where(Flight.id.between(1, "9"))  # wrong: a bound of another type
Plane.where(Plane.engine == "jet")  # wrong: an enum compared with its text
Plane.where(Plane.size.in_(["huge"]))  # wrong: no variant of the literal
Flight.where((Flight.id > 1) & (Plane.seats > 2))  # wrong: predicates of two entities joined
Flight.where(Flight.tailnum == Plane.tailnum)  # wrong: columns of two entities compared
Flight.where(Flight.distance > Flight.tailnum)  # wrong: columns of two types compared
mixed: Predicate[Plane] = Flight.id > 1  # wrong: a predicate of another entity

# --- parameters ---
Airport.where(Airport.name == param("n", int))  # wrong: text compared with a number
Flight.where(Flight.dep_delay > param("t", str))  # wrong: a number compared with text
Flight.where(Flight.id.in_(param("t", list[str])))  # wrong: numbers among texts
Flight.where(Flight.id.in_(param("n", int)))  # wrong: a number is no list
Airport.where(Airport.name.like(param("n", int)))  # wrong: a pattern that is no text
Plane.where(Plane.tags.has(param("n", int)))  # wrong: an item of another type
Plane.where(Plane.engine == param("t", str))  # wrong: an enum compared with its text
Airport.limit(param("t", str))  # wrong: a limit that is no number
Airport.all().after(param("n", int))  # wrong: a cursor that is no text
Flight.where(Flight.dep_delay + param("t", str) > 3)  # wrong: a number and a text
Flight.all().table(Flight.id).limit(param("t", str))  # wrong: a limit that is no number

# --- questions and arithmetic ---
Flight.where(Flight.id.starts_with("1"))  # wrong: a number asked for its beginning
Flight.where(Flight.dep_delay.like("1%"))  # wrong: a number beside a pattern
Flight.where(Flight.created.icontains("2013"))  # wrong: a moment searched for text
Plane.where(Plane.engine.contains("j"))  # wrong: an enum is no text
Airport.where(Airport.name.starts_with(3))  # wrong: a beginning that is no text
Airport.where(Airport.name.contains(Flight.tailnum))  # wrong: a text of another entity
Airport.where(Airport.name.has("K"))  # wrong: a text is no list
Plane.where(Plane.tags.has(3))  # wrong: an item of another type
Plane.where(Plane.tags.contains("old"))  # wrong: a list is no text
Plane.where(Plane.seats.has_key("a"))  # wrong: a number is no JSON
Airport.where(Airport.name.at("a") == 1)  # wrong: a text is no JSON
Airport.where(Airport.name + "x" == "Kennedyx")  # wrong: arithmetic with texts
Flight.where(Flight.dep_delay + "1" > 3)  # wrong: a number and a text
Flight.where(Flight.dep_delay + Plane.seats > 3)  # wrong: numbers of two entities
Flight.where(Flight.dep_delay + 10 < Flight.tailnum)  # wrong: a number compared with text
Flight.where(Flight.dep_delay + 10)  # wrong: a number is no condition
Flight.where(Flight.created + 3 > Flight.created)  # wrong: a moment and a number
Airport.where(-Airport.name == "x")  # wrong: the negative of a text

# --- paths ---
Flight.where(Flight.origin[Plane.seats] > 3)  # wrong: a path to a column of another entity
Airport.where(Airport.departures[Flight.id] > 3)  # wrong: a path over a to-many relation
Flight.where(Flight.plane.seats > 3)  # wrong: an attribute instead of a path

# --- queries ---
Airport.include(Flight.plane)  # wrong: an include of another entity
Airport.include(Airport.departures.include(Airport.departures))  # wrong: a nested one as well
Airport.include(Airport.departures.where(Plane.seats > 3))  # wrong: its filter
Airport.where(Airport.departures.any(Plane.seats > 3))  # wrong: a question about other rows
Flight.where(Airport.departures.none())  # wrong: the relation of another entity
Airport.include(Airport.name)  # wrong: a field is no relation
Airport.order_by(Flight.dep_delay.desc())  # wrong: an order of another entity
Airport.order_by(Flight.dep_delay)  # wrong: a column of another entity
Airport.select(Flight.id)  # wrong: a field of another entity
Airport.limit("5")  # wrong: a limit that is no number
Airport.budget(row=5)  # wrong: a misspelled budget
Flight.plane.limit(3)  # wrong: a limit on a to-one relation
other: Query[Plane] = Airport.all()  # wrong: a query of another entity
Airport.key(["JFK"])  # wrong: an identity that is no scalar

# --- objects ---
Airport(faa=3, name="Kennedy")  # wrong: a field of another type
Airport(faa="JFK")  # wrong: a required field is missing
Airport("JFK", "Kennedy")  # wrong: fields by position
Airport(faa="JFK", name="Kennedy", nme="x")  # wrong: an unknown field
Flight(dep_delay=3, distance=1.0, origin=Plane.key("N1"))  # wrong: a key of another entity
Flight(dep_delay=3, distance=1.0, origin="JFK")  # wrong: a value instead of a key
Flight(dep_delay=3, distance=1.0)  # wrong: a required relation is missing
Flight(dep_delay=3, distance=1.0, origin=airport, gain=4)  # wrong: a computed field is given
Flight(dep_delay=3, distance=1.0, origin=airport, plane=None)  # wrong: a relation with via
flight.dep_delay = 3  # wrong: an object is frozen
flight.origin = airport  # wrong: a relation as well
airport.departures = ()  # wrong: and its back
late = Flight(dep_delay=3, distance=1.0, origin=airport)
late.plane.seats  # wrong: an optional relation is not checked for None
late.dep_delay + 1  # wrong: an optional field is not checked for None
late.nme  # wrong: a misspelled field
Airport.name = "Kennedy"  # wrong: a class is no row

# --- tables ---
Flight.all().table(Airport.name)  # wrong: a column of another entity
Flight.all().table("dep_delay")  # wrong: a name instead of a column
Flight.tailnum.sum()  # wrong: texts have no sum
Plane.engine.avg()  # wrong: enums have no mean
Flight.distance.bucket("hour")  # wrong: a number has no piece of time
Flight.dep_delay.sum(where=Airport.name == "x")  # wrong: a condition on another entity
Flight.all().table(Flight.id).having(Airport.name == "x")  # wrong: having of another entity
Flight.all().table(Flight.id).order_by(Airport.name.desc())  # wrong: an order of another entity

# --- writing ---
Airport.name.to(3)  # wrong: a value of another type
Airport.name.to(None)  # wrong: NULL for a required field
Airport.name.to(Flight.tailnum)  # wrong: a column of another entity
Flight.dep_delay.to(Flight.tailnum)  # wrong: a column of another type
Flight.dep_delay.to(Flight.dep_delay / 2)  # wrong: a fraction for a whole number
Airport.name.add("x")  # wrong: a text is not added to
Flight.dep_delay.add(0.5)  # wrong: a fraction added to a whole number
Flight.dep_delay.coalesce("0")  # wrong: a text where a number is missing
Flight.dep_delay.add(Plane.seats)  # wrong: a number of another entity
Flight.origin.to(Plane.key("N1"))  # wrong: a row of another entity
Flight.origin.to(None)  # wrong: NULL for a required relation


@validator
def flies(flight: Flight) -> None:
    """A validator of flights."""


def hooks(db: Database) -> None:
    """What a database refuses."""
    db.add_hooks(Plane, flies)  # wrong: a validator of another entity
    db.add_hooks(Flight, print)  # wrong: a function that is no hook


def sessions(db: TypedSession) -> None:
    """What a session refuses."""
    db.fetch(Airport)[0].nme  # wrong: a misspelled field of a result
    db.prepare(Airport).one().nme  # wrong: a misspelled field of a prepared query's row
    db.table(Flight.all())  # wrong: a query that is no table
    db.table(Flight.all().table(Flight.dep_delay))[0][0] + 1  # wrong: a value that may be NULL
    db.fetch("Airport")  # wrong: a name instead of a query
    db.get(Airport, "JFK").name  # wrong: a row that may not exist
    db.update(Airport.key("JFK"), Flight.dep_delay.to(3))  # wrong: an assignment of another entity
    db.update_where(Airport.all(), Flight.dep_delay.to(3))  # wrong: an assignment of another entity
    db.update_where(Flight, Flight.dep_delay.to(3), Plane.seats.to(1))  # wrong: one of two entities
    db.update(Airport.key("JFK"), Airport.name.to("x"), where=Flight.id > 1)  # wrong: a condition
    db.delete_where(Flight.dep_delay > 3)  # wrong: a predicate is no query
    db.upsert(airport, by=[Flight.id])  # wrong: a field of another entity
    db.upsert(airport, update=[Flight.dep_delay.to(3)])  # wrong: an assignment of another entity
    db.returning(Flight).update_where(Plane, Plane.seats.to(1))  # wrong: rows of another entity
    db.connect(airport, Airport.visitors, airport)  # wrong: a target of another entity
    db.connect(flight, Airport.visitors, Plane.key("N1"))  # wrong: a relation of another entity
    db.insert({"faa": "JFK"})  # wrong: a dict instead of an object
    db.restore("JFK")  # wrong: an identity without its entity
    db.delete(airport, budget="9")  # wrong: a budget that is no number
    db.delete("JFK")  # wrong: an identity without its entity
    db.update(Engine.JET)  # wrong: no row at all


class Bad(Entity):
    """What declarations refuse."""

    text: Field[int] = field(default="x")  # wrong: a default of another type
    null: Field[int] = field(default=None)  # wrong: no default for a required field
    option: Field[int] = field(soft=True)  # wrong: an unknown option
    kind: Field[int] = many(inverse="x")  # wrong: the maker of another marker
    both: One[Airport] = one(on_delete="explode")  # wrong: an unknown action
    late: One[Airport] = one(deferred="commit")  # wrong: neither True nor False
