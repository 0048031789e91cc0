"""The change log, walked commit by commit and compared with rows and history.

    changes 9   Flight update 41     history/3 has 41 ∥ 9, and a version of 41 begins at 9
    changes 12  Flight delete 41     history/3 has 41 ∥ 12, and no version of 41 begins at 12

Every mention leads to the one version it made or ended.  So when there are as many mentions as
versions that began or ended since the horizon, every version is mentioned; only when the numbers
differ is each version looked up in the log, to name those that are not.

Invariants (held by tests/unit/storage/test_check.py):
  1. A commit without an entry, an entry without its rows, and a row without its entry, are
     reported.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from ormdb import limits
from ormdb.storage.changelog import LogEntry, Op, RowChanges, read_entries
from ormdb.storage.check_history import decode_ended
from ormdb.storage.check_rows import RowTally, decode_each
from ormdb.storage.engine import ReadTransaction
from ormdb.storage.findings import Findings, number_of
from ormdb.storage.head import Head
from ormdb.storage.layout import CHANGES, ROW_KEY_BYTES, EntityLayout, Layout

_VERSION_BYTES: Final = 8
_CHUNK_BYTES: Final = 4
_END: Final = b"\xff" * _VERSION_BYTES + b"\0"  # above every end version
_KNOWN_COMMITS: Final = 256  # entries of the log that are kept while rows are looked up in it


@dataclass(slots=True)
class _Mentions:
    """How often the log says that a row of one entity began or ended."""

    begun: int = 0
    ended: int = 0


def check_log_keys(txn: ReadTransaction, head: Head, findings: Findings) -> None:
    """See that every commit from the horizon on has its entry, without reading the entries."""
    expected = (head.horizon - 1, 1)  # as if the commit before the horizon had been met
    with findings.section("log", None, CHANGES.name):
        for batch in txn.scan(CHANGES):
            for key, _ in batch:
                version = int.from_bytes(key[:_VERSION_BYTES], "big")
                chunk = int.from_bytes(key[_VERSION_BYTES:], "big")
                if len(key) != _VERSION_BYTES + _CHUNK_BYTES or version > head.version:
                    _add(findings, version, f"the log has an entry under the key {key.hex()}")
                elif version < head.horizon:
                    _add(findings, version, f"commit {version} lies before the horizon")
                elif (version, chunk) != expected and (version, chunk) != (expected[0] + 1, 0):
                    missing = f"{expected[0]} to {version}"
                    _add(findings, version, f"the log has a gap among commits {missing}")
                expected = (version, chunk + 1)
        if expected[0] != head.version or expected[1] == 0:
            _add(findings, head.version, f"the log has no entry of commit {head.version}")


def check_log(
    txn: ReadTransaction,
    layout: Layout,
    head: Head,
    tallies: dict[str, RowTally],
    findings: Findings,
) -> None:
    """Read every entry, and compare what it says with rows and history."""
    walker = _LogWalker(txn, layout, head, findings)
    with findings.section("log", None, CHANGES.name):
        walker.run()
        for entity in layout.entities.values():
            tally, mentions = tallies[entity.name], walker.mentions(entity)
            if (tally.begun_since, tally.ended_since) != (mentions.begun, mentions.ended):
                _name_unmentioned(txn, entity, head, findings)


class _LogWalker:
    """Walks the log from the commit after the horizon to the newest."""

    def __init__(
        self, txn: ReadTransaction, layout: Layout, head: Head, findings: Findings
    ) -> None:
        self._txn = txn
        self._layout = layout
        self._head = head
        self._findings = findings
        self._mentions: dict[int, _Mentions] = {}

    def mentions(self, entity: EntityLayout) -> _Mentions:
        """What the log says of one entity."""
        return self._mentions.setdefault(entity.entity.id, _Mentions())

    def run(self) -> None:
        """Walk every commit."""
        wall_us = 0
        for entry in read_entries(self._txn, self._head.horizon, self._head.version):
            self._findings.counts.commits += 1
            if entry.wall_us < wall_us:
                self._add(entry, "is dated before the commit before it")
            wall_us = max(wall_us, entry.wall_us)
            if entry.version > self._head.horizon:  # the horizon's own entry only dates it
                for changes in entry.changes:
                    self._check_changes(entry, changes)
        if wall_us != self._head.wall_us:
            _add(
                self._findings,
                self._head.version,
                f"the head is dated {self._head.wall_us}, the last commit of the log {wall_us}",
            )

    def _check_changes(self, entry: LogEntry, changes: RowChanges) -> None:
        entity = self._layout.by_id.get(changes.entity_id)
        if entity is None:
            self._add(entry, f"names entity {changes.entity_id}, which the schema does not have")
            return
        mentions = self.mentions(entity)
        begins = changes.op is not Op.DELETE
        ends = changes.op is not Op.INSERT
        mentions.begun += begins * len(changes.row_keys)
        mentions.ended += ends * len(changes.row_keys)
        last = b""
        for keys in _slices(changes.row_keys):
            for key in keys:
                if len(key) != ROW_KEY_BYTES or key <= last:
                    self._add(entry, f"names rows of {entity.name} out of order")
                last = key
            version = entry.version.to_bytes(_VERSION_BYTES, "big")
            ended = self._txn.get_many(entity.history, [key + version for key in keys])
            for key, data in zip(keys, ended, strict=True):
                if (data is not None) != ends:
                    self._disagrees(entry, entity, changes.op, key)
            begun_at = _begun_at(self._txn, entity, keys, entry.version)
            for key, begun in zip(keys, begun_at, strict=True):
                if begun is not None and begun != begins:
                    self._disagrees(entry, entity, changes.op, key)

    def _disagrees(self, entry: LogEntry, entity: EntityLayout, op: Op, key: bytes) -> None:
        done = {Op.INSERT: "inserted", Op.UPDATE: "updated", Op.DELETE: "deleted"}[op]
        self._add(
            entry,
            f"says that it {done} row {number_of(key)} of {entity.name}, but rows and history "
            "say otherwise",
        )

    def _add(self, entry: LogEntry, fact: str) -> None:
        _add(self._findings, entry.version, f"commit {entry.version} {fact}")


def _begun_at(
    txn: ReadTransaction, entity: EntityLayout, keys: Sequence[bytes], version: int
) -> list[bool | None]:
    """Whether a version of each row began at a commit; None where a damaged row hides it."""
    after = (version + 1).to_bytes(_VERSION_BYTES, "big")
    ranges = [(key + after, key + _END) for key in keys]
    later = txn.scan_many(entity.history, ranges, limit_each=1)
    current = txn.get_many(entity.rows, keys)
    begun: list[bool | None] = [False] * len(keys)
    ended = [i for i, items in enumerate(later) if items]
    for i, row in zip(ended, decode_ended(entity, [later[i][0] for i in ended]), strict=True):
        begun[i] = None if row is None else row.b == version
    live = [i for i, row in enumerate(current) if row is not None and not later[i]]
    data = [row for row, items in zip(current, later, strict=True) if row is not None and not items]
    for i, row in zip(live, decode_each(entity, [keys[i] for i in live], data), strict=True):
        begun[i] = None if row is None else row.b == version
    return begun


def _name_unmentioned(
    txn: ReadTransaction, entity: EntityLayout, head: Head, findings: Findings
) -> None:
    """Look up in the log every version that began or ended since the horizon."""
    mentioned = _Mentioned(txn, entity, head, findings)
    for batch in txn.scan(entity.rows):
        keys = [key for key, _ in batch if len(key) == ROW_KEY_BYTES]
        data = [row for key, row in batch if len(key) == ROW_KEY_BYTES]
        for key, row in zip(keys, decode_each(entity, keys, data), strict=True):
            if row is not None:
                mentioned.require(row.b, key, (Op.INSERT, Op.UPDATE))
    for batch in txn.scan(entity.history):
        keys = [key[:ROW_KEY_BYTES].ljust(ROW_KEY_BYTES, b"\0") for key, _ in batch]
        rows = decode_ended(entity, batch)
        for (whole, _), key, row in zip(batch, keys, rows, strict=True):
            if row is not None:
                mentioned.require(row.b, key, (Op.INSERT, Op.UPDATE))
            end = int.from_bytes(whole[ROW_KEY_BYTES:], "big")
            mentioned.require(end, key, (Op.UPDATE, Op.DELETE))


class _Mentioned:
    """Looks up rows of one entity in the log, keeping the entries it read last."""

    def __init__(
        self, txn: ReadTransaction, entity: EntityLayout, head: Head, findings: Findings
    ) -> None:
        self._txn = txn
        self._entity = entity
        self._head = head
        self._findings = findings
        self._known: OrderedDict[int, list[RowChanges]] = OrderedDict()

    def require(self, version: int, key: bytes, ops: tuple[Op, ...]) -> None:
        """See that the log says that a commit did one of `ops` to the row."""
        if not self._head.horizon < version <= self._head.version:
            return
        for changes in self._changes(version):
            at = bisect_left(changes.row_keys, key)
            found = at < len(changes.row_keys) and changes.row_keys[at] == key
            if changes.op in ops and found:
                return
        _add(
            self._findings,
            version,
            f"commit {version} touched row {number_of(key)} of {self._entity.name}, "
            "which its log entry does not say",
        )

    def _changes(self, version: int) -> list[RowChanges]:
        if version not in self._known:
            number = self._entity.entity.id
            entries = read_entries(self._txn, version, version)
            self._known[version] = [c for e in entries for c in e.changes if c.entity_id == number]
            if len(self._known) > _KNOWN_COMMITS:
                self._known.popitem(last=False)
        return self._known[version]


def _slices(keys: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    for start in range(0, len(keys), limits.SCAN_BATCH_ROWS):
        yield keys[start : start + limits.SCAN_BATCH_ROWS]


def _add(findings: Findings, version: int, sentence: str) -> None:
    findings.add("log", None, f"{CHANGES.name} {version}", sentence)
