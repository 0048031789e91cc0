"""What a query asks for, resolved: a tree of nodes that says what to answer and not yet how.

    Flight where origin.name == p0 and delay > p1, order by time, first some
      departures of it …

    LogicalNode Flight     conjuncts  origin.name == p0 | delay > p1
                           order      time
      LogicalNode Airport  by origin

Names are found and values are out: literals that stood beside fields are parameters.  `rules`
rewrites this tree, `compile` makes a plan of it.

Invariants (held by tests/unit/query/test_compile.py and tests/unit/query/test_rules.py):
  1. Every name in a node exists, and every condition has a sound type.
  2. The parameters of a tree are those of the query's shape, each where it stood.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from ormdb import limits
from ormdb.errors import LimitError, QueryError
from ormdb.ir.coerce import a_type
from ormdb.ir.expr import Aggregate, And, Arithmetic, Call, Expr, FieldRef, Related
from ormdb.ir.expression_type import walk
from ormdb.ir.function_type import TESTS
from ormdb.ir.graph import Derived, GraphQuery, Include, OrderSpec
from ormdb.ir.value import is_scalar
from ormdb.query.resolve import (
    Step,
    check_filter,
    check_sortable,
    check_value,
    find_entity,
    find_field,
    find_step,
    follow_path,
    follow_relations,
)
from ormdb.query.shape import LiteralTaker
from ormdb.storage.layout import EntityLayout, Layout
from ormdb.storage.records import is_stored


@dataclass(frozen=True, slots=True, eq=False)
class LogicalNode:
    """One level of the answer: the roots, or what an include reaches."""

    entity: EntityLayout
    path: tuple[str, ...]
    name: str
    step: Step | None  # from the parent; None for the roots
    conjuncts: tuple[Expr, ...]
    order: tuple[OrderSpec, ...]
    deciding: tuple[OrderSpec, ...]  # the keys of `order` between whose values there is a choice
    tie_descending: bool  # ties come in row order, turned round or not
    select: tuple[str, ...] | None
    limited: bool  # whether the first few are enough, of all rows or of each parent's
    children: tuple[LogicalNode, ...] = ()
    derived: tuple[Derived, ...] = ()


def build_logical(layout: Layout, query: GraphQuery, taker: LiteralTaker) -> LogicalNode:
    """The tree of a query; `taker` takes its literals out in the order in which its shape did.

    Raises:
      QueryError: the query does not fit the schema.
      LimitError: an order has too many keys.
    """
    entity = find_entity(layout, query.entity)
    limited = query.page.limit is not None
    asked = _Asked(
        (), "", query.filter, query.order, query.select, query.includes, limited, query.derived
    )
    return _node(layout, entity, None, asked, taker)


def plain_logical(entity: EntityLayout, conjuncts: tuple[Expr, ...] = ()) -> LogicalNode:
    """The tree of a query for some rows of an entity, with all their fields, in row order."""
    return LogicalNode(entity, (), "", None, conjuncts, (), (), False, None, False)


def conjuncts_of(condition: Expr | None) -> Iterable[Expr]:
    """The conditions that all have to be true for a condition to be true."""
    if isinstance(condition, And):
        for item in condition.items:
            yield from conjuncts_of(item)
    elif condition is not None:
        yield condition


def cannot_fail(layout: Layout, entity: EntityLayout, expr: Expr) -> bool:
    """Whether asking an expression can raise for no row, so that it may be asked before what
    stands to its left."""
    for node in walk(expr):
        if isinstance(node, Arithmetic) or (isinstance(node, Call) and node.name not in TESTS):
            return False
        if isinstance(node, FieldRef) and not is_stored(follow_path(layout, entity, node.path)[1]):
            return False
        if isinstance(node, Aggregate):
            return False  # a sum may be too large
        if isinstance(node, Related) and node.filter is not None:
            target = follow_relations(layout, entity, node.path)[-1].target
            if not cannot_fail(layout, target, node.filter):
                return False
    return True


def reads_other_rows(expr: Expr) -> bool:
    """Whether an expression is about more than the fields of its row."""
    return any(
        isinstance(node, Related | Aggregate) or (isinstance(node, FieldRef) and len(node.path) > 1)
        for node in walk(expr)
    )


@dataclass(frozen=True, slots=True)
class _Asked:
    """What the query says of one node."""

    path: tuple[str, ...]
    name: str
    filter: Expr | None
    order: tuple[OrderSpec, ...]
    select: tuple[str, ...] | None
    includes: tuple[Include, ...]
    limited: bool
    derived: tuple[Derived, ...]


def _node(
    layout: Layout, entity: EntityLayout, step: Step | None, asked: _Asked, taker: LiteralTaker
) -> LogicalNode:
    bare = None
    if asked.filter is not None:
        bare = taker.expression(check_filter(layout, entity, asked.filter, taker.conversions))
    order = taker.order(_checked_order(layout, entity, asked.order, taker))
    derived = taker.derived(_checked_derived(layout, entity, asked.derived, taker))
    for name in asked.select or ():
        find_field(entity, name)
    return LogicalNode(
        entity=entity,
        path=asked.path,
        name=asked.name,
        step=step,
        conjuncts=tuple(conjuncts_of(bare)),
        order=order,
        deciding=order,
        tie_descending=bool(asked.order) and asked.order[-1].descending,
        select=asked.select,
        limited=asked.limited,
        children=_children(layout, entity, asked, taker),
        derived=derived,
    )


def _checked_derived(
    layout: Layout, entity: EntityLayout, derived: tuple[Derived, ...], taker: LiteralTaker
) -> tuple[Derived, ...]:
    """Derived values, their literals converted."""
    taken = set(entity.fields)
    checked: list[Derived] = []
    for one in derived:
        if one.name in taken or not one.name:
            raise QueryError(
                f"{entity.name} shows something else as {one.name!r}; "
                "give the derived value another name",
                entity=entity.name,
            )
        taken.add(one.name)
        value, _ = check_value(layout, entity, one.value, taker.conversions)
        checked.append(replace(one, value=value))
    return tuple(checked)


def _children(
    layout: Layout, entity: EntityLayout, asked: _Asked, taker: LiteralTaker
) -> tuple[LogicalNode, ...]:
    children: list[LogicalNode] = []
    taken = {*entity.fields, *(one.name for one in asked.derived)}
    for include in asked.includes:
        if include.name in taken:
            raise QueryError(
                f"{entity.name} shows two things as {include.name!r}; "
                "name one of them with an alias",
                entity=entity.name,
            )
        taken.add(include.name)
        step = find_step(layout, entity, include.relation)
        has_cursor = include.after is not None or include.before is not None
        is_cut = include.limit is not None or include.offset or has_cursor
        if step.single and (include.order or is_cut):
            raise one_at_most(entity.name, include.relation)
        if has_cursor and step.kind == "through" and not include.order:
            raise QueryError(
                f"{entity.name}.{include.relation} is in the order of its edges, in which a cursor "
                "names no place; give it an order",
                entity=entity.name,
                relation=include.relation,
            )
        wanted = _Asked(
            (*asked.path, include.name),
            include.name,
            include.filter,
            include.order,
            include.select,
            include.includes,
            limited=include.limit is not None and not has_cursor,
            derived=include.derived,
        )
        children.append(_node(layout, step.target, step, wanted, taker))
    return tuple(children)


def one_at_most(entity: str, relation: str) -> QueryError:
    """The error of an include that orders or pages what is one row."""
    return QueryError(
        f"{entity}.{relation} leads to one row at most; "
        "leave its order, limit, offset and cursor out",
        entity=entity,
        relation=relation,
    )


def _checked_order(
    layout: Layout, entity: EntityLayout, order: tuple[OrderSpec, ...], taker: LiteralTaker
) -> tuple[OrderSpec, ...]:
    """The keys of an order, those that are calculated with their literals converted."""
    if len(order) > limits.ORDER_FIELDS_MAX:
        raise LimitError(f"an order may have {limits.ORDER_FIELDS_MAX} keys, not {len(order)}")
    checked: list[OrderSpec] = []
    for spec in order:
        if spec.path is not None:
            _, definition = follow_path(layout, entity, spec.path)
            check_sortable(entity, spec.path, definition)
            checked.append(spec)
            continue
        key, kind = check_value(layout, entity, spec.key, taker.conversions)
        if not is_scalar(kind):
            raise QueryError(
                f"an order of {entity.name} is by {a_type(kind)}, which has none; "
                "order by a scalar",
                entity=entity.name,
            )
        checked.append(replace(spec, key=key))
    return tuple(checked)
