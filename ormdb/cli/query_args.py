"""The arguments of `ormdb fetch` as a query.

    --include departures:5.plane      Include departures (limit 5) -> Include plane
    --include 'legs."a.b"'            a name that holds a point is quoted
    --order -dep_delay                dep_delay, largest first
    --select faa,name
    --as-of 17, --as-of 2013-01-01T05:00:00Z

Paths that begin alike are one include: `--include a.b --include a.c` follows `a` once.

Invariants (held by tests/unit/cli/test_query_args.py):
  1. Whatever the text is, the outcome is a query or a QueryError, ExpressionError or value error.
"""

from __future__ import annotations

import runpy
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from ormdb.errors import OrmdbError, QueryError, SchemaError
from ormdb.exchange.cells import parse_value
from ormdb.ir.expr import FieldRef
from ormdb.ir.graph import AsOf, GraphQuery, Include, OrderSpec, Page
from ormdb.ir.scan import Scanner
from ormdb.ir.schema import EntityDef, SchemaBundle
from ormdb.ir.show import show_value
from ormdb.ir.value import TimestampType, Value
from ormdb.model.expression_text import parse_expression
from ormdb.model.query import Query


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryArguments:
    """What was typed."""

    entity: str
    where: str | None = None
    includes: tuple[str, ...] = ()
    order: tuple[str, ...] = ()
    select: tuple[str, ...] = ()
    limit: int | None = None
    offset: int = 0
    after: str | None = None
    before: str | None = None
    as_of: str | None = None


def build_query(given: QueryArguments) -> GraphQuery:
    """Return the query that was typed; names are judged when it is run.

    Raises:
      QueryError, ExpressionError: an argument cannot be read.
    """
    return GraphQuery(
        entity=given.entity,
        filter=None if given.where is None else parse_expression(given.where),
        order=tuple(_order(text) for text in given.order),
        page=Page(limit=given.limit, offset=given.offset, after=given.after, before=given.before),
        select=tuple(name for text in given.select for name in _names(text)) or None,
        includes=_includes(given.includes),
        as_of=None if given.as_of is None else read_as_of(given.as_of),
    )


def read_query_file(path: str) -> GraphQuery:
    """Run a Python file and return the query it defines as `query`.

    Raises:
      QueryError: the file fails, or defines none.
    """
    try:
        found: object = runpy.run_path(path).get("query")
    except (OrmdbError, KeyboardInterrupt):
        raise
    except SystemExit as error:
        raise QueryError(f"{path} ended the program; it has to define `query` only") from error
    except Exception as error:
        kind = type(error).__name__
        raise QueryError(f"{path} cannot be run ({kind}: {error}); correct it") from error
    if isinstance(found, Query):
        return found.ir
    if isinstance(found, GraphQuery):
        return found
    what = "nothing" if found is None else show_value(found)
    raise QueryError(f"{path} defines {what} as `query`; assign a query, as in Airport.where(...)")


def read_as_of(text: str) -> AsOf:
    """Return a commit version or a moment."""
    if text.isascii() and text.isdigit() and len(text) < 20:
        return int(text)
    moment: AsOf = parse_value(TimestampType(), text, "--as-of")
    return moment


def read_identity(bundle: SchemaBundle, name: str, texts: Sequence[str]) -> tuple[Value, ...]:
    """Return the identity that texts spell, one per field of it.

    Raises:
      QueryError: there is no such entity, or its identity has another number of fields.
      ValueTypeError, ValueRangeError: a text is no value of its field.
    """
    entity = entity_named(bundle, name)
    if len(texts) != len(entity.identity):
        raise QueryError(
            f"the identity of {name} is {', '.join(entity.identity)}; give {len(entity.identity)} "
            f"value(s), not {len(texts)}"
        )
    types = {one.name: one.type for one in entity.fields}
    return tuple(
        parse_value(types[part], text, f"{name}.{part}")
        for part, text in zip(entity.identity, texts, strict=True)
    )


def entity_named(bundle: SchemaBundle, name: str) -> EntityDef:
    """Return the entity of this name.

    Raises:
      QueryError: there is none.
    """
    for entity in bundle.entities:
        if entity.name == name:
            return entity
    known = ", ".join(entity.name for entity in bundle.entities)
    raise QueryError(f"the schema has no entity {name!r}; it has {known}")


@dataclass(slots=True)
class _Branch:
    """An include in the making."""

    limit: int | None = None
    below: dict[str, _Branch] = field(default_factory=dict[str, "_Branch"])

    def includes(self) -> tuple[Include, ...]:
        return tuple(
            Include(relation=name, limit=branch.limit, includes=branch.includes())
            for name, branch in self.below.items()
        )


def _includes(paths: Sequence[str]) -> tuple[Include, ...]:
    root = _Branch()
    for path in paths:
        branch = root
        scanner = Scanner(path)
        try:
            while True:
                branch = branch.below.setdefault(scanner.take_name(), _Branch())
                if scanner.take_mark(":"):
                    branch.limit = scanner.take_number()
                if not scanner.take_mark("."):
                    break
            scanner.expect_end()
        except SchemaError as error:
            raise QueryError(
                f"{show_value(path)} is no include ({error.message}); write it as "
                "relation.relation, with :5 behind a relation for five rows of each parent"
            ) from error
    return root.includes()


def _order(text: str) -> OrderSpec:
    scanner = Scanner(text)
    try:
        descending = scanner.take_mark("-")
        path = [scanner.take_name()]
        while scanner.take_mark("."):
            path.append(scanner.take_name())
        word = scanner.take_word("asc", "desc")
        scanner.expect_end()
    except SchemaError as error:
        raise QueryError(
            f"{show_value(text)} is no order ({error.message}); write it as dep_delay or -dep_delay"
        ) from error
    order = OrderSpec(key=FieldRef(path=tuple(path)), descending=descending)
    return order if word is None else replace(order, descending=word == "desc")


def _names(text: str) -> list[str]:
    scanner = Scanner(text)
    try:
        names = [scanner.take_name()]
        while scanner.take_mark(","):
            names.append(scanner.take_name())
        scanner.expect_end()
    except SchemaError as error:
        raise QueryError(
            f"{show_value(text)} is no list of fields ({error.message}); write it as faa,name"
        ) from error
    return names
