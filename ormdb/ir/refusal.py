"""The sentence with which a value is refused: where, which value, the fact, the remedy."""

from __future__ import annotations

from typing import NoReturn

from ormdb.errors import ValueRangeError, ValueTypeError
from ormdb.ir.show import show_value
from ormdb.ir.value import Value


def refuse_type(value: Value, where: str, wanted: str, remedy: str) -> NoReturn:
    """Raise ValueTypeError: `value` is not `wanted`."""
    message = f"{where}: {show_value(value)} is not {wanted}; {remedy}"
    raise ValueTypeError(message, where=where)


def refuse_range(value: Value, where: str, fact: str, remedy: str) -> NoReturn:
    """Raise ValueRangeError: about `value`, `fact` holds."""
    raise range_error(value, where, fact, remedy)


def range_error(value: Value, where: str, fact: str, remedy: str) -> ValueRangeError:
    """Return the error, for a `raise ... from`."""
    return ValueRangeError(f"{where}: {show_value(value)} {fact}; {remedy}", where=where)
