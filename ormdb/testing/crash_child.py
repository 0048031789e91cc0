"""The two processes of the crash explorer that may die: one writes, one looks at what is left.

    python -m ormdb.testing.crash_child run   tests.crash.shop:Shop  folder full 7
    python -m ormdb.testing.crash_child look  tests.crash.shop:Shop  folder

The first opens the database, runs the workload and announces every commit in a file of marks; after
each it also notes what the rows were, as one digest for each entity.  The second takes one line of
JSON for each state, opens it as any program would after a loss of power, and answers with what is
wrong with it.

Invariants (held by tests/unit/testing/test_crash_explorer.py):
  1. What is noted of a version is what a sound file gives for it, at once and later.
"""

from __future__ import annotations

import importlib
import json
import os
import random
import signal
import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final, Protocol, TypeAlias

from ormdb.database.database import Database
from ormdb.errors import OrmdbError
from ormdb.ir.graph import GraphQuery
from ormdb.ir.value import RowDict, Value
from ormdb.storage.engine import Durability
from ormdb.storage.views import Span

DATA: Final = "data.ormdb"
MARKS: Final = "marks"
TRUTH: Final = "truth.json"
LOOK_S_MAX: Final = 120  # a look that takes longer has met a loop
_PAST_LOOKS: Final = 1  # older versions compared in each state

Digests: TypeAlias = dict[str, str]  # of all rows, by entity
Problem: TypeAlias = tuple[str, str]  # its kind, and what it is in words


class CrashWorkload(Protocol):
    """What a program does to a database: a class without arguments, named `module:Class`."""

    def open(self, path: str, *, durability: Durability) -> Database:
        """Open the database, making it if it is not there."""
        ...

    def run(self, db: Database, journal: Journal, pick: random.Random) -> None:
        """Write, each commit in a block `with journal.commit()`."""
        ...

    def look(self, db: Database) -> None:
        """Raise AssertionError if what the database answers cannot be."""
        ...

    def go_on(self, db: Database) -> None:
        """Write something, as the program would after the crash."""
        ...


@dataclass(slots=True)
class Journal:
    """Announces commits, and notes what each made of the rows."""

    marks: int
    database: Database | None = None
    truth: dict[int, Digests] = field(default_factory=dict[int, Digests])

    @contextmanager
    def commit(self) -> Generator[None]:
        """A block that makes commits, and is done when they are promised to be kept."""
        os.write(self.marks, b"begin\n")
        yield
        assert self.database is not None
        version = self.database.version
        os.write(self.marks, b"ack %d\n" % version)
        for each in range(max(self.truth, default=version - 1) + 1, version + 1):
            self.truth[each] = digests(self.database, each)


def digests(db: Database, version: int) -> Digests:
    """One digest of the rows of each entity, as of a version."""
    found: Digests = {}
    with db.snapshot(as_of=version) as snapshot:
        view = snapshot.view()
        for name, entity in snapshot.layout.entities.items():
            digest = blake2b(digest_size=12)
            for keys, rows in view.scan_rows(entity, Span()):
                for key, row in zip(keys, rows, strict=True):
                    digest.update(b"%d %b%b" % (len(row), key, row))
            found[name] = digest.hexdigest()
    return found


def run(workload: CrashWorkload, folder: Path, durability: Durability, seed: int) -> None:
    """Run a workload from the making of its file to the closing."""
    journal = Journal(os.open(folder / MARKS, os.O_WRONLY | os.O_CREAT | os.O_APPEND))
    with journal.commit():
        journal.database = workload.open(str(folder / DATA), durability=durability)
    with journal.database as db:
        workload.run(db, journal, random.Random(seed))
    (folder / TRUTH).write_text(json.dumps(journal.truth), encoding="utf-8")


def look_at(
    workload: CrashWorkload, truth: dict[int, Digests], given: dict[str, Any]
) -> Iterator[Problem]:
    """Open one state, and say everything that is wrong with it."""
    acknowledged, begun = int(given["acknowledged"]), int(given["begun"])
    try:
        db = workload.open(given["path"], durability="full")
    except OrmdbError as error:
        if acknowledged:  # else nobody was promised that there is a database
            yield "refused", f"{error.code}: {error.message}"
        return
    with db:
        version = db.version
        if version < acknowledged:
            yield "lost", f"commit {acknowledged} was acknowledged, {version} is the newest"
        if version > acknowledged + begun:
            yield "ahead", f"commit {version} is there, and {acknowledged} + {begun} were begun"
        yield from _compare(db, truth, version)
        yield from _check(db)
        yield from _ask(workload, db)
        if given["goes_on"]:
            yield from _fold(db)
            workload.go_on(db)
            yield from _check(db)


def _compare(db: Database, truth: dict[int, Digests], version: int) -> Iterator[Problem]:
    horizon = db.statistics().horizon
    older = [each for each in truth if horizon <= each < version]
    for each in [version, *random.Random(version).sample(older, min(_PAST_LOOKS, len(older)))]:
        expected, found = truth.get(each), digests(db, each)
        if expected is None:
            yield "torn", f"there is a commit {each}, which nobody made"
        elif found != expected:
            names = [name for name in expected if found.get(name) != expected[name]]
            yield "torn", f"as of commit {each}, rows of {', '.join(names)} are not as they were"


def _check(db: Database) -> Iterator[Problem]:
    for problem in db.check(deep=True).problems[:3]:
        yield "damage", f"{problem.kind}: {problem.sentence}"


def _fold(db: Database) -> Iterator[Problem]:
    """The oldest rows that are kept, and every change since, have to give the rows of now."""
    horizon = db.statistics().horizon
    rows = _rows_of(db, horizon)
    for change in db.changes(since=horizon, images=True):
        key = change.entity, change.identity
        if rows.pop(key, None) != change.before:
            yield "damage", f"change {change.kind} of {key} by commit {change.version} met another"
        if change.after is not None:
            rows[key] = change.after
    if rows != _rows_of(db, db.version):
        yield "damage", f"the log from commit {horizon} on does not lead to the rows of now"


def _rows_of(db: Database, version: int) -> dict[tuple[str, tuple[Value, ...]], RowDict]:
    with db.snapshot(as_of=version) as snapshot:
        return {
            (entity.name, tuple(row[part] for part in entity.identity)): row
            for entity in snapshot.schema.entities
            for row in snapshot.run_fetch(GraphQuery(entity=entity.name)).dicts()
        }


def _ask(workload: CrashWorkload, db: Database) -> Iterator[Problem]:
    try:
        workload.look(db)
    except AssertionError as error:
        yield "wrong", str(error)


def look(workload: CrashWorkload, folder: Path) -> None:
    """Look at one state after the other, until there are no more.

    Whatever else than an error of ormdb comes out of one ends this process, which tells.
    """
    stored = json.loads((folder / TRUTH).read_text(encoding="utf-8"))
    truth: dict[int, Digests] = {int(version): of for version, of in stored.items()}
    for line in sys.stdin:
        signal.alarm(LOOK_S_MAX)
        problems: list[Problem] = []
        try:
            problems.extend(look_at(workload, truth, json.loads(line)))
        except OrmdbError as error:
            problems.append(("refused", f"{error.code}: {error.message}"))
        sys.stdout.write(json.dumps(problems) + "\n")
        sys.stdout.flush()


def load_workload(name: str) -> CrashWorkload:
    """Make the workload that is named `module:Class`."""
    module, _, attribute = name.partition(":")
    made: CrashWorkload = getattr(importlib.import_module(module), attribute)()
    return made


def main(given: list[str]) -> None:
    """What the explorer starts."""
    word, name, folder, *rest = given
    workload = load_workload(name)
    if word == "run":
        durability: Any = rest[0]
        run(workload, Path(folder), durability, int(rest[1]))
    else:
        look(workload, Path(folder))


if __name__ == "__main__":
    main(sys.argv[1:])
