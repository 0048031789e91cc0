"""The head names the commit, moves on by one, and refuses what it does not understand."""

from __future__ import annotations

import dataclasses
from zlib import crc32

import msgspec
import pytest

from ormdb.errors import CorruptionError, FormatError
from ormdb.storage.head import (
    FORMAT,
    Head,
    read_counters,
    read_head,
    write_counters,
    write_head,
)
from ormdb.storage.layout import META
from ormdb.storage.memory import MemoryEngine
from tests.oracle.store import Store

HEAD = Head(version=7, wall_us=99, schema_version=2, horizon=3, database_id=b"i" * 16)


def put(data: bytes) -> MemoryEngine:
    """A store whose head record is these bytes."""
    engine = MemoryEngine()
    txn = engine.begin_write()
    txn.put_many(META, [(b"head", data)])
    txn.commit()
    return engine


def sealed(*items: object) -> bytes:
    body = msgspec.msgpack.encode(items)
    return body + crc32(body).to_bytes(4, "little")


def read(engine: MemoryEngine) -> Head | None:
    txn = engine.begin_read()
    try:
        return read_head(txn)
    finally:
        txn.close()


def test_a_head_comes_back_as_it_was_written() -> None:
    engine = MemoryEngine()
    assert read(engine) is None
    txn = engine.begin_write()
    write_head(txn, HEAD)
    assert read_head(txn) == HEAD
    txn.commit()
    assert read(engine) == HEAD


def test_every_flipped_bit_of_a_head_is_found() -> None:
    engine = MemoryEngine()
    txn = engine.begin_write()
    write_head(txn, HEAD)
    data = txn.get_many(META, [b"head"])[0]
    txn.abort()
    assert data is not None
    for bit in range(8 * len(data)):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(CorruptionError):
            read(put(bytes(damaged)))


@pytest.mark.parametrize(
    "items",
    [
        (FORMAT + 1, 7, 99, 2, 3, b"i" * 16),
        (FORMAT + 5, "other", {"fields": 1}),
        (FORMAT + 1,),
    ],
)
def test_a_newer_format_is_refused_by_its_number(items: tuple[object, ...]) -> None:
    with pytest.raises(FormatError) as caught:
        read(put(sealed(*items)))
    assert caught.value.format == items[0]
    assert "newer ormdb" in caught.value.message


@pytest.mark.parametrize("items", [(FORMAT, 7), ("one", 7), (FORMAT, "7", 99, 2, 3, b"i")])
def test_an_intact_head_of_other_fields_is_damage(items: tuple[object, ...]) -> None:
    with pytest.raises(CorruptionError):
        read(put(sealed(*items)))


@pytest.mark.parametrize("data", [b"", b"\0", b"abcd", b"\x96" * 40])
def test_bytes_that_are_no_head_are_damage(data: bytes) -> None:
    with pytest.raises(CorruptionError):
        read(put(data))


def test_commits_raise_the_version_by_one_and_never_turn_the_clock_back(store: Store) -> None:
    heads = [store.head]
    for seconds in (5, -100, 0, 3):
        store.clock.advance(seconds=seconds)
        store.insert("Member", {})
        heads.append(store.head)
    assert [head.version for head in heads] == [1, 2, 3, 4, 5]
    times = [head.wall_us for head in heads]
    assert times == sorted(times)
    assert all(head.horizon <= head.version for head in heads)
    assert {head.database_id for head in heads} == {heads[0].database_id}


def test_a_refused_commit_leaves_the_head(store: Store) -> None:
    before = store.head
    with pytest.raises(Exception, match="few_points"):
        store.insert("Member", {"points": 5_000})
    assert store.head == before
    assert dataclasses.replace(before, version=before.version + 1) != before


def test_counters_begin_at_zero_and_keep_what_was_written() -> None:
    engine = MemoryEngine()
    txn = engine.begin_write()
    assert read_counters(txn, ["row/1", "row/2"]) == [0, 0]
    write_counters(txn, {"row/2": 2**62, "row/1": -3})
    assert read_counters(txn, ["row/2", "row/1", "row/3"]) == [2**62, -3, 0]
    txn.abort()
