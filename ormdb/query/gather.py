"""Row keys without their rows: what ways that are made of others have in common.

    union          relation plane {3 7}   relation origin {1 3}      1 3 7
    intersection   relation origin {1 3}  index by_time {2 3 4}      3
    intersection   words storm {2 3 9}    relation origin {1 3}      3
    via            Airports named p0 {9}, their departures           4 8

Entries are not held against rows here: whatever they lead to is asked the whole filter.

Invariants (held by tests/property/test_fetch_differential.py and tests/unit/query/test_combine.py):
  1. Keys come once each, in row order.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ormdb.ir.value import Value
from ormdb.query.budget import Spending
from ormdb.query.follow import Level, parent_keys, target_keys
from ormdb.query.plan import Access, Source
from ormdb.query.postings import token_keys
from ormdb.query.roots import identity_keys, index_ranges, relation_key, root_batches
from ormdb.query.sieve import Sieve
from ormdb.query.walk import Walk
from ormdb.storage.batches import split_ids
from ormdb.storage.layout import EntityLayout, RelationLayout
from ormdb.storage.views import Span, View


class KeyGatherer:
    """Gathers keys in one run of a plan; what is spent is checked between batches."""

    def __init__(
        self,
        view: View,
        values: Sequence[Value],
        sieve: Sieve,
        spending: Spending,
    ) -> None:
        self._view = view
        self._values = values
        self._sieve = sieve
        self._spending = spending

    def keys(self, access: Access, entity: EntityLayout) -> list[bytes]:
        """The keys of the rows that an access leads to, in row order."""
        return sorted(self._found(access, entity))

    def _check_progress(self) -> None:
        self._spending.check_progress((), self._view.counters.bytes)

    def _found(self, access: Access, entity: EntityLayout) -> set[bytes]:
        self._check_progress()
        match access.kind:
            case "union":
                found: set[bytes] = set()
                for part in access.parts:
                    found |= self._found(part, entity)
                return found
            case "intersection":
                return self._common(access, entity)
            case "via":
                assert access.source is not None
                return self._led_to(access.source)
            case "identity":
                return set(identity_keys(entity, access, self._view, self._values))
            case "relation":
                return self._of_relation(access, entity)
            case "index":
                return set(self._of_index(access, entity))
            case "tokens":
                return token_keys(access, self._view, entity, self._values)
            case "scan" | "nothing":
                raise AssertionError(f"a {access.kind} is no part of another way")

    def _common(self, access: Access, entity: EntityLayout) -> set[bytes]:
        found = self._found(access.parts[0], entity)
        for part in access.parts[1:]:
            if found:  # else there is nothing left to have in common
                found &= self._found(part, entity)
        return found

    def _of_relation(self, access: Access, entity: EntityLayout) -> set[bytes]:
        assert access.relation is not None
        assert access.relation.index is not None
        key = relation_key(entity, access, self._view, self._values)
        if key is None:
            return set()
        return set(split_ids(self._view.lookup(access.relation.index, entity, [key])[0]))

    def _of_index(self, access: Access, entity: EntityLayout) -> Iterable[bytes]:
        index = access.index
        assert index is not None
        for low, high in index_ranges(access, index, self._values):
            for items in self._view.scan_entries(index, entity, Span(low=low, high=high)):
                self._check_progress()
                yield from (row_key for _, row_key in items)

    def _led_to(self, source: Source) -> set[bytes]:
        node, expand = source.node, source.expand
        found: set[bytes] = set()
        batches = root_batches(
            node, source.access, self._view, self._values, Walk(), gather=self.keys
        )
        for level, _ in batches:
            self._check_progress()
            kept = self._sieve.kept(node.far_filter, self._sieve.kept(node.filter, level))
            if not kept.rows:
                continue
            if expand.kind == "to_one":
                found.update(self._referring(expand.relation, kept))
            elif expand.kind == "to_many":
                found.update(target_keys(self._view, expand.relation, kept))
            else:
                assert expand.far is not None
                assert expand.edge_decoder is not None
                keys = sorted(self._referring(expand.far, kept))
                edges = self._edges(source, keys)
                found.update(target_keys(self._view, expand.relation, edges))
        return found

    def _referring(self, relation: RelationLayout, targets: Level) -> list[bytes]:
        """The keys of the rows that refer to some targets."""
        assert relation.index is not None
        keys = [key for key in parent_keys(relation, targets) if key is not None]
        return split_ids(b"".join(self._view.lookup(relation.index, relation.source, keys)))

    def _edges(self, source: Source, keys: list[bytes]) -> Level:
        decoder, relation = source.expand.edge_decoder, source.expand.relation
        assert decoder is not None
        found = self._view.rows(relation.source, keys)
        there = [(key, row) for key, row in zip(keys, found, strict=True) if row is not None]
        kept = [key for key, _ in there]
        return Level(decoder.decode_batch(kept, [row for _, row in there]), kept)
