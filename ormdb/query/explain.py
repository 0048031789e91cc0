"""How a fetch is answered, told from the plan that it runs.

    explain(reading, query)                  the plan, nothing is read
    explain(reading, query, analyze=True)    the fetch is run, and each level says what it took

    Trace ── run.ready: plan, access, pages ─▶ NodeExplanation of each NodePlan
          ── levels, spending ────────────▶ actual numbers

Nothing here decides anything: ways, orders and calls are read off the plan's own nodes, the calls
through the same functions that count a plan's hops.  So an explanation cannot drift from what runs.

Invariants (held by tests/unit/query/test_explain.py):
  1. What is explained is the very plan that a fetch of the query uses.
  2. Without `analyze` no row and no entry is read, only what is known of them.
  3. `rows_at_most` is never less than the rows of the level.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Literal as Choice
from typing import TypeAlias

from ormdb.ir.explanation import (
    AccessPath,
    BudgetUse,
    Expansion,
    Explanation,
    FilterPart,
    Gathering,
    Grouping,
    Limits,
    NodeExplanation,
    Ordering,
    Step,
    Totals,
    bounded,
)
from ormdb.ir.expr import Expr, FieldRef
from ormdb.ir.graph import GraphQuery
from ormdb.ir.rewrite import map_children
from ormdb.ir.schema import IndexDef
from ormdb.ir.table import TableQuery
from ormdb.model.expression_text import format_expression
from ormdb.model.spelling import spell_order
from ormdb.query.access import column_names, key_fields
from ormdb.query.estimate import Estimator
from ormdb.query.estimate_levels import group_estimate, level_estimates
from ormdb.query.fetch import Reading, fetch, plan_only
from ormdb.query.hops import hop_calls, include_hops, root_hops
from ormdb.query.node_page import NodePage
from ormdb.query.plan import (
    Access,
    Expand,
    FilterPlan,
    Hop,
    NodePlan,
    OrderPlan,
    RelatedHop,
)
from ormdb.query.plan import FoldPlan as FoldOfRelated
from ormdb.query.table import plan_table_only, table
from ormdb.query.table_plan import FoldPlan, TablePlan
from ormdb.query.table_shape import TableParts, aggregate_place, key_place
from ormdb.query.trace import Run, Trace
from ormdb.query.words import expression_words, masked_order
from ormdb.storage.layout import EntityLayout, RelationLayout
from ormdb.storage.multimap import Multimap
from ormdb.storage.views import PastView

Expected: TypeAlias = Mapping[int, float]  # rows of a level, by the number of its node


def explain(reading: Reading, query: GraphQuery | TableQuery, *, analyze: bool) -> Explanation:
    """Tell how a query is answered; with `analyze`, answer it and tell what that took.

    Raises:
      QueryError, CursorError: the query does not fit the schema.
      BudgetError: with `analyze`, as the fetch would.
    """
    trace = Trace(reading.clock)
    if isinstance(query, TableQuery):
        run_or_plan = (
            partial(table, reading, query, trace=trace)
            if analyze
            else partial(plan_table_only, reading, query, trace)
        )
        run_or_plan()
    elif analyze:
        fetch(reading, query, trace=trace)
    else:
        plan_only(reading, query, trace)
    found = describe(trace, reading.estimator())
    assert found is not None, "a trace that came back has a plan"
    return found


def describe(trace: Trace, estimator: Estimator | None = None) -> Explanation | None:
    """What a trace has seen so far, and what an estimator expected; None if there was no plan."""
    run = trace.run
    if run is None:
        return None
    expected: Expected = {} if estimator is None else _expected(trace, run, estimator)
    if trace.table is None:
        root = _root(trace, run, expected)
    else:
        root = _table(trace, run, *trace.table, expected)
    return Explanation(
        entity=run.ready.plan.root.entity.name,
        version=run.view.version,
        schema_version=run.ready.plan.schema_version,
        is_past=isinstance(run.view, PastView),
        engine_calls=_planned(root),
        root=root,
        totals=_totals(trace, run) if trace.levels else None,
    )


def _planned(node: NodeExplanation) -> int:
    return node.engine_calls + sum(map(_planned, node.children))


def _root(trace: Trace, run: Run, expected: Expected) -> NodeExplanation:
    node, access, page = run.ready.plan.root, run.ready.access, run.ready.page
    most = _roots_at_most(run, page)
    return NodeExplanation(
        path=(),
        entity=node.entity.name,
        engine_calls=root_hops(node, access),
        access=_access(run),
        gathering=tuple(_gathering(node)),
        near_filter=_filter(node.filter),
        far_filter=_filter(node.far_filter),
        order=_root_order(node.order, access),
        limits=Limits(limit=page.limit, offset=page.offset, cursor=_cursor(page)),
        rows_at_most=most,
        rows_estimated=_estimated(expected, node, most),
        actual=trace.levels.get(node.number),
        children=tuple(_include(trace, run, child, most, expected) for child in node.children),
    )


def _table(
    trace: Trace, run: Run, plan: TablePlan, limits: Limits, expected: Expected
) -> NodeExplanation:
    """The rows of a table, and what is made of them."""
    fold, parts = plan.fold, plan.parts
    rows = replace(_root(trace, run, expected), limits=limits, columns=parts.names)
    if fold is None:
        return replace(rows, engine_calls=rows.engine_calls + hop_calls(plan.hops))
    keys = tuple(
        spell_order(masked_order(replace(one, key=_spelled(parts, one.key)))) for one in parts.order
    )
    grouping = _grouping(plan, fold)
    ties = tuple(key for key in grouping.keys if key not in keys)
    rows = replace(
        rows,
        order=Ordering(by="sort", keys=(*keys, *ties)),
        rows_at_most=limits.limit if fold.keys else 1,
        grouping=grouping,
        engine_calls=rows.engine_calls + hop_calls(fold.hops),
    )
    if fold.counted_by is not None:  # the entries, and a row of each group
        access = AccessPath(kind="index", name=fold.counted_by.name)
        return replace(rows, access=access, engine_calls=2)
    return rows


def _grouping(plan: TablePlan, fold: FoldPlan) -> Grouping:
    parts = plan.parts
    return Grouping(
        keys=tuple(map(expression_words, parts.keys)),
        aggregates=tuple(map(expression_words, parts.aggregates)),
        hops=_hops(fold.hops),
        having=None if parts.having is None else expression_words(_spelled(parts, parts.having)),
        counted_by=None if fold.counted_by is None else fold.counted_by.name,
        distinct=plan.drops_repeats,
    )


def _spelled(parts: TableParts, expr: Expr) -> Expr:
    """What is asked of groups, over their keys and aggregates instead of their places."""
    words: dict[FieldRef, Expr] = {key_place(n): key for n, key in enumerate(parts.keys)}
    words.update((aggregate_place(n), one) for n, one in enumerate(parts.aggregates))

    def over_rows(part: Expr) -> Expr:
        return words[part] if isinstance(part, FieldRef) else map_children(part, over_rows)

    return over_rows(expr)


def _expected(trace: Trace, run: Run, estimator: Estimator) -> Expected:
    """The rows of every level; of a table, those it shows."""
    found = level_estimates(run.ready, estimator)
    if trace.table is None:
        return found
    plan, limits = trace.table
    root = run.ready.plan.root
    rows = found[root.number]
    if plan.fold is not None:
        rows = group_estimate(estimator, root.entity, plan.parts.keys, rows)
    rows = max(0.0, rows - limits.offset)
    found[root.number] = rows if limits.limit is None else min(rows, limits.limit)
    return found


def _estimated(expected: Expected, node: NodePlan, most: int | None) -> float | None:
    found = expected.get(node.number)
    if found is None:
        return None
    return round(float(found if most is None else min(found, most)), 1)


def _include(
    trace: Trace, run: Run, node: NodePlan, parents: int | None, expected: Expected
) -> NodeExplanation:
    expand, page = node.expand, run.ready.pages[node.number]
    assert expand is not None
    most = _children_at_most(expand, page, parents)
    return NodeExplanation(
        path=node.path,
        entity=node.entity.name,
        engine_calls=include_hops(node),
        expansion=_expansion(expand),
        gathering=tuple(_gathering(node)),
        near_filter=_filter(node.filter),
        far_filter=_filter(node.far_filter),
        order=_include_order(node.order, expand),
        limits=Limits(limit=page.limit, offset=page.offset, cursor=_cursor(page)),
        rows_at_most=most,
        rows_estimated=_estimated(expected, node, most),
        actual=trace.levels.get(node.number),
        children=tuple(_include(trace, run, child, most, expected) for child in node.children),
    )


def _access(run: Run) -> AccessPath:
    access, plan = run.ready.access, run.ready.plan
    shown = _access_path(plan.root.entity, access)
    if access is plan.access:
        return shown
    return replace(shown, instead_of=plan.access.name, is_implied=not plan.access.guards)


def _access_path(entity: EntityLayout, access: Access) -> AccessPath:
    shown = AccessPath(
        kind=access.kind,
        name=_access_name(access),
        sought=tuple(_sought(access)),
        where=_condition(access),
        ordered=access.ordered,
        reverse=access.reverse,
        parts=tuple(_access_path(entity, part) for part in access.parts),
    )
    if access.source is not None:
        node = access.source.node
        asked = [part.condition for part in (node.filter, node.far_filter) if part is not None]
        return replace(
            shown,
            parts=(_access_path(node.entity, access.source.access),),
            entity=node.entity.name,
            condition=" and ".join(map(expression_words, asked)),
        )
    if access.parts or access.kind == "nothing":
        return shown
    names = [definition.name for definition, _ in key_fields(entity, access)]
    count = len(access.equal)
    ranged = access.low is not None or access.high is not None
    if access.not_null and not ranged:
        assert access.index is not None
        names.append(column_names(entity, access.index)[count])
    return replace(
        shown,
        fixed=tuple(names[:count]),
        listed=None if access.many is None else names[count],
        ranged=names[count] if ranged or access.not_null else None,
        low=None if access.low is None else ">=" if access.low.inclusive else ">",
        high=None if access.high is None else "<=" if access.high.inclusive else "<",
    )


def _sought(access: Access) -> Iterator[str]:
    index = access.tokens
    if index is not None:
        assert isinstance(index.definition, IndexDef)
        names = ", ".join(part.field for part in index.definition.fields)
        yield from (f"{each.function}({names}, ?)" for each in access.sought)


def _condition(access: Access) -> str | None:
    index: Multimap | None = access.index if access.tokens is None else access.tokens
    definition = None if index is None else index.definition
    if not isinstance(definition, IndexDef) or definition.condition is None:
        return None
    return format_expression(definition.condition)


def _access_name(access: Access) -> str | None:
    if access.tokens is not None:
        return access.tokens.name
    if access.kind == "index":
        assert access.index is not None
        return access.index.name
    if access.source is not None:
        return access.source.relation_name
    return None if access.relation is None else access.relation.name


def _expansion(expand: Expand) -> Expansion:
    if expand.kind == "to_one":
        return Expansion(kind="to_one", steps=(_forward(expand.relation),))
    steps = [_backward(expand)]
    edge_order: tuple[str, ...] = ()
    if expand.far is not None:
        steps.append(_forward(expand.far))
        assert expand.edge_order is not None
        edge_order = tuple(map(spell_order, expand.edge_order.specs))
    return Expansion(
        kind=expand.kind, steps=tuple(steps), single=expand.single, edge_order=edge_order
    )


def _gathering(node: NodePlan) -> Iterator[Gathering]:
    """What a level may gather: its own rows, and those that its filters, its order and its values
    ask about."""
    if node.expand is not None:
        yield from _gathered(node.expand, (node.relation_name,))
    asked = [plan.hops for plan in (node.filter, node.far_filter) if plan is not None]
    asked.append(node.order.hops)
    if node.derived is not None:
        asked.append(node.derived.hops)
    yield from dict.fromkeys(one for hops in asked for one in _gathered_by_hops(hops, ()))


def _gathered_by_hops(
    hops: Sequence[Hop | RelatedHop], before: tuple[str, ...]
) -> Iterator[Gathering]:
    for hop in hops:
        if isinstance(hop, RelatedHop):
            path = (*before, *hop.path)
            yield from _gathered(hop.expand, path)
            if hop.filter is not None:
                yield from _gathered_by_hops(hop.filter.hops, path)
            if isinstance(hop.asked, FoldOfRelated):
                yield from _gathered_by_hops(hop.asked.hops, path)


def _gathered(expand: Expand, path: tuple[str, ...]) -> Iterator[Gathering]:
    join = expand.join
    if join is not None:
        ways = tuple(_access_path(join.entity, way.access) for way in join.ways)
        yield Gathering(path=path, ways=ways, parents_min=join.parents_min)


def _forward(relation: RelationLayout) -> Step:
    by_key = relation.mode == "slot" or relation.target_lookup is None
    return Step(relation=_name_of(relation), by="row key" if by_key else "value")


def _backward(expand: Expand) -> Step:
    relation, index = expand.relation, expand.ordered_index
    has_columns = index is not None and index is not relation.index
    by_value = relation.mode == "value" or has_columns
    return Step(relation=_name_of(relation), by="value" if by_value else "row key")


def _name_of(relation: RelationLayout) -> str:
    return f"{relation.source.name}.{relation.name}"


def _filter(plan: FilterPlan | None) -> FilterPart | None:
    if plan is None:
        return None
    return FilterPart(condition=expression_words(plan.condition), hops=_hops(plan.hops))


def _hops(hops: tuple[Hop | RelatedHop, ...]) -> tuple[str, ...]:
    return tuple(".".join(hop.path) for hop in hops)


def _order_words(order: OrderPlan) -> tuple[str, ...]:
    return tuple(spell_order(masked_order(spec)) for spec in order.specs)


def _root_order(order: OrderPlan, access: Access) -> Ordering:
    keys = _order_words(order)
    if not access.ordered:
        return Ordering(by="sort", keys=keys, hops=_hops(order.hops))
    if access.kind == "index":
        assert access.index is not None
        return Ordering(by="index", keys=keys, index=access.index.name, reverse=access.reverse)
    return Ordering(by="rows", keys=keys, reverse=access.reverse)


def _include_order(order: OrderPlan, expand: Expand) -> Ordering | None:
    keys = _order_words(order)
    index = expand.ordered_index
    if expand.kind == "to_one":
        return None
    if expand.kind == "through":
        # Without keys the edges say the order, and they say theirs under `edge_order`.
        return Ordering(by="sort", keys=keys, hops=_hops(order.hops)) if keys else None
    if index is not None and index is not expand.relation.index:
        return Ordering(by="index", keys=keys, index=index.name, reverse=expand.ordered_reverse)
    if index is not None or expand.row_order:
        return Ordering(by="rows", keys=keys, reverse=expand.ordered_reverse)
    return Ordering(by="sort", keys=keys, hops=_hops(order.hops))


def _cursor(page: NodePage) -> Choice["after", "before"] | None:
    if page.place is None:
        return None
    return "before" if page.backward else "after"


def _roots_at_most(run: Run, page: NodePage) -> int | None:
    access = run.ready.access
    bounds: list[int] = [] if page.limit is None else [page.limit]
    if access.kind == "identity":
        bounds.append(1 if access.many is None else len(run.ready.values[access.many]))
    elif access.index is not None and access.index.unique:
        # NULL may stand in a unique index any number of times.
        whole = all(operand.index is not None for operand in access.equal)
        missing = len(access.index.columns) - len(access.equal)
        if whole and missing == 0:
            bounds.append(1)
        elif whole and missing == 1 and access.many is not None:
            bounds.append(len(run.ready.values[access.many]))
    return min(bounds, default=None)


def _children_at_most(expand: Expand, page: NodePage, parents: int | None) -> int | None:
    if parents is None:
        return None
    if expand.kind == "to_one" or expand.single:
        return parents
    return None if page.limit is None else parents * page.limit


def _totals(trace: Trace, run: Run) -> Totals:
    levels, spending = trace.levels.values(), run.spending
    used = {
        "depth": max(len(node.path) for node in run.ready.plan.nodes),
        "fanout": spending.fanout,
        "rows": spending.rows,
        "edges": spending.edges,
        "bytes": run.view.counters.bytes,
        "time_s": trace.ended_s - trace.started_s,
    }
    return Totals(
        rows=spending.rows,
        edges=spending.edges,
        engine_calls=sum(level.engine_calls for level in levels),
        keys_read=sum(level.keys_read for level in levels),
        bytes_read=sum(level.bytes_read for level in levels),
        seconds=trace.ended_s - trace.started_s,
        plan_was_kept=trace.plan_was_kept,
        budget=tuple(
            BudgetUse(name=name, used=use, allowed=bounded(getattr(spending.budget, name)))
            for name, use in used.items()
        ),
    )
