"""Changes since a version, read from the log: what a program follows a database by.

    for change in db.changes(since=240, images=True):
        change.version, change.at, change.principal      241, 2026-05-01 10:00 UTC, "alice"
        change.entity, change.kind, change.identity      "Flight", "update", (41,)
        change.before["dep_delay"], change.after["dep_delay"]        12, 15

Changes come commit by commit, each row once per commit, with the net of what happened to it.  A few
commits are read from each snapshot, so an iteration may last for days, and holds one batch.

Invariants (held by tests/unit/database/test_changes.py and tests/property/test_point_in_time.py):
  1. Applied in order to what was there at `since`, they give what is there now.
  2. No commit is left out: where the log no longer reaches, that is a HistoryError.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

from ormdb.clock import Clock
from ormdb.database.archiving import require_reach
from ormdb.database.timetravel import the_head
from ormdb.errors import CorruptionError, QueryError
from ormdb.ir.value import RowDict, Value
from ormdb.query.compile import compile_row_dicts
from ormdb.query.resolve import find_entity
from ormdb.storage.changelog import LogChunk, Op, read_chunks
from ormdb.storage.engine import Engine, ReadTransaction
from ormdb.storage.findings import number_of
from ormdb.storage.history import open_ended
from ormdb.storage.layout import EntityLayout, Layout
from ormdb.storage.records import ROW_NUMBER_BIAS, RowDecoder, shown_value
from ormdb.storage.timeline import changed_keys
from ormdb.storage.views import PastView

ChangeKind: TypeAlias = Literal["insert", "update", "delete"]
LayoutAt: TypeAlias = Callable[[ReadTransaction, int], Layout]

_COMMITS_PER_SNAPSHOT: Final = 256
_KINDS: Final[dict[Op, ChangeKind]] = {
    Op.INSERT: "insert",
    Op.UPDATE: "update",
    Op.DELETE: "delete",
}
_EPOCH: Final = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class RowChange:
    """What one commit did to one row.

    `before` and `after` are the row as dicts by field, where images were asked for: an insert has
    no `before`, a delete no `after`.
    """

    version: int
    at: datetime.datetime
    principal: str
    entity: str
    kind: ChangeKind
    identity: tuple[Value, ...]
    before: RowDict | None = None
    after: RowDict | None = None


def changes_since(
    engine: Engine,
    layout_at: LayoutAt,
    clock: Clock,
    *,
    since: int,
    entity: str | None,
    images: bool,
) -> Iterator[RowChange]:
    """Every change of the commits after `since`, up to the newest one at the beginning.

    Raises:
      HistoryError: the log does not reach back to `since`, or it is yet to come.
      QueryError: there is no such entity.
    """
    txn = engine.begin_read()
    try:
        head = the_head(txn)
        require_reach(head, since)
        if entity is not None:
            find_entity(layout_at(txn, head.schema_version), entity)
    finally:
        txn.close()
    return _read(engine, layout_at, _Teller(clock, entity, images=images), since, head.version)


def _read(
    engine: Engine, layout_at: LayoutAt, teller: _Teller, done: int, newest: int
) -> Iterator[RowChange]:
    while done < newest:
        txn = engine.begin_read()
        try:
            head = the_head(txn)
            require_reach(head, done)
            teller.layout = layout_at(txn, head.schema_version)
            last = min(done + _COMMITS_PER_SNAPSHOT, newest)
            for chunk in read_chunks(txn, done + 1, last):
                yield from teller.tell(txn, chunk)
        finally:
            txn.close()
        done = last


class _Rows:
    """How rows of one entity are told."""

    def __init__(self, layout: Layout, entity: EntityLayout, clock: Clock) -> None:
        slots, dicts = compile_row_dicts(layout, entity, clock)
        parts = [entity.fields[name] for name in entity.entity.identity]
        self.parts = [(part.type, f"s{part.slot}") for part in parts]
        self.dicts: Callable[[list[Any]], list[RowDict]] = dicts
        self.whole: RowDecoder = entity.codec.decoder(slots | {part.slot for part in parts})
        self.identities: RowDecoder = entity.codec.decoder({part.slot for part in parts})

    def identity(self, row: Any) -> tuple[Value, ...]:
        """The identity of a decoded row."""
        return tuple([shown_value(kind, getattr(row, slot)) for kind, slot in self.parts])


class _Teller:
    """Makes changes out of parts of the log."""

    def __init__(self, clock: Clock, only: str | None, *, images: bool) -> None:
        self.layout: Layout | None = None
        self._clock = clock
        self._only = only
        self._images = images
        self._rows: dict[tuple[int, str], _Rows] = {}

    def tell(self, txn: ReadTransaction, chunk: LogChunk) -> Iterator[RowChange]:
        assert self.layout is not None
        for changes in chunk.entry.changes:
            entity = self.layout.by_id.get(changes.entity_id)
            if entity is None:
                raise QueryError(
                    f"commit {chunk.entry.version} changed entity {changes.entity_id}, which the"
                    " schema no longer has; begin after it"
                )
            if self._only is None or entity.name == self._only:
                for keys in changed_keys(changes):
                    yield from self._of_rows(txn, chunk, entity, changes.op, keys)

    def _of_rows(
        self,
        txn: ReadTransaction,
        chunk: LogChunk,
        entity: EntityLayout,
        op: Op,
        keys: Sequence[bytes],
    ) -> Iterator[RowChange]:
        entry = chunk.entry
        rows = self._rows_of(entity)
        is_named_by_key = entity.int_identity_slot is not None
        before: list[Any] = []
        after: list[Any] = []
        if self._images or not is_named_by_key:
            decoder = rows.whole if self._images else rows.identities
            if op is not Op.INSERT and (self._images or op is Op.DELETE):
                before = decoder.decode_batch(keys, _before(txn, entity, keys, entry.version))
            if op is not Op.DELETE:
                after = decoder.decode_batch(keys, _after(txn, entity, keys, entry.version))
        at = _EPOCH + datetime.timedelta(microseconds=entry.wall_us)
        told_before = rows.dicts(before) if self._images and before else [None] * len(keys)
        told_after = rows.dicts(after) if self._images and after else [None] * len(keys)
        named = after or before
        for i, key in enumerate(keys):
            yield RowChange(
                version=entry.version,
                at=at,
                principal=entry.principal,
                entity=entity.name,
                kind=_KINDS[op],
                identity=(int.from_bytes(key, "big") - ROW_NUMBER_BIAS,)
                if is_named_by_key
                else rows.identity(named[i]),
                before=told_before[i],
                after=told_after[i],
            )

    def _rows_of(self, entity: EntityLayout) -> _Rows:
        assert self.layout is not None
        key = self.layout.bundle.version, entity.name
        found = self._rows.get(key)
        if found is None:
            found = self._rows[key] = _Rows(self.layout, entity, self._clock)
        return found


def _before(
    txn: ReadTransaction, entity: EntityLayout, keys: Sequence[bytes], version: int
) -> list[bytes]:
    ended = [key + version.to_bytes(8, "big") for key in keys]
    pairs = list(zip(ended, txn.get_many(entity.history, ended), strict=True))
    there = [(key, data) for key, data in pairs if data is not None]
    if len(there) < len(keys):
        missing = next(key for key, data in pairs if data is None)
        raise _missing(entity, missing[:8], version)
    return open_ended(entity.name, there)


def _after(
    txn: ReadTransaction, entity: EntityLayout, keys: Sequence[bytes], version: int
) -> list[bytes]:
    rows = PastView(txn, version).rows(entity, keys)
    there = [row for row in rows if row is not None]
    if len(there) < len(rows):
        raise _missing(entity, keys[rows.index(None)], version)
    return there


def _missing(entity: EntityLayout, key: bytes, version: int) -> CorruptionError:
    return CorruptionError(
        f"commit {version} changed row {number_of(key)} of {entity.name}, of which nothing is"
        " there; run `ormdb check --deep`",
        entity=entity.name,
        row_keys=(key,),
    )
