"""Holds that statistics come back as they were written, or read as not analyzed."""

from __future__ import annotations

from dataclasses import replace
from typing import NoReturn
from zlib import crc32

import msgspec
import pytest

from ormdb.errors import CorruptionError
from ormdb.storage.engine import WriteTransaction
from ormdb.storage.memory import MemoryEngine
from ormdb.storage.statistics import (
    NO_STATISTICS,
    STATISTICS,
    STATISTICS_FORMAT,
    EntityStatistics,
    FieldStatistics,
    KeptStatistics,
    PairStatistics,
    PrefixStatistics,
    Record,
    RelationStatistics,
    open_record,
    read_statistics,
    write_statistics,
)

ENTITY = EntityStatistics(
    format=STATISTICS_FORMAT,
    entity_id=3,
    version=41,
    wall_us=1_700_000_000_000_000,
    rows=300,
    looked_at=300,
    fields=(
        FieldStatistics(
            slot=2,
            kind="Text",
            null_fraction=0.25,
            distinct=9.0,
            common=(b"open\0\0",),
            fractions=(0.5,),
            bounds=(b"a\0\0", b"z\0\0"),
        ),
    ),
    pairs=(PairStatistics(slots=(1, 2), independence=0.5),),
    prefixes=(PrefixStatistics(slots=(2, 1), distinct=80.0),),
)
RELATION = RelationStatistics(
    format=STATISTICS_FORMAT,
    relation_id=3,
    version=41,
    wall_us=1_700_000_000_000_000,
    parents=10,
    children=300,
    linked=1.0,
    childless=0.5,
    mean=60.0,
    most=90,
    quantiles=(1, 30, 60, 70, 80, 90, 90),
)


def write(engine: MemoryEngine, *records: Record) -> int:
    txn = engine.begin_write()
    version = write_statistics(txn, records)
    txn.commit()
    return version


def test_nothing_was_analyzed_in_the_beginning() -> None:
    assert read_statistics(MemoryEngine().begin_read()) == NO_STATISTICS


def test_what_is_read_is_what_was_written_last() -> None:
    engine = MemoryEngine()
    assert write(engine, ENTITY, RELATION) == 1
    changed = msgspec.structs.replace(ENTITY, rows=301)
    assert write(engine, changed) == 2
    found = read_statistics(engine.begin_read())
    assert found.entities == {3: changed}
    assert found.relations == {3: RELATION}
    assert (found.version, found.unreadable) == (2, 0)
    assert RELATION.distinct_parents == 5.0


@pytest.mark.parametrize("record", [ENTITY, RELATION])
def test_a_record_with_any_bit_flipped_reads_as_not_analyzed(record: Record) -> None:
    engine = MemoryEngine()
    write(engine, record)
    key, data = next(i for b in engine.begin_read().scan(STATISTICS) for i in b if b"/" in i[0])
    assert open_record(key, data) == record
    for bit in range(8 * len(data)):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        assert open_record(key, bytes(damaged)) is None
    assert open_record(key[:-1] + b"4", data) is None


def test_a_record_of_a_newer_ormdb_reads_as_not_analyzed_and_is_counted() -> None:
    engine = MemoryEngine()
    write(engine, RELATION, msgspec.structs.replace(ENTITY, format=STATISTICS_FORMAT + 1))
    more = msgspec.msgpack.encode([STATISTICS_FORMAT, 4, "what nobody knows yet"])
    txn = engine.begin_write()
    txn.put_many(STATISTICS, [(b"entity/4", sealed(b"entity/4", more))])
    txn.commit()
    found = read_statistics(engine.begin_read())
    assert found == replace(NO_STATISTICS, version=1, relations={3: RELATION}, unreadable=2)


def test_what_is_kept_is_read_again_when_another_has_analyzed() -> None:
    engine, kept = MemoryEngine(), KeptStatistics()
    assert kept.version == 0
    assert kept.current(engine.begin_read()) == NO_STATISTICS
    write(engine, ENTITY)
    first = kept.current(engine.begin_read())
    assert first.entities == {3: ENTITY}
    assert kept.current(engine.begin_read()) is first
    assert kept.version == 1


def test_a_damaged_version_counts_as_none() -> None:
    engine = MemoryEngine()
    write(engine, ENTITY)
    txn: WriteTransaction = engine.begin_write()
    txn.put_many(STATISTICS, [(b"version", b"nonsense")])
    txn.commit()
    assert read_statistics(engine.begin_read()).entities == {3: ENTITY}
    assert write(engine, RELATION) == 1


def test_pages_of_statistics_that_are_damaged_keep_no_query_from_running(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    engine = MemoryEngine()
    write(engine, ENTITY)
    txn = engine.begin_read()

    def fail(*_asked: object, **_how: object) -> NoReturn:
        raise CorruptionError("a page is damaged")

    monkeypatch.setattr(txn, "scan", fail)
    monkeypatch.setattr(txn, "get_many", fail)
    assert read_statistics(txn) == replace(NO_STATISTICS, unreadable=1)
    assert KeptStatistics().current(txn).unreadable == 1


def sealed(key: bytes, body: bytes) -> bytes:
    return body + crc32(body, crc32(key)).to_bytes(4, "little")
