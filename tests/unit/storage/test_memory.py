"""The engine in memory: what a commit costs, and what ends when."""

from __future__ import annotations

import gc
import weakref
from concurrent.futures import ThreadPoolExecutor

from ormdb.storage.memory import MemoryEngine
from ormdb.storage.sorted_blocks import BLOCK_ITEMS_MAX
from tests.unit.storage.children import INDEX, ROWS, key


def test_a_commit_copies_the_blocks_it_wrote_to_and_shares_the_others() -> None:
    engine = MemoryEngine()
    txn = engine.begin_write()
    txn.put_many(ROWS, [(key(n), b"") for n in range(50 * BLOCK_ITEMS_MAX)], append=True)
    txn.put_many(INDEX, [(key(n), key(n)) for n in range(1_000)])
    txn.commit()
    before = engine.published()
    txn = engine.begin_write()
    txn.put_many(ROWS, [(key(0), b"new"), (key(40 * BLOCK_ITEMS_MAX), b"new")])
    txn.commit()
    after = engine.published()
    blocks = zip(before[ROWS.name].blocks, after[ROWS.name].blocks, strict=True)
    assert sum(a is not b for a, b in blocks) == 2
    assert before[INDEX.name] is after[INDEX.name]


def test_what_only_an_ended_snapshot_could_see_is_freed() -> None:
    engine = MemoryEngine()
    txn = engine.begin_write()
    txn.put_many(ROWS, [(key(n), b"") for n in range(10)])
    txn.commit()
    snapshot = engine.begin_read()
    old = weakref.ref(engine.published()[ROWS.name])
    txn = engine.begin_write()
    txn.put_many(ROWS, [(key(1), b"new")])
    txn.commit()
    del txn
    gc.collect()
    assert old() is not None
    snapshot.close()
    del snapshot
    gc.collect()
    assert old() is None


def test_the_engine_counts_its_open_snapshots_and_commits() -> None:
    engine = MemoryEngine()
    snapshots = [engine.begin_read() for _ in range(3)]
    snapshots[0].close()
    snapshots[0].close()
    engine.begin_write().commit()
    engine.begin_write().abort()
    statistics = engine.statistics()
    assert statistics.readers == 2
    assert statistics.details["commits"] == 1
    assert "readers=2" in repr(engine)


def test_a_writer_that_waits_while_the_engine_is_closed_is_told_so() -> None:
    engine = MemoryEngine()
    txn = engine.begin_write()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(engine.begin_write)
        engine.close()
        txn.abort()
        assert "closed" in str(waiting.exception())


def test_it_has_no_file_and_may_be_written_to() -> None:
    engine = MemoryEngine()
    assert engine.path is None
    assert not engine.read_only
