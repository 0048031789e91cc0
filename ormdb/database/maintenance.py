"""Maintenance: check, backup, restore, compact, reclaim.

    db.check(deep=True)         every invariant of the file, while it is in use
    db.backup("monday.ormdb")   a hot copy, opened and looked over before it gets its name
    restore("monday.ormdb", "flights.ormdb")     the copy is verified before anything is replaced
    restore(..., archives=[...], as_of=240)      … and taken to the commit that is asked for
    db.compact()                the file rewritten without its free pages, by its only user
    db.reclaim(keep=...)        old versions dropped now, rather than with the commits to come

    monday.ormdb-partial  ──checked──▶  monday.ormdb       a name means a whole database: what is
                                                           not finished has another one

Invariants (held by tests/unit/database/test_maintenance.py and tests/crash/test_kill.py):
  1. A backup is one commit of the database, and opens like the database itself.
  2. Whatever fails, or is killed at whatever point, the file that was there is there and whole.
"""

from __future__ import annotations

import datetime
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final, Protocol, runtime_checkable

from ormdb import limits
from ormdb.catalog.registry import load_bundle
from ormdb.database.archive_format import ArchiveReader, look_through
from ormdb.database.reading import require_as_of, resolve_version, wall_us_of
from ormdb.database.timetravel import forget_others, replay, rewind, the_head
from ormdb.errors import CorruptionError, OrmdbError, UsageError
from ormdb.ir.graph import AsOf
from ormdb.storage.check import check
from ormdb.storage.engine import Engine, ReadTransaction
from ormdb.storage.findings import CheckReport, Findings
from ormdb.storage.head import Head, read_head, write_head
from ormdb.storage.layout import CATALOG, Layout
from ormdb.storage.lmdb import LmdbEngine
from ormdb.storage.lmdb.replacing import lock_path, name_new, replace_unused
from ormdb.storage.reclaim import reclaim_step
from ormdb.txn.commit import Committer

_PARTIAL: Final = "-partial"
_EPOCH: Final = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


@runtime_checkable
class _VerifiesPages(Protocol):
    """An engine that can look at its own pages without trusting them."""

    def verify_pages(self) -> list[str]:
        """Every problem in the structure of the file, in words."""
        ...


@runtime_checkable
class _Compacts(Protocol):
    """An engine that can rewrite its file."""

    def compact(self) -> None:
        """Rewrite the file without its free pages."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ReclaimOutcome:
    """What reclaim left: versions from `horizon` on can be read; `dropped` can no longer be."""

    horizon: int
    dropped: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CompactOutcome:
    """The size of the file before and after."""

    bytes_before: int
    bytes_after: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreOutcome:
    """Which commit a restored database has as its newest, of which schema, and when it was made."""

    version: int
    schema_version: int
    at: datetime.datetime


def check_engine(engine: Engine, *, deep: bool) -> CheckReport:
    """Verify an open database.

    A deep check looks at the engine's pages first, and only if they are sound at what is on
    them: to walk damaged pages could end the process.
    """
    findings = Findings()
    if deep and isinstance(engine, _VerifiesPages):
        for sentence in engine.verify_pages():
            findings.add("page", None, "pages", sentence)
    if findings.problems:
        return findings.report(deep=deep, version=0)
    txn = engine.begin_read()
    try:
        layout = _check_catalog(txn, findings)
        if layout is None:
            return findings.report(deep=deep, version=0)
        return check(txn, layout, deep=deep, findings=findings)
    finally:
        txn.close()


def back_up(engine: Engine, path: str | os.PathLike[str], *, compact: bool) -> None:
    """Copy the newest commit to a new file, look the copy over, and give it its name.

    Raises:
      UsageError: the target exists.
      CorruptionError: the copy is not sound, so the database is not.
    """
    target = Path(path)
    _refuse_existing(target)
    unfinished = _begin_partial(target)
    try:
        engine.copy_to(str(unfinished), compact=compact)
        _verify(unfinished, deep=False)
        _publish(unfinished, target, overwrite=False)
    finally:
        _forget(unfinished)


def restore(
    backup_path: str | os.PathLike[str],
    target_path: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    as_of: AsOf | None = None,
    archives: Iterable[str | os.PathLike[str]] = (),
) -> RestoreOutcome:
    """Make a database out of a backup, which is verified as a whole first.

    Args:
      backup_path: the backup; it stays as it is.
      target_path: where the database shall be.
      overwrite: whether a database that is there may be replaced.
      as_of: a version, or a moment, whose state it shall have; the newest there is if not given.
        Before the backup's newest commit, its log and history have to reach back to it.
      archives: what was committed since the backup, in any order; see `Database.archive`.

    Raises:
      UsageError: the target exists and may not be replaced, or an archive is of another database.
      BusyError: the target is in use.
      HistoryError: neither the backup nor the archives reach `as_of`.
      FormatError, CorruptionError: the backup or an archive is not one, or is damaged; nothing was
        replaced.
    """
    target = Path(target_path)
    if not overwrite:
        _refuse_existing(target)
    unfinished = _begin_partial(target)
    try:
        engine = LmdbEngine.open(backup_path, read_only=True, create=False)
        try:
            _require_sound(check_engine(engine, deep=True), str(backup_path))
            engine.copy_to(str(unfinished), compact=False)
        finally:
            engine.close()
        is_moved = _move_in_time(unfinished, as_of, archives)
        outcome = _verify(unfinished, deep=is_moved)
        _publish(unfinished, target, overwrite=overwrite)
        return outcome
    finally:
        _forget(unfinished)


def compact_engine(engine: Engine) -> CompactOutcome:
    """Rewrite the file of an engine in place; its path leads to the old file or to the new one.

    Raises:
      BusyError: somebody else has the file open, or a snapshot or transaction is open here.
    """
    before = _file_bytes(engine)
    if isinstance(engine, _Compacts):
        engine.compact()
    return CompactOutcome(bytes_before=before, bytes_after=_file_bytes(engine))


def reclaim_engine(
    committer: Committer,
    layout_at: Callable[[ReadTransaction, int], Layout],
    *,
    keep: datetime.timedelta | None,
    keep_versions: int | None,
) -> ReclaimOutcome:
    """Drop what need not be kept, in commits of RECLAIM_COMMITS_PER_STEP versions each.

    Raises:
      UsageError: less than nothing, or less than the newest version, is to be kept.
    """
    if keep is not None and keep < datetime.timedelta(0):
        raise UsageError(f"history cannot be kept for {keep}; give a timedelta of 0 or more")
    if keep_versions is not None and keep_versions < 1:
        raise UsageError(f"{keep_versions} versions cannot be kept; the newest always is, give 1")
    first: int | None = None
    while True:
        txn = committer.engine.begin_write()
        try:
            head = _head(txn)
            first = head.horizon if first is None else first
            target = committer.reclaimable(
                txn,
                head,
                wall_us=max(committer.clock.wall_us(), head.wall_us),
                retention_us=_retention_us(keep, keep_versions),
            )
            if keep_versions is not None:
                target = min(target, head.version - keep_versions + 1)
            horizon = reclaim_step(
                txn,
                layout_at(txn, head.schema_version),
                horizon=head.horizon,
                target=target,
                commits_max=limits.RECLAIM_COMMITS_PER_STEP,
            )
            if horizon == head.horizon:
                return ReclaimOutcome(horizon=horizon, dropped=horizon - first)
            write_head(txn, replace(head, horizon=horizon))
            txn.commit()
        finally:
            txn.abort()  # harmless after the commit


def _retention_us(keep: datetime.timedelta | None, keep_versions: int | None) -> int | None:
    """None stands for the retention of the database, which versions to keep replace."""
    if keep is not None:
        return keep // datetime.timedelta(microseconds=1)
    return None if keep_versions is None else 0


def _check_catalog(txn: ReadTransaction, findings: Findings) -> Layout | None:
    """Read every version of the schema; the layout of the newest, if it can be read."""
    layout: Layout | None = None
    heads: list[Head] = []
    with findings.section("head", None, "meta"):
        heads.append(_head(txn))
    if not heads:
        return None
    head = heads[0]
    for version in range(1, head.schema_version + 1):
        try:
            bundle = load_bundle(txn, version)
        except OrmdbError as error:
            findings.add("catalog", None, f"{CATALOG.name} {version}", error.message)
            continue
        if version == head.schema_version:
            layout = Layout(bundle)
    stored = txn.statistics(CATALOG).entries
    if stored != head.schema_version:
        sentence = f"the catalog has {stored} versions, the head names {head.schema_version}"
        findings.add("catalog", None, CATALOG.name, sentence)
    return layout


def _head(txn: ReadTransaction) -> Head:
    head = read_head(txn)
    if head is None:
        raise CorruptionError("the database lost its head record; restore a backup")
    return head


def _move_in_time(
    path: Path, as_of: AsOf | None, archives: Iterable[str | os.PathLike[str]]
) -> bool:
    """Take a copy to another version, and onto the disk; whether it was taken anywhere."""
    found = sorted(map(look_through, archives), key=lambda archive: archive.since)
    if as_of is None and not found:
        return False
    require_as_of(as_of)
    # Until it gets its name nobody needs it, so one sync at the end is enough.
    engine = LmdbEngine.open(path, create=False, durability="none")
    try:
        for archive in found:
            with ArchiveReader(archive.path) as reader:
                if not replay(
                    engine, reader, partial(_is_wanted, as_of), counters=archive.counters
                ):
                    break
        txn = engine.begin_read()
        try:
            target = resolve_version(txn, the_head(txn), as_of)
        finally:
            txn.close()
        rewind(engine, target)
        forget_others(engine)
        engine.sync()
    finally:
        engine.close()
    return True


def _is_wanted(as_of: AsOf | None, version: int, wall_us: int) -> bool:
    """Whether a commit lies at or before a version or a moment."""
    if as_of is None:
        return True
    if isinstance(as_of, int):
        return version <= as_of
    return wall_us <= wall_us_of(as_of)


def _verify(path: Path, *, deep: bool) -> RestoreOutcome:
    """Open a copy as a database would be opened, and see that it is sound."""
    engine = LmdbEngine.open(path, read_only=True, create=False)
    try:
        _require_sound(check_engine(engine, deep=deep), str(path))
        txn = engine.begin_read()
        try:
            head = the_head(txn)
        finally:
            txn.close()
        return RestoreOutcome(
            version=head.version,
            schema_version=head.schema_version,
            at=_EPOCH + datetime.timedelta(microseconds=head.wall_us),
        )
    finally:
        engine.close()


def _require_sound(report: CheckReport, path: str) -> None:
    if report.problems:
        count = len(report.problems) + report.more
        raise CorruptionError(
            f"{path} is not sound: {report.problems[0].sentence} ({count} problem(s) in all); "
            "use another backup",
            problems=report.problems,
        )


def _refuse_existing(target: Path) -> None:
    if target.exists():
        raise UsageError(f"{target} exists; give the path of a new file")


def _begin_partial(target: Path) -> Path:
    """The name of what is not finished; what an earlier try left under it is removed."""
    partial = target.with_name(target.name + _PARTIAL)
    _forget(partial)
    return partial


def _forget(partial: Path) -> None:
    partial.unlink(missing_ok=True)
    lock_path(partial).unlink(missing_ok=True)


def _publish(partial: Path, target: Path, *, overwrite: bool) -> None:
    """Give a finished file its name, in one step."""
    if overwrite and target.exists():
        replace_unused(target, partial)
    else:
        name_new(partial, target)


def _file_bytes(engine: Engine) -> int:
    return 0 if engine.path is None else Path(engine.path).stat().st_size
