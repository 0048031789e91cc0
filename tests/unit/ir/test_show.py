"""Holds that any object can be named in a sentence, shortly and safely."""

from __future__ import annotations

import datetime
import decimal
import uuid
from typing import Any

import pytest

from ormdb.ir.show import show_value


class Rude:
    def __repr__(self) -> str:
        raise RuntimeError("no")


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        10**5000,
        -(10**5000),
        float("nan"),
        "x" * 10**6,
        "\x1b[31mred\x1b[0m\n\r\u2028\ud800",
        b"\x00\xff" * 10**6,
        bytearray(10**6),
        decimal.Decimal("1e999999"),
        decimal.Decimal("1" * 5000),
        uuid.UUID(int=0),
        datetime.datetime(2013, 1, 1, tzinfo=datetime.UTC),
        datetime.timedelta(days=1),
        list(range(10**6)),
        {str(n): n for n in range(10**5)},
        {1, "a"},
        frozenset(range(10**5)),
        [[[[[[1]]]]]],
        object(),
        Rude(),
    ],
    ids=lambda value: type(value).__name__,
)
def test_the_spelling_is_one_short_printable_line(value: Any) -> None:
    shown = show_value(value)
    assert len(shown) < 200
    assert shown.isprintable()


def test_a_value_is_named_by_its_kind() -> None:
    assert show_value("abc") == "text 'abc'"
    assert show_value(5) == "int 5"
    assert show_value(None) == "NULL"
    assert show_value(datetime.date(2013, 1, 1)) == "date 2013-01-01"
    assert show_value({"a": 1}) == "dict {'a': 1}"
