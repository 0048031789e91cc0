"""A database file taken back to an earlier commit of its own, or on to later ones from archives.

    newest 240   ── rewind to 180 ──▶   newest 180          by the log and the history in the file
    newest 240   ── replay ──▶          newest 310          by the archives 240..280 and 280..310

Commits that stored a schema are undone and done as well: as of 180 the file has the schema that was
in force then.  They are the ones whose entry in the log names no row, and whose date is that of the
catalog's record.

Invariants (held by tests/property/test_point_in_time.py):
  1. The head names the newest commit of the log, its date, and the schema in force.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Final

from ormdb.catalog.registry import drop_record, load_bundle, put_record, read_record
from ormdb.database.archive_format import (
    ArchiveReader,
    CommitPart,
    SchemaPart,
    link_of,
)
from ormdb.errors import CorruptionError, HistoryError, UsageError
from ormdb.storage.changelog import LogChunk, open_chunk, read_chunks
from ormdb.storage.check import counter_keys
from ormdb.storage.engine import Engine, ReadTransaction, WriteTransaction
from ormdb.storage.head import (
    COUNTER_PREFIX,
    Head,
    read_counters,
    read_head,
    write_counters,
    write_head,
)
from ormdb.storage.layout import META, EntityLayout, Layout
from ormdb.storage.statistics import STATISTICS
from ormdb.storage.timeline import redo_chunk, undo_chunk

_COMMITS_PER_TRANSACTION: Final = 64  # so that what one transaction holds stays small

# Whether a commit, by its version and its date, is still wanted.
Wanted = Callable[[int, int], bool]


def the_head(txn: ReadTransaction) -> Head:
    """The head, which a database has.

    Raises:
      CorruptionError: it has none.
    """
    head = read_head(txn)
    if head is None:
        raise CorruptionError("the database lost its head record; restore a backup")
    return head


def rewind(engine: Engine, target: int) -> None:
    """Undo every commit after `target`, which the history still has to reach.

    Raises:
      HistoryError: it does not.
      CorruptionError: log, rows and history do not agree.
    """
    while True:
        txn = engine.begin_write()
        try:
            head = the_head(txn)
            if target < head.horizon:
                raise HistoryError(
                    f"commit {target} is no longer kept: history reaches back to {head.horizon}",
                    horizon=head.horizon,
                    version=target,
                )
            if head.version <= target:
                return
            for _ in range(min(_COMMITS_PER_TRANSACTION, head.version - target)):
                head = _undo_newest(txn, head)
            write_head(txn, head)
            txn.commit()
        finally:
            txn.abort()  # harmless after the commit


def _undo_newest(txn: WriteTransaction, head: Head) -> Head:
    schema_version, version = head.schema_version, head.version
    layout = Layout(load_bundle(txn, schema_version))
    is_of_rows = False
    for chunk in list(read_chunks(txn, version, version)):
        undo_chunk(txn, layout, chunk)
        is_of_rows |= bool(chunk.entry.changes)
    record = read_record(txn, schema_version)
    if not is_of_rows and record is not None and record[1] == head.wall_us and schema_version > 1:
        drop_record(txn, schema_version)
        schema_version -= 1
    before = next(read_chunks(txn, version - 1, version - 1), None)
    if before is None:
        raise CorruptionError(f"the change log has no entry of commit {version - 1}")
    return replace(
        head, version=version - 1, wall_us=before.entry.wall_us, schema_version=schema_version
    )


def forget_others(engine: Engine) -> None:
    """Drop what belongs to no commit and is of no use any more: counters of entities that the
    schema does not have, and what an analysis of other rows has left."""
    txn = engine.begin_write()
    try:
        known = counter_keys(Layout(load_bundle(txn, the_head(txn).schema_version)))
        keys = [key for batch in txn.scan(META) for key, _ in batch]
        foreign = [key for key in keys if key.startswith(COUNTER_PREFIX) and key not in known]
        txn.delete_many(META, foreign)
        txn.drop_space(STATISTICS)
        txn.commit()
    finally:
        txn.abort()  # harmless after the commit


def replay(
    engine: Engine, archive: ArchiveReader, wanted: Wanted, *, counters: dict[str, int]
) -> bool:
    """Do the commits of an archive that the file does not have; whether all of them were wanted.

    `counters` are those at its end: a number that was given out later is not given out again.

    Raises:
      HistoryError: the archive begins after the newest commit.
      UsageError: it is of another database, or of another course of events.
      CorruptionError: it is damaged.
    """
    _require_continuity(engine, archive)
    groups = groupby(archive.parts(), key=lambda part: part.version)
    while True:
        txn = engine.begin_write()
        try:
            head = the_head(txn)
            _raise_counters(txn, counters)
            is_at_end, done = True, 0
            for version, parts in groups:
                if version <= head.version:
                    _require_same(txn, version, parts)
                    continue
                made = _redo(txn, head, parts, archive, wanted)
                if made is None:
                    write_head(txn, head)
                    txn.commit()
                    return False
                head, done = made, done + 1
                if done == _COMMITS_PER_TRANSACTION:
                    is_at_end = False
                    break
            write_head(txn, head)
            txn.commit()
            if is_at_end:
                return True
        finally:
            txn.abort()  # harmless after the commit


def _redo(
    txn: WriteTransaction,
    head: Head,
    parts: Iterator[CommitPart | SchemaPart],
    archive: ArchiveReader,
    wanted: Wanted,
) -> Head | None:
    """Do one commit; the head after it, or None if it is not wanted."""
    layout: Layout | None = None
    for part in parts:
        if isinstance(part, SchemaPart):
            head = replace(head, schema_version=part.schema_version)
            if not wanted(part.version, part.wall_us):
                return None
            put_record(txn, part.schema_version, part.data)
            continue
        chunk = open_chunk(part.version, part.number, part.data)
        if not wanted(part.version, chunk.entry.wall_us):
            return None
        if part.number == 0 and part.version != head.version + 1:
            raise CorruptionError(f"the archive lacks commit {head.version + 1}; use another one")
        layout = layout or Layout(load_bundle(txn, head.schema_version))

        def images(_: EntityLayout, keys: Sequence[bytes]) -> list[bytes]:
            return archive.rows(len(keys))

        redo_chunk(txn, layout, chunk, images)
        head = replace(head, version=part.version, wall_us=chunk.entry.wall_us)
    return head


def _require_continuity(engine: Engine, archive: ArchiveReader) -> None:
    txn = engine.begin_read()
    try:
        head = the_head(txn)
        if archive.database_id != head.database_id:
            raise UsageError(f"{archive.path} is of another database; give one of this one")
        if archive.since > head.version:
            raise HistoryError(
                f"{archive.path} begins after commit {archive.since}, and what it is to follow ends"
                f" with {head.version}; give the archive between them as well",
                horizon=archive.since,
                version=head.version,
            )
        if archive.since >= head.horizon:
            chunk = next(read_chunks(txn, archive.since, archive.since), None)
            if chunk is None or link_of(chunk.data) != archive.link:
                raise _other_course(archive.path, archive.since)
    finally:
        txn.close()


def _require_same(
    txn: WriteTransaction, version: int, parts: Iterator[CommitPart | SchemaPart]
) -> None:
    """A commit that the file has already has to be the one of the archive."""
    known = {chunk.number: chunk for chunk in _known(txn, version)}
    for part in parts:
        if isinstance(part, CommitPart) and known:
            chunk = known.get(part.number)
            if chunk is None or chunk.data != part.data:
                raise _other_course("the archive", version)


def _known(txn: WriteTransaction, version: int) -> list[LogChunk]:
    """The entry of a commit; nothing if history does not reach that far."""
    return list(read_chunks(txn, version, version))


def _raise_counters(txn: WriteTransaction, counters: dict[str, int]) -> None:
    """No number that was given out after the backup is given out again."""
    names = sorted(counters)
    now = dict(zip(names, read_counters(txn, names), strict=True))
    write_counters(txn, {name: max(now[name], counters[name]) for name in names})


def _other_course(path: str, version: int) -> UsageError:
    return UsageError(
        f"{path} tells another course of events than the backup, from commit {version} on: one of"
        " them is of a database that was restored to an earlier moment and written to since"
    )
