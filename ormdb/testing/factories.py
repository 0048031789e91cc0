"""Rows for tests: what a test does not say, a factory fills in.

    factory = Factory(db)
    late = factory.make(Flight, dep_delay=180)      id 1, "carrier 1", ..., and an Airport
    more = factory.make_many(Flight, 3, origin=Airport.key("origin 1"))

A required field gets a value that no other row of the factory has, a field with a default its
default, an optional one NULL.  A required relation that is not given gets a new row to lead to, and
that one its own, as far as it takes.  The values are the same in every run, so a test that fails
fails again.

Invariants (held by tests/unit/testing/test_factories.py):
  1. A row that is made keeps every constraint but checks, whose values a test has to give.
  2. Whatever is given stays as it is.
"""

from __future__ import annotations

import datetime
import decimal
import uuid
from collections import Counter
from typing import TypeVar

from ormdb.errors import UsageError
from ormdb.ir.schema import EntityDef, FieldDef, RelationDef, SchemaBundle
from ormdb.ir.value import (
    BoolType,
    BytesType,
    DateType,
    DecimalType,
    DurationType,
    EnumType,
    FloatType,
    IntType,
    JsonType,
    ListType,
    RowDict,
    StructType,
    TextType,
    TimestampType,
    TimeType,
    Type,
    UuidType,
    Value,
)
from ormdb.model.declaration import entity_name
from ormdb.model.entity import Entity
from ormdb.model.face import TypedWriter
from ormdb.model.objects import require_identity
from ormdb.model.relation import Key

E = TypeVar("E", bound=Entity)

_DAY = datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC)


class Factory:
    """Makes rows through a database or a transaction."""

    def __init__(self, writer: TypedWriter) -> None:
        self._writer = writer
        self._made: Counter[str] = Counter()
        self._making: list[str] = []

    def make(self, entity: type[E], **given: object) -> E:
        """Insert a row and return it as it is read back.

        Args:
          entity: its class.
          given: values by the names of fields, and rows or keys by the names of relations.

        Raises:
          UsageError: the entity has no such field or relation; or it requires a row that requires
            it in turn, so that one of them has to be given.
          ConstraintError: a check, or a value that was given, refuses the row.
        """
        identity = self._insert(entity_name(entity), given)
        row = self._writer.get(entity, *identity)
        assert row is not None
        return row

    def make_many(self, entity: type[E], count: int, **given: object) -> list[E]:
        """`make`, so many times, with the same values given each time."""
        return [self.make(entity, **given) for _ in range(count)]

    def _insert(self, name: str, given: dict[str, object]) -> tuple[Value, ...]:
        schema = self._writer.schema
        entity = next(each for each in schema.entities if each.name == name)
        row = self._values(schema, entity, given)
        self._lead_somewhere(schema, entity, row)
        self._made[name] += 1
        for field in entity.fields:
            if field.name not in row and _needs_value(field):
                row[field.name] = sample_value(field.type, field.name, self._made[name])
        return self._writer.insert_rows(name, [row])[0]

    def _values(self, schema: SchemaBundle, entity: EntityDef, given: dict[str, object]) -> RowDict:
        """What was given, relations as the values of their fields."""
        known = {field.name for field in entity.fields}
        relations = {each.name: each for each in schema.relations if each.source == entity.name}
        row: RowDict = {}
        for name, value in given.items():
            if name in known:
                row[name] = value
            elif name in relations:
                row.update(self._referring(relations[name], value))
            else:
                raise UsageError(
                    f"{entity.name} has no field or relation {name!r}; it has "
                    f"{', '.join([*known, *relations])}"
                )
        return row

    def _referring(self, relation: RelationDef, target: object) -> RowDict:
        """The values by which a row refers to another one."""
        if target is None:
            return dict.fromkeys(relation.fields)
        if isinstance(target, Entity):
            target = Key(type(target), require_identity(target))
        if not isinstance(target, Key):
            raise UsageError(f"{relation.name}={target!r} leads nowhere; give a row or a key")
        found = self._writer.run_get(relation.target, target.values)
        if found is None:
            raise UsageError(f"{relation.name}={target!r} is not there; make it first")
        pairs = zip(relation.fields, relation.target_fields, strict=True)
        return {own: found[theirs] for own, theirs in pairs}

    def _lead_somewhere(self, schema: SchemaBundle, entity: EntityDef, row: RowDict) -> None:
        """Make what the required relations of a row lead to, as far as it is not given."""
        optional = {field.name for field in entity.fields if not _needs_value(field)}
        for relation in schema.relations:
            if relation.source != entity.name or not relation.enforced:
                continue
            if optional.issuperset(relation.fields) or all(name in row for name in relation.fields):
                continue
            pairs = list(zip(relation.fields, relation.target_fields, strict=True))
            if relation.target in (*self._making, entity.name):
                raise UsageError(
                    f"{entity.name}.{relation.name} requires a {relation.target}, which is being "
                    f"made and requires a {entity.name} itself; give one of them"
                )
            self._making.append(entity.name)
            try:
                known: dict[str, object] = {theirs: row[own] for own, theirs in pairs if own in row}
                identity = self._insert(relation.target, known)
            finally:
                self._making.pop()
            target = self._writer.run_get(relation.target, identity)
            assert target is not None
            row.update({own: target[theirs] for own, theirs in pairs})


def _needs_value(field: FieldDef) -> bool:
    return not field.optional and field.default is None and field.computed is None


def sample_value(kind: Type, name: str, number: int) -> Value:
    """A value of a type; others for other numbers, where the type has so many."""
    match kind:
        case BoolType():
            return number % 2 == 0
        case IntType():
            return number
        case FloatType():
            return number + 0.5
        case DecimalType(scale=scale):
            return decimal.Decimal(number).scaleb(-scale)
        case TextType(max_chars=chars):
            text = f"{name} {number}"
            return text if chars is None or len(text) <= chars else str(number).rjust(chars, "x")
        case BytesType():
            return f"{name} {number}".encode()
        case UuidType():
            return uuid.uuid5(uuid.NAMESPACE_OID, f"{name} {number}")
        case EnumType(variants=variants):
            return variants[number % len(variants)]
        case JsonType() | ListType():
            return {"number": number} if isinstance(kind, JsonType) else ()
        case StructType(fields=parts):
            return {
                part.name: None if part.optional else sample_value(part.type, part.name, number)
                for part in parts
            }
        case TimestampType():
            return _DAY + datetime.timedelta(minutes=number)
        case DateType():
            return (_DAY + datetime.timedelta(days=number)).date()
        case TimeType():
            return (_DAY + datetime.timedelta(seconds=number)).time()
        case DurationType():
            return datetime.timedelta(seconds=number)
