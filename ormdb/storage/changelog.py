"""The change log: which rows each commit touched, when, and on whose behalf.

    changes[version, chunk]  ->  [wall_us, principal, [[entity, op, row keys joined], ...]]
                                 and the CRC-32 of key and value

There are no images in it.  What a row was before a commit is in its history, what it became is
in its row or in its next history entry, so one retention horizon serves the log and the history.
Keys that follow each other without a gap, as in a bulk load, are kept as their two ends.

Invariants (held by tests/unit/storage/test_changelog.py):
  1. Every commit has chunk 0, also one that touched no row, so versions in the log have no gaps.
  2. A row appears once per commit, with what happened to it between the commit before and this.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final, overload
from zlib import crc32

import msgspec

from ormdb.errors import CorruptionError
from ormdb.storage.engine import Item, ReadTransaction, WriteTransaction
from ormdb.storage.layout import CHANGES, ROW_KEY_BYTES

KEYS_PER_CHUNK: Final = 65_536
_CHUNKS_AT_ONCE: Final = 16  # read by `read_chunks`: 8 MiB of keys at most


class Op(IntEnum):
    """What a commit did to a row.  Part of the file format."""

    INSERT = 0
    UPDATE = 1
    DELETE = 2
    INSERT_RANGE = 3  # first and last key of a run without gaps


@dataclass(frozen=True, slots=True, kw_only=True)
class RowChanges:
    """The rows of one entity that one commit treated alike."""

    entity_id: int
    op: Op
    row_keys: Sequence[bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class LogEntry:
    """One commit as the log tells it."""

    version: int
    wall_us: int
    principal: str
    changes: tuple[RowChanges, ...]


@dataclass(slots=True)
class ChangeSet:
    """Gathers the changes of one transaction, netting what happens to one row."""

    ops: dict[int, dict[bytes, Op]] = field(default_factory=dict[int, dict[bytes, Op]])
    is_upkeep: bool = False  # whether something was written that is about no row that is read

    def record(self, entity_id: int, op: Op, row_keys: Iterable[bytes]) -> None:
        """Note that the rows were inserted, updated or deleted, in this order of events."""
        ops = self.ops.setdefault(entity_id, {})
        if op is Op.INSERT and not ops:
            ops.update(dict.fromkeys(row_keys, op))
            return
        for key in row_keys:
            before = ops.get(key)
            if before is None:
                ops[key] = op
            elif op is Op.DELETE and before is Op.INSERT:
                del ops[key]
            elif op is Op.DELETE:
                ops[key] = op
            elif op is Op.INSERT:  # deleted before: another row under the same identity
                ops[key] = Op.UPDATE

    def add(self, later: ChangeSet) -> None:
        """Note what was done after all that is noted here."""
        self.is_upkeep = self.is_upkeep or later.is_upkeep
        for entity_id, ops in later.ops.items():
            if not self.ops.get(entity_id):
                self.ops[entity_id] = ops
                continue
            for key, op in ops.items():
                self.record(entity_id, op, (key,))

    def is_empty(self) -> bool:
        """Whether nothing was touched in the end."""
        return not (self.is_upkeep or any(self.ops.values()))

    def counted(self) -> dict[int, int]:
        """How many rows of each entity were touched."""
        return {entity_id: len(ops) for entity_id, ops in self.ops.items()}

    def grouped(self) -> Iterator[tuple[int, Op, list[bytes]]]:
        """The changes by entity and kind, keys sorted."""
        for entity_id, ops in sorted(self.ops.items()):
            by_op: dict[Op, list[bytes]] = {}
            for key, op in ops.items():
                by_op.setdefault(op, []).append(key)
            for op, keys in sorted(by_op.items()):
                keys.sort()
                yield entity_id, op, keys


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(tuple[int, str, list[tuple[int, int, bytes]]]).decode


def log_key(version: int, chunk: int = 0) -> bytes:
    """The key of one chunk of one commit's entry."""
    return version.to_bytes(8, "big") + chunk.to_bytes(4, "big")


def append_entry(
    txn: WriteTransaction, changes: ChangeSet, *, version: int, wall_us: int, principal: str
) -> None:
    """Write the entry of the commit that `txn` is about to make."""
    chunks: list[list[tuple[int, int, bytes]]] = [[]]
    room = KEYS_PER_CHUNK
    for entity_id, op, keys in changes.grouped():
        for kind, part in _parts(op, keys):
            if room < len(part) and chunks[-1]:
                chunks.append([])
                room = KEYS_PER_CHUNK
            chunks[-1].append((entity_id, int(kind), b"".join(part)))
            room -= len(part)
    items: list[Item] = []
    for number, chunk in enumerate(chunks):
        body = _encode((wall_us, principal, chunk))
        key = log_key(version, number)
        items.append((key, body + _seal(key, body)))
    txn.put_many(CHANGES, items, append=True)


def read_entries(
    txn: ReadTransaction, first: int, last: int, *, limit: int | None = None
) -> Iterator[LogEntry]:
    """The entries of commits `first` to `last`, in order, at most `limit` of them."""
    pending: LogEntry | None = None
    given = 0
    for batch in txn.scan(CHANGES, log_key(first), log_key(last + 1)):
        for key, data in batch:
            version = int.from_bytes(key[:8], "big")
            wall_us, principal, changes = _decode_chunk(key, data)
            if pending is not None and pending.version == version:
                pending = LogEntry(
                    version=version,
                    wall_us=wall_us,
                    principal=principal,
                    changes=pending.changes + changes,
                )
                continue
            if pending is not None:
                yield pending
                given += 1
                if given == limit:
                    return
            pending = LogEntry(
                version=version, wall_us=wall_us, principal=principal, changes=changes
            )
    if pending is not None:
        yield pending


@dataclass(frozen=True, slots=True)
class LogChunk:
    """A part of one commit's entry, and the bytes that it was read from."""

    number: int
    entry: LogEntry
    data: bytes


def read_chunks(txn: ReadTransaction, first: int, last: int) -> Iterator[LogChunk]:
    """The entries of commits `first` to `last` part by part, so that none is held as a whole."""
    after: Item | None = None
    while True:
        batches = txn.scan(
            CHANGES, log_key(first), log_key(last + 1), after=after, limit=_CHUNKS_AT_ONCE
        )
        items = [item for batch in batches for item in batch]
        for key, data in items:
            version, number = int.from_bytes(key[:8], "big"), int.from_bytes(key[8:], "big")
            yield open_chunk(version, number, data)
        if len(items) < _CHUNKS_AT_ONCE:
            return
        after = items[-1]


def open_chunk(version: int, number: int, data: bytes) -> LogChunk:
    """A part of an entry from its bytes.

    Raises:
      CorruptionError: they are not those of this part of this commit's entry.
    """
    wall_us, principal, changes = _decode_chunk(log_key(version, number), data)
    entry = LogEntry(version=version, wall_us=wall_us, principal=principal, changes=changes)
    return LogChunk(number, entry, data)


def version_at(txn: ReadTransaction, wall_us: int, *, first: int, last: int) -> int | None:
    """The newest commit of first..last made at or before `wall_us`; None when all came later."""
    found: int | None = None
    while first <= last:
        middle = (first + last) // 2
        key = log_key(middle)
        data = txn.get_many(CHANGES, (key,))[0]
        if data is None:
            raise CorruptionError(
                f"the change log has no entry of commit {middle}; run `ormdb check --deep`"
            )
        if _decode_chunk(key, data)[0] <= wall_us:
            found, first = middle, middle + 1
        else:
            last = middle - 1
    return found


def _parts(op: Op, keys: list[bytes]) -> Iterator[tuple[Op, list[bytes]]]:
    if op is Op.INSERT and len(keys) > 2 and _number(keys[-1]) - _number(keys[0]) == len(keys) - 1:
        yield Op.INSERT_RANGE, [keys[0], keys[-1]]
        return
    for start in range(0, len(keys), KEYS_PER_CHUNK):
        yield op, keys[start : start + KEYS_PER_CHUNK]


def _number(key: bytes) -> int:
    return int.from_bytes(key, "big")


def _seal(key: bytes, body: bytes) -> bytes:
    """The checksum of an entry; it covers the key, which alone says which commit's it is."""
    return crc32(body, crc32(key)).to_bytes(4, "little")


def _decode_chunk(key: bytes, data: bytes) -> tuple[int, str, tuple[RowChanges, ...]]:
    version, body = int.from_bytes(key[:8], "big"), data[:-4]
    if _seal(key, body) != data[-4:]:
        raise CorruptionError(
            f"the change log entry of commit {version} fails its checksum; restore a backup",
            version=version,
        )
    try:
        wall_us, principal, parts = _decode(body)
        changes = tuple(_row_changes(*part) for part in parts)
    except (msgspec.DecodeError, ValueError) as error:
        raise CorruptionError(
            f"the change log entry of commit {version} does not decode ({error})", version=version
        ) from error
    return wall_us, principal, changes


def _row_changes(entity_id: int, op: int, joined: bytes) -> RowChanges:
    width = ROW_KEY_BYTES
    keys: Sequence[bytes] = [joined[i : i + width] for i in range(0, len(joined), width)]
    if op == Op.INSERT_RANGE:
        keys = _KeyRange(_number(keys[0]), _number(keys[1]))
        return RowChanges(entity_id=entity_id, op=Op.INSERT, row_keys=keys)
    return RowChanges(entity_id=entity_id, op=Op(op), row_keys=keys)


class _KeyRange(Sequence[bytes]):
    """Row keys from first to last, made when asked for."""

    def __init__(self, first: int, last: int) -> None:
        self._numbers = range(first, last + 1)

    def __len__(self) -> int:
        return len(self._numbers)

    @overload
    def __getitem__(self, index: int) -> bytes: ...
    @overload
    def __getitem__(self, index: slice) -> list[bytes]: ...
    def __getitem__(self, index: int | slice) -> bytes | list[bytes]:
        if isinstance(index, slice):
            return [number.to_bytes(8, "big") for number in self._numbers[index]]
        return self._numbers[index].to_bytes(8, "big")
