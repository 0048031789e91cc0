"""Holds that the strategies of `ormdb.testing` draw what they promise."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ormdb.catalog.validate import validate
from ormdb.ir.check import canonical_value
from ormdb.ir.evaluate import Resolve, Resolved, coerce_literals
from ormdb.ir.expr import Expr
from ormdb.ir.schema import SchemaBundle
from ormdb.ir.value import (
    BoolType,
    DateType,
    DecimalType,
    DurationType,
    EnumType,
    FloatType,
    IntType,
    JsonType,
    TextType,
    TimestampType,
    Type,
    Value,
)
from ormdb.testing.schema_strategies import bundles
from ormdb.testing.strategies import Fields, conditions, types_of_fields, values

FIELDS: Fields = {
    "n": (IntType(), True),
    "m": (IntType(), False),
    "x": (FloatType(), True),
    "price": (DecimalType(precision=9, scale=2), True),
    "name": (TextType(), True),
    "ok": (BoolType(), True),
    "day": (DateType(), True),
    "at": (TimestampType(), True),
    "length": (DurationType(), True),
    "state": (EnumType(variants=("new", "old", "gone")), True),
    "data": (JsonType(), True),
}


def resolver(fields: Fields) -> Resolve:
    def resolve(path: tuple[str, ...]) -> Resolved:
        kind, optional = fields[path[0]]
        return Resolved(name=f"Row.{path[0]}", type=kind, optional=optional)

    return resolve


@given(st.data())
def test_every_value_drawn_is_its_own_canonical_form(data: st.DataObject) -> None:
    kind: Type = data.draw(types_of_fields())
    value: Value = data.draw(values(kind))
    kept: Any = canonical_value(kind, value, "here")
    assert repr(kept) == repr(value)


@given(conditions(FIELDS))
def test_every_condition_drawn_is_accepted_as_one(expression: Expr) -> None:
    coerce_literals(expression, resolver(FIELDS), expected=BoolType())


@given(bundles())
def test_every_bundle_drawn_is_valid(bundle: SchemaBundle) -> None:
    validate(bundle)
