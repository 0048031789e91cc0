"""Any commit comes back byte for byte: from a later backup, from an earlier one with archives."""

from __future__ import annotations

import datetime
import random
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import pytest

import ormdb
from ormdb import Database, Entity, Field
from ormdb import field as declare
from ormdb.database.changes import RowChange
from ormdb.ir.graph import GraphQuery
from ormdb.ir.value import RowDict, Value
from ormdb.storage.engine import Engine, Item, Space
from ormdb.storage.head import COUNTER_PREFIX
from tests.box import Box
from tests.crash import shop
from tests.crash.tools import memory_folder

Dump: TypeAlias = dict[str, list[Item]]
State: TypeAlias = dict[tuple[str, tuple[Value, ...]], RowDict]

MULTIMAPS = {"identity": 8, "index": 8, "relation": 8}
RESTORES = 4  # of each course of events


class Visit(Entity):
    """What a later schema has besides."""

    place: Field[str] = declare(identity=True)
    number: Field[int] = declare(unique=True)


SCHEMAS: tuple[tuple[type[Entity], ...], ...] = (shop.SCHEMA, (*shop.SCHEMA, Visit))


@dataclass
class Course:
    """What became of a database, commit by commit."""

    dumps: dict[int, Dump] = field(default_factory=dict[int, Dump])
    schemas: dict[int, int] = field(default_factory=dict[int, int])
    moments: dict[int, datetime.datetime] = field(default_factory=dict[int, datetime.datetime])
    states: dict[int, State] = field(default_factory=dict[int, State])

    def note(self, db: Database) -> None:
        """The newest commit."""
        statistics = db.statistics()
        self.dumps[statistics.version] = dump(db.engine)
        self.schemas[statistics.version] = statistics.schema_version
        self.states[statistics.version] = state_of(db)


def dump(engine: Engine) -> Dump:
    """Everything in a file that belongs to one commit; counters belong to all of them."""
    txn = engine.begin_read()
    try:
        return {
            name: [
                item
                for batch in txn.scan(space_named(name))
                for item in batch
                if not (name == "meta" and item[0].startswith(COUNTER_PREFIX))
            ]
            for name in txn.space_names()
            if name != "statistics"
        }
    finally:
        txn.close()


def space_named(name: str) -> Space:
    kind, _, _ = name.partition("/")
    if kind.endswith("_history"):
        return Space(name, 2 * MULTIMAPS[kind.removesuffix("_history")])
    return Space(name, MULTIMAPS.get(kind, 0))


def state_of(db: Database) -> State:
    """Every row, as the public face gives it."""
    state: State = {}
    for entity in db.schema.entities:
        for row in db.run_fetch(GraphQuery(entity=entity.name)).dicts():
            state[entity.name, tuple(row[part] for part in entity.identity)] = row
    return state


def folded(state: State, changes: Iterable[RowChange]) -> State:
    """A state after some changes, each of which has to meet what it says was there before."""
    after = dict(state)
    for change in changes:
        key = change.entity, change.identity
        assert after.pop(key, None) == change.before, change
        assert (change.kind == "delete") is (change.after is None)
        if change.after is not None:
            after[key] = change.after
    return after


def picture(number: int) -> dict[str, object]:
    return {"id": number, "data": b"p" * number, "owner_name": None}


class Keeper:
    """Runs a shop for a while, makes backups and archives, and remembers every commit."""

    def __init__(self, folder: Path, pick: random.Random) -> None:
        self.folder = folder
        self.pick = pick
        self.course = Course()
        self.backups: dict[Path, int] = {}
        self.archives: list[Path] = []
        self.archived = 0
        self.work = shop.ShopWorkload()

    def run(self) -> None:
        """Two openings of the database, with another schema the second time."""
        numbers = iter(range(1, 1_000))
        for schema in SCHEMAS:
            with ormdb.open(
                self.folder / "shop.ormdb", schema=schema, durability="none", statistics="manual"
            ) as db:
                if db.get(shop.Shop, 1) is None:
                    self.course.note(db)
                    self.begin(db)
                self.course.note(db)
                for _ in range(self.pick.randint(2, 7)):
                    self.step(db, next(numbers))
        with ormdb.open(self.folder / "shop.ormdb", statistics="manual") as db:
            self.archive(db)
            for change in db.changes(since=self.horizon):
                self.course.moments[change.version] = change.at

    def begin(self, db: Database) -> None:
        with db.transaction() as txn:
            txn.insert(shop.Shop(id=1, orders=0))
            txn.insert_many(
                [
                    shop.Customer(name=f"c{n}", email=f"{n}@x", spent=0)
                    for n in range(shop.CUSTOMERS)
                ]
            )

        self.course.note(db)
        db.bulk_load(shop.Picture, [picture(n) for n in range(shop.PICTURES)])

    def step(self, db: Database, number: int) -> None:
        pick = self.pick
        self.work.change(db, number, pick)
        self.course.note(db)
        if pick.random() < 0.3:
            db.bulk_load(shop.Picture, [picture(number * 10 + n) for n in range(3)])
            self.course.note(db)
        if "Visit" in db.entity_classes and pick.random() < 0.7:
            db.insert(Visit(number=number, place=f"place {number}"))
            self.course.note(db)
        if pick.random() < 0.3 or not self.backups:
            path = self.folder / f"backup-{len(self.backups)}.ormdb"
            db.backup(path, compact=pick.random() < 0.5)
            self.backups[path] = db.version
            if len(self.backups) == 1:
                self.archived = pick.randint(1, db.version)
        elif pick.random() < 0.3:
            self.archive(db)

    def archive(self, db: Database) -> None:
        path = self.folder / f"{len(self.archives)}.archive"
        outcome = db.archive(path, since=self.archived)
        assert (outcome.since, outcome.version) == (self.archived, db.version)
        assert outcome.commits == db.version - self.archived
        self.archived = outcome.version
        self.archives.append(path)

    @property
    def horizon(self) -> int:
        return min(self.course.dumps)


def restore_somewhere(keeper: Keeper, target: Path) -> None:
    """One restore, of any commit from any backup, and what it has to be."""
    pick, course = keeper.pick, keeper.course
    backup, newest = pick.choice(sorted(keeper.backups.items()))
    archives = keeper.archives if pick.random() < 0.8 else []
    last = max(course.dumps) if archives else newest
    version = pick.randint(keeper.horizon, last)
    as_of: int | datetime.datetime | None = version
    if pick.random() < 0.2:
        as_of, version = None, last
    elif pick.random() < 0.3 and version in course.moments:
        as_of = course.moments[version]
        same = [each for each, at in course.moments.items() if at == as_of and each <= last]
        version = max(same)
    shuffled = pick.sample(archives, len(archives))
    outcome = ormdb.restore(backup, target, as_of=as_of, archives=shuffled, overwrite=True)
    assert (outcome.version, outcome.schema_version) == (version, course.schemas[version])
    with ormdb.open(target, statistics="manual") as db:
        assert dump(db.engine) == course.dumps[version]
        assert state_of(db) == course.states[version]
        since = pick.randint(keeper.horizon, version)
        assert folded(course.states[since], db.changes(since=since, images=True)) == state_of(db)
        if db.exists(shop.Picture.all()):
            keeper.work.change(db, 900, pick)  # and it goes on
        assert db.check(deep=True).problems == ()


@pytest.mark.soak(seconds=25, cases_min=12)
def test_any_commit_comes_back_as_it_was(box: Box, tmp_path: Path) -> None:
    for seed in box.seeds():
        with memory_folder(tmp_path) as folder:
            keeper = Keeper(folder, random.Random(seed))
            keeper.run()
            for _ in range(RESTORES):
                restore_somewhere(keeper, folder / "restored.ormdb")
                box.count(1)


def test_a_backup_under_load_is_a_commit_and_goes_back_to_those_before(tmp_path: Path) -> None:
    """Writers of two threads go on while backups and archives are made."""
    stop = threading.Event()
    states: dict[int, State] = {}
    with (
        memory_folder(tmp_path) as folder,
        ormdb.open(
            folder / "shop.ormdb", schema=shop.SCHEMA, durability="none", statistics="manual"
        ) as db,
    ):
        keeper = Keeper(folder, random.Random(1))
        keeper.begin(db)
        first = db.version
        db.backup(folder / "first.ormdb")

        def write(seed: int) -> None:
            pick = random.Random(seed)
            number = seed * 10_000
            while not stop.is_set():
                number += 1
                db.insert(shop.Picture(id=number, data=pick.randbytes(20), owner=None))

        writers = [threading.Thread(target=write, args=(seed,)) for seed in (1, 2)]
        for writer in writers:
            writer.start()
        try:
            for number in range(3):
                db.backup(folder / f"{number}.ormdb", compact=number % 2 == 0)
            outcome = db.archive(folder / "all.archive", since=first)
        finally:
            stop.set()
            for writer in writers:
                writer.join()
        for version in range(first, outcome.version + 1):
            with db.snapshot(as_of=version) as snapshot:
                pictures = snapshot.run_fetch(GraphQuery(entity="Picture")).dicts()
                states[version] = {("Picture", (row["id"],)): row for row in pictures}
        assert outcome.version > first
        for number, version in enumerate((outcome.version, first, (first + outcome.version) // 2)):
            for source in ("first", "2"):
                target = folder / f"target-{number}-{source}.ormdb"
                ormdb.restore(
                    folder / f"{source}.ormdb",
                    target,
                    as_of=version,
                    archives=[folder / "all.archive"],
                )
                with ormdb.open(target, statistics="manual") as restored:
                    assert restored.version == version
                    found = state_of(restored)
                    pictures_there = {key: row for key, row in found.items() if key[0] == "Picture"}
                    assert pictures_there == states[version]
