"""Both engines against plain dicts of sorted lists: no sequence of calls tells them apart."""

from __future__ import annotations

import tempfile
from bisect import bisect_left
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,  # pyright: ignore[reportUnknownVariableType]
)

from ormdb.storage.engine import Engine, Item, ReadTransaction, Space, WriteTransaction
from ormdb.storage.lmdb import LmdbEngine
from ormdb.storage.memory import MemoryEngine

ROWS = Space("rows/1")
INDEX = Space("relation/1", 8)
WIDE = Space("relation_history/1", 16)
SPACES = (ROWS, INDEX, WIDE)
SNAPSHOTS_MAX = 5

Bounds = tuple[bytes, bytes | None]
Model = dict[str, list[Item]]

numbers = st.integers(0, 30)
ids = numbers.map(lambda n: n.to_bytes(8, "big"))
keys = (
    ids | st.sampled_from([b"\0", b"\0" * 9, b"k", b"\xff" * 9]) | st.binary(min_size=1, max_size=3)
)
values = st.binary(max_size=20) | st.integers(0, 9_000).map(bytes)
bounds_of_scans = st.tuples(keys | st.just(b""), keys | st.none())
limits_of_reads = st.none() | st.integers(0, 7)
many_keys = st.lists(keys, max_size=40)


@st.composite
def spaces_and_items(draw: st.DrawFn) -> tuple[Space, list[Item]]:
    space = draw(st.sampled_from(SPACES))
    duplicates = {0: values, 8: ids, 16: st.tuples(ids, ids).map(b"".join)}
    items = st.lists(st.tuples(keys, duplicates[space.duplicate_bytes]), min_size=1, max_size=60)
    return space, draw(items)


@dataclass
class Opened:
    """A snapshot of every engine, and what the model was when it began."""

    reads: list[ReadTransaction]
    model: Model


@dataclass
class Level:
    """One level of open write transactions of every engine, and the model as they see it."""

    txns: list[WriteTransaction]
    model: Model


def items_of(model: Model, space: Space) -> list[Item]:
    return model.get(space.name, [])


def put(model: Model, space: Space, items: list[Item]) -> None:
    kept = model.setdefault(space.name, [])
    for item in items:
        at = bisect_left(kept, item if space.duplicate_bytes else (item[0], b""))
        if at < len(kept) and kept[at][0] == item[0] and not space.duplicate_bytes:
            kept[at] = item
        elif at == len(kept) or kept[at] != item:
            kept.insert(at, item)


def scanned(
    items: list[Item], bounds: Bounds, after: Item | None, width: int, *, reverse: bool
) -> list[Item]:
    low, high = bounds
    kept = [item for item in items if low <= item[0] and (high is None or item[0] < high)]
    if after is not None:
        parts = 2 if width else 1
        place = after[:parts]
        kept = [i for i in kept if (i[:parts] < place if reverse else i[:parts] > place)]
    return kept[::-1] if reverse else kept


class Engines(RuleBasedStateMachine):
    """The same calls on every engine and on the model."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "data.ormdb"
        self.memory = MemoryEngine()
        self.lmdb = self.open_lmdb()
        self.model: Model = {}
        self.writing: list[Level] = []  # outermost first
        self.opened: list[Opened] = []

    def open_lmdb(self) -> LmdbEngine:
        # A map this small has to grow while snapshots come and go.
        return LmdbEngine.open(self.path, durability="none", map_bytes=2**20, quiesce_wait_s=0.01)

    def teardown(self) -> None:
        for engine in self.engines:
            engine.close()
        self.folder.cleanup()

    @property
    def engines(self) -> list[Engine]:
        return [self.memory, self.lmdb]

    @initialize(items=st.lists(st.tuples(ids, ids), max_size=300))
    def load(self, items: list[Item]) -> None:
        for engine in self.engines:
            txn = engine.begin_write()
            txn.put_many(INDEX, sorted(set(items)), append=True)
            txn.commit()
        put(self.model, INDEX, items)

    # --- writing ----------------------------------------------------------------------------

    @precondition(lambda self: not self.writing)
    @rule()
    def begin(self) -> None:
        txns = [engine.begin_write() for engine in self.engines]
        self.writing.append(Level(list(txns), deepcopy(self.model)))

    @precondition(lambda self: 0 < len(self.writing) < 4)
    @rule()
    def begin_nested(self) -> None:
        level = self.writing[-1]
        nested = [txn.nested() for txn in level.txns]
        self.writing.append(Level(nested, deepcopy(level.model)))

    @precondition(lambda self: self.writing)
    @rule()
    def commit(self) -> None:
        level = self.writing.pop()
        for txn in level.txns:
            txn.commit()
        if self.writing:
            self.writing[-1].model = level.model
        else:
            self.model = level.model

    @precondition(lambda self: self.writing)
    @rule(depth=st.integers(0, 3))
    def abort(self, depth: int) -> None:
        depth = min(depth, len(self.writing) - 1)
        for txn in self.writing[depth].txns:
            txn.abort()
        del self.writing[depth:]

    @precondition(lambda self: self.writing)
    @rule(given=spaces_and_items())
    def put(self, given: tuple[Space, list[Item]]) -> None:
        space, items = given
        txns, model = self.writing[-1].txns, self.writing[-1].model
        for txn in txns:
            txn.put_many(space, iter(items))
        put(model, space, items)

    @precondition(lambda self: self.writing)
    @rule(given=spaces_and_items())
    def append(self, given: tuple[Space, list[Item]]) -> None:
        space, items = given
        txns, model = self.writing[-1].txns, self.writing[-1].model
        last = max(items_of(model, space), default=(b"", b""))[0]
        beyond = {(last + b"\1" + key)[:500]: value for key, value in items}
        for txn in txns:
            txn.put_many(space, sorted(beyond.items()), append=True)
        put(model, space, sorted(beyond.items()))

    @precondition(lambda self: self.writing)
    @rule(space=st.sampled_from(SPACES), gone=many_keys)
    def delete_keys(self, space: Space, gone: list[bytes]) -> None:
        txns, model = self.writing[-1].txns, self.writing[-1].model
        present = {item[0] for item in items_of(model, space)}
        for txn in txns:
            assert txn.delete_many(space, gone) == len(present & set(gone))
        model[space.name] = [i for i in items_of(model, space) if i[0] not in gone]

    @precondition(lambda self: self.writing)
    @rule(given=spaces_and_items().filter(lambda each: each[0].duplicate_bytes), part=numbers)
    def delete_items(self, given: tuple[Space, list[Item]], part: int) -> None:
        space, items = given
        txns, model = self.writing[-1].txns, self.writing[-1].model
        gone = set(items) | set(items_of(model, space)[part :: part + 2])
        expected = len(gone & set(items_of(model, space)))
        for txn in txns:
            assert txn.delete_items(space, sorted(gone)) == expected
        model[space.name] = [i for i in items_of(model, space) if i not in gone]

    @precondition(lambda self: self.writing)
    @rule(space=st.sampled_from(SPACES))
    def drop(self, space: Space) -> None:
        txns, model = self.writing[-1].txns, self.writing[-1].model
        for txn in txns:
            txn.drop_space(space)
        model.pop(space.name, None)

    # --- snapshots --------------------------------------------------------------------------

    @precondition(lambda self: len(self.opened) < SNAPSHOTS_MAX)
    @rule()
    def begin_snapshot(self) -> None:
        reads = [engine.begin_read() for engine in self.engines]
        self.opened.append(Opened(list(reads), deepcopy(self.model)))

    @precondition(lambda self: self.opened)
    @rule(which=st.integers(0, SNAPSHOTS_MAX))
    def end_snapshot(self, which: int) -> None:
        for txn in self.opened.pop(which % len(self.opened)).reads:
            txn.close()

    @rule()
    def reopen(self) -> None:
        self.writing.clear()
        self.opened.clear()
        self.lmdb.close()
        self.lmdb = self.open_lmdb()
        # What memory holds cannot be opened again, but its transactions can be ended alike.
        kept = self.memory
        self.memory = MemoryEngine()
        read = kept.begin_read()
        txn = self.memory.begin_write()
        for space in SPACES:
            for items in read.scan(space):
                txn.put_many(space, items, append=True)
        txn.commit()
        kept.close()

    # --- reading ----------------------------------------------------------------------------

    def check(
        self, read: Callable[[ReadTransaction], object], want: Callable[[Model], object]
    ) -> None:
        """Every open transaction answers as its model does."""
        for opened in self.opened:
            for txn in opened.reads:
                assert read(txn) == want(opened.model)
        if self.writing:
            txns, model = self.writing[-1].txns, self.writing[-1].model
            for txn in txns:
                assert read(txn) == want(model)

    @rule(asked=many_keys)
    def get_many(self, asked: list[bytes]) -> None:
        self.check(
            lambda txn: txn.get_many(ROWS, asked),
            lambda model: [dict(items_of(model, ROWS)).get(key) for key in asked],
        )

    @rule(space=st.sampled_from([INDEX, WIDE]), asked=many_keys, limit=limits_of_reads)
    def many(self, space: Space, asked: list[bytes], limit: int | None) -> None:
        def joined(model: Model) -> list[bytes]:
            items = items_of(model, space)
            return [b"".join([v for k, v in items if k == key][:limit]) for key in asked]

        self.check(lambda txn: txn.many(space, asked, limit_each=limit), joined)
        self.check(
            lambda txn: txn.count_many(space, asked),
            lambda model: [sum(k == key for k, _ in items_of(model, space)) for key in asked],
        )

    @rule(asked=st.lists(ids, max_size=40), each=limits_of_reads, most=limits_of_reads)
    def read_related(self, asked: list[bytes], each: int | None, most: int | None) -> None:
        def related(model: Model) -> tuple[list[bytes], list[bytes | None]]:
            items, rows = items_of(model, INDEX), dict(items_of(model, ROWS))
            found: list[list[bytes]] = []
            for key in asked:
                left = None if most is None else most - sum(map(len, found))
                found.append([v for k, v in items if k == key][:each][:left])
            return [b"".join(ids) for ids in found], [rows.get(v) for ids in found for v in ids]

        self.check(
            lambda txn: txn.read_related(INDEX, ROWS, asked, limit_each=each, limit_all=most),
            related,
        )

    @rule(
        space=st.sampled_from(SPACES),
        bounds=bounds_of_scans,
        after=st.none() | st.tuples(keys, ids),
        limit=limits_of_reads,
        batch=st.none() | st.integers(1, 5),
        reverse=st.booleans(),
    )
    def scan(
        self,
        space: Space,
        bounds: Bounds,
        after: Item | None,
        *,
        limit: int | None,
        batch: int | None,
        reverse: bool,
    ) -> None:
        def read(txn: ReadTransaction) -> list[Item]:
            batches = txn.scan(
                space, *bounds, reverse=reverse, limit=limit, after=after, batch=batch
            )
            return [item for items in batches for item in items]

        width = space.duplicate_bytes
        self.check(
            read,
            lambda model: scanned(items_of(model, space), bounds, after, width, reverse=reverse)[
                :limit
            ],
        )

    @rule(
        space=st.sampled_from(SPACES),
        ranges=st.lists(bounds_of_scans, max_size=6),
        limit=limits_of_reads,
        reverse=st.booleans(),
    )
    def scan_many(
        self, space: Space, ranges: list[Bounds], *, limit: int | None, reverse: bool
    ) -> None:
        width = space.duplicate_bytes
        self.check(
            lambda txn: txn.scan_many(space, ranges, reverse=reverse, limit_each=limit),
            lambda model: [
                scanned(items_of(model, space), each, None, width, reverse=reverse)[:limit]
                for each in ranges
            ],
        )

    @rule(bounds=bounds_of_scans, limit=limits_of_reads, reverse=st.booleans())
    def scan_rows(self, bounds: Bounds, *, limit: int | None, reverse: bool) -> None:
        def read(txn: ReadTransaction) -> list[tuple[Item, bytes | None]]:
            batches = txn.scan_rows(INDEX, ROWS, *bounds, reverse=reverse, limit=limit, batch=2)
            return [pair for items, rows in batches for pair in zip(items, rows, strict=True)]

        def wanted(model: Model) -> list[tuple[Item, bytes | None]]:
            items, rows = items_of(model, INDEX), dict(items_of(model, ROWS))
            kept = scanned(items, bounds, None, 8, reverse=reverse)[:limit]
            return [(item, rows.get(item[1])) for item in kept]

        self.check(read, wanted)

    @invariant()
    def everything_is_as_in_the_model(self) -> None:
        self.check(
            lambda txn: txn.space_names(),
            lambda model: sorted(name for name, items in model.items() if items),
        )
        for space in SPACES:
            self.check(
                lambda txn, space=space: (  # type: ignore[misc]
                    [item for items in txn.scan(space) for item in items],
                    txn.statistics(space).entries,
                ),
                lambda model, space=space: (  # type: ignore[misc]
                    items_of(model, space),
                    len(items_of(model, space)),
                ),
            )


def test_no_sequence_of_calls_tells_the_engines_from_the_model() -> None:
    run_state_machine_as_test(
        Engines, settings=settings(max_examples=60, stateful_step_count=40, deadline=None)
    )
