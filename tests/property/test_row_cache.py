"""What is kept never shows: fetches with a row cache answer as fetches without one.

Two handles with caches of their own (one so small that it is always turning over) and snapshots of
several ages read one file, while rows of every kind of relation come, change, move and go.  Each
answer is compared with that of a handle which keeps nothing, as of the same version.  In every
other world children are gathered and hashed, and what was gathered is kept, wherever it may be.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

import ormdb
from ormdb import Database, Key
from ormdb.database.reading import Snapshot
from ormdb.errors import ConstraintError
from tests.box import Box
from tests.oracle.forced import gathered_by_cost
from tests.oracle.hostel import (
    CODES,
    GRAPHS,
    IDS,
    NOWHERE,
    SCHEMA,
    Club,
    Fan,
    Member,
    Room,
    Stay,
)

STEPS: Final = 60
SNAPSHOTS_MAX: Final = 3
# What may be gathered: with one value and another, over edges, and to be counted.
GATHERED: Final = (
    *(
        Club.order_by(Club.code)
        .include(Club.members.where(Member.score == score).order_by(Member.id.desc()).limit(2))
        .ir
        for score in (2, 5)
    ),
    Club.derive(Club.members.where(Member.score > 3).count().named("above")).ir,
    Member.order_by(Member.id)
    .include(Member.rooms.where(Room.number == 1), Member.pupils.where(Member.score < 4))
    .ir,
)


@pytest.mark.soak(seconds=20, cases_min=1_000)
def test_a_fetch_answers_the_same_with_and_without_a_row_cache(box: Box, tmp_path: Path) -> None:
    for seed in box.seeds():
        path = tmp_path / f"{seed}.ormdb"
        with gathered_by_cost() if seed % 2 else contextlib.nullcontext():
            run_world(box, random.Random(seed), path)
        for left in (path, Path(f"{path}-lock")):
            left.unlink(missing_ok=True)


def run_world(box: Box, random_: random.Random, path: Path) -> None:
    """One file, its three handles, and some steps."""
    few = random_.choice((6_000, 60_000))
    with (
        ormdb.open(path, schema=SCHEMA, durability="none") as roomy,
        ormdb.open(path, schema=SCHEMA, durability="none", cache_bytes=few) as narrow,
        ormdb.open(path, schema=SCHEMA, durability="none", cache_bytes=0) as plain,
    ):
        snapshots: list[Snapshot] = []
        for _ in range(STEPS):
            writer = random_.choice((roomy, narrow, plain))
            for _ in range(random_.choice((0, 1, 1, 3))):
                random_.choice(CHANGES)(writer, random_)
            if random_.random() < 0.3:
                snapshots.append(random_.choice((roomy, narrow)).snapshot())
            if len(snapshots) > SNAPSHOTS_MAX:
                snapshots.pop(random_.randrange(len(snapshots))).close()
            readers: list[Database | Snapshot] = [random_.choice((roomy, narrow)), *snapshots]
            for reader in readers:
                compare(reader, plain, random_)
                box.count()
        for snapshot in snapshots:
            snapshot.close()


def compare(reader: Database | Snapshot, plain: Database, random_: random.Random) -> None:
    """One fetch, or one get, with what may be kept and without."""
    with plain.snapshot(as_of=reader.version) as truth:
        if random_.random() < 0.2:
            number = random_.randrange(IDS)
            assert reader.run_get("Member", (number,)) == truth.run_get("Member", (number,))
            return
        query = random_.choice((*GRAPHS, *GATHERED))
        assert reader.run_fetch(query).dicts() == truth.run_fetch(query).dicts()


# --- changes, each one commit, or none when it is refused -----------------------------------


def put_club(db: Database, random_: random.Random) -> None:
    code, name = random_.choice(CODES), f"name {random_.randrange(5)}"
    if db.get(Club, code) is None:
        db.insert(Club(code=code, name=name))
    else:
        db.update(Club.key(code), Club.name.to(name))


def put_member(db: Database, random_: random.Random) -> None:
    number, score = random_.randrange(IDS), random_.randrange(10)
    club, mentor = some_club(db, random_), some_member(db, random_)
    if db.get(Member, number) is None:
        db.insert(Member(id=number, score=score, club=club, mentor=mentor))
    else:
        changes = (Member.score.to(score), Member.club.to(club), Member.mentor.to(mentor))
        db.update(Member.key(number), *random_.sample(changes, random_.randint(1, 3)))


def put_many_members(db: Database, random_: random.Random) -> None:
    free = [n for n in range(IDS) if db.get(Member, n) is None]
    club = some_club(db, random_)
    db.insert_many([Member(id=n, score=n, club=club, mentor=None) for n in free[:5]])


def put_fan(db: Database, random_: random.Random) -> None:
    number, code = random_.randrange(IDS), random_.choice((*CODES, NOWHERE))
    if db.get(Fan, number) is None:
        db.insert(Fan(id=number, club=Club.key(code)))
    else:
        db.update(Fan.key(number), Fan.club.to(Club.key(code)))


def put_stay(db: Database, random_: random.Random) -> None:
    member, number = some_member(db, random_), random_.randrange(4)
    if member is None:
        return
    if db.get(Room, number) is None:
        db.insert(Room(number=number, beds=1, facts={"seen": [number]}))
    stay = random_.randrange(IDS)
    if db.get(Stay, stay) is None:
        db.insert(Stay(id=stay, nights=1, member=member, room=Room.key(number)))
    else:
        db.update(Stay.key(stay), Stay.member.to(member), Stay.room.to(Room.key(number)))


def drop(db: Database, random_: random.Random) -> None:
    """Delete a row that nothing refers to."""
    stay, fan = random_.randrange(IDS), random_.randrange(IDS)
    for key in (Stay.key(stay), Fan.key(fan)):
        if db.get(key) is not None:
            db.delete(key)
    number = random_.randrange(IDS)
    with contextlib.suppress(ConstraintError):  # somebody refers to it
        if db.get(Member, number) is not None:
            db.delete(Member.key(number))


def some_club(db: Database, random_: random.Random) -> Key[Club] | None:
    found = db.fetch(Club.all())
    return Club.key(random_.choice(found).code) if found and random_.random() < 0.8 else None


def some_member(db: Database, random_: random.Random) -> Key[Member] | None:
    found = db.fetch(Member.all())
    return Member.key(random_.choice(found).id) if found and random_.random() < 0.8 else None


CHANGES: Final[tuple[Callable[[Database, random.Random], None], ...]] = (
    put_club,
    put_member,
    put_member,
    put_member,
    put_many_members,
    put_fan,
    put_stay,
    put_stay,
    drop,
)
