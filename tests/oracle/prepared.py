"""A session that prepares every query it is asked: literals become parameters, then get values.

    Flight where delay > 60 limit 5      prepared as  delay > :v0 limit :v1      run with 60 and 5

A query of the same shape runs through the same prepared query, with its own values.
"""

from __future__ import annotations

import datetime
import decimal
import random
import uuid
from collections.abc import Generator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import Any, Final, TypeVar

from ormdb import limits
from ormdb.ir.deletion import DeletePreview
from ormdb.ir.explanation import Explanation
from ormdb.ir.expr import Aggregate, Expr, InList, Literal, NamedParam, Related
from ormdb.ir.graph import AsOf, Derived, GraphQuery, Include, OrderSpec
from ormdb.ir.mutation import Delete, Mutation, MutationOutcome
from ormdb.ir.rewrite import map_children
from ormdb.ir.schema import SchemaBundle
from ormdb.ir.table import TableBlock, TableQuery
from ormdb.ir.value import (
    BoolType,
    BytesType,
    DateType,
    DecimalType,
    DurationType,
    FloatType,
    IntType,
    ListType,
    RowDict,
    ScalarType,
    TextType,
    TimestampType,
    TimeType,
    UuidType,
    Value,
)
from ormdb.session import (
    Answer,
    AnswerStream,
    Context,
    PreparedReads,
    PreparedTableReads,
    Reader,
    Session,
    Writer,
)

_TYPES: Final[dict[type, ScalarType]] = {
    bool: BoolType(),
    int: IntType(),
    float: FloatType(),
    decimal.Decimal: DecimalType(precision=limits.DECIMAL_DIGITS_MAX, scale=0),
    str: TextType(),
    bytes: BytesType(),
    uuid.UUID: UuidType(),
    datetime.datetime: TimestampType(),
    datetime.date: DateType(),
    datetime.time: TimeType(),
    datetime.timedelta: DurationType(),
}
R = TypeVar("R", bound=Reader)
N = TypeVar("N", int, str)


class Parametrizer:
    """Puts parameters in place of the literals of one query, and keeps their values."""

    def __init__(self, *, shared: bool = False) -> None:
        """`shared`: literals that are equal in class and value become one parameter."""
        self.values: dict[str, Value] = {}
        self._known: dict[str, str] | None = {} if shared else None

    def query(self, query: GraphQuery) -> GraphQuery:
        """The query with parameters wherever one may stand."""
        page = query.page
        return replace(
            query,
            filter=None if query.filter is None else self._expression(query.filter),
            page=replace(
                page,
                limit=self._taken(page.limit, IntType()),
                offset=self._taken(page.offset, IntType()) or 0,
                after=self._taken(page.after, TextType()),
                before=self._taken(page.before, TextType()),
            ),
            includes=tuple(map(self._include, query.includes)),
            order=self._order(query.order),
            derived=self._derived(query.derived),
        )

    def table(self, query: TableQuery) -> TableQuery:
        """The table query with parameters wherever one may stand."""
        return replace(
            query,
            columns=tuple(
                replace(one, expression=self._expression(one.expression)) for one in query.columns
            ),
            filter=None if query.filter is None else self._expression(query.filter),
            having=None if query.having is None else self._expression(query.having),
            order=self._order(query.order),
            limit=self._taken(query.limit, IntType()),
            offset=self._taken(query.offset, IntType()) or 0,
        )

    def _include(self, node: Include) -> Include:
        return replace(
            node,
            filter=None if node.filter is None else self._expression(node.filter),
            limit=self._taken(node.limit, IntType()),
            offset=self._taken(node.offset, IntType()) or 0,
            includes=tuple(map(self._include, node.includes)),
            order=self._order(node.order),
            derived=self._derived(node.derived),
        )

    def _order(self, order: tuple[OrderSpec, ...]) -> tuple[OrderSpec, ...]:
        return tuple(replace(one, key=self._expression(one.key)) for one in order)

    def _derived(self, derived: tuple[Derived, ...]) -> tuple[Derived, ...]:
        return tuple(replace(one, value=self._expression(one.value)) for one in derived)

    def _taken(self, given: N | NamedParam | None, kind: ScalarType) -> N | NamedParam | None:
        return None if given is None else self._named(given, kind)

    def _named(self, value: Value, kind: ScalarType | ListType) -> NamedParam:
        name = f"v{len(self.values)}"
        if self._known is not None:
            name = self._known.setdefault(repr((kind, value)), name)
        self.values[name] = value
        return NamedParam(name=name, type=kind)

    def _expression(self, expr: Expr) -> Expr:
        match expr:
            case Literal(value=value) if type(value) in _TYPES:
                return self._named(value, _TYPES[type(value)])
            case InList(operand=operand, items=Literal(value=items)):
                kinds = set(map(type, items))
                subject = self._expression(operand)
                if len(kinds) == 1 and kinds <= set(_TYPES):
                    kind = ListType(item=_TYPES[kinds.pop()])
                    return InList(operand=subject, items=self._named(items, kind))
                return InList(operand=subject, items=expr.items)
            case Related(filter=inner) if inner is not None:
                return replace(expr, filter=self._expression(inner))
            case Aggregate(operand=operand, filter=inner):
                return replace(
                    expr,
                    operand=None if operand is None else self._expression(operand),
                    filter=None if inner is None else self._expression(inner),
                )
            case _:
                return map_children(expr, self._expression)


class PreparedReader:
    """Reads through prepared queries, each of which it runs twice."""

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        self.prepared: dict[str, PreparedReads] = {}
        self.tables: dict[str, PreparedTableReads] = {}
        self.reused = 0

    @property
    def schema(self) -> SchemaBundle:
        return self.reader.schema

    def run_prepare(self, query: GraphQuery) -> PreparedReads:
        return self.reader.run_prepare(query)

    def run_fetch(self, query: GraphQuery, *, context: Context | None = None) -> Answer:
        prepared, values = self._prepared(query)
        prepared.run_fetch(values, context=context)
        return prepared.run_fetch(values, context=context)

    def run_count(self, query: GraphQuery, *, context: Context | None = None) -> int:
        prepared, values = self._prepared(query)
        return prepared.run_count(values, context=context)

    def run_exists(self, query: GraphQuery, *, context: Context | None = None) -> bool:
        prepared, values = self._prepared(query)
        return prepared.run_exists(values, context=context)

    def run_prepare_table(self, query: TableQuery) -> PreparedTableReads:
        return self.reader.run_prepare_table(query)

    def run_table(self, query: TableQuery, *, context: Context | None = None) -> TableBlock:
        maker = Parametrizer(shared=len(repr(query)) % 2 == 0)
        template = maker.table(query)
        key = repr(template)
        self.reused += key in self.tables
        if key not in self.tables:
            self.tables[key] = self.reader.run_prepare_table(template)
        self.tables[key].run_table(maker.values, context=context)
        return self.tables[key].run_table(maker.values, context=context)

    def run_delete_preview(
        self, delete: Delete, *, context: Context | None = None
    ) -> DeletePreview:
        return self.reader.run_delete_preview(delete, context=context)

    def run_explain(
        self,
        query: GraphQuery | TableQuery,
        *,
        analyze: bool = False,
        context: Context | None = None,
    ) -> Explanation:
        if isinstance(query, TableQuery):
            return self.reader.run_explain(query, analyze=analyze, context=context)
        prepared, values = self._prepared(query)
        return prepared.run_explain(values, analyze=analyze, context=context)

    def run_stream(
        self, query: GraphQuery, *, batch: int, context: Context | None = None
    ) -> AnswerStream:
        prepared, values = self._prepared(query)
        return prepared.run_stream(values, batch=batch, context=context)

    def run_get(
        self, entity: str, identity: tuple[Value, ...], *, context: Context | None = None
    ) -> RowDict | None:
        return self.reader.run_get(entity, identity, context=context)

    def run_version(
        self, entity: str, identity: tuple[Value, ...], *, context: Context | None = None
    ) -> int | None:
        return self.reader.run_version(entity, identity, context=context)

    def _prepared(self, query: GraphQuery) -> tuple[PreparedReads, dict[str, Value]]:
        maker = Parametrizer()
        template = maker.query(query)
        key = repr(template)
        self.reused += key in self.prepared
        if key not in self.prepared:
            self.prepared[key] = self.reader.run_prepare(template)
        return self.prepared[key], maker.values


class PreparedWriter(PreparedReader):
    """A writer whose reads are prepared."""

    def __init__(self, writer: Writer) -> None:
        super().__init__(writer)
        self.writer = writer

    def run_mutations(
        self, mutations: Sequence[Mutation], *, context: Context | None = None
    ) -> list[MutationOutcome]:
        return self.writer.run_mutations(mutations, context=context)


class PreparedSession(PreparedWriter):
    """A session all of whose queries are prepared."""

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self.session = session

    @contextmanager
    def begin(self, *, context: Context | None = None) -> Generator[PreparedWriter]:
        with self.session.begin(context=context) as writer:
            yield PreparedWriter(writer)

    def begin_snapshot(
        self, *, as_of: AsOf | None = None, context: Context | None = None
    ) -> AbstractContextManager[Reader]:
        return self.session.begin_snapshot(as_of=as_of, context=context)

    def close(self) -> None:
        self.session.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.session, name)


# --- other values ---------------------------------------------------------------------------------


def varied(rng: random.Random, values: dict[str, Value]) -> dict[str, Value]:
    """Other values of the same types for the parameters of a query, some of which fit no more."""
    return {name: _varied(rng, value, list(values.values())) for name, value in values.items()}


def _varied(rng: random.Random, value: Value, others: Sequence[Value]) -> Value:
    roll = rng.random()
    if roll < 0.3:
        return value
    if type(value) not in _TYPES:  # a list
        return value[1:]
    if roll < 0.6:  # what another parameter has
        return rng.choice([each for each in others if type(each) is type(value)])
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value - 1 if value > 0 else value + 1
    if isinstance(value, float | decimal.Decimal):
        return value * 2
    if isinstance(value, str) and roll < 0.8:
        return value[:-1]
    return value
