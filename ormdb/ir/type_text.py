"""Types as text and back.

    int   text   text(40)   decimal(10, 2)   enum("cash", "card")   list(uuid)
    struct(street: text, "house no": int, floor: int?)

Invariants (held by tests/unit/ir/test_type_text.py):
  1. `parse_type(type_name(t)) == t`.
  2. Whatever the text is, parsing ends in a type or in a SchemaError with a column.
"""

from __future__ import annotations

from typing import Final

from ormdb.ir.scan import Scanner, quote_name, quote_text
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
)

_PLAIN: Final[dict[str, ScalarType]] = {
    "bool": BoolType(),
    "int": IntType(),
    "float": FloatType(),
    "text": TextType(),
    "bytes": BytesType(),
    "uuid": UuidType(),
    "timestamp": TimestampType(),
    "date": DateType(),
    "time": TimeType(),
    "duration": DurationType(),
}
_NAMES: Final = {type(kind): name for name, kind in _PLAIN.items()}


def type_name(kind: Type) -> str:
    """Return the type as text."""
    match kind:
        case DecimalType(precision=precision, scale=scale):
            return f"decimal({precision}, {scale})"
        case TextType(max_chars=int(chars)):
            return f"text({chars})"
        case EnumType(variants=variants):
            return f"enum({', '.join(map(quote_text, variants))})"
        case ListType(item=item):
            return f"list({type_name(item)})"
        case StructType(fields=fields):
            return f"struct({', '.join(map(_part_name, fields))})"
        case JsonType():
            return "json"
        case _:
            return _NAMES[type(kind)]


def parse_type(text: str) -> Type:
    """Return the type that `text` spells.

    Raises:
      SchemaError: it spells none.
    """
    scanner = Scanner(text)
    kind = scan_type(scanner)
    scanner.expect_end()
    return kind


def scan_type(scanner: Scanner) -> Type:
    """Return the type that has to come next."""
    word = scanner.take_word("list", "struct", "json")
    match word:
        case "list":
            scanner.expect_mark("(")
            kind: Type = ListType(item=_scan_scalar(scanner))
            scanner.expect_mark(")")
            return kind
        case "struct":
            return _scan_struct(scanner)
        case "json":
            return JsonType()
        case _:
            return _scan_scalar(scanner, "list", "struct", "json")


def _part_name(part: StructField) -> str:
    return f"{quote_name(part.name)}: {type_name(part.type)}{'?' if part.optional else ''}"


def _scan_enum(scanner: Scanner) -> EnumType:
    scanner.expect_mark("(")
    variants: list[str] = []
    while not scanner.take_mark(")"):
        if variants:
            scanner.expect_mark(",")
        variants.append(scanner.take_text())
    return EnumType(variants=tuple(variants))


def _scan_struct(scanner: Scanner) -> StructType:
    scanner.expect_mark("(")
    parts: list[StructField] = []
    while not scanner.take_mark(")"):
        if parts:
            scanner.expect_mark(",")
        name = scanner.take_name()
        scanner.expect_mark(":")
        kind = _scan_scalar(scanner)
        parts.append(StructField(name=name, type=kind, optional=scanner.take_mark("?")))
    return StructType(fields=tuple(parts))


def _scan_scalar(scanner: Scanner, *others: str) -> ScalarType:
    """The scalar type that has to come next; `others` could have stood here too."""
    word = scanner.take_word(*_PLAIN, "decimal", "enum")
    if word is None:
        raise scanner.error(f"a type ({', '.join((*_PLAIN, 'decimal', 'enum', *others))})")
    if word == "decimal":
        scanner.expect_mark("(")
        precision = scanner.take_number()
        scanner.expect_mark(",")
        scale = scanner.take_number()
        scanner.expect_mark(")")
        return DecimalType(precision=precision, scale=scale)
    if word == "enum":
        return _scan_enum(scanner)
    if word == "text" and scanner.take_mark("("):
        chars = scanner.take_number()
        scanner.expect_mark(")")
        return TextType(max_chars=chars)
    return _PLAIN[word]
