"""A write transaction is aborted at once, by letting go of it, and surely, whoever names it."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import lmdb
import pytest

from ormdb.errors import StorageFullError
from ormdb.storage.engine import Space
from ormdb.storage.lmdb import LmdbEngine
from ormdb.storage.lmdb.aborting import abort_held
from tests.unit.storage.children import ROWS, key

LARGE = b"x" * 4_096


@pytest.mark.timeout(60)  # with an abort that waits for readers this takes minutes, or for ever
def test_writers_abort_while_two_threads_read_without_a_pause(tmp_path: Path) -> None:
    engine = LmdbEngine.open(tmp_path / "data.ormdb", durability="none", map_bytes=2**20)
    first = engine.begin_write()
    first.put_many(ROWS, [(key(number), LARGE) for number in range(50)])
    first.commit()
    stop, begun = threading.Event(), threading.Barrier(3)

    def read() -> int:
        begun.wait()
        snapshot, rounds = engine.begin_read(), 0
        while not rounds or not stop.is_set():
            assert sum(map(len, snapshot.scan(ROWS))) == 50
            rounds += 1
        snapshot.close()
        return rounds

    with ThreadPoolExecutor(2) as pool:
        readers = [pool.submit(read) for _ in range(2)]
        try:
            begun.wait()
            for number in range(100):
                given_up = engine.begin_write()
                given_up.put_many(ROWS, [(key(number), b"")])
                nested = given_up.nested()
                nested.put_many(Space("rows/2"), [(key(number), b"")])
                given_up.abort()
            refused = engine.begin_write()
            with pytest.raises(StorageFullError):
                refused.put_many(ROWS, [(key(99), LARGE * 1_000)])
        finally:
            stop.set()
        assert all(reader.result() for reader in readers)
    last = engine.begin_read()
    assert sum(map(len, last.scan(ROWS))) == 50
    assert last.get_many(ROWS, [key(0)]) == [LARGE]
    last.close()
    engine.close()


def test_a_transaction_with_another_name_is_aborted_all_the_same(tmp_path: Path) -> None:
    environment: lmdb.Environment = lmdb.open(str(tmp_path), sync=False)
    named = environment.begin(write=True)
    named.put(b"k", b"v")
    abort_held([named])
    with environment.begin(write=True) as next_one:  # so the lock of writers is free
        assert next_one.get(b"k") is None
    with pytest.raises(lmdb.Error):
        named.put(b"k", b"v")
    environment.close()


def test_names_in_the_frames_of_a_failure_do_not_keep_a_transaction_open(tmp_path: Path) -> None:
    environment: lmdb.Environment = lmdb.open(str(tmp_path), sync=False)

    def fail(held: list[lmdb.Transaction[bytes]]) -> None:
        raw = held[0]
        raw.put(b"k" * 600, b"v")

    held = [environment.begin(write=True)]
    with pytest.raises(lmdb.Error) as caught:
        fail(held)
    abort_held(held, caught.value)
    below = caught.tb.tb_next
    assert below is not None
    assert below.tb_frame.f_code is fail.__code__
    assert not below.tb_frame.f_locals  # its names are gone, and what they named with them
    assert not held
    environment.close()
