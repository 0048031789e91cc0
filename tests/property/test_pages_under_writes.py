"""Holds that no page by cursor repeats or skips a row that was there throughout, whoever writes."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import pytest

import ormdb
from ormdb import Database, Query
from ormdb.ir.value import Value
from ormdb.query.order import Place
from tests import box as boxes
from tests.oracle import scribbler
from tests.oracle.compare import DifferenceError
from tests.oracle.paging import check_pages_under_writes
from tests.oracle.scribbler import Box, Shelf
from tests.oracle.stage import open_stage

WALKS_PER_STAGE: Final = 12
COMMITS_AWAITED: Final = 300
LIMIT: Final = 7
SIDES: Final = ("onwards", "back")

QUERIES: Final[tuple[Query[Box], ...]] = (
    Box.all(),
    Box.order_by(Box.weight),
    Box.order_by(Box.weight.desc()),
    Box.order_by(Box.label, Box.weight.desc()),
    Box.where(Box.weight > 10).order_by(Box.weight),
    Box.where(Box.shelf[Shelf.name] != "shelf 1").order_by(Box.shelf[Shelf.name]),
    Box.order_by(Box.weight).include(Box.shelf.include(Shelf.boxes.limit(2))),
)


@pytest.mark.soak(seconds=8, cases_min=1_000)
def test_pages_give_once_what_was_there_throughout(box: boxes.Box, tmp_path: Path) -> None:
    for seed in box.seeds():
        with open_stage(seed, tmp_path if seed % 2 else None, commits=1) as stage:
            for _ in range(WALKS_PER_STAGE):
                box.count(check_pages_under_writes(stage, stage.maker.query()))


def test_a_page_that_begins_behind_what_came_meanwhile_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def by_values_alone(self: Place, values: Sequence[Value], row_key: bytes) -> bool:
        return is_before(self, values, b"\xff" * 8 if tuple(values) != self.values else b"")

    is_before = Place.is_before
    monkeypatch.setattr(Place, "is_before", by_values_alone)
    with pytest.raises(DifferenceError):
        for seed in range(30):
            with open_stage(seed) as stage:
                for _ in range(WALKS_PER_STAGE):
                    check_pages_under_writes(stage, stage.maker.query())


@pytest.fixture(params=["memory", "file"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    path = ":memory:" if request.param == "memory" else str(tmp_path / "shelf.ormdb")
    with ormdb.open(path, schema=[Shelf, Box], durability="none") as opened:
        scribbler.fill(opened)
        yield opened


def test_pages_hold_while_another_thread_writes(database: Database) -> None:
    ended, commits = threading.Event(), list[int]()

    def write() -> None:
        commits.append(scribbler.scribble(database, until=ended.is_set, seed=2))

    first = database.version
    writer = threading.Thread(target=write)
    writer.start()
    try:
        while database.version < first + COMMITS_AWAITED and writer.is_alive():
            for query in QUERIES:
                walk_both_ways(database, query)
    finally:
        ended.set()
        writer.join()
    assert commits[0] >= COMMITS_AWAITED


def test_pages_hold_while_another_process_writes(tmp_path: Path) -> None:
    path = tmp_path / "shelf.ormdb"
    with ormdb.open(path, schema=[Shelf, Box], durability="none") as opened:
        scribbler.fill(opened)
        child = subprocess.Popen(
            [sys.executable, "-m", "tests.oracle.scribbler", str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert child.stdin is not None
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        first = opened.version
        while opened.version < first + COMMITS_AWAITED and child.poll() is None:
            for query in QUERIES:
                walk_both_ways(opened, query)
        told, _ = child.communicate()
        assert int(told) >= COMMITS_AWAITED


def walk_both_ways(database: Database, query: Query[Box]) -> None:
    """Every page of a query onwards, and back from the last: what stays comes once."""
    conditioned = query.ir.filter is not None
    expected = [each.id for each in database.fetch(query) if each.id % 2 == 0]
    assert conditioned or len(expected) == scribbler.BOXES
    found: list[int] = []
    after: str | None = None
    while True:
        page = database.fetch(query.limit(LIMIT).after(after))
        found.extend(each.id for each in page)
        if page.next_cursor is None:
            break
        after = page.next_cursor
    assert [number for number in found if number % 2 == 0] == expected
    back: list[int] = []
    before = after
    while before is not None:
        page = database.fetch(query.limit(LIMIT).before(before))
        back[:0] = [each.id for each in page]
        before = page.previous_cursor
    evens = [number for number in back if number % 2 == 0]
    assert evens == expected[: len(evens)]
    assert len(evens) >= len(expected) - 2 * LIMIT
