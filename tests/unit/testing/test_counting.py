"""The counting engine counts calls and keys, and answers as the engine inside."""

from __future__ import annotations

from ormdb.storage.engine import Space
from ormdb.storage.memory import MemoryEngine
from ormdb.testing.counting import Count, CountingEngine

ROWS = Space("rows/1")
INDEX = Space("index/1", 8)


def key(number: int) -> bytes:
    return number.to_bytes(8, "big")


def loaded() -> CountingEngine:
    engine = CountingEngine(MemoryEngine())
    txn = engine.begin_write()
    txn.put_many(ROWS, [(key(n), b"row") for n in range(100)])
    txn.put_many(INDEX, ((key(n // 10), key(n)) for n in range(100)), append=True)
    txn.commit()
    return engine


def test_writes_are_counted_by_call_and_by_item() -> None:
    engine = loaded()
    txn = engine.begin_write()
    inner = txn.nested()
    inner.delete_many(ROWS, [key(1), key(2), key(999)])
    inner.delete_items(INDEX, [(key(0), key(1))])
    inner.drop_space(INDEX)
    inner.abort()
    txn.commit()
    by_method = engine.counts.by_method
    assert by_method["put_many"] == Count(calls=2, keys=200)
    assert by_method["delete_many"] == Count(calls=1, keys=3)
    assert by_method["delete_items"] == Count(calls=1, keys=1)
    assert by_method["begin_write"] == Count(calls=2)
    assert by_method["commit"] == Count(calls=2)
    assert {"nested", "drop_space", "abort"} <= set(by_method)


def test_reads_are_counted_by_what_they_ask_for_and_find() -> None:
    engine = loaded()
    engine.reset()
    txn = engine.begin_read()
    txn.get_many(ROWS, [key(1), key(2), key(999)])
    txn.many(INDEX, [key(1), key(77)])
    txn.count_many(INDEX, [key(1)])
    txn.scan_many(INDEX, [(key(1), key(2)), (key(50), None)])
    txn.read_related(INDEX, ROWS, [key(1), key(2)], limit_each=3)
    txn.statistics(ROWS)
    txn.space_names()
    txn.close()
    assert engine.counts.by_method == {
        "begin_read": Count(calls=1),
        "get_many": Count(calls=1, keys=3),
        "many": Count(calls=1, keys=2 + 10),
        "count_many": Count(calls=1, keys=1),
        "scan_many": Count(calls=1, keys=2 + 10),
        "read_related": Count(calls=1, keys=2 + 6 + 6),
        "statistics": Count(calls=1),
        "space_names": Count(calls=1),
    }
    assert engine.counts.calls == 8
    assert engine.counts.keys == 42


def test_a_scan_is_one_call_whose_items_count_as_they_come() -> None:
    engine = loaded()
    engine.reset()
    txn = engine.begin_read()
    scan = txn.scan(ROWS, batch=4)
    assert engine.counts.by_method["scan"] == Count(calls=1)
    next(scan)
    assert engine.counts.by_method["scan"] == Count(calls=1, keys=4)
    assert sum(map(len, scan)) == 96
    assert engine.counts.by_method["scan"] == Count(calls=1, keys=100)
    assert len(list(txn.scan_rows(INDEX, ROWS, limit=30, batch=10))) == 2
    assert engine.counts.by_method["scan_rows"] == Count(calls=1, keys=60)


def test_counts_that_were_taken_stay_as_they_are() -> None:
    engine = loaded()
    before = engine.counts
    engine.begin_read().close()
    assert before.calls + 1 == engine.counts.calls
    assert "begin_read" not in before.by_method
    engine.reset()
    assert engine.counts.calls == engine.counts.keys == 0
    assert before.calls == 4
