"""The rows of one entity that were deleted softly, against their identities.

    deleted/3            9 ∥ 7 -> time, row, seal     intact, and found by its identity
    deleted_identity/3   7 -> 9 ∥ 7                   as many as there are rows

Invariants (held by tests/unit/storage/test_check_deleted.py):
  1. A row that could not be restored is reported.
"""

from __future__ import annotations

from ormdb.storage.engine import ReadTransaction
from ormdb.storage.findings import Findings, row_place
from ormdb.storage.graveyard import PLACE_BYTES, all_buried, identity_keys
from ormdb.storage.layout import EntityLayout


def check_deleted(txn: ReadTransaction, entity: EntityLayout, findings: Findings) -> None:
    """Verify every row that was deleted softly, and that its identity leads to it."""
    spaces = entity.deleted
    if spaces is None:
        return
    count = 0
    with findings.section("space", entity.name, spaces.rows.name):
        for batch in all_buried(txn, entity):
            count += len(batch)
            keys = [one.row_key for one in batch]
            rows = entity.codec.whole.decode_batch(keys, [one.data for one in batch])
            found = txn.many(spaces.identities, identity_keys(entity, keys, rows))
            for one, joined in zip(batch, found, strict=True):
                places = range(0, len(joined), PLACE_BYTES)
                if one.place not in {joined[at : at + PLACE_BYTES] for at in places}:
                    place = row_place(spaces.rows.name, one.row_key)
                    sentence = f"the identity of a deleted row of {entity.name} is not kept"
                    findings.add("space", entity.name, place, sentence)
        kept = txn.statistics(spaces.identities).entries
        if kept != count:
            sentence = f"{kept} identities of deleted rows are kept for {count} rows"
            findings.add("space", entity.name, spaces.identities.name, sentence)
