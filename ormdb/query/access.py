"""Which way to the roots: the filter's conjuncts and the order, matched against what is kept.

    origin_faa == p0 and dep_time > p1, order by dep_time

    identity   needs id == or id in               no
    index      by_origin (origin_faa, dep_time)   first column fixed, a range on the second,
                                                  and what follows the fixed ones is the order
    relation   origin                             its rows are those of p0, in row order
    index      by_name (name)                     starts_with(name, p0): a range of its own
    scan       always; by ranges of an int identity, which is the row order

Ways are ranked by what they fix: all of an identity or unique index, then more columns before
fewer, then a served order.  Whatever the way, the whole filter is asked of every row again.

Invariants (held by tests/unit/query/test_access.py and tests/property/test_fetch_differential.py):
  1. Every row that the filter keeps is among the rows of the way that is chosen.
  2. A way called ordered gives the rows in the query's total order.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from ormdb.ir.expr import (
    And,
    Call,
    Compare,
    Expr,
    FieldRef,
    InList,
    IsNull,
    Literal,
    Not,
    Or,
    Param,
)
from ormdb.ir.graph import OrderSpec
from ormdb.ir.schema import FieldDef, IndexDef
from ormdb.query.convert import is_exact
from ormdb.query.plan import Access, Bound, Operand
from ormdb.query.shape import PREFIX_PATTERN, LiteralClass, Shape
from ormdb.storage.layout import EntityLayout, IndexLayout, Layout, RelationLayout
from ormdb.storage.records import is_stored


@dataclass(slots=True)
class _Known:
    """What the conjuncts say about one field."""

    equal: Operand | None = None
    many: int | None = None
    low: Bound | None = None
    high: Bound | None = None
    prefix: Operand | None = None
    not_null: bool = False

    @property
    def is_range(self) -> bool:
        return self.low is not None or self.high is not None


@dataclass(slots=True)
class _Candidate:
    access: Access
    score: float


_WHOLE_INDEX_SCORE = -1.0  # below any scan, which reads the same rows without the entries


def choose_access(layout: Layout, entity: EntityLayout, shape: Shape) -> Access:
    """The best way to the roots of a query of this shape."""
    return candidates(layout, entity, shape)[0]


def candidates(layout: Layout, entity: EntityLayout, shape: Shape) -> list[Access]:
    """Every way to the roots, the best first; whichever is taken, the answer is the same."""
    known = _known_fields(entity, shape)
    order = shape.query.order
    kept = entity.indexes if entity.identity is None else (*entity.indexes, entity.identity)
    found = [_index_access(entity, index, known, shape) for index in kept]
    found.extend(_relation_accesses(entity, known, order))
    found.append(_scan_candidate(entity, known, shape))
    found.sort(key=lambda candidate: -candidate.score)
    ways = [candidate.access for candidate in found]
    identity = _identity_access(entity, known, order)
    if identity is not None:
        ways.insert(0, identity)
    conjuncts = len(list(_conjuncts(shape.query.filter)))
    return [replace(way, is_whole=_facts_said(way) == conjuncts) for way in ways]


def _facts_said(access: Access) -> int:
    """How many conjuncts of the filter an access takes care of."""
    facts = [*access.equal, access.many, access.low, access.high, access.prefix]
    return sum(fact is not None for fact in facts)


def scan_access(entity: EntityLayout, order: tuple[OrderSpec, ...]) -> Access:
    """Every row; in order when that of the rows is asked for."""
    reverse = row_order(entity, order)
    return Access("scan", ordered=reverse is not None, reverse=bool(reverse))


def key_fields(entity: EntityLayout, access: Access) -> list[tuple[FieldDef, Operand]]:
    """The fields whose keys the access makes from operands; lists apart."""
    if access.kind == "identity":
        names = list(entity.entity.identity)
    elif access.kind == "relation":
        assert access.relation is not None
        names = list(access.relation.relation.fields)
    elif access.index is not None:
        names = [name for name, _ in _columns_of(entity, access.index)]
    else:
        names = list(entity.entity.identity)  # of a scan, whose bounds are those of an int
    operands = list(access.equal)
    if access.many is not None:
        operands.append(Operand(access.many))
    bounds = [bound.value for bound in (access.low, access.high) if bound is not None]
    named = [(entity.fields[name], o) for name, o in zip(names, operands, strict=False)]
    if bounds:
        named.extend((entity.fields[names[len(access.equal)]], bound) for bound in bounds)
    return named


def column_names(entity: EntityLayout, index: IndexLayout) -> list[str]:
    """The fields of an index, in the order of its columns."""
    return [name for name, _ in _columns_of(entity, index)]


def row_order(entity: EntityLayout, order: tuple[OrderSpec, ...]) -> bool | None:
    """Whether an order is that of the rows: forwards False, backwards True, else None."""
    if not order:
        return False
    if entity.int_identity_slot is None or order[0].key.path != entity.entity.identity:
        return None
    if any(len(spec.key.path) > 1 for spec in order):
        return None  # ordered ways read nothing but their rows to know the order
    return order[0].descending  # no two rows are equal in it, so further keys decide nothing


def order_from_index(
    relation: RelationLayout, order: tuple[OrderSpec, ...]
) -> tuple[IndexLayout | None, bool]:
    """An index that gives the children of one parent in this order, and whether backwards."""
    fields = relation.relation.fields
    for index in relation.source.indexes:
        columns = _columns_of(relation.source, index)
        if tuple(name for name, _ in columns[: len(fields)]) != fields:
            continue
        reverse = _serves(relation.source, columns[len(fields) :], order)
        if reverse is not None:
            return index, reverse
    return None, False


def _known_fields(entity: EntityLayout, shape: Shape) -> dict[str, _Known]:
    known: dict[str, _Known] = {}
    for conjunct in _conjuncts(shape.query.filter):
        _learn(entity, shape, known, conjunct)
    return known


def _conjuncts(expr: Expr | None) -> Iterable[Expr]:
    if isinstance(expr, And):
        for item in expr.items:
            yield from _conjuncts(item)
    elif expr is not None:
        yield expr


def _learn(entity: EntityLayout, shape: Shape, known: dict[str, _Known], expr: Expr) -> None:
    match expr:
        case Compare(op=op, left=FieldRef(path=(name,)), right=Param(index=index)):
            _learn_compare(entity.fields[name], shape, known, op, index)
        case Compare(op=op, left=Param(index=index), right=FieldRef(path=(name,))):
            _learn_compare(entity.fields[name], shape, known, _MIRRORED[op], index)
        case Call(arguments=(FieldRef(path=(name,)), Param(index=index))):
            seeks = _seeks_a_beginning(expr, shape.parameter_classes[index])
            if seeks and is_stored(entity.fields[name]):
                known.setdefault(name, _Known()).prefix = Operand(index)
        case InList(operand=FieldRef(path=(name,)), items=Param(index=index)):
            definition = entity.fields[name]
            if is_stored(definition) and is_exact(definition, shape.parameter_classes[index]):
                known.setdefault(name, _Known()).many = index
        case Or(items=(InList() as there, Compare(op="==", right=Literal(value=None)))):
            _learn(entity, shape, known, there)  # how a list with a NULL in it is written
        case IsNull(operand=FieldRef(path=(name,))) if is_stored(entity.fields[name]):
            known.setdefault(name, _Known()).equal = Operand(None)
        case Not(operand=IsNull(operand=FieldRef(path=(name,)))) if is_stored(entity.fields[name]):
            known.setdefault(name, _Known()).not_null = True
        case _:
            pass  # says nothing about a single field


def _seeks_a_beginning(expr: Call, kind: LiteralClass) -> bool:
    """Whether a function is true only of texts that begin with what it is given."""
    return expr.name == "starts_with" or (expr.name == "like" and kind == PREFIX_PATTERN)


_MIRRORED = {"==": "==", "!=": "!=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}


def _learn_compare(
    definition: FieldDef, shape: Shape, known: dict[str, _Known], op: str, index: int
) -> None:
    if not is_stored(definition) or not is_exact(definition, shape.parameter_classes[index]):
        return
    fact = known.setdefault(definition.name, _Known())
    operand = Operand(index)
    if op == "==":
        fact.equal = operand
    elif op in (">", ">="):
        fact.low = Bound(operand, op == ">=")
    elif op in ("<", "<="):
        fact.high = Bound(operand, op == "<=")


def _identity_access(
    entity: EntityLayout, known: dict[str, _Known], order: tuple[OrderSpec, ...]
) -> Access | None:
    names = entity.entity.identity
    facts = [known.get(name) for name in names]
    equal = [fact.equal for fact in facts if fact is not None and fact.equal is not None]
    if len(equal) == len(names):
        # As for an order by a path: one row is sorted soon.
        return Access("identity", index=entity.identity, equal=tuple(equal), ordered=not order)
    first = facts[0]
    if len(names) == 1 and first is not None and first.many is not None:
        return Access("identity", index=entity.identity, many=first.many)
    return None


def _index_access(
    entity: EntityLayout, index: IndexLayout, known: dict[str, _Known], shape: Shape
) -> _Candidate:
    columns = _columns_of(entity, index)
    equal: list[Operand] = []
    for name, _ in columns:
        fact = known.get(name)
        if fact is None or fact.equal is None:
            break
        if fact.equal.index is None and index.kind == "identity":
            break  # an identity is never NULL, and has no key for it
        equal.append(fact.equal)
    rest = columns[len(equal) :]
    fact = known.get(rest[0][0]) if rest else None
    order = shape.query.order
    reverse = _serves(entity, rest, order)
    many = fact.many if fact is not None else None
    prefix = fact.prefix if fact is not None and many is None else None
    low = fact.low if fact is not None and many is None and prefix is None else None
    high = fact.high if fact is not None and many is None and prefix is None else None
    bounded = low is not None or high is not None
    not_null = fact is not None and many is None and (fact.not_null or bounded)
    ordered = reverse is not None and many is None
    restricts = bool(equal) or many is not None or bounded or prefix is not None
    access = Access(
        "index",
        index=index,
        equal=tuple(equal),
        many=many,
        low=low,
        high=high,
        prefix=prefix,
        not_null=not_null,
        ordered=ordered,
        reverse=bool(reverse) if ordered else False,
    )
    score = 2.0 * len(equal) + (1.5 if many is not None else 0.0)
    score += (1.0 if low is not None else 0.0) + (1.0 if high is not None else 0.0)
    score += 1.5 if prefix is not None else 0.0
    score += 0.5 if ordered else 0.0
    if index.unique and not rest and not any(o.index is None for o in equal):
        score += 100.0
    if not restricts and not (ordered and shape.page.limited):
        score = _WHOLE_INDEX_SCORE
    return _Candidate(access, score)


def _relation_accesses(
    entity: EntityLayout, known: dict[str, _Known], order: tuple[OrderSpec, ...]
) -> Iterable[_Candidate]:
    for relation in entity.outgoing:
        if relation.index is None:
            continue
        facts = [known.get(name) for name in relation.relation.fields]
        equal = [
            fact.equal
            for fact in facts
            if fact is not None and fact.equal is not None and fact.equal.index is not None
        ]
        if len(equal) != len(facts):
            continue
        reverse = row_order(entity, order)
        access = Access(
            "relation",
            relation=relation,
            equal=tuple(equal),
            ordered=reverse is not None,
            reverse=bool(reverse),
        )
        score = 2.0 * len(equal) + (0.5 if access.ordered else 0.0) - 0.1
        yield _Candidate(access, score)


def _scan_candidate(entity: EntityLayout, known: dict[str, _Known], shape: Shape) -> _Candidate:
    """A scan, between two numbers if the identity is an int that the filter bounds."""
    access = scan_access(entity, shape.query.order)
    fact = known.get(entity.entity.identity[0])
    score = 0.5 if access.ordered and shape.page.limited else 0.0
    if entity.int_identity_slot is not None and fact is not None and fact.is_range:
        access = replace(access, low=fact.low, high=fact.high)
        score += (fact.low is not None) + (fact.high is not None)
    return _Candidate(access, score)


def _columns_of(entity: EntityLayout, index: IndexLayout) -> list[tuple[str, bool]]:
    """Field and stored direction of each column."""
    if index.kind == "identity":
        return [(name, False) for name in entity.entity.identity]
    definition = index.definition
    assert isinstance(definition, IndexDef)
    return [(part.field, part.descending != index.flipped) for part in definition.fields]


def _serves(
    entity: EntityLayout, columns: list[tuple[str, bool]], order: tuple[OrderSpec, ...]
) -> bool | None:
    """Whether walking these columns gives the order: forwards False, backwards True, else None.

    Ties come by row key in the direction of the walk, and a total order's ties follow its last
    key: so the walk must go backwards exactly when the last key descends.  All columns must
    be used up, or the ties would be ordered by the columns that are left.
    """
    if not columns:
        return row_order(entity, order)
    if len(order) == len(columns) + 1 and order[-1].descending == order[-2].descending:
        # An int identity in last place says what the order of ties is anyway.
        order = order if row_order(entity, order[-1:]) is None else order[:-1]
    if len(columns) != len(order):
        return None
    reverse = order[-1].descending
    for (name, descending), spec in zip(columns, order, strict=True):
        if spec.key.path != (name,) or spec.descending != (descending != reverse):
            return None
        natural = spec.nulls_last is None or spec.nulls_last == spec.descending
        if entity.fields[name].optional and not natural:
            return None
    return reverse
