"""What expressions ask of a JSON value: a key, what lies at a path, whether it contains another.

    data                                   {"tags": ["a", "b"], "size": {"x": 1, "y": 2.0}}

    has_key(data, "size")                  true; keys of the outermost object only
    at(data, "tags", 0)                    "a"; -1 is the last item
    at(data, "size", "z")                  NULL, as are a path through a text and a JSON null
    contains_json(data, {"size": {"y": 2}})      true
    contains_json(data, {"tags": ["b"]})         true: the order of items does not matter

Containment is that of PostgreSQL's `@>`: an object contains one whose every key it has with a value
that contains the other's; a list contains one whose every item is contained in an item of it;
anything else contains what equals it.  The outermost list also contains a bare scalar among its
items.

What `at` finds has no type before it is there.  Beside a bool, a number or a text it is compared as
JSON values are: values of different kinds are unequal, and have no order, which is NULL.  1 equals
1.0, and true equals neither.

Invariants (held by tests/unit/ir/test_documents.py and tests/property/test_documents.py):
  1. A value contains itself, and what contains another contains what that contains.
  2. `==` of JSON values is an equivalence, and never confuses true with 1.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeGuard

from ormdb.ir.value import Value

_ORDERS: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def is_object_with(document: Value, key: str) -> bool:
    """Whether a JSON value is an object that has a key."""
    return _is_object(document) and key in document


def find_at(document: Value, *steps: str | int) -> Value:
    """Return what lies at a path of keys and positions; None where there is nothing."""
    for step in steps:
        if isinstance(step, str):
            if not _is_object(document) or step not in document:
                return None
            document = document[step]
        else:
            if not _is_list(document) or not -len(document) <= step < len(document):
                return None
            document = document[step]
    return document


def contains_document(document: Value, part: Value) -> bool:
    """Whether a JSON value contains another, as `@>` of PostgreSQL has it."""
    if _is_list(document) and not _is_list(part) and not _is_object(part):
        return any(is_same_json(item, part) for item in document)
    return _contains(document, part)


def is_same_json(left: Value, right: Value) -> bool:
    """Whether two JSON values are equal."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if _is_object(left):
        if not _is_object(right) or left.keys() != right.keys():
            return False
        return all(is_same_json(value, right[key]) for key, value in left.items())
    if _is_list(left):
        if not _is_list(right) or len(left) != len(right):
            return False
        return all(map(is_same_json, left, right))
    return bool(left == right)


def compare_json(op: str, left: Value, right: Value) -> bool | None:
    """Return what a comparison with a JSON value says; None is NULL."""
    if left is None or right is None:
        return None
    if op in {"==", "!="}:
        return is_same_json(left, right) == (op == "==")
    for kind in (bool, (int, float), str):
        if isinstance(left, kind) or isinstance(right, kind):
            alike = isinstance(left, kind) and isinstance(right, kind)
            return _ORDERS[op](left, right) if alike and _both_or_no_bool(left, right) else None
    return None


def is_json_in(items: Sequence[Value], value: Value) -> bool | None:
    """Return whether a JSON value equals one of some scalars; None is NULL."""
    if not items:
        return False
    if value is None:
        return None
    if any(item is not None and is_same_json(value, item) for item in items):
        return True
    return None if any(item is None for item in items) else False


def count_json(document: Value) -> int:
    """How many values a JSON value has, itself among them."""
    count, waiting = 0, [document]
    while waiting:
        value = waiting.pop()
        count += 1
        if _is_object(value):
            waiting.extend(value.values())
        elif _is_list(value):
            waiting.extend(value)
    return count


def _contains(document: Value, part: Value) -> bool:
    if _is_object(part):
        if not _is_object(document):
            return False
        return all(key in document and _contains(document[key], part[key]) for key in part)
    if _is_list(part):
        if not _is_list(document):
            return False
        return all(any(_contains(item, wanted) for item in document) for wanted in part)
    return is_same_json(document, part)


def _both_or_no_bool(left: Value, right: Value) -> bool:
    return isinstance(left, bool) == isinstance(right, bool)


def _is_object(value: Value) -> TypeGuard[dict[str, Value]]:
    return isinstance(value, dict)


def _is_list(value: Value) -> TypeGuard[Sequence[Value]]:
    return isinstance(value, list | tuple)
