"""Multimaps that are kept in step with the rows of an entity: what they have in common.

    rows/3         41 -> dep_time 517, tags ("new", "late")

    index/5        517  -> 41        one key for a row, or none: an IndexLayout
    index/6        late -> 41        a key for each token of a row: a TokenIndex
                   new  -> 41

Whoever writes, checks or reads the past asks for the keys of rows here, and need not know how many
there are.  A row for which the condition of a partial index is not true has none.

Invariants (held by tests/property/test_index_kinds.py):
  1. `moved` of two rows is the difference of their `key_sets`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias
from typing import Literal as Choice

from ormdb.ir.schema import IndexDef, RelationDef
from ormdb.ir.value import Type, Value
from ormdb.storage.engine import Item, Space
from ormdb.storage.tokens import Tokens, sought_tokens

NumberedKey: TypeAlias = tuple[int, bytes]  # the position of a row, and a key of it


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Multimap(ABC):
    """A multimap from keys to row keys that is kept in step with the rows of an entity.

    `slots` are those that keys are made of, `condition_slots` those that decide whether a row
    has an entry at all.  In `required_slots` there is no NULL, unless the row is damaged.
    """

    name: str
    kind: Choice["identity", "index", "relation"]
    space: Space
    history: Space
    slots: tuple[int, ...]
    condition_slots: tuple[int, ...] = ()
    required_slots: tuple[int, ...] = ()
    definition: IndexDef | RelationDef | None = None

    @property
    def read_slots(self) -> frozenset[int]:
        """The slots that have to be decoded to know a row's keys."""
        return frozenset(self.slots + self.condition_slots)

    @abstractmethod
    def key_sets(self, rows: Sequence[Any]) -> list[Collection[bytes]]:
        """The keys that each decoded row asks for."""

    @abstractmethod
    def items(self, rows: Sequence[Any], row_keys: Sequence[bytes]) -> list[Item]:
        """Every entry that decoded rows ask for."""

    @abstractmethod
    def moved(
        self, old: Sequence[Any], new: Sequence[Any]
    ) -> tuple[list[NumberedKey], list[NumberedKey]]:
        """The keys that rows lose, and those that they gain, by the positions of the rows."""

    def numbered(self, rows: Sequence[Any]) -> list[NumberedKey]:
        """Every key that decoded rows ask for, by the positions of the rows."""
        return [(i, key) for i, keys in enumerate(self.key_sets(rows)) for key in keys]

    def leads(self, rows: Sequence[Any], keys: Sequence[bytes]) -> list[bool]:
        """Whether each decoded row asks for the key of the entry that led to it."""
        found = self.key_sets(rows)
        return [key in asked for key, asked in zip(keys, found, strict=True)]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TokenIndex(Multimap):
    """A multimap with a key for each token of a row: an inverted or a full text index.

    `item` is the type of the items of a list that it is over.
    """

    encode_sets: Callable[[Sequence[Any]], list[Tokens]]
    item: Type | None = None

    def key_sets(self, rows: Sequence[Any]) -> list[Collection[bytes]]:
        return list(self.encode_sets(rows))

    def items(self, rows: Sequence[Any], row_keys: Sequence[bytes]) -> list[Item]:
        encoded = self.encode_sets(rows)
        return [(k, key) for keys, key in zip(encoded, row_keys, strict=True) for k in keys]

    def moved(
        self, old: Sequence[Any], new: Sequence[Any]
    ) -> tuple[list[NumberedKey], list[NumberedKey]]:
        lost: list[NumberedKey] = []
        gained: list[NumberedKey] = []
        pairs = zip(self.encode_sets(old), self.encode_sets(new), strict=True)
        for position, (before, after) in enumerate(pairs):
            if before != after:
                lost += [(position, key) for key in before - after]
                gained += [(position, key) for key in after - before]
        return lost, gained

    def sought(self, function: str, asked: Value) -> Tokens | None:
        """The keys of every row for which a function is true; None where nothing is known."""
        return sought_tokens(self.item, function, asked)
