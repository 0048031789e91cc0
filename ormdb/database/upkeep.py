"""What an open database offers those who look after its file.

    db.check(deep=True)                          every invariant of the file, while it is in use
    db.backup("monday.ormdb")                    the newest commit, as a file of its own
    db.archive("tuesday.archive", since=240)     what was committed since, for `ormdb.restore`
    db.changes(since=240)                        … and the same for programs, change by change
    db.compact(), db.reclaim()                   smaller files

Every method is safe beside readers and writers, but `compact`, which has to be alone.

Invariants (held by tests/unit/database/test_maintenance.py, test_archives.py and test_changes.py
beside it):
  1. What these methods leave behind is whole, or is not there.
"""

from __future__ import annotations

import datetime
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator

from ormdb.database.analyzing import Analyst
from ormdb.database.archiving import ArchiveOutcome, write_archive
from ormdb.database.changes import RowChange, changes_since
from ormdb.database.maintenance import (
    CompactOutcome,
    ReclaimOutcome,
    back_up,
    check_engine,
    compact_engine,
    reclaim_engine,
)
from ormdb.model.declaration import entity_name
from ormdb.model.entity import Entity
from ormdb.storage.engine import Engine, ReadTransaction
from ormdb.storage.findings import CheckReport
from ormdb.storage.layout import Layout
from ormdb.txn.commit import Committer


class Upkeep(ABC):
    """The part of a database that looks after its file."""

    engine: Engine
    committer: Committer
    analyst: Analyst

    def check(self, *, deep: bool = False) -> CheckReport:
        """Verify the file, while it is in use: head, schema, log and counters, or everything.

        Damage is what this looks for, so it is in the report and never an exception.  A deep
        check holds up writers while it looks at the pages of the file.
        """
        self._require_open()
        return check_engine(self.engine, deep=deep)

    def backup(self, path: str | os.PathLike[str], *, compact: bool = True) -> None:
        """Copy the newest commit to a new file, while everybody goes on.

        Args:
          path: where; nothing may be there.
          compact: leave free pages out, which takes longer and makes a smaller file.

        Raises:
          UsageError: the file exists, or its folder does not.
          CorruptionError: what was copied is not sound.
        """
        self._require_open()
        back_up(self.engine, path, compact=compact)

    def archive(self, path: str | os.PathLike[str], *, since: int) -> ArchiveOutcome:
        """Write what was committed after version `since` to a new file, while everybody goes on.

        With a backup of version `since` or later, and archives that follow each other, `restore`
        makes the database as of any commit of them.

        Raises:
          HistoryError: the log does not reach back to `since`, or it is yet to come.
          UsageError: the file exists.
        """
        self._require_open()
        return write_archive(self.engine, path, since=since)

    def changes(
        self, *, since: int, entity: str | type[Entity] | None = None, images: bool = False
    ) -> Iterator[RowChange]:
        """What the commits after version `since` did to rows, in order, up to the newest one now.

        Args:
          since: the version that is known already; 0 for none, while the log has its first entry.
          entity: only rows of this one.
          images: whether each change has the row before and after it, which costs reading them.

        Raises:
          HistoryError: the log does not reach back to `since`, or it is yet to come; also in the
            midst of an iteration that reclaim has overtaken.
        """
        self._require_open()
        name = None if entity is None else entity_name(entity)
        return changes_since(
            self.engine,
            self._layout_at,
            self.committer.clock,
            since=since,
            entity=name,
            images=images,
        )

    def compact(self) -> CompactOutcome:
        """Rewrite the file without its free pages.  Only its only user may do that.

        Raises:
          BusyError: another process, snapshot, transaction or Database has the file open.
        """
        self._require_open()
        with self.analyst.stopped():
            return compact_engine(self.engine)

    def reclaim(
        self, *, keep: datetime.timedelta | None = None, keep_versions: int | None = None
    ) -> ReclaimOutcome:
        """Drop old versions now, which commits otherwise do bit by bit.

        Args:
          keep: how long versions are kept; the retention of this database when neither is given.
          keep_versions: how many versions are kept; with `keep`, what either keeps is kept.
        """
        self._require_open()
        return reclaim_engine(
            self.committer, self._layout_at, keep=keep, keep_versions=keep_versions
        )

    @abstractmethod
    def _require_open(self) -> None:
        """Refuse to work on a database that was closed."""

    @abstractmethod
    def _layout_at(self, txn: ReadTransaction, schema_version: int) -> Layout:
        """The layout of a version of the schema."""
