"""One generated world, run in ormdb and in an oracle, every answer compared.

    state 1 … n      commits of random mutations, each followed by fetches of the newest state
    in a transaction fetches that see the writes of a transaction that is then rolled back
    past             fetches as of every earlier version
    pages            the same order walked by cursors, forwards and back

The oracle is SQLite or the naive interpreter.  `compare_world(seed, open_world)` returns how many
answers were compared; the first difference raises `DifferenceError`, whose text has the seed, the
query and both answers.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Final, Protocol, TypeAlias, cast

from ormdb.errors import OrmdbError
from ormdb.ir.expr import Expr
from ormdb.ir.graph import GraphQuery, Include, Page
from ormdb.ir.result import GraphBlocks
from ormdb.ir.schema import SchemaBundle
from ormdb.ir.value import RowDict, Value
from ormdb.session import Answer, Reader, Session
from tests.oracle.naive import Naive
from tests.oracle.names import Names
from tests.oracle.plan_kinds import PlanKinds
from tests.oracle.queries import QueryMaker
from tests.oracle.rows import RowMaker, Tables
from tests.oracle.shrink import shrink_query
from tests.oracle.sqlite_side import Mirror, TooDeepForSqliteError
from tests.oracle.worlds import World, make_world

Path: TypeAlias = tuple[str, ...]
Open: TypeAlias = Callable[[SchemaBundle], AbstractContextManager[Session]]
NOW_QUERIES: Final = 14
PAST_QUERIES: Final = 8
OWN_WRITES_QUERIES: Final = 5
COMMITS: Final = 3
PAGES_MAX: Final = 6


class DifferenceError(AssertionError):
    """ormdb and an oracle answered differently."""


class Oracle(Protocol):
    """What answers for one state of a world."""

    @property
    def names(self) -> Names: ...

    def fetch(self, query: GraphQuery) -> list[RowDict]: ...

    def count(self, entity: str, condition: Expr | None) -> int: ...


OracleOf: TypeAlias = Callable[[Tables], Oracle]


def sqlite_of(tables: Tables) -> Oracle:
    """SQLite, for as long as its mirror is open."""
    return tables.mirror


def naive_of(tables: Tables) -> Oracle:
    """The naive interpreter."""
    return Naive(tables.names, tables.rows)


class Comparison:
    """Compares answers, and counts what they covered."""

    def __init__(self, label: str) -> None:
        self.label = label
        self.compared = 0
        self.covered: Counter[str] = Counter()
        self.plans = PlanKinds()

    def fetch(self, reader: Reader, oracle: Oracle, query: GraphQuery) -> Answer:
        """One fetch in both, as dicts and as blocks."""
        try:
            answer = _fetch_both(reader, oracle, query, self.label)
        except (DifferenceError, OrmdbError, AssertionError) as error:
            kind = type(error)

            def differs(smaller: GraphQuery) -> bool:
                try:
                    _fetch_both(reader, oracle, smaller, self.label)
                except kind:
                    return True
                except (OrmdbError, TooDeepForSqliteError):
                    return False
                return False

            smallest = shrink_query(query, differs)
            raise DifferenceError(
                f"{self.label}: {kind.__name__}; the smallest query that fails alike:\n{smallest!r}"
            ) from error
        self.compared += 1
        self.plans.add(reader.run_explain(query))
        self.covered["rows" if len(answer) else "nothing"] += 1
        return answer

    def count(self, reader: Reader, oracle: Oracle, query: GraphQuery) -> None:
        """The number of rows that a filter keeps."""
        expected = oracle.count(query.entity, query.filter)
        found = reader.run_count(query), reader.run_exists(query)
        if found != (expected, expected > 0):
            raise DifferenceError(f"{self.label}: count {found}, not {expected}: {query!r}")
        self.compared += 1

    def pages(self, reader: Reader, oracle: Oracle, query: GraphQuery, limit: int) -> None:
        """The whole order in pages of `limit`, forwards by cursors and back again."""
        query = replace(query, page=Page(limit=limit))
        pages = 0
        answer = self.fetch(reader, oracle, query)
        while answer.next_cursor is not None and pages < PAGES_MAX:
            pages += 1
            following = replace(query, page=Page(limit=limit, after=answer.next_cursor))
            answer = self._page(reader, oracle, query, following, pages)
        self._check_ends(oracle, query, answer, pages)
        while answer.previous_cursor is not None and pages > 0:
            pages -= 1
            before = replace(query, page=Page(limit=limit, before=answer.previous_cursor))
            answer = self._page(reader, oracle, query, before, pages)
        if pages == 0 and answer.previous_cursor is not None:
            raise DifferenceError(f"{self.label}: something before the first page: {query!r}")

    def _page(
        self, reader: Reader, oracle: Oracle, whole: GraphQuery, asked: GraphQuery, number: int
    ) -> Answer:
        """One page by cursor, against the same one by offset."""
        limit = whole.page.limit
        assert isinstance(limit, int)
        by_offset = replace(whole, page=Page(limit=limit, offset=number * limit))
        expected = oracle.fetch(replace(by_offset, as_of=None))
        answer = reader.run_fetch(asked)
        try:
            check_same(expected, answer.dicts(), f"{self.label}, page {number} of {asked!r}")
        except DifferenceError:
            self.fetch(reader, oracle, by_offset)  # when it differs too, it can be made smaller
            raise
        self.compared += 1
        self.covered["page back" if asked.page.before else "page on"] += 1
        return answer

    def _check_ends(self, oracle: Oracle, query: GraphQuery, answer: Answer, pages: int) -> None:
        """No page is left over after the last."""
        limit = query.page.limit
        assert isinstance(limit, int)
        if answer.next_cursor is None:
            total = oracle.count(query.entity, query.filter)
            if total > (pages + 1) * limit:
                raise DifferenceError(f"{self.label}: pages end after {pages + 1} of {query!r}")


def _fetch_both(reader: Reader, oracle: Oracle, query: GraphQuery, label: str) -> Answer:
    expected = oracle.fetch(replace(query, as_of=None))
    answer = reader.run_fetch(query)
    where = f"{label}, {query!r}"
    check_same(expected, answer.dicts(), where)
    check_same(expected, dicts_of_blocks(oracle.names, answer.blocks, query), f"blocks, {where}")
    return answer


def compare_world(seed: int, open_world: Open, oracle_of: OracleOf = sqlite_of) -> Comparison:
    """Generate a world and compare every answer about it."""
    rng = random.Random(seed)
    world = make_world(rng)
    names = Names(world.bundle)
    compared = Comparison(f"seed {seed}")
    tables = Tables(names, Mirror.create(world.bundle))
    rows = RowMaker(rng, world, tables)
    versions: dict[int, Tables] = {}
    with open_world(world.bundle) as session:
        for insert in rows.first_rows():
            session.run_mutations([insert])
        for _ in range(COMMITS):
            _compare_some(rng, compared, session, (world, tables, oracle_of), NOW_QUERIES)
            versions[newest_version(session)] = tables.copy()
            mutations = rows.commit()
            if mutations:
                session.run_mutations(mutations)
        _compare_own_writes(rng, compared, session, (world, tables, oracle_of))
        for version, past in versions.items():
            _compare_some(
                rng, compared, session, (world, past, oracle_of), PAST_QUERIES, as_of=version
            )
    for each in (tables, *versions.values()):
        each.mirror.close()
    return compared


_State: TypeAlias = tuple[World, Tables, OracleOf]


def _compare_some(  # where, what and how often
    rng: random.Random,
    compared: Comparison,
    reader: Reader,
    state: _State,
    count: int,
    *,
    as_of: int | None = None,
) -> None:
    """Generated queries about one state."""
    world, tables, oracle_of = state
    oracle = oracle_of(tables)
    queries = QueryMaker(rng, world, tables.mirror)
    for _ in range(count):
        query = replace(queries.query(), as_of=as_of)
        roll = rng.random()
        try:
            if roll < 0.25:
                compared.pages(reader, oracle, query, rng.choice([1, 2, 3, 7, 30]))
            else:
                compared.fetch(reader, oracle, query)
            if roll > 0.9 and as_of is None:
                compared.count(reader, oracle, query)
        except TooDeepForSqliteError:
            compared.covered["too deep for SQLite"] += 1


def _compare_own_writes(
    rng: random.Random, compared: Comparison, session: Session, state: _State
) -> None:
    """A transaction sees what it wrote, and nobody does after it was undone."""
    world, before, oracle_of = state
    undone = before.copy()
    mutations = RowMaker(rng, world, undone).commit()
    try:
        with session.begin() as writer:
            writer.run_mutations(mutations)
            _compare_some(rng, compared, writer, (world, undone, oracle_of), OWN_WRITES_QUERIES)
            raise _UndoneError
    except _UndoneError:
        _compare_some(rng, compared, session, state, OWN_WRITES_QUERIES)
    undone.mirror.close()


class _UndoneError(Exception):
    """Ends a transaction that is to be rolled back."""


def newest_version(session: Session) -> int:
    """The newest version, as an answer tells it."""
    entity = session.schema.entities[0].name
    return session.run_fetch(GraphQuery(entity=entity, page=Page(limit=0))).blocks.version


# --- comparing ----------------------------------------------------------------------------------


def check_same(expected: Value, found: Value, where: str) -> None:
    """See that two answers are alike in every value, class and key.

    Raises:
      DifferenceError: they are not; the text says where first.
    """
    path = _first_difference(expected, found, "answer")
    if path is not None:
        raise DifferenceError(f"{path}\n  in {where}\n  expected {expected}\n  found    {found}")


def _first_difference(expected: Value, found: Value, path: str) -> str | None:
    if type(expected) is not type(found):
        return f"{path} is {found!r}, not {expected!r}"
    pairs: Iterable[tuple[str, Value, Value]]
    if isinstance(expected, dict):
        mine = cast("RowDict", expected)
        if list(mine) != list(found):
            return f"{path} has {list(found)}, not {list(mine)}"
        pairs = ((f"{path}.{key}", value, found[key]) for key, value in mine.items())
    elif isinstance(expected, list | tuple):
        items = cast("Sequence[Value]", expected)
        if len(items) != len(found):
            return f"{path} has {len(found)} items, not {len(items)}"
        both = zip(items, found, strict=True)
        pairs = ((f"{path}[{n}]", one, other) for n, (one, other) in enumerate(both))
    else:
        return None if repr(expected) == repr(found) else f"{path} is {found!r}, not {expected!r}"
    for where, one, other in pairs:
        if (difference := _first_difference(one, other, where)) is not None:
            return difference
    return None


def dicts_of_blocks(names: Names, blocks: GraphBlocks, query: GraphQuery) -> list[RowDict]:
    """The nested dicts that blocks describe."""
    selected, derived = _selections(query)
    levels: dict[tuple[str, ...], list[RowDict]] = {}
    for block in blocks.entities:
        columns = dict(zip(block.fields, block.columns, strict=True))
        identities = list(zip(*(columns[name] for name in block.identity), strict=True))
        if len(set(map(repr, identities))) != len(identities):
            raise DifferenceError(f"the block of {block.path} repeats an entity")
        chosen = selected[block.path]
        if chosen is None:
            chosen = tuple(each.name for each in names.entities[block.entity].fields)
        levels[block.path] = [
            {name: columns[name][number] for name in chosen} for number in range(len(block))
        ]
    for edge in blocks.edges:
        parents, children = levels[edge.path[:-1]], levels[edge.path]
        for number, parent in enumerate(parents):
            if edge.offsets is None:
                target = edge.targets[number]
                parent[edge.path[-1]] = None if target < 0 else children[target]
            else:
                part = range(edge.offsets[number], edge.offsets[number + 1])
                parent[edge.path[-1]] = [children[edge.targets[at]] for at in part]
    for block in blocks.entities:  # what is derived stands last
        columns = dict(zip(block.fields, block.columns, strict=True))
        for name in derived[block.path]:
            for row, value in zip(levels[block.path], columns[name], strict=True):
                row[name] = value
    return levels[()]


def _selections(
    query: GraphQuery,
) -> tuple[dict[Path, tuple[str, ...] | None], dict[Path, tuple[str, ...]]]:
    """What each node of a query selects, by path, and what it derives; blocks hold the identity as
    well."""
    selected: dict[Path, tuple[str, ...] | None] = {}
    derived: dict[Path, tuple[str, ...]] = {}
    open_nodes: list[tuple[Path, GraphQuery | Include]] = [((), query)]
    while open_nodes:
        path, node = open_nodes.pop()
        selected[path] = node.select
        derived[path] = tuple(each.name for each in node.derived)
        open_nodes.extend(((*path, below.name), below) for below in node.includes)
    return selected, derived
