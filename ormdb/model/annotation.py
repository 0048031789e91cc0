"""Python annotations and the field types they mean.

    Field[int | None]                  IntType(), optional
    Field[Decimal], precision=8 ...    DecimalType(precision=8, scale=2)
    Field[Color]                       EnumType(...): the values of the enum, in declared order
    Field[Literal["a", "b"]]           EnumType(variants=("a", "b"))
    Field[tuple[str, ...]]             ListType(item=TextType())
    Field[Address]                     StructType(...): a frozen dataclass of scalars
    Field[Json]                        JsonType()

Annotations are read late, when the schema is built, so that classes may name one another in any
order.  A `Scope` remembers where a class stood, to find the names its annotations use.

Invariants (held by tests/unit/model/test_annotation.py):
  1. What `ValueKind.decode` makes, `ValueKind.encode` turns back into an equal value.
  2. An annotation that no field type matches is a SchemaError with a remedy.
"""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import re
import sys
import types
import typing
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal, TypeAlias

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
    ScalarType,
    StructField,
    StructType,
    TextType,
    TimestampType,
    TimeType,
    Type,
    UuidType,
    Value,
    is_scalar,
)

# Any JSON value.  The marker tells `Field[Json]` from `Field[Any]`.
Json: TypeAlias = Annotated[Any, "ormdb.Json"]

Convert: TypeAlias = Callable[[Value], Value]
Class: TypeAlias = type

_SIMPLE: Final[Mapping[object, ScalarType]] = {
    bool: BoolType(),
    int: IntType(),
    float: FloatType(),
    bytes: BytesType(),
    uuid.UUID: UuidType(),
    datetime.datetime: TimestampType(),
    datetime.date: DateType(),
    datetime.time: TimeType(),
    datetime.timedelta: DurationType(),
}
WORD: Final = re.compile(r"[^\W\d]\w*")
_MARKERS: Final = ("Field", "One", "Many", "ClassVar")


@dataclass(frozen=True, slots=True, kw_only=True)
class Refinement:
    """What a declaration says about a type beside its annotation."""

    precision: int | None = None
    scale: int | None = None
    max_chars: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueKind:
    """A field's type, and how its values differ in Python from those of `ir`, if they do."""

    type: Type
    optional: bool = False
    decode: Convert | None = None
    encode: Convert | None = None
    exact: Class | None = None  # the class whose values need no check before they are compared


class Scope:
    """Where a class was declared: the names that its annotations may use.

    Names of the declaring function go first, then those of the module, then those of the schema.
    """

    def __init__(self, module: str, local_names: Mapping[str, object]) -> None:
        self._module = module
        self._local_names = dict(local_names)
        self._known: Mapping[str, object] = {}
        self._read: dict[str, Any] = {}

    def know(self, classes: Mapping[str, object]) -> None:
        """Let annotations name these classes where nothing nearer has their name."""
        self._known = classes

    def _module_names(self) -> dict[str, object]:
        module = sys.modules.get(self._module)
        return {} if module is None else vars(module)

    def find(self, dotted: str) -> object:
        """Return what a dotted name means here, or None when it means nothing (yet)."""
        first, *rest = dotted.split(".")
        found: object = None
        for names in (self._local_names, self._module_names(), self._known):
            if first in names:
                found = names[first]
                break
        for name in rest:
            found = getattr(found, name, None)
        return found

    def evaluate(self, annotation: object) -> Any:
        """Return the annotation with every string in it resolved.

        Raises:
          SchemaError: a name in it is not defined, or it is no annotation at all.
        """
        if isinstance(annotation, str) and annotation in self._read:
            return self._read[annotation]
        holder = type("Holder", (), {"__annotations__": {"it": annotation}})
        near = self._module_names()
        # A schema may have thousands of classes; an annotation mentions a few.
        words = WORD.findall(str(annotation))
        far = {
            word: self._known[word] for word in words if word in self._known and word not in near
        }
        try:
            hints = typing.get_type_hints(
                holder,
                globalns=near,
                localns={**far, **self._local_names},
                include_extras=True,
            )
        except NameError as error:
            raise SchemaError(
                f"{error.name!r} is not defined; import it, or add its class to schema=[...]"
            ) from error
        except (SyntaxError, TypeError, AttributeError) as error:
            raise SchemaError(
                f"{annotation!r} cannot be read as an annotation ({error}); "
                "write Field[type], One[Entity] or Many[Entity]"
            ) from error
        if isinstance(annotation, str):
            self._read[annotation] = hints["it"]  # tables repeat a few annotations over and over
        return hints["it"]


def marker_of(annotation: object, scope: Scope) -> str | None:
    """Return "Field", "One", "Many" or "ClassVar" for what an annotation marks, else None.

    This reads the head of the annotation only, because the rest may name later classes.
    """
    if isinstance(annotation, typing.ForwardRef):
        annotation = annotation.__forward_arg__
    if isinstance(annotation, str):
        head = annotation.partition("[")[0].strip()
        found = scope.find(head)
        name = head.rpartition(".")[2] if found is None else getattr(found, "__name__", "")
        return name if name in _MARKERS else _marker_name(found)
    return _marker_name(typing.get_origin(annotation) or annotation)


def _marker_name(found: object) -> str | None:
    if found is typing.ClassVar:
        return "ClassVar"
    name = getattr(found, "__name__", None)
    return name if name in _MARKERS else None


def argument_of(annotation: Any) -> tuple[Any, bool]:
    """Return the one type inside `Marker[type | None]`, and whether None was allowed beside it."""
    arguments = typing.get_args(annotation)
    if len(arguments) != 1:
        raise SchemaError(f"{annotation!r} has no type; write what it holds in square brackets")
    return _without_none(arguments[0])


def _without_none(annotation: Any) -> tuple[Any, bool]:
    if typing.get_origin(annotation) not in {typing.Union, types.UnionType}:
        return annotation, False
    parts = [part for part in typing.get_args(annotation) if part is not types.NoneType]
    if len(parts) != 1:
        shown = " | ".join(_shown(part) for part in parts)
        raise SchemaError(f"{shown} are several types; a field has one, or is Json")
    return parts[0], len(parts) < len(typing.get_args(annotation))


def read_kind(annotation: Any, refinement: Refinement, scope: Scope) -> ValueKind:
    """Return what an evaluated `Field[...]` annotation means.

    Raises:
      SchemaError: no field type matches it, or a refinement does not apply to it.
    """
    inner, optional = argument_of(annotation)
    kind = _read(inner, refinement, scope)
    _refuse_idle_refinement(kind.type, refinement)
    return dataclasses.replace(kind, optional=optional)


def _refuse_idle_refinement(kind: Type, refinement: Refinement) -> None:
    item = kind.item if isinstance(kind, ListType) else kind
    if refinement.max_chars is not None and not isinstance(item, TextType):
        raise SchemaError("max_chars= bounds text; take it away, or annotate str")
    given = refinement.precision is not None or refinement.scale is not None
    if given and not isinstance(item, DecimalType):
        raise SchemaError("precision= and scale= bound decimals; annotate Decimal")


def _read(annotation: Any, refinement: Refinement, scope: Scope) -> ValueKind:
    while hasattr(annotation, "__supertype__"):  # typing.NewType
        annotation = annotation.__supertype__
    origin = typing.get_origin(annotation)
    if origin is Annotated:
        if annotation.__metadata__ == ("ormdb.Json",):
            return ValueKind(type=JsonType())
        return _read(annotation.__origin__, refinement, scope)
    if origin is tuple:
        return _read_list(annotation, refinement, scope)
    if origin is None and isinstance(annotation, type) and dataclasses.is_dataclass(annotation):
        return _read_struct(annotation, scope)
    return _read_scalar(annotation, refinement)


def _read_scalar(annotation: Any, refinement: Refinement) -> ValueKind:
    try:
        simple = _SIMPLE.get(annotation)
    except TypeError:  # unhashable, hence no type
        simple = None
    if simple is not None:
        exact = annotation if annotation in {bool, int, uuid.UUID, datetime.date} else None
        return ValueKind(type=simple, exact=exact)
    if annotation is str:
        return ValueKind(type=TextType(max_chars=refinement.max_chars))
    if annotation is decimal.Decimal:
        return ValueKind(type=_decimal_type(refinement))
    if typing.get_origin(annotation) is Literal:
        return ValueKind(type=_enum_type(typing.get_args(annotation), _shown(annotation)))
    if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        values = tuple(member.value for member in annotation)
        kind = _enum_type(values, annotation.__name__)
        return ValueKind(type=kind, decode=annotation, encode=_enum_encoder(annotation))
    raise SchemaError(f"{_shown(annotation)} is no field type; {_remedy(annotation)}")


def _decimal_type(refinement: Refinement) -> DecimalType:
    if refinement.precision is None or refinement.scale is None:
        raise SchemaError(
            "a Decimal field needs its digits; write field(precision=12, scale=2), "
            "of 12 digits 2 after the point"
        )
    return DecimalType(precision=refinement.precision, scale=refinement.scale)


def _enum_type(values: tuple[object, ...], shown: str) -> EnumType:
    variants = [value for value in values if isinstance(value, str)]
    if not variants or len(variants) < len(values):
        raise SchemaError(f"{shown} has values that are not text; give every variant a str value")
    return EnumType(variants=tuple(str.__str__(value) for value in variants))


def _enum_encoder(kind: type[enum.Enum]) -> Convert:
    def encode(value: Value) -> Value:
        return value.value if isinstance(value, kind) else value

    return encode


def _read_list(annotation: Any, refinement: Refinement, scope: Scope) -> ValueKind:
    arguments = typing.get_args(annotation)
    if len(arguments) != 2 or arguments[1] is not Ellipsis:
        raise SchemaError(
            f"{_shown(annotation)} is no field type; write tuple[T, ...], with the dots, for a list"
        )
    item = _read(arguments[0], refinement, scope)
    if not is_scalar(item.type):
        raise SchemaError(f"{_shown(annotation)} is a list of more than scalars; use Json")
    scalar = typing.cast("ScalarType", item.type)
    decode, encode = item.decode, item.encode
    return ValueKind(
        type=ListType(item=scalar),
        decode=None if decode is None else lambda values: tuple(map(decode, values)),
        encode=None if encode is None else lambda values: tuple(map(encode, values)),
    )


def _read_struct(annotation: type, scope: Scope) -> ValueKind:
    shown = annotation.__name__
    parameters = getattr(annotation, "__dataclass_params__", None)
    if not getattr(parameters, "frozen", False):
        raise SchemaError(f"{shown} is a dataclass that can change; write @dataclass(frozen=True)")
    parts: list[StructField] = []
    kinds: dict[str, tuple[str, ValueKind]] = {}
    for part in dataclasses.fields(annotation):
        name = str(part.metadata.get("name", part.name))
        inner, optional = _without_none(scope.evaluate(_annotation_in(annotation, part)))
        try:
            kind = _read_scalar(inner, _refinement_of(part.metadata))
        except SchemaError as error:
            raise SchemaError(f"{shown}.{part.name}: {error.message}") from error
        # `_read_scalar` answers scalars only, which its type does not say.
        scalar = typing.cast("ScalarType", kind.type)
        parts.append(StructField(name=name, type=scalar, optional=optional))
        kinds[name] = (part.name, kind)
    decode, encode = _struct_converters(annotation, kinds)
    return ValueKind(type=StructType(fields=tuple(parts)), decode=decode, encode=encode)


def _annotation_in(holder: type, part: dataclasses.Field[Any]) -> object:
    """A dataclass of another module names things of that module."""
    if isinstance(part.type, str):
        found = Scope(holder.__module__, {})
        try:
            return found.evaluate(part.type)
        except SchemaError:
            return part.type  # perhaps a name that only the declaring function knows
    return part.type


def _refinement_of(metadata: Mapping[Any, Any]) -> Refinement:
    return Refinement(
        precision=metadata.get("precision"),
        scale=metadata.get("scale"),
        max_chars=metadata.get("max_chars"),
    )


def _struct_converters(
    holder: Any, kinds: Mapping[str, tuple[str, ValueKind]]
) -> tuple[Convert, Convert]:
    def decode(value: Value) -> Value:
        if isinstance(value, holder):
            return value
        parts: dict[str, Value] = {}
        for name, (attribute, kind) in kinds.items():
            part = value.get(name)
            keep = kind.decode is None or part is None
            parts[attribute] = part if keep else typing.cast("Convert", kind.decode)(part)
        return holder(**parts)

    def encode(value: Value) -> Value:
        if not isinstance(value, holder):
            return value
        parts: dict[str, Value] = {}
        for name, (attribute, kind) in kinds.items():
            part = getattr(value, attribute)
            parts[name] = part if kind.encode is None else kind.encode(part)
        return parts

    return decode, encode


def _shown(annotation: Any) -> str:
    return annotation.__name__ if isinstance(annotation, type) else str(annotation)


def _remedy(annotation: Any) -> str:
    origin = typing.get_origin(annotation) or annotation
    if annotation is Any:
        return "write Json for any JSON value"
    if origin in {list, set, frozenset}:
        return "use tuple[T, ...]"
    if origin is dict:
        return "use Json, or a frozen dataclass"
    if isinstance(annotation, type) and hasattr(annotation, "__ormdb__"):
        return f"use One[{annotation.__name__}] or Many[{annotation.__name__}]"
    return (
        "use bool, int, float, str, bytes, UUID, Decimal, datetime, date, time, timedelta, "
        "an Enum, Literal, Json, tuple[T, ...] or a frozen dataclass"
    )
