"""Holds that generated code finds rows true and false exactly where the evaluator does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache, partial
from typing import Any, Final

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ormdb.catalog.assign import assign_numbers
from ormdb.errors import ValueRangeError
from ormdb.ir.evaluate import Resolved, coerce_literals, evaluate
from ormdb.ir.expr import And, Call, Compare, Expr, FieldRef, InList, Literal, Not, Or
from ormdb.ir.graph import GraphQuery
from ormdb.ir.schema import Computed, EntityDef, FieldDef, SchemaBundle
from ormdb.ir.type_text import type_name
from ormdb.ir.value import (
    BoolType,
    BytesType,
    DateType,
    DecimalType,
    EnumType,
    FloatType,
    IntType,
    JsonType,
    ListType,
    RowDict,
    TextType,
    TimestampType,
    Type,
    UuidType,
    Value,
    is_scalar,
)
from ormdb.query.convert import make_converter
from ormdb.query.shape import take_shape
from ormdb.storage.codegen import compile_function
from ormdb.storage.expressions import (
    OwnFields,
    Place,
    RowExpression,
    Translator,
    compile_violations,
)
from ormdb.storage.layout import EntityLayout, Layout
from ormdb.storage.records import stored_value
from ormdb.testing.strategies import Fields, conditions, operands, rows
from tests.oracle.clocks import StillClock

LEVEL: Final = EnumType(variants=("low", "mid", "high"))
FIELDS: Final[Fields] = {
    "n": (IntType(), True),
    "m": (IntType(), False),
    "x": (FloatType(), True),
    "price": (DecimalType(precision=9, scale=2), True),
    "name": (TextType(), True),
    "raw": (BytesType(), False),
    "ok": (BoolType(), True),
    "key": (UuidType(), True),
    "day": (DateType(), True),
    "at": (TimestampType(), False),
    "level": (LEVEL, True),
    "more": (JsonType(), True),
    "tags": (ListType(item=TextType()), True),
    "levels": (ListType(item=LEVEL), False),
    "sizes": (ListType(item=FloatType()), True),
}
KINDS: Final = sorted({kind for kind, _ in FIELDS.values() if is_scalar(kind)}, key=type_name)
CLOCK: Final = StillClock()


@cache
def entity_layout() -> EntityLayout:
    """The layout of an entity with these fields, and one computed when it is read."""
    fields = tuple(FieldDef(name=n, type=k, optional=o) for n, (k, o) in FIELDS.items())
    higher = Call(name="coalesce", arguments=(FieldRef(path=("level",)), Literal(value="mid")))
    fields += (FieldDef(name="shown_level", type=LEVEL, computed=Computed(expression=higher)),)
    entity = EntityDef(name="Row", fields=fields, identity=("m",))
    return Layout(assign_numbers(SchemaBundle(entities=(entity,)), None)).entities["Row"]


def resolve(path: tuple[str, ...]) -> Resolved:
    definition = entity_layout().fields[path[0]]
    return Resolved(name=path[0], type=definition.type, optional=definition.optional)


def stored_row(row: RowDict) -> Any:
    """A row as it is decoded from the store."""
    codec = entity_layout().codec
    kinds = {f.slot: (f.name, f.type) for f in entity_layout().entity.fields if f.slot >= 0}
    slots = [kinds[slot] for slot in range(codec.slot_count)]
    return codec.Row(1, *(stored_value(kind, row[name]) for name, kind in slots))


def outcome(answer: Callable[[], Value]) -> Value:
    """What comes out, or that it is out of range."""
    try:
        return answer()
    except ValueRangeError:
        return "out of range"


def compiled(translator: Translator, code: str, parameters: Sequence[int]) -> Callable[..., bool]:
    arguments = ", ".join(["r", *(f"p{index}" for index in parameters)])
    source = f"def keep({arguments}):\n    return bool({code})\n"
    return compile_function(source, "keep", translator.bindings)


def generated_outcome(condition: Expr, row: RowDict) -> Value:
    """True, false or NULL, as the two generated questions tell it."""
    shaped = take_shape(GraphQuery(entity="Row", filter=condition))
    bare = shaped.shape.query.filter
    assert bare is not None
    answers: list[Value] = []
    for asks_for_truth in (True, False):
        translator = Translator(OwnFields(entity_layout()), CLOCK)
        code = translator.true(bare) if asks_for_truth else translator.false(bare)
        parameters = sorted(translator.params)
        keep = compiled(translator, code, parameters)
        given_values = [
            make_converter(translator.params[index], shaped.shape.parameter_classes[index])(
                shaped.values[index]
            )
            for index in parameters
        ]
        stored = stored_row(row)
        answers.append(outcome(partial(keep, stored, *given_values)))
    is_true, is_false = answers
    if "out of range" in answers:
        return "out of range"
    assert not (is_true and is_false)
    return True if is_true else False if is_false else None


@given(conditions(FIELDS), rows(FIELDS))
def test_generated_code_agrees_with_the_evaluator(condition: Expr, row: RowDict) -> None:
    condition = coerce_literals(condition, resolve, expected=BoolType())
    expected = outcome(lambda: evaluate(condition, row, resolve=resolve, clock=CLOCK))
    # What follows a part that decides is evaluated in neither, or in one only.
    assume(expected != "out of range")
    found = generated_outcome(condition, row)
    assume(found != "out of range")
    assert found is expected


@pytest.mark.parametrize("kind", KINDS, ids=type_name)
@given(st.data(), rows(FIELDS))
def test_a_calculated_value_is_the_evaluators(
    kind: Type, data: st.DataObject, row: RowDict
) -> None:
    expr = coerce_literals(data.draw(operands(kind, FIELDS, depth=3)), resolve, expected=kind)
    expected = outcome(lambda: evaluate(expr, row, resolve=resolve, clock=CLOCK))
    assume(expected != "out of range")
    found = outcome(lambda: RowExpression(expr, entity_layout(), CLOCK).value(stored_row(row)))
    assert (type(found), found) == (type(expected), expected)


@given(conditions(FIELDS), st.lists(rows(FIELDS), max_size=5))
def test_a_check_refuses_the_rows_for_which_it_is_false(
    condition: Expr, given_rows: list[RowDict]
) -> None:
    condition = coerce_literals(condition, resolve, expected=BoolType())
    violations = compile_violations(condition, entity_layout(), CLOCK)
    expected = outcome(
        lambda: [
            position
            for position, row in enumerate(given_rows)
            if evaluate(condition, row, resolve=resolve, clock=CLOCK) is False
        ]
    )
    found = outcome(lambda: violations([stored_row(row) for row in given_rows]))
    assume("out of range" not in (expected, found))
    assert found == expected


@given(conditions(FIELDS, depth=2), conditions(FIELDS, depth=2))
def test_expressions_of_one_shape_give_one_source(first: Expr, second: Expr) -> None:
    sources: list[str] = []
    shapes: list[object] = []
    for condition in (first, second, first):
        bare = coerce_literals(condition, resolve, expected=BoolType())
        shaped = take_shape(GraphQuery(entity="Row", filter=bare))
        assert shaped.shape.query.filter is not None
        sources.append(
            Translator(OwnFields(entity_layout()), CLOCK).true(shaped.shape.query.filter)
        )
        shapes.append((shaped.shape.query, shaped.shape.literal_classes))
    assert sources[0] == sources[2]
    if shapes[0] == shapes[1]:
        assert sources[0] == sources[1]


@pytest.mark.parametrize("level", ["low", "mid", "high", None])
@pytest.mark.parametrize("literal", ["low", "mid", "high"])
def test_an_enum_computed_when_read_is_ordered_as_its_variants(
    level: str | None, literal: str
) -> None:
    shown = FieldRef(path=("shown_level",))
    condition = Compare(op="<", left=shown, right=Literal(value=literal))
    row = dict.fromkeys(FIELDS) | {"m": 1, "level": level}
    expected = LEVEL.variants.index(level or "mid") < LEVEL.variants.index(literal)
    assert generated_outcome(condition, row) is expected
    same = Compare(op="==", left=shown, right=FieldRef(path=("level",)))
    assert generated_outcome(same, row) is (None if level is None else True)


@pytest.mark.parametrize("n", [1, 2, None])
@pytest.mark.parametrize("items", [(1, None), (None,), (1, 2), ()])
def test_a_calculated_value_in_a_list_with_null_is_never_definitely_absent(
    n: int | None, items: tuple[int | None, ...]
) -> None:
    operand = Call(name="abs", arguments=(FieldRef(path=("n",)),))
    listed = InList(operand=operand, items=Literal(value=items))
    row = dict.fromkeys(FIELDS) | {"m": 1, "n": n}
    for condition in (listed, Not(operand=listed), And(items=(listed,)), Or(items=(listed,))):
        assert generated_outcome(condition, row) is evaluate(condition, row)


def test_a_required_field_reads_as_null_behind_a_relation_that_leads_nowhere() -> None:
    layout = entity_layout()
    places = OwnFields(layout)

    class Missing(OwnFields):
        def __call__(self, path: tuple[str, ...]) -> Place:
            return replace(places(path), maybe_missing=True)

    translator = Translator(Missing(layout), CLOCK)
    code = translator.true(Compare(op="==", left=FieldRef(path=("m",)), right=Literal(value=1)))
    keep = compiled(translator, code, ())
    assert keep(None) is False
    assert keep(stored_row(dict.fromkeys(FIELDS) | {"m": 1})) is True
