"""The bytes are what docs/formats says: read here with msgpack and zlib alone."""

from __future__ import annotations

import datetime
import decimal
import importlib
import struct
import uuid
import zlib
from collections.abc import Iterator
from typing import Any

import pytest

import ormdb
from ormdb import Entity, Field, Many, One, field, many
from ormdb.storage.engine import ReadTransaction, Space

# It has no types; what it unpacks has none either.
MSGPACK: Any = importlib.import_module("msgpack")
BIAS = 1 << 63
RESIDUE = 0x2144DF1C
MOMENT = datetime.datetime(2013, 1, 1, 5, tzinfo=datetime.UTC)


class Port(Entity):
    code: Field[str] = field(identity=True)
    name: Field[str] = field(index=True)
    ships: Many[Ship] = many(inverse="home")


class Ship(Entity):
    id: Field[int] = field(identity=True)
    built: Field[datetime.date]
    paid: Field[decimal.Decimal] = field(precision=10, scale=2)
    tag: Field[uuid.UUID]
    seen: Field[datetime.datetime | None]
    home: One[Port]


@pytest.fixture
def txn() -> Iterator[ReadTransaction]:
    """A database of three commits: the schema, two rows and a row, an update and a delete."""
    with ormdb.open(":memory:", schema=[Port, Ship]) as db:
        with db.transaction() as first:
            first.insert(Port(code="BRE", name="Bremen"))
            first.insert(Port(code="OSL", name="Oslo"))
            first.insert(
                Ship(
                    id=-7,
                    built=datetime.date(1999, 12, 31),
                    paid=decimal.Decimal("1.5"),
                    tag=uuid.UUID(int=5),
                    seen=MOMENT,
                    home=Port.key("OSL"),
                )
            )
        with db.transaction() as second:
            second.update(Port.key("OSL"), Port.name.to("Kristiania"))
            second.delete(Port.key("BRE"))
        reading = db.engine.begin_read()
        yield reading
        reading.close()


def items(txn: ReadTransaction, name: str, duplicate_bytes: int = 0) -> list[tuple[bytes, bytes]]:
    return [item for batch in txn.scan(Space(name, duplicate_bytes)) for item in batch]


def unpack(data: bytes) -> Any:
    """A value, by another implementation than the one that wrote it."""
    return MSGPACK.unpackb(data, timestamp=3)


def body_of(data: bytes, key: bytes = b"") -> bytes:
    """What lies in front of the CRC-32, little-endian, of key and body; some need no key."""
    body, seal = data[:-4], data[-4:]
    assert zlib.crc32(key + body) == int.from_bytes(seal, "little")
    return body


def unsealed(data: bytes, key: bytes = b"") -> Any:
    """The MessagePack value in front of a seal."""
    return unpack(body_of(data, key))


def row_of(key: bytes, data: bytes) -> list[Any]:
    """The slots of a row whose checksum fits its key; its begin first."""
    number = int.from_bytes(key, "big") ^ BIAS
    seed = (number ^ (number >> 32)) & 0xFFFFFFFF
    assert zlib.crc32(data, seed) == RESIDUE
    slot_count, begin, *slots, checksum = unpack(data)
    assert slot_count == len(slots)
    assert checksum == int.from_bytes(data[-4:], "big")
    return [begin, *slots]


def number_key(number: int) -> bytes:
    return (number + BIAS).to_bytes(8, "big")


def name_key(text: str) -> bytes:
    """An ordinary text column: 01, the text, 00 00."""
    return b"\x01" + text.encode() + b"\x00\x00"


def test_the_head_says_where_the_database_stands(txn: ReadTransaction) -> None:
    (head,) = [data for key, data in items(txn, "meta") if key == b"head"]
    number, version, wall_us, schema_version, horizon, database_id = unsealed(head)
    assert (number, version, schema_version, horizon) == (1, 3, 1, 1)
    assert wall_us > 1_700_000_000_000_000
    assert len(database_id) == 16


def test_a_row_is_an_array_of_its_slots_under_its_own_number(txn: ReadTransaction) -> None:
    ((key, data),) = items(txn, "rows/2")
    assert key == number_key(-7)
    begin, *slots = row_of(key, data)
    assert begin == 2
    assert slots[:4] == [-7, "1999-12-31", "1.50", uuid.UUID(int=5).bytes]
    assert slots[4] == MOMENT
    assert "OSL" in slots  # the foreign key that the user gave
    assert slots[-1] == 2  # and, hidden, the number of the row that it leads to


def test_rows_without_an_int_identity_are_numbered_by_a_counter(txn: ReadTransaction) -> None:
    ((key, data),) = items(txn, "rows/1")
    assert key == number_key(2)
    assert row_of(key, data) == [3, "OSL", "Kristiania"]
    counters = [item for item in items(txn, "meta") if item[0].startswith(b"counter/")]
    assert [struct.unpack(">q", body_of(data, key)) for key, data in counters] == [(2,)]


def test_an_identity_and_an_index_lead_to_row_keys(txn: ReadTransaction) -> None:
    assert items(txn, "identity/1", 8) == [(b"OSL\x00\x00", number_key(2))]
    assert items(txn, "index/1", 8) == [(name_key("Kristiania"), number_key(2))]


def test_an_enforced_relation_leads_from_row_key_to_row_key(txn: ReadTransaction) -> None:
    assert items(txn, "relation/1", 8) == [(number_key(2), number_key(-7))]


def test_what_ended_lies_in_history_under_its_end(txn: ReadTransaction) -> None:
    end = (3).to_bytes(8, "big")
    history = items(txn, "history/1")
    assert [key for key, _ in history] == [number_key(1) + end, number_key(2) + end]
    assert [row_of(key[:8], body_of(data, key)) for key, data in history] == [
        [2, "BRE", "Bremen"],
        [2, "OSL", "Oslo"],
    ]
    assert items(txn, "index_history/1", 16) == [
        (name_key("Bremen"), end + number_key(1)),
        (name_key("Oslo"), end + number_key(2)),
    ]
    assert items(txn, "identity_history/1", 16) == [(b"BRE\x00\x00", end + number_key(1))]


def test_the_log_has_an_entry_for_every_commit(txn: ReadTransaction) -> None:
    entries = {
        struct.unpack(">QI", key): unsealed(data, key) for key, data in items(txn, "changes")
    }
    assert list(entries) == [(1, 0), (2, 0), (3, 0)]
    assert [changes for _, _, changes in entries.values()] == [
        [],
        [[1, 0, number_key(1) + number_key(2)], [2, 0, number_key(-7)]],
        [[1, 1, number_key(2)], [1, 2, number_key(1)]],
    ]
    assert {principal for _, principal, _ in entries.values()} == {"system"}
    times = [wall_us for wall_us, _, _ in entries.values()]
    assert times == sorted(times)


def test_the_catalog_keeps_the_schema_as_nodes(txn: ReadTransaction) -> None:
    ((key, data),) = items(txn, "catalog")
    number, version, digest, _, _, marks, bundle = unsealed(data)
    assert (key, number, version) == ((1).to_bytes(8, "big"), 1, 1)
    assert len(bytes.fromhex(digest)) == 32
    assert marks[:3] == [3, 2, 2]
    name, fields = unpack(bundle)
    assert name == "SchemaBundle"
    assert [entity[1]["name"] for entity in fields["entities"]] == ["Port", "Ship"]
