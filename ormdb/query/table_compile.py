"""Table queries to physical plans.

    Flight, columns origin.name, late = count(where=dep_delay > 60), order by late desc, limit 3

    base      the rows: a graph query of the same filter, without includes
              slots s5 (dep_delay), s7 (origin_faa, which leads to the airport)
    fold      keys [h0_.s1], hops origin, cells [0]
    outputs   k0, a0           order  a0 descending

Invariants (held by tests/unit/query/test_tables.py):
  1. A slot that nothing asks for is not decoded, but for those of the identity.
  2. A plan holds no value of the query it was compiled for but those that decide its shape.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from ormdb.clock import Clock
from ormdb.errors import QueryError
from ormdb.ir.buckets import begin_of, number_source
from ormdb.ir.coerce import a_type
from ormdb.ir.expr import Aggregate, Call, Expr, FieldRef, Literal
from ormdb.ir.expression_type import (
    Scope,
    coerce_literals,
    expression_type,
    no_relations,
    plain_literal,
)
from ormdb.ir.graph import OrderSpec
from ormdb.ir.table import TableColumnType
from ormdb.ir.value import BoolType, DateType, Type, Value, is_scalar
from ormdb.model.spelling import spell_expression
from ormdb.query.compile import compile_query
from ormdb.query.convert import make_converter
from ormdb.query.node_scope import NodeScope, Parameters
from ormdb.query.plan import QueryPlan, SortKey
from ormdb.query.resolve import find_entity, scope_of
from ormdb.query.shape import LiteralTaker
from ormdb.query.table_fold import FoldCode, Operand
from ormdb.query.table_groups import GroupPlaces, stored_code
from ormdb.query.table_plan import (
    ColumnPlan,
    FoldPlan,
    GroupOrder,
    KeyPlan,
    ResultPlan,
    TablePlan,
)
from ormdb.query.table_shape import (
    ShapedTable,
    TableParts,
    aggregate_place,
    bare_parts,
    key_place,
)
from ormdb.storage.codegen import compile_function
from ormdb.storage.expressions import Translator
from ormdb.storage.layout import IndexLayout, Layout
from ormdb.storage.records import fresh_json, holds_json
from ormdb.storage.statistics import NO_STATISTICS, Statistics


def compile_table(
    layout: Layout,
    shaped: ShapedTable,
    *,
    clock: Clock,
    statistics: Statistics = NO_STATISTICS,
) -> TablePlan:
    """Compile the plan of a shape; `shaped` is one query of that shape, with its literals.

    Raises:
      QueryError: the query does not fit the schema.
      LimitError: the query is too large.
    """
    compiler = _Compiler(layout, shaped, clock, statistics)
    plan = compiler.groups() if shaped.parts.is_grouped else compiler.rows()
    converters = tuple(
        make_converter(
            compiler.params[index], kind, compiler.taken.converts.get(index, plain_literal)
        )
        for index, kind in enumerate(shaped.shape.parameter_classes)
    )
    return replace(plan, converters=converters)


@dataclass(frozen=True, slots=True)
class _Typed:
    """A checked expression."""

    expr: Expr
    kind: Type
    optional: bool


class _Compiler:
    """Compiles one table query."""

    def __init__(
        self, layout: Layout, shaped: ShapedTable, clock: Clock, statistics: Statistics
    ) -> None:
        self.params: Parameters = {}
        self.taken = LiteralTaker()
        self._shaped = shaped
        self._clock = clock
        self._entity = find_entity(layout, shaped.base.entity)
        shape = shaped.shaped_base.shape
        self._base = compile_query(layout, shaped.base, shape, clock=clock, statistics=statistics)
        self._row_names = scope_of(layout, self._entity)
        self._scope = NodeScope(layout, self._entity, clock, self.params, taken=self.taken)

    # --- a row of the table for each row ---

    def rows(self) -> TablePlan:
        """The plan of a table that does not group."""
        parts = self._shaped.parts
        outputs = [self._typed(output, self._row_names) for output in parts.outputs]
        bare = self._bare(parts, outputs=outputs)
        columns, hops = self._row_columns(bare.outputs, outputs)
        return TablePlan(
            base=self._with_slots(),
            columns=_column_types(parts.names, outputs),
            outputs=columns,
            hops=hops,
            fold=None,
            having=None,
            order=(),
            drops_repeats=False,
            converters=(),
            parts=bare,
        )

    def _row_columns(
        self, bare: Sequence[Expr], outputs: Sequence[_Typed]
    ) -> tuple[tuple[ColumnPlan, ...], Any]:
        translator = self._scope.translator()
        codes: list[str] = []
        for expr, output in zip(bare, outputs, strict=True):
            code = translator.canonical(expr)
            if holds_json(output.kind):  # the row may be kept; the answer is theirs
                translator.bindings["fresh"] = fresh_json
                code = f"fresh({code})"
            codes.append(code)
        self.params.update(translator.params)
        parameters = tuple(sorted(translator.params))
        arguments, loop = self._scope.loop()
        given = ", ".join([arguments, *(f"p{index}" for index in parameters)])
        columns = tuple(
            ColumnPlan(
                compile_function(
                    f"def column({given}):\n    return [{code} for {loop}]\n",
                    "column",
                    translator.bindings,
                ),
                parameters=parameters,
            )
            for code in codes
        )
        return columns, self._scope.take_hops()

    # --- a row of the table for each group ---

    def groups(self) -> TablePlan:
        """The plan of a table that groups."""
        parts = self._shaped.parts
        keys = [self._key_type(key) for key in parts.keys]
        aggregates = [self._typed(one, self._row_names, of_group=True) for one in parts.aggregates]
        places = GroupPlaces(self._entity, _places(keys, aggregates), self._clock)
        names = Scope(places.resolve, no_relations)
        outputs = [self._typed(output, names) for output in parts.outputs]
        order = [self._sortable(spec.key, names) for spec in parts.order]
        having = None
        if parts.having is not None:
            having = coerce_literals(
                parts.having,
                places.resolve,
                expected=BoolType(),
                conversions=self.taken.conversions,
            )
        bare = self._bare(
            parts, keys=keys, aggregates=aggregates, outputs=outputs, having=having, order=order
        )
        fold = self._fold(bare, keys, aggregates)
        sorted_by: list[GroupOrder] = []
        for spec, typed in zip(bare.order, order, strict=True):
            column, nullable = places.stored(spec.key, typed.kind, self.params)
            sorted_by.append(GroupOrder(column, _sort_key(column.column, spec, nullable=nullable)))
        return TablePlan(
            base=self._with_slots(),
            columns=_column_types(parts.names, outputs),
            outputs=tuple(places.shown(output, self.params) for output in bare.outputs),
            hops=(),
            fold=fold,
            having=None if bare.having is None else places.truth(bare.having, self.params),
            order=tuple(sorted_by),
            drops_repeats=parts.drops_repeats,
            converters=(),
            parts=bare,
        )

    def _fold(
        self, bare: TableParts, keys: Sequence[_Typed], aggregates: Sequence[_Typed]
    ) -> FoldPlan:
        translator = self._scope.translator()
        key_codes: list[str] = []
        key_plans: list[KeyPlan] = []
        for key, expr in zip(keys, bare.keys, strict=True):
            code, restore = _key_code(translator, expr, key)
            key_codes.append(code)
            key_plans.append(KeyPlan(key.kind, key.optional, restore))
        operands = [
            self._operand(translator, aggregate, typed)
            for aggregate, typed in zip(bare.aggregates, aggregates, strict=True)
        ]
        parameters = tuple(sorted(translator.params))
        self.params.update(translator.params)
        hops = self._scope.take_hops()
        source = FoldCode(", ".join(["r", *(f"h{number}_" for number in range(len(hops)))]))
        results = tuple(
            ResultPlan(
                aggregate,
                operand.kind,
                typed.kind,
                typed.optional,
                *source.cells(aggregate, operand),
            )
            for aggregate, operand, typed in zip(bare.aggregates, operands, aggregates, strict=True)
        )
        tallied = bool(keys) and source.counts_rows_only
        bindings = translator.bindings
        return FoldPlan(
            keys=tuple(key_plans),
            results=results,
            hops=hops,
            parameters=parameters,
            fold=source.fold(key_codes, len(hops), parameters, bindings),
            tally=source.tally(key_codes, len(hops), parameters, bindings) if tallied else None,
            told_apart=tuple(source.told_apart),
            float_sums=tuple(source.float_sums),
            counted_by=self._counting_index(bare) if tallied else None,
        )

    def _operand(self, translator: Translator, bare: Expr, typed: _Typed) -> Operand:
        assert isinstance(bare, Aggregate)
        assert isinstance(typed.expr, Aggregate)
        condition = None if bare.filter is None else translator.true(bare.filter)
        if bare.operand is None or typed.expr.operand is None:
            return Operand(None, False, None, condition)
        inner = self._typed(typed.expr.operand, self._row_names)
        code, nullable = stored_code(translator, bare.operand, inner.kind)
        return Operand(code, nullable, inner.kind, condition)

    def _counting_index(self, bare: TableParts) -> IndexLayout | None:
        """An index that has an entry for each row, under the keys of its group and no others."""
        if self._shaped.base.filter is not None:
            return None
        fields = {key.path for key in bare.keys if isinstance(key, FieldRef)}
        slots = {self._entity.fields[path[0]].slot for path in fields if len(path) == 1}
        if len(slots) < len(bare.keys):
            return None
        return next((one for one in self._entity.indexes if set(one.slots) == slots), None)

    # --- checks ---

    def _typed(self, expr: Expr, names: Scope, *, of_group: bool = False) -> _Typed:
        checked = coerce_literals(
            expr,
            names.resolve,
            follow=names.follow,
            of_group=of_group,
            conversions=self.taken.conversions,
        )
        kind, optional = expression_type(checked, names.resolve, names.follow, of_group=of_group)
        return _Typed(checked, kind, optional)

    def _key_type(self, expr: Expr) -> _Typed:
        found = self._typed(expr, self._row_names)
        if not is_scalar(found.kind):
            raise QueryError(
                f"{spell_expression(expr)} is {a_type(found.kind)}, and rows are not grouped by "
                "that; group by a scalar, or fold it"
            )
        return found

    def _sortable(self, expr: Expr, names: Scope) -> _Typed:
        found = self._typed(expr, names)
        if not is_scalar(found.kind):
            raise QueryError(
                f"a table cannot be ordered by {a_type(found.kind)}; order by a scalar"
            )
        return found

    def _bare(
        self,
        parts: TableParts,
        *,
        keys: Sequence[_Typed] = (),
        aggregates: Sequence[_Typed] = (),
        outputs: Sequence[_Typed] = (),
        having: Expr | None = None,
        order: Sequence[_Typed] = (),
    ) -> TableParts:
        """The checked parts without their literals, which are numbered as in the shape."""
        checked = replace(
            parts,
            keys=tuple(one.expr for one in keys),
            aggregates=tuple(one.expr for one in aggregates if isinstance(one.expr, Aggregate)),
            outputs=tuple(one.expr for one in outputs),
            having=having,
            order=tuple(
                replace(spec, key=one.expr) for spec, one in zip(parts.order, order, strict=True)
            ),
        )
        return bare_parts(self.taken, checked)

    def _with_slots(self) -> QueryPlan:
        """The base, whose rows show what the table needs too."""
        base = self._base
        slots = base.root.decoder.slots | self._scope.slots
        root = replace(base.root, decoder=self._entity.codec.decoder(slots))
        return replace(base, root=root, nodes=(root,))


def _places(
    keys: Sequence[_Typed], aggregates: Sequence[_Typed]
) -> list[tuple[str, str, Type, bool]]:
    named = [
        *((key_place(number), one) for number, one in enumerate(keys)),
        *((aggregate_place(number), one) for number, one in enumerate(aggregates)),
    ]
    return [
        (place.path[0], spell_expression(one.expr), one.kind, one.optional) for place, one in named
    ]


def _column_types(names: Sequence[str], outputs: Sequence[_Typed]) -> tuple[TableColumnType, ...]:
    return tuple(
        TableColumnType(name=name, type=output.kind, optional=output.optional)
        for name, output in zip(names, outputs, strict=True)
    )


def _sort_key(column: Callable[..., list[Value]], spec: OrderSpec, *, nullable: bool) -> SortKey:
    nulls_last = spec.descending if spec.nulls_last is None else spec.nulls_last
    return SortKey(column, spec.descending, nulls_last == spec.descending, nullable)


def _key_code(
    translator: Translator, bare: Expr, typed: _Typed
) -> tuple[str, Callable[[Any], Value] | None]:
    """Source of what rows are grouped by, and what makes the stored value of it, if it is
    another."""
    if not isinstance(bare, Call) or bare.name != "bucket":
        return stored_code(translator, bare, typed.kind)[0], None
    subject, *given = bare.arguments
    unit, *width = [one.value for one in given if isinstance(one, Literal)]
    wide = width[0] if width else 1
    code, nullable = translator.value(subject)
    kept = "b0_"  # whatever it takes is done once
    number = number_source(unit, wide, kept)
    begin = partial(_begin, unit, wide, is_date=isinstance(typed.kind, DateType))
    test = f"({kept} := {code})"
    if not nullable:
        return f"({number.replace(kept, test, 1)})", begin
    return f"(None if {test} is None else {number})", begin


def _begin(unit: str, width: int, number: int | None, *, is_date: bool) -> Value:
    return None if number is None else begin_of(unit, width, number, is_date=is_date)
