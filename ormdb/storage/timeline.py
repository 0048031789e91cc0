"""Commits undone and done again, row by row: how a file gets to another version of itself.

    commit 9 updated row 41       undo                             redo, with the row as it became
      rows/3      41 -> begun 9   41 -> begun 4                    41 -> begun 9
      history/3   41 ∥ 9          gone                             41 ∥ 9 -> begun 4
      index/5     520 -> 41       517 -> 41                        520 -> 41
      changes 9                   gone                             there again

Undoing needs the log and the history alone, as long as both reach back.  Doing again needs what the
rows became, which an archive holds.  Both are exact: rows, entries, history and log are the bytes
that the commit before, or the commit itself, had left.  Only counters stay: no number is given
twice.

Invariants (held by tests/property/test_point_in_time.py):
  1. After undoing commits down to V every space but counters and statistics is as it was at V.
  2. After doing them again it is as it was before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from ormdb import limits
from ormdb.errors import CorruptionError
from ormdb.storage.changelog import LogChunk, Op, RowChanges, log_key
from ormdb.storage.engine import WriteTransaction
from ormdb.storage.findings import number_of
from ormdb.storage.history import open_ended, seal_ended
from ormdb.storage.layout import CHANGES, EntityLayout, Layout

# Gives the rows that some keys of an entity had after a commit.
Images = Callable[[EntityLayout, Sequence[bytes]], list[bytes]]


def undo_chunk(txn: WriteTransaction, layout: Layout, chunk: LogChunk) -> None:
    """Take back what one part of the newest commit's entry says, and the part itself.

    Raises:
      CorruptionError: rows, history and log do not agree.
    """
    version = chunk.entry.version
    for entity, op, keys in _steps(layout, chunk):
        now = [] if op is Op.DELETE else _current(txn, entity, keys, version)
        was = [] if op is Op.INSERT else _ended(txn, entity, keys, version)
        _undo(txn, layout, (entity, op, version), keys, (now, was))
    txn.delete_many(CHANGES, [log_key(version, chunk.number)])


def redo_chunk(txn: WriteTransaction, layout: Layout, chunk: LogChunk, images: Images) -> None:
    """Do what one part of the next commit's entry says, and write the part.

    Raises:
      CorruptionError: the rows are not those that the commit met, or made.
    """
    version = chunk.entry.version
    for entity, op, keys in _steps(layout, chunk):
        was = [] if op is Op.INSERT else _current(txn, entity, keys, None)
        new = [] if op is Op.DELETE else images(entity, keys)
        _redo(txn, layout, (entity, op, version), keys, (was, new))
    txn.put_many(CHANGES, [(log_key(version, chunk.number), chunk.data)])


def changed_keys(changes: RowChanges) -> Iterator[Sequence[bytes]]:
    """The keys of rows that a commit treated alike, so many at a time."""
    for start in range(0, len(changes.row_keys), limits.SCAN_BATCH_ROWS):
        yield changes.row_keys[start : start + limits.SCAN_BATCH_ROWS]


def _steps(layout: Layout, chunk: LogChunk) -> Iterator[tuple[EntityLayout, Op, Sequence[bytes]]]:
    for changes in chunk.entry.changes:
        entity = layout.by_id.get(changes.entity_id)
        if entity is None:
            raise CorruptionError(
                f"commit {chunk.entry.version} changed entity {changes.entity_id}, which the schema"
                " does not have; run `ormdb check --deep`"
            )
        for keys in changed_keys(changes):
            yield entity, changes.op, keys


def _undo(
    txn: WriteTransaction,
    layout: Layout,
    what: tuple[EntityLayout, Op, int],
    keys: Sequence[bytes],
    data: tuple[list[bytes], list[bytes]],
) -> None:
    (entity, op, version), (now, was) = what, data
    end = version.to_bytes(8, "big")
    old, new = _decoded(entity, keys, was), _decoded(entity, keys, now)
    for index in layout.kept[entity.name]:
        if op is Op.UPDATE:
            lost, gained = index.moved(old, new)
            txn.delete_items(index.space, [(key, keys[i]) for i, key in gained])
            txn.put_many(index.space, sorted((key, keys[i]) for i, key in lost))
        elif op is Op.INSERT:
            txn.delete_items(index.space, index.items(new, keys))
        else:
            txn.put_many(index.space, sorted(index.items(old, keys)))
        if old:
            ended = [(key, end + row_key) for key, row_key in index.items(old, keys)]
            txn.delete_items(index.history, ended)
    if op is Op.INSERT:
        txn.delete_many(entity.rows, keys)
    else:
        txn.put_many(entity.rows, sorted(zip(keys, was, strict=True)))
        txn.delete_many(entity.history, [key + end for key in keys])


def _redo(
    txn: WriteTransaction,
    layout: Layout,
    what: tuple[EntityLayout, Op, int],
    keys: Sequence[bytes],
    data: tuple[list[bytes], list[bytes]],
) -> None:
    (entity, op, version), (was, rows) = what, data
    end = version.to_bytes(8, "big")
    old, new = _decoded(entity, keys, was), _decoded(entity, keys, rows)
    for key, row in zip(keys, new, strict=False):
        if row.b != version:
            raise _disagreement(entity, key, version)
    for index in layout.kept[entity.name]:
        if op is Op.INSERT:
            txn.put_many(index.space, sorted(index.items(new, keys)))
            continue
        if op is Op.UPDATE:
            lost, gained = index.moved(old, new)
            gone = [(key, keys[i]) for i, key in lost]
            txn.put_many(index.space, sorted((key, keys[i]) for i, key in gained))
        else:
            gone = index.items(old, keys)
        txn.delete_items(index.space, gone)
        txn.put_many(index.history, sorted((key, end + row_key) for key, row_key in gone))
    if op is not Op.INSERT:
        ended = zip([key + end for key in keys], was, strict=True)
        txn.put_many(entity.history, seal_ended(ended))
    if op is Op.DELETE:
        txn.delete_many(entity.rows, keys)
    else:
        txn.put_many(entity.rows, sorted(zip(keys, rows, strict=True)))


def _decoded(entity: EntityLayout, keys: Sequence[bytes], rows: Sequence[bytes]) -> list[Any]:
    return entity.codec.whole.decode_batch(keys, rows) if rows else []


def _current(
    txn: WriteTransaction, entity: EntityLayout, keys: Sequence[bytes], version: int | None
) -> list[bytes]:
    """The rows of some keys, begun by a commit if that is given."""
    found = txn.get_many(entity.rows, keys)
    rows = [row for row in found if row is not None]
    if len(rows) < len(keys):
        raise _disagreement(entity, keys[found.index(None)], version)
    if version is not None:
        for key, begun in zip(keys, entity.codec.begins.decode_batch(keys, rows), strict=True):
            if begun.b != version:
                raise _disagreement(entity, key, version)
    return rows


def _ended(
    txn: WriteTransaction, entity: EntityLayout, keys: Sequence[bytes], version: int
) -> list[bytes]:
    """The rows as they were before a commit ended them."""
    history_keys = [key + version.to_bytes(8, "big") for key in keys]
    there = [
        (key, data)
        for key, data in zip(history_keys, txn.get_many(entity.history, history_keys), strict=True)
        if data is not None
    ]
    if len(there) < len(keys):
        known = {key for key, _ in there}
        missing = next(key for key in history_keys if key not in known)
        raise _disagreement(entity, missing[:8], version)
    return open_ended(entity.name, there)


def _disagreement(entity: EntityLayout, key: bytes, version: int | None) -> CorruptionError:
    of = "the next commit" if version is None else f"commit {version}"
    return CorruptionError(
        f"row {number_of(key)} of {entity.name} is not as {of} says in the log;"
        " run `ormdb check --deep`, and use another backup",
        entity=entity.name,
        row_keys=(key,),
    )
