"""A delete is carried out as it was planned: refused, or in chunks of bounded size.

    plan        Customer 7, Orders 1 2 3, Lines 10 .. 21 go; 2 Notes refer to nothing
    refused?    not one byte was written yet
    Notes       order -> NULL, checked as any update is, put in chunks
    the rest    taken away in chunks, entity by entity; kept aside where deletes are soft

What is set to NULL has to keep checks, partial unique indexes and references of its own, as any
update has to.  That is seen chunk by chunk; whoever applies the statement undoes all of it when it
is refused midway.

On delete restrict is asked once the whole statement is known, as SQL does for constraints that are
checked when a statement ends: a row that goes with the statement, whichever way it was reached,
refuses nothing.

Invariants (held by tests/unit/txn/test_deleting.py and tests/property/test_writes_model.py):
  1. A delete that is refused has changed nothing.
  2. No more than DELETE_CHUNK_ROWS rows are held decoded at a time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from ormdb import limits
from ormdb.ir.value import Value
from ormdb.pulse import beat
from ormdb.storage.graveyard import bury
from ormdb.storage.layout import EntityLayout, RelationLayout
from ormdb.txn.assign import Assigner
from ormdb.txn.change import ChangedRows, judge, read_rows, write
from ormdb.txn.constraints import identity_of, still_referred
from ormdb.txn.deletion_plan import DeletePlan, plan_delete
from ormdb.txn.ground import Ground


def delete_rows(
    ground: Ground, entity: EntityLayout, keys: Sequence[bytes], *, budget: int | None = None
) -> list[tuple[Value, ...]]:
    """Delete rows that are there, and do with what refers to them as relations say; the identities
    of the rows themselves.

    Raises:
      ForeignKeyError: rows that stay refer to rows that go.
      ConstraintError: a row that refers to nothing now breaks a constraint.
      BudgetError: more rows would be touched than `budget`, or DELETE_ROWS_MAX, allows.
    """

    def referrers(relation: RelationLayout, keys: Sequence[bytes], limit_each: int) -> list[bytes]:
        assert relation.index is not None, "an enforced relation can be followed back"
        return ground.txn.many(relation.index.space, keys, limit_each=limit_each)

    plan = plan_delete(entity, keys, referrers, budget=budget)
    identities: list[tuple[Value, ...]] = []
    for part in _chunks(keys, in_order=False):
        rows = entity.codec.whole.decode_batch(part, ground.rows(entity, part))
        identities += [identity_of(entity, row) for row in rows]
    if plan.refused:
        raise _refusal(ground, *plan.refused[0])
    _carry_out(ground, plan)
    return identities


def _refusal(ground: Ground, relation: RelationLayout, key: bytes, count: int) -> Exception:
    entity = relation.target
    rows = entity.codec.whole.decode_batch([key], ground.rows(entity, [key]))
    return still_referred(relation, rows[0], count)


def _carry_out(ground: Ground, plan: DeletePlan) -> None:
    for name, keys in plan.going.items():
        entity = plan.entities[name]
        for relation in entity.incoming:
            ground.probes.forget_target(relation)
        for part in _chunks(keys):
            beat()
            rows = ground.rows(entity, part)
            if entity.deleted is not None:
                version, wall_us = ground.writer.version, ground.moment.wall_us
                bury(ground.txn, entity, part, rows, version=version, wall_us=wall_us)
            ground.writer.remove(entity, part, rows)
    _set_null(ground, plan)
    for relation, late in plan.late.items():
        for part in _chunks(late):
            beat()
            _leave(ground, relation, part)


def _set_null(ground: Ground, plan: DeletePlan) -> None:
    """Let rows refer to nothing, by all relations that say so together."""
    by_entity: dict[EntityLayout, dict[bytes, tuple[str, ...]]] = {}
    for relation, keys in plan.nulled.items():
        names = by_entity.setdefault(relation.source, {})
        for key in keys:
            names[key] = (*names.get(key, ()), *relation.relation.fields)
    for entity, names in by_entity.items():
        groups: dict[tuple[str, ...], list[bytes]] = {}
        for key, fields in names.items():
            groups.setdefault(fields, []).append(key)
        for fields, those in groups.items():
            assigner = Assigner(ground, entity, dict.fromkeys(fields))
            for part in _chunks(those):
                beat()
                changed = ChangedRows.of(entity)
                read_rows(ground, changed, part)
                assigner.set_on(changed.new, changed.old)
                judge(ground, changed)
                write(ground, changed)


def _leave(ground: Ground, relation: RelationLayout, keys: list[bytes]) -> None:
    """Rows lead nowhere until the commit ends, where they are looked at again."""
    entity = relation.source
    before = ground.rows(entity, keys)
    rows = ground.decoded(entity, keys, before)
    unresolved: list[int] = []
    values = ground.probes.resolve_targets(relation, rows, unresolved=unresolved)
    if relation.mode == "slot":
        ground.writer.replace(entity, keys, before, rows)
    waited = [value for at in unresolved if (value := values[at]) is not None]
    ground.deferred.wait(relation, [keys[at] for at in unresolved], waited)


def _chunks(keys: Iterable[bytes], *, in_order: bool = True) -> Iterator[list[bytes]]:
    """Keys some thousands at a time: in the order of the store, or as they are."""
    ordered = sorted(keys) if in_order else list(keys)
    for start in range(0, len(ordered), limits.DELETE_CHUNK_ROWS):
        yield ordered[start : start + limits.DELETE_CHUNK_ROWS]
