"""What an open database offers around deletes, above all for rows that were deleted softly.

    db.deleted(Customer)                            the newest first: row, when, by which commit
    db.snapshot(include_deleted=True)               reads as if nothing had been deleted softly
    db.purge(Customer, older_than=timedelta(30))    forgets those of more than 30 days ago

A snapshot with deleted rows has them put back in memory, over what it reads, with all entries.
Rows whose identity or unique values others have by now stay out: they could not be restored either.
"""

from __future__ import annotations

import datetime
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from ormdb import limits
from ormdb.clock import Clock
from ormdb.database.reading import Snapshot
from ormdb.errors import LimitError, UsageError
from ormdb.ir.deletion import DeletePreview
from ormdb.ir.graph import AsOf
from ormdb.ir.mutation import Delete, Mutation, MutationOutcome, Purge
from ormdb.model.declaration import entity_name
from ormdb.model.entity import Entity
from ormdb.model.objects import row_object
from ormdb.query.compile import compile_row_dicts
from ormdb.session import Context
from ormdb.storage.engine import ReadTransaction
from ormdb.storage.graveyard import Buried, all_buried
from ormdb.storage.layout import EntityLayout, Layout
from ormdb.storage.overlay import OverlayFullError, OverlayTransaction
from ormdb.storage.versions import RowWriter
from ormdb.txn.constraints import Probes, identity_of
from ormdb.txn.deferral import Deferred
from ormdb.txn.ground import entity_named
from ormdb.txn.restoring import require_soft
from ormdb.txn.tools import Tools

E = TypeVar("E", bound=Entity)
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeletedRow(Generic[E]):
    """One row that was deleted softly: as it was, when it was deleted, by which commit."""

    row: E
    deleted_at: datetime.datetime
    version: int


class SoftDeletes(ABC):
    """The part of a database that knows of rows that were deleted softly."""

    _clock: Clock

    def deleted(
        self, entity: type[E], *, limit: int = limits.DELETED_ROWS_LISTED
    ) -> list[DeletedRow[E]]:
        """Return rows that were deleted softly, the newest first."""
        with self.snapshot() as snapshot:
            txn, layout = snapshot.txn, snapshot.layout
            of = entity_named(layout, entity_name(entity))
            require_soft(of)
            found: list[Buried] = []
            for batch in all_buried(txn, of, newest_first=True):
                found += batch[: limit - len(found)]
                if len(found) == limit:
                    break
            slots, show = compile_row_dicts(layout, of, self._clock)
            keys, data = [one.row_key for one in found], [one.data for one in found]
            dicts = show(of.codec.decoder(slots).decode_batch(keys, data))
            whole = of.codec.whole.decode_batch(keys, data)
        return [
            DeletedRow(
                row=row_object(entity, shown, identity_of(of, row)),
                deleted_at=_EPOCH + datetime.timedelta(microseconds=one.wall_us),
                version=one.version,
            )
            for one, shown, row in zip(found, dicts, whole, strict=True)
        ]

    def purge(
        self,
        *entities: type[Entity],
        older_than: datetime.timedelta | datetime.datetime,
        context: Context | None = None,
    ) -> int:
        """Forget rows that were deleted softly before a moment; how many.

        They go some thousands in a commit, so that others can write in between.  What they were
        is still in the history, as long as retention keeps it.

        Args:
          entities: of which rows are purged; of all that are deleted softly, if none is given.
          older_than: how long ago, or when, they were deleted at the latest.
          context: who asks.
        """
        moment = older_than
        if isinstance(moment, datetime.timedelta):
            now = _EPOCH + datetime.timedelta(microseconds=self._clock.wall_us())
            moment = now - moment
        if moment.tzinfo is None:
            raise UsageError(f"{moment} has no time zone; give one, as in datetime.now(UTC)")
        before_us = (moment - _EPOCH) // datetime.timedelta(microseconds=1)
        with self.snapshot() as snapshot:
            layout = snapshot.layout
        soft = [name for name, each in layout.entities.items() if each.deleted is not None]
        count = 0
        for name in [entity_name(entity) for entity in entities] or soft:
            purge = Purge(entity=name, before_us=before_us, limit=limits.PURGE_ROWS)
            gone = limits.PURGE_ROWS
            while gone == limits.PURGE_ROWS:
                gone = len(self.run_mutations([purge], context=context)[0].identities)
                count += gone
        return count

    def run_delete_preview(
        self, delete: Delete, *, context: Context | None = None
    ) -> DeletePreview:
        """What a delete would do at the newest commit."""
        with self.snapshot() as snapshot:
            return snapshot.run_delete_preview(delete, context=context)

    @abstractmethod
    def run_mutations(
        self, mutations: Sequence[Mutation], *, context: Context | None = None
    ) -> list[MutationOutcome]:
        """Apply the mutations in one commit, all or none."""

    @abstractmethod
    def snapshot(self) -> Snapshot:
        """A reader that keeps seeing one commit."""


def uncovered(
    txn: ReadTransaction, layout: Layout, version: int, clock: Clock, *, as_of: AsOf | None
) -> ReadTransaction:
    """What a snapshot with deleted rows reads through.

    Raises:
      UsageError: it would be one of the past.
      LimitError: there are too many to show.
    """
    if as_of is not None:
        raise UsageError("the past has no deleted rows; leave include_deleted out")
    return Uncovered(txn, layout, version, clock)


class Uncovered(OverlayTransaction):
    """A snapshot in which rows that were deleted softly are there; it belongs to its thread."""

    def __init__(self, base: ReadTransaction, layout: Layout, version: int, clock: Clock) -> None:
        super().__init__(base, bytes_max=limits.OVERLAY_BYTES_MAX)
        self._below = base
        self._clock = clock
        try:
            self._put_back(layout, version)
        except OverlayFullError as error:
            raise LimitError(
                f"the rows that were deleted softly take more than {limits.OVERLAY_BYTES_MAX:,} "
                "bytes to show; purge old ones, or list them with deleted()",
                limit="OVERLAY_BYTES_MAX",
            ) from error

    def close(self) -> None:
        super().close()
        self._below.close()

    def _put_back(self, layout: Layout, version: int) -> None:
        writer = RowWriter(self, layout, version)
        placed: list[tuple[EntityLayout, list[bytes]]] = []
        for entity in layout.entities.values():
            if entity.deleted is None:
                continue
            for batch in all_buried(self._below, entity, newest_first=True):
                keys = self._put(writer, entity, batch)
                placed.append((entity, keys))
        # What they referred to may be there under another number, or no longer.
        deferred = Deferred(writer, Probes(self, Tools(self._clock)))
        for entity, keys in placed:
            for relation in entity.outgoing:
                if relation.mode == "slot":
                    deferred.look_again(relation, keys, may_dangle=True)

    def _put(self, writer: RowWriter, entity: EntityLayout, batch: Sequence[Buried]) -> list[bytes]:
        """Put back those whose place nobody has taken; their row keys."""
        kept: dict[bytes, bytes] = {}
        taken = self.get_many(entity.rows, [one.row_key for one in batch])
        for one, row in zip(batch, taken, strict=True):
            if row is None:
                kept.setdefault(one.row_key, one.data)
        keys, data = list(kept), list(kept.values())
        rows = entity.codec.whole.decode_batch(keys, data)
        indexes = [index for index in entity.unique_indexes if not index.deferred]
        if entity.identity is not None:
            indexes.append(entity.identity)
        free = [True] * len(keys)
        for index in indexes:
            encoded = index.encode_rows(rows)
            asked = [key for key in encoded if key is not None]
            found = dict(zip(asked, self.many(index.space, asked), strict=True))
            seen: set[bytes] = set()
            for at, (key, row) in enumerate(zip(encoded, rows, strict=True)):
                if key is None or any(getattr(row, f"s{slot}") is None for slot in index.slots):
                    continue
                free[at] = free[at] and not found[key] and key not in seen
                if free[at]:
                    seen.add(key)
        places = [at for at, is_free in enumerate(free) if is_free]
        begun = writer.begun(entity, [rows[at] for at in places])
        writer.insert(entity, [keys[at] for at in places], begun)
        return [keys[at] for at in places]
