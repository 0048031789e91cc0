"""Reclaim: drop the versions that retention no longer keeps, a bounded step at a time.

    commits   1 2 3 4 5 6 7 8 9        horizon 5: as of 5 and later can be read
              ─────────┬───────        dropped: log entries 1..5, history that ended by 5
                    horizon

The log says which rows each commit ended; their history entries lead to the index entries that
ended with them.  So reclaim touches what it drops and nothing else.

Invariants (held by tests/property/test_storage_model.py):
  1. After reclaim to H every version >= H reads as before, and every version < H is refused.
  2. The horizon never passes a version that an open snapshot of this process reads.
"""

from __future__ import annotations

from collections.abc import Sequence

from ormdb.storage.changelog import LogEntry, Op, log_key, read_entries
from ormdb.storage.engine import WriteTransaction
from ormdb.storage.history import open_ended
from ormdb.storage.layout import CHANGES, ROW_KEY_BYTES, EntityLayout, Layout


def reclaim_step(
    txn: WriteTransaction, layout: Layout, *, horizon: int, target: int, commits_max: int
) -> int:
    """Drop at most `commits_max` commits beyond `horizon`, none beyond `target`.

    Returns the new horizon, which the caller writes into the head.
    """
    last = min(target, horizon + commits_max)
    if last <= horizon:
        return horizon
    for entry in list(read_entries(txn, horizon + 1, last)):
        for entity_id, keys in _ended_rows(entry):
            entity = layout.by_id.get(entity_id)
            if entity is not None:
                _drop_history(txn, layout, entity, entry.version, keys)
    dead = [
        key
        for batch in txn.scan(CHANGES, log_key(0), log_key(last + 1))
        for key, _ in batch
        if int.from_bytes(key[:8], "big") < last
    ]
    # The horizon's own entry stays: it dates the oldest version that can be read.
    txn.delete_many(CHANGES, dead)
    return last


def _ended_rows(entry: LogEntry) -> list[tuple[int, Sequence[bytes]]]:
    return [(c.entity_id, c.row_keys) for c in entry.changes if c.op is not Op.INSERT]


def _drop_history(
    txn: WriteTransaction,
    layout: Layout,
    entity: EntityLayout,
    version: int,
    row_keys: Sequence[bytes],
) -> None:
    end = version.to_bytes(8, "big")
    history_keys = [key + end for key in row_keys]
    found = txn.get_many(entity.history, history_keys)
    there = [(key, data) for key, data in zip(history_keys, found, strict=True) if data is not None]
    keys = [key[:ROW_KEY_BYTES] for key, _ in there]
    rows = entity.codec.whole.decode_batch(keys, open_ended(entity.name, there))
    for index in layout.kept[entity.name]:
        items = index.items(rows, keys)
        txn.delete_items(index.history, [(encoded, end + key) for encoded, key in items])
    txn.delete_many(entity.history, history_keys)
