"""How many rows each level of a plan is expected to have, from the roots down.

    ()                 Airport   filter keeps 2 %  of 100                 2
      departures       Flight    2 parents, 300 children each, 10 % kept  60
        plane          Plane     60 children, of 50 planes                35

Children are those of as many average parents; of rows that several parents lead to, as many are
different as come up in so many draws.

Invariants (held by tests/unit/query/test_explain.py):
  1. Every level of a plan has an estimate, which no limit is below.
"""

from __future__ import annotations

from collections.abc import Sequence

from ormdb.ir.expr import And, Expr, FieldRef
from ormdb.query.estimate import Estimator
from ormdb.query.node_page import NodePage
from ormdb.query.plan import Expand, NodePlan
from ormdb.query.ready import ReadyQuery
from ormdb.query.resolve import follow_path
from ormdb.query.sizes import DISTINCT_VALUES, distinct_of
from ormdb.storage.layout import EntityLayout


def level_estimates(ready: ReadyQuery, estimator: Estimator) -> dict[int, float]:
    """The rows of each level that are expected in the answer, by the number of its node."""
    found: dict[int, float] = {}
    root, page = ready.plan.root, ready.page
    kept = estimator.rows(root.entity, _condition(root), ready.values)
    kept = max(0.0, kept - page.offset)
    found[root.number] = kept if page.limit is None else min(kept, page.limit)
    for node in ready.plan.nodes:  # parents come first
        for child in node.children:
            found[child.number] = _children(ready, estimator, child, found[node.number])
    return found


def group_estimate(
    estimator: Estimator, entity: EntityLayout, keys: Sequence[Expr], rows: float
) -> float:
    """How many groups some rows make: as many as their keys have values that come up.

    A key that is computed, as a time bucket, is taken to have as many as an unknown field.
    """
    if not keys:
        return 1.0
    own: list[str] = []
    kinds = 1.0
    for key in keys:
        if not isinstance(key, FieldRef):
            kinds *= DISTINCT_VALUES
        elif len(key.path) == 1:
            own.append(key.path[0])
        else:
            steps, _ = follow_path(estimator.layout, entity, key.path)
            kinds *= estimator.distinct(steps[-1].target, key.path[-1:])
    return distinct_of(kinds * estimator.distinct(entity, own), rows)


def _children(ready: ReadyQuery, estimator: Estimator, node: NodePlan, parents: float) -> float:
    expand, page = node.expand, ready.pages[node.number]
    assert expand is not None
    share = estimator.selectivity(node.entity, _condition(node), ready.values)
    if expand.kind == "to_one":
        return estimator.parents(expand.relation, parents) * share
    children = _paged(estimator, expand, page, parents, share)
    if expand.far is None:
        return children
    # The edges that are left lead to rows that several parents may have.
    return estimator.parents(expand.far, children)


def _paged(
    estimator: Estimator, expand: Expand, page: NodePage, parents: float, share: float
) -> float:
    if page.limit is None and not page.offset:
        return estimator.children(expand.relation, parents) * share
    each = 0.0
    for weight, children in estimator.fanouts(expand.relation):
        left = max(0.0, children * share - page.offset)
        each += weight * (left if page.limit is None else min(left, page.limit))
    return parents * (1.0 - estimator.childless(expand.relation)) * each


def _condition(node: NodePlan) -> Expr | None:
    """All of a node's filter."""
    parts = [plan.condition for plan in (node.filter, node.far_filter) if plan is not None]
    return And(items=tuple(parts)) if parts else None
