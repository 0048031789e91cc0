"""What a writer offers to type for rows that may be there, and for rows that lead to each other.

    db.upsert(Word(text="a", seen=1), update=[Word.seen.add(1)])      Upserted: the row, "updated"
    db.insert_graph(heat, *[Cast(movie=heat, person=one) for one in people])
    db.save(Movie(id=1, title="Heat"), ...)                           added or changed by identity
    db.insert_trees(Movie, [{"title": "Heat", "cast": [{"role": "Neil", "person": 7}]}])
    db.connect(Movie.key(1), Movie.actors, Person.key(7))             an edge, if there is none

Invariants (held by tests/unit/database/test_saving.py and tests/typing):
  1. Every method makes one mutation and calls `run_mutations` once.
  2. Rows, relations and edges of other entities are refused.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from ormdb.errors import QueryError, UsageError
from ormdb.ir.mutation import (
    Connect,
    Connecting,
    Effect,
    Mutation,
    MutationOutcome,
    Upsert,
    Writing,
)
from ormdb.ir.schema import SchemaBundle
from ormdb.ir.value import RowDict, Value
from ormdb.model.column import Assignment, Column, is_column, require_entity
from ormdb.model.declaration import DeclaredMany, DeclaredOne, entity_name
from ormdb.model.drafts import row_of, with_identity
from ormdb.model.entity import Entity
from ormdb.model.graphs import ObjectGraph, TreeGraph
from ormdb.model.relation import Inclusion, Key, ToMany
from ormdb.model.statements import assigned, key_of
from ormdb.session import Context

E = TypeVar("E", bound=Entity)
C = TypeVar("C", bound=Entity)


@dataclass(frozen=True, slots=True)
class Upserted(Generic[E]):
    """A row that is there now, and what was done to it: "created", "updated" or "unchanged"."""

    row: E
    effect: Effect


class SaveStatements(ABC):
    """Adds or changes rows, whole graphs and edges."""

    @property
    @abstractmethod
    def schema(self) -> SchemaBundle:
        """The bundle that names are resolved against."""

    @abstractmethod
    def run_mutations(
        self, mutations: Sequence[Mutation], *, context: Context | None = None
    ) -> list[MutationOutcome]:
        """Apply the mutations in order, all or none."""

    def upsert(
        self,
        row: E,
        *,
        by: Sequence[Column[E, Any] | Inclusion[E, Any]] = (),
        update: Sequence[Assignment[E] | Column[E, Any]] | None = None,
        context: Context | None = None,
    ) -> Upserted[E]:
        """Insert a row, or change the one that is there.

        Args:
          row: what to insert where there is none.
          by: the fields of a unique index, by which a row is known; else it is its identity.
          update: what to do with a row that is there: assignments, and columns that take the value
            that was given. Without it every field that was given is taken; with [] nothing is.
          context: who asks.

        Raises:
          ConstraintError: a constraint refuses the row.
          QueryError: there is no such unique index.
        """
        return self.upsert_many([row], by=by, update=update, context=context)[0]

    def upsert_many(
        self,
        rows: Iterable[E],
        *,
        by: Sequence[Column[E, Any] | Inclusion[E, Any]] = (),
        update: Sequence[Assignment[E] | Column[E, Any]] | None = None,
        context: Context | None = None,
    ) -> list[Upserted[E]]:
        """`upsert` of many rows of one entity, all or none."""
        given = list(rows)
        if not given:
            return []
        entity = type(given[0])
        for one in given:
            if type(one) is not entity:
                raise UsageError(f"{one!r} is no {entity.__name__}; upsert one entity at a time")
        upsert = _upsert(entity, tuple(map(row_of, given)), by, update)
        (outcome,) = self.run_mutations([upsert], context=context)
        done = zip(given, outcome.identities, outcome.effects, strict=True)
        return [Upserted(_known(row, identity), effect) for row, identity, effect in done]

    def upsert_rows(
        self,
        entity: str | type[Entity],
        rows: Iterable[RowDict],
        *,
        by: tuple[str, ...] = (),
        context: Context | None = None,
    ) -> list[tuple[tuple[Value, ...], Effect]]:
        """Insert or change rows given as dicts by field name; their identities, and what was
        done."""
        upsert = Upsert(entity=entity_name(entity), rows=tuple(rows), by=by)
        (outcome,) = self.run_mutations([upsert], context=context)
        return list(zip(outcome.identities, outcome.effects, strict=True))

    def insert_graph(self, *rows: E, context: Context | None = None) -> list[E]:
        """Insert objects and every new object that they lead to, all or none.

        What a program made is new and inserted once, however many lead to it; keys, and objects
        that were fetched or inserted, are rows that are there.  The identities that new rows get
        become the foreign keys of those that lead to them.

        Returns:
          The objects that were given, with their identities, leading to those that were inserted.

        Raises:
          QueryError: objects lead to each other in a circle.
          ConstraintError: a constraint refuses one of the rows.
        """
        return self._write_objects(rows, "insert", context)

    def save(self, *rows: E, context: Context | None = None) -> list[E]:
        """`insert_graph` that changes the rows whose identity is there already."""
        return self._write_objects(rows, "save", context)

    def insert_trees(
        self,
        entity: str | type[Entity],
        trees: Iterable[Mapping[str, Value]],
        *,
        context: Context | None = None,
    ) -> list[tuple[Value, ...]]:
        """Insert nested dicts by the names of the schema; the identities of those at the top.

        Under the name of a relation stands a dict, or the identity of a row that is there (a tuple,
        if it has several parts); under the name of its inverse a list of dicts that lead back.
        """
        graph = TreeGraph(self.schema)
        roots = [graph.add(entity_name(entity), tree) for tree in trees]
        if not roots:
            return []
        (outcome,) = self.run_mutations([graph.mutation], context=context)
        return [outcome.identities[at] for at in roots]

    def connect(
        self,
        row: Key[E] | E,
        relation: ToMany[E, C],
        *targets: Key[C] | C,
        values: Sequence[Assignment[Any]] = (),
        context: Context | None = None,
    ) -> int:
        """Add an edge of a many-to-many relation to each target that has none.

        Args:
          row: from which row.
          relation: the relation, as `Movie.actors`.
          targets: to which rows.
          values: assignments of the edge entity: what its other fields become, also where the edge
            is there.
          context: who asks.

        Returns:
          How many edges were added or changed.
        """
        return self._connect("add", row, relation, targets, values=values, context=context)

    def disconnect(
        self,
        row: Key[E] | E,
        relation: ToMany[E, C],
        *targets: Key[C] | C,
        context: Context | None = None,
    ) -> int:
        """Remove every edge of a many-to-many relation to each target; how many there were."""
        return self._connect("remove", row, relation, targets, context=context)

    def set_connected(
        self,
        row: Key[E] | E,
        relation: ToMany[E, C],
        *targets: Key[C] | C,
        values: Sequence[Assignment[Any]] = (),
        context: Context | None = None,
    ) -> int:
        """Let a many-to-many relation lead to the targets and to no other row.

        Returns:
          How many edges were added, changed or removed.
        """
        return self._connect("set", row, relation, targets, values=values, context=context)

    def _connect(
        self,
        mode: Connecting,
        row: Key[E] | E,
        relation: ToMany[E, C],
        targets: Sequence[Key[C] | C],
        *,
        values: Sequence[Assignment[Any]] = (),
        context: Context | None,
    ) -> int:
        key = key_of(row)
        require_entity(relation.entity, key.entity, "relation", relation)
        declared = relation.declared
        if not isinstance(declared, DeclaredMany) or declared.options.through is None:
            raise QueryError(
                f"{relation!r} has no edges to connect; update the row that has the foreign key"
            )
        identities: list[tuple[Value, ...]] = []
        for target in map(key_of, targets):
            require_entity(target.entity, declared.target, "target", target)
            identities.append(target.values)
        changes: RowDict = {}
        if values:
            edge = values[0].entity
            changes, expressions = assigned(edge, values)
            if expressions or entity_name(edge) != _edge_name(declared):
                raise UsageError(
                    f"{relation!r} takes values of its edges, {_edge_name(declared)}, as they are"
                )
        wanted = Connect(
            entity=entity_name(key.entity),
            identity=key.values,
            through=declared.name,
            targets=tuple(identities),
            mode=mode,
            values=changes,
        )
        (outcome,) = self.run_mutations([wanted], context=context)
        return sum(effect != "unchanged" for effect in outcome.effects)

    def _write_objects(self, rows: Sequence[E], mode: Writing, context: Context | None) -> list[E]:
        if not rows:
            return []
        graph = ObjectGraph(rows, mode)
        (outcome,) = self.run_mutations([graph.mutation], context=context)
        return graph.stored(rows, outcome.identities)


def _upsert(
    entity: type[E],
    rows: tuple[RowDict, ...],
    by: Sequence[Column[E, Any] | Inclusion[E, Any]],
    update: Sequence[Assignment[E] | Column[E, Any]] | None,
) -> Upsert:
    names: list[str] = []
    for one in by:
        require_entity(one.entity, entity, "field", one)
        names += _own_names(one)
    if update is None:
        return Upsert(entity=entity_name(entity), rows=rows, by=tuple(names))
    taken = [one for one in update if is_column(one)]
    changes, expressions = assigned(entity, [one for one in update if isinstance(one, Assignment)])
    for column in taken:
        require_entity(column.entity, entity, "column", column)
    return Upsert(
        entity=entity_name(entity),
        rows=rows,
        by=tuple(names),
        take=tuple(name for column in taken for name in _own_names(column)),
        changes=changes,
        expressions=expressions,
    )


def _own_names(given: Column[Any, Any] | Inclusion[Any, Any]) -> tuple[str, ...]:
    """The fields of the row itself that a column or a relation stands for."""
    if is_column(given) and len(given.path) == 1:
        return given.path
    declared = given.declared if isinstance(given, Inclusion) else None
    if isinstance(declared, DeclaredOne) and not declared.is_back:
        return declared.foreign_names()
    raise QueryError(f"{given!r} is no field of the row itself; name its own fields")


def _known(row: E, identity: tuple[Value, ...]) -> E:
    """The object under the identity of the row that is there, whichever it was given."""
    found: E = with_identity(row, identity)
    return found


def _edge_name(declared: DeclaredMany) -> str:
    """The edge entity of `many(through="Cast.movie")`."""
    return str(declared.options.through).rpartition(".")[0]
