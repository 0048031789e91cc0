"""Laws of graph fetches: answers to two questions, of which one says what the other has to be.

    an include        what a fetch by the parent's values gives, parent by parent
    pages             put together, forwards, backwards or by offset: the whole; of children, too
    the order         turned round, ties and NULLs with it: the rows turned round
    unrelated rows    added or gone: nothing changes
    now               as of the newest commit, in a snapshot, in a transaction: the same
    includes, select  never change which rows a page holds, nor its cursors

Each law takes one query and asks for itself whatever it compares; none of them knows what the
answer is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Final

from ormdb.ir.expr import Aggregate, And, Compare, Expr, FieldRef, Literal, NamedParam, Related
from ormdb.ir.expression_type import walk
from ormdb.ir.graph import GraphQuery, Include, OrderSpec, Page
from ormdb.ir.mutation import Insert
from ormdb.ir.schema import RelationDef, ThroughDef
from ormdb.ir.value import RowDict, Value
from ormdb.session import Reader
from tests.oracle.child_pages import law_of_child_pages
from tests.oracle.compare import DifferenceError, check_same
from tests.oracle.rows import RowMaker
from tests.oracle.stage import Stage, identities, whole

PARENTS_MAX: Final = 5
PAGES_MAX: Final = 60


class _UndoneError(Exception):
    """Ends a transaction that is to be rolled back."""


def check_laws(stage: Stage, query: GraphQuery) -> int:
    """Every law that says something about a query; how many did.

    Raises:
      DifferenceError: one of them is broken.
    """
    return sum(law(stage, query) for law in LAWS)


# --- includes ----------------------------------------------------------------------------------


def law_of_includes(stage: Stage, query: GraphQuery) -> bool:
    """What an include gives a parent is what a fetch by the parent's values gives."""
    includes = [replace(include, select=None) for include in query.includes]
    if not includes:
        return False
    parents = stage.database.run_fetch(replace(whole(query), includes=tuple(includes))).dicts()
    for parent in parents[:PARENTS_MAX]:
        for include in includes:
            found = parent[include.name]
            expected = _fetched_alone(stage, query.entity, include, parent)
            kind = stage.names.way(query.entity, include.relation)[0]
            if kind in {"one", "back"}:
                expected = expected[0] if expected else None
            where = f"{stage.label}: {include!r} of {query.entity} {_shown(parent)}"
            check_same(expected, found, where)
    return bool(parents)


def _fetched_alone(stage: Stage, entity: str, include: Include, parent: RowDict) -> Value:
    kind, relation, target = stage.names.way(entity, include.relation)
    alone = GraphQuery(
        entity=target,
        filter=include.filter,
        order=include.order,
        page=Page(limit=include.limit, offset=include.offset),
        includes=include.includes,
        derived=include.derived,
    )
    if isinstance(relation, ThroughDef):
        return _fetched_through(stage, relation, alone, parent)
    ours, theirs = relation.fields, relation.target_fields
    if kind != "one":
        ours, theirs = theirs, ours
    condition = _has_values(theirs, [parent[name] for name in ours])
    if condition is None:
        return []
    items = (condition,) if alone.filter is None else (condition, alone.filter)
    return stage.database.run_fetch(replace(alone, filter=And(items=items))).dicts()


def _fetched_through(
    stage: Stage, through: ThroughDef, alone: GraphQuery, parent: RowDict
) -> list[RowDict]:
    """The edges of a parent, what they lead to, and which of it a fetch of all targets gives."""
    names, reader = stage.names, stage.database
    near = names.forward[through.edge, through.near]
    condition = _has_values(near.fields, [parent[name] for name in near.target_fields])
    if condition is None:
        return []
    order = tuple(
        OrderSpec(key=FieldRef(path=(part.field,)), descending=part.descending)
        for part in through.order
    )
    far = Include(relation=through.far, alias="far")
    edges = GraphQuery(entity=through.edge, filter=condition, order=order, includes=(far,))
    reached = [row["far"] for row in reader.run_fetch(edges).dicts() if row["far"] is not None]
    wanted = list(dict.fromkeys(map(repr, identities(names, alone.entity, reached))))
    rows = reader.run_fetch(replace(alone, page=Page())).dicts()
    by_id = dict(zip(map(repr, identities(names, alone.entity, rows)), rows, strict=True))
    ids = (
        [i for i in by_id if i in set(wanted)] if alone.order else [i for i in wanted if i in by_id]
    )
    limit, offset = alone.page.limit, alone.page.offset
    assert not isinstance(limit, NamedParam)
    assert not isinstance(offset, NamedParam)
    return [by_id[each] for each in ids[offset : None if limit is None else offset + limit]]


def _has_values(fields: tuple[str, ...], values: list[Value]) -> Expr | None:
    """A condition that fields have values; None where one is NULL, which nothing equals."""
    if None in values:
        return None
    pairs = zip(fields, values, strict=True)
    return And(
        items=tuple(
            Compare(op="==", left=FieldRef(path=(name,)), right=Literal(value=value))
            for name, value in pairs
        )
    )


def law_of_roots(stage: Stage, query: GraphQuery) -> bool:
    """Includes and selections change neither the roots of a page nor its cursors."""
    names, reader = stage.names, stage.database
    identity = names.entities[query.entity].identity
    given = reader.run_fetch(replace(query, select=None))
    rows = given.dicts()
    for select in (None, identity):
        other = replace(query, includes=(), select=select)
        answer = reader.run_fetch(other)
        where = f"{stage.label}: {other!r}"
        check_same(
            identities(names, query.entity, rows),
            identities(names, query.entity, answer.dicts()),
            where,
        )
        _see_cursors(given, answer, where)
    selected = reader.run_fetch(query).dicts()
    shown = list(dict.fromkeys(query.select)) if query.select is not None else None
    if shown is not None:
        below = [each.name for each in query.includes] + [each.name for each in query.derived]
        expected = [{name: row[name] for name in (*shown, *below)} for row in rows]
        check_same(expected, selected, f"{stage.label}: {query!r}")
    return True


# --- pages and orders --------------------------------------------------------------------------


def law_of_pages(stage: Stage, query: GraphQuery) -> bool:
    """Pages put together are the whole: forwards, backwards, by offset."""
    query = replace(query, page=Page())
    expected = stage.database.run_fetch(query).dicts()
    limit = stage.rng.choice([1, 2, 3, 7])
    limit = max(limit, len(expected) // (PAGES_MAX // 2))
    forwards = list(_pages(stage.database, query, limit))
    where = f"{stage.label}: pages of {limit} of {query!r}"
    check_same(expected, [row for page, _ in forwards for row in page], where)
    if len(forwards) > 1:
        # Back from the last page, which lies behind the cursor that leads there.
        last, cursor = forwards[-1]
        backwards = [last]
        while cursor is not None:
            answer = stage.database.run_fetch(replace(query, page=Page(limit=limit, before=cursor)))
            backwards.append(answer.dicts())
            cursor = answer.previous_cursor
        check_same(expected, [row for page in reversed(backwards) for row in page], where)
    by_offset: list[RowDict] = []
    for offset in range(0, len(expected), limit):
        page = Page(limit=limit, offset=offset)
        by_offset.extend(stage.database.run_fetch(replace(query, page=page)).dicts())
    check_same(expected, by_offset, where)
    return True


def _pages(
    reader: Reader, query: GraphQuery, limit: int
) -> Iterator[tuple[list[RowDict], str | None]]:
    """The pages of a query by cursors, each with the cursor of the page before it."""
    cursor: str | None = None
    for _ in range(PAGES_MAX):
        answer = reader.run_fetch(replace(query, page=Page(limit=limit, after=cursor)))
        yield answer.dicts(), answer.previous_cursor
        cursor = answer.next_cursor
        if cursor is None:
            return


def law_of_reversal(stage: Stage, query: GraphQuery) -> bool:
    """The order turned round is the rows turned round, NULLs and ties with them."""
    if not query.order:
        return False
    query = replace(query, page=Page())
    turned = replace(query, order=tuple(map(_turned, query.order)))
    expected = stage.database.run_fetch(query).dicts()
    found = stage.database.run_fetch(turned).dicts()
    check_same(expected[::-1], found, f"{stage.label}: {query!r}")
    return True


def _turned(spec: OrderSpec) -> OrderSpec:
    last = None if spec.nulls_last is None else not spec.nulls_last
    return replace(spec, descending=not spec.descending, nulls_last=last)


# --- other rows, other times -------------------------------------------------------------------


def law_of_unrelated_rows(stage: Stage, query: GraphQuery) -> bool:
    """Rows of entities that a query never looks at do not matter."""
    touched = entities_of(stage, query)
    others = [e for e in stage.world.bundle.entities if e.name not in touched]
    if not others:
        return False
    expected = stage.database.run_fetch(query).dicts()
    tables = stage.tables.copy()
    maker = RowMaker(stage.rng, stage.world, tables)
    added = [Insert(entity=e.name, rows=(row,)) for e in others if (row := maker.insertable(e))]
    try:
        with stage.database.begin() as writer:
            writer.run_mutations(added)
            check_same(expected, writer.run_fetch(query).dicts(), f"{stage.label}: {query!r}")
            raise _UndoneError
    except _UndoneError:
        tables.mirror.close()
    return bool(added)


def law_of_now(stage: Stage, query: GraphQuery) -> bool:
    """The newest commit by its number, a snapshot and a transaction see what a fetch sees."""
    database = stage.database
    given = database.run_fetch(query)
    where = f"{stage.label}: {query!r}"
    past = database.run_fetch(replace(query, as_of=database.version))
    check_same(given.dicts(), past.dicts(), f"as of now, {where}")
    _see_cursors(given, past, where)
    with database.snapshot() as snapshot:
        check_same(given.dicts(), snapshot.run_fetch(query).dicts(), f"a snapshot, {where}")
    with database.begin() as writer:
        check_same(given.dicts(), writer.run_fetch(query).dicts(), f"a transaction, {where}")
    return True


def entities_of(stage: Stage, query: GraphQuery) -> set[str]:
    """Every entity whose rows a query may look at."""
    touched = {query.entity}
    shown = [each.value for each in query.derived]
    keys = [spec.key for spec in query.order]
    _touch_expressions(stage, query.entity, [query.filter, *keys, *shown], touched)
    _touch_includes(stage, query.entity, query.includes, touched)
    return touched


def _touch_includes(
    stage: Stage, entity: str, includes: tuple[Include, ...], touched: set[str]
) -> None:
    for include in includes:
        target = _touch_step(stage, entity, include.relation, touched)
        shown = [each.value for each in include.derived]
        keys = [spec.key for spec in include.order]
        _touch_expressions(stage, target, [include.filter, *keys, *shown], touched)
        _touch_includes(stage, target, include.includes, touched)


def _touch_expressions(
    stage: Stage, entity: str, expressions: list[Expr | None], touched: set[str]
) -> None:
    for expr in expressions:
        for node in () if expr is None else walk(expr):
            path = node.path[:-1] if isinstance(node, FieldRef) else ()
            if isinstance(node, Related | Aggregate):
                path = node.path
            at = entity
            for name in path:
                at = _touch_step(stage, at, name, touched)
            if isinstance(node, Related | Aggregate):
                _touch_expressions(stage, at, [node.filter], touched)
            if isinstance(node, Aggregate):
                _touch_expressions(stage, at, [node.operand], touched)


def _touch_step(stage: Stage, entity: str, name: str, touched: set[str]) -> str:
    _, relation, target = stage.names.way(entity, name)
    touched.add(target)
    if not isinstance(relation, RelationDef):
        touched.add(relation.edge)
    return target


def _see_cursors(one: object, other: object, where: str) -> None:
    for name in ("next_cursor", "previous_cursor"):
        if getattr(one, name) != getattr(other, name):
            raise DifferenceError(f"another {name}: {where}")


def _shown(parent: RowDict) -> dict[str, Value]:
    return {name: value for name, value in parent.items() if not isinstance(value, list | dict)}


LAWS: Final[tuple[Callable[[Stage, GraphQuery], bool], ...]] = (
    law_of_includes,
    law_of_roots,
    law_of_pages,
    law_of_child_pages,
    law_of_reversal,
    law_of_unrelated_rows,
    law_of_now,
)
