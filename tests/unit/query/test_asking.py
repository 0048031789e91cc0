"""Filters that ask texts, lists and JSON: what they keep, by which way, and with which plan."""

from __future__ import annotations

import datetime
from collections.abc import Generator

import pytest

import ormdb
from ormdb import limits
from ormdb.database.database import Database
from ormdb.errors import LimitError, QueryError
from ormdb.ir.expr import And, Compare, Expr, FunctionName, Literal, Not
from ormdb.ir.graph import GraphQuery, Page
from ormdb.ir.schema import CheckDef, Computed, EntityDef, FieldDef, RelationDef, SchemaBundle
from ormdb.ir.value import (
    BoolType,
    DateType,
    EnumType,
    IntType,
    JsonType,
    ListType,
    RowDict,
    TextType,
    Value,
)
from ormdb.model.expression_text import parse_expression
from tests.unit.query.airline import asks, by, compare, field, index

STATE = EnumType(variants=("new", "old", "gone"))
# As long as what a cut leaves of a key, but for the mark of a value.
LONG = "x" * (limits.INDEX_KEY_BYTES_MAX - 16 - 1)
BUNDLE = SchemaBundle(
    entities=(
        EntityDef(
            name="Item",
            identity=("id",),
            fields=(
                field("id", IntType()),
                field("name", TextType(), optional=True),
                field("code", TextType()),
                field("states", ListType(item=STATE)),
                field("days", ListType(item=DateType()), optional=True),
                field("data", JsonType(), optional=True),
                field("up_id", IntType(), optional=True),
                FieldDef(
                    name="short",
                    type=BoolType(),
                    optional=True,
                    computed=Computed(expression=parse_expression('like(name, "__")')),
                ),
            ),
            indexes=(index("by_name", "name"), index("by_code", "-code", "id")),
            checks=(CheckDef(name="code", expression=parse_expression('ilike(code, "c%")')),),
        ),
    ),
    relations=(
        RelationDef(
            name="up",
            source="Item",
            fields=("up_id",),
            target="Item",
            target_fields=("id",),
            inverse="below",
            enforced=False,
        ),
    ),
)
NAMES = ("Ab", "AB", "ab\0c", "a", "", None, LONG, LONG + "y", LONG + "yy", LONG + "z", "50%", "é_")


@pytest.fixture(scope="module")
def items() -> Generator[Database]:
    rows: list[RowDict] = [
        {
            "id": number,
            "name": name,
            "code": f"c{number % 3}",
            "states": ("old", "new")[: number % 3],
            "days": None if number % 2 else (datetime.date(2013, 1, 1),),
            "data": {"n": number, "tags": ["a", number % 2 == 0]} if number % 4 else None,
            "up_id": number - 1,
        }
        for number, name in enumerate(NAMES)
    ]
    with ormdb.open(":memory:", schema=BUNDLE) as database:
        database.bulk_load("Item", rows)
        yield database


def kept(items: Database, condition: str | Expr, order: str = "id") -> list[Value]:
    found = parse_expression(condition) if isinstance(condition, str) else condition
    query = GraphQuery(entity="Item", filter=found, order=by(*order.split()), select=("id",))
    return [row["id"] for row in items.run_fetch(query).dicts()]


@pytest.mark.parametrize("name", ["starts_with", "like"])
@pytest.mark.parametrize(
    "start", ["", "A", "a", "ab", "ab\0", LONG[:-1], LONG, LONG + "y", "5", "é"]
)
@pytest.mark.parametrize("order", ["id", "name", "-name"])
def test_texts_that_begin_alike_are_found_however_long_they_are(
    items: Database, name: FunctionName, start: str, order: str
) -> None:
    expected = [n for n, text in enumerate(NAMES) if text is not None and text.startswith(start)]
    if order != "id":
        keys = {n: NAMES[n] or "" for n in expected}
        expected.sort(key=lambda n: (keys[n], n), reverse=order == "-name")
    pattern = start + "%" if name == "like" else start
    if len(pattern) <= limits.PATTERN_CHARS_MAX:
        assert kept(items, asks(name, "name", pattern), order) == expected
    denied = kept(items, Not(operand=asks(name, "name", pattern)))
    assert denied == [n for n, text in enumerate(NAMES) if text is not None and n not in expected]


def test_a_descending_column_is_sought_by_what_its_texts_begin_with(items: Database) -> None:
    assert kept(items, 'starts_with(code, "c1")') == [1, 4, 7, 10]
    assert kept(items, 'starts_with(code, "c1") and id > 4', "-code id") == [7, 10]
    assert kept(items, 'like(code, "c_") and code < "c1"') == [0, 3, 6, 9]


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ('has(states, "new")', [2, 5, 8, 11]),
        ('not has(states, "old")', [0, 3, 6, 9]),
        ('has(days, "2013-01-01") and id < 4', [0, 2]),
        ('not has(days, "2013-01-01")', []),
        ('not has(days, "2013-01-02") and id < 4', [0, 2]),
        ('has_key(data, "n") and id < 4', [1, 2, 3]),
        ('not has_key(data, "m") and id < 4', [1, 2, 3]),
        ('contains_json(data, {"tags": [True]})', [2, 6, 10]),
        ('not contains_json(data, {"tags": [True]}) and id < 8', [1, 3, 5, 7]),
        ('contains_json(data, {"n": 3.0}) == True', [3]),
        ('at(data, "n") in [1, "a", True, None]', [1]),
        ('not at(data, "n") in [1, "a", True] and id < 4', [2, 3]),
        ('at(data, "tags", 1) == True', [2, 6, 10]),
        ('at(data, "tags", 1) != 1 and id < 4', [1, 2, 3]),
        ('not at(data, "tags", 0) > 1', []),
        ('at(data, "n") < up_id + 2 and id < 4', [1, 2, 3]),
        ('at(data, "tags", 0) == at(data, "tags", -2) and id < 4', [1, 2, 3]),
        ('istarts_with(at(data, "tags", 0), "A") and id < 4', [1, 2, 3]),
        ('up.name is not None and contains(up.name, "b")', [1, 3]),
        ('has(up.states, "new") and id < 7', [3, 6]),
        ('like(concat(name, "!"), "A_!")', [0, 1]),
        ("starts_with(name, code)", []),
        ("short", [0, 1, 11]),
        ("short is None", [5]),
        (r'like(name, "50\\%") or ends_with(name, "_")', [10, 11]),
        ('iends_with(name, "AB") or icontains(name, "B\\0C")', [0, 1, 2]),
        ("2 <= id <= 4 and id not in [3]", [2, 4]),
        ("id - 1 == up_id and id < 2", [0, 1]),
        ("up_id + 1 < id or id < 1", [0]),
    ],
)
def test_a_filter_keeps_what_its_question_is_true_of(
    items: Database, condition: str, expected: list[Value]
) -> None:
    assert kept(items, condition) == expected


def test_a_check_asks_as_a_filter_does(items: Database) -> None:
    row: RowDict = {"id": 99, "name": None, "code": "d", "states": ()}
    with pytest.raises(ormdb.errors.ConstraintError, match="code"):
        items.insert_rows("Item", [row])


def test_values_that_no_function_can_ask_with_are_refused_by_a_plan_that_is_kept(
    items: Database,
) -> None:
    long = "%" * (limits.PATTERN_CHARS_MAX + 1)
    assert kept(items, asks("ilike", "name", "50%")) == [10]
    with pytest.raises(QueryError, match="ends in a backslash"):
        kept(items, asks("ilike", "name", "50\\"))
    with pytest.raises(LimitError, match="over 1000"):
        kept(items, asks("ilike", "name", long))
    assert kept(items, asks("contains_json", "data", [])) == []
    with pytest.raises(LimitError, match="over 1000"):
        kept(items, asks("contains_json", "data", [1] * limits.CONTAINED_VALUES_MAX))
    assert kept(items, asks("has", "days", "2014-01-01")) == []
    with pytest.raises(QueryError, match="write it as YYYY-MM-DD"):
        kept(items, asks("has", "days", "1.1.2014"))


def test_a_page_in_order_of_a_beginning_goes_on_from_its_cursor(items: Database) -> None:
    condition = And(items=(asks("starts_with", "name", "x"), compare(">=", "id", 0)))
    query = GraphQuery(entity="Item", filter=condition, order=by("name"), page=Page(limit=1))
    seen: list[Value] = []
    answer = items.run_fetch(query)
    while True:
        seen.extend(row["id"] for row in answer.dicts())
        if answer.next_cursor is None:
            break
        page = Page(limit=1, after=answer.next_cursor)
        answer = items.run_fetch(
            GraphQuery(entity="Item", filter=condition, order=by("name"), page=page)
        )
    assert seen == [6, 7, 8, 9]


def test_a_document_beside_another_value_is_never_mistaken_for_an_equal_one(
    items: Database,
) -> None:
    # Python holds {"n": 1}, {"n": 1.0} and {"n": True} equal; only the first two are one document.
    for part, expected in (({"n": 1}, [1]), ({"n": True}, []), ({"n": 1.0}, [1])):
        asked = asks("contains_json", "data", part)
        compared = Compare(op="==", left=asked, right=Literal(value=True))
        assert kept(items, compared) == expected
        assert kept(items, asked) == expected
