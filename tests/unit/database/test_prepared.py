"""Holds what a prepared query does on a database, a snapshot and a transaction."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import ormdb
from ormdb import (
    Database,
    Entity,
    Field,
    Many,
    One,
    Query,
    Tabular,
    count,
    field,
    index,
    limits,
    many,
    one,
    param,
)
from ormdb.errors import (
    BudgetError,
    ClosedError,
    CursorError,
    NotOneError,
    ParameterError,
    QueryError,
    ValueTypeError,
)
from ormdb.ir.expr import NamedParam
from ormdb.ir.graph import GraphQuery, Include
from ormdb.ir.value import IntType
from ormdb.session import Cancellation, Context
from ormdb.testing import assert_max_queries


class Team(Entity):
    name: Field[str] = field(identity=True)
    players: Many[Player] = many(inverse="team")


class Player(Entity):
    id: Field[int] = field(identity=True)
    nick: Field[str] = field(unique=True)
    score: Field[int | None]
    team: One[Team | None] = one()

    __indexes__ = (index("score"),)


ID, SCORE, COUNT = param("id", int), param("score", int), param("count", int)
NICK, CURSOR = param("nick", str), param("cursor", str)
LEAST = param("least", int)


def fill(db: Database) -> None:
    with db.transaction() as txn:
        for name in ("red", "blue"):
            txn.insert(Team(name=name))
        for number in range(1, 9):
            team = Team.key("red" if number % 2 else "blue")
            txn.insert(Player(id=number, nick=f"p{number}", score=number * 10, team=team))


@pytest.fixture(params=["memory", "file", "file, nothing kept"])
def db(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    path = ":memory:" if request.param == "memory" else str(tmp_path / "game.ormdb")
    kept = 0 if "nothing" in request.param else limits.ROW_CACHE_BYTES
    with ormdb.open(path, schema=[Team, Player], cache_bytes=kept) as opened:
        fill(opened)
        yield opened


def ids(rows: Any) -> list[int]:
    return [row.id for row in rows]


def test_a_prepared_query_runs_with_other_values_each_time(db: Database) -> None:
    prepared = db.prepare(Player.where(Player.score > SCORE).order_by(Player.score).limit(COUNT))
    assert ids(prepared.fetch(score=20, count=2)) == [3, 4]
    assert ids(prepared.fetch(score=60, count=9)) == [7, 8]
    assert prepared.count(score=60, count=1) == 2
    assert prepared.exists(score=80, count=1) is False
    assert "score > ?" in prepared.explain(score=60, count=1).to_text()


def test_a_row_is_sought_by_identity_by_unique_value_and_by_a_text_identity(db: Database) -> None:
    by_id = db.prepare(Player.where(Player.id == ID).include(Player.team))
    by_nick = db.prepare(Player.where(Player.nick == NICK, Player.score > SCORE))
    by_name = db.prepare(Team.where(Team.name == NICK).include(Team.players))
    for _ in range(2):
        found = by_id.one(id=3)
        assert (found.nick, found.team and found.team.name) == ("p3", "red")
        assert by_id.first(id=99) is None
        assert ids(by_nick.fetch(nick="p4", score=0)) == [4]
        assert ids(by_nick.fetch(nick="p4", score=40)) == []
        assert len(by_name.one(nick="blue").players) == 4
    assert by_id.fetch(id=3).statistics.rows == 2


def test_seeking_calls_the_engine_as_often_as_a_fetch_does(db: Database) -> None:
    query = Team.where(Team.name == "red").include(Team.players)
    prepared = db.prepare(Team.where(Team.name == NICK).include(Team.players))
    prepared.fetch(nick="red")
    expected, found = db.fetch(query).statistics, prepared.fetch(nick="red").statistics
    assert (found.rows, found.edges) == (expected.rows, expected.edges) == (5, 4)
    assert found.engine_calls == expected.engine_calls


def test_one_says_how_many_rows_were_found(db: Database) -> None:
    prepared = db.prepare(Player.where(Player.score > SCORE))
    assert prepared.one(score=70).id == 8
    for score in (0, 80):
        with pytest.raises(NotOneError):
            prepared.one(score=score)
    few = db.prepare(Player.where(Player.score > SCORE).limit(COUNT))
    assert few.first(score=0, count=0) is None
    assert few.first(score=0, count=3) is not None


def test_patterns_with_and_without_a_beginning_have_plans_of_their_own(db: Database) -> None:
    prepared = db.prepare(Player.where(Player.nick.like(NICK)))
    for _ in range(2):
        assert ids(prepared.fetch(nick="p7%")) == [7]
        assert ids(prepared.fetch(nick="%8")) == [8]
    assert "unique" in prepared.explain(nick="p7%").to_text()
    assert "scan" in prepared.explain(nick="%8").to_text()


def test_a_pattern_is_run_by_the_plan_that_a_query_with_it_has() -> None:
    with ormdb.open(":memory:", schema=[Team, Player], cache_bytes=0) as db:
        fill(db)
        prepared = db.prepare(Player.where(Player.nick.like(NICK)))
        for pattern, keys in (("p7%", 2), ("%8", 8), ("p%", 16), ("p7%", 2)):
            expected = db.fetch(Player.where(Player.nick.like(pattern))).statistics.keys_read
            assert prepared.fetch(nick=pattern).statistics.keys_read == expected == keys


def test_a_run_with_a_plan_is_not_taken_apart_again(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    pattern = db.prepare(Player.where(Player.nick.like(NICK)))
    paged = db.prepare(Player.order_by(Player.score).limit(2).after(CURSOR))
    both = db.prepare(Player.where(Player.nick.like(NICK)).order_by(Player.score).after(CURSOR))
    cursor = paged.fetch(cursor=None).next_cursor
    runs: list[Callable[[], list[int]]] = [
        lambda: ids(pattern.fetch(nick="p7%")),
        lambda: ids(pattern.fetch(nick="%8")),
        lambda: ids(paged.fetch(cursor=None)),
        lambda: ids(paged.fetch(cursor=cursor)),
        lambda: ids(both.fetch(nick="p%", cursor=None)),
        lambda: ids(both.fetch(nick="%p", cursor=None)),
    ]
    first = [run() for run in runs]

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("its plan is known")

    monkeypatch.setattr("ormdb.query.prepared.take_shape", refuse)
    assert [run() for run in runs] == first


def test_a_cursor_is_none_for_the_first_page(db: Database) -> None:
    prepared = db.prepare(Player.order_by(Player.score.desc()).limit(3).after(CURSOR))
    first = prepared.fetch(cursor=None)
    second = prepared.fetch(cursor=first.next_cursor)
    assert ids(first) + ids(second) == [8, 7, 6, 5, 4, 3]
    with pytest.raises(CursorError):
        prepared.fetch(cursor="nonsense")


def test_a_cursor_that_is_no_parameter_stays_where_it_is(db: Database) -> None:
    ordered = Player.where(Player.score > SCORE).order_by(Player.score.desc()).limit(COUNT)
    first = db.prepare(ordered).fetch(score=0, count=3)
    second = db.prepare(ordered.after(first.next_cursor))
    for _ in range(2):
        assert ids(second.fetch(score=0, count=3)) == [5, 4, 3]
        assert ids(second.fetch(score=30, count=9)) == [5, 4]
    back = db.prepare(ordered.before(second.fetch(score=0, count=1).previous_cursor))
    for _ in range(2):
        assert ids(back.fetch(score=0, count=2)) == [7, 6]


def test_parameters_stand_in_filters_and_pages_of_includes(db: Database) -> None:
    players = Team.players.where(Player.score >= SCORE).order_by(Player.id).limit(COUNT)
    prepared = db.prepare(Team.order_by(Team.name).include(players))
    found = prepared.fetch(score=30, count=1)
    assert [ids(team.players) for team in found] == [[4], [3]]
    found = prepared.fetch(score=50, count=9)
    assert [ids(team.players) for team in found] == [[6, 8], [5, 7]]


def test_an_include_of_one_row_is_not_paged_by_any_value(db: Database) -> None:
    team = Include(relation="team", offset=NamedParam(name="offset", type=IntType()))
    prepared = db.run_prepare(GraphQuery(entity="Player", includes=(team,)))
    assert len(prepared.run_fetch({"offset": 0})) == 8
    with pytest.raises(QueryError, match="leads to one row at most"):
        prepared.run_fetch({"offset": 1})


def test_parameters_stand_in_questions_about_related_rows(db: Database) -> None:
    prepared = db.prepare(Team.where(Team.players.all(Player.score > SCORE, Player.nick != NICK)))
    assert [team.name for team in prepared.fetch(score=10, nick="p1")] == ["blue"]
    assert [team.name for team in prepared.fetch(score=1, nick="p4")] == ["red"]
    assert prepared.parameters.keys() == {"score", "nick"}


def test_a_parameter_inside_arithmetic_answers_as_its_value_does(db: Database) -> None:
    prepared = db.prepare(Player.where(Player.score + SCORE > 85))
    assert ids(prepared.fetch(score=10)) == [8]
    assert ids(prepared.fetch(score=20)) == [7, 8]


def test_values_that_do_not_fit_are_refused_and_the_next_run_works(db: Database) -> None:
    prepared = db.prepare(Player.where(Player.score > SCORE).limit(COUNT))
    for _ in range(2):  # the first run makes the plan
        with pytest.raises(ParameterError, match="no value for 'count'"):
            prepared.fetch(score=1)
        with pytest.raises(ParameterError, match="no parameter 'more'"):
            prepared.fetch(score=1, count=1, more=1)
        with pytest.raises(ParameterError, match="no value for 'count'"):
            prepared.fetch(score=1, more=1)
        with pytest.raises(ValueTypeError, match="'score'"):
            prepared.fetch(score="1", count=1)
        with pytest.raises(ValueTypeError, match="never true"):
            prepared.fetch(score=None, count=1)
        with pytest.raises(QueryError, match="limit of the page is -1"):
            prepared.fetch(score=1, count=-1)
        assert len(prepared.fetch(score=1, count=3)) == 3


def test_a_query_with_parameters_is_not_run_unprepared(db: Database) -> None:
    queries: list[Query[Any]] = [
        Player.where(Player.score > SCORE),
        Player.where(Player.score + SCORE > 1),
        Player.where(Player.nick.like(NICK)),
        Player.where(Player.id.in_(param("ids", list[int]))),
        Player.limit(COUNT),
        Player.all().after(CURSOR),
        Team.include(Team.players.limit(COUNT)),
        Team.include(Team.players.where(Player.score > SCORE)),
        Team.where(Team.players.any(Player.score > SCORE)),
    ]
    for query in queries:
        with pytest.raises(ParameterError, match="prepare the query"):
            db.fetch(query)
        with pytest.raises(ParameterError):
            db.count(query)


def test_a_snapshot_and_a_transaction_prepare_for_what_they_see(db: Database) -> None:
    query = Player.where(Player.score > SCORE)
    with db.snapshot() as snapshot:
        then = snapshot.prepare(query)
        db.insert(Player(id=9, nick="p9", score=90, team=None))
        assert ids(then.fetch(score=70)) == [8]
        assert (then.count(score=70), then.exists(score=80)) == (1, False)
    with pytest.raises(ClosedError):
        then.fetch(score=70)
    with db.transaction() as txn:
        own = txn.prepare(query)
        txn.insert(Player(id=10, nick="p10", score=100, team=None))
        assert ids(own.fetch(score=80)) == [9, 10]
    assert ids(db.prepare(query.as_of(db.version - 2)).fetch(score=70)) == [8]


def test_a_budget_and_a_cancellation_hold_for_a_prepared_query(db: Database) -> None:
    prepared = db.prepare(Player.where(Player.id == ID).budget(rows=0))
    assert len(prepared.fetch(id=99)) == 0
    with pytest.raises(BudgetError):
        prepared.fetch(id=1)
    stop = Cancellation()
    asked = db.prepare(Player.where(Player.id == ID)).asked_by(Context.system(cancellation=stop))
    assert ids(asked.fetch(id=1)) == [1]
    stop.cancel()
    with pytest.raises(ormdb.errors.CancelledError):
        asked.fetch(id=1)
    assert ids(db.prepare(Player.where(Player.id == ID)).fetch(id=1)) == [1]


def test_a_prepared_query_goes_on_when_the_schema_has_changed(tmp_path: Path) -> None:
    class Before(Entity, name="Thing"):
        id: Field[int] = field(identity=True)

    class After(Entity, name="Thing"):
        id: Field[int] = field(identity=True)
        size: Field[int | None] = field(default=None)

    path = tmp_path / "things.ormdb"
    with ormdb.open(path, schema=[Before]) as old:
        old.insert(Before(id=1))
        prepared = old.prepare(Before.where(Before.id == ID))
        assert prepared.fetch(id=1).to_dicts() == [{"id": 1}]
        with ormdb.open(path, schema=[After]) as new:
            new.update(After.key(1), After.size.to(5))
            assert prepared.fetch(id=1).to_dicts() == [{"id": 1, "size": 5}]


def test_the_plans_hold_no_value_of_a_prepared_query(db: Database) -> None:
    before = db.statistics().plans.entries
    prepared = db.prepare(Player.where(Player.score > SCORE, Player.nick != NICK))
    for number in range(20):
        prepared.fetch(score=number, nick=f"p{number}")
    db.fetch(Player.where(Player.score > 3, Player.nick != "x"))
    assert db.statistics().plans.entries == before + 1


# --- streams -------------------------------------------------------------------------------------


def test_a_prepared_query_is_streamed_with_its_values(db: Database) -> None:
    prepared = db.prepare(Player.where(Player.score > SCORE).order_by(Player.id.desc()))
    for score, expected in ((20, [8, 7, 6, 5, 4, 3]), (60, [8, 7])):
        assert ids(prepared.stream(score=score)) == expected
        batches = list(prepared.stream(2, score=score).batches())
        assert [len(batch) for batch in batches] == [2] * (len(expected) // 2)
    limited = db.prepare(Player.order_by(Player.id).limit(COUNT).after(CURSOR))
    first = limited.fetch(count=3, cursor=None)
    assert ids(limited.stream(count=3, cursor=first.next_cursor)) == [4, 5, 6]


def test_a_prepared_stream_sees_one_commit_and_lets_go_of_it(db: Database) -> None:
    prepared = db.prepare(Player.where(Player.score > SCORE).include(Player.team))
    before = db.statistics().engine.readers
    with prepared.stream(3, score=10) as players:
        first = next(players)
        db.delete(*(Player.key(number) for number in range(3, 9)))
        assert first.team is not None
        assert len(list(players)) == 6
        assert db.statistics().engine.readers == before
    assert ids(prepared.stream(score=0)) == [1, 2]
    prepared.stream(1, score=0).close()
    assert db.statistics().engine.readers == before


def test_a_prepared_stream_refuses_what_a_stream_refuses(db: Database) -> None:
    prepared = db.prepare(Player.where(Player.id > ID).budget(rows=2))
    open_before = db.statistics().engine.readers
    for batch in (0, -1):
        with pytest.raises(QueryError, match="in batches of"):
            prepared.stream(batch, id=1)
    with pytest.raises(ParameterError, match="no value for 'id'"):
        prepared.stream()
    with pytest.raises(ValueTypeError):
        prepared.stream(id="1")
    with pytest.raises(BudgetError):
        list(prepared.stream(3, id=1))
    assert len(list(prepared.stream(2, id=1))) == 7
    back = db.prepare(Player.order_by(Player.score).limit(2).before(CURSOR))
    cursor = db.fetch(Player.order_by(Player.score).offset(4).limit(2)).previous_cursor
    with pytest.raises(QueryError, match="goes forwards"):
        back.stream(cursor=cursor)
    assert len(list(back.stream(cursor=None))) == 2
    assert db.statistics().engine.readers == open_before


def test_a_prepared_stream_heeds_context_version_and_reader(db: Database) -> None:
    stop = Cancellation()
    query = Player.where(Player.score > SCORE)
    asked = db.prepare(query).asked_by(Context.system(cancellation=stop))
    players = asked.stream(2, score=0)
    next(players)
    stop.cancel()
    with pytest.raises(ormdb.errors.CancelledError):
        list(players)
    then = db.version
    db.delete(Player.key(8))
    assert ids(db.prepare(query.as_of(then)).stream(score=60)) == [7, 8]
    with db.snapshot(as_of=then) as snapshot:
        assert ids(snapshot.prepare(query).stream(score=60)) == [7, 8]
        kept = snapshot.prepare(query).stream(1, score=60)
        next(kept)
    with pytest.raises(ClosedError):
        next(kept)
    with db.transaction() as txn:
        txn.insert(Player(id=10, nick="p10", score=100, team=None))
        assert ids(txn.prepare(query).stream(score=60)) == [7, 10]


# --- tables --------------------------------------------------------------------------------------


def by_team(
    last: Any = ID, score: Any = SCORE, least: Any = LEAST, limit: Any = COUNT
) -> Tabular[Player, tuple[str | None, int, int]]:
    strong = count(where=Player.score > score).named("strong")
    return (
        Player.where(Player.id <= last)
        .table(Player.team[Team.name].named("team"), count(), strong)
        .having(count() > least)
        .order_by("team")
        .limit(limit)
    )


def test_a_prepared_table_runs_with_other_values_each_time(db: Database) -> None:
    prepared = db.prepare(by_team())
    assert prepared.parameters.keys() == {"score", "id", "least", "count"}
    for _ in range(2):
        found = prepared.table(id=8, score=50, least=1, count=5)
        assert list(found) == [("blue", 4, 2), ("red", 4, 1)]
        assert list(prepared.table(id=5, score=0, least=2, count=5)) == [("red", 3, 3)]
        assert list(prepared.table(id=8, score=90, least=1, count=1)) == [("blue", 4, 0)]
        assert list(prepared.table(id=8, score=90, least=4, count=1)) == []
    text = prepared.explain(id=8, score=50, least=1, count=5).to_text()
    assert "id <= ?" in text
    assert "count(where=score > ?)" in text


def test_a_prepared_table_of_rows_has_a_page_of_parameters(db: Database) -> None:
    rows = Player.where(Player.nick.like(NICK)).table(Player.id, Player.score)
    prepared = db.prepare(rows.order_by(Player.score.desc()).limit(COUNT).offset(ID))
    for _ in range(2):
        assert list(prepared.table(nick="p%", count=2, id=0)) == [(8, 80), (7, 70)]
        assert list(prepared.table(nick="p%", count=2, id=7)) == [(1, 10)]
        assert list(prepared.table(nick="%3", count=2, id=0)) == [(3, 30)]
        with pytest.raises(QueryError, match="limit of the table is -1"):
            prepared.table(nick="p%", count=-1, id=0)


def test_the_plans_hold_no_value_of_a_prepared_table(db: Database) -> None:
    before = db.statistics().plans.entries
    prepared = db.prepare(by_team())
    for number in range(20):
        prepared.table(id=number, score=number * 3, least=number % 3, count=number)
    assert db.statistics().plans.entries == before + 1
    db.table(by_team(3, 2, 0, 7))
    assert db.statistics().plans.entries == before + 1


def test_parameters_of_a_table_stay_apart_when_their_values_are_equal(db: Database) -> None:
    low = count(where=Player.score > SCORE).named("low")
    high = count(where=Player.score > param("high", int)).named("high")
    prepared = db.prepare(Player.all().table(low, high))
    assert list(prepared.table(score=30, high=30)) == [(5, 5)]
    assert list(prepared.table(score=30, high=70)) == [(5, 1)]


def test_a_table_that_is_one_for_certain_values_only_is_taken_apart_for_each(db: Database) -> None:
    shifted = (Player.score + SCORE).named("shifted")
    prepared = db.prepare(
        Player.all().table(shifted, count()).order_by(Player.score + 5).limit(COUNT)
    )
    assert list(prepared.table(score=5, count=2)) == [(15, 1), (25, 1)]
    with pytest.raises(QueryError, match="may differ within a group"):
        prepared.table(score=6, count=2)
    assert list(prepared.table(score=5, count=1)) == [(15, 1)]


def test_a_having_that_only_values_make_a_key_is_answered_as_the_query_with_values(
    db: Database,
) -> None:
    strong = Team.players.any(Player.score > SCORE)
    query = Team.all().table(Team.players.any(Player.score > 70).named("strong"), count())
    prepared = db.prepare(query.having(strong))
    assert list(prepared.table(score=70)) == [(True, 1)]
    with pytest.raises(QueryError, match="leads to other rows"):
        prepared.table(score=60)  # as a table with 60 in its place would be
    assert list(prepared.table(score=70)) == [(True, 1)]


def test_a_prepared_table_refuses_values_that_do_not_fit(db: Database) -> None:
    prepared = db.prepare(Player.where(Player.score > SCORE).table(count()).limit(COUNT))
    for _ in range(2):
        with pytest.raises(ParameterError, match="no value for 'count'"):
            prepared.table(score=1)
        with pytest.raises(ParameterError, match="no parameter 'more'"):
            prepared.table(score=1, count=1, more=1)
        with pytest.raises(ValueTypeError, match="'score'"):
            prepared.table(score="1", count=1)
        with pytest.raises(ValueTypeError, match="never true"):
            prepared.table(score=None, count=1)
        assert list(prepared.table(score=1, count=3)) == [(8,)]
    for query in (by_team(), Player.all().table(count()).limit(COUNT)):
        with pytest.raises(ParameterError, match="prepare the query"):
            db.table(query)


def test_a_prepared_table_heeds_context_version_budget_and_reader(db: Database) -> None:
    query = Player.where(Player.score > SCORE).table(count())
    stop = Cancellation()
    asked = db.prepare(query).asked_by(Context.system(cancellation=stop))
    assert list(asked.table(score=0)) == [(8,)]
    stop.cancel()
    with pytest.raises(ormdb.errors.CancelledError):
        asked.table(score=0)
    few = db.prepare(Player.where(Player.score > SCORE).budget(rows=2).table(Player.nick, count()))
    assert len(few.table(score=60)) == 2
    with pytest.raises(BudgetError):
        few.table(score=50)
    none = db.prepare(Player.where(Player.score > SCORE).budget(time_s=0.0).table(count()))
    with pytest.raises(BudgetError):
        none.table(score=50)
    then = db.version
    with db.snapshot() as snapshot:
        mine = snapshot.prepare(query)
        db.insert(Player(id=9, nick="p9", score=90, team=None))
        assert list(mine.table(score=0)) == [(8,)]
    with pytest.raises(ClosedError):
        mine.table(score=0)
    past = db.prepare(Player.where(Player.score > SCORE).as_of(then).table(count()))
    assert list(past.table(score=0)) == [(8,)]
    assert list(db.prepare(query).table(score=0)) == [(9,)]
    with db.transaction() as txn:
        own = txn.prepare(query)
        txn.insert(Player(id=10, nick="p10", score=100, team=None))
        assert list(own.table(score=0)) == [(10,)]


def test_a_watched_prepared_table_and_stream_answer_alike(db: Database) -> None:
    table, rows = db.prepare(by_team()), db.prepare(Player.where(Player.score > SCORE))
    values = {"id": 8, "score": 50, "least": 1, "count": 5}
    quiet = list(table.table(**values)), ids(rows.stream(score=50))
    with assert_max_queries(db, 2):
        assert (list(table.table(**values)), ids(rows.stream(score=50))) == quiet
