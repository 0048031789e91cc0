"""What a delete would do, as a value: the answer to a question asked before it.

db.delete_preview(Customer.key(7))

deletes    Customer                    1
deletes    Order      by customer      3
deletes    Line       by order        12
set_null   Note       by order         2
refused    Invoice    by order         1        so the delete would raise ForeignKeyError
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal as Choice
from typing import TypeAlias

DeleteAction: TypeAlias = Choice["deletes", "set_null", "late", "refused"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteEffect:
    """What becomes of `count` rows of an entity.

    deletes    they are deleted: those that were named (no `relation`), or those that refer by a
               relation that cascades
    set_null   they refer to nothing any longer
    late       they have to refer to another row when the transaction ends
    refused    they keep the delete from being made
    """

    action: DeleteAction
    entity: str
    relation: str | None
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DeletePreview:
    """Everything that a delete would do."""

    effects: tuple[DeleteEffect, ...]

    @property
    def is_refused(self) -> bool:
        """Whether rows that still refer keep the delete from being made."""
        return any(effect.action == "refused" for effect in self.effects)

    @property
    def touched(self) -> int:
        """How many rows would be deleted or changed: what a budget is compared with."""
        return sum(one.count for one in self.effects if one.action in {"deletes", "set_null"})

    @property
    def deleted(self) -> Mapping[str, int]:
        """How many rows of each entity would be deleted."""
        return self._counts("deletes")

    @property
    def set_null(self) -> Mapping[str, int]:
        """How many rows of each entity would refer to nothing any longer."""
        return self._counts("set_null")

    @property
    def refused_by(self) -> Mapping[str, int]:
        """How many rows refuse it, by "Entity.relation"."""
        return {
            f"{one.entity}.{one.relation}": one.count
            for one in self.effects
            if one.action == "refused"
        }

    def __str__(self) -> str:
        lines: list[str] = []
        for one in self.effects:
            by = "" if one.relation is None else f" by {one.relation}"
            lines.append(f"{one.action:<9} {one.count:>9,}  {one.entity}{by}")
        return "\n".join(lines)

    def _counts(self, action: DeleteAction) -> Mapping[str, int]:
        found: dict[str, int] = {}
        for one in self.effects:
            if one.action == action:
                found[one.entity] = found.get(one.entity, 0) + one.count
        return found
