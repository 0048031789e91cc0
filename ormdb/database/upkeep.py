"""What an open database offers those who look after its file: checks, backups, reclaim.

Every method is safe beside readers and writers, but `compact`, which has to be alone.
"""

from __future__ import annotations

import datetime
import os
from abc import ABC, abstractmethod

from ormdb.database.analyzing import Analyst
from ormdb.database.maintenance import (
    CompactOutcome,
    ReclaimOutcome,
    back_up,
    check_engine,
    compact_engine,
    reclaim_engine,
)
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
