"""Holds what every kind of question reads, first and again, as written down in reads.txt.

    # a page in the order of an index
    nothing kept: calls 1, keys 12
    first: calls 1, keys 12, kept 0, not 0
    again: calls 1, keys 5, kept 1, not 5
    then: calls 0, keys 0, kept 6, not 0

A number that changes is a plan, a read or a kept row that has changed: see that it is for the
better, then write it down with `python -m tests.unit.query.test_reads`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, TypeAlias

import pytest

from ormdb import limits
from ormdb.ir.expr import Aggregate, Compare, Expr, FieldRef, Literal
from ormdb.ir.graph import Derived, GraphQuery, Include, Page
from ormdb.ir.table import TableColumn, TableQuery
from ormdb.ir.value import Value
from ormdb.model.expression_text import parse_expression
from ormdb.session import Reader
from ormdb.storage.memory import MemoryEngine
from ormdb.testing.counting import CountingEngine
from tests.unit.query.airline import by, open_airline

Ask: TypeAlias = Callable[[Reader], object]

GOLDEN: Final = Path(__file__).parent / "reads.txt"
FLIGHTS: Final = 90
CREW: Final = Include(relation="crew")
SEATS: Final = FieldRef(path=("plane", "seats"))
FOLD: Final = Aggregate(function="count", path=("departures",))
LATEST: Final = Aggregate(
    function="max",
    operand=FieldRef(path=("delay",)),
    path=("departures",),
    filter=parse_expression("kind == 'mail'"),
)
MANY_FLIGHTS: Final = Compare(
    op=">", left=Aggregate(function="count", path=("flights",)), right=Literal(value=2)
)


def asked(
    entity: str,
    text: str | Expr | None = None,
    order: str = "",
    *includes: Include,
    derived: Expr | None = None,
    **page: Any,
) -> GraphQuery:
    condition = text if isinstance(text, Expr) else None
    return GraphQuery(
        entity=entity,
        filter=parse_expression(text) if isinstance(text, str) else condition,
        order=by(*order.split()),
        page=Page(**page),
        includes=includes,
        derived=() if derived is None else (Derived(name="d", value=derived),),
    )


def fetched(*given: Any, **page: Any) -> Ask:
    query = asked(*given, **page)
    return lambda reader: len(reader.run_fetch(query).dicts())


def counted(entity: str, text: str | None = None) -> Ask:
    query = asked(entity, text)
    return lambda reader: reader.run_count(query)


def exists(entity: str, text: str | None = None) -> Ask:
    query = asked(entity, text)
    return lambda reader: reader.run_exists(query)


def second_page(*given: Any, **page: Any) -> Ask:
    """The page after the first one, of which only the cursor is made beforehand."""
    query = asked(*given, **page)

    def ask(reader: Reader) -> object:
        cursor = reader.run_fetch(query).next_cursor
        assert cursor is not None
        return len(reader.run_fetch(asked(*given, **page, after=cursor)))

    return ask


def streamed(batch: int, *given: Any, **page: Any) -> Ask:
    query = asked(*given, **page)
    return lambda reader: [len(answer) for answer in reader.run_stream(query, batch=batch)]


def got(entity: str, *identity: Value) -> Ask:
    return lambda reader: reader.run_get(entity, identity)


def tabled(entity: str, *columns: str, where: str | None = None) -> Ask:
    query = TableQuery(
        entity=entity,
        columns=tuple(
            TableColumn(name=f"c{at}", expression=parse_expression(text))
            for at, text in enumerate(columns)
        ),
        filter=None if where is None else parse_expression(where),
    )
    return lambda reader: reader.run_table(query)


def children(relation: str, order: str = "", text: str | None = None, **page: Any) -> Include:
    return Include(
        relation=relation,
        order=by(*order.split()),
        filter=None if text is None else parse_expression(text),
        **page,
    )


QUESTIONS: Final[dict[str, Ask]] = {
    "a row by its number": fetched("Flight", "id == 7"),
    "a row by its number, got": got("Flight", 7),
    "a row by a text, got": got("Airport", "JFK"),
    "a row by a text": fetched("Airport", "code == 'JFK'"),
    "a row that is not there": fetched("Airport", "code == 'ABC'"),
    "a row by a unique value": fetched("Flight", "number == 'OR7'"),
    "rows by their numbers": fetched("Flight", "id in (3, 5, 500)"),
    "a stretch of numbers": fetched("Flight", "id > 10 and id <= 20"),
    "a page of a scan": fetched("Flight", None, "", limit=5),
    "a page of a scan, backwards": fetched("Flight", None, "-id", limit=5),
    "a page that skips": fetched("Flight", None, "", limit=5, offset=7),
    "a page of no rows": fetched("Flight", None, "", limit=0),
    "a page of a filtered scan": fetched("Flight", "kind == 'mail'", "", limit=5),
    "a page in the order of an index": fetched("Flight", None, "time", limit=5),
    "the page after it": second_page("Flight", None, "time", limit=5),
    "a stretch of an index": fetched("Flight", "time > 100 and time < 200"),
    "a page of a filtered index": fetched("Flight", "delay > 0", "time", limit=5),
    "a page of an index for one value": fetched(
        "Flight", "origin_code == 'JFK'", "-delay", limit=5
    ),
    "the page after that": second_page("Flight", "origin_code == 'JFK'", "-delay", limit=5),
    "a list in an index": fetched("Flight", "price in (1.5, 2.5, 900)"),
    "a list in an index, a page": fetched("Flight", "time in (7, 14, 21, 28)", "", limit=2),
    "a scan, sorted": fetched("Flight", None, "kind -delay", limit=5),
    "the page after the sorted": second_page("Flight", None, "kind -delay", limit=5),
    "sorted by a path": fetched("Flight", None, "plane.seats", limit=5),
    "the page after the one sorted by a path": second_page("Flight", None, "plane.seats", limit=5),
    "filtered by a path": fetched("Flight", "plane.seats > 30"),
    "filtered by a path, a page": fetched("Flight", "plane.seats > 3", "time", limit=5),
    "filtered by two paths": fetched("Duty", "flight.delay > 100 and member.name == 'crew 1'"),
    "a union": fetched("Flight", "number == 'OR3' or time == 21 or id == 50"),
    "a union, a page": fetched("Flight", "number == 'OR3' or time == 21 or id == 50", limit=2),
    "an intersection": fetched("Flight", "price > 3 and price < 9 and time > 20 and time < 50"),
    "children by their parent": fetched("Duty", "flight_id == 3"),
    "children by their parent's text": fetched("Flight", "origin_code == 'LGA'"),
    "children of a value": fetched("Flight", "tail == 'N3'"),
    "the parents of some": fetched("Airport", "any(departures, delay > 150)"),
    "the parents of any": fetched("Plane", "any(flights)"),
    "the parents of none": fetched("Plane", "none(flights)"),
    "the parents of all": fetched("Plane", "all(flights, delay > 0)"),
    "the parents of many": fetched("Plane", MANY_FLIGHTS),
    "through an edge": fetched("Flight", "any(crew, id == 3)"),
    "counted": counted("Flight"),
    "counted with a filter": counted("Flight", "delay > 0"),
    "counted with a path": counted("Flight", "plane.seats > 30"),
    "exists": exists("Flight"),
    "exists with a filter": exists("Flight", "kind == 'people'"),
    "exists in an index": exists("Flight", "time > 100"),
    "exists not": exists("Flight", "delay > 1000"),
    "to one": fetched("Flight", None, "", children("origin"), limit=5),
    "to one by value": fetched("Flight", None, "", children("plane"), limit=5),
    "to one with a filter": fetched(
        "Flight", None, "", children("plane", text="seats > 3"), limit=9
    ),
    "to many": fetched("Airport", None, "", children("departures")),
    "to many of one": fetched("Airport", "code == 'JFK'", "", children("departures")),
    "to many by value": fetched("Plane", None, "", children("flights"), limit=5),
    "the first of each": fetched("Airport", None, "", children("departures", limit=2)),
    "the first of each, less some": fetched(
        "Airport", None, "", children("departures", limit=2, offset=3)
    ),
    "the last of each": fetched("Airport", None, "", children("departures", "-id", limit=2)),
    "the first of each by an index": fetched(
        "Airport", None, "", children("departures", "-delay", limit=2)
    ),
    "those of each after the first by an index": fetched(
        "Airport", None, "", children("departures", "-delay", limit=2, offset=3)
    ),
    "the first of each, sorted": fetched(
        "Airport", None, "", children("departures", "kind -time", limit=2)
    ),
    "the first of each with a filter": fetched(
        "Airport", None, "", children("departures", "", "delay > 0", limit=2)
    ),
    "the first of each sorted by a path": fetched(
        "Airport", None, "", children("departures", "plane.seats", limit=2)
    ),
    "one to one": fetched("Flight", None, "", children("log"), limit=5),
    "through": fetched("Flight", None, "", CREW, limit=5),
    "the first through": fetched("Flight", None, "", children("crew", limit=1), limit=5),
    "through with a filter": fetched("Flight", None, "", children("crew", text="id > 3"), limit=5),
    "through, sorted": fetched("Flight", None, "", children("crew", "-name"), limit=5),
    "through the other way": fetched("Crew", "id < 3", "", Include(relation="duties")),
    "two levels": fetched(
        "Airport", None, "", Include(relation="departures", includes=(children("plane"), CREW))
    ),
    "a fold beside rows": fetched("Airport", None, derived=FOLD),
    "a fold of few beside rows": fetched("Airport", None, derived=LATEST),
    "a path beside rows": fetched("Flight", None, derived=SEATS, limit=5),
    "a stream": streamed(40, "Flight"),
    "a stream of an index": streamed(40, "Flight", "time > 70", "time"),
    "a stream of a list": streamed(2, "Flight", "time in (7, 14, 21, 28)"),
    "a stream of a sort": streamed(40, "Flight", None, "kind"),
    "a stream of a page": streamed(4, "Flight", None, "time", limit=10, offset=3),
    "a stream of a page of a filter": streamed(4, "Flight", "delay > 0", "time", limit=10),
    "a stream with includes": streamed(40, "Flight", None, "", children("plane")),
    "a stream filtered by a path": streamed(40, "Flight", "plane.seats > 3"),
    "a table of rows": tabled("Flight", "id", "plane.seats", where="delay > 0"),
    "a table of counts": tabled("Flight", "origin_code", "count()"),
    "a table of the counts of an index": tabled("Flight", "price", "count()"),
    "a table of one row": tabled("Flight", "count()", "max(delay)"),
    "a table of a path": tabled("Flight", "plane.seats", "count()", where="plane.seats > 30"),
}


def lines(name: str) -> Iterator[str]:
    """What a question reads: where nothing is kept, and where rows are, first and again."""
    engine = CountingEngine(MemoryEngine())
    with open_airline(engine, FLIGHTS) as database, database.snapshot() as snapshot:
        engine.reset()
        QUESTIONS[name](snapshot)
        yield f"nothing kept: calls {engine.counts.calls}, keys {engine.counts.keys}"
    engine = CountingEngine(MemoryEngine())
    with open_airline(engine, FLIGHTS, cache_bytes=limits.ROW_CACHE_BYTES) as database:
        hits = misses = 0
        for each in ("first", "again", "then"):
            with database.snapshot() as snapshot:
                engine.reset()
                QUESTIONS[name](snapshot)
                counts, kept = engine.counts, database.statistics().rows_kept
            assert kept is not None
            yield (
                f"{each}: calls {counts.calls}, keys {counts.keys},"
                f" kept {kept.hits - hits}, not {kept.misses - misses}"
            )
            hits, misses = kept.hits, kept.misses


def written(names: Iterator[str]) -> str:
    return "\n".join(f"# {name}\n" + "\n".join(lines(name)) + "\n" for name in names)


def golden() -> dict[str, str]:
    """What is written down, by the name above."""
    parts = re.split(r"^# (.*)\n", GOLDEN.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {name: text.rstrip("\n") for name, text in zip(parts[1::2], parts[2::2], strict=True)}


@pytest.mark.parametrize("name", QUESTIONS)
def test_a_question_reads_what_is_written_down_and_no_more(name: str) -> None:
    assert "\n".join(lines(name)) == golden()[name]


def test_nothing_is_written_down_for_no_question() -> None:
    assert list(golden()) == list(QUESTIONS)


def test_whatever_is_asked_again_reads_no_more_than_at_first() -> None:
    for name, text in golden().items():
        calls = [int(each) for each in re.findall(r"calls (\d+)", text)][1:]
        assert calls == sorted(calls, reverse=True), name


if __name__ == "__main__":
    GOLDEN.write_text(written(iter(QUESTIONS)), encoding="utf-8")
