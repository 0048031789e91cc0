"""What a delete reaches, found level by level before anything is written.

    delete Customer 7                level 0   Customer  7
      Order.customer  cascade        level 1   Order     1 2 3          one batched read
      Line.order      cascade        level 2   Line      10 .. 21       one batched read
      Note.order      set_null                 2 notes   refer to nothing
      Invoice.order   restrict                 1 invoice refuses, unless it goes as well

Rows are known by their keys; none is read.  A row that was reached is not reached again, so
circles end.  What restrict, set null and no action say is asked at the end, of all rows that go:
a row that goes itself refuses nothing, and one that no longer refers, either.

Invariants (held by tests/unit/txn/test_deleting.py and tests/property/test_writes_model.py):
  1. The referrers of the rows of one level are read in batches, never row by row.
  2. No more rows are held than the budget allows, and a BudgetError names where it was passed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Protocol, TypeAlias

from ormdb import limits
from ormdb.errors import BudgetError
from ormdb.ir.deletion import DeleteAction, DeleteEffect, DeletePreview
from ormdb.ir.schema import OnDelete
from ormdb.storage.batches import split_ids
from ormdb.storage.layout import EntityLayout, RelationLayout

Path: TypeAlias = tuple[str, ...]


class Referrers(Protocol):
    """Finds the rows that refer to rows."""

    def __call__(
        self, relation: RelationLayout, keys: Sequence[bytes], limit_each: int
    ) -> list[bytes]:
        """The joined keys of the rows that refer to each row; at most so many, if it can."""
        ...


RelatedKeys: TypeAlias = dict[RelationLayout, dict[bytes, None]]


@dataclass(slots=True)
class DeletePlan:
    """Everything a delete does, by row keys; `nulled` and `late` rows do not go themselves."""

    root: EntityLayout
    entities: dict[str, EntityLayout] = field(default_factory=dict[str, EntityLayout])
    # Rows that go, by entity, in the order they were reached; the roots come first.
    going: dict[str, dict[bytes, None]] = field(default_factory=dict[str, dict[bytes, None]])
    nulled: RelatedKeys = field(default_factory=dict[RelationLayout, dict[bytes, None]])
    late: RelatedKeys = field(default_factory=dict[RelationLayout, dict[bytes, None]])
    # Rows that may not go, with how many rows refuse it.
    refused: list[tuple[RelationLayout, bytes, int]] = field(
        default_factory=list[tuple[RelationLayout, bytes, int]]
    )
    cascaded: dict[RelationLayout | None, int] = field(
        default_factory=dict[RelationLayout | None, int]
    )

    def preview(self) -> DeletePreview:
        """The plan as counts."""
        effects: list[DeleteEffect] = []

        def note(action: DeleteAction, relation: RelationLayout | None, count: int) -> None:
            entity = self.root.name if relation is None else relation.source.name
            name = None if relation is None else relation.name
            if count:
                made = DeleteEffect(action=action, entity=entity, relation=name, count=count)
                effects.append(made)

        for cascade, count in self.cascaded.items():
            note("deletes", cascade, count)
        for relation, keys in self.nulled.items():
            note("set_null", relation, len(keys))
        for relation, keys in self.late.items():
            note("late", relation, len(keys))
        refusing: dict[RelationLayout, int] = {}
        for relation, _, count in self.refused:
            refusing[relation] = refusing.get(relation, 0) + count
        for relation, count in refusing.items():
            note("refused", relation, count)
        return DeletePreview(effects=tuple(effects))


def plan_delete(
    entity: EntityLayout, keys: Sequence[bytes], referrers: Referrers, *, budget: int | None = None
) -> DeletePlan:
    """Find what deleting rows reaches.

    Args:
      entity: that of the rows.
      keys: of the rows, which exist.
      referrers: how rows are found that refer to others.
      budget: how many rows may be touched; DELETE_ROWS_MAX when not given.

    Raises:
      BudgetError: more would be.
    """
    planner = _Planner(entity, referrers, limits.DELETE_ROWS_MAX if budget is None else budget)
    planner.reach(keys)
    planner.settle()
    return planner.plan


class _Planner:
    """Finds one plan."""

    def __init__(self, entity: EntityLayout, referrers: Referrers, budget: int) -> None:
        self.plan = DeletePlan(entity)
        self._referrers = referrers
        self._budget = budget
        self._touched = 0

    def reach(self, keys: Sequence[bytes]) -> None:
        """Follow relations that cascade, a level at a time, until nothing new is found."""
        root = self.plan.root
        path: Path = (root.name,)
        level = {root.name: (path, self._go(None, root, keys, path))}
        while level:
            following: dict[str, tuple[Path, list[bytes]]] = {}
            for name, (path, reached) in level.items():
                for relation in _enforced(self.plan.entities[name], "cascade"):
                    further = _further(path, relation)
                    fresh = self._cascade(relation, reached, further)
                    if fresh:
                        _, found = following.setdefault(relation.source.name, (further, []))
                        found += fresh
            level = following

    def settle(self) -> None:
        """Ask what refers to the rows that go by relations that do not cascade."""
        plan = self.plan
        reached = list(plan.entities.values())
        for relation in chain.from_iterable(_enforced(one, "set_null") for one in reached):
            plan.nulled[relation] = self._left_behind(relation)
        for relation in chain.from_iterable(_enforced(one, "no_action") for one in reached):
            plan.late[relation] = self._left_behind(relation)
        for relation in chain.from_iterable(_enforced(one, "restrict") for one in reached):
            self._refuse(relation)

    def _go(
        self,
        relation: RelationLayout | None,
        entity: EntityLayout,
        keys: Iterable[bytes],
        path: Path,
    ) -> list[bytes]:
        """Note rows that go; those that did not before."""
        plan = self.plan
        plan.entities[entity.name] = entity
        going = plan.going.setdefault(entity.name, {})
        fresh = [key for key in dict.fromkeys(keys) if key not in going]
        going.update(dict.fromkeys(fresh))
        plan.cascaded[relation] = plan.cascaded.get(relation, 0) + len(fresh)
        self._spend(len(fresh), path)
        return fresh

    def _cascade(self, relation: RelationLayout, keys: Sequence[bytes], path: Path) -> list[bytes]:
        """The rows that go because those of one level do, and did not go before."""
        fresh: list[bytes] = []
        for joined in self._found(relation, keys):
            if joined:
                fresh += self._go(relation, relation.source, split_ids(joined), path)
        return fresh

    def _left_behind(self, relation: RelationLayout) -> dict[bytes, None]:
        """The rows that refer to rows that go, and do not go themselves."""
        gone = self.plan.going.get(relation.source.name, {})
        left: dict[bytes, None] = {}
        path = (relation.target.name, f"{relation.source.name}.{relation.name}")
        for joined in self._found(relation, list(self.plan.going[relation.target.name])):
            fresh = [key for key in split_ids(joined) if key not in gone]
            left.update(dict.fromkeys(fresh))
            self._spend(len(fresh), path)
        return left

    def _refuse(self, relation: RelationLayout) -> None:
        """Note the rows that others refer to that neither go nor let go."""
        gone = self.plan.going.get(relation.source.name, {})
        fields = set(relation.relation.fields)
        loose = [
            keys
            for other, keys in self.plan.nulled.items()
            if other.source is relation.source and fields & set(other.relation.fields)
        ]
        keys = list(self.plan.going[relation.target.name])
        for key, joined in zip(keys, self._found(relation, keys), strict=True):
            referrers = (one for one in split_ids(joined) if one not in gone)
            count = sum(not any(one in each for each in loose) for one in referrers)
            if count:
                self.plan.refused.append((relation, key, count))

    def _found(self, relation: RelationLayout, keys: Sequence[bytes]) -> Iterator[bytes]:
        """The joined keys of what refers to each row.

        No more rows go or let go than the budget allows, so that among one more than these there
        is one that matters, if there is any.
        """
        for start in range(0, len(keys), limits.DELETE_CHUNK_ROWS):
            part = keys[start : start + limits.DELETE_CHUNK_ROWS]
            yield from self._referrers(relation, part, self._budget + 1)

    def _spend(self, count: int, path: Path) -> None:
        self._touched += count
        if self._touched > self._budget:
            raise BudgetError(
                f"the delete would touch more than {self._budget:,} rows: {self._touched:,} as far "
                f"as {' > '.join(path)}; give it a larger budget, or delete in parts",
                budget="rows",
                path=path,
                allowed=self._budget,
                reached=self._touched,
            )


def _enforced(entity: EntityLayout, on_delete: OnDelete) -> list[RelationLayout]:
    """The relations to an entity that do so when a row of it goes."""
    return [
        relation
        for relation in entity.incoming
        if relation.mode != "value" and relation.relation.on_delete == on_delete
    ]


def _further(path: Path, relation: RelationLayout) -> Path:
    """The path, one relation on; one that goes round is named once."""
    step = f"{relation.source.name}.{relation.name}"
    if step in path or len(path) > limits.DELETE_PATH_STEPS:
        return path
    return (*path, step)
