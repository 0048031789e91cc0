"""What one node of a query reads of its rows and of those around them, and the code that asks.

    filter   plane.seats > p0 and any(duties, pilot == p1)     order   origin.name

    slots    s2 (tailnum), s5 (origin_code)         what the node's own rows have to show
    hops     h0  plane      s6                      a row beside each row, or None
             h1  any duties s1, filter s1 == p1     True or False beside each row
    mask     [h0_ is not None and h0_.s6 > p0 and h1_ for r, h0_, h1_ in zip(rows, h0, h1)]

Invariants (held by tests/unit/query/test_compile.py):
  1. A slot that nothing asks for is not decoded.
  2. One path, and one question about related rows, is one hop, however often it is written.
"""

from __future__ import annotations

import datetime
import decimal
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, TypeAlias

from ormdb.clock import Clock
from ormdb.ir.canonical import encode_node
from ormdb.ir.expr import Aggregate, Call, Expr, FieldRef, Related
from ormdb.ir.expression_type import walk
from ormdb.ir.graph import Derived, OrderSpec
from ormdb.ir.schema import FieldDef
from ormdb.ir.value import (
    BoolType,
    BytesType,
    DateType,
    DecimalType,
    DurationType,
    EnumType,
    FloatType,
    IntType,
    TextType,
    TimestampType,
    TimeType,
    Type,
    UuidType,
    Value,
)
from ormdb.query.logical import conjuncts_of
from ormdb.query.plan import (
    DerivedPlan,
    Expand,
    FilterPlan,
    FoldPlan,
    HashJoin,
    Hop,
    OrderPlan,
    RelatedHop,
    SortKey,
)
from ormdb.query.resolve import (
    Step,
    check_sortable,
    check_value,
    follow_path,
    follow_relations,
)
from ormdb.query.shape import LiteralTaker
from ormdb.storage.asking import Question
from ormdb.storage.codegen import compile_function
from ormdb.storage.expressions import Place, Translator, paths_of
from ormdb.storage.layout import EntityLayout, Layout, RelationLayout
from ormdb.storage.records import fresh_json, holds_json, is_stored, slot_type

# The classes of the values of a calculated key, as a cursor holds them.
KEY_CLASSES: Final[dict[type[Type], type]] = {
    BoolType: bool,
    BytesType: bytes,
    DateType: datetime.date,
    DecimalType: decimal.Decimal,
    DurationType: datetime.timedelta,
    FloatType: float,
    IntType: int,
    TextType: str,
    TimeType: datetime.time,
    TimestampType: datetime.datetime,
    UuidType: uuid.UUID,
}
# Per parameter of a query: what gives it its stored form; None where it is calculated with.
Parameters: TypeAlias = dict[int, FieldDef | Question | None]
# How the rows at the end of a step may be gathered, of which these conjuncts are asked and these
# slots are decoded.
PlanJoin: TypeAlias = Callable[[Expand, tuple[Expr, ...], frozenset[int]], HashJoin | None]


@dataclass(slots=True)
class _HopNeed:
    path: tuple[str, ...]
    step: Step
    parent: int
    slots: set[int]


class NodeScope:
    """Gathers slots and hops while expressions about one entity's rows are translated."""

    def __init__(
        self,
        layout: Layout,
        entity: EntityLayout,
        clock: Clock,
        params: Parameters,
        *,
        taken: LiteralTaker | None = None,
        plan_join: PlanJoin | None = None,
    ) -> None:
        """
        Args:
          layout: of the schema.
          entity: whose rows these are.
          clock: for what depends on the moment.
          params: gathers what the parameters of expressions stand for.
          taken: the literals that they were made of, which tell what types calculations have.
          plan_join: how related rows may be gathered; without it they are looked up.
        """
        self.entity = entity
        self._taken = taken or LiteralTaker()
        self._plan_join = plan_join
        self.slots: set[int] = set()
        self._layout = layout
        self._clock = clock
        self._params = params
        self._hops: list[_HopNeed | RelatedHop] = []
        # By canonical bytes: literals may be dicts, and 1 is not True.
        self._asked: dict[bytes, int] = {}

    def translator(self) -> Translator:
        """What turns expressions about these rows into source text."""
        return Translator(self, self._clock)

    def filter(self, bare: Expr) -> FilterPlan:
        """The function that says which rows a condition keeps; its literals are parameters."""
        translator = self.translator()
        condition = translator.true(bare)
        self._params.update(translator.params)
        parameters = tuple(sorted(translator.params))
        arguments, loop = self.loop()
        given = ", ".join([arguments, *(f"p{index}" for index in parameters)])
        code = f"def mask({given}):\n    return [{condition} for {loop}]\n"
        mask = compile_function(code, "mask", translator.bindings)
        return FilterPlan(mask, self.take_hops(), parameters, bare)

    def order(self, order: tuple[OrderSpec, ...]) -> OrderPlan:
        """The functions that give the keys of an order."""
        codes: list[tuple[str, bool, OrderSpec, dict[str, Any]]] = []
        types: list[Any] = []
        stored = True
        used: Parameters = {}
        for spec in order:
            translator = self.translator()
            path = spec.path
            if path is None:
                code, nullable, held = self._calculated_key(translator, spec.key)
                stored = False
            else:
                _, definition = follow_path(self._layout, self.entity, path)
                check_sortable(self.entity, path, definition)
                code, nullable = translator.value(spec.key)
                held = slot_type(definition.type)
                stored = stored and len(path) == 1 and is_stored(definition)
            codes.append((code, nullable, spec, translator.bindings))
            types.append(held | None)
            used.update(translator.params)
        keys: list[SortKey] = []
        for code, nullable, spec, bindings in codes:
            nulls_last = spec.descending if spec.nulls_last is None else spec.nulls_last
            column = self._column(code, bindings, used)
            keys.append(SortKey(column, spec.descending, nulls_last == spec.descending, nullable))
        return OrderPlan(
            tuple(keys),
            self.take_hops(),
            bool(order) and order[-1].descending,
            tuple(types),
            order,
            tuple(sorted(used)),
            stored,
        )

    def _calculated_key(self, translator: Translator, key: Expr) -> tuple[str, bool, Any]:
        """Source of a key that is no field, whether it may be None, and the class of its values."""
        kind = self._kind_of(key)
        code = translator.canonical(key)
        if isinstance(kind, EnumType):
            positions = translator.bind("e", {name: at for at, name in enumerate(kind.variants)})
            return f"{positions}.get({code})", True, int
        return code, True, KEY_CLASSES[type(kind)]

    def derived(self, derived: tuple[Derived, ...]) -> DerivedPlan | None:
        """The functions that give values under names of their own."""
        if not derived:
            return None
        codes: list[tuple[str, dict[str, Any]]] = []
        types: list[Type] = []
        used: Parameters = {}
        for one in derived:
            translator = self.translator()
            kind = self._kind_of(one.value)
            types.append(kind)
            code = translator.canonical(one.value)
            if holds_json(kind):
                code = f"{translator.bind('fresh', fresh_json)}({code})"  # the row may be kept
            codes.append((code, translator.bindings))
            used.update(translator.params)
        columns = [self._column(code, bindings, used) for code, bindings in codes]
        names = tuple(one.name for one in derived)
        parameters = tuple(sorted(used))
        return DerivedPlan(names, tuple(types), tuple(columns), self.take_hops(), parameters)

    def _kind_of(self, bare: Expr) -> Type:
        """The type of an expression without its literals."""
        return check_value(self._layout, self.entity, self._taken.of_same_type(bare))[1]

    def _column(
        self, code: str, bindings: dict[str, Any], used: Parameters
    ) -> Callable[..., list[Value]]:
        """The function from rows, hops and parameters to the values that source text gives."""
        self._params.update(used)
        arguments, loop = self.loop()
        given = ", ".join([arguments, *(f"p{index}" for index in sorted(used))])
        text = f"def column({given}):\n    return [{code} for {loop}]\n"
        return compile_function(text, "column", bindings)

    def need(self, slots: Iterable[int]) -> None:
        """Decode these as well."""
        self.slots.update(slots)

    def need_for_step(self, step: Step) -> None:
        """Decode what leads from these rows along a step."""
        self.need(departure_slots(step))

    # --- as `storage.expressions.Places` ---

    def __call__(self, path: tuple[str, ...]) -> Place:
        steps, definition = follow_path(self._layout, self.entity, path)
        if not steps:
            _need_field(self.slots, self.entity, definition)
            return Place("r", definition, self.entity)
        number = self._hop_along(path, steps)
        hop = self._hops[number]
        assert isinstance(hop, _HopNeed)
        _need_field(hop.slots, steps[-1].target, definition)
        return Place(f"h{number}_", definition, steps[-1].target, maybe_missing=True)

    def related(self, expr: Related) -> str:
        return f"h{self._asked_of(expr, expr.path, expr.filter)}_"

    def folded(self, expr: Aggregate) -> str:
        return f"h{self._asked_of(expr, expr.path, expr.filter)}_"

    def _asked_of(
        self, expr: Related | Aggregate, path: tuple[str, ...], condition: Expr | None
    ) -> int:
        """The hop of what is asked of related rows, or folded from them."""
        asking = encode_node(expr)
        number = self._asked.get(asking)
        if number is not None:
            return number
        steps = follow_relations(self._layout, self.entity, path)
        parent, step = self._hop_along(path, steps[:-1]), steps[-1]
        self._slots_of(parent).update(departure_slots(step))
        inner = NodeScope(
            self._layout,
            step.target,
            self._clock,
            self._params,
            taken=self._taken,
            plan_join=self._plan_join,
        )
        kept = None if condition is None else inner.filter(condition)
        asked = expr.kind if isinstance(expr, Related) else inner.fold(expr)
        expand = reach(self._layout, step, self._clock)
        inner.need(arrival_slots(step))
        decoder = step.target.codec.decoder(inner.slots)
        if self._plan_join is not None and asked != "all":  # which asks for what is not true
            conjuncts = tuple(conjuncts_of(condition))
            slots = (expand.edge_decoder or decoder).slots
            expand = replace(expand, join=self._plan_join(expand, conjuncts, slots))
        number = self._asked[asking] = len(self._hops)
        self._hops.append(RelatedHop(path, parent, expand, decoder, kept, asked, step.target))
        return number

    def fold(self, expr: Aggregate) -> FoldPlan:
        """How these rows are folded."""
        if expr.operand is None:
            return FoldPlan(expr.function, expr.distinct, None, None, (), None, is_lasting=True)
        kind = self._kind_of(expr.operand)
        translator = self.translator()
        code = translator.canonical(expr.operand)
        used = translator.params
        column = self._column(code, translator.bindings, used)
        hops = self.take_hops()
        searches = any(use is not None for use in used.values())
        return FoldPlan(
            expr.function,
            expr.distinct,
            kind,
            column,
            hops,
            expr.operand,
            parameters=tuple(sorted(used)),
            is_lasting=not hops and not searches and not _is_of_the_moment(expr.operand),
        )

    def _hop_along(self, path: tuple[str, ...], steps: Sequence[Step]) -> int:
        parent = -1
        for depth, step in enumerate(steps):
            parent = self._hop(path[: depth + 1], step, parent)
        return parent

    def _hop(self, path: tuple[str, ...], step: Step, parent: int) -> int:
        for number, hop in enumerate(self._hops):
            if isinstance(hop, _HopNeed) and hop.path == path:
                return number
        self._slots_of(parent).update(departure_slots(step))
        self._hops.append(_HopNeed(path, step, parent, set(arrival_slots(step))))
        return len(self._hops) - 1

    def _slots_of(self, number: int) -> set[int]:
        """What is decoded of the rows of a hop; of the node's own rows for -1."""
        if number < 0:
            return self.slots
        hop = self._hops[number]
        assert isinstance(hop, _HopNeed)
        return hop.slots

    def loop(self) -> tuple[str, str]:
        """The arguments of a generated function, and its loop over rows and hops."""
        hops = [f"h{number}" for number in range(len(self._hops))]
        arguments = ", ".join(["rows", *hops])
        variables = ", ".join(["r", *(f"{hop}_" for hop in hops)])
        source = "rows" if not hops else f"zip(rows, {', '.join(hops)})"
        return arguments, f"{variables} in {source}"

    def take_hops(self) -> tuple[Hop | RelatedHop, ...]:
        """The hops gathered so far, which begin anew from here."""
        taken = tuple(
            need
            if isinstance(need, RelatedHop)
            else Hop(
                need.path,
                need.parent,
                need.step.relation,
                need.step.kind == "to_many",
                need.step.target.codec.decoder(need.slots),
            )
            for need in self._hops
        )
        self._hops, self._asked = [], {}
        return taken


def _is_of_the_moment(operand: Expr) -> bool:
    """Whether a value is another one whenever it is asked for."""
    return any(isinstance(node, Call) and node.name in {"now", "uuid7"} for node in walk(operand))


def reach(layout: Layout, step: Step, clock: Clock, *, ordered: bool = False) -> Expand:
    """How the rows at the end of a step are reached; `ordered`: edges come in their order."""
    if step.kind != "through":
        return Expand(step.kind, step.relation, step.single)
    assert step.far is not None
    edge = NodeScope(layout, step.relation.source, clock, {})
    edge.need(back_slots(step.relation))
    edge.need(forward_slots(step.far))
    order = None
    if ordered:
        assert step.through is not None
        parts = step.through.order
        order = edge.order(
            tuple(OrderSpec(key=FieldRef(path=(p.field,)), descending=p.descending) for p in parts)
        )
    return Expand(
        "through",
        step.relation,
        far=step.far,
        through=step.through,
        edge_decoder=step.relation.source.codec.decoder(edge.slots),
        edge_order=order,
    )


def departure_slots(step: Step) -> Sequence[int]:
    """The slots of a row that lead along a step."""
    if step.kind == "to_one":
        return forward_slots(step.relation)
    return step.relation.target_slots if step.relation.mode == "value" else ()


def arrival_slots(step: Step) -> Sequence[int]:
    """The slots of a row at the end of a step that say how it was reached."""
    if step.kind == "to_many":
        return back_slots(step.relation)
    if step.kind == "to_one":
        return step.relation.target_slots
    assert step.far is not None
    return step.far.target_slots


def return_slots(step: Step) -> Sequence[int]:
    """The slots of a row at the end of a step that lead back along it."""
    if step.kind == "to_many":
        return forward_slots(step.relation)
    relation = step.relation if step.far is None else step.far
    return relation.target_slots if relation.mode == "value" else ()


def forward_slots(relation: RelationLayout) -> Sequence[int]:
    """The slots of a source row that lead to its target."""
    return (relation.relation.slot,) if relation.mode == "slot" else relation.slots


def back_slots(relation: RelationLayout) -> Sequence[int]:
    """The slots of a source row that say whose child it is."""
    return forward_slots(relation)


def _need_field(slots: set[int], entity: EntityLayout, definition: FieldDef) -> None:
    if is_stored(definition):
        slots.add(definition.slot)
        return
    assert definition.computed is not None
    for path in paths_of(definition.computed.expression, entity.fields):
        slots.add(entity.fields[path[0]].slot)
