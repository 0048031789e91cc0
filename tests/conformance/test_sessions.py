"""What a session promises, on every engine: whole commits, and writes seen by their own."""

from __future__ import annotations

import datetime
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import ormdb
from ormdb import Database, Entity, Field, Many, One, field, index, many, one, sequence
from ormdb.errors import (
    BudgetError,
    ClosedError,
    ConflictError,
    ForeignKeyError,
    HistoryError,
    ThreadError,
    UniqueError,
    UsageError,
)
from ormdb.ir.graph import GraphQuery


class Team(Entity):
    name: Field[str] = field(identity=True)
    players: Many[Player] = many(inverse="team")


class Player(Entity):
    id: Field[int] = field(identity=True, default=sequence())
    nick: Field[str] = field(unique=True)
    score: Field[int | None]
    team: One[Team | None] = one()

    __indexes__ = (index("score"),)


Open = Callable[[], Database]


@pytest.fixture(params=["memory", "file"])
def db(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    path = ":memory:" if request.param == "memory" else str(tmp_path / "game.ormdb")
    with ormdb.open(path, schema=[Team, Player]) as opened:
        with opened.transaction() as txn:
            txn.insert(Team(name="red"))
            txn.insert(Team(name="blue"))
            for number in range(6):
                team = Team.key("red" if number % 2 else "blue")
                txn.insert(Player(nick=f"p{number}", score=number * 10, team=team))
        yield opened


def test_a_snapshot_keeps_seeing_its_commit_while_others_are_made(db: Database) -> None:
    with db.snapshot() as snapshot:
        db.insert(Player(nick="late", score=1, team=Team.key("red")))
        assert snapshot.count(Player.all()) == 6
        assert db.count(Player.all()) == 7


def test_a_transaction_sees_its_own_writes_in_every_access_path(db: Database) -> None:
    with db.transaction() as txn:
        made = txn.insert(Player(nick="new", score=35, team=Team.key("red")))
        assert txn.get(Player, made.id) is not None
        assert [p.nick for p in txn.fetch(Player.where(Player.nick == "new"))] == ["new"]
        by_score = txn.fetch(Player.where(Player.score > 30).order_by(Player.score))
        assert [p.nick for p in by_score] == ["new", "p4", "p5"]
        red = txn.one(Team.where(Team.name == "red").include(Team.players))
        assert "new" in [p.nick for p in red.players]
        assert txn.count(Player.all()) == 7


def test_nothing_of_a_transaction_that_raised_is_there(db: Database) -> None:
    before = db.version

    def insert_and_raise() -> None:
        with db.transaction() as txn:
            txn.insert(Player(nick="ghost", score=None, team=None))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        insert_and_raise()
    assert db.version == before
    assert not db.exists(Player.where(Player.nick == "ghost"))


def test_a_refused_statement_leaves_the_transaction_as_it_was(db: Database) -> None:
    with db.transaction() as txn:
        txn.insert(Player(nick="first", score=None, team=None))
        with pytest.raises(UniqueError):
            txn.insert_many(
                [Player(nick="x", score=1, team=None), Player(nick="p0", score=1, team=None)]
            )
        with pytest.raises(ForeignKeyError):
            txn.insert(Player(nick="y", score=1, team=Team.key("green")))
    names = {player.nick for player in db.fetch(Player.all())}
    assert "first" in names
    assert not names & {"x", "y"}


def test_a_transaction_that_wrote_and_whose_read_changed_meanwhile_ends_in_a_conflict(
    db: Database,
) -> None:
    txn = db.transaction()
    player = txn.one(Player.where(Player.nick == "p1"))
    with pytest.raises(ConflictError, match="changed by commit") as caught, txn:
        db.update(Player.key(player.id), Player.score.to(99))
        txn.update(Player.key(player.id), Player.score.to((player.score or 0) + 1))
    assert caught.value.entity == "Player"
    assert caught.value.identity == (player.id,)
    assert caught.value.version == db.version
    assert db.one(Player.where(Player.nick == "p1")).score == 99


def test_a_transaction_that_wrote_and_whose_table_changed_meanwhile_ends_in_a_conflict(
    db: Database,
) -> None:
    best = Player.all().table(Player.score.max())
    with pytest.raises(ConflictError), db.transaction() as txn:
        ((score,),) = txn.table(best)
        db.insert(Player(nick="other", score=1_000, team=None))
        assert list(txn.table(best)) == [(score,)]
        txn.insert(Player(nick="late", score=(score or 0) + 1, team=None))
    assert list(db.table(best)) == [(1_000,)]


def test_a_transaction_that_only_reads_never_conflicts(db: Database) -> None:
    with db.transaction() as txn:
        assert txn.count(Player.all()) == 6
        db.insert(Player(nick="other", score=None, team=None))
        assert txn.count(Player.all()) == 6
    assert txn.version is None


def test_a_transaction_refuses_another_thread(db: Database) -> None:
    errors: list[BaseException] = []

    def use(txn: ormdb.Transaction) -> None:
        try:
            txn.count(Player.all())
        except ThreadError as error:
            errors.append(error)

    with db.transaction() as txn:
        worker = threading.Thread(target=use, args=(txn,))
        worker.start()
        worker.join()
    assert len(errors) == 1


def test_a_version_reads_as_it_was_in_rows_indexes_and_relations(db: Database) -> None:
    then = db.version
    first = db.one(Player.where(Player.nick == "p0"))
    db.update(Player.key(first.id), Player.score.to(77), Player.team.to(Team.key("red")))
    db.delete(Player.key(db.one(Player.where(Player.nick == "p5")).id))
    old = db.fetch(Player.where(Player.score >= 0).order_by(Player.score).as_of(then))
    assert [p.nick for p in old] == ["p0", "p1", "p2", "p3", "p4", "p5"]
    blue = db.one(Team.where(Team.name == "blue").include(Team.players).as_of(then))
    assert [p.nick for p in blue.players] == ["p0", "p2", "p4"]
    with db.snapshot(as_of=then) as snapshot:
        assert snapshot.count(Player.all()) == 6


def test_a_time_reads_the_newest_commit_made_by_then(db: Database) -> None:
    moment = datetime.datetime.now(datetime.UTC)
    db.insert(Player(nick="after", score=None, team=None))
    assert len(db.fetch(Player.all().as_of(moment))) == 6


def test_the_future_and_what_is_no_longer_kept_are_refused(db: Database) -> None:
    with pytest.raises(HistoryError, match="has not been made yet"):
        db.fetch(Player.all().as_of(db.version + 1))
    with pytest.raises(HistoryError, match="no longer kept"):
        db.fetch(Player.all().as_of(0))


def test_a_fetch_over_its_budget_names_the_include_and_the_number(db: Database) -> None:
    query = Team.all().include(Team.players).budget(edges=4)
    with pytest.raises(BudgetError) as caught:
        db.fetch(query)
    assert caught.value.details["budget"] == "edges"
    assert caught.value.details["path"] == ("players",)
    assert caught.value.details["reached"] == 5  # the sixth was not read any more


def test_a_closed_database_refuses_every_statement(db: Database) -> None:
    snapshot = db.snapshot()
    db.close()
    db.close()
    for statement in (
        lambda: db.count(Player.all()),
        lambda: db.get(Player, 1),
        lambda: db.insert(Team(name="x")),
        lambda: snapshot.count(Player.all()),
        db.transaction,
    ):
        with pytest.raises(ClosedError):
            statement()


def test_a_transaction_has_no_past(db: Database) -> None:
    with db.transaction() as txn, pytest.raises(UsageError, match="no past"):
        txn.fetch(Player.all().as_of(db.version))


def test_a_bulk_load_is_one_commit_and_equals_single_inserts(db: Database) -> None:
    before = db.version
    rows = [{"nick": f"b{i}", "score": i, "team_name": "red"} for i in range(300)]
    seen: list[tuple[int, int | None]] = []
    loaded = db.bulk_load(Player, rows, progress=lambda n, of: seen.append((n, of)), total=300)
    assert (loaded, db.version) == (300, before + 1)
    assert seen[-1] == (300, 300)
    assert db.count(Player.where(Player.team[Team.name] == "red")) == 303


def test_a_bulk_load_with_one_bad_row_loads_nothing(db: Database) -> None:
    rows = [{"nick": f"b{i}", "score": i} for i in range(300)] + [{"nick": "b7"}]
    with pytest.raises(UniqueError):
        db.bulk_load(Player, rows)
    assert db.count(Player.all()) == 6


def test_pages_walk_forwards_and_backwards_without_gap_or_overlap(db: Database) -> None:
    query = Player.all().order_by(Player.score.desc()).limit(2)
    page, seen = db.fetch(query), list[str]()
    while True:
        seen += [player.nick for player in page]
        if page.next_cursor is None:
            break
        page = db.fetch(query.after(page.next_cursor))
    assert seen == ["p5", "p4", "p3", "p2", "p1", "p0"]
    assert page.previous_cursor is not None
    back = db.fetch(query.before(page.previous_cursor))
    assert [player.nick for player in back] == ["p3", "p2"]


def test_a_fetch_by_names_gives_the_classes_the_database_was_opened_with(db: Database) -> None:
    found = db.fetch(GraphQuery(entity="Player"))
    assert {type(player) for player in found} == {Player}
