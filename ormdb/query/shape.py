"""A query without its literals: the key under which its plan is kept.

    Flight.dep_delay > 120 and Flight.origin_faa in ("JFK", "LGA")     limit 50

    shape    Flight.dep_delay > p0:int and Flight.origin_faa in p1:str   limited
    values   120, ("JFK", "LGA")

A literal becomes a parameter wherever its class alone decides the plan: beside a field, in a
calculation, in an order, in what a function such as starts_with() or rank() looks for.  The Python
class of a literal is part of the shape, as it decides how the literal is converted; so is whether a
pattern of like() begins with a text to seek, and whether there is a limit or a cursor, not which.

These stay, as they decide more: NULL, True and False; the steps of at(); the unit and the width of
bucket(); JSON; a list that something calculated is looked for in.

A shape is hashed and compared by recursion, so what nests too deeply is refused here.

Invariants (held by tests/unit/query/test_shape.py):
  1. A shape holds no literal but those that decide it: equal shapes differ in values only.
  2. Putting the values back gives the query again, but for NULLs inside lists, which become an
     `or` with a comparison to NULL: the same truth.
"""

from __future__ import annotations

import datetime
import decimal
import uuid
from collections.abc import Container, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeAlias, assert_never, cast

from ormdb import limits
from ormdb.errors import LimitError, QueryError
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
from ormdb.ir.expression_type import (
    Conversions,
    Convert,
    check_size,
    no_value,
    too_many_nodes,
)
from ormdb.ir.function_type import TESTS
from ormdb.ir.graph import Derived, GraphQuery, Include, OrderSpec, Page
from ormdb.ir.patterns import literal_prefix
from ormdb.ir.rewrite import map_children
from ormdb.ir.value import (
    BoolType,
    BytesType,
    DateType,
    DecimalType,
    DurationType,
    EnumType,
    FloatType,
    IntType,
    JsonType,
    ListType,
    TextType,
    TimestampType,
    TimeType,
    Type,
    UuidType,
    Value,
)

# A Python class; ("in", classes) of a list; ("like", …) of a pattern, which begins with a text or
# does not.
LiteralClass: TypeAlias = type | tuple[str, frozenset[type]]
_OPEN_PATTERN: Final[LiteralClass] = ("like", frozenset[type]())
PREFIX_PATTERN: Final[LiteralClass] = ("like", frozenset({str}))


@dataclass(frozen=True, slots=True)
class PageShape:
    """Which parts of a page are there, without their values."""

    limited: bool
    cursor: bool
    backward: bool


@dataclass(frozen=True, slots=True)
class Shape:
    """The hashable form of a query without its literals."""

    query: GraphQuery
    page: PageShape
    parameter_classes: tuple[LiteralClass, ...]
    literal_classes: tuple[LiteralClass, ...]  # of the literals that stayed

    def __hash__(self) -> int:
        query = self.query  # of which the page, the version and the budget are always the same
        parts = query.entity, query.filter, query.order, query.select, query.includes, query.derived
        return hash((parts, self.page, self.parameter_classes))


@dataclass(slots=True)  # not frozen: most runs of a query make one
class PageValues:
    """The numbers and cursors of one node's page; never changed."""

    limit: int | None
    offset: int
    after: str | None = None
    before: str | None = None


@dataclass(frozen=True, slots=True)
class ShapedQuery:
    """A query taken apart: what its plan depends on, and what it does not."""

    shape: Shape
    values: tuple[Value, ...]
    pages: tuple[PageValues, ...]  # in the order of the nodes: parents first


class LiteralTaker:
    """Takes literals out of expressions, in order."""

    def __init__(self, *, open_patterns: Container[str] | None = None) -> None:
        """With `open_patterns`, also takes the parameters of a prepared query, as values: these
        are the names of those that are patterns which begin with no text to seek."""
        self._open_patterns = open_patterns
        self.values: list[Value] = []
        self.classes: list[LiteralClass] = []
        self.kept_classes: list[LiteralClass] = []
        self.pages: list[PageValues] = []
        # Where literals were converted before they are taken: how others in their places would be.
        self.conversions: Conversions = {}
        self.converts: dict[int, Convert] = {}
        self._nodes_left = limits.EXPRESSION_NODES_MAX

    def expression(self, expr: Expr, depth: int = 1) -> Expr:
        """A condition without its literals, but for those that decide more than a value.

        Raises:
          LimitError: it nests too deeply, or is too large: an object may be part of it many times.
        """
        self._count(depth)
        match expr:
            case Compare(op=op, left=FieldRef() as left, right=Literal() | NamedParam() as given):
                taken = self._operand(given)
                return expr if taken is None else Compare(op=op, left=left, right=taken)
            case Compare(op=op, left=Literal() | NamedParam() as given, right=FieldRef() as right):
                taken = self._operand(given)
                return expr if taken is None else Compare(op=op, left=taken, right=right)
            case InList(operand=FieldRef() as operand, items=NamedParam() as given):
                return InList(operand=operand, items=self._named(given, ""))
            case InList(operand=FieldRef() as operand, items=Literal(value=items) as listed):
                present = tuple(item for item in items if item is not None)
                kinds = frozenset(map(type, present))
                there = InList(operand=operand, items=self.take(present, ("in", kinds), listed))
                if len(present) == len(items):
                    return there
                unknown = Compare(op="==", left=operand, right=Literal(value=None))
                return Or(items=(there, unknown))
            case And(items=parts):
                return And(items=tuple([self.expression(part, depth + 1) for part in parts]))
            case Or(items=parts):
                return Or(items=tuple([self.expression(part, depth + 1) for part in parts]))
            case Not(operand=inner):
                return Not(operand=self.expression(inner, depth + 1))
            case Compare(op=op, left=left, right=right):
                return Compare(
                    op=op, left=self.value(left, depth + 1), right=self.value(right, depth + 1)
                )
            case IsNull(operand=inner):
                return IsNull(operand=self.value(inner, depth + 1))
            case InList() | Literal() | Param() | NamedParam() | FieldRef():
                return self.note(expr, depth)
            case Call(name=name) if name in TESTS:
                return self._test(expr, depth)
            case Arithmetic() | Call():
                return self.value(expr, depth)
            case Related(filter=inner):
                bare = None if inner is None else self.expression(inner, depth + 1)
                return replace(expr, filter=bare)
            case Aggregate(operand=operand, filter=filter_):
                return replace(
                    expr,
                    operand=None if operand is None else self.value(operand, depth + 1),
                    filter=None if filter_ is None else self.expression(filter_, depth + 1),
                )
        assert_never(expr)

    def _test(self, expr: Call, depth: int) -> Expr:
        """A function that asks something, without what it asks with."""
        name, (*subjects, given) = expr.name, expr.arguments or (_NULL,)
        if not _gives_type(name, subjects):
            return self.note(expr, depth)
        match given:
            case NamedParam():
                taken = self._named(given, name)
            case Literal(value=value) if value is not None:
                taken = self.take(value, _class_given(name, value), given)
            case _:
                return self.note(expr, depth)
        asked = [self.value(subject, depth + 1) for subject in subjects]
        return Call(name=name, arguments=(*asked, taken))

    def value(self, expr: Expr, depth: int = 1) -> Expr:
        """A value without its literals, but for those that decide more than a value: the steps of
        at(), the unit and the width of bucket(), NULL, True and False.

        Raises:
          LimitError: as `expression`.
        """
        match expr:
            case Literal(value=value) if type(value) in _VALUES:
                return self.take(value, _class_of(value), expr)
            case NamedParam(type=kind) if parameter_class(kind) in _VALUES:
                return self._named(expr, "")
            case Literal() | NamedParam() | FieldRef() | Param() | Call(name="at"):
                return self.note(expr, depth)
            case Arithmetic(op=op, left=left, right=right):
                self._count(depth)
                sides = self.value(left, depth + 1), self.value(right, depth + 1)
                return Arithmetic(op=op, left=sides[0], right=sides[1])
            case Call(name="bucket", arguments=(subject, *given)):
                self._count(depth)
                kept = [self.note(one, depth + 1) for one in given]
                return replace(expr, arguments=(self.value(subject, depth + 1), *kept))
            case Call(name=name, arguments=arguments) if name not in TESTS:
                self._count(depth)
                parts = tuple([self.value(part, depth + 1) for part in arguments])
                return replace(expr, arguments=parts)
            case _:
                return self.expression(expr, depth)

    def order(self, order: tuple[OrderSpec, ...]) -> tuple[OrderSpec, ...]:
        """An order without the literals of its calculated keys."""
        if all(isinstance(spec.key, FieldRef) for spec in order):
            return order
        return tuple([replace(spec, key=self.value(spec.key)) for spec in order])

    def derived(self, derived: tuple[Derived, ...]) -> tuple[Derived, ...]:
        """Derived values without their literals."""
        return tuple([replace(one, value=self.value(one.value)) for one in derived])

    def _count(self, depth: int) -> None:
        _check_depth(depth)
        self._nodes_left -= 1
        if self._nodes_left < 0:
            raise too_many_nodes()

    def note(self, expr: Expr, depth: int) -> Expr:
        """Keep an expression whole, and tell its 1 from another's 1.0 and True."""
        if not isinstance(expr, FieldRef | Literal):
            check_size(expr)
        self.kept_classes.extend(literal_classes(expr, depth))
        return expr

    def _operand(self, given: Literal | NamedParam) -> Param | None:
        """What stands beside a field, taken; None for NULL, which stays."""
        if isinstance(given, NamedParam):
            return self._named(given, "")
        return (
            None if given.value is None else self.take(given.value, _class_of(given.value), given)
        )

    def _named(self, given: NamedParam, function: str) -> Param:
        if self._open_patterns is None:
            raise no_value(given.name)
        if function == "like":
            is_open = given.name in self._open_patterns
            return self.take(given, _OPEN_PATTERN if is_open else PREFIX_PATTERN)
        return self.take(given, parameter_class(given.type))

    def take(self, value: Value, kind: LiteralClass, literal: Literal | None = None) -> Param:
        """The parameter that stands for a value from here on; `literal` is what held it."""
        found = self.conversions.get(id(literal))
        if found is not None:
            self.converts[len(self.values)] = found[1]
        self.values.append(value)
        self.classes.append(kind)
        return Param(index=len(self.values) - 1)

    def of_same_type(self, bare: Expr) -> Expr:
        """An expression with literals again, of the type of what was taken apart; what it asks
        about is another thing."""
        return _of_same_type(bare, self.values)

    def include(self, node: Include) -> Include:
        """An include without its literals and the numbers of its page.

        Raises:
          QueryError: a limit or an offset is not a number of rows.
          LimitError: there are too many includes, or an expression nests too deeply.
        """
        self.pages.append(page_values(node, f"the include of {node.name!r}"))
        if len(self.pages) > limits.INCLUDE_NODES_MAX + 1:  # the root's page is the first
            raise LimitError(
                f"the query has more than {limits.INCLUDE_NODES_MAX} includes; split it",
                limit="INCLUDE_NODES_MAX",
            )
        return replace(
            node,
            filter=None if node.filter is None else self.expression(node.filter),
            order=self.order(node.order),
            derived=self.derived(node.derived),
            # 1 and "" only say that there is a limit, an offset, a cursor.
            limit=None if node.limit is None else 1,
            offset=1 if node.offset else 0,
            after=None if node.after is None else "",
            before=None if node.before is None else "",
            includes=tuple(map(self.include, node.includes)),
        )


def take_shape(query: GraphQuery, *, open_patterns: Container[str] | None = None) -> ShapedQuery:
    """Take a query apart into its shape and its values.

    Args:
      query: what to take apart.
      open_patterns: given for a prepared query, whose parameters are values then; which of them
        are patterns that begin with no text.

    Raises:
      ParameterError: it has a parameter that is no value of a shape.
      QueryError: a limit or an offset is not a number of rows.
      LimitError: there are too many includes, or an expression nests too deeply.
    """
    taker = LiteralTaker(open_patterns=open_patterns)
    page = query.page
    taker.pages.append(page_values(page, "the page"))
    bare = GraphQuery(
        entity=query.entity,
        filter=None if query.filter is None else taker.expression(query.filter),
        order=taker.order(query.order),
        select=query.select,
        derived=taker.derived(query.derived),
        includes=tuple(map(taker.include, query.includes)),
    )
    backward = page.before is not None
    shape = Shape(
        bare,
        PageShape(page.limit is not None, backward or page.after is not None, backward),
        tuple(taker.classes),
        tuple(taker.kept_classes),
    )
    return ShapedQuery(shape, tuple(taker.values), tuple(taker.pages))


def _of_same_type(bare: Expr, values: Sequence[Value]) -> Expr:
    match bare:
        case Param(index=index):
            return Literal(value=values[index])
        case Compare() | InList() | IsNull() | And() | Or() | Not() | Related():
            return _CONDITION
        case Call(name=name) if name in TESTS:
            return _CONDITION
        case Aggregate(operand=operand):
            inner = None if operand is None else _of_same_type(operand, values)
            return replace(bare, operand=inner, filter=None)
        case _:
            return map_children(bare, lambda part: _of_same_type(part, values))


def _class_of(value: object) -> type[object]:
    return type(value)


def _class_given(name: str, value: Value) -> LiteralClass:
    """The class of what a function is given to ask with."""
    if name == "like" and isinstance(value, str):
        return PREFIX_PATTERN if literal_prefix(value) else _OPEN_PATTERN
    return _class_of(value)


def _gives_type(name: str, subjects: Sequence[Expr]) -> bool:
    """Whether a function knows the type of what it is given: an item is of its list's type."""
    return name != "has" or (len(subjects) == 1 and isinstance(subjects[0], FieldRef))


def page_values(page: Page | Include, where: str) -> PageValues:
    """The numbers and the cursors of a page.

    Raises:
      QueryError: a number is negative, or no int.
    """
    return PageValues(
        *page_numbers(page.limit, page.offset, where), _cursor(page.after), _cursor(page.before)
    )


def page_numbers(
    limit: int | NamedParam | None, offset: int | NamedParam, where: str
) -> tuple[int | None, int]:
    """The limit and the offset of a page.

    Raises:
      QueryError: one is negative, or no int.
    """
    counted = None if limit is None else _row_count(limit, "limit", where)
    return counted, _row_count(offset, "offset", where)


def _cursor(cursor: str | NamedParam | None) -> str | None:
    if isinstance(cursor, NamedParam):
        raise no_value(cursor.name)
    return cursor


def _row_count(number: object, name: str, where: str) -> int:
    if isinstance(number, NamedParam):
        raise no_value(number.name)
    if type(number) is not int or number < 0:
        raise QueryError(f"the {name} of {where} is {number!r}; give an int that is 0 or more")
    return number


def parameter_class(kind: Type) -> LiteralClass:
    """The class that values of a parameter's type have."""
    if isinstance(kind, ListType):
        return ("in", frozenset({_CLASSES[type(kind.item)]}))
    return _CLASSES[type(kind)]


_CLASSES: Final[dict[type, type]] = {
    BoolType: bool,
    IntType: int,
    FloatType: float,
    DecimalType: decimal.Decimal,
    TextType: str,
    EnumType: str,
    BytesType: bytes,
    UuidType: uuid.UUID,
    TimestampType: datetime.datetime,
    DateType: datetime.date,
    TimeType: datetime.time,
    DurationType: datetime.timedelta,
    JsonType: dict,
}
_NULL: Final = Literal(value=None)
_CONDITION: Final = IsNull(operand=Literal(value=True))
# What may be a parameter wherever a value stands.  True and False decide conditions.
_VALUES: Final = frozenset(_CLASSES.values()) - {bool, dict}


def _check_depth(depth: int) -> None:
    if depth > limits.EXPRESSION_DEPTH_MAX:
        raise LimitError(
            f"a filter nests deeper than {limits.EXPRESSION_DEPTH_MAX} levels; write it flatter",
            limit="EXPRESSION_DEPTH_MAX",
        )


def literal_classes(expr: Expr, depth: int = 1) -> list[LiteralClass]:
    """The classes of the literals that stay in an expression, in order.

    Raises:
      LimitError: it nests too deeply.
    """
    _check_depth(depth)
    match expr:
        case Literal(value=value):
            if isinstance(value, tuple):
                return list(map(_class_of, cast("Sequence[Value]", value)))
            return [_class_of(value)]
        case Compare(left=left, right=right) | Arithmetic(left=left, right=right):
            return literal_classes(left, depth + 1) + literal_classes(right, depth + 1)
        case InList(operand=operand, items=items):
            return literal_classes(operand, depth + 1) + literal_classes(items, depth + 1)
        case IsNull(operand=operand) | Not(operand=operand):
            return literal_classes(operand, depth + 1)
        case And(items=parts) | Or(items=parts) | Call(arguments=parts):
            return [kind for part in parts for kind in literal_classes(part, depth + 1)]
        case Related(filter=inner):
            return [] if inner is None else literal_classes(inner, depth + 1)
        case Aggregate(operand=operand, filter=filter_):
            both = [part for part in (operand, filter_) if part is not None]
            return [kind for part in both for kind in literal_classes(part, depth + 1)]
        case Param() | FieldRef():
            return []
        case NamedParam(name=name):
            raise no_value(name)
    assert_never(expr)
