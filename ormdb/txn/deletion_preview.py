"""What a delete would do, asked of what a reader sees: nothing is written, nobody waits.

    db.delete_preview(Customer.key(7))    deletes 1 Customer, 3 Order, 12 Line; refused by 1 Invoice

Invariants (held by tests/unit/txn/test_deleting.py):
  1. A delete of the same rows at the same version does exactly that.
"""

from __future__ import annotations

from collections.abc import Sequence

from ormdb.ir.deletion import DeletePreview
from ormdb.ir.mutation import Delete
from ormdb.storage.layout import ROW_KEY_BYTES, Layout, RelationLayout
from ormdb.storage.views import View
from ormdb.txn.deletion_plan import plan_delete
from ormdb.txn.ground import encoded_identities, entity_named, no_such_row


def preview_delete(layout: Layout, view: View, delete: Delete) -> DeletePreview:
    """Count what a delete would touch.

    Raises:
      QueryError: there is no such entity, or its identity has other parts.
      NotFoundError: there is no such row.
      BudgetError: it would touch more rows than its budget allows.
    """
    entity = entity_named(layout, delete.entity)
    identities = list(dict.fromkeys(delete.identities))
    keys = encoded_identities(entity, identities)
    if entity.identity is not None:
        joined = view.lookup(entity.identity, entity, keys)
        keys = [found[:ROW_KEY_BYTES] for found in joined]
    rows = view.rows(entity, [key for key in keys if key])
    found = iter(rows)
    for identity, key in zip(identities, keys, strict=True):
        if not key or next(found) is None:
            raise no_such_row(entity, identity)

    def referrers(relation: RelationLayout, keys: Sequence[bytes], limit_each: int) -> list[bytes]:
        assert relation.index is not None
        found = view.lookup(relation.index, relation.source, keys)
        return [joined[: limit_each * ROW_KEY_BYTES] for joined in found]

    return plan_delete(entity, keys, referrers, budget=delete.budget).preview()
