"""How likely it is that so many of some things are of a kind, when a share of all of them is.

    40 orders of a customer, a share of 0.01 overdue      at least 1:  0.33      at least 2:  0.06

Of few things the binomial distribution is summed up; of many, Poisson's where the kind is rare, and
else the normal one is taken.

Invariants (held by tests/unit/query/test_chance.py):
  1. `at_least` falls as the number grows, and rises with the share and with the things.
  2. It is 1 for none and 0 for more than there are.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Final

_SUMMED: Final = 64  # things, or the number asked for, up to which terms are summed
_RARE: Final = 0.1  # a share up to which Poisson's distribution is close to the binomial one


def at_least(count: float, share: float, number: float) -> float:
    """The chance that `number` or more of `count` things are of a kind that a share is of."""
    whole = max(0, round(count))
    if number <= 0:
        return 1.0
    least = math.ceil(number) if math.isfinite(number) else whole + 1
    if least > whole:
        return 0.0
    if share >= 1.0:
        return 1.0
    expected = whole * share
    if whole <= _SUMMED:
        rest = 1.0 - share
        terms = [math.comb(whole, n) * share**n * rest ** (whole - n) for n in range(least)]
        return max(0.0, 1.0 - math.fsum(terms))
    if share <= _RARE and expected < _SUMMED / 2 and least <= _SUMMED:
        terms = [math.exp(-expected) * expected**n / math.factorial(n) for n in range(least)]
        return max(0.0, 1.0 - math.fsum(terms))
    spread = math.sqrt(2.0 * expected * (1.0 - share))
    if not spread:
        return float(expected >= least)
    return 0.5 * math.erfc((least - 0.5 - expected) / spread)


def share_that_fits(op: str, count: float, share: float, number: float) -> float:
    """The chance that how many of `count` things are of a kind compares so with a number."""
    if share >= 1.0:  # how many there are is known, and need not be whole
        return float(_OPERATORS[op](count, number))
    if math.isnan(number):
        return 0.0
    beyond = math.floor(number) + 1 if math.isfinite(number) else number
    more = at_least(count, share, number if op in ("<", ">=") else beyond)
    return more if op in (">", ">=") else 1.0 - more


_OPERATORS: Final[dict[str, Callable[[float, float], bool]]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
