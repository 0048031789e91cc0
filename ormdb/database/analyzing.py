"""Who analyzes a database, and when.

    db.analyze()            now, in one snapshot; what it found is written when it is complete
    in the background       after a commit that brings the changed rows of an entity to a fifth of
                            those analyzed, and to 1,000: one entity at a time, each in a snapshot
                            of its own

    commit ─ note(changes) ─▶ due? ─▶ thread: sample ─▶ try to become the writer ─▶ kept
                                                        busy: after the next commit

The thread begins with the first entity that is due, so a program that writes little never has one.
It waits for nobody: a writer in its way keeps it from writing, never the reverse but for the
moment of one small commit; closing the database stops it at the next batch of its sample.  Only
commits of this open database are counted, and whether the number of rows has changed.

Invariants (held by tests/unit/database/test_analyzing.py):
  1. No query reads a row for statistics; no commit waits for an analysis.
  2. One analysis runs at a time; after `close` none does.
  3. What an analysis finds is kept as a whole or not at all.
"""

from __future__ import annotations

import datetime
import logging
import random
import threading
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from ormdb import limits
from ormdb.clock import Clock
from ormdb.errors import BusyError, CorruptionError, OrmdbError, ReadOnlyError
from ormdb.query.estimate import Estimator
from ormdb.query.resolve import find_entity
from ormdb.storage.analyze import Analysis, analyze_entity
from ormdb.storage.engine import Engine, ReadTransaction
from ormdb.storage.head import read_head
from ormdb.storage.layout import EntityLayout, Layout
from ormdb.storage.sampling import GoOn
from ormdb.storage.statistics import (
    EntityStatistics,
    KeptStatistics,
    Record,
    write_statistics,
)

_log: Final = logging.getLogger("ormdb.statistics")
_EPOCH: Final = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class EntityAnalysis:
    """When an entity was analyzed, at which commit, and how many of its rows were looked at.

    `changed` counts rows that this open database has written since.
    """

    at: datetime.datetime
    version: int
    rows: int
    looked_at: int
    changed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AnalysisStatistics:
    """What is known about the rows: `version` rises with every analysis, `unreadable` counts
    records that are damaged or were written by a newer ormdb."""

    version: int
    entities: Mapping[str, EntityAnalysis]
    unreadable: int
    is_automatic: bool


@dataclass(slots=True)
class _Shared:
    """What commits and the thread share, under one lock."""

    lock: threading.Condition = field(default_factory=threading.Condition)
    changed: dict[int, int] = field(default_factory=dict[int, int])
    enough: dict[int, int] = field(default_factory=dict[int, int])  # changes that are worth a look
    due: set[int] = field(default_factory=set[int])
    found: dict[tuple[type, int], Record] = field(
        default_factory=dict[tuple[type, int], Record]
    )  # waits for its turn to be written
    is_asked: bool = False  # a commit was made, so that what waits may be written
    tries: int = 0  # to write it, in vain: there was a writer each time
    patience: int = 0  # commits until the next try
    is_working: bool = False
    is_stopping: bool = False


class Analyst:
    """Analyzes one open database; its methods may be called from any thread."""

    def __init__(
        self,
        engine: Engine,
        clock: Clock,
        *,
        layout_at: Callable[[ReadTransaction, int], Layout],
        is_automatic: bool,
        on_new: Callable[[], None] = lambda: None,
    ) -> None:
        self._engine = engine
        self._clock = clock
        self._layout_at = layout_at
        self.is_automatic = is_automatic and not engine.read_only
        self.kept = KeptStatistics(on_new)
        self._turn = threading.Lock()  # one analysis at a time
        self._shared = _Shared()
        self._thread: threading.Thread | None = None

    # --- asked for ----------------------------------------------------------------------------

    def look(self) -> None:
        """See what was found before this database was opened."""
        with self._reading() as txn:
            self.kept.current(txn)

    def estimator(self, layout: Layout) -> Estimator:
        """Estimates from what is known now."""
        with self._reading() as txn:
            statistics = self.kept.current(txn)
        return Estimator(statistics, layout, row_count=self._row_count)

    def analyze(self, names: Iterable[str] | None = None) -> None:
        """Analyze entities, or all of them, in one snapshot.

        Raises:
          ReadOnlyError: there is nowhere to keep what is found.
          QueryError: there is no such entity.
          CorruptionError: a row is damaged.
        """
        if self._engine.read_only:
            raise ReadOnlyError(
                "statistics are kept in the database, which is open for reading only; "
                "open it for writing to analyze it"
            )
        with self._turn:
            with self._reading() as txn:
                layout = self._layout(txn)
                wanted = (
                    list(layout.entities.values())
                    if names is None
                    else [find_entity(layout, name) for name in names]
                )
                changed = self._changes_of(wanted)
                records = self._analyze(txn, layout, wanted, lambda: True)
            assert records is not None, "nobody stops it"
            self._write(records, wait_s=None)
        self._settle_changes(changed)

    def statistics(self, layout: Layout) -> AnalysisStatistics:
        """What is known, and how old it is."""
        with self._reading() as txn:
            known = self.kept.current(txn)
        with self._shared.lock:
            changed = dict(self._shared.changed)
        return AnalysisStatistics(
            version=known.version,
            entities={
                name: _age(record, changed.get(record.entity_id, 0))
                for name, entity in layout.entities.items()
                if (record := known.entities.get(entity.entity.id)) is not None
            },
            unreadable=known.unreadable,
            is_automatic=self.is_automatic,
        )

    # --- in the background --------------------------------------------------------------------

    def note(self, changes: Mapping[int, int]) -> None:
        """A commit has changed so many rows of each entity."""
        shared = self._shared
        with shared.lock:
            for number, count in changes.items():
                changed = shared.changed[number] = shared.changed.get(number, 0) + count
                enough = shared.enough.get(number, limits.STATISTICS_CHANGED_ROWS)
                if self.is_automatic and changed >= enough:
                    shared.due.add(number)
            # Where one commit follows the other, a try after each would cost them more than it
            # is worth: after every try in vain twice as many are let by.
            shared.patience -= 1
            if shared.due or (shared.found and shared.patience < 0):
                shared.is_asked = True
                self._wake()

    def settle(self) -> None:
        """Wait until the background has nothing left to do but what waits for a writer."""
        shared = self._shared
        with shared.lock:
            shared.lock.wait_for(
                lambda: (
                    shared.is_stopping or not (shared.due or shared.is_asked or shared.is_working)
                )
            )

    @contextmanager
    def stopped(self) -> Generator[None]:
        """While nobody may read: stop what is going on, and begin it anew afterwards."""
        self.close()
        try:
            yield
        finally:
            shared = self._shared
            with shared.lock:
                shared.is_stopping = False
                if shared.due:
                    self._wake()

    def close(self) -> None:
        """Stop at the next batch, and wait for that.  Closing twice is harmless."""
        shared = self._shared
        with shared.lock:
            shared.is_stopping = True
            shared.lock.notify_all()
            thread, self._thread = self._thread, None
        if thread is not None:
            thread.join()
            self._or_warn(self._write_found, None)

    def _wake(self) -> None:
        """Begin or go on; the lock is held."""
        if self._shared.is_stopping:
            return
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="ormdb-statistics", daemon=True)
            self._thread.start()
        self._shared.lock.notify_all()

    def _work(self) -> None:
        shared = self._shared
        while True:
            with shared.lock:
                shared.is_working = False
                shared.lock.notify_all()
                shared.lock.wait_for(
                    lambda: shared.is_stopping or shared.is_asked or bool(shared.due)
                )
                if shared.is_stopping:
                    return
                shared.is_asked = False
                shared.is_working = True
                number = shared.due.pop() if shared.due else None
            if number is not None:
                self._or_warn(partial(self._refresh, number), number)
            self._or_warn(self._write_found, number)

    def _or_warn(self, act: Callable[[], None], number: int | None) -> None:
        """The statistics stay as they are; whoever reads the rows is told what is wrong."""
        shared = self._shared
        try:
            act()
        except OrmdbError as error:
            _log.warning("statistics were not refreshed: %s", error)
            if number is not None:
                with shared.lock:
                    again = shared.changed.get(number, 0) + limits.STATISTICS_CHANGED_ROWS
                    shared.enough[number] = again

    def _refresh(self, number: int) -> None:
        """Analyze one entity if it has changed enough."""
        shared = self._shared
        with self._turn, self._reading() as txn:
            layout = self._layout(txn)
            entity = layout.by_id.get(number)
            if entity is None:
                return
            changed = self._changes_of([entity])
            known = self.kept.current(txn).entities.get(number)
            rows = txn.statistics(entity.rows).entries
            before = 0 if known is None else known.rows
            enough = max(
                limits.STATISTICS_CHANGED_ROWS, int(limits.STATISTICS_CHANGED_FRACTION * before)
            )
            if known is not None and max(changed[number], abs(rows - before)) < enough:
                with shared.lock:
                    shared.enough[number] = enough
                return
            records = self._analyze(txn, layout, [entity], lambda: not shared.is_stopping)
        if records is None:
            with shared.lock:
                shared.due.add(number)
            return
        with shared.lock:
            for record in records:
                shared.found[_place(record)] = record
        self._settle_changes(changed)

    def _write_found(self) -> None:
        """Keep what was found, unless somebody is writing."""
        shared = self._shared
        with shared.lock:
            found = dict(shared.found)
        if not found:
            return
        try:
            self._write(list(found.values()), wait_s=0.0)
        except BusyError:  # a commit that is in the way asks again when it is made
            with shared.lock:
                shared.patience = min(2**shared.tries, limits.STATISTICS_TRIES_COMMITS) - 1
                shared.tries += 1
            return
        with shared.lock:
            shared.tries = 0
            for place, record in found.items():
                if shared.found.get(place) is record:
                    del shared.found[place]

    # --- both ---------------------------------------------------------------------------------

    def _analyze(
        self,
        txn: ReadTransaction,
        layout: Layout,
        entities: Sequence[EntityLayout],
        go_on: GoOn,
    ) -> list[Record] | None:
        head = read_head(txn)
        assert head is not None, "a layout was read through it"
        analysis = Analysis(
            txn=txn,
            version=head.version,
            wall_us=self._clock.wall_us(),
            rng=random.Random(self._clock.random_bytes(8)),  # noqa: S311  # a sample is no secret
            go_on=go_on,
        )
        records: dict[tuple[type, int], Record] = {}
        for entity in entities:
            found = analyze_entity(analysis, entity)
            if found is None:
                return None
            records.update((_place(record), record) for record in found)
        return list(records.values())

    def _write(self, records: Sequence[Record], *, wait_s: float | None) -> None:
        write = self._engine.begin_write(wait_s=wait_s)
        try:
            write_statistics(write, records)
            write.commit()
        finally:
            write.abort()  # harmless after the commit
        with self._reading() as txn:
            self.kept.current(txn)

    def _changes_of(self, entities: Iterable[EntityLayout]) -> dict[int, int]:
        """What has changed before a snapshot that was taken already, or a little more."""
        with self._shared.lock:
            return {e.entity.id: self._shared.changed.get(e.entity.id, 0) for e in entities}

    def _settle_changes(self, seen: Mapping[int, int]) -> None:
        """Forget the changes that an analysis has seen."""
        shared = self._shared
        with shared.lock:
            for number, count in seen.items():
                shared.changed[number] = shared.changed.get(number, 0) - count
                shared.enough.pop(number, None)
                shared.due.discard(number)

    def _layout(self, txn: ReadTransaction) -> Layout:
        head = read_head(txn)
        if head is None:
            raise CorruptionError("the database lost its head record; restore a backup")
        return self._layout_at(txn, head.schema_version)

    def _row_count(self, entity: EntityLayout) -> int:
        with self._reading() as txn:
            return txn.statistics(entity.rows).entries

    @contextmanager
    def _reading(self) -> Generator[ReadTransaction]:
        txn = self._engine.begin_read()
        try:
            yield txn
        finally:
            txn.close()


def _place(record: Record) -> tuple[type, int]:
    number = record.entity_id if isinstance(record, EntityStatistics) else record.relation_id
    return type(record), number


def _age(record: EntityStatistics, changed: int) -> EntityAnalysis:
    return EntityAnalysis(
        at=_EPOCH + datetime.timedelta(microseconds=record.wall_us),
        version=record.version,
        rows=record.rows,
        looked_at=record.looked_at,
        changed=changed,
    )
