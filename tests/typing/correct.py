"""Uses of the face that both type checkers accept, with the types they have to find."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, Literal, TypeAlias, assert_type

from ormdb import (
    Assignment,
    Change,
    Column,
    Database,
    DeletedRow,
    DeletePreview,
    Explanation,
    Key,
    Order,
    Parameter,
    Predicate,
    Prepared,
    PreparedTable,
    Query,
    Result,
    Stream,
    Table,
    Tabular,
    before,
    count,
    expression,
    now,
    param,
    validator,
)
from ormdb.ir.graph import GraphQuery
from ormdb.model.column import OptionalColumn
from ormdb.model.face import TypedSession, TypedWriter
from ormdb.model.hooks import Hook
from ormdb.model.relation import OptionalToOne, Path, ToMany, ToOne
from ormdb.model.returning import Returning
from ormdb.model.saving import Upserted
from ormdb.model.term import Calculated, Term
from tests.typing.shop import Airport, Engine, Flight, Log, Place, Plane, Visit

Row: TypeAlias = tuple[str, int | None, int, float | None, datetime | None, float | None]
PlanesRow: TypeAlias = tuple[Engine, Decimal | None, Decimal | None, Engine | None]


def columns_of_a_class() -> None:
    """On a class, a field is a column."""
    assert_type(Airport.name, Column[Airport, str])
    assert_type(Flight.dep_delay, OptionalColumn[Flight, int])
    assert_type(Flight.created, Column[Flight, datetime])
    assert_type(Plane.engine, Column[Plane, Engine])
    assert_type(Plane.size, Column[Plane, Literal["small", "large"]])
    assert_type(Airport.place, OptionalColumn[Airport, Place])
    assert_type(Airport.departures, ToMany[Airport, Flight])
    assert_type(Flight.origin, ToOne[Flight, Airport])
    assert_type(Flight.plane, OptionalToOne[Flight, Plane])
    assert_type(Plane.log, OptionalToOne[Plane, Log])


def values_of_an_object(flight: Flight, other: Flight, plane: Plane, airport: Airport) -> None:
    """On an object, a field is its value."""
    assert_type(airport.name, str)
    assert_type(flight.dep_delay, int | None)
    assert_type(flight.created, datetime)
    assert_type(flight.gain, int | None)
    assert_type(Airport.departures.count() > 3, Predicate[Airport])
    assert_type(
        Airport.departures.avg(Flight.id).named("mean").of(Airport(faa="JFK", name="x")),
        float | None,
    )
    assert_type(flight.origin, Airport)
    assert_type(flight.plane, Plane | None)
    assert_type(plane.engine, Engine)
    assert_type(plane.tags, tuple[str, ...])
    assert_type(airport.departures, tuple[Flight, ...])
    assert_type(airport.visitors, tuple[Plane, ...])
    if flight.plane is not None:
        assert_type(flight.plane.seats, int | None)
    assert {flight, flight}
    assert_type(flight == other, bool)


def predicates() -> None:
    """Columns make predicates of their entity."""
    assert_type(Flight.dep_delay > 120, Predicate[Flight])
    assert_type((Flight.dep_delay == 1) | ~(Flight.distance < 2), Predicate[Flight])
    assert_type(Flight.dep_delay == Flight.arr_delay, Predicate[Flight])
    assert_type(Flight.origin[Airport.name] == "Kennedy", Predicate[Flight])
    assert_type(Airport.departures.any(Flight.id > 3), Predicate[Airport])
    assert_type(~Flight.plane.none("seats > 3"), Predicate[Flight])
    assert_type(Log.plane[Plane.seats].between(1, 100), Predicate[Log])
    assert_type(Flight.plane[Plane.log], Path[Flight, Log])
    assert_type(Flight.created >= datetime(2013, 1, 1, tzinfo=UTC), Predicate[Flight])
    assert_type(Plane.engine == Engine.JET, Predicate[Plane])
    assert_type(Plane.size.in_(["small"]), Predicate[Plane])
    assert_type(Flight.tailnum.is_null() & Flight.tailnum.not_in({"N1"}), Predicate[Flight])
    assert_type(Flight.dep_delay.desc(nulls_last=True), Order[Flight])


def parameters(db: TypedSession) -> None:
    """A parameter fits columns of its type, of every entity."""
    number, text = param("number", int), param("text", str)
    assert_type(number, Parameter[int])
    assert_type(Flight.dep_delay > number, Predicate[Flight])
    assert_type(Plane.seats.between(number, 100), Predicate[Plane])
    assert_type(Flight.id.in_(param("ids", list[int])), Predicate[Flight])
    assert_type(Plane.engine == param("engine", Engine), Predicate[Plane])
    assert_type(Flight.tailnum.starts_with(text) | Flight.tailnum.like(text), Predicate[Flight])
    assert_type(Plane.tags.has(text), Predicate[Plane])
    assert_type(Flight.dep_delay + number > 3, Predicate[Flight])
    assert_type(Flight.origin[Airport.name] == text, Predicate[Flight])
    query = Airport.where(Airport.name == text).limit(number).offset(number).after(text)
    assert_type(query, Query[Airport])
    departures = Airport.departures.where(Flight.dep_delay > number).limit(number)
    prepared = db.prepare(query.include(departures))
    assert_type(prepared, Prepared[Airport])
    assert_type(prepared.fetch(text="K", number=3), Result[Airport])
    assert_type(prepared.first(text="K", number=3), Airport | None)
    assert_type(prepared.one(text="K", number=3), Airport)
    assert_type(prepared.count(text="K", number=3), int)
    assert_type(db.prepare(Airport).exists(), bool)
    assert_type(prepared.stream(500, text="K", number=3), Stream[Airport])
    late = count(where=Flight.dep_delay > number)
    table = Flight.where(Flight.tailnum == text).table(Flight.id, late).limit(number)
    assert_type(table.having(late > number).offset(number), Tabular[Flight, tuple[int, int]])
    assert_type(db.prepare(table), PreparedTable[tuple[int, int]])
    assert_type(db.prepare(table).table(text="N1", number=3), Table[tuple[int, int]])
    assert_type(db.prepare(table).explain(text="N1", number=3), Explanation)


def questions() -> None:
    """Texts, lists and JSON can be asked more; which it is, the column knows."""
    assert_type(Airport.name.starts_with("K"), Predicate[Airport])
    assert_type(Flight.tailnum.like("N%_"), Predicate[Flight])
    assert_type(Flight.origin[Airport.name].icontains("ken"), Predicate[Flight])
    assert_type(Airport.name.contains(Airport.faa), Predicate[Airport])
    assert_type(Airport.name.matches("kennedy"), Predicate[Airport])
    assert_type(Airport.name.matches(param("q", str), also=Airport.faa), Predicate[Airport])
    assert_type(Flight.tailnum.rank("N1"), Calculated[Flight, float])
    assert_type(Flight.tailnum.rank("N1") > 0.5, Predicate[Flight])
    assert_type(Plane.tags.has("old"), Predicate[Plane])
    assert_type(Plane.tags.has(Plane.tailnum), Predicate[Plane])
    assert_type(Plane.notes.has_key("a"), Predicate[Plane])
    assert_type(Plane.notes.contains_json({"a": [1]}), Predicate[Plane])
    assert_type(Plane.notes.at("a", 0), Term[Plane, Any])
    assert_type(Plane.notes.at("a", 0) == 1, Predicate[Plane])
    assert_type(Plane.notes.at("a").starts_with("x"), Predicate[Plane])


def calculated_values() -> None:
    """Arithmetic on columns gives something to compare."""
    assert_type(Flight.dep_delay + 10, Term[Flight, int])
    assert_type(Flight.dep_delay + 10 < Flight.arr_delay, Predicate[Flight])
    assert_type(Flight.arr_delay > 10 + Flight.dep_delay, Predicate[Flight])
    assert_type((Flight.dep_delay - Flight.arr_delay) % 3, Term[Flight, int])
    assert_type(-Flight.dep_delay, Term[Flight, int])
    assert_type(Flight.dep_delay / 2, Term[Flight, float])
    assert_type(Flight.dep_delay * 1.5 + Flight.distance, Term[Flight, float])
    assert_type(2 / Flight.distance, Term[Flight, float])
    assert_type(Plane.price * 2 - Decimal("0.5"), Term[Plane, Decimal])
    assert_type(Flight.created - datetime(2013, 1, 1, tzinfo=UTC), Term[Flight, timedelta])
    assert_type(Flight.created + timedelta(hours=1), Term[Flight, datetime])
    assert_type(Visit.day - date(2013, 1, 1) > timedelta(1), Predicate[Visit])
    assert_type((Flight.dep_delay + 1).between(1, Flight.arr_delay), Predicate[Flight])
    assert_type((Flight.dep_delay + 1).is_null(), Predicate[Flight])
    assert_type((Flight.dep_delay * 2).in_([2, 4]), Predicate[Flight])


def queries() -> Query[Airport]:
    """Queries are values."""
    late = Airport.departures.where(Flight.dep_delay > 120).order_by(Flight.dep_delay.desc())
    graph = late.limit(5).include(Flight.plane.include(Plane.log), Flight.dest)
    assert_type(graph, ToMany[Airport, Flight])
    query = Airport.where(Airport.faa.in_(["JFK", "LGA"]), "name != 'x'").include(graph)
    page = query.order_by(Airport.name, Airport.faa.asc()).limit(50).offset(2)
    assert_type(page, Query[Airport])
    assert_type(Flight.select(Flight.id, Flight.dep_delay).as_of(7), Query[Flight])
    assert_type(Plane.all().budget(rows=10).after(None), Query[Plane])
    assert_type(Plane.budget(time_s=0.5).before("x"), Query[Plane])
    return page


def keys_and_assignments() -> None:
    """Rows are named by keys and changed by assignments."""
    assert_type(Airport.key("JFK"), Key[Airport])
    assert_type(Visit.key("JFK", "N1", date(2013, 1, 1)), Key[Visit])
    assert_type(Airport.key(faa="JFK").include(Airport.departures), Key[Airport])
    assert_type(Airport.name.to("Kennedy"), Assignment[Airport])
    assert_type(Flight.dep_delay.to(None), Assignment[Flight])
    assert_type(Flight.origin.to(Airport.key("JFK")), Assignment[Flight])
    assert_type(Flight.dest.to(None), Assignment[Flight])
    assert_type(Flight.dep_delay.to(Flight.dep_delay + 1), Assignment[Flight])
    assert_type(Flight.id.to(Flight.dep_delay.coalesce(Flight.arr_delay, 0)), Assignment[Flight])
    assert_type(Flight.dep_delay.add(1), Assignment[Flight])
    assert_type(Flight.distance.add(Flight.id * 0.5), Assignment[Flight])
    assert_type(Plane.price.add(Decimal("1.5")), Assignment[Plane])
    assert_type(Flight.created.add(timedelta(hours=1)), Assignment[Flight])
    assert_type(Flight.created.to(now()), Assignment[Flight])
    assert_type(Airport.name.to(expression("upper(name)")), Assignment[Airport])
    assert_type(Plane.engine.to(Plane.engine.coalesce(Engine.JET)), Assignment[Plane])
    assert_type(Plane.tags.to(()), Assignment[Plane])


def statements(db: TypedWriter) -> None:
    """Rows are changed and removed by key or by query, of one entity throughout."""
    jfk = Airport.key("JFK")
    assert_type(db.update(jfk, Airport.name.to("x"), where=Airport.name != "y"), bool)
    assert_type(db.update(jfk, Airport.name.to("x"), if_version=db.row_version(jfk)), bool)
    late = Flight.where(Flight.dep_delay > 120)
    assert_type(db.update_where(late, Flight.dep_delay.add(-1), Flight.dest.to(jfk)), int)
    assert_type(db.update_where(Flight, Flight.dep_delay.to(None)), int)
    assert_type(db.delete_where(late.limit(10)), int)
    assert_type(db.row_version(jfk), int | None)
    db.delete(jfk, if_version=3)


def returned(db: TypedWriter, plane: Plane) -> None:
    """What statements give back has the class of their shape."""
    shape = Flight.include(Flight.origin)
    late = Flight.where(Flight.dep_delay > 120)
    assert_type(db.returning(shape), Returning[Flight])
    assert_type(db.returning(shape).update_where(late, Flight.dep_delay.add(1)), Result[Flight])
    assert_type(db.returning(Flight).delete_where(late), Result[Flight])
    assert_type(db.returning(Plane).insert(plane), Plane)
    assert_type(db.returning(Plane).update(plane, Plane.seats.to(1)), Plane | None)


@before("insert", "update")
def tidy(change: Change[Flight]) -> None:
    """A hook knows the class of its rows."""
    assert_type(change.before, Flight | None)
    change.set(Flight.tailnum.to("N1"))


@validator
def flies(flight: Flight) -> None:
    """A validator sees a row."""
    assert_type(flight.dep_delay, int | None)


def deletes(db: Database, airport: Airport) -> None:
    """What may be asked and said around a delete."""
    assert_type(db.delete_preview(airport, Airport.key("JFK")), DeletePreview)
    assert_type(db.delete_preview(airport).deleted["Flight"], int)
    db.delete(airport, Flight.key(3), budget=100)
    assert_type(db.delete_where(Flight.where(Flight.id > 3), budget=9), int)
    assert_type(db.deleted(Airport), list[DeletedRow[Airport]])
    assert_type(db.deleted(Airport, limit=3)[0].row, Airport)
    assert_type(db.deleted(Airport)[0].deleted_at, datetime)
    db.restore(airport, Flight.key(3))
    assert_type(db.purge(Airport, Flight, older_than=timedelta(days=30)), int)
    assert_type(db.snapshot(include_deleted=True).get(Airport, "JFK"), Airport | None)


def hooks(db: Database) -> None:
    """Hooks are values."""
    assert_type(tidy, Hook[Flight])
    db.add_hooks(Flight, tidy, flies)


def saving(db: TypedWriter, plane: Plane) -> None:
    """Rows that may be there, graphs of rows and edges."""
    jfk = Airport(faa="JFK", name="Kennedy")
    done = db.upsert(jfk, by=[Airport.faa], update=[Airport.name, Airport.place.to(None)])
    assert_type(done, Upserted[Airport])
    assert_type(done.row, Airport)
    assert_type(db.upsert_many([plane], update=[Plane.seats.add(1)]), list[Upserted[Plane]])
    assert_type(db.upsert(Log(plane=plane), by=[Log.plane], update=[]), Upserted[Log])
    flight = Flight(dep_delay=3, distance=1.5, origin=jfk)
    assert_type(db.insert_graph(flight), list[Flight])
    assert_type(db.save(jfk, Airport(faa="LGA", name="x")), list[Airport])
    db.insert_graph(flight, plane)
    visits = [Visit.day.to(date(2013, 1, 1))]
    assert_type(db.connect(jfk, Airport.visitors, plane, Plane.key("N1"), values=visits), int)
    assert_type(db.disconnect(Airport.key("JFK"), Airport.visitors, plane), int)
    assert_type(db.set_connected(jfk, Airport.visitors), int)


def rows_to_insert() -> None:
    """Constructors take fields and relations by keyword; defaults may be left out."""
    jfk = Airport(faa="JFK", name="Kennedy", place=Place(lat=40.6, lon=-73.8, street=None))
    assert_type(Flight(dep_delay=3, distance=1.5, origin=jfk), Flight)
    assert_type(Flight(dep_delay=None, distance=1, origin=Airport.key("JFK")), Flight)
    Flight(id=4, dep_delay=3, distance=2.0, origin=jfk, dest=jfk, created=datetime.now(UTC))
    Plane(tailnum="N1", engine=Engine.PROP, size="large", tags=("old",), notes={"a": [1]})
    Visit(airport=jfk, plane=Plane.key("N1"), day=date(2013, 1, 1))


def reading(db: TypedSession) -> None:
    """What goes in decides what comes out."""
    result = db.fetch(queries())
    assert_type(result, Result[Airport])
    for airport in result:
        assert_type(airport, Airport)
        delays = [flight.dep_delay for flight in airport.departures]
        assert_type(delays, list[int | None])
    assert_type(result[0].name, str)
    assert_type(result[:2], tuple[Airport, ...])
    assert_type(db.fetch(Airport), Result[Airport])
    assert_type(db.fetch(GraphQuery(entity="Airport")), Result[Any])
    assert_type(db.get(Airport, "JFK"), Airport | None)
    assert_type(db.get(Airport.key("JFK")), Airport | None)
    assert_type(db.first(Flight.where(Flight.id > 1)), Flight | None)
    assert_type(db.one(Plane), Plane)
    assert_type(db.count(Plane), int)
    assert_type(db.explain(Plane, analyze=True), Explanation)
    assert_type(db.explain(queries()).to_text(), str)
    assert_type(db.exists(Plane.key("N1")), bool)
    last = Airport.departures.limit(1).named("last")
    assert_type(last.of(result[0]), tuple[Flight, ...])
    assert_type(Flight.plane.named("it").of(result[0].departures[0]), Plane | None)


def tables(db: TypedSession) -> None:
    """The rows of a table are tuples of the types of its columns."""
    query = Flight.where(Flight.distance > 1).table(
        Flight.origin[Airport.name],
        Flight.plane[Plane.seats].named("seats"),
        count().named("n"),
        Flight.dep_delay.avg(where=Flight.dep_delay > 0),
        Flight.created.bucket("hour"),
        Flight.distance.sum(),
    )
    assert_type(query, Tabular[Flight, Row])
    refined = query.having(count() > 3, "n < 9").order_by(count().desc(), "n desc").limit(3)
    assert_type(refined.distinct(), Tabular[Flight, Row])
    assert_type(db.table(refined), Table[Row])
    for name, seats, number, mean, hour, far in db.table(refined):
        assert_type((name, seats, number), tuple[str, int | None, int])
        assert_type((mean, hour, far), tuple[float | None, datetime | None, float | None])
    assert_type(db.table(refined)[0], Row)
    assert_type(db.table(refined.ir), Table[tuple[Any, ...]])
    planes = Plane.all().table(
        Plane.engine, Plane.price.sum(), Plane.price.avg(), Plane.engine.max()
    )
    assert_type(planes, Tabular[Plane, PlanesRow])
    late = (Flight.dep_delay > 60).named("late")
    assert_type(Flight.all().table(late, Flight.id), Tabular[Flight, tuple[bool | None, int]])
    assert_type(Visit.all().table(Visit.day.bucket("week")), Tabular[Visit, tuple[date | None]])
    counted = Flight.tailnum.count(distinct=True) / count()
    assert_type(Flight.all().table(counted), Tabular[Flight, tuple[float | None]])
    nine = Flight.all().table(*(Flight.id.named(f"c{n}") for n in range(9)))
    assert_type(nine, Tabular[Flight, tuple[Any, ...]])


def writing(db: TypedSession, txn: TypedWriter) -> None:
    """Objects, keys and assignments of one entity go together."""
    assert_type(db.insert(Airport(faa="JFK", name="Kennedy")), Airport)
    assert_type(txn.insert_many([Plane(tailnum="N1"), Plane(tailnum="N2")]), list[Plane])
    txn.update(Airport.key("JFK"), Airport.name.to("Idlewild"))
    txn.update(Flight.key(1), Flight.dep_delay.to(3), Flight.dest.to(Airport.key("LGA")))
    txn.delete(Airport.key("JFK"), Plane.key("N1"))
    with db.transaction() as inner:
        inner.delete(Plane.key("N2"))
    with db.snapshot(as_of=3) as snapshot:
        assert_type(snapshot.count(Airport), int)
