"""A query with parameters, taken apart once: each run makes stored values of what it is given.

    Flight where delay > :threshold and carrier == "UA" limit :count

    once per schema     plan, and   def bind(g):  return (<g["threshold"], checked>, c0, ...)
    each run            values (120, "UA"), page (limit 50), then straight to the execution

The plan is the one that the query with literals in place of its parameters has, found in the same
cache, under a shape that holds no value.  What only a value can tell is told apart before: whether
a pattern begins with a text, and whether a cursor is given; each such variant has a plan.

A parameter that stands where a literal is part of the shape (a step of at(), the width of a
bucket(), something true or false) is part of it as well: such a query is bound and taken apart for
each run.

Invariants (held by tests/unit/database/test_prepared.py):
  1. A run answers as the query does with the values in place.
  2. What is kept here is made for one layout, and made again for another.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, Generic, Protocol, TypeAlias, TypeVar

from ormdb import limits
from ormdb.errors import OrmdbError, ParameterError
from ormdb.ir.bind import (
    Parameter,
    bind_query,
    check_names,
    parameters_of,
    value_checker,
    walk_related,
)
from ormdb.ir.expr import Call, Expr, NamedParam
from ormdb.ir.graph import GraphQuery, Include, Page
from ormdb.ir.patterns import literal_prefix
from ormdb.ir.table import TableQuery
from ormdb.ir.value import IntType, ListType, TextType, Value
from ormdb.query.cache import PlanCache
from ormdb.query.logical import one_at_most
from ormdb.query.node_page import NodePage, node_page
from ormdb.query.plan import QueryPlan
from ormdb.query.ready import ReadyQuery, make_ready, usable_access
from ormdb.query.seek import seek_of
from ormdb.query.shape import PageValues, ShapedQuery, page_numbers, take_shape
from ormdb.storage.codegen import compile_function
from ormdb.storage.layout import Layout

Given: TypeAlias = Mapping[str, object]
Values: TypeAlias = Mapping[str, Value]
Checkers: TypeAlias = Mapping[str, Callable[[object], Value]]
Q = TypeVar("Q", bound=GraphQuery | TableQuery)
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)
_Key: TypeAlias = tuple[bool, ...]

# Inline checks of what most parameters are; whatever fails one is judged by the whole checker.
_QUICK: Final[dict[type, str]] = {
    IntType: "type({v}) is int and low_ <= {v} <= high_",
    TextType: "type({v}) is str and {v}.isascii() and len({v}) <= chars_",
}
_QUICK_BINDINGS: Final[dict[str, Any]] = {
    "low_": limits.INT_MIN,
    "high_": limits.INT_MAX,
    "chars_": limits.TEXT_BYTES_MAX,
}


_UNKNOWN: Final = NodePage(limit=None, offset=0)  # in place of a page that each run has its own of


class Variant(Protocol[R_co]):
    """A prepared query with its plan, for the values of which that is the plan."""

    def ready(self, given: Given) -> R_co:
        """The query with these values, ready to run."""
        ...


class Preparation(ABC, Generic[Q, R]):
    """A query with parameters, and what is known of it for the schema it ran with last."""

    def __init__(
        self, query: Q, cursors: Sequence[str], expressions: Callable[[Q], Iterable[Expr]]
    ) -> None:
        """Only values can tell whether there is a cursor, and whether a pattern in one of the
        expressions has a beginning.

        Raises:
          ParameterError: parameters of one name have different types.
          LimitError: the query is too deep or too large.
        """
        self.query = query
        self.parameters: dict[str, Parameter] = parameters_of(query)
        self.checkers: Checkers = {
            name: value_checker(one) for name, one in self.parameters.items()
        }
        # What only values can tell: a cursor or none, a pattern with a beginning or without.
        self._cursors = cursors
        # A query that nests without end is refused by now.
        self._patterns = _pattern_names(expressions(query))
        self._kept: tuple[Layout | None, int, dict[_Key, Variant[R]]] = None, 0, {}

    def bound(self, given: Given) -> Q:
        """The query with values in place of its parameters.

        Raises:
          ParameterError: a value is missing, or there is no such parameter.
          ValueTypeError, ValueRangeError: a value is of another type.
        """
        return self._with(self._checked(given))

    def ready(self, plans: PlanCache, layout: Layout, given: Given) -> R:
        """The query with these values, ready to run; raises what `bound` raises, and what making
        a plan raises."""
        kept = self._kept
        if kept[0] is not layout or kept[1] != plans.generation:
            kept = self._kept = layout, plans.generation, {}
        if len(given) != len(self.parameters):
            check_names(self.parameters, given)
        variant = kept[2].get(self._key(given) if self._cursors or self._patterns else ())
        if variant is None:
            return self._first(plans, layout, given, kept[2])
        try:
            return variant.ready(given)
        except KeyError:
            check_names(self.parameters, given)
            raise

    def _checked(self, given: Given) -> dict[str, Value]:
        check_names(self.parameters, given)
        return {name: self.checkers[name](value) for name, value in given.items()}

    def _key(self, given: Given) -> _Key:
        patterns = [
            isinstance(text := given.get(name), str) and not literal_prefix(text)
            for name in self._patterns
        ]
        return (*[given.get(name) is None for name in self._cursors], *patterns)

    def _first(
        self, plans: PlanCache, layout: Layout, given: Given, variants: dict[_Key, Variant[R]]
    ) -> R:
        """The first run of a variant, which is kept if no parameter is part of the shape."""
        values = self._checked(given)
        variant = self._variant(plans, layout, values)
        if variant is None:
            return self._once(plans, layout, self._with(values))
        variants[self._key(given)] = variant
        return variant.ready(given)

    def _open_patterns(self, values: Values) -> set[str]:
        """The patterns that begin with no text to seek."""
        return {name for name in self._patterns if not literal_prefix(values[name])}

    @abstractmethod
    def _with(self, values: Values) -> Q:
        """The query with canonical values in place of its parameters."""

    @abstractmethod
    def _variant(self, plans: PlanCache, layout: Layout, values: Values) -> Variant[R] | None:
        """The variant that these values need; None if a parameter is part of the shape."""

    @abstractmethod
    def _once(self, plans: PlanCache, layout: Layout, bound: Q) -> R:
        """A query that is taken apart for this run."""


class PreparedQuery(Preparation[GraphQuery, ReadyQuery]):
    """A graph query with parameters."""

    def __init__(self, query: GraphQuery) -> None:
        """Raises ParameterError if parameters of one name have different types."""
        cursors = [name for name, one in parameters_of(query).items() if one.is_cursor]
        super().__init__(query, cursors, _expressions)

    def _with(self, values: Values) -> GraphQuery:
        return bind_query(self.query, values)

    def _variant(self, plans: PlanCache, layout: Layout, values: Values) -> QueryVariant | None:
        bound = self._with(values)
        # Its pages are those of the bound query: of them, the shape says only that they are there.
        template = replace(
            self.query,
            page=bound.page,
            includes=tuple(map(_with_pages_of, self.query.includes, bound.includes)),
        )
        try:
            shaped = take_shape(template, open_patterns=self._open_patterns(values))
        except ParameterError:
            return None
        plan = plans.plan(layout, bound, shaped.shape)
        # Refuses what does not depend on values any more: the budget, the depth.
        make_ready(bound, replace(shaped, values=take_shape(bound).values), plan)
        return QueryVariant(self.query, plan, shaped, self.checkers)

    def _once(self, plans: PlanCache, layout: Layout, bound: GraphQuery) -> ReadyQuery:
        return plans.ready(layout, bound, keep=False)


class QueryVariant:
    """A prepared graph query with its plan and its binder."""

    def __init__(
        self,
        query: GraphQuery,
        plan: QueryPlan,
        shaped: ShapedQuery,
        checkers: Checkers,
    ) -> None:
        self._query = query
        self._plan = plan
        self._bind = binder(plan.converters, shaped.values, checkers)
        self._checkers = checkers
        # An int that was given as one fits the keys of an int; other numbers may have none.
        given_types = [one.type if isinstance(one, NamedParam) else None for one in shaped.values]
        self._may_lack_key = bool(plan.access.guards) or any(
            not isinstance(kind, TextType | IntType)
            or (isinstance(kind, IntType) and not isinstance(given_types[index], IntType))
            for kind, index, _ in plan.keyed
        )
        self._seek = seek_of(plan)
        self._to_one = _to_one(plan)
        self._given_pages = [
            (number, page)
            for number, page in enumerate(_pages(query))
            if _has_parameter(page) or plan.nodes[number].order.parameters
        ]
        given = {number for number, _ in self._given_pages}
        self._pages: Sequence[NodePage] = [
            _UNKNOWN if number in given else node_page(plan.nodes[number], numbers, ())
            for number, numbers in enumerate(shaped.pages)
        ]

    def ready(self, given: Given) -> ReadyQuery:
        plan = self._plan
        values = self._bind(given)
        access = usable_access(plan, values) if self._may_lack_key else plan.access
        pages = self._pages
        if self._given_pages:
            pages = [*pages]
            for number, asked in self._given_pages:
                numbers = self._page(asked, given)
                if numbers.offset and number in self._to_one:
                    raise one_at_most(*self._to_one[number])
                pages[number] = node_page(plan.nodes[number], numbers, values)
        page, seek = pages[0], None
        if access is plan.access and not page.offset and page.limit != 0 and page.place is None:
            seek = self._seek
        return ReadyQuery(self._query, plan, access, values, pages, seek)

    def _page(self, asked: Page | Include, given: Given) -> PageValues:
        limit, offset = self._value(asked.limit, given), self._value(asked.offset, given)
        where = f"the include of {asked.name!r}" if isinstance(asked, Include) else "the page"
        return PageValues(
            *page_numbers(limit, offset, where),
            self._value(asked.after, given),
            self._value(asked.before, given),
        )

    def _value(self, part: Any, given: Given) -> Any:
        return self._checkers[part.name](given[part.name]) if _is_parameter(part) else part


def _pages(query: GraphQuery) -> list[Page | Include]:
    """What says the pages of all nodes, parents first."""
    pages: list[Page | Include] = [query.page]

    def gather(nodes: Sequence[Include]) -> None:
        for node in nodes:
            pages.append(node)
            gather(node.includes)

    gather(query.includes)
    return pages


def _to_one(plan: QueryPlan) -> dict[int, tuple[str, str]]:
    """The nodes that have no page, being one row at most: from which entity, by which relation."""
    found: dict[int, tuple[str, str]] = {}
    for parent in plan.nodes:
        for node in parent.children:
            if node.to_one or (node.expand is not None and node.expand.single):
                found[node.number] = parent.entity.name, node.relation_name
    return found


def _has_parameter(page: Page | Include) -> bool:
    return any(map(_is_parameter, (page.limit, page.offset, page.after, page.before)))


def _is_parameter(part: object) -> bool:
    return isinstance(part, NamedParam)


def _with_pages_of(node: Include, bound: Include) -> Include:
    return replace(
        node,
        limit=bound.limit,
        offset=bound.offset,
        after=bound.after,
        before=bound.before,
        includes=tuple(map(_with_pages_of, node.includes, bound.includes)),
    )


def _expressions(part: GraphQuery | Include) -> Iterator[Expr]:
    """Every expression of a query and of its includes."""
    if part.filter is not None:
        yield part.filter
    yield from (spec.key for spec in part.order)
    yield from (one.value for one in part.derived)
    for node in part.includes:
        yield from _expressions(node)


def _pattern_names(exprs: Iterable[Expr]) -> list[str]:
    """The parameters that are patterns of like()."""
    names: dict[str, None] = {}
    for expr in exprs:
        for node in walk_related(expr):
            match node:
                case Call(name="like", arguments=(_, NamedParam(name=name))):
                    names[name] = None
                case _:
                    pass
    return list(names)


def binder(
    converters: Sequence[Callable[[Value], Value]], values: Sequence[Value], checkers: Checkers
) -> Callable[[Given], Sequence[Value]]:
    """The function from what is given by name to the values that a plan wants."""
    bindings = dict(_QUICK_BINDINGS)
    parts: list[str] = []
    for number, (convert, value) in enumerate(zip(converters, values, strict=True)):
        if not isinstance(value, NamedParam):
            bindings[f"c{number}"] = convert(value)
            parts.append(f"c{number}")
            continue
        bindings[f"n{number}_"] = value.name
        bindings[f"s{number}"] = _then(checkers[value.name], convert)
        quick = _QUICK.get(type(value.type))
        if quick is None or not _is_kept_as_given(convert, value):
            parts.append(f"s{number}(g[n{number}_])")
        else:
            kept = f"v{number}_"
            test = quick.format(v=kept).replace(kept, f"({kept} := g[n{number}_])", 1)
            parts.append(f"{kept} if {test} else s{number}({kept})")
    code = f"def bind(g):\n    return [{', '.join(parts)}]\n"
    return compile_function(code, "bind", bindings)


def _then(
    check: Callable[[object], Value], convert: Callable[[Value], Value]
) -> Callable[[object], Value]:
    return lambda given: convert(check(given))


def _is_kept_as_given(convert: Callable[[Value], Value], parameter: NamedParam) -> bool:
    """Whether every canonical value of the parameter is stored as it is, as an int beside an int.

    An int or a text is either kept, or read, folded or made another number: then a sample shows it.
    """
    if isinstance(parameter.type, ListType):
        return False
    sample: Value = 7 if isinstance(parameter.type, IntType) else "%A_ 7"
    try:
        converted: object = convert(sample)
    except OrmdbError:  # a text that is read as a date, say
        return False
    return type(converted) is type(sample) and converted == sample
