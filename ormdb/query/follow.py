"""From rows to the rows their relations lead to, for a whole level at once.

    to_one    flights 1 2 3 with tailnum A B A   ->   planes [A, B], positions [0, 1, 0]
    to_many   airports JFK LGA                   ->   flights [1 2 3 | 4 5], counts [3, 2]

Each function makes one batched call per space it has to look at, whatever the number of rows,
and rechecks what it finds against the rows on both sides: an entry that leads to a row of other
values is damage, and raises.

Invariants (held by tests/property/test_fetch_differential.py and tests/unit/query/test_follow.py):
  1. Every target appears once, however many rows lead to it.
  2. The number of engine calls does not depend on the number of rows.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from itertools import chain, compress, repeat
from operator import attrgetter
from typing import Any, Final, TypeAlias

from ormdb import limits
from ormdb.errors import CorruptionError
from ormdb.ir.value import Value
from ormdb.pulse import beat, in_steps, sort_in_steps
from ormdb.query.decoded import Group, Groups, decoded_groups, decoded_rows
from ormdb.storage.batches import split_ids
from ormdb.storage.layout import RelationLayout
from ormdb.storage.records import ROW_NUMBER_BIAS, RowDecoder
from ormdb.storage.views import View

ROW_KEY_BYTES = 8
_LINK_BYTES: Final = 56  # of a row key in a list, about


@dataclass(slots=True)
class Level:
    """Decoded rows of one entity, each once, and their row keys."""

    rows: list[Any]
    keys: list[bytes]
    groups: Sequence[Group] = ()  # the kept groups of which it is made, where that is known


def picked(level: Level, positions: Sequence[int]) -> Level:
    """The rows at these positions, in this order."""
    rows, keys = level.rows, level.keys
    if len(positions) <= limits.PULSE_STEP_ITEMS:
        return Level([rows[i] for i in positions], [keys[i] for i in positions])
    found = Level([], [])
    for part in in_steps(positions):  # scattered in memory, so each one takes long
        found.rows += [rows[i] for i in part]
        found.keys += [keys[i] for i in part]
    return found


def masked(level: Level, mask: Sequence[bool]) -> Level:
    """The rows for which the mask is true."""
    return Level(list(compress(level.rows, mask)), list(compress(level.keys, mask)))


def sliced(level: Level, start: int, stop: int | None) -> Level:
    """The rows from a position up to another."""
    return Level(level.rows[start:stop], level.keys[start:stop])


@dataclass(frozen=True, slots=True)
class Arrange:
    """An order of children that their rows alone decide, and what tells it of a level."""

    order: Hashable
    positions: Callable[[Level], list[int]]


# The children of some parents, all of them and in row order; None for whoever looks them up.
Gather: TypeAlias = Callable[[Level], tuple[Level, list[int]] | None]


def arranged(level: Level, counts: Sequence[int], positions: Callable[[Level], list[int]]) -> Level:
    """The children of each parent in an order, parent by parent as before."""
    found = positions(level)
    sort_in_steps(found, owners_of(counts))
    return picked(level, found)


def owners_of(counts: Sequence[int]) -> list[int]:
    """The parent of each child: [2, 0, 1] -> [0, 0, 2]."""
    return [parent for parent, count in enumerate(counts) for _ in range(count)]


def follow_to_one(
    view: View, relation: RelationLayout, origin: Level, decoder: RowDecoder
) -> tuple[Level, list[int]]:
    """The targets of rows (None among them leads nowhere), and per row its position or -1."""
    if relation.mode == "slot":
        links = _links(view, relation.relation.slot, origin)
        return _by_key(view, relation, links, decoder)
    if relation.target_lookup is None:
        links = _links(view, relation.slots[0], origin)
        return _by_key(view, relation, links, decoder)
    return _by_value(view, relation, origin.rows, decoder)


def target_keys(view: View, relation: RelationLayout, sources: Level) -> set[bytes]:
    """The row keys of the targets of some rows, without reading them; not all need to exist."""
    lookup = relation.target_lookup
    if relation.mode == "slot" or lookup is None:
        slot = relation.relation.slot if relation.mode == "slot" else relation.slots[0]
        numbers = {number for number in _column(sources.rows, slot) if number is not None}
        return set(_pack(list(numbers)))
    by_target = dict(zip(relation.target_slots, relation.slots, strict=True))
    columns = [_column(sources.rows, by_target[slot]) for slot in lookup.slots]
    wanted = {values for values in zip(*columns, strict=True) if None not in values}
    found = view.lookup(lookup, relation.target, lookup.encode_many(list(wanted)))
    return {joined[:ROW_KEY_BYTES] for joined in found if joined}


def parent_keys(relation: RelationLayout, parents: Level) -> list[bytes | None]:
    """The key of each parent in the relation's space; None where no child can refer to it."""
    if relation.mode != "value":
        return list(parents.keys)
    assert relation.index is not None
    columns = [_column(parents.rows, slot) for slot in relation.target_slots]
    given = list(zip(*columns, strict=True))
    present = [values for values in given if None not in values]
    encoded = chain.from_iterable(map(relation.index.encode_many, in_steps(present)))
    return [None if None in values else next(encoded) for values in given]


def follow_to_many(
    view: View,
    relation: RelationLayout,
    parents: Level,
    decoder: RowDecoder,
    *,
    limit_each: int = sys.maxsize,
    limit_all: int = sys.maxsize,
    arrange: Arrange | None = None,
    gather: Gather | None = None,
) -> tuple[Level, list[int]]:
    """The children of every parent, parent by parent, and how many each has.

    They come in row order, or as `arrange` has them, which is kept with them.  `gather` may know
    a better way to all children of some parents.
    """
    keys = parent_keys(relation, parents)

    def read(positions: Sequence[int]) -> Groups:
        whole = len(positions) == len(keys)
        asked = parents if whole else picked(parents, positions)
        wanted = keys if whole else [keys[at] for at in positions]
        gathered = None if gather is None else gather(asked)
        if gathered is not None:
            (rows, row_keys), counts = (gathered[0].rows, gathered[0].keys), gathered[1]
        else:
            rows, row_keys, counts = _read_children(
                view, relation, asked, wanted, decoder, limit_each=limit_each, limit_all=limit_all
            )
        if arrange is not None:
            level = arranged(Level(rows, row_keys), counts, arrange.positions)
            rows, row_keys = level.rows, level.keys
        return rows, row_keys, counts

    (rows, row_keys, counts), groups = decoded_groups(
        view,
        relation.source,
        children_kind(relation, decoder, arrange),
        keys,
        read,
        limit_each=limit_each,
        limit_all=limit_all,
    )
    return Level(rows, row_keys, groups), counts


def children_kind(
    relation: RelationLayout, decoder: RowDecoder, arrange: Arrange | None = None
) -> Hashable:
    """What children are kept as, in the groups of their parents."""
    return "children", relation, decoder, None if arrange is None else arrange.order


def _read_children(
    view: View,
    relation: RelationLayout,
    parents: Level,
    keys: Sequence[bytes | None],
    decoder: RowDecoder,
    *,
    limit_each: int,
    limit_all: int,
) -> Groups:
    asked = [key for key in keys if key is not None]
    assert relation.index is not None
    found, values = view.related(
        relation.index, relation.source, asked, limit_each=limit_each, limit_all=limit_all
    )
    row_keys = split_ids(b"".join(found))
    rows = decoder.decode_batch(row_keys, values)
    beat()
    counts = [len(joined) // ROW_KEY_BYTES for joined in found]
    if len(asked) < len(keys):
        given = iter(counts)
        counts = [0 if key is None else next(given) for key in keys]
    recheck_children(relation, parents, rows, counts)
    return rows, row_keys, counts


def recheck_children(
    relation: RelationLayout, parents: Level, rows: Sequence[Any], counts: Sequence[int]
) -> None:
    """See that every child's foreign key names the parent under which it was found."""
    # One comparison for all: most parents have few children, and each would cost as much.
    expected = map(repeat, referred_by(relation, parents), counts)
    if references(relation, rows) != list(chain.from_iterable(expected)):
        raise _misplaced(relation)


def references(relation: RelationLayout, rows: Sequence[Any]) -> Sequence[Any]:
    """What each child says of its parent: its row number, or the values of the foreign key."""
    if relation.mode == "value":
        return list(zip(*(_column(rows, slot) for slot in relation.slots), strict=True))
    return _column(rows, relation.relation.slot if relation.mode == "slot" else relation.slots[0])


def referred_by(relation: RelationLayout, parents: Level) -> list[Any]:
    """What the children of each parent say of it (see `references`)."""
    if relation.mode == "value":
        return list(zip(*(_column(parents.rows, s) for s in relation.target_slots), strict=True))
    return [number - ROW_NUMBER_BIAS for number in _unpacked(parents.keys)]


def _links(view: View, slot: int, level: Level) -> list[bytes | None]:
    """The row key to which each row refers by a slot, kept with the groups that rows are of."""
    if not level.groups:
        return _row_keys(_column(level.rows, slot))
    missing = [group for group in level.groups if slot not in group.links]
    if missing:
        rows = [row for group in missing for row in group.rows]
        made, at = _row_keys(_column(rows, slot)), 0
        for group in missing:
            stop = at + len(group.rows)
            group.links[slot], at = made[at:stop], stop
        if view.cache is not None:
            view.cache.add_weight(_LINK_BYTES * len(made))
    return list(chain.from_iterable([group.links[slot] for group in level.groups]))


def _by_key(
    view: View, relation: RelationLayout, links: Sequence[bytes | None], decoder: RowDecoder
) -> tuple[Level, list[int]]:
    """Targets whose row key is known."""
    position: dict[bytes | None, int] = {}
    for part in in_steps(links):  # there may be many, of which few are distinct
        position.update(dict.fromkeys(part, -1))
    keys = [key for key in position if key is not None]
    rows = decoded_rows(view, relation.target, keys, decoder)
    if not all(rows):
        # `check --deep` finds those that ought not to.
        if relation.mode != "value" and not relation.may_dangle:
            (missing,) = _unpacked([keys[rows.index(None)]])
            raise CorruptionError(
                f"a {relation.source.name} refers by {relation.name} to row "
                f"{missing - ROW_NUMBER_BIAS} of {relation.target.name}, which is not there; "
                "run `ormdb check --deep`",
                entity=relation.source.name,
            )
        there = [row is not None for row in rows]
        rows, keys = list(compress(rows, there)), list(compress(keys, there))
    position.update(zip(keys, range(len(keys)), strict=True))
    targets: list[int] = []
    for part in in_steps(links):
        targets += map(position.__getitem__, part)
    return Level(rows, keys), targets


def _by_value(
    view: View, relation: RelationLayout, rows: Sequence[Any], decoder: RowDecoder
) -> tuple[Level, list[int]]:
    """Targets that are looked up by the values of the foreign key."""
    lookup = relation.target_lookup
    assert lookup is not None
    by_target = dict(zip(relation.target_slots, relation.slots, strict=True))
    columns = [_column(rows, by_target[slot]) for slot in lookup.slots]
    given = list(zip(*columns, strict=True))
    wanted = list({values for values in given if None not in values})

    def read(positions: Sequence[int]) -> Groups:
        return _read_by_value(view, relation, [wanted[at] for at in positions], decoder)

    (targets, keys, counts), _ = decoded_groups(
        view,
        relation.target,
        ("values", lookup, decoder),
        wanted,
        read,
        limit_each=sys.maxsize,
        limit_all=sys.maxsize,
    )
    position: dict[tuple[Value, ...], int] = {}
    for values, count in zip(wanted, counts, strict=True):
        if count:
            position[values] = len(position)
    return Level(targets, keys), [position.get(values, -1) for values in given]


def _read_by_value(
    view: View,
    relation: RelationLayout,
    wanted: Sequence[tuple[Value, ...]],
    decoder: RowDecoder,
) -> Groups:
    """The row of each identity, if there is one."""
    lookup = relation.target_lookup
    assert lookup is not None
    encoded = [key for part in in_steps(wanted) for key in lookup.encode_many(part)]
    found = view.lookup(lookup, relation.target, encoded)
    hits = [(values, joined) for values, joined in zip(wanted, found, strict=True) if joined]
    keys = [joined[:ROW_KEY_BYTES] for _, joined in hits]
    targets = view.rows(relation.target, keys)
    if None in targets:
        raise CorruptionError(
            f"{lookup.name} leads to a row of {relation.target.name} that is not there; "
            "run `ormdb check --deep`",
            entity=relation.target.name,
        )
    decoded = decoder.decode_batch(keys, targets)  # type: ignore[arg-type]  # None was ruled out
    actual = zip(*(_column(decoded, slot) for slot in lookup.slots), strict=True)
    for (values, _), theirs in zip(hits, actual, strict=True):
        if values != theirs:
            raise _misplaced(relation)
    return decoded, keys, [1 if joined else 0 for joined in found]


def _column(rows: Sequence[Any], slot: int) -> list[Any]:
    """One slot of every row, None where there is no row."""
    name = f"s{slot}"
    if len(rows) <= limits.PULSE_STEP_ITEMS:
        return _values(rows, name)
    return [value for part in in_steps(rows) for value in _values(part, name)]


def _values(rows: Sequence[Any], name: str) -> list[Any]:
    try:
        return list(map(attrgetter(name), rows))
    except AttributeError:
        return [None if row is None else getattr(row, name) for row in rows]


def _row_keys(numbers: Sequence[int | None]) -> list[bytes | None]:
    """The key of each row number, None for none."""
    there = [number for number in numbers if number is not None]
    beat()
    keys = [key for part in in_steps(there) for key in _pack(part)]
    beat()
    if len(keys) == len(numbers):
        return [*keys]
    given = iter(keys)
    return [None if number is None else next(given) for number in numbers]


def _pack(numbers: Sequence[int]) -> list[bytes]:
    joined = struct.pack(f">{len(numbers)}Q", *[n + ROW_NUMBER_BIAS for n in numbers])
    return split_ids(joined)


def _unpacked(keys: Sequence[bytes]) -> tuple[int, ...]:
    return struct.unpack(f">{len(keys)}Q", b"".join(keys))


def _misplaced(relation: RelationLayout) -> CorruptionError:
    return CorruptionError(
        f"relation {relation.source.name}.{relation.name} leads to a row that refers elsewhere; "
        "run `ormdb check --deep`, then restore a backup",
        entity=relation.source.name,
        relation=relation.name,
    )
