"""Which type an expression has, and its literals in the form that type needs.

    Flight.day > "2013-06-01"           day is a date, so the text becomes datetime.date(2013, 6, 1)
    Flight.distance * 1.6 > 100         int * float is a float, 100 becomes 100.0
    Flight.dep_delay == "late"          QueryError: Flight.dep_delay is an int and cannot be
                                        compared with the text 'late'; compare it with an int

A literal takes the form of what it stands beside (`ir.coerce`).

Int goes with float and with decimal; float and decimal never meet, because no result of theirs is
exact in either.  JSON, lists and structs can only be tested with `is None` and asked by functions
(`ir.function_type`); what at() finds in JSON compares with bools, numbers and texts.

Invariants (held by tests/property/test_expression_laws.py and
tests/unit/ir/test_expression_type.py):
  1. `coerce_literals` is idempotent, and never changes what `ir.evaluate` says.
  2. An expression that is accepted here can be evaluated for every row of the types resolved.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import NoReturn, TypeAlias, TypeGuard, assert_never

from ormdb import limits
from ormdb.errors import LimitError, ParameterError, QueryError
from ormdb.ir.aggregates import aggregate_type, is_of_related, refuse_aggregate
from ormdb.ir.coerce import ANY_DECIMAL, a_type, coerce_value, is_nan, literal_type
from ormdb.ir.expr import (
    Aggregate,
    And,
    Arithmetic,
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
from ormdb.ir.function_type import (
    Typed,
    are_comparable,
    argument_conversion,
    call_type,
    condition,
    is_extract,
)
from ormdb.ir.operator_type import remedy, remedy_for_arithmetic, result_type
from ormdb.ir.show import show_value
from ormdb.ir.value import (
    BoolType,
    DecimalType,
    EnumType,
    FloatType,
    IntType,
    TextType,
    Type,
    Value,
    is_scalar,
)
from ormdb.pulse import in_steps


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """What a path leads to: its full name for error texts, its type, whether it may be NULL."""

    name: str
    type: Type
    optional: bool


# What makes of any literal of one class the form that it needs where one of them stands.
Convert: TypeAlias = Callable[[Value], Value]
# The converted literals, by their ids, that need more than to be what they are.
Conversions: TypeAlias = dict[int, tuple[Literal, Convert]]
# Finds what a path leads to; raises QueryError for a path that leads nowhere.
Resolve: TypeAlias = Callable[[tuple[str, ...]], Resolved]
# Finds what resolves the paths of the rows that relations lead to, and what follows theirs.
Follow: TypeAlias = Callable[[tuple[str, ...]], "Scope"]


@dataclass(frozen=True, slots=True)
class Scope:
    """What the names of an expression mean: fields by `resolve`, relations by `follow`."""

    resolve: Resolve
    follow: Follow


def no_relations(path: tuple[str, ...]) -> NoReturn:
    """Refuse to follow relations, where an expression is about one row alone.

    Raises:
      QueryError: always.
    """
    raise QueryError(
        f"{'.'.join(path)} leads to other rows, which are asked about in the filter of a query "
        "only; use the fields of the row itself"
    )


def expression_type(
    expr: Expr,
    resolve: Resolve,
    follow: Follow = no_relations,
    *,
    of_group: bool = False,
) -> tuple[Type, bool]:
    """Return the type of an expression, and whether it may be NULL.

    Args:
      expr: the expression.
      resolve: what its paths lead to.
      of_group: whether it is about a group of rows, so that aggregates may stand in it.

    Raises:
      QueryError: it compares or calculates with what does not go together.
      LimitError: it is deeper or larger than expressions may be.
    """
    found = _Checker(Scope(resolve, follow), of_group=of_group).visit(expr, 1)
    if found.kind is None:
        raise QueryError("NULL alone has no type; give a value, or name a field")
    return found.kind, found.nullable


def coerce_literals(
    expr: Expr,
    resolve: Resolve,
    *,
    expected: Type | None = None,
    follow: Follow = no_relations,
    of_group: bool = False,
    conversions: Conversions | None = None,
) -> Expr:
    """Return the expression with every literal in the form of the type it stands beside.

    Args:
      expr: the expression.
      resolve: what its paths lead to.
      expected: the type the whole has to have, BoolType() for a condition; None for any.
      follow: what its relations lead to.
      of_group: whether it is about a group of rows, so that aggregates may stand in it.
      conversions: filled with what other literals in the places of these would be converted by.

    Raises:
      QueryError: it compares or calculates with what does not go together, or is not of the
        expected type.
      LimitError: it is deeper or larger than expressions may be.
    """
    found = _Checker(Scope(resolve, follow), of_group=of_group, conversions=conversions).visit(
        expr, 1
    )
    if expected is None:
        return found.expr
    if isinstance(expected, BoolType):
        _require_condition(found)
        return found.expr
    if isinstance(found.expr, Literal):
        value = coerce_value(expected, found.expr.value, "the result")
        return Literal(value=value)
    if found.kind is None or not _is_assignable(expected, found.kind):
        raise QueryError(
            f"{found.label} is {a_type(found.kind)} where {a_type(expected)} is needed; "
            "change the expression or the type"
        )
    return found.expr


def plain_literal(value: Value) -> Value:
    """A literal that stays what it is, where it stands.

    Raises:
      QueryError: it is no value of an expression.
    """
    _literal(value)
    return value


def walk(expr: Expr) -> Iterator[Expr]:
    """Every node of an expression, itself first; not those about related rows.

    Raises:
      LimitError: there are more than EXPRESSION_NODES_MAX.
    """
    open_nodes = [expr]
    for _ in range(limits.EXPRESSION_NODES_MAX):
        if not open_nodes:
            return
        node = open_nodes.pop()
        yield node
        open_nodes.extend(reversed(_children(node)))
    if open_nodes:
        raise too_many_nodes()


def check_size(expr: Expr) -> None:
    """Refuse what recursive passes could not bear, the parts about related rows among it.

    The passes themselves hold the bounds exactly; this goes before those that do not.

    Raises:
      LimitError: the expression is too deep or too large.
    """
    level, count = [expr], 0
    for _ in range(limits.EXPRESSION_DEPTH_MAX + 1):
        count += len(level)
        if count > limits.EXPRESSION_NODES_MAX:
            raise too_many_nodes()
        level = [below for node in level for below in _everything_below(node)]
        if not level:
            return
    raise LimitError(
        f"an expression nests deeper than {limits.EXPRESSION_DEPTH_MAX} levels; write it flatter",
        limit="EXPRESSION_DEPTH_MAX",
    )


def paths_in(expr: Expr) -> frozenset[tuple[str, ...]]:
    """Every field path an expression reads."""
    return frozenset(node.path for node in walk(expr) if isinstance(node, FieldRef))


def _children(expr: Expr) -> tuple[Expr, ...]:
    match expr:
        case Literal() | Param() | NamedParam() | FieldRef() | Related():
            return ()
        case Compare(left=left, right=right) | Arithmetic(left=left, right=right):
            return left, right
        case InList(operand=operand, items=items):
            return operand, items
        case IsNull(operand=operand) | Not(operand=operand):
            return (operand,)
        case And(items=items) | Or(items=items):
            return items
        case Call(arguments=arguments):
            return arguments
        case Aggregate(path=(_, *_)):
            return ()
        case Aggregate(operand=operand, filter=filter_):
            return tuple(part for part in (operand, filter_) if part is not None)
    assert_never(expr)


def _everything_below(expr: Expr) -> tuple[Expr, ...]:
    if isinstance(expr, Related):
        return () if expr.filter is None else (expr.filter,)
    return (expr.operand,) if isinstance(expr, InList) else _children(expr)


def no_value(name: str) -> ParameterError:
    """The error of a parameter that stands where a value is needed."""
    return ParameterError(
        f"parameter {name!r} has no value here; prepare the query and run that with {name}=...",
        parameter=name,
    )


# --- the pass over the tree ---------------------------------------------------------------------


class _Checker:
    """Types an expression from its leaves up, converting literals on the way."""

    def __init__(
        self, scope: Scope, *, of_group: bool, conversions: Conversions | None = None
    ) -> None:
        self._scope = scope
        self._conversions = conversions
        self._of_group = of_group
        self._nodes_left = limits.EXPRESSION_NODES_MAX

    def visit(self, expr: Expr, depth: int) -> Typed:
        self._count(depth)
        match expr:
            case Literal(value=value):
                return _literal(value)
            case FieldRef(path=path):
                found = self._scope.resolve(path)
                return Typed(expr, found.type, found.optional, found.name)
            case Param(index=index):
                raise QueryError(f"parameter {index} has no type; put the value in its place")
            case NamedParam(name=name):
                raise no_value(name)
            case Compare():
                return self._compare(expr, depth)
            case InList():
                return self._in_list(expr, depth)
            case IsNull(operand=operand):
                inner = self.visit(operand, depth + 1)
                return condition(IsNull(operand=inner.expr), nullable=False)
            case And(items=items):
                parts = [self._condition(item, depth) for item in items]
                return _junction(And(items=tuple(part.expr for part in parts)), parts)
            case Or(items=items):
                parts = [self._condition(item, depth) for item in items]
                return _junction(Or(items=tuple(part.expr for part in parts)), parts)
            case Not(operand=operand):
                inner = self._condition(operand, depth)
                return condition(Not(operand=inner.expr), nullable=inner.nullable)
            case Arithmetic():
                return self._arithmetic(expr, depth)
            case Call():
                arguments = [self.visit(argument, depth + 1) for argument in expr.arguments]
                called = call_type(expr, arguments)
                self._note_arguments(called, arguments)
                return called
            case Related():
                return self._related(expr, depth)
            case Aggregate():
                return self._aggregate(expr, depth)
        assert_never(expr)

    def _note(self, converted: Expr, convert: Convert) -> None:
        if self._conversions is not None and isinstance(converted, Literal):
            self._conversions[id(converted)] = converted, convert

    def _note_arguments(self, found: Typed, arguments: list[Typed]) -> None:
        """Note how the literals of a call were converted, where they were."""
        call = found.expr
        assert isinstance(call, Call)
        convert = argument_conversion(call, found, arguments)
        if convert is not None:
            for converted in call.arguments:
                self._note(converted, convert)

    def _count(self, depth: int) -> None:
        self._nodes_left -= 1
        if depth > limits.EXPRESSION_DEPTH_MAX:
            raise LimitError(
                f"an expression nests deeper than {limits.EXPRESSION_DEPTH_MAX} levels; "
                "write it flatter",
                limit="EXPRESSION_DEPTH_MAX",
            )
        if self._nodes_left < 0:
            raise too_many_nodes()

    def _related(self, expr: Related, depth: int) -> Typed:
        scope = self._scope.follow(expr.path)
        if expr.filter is None:
            return condition(expr, nullable=False)
        around, self._scope = self._scope, scope
        inner = self._condition(expr.filter, depth)
        self._scope = around
        return condition(replace(expr, filter=inner.expr), nullable=False)

    def _aggregate(self, expr: Aggregate, depth: int) -> Typed:
        if is_of_related(expr):
            return self._of_related(expr, depth)
        if not self._of_group:
            refuse_aggregate(expr)
        self._of_group = False  # inside is a row again
        operand = None if expr.operand is None else self.visit(expr.operand, depth + 1)
        kept = None if expr.filter is None else self._condition(expr.filter, depth)
        self._of_group = True
        return aggregate_type(expr, operand, None if kept is None else kept.expr)

    def _of_related(self, expr: Aggregate, depth: int) -> Typed:
        scope, around = self._scope.follow(expr.path), (self._scope, self._of_group)
        self._scope, self._of_group = scope, False
        operand = None if expr.operand is None else self.visit(expr.operand, depth + 1)
        kept = None if expr.filter is None else self._condition(expr.filter, depth)
        self._scope, self._of_group = around
        return aggregate_type(expr, operand, None if kept is None else kept.expr)

    def _condition(self, expr: Expr, depth: int) -> Typed:
        found = self.visit(expr, depth + 1)
        _require_condition(found)
        return found

    def _compare(self, expr: Compare, depth: int) -> Typed:
        left, right = self.visit(expr.left, depth + 1), self.visit(expr.right, depth + 1)
        if not (is_extract(left.expr) or is_extract(right.expr)):
            beside = _beside(left, right), _beside(right, left)
            for literal, other in ((beside[0], right), (beside[1], left)):
                if other.kind is not None and not isinstance(other.expr, Literal):
                    self._note(literal.expr, partial(_converted, other.kind, other.label))
            left, right = beside
        if left.kind is None or right.kind is None:
            other = left if right.kind is None else right
            raise QueryError(
                f"{other.label} is compared with NULL, which is never true; write "
                f"`{other.label} is None` or `is not None`"
            )
        if is_extract(left.expr) or is_extract(right.expr):
            _require_json_operand(left)
            _require_json_operand(right)
        elif not are_comparable(left.kind, right.kind):
            raise QueryError(
                f"{left.label} is {a_type(left.kind)} and cannot be compared with {right.label}, "
                f"{a_type(right.kind)}; {remedy(left.kind, right.kind)}"
            )
        if isinstance(left.kind, EnumType) and expr.op not in {"==", "!="}:
            _require_plain_operands(left, right)
        return condition(
            Compare(op=expr.op, left=left.expr, right=right.expr),
            nullable=left.nullable or right.nullable,
        )

    def _in_list(self, expr: InList, depth: int) -> Typed:
        operand = self.visit(expr.operand, depth + 1)
        self._count(depth)  # the list
        if isinstance(expr.items, NamedParam):
            raise no_value(expr.items.name)
        items = expr.items.value if isinstance(expr.items, Literal) else None
        if not _is_tuple(items):
            raise QueryError("`in` needs a list of values at its right")
        if len(items) > limits.IN_LIST_ITEMS_MAX:
            raise LimitError(
                f"a list of {len(items)} items is over {limits.IN_LIST_ITEMS_MAX}; split it",
                limit="IN_LIST_ITEMS_MAX",
            )
        kind, present = operand.kind, [item for item in items if item is not None]
        if kind is None:
            raise QueryError("NULL is in no list; name a field before `in`")
        if is_extract(operand.expr):
            values = items
            for item in present:
                _require_json_operand(_literal(item))
        elif not is_scalar(kind):
            raise _not_comparable(operand)
        else:
            values = tuple(
                [
                    coerce_value(kind, item, operand.label)
                    for part in in_steps(items)
                    for item in part
                ]
            )
        nullable = bool(items) and (operand.nullable or len(present) < len(items))
        listed = Literal(value=values)
        if not is_extract(operand.expr):
            self._note(listed, partial(_converted_items, kind, operand.label))
        return condition(InList(operand=operand.expr, items=listed), nullable=nullable)

    def _arithmetic(self, expr: Arithmetic, depth: int) -> Typed:
        left, right = self.visit(expr.left, depth + 1), self.visit(expr.right, depth + 1)
        beside = _beside_decimal(left, right), _beside_decimal(right, left)
        for literal, given, other in ((beside[0], left, right), (beside[1], right, left)):
            if literal is not given and other.kind is not None:
                self._note(literal.expr, partial(_converted, other.kind, other.label))
        left, right = beside
        kind = result_type(expr.op, left.kind, right.kind)
        if kind is None:
            raise QueryError(
                f"{left.label}, {a_type(left.kind)}, and {right.label}, {a_type(right.kind)}, "
                f"do not go together under '{expr.op}'; "
                f"{remedy_for_arithmetic(left.kind, right.kind)}"
            )
        return Typed(
            Arithmetic(op=expr.op, left=left.expr, right=right.expr),
            kind,
            left.nullable or right.nullable or expr.op in {"/", "%"},
            f"the result of '{expr.op}'",
        )


def _junction(expr: Expr, parts: list[Typed]) -> Typed:
    return condition(expr, nullable=any(part.nullable for part in parts))


def _require_condition(found: Typed) -> None:
    if found.kind is not None and not isinstance(found.kind, BoolType):
        raise QueryError(
            f"{found.label} is {a_type(found.kind)}, not a condition; compare it with "
            "something, or write `is not None`"
        )


def _require_json_operand(side: Typed) -> None:
    """What stands beside the result of at() is of a kind that JSON has, or such a result."""
    if is_extract(side.expr) or isinstance(side.kind, BoolType | IntType | FloatType | TextType):
        return
    remedy = "compare it with a bool, a number or a text"
    raise QueryError(
        f"what at() finds in JSON cannot be compared with {side.label}, {a_type(side.kind)}; "
        f"{remedy}"
    )


def _require_plain_operands(left: Typed, right: Typed) -> None:
    """Variants have an order only where their enum is known: beside a field."""
    for side in (left, right):
        if not isinstance(side.expr, FieldRef | Literal):
            raise QueryError(
                f"{side.label} is an enum and has no order there; compare the field itself"
            )


# --- literals -----------------------------------------------------------------------------------


def _literal(value: Value) -> Typed:
    if value is None:
        return Typed(Literal(value=None), None, True, "NULL")
    kind = literal_type(value)
    if isinstance(kind, IntType) and not limits.INT_MIN <= value <= limits.INT_MAX:
        raise QueryError(f"the {show_value(value)} does not fit 64 bits; use a smaller number")
    if isinstance(kind, FloatType | DecimalType) and is_nan(value):
        raise QueryError("nan is no value; write `is None` for a missing one")
    return Typed(Literal(value=value), kind, False, f"the {show_value(value)}")


def _beside(literal: Typed, other: Typed) -> Typed:
    """A literal in the form of what it is compared with; anything else as it is."""
    if not isinstance(literal.expr, Literal) or isinstance(other.expr, Literal):
        return literal
    if literal.kind is None or other.kind is None:
        return literal
    if not is_scalar(other.kind):
        raise _not_comparable(other)
    value = coerce_value(other.kind, literal.expr.value, other.label)
    kind = literal_type(value) if isinstance(value, int | float) else other.kind
    return Typed(Literal(value=value), kind, literal.nullable, literal.label)


def _beside_decimal(literal: Typed, other: Typed) -> Typed:
    """A float in a calculation with a decimal means the decimal it is spelled as."""
    if not isinstance(literal.expr, Literal) or not isinstance(literal.kind, FloatType):
        return literal
    if not isinstance(other.kind, DecimalType):
        return literal
    value = coerce_value(other.kind, literal.expr.value, other.label)
    return Typed(Literal(value=value), ANY_DECIMAL, literal.nullable, literal.label)


def _converted(kind: Type, where: str, value: Value) -> Value:
    return coerce_value(kind, value, where)


def _converted_items(kind: Type, where: str, items: Value) -> Value:
    return tuple([coerce_value(kind, item, where) for part in in_steps(items) for item in part])


def _is_tuple(value: Value) -> TypeGuard[tuple[Value, ...]]:
    return isinstance(value, tuple)


# --- rules --------------------------------------------------------------------------------------


def _is_assignable(expected: Type, kind: Type) -> bool:
    if isinstance(kind, IntType) and isinstance(expected, FloatType | DecimalType):
        return True
    if isinstance(kind, TextType | DecimalType):
        return type(expected) is type(kind)
    return expected == kind


# --- sentences ----------------------------------------------------------------------------------


def too_many_nodes() -> LimitError:
    """The error of an expression with more parts than an expression may have."""
    return LimitError(
        f"an expression has more than {limits.EXPRESSION_NODES_MAX} parts; "
        "use `in` with a list, or split it",
        limit="EXPRESSION_NODES_MAX",
    )


def _not_comparable(found: Typed) -> QueryError:
    return QueryError(
        f"{found.label} is {a_type(found.kind)} and cannot be compared; test it with `is None`"
    )
