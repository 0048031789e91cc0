"""Bulk load: many rows in one commit, a chunk of one entity at a time.

    rows ─▶ chunks of BULK_CHUNK_ROWS ─▶ checked by column ─▶ probed ─▶ row space
    columns of an Arrow stream ─▶ ──┘                           └─▶ index entries, held back,
                                                                    sorted and put at the end

Rows may refer to rows that come later in the load, of the same entity or of another one: such
references are looked up once everything is there.

Invariants (held by tests/property/test_writes_model.py and tests/unit/database/test_loading.py):
  1. A load is one commit: after an error, or a crash, none of its rows is there.
  2. What is loaded is the same as if it had been inserted row by row.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from itertools import islice
from typing import TypeAlias

from ormdb import limits
from ormdb.errors import QueryError, UsageError
from ormdb.interrupts import uninterrupted
from ormdb.ir.columnar import ColumnChunk, GivesArrow
from ormdb.ir.value import RowDict, Type
from ormdb.model.drafts import row_of
from ormdb.model.entity import Entity
from ormdb.storage.layout import EntityLayout, RelationLayout
from ormdb.txn.commit import Committer, OpenCommit

Progress: TypeAlias = Callable[[int, int | None], None]
Rows: TypeAlias = Iterable[RowDict | Entity] | GivesArrow


class BulkLoad:
    """Loads rows through one committer."""

    def __init__(self, committer: Committer, *, principal: str) -> None:
        self._committer = committer
        self._principal = principal

    def run(
        self,
        loads: Sequence[tuple[str, Rows]],
        *,
        progress: Progress | None,
        total: int | None,
    ) -> int:
        """Load everything, entity by entity; how many rows there were."""
        commit: OpenCommit | None = None
        try:
            with uninterrupted():
                commit = self._committer.open(principal=self._principal, deferred=True)
            waiting = [name for name, _ in loads]
            late: dict[int, tuple[RelationLayout, list[bytes]]] = {}
            done = 0
            for name, rows in loads:
                entity = _entity(commit, name)
                before = done
                with closing(_chunks(entity, rows)) as chunks:
                    for chunk in chunks:
                        for relation, key in _load(commit, entity, chunk, waiting, done - before):
                            late.setdefault(relation.relation.id, (relation, []))[1].append(key)
                        done += chunk.count if isinstance(chunk, ColumnChunk) else len(chunk)
                        if progress is not None:
                            progress(done, total)
                # What follows may refer to these rows, and finds them by their entries.
                commit.applier.writer.flush()
                waiting.remove(name)
            for relation, keys in late.values():
                for at in range(0, len(keys), limits.BULK_CHUNK_ROWS):
                    part = keys[at : at + limits.BULK_CHUNK_ROWS]
                    commit.applier.resolve_late(relation.source, relation, part)
            with uninterrupted():
                commit.publish()
                return done
        finally:
            with uninterrupted():
                if commit is not None:
                    commit.abort()


def _load(
    commit: OpenCommit,
    entity: EntityLayout,
    chunk: list[RowDict] | ColumnChunk,
    incomplete: list[str],
    first_row: int,
) -> list[tuple[RelationLayout, bytes]]:
    try:
        return commit.applier.load(entity, chunk, incomplete=incomplete)
    except UsageError as error:
        row = error.details.get("row")
        if row is None:
            raise
        # A chunk counts its own rows; whoever gave them counts all of them.
        error.details["row"] = row + first_row
        said = error.message.replace(f"(row {row})", f"(row {row + first_row})")
        error.message = said if "(row " in said else f"{said} (row {row + first_row})"
        error.args = (error.message,)
        raise


def _chunks(entity: EntityLayout, rows: Rows) -> Generator[list[RowDict] | ColumnChunk, None, None]:
    if isinstance(rows, GivesArrow):
        yield from _column_chunks(entity, rows)
        return
    given = iter(rows)
    while chunk := list(islice(given, limits.BULK_CHUNK_ROWS)):
        if isinstance(chunk[0], dict):
            yield [row if isinstance(row, dict) else row_of(row) for row in chunk]
        else:
            yield [row_of(row) if isinstance(row, Entity) else row for row in chunk]


def _column_chunks(entity: EntityLayout, rows: GivesArrow) -> Iterator[ColumnChunk]:
    from ormdb.ir.arrow_source import ArrowSource  # and ctypes, which other loads do without

    with ArrowSource(rows) as source:
        kinds: dict[str, Type] = {}
        for name in source.names:
            field = entity.fields.get(name)
            if field is None:
                raise QueryError(
                    f"{entity.name} has no field {name!r}; its fields are "
                    f"{', '.join(entity.fields)}: rename the column, or leave it out",
                    entity=entity.name,
                    field=name,
                )
            kinds[name] = field.type
        yield from source.chunks(kinds, entity.name)


def _entity(commit: OpenCommit, name: str) -> EntityLayout:
    entity = commit.layout.entities.get(name)
    if entity is None:
        raise QueryError(
            f"the schema has no entity {name!r}; it has {', '.join(commit.layout.entities)}",
            entity=name,
        )
    return entity
