"""Holds the laws of JSON containment and equality over generated values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st

from ormdb.ir.documents import compare_json, contains_document, is_same_json

LEAVES = st.none() | st.booleans() | st.sampled_from([0, 1, 1.0, 0.0, 2.5]) | st.sampled_from("ab")
JSON = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("kl"), inner),
    max_leaves=6,
)


def spelled(value: Any) -> Any:
    """A value as Python compares it right: kinds told apart, numbers equal across classes."""
    match value:
        case bool() | None:
            return ("word", value)
        case dict():
            members = cast("dict[str, Any]", value)
            return ("object", frozenset((key, spelled(item)) for key, item in members.items()))
        case list():
            items = cast("Sequence[Any]", value)
            return ("list", tuple(map(spelled, items)))
        case str():
            return ("text", value)
        case _:
            return ("number", value)


def a_part(value: Any, data: st.DataObject) -> Any:
    """Something that a value contains: with fewer keys and items, in another order."""
    if isinstance(value, dict):
        members = cast("dict[str, Any]", value)
        keys = [key for key in members if data.draw(st.booleans())]
        return {key: a_part(members[key], data) for key in keys}
    if isinstance(value, list):
        items = cast("Sequence[Any]", value)
        return [a_part(item, data) for item in data.draw(st.permutations(items))[:2]]
    return value


@given(JSON, JSON)
def test_equal_values_are_those_of_one_kind_and_content(left: Any, right: Any) -> None:
    assert is_same_json(left, right) is (spelled(left) == spelled(right))


@given(JSON, st.data())
def test_a_value_contains_what_is_left_when_something_is_taken_away(
    value: Any, data: st.DataObject
) -> None:
    assert contains_document(value, value)
    part = a_part(value, data)
    assert contains_document(value, part)
    if isinstance(value, list | dict):
        assert contains_document(value, a_part(part, data))


@given(JSON, JSON)
def test_what_contains_each_other_differs_in_lists_only(left: Any, right: Any) -> None:
    if contains_document({"it": left}, {"it": right}) and not isinstance(right, list | dict):
        assert is_same_json(left, right)


@given(JSON, JSON, st.sampled_from(["<", "<=", ">", ">="]))
def test_values_of_two_kinds_are_unequal_and_have_no_order(left: Any, right: Any, op: str) -> None:
    if left is None or right is None:
        assert compare_json("==", left, right) is None
        return
    if spelled(left)[0] != spelled(right)[0]:
        assert compare_json("!=", left, right) is True
        assert compare_json(op, left, right) is None
    elif not isinstance(left, list | dict):
        assert compare_json(op, left, right) is {
            "<": left < right,
            "<=": left <= right,
            ">": left > right,
            ">=": left >= right,
        }.get(op)
