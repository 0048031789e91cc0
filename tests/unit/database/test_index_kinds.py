"""Partial, inverted and full text indexes as a program meets them: loads, histories, processes."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest

import ormdb
from ormdb import Entity, Field, Json, field, full_text, index, inverted
from ormdb.errors import UniqueError
from tests.oracle.words import matches_words, rank_words


class Ticket(Entity):
    """One of each kind of index."""

    id: Field[int] = field(identity=True)
    owner: Field[str]
    notes: Field[str] = field(default="")
    closed: Field[bool] = field(default=False)
    tags: Field[tuple[str, ...]] = field(default=())
    facts: Field[Json | None] = field(default=None)

    __indexes__ = (
        index("owner", unique=True, where="not closed", name="one_open"),
        inverted("tags"),
        inverted("facts"),
        full_text("notes"),
    )


ANOTHER_PROCESS = """
import sys
import ormdb
from ormdb.model.dynamic import classes_from_bundle

with ormdb.open(sys.argv[1]) as db:
    ticket = classes_from_bundle(db.schema)["Ticket"]
    assert [one.id for one in db.fetch(ticket.where("has(tags, 'late')"))] == [1]
    db.update(ticket.key(1), ticket.tags.to(("early",)), ticket.notes.to("jets landed"))
    try:
        db.insert(ticket(id=9, owner="Ada"))
    except ormdb.errors.UniqueError as error:
        print(error.details["constraint"])
"""


def ids(found: ormdb.Result[Ticket]) -> list[int]:
    return [ticket.id for ticket in found]


def test_values_are_unique_among_the_rows_that_a_partial_index_holds() -> None:
    with ormdb.open(":memory:", schema=[Ticket]) as db:
        db.insert(Ticket(id=1, owner="Ada"))
        db.insert(Ticket(id=2, owner="Ada", closed=True))
        db.insert(Ticket(id=3, owner="Ada", closed=True))
        with pytest.raises(UniqueError, match="among rows with not closed") as caught:
            db.update(Ticket.key(2), Ticket.closed.to(False))
        assert caught.value.details["constraint"] == "one_open"
        assert caught.value.details["identity"] == (2,)
        with db.transaction() as txn:
            txn.update(Ticket.key(1), Ticket.closed.to(True))
            txn.update(Ticket.key(2), Ticket.closed.to(False))
        assert ids(db.fetch(Ticket.where(Ticket.owner == "Ada", "not closed"))) == [2]


def test_a_load_is_refused_that_repeats_what_a_partial_index_keeps_unique() -> None:
    rows = [{"id": number, "owner": "Ada", "closed": number != 700} for number in range(1_000)]
    with ormdb.open(":memory:", schema=[Ticket]) as db:
        with pytest.raises(UniqueError, match="one_open"):
            db.bulk_load(Ticket, [*rows, {"id": 2_000, "owner": "Ada", "closed": False}])
        assert db.count(Ticket) == 0
        db.bulk_load(Ticket, rows)
        assert ids(db.fetch(Ticket.where("owner == 'Ada' and not closed"))) == [700]
        assert db.check(deep=True).problems == ()


def test_what_was_rolled_back_is_found_by_no_index() -> None:
    with ormdb.open(":memory:", schema=[Ticket]) as db:
        db.insert(Ticket(id=1, owner="Ada", notes="storm", tags=("late",), facts={"a": 1}))
        txn = db.transaction()
        txn.update(Ticket.key(1), Ticket.notes.to("sun"), Ticket.tags.to(("early",)))
        txn.update(Ticket.key(1), Ticket.facts.to({"a": 2}))
        assert ids(txn.fetch(Ticket.where(Ticket.notes.matches("sun")))) == [1]
        assert ids(txn.fetch(Ticket.where(Ticket.tags.has("late")))) == []
        assert ids(txn.fetch(Ticket.where(Ticket.facts.contains_json({"a": 2})))) == [1]
        txn.rollback()
        assert ids(db.fetch(Ticket.where(Ticket.notes.matches("storms")))) == [1]
        assert ids(db.fetch(Ticket.where(Ticket.tags.has("early")))) == []
        assert ids(db.fetch(Ticket.where(Ticket.facts.contains_json({"a": 1})))) == [1]


def test_every_index_reads_the_past_as_it_was() -> None:
    with ormdb.open(":memory:", schema=[Ticket]) as db:
        db.insert(Ticket(id=1, owner="Ada", notes="storm", tags=("late",), facts={"a": 1}))
        before = db.version
        db.update(Ticket.key(1), Ticket.notes.to("sun"), Ticket.closed.to(True))
        db.update(Ticket.key(1), Ticket.tags.to(()), Ticket.facts.to(None))
        db.delete(Ticket.key(1))
        past = [
            Ticket.where(Ticket.notes.matches("storm")),
            Ticket.where(Ticket.tags.has("late")),
            Ticket.where(Ticket.facts.has_key("a")),
            Ticket.where(Ticket.owner == "Ada", "not closed"),
        ]
        assert [ids(db.fetch(query)) for query in past] == [[], [], [], []]
        assert [ids(db.fetch(query.as_of(before))) for query in past] == [[1], [1], [1], [1]]
        assert ids(db.fetch(past[0].as_of(before + 1))) == []
        assert ids(db.fetch(past[1].as_of(before + 1))) == [1]


@pytest.mark.parametrize("seed", range(5))
def test_a_search_gives_what_matches_in_the_order_of_its_rank(seed: int) -> None:
    rng = random.Random(seed)
    words = ("storm", "storms", "delayed", "delay", "the", "jet", "York", "landing")
    notes = {n: " ".join(rng.choices(words, k=rng.randint(0, 9))) for n in range(200)}
    query = " ".join(rng.sample(words, 2))
    with ormdb.open(":memory:", schema=[Ticket]) as db:
        db.bulk_load(
            Ticket, [{"id": n, "owner": f"o{n}", "notes": text} for n, text in notes.items()]
        )
        rank = Ticket.notes.rank(query)
        search = (
            Ticket.where(Ticket.notes.matches(query))
            .table(Ticket.id, rank.named("rank"))
            .order_by(rank.desc(), Ticket.id.desc())
            .limit(25)
        )
        expected = [
            (rank_words(text, query), number)
            for number, text in notes.items()
            if matches_words(text, query)
        ]
        expected.sort(reverse=True)
        found = [(number, ranked) for number, ranked in db.table(search)]
        assert found == [(number, ranked) for ranked, number in expected[:25]]
        access = db.explain(search).root.access
        assert access is not None
        assert access.name == "full_text_notes"


def test_another_process_keeps_the_same_indexes(tmp_path: Path) -> None:
    path = tmp_path / "tickets.ormdb"
    with ormdb.open(path, schema=[Ticket]) as db:
        db.insert(Ticket(id=1, owner="Ada", notes="storm", tags=("late",)))
        assert ids(db.fetch(Ticket.where(Ticket.tags.has("late")))) == [1]
        command = [sys.executable, "-c", ANOTHER_PROCESS, str(path)]
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (ran.stdout.strip(), ran.stderr) == ("one_open", "")
        assert ids(db.fetch(Ticket.where(Ticket.tags.has("late")))) == []
        assert ids(db.fetch(Ticket.where(Ticket.tags.has("early")))) == [1]
        assert ids(db.fetch(Ticket.where(Ticket.notes.matches("a jet")))) == [1]
        assert db.check(deep=True).problems == ()
