"""How many rows a filter keeps, guessed from statistics before anything is read.

    Estimator(statistics, layout).rows("Order", state == "open" and placed > t, values)

    state == "open"      25 %     a common value
    placed > t           10 %     the histogram
    together             10 % of 25 %, or more where the two columns go together
    of 20,000 orders     500 rows

Each conjunct keeps a share of the rows.  Those about one field are taken together first
(`constraint`).  The shares of different fields are multiplied to powers: around each conjunct, the
others count by how independent of it their fields are, and what keeps least is taken.  Every power
is 0 or more, so a conjunct more never raises an estimate.

What statistics say nothing about has a share with a name; so has every parameter whose value is
not known yet.  How large things are is said by `sizes`.

Invariants (held by tests/property/test_estimate.py):
  1. An estimate lies between 0 and the number of rows; that of an empty entity is 0.
  2. A conjunct more never raises it; a wider range or a longer list never lowers it.
  3. A value alone is never estimated above a list that has it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from ormdb.ir.expr import (
    Aggregate,
    And,
    Call,
    Compare,
    Expr,
    FieldRef,
    InList,
    IsNull,
    Literal,
    NamedParam,
    Not,
    Or,
    Param,
    Related,
)
from ormdb.ir.expression_type import paths_in, walk
from ormdb.ir.patterns import Pattern, literal_prefix
from ormdb.ir.value import TextType, Type, Value
from ormdb.query.chance import share_that_fits
from ormdb.query.constraint import (
    ANY_VALUE,
    ANYTHING,
    LIST_ITEMS,
    NO_VALUE,
    NOTHING,
    RANGE_SHARE,
    Constraint,
    Guess,
    compare_constraint,
    list_constraint,
    prefix_constraint,
    selectivity,
)
from ormdb.query.logical import conjuncts_of
from ormdb.query.resolve import Step, find_step, follow_path
from ormdb.query.sizes import Sizes, unique_slots
from ormdb.storage.histogram import Histogram, key_kind
from ormdb.storage.layout import EntityLayout

Path: TypeAlias = tuple[str, ...]

# Shares of conditions that statistics say nothing about.
EQUALITY_SHARE: Final = 0.005  # of something computed with a value, as in length(name) == 3
TEXT_SHARE: Final = 0.1  # a text that contains or ends with another
ITEM_SHARE: Final = 0.1  # has(), contains_json()
WORDS_SHARE: Final = 0.02  # matches(): words are looked for because few texts have them
KEY_SHARE: Final = 0.5  # has_key(): documents of one entity tend to look alike
CONDITION_SHARE: Final = 0.5  # whatever has no other rule, as a condition over related rows
# How much a conjunct counts beside one about whose field it is not known what they share:
# between 1, as if they were independent, and 0.
INDEPENDENCE: Final = 0.8
_OTHER_WAY: Final = {"==": "==", "!=": "!=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
_SHARES: Final = {
    "matches": WORDS_SHARE,
    "has": ITEM_SHARE,
    "contains_json": ITEM_SHARE,
    "has_key": KEY_SHARE,
}


@dataclass(frozen=True, slots=True)
class Truth:
    """For which share of rows a condition is true, and for which unknown (NULL)."""

    true: float
    unknown: float = 0.0


@dataclass(frozen=True, slots=True)
class _Part:
    """A conjunct, or all of those about one field: `place` are relations and the field's slot."""

    truth: Truth
    place: tuple[Path, int] | None = None


class Estimator(Sizes):
    """Estimates over one layout."""

    def rows(
        self,
        entity: EntityLayout | str,
        condition: Expr | None,
        values: Sequence[Value] | None = None,
    ) -> float:
        """How many rows a filter keeps.

        Args:
          entity: whose rows.
          condition: the filter; None keeps them all.
          values: of its parameters, as given or as stored; None if they are not known yet.
        """
        return self.count(entity) * self.selectivity(entity, condition, values)

    def selectivity(
        self,
        entity: EntityLayout | str,
        condition: Expr | None,
        values: Sequence[Value] | None = None,
    ) -> float:
        """The share of rows that a filter keeps."""
        found = self.entity(entity)
        if condition is None:
            return 1.0
        return _Filter(self, found, values).truth(condition).true

    def conjuncts(
        self,
        entity: EntityLayout | str,
        condition: Expr | None,
        values: Sequence[Value] | None = None,
    ) -> list[tuple[Expr, float]]:
        """Each conjunct of a filter with the share of rows that it alone keeps."""
        return [(item, self.selectivity(entity, item, values)) for item in conjuncts_of(condition)]


class _Filter:
    """One filter over one entity."""

    def __init__(
        self, estimator: Estimator, entity: EntityLayout, values: Sequence[Value] | None
    ) -> None:
        self._estimator = estimator
        self._entity = entity
        self._values = values
        self._rows = estimator.count(entity)
        self._targets: dict[Path, EntityLayout] = {(): entity}  # by the relations that lead there

    def truth(self, expr: Expr) -> Truth:
        """For which share of rows an expression is true."""
        match expr:
            case Literal(value=value):
                return Truth(1.0 if value is True else 0.0, 1.0 if value is None else 0.0)
            case And():
                return self._conjunction(list(conjuncts_of(expr)))
            case Or(items=items):
                return self._disjunction(items)
            case _:
                return self._conjunction([expr])

    def _conjunction(self, items: Sequence[Expr]) -> Truth:
        fields: dict[Path, Constraint] = {}
        parts: list[_Part] = []
        for item in items:
            told = self._told(item)
            if told is None:
                parts.append(_Part(self._other(item)))
            else:
                path, constraint = told
                fields[path] = fields.get(path, ANYTHING).narrowed(constraint)
        parts.extend(self._part(path, constraint) for path, constraint in fields.items())
        true = min(self._combined([(part, part.truth.true) for part in parts]), self._cap(fields))
        possible = self._combined([(p, min(1.0, p.truth.true + p.truth.unknown)) for p in parts])
        return Truth(true, max(0.0, possible - true))

    def _disjunction(self, items: Sequence[Expr]) -> Truth:
        """Values of one field exclude each other; everything else is taken as independent."""
        fields: dict[Path, Truth] = {}
        others: list[Truth] = []
        for item in items:
            truth, told = self.truth(item), self._told(item)
            if told is None:
                others.append(truth)
                continue
            path = told[0]
            before = fields.get(path)
            if before is None:
                fields[path] = truth
                continue
            true = before.true + truth.true
            unknown = min(before.unknown, truth.unknown)
            fields[path] = Truth(min(true, 1.0 - unknown), unknown)
        none_true = none_possible = 1.0
        for truth in (*fields.values(), *others):
            none_true *= 1.0 - truth.true
            none_possible *= max(0.0, 1.0 - truth.true - truth.unknown)
        return Truth(1.0 - none_true, none_true - none_possible)

    def _part(self, path: Path, constraint: Constraint) -> _Part:
        """What is left of the rows by all that is said about one field."""
        steps, definition = follow_path(self._estimator.layout, self._entity, path)
        target, rows, reach = self._entity, self._rows, 1.0
        for step in steps:
            reach *= self._reach(step)
            target = step.target
            rows = self._estimator.count(target)
        self._targets[path[:-1]] = target
        histogram = self._estimator.histogram(target, path[-1])
        share = selectivity(constraint, histogram, rows=rows)
        if constraint.is_null and not constraint.asks_values and not constraint.is_not_null:
            return _Part(Truth(1.0 - reach + reach * share), (path[:-1], definition.slot))
        has_test = constraint.is_null or constraint.is_not_null
        unknown = 0.0 if has_test else 1.0 - reach * histogram.not_null
        true = reach * share
        if steps and steps[0].kind == "to_one" and len(steps) == 1:
            true = min(reach, self._by_foreign_key(steps[0], path[-1], constraint, true))
        return _Part(Truth(true, min(unknown, 1.0 - true)), (path[:-1], definition.slot))

    def _by_foreign_key(
        self, step: Step, name: str, constraint: Constraint, otherwise: float
    ) -> float:
        """A condition on what a foreign key holds is one on the key, whose values may be skewed."""
        relation = step.relation.relation
        if name not in relation.target_fields:
            return otherwise
        own = relation.fields[relation.target_fields.index(name)]
        histogram = self._estimator.histogram(self._entity, own)
        return selectivity(constraint, histogram, rows=self._rows)

    def _reach(self, step: Step) -> float:
        if step.kind == "to_one":
            return self._estimator.reach(step.relation)
        return 1.0 - self._estimator.childless(step.relation)

    def _cap(self, fields: dict[Path, Constraint]) -> float:
        """What a unique key leaves: as many rows as it is given values."""
        cap = 1.0
        own = {
            self._entity.fields[path[0]].slot: constraint.count_max
            for path, constraint in fields.items()
            if len(path) == 1
        }
        for slots in unique_slots(self._entity):
            counts = [own.get(slot) for slot in slots]
            known = [count for count in counts if count is not None]
            if len(known) == len(slots) and self._rows:
                cap = min(cap, math.prod(known) / self._rows)
        return cap

    def _combined(self, shares: Sequence[tuple[_Part, float]]) -> float:
        """The share of rows that fits all parts."""
        if any(share <= 0.0 for _, share in shares):
            return 0.0
        if not shares:
            return 1.0
        weights = [-math.log(min(1.0, share)) for _, share in shares]
        total = sum(weights)
        scores = [weight + INDEPENDENCE * (total - weight) for weight in weights]
        at: dict[tuple[Path, int], int] = {}
        for number, (part, _) in enumerate(shares):
            if part.place is not None:
                at[part.place] = number
        for prefix in {place[0] for place in at}:
            for (one, other), independence in self._pairs(prefix).items():
                first, second = at.get((prefix, one)), at.get((prefix, other))
                if first is not None and second is not None:
                    scores[first] += (independence - INDEPENDENCE) * weights[second]
                    scores[second] += (independence - INDEPENDENCE) * weights[first]
        return math.exp(-max(scores))

    def _pairs(self, prefix: Path) -> dict[tuple[int, int], float]:
        return self._estimator.independence(self._targets[prefix])

    # --- single conditions --------------------------------------------------------------------

    def _told(self, expr: Expr) -> tuple[Path, Constraint] | None:
        """What a condition says about one field alone; None if it says something else."""
        match expr:
            case Compare(
                op=op, left=FieldRef(path=path), right=Literal() | Param() | NamedParam() as right
            ):
                return self._compared(path, op, right)
            case Compare(
                op=op, left=Literal() | Param() | NamedParam() as left, right=FieldRef(path=path)
            ):
                return self._compared(path, _OTHER_WAY[op], left)
            case InList(operand=FieldRef(path=path), items=items):
                known, listed = self._value(items)
                if not known:
                    return path, Constraint(guesses=("list",))
                return self._placed(path, list_constraint(self._type(path), listed), "list")
            case IsNull(operand=FieldRef(path=path)):
                return path, NO_VALUE
            case Not(operand=IsNull(operand=FieldRef(path=path))):
                return path, ANY_VALUE
            case FieldRef(path=path):
                return self._compared(path, "==", Literal(value=True))
            case Call(
                name="starts_with" | "like" as name,
                arguments=(FieldRef(path=path), Literal() | Param() | NamedParam() as asked),
            ) if isinstance(self._type(path), TextType):
                known, value = self._value(asked)
                if not known:
                    return path, Constraint(guesses=("prefix",))
                return self._begun(path, name, value)
            case _:
                return None

    def _compared(
        self, path: Path, op: str, given: Literal | Param | NamedParam
    ) -> tuple[Path, Constraint] | None:
        known, value = self._value(given)
        guess: Guess = "equal" if op == "==" else "range"
        if not known:
            # All but one value: nothing that a share could say.
            return path, ANY_VALUE if op == "!=" else Constraint(guesses=(guess,))
        if value is None:
            return path, NOTHING
        return self._placed(path, compare_constraint(self._type(path), op, value), guess)

    def _placed(
        self, path: Path, constraint: Constraint | None, guess: Guess
    ) -> tuple[Path, Constraint]:
        return path, Constraint(guesses=(guess,)) if constraint is None else constraint

    def _begun(self, path: Path, name: str, value: Value) -> tuple[Path, Constraint] | None:
        """What a text has to begin with; None for a pattern that begins with anything."""
        if value is None:
            return path, NOTHING
        start = value.prefix if isinstance(value, Pattern) else value
        if name == "like" and isinstance(value, str):
            start = literal_prefix(value)
        if not isinstance(start, str) or (name == "like" and not start):
            return None
        constraint = prefix_constraint(self._type(path), start)
        return None if constraint is None else (path, constraint)

    def _other(self, expr: Expr) -> Truth:
        """A condition about more than one field, or of another form.

        New kinds of conditions begin here; without a case of their own they keep CONDITION_SHARE.
        """
        match expr:
            case Literal() | And() | Or():
                return self.truth(expr)
            case Not(operand=inner):
                truth = self.truth(inner)
                return Truth(max(0.0, 1.0 - truth.true - truth.unknown), truth.unknown)
            case Compare(op=op, left=FieldRef(path=left), right=FieldRef(path=right)):
                return self._side_by_side(op, left, right)
            case Compare() | InList() | Call() | IsNull() if _folds(expr):
                return self._folded(expr)
            case Compare(op=op):
                return self._of_what_is_there(expr, _compared_share(op))
            case InList(items=items):
                known, listed = self._value(items)
                count = len(listed) if known else LIST_ITEMS
                return self._of_what_is_there(expr, min(1.0, count * EQUALITY_SHARE))
            case Call(name=name):
                return self._of_what_is_there(expr, _SHARES.get(name, TEXT_SHARE))
            case IsNull(operand=inner):
                return Truth(1.0 - self._there(inner))
            case Related():
                return self._related(expr)
            case _:
                return Truth(CONDITION_SHARE)

    def _related(self, expr: Related) -> Truth:
        """What the related rows of a row are like, as if each were like any other."""
        estimator, entity, reach = self._estimator, self._entity, 1.0
        for name in expr.path[:-1]:
            step = find_step(estimator.layout, entity, name)
            reach *= self._reach(step)
            entity = step.target
        last = find_step(estimator.layout, entity, expr.path[-1])
        having = reach * (1.0 - estimator.childless(last.relation))
        share = 1.0
        if expr.filter is not None:
            share = _Filter(estimator, last.target, self._values).truth(expr.filter).true
        if not having:
            return Truth(0.0 if expr.kind == "any" else 1.0)
        fanouts = estimator.fanouts(last.relation)
        if expr.kind == "all":
            every = sum(weight * share**count for weight, count in fanouts)
            return Truth(1.0 - having + having * min(1.0, every))
        some = having * min(1.0, sum(w * (1.0 - (1.0 - share) ** count) for w, count in fanouts))
        return Truth(some if expr.kind == "any" else 1.0 - some)

    def _folded(self, expr: Expr) -> Truth:
        """A condition about related rows together: how many of them there are is known."""
        match expr:
            case Compare(
                op=op,
                left=Aggregate(function="count", path=path, operand=None) as counted,
                right=Literal() | Param() | NamedParam() as given,
            ) if path:
                known, least = self._value(given)
                if not known or not isinstance(least, int | float):
                    return Truth(CONDITION_SHARE)
                return self._counted(op, counted, least)
            case _:
                return Truth(CONDITION_SHARE)

    def _counted(self, op: str, counted: Aggregate, number: float) -> Truth:
        """How many rows have so many related ones."""
        if op in ("==", "!="):
            more = self._counted(">=", counted, number).true
            exact = max(0.0, more - self._counted(">", counted, number).true)
            return Truth(exact if op == "==" else 1.0 - exact)
        estimator, entity, reach = self._estimator, self._entity, 1.0
        for name in counted.path[:-1]:
            step = find_step(estimator.layout, entity, name)
            reach *= self._reach(step)
            entity = step.target
        last = find_step(estimator.layout, entity, counted.path[-1])
        share = 1.0
        if counted.filter is not None:
            share = _Filter(estimator, last.target, self._values).truth(counted.filter).true
        having = reach * (1.0 - estimator.childless(last.relation))
        counts = [(having * weight, n) for weight, n in estimator.fanouts(last.relation)]
        counts.append((1.0 - having, 0.0))
        found = sum(weight * share_that_fits(op, n, share, number) for weight, n in counts)
        return Truth(min(1.0, found))

    def _side_by_side(self, op: str, left: Path, right: Path) -> Truth:
        """Two fields of a row: as many pairs are equal as the one with more values has."""
        there = self._there(FieldRef(path=left))
        if left != right:
            there *= self._there(FieldRef(path=right))
        if op in ("==", "!="):
            equal = 1.0 if left == right else 1.0 / max(self._distinct(left), self._distinct(right))
            share = equal if op == "==" else 1.0 - equal
        elif left == right:
            share = float(op in ("<=", ">="))
        else:
            first, second = (left, right) if op in ("<", "<=") else (right, left)
            share = self._sorted_share(first, second)
        return Truth(there * share, 1.0 - there)

    def _sorted_share(self, first: Path, second: Path) -> float:
        one, other = self._histogram(first), self._histogram(second)
        kinds = {key_kind(self._type(path)) for path in (first, second)}
        if len(kinds) > 1 or not (one.has_shape and other.has_shape):
            return RANGE_SHARE
        return one.below_other(other)

    def _of_what_is_there(self, expr: Expr, share: float) -> Truth:
        there = self._there(expr)
        return Truth(there * share, 1.0 - there)

    def _there(self, expr: Expr) -> float:
        """The share of rows in which all fields of an expression have a value."""
        found = [self._part(path, ANY_VALUE).truth.true for path in sorted(set(paths_in(expr)))]
        return math.prod(found)

    def _distinct(self, path: Path) -> float:
        return max(1.0, self._histogram(path).distinct)

    def _histogram(self, path: Path) -> Histogram:
        steps, _ = follow_path(self._estimator.layout, self._entity, path)
        target = steps[-1].target if steps else self._entity
        return self._estimator.histogram(target, path[-1])

    def _type(self, path: Path) -> Type:
        return follow_path(self._estimator.layout, self._entity, path)[1].type

    def _value(self, given: Literal | Param | NamedParam) -> tuple[bool, Value]:
        """Whether a value is known, and which."""
        if isinstance(given, Literal):
            return True, given.value
        if isinstance(given, NamedParam):
            return False, None
        if self._values is None or given.index >= len(self._values):
            return False, None
        return True, self._values[given.index]


def _folds(expr: Expr) -> bool:
    """Whether a condition is about many rows together, whose fields are not the row's own."""
    return any(isinstance(node, Aggregate) for node in walk(expr))


def _compared_share(op: str) -> float:
    if op in ("==", "!="):
        return EQUALITY_SHARE if op == "==" else 1.0 - EQUALITY_SHARE
    return RANGE_SHARE
