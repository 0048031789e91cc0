"""What conjuncts say together about one field, in keys of its histogram.

    total > 5 and total <= 90 and total != 7     low 5+, high 90+, without 7
    state in ("open", "paid")                    values open, paid
    name like "J%"                               low "J", high "K"
    total == <not known yet>                     guesses ("equal",)

A conjunct only ever narrows what is there: the range, the values that are left.  So what is
estimated of a constraint never rises when one is added.

Invariants (held by tests/property/test_estimate.py):
  1. A value lies in the constraint of a comparison exactly when the comparison is true of it, as
     long as its key is not cut.
"""

from __future__ import annotations

import decimal
import math
from dataclasses import dataclass, replace
from typing import Any, Final, TypeAlias
from typing import Literal as Choice

from ormdb import limits
from ormdb.errors import UsageError
from ormdb.ir.coerce import coerce_value
from ormdb.ir.value import DecimalType, EnumType, FloatType, IntType, TextType, Type, Value
from ormdb.storage.histogram import HIGHEST_KEY, LOWEST_KEY, Histogram, key_after, make_key
from ormdb.storage.key_ranges import prefix_end
from ormdb.storage.key_values import KeyColumn, encode_text_start
from ormdb.storage.records import stored_value

Guess: TypeAlias = Choice["equal", "list", "range", "prefix"]

# What a condition keeps of which no more is known than its form.  The figures are those that
# planners have used since System R where nothing better is at hand.
RANGE_SHARE: Final = 1 / 3  # one end of a range
PREFIX_SHARE: Final = 0.05  # texts with a beginning that is not known yet
LIST_ITEMS: Final = 10  # of a list that is not known yet
_CUT_BYTES: Final = limits.STATISTICS_KEY_BYTES_MAX - 8  # what a cut key has of its value


@dataclass(frozen=True, slots=True, kw_only=True)
class Constraint:
    """Keys from `low` to below `high`; of `values` only, if given; without `others`; and
    conditions with a value that is not known, by their form."""

    low: bytes = LOWEST_KEY
    high: bytes = HIGHEST_KEY
    values: frozenset[bytes] | None = None
    others: frozenset[bytes] = frozenset()
    guesses: tuple[Guess, ...] = ()
    is_null: bool = False
    is_not_null: bool = False

    def narrowed(self, other: Constraint) -> Constraint:
        """Both at once."""
        values = self.values if other.values is None else other.values
        if self.values is not None and other.values is not None:
            values = self.values & other.values
        return Constraint(
            low=max(self.low, other.low),
            high=min(self.high, other.high),
            values=values,
            others=self.others | other.others,
            guesses=self.guesses + other.guesses,
            is_null=self.is_null or other.is_null,
            is_not_null=self.is_not_null or other.is_not_null,
        )

    @property
    def asks_values(self) -> bool:
        """Whether it says more than whether there is a value."""
        return replace(self, is_null=False, is_not_null=False) != ANYTHING

    @property
    def count_max(self) -> int | None:
        """How many values it leaves at most; None if nothing says so."""
        if self.values is not None:
            return len(self.values)
        if "equal" in self.guesses:
            return 1
        return LIST_ITEMS if "list" in self.guesses else None


ANYTHING: Final = Constraint()
ANY_VALUE: Final = Constraint(is_not_null=True)
NO_VALUE: Final = Constraint(is_null=True)
NOTHING: Final = Constraint(values=frozenset())


def compare_constraint(kind: Type, op: str, value: Value) -> Constraint | None:
    """`field op value`; None if the value is nothing that the field could be compared with."""
    place = _place(kind, value)
    if place is None:
        return None
    key, exact = place
    is_cut = len(key) > _CUT_BYTES
    begin = key[:_CUT_BYTES] if is_cut else key
    end = (prefix_end(begin) or HIGHEST_KEY) if is_cut else key_after(kind, key)
    match op:
        case "==":
            return Constraint(values=frozenset({key})) if exact else NOTHING
        case "!=":
            return Constraint(others=frozenset({key})) if exact else ANY_VALUE
        case "<":
            return Constraint(high=begin)
        case "<=":
            return Constraint(high=end if exact else begin)
        case ">":
            return Constraint(low=begin if is_cut or not exact else end)
        case _:
            return Constraint(low=begin)


def list_constraint(kind: Type, items: Any) -> Constraint | None:
    """`field in items`; NULLs among them add nothing that is true."""
    keys: set[bytes] = set()
    for item in items:
        if item is None:
            continue
        place = _place(kind, item)
        if place is None:
            return None
        if place[1]:
            keys.add(place[0])
    return Constraint(values=frozenset(keys))


def prefix_constraint(kind: Type, start: str) -> Constraint | None:
    """Texts that begin with `start`."""
    if not isinstance(kind, TextType):
        return None
    low = encode_text_start(KeyColumn(type=kind, nullable=False), start)[:_CUT_BYTES]
    if not low:
        return ANY_VALUE
    return Constraint(low=low, high=prefix_end(low) or HIGHEST_KEY)


def selectivity(constraint: Constraint, histogram: Histogram, *, rows: float) -> float:
    """The fraction of rows whose value is not NULL and fits."""
    if constraint.is_null:
        return 0.0 if constraint.asks_values or constraint.is_not_null else histogram.null_fraction
    there = histogram.not_null
    if there <= 0.0:
        return 0.0
    found = there
    if (constraint.low, constraint.high) != (LOWEST_KEY, HIGHEST_KEY):
        found = _range(constraint, histogram)
    if constraint.others:
        gone = sum(histogram.equal(key, rows=rows) for key in constraint.others)
        found *= max(0.0, 1.0 - gone / there)
    if constraint.values is not None:
        kept = [
            histogram.equal(key, rows=rows)
            for key in constraint.values - constraint.others
            if constraint.low <= key[:_CUT_BYTES] and key[:_CUT_BYTES] < constraint.high
        ]
        found = min(found, sum(kept)) if kept else 0.0
    for guess in constraint.guesses:
        found *= min(1.0, _guess(guess, histogram))
    return min(there, found)


def _range(constraint: Constraint, histogram: Histogram) -> float:
    if histogram.has_shape:
        return histogram.between(constraint.low, constraint.high)
    if constraint.low >= constraint.high:
        return 0.0
    ends = (constraint.low != LOWEST_KEY) + (constraint.high != HIGHEST_KEY)
    least = histogram.equal_to_any()
    return max(least, histogram.not_null * RANGE_SHARE**ends)


def _guess(guess: Guess, histogram: Histogram) -> float:
    """What a condition with an unknown value keeps of the rows that have one."""
    match guess:
        case "equal":
            return histogram.equal_to_any() / histogram.not_null
        case "list":
            return LIST_ITEMS * histogram.equal_to_any() / histogram.not_null
        case "range":
            return RANGE_SHARE
        case "prefix":
            return PREFIX_SHARE


def _place(kind: Type, value: Value) -> tuple[bytes, bool] | None:
    """The whole key of the smallest value of the type that is not below `value`, and whether it
    is `value` itself; None for what has no place there."""
    try:
        match kind:
            case IntType():
                number = math.ceil(value)
                if not limits.INT_MIN <= number <= limits.INT_MAX:
                    return _beyond(number)
                return make_key(kind, number), number == value
            case FloatType():
                close = float(value)
                return make_key(kind, close), close == value
            case DecimalType(scale=scale, precision=precision):
                exact = decimal.Decimal(value)
                rounded = exact.quantize(
                    decimal.Decimal(1).scaleb(-scale),
                    decimal.ROUND_CEILING,
                    decimal.Context(prec=2 * limits.DECIMAL_DIGITS_MAX),
                )
                if abs(rounded) >= decimal.Decimal(10) ** (precision - scale):
                    return _beyond(rounded)
                return make_key(kind, rounded), rounded == exact
            case EnumType() if isinstance(value, int):
                return make_key(kind, value), True  # a position, as the slot holds it
            case _:
                stored = stored_value(kind, coerce_value(kind, value, "a value"))
                return make_key(kind, stored), True
    except OverflowError:
        return _beyond(value)
    except (UsageError, TypeError, ValueError, decimal.DecimalException):
        return None  # the query is refused for it elsewhere, or compares as nothing does


def _beyond(number: Any) -> tuple[bytes, bool]:
    """The place of a number that is beyond all values of its field."""
    return (HIGHEST_KEY if number > 0 else LOWEST_KEY), False
