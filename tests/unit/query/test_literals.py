"""Holds that a literal is a parameter of its plan wherever its class alone decides the plan."""

from __future__ import annotations

import datetime
import enum
from collections.abc import Callable, Iterator
from decimal import Decimal
from functools import partial
from typing import Any

import pytest

import ormdb
from ormdb import Database, Entity, Field, Json, Many, One, Query, count, field, many, one, param
from ormdb.errors import CursorError, QueryError
from ormdb.ir.expr import Arithmetic, Call, Expr, FieldRef, FunctionName, Literal
from ormdb.ir.graph import Derived, GraphQuery

RUNS = 1_000
ROWS = 40
WORDS = ("storm", "delay", "crew", "fog")
NOON = datetime.datetime(2013, 1, 1, 12, tzinfo=datetime.UTC)


class Kind(enum.Enum):
    MAIL = "mail"
    CARGO = "cargo"


class Team(Entity):
    name: Field[str] = field(identity=True)
    docs: Many[Doc] = many(inverse="team")


class Doc(Entity):
    id: Field[int] = field(identity=True)
    size: Field[int | None]
    price: Field[Decimal] = field(precision=9, scale=2)
    text: Field[str]
    kind: Field[Kind | None]
    at: Field[datetime.datetime]
    data: Field[Json]
    team: One[Team] = one()


def doc_rows() -> list[dict[str, Any]]:
    return [
        {
            "id": number,
            "size": None if number % 9 == 0 else number * 7 % 31,
            "price": Decimal(number * 3 % 17) / 4,
            "text": " ".join(WORDS[: number % 5] + WORDS[number % 3 : 2]),
            "kind": (None, "mail", "cargo")[number % 3],
            "at": NOON + datetime.timedelta(minutes=number * 7),
            "data": {"a": number % 4},
            "team_name": "red" if number % 2 else "blue",
        }
        for number in range(ROWS)
    ]


@pytest.fixture
def db() -> Iterator[Database]:
    with ormdb.open(":memory:", schema=[Team, Doc]) as database:
        database.insert_many([Team(name="red"), Team(name="blue")])
        database.bulk_load(Doc, doc_rows())
        yield database


def sizes() -> list[int]:
    return [row["size"] for row in doc_rows() if row["size"] is not None]


def derived(db: Database, query: Any) -> list[Any]:
    return [row["y"] for row in db.fetch(query).to_dicts()]


def ref(name: str) -> FieldRef:
    return FieldRef(path=(name,))


def lit(value: Any) -> Literal:
    return Literal(value=value)


def of_each(value: Expr) -> GraphQuery:
    return GraphQuery(entity="Doc", derived=(Derived(name="y", value=value),))


def in_an_order(db: Database, n: int) -> bool:
    found = [doc.size for doc in db.fetch(Doc.where(Doc.size.is_not_null()).order_by(Doc.size % n))]
    return [size % n for size in found if size is not None] == sorted(size % n for size in sizes())


def in_a_derived_value(db: Database, n: int) -> bool:
    query = Doc.where(Doc.size.is_not_null()).derive((Doc.size * n).named("y"))
    return derived(db, query) == [size * n for size in sizes()]


def as_words_of_a_rank(db: Database, n: int) -> bool:
    query = Doc.all().derive(Doc.text.rank(f"{WORDS[n % 4]} word{n}").named("y"))
    ranks = derived(db, query)
    return [rank > 0 for rank in ranks] == [WORDS[n % 4] in row["text"] for row in doc_rows()]


def as_words_of_an_order(db: Database, n: int) -> bool:
    query = Doc.order_by(Doc.text.rank(f"{WORDS[n % 4]} word{n}").desc())
    met = [WORDS[n % 4] in doc.text for doc in db.fetch(query)]
    return met == sorted(met, reverse=True)


def in_a_calculation_of_a_filter(db: Database, n: int) -> bool:
    return db.count(Doc.where(Doc.size + n > 20 + n)) == sum(size > 20 for size in sizes())


def in_a_condition_that_is_a_value(db: Database, n: int) -> bool:
    query = Doc.where(Doc.size.is_not_null()).derive((Doc.size > n % 31).named("y"))
    return derived(db, query) == [size > n % 31 for size in sizes()]


def as_what_stands_for_null(db: Database, n: int) -> bool:
    value = Call(name="coalesce", arguments=(ref("size"), lit(n)))
    expected = [n if row["size"] is None else row["size"] for row in doc_rows()]
    return derived(db, of_each(value)) == expected


def in_a_table_of_rows(db: Database, n: int) -> bool:
    table = Doc.where(Doc.size.is_not_null()).table((Doc.size + n).named("y"))
    return list(db.table(table.order_by(Doc.size * n))) == [(n + size,) for size in sorted(sizes())]


def in_every_part_of_a_table_of_groups(db: Database, n: int) -> bool:
    total = (Doc.size * n).sum()
    table = (
        Doc.where(Doc.size.is_not_null())
        .table((Doc.size % 2 + n).named("key"), count(where=Doc.size + n > n), total.named("total"))
        .having(total > n)
        .order_by((count() * n).desc())
    )
    groups = [[size for size in sizes() if size % 2 == rest] for rest in (0, 1)]
    groups.sort(key=len, reverse=True)
    return list(db.table(table)) == [
        (group[0] % 2 + n, sum(size > 0 for size in group), sum(group) * n) for group in groups
    ]


def in_an_include(db: Database, n: int) -> bool:
    docs = Team.docs.where(Doc.size + n > n).order_by(Doc.size % n)
    shown = docs.derive((Doc.size + n).named("y"))
    found = db.fetch(Team.order_by(Team.name).include(shown)).to_dicts()
    rows = [[doc["size"] for doc in team["docs"]] for team in found]
    return all(
        [size % n for size in part] == sorted(size % n for size in part) for part in rows
    ) and all(doc["y"] == doc["size"] + n for team in found for doc in team["docs"])


def in_what_is_folded_of_related_rows(db: Database, n: int) -> bool:
    query = Team.order_by(Team.name).derive(Team.docs.sum(Doc.size * n).named("y"))
    teams = [
        sum(row["size"] or 0 for row in doc_rows() if row["team_name"] == name)
        for name in ("blue", "red")
    ]
    return derived(db, query) == [total * n for total in teams]


EVERYWHERE: list[Callable[[Database, int], bool]] = [
    in_an_order,
    in_a_derived_value,
    as_words_of_a_rank,
    as_words_of_an_order,
    in_a_calculation_of_a_filter,
    in_a_condition_that_is_a_value,
    as_what_stands_for_null,
    in_a_table_of_rows,
    in_every_part_of_a_table_of_groups,
    in_an_include,
    in_what_is_folded_of_related_rows,
]


@pytest.mark.parametrize("ask", EVERYWHERE)
def test_a_thousand_literals_make_one_plan_and_right_answers(
    db: Database, ask: Callable[[Database, int], bool]
) -> None:
    assert ask(db, 1)
    before = db.statistics().plans
    assert all(ask(db, n) for n in range(2, RUNS + 1))
    after = db.statistics().plans
    assert (after.misses, after.entries) == (before.misses, before.entries)


def test_a_literal_of_another_class_has_another_plan_and_its_own_type(db: Database) -> None:
    given: list[tuple[str, Any, type]] = [
        ("size", 2, int),
        ("size", 2.0, float),
        ("price", Decimal(2), Decimal),
    ]
    for name, factor, expected in given:
        before = db.statistics().plans.misses
        values = derived(db, of_each(Arithmetic(op="*", left=ref(name), right=lit(factor))))
        assert {type(value) for value in values} - {type(None)} == {expected}
        assert db.statistics().plans.misses == before + 1
    with pytest.raises(QueryError, match="do not go together"):
        db.fetch(of_each(Arithmetic(op="*", left=ref("size"), right=lit(value=True))))


def test_what_decides_more_than_a_value_stays_in_the_plan(db: Database) -> None:
    for tables in (
        [Doc.all().table(Doc.at.bucket("minute", width), count()) for width in (15, 30)],
        [Doc.all().table(Doc.at.bucket(unit), count()) for unit in ("day", "hour")],
        [Doc.all().table(Doc.data.at(step).named("y")) for step in ("a", "b")],
    ):
        for table in tables:
            before = db.statistics().plans.misses
            first = list(db.table(table))
            assert list(db.table(table)) == first
            assert db.statistics().plans.misses == before + 1


def test_a_literal_is_refused_by_a_plan_that_is_kept_as_by_one_that_is_made(db: Database) -> None:
    def plus(name: str, value: Any) -> Expr:
        return Arithmetic(op="+", left=ref(name), right=lit(value))

    def call(function: FunctionName, name: str, value: Any) -> Expr:
        return Call(name=function, arguments=(ref(name), lit(value)))

    for made, fitting, wrong in (
        (partial(plus, "size"), 5, 2**63),
        (partial(plus, "size"), 2.5, float("nan")),
        (partial(plus, "price"), 2.5, float("inf")),
        (partial(call, "rank", "text"), "fog", "  "),
        (partial(call, "coalesce", "size"), 2.0, 2.5),
        (partial(call, "coalesce", "kind"), "cargo", "people"),
    ):
        with pytest.raises(QueryError) as made_anew:
            db.fetch(of_each(made(wrong)))
        assert db.fetch(of_each(made(fitting)))
        before = db.statistics().plans.misses
        with pytest.raises(QueryError) as kept:
            db.fetch(of_each(made(wrong)))
        assert type(kept.value) is type(made_anew.value)
        assert db.statistics().plans.misses == before


def test_folds_of_related_rows_are_kept_by_what_they_are_calculated_with(db: Database) -> None:
    def totals(factor: float) -> list[Any]:
        folded = Team.docs.sum(Doc.size * factor).named("y")
        return derived(db, Team.order_by(Team.name).derive(folded))

    first = totals(1)
    for _ in range(2):
        assert totals(2) == [2 * total for total in first]
        assert totals(1) == first
        assert [type(total) for total in totals(1.0)] == [float, float]
    for word in ("storm", "delay", "storm"):
        best = Team.docs.max(Doc.text.rank(word)).named("y")
        expected = [row["text"] for row in doc_rows() if row["team_name"] == "red"]
        found = derived(db, Team.where(Team.name == "red").derive(best))[0]
        assert (found > 0) == any(word in text for text in expected)


# --- parameters ----------------------------------------------------------------------------------


def test_a_parameter_in_a_calculation_takes_one_plan(db: Database) -> None:
    extra, words = param("extra", int), param("words", str)
    prepared = db.prepare(
        Doc.where(Doc.size + extra > 20, Doc.size.is_not_null())
        .order_by(Doc.text.rank(words).desc(), (Doc.size % extra).desc())
        .derive((Doc.size * extra).named("y"))
    )
    before = db.statistics().plans.misses
    for number in range(1, 30):
        found = prepared.fetch(extra=number, words=WORDS[number % 4]).to_dicts()
        expected = sorted(size for size in sizes() if size + number > 20)
        assert sorted(row["size"] for row in found) == expected
        assert all(row["y"] == row["size"] * number for row in found)
        places = [(WORDS[number % 4] in row["text"], row["size"] % number) for row in found]
        assert [met for met, _ in places] == sorted((met for met, _ in places), reverse=True)
    assert db.statistics().plans.misses == before + 1
    table = db.prepare(
        Doc.where(Doc.size.is_not_null())
        .table((Doc.size % 3 + extra).named("key"), (Doc.size * extra).sum().named("s"))
        .order_by("key")
    )
    for number in range(1, 30):
        assert [key for key, _ in table.table(extra=number)] == [number, number + 1, number + 2]
        assert sum(total or 0 for _, total in table.table(extra=number)) == sum(sizes()) * number
    assert db.statistics().plans.misses == before + 2


# --- cursors -------------------------------------------------------------------------------------


def test_a_cursor_belongs_to_the_literals_of_its_order(db: Database) -> None:
    def page(by: Any, *conditions: Any) -> Any:
        return Doc.where(*conditions).order_by(by).limit(5)

    remainder = page(Doc.size % 7)
    first = db.fetch(remainder)
    assert first.next_cursor is not None
    following = db.fetch(remainder.after(first.next_cursor))
    assert not {doc.id for doc in first} & {doc.id for doc in following}
    assert following.previous_cursor is not None
    assert db.fetch(page(Doc.size % 7, Doc.id >= 0, Doc.size + 1 > 0).after(first.next_cursor))
    for other in (Doc.size % 8, Doc.size % 7.0, Doc.size * 7):
        with pytest.raises(CursorError, match="another entity or order"):
            db.fetch(page(other).after(first.next_cursor))
    ranked = db.fetch(page(Doc.text.rank("the storms").desc()))
    assert db.fetch(page(Doc.text.rank("storm").desc()).after(ranked.next_cursor))
    with pytest.raises(CursorError):
        db.fetch(page(Doc.text.rank("fog").desc()).after(ranked.next_cursor))


def test_a_cursor_of_a_prepared_order_belongs_to_its_values(db: Database) -> None:
    rest, cursor = param("rest", int), param("cursor", str)
    pages = db.prepare(Doc.order_by(Doc.size % rest).limit(5).after(cursor))
    first = pages.fetch(rest=7, cursor=None)
    seen = [doc.id for doc in first]
    while (following := first.next_cursor) is not None:
        first = pages.fetch(rest=7, cursor=following)
        seen += [doc.id for doc in first]
    assert sorted(seen) == list(range(ROWS))
    with pytest.raises(CursorError):
        pages.fetch(rest=8, cursor=pages.fetch(rest=7, cursor=None).next_cursor)
    place = db.fetch(Doc.order_by(Doc.size % 7).limit(5)).next_cursor
    fixed = db.prepare(Doc.order_by(Doc.size % rest).limit(5).after(place))
    for _ in range(2):
        assert len(fixed.fetch(rest=7)) == 5
        with pytest.raises(CursorError):
            fixed.fetch(rest=8)


def test_a_cursor_of_an_order_that_differs_far_behind_is_refused(db: Database) -> None:
    place = db.fetch(Doc.order_by(Doc.kind, Doc.price, Doc.id).limit(5)).next_cursor
    assert db.fetch(Doc.order_by(Doc.kind, Doc.price, Doc.id).limit(5).after(place))
    with pytest.raises(CursorError):
        db.fetch(Doc.order_by(Doc.kind, Doc.price, Doc.size).limit(5).after(place))


def test_a_cursor_of_children_belongs_to_the_literals_of_their_order(db: Database) -> None:
    rest, cursor = param("rest", int), param("cursor", str)

    def page(by: Any, after: Any) -> Query[Team]:
        docs = Team.docs.order_by(by).limit(4).after(after)
        return Team.order_by(Team.name).include(docs)

    def seen(found: Any) -> list[int]:
        return [doc.id for doc in found[0].docs]

    for by, other in ((Doc.size % 7, Doc.size % 8), (Doc.team[Team.name], Doc.text.rank("fog"))):
        first = db.fetch(page(by, None))
        place = first.next_cursor_of(first[0], Team.docs)
        assert place is not None
        following = db.fetch(page(by, place))
        assert not {*seen(first)} & {*seen(following)}
        with pytest.raises(CursorError):
            db.fetch(page(other, place))
    prepared = db.prepare(page(Doc.size % rest, cursor))
    for _ in range(2):
        begun = prepared.fetch(rest=7, cursor=None)
        place = begun.next_cursor_of(begun[0], Team.docs)
        gone_on = prepared.fetch(rest=7, cursor=place)
        assert not {*seen(begun)} & {*seen(gone_on)}
        assert seen(gone_on) == seen(db.fetch(page(Doc.size % 7, place)))
        with pytest.raises(CursorError):
            prepared.fetch(rest=8, cursor=place)
