"""Edges of a many-to-many relation are added and removed, as rows of the edge entity.

    connect Movie 1 .actors Person 7, 8     Cast (1, 7) is there: unchanged    Cast (1, 8): created
    disconnect ... Person 7                 Cast (1, 7): deleted
    set ... Person 8, 9                     Cast (1, 9): created, any other edge goes

Doing it twice does the same as doing it once.  An edge between two rows is known by these; where
the identity of the edge entity has further fields, and they are given, by these as well.

Invariants (held by tests/unit/database/test_saving.py):
  1. After "add" there is an edge to each target; after "remove" none; after "set" to no other row.
  2. Edges that are there already with the values given are not written.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

from ormdb.errors import QueryError
from ormdb.ir.expr import And, Compare, Expr, FieldRef, Literal
from ormdb.ir.graph import GraphQuery
from ormdb.ir.mutation import Connect, Effect, MutationOutcome
from ormdb.ir.value import RowDict, Value
from ormdb.storage.layout import EntityLayout, RelationLayout
from ormdb.storage.records import shown_value
from ormdb.txn.assign import Assigner
from ormdb.txn.change import ChangedRows, judge, read_rows, write
from ormdb.txn.constraints import identity_of
from ormdb.txn.deleting import delete_rows
from ormdb.txn.ground import Ground
from ormdb.txn.upsert import Create, all_of

Key: TypeAlias = tuple[Value, ...]


def connect(
    ground: Ground, entity: EntityLayout, wanted: Connect, create: Create
) -> MutationOutcome:
    """Add or remove edges; the edges touched, and what became of each.

    Raises:
      QueryError: the relation is not many-to-many.
      NotFoundError: the row or a target is not there.
      ConstraintError: a constraint refuses an edge.
    """
    near, far = _relations(ground, entity, wanted.through)
    edge = near.source
    own = _referred(ground, near, [wanted.identity])[0]
    targets = list(dict.fromkeys(_referred(ground, far, wanted.targets)))
    given = dict(zip(near.relation.fields, own, strict=True))
    apart = [
        name
        for name in edge.entity.identity
        if name in wanted.values and name not in (*near.relation.fields, *far.relation.fields)
    ]
    names = (*far.relation.fields, *apart)
    told = tuple(wanted.values[name] for name in apart)
    edges = ChangedRows.of(edge)
    read_rows(ground, edges, ground.select(_query(edge, given)))
    by_target: dict[Key, list[int]] = {}
    for at, row in enumerate(edges.old):
        by_target.setdefault(_values(edge, row, names), []).append(at)
    there = {target: by_target.get((*target, *told), []) for target in targets}
    identities: list[Key] = []
    effects: list[Effect] = []
    if wanted.mode != "add":
        chosen = {at for places in there.values() for at in places}
        is_set = wanted.mode == "set"
        leaving = [at for at in range(len(edges.keys)) if (at in chosen) != is_set]
        if leaving:
            identities += delete_rows(ground, edge, [edges.keys[at] for at in leaving])
        effects += all_of("deleted", len(leaving))
    if wanted.mode != "remove":
        kept = edges.part([at for places in there.values() for at in places])
        values = {name: value for name, value in wanted.values.items() if name not in apart}
        assigner = Assigner(ground, edge, values)
        assigner.set_on(kept.new, kept.old)
        moved = kept.moved(range(edge.codec.slot_count))
        judge(ground, kept.part(moved))
        write(ground, kept.part(moved))
        identities += [identity_of(edge, row) for row in kept.old]
        touched = all_of("unchanged", len(kept.old))
        for at in moved:
            touched[at] = "updated"
        effects += touched
        new: list[RowDict] = [
            {**wanted.values, **given, **dict(zip(far.relation.fields, target, strict=True))}
            for target, places in there.items()
            if not places
        ]
        identities += create(edge, new, {}) if new else []
        effects += all_of("created", len(new))
    return MutationOutcome(entity=edge.name, identities=tuple(identities), effects=tuple(effects))


def _relations(
    ground: Ground, entity: EntityLayout, name: str
) -> tuple[RelationLayout, RelationLayout]:
    """The relations of the edge entity to this row, and to the other side."""
    through = ground.layout.throughs.get((entity.name, name))
    if through is None:
        known = [each for owner, each in ground.layout.throughs if owner == entity.name]
        raise QueryError(
            f"{entity.name}.{name} has no edges to connect; its many-to-many relations are "
            f"{', '.join(known) or 'none'}: for others, update the row that has the foreign key",
            entity=entity.name,
            relation=name,
        )
    relations = ground.layout.relations
    return relations[through.edge, through.near], relations[through.edge, through.far]


def _referred(ground: Ground, relation: RelationLayout, identities: Sequence[Key]) -> list[Key]:
    """What the foreign keys hold that lead to these rows, all of which have to be there."""
    target = relation.target
    keys, rows = ground.find(target, identities)
    decoded = target.codec.whole.decode_batch(keys, rows)
    return [_values(target, row, relation.relation.target_fields) for row in decoded]


def _query(edge: EntityLayout, given: RowDict) -> GraphQuery:
    parts: list[Expr] = [
        Compare(op="==", left=FieldRef(path=(name,)), right=Literal(value=value))
        for name, value in given.items()
    ]
    return GraphQuery(
        entity=edge.name, filter=parts[0] if len(parts) == 1 else And(items=tuple(parts))
    )


def _values(entity: EntityLayout, row: Any, names: Sequence[str]) -> Key:
    fields = [entity.fields[name] for name in names]
    return tuple(shown_value(one.type, getattr(row, f"s{one.slot}")) for one in fields)
