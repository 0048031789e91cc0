"""Canonical forms of the types that hold other values: json, list of scalar, struct.

    json     {"a": (1, 2)}                    {"a": [1, 2]}          copied, tuples become lists
    list     [3, 4]                           (3, 4)                 copied, a tuple
    struct   {"y": 2.0, "x": 1.0}, or a       {"x": 1.0, "y": 2.0}   in the declared order
             dataclass with these names

A canonical value shares nothing mutable with the value it was made from.

Invariants (held by tests/unit/ir/test_check.py):
  1. A value that holds itself, or one thing many times over, is refused in bounded time.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias, cast

from ormdb import limits
from ormdb.errors import ValueTypeError
from ormdb.ir.refusal import range_error, refuse_range, refuse_type
from ormdb.ir.value import Value

_Checker: TypeAlias = Callable[[Value, str], Value]


def json_checker() -> _Checker:
    """Check a JSON value: only what JSON can say, 64-bit integers, finite floats."""

    def check(value: Value, where: str) -> Value:
        return _JsonCopy(where).copy(value, 1)

    return check


def list_checker(item: _Checker) -> _Checker:
    """Check a list whose items `item` checks."""

    def check(value: Value, where: str) -> Value:
        if not isinstance(value, list | tuple):
            refuse_type(value, where, "a list", "give a list or a tuple")
        items = cast("Sequence[Value]", value)
        if len(items) > limits.LIST_ITEMS_MAX:
            refuse_range(value, where, f"has {len(items)} items", _keep(limits.LIST_ITEMS_MAX))
        return tuple([item(one, where) for one in items])

    return check


def struct_checker(parts: Mapping[str, tuple[_Checker, bool]]) -> _Checker:
    """Check a struct; `parts` gives each field's checker and whether it is optional."""

    def check(value: Value, where: str) -> Value:
        given = _parts_of(value, where)
        result: dict[str, Value] = {}
        for name, (part, optional) in parts.items():
            one = given.get(name)
            if one is not None:
                result[name] = part(one, f"{where}.{name}")
            elif optional:
                result[name] = None
            else:
                raise ValueTypeError(
                    f"{where}.{name} has no value; a struct needs all its required fields",
                    where=f"{where}.{name}",
                )
        for name in given:
            if name not in parts:
                refuse_type(name, where, "a field of the struct", f"use {', '.join(parts)}")
        return result

    return check


def _parts_of(value: Value, where: str) -> Mapping[str, Value]:
    if isinstance(value, Mapping):
        return cast("Mapping[str, Value]", value)  # the caller refuses keys that are no fields
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {part.name: getattr(value, part.name) for part in dataclasses.fields(value)}
    refuse_type(value, where, "a struct", "give a dict or a dataclass object")


class _JsonCopy:
    """One deep copy.  Depth bounds a value that holds itself, the count one that repeats."""

    def __init__(self, where: str) -> None:
        self._where = where
        self._nodes_left = limits.JSON_NODES_MAX

    def copy(self, value: Value, depth: int) -> Value:
        self._nodes_left -= 1
        if self._nodes_left < 0:
            refuse_range(
                value,
                self._where,
                "ends a JSON value of too many parts",
                _keep(limits.JSON_NODES_MAX),
            )
        if value is None or value is True or value is False:
            return value
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, int | float):
            return self._number(value)
        if depth > limits.JSON_DEPTH_MAX:
            fact = f"lies deeper than {limits.JSON_DEPTH_MAX} levels in a JSON value"
            refuse_range(value, self._where, fact, "flatten it")
        if isinstance(value, list | tuple):
            return [self.copy(one, depth + 1) for one in cast("Sequence[Value]", value)]
        if isinstance(value, dict):
            members = cast("Mapping[Value, Value]", value)
            return {self._key(key): self.copy(one, depth + 1) for key, one in members.items()}
        refuse_type(
            value,
            self._where,
            "a JSON value",
            "give None, bool, number, str, list, dict",
        )

    def _key(self, key: Value) -> str:
        if not isinstance(key, str):
            refuse_type(key, self._where, "a JSON key", "give a str")
        return self._text(key)

    def _text(self, value: str) -> str:
        plain = str.__str__(value)
        if not plain.isascii():
            try:
                plain.encode()
            except UnicodeEncodeError as error:
                fact = "holds half of a surrogate pair"
                raise range_error(plain, self._where, fact, "decode it properly") from error
        if len(plain) > limits.TEXT_BYTES_MAX:
            refuse_range(plain, self._where, "is too long", _keep(limits.TEXT_BYTES_MAX))
        return plain

    def _number(self, value: float) -> float:
        if isinstance(value, int):
            if limits.INT_MIN <= value <= limits.INT_MAX:
                return int(value)
            refuse_range(value, self._where, "does not fit 64 bits", "use text")
        if value - value == 0:  # false for NaN and for both infinities
            return float(value)
        refuse_range(value, self._where, "is not a JSON number", "use null")


def _keep(bound: int) -> str:
    return f"keep {bound} at most"
