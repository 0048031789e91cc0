"""Holds what is found in JSON, and what contains what, against the rules of PostgreSQL's `@>`."""

from __future__ import annotations

from typing import Any

import pytest

from ormdb.ir.documents import (
    compare_json,
    contains_document,
    count_json,
    find_at,
    is_json_in,
    is_object_with,
    is_same_json,
)

DATA: dict[str, Any] = {"tags": ["a", "b"], "size": {"x": 1, "y": 2.0}, "none": None, "ok": True}


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        (("tags", 0), "a"),
        (("tags", -1), "b"),
        (("tags", 2), None),
        (("tags", -3), None),
        (("tags", "0"), None),
        (("size", "x"), 1),
        (("size", 0), None),
        (("size", "x", "deeper"), None),
        (("tags", 0, 0), None),
        (("none",), None),
        (("none", "deeper"), None),
        (("gone",), None),
    ],
)
def test_a_path_leads_to_a_value_or_to_null(steps: tuple[str | int, ...], expected: Any) -> None:
    assert find_at(DATA, *steps) == expected


@pytest.mark.parametrize(
    ("document", "part", "expected"),
    [
        (DATA, {}, True),
        (DATA, {"size": {"y": 2}}, True),
        (DATA, {"size": {"y": 2, "z": 3}}, False),
        (DATA, {"tags": ["b"]}, True),
        (DATA, {"tags": "b"}, False),
        (DATA, {"tags": ["b", "a", "b"]}, True),
        (DATA, {"ok": 1}, False),
        (DATA, {"none": None}, True),
        (DATA, {"gone": None}, False),
        ([1, [2, 3]], [[3]], True),
        ([1, [2, 3]], [3], False),
        (["foo", "bar"], "bar", True),
        ("bar", ["bar"], False),
        ([["bar"]], "bar", False),
        ([{"a": 1, "b": 2}], [{"a": 1}, {"b": 2}], True),
        (1, 1.0, True),
        (True, 1, False),
        ({}, [], False),
        ([], [], True),
    ],
)
def test_containment_is_that_of_postgresql(document: Any, part: Any, *, expected: bool) -> None:
    assert contains_document(document, part) is expected


def test_a_key_is_one_of_the_outermost_object() -> None:
    assert is_object_with(DATA, "none")
    assert not is_object_with(DATA, "x")
    assert not is_object_with(["tags"], "tags")
    assert not is_object_with("tags", "tags")


@pytest.mark.parametrize(
    ("op", "left", "right", "expected"),
    [
        ("==", 1, 1.0, True),
        ("==", 1, True, False),
        ("!=", "a", 1, True),
        ("!=", [1], "a", True),
        ("==", [1, {"a": 2}], [1.0, {"a": 2}], True),
        ("<", 1, 1.5, True),
        ("<", "a", "b", True),
        ("<=", False, True, True),
        ("<", 0, True, None),
        ("<", "1", 2, None),
        (">", [1], [0], None),
        (">", {"a": 1}, 0, None),
        ("==", None, None, None),
        ("!=", 1, None, None),
    ],
)
def test_values_of_two_kinds_are_unequal_and_have_no_order(
    op: str, left: Any, right: Any, expected: bool | None
) -> None:
    assert compare_json(op, left, right) is expected


def test_a_value_is_among_scalars_or_that_is_not_known() -> None:
    assert is_json_in((1, "a"), 1.0) is True
    assert is_json_in((1, "a"), True) is False
    assert is_json_in((1, None), "a") is None
    assert is_json_in((1, None), 1) is True
    assert is_json_in((1,), None) is None
    assert is_json_in((), None) is False


def test_every_value_of_a_document_is_counted() -> None:
    assert count_json({"a": [1, 2, {"b": None}]}) == 6
    assert is_same_json({"a": [1]}, {"a": [1, 2]}) is False
    assert is_same_json({"a": 1}, {"b": 1}) is False
    assert is_same_json([], {}) is False
