"""Whether a filter keeps only rows that a partial index holds: asked of each run's values.

    index    open_by on created where state == "open" and rank > 2
    filter   state == p0 and rank >= p1                  a plan knows no values

    guard    state == "open" of p0, and p1 > 2           "open", 3: yes; "closed", 3: another way

A condition is implied when each of its parts is.  A part is implied

    as written     by a conjunct that says the same, with the same values
    by values      by fields that equal one value or one of a list: the part is true of all of them
    by a bound     where the filter's range of a field lies within the part's
    by any fact    where the part only says that a field has a value
    by a branch    of an `or`

What cannot be proved counts as not implied, so a guard may cost a better way, never an answer.

Invariants (held by tests/property/test_implication.py and tests/property/test_index_kinds.py):
  1. Where a guard holds, every row that the filter keeps meets the condition.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import SimpleNamespace
from typing import Any, Final

from ormdb.ir.canonical import encode_node
from ormdb.ir.expr import (
    And,
    Call,
    Compare,
    Expr,
    FieldRef,
    IsNull,
    Literal,
    Not,
    Or,
    Param,
)
from ormdb.ir.expression_type import paths_in
from ormdb.ir.function_type import TESTS
from ormdb.ir.rewrite import numbered
from ormdb.ir.search import Search
from ormdb.ir.value import Value
from ormdb.query.access import Known
from ormdb.query.convert import make_converter
from ormdb.query.plan import Bound, Guard, Operand
from ormdb.query.shape import LiteralTaker
from ormdb.storage.expressions import OwnFields, Translator, compile_condition
from ormdb.storage.layout import EntityLayout
from ormdb.storage.records import stored_value

_MIRRORED: Final = {"==": "==", "!=": "!=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
# Whether every value beyond a bound v, included or not, compares so with a constant.
_WITHIN: Final[dict[tuple[str, str, bool], Callable[[Any, Any], Any]]] = {
    (">", "low", True): operator.gt,
    (">", "low", False): operator.ge,
    (">=", "low", True): operator.ge,
    (">=", "low", False): operator.ge,
    ("!=", "low", True): operator.gt,
    ("!=", "low", False): operator.ge,
    ("<", "high", True): operator.lt,
    ("<", "high", False): operator.le,
    ("<=", "high", True): operator.le,
    ("<=", "high", False): operator.le,
    ("!=", "high", True): operator.lt,
    ("!=", "high", False): operator.le,
}


def guard_of(
    condition: Expr, entity: EntityLayout, given: Sequence[Expr], known: Mapping[str, Known]
) -> Guard | None:
    """A test of a run's values: whether they make the filter imply a condition.

    Args:
      condition: of a partial index, over the entity's own stored fields.
      entity: whose rows it is about.
      given: the conjuncts of the filter, without its literals.
      known: what they say about single fields.

    Returns:
      None where no values could.
    """
    return _Prover(entity, given, known).guard(condition)


class _Prover:
    """Looks for proofs of the parts of a condition."""

    def __init__(
        self, entity: EntityLayout, given: Sequence[Expr], known: Mapping[str, Known]
    ) -> None:
        self._entity = entity
        self._given = given
        self._known = known

    def guard(self, condition: Expr) -> Guard | None:
        if isinstance(condition, And):
            parts = [self.guard(item) for item in condition.items]
            present = [part for part in parts if part is not None]
            return _all_of(present) if len(present) == len(parts) else None
        ways = [*self._as_written(condition), *self._by_values(condition)]
        ways += [*self._by_bound(condition), *self._by_any_fact(condition)]
        if isinstance(condition, Or):
            ways += [way for item in condition.items if (way := self.guard(item)) is not None]
        return _any_of(ways) if ways else None

    def _as_written(self, condition: Expr) -> Iterator[Guard]:
        taker = LiteralTaker()
        bare, order = numbered(taker.expression(condition))
        translator = Translator(OwnFields(self._entity), None)
        translator.true(bare)
        constants = [
            make_converter(translator.params[place], taker.classes[index])(taker.values[index])
            for place, index in enumerate(order)
        ]
        for conjunct in self._given:
            found, places = numbered(conjunct)
            if len(places) == len(order) and encode_node(found) == encode_node(bare):
                yield _same_values(places, constants)

    def _by_values(self, condition: Expr) -> Iterator[Guard]:
        names = sorted(path[0] for path in paths_in(condition))
        facts = [self._known.get(name) for name in names]
        equal = [fact.equal for fact in facts if fact is not None and fact.equal is not None]
        if len(equal) == len(names):
            holds = self._holds(names, condition)
            yield lambda values: holds([_value(each, values) for each in equal])
        elif len(names) == 1 and facts[0] is not None and facts[0].many is not None:
            many, holds = facts[0].many, self._holds(names, condition)
            yield lambda values: all(holds((item,)) for item in values[many])

    def _holds(self, names: Sequence[str], condition: Expr) -> Callable[[Sequence[Value]], bool]:
        """Whether a condition is true where fields have some values."""
        fields = [self._entity.fields[name] for name in names]
        slots = [f"s{each.slot}" for each in fields]
        required = [place for place, each in enumerate(fields) if not each.optional]
        ask = compile_condition(condition, self._entity)

        def holds(values: Sequence[Value]) -> bool:
            if any(values[place] is None for place in required):
                return True  # of no row at all
            return ask([SimpleNamespace(**dict(zip(slots, values, strict=True)))])[0]

        return holds

    def _by_bound(self, condition: Expr) -> Iterator[Guard]:
        match condition:
            case Compare(op=op, left=FieldRef(path=(name,)), right=Literal(value=value)):
                pass
            case Compare(op=found, left=Literal(value=value), right=FieldRef(path=(name,))):
                op = _MIRRORED[found]  # type: ignore[assignment]  # an operator as well
            case _:
                return
        fact = self._known.get(name)
        if fact is None or value is None:
            return
        constant = stored_value(self._entity.fields[name].type, value)
        for side, bound in (("low", fact.low), ("high", fact.high)):
            if bound is not None and (op, side, bound.inclusive) in _WITHIN:
                yield _bounded(_WITHIN[op, side, bound.inclusive], bound, constant)

    def _by_any_fact(self, condition: Expr) -> Iterator[Guard]:
        match condition:
            case Not(operand=IsNull(operand=FieldRef(path=(name,)))):
                pass
            case _:
                return
        fact = self._known.get(name)
        if fact is not None and (fact.is_range or fact.prefix is not None or fact.many is not None):
            yield _always
        asked = FieldRef(path=(name,))
        for conjunct in self._given:
            match conjunct:
                case Call(arguments=(subject, Param())) if subject == asked:
                    if conjunct.name in TESTS:
                        yield _always
                case Compare(left=left, right=right) if asked in (left, right):
                    yield _always
                case _:
                    pass


def _always(values: Sequence[Value]) -> bool:
    return True


def _all_of(parts: Sequence[Guard]) -> Guard:
    return lambda values: all(part(values) for part in parts)


def _any_of(ways: Sequence[Guard]) -> Guard:
    return lambda values: any(way(values) for way in ways)


def _same_values(places: Sequence[int], constants: Sequence[Value]) -> Guard:
    def holds(values: Sequence[Value]) -> bool:
        pairs = zip(places, constants, strict=True)
        return all(_is_same(values[place], constant) for place, constant in pairs)

    return holds


def _bounded(compare: Callable[[Any, Any], Any], bound: Bound, constant: Value) -> Guard:
    def holds(values: Sequence[Value]) -> bool:
        value = _value(bound.value, values)
        return value is not None and bool(compare(value, constant))

    return holds


def _value(operand: Operand, values: Sequence[Value]) -> Value:
    return operand.constant if operand.index is None else values[operand.index]


def _is_same(left: Any, right: Any) -> bool:
    """Whether a question asked with either is the same question; False where that is not sure."""
    if type(left) is not type(right):
        return False
    if isinstance(left, Search):
        return bool(left.tokens == right.tokens)
    if isinstance(left, dict | list | tuple):  # JSON, in which 1 and true differ
        return encode_node(Literal(value=left)) == encode_node(Literal(value=right))
    return bool(left == right)
