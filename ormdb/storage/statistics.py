"""What is known of the rows, as it is kept in the store.

    statistics["entity/3"]     EntityStatistics     commit 41, 300,000 rows, 30,000 looked at
                                 field slot 5       1 % NULL, 8 distinct, "open" 25 %, bounds …
    statistics["relation/2"]   RelationStatistics   1,000 parents, 20,000 children, none without
    statistics["version"]      7                    one more with every analysis

Statistics are a guess that was true once: a plan may be slow for them and is never wrong.  So they
stand outside of the commits: writing them makes no version, and whatever is missing, damaged or of
a format that this ormdb does not know reads as not analyzed.  Entities, fields and relations go by
their numbers, so they keep theirs when they are renamed, and what was dropped is asked for by
nobody.  Values are kept as keys (`histogram`), in the order of their type.

Invariants (held by tests/unit/storage/test_statistics.py):
  1. What is read is what was written last, or nothing.
  2. A record with any bit flipped, or of another format, reads as not analyzed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias
from zlib import crc32

import msgspec

from ormdb.errors import CorruptionError
from ormdb.storage.engine import Item, ReadTransaction, Space, WriteTransaction

STATISTICS: Final = Space("statistics")
STATISTICS_FORMAT: Final = 1
QUANTILES: Final = (0.0, 0.25, 0.5, 0.75, 0.9, 0.99, 1.0)
_VERSION_KEY: Final = b"version"
_SEAL_BYTES: Final = 4


class FieldStatistics(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One field.  Fractions are of all rows; `distinct` counts values that are not NULL.

    `common` are the keys of frequent values and `fractions` theirs; `bounds` cut what is neither
    common nor NULL into parts of equally many rows.  `kind` says how the keys were made.
    """

    slot: int
    kind: str
    null_fraction: float
    distinct: float
    common: tuple[bytes, ...] = ()
    fractions: tuple[float, ...] = ()
    bounds: tuple[bytes, ...] = ()


class PairStatistics(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """How far two fields go their own ways: 1.0 independent, 0.0 one decides the other."""

    slots: tuple[int, int]
    independence: float


class PrefixStatistics(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """How many different values the first columns of an index have together, NULL among them."""

    slots: tuple[int, ...]
    distinct: float


class EntityStatistics(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The rows of one entity, as of commit `version`; `looked_at` of them were read."""

    format: int
    entity_id: int
    version: int
    wall_us: int
    rows: int
    looked_at: int
    fields: tuple[FieldStatistics, ...] = ()
    pairs: tuple[PairStatistics, ...] = ()
    prefixes: tuple[PrefixStatistics, ...] = ()


class RelationStatistics(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One relation, from parents to children.

    `children` have a foreign key, and `linked` of them one that leads to a parent.  `childless`
    is the fraction of parents without any; `mean`, `most` and `quantiles` (at QUANTILES) count the
    children of a parent that has some.
    """

    format: int
    relation_id: int
    version: int
    wall_us: int
    parents: int
    children: int
    linked: float
    childless: float
    mean: float
    most: int
    quantiles: tuple[int, ...]

    @property
    def distinct_parents(self) -> float:
        """How many parents have children."""
        return self.parents * (1.0 - self.childless)


Record: TypeAlias = EntityStatistics | RelationStatistics


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    """All that is known, by the numbers of entities and relations; `unreadable` counts records
    that are damaged or of another format."""

    version: int = 0
    entities: Mapping[int, EntityStatistics] = field(default_factory=dict[int, EntityStatistics])
    relations: Mapping[int, RelationStatistics] = field(
        default_factory=dict[int, RelationStatistics]
    )
    unreadable: int = 0


NO_STATISTICS: Final = Statistics()

_encode = msgspec.msgpack.Encoder().encode
_entity = msgspec.msgpack.Decoder(EntityStatistics).decode
_relation = msgspec.msgpack.Decoder(RelationStatistics).decode


def read_statistics(txn: ReadTransaction) -> Statistics:
    """All records that can be read."""
    entities: dict[int, EntityStatistics] = {}
    relations: dict[int, RelationStatistics] = {}
    version = unreadable = 0
    try:
        for batch in txn.scan(STATISTICS):
            for key, data in batch:
                if key == _VERSION_KEY:
                    version = _open_version(data)
                    continue
                record = open_record(key, data)
                if isinstance(record, EntityStatistics):
                    entities[record.entity_id] = record
                elif record is not None:
                    relations[record.relation_id] = record
                else:
                    unreadable += 1
    except CorruptionError:
        # Their own pages are damaged, which a check tells; no query needs them to be right.
        unreadable += 1
    return Statistics(
        version=version, entities=entities, relations=relations, unreadable=unreadable
    )


def write_statistics(txn: WriteTransaction, records: Iterable[Record]) -> int:
    """Put records in place of those before, as the next version, which is returned."""
    version = read_version(txn) + 1
    items: list[Item] = []
    for record in records:
        key = _key_of(record)
        body = _encode(record)
        items.append((key, body + _seal(key, body)))
    body = version.to_bytes(8, "big")
    items.append((_VERSION_KEY, body + _seal(_VERSION_KEY, body)))
    txn.put_many(STATISTICS, sorted(items))
    return version


def read_version(txn: ReadTransaction) -> int:
    """The version of the newest analysis; 0 before the first."""
    try:
        data = txn.get_many(STATISTICS, (_VERSION_KEY,))[0]
    except CorruptionError:
        return 0  # as in `read_statistics`
    return 0 if data is None else _open_version(data)


def open_record(key: bytes, data: bytes) -> Record | None:
    """One record; None if it is damaged or of a format that this ormdb does not know."""
    if not is_sealed(key, data):
        return None
    body = data[:-_SEAL_BYTES]
    try:
        record: Record = _entity(body) if key.startswith(b"entity/") else _relation(body)
    except msgspec.DecodeError:
        return None
    return record if record.format == STATISTICS_FORMAT and _key_of(record) == key else None


def is_sealed(key: bytes, data: bytes) -> bool:
    """Whether a record is what was written under its key."""
    return _seal(key, data[:-_SEAL_BYTES]) == data[-_SEAL_BYTES:]


class KeptStatistics:
    """The statistics of one open database: read when first asked for, and again when another
    process has analyzed; then `on_new` is told.  May be used by several threads."""

    def __init__(self, on_new: Callable[[], None] = lambda: None) -> None:
        self._lock = threading.Lock()
        self._kept: Statistics | None = None
        self._on_new = on_new

    @property
    def known(self) -> Statistics:
        """What is known here, without looking; nothing as long as nobody has asked."""
        return self._kept or NO_STATISTICS

    @property
    def version(self) -> int:
        """The version known here, without looking; 0 as long as nobody has asked."""
        kept = self._kept
        return 0 if kept is None else kept.version

    def current(self, txn: ReadTransaction) -> Statistics:
        """What a snapshot sees; one read when nothing is new."""
        with self._lock:
            kept = self._kept
            if kept is not None and read_version(txn) == kept.version:
                return kept
            found = self._kept = read_statistics(txn)
        self._on_new()
        return found


def _key_of(record: Record) -> bytes:
    if isinstance(record, EntityStatistics):
        return b"entity/%d" % record.entity_id
    return b"relation/%d" % record.relation_id


def _open_version(data: bytes) -> int:
    """A damaged version counts as none: the next analysis writes it anew."""
    if not is_sealed(_VERSION_KEY, data):
        return 0
    return int.from_bytes(data[:-_SEAL_BYTES], "big")


def _seal(key: bytes, body: bytes) -> bytes:
    return crc32(body, crc32(key)).to_bytes(_SEAL_BYTES, "little")
