"""A sample becomes statistics.

    column of 30,000 values                            of 300,000 rows
      NULL 2 %, "open" 12,000 times, …                 common values, with their fractions
      9,214 others, 8,800 of them once                 a histogram of equally many in each part
      distinct                                         n d / (n - f1 + f1 n / N)

The number of distinct values is that of Haas and Stokes (1998), "Duj1", as PostgreSQL estimates it:
of n values, d different ones, f1 stand alone in the sample.  All of them different makes N, none
alone makes d.

Two columns are independent as far as H(a, b) - max(H(a), H(b)) comes near min(H(a), H(b)).  The
entropies are taken twice: Rényi's of order 2, which counts pairs of equal rows and sees a city
decided by its zip code; and Shannon's of 16 equal parts, which sees that dates grow with numbers.
The lower one counts.

Invariants (held by tests/unit/storage/test_analyze.py):
  1. What is said of an entity that was read as a whole is exact, but for the histogram's parts.
  2. A column of different values has as many distinct ones as rows, however few were looked at.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from typing import Any, Final

from ormdb import limits
from ormdb.ir.value import BytesType, TextType, Type, Value, is_scalar
from ormdb.storage.engine import ReadTransaction
from ormdb.storage.histogram import key_kind, make_key
from ormdb.storage.layout import EntityLayout, RelationLayout
from ormdb.storage.records import is_stored, slot_values
from ormdb.storage.sampling import GoOn, Sample, sample_batches, take_sample
from ormdb.storage.statistics import (
    QUANTILES,
    STATISTICS_FORMAT,
    EntityStatistics,
    FieldStatistics,
    PairStatistics,
    PrefixStatistics,
    Record,
    RelationStatistics,
)

_CLASSES: Final = 16  # parts of a column in the second measure
_EQUAL_PAIRS_MIN: Final = 50  # fewer pairs of equal rows say nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class Analysis:
    """What every part of an analysis is given."""

    txn: ReadTransaction
    version: int
    wall_us: int
    rng: random.Random
    go_on: GoOn


def analyze_entity(analysis: Analysis, entity: EntityLayout) -> list[Record] | None:
    """The records of an entity and of its relations in both directions; None if it was stopped.

    Raises:
      CorruptionError: a row is damaged.
    """
    kinds = {f.slot: f.type for f in entity.entity.fields if is_stored(f)}
    scalars = {slot: kind for slot, kind in kinds.items() if is_scalar(kind)}
    wanted = limits.STATISTICS_SAMPLE_CELLS // max(1, len(kinds))
    wanted = min(limits.STATISTICS_SAMPLE_ROWS, max(limits.STATISTICS_SAMPLE_ROWS_MIN, wanted))
    sample = take_sample(
        analysis.txn, entity, kinds, wanted=wanted, rng=analysis.rng, go_on=analysis.go_on
    )
    if sample is None:
        return None
    fields: list[FieldStatistics] = []
    for slot, kind in kinds.items():
        if not analysis.go_on():
            return None
        fields.append(describe_column(sample.columns[slot], kind, slot=slot, rows=sample.rows))
    pairs = _pairs(analysis, entity, sample, scalars, fields)
    records: list[Record] = [
        EntityStatistics(
            format=STATISTICS_FORMAT,
            entity_id=entity.entity.id,
            version=analysis.version,
            wall_us=analysis.wall_us,
            rows=sample.rows,
            looked_at=len(sample.keys),
            fields=tuple(fields),
            pairs=tuple(pairs),
            prefixes=tuple(_prefixes(entity, sample)),
        )
    ]
    own = {id(relation): relation for relation in (*entity.outgoing, *entity.incoming)}
    for relation in own.values():
        if relation.index is not None:
            found = analyze_relation(analysis, relation)
            if found is None:
                return None
            records.append(found)
    return records


def analyze_relation(analysis: Analysis, relation: RelationLayout) -> RelationStatistics | None:
    """How many children the parents of a relation have; None if it was stopped."""
    assert relation.index is not None
    txn, rows = analysis.txn, analysis.txn.statistics(relation.target.rows).entries
    counts: list[int] = []
    for keys, parents in sample_batches(
        txn,
        relation.target,
        relation.target_slots if relation.mode == "value" else (),
        wanted=limits.STATISTICS_PARENTS,
        rng=analysis.rng,
    ):
        if not analysis.go_on():
            return None
        linking = _linking_keys(relation, keys, parents)
        counts.extend([0] * (len(keys) - len(linking)))
        counts.extend(txn.count_many(relation.index.space, linking))
    having = sorted(count for count in counts if count)
    children, seen = txn.statistics(relation.index.space).entries, len(counts)
    reached = sum(having) * rows / seen if seen else 0.0
    # A sample may miss the children of the one parent that has most; enforced ones are all linked.
    linked = (
        1.0 if relation.relation.enforced else min(1.0, reached / children if children else 1.0)
    )
    with_children = rows * len(having) / seen if seen else 0.0
    return RelationStatistics(
        format=STATISTICS_FORMAT,
        relation_id=relation.relation.id,
        version=analysis.version,
        wall_us=analysis.wall_us,
        parents=rows,
        children=children,
        linked=linked,
        childless=1.0 - len(having) / seen if seen else 0.0,
        mean=children * linked / with_children if with_children else 0.0,
        most=having[-1] if having else 0,
        quantiles=tuple(having[round(q * (len(having) - 1))] for q in QUANTILES) if having else (),
    )


def _linking_keys(
    relation: RelationLayout, keys: Sequence[bytes], parents: Sequence[Any]
) -> list[bytes]:
    """The keys under which parents have their children; none for a value that nothing equals."""
    assert relation.index is not None
    if relation.mode != "value":
        return list(keys)
    columns = [slot_values(parents, slot) for slot in relation.target_slots]
    values = [each for each in zip(*columns, strict=True) if None not in each]
    return relation.index.encode_many(values)


def describe_column(
    values: Sequence[Value], kind: Type, *, slot: int, rows: int
) -> FieldStatistics:
    """One column of a sample (texts and bytes as their keys) of an entity with so many rows."""
    seen, nulls = len(values), values.count(None)
    null_fraction = nulls / seen if seen else 0.0
    if not is_scalar(kind) or nulls == seen:
        return FieldStatistics(
            slot=slot, kind=key_kind(kind), null_fraction=null_fraction, distinct=0.0
        )
    counts: Counter[Hashable] = Counter(values)
    del counts[None]
    common = _common(counts, seen - nulls, is_whole=seen >= rows)
    keys = {value: _key(kind, value) for value in counts}
    rest = sorted((keys[value], count) for value, count in counts.items() if value not in common)
    return FieldStatistics(
        slot=slot,
        kind=key_kind(kind),
        null_fraction=null_fraction,
        distinct=_distinct(counts.values(), rows * (1.0 - null_fraction)),
        common=tuple(keys[value] for value in common),
        fractions=tuple(count / seen for count in common.values()),
        bounds=_bounds(rest),
    )


def _key(kind: Type, value: Value) -> bytes:
    """A sample has texts and bytes as their keys already."""
    key: bytes = value if isinstance(kind, TextType | BytesType) else make_key(kind, value)
    return key


def _common(counts: Counter[Hashable], total: int, *, is_whole: bool) -> dict[Hashable, int]:
    """The values that are kept with their fractions, the most frequent first.

    None where all differ, all of them where they are few; else those well above the average,
    whose frequency in the sample is no accident.
    """
    most = limits.STATISTICS_COMMON_VALUES
    if max(counts.values()) == 1:
        return {}
    if len(counts) <= most and (is_whole or min(counts.values()) > 1):
        return dict(counts.most_common())
    least = max(2.0, 1.25 * total / len(counts))
    return {value: count for value, count in counts.most_common(most) if count >= least}


def _distinct(counts: Iterable[int], rows: float) -> float:
    """How many different values `rows` rows have, of which a sample has some this often each."""
    found = list(counts)
    total, alone = sum(found), found.count(1)
    if not total:
        return 0.0
    estimate = total * len(found) / (total - alone + alone * total / max(rows, total))
    return min(max(rows, total), max(len(found), estimate))


def _bounds(rest: Sequence[tuple[bytes, int]]) -> tuple[bytes, ...]:
    """Keys that cut sorted keys, each with its count, into parts of equally many."""
    if not rest:
        return ()
    total = sum(count for _, count in rest)
    parts = min(limits.STATISTICS_PARTS, len(rest))
    bounds = [rest[0][0]]
    passed = 0
    for key, count in rest:
        passed += count
        while len(bounds) < parts and passed * parts >= len(bounds) * total:
            bounds.append(key)
    bounds.append(rest[-1][0])
    return tuple(bounds)


def _prefixes(entity: EntityLayout, sample: Sample) -> Iterable[PrefixStatistics]:
    """The first columns of each index together, two or more of them."""
    wanted: set[tuple[int, ...]] = set()
    for index in (*entity.indexes, *((entity.identity,) if entity.identity else ())):
        wanted |= {index.slots[:count] for count in range(2, len(index.slots) + 1)}
    for slots in sorted(wanted):
        together = Counter(zip(*(sample.columns[slot] for slot in slots), strict=True))
        yield PrefixStatistics(slots=slots, distinct=_distinct(together.values(), sample.rows))


# --- how far two columns are independent ------------------------------------------------------


def _pairs(
    analysis: Analysis,
    entity: EntityLayout,
    sample: Sample,
    kinds: Mapping[int, Type],
    fields: Sequence[FieldStatistics],
) -> list[PairStatistics]:
    """Every two of the first fields that have several values but not all different ones."""
    there = {f.slot for f in fields if f.distinct > 1}
    indexed = {slot for index in entity.indexes for slot in index.slots}
    slots = sorted((slot for slot in kinds if slot in there), key=lambda slot: slot not in indexed)
    picked: Sequence[int] = range(len(sample.keys))
    if len(picked) > limits.STATISTICS_PAIR_ROWS:
        picked = analysis.rng.sample(picked, limits.STATISTICS_PAIR_ROWS)
    columns = {
        slot: _Column([sample.columns[slot][at] for at in picked], kinds[slot])
        for slot in slots[: limits.STATISTICS_PAIR_FIELDS]
    }
    found: list[PairStatistics] = []
    for one, other in combinations(columns, 2):
        if not analysis.go_on():
            break
        independence = _independence(columns[one], columns[other])
        low, high = min(one, other), max(one, other)
        found.append(PairStatistics(slots=(low, high), independence=independence))
    return found


class _Column:
    """A column as the two measures want it."""

    def __init__(self, values: list[Value], kind: Type) -> None:
        self.values = values
        self.equal_pairs = _equal_pairs(values)
        order = sorted({value for value in values if value is not None}, key=_sort_key(kind))
        counts: Counter[Hashable] = Counter(values)
        part_of: dict[Hashable, int] = {None: -1}
        passed, total = 0, max(1, len(values) - counts[None])
        for value in order:
            part_of[value] = passed * _CLASSES // total
            passed += counts[value]
        self.parts = [part_of[value] for value in values]
        self.entropy = _entropy(Counter(self.parts).values())


def _sort_key(kind: Type) -> Callable[[Value], bytes]:
    return partial(_key, kind)


def _independence(one: _Column, other: _Column) -> float:
    rows = len(one.values)
    everything = rows * (rows - 1) / 2
    shares = [1.0]
    together = _equal_pairs(list(zip(one.values, other.values, strict=True)))
    if min(one.equal_pairs, other.equal_pairs) >= _EQUAL_PAIRS_MIN and together:
        entropies = [
            math.log(everything / pairs) for pairs in (one.equal_pairs, other.equal_pairs, together)
        ]
        shares.append(_share(*entropies))
    both = _entropy(Counter(zip(one.parts, other.parts, strict=True)).values())
    shares.append(_share(one.entropy, other.entropy, both))
    return min(1.0, max(0.0, min(shares)))


def _share(one: float, other: float, together: float) -> float:
    """What the less telling of two columns adds to the other, of all that it tells."""
    if min(one, other) < 1e-9:
        return 1.0
    return (together - max(one, other)) / min(one, other)


def _equal_pairs(values: Sequence[Hashable]) -> float:
    return sum(count * (count - 1) for count in Counter(values).values()) / 2


def _entropy(counts: Iterable[int]) -> float:
    found = list(counts)
    total = sum(found)
    return -sum(count / total * math.log(count / total) for count in found)
