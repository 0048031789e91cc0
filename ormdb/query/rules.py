"""The rewrite rules: an ordered tuple, each of which keeps the answer and makes a plan cheaper.

    not (a or b == p0) and origin.name == p1 and origin.lat > p2       order by id, name

    flatten junctions      and within and, or within or, and doubles are gone
    push not inward        not a | b != p0
    drop constants         conjuncts that are always true are gone
    follow to one once     any(origin, name == p1 and lat > p2): asked of each airport, not flight
    drop decided order     id alone decides: it is unique

A condition is rewritten wherever it stands, also about related rows.  What could fail (a sum that
overflows) is never asked before what stood to its left.

Invariants (held by tests/unit/query/test_rules.py and tests/property/test_rules.py):
  1. A rewritten condition is true for the same rows, and fails for no row that it did not fail for.
  2. Applying all rules twice gives what applying them once gives.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from ormdb.ir.expr import (
    Aggregate,
    And,
    Call,
    Compare,
    CompareOp,
    Expr,
    FieldRef,
    InList,
    IsNull,
    Literal,
    Not,
    Or,
    Param,
    Related,
)
from ormdb.ir.expression_type import walk
from ormdb.ir.function_type import TESTS, is_extract
from ormdb.ir.graph import OrderSpec
from ormdb.ir.rewrite import map_children
from ormdb.query.logical import LogicalNode, cannot_fail, conjuncts_of
from ormdb.query.resolve import find_step, follow_relations
from ormdb.query.shape import literal_classes
from ormdb.storage.layout import EntityLayout, Layout

_OPPOSITE: Final[dict[CompareOp, CompareOp]] = {
    "==": "!=",
    "!=": "==",
    "<": ">=",
    ">=": "<",
    ">": "<=",
    "<=": ">",
}
NoteRule: TypeAlias = Callable[[str, LogicalNode], None]


@dataclass(frozen=True, slots=True)
class Rule:
    """One rewriting of a node, without its children."""

    name: str
    apply: Callable[[Layout, LogicalNode], LogicalNode]


def rewrite(layout: Layout, root: LogicalNode, note: NoteRule | None = None) -> LogicalNode:
    """The tree after all rules; `note` is shown the tree after each of them."""
    for rule in RULES:
        root = _everywhere(layout, root, rule)
        if note is not None:
            note(rule.name, root)
    return root


def _everywhere(layout: Layout, node: LogicalNode, rule: Rule) -> LogicalNode:
    changed = rule.apply(layout, node)
    children = tuple([_everywhere(layout, child, rule) for child in changed.children])
    return replace(changed, children=children)


def _of_conditions(
    change: Callable[[Layout, EntityLayout, Expr], Expr],
) -> Callable[[Layout, LogicalNode], LogicalNode]:
    """A rule about conditions, as a rule about nodes; it reaches conditions about related rows."""

    def apply(layout: Layout, node: LogicalNode) -> LogicalNode:
        if not node.conjuncts:
            return node
        whole = And(items=node.conjuncts)
        changed = _deep(layout, node.entity, whole, change)
        conjuncts = tuple(conjuncts_of(changed))
        return replace(node, conjuncts=() if conjuncts == (Literal(value=True),) else conjuncts)

    return apply


def _deep(
    layout: Layout,
    entity: EntityLayout,
    expr: Expr,
    change: Callable[[Layout, EntityLayout, Expr], Expr],
) -> Expr:
    def inside(part: Expr) -> Expr:
        if isinstance(part, Related):
            if part.filter is None:
                return part
            target = follow_relations(layout, entity, part.path)[-1].target
            return replace(part, filter=_deep(layout, target, part.filter, change))
        return map_children(part, inside)

    return change(layout, entity, inside(expr))


# --- flatten junctions ----------------------------------------------------------------------------


def _flatten(layout: Layout, entity: EntityLayout, expr: Expr) -> Expr:
    expr = map_children(expr, lambda part: _flatten(layout, entity, part))
    if not isinstance(expr, And | Or):
        return expr
    kind, items = type(expr), list[Expr]()
    for item in expr.items:
        items.extend(item.items if isinstance(item, kind) else (item,))
    # 1 and True are equal and not the same question of JSON, so classes count as well.
    with contextlib.suppress(TypeError):  # a list or a dict among the literals has no hash
        items = list({(item, tuple(literal_classes(item))): item for item in items}.values())
    return items[0] if len(items) == 1 and _is_condition(items[0]) else kind(items=tuple(items))


def _is_condition(expr: Expr) -> bool:
    """Whether an expression is true, false or NULL by itself, whatever stands around it."""
    return not isinstance(expr, Literal | Param | FieldRef)


# --- push not inward ------------------------------------------------------------------------------


def _push_not(layout: Layout, entity: EntityLayout, expr: Expr) -> Expr:
    def pushed(part: Expr) -> Expr:
        if isinstance(part, Not):
            return negated(part.operand)
        return map_children(part, pushed)

    def negated(part: Expr) -> Expr:
        match part:
            case Not(operand=operand):
                return pushed(operand)
            case And(items=items):
                return Or(items=tuple(map(negated, items)))
            case Or(items=items):
                return And(items=tuple(map(negated, items)))
            case Compare(op=op, left=left, right=right) if not (
                is_extract(left) or is_extract(right)
            ):
                return Compare(op=_OPPOSITE[op], left=pushed(left), right=pushed(right))
            case Related(kind="any" | "none" as kind):
                return replace(part, kind="none" if kind == "any" else "any")
            case _:
                return Not(operand=map_children(part, pushed))

    return pushed(expr)


# --- drop constants -------------------------------------------------------------------------------


def _drop_constants(layout: Layout, entity: EntityLayout, expr: Expr) -> Expr:
    expr = map_children(expr, lambda part: _drop_constants(layout, entity, part))
    match expr:
        case And(items=items):
            return _without_constants(layout, entity, And, items)
        case Or(items=items):
            return _without_constants(layout, entity, Or, items)
        case Related(kind="any" | "none", filter=Literal(value=True)):
            return replace(expr, filter=None)
        case _:
            return expr


def _without_constants(
    layout: Layout, entity: EntityLayout, kind: type[And | Or], items: tuple[Expr, ...]
) -> Expr:
    """What is left of a junction; what comes after the item that decides is never asked."""
    decides = kind is Or
    kept: list[Expr] = []
    for item in items:
        if isinstance(item, Literal) and item.value is decides:
            if all(cannot_fail(layout, entity, before) for before in kept):
                return item
            kept.append(item)
            break
        if not (isinstance(item, Literal) and item.value is (not decides)):
            kept.append(item)
    return kind(items=tuple(kept)) if kept else Literal(value=not decides)


# --- follow to one once ---------------------------------------------------------------------------


def _follow_once(layout: Layout, entity: EntityLayout, expr: Expr) -> Expr:
    """Conjuncts about the row that one relation leads to become one question about it: at the
    top and in alternatives, where it does not matter whether what is not true is NULL."""
    items = tuple(conjuncts_of(expr))
    groups: dict[str, list[Expr]] = {}
    for item in items:
        name = _only_step(layout, entity, item)
        if name is not None:
            groups.setdefault(name, []).append(item)
    kept: list[Expr] = []
    for item in items:
        name = _only_step(layout, entity, item)
        if name is None:
            if isinstance(item, Or):
                alternatives = [_follow_once(layout, entity, one) for one in item.items]
                item = Or(items=tuple(alternatives))
            kept.append(item)
        elif item is groups[name][0]:
            target = find_step(layout, entity, name).target
            inner = And(items=tuple(map(_one_step_on, groups[name])))
            asked = _follow_once(layout, target, _flatten(layout, target, inner))
            kept.append(Related(kind="any", path=(name,), filter=asked))
    return kept[0] if len(kept) == 1 else And(items=tuple(kept))


def _only_step(layout: Layout, entity: EntityLayout, expr: Expr) -> str | None:
    """The relation behind which everything lies that a condition is about; None if there is no
    such one, if the condition may be true where the relation leads nowhere, or may fail."""
    paths = [node.path for node in walk(expr) if isinstance(node, FieldRef | Related | Aggregate)]
    if not paths or any(len(path) < 2 or path[0] != paths[0][0] for path in paths):
        return None
    if not _needs_a_row(expr):
        return None
    return paths[0][0] if cannot_fail(layout, entity, expr) else None


def _needs_a_row(expr: Expr) -> bool:
    """Whether a condition is not true where all its paths lead nowhere."""
    match expr:
        case And(items=items):
            return any(map(_needs_a_row, items))
        case Or(items=items):
            return all(map(_needs_a_row, items))
        case Compare(left=left, right=right):
            return _is_null_nowhere(left) or _is_null_nowhere(right)
        case InList(operand=operand) | Not(operand=IsNull(operand=operand)):
            return _is_null_nowhere(operand)
        case Call(name=name, arguments=(subject, *_)):
            return name in TESTS and _is_null_nowhere(subject)
        case Related(kind="any"):
            return True
        case FieldRef():
            return True
        case _:
            return False


def _is_null_nowhere(expr: Expr) -> bool:
    return isinstance(expr, FieldRef)


def _one_step_on(expr: Expr) -> Expr:
    """A condition about a row, as seen from the row one step further."""
    if isinstance(expr, FieldRef | Related | Aggregate):
        return replace(expr, path=expr.path[1:])
    return map_children(expr, _one_step_on)


# --- drop decided order ---------------------------------------------------------------------------


def _drop_order(layout: Layout, node: LogicalNode) -> LogicalNode:
    """Keys of an order between whose values there is nothing left to decide."""
    fixed: set[tuple[str, ...]] = set()
    for conjunct in node.conjuncts:
        match conjunct:
            case Compare(op="==", left=FieldRef(path=path), right=Param()):
                fixed.add(path)
            case Compare(op="==", left=Param(), right=FieldRef(path=path)):
                fixed.add(path)
            case _:
                pass
    identity = {(name,) for name in node.entity.entity.identity}
    kept: list[OrderSpec] = []
    seen = set(fixed)
    for spec in node.deciding:
        if identity <= seen or (spec.path is not None and spec.path in seen):
            continue
        kept.append(spec)
        if spec.path is not None:
            seen.add(spec.path)
    ties = node.tie_descending
    if identity <= seen and kept:
        ties = kept[-1].descending  # there are none, so either direction will do
    return replace(node, deciding=tuple(kept), tie_descending=ties)


RULES: Final[tuple[Rule, ...]] = (
    Rule("push not inward", _of_conditions(_push_not)),
    Rule("drop constants", _of_conditions(_drop_constants)),
    Rule("flatten junctions", _of_conditions(_flatten)),
    Rule("follow to one once", _of_conditions(_follow_once)),
    Rule("drop decided order", _drop_order),
)
