"""Names to layouts.  Every mistake a query can contain is found here, before anything is read.

    "departures" of Airport    the relation Flight.origin, backwards, to many Flights
    "plane" of Flight          the relation Flight.plane, forwards, to at most one Plane
    "actors" of Movie          through Cast: near backwards, far forwards

Invariants (held by tests/unit/query/test_resolve.py):
  1. An unknown name is refused with the names that exist.
  2. What comes out refers to layouts of one schema version only.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal as Choice

from ormdb.errors import QueryError
from ormdb.ir.expr import Expr
from ormdb.ir.expression_type import (
    Conversions,
    Resolved,
    Scope,
    coerce_literals,
    expression_type,
)
from ormdb.ir.schema import FieldDef, ThroughDef
from ormdb.ir.value import BoolType, Type, is_scalar
from ormdb.storage.layout import EntityLayout, Layout, RelationLayout


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """One named way from an entity to others."""

    name: str
    kind: Choice["to_one", "to_many", "through"]
    relation: RelationLayout
    target: EntityLayout
    single: bool  # at most one target
    through: ThroughDef | None = None
    far: RelationLayout | None = None


def find_entity(layout: Layout, name: str) -> EntityLayout:
    """The entity of that name.

    Raises:
      QueryError: there is none.
    """
    entity = layout.entities.get(name)
    if entity is None:
        raise QueryError(
            f"the schema has no entity {name!r}; it has {_listed(layout.entities)}", entity=name
        )
    return entity


def find_step(layout: Layout, entity: EntityLayout, name: str) -> Step:
    """The relation of that name, in whichever direction it has it.

    Raises:
      QueryError: there is none.
    """
    key = (entity.name, name)
    forward = layout.relations.get(key)
    if forward is not None:
        return Step(name, "to_one", forward, forward.target, True)
    backward = layout.inverses.get(key)
    if backward is not None:
        single = backward.relation.inverse_one
        return Step(name, "to_many", backward, backward.source, single)
    through = layout.throughs.get(key)
    if through is not None:
        near = layout.relations[through.edge, through.near]
        far = layout.relations[through.edge, through.far]
        return Step(name, "through", near, far.target, False, through, far)
    raise QueryError(
        f"{entity.name} has no relation {name!r}; it has {_listed(relation_names(layout, entity))}",
        entity=entity.name,
        relation=name,
    )


def find_field(entity: EntityLayout, name: str) -> FieldDef:
    """The field of that name.

    Raises:
      QueryError: there is none.
    """
    definition = entity.fields.get(name)
    if definition is None:
        raise QueryError(
            f"{entity.name} has no field {name!r}; it has {_listed(entity.fields)}",
            entity=entity.name,
            field=name,
        )
    return definition


def follow_relations(
    layout: Layout, entity: EntityLayout, path: tuple[str, ...]
) -> tuple[Step, ...]:
    """The steps of a path of relations, of which only the last may lead to many rows.

    Raises:
      QueryError: a name does not exist, or a step before the last leads to many rows.
    """
    if not path:
        raise QueryError(f"a path of {entity.name} is empty; name at least a relation")
    steps = _single_steps(layout, entity, path)
    return (*steps, find_step(layout, steps[-1].target if steps else entity, path[-1]))


def follow_path(
    layout: Layout, entity: EntityLayout, path: tuple[str, ...]
) -> tuple[tuple[Step, ...], FieldDef]:
    """The to-one steps of a path and the field at its end.

    Raises:
      QueryError: a name does not exist, or a step leads to many rows.
    """
    if not path:
        raise QueryError(f"a path of {entity.name} is empty; name at least a field")
    steps = _single_steps(layout, entity, path)
    return steps, find_field(steps[-1].target if steps else entity, path[-1])


def _single_steps(layout: Layout, entity: EntityLayout, path: tuple[str, ...]) -> tuple[Step, ...]:
    """The steps of a path before its last name."""
    steps: list[Step] = []
    for name in path[:-1]:
        step = find_step(layout, entity, name)
        if not step.single:
            raise QueryError(
                f"{'.'.join(path)} goes through {entity.name}.{name}, which leads to many rows; "
                "follow to-one relations there, and ask about many rows with any() or all()",
                entity=entity.name,
                relation=name,
            )
        steps.append(step)
        entity = step.target
    return tuple(steps)


def check_filter(
    layout: Layout, entity: EntityLayout, expr: Expr, conversions: Conversions | None = None
) -> Expr:
    """Type-check a filter; its literals, converted to what they are compared with.

    Raises:
      QueryError: an unknown name, a comparison of unlike types, or not a condition at all.
    """
    scope = scope_of(layout, entity)
    return coerce_literals(
        expr,
        scope.resolve,
        expected=BoolType(),
        follow=scope.follow,
        conversions=conversions,
    )


def check_value(
    layout: Layout, entity: EntityLayout, expr: Expr, conversions: Conversions | None = None
) -> tuple[Expr, Type]:
    """Type-check a value; its literals, converted to what they stand beside, and its type.

    Raises:
      QueryError: an unknown name, or values that do not go together.
    """
    scope = scope_of(layout, entity)
    checked = coerce_literals(expr, scope.resolve, follow=scope.follow, conversions=conversions)
    return checked, expression_type(checked, scope.resolve, scope.follow)[0]


def scope_of(layout: Layout, entity: EntityLayout) -> Scope:
    """What names mean in an expression about an entity's rows."""

    def resolve(path: tuple[str, ...]) -> Resolved:
        steps, definition = follow_path(layout, entity, path)
        return Resolved(
            name=f"{entity.name}.{'.'.join(path)}",
            type=definition.type,
            optional=definition.optional or bool(steps),
        )

    def follow(path: tuple[str, ...]) -> Scope:
        return scope_of(layout, follow_relations(layout, entity, path)[-1].target)

    return Scope(resolve, follow)


def check_sortable(entity: EntityLayout, path: tuple[str, ...], definition: FieldDef) -> None:
    """Refuse an order by something that has none.

    Raises:
      QueryError: the field is a list, a struct or JSON.
    """
    if not is_scalar(definition.type):
        raise QueryError(
            f"{entity.name}.{'.'.join(path)} cannot be ordered by: it is a "
            f"{type(definition.type).__name__.removesuffix('Type').lower()}; order by a scalar",
            entity=entity.name,
        )


def relation_names(layout: Layout, entity: EntityLayout) -> list[str]:
    """Every relation of an entity, in all directions."""
    tables: Iterable[tuple[str, str]] = (*layout.relations, *layout.inverses, *layout.throughs)
    return [name for owner, name in tables if owner == entity.name]


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"
