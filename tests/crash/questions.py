"""Questions to a workshop, and the judge of their answers.

    Part, kind == "gear", price falling, limit 9       graph question
      expected   the answer of the sound file          something missing must be found by a check
      possible   the same without its limits           nothing else may be answered
      ever       without filters too, as of any commit    what a page of the past may give

An answer is taken apart into facts, which say a row at a place of the graph or an edge between two
rows.  Damage may hide rows, so that a page reaches further than it did: facts are therefore
compared with what is possible.  Order and repeats are judged within the answer itself.

Invariants (held by tests/crash/test_damage.py):
  1. The judge has no complaint about a sound file.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, Final, Protocol, TypeAlias

from ormdb import Database, Query
from ormdb.ir.graph import GraphQuery, Include, OrderSpec, Page
from ormdb.ir.result import EdgeBlock, EntityBlock, GraphBlocks
from ormdb.ir.value import RowDict, Value
from tests.crash.workshop import (
    LAST_VERSION,
    Box,
    Maker,
    Part,
    Reader,
    Scan,
    Supply,
    code_of,
    scan_id,
)

Facts: TypeAlias = frozenset[str]
PAST: Final = (2, 9, LAST_VERSION - 5, LAST_VERSION - 1)


@dataclass(frozen=True, slots=True)
class Answered:
    """The facts of an answer, and what is wrong with it whatever the rows are."""

    facts: Facts
    disorder: tuple[str, ...] = ()


class Question(Protocol):
    """Something to ask a workshop."""

    @property
    def name(self) -> str:
        """What is asked, for people."""
        ...

    def ask(self, db: Database) -> Answered:
        """The answer."""
        ...

    def ask_possible(self, db: Database) -> Facts | None:
        """Every fact that an answer may hold; None when it is only compared with the expected."""
        ...

    def ask_ever(self, db: Database) -> Facts:
        """Every fact of the newest commit that a page left over from it may give."""
        ...


@dataclass(frozen=True, slots=True)
class GraphQuestion:
    """A fetch."""

    name: str
    query: GraphQuery

    def ask(self, db: Database) -> Answered:
        blocks = db.fetch(self.query).blocks
        return Answered(_facts(blocks), tuple(_disorder(self.query, blocks)))

    def ask_possible(self, db: Database) -> Facts:
        return _facts(db.fetch(_without_limits(self.query)).blocks)

    def ask_ever(self, db: Database) -> Facts:
        return _facts(db.fetch(_without_filters(_without_limits(self.query))).blocks)


@dataclass(frozen=True, slots=True)
class PagesQuestion:
    """A fetch page by page, each from the cursor of the page before."""

    name: str
    query: GraphQuery
    page_rows: int

    def ask(self, db: Database) -> Answered:
        facts: set[str] = set()
        roots: list[EntityBlock] = []
        disorder: list[str] = []
        after: str | None = None
        while True:
            paged = replace(self.query, page=Page(limit=self.page_rows, after=after))
            blocks = db.fetch(paged).blocks
            facts |= _facts(blocks)
            roots.append(blocks.entities[0])
            after = blocks.next_cursor
            if after is None or len(roots) > 1_000:
                break
        columns = [sum(map(list, parts), list[Value]()) for parts in _across(roots)]
        whole = replace(roots[0], columns=tuple(columns))
        disorder.extend(_disorder_of(whole, range(len(whole)), self.query.order))
        return Answered(frozenset(facts), tuple(disorder))

    def ask_possible(self, db: Database) -> Facts:
        return _facts(db.fetch(self.query).blocks)

    def ask_ever(self, db: Database) -> Facts:
        return _facts(db.fetch(_without_filters(self.query)).blocks)


@dataclass(frozen=True, slots=True)
class GetQuestion:
    """Rows by their identities, one by one."""

    name: str
    entity: str
    identities: tuple[tuple[Value, ...], ...]

    def ask(self, db: Database) -> Answered:
        found = [db.run_get(self.entity, identity) for identity in self.identities]
        facts = [
            f"{identity}: {_row_text(row)}"
            for identity, row in zip(self.identities, found, strict=True)
            if row is not None
        ]
        return Answered(frozenset(facts))

    def ask_possible(self, db: Database) -> Facts:
        return self.ask(db).facts

    def ask_ever(self, db: Database) -> Facts:
        return self.ask(db).facts


@dataclass(frozen=True, slots=True)
class CountQuestion:
    """How many rows there are: a number that damage may change, but not so that nobody sees it."""

    name: str
    query: GraphQuery

    def ask(self, db: Database) -> Answered:
        return Answered(frozenset({str(db.run_count(self.query))}))

    def ask_possible(self, db: Database) -> None:  # as the others are asked
        return None

    def ask_ever(self, db: Database) -> Facts:
        return self.ask(db).facts


@dataclass(frozen=True, slots=True)
class Truth:
    """What a sound file says to one question."""

    expected: Facts
    possible: Facts | None

    def wrong_in(self, facts: Facts) -> Facts:
        """Facts that the answer of the damaged file must not hold."""
        return frozenset() if self.possible is None else facts - self.possible


@dataclass(slots=True)
class Truths:
    """What sound files say: the newest commits to every question, all commits together."""

    by_version: dict[int, dict[str, Truth]] = field(default_factory=dict[int, dict[str, Truth]])
    ever: dict[str, set[str]] = field(default_factory=dict[str, set[str]])

    def note_commit(self, db: Database) -> None:
        """Gather what was once true, and in the end everything."""
        with db.snapshot() as snapshot:
            version = snapshot.version
        for question in (*PRESENT, *GETS, *COUNTS):
            self.ever.setdefault(question.name, set()).update(question.ask_ever(db))
        if version >= LAST_VERSION - 1:
            self.by_version[version] = {
                question.name: Truth(question.ask(db).facts, question.ask_possible(db))
                for question in questions(version)
            }

    def ever_of(self, question: Question) -> set[str]:
        """What was true at some commit, of the question or of the one that it asks of the past."""
        return self.ever[question.name.partition(" as of ")[0]]


def questions(version: int) -> tuple[Question, ...]:
    """What is asked of a file whose newest commit is `version`."""
    past = [
        GraphQuestion(f"{question.name} as of {moment}", replace(question.query, as_of=moment))
        for moment in PAST
        if moment < version
        for question in PRESENT
        if isinstance(question, GraphQuestion)
    ]
    return (*PRESENT, *GETS, *COUNTS, *past)


def _graph(query: Query[Any]) -> GraphQuestion:
    return GraphQuestion(repr(query)[:100], query.ir)


def _pages(query: Query[Any], page_rows: int) -> PagesQuestion:
    return PagesQuestion(f"{query!r} in pages"[:100], query.ir, page_rows)


_LABELS: Final = tuple(f"{'é' * padding}{n}" for padding in (0, 5, 20, 280) for n in range(1, 60))
_CODES: Final = tuple(code_of(number) for number in range(4, 130, 4))

PRESENT: Final[tuple[GraphQuestion | PagesQuestion, ...]] = (
    # rows, read in order
    _graph(Part.all()),
    _graph(Supply.all()),
    _graph(Scan.all()),
    # by identity: text, composite, UUID
    _graph(Part.where(Part.code.in_(_CODES))),
    _graph(Box.where(Box.hall == "w" * 500).order_by(Box.hall, Box.place)),
    _graph(Scan.where(Scan.id.in_([scan_id(number) for number in range(0, 380, 5)]))),
    _graph(Maker.where(Maker.id >= -1).limit(12)),
    # by index: unique, composite with a column that falls, a stored value, times
    _graph(Part.where(Part.label.in_(_LABELS))),
    _graph(Part.all().order_by(Part.label).limit(50)),
    _graph(Part.where(Part.kind == "gear").order_by(Part.price.desc()).limit(30)),
    _graph(Part.all().order_by(Part.kind.desc(), Part.price).limit(90)),
    _graph(Part.where(Part.worth > 40).order_by(Part.worth).limit(25)),
    _graph(Supply.where(Supply.amount > 30).order_by(Supply.since, Supply.amount.desc())),
    _pages(Scan.all().order_by(Scan.at.desc()), 70),
    _pages(Part.where(Part.stock > 5).order_by(Part.label.desc()), 40),
    # relations: to itself, through an edge, by number, by value, over two columns, one to one
    _graph(Part.all().include(Part.whole.include(Part.whole))),
    _graph(Part.all().include(Part.pieces.include(Part.pieces))),
    _graph(Maker.all().include(Maker.parts)),
    _graph(Maker.all().include(Maker.parts.limit(4))),
    _graph(Part.all().include(Part.supplies.include(Supply.maker), Part.scans.limit(2))),
    _graph(Box.all().include(Box.scans.order_by(Scan.at.desc()).limit(9), Box.reader)),
    _graph(Reader.all().include(Reader.scans.include(Scan.box), Reader.box)),
    _graph(Scan.all().include(Scan.part.include(Part.whole), Scan.reader.include(Reader.box))),
    # filters and orders over relations
    _graph(Scan.where(Scan.part[Part.stock] > 20).order_by(Scan.part[Part.price]).limit(60)),
    _graph(Scan.where(Scan.reader[Reader.serial] == "r3")),
)
GETS: Final[tuple[Question, ...]] = (
    GetQuestion("get Part", "Part", tuple((code_of(n),) for n in range(1, 140, 7))),
    GetQuestion("get Maker", "Maker", tuple((n,) for n in range(-3, 30, 2))),
    GetQuestion("get Box", "Box", tuple((h, n) for h in ("east", "w" * 500) for n in range(14))),
    GetQuestion("get Scan", "Scan", tuple((scan_id(n),) for n in range(0, 420, 20))),
    GetQuestion("get Supply", "Supply", tuple((1, code_of(n)) for n in range(1, 140, 7))),
)
COUNTS: Final[tuple[Question, ...]] = (
    CountQuestion("count Part", Part.all().ir),
    CountQuestion("count Scan", Scan.all().ir),
    CountQuestion("count dear Part", Part.where(Part.price > Decimal(500)).ir),
)


def _without_limits(query: GraphQuery) -> GraphQuery:
    def of_include(include: Include) -> Include:
        inner = tuple(map(of_include, include.includes))
        return replace(include, limit=None, offset=0, includes=inner)

    return replace(query, page=Page(), includes=tuple(map(of_include, query.includes)))


def _without_filters(query: GraphQuery) -> GraphQuery:
    return replace(query, filter=None, as_of=None)


def _facts(blocks: GraphBlocks) -> Facts:
    """Every row at its place of the graph, and every edge."""
    facts: list[str] = []
    names: dict[tuple[str, ...], list[str]] = {}
    for block in blocks.entities:
        place = ".".join((block.entity, *block.path))
        names[block.path] = _identities(block)
        rows = zip(*block.columns, strict=True)
        facts.extend(f"{place}: {_row_text(dict(zip(block.fields, r, strict=True)))}" for r in rows)
    for edge in blocks.edges:
        place = ".".join(edge.path)
        near, far = names[edge.path[:-1]], names[edge.path]
        for parent, targets in zip(near, _targets(edge), strict=True):
            facts.extend(f"{place}: {parent} -> {far[target]}" for target in targets)
    return frozenset(facts)


def _disorder(query: GraphQuery, blocks: GraphBlocks) -> Iterator[str]:
    """What is wrong with the order of an answer, and what is in it twice."""
    root = blocks.entities[0]
    yield from _disorder_of(root, range(len(root)), query.order)
    by_path = {block.path: block for block in blocks.entities}
    orders = dict(_orders((), query.includes))
    for edge in blocks.edges:
        block = by_path[edge.path]
        for targets in _targets(edge):
            yield from _disorder_of(block, targets, orders[edge.path])


def _disorder_of(
    block: EntityBlock, positions: Sequence[int], order: Sequence[OrderSpec]
) -> Iterator[str]:
    if len({_identity(block, position) for position in positions}) < len(positions):
        yield f"a {block.entity} is given twice"
    own = [(spec, spec.path[0]) for spec in order if spec.path is not None and len(spec.path) == 1]
    if len(own) < len(order):
        return
    columns = [block.columns[block.fields.index(name)] for _, name in own]
    for one, next_ in itertools.pairwise(positions):
        for (spec, name), column in zip(own, columns, strict=True):
            mine, its = _rank(column[one]), _rank(column[next_])
            if mine == its:
                continue
            if (mine > its) != spec.descending:
                yield f"{block.entity} is not in the order of {name}"
            break


def _rank(value: Value) -> tuple[Any, ...]:
    """Something to order values by: NULL first, variants as they are declared."""
    return (value is not None, value)


def _orders(
    path: tuple[str, ...], includes: Sequence[Include]
) -> Iterator[tuple[tuple[str, ...], tuple[OrderSpec, ...]]]:
    for include in includes:
        yield (*path, include.name), include.order
        yield from _orders((*path, include.name), include.includes)


def _targets(edge: EdgeBlock) -> list[Sequence[int]]:
    """The positions that each parent leads to."""
    if edge.offsets is None:
        return [[target] if target >= 0 else [] for target in edge.targets]
    bounds = zip(edge.offsets, edge.offsets[1:], strict=False)
    return [edge.targets[start:stop] for start, stop in bounds]


def _identities(block: EntityBlock) -> list[str]:
    return [repr(_identity(block, position)) for position in range(len(block))]


def _identity(block: EntityBlock, position: int) -> tuple[Value, ...]:
    return tuple(block.columns[block.fields.index(name)][position] for name in block.identity)


def _row_text(row: RowDict) -> str:
    return repr(sorted(row.items()))


def _across(blocks: Sequence[EntityBlock]) -> Iterator[tuple[Sequence[Value], ...]]:
    yield from zip(*(block.columns for block in blocks), strict=True)
