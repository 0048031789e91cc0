"""Resolved queries to physical plans, with the functions generated for their nodes.

For each node the compiler gathers which slots its selection, filter, order and neighbours need;
then it makes a decoder for just these, one function that tells which rows of a batch stay, one
that gives each sort key, and two that build the answer: as dicts, and as columns.

    Include departures, filter plane.seats > 100, select id
      slots      s0 (id), s3 (dep_delay, for the order), s7 (origin_faa, to recheck)
      hops       plane (s11 follows it)
      mask       [h0_ is not None and h0_.s6 > p0 for r, h0_ in zip(rows, h0)]

Invariants (held by tests/unit/query/test_compile.py):
  1. A plan holds no value and no limit of the query it was compiled for.
  2. A slot that nothing asks for is not decoded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from operator import itemgetter
from typing import TypeAlias

from ormdb.clock import Clock
from ormdb.ir.expr import And, Expr
from ormdb.ir.expression_type import plain_literal
from ormdb.ir.graph import GraphQuery
from ormdb.ir.value import RowDict, Value
from ormdb.query.access import (
    Asked,
    Way,
    key_fields,
    order_from_index,
    row_order,
    scan_access,
)
from ormdb.query.answer_source import AnswerSource
from ormdb.query.combine import CombinedWay, combined_ways, simple_ways
from ormdb.query.conditional import fallbacks
from ormdb.query.convert import make_converter
from ormdb.query.cost import Candidate, CostModel
from ormdb.query.join_plan import Finished, JoinPlanner
from ormdb.query.kept_pages import page_entities
from ormdb.query.logical import (
    LogicalNode,
    build_logical,
    cannot_fail,
    plain_logical,
    reads_other_rows,
)
from ormdb.query.node_scope import NodeScope, Parameters, back_slots, reach, return_slots
from ormdb.query.order import order_signature
from ormdb.query.plan import (
    Access,
    Expand,
    FilterPlan,
    Keyed,
    NodePlan,
    QueryPlan,
    Source,
)
from ormdb.query.resolve import Step
from ormdb.query.rules import rewrite
from ormdb.query.shape import LiteralTaker, Shape
from ormdb.storage.layout import EntityLayout, Layout
from ormdb.storage.statistics import NO_STATISTICS, Statistics

# Says which of the ways to the roots is taken; they come with the cheapest first.
Choose: TypeAlias = Callable[[Sequence[Candidate]], Candidate]


def compile_query(
    layout: Layout,
    query: GraphQuery,
    shape: Shape,
    *,
    clock: Clock,
    statistics: Statistics = NO_STATISTICS,
    choose: Choose = itemgetter(0),
) -> QueryPlan:
    """Compile the plan of a shape; `query` is one query of that shape, with its literals.

    Any candidate may be the choice: none changes the answer.

    Raises:
      QueryError: the query does not fit the schema.
      LimitError: the query is too large.
    """
    # Literals are taken out in the order in which `take_shape` did: parents first.
    taker = LiteralTaker()
    logical = rewrite(layout, build_logical(layout, query, taker))
    compiler = _Compiler(layout, clock, shape, taker, statistics)
    ranked = candidates(layout, logical, shape, statistics)
    chosen = choose(ranked).way
    ways = [chosen, *fallbacks([each.way for each in ranked], chosen)]
    access, *others = map(compiler.access, ways)
    slots = frozenset[int]().union(*map(access_slots, (access, *others)))
    root = compiler.node(logical, slots)
    root.page_entities = page_entities(root)
    return QueryPlan(
        root=root,
        access=access,
        scan=scan_access(root.entity, logical.deciding, tie_descending=logical.tie_descending),
        nodes=tuple(compiler.nodes),
        converters=compiler.converters(),
        keyed=tuple(_keyed(root.entity, access)),
        otherwise=tuple((other, tuple(_keyed(root.entity, other))) for other in others),
        schema_version=layout.bundle.version,
    )


def candidates(
    layout: Layout, root: LogicalNode, shape: Shape, statistics: Statistics
) -> list[Candidate]:
    """Every way to the roots, the cheapest first; whichever is taken, the answer is the same."""
    asked = Asked(
        root.entity,
        root.conjuncts,
        root.deciding,
        root.tie_descending,
        root.limited,
        shape.parameter_classes,
        root.order,
    )
    simple = simple_ways(layout, asked)
    model = CostModel(layout, statistics)
    combined = combined_ways(layout, asked, simple, model.cheapest)
    return model.ranked(asked, [*simple, *combined])


def compile_row_dicts(
    layout: Layout, entity: EntityLayout, clock: Clock
) -> tuple[frozenset[int], Callable[..., list[RowDict]]]:
    """The slots of all fields of an entity, and the function from decoded rows to dicts."""
    node = _Compiler(layout, clock).node(plain_logical(entity))
    return node.decoder.slots, node.dicts


def access_slots(access: Access) -> Iterable[int]:
    """The slots that recheck how a row was reached."""
    return access.index.read_slots if access.kind == "index" and access.index is not None else ()


def _keyed(entity: EntityLayout, access: Access) -> Iterable[Keyed]:
    """The parameters that an access and all below it make keys of."""
    for part in access.parts:
        yield from _keyed(entity, part)
    if access.source is not None:
        yield from _keyed(access.source.node.entity, access.source.access)
    if not access.parts and access.source is None:
        for definition, operand in key_fields(entity, access):
            if operand.index is not None:
                yield definition.type, operand.index, operand.index == access.many
    item = None if access.tokens is None else access.tokens.item
    if item is not None:
        yield from ((item, each.parameter, False) for each in access.sought)


class _Compiler:
    """Compiles the nodes of one query."""

    def __init__(
        self,
        layout: Layout,
        clock: Clock,
        shape: Shape | None = None,
        taken: LiteralTaker | None = None,
        statistics: Statistics = NO_STATISTICS,
    ) -> None:
        self.layout = layout
        self.clock = clock
        self.nodes: list[NodePlan] = []
        self._params: Parameters = {}
        self._taken = taken or LiteralTaker()
        self._classes = () if shape is None else shape.parameter_classes
        self._joins = JoinPlanner(layout, statistics, clock, self._classes, self._finished)

    def node(self, logical: LogicalNode, slots: Iterable[int] = ()) -> NodePlan:
        """One node and those below it; `slots` are decoded besides what it asks for itself."""
        number = len(self.nodes)
        self.nodes.append(None)  # type: ignore[arg-type]  # holds the place: parents come first
        made = self._node(logical, slots, number)
        self.nodes[number] = made
        return made

    def access(self, way: Way) -> Access:
        """The access of a way, with plans for the related rows that it goes over."""
        if not isinstance(way, CombinedWay):
            return way.access
        parts = tuple(map(self.access, way.parts))
        if way.through is None:
            return replace(way.access, parts=parts)
        step, there = way.through.step, way.through.asked
        inner = self.access(way.through.way)
        logical = replace(plain_logical(there.entity, there.conjuncts), select=())
        slots = [*access_slots(inner), *(return_slots(step))]
        node = self._node(logical, slots, -1)
        expand = reach(self.layout, step, self.clock)
        return replace(way.access, source=Source(node, inner, expand, step.name))

    def _finished(self, entity: EntityLayout, way: Way) -> Finished:
        access = self.access(way)
        return access, tuple(_keyed(entity, access)), frozenset(access_slots(access))

    def converters(self) -> tuple[Callable[[Value], Value], ...]:
        """What makes the stored value of each parameter; one that no condition was left to use
        stays as it is."""
        return tuple(
            make_converter(
                self._params[index], kind, self._taken.converts.get(index, plain_literal)
            )
            if index in self._params
            else _as_given
            for index, kind in enumerate(self._classes)
        )

    def _node(self, logical: LogicalNode, slots: Iterable[int], number: int) -> NodePlan:
        entity = logical.entity
        # Rows that only lead to others look up what is asked about: or ways would have no end.
        plan_join = None if number < 0 else self._joins.join
        scope = NodeScope(
            self.layout, entity, self.clock, self._params, taken=self._taken, plan_join=plan_join
        )
        near, far = self._filters(scope, logical)
        order = scope.order(logical.order)
        scope.need(slots)
        derived = scope.derived(logical.derived)
        names = _selected(logical)
        children = [self._child(scope, child) for child in logical.children]
        expand = None if logical.step is None else self._expand(logical.step, logical, scope)
        shown = [child.name for child in children]
        shown.extend(() if derived is None else derived.names)
        answer = AnswerSource(scope.translator())
        dicts, columns = answer.dicts(names.shown, shown), answer.columns(names.with_identity)
        if expand is not None and not (logical.limited and not logical.conjuncts):
            # The first few of each parent are looked up, which ends with them.
            slots = scope.slots if expand.edge_decoder is None else expand.edge_decoder.slots
            join = self._joins.join(expand, logical.conjuncts, frozenset(slots))
            expand = replace(expand, join=join)
        return NodePlan(
            number=number,
            name=logical.name,
            path=logical.path,
            entity=entity,
            fields=names.shown,
            block_fields=(*names.with_identity, *(() if derived is None else derived.names)),
            block_types=(
                *(entity.fields[name].type for name in names.with_identity),
                *(() if derived is None else derived.types),
            ),
            decoder=entity.codec.decoder(scope.slots),
            dicts=dicts,
            columns=columns,
            filter=near,
            far_filter=far,
            order=order,
            order_signature=order_signature(entity.name, logical.order),
            expand=expand,
            relation_name="" if logical.step is None else logical.step.name,
            to_one=logical.step is not None and logical.step.single,
            children=children,
            derived=derived,
        )

    def _child(self, scope: NodeScope, logical: LogicalNode) -> NodePlan:
        step = logical.step
        assert step is not None
        scope.need_for_step(step)
        child = self.node(logical)
        if child.expand is not None and child.expand.ordered_index is not None:
            scope.need(step.relation.target_slots)  # an index begins with the values
        return child

    def _filters(
        self, scope: NodeScope, logical: LogicalNode
    ) -> tuple[FilterPlan | None, FilterPlan | None]:
        """The filter in two: what a row's own fields decide, and what takes reading other rows."""
        items = logical.conjuncts
        if not items:
            return None, None
        far = [item for item in items if reads_other_rows(item)]
        if not far:
            return scope.filter(_all_of(items)), None
        near = [
            item
            for item in items
            if item not in far and cannot_fail(self.layout, logical.entity, item)
        ]
        first = scope.filter(_all_of(near)) if near else None
        return first, scope.filter(_all_of([item for item in items if item not in near]))

    def _expand(self, step: Step, logical: LogicalNode, scope: NodeScope) -> Expand:
        """How to come from the parents; what this node must decode so that it can be rechecked."""
        relation = step.relation
        if step.kind == "to_one":
            scope.need(relation.target_slots)
            return Expand("to_one", relation)
        if step.kind == "to_many":
            scope.need(back_slots(relation))
            index, reverse = None, False
            backwards = row_order(relation.source, logical.order)
            if logical.limited and not logical.conjuncts and logical.order:
                if backwards:
                    index, reverse = relation.index, True
                elif backwards is None:
                    index, reverse = order_from_index(relation, logical.order)
                    scope.need(() if index is None else index.slots)
            return Expand("to_many", relation, step.single, index, reverse, backwards is False)
        assert step.far is not None
        scope.need(step.far.target_slots)
        return reach(self.layout, step, self.clock, ordered=True)


@dataclass(frozen=True, slots=True)
class _Selection:
    """The fields a node shows in dicts, and those of its block, which always has the identity."""

    shown: tuple[str, ...]
    with_identity: tuple[str, ...]


def _all_of(items: Sequence[Expr]) -> Expr:
    return items[0] if len(items) == 1 else And(items=tuple(items))


def _selected(logical: LogicalNode) -> _Selection:
    entity = logical.entity
    chosen = tuple(entity.fields) if logical.select is None else logical.select
    shown = tuple(dict.fromkeys(chosen))
    return _Selection(shown, tuple(dict.fromkeys((*entity.entity.identity, *shown))))


def _as_given(value: Value) -> Value:
    return value
