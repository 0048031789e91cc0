"""How fast durable commits are, beside raw LMDB and sqlite3: `python -m benches.commits`.

    one insert             905 /s   raw LMDB 1,010 (0.90×)   sqlite3 2,100 (0.43×)
    8 threads            3,300 /s   sqlite3 1,900 (1.7×), slowest thread 98 % of the mean
    contention, 1 of 100 rows       goodput 1,800 /s, 4 % of attempts conflict

Contestants take turns in rounds of a few commits, because a disk has moods; figures are medians
over the rounds.  Raw LMDB puts as many items of the same sizes into as many named databases as
ormdb does for the same statement; sqlite3 has WAL, `synchronous=FULL` and one statement per row.
Every commit of each of them survives a loss of power when it returns.
"""

from __future__ import annotations

import argparse
import random
import sqlite3
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from dataclasses import field as member
from pathlib import Path
from typing import Final

import lmdb

import ormdb
from ormdb import Database, Entity, Field, Many, One, Transaction, field, many, one

ROUNDS: Final = 15
COMMITS_EACH: Final = 20
CAST: Final = 20
THREADS: Final = (1, 8, 32)
THREAD_COMMITS: Final = 480
CONTENTION: Final = {"1 of 10,000 rows": 10_000, "1 of 100 rows": 100, "1 of 4 rows": 4}
CONTENDERS: Final = 8
CONTENDED_S: Final = 3.0


class Movie(Entity):
    id: Field[int] = field(identity=True)
    title: Field[str]
    year: Field[int] = field(index=True)
    cast: Many[Role] = many(inverse="movie")


class Person(Entity):
    id: Field[int] = field(identity=True)
    name: Field[str]
    seen: Field[int]
    roles: Many[Role] = many(inverse="person")


class Role(Entity):
    id: Field[int] = field(identity=True)
    name: Field[str]
    movie: One[Movie] = one()
    person: One[Person] = one()


SQL: Final = """
create table movie(id integer primary key, title text not null, year integer not null);
create index movie_year on movie(year);
create table person(id integer primary key, name text not null, seen integer not null);
create table role(id integer primary key, name text not null,
  movie_id integer not null references movie, person_id integer not null references person);
create index role_movie on role(movie_id);
create index role_person on role(person_id);
"""
PEOPLE: Final = 10_000


class Numbers:
    """Identities that nobody has used."""

    def __init__(self) -> None:
        self._next = 0
        self._lock = threading.Lock()

    def take(self, count: int = 1) -> int:
        """The first of `count` new ones."""
        with self._lock:
            self._next += count
            return self._next - count


@dataclass(slots=True)
class Ormdb:
    """Commits through ormdb."""

    db: Database
    numbers: Numbers = member(default_factory=Numbers)

    def insert(self) -> None:
        number = self.numbers.take()
        row = {"id": number, "title": f"title {number}", "year": number % 100}
        self.db.insert_rows(Movie, [row])

    def update(self) -> None:
        number = self.numbers.take() * 7919 % PEOPLE
        key = Person.key(number)
        assert self.db.update(key, Person.seen.to(number), where=Person.name != "nobody")

    def graph(self) -> None:
        number, first = self.numbers.take(), self.numbers.take(CAST)
        roles = [
            {"id": first + n, "name": f"role {n}", "movie_id": number, "person_id": n * 37 % PEOPLE}
            for n in range(CAST)
        ]
        with self.db.transaction() as txn:
            txn.insert_rows(Movie, [{"id": number, "title": f"title {number}", "year": 1999}])
            txn.insert_rows(Role, roles)


@dataclass(slots=True)
class Sqlite:
    """Commits by hand."""

    path: str
    numbers: Numbers = member(default_factory=Numbers)
    local: threading.local = member(default_factory=threading.local)

    @property
    def connection(self) -> sqlite3.Connection:
        """This thread's own."""
        if not hasattr(self.local, "connection"):
            made = sqlite3.connect(self.path, isolation_level=None, timeout=60)
            made.execute("pragma journal_mode=wal")
            made.execute("pragma synchronous=full")
            made.execute("pragma foreign_keys=on")
            self.local.connection = made
        connection: sqlite3.Connection = self.local.connection
        return connection

    def insert(self) -> None:
        number, run = self.numbers.take(), self.connection.execute
        run("begin immediate")
        run("insert into movie values(?, ?, ?)", (number, f"title {number}", number % 100))
        run("commit")

    def update(self) -> None:
        number, run = self.numbers.take() * 7919 % PEOPLE, self.connection.execute
        run("begin immediate")
        run("update person set seen = ? where id = ? and name <> 'nobody'", (number, number))
        run("commit")

    def graph(self) -> None:
        number, first = self.numbers.take(), self.numbers.take(CAST)
        run = self.connection.execute
        run("begin immediate")
        run("insert into movie values(?, ?, 1999)", (number, f"title {number}"))
        rows = [(first + n, f"role {n}", number, n * 37 % PEOPLE) for n in range(CAST)]
        self.connection.executemany("insert into role values(?, ?, ?, ?)", rows)
        run("commit")


@dataclass(slots=True)
class Lmdb:
    """The puts that ormdb makes, and nothing else: row, entries, log entry, head, history."""

    env: lmdb.Environment
    maps: list[lmdb._Database]
    numbers: Numbers = member(default_factory=Numbers)

    def _put(self, maps: int, each: int) -> None:
        first = self.numbers.take(each)
        with self.env.begin(write=True) as txn:
            for number in range(first, first + each):
                for place in self.maps[1:maps]:
                    txn.put((number * 7919 % 2**32).to_bytes(8, "big"), b"x" * 40, db=place)
            txn.put(first.to_bytes(12, "big"), b"x" * 60, db=self.maps[0])
            txn.put(b"head", first.to_bytes(60, "big"), db=self.maps[-1])

    def insert(self) -> None:
        self._put(3, 1)  # the row and its year

    def update(self) -> None:
        self._put(3, 1)  # the row and what it was

    def graph(self) -> None:
        self._put(4, CAST)  # rows, and two relations


def main() -> None:
    """Measure and show."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--folder", default=None, help="on the disk to be measured")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(dir=options.folder) as folder,
        ormdb.open(Path(folder) / "a.ormdb", schema=[Movie, Person, Role]) as db,
    ):
        own, by_hand, raw = Ormdb(db), Sqlite(f"{folder}/a.sqlite"), _lmdb(f"{folder}/a.lmdb")
        people = [{"id": n, "name": f"name {n}", "seen": 0} for n in range(PEOPLE)]
        db.bulk_load(Person, people)
        by_hand.connection.executescript(SQL)
        rows = [(n, f"name {n}", 0) for n in range(PEOPLE)]
        by_hand.connection.executemany("insert into person values(?, ?, ?)", rows)
        for what in ("insert", "update", "graph"):
            rates = alone([getattr(each, what) for each in (own, raw, by_hand)], options.rounds)
            show(f"one {what}", rates, ("raw LMDB", "sqlite3"))
        for count in THREADS:
            (rate, slowest), (theirs, _) = (
                in_threads(each.insert, count) for each in (own, by_hand)
            )
            fairness = f", slowest thread {100 * slowest:.0f} % of the mean"
            show(f"{count} threads", [rate, theirs], ("sqlite3",), fairness)
        for name, count in CONTENTION.items():
            contend(db, name, count)


def alone(runs: Sequence[Callable[[], None]], rounds: int) -> list[float]:
    """Commits per second of each, taking turns."""
    found: list[list[float]] = [[] for _ in runs]
    for number in range(rounds + 1):
        for run, rates in zip(runs, found, strict=True):
            began_s = time.perf_counter()
            for _ in range(COMMITS_EACH):
                run()
            if number:  # the first round warms up
                rates.append(COMMITS_EACH / (time.perf_counter() - began_s))
    return list(map(statistics.median, found))


def in_threads(run: Callable[[], None], count: int) -> tuple[float, float]:
    """Commits per second of so many threads, and those of the slowest beside their mean."""
    each = [0] * count
    stop = threading.Event()

    def work(number: int) -> None:
        while not stop.is_set():
            run()
            each[number] += 1

    threads = [threading.Thread(target=work, args=(number,)) for number in range(count)]
    began_s = time.perf_counter()
    for thread in threads:
        thread.start()
    stop.wait(THREAD_COMMITS / 160)
    stop.set()
    for thread in threads:
        thread.join()
    spent_s = time.perf_counter() - began_s
    return sum(each) / spent_s, min(each) * count / sum(each)


def contend(db: Database, name: str, rows: int) -> None:
    """Increments by reading and writing, in transactions that are run again."""
    attempts = [0] * CONTENDERS
    done = [0] * CONTENDERS
    slowest_s = [0.0] * CONTENDERS
    stop = threading.Event()

    def work(number: int) -> None:
        rng = random.Random(number)

        def increment(txn: Transaction) -> None:
            attempts[number] += 1
            key = Person.key(rng.randrange(rows))
            person = txn.get(key)
            assert person is not None
            txn.update(key, Person.seen.to(person.seen + 1))

        while not stop.is_set():
            began_s = time.perf_counter()
            db.run(increment)
            slowest_s[number] = max(slowest_s[number], time.perf_counter() - began_s)
            done[number] += 1

    threads = [threading.Thread(target=work, args=(number,)) for number in range(CONTENDERS)]
    for thread in threads:
        thread.start()
    stop.wait(CONTENDED_S)
    stop.set()
    for thread in threads:
        thread.join()
    conflicts = 1 - sum(done) / max(1, sum(attempts))
    print(
        f"{'contention, ' + name:32} goodput {sum(done) / CONTENDED_S:7,.0f} /s, "
        f"{100 * conflicts:.1f} % of attempts conflict, slowest {1e3 * max(slowest_s):.0f} ms",
        flush=True,
    )


def show(what: str, rates: Sequence[float], others: Sequence[str], more: str = "") -> None:
    """One line: our rate, and how it stands beside the others."""
    own, *theirs = rates
    beside = "".join(
        f"   {name} {rate:7,.0f} ({own / rate:.2f}×)"
        for name, rate in zip(others, theirs, strict=True)
    )
    print(f"{what:32} {own:7,.0f} /s{beside}{more}", flush=True)


def _lmdb(path: str) -> Lmdb:
    env = lmdb.open(path, map_size=2**36, max_dbs=10, lib_version=0)
    return Lmdb(env, [env.open_db(b"map %d" % number) for number in range(6)])


if __name__ == "__main__":
    main()
