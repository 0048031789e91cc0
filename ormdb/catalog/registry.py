"""Bundles in the catalog space, version by version.

    catalog[version, 8 bytes]  ->  [format, version, hash, wall_us, note, marks, bundle] + CRC-32

    1   9f3c…   2013-01-01 05:00   "created"              marks entity 3, relation 2, index 1
    2   17ab…   2013-02-01 05:00   "+ field Flight.gate"  marks entity 3, relation 2, index 1

A version is written once and never changed.  The bundle is the canonical bytes of the numbered
node; the hash is that of the declaration, numbers aside; the marks say how far numbers were ever
given out, those of dropped entities and fields included.

Which version describes the rows is the head's to say; this space only keeps them.

Invariants (held by tests/unit/catalog/test_registry.py):
  1. What is loaded is what was stored, or a CorruptionError.
  2. Numbers given out by any earlier version are never given to anything else.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final
from typing import Literal as Choice
from zlib import crc32

import msgspec

from ormdb.catalog.assign import NumberMarks, assign_numbers, marks_after
from ormdb.catalog.declared import bundle_hash, normalize
from ormdb.catalog.diff import Change, diff_bundles, format_changes
from ormdb.errors import (
    CorruptionError,
    FormatError,
    NotFoundError,
    ProtocolError,
    SchemaChangeError,
)
from ormdb.ir.canonical import decode_node, encode_node
from ormdb.ir.schema import SchemaBundle
from ormdb.storage.engine import ReadTransaction, Space, WriteTransaction

FORMAT: Final = 1
_CATALOG: Final = Space("catalog")
_KEY_BYTES: Final = 8


class _Record(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    """One stored version."""

    format: int
    version: int
    hash: str
    wall_us: int
    note: str
    marks: tuple[int, int, int, list[tuple[int, int]]]  # entity, relation, index, slots by entity
    bundle: bytes


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Record).decode


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleRecord:
    """What is known of a stored version beside its bundle."""

    version: int
    hash: str
    wall_us: int
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciliation:
    """How a declared bundle relates to the stored one.

    new         nothing is stored yet
    equal       they are the same
    compatible  they differ, and a new version can be stored without touching a row
    """

    kind: Choice["new", "equal", "compatible"]
    changes: tuple[Change, ...] = ()


def reconcile(declared: SchemaBundle, stored: SchemaBundle | None) -> Reconciliation:
    """Decide what opening a database with a valid declared bundle means for the stored one.

    Raises:
      SchemaChangeError: they differ in a way that touches rows; `changes` has every difference.
    """
    if stored is None:
        return Reconciliation(kind="new")
    changes = diff_bundles(stored, normalize(declared))
    if not changes:
        return Reconciliation(kind="equal")
    heavy = [change for change in changes if change.touches_rows]
    if heavy:
        listed = "".join(f"\n  {line}" for line in format_changes(changes).split("\n"))
        raise SchemaChangeError(
            "the declared schema differs from the stored one in ways that touch rows, and opening "
            "a database never does; declare it as it is stored, or copy the rows into a new "
            f"database:{listed}",
            changes=tuple(map(str, changes)),
        )
    return Reconciliation(kind="compatible", changes=changes)


def newest_version(txn: ReadTransaction) -> int:
    """The newest stored version; 0 when there is none."""
    for batch in txn.scan(_CATALOG, reverse=True, limit=1):
        return int.from_bytes(batch[0][0], "big")
    return 0


def load_bundle(txn: ReadTransaction, version: int) -> SchemaBundle:
    """Return the numbered bundle of a version.

    Raises:
      NotFoundError: there is no such version.
      CorruptionError: what is stored is not what was written.
      FormatError: it was written by a newer ormdb.
    """
    data = txn.get_many(_CATALOG, (_key(version),))[0] if version > 0 else None
    if data is None:
        raise NotFoundError(
            f"there is no schema version {version}; the newest is {newest_version(txn)}",
            version=version,
        )
    return _bundle_of(_read(version, data))


def list_versions(txn: ReadTransaction) -> list[BundleRecord]:
    """Every stored version, oldest first.

    Raises:
      CorruptionError: what is stored is not what was written.
      FormatError: it was written by a newer ormdb.
    """
    records = [
        _read(int.from_bytes(key, "big"), data)
        for batch in txn.scan(_CATALOG)
        for key, data in batch
    ]
    return [
        BundleRecord(version=r.version, hash=r.hash, wall_us=r.wall_us, note=r.note)
        for r in records
    ]


def read_record(txn: ReadTransaction, version: int) -> tuple[bytes, int] | None:
    """The bytes of a stored version, and when it was stored; None if there is none.

    Raises:
      CorruptionError: what is stored is not what was written.
    """
    data = txn.get_many(_CATALOG, (_key(version),))[0]
    return None if data is None else (data, _read(version, data).wall_us)


def put_record(txn: WriteTransaction, version: int, data: bytes) -> None:
    """Store a version as it is stored elsewhere.

    Raises:
      CorruptionError: the bytes are not those of this version.
    """
    _bundle_of(_read(version, data))
    txn.put_many(_CATALOG, [(_key(version), data)])


def drop_record(txn: WriteTransaction, version: int) -> None:
    """Forget the newest version; the commit that stored it is being undone."""
    txn.delete_many(_CATALOG, [_key(version)])


def store_bundle(
    txn: WriteTransaction, bundle: SchemaBundle, *, wall_us: int, note: str
) -> SchemaBundle:
    """Store a valid bundle as the next version and return it as stored, with its numbers.

    Args:
      txn: the transaction of the commit that makes the bundle the one in force.
      bundle: numbers in it are ignored; those of the newest stored version are kept by name.
      wall_us: when, in microseconds since 1970-01-01 UTC.
      note: why, for people.
    """
    newest = newest_version(txn)
    stored, marks = None, NumberMarks()
    if newest:
        data = txn.get_many(_CATALOG, (_key(newest),))[0]
        assert data is not None, "a key that was scanned is there"
        record = _read(newest, data)
        stored, marks = _bundle_of(record), _marks_of(record)
    declared = normalize(bundle)
    numbered = replace(assign_numbers(declared, stored, marks), version=newest + 1)
    marks = marks_after(marks, numbered)
    record = _Record(
        format=FORMAT,
        version=numbered.version,
        hash=bundle_hash(numbered),
        wall_us=wall_us,
        note=note,
        marks=(marks.entity, marks.relation, marks.index, sorted(marks.slots.items())),
        bundle=encode_node(numbered),
    )
    body = _encode(record)
    sealed = body + crc32(body).to_bytes(4, "little")
    txn.put_many(_CATALOG, [(_key(numbered.version), sealed)])
    return numbered


def _key(version: int) -> bytes:
    return version.to_bytes(_KEY_BYTES, "big")


def _read(version: int, data: bytes) -> _Record:
    body, seal = data[:-4], data[-4:]
    if crc32(body).to_bytes(4, "little") != seal:
        raise _damaged(version, "fails its checksum")
    try:
        record = _decode(body)
    except msgspec.DecodeError as error:
        number = _format_of(body)
        if number is not None and number > FORMAT:
            raise _newer(version, number) from error
        raise _damaged(version, f"does not decode ({error})") from error
    if record.format > FORMAT:
        raise _newer(version, record.format)
    if record.version != version:
        raise _damaged(version, f"says that it is version {record.version}")
    return record


def _format_of(body: bytes) -> int | None:
    """The format number of a record whose other fields we may not know."""
    try:
        items = msgspec.msgpack.Decoder(list[msgspec.Raw]).decode(body)
        return msgspec.msgpack.Decoder(int).decode(items[0]) if items else None
    except msgspec.DecodeError:
        return None


def _bundle_of(record: _Record) -> SchemaBundle:
    try:
        bundle = decode_node(record.bundle)
    except ProtocolError as error:
        raise _damaged(record.version, f"holds no bundle ({error.message})") from error
    if not isinstance(bundle, SchemaBundle) or bundle.version != record.version:
        raise _damaged(record.version, "holds something else than its bundle")
    return bundle


def _marks_of(record: _Record) -> NumberMarks:
    entity, relation, index, slots = record.marks
    return NumberMarks(entity=entity, relation=relation, index=index, slots=dict(slots))


def _damaged(version: int, fact: str) -> CorruptionError:
    return CorruptionError(
        f"the catalog record of schema version {version} {fact}; restore a backup",
        version=version,
    )


def _newer(version: int, number: int) -> FormatError:
    return FormatError(
        f"schema version {version} is stored in catalog format {number}, this ormdb reads up to "
        f"{FORMAT}; open the database with a newer ormdb",
        format=number,
    )
