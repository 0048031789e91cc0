"""Given values become checked rows a column at a time; a mistake names entity, field and row."""

from __future__ import annotations

import datetime
import decimal
import uuid
from typing import Any

import pytest

from ormdb.catalog.assign import assign_numbers
from ormdb.catalog.declared import normalize
from ormdb.errors import (
    ImmutableError,
    OrmdbError,
    QueryError,
    RequiredError,
    ValueRangeError,
    ValueTypeError,
)
from ormdb.ir.expr import Arithmetic, Call, Expr, FieldRef, Literal
from ormdb.ir.schema import (
    Computed,
    EntityDef,
    ExpressionDefault,
    FieldDef,
    LiteralDefault,
    NowDefault,
    SchemaBundle,
    SequenceDefault,
    Uuid7Default,
)
from ormdb.ir.value import (
    DateType,
    DecimalType,
    EnumType,
    FloatType,
    IntType,
    JsonType,
    ListType,
    StructField,
    StructType,
    TextType,
    TimestampType,
    UuidType,
    Value,
)
from ormdb.storage.layout import EntityLayout, Layout
from ormdb.txn.rows import RowBuilder, WriteMoment
from tests.oracle.clocks import StillClock

NOW_US = 1_700_000_000_123_456
NOW = datetime.datetime(2023, 11, 14, 22, 13, 20, 123_456, tzinfo=datetime.UTC)
INT, TEXT = IntType(), TextType()


class Numbers:
    """Counters that live as long as the test."""

    def __init__(self) -> None:
        self.last: dict[str, int] = {}

    def take(self, counter: str, count: int) -> int:
        first = self.last.get(counter, 0) + 1
        self.last[counter] = first + count - 1
        return first

    def raise_to(self, counter: str, number: int) -> None:
        self.last[counter] = max(number, self.last.get(counter, 0))


def name_of(field: str) -> FieldRef:
    return FieldRef(path=(field,))


def times(left: Expr, factor: int) -> Expr:
    return Arithmetic(op="*", left=left, right=Literal(value=factor))


ENTITY = EntityDef(
    name="Order",
    identity=("id",),
    fields=(
        FieldDef(name="id", type=INT, default=SequenceDefault()),
        FieldDef(name="title", type=TextType(max_chars=8)),
        FieldDef(name="price", type=DecimalType(precision=6, scale=2), optional=True),
        FieldDef(name="kind", type=EnumType(variants=("cash", "card")), optional=True),
        FieldDef(name="rate", type=FloatType(), default=LiteralDefault(value=1.5)),
        FieldDef(name="made", type=TimestampType(), default=NowDefault()),
        FieldDef(name="day", type=DateType(), default=NowDefault()),
        FieldDef(name="code", type=UuidType(), default=Uuid7Default()),
        FieldDef(name="tags", type=ListType(item=TEXT), optional=True),
        FieldDef(
            name="place",
            type=StructType(fields=(StructField(name="x", type=INT, optional=True),)),
            optional=True,
        ),
        FieldDef(name="extra", type=JsonType(), default=LiteralDefault(value={"a": []})),
        FieldDef(
            name="label",
            type=TEXT,
            default=ExpressionDefault(expression=Call(name="upper", arguments=(name_of("title"),))),
        ),
        FieldDef(
            name="length",
            type=INT,
            computed=Computed(
                expression=Call(name="length", arguments=(name_of("title"),)), stored=True
            ),
        ),
        FieldDef(
            name="area",
            type=INT,
            optional=True,
            computed=Computed(expression=times(name_of("length"), 10), stored=True),
        ),
        FieldDef(
            name="shown",
            type=INT,
            computed=Computed(expression=times(name_of("length"), 2)),
        ),
    ),
)


@pytest.fixture
def entity() -> EntityLayout:
    bundle = assign_numbers(normalize(SchemaBundle(entities=(ENTITY,))), None)
    return Layout(bundle).entities["Order"]


@pytest.fixture
def builder(entity: EntityLayout) -> RowBuilder:
    return RowBuilder(entity, StillClock(NOW_US))


@pytest.fixture
def moment() -> WriteMoment:
    random_bytes = StillClock(NOW_US).random_bytes
    return WriteMoment(version=9, wall_us=NOW_US, numbers=Numbers(), random_bytes=random_bytes)


def slots(builder: RowBuilder, row: Any, *names: str) -> list[Value]:
    return [getattr(row, f"s{builder.entity.fields[name].slot}") for name in names]


def refused(builder: RowBuilder, moment: WriteMoment, *rows: dict[str, Value]) -> OrmdbError:
    with pytest.raises(OrmdbError) as caught:
        builder.build(list(rows), moment)
    return caught.value


# --- values and defaults ------------------------------------------------------------------------


def test_rows_hold_stored_values_in_their_slots(builder: RowBuilder, moment: WriteMoment) -> None:
    given = {
        "title": "a",
        "price": decimal.Decimal("1.5"),
        "kind": "card",
        "place": {"x": 4},
        "tags": ["b", "c"],
    }
    (row,) = builder.build([given], moment)
    price, kind, place, tags = slots(builder, row, "price", "kind", "place", "tags")
    assert (str(price), kind, place, tags) == ("1.50", 1, (4,), ("b", "c"))
    assert row.b == 9


def test_absent_fields_take_their_defaults(builder: RowBuilder, moment: WriteMoment) -> None:
    first, second = builder.build([{"title": "ab"}, {"title": "c", "rate": 2}], moment)
    names = ("id", "rate", "made", "day", "label", "length", "area", "price")
    assert slots(builder, first, *names) == [1, 1.5, NOW, NOW.date(), "AB", 2, 20, None]
    assert slots(builder, second, *names) == [2, 2.0, NOW, NOW.date(), "C", 1, 10, None]


def test_every_row_has_all_of_its_slots_however_many_are_absent(
    builder: RowBuilder, moment: WriteMoment
) -> None:
    rows = builder.build([{"title": str(n)} for n in range(50)], moment)
    assert len(rows) == 50
    assert [slots(builder, row, "tags", "place", "kind") for row in rows] == [[None] * 3] * 50


def test_new_uuids_are_different_and_carry_the_time(
    builder: RowBuilder, moment: WriteMoment
) -> None:
    rows = builder.build([{"title": "a"}] * 20, moment)
    codes = [slots(builder, row, "code")[0] for row in rows]
    assert len(set(codes)) == 20
    for code in codes:
        assert isinstance(code, uuid.UUID)
        assert (code.version, code.variant) == (7, uuid.RFC_4122)
        assert code.int >> 80 == NOW_US // 1_000


def test_null_is_given_where_a_default_would_be_taken(
    builder: RowBuilder, moment: WriteMoment
) -> None:
    error = refused(builder, moment, {"title": "a", "rate": None})
    assert isinstance(error, RequiredError)


def test_a_number_given_by_hand_is_not_given_out_again(
    builder: RowBuilder, moment: WriteMoment
) -> None:
    builder.build([{"title": "a", "id": 7}, {"title": "b"}], moment)
    (row,) = builder.build([{"title": "c"}], moment)
    assert slots(builder, row, "id") == [8]
    builder.build([{"title": "d", "id": -5}], moment)
    (row,) = builder.build([{"title": "e"}], moment)
    assert slots(builder, row, "id") == [9]


def test_defaults_that_are_mutable_are_not_shared_by_what_is_stored(
    builder: RowBuilder, moment: WriteMoment
) -> None:
    rows = builder.build([{"title": "a"}, {"title": "b"}], moment)
    keys = [bytes(7) + b"\1", bytes(7) + b"\2"]
    codec = builder.entity.codec
    first, second = codec.whole.decode_batch(keys, codec.seal(rows, keys))
    slots(builder, first, "extra")[0]["a"].append(1)
    assert slots(builder, second, "extra") == [{"a": []}]


def test_an_expression_default_gives_way_to_a_given_value(
    builder: RowBuilder, moment: WriteMoment
) -> None:
    rows = builder.build([{"title": "a", "label": "given"}, {"title": "b"}], moment)
    assert [slots(builder, row, "label") for row in rows] == [["given"], ["B"]]


def test_no_rows_are_built_from_no_rows(builder: RowBuilder, moment: WriteMoment) -> None:
    assert builder.build([], moment) == []


# --- mistakes -----------------------------------------------------------------------------------


def test_a_missing_required_field_names_the_row(builder: RowBuilder, moment: WriteMoment) -> None:
    error = refused(builder, moment, {"title": "a"}, {"price": 1})
    assert isinstance(error, RequiredError)
    assert (error.entity, error.fields, error.row) == ("Order", ("title",), 1)
    error = refused(builder, moment, {"title": None})
    assert isinstance(error, RequiredError)


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ({"price": "many"}, ValueTypeError),
        ({"price": decimal.Decimal("1.005")}, ValueRangeError),
        ({"kind": "gold"}, ValueRangeError),
        ({"rate": float("nan")}, ValueRangeError),
        ({"id": 2**63}, ValueRangeError),
        ({"id": "1"}, ValueTypeError),
        ({"title": "too long to fit"}, ValueRangeError),
        ({"made": datetime.datetime(2013, 1, 1)}, ValueTypeError),  # noqa: DTZ001
        ({"tags": ["a", None]}, ValueTypeError),
    ],
)
def test_a_value_that_does_not_fit_is_named_with_its_field_and_row(
    builder: RowBuilder,
    moment: WriteMoment,
    value: dict[str, Value],
    kind: type[OrmdbError],
) -> None:
    error = refused(builder, moment, {"title": "a"}, {"title": "b", **value})
    assert isinstance(error, kind)
    (name,) = value
    assert f"Order.{name}" in error.message
    assert error.row == 1


def test_an_unknown_field_is_refused_with_the_names_there_are(
    builder: RowBuilder, moment: WriteMoment
) -> None:
    error = refused(builder, moment, {"title": "a"}, {"title": "b", "tite": 1})
    assert isinstance(error, QueryError)
    assert (error.field, error.row) == ("tite", 1)
    assert "title" in error.message


@pytest.mark.parametrize("name", ["length", "shown"])
def test_a_computed_field_cannot_be_given(
    builder: RowBuilder, moment: WriteMoment, name: str
) -> None:
    error = refused(builder, moment, {"title": "a", name: 1})
    assert isinstance(error, ImmutableError)
    assert error.fields == (name,)


# --- changes ------------------------------------------------------------------------------------


def changed(builder: RowBuilder, moment: WriteMoment, **changes: Value) -> Any:
    (row,) = builder.build([{"title": "ab"}], moment)
    builder.require_assignable(changes)
    builder.set_stored([row], builder.stored(changes), moment)
    builder.compute([row])
    return row


def test_a_change_computes_again_what_follows_from_it(
    builder: RowBuilder, moment: WriteMoment
) -> None:
    row = changed(builder, moment, title="abcd", kind="card")
    assert slots(builder, row, "title", "length", "area", "kind") == ["abcd", 4, 40, 1]
    assert slots(builder, row, "label") == ["AB"]  # a default is for inserts


def test_a_change_to_null_needs_an_optional_field(builder: RowBuilder, moment: WriteMoment) -> None:
    assert slots(builder, changed(builder, moment, price=None), "price") == [None]
    with pytest.raises(RequiredError):
        changed(builder, moment, title=None)


@pytest.mark.parametrize(
    ("name", "kind"), [("id", ImmutableError), ("length", ImmutableError), ("tite", QueryError)]
)
def test_identity_computed_and_unknown_fields_cannot_change(
    builder: RowBuilder, moment: WriteMoment, name: str, kind: type[OrmdbError]
) -> None:
    with pytest.raises(kind, match=name):
        changed(builder, moment, **{name: 1})


def test_a_change_of_a_wrong_type_is_refused_with_its_field(
    builder: RowBuilder, moment: WriteMoment
) -> None:
    with pytest.raises(ValueTypeError, match=r"Order\.price"):
        changed(builder, moment, price="many")
