"""A session that prepares every query it is asked: literals become parameters, then get values.

    Flight where delay > 60 limit 5      prepared as  delay > :v0 limit :v1      run with 60 and 5

A query of the same shape runs through the same prepared query, with its own values.
"""

from __future__ import annotations

import datetime
import decimal
import uuid
from collections.abc import Generator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import Any, Final, TypeVar

from ormdb import limits
from ormdb.ir.explanation import Explanation
from ormdb.ir.expr import Expr, InList, Literal, NamedParam, Related
from ormdb.ir.graph import AsOf, GraphQuery, Include
from ormdb.ir.mutation import Mutation, MutationOutcome
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
from ormdb.session import Answer, AnswerStream, Context, PreparedReads, Reader, Session, Writer

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

    def __init__(self) -> None:
        self.values: dict[str, Value] = {}

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
        )

    def _include(self, node: Include) -> Include:
        return replace(
            node,
            filter=None if node.filter is None else self._expression(node.filter),
            limit=self._taken(node.limit, IntType()),
            offset=self._taken(node.offset, IntType()) or 0,
            includes=tuple(map(self._include, node.includes)),
        )

    def _taken(self, given: N | NamedParam | None, kind: ScalarType) -> N | NamedParam | None:
        return None if given is None else self._named(given, kind)

    def _named(self, value: Value, kind: ScalarType | ListType) -> NamedParam:
        name = f"v{len(self.values)}"
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
            case _:
                return map_children(expr, self._expression)


class PreparedReader:
    """Reads through prepared queries, each of which it runs twice."""

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        self.prepared: dict[str, PreparedReads] = {}
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

    def run_table(self, query: TableQuery, *, context: Context | None = None) -> TableBlock:
        return self.reader.run_table(query, context=context)

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
        return self.reader.run_stream(query, batch=batch, context=context)

    def run_get(
        self, entity: str, identity: tuple[Value, ...], *, context: Context | None = None
    ) -> RowDict | None:
        return self.reader.run_get(entity, identity, context=context)

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
