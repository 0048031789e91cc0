"""Holds the texts of types and names: what is read, how it is written, and what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given

from ormdb.errors import SchemaError
from ormdb.ir.scan import Scanner, quote_name
from ormdb.ir.type_text import parse_type, type_name
from ormdb.ir.value import (
    DecimalType,
    EnumType,
    IntType,
    ListType,
    StructField,
    StructType,
    TextType,
    Type,
)
from ormdb.testing.strategies import names


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("int", IntType()),
        ("text", TextType()),
        ("text(40)", TextType(max_chars=40)),
        ("decimal(10, 2)", DecimalType(precision=10, scale=2)),
        ('enum("cash", "a \\"b\\"")', EnumType(variants=("cash", 'a "b"'))),
        ("list(decimal(3, 1))", ListType(item=DecimalType(precision=3, scale=1))),
        (
            'struct(street: text, "house no": int?)',
            StructType(
                fields=(
                    StructField(name="street", type=TextType()),
                    StructField(name="house no", type=IntType(), optional=True),
                )
            ),
        ),
    ],
)
def test_a_type_is_written_and_read_as_documented(text: str, kind: Type) -> None:
    assert type_name(kind) == text
    assert parse_type(f"  {text}  # why") == kind


@pytest.mark.parametrize(
    ("text", "column"),
    [
        ("", 1),
        ("str", 1),
        ("int?", 4),
        ("int int", 5),
        ("text(", 6),
        ("text(x)", 6),
        ("decimal(3)", 10),
        ("decimal(3, 1", 13),
        ("enum(a)", 6),
        ('enum("a" "b")', 10),
        ('enum("a\\q")', 6),
        ("list(list(int))", 6),
        ("list(json)", 6),
        ("struct(a int)", 10),
        ("struct(a: struct(b: int))", 11),
        ("list(" * 100_000, 6),
    ],
)
def test_a_text_that_is_no_type_is_refused_with_its_column(text: str, column: int) -> None:
    with pytest.raises(SchemaError, match=rf"^column {column}: "):
        parse_type(text)


@given(names())
def test_a_name_reads_back_from_its_quoted_form(name: str) -> None:
    scanner = Scanner(f" {quote_name(name)} # rest")
    assert scanner.take_name() == name
    assert scanner.is_at_end()


def test_a_name_is_quoted_only_where_it_has_to_be() -> None:
    assert quote_name("dep_delay") == "dep_delay"
    assert quote_name("Größe") == "Größe"
    assert quote_name("a b") == '"a b"'
    assert quote_name("1st") == '"1st"'
    assert quote_name("ﬁeld") == '"ﬁeld"'  # Python would read it as "field"
