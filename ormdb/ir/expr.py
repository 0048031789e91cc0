"""Expressions: filters, checks, computed fields and policies are all made of these nodes.

    dep_delay > 120 and origin.name == "Kennedy"

    And(items=(Compare(op=">", left=FieldRef(path=("dep_delay",)), right=Literal(value=120)),
               Compare(op="==", left=FieldRef(path=("origin", "name")), right=Literal(...))))

Truth is SQL's: a comparison with NULL is neither true nor false; a filter keeps a row when its
expression is true, a check refuses a row when its expression is false.  `ir.evaluate` is the
definition; generated code in `query` must agree with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal as Choice
from typing import TypeAlias

from ormdb.ir.value import Type, Value

Quantifier: TypeAlias = Choice["any", "all", "none"]
CompareOp: TypeAlias = Choice["==", "!=", "<", "<=", ">", ">="]
ArithmeticOp: TypeAlias = Choice["+", "-", "*", "/", "%"]
# Every function of the language.  Arguments are positional.
FunctionName: TypeAlias = Choice[
    "lower",
    "upper",
    "length",
    "abs",
    "coalesce",
    "concat",
    "trim",
    "now",
    "uuid7",
    "year",
    "like",
    "ilike",
    "starts_with",
    "ends_with",
    "contains",
    "istarts_with",
    "iends_with",
    "icontains",
    "has",
    "has_key",
    "contains_json",
    "at",
    "matches",
    "rank",
    "bucket",
]
AggregateFunction: TypeAlias = Choice["count", "sum", "avg", "min", "max"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Literal:
    """A constant; None is NULL."""

    value: Value


@dataclass(frozen=True, slots=True, kw_only=True)
class Param:
    """A value given when the query runs; plans hold these in place of literals."""

    index: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedParam:
    """A value of `type` that a prepared query is given by name each time it runs; never NULL.

    Before anything is run, `ir.bind` puts the value in its place.
    """

    name: str
    type: Type


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldRef:
    """A field of the row: the last name; the names before it are to-one relations to follow."""

    path: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Compare:
    """NULL when either side is NULL."""

    op: CompareOp
    left: Expr
    right: Expr


@dataclass(frozen=True, slots=True, kw_only=True)
class InList:
    """Whether `operand` equals one of `items`; a NULL item makes "no" into NULL, as in SQL."""

    operand: Expr
    items: Literal | Param | NamedParam  # the value is a tuple


@dataclass(frozen=True, slots=True, kw_only=True)
class IsNull:
    """Never NULL itself."""

    operand: Expr


@dataclass(frozen=True, slots=True, kw_only=True)
class And:
    """Three-valued conjunction; with no items, true."""

    items: tuple[Expr, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Or:
    """Three-valued disjunction; with no items, false."""

    items: tuple[Expr, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Not:
    """NULL stays NULL."""

    operand: Expr


@dataclass(frozen=True, slots=True, kw_only=True)
class Arithmetic:
    """NULL when either side is NULL; `/` is true division, division by zero gives NULL."""

    op: ArithmeticOp
    left: Expr
    right: Expr


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A function of the language over its arguments."""

    name: FunctionName
    arguments: tuple[Expr, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Related:
    """What the rows that `path` leads to are like; never NULL itself.

    any     for at least one of them `filter` is true, or there is one where no filter is given
    none    for none of them it is true
    all     for each of them it is true, and not NULL; so also where there are none

    The last name of the path is a relation to many rows or to one, those before it lead to one
    row.  The filter is about the rows at the end.
    """

    kind: Quantifier
    path: tuple[str, ...]
    filter: Expr | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Aggregate:
    """One value of many rows; `ir.aggregates` is the definition.

    With `path`, of the related rows that these relations lead to: the last one to-many, those
    before it to-one.  Without, of the rows of a group, which only a table query has.  `operand`
    and `filter` are about these rows; without an operand, count counts the rows themselves.
    """

    function: AggregateFunction
    operand: Expr | None = None
    distinct: bool = False  # equal values count once
    filter: Expr | None = None  # rows for which it is not true are left out
    path: tuple[str, ...] = ()


Expr: TypeAlias = (
    Literal
    | Param
    | NamedParam
    | FieldRef
    | Compare
    | InList
    | IsNull
    | And
    | Or
    | Not
    | Arithmetic
    | Call
    | Related
    | Aggregate
)
