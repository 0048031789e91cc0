"""Hooks around the statements of a transaction.

    update_where(Flight ..., delay + 1)     rows 7 and 9 are found
        before    hooks may change what each of them gets
        apply     one statement, with a row of values for each if these differ
        check     validators see rows 7 and 9 as they are now
        after     hooks see both, before and after

Everything happens in a savepoint: an exception undoes the statement, hooks' own writes as well, and
the transaction goes on to whoever catches it.  Rows that a cascade touches, rows that are
restored, and rows of a bulk load call no hooks.

Invariants (held by tests/unit/database/test_hooks.py):
  1. A statement of an entity without hooks is applied as it is.
  2. What a hook raises leaves nothing of the statement.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from ormdb import limits
from ormdb.errors import UsageError
from ormdb.ir.graph import GraphQuery
from ormdb.ir.mutation import (
    Connect,
    Delete,
    DeleteWhere,
    Effect,
    Insert,
    Mutation,
    MutationOutcome,
    Purge,
    Restore,
    Update,
    UpdateWhere,
    Upsert,
    WriteGraph,
)
from ormdb.ir.schema import SchemaBundle
from ormdb.ir.value import RowDict, Value
from ormdb.model.declaration import declaration_of
from ormdb.model.entity import Entity
from ormdb.model.face import TypedWriter
from ormdb.model.hooks import Change, Doing, Hook
from ormdb.model.query import Query
from ormdb.model.relation import Key
from ormdb.model.returning import of_rows

Identity: TypeAlias = tuple[Value, ...]
Apply: TypeAlias = Callable[[Mutation], MutationOutcome]
_DONE: dict[Effect, Doing] = {"created": "insert", "updated": "update", "deleted": "delete"}


class HookRegistry:
    """The hooks of a database, by entity."""

    def __init__(self, classes: Iterable[type[Entity]]) -> None:
        self._hooks: dict[str, tuple[type[Entity], tuple[Hook[Any], ...]]] = {}
        for entity in classes:
            declared: list[Any] = []
            for base in reversed(entity.__mro__):
                given: tuple[Any, ...] = vars(base).get("__hooks__", ())
                if not isinstance(given, tuple):  # pyright: ignore[reportUnnecessaryIsInstance]
                    raise UsageError(f"{base.__name__}.__hooks__ is no tuple; write (hook, ...)")
                declared += given
            if declared:
                self.add(entity, *declared)

    def add(self, entity: type[Entity], *hooks: Hook[Any]) -> None:
        """Call these hooks as well, after those that are known."""
        for hook in hooks:
            if not isinstance(hook, Hook):  # pyright: ignore[reportUnnecessaryIsInstance]
                raise UsageError(f"{hook!r} is no hook; make one with before, after or validator")
        name = declaration_of(entity).name
        known = self._hooks.get(name, (entity, ()))[1]
        self._hooks[name] = entity, (*known, *hooks)

    def concern(self, mutations: Sequence[Mutation], bundle: Callable[[], SchemaBundle]) -> bool:
        """Whether any of these statements has hooks."""
        if not self._hooks:
            return False
        names: set[str] = set()
        for mutation in mutations:
            names.add(mutation.entity)
            if isinstance(mutation, WriteGraph):
                names.update(row.entity for row in mutation.rows)
            if isinstance(mutation, Connect):
                names.add(_edge(bundle(), mutation))
        return not names.isdisjoint(self._hooks)

    def run(
        self, writer: TypedWriter, mutations: Sequence[Mutation], apply: Apply
    ) -> list[MutationOutcome]:
        """Apply statements with their hooks around each."""
        return [_Run(self, writer, apply).run(mutation) for mutation in mutations]

    def of(self, entity: str) -> Hooked | None:
        """The hooks of an entity, if it has any."""
        found = self._hooks.get(entity)
        return None if found is None else Hooked(*found)


@dataclass(frozen=True, slots=True)
class Hooked:
    """An entity and its hooks."""

    entity: type[Entity]
    hooks: tuple[Hook[Any], ...]

    def call(self, when: str, change: Change[Any]) -> None:
        """Call the hooks that a change concerns."""
        doings = {"insert", "update"} if change.doing == "save" else {change.doing}
        for hook in self.hooks:
            if hook.when == when and hook.doings & doings:
                hook.run(change.after if when == "check" else change)


@dataclass(slots=True)
class _Run:
    """One statement with its hooks."""

    registry: HookRegistry
    writer: TypedWriter
    apply: Apply

    def run(self, mutation: Mutation) -> MutationOutcome:
        match mutation:
            case Insert():
                return self._insert(mutation)
            case Update():
                return self._update(mutation)
            case UpdateWhere():
                return self._update_where(mutation)
            case Delete(identities=identities):
                return self._delete(mutation, identities)
            case DeleteWhere(query=query):
                return self._delete(mutation, self._found(query))
            case Upsert():
                return self._upsert(mutation)
            case WriteGraph():
                return self._graph(mutation)
            case Connect():
                return self._connect(mutation)
            case Restore() | Purge():
                return self.apply(mutation)

    def _insert(self, insert: Insert) -> MutationOutcome:
        hooked = self.registry.of(insert.entity)
        if hooked is None:
            return self.apply(insert)
        changes = [self._before(hooked, "insert", row) for row in insert.rows]
        rows = tuple(change.values for change in changes)
        outcome = self.apply(replace(insert, rows=rows))
        self._after(hooked, changes, outcome.identities)
        return outcome

    def _update(self, update: Update) -> MutationOutcome:
        hooked = self.registry.of(update.entity)
        rows = {} if hooked is None else self._rows(hooked, [update.identity])
        if hooked is None or not rows:
            return self.apply(update)
        change = self._before(
            hooked, "update", update.changes, update.identity, rows[update.identity]
        )
        left = tuple(one for one in update.expressions if one[0] not in change.values)
        outcome = self.apply(replace(update, changes=change.values, expressions=left))
        if outcome.identities:
            self._after(hooked, [change], outcome.identities)
        return outcome

    def _update_where(self, update: UpdateWhere) -> MutationOutcome:
        hooked = self.registry.of(update.entity)
        if hooked is None:
            return self.apply(update)
        identities = self._found(update.query)
        rows = self._rows(hooked, identities)
        changes = [
            self._before(hooked, "update", update.changes, identity, rows[identity])
            for identity in identities
        ]
        if all(change.values == update.changes for change in changes):
            outcome = self.apply(update)
        else:  # a row of values for each; the rows are there, so none is added
            names = declaration_of(hooked.entity).identity_names()
            given = tuple(
                {**dict(zip(names, identity, strict=True)), **change.values}
                for identity, change in zip(identities, changes, strict=True)
            )
            assigned = {name for change in changes for name in change.values}
            left = tuple(one for one in update.expressions if one[0] not in assigned)
            saved = self.apply(Upsert(entity=update.entity, rows=given, expressions=left))
            outcome = MutationOutcome(entity=update.entity, identities=saved.identities)
        self._after(hooked, changes, outcome.identities)
        return outcome

    def _delete(
        self, delete: Delete | DeleteWhere, identities: Sequence[Identity]
    ) -> MutationOutcome:
        hooked = self.registry.of(delete.entity)
        if hooked is None:
            return self.apply(delete)
        rows = self._rows(hooked, identities)
        changes = {
            identity: self._before(hooked, "delete", {}, identity, row)
            for identity, row in rows.items()
        }
        outcome = self.apply(delete)
        for identity in outcome.identities:
            if identity in changes:
                hooked.call("after", changes[identity])
        return outcome

    def _upsert(self, upsert: Upsert) -> MutationOutcome:
        hooked = self.registry.of(upsert.entity)
        if hooked is None:
            return self.apply(upsert)
        changes = [self._before(hooked, "save", row) for row in upsert.rows]
        rows = tuple(change.values for change in changes)
        outcome = self.apply(replace(upsert, rows=rows))
        self._after(hooked, changes, outcome.identities, outcome.effects)
        return outcome

    def _graph(self, graph: WriteGraph) -> MutationOutcome:
        rows = list(graph.rows)
        changes: dict[str, list[tuple[int, Change[Any]]]] = {}
        for at, row in enumerate(rows):
            hooked = self.registry.of(row.entity)
            if hooked is not None and row.mode != "link":
                doing: Doing = "save" if row.mode == "save" else "insert"
                change = self._before(hooked, doing, row.values)
                rows[at] = replace(row, values=change.values)
                changes.setdefault(row.entity, []).append((at, change))
        outcome = self.apply(replace(graph, rows=tuple(rows)))
        for name, placed in changes.items():
            hooked = self.registry.of(name)
            assert hooked is not None
            self._after(
                hooked,
                [change for _, change in placed],
                [outcome.identities[at] for at, _ in placed],
                [outcome.effects[at] for at, _ in placed],
            )
        return outcome

    def _connect(self, connect: Connect) -> MutationOutcome:
        hooked = self.registry.of(_edge(self.writer.schema, connect))
        if hooked is None:
            return self.apply(connect)
        change = self._before(
            hooked, "delete" if connect.mode == "remove" else "save", connect.values
        )
        outcome = self.apply(replace(connect, values=change.values))
        changes = [replace(change) for _ in outcome.identities]
        self._after(hooked, changes, outcome.identities, outcome.effects)
        return outcome

    def _before(
        self,
        hooked: Hooked,
        doing: Doing,
        values: RowDict,
        identity: Identity | None = None,
        row: Any = None,
    ) -> Change[Any]:
        change = Change(
            doing=doing,
            entity=hooked.entity,
            writer=self.writer,
            key=None if identity is None else Key(hooked.entity, identity),
            values=dict(values),
            before=row,
        )
        hooked.call("before", change)
        return change

    def _after(
        self,
        hooked: Hooked,
        changes: Sequence[Change[Any]],
        identities: Sequence[Identity],
        effects: Sequence[Effect] = (),
    ) -> None:
        """Tell validators, then after-hooks, what became of the rows."""
        done: list[Change[Any]] = []
        told: Sequence[Effect | None] = effects or [None] * len(changes)
        for change, identity, effect in zip(changes, identities, told, strict=True):
            if effect == "unchanged":
                continue
            change.key = Key(hooked.entity, identity)
            if effect is not None:
                change.doing = _DONE[effect]
            done.append(change)
        alive = [change for change in done if change.doing != "delete"]
        rows = self._rows(hooked, [change.key.values for change in alive if change.key])
        for change in alive:
            assert change.key is not None
            change.after = rows[change.key.values]
        for change in alive:
            hooked.call("check", change)
        for change in done:
            hooked.call("after", change)

    def _found(self, query: GraphQuery) -> list[Identity]:
        """The identities of a query's rows, in its order."""
        names = next(e for e in self.writer.schema.entities if e.name == query.entity).identity
        rows = self.writer.run_fetch(replace(query, select=names)).dicts()
        return [tuple(row[name] for name in names) for row in rows]

    def _rows(self, hooked: Hooked, identities: Sequence[Identity]) -> dict[Identity, Any]:
        """The rows of identities that are there."""
        found: dict[Identity, Any] = {}
        for start in range(0, len(identities), limits.WRITE_BATCH_ROWS):
            some = identities[start : start + limits.WRITE_BATCH_ROWS]
            for row in self.writer.fetch(of_rows(Query(hooked.entity), some)):
                found[_identity(row)] = row
        return found


def _identity(row: Entity) -> Identity:
    return Key(type(row), row.__ormdb_node__.identity_at(row.__ormdb_at__) or ()).values


def _edge(bundle: SchemaBundle, connect: Connect) -> str:
    """The edge entity of a many-to-many relation."""
    for through in bundle.throughs:
        if (through.entity, through.name) == (connect.entity, connect.through):
            return through.edge
    return connect.entity
