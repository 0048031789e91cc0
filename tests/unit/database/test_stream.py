"""Holds what a stream reads, how much it holds, and that it lets go of its commit."""

from __future__ import annotations

import gc
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

import ormdb
from ormdb import Database, Entity, Field, Many, One, field, index, many, one
from ormdb.errors import (
    BudgetError,
    CancelledError,
    ClosedError,
    CursorError,
    QueryError,
    SnapshotExpiredError,
)
from ormdb.session import Cancellation, Context

ROWS = 2_500


class Team(Entity):
    name: Field[str] = field(identity=True)
    players: Many[Player] = many(inverse="team")


class Player(Entity):
    id: Field[int] = field(identity=True)
    score: Field[int]
    rank: Field[int]
    team: One[Team] = one()

    __indexes__ = (index("score"),)


def fill(db: Database) -> None:
    db.insert_many([Team(name="red"), Team(name="blue")])
    teams = ("red", "blue")
    rows = [
        {"id": n, "score": n % 7, "rank": -n, "team_name": teams[n % 2]} for n in range(1, ROWS + 1)
    ]
    db.bulk_load(Player, rows)


@pytest.fixture(params=["memory", "file"])
def db(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    path = ":memory:" if request.param == "memory" else str(tmp_path / "game.ormdb")
    with ormdb.open(path, schema=[Team, Player], statistics="manual") as opened:
        fill(opened)
        yield opened


def readers(db: Database) -> int:
    """How many snapshots are open; what was dropped is noticed when the next one begins."""
    db.get(Team, "red")
    return db.statistics().engine.readers


def test_a_stream_gives_every_row_in_the_order_of_the_query(db: Database) -> None:
    for order in (Player.id.asc(), Player.id.desc(), Player.score.asc(), Player.rank.asc()):
        query = Player.order_by(order)
        expected = [player.id for player in db.fetch(query)]
        assert [player.id for player in db.stream(query, batch=100)] == expected
    paged = Player.order_by(Player.rank).limit(250).offset(5)
    assert [row["id"] for row in db.stream(paged, batch=99).dicts()] == list(
        range(ROWS - 5, ROWS - 255, -1)
    )
    with db.stream(Player.where(Player.id > ROWS), batch=1) as nothing:
        assert list(nothing) == []


def test_includes_are_followed_for_each_batch(db: Database) -> None:
    lengths: list[int] = []
    for players in db.stream(Player.include(Player.team), batch=1_000).batches():
        assert {player.team.name for player in players} == {"red", "blue"}
        assert players.statistics.rows == len(players) + 2
        assert players.statistics.edges == len(players)
        lengths.append(len(players))
    assert lengths == [1_000, 1_000, 500]


def test_a_writer_in_between_does_not_disturb_it(db: Database) -> None:
    for order in (Player.id, Player.score, Player.rank):
        expected = [player.id for player in db.fetch(Player.order_by(order))]
        seen: list[int] = []
        for player in db.stream(Player.order_by(order), batch=500):
            if len(seen) % 600 == 0:
                db.update(Player.key(player.id), Player.rank.to(10 + len(seen)))
                db.insert(Player(id=9_000 + len(seen), score=1, rank=0, team=Team.key("red")))
            seen.append(player.id)
        assert seen == expected
        inserted = [Player.key(9_000 + at) for at in range(0, len(seen), 600)]
        db.delete(*inserted)


def test_an_exhausted_closed_or_dropped_stream_holds_no_commit(db: Database) -> None:
    assert readers(db) == 0
    stream = db.stream(Player, batch=10)
    next(stream)
    assert readers(db) == 1
    stream.close()
    stream.close()
    assert list(stream) == []
    assert readers(db) == 0
    assert len(list(db.stream(Player))) == ROWS
    assert readers(db) == 0
    with db.stream(Player) as flow:
        next(flow)
    assert readers(db) == 0
    with pytest.raises(QueryError):
        db.stream(Player.where("nothing == 1"))
    assert readers(db) == 0


def test_an_abandoned_stream_lets_its_commit_go_when_it_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "game.ormdb"
    with ormdb.open(path, schema=[Team, Player], statistics="manual") as db:
        fill(db)
        for player in db.stream(Player, batch=10):
            assert player.id == 1
            break
        for rows in db.stream(Player, batch=10).batches():
            assert len(rows) == 10
            break
        snapshot = db.snapshot()
        assert snapshot.count(Player.all()) == ROWS
        del snapshot
        gc.collect()
        assert readers(db) == 0


def test_a_budget_is_counted_for_each_batch(db: Database) -> None:
    assert len(list(db.stream(Player.budget(rows=100), batch=100))) == ROWS
    with pytest.raises(BudgetError, match="100"):
        list(db.stream(Player.budget(rows=100), batch=101))
    with pytest.raises(BudgetError, match="rows to sort"):
        list(db.stream(Player.order_by(Player.rank).budget(rows=100), batch=10))
    teams = Team.include(Team.players).budget(fanout=10)
    with pytest.raises(BudgetError, match="children of one parent"):
        list(db.stream(teams, batch=1))
    few = db.stream(Player.include(Player.team).budget(edges=50), batch=50)
    assert len(list(few)) == ROWS
    assert readers(db) == 0


def test_a_cancelled_stream_ends_with_its_next_batch(db: Database) -> None:
    stop = Cancellation()
    stream = db.stream(Player, batch=10, context=Context.system(cancellation=stop))
    next(stream)
    stop.cancel()
    with pytest.raises(CancelledError):
        list(stream)
    assert readers(db) == 0
    assert len(db.fetch(Player)) == ROWS


def test_a_stream_of_a_snapshot_leaves_it_open_and_ends_with_it(db: Database) -> None:
    with db.snapshot() as snapshot:
        stream, other = snapshot.stream(Player, batch=10), snapshot.stream(Player, batch=10)
        assert (next(stream).id, next(other).id) == (1, 1)
        assert snapshot.count(Player.all()) == ROWS
        stream.close()
        assert len(list(snapshot.stream(Player.limit(15), batch=10))) == 15
    with pytest.raises(ClosedError):
        list(other)


def test_a_stream_of_a_transaction_sees_its_writes(db: Database) -> None:
    with db.transaction() as txn:
        txn.delete(Player.key(1))
        assert next(txn.stream(Player, batch=10)).id == 2
        seen: list[int] = []
        for player in txn.stream(Player.order_by(Player.rank.desc()), batch=100):
            txn.delete(player)
            seen.append(player.id)
        assert seen == list(range(2, ROWS + 1))
        assert txn.count(Player.all()) == 0
    with pytest.raises(ClosedError):
        next(txn.stream(Player))


def test_a_stream_goes_on_from_a_cursor_and_into_the_past(db: Database) -> None:
    then, query = db.version, Player.order_by(Player.score).limit(3)
    first = db.fetch(query)
    following = db.stream(Player.order_by(Player.score).after(first.next_cursor), batch=500)
    whole = [player.id for player in db.fetch(Player.order_by(Player.score))]
    assert [player.id for player in following] == whole[3:]
    db.delete(Player.key(1))
    for moment, expected in ((then, 1), (None, 2)):
        with db.stream(Player.as_of(moment)) as players:
            assert next(players).id == expected
    with pytest.raises(QueryError, match="goes forwards"):
        db.stream(Player.order_by(Player.score).before(first.next_cursor))
    with pytest.raises(CursorError):
        db.stream(Player.all().after("nonsense"))
    with pytest.raises(QueryError, match="batches of 0"):
        db.stream(Player, batch=0)
    assert readers(db) == 0


def test_a_stream_that_outlives_the_age_of_readers_says_so(tmp_path: Path) -> None:
    path = tmp_path / "game.ormdb"
    with ormdb.open(path, schema=[Team, Player]) as db:
        fill(db)
    with ormdb.open(path, snapshot_age_s=0.0) as db:
        stream = db.stream(Player, batch=10)
        next(stream)
        db.get(Team, "red")  # another snapshot begins, and those that are too old are ended
        with pytest.raises(SnapshotExpiredError):
            list(stream)


def test_a_stream_is_one_call_in_the_query_log(
    db: Database, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, logger="ormdb.query"):
        assert len(list(db.stream(Player.include(Player.team), batch=1_000))) == ROWS
        for _ in db.stream(Player, batch=10):
            break
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 2
    assert "error" not in said[1].lower()
