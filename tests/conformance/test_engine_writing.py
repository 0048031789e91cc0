"""Writing, by every sentence of the engine contract: commits, aborts, nesting, threads, copies."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from ormdb.errors import BusyError, ClosedError, ThreadError, UsageError
from ormdb.storage.engine import Item, Space
from tests.conformance.engines import (
    INDEX,
    NUMBERS,
    RELATED,
    ROWS,
    Place,
    every_read,
    every_write,
    everything,
    key,
    open_place,
)

# --- 3. writing -----------------------------------------------------------------------------


def test_a_transaction_sees_its_own_writes_and_others_only_after_the_commit(place: Place) -> None:
    txn = place.engine.begin_write()
    txn.put_many(ROWS, NUMBERS)
    txn.put_many(INDEX, RELATED)
    txn.delete_many(ROWS, [key(0)])
    assert everything(txn, ROWS) == NUMBERS[1:]
    assert txn.many(INDEX, [key(0)]) == [b"".join(map(key, range(7)))]
    assert txn.read_related(INDEX, ROWS, [key(0)])[1] == [None, *(v for _, v in NUMBERS[1:7])]
    assert txn.space_names() == ["index/1", "rows/1"]
    other = place.engine.begin_read()
    assert everything(other, ROWS) == []
    txn.commit()
    assert everything(other, ROWS) == []
    other.close()
    assert place.items(ROWS) == NUMBERS[1:]


def test_nobody_sees_the_writes_of_an_aborted_transaction(place: Place) -> None:
    place.put(ROWS, NUMBERS)
    txn = place.engine.begin_write()
    txn.drop_space(ROWS)
    txn.put_many(INDEX, RELATED)
    txn.put_many(ROWS, [(b"k", b"v")])
    txn.abort()
    txn.abort()
    assert place.items(ROWS) == NUMBERS
    with place.reading() as after:
        assert after.space_names() == ["rows/1"]
    place.put(INDEX, RELATED)
    assert place.items(INDEX) == RELATED


def test_a_put_overwrites_in_a_map_and_adds_once_in_a_multimap(place: Place) -> None:
    place.put(ROWS, [(b"k", b"1"), (b"k", b"22"), (b"l", b"")])
    place.put(ROWS, [(b"k", b"333")])
    place.put(INDEX, [(b"k", key(1)), (b"k", key(2)), (b"k", key(1))])
    place.put(INDEX, [(b"k", key(2))])
    assert place.items(ROWS) == [(b"k", b"333"), (b"l", b"")]
    assert place.items(INDEX) == [(b"k", key(1)), (b"k", key(2))]


def test_large_values_come_back_whole(place: Place) -> None:
    values = [bytes([n]) * size for n, size in enumerate((0, 1, 2_000, 5_000, 300_000))]
    place.put(ROWS, [(key(n), value) for n, value in enumerate(values)])
    with place.reading() as txn:
        assert txn.get_many(ROWS, [key(n) for n in range(5)]) == values


def test_deletes_say_how_many_were_there(place: Place) -> None:
    place.put(ROWS, NUMBERS)
    place.put(INDEX, RELATED)
    with place.writing() as txn:
        assert txn.delete_many(ROWS, [key(1), key(1), key(700), key(2), b"", b"x" * 600]) == 2
        assert txn.delete_many(INDEX, [key(5), key(700)]) == 1
        items = [(key(0), key(3)), (key(0), key(3)), (key(0), key(99)), (key(88), key(1))]
        assert txn.delete_items(INDEX, items) == 1
        assert txn.delete_many(Space("rows/none"), [b"k"]) == 0
        assert txn.delete_items(Space("index/none", 8), [(b"k", key(1))]) == 0
    assert place.items(ROWS) == [item for item in NUMBERS if item[0] not in {key(1), key(2)}]
    gone = {(key(0), key(3)), *[(key(5), key(n)) for n in range(35, 42)]}
    assert place.items(INDEX) == [item for item in RELATED if item not in gone]


def test_items_put_may_be_read_from_the_same_transaction_meanwhile(place: Place) -> None:
    place.put(ROWS, [(key(n), key(n)) for n in range(3_000)])
    copy = Space("rows/2")
    with place.writing() as txn:
        txn.put_many(copy, (item for batch in txn.scan(ROWS) for item in batch))
        txn.delete_many(copy, (item[0] for item in next(txn.scan(copy, batch=5))))
    assert place.items(copy) == place.items(ROWS)[5:]


def test_appended_items_are_stored_like_any_other(place: Place) -> None:
    with place.writing() as txn:
        for start in (0, 100, 200):
            txn.put_many(ROWS, NUMBERS[start : start + 100], append=True)
            txn.put_many(INDEX, RELATED[start : start + 100], append=True)
        txn.put_many(ROWS, [], append=True)
    assert place.items(ROWS) == NUMBERS
    assert place.items(INDEX) == RELATED


@pytest.mark.parametrize(
    ("space", "items"),
    [
        (ROWS, [(key(5), b"")]),
        (ROWS, [(key(9), b"")]),
        (ROWS, [(key(20), b""), (key(19), b"")]),
        (ROWS, [(key(20), b"a"), (key(20), b"b")]),
        (INDEX, [(key(9), key(8))]),
        (INDEX, [(key(9), key(9))]),
        (INDEX, [(key(20), key(2)), (key(20), key(2))]),
        (INDEX, [(key(20), key(2)), (key(20), key(1))]),
    ],
)
def test_a_broken_promise_of_order_is_refused(
    place: Place, space: Space, items: list[Item]
) -> None:
    place.put(space, [(key(n), key(n)) for n in range(10)])
    txn = place.engine.begin_write()
    with pytest.raises(UsageError, match="without append"):
        txn.put_many(space, items, append=True)
    txn.abort()
    assert len(place.items(space)) == 10


def test_what_cannot_be_stored_is_refused_before_anything_of_its_chunk_is_put(
    place: Place,
) -> None:
    wrong: list[tuple[Space, Item]] = [
        (ROWS, (b"", b"v")),
        (ROWS, (b"k" * 512, b"v")),
        (INDEX, (b"", key(1))),
        (INDEX, (b"k", b"")),
        (INDEX, (b"k", b"seven b")),
        (INDEX, (b"k", b"x" * 16)),
    ]
    with place.writing() as txn:
        for space, item in wrong:
            with pytest.raises(UsageError, match="bytes"):
                txn.put_many(space, [(b"fine", key(1)), item])
        with pytest.raises(UsageError, match="bytes"):
            txn.delete_items(INDEX, [(b"k", b"")])
        txn.put_many(ROWS, [(b"k" * 511, b"v")])
    assert place.items(ROWS) == [(b"k" * 511, b"v")]
    assert place.items(INDEX) == []


# --- nested transactions --------------------------------------------------------------------


def test_a_nested_transaction_aborts_alone(place: Place) -> None:
    with place.writing() as txn:
        txn.put_many(ROWS, NUMBERS[:10])
        inner = txn.nested()
        inner.put_many(ROWS, [(key(3), b"changed"), (b"new", b"")])
        inner.put_many(INDEX, RELATED)
        inner.drop_space(ROWS)
        assert everything(inner, ROWS) == []
        inner.abort()
        assert everything(txn, ROWS) == NUMBERS[:10]
        assert txn.many(INDEX, [key(0)]) == [b""]
        txn.put_many(INDEX, RELATED[:1])
    assert place.items(ROWS) == NUMBERS[:10]
    assert place.items(INDEX) == RELATED[:1]


def test_a_nested_transaction_commits_into_its_parent_only(place: Place) -> None:
    txn = place.engine.begin_write()
    txn.put_many(ROWS, NUMBERS[:10])
    inner = txn.nested()
    innermost = inner.nested()
    innermost.put_many(INDEX, RELATED)
    innermost.commit()
    inner.delete_many(ROWS, [key(0)])
    inner.commit()
    assert everything(txn, ROWS) == NUMBERS[1:10]
    assert everything(txn, INDEX) == RELATED
    outside = place.engine.begin_read()
    assert outside.space_names() == []
    outside.close()
    inner = txn.nested()
    inner.put_many(ROWS, NUMBERS[10:])
    inner.commit()
    txn.commit()
    assert place.items(ROWS) == NUMBERS[1:]
    assert place.items(INDEX) == RELATED


def test_what_a_nested_transaction_committed_dies_with_its_parent(place: Place) -> None:
    place.put(ROWS, NUMBERS[:10])
    txn = place.engine.begin_write()
    inner = txn.nested()
    inner.put_many(ROWS, NUMBERS)
    inner.put_many(INDEX, RELATED)
    inner.commit()
    txn.abort()
    assert place.items(ROWS) == NUMBERS[:10]
    assert place.items(INDEX) == []


def test_a_parent_rests_while_a_nested_transaction_is_open(place: Place) -> None:
    txn = place.engine.begin_write()
    inner = txn.nested()
    for use in (*every_read(txn), *every_write(txn), txn.nested, txn.commit):
        with pytest.raises(UsageError, match="rests"):
            use()
    inner.put_many(ROWS, NUMBERS)
    txn.abort()
    with pytest.raises(ClosedError):
        inner.get_many(ROWS, [key(1)])
    inner.abort()
    assert place.items(ROWS) == []


# --- ends, threads, waiting -----------------------------------------------------------------


def test_a_transaction_that_has_ended_refuses_everything_but_its_end(place: Place) -> None:
    place.put(ROWS, NUMBERS)
    for end in ("commit", "abort"):
        txn = place.engine.begin_write()
        getattr(txn, end)()
        for use in (*every_read(txn), *every_write(txn), txn.nested, txn.commit):
            with pytest.raises(ClosedError, match="begin a new one"):
                use()
        txn.abort()
        txn.close()


def test_closing_a_write_transaction_aborts_it(place: Place) -> None:
    txn = place.engine.begin_write()
    txn.put_many(ROWS, NUMBERS)
    txn.close()
    assert place.items(ROWS) == []


def test_a_write_transaction_belongs_to_its_thread(place: Place) -> None:
    with place.writing() as txn, ThreadPoolExecutor(1) as pool:
        for use in (*every_read(txn), *every_write(txn), txn.nested, txn.commit, txn.abort):
            with pytest.raises(ThreadError, match="thread"):
                pool.submit(use).result()
        txn.put_many(ROWS, NUMBERS)
    assert place.items(ROWS) == NUMBERS


def test_a_second_writer_of_one_thread_is_refused_at_once(place: Place) -> None:
    with place.writing() as txn:
        with pytest.raises(UsageError, match="nested"):
            place.engine.begin_write()
        txn.put_many(ROWS, NUMBERS)
    assert place.items(ROWS) == NUMBERS


def test_a_writer_waits_for_the_one_before_and_gives_up_in_time(place: Place) -> None:
    txn = place.engine.begin_write()
    with ThreadPoolExecutor(1) as pool:
        with pytest.raises(BusyError, match="try again"):
            pool.submit(place.engine.begin_write).result()
        txn.commit()
        pool.submit(place.put, ROWS, NUMBERS).result()
    assert place.items(ROWS) == NUMBERS


def test_readers_begin_while_a_writer_is_open(place: Place) -> None:
    place.put(ROWS, NUMBERS)
    txn = place.engine.begin_write()
    txn.delete_many(ROWS, [key(0)])
    with ThreadPoolExecutor(1) as pool:

        def count() -> int:
            read = place.engine.begin_read()
            try:
                return read.statistics(ROWS).entries
            finally:
                read.close()

        assert pool.submit(count).result() == 300
        assert count() == 300
    txn.abort()


def test_threads_that_read_and_write_at_once_see_whole_commits_only(place: Place) -> None:
    pair = [Space("rows/a"), Space("rows/b")]
    stop = threading.Event()

    def read() -> int:
        seen = 0
        while not stop.is_set() or not seen:
            txn = place.engine.begin_read()
            left, right = (txn.get_many(space, [b"k"]) for space in pair)
            assert left == right
            txn.close()
            seen += 1
        return seen

    with ThreadPoolExecutor(2) as pool:
        readers = [pool.submit(read) for _ in range(2)]
        for number in range(100):
            with place.writing() as txn:
                for space in pair:
                    txn.put_many(space, [(b"k", key(number))])
        stop.set()
        assert all(reader.result() for reader in readers)


def test_a_closed_engine_refuses_everything_and_ends_its_transactions(place: Place) -> None:
    place.put(ROWS, NUMBERS)
    engine = place.engine
    read, write = engine.begin_read(), engine.begin_write()
    scan = read.scan(ROWS, batch=1)
    next(scan)
    engine.close()
    engine.close()
    uses = [*every_read(read), *every_read(write), *every_write(write), write.commit]
    uses += [engine.begin_read, engine.begin_write, engine.sync, engine.statistics]
    uses += [partial(next, scan), partial(engine.copy_to, "x", compact=True)]
    for use in uses:
        with pytest.raises(ClosedError, match=r"closed|ended|aborted"):
            use()
    read.close()
    write.abort()


# --- copies ---------------------------------------------------------------------------------


@pytest.mark.parametrize("compact", [False, True])
def test_a_copy_holds_what_was_committed(place: Place, tmp_path: Path, *, compact: bool) -> None:
    place.put(ROWS, NUMBERS)
    place.put(INDEX, RELATED)
    place.put(Space("rows/gone"), NUMBERS)
    with place.writing() as txn:
        txn.drop_space(Space("rows/gone"))
    place.engine.sync()
    target = tmp_path / "copy.ormdb"
    place.engine.copy_to(str(target), compact=compact)
    with pytest.raises(UsageError, match="exists"):
        place.engine.copy_to(str(target), compact=compact)
    copy = open_place("lmdb", tmp_path / "copy")
    try:
        copy.use(target)
        assert copy.items(ROWS) == NUMBERS
        assert copy.items(INDEX) == RELATED
        copy.put(ROWS, [(b"more", b"")])
    finally:
        copy.engine.close()
    assert place.items(ROWS) == NUMBERS
