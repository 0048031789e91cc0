"""Archives: what was committed since a version, written to a file beside backups.

    monday.ormdb          a backup at commit 240
    tuesday.archive       db.archive(..., since=240)      commits 241 to 280
    wednesday.archive     db.archive(..., since=280)      commits 281 to 310

With a backup and the archives after it, `restore` makes the database as of any commit of them.  An
archive is read from the change log, the history and the rows, a few commits from each snapshot, so
it pins nothing and writers go on.

Invariants (held by tests/unit/database/test_archives.py):
  1. An archive has every commit after `since` up to the newest one when it was begun.
  2. What is not finished has no archive's name.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from ormdb.catalog.registry import load_bundle, read_record
from ormdb.database.archive_format import ArchiveWriter, CommitPart, SchemaPart, link_of
from ormdb.database.timetravel import the_head
from ormdb.errors import CorruptionError, HistoryError
from ormdb.storage.changelog import LogChunk, Op, read_chunks
from ormdb.storage.engine import Engine, ReadTransaction
from ormdb.storage.findings import number_of
from ormdb.storage.head import COUNTER_PREFIX, Head, read_counters
from ormdb.storage.layout import META, Layout
from ormdb.storage.lmdb.faults import translate
from ormdb.storage.lmdb.replacing import name_new
from ormdb.storage.timeline import changed_keys
from ormdb.storage.views import PastView

_COMMITS_PER_SNAPSHOT: Final = 256  # short snapshots pin few pages


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveOutcome:
    """What an archive holds: commits after `since` up to `version`."""

    since: int
    version: int
    commits: int
    bytes: int


def write_archive(engine: Engine, path: str | os.PathLike[str], *, since: int) -> ArchiveOutcome:
    """Write every commit after `since` to a new file.

    Raises:
      HistoryError: the log does not reach back to `since`, or it is yet to come.
      UsageError: the file exists.
      StorageFullError, StorageIOError: it could not be written; nothing is left of it.
    """
    target = Path(path)
    partial = target.with_name(target.name + "-partial")
    try:
        with _writing(partial) as file:
            outcome = _write(engine, file, since)
        name_new(partial, target)
    finally:
        partial.unlink(missing_ok=True)
    return outcome


def require_reach(head: Head, since: int) -> None:
    """See that the log has every commit after `since`.

    Raises:
      HistoryError: it has not, or the commit is yet to come.
    """
    if since < head.horizon and not (since == 0 and head.horizon == 1):
        raise HistoryError(
            f"changes since commit {since} are no longer kept: the log reaches back to commit"
            f" {head.horizon}; begin again with a backup or a snapshot, or keep more with a longer"
            " retention",
            horizon=head.horizon,
            version=since,
        )
    if since > head.version:
        raise HistoryError(
            f"commit {since} has not been made yet; the newest is {head.version}",
            horizon=head.horizon,
            version=since,
        )


@contextmanager
def _writing(partial: Path) -> Generator[BinaryIO]:
    """A new file, on the disk at the end."""
    try:
        partial.unlink(missing_ok=True)
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise translate(error, str(partial), "writing the archive") from error


def _write(engine: Engine, file: BinaryIO, since: int) -> ArchiveOutcome:
    txn = engine.begin_read()
    try:
        head = the_head(txn)
        require_reach(head, since)
        link = b"" if since == 0 else link_of(_first_chunk(txn, since).data)
    finally:
        txn.close()
    writer = ArchiveWriter(file, database_id=head.database_id, since=since, link=link)
    done = since
    while done < head.version:
        txn = engine.begin_read()
        try:
            require_reach(the_head(txn), done)
            last = min(done + _COMMITS_PER_SNAPSHOT, head.version)
            _write_commits(txn, writer, done + 1, last)
        finally:
            txn.close()
        done = last
    writer.end(_counters(engine))
    return ArchiveOutcome(
        since=since, version=head.version, commits=writer.commits, bytes=file.tell()
    )


def _write_commits(txn: ReadTransaction, writer: ArchiveWriter, first: int, last: int) -> None:
    schemas = _schema_dates(txn)
    layout = Layout(load_bundle(txn, the_head(txn).schema_version))
    expected = first
    for chunk in read_chunks(txn, first, last):
        entry = chunk.entry
        if chunk.number == 0:
            if entry.version != expected:
                raise CorruptionError(f"the change log has no entry of commit {expected}")
            expected += 1
            if not entry.changes:
                for schema_version in schemas.get(entry.wall_us, ()):
                    _write_schema(txn, writer, chunk, schema_version)
        writer.commit(CommitPart(version=entry.version, number=chunk.number, data=chunk.data))
        _write_rows(txn, writer, layout, chunk)


def _write_rows(
    txn: ReadTransaction, writer: ArchiveWriter, layout: Layout, chunk: LogChunk
) -> None:
    view = PastView(txn, chunk.entry.version)
    for changes in chunk.entry.changes:
        if changes.op is Op.DELETE:
            continue
        entity = layout.by_id[changes.entity_id]
        for keys in changed_keys(changes):
            rows = view.rows(entity, keys)
            there = [row for row in rows if row is not None]
            if len(there) < len(rows):
                raise CorruptionError(
                    f"commit {view.version} wrote row {number_of(keys[rows.index(None)])} of"
                    f" {entity.name}, which is not there; run `ormdb check --deep`"
                )
            writer.rows(there)


def _schema_dates(txn: ReadTransaction) -> dict[int, list[int]]:
    """The versions of the schema by the date of the commit that stored them."""
    dates: dict[int, list[int]] = {}
    for version in range(1, the_head(txn).schema_version + 1):
        record = read_record(txn, version)
        if record is not None:
            dates.setdefault(record[1], []).append(version)
    return dates


def _write_schema(
    txn: ReadTransaction, writer: ArchiveWriter, chunk: LogChunk, schema_version: int
) -> None:
    record = read_record(txn, schema_version)
    assert record is not None, "its date was read a moment ago"
    data, wall_us = record
    writer.schema(
        SchemaPart(
            version=chunk.entry.version, wall_us=wall_us, schema_version=schema_version, data=data
        )
    )


def _first_chunk(txn: ReadTransaction, version: int) -> LogChunk:
    chunk = next(read_chunks(txn, version, version), None)
    if chunk is None:
        raise CorruptionError(f"the change log has no entry of commit {version}")
    return chunk


def _counters(engine: Engine) -> dict[str, int]:
    """The last numbers that were given out, at least those of the commits that were written."""
    txn = engine.begin_read()
    try:
        names = [
            key[len(COUNTER_PREFIX) :].decode()
            for batch in txn.scan(META, COUNTER_PREFIX, COUNTER_PREFIX + b"\xff")
            for key, _ in batch
        ]
        return dict(zip(names, read_counters(txn, names), strict=True))
    finally:
        txn.close()
