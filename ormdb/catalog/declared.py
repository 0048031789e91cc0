"""A bundle as declared: what its author wrote, apart from the numbers the catalog gave it.

    as written     born: date = "1970-01-01"        check price > 1.5
    normalized     born: date = date(1970, 1, 1)    check price > Decimal("1.5")

Two declarations are the same schema when their normalized, numberless forms have one hash.  The
order of fields is part of a schema, because rows are shown in it; the order in which entities,
relations, indexes and checks were listed is not.

Invariants (held by tests/unit/catalog/test_declared.py):
  1. `normalize` is idempotent.
  2. Numbers and the order of listing never change the hash; anything else does.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

from ormdb.errors import QueryError
from ormdb.ir.canonical import signature
from ormdb.ir.check import canonical_value
from ormdb.ir.coerce import coerce_value
from ormdb.ir.evaluate import Resolve, Resolved, coerce_literals
from ormdb.ir.expr import Expr
from ormdb.ir.schema import (
    UNASSIGNED,
    CheckDef,
    EntityDef,
    ExpressionDefault,
    FieldDef,
    IndexDef,
    LiteralDefault,
    RelationDef,
    SchemaBundle,
    ThroughDef,
)
from ormdb.ir.value import BoolType, Type, Value, is_scalar

Named = TypeVar("Named", EntityDef, IndexDef, CheckDef)


def strip_numbers(bundle: SchemaBundle) -> SchemaBundle:
    """Return the bundle without ids, slots and version, in the order it has."""
    return replace(
        bundle,
        entities=tuple(map(_strip_entity, bundle.entities)),
        relations=tuple(
            replace(relation, id=UNASSIGNED, slot=UNASSIGNED) for relation in bundle.relations
        ),
        version=0,
    )


def bundle_hash(bundle: SchemaBundle) -> str:
    """Return 64 hex digits that tell schemas apart, whatever their numbers."""
    plain = strip_numbers(bundle)
    return signature(
        replace(
            plain,
            entities=_by_name(
                tuple(
                    replace(e, indexes=_by_name(e.indexes), checks=_by_name(e.checks))
                    for e in plain.entities
                )
            ),
            relations=tuple(sorted(plain.relations, key=relation_key)),
            throughs=tuple(sorted(plain.throughs, key=through_key)),
        )
    )


def relation_key(relation: RelationDef) -> tuple[str, str]:
    """What tells a relation from others."""
    return relation.source, relation.name


def through_key(through: ThroughDef) -> tuple[str, str]:
    """What tells a many-to-many relation from others."""
    return through.entity, through.name


def own_fields(entity: EntityDef) -> Resolve:
    """Resolve paths of one name to the fields of one entity; refuse all others."""
    fields = {field.name: field for field in entity.fields}

    def resolve(path: tuple[str, ...]) -> Resolved:
        dotted = ".".join(path)
        if len(path) != 1:
            raise QueryError(f"{dotted} leaves {entity.name}; only its own fields can be used here")
        field = fields.get(dotted)
        if field is None:
            raise QueryError(f"{entity.name} has no field {dotted!r}; it has {', '.join(fields)}")
        return Resolved(name=f"{entity.name}.{dotted}", type=field.type, optional=field.optional)

    return resolve


def normalize(bundle: SchemaBundle) -> SchemaBundle:
    """Return a valid bundle with every literal in the form of its field's type."""
    return replace(bundle, entities=tuple(map(_normalize_entity, bundle.entities)))


def field_literal(kind: Type, value: Value, where: str) -> Value:
    """Return a default or fill as the canonical value of its field.

    Raises:
      QueryError, ValueTypeError, ValueRangeError: the field cannot hold it.
    """
    if is_scalar(kind):
        value = coerce_value(kind, value, where)
    return None if value is None else canonical_value(kind, value, where)


def _strip_entity(entity: EntityDef) -> EntityDef:
    return replace(
        entity,
        fields=tuple(replace(field, slot=UNASSIGNED) for field in entity.fields),
        indexes=tuple(replace(index, id=UNASSIGNED) for index in entity.indexes),
        id=UNASSIGNED,
    )


def _by_name(items: tuple[Named, ...]) -> tuple[Named, ...]:
    return tuple(sorted(items, key=lambda item: item.name))


def _normalize_entity(entity: EntityDef) -> EntityDef:
    resolve = own_fields(entity)
    return replace(
        entity,
        fields=tuple(_normalize_field(entity, field, resolve) for field in entity.fields),
        indexes=tuple(
            replace(index, condition=_normalize_condition(index.condition, resolve))
            for index in entity.indexes
        ),
        checks=tuple(
            replace(
                check, expression=coerce_literals(check.expression, resolve, expected=BoolType())
            )
            for check in entity.checks
        ),
    )


def _normalize_condition(condition: Expr | None, resolve: Resolve) -> Expr | None:
    if condition is None:
        return None
    return coerce_literals(condition, resolve, expected=BoolType())


def _normalize_field(entity: EntityDef, field: FieldDef, resolve: Resolve) -> FieldDef:
    default, computed, where = field.default, field.computed, f"{entity.name}.{field.name}"
    if isinstance(default, LiteralDefault):
        default = LiteralDefault(value=field_literal(field.type, default.value, where))
    elif isinstance(default, ExpressionDefault):
        default = ExpressionDefault(
            expression=coerce_literals(default.expression, resolve, expected=field.type)
        )
    if computed is not None:
        computed = replace(
            computed, expression=coerce_literals(computed.expression, resolve, expected=field.type)
        )
    fill = field_literal(field.type, field.fill, where)
    return replace(field, default=default, computed=computed, fill=fill)
