"""Annotations become field types; values become what Python programs expect, and go back."""

from __future__ import annotations

import datetime
import decimal
import enum
import uuid
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal, NewType, Optional

import pytest

from ormdb import Field, Json, Many
from ormdb.errors import SchemaError
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
    StructField,
    StructType,
    TextType,
    TimestampType,
    TimeType,
    Type,
    UuidType,
    Value,
)
from ormdb.model.annotation import Refinement, Scope, ValueKind, marker_of, read_kind
from tests.unit.model.sample import Airport

# Annotations in these tests are texts; this is what they name.
NAMED = (Airport, Annotated, Json, Literal, Optional, datetime)
MANY: Any = Many
UserId = NewType("UserId", int)
HERE = Scope(__name__, {})


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Number(enum.Enum):
    ONE = 1


@dataclass(frozen=True)
class Address:
    street: str = field(metadata={"max_chars": 40})
    color: Color
    rent: decimal.Decimal | None = field(default=None, metadata={"precision": 8, "scale": 2})


@dataclass
class Loose:
    street: str


def kind_of(annotation: Any, **refinement: int) -> ValueKind:
    return read_kind(HERE.evaluate(annotation), Refinement(**refinement), HERE)


@pytest.mark.parametrize(
    ("annotation", "kind"),
    [
        ("Field[bool]", BoolType()),
        ("Field[int]", IntType()),
        ("Field[UserId]", IntType()),
        ("Field[float]", FloatType()),
        ("Field[str]", TextType()),
        ("Field[bytes]", BytesType()),
        ("Field[uuid.UUID]", UuidType()),
        ("Field[datetime.datetime]", TimestampType()),
        ("Field[datetime.date]", DateType()),
        ("Field[datetime.time]", TimeType()),
        ("Field[datetime.timedelta]", DurationType()),
        ("Field[Json]", JsonType()),
        ("Field[Annotated[int, 'metres']]", IntType()),
        ("Field[Color]", EnumType(variants=("red", "blue"))),
        ("Field[Literal['a', 'b']]", EnumType(variants=("a", "b"))),
        ("Field[tuple[int, ...]]", ListType(item=IntType())),
        ("Field[tuple[Color, ...]]", ListType(item=EnumType(variants=("red", "blue")))),
    ],
)
def test_an_annotation_means_its_field_type(annotation: str, kind: Type) -> None:
    assert kind_of(annotation).type == kind
    assert not kind_of(annotation).optional


@pytest.mark.parametrize(
    "annotation",
    ["Field[int | None]", "Field[Optional[int]]", "Field[None | int]", Field["int | None"]],
)
def test_none_beside_a_type_makes_it_optional(annotation: Any) -> None:
    assert kind_of(annotation) == ValueKind(type=IntType(), optional=True, exact=int)


def test_optional_json_is_json() -> None:
    assert kind_of("Field[Json | None]") == ValueKind(type=JsonType(), optional=True)


def test_refinements_complete_text_and_decimals() -> None:
    assert kind_of("Field[str]", max_chars=3).type == TextType(max_chars=3)
    assert kind_of("Field[decimal.Decimal]", precision=8, scale=2).type == DecimalType(
        precision=8, scale=2
    )
    assert kind_of("Field[tuple[str, ...]]", max_chars=3).type == ListType(
        item=TextType(max_chars=3)
    )


def test_a_frozen_dataclass_is_a_struct_of_its_fields() -> None:
    assert kind_of("Field[Address]").type == StructType(
        fields=(
            StructField(name="street", type=TextType(max_chars=40)),
            StructField(name="color", type=EnumType(variants=("red", "blue"))),
            StructField(name="rent", type=DecimalType(precision=8, scale=2), optional=True),
        )
    )


@pytest.mark.parametrize(
    ("annotation", "inside", "outside"),
    [
        ("Field[Color]", "blue", Color.BLUE),
        ("Field[tuple[Color, ...]]", ("red", "blue"), (Color.RED, Color.BLUE)),
        (
            "Field[Address]",
            {"street": "Elm", "color": "red", "rent": None},
            Address(street="Elm", color=Color.RED),
        ),
    ],
)
def test_what_is_decoded_encodes_to_what_it_was(
    annotation: str, inside: Value, outside: Value
) -> None:
    kind = kind_of(annotation)
    assert kind.decode is not None
    assert kind.encode is not None
    assert kind.decode(inside) == outside
    assert kind.encode(outside) == inside
    assert kind.decode(outside) == outside


@pytest.mark.parametrize(
    ("annotation", "refinement", "words"),
    [
        ("Field[list[int]]", {}, "use tuple[T, ...]"),
        ("Field[dict[str, int]]", {}, "use Json"),
        ("Field[tuple[int, str]]", {}, "write tuple[T, ...]"),
        ("Field[tuple[Address, ...]]", {}, "a list of more than scalars"),
        ("Field[int | str]", {}, "int | str are several types"),
        ("Field[Any]", {}, "write Json"),
        ("Field[Airport]", {}, "use One[Airport]"),
        ("Field[Number]", {}, "values that are not text"),
        ("Field[Literal[1]]", {}, "values that are not text"),
        ("Field[Loose]", {}, "frozen=True"),
        ("Field[decimal.Decimal]", {}, "precision=12, scale=2"),
        ("Field[int]", {"max_chars": 3}, "max_chars= bounds text"),
        ("Field[str]", {"scale": 3}, "annotate Decimal"),
        ("Field[complex]", {}, "complex is no field type"),
        ("Field", {}, "has no type"),
        ("Field[Nothing]", {}, "'Nothing' is not defined"),
        ("Field[int", {}, "cannot be read as an annotation"),
    ],
)
def test_what_is_no_field_type_is_refused_with_a_remedy(
    annotation: str, refinement: dict[str, int], words: str
) -> None:
    with pytest.raises(SchemaError) as caught:
        kind_of(annotation, **refinement)
    assert words in caught.value.message


@pytest.mark.parametrize(
    ("annotation", "marker"),
    [
        ("Field[Later]", "Field"),
        ("ormdb.Field[Later]", "Field"),
        ("One[Later | None]", "One"),
        ("ClassVar[int]", "ClassVar"),
        ("int", None),
        (MANY["Later"], "Many"),
        (ClassVar[int], "ClassVar"),
        (int, None),
    ],
)
def test_the_head_of_an_annotation_is_read_without_the_rest(
    annotation: object, marker: str | None
) -> None:
    assert marker_of(annotation, HERE) == marker


def test_names_of_the_module_go_before_those_of_the_schema() -> None:
    scope = Scope(__name__, {})
    impostor = type("Color", (), {})
    later = type("Later", (), {})
    scope.know({"Color": impostor, "Later": later})

    assert scope.find("Color") is Color
    assert scope.evaluate("Many[Later]") == MANY[later]
    assert scope.find("uuid.UUID") is uuid.UUID
    assert scope.find("nothing.at.all") is None
