"""Objects that lead to each other, and nested dicts, as one graph to write.

    heat = Movie(title="Heat")
    [Cast(movie=heat, person=Person(name="De Niro"), role="Neil"),
     Cast(movie=heat, person=Person.key(7))]

    0 Movie Heat   1 Person De Niro   2 Cast -> movie 0, person 1   3 Cast -> movie 0, person_id 7

Every object that a program made is a row to write, and is written once however many lead to it.
Keys, and objects that were fetched or inserted, are rows that are there.  A nested dict holds the
rows that lead to it as lists, under the name of the relation that leads back.

Invariants (held by tests/unit/database/test_saving.py):
  1. An object is one row of the graph, wherever it is reached from.
  2. What comes back has the classes and the relations of what was given, and its identities.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar, cast

from ormdb.errors import QueryError, UsageError
from ormdb.ir.mutation import GraphRow, WriteGraph, Writing
from ormdb.ir.schema import EntityDef, RelationDef, SchemaBundle
from ormdb.ir.value import RowDict, Value
from ormdb.model.declaration import DeclaredOne, declaration_of
from ormdb.model.drafts import DraftNode, row_of, stored_draft
from ormdb.model.entity import Entity
from ormdb.model.objects import ObjectState
from ormdb.model.relation import foreign_values

E = TypeVar("E", bound=Entity)


class ObjectGraph:
    """Objects to write, each once."""

    def __init__(self, given: Iterable[Entity], mode: Writing) -> None:
        self.objects: list[ObjectState] = []
        self._mode: Writing = mode
        self._places: dict[int, int] = {}
        self._rows: list[GraphRow] = []
        for one in given:
            if not isinstance(one, Entity):  # pyright: ignore[reportUnnecessaryIsInstance]
                raise UsageError(f"{one!r} is no object of an entity; insert_trees() takes dicts")
            self._add(one)

    @property
    def mutation(self) -> WriteGraph:
        """The graph as a statement."""
        return WriteGraph(rows=tuple(self._rows))

    def stored(self, given: Iterable[E], identities: Sequence[tuple[Value, ...]]) -> list[E]:
        """The objects that were given, with their identities, those they lead to as well."""
        made: dict[int, Any] = {}
        for at, one in enumerate(self.objects):  # those that others lead to come first
            node = one.__ormdb_node__
            relations: dict[str, object] = {}
            if isinstance(node, DraftNode):
                relations = {
                    name: made.get(id(target), target) for name, target in node.relations.items()
                }
            made[id(one)] = stored_draft(one, identities[at], relations)
        return [cast("E", made[id(one)]) for one in given]

    def _add(self, root: ObjectState) -> None:
        """Add an object after everything it leads to; without recursion, chains may be long."""
        open_objects = [root]
        entered: set[int] = set()
        while open_objects:
            one = open_objects[-1]
            if id(one) in self._places:
                open_objects.pop()
                continue
            targets = _new_targets(one)
            waiting = [each for each in targets.values() if id(each) not in self._places]
            if waiting and id(one) in entered:
                raise QueryError(
                    f"{one!r} leads back to itself; insert it without that, then set it",
                    entity=declaration_of(type(one)).name,
                )
            if waiting:
                entered.add(id(one))
                open_objects += waiting
                continue
            open_objects.pop()
            self._append(one, targets)

    def _append(self, one: ObjectState, targets: Mapping[str, ObjectState]) -> None:
        self._places[id(one)] = len(self._rows)
        self.objects.append(one)
        links = tuple((name, self._places[id(target)]) for name, target in targets.items())
        self._rows.append(
            GraphRow(
                entity=declaration_of(type(one)).name,
                values=row_of(one, leaving=targets),
                links=links,
                mode=self._mode,
            )
        )


class TreeGraph:
    """Nested dicts to write, and the positions of those at the top."""

    def __init__(self, bundle: SchemaBundle) -> None:
        self._entities = {entity.name: entity for entity in bundle.entities}
        self._bundle = bundle
        self._rows: list[GraphRow] = []

    @property
    def mutation(self) -> WriteGraph:
        """The graph as a statement."""
        return WriteGraph(rows=tuple(self._rows))

    def add(self, entity: str, tree: Mapping[str, Value]) -> int:
        """Add a row and everything in it; its position."""
        definition = self._entity(entity)
        values: RowDict = {}
        links: dict[str, int] = {}
        many: list[tuple[RelationDef, Value]] = []
        for name, value in tree.items():
            relation = self._relation(entity, name)
            if relation is None:
                values[name] = value
            elif relation.source == entity and relation.name == name:
                if value is None:
                    values.update(dict.fromkeys(relation.fields))
                else:
                    links[name] = self._target(relation.target, value)
            else:
                many.append((relation, value))
        place = self._put(definition, values, links)
        for relation, children in many:
            self._add_children(relation, children, place)
        return place

    def _add_children(self, relation: RelationDef, children: Value, parent: int) -> None:
        """Add the rows that lead to a parent over a relation of theirs."""
        listed = [children] if relation.inverse_one else children
        if not isinstance(listed, list | tuple):
            raise UsageError(f"{relation.inverse} takes a list of dicts, not {children!r}")
        for child in cast("Sequence[Any]", listed):
            if not isinstance(child, Mapping):
                raise UsageError(f"{relation.inverse} takes a list of dicts, not {child!r}")
            at = self.add(relation.source, cast("Mapping[str, Value]", child))
            row = self._rows[at]
            self._rows[at] = GraphRow(
                entity=row.entity, values=row.values, links=(*row.links, (relation.name, parent))
            )

    def _target(self, entity: str, value: Value) -> int:
        """The position of a nested dict, or of the row that an identity names."""
        if isinstance(value, Mapping):
            return self.add(entity, cast("Mapping[str, Value]", value))
        definition = self._entity(entity)
        identity: tuple[Value, ...] = (value,)
        if isinstance(value, tuple):
            identity = tuple(cast("Sequence[Any]", value))
        if len(identity) != len(definition.identity):
            raise UsageError(
                f"{value!r} is no identity of {entity}, which has {', '.join(definition.identity)}"
            )
        named = dict(zip(definition.identity, identity, strict=True))
        self._rows.append(GraphRow(entity=entity, values=named, mode="link"))
        return len(self._rows) - 1

    def _put(self, entity: EntityDef, values: RowDict, links: Mapping[str, int]) -> int:
        self._rows.append(GraphRow(entity=entity.name, values=values, links=tuple(links.items())))
        return len(self._rows) - 1

    def _relation(self, entity: str, name: str) -> RelationDef | None:
        for relation in self._bundle.relations:
            if relation.source == entity and relation.name == name:
                return relation
            if relation.target == entity and relation.inverse == name:
                return relation
        return None

    def _entity(self, name: str) -> EntityDef:
        found = self._entities.get(name)
        if found is None:
            raise QueryError(f"the schema has no entity {name!r}", entity=name)
        return found


def _new_targets(one: ObjectState) -> dict[str, ObjectState]:
    """The objects that an object leads to and that are no rows yet, by relation."""
    node = one.__ormdb_node__
    if not isinstance(node, DraftNode) or node.is_stored:
        return {}
    found: dict[str, ObjectState] = {}
    for name, target in node.relations.items():
        other = target.__ormdb_node__ if isinstance(target, ObjectState) else None
        if isinstance(target, ObjectState) and isinstance(other, DraftNode) and not other.is_stored:
            declared = declaration_of(type(one)).relations[name]
            assert isinstance(declared, DeclaredOne), f"{name} passed the plan"
            if type(target) is not declared.target:
                foreign_values(declared, target)  # raises: it is of another entity
            found[name] = target
    return found
