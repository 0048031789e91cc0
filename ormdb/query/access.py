"""The ways to the roots: conjuncts and order, matched against what is kept.

    origin_faa == p0 and dep_time > p1, order by dep_time

    identity   needs id == or id in               no
    index      by_origin (origin_faa, dep_time)   first column fixed, a range on the second,
                                                  and what follows the fixed ones is the order
    relation   origin                             its rows are those of p0, in row order
    index      by_name (name)                     starts_with(name, p0): a range of its own
    scan       always; by ranges of an int identity, which is the row order

`combine` makes ways out of several of these, `conditional` those over indexes that hold some rows
or tokens, `cost` says which is the cheapest.  Whatever the way, the whole filter is asked of every
row again.

Invariants (held by tests/unit/query/test_access.py and tests/property/test_fetch_differential.py):
  1. Every row that the filter keeps is among the rows of every way that is offered.
  2. A way called ordered gives the rows in the query's total order.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from ormdb.ir.expr import (
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
from ormdb.query.shape import PREFIX_PATTERN, LiteralClass
from ormdb.storage.layout import EntityLayout, IndexLayout, RelationLayout
from ormdb.storage.records import is_stored


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked of one entity's rows, as far as a way to them depends on it."""

    entity: EntityLayout
    conjuncts: tuple[Expr, ...]
    order: tuple[OrderSpec, ...]  # the keys that decide
    tie_descending: bool
    limited: bool
    classes: Sequence[LiteralClass]  # of the parameters
    all_keys: tuple[OrderSpec, ...] = ()  # of which `order` is a part


@dataclass(frozen=True, slots=True)
class Way:
    """A way to rows, and the conjuncts it takes care of."""

    access: Access
    covered: tuple[Expr, ...] = ()

    @property
    def restricts(self) -> bool:
        """Whether it leads to a part of the rows."""
        return bool(self.covered)


@dataclass(slots=True)
class Known:
    """What the conjuncts say about one field."""

    equal: Operand | None = None
    many: int | None = None
    low: Bound | None = None
    high: Bound | None = None
    prefix: Operand | None = None
    not_null: bool = False
    said: dict[str, Expr] = field(default_factory=dict[str, Expr])  # by what each says

    @property
    def is_range(self) -> bool:
        return self.low is not None or self.high is not None

    def exprs(self, *facts: str) -> tuple[Expr, ...]:
        """The conjuncts that say these facts."""
        return tuple(self.said[fact] for fact in facts if fact in self.said)


def single_ways(asked: Asked) -> list[Way]:
    """Every way that reads one thing: an identity, an index, a relation, or all rows."""
    never = tuple(one for one in asked.conjuncts if isinstance(one, Literal) and not one.value)
    if never:
        return [Way(Access("nothing", ordered=True), never)]
    entity, known = asked.entity, known_fields(asked)
    kept = entity.indexes if entity.identity is None else (*entity.indexes, entity.identity)
    ways = [*_identity_ways(asked, known)]
    ways.extend(index_way(asked, index, known) for index in kept)
    ways.extend(_relation_ways(asked, known))
    ways.append(_scan_way(asked, known))
    return [replace(way, access=marked(asked, way)) for way in ways]


def scan_access(
    entity: EntityLayout, order: tuple[OrderSpec, ...], *, tie_descending: bool
) -> Access:
    """Every row; in order when that of the rows is asked for."""
    reverse = row_order(entity, order, tie_descending=tie_descending)
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


def row_order(
    entity: EntityLayout, order: tuple[OrderSpec, ...], *, tie_descending: bool | None = None
) -> bool | None:
    """Whether an order is that of the rows: forwards False, backwards True, else None.

    Ties come in the direction of the last key, unless `tie_descending` says otherwise.
    """
    if not order:
        return bool(tie_descending)
    if entity.int_identity_slot is None or order[0].path != entity.entity.identity:
        return None
    if any(spec.path is None or len(spec.path) > 1 for spec in order):
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
        descending = bool(order) and order[-1].descending
        reverse = _serves(relation.source, columns[len(fields) :], order, descending=descending)
        if reverse is not None:
            return index, reverse
    return None, False


# --- what conjuncts say ---------------------------------------------------------------------------


def known_fields(asked: Asked) -> dict[str, Known]:
    """What the conjuncts say about single fields, by name."""
    known: dict[str, Known] = {}
    for conjunct in asked.conjuncts:
        _learn(asked, known, conjunct, conjunct)
    return known


def _learn(asked: Asked, known: dict[str, Known], expr: Expr, said: Expr) -> None:
    fields = asked.entity.fields
    match expr:
        case Compare(op=op, left=FieldRef(path=(name,)), right=Param(index=index)):
            _learn_compare(asked, known, fields[name], (op, index), said)
        case Compare(op=op, left=Param(index=index), right=FieldRef(path=(name,))):
            _learn_compare(asked, known, fields[name], (_MIRRORED[op], index), said)
        case Call(arguments=(FieldRef(path=(name,)), Param(index=index))):
            seeks = _seeks_a_beginning(expr, asked.classes[index])
            if seeks and is_stored(fields[name]):
                fact = _fact(known, name, "prefix", said)
                fact.prefix = Operand(index)
        case InList(operand=FieldRef(path=(name,)), items=Param(index=index)):
            if is_stored(fields[name]) and is_exact(fields[name], asked.classes[index]):
                _fact(known, name, "many", said).many = index
        case Or(items=(InList() as there, Compare(op="==", right=Literal(value=None)))):
            _learn(asked, known, there, said)  # how a list with a NULL in it is written
        case IsNull(operand=FieldRef(path=(name,))) if is_stored(fields[name]):
            _fact(known, name, "equal", said).equal = Operand(None)
        case Not(operand=IsNull(operand=FieldRef(path=(name,)))) if is_stored(fields[name]):
            _fact(known, name, "not_null", said).not_null = True
        case _:
            pass  # says nothing about a single field


def _fact(known: dict[str, Known], name: str, what: str, said: Expr) -> Known:
    fact = known.setdefault(name, Known())
    fact.said[what] = said
    return fact


def _seeks_a_beginning(expr: Call, kind: LiteralClass) -> bool:
    """Whether a function is true only of texts that begin with what it is given."""
    return expr.name == "starts_with" or (expr.name == "like" and kind == PREFIX_PATTERN)


_MIRRORED: Final = {"==": "==", "!=": "!=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}


def _learn_compare(
    asked: Asked,
    known: dict[str, Known],
    definition: FieldDef,
    compared: tuple[str, int],
    said: Expr,
) -> None:
    op, index = compared
    if not is_stored(definition) or not is_exact(definition, asked.classes[index]):
        return
    operand, name = Operand(index), definition.name
    if op == "==":
        _fact(known, name, "equal", said).equal = operand
    elif op in (">", ">="):
        _fact(known, name, "low", said).low = Bound(operand, op == ">=")
    elif op in ("<", "<="):
        _fact(known, name, "high", said).high = Bound(operand, op == "<=")


# --- ways -----------------------------------------------------------------------------------------


def marked(asked: Asked, way: Way) -> Access:
    """The access, told whether it says all that the filter says, and where its order begins."""
    keys = tuple(asked.all_keys.index(spec) for spec in asked.order)
    access = replace(way.access, order_keys=keys)
    return replace(access, is_whole=len(way.covered) == len(asked.conjuncts))


def _identity_ways(asked: Asked, known: dict[str, Known]) -> Iterable[Way]:
    entity = asked.entity
    names = entity.entity.identity
    facts = [known[name] for name in names if name in known]
    equal = [fact.equal for fact in facts if fact.equal is not None]
    if len(equal) == len(names):
        # As for an order by a path: one row is sorted soon.
        access = Access(
            "identity", index=entity.identity, equal=tuple(equal), ordered=not asked.all_keys
        )
        yield Way(access, tuple(one for fact in facts for one in fact.exprs("equal")))
    elif len(names) == 1 and facts and facts[0].many is not None:
        access = Access("identity", index=entity.identity, many=facts[0].many)
        yield Way(access, facts[0].exprs("many"))


def index_way(asked: Asked, index: IndexLayout, known: Mapping[str, Known]) -> Way:
    """The stretch of an index in which the rows lie."""
    entity = asked.entity
    columns = _columns_of(entity, index)
    equal: list[Operand] = []
    covered: list[Expr] = []
    for name, _ in columns:
        fact = known.get(name)
        if fact is None or fact.equal is None:
            break
        if fact.equal.index is None and index.kind == "identity":
            break  # an identity is never NULL, and has no key for it
        equal.append(fact.equal)
        covered.extend(fact.exprs("equal"))
    rest = columns[len(equal) :]
    fact = known.get(rest[0][0], Known()) if rest else Known()
    reverse = _serves(entity, rest, asked.order, descending=asked.tie_descending)
    restriction = Access("index", index=index, equal=tuple(equal))
    if fact.many is not None:
        restriction = replace(restriction, many=fact.many)
        covered.extend(fact.exprs("many"))
    elif fact.prefix is not None:
        restriction = replace(restriction, prefix=fact.prefix, not_null=fact.not_null)
        covered.extend(fact.exprs("prefix"))
    elif fact.is_range or fact.not_null:
        restriction = replace(restriction, low=fact.low, high=fact.high, not_null=True)
        covered.extend(fact.exprs("low", "high", "not_null"))
    ordered = reverse is not None and fact.many is None
    access = replace(restriction, ordered=ordered, reverse=bool(reverse) if ordered else False)
    return Way(access, tuple(covered))


def _relation_ways(asked: Asked, known: dict[str, Known]) -> Iterable[Way]:
    for relation in asked.entity.outgoing:
        if relation.index is None:
            continue
        facts = [known[name] for name in relation.relation.fields if name in known]
        equal = [
            fact.equal for fact in facts if fact.equal is not None and fact.equal.index is not None
        ]
        if len(equal) != len(relation.relation.fields):
            continue
        reverse = row_order(asked.entity, asked.order, tie_descending=asked.tie_descending)
        access = Access(
            "relation",
            relation=relation,
            equal=tuple(equal),
            ordered=reverse is not None,
            reverse=bool(reverse),
        )
        yield Way(access, tuple(one for fact in facts for one in fact.exprs("equal")))


def _scan_way(asked: Asked, known: dict[str, Known]) -> Way:
    """A scan, between two numbers if the identity is an int that the filter bounds."""
    entity = asked.entity
    access = scan_access(entity, asked.order, tie_descending=asked.tie_descending)
    fact = known.get(entity.entity.identity[0])
    if entity.int_identity_slot is not None and fact is not None and fact.is_range:
        bounded = replace(access, low=fact.low, high=fact.high)
        return Way(bounded, fact.exprs("low", "high"))
    return Way(access)


def _columns_of(entity: EntityLayout, index: IndexLayout) -> list[tuple[str, bool]]:
    """Field and stored direction of each column."""
    if index.kind == "identity":
        return [(name, False) for name in entity.entity.identity]
    definition = index.definition
    assert isinstance(definition, IndexDef)
    return [(part.field, part.descending != index.flipped) for part in definition.fields]


def _serves(
    entity: EntityLayout,
    columns: list[tuple[str, bool]],
    order: tuple[OrderSpec, ...],
    *,
    descending: bool,
) -> bool | None:
    """Whether walking these columns gives the order: forwards False, backwards True, else None.

    Ties come by row key in the direction of the walk, and the order has them `descending` or not:
    so the walk must go backwards exactly when they descend.  All columns must be used up, or the
    ties would be ordered by the columns that are left.
    """
    if not columns:
        return row_order(entity, order, tie_descending=descending)
    if len(order) == len(columns) + 1 and row_order(entity, order[-1:]) is not None:
        # An int identity in last place orders what the walk has as ties.
        descending, order = order[-1].descending, order[:-1]
    if len(columns) != len(order):
        return None
    for (name, stored_descending), spec in zip(columns, order, strict=True):
        if spec.path != (name,) or spec.descending != (stored_descending != descending):
            return None
        natural = spec.nulls_last is None or spec.nulls_last == spec.descending
        if entity.fields[name].optional and not natural:
            return None
    return descending
