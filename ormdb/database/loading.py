"""Bulk load: many rows in one commit, a chunk of one entity at a time.

    rows ─▶ chunks of BULK_CHUNK_ROWS ─▶ checked by column ─▶ probed ─▶ row space
                                                                └─▶ index entries, held back,
                                                                    sorted and put at the end

Rows may refer to rows that come later in the load, of the same entity or of another one: such
references are looked up once everything is there.

Invariants (held by tests/property/test_writes_model.py and tests/unit/database/test_loading.py):
  1. A load is one commit: after an error, or a crash, none of its rows is there.
  2. What is loaded is the same as if it had been inserted row by row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import TypeAlias

from ormdb import limits
from ormdb.errors import QueryError
from ormdb.ir.value import RowDict
from ormdb.model.drafts import row_of
from ormdb.model.entity import Entity
from ormdb.storage.layout import EntityLayout, RelationLayout
from ormdb.txn.commit import Committer, OpenCommit

Progress: TypeAlias = Callable[[int, int | None], None]


class BulkLoad:
    """Loads rows through one committer."""

    def __init__(self, committer: Committer, *, principal: str) -> None:
        self._committer = committer
        self._principal = principal

    def run(
        self,
        loads: Sequence[tuple[str, Iterable[RowDict | Entity]]],
        *,
        progress: Progress | None,
        total: int | None,
    ) -> int:
        """Load everything, entity by entity; how many rows there were."""
        commit = self._committer.open(principal=self._principal, deferred=True)
        try:
            waiting = [name for name, _ in loads]
            late: dict[int, tuple[RelationLayout, list[bytes]]] = {}
            done = 0
            for name, rows in loads:
                entity = _entity(commit, name)
                for chunk in _chunks(rows):
                    for relation, key in commit.applier.load(entity, chunk, incomplete=waiting):
                        late.setdefault(relation.relation.id, (relation, []))[1].append(key)
                    done += len(chunk)
                    if progress is not None:
                        progress(done, total)
                # What follows may refer to these rows, and finds them by their entries.
                commit.applier.writer.flush()
                waiting.remove(name)
            for relation, keys in late.values():
                for at in range(0, len(keys), limits.BULK_CHUNK_ROWS):
                    part = keys[at : at + limits.BULK_CHUNK_ROWS]
                    commit.applier.resolve_late(relation.source, relation, part)
            commit.publish()
            return done
        finally:
            commit.abort()


def _chunks(rows: Iterable[RowDict | Entity]) -> Iterator[list[RowDict]]:
    given = iter(rows)
    while chunk := list(islice(given, limits.BULK_CHUNK_ROWS)):
        if isinstance(chunk[0], dict):
            yield [row if isinstance(row, dict) else row_of(row) for row in chunk]
        else:
            yield [row_of(row) if isinstance(row, Entity) else row for row in chunk]


def _entity(commit: OpenCommit, name: str) -> EntityLayout:
    entity = commit.layout.entities.get(name)
    if entity is None:
        raise QueryError(
            f"the schema has no entity {name!r}; it has {', '.join(commit.layout.entities)}",
            entity=name,
        )
    return entity
