"""Constraints, probed a batch at a time before anything is written.

    insert 3 flights      identity   3 row keys: one get_many, none may be there
                          unique     3 keys: one many, and no two alike in the batch
                          origin     distinct airports not seen before: one get_many
                          checks     one generated function over the batch

Every probe reads through the commit's own transaction, so it sees what the same commit wrote.

Unique indexes treat NULL as unlike everything, as SQL does: a row with a NULL in any of the
index's fields never collides.  A foreign key with a NULL in any of its fields refers to nothing.

Invariants (held by tests/unit/txn/test_constraints.py and tests/property/test_writes_model.py):
  1. A batch that is refused has written nothing.
  2. An error names kind, entity, fields, constraint and the identity of the first culprit.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from collections.abc import Set as AbstractSet
from itertools import compress
from typing import Any, Final

from ormdb.errors import CheckError, CorruptionError, ForeignKeyError, UniqueError
from ormdb.ir.schema import IndexDef
from ormdb.ir.show import show_value
from ormdb.ir.value import Value
from ormdb.model.expression_text import format_expression
from ormdb.storage.engine import WriteTransaction
from ormdb.storage.keys import row_key
from ormdb.storage.layout import (
    ROW_KEY_BYTES,
    EntityLayout,
    IndexLayout,
    RelationLayout,
    rows_without_null,
)
from ormdb.storage.records import ROW_NUMBER_BIAS, shown_value, slot_values
from ormdb.txn.tools import Tools

# How many verified targets of one relation are remembered within one commit.
_KNOWN_TARGETS_MAX: Final = 1_000_000


class Probes:
    """The constraint probes of one open commit."""

    def __init__(self, txn: WriteTransaction, tools: Tools) -> None:
        self.txn = txn
        self._tools = tools
        self._known: dict[int, dict[bytes, int | None]] = {}
        # With entries held back by a deferred load, the index alone cannot tell.
        self.unwritten: dict[str, set[bytes]] = {}

    def check_rows(self, entity: EntityLayout, rows: Sequence[Any]) -> None:
        """Refuse rows for which a check is false."""
        for name, fields, violations in self._tools.checks(entity):
            found = violations(rows)
            if found:
                identity = identity_of(entity, rows[found[0]])
                raise CheckError(
                    f"check {name!r} of {entity.name} is false for {len(found)} row(s), "
                    f"the first {show_identity(identity)}; correct the row",
                    kind="check",
                    entity=entity.name,
                    fields=fields,
                    constraint=name,
                    identity=identity,
                )

    def new_row_keys(self, entity: EntityLayout, rows: Sequence[Any], keys: list[bytes]) -> None:
        """Refuse int identities that are taken, already or twice in the batch."""
        taken = self.txn.get_many(entity.rows, keys) if self._reaches_back(entity, keys) else []
        position = _first_repeat(keys, [value is not None for value in taken])
        if position is not None:
            raise _identity_taken(entity, identity_of(entity, rows[position]))

    def unused_row_keys(self, entity: EntityLayout, keys: list[bytes]) -> None:
        """See that numbers just given out lie beyond every row, whatever the counter says."""
        if self._reaches_back(entity, keys):
            raise CorruptionError(
                f"the counter of rows of {entity.name} is behind its rows; a row would be "
                "overwritten: run `ormdb check --deep`, then restore a backup",
                entity=entity.name,
            )

    def new_identities(self, entity: EntityLayout, rows: Sequence[Any]) -> list[bytes]:
        """Refuse identities that are taken; the encoded identities."""
        assert entity.identity is not None
        position, encoded = self._first_taken(entity.identity, rows)
        if position is not None:
            raise _identity_taken(entity, identity_of(entity, rows[position]))
        return encoded

    def uniques(
        self,
        entity: EntityLayout,
        rows: Sequence[Any],
        *,
        leaving: Mapping[str, Collection[bytes]] | None = None,
    ) -> list[tuple[IndexLayout, Sequence[bytes]]]:
        """Refuse new rows whose values in a unique index are taken.

        Entries that are `leaving` do not count: by index, index key and row key of rows that the
        same statement is about to change.  Returns the values that are taken in deferred indexes.
        """
        doubtful: list[tuple[IndexLayout, Sequence[bytes]]] = []
        for index in entity.unique_indexes:
            present = rows_without_null(rows, index.slots)
            kept = rows if present is None else list(compress(rows, present))
            gone = () if leaving is None else leaving.get(index.name, ())
            if index.deferred:
                taken = self._taken(index, kept, gone)
                if taken:
                    doubtful.append((index, taken))
                continue
            position, _ = self._first_taken(index, kept, gone)
            if position is not None:
                raise unique_taken(entity, index, kept[position])
        return doubtful

    def gained_uniques(
        self,
        entity: EntityLayout,
        index: IndexLayout,
        gained: Sequence[tuple[bytes, bytes, Any]],
        *,
        leaving: Collection[bytes],
    ) -> list[bytes]:
        """Refuse keys that rows gain while others keep them, or gain them as well; where the index
        is deferred, return them.

        `gained` are index key, row key and row; `leaving` the index keys that rows of the statement
        give up, each followed by the row key.
        """
        found = self.txn.many(index.space, [key for key, _, _ in gained])
        seen: set[bytes] = set()
        doubtful: list[bytes] = []
        for (key, own, row), joined in zip(gained, found, strict=True):
            holders = [joined[i : i + 8] for i in range(0, len(joined), 8)]
            if key in seen or any(h != own and key + h not in leaving for h in holders):
                if not index.deferred:
                    raise unique_taken(entity, index, row)
                doubtful.append(key)
            seen.add(key)
        return doubtful

    def resolve_targets(
        self,
        relation: RelationLayout,
        rows: Sequence[Any],
        *,
        together: Callable[[], dict[bytes, int | None]] | None = None,
        moved: Mapping[bytes, int | None] | None = None,
        unresolved: list[int] | None = None,
    ) -> list[bytes | None]:
        """Refuse foreign keys without a target; set the hidden target number where there is one.
        Returns the encoded values of each row's target.

        `together` gives the rows that are inserted together, by encoded target values, for rows
        that refer to each other.  `moved` says where target values lead, or that they no longer
        lead anywhere, once this statement is done.  With `unresolved`, positions without a target
        are gathered, not refused.
        """
        encoded = self._foreign_keys(relation, rows)
        known = self._known_targets(relation, encoded)
        # Apart from what is known: the statement may still be refused, and then nobody may rely
        # on its rows.  Only a load, which ends when one row is refused, remembers its own.
        own = {} if moved is None else dict(moved)
        if together is not None and any(key is not None and key not in known for key in encoded):
            own = together()
            if self.unwritten:
                known.update(own)
        attribute = f"s{relation.relation.slot}" if relation.mode == "slot" else None
        for position, (row, key) in enumerate(zip(rows, encoded, strict=True)):
            number = None
            if key is not None:
                number = own[key] if key in own else known.get(key)
            if number is None and key is not None:
                if unresolved is None:
                    raise _no_target(relation, row)
                unresolved.append(position)
            if attribute is not None:
                setattr(row, attribute, number)
        return encoded

    def forget(self) -> None:
        """Rows that were written are gone again: ask about every target anew."""
        self._known.clear()

    def forget_target(self, relation: RelationLayout) -> None:
        """Rows of the relation's target were removed: ask again."""
        self._known.pop(relation.relation.id, None)

    def no_referrers(
        self,
        relation: RelationLayout,
        keys: Sequence[bytes],
        rows: Sequence[Any],
        *,
        together: AbstractSet[bytes] | None = None,
    ) -> None:
        """Refuse to take rows, or their target values, away from others that refer to them.

        What rows say that go `together` does not count: the rows themselves, if not given.
        """
        if relation.mode == "value" or relation.index is None:
            return
        if together is None:
            together = set(keys) if relation.source is relation.target else set[bytes]()
        for position, joined in enumerate(self.txn.many(relation.index.space, keys)):
            referrers = [joined[i : i + 8] for i in range(0, len(joined), 8)]
            count = sum(key not in together for key in referrers)
            if count:
                raise still_referred(relation, rows[position], count)

    def _known_targets(
        self, relation: RelationLayout, keys: Sequence[bytes | None]
    ) -> dict[bytes, int | None]:
        """Encoded target values -> row number, for all of `keys` that exist, and some others."""
        known = self._known.setdefault(relation.relation.id, {})
        wanted = list({key for key in keys if key is not None and key not in known})
        if wanted:
            if len(known) + len(wanted) > _KNOWN_TARGETS_MAX:
                known.clear()
                wanted = list({key for key in keys if key is not None})
            known.update(self._targets(relation, wanted))
        return known

    def _targets(self, relation: RelationLayout, keys: list[bytes]) -> dict[bytes, int]:
        """Encoded target values -> row number, for those that exist."""
        lookup = relation.target_lookup
        if lookup is None:
            found = self.txn.get_many(relation.target.rows, keys)
            return {
                key: _number_of(key)
                for key, row in zip(keys, found, strict=True)
                if row is not None
            }
        joined = self.txn.many(lookup.space, keys)
        led = {
            key: row_keys[:ROW_KEY_BYTES]
            for key, row_keys in zip(keys, joined, strict=True)
            if row_keys
        }
        self._recheck_targets(relation, lookup, led)
        return {key: _number_of(row_key_) for key, row_key_ in led.items()}

    def _recheck_targets(
        self, relation: RelationLayout, lookup: IndexLayout, found: Mapping[bytes, bytes]
    ) -> None:
        """See that each entry leads to the row it names: a row that is written now keeps the
        number of that row for good."""
        target, row_keys = relation.target, list(found.values())
        rows = self.txn.get_many(target.rows, row_keys)
        present = [row for row in rows if row is not None]
        decoder = target.codec.decoder(lookup.read_slots)
        if len(present) < len(rows) or lookup.encode_rows(
            decoder.decode_batch(row_keys, present)
        ) != list(found):
            raise CorruptionError(
                f"{lookup.name} of {target.name} leads to a row with other values, or to none; "
                "run `ormdb check --deep`, then restore a backup",
                entity=target.name,
                index=lookup.name,
            )

    def _foreign_keys(self, relation: RelationLayout, rows: Sequence[Any]) -> list[bytes | None]:
        """Each row's reference as the target lookup's key; None where it refers to nothing."""
        lookup = relation.target_lookup
        if lookup is None:
            numbers = slot_values(rows, relation.slots[0])
            return [None if number is None else row_key(number) for number in numbers]
        made: dict[tuple[Value, ...], bytes] = {}
        encoded: list[bytes | None] = []
        columns = [slot_values(rows, slot) for slot in foreign_slots(relation)]
        for values in zip(*columns, strict=True):
            if None in values:
                encoded.append(None)
                continue
            key = made.get(values)
            if key is None:
                key = made[values] = lookup.encode_values(values)
            encoded.append(key)
        return encoded

    def _first_taken(
        self, index: IndexLayout, rows: Sequence[Any], leaving: Collection[bytes] = ()
    ) -> tuple[int | None, list[bytes]]:
        there, encoded, taken = self._asked(index, rows, leaving)
        position = _first_repeat(encoded, taken)
        held = self.unwritten.get(index.space.name)
        if position is None and held is not None:
            held.update(encoded)
        return None if position is None else there[position], encoded

    def _taken(
        self, index: IndexLayout, rows: Sequence[Any], leaving: Collection[bytes]
    ) -> list[bytes]:
        """The keys of rows in a deferred index that are taken, or there twice."""
        _, encoded, taken = self._asked(index, rows, leaving)
        held = self.unwritten.get(index.space.name)
        if held is not None:
            held.update(encoded)
        counts = Counter(encoded)
        return [key for key, is_ in zip(encoded, taken, strict=True) if is_ or counts[key] > 1]

    def _asked(
        self, index: IndexLayout, rows: Sequence[Any], leaving: Collection[bytes]
    ) -> tuple[list[int], list[bytes], list[bool]]:
        """Which rows have a key, these keys, and whether other rows have them already."""
        keys = index.encode_rows(rows)
        # Rows that a partial index leaves out collide with nobody.
        there = [i for i, key in enumerate(keys) if key is not None]
        encoded = [key for key in keys if key is not None]
        found = self.txn.many(index.space, encoded)
        taken = [
            any(key + joined[i : i + 8] not in leaving for i in range(0, len(joined), 8))
            for key, joined in zip(encoded, found, strict=True)
        ]
        held = self.unwritten.get(index.space.name)
        if held is not None:
            taken = [known or key in held for known, key in zip(taken, encoded, strict=True)]
        return there, encoded, taken

    def _reaches_back(self, entity: EntityLayout, keys: list[bytes]) -> bool:
        """Whether any of the keys could be in the space already."""
        tail = next(iter(self.txn.scan(entity.rows, reverse=True, limit=1)), None)
        return tail is not None and min(keys, default=b"") <= tail[0][0]


def _number_of(row_key_: bytes) -> int:
    return int.from_bytes(row_key_, "big") - ROW_NUMBER_BIAS


def foreign_slots(relation: RelationLayout) -> tuple[int, ...]:
    """The slots of the foreign key, in the column order of the target's lookup."""
    lookup = relation.target_lookup
    if lookup is None:
        return relation.slots
    by_target = dict(zip(relation.target_slots, relation.slots, strict=True))
    return tuple(by_target[slot] for slot in lookup.slots)


def identity_of(entity: EntityLayout, row: Any) -> tuple[Value, ...]:
    """The identity of a decoded row, as canonical values."""
    fields = [entity.fields[name] for name in entity.entity.identity]
    return tuple(shown_value(field.type, getattr(row, f"s{field.slot}")) for field in fields)


def show_identity(identity: tuple[Value, ...]) -> str:
    """An identity for an error sentence."""
    shown = ", ".join(show_value(value) for value in identity)
    return shown if len(identity) == 1 else f"({shown})"


def _first_repeat(keys: Sequence[bytes], taken: Sequence[bool]) -> int | None:
    """The first position that is taken, or whose key stood before in the batch."""
    if not any(taken) and len(set(keys)) == len(keys):
        return None
    seen: set[bytes] = set()
    for position, key in enumerate(keys):
        if (taken and taken[position]) or key in seen:
            return position
        seen.add(key)
    return None


def _identity_taken(entity: EntityLayout, identity: tuple[Value, ...]) -> UniqueError:
    names = entity.entity.identity
    return UniqueError(
        f"{entity.name} already has a row with {', '.join(names)} = {show_identity(identity)}; "
        "update that row, or insert under another identity",
        kind="unique",
        entity=entity.name,
        fields=names,
        constraint="identity",
        identity=identity,
    )


def unique_taken(entity: EntityLayout, index: IndexLayout, row: Any) -> UniqueError:
    assert isinstance(index.definition, IndexDef)
    fields = tuple(part.field for part in index.definition.fields)
    values = [
        shown_value(entity.fields[name].type, getattr(row, f"s{entity.fields[name].slot}"))
        for name in fields
    ]
    identity = identity_of(entity, row)
    condition = index.definition.condition
    among = "" if condition is None else f" among rows with {format_expression(condition)}"
    return UniqueError(
        f"{entity.name} {show_identity(identity)} repeats {', '.join(fields)} = "
        f"{', '.join(map(show_value, values))}, which {index.name!r} keeps unique{among}; "
        "change the value, or the row that has it",
        kind="unique",
        entity=entity.name,
        fields=fields,
        constraint=index.name,
        identity=identity,
    )


def _no_target(relation: RelationLayout, row: Any) -> ForeignKeyError:
    source, fields = relation.source, relation.relation.fields
    values = [
        shown_value(source.fields[name].type, getattr(row, f"s{source.fields[name].slot}"))
        for name in fields
    ]
    identity = identity_of(source, row)
    return ForeignKeyError(
        f"{source.name} {show_identity(identity)} refers by {', '.join(fields)} = "
        f"{', '.join(map(show_value, values))} to a {relation.target.name} that does not exist; "
        f"insert that {relation.target.name} first, or declare {relation.name} enforced=False",
        kind="foreign_key",
        entity=source.name,
        fields=fields,
        constraint=relation.name,
        identity=identity,
    )


def still_referred(relation: RelationLayout, row: Any, count: int) -> ForeignKeyError:
    identity = identity_of(relation.target, row)
    return ForeignKeyError(
        f"{relation.target.name} {show_identity(identity)} is still referred to by {count} "
        f"{relation.source.name} through {relation.name}; delete or redirect these first",
        kind="foreign_key",
        entity=relation.target.name,
        fields=relation.relation.target_fields,
        constraint=relation.name,
        identity=identity,
    )
