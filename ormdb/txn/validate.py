"""Whether everything that a transaction has read still holds, and what changed if it does not.

    read at commit 7: departures of JFK with dep_delay > 120
    commit 8 changed airport LGA                       nothing of it was read
    commit 9 changed flight 99, JFK, 10 -> 20          meets the test neither before nor after
    commit 10 changed flight 12, JFK, 5 -> 300         ConflictError: a flight was changed by ...

By the log: the log names the rows that changed since; each is held, as it was and as it is, against
what was read of its entity.  By a walk: everything read is read again, in the old snapshot and in
the new one.  The log costs per change, and reaches back as far as retention; a walk costs per row
read, and needs no log.  Both have the same verdict.

Invariants (held by tests/property/test_conflicts.py):
  1. What passes reads the same at both commits: a transaction whose reads changed never commits.
  2. A row that meets what its reader asked of it neither before nor after is no conflict.
  3. The log and a walk agree.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, NoReturn, TypeAlias

from ormdb import limits
from ormdb.errors import ConflictError
from ormdb.storage.batches import split_ids
from ormdb.storage.changelog import read_entries
from ormdb.storage.engine import ReadTransaction
from ormdb.storage.layout import ROW_KEY_BYTES, EntityLayout, Layout
from ormdb.storage.multimap import Multimap, NumberedKey
from ormdb.storage.views import PastView, RowTest
from ormdb.txn.constraints import identity_of, show_identity
from ormdb.txn.reads import EntityReads, ReadSet, Stretch

Image: TypeAlias = tuple[bytes, bytes]  # a row key, and the row as it was or as it is
_CHUNK: Final = 1_024  # keys read again at once


@dataclass(frozen=True, slots=True)
class ChangedBy:
    """The last commit that changed a row."""

    version: int
    principal: str


Changed: TypeAlias = dict[int, dict[bytes, ChangedBy]]  # by the id of the entity, then by row key


def changes_since(
    txn: ReadTransaction, reads: ReadSet, *, read_at: int, newest: int
) -> Changed | None:
    """The rows of the entities read that changed after `read_at`; None if there are too many to
    look at one by one."""
    changed: Changed = {}
    left = limits.VALIDATED_CHANGES_MAX
    for entry in read_entries(txn, read_at + 1, newest):
        by = ChangedBy(entry.version, entry.principal)
        for changes in entry.changes:
            if changes.entity_id not in reads.entities:
                continue
            left -= len(changes.row_keys)
            if left < 0:
                return None
            changed.setdefault(changes.entity_id, {}).update(dict.fromkeys(changes.row_keys, by))
    return changed


def validate_by_log(
    txn: ReadTransaction, layout: Layout, reads: ReadSet, changed: Changed, *, read_at: int
) -> None:
    """See that no changed row was part of what was read at `read_at`.

    Raises:
      ConflictError: one was; details `entity`, `identity`, `through`, `read_at`, `version`,
        `principal`.
    """
    past = PastView(txn, read_at)
    for number, rows in changed.items():
        entity = layout.by_id[number]
        keys = list(rows)
        before, after = past.rows(entity, keys), txn.get_many(entity.rows, keys)
        found = _Images(entity, keys, before, after).conflict(reads.entities[number])
        if found is not None:
            image, through = found
            key = keys[0] if image is None else image[0]
            _refuse(entity, image, through, read_at=read_at, by=rows[key])


class _Images:
    """Rows as they were and as they are, held against what was read of their entity."""

    def __init__(
        self,
        entity: EntityLayout,
        keys: Sequence[bytes],
        before: Sequence[bytes | None],
        after: Sequence[bytes | None],
    ) -> None:
        pairs = [each for each in zip(keys, before, after, strict=True) if each[1] != each[2]]
        self._growth = sum((new is not None) - (old is not None) for _, old, new in pairs)
        self._images = [(key, row) for key, *both in pairs for row in both if row is not None]
        self._keys = [key for key, _ in self._images]
        self._entity = entity
        self._decoded: list[Any] | None = None
        self._numbered: dict[Multimap, list[NumberedKey]] = {}
        self._met: dict[RowTest, list[bool]] = {}

    def conflict(self, reads: EntityReads) -> tuple[Image | None, str] | None:
        """An image that is part of what was read, and through what it was."""
        if not self._images:
            return None
        if reads.count is not None and self._growth:
            return None, "the number of all rows"
        for test, keys in reads.rows.items():
            if not keys.isdisjoint(self._keys):
                for position, key in enumerate(self._keys):
                    if key in keys and self._meets(test, position):
                        return self._images[position], "its identity"
        for (index, test), sought in reads.keys.items():
            for position, key in self._entries(index):
                if key in sought and self._meets(test, position):
                    return self._images[position], f"{index.kind} {index.name}"
        for stretch in reads.stretches:
            found = self._first_in(stretch)
            if found is not None:
                return self._images[found], _name_of(stretch)
        return None

    def _first_in(self, stretch: Stretch) -> int | None:
        if stretch.index is None:
            entries = list(enumerate(self._keys))
        else:
            entries = self._entries(stretch.index)
        for position, key in entries:
            if stretch.covers(key, self._keys[position]) and self._meets(stretch.test, position):
                return position
        return None

    def _entries(self, index: Multimap) -> list[NumberedKey]:
        if index not in self._numbered:
            if self._decoded is None:
                rows = [row for _, row in self._images]
                self._decoded = self._entity.codec.whole.decode_batch(self._keys, rows)
            self._numbered[index] = index.numbered(self._decoded)
        return self._numbered[index]

    def _meets(self, test: RowTest | None, position: int) -> bool:
        if test is None:
            return True
        if test not in self._met:
            self._met[test] = test.met_by(self._keys, [row for _, row in self._images])
        return self._met[test][position]


def validate_by_walk(
    old: ReadTransaction, new: ReadTransaction, layout: Layout, reads: ReadSet, *, read_at: int
) -> None:
    """See that everything that was read in the snapshot `old` reads the same in `new`.

    Raises:
      ConflictError: something does not; details `entity`, `through`, `read_at`.
    """
    for number, noted in reads.entities.items():
        entity = layout.by_id[number]
        for through, walk in _walks(entity, noted):
            if _digest(walk(old)) != _digest(walk(new)):
                _refuse(entity, None, through, read_at=read_at, by=None)


# What one round of reading again found: the test, the keys by which rows came, row keys and rows.
_Read: TypeAlias = tuple[RowTest | None, Sequence[bytes], Sequence[bytes], Sequence[bytes | None]]
_Walk: TypeAlias = Callable[[ReadTransaction], Iterator[_Read]]


def _walks(entity: EntityLayout, reads: EntityReads) -> Iterator[tuple[str, _Walk]]:
    """What was read, each by its name and as a function that reads it again."""
    if reads.count is not None:
        yield "the number of all rows", partial(_counted, entity)
    for test, keys in reads.rows.items():
        yield "its identity", partial(_rows_again, entity, test, sorted(keys))
    for (index, test), keys in reads.keys.items():
        yield f"{index.kind} {index.name}", partial(_keys_again, entity, index, test, sorted(keys))
    for stretch in reads.stretches:
        yield _name_of(stretch), partial(_stretch_again, entity, stretch)


def _counted(entity: EntityLayout, txn: ReadTransaction) -> Iterator[_Read]:
    count = txn.statistics(entity.rows).entries
    yield None, [str(count).encode()], [b""], [None]


def _rows_again(
    entity: EntityLayout, test: RowTest | None, keys: Sequence[bytes], txn: ReadTransaction
) -> Iterator[_Read]:
    for at in range(0, len(keys), _CHUNK):
        part = keys[at : at + _CHUNK]
        yield test, part, part, txn.get_many(entity.rows, part)


def _keys_again(
    entity: EntityLayout,
    index: Multimap,
    test: RowTest | None,
    keys: Sequence[bytes],
    txn: ReadTransaction,
) -> Iterator[_Read]:
    for at in range(0, len(keys), _CHUNK):
        part = keys[at : at + _CHUNK]
        found, rows = txn.read_related(index.space, entity.rows, part)
        counts = [len(joined) // ROW_KEY_BYTES for joined in found]
        marks = [key for key, count in zip(part, counts, strict=True) for _ in range(count)]
        yield test, marks, split_ids(b"".join(found)), rows


def _stretch_again(entity: EntityLayout, stretch: Stretch, txn: ReadTransaction) -> Iterator[_Read]:
    if not stretch.is_whole and stretch.reached is None:
        return
    low, high, reverse, after = stretch.low, stretch.high, stretch.reverse, stretch.after
    if stretch.index is None:
        for items in txn.scan(entity.rows, low, high, reverse=reverse, after=after):
            kept = [item for item in items if stretch.covers(item[0], item[0])]
            keys = [key for key, _ in kept]
            yield stretch.test, keys, keys, [row for _, row in kept]
            if len(kept) < len(items):
                return
        return
    space = stretch.index.space
    for entries, rows in txn.scan_rows(space, entity.rows, low, high, reverse=reverse, after=after):
        count = sum(stretch.covers(key, row_key) for key, row_key in entries)
        kept = entries[:count]
        yield stretch.test, [k for k, _ in kept], [row_key for _, row_key in kept], rows[:count]
        if count < len(entries):
            return


def _digest(reads: Iterator[_Read]) -> bytes:
    """What tells one reading from another: the rows that count, and under which keys they came."""
    digest = hashlib.blake2b(digest_size=16)
    for test, marks, keys, rows in reads:
        met: Sequence[bool] = [True] * len(keys)
        if test is not None:
            there = [i for i, row in enumerate(rows) if row is not None]
            present = [row for row in rows if row is not None]
            passed = test.met_by([keys[i] for i in there], present)
            counting = dict(zip(there, passed, strict=True))
            met = [counting.get(i, False) for i in range(len(keys))]
        for counts, mark, key, row in zip(met, marks, keys, rows, strict=True):
            if counts:
                for part in (mark, key, row or b""):
                    digest.update(len(part).to_bytes(8, "big") + part)
    return digest.digest()


def _name_of(stretch: Stretch) -> str:
    if stretch.index is None:
        return "a scan"
    return f"{stretch.index.kind} {stretch.index.name}"


def _refuse(
    entity: EntityLayout,
    image: Image | None,
    through: str,
    *,
    read_at: int,
    by: ChangedBy | None,
) -> NoReturn:
    identity: tuple[Any, ...] | None = None
    if image is not None:
        row = entity.codec.whole.decode_batch([image[0]], [image[1]])[0]
        identity = identity_of(entity, row)
    what = entity.name
    if identity is not None:
        what += " " + show_identity(identity)
    who = "a later commit" if by is None else f"commit {by.version} of {by.principal!r}"
    raise ConflictError(
        f"{what} was changed by {who}, and this transaction had read it at commit {read_at} "
        f"(through {through}); run the transaction again",
        entity=entity.name,
        identity=identity,
        through=through,
        read_at=read_at,
        version=None if by is None else by.version,
        principal=None if by is None else by.principal,
    )
