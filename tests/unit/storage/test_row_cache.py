"""Rows that are kept are those that the asking snapshot would read: every race by its name."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any, Final

import pytest

import ormdb
from ormdb import Database, Entity, Field, Json, Many, One, field, many, one
from ormdb.database.reading import Snapshot
from ormdb.query.fetch import fetch
from ormdb.storage.changelog import log_key
from ormdb.storage.keys import row_key
from ormdb.storage.layout import CHANGES
from ormdb.storage.row_cache import RowCache, RowCacheStatistics
from ormdb.storage.views import CurrentView

ROOT: Final = Path(__file__).parents[3]


class Team(Entity):
    code: Field[str] = field(identity=True)
    name: Field[str]
    players: Many[Player] = many(inverse="team")


class Player(Entity):
    id: Field[int] = field(identity=True)
    score: Field[int]
    about: Field[Json]
    team: One[Team | None] = one()


SCHEMA: Final = (Team, Player)
TEAMS: Final = Team.order_by(Team.code).include(Team.players)
MATES: Final = Team.order_by(Team.code).include(Team.players.include(Player.team))
COUNT: Final = Team.players.count().named("count")
SUM: Final = Team.players.sum(Player.score).named("sum")
TOTALS: Final = Team.order_by(Team.code).derive(COUNT, SUM)
OTHER_PROCESS: Final = """
import sys, ormdb
from ormdb.model.dynamic import classes_from_bundle
with ormdb.open(sys.argv[1]) as db:
    player = classes_from_bundle(db.schema)["Player"]
    db.update(player.key(0), player.score.to(9))
    team = classes_from_bundle(db.schema)["Team"]
    db.update(player.key(2), player.team.to(team.key("b")))
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "league.ormdb"


@pytest.fixture
def db(path: Path) -> Generator[Database]:
    with ormdb.open(path, schema=SCHEMA) as opened:
        opened.insert_many([Team(code=code, name=code) for code in ("a", "b")])
        opened.insert_many([player(n, "ab"[n % 2]) for n in range(10)])
        yield opened


def player(number: int, team: str | None, score: int = 0) -> Player:
    key = None if team is None else Team.key(team)
    return Player(id=number, score=score, about={"tags": ["x", "y"]}, team=key)


def shown(reader: Database | Snapshot) -> dict[str, list[tuple[int, int]]]:
    return {
        team.code: [(each.id, each.score) for each in team.players] for team in reader.fetch(TEAMS)
    }


def mates(reader: Database | Snapshot) -> dict[str, list[tuple[int, str]]]:
    """Players by team, each with the name of the team that it refers to; asked for until what
    they refer to is kept beside them."""
    found = [reader.fetch(MATES).to_dicts() for _ in range(3)]
    assert found[1] == found[0]
    assert found[2] == found[0]
    return {
        team["code"]: [(each["id"], each["team"]["name"]) for each in team["players"]]
        for team in found[0]
    }


def totals(reader: Database | Snapshot) -> dict[str, tuple[int, int | None]]:
    return {team.code: (COUNT.of(team), SUM.of(team)) for team in reader.fetch(TOTALS)}


def statistics(db: Database) -> RowCacheStatistics:
    found = db.statistics().rows_kept
    assert found is not None
    return found


def test_a_second_fetch_reads_no_row_and_says_the_same(db: Database) -> None:
    first = db.fetch(TEAMS)
    again = db.fetch(TEAMS)
    assert again.to_dicts() == first.to_dicts()
    assert again.statistics.bytes_read < first.statistics.bytes_read
    assert again.statistics.engine_calls < first.statistics.engine_calls
    assert statistics(db).hits > 0


def test_an_update_an_insert_and_a_delete_are_seen_by_the_next_fetch(db: Database) -> None:
    before = shown(db)
    db.update(Player.key(2), Player.score.to(7))
    assert shown(db)["a"] == [(0, 0), (2, 7), (4, 0), (6, 0), (8, 0)]
    db.insert(player(99, "b"))
    assert shown(db)["b"] == [*before["b"], (99, 0)]
    db.update(Player.key(99), Player.team.to(Team.key("a")))
    assert shown(db)["b"] == before["b"]
    assert shown(db)["a"][-1] == (99, 0)
    db.delete(Player.key(99))
    db.update(Player.key(2), Player.score.to(0))
    assert shown(db) == before


def test_a_row_that_get_has_kept_is_the_new_one_after_an_update(db: Database) -> None:
    for score in range(5):
        db.update(Player.key(1), Player.score.to(score))
        for _ in range(2):
            found = db.get(Player, 1)
            assert found is not None
            assert found.score == score
    db.delete(Player.key(1))
    assert db.get(Player, 1) is None


def test_an_old_reader_that_fills_after_an_eviction_leaves_nothing(db: Database) -> None:
    with db.snapshot() as old:
        db.update(Player.key(0), Player.score.to(5))
        assert shown(db)["a"][0] == (0, 5)  # applies the commit: player 0 is taken off
        assert shown(old)["a"][0] == (0, 0)  # reads the old one now, and must not leave it
        found = old.get(Player, 0)
        assert found is not None
        assert found.score == 0
    assert shown(db)["a"][0] == (0, 5)
    again = db.get(Player, 0)
    assert again is not None
    assert again.score == 5


def test_a_reader_whose_rows_are_evicted_while_it_looks_reads_them_again(db: Database) -> None:
    shown(db)
    old = db.snapshot()
    layout, cache, key = old.layout, RowCache(), row_key(0)
    player_id = layout.entities["Player"].entity.id
    view = old.view()
    assert isinstance(view, CurrentView)
    cache.catch_up(view.txn, old.version)
    shelf = cache.rows(player_id, "decoder", old.version)
    assert shelf is not None
    cache.leave(player_id, shelf, {key: "old"}, 1, old.version)
    db.update(Player.key(0), Player.score.to(5))
    with db.snapshot() as new:
        newer = new.view()
        assert isinstance(newer, CurrentView)
        cache.catch_up(newer.txn, new.version)
    assert cache.look(player_id, shelf, [key], old.version) is None
    assert not cache.is_true(player_id, old.version)
    assert cache.is_true(player_id, new.version)
    cache.leave(player_id, shelf, {key: "old"}, 1, old.version)
    kept = cache.rows(player_id, "decoder", new.version)
    assert kept is shelf  # it goes on, without what has changed and without what came too late
    assert cache.look(player_id, shelf, [key], new.version) == [None]
    assert cache.rows(player_id, "decoder", old.version) is None
    old.close()


def test_what_kept_rows_refer_to_goes_with_them_when_one_refers_elsewhere(db: Database) -> None:
    assert mates(db)["a"] == [(number, "a") for number in (0, 2, 4, 6, 8)]
    db.update(Player.key(2), Player.team.to(Team.key("b")))
    assert mates(db)["a"] == [(number, "a") for number in (0, 4, 6, 8)]
    assert mates(db)["b"][1:3] == [(2, "b"), (3, "b")]
    db.delete(Player.key(0))
    assert mates(db)["a"] == [(number, "a") for number in (4, 6, 8)]


def test_rows_that_kept_ones_refer_to_are_the_new_ones_after_a_change(db: Database) -> None:
    mates(db)
    db.update(Team.key("a"), Team.name.to("new"))
    assert mates(db)["a"] == [(number, "new") for number in (0, 2, 4, 6, 8)]
    assert mates(db)["b"][0] == (1, "b")


def test_an_old_reader_leaves_nothing_of_what_its_rows_refer_to(db: Database) -> None:
    mates(db)
    with db.snapshot() as old:
        db.update(Player.key(2), Player.team.to(Team.key("b")))
        db.update(Team.key("b"), Team.name.to("new"))
        for _ in range(2):
            assert mates(db)["b"][1] == (2, "new")
            assert mates(old)["a"][1] == (2, "a")
            assert mates(old)["b"][1] == (3, "b")


def test_what_rows_refer_to_is_seen_when_another_process_changes_it(
    db: Database, path: Path
) -> None:
    mates(db)
    command = [sys.executable, "-c", OTHER_PROCESS, str(path)]
    subprocess.run(command, check=True, cwd=ROOT, timeout=60)
    assert mates(db)["a"] == [(number, "a") for number in (0, 4, 6, 8)]
    assert mates(db)["b"][1] == (2, "b")


def test_folds_that_are_kept_together_go_with_any_child(db: Database) -> None:
    assert totals(db) == {"a": (5, 0), "b": (5, 0)}
    hits = statistics(db).hits
    assert totals(db) == {"a": (5, 0), "b": (5, 0)}
    assert statistics(db).hits > hits
    db.update(Player.key(2), Player.score.to(7))
    assert totals(db) == {"a": (5, 7), "b": (5, 0)}
    db.update(Player.key(2), Player.team.to(Team.key("b")))
    assert totals(db) == {"a": (4, 0), "b": (6, 7)}
    db.delete(Player.key(2))
    assert totals(db) == {"a": (4, 0), "b": (5, 0)}


def test_an_old_reader_leaves_none_of_its_folds(db: Database) -> None:
    totals(db)
    with db.snapshot() as old:
        db.update(Player.key(0), Player.score.to(5))
        for _ in range(2):
            assert totals(db)["a"] == (5, 5)
            assert totals(old)["a"] == (5, 0)


def test_folds_are_new_after_another_process_changed_a_child(db: Database, path: Path) -> None:
    totals(db)
    command = [sys.executable, "-c", OTHER_PROCESS, str(path)]
    subprocess.run(command, check=True, cwd=ROOT, timeout=60)
    assert totals(db) == {"a": (4, 9), "b": (6, 0)}


def test_an_old_reader_goes_on_using_what_has_not_changed(db: Database) -> None:
    with db.snapshot() as old:
        shown(old)
        db.update(Team.key("a"), Team.name.to("new"))
        db.fetch(TEAMS)
        hits = statistics(db).hits
        old.fetch(Player.where(Player.id == 3))
        old.fetch(Player.where(Player.id == 3))
        assert statistics(db).hits > hits  # players are as they were
        assert [team.name for team in old.fetch(TEAMS)] == ["a", "b"]


def test_the_past_neither_finds_nor_leaves_anything(db: Database) -> None:
    version = db.version
    shown(db)
    db.update(Player.key(0), Player.score.to(5))
    for _ in range(2):
        then = db.fetch(TEAMS.as_of(version)).to_dicts()
        assert then[0]["players"][0]["score"] == 0
        assert shown(db)["a"][0] == (0, 5)


def test_a_transaction_sees_its_own_writes_and_leaves_none_of_them(db: Database) -> None:
    shown(db)
    with pytest.raises(ZeroDivisionError), db.transaction() as txn:
        txn.update(Player.key(0), Player.score.to(5))
        assert txn.fetch(TEAMS)[0].players[0].score == 5
        assert shown(db)["a"][0] == (0, 0)
        raise ZeroDivisionError
    assert shown(db)["a"][0] == (0, 0)


def test_a_commit_of_another_process_is_seen(db: Database, path: Path) -> None:
    shown(db)
    subprocess.run(
        [sys.executable, "-c", OTHER_PROCESS, str(path)], check=True, cwd=ROOT, timeout=60
    )
    assert shown(db)["a"][0] == (0, 9)
    applied = statistics(db).commits_applied
    assert applied >= 1


def test_a_dangling_value_links_when_its_target_comes(path: Path) -> None:
    class Club(Entity):
        code: Field[str] = field(identity=True)

    class Fan(Entity):
        id: Field[int] = field(identity=True)
        club: One[Club | None] = one(enforced=False)

    with ormdb.open(":memory:", schema=(Club, Fan)) as db:
        db.insert(Fan(id=1, club=Club.key("x")))
        fans = Fan.all().include(Fan.club)
        for _ in range(2):
            assert db.fetch(fans).to_dicts()[0]["club"] is None
        db.insert(Club(code="x"))
        assert db.fetch(fans).to_dicts()[0]["club"] == {"code": "x"}


def test_json_in_an_answer_is_the_askers_own(db: Database) -> None:
    for _ in range(2):
        found = db.fetch(TEAMS).to_dicts()[0]["players"][0]["about"]
        assert found == {"tags": ["x", "y"]}
        found["tags"].append("z")
        one_row: Any = db.run_get("Player", (0,))
        assert one_row["about"] == {"tags": ["x", "y"]}
        one_row["about"].clear()


def test_what_is_kept_weighs_no_more_than_is_allowed(path: Path) -> None:
    with ormdb.open(path, schema=SCHEMA, cache_bytes=60_000) as db:
        db.insert_many([Team(code=f"t{n}", name="x" * 200) for n in range(200)])
        db.insert_many([player(n, f"t{n % 200}") for n in range(2_000)])
        for n in range(0, 200, 5):
            codes = [f"t{m}" for m in range(n, n + 5)]
            query = Team.where(Team.code.in_(codes)).include(Team.players)
            for _ in range(2):
                assert sum(len(team.players) for team in db.fetch(query)) == 50
                assert statistics(db).bytes <= 60_000
        assert statistics(db).hits > 0


def test_without_memory_nothing_is_kept(path: Path) -> None:
    with ormdb.open(path, schema=SCHEMA, cache_bytes=0) as db:
        db.insert(Team(code="a", name="a"))
        assert db.statistics().rows_kept is None
        assert [db.fetch(TEAMS).statistics.bytes_read for _ in range(2)].count(0) == 0


def test_more_commits_than_are_worth_looking_through_begin_anew(db: Database) -> None:
    shown(db)
    with ormdb.open(db.path or "", schema=SCHEMA) as other:
        for n in range(1_010):
            other.update(Player.key(0), Player.score.to(n))
    assert shown(db)["a"][0] == (0, 1_009)


def test_a_damaged_log_entry_only_empties_the_cache(db: Database) -> None:
    shown(db)
    db.update(Player.key(0), Player.score.to(5))
    txn = db.engine.begin_write()
    txn.put_many(CHANGES, [(log_key(db.version), b"damage")])
    txn.commit()
    assert shown(db)["a"][0] == (0, 5)


def test_a_snapshot_of_an_answer_is_not_changed_by_later_commits(db: Database) -> None:
    with db.snapshot() as snapshot:
        answer = fetch(snapshot.reading(TEAMS.ir), TEAMS.ir)
        before = answer.dicts()
        db.delete(Player.key(0))
        shown(db)
        assert answer.dicts() == before
