"""Requests of several threads, run together by one of them."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

import ormdb
from ormdb import Database, Entity, Field, field
from ormdb.errors import BusyError, OrmdbError, UniqueError, UsageError
from ormdb.ir.mutation import Insert
from ormdb.storage.lmdb import LmdbEngine
from ormdb.txn.group import CommitQueue
from ormdb.txn.request import CommitRequest, CommitResult, request_of

Answer = list[CommitResult | OrmdbError] | None


class Thing(Entity):
    id: Field[int] = field(identity=True)
    name: Field[str] = field(unique=True)


def request(principal: str) -> CommitRequest:
    return request_of((), principal)


def done(version: int) -> CommitResult:
    return CommitResult(version=version, changed=True, outcomes=())


class Scripted:
    """Runs groups as a test says; the first one is held until all others wait."""

    def __init__(self, answer: Callable[[list[str]], Answer]) -> None:
        self.groups: list[list[str]] = []
        self.begun, self.go = threading.Event(), threading.Event()
        self._answer = answer

    def __call__(self, requests: Sequence[CommitRequest]) -> Answer:
        names = [each.principal for each in requests]
        self.groups.append(names)
        if len(self.groups) == 1:
            self.begun.set()
            self.go.wait(10)
        return self._answer(names)


def wait_for(queue: CommitQueue, count: int) -> None:
    pause = threading.Event()
    for _ in range(10_000):
        if len(queue) >= count:
            return
        pause.wait(0.001)
    raise AssertionError(f"{len(queue)} of {count} wait")


def together(scripted: Scripted, names: Sequence[str]) -> dict[str, CommitResult | BaseException]:
    """What each of several threads is told; the first leads, and the others wait meanwhile."""
    queue = CommitQueue(scripted)
    told: dict[str, CommitResult | BaseException] = {}

    def ask(name: str) -> None:
        try:
            told[name] = queue.run(request(name))
        except (OrmdbError, KeyboardInterrupt) as error:
            told[name] = error

    threads = [threading.Thread(target=ask, args=(name,)) for name in names]
    threads[0].start()
    assert scripted.begun.wait(10)
    for position, thread in enumerate(threads[1:], 1):
        thread.start()
        wait_for(queue, position)
    scripted.go.set()
    for thread in threads:
        thread.join(10)
    return told


def test_who_comes_while_a_group_is_run_is_part_of_the_next_in_order() -> None:
    scripted = Scripted(lambda names: [done(len(name)) for name in names])
    told = together(scripted, ["a", "bb", "ccc", "dddd"])
    assert scripted.groups == [["a"], ["bb", "ccc", "dddd"]]
    assert told == {name: done(len(name)) for name in ("a", "bb", "ccc", "dddd")}


def test_each_is_told_its_own_error() -> None:
    refusal = UniqueError("taken")
    scripted = Scripted(lambda names: [refusal if name == "c" else done(1) for name in names])
    told = together(scripted, ["a", "b", "c"])
    assert told == {"a": done(1), "b": done(1), "c": refusal}


def test_a_group_that_failed_together_is_run_one_by_one() -> None:
    scripted = Scripted(lambda names: None if len(names) > 1 else [done(7)])
    told = together(scripted, ["a", "b", "c"])
    assert scripted.groups == [["a"], ["b", "c"], ["b"], ["c"]]
    assert set(map(type, told.values())) == {CommitResult}


def test_nobody_waits_for_ever_when_nothing_can_be_run() -> None:
    def fail(_: list[str]) -> Answer:
        raise BusyError("the other writer did not end")

    told = together(Scripted(fail), ["a", "b", "c"])
    assert set(map(type, told.values())) == {BusyError}


def test_a_fault_of_the_leader_is_its_own_and_another_one_takes_over() -> None:
    def fail_once(names: list[str]) -> Answer:
        if names == ["b", "c"]:
            raise KeyboardInterrupt
        return [done(1) for _ in names]

    scripted = Scripted(fail_once)
    told = together(scripted, ["a", "b", "c"])
    assert isinstance(told["b"], KeyboardInterrupt)
    assert (told["a"], told["c"]) == (done(1), done(1))


@pytest.fixture
def counted(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> Sequence[int]:
    """How often the engine became the one writer."""
    begun: list[int] = []
    begin = LmdbEngine.begin_write

    def begin_write(self: LmdbEngine, *, wait_s: float | None = None) -> object:
        begun.append(1)
        return begin(self, wait_s=wait_s)

    monkeypatch.setattr(LmdbEngine, "begin_write", begin_write)
    return begun


def test_commits_of_many_threads_share_syncs_and_each_has_its_version(
    tmp_path: object, counted: Sequence[int]
) -> None:
    with ormdb.open(f"{tmp_path}/a.ormdb", schema=[Thing]) as db:
        before, begun = db.version, len(counted)

        def add(number: int) -> None:
            db.insert(Thing(id=number, name=f"n{number}"))

        with ThreadPoolExecutor(16) as pool, db.transaction(exclusive=True):
            futures = [pool.submit(add, number) for number in range(64)]
            wait_for(db.committer.queue, 15)
        for future in futures:
            future.result(30)
        assert db.version == before + 64
        assert db.count(Thing.all()) == 64
        assert len(counted) - begun < 40
        assert db.check(deep=True).is_clean


def test_a_refused_request_leaves_the_others_of_its_group(db: Database) -> None:
    requests = [
        request_of((Insert(entity="Thing", rows=({"id": 1, "name": "x"},)),), "a"),
        request_of((Insert(entity="Thing", rows=({"id": 2, "name": "x"},)),), "b"),
        request_of((Insert(entity="Thing", rows=({"id": 3, "name": "y"},)),), "c"),
    ]
    results = db.committer.commit_group(requests)
    assert results is not None
    assert [type(each) for each in results] == [CommitResult, UniqueError, CommitResult]
    assert [thing.id for thing in db.fetch(Thing.all())] == [1, 3]
    assert db.check(deep=True).is_clean


def test_who_holds_the_writer_is_told_instead_of_waiting_for_itself(db: Database) -> None:
    with db.transaction(exclusive=True) as txn:
        with pytest.raises(UsageError, match="exclusive transaction open"):
            db.insert(Thing(id=1, name="x"))
        txn.insert(Thing(id=2, name="y"))
    assert db.count(Thing.all()) == 1


@pytest.fixture
def db() -> Database:
    return ormdb.open(":memory:", schema=[Thing])


def test_an_error_keeps_nothing_alive_once_it_is_dropped(db: Database) -> None:
    class Held:
        pass

    def fail() -> weakref.ref[Held]:
        held = Held()
        found = weakref.ref(held)
        try:
            db.insert_rows(Thing, [{"id": 1, "name": "x"}, {"id": 1, "name": "y"}])
        except UniqueError:
            return found
        raise AssertionError("it was not refused")

    gc.collect()
    gc.disable()  # reference counts alone have to do it
    try:
        assert fail()() is None
    finally:
        gc.enable()
