"""Holds that the bytes which docs/formats/keys.md shows are the bytes that are written."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ormdb.ir.check import canonical_value
from ormdb.ir.type_text import parse_type
from ormdb.ir.value import BoolType, BytesType, FloatType, IntType, Type, Value
from ormdb.ir.value_text import READABLE_TYPES, read_text
from ormdb.storage.keys import KeyColumn, decode_key, encode_key

PAGE = Path(__file__).parents[3] / "docs" / "formats" / "keys.md"
LINE = re.compile(r"    (\S+) +(asc|desc) +(\S+) +([0-9a-f]{2}(?: [0-9a-f]{2})*)")
EXAMPLES = [found.groups() for found in map(LINE.fullmatch, PAGE.read_text().splitlines()) if found]


def value_of(kind: Type, text: str) -> Value:
    if text == "NULL":
        return None
    if isinstance(kind, READABLE_TYPES):
        return canonical_value(kind, read_text(kind, text), "example")
    match kind:
        case BoolType():
            return {"true": True, "false": False}[text]
        case IntType():
            return int(text)
        case FloatType():
            return float(text)
        case BytesType():
            return bytes.fromhex(text)
        case _:
            return text


def test_the_page_has_examples_of_every_type() -> None:
    assert len({type(parse_type(kind)) for kind, *_ in EXAMPLES}) == 12


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: " ".join(example[:3]))
def test_an_example_of_the_page_is_what_is_written(example: tuple[str, str, str, str]) -> None:
    kind, direction, text, key = example
    column = KeyColumn(type=parse_type(kind), descending=direction == "desc")
    value = value_of(column.type, text)
    assert encode_key([column], [value]).hex(" ") == key
    assert decode_key([column], bytes.fromhex(key)) == (value,)
