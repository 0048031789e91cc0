"""Holds bundles in a store: version by version, as written or not at all."""

from __future__ import annotations

from zlib import crc32

import msgspec
import pytest

from ormdb.catalog.declared import bundle_hash, normalize
from ormdb.catalog.registry import (
    BundleRecord,
    list_versions,
    load_bundle,
    newest_version,
    reconcile,
    store_bundle,
)
from ormdb.catalog.text import bundle_from_text
from ormdb.errors import CorruptionError, FormatError, NotFoundError, SchemaChangeError
from ormdb.ir.schema import SchemaBundle
from ormdb.storage.engine import Space
from ormdb.storage.memory import MemoryEngine

CATALOG = Space("catalog")
AIRPORT = "ormdb schema 1\nentity Airport\n  identity faa\n  faa: text\n  name: text\n"
KEY = (1).to_bytes(8, "big")


def bundle(text: str = AIRPORT) -> SchemaBundle:
    return bundle_from_text(text)


def stored(engine: MemoryEngine, text: str = AIRPORT, *, wall_us: int = 5) -> SchemaBundle:
    txn = engine.begin_write()
    found = store_bundle(txn, bundle(text), wall_us=wall_us, note="why")
    txn.commit()
    return found


def raw(engine: MemoryEngine) -> bytes:
    data = engine.begin_read().get_many(CATALOG, [KEY])[0]
    assert data is not None
    return data


def put(engine: MemoryEngine, data: bytes, version: int = 1) -> None:
    txn = engine.begin_write()
    txn.put_many(CATALOG, [(version.to_bytes(8, "big"), data)])
    txn.commit()


def sealed(body: bytes) -> bytes:
    return body + crc32(body).to_bytes(4, "little")


def test_a_store_without_bundles_has_version_zero() -> None:
    reader = MemoryEngine().begin_read()
    assert newest_version(reader) == 0
    assert list_versions(reader) == []
    for version in (0, 1, -1):
        with pytest.raises(NotFoundError, match="the newest is 0"):
            load_bundle(reader, version)


def test_every_version_stays_as_it_was_stored() -> None:
    engine = MemoryEngine()
    first = stored(engine)
    second = stored(engine, AIRPORT + "  alt: int?\n", wall_us=9)
    reader = engine.begin_read()
    assert (first.version, second.version, newest_version(reader)) == (1, 2, 2)
    assert load_bundle(reader, 1) == first
    assert load_bundle(reader, 2) == second
    assert list_versions(reader) == [
        BundleRecord(version=1, hash=bundle_hash(bundle()), wall_us=5, note="why"),
        BundleRecord(version=2, hash=bundle_hash(second), wall_us=9, note="why"),
    ]


def test_a_transaction_that_aborts_stores_nothing() -> None:
    engine = MemoryEngine()
    txn = engine.begin_write()
    store_bundle(txn, bundle(), wall_us=5, note="")
    assert newest_version(txn) == 1
    txn.abort()
    assert newest_version(engine.begin_read()) == 0


def test_what_is_stored_is_normalized() -> None:
    text = AIRPORT + "  alt: float = 5\n"
    assert stored(MemoryEngine(), text).entities[0].fields[2].default == (
        normalize(bundle(text)).entities[0].fields[2].default
    )


def test_numbers_of_dropped_things_are_remembered_across_versions() -> None:
    engine = MemoryEngine()
    plane = "entity Plane\n  identity id\n  id: int\n"
    stored(engine, AIRPORT + "  alt: int?\n" + plane)
    stored(engine, AIRPORT)
    third = stored(engine, AIRPORT + "  tz: text?\n" + plane)
    assert [field.slot for field in third.entities[0].fields] == [0, 1, 3]
    assert [entity.id for entity in third.entities] == [1, 3]


def test_every_damaged_byte_is_noticed() -> None:
    engine = MemoryEngine()
    stored(engine)
    written = raw(engine)
    for at in range(len(written)):
        damaged = bytearray(written)
        damaged[at] ^= 0x40
        put(engine, bytes(damaged))
        with pytest.raises(CorruptionError, match="restore a backup"):
            load_bundle(engine.begin_read(), 1)
    for length in (0, 3, 4, len(written) - 1):
        put(engine, written[:length])
        with pytest.raises(CorruptionError):
            list_versions(engine.begin_read())


def test_a_record_under_another_version_is_noticed() -> None:
    engine = MemoryEngine()
    stored(engine)
    put(engine, raw(engine), version=7)
    with pytest.raises(CorruptionError, match="says that it is version 1"):
        load_bundle(engine.begin_read(), 7)


def test_a_record_with_a_right_checksum_and_wrong_content_is_noticed() -> None:
    engine = MemoryEngine()
    stored(engine)
    items = msgspec.msgpack.decode(raw(engine)[:-4])
    for wrong in ([*items[:6], b"\xc0"], [*items[:6], items[6] + b"\0"], items[:6], [1, 2], "x"):
        put(engine, sealed(msgspec.msgpack.encode(wrong)))
        with pytest.raises(CorruptionError):
            load_bundle(engine.begin_read(), 1)


def test_a_record_of_a_newer_format_is_told_from_a_damaged_one() -> None:
    engine = MemoryEngine()
    for newer in ([2, "anything", {"at": "all"}], [2]):
        put(engine, sealed(msgspec.msgpack.encode(newer)))
        with pytest.raises(FormatError, match="open the database with a newer ormdb"):
            load_bundle(engine.begin_read(), 1)
    stored(engine := MemoryEngine())
    items = msgspec.msgpack.decode(raw(engine)[:-4])
    put(engine, sealed(msgspec.msgpack.encode([9, *items[1:]])))
    with pytest.raises(FormatError, match="catalog format 9"):
        load_bundle(engine.begin_read(), 1)


def test_declaring_anew_what_is_stored_is_equal() -> None:
    engine = MemoryEngine()
    assert reconcile(bundle(), None).kind == "new"
    text = AIRPORT + "  alt: float = 5\n  code: text?\n"
    newest = stored(engine, text)
    assert reconcile(bundle(text), newest).kind == "equal"


def test_a_literal_default_that_became_a_fill_stays_equal_afterwards() -> None:
    engine = MemoryEngine()
    grown = AIRPORT + "  tz: text = 'UTC'\n"
    first = stored(engine)
    assert reconcile(bundle(grown), first).kind == "compatible"
    second = stored(engine, grown)
    assert second.entities[0].fields[2].fill == "UTC"
    assert reconcile(bundle(grown), second).kind == "equal"
    changed = reconcile(bundle(grown.replace("UTC", "CET")), second)
    assert changed.kind == "compatible"
    assert stored(engine, grown.replace("UTC", "CET")).entities[0].fields[2].fill == "UTC"


def test_a_change_that_touches_no_row_is_compatible_and_says_what_it_is() -> None:
    found = reconcile(bundle(AIRPORT + "  alt: int?\n"), stored(MemoryEngine()))
    assert found.kind == "compatible"
    assert list(map(str, found.changes)) == ["+ field Airport.alt: int?"]


def test_a_change_that_touches_rows_is_refused_with_the_diff() -> None:
    text = AIRPORT.replace("  name: text\n", "  name: bytes\n  alt: int?\n")
    with pytest.raises(SchemaChangeError) as caught:
        reconcile(bundle(text), stored(MemoryEngine()))
    assert caught.value.message.endswith(
        ":\n  + field Airport.alt: int?\n  these touch rows:\n"
        "  ~ type of Airport.name: text -> bytes"
    )
    assert caught.value.details["changes"] == (
        "~ type of Airport.name: text -> bytes",
        "+ field Airport.alt: int?",
    )
