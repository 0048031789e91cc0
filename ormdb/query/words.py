"""What a query looks like without its values: for explanations, logs and warnings.

    Flight.origin_code == "JFK" and delay + 5 > 60      origin_code == ? and delay + ? > ?
    GraphQuery Flight, filter above, after a cursor     Flight.where(origin_code == ?)

No value ever leaves: what a query compares with may be a password or a name.  NULL stays, since a
question for NULL is another question.

Invariants (held by tests/unit/query/test_words.py):
  1. No literal, no cursor and no time of a query is in its words or its digest's input.
  2. Queries of one shape have one digest.
  3. Words are one line, whatever the names are.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Final

from ormdb.errors import OrmdbError
from ormdb.ir.canonical import encode_node
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
from ormdb.ir.graph import FanoutBudget, GraphQuery, Include, OrderSpec, Page
from ormdb.ir.show import one_line
from ormdb.ir.table import TableQuery
from ormdb.model.spelling import spell_expression, spell_query, spell_table
from ormdb.query.shape import Shape
from ormdb.query.table_shape import TableShape
from ormdb.storage.layout import EntityLayout, Layout, RelationLayout

_ANY: Final = Param(index=-1)
_DIGEST_BYTES: Final = 8
_CANDIDATES_SHOWN: Final = 3


def expression_words(expr: Expr) -> str:
    """A condition with ? in place of its values."""
    return spell_expression(_masked(expr))


def query_words(query: GraphQuery) -> str:
    """A query with ? in place of its values, without its cursor, its time and its budget."""
    return one_line(spell_query(_masked_query(query), query.entity))


def shape_digest(shape: Shape) -> str:
    """A short name of a shape: the same in every process and every run."""
    bare = _masked_query(shape.query)
    try:
        data = encode_node(bare)
    except OrmdbError:  # a query that cannot be run can be watched nevertheless
        data = repr(bare).encode(errors="replace")
    return _digest(data, repr(shape.page).encode())


def masked_order(order: OrderSpec) -> OrderSpec:
    """A key of an order with ? in place of its values."""
    return replace(order, key=_masked(order.key))


def table_words(query: TableQuery) -> str:
    """A table query with ? in place of its values, without its time and its budget."""
    masked = replace(
        query,
        columns=tuple(replace(one, expression=_masked(one.expression)) for one in query.columns),
        filter=None if query.filter is None else _masked(query.filter),
        having=None if query.having is None else _masked(query.having),
        order=tuple(map(masked_order, query.order)),
        as_of=None,
        budget=FanoutBudget(),
    )
    return one_line(spell_table(masked, query.entity))


def table_digest(shape: TableShape) -> str:
    """A short name of a table query's shape: the same in every process and every run."""
    parts = shape.parts
    masked: list[object] = [
        parts.is_grouped,
        parts.drops_repeats,
        *([_masked(one) for one in group] for group in (parts.keys, parts.aggregates)),
        [_masked(one) for one in parts.outputs],
        None if parts.having is None else _masked(parts.having),
        [replace(one, key=_masked(one.key)) for one in parts.order],
    ]
    return _digest(shape_digest(shape.base).encode(), repr(masked).encode(errors="replace"))


def get_digest(entity: str) -> str:
    """The name of the shape of every get of an entity."""
    return _digest(b"get", entity.encode(errors="replace"))


def include_instead(layout: Layout, entity: str, filter_: Expr | None) -> str | None:
    """The include that would read with their parents what this filter reads for one parent.

    Rows of one parent: the inverse of the relation that holds it.  One row by its identity: the
    relations that lead to such rows, if they are few.
    """
    known = layout.entities.get(entity)
    if known is None or filter_ is None:
        return None
    equal = _fixed_fields(filter_)
    for relation in known.outgoing:
        inverse = relation.relation.inverse
        if inverse is not None and _is_fixed(relation, equal):
            return f"{relation.target.name}.{inverse}"
    if equal == {(name,) for name in known.entity.identity}:
        return include_leading_to(known)
    return None


def include_leading_to(entity: EntityLayout) -> str | None:
    """The relations that lead to one row of an entity, if they are few."""
    names = [
        f"{relation.source.name}.{relation.name}"
        for relation in entity.incoming
        if relation.relation.target_fields == entity.entity.identity
    ]
    return " or ".join(names) if 0 < len(names) <= _CANDIDATES_SHOWN else None


def _fixed_fields(expr: Expr) -> set[tuple[str, ...]]:
    match expr:
        case And(items=items):
            return {path for item in items for path in _fixed_fields(item)}
        case Compare(op="==", left=FieldRef(path=path), right=Literal() | Param()):
            return {path}
        case Compare(op="==", left=Literal() | Param(), right=FieldRef(path=path)):
            return {path}
        case _:
            return set()


def _is_fixed(relation: RelationLayout, equal: set[tuple[str, ...]]) -> bool:
    ours = relation.relation
    by_value = {(name,) for name in ours.fields}
    by_path = {(ours.name, name) for name in ours.target_fields}
    return by_value <= equal or by_path <= equal


def _masked_query(query: GraphQuery) -> GraphQuery:
    return replace(
        query,
        filter=None if query.filter is None else _masked(query.filter),
        order=tuple(map(masked_order, query.order)),
        derived=tuple(replace(one, value=_masked(one.value)) for one in query.derived),
        page=Page(limit=query.page.limit),
        includes=tuple(map(_masked_include, query.includes)),
        as_of=None,
        budget=FanoutBudget(),
    )


def _masked_include(node: Include) -> Include:
    return replace(
        node,
        filter=None if node.filter is None else _masked(node.filter),
        order=tuple(map(masked_order, node.order)),
        derived=tuple(replace(one, value=_masked(one.value)) for one in node.derived),
        includes=tuple(map(_masked_include, node.includes)),
    )


def _masked(expr: Expr) -> Expr:
    match expr:
        case Literal(value=None) | FieldRef():
            return expr
        case Literal() | Param() | NamedParam():
            return _ANY
        case Compare(op=op, left=left, right=right):
            return Compare(op=op, left=_masked(left), right=_masked(right))
        case Arithmetic(op=op, left=left, right=right):
            return Arithmetic(op=op, left=_masked(left), right=_masked(right))
        case InList(operand=operand):
            return InList(operand=_masked(operand), items=_ANY)
        case IsNull(operand=operand):
            return IsNull(operand=_masked(operand))
        case Not(operand=operand):
            return Not(operand=_masked(operand))
        case And(items=items):
            return And(items=tuple(map(_masked, items)))
        case Or(items=items):
            return Or(items=tuple(map(_masked, items)))
        case Call(name=name, arguments=arguments):
            return Call(name=name, arguments=tuple(map(_masked, arguments)))
        case Related(filter=inner):
            return replace(expr, filter=None if inner is None else _masked(inner))
        case Aggregate(operand=operand, filter=filter_):
            return replace(
                expr,
                operand=None if operand is None else _masked(operand),
                filter=None if filter_ is None else _masked(filter_),
            )


def _digest(*parts: bytes) -> str:
    made = hashlib.blake2b(digest_size=_DIGEST_BYTES)
    for part in parts:
        made.update(len(part).to_bytes(8, "big"))
        made.update(part)
    return made.hexdigest()
