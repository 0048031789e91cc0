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

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from ormdb import limits
from ormdb.clock import Clock
from ormdb.errors import LimitError, QueryError
from ormdb.ir.canonical import encode_node
from ormdb.ir.expr import And, Arithmetic, Call, Expr, FieldRef, Related
from ormdb.ir.expression_type import walk
from ormdb.ir.function_type import TESTS
from ormdb.ir.graph import GraphQuery, Include, OrderSpec
from ormdb.ir.schema import FieldDef
from ormdb.ir.value import RowDict
from ormdb.query.access import (
    choose_access,
    key_fields,
    order_from_index,
    row_order,
    scan_access,
)
from ormdb.query.convert import make_converter
from ormdb.query.node_scope import NodeScope, Parameters, back_slots, reach
from ormdb.query.plan import (
    Access,
    Expand,
    FilterPlan,
    NodePlan,
    QueryPlan,
)
from ormdb.query.resolve import (
    Step,
    check_filter,
    find_entity,
    find_field,
    find_step,
)
from ormdb.query.shape import LiteralTaker, Shape
from ormdb.storage.asking import Question
from ormdb.storage.codegen import compile_function
from ormdb.storage.layout import EntityLayout, Layout
from ormdb.storage.records import fresh_json, holds_json, is_stored

ChooseAccess: TypeAlias = Callable[[Layout, EntityLayout, Shape], Access]


def compile_query(
    layout: Layout,
    query: GraphQuery,
    shape: Shape,
    *,
    clock: Clock,
    choose: ChooseAccess = choose_access,
) -> QueryPlan:
    """Compile the plan of a shape; `query` is one query of that shape, with its literals.

    Any of `access.candidates` may be the choice: none changes the answer.

    Raises:
      QueryError: the query does not fit the schema.
      LimitError: the query is too large.
    """
    compiler = _Compiler(layout, clock)
    root, access = compiler.root(query, shape, choose)
    return QueryPlan(
        root=root,
        access=access,
        scan=scan_access(root.entity, query.order),
        nodes=tuple(compiler.nodes),
        converters=tuple(
            make_converter(definition, kind)
            for definition, kind in compiler.converted_fields(shape)
        ),
        keyed=tuple(
            (definition.type, operand.index)
            for definition, operand in key_fields(root.entity, access)
            if operand.index is not None
        ),
        order_signature=encode_node(GraphQuery(entity=query.entity, order=query.order)),
        schema_version=layout.bundle.version,
    )


def compile_row_dicts(
    layout: Layout, entity: EntityLayout, clock: Clock
) -> tuple[frozenset[int], Callable[..., list[RowDict]]]:
    """The slots of all fields of an entity, and the function from decoded rows to dicts."""
    compiler = _Compiler(layout, clock)
    request = _Request(entity, (), "", None, (), None, (), limited=False)
    node = compiler.node(request, None)
    return node.decoder.slots, node.dicts


class _Compiler:
    """Compiles the nodes of one query."""

    def __init__(self, layout: Layout, clock: Clock) -> None:
        self.layout = layout
        self.clock = clock
        self.nodes: list[NodePlan] = []
        self.params: Parameters = {}
        # Takes the literals out in the order in which `take_shape` did: parents first.
        self._taker = LiteralTaker()

    def root(
        self, query: GraphQuery, shape: Shape, choose: ChooseAccess
    ) -> tuple[NodePlan, Access]:
        """The node of the roots, with everything below it, and the way to them."""
        entity = find_entity(self.layout, query.entity)
        request = _Request(
            entity, (), "", query.filter, query.order, query.select, query.includes, limited=True
        )
        chosen: list[Access] = []

        def needs() -> Sequence[int]:
            # Asked for once the names of the filter and the order are known to exist.
            access = choose(self.layout, entity, shape)
            chosen.append(access)
            return access.index.slots if access.kind == "index" and access.index else ()

        return self.node(request, None, needs), chosen[0]

    def node(
        self,
        request: _Request,
        step: Step | None,
        access_slots: Callable[[], Sequence[int]] = tuple,
    ) -> NodePlan:
        """One node and those below it; `access_slots` are needed to recheck how it is reached."""
        scope = NodeScope(self.layout, request.entity, self.clock, self.params)
        number = len(self.nodes)
        self.nodes.append(None)  # type: ignore[arg-type]  # holds the place: parents come first
        near, far = self._filters(scope, request.filter)
        if len(request.order) > limits.ORDER_FIELDS_MAX:
            raise LimitError(
                f"an order may have {limits.ORDER_FIELDS_MAX} keys, not {len(request.order)}"
            )
        order = scope.order(request.order)
        scope.need(access_slots())
        names = self._selected(request)
        children = self._children(request, scope)
        expand = None if step is None else self._expand(step, request, scope)
        dicts, columns = self._builders(scope, request, names, [child.name for child in children])
        node = NodePlan(
            number=number,
            name=request.name,
            path=request.path,
            entity=request.entity,
            fields=names.shown,
            decoder=request.entity.codec.decoder(scope.slots),
            dicts=dicts,
            columns=columns,
            filter=near,
            far_filter=far,
            order=order,
            expand=expand,
            relation_name="" if step is None else step.name,
            to_one=step is not None and step.single,
            children=children,
        )
        self.nodes[number] = node
        return node

    def converted_fields(self, shape: Shape) -> list[tuple[FieldDef | Question, Any]]:
        """The field or function that gives each parameter its type, and the class it was given
        as."""
        classes = list(shape.parameter_classes)
        return [(self.params[index], kind) for index, kind in enumerate(classes)]

    def _children(self, request: _Request, scope: NodeScope) -> list[NodePlan]:
        children: list[NodePlan] = []
        taken = set(request.entity.fields)
        for include in request.includes:
            if include.name in taken:
                raise QueryError(
                    f"{request.entity.name} shows two things as {include.name!r}; "
                    "name one of them with an alias",
                    entity=request.entity.name,
                )
            taken.add(include.name)
            step = find_step(self.layout, request.entity, include.relation)
            if step.single and (include.order or include.limit is not None or include.offset):
                raise QueryError(
                    f"{request.entity.name}.{include.relation} leads to one row at most; "
                    "leave its order, limit and offset out",
                    entity=request.entity.name,
                    relation=include.relation,
                )
            scope.need_for_step(step)
            wanted = _Request(
                step.target,
                (*request.path, include.name),
                include.name,
                include.filter,
                include.order,
                include.select,
                include.includes,
                limited=include.limit is not None,
            )
            child = self.node(wanted, step)
            expand = child.expand
            if expand is not None and expand.ordered_index is not None:
                scope.need(step.relation.target_slots)  # an index begins with the values
            children.append(child)
        return children

    def _selected(self, request: _Request) -> _Selection:
        entity = request.entity
        chosen = request.select
        if chosen is None:
            chosen = tuple(entity.fields)
        for name in chosen:
            find_field(entity, name)
        shown = tuple(dict.fromkeys(chosen))
        return _Selection(shown, tuple(dict.fromkeys((*entity.entity.identity, *shown))))

    def _filters(
        self, scope: NodeScope, given: Expr | None
    ) -> tuple[FilterPlan | None, FilterPlan | None]:
        """The filter in two: what a row's own fields decide, and what takes reading other rows."""
        if given is None:
            return None, None
        bare = self._taker.expression(check_filter(self.layout, scope.entity, given))
        items = bare.items if isinstance(bare, And) else (bare,)
        far = [item for item in items if _reads_other_rows(item)]
        if not far:
            return scope.filter(bare), None
        near = [item for item in items if item not in far and _never_fails(item, scope.entity)]
        first = scope.filter(And(items=tuple(near))) if near else None
        rest = tuple(item for item in items if item not in near)
        return first, scope.filter(And(items=rest))

    def _expand(self, step: Step, request: _Request, scope: NodeScope) -> Expand:
        """How to come from the parents; what this node must decode so that it can be rechecked."""
        relation = step.relation
        if step.kind == "to_one":
            scope.need(relation.target_slots)
            return Expand("to_one", relation)
        if step.kind == "to_many":
            scope.need(back_slots(relation))
            index, reverse = None, False
            backwards = row_order(relation.source, request.order)
            if request.limited and request.filter is None and request.order:
                if backwards:
                    index, reverse = relation.index, True
                elif backwards is None:
                    index, reverse = order_from_index(relation, request.order)
                    scope.need(() if index is None else index.slots)
            return Expand("to_many", relation, step.single, index, reverse, backwards is False)
        assert step.far is not None
        scope.need(step.far.target_slots)
        return reach(self.layout, step, self.clock, ordered=True)

    def _builders(
        self, scope: NodeScope, request: _Request, names: _Selection, children: list[str]
    ) -> tuple[Callable[..., Any], Callable[..., Any]]:
        """The functions that turn decoded rows into dicts and into columns."""
        translator = scope.translator()

        def code_of(name: str) -> str:
            place = scope((name,))
            code = translator.shown(place)[0]
            if not holds_json(place.field.type):
                return code
            translator.bindings["fresh"] = fresh_json  # the row may be kept; the answer is theirs
            return f"fresh({code})"

        pairs: list[str] = []
        for name in names.shown:
            key = f"n{len(pairs)}_"
            translator.bindings[key] = name
            pairs.append(f"{key}: {code_of(name)}")
        for number, name in enumerate(children):
            key = f"n{len(pairs)}_"
            translator.bindings[key] = name
            pairs.append(f"{key}: x{number}")
        links = [f"x{number}" for number in range(len(children))]
        sources = [f"c{number}" for number in range(len(children))]
        loop = "r in rows"
        if links:
            loop = f"r, {', '.join(links)} in zip(rows, {', '.join(sources)})"
        dicts = (
            f"def dicts({', '.join(['rows', *sources])}):\n"
            f"    return [{{{', '.join(pairs)}}} for {loop}]\n"
        )
        lists = "".join(f"[{code_of(name)} for r in rows], " for name in names.with_identity)
        columns = f"def columns(rows):\n    return ({lists})\n"
        return (
            compile_function(dicts, "dicts", translator.bindings),
            compile_function(columns, "columns", translator.bindings),
        )


@dataclass(frozen=True, slots=True)
class _Request:
    """What one node of the query asks for."""

    entity: EntityLayout
    path: tuple[str, ...]
    name: str
    filter: Expr | None
    order: tuple[OrderSpec, ...]
    select: tuple[str, ...] | None
    includes: tuple[Include, ...]
    limited: bool


@dataclass(frozen=True, slots=True)
class _Selection:
    """The fields a node shows in dicts, and those of its block, which always has the identity."""

    shown: tuple[str, ...]
    with_identity: tuple[str, ...]


def _reads_other_rows(expr: Expr) -> bool:
    return any(
        isinstance(node, Related) or (isinstance(node, FieldRef) and len(node.path) > 1)
        for node in walk(expr)
    )


def _never_fails(expr: Expr, entity: EntityLayout) -> bool:
    """Whether evaluating an expression over an entity's own fields cannot raise, so that it may
    be asked before what stands to its left."""
    return not any(
        isinstance(node, Arithmetic)
        or (isinstance(node, Call) and node.name not in TESTS)
        or (isinstance(node, FieldRef) and not is_stored(entity.fields[node.path[0]]))
        for node in walk(expr)
    )
